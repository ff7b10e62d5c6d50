//! `decnet worker`: the daemons of this host.

use anyhow::Result;
use decnet_model::{
    clock::{Clock as _, SystemClock},
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    state::{WORKERS, WorkerState},
    view::WorkerView,
};
use decnet_runtime::{
    Settings, heartbeat,
    settings::{Mode, keys::uses_database},
};

use crate::{
    cli::{ListArgs, PlaceArgs, WorkerCommand},
    host::{self, Host},
    output,
};

/// `decnet worker …`
pub(crate) async fn run(place: &PlaceArgs, command: &WorkerCommand) -> Result<()> {
    let settings = host::settings(place)?;
    match command {
        // An agent has no database; its workers leave their heartbeats on the host.
        WorkerCommand::List(how) if settings.mode == Mode::Agent => list(*how, &left(&settings)),
        WorkerCommand::List(how) => {
            let host = Host::with(settings).await?;
            list(
                *how,
                &host.domain.worker_list(&host.permit::<ViewFleet>()?).await?,
            )?;
            host.close().await;
            Ok(())
        }
        WorkerCommand::Stop { name } => {
            let host = Host::open(place).await?;
            host.domain
                .worker_stop(&host.permit::<ManageWorkers>()?, name)
                .await?;
            println!("{name} was told to stop.");
            host.close().await;
            Ok(())
        }
    }
}

fn list(how: ListArgs, workers: &[WorkerView]) -> Result<()> {
    if how.json {
        return output::json(&workers);
    }
    let rows: Vec<_> = workers
        .iter()
        .map(|w| {
            vec![
                w.name.to_string(),
                w.state.to_string(),
                w.pid.map_or_else(|| "-".to_owned(), |p| p.to_string()),
                w.last_heard.map_or_else(|| "never".to_owned(), output::time),
                w.tasks
                    .iter()
                    .map(|(k, v)| format!("{k}: {v}"))
                    .collect::<Vec<_>>()
                    .join("; "),
            ]
        })
        .collect();
    output::table(
        &["WORKER", "STATE", "PID", "LAST HEARD", "DOING"],
        &rows,
        "There are no workers.",
    );
    Ok(())
}

/// The workers of an agent, by what they left on it.
fn left(settings: &Settings) -> Vec<WorkerView> {
    let (now, run_dir) = (SystemClock.now(), settings.run_dir());
    let names = WORKERS.iter().filter(|name| !uses_database(name));
    names
        .filter_map(|name| name.parse::<WorkerName>().ok())
        .map(|name| match heartbeat::left(&run_dir, &name) {
            Some(beat) => WorkerView {
                state: beat.last_heard.map_or(beat.state, |at| beat.state.as_of(at, now)),
                ..beat
            },
            None => WorkerView {
                name,
                state: WorkerState::Unknown,
                last_heard: None,
                pid: None,
                version: None,
                uptime_s: None,
                tasks: Default::default(),
            },
        })
        .collect()
}
