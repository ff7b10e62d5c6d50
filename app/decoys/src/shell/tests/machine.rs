//! Who the machine is: what its parts say of it, held against each other and against other machines.

use super::*;

/// What root is answered on the machine of `template`.
fn ask(template: &Template, script: &str) -> String {
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
fn serving(distro: Distro, archetype: &str, seed: u8, services: &[&str]) -> (Persona, Template) {
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
