//! What parts of this host say of themselves in their own words, and who is told those. They quote the system, the
//! database and the last lines of a process, so they tell where this host keeps its things: who manages a part reads why
//! it does badly, everybody else that it does.

use std::slice;

use decnet_model::{
    permission::{ManageFleet, ManageWorkers, Permission},
    state::{ALARM, QUARANTINE},
    view::{DeckyView, StreamSnapshot, TaskView, WorkerView},
};

use crate::{DomainError, permit::Actor};

/// What everybody is told of a worker that lives and cannot work.
pub(crate) const KEPT_FROM_WORK: &str = "something keeps it from its work: administrators see what";
/// What everybody is told of a worker in quarantine.
const LEFT_ALONE: &str = "it ended again and again: administrators see why";
/// What everybody is told of a decky that does badly, and of a task that failed or waits.
const WHY: &str = "administrators see why";

/// What everybody is told where nothing can be deployed.
const NOT_NOW: &str = "nothing can be deployed as things stand: administrators see why";
/// How the step begins of a task that waits; what it waits for stands after a colon.
const WAITS: &str = "waiting";

/// Something that says of itself how it does.
pub(crate) trait Inside {
    /// Who is told its own words.
    type Manages: Permission;

    /// Put words for everybody in the place of its own.
    fn hide(&mut self);
}

impl Inside for WorkerView {
    type Manages = ManageWorkers;

    fn hide(&mut self) {
        for (task, public) in [(ALARM, KEPT_FROM_WORK), (QUARANTINE, LEFT_ALONE)] {
            if let Some(words) = self.tasks.get_mut(task) {
                public.clone_into(words);
            }
        }
    }
}

impl Inside for DeckyView {
    type Manages = ManageFleet;

    fn hide(&mut self) {
        if let Some(words) = &mut self.last_error {
            WHY.clone_into(words);
        }
    }
}

impl Inside for TaskView {
    type Manages = ManageFleet;

    fn hide(&mut self) {
        if let Some(words) = &mut self.error {
            WHY.clone_into(words);
        }
        if self.step.starts_with(WAITS)
            && let Some((what, _)) = self.step.split_once(": ")
        {
            self.step = format!("{what}: {WHY}");
        }
    }
}

/// These as `actor` is told of them.
pub(crate) fn all<T: Inside>(actor: &Actor, mut things: Vec<T>) -> Vec<T> {
    hide_from(actor, &mut things);
    things
}

/// This as `actor` is told of it.
pub(crate) fn one<T: Inside>(actor: &Actor, mut thing: T) -> T {
    hide_from(actor, slice::from_mut(&mut thing));
    thing
}

/// Why nothing can be deployed, as `actor` is told of it: that names the interfaces and the orders of this host.
pub(crate) fn refusal(actor: &Actor, error: DomainError) -> DomainError {
    match error {
        DomainError::Conflict(_) if !actor.holds::<ManageFleet>() => {
            DomainError::Conflict(NOT_NOW.to_owned())
        }
        error => error,
    }
}

/// How things stand, as `actor` is told of it.
pub(crate) fn snapshot(actor: &Actor, mut snapshot: StreamSnapshot) -> StreamSnapshot {
    hide_from(actor, &mut snapshot.workers);
    hide_from(actor, &mut snapshot.deckies);
    hide_from(actor, &mut snapshot.tasks);
    snapshot
}

fn hide_from<T: Inside>(actor: &Actor, things: &mut [T]) {
    if !actor.holds::<T::Manages>() {
        things.iter_mut().for_each(T::hide);
    }
}
