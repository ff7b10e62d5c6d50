//! Telling a worker to stop, over the bus, and knowing whether it heard.
//!
//! The order is an event of `system.<worker>.control`. Who obeys says so at once, in a heartbeat that has the task
//! [`ORDER`]: the bus itself promises nobody that somebody listens. Starting one again is its supervisor's
//! ([`crate::supervisor`]).

use std::{path::Path, time::Duration};

use decnet_bus::{Bus, Event};
use decnet_model::{
    name::WorkerName,
    state::{ORDER, WorkerState},
    topic::{Pattern, Topic},
    view::WorkerView,
};
use serde_json::json;
use tokio::time::timeout;

/// How long the bus may take to take us.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a worker may take to say that it obeys: its tasks take turns.
const ANSWER: Duration = Duration::from_secs(5);
/// Characters of the name of who ordered that are kept. Anybody who may open the bus may order.
const NAME_CHARS: usize = 64;

/// Why a worker was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// There is no bus by the configuration.
    #[error(
        "the bus is off, over which {worker} would be told: stop decnet-{worker} where it was started, or set bus-enabled"
    )]
    Off {
        /// Who.
        worker: WorkerName,
    },
    /// The bus does not answer.
    #[error(
        "decnet-{worker} was not told to stop: the bus at {bus} does not answer; stop it where it was started, or see to \
         the bus"
    )]
    Away {
        /// Who.
        worker: WorkerName,
        /// Where the bus should be.
        bus: String,
    },
    /// The bus took the order, and nobody said that he obeys.
    #[error(
        "nobody heard the order to stop: decnet-{worker} does not run, or listens to another bus than {bus}"
    )]
    Unheard {
        /// Who.
        worker: WorkerName,
        /// Where the bus is.
        bus: String,
    },
}

/// What tells the workers of the data directory whose folder `run` is from those of every other that is on the same bus.
#[must_use]
pub fn place(run: &Path) -> String {
    // A host without a name has the only data directory of that path.
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}:{}", host.to_string_lossy(), run.display())
}

/// Tell `worker` to stop, in the name of `by`: the one of the place `at`, or of any where that is not said. It then drains
/// and ends by itself; its heartbeat tells when.
///
/// # Errors
/// It was not told, or did not answer.
pub async fn stop(bus: &Bus, worker: &WorkerName, by: &str, at: Option<&Path>) -> Result<(), Untold> {
    if !bus.is_on() {
        let worker = worker.clone();
        return Err(Untold::Off { worker });
    }
    let away = || Untold::Away {
        worker: worker.clone(),
        bus: bus.address().to_owned(),
    };
    let mut beats = bus.subscribe(Pattern::exactly(&Topic::worker_health(worker)));
    timeout(CONNECT, beats.established()).await.map_err(|_| away())?;
    bus.publish(
        Topic::worker_control(worker),
        json!({ "action": "stop", "requested_by": by, "place": at.map(place) }),
    );
    let answered = timeout(ANSWER, async {
        while let Some(event) = beats.recv().await {
            if obeys(&event) {
                return true;
            }
        }
        false
    });
    match answered.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(away()),
        Err(_) => Err(Untold::Unheard {
            worker: worker.clone(),
            bus: bus.address().to_owned(),
        }),
    }
}

fn obeys(event: &Event) -> bool {
    event
        .parse::<WorkerView>()
        .is_ok_and(|beat| beat.state == WorkerState::Stopped || beat.tasks.contains_key(ORDER))
}

/// Who wants the worker at `run` to stop that `event` is for; `None` where it is no such order.
pub(crate) fn stop_by(event: &Event, run: &Path) -> Option<String> {
    let text = |key: &str| event.payload.get(key).and_then(|value| value.as_str());
    let elsewhere = text("place").is_some_and(|there| there != place(run));
    if text("action") != Some("stop") || elsewhere {
        return None;
    }
    let by = text("requested_by").unwrap_or("somebody on the bus");
    Some(by.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn name() -> WorkerName {
        "profiler".parse().unwrap()
    }

    fn beat(task: &str) -> WorkerView {
        WorkerView {
            name: name(),
            state: WorkerState::Ok,
            last_heard: None,
            pid: None,
            version: None,
            uptime_s: None,
            tasks: BTreeMap::from([(task.to_owned(), "x".to_owned())]),
            kept_by: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_says_that_it_obeys_was_told() {
        let (bus, name, here) = (Bus::fake(), name(), Path::new("/one/run"));
        let unheard = stop(&bus, &name, "ann", Some(here)).await.unwrap_err();
        assert!(matches!(unheard, Untold::Unheard { .. }), "{unheard}");

        let answer = async |task: &str| {
            bus.publish(Topic::worker_health(&name), beat(task));
            std::future::pending::<()>().await;
        };
        let by_chance = tokio::select! {
            told = stop(&bus, &name, "ann", Some(here)) => told,
            () = answer("index") => unreachable!(),
        };
        assert!(
            matches!(by_chance, Err(Untold::Unheard { .. })),
            "a heartbeat is no answer"
        );
        // Only now: the orders before were for somebody who did not listen.
        let mut control = bus.subscribe(Pattern::exactly(&Topic::worker_control(&name)));
        let obeying = async {
            let order = control.recv().await.unwrap();
            assert_eq!(stop_by(&order, here).as_deref(), Some("ann"));
            assert_eq!(stop_by(&order, Path::new("/two/run")), None, "another host's");
            bus.publish(Topic::worker_control(&name), json!({ "action": "stop" }));
            let anybody = control.recv().await.unwrap();
            assert!(stop_by(&anybody, here).is_some());
            answer(ORDER).await;
        };
        tokio::select! {
            told = stop(&bus, &name, "ann", Some(here)) => told.unwrap(),
            () = obeying => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_is_off_or_away_tells_nobody() {
        let name = name();
        let off = stop(&Bus::none(), &name, "ann", None).await.unwrap_err();
        assert!(off.to_string().contains("the bus is off"), "{off}");
        let folder = tempfile::tempdir().unwrap();
        let nobody = decnet_bus::BusConfig::unix(folder.path().join("bus.sock"));
        let bus = Bus::connect(&nobody, "test");
        let away = stop(&bus, &name, "ann", None).await.unwrap_err().to_string();
        assert!(
            away.contains("was not told") && away.contains("bus.sock"),
            "{away}"
        );
    }
}
