//! Toasts: what came of an action, in a corner, until it is read. What was done goes by itself; what failed stays.

use leptos::{prelude::*, server::ServerAction, server_fn::ServerFn};

use super::icon::{Icon, Mark};
use crate::api::Fault;

/// How long one stands that says that all went well.
const STAYS: std::time::Duration = std::time::Duration::from_secs(6);
/// The most at a time.
const MOST: usize = 3;

/// One toast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    number: u32,
    words: String,
    failed: bool,
}

/// The toasts of this page. A copy is the same.
#[derive(Clone, Copy)]
pub(crate) struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    next: RwSignal<u32>,
}

impl Toasts {
    pub(crate) fn new() -> Self {
        Self {
            shown: RwSignal::new(Vec::new()),
            next: RwSignal::new(0),
        }
    }

    /// Something was done.
    pub(crate) fn done(self, words: impl Into<String>) {
        let number = self.add(words.into(), false);
        set_timeout(move || self.close(number), STAYS);
    }

    /// Something was done, and not all of it.
    pub(crate) fn in_part(self, words: impl Into<String>) {
        self.add(words.into(), true);
    }

    /// Something could not be done.
    pub(crate) fn failed(self, fault: &Fault) {
        self.add(format!("{}: {}", fault.title(), fault.detail), true);
    }

    fn add(self, words: String, failed: bool) -> u32 {
        let number = self.next.get_untracked();
        self.next.set(number + 1);
        self.shown.update(|shown| {
            // The same again says nothing new.
            shown.retain(|toast| toast.words != words);
            shown.push(Toast {
                number,
                words,
                failed,
            });
            let over = shown.len().saturating_sub(MOST);
            shown.drain(..over);
        });
        number
    }

    fn close(self, number: u32) {
        // The page may be gone by then.
        if self.shown.try_get_untracked().is_some() {
            self.shown
                .update(|shown| shown.retain(|toast| toast.number != number));
        }
    }
}

/// The toasts of this page; outside of the frame, some that nobody sees.
pub(crate) fn use_toasts() -> Toasts {
    use_context::<Toasts>().unwrap_or_else(Toasts::new)
}

/// Tell when `action` has done its work. What it could not do is told where it was asked for.
pub(crate) fn tell<S>(action: ServerAction<S>, words: &'static str)
where
    S: ServerFn<Error = Fault> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    let toasts = use_toasts();
    let value = action.value();
    Effect::new(move |_| {
        if value.with(|value| matches!(value, Some(Ok(_)))) {
            toasts.done(words);
        }
    });
}

/// Tell what `action` could not do, where no form that asked for it stays to tell it.
pub(crate) fn tell_fault<S>(action: ServerAction<S>)
where
    S: ServerFn<Error = Fault> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    let toasts = use_toasts();
    let value = action.value();
    Effect::new(move |_| {
        if let Some(Err(fault)) = value.get() {
            toasts.failed(&fault);
        }
    });
}

/// Where they stand.
#[component]
pub(crate) fn ToastCorner() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For
                each=move || toasts.shown.get()
                key=|toast| toast.number
                children=move |toast| {
                    let number = toast.number;
                    view! { <ToastCard words=toast.words failed=toast.failed close=Callback::new(move |()| toasts.close(number)) /> }
                }
            />
        </div>
    }
    .into_any()
}

#[component]
pub(crate) fn ToastCard(words: String, failed: bool, close: Callback<()>) -> impl IntoView {
    let icon = if failed { Icon::Alert } else { Icon::Done };
    view! {
        <p class="toast" class:bad=failed>
            <Mark icon=icon />
            <span>{words}</span>
            <button type="button" class="icon-button" aria-label="Dismiss" data-close="" on:click=move |_| close.run(())>
                <Mark icon=Icon::Close />
            </button>
        </p>
    }
    .into_any()
}
