//! What others hear of the collector: hints on the bus, figures and alarms in its heartbeat.

use decnet_bus::Bus;
use decnet_model::{
    clock::SharedClock, name::WorkerName, state::WorkerState, topic::Topic, view::WorkerView,
};
use decnet_runtime::{Context, StartError, Status, VERSION, Worker};

use crate::{Collector, pump::Turn};

/// The task under which health looks for what keeps a worker that lives from working.
const ALARM: &str = "alarm";

/// Tells the bus, the heartbeat and the log what a turn brought; what did not change is not told again.
pub(crate) struct Telling {
    name: WorkerName,
    bus: Bus,
    clock: SharedClock,
    status: Status,
    trouble: Option<String>,
    unread_segments: u64,
}

impl Telling {
    pub(crate) fn new(ctx: &Context) -> Result<Self, StartError> {
        Ok(Self {
            name: Collector::NAME
                .parse()
                .map_err(|e| StartError::config(format!("{e}")))?,
            bus: ctx.bus.clone(),
            clock: ctx.clock.clone(),
            status: ctx.status.clone(),
            trouble: None,
            unread_segments: 0,
        })
    }

    pub(crate) fn tell(&mut self, turn: &Turn) {
        if turn.lines > 0 {
            // A hint for a commit, never an event for a line.
            self.bus
                .publish(Topic::system_log(), serde_json::json!({ "lines": turn.lines }));
        }
        let totals = turn.totals;
        let mut text = format!("{} lines taken, {} outlets", totals.lines, turn.outlets);
        for (count, what) in [
            (totals.cut_lines, "lines cut"),
            (totals.torn_lines, "torn lines"),
            (totals.shrunk_files, "outlets cut by somebody"),
            (totals.failed_files, "outlets unreadable"),
            (turn.dropped.read_segments, "segments dropped after reading"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        self.status.set("spool", text);
        if turn.dropped.unread_segments > self.unread_segments {
            self.unread_segments = turn.dropped.unread_segments;
            self.status.set(
                "lost",
                format!(
                    "{} segments, {} bytes dropped unread at the spool's hard cap",
                    turn.dropped.unread_segments, turn.dropped.unread_bytes
                ),
            );
        }
        // Amounts of free space in the text change all the time: what is told is that there is trouble, not its figures.
        match (&self.trouble, &turn.trouble) {
            (None, Some(trouble)) => {
                tracing::error!(trouble, "lines are not taken; outlets keep them");
                self.status.set(ALARM, trouble.clone());
                self.trouble = turn.trouble.clone();
                self.beat();
            }
            (Some(_), None) => {
                tracing::info!("lines are taken again");
                self.status.clear(ALARM);
                self.trouble = None;
                self.beat();
            }
            _ => {}
        }
    }

    /// A heartbeat out of turn, so that an alarm is seen now and not in half a minute.
    fn beat(&self) {
        let view = WorkerView {
            name: self.name.clone(),
            state: WorkerState::Ok,
            last_heard: Some(self.clock.now()),
            pid: Some(std::process::id()),
            version: Some(VERSION.to_owned()),
            uptime_s: None,
            tasks: self.status.all(),
        };
        self.bus.publish(Topic::worker_health(&self.name), &view);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use decnet_model::{clock::SystemClock, topic::Pattern};
    use decnet_spool::{Dropped, outlet::Totals};

    use super::*;

    fn turn(lines: u64, trouble: Option<&str>) -> Turn {
        Turn {
            lines,
            outlets: 1,
            totals: Totals::default(),
            dropped: Dropped::default(),
            trouble: trouble.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn the_bus_hears_commits_and_alarms_once_and_the_heartbeat_carries_the_alarm_until_it_is_over() {
        let bus = Bus::fake();
        let mut heard = bus.subscribe(Pattern::all());
        let status = Status::default();
        let mut telling = Telling {
            name: Collector::NAME.parse().unwrap(),
            bus: bus.clone(),
            clock: Arc::new(SystemClock),
            status: status.clone(),
            trouble: None,
            unread_segments: 0,
        };
        telling.tell(&turn(0, None));
        telling.tell(&turn(3, None));
        telling.tell(&turn(0, Some("no room: 5 bytes are free")));
        assert!(
            status
                .all()
                .get(ALARM)
                .is_some_and(|text| text.contains("no room"))
        );
        telling.tell(&turn(0, Some("no room: 4 bytes are free")));
        telling.tell(&turn(2, None));
        assert_eq!(status.all().get(ALARM), None);

        let mut events = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await {
            let alarm = event.payload.pointer("/tasks/alarm").is_some();
            events.push((
                event.topic.to_string(),
                event.payload.get("lines").and_then(|n| n.as_u64()),
                alarm,
            ));
            if events.len() == 4 {
                break;
            }
        }
        let health = Topic::worker_health(&telling.name).to_string();
        assert_eq!(
            events,
            [
                ("system.log".to_owned(), Some(3), false),
                (health.clone(), None, true),
                ("system.log".to_owned(), Some(2), false),
                (health, None, false),
            ]
        );
    }
}
