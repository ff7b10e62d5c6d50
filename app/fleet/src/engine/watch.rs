//! Whether deckies that run are still contained: rules can be taken away by whoever is root on the host, and a firewall that is
//! loaded anew takes all of them. What was set is looked at now and then, and set again where it is another.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use decnet_model::{fleet::Egress, name::DeckyName};
use decnet_persona::Mac;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{
    contain::{self, Doors},
    lan::{self, INTERFACE},
    namespace::Namespace,
};

/// How long what was seen is taken for granted: less than the time between two rounds.
const HOLDS: Duration = Duration::from_secs(25);
/// How many deckies are looked at at a time.
pub(super) const LOOKS: usize = 4;

/// How a decky is to be contained, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    /// A process in its network.
    pub(super) pid: u32,
    pub(super) egress: Egress,
    pub(super) doors: Doors,
    /// This host, and the hardware address by which it is found, where it is found by one.
    pub(super) host: Option<(Ipv4Addr, Mac)>,
}

/// What is known of each decky. Whoever changes one has it alone: see [`Watch::alone`].
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<HashMap<DeckyName, Arc<AsyncMutex<Watched>>>>);

/// What was seen of a decky.
#[derive(Debug, Default)]
pub(super) struct Watched {
    looked: Option<Instant>,
    /// The rules as they are once they were set, and for what.
    rules: Option<(Bounds, String)>,
    /// Why the last look failed, which was told.
    ails: Option<String>,
}

impl Watch {
    fn of(&self, name: &DeckyName) -> Arc<AsyncMutex<Watched>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.clone()).or_default())
    }

    /// Keep looks away from `name` as long as what this gives lives: it is being changed.
    pub(super) async fn alone(&self, name: &DeckyName) -> OwnedMutexGuard<Watched> {
        let mut watched = self.of(name).lock_owned().await;
        // What was seen of it says nothing of what it becomes.
        (watched.looked, watched.ails) = (None, None);
        watched
    }

    /// What is known of `name`, where it is time to look at it and nobody changes it.
    pub(super) fn due(&self, name: &DeckyName) -> Option<OwnedMutexGuard<Watched>> {
        let watched = self.of(name).try_lock_owned().ok()?;
        let fresh = watched.looked.is_some_and(|when| when.elapsed() < HOLDS);
        (!fresh).then_some(watched)
    }

    /// Why it is not known whether `name`, which nobody changes, is contained.
    pub(super) fn ails(&self, name: &DeckyName) -> Option<String> {
        self.of(name).try_lock().ok()?.ails.clone()
    }

    /// There is no such decky any more, or another one from now on.
    pub(super) fn forget(&self, name: &DeckyName) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(name);
    }
}

impl Watched {
    /// Look whether `name` is contained within `bounds`, and see to it that it is. The first look sets what an earlier mutator may have
    /// set otherwise.
    pub(super) async fn look(&mut self, name: &DeckyName, bounds: Bounds) {
        self.looked = Some(Instant::now());
        let known = self.rules.take().filter(|(of, _)| *of == bounds);
        let had = known.is_some();
        let (there, within) = (known.map(|(_, rules)| rules), bounds.clone());
        let pid = bounds.pid;
        let done = tokio::task::spawn_blocking(move || hold(&within, there.as_deref())).await;
        match done.map_err(io::Error::other).flatten() {
            Ok((rules, changed)) => {
                if had && changed {
                    tracing::warn!(decky = %name, "somebody changed the rules that contain it; they are set again");
                }
                self.rules = Some((bounds, rules));
                self.ails = None;
            }
            // It ended meanwhile, and its network with it: whatever is there next is looked at then.
            Err(_) if is_gone(pid) => (self.looked, self.ails) = (None, None),
            Err(error) => {
                if self.ails.is_none() {
                    tracing::error!(decky = %name, %error, "whether it is still contained is not known");
                }
                self.ails = Some(error.to_string());
            }
        }
    }
}

/// Whether a process is in no network any more. One that ended and was not waited for is still there, but in none.
fn is_gone(pid: u32) -> bool {
    let network = Path::new("/proc").join(pid.to_string()).join("ns/net");
    network
        .metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Make the rules `bounds` where they are not `known`; gives what they are, and whether they were others.
fn hold(bounds: &Bounds, known: Option<&str>) -> io::Result<(String, bool)> {
    let namespace = Namespace::of(bounds.pid)?;
    if let Some((host, mac)) = bounds.host {
        let told = || async move {
            let told = lan::know_neighbour(INTERFACE, host, mac).await;
            told.map_err(io::Error::other)
        };
        namespace.inside_async(told)?;
    }
    let rules = contain::rules(&namespace)?;
    if known == Some(rules.as_str()) {
        return Ok((rules, false));
    }
    contain::contain(&namespace, bounds.egress, &bounds.doors)?;
    Ok((contain::rules(&namespace)?, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_being_changed_or_was_just_looked_at_is_not_looked_at() {
        let watch = Watch::default();
        let name: DeckyName = "web-1".parse().unwrap();
        let changing = watch.alone(&name).await;
        assert!(watch.due(&name).is_none(), "somebody changes it");
        drop(changing);
        let mut due = watch.due(&name).unwrap();
        // This process is in the host's network, where nothing is ever set.
        let bounds = Bounds {
            pid: std::process::id(),
            egress: Egress::Deny,
            doors: Doors::default(),
            host: None,
        };
        due.look(&name, bounds).await;
        assert!(due.rules.is_none());
        drop(due);
        assert!(watch.due(&name).is_none(), "it was just looked at");
        assert!(watch.ails(&name).unwrap().contains("host's network"));
        // Whatever it was, it is changed.
        drop(watch.alone(&name).await);
        assert_eq!(watch.ails(&name), None);
        assert!(watch.due(&name).is_some());
        watch.forget(&name);
        assert!(watch.due(&name).is_some());
    }

    #[tokio::test]
    async fn of_one_that_ended_meanwhile_nothing_is_told() {
        let watch = Watch::default();
        let name: DeckyName = "web-1".parse().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let bounds = Bounds {
            pid: ended.id(),
            egress: Egress::Deny,
            doors: Doors::default(),
            host: None,
        };
        ended.wait().unwrap();
        let mut due = watch.due(&name).unwrap();
        due.look(&name, bounds).await;
        drop(due);
        assert_eq!(watch.ails(&name), None);
        assert!(watch.due(&name).is_some(), "the next one is looked at at once");
    }
}
