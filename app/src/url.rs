//! Filters as they stand in the address bar, so that every view can be linked to.
//!
//! The names of the parameters are those of the REST API: a page and the download of what it shows take the same
//! query. `last` (`15m`, `1h`, `24h`, `7d`) is the one that only pages know; it becomes a `start_time`.

use std::net::IpAddr;

use decnet_model::{
    id::AttackerId,
    query::{
        AttackerQuery, AttackerSort, AuditQuery, BountyQuery, LogQuery, QuarantineQuery, ReuseQuery,
        SortOrder,
    },
    search::finds,
    view::{LogView, MAX_SEARCH},
};
use leptos_router::params::ParamsMap;
use time::{Duration, OffsetDateTime};

use crate::text;

/// Spans of time that a page offers: the word in the URL, and what a reader sees.
pub(crate) const SPANS: [(&str, &str); 4] = [
    ("15m", "15 min"),
    ("1h", "1 hour"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
];

/// The parameters that filter log rows, with the words for them.
pub(crate) const LOG_FILTERS: &[(&str, &str)] = &[
    ("search", "text"),
    ("decky", "decky"),
    ("service", "service"),
    ("event_type", "type"),
    ("attacker_ip", "source"),
    LAST,
    FROM,
    UNTIL,
];

/// The words for the parameters of time, where a page shows what is filtered by.
pub(crate) const LAST: (&str, &str) = ("last", "last");
pub(crate) const FROM: (&str, &str) = ("start_time", "from");
pub(crate) const UNTIL: (&str, &str) = ("end_time", "until");

/// The length of a span in [`SPANS`].
pub(crate) fn span(word: &str) -> Option<Duration> {
    match word {
        "15m" => Some(Duration::minutes(15)),
        "1h" => Some(Duration::hours(1)),
        "24h" => Some(Duration::hours(24)),
        "7d" => Some(Duration::days(7)),
        _ => None,
    }
}

/// Where a list begins, in the links by which a reader without scripts goes through it: the cursor of the page before.
pub(crate) const BEFORE: &str = "before";

/// What opens something beside a list, and changes nothing of the list.
const BESIDE: &[&str] = &[
    "log", "bounty", "reuse", "attacker", "entry", "line", "help", "task",
];

/// `params` without what opens something beside a list: opening a row must not fetch the list again.
pub(crate) fn filters(params: &ParamsMap) -> ParamsMap {
    let mut filters = params.clone();
    for other in BESIDE {
        filters.remove(other);
    }
    filters
}

/// The value of a parameter, where it has one.
pub(crate) fn value(params: &ParamsMap, key: &str) -> Option<String> {
    params
        .get(key)
        .map(|v| v.trim().to_owned())
        .filter(|v| !v.is_empty())
}

/// What the parameter `key` says, where it is the `name` of one of `all`. What is none of them is told in `faults`, with what can stand
/// there.
pub(crate) fn choice<T: Copy>(
    params: &ParamsMap,
    key: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    faults: &mut Vec<String>,
) -> Option<T> {
    let given = value(params, key)?;
    let found = all.iter().copied().find(|one| name(*one) == given);
    if found.is_none() {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        faults.push(none_of(key, &given, &names));
    }
    found
}

/// Says that a parameter has to be one of `words`, and is none.
fn none_of(key: &str, given: &str, words: &[&str]) -> String {
    let given = text::ellipsis(&text::visible(given), 32);
    format!("{key}={given}, where only {} can stand", words.join(", "))
}

/// `path` with `params`, some of them set anew (or taken out); parameters without a value are left out. Another list begins at its start.
pub(crate) fn with(path: &str, params: &ParamsMap, changes: &[(&'static str, Option<&str>)]) -> String {
    let same_list = changes.iter().all(|(key, _)| BESIDE.contains(key));
    let mut next = ParamsMap::new();
    for (key, value) in params.clone() {
        let kept = same_list || key != BEFORE;
        if kept && !value.is_empty() && !changes.iter().any(|(changed, _)| *changed == key) {
            next.insert(key, value);
        }
    }
    for (key, value) in changes {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            next.insert(*key, value.to_owned());
        }
    }
    format!("{path}{}", query_string(&next))
}

/// The login that leads back to `here`, a path and its query.
pub(crate) fn login(here: &str) -> String {
    if here == "/" {
        "/login".to_owned()
    } else {
        format!("/login?next={}", escape(here))
    }
}

/// The choice of a password that leads to `next`.
#[cfg(feature = "ssr")]
pub(crate) fn password(next: &str) -> String {
    if next == "/" {
        "/password".to_owned()
    } else {
        format!("/password?next={}", escape(next))
    }
}

/// `params` as the query of a URL, with its `?` where there are any.
fn query_string(params: &ParamsMap) -> String {
    let pairs: Vec<_> = params
        .clone()
        .into_iter()
        .map(|(key, value)| format!("{}={}", escape(&key), escape(&value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

/// `text` as a name or value in a query. What RFC 3986 (3.4) lets stand there and no form reads otherwise stays as it
/// is, so that a link still says what it leads to: `start_time=2026-11-20T21:53:00Z`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/,@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The parameters that say which time a page shows.
pub(crate) const TIMES: &[&str] = &["last", "start_time", "end_time"];

/// Whether `value` says something as the parameter `key`: a time that is none says nothing.
pub(crate) fn is_read(key: &str, value: &str) -> bool {
    match key {
        "last" => span(value).is_some(),
        "start_time" | "end_time" => text::parse_time(value).is_some(),
        _ => true,
    }
}

/// Whether the page at `path` shows what happened in a time that the URL names.
pub(crate) fn is_timed(path: &str) -> bool {
    [
        "/",
        "/live",
        "/attackers",
        "/credentials",
        "/quarantine",
        "/settings/audit",
    ]
    .contains(&path)
        || path.starts_with("/attackers/")
}

/// A span of time; an end that is absent is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Between {
    /// Not before.
    pub(crate) start: Option<OffsetDateTime>,
    /// Before.
    pub(crate) end: Option<OffsetDateTime>,
}

impl Between {
    /// The span that `params` name, and what they say wrongly.
    pub(crate) fn of(params: &ParamsMap, now: OffsetDateTime) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        let mut time = |key: &str| {
            let text = value(params, key)?;
            let at = text::parse_time(&text);
            if at.is_none() {
                faults.push(format!("{key} is not a time like 2026-11-20T21:53:00Z"));
            }
            at
        };
        let (start, end) = (time("start_time"), time("end_time"));
        let last = value(params, "last").and_then(|last| {
            let span = span(&last);
            if span.is_none() {
                faults.push(none_of("last", &last, &SPANS.map(|(word, _)| word)));
            }
            span
        });
        let mut between = Self {
            start: start.or_else(|| Some(now - last?)),
            end,
        };
        if let Self {
            start: Some(start),
            end: Some(end),
        } = between
            && start >= end
        {
            faults.push("the end of the time is before its start".to_owned());
            between = Self::default();
        }
        (between, faults)
    }

    /// Whether something that lasted from `first` to `last` reaches into it.
    pub(crate) fn has(self, first: OffsetDateTime, last: OffsetDateTime) -> bool {
        self.start.is_none_or(|start| last >= start) && self.end.is_none_or(|end| first < end)
    }

    /// Whether it is all time.
    pub(crate) fn is_ever(self) -> bool {
        self == Self::default()
    }
}

/// `path` with `params`, and the time from `start` to `end` as what is shown.
pub(crate) fn at_time(path: &str, params: &ParamsMap, start: OffsetDateTime, end: OffsetDateTime) -> String {
    let changes = [
        ("start_time", Some(text::rfc3339(start))),
        ("end_time", Some(text::rfc3339(end))),
        ("last", None),
        ("log", None),
    ];
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, value)| (*key, value.as_deref()))
        .collect();
    with(path, params, &changes)
}

/// The source address that `params` name; one that is none is told in `faults`.
pub(crate) fn source(params: &ParamsMap, faults: &mut Vec<String>) -> Option<IpAddr> {
    let source = value(params, "attacker_ip")?.parse();
    if source.is_err() {
        faults.push("the source is not an IP address".to_owned());
    }
    source.ok()
}

/// The log rows that a URL asks for. What it says wrongly (an address that is none) is told as the second part.
pub(crate) fn log_query(params: &ParamsMap, now: OffsetDateTime) -> (LogQuery, Vec<String>) {
    let (between, mut faults) = Between::of(params, now);
    let attacker_ip = source(params, &mut faults);
    let query = LogQuery {
        limit: Some(100),
        before: value(params, BEFORE),
        search: value(params, "search").map(|s| s.chars().take(MAX_SEARCH).collect()),
        decky: value(params, "decky"),
        service: value(params, "service"),
        event_type: value(params, "event_type"),
        attacker_ip,
        start_time: between.start,
        end_time: between.end,
    };
    (query, faults)
}

/// Where the REST API makes a file of a whole list, of what these parameters leave.
fn export(list: &str, filters: &[(&'static str, Option<String>)]) -> String {
    let mut params = ParamsMap::new();
    for (key, value) in filters {
        if let Some(value) = value {
            params.insert(*key, value.clone());
        }
    }
    format!("/api/v1/{list}/export{}", query_string(&params))
}

/// The export of log rows.
pub(crate) fn export_logs(query: &LogQuery) -> String {
    export(
        "logs",
        &[
            ("search", query.search.clone()),
            ("decky", query.decky.clone()),
            ("service", query.service.clone()),
            ("event_type", query.event_type.clone()),
            ("attacker_ip", query.attacker_ip.map(|ip| ip.to_string())),
            ("start_time", query.start_time.map(text::rfc3339)),
            ("end_time", query.end_time.map(text::rfc3339)),
        ],
    )
}

/// The export of an attacker's command lines in a time.
pub(crate) fn export_commands(of: AttackerId, between: Between) -> String {
    export(
        &format!("attackers/{of}/commands"),
        &[
            ("start_time", between.start.map(text::rfc3339)),
            ("end_time", between.end.map(text::rfc3339)),
        ],
    )
}

/// The export of attackers.
pub(crate) fn export_attackers(query: &AttackerQuery) -> String {
    export(
        "attackers",
        &[
            ("search", query.search.clone()),
            ("service", query.service.clone()),
            ("decky", query.decky.clone()),
            ("sort_by", query.sort_by.map(|order| order.to_string())),
            ("sort_order", query.sort_order.map(|order| order.to_string())),
            ("start_time", query.start_time.map(text::rfc3339)),
            ("end_time", query.end_time.map(text::rfc3339)),
        ],
    )
}

/// The export of finds.
pub(crate) fn export_bounties(query: &BountyQuery) -> String {
    export(
        "bounty",
        &[
            ("bounty_type", query.bounty_type.map(|kind| kind.to_string())),
            ("accepted", query.accepted.map(|accepted| accepted.to_string())),
            ("search", query.search.clone()),
            ("service", query.service.clone()),
            ("attacker_ip", query.attacker_ip.map(|ip| ip.to_string())),
            ("sort_by", query.sort_by.map(|order| order.to_string())),
            ("sort_order", query.sort_order.map(|order| order.to_string())),
            ("start_time", query.start_time.map(text::rfc3339)),
            ("end_time", query.end_time.map(text::rfc3339)),
        ],
    )
}

/// The export of the audit log.
pub(crate) fn export_audit(query: &AuditQuery) -> String {
    export(
        "audit",
        &[
            ("actor", query.actor.clone()),
            ("action", query.action.clone()),
            ("target", query.target.clone()),
            ("start_time", query.start_time.map(text::rfc3339)),
            ("end_time", query.end_time.map(text::rfc3339)),
        ],
    )
}

/// The export of lines that did not become evidence.
pub(crate) fn export_quarantine(query: &QuarantineQuery) -> String {
    export(
        "quarantine",
        &[
            ("search", query.search.clone()),
            ("segment", query.segment.map(|segment| segment.to_string())),
            ("start_time", query.start_time.map(text::rfc3339)),
            ("end_time", query.end_time.map(text::rfc3339)),
        ],
    )
}

/// The export of credentials that are used again.
pub(crate) fn export_reuse(query: &ReuseQuery) -> String {
    export(
        "credential-reuse",
        &[
            ("scope", query.scope.map(|scope| scope.to_string())),
            ("secret_kind", query.secret_kind.clone()),
        ],
    )
}

/// Whether a row that just came belongs to what `query` asks for. The server decides for what is stored; this is the
/// same rule for what the stream brings.
pub(crate) fn matches(query: &LogQuery, row: &LogView) -> bool {
    let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
    query.before.is_none()
        && is(&query.decky, &row.decky)
        && is(&query.service, &row.service)
        && is(&query.event_type, &row.event_type)
        && query
            .attacker_ip
            .is_none_or(|ip| row.attacker_ip == Some(ip.to_canonical()))
        && query.start_time.is_none_or(|start| row.at >= start)
        && query.end_time.is_none_or(|end| row.at < end)
        && query.search.as_deref().is_none_or(|search| finds(search, row))
}

/// The second step of signing in, which leads to `next`.
#[cfg(feature = "ssr")]
pub(crate) fn code(next: &str) -> String {
    format!("/login?step=code&next={}", escape(next))
}

/// The attackers that a URL asks for, and what it says wrongly.
pub(crate) fn attacker_query(params: &ParamsMap, now: OffsetDateTime) -> (AttackerQuery, Vec<String>) {
    let (Between { start, end }, mut faults) = Between::of(params, now);
    let query = AttackerQuery {
        limit: Some(50),
        before: value(params, BEFORE),
        search: value(params, "search").map(|s| s.chars().take(MAX_SEARCH).collect()),
        service: value(params, "service"),
        decky: value(params, "decky"),
        sort_by: choice(
            params,
            "sort_by",
            AttackerSort::ALL,
            AttackerSort::as_str,
            &mut faults,
        ),
        sort_order: choice(
            params,
            "sort_order",
            SortOrder::ALL,
            SortOrder::as_str,
            &mut faults,
        ),
        start_time: start,
        end_time: end,
    };
    (query, faults)
}

#[cfg(test)]
mod tests {
    use decnet_model::id::LogId;
    use time::macros::datetime;

    use super::*;

    fn params(query: &[(&'static str, &str)]) -> ParamsMap {
        query.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()
    }

    #[test]
    fn a_url_says_which_rows_and_what_it_says_wrongly_is_told() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let (query, faults) = log_query(
            &params(&[
                ("last", "1h"),
                ("decky", ""),
                ("service", "ssh"),
                ("attacker_ip", "nobody"),
            ]),
            now,
        );
        assert_eq!(query.start_time, Some(datetime!(2026-11-20 11:00:00 UTC)));
        assert_eq!((query.decky, query.service.as_deref()), (None, Some("ssh")));
        assert_eq!(faults, ["the source is not an IP address"]);
    }

    #[test]
    fn a_row_that_comes_belongs_where_the_database_would_find_it() {
        let row = LogView {
            id: LogId(7),
            at: datetime!(2026-11-20 12:00:00 UTC),
            received_at: datetime!(2026-11-20 12:00:01 UTC),
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: "command".into(),
            attacker_ip: Some("192.0.2.7".parse().unwrap()),
            attacker_id: None,
            attacker_glyph: None,
            fields: std::collections::BTreeMap::new(),
            message: String::new(),
            raw: "<134>1 - web-01 ssh - command - uname and id".into(),
        };
        for (query, belongs) in [
            ([("search", "\"uname and id\" type:command ip:192.0.2.7")], true),
            ([("search", "\"id and uname\"")], false),
            ([("search", "service:http")], false),
            ([("attacker_ip", "::ffff:192.0.2.7")], true),
            ([("attacker_ip", "192.0.2.8")], false),
            ([("event_type", "command")], true),
            ([("start_time", "2026-11-20T12:00:01Z")], false),
            ([("end_time", "2026-11-20T12:00:00Z")], false),
        ] {
            let (query, faults) = log_query(&params(&query), row.at);
            assert_eq!(faults, [""; 0]);
            assert_eq!(matches(&query, &row), belongs, "{query:?}");
        }
    }

    #[test]
    fn an_export_is_asked_for_with_what_the_api_knows_and_no_more() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let (query, _) = log_query(&params(&[("last", "1h"), ("service", "ssh"), ("log", "7")]), now);
        assert_eq!(
            export_logs(&query),
            "/api/v1/logs/export?service=ssh&start_time=2026-11-20T11:00:00Z"
        );
        assert_eq!(export_bounties(&BountyQuery::default()), "/api/v1/bounty/export");
        let sorted = [("sort_by", "active"), ("sort_order", "asc"), ("search", "a&b")];
        let (query, _) = attacker_query(&params(&sorted), now);
        assert_eq!(
            export_attackers(&query),
            "/api/v1/attackers/export?search=a%26b&sort_by=active&sort_order=asc"
        );
    }

    #[test]
    fn the_time_of_a_page_is_the_last_of_it_or_from_one_end_to_the_other() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let of = |pairs| Between::of(&params(pairs), now);
        let hour = of(&[("last", "1h")]).0;
        assert_eq!(
            (hour.start, hour.end),
            (Some(datetime!(2026-11-20 11:00:00 UTC)), None)
        );
        // As an input field without scripts sends it: in UTC.
        let (custom, faults) = of(&[
            ("start_time", "2026-11-19T10:30"),
            ("end_time", "2026-11-19T11:00:00Z"),
        ]);
        assert_eq!(custom.start, Some(datetime!(2026-11-19 10:30:00 UTC)));
        assert_eq!(
            (custom.end, faults.len()),
            (Some(datetime!(2026-11-19 11:00:00 UTC)), 0)
        );
        let (wrong, faults) = of(&[
            ("start_time", "2026-11-19T10:30"),
            ("end_time", "2026-11-19T10:30"),
        ]);
        assert!(wrong.is_ever() && faults.len() == 1, "{faults:?}");
        let (wrong, faults) = of(&[("last", "forever")]);
        assert!(wrong.is_ever());
        assert_eq!(faults, ["last=forever, where only 15m, 1h, 24h, 7d can stand"]);
    }

    #[test]
    fn an_order_that_there_is_none_of_is_told_with_those_that_there_are() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let (query, faults) =
            attacker_query(&params(&[("sort_by", "zzz\u{202e}"), ("sort_order", "asc")]), now);
        assert_eq!((query.sort_by, query.sort_order), (None, Some(SortOrder::Asc)));
        let words = "recent, active, auth_count, command_count, bounty_count";
        assert_eq!(
            faults,
            [format!(
                "sort_by=zzz\u{27e8}U+202E\u{27e9}, where only {words} can stand"
            )]
        );
        assert_eq!(attacker_query(&params(&[("sort_by", "")]), now).1, [""; 0]);
    }

    #[test]
    fn pages_that_show_a_time_are_told_by_their_path() {
        for (path, timed) in [
            ("/", true),
            ("/live", true),
            ("/attackers/x", true),
            ("/livestock", false),
            ("/credentials/reuse", false),
            ("/fleet", false),
            ("/quarantine", true),
            ("/settings/audit", true),
            ("/settings", false),
        ] {
            assert_eq!(is_timed(path), timed, "{path}");
        }
    }

    #[test]
    fn changing_one_filter_keeps_the_others_and_escapes() {
        let url = with(
            "/live",
            &params(&[("decky", "web-1"), ("search", "")]),
            &[("service", Some("a&b")), ("decky", None)],
        );
        assert_eq!(url, "/live?service=a%26b");
    }

    #[test]
    fn a_link_stays_readable_and_nothing_in_it_ends_a_value() {
        assert_eq!(escape("start_time"), "start_time");
        assert_eq!(escape("2026-11-20T21:53:00Z"), "2026-11-20T21:53:00Z");
        assert_eq!(
            escape("a=b&c#d?e+f g%\"é"),
            "a%3Db%26c%23d%3Fe%2Bf%20g%25%22%C3%A9"
        );
    }
}
