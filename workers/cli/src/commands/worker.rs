//! `decnet worker`: the daemons of this host.

use anyhow::Result;
use decnet_bus::{Bus, Endpoint};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    state::{ALARM, KeptBy, ORDER, WORKERS, WorkerState},
    view::{StartAll, StartFailure, WorkerView},
};
use decnet_runtime::{
    Settings, StartError,
    exit::chain,
    heartbeat,
    installed::Places,
    order,
    settings::{Mode, keys::uses_database},
    supervisor::{NotDone, Order},
};

use crate::{
    cli::{ListArgs, PlaceArgs, WorkerCommand},
    host::{self, Host},
    output,
};

/// `decnet worker …`
pub(crate) async fn run(place: &PlaceArgs, command: &WorkerCommand) -> Result<()> {
    let settings = host::settings(place)?;
    if settings.mode == Mode::Agent {
        return on_agent(&settings, command).await;
    }
    let bus = bus_row(&settings);
    let host = Host::with(settings).await?;
    let done = on_master(&host, bus, command).await;
    host.close().await;
    done
}

async fn on_master(host: &Host, bus: Option<Vec<String>>, command: &WorkerCommand) -> Result<()> {
    match command {
        WorkerCommand::List(how) => {
            let workers = host.domain.worker_list(&host.permit::<ViewFleet>()?).await?;
            list(*how, bus, &workers)?;
        }
        WorkerCommand::Stop { name } => {
            let permit = host.permit::<ManageWorkers>()?;
            host.domain.worker_stop(&permit, name).await?;
            stopping(name);
        }
        WorkerCommand::Start { name: Some(name), .. } => {
            let permit = host.permit::<ManageWorkers>()?;
            host.domain.worker_start(&permit, name).await?;
            running(name);
        }
        WorkerCommand::Start { name: None, .. } => {
            let permit = host.permit::<ManageWorkers>()?;
            started(&host.domain.worker_start_all(&permit).await?)?;
        }
        WorkerCommand::Clear { name } => {
            let permit = host.permit::<ManageWorkers>()?;
            host.domain.worker_clear_quarantine(&permit, name).await?;
            running(name);
        }
    }
    Ok(())
}

/// What became of starting every worker that is down.
fn started(done: &StartAll) -> Result<()> {
    done.started.iter().for_each(running);
    for StartFailure { name, reason } in &done.failed {
        eprintln!("{name} does not come up: {reason}");
    }
    println!("{} ran already.", done.already_running.len());
    match done.failed.len() {
        0 => Ok(()),
        failed => Err(StartError::unavailable(format!("{failed} do not come up")).into()),
    }
}

/// The same where there is no database: an agent's workers leave their heartbeats on the host, and nothing is audited.
async fn on_agent(settings: &Settings, command: &WorkerCommand) -> Result<()> {
    match command {
        WorkerCommand::List(how) => list(*how, bus_row(settings), &left(settings)),
        WorkerCommand::Stop { name } => {
            let bus = Bus::connect(&settings.bus, "cli");
            let told = order::stop(&bus, name, &host::login()?, Some(&settings.run_dir())).await;
            bus.close().await;
            if let Err(untold) = told {
                // What keeps it can stop it where the bus could not tell it.
                let stopped = Order::Stop(name.clone()).give(&settings.run_dir()).await;
                stopped.map_err(|refused| match refused {
                    NotDone::Absent { .. } => StartError::unavailable(untold.to_string()),
                    refused => StartError::unavailable(chain(&refused)),
                })?;
            }
            stopping(name);
            Ok(())
        }
        WorkerCommand::Start { name, .. } => {
            let down = left(settings).into_iter().filter(|w| w.state != WorkerState::Ok);
            let names = name
                .clone()
                .map_or_else(|| down.map(|w| w.name).collect(), |name| vec![name]);
            for name in names {
                have_up(settings, Order::Start(name)).await?;
            }
            Ok(())
        }
        WorkerCommand::Clear { name } => have_up(settings, Order::Clear(name.clone())).await,
    }
}

/// Have the `decnet up` of this host carry out an order after which its worker runs.
async fn have_up(settings: &Settings, order: Order) -> Result<()> {
    let name = order.worker().clone();
    order
        .give(&settings.run_dir())
        .await
        .map_err(|refused| StartError::unavailable(chain(&refused)))?;
    running(&name);
    Ok(())
}

/// Say on standard error what keeps workers that live from working: what else is printed looks as if all were well.
pub(super) fn tell_alarms(workers: &[WorkerView]) {
    let living = workers.iter().filter(|worker| worker.state == WorkerState::Ok);
    for (worker, alarm) in living.filter_map(|worker| Some((worker, worker.tasks.get(ALARM)?))) {
        eprintln!("{} cannot work: {}", worker.name, output::harmless(alarm));
    }
}

fn stopping(name: &WorkerName) {
    println!("{name} was told to stop, and does.");
    if name.as_str() == "mutator" {
        println!("The deckies stop with it, and come back with `decnet worker start mutator`.");
    }
}

fn running(name: &WorkerName) {
    println!("{name} runs.");
}

/// The row of a bus that is no worker of this host.
fn bus_row(settings: &Settings) -> Option<Vec<String>> {
    let (state, doing) = match &settings.bus.endpoint {
        Endpoint::Unix(_) => return None,
        Endpoint::None => ("off".to_owned(), "each worker looks by itself"),
        Endpoint::Nats(at) => (at.to_string(), "not of this host"),
    };
    let row = ["bus", &state, "-", "-", "-", doing];
    Some(row.map(str::to_owned).to_vec())
}

fn list(how: ListArgs, bus: Option<Vec<String>>, workers: &[WorkerView]) -> Result<()> {
    if how.json {
        return output::json(&workers);
    }
    let listed = workers
        .iter()
        .filter(|w| bus.is_none() || w.name.as_str() != "bus")
        .map(|w| {
            vec![
                w.name.to_string(),
                match w.state {
                    WorkerState::Stopped if w.tasks.contains_key(ORDER) => "stopped by order".to_owned(),
                    state => state.to_string(),
                },
                w.kept_by.map_or("-", KeptBy::as_str).to_owned(),
                w.pid.map_or_else(|| "-".to_owned(), |p| p.to_string()),
                w.last_heard.map_or_else(|| "never".to_owned(), output::time),
                // Whoever may open the bus may say anything there.
                output::harmless(
                    &w.tasks
                        .iter()
                        .map(|(k, v)| format!("{k}: {v}"))
                        .collect::<Vec<_>>()
                        .join("; "),
                ),
            ]
        });
    let rows: Vec<_> = bus.clone().into_iter().chain(listed).collect();
    output::table(
        &["WORKER", "STATE", "KEPT BY", "PID", "LAST HEARD", "DOING"],
        &rows,
        "There are no workers.",
    );
    Ok(())
}

/// The workers of an agent, by what they left on it.
fn left(settings: &Settings) -> Vec<WorkerView> {
    let (now, run_dir, places) = (SystemClock.now(), settings.run_dir(), Places::here());
    let names = WORKERS.iter().filter(|name| !uses_database(name));
    names
        .filter_map(|name| name.parse::<WorkerName>().ok())
        .map(|name| {
            let kept_by = Some(places.kept_by(&run_dir, &name));
            let beat = heartbeat::left(&run_dir, &name, now).unwrap_or_else(|| WorkerView::unheard(name));
            WorkerView {
                state: beat.last_heard.map_or(beat.state, |at| beat.state.as_of(at, now)),
                kept_by,
                ..beat
            }
        })
        .collect()
}
