//! What a line says, and whom it is about.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use decnet_model::event::{SD_ID, field};

use crate::Message;

/// Names under which programs give the address of their peer, best first.
const SOURCE_KEYS: [&str; 7] = [
    field::SRC,
    "src",
    "client_ip",
    "remote_ip",
    "remote_addr",
    "ip",
    "rhost",
];

/// Names that give an address which is certainly not the peer's.
const NOT_SOURCE: [&str; 8] = [
    "dst",
    "dest",
    "destination",
    "target",
    "local",
    "laddr",
    "listen",
    "server",
];

/// The parameters of our element ([`SD_ID`]) by name. Of a name that comes twice the first stands: what the tap stamps
/// comes before what a peer chose.
#[must_use]
pub fn fields_of(message: &Message) -> BTreeMap<&str, &str> {
    let mut fields = BTreeMap::new();
    for element in message.sd.iter().filter(|e| e.id == SD_ID) {
        for (name, value) in &element.params {
            fields.entry(name.as_str()).or_insert(value.as_str());
        }
    }
    fields
}

/// Whose doing this line is: `src_ip`, else another usual field, else a `key=value` token of the text whose value is
/// an address (usual keys first, then any key that does not name the other end).
///
/// An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`) comes back as IPv4. A port after the address is ignored.
#[must_use]
pub fn source_address(message: &Message) -> Option<IpAddr> {
    let fields = fields_of(message);
    SOURCE_KEYS
        .iter()
        .find_map(|key| fields.get(key).copied().and_then(address))
        .or_else(|| from_text(&message.msg))
}

fn from_text(msg: &str) -> Option<IpAddr> {
    let mut best: Option<(usize, IpAddr)> = None;
    for token in msg.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '{' | '}')) {
        let Some((key, value)) = token.split_once('=') else {
            continue;
        };
        let key = key.trim_matches(|c| c == '"' || c == '\'').to_ascii_lowercase();
        if key.is_empty() || NOT_SOURCE.iter().any(|other| key.starts_with(other)) {
            continue;
        }
        let Some(ip) = address(value) else {
            continue;
        };
        let rank = SOURCE_KEYS
            .iter()
            .position(|known| *known == key)
            .unwrap_or(SOURCE_KEYS.len());
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, ip));
        }
    }
    best.map(|(_, ip)| ip)
}

fn address(value: &str) -> Option<IpAddr> {
    let value = value.trim_matches(|c: char| c == '"' || c == '\'' || c == '.' || c.is_whitespace());
    let unbracketed = value
        .strip_prefix('[')
        .and_then(|v| v.strip_suffix(']'))
        .unwrap_or(value);
    unbracketed
        .parse::<IpAddr>()
        .or_else(|_| value.parse::<SocketAddr>().map(|peer| peer.ip()))
        .ok()
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(rest: &str) -> Option<String> {
        let message = Message::parse(format!("<38>1 - web sshd 712 - {rest}").as_bytes()).unwrap();
        source_address(&message).map(|ip| ip.to_string())
    }

    #[test]
    fn the_field_wins_over_other_fields_and_those_over_the_text() {
        for (rest, want) in [
            (
                r#"[relay@55555 ip="192.0.2.1" src_ip="192.0.2.2"] src=192.0.2.3"#,
                Some("192.0.2.2"),
            ),
            (
                r#"[relay@55555 rhost="192.0.2.1" remote_addr="[2001:db8::7]:443"]"#,
                Some("2001:db8::7"),
            ),
            (
                r#"[relay@55555 src_ip="not an address"] src=192.0.2.3"#,
                Some("192.0.2.3"),
            ),
            (r#"[origin ip="198.51.100.1"] nothing"#, None),
            (
                "- pam_unix(sshd:auth): authentication failure; ruser= rhost=192.0.2.7  user=root",
                Some("192.0.2.7"),
            ),
            ("- DST=198.51.100.1 SRC=192.0.2.7 LEN=40", Some("192.0.2.7")),
            ("- peer=192.0.2.9 src=192.0.2.7", Some("192.0.2.7")),
            ("- (addr=192.0.2.9:5022, ttl=3)", Some("192.0.2.9")),
            ("- src=::ffff:192.0.2.7", Some("192.0.2.7")),
            ("- src=192.0.2.777 n=3", None),
            ("- local_addr=192.0.2.7", None),
            ("- from 192.0.2.7", None),
        ] {
            assert_eq!(source(rest).as_deref(), want, "{rest}");
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_first_stands() {
        let m = Message::parse(br#"<134>1 - - - - - [relay@55555 a="1" a="2"][relay@55555 a="3" b="4"]"#)
            .unwrap();
        assert_eq!(fields_of(&m), BTreeMap::from([("a", "1"), ("b", "4")]));
    }
}
