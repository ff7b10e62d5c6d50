//! `/proc` of processes: what the kernel tells of those that were there, of the shell that asks, and of a program while it runs.
//!
//! Nothing in it has a size but links, directories are for nobody to write, and a time is that of the process or of the
//! look. What `/proc` tells of the machine itself is `machine.rs`'s.

use std::collections::BTreeMap;

use super::{
    machine::{Machine, Process},
    run::{Fds, Handle, Input, Output, Shell, Stream},
    task::{self, Task},
    vars::Dialect,
    vfs::{Kind, Live, Node},
};

/// A process as its folder in `/proc` tells of it.
struct Told {
    pid: u32,
    parent: u32,
    /// User and group.
    owner: (u32, u32),
    /// When its folder was made, and when its files are looked at: Unix seconds.
    times: (i64, i64),
    name: String,
    /// Its words, each with a NUL behind it.
    command: Vec<u8>,
    program: String,
    /// What its descriptors lead to, with the permissions that say what each is open for.
    descriptors: BTreeMap<u32, (String, u32)>,
}

/// For reading, for writing, and for both.
const READS: u32 = 0o500;
const WRITES: u32 = 0o300;
const BOTH: u32 = 0o700;
/// The size that the kernel gives to a link to an open file.
const DESCRIPTOR: u64 = 64;

/// What the kernel makes as it is looked at.
fn made(kind: Kind, mode: u32, owner: (u32, u32), mtime: i64) -> Node {
    Node {
        kind,
        mode,
        uid: owner.0,
        gid: owner.1,
        mtime,
        stated: Some(0),
    }
}

/// A file of `/proc` or `/sys` that is made as it is read.
pub(super) fn file(content: impl Into<Vec<u8>>, mode: u32, owner: (u32, u32), now: i64) -> Node {
    let content: Vec<u8> = content.into();
    made(Kind::File(content.into()), mode, owner, now)
}

fn directory(mode: u32, owner: (u32, u32), mtime: i64) -> Node {
    made(Kind::Directory, mode, owner, mtime)
}

/// A link that the kernel follows without reading it.
fn link(target: &str, owner: (u32, u32), mtime: i64) -> Node {
    made(Kind::Link(target.to_owned()), 0o777, owner, mtime)
}

/// A process that was there before the visit.
pub(super) fn put_process(machine: &Machine, process: &Process, now: i64, live: &mut Live) {
    let owner = machine.ids(process.user);
    let folder = format!("/proc/{}", process.pid);
    let plain = process.command.trim_matches(['[', ']']);
    let name = machine.comm(process.pid).unwrap_or_else(|| {
        let program = plain.split(' ').next();
        program.and_then(|c| c.rsplit('/').next()).unwrap_or_default()
    });
    // A thread of the kernel has no words.
    let command = if process.rss_kb == 0 {
        String::new()
    } else {
        plain.replace(' ', "\0") + "\0"
    };
    live.insert(folder.clone(), directory(0o555, owner, process.started));
    live.insert(format!("{folder}/cmdline"), file(command, 0o444, owner, now));
    live.insert(
        format!("{folder}/comm"),
        file(format!("{name}\n"), 0o644, owner, now),
    );
    // A daemon that has changed its words names its program in them. A thread of the kernel has none.
    let program = plain.split(' ').find(|word| word.starts_with('/'));
    if let Some(program) = program.filter(|_| process.rss_kb > 0) {
        let program = program.trim_end_matches(',');
        let is_old = ["/bin/", "/sbin/", "/lib/"]
            .iter()
            .any(|old| program.starts_with(old));
        let program = match (is_old, machine.distribution.is_busybox()) {
            (false, _) => program.to_owned(),
            (true, false) => format!("/usr{program}"),
            (true, true) => "/bin/busybox".to_owned(),
        };
        live.insert(format!("{folder}/exe"), link(&program, owner, now));
    }
}

/// Put the files of a process into its folder: name, permissions, content.
fn put_files(live: &mut Live, folder: &str, files: Vec<(&str, u32, Vec<u8>)>, owner: (u32, u32), now: i64) {
    for (name, mode, content) in files {
        live.insert(format!("{folder}/{name}"), file(content, mode, owner, now));
    }
}

/// Put `ns` into the folder of a process.
fn put_namespaces(machine: &Machine, live: &mut Live, folder: &str, owner: (u32, u32), now: i64) {
    live.insert(format!("{folder}/ns"), directory(0o511, owner, now));
    for (name, target) in machine.namespaces() {
        live.insert(format!("{folder}/ns/{name}"), link(&target, owner, now));
    }
}

/// The first process: what it runs, and where.
pub(super) fn put_init(machine: &Machine, now: i64, live: &mut Live) {
    let root = (0, 0);
    let (name, program) = if machine.distribution.is_busybox() {
        ("init", "/bin/busybox")
    } else {
        ("systemd", "/usr/lib/systemd/systemd")
    };
    let first = Task {
        pid: 1,
        parent: 0,
        session: 1,
        uid: 0,
        gid: 0,
        umask: 0,
        name,
        program,
        began: machine.boot_time,
        terminal: None,
    };
    let mounts = machine.mounts();
    let environment = format!(
        "HOME=/\0TERM=linux\0BOOT_IMAGE=/boot/vmlinuz-{}\0PATH=/sbin:/usr/sbin:/bin:/usr/bin\0PWD=/\0",
        machine.kernel_release
    );
    let files = vec![
        ("cgroup", 0o444, b"0::/init.scope\n".to_vec()),
        ("environ", 0o400, environment.into()),
        ("mountinfo", 0o444, task::mountinfo(&mounts).into()),
        ("mounts", 0o444, mounts.into()),
        (
            "sched",
            0o644,
            format!("{name} (1, #threads: 1)\n{}\n", "-".repeat(67)).into(),
        ),
        ("stat", 0o444, first.stat(machine).into()),
        ("status", 0o444, first.status(machine).into()),
    ];
    put_files(live, "/proc/1", files, root, now);
    put_namespaces(machine, live, "/proc/1", root, now);
    for (name, target) in [("exe", program), ("cwd", "/"), ("root", "/")] {
        live.insert(format!("/proc/1/{name}"), link(target, root, now));
    }
    // Until somebody asks who is somebody.
    live.insert("/proc/self".to_owned(), link("1", root, machine.boot_time));
}

impl Shell {
    /// Let `/proc` tell of the shell itself.
    pub(super) fn tell_of_shell(&mut self, fds: &Fds) {
        let name = self.env.arg0.trim_start_matches('-').rsplit('/').next();
        let name = name.filter(|name| !name.is_empty()).unwrap_or("sh").to_owned();
        let program = match self.env.dialect {
            Dialect::Bash => "/usr/bin/bash",
            Dialect::Dash => "/usr/bin/dash",
            Dialect::Ash => "/bin/busybox",
        };
        let mut descriptors = self.descriptors(fds);
        if self.interactive && self.env.dialect == Dialect::Bash && self.terminal.is_some() {
            // bash keeps the terminal at hand.
            descriptors.insert(255, (format!("/dev/{}", self.tty_name()), BOTH));
        }
        let told = Told {
            pid: self.pid,
            parent: self.pid.saturating_sub(4),
            owner: (self.env.uid, self.env.gid),
            times: (self.started, self.now()),
            name,
            command: format!("{}\0", self.env.arg0).into_bytes(),
            program: program.to_owned(),
            descriptors,
        };
        self.tell_of(&told);
    }

    /// Let it tell of a program that runs; gives its process, for [`Shell::program_ended`].
    pub(super) fn tell_of_program(&mut self, name: &str, args: &[String], fds: &Fds) -> u32 {
        let pid = self.next_process();
        let path = self
            .command_path(name)
            .unwrap_or_else(|| format!("/usr/bin/{name}"));
        let program = self.vfs.resolve(self.who(), "/", &path, true).unwrap_or(path);
        let mut descriptors = self.descriptors(fds);
        if name == "ls" {
            // It has the folder open that it lists.
            descriptors.insert(3, (format!("/proc/{pid}/fd"), READS));
        }
        let words = std::iter::once(name).chain(args.iter().map(String::as_str));
        let now = self.now();
        let told = Told {
            pid,
            parent: self.pid,
            owner: (self.env.uid, self.env.gid),
            times: (now, now),
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            command: words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect(),
            program,
            descriptors,
        };
        self.tell_of(&told);
        pid
    }

    /// The process is gone, and who asks is the shell again.
    pub(super) fn program_ended(&mut self, pid: u32) {
        let (own, boot) = (self.pid.to_string(), self.machine.boot_time);
        let live = self.vfs.live_mut();
        let folder = format!("/proc/{pid}");
        live.retain(|path, _| {
            let below = path.strip_prefix(&folder);
            below.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        live.insert("/proc/self".to_owned(), link(&own, (0, 0), boot));
    }

    /// What the descriptors of a process lead to: the terminal, the pipes of the session where it has none, or what a
    /// redirection named.
    fn descriptors(&self, fds: &Fds) -> BTreeMap<u32, (String, u32)> {
        let terminal = || (format!("/dev/{}", self.tty_name()), BOTH);
        // sshd makes the three of a session one after the other.
        let pipe = |nth: u32| format!("pipe:[{}]", 20_011 + self.login_pid * 7 + nth);
        let of = |handle: Handle| match handle {
            Handle::In(Input::Session) | Handle::Out(Output::Session(_)) if self.terminal.is_some() => {
                terminal()
            }
            Handle::In(Input::Session) => (pipe(0), READS),
            Handle::Out(Output::Session(Stream::Out)) => (pipe(1), WRITES),
            Handle::Out(Output::Session(Stream::Err)) => (pipe(2), WRITES),
            Handle::In(Input::Bytes(_) | Input::Long(_)) => (pipe(5), READS),
            Handle::Out(Output::Buffer(_)) => (pipe(6), WRITES),
            Handle::Out(Output::File(path)) => (path, WRITES),
            Handle::Out(Output::Null) => ("/dev/null".to_owned(), WRITES),
        };
        let open = [0, 1, 2].into_iter().chain(fds.more.keys().copied());
        open.filter_map(|fd| Some((fd, of(fds.handle(fd)?)))).collect()
    }

    fn tell_of(&mut self, told: &Told) {
        let folder = format!("/proc/{}", told.pid);
        let (owner, (began, now)) = (told.owner, told.times);
        let (uid, gid) = owner;
        let session = self.session_number();
        let name = &told.name;
        let machine = std::sync::Arc::clone(&self.machine);
        let task = Task {
            pid: told.pid,
            parent: told.parent,
            session: self.login_pid,
            uid,
            gid,
            umask: self.env.umask,
            name,
            program: &told.program,
            began,
            terminal: self.terminal.and(self.seat.as_ref()).map(|seat| seat.terminal),
        };
        let cgroup = format!("0::/user.slice/user-{uid}.slice/session-{session}.scope\n");
        let environment: Vec<u8> = self
            .env
            .vars
            .iter()
            .filter(|(_, var)| var.exported)
            .flat_map(|(name, var)| [name.as_bytes(), b"=", &var.value, b"\0"].concat())
            .collect();
        let mounts = machine.mounts();
        let map = b"         0          0 4294967295\n";
        let files = vec![
            ("cgroup", 0o444, cgroup.into()),
            ("cmdline", 0o444, told.command.clone()),
            ("comm", 0o644, format!("{name}\n").into()),
            ("cpuset", 0o444, b"/\n".to_vec()),
            ("environ", 0o400, environment),
            ("gid_map", 0o644, map.to_vec()),
            ("limits", 0o444, task::limits(&machine).into()),
            ("loginuid", 0o644, uid.to_string().into()),
            ("maps", 0o444, task.maps(&machine).into()),
            ("mountinfo", 0o444, task::mountinfo(&mounts).into()),
            ("mounts", 0o444, mounts.into()),
            ("oom_adj", 0o644, b"0\n".to_vec()),
            ("oom_score", 0o444, b"666\n".to_vec()),
            ("oom_score_adj", 0o644, b"0\n".to_vec()),
            ("personality", 0o400, b"00000000\n".to_vec()),
            ("sessionid", 0o444, session.to_string().into()),
            ("setgroups", 0o644, b"allow\n".to_vec()),
            ("stat", 0o444, task.stat(&machine).into()),
            ("statm", 0o444, Task::statm().into()),
            ("status", 0o444, task.status(&machine).into()),
            ("uid_map", 0o644, map.to_vec()),
            ("wchan", 0o444, b"0".to_vec()),
        ];
        let links = [
            ("cwd", self.env.cwd.clone()),
            ("exe", told.program.clone()),
            ("root", "/".to_owned()),
        ];
        let boot = self.machine.boot_time;
        let live = self.vfs.live_mut();
        live.insert(folder.clone(), directory(0o555, owner, began));
        put_files(live, &folder, files, owner, now);
        put_namespaces(&machine, live, &folder, owner, now);
        for (name, target) in links {
            live.insert(format!("{folder}/{name}"), link(&target, owner, now));
        }
        live.insert(format!("{folder}/fd"), directory(0o500, owner, now));
        for (fd, (target, mode)) in &told.descriptors {
            let open = Node {
                mode: *mode,
                stated: Some(DESCRIPTOR),
                ..link(target, owner, now)
            };
            live.insert(format!("{folder}/fd/{fd}"), open);
        }
        live.insert("/proc/self".to_owned(), link(&told.pid.to_string(), (0, 0), boot));
    }
}
