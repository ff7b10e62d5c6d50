//! Answers as text: every byte is told, binary protocols by what their packets say.

use std::fmt::Write as _;

use super::talk::Answer;

/// The names of the ten lists of a KEXINIT (RFC 4253, section 7.1).
const LISTS: [&str; 10] = [
    "kex",
    "host keys",
    "ciphers in",
    "ciphers out",
    "macs in",
    "macs out",
    "compression in",
    "compression out",
    "languages in",
    "languages out",
];

/// Bytes as text. Line ends and tabs stay what they are; what is no printable ASCII is written as `\xNN`.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\r' | b'\n' | b'\t' | b' '..=b'~' => out.push(char::from(*byte)),
            _ => {
                let _infallible = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// With what became of the connection.
pub(super) fn whole(answer: &Answer) -> String {
    let mut out = text(&answer.bytes);
    out.push_str(end(answer));
    out
}

fn end(answer: &Answer) -> &'static str {
    if answer.closed { " (closes)" } else { " (waits)" }
}

/// The replies of a conversation, without the greeting; with it where nothing was said.
pub(super) fn conversation(replies: &[Answer]) -> String {
    let from = usize::from(replies.len() > 2);
    let mut out = String::new();
    for reply in replies.iter().skip(from) {
        out.push_str(&text(&reply.bytes));
    }
    out.push_str(replies.last().map_or("", end));
    out
}

/// The names of the fields of redis' INFO, section by section.
pub(super) fn fields(answer: &Answer) -> String {
    let names: Vec<String> = text(&answer.bytes)
        .lines()
        // The first is the length of the whole.
        .skip(1)
        // A database is told where it has keys, and decoys have bait; an error once somebody has met it.
        .filter(|line| !line.is_empty() && !line.starts_with("db") && !line.starts_with("errorstat_"))
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect();
    names.join("\n") + end(answer)
}

/// An ssh server's identification, and its packets by what they are.
pub(super) fn ssh(answer: &Answer) -> String {
    let end_of_line = answer.bytes.iter().position(|byte| *byte == b'\n');
    let (line, mut rest) = answer
        .bytes
        .split_at_checked(end_of_line.map_or(answer.bytes.len(), |at| at + 1))
        .unwrap_or_default();
    let mut out = text(line);
    while let Some((payload, after)) = ssh_packet(rest) {
        match payload.first() {
            Some(20) => out.push_str(&kexinit(payload)),
            // What it holds is signed anew each time.
            Some(31) => out.push_str("KEXREPLY "),
            _ => out.push_str(&format!("[{}] ", text(payload))),
        }
        rest = after;
    }
    out.push_str(&text(rest));
    out.push_str(end(answer));
    out
}

/// The payload of the packet that `bytes` begin with, and what comes after it (RFC 4253, section 6).
fn ssh_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (packet, after) = rest.split_at_checked(len)?;
    let (padding, rest) = packet.split_first()?;
    let payload = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
    Some((payload, after))
}

fn kexinit(payload: &[u8]) -> String {
    let mut out = "KEXINIT cookie=".to_owned();
    let mut rest = payload.get(1..).unwrap_or_default();
    if let Some((cookie, after)) = rest.split_at_checked(16) {
        out.extend(cookie.iter().map(|byte| format!("{byte:02x}")));
        rest = after;
    }
    for name in LISTS {
        let list = rest
            .split_first_chunk::<4>()
            .and_then(|(len, after)| after.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?));
        let Some((list, after)) = list else { break };
        out.push_str(&format!("\n{name}: {}", text(list)));
        rest = after;
    }
    out.push_str(&format!("\n[{}] ", text(rest)));
    out
}

/// The first packet of MySQL's protocol, version 10.
pub(super) struct Greeting<'a> {
    version: &'a [u8],
    connection: u32,
    /// Both parts.
    pub(super) salt: Vec<u8>,
    rest: Vec<u8>,
}

impl<'a> Greeting<'a> {
    /// Read `packet`, which has its header.
    pub(super) fn of(packet: &'a [u8]) -> Option<Self> {
        let payload = packet.get(4..)?.strip_prefix(&[10])?;
        let nul = payload.iter().position(|byte| *byte == 0)?;
        let (version, rest) = payload.split_at_checked(nul)?;
        let (connection, rest) = rest.get(1..)?.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_at_checked(8)?;
        // A filler, capabilities, character set, status, the length of the salt, and what MariaDB can besides.
        let (middle, rest) = rest.split_at_checked(19)?;
        let (second, plugin) = rest.split_at_checked(12)?;
        Some(Self {
            version,
            connection: u32::from_le_bytes(*connection),
            salt: [first, second].concat(),
            rest: [middle, plugin].concat(),
        })
    }
}

/// The packets of MySQL's protocol.
pub(super) fn mysql(answer: &Answer) -> String {
    let mut out = String::new();
    let mut rest = answer.bytes.as_slice();
    while let Some((packet, after)) = mysql_packet(rest) {
        let number = packet.get(3).copied().unwrap_or_default();
        let payload = packet.get(4..).unwrap_or_default();
        match (
            Greeting::of(packet).filter(|_| out.is_empty() && number == 0),
            payload,
        ) {
            (Some(greeting), _) => {
                let salt: String = greeting.salt.iter().map(|byte| format!("{byte:02x}")).collect();
                out.push_str(&format!(
                    "version={} connection={} salt={salt} capabilities and plugin={}",
                    text(greeting.version),
                    greeting.connection,
                    text(&greeting.rest),
                ));
            }
            (None, [0xff, low, high, message @ ..]) => {
                let code = u16::from_le_bytes([*low, *high]);
                out.push_str(&format!("#{number} error {code} {}", text(message)));
            }
            (None, payload) => out.push_str(&format!("#{number} {}", text(payload))),
        }
        out.push('\n');
        rest = after;
    }
    out.push_str(&text(rest));
    out.push_str(end(answer));
    out
}

fn mysql_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [a, b, c, ..] = *bytes else { return None };
    let len = 4 + usize::from(a) + (usize::from(b) << 8) + (usize::from(c) << 16);
    bytes.split_at_checked(len)
}

/// As one line that steers no terminal.
pub(super) fn on_one_line(text: &str) -> String {
    text.replace('\r', "\\r")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}

/// `text` in at most `width` characters, so that the one at `at` is among them.
pub(super) fn shortened(text: &str, width: usize, at: usize) -> String {
    let count = text.chars().count();
    if count <= width || width == 0 {
        return text.to_owned();
    }
    // A little of what stands before it tells what it is.
    let from = if at < width.saturating_sub(1) {
        0
    } else {
        at.saturating_sub(width / 4)
    };
    let (before, room) = if from == 0 {
        ("", width)
    } else {
        ("…", width - 1)
    };
    let shown: String = text.chars().skip(from).take(room).collect();
    if count - from <= room {
        return format!("{before}{shown}");
    }
    let cut: String = shown.chars().take(room.saturating_sub(1)).collect();
    format!("{before}{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told() {
        assert_eq!(text(b"a\r\n\x00\xff\\"), "a\r\n\\x00\\xff\\\\");
        assert_eq!(on_one_line("a\r\n\tb"), "a\\r\\n\\tb");
    }

    #[test]
    fn what_is_shortened_still_shows_where_it_differs() {
        assert_eq!(shortened("short", 10, 0), "short");
        assert_eq!(shortened("0123456789abcdef", 8, 0), "0123456…");
        let shown = shortened("0123456789abcdef", 8, 12);
        assert!(
            shown.starts_with('…') && shown.contains('c') && shown.chars().count() <= 8,
            "{shown}"
        );
        assert!(shortened("0123456789abcdef", 8, 15).ends_with('f'));
    }

    #[test]
    fn an_exchange_of_ssh_is_told_by_its_lists() {
        let mut payload = vec![20];
        payload.extend([7; 16]);
        for list in ["a,b", "", "", "", "", "", "", "", "", "z"] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.bytes());
        }
        payload.extend([0; 5]);
        let mut bytes = b"SSH-2.0-x\r\n".to_vec();
        bytes.extend(u32::try_from(1 + payload.len() + 4).unwrap().to_be_bytes());
        bytes.push(4);
        bytes.extend(&payload);
        bytes.extend([0; 4]);
        let told = ssh(&Answer { bytes, closed: false });
        assert!(told.starts_with("SSH-2.0-x\r\nKEXINIT cookie=0707"), "{told}");
        assert!(
            told.contains("\nkex: a,b\n") && told.contains("\nlanguages out: z\n"),
            "{told}"
        );
        assert!(told.ends_with(" (waits)"), "{told}");
    }

    #[test]
    fn a_greeting_of_a_database_is_told_by_its_fields() {
        let mut payload = b"\x0a5.5\0\x09\0\0\0saltsalt".to_vec();
        payload.extend([1; 19]);
        payload.extend(b"saltsaltsalt\0plugin\0");
        let bytes = super::super::talk::packet(0, &payload);
        let greeting = Greeting::of(&bytes).unwrap();
        assert_eq!(greeting.salt, b"saltsaltsaltsaltsalt");
        let told = mysql(&Answer { bytes, closed: true });
        assert!(
            told.starts_with("version=5.5 connection=9 salt=73616c74"),
            "{told}"
        );
        assert!(told.contains("\\x00plugin\\x00\n (closes)"), "{told}");
    }
}
