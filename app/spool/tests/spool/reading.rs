use std::{collections::BTreeSet, thread};

use decnet_spool::{Arrivals, Gap, Options, Position, Reader, SpoolError, Writer, acknowledge, forget};

use super::*;

#[test]
fn lines_are_there_after_the_commit_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    let mut reader = Reader::open(dir.path(), Position::START);
    writer.append(b"one").unwrap();
    writer.append(b"two\n").unwrap();
    assert_eq!(drain(&mut reader).unwrap(), Vec::<String>::new());
    let end = writer.commit().unwrap();
    assert_eq!(drain(&mut reader).unwrap(), ["one", "two"]);
    assert_eq!(reader.position(), end);
    assert_eq!(reader.lag_bytes().unwrap(), 0);
    // Readable with tail and grep.
    let log = dir.path().join(format!("{:010}.log", end.segment));
    assert_eq!(std::fs::read(log).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_line_with_a_line_break_inside_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    assert!(matches!(writer.append(b"a\nb"), Err(SpoolError::LineBreak)));
    assert_eq!(writer.pending_bytes(), 0);
}

#[test]
fn every_line_end_is_a_position_from_which_the_rest_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), small_segments(40)).unwrap();
    let lines: Vec<_> = (0..30).map(|n| format!("line {n}")).collect();
    write(&mut writer, &lines);
    let mut reader = Reader::open(dir.path(), Position::START);
    let mut seen = 0;
    loop {
        let batch = reader.next_batch(1, usize::MAX).unwrap();
        let Some(line) = batch.first() else { break };
        seen += 1;
        assert_eq!(read_all(dir.path(), line.end), lines[seen..]);
    }
    assert_eq!(seen, 30);
}

#[test]
fn a_batch_keeps_its_limits_but_for_a_single_longer_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    let long = "x".repeat(700_000);
    write(&mut writer, ["a", "b", "c", &long, "d"]);
    let mut reader = Reader::open(dir.path(), Position::START);
    assert_eq!(reader.next_batch(2, 100).unwrap().len(), 2);
    assert_eq!(reader.next_batch(9, 3).unwrap().len(), 1);
    assert_eq!(reader.next_batch(9, 3).unwrap()[0].bytes.len(), long.len());
    assert_eq!(reader.next_batch(9, 3).unwrap()[0].bytes, b"d");
}

#[test]
fn readers_beside_a_rotating_writer_see_every_line_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), small_segments(500)).unwrap();
    let total = 1500;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut reader = Reader::open(dir.path(), Position::START);
                let mut next = 0;
                while next < total {
                    for line in reader.next_batch(50, 4000).unwrap() {
                        assert_eq!(line.bytes, format!("line {next}").as_bytes());
                        next += 1;
                    }
                    thread::yield_now();
                }
            });
        }
        for chunk in (0..total).collect::<Vec<_>>().chunks(7) {
            for n in chunk {
                writer.append(format!("line {n}").as_bytes()).unwrap();
            }
            writer.commit().unwrap();
        }
    });
    assert!(writer.position().segment > 1_772_000_000 + 10, "it rotated");
}

fn logs(dir: &Path) -> BTreeSet<String> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".log"))
        .collect()
}

#[test]
fn segments_are_dropped_only_when_every_registered_reader_is_past_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        total_bytes: 1000,
        hard_bytes: 1 << 30,
        ..small_segments(200)
    };
    let mut writer = Writer::open(dir.path(), options).unwrap();
    write(&mut writer, (0..100).map(|n| format!("line number {n}")));
    let before = logs(dir.path());
    assert_eq!(
        writer.dropped().read_segments,
        0,
        "nobody has registered: nothing was read"
    );

    let mut fast = Reader::open(dir.path(), Position::START);
    drain(&mut fast).unwrap();
    acknowledge(dir.path(), "fast", fast.position()).unwrap();
    acknowledge(dir.path(), "slow", Position::START).unwrap();
    writer.maintain().unwrap();
    assert_eq!(logs(dir.path()), before, "the slow reader keeps them");

    forget(dir.path(), "slow").unwrap();
    writer.maintain().unwrap();
    assert!(logs(dir.path()).len() < before.len());
    assert_eq!(writer.dropped().unread_segments, 0);
    assert!(decnet_spool::verify(dir.path()).unwrap().fault.is_none());

    // What somebody else takes away from the same end was not dropped.
    let mut left: Vec<_> = logs(dir.path()).into_iter().collect();
    left.sort();
    let oldest: u64 = left[0].trim_end_matches(".log").parse().unwrap();
    for extension in ["log", "seal", "journal"] {
        let file = dir.path().join(format!("{oldest:010}.{extension}"));
        // It is either sealed or about to be.
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let fault = decnet_spool::verify(dir.path()).unwrap().fault.unwrap();
    assert_eq!(
        (fault.segment, fault.kind),
        (Some(oldest), decnet_spool::FaultKind::SegmentMissing)
    );
}

#[test]
fn when_a_line_arrived_is_known_to_the_commit_and_of_a_sealed_one_to_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(datetime!(1970-01-01 00:16:40 UTC)));
    let options = Options {
        clock: clock.clone(),
        ..options()
    };
    let mut writer = Writer::open(dir.path(), options).unwrap();
    let mut commit = |seconds| {
        clock.advance(time::Duration::seconds(seconds));
        writer.append(b"a line").unwrap();
        writer.commit().unwrap();
        writer.position()
    };
    let (first, second) = (commit(1), commit(1));
    let mut arrivals = Arrivals::of(dir.path());
    let second_of = |s: i64| Some((s * 1_000_000, s * 1_000_000));
    assert_eq!(arrivals.between(first), second_of(1_001));
    assert_eq!(arrivals.between(second), second_of(1_002));
    // It came after the first look, and waited until somebody asked.
    let (third, fourth) = (commit(1), commit(7));
    assert_eq!(arrivals.between(third), second_of(1_003));
    assert_eq!(arrivals.between(fourth), second_of(1_010));
    assert_eq!(
        arrivals.between(first),
        second_of(1_001),
        "a reader that went back"
    );
    let beyond = Position {
        offset: fourth.offset + 1,
        ..fourth
    };
    assert_eq!(arrivals.between(beyond), None, "no commit has it");

    let last = commit(1);
    writer.rotate().unwrap();
    writer.maintain().unwrap();
    assert_eq!(
        arrivals.between(last),
        second_of(1_011),
        "its journal is gone by now"
    );
    arrivals.forget();
    let (from, to) = arrivals.between(first).unwrap();
    assert!(from <= 1_001_000_000 && to == 1_011_000_000, "{from} {to}");
    assert_eq!(
        arrivals.between(Position {
            segment: 7,
            offset: 7
        }),
        None
    );
}

#[test]
fn past_the_hard_cap_unread_segments_go_and_the_reader_is_told_of_the_gap_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        total_bytes: 1000,
        hard_bytes: 2000,
        ..small_segments(200)
    };
    let mut writer = Writer::open(dir.path(), options).unwrap();
    acknowledge(dir.path(), "slow", Position::START).unwrap();
    let mut reader = Reader::open(dir.path(), Position::START);
    write(&mut writer, ["line number 0"]);
    let first = reader.next_batch(1, 100).unwrap();
    write(&mut writer, (1..100).map(|n| format!("line number {n}")));
    assert!(writer.dropped().unread_segments > 0);

    let stored = first[0].end;
    let mut reader = Reader::open(dir.path(), stored);
    let Err(SpoolError::Gap(Gap { from, to })) = reader.next_batch(1, 100) else {
        panic!("a gap is told");
    };
    assert_eq!(from, stored);
    assert!(to.segment > stored.segment);
    let rest = drain(&mut reader).unwrap();
    assert_eq!(rest.last().unwrap(), "line number 99");
    assert!(rest.len() < 99);
}

#[test]
fn a_reader_finishes_a_segment_that_is_removed_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    write(&mut writer, ["a", "b"]);
    let mut reader = Reader::open(dir.path(), Position::START);
    let first = reader.next_batch(1, 100).unwrap()[0].end;
    writer.rotate().unwrap();
    write(&mut writer, ["c"]);
    std::fs::remove_file(dir.path().join(format!("{:010}.log", first.segment))).unwrap();
    assert_eq!(drain(&mut reader).unwrap(), ["b", "c"]);
}

#[test]
fn a_position_of_a_spool_that_was_wiped_since_is_a_gap_and_not_the_new_lines_unread() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    write(&mut writer, ["old one", "old two"]);
    let stored = writer.position();
    drop(writer);

    let wiped = tempfile::tempdir().unwrap();
    let later = Options {
        clock: Arc::new(ManualClock::new(datetime!(2026-03-01 12:30 UTC))),
        ..options()
    };
    let mut writer = Writer::open(wiped.path(), later).unwrap();
    write(&mut writer, ["new one"]);
    let mut reader = Reader::open(wiped.path(), stored);
    assert!(matches!(reader.next_batch(9, 999), Err(SpoolError::Gap(_))));
    assert_eq!(drain(&mut reader).unwrap(), ["new one"]);

    let mut ahead = Reader::open(dir.path(), writer.position());
    assert!(matches!(ahead.next_batch(9, 999), Err(SpoolError::Ahead { .. })));
}

#[test]
fn lag_counts_what_is_unread_over_all_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), small_segments(20)).unwrap();
    let mut reader = Reader::open(dir.path(), Position::START);
    write(&mut writer, ["123456789"; 7]);
    assert_eq!(reader.lag_bytes().unwrap(), 70);
    reader.next_batch(3, 999).unwrap();
    reader.next_batch(1, 999).unwrap();
    assert_eq!(reader.lag_bytes().unwrap(), 40);
}

#[test]
fn a_second_writer_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _writer = Writer::open(dir.path(), options()).unwrap();
    let Err(SpoolError::Locked { pid, .. }) = Writer::open(dir.path(), options()) else {
        panic!("one writer a folder");
    };
    assert_eq!(pid, std::process::id().to_string());
}

#[test]
fn an_old_segment_is_closed_even_when_no_line_comes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(datetime!(2026-03-01 12:00 UTC)));
    let options = Options {
        clock: clock.clone(),
        ..options()
    };
    let mut writer = Writer::open(dir.path(), options).unwrap();
    write(&mut writer, ["a"]);
    let before = writer.position().segment;
    clock.advance(time::Duration::hours(-5));
    writer.maintain().unwrap();
    assert_eq!(
        writer.position().segment,
        before,
        "a clock that jumps back closes nothing"
    );
    clock.advance(time::Duration::hours(30));
    writer.maintain().unwrap();
    assert_eq!(writer.position().segment, before + 1);
    writer.maintain().unwrap();
    assert_eq!(
        writer.position().segment,
        before + 1,
        "an empty one is not closed"
    );

    // The clock was a year ahead and was put right: nobody waits a year for the age of a segment that began then.
    clock.advance(time::Duration::days(365));
    write(&mut writer, ["b"]);
    writer.rotate().unwrap();
    write(&mut writer, ["c"]);
    assert_eq!(writer.position().segment, before + 2);
    clock.advance(time::Duration::days(-365));
    writer.maintain().unwrap();
    assert_eq!(writer.position().segment, before + 3);
}
