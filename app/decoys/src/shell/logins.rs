//! Who is on the machine and who was: what `who`, `last` and `lastlog` tell, and what its log files hold.
//!
//! The lines of a log are a pure function of the machine and the time: every hour has those that its timers and its cron write
//! in it, so that a log of any age has the size, the rotation and the content of a real one and costs nothing until somebody
//! reads it. What visitors do is put in between. Deliberately absent: what a visitor writes into a log; that is in its overlay.

use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha512};
use time::OffsetDateTime;

use super::{
    distribution::Family,
    machine::{Login, Machine},
};

/// Sessions at terminals that are remembered.
const SESSIONS_MAX: usize = 200;
/// Lines of visitors that are remembered.
const NOTES_MAX: usize = 1_000;
/// Refused attempts that are remembered.
const REFUSED_MAX: usize = 400;
/// Bytes of a log that is read.
const LOG_MAX: usize = 2 << 20;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// 1970-01-04 was the first Sunday.
const SUNDAY: i64 = 3 * DAY;

/// A session at a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) from: String,
    /// The number of its pseudo terminal.
    pub(crate) terminal: u32,
    pub(crate) since: i64,
    pub(crate) until: Option<i64>,
    id: u64,
}

/// What is remembered of visitors.
#[derive(Debug, Default)]
pub(super) struct Logbook(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    sessions: VecDeque<Session>,
    notes: VecDeque<Note>,
    refused: VecDeque<Refused>,
    /// How often something was entered.
    entered: u64,
    next: u64,
    now: i64,
}

/// An attempt to sign in that was refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) at: i64,
    pub(crate) user: String,
    pub(crate) from: String,
    pid: u32,
}

/// A line that a visit left in a log.
#[derive(Debug, Clone)]
struct Note {
    at: i64,
    /// Which program, with its process id: `sshd[123]`.
    by: String,
    text: String,
}

/// A place at a terminal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    machine: Arc<Machine>,
    id: u64,
    pub(crate) terminal: u32,
}

/// A session over ssh that stands in the logs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    machine: Arc<Machine>,
    user: String,
    address: String,
    port: String,
    pid: u32,
    /// What logind calls it.
    number: u32,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let now = self.machine.logbook.lock().now;
        self.machine.note_logout(self, now);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut book = self.machine.logbook.lock();
        let now = book.now;
        if let Some(session) = book.sessions.iter_mut().find(|s| s.id == self.id) {
            session.until = Some(now.max(session.since));
        }
    }
}

impl Entry {
    /// Who writes of it.
    fn by(&self) -> String {
        let is_device = self.machine.distribution.family == Family::Device;
        let program = if is_device { "dropbear" } else { "sshd" };
        format!("{program}[{}]", self.pid)
    }
}

impl Logbook {
    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file whose content is made when it is read.
#[derive(Clone)]
pub(crate) struct Log {
    machine: Arc<Machine>,
    what: What,
    /// How many rotations ago it was begun.
    age: u32,
    size: Arc<Mutex<Option<(i64, u64)>>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.what).field(&self.age).finish()
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what && self.age == other.age && Arc::ptr_eq(&self.machine, &other.machine)
    }
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// `auth.log`, `secure`.
    Auth,
    /// `syslog`, `messages`.
    System,
    /// `cron.log`, `cron`.
    Cron,
    /// `kern.log`.
    Kernel,
    /// What a web server was asked for.
    Web,
    /// `dpkg.log` of the installation.
    Packages,
    Wtmp,
    /// `btmp`.
    Refused,
    Lastlog,
    /// Nothing in it.
    Empty,
}

/// A log file as [`Machine::logs`] places it.
pub(super) struct Placed {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) group: &'static str,
    pub(super) log: Log,
}

impl Log {
    /// Its bytes as of now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let now = self.machine.logbook.lock().now;
        let text = self.machine.log_text(self.what, self.age, now);
        // Red Hat's logrotate does not compress.
        if self.age < 2 || self.machine.distribution.family == Family::RedHat {
            return text;
        }
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        // Writing into memory cannot fail.
        let _infallible = gz.write_all(&text);
        gz.finish().unwrap_or_default()
    }

    /// How many they are; made once an hour.
    pub(crate) fn size(&self) -> u64 {
        let now = {
            let book = self.machine.logbook.lock();
            if self.age > 0 {
                (book.now - SUNDAY).div_euclid(DAY)
            } else {
                book.now / HOUR * 1_000_000 + i64::try_from(book.entered % 1_000_000).unwrap_or(0)
            }
        };
        let mut kept = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        match *kept {
            Some((at, size)) if at == now => size,
            _ => {
                let size = u64::try_from(self.bytes().len()).unwrap_or(0);
                *kept = Some((now, size));
                size
            }
        }
    }

    /// When it was written last.
    pub(crate) fn mtime(&self) -> i64 {
        let (machine, now) = (&self.machine, self.machine.logbook.lock().now);
        match self.what {
            What::Packages => machine.installed + 1_900,
            What::Kernel => machine.boot_time + 5,
            What::Wtmp | What::Lastlog => machine.sessions().first().map_or(machine.boot_time, |s| s.since),
            _ if self.age > 0 => machine.period(self.what, self.age, now).1,
            What::Empty => machine.period(What::Auth, 0, now).0,
            What::Refused => {
                let newest = machine.logbook.lock().refused.back().map(|r| r.at);
                newest.unwrap_or_else(|| machine.period(What::Auth, 0, now).0)
            }
            _ => {
                let hour = now / HOUR * HOUR + 17 * 60 + 1;
                let newest = machine.logbook.lock().notes.back().map_or(0, |n| n.at);
                if hour > now { hour - HOUR } else { hour }.max(newest)
            }
        }
    }
}

impl Machine {
    /// Note what time it is.
    pub(super) fn tick(&self, now: i64) {
        self.logbook.lock().now = now;
    }

    /// Take a place at the lowest free terminal.
    pub(super) fn sit(machine: &Arc<Self>, user: &str, from: &str, now: i64) -> Seat {
        let mut book = machine.logbook.lock();
        let taken: Vec<u32> = book
            .sessions
            .iter()
            .filter(|s| s.until.is_none())
            .map(|s| s.terminal)
            .collect();
        let terminal = (0..).find(|n| !taken.contains(n)).unwrap_or(0);
        book.next += 1;
        book.entered += 1;
        let id = book.next;
        if book.sessions.len() >= SESSIONS_MAX {
            book.sessions.pop_back();
        }
        book.now = now;
        book.sessions.push_front(Session {
            user: user.to_owned(),
            from: from.to_owned(),
            terminal,
            since: now,
            until: None,
            id,
        });
        Seat {
            machine: Arc::clone(machine),
            id,
            terminal,
        }
    }

    /// Those at terminals by now, the first that came first.
    pub(super) fn present(&self) -> Vec<Session> {
        let book = self.logbook.lock();
        book.sessions
            .iter()
            .rev()
            .filter(|s| s.until.is_none())
            .cloned()
            .collect()
    }

    /// All sessions at terminals, the newest first: those of visitors, and before the last boot those of the people.
    pub(super) fn sessions(&self) -> Vec<Session> {
        let mut all: Vec<Session> = self.logbook.lock().sessions.iter().cloned().collect();
        let mut before: Vec<Session> = self
            .first_logins
            .iter()
            .map(|(user, Login { at, from })| Session {
                user: user.clone(),
                from: from.clone(),
                terminal: 0,
                since: *at,
                until: Some((at + 120 + i64::from(self.draw(user, *at) % 5_000)).min(self.boot_time - 60)),
                id: 0,
            })
            .collect();
        before.sort_by_key(|s| -s.since);
        all.extend(before);
        all
    }

    /// Put a line of a visit into the logs.
    pub(super) fn note(&self, at: i64, by: &str, text: String) {
        let mut book = self.logbook.lock();
        book.now = book.now.max(at);
        book.entered += 1;
        if book.notes.len() >= NOTES_MAX {
            book.notes.pop_front();
        }
        book.notes.push_back(Note {
            at,
            by: by.to_owned(),
            text,
        });
    }

    /// Remember an attempt that process `pid` refused.
    pub(super) fn refuse(&self, at: i64, user: &str, from: &str, pid: u32) {
        let mut book = self.logbook.lock();
        book.entered += 1;
        if book.refused.len() >= REFUSED_MAX {
            book.refused.pop_front();
        }
        book.refused.push_back(Refused {
            at,
            user: user.to_owned(),
            from: from.to_owned(),
            pid,
        });
    }

    /// Refused attempts, the newest first.
    pub(super) fn refused(&self) -> Vec<Refused> {
        self.logbook.lock().refused.iter().rev().cloned().collect()
    }

    /// Somebody signed in over ssh, as a user of that name and number: `source` is what `SSH_CLIENT` says. The numbers of its process
    /// and its session.
    pub(super) fn note_login(
        machine: &Arc<Self>,
        (user, uid): (&str, u32),
        source: &str,
        (pid, number): (u32, u32),
        now: i64,
    ) -> Option<Entry> {
        let mut parts = source.split(' ');
        let (address, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("0"));
        if address.is_empty() {
            return None;
        }
        let entry = Entry {
            machine: Arc::clone(machine),
            user: user.to_owned(),
            address: address.to_owned(),
            port: port.to_owned(),
            pid,
            number,
        };
        let family = machine.distribution.family;
        let by = entry.by();
        if family == Family::Device {
            let text = format!("Password auth succeeded for '{user}' from {address}:{port}");
            machine.note(now, &by, text);
            return Some(entry);
        }
        let text = format!("Accepted password for {user} from {address} port {port} ssh2");
        machine.note(now, &by, text);
        if family != Family::Alpine {
            let text =
                format!("pam_unix(sshd:session): session opened for user {user}(uid={uid}) by (uid=0)");
            machine.note(now, &by, text);
            let text = format!("New session {} of user {user}.", entry.number);
            machine.note(now, &machine.logind(), text);
        }
        Some(entry)
    }

    /// It has left.
    fn note_logout(&self, entry: &Entry, now: i64) {
        let Entry {
            user,
            address,
            port,
            number,
            ..
        } = entry;
        let by = entry.by();
        if self.distribution.family == Family::Device {
            let text = format!("Exit ({user}) from <{address}:{port}>: Disconnect received");
            return self.note(now, &by, text);
        }
        for text in [
            format!("Received disconnect from {address} port {port}:11: disconnected by user"),
            format!("Disconnected from user {user} {address} port {port}"),
        ] {
            self.note(now, &by, text);
        }
        if self.distribution.family == Family::Alpine {
            return;
        }
        let text = format!("pam_unix(sshd:session): session closed for user {user}");
        self.note(now, &by, text);
        for text in [
            format!("Session {number} logged out. Waiting for processes to exit."),
            format!("Removed session {number}."),
        ] {
            self.note(now, &self.logind(), text);
        }
    }

    /// Who writes what logind has to say.
    fn logind(&self) -> String {
        format!("systemd-logind[{}]", self.pid_of("systemd-logind"))
    }

    fn pid_of(&self, mark: &str) -> u32 {
        let running = self.running();
        running
            .processes
            .iter()
            .find(|p| p.command.contains(mark))
            .map_or(512, |p| p.pid)
    }

    /// A number that belongs to this machine, `what` and `at`.
    pub(super) fn draw(&self, what: &str, at: i64) -> u32 {
        let hash = Sha512::new()
            .chain_update(self.secret)
            .chain_update(what)
            .chain_update(at.to_le_bytes())
            .finalize();
        hash.iter().take(4).fold(0_u32, |n, b| n << 8 | u32::from(*b))
    }

    /// From when to when the log goes that was begun `age` rotations ago.
    fn period(&self, what: What, age: u32, now: i64) -> (i64, i64) {
        let length = if what == What::Web { DAY } else { 7 * DAY };
        let begun = (now - SUNDAY).div_euclid(length) * length + SUNDAY - i64::from(age) * length;
        let end = if age == 0 { now } else { begun + length };
        (begun.max(self.installed + 1_900), end)
    }

    /// Whether log files bear the time with its fraction of a second (rsyslog since 8.2210 as Debian sets it up).
    fn precise(&self) -> bool {
        let release = self.distribution.release;
        matches!(
            (release.id, release.version_id),
            ("debian", "12") | ("ubuntu", "24.04") | ("kali", _)
        )
    }

    /// The fraction of a second of the `nth` line of a log, in microseconds. A line is younger than the one before.
    fn fraction(&self, at: i64, nth: u32, before: Option<(i64, u32)>) -> u32 {
        let drawn = self.draw("fraction", at + i64::from(nth));
        match before {
            Some((same, fraction)) if same == at => (fraction + 40 + drawn % 9_000).min(999_999),
            _ => drawn % 900_000,
        }
    }

    fn stamp(&self, at: i64, fraction: u32) -> String {
        let when = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        if self.precise() {
            format!(
                "{}T{:02}:{:02}:{:02}.{fraction:06}+00:00",
                when.date(),
                when.hour(),
                when.minute(),
                when.second()
            )
        } else {
            plain_stamp(at)
        }
    }

    /// What the machine's own timers and cron wrote in `[from, to)`: when, who, and what.
    fn events(&self, what: What, from: i64, to: i64) -> Vec<(i64, String, String)> {
        let family = self.distribution.family;
        let mut out: Vec<(i64, String, String)> = Vec::new();
        if matches!(what, What::Auth | What::System | What::Cron) && family != Family::Arch {
            let (minute, command) = match family {
                Family::RedHat => (1, "run-parts /etc/cron.hourly"),
                Family::Alpine => (0, "run-parts /etc/periodic/hourly"),
                Family::Device => (0, "/usr/sbin/ntpclient -s"),
                _ => (17, "cd / && run-parts --report /etc/cron.hourly"),
            };
            let mut hour = from.div_euclid(HOUR) * HOUR;
            while hour < to && out.len() < 20_000 {
                let at = hour + minute * 60 + 1;
                let pid = self.cron_pid(at);
                match (what, family) {
                    (What::Auth, Family::Debian) => {
                        let by = format!("CRON[{pid}]");
                        let uid = if self.distribution.release.version_id == "20.04" {
                            ""
                        } else {
                            "(uid=0)"
                        };
                        out.push((
                            at,
                            by.clone(),
                            format!("pam_unix(cron:session): session opened for user root{uid} by (uid=0)"),
                        ));
                        out.push((
                            at,
                            by,
                            "pam_unix(cron:session): session closed for user root".to_owned(),
                        ));
                    }
                    (What::System | What::Cron, Family::Debian) => {
                        out.push((
                            at,
                            format!("CRON[{}]", pid + 1),
                            format!("(root) CMD ({command})"),
                        ));
                    }
                    (What::Cron, Family::RedHat) => {
                        out.push((at, format!("CROND[{pid}]"), format!("(root) CMD ({command})")));
                        out.push((
                            at,
                            format!("run-parts[{}]", pid + 3),
                            "(/etc/cron.hourly) starting 0anacron".to_owned(),
                        ));
                        out.push((
                            at,
                            format!("run-parts[{}]", pid + 9),
                            "(/etc/cron.hourly) finished 0anacron".to_owned(),
                        ));
                    }
                    (What::System, Family::Alpine) => {
                        out.push((
                            at,
                            format!("crond[{}]", self.pid_of("/crond ")),
                            format!("USER root pid {pid} cmd {command}"),
                        ));
                    }
                    (What::System, Family::Device) => {
                        out.push((
                            at,
                            format!("crond[{}]", self.pid_of("/crond ")),
                            format!("USER root pid {pid} cmd {command}"),
                        ));
                    }
                    _ => {}
                }
                hour += HOUR;
            }
        }
        if what == What::System && matches!(family, Family::Debian | Family::RedHat | Family::Arch) {
            let mut day = from.div_euclid(DAY) * DAY;
            while day < to {
                self.timers(day, &mut out);
                day += DAY;
            }
        }
        if matches!(what, What::Kernel | What::System) {
            let boot = self.boot_time;
            for (ms, text) in self.boot_lines() {
                out.push((
                    boot + 3,
                    "kernel".to_owned(),
                    format!("[{:>5}.{:06}] {text}", ms / 1_000, ms % 1_000 * 1_000 + 117),
                ));
            }
        }
        out.retain(|e| (from..to).contains(&e.0));
        out.sort_by_key(|e| e.0);
        out
    }

    /// What the timers of systemd write on a day.
    fn timers(&self, day: i64, out: &mut Vec<(i64, String, String)>) {
        let mut unit = |at: i64, name: &str, description: &str, cpu: &str| {
            let by = "systemd[1]".to_owned();
            out.push((at, by.clone(), format!("Starting {name} - {description}...")));
            out.push((at + 1, by.clone(), format!("{name}: Deactivated successfully.")));
            if !cpu.is_empty() {
                out.push((at + 1, by.clone(), format!("{name}: Consumed {cpu} CPU time.")));
            }
            out.push((at + 1, by, format!("Finished {name} - {description}.")));
        };
        let after = |what: &str, within: u32| i64::from(self.draw(what, day) % within);
        unit(
            day + after("logrotate", 60),
            "logrotate.service",
            "Rotate log files",
            "",
        );
        unit(
            day + (self.boot_time + 900) % DAY,
            "systemd-tmpfiles-clean.service",
            "Cleanup of Temporary Directories",
            "",
        );
        match self.distribution.family {
            Family::Debian => {
                unit(
                    day + after("backup", 50),
                    "dpkg-db-backup.service",
                    "Daily dpkg database backup service",
                    "",
                );
                unit(
                    day + after("man", 70),
                    "man-db.service",
                    "Daily man-db regeneration",
                    "",
                );
                unit(
                    day + 6 * HOUR + after("upgrade", 3_600),
                    "apt-daily-upgrade.service",
                    "Daily apt upgrade and clean activities",
                    "",
                );
                unit(
                    day + 3 * HOUR + after("daily", 36_000),
                    "apt-daily.service",
                    "Daily apt download activities",
                    "1.204s",
                );
            }
            Family::RedHat => {
                for hour in [2, 7, 13, 19] {
                    unit(
                        day + hour * HOUR + after(&format!("dnf{hour}"), 3_000),
                        "dnf-makecache.service",
                        "dnf makecache",
                        "",
                    );
                }
            }
            _ => unit(
                day + after("shadow", 600),
                "shadow.service",
                "Verify integrity of password and group files",
                "",
            ),
        }
        if (day - SUNDAY).rem_euclid(7 * DAY) == 0 {
            unit(
                day + 3 * HOUR + 600 + after("scrub", 30),
                "e2scrub_all.service",
                "Online ext4 Metadata Check for All Filesystems",
                "",
            );
        }
        if (day - SUNDAY).rem_euclid(7 * DAY) == DAY {
            unit(
                day + after("trim", 3_600),
                "fstrim.service",
                "Discard unused blocks on filesystems from /etc/fstab",
                "",
            );
        }
    }

    /// A process id that cron has at that time: they grow, and begin again at the end of their range.
    fn cron_pid(&self, at: i64) -> u32 {
        let since = u32::try_from((at - self.boot_time).rem_euclid(60_000 * 900) / 900).unwrap_or(0);
        1_100 + since % 31_000 + self.draw("cron", at) % 9
    }

    /// The first lines of the kernel after the boot: milliseconds and text.
    pub(super) fn boot_lines(&self) -> Vec<(u64, String)> {
        let mut out = vec![(
            0,
            format!(
                "Linux version {} {} {}",
                self.kernel_release,
                self.distribution.built_by(),
                self.kernel_version
            ),
        )];
        if self.distribution.family == Family::Device {
            out.extend([
                (0, "Booting Linux on physical CPU 0x0".to_owned()),
                (0, format!("CPU: {}", self.cpu)),
                (0, format!("OF: fdt: Machine model: {}", self.board)),
                (0, "Memory policy: Data cache writeback".to_owned()),
                (
                    0,
                    format!("Memory: {}K/{}K available", self.mem_kb, self.mem_kb + 6_916),
                ),
                (412, "NET: Registered protocol family 16".to_owned()),
                (1_204, "Creating 6 MTD partitions on \"spi0.0\":".to_owned()),
                (
                    1_871,
                    "squashfs: version 4.0 (2009/01/31) Phillip Lougher".to_owned(),
                ),
                (
                    2_115,
                    "VFS: Mounted root (squashfs filesystem) readonly on device 31:3.".to_owned(),
                ),
                (
                    7_322,
                    format!(
                        "{}: Link is Up - 100Mbps/Full - flow control rx/tx",
                        self.interface
                    ),
                ),
            ]);
            return out;
        }
        let file_system = if self.distribution.root_fs() == "xfs" {
            "XFS (sda1): Ending clean mount"
        } else {
            "EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none."
        };
        out.extend([
            (
                0,
                format!(
                    "Command line: BOOT_IMAGE=/boot/vmlinuz-{} root=/dev/sda1 ro quiet",
                    self.kernel_release
                ),
            ),
            (0, "BIOS-provided physical RAM map:".to_owned()),
            (
                0,
                format!(
                    "DMI: {} {}, BIOS {} {}",
                    self.platform.maker, self.platform.product, self.platform.bios.1, self.platform.bios.2
                ),
            ),
            (
                0,
                match self.platform.hypervisor() {
                    Some((name, _)) => format!("Hypervisor detected: {name}"),
                    None => "tsc: Fast TSC calibration using PIT".to_owned(),
                },
            ),
            (
                11,
                format!("smpboot: Allowing {} CPUs, 0 hotplug CPUs", self.cores),
            ),
            (
                211,
                format!("Memory: {}K/{}K available", self.mem_kb - 90_000, self.mem_kb),
            ),
            (389, format!("smpboot: CPU0: {}", self.cpu)),
            (1_482, file_system.to_owned()),
            (2_118, format!("systemd[1]: Hostname set to <{}>.", self.hostname)),
            (4_902, format!("{}: link up, 1000 Mbps", self.interface)),
        ]);
        out
    }

    /// The text of a log as of `now`.
    fn log_text(&self, what: What, age: u32, now: i64) -> Vec<u8> {
        match what {
            What::Empty => return Vec::new(),
            What::Wtmp => return self.wtmp(),
            What::Refused => return self.btmp(),
            What::Lastlog => return self.lastlog_bytes(),
            What::Packages => return self.dpkg_log().into_bytes(),
            What::Web => return self.web_log(age, now).into_bytes(),
            _ => {}
        }
        let (from, to) = self.period(what, age, now);
        let mut out = String::new();
        let mut before = None;
        for (i, line) in self.lines(what, from, to).into_iter().enumerate() {
            if out.len() > LOG_MAX {
                break;
            }
            let (at, by, text) = line;
            let fraction = self.fraction(at, u32::try_from(i).unwrap_or(0), before);
            before = Some((at, fraction));
            out.push_str(&self.stamp(at, fraction));
            out.push_str(&format!(" {} {by}: {text}\n", self.hostname));
        }
        out.into_bytes()
    }

    /// All lines of a log between two times, visitors' included.
    fn lines(&self, what: What, from: i64, to: i64) -> Vec<(i64, String, String)> {
        let mut lines = self.events(what, from, to);
        // Where one log takes everything, what concerns signing in is in it, too.
        let all = matches!(self.distribution.family, Family::Alpine | Family::Device);
        // What logind says is no secret to Red Hat's rsyslog.
        let redhat = self.distribution.family == Family::RedHat;
        let takes = |note: &Note| {
            let logind = redhat && note.by.starts_with("systemd-logind");
            match what {
                What::Auth => !logind,
                What::System => all || logind,
                _ => false,
            }
        };
        if matches!(what, What::Auth | What::System) {
            let book = self.logbook.lock();
            let notes = book
                .notes
                .iter()
                .filter(|n| (from..=to).contains(&n.at) && takes(n));
            lines.extend(notes.map(|n| (n.at, n.by.clone(), n.text.clone())));
        }
        lines.sort_by_key(|l| l.0);
        lines
    }

    /// What `journalctl` has from `from` on: everything in one.
    pub(super) fn journal(&self, from: i64, now: i64) -> Vec<(i64, String, String)> {
        let from = from.max(self.installed + 1_900);
        let mut all = self.lines(What::Auth, from, now + 1);
        all.extend(self.lines(What::System, from, now + 1));
        if self.distribution.family == Family::RedHat {
            all.extend(self.lines(What::Cron, from, now + 1));
        }
        all.sort_by_key(|l| l.0);
        all
    }

    /// A monitor asks the web server once in five minutes.
    fn web_log(&self, age: u32, now: i64) -> String {
        let (from, to) = self.period(What::Web, age, now);
        let monitor = self.address.rsplit_once('.').map_or("10.0.0", |a| a.0);
        let monitor = format!("{monitor}.{}", 2 + self.draw("monitor", 0) % 8);
        let mut at = from.div_euclid(300) * 300 + i64::from(self.draw("monitor", 1) % 290);
        let mut out = String::new();
        while at < to {
            if at >= from && at >= self.boot_time {
                let when = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                out.push_str(&format!(
                    "{monitor} - - [{:02}/{}/{}:{:02}:{:02}:{:02} +0000] \"HEAD / HTTP/1.1\" 200 0 \"-\" \"check_http/v2.3.3 (monitoring-plugins 2.3.3)\"\n",
                    when.day(),
                    super::commands::files::month_of(when),
                    when.year(),
                    when.hour(),
                    when.minute(),
                    when.second()
                ));
            }
            at += 300;
        }
        out
    }

    fn dpkg_log(&self) -> String {
        let mut out = String::new();
        let begun = self.installed;
        for (i, package) in self.packages().iter().enumerate() {
            let at = begun + i64::try_from(i).unwrap_or(0) * 3;
            let when = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let stamp = format!(
                "{} {:02}:{:02}:{:02}",
                when.date(),
                when.hour(),
                when.minute(),
                when.second()
            );
            let (name, version) = (
                format!("{}:{}", package.name, package.architecture),
                &package.version,
            );
            for state in ["half-installed", "unpacked", "half-configured", "installed"] {
                out.push_str(&format!("{stamp} status {state} {name} {version}\n"));
            }
        }
        out
    }

    /// `/var/log/wtmp`: records of utmp(5), the oldest first.
    fn wtmp(&self) -> Vec<u8> {
        let mut records: Vec<(i64, Vec<u8>)> = vec![(
            self.boot_time,
            utmp(2, 0, "~", "~~", "reboot", self.kernel_release, self.boot_time),
        )];
        for s in self.sessions() {
            let line = format!("pts/{}", s.terminal);
            let pid = 1_300 + self.draw(&s.user, s.since) % 20_000;
            records.push((
                s.since,
                utmp(
                    7,
                    pid,
                    &line,
                    &format!("ts/{}", s.terminal),
                    &s.user,
                    &s.from,
                    s.since,
                ),
            ));
            if let Some(until) = s.until {
                records.push((until, utmp(8, pid, &line, "", "", "", until)));
            }
        }
        records.sort_by_key(|r| r.0);
        records.into_iter().flat_map(|r| r.1).collect()
    }

    /// `/var/log/btmp`: as `wtmp`, of those who were refused.
    fn btmp(&self) -> Vec<u8> {
        let book = self.logbook.lock();
        let records = book.refused.iter();
        records
            .flat_map(|r| utmp(6, r.pid, "ssh:notty", "", &r.user, &r.from, r.at))
            .collect()
    }

    /// `/var/log/lastlog`: a record for each uid up to the highest that signed in.
    fn lastlog_bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for s in self.sessions() {
            let uid = usize::try_from(self.account_or_new(&s.user).uid.min(3_000)).unwrap_or(0);
            if !seen.insert(uid) {
                continue;
            }
            let mut record = u32::try_from(s.since).unwrap_or(0).to_le_bytes().to_vec();
            record.extend(padded(&format!("pts/{}", s.terminal), 32));
            record.extend(padded(&s.from, 256));
            if out.len() < (uid + 1) * 292 {
                out.resize((uid + 1) * 292, 0);
            }
            if let Some(place) = out.get_mut(uid * 292..(uid + 1) * 292) {
                place.copy_from_slice(&record);
            }
        }
        out
    }

    /// The log files of the machine.
    pub(super) fn logs(machine: &Arc<Self>) -> Vec<Placed> {
        let family = machine.distribution.family;
        let mut out = Vec::new();
        let now = machine.logbook.lock().now;
        let weeks = ((now.max(machine.boot_time) - machine.installed) / (7 * DAY)).clamp(0, 4);
        let mut put = |path: &str, what: What, mode: u32, group: &'static str, kept: u32| {
            for age in 0..=kept {
                let path = match (age, family) {
                    (0, _) => path.to_owned(),
                    (_, Family::RedHat) if what != What::Web => {
                        let at = machine.period(what, age - 1, now.max(machine.boot_time)).0;
                        let when =
                            OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                        format!(
                            "{path}-{}{:02}{:02}",
                            when.year(),
                            u8::from(when.month()),
                            when.day()
                        )
                    }
                    (1, _) => format!("{path}.1"),
                    _ => format!("{path}.{age}.gz"),
                };
                out.push(Placed {
                    path,
                    mode,
                    group,
                    log: Log {
                        machine: Arc::clone(machine),
                        what,
                        age,
                        size: Arc::default(),
                    },
                });
            }
        };
        let weeks = u32::try_from(weeks).unwrap_or(0);
        match family {
            Family::Debian => {
                put("/var/log/auth.log", What::Auth, 0o640, "adm", weeks);
                put("/var/log/syslog", What::System, 0o640, "adm", weeks);
                put("/var/log/kern.log", What::Kernel, 0o640, "adm", 0);
                if machine.precise() {
                    put("/var/log/cron.log", What::Cron, 0o640, "adm", weeks);
                }
                put("/var/log/user.log", What::Empty, 0o640, "adm", 0);
                put("/var/log/dpkg.log", What::Empty, 0o644, "root", 0);
                put("/var/log/dpkg.log.1", What::Packages, 0o644, "root", 0);
                put("/var/log/alternatives.log", What::Empty, 0o644, "root", 0);
                put("/var/log/faillog", What::Empty, 0o644, "root", 0);
                put("/var/log/apt/history.log", What::Empty, 0o644, "root", 0);
                put("/var/log/apt/term.log", What::Empty, 0o640, "adm", 0);
            }
            Family::RedHat => {
                put("/var/log/secure", What::Auth, 0o600, "root", weeks);
                put("/var/log/messages", What::System, 0o600, "root", weeks);
                put("/var/log/cron", What::Cron, 0o600, "root", weeks);
                put("/var/log/maillog", What::Empty, 0o600, "root", 0);
                put("/var/log/spooler", What::Empty, 0o600, "root", 0);
                put("/var/log/boot.log", What::Empty, 0o600, "root", 0);
                put("/var/log/dnf.log", What::Empty, 0o644, "root", 0);
            }
            Family::Alpine | Family::Device => put("/var/log/messages", What::System, 0o640, "root", 0),
            Family::Arch => put("/var/log/pacman.log", What::Empty, 0o644, "root", 0),
        }
        if family != Family::Device {
            put("/var/log/wtmp", What::Wtmp, 0o664, "utmp", 0);
            put("/var/log/btmp", What::Refused, 0o660, "utmp", 0);
            put("/var/log/lastlog", What::Lastlog, 0o664, "utmp", 0);
        }
        let running = machine.running();
        for (mark, folder, access) in [
            ("nginx: master", "nginx", "access.log"),
            ("/apache2 -k", "apache2", "access.log"),
            ("/httpd -", "httpd", "access_log"),
        ] {
            if running.processes.iter().any(|p| p.command.contains(mark)) {
                put(
                    &format!("/var/log/{folder}/{access}"),
                    What::Web,
                    0o640,
                    "adm",
                    if weeks > 1 { 14 } else { 2 },
                );
                put(
                    &format!("/var/log/{folder}/{}", access.replace("access", "error")),
                    What::Empty,
                    0o640,
                    "adm",
                    0,
                );
            }
        }
        for (mark, file) in [
            ("mariadbd", "/var/log/mysql/error.log"),
            ("mysqld", "/var/log/mysql/error.log"),
            ("redis-server", "/var/log/redis/redis-server.log"),
            ("vsftpd", "/var/log/vsftpd.log"),
            ("proftpd:", "/var/log/proftpd/proftpd.log"),
            ("/exim", "/var/log/exim4/mainlog"),
            ("/master -w", "/var/log/mail.log"),
        ] {
            if running.processes.iter().any(|p| p.command.contains(mark)) {
                put(file, What::Empty, 0o640, "adm", 0);
            }
        }
        out
    }
}

/// `Nov 28 18:00:01`.
pub(super) fn plain_stamp(at: i64) -> String {
    let when = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{} {:>2} {:02}:{:02}:{:02}",
        super::commands::files::month_of(when),
        when.day(),
        when.hour(),
        when.minute(),
        when.second()
    )
}

fn padded(text: &str, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(len).collect();
    bytes.resize(len, 0);
    bytes
}

/// A record of utmp(5) as glibc lays it out on x86-64: 384 bytes.
fn utmp(kind: u16, pid: u32, line: &str, id: &str, user: &str, host: &str, at: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    out.extend(kind.to_le_bytes());
    out.extend([0, 0]);
    out.extend(pid.to_le_bytes());
    out.extend(padded(line, 32));
    out.extend(padded(id, 4));
    out.extend(padded(user, 32));
    out.extend(padded(host, 256));
    // Exit status and session.
    out.extend([0; 8]);
    out.extend(u32::try_from(at).unwrap_or(0).to_le_bytes());
    out.extend([0; 4]);
    let address = host.parse::<std::net::Ipv4Addr>().map_or([0; 4], |a| a.octets());
    out.extend(address);
    out.resize(384, 0);
    out
}
