//! The search in log rows: the words of which it is made, and which rows they find.
//!
//! A search is words with all of which a row has to agree: `text`, `"several words"`, or `key:value`, where the key is a column (decky,
//! service, type, ip) or a field. The database is asked for that in SQL, and a page asks [`finds`] of what the stream brings: two ways to
//! put one rule, which the conformance tests of the store hold against each other, search by search.

use std::net::IpAddr;

use crate::view::{AttackerView, LogView};

/// A word of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Stands somewhere in the line.
    Text(String),
    /// Is what stands in a column.
    Column(Column, String),
    /// Is the source address.
    Address(IpAddr),
    /// Stands somewhere in a field of that name.
    Field(String, String),
}

/// A column that a word can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `decky:`
    Decky,
    /// `service:`
    Service,
    /// `type:`, `event:` or `event_type:`
    EventType,
}

/// The words of a search.
#[must_use]
pub fn words(search: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut rest = search.trim_start();
    while !rest.is_empty() {
        let (token, after) = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((quoted, after)) => (Word::Text(quoted.to_owned()), after),
            None => {
                let (token, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (word(token), after)
            }
        };
        if token != Word::Text(String::new()) {
            found.push(token);
        }
        rest = after.trim_start();
    }
    found
}

fn word(token: &str) -> Word {
    let text = || Word::Text(token.to_owned());
    let Some((key, value)) = token.split_once(':') else {
        return text();
    };
    let starts_like_a_key = key.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let is_key = key.len() <= 40
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // `http://…` and `fe80::1` are text.
    if !starts_like_a_key || !is_key || value.is_empty() || value.starts_with("//") || value.starts_with(':')
    {
        return text();
    }
    let column = |column| Word::Column(column, value.to_owned());
    match key {
        "decky" => column(Column::Decky),
        "service" => column(Column::Service),
        "type" | "event" | "event_type" => column(Column::EventType),
        "ip" | "attacker" | "attacker_ip" => value.parse().map_or_else(|_| text(), Word::Address),
        _ => Word::Field(key.to_owned(), value.to_owned()),
    }
}

/// `text` as it stands in a structured-data value (RFC 5424 section 6.3.3).
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether a row is found by a search. Letters beyond ASCII are told from their capitals, as SQLite tells them; MySQL and MariaDB do not.
#[must_use]
pub fn finds(search: &str, row: &LogView) -> bool {
    words(search).iter().all(|word| match word {
        Word::Text(text) => has(&row.raw, text) || has(&row.raw, &escaped(text)),
        Word::Column(Column::Decky, value) => row.decky == *value,
        Word::Column(Column::Service, value) => row.service == *value,
        Word::Column(Column::EventType, value) => row.event_type == *value,
        Word::Address(ip) => row.attacker_ip == Some(ip.to_canonical()),
        Word::Field(key, value) => row.fields.get(key).is_some_and(|have| has(have, value)),
    })
}

/// Whether an attacker is found by a search: by the start of the address, or by text in a decky or a service that they touched.
#[must_use]
pub fn finds_attacker(search: &str, attacker: &AttackerView) -> bool {
    let ip = attacker.ip.to_string();
    let start = ip.as_bytes().get(..search.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(search.as_bytes()))
        || attacker
            .deckies
            .iter()
            .chain(&attacker.services)
            .any(|name| has(name, search))
}

/// Whether `part` stands somewhere in `text`, whatever the case of its ASCII letters. No line has a NUL, so what has one is nowhere.
fn has(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    !part.contains(&0)
        && (part.is_empty()
            || text
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use time::OffsetDateTime;

    use super::*;
    use crate::id::LogId;

    #[test]
    fn a_search_is_words_phrases_and_keys() {
        let text = |t: &str| Word::Text(t.into());
        assert_eq!(words(r#"wget "a b"  x"#), [text("wget"), text("a b"), text("x")]);
        assert_eq!(
            words("decky:web-01"),
            [Word::Column(Column::Decky, "web-01".into())]
        );
        assert_eq!(
            words("ip:192.0.2.7"),
            [Word::Address("192.0.2.7".parse().unwrap())]
        );
        assert_eq!(
            words("principal:root"),
            [Word::Field("principal".into(), "root".into())]
        );
        for plain in [
            "http://x/y",
            "fe80::1",
            "C:\\x",
            "a:",
            ":b",
            "2001:db8::1",
            "ip:nonsense",
            "\"open",
        ] {
            assert_eq!(words(plain), [text(plain)], "{plain}");
        }
        assert_eq!(words("  \"\" "), []);
    }

    /// What the database finds is held against this rule by `app/db/tests/conformance/search.rs`; here stands what each kind of word means.
    #[test]
    fn a_row_is_found_by_every_word_and_by_no_other() {
        let row = LogView {
            id: LogId(7),
            at: OffsetDateTime::UNIX_EPOCH,
            received_at: OffsetDateTime::UNIX_EPOCH,
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: "command".into(),
            attacker_ip: Some("192.0.2.7".parse().unwrap()),
            attacker_id: None,
            attacker_glyph: None,
            fields: BTreeMap::from([("command".to_owned(), "echo \"Two words\"".to_owned())]),
            message: String::new(),
            raw: r#"<134>1 - web-01 ssh - command [x command="echo \"Two words\""] "#.into(),
        };
        for (search, found) in [
            ("", true),
            ("two words", true),
            ("\"two words\"", true),
            ("\"words two\"", false),
            ("words\"", true),
            ("echo_", false),
            ("ip:192.0.2.7", true),
            ("attacker:0:0:0:0:0:ffff:192.0.2.7", true),
            ("ip:192.0.2.70", false),
            ("type:command", true),
            ("event:comm", false),
            ("decky:web-01", true),
            ("decky:WEB-01", false),
            ("service:ssh", true),
            ("service:ss", false),
            ("command:WORDS", true),
            ("command:ssh", false),
            ("session:x", false),
            ("two\0", false),
            ("command:\0", false),
            ("type:command nothing", false),
        ] {
            assert_eq!(finds(search, &row), found, "{search:?}");
        }
    }
}
