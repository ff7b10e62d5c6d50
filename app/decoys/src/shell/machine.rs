//! The machine behind the shell: accounts, hardware, processes and the files that tell of them, all drawn from the
//! persona, so that `free`, `/proc/meminfo` and `top` agree with each other and with the next visit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use decnet_persona::{Persona, ProductKind, bait};
use sha2::{Digest as _, Sha512};

use super::{
    accounts::{self, System},
    daemons::{Programs, Unit},
    distribution::{Distribution, Family},
    platform::Platform,
    proc,
    vfs::{Base, Device, Kind, Live, Node},
};
use crate::serve::Services;

/// The listing of a server's file system, taken from the packages of Debian 12: `kind mode size path [target]`.
const TREE: &str = include_str!("data/tree.txt");

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) gecos: String,
    pub(crate) home: String,
    pub(crate) shell: String,
    pub(crate) admin: bool,
    pub(super) password: String,
}

/// A process that was there before the visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// When it was started, in Unix seconds.
    pub(crate) started: i64,
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) user: &'static str,
    pub(crate) rss_kb: u32,
    pub(crate) command: String,
}

/// A login as `/var/log/lastlog` keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// Unix seconds.
    pub(crate) at: i64,
    /// The address that it came from.
    pub(crate) from: String,
}

/// Accounts whose last login is kept: those of the machine and as many again that only the policy lets in.
const LOGINS_MAX: usize = 64;

/// A processor as CPUID tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) vendor: &'static str,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
    /// Its clock, rounded down.
    pub(crate) mhz: u32,
}

/// What runs on the machine at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) processes: Vec<Process>,
    /// TCP ports that listen, with the program that holds them.
    pub(crate) listening: Vec<(u16, &'static str, u32)>,
}

/// What the machine is.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) domain: String,
    pub(crate) distribution: Distribution,
    pub(crate) pretty: &'static str,
    pub(crate) kernel_release: &'static str,
    pub(crate) kernel_version: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) uname: String,
    pub(crate) accounts: Vec<Account>,
    pub(crate) boot_time: i64,
    pub(crate) address: String,
    pub(crate) gateway: String,
    /// Hardware address of the gateway.
    pub(crate) gateway_mac: String,
    /// Milliseconds after which what the machine connects to fails.
    pub(crate) hang_ms: u32,
    pub(crate) mac: String,
    pub(crate) interface: &'static str,
    pub(crate) platform: Platform,
    /// Serial number and UUID of the hardware.
    pub(super) serial: (String, String),
    pub(crate) cpu: &'static str,
    pub(crate) cores: u32,
    pub(crate) mem_kb: u64,
    pub(crate) mem_used_kb: u64,
    pub(crate) disk_kb: u64,
    pub(crate) disk_used_kb: u64,
    /// What runs whatever the decky offers.
    always: Vec<Process>,
    /// What the decky offers, as it is by now.
    pub(super) services: Arc<Services>,
    os_release: String,
    pub(super) machine_id: String,
    pub(super) admin_group: &'static str,
    pub(super) secret: [u8; 32],
    /// Accounts of the system and of its services, beside those of people.
    system: Vec<System>,
    pub(super) programs: Programs,
    /// The last login of each account.
    logins: Mutex<BTreeMap<String, Login>>,
    /// The same before the first visitor.
    pub(super) first_logins: BTreeMap<String, Login>,
    pub(super) logbook: super::logins::Logbook,
    /// The bait that redis holds, where the machine runs it.
    pub(super) keys: Vec<bait::RedisEntry>,
    /// What servers say first, by port.
    pub(super) greetings: Vec<(u16, String)>,
    /// The SSH server's Ed25519 key in base64, and its fingerprint.
    pub(super) host_key: String,
    pub(super) fingerprint: String,
    /// When the system was installed, in Unix seconds.
    pub(super) installed: i64,
    /// What a device's tree says it is; empty on a server.
    pub(super) board: &'static str,
}

impl Machine {
    pub(crate) fn new(persona: &Persona, services: Arc<Services>) -> Self {
        let mut rng = persona.rng("shell/machine");
        let release = persona.release();
        let kernel = persona.kernel();
        let accounts = persona
            .users
            .iter()
            .map(|u| Account {
                name: u.name.clone(),
                uid: u.uid,
                gid: u.gid,
                gecos: u.full_name.clone(),
                home: u.home.clone(),
                shell: u.shell.clone(),
                admin: u.admin,
                password: u.password.clone(),
            })
            .collect();
        let mem_kb = *rng
            .pick(&[2_014_584, 4_028_176, 8_131_664, 16_362_108])
            .unwrap_or(&4_028_176);
        let disk_kb = *rng
            .pick(&[20_466_256, 41_020_640, 82_044_756, 154_817_936])
            .unwrap_or(&41_020_640);
        let net = rng.range(1, 250);
        let (address, gateway) = (
            format!("10.{}.{net}.{}", rng.range(1, 60), rng.range(10, 240)),
            String::new(),
        );
        let gateway = match address.rsplit_once('.') {
            Some((head, _)) => format!("{head}.1"),
            None => gateway,
        };
        let distribution = Distribution::new(persona);
        let (host_key, fingerprint) = crate::ssh::host_key(persona);
        let hardware = (distribution.family == Family::Device).then(|| hardware(persona));
        let mut machine = Self {
            hostname: persona.hostname.clone(),
            domain: persona.domain.clone(),
            distribution: distribution.clone(),
            pretty: release.pretty,
            kernel_release: kernel.release,
            kernel_version: kernel.version,
            architecture: kernel.machine,
            uname: persona.uname(),
            accounts,
            boot_time: persona.boot_time,
            address,
            gateway,
            gateway_mac: gateway_mac(persona),
            hang_ms: u32::try_from(persona.rng("shell/hang").range(7_000, 17_000)).unwrap_or(12_000),
            mac: persona.mac.to_string().to_lowercase(),
            platform: Platform::of(persona.mac),
            serial: (
                hex::encode_upper(persona.secret("shell/serial").get(..4).unwrap_or_default()),
                persona.uuid("shell/uuid").to_string(),
            ),
            interface: *rng
                .pick(&["eth0", "ens18", "ens192", "enp1s0"])
                .unwrap_or(&"eth0"),
            cpu: *rng
                .pick(&[
                    "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
                    "Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz",
                    "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
                    "AMD EPYC 7302P 16-Core Processor",
                ])
                .unwrap_or(&"Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"),
            cores: *rng.pick(&[2, 4, 4, 8]).unwrap_or(&2),
            mem_kb,
            mem_used_kb: mem_kb / 100 * rng.range(18, 46),
            disk_kb,
            disk_used_kb: disk_kb / 100 * rng.range(14, 61),
            always: Vec::new(),
            services,
            os_release: persona.os_release(),
            machine_id: persona.machine_id(),
            admin_group: persona.distro.admin_group(),
            secret: persona.secret("shell/accounts"),
            system: Vec::new(),
            programs: Programs::of(persona, distribution.family),
            logins: Mutex::new(logins(persona)),
            first_logins: logins(persona),
            logbook: super::logins::Logbook::default(),
            keys: Vec::new(),
            greetings: vec![
                (
                    21,
                    format!("220 {}\r\n", persona.product(ProductKind::Ftp).banner),
                ),
                (22, format!("{}\r\n", persona.product(ProductKind::Ssh).banner)),
                (
                    25,
                    format!(
                        "220 {} {}\r\n",
                        persona.fqdn(),
                        persona.product(ProductKind::Mail).banner
                    ),
                ),
            ],
            host_key,
            fingerprint,
            installed: persona.boot_time
                - 86_400 * i64::try_from(persona.rng("shell/installed").range(40, 500)).unwrap_or(90),
            board: "",
        };
        if let Some(hardware) = hardware {
            machine.cpu = hardware.cpu;
            machine.board = hardware.board;
            machine.cores = hardware.cores;
            machine.mem_kb = hardware.mem_kb;
            machine.mem_used_kb = hardware.mem_kb / 100 * (35 + machine.disk_kb % 27);
            machine.disk_kb = hardware.flash_kb;
            machine.disk_used_kb = hardware.flash_kb;
            machine.interface = "eth0";
        }
        machine.system = machine.system_accounts(persona);
        if machine.slugs(persona).any(|slug| slug == "redis") {
            machine.keys = bait::redis(persona);
        }
        machine.start(persona);
        machine
    }

    /// The services of the persona and those that are offered at the start.
    fn slugs(&self, persona: &Persona) -> impl Iterator<Item = String> {
        let services = persona.services.iter().map(|s| s.as_str().to_owned());
        let offered = self.services.now().into_iter().map(|o| o.slug);
        services.chain(offered).collect::<Vec<_>>().into_iter()
    }

    /// The accounts of the family, and those that the packages of what the persona runs have made. An account that the
    /// persona has of the same name is that one.
    fn system_accounts(&self, persona: &Persona) -> Vec<System> {
        let family = self.distribution.family;
        let users = self
            .slugs(persona)
            .filter_map(|slug| self.programs.daemon(&slug))
            .flat_map(|daemon| daemon.processes.iter().map(|p| p.0));
        let mut out = accounts::system(family).to_vec();
        for user in users {
            if !out.iter().any(|a| a.0 == user)
                && let Some(account) = accounts::of_service(family, user)
            {
                out.push(account);
            }
        }
        out.retain(|a| self.account(a.0).is_none());
        out
    }

    /// The units of systemd that this machine may have.
    pub(crate) fn units(&self) -> impl Iterator<Item = Unit> + '_ {
        self.programs.units()
    }

    /// See [`Programs::unit_name`].
    pub(crate) fn unit_name<'a>(&self, wanted: &'a str) -> &'a str {
        self.programs.unit_name(wanted)
    }

    /// What runs whatever the decky offers: the kernel's threads and the system's services.
    fn start(&mut self, persona: &Persona) {
        let mut rng = persona.rng("shell/processes");
        let boot = self.boot_time;
        let kernel = [
            "kthreadd",
            "rcu_gp",
            "rcu_par_gp",
            "slub_flushwq",
            "netns",
            "kworker/0:0H-events_highpri",
            "mm_percpu_wq",
            "rcu_tasks_kthread",
            "rcu_tasks_rude_kthread",
            "rcu_tasks_trace_kthread",
            "ksoftirqd/0",
            "rcu_preempt",
            "migration/0",
            "cpuhp/0",
            "kdevtmpfs",
            "inet_frag_wq",
            "kauditd",
            "khungtaskd",
            "oom_reaper",
            "writeback",
            "kcompactd0",
            "ksmd",
            "khugepaged",
            "kintegrityd",
            "kblockd",
            "blkcg_punt_bio",
            "kswapd0",
            "kthrotld",
            "scsi_eh_0",
            if self.distribution.root_fs() == "xfs" {
                "xfs-buf/sda1"
            } else {
                "jbd2/sda1-8"
            },
            if self.distribution.root_fs() == "xfs" {
                "xfsaild/sda1"
            } else {
                "ext4-rsv-conver"
            },
        ];
        let mut all = vec![Process {
            started: boot,
            pid: 1,
            ppid: 0,
            user: "root",
            rss_kb: 12_440,
            command: match self.distribution.family {
                Family::Device => "init".into(),
                Family::RedHat => "/usr/lib/systemd/systemd --switched-root --system --deserialize 31".into(),
                _ => "/sbin/init".into(),
            },
        }];
        let kernel: &[&str] = match self.distribution.family {
            Family::Device => kernel.get(..12).unwrap_or_default(),
            _ => &kernel,
        };
        for (i, name) in kernel.iter().enumerate() {
            let pid = 2 + u32::try_from(i).unwrap_or(0);
            all.push(Process {
                started: boot,
                pid,
                ppid: if i == 0 { 0 } else { 2 },
                user: "root",
                rss_kb: 0,
                command: format!("[{name}]"),
            });
        }
        let services: &[(&'static str, u32, &str)] = match self.distribution.family {
            Family::Alpine => &[
                ("root", 1_004, "/sbin/syslogd -t"),
                ("root", 968, "/usr/sbin/crond -c /etc/crontabs -f"),
                (
                    "root",
                    1_012,
                    "/sbin/udhcpc -b -R -p /var/run/udhcpc.eth0.pid -i eth0",
                ),
                (
                    "root",
                    4_216,
                    "sshd: /usr/sbin/sshd [listener] 0 of 10-100 startups",
                ),
                ("root", 940, "/sbin/getty 38400 tty1"),
            ],
            Family::Device => &[
                ("root", 812, "/sbin/syslogd -n"),
                ("root", 796, "/sbin/klogd -n"),
                (
                    "root",
                    1_020,
                    "/usr/sbin/dropbear -F -P /var/run/dropbear.1.pid -p 22 -K 300",
                ),
                ("root", 844, "/usr/sbin/crond -f -c /etc/crontabs -l 5"),
                (
                    "root",
                    860,
                    "udhcpc -p /var/run/udhcpc-eth0.pid -s /lib/netifd/dhcp.script -f -t 0 -i eth0",
                ),
                ("root", 804, "/sbin/getty -L ttyS0 115200 vt100"),
            ],
            Family::RedHat => &[
                ("root", 13_844, "/usr/lib/systemd/systemd-journald"),
                ("root", 12_612, "/usr/lib/systemd/systemd-udevd"),
                (
                    "dbus",
                    3_984,
                    "/usr/bin/dbus-broker-launch --scope system --audit",
                ),
                ("chrony", 3_336, "/usr/sbin/chronyd -F 2"),
                ("root", 12_760, "/usr/lib/systemd/systemd-logind"),
                ("root", 20_412, "/usr/sbin/NetworkManager --no-daemon"),
                (
                    "root",
                    9_216,
                    "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
                ),
                ("root", 7_536, "/usr/sbin/rsyslogd -n"),
                ("root", 3_808, "/usr/sbin/crond -n"),
                ("root", 1_792, "/sbin/agetty -o -p -- \\u --noclear - linux"),
            ],
            Family::Arch => &[
                ("root", 22_344, "/usr/lib/systemd/systemd-journald"),
                ("root", 9_612, "/usr/lib/systemd/systemd-udevd"),
                (
                    "dbus",
                    3_984,
                    "/usr/bin/dbus-broker-launch --scope system --audit",
                ),
                ("root", 8_760, "/usr/lib/systemd/systemd-logind"),
                ("root", 2_092, "/sbin/agetty -o -p -- \\u --noclear - linux"),
                (
                    "root",
                    9_216,
                    "sshd: /usr/bin/sshd -D [listener] 0 of 10-100 startups",
                ),
            ],
            Family::Debian => &[
                ("root", 22_344, "/lib/systemd/systemd-journald"),
                ("root", 6_612, "/lib/systemd/systemd-udevd"),
                ("root", 2_808, "/usr/sbin/cron -f"),
                (
                    "messagebus",
                    4_984,
                    "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only",
                ),
                ("root", 5_536, "/usr/sbin/rsyslogd -n -iNONE"),
                ("root", 7_760, "/lib/systemd/systemd-logind"),
                ("root", 1_092, "/sbin/agetty -o -p -- \\u --noclear - linux"),
                (
                    "root",
                    9_216,
                    "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
                ),
            ],
        };
        let mut pid = 240;
        for &(user, rss_kb, command) in services {
            pid += u32::try_from(rng.range(3, 70)).unwrap_or(9);
            all.push(Process {
                started: boot,
                pid,
                ppid: 1,
                user,
                rss_kb,
                command: command.to_owned(),
            });
        }
        self.always = all;
    }

    /// What the process `pid` calls itself where that is not the name of its program: systemd was started as init.
    pub(crate) fn comm(&self, pid: u32) -> Option<&'static str> {
        (pid == 1 && !self.distribution.is_busybox()).then_some("systemd")
    }

    /// What runs now: with the services that the decky offers by now. One that is offered since the machine started has
    /// the process id of a late start.
    pub(crate) fn running(&self) -> Running {
        let mut out = Running {
            processes: self.always.clone(),
            listening: Vec::new(),
        };
        let listener = |p: &&Process| p.command.starts_with("sshd: ") || p.command.contains("/dropbear ");
        if let Some(server) = out.processes.iter().find(listener) {
            let name = if server.command.starts_with("sshd") {
                "sshd"
            } else {
                "dropbear"
            };
            out.listening.push((22, name, server.pid));
        }
        for offered in self.services.now() {
            let Some(daemon) = self.programs.daemon(&offered.slug) else {
                continue;
            };
            if out.listening.iter().any(|l| l.0 == daemon.port) {
                continue;
            }
            // One program may answer on several ports.
            let first = daemon.processes.first();
            let known = first.and_then(|f| out.processes.iter().find(|p| p.command == f.2));
            if let Some(known) = known {
                let pid = known.pid;
                out.listening.push((daemon.port, daemon.name, pid));
                continue;
            }
            let mut above = None;
            for (user, rss_kb, command) in daemon.processes {
                let hash = Sha512::new()
                    .chain_update(self.secret)
                    .chain_update(command)
                    .finalize();
                let drawn = hash.iter().take(2).fold(0_u32, |n, b| n << 8 | u32::from(*b));
                let (started, mut pid) = match (above, offered.since) {
                    (Some(parent), since) => (since.unwrap_or(self.boot_time), parent + 1),
                    (None, None) => (self.boot_time, 700 + drawn % 220),
                    (None, Some(at)) => (at, 9_000 + drawn % 19_000),
                };
                while out.processes.iter().any(|p| p.pid == pid) {
                    pid += 1;
                }
                out.processes.push(Process {
                    started,
                    pid,
                    ppid: above.unwrap_or(1),
                    user,
                    rss_kb: *rss_kb,
                    command: (*command).to_owned(),
                });
                above.get_or_insert(pid);
            }
            if let Some(pid) = above {
                out.listening.push((daemon.port, daemon.name, pid));
            }
        }
        out.processes.sort_by_key(|p| p.pid);
        out
    }

    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.name == name)
    }

    /// Whether a package has an account of that name.
    pub(super) fn has_system(&self, name: &str) -> bool {
        self.system.iter().any(|a| a.0 == name)
    }

    /// The account of that name; one as `useradd` would have made it where there is none.
    pub(crate) fn account_or_new(&self, name: &str) -> Account {
        self.account(name).cloned().unwrap_or_else(|| {
            let system = self.system.iter().find(|a| a.0 == name);
            let clean: String = name
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                .take(32)
                .collect();
            let clean = if clean.trim_matches('.').is_empty() {
                "user".to_owned()
            } else {
                clean
            };
            Account {
                uid: system.map_or(1_010, |a| a.1),
                gid: system.map_or(1_010, |a| a.2),
                gecos: String::new(),
                home: system.map_or_else(|| format!("/home/{clean}"), |a| a.4.to_owned()),
                shell: "/bin/bash".to_owned(),
                admin: false,
                password: String::new(),
                name: clean,
            }
        })
    }

    /// The user and group that a name stands for; root's where it is nobody's.
    pub(super) fn ids(&self, name: &str) -> (u32, u32) {
        let account = self.account(name).map(|a| (a.uid, a.gid));
        let system = || self.system.iter().find(|a| a.0 == name).map(|a| (a.1, a.2));
        account.or_else(system).unwrap_or_default()
    }

    pub(crate) fn user_name(&self, uid: u32) -> String {
        if let Some(account) = self.accounts.iter().find(|a| a.uid == uid) {
            return account.name.clone();
        }
        self.system
            .iter()
            .find(|a| a.1 == uid)
            .map_or_else(|| uid.to_string(), |a| a.0.to_owned())
    }

    pub(crate) fn group_name(&self, gid: u32) -> String {
        if let Some(account) = self.accounts.iter().find(|a| a.gid == gid) {
            return account.name.clone();
        }
        let group = accounts::groups(self.distribution.family)
            .iter()
            .find(|g| g.1 == gid);
        match group {
            Some(group) => group.0.to_owned(),
            None => self
                .system
                .iter()
                .find(|a| a.2 == gid)
                .map_or_else(|| gid.to_string(), |a| a.0.to_owned()),
        }
    }

    /// Note that `user` signs in at a terminal, and tell when it did so before; nothing at its first time.
    pub(crate) fn login(&self, user: &str, from: &str, now: i64) -> Option<Login> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let before = logins.get(user).cloned();
        if before.is_some() || logins.len() < LOGINS_MAX {
            let from = from.to_owned();
            logins.insert(user.to_owned(), Login { at: now, from });
        }
        before
    }

    /// Whether that is the account's password.
    pub(crate) fn knows(&self, user: &str, password: &[u8]) -> bool {
        self.account(user)
            .is_some_and(|a| a.password.as_bytes() == password)
    }

    /// The file system of the machine as a visitor finds it.
    pub(crate) fn base(machine: &Arc<Self>, persona: &Persona) -> Base {
        let this = machine.as_ref();
        let installed = this.installed;
        let mut base = Base::from_listing(TREE, installed, |path| this.distribution.path(path));
        let node = |kind, mode, uid, gid| Node {
            kind,
            mode,
            uid,
            gid,
            mtime: installed,
            stated: None,
        };
        for (link, target) in [
            ("/bin", "usr/bin"),
            ("/sbin", "usr/sbin"),
            ("/lib", "usr/lib"),
            ("/lib64", "usr/lib64"),
        ]
        .into_iter()
        .filter(|_| !this.distribution.is_busybox())
        {
            base.put(link, node(Kind::Link(target.into()), 0o777, 0, 0));
        }
        if !this.distribution.is_busybox() && this.distribution.root_fs() == "ext4" {
            base.put("/lost+found", node(Kind::Directory, 0o700, 0, 0));
        }
        for (path, mode) in [
            ("/boot", 0o755),
            ("/etc", 0o755),
            ("/home", 0o755),
            ("/media", 0o755),
            ("/mnt", 0o755),
            ("/opt", 0o755),
            ("/root", 0o700),
            ("/srv", 0o755),
            ("/tmp", 0o1777),
            ("/usr", 0o755),
            ("/usr/bin", 0o755),
            ("/usr/sbin", 0o755),
            ("/usr/local", 0o755),
            ("/usr/local/bin", 0o755),
            ("/usr/local/sbin", 0o755),
            ("/var", 0o755),
            ("/var/tmp", 0o1777),
            ("/var/log", 0o755),
            ("/var/www", 0o755),
            ("/var/www/html", 0o755),
            ("/var/run", 0o755),
            ("/var/mail", 0o2775),
            ("/var/spool/cron/crontabs", 0o1730),
            ("/root/.ssh", 0o700),
        ] {
            base.put(path, node(Kind::Directory, mode, 0, 0));
        }
        if this.distribution.has_logind() {
            // As tmpfiles.d(5) makes them for X11, whether it is there or not.
            for name in [".ICE-unix", ".X11-unix", ".XIM-unix", ".font-unix"] {
                let place = Node {
                    mtime: this.boot_time,
                    ..node(Kind::Directory, 0o1777, 0, 0)
                };
                base.put(&format!("/tmp/{name}"), place);
            }
        }
        // What else is mounted: the kernel's own directories have no size, and tmpfs counts its entries.
        for (path, mode, size) in [
            ("/dev", 0o755, 3_180),
            ("/dev/shm", 0o1777, 40),
            ("/proc", 0o555, 0),
            ("/run", 0o755, 680),
            ("/run/lock", 0o1777, 80),
            ("/sys", 0o555, 0),
        ] {
            base.put(
                path,
                Node {
                    mtime: this.boot_time,
                    stated: Some(size),
                    ..node(Kind::Directory, mode, 0, 0)
                },
            );
        }
        let device_names = if this.is_device() { FLASH } else { DISK };
        // Name, numbers, group and mode, as devtmpfs and udev make them.
        for (name, block, major, minor, gid, mode) in [
            ("null", false, 1, 3, 0, 0o666),
            ("zero", false, 1, 5, 0, 0o666),
            ("full", false, 1, 7, 0, 0o666),
            ("random", false, 1, 8, 0, 0o666),
            ("urandom", false, 1, 9, 0, 0o666),
            ("kmsg", false, 1, 11, 0, 0o644),
            ("tty", false, 5, 0, 5, 0o666),
            ("console", false, 5, 1, 5, 0o600),
            ("ptmx", false, 5, 2, 5, 0o666),
            ("tty0", false, 4, 0, 5, 0o620),
            ("tty1", false, 4, 1, 5, 0o620),
        ]
        .into_iter()
        .chain(device_names.iter().copied())
        {
            let device = Device { block, major, minor };
            base.put(
                &format!("/dev/{name}"),
                Node {
                    mtime: this.boot_time,
                    ..node(Kind::Device(device), mode, 0, gid)
                },
            );
        }
        for (name, size) in [
            ("sudo", 281_624_u64),
            ("awk", 161_096),
            ("mawk", 161_096),
            ("python3", 6_831_736),
            ("perl", 3_857_656),
            ("busybox", 1_984_496),
            ("ifconfig", 80_744),
            ("netstat", 155_008),
            ("scp", 175_176),
            ("ftp", 0),
            ("crontab", 43_568),
            ("screen", 482_312),
            ("vi", 1_632_072),
            ("lscpu", 100_288),
            ("lspci", 89_864),
            ("dmidecode", 125_888),
            ("iptables", 98_952),
            ("lsof", 171_608),
            ("useradd", 151_144),
            ("chpasswd", 59_704),
            ("ip", 724_552),
            ("xxd", 18_744),
            ("killall", 31_992),
            ("nc", 43_984),
            ("top", 128_240),
            ("gzip", 98_136),
            ("tar", 531_984),
            ("unzip", 184_552),
            ("service", 9_102),
            ("reboot", 1_120_000),
        ] {
            if size > 0 && !this.distribution.is_busybox() {
                base.put(
                    &format!("/usr/bin/{name}"),
                    node(
                        Kind::Opaque(size),
                        if name == "sudo" { 0o4755 } else { 0o755 },
                        0,
                        0,
                    ),
                );
            }
        }
        let daemons: Vec<_> = this
            .slugs(persona)
            .filter_map(|slug| this.programs.daemon(&slug))
            .collect();
        let served = daemons.iter().flat_map(|daemon| daemon.programs().iter());
        for path in this.distribution.programs().iter().chain(served) {
            // A size for each, of the order that such programs have.
            let hash = Sha512::new().chain_update(path).finalize();
            let drawn = hash.iter().take(3).fold(0_u64, |n, b| n << 8 | u64::from(*b));
            let size = 22_000 + drawn % 31_000 * 8;
            let mode = if path.ends_with("/sudo") { 0o4755 } else { 0o755 };
            base.put(path, node(Kind::Opaque(size), mode, 0, 0));
        }
        if this.distribution.release.id == "ubuntu" {
            base.put("/usr/bin/lsb_release", node(Kind::Opaque(3_638), 0o755, 0, 0));
        }
        if !this.distribution.is_busybox() {
            let init = Kind::Link("../lib/systemd/systemd".to_owned());
            base.put("/usr/sbin/init", node(init, 0o777, 0, 0));
            let group = if this.admin_group == "wheel" {
                "wheel"
            } else {
                "sudo"
            };
            let sudoers = SUDOERS.replace("{group}", group);
            base.put(
                "/etc/sudoers",
                node(Kind::File(sudoers.into_bytes().into()), 0o440, 0, 0),
            );
            base.put("/etc/sudoers.d", node(Kind::Directory, 0o750, 0, 0));
            base.put(
                "/etc/sudoers.d/README",
                node(Kind::File(SUDOERS_D.as_bytes().into()), 0o440, 0, 0),
            );
        }
        let kernel = this.kernel_release;
        for (path, size) in [
            (format!("/usr/lib/modules/{kernel}/modules.dep"), 312_418),
            (format!("/usr/lib/modules/{kernel}/modules.alias"), 1_021_377),
            (format!("/usr/lib/modules/{kernel}/modules.builtin"), 9_214),
            (format!("/boot/vmlinuz-{kernel}"), 8_217_472),
            (format!("/boot/System.map-{kernel}"), 83),
            (format!("/boot/config-{kernel}"), 259_511),
        ] {
            if !this.distribution.is_busybox() {
                base.put(&path, node(Kind::Opaque(size), 0o644, 0, 0));
            }
        }
        if this.distribution.is_busybox() {
            base.put("/bin/busybox", node(Kind::Opaque(824_984), 0o755, 0, 0));
        }
        for path in this.distribution.applets() {
            base.put(&path, node(Kind::Link("/bin/busybox".into()), 0o777, 0, 0));
        }
        base.built_by(this.pretty, this.is_device());
        for (path, text) in this.distribution.texts() {
            base.put(path, node(Kind::File(text.into_bytes().into()), 0o644, 0, 0));
        }
        for (path, mode, text) in this.texts() {
            let kind = Kind::File(text.into_bytes().into());
            base.put(
                path,
                node(kind, mode, 0, if path == "/etc/shadow" { 42 } else { 0 }),
            );
        }
        for (path, mode, text) in this.sysfs() {
            base.put(&path, node(Kind::File(text.into_bytes().into()), mode, 0, 0));
        }
        for account in &this.accounts {
            let mode = if account.uid == 0 { 0o700 } else { 0o755 };
            base.put(
                &account.home,
                node(Kind::Directory, mode, account.uid, account.gid),
            );
            for (name, text) in this.distribution.home(account.uid) {
                let kind = Kind::File(text.as_bytes().into());
                base.put(
                    &format!("{}/{name}", account.home),
                    node(kind, 0o644, account.uid, account.gid),
                );
            }
        }
        for placed in Self::logs(machine) {
            let gid = match placed.group {
                "adm" => 4,
                "utmp" => 43,
                _ => 0,
            };
            base.put(&placed.path, node(Kind::Log(placed.log), placed.mode, 0, gid));
        }
        if !this.distribution.is_busybox() {
            let folder = format!("/var/log/journal/{}", this.machine_id);
            base.put(&folder, node(Kind::Directory, 0o2755, 0, 101));
            base.put(
                &format!("{folder}/system.journal"),
                Node {
                    mtime: this.boot_time + 5,
                    ..node(Kind::Opaque(16_777_216), 0o640, 0, 101)
                },
            );
            base.put("/var/log/private", node(Kind::Directory, 0o700, 0, 0));
        }
        for file in bait::files(persona) {
            let owner = this.account(&file.owner);
            let (uid, gid) = owner.map_or_else(
                || {
                    // Bait names the web server's account as Debian does.
                    let web = ["apache", "nginx", "http"];
                    this.system
                        .iter()
                        .find(|a| a.0 == file.owner || (file.owner == "www-data" && web.contains(&a.0)))
                        .map_or((0, 0), |a| (a.1, a.2))
                },
                |a| (a.uid, a.gid),
            );
            let kind = Kind::File(file.content.into());
            base.put(
                &file.path,
                Node {
                    kind,
                    mode: file.mode,
                    uid,
                    gid,
                    mtime: file.mtime,
                    stated: None,
                },
            );
        }
        base
    }

    /// `/sys`, as far as anybody looks: the network's interfaces and what the firmware says.
    fn sysfs(&self) -> Vec<(String, u32, String)> {
        let mut out = Vec::new();
        for (name, mac, mtu, state) in [
            ("lo", "00:00:00:00:00:00", "65536", "unknown"),
            (self.interface, self.mac.as_str(), "1500", "up"),
        ] {
            let index = if name == "lo" { "1" } else { "2" };
            let speed = if name == "lo" { "" } else { "1000" };
            for (file, text) in [
                ("address", mac),
                ("mtu", mtu),
                ("operstate", state),
                ("ifindex", index),
                ("carrier", "1"),
                ("speed", speed),
            ] {
                if !text.is_empty() {
                    out.push((
                        format!("/sys/class/net/{name}/{file}"),
                        0o444,
                        format!("{text}\n"),
                    ));
                }
            }
        }
        if self.distribution.is_busybox() {
            return out;
        }
        let (serial, uuid) = &self.serial;
        for (_, file, text) in self.platform.strings(serial, uuid) {
            let secret = file.ends_with("serial") || file.ends_with("uuid");
            let text = match file {
                "chassis_type" if self.platform.is_virtual() => "1",
                "chassis_type" => "23",
                _ if text == "Not Specified" => "",
                _ => text.as_str(),
            };
            let mode = if secret { 0o400 } else { 0o444 };
            out.push((format!("/sys/class/dmi/id/{file}"), mode, format!("{text}\n")));
        }
        out
    }

    fn texts(&self) -> Vec<(&'static str, u32, String)> {
        use std::fmt::Write as _;
        let mut passwd = String::new();
        let mut shadow = String::new();
        let mut group = String::new();
        let family = self.distribution.family;
        let admins: Vec<&str> = self
            .accounts
            .iter()
            .filter(|a| a.admin && a.uid != 0)
            .map(|a| a.name.as_str())
            .collect();
        let days = self.boot_time / 86_400 - 61;
        let mut account = |line: &str| passwd.push_str(line);
        for a in self.accounts.iter().filter(|a| a.uid == 0) {
            account(&format!("{}:x:0:0:{}:{}:{}\n", a.name, a.gecos, a.home, a.shell));
        }
        for (name, uid, gid, gecos, home) in &self.system {
            let shell = accounts::shell(family, name);
            account(&format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n"));
        }
        for a in self.accounts.iter().filter(|a| a.uid != 0) {
            account(&format!(
                "{}:x:{}:{}:{}{}:{}:{}\n",
                a.name,
                a.uid,
                a.gid,
                a.gecos,
                // adduser asks for room and telephones, useradd does not.
                if family == Family::Debian { ",,," } else { "" },
                a.home,
                a.shell
            ));
        }
        // Writing to a String cannot fail.
        for a in &self.accounts {
            let _infallible = writeln!(shadow, "{}:{}:{days}:0:99999:7:::", a.name, self.crypt(&a.name));
        }
        for (name, ..) in &self.system {
            let _infallible = writeln!(shadow, "{name}:*:{days}:0:99999:7:::");
        }
        for (name, gid) in accounts::groups(family) {
            let members = if *name == self.admin_group {
                admins.join(",")
            } else {
                String::new()
            };
            let _infallible = writeln!(group, "{name}:x:{gid}:{members}");
        }
        for (name, _, gid, ..) in &self.system {
            if !accounts::groups(family).iter().any(|g| g.1 == *gid) {
                let _infallible = writeln!(group, "{name}:x:{gid}:");
            }
        }
        let known = accounts::groups(family);
        for a in self.accounts.iter().filter(|a| a.uid != 0) {
            if known.iter().any(|g| g.1 == a.gid || g.0 == a.name) {
                continue;
            }
            let _infallible = writeln!(group, "{}:x:{}:", a.name, a.gid);
        }
        let host = &self.hostname;
        let fqdn = format!("{host}.{}", self.domain);
        vec![
            ("/etc/passwd", 0o644, passwd),
            ("/etc/shadow", 0o640, shadow),
            ("/etc/group", 0o644, group),
            ("/etc/hostname", 0o644, format!("{host}\n")),
            ("/etc/hosts", 0o644, format!("127.0.0.1\tlocalhost\n127.0.1.1\t{fqdn}\t{host}\n\n# The following lines are desirable for IPv6 capable hosts\n::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n")),
            ("/etc/os-release", 0o644, self.os_release.clone()),
            ("/usr/lib/os-release", 0o644, self.os_release.clone()),
            ("/etc/issue", 0o644, self.distribution.issue()),
            ("/etc/issue.net", 0o644, self.distribution.issue()),
            ("/etc/machine-id", 0o444, format!("{}\n", self.machine_id)),
            ("/etc/fstab", 0o644, self.distribution.fstab().to_owned()),
            ("/etc/resolv.conf", 0o644, format!("domain {0}\nsearch {0}\nnameserver {1}\n", self.domain, self.gateway)),
            ("/etc/crontab", 0o644, self.distribution.crontab().to_owned()),
            ("/etc/motd", 0o644, self.static_motd()),
            ("/etc/shells", 0o644, self.distribution.shells().to_owned()),
            ("/etc/nsswitch.conf", 0o644, "passwd:         files systemd\ngroup:          files systemd\nshadow:         files\n\nhosts:          files dns\nnetworks:       files\n".into()),
            ("/etc/ssh/sshd_config", 0o644, self.distribution.sshd_config().to_owned()),
        ]
    }

    /// `/etc/motd`: what it shows that is not made at each login.
    fn static_motd(&self) -> String {
        let shown = self.distribution.motd("", self.architecture);
        match self.distribution.family {
            Family::Debian if !shown.starts_with("Welcome") => shown.trim_start_matches('\n').to_owned(),
            Family::Alpine => shown,
            _ => String::new(),
        }
    }

    /// A yescrypt line as `passwd` would have written it: drawn, not computed, so that it cracks to nothing.
    fn crypt(&self, user: &str) -> String {
        let digest = Sha512::new()
            .chain_update(self.secret)
            .chain_update(user)
            .finalize();
        self.crypt_of(&digest)
    }

    /// The same of what was drawn: at least 64 bytes.
    pub(super) fn crypt_of(&self, drawn: &[u8]) -> String {
        let alphabet = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let text: String = drawn
            .iter()
            .map(|b| alphabet.get(usize::from(b & 63)).copied().map_or('.', char::from))
            .collect();
        format!(
            "$y$j9T${}${}",
            text.chars().take(22).collect::<String>(),
            text.chars().skip(21).take(43).collect::<String>()
        )
    }

    /// What is mounted, as `/proc/mounts` has it.
    pub(crate) fn mounts(&self) -> String {
        if self.distribution.family == Family::Device {
            return DEVICE_MOUNTS.to_owned();
        }
        let (name, root) = match (self.distribution.family, self.distribution.root_fs()) {
            (Family::Debian, _) => ("udev", "ext4 rw,relatime,errors=remount-ro"),
            (_, "xfs") => (
                "devtmpfs",
                "xfs rw,relatime,attr2,inode64,logbufs=8,logbsize=32k,noquota",
            ),
            _ => ("devtmpfs", "ext4 rw,relatime"),
        };
        let dev = self.dev_kb();
        MOUNTS
            .replace("udev /dev", &format!("{name} /dev"))
            .replace("{dev}", &dev.to_string())
            .replace("{inodes}", &(dev / 4).to_string())
            .replace("{run}", &(self.mem_kb / 10).to_string())
            .replace("{root}", root)
    }

    /// How large the file system of `/dev` may become, in KiB: what the kernel leaves of half the memory.
    pub(crate) fn dev_kb(&self) -> u64 {
        (self.mem_kb / 2).saturating_sub(21_000)
    }

    /// Whether it is a device of one image, and no server.
    pub(crate) fn is_device(&self) -> bool {
        self.distribution.family == Family::Device
    }

    /// Swap space, in KiB.
    pub(crate) fn swap_kb(&self) -> u64 {
        if self.is_device() { 0 } else { 998_396 }
    }

    /// `/proc/cpuinfo` of an ARM.
    fn arm_cpuinfo(&self) -> String {
        use std::fmt::Write as _;
        let a53 = self.cpu.contains("rev 4");
        let mut out = String::new();
        for i in 0..self.cores {
            let _infallible = write!(
                out,
                "processor\t: {i}\nmodel name\t: {}\nBogoMIPS\t: {}\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm\nCPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: {}\nCPU revision\t: {}\n\n",
                self.cpu,
                if a53 { "38.40" } else { "1196.85" },
                if a53 { "0xd03" } else { "0xc07" },
                if a53 { 4 } else { 5 }
            );
        }
        let _infallible = write!(
            out,
            "Hardware\t: {}\nRevision\t: 0000\nSerial\t\t: 0000000000000000\n",
            self.board
        );
        out
    }

    /// What CPUID says of the processor.
    pub(crate) fn cpu_model(&self) -> Cpu {
        let (family, model, stepping, mhz) = match self.cpu {
            cpu if cpu.contains("4214") => (6, 85, 7, 2_199),
            cpu if cpu.contains("6130") => (6, 85, 4, 2_099),
            cpu if cpu.starts_with("AMD") => (23, 49, 0, 2_994),
            _ => (6, 79, 1, 2_399),
        };
        Cpu {
            vendor: if self.cpu.starts_with("AMD") {
                "AuthenticAMD"
            } else {
                "GenuineIntel"
            },
            family,
            model,
            stepping,
            mhz,
        }
    }

    /// Memory that is free, and what buffers and the page cache hold, in KiB.
    pub(crate) fn spare_kb(&self) -> (u64, u64) {
        let spare = self.mem_kb - self.mem_used_kb;
        (spare / 3, spare - spare / 3 + spare / 40)
    }

    /// Seconds since boot.
    pub(crate) fn uptime(&self, now: i64) -> i64 {
        (now - self.boot_time).max(1)
    }

    /// A load average that wanders slowly.
    pub(crate) fn load(&self, now: i64) -> [f64; 3] {
        let wave = |period: i64| {
            let phase = (now + i64::from(self.secret.first().copied().unwrap_or(0)) * 97).rem_euclid(period);
            #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
            let x = phase as f64 / period as f64;
            (0.02 + 0.11 * (x - 0.5).abs() * 2.0).min(0.4)
        };
        [wave(310), wave(1_110), wave(3_700)]
    }

    /// `/proc` as of `now`.
    pub(crate) fn live(&self, now: i64) -> Live {
        use std::fmt::Write as _;
        self.tick(now);
        let up = self.uptime(now);
        let running = self.running();
        let [a, b, c] = self.load(now);
        let mut cpuinfo = String::new();
        let cpu = self.cpu_model();
        let (vendor, family, model, stepping, mhz) =
            (cpu.vendor, cpu.family, cpu.model, cpu.stepping, cpu.mhz);
        let hypervisor = if self.platform.is_virtual() {
            "hypervisor "
        } else {
            ""
        };
        // A virtual processor is a socket each; a real one has its cores in one.
        let single = self.platform.is_virtual();
        let cores = if single { 1 } else { self.cores };
        for i in 0..self.cores {
            let (socket, core) = if single { (i, 0) } else { (0, i) };
            let _infallible = write!(
                cpuinfo,
                "processor\t: {i}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {}\nstepping\t: {stepping}\nmicrocode\t: 0x1\ncpu MHz\t\t: {mhz}.996\ncache size\t: 16384 KB\nphysical id\t: {socket}\nsiblings\t: {cores}\ncore id\t\t: {core}\ncpu cores\t: {cores}\napicid\t\t: {i}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ss syscall nx pdpe1gb rdtscp lm constant_tsc arch_perfmon rep_good nopl xtopology cpuid pni pclmulqdq vmx ssse3 fma cx16 pcid sse4_1 sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand {hypervisor}lahf_lm abm\nbugs\t\t: spectre_v1 spectre_v2 spec_store_bypass\nbogomips\t: {}.99\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n",
                self.cpu,
                mhz * 2 + 1
            );
        }
        let (free, cached) = self.spare_kb();
        let meminfo = format!(
            "MemTotal:       {:>8} kB\nMemFree:        {:>8} kB\nMemAvailable:   {:>8} kB\nBuffers:        {:>8} kB\nCached:         {:>8} kB\nSwapCached:            0 kB\nActive:         {:>8} kB\nInactive:       {:>8} kB\nSwapTotal:      {:>8} kB\nSwapFree:       {:>8} kB\nDirty:               104 kB\nWriteback:             0 kB\nShmem:              1176 kB\nSlab:           {:>8} kB\nSReclaimable:   {:>8} kB\nHugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
            self.mem_kb,
            free,
            self.mem_kb - self.mem_used_kb,
            cached / 9,
            cached - cached / 9 - cached / 16,
            self.mem_used_kb / 2,
            cached / 2,
            self.swap_kb(),
            self.swap_kb(),
            cached / 12,
            cached / 16,
        );
        let version = format!(
            "Linux version {} {} {}\n",
            self.kernel_release,
            self.distribution.built_by(),
            self.kernel_version
        );
        let mut tcp = String::from(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
        );
        for (i, (port, ..)) in running.listening.iter().enumerate() {
            let _infallible = writeln!(
                tcp,
                "{i:>4}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {} 1 0000000000000000 100 0 0 10 0",
                14_211 + i * 37
            );
        }
        let mut files = Live::new();
        let mut put = |path: &str, text: String| {
            // Of the kernel's settings, what it is can only be read.
            let is_set = path.starts_with("/proc/sys/")
                && !["/ostype", "/osrelease"].iter().any(|told| path.ends_with(told));
            let mode = if is_set { 0o644 } else { 0o444 };
            files.insert(path.to_owned(), proc::file(text, mode, (0, 0), now));
        };
        put(
            "/proc/cpuinfo",
            if self.is_device() {
                self.arm_cpuinfo()
            } else {
                cpuinfo
            },
        );
        put("/proc/meminfo", meminfo);
        put("/proc/version", version);
        put(
            "/proc/uptime",
            format!("{up}.27 {}.81\n", up * i64::from(self.cores) - up / 90),
        );
        put(
            "/proc/loadavg",
            format!(
                "{a:.2} {b:.2} {c:.2} 1/{} {}\n",
                running.processes.len() + 91,
                2_000 + up % 27_000
            ),
        );
        put(
            "/proc/cmdline",
            format!(
                "BOOT_IMAGE=/boot/vmlinuz-{} root=/dev/sda1 ro quiet\n",
                self.kernel_release
            ),
        );
        put("/proc/net/tcp", tcp);
        put("/proc/sys/kernel/hostname", format!("{}\n", self.hostname));
        put("/proc/sys/kernel/osrelease", format!("{}\n", self.kernel_release));
        put("/proc/sys/kernel/ostype", "Linux\n".to_owned());
        put("/proc/sys/vm/nr_hugepages", "0\n".to_owned());
        put("/proc/sys/vm/swappiness", "60\n".to_owned());
        put("/proc/sys/net/ipv4/ip_forward", "0\n".to_owned());
        put("/proc/sys/fs/file-max", "9223372036854775807\n".to_owned());
        put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda5                               partition\t998396\t\t0\t\t-2\n".to_owned());
        put(
            "/proc/partitions",
            format!(
                "major minor  #blocks  name\n\n   8        0 {:>10} sda\n   8        1 {:>10} sda1\n   8        2          1 sda2\n   8        5     998400 sda5\n",
                self.disk_kb + 2_100_000,
                self.disk_kb
            ),
        );
        put(
            "/proc/net/arp",
            format!(
                "IP address       HW type     Flags       HW address            Mask     Device\n{:<16} 0x1         0x2         {}     *        {}\n",
                self.gateway, self.gateway_mac, self.interface
            ),
        );
        put("/proc/filesystems", "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevpts\n\text3\n\text2\n\text4\n".to_owned());
        put(
            "/proc/net/dev",
            format!(
                "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: {0:>8} {1:>7}    0    0    0     0          0         0 {0:>8} {1:>7}    0    0    0     0       0          0\n{2:>6}: {3:>8} {4:>7}    0    0    0     0          0         0 {5:>8} {6:>7}    0    0    0     0       0          0\n",
                up * 9,
                up / 11,
                self.interface,
                up * 911,
                up * 2,
                up * 340,
                up
            ),
        );
        if self.is_device() {
            put(
                "/proc/cmdline",
                "console=ttyS0,115200 root=/dev/mtdblock3 rootfstype=squashfs,jffs2 mem=64M\n".replace(
                    "64M",
                    &format!("{}M", self.mem_kb.div_ceil(1024).next_power_of_two()),
                ),
            );
            put(
                "/proc/swaps",
                "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n".to_owned(),
            );
            put("/proc/filesystems", "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevpts\n\tsquashfs\nnodev\tramfs\nnodev\tjffs2\n".to_owned());
            let sizes = [256_u64, 64, 3_072, self.disk_kb, 64, 320, 4_608];
            let names = ["boot", "env", "kernel", "rootfs", "factory", "config", "overlay"];
            let mut mtd = String::from("dev:    size   erasesize  name\n");
            let mut partitions = String::from("major minor  #blocks  name\n\n");
            for (i, (kb, name)) in sizes.iter().zip(names).enumerate() {
                let _infallible = writeln!(mtd, "mtd{i}: {:08x} 00010000 \"{name}\"", kb * 1_024);
                let _infallible = writeln!(partitions, "  31     {i:>4} {kb:>10} mtdblock{i}");
            }
            put("/proc/mtd", mtd);
            put("/proc/partitions", partitions);
        }
        for process in &running.processes {
            proc::put_process(self, process, now, &mut files);
        }
        proc::put_init(self, now, &mut files);
        files.insert(
            "/proc/mounts".to_owned(),
            Node {
                kind: Kind::Link("self/mounts".to_owned()),
                mode: 0o777,
                uid: 0,
                gid: 0,
                mtime: now,
                stated: None,
            },
        );
        files
    }
}

/// What a device is made of.
struct Hardware {
    cpu: &'static str,
    board: &'static str,
    cores: u32,
    mem_kb: u64,
    /// Its root file system's size.
    flash_kb: u64,
}

/// The hardware of a persona that is a device: small where it is a camera, a sensor or a controller, larger in a printer.
fn hardware(persona: &Persona) -> Hardware {
    const A7: &str = "ARMv7 Processor rev 5 (v7l)";
    const A53: &str = "ARMv7 Processor rev 4 (v7l)";
    let all: &[Hardware] = match persona.archetype.as_str() {
        "ip-camera" => &[
            Hardware {
                cpu: A7,
                board: "Hisilicon Hi3516EV200",
                cores: 1,
                mem_kb: 38_732,
                flash_kb: 5_376,
            },
            Hardware {
                cpu: A7,
                board: "Hisilicon Hi3516CV500",
                cores: 2,
                mem_kb: 94_416,
                flash_kb: 9_728,
            },
            Hardware {
                cpu: A7,
                board: "SStar Soc (Flattened Device Tree)",
                cores: 1,
                mem_kb: 57_128,
                flash_kb: 6_400,
            },
        ],
        "printer" => &[
            Hardware {
                cpu: A53,
                board: "Marvell 88PA6270 (Flattened Device Tree)",
                cores: 2,
                mem_kb: 248_632,
                flash_kb: 48_640,
            },
            Hardware {
                cpu: A7,
                board: "Marvell 88PA6120 (Flattened Device Tree)",
                cores: 1,
                mem_kb: 121_904,
                flash_kb: 31_232,
            },
        ],
        "industrial-control" => &[
            Hardware {
                cpu: A7,
                board: "Freescale i.MX6 Ultralite (Device Tree)",
                cores: 1,
                mem_kb: 247_208,
                flash_kb: 18_944,
            },
            Hardware {
                cpu: A7,
                board: "Generic AM33XX (Flattened Device Tree)",
                cores: 1,
                mem_kb: 250_116,
                flash_kb: 15_872,
            },
        ],
        _ => &[
            Hardware {
                cpu: A53,
                board: "BCM2835",
                cores: 4,
                mem_kb: 443_080,
                flash_kb: 23_552,
            },
            Hardware {
                cpu: A7,
                board: "Allwinner sun8i Family",
                cores: 4,
                mem_kb: 249_840,
                flash_kb: 17_408,
            },
            Hardware {
                cpu: A7,
                board: "Mediatek MT7623",
                cores: 4,
                mem_kb: 124_620,
                flash_kb: 12_800,
            },
        ],
    };
    let mut rng = persona.rng("shell/hardware");
    let index = rng.index(all.len());
    match all.get(index) {
        Some(h) => Hardware { ..*h },
        None => Hardware {
            cpu: A7,
            board: "Generic DT based system",
            cores: 1,
            mem_kb: 61_208,
            flash_kb: 7_424,
        },
    }
}

/// The hardware address of the persona's gateway: of a maker of routers and firewalls.
fn gateway_mac(persona: &Persona) -> String {
    let mut rng = persona.rng("shell/gateway");
    // Cisco, Juniper, Fortinet, Palo Alto, HP, Cisco again, VMware.
    let maker = *rng
        .pick(&[
            "00:1b:54", "00:26:88", "90:6c:ac", "00:1b:17", "3c:d9:2b", "70:ca:9b", "00:50:56",
        ])
        .unwrap_or(&"00:1b:54");
    format!(
        "{maker}:{:02x}:{:02x}:{:02x}",
        rng.below(64),
        rng.below(256),
        rng.below(256)
    )
}

/// Who signed in before the first visitor: whoever can, from the administrators' network, in the weeks before the boot.
fn logins(persona: &Persona) -> BTreeMap<String, Login> {
    let lan = persona.lan();
    let people = persona.users.iter().filter(|u| !u.shell.ends_with("nologin"));
    people
        .map(|user| {
            let mut rng = persona.rng(&format!("shell/last-login/{}", user.name));
            let before = i64::try_from(rng.range(90, 2_000_000)).unwrap_or(0);
            let login = Login {
                at: persona.boot_time - before,
                from: format!("{lan}.{}", rng.range(20, 240)),
            };
            (user.name.clone(), login)
        })
        .collect()
}

/// A node of `/dev`: name, whether it is of blocks, numbers, group and mode.
type Named = (&'static str, bool, u32, u32, u32, u32);

const DISK: &[Named] = &[
    ("sda", true, 8, 0, 6, 0o660),
    ("sda1", true, 8, 1, 6, 0o660),
    ("sda2", true, 8, 2, 6, 0o660),
    ("sda5", true, 8, 5, 6, 0o660),
];
const FLASH: &[Named] = &[
    ("mtd0", false, 90, 0, 0, 0o600),
    ("mtd1", false, 90, 2, 0, 0o600),
    ("mtd3", false, 90, 6, 0, 0o600),
    ("mtd6", false, 90, 12, 0, 0o600),
    ("mtdblock0", true, 31, 0, 0, 0o600),
    ("mtdblock3", true, 31, 3, 0, 0o600),
    ("mtdblock6", true, 31, 6, 0, 0o600),
    ("ttyS0", false, 4, 64, 5, 0o620),
    ("watchdog", false, 10, 130, 0, 0o600),
];

const SUDOERS: &str = "#\n# This file MUST be edited with the 'visudo' command as root.\n#\n# Please consider adding local content in /etc/sudoers.d/ instead of\n# directly modifying this file.\n#\n# See the man page for details on how to write a sudoers file.\n#\nDefaults\tenv_reset\nDefaults\tmail_badpass\nDefaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\n# User privilege specification\nroot\tALL=(ALL:ALL) ALL\n\n# Allow members of group {group} to execute any command\n%{group}\tALL=(ALL:ALL) ALL\n\n# See sudoers(5) for more information on \"@include\" directives:\n\n@includedir /etc/sudoers.d\n";
const SUDOERS_D: &str = "#\n# The default /etc/sudoers file created on installation of the\n# package now includes the directive:\n#\n# \t@includedir /etc/sudoers.d\n#\n# Note also, that because sudoers contents can vary widely, no attempt is\n# made to add this directive to existing sudoers files on upgrade.\n#\n# Note: please use the visudo command to update sudoers content.\n#\n";
/// What is mounted, as `/proc/mounts` has it.
const MOUNTS: &str = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\nudev /dev devtmpfs rw,nosuid,relatime,size={dev}k,nr_inodes={inodes},mode=755,inode64 0 0\ndevpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=000 0 0\ntmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime,size={run}k,mode=755,inode64 0 0\n/dev/sda1 / {root} 0 0\nsecurityfs /sys/kernel/security securityfs rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev,inode64 0 0\ntmpfs /run/lock tmpfs rw,nosuid,nodev,noexec,relatime,size=5120k,inode64 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n";

/// The same of a device whose system is one image.
const DEVICE_MOUNTS: &str = "/dev/root / squashfs ro,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,noatime 0 0\nsysfs /sys sysfs rw,nosuid,nodev,noexec,noatime 0 0\ntmpfs /tmp tmpfs rw,nosuid,nodev,noatime 0 0\n/dev/mtdblock6 /overlay jffs2 rw,noatime 0 0\ntmpfs /dev tmpfs rw,nosuid,relatime,size=512k,mode=755 0 0\ndevpts /dev/pts devpts rw,nosuid,noexec,relatime,mode=600,ptmxmode=000 0 0\n";
