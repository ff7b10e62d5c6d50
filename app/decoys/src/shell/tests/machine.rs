//! Who the machine is: what its parts say of it, held against each other and against other machines.

use super::*;

/// What root is answered on the machine of `template`.
pub(super) fn ask(template: &Template, script: &str) -> String {
    let seen = Arc::new(Mutex::new(Seen::default()));
    seen.lock().unwrap().now = template.machine.boot_time + 2_451_907;
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    now_or_never(shell.run_line(script.as_bytes()));
    let seen = seen.lock().unwrap();
    assert!(
        seen.err.is_empty(),
        "{script}: {}",
        String::from_utf8_lossy(&seen.err)
    );
    String::from_utf8(seen.out.clone()).unwrap()
}

#[test]
fn the_last_login_is_an_administrators_until_somebody_signed_in() {
    let persona = Persona::derive(&PersonaSpec::new(Seed::from_bytes([7; 16]), "linux-server")).unwrap();
    let first = Template::new(&persona, Arc::default());
    let machine = &first.machine;
    let now = machine.boot_time + 5_000_000;
    let before = machine.login("root", "192.0.2.7", now).unwrap();
    assert!(
        before.at < machine.boot_time && before.from.starts_with(&persona.lan()),
        "{before:?}"
    );
    let again = machine.login("root", "192.0.2.8", now + 60).unwrap();
    assert_eq!((again.at, again.from.as_str()), (now, "192.0.2.7"));
    assert_eq!(machine.login("nobody-known", "192.0.2.8", now), None);
    // A restart asked at another time from elsewhere tells the same.
    let second = Template::new(&persona, Arc::default());
    assert_eq!(
        second.machine.login("root", "192.0.2.9", now + 999_999),
        Some(before)
    );
}

/// The machine of `archetype` on `distro` that offers these.
pub(super) fn serving(distro: Distro, archetype: &str, seed: u8, services: &[&str]) -> (Persona, Template) {
    let mut spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), archetype);
    spec.distro = Some(distro);
    let persona = Persona::derive(&spec).unwrap();
    let offered = Arc::new(crate::serve::Services::default());
    offered.set(services.iter().copied(), None);
    let template = Template::new(&persona, offered);
    (persona, template)
}

#[test]
fn what_runs_is_what_the_ports_say_of_themselves() {
    use decnet_persona::ProductKind;
    for (distro, user) in [
        (Distro::Debian12, "www-data"),
        (Distro::Ubuntu22, "www-data"),
        (Distro::Rocky9, "apache"),
        (Distro::Fedora, "apache"),
        (Distro::Arch, "http"),
    ] {
        let mut servers = std::collections::BTreeSet::new();
        for seed in 0..12 {
            let (persona, template) = serving(distro, "linux-server", seed, &["ssh", "http", "mysql"]);
            let web = persona.product(ProductKind::Web).name;
            servers.insert(web);
            let shown = ask(
                &template,
                "ps aux; ss -ltnp; systemctl list-units; cat /etc/passwd",
            )
            .to_lowercase();
            let (is, is_not) = match (web, user) {
                ("nginx", _) => ("nginx", &["apache2", "httpd"][..]),
                (_, "www-data") => ("apache2", &["nginx", "httpd"][..]),
                _ => ("httpd", &["nginx:", "apache2"][..]),
            };
            assert!(
                shown.contains(&format!("(\"{is}\",pid=")),
                "{distro} {web}:\n{shown}"
            );
            assert!(
                shown.contains(&format!("{is}.service")),
                "{distro} {web}:\n{shown}"
            );
            for other in is_not {
                assert!(!shown.contains(other), "{distro} {web} shows {other}:\n{shown}");
            }
            let worker = if web == "nginx" && user == "apache" {
                "nginx"
            } else {
                user
            };
            assert!(
                shown.lines().any(|l| l.starts_with(worker) && l.contains(is)),
                "{distro} {web}: no process of {worker}:\n{shown}"
            );
            let sql = if persona.sql_product().name == "MySQL" {
                "mysqld"
            } else {
                "mariadbd"
            };
            assert!(
                shown.contains(&format!("(\"{sql}\",pid=")),
                "{distro} {sql}:\n{shown}"
            );
        }
        assert!(!servers.is_empty());
    }
}

#[test]
fn rocky_and_fedora_have_no_accounts_units_or_habits_of_debian() {
    for distro in [Distro::Rocky9, Distro::Fedora] {
        let (_, template) = serving(distro, "web-server", 3, &["ssh", "http"]);
        let shown = ask(
            &template,
            "cat /etc/passwd /etc/shadow /etc/group /etc/crontab /etc/fstab /root/.bash_history; systemctl list-units; ps aux",
        );
        for word in [
            "www-data",
            "_apt",
            "irc:",
            "nogroup",
            "ssh.service",
            "cron.service",
            "apt",
            "errors=remount-ro",
            "run-parts",
        ] {
            let line = shown.lines().find(|l| l.contains(word) && !l.contains("capt"));
            assert_eq!(line, None, "{distro} says {word}");
        }
        assert!(
            shown.contains("sshd.service") && shown.contains("crond.service"),
            "{shown}"
        );
        assert!(
            shown.contains("wheel:x:10:") && shown.contains("chrony:x:"),
            "{shown}"
        );
        let there = ask(
            &template,
            "ls -d /etc/sysconfig /etc/yum.repos.d /etc/selinux /usr/sbin/getenforce /lib/modules/$(uname -r)",
        );
        assert_eq!(there.lines().count(), 5, "{there}");
    }
}

#[test]
fn no_name_and_no_number_is_in_passwd_twice() {
    for distro in [
        Distro::Debian12,
        Distro::Ubuntu24,
        Distro::Rocky9,
        Distro::Arch,
        Distro::Alpine,
    ] {
        for archetype in [
            "linux-server",
            "web-server",
            "database-server",
            "file-server",
            "mail-server",
        ] {
            let (_, template) = serving(
                distro,
                archetype,
                5,
                &["ssh", "http", "mysql", "redis", "ftp", "smtp"],
            );
            let shown = ask(
                &template,
                "cut -d: -f1 /etc/passwd | sort | uniq -d; cut -d: -f3 /etc/passwd | sort | uniq -d; cut -d: -f1 /etc/shadow | sort | uniq -d; cut -d: -f1 /etc/group | sort | uniq -d",
            );
            assert_eq!(shown, "", "{distro} {archetype}");
        }
    }
}

#[test]
fn two_machines_share_neither_gateway_nor_programs_nor_history() {
    let (_, one) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let (_, other) = serving(Distro::Debian12, "linux-server", 2, &["ssh"]);
    let (_, rocky) = serving(Distro::Rocky9, "linux-server", 1, &["ssh"]);
    let sums = "md5sum < /bin/ls; md5sum < /usr/bin/ls; ls -l /usr/bin/ls | cut -d\" \" -f5";
    // The same release has the same programs, by either path; another has others.
    let programs = ask(&one, sums);
    let lines: Vec<&str> = programs.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(programs, ask(&other, sums));
    assert_ne!(lines[0], ask(&rocky, sums).lines().next().unwrap());
    for script in ["arp -a | grep -o '..:..:..:..:..:..'", "cat /root/.bash_history"] {
        let [a, b] = [&one, &other].map(|template| ask(template, script));
        assert!(!a.is_empty() && a != b, "{script}: {a}");
    }
    let arp = ask(&one, "arp -a; ip neigh; cat /proc/net/arp");
    assert_eq!(arp.matches(&one.machine.gateway_mac).count(), 3, "{arp}");
}

#[test]
fn what_cannot_be_reached_fails_after_the_machines_own_time_or_the_callers() {
    let failed = |seed: u8, options: &str| {
        let (_, template) = serving(Distro::Debian12, "linux-server", seed, &["ssh"]);
        let text = ask(&template, &format!("curl {options} http://198.51.100.9/x 2>&1"));
        let ms = text
            .split(" after ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap();
        (text, ms)
    };
    let (text, own) = failed(1, "");
    assert!(
        text.ends_with(" ms: Couldn't connect to server\n") && own > 7_000,
        "{text}"
    );
    assert_ne!(own, failed(2, "").1);
    let (text, ms) = failed(1, "-m 2");
    assert!(
        text.contains("Connection timed out after") && (2_000..2_100).contains(&ms),
        "{text}"
    );
    let (text, ms) = failed(1, "--connect-timeout 3");
    assert!(
        text.contains("Timeout was reached") && (3_000..3_100).contains(&ms),
        "{text}"
    );
}

#[test]
fn devices_have_their_numbers_and_directories_their_links() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    let shown = ask(&template, "ls -l /dev");
    for (start, middle, name) in [
        ("crw-rw-rw-", "root root    1, 3 ", "null"),
        ("crw-rw-rw-", "root root    1, 5 ", "zero"),
        ("crw-rw-rw-", "root tty     5, 0 ", "tty"),
        ("brw-rw----", "root disk    8, 0 ", "sda"),
        ("brw-rw----", "root disk    8, 1 ", "sda1"),
    ] {
        let line = shown.lines().find(|l| l.ends_with(&format!(" {name}"))).unwrap();
        let line: Vec<&str> = line.split_whitespace().collect();
        let wanted: Vec<&str> = middle.split_whitespace().collect();
        assert_eq!((line[0], &line[2..6]), (start, &wanted[..]), "{name}");
    }
    assert_eq!(
        ask(
            &template,
            "test -b /dev/sda && test -c /dev/null && ! test -b /dev/null && echo so"
        ),
        "so\n"
    );
    let root = ask(&template, "ls -la /");
    assert!(root.contains(" lost+found"), "{root}");
    for (name, least) in [("usr", 8), ("var", 6), ("etc", 20)] {
        let line = root.lines().find(|l| l.ends_with(&format!(" {name}"))).unwrap();
        let links: u32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(links >= least, "{line}");
    }
    for name in ["proc", "sys"] {
        let line = root.lines().find(|l| l.ends_with(&format!(" {name}"))).unwrap();
        assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
    }
}

#[test]
fn mount_and_df_agree_on_dev_and_the_processor_is_one_that_was_made() {
    for (distro, seed) in [(Distro::Debian12, 1), (Distro::Rocky9, 2), (Distro::Fedora, 3)] {
        let (_, template) = serving(distro, "linux-server", seed, &["ssh"]);
        let size = ask(
            &template,
            "df | awk '$6 == \"/dev\" {print $1 \" on /dev type devtmpfs (rw,nosuid,relatime,size=\" $2 \"k\"}'",
        );
        let mounted = ask(&template, "mount");
        assert!(mounted.contains(size.trim_end()), "{size}{mounted}");
    }
    for seed in 0..24 {
        let (_, template) = serving(Distro::Debian12, "linux-server", seed, &["ssh"]);
        let shown = ask(
            &template,
            "grep -E 'model|family' /proc/cpuinfo | sort -u; lscpu | grep Model:",
        );
        let wanted = match template.machine.cpu {
            cpu if cpu.contains("4214") || cpu.contains("6130") => ("6", "85"),
            cpu if cpu.starts_with("AMD") => ("23", "49"),
            _ => ("6", "79"),
        };
        assert!(
            shown.contains(&format!("cpu family\t: {}\n", wanted.0)),
            "{shown}"
        );
        assert_eq!(
            shown
                .lines()
                .filter(|l| l.starts_with("model\t\t") && l.ends_with(wanted.1))
                .count(),
            1,
            "{shown}"
        );
        assert!(shown.lines().last().unwrap().ends_with(wanted.1), "{shown}");
    }
}

#[test]
fn date_follows_the_locale_and_perl_the_release() {
    let (_, template) = serving(Distro::Ubuntu24, "linux-server", 1, &["ssh"]);
    let american = ask(&template, "date");
    assert!(
        american.contains(" AM UTC ") || american.contains(" PM UTC "),
        "{american}"
    );
    let plain = ask(&template, "export LANG=C.UTF-8; date; date '+%a %b'");
    assert!(!plain.contains("AM") && !plain.contains("PM"), "{plain}");
    assert!(ask(&template, "perl -v").contains("(v5.38.2)"));
    let (_, template) = serving(Distro::Debian12, "linux-server", 1, &["ssh"]);
    assert!(ask(&template, "perl -v; python3 --version").contains("version 36, subversion 0 (v5.36.0)"));
}

/// Both streams and the exit status of what root does on the machine of `template`, in the order of a terminal.
fn shown(template: &Template, script: &str) -> String {
    let seen = Arc::new(Mutex::new(Seen::default()));
    seen.lock().unwrap().now = template.machine.boot_time + 2_451_907;
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    now_or_never(shell.run_line(script.as_bytes()));
    let seen = seen.lock().unwrap();
    format!(
        "{}{} waited {}\n",
        String::from_utf8_lossy(&seen.shown),
        shell.status,
        seen.waited
    )
}

#[test]
fn what_listens_is_reached_at_once_and_what_does_not_refuses() {
    let (_, template) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh", "mysql"]);
    let banner = &template.machine.distribution.release.ssh;
    assert_eq!(shown(&template, "nc -z 127.0.0.1 3306"), "0 waited 0\n");
    assert_eq!(shown(&template, "nc -z 127.0.0.1 3307"), "1 waited 0\n");
    assert_eq!(
        shown(&template, "nc -zv 127.0.0.1 22"),
        "Connection to 127.0.0.1 22 port [tcp/ssh] succeeded!\n0 waited 0\n"
    );
    assert_eq!(
        shown(&template, "exec 3<>/dev/tcp/localhost/22; cat <&3"),
        format!("{banner}\r\n0 waited 0\n")
    );
    assert_eq!(
        shown(&template, "ssh -p 2222 localhost"),
        "ssh: connect to host localhost port 2222: Connection refused\n255 waited 0\n"
    );
    assert_eq!(
        shown(&template, "ssh localhost"),
        "Host key verification failed.\n255 waited 0\n"
    );
    assert!(shown(&template, "curl -s http://127.0.0.1:81/").ends_with("7 waited 0\n"));
}

#[test]
fn versions_are_those_of_the_packages() {
    let (_, template) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh", "mysql", "redis"]);
    assert_eq!(ask(&template, "openssl version"), "OpenSSL 1.1.1f  31 Mar 2020\n");
    assert!(ask(&template, "sudo -V").starts_with("Sudo version 1.8.31\n"));
    assert_eq!(ask(&template, "dmidecode --version"), "3.2\n");
    assert!(ask(&template, "curl --version").starts_with("curl 7.68.0 "));
    assert_eq!(ask(&template, "redis-cli --version"), "redis-cli 5.0.7\n");
    assert!(ask(&template, "ls --version; /bin/ls --version").starts_with("ls (GNU coreutils) 8.30\n"));
    assert!(ask(&template, "systemctl --version").starts_with("systemd 245 (245.4-4ubuntu3.22)\n"));
    let ssh = shown(&template, "ssh -V");
    assert!(
        ssh.starts_with("OpenSSH_8.2p1 Ubuntu-4ubuntu0.") && ssh.contains(", OpenSSL 1.1.1f  31 Mar 2020\n"),
        "{ssh}"
    );
    for distro in [
        Distro::Debian11,
        Distro::Ubuntu22,
        Distro::Ubuntu24,
        Distro::Kali,
        Distro::Rocky9,
        Distro::Fedora,
        Distro::Arch,
        Distro::Alpine,
    ] {
        let (_, template) = serving(distro, "linux-server", 1, &["ssh"]);
        for line in [
            "openssl version",
            "sudo -V",
            "ssh -V",
            "curl -V",
            "ps --version",
            "ip -V",
        ] {
            shown(&template, line);
        }
    }
}

#[test]
fn the_clients_of_databases_are_there_with_their_servers() {
    let (persona, template) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh", "mysql", "redis"]);
    assert_eq!(
        shown(&template, "mysql -uroot"),
        "ERROR 1698 (28000): Access denied for user 'root'@'localhost'\n1 waited 0\n"
    );
    assert!(
        shown(&template, "mysql -uroot -psecret").contains(
            "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)\n"
        )
    );
    assert!(shown(&template, "echo pw | mysql -u bob -p").starts_with("Enter password: ERROR 1045 (28000)"));
    assert_eq!(ask(&template, "redis-cli ping"), "PONG\n");
    let keys = decnet_persona::bait::redis(&persona).len();
    assert_eq!(ask(&template, "redis-cli dbsize"), format!("{keys}\n"));
    assert_eq!(
        ask(
            &template,
            "redis-cli set a b; redis-cli get a; redis-cli del a; redis-cli get a"
        ),
        "OK\nb\n1\n\n"
    );
    let (_, bare) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh"]);
    assert!(shown(&bare, "redis-cli ping").contains("command not found"));
}

#[test]
fn firmware_hypervisor_and_card_agree() {
    for seed in 0..12 {
        let (_, template) = serving(Distro::Debian12, "linux-server", seed, &["ssh"]);
        let platform = template.machine.platform;
        let said = shown(&template, "systemd-detect-virt");
        assert!(
            said.starts_with(&format!(
                "{}\n{}",
                platform.virt,
                u8::from(!platform.is_virtual())
            )),
            "{said}"
        );
        assert_eq!(
            ask(&template, "dmidecode -s system-product-name"),
            ask(&template, "cat /sys/class/dmi/id/product_name")
        );
        let told = ask(&template, "hostnamectl; lscpu; cat /proc/cpuinfo");
        assert_eq!(told.contains("Hypervisor vendor"), platform.is_virtual());
        assert_eq!(told.contains(" hypervisor "), platform.is_virtual());
        assert_eq!(told.contains("Virtualization: "), platform.is_virtual());
        let mac = ask(&template, "cat /sys/class/net/*/address");
        assert!(mac.contains(&template.machine.mac), "{mac}");
    }
}

#[test]
fn accounts_and_attributes_change_when_they_are_changed() {
    let (_, template) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh"]);
    let today = ask(&template, "date +%m/%d/%Y");
    let out = shown(
        &template,
        "useradd -m bob; grep -c '^bob:!:' /etc/shadow; passwd -S bob; echo bob:pw | chpasswd; grep -c '^bob:[$]' /etc/shadow; passwd -S bob; usermod -aG sudo bob; groups bob; passwd -l bob >/dev/null; passwd -S bob; groupadd staff2; usermod -aG staff2 bob; groups bob; getent group staff2 | cut -d: -f4; getent passwd bob | cut -d: -f6; usermod -aG nosuch bob",
    );
    let today = today.trim();
    assert_eq!(
        out,
        format!(
            "1\nbob L {today} 0 99999 7 -1\n1\nbob P {today} 0 99999 7 -1\nbob : bob sudo\nbob L {today} 0 99999 7 -1\nbob : bob sudo staff2\nbob\n/home/bob\nusermod: group 'nosuch' does not exist\n6 waited 0\n"
        )
    );
    assert_eq!(
        shown(
            &template,
            "cd /tmp; echo a > f; chattr +i f; lsattr f; echo b >> f; rm f; chattr -i f; chattr +a f; echo b >> f; echo c > f; cat f; chattr -a f; rm f"
        ),
        "----i---------e------- f\n-bash: line 1: f: Operation not permitted\nrm: cannot remove 'f': Operation not permitted\n-bash: line 1: f: Operation not permitted\na\nb\n0 waited 0\n"
    );
}

#[test]
fn what_is_looked_for_first_is_there() {
    let (_, template) = serving(Distro::Ubuntu20, "linux-server", 3, &["ssh"]);
    assert_eq!(
        ask(&template, "cat /proc/1/comm; ps -p 1 -o comm="),
        "systemd\nsystemd\n"
    );
    assert_eq!(
        ask(&template, "readlink /proc/1/exe"),
        "/usr/lib/systemd/systemd\n"
    );
    assert_eq!(
        ask(&template, "ls /proc/self/fd; ls -d /sbin/init /etc/sudoers.d"),
        "0\n1\n2\n3\n/etc/sudoers.d\n/sbin/init\n"
    );
    assert_eq!(
        ask(
            &template,
            "cd /tmp; cp /bin/ls x; touch y; ./x -d y; rm x y; lsb_release -sc; visudo -c | head -1"
        ),
        "y\nfocal\n/etc/sudoers: parsed OK\n"
    );
    assert!(ask(&template, "ldd /bin/ls").contains("libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6"));
    assert_eq!(ask(&template, "printf '\\351' | iconv -f latin1 -t utf-8"), "é");
    assert_eq!(
        ask(&template, "getent hosts localhost | head -1 | cut -c1-9"),
        "127.0.0.1\n"
    );
}

#[test]
fn proc_has_the_permissions_and_sizes_of_a_real_one() {
    let paths = "/proc /proc/1 /proc/1/comm /proc/1/cmdline /proc/1/cgroup /proc/version /proc/meminfo /proc/cpuinfo /proc/loadavg \
                 /proc/uptime /proc/mounts /proc/filesystems /proc/self /proc/self/ /proc/self/comm /proc/self/cmdline \
                 /proc/self/status /proc/self/environ /proc/self/maps /proc/self/limits /proc/self/cgroup /proc/self/mounts \
                 /proc/self/exe /proc/self/cwd /proc/self/root /proc/self/fd/0 /proc/self/fd/1 /proc/sys /proc/sys/kernel \
                 /proc/sys/kernel/hostname /proc/sys/kernel/ostype /proc/sys/kernel/osrelease /proc/sys/vm/swappiness \
                 /proc/sys/fs/file-max /proc/self/stat /proc/self/statm /proc/self/mountinfo /proc/self/oom_score \
                 /proc/self/oom_score_adj /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/wchan \
                 /proc/self/personality /proc/self/ns /proc/self/ns/pid /proc/self/ns/mnt /proc/1/sched /proc/1/ns";
    let stat = format!(
        "stat -c '%n %A %s %F' {paths}; wc -c < /proc/version > /dev/null; test -s /proc/version || echo empty"
    );
    let real = std::process::Command::new("bash")
        .args(["-c", &stat])
        .stdin(std::process::Stdio::piped())
        .output()
        .unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    assert_eq!(
        real.lines().count(),
        paths.split_whitespace().count() + 1,
        "{real}"
    );
    let (_, template) = serving(Distro::Debian12, "linux-server", 3, &["ssh"]);
    assert_eq!(ask(&template, &stat), real);
    let mode = ask(&template, "stat -c '%A %s' /proc/self/fd /proc/$$/fd");
    assert_eq!(mode, "dr-x------ 0\ndr-x------ 0\n");
}

#[test]
fn what_proc_says_of_a_process_agrees_with_itself_and_with_the_machine() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 3, &["ssh"]);
    let lines = |script: &str| -> Vec<String> { ask(&template, script).lines().map(str::to_owned).collect() };
    // Nothing shows a container: the first process and ours are in the same namespaces.
    let spaces =
        lines("for of in 1 self; do readlink /proc/$of/ns/pid /proc/$of/ns/mnt /proc/$of/ns/cgroup; done");
    assert_eq!(spaces.len(), 6, "{spaces:?}");
    assert_eq!(spaces[..3], spaces[3..]);
    assert_eq!(spaces[0], "pid:[4026531836]");
    assert_eq!(
        ask(&template, "head -1 /proc/1/sched"),
        "systemd (1, #threads: 1)\n"
    );
    assert_eq!(
        lines("grep -E '^Cap(Eff|Bnd)' /proc/self/status | cut -f2"),
        ["000001ffffffffff", "000001ffffffffff"]
    );
    assert_eq!(
        ask(
            &template,
            "awk '{print $2, NF}' /proc/self/stat; awk '{print NF}' /proc/self/statm"
        ),
        "(awk) 52\n7\n"
    );
    let sizes = lines(
        "grep VmRSS /proc/self/status | tr -dc 0-9; echo; cut -d' ' -f24 /proc/self/stat; cut -d' ' -f2 /proc/self/statm",
    );
    let sizes: Vec<u64> = sizes.iter().map(|n| n.parse().unwrap()).collect();
    assert!(sizes[0] == sizes[1] * 4 && sizes[1] == sizes[2], "{sizes:?}");
    assert_eq!(
        ask(&template, "ulimit -u; ulimit -n"),
        ask(
            &template,
            "grep -E '^Max (processes|open files)' /proc/self/limits | tr -s ' ' | sed 's/Max open/Max/' | cut -d' ' -f3"
        )
    );
    assert_eq!(
        lines("cat /proc/mounts").len(),
        lines("cat /proc/self/mountinfo").len()
    );
    let maps = ask(&template, "cat /proc/self/maps");
    for part in [
        " /usr/bin/cat\n",
        "[heap]",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "[stack]",
    ] {
        assert!(maps.contains(part), "{part}: {maps}");
    }
    // What runs has a program, as who looks for somebody else's miner finds it.
    let programs = ask(&template, "readlink /proc/[0-9]*/exe | sort -u");
    assert!(
        programs.contains("/usr/sbin/sshd\n") && programs.contains("/usr/sbin/cron\n"),
        "{programs}"
    );
    // An ordinary account has no rights beyond its own.
    let (user, out) = {
        let user = template
            .machine
            .accounts
            .iter()
            .find(|a| a.uid >= 1_000)
            .unwrap()
            .name
            .clone();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let outside = Box::new(Bench(Arc::clone(&seen)));
        let mut shell = template.shell(&user, "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
        now_or_never(shell.run_line(b"grep CapEff /proc/self/status"));
        let out = String::from_utf8(seen.lock().unwrap().out.clone()).unwrap();
        (user, out)
    };
    assert_eq!(out, "CapEff:\t0000000000000000\n", "{user}");
}

#[test]
fn proc_is_as_old_as_the_machine_and_its_files_as_the_look() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 3, &["ssh"]);
    let boot = template.machine.boot_time;
    let ages = ask(
        &template,
        "stat -c %Y /proc /proc/1 /proc/self /proc/version /proc/self/status; date +%s",
    );
    let times: Vec<i64> = ages.lines().map(|line| line.parse().unwrap()).collect();
    let now = *times.last().unwrap();
    assert_eq!(times, [boot, boot, boot, now, now, now]);
    let listed = ask(&template, "ls -l /proc");
    assert!(listed.starts_with("total 0\n"), "{listed}");
    let (_, owned) = serving(Distro::Debian12, "linux-server", 3, &["ssh", "http", "redis"]);
    let owners = ask(&owned, "stat -c %U /proc/[0-9]* | sort -u");
    assert!(owners.contains("root") && owners.contains("redis"), "{owners}");
}

#[test]
fn who_looks_into_proc_finds_itself_there_with_what_it_has_open() {
    let (_, template) = serving(Distro::Debian12, "linux-server", 3, &["ssh"]);
    let own =
        "cat /proc/self/comm; readlink /proc/self/exe; tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/comm";
    assert_eq!(ask(&template, own), "cat\n/usr/bin/readlink\n-bash bash\n");
    let two = ask(&template, "readlink /proc/self; readlink /proc/self");
    let pids: Vec<u32> = two.lines().map(|line| line.parse().unwrap()).collect();
    assert!(pids[0] < pids[1], "{two}");
    assert_eq!(
        ask(&template, "ls -d /proc/$(readlink /proc/self) 2>&1 | cut -c1-10"),
        "ls: cannot\n"
    );

    // sshd gives three pipes, one made after the other, where there is no terminal.
    let open = ask(
        &template,
        "ls -l /proc/self/fd; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2",
    );
    let inode = |line: &str| -> u32 {
        line.split("pipe:[")
            .nth(1)
            .unwrap()
            .trim_end_matches(']')
            .parse()
            .unwrap()
    };
    let lines: Vec<&str> = open.lines().collect();
    assert_eq!((lines[0], lines.len()), ("total 0", 8));
    for (line, mode) in lines[1..]
        .iter()
        .zip(["lr-x------", "l-wx------", "l-wx------", "lr-x------"])
    {
        assert!(line.starts_with(mode) && line.contains(" 64 "), "{open}");
    }
    assert_eq!(inode(lines[2]), inode(lines[1]) + 1);
    assert_eq!(inode(lines[3]), inode(lines[1]) + 2);
    assert_eq!(inode(lines[5]), inode(lines[1]));
    let redirected = ask(
        &template,
        "cd /tmp; readlink /proc/self/fd/1 > out; cat out; readlink /proc/self/fd/2 2> /dev/null; readlink /proc/self/fd/1 | cut -c1-6",
    );
    assert_eq!(redirected, "/tmp/out\n/dev/null\npipe:[\n");
    let (shown, _) = dialogue(
        "root",
        "x",
        &["readlink /proc/self/fd/0 /proc/self/fd/2; tty", "exit"],
        &[],
    );
    assert!(shown.contains("/dev/pts/0\n/dev/pts/0\n/dev/pts/0\n"), "{shown}");
}
