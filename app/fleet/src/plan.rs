//! Which steps lead from what is observed to what is desired. Pure: the same input gives the same steps, and planning
//! what was just built gives none.

use std::fmt;

use decnet_model::name::DeckyName;

use crate::{DesiredDecky, ObservedDecky};

/// One thing for an engine to do. Each may be repeated without harm: a step that was cut short is run again.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the decky's surroundings: folders, configuration. Nothing runs yet.
    Create(Box<DesiredDecky>),
    /// Run it; done when every service listens.
    Start(DeckyName),
    /// Let a running decky have other services, without touching those that stay.
    Reconfigure(Box<DesiredDecky>),
    /// End it. What `Create` made stays.
    Stop(DeckyName),
    /// Take away what `Create` made. Captured evidence stays.
    Remove(DeckyName),
}

/// The kind of a step: what metrics and progress lines call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// [`Step::Create`].
    Create,
    /// [`Step::Start`].
    Start,
    /// [`Step::Reconfigure`].
    Reconfigure,
    /// [`Step::Stop`].
    Stop,
    /// [`Step::Remove`].
    Remove,
}

impl Step {
    /// The decky that it is about.
    #[must_use]
    pub fn decky(&self) -> &DeckyName {
        match self {
            Self::Create(decky) | Self::Reconfigure(decky) => &decky.name,
            Self::Start(name) | Self::Stop(name) | Self::Remove(name) => name,
        }
    }

    /// Whether it gives an address back: such steps are done before those that take one.
    #[must_use]
    pub fn frees(&self) -> bool {
        matches!(self, Self::Stop(_) | Self::Remove(_))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Create(_) => StepKind::Create,
            Self::Start(_) => StepKind::Start,
            Self::Reconfigure(_) => StepKind::Reconfigure,
            Self::Stop(_) => StepKind::Stop,
            Self::Remove(_) => StepKind::Remove,
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Reconfigure => "reconfigure services of",
            Self::Stop => "stop",
            Self::Remove => "remove",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.decky())
    }
}

/// The steps from `observed` to `desired`: first what frees addresses, then what takes them. The steps of one decky
/// are in their order; those of different ones do not depend on each other but for that.
///
/// One that is to stand still is stopped and left as it was made; what has changed of it since is made when it is to run again.
#[must_use]
pub fn plan(desired: &[DesiredDecky], observed: &[ObservedDecky]) -> Vec<Step> {
    let seen = |name: &DeckyName| observed.iter().find(|o| o.name == *name);
    let mut steps = Vec::new();
    for there in observed {
        let wanted = desired.iter().find(|d| d.name == there.name);
        let same = wanted.is_some_and(|d| there.identity == Some(d.identity()));
        let rests = wanted.is_some_and(|d| d.stopped);
        // Of one that is to stand still and ended by itself something may be left: stopping takes that away.
        let ended = rests && there.seen.died.is_some();
        if there.running && (rests || !same) || ended {
            steps.push(Step::Stop(there.name.clone()));
        }
        if wanted.is_none() {
            steps.push(Step::Remove(there.name.clone()));
        }
    }
    for decky in desired.iter().filter(|d| !d.stopped) {
        let there = seen(&decky.name);
        let same = there.is_some_and(|o| o.identity == Some(decky.identity()));
        let running = same && there.is_some_and(|o| o.running);
        let loaded = same && there.is_some_and(|o| o.loadout == Some(decky.loadout()));
        match (running, loaded) {
            (true, true) => {}
            (true, false) => steps.push(Step::Reconfigure(Box::new(decky.clone()))),
            (false, true) => steps.push(Step::Start(decky.name.clone())),
            (false, false) => {
                steps.push(Step::Create(Box::new(decky.clone())));
                steps.push(Step::Start(decky.name.clone()));
            }
        }
    }
    steps
}
