//! What the machine reaches: its own ports that listen answer, its other ones refuse, and everything else is silent,
//! as behind a firewall that drops. Nothing here opens a socket.

use std::time::Duration;

use super::{
    run::{Fds, Report, Shell, Stop},
    vfs::Who,
};

/// What comes of a connection attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Something listens, and says this first.
    Open(Vec<u8>),
    Refused,
    /// Nothing comes back.
    Silent,
    /// There is no such name, as far as anybody knows.
    Unknown,
}

/// Options of `ssh` that take a value.
const SSH_VALUED: &str = "BbcDEeFIiJLlmOopQRSWw";

impl Shell {
    /// The address of `host` where that is this machine.
    pub(super) fn own_address(&self, host: &str) -> Option<String> {
        let m = &self.machine;
        let loopback = || "127.0.0.1".to_owned();
        if matches!(
            host,
            "localhost" | "ip6-localhost" | "0" | "0.0.0.0" | "::1" | "[::1]"
        ) {
            return Some(loopback());
        }
        if host == m.hostname || host == format!("{}.{}", m.hostname, m.domain) {
            return Some("127.0.1.1".to_owned());
        }
        let local = host.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback());
        (local || host == m.address).then(|| host.to_owned())
    }

    /// What comes of a TCP connection.
    pub(super) fn reach(&self, host: &str, port: u16) -> Reach {
        if self.own_address(host).is_none() {
            return if host.parse::<std::net::IpAddr>().is_ok() {
                Reach::Silent
            } else {
                Reach::Unknown
            };
        }
        if self.running().listening.iter().any(|l| l.0 == port) {
            let greeting = self.machine.greetings.iter().find(|g| g.0 == port);
            Reach::Open(greeting.map_or_else(Vec::new, |g| g.1.clone().into_bytes()))
        } else {
            Reach::Refused
        }
    }

    /// Whether `ssh` was called to sign in on this machine.
    pub(super) fn is_ssh_home(&self, words: &[String]) -> bool {
        let (target, _) = ssh_operands(words);
        let host = target.rsplit('@').next().unwrap_or_default();
        let port = ssh_option(words, "-p").and_then(|p| p.parse().ok()).unwrap_or(22);
        port == 22 && matches!(self.reach(host, port), Reach::Open(_))
    }

    /// `ssh localhost`: the machine's own server asks for a password.
    pub(super) async fn ssh_home(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let (target, command) = ssh_operands(words);
        let (named, host) = match target.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host.to_owned()),
            None => (ssh_option(words, "-l"), target.clone()),
        };
        let user = named.unwrap_or_else(|| self.env.user.clone());
        let address = self.own_address(&host).unwrap_or_else(|| host.clone());
        let asks = self.terminal.is_some() && !words.iter().any(|w| w == "BatchMode=yes");
        let trusting = words.iter().any(|w| {
            w.ends_with("StrictHostKeyChecking=no") || w.ends_with("StrictHostKeyChecking=accept-new")
        });
        let known = format!("{}/.ssh/known_hosts", self.env.text("HOME"));
        let root = Who { uid: 0, gid: 0 };
        let mark = format!("{host} ssh-ed25519 {}\n", self.machine.host_key);
        let before = self.vfs.read(root, "/", &known).unwrap_or_else(|_| [].into());
        self.status = 255;
        if !String::from_utf8_lossy(&before).contains(&mark) {
            let session = Fds::session();
            if !trusting {
                if !asks {
                    self.put_err(fds, b"Host key verification failed.\n");
                    return Ok(());
                }
                let shown = format!("{host} ({address})");
                self.put_err(fds, format!("The authenticity of host '{shown}' can't be established.\nED25519 key fingerprint is {}.\nThis key is not known by any other names.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ", self.machine.fingerprint).as_bytes());
                let answer = self.input_line(&session, true).await?.unwrap_or_default();
                if !answer.eq_ignore_ascii_case(b"yes") && answer != self.machine.fingerprint.as_bytes() {
                    self.put_err(fds, b"Host key verification failed.\n");
                    return Ok(());
                }
            }
            self.put_err(
                fds,
                format!("Warning: Permanently added '{host}' (ED25519) to the list of known hosts.\n")
                    .as_bytes(),
            );
            let folder = format!("{}/.ssh", self.env.text("HOME"));
            let now = self.now();
            // Where there is no home, the next time asks again.
            let _there = self.vfs.mkdir(self.who(), "/", &folder, 0o700, now);
            if let Ok(at) = self
                .vfs
                .write(self.who(), "/", &known, mark.as_bytes(), true, now)
            {
                self.vfs.forget_written(&at);
            }
        }
        let refused = format!("{user}@{host}: Permission denied (publickey,password).\n");
        if !asks {
            self.put_err(fds, refused.as_bytes());
            return Ok(());
        }
        let session = Fds::session();
        for attempt in 0..3 {
            if attempt > 0 {
                self.put_err(fds, b"Permission denied, please try again.\n");
            }
            self.put_err(fds, format!("{user}@{host}'s password: ").as_bytes());
            let Some(secret) = self.input_line(&session, false).await? else {
                break;
            };
            self.put_err(fds, b"\n");
            let account = self.account(&user);
            let accepted = account.is_some() && self.opens(&user, &secret);
            self.outside.report(Report::Secret {
                user: &user,
                secret: &secret,
                via: "ssh",
                accepted,
            });
            if let Some(account) = account.filter(|_| accepted) {
                let command = (!command.is_empty()).then(|| command.join(" ").into_bytes());
                return self.sign_in(&account, "ssh", words, command, fds).await;
            }
            self.wait(Duration::from_secs(2)).await?;
        }
        self.put_err(fds, refused.as_bytes());
        Ok(())
    }
}

/// Where `ssh` goes and what it runs there.
fn ssh_operands(words: &[String]) -> (String, Vec<String>) {
    let mut it = words.iter();
    while let Some(word) = it.next() {
        match word.strip_prefix('-') {
            None => return (word.clone(), it.cloned().collect()),
            Some(letters) if letters.chars().count() == 1 && SSH_VALUED.contains(letters) => {
                it.next();
            }
            Some(_) => {}
        }
    }
    (String::new(), Vec::new())
}

fn ssh_option(words: &[String], name: &str) -> Option<String> {
    let at = words.iter().position(|w| w.starts_with(name))?;
    match words.get(at)?.strip_prefix(name)? {
        "" => words.get(at + 1).cloned(),
        value => Some(value.to_owned()),
    }
}
