//! The emulated shell: what an intruder talks to on `ssh` (and `telnet`) where no real shell is wanted.
//!
//! It does no I/O. A [`Shell`] takes command lines and gives output, reports and waits to an [`Outside`], which a
//! protocol implements over its connection and a test over two strings. Start at [`Template::shell`]; `parse.rs` is
//! the grammar, `expand.rs` the expansions, `run.rs` the interpreter, `vars.rs` what it remembers, `vfs.rs` the file
//! system, `proc.rs` and `task.rs` what it tells of processes, `logins.rs` and `strangers.rs` what its logs do, `commands/` the programs, `interactive.rs` and `terminal.rs` what a terminal adds, `stream.rs` a shell
//! whose commands come through its standard input.
//!
//! Deliberately absent: running anything, and reaching anything. A fetch is reported and times out.

mod accounts;
mod arith;
mod builtin;
mod commands;
mod daemons;
mod distribution;
mod expand;
mod find;
mod glob;
mod interactive;
mod interpreters;
mod logins;
mod long;
pub(crate) mod machine;
mod packages;
pub(crate) mod parse;
mod platform;
mod proc;
mod python;
mod reach;
mod run;
pub(crate) mod strangers;
mod stream;
mod task;
pub(crate) mod terminal;
mod vars;
pub(crate) mod vfs;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use commands::files::ls_time;
use machine::Machine;
pub(crate) use run::{Outside, Report, Running, Shell, Stream, Typed};
use vars::{Dialect, Env, Options};
use vfs::Vfs;

/// What all sessions of a decky start from.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) machine: Arc<Machine>,
    base: Arc<vfs::Base>,
}

impl Template {
    /// The machine of `persona` and its file system; `services` is what it offers at any time.
    pub(crate) fn new(persona: &decnet_persona::Persona, services: Arc<crate::serve::Services>) -> Self {
        let machine = Arc::new(Machine::new(persona, services));
        let base = Arc::new(Machine::base(&machine, persona));
        Self { machine, base }
    }

    /// The file system as a visitor with this overlay finds it; `/proc` is as of `now` (Unix seconds).
    pub(crate) fn vfs(&self, now: i64, overlay: vfs::Shared) -> Vfs {
        Vfs::new(Arc::clone(&self.base), Arc::new(self.machine.live(now)), overlay)
    }

    /// A shell for the account `user` (`root` where there is no such account). `source` is where it came from,
    /// `overlay` what it left there before.
    pub(crate) fn shell(
        &self,
        user: &str,
        source: &str,
        outside: Box<dyn Outside>,
        seed: u64,
        overlay: vfs::Shared,
    ) -> Shell {
        let account = self.machine.account_or_new(user);
        let now = outside.now();
        let mut env = Env {
            vars: BTreeMap::new(),
            params: Vec::new(),
            arg0: format!("-{}", self.machine.distribution.shell_name()),
            cwd: account.home.clone(),
            functions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            dialect: if self.machine.distribution.is_busybox() {
                Dialect::Ash
            } else {
                Dialect::Bash
            },
            from_argument: false,
            from_input: false,
            login: true,
            options: Options::default(),
            traps: BTreeMap::new(),
            hidden: Vec::new(),
            redirected: None,
            user: account.name.clone(),
            uid: account.uid,
            gid: account.gid,
            umask: 0o022,
        };
        let path = if account.uid == 0 {
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        } else {
            "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
        };
        let mail = format!("/var/mail/{}", account.name);
        for (name, value) in [
            ("SHELL", account.shell.as_str()),
            ("PWD", account.home.as_str()),
            ("LOGNAME", account.name.as_str()),
            ("HOME", account.home.as_str()),
            ("LANG", "en_US.UTF-8"),
            ("USER", account.name.as_str()),
            ("SHLVL", "1"),
            ("PATH", path),
            ("MAIL", mail.as_str()),
            ("SSH_CLIENT", source),
        ] {
            env.export(name, value);
        }
        for (name, value) in [("IFS", " \t\n"), ("OPTIND", "1")] {
            env.set(name, value.as_bytes().to_vec());
        }
        let mut vfs = self.vfs(now, overlay);
        let who = vfs::Who { uid: 0, gid: 0 };
        if vfs.stat(who, "/", &account.home).is_err() {
            // An account that the policy let in although the machine does not have it.
            let made = vfs.mkdir(who, "/", &account.home, 0o755, now);
            if made.is_err()
                || vfs
                    .alter(who, "/", &account.home, |n| {
                        (n.uid, n.gid) = (account.uid, account.gid)
                    })
                    .is_err()
            {
                env.cwd = "/".to_owned();
            }
        }
        let mut shell = Shell::with(Arc::clone(&self.machine), vfs, env, outside, seed);
        let parent = shell.login_pid.saturating_sub(9);
        let number = shell.session_number();
        let by = (parent, number);
        shell.entry = Machine::note_login(&self.machine, (&account.name, account.uid), source, by, now);
        if self.machine.distribution.has_logind() {
            // As pam_systemd sets them.
            for (name, value) in [
                ("XDG_SESSION_ID", number.to_string()),
                ("XDG_SESSION_TYPE", "tty".to_owned()),
                ("XDG_SESSION_CLASS", "user".to_owned()),
                ("XDG_RUNTIME_DIR", format!("/run/user/{}", account.uid)),
            ] {
                shell.env.export(name, &value);
            }
        }
        shell
    }
}

#[cfg(test)]
mod tests;
