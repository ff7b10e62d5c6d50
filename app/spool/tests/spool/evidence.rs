use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use decnet_spool::{
    FaultKind, Segment, SpoolError, Writer, acknowledge, export, is_evidence, segments, verify,
};
use proptest::prelude::*;
use time::Duration;

use super::*;

/// A spool of three closed segments of ten lines each and an open one; gives the number of the first.
fn sealed_spool(dir: &Path) -> u64 {
    let mut writer = Writer::open(dir, options()).unwrap();
    let first = writer.position().segment;
    for segment in 0..3 {
        write(
            &mut writer,
            (0..10).map(|n| format!("segment {segment} line {n}")),
        );
        writer.rotate().unwrap();
    }
    write(&mut writer, ["open line"]);
    first
}

fn log(dir: &Path, segment: u64) -> std::path::PathBuf {
    dir.join(format!("{segment:010}.log"))
}

fn fault(dir: &Path) -> (u64, FaultKind) {
    let fault = verify(dir).unwrap().fault.expect("a fault is found");
    (fault.segment.expect("a segment's"), fault.kind)
}

#[test]
fn an_untouched_spool_verifies_and_tells_its_root() {
    let dir = tempfile::tempdir().unwrap();
    sealed_spool(dir.path());
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.fault, None);
    assert_eq!((report.segments, report.lines), (4, 31));
    assert!(report.root.is_some());
}

#[test]
fn segments_are_listed_with_what_is_in_them_and_one_of_which_nothing_tells_is_listed_too() {
    let dir = tempfile::tempdir().unwrap();
    let first = sealed_spool(dir.path());
    let listed = |n: u64, lines, bytes, sealed| Segment {
        number: first + n,
        lines,
        bytes,
        sealed,
    };
    let whole = |n| listed(n, Some(10), 170, true);
    let open = listed(3, Some(1), 10, false);
    assert_eq!(
        segments(dir.path()).unwrap(),
        [whole(0), whole(1), whole(2), open]
    );

    fs::remove_file(dir.path().join(format!("{:010}.seal", first + 1))).unwrap();
    fs::write(dir.path().join(format!("{:010}.seal", first + 2)), "no seal").unwrap();
    // The writer makes the log first, and what tells of it then.
    fs::write(log(dir.path(), first + 4), "").unwrap();
    let untold = |n| listed(n, None, 170, false);
    assert_eq!(
        segments(dir.path()).unwrap(),
        [whole(0), untold(1), untold(2), open]
    );
}

/// Change, cut or insert line number `line` (from 0) of a log, and say what that is.
fn alter(path: &Path, line: usize, act: u8, byte: usize) -> FaultKind {
    let mut lines: Vec<Vec<u8>> = fs::read(path)
        .unwrap()
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let at = line as u64 + 1;
    let kind = match act {
        0 => {
            lines[line][byte] ^= 1;
            FaultKind::LineChanged(at)
        }
        1 => {
            lines.remove(line);
            FaultKind::LineCut(at)
        }
        _ => {
            lines.insert(line, b"forged\n".to_vec());
            FaultKind::LineInserted(at)
        }
    };
    fs::write(path, lines.concat()).unwrap();
    kind
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn verifying_names_the_line_that_was_changed_cut_or_inserted(
        segment in 0_u64..3,
        line in 0_usize..10,
        act in 0_u8..3,
        byte in 0_usize..10,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let first = sealed_spool(dir.path());
        let want = alter(&log(dir.path(), first + segment), line, act, byte);
        prop_assert_eq!(fault(dir.path()), (first + segment, want));
    }

    /// The newest segment has no seal: its journal tells, whatever commits the lines came in, also beside lines that are
    /// in the middle of theirs, and what it told stays told when the segment is sealed and when it is exported.
    #[test]
    fn verifying_names_the_line_in_the_segment_that_is_being_written(
        commits in prop::collection::vec(1_usize..6, 1..6),
        in_flight in 0_usize..3,
        line in any::<prop::sample::Index>(),
        act in 0_u8..3,
        byte in 0_usize..6,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), options()).unwrap();
        let segment = writer.position().segment;
        let mut count = 0;
        for lines in commits {
            for _ in 0..lines {
                writer.append(format!("line {count}").as_bytes()).unwrap();
                count += 1;
            }
            writer.commit().unwrap();
        }
        let path = log(dir.path(), segment);
        let line = line.index(count);
        // A last line that is gone while others follow it cannot be told from one that was changed.
        let in_flight = if act == 1 && line + 1 == count { 0 } else { in_flight };
        let kind = alter(&path, line, act, byte);
        let whole = fs::read(&path).unwrap();
        let beside = (0..in_flight).map(|n| format!("in flight {n}\n")).collect::<String>();
        fs::write(&path, [whole.as_slice(), beside.as_bytes()].concat()).unwrap();
        prop_assert_eq!(fault(dir.path()), (segment, kind));

        fs::write(&path, whole).unwrap();
        drop(writer);
        let writer = Writer::open(dir.path(), options()).unwrap();
        prop_assert!(writer.recovery().altered);
        let seal = dir.path().join(format!("{segment:010}.seal"));
        prop_assert!(seal.exists());
        prop_assert_eq!(fault(dir.path()), (segment, kind));
        let bundle = tempfile::tempdir().unwrap();
        let bundle = bundle.path().join("bundle");
        let exported = export(dir.path(), time::OffsetDateTime::UNIX_EPOCH, datetime!(2100-01-01 0:00 UTC), &bundle).unwrap();
        prop_assert_eq!(fault(&bundle), (segment, kind));
        prop_assert_eq!(exported.fault.map(|fault| fault.kind), Some(kind), "it says so itself");
    }
}

#[test]
fn a_clock_that_is_put_back_takes_no_line_out_of_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let start = datetime!(2026-03-01 12:00 UTC);
    let clock = Arc::new(ManualClock::new(start));
    let with_clock = || Options {
        clock: clock.clone(),
        ..options()
    };
    let mut writer = Writer::open(dir.path(), with_clock()).unwrap();
    write(&mut writer, ["at noon"]);
    clock.advance(Duration::hours(-1));
    write(&mut writer, ["at eleven"]);
    clock.advance(Duration::minutes(30));
    write(&mut writer, ["at half past"]);
    let exported = |from: time::OffsetDateTime, name: &str| {
        let out = tempfile::tempdir().unwrap();
        let bundle = export(
            dir.path(),
            from,
            from + Duration::minutes(5),
            &out.path().join(name),
        )
        .unwrap()
        .bundle;
        assert_eq!(verify(&out.path().join(name)).unwrap().fault, None);
        bundle.segments.iter().map(|s| s.lines).sum::<u64>()
    };
    let whole =
        [start, start - Duration::hours(1), start - Duration::minutes(30)].map(|at| exported(at, "open"));
    assert_eq!(whole, [3, 3, 3]);
    // The journal and the seal know the same.
    drop(writer);
    let mut writer = Writer::open(dir.path(), with_clock()).unwrap();
    writer.rotate().unwrap();
    let whole =
        [start, start - Duration::hours(1), start - Duration::minutes(30)].map(|at| exported(at, "sealed"));
    assert_eq!(whole, [3, 3, 3]);
    assert_eq!(exported(start + Duration::hours(1), "later"), 0);
    assert_eq!(verify(dir.path()).unwrap().fault, None);
}

#[test]
fn a_clock_that_jumps_ahead_and_back_leaves_no_gap_in_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let start = datetime!(2026-03-01 12:00 UTC);
    let clock = Arc::new(ManualClock::new(start));
    let with_clock = Options {
        clock: clock.clone(),
        ..options()
    };
    let mut writer = Writer::open(dir.path(), with_clock).unwrap();
    let first = writer.position().segment;
    // A segment each: on the day, two of a clock that is 40 days ahead, one of a clock that is 10 days behind, the day again.
    write(&mut writer, ["on the day"]);
    for days in [40, 0, -50, 10] {
        clock.advance(Duration::days(days) + Duration::minutes(1));
        writer.rotate().unwrap();
        write(&mut writer, [format!("after a jump of {days} days")]);
    }
    let day = Duration::days(1);
    let exported = |from: time::OffsetDateTime, until: time::OffsetDateTime| {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("bundle");
        let exported = export(dir.path(), from, until, &out).unwrap();
        assert_eq!(exported.fault, None);
        let verified = verify(&out).unwrap();
        assert_eq!(
            (verified.fault, verified.proof),
            (None, Some(exported.bundle.proof))
        );
        let segments = exported.bundle.segments.iter();
        segments.map(|s| s.segment - first).collect::<Vec<_>>()
    };
    assert_eq!(exported(start, start + day), [0, 1, 2, 3, 4]);
    assert_eq!(exported(start + day, start + day * 50), [1, 2]);
    assert_eq!(exported(start - day * 20, start), [3]);
    assert_eq!(exported(start - day * 20, start + day), [0, 1, 2, 3, 4]);
    assert_eq!(exported(start + day, start + day * 2), [0; 0]);

    // What is missing in the spool itself is told by the export.
    for extension in ["log", "seal"] {
        fs::remove_file(dir.path().join(format!("{:010}.{extension}", first + 2))).unwrap();
    }
    let out = dir.path().join("of-what-is-left");
    let told = export(dir.path(), start, start + day, &out)
        .unwrap()
        .fault
        .unwrap();
    assert_eq!(
        (told.segment, told.kind),
        (Some(first + 2), FaultKind::SegmentMissing)
    );
}

#[test]
fn a_forged_line_with_a_forged_seal_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let first = sealed_spool(dir.path());

    // The digests of the seal are made to fit the changed line: the root does not.
    let other = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(other.path(), options()).unwrap();
    assert_eq!(writer.position().segment, first);
    write(
        &mut writer,
        (0..10).map(|n| format!("segment 0 line {}", if n == 4 { 44 } else { n })),
    );
    writer.rotate().unwrap();
    let seal = format!("{first:010}.seal");
    let forged = fs::read_to_string(other.path().join(&seal)).unwrap();
    let genuine = fs::read_to_string(dir.path().join(&seal)).unwrap();
    fs::copy(log(other.path(), first), log(dir.path(), first)).unwrap();

    let (head, _) = genuine.split_once("\n\n").unwrap();
    let (_, digests) = forged.split_once("\n\n").unwrap();
    fs::write(dir.path().join(&seal), format!("{head}\n\n{digests}")).unwrap();
    assert_eq!(fault(dir.path()), (first, FaultKind::SealChanged));

    // A whole new seal: the next segment does not follow it.
    fs::write(dir.path().join(&seal), forged).unwrap();
    assert_eq!(fault(dir.path()), (first + 1, FaultKind::ChainBroken));
}

#[test]
fn a_missing_segment_or_seal_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = sealed_spool(dir.path());
    let seal = dir.path().join(format!("{:010}.seal", first + 1));
    let kept = fs::read(&seal).unwrap();
    fs::remove_file(&seal).unwrap();
    assert_eq!(fault(dir.path()), (first + 1, FaultKind::SealMissing));
    fs::write(&seal, kept).unwrap();
    fs::remove_file(log(dir.path(), first + 1)).unwrap();
    assert_eq!(fault(dir.path()), (first + 1, FaultKind::SegmentMissing));
    fs::remove_file(&seal).unwrap();
    assert_eq!(fault(dir.path()), (first + 1, FaultKind::SegmentMissing));
}

/// A spool of one open segment that holds two lines of four bytes; gives its number.
fn open_spool(dir: &Path) -> (Writer, u64) {
    let mut writer = Writer::open(dir, options()).unwrap();
    write(&mut writer, ["one", "two"]);
    let segment = writer.position().segment;
    (writer, segment)
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_was_appended_behind_the_last_commit_is_told_with_and_without_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, segment) = open_spool(dir.path());
    append(&log(dir.path(), segment), "forged\n");
    let kind = FaultKind::BytesBehind { offset: 8, bytes: 7 };
    assert_eq!(fault(dir.path()), (segment, kind), "the writer has it");
    drop(writer);
    assert_eq!(fault(dir.path()), (segment, kind), "nobody has it");
    let told = verify(dir.path()).unwrap().fault.unwrap().to_string();
    assert!(
        told.contains(&format!("{segment:010}.log), from byte 8 on: 7 bytes")),
        "{told}"
    );
    drop(Writer::open(dir.path(), options()).unwrap());
    assert_eq!(verify(dir.path()).unwrap().fault, None, "a writer cuts it off");
}

/// The writer's own lines are behind its last commit until it commits them.
#[test]
fn a_writer_at_work_is_not_taken_for_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open_spool(dir.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                write(&mut writer, [format!("line {n}")]);
                n += 1;
                if n % 100 == 0 {
                    writer.rotate().unwrap();
                }
            }
        });
        let found: Vec<_> = (0..100).map(|_| verify(dir.path())).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for found in found {
            assert_eq!(found.unwrap().fault, None);
        }
    });
    // What a commit in the middle of it looks like: the lines are there, and the journal follows.
    let segment = writer.position().segment;
    let journal = dir.path().join(format!("{segment:010}.journal"));
    write(&mut writer, ["before"]);
    let before = fs::read(&journal).unwrap();
    write(&mut writer, ["slow"]);
    let after = fs::read(&journal).unwrap();
    fs::write(&journal, before).unwrap();
    fs::remove_file(dir.path().join("committed")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            fs::write(dir.path().join("next"), after).unwrap();
            fs::rename(dir.path().join("next"), &journal).unwrap();
        });
        assert_eq!(verify(dir.path()).unwrap().fault, None);
    });
}

#[test]
fn a_spool_whose_segments_were_all_removed_is_told() {
    let removed = |extensions: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let first = sealed_spool(dir.path());
        for segment in first..first + 4 {
            for extension in extensions {
                let _not_of_every_segment =
                    fs::remove_file(dir.path().join(format!("{segment:010}.{extension}")));
            }
        }
        let (segment, kind) = fault(dir.path());
        (segment - first, kind, dir)
    };
    for (extensions, segment) in [
        (["log"].as_slice(), 0),
        (&["log", "seal"], 3),
        (&["log", "seal", "journal"], 3),
    ] {
        let (at, kind, _) = removed(extensions);
        assert_eq!((at, kind), (segment, FaultKind::SegmentMissing), "{extensions:?}");
    }
    // Also where what the writer told is gone, and a reader's position is left.
    let (_, _, dir) = removed(&["log", "seal", "journal"]);
    fs::remove_file(dir.path().join("committed")).unwrap();
    assert_eq!(
        verify(dir.path()).unwrap().fault,
        None,
        "nothing says that there was anything"
    );
    acknowledge(
        dir.path(),
        "ingester",
        Position {
            segment: 77,
            offset: 5,
        },
    )
    .unwrap();
    assert_eq!(fault(dir.path()), (77, FaultKind::SegmentMissing));
}

#[test]
fn lines_that_were_cut_off_together_with_their_journal_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    let segment = writer.position().segment;
    write(&mut writer, ["one"]);
    let journal = dir.path().join(format!("{segment:010}.journal"));
    let before = fs::read(&journal).unwrap();
    write(&mut writer, ["two"]);
    drop(writer);
    fs::write(&journal, before).unwrap();
    fs::write(log(dir.path(), segment), "one\n").unwrap();
    assert_eq!(fault(dir.path()), (segment, FaultKind::LineCut(2)));
}

#[test]
fn another_interval_or_another_word_of_a_bundles_manifest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = sealed_spool(dir.path());
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("bundle");
    let (since, until) = (datetime!(2026-03-01 10:30 UTC), datetime!(2026-03-02 0:00 UTC));
    let bundle = export(dir.path(), since, until, &out).unwrap().bundle;
    let manifest = out.join("manifest.json");
    let made = fs::read_to_string(&manifest).unwrap();
    for (word, other) in [
        ("2026-03-01T10:30:00Z", "2026-01-01T00:00:00Z"),
        ("2026-03-02T00:00:00Z", "2026-03-01T12:30:00Z"),
        ("\"closed\": false", "\"closed\": true"),
        (&bundle.proof.to_string(), &"0".repeat(64)),
    ] {
        assert!(made.contains(word), "{word}: {made}");
        fs::write(&manifest, made.replace(word, other)).unwrap();
        let fault = verify(&out).unwrap().fault.unwrap();
        assert_eq!(
            (fault.segment, fault.kind),
            (None, FaultKind::ManifestChanged),
            "{word}"
        );
        assert!(fault.to_string().starts_with("manifest.json: changed"), "{fault}");
    }
    fs::write(&manifest, &made).unwrap();
    assert!(is_evidence(&out) && is_evidence(dir.path()));
    assert_eq!(verify(&out).unwrap().proof, Some(bundle.proof));
    // A good segment of the same spool that the interval did not bring.
    let mut other = Writer::open(dir.path(), options()).unwrap();
    other.rotate().unwrap();
    write(&mut other, ["later"]);
    other.rotate().unwrap();
    for extension in ["log", "seal"] {
        let name = format!("{:010}.{extension}", first + 4);
        fs::copy(dir.path().join(&name), out.join(&name)).unwrap();
    }
    let fault = verify(&out).unwrap().fault.unwrap();
    assert_eq!(fault.kind, FaultKind::ManifestChanged);
    // Without its manifest nothing says what it had, as in any other folder.
    fs::remove_file(&manifest).unwrap();
    let empty = tempfile::tempdir().unwrap();
    for folder in [&*out, empty.path()] {
        assert!(!is_evidence(folder), "{}", folder.display());
    }
}

#[test]
fn a_bundle_holds_the_range_and_verifies_on_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let start = datetime!(2026-03-01 12:00 UTC);
    let clock = Arc::new(ManualClock::new(start));
    let options = Options {
        clock: clock.clone(),
        ..options()
    };
    let mut writer = Writer::open(dir.path(), options).unwrap();
    let first = writer.position().segment;
    for hour in 0..5 {
        write(&mut writer, (0..3).map(|n| format!("hour {hour} line {n}")));
        clock.advance(Duration::hours(1));
        if hour < 4 {
            writer.rotate().unwrap();
        }
    }

    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("bundle");
    let bundle = export(
        dir.path(),
        start + Duration::hours(2),
        start + Duration::hours(9),
        &out,
    )
    .unwrap()
    .bundle;
    let numbers: Vec<_> = bundle
        .segments
        .iter()
        .map(|s| (s.segment - first, s.closed))
        .collect();
    assert_eq!(numbers, [(2, true), (3, true), (4, false)]);
    let report = verify(&out).unwrap();
    assert_eq!((report.fault, report.lines), (None, 9));
    assert_eq!(report.proof, Some(bundle.proof));
    assert_eq!(
        fs::read_to_string(log(&out, first + 3)).unwrap(),
        "hour 3 line 0\nhour 3 line 1\nhour 3 line 2\n"
    );
    assert!(matches!(
        export(dir.path(), start, start + Duration::hours(1), &out),
        Err(SpoolError::Exists(_))
    ));
    let nothing = out.with_file_name("nothing");
    for until in [start, start - Duration::hours(1)] {
        let refused = export(dir.path(), start, until, &nothing);
        assert!(matches!(refused, Err(SpoolError::Interval { .. })), "{refused:?}");
        assert!(!nothing.exists());
    }

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&out), 0o700);
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }

    // The last segment taken out whole: the manifest misses it.
    for extension in ["log", "seal"] {
        fs::remove_file(out.join(format!("{:010}.{extension}", first + 4))).unwrap();
    }
    assert_eq!(fault(&out), (first + 4, FaultKind::SegmentMissing));
    fs::write(
        log(&out, first + 2),
        "hour 2 line 0\nhour 2 line 1\nhour 2 line X\n",
    )
    .unwrap();
    assert_eq!(fault(&out), (first + 2, FaultKind::LineChanged(3)));
}
