//! Figures and the words for states.

use decnet_model::state::{DeckyState, WorkerState};
use leptos::prelude::*;

use super::ink::Ink;
use crate::text;

/// A counter with what it counts; `note` says what it is made of.
#[component]
pub(crate) fn StatCard(
    label: &'static str,
    /// The figure.
    #[prop(into)]
    value: Signal<u64>,
    /// What stands below it.
    #[prop(into)]
    note: Signal<String>,
    /// Where it leads.
    href: &'static str,
    /// Whether it counts what intruders did: drawn in the signal colour once it is not zero.
    #[prop(optional)]
    hot: bool,
) -> impl IntoView {
    let class = Signal::derive(move || {
        let class = if hot && value.get() > 0 {
            "stat hot"
        } else {
            "stat"
        };
        class.to_owned()
    });
    let figure = Signal::derive(move || text::count(value.get()));
    view! {
        <a class=class href=href>
            <span class="stat-label">{label}</span>
            <span class="stat-value">{figure}</span>
            <span class="stat-note">{note}</span>
        </a>
    }
    .into_any()
}

/// How a decky does, as a word with a shape: a state is never told by colour alone.
#[component]
pub(crate) fn StateBadge(#[prop(into)] state: Signal<DeckyState>) -> impl IntoView {
    let class = move || {
        let kind = match state.get() {
            DeckyState::Running => "good",
            DeckyState::Degraded => "warn",
            DeckyState::Failed => "bad",
            DeckyState::Stopped => "idle",
            DeckyState::Pending | DeckyState::Deploying | DeckyState::Mutating | DeckyState::Stopping => {
                "busy"
            }
        };
        format!("badge {kind}")
    };
    view! { <span class=class>{move || state.get().as_str()}</span> }
}

/// How a worker does.
#[component]
pub(crate) fn WorkerBadge(name: String, state: WorkerState) -> impl IntoView {
    let kind = match state {
        WorkerState::Ok => "good",
        WorkerState::Stale | WorkerState::Quarantined => "bad",
        WorkerState::Stopped => "idle",
        WorkerState::Unknown => "warn",
    };
    view! {
        <span class=format!("badge {kind}") title=format!("{name}: {state}")>
            {name.clone()}
            <span class="sr">{format!(": {state}")}</span>
        </span>
    }
    .into_any()
}

/// A bar as long as its share, behind a row of a top list.
#[component]
pub(crate) fn ShareBar(value: u64, most: u64) -> impl IntoView {
    let mut ink = Ink::default();
    ink.mark("rect", &[("class", &"track"), ("width", &100), ("height", &4)]);
    ink.mark("rect", &[("width", &share(value, most)), ("height", &4)]);
    view! {
        <svg
            class="share"
            viewBox="0 0 100 4"
            preserveAspectRatio="none"
            aria-hidden="true"
            inner_html=ink.markup()
        ></svg>
    }
    .into_any()
}

/// `value` as per cent of `most`, at least 1 where there is anything.
fn share(value: u64, most: u64) -> u64 {
    if value == 0 {
        0
    } else {
        (value.saturating_mul(100) / most.max(1)).clamp(1, 100)
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn the_smallest_share_is_still_seen() {
        assert_eq!(
            (share(0, 10), share(1, 100_000), share(5, 10), share(3, 0)),
            (0, 1, 50, 100)
        );
    }
}
