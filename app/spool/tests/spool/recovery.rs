use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use decnet_spool::{FaultKind, Position, SpoolError, Writer, verify};
use proptest::prelude::*;

use super::*;

fn file(dir: &Path, segment: u64, extension: &str) -> PathBuf {
    dir.join(format!("{segment:010}.{extension}"))
}

fn append_raw(path: &Path, bytes: &[u8]) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

#[test]
fn a_torn_last_line_is_cut_off_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    write(&mut writer, ["one"]);
    let at = writer.position();
    drop(writer);
    append_raw(&file(dir.path(), at.segment, "log"), b"two\nthr");

    let mut writer = Writer::open(dir.path(), options()).unwrap();
    assert_eq!(writer.recovery().cut_bytes, 7);
    assert_eq!(writer.position(), at);
    write(&mut writer, ["three"]);
    assert_eq!(read_all(dir.path(), Position::START), ["one", "three"]);
}

#[test]
fn a_torn_journal_record_is_as_if_its_commit_had_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    writer.mark("web/1.log", 4);
    write(&mut writer, ["one"]);
    let at = writer.position();
    let journal = file(dir.path(), at.segment, "journal");
    let before = fs::read(&journal).unwrap();
    writer.mark("web/1.log", 8);
    write(&mut writer, ["two"]);
    drop(writer);
    let after = fs::read(&journal).unwrap();

    // However much of the second record reached the disk.
    for len in before.len()..after.len() {
        fs::write(&journal, &after[..len]).unwrap();
        fs::write(file(dir.path(), at.segment, "log"), b"one\ntwo\n").unwrap();
        let writer = Writer::open(dir.path(), options()).unwrap();
        assert_eq!(writer.position(), at);
        assert_eq!(writer.marked("web/1.log"), Some(4));
        assert_eq!(writer.recovery().torn_journal_bytes as usize, len - before.len());
        assert_eq!(writer.recovery().cut_bytes, 4);
        assert_eq!(read_all(dir.path(), Position::START), ["one"]);
    }
    fs::write(&journal, &after).unwrap();
    fs::write(file(dir.path(), at.segment, "log"), b"one\ntwo\n").unwrap();
    let writer = Writer::open(dir.path(), options()).unwrap();
    assert_eq!(writer.marked("web/1.log"), Some(8));
    assert_eq!(read_all(dir.path(), Position::START), ["one", "two"]);
}

#[test]
fn marks_survive_rotation_and_forgotten_ones_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    writer.mark("a/1.log", 10);
    writer.mark("b/1.log", 20);
    write(&mut writer, ["one"]);
    writer.rotate().unwrap();
    writer.mark("a/1.log", 11);
    writer.unmark("b/1.log");
    write(&mut writer, ["two"]);
    writer.rotate().unwrap();
    drop(writer);
    let writer = Writer::open(dir.path(), options()).unwrap();
    assert_eq!(writer.marked("a/1.log"), Some(11));
    assert_eq!(writer.marked("b/1.log"), None);
    assert_eq!(writer.marked_sources().collect::<Vec<_>>(), ["a/1.log"]);
}

#[test]
fn a_rotation_that_was_interrupted_anywhere_is_made_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    writer.mark("a/1.log", 7);
    write(&mut writer, ["one"]);
    let first = writer.position().segment;
    let journal = fs::read(file(dir.path(), first, "journal")).unwrap();
    writer.rotate().unwrap();
    let next_journal = fs::read(file(dir.path(), first + 1, "journal")).unwrap();
    drop(writer);

    let seal = fs::read(file(dir.path(), first, "seal")).unwrap();
    let present = |keep: [bool; 3]| {
        // The old journal, the seal, the next journal; the next log is made first and always there.
        for (keep, path, bytes) in [
            (keep[0], file(dir.path(), first, "journal"), &journal),
            (keep[1], file(dir.path(), first, "seal"), &seal),
            (keep[2], file(dir.path(), first + 1, "journal"), &next_journal),
        ] {
            if keep {
                fs::write(path, bytes).unwrap();
            } else {
                let _gone = fs::remove_file(path);
            }
        }
    };
    for (state, newest) in [
        ([true, false, false], first),
        ([true, false, true], first + 1),
        ([true, true, true], first + 1),
        ([false, true, true], first + 1),
    ] {
        for stale in [
            file(dir.path(), first, "seal.tmp"),
            file(dir.path(), first + 1, "journal.tmp"),
        ] {
            fs::write(stale, "torn").unwrap();
        }
        fs::write(file(dir.path(), first + 1, "log"), b"").unwrap();
        present(state);
        let writer = Writer::open(dir.path(), options()).unwrap();
        assert_eq!(writer.position().segment, newest, "{state:?}");
        assert_eq!(writer.marked("a/1.log"), Some(7));
        assert_eq!(read_all(dir.path(), Position::START), ["one"]);
        assert_eq!(verify(dir.path()).unwrap().fault, None);
        if newest > first {
            assert_eq!(fs::read(file(dir.path(), first, "seal")).unwrap(), seal);
            assert!(!file(dir.path(), first, "journal").exists());
        }
    }
}

#[test]
fn a_newest_segment_that_somebody_changed_is_closed_as_it_is_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), options()).unwrap();
    writer.mark("a/1.log", 7);
    write(&mut writer, ["one", "two", "three"]);
    let at = writer.position();
    drop(writer);
    for (altered, kind) in [
        ("one\ntwX\nthree\n", FaultKind::LineChanged(2)),
        ("one\n", FaultKind::LineCut(2)),
    ] {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("readers")).unwrap();
        for extension in ["journal", "log"] {
            fs::copy(
                file(dir.path(), at.segment, extension),
                file(copy.path(), at.segment, extension),
            )
            .unwrap();
        }
        fs::write(file(copy.path(), at.segment, "log"), altered).unwrap();
        assert_eq!(verify(copy.path()).unwrap().fault.unwrap().kind, kind);

        let mut writer = Writer::open(copy.path(), options()).unwrap();
        assert!(writer.recovery().altered);
        assert_eq!(
            writer.position(),
            Position {
                segment: at.segment + 1,
                offset: 0
            }
        );
        assert_eq!(
            writer.marked("a/1.log"),
            Some(7),
            "the sources are not read again"
        );
        write(&mut writer, ["four"]);
        let fault = verify(copy.path()).unwrap().fault.unwrap();
        assert_eq!(
            (fault.segment, fault.kind),
            (Some(at.segment), kind),
            "it cannot be hidden by sealing"
        );
    }
}

#[test]
fn lines_that_nothing_accounts_for_are_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path(), 12, "log"), b"whose?\n").unwrap();
    assert!(matches!(
        Writer::open(dir.path(), options()),
        Err(SpoolError::Damaged { .. })
    ));
    assert_eq!(fs::read(file(dir.path(), 12, "log")).unwrap(), b"whose?\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A model of the spool: what was committed is there, in order, whatever was cut off behind it.
    #[test]
    fn commits_survive_reopening_and_noise_behind_them(
        steps in prop::collection::vec(prop_oneof![
            prop::collection::vec(r"[a-z ]{0,30}", 1..5).prop_map(Step::Commit),
            prop::collection::vec(r"[a-z ]{0,30}", 1..5).prop_map(Step::Abandon),
            (prop::collection::vec(any::<u8>(), 1..40), any::<bool>()).prop_map(|(noise, log)| Step::Noise(noise, log)),
            Just(Step::Rotate),
            Just(Step::Reopen),
        ], 1..20)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model: Vec<String> = Vec::new();
        let mut taken = 0;
        let mut writer = Writer::open(dir.path(), small_segments(120)).unwrap();
        for step in steps {
            match step {
                Step::Commit(lines) => {
                    for line in &lines {
                        writer.append(line.as_bytes()).unwrap();
                    }
                    taken += lines.len() as u64;
                    writer.mark("source", taken);
                    writer.commit().unwrap();
                    model.extend(lines);
                }
                Step::Abandon(lines) => {
                    for line in &lines {
                        writer.append(line.as_bytes()).unwrap();
                    }
                    writer.mark("source", taken + 1000);
                    drop(writer);
                    writer = Writer::open(dir.path(), small_segments(120)).unwrap();
                }
                Step::Noise(noise, log) => {
                    let segment = writer.position().segment;
                    drop(writer);
                    append_raw(&file(dir.path(), segment, if log { "log" } else { "journal" }), &noise);
                    writer = Writer::open(dir.path(), small_segments(120)).unwrap();
                }
                Step::Rotate => writer.rotate().unwrap(),
                Step::Reopen => {
                    drop(writer);
                    writer = Writer::open(dir.path(), small_segments(120)).unwrap();
                }
            }
            prop_assert_eq!(writer.marked("source").unwrap_or(0), taken);
            prop_assert!(!writer.recovery().altered);
        }
        prop_assert_eq!(read_all(dir.path(), Position::START), model);
        prop_assert_eq!(verify(dir.path()).unwrap().fault, None);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<String>),
    Abandon(Vec<String>),
    Noise(Vec<u8>, bool),
    Rotate,
    Reopen,
}
