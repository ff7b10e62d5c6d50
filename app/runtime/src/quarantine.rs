//! When something that dies again and again is left alone, be it a worker or a decky: starting it once more would not
//! mend it, and who looks for the cause wants it to hold still. Whoever counts the deaths keeps them.

use time::{Duration, OffsetDateTime};

/// What died this often …
pub const DEATHS: usize = 5;
/// … within this time is left alone until somebody clears it.
const WITHIN: Duration = Duration::minutes(10);

/// The deaths that still count. One of the future, from before the clock was put back, would hold something down until it
/// is past once more.
#[must_use]
pub fn lately(deaths: &[OffsetDateTime], now: OffsetDateTime) -> Vec<OffsetDateTime> {
    let counts = Duration::ZERO..WITHIN;
    deaths
        .iter()
        .copied()
        .filter(|at| counts.contains(&(now - *at)))
        .collect()
}

/// Whether what died so often [`lately`] is to be left alone.
#[must_use]
pub const fn is_due(lately: &[OffsetDateTime]) -> bool {
    lately.len() >= DEATHS
}

/// What is said of one that died too often, the last time because of `why`.
#[must_use]
pub fn left_alone(why: &str) -> String {
    format!(
        "in quarantine after {DEATHS} deaths within {} minutes: {why}",
        WITHIN.whole_minutes()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_deaths_within_ten_minutes_are_too_many_whatever_the_clock_did() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        let ago = |seconds: &[i64]| {
            let deaths: Vec<_> = seconds.iter().map(|s| now - Duration::seconds(*s)).collect();
            is_due(&lately(&deaths, now))
        };
        assert!(ago(&[599, 400, 300, 1, 0]));
        assert!(!ago(&[599, 400, 300, 1]), "four");
        assert!(!ago(&[600, 400, 300, 1, 0]), "one is too old");
        assert!(!ago(&[-1, 400, 300, 1, 0]), "one is still to come");
        assert!(left_alone("no room").contains("after 5 deaths within 10 minutes: no room"));
    }
}
