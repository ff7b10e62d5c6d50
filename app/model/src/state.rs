//! The states that things go through, and the closed list of workers.

use time::{Duration, OffsetDateTime};

/// Every daemon of a host, as `decnet-<name>`. The server counts as one: it has a heartbeat like the others.
pub const WORKERS: &[&str] = &["bus", "server", "collector", "ingester", "profiler", "mutator"];

/// The task of a heartbeat under which a worker that lives says what keeps it from working.
pub const ALARM: &str = "alarm";

/// The task of a heartbeat under which a worker says that it ends, or has ended, because somebody told it to.
pub const ORDER: &str = "order";

/// The task under which what keeps a worker says why it is in quarantine.
pub const QUARANTINE: &str = "quarantine";

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:tt),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word under which it is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::name::NameError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::name::NameError {
                        what: stringify!($name),
                        value: s.chars().take(80).collect(),
                        rule: concat!("one of:", $(" ", $text),*),
                    }),
                }
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    /// The lifecycle of a decky, as observed.
    DeckyState {
        /// Wanted, and nothing done yet.
        Pending = "pending",
        /// Steps are being run to bring it up.
        Deploying = "deploying",
        /// Every service answers for it.
        Running = "running",
        /// Up, but something it should have is missing.
        Degraded = "degraded",
        /// Its services are being changed.
        Mutating = "mutating",
        /// Being taken down.
        Stopping = "stopping",
        /// Down, as wanted.
        Stopped = "stopped",
        /// Could not be brought up, or is in quarantine: `last_error` says why.
        Failed = "failed",
    }
}

text_enum! {
    /// What an alert is about; the worst first.
    AlertKind {
        /// A part of the host does not do its work.
        Host = "host",
        /// Deckies that are wanted and do not run as they should.
        Fleet = "fleet",
        /// Somebody signed in to a decoy.
        Intrusion = "intrusion",
    }
}

text_enum! {
    /// How a worker is doing, by its heartbeat.
    WorkerState {
        /// Heard within the last 90 seconds.
        Ok = "ok",
        /// Heard once, and not for 90 seconds; or its process is gone without having said that it stops.
        Stale = "stale",
        /// It said that it stops.
        Stopped = "stopped",
        /// It died too often: what keeps it starts it no more until somebody clears it.
        Quarantined = "quarantined",
        /// Never heard.
        Unknown = "unknown",
    }
}

text_enum! {
    /// Whether a worker is installed on a host, and who starts it again there when it dies.
    KeptBy {
        /// Installed, and kept by the `decnet up` that runs the host.
        Up = "up",
        /// Installed as a unit of systemd, which may be another installation's; no `decnet up` runs the host.
        Systemd = "systemd",
        /// Installed, and started again by nobody.
        Nobody = "nobody",
        /// Not installed: neither its program nor a unit is there.
        Missing = "missing",
    }
}

text_enum! {
    /// What a user may do.
    Role {
        /// May look at everything but captured files and the administration.
        Viewer = "viewer",
        /// May do everything.
        Admin = "admin",
    }
}

text_enum! {
    /// What kind of loot a bounty is.
    BountyKind {
        /// A user name with a password or a hash.
        Credential = "credential",
        /// A file that an intruder left.
        Artifact = "artifact",
        /// Code or a command line that was sent to be run.
        Payload = "payload",
        /// A fingerprint of the intruder's own software.
        Fingerprint = "fingerprint",
    }
}

/// A worker that was not heard for so long is stale.
const STALE_AFTER: Duration = Duration::seconds(90);

impl WorkerState {
    /// How a worker does at `now` that said this at `heard`.
    ///
    /// A heartbeat from the future is worth as much as one from the past: the clock was put back since, and whoever lives
    /// says so again within half a minute.
    #[must_use]
    pub fn as_of(self, heard: OffsetDateTime, now: OffsetDateTime) -> Self {
        match self {
            Self::Ok if (now - heard).abs() > STALE_AFTER => Self::Stale,
            said => said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_stale_90_seconds_away_from_its_heartbeat_whichever_way_the_clock_went() {
        let heard = OffsetDateTime::UNIX_EPOCH;
        for (seconds, state) in [
            (0, WorkerState::Ok),
            (90, WorkerState::Ok),
            (91, WorkerState::Stale),
            (-90, WorkerState::Ok),
            (-3600, WorkerState::Stale),
        ] {
            let now = heard + Duration::seconds(seconds);
            assert_eq!(WorkerState::Ok.as_of(heard, now), state, "{seconds} s");
            assert_eq!(WorkerState::Stopped.as_of(heard, now), WorkerState::Stopped);
        }
    }
}
