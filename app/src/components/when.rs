//! Times: relative to now, with the exact one in the reader's zone and in UTC on hover.

use leptos::prelude::*;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::text;

/// For how long a time that ends now is counted from the same moment.
const HELD: Duration = Duration::MINUTE;

/// The present time as pages show it, and the reader's zone once a browser has told it.
#[derive(Clone, Copy)]
pub(crate) struct Present {
    /// Moves every few seconds in a browser; stands still on the server.
    pub(crate) now: RwSignal<OffsetDateTime>,
    /// The browser's offset from UTC.
    pub(crate) zone: RwSignal<Option<UtcOffset>>,
}

impl Present {
    pub(crate) fn new() -> Self {
        Self {
            now: RwSignal::new(text::now()),
            zone: RwSignal::new(None),
        }
    }

    /// Let time pass, in a browser.
    pub(crate) fn start(self) {
        #[expect(clippy::cast_possible_truncation, reason = "minutes of an offset")]
        let minutes = -js_sys::Date::new_0().get_timezone_offset() as i32;
        self.zone.set(UtcOffset::from_whole_seconds(minutes * 60).ok());
        set_interval(
            move || self.now.set(text::now()),
            std::time::Duration::from_secs(5),
        );
    }

    /// The present that a time which ends now is counted from. It moves by steps: what depends on it is looked at once a minute, and
    /// not with every tick.
    pub(crate) fn counted(self) -> Memo<OffsetDateTime> {
        Memo::new(move |held: Option<&OffsetDateTime>| counted_from(held.copied(), self.now.get()))
    }

    /// `at` in the reader's zone where it is known, else in UTC.
    pub(crate) fn local(self, at: OffsetDateTime) -> OffsetDateTime {
        at.to_offset(self.zone.get().unwrap_or(UtcOffset::UTC))
    }
}

/// The moment that is counted from at `now`, where it was `held` before. A clock that was set back is believed, too.
fn counted_from(held: Option<OffsetDateTime>, now: OffsetDateTime) -> OffsetDateTime {
    held.filter(|held| (now - *held).abs() < HELD).unwrap_or(now)
}

/// The page's present.
pub(crate) fn use_present() -> Present {
    use_context::<Present>().unwrap_or_else(Present::new)
}

/// The time `at` in `words`, with the exact one to look up.
fn told(present: Present, at: OffsetDateTime, class: &'static str, words: Signal<String>) -> AnyView {
    let exact = Signal::derive(move || text::exact(at, present.zone.get()));
    let class = (!class.is_empty()).then_some(class);
    view! { <time class=class datetime=text::rfc3339(at) title=exact>{words}</time> }.into_any()
}

/// `4 min ago`.
#[component]
pub(crate) fn Ago(at: OffsetDateTime) -> impl IntoView {
    let present = use_present();
    told(
        present,
        at,
        "",
        Signal::derive(move || text::ago(at, present.now.get())),
    )
}

/// `4 min`: how long something has lasted.
#[component]
pub(crate) fn Elapsed(since: OffsetDateTime) -> impl IntoView {
    let present = use_present();
    told(
        present,
        since,
        "",
        Signal::derive(move || text::elapsed(since, present.now.get())),
    )
}

/// `21:53:39`, for rows where seconds count; `20 Nov 21:53:39` where it was another day to who reads.
#[component]
pub(crate) fn Clock(at: OffsetDateTime) -> impl IntoView {
    let present = use_present();
    let words = Signal::derive(move || text::clock_of(present.local(at), present.now.get()));
    told(present, at, "clock", words)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_is_counted_from_stands_still_for_a_minute_and_follows_a_clock_that_is_set() {
        let held = datetime!(2026-11-20 12:00:00 UTC);
        let after = |seconds| held + Duration::seconds(seconds);
        assert_eq!(counted_from(None, after(7)), after(7));
        for (now, from) in [
            (0, 0),
            (5, 0),
            (59, 0),
            (60, 60),
            (3_600, 3_600),
            (-59, 0),
            (-60, -60),
        ] {
            assert_eq!(counted_from(Some(held), after(now)), after(from), "{now}");
        }
    }
}
