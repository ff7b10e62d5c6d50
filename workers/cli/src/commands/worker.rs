//! `decnet worker`: the daemons of this host.

use anyhow::Result;
use decnet_model::permission::{ManageWorkers, ViewFleet};

use crate::{
    cli::{PlaceArgs, WorkerCommand},
    host::Host,
    output,
};

/// `decnet worker …`
pub(crate) async fn run(place: &PlaceArgs, command: &WorkerCommand) -> Result<()> {
    let host = Host::open(place).await?;
    match command {
        WorkerCommand::List(list) => {
            let workers = host.domain.worker_list(&host.permit::<ViewFleet>()?).await?;
            if list.json {
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
        }
        WorkerCommand::Stop { name } => {
            host.domain
                .worker_stop(&host.permit::<ManageWorkers>()?, name)
                .await?;
            println!("{name} was told to stop.");
        }
    }
    host.close().await;
    Ok(())
}
