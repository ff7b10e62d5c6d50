//! Nothing that a visitor could read out of the binary says what it is.
//!
//! A development build is full of paths and names; what counts is the binary that is shipped: stripped, and built with
//! paths remapped. `cargo xtask` builds it and names it in `DECOY_BINARY`; without that the test says so and proves nothing.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

/// Words that give it away, in lower case.
const GIVEAWAYS: [&str; 5] = ["decnet", "honeypot", "honeynet", "decoy", "decky"];

#[test]
fn the_shipped_binary_does_not_say_what_it_is() {
    let Some(path) = std::env::var_os("DECOY_BINARY") else {
        eprintln!("skipped: DECOY_BINARY does not name the binary that is shipped");
        return;
    };
    let bytes = std::fs::read(path).unwrap();
    let strings: Vec<String> = bytes
        .split(|b| !(b' '..=b'~').contains(b))
        .filter(|run| run.len() >= 5)
        .map(|run| String::from_utf8_lossy(run).to_ascii_lowercase())
        .filter(|text| GIVEAWAYS.iter().any(|word| text.contains(word)))
        .collect();
    assert!(
        strings.is_empty(),
        "{} strings:\n{}",
        strings.len(),
        strings.join("\n")
    );
}
