//! The kinds of machine that a decky can be.
//!
//! An archetype names what belongs together. It lists every service that fits it, also ones that the catalogue does
//! not hold yet: `decnet-fleet` intersects the two.

use decnet_model::name::ServiceSlug;

use crate::{Distro, OsFamily, PersonaError, mac::Vendor};

/// The most services that one decky may have: a machine with more would look like what it is.
pub const MAX_SERVICES: usize = 7;

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archetype {
    /// Its name in configuration.
    pub slug: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it looks like, in a sentence.
    pub summary: &'static str,
    /// Operating-system family.
    pub os: OsFamily,
    /// Distributions that fit, likeliest first; never empty.
    pub distros: &'static [Distro],
    /// Services that fit, in order of preference; at most [`MAX_SERVICES`].
    pub services: &'static [&'static str],
    /// How many of them such a machine has at first.
    pub usual: usize,
    /// Who made its network card.
    pub vendors: &'static [Vendor],
    /// What host names call it: `{role}` of a style.
    pub roles: &'static [&'static str],
    /// How its organisations name such machines: see `names::hostname`.
    pub styles: &'static [&'static str],
    /// Accounts beside root that run its programs.
    pub service_accounts: &'static [&'static str],
}

/// The archetype called `slug`.
///
/// # Errors
/// Where there is none; the error lists all.
pub fn find(slug: &str) -> Result<&'static Archetype, PersonaError> {
    ALL.iter()
        .find(|a| a.slug == slug)
        .ok_or_else(|| PersonaError::Archetype {
            given: crate::head(slug),
        })
}

/// The archetypes that can have `distro`; none where nothing answers like such a machine yet.
pub fn of_distro(distro: Distro) -> impl Iterator<Item = &'static Archetype> {
    ALL.iter().filter(move |archetype| archetype.suits(distro))
}

/// The archetypes that can show the network stack of `os`; none where nothing answers like such a machine yet.
pub fn of_family(os: OsFamily) -> impl Iterator<Item = &'static Archetype> {
    ALL.iter().filter(move |archetype| archetype.can_be(os))
}

/// The archetype that most of `services` belong to; on a tie the earlier of [`ALL`].
#[must_use]
pub fn fitting(services: &[ServiceSlug]) -> &'static Archetype {
    let fit = |a: &Archetype| services.iter().filter(|s| a.fits(s)).count();
    // The weight of a service is its place in the list: http belongs to a web server before it belongs to a printer.
    let weight = |a: &Archetype| -> usize {
        services
            .iter()
            .filter_map(|s| a.services.iter().position(|x| *x == s.as_str()))
            .sum()
    };
    ALL.iter()
        .min_by_key(|a| (std::cmp::Reverse(fit(a)), weight(a)))
        .unwrap_or(&LINUX_SERVER)
}

impl Archetype {
    /// Whether `service` belongs to such a machine.
    #[must_use]
    pub fn fits(&self, service: &ServiceSlug) -> bool {
        self.services.contains(&service.as_str())
    }

    /// Whether such a machine can have `distro`: one of its own, or another of its family.
    #[must_use]
    pub fn suits(&self, distro: Distro) -> bool {
        self.distros.contains(&distro) || distro.family() == self.os
    }

    /// Whether such a machine can show the network stack of `os`: its own, or that of one of its distributions.
    #[must_use]
    pub fn can_be(&self, os: OsFamily) -> bool {
        os == self.os || self.distros.iter().any(|distro| distro.family() == os)
    }

    /// Whether such a machine with `distro` can show the network stack of `os`: a machine that answers as one and behaves as the
    /// other is not believed.
    #[must_use]
    pub fn agree(&self, distro: Distro, os: OsFamily) -> bool {
        os == distro.family() || (os == self.os && self.suits(distro))
    }
}

const LINUX_DISTROS: &[Distro] = &[
    Distro::Debian12,
    Distro::Ubuntu22,
    Distro::Ubuntu24,
    Distro::Debian11,
    Distro::Rocky9,
    Distro::Ubuntu20,
    Distro::Fedora,
];
const SERVER_VENDORS: &[Vendor] = &[
    Vendor::Vmware,
    Vendor::Dell,
    Vendor::Hp,
    Vendor::Supermicro,
    Vendor::Intel,
];
const SERVER_STYLES: &[&str] = &[
    "{site}-{role}{nn}",
    "{role}{nn}",
    "{role}-{site}-{n}",
    "{co}{role}{nn}",
    "{site}{role}{nnn}",
    "{role}-{env}-{nn}",
    "vm-{role}-{nn}",
    "{env}-{role}{n}",
    "{thing}",
    "{co}-{site}-{role}-{n}",
];
const WINDOWS_SERVER_STYLES: &[&str] = &[
    "{CO}{ROLE}{nn}",
    "{SITE}-{ROLE}{nn}",
    "WIN-{id11}",
    "{SITE}{ROLE}{nnn}",
    "{CO}-{ROLE}-{nn}",
];

const LINUX_SERVER: Archetype = Archetype {
    slug: "linux-server",
    label: "Linux Server",
    summary: "A general-purpose server that has been in the rack for years",
    os: OsFamily::Linux,
    distros: LINUX_DISTROS,
    services: &["ssh", "http", "ftp", "mysql", "redis", "smtp", "https"],
    usual: 2,
    vendors: SERVER_VENDORS,
    roles: &["srv", "lnx", "app", "node", "host", "util", "int"],
    styles: SERVER_STYLES,
    service_accounts: &["deploy", "borg"],
};

/// Every archetype, in the order in which they are offered.
pub const ALL: &[Archetype] = &[
    LINUX_SERVER,
    Archetype {
        slug: "web-server",
        label: "Web Server",
        summary: "Serves a site and takes its uploads",
        services: &["http", "ftp", "ssh", "https", "mysql", "redis"],
        usual: 2,
        roles: &["web", "www", "http", "fe", "portal", "cms", "shop"],
        service_accounts: &["www-data", "deploy"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "database-server",
        label: "Database Server",
        summary: "Holds the tables that others live from",
        services: &[
            "mysql",
            "redis",
            "ssh",
            "postgres",
            "mongodb",
            "elasticsearch",
            "memcached",
        ],
        usual: 3,
        roles: &["db", "sql", "mysql", "data", "dwh", "maria"],
        service_accounts: &["mysql", "dbadmin", "borg"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "mail-server",
        label: "Mail Server",
        summary: "Takes and hands out the organisation's mail",
        services: &["smtp", "http", "ssh", "imap", "pop3", "imaps", "pop3s"],
        usual: 3,
        roles: &["mail", "mx", "smtp", "relay", "mta"],
        service_accounts: &["vmail", "postmaster"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "file-server",
        label: "File Server",
        summary: "Shares of departments and an old FTP tree",
        services: &["ftp", "ssh", "smb", "http", "tftp", "snmp"],
        usual: 3,
        roles: &["file", "files", "nas", "share", "store", "fs"],
        service_accounts: &["ftpadmin", "borg"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "devops-host",
        label: "DevOps Host",
        summary: "Builds, containers and a cache, run by people in a hurry",
        distros: &[
            Distro::Ubuntu22,
            Distro::Debian12,
            Distro::Ubuntu24,
            Distro::Fedora,
            Distro::Arch,
        ],
        services: &[
            "ssh",
            "redis",
            "http",
            "docker_api",
            "kubernetes",
            "mysql",
            "postgres",
        ],
        usual: 4,
        roles: &["ci", "build", "runner", "k8s", "dock", "git", "dev"],
        service_accounts: &["jenkins", "gitlab-runner", "deploy"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "monitoring-node",
        label: "Monitoring Node",
        summary: "Watches the others and knows their passwords",
        distros: &[Distro::Debian12, Distro::Rocky9, Distro::Ubuntu22, Distro::Kali],
        services: &["ssh", "http", "snmp", "redis", "mysql", "elasticsearch"],
        usual: 3,
        roles: &["mon", "nms", "zabbix", "graf", "log", "nagios"],
        service_accounts: &["zabbix", "nagios"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "voip-server",
        label: "VoIP Server",
        summary: "A telephone exchange with its web console",
        distros: &[
            Distro::Debian12,
            Distro::Debian11,
            Distro::Rocky9,
            Distro::Ubuntu22,
        ],
        services: &["sip", "http", "ssh", "tftp", "mysql"],
        usual: 4,
        vendors: &[Vendor::Grandstream, Vendor::Yealink, Vendor::Dell, Vendor::Vmware],
        roles: &["pbx", "voip", "sip", "tel", "asterisk"],
        service_accounts: &["asterisk"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "deaddeck",
        label: "Entry Point",
        summary: "Nothing but SSH: an exposed way in",
        services: &["ssh"],
        usual: 1,
        roles: &["gw", "bastion", "jump", "vpn", "edge"],
        ..LINUX_SERVER
    },
    Archetype {
        slug: "windows-server",
        label: "Windows Server",
        summary: "An application server of a Windows domain",
        os: OsFamily::WindowsServer,
        distros: &[Distro::WindowsServer],
        services: &["smb", "rdp", "http", "mssql", "ftp", "smtp", "mysql"],
        usual: 4,
        vendors: &[Vendor::Vmware, Vendor::Microsoft, Vendor::Hp, Vendor::Dell],
        roles: &["srv", "app", "fs", "sql", "web", "ts"],
        styles: WINDOWS_SERVER_STYLES,
        service_accounts: &["svc_backup", "svc_sql"],
    },
    Archetype {
        slug: "domain-controller",
        label: "Domain Controller",
        summary: "Knows every account of the organisation",
        os: OsFamily::WindowsServer,
        distros: &[Distro::WindowsServer],
        services: &["ldap", "smb", "rdp", "dns", "ldaps", "llmnr", "http"],
        usual: 4,
        vendors: &[Vendor::Vmware, Vendor::Microsoft, Vendor::Hp, Vendor::Dell],
        roles: &["dc", "ad", "ads", "pdc"],
        styles: WINDOWS_SERVER_STYLES,
        service_accounts: &["krbtgt", "svc_adsync"],
    },
    Archetype {
        slug: "windows-workstation",
        label: "Windows Workstation",
        summary: "Somebody's desk, left on over night",
        os: OsFamily::Windows,
        distros: &[Distro::Windows],
        services: &["smb", "rdp", "llmnr", "vnc", "http", "ftp", "ssh"],
        usual: 3,
        vendors: &[Vendor::Dell, Vendor::Hp, Vendor::Lenovo, Vendor::Intel],
        roles: &["ws", "pc", "wks", "desk", "cl"],
        styles: &[
            "DESKTOP-{id7}",
            "LAPTOP-{id8}",
            "{SITE}-{ROLE}{nnnn}",
            "{CO}{ROLE}{nnn}",
            "{ROLE}-{LAST}",
        ],
        service_accounts: &[],
    },
    Archetype {
        slug: "printer",
        label: "Network Printer",
        summary: "A printer with its web page and a scan folder",
        os: OsFamily::Embedded,
        distros: &[Distro::Firmware],
        services: &["printer", "http", "snmp", "ftp"],
        usual: 4,
        vendors: &[Vendor::Hp, Vendor::Brother, Vendor::Kyocera],
        roles: &["prt", "prn", "print", "mfp"],
        styles: &[
            "NPI{tail}",
            "BRN{mac}",
            "KM{tail}",
            "{site}-{role}{nn}",
            "{role}-{floor}-{n}",
        ],
        service_accounts: &["service"],
    },
    Archetype {
        slug: "iot-device",
        label: "IoT Device",
        summary: "A gateway of sensors that nobody updates",
        os: OsFamily::Embedded,
        distros: &[Distro::Firmware, Distro::Alpine],
        services: &["mqtt", "telnet", "http", "snmp", "ssh", "redis"],
        usual: 4,
        vendors: &[Vendor::RaspberryPi, Vendor::Espressif],
        roles: &["gw", "sensor", "iot", "hub", "bms"],
        styles: &[
            "{role}-{tail}",
            "{site}-{role}-{nn}",
            "{role}{nnn}",
            "{role}-{floor}-{n}",
        ],
        service_accounts: &["service"],
    },
    Archetype {
        slug: "ip-camera",
        label: "IP Camera",
        summary: "A camera with a login page and an old shell",
        os: OsFamily::Embedded,
        distros: &[Distro::Firmware],
        services: &["http", "telnet", "ftp", "snmp", "ssh"],
        usual: 3,
        vendors: &[Vendor::Hikvision, Vendor::Dahua, Vendor::Axis],
        roles: &["cam", "ipc", "nvr", "cctv"],
        styles: &[
            "{role}-{floor}-{nn}",
            "{role}{nn}",
            "{site}-{role}-{n}",
            "{role}-{tail}",
        ],
        service_accounts: &["operator"],
    },
    Archetype {
        slug: "industrial-control",
        label: "Industrial Control System",
        summary: "A controller of a plant and its service page",
        os: OsFamily::Embedded,
        distros: &[Distro::Firmware],
        services: &["modbus", "s7comm", "http", "snmp", "ftp"],
        usual: 4,
        vendors: &[Vendor::Siemens, Vendor::Schneider],
        roles: &["plc", "hmi", "rtu", "scada", "line"],
        styles: &[
            "{role}-{floor}-{nn}",
            "{site}-{role}{nn}",
            "{role}{nn}-{site}",
            "{ROLE}_{nn}",
        ],
        service_accounts: &["service"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_with_different_names_and_services_that_are_valid_slugs() {
        let mut seen = std::collections::BTreeSet::new();
        assert_eq!(ALL.len(), 16);
        for archetype in ALL {
            assert!(seen.insert(archetype.slug));
            assert!(!archetype.distros.is_empty() && !archetype.vendors.is_empty());
            assert!(
                (1..=MAX_SERVICES).contains(&archetype.usual),
                "{}",
                archetype.slug
            );
            assert!(
                (1..=MAX_SERVICES).contains(&archetype.services.len()),
                "{}",
                archetype.slug
            );
            for service in archetype.services {
                service.parse::<ServiceSlug>().unwrap();
            }
        }
    }

    #[test]
    fn a_machine_shows_the_stack_of_its_own_system_and_of_no_other() {
        for archetype in ALL {
            assert!(archetype.can_be(archetype.os), "{}", archetype.slug);
            for distro in archetype.distros {
                assert!(archetype.agree(*distro, distro.family()) && archetype.can_be(distro.family()));
            }
        }
        let [web, device] = ["web-server", "iot-device"].map(|slug| find(slug).unwrap());
        assert!(!web.can_be(OsFamily::Windows) && !web.agree(Distro::Debian12, OsFamily::Windows));
        assert!(device.agree(Distro::Alpine, OsFamily::Embedded) && device.can_be(OsFamily::Linux));
        assert!(!device.agree(Distro::Firmware, OsFamily::Linux));
        assert_eq!(
            of_family(OsFamily::Bsd).chain(of_family(OsFamily::Cisco)).count(),
            0
        );
    }

    #[test]
    fn services_lead_to_the_archetype_that_they_belong_to() {
        for (services, slug) in [
            (&["mysql", "redis"][..], "database-server"),
            (&["http", "ftp"], "web-server"),
            (&["smtp"], "mail-server"),
            (&["smb", "rdp"], "windows-server"),
            (&["modbus"], "industrial-control"),
            (&[], "linux-server"),
        ] {
            let services: Vec<ServiceSlug> = services.iter().map(|s| s.parse().unwrap()).collect();
            assert_eq!(fitting(&services).slug, slug);
        }
    }
}
