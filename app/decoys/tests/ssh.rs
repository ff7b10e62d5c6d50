//! SSH against the clients that intruders use: OpenSSH's ssh, scp and sftp, driven with a guessed password. Where a
//! client is missing on the machine the test says so and proves less.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    io::{Read as _, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use decnet_decoys::{
    config::DeckyConfig,
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Lab {
    runtime: tokio::runtime::Runtime,
    decky: Decky,
    config: DeckyConfig,
    address: SocketAddr,
    lines: Lines,
    folder: tempfile::TempDir,
}

fn lab() -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let config: DeckyConfig = serde_json::from_value(serde_json::json!({
        "name": "decky-ssh",
        "persona": {"seed": "ssh-test-seed", "archetype": "linux-server", "distro": "debian12"},
        "services": [{"slug": "ssh", "knobs": {"accept": "after_2", "refusal_ms": 1}, "listen": ["127.0.0.1:0"]}],
        "artifacts": folder.path().join("artifacts"),
        "transcripts": folder.path().join("transcripts"),
    }))
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lines = Lines::default();
    let decky = {
        let _inside = runtime.enter();
        Decky::start(
            config.clone(),
            Arc::new(Sink::to(lines.clone())),
            Arc::new(SystemClock),
        )
        .unwrap()
    };
    let address = decky.listening()[0].1;
    Lab {
        runtime,
        decky,
        config,
        address,
        lines,
        folder,
    }
}

impl Lab {
    fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// Wait until a line holds all of `words`.
    fn told(&self, words: &[&str]) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if self
                .text()
                .lines()
                .any(|line| words.iter().all(|w| line.contains(w)))
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no line has {words:?}:\n{}", self.text());
    }

    fn client(&self, program: &str, password: &str) -> Command {
        let mut command = Command::new("sshpass");
        command.args(["-p", password, program]).args([
            "-F",
            "/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "NumberOfPasswordPrompts=1",
            "-o",
            "ConnectTimeout=60",
        ]);
        command.args([
            if program == "ssh" { "-p" } else { "-P" },
            &self.address.port().to_string(),
        ]);
        command.stdin(Stdio::null());
        command
    }

    fn ssh(&self, args: &[&str], input: &[u8]) -> (String, String, i32) {
        let mut child = self
            .client("ssh", "letmein9")
            .arg("root@127.0.0.1")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let out = child.wait_with_output().unwrap();
        (
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
            out.status.code().unwrap_or(-1),
        )
    }
}

fn installed(programs: &[&str]) -> bool {
    for program in programs {
        if !["/usr/bin", "/bin", "/usr/local/bin"]
            .iter()
            .any(|d| Path::new(d).join(program).exists())
        {
            decnet_testkit::skipped(&format!("{program} is not installed"));
            return false;
        }
    }
    true
}

fn guess_until_in(lab: &Lab) {
    let out = lab
        .client("ssh", "wrong-one")
        .args(["root@127.0.0.1", "true"])
        .output()
        .unwrap();
    assert!(!out.status.success(), "the first guess gets in");
    assert!(lab.told(&["auth_attempt", "wrong-one", "refused"]));
}

#[test]
fn a_guessed_password_opens_a_machine_that_real_clients_can_use() {
    if !installed(&["ssh", "sshpass", "scp", "sftp"]) {
        return;
    }
    let lab = lab();
    guess_until_in(&lab);

    let (out, err, status) = lab.ssh(&["echo out; echo err >&2; exit 7"], b"");
    assert_eq!((out.as_str(), err.as_str(), status), ("out\n", "err\n", 7));
    assert!(lab.told(&["auth_attempt", "letmein9", "accepted"]));
    assert!(lab.told(&["command", "echo out; echo err", "user=\"root\""]));
    assert!(lab.told(&["client_fingerprint", "hassh"]));
    assert!(lab.told(&["client_info", "SSH-2.0-OpenSSH"]));
    assert!(lab.told(&["session_recorded", "sessions-"]));

    let (out, _, status) = lab.ssh(&["cat > /tmp/up && cat /tmp/up && wc -c < /tmp/up"], b"payload\n");
    assert_eq!((out.as_str(), status), ("payload\n8\n", 0));
    assert!(lab.told(&["file_captured", "/tmp/up"]));

    let (out, _, status) = lab.ssh(&["-T"], b"id -u\necho done\nexit 3\n");
    assert_eq!((out.as_str(), status), ("0\ndone\n", 3));

    let (out, _, status) = lab.ssh(&["-tt"], b"echo term $((40+2))\nexit\n");
    assert!(
        out.contains("term 42\r\n") && out.contains("Last login") && out.contains(":~# "),
        "{out:?}"
    );
    assert_eq!(status, 0);

    let local = lab.folder.path().join("local.bin");
    std::fs::write(&local, b"\x7fELF scp payload").unwrap();
    for old in [true, false] {
        let mut scp = lab.client("scp", "letmein9");
        if old {
            scp.arg("-O");
        }
        let out = scp
            .arg(&local)
            .arg("root@127.0.0.1:/tmp/dropped")
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "scp -O {old}: {}\n{}",
            String::from_utf8_lossy(&out.stderr),
            lab.text()
        );
    }
    assert!(lab.told(&["file_captured", "/tmp/dropped", "via=\"scp\""]));
    assert!(lab.told(&["file_captured", "/tmp/dropped", "via=\"sftp\""]));

    for old in [true, false] {
        let mut scp = lab.client("scp", "letmein9");
        if old {
            scp.arg("-O");
        }
        let fetched = lab.folder.path().join("passwd");
        let out = scp
            .arg("root@127.0.0.1:/etc/passwd")
            .arg(&fetched)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "scp -O {old}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert!(
            std::fs::read_to_string(&fetched)
                .unwrap()
                .starts_with("root:x:0:0:")
        );
        std::fs::remove_file(&fetched).unwrap();
    }
    assert!(lab.told(&["download", "/etc/passwd"]));

    let batch = lab.folder.path().join("batch");
    std::fs::write(&batch, format!("mkdir /tmp/d\ncd /tmp/d\nput {}\nrename local.bin renamed\nls -l\nrm renamed\ncd ..\nrmdir d\npwd\n", local.display())).unwrap();
    let out = lab
        .client("sftp", "letmein9")
        .arg("root@127.0.0.1")
        .stdin(std::fs::File::open(&batch).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(
        text.contains("renamed") && text.contains("Remote working directory: /tmp"),
        "{text}"
    );
    assert!(lab.told(&["file_captured", "/tmp/d/local.bin"]));

    let artifacts: Vec<_> = std::fs::read_dir(lab.folder.path().join("artifacts"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    assert!(artifacts.iter().any(|n| n.ends_with("_dropped")), "{artifacts:?}");
    let shard = std::fs::read_dir(lab.folder.path().join("transcripts"))
        .unwrap()
        .flatten()
        .next()
        .unwrap();
    let recording = std::fs::read_to_string(shard.path()).unwrap();
    for line in recording.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["sid"].is_string(), "{line}");
    }
    assert!(
        recording.contains("\"ch\":\"i\"") && recording.contains("term 42"),
        "{recording}"
    );
}

#[test]
fn forwarding_is_refused_and_reported() {
    if !installed(&["ssh", "sshpass"]) {
        return;
    }
    let lab = lab();
    guess_until_in(&lab);
    let out = lab
        .client("ssh", "letmein9")
        .args(["-W", "192.0.2.1:25", "root@127.0.0.1"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(lab.told(&["forward_refused", "direct-tcpip", "192.0.2.1:25"]));
}

#[test]
fn garbage_gets_what_openssh_answers() {
    let lab = lab();
    for (bytes, answer) in [
        (
            &b"SSH-1337-OpenSSH_9.0\r\n"[..],
            "Invalid SSH identification string.\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "Invalid SSH identification string.\r\n",
        ),
        (b"\r\r\r\r\r\r\r\r\n", "Invalid SSH identification string.\r\n"),
        (b"SSH-1.5-x\r\n", "Protocol major versions differ.\r\n"),
    ] {
        let mut stream = TcpStream::connect(lab.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        let (banner, rest) = got.split_once("\r\n").unwrap();
        assert!(banner.starts_with("SSH-2.0-OpenSSH_"), "{got:?}");
        assert_eq!(rest, answer, "{bytes:?}");
    }
}

#[test]
fn what_a_visitor_leaves_is_there_on_its_next_visit_and_long_files_are_captured_whole() {
    if !installed(&["ssh", "sshpass", "scp"]) {
        return;
    }
    let lab = lab();
    guess_until_in(&lab);
    let scp = |old: bool, from: &Path, to: &str| {
        let mut scp = lab.client("scp", "letmein9");
        if old {
            scp.arg("-O");
        }
        let out = scp
            .arg(from)
            .arg(format!("root@127.0.0.1:{to}"))
            .output()
            .unwrap();
        let (told, seen) = (String::from_utf8_lossy(&out.stderr).into_owned(), lab.text());
        assert!(out.status.success(), "scp -O {old}: {told}\n{seen}");
    };
    let script = lab.folder.path().join("x.sh");
    std::fs::write(&script, "#!/bin/sh\necho ran $((6*7)) as $(whoami)\n").unwrap();
    let long = lab.folder.path().join("miner");
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&long, &content).unwrap();
    for old in [true, false] {
        let name = if old { "/tmp/old" } else { "/tmp/new" };
        scp(old, &script, &format!("{name}.sh"));
        let (out, err, status) = lab.ssh(&[&format!("chmod +x {name}.sh && {name}.sh")], b"");
        assert_eq!(
            (out.as_str(), err.as_str(), status),
            ("ran 42 as root\n", "", 0),
            "{}",
            lab.text()
        );

        scp(old, &long, name);
        let size = content.len().to_string();
        let (out, ..) = lab.ssh(&[&format!("ls -l {name}; sha256sum {name}")], b"");
        let told: Vec<&str> = out.split_whitespace().skip(4).collect();
        assert_eq!(told[0], size, "{out}");
        let line = lab
            .text()
            .lines()
            .find(|l| l.contains("file_captured") && l.contains(&format!("\"{name}\"")))
            .unwrap()
            .to_owned();
        assert!(
            line.contains(told[5])
                && line.contains(&format!("size=\"{size}\""))
                && !line.contains("truncated=\"true\""),
            "{line}\n{out}"
        );
    }
    let (_, _, status) = lab.ssh(&["-tt"], b"cd /var/tmp\necho first visit\nexit\n");
    assert_eq!(status, 0);
    let (out, ..) = lab.ssh(&["pwd; tail -n 3 ~/.bash_history; ls -l ~/.bash_history"], b"");
    assert!(
        out.starts_with("/root\ncd /var/tmp\necho first visit\nexit\n-rw-------"),
        "{out}"
    );
}

#[test]
fn a_changed_window_reaches_the_shell_and_the_recording() {
    if !installed(&["ssh", "sshpass", "script", "stty"]) {
        return;
    }
    let lab = lab();
    guess_until_in(&lab);
    let ask = lab.folder.path().join("ask");
    std::fs::write(&ask, "#!/bin/sh\necho letmein9\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&ask, mode).unwrap();
    let command = format!(
        "stty cols 91 rows 33; (sleep 3; stty cols 77 rows 22 </dev/tty) & exec ssh -F /dev/null -tt -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o PubkeyAuthentication=no -p {} root@127.0.0.1",
        lab.address.port()
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("SSH_ASKPASS", &ask)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("TERM", "vt100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    assert!(lab.told(&["session_started"]));
    keys.write_all(b"stty size\n").unwrap();
    let shards = lab.folder.path().join("transcripts");
    let recorded = |what: &str| {
        // The folder is made with the first recording.
        std::fs::read_dir(&shards)
            .into_iter()
            .flatten()
            .flatten()
            .any(|shard| std::fs::read_to_string(shard.path()).unwrap().contains(what))
    };
    let end = Instant::now() + Duration::from_secs(30);
    while !recorded("\"ch\":\"r\",\"d\":\"77x22\"") {
        assert!(Instant::now() < end, "no change of the window was recorded");
        std::thread::sleep(Duration::from_millis(50));
    }
    keys.write_all(b"stty size; echo [$COLUMNS-$LINES]\nexit\n")
        .unwrap();
    let out = child.wait_with_output().unwrap();
    drop(keys);
    let shown = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(shown.contains("33 91") && shown.contains("22 77"), "{shown}");
    assert!(shown.contains("[77-22]"), "{shown}");
}

#[test]
fn what_the_machine_runs_follows_a_live_reconfiguration() {
    if !installed(&["ssh", "sshpass"]) {
        return;
    }
    let mut lab = lab();
    guess_until_in(&lab);
    // The persona of these tests serves files with ProFTPD.
    let ask = ["ss -ltn; netstat -ltn; ps aux; systemctl is-active proftpd"];
    let (before, ..) = lab.ssh(&ask, b"");
    assert!(
        before.contains(":22 ") && !before.contains(":21 ") && !before.contains("proftpd:"),
        "{before}"
    );
    let mut config = lab.config.clone();
    let added = serde_json::json!({"slug": "ftp", "listen": ["127.0.0.1:0"]});
    config.services.push(serde_json::from_value(added).unwrap());
    {
        let _inside = lab.runtime.enter();
        lab.decky.apply(config).unwrap();
    }
    let (during, ..) = lab.ssh(&ask, b"");
    assert!(
        during.contains(":21 ") && during.contains("proftpd:") && during.ends_with("\nactive\n"),
        "{during}"
    );
    let back = lab.config.clone();
    {
        let _inside = lab.runtime.enter();
        lab.decky.apply(back).unwrap();
    }
    let (after, ..) = lab.ssh(&ask, b"");
    assert!(!after.contains(":21 ") && !after.contains("proftpd:"), "{after}");
}
