//! Distributions (and the systems that are none): which versions a machine has, agreeing with each other.
//!
//! A distribution is a handful of [`Release`]s: states in which real machines stood at one point in time, so that the
//! kernel, the SSH banner and the web server never contradict each other. Version strings are those that the
//! distributions' own archives carried; banners are what the packaged program prints.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::PersonaError;

macro_rules! slugs {
    ($(#[$doc:meta])* $name:ident, $err:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word under which it is configured, stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = PersonaError;
            fn from_str(s: &str) -> Result<Self, PersonaError> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|v| v.as_str() == s)
                    .ok_or_else(|| PersonaError::$err { given: crate::head(s) })
            }
        }
    };
}

slugs! {
    /// A distribution with its version, or a system that is none.
    Distro, Distro {
        /// Debian 12, bookworm.
        Debian12 = "debian12",
        /// Debian 11, bullseye.
        Debian11 = "debian11",
        /// Ubuntu 20.04 LTS, focal.
        Ubuntu20 = "ubuntu20",
        /// Ubuntu 22.04 LTS, jammy.
        Ubuntu22 = "ubuntu22",
        /// Ubuntu 24.04 LTS, noble.
        Ubuntu24 = "ubuntu24",
        /// Rocky Linux 9.
        Rocky9 = "rocky9",
        /// Alpine Linux.
        Alpine = "alpine",
        /// Fedora Linux.
        Fedora = "fedora",
        /// Kali, rolling.
        Kali = "kali",
        /// Arch, rolling.
        Arch = "arch",
        /// FreeBSD 13 and 14.
        FreeBsd = "freebsd",
        /// Windows 10 and 11.
        Windows = "windows",
        /// Windows Server 2019 and 2022.
        WindowsServer = "windows-server",
        /// A device's firmware: a small Linux with BusyBox.
        Firmware = "firmware",
        /// Cisco IOS.
        Ios = "ios",
    }
}

slugs! {
    /// The family that decides how the network stack behaves.
    OsFamily, Os {
        /// Linux.
        Linux = "linux",
        /// A Windows workstation.
        Windows = "windows",
        /// A Windows server.
        WindowsServer = "windows_server",
        /// FreeBSD and its like.
        Bsd = "bsd",
        /// Printers, cameras and other devices.
        Embedded = "embedded",
        /// Cisco IOS.
        Cisco = "cisco",
    }
}

impl OsFamily {
    /// Whether it is a Windows of any kind.
    #[must_use]
    pub fn is_windows(self) -> bool {
        matches!(self, Self::Windows | Self::WindowsServer)
    }
}

impl Distro {
    /// The family that it belongs to.
    #[must_use]
    pub const fn family(self) -> OsFamily {
        match self {
            Self::Windows => OsFamily::Windows,
            Self::WindowsServer => OsFamily::WindowsServer,
            Self::FreeBsd => OsFamily::Bsd,
            Self::Firmware => OsFamily::Embedded,
            Self::Ios => OsFamily::Cisco,
            _ => OsFamily::Linux,
        }
    }

    /// The states that machines of this distribution stand in; never empty.
    #[must_use]
    pub const fn releases(self) -> &'static [Release] {
        match self {
            Self::Debian12 => DEBIAN12,
            Self::Debian11 => DEBIAN11,
            Self::Ubuntu20 => UBUNTU20,
            Self::Ubuntu22 => UBUNTU22,
            Self::Ubuntu24 => UBUNTU24,
            Self::Rocky9 => ROCKY9,
            Self::Alpine => ALPINE,
            Self::Fedora => FEDORA,
            Self::Kali => KALI,
            Self::Arch => ARCH,
            Self::FreeBsd => FREEBSD,
            Self::Windows => WINDOWS,
            Self::WindowsServer => WINDOWS_SERVER,
            Self::Firmware => FIRMWARE,
            Self::Ios => IOS,
        }
    }

    /// The group that may become root, as its `/etc/sudoers` has it.
    #[must_use]
    pub const fn admin_group(self) -> &'static str {
        match self {
            Self::Rocky9 | Self::Fedora | Self::Arch | Self::Alpine | Self::FreeBsd => "wheel",
            Self::Windows | Self::WindowsServer => "Administrators",
            _ => "sudo",
        }
    }

    /// The shell that its accounts get.
    #[must_use]
    pub const fn shell(self) -> &'static str {
        match self {
            Self::Alpine | Self::Firmware => "/bin/ash",
            Self::Kali => "/usr/bin/zsh",
            Self::FreeBsd => "/bin/sh",
            Self::Windows | Self::WindowsServer => "C:\\Windows\\system32\\cmd.exe",
            Self::Ios => "",
            _ => "/bin/bash",
        }
    }
}

/// One state that machines of a distribution stand in: what is installed, as of one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// `NAME` of os-release.
    pub name: &'static str,
    /// `ID` of os-release.
    pub id: &'static str,
    /// `ID_LIKE` of os-release; empty where there is none.
    pub id_like: &'static str,
    /// `VERSION_ID` of os-release; empty on a rolling one.
    pub version_id: &'static str,
    /// `VERSION` of os-release; empty where there is none.
    pub version: &'static str,
    /// `VERSION_CODENAME` of os-release; empty where there is none.
    pub codename: &'static str,
    /// `PRETTY_NAME` of os-release, and what a person would say.
    pub pretty: &'static str,
    /// `HOME_URL` of os-release.
    pub home_url: &'static str,
    /// `uname -r`.
    pub kernel_release: &'static str,
    /// `uname -v`.
    pub kernel_version: &'static str,
    /// Identification string of its SSH server, without line end.
    pub ssh: &'static str,
    /// `Server` header of Apache (or of the system's own web server); empty where there is none.
    pub apache: &'static str,
    /// `Server` header of nginx; empty where there is none.
    pub nginx: &'static str,
    /// Version of redis; empty where it is not packaged.
    pub redis: &'static str,
    /// `@@version` of MySQL; empty where it is not packaged.
    pub mysql: &'static str,
    /// `@@version` of MariaDB; empty where it is not packaged.
    pub mariadb: &'static str,
    /// Version of vsftpd; empty where it is not packaged.
    pub vsftpd: &'static str,
    /// Version of ProFTPD; empty where it is not packaged.
    pub proftpd: &'static str,
    /// Version of Postfix; empty where it is not packaged.
    pub postfix: &'static str,
    /// What Postfix adds in brackets: `(Debian/GNU)`; empty where nothing.
    pub postfix_tag: &'static str,
    /// Version of Exim; empty where it is not packaged.
    pub exim: &'static str,
}

/// What a release has nothing of.
pub(crate) const NONE: Release = Release {
    name: "",
    id: "",
    id_like: "",
    version_id: "",
    version: "",
    codename: "",
    pretty: "",
    home_url: "",
    kernel_release: "",
    kernel_version: "",
    ssh: "",
    apache: "",
    nginx: "",
    redis: "",
    mysql: "",
    mariadb: "",
    vsftpd: "",
    proftpd: "",
    postfix: "",
    postfix_tag: "",
    exim: "",
};

const DEBIAN12_BASE: Release = Release {
    name: "Debian GNU/Linux",
    id: "debian",
    version_id: "12",
    version: "12 (bookworm)",
    codename: "bookworm",
    pretty: "Debian GNU/Linux 12 (bookworm)",
    home_url: "https://www.debian.org/",
    nginx: "nginx/1.22.1",
    redis: "7.0.15",
    vsftpd: "3.0.3",
    proftpd: "1.3.8",
    postfix_tag: "(Debian/GNU)",
    exim: "4.96",
    ..NONE
};
const DEBIAN12: &[Release] = &[
    Release {
        kernel_release: "6.1.0-18-amd64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)",
        ssh: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2",
        apache: "Apache/2.4.57 (Debian)",
        mariadb: "10.11.6-MariaDB-0+deb12u1",
        postfix: "3.7.10",
        ..DEBIAN12_BASE
    },
    Release {
        kernel_release: "6.1.0-25-amd64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)",
        ssh: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        apache: "Apache/2.4.62 (Debian)",
        mariadb: "10.11.6-MariaDB-0+deb12u1",
        postfix: "3.7.11",
        ..DEBIAN12_BASE
    },
    Release {
        kernel_release: "6.1.0-31-amd64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.128-1 (2025-02-07)",
        ssh: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u5",
        apache: "Apache/2.4.62 (Debian)",
        mariadb: "10.11.11-MariaDB-0+deb12u1",
        postfix: "3.7.11",
        ..DEBIAN12_BASE
    },
];

const DEBIAN11_BASE: Release = Release {
    version_id: "11",
    version: "11 (bullseye)",
    codename: "bullseye",
    pretty: "Debian GNU/Linux 11 (bullseye)",
    nginx: "nginx/1.18.0",
    redis: "6.0.16",
    vsftpd: "3.0.3",
    proftpd: "1.3.7a",
    exim: "4.94.2",
    ..DEBIAN12_BASE
};
const DEBIAN11: &[Release] = &[
    Release {
        kernel_release: "5.10.0-28-amd64",
        kernel_version: "#1 SMP Debian 5.10.209-2 (2024-01-31)",
        ssh: "SSH-2.0-OpenSSH_8.4p1 Debian-5+deb11u3",
        apache: "Apache/2.4.56 (Debian)",
        mariadb: "10.5.23-MariaDB-0+deb11u1",
        postfix: "3.5.24",
        ..DEBIAN11_BASE
    },
    Release {
        kernel_release: "5.10.0-32-amd64",
        kernel_version: "#1 SMP Debian 5.10.223-1 (2024-08-10)",
        ssh: "SSH-2.0-OpenSSH_8.4p1 Debian-5+deb11u3",
        apache: "Apache/2.4.61 (Debian)",
        mariadb: "10.5.26-MariaDB-0+deb11u2",
        postfix: "3.5.25",
        ..DEBIAN11_BASE
    },
];

const UBUNTU_BASE: Release = Release {
    name: "Ubuntu",
    id: "ubuntu",
    id_like: "debian",
    home_url: "https://www.ubuntu.com/",
    postfix_tag: "(Ubuntu)",
    ..NONE
};
const UBUNTU20_BASE: Release = Release {
    version_id: "20.04",
    version: "20.04.6 LTS (Focal Fossa)",
    codename: "focal",
    pretty: "Ubuntu 20.04.6 LTS",
    apache: "Apache/2.4.41 (Ubuntu)",
    nginx: "nginx/1.18.0 (Ubuntu)",
    redis: "5.0.7",
    mariadb: "10.3.39-MariaDB-0ubuntu0.20.04.2",
    vsftpd: "3.0.5",
    proftpd: "1.3.6c",
    postfix: "3.4.13",
    exim: "4.93",
    ..UBUNTU_BASE
};
const UBUNTU20: &[Release] = &[
    Release {
        kernel_release: "5.4.0-169-generic",
        kernel_version: "#187-Ubuntu SMP Thu Nov 23 14:52:28 UTC 2023",
        ssh: "SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.9",
        mysql: "8.0.35-0ubuntu0.20.04.1",
        ..UBUNTU20_BASE
    },
    Release {
        kernel_release: "5.4.0-182-generic",
        kernel_version: "#202-Ubuntu SMP Fri Apr 26 12:29:36 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.11",
        mysql: "8.0.36-0ubuntu0.20.04.1",
        ..UBUNTU20_BASE
    },
];

const UBUNTU22_BASE: Release = Release {
    version_id: "22.04",
    version: "22.04.4 LTS (Jammy Jellyfish)",
    codename: "jammy",
    pretty: "Ubuntu 22.04.4 LTS",
    apache: "Apache/2.4.52 (Ubuntu)",
    nginx: "nginx/1.18.0 (Ubuntu)",
    redis: "6.0.16",
    vsftpd: "3.0.5",
    proftpd: "1.3.7c",
    postfix: "3.6.4",
    exim: "4.95",
    ..UBUNTU_BASE
};
const UBUNTU22: &[Release] = &[
    Release {
        version: "22.04.3 LTS (Jammy Jellyfish)",
        pretty: "Ubuntu 22.04.3 LTS",
        kernel_release: "5.15.0-91-generic",
        kernel_version: "#101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023",
        ssh: "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.6",
        mysql: "8.0.35-0ubuntu0.22.04.1",
        mariadb: "10.6.12-MariaDB-0ubuntu0.22.04.1",
        ..UBUNTU22_BASE
    },
    Release {
        kernel_release: "5.15.0-105-generic",
        kernel_version: "#115-Ubuntu SMP Mon Apr 15 09:52:04 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.7",
        mysql: "8.0.36-0ubuntu0.22.04.1",
        mariadb: "10.6.16-MariaDB-0ubuntu0.22.04.1",
        ..UBUNTU22_BASE
    },
    Release {
        kernel_release: "5.15.0-119-generic",
        kernel_version: "#129-Ubuntu SMP Fri Aug 2 19:25:20 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.10",
        mysql: "8.0.39-0ubuntu0.22.04.1",
        mariadb: "10.6.18-MariaDB-0ubuntu0.22.04.1",
        ..UBUNTU22_BASE
    },
];

const UBUNTU24_BASE: Release = Release {
    version_id: "24.04",
    version: "24.04.1 LTS (Noble Numbat)",
    codename: "noble",
    pretty: "Ubuntu 24.04.1 LTS",
    apache: "Apache/2.4.58 (Ubuntu)",
    nginx: "nginx/1.24.0 (Ubuntu)",
    redis: "7.0.15",
    mariadb: "10.11.8-MariaDB-0ubuntu0.24.04.1",
    vsftpd: "3.0.5",
    proftpd: "1.3.8b",
    postfix: "3.8.6",
    exim: "4.97",
    ..UBUNTU_BASE
};
const UBUNTU24: &[Release] = &[
    Release {
        kernel_release: "6.8.0-45-generic",
        kernel_version: "#45-Ubuntu SMP PREEMPT_DYNAMIC Fri Aug 30 12:02:04 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5",
        mysql: "8.0.39-0ubuntu0.24.04.2",
        ..UBUNTU24_BASE
    },
    Release {
        kernel_release: "6.8.0-51-generic",
        kernel_version: "#52-Ubuntu SMP PREEMPT_DYNAMIC Thu Dec  5 13:09:44 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5",
        mysql: "8.0.40-0ubuntu0.24.04.1",
        ..UBUNTU24_BASE
    },
];

const ROCKY9_BASE: Release = Release {
    name: "Rocky Linux",
    id: "rocky",
    id_like: "rhel centos fedora",
    home_url: "https://rockylinux.org/",
    ssh: "SSH-2.0-OpenSSH_8.7",
    nginx: "nginx/1.20.1",
    redis: "6.2.7",
    ..NONE
};
const ROCKY9: &[Release] = &[
    Release {
        version_id: "9.3",
        version: "9.3 (Blue Onyx)",
        pretty: "Rocky Linux 9.3 (Blue Onyx)",
        kernel_release: "5.14.0-362.8.1.el9_3.x86_64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Wed Nov 8 17:36:32 UTC 2023",
        apache: "Apache/2.4.57 (Rocky Linux)",
        mysql: "8.0.32",
        mariadb: "10.5.22-MariaDB",
        vsftpd: "3.0.3",
        proftpd: "1.3.8b",
        postfix: "3.5.9",
        ..ROCKY9_BASE
    },
    Release {
        version_id: "9.4",
        version: "9.4 (Blue Onyx)",
        pretty: "Rocky Linux 9.4 (Blue Onyx)",
        kernel_release: "5.14.0-427.13.1.el9_4.x86_64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Wed May 1 19:11:28 UTC 2024",
        apache: "Apache/2.4.57 (Rocky Linux)",
        mysql: "8.0.36",
        mariadb: "10.5.22-MariaDB",
        vsftpd: "3.0.5",
        proftpd: "1.3.8b",
        postfix: "3.5.9",
        ..ROCKY9_BASE
    },
];

const ALPINE_BASE: Release = Release {
    name: "Alpine Linux",
    id: "alpine",
    home_url: "https://alpinelinux.org/",
    vsftpd: "3.0.5",
    proftpd: "1.3.8b",
    ..NONE
};
const ALPINE: &[Release] = &[
    Release {
        version_id: "3.19.1",
        pretty: "Alpine Linux v3.19",
        kernel_release: "6.6.14-0-virt",
        kernel_version: "#1-Alpine SMP PREEMPT_DYNAMIC Fri, 26 Jan 2024 11:08:07 +0000",
        ssh: "SSH-2.0-OpenSSH_9.6",
        apache: "Apache/2.4.58 (Unix)",
        nginx: "nginx/1.24.0",
        redis: "7.2.4",
        mariadb: "10.11.6-MariaDB",
        postfix: "3.8.5",
        exim: "4.97.1",
        ..ALPINE_BASE
    },
    Release {
        version_id: "3.20.3",
        pretty: "Alpine Linux v3.20",
        kernel_release: "6.6.49-0-virt",
        kernel_version: "#1-Alpine SMP PREEMPT_DYNAMIC 2024-09-04 15:35:18",
        ssh: "SSH-2.0-OpenSSH_9.7",
        apache: "Apache/2.4.62 (Unix)",
        nginx: "nginx/1.26.2",
        redis: "7.2.5",
        mariadb: "10.11.8-MariaDB",
        postfix: "3.9.0",
        exim: "4.97.1",
        ..ALPINE_BASE
    },
];

const FEDORA_BASE: Release = Release {
    name: "Fedora Linux",
    id: "fedora",
    home_url: "https://fedoraproject.org/",
    redis: "7.2.4",
    mysql: "8.0.36",
    vsftpd: "3.0.5",
    proftpd: "1.3.8b",
    ..NONE
};
const FEDORA: &[Release] = &[
    Release {
        version_id: "39",
        version: "39 (Server Edition)",
        pretty: "Fedora Linux 39 (Server Edition)",
        kernel_release: "6.5.6-300.fc39.x86_64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Fri Oct  6 19:57:21 UTC 2023",
        ssh: "SSH-2.0-OpenSSH_9.3",
        apache: "Apache/2.4.58 (Fedora Linux)",
        nginx: "nginx/1.24.0",
        mariadb: "10.5.23-MariaDB",
        postfix: "3.8.1",
        exim: "4.97.1",
        ..FEDORA_BASE
    },
    Release {
        version_id: "40",
        version: "40 (Server Edition)",
        pretty: "Fedora Linux 40 (Server Edition)",
        kernel_release: "6.8.5-301.fc40.x86_64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Thu Apr 11 20:00:10 UTC 2024",
        ssh: "SSH-2.0-OpenSSH_9.6",
        apache: "Apache/2.4.59 (Fedora Linux)",
        nginx: "nginx/1.24.0",
        mariadb: "10.11.8-MariaDB",
        postfix: "3.8.5",
        exim: "4.97.1",
        ..FEDORA_BASE
    },
];

const KALI_BASE: Release = Release {
    name: "Kali GNU/Linux",
    id: "kali",
    id_like: "debian",
    codename: "kali-rolling",
    pretty: "Kali GNU/Linux Rolling",
    home_url: "https://www.kali.org/",
    nginx: "nginx/1.24.0",
    redis: "7.0.15",
    vsftpd: "3.0.3",
    proftpd: "1.3.8b",
    postfix_tag: "(Debian/GNU)",
    exim: "4.97",
    ..NONE
};
const KALI: &[Release] = &[
    Release {
        version_id: "2024.1",
        version: "2024.1",
        kernel_release: "6.6.9-amd64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Kali 6.6.9-1kali1 (2024-01-08)",
        ssh: "SSH-2.0-OpenSSH_9.6p1 Debian-4",
        apache: "Apache/2.4.58 (Debian)",
        mariadb: "10.11.7-MariaDB-1",
        postfix: "3.8.5",
        ..KALI_BASE
    },
    Release {
        version_id: "2024.2",
        version: "2024.2",
        kernel_release: "6.8.11-amd64",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Kali 6.8.11-1kali2 (2024-05-30)",
        ssh: "SSH-2.0-OpenSSH_9.7p1 Debian-5",
        apache: "Apache/2.4.59 (Debian)",
        mariadb: "10.11.8-MariaDB-1",
        postfix: "3.9.0",
        ..KALI_BASE
    },
];

const ARCH_BASE: Release = Release {
    name: "Arch Linux",
    id: "arch",
    pretty: "Arch Linux",
    home_url: "https://archlinux.org/",
    redis: "7.2.5",
    vsftpd: "3.0.5",
    proftpd: "1.3.8b",
    postfix: "3.9.0",
    ..NONE
};
const ARCH: &[Release] = &[
    Release {
        kernel_release: "6.9.3-arch1-1",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Fri, 31 May 2024 15:14:45 +0000",
        ssh: "SSH-2.0-OpenSSH_9.7",
        apache: "Apache/2.4.59 (Unix)",
        nginx: "nginx/1.26.1",
        mariadb: "11.4.2-MariaDB",
        exim: "4.97.1",
        ..ARCH_BASE
    },
    Release {
        kernel_release: "6.10.10-arch1-1",
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Thu, 12 Sep 2024 17:21:02 +0000",
        ssh: "SSH-2.0-OpenSSH_9.8",
        apache: "Apache/2.4.62 (Unix)",
        nginx: "nginx/1.26.2",
        mariadb: "11.5.2-MariaDB",
        exim: "4.98",
        ..ARCH_BASE
    },
];

const FREEBSD_BASE: Release = Release {
    name: "FreeBSD",
    id: "freebsd",
    home_url: "https://FreeBSD.org/",
    redis: "7.2.4",
    mysql: "8.0.35",
    mariadb: "10.6.16-MariaDB",
    vsftpd: "3.0.5",
    proftpd: "1.3.8b",
    postfix: "3.8.5",
    exim: "4.97.1",
    ..NONE
};
const FREEBSD: &[Release] = &[
    Release {
        version_id: "13.2",
        version: "13.2-RELEASE-p9",
        pretty: "FreeBSD 13.2-RELEASE-p9",
        kernel_release: "13.2-RELEASE-p9",
        kernel_version: "FreeBSD 13.2-RELEASE-p9 GENERIC",
        ssh: "SSH-2.0-OpenSSH_9.3 FreeBSD-20230719",
        apache: "Apache/2.4.58 (FreeBSD)",
        nginx: "nginx/1.24.0",
        ..FREEBSD_BASE
    },
    Release {
        version_id: "14.0",
        version: "14.0-RELEASE",
        pretty: "FreeBSD 14.0-RELEASE",
        kernel_release: "14.0-RELEASE",
        kernel_version: "FreeBSD 14.0-RELEASE #0 releng/14.0-n265380-f9716eee8ab4: Fri Nov 10 05:57:23 UTC 2023     root@releng1.nyi.freebsd.org:/usr/obj/usr/src/amd64.amd64/sys/GENERIC",
        ssh: "SSH-2.0-OpenSSH_9.5 FreeBSD-20231004",
        apache: "Apache/2.4.58 (FreeBSD)",
        nginx: "nginx/1.24.0",
        ..FREEBSD_BASE
    },
];

const WINDOWS_BASE: Release = Release {
    name: "Microsoft Windows",
    id: "windows",
    home_url: "https://www.microsoft.com/",
    apache: "Microsoft-IIS/10.0",
    redis: "5.0.14.1",
    mysql: "8.0.36",
    mariadb: "10.11.7-MariaDB",
    ..NONE
};
const WINDOWS: &[Release] = &[
    Release {
        version_id: "10.0.19045",
        version: "22H2",
        pretty: "Microsoft Windows 10 Pro",
        kernel_release: "10.0.19045",
        kernel_version: "10.0.19045 N/A Build 19045",
        ssh: "SSH-2.0-OpenSSH_for_Windows_8.1",
        ..WINDOWS_BASE
    },
    Release {
        version_id: "10.0.22631",
        version: "23H2",
        pretty: "Microsoft Windows 11 Pro",
        kernel_release: "10.0.22631",
        kernel_version: "10.0.22631 N/A Build 22631",
        ssh: "SSH-2.0-OpenSSH_for_Windows_8.6",
        ..WINDOWS_BASE
    },
];
const WINDOWS_SERVER: &[Release] = &[
    Release {
        version_id: "10.0.17763",
        version: "1809",
        pretty: "Microsoft Windows Server 2019 Standard",
        kernel_release: "10.0.17763",
        kernel_version: "10.0.17763 N/A Build 17763",
        ssh: "SSH-2.0-OpenSSH_for_Windows_7.7",
        ..WINDOWS_BASE
    },
    Release {
        version_id: "10.0.20348",
        version: "21H2",
        pretty: "Microsoft Windows Server 2022 Standard",
        kernel_release: "10.0.20348",
        kernel_version: "10.0.20348 N/A Build 20348",
        ssh: "SSH-2.0-OpenSSH_for_Windows_8.1",
        ..WINDOWS_BASE
    },
];

const FIRMWARE: &[Release] = &[
    Release {
        name: "Buildroot",
        id: "buildroot",
        version_id: "2019.02.9",
        version: "2019.02.9",
        pretty: "Buildroot 2019.02.9",
        kernel_release: "4.9.37",
        kernel_version: "#1 SMP Tue Jun 16 10:22:41 CST 2020",
        ssh: "SSH-2.0-dropbear_2018.76",
        apache: "lighttpd/1.4.53",
        vsftpd: "3.0.3",
        redis: "4.0.11",
        mariadb: "10.3.20-MariaDB",
        ..NONE
    },
    Release {
        name: "Buildroot",
        id: "buildroot",
        version_id: "2021.02.4",
        version: "2021.02.4",
        pretty: "Buildroot 2021.02.4",
        kernel_release: "4.19.91",
        kernel_version: "#2 SMP PREEMPT Thu Sep 9 03:14:12 UTC 2021",
        ssh: "SSH-2.0-dropbear_2020.81",
        apache: "lighttpd/1.4.59",
        vsftpd: "3.0.3",
        redis: "6.0.15",
        mariadb: "10.3.30-MariaDB",
        ..NONE
    },
];

const IOS: &[Release] = &[Release {
    name: "Cisco IOS Software",
    id: "ios",
    version_id: "15.2(7)E3",
    version: "15.2(7)E3",
    pretty: "Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(7)E3",
    kernel_release: "15.2(7)E3",
    kernel_version: "RELEASE SOFTWARE (fc2)",
    ssh: "SSH-2.0-Cisco-1.25",
    apache: "cisco-IOS",
    ..NONE
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distribution_has_a_release_with_a_kernel_and_an_ssh_banner() {
        for distro in Distro::ALL {
            assert!(!distro.releases().is_empty(), "{distro}");
            for release in distro.releases() {
                assert!(release.ssh.starts_with("SSH-2.0-"), "{distro}");
                assert!(
                    !release.kernel_release.is_empty() && !release.pretty.is_empty(),
                    "{distro}"
                );
                assert!(!release.apache.is_empty(), "{distro} has no web server");
            }
        }
    }

    #[test]
    fn slugs_round_trip() {
        for distro in Distro::ALL {
            assert_eq!(distro.as_str().parse::<Distro>().unwrap(), *distro);
        }
        assert!(
            "windows98"
                .parse::<Distro>()
                .unwrap_err()
                .to_string()
                .contains("debian12")
        );
    }
}
