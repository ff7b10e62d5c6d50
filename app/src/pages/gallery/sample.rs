//! What the pieces are shown with: evidence of nobody, as much of it as makes each state.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use decnet_model::{
    event::EventKind,
    id::{AttackerId, LogId},
    state::AlertKind,
    view::{ActivityView, AlertView, AttackerView, LogView, TaskView, VisitView},
};
use leptos::prelude::Set as _;
use time::{Duration, OffsetDateTime};

use crate::{
    api::{
        Fault, FaultKind,
        evidence::{Change, Touch},
    },
    components::{
        chart::Series,
        icon::Icon,
        palette::{Entry, Sign},
    },
    live::{Link, Live},
    text::{self, Weight},
};

const DECKIES: [&str; 5] = ["db-01", "files-02", "mail-01", "web-01", "web-02"];

/// An id that the server's log would have.
const ERROR_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn decky(n: u8) -> String {
    let place = usize::from(n) % DECKIES.len();
    DECKIES.get(place).copied().unwrap_or_default().to_owned()
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn ago(minutes: i64) -> OffsetDateTime {
    text::now() - Duration::minutes(minutes)
}

/// Attackers; those with numbers that differ by four have the same tool.
pub(super) fn attackers() -> Vec<AttackerView> {
    let attacker = |n: u8| {
        Some(AttackerView {
            id: attacker_id(n)?,
            ip: address(n),
            first_seen: ago(1_400),
            last_seen: ago(i64::from(n)),
            event_count: 900 - u64::from(n) * 70,
            auth_count: 80,
            command_count: 12,
            credential_count: 9,
            bounty_count: 11,
            session_count: 4,
            deckies: vec![decky(n), decky(n + 1)],
            services: vec!["ssh".to_owned()],
            glyph: glyph(n),
        })
    };
    (1..=9).filter_map(attacker).collect()
}

fn attacker_id(n: u8) -> Option<AttackerId> {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}").parse().ok()
}

fn glyph(n: u8) -> String {
    format!("fingerprint {}", n % 4)
}

/// What they did to deckies in the last hours: all that a thread can be.
pub(super) fn touches() -> Vec<Touch> {
    let touch = |n: u8| {
        let attacker = n % 9 + 1;
        let weight = match n % 3 {
            0 => Weight::Touch,
            1 => Weight::Probe,
            _ => Weight::Hands,
        };
        Some(Touch {
            attacker: attacker_id(attacker)?,
            ip: address(attacker),
            glyph: glyph(attacker),
            decky: decky(n / 2),
            at_s: ago(i64::from(n) * 7).unix_timestamp(),
            weight,
            count: 1 << (n % 9),
        })
    };
    (0..18).filter_map(touch).collect()
}

/// A store in which the first of them touch something at this moment, as long as one looks.
pub(super) fn live_now() -> Live {
    let live = Live::new();
    let soon = text::now() + Duration::DAY;
    let row = |touch: Touch| {
        Arc::new(LogView {
            id: LogId(1),
            at: soon,
            received_at: soon,
            decky: touch.decky,
            service: "ssh".to_owned(),
            event_type: EventKind::AuthAttempt.as_str().to_owned(),
            attacker_ip: Some(touch.ip),
            attacker_id: Some(touch.attacker),
            attacker_glyph: Some(touch.glyph),
            fields: BTreeMap::new(),
            message: String::new(),
            raw: String::new(),
        })
    };
    live.rows.set(touches().into_iter().take(2).map(row).collect());
    live
}

/// A store that is fed like that.
pub(super) fn live_by(link: Link, lag_ms: Option<i64>) -> Live {
    let live = Live::new();
    live.link.set(link);
    live.lag_ms.set(lag_ms);
    live
}

/// One mark of each kind, and some at once.
pub(super) fn marks() -> Vec<ActivityView> {
    let kinds = [
        "connect",
        "client_fingerprint",
        "auth_attempt",
        "session_started",
        "command",
        "exploit_attempt",
        "file_captured",
    ];
    let mark = |(n, event_type): (u8, &str)| ActivityView {
        decky: decky(n / 5),
        service: if n % 2 == 0 { "ssh" } else { "http" }.to_owned(),
        event_type: event_type.to_owned(),
        first_at: ago(200 - i64::from(n) * 9),
        last_at: ago(200 - i64::from(n) * 9),
        log_id: LogId(i64::from(n)),
        count: 1 + u64::from(n % 4) * 40,
    };
    (0..21).zip(kinds.into_iter().cycle()).map(mark).collect()
}

/// Connections: a short one, a long one, three at once, one without an end.
pub(super) fn visits() -> Vec<VisitView> {
    let visit = |(n, from, length, ended): (u8, i64, i64, bool)| VisitView {
        decky: decky(n),
        service: "ssh".to_owned(),
        first_at: ago(from),
        last_at: ago(from - length),
        log_id: LogId(from),
        session: format!("{from:016x}"),
        sessions: 1 + u64::from(n),
        commands: 3,
        ended,
    };
    [
        (0, 205, 0, true),
        (0, 190, 120, true),
        (1, 150, 60, true),
        (1, 140, 50, true),
        (1, 130, 80, true),
        (2, 100, 70, false),
    ]
    .map(visit)
    .to_vec()
}

/// The fleet's own doing meanwhile.
pub(super) fn changes() -> Vec<Change> {
    let change = |(n, minutes, words): (u8, i64, &str)| Change {
        decky: decky(n),
        at: ago(minutes),
        log_id: LogId(minutes),
        words: words.to_owned(),
    };
    [
        (0, 160, "http started"),
        (0, 159, "ftp stopped"),
        (2, 60, "ssh started"),
    ]
    .map(change)
    .to_vec()
}

/// Counts that rise and fall.
pub(super) fn series(length: u64, step: i64) -> Series {
    let counts = (0..length)
        .map(|i| (i * 7919) % 97 * u64::from(i % 11 > 2))
        .collect();
    Series {
        start: 29_000_000,
        step,
        counts,
    }
}

/// A task in each of its states.
pub(super) fn tasks() -> Vec<TaskView> {
    let task = |(n, status, done, total, step, error): (u8, &str, u32, u32, &str, Option<&str>)| {
        Some(TaskView {
            id: format!("01890a5d-ac96-774b-bcce-b302099a81{n:02x}")
                .parse()
                .ok()?,
            operation: "deploy".to_owned(),
            status: status.to_owned(),
            done,
            total,
            step: step.to_owned(),
            error: error.map(str::to_owned),
            started_at: ago(1),
            ended_at: (status != "running").then(text::now),
        })
    };
    let states = [
        (0, "running", 0, 0, "", None),
        (1, "running", 2, 5, "start web-02", None),
        (2, "succeeded", 5, 5, "all of them listen", None),
        (
            3,
            "failed",
            3,
            5,
            "start db-01",
            Some("db-01 does not listen: its address is taken by another machine"),
        ),
    ];
    states.into_iter().filter_map(task).collect()
}

/// An alert of a kind.
pub(super) fn alert(kind: AlertKind) -> AlertView {
    let names: &[&str] = match kind {
        AlertKind::Host => &["ingester", "bus"],
        AlertKind::Fleet => &["web-01"],
        AlertKind::Intrusion => &["192.0.2.1", "2001:db8::20:7", "192.0.2.3"],
    };
    AlertView {
        kind,
        count: if kind == AlertKind::Fleet { 1 } else { 7 },
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        glyphs: match kind {
            AlertKind::Intrusion => (1..=3).map(glyph).collect(),
            AlertKind::Host | AlertKind::Fleet => Vec::new(),
        },
        detail: "what the first of them has".to_owned(),
        since: (kind == AlertKind::Intrusion).then(|| ago(4)),
    }
}

/// A fault of a kind; the server's own has an id.
pub(super) fn fault(kind: FaultKind) -> Fault {
    let mut fault = Fault::new(kind, "what happened, and why");
    fault.error_id = (kind == FaultKind::Internal).then(|| ERROR_ID.to_owned());
    fault
}

/// What the palette offers, an entry of each kind.
pub(super) fn entries() -> Vec<Entry> {
    let entry = |words: &str, note: &str, sign| Entry {
        words: words.to_owned(),
        note: note.to_owned(),
        href: "/gallery".to_owned(),
        sign,
    };
    vec![
        entry("Overview", "page", Sign::Icon(Icon::Overview)),
        entry("Deploy deckies", "order", Sign::Icon(Icon::Plus)),
        entry("web-01", "decky, 127.66.0.5, running", Sign::Icon(Icon::Fleet)),
        entry("192.0.2.1", "attacker, 830 events", Sign::Glyph(glyph(1))),
        entry(
            "2001:db8:85a3:1:2:8a2e:370:7334",
            "attacker, 1 event",
            Sign::Glyph(glyph(2)),
        ),
        entry("Search the log for “web”", "", Sign::Icon(Icon::Search)),
    ]
}
