//! The same words to our ssh and to a real one (Debian's sshd), and the same answers back: whatever differs fails.
//!
//! Where no sshd is installed, or the test may not start one, it says so and proves nothing.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use decnet_control::{
    Control, Product, Words,
    ssh::{CLIENT, framed, kexinit, kexinit_with, packet, string},
};
use decnet_persona::{Distro, PersonaSpec, Seed};

mod support;

fn keygen(kind: &str, file: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-f"])
        .arg(file)
        .status();
    assert!(made.unwrap().success());
}

/// Debian's sshd with the configuration of its package, where the answers are those of its version.
fn control() -> Option<Control> {
    if Command::new("sshpass").arg("-V").output().is_err() {
        decnet_testkit::skipped("sshpass is not installed");
        return None;
    }
    if !nix::unistd::geteuid().is_root() {
        decnet_testkit::skipped("sshd asks PAM for passwords, and only root's may");
        return None;
    }
    let control = support::control(Product::OpenSsh, "9.2", Words::default())?;
    let banner = identification(control.address());
    if !banner.starts_with("SSH-2.0-OpenSSH_9.2p1 Debian") {
        decnet_testkit::skipped(&format!(
            "the answers are those of OpenSSH 9.2, and this is {banner}"
        ));
        return None;
    }
    Some(control)
}

/// What a server calls itself.
fn identification(address: SocketAddr) -> String {
    let answer = Answer::to(address, b"", true).bytes;
    String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

/// Our server of the same name, once it has made its keys.
fn ours(banner: &str) -> support::Site {
    ours_with(banner, "never")
}

/// As [`ours`], with a policy of who gets in.
fn ours_with(banner: &str, accept: &str) -> support::Site {
    let spec = PersonaSpec {
        distro: Some(Distro::Debian12),
        ..PersonaSpec::new(Seed::from_bytes([5; 16]), "linux-server")
    };
    let ours = support::start("ssh", spec, &[("accept", accept), ("version", banner)]);
    let until = Instant::now() + Duration::from_secs(120);
    while !Answer::to(ours.address, b"SSH-2.0-x\r\n", false)
        .shown()
        .contains("KEXINIT")
    {
        assert!(Instant::now() < until, "the host keys are not made");
    }
    ours
}

/// What came back.
struct Answer {
    bytes: Vec<u8>,
    closed: bool,
}

impl Answer {
    /// Send `words`, and our end of stream if `end`; read until the server closes or says nothing more.
    fn to(server: SocketAddr, words: &[u8], end: bool) -> Self {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        // A server that hung up meanwhile has answered already.
        let _sent = stream.write_all(words);
        if end {
            let _ended = stream.shutdown(Shutdown::Write);
        }
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        let closed = loop {
            match stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                // A server that closes with our words unread resets the connection.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
                Err(_silent) => break false,
            }
        };
        Self { bytes, closed }
    }

    /// Without what is different every time.
    fn shown(&self) -> String {
        let end = self
            .bytes
            .iter()
            .position(|b| *b == b'\n')
            .map_or(self.bytes.len(), |at| at + 1);
        let (line, mut rest) = self.bytes.split_at(end);
        let mut shown = String::from_utf8_lossy(line).into_owned();
        while rest.len() > 5 && rest[0] == 0 {
            let len = 4 + usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            let (packet, after) = rest.split_at(len.min(rest.len()));
            match packet[5] {
                20 => shown.push_str(" KEXINIT"),
                31 => shown.push_str(" KEXREPLY"),
                kind => shown.push_str(&format!(" {kind}:{:?}", String::from_utf8_lossy(&packet[4..]))),
            }
            rest = after;
        }
        shown.push_str(&String::from_utf8_lossy(rest));
        shown.push_str(if self.closed { " (closes)" } else { " (waits)" });
        shown
    }

    /// The ten lists of the KEXINIT.
    fn lists(&self) -> Vec<String> {
        let end = self.bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        let mut rest = &self.bytes[end + 6 + 16..];
        (0..10)
            .map(|_| {
                let len = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
                let list = String::from_utf8(rest[4..4 + len].to_vec()).unwrap();
                rest = &rest[4 + len..];
                list
            })
            .collect()
    }
}

/// What is said to both, and whether we then end our stream.
fn conversations() -> Vec<(String, Vec<u8>, bool)> {
    let mut all: Vec<(String, Vec<u8>, bool)> = Vec::new();
    let mut say = |name: &str, words: &[u8]| all.push((name.to_owned(), words.to_vec(), false));
    for words in [
        &b"SSH-1337-OpenSSH_9.0\r\n"[..],
        b"\r\r\r\r\r\r\r\r",
        b"\r\r\r\r\r\r\r\r\n",
        b"SSH-2.0-x",
        b"GET / HTTP/1.0\r\n\r\n",
        b"SSH-1.5-x\r\n",
        b"SSH-1.99-x\r\n",
        b"SSH-2.5-x\r\n",
        b"SSH- 2.0-x\r\n",
        b"SSH-2.0-\r\n",
        b"SSH-2.0-x\0y\r\n",
        b"SSH-2.0-x\ry\n",
        b"SSH-2.0-\xe9\xff\r\n",
        b"QUIT",
        b"\n",
    ] {
        say(&format!("{:?}", String::from_utf8_lossy(words)), words);
    }
    for len in [300, 8_000, 9_000] {
        let line = [b"SSH-2.0-", &vec![b'A'; len][..], b"\r\n"].concat();
        say(&format!("an identification of {len} bytes"), &line);
    }
    for len in [0, 4, 5, 13, 262_148, 300_000, 0x7fff_ffff] {
        let words = [CLIENT, &framed(len, 4, &[0x14; 16])].concat();
        say(&format!("a packet of length {len}"), &words);
    }
    for padding in [0, 3, 11, 200] {
        let words = [CLIENT, &framed(12, padding, &[0x14; 11])].concat();
        say(&format!("a packet with {padding} bytes of padding"), &words);
    }
    say(
        "HTTP after the identification",
        &[CLIENT, b"GET / HTTP/1.0\r\n\r\n"].concat(),
    );
    for kind in [
        0, 1, 2, 3, 4, 5, 6, 7, 21, 30, 31, 34, 49, 50, 60, 80, 90, 127, 191, 192, 255,
    ] {
        let odd = packet(&[&[kind][..], &[0; 20]].concat());
        say(&format!("type {kind} first"), &[CLIENT, &odd].concat());
        let begun = kexinit();
        say(
            &format!("type {kind} after KEXINIT"),
            &[CLIENT, &begun, &odd].concat(),
        );
        let strict = kexinit_with(0, "curve25519-sha256,kex-strict-c-v00@openssh.com");
        say(
            &format!("type {kind} in strict exchange"),
            &[CLIENT, &strict, &odd].concat(),
        );
        say(
            &format!("type {kind}, then strict exchange"),
            &[CLIENT, &odd, &strict].concat(),
        );
    }
    for at in [0, 1, 2, 4, 6] {
        say(
            &format!("no common algorithm in list {at}"),
            &[CLIENT, &kexinit_with(at, "nope")].concat(),
        );
    }
    say("a KEXINIT cut short", &[CLIENT, &packet(&[20; 17])].concat());
    say("two KEXINITs", &[CLIENT, &kexinit(), &kexinit()].concat());
    let share = |bytes: &[u8]| packet(&[&[30][..], &string(bytes)].concat());
    let good = [CLIENT, &kexinit()].concat();
    let base = [&[9][..], &[0; 31]].concat();
    say("a key share", &[&good[..], &share(&base)].concat());
    say(
        "a key share of five bytes",
        &[&good[..], &share(b"abcde")].concat(),
    );
    say("a key share of zeros", &[&good[..], &share(&[0; 32])].concat());
    let gex = [CLIENT, &kexinit_with(0, "diffie-hellman-group-exchange-sha256")].concat();
    say(
        "a key share in group exchange",
        &[&gex[..], &share(&base)].concat(),
    );
    for words in [
        b"SSH-2.0-x".to_vec(),
        CLIENT.to_vec(),
        [CLIENT, &[0; 7]].concat(),
        good,
    ] {
        all.push((format!("{} bytes, then the end", words.len()), words, true));
    }
    all
}

/// How many conversations are held at a time.
const AT_A_TIME: usize = 12;

#[test]
fn before_encryption_everything_is_answered_as_openssh_does_and_offered_as_it_does() {
    let Some(control) = control() else {
        return;
    };
    let banner = identification(control.address());
    let ours = ours(&banner);
    assert_eq!(identification(ours.address), banner);

    let hello = |address| Answer::to(address, CLIENT, false).lists();
    let names = [
        "kex",
        "host keys",
        "ciphers",
        "ciphers",
        "macs",
        "macs",
        "compression",
        "compression",
        "languages",
        "languages",
    ];
    for ((name, theirs), ours) in names
        .iter()
        .zip(hello(control.address()))
        .zip(hello(ours.address))
    {
        assert_eq!(ours, theirs, "{name}");
    }

    let all = conversations();
    let mut differences = Vec::new();
    for some in all.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|(name, words, end)| {
                    let ask = move |address| {
                        // Both drop visitors by chance where many have not signed in yet (MaxStartups).
                        let mut answers = (0..20).map(|_| Answer::to(address, words, *end).shown());
                        let taken = |answer: &String| !answer.contains("Exceeded MaxStartups");
                        answers.find(taken).unwrap_or_default()
                    };
                    let (theirs, ours) = (control.address(), ours.address);
                    (
                        name,
                        scope.spawn(move || ask(theirs)),
                        scope.spawn(move || ask(ours)),
                    )
                })
                .collect();
            for (name, theirs, ours) in asked {
                let (theirs, ours) = (theirs.join().unwrap(), ours.join().unwrap());
                if theirs != ours {
                    differences.push(format!("--- {name}\nsshd: {theirs:?}\nours: {ours:?}"));
                }
            }
        });
    }
    println!(
        "{} conversations, {} answered differently",
        all.len(),
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What a client of `server` got after it had signed in, each kind of message once: sshd and its command race each other.
fn received(server: SocketAddr, how: &[&str], command: &[&str], input: &[u8]) -> BTreeSet<String> {
    let mut child = Command::new("sshpass")
        .args([
            "-p",
            "any",
            "ssh",
            "-vvv",
            "-F",
            "/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
        ])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none"])
        .args(how)
        .args(["-p", &server.port().to_string(), "root@127.0.0.1"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    // With nothing said its input stays open until the command has ended.
    let open = input.is_empty().then_some(stdin);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    drop(open);
    let _status = child.wait().unwrap();
    let (_, after) = told
        .split_once("Authenticated to ")
        .unwrap_or_else(|| panic!("{told}"));
    let wanted = [
        "receive packet",
        " rtype ",
        "open confirm",
        "rcvd adjust",
        "Exit status",
    ];
    after
        .lines()
        .filter(|line| wanted.iter().any(|words| line.contains(words)))
        // sshd tells who comes with a key what the key may do.
        .filter(|line| !line.ends_with("receive packet: type 4"))
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn a_session_goes_as_with_openssh() {
    let Some(control) = control() else {
        return;
    };
    let ours = ours_with(&identification(control.address()), "always");
    let owner = control.folder().join("owner");
    let with_key = ["-i", owner.to_str().unwrap(), "-o", "IdentitiesOnly=yes"];
    let with_password = ["-o", "PubkeyAuthentication=no"];
    let sessions: [(&str, &[&str], &[u8]); 6] = [
        ("its input ended", &["cat; exit 3"], b"words\n"),
        ("its input open", &["echo done"], b""),
        ("words on both streams", &["echo out; echo err >&2"], b""),
        ("a terminal", &["-tt", "echo done"], b""),
        ("no such command", &["no-such-command-9"], b""),
        ("a shell without a terminal", &["-T"], b"echo done\nfalse\n"),
    ];
    for (name, command, input) in sessions {
        let theirs = received(control.address(), &with_key, command, input);
        let mine = received(ours.address, &with_password, command, input);
        assert!(theirs.len() > 8, "{name}: {theirs:?}");
        assert_eq!(mine, theirs, "{name}");
    }
}

/// What a client says of a session with `server`, line by line, without what is different every time.
fn transcript(server: SocketAddr, user: &str, options: &[&str], keys: &[PathBuf]) -> Vec<String> {
    let mut ssh = Command::new("sshpass");
    ssh.args([
        "-p",
        "wrong",
        "ssh",
        "-v",
        "-F",
        "/dev/null",
        "-p",
        &server.port().to_string(),
    ]);
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "NumberOfPasswordPrompts=1",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
    ]
    .iter()
    .chain(options)
    {
        ssh.args(["-o", option]);
    }
    for key in keys {
        ssh.arg("-i").arg(key);
    }
    let out = ssh
        .args([&format!("{user}@127.0.0.1"), "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stderr).replace(&server.port().to_string(), "PORT");
    told.lines()
        .map(|line| line.split(" SHA256:").next().unwrap().trim_end().to_owned())
        .collect()
}

#[test]
fn a_client_sees_the_same_refusals_as_from_openssh() {
    let Some(control) = control() else {
        return;
    };
    let ours = ours(&identification(control.address()));
    let keys: Vec<PathBuf> = (0..7)
        .map(|n| control.folder().join(format!("user{n}")))
        .collect();
    keys.iter().for_each(|file| keygen("ed25519", file));

    let none = ["PreferredAuthentications=none", "BatchMode=yes"];
    let sessions: [(&str, &str, &[&str], &[PathBuf]); 8] = [
        ("none", "root", &none, &[]),
        ("none, nobody's name", "nobody9", &none, &[]),
        ("a wrong password", "root", &["PubkeyAuthentication=no"], &[]),
        ("nobody's password", "nobody9", &["PubkeyAuthentication=no"], &[]),
        ("a locked account", "daemon", &["PubkeyAuthentication=no"], &[]),
        (
            "keyboard-interactive",
            "root",
            &["PreferredAuthentications=keyboard-interactive"],
            &[],
        ),
        ("a key and a password", "root", &[], &keys[..1]),
        (
            "more keys than tries",
            "root",
            &["PreferredAuthentications=publickey"],
            &keys,
        ),
    ];
    let mut seen = 0;
    for (name, user, options, keys) in sessions {
        let began = Instant::now();
        let theirs = transcript(control.address(), user, options, keys);
        let between = Instant::now();
        let mine = transcript(ours.address, user, options, keys);
        println!(
            "{name:22} | sshd {:5.2} s | ours {:5.2} s",
            (between - began).as_secs_f64(),
            between.elapsed().as_secs_f64()
        );
        assert!(theirs.len() > 20, "{name}: {theirs:#?}");
        seen += theirs
            .iter()
            .filter(|line| line.contains("Permission denied"))
            .count();
        assert_eq!(theirs, mine, "{name}");
    }
    assert_eq!(
        seen, 7,
        "every session but the one that sshd ends is refused by it"
    );
}
