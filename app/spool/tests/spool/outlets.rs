use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use decnet_spool::{
    Position, SpoolError, Writer,
    outlet::{Inlet, MAX_LINE, Outlet},
};

use super::*;

/// More than is read of an outlet at once.
const TURN: usize = 300 << 10;

struct Host {
    _root: tempfile::TempDir,
    spool: PathBuf,
    outlets: PathBuf,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            spool: root.path().join("spool"),
            outlets: root.path().join("outlets"),
            _root: root,
        }
    }

    fn writer(&self) -> Writer {
        Writer::open(&self.spool, options()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        read_all(&self.spool, Position::START)
    }
}

/// Pump until there is nothing to do: once more after all is taken, when finished outlets are seen to be.
fn settle(inlet: &mut Inlet, writer: &mut Writer) {
    while inlet.pump(writer).unwrap() {}
    inlet.pump(writer).unwrap();
}

#[test]
fn lines_of_all_outlets_arrive_once() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    settle(&mut inlet, &mut writer);
    let mut web = Outlet::create(&host.outlets, "web-01").unwrap();
    let mut db = Outlet::create(&host.outlets, "db-01").unwrap();
    web.append(b"a").unwrap();
    db.append(b"b\n").unwrap();
    settle(&mut inlet, &mut writer);
    web.append(b"c").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["b", "a", "c"]);
    assert_eq!(inlet.totals().lines, 3);

    // A new collector goes on where the old one was.
    drop(writer);
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines().len(), 3);
}

#[test]
fn a_torn_line_waits_while_its_writer_lives_and_is_taken_as_it_is_after() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    let mut file = outlet.into_file();
    file.write_all(b"whole\nto").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["whole"]);
    file.write_all(b"rn\nhal").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["whole", "torn"]);
    assert_eq!(inlet.totals().torn_lines, 0);
    drop(file);
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["whole", "torn", "hal"]);
    assert_eq!((inlet.totals().torn_lines, inlet.totals().removed_files), (1, 1));
}

#[test]
fn an_outlet_lives_as_long_as_the_child_that_writes_to_it_and_no_longer() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    let path = outlet.path().to_owned();
    let mut child = Command::new("sh")
        .args(["-c", "echo one; read go; echo two"])
        .stdin(Stdio::piped())
        .stdout(outlet.into_file())
        .spawn()
        .unwrap();
    // A successor beside it does not end it.
    let mut successor = Outlet::create(&host.outlets, "web-01").unwrap();
    successor.append(b"from the successor").unwrap();
    while host.lines().len() < 2 {
        settle(&mut inlet, &mut writer);
    }
    assert!(path.exists(), "its writer is not gone");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    settle(&mut inlet, &mut writer);
    let mut lines = host.lines();
    lines.sort();
    assert_eq!(lines, ["from the successor", "one", "two"]);
    assert!(!path.exists());
    assert!(successor.path().exists());

    // Nothing of it stays in the marks.
    successor.append(b"more").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(writer.marked_sources().count(), 1);
}

#[test]
fn a_line_that_is_too_long_is_cut_within_no_character_and_counted() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let mut outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    let exact = "x".repeat(MAX_LINE);
    let over = format!("{}éé", "y".repeat(MAX_LINE - 1));
    let far_over = "z".repeat(900_000);
    for line in [exact.as_str(), &over, "short", &far_over, "last"] {
        outlet.append(line.as_bytes()).unwrap();
    }
    settle(&mut inlet, &mut writer);
    let lines = host.lines();
    assert_eq!(lines[0], exact);
    assert_eq!(lines[1], "y".repeat(MAX_LINE - 1));
    assert_eq!(lines[2], "short");
    assert_eq!(lines[3], "z".repeat(MAX_LINE));
    assert_eq!(lines[4], "last");
    assert_eq!(inlet.totals().cut_lines, 2);

    // One without an end yet is neither taken in pieces nor lost.
    let mut file = outlet.into_file();
    file.write_all(&vec![b'w'; 300_000]).unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines().len(), 5);
    file.write_all(&vec![b'w'; 300_000]).unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines().len(), 5);
    drop(file);
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines()[5], "w".repeat(MAX_LINE));
    assert_eq!((inlet.totals().cut_lines, inlet.totals().torn_lines), (3, 1));
}

#[test]
fn disk_blocks_of_what_was_taken_are_given_back() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let mut outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    let line = "x".repeat(9_999);
    for _ in 0..300 {
        outlet.append(line.as_bytes()).unwrap();
    }
    settle(&mut inlet, &mut writer);
    let meta = fs::metadata(outlet.path()).unwrap();
    assert_eq!(meta.len(), 3_000_000, "its size stays");
    if inlet.totals().freed_bytes == 0 {
        decnet_testkit::skipped("this file system cannot punch holes");
        return;
    }
    assert!(meta.blocks() * 512 < 400_000, "{} blocks", meta.blocks());
    outlet.append(b"after the hole").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines().len(), 301);
    assert_eq!(host.lines()[300], "after the hole");
}

#[test]
fn a_new_spool_takes_no_holes_for_lines() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let mut outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    for _ in 0..128 {
        outlet.append(&[b'x'; 8191]).unwrap();
    }
    settle(&mut inlet, &mut writer);
    assert_eq!(inlet.totals().freed_bytes % 8192, 0);
    fs::rename(&host.spool, host.spool.with_extension("aside")).unwrap();
    outlet.append(b"after").unwrap();
    assert!(
        matches!(inlet.pump(&mut writer), Err(SpoolError::Damaged { .. })),
        "not written into nowhere"
    );

    let mut writer = host.writer();
    let mut inlet_anew = Inlet::new(&host.outlets);
    settle(&mut inlet_anew, &mut writer);
    let lines = host.lines();
    assert!(lines.iter().all(|line| !line.contains('\0')));
    assert_eq!(lines.len() as u64, 1 + 128 - inlet.totals().freed_bytes / 8192);
    assert_eq!(lines.last().unwrap(), "after");
}

#[test]
fn an_outlet_that_was_cut_is_not_taken_twice() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let mut outlet = Outlet::create(&host.outlets, "web-01").unwrap();
    outlet.append(b"one").unwrap();
    outlet.append(b"two").unwrap();
    settle(&mut inlet, &mut writer);
    fs::OpenOptions::new()
        .write(true)
        .open(outlet.path())
        .unwrap()
        .set_len(4)
        .unwrap();
    settle(&mut inlet, &mut writer);
    outlet.append(b"three").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["one", "two", "three"]);
    assert_eq!(inlet.totals().shrunk_files, 1);
}

#[test]
fn what_is_no_outlet_is_left_alone_and_abandoned_beginnings_are_removed() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let dir = host.outlets.join("web-01");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(host.outlets.join("Not A Source")).unwrap();
    for name in ["notes.txt", "17.log.bak", "x.log"] {
        fs::write(dir.join(name), "not evidence\n").unwrap();
    }
    let secret = host.outlets.join("elsewhere");
    fs::write(&secret, "not evidence either\n").unwrap();
    std::os::unix::fs::symlink(&secret, dir.join("18.log")).unwrap();
    fs::write(dir.join("19.new"), "").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), Vec::<String>::new());
    assert!(dir.join("notes.txt").exists());
    assert!(!dir.join("19.new").exists());
}

#[test]
fn a_source_that_cannot_be_looked_into_keeps_no_other_from_being_found_and_is_told_until_it_can() {
    let host = Host::new();
    let root = host._root.path().to_owned();
    // Root may look into everything, so it is somebody else who looks here, in this thread alone.
    let nobody = 65_534;
    let by_root = nix::unistd::geteuid().is_root();
    if by_root {
        std::os::unix::fs::chown(&root, Some(nobody), Some(nobody)).unwrap();
    }
    let look = || {
        if by_root {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(nobody));
        }
        let mut writer = host.writer();
        let mut inlet = Inlet::new(&host.outlets);
        let closed: Vec<Outlet> = (0..8)
            .map(|n| Outlet::create(&host.outlets, &format!("closed-{n}")).unwrap())
            .collect();
        let set_mode = |mode: u32| {
            for outlet in &closed {
                let folder = outlet.path().parent().unwrap();
                fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        settle(&mut inlet, &mut writer);
        assert_eq!(inlet.failing().count(), 0);
        set_mode(0);
        let mut web = Outlet::create(&host.outlets, "web-01").unwrap();
        web.append(b"found").unwrap();
        settle(&mut inlet, &mut writer);
        assert_eq!(host.lines(), ["found"]);
        let told: Vec<String> = inlet.failing().collect();
        assert_eq!(told.len(), closed.len(), "{told:?}");
        assert!(
            told[0].starts_with("cannot list the outlets of closed-0: Permission denied"),
            "{told:?}"
        );
        set_mode(0o700);
        settle(&mut inlet, &mut writer);
        assert_eq!(inlet.failing().count(), 0);
    };
    std::thread::scope(|scope| scope.spawn(look).join()).unwrap();
}

#[test]
fn outlets_behind_a_link_that_leads_nowhere_for_a_while_are_neither_forgotten_nor_taken_twice() {
    let host = Host::new();
    let (kept, away) = (host._root.path().join("kept"), host._root.path().join("away"));
    fs::create_dir_all(&kept).unwrap();
    fs::create_dir_all(&host.outlets).unwrap();
    std::os::unix::fs::symlink(&kept, host.outlets.join("web-01")).unwrap();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let mut web = Outlet::create(&host.outlets, "web-01").unwrap();
    web.append(b"one").unwrap();
    settle(&mut inlet, &mut writer);

    fs::rename(&kept, &away).unwrap();
    let mut db = Outlet::create(&host.outlets, "db-01").unwrap();
    db.append(b"meanwhile").unwrap();
    assert_eq!(inlet.failing().count(), 0);
    settle(&mut inlet, &mut writer);
    let told: Vec<String> = inlet.failing().collect();
    assert!(
        told.len() == 1 && told[0].contains("web-01") && told[0].contains("leads to"),
        "{told:?}"
    );
    // Nor does a new collector forget them.
    drop(writer);
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    settle(&mut inlet, &mut writer);

    web.append(b"two").unwrap();
    fs::rename(&away, &kept).unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(host.lines(), ["one", "meanwhile", "two"]);
    assert_eq!(inlet.failing().count(), 0);

    // What is gone with its link is forgotten.
    fs::remove_file(host.outlets.join("web-01")).unwrap();
    db.append(b"after").unwrap();
    settle(&mut inlet, &mut writer);
    assert_eq!(writer.marked_sources().count(), 1);
}

#[test]
fn a_decky_speaks_for_itself_alone_and_what_it_says_in_anothers_name_is_kept_as_no_line_of_its() {
    let host = Host::new();
    let mut writer = host.writer();
    let mut inlet = Inlet::new(&host.outlets);
    let line = |of: &str| format!("<134>1 2026-01-02T03:04:05Z {of} ssh - auth_attempt - hello");
    let said = [line("web-01"), line("db-01"), line("-"), "<134>1 torn".to_owned()];
    for source in ["web-01", "_mutator"] {
        let mut outlet = Outlet::create(&host.outlets, source).unwrap();
        for said in &said {
            outlet.append(said.as_bytes()).unwrap();
        }
        // The last one without an end, and one that is too long.
        let mut file = outlet.into_file();
        let long = format!("{}{}\n", line("db-01"), "x".repeat(TURN));
        file.write_all((long + &line("mail-01")).as_bytes()).unwrap();
        drop(file);
        settle(&mut inlet, &mut writer);
    }
    let lines = host.lines();
    let (decky, worker) = lines.split_at(6);
    let foreign = |line: &str| format!("outlet of web-01: {line}");
    assert_eq!(
        decky[..4],
        [
            line("web-01"),
            foreign(&line("db-01")),
            foreign(&line("-")),
            said[3].clone()
        ]
    );
    assert!(decky[4].starts_with(&foreign(&line("db-01"))) && decky[4].len() == MAX_LINE);
    assert_eq!(decky[5], foreign(&line("mail-01")));
    assert_eq!(worker[..4], said);
    assert_eq!(worker[5], line("mail-01"));
    assert_eq!(inlet.totals().foreign_lines, 4);
}

#[test]
fn outlets_of_one_source_have_ascending_names_and_hostile_names_are_refused() {
    let host = Host::new();
    let outlets: Vec<_> = (0..20)
        .map(|_| Outlet::create(&host.outlets, "web-01").unwrap())
        .collect();
    let paths: Vec<_> = outlets.iter().map(|o| o.path().to_owned()).collect();
    assert!(paths.is_sorted());
    for bad in ["", "..", ".hidden", "a/b", "A", "a\nb"] {
        assert!(
            matches!(Outlet::create(&host.outlets, bad), Err(SpoolError::Name(_))),
            "{bad:?}"
        );
    }
}
