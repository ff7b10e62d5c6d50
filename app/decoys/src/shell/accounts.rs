//! The accounts and groups that a distribution's packages make, as its `base-passwd` or `setup` package lists them.

use super::distribution::Family;

/// An account of the system: name, uid, gid, comment, home.
pub(super) type System = (&'static str, u32, u32, &'static str, &'static str);

const DEBIAN: &[System] = &[
    ("daemon", 1, 1, "daemon", "/usr/sbin"),
    ("bin", 2, 2, "bin", "/bin"),
    ("sys", 3, 3, "sys", "/dev"),
    ("sync", 4, 65_534, "sync", "/bin"),
    ("games", 5, 60, "games", "/usr/games"),
    ("man", 6, 12, "man", "/var/cache/man"),
    ("lp", 7, 7, "lp", "/var/spool/lpd"),
    ("mail", 8, 8, "mail", "/var/mail"),
    ("news", 9, 9, "news", "/var/spool/news"),
    ("uucp", 10, 10, "uucp", "/var/spool/uucp"),
    ("proxy", 13, 13, "proxy", "/bin"),
    ("www-data", 33, 33, "www-data", "/var/www"),
    ("backup", 34, 34, "backup", "/var/backups"),
    ("list", 38, 38, "Mailing List Manager", "/var/list"),
    ("irc", 39, 39, "ircd", "/run/ircd"),
    ("_apt", 42, 65_534, "", "/nonexistent"),
    ("nobody", 65_534, 65_534, "nobody", "/nonexistent"),
    ("systemd-network", 998, 998, "systemd Network Management", "/"),
    ("messagebus", 100, 107, "", "/nonexistent"),
    ("sshd", 101, 65_534, "", "/run/sshd"),
];

const REDHAT: &[System] = &[
    ("bin", 1, 1, "bin", "/bin"),
    ("daemon", 2, 2, "daemon", "/sbin"),
    ("adm", 3, 4, "adm", "/var/adm"),
    ("lp", 4, 7, "lp", "/var/spool/lpd"),
    ("sync", 5, 0, "sync", "/sbin"),
    ("shutdown", 6, 0, "shutdown", "/sbin"),
    ("halt", 7, 0, "halt", "/sbin"),
    ("mail", 8, 12, "mail", "/var/spool/mail"),
    ("operator", 11, 0, "operator", "/root"),
    ("games", 12, 100, "games", "/usr/games"),
    ("ftp", 14, 50, "FTP User", "/var/ftp"),
    ("nobody", 65_534, 65_534, "Kernel Overflow User", "/"),
    ("systemd-coredump", 999, 997, "systemd Core Dumper", "/"),
    ("dbus", 81, 81, "System message bus", "/"),
    ("tss", 59, 59, "Account used for TPM access", "/"),
    ("sssd", 998, 996, "User for sssd", "/"),
    ("chrony", 997, 995, "chrony system user", "/var/lib/chrony"),
    ("sshd", 74, 74, "Privilege-separated SSH", "/usr/share/empty.sshd"),
];

const ARCH: &[System] = &[
    ("bin", 1, 1, "", "/"),
    ("daemon", 2, 2, "", "/"),
    ("mail", 8, 12, "", "/var/spool/mail"),
    ("ftp", 14, 11, "", "/srv/ftp"),
    ("http", 33, 33, "", "/srv/http"),
    ("nobody", 65_534, 65_534, "Kernel Overflow User", "/"),
    ("dbus", 81, 81, "System Message Bus", "/"),
    ("systemd-coredump", 981, 981, "systemd Core Dumper", "/"),
    ("systemd-network", 980, 980, "systemd Network Management", "/"),
    ("uuidd", 68, 68, "", "/"),
];

const ALPINE: &[System] = &[
    ("bin", 1, 1, "bin", "/bin"),
    ("daemon", 2, 2, "daemon", "/sbin"),
    ("lp", 4, 7, "lp", "/var/spool/lpd"),
    ("sync", 5, 0, "sync", "/sbin"),
    ("shutdown", 6, 0, "shutdown", "/sbin"),
    ("halt", 7, 0, "halt", "/sbin"),
    ("mail", 8, 12, "mail", "/var/mail"),
    ("news", 9, 13, "news", "/usr/lib/news"),
    ("cron", 16, 16, "cron", "/var/spool/cron"),
    ("ftp", 21, 21, "", "/var/lib/ftp"),
    ("sshd", 22, 22, "sshd", "/dev/null"),
    ("guest", 405, 100, "guest", "/dev/null"),
    ("nobody", 65_534, 65_534, "nobody", "/"),
];

const DEVICE: &[System] = &[
    ("daemon", 1, 1, "daemon", "/usr/sbin"),
    ("bin", 2, 2, "bin", "/bin"),
    ("sys", 3, 3, "sys", "/dev"),
    ("sync", 4, 100, "sync", "/bin"),
    ("mail", 8, 8, "mail", "/var/spool/mail"),
    ("www-data", 33, 33, "www-data", "/var/www"),
    ("nobody", 65_534, 65_534, "nobody", "/home"),
];

/// Groups beside those of the accounts: name and gid.
const DEBIAN_GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("www-data", 33),
    ("backup", 34),
    ("operator", 37),
    ("list", 38),
    ("irc", 39),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65_534),
    ("systemd-journal", 999),
    ("systemd-network", 998),
    ("crontab", 101),
    ("input", 102),
    ("kvm", 104),
    ("render", 105),
    ("netdev", 106),
    ("messagebus", 107),
    ("_ssh", 108),
];

const REDHAT_GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("bin", 1),
    ("daemon", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mem", 8),
    ("kmem", 9),
    ("wheel", 10),
    ("cdrom", 11),
    ("mail", 12),
    ("man", 15),
    ("dialout", 18),
    ("floppy", 19),
    ("games", 20),
    ("utmp", 22),
    ("tape", 33),
    ("utempter", 35),
    ("video", 39),
    ("ftp", 50),
    ("lock", 54),
    ("tss", 59),
    ("audio", 63),
    ("sshd", 74),
    ("dbus", 81),
    ("users", 100),
    ("systemd-journal", 190),
    ("chrony", 995),
    ("sssd", 996),
    ("systemd-coredump", 997),
    ("input", 999),
    ("nobody", 65_534),
];

const ARCH_GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("sys", 3),
    ("mem", 8),
    ("ftp", 11),
    ("mail", 12),
    ("log", 19),
    ("smmsp", 25),
    ("proc", 26),
    ("games", 50),
    ("lock", 54),
    ("network", 90),
    ("floppy", 94),
    ("scanner", 96),
    ("power", 98),
    ("adm", 999),
    ("wheel", 998),
    ("utmp", 997),
    ("audio", 996),
    ("disk", 995),
    ("input", 994),
    ("kmem", 993),
    ("tty", 5),
    ("bin", 1),
    ("daemon", 2),
    ("http", 33),
    ("uuidd", 68),
    ("dbus", 81),
    ("nobody", 65_534),
];

const ALPINE_GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("bin", 1),
    ("daemon", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("kmem", 9),
    ("wheel", 10),
    ("floppy", 11),
    ("mail", 12),
    ("news", 13),
    ("cron", 16),
    ("audio", 18),
    ("cdrom", 19),
    ("dialout", 20),
    ("ftp", 21),
    ("sshd", 22),
    ("input", 23),
    ("tape", 26),
    ("video", 27),
    ("shadow", 42),
    ("www-data", 82),
    ("users", 100),
    ("utmp", 406),
    ("ping", 999),
    ("nogroup", 65_533),
    ("nobody", 65_534),
];

const DEVICE_GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("wheel", 10),
    ("utmp", 43),
    ("www-data", 33),
    ("users", 100),
    ("nogroup", 65_534),
];

/// The accounts that every machine of the family has beside root.
pub(super) fn system(family: Family) -> &'static [System] {
    match family {
        Family::Debian => DEBIAN,
        Family::RedHat => REDHAT,
        Family::Arch => ARCH,
        Family::Alpine => ALPINE,
        Family::Device => DEVICE,
    }
}

/// The groups that every machine of the family has.
pub(super) fn groups(family: Family) -> &'static [(&'static str, u32)] {
    match family {
        Family::Debian => DEBIAN_GROUPS,
        Family::RedHat => REDHAT_GROUPS,
        Family::Arch => ARCH_GROUPS,
        Family::Alpine => ALPINE_GROUPS,
        Family::Device => DEVICE_GROUPS,
    }
}

/// The account that a service's package makes for `user`.
pub(super) fn of_service(family: Family, user: &str) -> Option<System> {
    let redhat: &[System] = &[
        ("apache", 48, 48, "Apache", "/usr/share/httpd"),
        ("nginx", 994, 993, "Nginx web server", "/var/lib/nginx"),
        ("redis", 993, 992, "Redis Database Server", "/var/lib/redis"),
        ("mysql", 27, 27, "MySQL Server", "/var/lib/mysql"),
        ("postfix", 89, 89, "", "/var/spool/postfix"),
        ("exim", 93, 93, "", "/var/spool/exim"),
    ];
    let others: &[System] = &[
        ("nginx", 101, 101, "nginx", "/var/lib/nginx"),
        ("apache", 102, 102, "apache", "/var/www"),
        ("redis", 114, 120, "", "/var/lib/redis"),
        ("mysql", 115, 121, "MySQL Server,,,", "/nonexistent"),
        ("postfix", 116, 122, "", "/var/spool/postfix"),
        ("Debian-exim", 117, 124, "", "/var/spool/exim4"),
        ("proftpd", 118, 65_534, "", "/run/proftpd"),
    ];
    let table = if family == Family::RedHat { redhat } else { others };
    table.iter().copied().find(|a| a.0 == user)
}

/// What an account of the system has for a shell.
pub(super) fn shell(family: Family, name: &str) -> &'static str {
    match (family, name) {
        (_, "sync") => "/bin/sync",
        (_, "shutdown") => "/sbin/shutdown",
        (_, "halt") => "/sbin/halt",
        (Family::Debian, _) => "/usr/sbin/nologin",
        (Family::Arch, _) => "/usr/bin/nologin",
        (Family::Device, _) => "/bin/false",
        _ => "/sbin/nologin",
    }
}
