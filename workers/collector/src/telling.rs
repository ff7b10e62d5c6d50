//! What others hear of the collector: hints on the bus, figures and alarms in its heartbeat.

use decnet_bus::Bus;
use decnet_model::topic::Topic;
use decnet_runtime::{Context, Status};

use crate::pump::Turn;

/// Tells the bus, the heartbeat and the log what a turn brought; what did not change is not told again.
pub(crate) struct Telling {
    bus: Bus,
    status: Status,
    unread_segments: u64,
}

impl Telling {
    pub(crate) fn new(ctx: &Context) -> Self {
        Self {
            bus: ctx.bus.clone(),
            status: ctx.status.clone(),
            unread_segments: 0,
        }
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
            (totals.foreign_lines, "lines in another's name"),
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
        match (&turn.trouble, &turn.unread) {
            (Some(trouble), _) => {
                if let Some(times) = self.status.alarm(trouble) {
                    tracing::error!(trouble, times, "lines are not taken; outlets keep them");
                }
            }
            (None, Some(unread)) => {
                if let Some(times) = self.status.alarm(unread) {
                    tracing::error!(trouble = unread, times, "lines of some outlets are not taken");
                }
            }
            (None, None) => {
                if self.status.calm() {
                    tracing::info!("lines are taken again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_model::topic::Pattern;
    use decnet_runtime::heartbeat::ALARM;
    use decnet_spool::{Dropped, outlet::Totals};

    use super::*;

    fn turn(lines: u64, trouble: Option<&str>) -> Turn {
        Turn {
            lines,
            outlets: 1,
            totals: Totals::default(),
            dropped: Dropped::default(),
            trouble: trouble.map(str::to_owned),
            unread: None,
        }
    }

    #[tokio::test]
    async fn the_bus_hears_of_commits_and_the_heartbeat_carries_the_alarm_until_it_is_over() {
        let bus = Bus::fake();
        let mut heard = bus.subscribe(Pattern::all());
        let status = Status::default();
        let mut telling = Telling {
            bus: bus.clone(),
            status: status.clone(),
            unread_segments: 0,
        };
        let alarm = || status.all().get(ALARM).cloned();
        telling.tell(&turn(0, None));
        telling.tell(&turn(3, None));
        assert_eq!(alarm(), None);
        telling.tell(&turn(0, Some("no room: 5 bytes are free")));
        telling.tell(&turn(0, Some("no room: 4 bytes are free")));
        assert_eq!(alarm().as_deref(), Some("no room: 4 bytes are free"));
        telling.tell(&turn(2, None));
        assert_eq!(alarm(), None);
        // Also where the lines of others are taken.
        telling.tell(&Turn {
            unread: Some("cannot list the outlets of web-01: gone".to_owned()),
            ..turn(1, None)
        });
        assert_eq!(
            alarm().as_deref(),
            Some("cannot list the outlets of web-01: gone")
        );
        telling.tell(&turn(0, None));
        assert_eq!(alarm(), None);

        bus.close().await;
        let mut commits = Vec::new();
        while let Some(event) = heard.recv().await {
            assert_eq!(event.topic, Topic::system_log());
            commits.push(event.payload["lines"].as_u64().unwrap());
        }
        assert_eq!(commits, [3, 2, 1]);
    }
}
