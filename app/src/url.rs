//! Filters as they stand in the address bar, so that every view can be linked to.
//!
//! The names of the parameters are those of the REST API: a page and the download of what it shows take the same
//! query. `last` (`15m`, `1h`, `24h`, `7d`) is the one that only pages know; it becomes a `start_time`.

use decnet_model::{
    query::{AttackerQuery, LogQuery},
    view::{LogView, MAX_SEARCH},
};
use leptos_router::params::ParamsMap;
use time::{Duration, OffsetDateTime};

use crate::text;

/// Spans of time that a page offers: the word in the URL, and what a reader sees.
pub(crate) const SPANS: &[(&str, &str)] = &[
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
    ("last", "last"),
    ("start_time", "from"),
    ("end_time", "until"),
];

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

/// The value of a parameter, where it has one.
pub(crate) fn value(params: &ParamsMap, key: &str) -> Option<String> {
    params
        .get(key)
        .map(|v| v.trim().to_owned())
        .filter(|v| !v.is_empty())
}

/// `path` with `params`, one of them set anew (or taken out); parameters without a value are left out.
pub(crate) fn with(path: &str, params: &ParamsMap, changes: &[(&'static str, Option<&str>)]) -> String {
    let mut next = ParamsMap::new();
    for (key, value) in params.clone() {
        if !value.is_empty() && !changes.iter().any(|(changed, _)| *changed == key) {
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

/// The log rows that a URL asks for. What it says wrongly (an address that is none) is told as the second part.
pub(crate) fn log_query(params: &ParamsMap, now: OffsetDateTime) -> (LogQuery, Vec<String>) {
    let mut faults = Vec::new();
    let mut time = |key: &str| {
        let text = value(params, key)?;
        let at = text::parse_rfc3339(&text);
        if at.is_none() {
            faults.push(format!("{key} is not a time like 2026-11-20T21:53:00Z"));
        }
        at
    };
    let mut start_time = time("start_time");
    let end_time = time("end_time");
    if start_time.is_none()
        && let Some(length) = value(params, "last").as_deref().and_then(span)
    {
        start_time = Some(now - length);
    }
    let attacker_ip = value(params, "attacker_ip").and_then(|text| match text.parse() {
        Ok(ip) => Some(ip),
        Err(_) => {
            faults.push("the source is not an IP address".to_owned());
            None
        }
    });
    let query = LogQuery {
        limit: Some(100),
        before: None,
        search: value(params, "search").map(|s| s.chars().take(MAX_SEARCH).collect()),
        decky: value(params, "decky"),
        service: value(params, "service"),
        event_type: value(params, "event_type"),
        attacker_ip,
        start_time,
        end_time,
    };
    (query, faults)
}

/// Where the REST API gives the rows that `query` asks for, as JSON.
pub(crate) fn api_logs(query: &LogQuery) -> String {
    let mut params = ParamsMap::new();
    params.insert("limit", "500".to_owned());
    let texts = [
        ("search", query.search.clone()),
        ("decky", query.decky.clone()),
        ("service", query.service.clone()),
        ("event_type", query.event_type.clone()),
        ("attacker_ip", query.attacker_ip.map(|ip| ip.to_string())),
        ("start_time", query.start_time.map(text::rfc3339)),
        ("end_time", query.end_time.map(text::rfc3339)),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            params.insert(key, value);
        }
    }
    format!("/api/v1/logs{}", query_string(&params))
}

/// Whether a row that just came belongs to what `query` asks for. The server decides for what is stored; this is the
/// same rule for what the stream brings.
pub(crate) fn matches(query: &LogQuery, row: &LogView) -> bool {
    let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
    is(&query.decky, &row.decky)
        && is(&query.service, &row.service)
        && is(&query.event_type, &row.event_type)
        && query.attacker_ip.is_none_or(|ip| row.attacker_ip == Some(ip))
        && query.start_time.is_none_or(|start| row.at >= start)
        && query.end_time.is_none_or(|end| row.at < end)
        && query.search.as_deref().is_none_or(|search| contains(row, search))
}

fn contains(row: &LogView, search: &str) -> bool {
    let address = row.attacker_ip.map(|ip| ip.to_string()).unwrap_or_default();
    search.split_whitespace().all(|token| {
        if let Some((key, want)) = token.split_once(':')
            && let Some(have) = row.fields.get(key)
        {
            return have.to_lowercase().contains(&want.to_lowercase());
        }
        let token = token.to_lowercase();
        [&row.raw, &row.decky, &row.service, &address]
            .iter()
            .any(|text| text.to_lowercase().contains(&token))
    })
}

/// The second step of signing in, which leads to `next`.
#[cfg(feature = "ssr")]
pub(crate) fn code(next: &str) -> String {
    format!("/login?step=code&next={}", escape(next))
}

/// The attackers that a URL asks for.
pub(crate) fn attacker_query(params: &ParamsMap) -> AttackerQuery {
    AttackerQuery {
        limit: Some(50),
        before: None,
        search: value(params, "search").map(|s| s.chars().take(MAX_SEARCH).collect()),
        service: value(params, "service"),
        decky: value(params, "decky"),
        sort_by: value(params, "sort_by").and_then(|s| s.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
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
    fn the_apis_url_has_only_what_the_api_knows() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let (query, _) = log_query(&params(&[("last", "1h"), ("service", "ssh"), ("log", "7")]), now);
        let url = api_logs(&query);
        assert!(url.starts_with("/api/v1/logs?"), "{url}");
        for part in ["limit=500", "service=ssh", "start_time=2026-11-20T11"] {
            assert!(url.contains(part), "{url}");
        }
        assert!(!url.contains("last") && !url.contains("log="), "{url}");
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
