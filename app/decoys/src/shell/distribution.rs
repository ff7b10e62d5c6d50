//! What differs between distributions behind a shell: which files there are, what they say of themselves, how the
//! packager answers, and which shell it is. Versions come from the persona's release; nothing here draws anything.

use std::sync::Arc;

use decnet_persona::{Distro, Persona, Release};

/// How a distribution is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// dpkg and apt: Debian, Ubuntu, Kali.
    Debian,
    /// rpm and dnf: Rocky, Fedora.
    RedHat,
    /// pacman.
    Arch,
    /// apk, BusyBox and musl.
    Alpine,
    /// BusyBox and no packager: a device's firmware, and whatever else has no distribution of its own here.
    Device,
}

/// The distribution of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    pub(crate) family: Family,
    pub(super) release: &'static Release,
    /// The organisation's own package mirror: what a server without a way out is set up with, and what then fails.
    mirror: Arc<str>,
}

/// What only Debian and its like have, below the paths of `tree.txt`.
const DEBIAN_ONLY: &[&str] = &[
    "/apt",
    "dpkg",
    "debian",
    "/deb-",
    "/ufw",
    "/adduser",
    "/addgroup",
    "/deluser",
    "/delgroup",
    "logcheck",
    "/runit",
    "/etc/sv",
    "apport",
    "update-rc.d",
    "invoke-rc.d",
    "/etc/alternatives",
    "update-alternatives",
    "/etc/init.d",
    "update-motd",
    "savelog",
    "which.",
    "e2scrub",
    "ischroot",
    "bash.bashrc",
    "start-stop-daemon",
    "/usr/share/menu",
    "/usr/share/base-files",
    "/etc/skel/.profile",
];

/// Programs that a BusyBox stands in for.
const APPLETS: &[&str] = &[
    "ash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "clear",
    "cp",
    "crontab",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "free",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "id",
    "kill",
    "killall",
    "ln",
    "ls",
    "lsof",
    "md5sum",
    "mkdir",
    "mktemp",
    "more",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nice",
    "nohup",
    "nslookup",
    "passwd",
    "pgrep",
    "pidof",
    "ping",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "su",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "tftp",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unzip",
    "uptime",
    "vi",
    "wc",
    "wget",
    "which",
    "who",
    "whoami",
    "xargs",
    "xxd",
    "yes",
    "zcat",
];

/// The same, where administrators' programs are.
const ADMINISTRATORS: &[&str] = &[
    "adduser", "arp", "chpasswd", "halt", "ifconfig", "ip", "lsmod", "poweroff", "reboot", "route",
];

impl Distribution {
    /// The distribution of `persona`.
    pub(crate) fn new(persona: &Persona) -> Self {
        let family = match persona.distro {
            Distro::Rocky9 | Distro::Fedora => Family::RedHat,
            Distro::Arch => Family::Arch,
            Distro::Alpine => Family::Alpine,
            Distro::Debian11 | Distro::Debian12 | Distro::Kali => Family::Debian,
            Distro::Ubuntu20 | Distro::Ubuntu22 | Distro::Ubuntu24 => Family::Debian,
            _ => Family::Device,
        };
        Self {
            family,
            release: persona.release(),
            mirror: format!("mirror.{}", persona.domain).into(),
        }
    }

    /// Whether a BusyBox is its shell and most of its programs.
    pub(crate) fn is_busybox(&self) -> bool {
        matches!(self.family, Family::Alpine | Family::Device)
    }

    /// Whether systemd runs it, and knows its sessions.
    pub(crate) fn has_logind(&self) -> bool {
        !self.is_busybox()
    }

    /// Whether `sh` is dash.
    pub(crate) fn has_dash(&self) -> bool {
        self.family == Family::Debian
    }

    /// Whether its `ps` and `w` are of procps 4.
    pub(super) fn has_procps_4(&self) -> bool {
        !matches!(
            (self.release.id, self.release.version_id),
            ("debian", "11") | ("ubuntu", "20.04" | "22.04") | ("rocky", _)
        )
    }

    /// The name of a login shell's process, without the dash.
    pub(crate) fn shell_name(&self) -> &'static str {
        match self.family {
            Family::Alpine => "ash",
            Family::Device => "sh",
            _ => "bash",
        }
    }

    /// `BASH_VERSION`; empty where there is no bash.
    pub(crate) fn bash(&self) -> &'static str {
        match (self.release.id, self.release.version_id) {
            _ if self.is_busybox() => "",
            ("ubuntu", "20.04") => "5.0.17(1)-release",
            ("debian", "11") => "5.1.4(1)-release",
            ("ubuntu", "22.04") => "5.1.16(1)-release",
            ("rocky", _) => "5.1.8(1)-release",
            ("debian", _) => "5.2.15(1)-release",
            ("ubuntu" | "kali", _) => "5.2.21(1)-release",
            _ => "5.2.26(1)-release",
        }
    }

    /// A path of Debian's listing as this distribution has it; `None` where it has not.
    pub(crate) fn path(&self, path: &str) -> Option<String> {
        match self.family {
            Family::Debian => Some(path.to_owned()),
            Family::RedHat | Family::Arch => {
                if DEBIAN_ONLY.iter().any(|part| path.contains(part)) {
                    return None;
                }
                let libraries = if self.family == Family::Arch {
                    "/usr/lib"
                } else {
                    "/usr/lib64"
                };
                Some(path.replacen("/usr/lib/x86_64-linux-gnu", libraries, 1))
            }
            Family::Alpine if path.starts_with("/usr/share/zoneinfo") => Some(path.to_owned()),
            Family::Alpine | Family::Device => {
                const KEPT: &[&str] = &[
                    "/etc/protocols",
                    "/etc/services",
                    "/etc/ssl",
                    "/etc/ssl/openssl.cnf",
                    "/etc/sysctl.conf",
                    "/etc/ssh",
                    "/var/cache",
                    "/var/lib",
                    "/var/lib/misc",
                    "/var/spool",
                    "/usr/games",
                ];
                KEPT.contains(&path).then(|| path.to_owned())
            }
        }
    }

    /// Programs that are links to BusyBox: their paths.
    pub(crate) fn applets(&self) -> impl Iterator<Item = String> {
        let all = if self.is_busybox() { APPLETS } else { &[] };
        let administrators = if self.is_busybox() { ADMINISTRATORS } else { &[] };
        all.iter()
            .map(|name| format!("/bin/{name}"))
            .chain(administrators.iter().map(|name| format!("/sbin/{name}")))
    }

    /// Programs of its own, beside those of the listing: their paths.
    pub(crate) fn programs(&self) -> &'static [&'static str] {
        match self.family {
            Family::Debian => &[
                "/usr/bin/crontab",
                "/usr/bin/curl",
                "/usr/bin/dig",
                "/usr/bin/file",
                "/usr/bin/getconf",
                "/usr/bin/getent",
                "/usr/bin/iconv",
                "/usr/bin/ldd",
                "/usr/bin/hexdump",
                "/usr/bin/host",
                "/usr/bin/lspci",
                "/usr/bin/nano",
                "/usr/bin/nc",
                "/usr/bin/nslookup",
                "/usr/bin/ping",
                "/usr/bin/python3",
                "/usr/bin/sudo",
                "/usr/bin/telnet",
                "/usr/bin/vi",
                "/usr/sbin/cron",
                "/usr/sbin/insmod",
                "/usr/sbin/iptables",
                "/usr/sbin/lsmod",
                "/usr/sbin/modprobe",
                "/usr/sbin/nft",
                "/usr/sbin/rmmod",
                "/usr/sbin/visudo",
            ],
            Family::RedHat => &[
                "/usr/bin/crontab",
                "/usr/bin/curl",
                "/usr/bin/dnf",
                "/usr/bin/file",
                "/usr/bin/getconf",
                "/usr/bin/getent",
                "/usr/bin/iconv",
                "/usr/bin/ldd",
                "/usr/bin/hexdump",
                "/usr/bin/lspci",
                "/usr/bin/ping",
                "/usr/bin/python3",
                "/usr/bin/rpm",
                "/usr/bin/sudo",
                "/usr/bin/vi",
                "/usr/bin/yum",
                "/usr/sbin/crond",
                "/usr/sbin/getenforce",
                "/usr/sbin/setenforce",
                "/usr/sbin/insmod",
                "/usr/sbin/iptables",
                "/usr/sbin/lsmod",
                "/usr/sbin/modprobe",
                "/usr/sbin/nft",
                "/usr/sbin/rmmod",
                "/usr/sbin/visudo",
            ],
            Family::Arch => &[
                "/usr/bin/curl",
                "/usr/bin/file",
                "/usr/bin/getent",
                "/usr/bin/iconv",
                "/usr/bin/ldd",
                "/usr/bin/lsmod",
                "/usr/bin/modprobe",
                "/usr/bin/nano",
                "/usr/bin/pacman",
                "/usr/bin/ping",
                "/usr/bin/python3",
                "/usr/bin/sudo",
                "/usr/bin/vi",
            ],
            Family::Alpine => &[
                "/sbin/apk",
                "/usr/bin/ssh",
                "/usr/bin/scp",
                "/usr/sbin/sshd",
                "/lib/ld-musl-x86_64.so.1",
            ],
            Family::Device => &["/usr/sbin/dropbear", "/usr/bin/scp", "/lib/libc.so.0"],
        }
    }

    /// Files that say which distribution it is: path and text.
    pub(crate) fn texts(&self) -> Vec<(&'static str, String)> {
        let r = self.release;
        match self.family {
            Family::Debian => {
                let version = match (r.id, r.version_id) {
                    ("debian", _) => self.debian_point(),
                    ("ubuntu", "20.04") => "bullseye/sid",
                    ("ubuntu", "22.04") => "bookworm/sid",
                    ("ubuntu", _) => "trixie/sid",
                    _ => "kali-rolling",
                };
                let mut texts = vec![
                    ("/etc/debian_version", format!("{version}\n")),
                    ("/etc/apt/sources.list", self.sources()),
                ];
                if r.id == "ubuntu" {
                    texts.push(("/etc/lsb-release", format!("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={}\nDISTRIB_CODENAME={}\nDISTRIB_DESCRIPTION=\"{}\"\n", r.version_id, r.codename, r.pretty)));
                }
                texts
            }
            Family::RedHat => {
                let name = match r.id {
                    "rocky" => format!("{} release {}\n", r.name, r.version),
                    _ => format!("Fedora release {}\n", r.version_id),
                };
                let own = if r.id == "rocky" {
                    "/etc/rocky-release"
                } else {
                    "/etc/fedora-release"
                };
                let (repo, repo_text) = self.repository();
                vec![
                    ("/etc/bashrc", REDHAT_ETC_BASHRC.to_owned()),
                    ("/etc/profile", REDHAT_ETC_PROFILE.to_owned()),
                    ("/etc/profile.d/colorls.sh", COLORLS.to_owned()),
                    ("/etc/profile.d/lang.sh", LANG.to_owned()),
                    ("/etc/profile.d/sh.local", "#Add any required envvar overrides to this file, it is sourced from /etc/profile\n".to_owned()),
                    ("/etc/skel/.bash_logout", BASH_LOGOUT.to_owned()),
                    ("/etc/skel/.bash_profile", BASH_PROFILE.to_owned()),
                    ("/etc/skel/.bashrc", REDHAT_BASHRC.to_owned()),
                    (own, name.clone()),
                    ("/etc/redhat-release", name.clone()),
                    ("/etc/system-release", name),
                    (repo, repo_text),
                    ("/etc/selinux/config", "# This file controls the state of SELinux on the system.\nSELINUX=disabled\nSELINUXTYPE=targeted\n".to_owned()),
                    ("/etc/sysconfig/network", "# Created by anaconda\n".to_owned()),
                    ("/etc/sysconfig/sshd", "# Configuration file for the sshd service.\n".to_owned()),
                    ("/etc/sysconfig/crond", "# Settings for the CRON daemon.\nCRONDARGS=\n".to_owned()),
                    ("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n".to_owned()),
                ]
            }
            Family::Arch => vec![("/etc/arch-release", String::new())],
            Family::Alpine => vec![("/etc/alpine-release", format!("{}\n", r.version_id))],
            Family::Device => Vec::new(),
        }
    }

    /// What a new account of this user finds in its home: names and texts.
    pub(crate) fn home(&self, uid: u32) -> &'static [(&'static str, &'static str)] {
        match self.family {
            Family::Debian => &[(".bashrc", DEBIAN_BASHRC), (".profile", DEBIAN_PROFILE)],
            Family::RedHat if uid == 0 => &[
                (".bash_logout", BASH_LOGOUT),
                (".bash_profile", BASH_PROFILE),
                (".bashrc", ROOT_BASHRC),
                (".cshrc", ROOT_CSHRC),
                (".tcshrc", ROOT_TCSHRC),
            ],
            Family::RedHat => &[
                (".bash_logout", BASH_LOGOUT),
                (".bash_profile", BASH_PROFILE),
                (".bashrc", REDHAT_BASHRC),
            ],
            // There is nothing in root's.
            Family::Arch if uid == 0 => &[],
            Family::Arch => &[
                (".bash_logout", BASH_LOGOUT),
                (".bash_profile", BASH_PROFILE),
                (".bashrc", ARCH_BASHRC),
            ],
            Family::Alpine | Family::Device => &[],
        }
    }

    /// The package sources of dnf, as `dnf repolist` shows them.
    pub(super) fn repositories(&self) -> String {
        let version = self.release.version_id;
        let rows = match self.release.id {
            "rocky" => vec![
                ("appstream", "Rocky Linux 9 - AppStream".to_owned()),
                ("baseos", "Rocky Linux 9 - BaseOS".to_owned()),
            ],
            _ => vec![("fedora", format!("Fedora {version} - x86_64"))],
        };
        let width = rows.iter().map(|(id, _)| id.len()).max().unwrap_or(0).max(7) + 20;
        let lines = rows.iter().map(|(id, name)| format!("{id:<width$}{name}\n"));
        format!("{:<width$}repo name\n", "repo id") + &lines.collect::<String>()
    }

    /// The file of the first package source of dnf, and its text: the organisation's mirror.
    fn repository(&self) -> (&'static str, String) {
        let mirror = &self.mirror;
        match self.release.id {
            "rocky" => (
                "/etc/yum.repos.d/rocky.repo",
                format!(
                    "[baseos]\nname=Rocky Linux $releasever - BaseOS\nbaseurl=http://{mirror}/rocky/$releasever/BaseOS/$basearch/os/\ngpgcheck=1\nenabled=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9\n\n[appstream]\nname=Rocky Linux $releasever - AppStream\nbaseurl=http://{mirror}/rocky/$releasever/AppStream/$basearch/os/\ngpgcheck=1\nenabled=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9\n"
                ),
            ),
            _ => (
                "/etc/yum.repos.d/fedora.repo",
                format!(
                    "[fedora]\nname=Fedora $releasever - $basearch\nbaseurl=http://{mirror}/fedora/releases/$releasever/Everything/$basearch/os/\nenabled=1\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$releasever-$basearch\n"
                ),
            ),
        }
    }

    fn sources(&self) -> String {
        let (r, mirror) = (self.release, &self.mirror);
        match r.id {
            "ubuntu" => format!(
                "deb http://{mirror}/ubuntu {0} main restricted universe\ndeb http://{mirror}/ubuntu {0}-updates main restricted universe\ndeb http://{mirror}/ubuntu {0}-security main restricted universe\n",
                r.codename
            ),
            "kali" => {
                format!("deb http://{mirror}/kali kali-rolling main contrib non-free non-free-firmware\n")
            }
            _ => format!(
                "deb http://{mirror}/debian {0} main\ndeb http://{mirror}/debian {0}-updates main\ndeb http://{mirror}/debian-security {0}-security main\n",
                r.codename
            ),
        }
    }

    /// What apt calls the release that the installed packages are from.
    pub(super) fn suite(&self) -> &'static str {
        match (self.release.id, self.release.version_id) {
            ("debian", "11") => "oldstable",
            ("debian", _) => "stable",
            _ => self.release.codename,
        }
    }

    /// Where the first of its packages' sources is on the mirror.
    fn archive(&self) -> &'static str {
        match self.release.id {
            "ubuntu" => "/ubuntu",
            "kali" => "/kali",
            _ => "/debian",
        }
    }

    /// Versions of perl and Python, as the release packages them.
    pub(crate) fn interpreters(&self) -> (&'static str, &'static str) {
        match (self.release.id, self.release.version_id) {
            ("debian", "11") => ("5.32.1", "3.9.2"),
            ("debian", _) => ("5.36.0", "3.11.2"),
            ("ubuntu", "20.04") => ("5.30.0", "3.8.10"),
            ("ubuntu", "22.04") => ("5.34.0", "3.10.12"),
            ("ubuntu", _) => ("5.38.2", "3.12.3"),
            ("kali", _) => ("5.38.2", "3.11.9"),
            ("rocky", _) => ("5.32.1", "3.9.18"),
            ("fedora", _) => ("5.38.2", "3.12.3"),
            _ => ("5.38.2", "3.12.3"),
        }
    }

    /// What `sys.version` says behind the version.
    pub(super) fn python_build(&self) -> &'static str {
        match (self.release.id, self.release.version_id) {
            ("debian", "11") => "(default, Feb 28 2021, 17:03:44) \n[GCC 10.2.1 20210110]",
            ("ubuntu", "20.04") => "(default, Nov 22 2023, 10:22:35) \n[GCC 9.4.0]",
            ("ubuntu", "22.04") => "(main, Nov 20 2023, 15:14:05) [GCC 11.4.0]",
            ("ubuntu", _) => "(main, Aug  8 2024, 18:06:29) [GCC 13.2.0]",
            ("rocky", _) => "(main, Jan 24 2024, 00:00:00) \n[GCC 11.4.1 20231218 (Red Hat 11.4.1-3)]",
            ("fedora", _) => "(main, Apr  9 2024, 00:00:00) [GCC 14.0.1 20240328 (Red Hat 14.0.1-0)]",
            ("debian", _) => "(main, Mar 13 2023, 12:18:29) [GCC 12.2.0]",
            _ => "(main, Apr 23 2024, 09:16:07) [GCC 13.2.1 20240417]",
        }
    }

    /// What the root is formatted with.
    pub(crate) fn root_fs(&self) -> &'static str {
        match self.release.id {
            "rocky" => "xfs",
            _ => "ext4",
        }
    }

    /// The C library that programs are linked with, and what loads it; nothing where they are one file.
    pub(crate) fn libc(&self) -> Option<(&'static str, &'static str)> {
        match self.family {
            Family::Debian => Some((
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            )),
            Family::RedHat => Some(("/usr/lib64/libc.so.6", "/usr/lib64/ld-linux-x86-64.so.2")),
            Family::Arch => Some(("/usr/lib/libc.so.6", "/usr/lib/ld-linux-x86-64.so.2")),
            Family::Alpine | Family::Device => None,
        }
    }

    /// `/etc/fstab`.
    pub(crate) fn fstab(&self) -> &'static str {
        match (self.family, self.root_fs()) {
            (Family::RedHat, "xfs") => {
                "\n#\n# /etc/fstab\n# Created by anaconda\n#\n# Accessible filesystems, by reference, are maintained under '/dev/disk/'.\n# See man pages fstab(5), findfs(8), mount(8) and/or blkid(8) for more info.\n#\n# After editing this file, run 'systemctl daemon-reload' to update systemd\n# units generated from this file.\n#\n/dev/sda1               /                       xfs     defaults        0 0\n/dev/sda5               none                    swap    defaults        0 0\n"
            }
            (Family::RedHat, _) => {
                "\n#\n# /etc/fstab\n# Created by anaconda\n#\n# After editing this file, run 'systemctl daemon-reload' to update systemd\n# units generated from this file.\n#\n/dev/sda1               /                       ext4    defaults        1 1\n/dev/sda5               none                    swap    defaults        0 0\n"
            }
            (Family::Arch, _) => {
                "# Static information about the filesystems.\n# See fstab(5) for details.\n\n# <file system> <dir> <type> <options> <dump> <pass>\n/dev/sda1           \t/         \text4      \trw,relatime\t0 1\n/dev/sda5           \tnone      \tswap      \tdefaults  \t0 0\n"
            }
            (Family::Alpine, _) => {
                "/dev/sda1\t/\text4\trw,relatime 0 1\n/dev/sda5\tswap\tswap\tdefaults\t0 0\n/dev/cdrom\t/media/cdrom\tiso9660\tnoauto,ro 0 0\n"
            }
            (Family::Device, _) => {
                "# <file system>\t<mount pt>\t<type>\t<options>\t<dump>\t<pass>\n/dev/root\t/\t\tsquashfs\tro\t0\t0\nproc\t\t/proc\t\tproc\tdefaults\t0\t0\n"
            }
            (Family::Debian, _) => {
                "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>   <type>  <options>       <dump>  <pass>\n/dev/sda1 /               ext4    errors=remount-ro 0       1\n/dev/sda5 none            swap    sw              0       0\n"
            }
        }
    }

    /// `/etc/crontab`.
    pub(crate) fn crontab(&self) -> &'static str {
        match self.family {
            Family::Debian => {
                "# /etc/crontab: system-wide crontab\n\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }\n52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }\n"
            }
            _ => {
                "SHELL=/bin/bash\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nMAILTO=root\n\n# For details see man 4 crontabs\n\n# Example of job definition:\n# .---------------- minute (0 - 59)\n# |  .------------- hour (0 - 23)\n# |  |  .---------- day of month (1 - 31)\n# |  |  |  .------- month (1 - 12) OR jan,feb,mar,apr ...\n# |  |  |  |  .---- day of week (0 - 6) (Sunday=0 or 7) OR sun,mon,tue,wed,thu,fri,sat\n# |  |  |  |  |\n# *  *  *  *  * user-name  command to be executed\n\n"
            }
        }
    }

    /// `/etc/shells`.
    pub(crate) fn shells(&self) -> &'static str {
        match self.family {
            Family::Debian => {
                "# /etc/shells: valid login shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/rbash\n/usr/bin/rbash\n/usr/bin/dash\n"
            }
            Family::Alpine | Family::Device => "# valid login shells\n/bin/sh\n/bin/ash\n",
            _ => "/bin/sh\n/bin/bash\n/usr/bin/sh\n/usr/bin/bash\n",
        }
    }

    /// `/etc/ssh/sshd_config`, without its comments.
    pub(crate) fn sshd_config(&self) -> &'static str {
        match self.family {
            Family::Debian => {
                "Include /etc/ssh/sshd_config.d/*.conf\n\nPermitRootLogin yes\n#PubkeyAuthentication yes\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n"
            }
            Family::RedHat => {
                "Include /etc/ssh/sshd_config.d/*.conf\n\nPermitRootLogin yes\nAuthorizedKeysFile\t.ssh/authorized_keys\n#PubkeyAuthentication yes\nSubsystem\tsftp\t/usr/libexec/openssh/sftp-server\n"
            }
            _ => {
                "PermitRootLogin yes\nAuthorizedKeysFile\t.ssh/authorized_keys\nSubsystem\tsftp\t/usr/lib/ssh/sftp-server\n"
            }
        }
    }

    /// `/etc/issue`.
    pub(crate) fn issue(&self) -> String {
        let r = self.release;
        match self.family {
            Family::RedHat => "\\S\nKernel \\r on an \\m (\\l)\n\n".to_owned(),
            Family::Arch => format!("{} \\r (\\l)\n\n", r.name),
            Family::Alpine => {
                let short = r.version_id.rsplit_once('.').map_or(r.version_id, |v| v.0);
                format!("Welcome to Alpine Linux {short}\nKernel \\r on an \\m (\\l)\n\n")
            }
            Family::Device => format!("Welcome to {}\n", r.name),
            Family::Debian if r.id == "debian" => format!("{} {} \\n \\l\n\n", r.name, r.version_id),
            Family::Debian => format!("{} \\n \\l\n\n", r.pretty),
        }
    }

    /// What a login shows before `Last login`. `uname` is the kernel's line.
    pub(crate) fn motd(&self, uname: &str, architecture: &str) -> String {
        let r = self.release;
        match (self.family, r.id) {
            (Family::Debian, "ubuntu") => format!("Welcome to {} (GNU/Linux {} {architecture})\n\n * Documentation:  https://help.ubuntu.com\n * Management:     https://landscape.canonical.com\n * Support:        https://ubuntu.com/pro\n\n", r.pretty, r.kernel_release),
            (Family::Debian, id) => {
                let name = if id == "kali" { "Kali" } else { "Debian" };
                format!("{uname}\n\nThe programs included with the {name} GNU/Linux system are free software;\nthe exact distribution terms for each program are described in the\nindividual files in /usr/share/doc/*/copyright.\n\n{name} GNU/Linux comes with ABSOLUTELY NO WARRANTY, to the extent\npermitted by applicable law.\n")
            }
            (Family::Alpine, _) => "Welcome to Alpine!\n\nThe Alpine Wiki contains a large amount of how-to guides and general\ninformation about administrating Alpine systems.\nSee <https://wiki.alpinelinux.org/>.\n\nYou can setup the system with the command: setup-alpine\n\nYou may change this message by editing /etc/motd.\n\n".to_owned(),
            (Family::Device, _) => "\n\nBusyBox built-in shell (ash)\n\n".to_owned(),
            _ => String::new(),
        }
    }

    /// Whether pam_lastlog (or sshd itself) tells the last login: dropbear and BusyBox do not.
    pub(crate) fn tells_last_login(&self) -> bool {
        !self.is_busybox()
    }

    /// Who built the kernel with what, as `/proc/version` says it.
    pub(crate) fn built_by(&self) -> &'static str {
        match (self.family, self.release.id, self.release.version_id) {
            (_, "debian", "11") => {
                "(debian-kernel@lists.debian.org) (gcc-10 (Debian 10.2.1-6) 10.2.1 20210110, GNU ld (GNU Binutils for Debian) 2.35.2)"
            }
            (_, "debian", _) => {
                "(debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40)"
            }
            (_, "ubuntu", "20.04") => {
                "(buildd@lcy02-amd64-011) (gcc version 9.4.0 (Ubuntu 9.4.0-1ubuntu1~20.04.2))"
            }
            (_, "ubuntu", "22.04") => {
                "(buildd@lcy02-amd64-045) (gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0, GNU ld (GNU Binutils for Ubuntu) 2.38)"
            }
            (_, "ubuntu", _) => {
                "(buildd@lcy02-amd64-115) (x86_64-linux-gnu-gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0, GNU ld (GNU Binutils for Ubuntu) 2.42)"
            }
            (_, "kali", _) => {
                "(devel@kali.org) (x86_64-linux-gnu-gcc-13 (Kali 13.2.0-9) 13.2.0, GNU ld (GNU Binutils) 2.41.50)"
            }
            (_, "rocky", _) => {
                "(mockbuild@iad1-prod-build001.bld.equ.rockylinux.org) (gcc (GCC) 11.4.1 20230605 (Red Hat 11.4.1-2), GNU ld version 2.35.2-42.el9)"
            }
            (_, "fedora", _) => {
                "(mockbuild@bkernel01.iad2.fedoraproject.org) (gcc (GCC) 13.2.1, GNU ld version 2.40-13)"
            }
            (Family::Arch, ..) => {
                "(linux@archlinux) (gcc (GCC) 14.1.1 20240522, GNU ld (GNU Binutils) 2.42.0)"
            }
            (Family::Alpine, ..) => {
                "(buildozer@build-3-19-x86_64) (gcc (Alpine 13.2.1_git20231014) 13.2.1 20231014, GNU ld (GNU Binutils) 2.41)"
            }
            _ => "(builder@build) (gcc version 7.5.0 (Buildroot))",
        }
    }

    /// First line of BusyBox's help.
    pub(crate) fn busybox(&self) -> &'static str {
        match (self.release.id, self.release.version_id) {
            ("alpine", _) => "BusyBox v1.36.1 (2023-11-07 18:53:09 UTC) multi-call binary.",
            ("ubuntu", "20.04") => "BusyBox v1.30.1 (Ubuntu 1:1.30.1-4ubuntu6.4) multi-call binary.",
            ("ubuntu", "22.04") => "BusyBox v1.30.1 (Ubuntu 1:1.30.1-7ubuntu3) multi-call binary.",
            ("ubuntu", _) => "BusyBox v1.36.1 (Ubuntu 1:1.36.1-6ubuntu3.1) multi-call binary.",
            ("debian", "11") => "BusyBox v1.30.1 (Debian 1:1.30.1-6+b3) multi-call binary.",
            ("debian", _) => "BusyBox v1.35.0 (Debian 1:1.35.0-4+b3) multi-call binary.",
            ("buildroot", _) => "BusyBox v1.29.3 () multi-call binary.",
            _ => "BusyBox v1.36.1 () multi-call binary.",
        }
    }

    /// The point release of Debian that the kernel is of, as `/etc/debian_version` has it.
    pub(super) fn debian_point(&self) -> &'static str {
        match self.release.kernel_release {
            "5.10.0-28-amd64" => "11.9",
            "5.10.0-32-amd64" => "11.11",
            "6.1.0-25-amd64" => "12.7",
            "6.1.0-31-amd64" => "12.9",
            _ => "12.5",
        }
    }

    /// What a refresh of the package lists prints where names do not resolve: output, complaints, exit status.
    pub(crate) fn refresh(&self) -> (String, String, u8) {
        let r = self.release;
        match self.family {
            Family::Debian => {
                let (host, path) = (&self.mirror, self.archive());
                let suite = r.codename;
                (
                    format!(
                        "Ign:1 http://{host}{path} {suite} InRelease\nErr:1 http://{host}{path} {suite} InRelease\n  Temporary failure resolving '{host}'\nReading package lists...\nBuilding dependency tree...\nReading state information...\nAll packages are up to date.\n"
                    ),
                    format!(
                        "W: Failed to fetch http://{host}{path}/dists/{suite}/InRelease  Temporary failure resolving '{host}'\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n"
                    ),
                    0,
                )
            }
            Family::RedHat => {
                let (id, title) = if r.id == "rocky" {
                    ("baseos", format!("{} 9 - BaseOS", r.name))
                } else {
                    ("fedora", format!("Fedora {} - x86_64", r.version_id))
                };
                (
                    format!("{title:<60}  0.0  B/s |   0  B     00:08\n"),
                    format!(
                        "Errors during downloading metadata for repository '{id}':\n  - Curl error (6): Couldn't resolve host name\nError: Failed to download metadata for repo '{id}': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve host name\n"
                    ),
                    1,
                )
            }
            Family::Arch => (
                ":: Synchronizing package databases...\n".to_owned(),
                format!(
                    "error: failed retrieving file 'core.db' from {0} : Could not resolve host: {0}\nerror: failed to synchronize all databases (download library error)\n",
                    self.mirror
                ),
                1,
            ),
            Family::Alpine | Family::Device => {
                let short = r.version_id.rsplit_once('.').map_or(r.version_id, |v| v.0);
                let url = format!("http://{}/alpine/v{short}/main", self.mirror);
                (
                    format!("fetch {url}/x86_64/APKINDEX.tar.gz\n"),
                    format!("WARNING: fetching {url}: DNS lookup error\n"),
                    1,
                )
            }
        }
    }
}

const DEBIAN_BASHRC: &str = "# ~/.bashrc: executed by bash(1) for non-login shells.\n\n# If not running interactively, don't do anything\ncase $- in\n    *i*) ;;\n      *) return;;\nesac\n\nHISTCONTROL=ignoreboth\nHISTSIZE=1000\nHISTFILESIZE=2000\n\nalias ls='ls --color=auto'\n";
const DEBIAN_PROFILE: &str = "# ~/.profile: executed by the command interpreter for login shells.\n\nif [ -n \"$BASH_VERSION\" ]; then\n    if [ -f \"$HOME/.bashrc\" ]; then\n\t. \"$HOME/.bashrc\"\n    fi\nfi\n";
const BASH_LOGOUT: &str = "# ~/.bash_logout\n\n";
const BASH_PROFILE: &str = "# .bash_profile\n\n# Get the aliases and functions\nif [ -f ~/.bashrc ]; then\n\t. ~/.bashrc\nfi\n\n# User specific environment and startup programs\n";
const REDHAT_BASHRC: &str = "# .bashrc\n\n# Source global definitions\nif [ -f /etc/bashrc ]; then\n\t. /etc/bashrc\nfi\n\n# User specific environment\nPATH=\"$HOME/.local/bin:$HOME/bin:$PATH\"\nexport PATH\n\n# User specific aliases and functions\n";
const ROOT_BASHRC: &str = "# .bashrc\n\n# User specific aliases and functions\n\nalias rm='rm -i'\nalias cp='cp -i'\nalias mv='mv -i'\n\n# Source global definitions\nif [ -f /etc/bashrc ]; then\n\t. /etc/bashrc\nfi\n";
const ROOT_CSHRC: &str =
    "# .cshrc\n\nalias rm 'rm -i'\nalias cp 'cp -i'\nalias mv 'mv -i'\n\nset prompt='[%n@%m %c]# '\n";
const ROOT_TCSHRC: &str =
    "# .tcshrc\n\nalias rm 'rm -i'\nalias cp 'cp -i'\nalias mv 'mv -i'\n\nset prompt='[%n@%m %c]# '\n";
const ARCH_BASHRC: &str = "#\n# ~/.bashrc\n#\n\n# If not running interactively, don't do anything\n[[ $- != *i* ]] && return\n\nalias ls='ls --color=auto'\nPS1='[\\u@\\h \\W]\\$ '\n";
const REDHAT_ETC_BASHRC: &str = "# /etc/bashrc\n\n# System wide functions and aliases\n# Environment stuff goes in /etc/profile\n\n# are we an interactive shell?\nif [ \"$PS1\" ]; then\n  PROMPT_COMMAND='printf \"\\033]0;%s@%s:%s\\007\" \"${USER}\" \"${HOSTNAME%%.*}\" \"${PWD/#$HOME/\\~}\"'\n  shopt -s histappend checkwinsize\n  PS1=\"[\\u@\\h \\W]\\\\$ \"\nfi\n\nif ! shopt -q login_shell ; then\n  for i in /etc/profile.d/*.sh; do\n    [ -r \"$i\" ] && . \"$i\" >/dev/null\n  done\n  unset i\nfi\n\numask 022\n# vim:ts=4:sw=4\n";
const REDHAT_ETC_PROFILE: &str = "# /etc/profile\n\n# System wide environment and startup programs, for login setup\n# Functions and aliases go in /etc/bashrc\n\nif [ -x /usr/bin/id ]; then\n  EUID=${EUID:-$(/usr/bin/id -u)}\n  USER=\"$(/usr/bin/id -un)\"\n  LOGNAME=$USER\n  MAIL=\"/var/spool/mail/$USER\"\nfi\n\nHOSTNAME=$(/usr/bin/hostnamectl --transient 2>/dev/null)\nHISTSIZE=1000\nexport PATH USER LOGNAME MAIL HOSTNAME HISTSIZE\n\numask 022\n\nfor i in /etc/profile.d/*.sh /etc/profile.d/sh.local ; do\n  if [ -r \"$i\" ]; then\n    . \"$i\" >/dev/null\n  fi\ndone\nunset i\n\nif [ -n \"${BASH_VERSION-}\" ] && [ -f /etc/bashrc ]; then\n  . /etc/bashrc\nfi\n";
const COLORLS: &str = "# color-ls initialization\n\n[ -z \"$PS1\" ] && return\n\nalias ll='ls -l --color=auto' 2>/dev/null\nalias l.='ls -d .* --color=auto' 2>/dev/null\nalias ls='ls --color=auto' 2>/dev/null\n";
const LANG: &str = "# /etc/profile.d/lang.sh - set the language\n\nif [ -z \"$LANG\" ] && [ -f /etc/locale.conf ]; then\n  . /etc/locale.conf\n  export LANG\nfi\n";
