//! Bus topics: built here and nowhere else, and the patterns that subscribers use.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    id::{TaskId, TopologyId},
    name::{DeckyName, NameError, WorkerName},
};

/// Where an event is published: dot-separated tokens, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

/// What a subscriber listens to: `*` stands for one token, a last `>` for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// The most bytes of a topic or a pattern.
pub const MAX_TOPIC: usize = 256;

/// How far a change of a topology is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutationStage {
    /// It is wanted.
    Enqueued,
    /// It is being made.
    Applying,
    /// It is made.
    Applied,
    /// It could not be made.
    Failed,
}

impl MutationStage {
    /// Its token in a topic.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Failed => "failed",
        }
    }
}

fn is_token(token: &str) -> bool {
    !token.is_empty()
        && token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl Topic {
    /// New evidence is in the database: a hint to look.
    #[must_use]
    pub fn system_log() -> Self {
        Self("system.log".into())
    }

    /// The broker's own figures.
    #[must_use]
    pub fn bus_health() -> Self {
        Self("system.bus.health".into())
    }

    /// Told to one subscriber: how many events it lost.
    #[must_use]
    pub fn bus_dropped() -> Self {
        Self("system.bus.dropped".into())
    }

    /// A worker's heartbeat.
    #[must_use]
    pub fn worker_health(worker: &WorkerName) -> Self {
        Self(format!("system.{worker}.health"))
    }

    /// Orders to a worker.
    #[must_use]
    pub fn worker_control(worker: &WorkerName) -> Self {
        Self(format!("system.{worker}.control"))
    }

    /// Desired state changed: the reconciler should look.
    #[must_use]
    pub fn fleet_changed() -> Self {
        Self("fleet.changed".into())
    }

    /// A step of a fleet task.
    #[must_use]
    pub fn fleet_task(task: TaskId) -> Self {
        Self(format!("fleet.task.{task}"))
    }

    /// A decky's state changed.
    #[must_use]
    pub fn decky_state(decky: &DeckyName) -> Self {
        Self(format!("decky.{decky}.state"))
    }

    /// A decky's services changed.
    #[must_use]
    pub fn decky_mutation(decky: &DeckyName) -> Self {
        Self(format!("decky.{decky}.mutation"))
    }

    /// What passed through a decky. Nobody tells it yet.
    #[must_use]
    pub fn decky_traffic(decky: &DeckyName) -> Self {
        Self(format!("decky.{decky}.traffic"))
    }

    /// How a decky looks to a scanner. Nobody tells it yet.
    #[must_use]
    pub fn decky_fingerprint(decky: &DeckyName) -> Self {
        Self(format!("decky.{decky}.fingerprint"))
    }

    /// What became of a change that somebody wanted of a topology. Nobody tells it yet.
    #[must_use]
    pub fn topology_mutation(topology: TopologyId, stage: MutationStage) -> Self {
        Self(format!("topology.{topology}.mutation.{}", stage.as_str()))
    }

    /// A topology's state changed. Nobody tells it yet.
    #[must_use]
    pub fn topology_status(topology: TopologyId) -> Self {
        Self(format!("topology.{topology}.status"))
    }

    /// An attacker was seen for the first time.
    #[must_use]
    pub fn attacker_observed() -> Self {
        Self("attacker.observed".into())
    }

    /// How much there is of an attacker was counted anew. Nobody tells it yet.
    #[must_use]
    pub fn attacker_scored() -> Self {
        Self("attacker.scored".into())
    }

    /// An attacker left a fingerprint.
    #[must_use]
    pub fn attacker_fingerprinted() -> Self {
        Self("attacker.fingerprinted".into())
    }

    /// An attacker's session began.
    #[must_use]
    pub fn attacker_session_started() -> Self {
        Self("attacker.session.started".into())
    }

    /// An attacker's session ended.
    #[must_use]
    pub fn attacker_session_ended() -> Self {
        Self("attacker.session.ended".into())
    }

    /// A user was changed: sessions and streams of it have to be looked at again.
    #[must_use]
    pub fn user_changed() -> Self {
        Self("system.users.changed".into())
    }

    /// All evidence was deleted.
    #[must_use]
    pub fn evidence_forgotten() -> Self {
        Self("system.evidence.forgotten".into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(">".into())
    }

    /// Exactly one topic.
    #[must_use]
    pub fn exactly(topic: &Topic) -> Self {
        Self(topic.0.clone())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of `topic` is for this pattern's subscriber.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut want = self.0.split('.');
        let mut have = topic.0.split('.');
        loop {
            match (want.next(), have.next()) {
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(w), Some(h)) if w == h => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        if s.len() <= MAX_TOPIC && s.split('.').all(is_token) {
            Ok(Self(s))
        } else {
            Err(NameError {
                what: "topic",
                value: s.chars().take(80).collect(),
                rule: "tokens of letters, digits, _ and - with a dot between them, 256 bytes at most",
            })
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        let mut tokens = s.split('.').peekable();
        let mut good = s.len() <= MAX_TOPIC;
        while let Some(token) = tokens.next() {
            good &= token == "*" || (token == ">" && tokens.peek().is_none()) || is_token(token);
        }
        if good {
            Ok(Self(s))
        } else {
            Err(NameError {
                what: "pattern",
                value: s.chars().take(80).collect(),
                rule: "a topic in which * may stand for a token and > for the rest",
            })
        }
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(t: $name) -> String {
                t.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                s.to_owned().try_into()
            }
        }
    )*};
}
as_text!(Topic, Pattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of matching, written as a recursion over token lists.
    fn by_definition(want: &[&str], have: &[&str]) -> bool {
        match (want, have) {
            ([], []) => true,
            ([">"], have) => !have.is_empty(),
            (["*", want @ ..], [_, have @ ..]) => by_definition(want, have),
            ([w, want @ ..], [h, have @ ..]) => w == h && by_definition(want, have),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(want in r"([ab*](\.[ab*]){0,4}(\.>)?)|>", have in r"[ab](\.[ab]){0,5}") {
            let pattern: Pattern = want.parse().unwrap();
            let topic: Topic = have.parse().unwrap();
            let want: Vec<_> = want.split('.').collect();
            let have: Vec<_> = have.split('.').collect();
            prop_assert_eq!(pattern.matches(&topic), by_definition(&want, &have));
        }
    }

    #[test]
    fn every_topic_is_spelt_as_its_subscribers_know_it_and_is_one() {
        let decky: DeckyName = "web-01".parse().unwrap();
        let worker: WorkerName = "collector".parse().unwrap();
        let (task, topology) = (TaskId(uuid::Uuid::nil()), TopologyId(uuid::Uuid::nil()));
        let nil = uuid::Uuid::nil();
        let change = |stage| Topic::topology_mutation(topology, stage);
        for (topic, text) in [
            (Topic::system_log(), "system.log".to_owned()),
            (Topic::bus_health(), "system.bus.health".to_owned()),
            (Topic::bus_dropped(), "system.bus.dropped".to_owned()),
            (
                Topic::worker_health(&worker),
                "system.collector.health".to_owned(),
            ),
            (
                Topic::worker_control(&worker),
                "system.collector.control".to_owned(),
            ),
            (Topic::fleet_changed(), "fleet.changed".to_owned()),
            (Topic::fleet_task(task), format!("fleet.task.{nil}")),
            (Topic::decky_state(&decky), "decky.web-01.state".to_owned()),
            (Topic::decky_mutation(&decky), "decky.web-01.mutation".to_owned()),
            (Topic::decky_traffic(&decky), "decky.web-01.traffic".to_owned()),
            (
                Topic::decky_fingerprint(&decky),
                "decky.web-01.fingerprint".to_owned(),
            ),
            (
                change(MutationStage::Enqueued),
                format!("topology.{nil}.mutation.enqueued"),
            ),
            (
                change(MutationStage::Applying),
                format!("topology.{nil}.mutation.applying"),
            ),
            (
                change(MutationStage::Applied),
                format!("topology.{nil}.mutation.applied"),
            ),
            (
                change(MutationStage::Failed),
                format!("topology.{nil}.mutation.failed"),
            ),
            (Topic::topology_status(topology), format!("topology.{nil}.status")),
            (Topic::attacker_observed(), "attacker.observed".to_owned()),
            (Topic::attacker_scored(), "attacker.scored".to_owned()),
            (
                Topic::attacker_fingerprinted(),
                "attacker.fingerprinted".to_owned(),
            ),
            (
                Topic::attacker_session_started(),
                "attacker.session.started".to_owned(),
            ),
            (
                Topic::attacker_session_ended(),
                "attacker.session.ended".to_owned(),
            ),
        ] {
            assert_eq!(topic.as_str(), text);
            assert_eq!(text.parse::<Topic>().unwrap(), topic);
        }
    }

    #[test]
    fn wildcards_are_refused_in_topics_and_misplaced_ones_in_patterns() {
        for bad in ["a.*", ">", "a..b", "", "a b", "a\nb"] {
            assert!(bad.parse::<Topic>().is_err(), "{bad:?}");
        }
        for bad in ["a.>.b", "a*", "", "a..b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }
}
