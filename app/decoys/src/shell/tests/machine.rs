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
    assert!(seen.err.is_empty(), "{script}: {}", String::from_utf8_lossy(&seen.err));
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
    assert_eq!(second.machine.login("root", "192.0.2.9", now + 999_999), Some(before));
}
