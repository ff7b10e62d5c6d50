//! Times: relative to now, with the exact one in the reader's zone and in UTC on hover.

use leptos::prelude::*;
use time::{OffsetDateTime, UtcOffset};

use crate::text;

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

    /// `at` in the reader's zone where it is known, else in UTC.
    pub(crate) fn local(self, at: OffsetDateTime) -> OffsetDateTime {
        at.to_offset(self.zone.get().unwrap_or(UtcOffset::UTC))
    }
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

/// `21:53:39`, for rows where seconds count; `20 Nov 21:53` where it was another day.
#[component]
pub(crate) fn Clock(at: OffsetDateTime) -> impl IntoView {
    let present = use_present();
    let words = Signal::derive(move || {
        let local = present.local(at);
        if (present.now.get() - at).whole_hours().abs() < 20 {
            text::clock(local)
        } else {
            text::short_date(local)
        }
    });
    told(present, at, "clock", words)
}
