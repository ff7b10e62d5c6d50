//! A full disk: a small tmpfs in a mount namespace of its own.

use std::fs;

use decnet_spool::{
    Options, Position, Writer,
    outlet::{Inlet, Outlet},
    verify,
};
use decnet_testkit::disk;

use super::*;

#[test]
fn a_full_disk_loses_and_doubles_nothing_and_passes_by_itself() {
    let test = "full_disk::a_full_disk_loses_and_doubles_nothing_and_passes_by_itself";
    let Some(disk) = disk::small(test, "1m").unwrap() else {
        return;
    };
    let spool = disk.join("spool");
    let outlets = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(&spool, small_segments(100_000)).unwrap();
    let mut inlet = Inlet::new(outlets.path());
    let mut outlet = Outlet::create(outlets.path(), "web-01").unwrap();
    let ballast = disk.join("ballast");
    let mut want = Vec::new();
    let mut full = 0;
    for round in 0..12 {
        // Fill what is left of the disk, but for a few pages that differ from round to round: the commit fails in the
        // lines, in the journal, while rotating, or while sealing.
        fs::write(&ballast, b"").unwrap();
        let free = nix::sys::statvfs::statvfs(&disk).unwrap();
        let free = free.blocks_available() * free.fragment_size();
        let leave = 4096 * (round % 6);
        fs::write(&ballast, vec![0; free.saturating_sub(leave) as usize]).unwrap();
        for n in 0..60 {
            let line = format!("round {round} line {n} {}", "x".repeat(700));
            outlet.append(line.as_bytes()).unwrap();
            want.push(line);
            match inlet.pump(&mut writer) {
                Ok(_) => {}
                Err(e) => {
                    assert!(e.is_full(), "{e}");
                    full += 1;
                }
            }
        }
        let readable = read_all(&spool, Position::START);
        assert_eq!(
            readable,
            want[..readable.len()],
            "what was committed stays readable while the disk is full"
        );
        if round % 3 == 2 {
            // Killed while the disk is full: a new collector takes up what the old one had in hand.
            drop(writer);
            writer = loop {
                match Writer::open(&spool, small_segments(100_000)) {
                    Ok(writer) => break writer,
                    Err(e) => {
                        assert!(e.is_full(), "{e}");
                        fs::remove_file(&ballast).unwrap();
                    }
                }
            };
            inlet = Inlet::new(outlets.path());
        }
        let _there_or_not = fs::remove_file(&ballast);
        while inlet.pump(&mut writer).unwrap() {}
        writer.maintain().unwrap();
        assert_eq!(read_all(&spool, Position::START), want);
    }
    assert!(full > 20, "the disk was full {full} times");
    assert_eq!(verify(&spool).unwrap().fault, None);
}

#[test]
fn room_that_is_held_past_the_end_of_an_outlet_is_no_part_of_it() {
    let test = "full_disk::room_that_is_held_past_the_end_of_an_outlet_is_no_part_of_it";
    let Some(disk) = disk::small(test, "8m").unwrap() else {
        return;
    };
    let spool = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(spool.path(), options()).unwrap();
    let mut inlet = Inlet::new(&disk);
    let outlet = Outlet::create(&disk, "web-01").unwrap();
    let path = outlet.path().to_owned();
    let mut file = outlet.into_file();
    let mut want = Vec::new();
    for round in 0..4 {
        let hold = nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let length = file.metadata().unwrap().len();
        nix::fcntl::fallocate(&file, hold, length as i64, 2 << 20).unwrap();
        while inlet.pump(&mut writer).unwrap() {}
        assert_eq!(read_all(spool.path(), Position::START), want);
        // More than what is given back at a time.
        for n in 0..400 {
            want.push(format!("round {round} line {n} {}", "x".repeat(1_000)));
            std::io::Write::write_all(&mut file, format!("{}\n", want.last().unwrap()).as_bytes()).unwrap();
        }
    }
    // Its last line is torn, and its writer is gone.
    std::io::Write::write_all(&mut file, b"torn").unwrap();
    want.push("torn".to_owned());
    drop(file);
    for _ in 0..100 {
        inlet.pump(&mut writer).unwrap();
    }
    assert_eq!(read_all(spool.path(), Position::START), want);
    assert_eq!((inlet.totals().torn_lines, inlet.totals().removed_files), (1, 1));
    assert!(inlet.totals().freed_bytes > 0 && !path.exists());
}

#[test]
fn what_is_in_hand_when_the_disk_is_full_is_committed_once_when_there_is_room() {
    let test = "full_disk::what_is_in_hand_when_the_disk_is_full_is_committed_once_when_there_is_room";
    let Some(disk) = disk::small(test, "1m").unwrap() else {
        return;
    };
    let spool = disk.join("spool");
    let mut writer = Writer::open(&spool, options()).unwrap();
    write(&mut writer, ["before"]);
    let before = writer.position();
    let ballast = disk.join("ballast");
    let free = nix::sys::statvfs::statvfs(&disk).unwrap();
    fs::write(
        &ballast,
        vec![0; (free.blocks_available() * free.fragment_size()) as usize],
    )
    .unwrap();

    let long = "x".repeat(50_000);
    writer.append(long.as_bytes()).unwrap();
    writer.mark("source", 50_001);
    for _ in 0..3 {
        assert!(writer.commit().unwrap_err().is_full());
        assert_eq!(writer.position(), before);
        assert_eq!(
            (writer.marked("source"), writer.committed_mark("source")),
            (Some(50_001), None)
        );
        assert_eq!(read_all(&spool, Position::START), ["before"]);
    }
    fs::remove_file(&ballast).unwrap();
    writer.append(b"after").unwrap();
    writer.commit().unwrap();
    assert_eq!(writer.committed_mark("source"), Some(50_001));
    assert_eq!(read_all(&spool, Position::START), ["before", &long, "after"]);
}

#[test]
fn under_the_floor_of_free_space_lines_stay_in_hand() {
    let dir = tempfile::tempdir().unwrap();
    let floor = |free_floor_bytes| Options {
        free_floor_bytes,
        ..options()
    };
    let mut writer = Writer::open(dir.path(), floor(u64::MAX)).unwrap();
    writer.append(b"one").unwrap();
    let e = writer.commit().unwrap_err();
    assert!(e.is_full(), "{e}");
    let told = e.to_string();
    for words in [
        &*dir.path().to_string_lossy(),
        "; free space, or lower spool-min-free-bytes",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!((writer.pending_lines(), writer.pending_bytes()), (1, 4));
    assert_eq!(read_all(dir.path(), Position::START), Vec::<String>::new());

    // What is held in hand is bounded.
    let line = vec![b'x'; 1 << 20];
    let refused = (0..20).find_map(|_| writer.append(&line).err());
    assert!(refused.is_some_and(|e| e.is_full()));
    assert!(writer.pending_bytes() <= 8 << 20);
}
