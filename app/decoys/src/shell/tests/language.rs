//! How commands reach the language: here-documents at a prompt, and commands that come through standard input.

use super::*;

/// A shell of root's without a terminal; `input` is its standard input, in the pieces in which it comes.
fn without_terminal(input: &[&str]) -> (Shell, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    seen.lock().unwrap().input = input.iter().map(|s| s.as_bytes().to_vec()).collect();
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let shell = template().shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    (shell, seen)
}

/// What is printed and which commands are reported where `ssh host COMMAND` (or no command) reads `input`.
fn piped(command: Option<&str>, input: &[&str]) -> (String, String, Vec<String>) {
    let (mut shell, seen) = without_terminal(input);
    match command {
        Some(command) => {
            shell.env.arg0 = "bash".to_owned();
            shell.env.from_argument = true;
            now_or_never(shell.run_line(command.as_bytes()));
        }
        None => now_or_never(shell.login_stream()),
    }
    let seen = seen.lock().unwrap();
    let reports = seen
        .reports
        .iter()
        .filter_map(|r| r.strip_prefix("command ")?.strip_suffix(" as root in /root"))
        .map(str::to_owned)
        .collect();
    (
        String::from_utf8_lossy(&seen.out).into_owned(),
        String::from_utf8_lossy(&seen.err).into_owned(),
        reports,
    )
}

#[test]
fn a_here_document_at_a_prompt_asks_for_its_body_and_recalls_nothing_in_it() {
    let lines = [
        "cat > /tmp/e.sh <<EOF",
        "#!/bin/sh",
        "",
        "echo hello $((1+1))",
        "EOF",
        "sh /tmp/e.sh; wc -l < /tmp/e.sh",
        "if true; then cat <<-'A' <<B",
        "\tfirst",
        "\tA",
        "!! $x",
        "B",
        "fi",
        "exit",
    ];
    let (shown, _) = dialogue("root", "x", &lines, &[]);
    let host = of_distro(Distro::Debian12, 7).machine.hostname.clone();
    let prompt = format!("root@{host}:~# ");
    let expected = format!(
        "{prompt}{}\n> {}\n> \n> {}\n> EOF\n{prompt}{}\nhello 2\n3\n{prompt}{}\n> \tfirst\n> \tA\n> !! $x\n> B\n> fi\n!! \n{prompt}exit\nlogout\n",
        lines[0], lines[1], lines[3], lines[5], lines[6]
    );
    assert_eq!(shown, expected);
}

#[test]
fn only_the_end_of_input_ends_a_here_document_without_its_delimiter() {
    let (shown, _) = dialogue("root", "x", &["cat <<EOF", "one"], &[]);
    assert!(
        shown.contains("> one\n> -bash: warning: here-document at line 1 delimited by end-of-file (wanted `EOF')\none\nroot@"),
        "{shown}"
    );
    assert_eq!(
        run("echo a\ncat <<A <<B\nx"),
        (
            "a\n".to_owned(),
            "bash: line 3: warning: here-document at line 2 delimited by end-of-file (wanted `A')\nbash: line 3: warning: here-document at line 3 delimited by end-of-file (wanted `B')\n".to_owned(),
            0
        )
    );
}

#[test]
fn a_login_without_a_terminal_runs_whole_commands_however_they_come_in_pieces() {
    let (out, err, reports) = piped(
        None,
        &[
            "cat > /tmp/e.sh <<EO",
            "F\necho hello\nEOF\nsh /tm",
            "p/e.sh\nif true\nthen echo yes\nfi\nread x\nle",
            "ft\necho $x; nosuch",
        ],
    );
    assert_eq!(out, "hello\nyes\nleft\n");
    assert_eq!(err, "-bash: line 9: nosuch: command not found\n");
    assert_eq!(
        reports,
        [
            "cat > /tmp/e.sh <<EOF\necho hello\nEOF",
            "sh /tmp/e.sh",
            "if true\nthen echo yes\nfi",
            "read x",
            "echo $x; nosuch"
        ]
    );
}

#[test]
fn each_command_that_a_shell_reads_from_its_input_is_reported() {
    let script = "uname\nfor i in 1 2\ndo echo $i\ndone\n\ncat /nowhere\nexit 3\nnever\n";
    let commands = [
        "uname",
        "for i in 1 2\ndo echo $i\ndone",
        "cat /nowhere",
        "exit 3",
    ];
    let encoded = "aWQgLXUKd2hvYW1pCg==";
    for (command, input, wanted) in [
        ("bash -s a b", script, &commands[..]),
        ("cat | sh", script, &commands[..]),
        ("sudo bash", script, &commands[..]),
        ("bash <<E\nid -u\nwhoami\nE", "", &["id -u", "whoami"][..]),
        (
            &format!("echo {encoded} | base64 -d | bash"),
            "",
            &["id -u", "whoami"][..],
        ),
    ] {
        let (_, _, reports) = piped(Some(command), &[input]);
        assert_eq!(reports, wanted, "{command}");
    }
    let (out, err, _) = piped(
        Some("bash -s a b; echo $?"),
        &["echo $2 $#\n", "(exit 4)\n", "foo\nexit 5\n"],
    );
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("b 2\n5\n", "bash: line 3: foo: command not found\n")
    );
}

#[test]
fn scripts_out_of_pipes_report_no_more_than_a_line_may() {
    let (_, _, reports) = piped(
        Some("for i in {1..100}; do seq -f : 100 | sh; printf ':\\n%.0s' {1..100} | sh; done"),
        &[],
    );
    assert_eq!(reports.len(), 1_000);
}

#[test]
fn a_long_script_is_read_in_time() {
    let body = "0123456789abcdef\n".repeat(20_000);
    let (out, ..) = piped(None, &["cat > /tmp/f <<E\n", &body, "E\nwc -c < /tmp/f\n"]);
    assert_eq!(out, "340000\n");
    let unfinished = format!("if true\nthen\n{}", ":\n".repeat(100_000));
    let (_, err, _) = piped(None, &[&unfinished]);
    assert_eq!(err, "-bash: line 100003: syntax error: unexpected end of file\n");
}

#[test]
fn what_is_too_long_to_be_kept_is_counted_and_not_cut() {
    for (script, out) in [
        ("yes | head -c 300000000 | wc -c", "300000000\n"),
        ("yes | head -n 100000000 | wc", "100000000 100000000 200000000\n"),
        ("seq 1 100000000 | tail -1", "100000000\n"),
        ("seq 100000000 | tail -n 2", "99999999\n100000000\n"),
        ("seq 1 100000000 | wc -l", "100000000\n"),
        ("head -c 3G /dev/zero | tail -c +3221225470 | wc -c", "3\n"),
        ("head -c 2000000000 < /dev/zero | wc -c", "2000000000\n"),
        ("cat /dev/urandom | head -c 70000000 | wc -c", "70000000\n"),
        (
            "dd if=/dev/zero bs=1M count=500 2>/dev/null | wc -c",
            "524288000\n",
        ),
        ("tr -dc a-z </dev/urandom | head -c 12 | wc -c", "12\n"),
        ("yes no | head -2; yes | (read a; echo $a)", "no\nno\ny\n"),
        (
            "x=$(seq 300000 | wc -c); seq 200001 | sort -n | tail -1; echo $x",
            "200001\n1988895\n",
        ),
        (
            "head -c 20000000 /dev/zero > /tmp/z; echo $?; wc -c < /tmp/z",
            "1\n8388608\n",
        ),
    ] {
        assert_eq!(run(script).0, out, "{script}");
    }
    let (_, err, _) = run("head -c 20000000 /dev/zero > /tmp/z");
    assert_eq!(
        err,
        "head: error writing 'standard output': No space left on device\n"
    );
}

#[test]
fn dd_writes_what_it_says_until_the_disk_is_full() {
    let (out, err, _) = run("dd if=/dev/zero of=/tmp/z bs=1M count=3; wc -c < /tmp/z");
    assert_eq!(out, "3145728\n");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[..2], ["3+0 records in", "3+0 records out"]);
    assert!(
        lines[2].starts_with("3145728 bytes (3.1 MB, 3.0 MiB) copied, 0.00"),
        "{err}"
    );
    let (out, err, status) =
        run("dd if=/dev/zero of=/tmp/z bs=1M count=100 status=noxfer; ls -l /tmp/z | cut -d' ' -f5; false");
    assert_eq!((out.as_str(), status), ("8388608\n", 1));
    assert_eq!(
        err,
        "dd: error writing '/tmp/z': No space left on device\n9+0 records in\n8+0 records out\n"
    );
    let (_, err, _) = run("dd if=/dev/zero of=/dev/null bs=1M count=100");
    let words: Vec<&str> = err.lines().last().unwrap().split(' ').collect();
    assert_eq!(
        words[..8],
        [
            "104857600",
            "bytes",
            "(105",
            "MB,",
            "100",
            "MiB)",
            "copied,",
            words[7]
        ]
    );
    // The rate is that of the bytes and the seconds.
    let (seconds, rate): (f64, f64) = (words[7].parse().unwrap(), words[9].parse().unwrap());
    assert!((104_857_600.0 / seconds / 1e9 - rate).abs() < 0.1, "{err}");
}

#[test]
fn what_tar_packs_it_unpacks() {
    let long = format!("d/{0}/{0}/{0}/", "n".repeat(45));
    let script = format!(
        "cd /tmp; mkdir -p t/sub {long}; echo one > t/f1; echo two > t/sub/f2; ln -s f1 t/l; echo deep > {long}f; chmod 600 t/f1
tar czf a.tgz t {long}f; tar cf - t | tar tf -; rm -rf t d
tar xzf a.tgz; cat t/f1 t/sub/f2 t/l {long}f; ls -l t/f1 | cut -c1-10; readlink t/l
mkdir o; tar -cf b.tar -C t f1; tar xf b.tar -C o; cat o/f1; wc -c < b.tar; tar cf c.tar nowhere; echo $?"
    );
    let (out, err, _) = run(&script);
    assert_eq!(
        out,
        "t/\nt/f1\nt/l\nt/sub/\nt/sub/f2\none\ntwo\none\ndeep\n-rw-------\nf1\none\n10240\n2\n"
    );
    assert_eq!(
        err,
        "tar: nowhere: Cannot stat: No such file or directory\ntar: Exiting with failure status due to previous errors\n"
    );
    // The archive is one for the real tar, too.
    let (.., seen) = run_as(
        "root",
        "cd /tmp; mkdir t; echo one > t/f1; tar cf a.tar t; cat a.tar",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    std::fs::write(&file, &seen.lock().unwrap().out).unwrap();
    let listed = std::process::Command::new("tar").arg("tf").arg(&file).output();
    match listed {
        Ok(listed) => assert_eq!(String::from_utf8_lossy(&listed.stdout), "t/\nt/f1\n"),
        Err(fault) => decnet_testkit::skipped(&format!("no tar on this machine to compare with: {fault}")),
    }
}

#[test]
fn a_password_that_is_set_is_no_attempt_to_sign_in() {
    let (_, err, status, seen) = run_as("root", "printf 'root:x\\nsys\\n' | chpasswd");
    assert_eq!(seen.lock().unwrap().reports, [""; 0]);
    assert_eq!(
        (err.as_str(), status),
        (
            "chpasswd: line 2: missing new password\nchpasswd: error detected, changes ignored\n",
            1
        )
    );
}
