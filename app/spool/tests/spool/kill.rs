//! SIGKILL at random points, in a loop: the multiset of lines that arrive equals the one that was written.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use decnet_spool::{
    Position, Reader, SpoolError, Writer, acknowledge,
    outlet::{Inlet, Outlet},
    verify,
};

use super::*;

/// Set for a child process: the folder that it works in.
const CHILD: &str = "DECNET_TEST_KILL";

const KILLS: u32 = 220;
/// So many of them have to come while work was done and work was left: otherwise nothing was tried.
const MIDWAY: u32 = KILLS / 10;
const PATIENCE: Duration = Duration::from_secs(60);

fn child(test: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn child_dir() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

/// Pauses that are different each time and the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// From none of `time` to well over it.
    fn part_of(&mut self, time: Duration) -> Duration {
        time * u32::try_from(self.roll(160)).unwrap() / 100
    }
}

/// When a child is killed. A time alone may be always too early or too late for what this machine does just now.
enum When {
    /// At this time: from before it works to well after it began.
    At(Instant),
    /// Once it was seen to have done so much, which has to be by a time.
    Done(usize, Instant),
}

impl When {
    /// In every other round either; `most` is the most that it may do before.
    fn roll(dice: &mut Dice, round: u32, warm_up: Duration, most: u64) -> Self {
        let now = Instant::now();
        if round.is_multiple_of(2) {
            Self::At(now + dice.part_of(warm_up))
        } else {
            Self::Done(1 + dice.roll(most) as usize, now + PATIENCE)
        }
    }

    fn is_now(&self, done: impl FnOnce() -> usize) -> bool {
        match self {
            Self::At(at) => Instant::now() >= *at,
            Self::Done(wanted, by) => {
                assert!(Instant::now() < *by, "the child does nothing");
                done() >= *wanted
            }
        }
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn count(lines: Vec<String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

/// How long the child `test` needs before it `works`, which is told by a look: kills come around then.
fn warm_up(test: &str, dir: &Path, mut works: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    let first = child(test, dir);
    while !works() {
        assert!(begin.elapsed() < PATIENCE, "the child does nothing");
        std::thread::yield_now();
    }
    kill(first);
    begin.elapsed()
}

/// The collector that is killed: small segments, so that it dies in rotations and seals too.
#[test]
fn collector_child() {
    let Some(dir) = child_dir() else { return };
    let mut writer = Writer::open(&dir.join("spool"), small_segments(3_000)).unwrap();
    let mut inlet = Inlet::new(&dir.join("outlets"));
    loop {
        inlet.pump(&mut writer).unwrap();
    }
}

#[test]
fn a_collector_killed_at_any_instruction_neither_loses_nor_doubles_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let outlets = dir.path().join("outlets");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut sources: Vec<Outlet> = (0..3)
        .map(|n| Outlet::create(&outlets, &format!("web-{n}")).unwrap())
        .collect();
    let mut want = vec!["the first line".to_owned()];
    sources[0].append(want[0].as_bytes()).unwrap();
    let mut reader = Reader::open(&dir.path().join("spool"), Position::START);
    let mut taken = 0;
    let warm_up = warm_up("kill::collector_child", dir.path(), || {
        taken += drain(&mut reader).unwrap().len();
        taken > 0
    });
    let mut midway = 0;
    for round in 0..KILLS {
        let before = taken;
        let running = child("kill::collector_child", dir.path());
        // Lines are written while it starts, collects and dies.
        let when = When::roll(&mut dice, round, warm_up, 60);
        let mut n = 0;
        loop {
            let is_last = when.is_now(|| {
                taken += drain(&mut reader).unwrap().len();
                taken - before
            });
            for (i, outlet) in sources.iter_mut().enumerate() {
                let line = format!(
                    "source {i} round {round} line {n} {}",
                    "x".repeat(dice.roll(200) as usize)
                );
                outlet.append(line.as_bytes()).unwrap();
                want.push(line);
            }
            n += 1;
            // The kill follows the last lines at once: they are hardly ever all taken before.
            if is_last {
                break;
            }
            std::thread::sleep(Duration::from_micros(dice.roll(1500)));
        }
        kill(running);
        taken += drain(&mut reader).unwrap().len();
        midway += u32::from(taken > before && taken < want.len());
        if dice.roll(4) == 0 {
            let i = dice.roll(3) as usize;
            sources[i] = Outlet::create(&outlets, &format!("web-{i}")).unwrap();
        }
    }
    assert!(
        midway >= MIDWAY,
        "hardly any kill ({midway}) came in the middle of the work"
    );
    let mut writer = Writer::open(&dir.path().join("spool"), small_segments(3_000)).unwrap();
    let mut inlet = Inlet::new(&outlets);
    drop(sources);
    while inlet.pump(&mut writer).unwrap() {}
    // All is taken; now it is seen that nothing can follow.
    inlet.pump(&mut writer).unwrap();

    let got = read_all(&dir.path().join("spool"), Position::START);
    assert_eq!(got.len(), want.len());
    assert_eq!(count(got), count(want));
    assert_eq!(verify(&dir.path().join("spool")).unwrap().fault, None);
    let left = fs::read_dir(&outlets)
        .unwrap()
        .flat_map(|source| fs::read_dir(source.unwrap().path()).unwrap())
        .count();
    assert_eq!(left, 0, "finished outlets are removed");
}

/// The reader that is killed. Its effect and its position are one file, put in place by a rename.
#[test]
fn reader_child() {
    let Some(dir) = child_dir() else { return };
    let (position, mut effect) = load(&dir);
    let mut reader = Reader::open(&dir.join("spool"), position);
    loop {
        let batch = match reader.next_batch(5, 2_000) {
            Ok(batch) => batch,
            Err(SpoolError::Gap(gap)) => panic!("nothing was dropped unread, yet there is a gap: {gap}"),
            Err(e) => panic!("{e}"),
        };
        let Some(last) = batch.last() else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        for line in &batch {
            effect.push_str(std::str::from_utf8(&line.bytes).unwrap());
            effect.push('\n');
        }
        let next = dir.join("state.tmp");
        fs::write(&next, format!("{}\n{effect}", last.end)).unwrap();
        fs::rename(&next, dir.join("state")).unwrap();
        acknowledge(&dir.join("spool"), "child", last.end).unwrap();
    }
}

fn load(dir: &Path) -> (Position, String) {
    match fs::read_to_string(dir.join("state")) {
        Ok(state) => {
            let (position, effect) = state.split_once('\n').unwrap();
            (position.parse().unwrap(), effect.to_owned())
        }
        Err(_) => (Position::START, String::new()),
    }
}

#[test]
fn a_reader_killed_at_any_instruction_neither_loses_nor_doubles_a_line() {
    let dir = tempfile::tempdir().unwrap();
    // Segments are dropped under the reader as soon as it is past them.
    let options = decnet_spool::Options {
        total_bytes: 2_000,
        hard_bytes: u64::MAX,
        ..small_segments(600)
    };
    let mut writer = Writer::open(&dir.path().join("spool"), options).unwrap();
    acknowledge(&dir.path().join("spool"), "child", Position::START).unwrap();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut want = "the first line\n".to_owned();
    write(&mut writer, ["the first line"]);
    let warm_up = warm_up("kill::reader_child", dir.path(), || {
        !load(dir.path()).1.is_empty()
    });
    let mut midway = 0;
    for round in 0..KILLS {
        let before = load(dir.path()).1.len();
        let running = child("kill::reader_child", dir.path());
        let when = When::roll(&mut dice, round, warm_up, 600);
        let mut n = 0;
        loop {
            let is_last = when.is_now(|| load(dir.path()).1.len() - before);
            let line = format!("round {round} line {n}");
            writer.append(line.as_bytes()).unwrap();
            writer.commit().unwrap();
            want.push_str(&line);
            want.push('\n');
            n += 1;
            if is_last {
                break;
            }
        }
        kill(running);
        let after = load(dir.path()).1.len();
        midway += u32::from(after > before && after < want.len());
    }
    assert!(
        midway >= MIDWAY,
        "hardly any kill ({midway}) came in the middle of the work"
    );
    let last = child("kill::reader_child", dir.path());
    let deadline = Instant::now() + PATIENCE;
    while load(dir.path()).1.len() < want.len() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(last);
    assert_eq!(load(dir.path()).1, want);
    writer.maintain().unwrap();
    assert!(
        writer.dropped().read_segments > 0,
        "segments were dropped on the way"
    );
    assert_eq!(writer.dropped().unread_segments, 0);
}
