//! Lines of evidence to store.

use decnet_db::{
    Store,
    ingest::{Batch, Ingested, Unreadable},
    meaning,
};
use decnet_model::clock::from_micros;
use decnet_spool::Position;
use decnet_syslog::{LineHead, Severity, format_line};
use time::OffsetDateTime;

pub(crate) const READER: &str = "ingester";

pub(crate) fn at(second: i64) -> OffsetDateTime {
    from_micros((1_790_000_000 + second) * 1_000_000 + 123_456)
}

pub(crate) fn line(
    second: i64,
    decky: &str,
    service: &str,
    kind: &str,
    fields: &[(&str, &str)],
    msg: &str,
) -> Vec<u8> {
    let head = LineHead {
        severity: Severity::Info,
        timestamp: at(second),
        hostname: decky,
        app_name: service,
        msgid: kind,
    };
    let mut out = Vec::new();
    format_line(&head, fields.iter().copied(), msg, &mut out);
    assert_eq!(out.pop(), Some(b'\n'));
    out
}

pub(crate) fn login(second: i64, decky: &str, ip: &str, user: &str, password: &str) -> Vec<u8> {
    let fields = [
        ("src_ip", ip),
        ("principal", user),
        ("secret_kind", "plaintext"),
        ("secret_printable", password),
        ("outcome", "refused"),
    ];
    line(second, decky, "ssh", "auth_attempt", &fields, "")
}

pub(crate) fn command(second: i64, decky: &str, ip: &str, text: &str) -> Vec<u8> {
    line(
        second,
        decky,
        "ssh",
        "command",
        &[("src_ip", ip), ("command", text)],
        "",
    )
}

/// A batch as the ingester would make it: each line's end is its number.
pub(crate) fn batch(from: u64, lines: &[Vec<u8>]) -> Batch {
    let place = |offset| Position { segment: 0, offset };
    let mut batch = Batch {
        reader: READER.into(),
        from: place(from),
        to: place(from + u64::try_from(lines.len()).unwrap()),
        lines: Vec::new(),
        quarantine: Vec::new(),
        ignored: 0,
    };
    for (no, line) in (from + 1..).zip(lines) {
        match meaning::read(line, at(1_000_000)) {
            Ok(evidence) => batch.lines.push(evidence),
            Err(why) => batch.quarantine.push(Unreadable {
                raw: line.clone(),
                why: why.to_string(),
                end: place(no),
                received_at: at(1_000_000),
            }),
        }
    }
    batch
}

/// Store `lines` after what is stored.
pub(crate) async fn store(store: &Store, lines: &[Vec<u8>]) -> Ingested {
    let from = store.spool_position(READER).await.unwrap();
    store.ingest_batch(&batch(from.offset, lines)).await.unwrap()
}
