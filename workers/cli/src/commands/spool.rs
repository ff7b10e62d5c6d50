//! `decnet spool` and `decnet demo seed`: what stands before the database.

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

use anyhow::{Context, Result, bail};
use decnet_decoys::config::{ARTIFACTS, TRANSCRIPTS};
use decnet_model::{
    clock::{Clock, SystemClock},
    fleet::FleetSpec,
    permission::ManageFleet,
};
use decnet_runtime::{Settings, StartError, exit::chain};
use decnet_spool::{Exported, Position, Reader, Segment, SpoolError, Writer, acknowledged, outlet::Outlet};
use decnet_testkit::demo::{Day, Fault, Options};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    cli::{DemoCommand, PlaceArgs, SpoolCommand},
    host::{self, Host, block_on, master_settings},
    output,
};

/// The reader whose progress is shown: the one that stores.
const INGESTER: &str = "ingester";

/// `decnet spool …`
pub(crate) fn run(place: &PlaceArgs, command: &SpoolCommand) -> Result<()> {
    let settings = host::settings(place)?;
    let spool = settings.spool_dir();
    let named = match command {
        SpoolCommand::Verify { folder, .. } => folder.as_deref(),
        _ => None,
    };
    match named {
        Some(folder) => is_folder(folder)?,
        None => there(&spool)?,
    }
    match command {
        SpoolCommand::Status(list) => {
            let read = acknowledged(&spool, INGESTER)?;
            let lag = match read {
                Some(position) => Reader::open(&spool, position).lag_bytes()?,
                None => 0,
            };
            let segments = decnet_spool::segments(&spool)?;
            if list.json {
                let position = read.map(|p| p.to_string());
                let segments: Vec<_> = segments
                    .iter()
                    .map(|s| {
                        json!({ "segment": s.number, "lines": s.lines, "bytes": s.bytes, "state": state_of(s) })
                    })
                    .collect();
                return output::json(&json!({
                    "folder": spool, "reader": INGESTER, "position": position, "lag_bytes": lag, "segments": segments,
                }));
            }
            println!("folder    {}", spool.display());
            match read {
                Some(position) => println!("ingester  at {position}, {lag} bytes behind"),
                None => println!("ingester  has not read yet"),
            }
            println!();
            let rows: Vec<_> = segments
                .iter()
                .map(|s| {
                    let lines = s.lines.map_or_else(|| "?".to_owned(), |lines| lines.to_string());
                    vec![
                        s.number.to_string(),
                        lines,
                        s.bytes.to_string(),
                        state_of(s).to_owned(),
                    ]
                })
                .collect();
            output::table(
                &["SEGMENT", "LINES", "BYTES", "STATE"],
                &rows,
                "There is no segment yet.",
            );
            if segments.iter().any(|s| s.lines.is_none()) {
                println!("What is wrong with a damaged segment, `decnet spool verify` tells.");
            }
        }
        SpoolCommand::Verify { folder, list } => {
            if let Some(folder) = folder.as_deref()
                && !decnet_spool::is_evidence(folder)
            {
                bail!(
                    "{}: neither a spool nor a bundle that `decnet spool export` made: it has neither a spool's readers, id \
                     or lock nor a bundle's manifest.json",
                    folder.display()
                );
            }
            let folder = folder.as_deref().unwrap_or(&spool);
            let found = decnet_spool::verify(folder)?;
            let root = found.root.map(|r| r.to_string());
            let proof = found.proof.map(|p| p.to_string());
            let fault = found.fault.map(|f| f.to_string());
            if list.json {
                output::json(&json!({
                    "folder": folder, "segments": found.segments, "lines": found.lines, "bytes": found.bytes,
                    "first_segment": found.first_segment, "root": root, "proof": proof, "fault": fault,
                }))?;
            } else if found.segments == 0 && fault.is_none() && proof.is_none() {
                println!(
                    "{}: no line has been written yet, so there is nothing to prove.",
                    folder.display()
                );
            } else {
                let before = if fault.is_some() { "Before the fault, " } else { "" };
                println!(
                    "{before}{} lines in {} segments are as they were written.",
                    found.lines, found.segments
                );
                if let Some(root) = root {
                    println!(
                        "Root of the sealed ones: {root} (note it elsewhere to prove everything up to here later)."
                    );
                }
                if let Some(proof) = proof {
                    println!(
                        "Proof of the bundle and its interval: {proof} (what `decnet spool export` printed)."
                    );
                }
            }
            if let Some(fault) = fault {
                bail!("{}: {fault}", folder.display());
            }
        }
        SpoolCommand::Export { since, until, out } => {
            let since = since.unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let until = until.unwrap_or_else(|| SystemClock.now());
            let exported = decnet_spool::export(&spool, since, until, out);
            let [from, to] = [since, until].map(output::rfc3339);
            let target = format!("{from} to {to} into {}", out.display());
            block_on(async {
                host::note(&settings, "spool.export", &target, exported.is_ok()).await;
                Ok(())
            })?;
            let Exported { bundle, fault } = exported?;
            let lines: u64 = bundle.segments.iter().map(|s| s.lines).sum();
            if bundle.segments.is_empty() {
                println!(
                    "Nothing arrived between {from} and {to}: {} says so.",
                    out.display()
                );
            } else {
                println!(
                    "{lines} lines in {} segments, each whole, so that its seal proves it: {}",
                    bundle.segments.len(),
                    out.display()
                );
            }
            println!(
                "Proof of it and of its interval: {} (note it elsewhere).",
                bundle.proof
            );
            if let Some(fault) = fault {
                bail!("{} is written, and does not verify: {fault}", out.display());
            }
            println!(
                "It was verified as it was written. Check it anywhere with `decnet spool verify {}`.",
                out.display()
            );
        }
    }
    Ok(())
}

/// How a segment stands, in a word.
fn state_of(segment: &Segment) -> &'static str {
    match segment {
        Segment { lines: None, .. } => "damaged",
        Segment { sealed: true, .. } => "sealed",
        Segment { sealed: false, .. } => "open",
    }
}

/// What was named to be checked has to be a folder that can be read.
fn is_folder(folder: &Path) -> Result<(), StartError> {
    let name = folder.display();
    match fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StartError::unavailable(format!(
            "there is no {name}: name a spool, or a bundle that `decnet spool export` made"
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(StartError::unavailable(format!(
            "{name} is no folder: name a spool, or a bundle that `decnet spool export` made"
        ))),
        Err(error) => Err(StartError::io(&name.to_string(), &error)),
    }
}

/// A folder that is not there holds no evidence, neither good nor bad.
pub(crate) fn there(folder: &Path) -> Result<(), StartError> {
    match fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StartError::unavailable(format!(
            "there is no spool {}: run `decnet init` or `decnet up` first, or name another --data-dir",
            folder.display()
        ))),
        Err(error) => Err(StartError::io(&format!("spool {}", folder.display()), &error)),
    }
}

/// `decnet demo seed`
pub(crate) fn demo(place: &PlaceArgs, command: &DemoCommand) -> Result<()> {
    let settings = master_settings(place)?;
    let DemoCommand::Seed {
        events,
        seed,
        no_fleet,
        ..
    } = command;
    let seeded = sow(&settings, command);
    // What an installation begins with is nothing that was done to it, and it has no fleet yet.
    let begins = settings
        .store_options()
        .sqlite_file()
        .is_some_and(|file| !file.exists());
    if begins {
        seeded?;
        if !no_fleet {
            println!(
                "fleet       none yet: once the host was started, the same command with `--events 0 --yes` puts its deckies there"
            );
        }
        return Ok(());
    }
    let target = format!("{events} lines of seed {seed}");
    block_on(async {
        let done = match seeded {
            Ok(_) if *no_fleet => Ok(()),
            Ok(fleet) => {
                match place_stopped(&settings, fleet).await {
                    Ok(placed) => println!("fleet       {placed} more, stopped"),
                    // The evidence is there all the same.
                    Err(error) => eprintln!("decnet: its deckies are not in the fleet: {}", chain(&*error)),
                }
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        host::note(&settings, "demo.seed", &target, done.is_ok()).await;
        done
    })
}

/// Have the deckies of the evidence in the fleet, too, so that what leads to them leads somewhere; gives how many came. They stand still,
/// because what they saw is invented, and those that are there already stay as they are.
async fn place_stopped(settings: &Settings, fleet: FleetSpec) -> Result<usize> {
    let host = Host::with(settings.clone()).await?;
    let permit = host.permit::<ManageFleet>()?;
    let placed = host.domain.decky_place(&permit, fleet).await?;
    host.close().await;
    Ok(placed.len())
}

/// Writes the day; gives its fleet.
fn sow(settings: &Settings, command: &DemoCommand) -> Result<FleetSpec> {
    let DemoCommand::Seed {
        events,
        attackers,
        deckies,
        seed,
        end,
        yes,
        ..
    } = command;
    if !yes && Reader::open(&settings.spool_dir(), Position::default()).lag_bytes()? > 0 {
        return Err(StartError::unavailable(format!(
            "there is evidence in {}, and what is invented could not be told from it or taken out again: \
             name another --data-dir, or say --yes",
            settings.data_dir.display()
        ))
        .into());
    }
    let end = end.unwrap_or_else(|| SystemClock.now());
    let of_day = Options {
        events: *events,
        attackers: *attackers,
        deckies: *deckies,
        seed: *seed,
        end,
    };
    // A running collector has the spool; lines go through its door then, which no decky can have: they are of many.
    let kept = &settings.spool;
    let options = decnet_spool::Options {
        segment_bytes: kept.segment_bytes,
        segment_age: kept.segment_age,
        total_bytes: kept.cap_bytes,
        hard_bytes: kept.hard_cap_bytes,
        free_floor_bytes: kept.min_free_bytes,
        ..decnet_spool::Options::default()
    };
    let mut door = match Writer::open(&settings.spool_dir(), options) {
        Ok(writer) => Door::Spool(Box::new(writer)),
        Err(SpoolError::Locked { .. }) => Door::Outlet(Outlet::create(&settings.outlets_dir(), "_demo")?),
        Err(error) => return Err(error).context("the spool"),
    };
    let folder = settings.deckies_dir();
    let mut day = Day::keeping(of_day, &folder).map_err(not_kept)?;
    let progress = std::io::stderr().is_terminal();
    let mut written = 0_u64;
    for line in day.by_ref() {
        door.append(&line)?;
        written += 1;
        if progress && written.is_multiple_of(10_000) {
            eprint!("\r{written} of {events} lines");
        }
    }
    door.close()?;
    if progress {
        eprintln!();
    }
    let fleet = day.fleet();
    let left = day.finish().map_err(not_kept)?;
    let folder = folder.display();
    println!("events      {written}, in the spool");
    println!("attackers   {}", left.attackers);
    println!("deckies     {}", left.deckies);
    println!("files       {}, captured, in {folder}/*/{ARTIFACTS}", left.files);
    println!(
        "recordings  {}, of sessions, in {folder}/*/{TRANSCRIPTS}",
        left.recordings
    );
    Ok(fleet)
}

/// A folder of the deckies that does not take what visitors leave.
fn not_kept(fault: Fault) -> StartError {
    let Fault { folder, source } = fault;
    StartError::io(
        &format!(
            "captured files and recordings cannot be kept in {}",
            folder.display()
        ),
        &source,
    )
}

/// Where demo lines enter.
enum Door {
    Spool(Box<Writer>),
    Outlet(Outlet),
}

impl Door {
    fn append(&mut self, line: &[u8]) -> Result<(), SpoolError> {
        match self {
            Self::Spool(writer) => {
                writer.append(line)?;
                if writer.pending_bytes() > 1 << 20 {
                    writer.commit()?;
                }
                Ok(())
            }
            Self::Outlet(outlet) => outlet.append(line),
        }
    }

    fn close(self) -> Result<(), SpoolError> {
        match self {
            Self::Spool(mut writer) => writer.commit().map(drop),
            Self::Outlet(_) => Ok(()),
        }
    }
}
