//! Session recordings: asciicast v2 events in the shard of the decky, the service and the UTC day.
//!
//! A shard is `sessions-YYYY-MM-DD.jsonl`. Its lines are of many sessions, so each carries its session's id; the first
//! of a session is its header: `{"sid":…,"hdr":{…}}`, then `{"sid":…,"t":12.000345,"ch":"o","d":"…"}` with `ch` one of
//! `o` (output), `i` (input) and `r` (`COLSxROWS`). Sessions append without locks: each line is one write of less than
//! [`LINE_MAX`] bytes to a descriptor opened for appending, and longer events are split. A session past its cap ends
//! in one `{"sid":…,"trunc":true}`, and so does one that goes on while the disk gets nearly full, which `limit_reached` tells.
//!
//! Recorded are shells and commands. File transfers (sftp, scp) are not: what they do is reported as commands and
//! captured files, and their bytes would fill the shard.
//!
//! Deliberately absent: reading recordings (nothing does yet), and recording on a disk that is nearly full: the
//! session then goes on unrecorded and `session_skipped` says so.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use decnet_model::event::Event;
use serde_json::json;
use time::OffsetDateTime;

use super::{Tap, floor::Floor, trouble};

/// The longest line: below PIPE_BUF, which is what keeps concurrent appends whole.
const LINE_MAX: usize = 4_000;
/// Raw bytes of one event; every byte may become `\u00XX`.
const CHUNK: usize = 600;
/// Bytes of one session's recording.
const SESSION_MAX: u64 = 10 << 20;
/// Bytes of a shard after which it is rotated.
const SHARD_MAX: u64 = 500 << 20;
/// Rotated shards that are kept: `.1` to `.4`.
const ROTATIONS: u32 = 4;

/// One session's recording while it lasts. Dropping it ends and reports it.
pub struct Recorder {
    tap: Tap,
    sid: String,
    user: Vec<u8>,
    shard: String,
    file: Option<Box<dyn Write + Send + Sync>>,
    /// Where the shard is.
    folder: PathBuf,
    /// Tells how long the session has lasted.
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    written: u64,
    out_bytes: u64,
    keystrokes: u64,
    truncated: bool,
    /// The head of a UTF-8 character whose rest has not come yet, for output and input.
    pending: [Vec<u8>; 2],
}

/// Whether bytes were printed or typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Printed.
    Output,
    /// Typed.
    Input,
}

/// The id of a recording of the session of `tap`, whose channels are recorded one by one: `nonce` tells them apart by its lowest 32
/// bits.
#[must_use]
pub fn sid(tap: &Tap, nonce: u64) -> String {
    format!("{}-{:08x}", tap.session_id(), nonce & 0xffff_ffff)
}

impl Recorder {
    /// Begin to record a session of `user` into `folder`; without a folder it is reported and not recorded. `shell` is the path of what
    /// the account signs in to.
    #[must_use]
    pub fn begin(
        folder: Option<&Path>,
        tap: &Tap,
        user: &[u8],
        sid: String,
        shell: &str,
        terminal: &str,
        size: (u32, u32),
    ) -> Self {
        let now = tap.clock().now();
        let began = Instant::now();
        let mut recorder = Self {
            tap: tap.clone(),
            sid,
            user: user.to_vec(),
            shard: shard_name(now),
            file: None,
            folder: folder.unwrap_or_else(|| Path::new("")).to_owned(),
            elapsed: Box::new(move || began.elapsed()),
            written: 0,
            out_bytes: 0,
            keystrokes: 0,
            truncated: false,
            pending: [Vec::new(), Vec::new()],
        };
        tap.emit(Event::SessionStarted {
            sid: &recorder.sid,
            user,
        });
        let floor = tap.artifacts().floor();
        match folder.map(|folder| open_shard(folder, &recorder.shard, floor)) {
            Some(Ok(file)) => recorder.file = Some(Box::new(file)),
            Some(Err(why)) => recorder.skip(&why),
            None => recorder.skip("no folder for transcripts"),
        }
        if recorder.file.is_some() {
            let header = json!({"sid": recorder.sid, "hdr": {
                "version": 2, "width": size.0, "height": size.1, "timestamp": now.unix_timestamp(),
                "env": {"SHELL": shell.chars().take(64).collect::<String>(), "TERM": terminal.chars().take(64).collect::<String>()},
            }});
            recorder.line(header.to_string());
        }
        recorder
    }

    /// The same for a session that is invented, as demo evidence is: `elapsed` tells how long it has lasted, and lines are gathered
    /// before they are written, several whole ones at a time. What really happens is measured by a clock that nobody sets, and written
    /// at once, so that no death of the process takes any of it.
    #[must_use]
    pub fn invented(mut self, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.elapsed = Box::new(elapsed);
        if let Some(file) = self.file.take() {
            self.file = Some(Box::new(BufWriter::new(file)));
        }
        self
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.file.is_some()
    }

    fn skip(&self, why: &str) {
        self.tap.emit(Event::SessionSkipped { sid: &self.sid, why });
    }

    /// Record what was printed or typed.
    pub fn record(&mut self, channel: Channel, bytes: &[u8]) {
        let (index, letter) = match channel {
            Channel::Output => {
                self.out_bytes += u64::try_from(bytes.len()).unwrap_or(0);
                (0, "o")
            }
            Channel::Input => {
                self.keystrokes += u64::try_from(bytes.len()).unwrap_or(0);
                (1, "i")
            }
        };
        if self.file.is_none() || self.truncated {
            return;
        }
        let mut all = self
            .pending
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default();
        all.extend_from_slice(bytes);
        let keep = incomplete_tail(&all);
        let tail = all.split_off(all.len() - keep);
        if let Some(pending) = self.pending.get_mut(index) {
            *pending = tail;
        }
        let text = String::from_utf8_lossy(&all).into_owned();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let cut = (0..=CHUNK.min(rest.len()))
                .rev()
                .find(|i| rest.is_char_boundary(*i))
                .unwrap_or(rest.len());
            let (head, after) = rest.split_at(cut.max(1));
            self.event(letter, head);
            rest = after;
        }
    }

    /// Record a new window size.
    pub fn resize(&mut self, columns: u32, rows: u32) {
        self.event("r", &format!("{columns}x{rows}"));
    }

    fn event(&mut self, channel: &str, text: &str) {
        if self.truncated || self.file.is_none() {
            return;
        }
        let at = (self.elapsed)();
        let (sid, text) = (json!(self.sid), json!(text));
        let line = format!(
            "{{\"sid\":{sid},\"t\":{}.{:06},\"ch\":\"{channel}\",\"d\":{text}}}",
            at.as_secs(),
            at.subsec_micros()
        );
        let len = u64::try_from(line.len()).unwrap_or(0);
        if self.written + len > SESSION_MAX {
            return self.truncate();
        }
        let floor = self.tap.artifacts().floor();
        if !floor.takes(&self.folder, len) {
            self.tap.emit(floor.reached());
            return self.truncate();
        }
        self.line(line);
    }

    /// Nothing more is recorded.
    fn truncate(&mut self) {
        self.truncated = true;
        let sentinel = json!({"sid": self.sid, "trunc": true}).to_string();
        self.line(sentinel);
    }

    fn line(&mut self, mut line: String) {
        debug_assert!(line.len() < LINE_MAX, "{} bytes", line.len());
        let Some(file) = &mut self.file else { return };
        line.push('\n');
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.lost(&error);
            return;
        }
        self.written += u64::try_from(line.len()).unwrap_or(0);
    }

    /// From now on nothing is recorded: the disk did not take it.
    fn lost(&mut self, error: &io::Error) {
        self.file = None;
        self.skip("the disk does not take it");
        trouble(format_args!("a session goes on unrecorded: {error}"));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let duration_ms = u64::try_from((self.elapsed)().as_millis()).unwrap_or(u64::MAX);
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.lost(&error);
        }
        if self.file.is_some() {
            self.tap.emit(Event::SessionRecorded {
                sid: &self.sid,
                user: &self.user,
                duration_ms,
                bytes: self.out_bytes,
                keystrokes: self.keystrokes,
                truncated: self.truncated,
                shard: &self.shard,
            });
        }
        self.tap.emit(Event::SessionEnded {
            sid: &self.sid,
            duration_ms,
        });
    }
}

fn shard_name(now: OffsetDateTime) -> String {
    let day = now.to_offset(time::UtcOffset::UTC).date();
    format!(
        "sessions-{:04}-{:02}-{:02}.jsonl",
        day.year(),
        u8::from(day.month()),
        day.day()
    )
}

/// The shard open for appending, rotated first where it is full; why not, otherwise.
fn open_shard(folder: &Path, name: &str, floor: &Floor) -> Result<File, String> {
    let told = |error: io::Error| format!("the shard cannot be opened: {}", error.kind());
    std::fs::create_dir_all(folder).map_err(told)?;
    let free = floor.look(folder).map_err(told)?;
    if free < floor.bytes() {
        return Err(format!(
            "disk_pressure: {} MiB free of the {} MiB that it takes",
            free >> 20,
            floor.bytes() >> 20
        ));
    }
    let path = folder.join(name);
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= SHARD_MAX) {
        rotate(&path).map_err(told)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&path)
        .map_err(told)
}

/// `shard` becomes `.1`, `.1` becomes `.2` and so on; the oldest is dropped. Open recordings go on in the renamed file.
fn rotate(path: &Path) -> io::Result<()> {
    let numbered = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..ROTATIONS).rev() {
        match std::fs::rename(numbered(n), numbered(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(path, numbered(1))
}

/// Bytes at the end that begin a UTF-8 character without finishing it.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let Some(b) = bytes.get(bytes.len() - back) else {
            return 0;
        };
        let len = match b {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if len > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab() -> (tempfile::TempDir, Tap) {
        use std::sync::Arc;
        let artifacts =
            crate::evidence::artifact::Artifacts::open(None, &crate::config::Limits::default()).unwrap();
        let evidence = Arc::new(crate::evidence::tap::Evidence {
            sink: Arc::new(crate::evidence::sink::Sink::to(io::sink())),
            artifacts: Arc::new(artifacts),
            clock: Arc::new(decnet_model::clock::SystemClock),
            decky: "decky-recorder".to_owned(),
        });
        let at = "127.0.0.1:1".parse().unwrap();
        (
            tempfile::tempdir().unwrap(),
            Tap::of_session(&evidence, "ssh", at, at),
        )
    }

    fn begin(folder: &Path, tap: &Tap, sid: &str) -> Recorder {
        Recorder::begin(
            Some(folder),
            tap,
            b"root",
            sid.to_owned(),
            "/bin/ash",
            "xterm",
            (80, 24),
        )
    }

    fn shard_lines(folder: &Path) -> Vec<serde_json::Value> {
        let shard = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(shard).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_session_past_its_cap_ends_in_one_mark_and_little_over_the_cap() {
        let (folder, tap) = lab();
        let mut recorder = begin(folder.path(), &tap, "long");
        let block = vec![b'x'; 64 << 10];
        for _ in 0..200 {
            recorder.record(Channel::Output, &block);
        }
        assert!(
            recorder.truncated && recorder.written <= SESSION_MAX + 100,
            "{}",
            recorder.written
        );
        drop(recorder);
        let lines = shard_lines(folder.path());
        let marks = lines.iter().filter(|line| line["trunc"] == true).count();
        assert_eq!((marks, &lines[lines.len() - 1]["trunc"]), (1, &json!(true)));
    }

    #[test]
    fn an_invented_session_is_written_whole_by_its_own_clock() {
        use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
        let (folder, tap) = lab();
        let clock = std::sync::Arc::new(AtomicU64::new(0));
        let shown = std::sync::Arc::clone(&clock);
        let sid = sid(&tap, 0x1_0000_0002);
        assert_eq!(sid, format!("{}-00000002", tap.session_id()));
        let mut recorder =
            begin(folder.path(), &tap, &sid).invented(move || Duration::from_micros(shown.load(SeqCst)));
        assert!(recorder.is_recording());
        for n in 0..1_000 {
            clock.store(n * 1_000_007, SeqCst);
            recorder.record(Channel::Output, b"one more");
        }
        drop(recorder);
        let lines = shard_lines(folder.path());
        assert_eq!(lines.len(), 1_001);
        assert_eq!(
            lines[0]["hdr"]["env"],
            json!({"SHELL": "/bin/ash", "TERM": "xterm"})
        );
        assert_eq!(
            (&lines[0]["hdr"]["version"], &lines[1]["t"], &lines[1_000]["t"]),
            (&json!(2), &json!(0.0), &json!(999.006_993))
        );
    }

    #[test]
    fn nothing_is_recorded_on_a_disk_that_is_nearly_full() {
        let (folder, _) = lab();
        let open = |floor| open_shard(folder.path(), "sessions-2026-01-01.jsonl", &Floor::of(floor));
        let why = open(u64::MAX).unwrap_err();
        assert!(why.starts_with("disk_pressure: "), "{why}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        open(0).unwrap();
        let failing = open_shard(folder.path(), "/dev/null/x", &Floor::of(0));
        assert!(failing.is_err());
    }

    #[test]
    fn a_session_ends_in_one_mark_within_a_mebibyte_after_the_disk_got_nearly_full() {
        let (folder, tap) = lab();
        let mut recorder = begin(folder.path(), &tap, "long");
        recorder.record(Channel::Output, b"with room");
        tap.artifacts().floor().fill();
        let block = vec![b'x'; 64 << 10];
        for _ in 0..32 {
            recorder.record(Channel::Output, &block);
        }
        assert!(
            recorder.truncated && recorder.written <= (1 << 20) + 4096,
            "{}",
            recorder.written
        );
        drop(recorder);
        let lines = shard_lines(folder.path());
        let marks = lines.iter().filter(|line| line["trunc"] == true).count();
        assert_eq!((marks, &lines[1]["d"]), (1, &json!("with room")));
        assert!(!begin(folder.path(), &tap, "next").is_recording());
    }

    #[test]
    fn sessions_that_append_at_once_leave_whole_lines() {
        let (folder, tap) = lab();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (folder, tap) = (folder.path(), &tap);
                scope.spawn(move || {
                    let mut recorder = begin(folder, tap, &format!("session-{n}"));
                    for i in 0..200 {
                        recorder.record(Channel::Output, "\u{1}é".repeat(i).as_bytes());
                        recorder.record(Channel::Input, b"k");
                    }
                });
            }
        });
        let lines = shard_lines(folder.path());
        for n in 0..8 {
            let sid = format!("session-{n}");
            let typed = lines
                .iter()
                .filter(|l| l["sid"] == sid.as_str() && l["ch"] == "i")
                .count();
            let heads = lines
                .iter()
                .filter(|l| l["sid"] == sid.as_str() && l["hdr"].is_object())
                .count();
            assert_eq!((typed, heads), (200, 1), "{sid}");
        }
    }

    #[test]
    fn a_full_shard_is_rotated_when_the_next_session_begins() {
        let (folder, tap) = lab();
        let shard = folder.path().join(shard_name(tap.clock().now()));
        File::create(&shard).unwrap().set_len(SHARD_MAX).unwrap();
        drop(begin(folder.path(), &tap, "next"));
        let rotated = PathBuf::from(format!("{}.1", shard.display()));
        assert_eq!(std::fs::metadata(rotated).unwrap().len(), SHARD_MAX);
        assert!(std::fs::metadata(shard).unwrap().len() < 1_000);
    }

    #[test]
    fn a_character_that_is_cut_waits_for_its_rest() {
        for (bytes, tail) in [
            (&b"abc"[..], 0),
            ("é".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"\xe2\x82", 2),
            (b"\xff", 0),
            (b"\x80\x80\x80\x80", 0),
        ] {
            assert_eq!(incomplete_tail(bytes), tail, "{bytes:?}");
        }
    }

    #[test]
    fn the_fullest_event_fits_a_line() {
        let worst = json!("\u{1}".repeat(CHUNK)).to_string();
        assert!(worst.len() + 120 < LINE_MAX, "{}", worst.len());
    }

    #[test]
    fn rotation_keeps_four_and_drops_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions-2026-01-01.jsonl");
        for n in 0..7 {
            std::fs::write(&path, n.to_string()).unwrap();
            rotate(&path).unwrap();
        }
        let kept: Vec<String> = (1..=5)
            .map(|n| std::fs::read_to_string(format!("{}.{n}", path.display())).unwrap_or_default())
            .collect();
        assert_eq!(kept, ["6", "5", "4", "3", ""]);
    }
}
