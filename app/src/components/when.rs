//! Times: relative to now, with the exact one in the reader's zone and in UTC on hover.

use leptos::prelude::*;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::text;

/// For how long a time that ends now is counted from the same moment.
const HELD: Duration = Duration::MINUTE;

/// The present time as pages show it, and the reader's zone once there is a browser that knows it.
#[derive(Clone, Copy)]
pub(crate) struct Present {
    /// Moves every few seconds in a browser; stands still on the server.
    pub(crate) now: RwSignal<OffsetDateTime>,
    /// Whether a browser shows the times, and so in the reader's zone.
    zoned: RwSignal<bool>,
}

impl Present {
    pub(crate) fn new() -> Self {
        Self {
            now: RwSignal::new(text::now()),
            zoned: RwSignal::new(false),
        }
    }

    /// Let time pass, in a browser.
    pub(crate) fn start(self) {
        self.zoned.set(true);
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

    /// How far the reader's clocks are from UTC at `at`, which is not what it is now on the other side of a change of clocks; none
    /// as long as no browser has told.
    pub(crate) fn zone(self, at: OffsetDateTime) -> Option<UtcOffset> {
        self.zoned.get().then(|| offset(at)).flatten()
    }

    /// `at` in the reader's zone where it is known, else in UTC.
    pub(crate) fn local(self, at: OffsetDateTime) -> OffsetDateTime {
        at.to_offset(self.zone(at).unwrap_or(UtcOffset::UTC))
    }

    /// The exact time `at`, in the reader's zone where it is known, and in UTC.
    pub(crate) fn exact(self, at: OffsetDateTime) -> String {
        text::exact(at, self.zone(at))
    }
}

/// The browser's offset from UTC at `at`.
fn offset(at: OffsetDateTime) -> Option<UtcOffset> {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a date")]
    let ms = wasm_bindgen::JsValue::from_f64(at.unix_timestamp() as f64 * 1_000.0);
    #[expect(clippy::cast_possible_truncation, reason = "minutes of an offset")]
    let minutes = -js_sys::Date::new(&ms).get_timezone_offset() as i32;
    UtcOffset::from_whole_seconds(minutes * 60).ok()
}

/// The moment that `told` is by the reader's clocks: what an input field of a browser for times gives (`2026-11-20T21:53`). Only
/// a browser knows.
pub(crate) fn moment(told: &str) -> Option<OffsetDateTime> {
    let ms = js_sys::Date::parse(told);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a date's seconds; what is none is not finite"
    )]
    let seconds = ms.is_finite().then_some((ms / 1_000.0) as i64)?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
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
    let exact = Signal::derive(move || present.exact(at));
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
