//! What the pieces are shown with: evidence of nobody, as much of it as makes each state.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use decnet_model::{
    event::EventKind,
    glyph::{Known, digest},
    id::{AttackerId, LogId},
    state::AlertKind,
    view::{ActivityView, AlertView, HopView, LogView, StationView, TaskView, TraversalView, VisitView},
};
use leptos::prelude::Set as _;
use time::{Duration, OffsetDateTime};

use crate::{
    api::{
        Fault, FaultKind,
        evidence::{Active, Change, Touch},
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
pub(super) fn attackers() -> Vec<Active> {
    let attacker = |n: u8| {
        Some(Active {
            id: attacker_id(n)?,
            ip: address(n),
            glyph: glyph(n),
            last_seen: ago(i64::from(n)),
            event_count: 900 - u64::from(n) * 70,
            deckies: vec![decky(n), decky(n + 1)],
        })
    };
    (1..=9).filter_map(attacker).collect()
}

fn attacker_id(n: u8) -> Option<AttackerId> {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}").parse().ok()
}

/// What seeds the mark of one of them: four tools, of which each fourth attacker has one.
pub(super) fn glyph(n: u8) -> String {
    let part = |of: &str| Some(digest(&format!("{of} {}", n % 4)));
    let known = Known {
        ssh: part("ssh"),
        tls: if n.is_multiple_of(2) { part("tls") } else { None },
        client: part("client"),
        product: part("product"),
    };
    known.to_string()
}

/// A mark as more becomes known.
pub(super) fn growing() -> [String; 4] {
    let client = Known {
        client: Some(digest("curl/8.5.0")),
        product: Some(digest("curl")),
        ..Known::default()
    };
    let ssh = Known {
        ssh: Some(digest("hassh")),
        ..client
    };
    let tls = Known {
        tls: Some(digest("ja4")),
        ..ssh
    };
    [
        "192.0.2.7".to_owned(),
        client.to_string(),
        ssh.to_string(),
        tls.to_string(),
    ]
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
        accepted: n % 10 == 3,
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

/// Ways of nobody, of one decky, of some, of many, and by long names.
pub(super) fn ways() -> Vec<(&'static str, TraversalView)> {
    let long = [
        "a-decky-whose-name-is-as-long-as-a-name-may-be-0123456789-ab".to_owned(),
        "\u{202e}gnp.exe\u{200b}<b>not one of ours</b>".to_owned(),
        decky(0),
    ];
    let many: Vec<_> = (0..14).map(|n| format!("host-{n:02}")).collect();
    let [db, files, mail, web] = [0, 1, 2, 3].map(decky);
    let some = [&db, &files, &db, &files, &mail, &db, &web, &mail, &web].map(Clone::clone);
    let mut far = Vec::new();
    for (n, name) in many.iter().enumerate() {
        far.extend([name.clone(), many.get(n * 5 % 14).unwrap_or(name).clone()]);
    }
    let mut beyond = way(&far);
    (beyond.more_stations, beyond.more_hops, beyond.whole) = (26, 12, false);
    vec![
        ("The way of somebody who did nothing then", way(&[])),
        ("The way of somebody who was at one decky", way(&[db])),
        ("The way through some", way(&some)),
        ("The way through many, and more", beyond),
        ("The way through long names", way(&long)),
    ]
}

/// A way from each of `deckies` to the next.
fn way(deckies: &[String]) -> TraversalView {
    let mut way = TraversalView {
        stations: Vec::new(),
        more_stations: 0,
        hops: Vec::new(),
        more_hops: 0,
        whole: true,
    };
    for (n, to) in (0_i64..).zip(deckies) {
        let at = ago(300 - n * 7);
        match way.stations.iter_mut().find(|station| station.decky == *to) {
            Some(station) => {
                station.sessions += 1;
                station.events += 9;
                (station.last_session_at, station.last_at) = (at, at);
            }
            None => way.stations.push(StationView {
                decky: to.clone(),
                services: vec!["http".to_owned(), "ssh".to_owned()],
                first_at: at,
                last_session_at: at,
                last_at: at,
                sessions: 1,
                events: 9,
                log_id: LogId(n),
            }),
        }
    }
    for (n, (from, to)) in (1_i64..).zip(deckies.iter().zip(deckies.iter().skip(1))) {
        let at = ago(300 - n * 7);
        match way.hops.iter_mut().find(|hop| hop.from == *from && hop.to == *to) {
            _ if from == to => {}
            Some(hop) => {
                hop.count += 1;
                hop.slowest_ms += 40_000;
            }
            None => way.hops.push(HopView {
                from: from.clone(),
                to: to.clone(),
                count: 1,
                commands: if n % 5 == 1 { 4 } else { 0 },
                auth_attempts: if n % 3 == 1 { 12 } else { 0 },
                first_at: at,
                last_at: at,
                quickest_ms: n.unsigned_abs() * 900,
                slowest_ms: n.unsigned_abs() * 900,
                log_id: LogId(n),
            }),
        }
    }
    way
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
        entry(
            "web-01",
            "decky, 127.66.0.5, running",
            Sign::Archetype("web-server".to_owned()),
        ),
        entry("192.0.2.1", "attacker, 830 events", Sign::Glyph(glyph(1))),
        entry(
            "2001:db8:85a3:1:2:8a2e:370:7334",
            "attacker, 1 event",
            Sign::Glyph(glyph(2)),
        ),
        entry("Search the log for “web”", "", Sign::Icon(Icon::Search)),
    ]
}
