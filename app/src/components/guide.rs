//! The first steps, until something has happened: a password, a fleet, a touch.

use decnet_model::{permission::ManageFleet, state::DeckyState, view::DeckyView};
use leptos::prelude::*;

use super::{
    frame::may,
    icon::{Icon, Mark},
    said::Command,
    store,
};
use crate::text;

/// The key of the browser's storage under which stands that its reader wants no guide.
const SKIP_KEY: &str = "decnet-guide";

/// Whether the reader has skipped the guide. Nothing is known before the browser was asked.
pub(crate) fn skipped() -> RwSignal<bool> {
    let skipped = RwSignal::new(false);
    Effect::new(move |_| skipped.set(store::get(SKIP_KEY).is_some()));
    skipped
}

/// Three steps. `skip` is run once they are of no interest.
#[component]
pub(crate) fn Guide(deckies: Signal<Vec<DeckyView>>, skip: RwSignal<bool>) -> impl IntoView {
    let manages = may::<ManageFleet>();
    let running =
        Memo::new(move |_| deckies.with(|all| all.iter().filter(|d| d.state == DeckyState::Running).count()));
    let command = Memo::new(move |_| deckies.with(|deckies| text::touch_some(deckies)));
    let away = move |_| {
        store::put(SKIP_KEY, "skipped");
        skip.set(true);
    };
    let deploy = move || {
        if running.get() > 0 {
            let words = text::plural(
                u64::try_from(running.get()).unwrap_or(0),
                "decky runs",
                "deckies run",
            );
            view! { <p>{words}", each with an address, a name and services of its own."</p> }.into_any()
        } else if deckies.with(|all| !all.is_empty()) {
            view! { <p>"The first ones are being started."</p> }.into_any()
        } else {
            view! {
                <p>"Decoy machines that look like real, boring hosts. Here, or from a terminal:"</p>
                <Command text="decnet deploy --archetype linux-server --deckies 4" />
                {manages.get().then(|| view! { <a class="button primary" href="/fleet?dialog=deploy">"Deploy deckies"</a> })}
            }
            .into_any()
        }
    };
    let touch = move || {
        match command.get() {
        Some(command) => view! {
            <p>"Be the first intruder. In another terminal, with any password:"</p>
            <Command text=command />
            <p class="guide-wait"><i aria-hidden="true"></i>"Waiting for it: it appears here within a second."</p>
        }
        .into_any(),
        None => view! { <p>"As soon as one listens, the command for it stands here."</p> }.into_any(),
    }
    };
    let state = move |done: bool, now: bool| match (done, now) {
        (true, _) => "done",
        (_, true) => "now",
        _ => "later",
    };
    view! {
        <section class="panel guide" aria-labelledby="guide-title">
            <header>
                <h2 id="guide-title">"Three steps to your first catch"</h2>
                <button type="button" class="link" on:click=away>"Skip"</button>
            </header>
            <ol>
                <li class="done">
                    <Step number=1 done=Signal::stored(true) />
                    <div><h3>"A password of your own"</h3><p>"Chosen. It opens this dashboard and nothing in a decoy."</p></div>
                </li>
                <li class=move || state(running.get() > 0, true)>
                    <Step number=2 done=Signal::derive(move || running.get() > 0) />
                    <div><h3>"Deploy a fleet"</h3><Suspense>{deploy}</Suspense></div>
                </li>
                <li class=move || state(false, running.get() > 0)>
                    <Step number=3 done=Signal::stored(false) />
                    <div><h3>"Touch your first decoy"</h3>{touch}</div>
                </li>
            </ol>
        </section>
    }
    .into_any()
}

#[component]
fn Step(number: u8, done: Signal<bool>) -> impl IntoView {
    view! {
        <span class="guide-mark">
            {move || {
                if done.get() {
                    view! { <Mark icon=Icon::Done /><span class="sr">"Done: "</span> }.into_any()
                } else {
                    number.into_any()
                }
            }}
        </span>
    }
    .into_any()
}
