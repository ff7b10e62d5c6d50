//! What runs for a service that a machine offers: the processes and the unit of the program that its persona has for
//! it, as the distribution's package starts it.

use decnet_persona::{Persona, ProductKind};

use super::distribution::Family;

/// The programs of a machine that answer for services, by name and version.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    family: Family,
    web: &'static str,
    sql: &'static str,
    sql_version: String,
    ftp: &'static str,
    mail: &'static str,
}

/// What runs for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    /// User, resident KiB and command of each process; the first is the others' parent.
    pub(super) processes: &'static [(&'static str, u32, &'static str)],
    /// The port that the first one listens on.
    pub(super) port: u16,
    /// What `ss -p` calls it.
    pub(super) name: &'static str,
}

impl Daemon {
    /// What its package installs: the server and its clients.
    pub(super) fn programs(&self) -> &'static [&'static str] {
        match self.name {
            "redis-server" => &[
                "/usr/bin/redis-server",
                "/usr/bin/redis-cli",
                "/usr/bin/redis-benchmark",
            ],
            "mysqld" => &[
                "/usr/sbin/mysqld",
                "/usr/bin/mysql",
                "/usr/bin/mysqladmin",
                "/usr/bin/mysqldump",
            ],
            "mariadbd" => &[
                "/usr/sbin/mariadbd",
                "/usr/sbin/mysqld",
                "/usr/bin/mariadb",
                "/usr/bin/mysql",
                "/usr/bin/mysqladmin",
                "/usr/bin/mysqldump",
            ],
            "nginx" => &["/usr/sbin/nginx"],
            "apache2" => &["/usr/sbin/apache2", "/usr/sbin/apache2ctl", "/usr/sbin/a2ensite"],
            "httpd" => &["/usr/sbin/httpd", "/usr/sbin/apachectl"],
            "lighttpd" => &["/usr/sbin/lighttpd"],
            "vsftpd" => &["/usr/sbin/vsftpd"],
            "proftpd" => &["/usr/sbin/proftpd"],
            "master" => &[
                "/usr/sbin/postfix",
                "/usr/sbin/postconf",
                "/usr/sbin/sendmail",
                "/usr/bin/mailq",
            ],
            "exim4" => &["/usr/sbin/exim4", "/usr/sbin/sendmail", "/usr/bin/mailq"],
            _ => &[],
        }
    }
}

impl Programs {
    pub(super) fn of(persona: &Persona, family: Family) -> Self {
        let sql = persona.sql_product();
        Self {
            family,
            web: persona.product(ProductKind::Web).name,
            sql: sql.name,
            sql_version: sql.version,
            ftp: persona.product(ProductKind::Ftp).name,
            mail: persona.product(ProductKind::Mail).name,
        }
    }

    /// What runs for the service `slug`; nothing for one that runs anyway or that no process stands for.
    pub(super) fn daemon(&self, slug: &str) -> Option<Daemon> {
        let (port, (name, processes)) = match slug {
            "http" => (80, self.web()),
            "https" => (443, self.web()),
            "redis" => (6_379, REDIS),
            "mysql" => (3_306, self.sql(self.sql)),
            "mariadb" => (3_306, self.sql("MariaDB")),
            "ftp" => (21, self.ftp()),
            "smtp" => (25, self.mail()),
            "smtp_relay" => (587, self.mail()),
            _ => return None,
        };
        Some(Daemon {
            processes,
            port,
            name,
        })
    }

    fn web(&self) -> Program {
        match (self.web, self.family) {
            ("nginx", Family::RedHat) => NGINX_REDHAT,
            ("nginx", Family::Arch) => NGINX_ARCH,
            ("nginx", Family::Alpine) => NGINX_ALPINE,
            ("nginx", _) => NGINX_DEBIAN,
            ("lighttpd", _) => LIGHTTPD,
            (_, Family::Debian) => APACHE_DEBIAN,
            (_, Family::Arch) => APACHE_ARCH,
            (_, Family::Alpine | Family::Device) => APACHE_ALPINE,
            (_, Family::RedHat) => APACHE_REDHAT,
        }
    }

    fn sql(&self, name: &str) -> Program {
        // Before 10.5 MariaDB's server was called as MySQL's is.
        let old = self.sql_version.starts_with("10.3") || self.sql_version.starts_with("10.4");
        match (name, self.family) {
            ("MariaDB", Family::RedHat) if !old => MARIADB_REDHAT,
            ("MariaDB", Family::Arch | Family::Alpine) => MARIADB_ARCH,
            ("MariaDB", _) if !old => MARIADB_DEBIAN,
            (_, Family::RedHat) => MYSQL_REDHAT,
            _ => MYSQL_DEBIAN,
        }
    }

    fn ftp(&self) -> Program {
        match (self.ftp, self.family) {
            ("ProFTPD", Family::RedHat) => PROFTPD_REDHAT,
            ("ProFTPD", _) => PROFTPD,
            (_, Family::RedHat) => VSFTPD_REDHAT,
            _ => VSFTPD,
        }
    }

    fn mail(&self) -> Program {
        match (self.mail, self.family) {
            ("Exim", Family::Debian) => EXIM_DEBIAN,
            ("Exim", _) => EXIM,
            (_, Family::Debian) => POSTFIX_DEBIAN,
            (_, Family::RedHat) => POSTFIX_REDHAT,
            _ => POSTFIX,
        }
    }

    /// The units of the system: what stands for a process that runs is loaded.
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> + '_ {
        let debian = self.family == Family::Debian;
        UNITS
            .iter()
            .map(move |(here, elsewhere, description, mark)| Unit {
                name: if debian { here } else { elsewhere },
                description: match *here {
                    "mariadb" => format!("MariaDB {} database server", self.sql_version),
                    "apache2" if !debian => "The Apache HTTP Server".to_owned(),
                    "nginx" if !debian => "The nginx HTTP and reverse proxy server".to_owned(),
                    "ssh" if !debian => "OpenSSH server daemon".to_owned(),
                    "cron" if !debian => "Command Scheduler".to_owned(),
                    "redis-server" if !debian => "Redis persistent key-value database".to_owned(),
                    _ => (*description).to_owned(),
                },
                mark,
            })
    }

    /// The unit that `systemctl` takes `wanted` for: its own name, or an alias that the package installs.
    pub(super) fn unit_name<'a>(&self, wanted: &'a str) -> &'a str {
        match (self.family, wanted) {
            (Family::Debian, "sshd") => "ssh",
            (Family::Debian, "redis") => "redis-server",
            (Family::Debian, "syslog") => "rsyslog",
            (_, "mysql" | "mysqld") if self.sql == "MariaDB" => "mariadb",
            (Family::RedHat, "mysql") => "mysqld",
            (_, "systemd-journal") => "systemd-journald",
            (_, other) => other,
        }
    }
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    pub(crate) description: String,
    /// What the command of its process has in it.
    pub(crate) mark: &'static str,
}

/// Name on Debian, name elsewhere, description, and what the command of the process has in it.
const UNITS: &[(&str, &str, &str, &str)] = &[
    ("apache2", "httpd", "The Apache HTTP Server", "/apache2 -k"),
    ("apache2", "httpd", "The Apache HTTP Server", "/httpd -"),
    ("chrony", "chronyd", "NTP client/server", "/chronyd"),
    (
        "cron",
        "crond",
        "Regular background program processing daemon",
        "/cron -f",
    ),
    ("cron", "crond", "Command Scheduler", "/crond -n"),
    ("dbus", "dbus-broker", "D-Bus System Message Bus", "/dbus-"),
    ("exim4", "exim", "exim Mail Transport Agent", "/exim"),
    ("getty@tty1", "getty@tty1", "Getty on tty1", "agetty"),
    ("mariadb", "mariadb", "MariaDB database server", "/mariadbd"),
    ("mysql", "mysqld", "MySQL Community Server", "/mysqld"),
    (
        "NetworkManager",
        "NetworkManager",
        "Network Manager",
        "/NetworkManager",
    ),
    (
        "nginx",
        "nginx",
        "A high performance web server and a reverse proxy server",
        "nginx: master",
    ),
    ("postfix", "postfix", "Postfix Mail Transport Agent", "/master -w"),
    ("proftpd", "proftpd", "ProFTPD FTP Server", "proftpd:"),
    (
        "redis-server",
        "redis",
        "Advanced key-value store",
        "redis-server",
    ),
    ("rsyslog", "rsyslog", "System Logging Service", "rsyslogd"),
    ("ssh", "sshd", "OpenBSD Secure Shell server", "sshd: /usr"),
    (
        "systemd-journald",
        "systemd-journald",
        "Journal Service",
        "systemd-journald",
    ),
    (
        "systemd-logind",
        "systemd-logind",
        "User Login Management",
        "systemd-logind",
    ),
    (
        "systemd-udevd",
        "systemd-udevd",
        "Rule-based Manager for Device Events and Files",
        "systemd-udevd",
    ),
    ("vsftpd", "vsftpd", "vsftpd FTP server", "vsftpd"),
];

/// A program's name and its processes.
type Program = (&'static str, &'static [(&'static str, u32, &'static str)]);

const NGINX_DEBIAN: Program = (
    "nginx",
    &[
        (
            "root",
            11_020,
            "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
        ),
        ("www-data", 6_204, "nginx: worker process"),
    ],
);
const NGINX_REDHAT: Program = (
    "nginx",
    &[
        ("root", 3_412, "nginx: master process /usr/sbin/nginx"),
        ("nginx", 5_884, "nginx: worker process"),
    ],
);
const NGINX_ARCH: Program = (
    "nginx",
    &[
        ("root", 3_412, "nginx: master process /usr/bin/nginx"),
        ("http", 5_884, "nginx: worker process"),
    ],
);
const NGINX_ALPINE: Program = (
    "nginx",
    &[
        (
            "root",
            3_012,
            "nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf",
        ),
        ("nginx", 4_120, "nginx: worker process"),
    ],
);
const LIGHTTPD: Program = (
    "lighttpd",
    &[(
        "www-data",
        4_120,
        "/usr/sbin/lighttpd -f /etc/lighttpd/lighttpd.conf",
    )],
);
const APACHE_DEBIAN: Program = (
    "apache2",
    &[
        ("root", 5_124, "/usr/sbin/apache2 -k start"),
        ("www-data", 4_360, "/usr/sbin/apache2 -k start"),
        ("www-data", 4_364, "/usr/sbin/apache2 -k start"),
    ],
);
const APACHE_REDHAT: Program = (
    "httpd",
    &[
        ("root", 11_844, "/usr/sbin/httpd -DFOREGROUND"),
        ("apache", 7_320, "/usr/sbin/httpd -DFOREGROUND"),
        ("apache", 13_412, "/usr/sbin/httpd -DFOREGROUND"),
        ("apache", 15_460, "/usr/sbin/httpd -DFOREGROUND"),
    ],
);
const APACHE_ARCH: Program = (
    "httpd",
    &[
        ("root", 8_904, "/usr/bin/httpd -k start -DFOREGROUND"),
        ("http", 6_120, "/usr/bin/httpd -k start -DFOREGROUND"),
    ],
);
const APACHE_ALPINE: Program = (
    "httpd",
    &[
        ("root", 4_904, "/usr/sbin/httpd -k start"),
        ("apache", 3_720, "/usr/sbin/httpd -k start"),
    ],
);
const REDIS: Program = (
    "redis-server",
    &[("redis", 14_104, "/usr/bin/redis-server 0.0.0.0:6379")],
);
const MARIADB_DEBIAN: Program = ("mariadbd", &[("mysql", 212_660, "/usr/sbin/mariadbd")]);
const MARIADB_REDHAT: Program = (
    "mariadbd",
    &[("mysql", 104_880, "/usr/libexec/mariadbd --basedir=/usr")],
);
const MARIADB_ARCH: Program = ("mariadbd", &[("mysql", 112_660, "/usr/bin/mariadbd")]);
const MYSQL_DEBIAN: Program = ("mysqld", &[("mysql", 398_212, "/usr/sbin/mysqld")]);
const MYSQL_REDHAT: Program = (
    "mysqld",
    &[("mysql", 402_116, "/usr/libexec/mysqld --basedir=/usr")],
);
const VSFTPD: Program = ("vsftpd", &[("root", 3_212, "/usr/sbin/vsftpd /etc/vsftpd.conf")]);
const VSFTPD_REDHAT: Program = (
    "vsftpd",
    &[("root", 1_548, "/usr/sbin/vsftpd /etc/vsftpd/vsftpd.conf")],
);
const PROFTPD: Program = (
    "proftpd",
    &[("proftpd", 4_512, "proftpd: (accepting connections)")],
);
const PROFTPD_REDHAT: Program = (
    "proftpd",
    &[("nobody", 4_512, "proftpd: (accepting connections)")],
);
const POSTFIX_DEBIAN: Program = (
    "master",
    &[
        ("root", 4_708, "/usr/lib/postfix/sbin/master -w"),
        ("postfix", 6_540, "qmgr -l -t unix -u"),
        ("postfix", 6_512, "pickup -l -t unix -u -c"),
    ],
);
const POSTFIX_REDHAT: Program = (
    "master",
    &[
        ("root", 5_628, "/usr/libexec/postfix/master -w"),
        ("postfix", 9_384, "qmgr -l -t unix -u"),
        ("postfix", 9_340, "pickup -l -t unix -u"),
    ],
);
const POSTFIX: Program = (
    "master",
    &[
        ("root", 4_708, "/usr/lib/postfix/bin/master -w"),
        ("postfix", 6_540, "qmgr -l -t unix -u"),
    ],
);
const EXIM_DEBIAN: Program = ("exim4", &[("Debian-exim", 7_212, "/usr/sbin/exim4 -bd -q30m")]);
const EXIM: Program = ("exim", &[("exim", 7_212, "/usr/sbin/exim -bd -q1h")]);
