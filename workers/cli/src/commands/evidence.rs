//! `decnet logs` and `decnet ingest`.

use std::{io::Write, time::Duration};

use anyhow::{Result, bail};
use decnet_model::{
    id::LogId,
    permission::ViewEvidence,
    query::LogQuery,
    topic::{Pattern, Topic},
    view::{LogView, MAX_LIMIT},
};

use crate::{
    cli::{IngestArgs, LogsArgs, PlaceArgs},
    host::Host,
    output,
};

/// `decnet logs`
pub(crate) async fn logs(place: &PlaceArgs, args: &LogsArgs) -> Result<()> {
    let host = Host::open(place).await?;
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
        let limit = if first { args.lines } else { MAX_LIMIT };
        if limit > 0 {
            let page = host.domain.log_page(&permit, query(limit.min(MAX_LIMIT))).await?;
            let newest = page.data.first().map(|row| row.id);
            for row in page.data.iter().rev().filter(|row| row.id > shown) {
                print(row, args)?;
            }
            shown = newest.unwrap_or(shown).max(shown);
        }
        if !args.follow {
            return Ok(());
        }
        first = false;
        // The bus says when to look; without it, look every second.
        let _woken = tokio::time::timeout(Duration::from_secs(1), hints.recv()).await;
    }
}

fn print(row: &LogView, args: &LogsArgs) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, row)?;
        writeln!(out)?;
    } else if args.raw {
        writeln!(out, "{}", row.raw)?;
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
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        let (decky, service, kind) = (&row.decky, &row.service, &row.event_type);
        writeln!(
            out,
            "{}  {from:>15}  {decky} {service} {kind}  {} {}",
            output::time(row.at),
            fields.join(" "),
            row.message
        )?;
    }
    Ok(())
}

/// `decnet ingest --rebuild`
pub(crate) async fn ingest(place: &PlaceArgs, args: &IngestArgs) -> Result<()> {
    if !args.rebuild {
        bail!("say --rebuild: everything that was derived is made again from the spool");
    }
    let settings = crate::host::master_settings(place)?;
    let program = super::daemon::program("ingester")?;
    let status = std::process::Command::new(program)
        .arg("--rebuild")
        .arg("--data-dir")
        .arg(&settings.data_dir)
        .status()?;
    if !status.success() {
        bail!("the ingester ended with {status}");
    }
    Ok(())
}
