//! What stands where data would: loading, nothing yet, and what went wrong.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    focus,
    icon::{Icon, Mark},
    said::Command,
};
use crate::{
    api::{Answer, Fault, FaultKind},
    not_allowed, text, url,
};

/// Rows of which a page of a search reads no more, whether they fit or not.
const READ: u64 = 50_000;

/// Grey lines where rows will be.
#[component]
pub(crate) fn Loading(#[prop(default = 6)] rows: usize) -> impl IntoView {
    view! {
        <div class="loading" role="status" aria-label="Loading">
            {(0..rows).map(|_| view! { <div class="loading-row" aria-hidden="true"></div> }.into_any()).collect::<Vec<_>>()}
        </div>
    }
    .into_any()
}

/// What a page asked the server for: grey lines until it is there, then what `draw` makes of it, or what went wrong.
#[component]
pub(crate) fn Fetched<T, F>(
    from: Resource<Answer<T>>,
    /// Grey lines.
    #[prop(default = 12)]
    rows: usize,
    draw: F,
) -> impl IntoView
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    // What stands there while something else is asked for says that it is not that.
    let waits = RwSignal::new(false);
    let set_waits = SignalSetter::map(move |pending| {
        // What the server renders has everything.
        if cfg!(not(feature = "ssr")) {
            waits.set(pending);
        }
    });
    view! {
        <div class="fetched" aria-busy=move || waits.get().then_some("true")>
            <Transition fallback=move || view! { <Loading rows /> } set_pending=set_waits>
                {move || {
                    let draw = draw.clone();
                    Suspend::new(async move {
                        match from.await {
                            Ok(it) => {
                                focus::give_back();
                                draw(it)
                            }
                            Err(fault) => {
                                let again = Callback::new(move |()| from.refetch());
                                view! { <Problem fault again=again /> }.into_any()
                            }
                        }
                    })
                }}
            </Transition>
        </div>
    }
    .into_any()
}

/// Nothing here yet: why, and the next step, with a command to copy where there is one.
#[component]
pub(crate) fn Empty(
    #[prop(into)] title: String,
    #[prop(into)] hint: String,
    #[prop(optional, into)] command: Option<String>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <svg class="empty-mark" viewBox="0 0 96 48" width="96" height="48" aria-hidden="true">
                <path d="M4 44C30 44 26 24 48 24S70 4 92 4" />
                <path class="faint" d="M4 24C30 24 26 24 48 24S70 24 92 24" />
                <path class="faint" d="M4 4C30 4 26 24 48 24S70 44 92 44" />
                <circle cx="48" cy="24" r="4" />
            </svg>
            <h3>{title}</h3>
            <p>{hint}</p>
            {command.map(|text| view! { <Command text=text /> })}
            {children.map(|children| children())}
        </div>
    }
    .into_any()
}

/// The filters of this page leave nothing.
#[component]
pub(crate) fn NothingFits(
    #[prop(default = "Nothing fits these filters")] title: &'static str,
) -> impl IntoView {
    let path = use_location().pathname;
    let hint = if url::is_timed(&path.get_untracked()) {
        "Take one away, or widen the time."
    } else {
        "Take one away."
    };
    view! {
        <Empty title=title hint=hint>
            <a class="button" href=move || path.get()>"Clear all filters"</a>
        </Empty>
    }
    .into_any()
}

/// Nothing was found in what was read of a list, which is not all.
#[component]
pub(crate) fn NothingYet(
    /// How many pages were read.
    pages: u32,
    /// Which rows of the list these are: `newest`.
    which: &'static str,
) -> impl IntoView {
    let read = text::count(u64::from(pages) * READ);
    view! {
        <Empty
            title=format!("Nothing among the {which} {read} rows")
            hint="The others were not read yet: what you look for may be among them."
        />
    }
    .into_any()
}

/// What the URL asks for wrongly, and is therefore left out.
#[component]
pub(crate) fn LeftOut(
    /// All of it in words; nothing where all is right.
    faults: Signal<String>,
) -> impl IntoView {
    let left_out = move || {
        faults.with(|faults| {
            (!faults.is_empty()).then(|| {
                view! { <p class="form-fault" role="alert">{format!("Left out: {faults}.")}</p> }.into_any()
            })
        })
    };
    view! { {move || left_out()} }.into_any()
}

/// What went wrong, why, what to do now, and the error id.
#[component]
pub(crate) fn Problem(fault: Fault, #[prop(optional, into)] again: Option<Callback<()>>) -> impl IntoView {
    let location = use_location();
    let here = move || {
        let query = location.search.get();
        let path = location.pathname.get();
        let whole = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        format!("/login?next={}", url::escape(&whole))
    };
    if fault.kind == FaultKind::Forbidden {
        not_allowed();
    }
    let fields = fault.fields.clone();
    let way = match (fault.kind, again) {
        (FaultKind::SignedOut, _) => {
            Some(view! { <a class="button" href=here rel="external">"Sign in"</a> }.into_any())
        }
        (FaultKind::PasswordChange, _) => {
            Some(view! { <a class="button" href="/password">"Choose a password"</a> }.into_any())
        }
        (FaultKind::Enrolment, _) => {
            Some(view! { <a class="button" href="/second-factor">"Set up a second factor"</a> }.into_any())
        }
        // Trying again helps nobody who may not.
        (FaultKind::Forbidden, _) | (_, None) => None,
        (_, Some(again)) => Some(
            view! {
                <button type="button" class="button" on:click=move |_| again.run(())>
                    "Try again"
                </button>
            }
            .into_any(),
        ),
    };
    view! {
        <div class="problem" role="alert">
            <Mark icon=Icon::Alert />
            <div>
                <h3>{fault.title()}</h3>
                <p>{fault.detail.clone()}</p>
                {(!fields.is_empty())
                    .then(|| {
                        view! {
                            <ul>
                                {fields
                                    .into_iter()
                                    .map(|f| view! { <li><b>{f.field}</b>": "{f.message}</li> }.into_any())
                                    .collect::<Vec<_>>()}
                            </ul>
                        }
                            .into_any()
                    })}
                <p class="advice">{fault.advice()}</p>
                {fault.error_id.clone().map(|id| view! { <p class="error-id">"Error id " <code>{id}</code></p> }.into_any())}
                {way}
            </div>
        </div>
    }
    .into_any()
}
