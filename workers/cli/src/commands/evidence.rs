//! `decnet logs` and `decnet ingest`.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Result, bail};
use decnet_db::Store;
use decnet_domain::Permit;
use decnet_model::{
    clock::{Clock, SystemClock},
    event::EventKind,
    id::LogId,
    permission::{ViewEvidence, ViewQuarantine},
    printable::bytes_of,
    query::{LogQuery, QuarantineQuery},
    topic::{Pattern, Topic},
    view::{LogView, MAX_LIMIT},
};
use decnet_runtime::{Settings, worker::connect};

use crate::{
    cli::{IngestArgs, LogsArgs, PlaceArgs},
    host::{self, Host, master_settings, note},
    output,
};

use super::spool::there;

/// `decnet logs`
pub(crate) async fn logs(place: &PlaceArgs, args: &LogsArgs) -> Result<()> {
    let host = Host::open(place).await?;
    if args.quarantine {
        return quarantine(&host, args).await;
    }
    let permit = host.permit::<ViewEvidence>()?;
    let query = |limit: u32| LogQuery {
        limit: Some(limit),
        search: args.search.clone(),
        decky: args.decky.clone(),
        service: args.service.clone(),
        event_type: args.event_type.clone(),
        attacker_ip: args.source,
        ..LogQuery::default()
    };
    let mut shown = LogId(0);
    let mut first = true;
    let mut hints = host.bus.subscribe(Pattern::exactly(&Topic::system_log()));
    loop {
        // At first so many of the newest, and then everything that came since.
        let most = first.then(|| args.lines.max(1));
        let rows = newer(&host, &permit, &query, shown, most).await?;
        let newest = rows.first().map(|row| row.id);
        for row in rows.iter().rev().filter(|_| !first || args.lines > 0) {
            print(row, args)?;
        }
        shown = newest.unwrap_or(shown);
        if first
            && newest.is_none()
            && let Some(word) = unknown_word(&host, &permit, args).await?
        {
            if !args.follow {
                return Err(host::usage(word));
            }
            eprintln!("decnet: {word}");
        }
        if !args.follow {
            return Ok(());
        }
        first = false;
        // The bus says when to look; without it, look every second.
        let _woken = tokio::time::timeout(Duration::from_secs(1), hints.recv()).await;
    }
}

/// The rows that came after `shown`, the newest first, at most `most`.
async fn newer(
    host: &Host,
    permit: &Permit<ViewEvidence>,
    query: &impl Fn(u32) -> LogQuery,
    shown: LogId,
    most: Option<u32>,
) -> Result<Vec<LogView>> {
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let left = u32::try_from(most.saturating_sub(rows.len())).unwrap_or(MAX_LIMIT);
        let asked = LogQuery {
            before,
            ..query(left.min(MAX_LIMIT))
        };
        let page = host.domain.log_page(permit, asked).await?;
        let met = page.data.iter().any(|row| row.id <= shown);
        rows.extend(page.data.into_iter().filter(|row| row.id > shown));
        before = page.next;
        if met || before.is_none() || rows.len() >= most {
            return Ok(rows);
        }
    }
}

/// What is to be said of a filter that is no word of ours, and that nothing was ever recorded under.
async fn unknown_word(host: &Host, permit: &Permit<ViewEvidence>, args: &LogsArgs) -> Result<Option<String>> {
    let kinds = EventKind::ALL.iter().map(|kind| kind.to_string()).collect();
    let services = decnet_domain::services();
    let services = services.into_iter().map(|s| s.slug.to_string()).collect();
    let one = LogQuery {
        limit: Some(1),
        ..LogQuery::default()
    };
    let of_type = LogQuery {
        event_type: args.event_type.clone(),
        ..one.clone()
    };
    let of_service = LogQuery {
        service: args.service.clone(),
        ..one
    };
    let asked: [(_, _, Vec<String>, _); 2] = [
        ("of type", &args.event_type, kinds, of_type),
        ("of service", &args.service, services, of_service),
    ];
    for (what, word, known, query) in asked {
        let Some(word) = word.as_ref().filter(|word| !known.contains(*word)) else {
            continue;
        };
        if host.domain.log_page(permit, query).await?.data.is_empty() {
            let near = nearest(word, known).join(", ");
            return Ok(Some(format!(
                "no event {what} {:?} was ever recorded; there are, among others: {near}",
                output::harmless(word)
            )));
        }
    }
    Ok(None)
}

/// The three words of `known` that `word` may have been meant to be: those that hold it, then those with the fewest letters to
/// change.
fn nearest(word: &str, mut known: Vec<String>) -> Vec<String> {
    known.sort_by_cached_key(|other| (!other.contains(word), distance(word, other)));
    known.truncate(3);
    known
}

/// How many letters have to be put in, taken out or changed to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let (first, rest) = match row.split_first_mut() {
            Some(split) => split,
            None => return 0,
        };
        *first = left;
        for (y, above) in b.chars().zip(rest) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// `decnet logs --quarantine`
async fn quarantine(host: &Host, args: &LogsArgs) -> Result<()> {
    let permit = host.permit::<ViewQuarantine>()?;
    let query = QuarantineQuery {
        limit: Some(args.lines.clamp(1, MAX_LIMIT)),
        ..QuarantineQuery::default()
    };
    let page = host.domain.quarantine_page(&permit, query).await?;
    if page.data.is_empty() && !args.json && !args.raw {
        println!("Every line of the spool that was met became evidence.");
    }
    let mut out = std::io::stdout().lock();
    for kept in page.data.iter().rev() {
        if args.json {
            output::json_line(&mut out, kept)?;
            continue;
        }
        if args.raw && !out.is_terminal() {
            out.write_all(&bytes_of(&kept.line))?;
        } else if args.raw {
            write!(out, "{}", output::harmless(&kept.line))?;
        } else {
            let (segment, offset) = (kept.segment, kept.offset);
            let met = output::time(kept.received_at);
            let line = format!("{met}  {segment}:{offset}  {}: {}", kept.why, kept.line);
            write!(out, "{}", output::harmless(&line))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print(row: &LogView, args: &LogsArgs) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        output::json_line(&mut out, row)?;
    } else if args.raw {
        // To another program goes every byte as it stands.
        if out.is_terminal() {
            writeln!(out, "{}", output::harmless(&row.raw))?;
        } else {
            writeln!(out, "{}", row.raw)?;
        }
    } else {
        let from = row
            .attacker_ip
            .map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        let fields: Vec<_> = row
            .fields
            .iter()
            .filter(|(key, _)| {
                !["src_ip", "src_port", "dst_port", "session", "secret_b64"].contains(&key.as_str())
            })
            .map(|(key, value)| format!("{key}={}", output::quoted(value)))
            .collect();
        let (decky, service, kind) = (&row.decky, &row.service, &row.event_type);
        let line = format!(
            "{}  {from:>15}  {decky} {service} {kind}  {} {}",
            output::time(row.at),
            fields.join(" "),
            row.message
        );
        writeln!(out, "{}", output::harmless(line.trim_end()))?;
    }
    Ok(())
}

/// `decnet ingest --rebuild`
pub(crate) async fn ingest(place: &PlaceArgs, args: &IngestArgs) -> Result<()> {
    let settings = master_settings(place)?;
    let store = connect(&settings).await?;
    let rebuilt = rebuild(&store, &settings, args).await;
    store.close().await;
    note(&settings, "evidence.rebuild", "evidence", rebuilt.is_ok()).await;
    rebuilt
}

async fn rebuild(store: &Store, settings: &Settings, args: &IngestArgs) -> Result<()> {
    let spool = settings.spool_dir();
    there(&spool)?;
    let found = tokio::task::spawn_blocking(move || decnet_spool::verify(&spool)).await??;
    if let Some(fault) = found.fault {
        bail!("the spool is not as it was written ({fault}): nothing was forgotten");
    }
    let stats = store.stats(SystemClock.now()).await?;
    let stored = stats.total_logs + stats.quarantined;
    if found.lines < stored && !args.force {
        bail!(
            "the spool holds {} lines and the database {stored}: old segments were dropped, and storing again would lose \
             their rows; --force does it all the same",
            found.lines
        );
    }
    store.evidence_clear().await?;
    println!(
        "{stored} rows were forgotten; the ingester stores the {} lines of the spool again.",
        found.lines
    );
    Ok(())
}
