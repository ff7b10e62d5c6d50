//! What programs say of their version: one table, filled from the machine's own list of packages, so that neither
//! contradicts the other. A program that is not here answers as if it had not been asked.

use std::fmt::Write as _;

use crate::shell::{distribution::Family, machine::Machine};

/// The programs of GNU coreutils and who wrote them.
const COREUTILS: &str = include_str!("../data/coreutils.tsv");

const FREE: &str = "License GPLv3+: GNU GPL version 3 or later <https://gnu.org/licenses/gpl.html>.\nThis is free software: you are free to change and redistribute it.\nThere is NO WARRANTY, to the extent permitted by law.\n";

/// Programs of util-linux, procps and net-tools, which all say it in the same way.
const UTIL_LINUX: &[&str] = &[
    "dmesg", "fdisk", "findmnt", "hexdump", "last", "logger", "lsblk", "lscpu", "mount", "rev", "su",
    "umount",
];
const PROCPS: &[&str] = &[
    "free", "pgrep", "pkill", "ps", "sysctl", "top", "uptime", "vmstat", "w", "watch",
];

/// Their names.
pub(super) fn coreutils() -> impl Iterator<Item = &'static str> {
    COREUTILS.lines().filter_map(|line| line.split('\t').next())
}

/// What a program answers.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::shell) struct Answer {
    pub(in crate::shell) text: String,
    /// It goes to standard error.
    pub(in crate::shell) aside: bool,
}

/// What `name` answers to `args` (itself the first) where they ask for its version.
pub(in crate::shell) fn version(m: &Machine, name: &str, args: &[Vec<u8>]) -> Option<Answer> {
    let option = std::str::from_utf8(args.get(1)?).ok()?;
    if args.len() > 2 && !matches!((name, option), ("openssl", "version") | (_, "-W" | "--version")) {
        return None;
    }
    if m.distribution.is_busybox() {
        return None;
    }
    let long = option == "--version";
    let letter = match name {
        "ssh" | "sudo" | "curl" | "ip" | "ss" | "mysql" | "mariadb" | "mysqladmin" | "mysqldump"
        | "iptables" | "wget" | "grep" | "gzip" | "visudo" | "tmux" | "screen" | "mount" | "lscpu"
        | "lsblk" | "ps" | "free" | "mysqld" | "mariadbd" | "sysctl" | "netstat" | "hostname"
        | "ifconfig" | "w" | "uptime" | "dmesg" => option == "-V",
        "apache2" | "httpd" | "nginx" | "redis-server" | "redis-cli" | "nft" => {
            option == "-v" || (option == "-V" && name == "nginx")
        }
        "awk" | "mawk" | "gawk" => option == "-W",
        "openssl" => option == "version",
        "apt" | "apt-get" | "file" => option == "-v",
        _ => false,
    };
    // These know the letter and not the word.
    let only_letter = matches!(
        name,
        "ssh" | "ip" | "ss" | "apache2" | "httpd" | "nginx" | "openssl" | "tmux" | "screen" | "ifconfig"
    );
    if !(letter || (long && !only_letter)) {
        return None;
    }
    let aside = matches!(name, "ssh" | "nginx");
    text(m, name).map(|text| Answer { text, aside })
}

fn text(m: &Machine, name: &str) -> Option<String> {
    let v = |names: &[&str]| m.upstream(names);
    let debian = m.distribution.family == Family::Debian;
    let architecture = m.architecture;
    if let Some(authors) = COREUTILS
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .find_map(|(program, authors)| (program == name).then_some(authors))
    {
        let version = v(&["coreutils"])?;
        let year = match version.as_str() {
            "8.30" => 2018,
            "8.32" => 2020,
            "9.1" => 2022,
            "9.4" => 2023,
            _ => 2024,
        };
        return Some(format!(
            "{name} (GNU coreutils) {version}\nCopyright (C) {year} Free Software Foundation, Inc.\n{FREE}\nWritten by {authors}.\n"
        ));
    }
    if UTIL_LINUX.contains(&name) {
        let version = v(&["util-linux"])?;
        let library = match name {
            "mount" | "umount" => format!(
                " (libmount {version}: {}btrfs, {}namespaces, assert, debug)",
                if debian { "selinux, smack, " } else { "selinux, " },
                if debian { "verity, " } else { "" }
            ),
            _ => String::new(),
        };
        return Some(format!("{name} from util-linux {version}{library}\n"));
    }
    if PROCPS.contains(&name) {
        return Some(format!(
            "{name} from procps-ng {}\n",
            v(&["procps", "procps-ng"])?
        ));
    }
    let gnu = |title: &str, version: &str, year: u32, authors: &str| {
        format!(
            "{title} {version}\nCopyright (C) {year} Free Software Foundation, Inc.\n{FREE}\nWritten by {authors}\n"
        )
    };
    Some(match name {
        "openssl" => openssl(m)? + "\n",
        "ssh" => {
            let own = m.distribution.release.ssh.trim_start_matches("SSH-2.0-");
            let library = openssl(m)?;
            // OpenSSL tells its library apart; OpenSSH only the library's name.
            let library = library.split(" (Library").next().unwrap_or_default();
            let patch = if own.contains('p') { "" } else { "p1" };
            format!("{own}{patch}, {library}\n")
        }
        "sudo" => {
            let version = v(&["sudo"])?;
            let grammar = match version.as_str() {
                v if v.starts_with("1.8") => 46,
                v if v.starts_with("1.9.5") => 48,
                v if v.starts_with("1.9.9") => 48,
                _ => 50,
            };
            let mut text = format!(
                "Sudo version {version}\nSudoers policy plugin version {version}\nSudoers file grammar version {grammar}\nSudoers I/O plugin version {version}\n"
            );
            if grammar > 46 {
                // Writing to a String cannot fail.
                let _infallible = writeln!(text, "Sudoers audit plugin version {version}");
            }
            text
        }
        "visudo" => {
            let version = v(&["sudo"])?;
            format!(
                "visudo version {version}\nvisudo grammar version {}\n",
                if version.starts_with("1.8") { 46 } else { 50 }
            )
        }
        "dmidecode" => format!("{}\n", v(&["dmidecode"])?),
        "curl" => curl(m, &v(&["curl", "curl-minimal"])?),
        "wget" => format!("GNU Wget {} built on linux-gnu.\n", v(&["wget"])?),
        "systemctl" | "journalctl" | "hostnamectl" | "systemd-detect-virt" | "loginctl" | "timedatectl" => {
            systemd(m)?
        }
        "ip" | "ss" => {
            let version = v(&["iproute2", "iproute"])?;
            let title = if name == "ip" { "ip utility" } else { "ss utility" };
            // It named a snapshot before 5.7 and its library since 5.12.
            match version.as_str() {
                "5.5.0" => format!("{title}, iproute2-ss200127\n"),
                "5.10.0" => format!("{title}, iproute2-{version}\n"),
                _ if name == "ss" => format!("{title}, iproute2-{version}\n"),
                "5.15.0" => format!("{title}, iproute2-{version}, libbpf 0.5.0\n"),
                "6.1.0" => format!("{title}, iproute2-{version}, libbpf 1.1.0\n"),
                _ => format!("{title}, iproute2-{version}, libbpf 1.2.0\n"),
            }
        }
        "iptables" | "ip6tables" => {
            let version = v(&["iptables", "iptables-nft", "iptables-libs"])?;
            let legacy = version == "1.8.4";
            format!(
                "{name} v{version} ({})\n",
                if legacy { "legacy" } else { "nf_tables" }
            )
        }
        "nft" => format!("nftables v{}\n", v(&["nftables"])?),
        "dpkg" => format!(
            "Debian 'dpkg' package management program version {} (amd64).\nThis is free software; see the GNU General Public License version 2 or\nlater for copying conditions. There is NO warranty.\n",
            v(&["dpkg"])?
        ),
        "apt" | "apt-get" | "apt-cache" => format!("apt {} (amd64)\n", v(&["apt"])?),
        "git" => format!("git version {}\n", v(&["git"])?),
        "tmux" => format!("tmux {}\n", v(&["tmux"])?),
        "file" => format!(
            "file-{}\nmagic file from /etc/magic:/usr/share/misc/magic\n",
            v(&["file"])?
        ),
        "hostname" => format!("hostname {}\n", v(&["hostname"])?),
        "netstat" | "ifconfig" | "route" | "arp" => format!("net-tools {}\n", v(&["net-tools"])?),
        "grep" | "egrep" | "fgrep" => {
            let version = v(&["grep"])?;
            let year = match version.as_str() {
                "3.4" | "3.6" => 2020,
                "3.7" => 2021,
                "3.8" => 2022,
                _ => 2023,
            };
            gnu(
                "grep (GNU grep)",
                &version,
                year,
                "Mike Haertel and others; see\n<https://git.sv.gnu.org/cgit/grep.git/tree/AUTHORS>.",
            )
        }
        "sed" => {
            let version = v(&["sed"])?;
            let year = match version.as_str() {
                "4.7" => 2018,
                "4.8" => 2020,
                _ => 2022,
            };
            let packaged = if debian && version == "4.9" {
                "\nPackaged by Debian"
            } else {
                ""
            };
            let authors = "Jay Fenlason, Tom Lord, Ken Pizzini,\nPaolo Bonzini, Jim Meyering, and Assaf Gordon.\n\nThis sed program was built with SELinux support.\nSELinux is disabled on this system.\n\nGNU sed home page: <https://www.gnu.org/software/sed/>.\nGeneral help using GNU software: <https://www.gnu.org/gethelp/>.\nE-mail bug reports to: <bug-sed@gnu.org>.";
            gnu("sed (GNU sed)", &(version + packaged), year, authors)
        }
        "tar" => {
            let version = v(&["tar"])?;
            let year = match version.as_str() {
                "1.30" => 2017,
                "1.34" => 2021,
                _ => 2023,
            };
            gnu("tar (GNU tar)", &version, year, "John Gilmore and Jay Fenlason.")
        }
        "find" | "xargs" => {
            let version = v(&["findutils"])?;
            let year = match version.as_str() {
                "4.7.0" => 2019,
                "4.8.0" => 2021,
                "4.9.0" => 2022,
                _ => 2024,
            };
            let authors = if name == "find" {
                "Eric B. Decker, James Youngman, and Kevin Dalley.\nFeatures enabled: D_TYPE O_NOFOLLOW(enabled) LEAF_OPTIMISATION FTS(FTS_CWDFD) CBO(level=2) "
            } else {
                "Mike Rendell, Eric B. Decker, James Youngman, and Kevin Dalley."
            };
            gnu(&format!("{name} (GNU findutils)"), &version, year, authors)
        }
        "gzip" | "gunzip" => format!(
            "{name} {}\nCopyright (C) 2018 Free Software Foundation, Inc.\nCopyright (C) 1993 Jean-loup Gailly.\nThis is free software.  You may redistribute copies of it under the terms of\nthe GNU General Public License <https://www.gnu.org/licenses/gpl.html>.\nThere is NO WARRANTY, to the extent permitted by law.\n\nWritten by Jean-loup Gailly.\n",
            v(&["gzip"])?
        ),
        "awk" | "mawk" if debian => format!(
            "mawk {}\nCopyright 2008-2019,2020, Thomas E. Dickey\nCopyright 1991-1996,2014, Michael D. Brennan\n\nrandom-funcs:       srandom/random\nregex-funcs:        internal\ncompiled limits:\nsprintf buffer      8192\nmaximum-integer     2147483647\n",
            v(&["mawk"])?.replacen("1.3.4.", "1.3.4 ", 1)
        ),
        "awk" | "gawk" => format!(
            "GNU Awk {}, API 3.0\nCopyright (C) 1989, 1991-2021 Free Software Foundation.\n",
            v(&["gawk"])?
        ),
        "ldd" | "getent" | "iconv" | "locale" => {
            let package = m
                .packages()
                .into_iter()
                .find(|p| p.name == "libc-bin" || p.name == "glibc-common")?;
            let upstream = v(&["libc-bin", "glibc-common", "glibc"])?;
            let by = match m.distribution.release.id {
                "ubuntu" => format!("Ubuntu GLIBC {}", package.version),
                "debian" | "kali" => format!("Debian GLIBC {}", package.version),
                _ => "GNU libc".to_owned(),
            };
            let year = match upstream.as_str() {
                "2.31" => 2020,
                "2.34" => 2021,
                "2.35" | "2.36" => 2022,
                _ => 2024,
            };
            let author = match name {
                "ldd" => "Roland McGrath and Ulrich Drepper",
                "getent" => "Thorsten Kukuk",
                _ => "Ulrich Drepper",
            };
            format!(
                "{name} ({by}) {upstream}\nCopyright (C) {year} Free Software Foundation, Inc.\nThis is free software; see the source for copying conditions.  There is NO\nwarranty; not even for MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.\nWritten by {author}.\n"
            )
        }
        "redis-cli" => format!("redis-cli {}\n", v(&["redis-tools", "redis"])?),
        "redis-server" => format!(
            "Redis server v={} sha=00000000:0 malloc=jemalloc-5.{}.0 bits=64 build={}\n",
            v(&["redis-server", "redis"])?,
            if v(&["redis-server", "redis"])?.starts_with('7') {
                3
            } else {
                2
            },
            hex::encode(m.secret.get(..8).unwrap_or_default())
        ),
        "mysql" | "mariadb" | "mysqladmin" | "mysqldump" | "mysqld" | "mariadbd" => {
            database(m, name, architecture)?
        }
        "apache2" | "httpd" => {
            let banner = m.distribution.release.apache;
            format!("Server version: {banner}\nServer built:   {}\n", built(m))
        }
        "nginx" => {
            let banner = m.distribution.release.nginx;
            format!("nginx version: {banner}\n")
        }
        _ => return None,
    })
}

/// When a package was built: some weeks before the installation.
fn built(m: &Machine) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(m.installed - 41 * 86_400)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{}T{:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `OpenSSL 1.1.1f  31 Mar 2020`.
fn openssl(m: &Machine) -> Option<String> {
    let version = m.upstream(&["openssl", "libssl3"])?;
    let day = match version.as_str() {
        "1.1.1f" => "31 Mar 2020",
        "1.1.1w" => "11 Sep 2023",
        "3.0.2" => "15 Mar 2022",
        "3.0.7" => "1 Nov 2022",
        "3.0.11" => "19 Sep 2023",
        "3.0.13" | "3.2.1" => "30 Jan 2024",
        "3.3.0" => "9 Apr 2024",
        _ => "3 Sep 2024",
    };
    Some(if version.starts_with('1') {
        format!("OpenSSL {version}  {day}")
    } else {
        format!("OpenSSL {version} {day} (Library: OpenSSL {version} {day})")
    })
}

/// What systemd says of itself and how it was built.
fn systemd(m: &Machine) -> Option<String> {
    let package = m.packages().into_iter().find(|p| p.name == "systemd")?;
    let number = package.version.split(['.', '-']).next()?.to_owned();
    let built = match number.as_str() {
        "245" => {
            "+PAM +AUDIT +SELINUX +IMA +APPARMOR +SMACK +SYSVINIT +UTMP +LIBCRYPTSETUP +GCRYPT +GNUTLS +ACL +XZ +LZ4 +SECCOMP +BLKID +ELFUTILS +KMOD +IDN2 -IDN +PCRE2 default-hierarchy=hybrid"
        }
        "247" => {
            "+PAM +AUDIT +SELINUX +IMA +APPARMOR +SMACK +SYSVINIT +UTMP +LIBCRYPTSETUP +GCRYPT +GNUTLS +ACL +XZ +LZ4 +ZSTD +SECCOMP +BLKID +ELFUTILS +KMOD +IDN2 -IDN +PCRE2 default-hierarchy=unified"
        }
        "249" => {
            "+PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK +SECCOMP +GCRYPT +GNUTLS +OPENSSL +ACL +BLKID +CURL +ELFUTILS +FIDO2 +IDN2 -IDN +IPTC +KMOD +LIBCRYPTSETUP +LIBFDISK +PCRE2 -PWQUALITY -P11KIT -QRENCODE +BZIP2 +LZ4 +XZ +ZLIB +ZSTD -XKBCOMMON +UTMP +SYSVINIT default-hierarchy=unified"
        }
        _ => {
            "+PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK +SECCOMP +GCRYPT -GNUTLS +OPENSSL +ACL +BLKID +CURL +ELFUTILS +FIDO2 +IDN2 -IDN +IPTC +KMOD +LIBCRYPTSETUP +LIBFDISK +PCRE2 -PWQUALITY +P11KIT +QRENCODE +TPM2 +BZIP2 +LZ4 +XZ +ZLIB +ZSTD -BPF_FRAMEWORK -XKBCOMMON +UTMP +SYSVINIT default-hierarchy=unified"
        }
    };
    Some(format!("systemd {number} ({})\n{built}\n", package.version))
}

fn curl(m: &Machine, version: &str) -> String {
    let tls = m.upstream(&["openssl", "libssl3"]).unwrap_or_default();
    let (libraries, day) = match version {
        "7.68.0" => (
            "zlib/1.2.11 brotli/1.0.7 libidn2/2.2.0 libpsl/0.21.0 (+libidn2/2.2.0) libssh/0.9.3/openssl/zlib nghttp2/1.40.0 librtmp/2.3",
            "2020-01-08",
        ),
        "7.74.0" => (
            "zlib/1.2.11 brotli/1.0.9 libidn2/2.3.0 libpsl/0.21.0 (+libidn2/2.3.0) libssh2/1.9.0 nghttp2/1.43.0 librtmp/2.3",
            "2020-12-09",
        ),
        "7.76.1" => (
            "zlib/1.2.11 brotli/1.0.9 libidn2/2.3.0 libpsl/0.21.1 (+libidn2/2.3.0) libssh/0.10.4/openssl/zlib nghttp2/1.43.0",
            "2021-04-14",
        ),
        "7.81.0" => (
            "zlib/1.2.11 brotli/1.0.9 zstd/1.4.8 libidn2/2.3.2 libpsl/0.21.0 (+libidn2/2.3.2) libssh/0.9.6/openssl/zlib nghttp2/1.43.0 librtmp/2.3 OpenLDAP/2.5.16",
            "2022-01-05",
        ),
        "7.88.1" => (
            "zlib/1.2.13 brotli/1.0.9 zstd/1.5.4 libidn2/2.3.3 libpsl/0.21.2 (+libidn2/2.3.3) libssh2/1.10.0 nghttp2/1.52.0 librtmp/2.3 OpenLDAP/2.5.13",
            "2023-02-20",
        ),
        "8.5.0" => (
            "zlib/1.3 brotli/1.1.0 zstd/1.5.5 libidn2/2.3.7 libpsl/0.21.2 (+libidn2/2.3.7) libssh/0.10.6/openssl/zlib nghttp2/1.59.0 librtmp/2.3 OpenLDAP/2.6.7",
            "2023-12-06",
        ),
        "8.6.0" => ("zlib/1.3.0.zlib-ng libidn2/2.3.7 nghttp2/1.59.0", "2024-01-31"),
        _ => (
            "zlib/1.3.1 brotli/1.1.0 zstd/1.5.6 libidn2/2.3.7 libpsl/0.21.5 libssh2/1.11.0 nghttp2/1.61.0",
            "2024-05-22",
        ),
    };
    let host = if m.distribution.family == Family::RedHat {
        "x86_64-redhat-linux-gnu"
    } else {
        "x86_64-pc-linux-gnu"
    };
    format!(
        "curl {version} ({host}) libcurl/{version} OpenSSL/{tls} {libraries}\nRelease-Date: {day}\nProtocols: dict file ftp ftps gopher http https imap imaps ldap ldaps pop3 pop3s rtmp rtsp scp sftp smb smbs smtp smtps telnet tftp \nFeatures: AsynchDNS brotli GSS-API HTTP2 HTTPS-proxy IDN IPv6 Kerberos Largefile libz NTLM NTLM_WB PSL SPNEGO SSL TLS-SRP UnixSockets\n"
    )
}

fn database(m: &Machine, name: &str, architecture: &str) -> Option<String> {
    let release = m.distribution.release;
    let server = matches!(name, "mysqld" | "mariadbd");
    let maria = m.upstream(&["mariadb-server"]).is_some();
    let full = if maria { release.mariadb } else { release.mysql };
    let short = full.split('-').next().unwrap_or(full);
    let by = match (maria, release.id) {
        (true, "debian" | "ubuntu") => format!(
            "{} {}",
            release.name.replace(" GNU/Linux", ""),
            release.version_id
        ),
        (true, _) => "MariaDB Server".to_owned(),
        // It has both pairs of parentheses.
        (false, "ubuntu") => "(Ubuntu)".to_owned(),
        (false, _) => "Source distribution".to_owned(),
    };
    let os = if maria && m.distribution.family == Family::Debian {
        "debian-linux-gnu"
    } else {
        "Linux"
    };
    Some(match (server, maria) {
        (true, _) => format!("/usr/sbin/{name}  Ver {full} for {os} on {architecture} ({by})\n"),
        (false, true) => format!(
            "{name}  Ver 15.1 Distrib {short}-MariaDB, for {os} ({architecture}) using  EditLine wrapper\n"
        ),
        (false, false) => format!("{name}  Ver {full} for {os} on {architecture} ({by})\n"),
    })
}
