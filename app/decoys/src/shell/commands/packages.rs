//! What lists, asks for and would install packages: dpkg, apt, dnf, pacman and apk. rpm has a file of its own.

use std::time::Duration;

use super::{Call, Shell, rpm};
use crate::shell::{distribution::Family, glob, machine::Machine, packages::Package};

/// The packages that one of `patterns` names; all where there is none. And the patterns that name none.
fn chosen(all: Vec<Package>, patterns: &[String]) -> (Vec<Package>, Vec<String>) {
    if patterns.is_empty() {
        return (all, Vec::new());
    }
    let fits = |package: &Package, pattern: &str| {
        let name = package.name.as_bytes();
        glob::matches(pattern.as_bytes(), name) || (package.multi && pattern == package.listed())
    };
    let missing = patterns
        .iter()
        .filter(|pattern| !all.iter().any(|p| fits(p, pattern)));
    let missing = missing.cloned().collect();
    let found = all.into_iter().filter(|p| patterns.iter().any(|o| fits(p, o)));
    (found.collect(), missing)
}

pub(super) fn dpkg(shell: &mut Shell, call: &mut Call) -> u8 {
    let long = |name: &str| call.args.iter().any(|a| a == name);
    let operands = call.operands("f");
    let query = call.name == "dpkg-query";
    if long("--print-architecture") {
        call.out("amd64\n");
    } else if long("--get-selections") {
        let (found, _) = chosen(shell.machine.packages(), &operands);
        let lines = found
            .iter()
            .map(|p| format!("{:<47} install\n", p.listed()).replace(' ', "\t"));
        // Tabs up to the sixth stop, as dpkg sets them.
        let text: String = lines
            .map(|line| {
                let name = line.split('\t').next().unwrap_or_default().to_owned();
                let stops = (48 - name.len().min(47)).div_ceil(8);
                format!("{name}{}install\n", "\t".repeat(stops))
            })
            .collect();
        call.out(text);
    } else if long("--list") || call.has('l') {
        return list(shell, call, &operands);
    } else if long("--show") || call.has('W') {
        let (found, missing) = chosen(shell.machine.packages(), &operands);
        let format = call
            .value("-f", "--showformat")
            .unwrap_or_else(|| "${binary:Package}\\t${Version}\\n".to_owned());
        let text: String = found.iter().map(|p| shown(p, &format, "")).collect();
        call.out(text);
        for name in &missing {
            call.err(format!("dpkg-query: no packages found matching {name}\n"));
        }
        return u8::from(!missing.is_empty());
    } else if long("--status") || call.has('s') {
        return status(shell, call, &operands);
    } else if long("--listfiles") || call.has('L') {
        let (found, missing) = chosen(shell.machine.packages(), &operands);
        for package in found {
            let doc = format!("/usr/share/doc/{}", package.name);
            let program = format!("/usr/bin/{}", package.name);
            let program = if shell.vfs.stat(shell.who(), "/", &program).is_ok() {
                format!("/usr/bin\n{program}\n")
            } else {
                String::new()
            };
            call.out(format!(
                "/.\n/usr\n{program}/usr/share\n/usr/share/doc\n{doc}\n{doc}/changelog.Debian.gz\n{doc}/copyright\n"
            ));
        }
        for name in &missing {
            call.err(format!("dpkg-query: package '{name}' is not installed\nUse dpkg --contents (= dpkg-deb --contents) to list archive files contents.\n"));
        }
        return u8::from(!missing.is_empty());
    } else if long("--search") || call.has('S') {
        let mut status = 0;
        for path in operands {
            let base = path.rsplit('/').next().unwrap_or_default();
            let owner = match base {
                "ls" | "cat" | "cp" | "id" | "whoami" | "uname" | "stat" => "coreutils",
                "ps" | "top" | "free" | "w" | "uptime" => "procps",
                "sshd" => "openssh-server",
                "ssh" | "scp" => "openssh-client",
                "passwd" => "passwd",
                other => other,
            };
            let known = shell.machine.packages().iter().any(|p| p.name == owner)
                && shell.vfs.stat(shell.who(), &shell.env.cwd, &path).is_ok();
            if known {
                call.out(format!("{owner}: {path}\n"));
            } else {
                call.err(format!("dpkg-query: no path found matching pattern {path}\n"));
                status = 1;
            }
        }
        return status;
    } else if !query && (call.has('i') || call.has('r') || call.has('P')) {
        if shell.env.uid != 0 {
            call.err("dpkg: error: requested operation requires superuser privilege\n");
            return 2;
        }
        for path in &operands {
            call.err(if call.has('i') {
                format!("dpkg: error: cannot access archive '{path}': No such file or directory\n")
            } else {
                format!("dpkg: warning: ignoring request to remove {path} which isn't installed\n")
            });
        }
        return if call.has('i') { 2 } else { 0 };
    } else {
        let name = call.name.clone();
        call.err(format!(
            "{name}: error: need an action option\n\nUse --help for help about querying packages.\n"
        ));
        return 2;
    }
    0
}

/// `dpkg -l`: columns as wide as what stands in them; a terminal cuts the descriptions.
fn list(shell: &mut Shell, call: &mut Call, patterns: &[String]) -> u8 {
    let (found, missing) = chosen(shell.machine.packages(), patterns);
    for name in &missing {
        call.err(format!("dpkg-query: no packages found matching {name}\n"));
    }
    if found.is_empty() {
        return 1;
    }
    let width =
        |least: usize, of: &dyn Fn(&Package) -> usize| found.iter().map(of).max().unwrap_or(0).max(least);
    let name = width(14, &|p| p.listed().len());
    let version = width(12, &|p| p.version.len());
    let mut description = width(33, &|p| p.description.chars().count());
    if let Some((columns, _)) = shell.terminal.filter(|_| !call.piped) {
        let columns = usize::try_from(columns).unwrap_or(80);
        description = description.min(columns.saturating_sub(4 + name + 1 + version + 1 + 13).max(1));
    }
    let mut out = format!(
        "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ {:<name$} {:<version$} Architecture Description\n+++-{}-{}-============-{}\n",
        "Name",
        "Version",
        "=".repeat(name),
        "=".repeat(version),
        "=".repeat(description)
    );
    for p in &found {
        let cut: String = p.description.chars().take(description).collect();
        out.push_str(&format!(
            "ii  {:<name$} {:<version$} {:<12} {cut}\n",
            p.listed(),
            p.version,
            p.architecture
        ));
    }
    call.out(out);
    u8::from(!missing.is_empty())
}

/// A package in a format of `dpkg-query` or `rpm`.
pub(super) fn shown(package: &Package, format: &str, vendor: &str) -> String {
    let upstream = package
        .version
        .split_once(':')
        .map_or(package.version.as_str(), |v| v.1);
    let (version, release) = upstream.rsplit_once('-').unwrap_or((upstream, ""));
    let mut out = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\\' => {
                let next = after.chars().next();
                match next {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(other) => out.push(other),
                    None => out.push('\\'),
                }
                rest = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
                continue;
            }
            '$' | '%' if after.starts_with('{') => {
                let end = after.find('}').unwrap_or(after.len());
                let field = after.get(1..end).unwrap_or_default();
                let name = field.split(';').next().unwrap_or_default();
                match (c, name) {
                    (_, "Package" | "NAME") => out.push_str(&package.name),
                    ('$', "binary:Package") => out.push_str(&package.listed()),
                    ('$', "Version") => out.push_str(&package.version),
                    ('%', "VERSION") => out.push_str(version),
                    ('%', "RELEASE") => out.push_str(release),
                    (_, "Architecture" | "ARCH") => out.push_str(package.architecture),
                    ('$', "Status") => out.push_str("install ok installed"),
                    ('$', "db:Status-Abbrev") => out.push_str("ii "),
                    ('$', "binary:Summary" | "Description") => out.push_str(&package.description),
                    ('%', "VENDOR") => out.push_str(vendor),
                    ('%', "EPOCH") => out.push_str(package.version.split_once(':').map_or("(none)", |v| v.0)),
                    ('%', _) => out.push_str("(none)"),
                    _ => {}
                }
                rest = after.get(end + 1..).unwrap_or_default();
                continue;
            }
            c => out.push(c),
        }
        rest = after;
    }
    out
}

fn status(shell: &mut Shell, call: &mut Call, names: &[String]) -> u8 {
    if names.is_empty() {
        call.err("dpkg-query: error: --status needs a valid package name\n");
        return 2;
    }
    let (found, missing) = chosen(shell.machine.packages(), names);
    let ubuntu = shell.machine.pretty.starts_with("Ubuntu");
    let keeper = if ubuntu {
        "Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>"
    } else {
        "Debian Developers <debian-devel@lists.debian.org>"
    };
    for package in found {
        call.out(format!(
            "Package: {}\nStatus: install ok installed\nPriority: optional\nSection: misc\nInstalled-Size: {}\nMaintainer: {keeper}\nArchitecture: {}\n{}Version: {}\nDescription: {}\n\n",
            package.name,
            40 + package.name.len() * 173 % 4_000,
            package.architecture,
            if package.multi { "Multi-Arch: same\n" } else { "" },
            package.version,
            package.description
        ));
    }
    for name in &missing {
        call.err(format!("dpkg-query: package '{name}' is not installed and no information is available\nUse dpkg --info (= dpkg-deb --info) to examine archive files.\n"));
    }
    u8::from(!missing.is_empty())
}

pub(super) fn apt(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("o");
    let verb = operands.first().cloned().unwrap_or_default();
    let names = operands.get(1..).unwrap_or_default();
    let suite = shell.machine.distribution.suite();
    match verb.as_str() {
        "" => {
            call.out("apt 2.6.1 (amd64)\nUsage: apt [options] command\n");
            return 0;
        }
        "list" if call.name == "apt" => {
            if call.piped || shell.terminal.is_none() {
                call.err(
                    "\nWARNING: apt does not have a stable CLI interface. Use with caution in scripts.\n\n",
                );
            }
            let (found, _) = chosen(shell.machine.packages(), names);
            let mut out = String::from("Listing...\n");
            if !call.args.iter().any(|a| a == "--upgradable") {
                for p in found {
                    let state = if p.multi || p.architecture == "amd64" || p.name.len() % 3 == 0 {
                        "[installed]"
                    } else {
                        "[installed,automatic]"
                    };
                    out.push_str(&format!(
                        "{}/{suite},now {} {} {state}\n",
                        p.name, p.version, p.architecture
                    ));
                }
            }
            call.out(out);
            return 0;
        }
        "show" | "policy" => {
            let (found, missing) = chosen(shell.machine.packages(), names);
            for p in found {
                call.out(if verb == "policy" {
                    format!(
                        "{}:\n  Installed: {1}\n  Candidate: {1}\n  Version table:\n *** {1} 100\n        100 /var/lib/dpkg/status\n",
                        p.name, p.version
                    )
                } else {
                    format!(
                        "Package: {}\nVersion: {}\nPriority: optional\nSection: misc\nAPT-Manual-Installed: yes\nDescription: {}\n\n",
                        p.name, p.version, p.description
                    )
                });
            }
            for name in &missing {
                if verb == "policy" {
                    call.err(format!("N: Unable to locate package {name}\n"));
                } else {
                    call.err(format!(
                        "N: Unable to locate package {name}\nE: No packages found\n"
                    ));
                }
            }
            return if verb == "show" && !missing.is_empty() {
                100
            } else {
                0
            };
        }
        _ => {}
    }
    if shell.env.uid != 0 {
        call.err("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n");
        return 100;
    }
    match verb.as_str() {
        "update" => {
            call.wait(Duration::from_secs(8));
            let (out, err, status) = shell.machine.distribution.refresh();
            call.out(out);
            call.err(err);
            status
        }
        "install" => {
            call.out("Reading package lists...\nBuilding dependency tree...\nReading state information...\n");
            call.wait(Duration::from_secs(1));
            let (found, missing) = chosen(shell.machine.packages(), names);
            for package in &found {
                call.out(format!(
                    "{} is already the newest version ({}).\n",
                    package.name, package.version
                ));
            }
            for name in &missing {
                call.err(format!("E: Unable to locate package {name}\n"));
            }
            if missing.is_empty() {
                call.out("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
                return 0;
            }
            100
        }
        "upgrade" | "dist-upgrade" | "full-upgrade" | "autoremove" | "clean" | "autoclean" | "remove"
        | "purge" => {
            if verb != "clean" {
                call.out(
                    "Reading package lists...\nBuilding dependency tree...\nReading state information...\n",
                );
                if verb.contains("upgrade") {
                    call.out("Calculating upgrade...\n");
                }
                for name in names {
                    call.out(format!("Package '{name}' is not installed, so not removed\n"));
                }
                call.out("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
            }
            0
        }
        other => {
            call.err(format!("E: Invalid operation {other}\n"));
            100
        }
    }
}

/// `dnf`, `yum`, `pacman` and `apk`: they list what is there, and find no mirror for the rest.
pub(super) fn packager(shell: &mut Shell, call: &mut Call) -> u8 {
    let family = shell.machine.distribution.family;
    let mut operands = call.operands("");
    let verb = operands.first().cloned().unwrap_or_default();
    let listing = match family {
        Family::Arch => call.has('Q'),
        _ => matches!(verb.as_str(), "info" | "list"),
    };
    if listing {
        if family != Family::Arch {
            operands.remove(0);
        }
        operands.retain(|o| o != "installed" && o != "all");
        let (found, missing) = chosen(shell.machine.packages(), &operands);
        let with_versions = call.has('v');
        let mut out = String::new();
        if family == Family::RedHat {
            out.push_str("Installed Packages\n");
        }
        for p in &found {
            out.push_str(&match (family, verb.as_str()) {
                (Family::Arch, _) if call.has('q') => format!("{}\n", p.name),
                (Family::Arch, _) => format!("{} {}\n", p.name, p.version),
                (Family::RedHat, "info") => dnf_info(&shell.machine, p),
                (Family::RedHat, _) => format!(
                    "{:<42} {:<35} @anaconda\n",
                    format!("{}.{}", p.name, p.architecture),
                    p.version
                ),
                (_, "list") => format!(
                    "{}-{} {} {{{}}} (GPL-2.0-only) [installed]\n",
                    p.name, p.version, p.architecture, p.name
                ),
                _ if with_versions => format!("{}-{}\n", p.name, p.version),
                _ => format!("{}\n", p.name),
            });
        }
        if family != Family::RedHat || !found.is_empty() {
            call.out(out);
        }
        for name in &missing {
            match family {
                Family::Arch => call.err(format!("error: package '{name}' was not found\n")),
                Family::RedHat => call.err("Error: No matching Packages to list\n"),
                _ => {}
            }
        }
        return u8::from(!missing.is_empty() && family != Family::Alpine);
    }
    if call.args.is_empty() {
        let name = call.name.clone();
        call.err(match family {
            Family::Arch => "error: no operation specified (use -h for help)\n".to_owned(),
            Family::Alpine => "apk-tools 2.14.0, compiled for x86_64.\n\nusage: apk [<OPTIONS>...] COMMAND [<ARGUMENTS>...]\n".to_owned(),
            _ => format!("usage: {name} [options] COMMAND\n"),
        });
        return 1;
    }
    if family == Family::RedHat && verb == "repolist" {
        call.out(shell.machine.distribution.repositories());
        return 0;
    }
    if shell.env.uid != 0 {
        call.err(match call.name.as_str() {
            "pacman" => "error: you cannot perform this operation unless you are root.\n",
            "apk" => "ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied\n",
            _ => "Error: This command has to be run with superuser privileges (under the root user on most systems).\n",
        });
        return 1;
    }
    call.wait(Duration::from_secs(8));
    let (out, err, status) = shell.machine.distribution.refresh();
    call.out(out);
    call.err(err);
    status
}

/// What dnf tells of an installed package.
fn dnf_info(machine: &Machine, package: &Package) -> String {
    let known = rpm::details(machine, package);
    let (version, release) = rpm::parts(package);
    let tenths = known.size * 10 / 1024;
    let (tenths, unit) = if tenths < 10_240 {
        (tenths, 'k')
    } else {
        (tenths / 1024, 'M')
    };
    let size = match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    };
    let url = match known.url {
        "" => String::new(),
        url => format!("URL          : {url}\n"),
    };
    let (name, architecture, license) = (&package.name, package.architecture, known.license);
    let (source, summary) = (known.source, known.summary);
    format!(
        "Name         : {name}\nVersion      : {version}\nRelease      : {release}\nArchitecture : {architecture}\nSize         : {size}\nSource       : {source}\nRepository   : @System\nFrom repo    : anaconda\nSummary      : {summary}\n{url}License      : {license}\nDescription  : {summary}.\n\n"
    )
}
