//! The programs: each a plain function from arguments and input to output, worded as GNU coreutils, procps, iproute2
//! and net-tools of Debian 12 word it.
//!
//! One table names them all. A command may read and change its session's shell; it waits by a [`Step::Wait`] and
//! never blocks.

mod awk;
pub(super) mod databases;
pub(super) mod files;
mod library;
mod logins;
mod network;
mod packages;
mod regex;
mod rpm;
mod sed;
mod stat;
pub(super) mod system;
mod tar;
pub(super) mod text;
pub(super) mod users;
pub(super) mod version;
mod when;

use std::time::Duration;

pub(super) use super::run::Step;
use super::{
    long::{Long, SHORT},
    run::Shell,
};

/// A program.
pub(super) type Run = fn(&mut Shell, &mut Call) -> u8;

/// One call of a program.
pub(super) struct Call {
    /// Its name.
    pub(super) name: String,
    /// Its arguments, without the name.
    pub(super) args: Vec<String>,
    /// The same as bytes.
    pub(super) raw: Vec<Vec<u8>>,
    /// Standard input, where [`reads_input`] says that it reads it.
    pub(super) input: Vec<u8>,
    /// Standard input that is too long to be kept, where [`counts`] says that it is counted.
    pub(super) long: Option<Long>,
    /// What it does, in order.
    pub(super) steps: Vec<Step>,
    /// URLs that it wanted, and under which name.
    pub(super) fetched: Vec<(String, String)>,
    /// Its output goes elsewhere than to the session's terminal.
    pub(super) piped: bool,
}

impl Call {
    pub(super) fn new(name: &str, mut args: Vec<Vec<u8>>) -> Self {
        if !args.is_empty() {
            args.remove(0);
        }
        Self {
            name: name.to_owned(),
            args: args
                .iter()
                .map(|a| String::from_utf8_lossy(a).into_owned())
                .collect(),
            raw: args,
            input: Vec::new(),
            long: None,
            steps: Vec::new(),
            fetched: Vec::new(),
            piped: false,
        }
    }

    pub(super) fn out(&mut self, bytes: impl AsRef<[u8]>) {
        match self.steps.last_mut() {
            Some(Step::Out(before)) => before.extend_from_slice(bytes.as_ref()),
            _ => self.steps.push(Step::Out(bytes.as_ref().to_vec())),
        }
    }

    /// Output that may be too long to be kept.
    pub(super) fn out_long(&mut self, mut long: Long) {
        match long.left() {
            Some(left) if left <= SHORT => {
                let bytes = long.take(usize::try_from(left).unwrap_or(0));
                self.out(bytes);
            }
            _ => self.steps.push(Step::Long(long)),
        }
    }

    /// The one input of a command where it is too long to be kept.
    pub(super) fn long_input(&mut self, shell: &Shell, paths: &[String]) -> Option<Long> {
        match paths {
            [] => self.long.take(),
            [path] if path == "-" => self.long.take(),
            [path] => Long::device(path, shell.random()),
            _ => None,
        }
    }

    /// Go on until somebody stops it.
    pub(super) fn never_end(&mut self) -> u8 {
        self.wait(Duration::from_secs(86_400));
        1
    }

    pub(super) fn err(&mut self, text: impl AsRef<str>) {
        self.steps.push(Step::Err(text.as_ref().as_bytes().to_vec()));
    }

    /// `name: text`, on standard error; exit status 1.
    pub(super) fn fail(&mut self, text: impl std::fmt::Display) -> u8 {
        let line = format!("{}: {text}\n", self.name);
        self.err(line);
        1
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.steps.push(Step::Wait(time));
    }

    /// Whether an option's letter was given, alone or among others.
    pub(super) fn has(&self, letter: char) -> bool {
        self.args
            .iter()
            .take_while(|a| *a != "--")
            .any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains(letter))
    }

    /// The value of an option such as `-n 5`, `-n5` or `--name=5`.
    pub(super) fn value(&self, short: &str, long: &str) -> Option<String> {
        let mut it = self.args.iter();
        while let Some(arg) = it.next() {
            if arg == short || (!long.is_empty() && arg == long) {
                return it.next().cloned();
            }
            if let Some(value) = arg
                .strip_prefix(long)
                .and_then(|r| r.strip_prefix('='))
                .filter(|_| !long.is_empty())
            {
                return Some(value.to_owned());
            }
            if !arg.starts_with("--")
                && let Some(value) = arg.strip_prefix(short)
            {
                return Some(value.to_owned());
            }
        }
        None
    }

    /// Arguments that are no options; options of `valued` letters take their value with them.
    pub(super) fn operands(&self, valued: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut it = self.args.iter();
        let mut only = false;
        while let Some(arg) = it.next() {
            if only || arg == "-" || !arg.starts_with('-') {
                out.push(arg.clone());
            } else if arg == "--" {
                only = true;
            } else if !arg.starts_with("--")
                && arg.len() == 2
                && arg.chars().nth(1).is_some_and(|c| valued.contains(c))
            {
                it.next();
            }
        }
        out
    }
}

/// The inputs of a filter: each operand's content, or standard input where there is none; what cannot be read is told.
fn inputs(shell: &Shell, call: &mut Call, paths: &[String]) -> (Vec<(String, Vec<u8>)>, u8) {
    if paths.is_empty() {
        return (vec![("-".to_owned(), std::mem::take(&mut call.input))], 0);
    }
    let mut out = Vec::new();
    let mut status = 0;
    for path in paths {
        if path == "-" {
            out.push((path.clone(), std::mem::take(&mut call.input)));
            continue;
        }
        let bytes = match path.as_str() {
            "/dev/null" => Ok(Vec::new()),
            "/dev/zero" => Ok(vec![0; 65_536]),
            "/dev/random" | "/dev/urandom" => {
                Ok((0..65_536).map(|_| shell.random().to_le_bytes()[0]).collect())
            }
            path => shell
                .vfs
                .read(shell.who(), &shell.env.cwd, path)
                .map(|b| b.to_vec()),
        };
        match bytes {
            Ok(bytes) => out.push((path.clone(), bytes)),
            Err(errno) => {
                let text = match call.name.as_str() {
                    "head" | "tail" if errno == super::vfs::Errno::NoEntry => {
                        format!("cannot open '{path}' for reading: {}", errno.text())
                    }
                    "head" | "tail" => format!("error reading '{path}': {}", errno.text()),
                    "sort" => format!("cannot read: {path}: {}", errno.text()),
                    "sed" => format!("can't read {path}: {}", errno.text()),
                    _ => format!("{path}: {}", errno.text()),
                };
                status = call.fail(text);
            }
        }
    }
    (out, status)
}

/// Lines without their ends; a last line without one counts, too.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let empty = bytes.is_empty();
    bytes.split(|b| *b == b'\n').filter(move |_| !empty)
}

/// Whether a command counts an input that is too long to be kept.
pub(super) fn counts(name: &str) -> bool {
    matches!(name, "cat" | "head" | "tail" | "wc" | "dd")
}

/// Whether a command reads its standard input when called like this.
pub(super) fn reads_input(name: &str, args: &[String]) -> bool {
    let plain = args.iter().filter(|a| !a.starts_with('-')).count();
    let dash = args.iter().any(|a| a == "-");
    match name {
        "cat" | "uniq" | "md5sum" | "sha1sum" | "sha256sum" | "sha512sum" | "rev" | "tac" | "nl" => {
            plain == 0 || dash
        }
        "base64" | "sort" | "xxd" | "od" | "hexdump" => {
            let valued = args
                .iter()
                .filter(|a| match name {
                    "base64" => a.as_str() == "-w",
                    "sort" => matches!(a.as_str(), "-k" | "-t" | "-o"),
                    _ => matches!(a.as_str(), "-N" | "-A" | "-t" | "-j" | "-w" | "-l" | "-c" | "-s"),
                })
                .count();
            let valued = if name == "od" {
                valued - usize::from(args.iter().any(|a| a == "-c"))
            } else {
                valued
            };
            plain <= valued || dash
        }
        "wc" => plain == 0,
        "head" | "tail" | "cut" => {
            let valued = args
                .iter()
                .filter(|a| matches!(a.as_str(), "-n" | "-c" | "-d" | "-f"))
                .count();
            plain <= valued
        }
        "iconv" => {
            let valued = args
                .iter()
                .filter(|a| matches!(a.as_str(), "-f" | "-t" | "-o"))
                .count();
            plain <= valued && !args.iter().any(|a| a == "-l" || a == "--list")
        }
        "tr" | "tee" | "chpasswd" => true,
        "grep" | "egrep" | "fgrep" | "sed" | "awk" | "gawk" | "mawk" => {
            let scripts = usize::from(!args.iter().any(|a| {
                a == "-e" || a == "-f" || a.starts_with("--expression=") || a.starts_with("--regexp=")
            }));
            let valued = args
                .iter()
                .filter(|a| {
                    matches!(a.as_str(), "-e" | "-F" | "-A" | "-B" | "-C" | "-m" | "-v" | "-f")
                        && (name.ends_with("awk") || a.as_str() != "-v")
                })
                .count();
            let recursive = name.ends_with("grep")
                && args
                    .iter()
                    .any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains(['r', 'R']));
            plain <= scripts + valued && !recursive && !args.iter().any(|a| a == "--version" || a == "--help")
        }
        "dd" => !args.iter().any(|a| a.starts_with("if=")),
        "crontab" => args.first().is_some_and(|a| a == "-"),
        "gzip" | "gunzip" | "zcat" | "factor" => plain == 0,
        "openssl" => {
            let digest = args.first().is_some_and(|a| text::is_digest(a));
            digest && args.iter().skip(1).all(|a| a.starts_with('-'))
        }
        "tar" => {
            args.first()
                .is_some_and(|a| a.contains('f') && args.get(1).is_some_and(|f| f == "-"))
                || dash
        }
        _ => false,
    }
}

/// The program of that name.
pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "ls" | "dir" | "vdir" => files::ls,
        "cat" => text::cat,
        "rm" => files::rm,
        "mkdir" => files::mkdir,
        "rmdir" => files::rmdir,
        "cp" => files::cp,
        "mv" => files::mv,
        "ln" => files::ln,
        "touch" => files::touch,
        "mkfifo" => files::mkfifo,
        "chmod" => files::chmod,
        "chown" | "chgrp" => files::chown,
        "chattr" => files::chattr,
        "lsattr" => files::lsattr,
        "find" => |_, _| 1,
        "stat" => stat::stat,
        "file" => files::file,
        "du" => files::du,
        "dd" => files::dd,
        "tar" | "gzip" | "gunzip" | "zcat" | "unzip" => files::archive,
        "basename" | "dirname" => files::base_name,
        "readlink" | "realpath" => files::read_link,
        "mktemp" => files::mktemp,
        "echo" => text::echo,
        "printf" => text::printf,
        "head" => text::head,
        "tail" => text::tail,
        "wc" => text::wc,
        "sort" => text::sort,
        "uniq" => text::uniq,
        "cut" => text::cut,
        "tr" => text::tr,
        "rev" | "tac" | "nl" => text::rev,
        "grep" | "egrep" | "fgrep" => text::grep,
        "sed" => sed::sed,
        "awk" | "gawk" | "mawk" => awk::awk,
        "tee" => text::tee,
        "seq" => text::seq,
        "factor" => text::factor,
        "base64" => text::base64,
        "md5sum" | "sha1sum" | "sha256sum" | "sha512sum" => text::sum,
        "xxd" | "od" => text::xxd,
        "hexdump" | "hd" => text::hexdump,
        "getenforce" | "setenforce" => system::enforce,
        "test" | "[" => text::test,
        "expr" => text::expr,
        "yes" => text::yes,
        "false" => |_, _| 1,
        "stty" => system::stty,
        "tput" => system::tput,
        "modprobe" | "insmod" | "rmmod" | "depmod" => system::modprobe,
        "sysctl" => system::sysctl,
        "openssl" => system::openssl,
        "true" | "sync" | "setterm" | "logger" => |_, _| 0,
        "id" => users::id,
        "whoami" => system::whoami,
        "groups" => users::groups,
        "uname" | "arch" => system::uname,
        "hostname" | "hostnamectl" => system::hostname,
        "ps" => system::ps,
        "top" => system::top,
        "pgrep" | "pidof" => system::pgrep,
        "kill" | "pkill" | "killall" => system::kill,
        "w" => logins::w,
        "who" => logins::who,
        "users" => logins::users,
        "last" => logins::last,
        "lastb" => logins::lastb,
        "lastlog" => logins::lastlog,
        "journalctl" => logins::journalctl,
        "uptime" => system::uptime,
        "date" => system::date,
        "df" => system::df,
        "free" => system::free,
        "mount" | "umount" => system::mount,
        "lsblk" => system::lsblk,
        "nproc" => system::nproc,
        "lscpu" => system::lscpu,
        "lspci" => system::lspci,
        "dmidecode" => system::dmidecode,
        "systemd-detect-virt" => system::detect_virt,
        "dmesg" => system::dmesg,
        "lsmod" => system::lsmod,
        "env" | "printenv" => system::env,
        "clear" | "reset" => system::clear,
        "crontab" => system::crontab,
        "systemctl" | "service" => system::systemctl,
        "useradd" | "adduser" | "userdel" | "usermod" | "groupadd" | "gpasswd" => users::useradd,
        "chpasswd" => users::chpasswd,
        "ldd" => library::ldd,
        "iconv" => library::iconv,
        "lsb_release" => library::lsb_release,
        "visudo" => library::visudo,
        "getent" => users::getent,
        "apt" | "apt-get" | "apt-cache" => packages::apt,
        "dpkg" | "dpkg-query" => packages::dpkg,
        "rpm" => rpm::rpm,
        "dnf" | "yum" | "pacman" | "apk" => packages::packager,
        "python" | "python3" | "perl" => |_, _| 0,
        "lsof" => system::lsof,
        "screen" | "tmux" => system::screen,
        "reboot" | "shutdown" | "poweroff" | "halt" => system::reboot,
        "getconf" => system::getconf,
        "tty" => system::tty,
        "vi" | "vim" | "nano" => system::editor,
        "ifconfig" => network::ifconfig,
        "ip" => network::ip,
        "netstat" => network::netstat,
        "ss" => network::ss,
        "route" | "arp" => network::route,
        "iptables" | "nft" => network::iptables,
        "ping" => network::ping,
        "wget" => network::wget,
        "curl" => network::curl,
        "tftp" | "ftpget" | "ftp" | "nc" | "telnet" | "ssh" | "scp" | "rsync" | "git" => network::other,
        "mysql" | "mysqladmin" | "mysqldump" | "mariadb" | "mariadb-dump" | "mariadb-admin" => {
            databases::mysql
        }
        "redis-cli" => databases::redis_cli,
        "nslookup" | "dig" | "host" => network::lookup,
        _ => return None,
    })
}
