//! What is installed: the packages of a distribution's fresh server, and those of the services that the machine offers,
//! in the versions of its release.
//!
//! The tables (`data/*.tsv`) are the packages that an installer of each release leaves; they are read line by line when
//! somebody asks, so that a machine nobody asks holds none of them. Deliberately absent: what depends on what.

use std::borrow::Cow;

use super::{distribution::Family, machine::Machine};

/// `name kind version…  description`: a column of versions for each release of [`column`], `-` where it has none, `@` where the
/// persona's release says it. Kind `a` is for all architectures, `m` may be installed for several, `n` is native.
const DEBIAN: &str = include_str!("data/debian.tsv");
/// `name kind rocky fedora`: kind `x` is native, `n` for all.
const REDHAT: &str = include_str!("data/redhat.tsv");
/// `name version`.
const ARCH: &str = include_str!("data/arch.tsv");
/// `name version-of-3.19 version-of-3.20`.
const ALPINE: &str = include_str!("data/alpine.tsv");

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: Cow<'static, str>,
    pub(super) version: String,
    pub(super) architecture: &'static str,
    /// It may be installed for several architectures at once: dpkg names this one with it.
    pub(super) multi: bool,
    pub(super) description: Cow<'static, str>,
}

impl Package {
    /// As dpkg lists it: `libc6:amd64`.
    pub(super) fn listed(&self) -> String {
        if self.multi {
            format!("{}:{}", self.name, self.architecture)
        } else {
            self.name.to_string()
        }
    }

    /// As rpm lists it: `bash-5.1.8-9.el9.x86_64`; an epoch is not shown.
    pub(super) fn full(&self) -> String {
        let version = self
            .version
            .split_once(':')
            .map_or(self.version.as_str(), |v| v.1);
        format!("{}-{version}.{}", self.name, self.architecture)
    }
}

/// The column of a release of Debian's family in its table.
fn column(id: &str, version: &str) -> usize {
    match (id, version) {
        ("debian", "11") => 2,
        ("ubuntu", "20.04") => 4,
        ("ubuntu", "22.04") => 5,
        ("ubuntu", _) => 6,
        _ => 3,
    }
}

impl Machine {
    /// All that is installed, by name.
    pub(super) fn packages(&self) -> Vec<Package> {
        let mut all = match self.distribution.family {
            Family::Debian => self.debian(),
            Family::RedHat => self.redhat(),
            Family::Arch => self.plain(ARCH, 1),
            Family::Alpine => {
                let old = self.distribution.release.version_id.starts_with("3.19");
                self.plain(ALPINE, if old { 1 } else { 2 })
            }
            Family::Device => Vec::new(),
        };
        if !self.is_device() {
            all.extend(self.of_services());
        }
        all.sort();
        all.dedup_by(|a, b| a.name == b.name);
        all
    }

    /// The upstream version of the first of `names` that is installed: `1.9.13p3` of `1:1.9.13p3-1+deb12u1`.
    pub(super) fn upstream(&self, names: &[&str]) -> Option<String> {
        let all = self.packages();
        let package = names
            .iter()
            .find_map(|name| all.iter().find(|p| p.name == *name))?;
        let version = package.version.as_str();
        let version = version.split_once(':').map_or(version, |v| v.1);
        let (upstream, revision) = version.rsplit_once('-').unwrap_or((version, ""));
        // What a distribution writes behind the version of what it makes itself: `1.19.7ubuntu3.2`.
        let upstream = upstream.split(['+', '~']).next().unwrap_or_default();
        let upstream = upstream.split("ubuntu").next().unwrap_or_default();
        let upstream = upstream.split("build").next().unwrap_or_default();
        // Arch writes `1.9.15.p5`, Fedora `1.9.15-2.p5` of what its makers call `1.9.15p5`.
        let patch = revision.split('.').find(|part| {
            let digits = part.strip_prefix('p').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        });
        Some(upstream.replacen(".p", "p", 1) + patch.unwrap_or_default())
    }

    fn debian(&self) -> Vec<Package> {
        let release = self.distribution.release;
        let column = column(release.id, release.version_id);
        let mut all: Vec<Package> = DEBIAN
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t');
                let (name, kind) = (fields.next()?, fields.next()?);
                let version = line.split('\t').nth(column).filter(|v| *v != "-")?;
                let description = line.rsplit('\t').next()?;
                Some(Package {
                    name: name.into(),
                    version: if version == "@" {
                        self.own_version(name)
                    } else {
                        version.to_owned()
                    },
                    architecture: if kind == "a" { "all" } else { "amd64" },
                    multi: kind == "m",
                    description: description.into(),
                })
            })
            .collect();
        let kernel = self.kernel_release;
        // `6.1.76-1` of `… Debian 6.1.76-1 (2024-02-01)`; Ubuntu's is made of the release and the build's number.
        let version = if release.id == "ubuntu" {
            let build = self.kernel_version.trim_start_matches('#');
            let build = build.split('-').next().unwrap_or_default();
            let upstream = kernel.trim_end_matches("-generic");
            format!("{upstream}.{build}")
        } else {
            let words: Vec<&str> = self.kernel_version.split(' ').collect();
            let at = words.iter().position(|w| w.starts_with('('));
            let version = at.and_then(|at| words.get(at.checked_sub(1)?));
            version.map_or_else(|| kernel.to_owned(), |v| (*v).to_owned())
        };
        let mut kernels: Vec<(String, &str)> = vec![(
            format!("linux-image-{kernel}"),
            if release.id == "ubuntu" {
                "Signed kernel image generic"
            } else {
                "Linux for 64-bit PCs (signed)"
            },
        )];
        if release.id == "ubuntu" {
            kernels.push((
                format!("linux-modules-{kernel}"),
                "Linux kernel extra modules for 64 bit x86 SMP",
            ));
            kernels.push((
                format!("linux-headers-{kernel}"),
                "Linux kernel headers for 64 bit x86 SMP",
            ));
            kernels.push(("linux-image-generic".to_owned(), "Generic Linux kernel image"));
            kernels.push((
                "linux-generic".to_owned(),
                "Complete Generic Linux kernel and headers",
            ));
        } else {
            kernels.push((
                "linux-image-amd64".to_owned(),
                "Linux for 64-bit PCs (meta-package)",
            ));
        }
        all.extend(kernels.into_iter().map(|(name, description)| Package {
            name: name.into(),
            version: version.clone(),
            architecture: "amd64",
            multi: false,
            description: description.into(),
        }));
        all
    }

    /// The version of a package whose version stands in the persona's release.
    fn own_version(&self, name: &str) -> String {
        let release = self.distribution.release;
        let ssh = release.ssh.trim_start_matches("SSH-2.0-OpenSSH_");
        let (upstream, patch) = ssh.split_once(' ').unwrap_or((ssh, ""));
        let revision = patch.split_once('-').map_or("", |p| p.1);
        let bash = self.distribution.bash().split('(').next().unwrap_or_default();
        match (name, release.id) {
            ("bash", "debian") if release.version_id == "11" => format!("{bash}-2+deb11u1"),
            ("bash", "debian") => format!("{bash}-2+b2"),
            ("bash", "arch") => format!("{bash}-1"),
            ("bash", _) => format!("{bash}-2"),
            ("base-files", "kali") => format!("1:{}.0", release.version_id),
            ("base-files", _) => {
                let point = self.distribution.debian_point();
                let (major, minor) = point.split_once('.').unwrap_or((point, "0"));
                let base = if major == "11" { "11.1" } else { "12.4" };
                format!("{base}+deb{major}u{minor}")
            }
            (_, "arch") => format!("{upstream}p1-1"),
            (_, "alpine") => format!("{upstream}_p1-r0"),
            _ => format!("1:{upstream}-{revision}"),
        }
    }

    fn redhat(&self) -> Vec<Package> {
        let release = self.distribution.release;
        let rocky = release.id == "rocky";
        let dist = if rocky {
            "el9".to_owned()
        } else {
            format!("fc{}", release.version_id)
        };
        let ssh = release.ssh.trim_start_matches("SSH-2.0-OpenSSH_");
        REDHAT
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t');
                let (name, kind) = (fields.next()?, fields.next()?);
                let (first, second) = (fields.next()?, fields.next()?);
                let version = if rocky { first } else { second };
                let version = match version {
                    "-" => return None,
                    "@" if name.starts_with("kernel") => {
                        self.kernel_release.trim_end_matches(".x86_64").to_owned()
                    }
                    "@" => format!(
                        "{ssh}p1-{}.{dist}",
                        match release.version_id {
                            "9.3" => "34",
                            _ if rocky => "38",
                            _ => "1",
                        }
                    ),
                    // The release's own packages bear its number.
                    v if name.starts_with("rocky-") => v.replacen("9.4", release.version_id, 1) + ".el9",
                    v if name.starts_with("fedora-") => v.replacen("40", release.version_id, 1),
                    v if v.contains(".el9") => v.to_owned(),
                    v => format!("{v}.{dist}"),
                };
                Some(Package {
                    name: name.into(),
                    version,
                    architecture: if kind == "n" { "noarch" } else { "x86_64" },
                    multi: false,
                    description: "".into(),
                })
            })
            .collect()
    }

    fn plain(&self, table: &'static str, column: usize) -> Vec<Package> {
        table
            .lines()
            .filter_map(|line| {
                let name = line.split('\t').next()?;
                let version = line.split('\t').nth(column)?;
                let version = match version {
                    "@" if name == "linux" => self.kernel_release.replacen("-arch", ".arch", 1),
                    "@" if name == "linux-virt" => {
                        self.kernel_release.replace("-virt", "").replacen("-", "-r", 1)
                    }
                    "@" => self.own_version(name),
                    v => v.to_owned(),
                };
                Some(Package {
                    name: name.into(),
                    version,
                    architecture: "x86_64",
                    multi: false,
                    description: "".into(),
                })
            })
            .collect()
    }

    /// The packages of what the machine offers by now.
    fn of_services(&self) -> Vec<Package> {
        let release = self.distribution.release;
        let (family, id) = (self.distribution.family, release.id);
        let debian = family == Family::Debian;
        let server = |banner: &str| {
            let version = banner.split_once('/').map_or("", |b| b.1);
            version.split(' ').next().unwrap_or_default().to_owned()
        };
        // Debian's releases keep one upstream version with their own number behind it.
        let tail = match (family, id, release.version_id) {
            (Family::Debian, "debian", "11") => "-1~deb11u1",
            (Family::Debian, "debian", _) => "-1~deb12u1",
            (Family::Debian, "ubuntu", _) => "-1ubuntu4",
            (Family::Debian, ..) => "-1",
            (Family::RedHat, "rocky", _) => "-7.el9",
            (Family::RedHat, ..) => "-1",
            (Family::Alpine, ..) => "-r0",
            _ => "-1",
        };
        let mut out = Vec::new();
        let mut put = |name: &'static str, version: String, all: bool, description: &'static str| {
            let native = if debian { "amd64" } else { "x86_64" };
            let rest = if debian { "all" } else { "noarch" };
            out.push(Package {
                name: name.into(),
                version,
                architecture: if all { rest } else { native },
                multi: false,
                description: description.into(),
            });
        };
        for offered in self.services.now() {
            let Some(daemon) = self.programs.daemon(&offered.slug) else {
                continue;
            };
            match daemon.name {
                "nginx" => {
                    let tail = match id {
                        "debian" if release.version_id == "12" => "-9",
                        "debian" => "-6.1+deb11u3",
                        "ubuntu" if release.version_id == "22.04" => "-6ubuntu14.4",
                        "ubuntu" if release.version_id == "20.04" => "-0ubuntu1.4",
                        "ubuntu" => "-2ubuntu7.1",
                        _ => tail,
                    };
                    let version = server(release.nginx) + tail;
                    put(
                        "nginx",
                        version.clone(),
                        false,
                        "small, powerful, scalable web/proxy server",
                    );
                    match family {
                        Family::Debian => put(
                            "nginx-common",
                            version,
                            true,
                            "small, powerful, scalable web/proxy server - common files",
                        ),
                        Family::RedHat => {
                            put("nginx-core", version.clone(), false, "");
                            put("nginx-filesystem", version, true, "");
                        }
                        _ => {}
                    }
                }
                "apache2" | "httpd" => {
                    let tail = match (id, release.version_id) {
                        ("ubuntu", "20.04") => "-4ubuntu3.17",
                        ("ubuntu", "22.04") => "-1ubuntu4.9",
                        ("ubuntu", _) => "-1ubuntu8.4",
                        ("debian", "12") if release.apache.contains("2.4.57") => "-2",
                        _ => tail,
                    };
                    let version = server(release.apache) + tail;
                    if debian {
                        put("apache2", version.clone(), false, "Apache HTTP Server");
                        put(
                            "apache2-bin",
                            version.clone(),
                            false,
                            "Apache HTTP Server (modules and other binary files)",
                        );
                        put(
                            "apache2-data",
                            version.clone(),
                            true,
                            "Apache HTTP Server (common files)",
                        );
                        put(
                            "apache2-utils",
                            version,
                            false,
                            "Apache HTTP Server (utility programs for web servers)",
                        );
                    } else if family == Family::RedHat {
                        put("httpd", version.clone(), false, "");
                        put("httpd-core", version.clone(), false, "");
                        put("httpd-filesystem", version.clone(), true, "");
                        put("httpd-tools", version, false, "");
                    } else {
                        put(
                            if family == Family::Arch {
                                "apache"
                            } else {
                                "apache2"
                            },
                            version,
                            false,
                            "",
                        );
                    }
                }
                "redis-server" => {
                    let version = match (family, id, release.version_id) {
                        (Family::Debian, "debian", "12") => format!("5:{}-1~deb12u1", release.redis),
                        (Family::Debian, "debian", _) => format!("5:{}-1+deb11u2", release.redis),
                        (Family::Debian, "ubuntu", "24.04") => format!("5:{}-1build2", release.redis),
                        (Family::Debian, "ubuntu", "22.04") => format!("5:{}-1ubuntu1", release.redis),
                        (Family::Debian, "ubuntu", _) => format!("5:{}-2ubuntu0.1", release.redis),
                        (Family::Debian, ..) => format!("5:{}-1", release.redis),
                        (Family::RedHat, "rocky", _) => format!("{}-1.el9", release.redis),
                        (Family::RedHat, ..) => format!("{}-1.fc{}", release.redis, release.version_id),
                        _ => format!("{}{tail}", release.redis),
                    };
                    if debian {
                        put(
                            "redis-server",
                            version.clone(),
                            false,
                            "Persistent key-value database with network interface",
                        );
                        put(
                            "redis-tools",
                            version,
                            false,
                            "Persistent key-value database with network interface (client)",
                        );
                    } else {
                        put("redis", version, false, "");
                    }
                }
                "mariadbd" | "mysqld" => self.of_database(daemon.name == "mariadbd", tail, &mut put),
                "vsftpd" => {
                    let tail = match (family, id, release.version_id) {
                        (Family::Debian, "debian", "11") => "-12+b1",
                        (Family::Debian, "ubuntu", "24.04") => "-0ubuntu3.1",
                        (Family::Debian, "ubuntu", "22.04") => "-0ubuntu1.22.04.1",
                        (Family::Debian, "ubuntu", _) => "-0ubuntu0.20.04.1",
                        (Family::Debian, ..) => "-13+b2",
                        (Family::RedHat, "rocky", _) => "-5.el9",
                        _ => tail,
                    };
                    let version = format!("{}{tail}", release.vsftpd);
                    put(
                        "vsftpd",
                        version,
                        false,
                        "lightweight, efficient FTP server written for security",
                    );
                }
                "proftpd" => {
                    let version = match (family, release.version_id) {
                        (Family::Debian, "11") => format!("{}+dfsg-12+deb11u2", release.proftpd),
                        (Family::Debian, "12") => format!("{}+dfsg-4+deb12u3", release.proftpd),
                        (Family::Debian, _) => format!("{}+dfsg-1build2", release.proftpd),
                        _ => format!("{}{tail}", release.proftpd),
                    };
                    put(
                        if debian { "proftpd-core" } else { "proftpd" },
                        version,
                        false,
                        "Versatile, virtual-hosting FTP daemon - binaries",
                    );
                }
                "master" => {
                    let version = match (family, id, release.version_id) {
                        (Family::Debian, "debian", v) => format!("{}-0+deb{v}u1", release.postfix),
                        (Family::Debian, "ubuntu", _) => format!("{}-0ubuntu1.3", release.postfix),
                        (Family::RedHat, "rocky", _) => format!("2:{}-24.el9", release.postfix),
                        (Family::RedHat, ..) => {
                            format!("2:{}-5.fc{}", release.postfix, release.version_id)
                        }
                        _ => format!("{}{tail}", release.postfix),
                    };
                    put("postfix", version, false, "High-performance mail transport agent");
                }
                "exim4" | "exim" => {
                    let version = match (family, release.version_id) {
                        (Family::Debian, "11") => format!("{}-7+deb11u2", release.exim),
                        (Family::Debian, "12") => format!("{}-15+deb12u4", release.exim),
                        (Family::Debian, _) => format!("{}-4ubuntu4", release.exim),
                        _ => format!("{}{tail}", release.exim),
                    };
                    if debian {
                        put(
                            "exim4",
                            version.clone(),
                            true,
                            "metapackage to ease Exim MTA (v4) installation",
                        );
                        put(
                            "exim4-base",
                            version.clone(),
                            false,
                            "support files for all Exim MTA (v4) packages",
                        );
                        put(
                            "exim4-config",
                            version.clone(),
                            true,
                            "configuration for the Exim MTA (v4)",
                        );
                        put(
                            "exim4-daemon-light",
                            version,
                            false,
                            "lightweight Exim MTA (v4) daemon",
                        );
                    } else {
                        put("exim", version, false, "");
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn of_database(
        &self,
        maria: bool,
        tail: &str,
        put: &mut impl FnMut(&'static str, String, bool, &'static str),
    ) {
        let release = self.distribution.release;
        let debian = self.distribution.family == Family::Debian;
        let full = if maria { release.mariadb } else { release.mysql };
        // `10.11.6-MariaDB-0+deb12u1` is packaged as `1:10.11.6-0+deb12u1`.
        let plain = full.replacen("-MariaDB", "", 1);
        let version = match (debian, maria) {
            (true, true) => format!("1:{plain}"),
            (true, false) => plain,
            (false, true) if self.distribution.family == Family::RedHat => format!("3:{plain}{tail}"),
            (false, _) => format!("{plain}{tail}"),
        };
        let names: &[(&'static str, bool, &'static str)] = match (debian, maria) {
            (true, true) => &[
                ("mariadb-server", false, "MariaDB database server binaries"),
                ("mariadb-client", false, "MariaDB database client binaries"),
                ("mariadb-common", true, "MariaDB common configuration files"),
            ],
            (true, false) => &[
                (
                    "mysql-server",
                    true,
                    "MySQL database server (metapackage depending on the latest version)",
                ),
                (
                    "mysql-server-8.0",
                    false,
                    "MySQL database server binaries and system database setup",
                ),
                ("mysql-server-core-8.0", false, "MySQL database server binaries"),
                ("mysql-client-8.0", false, "MySQL database client binaries"),
                (
                    "mysql-client-core-8.0",
                    false,
                    "MySQL database core client binaries",
                ),
            ],
            (false, true) => &[("mariadb-server", false, ""), ("mariadb", false, "")],
            (false, false) => &[("mysql-server", false, ""), ("mysql", false, "")],
        };
        for (name, all, description) in names {
            put(name, version.clone(), *all, description);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decnet_persona::{Distro, Persona, PersonaSpec, Seed};

    use crate::{serve::Services, shell::Template};

    fn template(distro: Distro) -> (Persona, Template) {
        let mut spec = PersonaSpec::new(Seed::from_bytes([9; 16]), "linux-server");
        spec.distro = Some(distro);
        let persona = Persona::derive(&spec).unwrap();
        let services = Arc::new(Services::default());
        services.set(["ssh", "http", "mysql", "redis", "ftp", "smtp"], None);
        let template = Template::new(&persona, services);
        (persona, template)
    }

    #[test]
    fn every_distribution_has_as_many_packages_as_its_installer_leaves() {
        for (distro, least) in [
            (Distro::Debian11, 290),
            (Distro::Debian12, 290),
            (Distro::Kali, 290),
            (Distro::Ubuntu20, 500),
            (Distro::Ubuntu22, 500),
            (Distro::Ubuntu24, 500),
            (Distro::Rocky9, 300),
            (Distro::Fedora, 350),
            (Distro::Arch, 140),
            (Distro::Alpine, 80),
        ] {
            let (_, template) = template(distro);
            let all = template.machine.packages();
            assert!(all.len() >= least, "{distro}: {}", all.len());
            for package in &all {
                assert!(
                    !package.version.is_empty()
                        && !package.version.contains(['@', '?', ' '])
                        && package.version != "-",
                    "{distro}: {package:?}"
                );
            }
        }
        assert!(template(Distro::Firmware).1.machine.packages().is_empty());
    }

    #[test]
    fn the_packages_are_those_that_kernel_ssh_and_services_say_of_themselves() {
        for distro in [
            Distro::Debian11,
            Distro::Debian12,
            Distro::Ubuntu20,
            Distro::Ubuntu24,
            Distro::Rocky9,
            Distro::Fedora,
            Distro::Alpine,
            Distro::Arch,
        ] {
            let (persona, template) = template(distro);
            let all = template.machine.packages();
            let version = |name: &str| {
                all.iter()
                    .find(|p| p.name == name)
                    .map(|p| p.version.clone())
                    .unwrap_or_default()
            };
            let ssh = persona.product(decnet_persona::ProductKind::Ssh).version;
            let ssh = ssh.split('p').next().unwrap();
            let server = if distro == Distro::Arch {
                "openssh"
            } else {
                "openssh-server"
            };
            assert!(version(server).contains(ssh), "{distro}: {}", version(server));
            let redis = persona.product(decnet_persona::ProductKind::Redis).version;
            let found = all.iter().find(|p| p.name.starts_with("redis")).unwrap();
            assert!(found.version.contains(&redis), "{distro}: {found:?}");
            let kernel = persona.kernel().release;
            let of_kernel = match distro {
                Distro::Rocky9 | Distro::Fedora => version("kernel-core") + ".x86_64" == kernel,
                Distro::Alpine => version("linux-virt") == kernel.replace("-0-virt", "-r0"),
                Distro::Arch => version("linux") == kernel.replacen("-arch", ".arch", 1),
                _ => all.iter().any(|p| p.name == format!("linux-image-{kernel}")),
            };
            assert!(of_kernel, "{distro}: {kernel}");
        }
    }
}
