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
