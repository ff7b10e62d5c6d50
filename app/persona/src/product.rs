//! Which program answers for a service, in which version, as the persona's release has it.

use crate::{OsFamily, Persona, distro::Release};

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductKind {
    /// The SSH server.
    Ssh,
    /// The web server.
    Web,
    /// Redis.
    Redis,
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// The FTP server.
    Ftp,
    /// The SMTP server.
    Mail,
}

/// A program that a persona has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its name as its makers write it: `OpenSSH`, `dropbear`, `Apache`, `nginx`, `Microsoft-IIS`, `lighttpd`, `Redis`,
    /// `MySQL`, `MariaDB`, `vsFTPd`, `ProFTPD`, `Microsoft FTP Service`, `Postfix`, `Exim`, `Microsoft ESMTP`.
    pub name: &'static str,
    /// Its upstream version, such as `9.2p1`.
    pub version: String,
    /// What it says of itself first, without line end and without the protocol's own framing: the SSH identification
    /// string, the `Server` header, the redis version, `@@version` of a database, an FTP greeting's text after
    /// `220 `, an SMTP greeting's text after `220 <host> `.
    pub banner: String,
}

impl Persona {
    /// The program that answers for `kind` on this machine. What its distribution does not package comes in the
    /// version that an operator of that time would have installed by hand.
    #[must_use]
    pub fn product(&self, kind: ProductKind) -> Product {
        let release = self.release();
        match kind {
            ProductKind::Ssh => ssh(release),
            ProductKind::Web => self.web(release),
            ProductKind::Redis => plain("Redis", or(release.redis, "6.2.14")),
            ProductKind::Mysql => database("MySQL", or(release.mysql, "8.0.36")),
            ProductKind::Mariadb => database("MariaDB", or(release.mariadb, "10.11.6-MariaDB")),
            ProductKind::Ftp => self.ftp(release),
            ProductKind::Mail => self.mail(release),
        }
    }

    /// Which of MySQL and MariaDB a service called `mysql` is on this machine.
    #[must_use]
    pub fn sql_product(&self) -> Product {
        let release = self.release();
        let both = !release.mysql.is_empty() && !release.mariadb.is_empty();
        let mysql = if both {
            self.rng("product/sql").chance(2, 3)
        } else {
            !release.mysql.is_empty()
        };
        self.product(if mysql {
            ProductKind::Mysql
        } else {
            ProductKind::Mariadb
        })
    }

    fn web(&self, release: &Release) -> Product {
        let nginx = !release.nginx.is_empty() && self.rng("product/web").chance(1, 2);
        let banner = if nginx { release.nginx } else { release.apache };
        let (name, rest) = banner.split_once('/').unwrap_or((banner, ""));
        let name = match name {
            "nginx" => "nginx",
            "Microsoft-IIS" => "Microsoft-IIS",
            "lighttpd" => "lighttpd",
            "cisco-IOS" => "cisco-IOS",
            _ => "Apache",
        };
        Product {
            name,
            version: rest.split(' ').next().unwrap_or_default().to_owned(),
            banner: banner.to_owned(),
        }
    }

    fn ftp(&self, release: &Release) -> Product {
        if self.os.is_windows() {
            return Product {
                name: "Microsoft FTP Service",
                version: "10.0".to_owned(),
                banner: "Microsoft FTP Service".to_owned(),
            };
        }
        let proftpd = !release.proftpd.is_empty() && self.rng("product/ftp").chance(1, 3);
        if proftpd {
            let tag = match release.id {
                "debian" | "kali" | "ubuntu" => "Debian",
                _ => "ProFTPD",
            };
            Product {
                name: "ProFTPD",
                version: release.proftpd.to_owned(),
                banner: format!("ProFTPD Server ({tag})"),
            }
        } else {
            let version = or(release.vsftpd, "3.0.3");
            Product {
                name: "vsFTPd",
                version: version.to_owned(),
                banner: format!("(vsFTPd {version})"),
            }
        }
    }

    fn mail(&self, release: &Release) -> Product {
        if self.os.is_windows() {
            let version = format!("{}.1", release.version_id);
            return Product {
                name: "Microsoft ESMTP",
                banner: format!("Microsoft ESMTP MAIL Service, Version: {version} ready"),
                version,
            };
        }
        let exim = !release.exim.is_empty() && self.rng("product/mail").chance(1, 4);
        if exim {
            Product {
                name: "Exim",
                version: release.exim.to_owned(),
                banner: format!("ESMTP Exim {}", release.exim),
            }
        } else {
            Product {
                name: "Postfix",
                version: or(release.postfix, "3.5.9").to_owned(),
                banner: format!("ESMTP Postfix {}", release.postfix_tag)
                    .trim_end()
                    .to_owned(),
            }
        }
    }
}

/// Programs that do the same, kind by kind: what is one of a line is none of the others.
const RIVALS: &[&[&str]] = &[
    &["OpenSSH", "dropbear", "Cisco", "libssh", "WeOnlyDo", "Bitvise"],
    &[
        "Apache",
        "nginx",
        "Microsoft-IIS",
        "lighttpd",
        "cisco-IOS",
        "openresty",
        "LiteSpeed",
        "Caddy",
        "Jetty",
    ],
    &["MySQL", "MariaDB", "Percona"],
    &[
        "vsFTPd",
        "ProFTPD",
        "Pure-FTPd",
        "FileZilla",
        "Microsoft FTP Service",
    ],
    &[
        "Postfix",
        "Exim",
        "Microsoft ESMTP",
        "Sendmail",
        "OpenSMTPD",
        "qmail",
    ],
];

/// Systems that programs name when they speak of themselves.
const SYSTEMS: &[&str] = &[
    "Debian",
    "Ubuntu",
    "Kali",
    "Raspbian",
    "Red Hat",
    "CentOS",
    "Rocky",
    "AlmaLinux",
    "Fedora",
    "SUSE",
    "Alpine",
    "Arch Linux",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
    "Windows",
    "Win32",
    "Win64",
];

impl Persona {
    /// The program `own` of this machine, which says `text` of itself: in the version that this names, where it names one.
    ///
    /// A text that neither names the program nor begins with a number is an operator's own words, in which systems may be named: a
    /// mirror of Debian need not be one.
    ///
    /// # Errors
    /// What in `text` contradicts this machine, so that it follows what was said: another program, another system or release of it, or
    /// another series of versions (the first two numbers) than its distribution has. A rolling one has had them all.
    pub fn product_saying(&self, own: Product, text: &str) -> Result<Product, String> {
        let release = self.release();
        let rivals = RIVALS.iter().find(|line| line.contains(&own.name));
        let mut others = rivals.into_iter().copied().flatten();
        if let Some(other) = others.find(|name| **name != own.name && after(text, name).is_some()) {
            return Err(format!("names {other}, and the persona has {}", own.name));
        }
        let of_itself = if text.starts_with(|c: char| c.is_ascii_digit()) {
            Some(text)
        } else {
            after(text, own.name)
        };
        let Some(rest) = of_itself else {
            return Ok(Product {
                banner: text.to_owned(),
                ..own
            });
        };
        let is_own = |system: &str| {
            [release.name, own.banner.as_str()]
                .iter()
                .any(|own| after(own, system).is_some())
                || (system.starts_with("Win") && self.os.is_windows())
        };
        let mut systems = SYSTEMS.iter().copied();
        if let Some(system) = systems.find(|&system| after(text, system).is_some() && !is_own(system)) {
            return Err(format!("names {system}, and the persona runs {}", release.pretty));
        }
        if let Some(rest) = after(text, "+deb").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            let of: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if (release.id, release.version_id) != ("debian", of.as_str()) {
                return Err(format!(
                    "names a package of Debian {of}, and the persona runs {}",
                    release.pretty
                ));
            }
        }
        let version = version_in(rest);
        let rolls = release.version_id.is_empty();
        if !rolls && !version.is_empty() && !own.version.is_empty() && !same_series(version, &own.version) {
            return Err(format!(
                "is of version {version}, and the persona's {} is {}",
                own.name, own.version
            ));
        }
        Ok(Product {
            name: own.name,
            version: if version.is_empty() {
                own.version
            } else {
                version.to_owned()
            },
            banner: text.to_owned(),
        })
    }
}

/// What stands in `text` behind `word`, in any case, where that is no end of another word; `None` where it does not stand there.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (lower, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let begins = |at: usize| {
        let before = lower.get(..at).and_then(|before| before.chars().last());
        !before.is_some_and(char::is_alphabetic)
    };
    let (at, found) = lower.match_indices(&word).find(|(at, _)| begins(*at))?;
    text.get(at + found.len()..)
}

/// The version in the first word of `rest`, which stands behind a program's name; empty where there is none.
fn version_in(rest: &str) -> &str {
    let word = rest
        .trim_start_matches([' ', '/'])
        .split([' ', '(', ')'])
        .next()
        .unwrap_or_default();
    let Some(begin) = word.find(|c: char| c.is_ascii_digit()) else {
        return "";
    };
    let version = word.get(begin..).unwrap_or_default();
    let end = version.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    version.get(..end.unwrap_or(version.len())).unwrap_or_default()
}

/// Whether the first two numbers of both versions are the same, as far as both have them.
fn same_series(one: &str, other: &str) -> bool {
    fn numbers(version: &str) -> impl Iterator<Item = &str> {
        version.split(|c: char| !c.is_ascii_digit()).take(2)
    }
    numbers(one).zip(numbers(other)).all(|(one, other)| one == other)
}

fn or<'a>(packaged: &'a str, otherwise: &'a str) -> &'a str {
    if packaged.is_empty() { otherwise } else { packaged }
}

fn plain(name: &'static str, version: &str) -> Product {
    Product {
        name,
        version: version.to_owned(),
        banner: version.to_owned(),
    }
}

fn database(name: &'static str, full: &str) -> Product {
    Product {
        name,
        version: full.split('-').next().unwrap_or_default().to_owned(),
        banner: full.to_owned(),
    }
}

fn ssh(release: &Release) -> Product {
    let banner = release.ssh;
    let software = banner.strip_prefix("SSH-2.0-").unwrap_or(banner);
    let name = match software {
        s if s.starts_with("dropbear") => "dropbear",
        s if s.starts_with("Cisco") => "Cisco",
        _ => "OpenSSH",
    };
    let version = software.split(' ').next().unwrap_or_default();
    let version = version.rsplit(['_', '-']).next().unwrap_or_default();
    Product {
        name,
        version: version.to_owned(),
        banner: banner.to_owned(),
    }
}

/// `uname`'s fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -s`.
    pub sysname: &'static str,
    /// `uname -r`.
    pub release: &'static str,
    /// `uname -v`.
    pub version: &'static str,
    /// `uname -m`.
    pub machine: &'static str,
}

impl Persona {
    /// What `uname` says.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        let release = self.release();
        let (sysname, machine) = match self.os {
            OsFamily::Bsd => ("FreeBSD", "amd64"),
            OsFamily::Embedded => ("Linux", "armv7l"),
            OsFamily::Windows | OsFamily::WindowsServer => ("Windows_NT", "AMD64"),
            OsFamily::Cisco => ("IOS", "powerpc"),
            OsFamily::Linux => ("Linux", "x86_64"),
        };
        Kernel {
            sysname,
            release: release.kernel_release,
            version: release.kernel_version,
            machine,
        }
    }

    /// The whole line of `uname -a`.
    #[must_use]
    pub fn uname(&self) -> String {
        let Kernel {
            sysname,
            release,
            version,
            machine,
        } = self.kernel();
        let host = &self.hostname;
        // GNU's uname repeats processor and platform on Ubuntu, Red Hat and their like, BusyBox and Debian do not.
        let tail = match self.release().id {
            "ubuntu" | "rocky" | "fedora" => format!("{machine} {machine} {machine} GNU/Linux"),
            "debian" | "kali" | "arch" => format!("{machine} GNU/Linux"),
            "alpine" => format!("{machine} Linux"),
            "buildroot" => format!("{machine} GNU/Linux"),
            _ => machine.to_owned(),
        };
        format!("{sysname} {host} {release} {version} {tail}")
    }

    /// The text of `/etc/os-release`; empty on a system that has none.
    #[must_use]
    pub fn os_release(&self) -> String {
        let r = self.release();
        if self.os.is_windows() || self.os == OsFamily::Cisco {
            return String::new();
        }
        let mut out = String::new();
        let mut line = |key: &str, value: &str, quoted: bool| {
            if !value.is_empty() {
                out.push_str(key);
                out.push('=');
                let quote = if quoted { "\"" } else { "" };
                out.push_str(quote);
                out.push_str(value);
                out.push_str(quote);
                out.push('\n');
            }
        };
        line("PRETTY_NAME", r.pretty, true);
        line("NAME", r.name, true);
        line("VERSION_ID", r.version_id, true);
        line("VERSION", r.version, true);
        line("VERSION_CODENAME", r.codename, false);
        line("ID", r.id, r.id == "rocky");
        line("ID_LIKE", r.id_like, r.id_like.contains(' '));
        line("HOME_URL", r.home_url, true);
        out
    }
}
