//! What the files of a process in `/proc` say (proc(5)): its state, its memory, its limits, its mounts. All sizes are those of a small
//! program, and agree with each other.

use std::fmt::Write as _;

use super::machine::Machine;

/// Memory of a small program, in KiB: all that it may touch, and what it has.
const VIRTUAL_KB: u64 = 7_164;
/// See [`VIRTUAL_KB`].
const RESIDENT_KB: u64 = 4_820;
/// A page of memory, in KiB.
const PAGE_KB: u64 = 4;
/// The width up to which the kernel fills a line of `maps` before its path.
const MAPS_WIDTH: usize = 72;

/// A process, as its files tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// The process that leads its session.
    pub(super) session: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) umask: u32,
    pub(super) name: &'a str,
    pub(super) program: &'a str,
    /// When it began, in Unix seconds.
    pub(super) began: i64,
    /// Whether it has a terminal.
    pub(super) terminal: Option<u32>,
}

impl Task<'_> {
    /// `status`.
    pub(super) fn status(&self, machine: &Machine) -> String {
        let Self {
            pid,
            parent,
            session,
            uid,
            gid,
            umask,
            name,
            ..
        } = self;
        let all = machine.capabilities();
        let own = if *uid == 0 { all } else { 0 };
        let cpus = machine.cores.clamp(1, 32);
        let mask = u32::MAX >> (32 - cpus);
        let (pending, last) = (machine.processes_max(), cpus - 1);
        format!(
            "Name:\t{name}\nUmask:\t{umask:04o}\nState:\tR (running)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{parent}\n\
             TracerPid:\t0\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nFDSize:\t256\nGroups:\t{gid} \n\
             NStgid:\t{pid}\nNSpid:\t{pid}\nNSpgid:\t{pid}\nNSsid:\t{session}\nVmPeak:\t{VIRTUAL_KB:>8} kB\n\
             VmSize:\t{VIRTUAL_KB:>8} kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t{RESIDENT_KB:>8} kB\n\
             VmRSS:\t{RESIDENT_KB:>8} kB\nRssAnon:\t     512 kB\nRssFile:\t    4308 kB\nRssShmem:\t       0 kB\n\
             VmData:\t     532 kB\nVmStk:\t     132 kB\nVmExe:\t     720 kB\nVmLib:\t    1692 kB\nVmPTE:\t      56 kB\n\
             VmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\nCoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t1\n\
             SigQ:\t0/{pending}\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n\
             SigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\nCapInh:\t0000000000000000\nCapPrm:\t{own:016x}\n\
             CapEff:\t{own:016x}\nCapBnd:\t{all:016x}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n\
             Seccomp_filters:\t0\nSpeculation_Store_Bypass:\tthread vulnerable\n\
             SpeculationIndirectBranch:\tconditional enabled\nCpus_allowed:\t{mask:x}\nCpus_allowed_list:\t0-{last}\n\
             Mems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t1\n\
             nonvoluntary_ctxt_switches:\t0\n"
        )
    }

    /// `stat`: the fields that `ps` reads.
    pub(super) fn stat(&self, machine: &Machine) -> String {
        let Self {
            pid,
            parent,
            session,
            name,
            ..
        } = self;
        // The kernel counts in hundredths of a second since the machine started.
        let began = self.began.saturating_sub(machine.boot_time).max(0) * 100;
        // Pseudo-terminals are devices of the major number 136.
        let terminal = self.terminal.map_or(0, |nth| 136 << 8 | nth);
        let group = if terminal == 0 {
            "-1".to_owned()
        } else {
            pid.to_string()
        };
        let (memory, pages) = (VIRTUAL_KB * 1_024, RESIDENT_KB / PAGE_KB);
        let code = self.places(machine).0;
        format!(
            "{pid} ({name}) R {parent} {pid} {session} {terminal} {group} 4194304 214 0 0 0 0 0 0 0 20 0 1 0 {began} {memory} {pages} \
             18446744073709551615 {code} {} 140725116412192 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 {} {} {} 140725116415683 140725116415703 \
             140725116415703 140725116416987 0\n",
            code + 737_280,
            code + 950_272,
            code + 960_432,
            code + 20_480_000
        )
    }

    /// `statm`: in pages.
    pub(super) fn statm() -> String {
        format!(
            "{} {} {} 180 0 133 0\n",
            VIRTUAL_KB / PAGE_KB,
            RESIDENT_KB / PAGE_KB,
            4_308 / PAGE_KB
        )
    }

    /// Where its program and its libraries are, in bytes.
    fn places(&self, machine: &Machine) -> (u64, u64) {
        let drawn = u64::from(machine.draw("maps", i64::from(self.pid)));
        (
            0x5555_0000_0000 + (drawn << 12),
            0x7f00_0000_0000 + (drawn.rotate_left(16) & 0xff_ffff) * 0x1000,
        )
    }

    /// `maps`.
    pub(super) fn maps(&self, machine: &Machine) -> String {
        if machine.is_device() {
            return "00010000-000d2000 r-xp 00000000 1f:03 412        /bin/busybox\n\
                    000e2000-000e3000 rw-p 000c2000 1f:03 412        /bin/busybox\n\
                    01a4f000-01a70000 rw-p 00000000 00:00 0          [heap]\n\
                    bec61000-bec82000 rw-p 00000000 00:00 0          [stack]\n\
                    ffff0000-ffff1000 r-xp 00000000 00:00 0          [vectors]\n"
                .to_owned();
        }
        let (code, shared) = self.places(machine);
        let inode = 131_073 + u64::from(machine.draw(self.program, 0) % 200_000);
        let mut out = String::new();
        let mut put = |from: u64, pages: u64, may: &str, offset: u64, inode: u64, path: &str| {
            let device = if inode == 0 { "00:00" } else { "08:01" };
            let to = from + pages * 0x1000;
            let line = format!("{from:012x}-{to:012x} {may} {offset:08x} {device} {inode} ");
            // Writing into memory cannot fail.
            let _infallible = writeln!(out, "{line:<MAPS_WIDTH$} {path}");
        };
        for (start, pages, may) in [
            (0, 47, "r--p"),
            (47, 178, "r-xp"),
            (225, 54, "r--p"),
            (279, 4, "r--p"),
            (283, 9, "rw-p"),
        ] {
            put(
                code + start * 0x1000,
                pages,
                may,
                start * 0x1000,
                inode,
                self.program,
            );
        }
        put(code + 0x138_8000, 33, "rw-p", 0, 0, "[heap]");
        if let Some((libc, loader)) = machine.distribution.libc() {
            for (start, pages, may) in [
                (0, 38, "r--p"),
                (38, 341, "r-xp"),
                (379, 83, "r--p"),
                (462, 4, "r--p"),
                (466, 2, "rw-p"),
            ] {
                put(
                    shared + start * 0x1000,
                    pages,
                    may,
                    start * 0x1000,
                    inode + 2_311,
                    libc,
                );
            }
            for (start, pages, may) in [(0, 1, "r--p"), (1, 37, "r-xp"), (38, 10, "r--p"), (48, 2, "rw-p")] {
                let from = shared + (0x1f0 + start) * 0x1000;
                put(from, pages, may, start * 0x1000, inode + 2_305, loader);
            }
        }
        put(0x7ffd_1c2e_1000, 33, "rw-p", 0, 0, "[stack]");
        put(0x7ffd_1c3a_a000, 4, "r--p", 0, 0, "[vvar]");
        put(0x7ffd_1c3a_e000, 2, "r-xp", 0, 0, "[vdso]");
        out
    }
}

/// `limits` of every session.
pub(super) fn limits(machine: &Machine) -> String {
    let processes = machine.processes_max().to_string();
    let locked = (machine.mem_kb / 8 * 1_024).to_string();
    let (no, open) = ("unlimited", "1048576");
    let rows = [
        ("Max cpu time", no, no, "seconds"),
        ("Max file size", no, no, "bytes"),
        ("Max data size", no, no, "bytes"),
        ("Max stack size", "8388608", no, "bytes"),
        ("Max core file size", "0", no, "bytes"),
        ("Max resident set", no, no, "bytes"),
        ("Max processes", &processes, &processes, "processes"),
        ("Max open files", "1024", open, "files"),
        ("Max locked memory", &locked, &locked, "bytes"),
        ("Max address space", no, no, "bytes"),
        ("Max file locks", no, no, "locks"),
        ("Max pending signals", &processes, &processes, "signals"),
        ("Max msgqueue size", "819200", "819200", "bytes"),
        ("Max nice priority", "0", "0", ""),
        ("Max realtime priority", "0", "0", ""),
        ("Max realtime timeout", no, no, "us"),
    ];
    let mut out = format!(
        "{:<25} {:<20} {:<20} {:<10}\n",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    );
    for (what, soft, hard, unit) in rows {
        let _infallible = writeln!(out, "{what:<25} {soft:<20} {hard:<20} {unit:<10}");
    }
    out
}

/// `mountinfo`: the same as `mounts`, with the numbers of each mount and of its device.
pub(super) fn mountinfo(mounts: &str) -> String {
    /// The number of the first mount.
    const FIRST: usize = 21;
    /// What belongs to a mount and not to the file system that is mounted.
    const OWN: [&str; 7] = ["rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime"];
    let rows: Vec<[&str; 4]> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some([words.next()?, words.next()?, words.next()?, words.next()?])
        })
        .collect();
    let below = |path: &str, over: &str| {
        over == "/" && path != "/" || path.strip_prefix(over).is_some_and(|rest| rest.starts_with('/'))
    };
    let mut out = String::new();
    for (at, [source, path, kind, options]) in rows.iter().enumerate() {
        let over = rows
            .iter()
            .enumerate()
            .filter(|(_, [_, other, ..])| below(path, other));
        let parent = over
            .max_by_key(|(_, [_, other, ..])| other.len())
            .map_or(1, |(at, _)| FIRST + at);
        let device = match *source {
            "/dev/sda1" => "8:1".to_owned(),
            "/dev/root" => "31:3".to_owned(),
            other if other.starts_with("/dev/mtdblock") => "31:6".to_owned(),
            _ => format!("0:{}", FIRST + at),
        };
        let (own, of_all): (Vec<&str>, Vec<&str>) = options.split(',').partition(|o| OWN.contains(o));
        let first = own.first().copied().unwrap_or("rw");
        let of_all = [&[first][..], of_all.as_slice()].concat().join(",");
        let _infallible = writeln!(
            out,
            "{} {parent} {device} / {path} {} shared:{} - {kind} {source} {of_all}",
            FIRST + at,
            own.join(","),
            at + 1
        );
    }
    out
}

impl Machine {
    /// The kernel's major and minor version.
    fn kernel(&self) -> (u32, u32) {
        let mut numbers = self
            .kernel_release
            .split(['.', '-'])
            .map_while(|n| n.parse().ok());
        (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        )
    }

    /// All capabilities that its kernel has, a bit for each.
    fn capabilities(&self) -> u64 {
        let last = match self.kernel() {
            // CAP_CHECKPOINT_RESTORE, CAP_BPF with CAP_PERFMON, and CAP_AUDIT_READ before them.
            (6.., _) | (5, 9..) => 40,
            (5, 8) => 39,
            _ => 37,
        };
        u64::MAX >> (63 - last)
    }

    /// How many processes an account may have, and signals that wait.
    pub(super) fn processes_max(&self) -> u64 {
        self.mem_kb / 261
    }

    /// The links of `ns`: the namespaces that the kernel makes as it starts, which everything outside of containers is in.
    pub(super) fn namespaces(&self) -> Vec<(&'static str, String)> {
        let new = self.kernel() >= (6, 0);
        let (mount, network) = if new {
            (4_026_531_841, 4_026_531_840)
        } else {
            (4_026_531_840, 4_026_531_992)
        };
        let mut all = vec![
            ("cgroup", "cgroup", 4_026_531_835_u32),
            ("ipc", "ipc", 4_026_531_839),
            ("mnt", "mnt", mount),
            ("net", "net", network),
            ("pid", "pid", 4_026_531_836),
            ("pid_for_children", "pid", 4_026_531_836),
            ("user", "user", 4_026_531_837),
            ("uts", "uts", 4_026_531_838),
        ];
        if self.kernel() >= (5, 6) {
            all.push(("time", "time", 4_026_531_834));
            all.push(("time_for_children", "time", 4_026_531_834));
        }
        all.into_iter()
            .map(|(name, kind, inode)| (name, format!("{kind}:[{inode}]")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mount_is_below_the_one_that_it_is_on() {
        let mounts = "proc /proc proc rw,nosuid,relatime 0 0\n/dev/sda1 / ext4 rw,relatime,errors=remount-ro 0 0\n\
                      udev /dev devtmpfs rw,nosuid,size=9k 0 0\ndevpts /dev/pts devpts rw,gid=5 0 0\n";
        assert_eq!(
            mountinfo(mounts),
            "21 22 0:21 / /proc rw,nosuid,relatime shared:1 - proc proc rw\n\
             22 1 8:1 / / rw,relatime shared:2 - ext4 /dev/sda1 rw,errors=remount-ro\n\
             23 22 0:23 / /dev rw,nosuid shared:3 - devtmpfs udev rw,size=9k\n\
             24 23 0:24 / /dev/pts rw shared:4 - devpts devpts rw,gid=5\n"
        );
    }
}
