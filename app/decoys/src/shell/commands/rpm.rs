//! `rpm`: what is installed, what each package is and has, whose a file is, and what was changed since.
//!
//! What a package is stands in `data/rpm.tsv`, for those that somebody may ask for; of the others only what can be made of
//! their name. Files are those of the machine's own tree, so that what is listed is there. Deliberately absent: what depends on
//! what, and package files.

use std::time::Duration;

use super::{Call, Shell, files, packages::shown, system, version::coreutils};
use crate::shell::{
    glob,
    machine::Machine,
    packages::Package,
    vfs::{Kind, Vfs, absolute},
};

/// `name size license-of-rocky license-of-fedora url summary files`, the last by spaces, with `c:` before a file of settings.
const DETAILS: &str = include_str!("../data/rpm.tsv");

/// Packages whose source is named otherwise than they begin.
const SOURCES: &[(&str, &str)] = &[
    ("bind-", "bind"),
    ("dnf-data", "dnf"),
    ("fedora-release-", "fedora-release"),
    ("iptables-", "iptables"),
    ("kernel-", "kernel"),
    ("libselinux-", "libselinux"),
    ("mariadb-", "mariadb"),
    ("rocky-", "rocky-release"),
    ("vim-", "vim"),
    ("yum", "dnf"),
];

/// How long it takes to look at every file of every package.
const VERIFY_ALL: Duration = Duration::from_secs(11);

/// A line of [`DETAILS`].
struct Row {
    name: &'static str,
    size: u64,
    licenses: (&'static str, &'static str),
    url: &'static str,
    summary: &'static str,
    files: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    DETAILS.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Row {
            name: fields.next()?,
            size: fields.next()?.parse().ok()?,
            licenses: (fields.next()?, fields.next()?),
            url: fields.next()?,
            summary: fields.next()?,
            files: fields.next()?,
        })
    })
}

/// What is told of a package beside its version.
pub(super) struct Details {
    pub(super) size: u64,
    pub(super) license: &'static str,
    pub(super) url: &'static str,
    pub(super) summary: String,
    pub(super) source: String,
}

/// The version of a package without its epoch, and the release behind it.
pub(super) fn parts(package: &Package) -> (&str, &str) {
    let version = package.version.as_str();
    let version = version.split_once(':').map_or(version, |v| v.1);
    version.rsplit_once('-').unwrap_or((version, ""))
}

pub(super) fn details(machine: &Machine, package: &Package) -> Details {
    let name = package.name.as_ref();
    let rocky = is_rocky(machine);
    let own = rows().find(|row| row.name == name);
    // What was made of the same source begins alike.
    let kin = rows()
        .filter(|row| {
            name.strip_prefix(row.name)
                .is_some_and(|rest| rest.starts_with('-'))
        })
        .min_by_key(|row| row.name.len());
    let source = SOURCES
        .iter()
        .find(|(begins, _)| name.starts_with(begins))
        .map(|(_, source)| *source)
        .or(kin.as_ref().map(|row| row.name))
        .unwrap_or(name);
    let (version, release) = parts(package);
    let source = format!("{source}-{version}-{release}.src.rpm");
    let drawn = name.bytes().fold(7_u64, |h, b| h.wrapping_mul(31) ^ u64::from(b));
    let summary = own
        .as_ref()
        .map_or_else(|| format!("The {name} package"), |row| row.summary.to_owned());
    let size = own.as_ref().map_or(24_000 + drawn % 900_000, |row| row.size);
    let kin = own.or(kin);
    let license = kin
        .as_ref()
        .map_or(if rocky { "LGPLv2+" } else { "LGPL-2.1-or-later" }, |row| {
            if rocky { row.licenses.0 } else { row.licenses.1 }
        });
    Details {
        size,
        license,
        url: kin.map_or("", |row| row.url),
        summary,
        source,
    }
}

fn is_rocky(machine: &Machine) -> bool {
    machine.distribution.release.id == "rocky"
}

/// Who made the packages.
pub(super) fn vendor(machine: &Machine) -> &'static str {
    if is_rocky(machine) {
        "Rocky Enterprise Software Foundation"
    } else {
        "Fedora Project"
    }
}

/// The files of a package as they were installed, and which of them are settings.
fn installed(vfs: &Vfs, package: &Package) -> Vec<(bool, String)> {
    let name = package.name.as_ref();
    let listed = rows().find(|row| row.name == name);
    let listed = listed.map_or("", |row| row.files).split_whitespace();
    let mut all: Vec<(bool, String)> = listed
        .map(|file| match file.strip_prefix("c:") {
            Some(settings) => (true, settings.to_owned()),
            None => (false, file.to_owned()),
        })
        .collect();
    if name == "coreutils" {
        all.extend(coreutils().map(|program| (false, format!("/usr/bin/{program}"))));
        all.push((false, "/usr/sbin/chroot".to_owned()));
    }
    if all.is_empty() {
        for folder in [
            "/usr/bin",
            "/usr/sbin",
            "/usr/libexec",
            "/usr/share/doc",
            "/usr/share",
        ] {
            all.push((false, format!("{folder}/{name}")));
        }
        all.push((true, format!("/etc/{name}.conf")));
    }
    all.retain(|(_, path)| vfs.installed(path).is_some());
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

/// The package that has the file at `path`, which is absolute.
fn owner(vfs: &Vfs, packages: &[Package], path: &str) -> Option<Package> {
    // The directories that are links since everything is below /usr.
    let below = ["/bin/", "/sbin/", "/lib/", "/lib64/"]
        .iter()
        .any(|old| path.starts_with(old));
    let path = if below {
        format!("/usr{path}")
    } else {
        path.to_owned()
    };
    let has = |package: &&Package| installed(vfs, package).iter().any(|(_, file)| *file == path);
    // Most are found by their names, and the others by looking.
    let last = path.rsplit('/').next().unwrap_or_default();
    let named = packages.iter().find(|package| package.name == last).filter(has);
    named.or_else(|| packages.iter().find(has)).cloned()
}

/// A time as rpm writes it in the shell's locale.
pub(super) fn stamp(shell: &Shell, at: i64) -> String {
    let at = system::clock(at);
    let (month, weekday) = (files::month(at), at.weekday().to_string());
    let weekday: String = weekday.chars().take(3).collect();
    let (day, year, minute, second) = (at.day(), at.year(), at.minute(), at.second());
    if system::is_american(shell) {
        let (hour, half) = system::twelve(at.hour());
        format!("{weekday} {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} {half} UTC")
    } else {
        let hour = at.hour();
        format!("{weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02} {year}")
    }
}

/// `rpm -qi`
fn info(shell: &Shell, package: &Package) -> String {
    let machine = &shell.machine;
    let rocky = is_rocky(machine);
    let known = details(machine, package);
    let (version, release) = parts(package);
    let epoch = package.version.split_once(':').map_or("", |(epoch, _)| epoch);
    let epoch = match epoch {
        "" => String::new(),
        epoch => format!("Epoch       : {epoch}\n"),
    };
    // Packages are some weeks older than the installation, and signed when they are built.
    let weeks = 3 + i64::from(package.name.bytes().fold(0_u8, u8::wrapping_add) % 9);
    let built = machine.installed - weeks * 604_800 - i64::try_from(package.name.len()).unwrap_or(0) * 1_733;
    let (host, key, packager) = if rocky {
        (
            "ord1-prod-x86build003.svc.aws.rockylinux.org",
            "702d426d350d275d",
            "Rocky Linux Build System (Peridot) <releng@rockylinux.org>",
        )
    } else {
        let key = match machine.distribution.release.version_id {
            "39" => "75cf5ac418b8e74c",
            _ => "0727707ea15b79cc",
        };
        ("buildvm-x86-12.iad2.fedoraproject.org", key, "Fedora Project")
    };
    let name = &package.name;
    let url = match known.url {
        "" => String::new(),
        url => format!("URL         : {url}\n"),
    };
    let bugs = match rocky {
        true => String::new(),
        false => format!("Bug URL     : https://bugz.fedoraproject.org/{name}\n"),
    };
    let Details {
        size,
        license,
        source,
        summary,
        ..
    } = known;
    let (architecture, vendor) = (package.architecture, vendor(machine));
    let (installed, signed, built) = (
        stamp(shell, machine.installed),
        stamp(shell, built + 5_400),
        stamp(shell, built),
    );
    format!(
        "Name        : {name}\n{epoch}Version     : {version}\nRelease     : {release}\nArchitecture: {architecture}\nInstall Date: {installed}\nGroup       : Unspecified\nSize        : {size}\nLicense     : {license}\nSignature   : RSA/SHA256, {signed}, Key ID {key}\nSource RPM  : {source}\nBuild Date  : {built}\nBuild Host  : {host}\nPackager    : {packager}\nVendor      : {vendor}\n{url}{bugs}Summary     : {summary}\nDescription :\n{summary}.\n"
    )
}

/// What `rpm -V` says of a file that is not as it was installed.
fn change(vfs: &Vfs, settings: bool, path: &str) -> Option<String> {
    let kind = if settings { 'c' } else { ' ' };
    let before = vfs.installed(path)?;
    let root = crate::shell::vfs::Who { uid: 0, gid: 0 };
    let Ok((_, now)) = vfs.lstat(root, "/", path) else {
        return Some(format!("missing   {kind} {path}\n"));
    };
    if now == *before {
        return None;
    }
    let content = now.kind != before.kind;
    let is_file = |kind: &Kind| !matches!(kind, Kind::Directory | Kind::Link(_) | Kind::Device(_));
    let of_file = is_file(&before.kind);
    let marks: String = [
        ('S', of_file && now.size() != before.size()),
        ('M', now.mode != before.mode || is_file(&now.kind) != of_file),
        ('5', of_file && content),
        ('D', false),
        ('L', !of_file && content),
        ('U', now.uid != before.uid),
        ('G', now.gid != before.gid),
        ('T', of_file && now.mtime != before.mtime),
        ('P', false),
    ]
    .into_iter()
    .map(|(mark, differs)| if differs { mark } else { '.' })
    .collect();
    // Of a folder only its permissions and owners are looked at.
    marks
        .contains(|c| c != '.')
        .then(|| format!("{marks}  {kind} {path}\n"))
}

/// `rpm -V`
fn verify(shell: &Shell, call: &mut Call, packages: &[Package]) -> u8 {
    let mut status = 0;
    for package in packages {
        for (settings, path) in installed(&shell.vfs, package) {
            if let Some(line) = change(&shell.vfs, settings, &path) {
                call.out(line);
                status = 1;
            }
        }
    }
    status
}

/// Who is meant by `wanted`: a name, with the version, with the release and with the architecture behind it.
fn is(package: &Package, wanted: &str) -> bool {
    let (version, release) = parts(package);
    let (name, full) = (&package.name, package.full());
    *name == wanted
        || full == wanted
        || format!("{name}.{}", package.architecture) == wanted
        || format!("{name}-{version}") == wanted
        || format!("{name}-{version}-{release}") == wanted
}

/// How many of the arguments failed, as an exit status.
fn failures(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

pub(super) fn rpm(shell: &mut Shell, call: &mut Call) -> u8 {
    let program = if is_rocky(&shell.machine) {
        "4.16.1.3"
    } else if shell.machine.distribution.release.version_id == "39" {
        "4.19.0"
    } else {
        "4.19.1.1"
    };
    let long = |name: &str| call.args.iter().any(|a| a == name);
    if long("--version") {
        call.out(format!("RPM version {program}\n"));
        return 0;
    }
    if call.args.is_empty() {
        call.out(format!("RPM version {program}\nCopyright (C) 1998-2002 - Red Hat, Inc.\nThis program may be freely redistributed under the terms of the GNU GPL\n\nUsage: rpm [-afgpcdLAlsiv?] [-a|--all] [-f|--file] [-g|--group] [-p|--package]\n        [--whatprovides] [--whatrequires] [-c|--configfiles] [-d|--docfiles]\n        [-l|--list] [-s|--state] [-i|--info] [-e|--erase=<package>+]\n        [-F|--freshen=<packagefile>+] [-h|--hash] [-U|--upgrade=<packagefile>+]\n        [-V|--verify] [-q|--query] [--qf|--queryformat=QUERYFORMAT]\n"));
        return 1;
    }
    let queries = call.has('q') || long("--query");
    let verifies = !queries && (call.has('V') || long("--verify"));
    let all = call.has('a') || long("--all");
    let by_file = call.has('f') || long("--file") || long("--whatprovides");
    let of_package_file = call.has('p') || long("--package");
    let (tells, lists) = (call.has('i') || long("--info"), call.has('l') || long("--list"));
    let settings = call.has('c') || long("--configfiles");
    let documents = call.has('d') || long("--docfiles");
    let latest = long("--last");
    let format = call
        .value("--qf", "--queryformat")
        .filter(|format| format.contains("%{"));
    let operands: Vec<String> = call
        .operands("")
        .into_iter()
        .filter(|o| format.as_ref() != Some(o))
        .collect();
    if !queries && !verifies {
        return change_packages(shell, call, &operands);
    }
    if operands.is_empty() && !all {
        let what = if queries { "query" } else { "verify" };
        call.err(format!("rpm: no arguments given for {what}\n"));
        return 1;
    }
    let mut failed = 0;
    if of_package_file {
        for path in &operands {
            call.err(format!(
                "error: open of {path} failed: No such file or directory\n"
            ));
        }
        return failures(operands.len());
    }
    let packages = shell.machine.packages();
    let mut found = Vec::new();
    if all {
        let fits = |package: &&Package, pattern: &String| {
            glob::matches(pattern.as_bytes(), package.name.as_bytes()) || is(package, pattern)
        };
        let chosen = packages
            .iter()
            .filter(|p| operands.is_empty() || operands.iter().any(|o| fits(p, o)));
        found.extend(chosen.cloned());
        // rpm lists in the order of its database: that of the installation.
        found.sort_by_key(|p| {
            p.name
                .bytes()
                .fold(7_u32, |h, b| h.wrapping_mul(31) ^ u32::from(b))
        });
        if verifies {
            call.wait(VERIFY_ALL);
        }
    }
    for operand in operands.iter().filter(|_| !all) {
        let one = if by_file {
            let path = absolute(&shell.env.cwd, operand);
            if shell.vfs.lstat(shell.who(), "/", &path).is_err() {
                call.err(format!("error: file {operand}: No such file or directory\n"));
                failed += 1;
                continue;
            }
            let owner = owner(&shell.vfs, &packages, &path);
            if owner.is_none() {
                call.out(format!("file {path} is not owned by any package\n"));
            }
            owner
        } else {
            let package = packages.iter().find(|p| is(p, operand)).cloned();
            if package.is_none() {
                call.out(format!("package {operand} is not installed\n"));
            }
            package
        };
        failed += usize::from(one.is_none());
        found.extend(one);
    }
    if verifies {
        return verify(shell, call, &found).max(failures(failed));
    }
    for package in &found {
        if tells {
            call.out(info(shell, package));
        }
        if lists || settings || documents {
            let mut files = installed(&shell.vfs, package);
            files.retain(|(is_settings, path)| {
                let is_document = path.starts_with("/usr/share/doc/");
                lists || (settings && *is_settings) || (documents && is_document)
            });
            if files.is_empty() && lists {
                call.out("(contains no files)\n");
            }
            call.out(
                files
                    .iter()
                    .map(|(_, path)| format!("{path}\n"))
                    .collect::<String>(),
            );
        } else if latest {
            let at = stamp(shell, shell.machine.installed);
            call.out(format!("{:<45} {at}\n", package.full()));
        } else if let Some(format) = &format {
            call.out(shown(package, format, vendor(&shell.machine)));
        } else if !tells {
            call.out(package.full() + "\n");
        }
    }
    failures(failed)
}

/// Installing and removing, which a machine without a way out does not get far with.
fn change_packages(shell: &Shell, call: &mut Call, operands: &[String]) -> u8 {
    let removes = call.has('e') || call.args.iter().any(|a| a == "--erase");
    let words = ["--install", "--upgrade", "--freshen", "--reinstall"];
    let installs = ['i', 'U', 'F'].iter().any(|letter| call.has(*letter))
        || call.args.iter().any(|a| words.contains(&a.as_str()));
    if operands.is_empty() {
        call.err(match (removes, installs) {
            (true, _) => "rpm: no packages given for erase\n",
            (_, true) => "rpm: no packages given for install\n",
            _ => "rpm: only installation and upgrading may be forced\n",
        });
        return 1;
    }
    let packages = shell.machine.packages();
    if !removes {
        for path in operands {
            let there = shell.vfs.stat(shell.who(), &shell.env.cwd, path).is_ok();
            call.err(match (path.contains("://"), there) {
                (true, _) => {
                    let host = path.split('/').nth(2).unwrap_or_default();
                    format!(
                        "curl: (6) Could not resolve host: {host}\nerror: skipping {path} - transfer failed\n"
                    )
                }
                (_, true) => format!("error: {path}: not an rpm package (or package manifest)\n"),
                (_, false) => format!("error: open of {path} failed: No such file or directory\n"),
            });
        }
        return failures(operands.len());
    }
    let (known, unknown): (Vec<_>, Vec<_>) = operands
        .iter()
        .partition(|name| packages.iter().any(|p| is(p, name)));
    for name in &unknown {
        call.err(format!("error: package {name} is not installed\n"));
    }
    if known.is_empty() {
        return failures(unknown.len());
    }
    if shell.env.uid != 0 {
        call.err("error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Permission denied)\n");
        return 1;
    }
    let needs = packages.iter().find(|p| p.name == "systemd").map(Package::full);
    call.err("error: Failed dependencies:\n");
    for name in &known {
        let needs = needs.as_deref().unwrap_or("filesystem");
        call.err(format!("\t{name} is needed by (installed) {needs}\n"));
    }
    failures(known.len())
}
