//! What goes wrong again and again, such as every write to a full disk: worth a line when it begins, and rarely after that.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// After this time a fault that recurs is told again; each further time takes twice as long …
const FIRST: Duration = Duration::from_secs(60);
/// … up to this.
const MOST: Duration = Duration::from_secs(3600);
/// A fault that was away for so long is a new one: what is tried again is tried more often than that.
const AWAY: Duration = Duration::from_secs(120);
/// Faults that are known apart at a time; the one that was away for longest makes room.
const KNOWN: usize = 256;

/// Says of faults that recur when each is worth telling: at first, and then at growing intervals for as long as it recurs.
#[derive(Debug, Default)]
pub struct Recurring(Mutex<BTreeMap<String, Fault>>);

#[derive(Debug)]
struct Fault {
    times: u64,
    last: Instant,
    /// When it is told next, and how long after that it is told again.
    due: Instant,
    wait: Duration,
}

impl Recurring {
    /// `fault` happened. Where that is worth telling, this answers how often it has happened without being away in between.
    /// Faults whose words differ in nothing but figures, such as how much room is left, are the same.
    pub fn again(&self, fault: &str) -> Option<u64> {
        self.again_as(&fault.chars().filter(|c| !c.is_ascii_digit()).collect::<String>())
    }

    /// The same where figures tell faults apart, such as those in names.
    pub fn again_as(&self, fault: &str) -> Option<u64> {
        let now = Instant::now();
        let mut faults = self.faults();
        faults.retain(|_, known| now.duration_since(known.last) < AWAY);
        if let Some(known) = faults.get_mut(fault) {
            known.times = known.times.saturating_add(1);
            known.last = now;
            if now < known.due {
                return None;
            }
            known.wait = (known.wait * 2).min(MOST);
            known.due = now + known.wait;
            return Some(known.times);
        }
        if faults.len() >= KNOWN {
            let longest = faults.iter().min_by_key(|(_, known)| known.last);
            let longest = longest.map(|(words, _)| words.clone());
            longest.and_then(|words| faults.remove(&words));
        }
        let begun = Fault {
            times: 1,
            last: now,
            due: now + FIRST,
            wait: FIRST,
        };
        faults.insert(fault.to_owned(), begun);
        Some(1)
    }

    /// All is well: what happens from now on is new. Answers whether anything was amiss.
    pub fn over(&self) -> bool {
        let mut faults = self.faults();
        let was_amiss = !faults.is_empty();
        faults.clear();
        was_amiss
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<String, Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_every_second_is_told_at_once_and_then_at_growing_intervals() {
        let recurring = Recurring::default();
        let mut told = Vec::new();
        for second in 0..1000_u64 {
            // Two faults that take turns are no news each time.
            let words = match second % 2 {
                0 => format!("no room: {second} bytes are free"),
                _ => "the disk is gone".to_owned(),
            };
            if let Some(times) = recurring.again(&words) {
                told.push((second, times));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let expected = [0, 60, 180, 420, 900].into_iter();
        let expected: Vec<_> = expected
            .flat_map(|at| [(at, at / 2 + 1), (at + 1, at / 2 + 1)])
            .collect();
        assert_eq!(told, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_or_was_away_is_new() {
        let recurring = Recurring::default();
        assert!(!recurring.over());
        assert_eq!(recurring.again("no room"), Some(1));
        assert_eq!(recurring.again("no room"), None);
        assert!(recurring.over());
        assert_eq!(recurring.again("no room"), Some(1));
        tokio::time::advance(AWAY).await;
        assert_eq!(recurring.again("no room"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_faults_there_are_only_so_many_are_known() {
        let recurring = Recurring::default();
        for n in 0..KNOWN * 2 {
            assert_eq!(recurring.again_as(&format!("web-{n} died")), Some(1));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(recurring.faults().len(), KNOWN);
        assert_eq!(recurring.again_as(&format!("web-{} died", KNOWN * 2 - 1)), None);
    }
}
