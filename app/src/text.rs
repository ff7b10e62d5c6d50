//! How values become words: times, numbers, addresses, and whatever an intruder sent.
//!
//! Everything here is a pure function of its arguments but [`now`]; the components that put the words on the page
//! stand in `components`.

pub use decnet_model::printable::visible;
use decnet_model::{
    event::{EventKind, field},
    view::{DeckyView, LogView},
};
use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// The present time: the machine's on the server, the browser's in a browser.
#[must_use]
pub fn now() -> OffsetDateTime {
    #[cfg(target_arch = "wasm32")]
    {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds since 1970 fit i64 for ages"
        )]
        decnet_model::clock::from_micros((js_sys::Date::now() * 1_000.0) as i64)
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use decnet_model::clock::Clock as _;
        decnet_model::clock::SystemClock.now()
    }
}

/// How long ago, in the largest unit that says something: `now`, `12 s ago`, `4 min ago`, `3 h ago`, `2 d ago`; a
/// time to come is `in 4 min`, to the nearest of its unit: what ends in 90 days does so a moment later, too.
#[must_use]
pub fn ago(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (now - at).whole_seconds();
    let apart = seconds.unsigned_abs();
    let half = match apart {
        _ if seconds > 0 => 0,
        0..3_600 => 30,
        3_600..172_800 => 1_800,
        _ => 43_200,
    };
    let length = span(apart + half);
    match seconds {
        // What has just happened is ahead of a page whose present moves every few seconds.
        -59..=1 => "now".to_owned(),
        2.. => format!("{length} ago"),
        _ => format!("in {length}"),
    }
}

/// How long since `since`, in the largest unit: `12 s`, `4 min`; a clock that is behind makes it `0 s`.
#[must_use]
pub fn elapsed(since: OffsetDateTime, now: OffsetDateTime) -> String {
    span(u64::try_from((now - since).whole_seconds()).unwrap_or(0))
}

/// A number of seconds in its largest unit: `12 s`, `4 min`, `3 h`, `2 d`.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How often something is done: `2 h`, and `90 min` where no hours are whole.
pub fn interval(minutes: u32) -> String {
    if minutes.is_multiple_of(60) {
        span(u64::from(minutes) * 60)
    } else {
        format!("{minutes} min")
    }
}

/// `2026-11-20 21:53:39.042` in the zone of `at`.
#[must_use]
pub fn stamp(at: OffsetDateTime) -> String {
    format!("{} {}.{:03}", day(at.date()), clock(at), at.millisecond())
}

/// `21:53:39` in the zone of `at`.
#[must_use]
pub fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// `21:53` in the zone of `at`.
#[must_use]
pub fn clock_minutes(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// `20 Nov 21:53` in the zone of `at`.
#[must_use]
pub fn short_date(at: OffsetDateTime) -> String {
    format!("{} {}", day_of_month(at), clock_minutes(at))
}

/// `21:53:39` of today, and `19 Nov 21:53:39` of another day, in the zone of `at`; `now` says which day is today there.
#[must_use]
pub fn clock_of(at: OffsetDateTime, now: OffsetDateTime) -> String {
    if now.to_offset(at.offset()).date() == at.date() {
        clock(at)
    } else {
        format!("{} {}", day_of_month(at), clock(at))
    }
}

/// `20 Nov` in the zone of `at`.
fn day_of_month(at: OffsetDateTime) -> String {
    let month = match at.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    format!("{} {month}", at.day())
}

fn day(date: Date) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// The exact time for a tooltip: in the reader's zone where it is known, and in UTC.
#[must_use]
pub fn exact(at: OffsetDateTime, zone: Option<UtcOffset>) -> String {
    let utc = stamp(at.to_offset(UtcOffset::UTC));
    match zone {
        Some(zone) if !zone.is_utc() => {
            let (hours, minutes, _) = zone.as_hms();
            let local = stamp(at.to_offset(zone));
            format!(
                "{local} (UTC{hours:+03}:{:02})\n{utc} UTC",
                minutes.unsigned_abs()
            )
        }
        _ => format!("{utc} UTC"),
    }
}

/// RFC 3339 in UTC, as URLs and `datetime` attributes carry it.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{}T{}Z", day(at.date()), clock(at))
}

/// The time that an RFC 3339 text names.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

/// The time that an RFC 3339 text names, or that an input field of a browser does (`2026-11-20T21:53`): that one is in UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<OffsetDateTime> {
    parse_rfc3339(text)
        .or_else(|| parse_rfc3339(&format!("{text}Z")))
        .or_else(|| parse_rfc3339(&format!("{text}:00Z")))
}

/// `2026-11-20T21:53` in the zone of `at`, as an input field for times takes it.
#[must_use]
pub fn field_time(at: OffsetDateTime) -> String {
    format!("{}T{}", day(at.date()), clock_minutes(at))
}

/// A count with thin separators between thousands: `12 345`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// What a worker says of itself, with its numbers as [`count`] writes them.
#[must_use]
pub fn with_counts(words: &str) -> String {
    let grouped = words.split(' ').map(|word| match word.parse() {
        Ok(n) if word.bytes().all(|b| b.is_ascii_digit()) => count(n),
        _ => word.to_owned(),
    });
    grouped.collect::<Vec<_>>().join(" ")
}

/// `1 decky`, `4 deckies`.
#[must_use]
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Whether `text` holds every word that was typed, whatever their case.
#[must_use]
pub fn has_words(text: &str, typed: &str) -> bool {
    let text = text.to_lowercase();
    typed
        .to_lowercase()
        .split_whitespace()
        .all(|part| text.contains(part))
}

/// `text` with its middle left out where it is longer than `max` characters.
#[must_use]
pub fn ellipsis(text: &str, max: usize) -> String {
    let length = text.chars().count();
    if length <= max {
        return text.to_owned();
    }
    let head = max.saturating_sub(1).div_ceil(2);
    let tail = max.saturating_sub(1) / 2;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// What kind of thing an event is, for colour and shape: how near it is to an intruder's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Weight {
    /// The fleet's own doing.
    Ours,
    /// A connection came or went.
    Touch,
    /// Somebody tried to get in, or told about themselves.
    Probe,
    /// Somebody is in and does things.
    Hands,
}

impl Weight {
    /// Its class in the style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Ours => "w-ours",
            Self::Touch => "w-touch",
            Self::Probe => "w-probe",
            Self::Hands => "w-hands",
        }
    }
}

/// How much an event of this type weighs; `accepted` says whether a decoy let somebody in by it. Not every service tells that a session
/// started, and who is in is in.
#[must_use]
pub fn weight(event_type: &str, accepted: bool) -> Weight {
    match event_type {
        _ if accepted => Weight::Hands,
        "service_started" | "service_stopped" | "mutation" => Weight::Ours,
        "connect" | "disconnect" | "limit_reached" | "client_info" | "client_fingerprint" => Weight::Touch,
        "command" | "query" | "download" | "file_captured" | "mail_accepted" | "fetch_attempt"
        | "exploit_attempt" | "session_started" | "session_ended" | "session_recorded" => Weight::Hands,
        _ => Weight::Probe,
    }
}

/// How much a log row weighs.
#[must_use]
pub fn row_weight(row: &LogView) -> Weight {
    weight(&row.event_type, is_accepted(row))
}

/// Whether a row tells that a decoy let somebody in.
#[must_use]
pub fn is_accepted(row: &LogView) -> bool {
    let is = |name: &str, word: &str| row.fields.get(name).is_some_and(|outcome| outcome == word);
    row.event_type == EventKind::AuthAttempt.as_str() && is(field::OUTCOME, "accepted")
}

/// What an event is about, for its shape in a drawing: lowest first, as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Somebody came, went or asked.
    Contact,
    /// What tells their software from others.
    Fingerprint,
    /// A try to sign in.
    Credential,
    /// Something that was to be run.
    Command,
    /// Something that was to break in.
    Exploit,
    /// Something that was brought, taken or to be fetched.
    File,
}

/// What an event of this type is about.
#[must_use]
pub fn kind(event_type: &str) -> Kind {
    match event_type {
        "client_fingerprint" | "client_info" => Kind::Fingerprint,
        "auth_attempt" => Kind::Credential,
        "command" | "query" => Kind::Command,
        "exploit_attempt" => Kind::Exploit,
        "download" | "file_captured" | "mail_accepted" | "fetch_attempt" => Kind::File,
        _ => Kind::Contact,
    }
}

/// An event type in words: `auth_attempt` is `auth attempt`.
#[must_use]
pub fn event_words(event_type: &str) -> String {
    event_type.replace('_', " ")
}

/// Words as a title: with a capital.
#[must_use]
pub fn title(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// What happened, in one line: the part of a row that a reader looks for first.
#[must_use]
pub fn summary(row: &LogView) -> String {
    let field = |name: &str| row.fields.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let first = |names: &[&str]| names.iter().find_map(|name| field(name));
    let text = match row.event_type.as_str() {
        "auth_attempt" => {
            let who = field("principal").unwrap_or("(no account)");
            let secret = match row.fields.get("secret_printable").map(String::as_str) {
                Some("") => " : (empty)".to_owned(),
                Some(secret) => format!(" : {secret}"),
                None => String::new(),
            };
            let got_in = match field("outcome") {
                Some("accepted") => " · signed in",
                _ => "",
            };
            format!("{who}{secret}{got_in}")
        }
        "request" => {
            let parts = [
                field("method"),
                field("path"),
                field("status").or(field("outcome")),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        "disconnect" => {
            let lasted = field("duration_ms").and_then(|ms| ms.parse::<u64>().ok());
            match (lasted, field("reason")) {
                (Some(ms), Some(reason)) => format!("after {}, {}", lasted_words(ms), event_words(reason)),
                _ => String::new(),
            }
        }
        "client_fingerprint" | "client_info" => {
            let parts = [
                first(&["fingerprint_kind", "info_kind"]),
                first(&["fingerprint", "info"]),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        "mutation" => {
            let services = |name| field(name).unwrap_or("none").replace(',', ", ");
            format!("{} → {}", services("services_before"), services("services_after"))
        }
        _ => first(&[
            "command", "query", "url", "path", "target", "subject", "exploit", "what", "user", "listen",
            "to", "received", "answered",
        ])
        .unwrap_or_default()
        .to_owned(),
    };
    if text.is_empty() {
        row.message.clone()
    } else {
        text
    }
}

/// How long something lasted: `4 min`, and `310 ms` where that is less than a second.
#[must_use]
pub fn lasted_words(ms: u64) -> String {
    if ms < 1_000 {
        format!("{ms} ms")
    } else {
        span(ms / 1_000)
    }
}

/// A command with which a reader can touch a service of a decky that claims to be `distro`, from where it listens
/// (`address:port`). An account that it names is one that each decky of that kind has.
#[must_use]
pub fn touch_command(distro: &str, service: &str, listen: &str) -> String {
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match service {
        "ssh" => {
            let account = if distro.starts_with("windows") {
                "Administrator"
            } else {
                "root"
            };
            let port = match port {
                "22" => String::new(),
                other => format!("-p {other} "),
            };
            format!("ssh {port}{account}@{host}")
        }
        "http" | "http_proxy" => format!("curl -i http://{listen}/"),
        "https" => format!("curl -ik https://{listen}/"),
        "redis" => format!("redis-cli -h {host} -p {port} info"),
        "ftp" => format!("ftp {host} {port}"),
        "mysql" => format!("mysql -h {host} -P {port} -u root -p"),
        "smtp" | "smtp_relay" => format!(
            "echo 'Subject: hello' | curl smtp://{listen}/client.example --mail-from you@client.example --mail-rcpt postmaster@localhost --upload-file -"
        ),
        _ => format!("nc {host} {port}"),
    }
}

/// How to touch one of these, at a service that says most.
#[must_use]
pub fn touch_some(deckies: &[DeckyView]) -> Option<String> {
    ["ssh", "http", "redis", "ftp"].iter().find_map(|want| {
        deckies.iter().find_map(|decky| {
            let mut listens = decky.services.iter().filter(|s| s.slug.as_str() == *want);
            let at = listens.find_map(|service| service.listen.first())?;
            Some(touch_command(&decky.distro, want, at))
        })
    })
}

/// `length` letters and digits that are told apart at a glance, drawn by the browser's generator of secrets.
pub fn draw(length: usize) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut drawn = vec![0_u8; length];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    if crypto.is_none_or(|crypto| crypto.get_random_values_with_u8_array(&mut drawn).is_err()) {
        return String::new();
    }
    drawn
        .iter()
        .filter_map(|byte| DIGITS.get(usize::from(byte % 32)).copied().map(char::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_says_something() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let cases = [
            (datetime!(2026-11-20 12:00:00 UTC), "now"),
            (datetime!(2026-11-20 11:59:48 UTC), "12 s ago"),
            (datetime!(2026-11-20 11:56:00 UTC), "4 min ago"),
            (datetime!(2026-11-20 09:00:00 UTC), "3 h ago"),
            (datetime!(2026-11-17 12:00:00 UTC), "3 d ago"),
            (datetime!(2026-11-20 12:04:00 UTC), "in 4 min"),
            (datetime!(2026-11-20 12:03:58 UTC), "in 4 min"),
            (datetime!(2027-02-18 11:59:30 UTC), "in 90 d"),
            (datetime!(2026-11-20 12:00:03 UTC), "now"),
        ];
        for (at, words) in cases {
            assert_eq!(ago(at, now), words);
        }
    }

    #[test]
    fn a_row_has_its_seconds_and_one_of_another_local_day_its_day() {
        let now = datetime!(2026-11-20 01:00:00 UTC);
        let east = UtcOffset::from_hms(5, 30, 0).unwrap();
        let west = UtcOffset::from_hms(-8, 0, 0).unwrap();
        let evening = datetime!(2026-11-19 23:30:01 UTC);
        assert_eq!(
            clock_of(evening, now),
            "19 Nov 23:30:01",
            "less than two hours ago"
        );
        assert_eq!(clock_of(evening.to_offset(east), now), "05:00:01");
        assert_eq!(clock_of(evening.to_offset(west), now), "15:30:01");
        let before = datetime!(2026-11-19 03:04:05 UTC);
        assert_eq!(clock_of(before.to_offset(west), now), "18 Nov 19:04:05");
        assert_eq!(short_date(before), "19 Nov 03:04");
    }

    #[test]
    fn exact_times_show_the_readers_zone_beside_utc() {
        let at = datetime!(2026-11-20 23:30:01.042 UTC);
        let zone = UtcOffset::from_hms(5, 30, 0).unwrap();
        assert_eq!(
            exact(at, Some(zone)),
            "2026-11-21 05:00:01.042 (UTC+05:30)\n2026-11-20 23:30:01.042 UTC"
        );
        assert_eq!(exact(at, None), "2026-11-20 23:30:01.042 UTC");
    }

    #[test]
    fn numbers_in_words_are_grouped_and_nothing_else_is() {
        let words = "stored 50010 lines, 127.0.0.1:8080, seen 12";
        assert_eq!(
            with_counts(words),
            "stored 50\u{202f}010 lines, 127.0.0.1:8080, seen 12"
        );
    }

    #[test]
    fn who_was_let_in_is_in() {
        assert_eq!(weight("auth_attempt", false), Weight::Probe);
        assert_eq!(weight("auth_attempt", true), Weight::Hands);
        let row = |event_type: &str, outcome: &str| -> LogView {
            let row = serde_json::json!({
                "id": 1, "at": "2026-11-20T12:00:00Z", "received_at": "2026-11-20T12:00:00Z", "decky": "web-01", "service": "redis",
                "event_type": event_type, "attacker_ip": null, "attacker_id": null, "attacker_glyph": null,
                "fields": { "outcome": outcome }, "message": "", "raw": "",
            });
            serde_json::from_value(row).unwrap()
        };
        assert_eq!(row_weight(&row("auth_attempt", "accepted")), Weight::Hands);
        assert_eq!(row_weight(&row("auth_attempt", "refused")), Weight::Probe);
        assert_eq!(row_weight(&row("request", "accepted")), Weight::Probe);
    }

    #[test]
    fn long_values_keep_both_ends() {
        assert_eq!(ellipsis("0123456789", 5), "01…89");
        assert_eq!(ellipsis("äöü", 3), "äöü");
        assert_eq!(ellipsis("äöüß", 3), "ä…ß");
    }

    #[test]
    fn commands_to_touch_a_service_name_a_port_that_is_not_the_usual_one_and_an_account_that_is_there() {
        assert_eq!(
            touch_command("debian12", "ssh", "127.66.0.2:22"),
            "ssh root@127.66.0.2"
        );
        assert_eq!(
            touch_command("windows-server", "ssh", "127.66.0.2:2222"),
            "ssh -p 2222 Administrator@127.66.0.2"
        );
        assert_eq!(touch_command("alpine", "unheard-of", "[::1]:99"), "nc ::1 99");
        let mail = touch_command("debian12", "smtp", "127.66.0.4:25");
        assert!(mail.contains("| curl smtp://127.66.0.4:25/"), "{mail}");
    }
}
