//! What the machine's logs say of those who did not get in over ssh, as sshd (auth.c, packet.c), pam_unix and dropbear write it.
//!
//! Deliberately absent: reporting. What a visitor tried is evidence elsewhere; this is what a later one reads of it.

use std::net::SocketAddr;

use super::{distribution::Family, machine::Machine};

/// The most bytes of a name that sshd writes.
const NAME_MAX: usize = 100;

/// Somebody at the door: who it says to be, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stranger<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) from: SocketAddr,
}

/// How somebody left who had not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It closed the connection.
    Closed,
    /// It had tried too often.
    TooOften,
    /// It took too long.
    TooLate,
}

impl Stranger<'_> {
    /// The address, without what an IPv6 socket makes of it.
    fn address(&self) -> String {
        self.from.ip().to_canonical().to_string()
    }

    /// The name as it stands in a log: what is no visible character by its octal number (`strnvis` with `VIS_OCTAL`).
    fn name(&self) -> String {
        let bytes = self.user.iter().take(NAME_MAX);
        bytes
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                b' '..=b'~' => char::from(*byte).to_string(),
                other => format!("\\{other:03o}"),
            })
            .collect()
    }
}

impl Machine {
    /// It has said who it is.
    pub(crate) fn note_name(&self, who: Stranger<'_>, now: i64) {
        if self.has_account(who.user) {
            return;
        }
        let (name, address, port) = (who.name(), who.address(), who.from.port());
        let text = if self.is_dropbear() {
            format!("Login attempt for nonexistent user from {address}:{port}")
        } else {
            format!("Invalid user {name} from {address} port {port}")
        };
        self.note_of(who, now, text);
    }

    /// Its password was looked at, for the `nth` time in its connection, and is wrong.
    pub(crate) fn note_check(&self, who: Stranger<'_>, nth: u32, now: i64) {
        if !self.has_pam() {
            return;
        }
        let is_known = self.has_account(who.user);
        if !is_known {
            self.note_of(
                who,
                now,
                "pam_unix(sshd:auth): check pass; user unknown".to_owned(),
            );
        } else if self.distribution.family == Family::RedHat {
            let by = format!("unix_chkpwd[{}]", self.sshd_of(who.from) + 2 + nth);
            let text = format!("password check failed for user ({})", who.name());
            self.note(now, &by, text);
        }
        // Further ones are counted, and told at the end.
        if nth == 1 {
            let text = format!(
                "pam_unix(sshd:auth): authentication failure; {}",
                self.circumstances(who)
            );
            self.note_of(who, now, text);
        }
    }

    /// It was told that it may not come in; `by_password` or by an answer to a question.
    pub(crate) fn note_refusal(&self, who: Stranger<'_>, by_password: bool, now: i64) {
        let (name, address, port) = (who.name(), who.address(), who.from.port());
        let is_known = self.has_account(who.user);
        self.refuse(now, &name, &address, self.sshd_of(who.from));
        if self.is_dropbear() {
            if is_known {
                let text = format!("Bad password attempt for '{name}' from {address}:{port}");
                self.note_of(who, now, text);
            }
            return;
        }
        let how = if by_password {
            "password"
        } else {
            "keyboard-interactive/pam"
        };
        let invalid = if is_known { "" } else { "invalid user " };
        let text = format!("Failed {how} for {invalid}{name} from {address} port {port} ssh2");
        self.note_of(who, now, text);
    }

    /// It is gone, after so many `failures`; an empty name is none.
    pub(crate) fn note_left(&self, who: Stranger<'_>, left: Left, failures: u32, now: i64) {
        let (name, address, port) = (who.name(), who.address(), who.from.port());
        if self.is_dropbear() {
            let of = if name.is_empty() {
                String::new()
            } else {
                format!("(user '{name}', {failures} fails): ")
            };
            let how = match left {
                Left::Closed => "Exited normally".to_owned(),
                Left::TooOften => format!("Max auth tries reached - user '{name}'"),
                Left::TooLate => "Timeout before auth".to_owned(),
            };
            let text = format!("Exit before auth from <{address}:{port}>: {of}{how}");
            self.note_of(who, now, text);
            return;
        }
        let of = match (name.is_empty(), self.has_account(who.user)) {
            (true, _) => String::new(),
            (false, true) => format!("authenticating user {name} "),
            (false, false) => format!("invalid user {name} "),
        };
        match left {
            Left::Closed => {
                self.note_of(
                    who,
                    now,
                    format!("Connection closed by {of}{address} port {port} [preauth]"),
                );
            }
            Left::TooOften => {
                let of_whom = of.replace("authenticating user ", "");
                for text in [
                    format!(
                        "error: maximum authentication attempts exceeded for {of_whom}from {address} port {port} ssh2 [preauth]"
                    ),
                    format!(
                        "Disconnecting {of}{address} port {port}: Too many authentication failures [preauth]"
                    ),
                ] {
                    self.note_of(who, now, text);
                }
            }
            Left::TooLate => {
                self.note_of(
                    who,
                    now,
                    format!("fatal: Timeout before authentication for {address} port {port}"),
                );
            }
        }
        let more = failures.saturating_sub(1);
        if more > 0 && self.has_pam() {
            let plural = if more == 1 { "" } else { "s" };
            let text = format!(
                "PAM {more} more authentication failure{plural}; {}",
                self.circumstances(who)
            );
            self.note_of(who, now, text);
        }
    }

    /// What pam_unix says of an attempt.
    fn circumstances(&self, who: Stranger<'_>) -> String {
        let user = if self.has_account(who.user) {
            format!(" user={}", who.name())
        } else {
            String::new()
        };
        format!(
            "logname= uid=0 euid=0 tty=ssh ruser= rhost={} {user}",
            who.address()
        )
    }

    fn note_of(&self, who: Stranger<'_>, now: i64, text: String) {
        let program = if self.is_dropbear() { "dropbear" } else { "sshd" };
        self.note(now, &format!("{program}[{}]", self.sshd_of(who.from)), text);
    }

    /// The process that answers a connection.
    fn sshd_of(&self, from: SocketAddr) -> u32 {
        1_300 + self.draw(&from.to_string(), self.boot_time) % 20_000
    }

    fn has_account(&self, user: &[u8]) -> bool {
        std::str::from_utf8(user).is_ok_and(|name| self.account(name).is_some() || self.has_system(name))
    }

    fn is_dropbear(&self) -> bool {
        self.distribution.family == Family::Device
    }

    fn has_pam(&self) -> bool {
        // Alpine's sshd is built without it.
        !matches!(self.distribution.family, Family::Device | Family::Alpine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_a_log_as_text_of_one_line() {
        let name = |user: &[u8]| {
            let from = SocketAddr::from(([192, 0, 2, 7], 4));
            Stranger { user, from }.name()
        };
        assert_eq!(name(b"root"), "root");
        assert_eq!(name(b"a\nb\\c \xff\x1b"), "a\\012b\\\\c \\377\\033");
        assert_eq!(name(&[b'a'; 500]).len(), NAME_MAX);
    }
}
