//! Long work in the corner: it stays while one goes from page to page, until it is done and read.

use decnet_model::{id::TaskId, view::TaskView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::icon::{Icon, Mark};
use crate::{live::use_live, order};

/// The tasks that moved since this page was loaded, and the one that the URL names.
#[component]
pub(crate) fn TaskCorner() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let closed = RwSignal::new(Vec::<TaskId>::new());
    let named =
        Memo::new(move |_| query.with(|q| q.get_str("task").and_then(|id| id.parse::<TaskId>().ok())));
    // The task of the URL is asked for once, because the stream tells only what changes; and again and again where
    // there is no stream.
    Effect::new(move |_| {
        if let Some(id) = named.get() {
            live.follow(id);
        }
    });
    let shown = Memo::new(move |_| {
        let closed = closed.get();
        live.tasks.with(|tasks| {
            let mut shown: Vec<_> = tasks
                .values()
                .filter(|task| !closed.contains(&task.id))
                .cloned()
                .collect();
            order::by(&mut shown, |task| {
                u128::MAX - order::signed(task.started_at.unix_timestamp())
            });
            shown.truncate(3);
            shown
        })
    });
    view! {
        // Of a card that changes only what changed is read out.
        <div class="tasks" role="status" aria-atomic="false" aria-label="Running work">
            <For
                each=move || shown.get()
                key=|task| task.id
                children=move |first| {
                    let id = first.id;
                    let task = Memo::new(move |_| {
                        let now = shown.with(|shown| shown.iter().find(|task| task.id == id).cloned());
                        now.unwrap_or_else(|| first.clone())
                    });
                    view! { <TaskCard task close=Callback::new(move |()| closed.update(|closed| closed.push(id))) /> }
                }
            />
        </div>
    }
    .into_any()
}

/// How one task stands. The card stays as the task goes on, and whoever has the focus in it.
#[component]
pub(crate) fn TaskCard(#[prop(into)] task: Signal<TaskView>, close: Callback<()>) -> impl IntoView {
    let total = move || task.with(|task| task.total.max(1));
    let done = move || task.with(|task| task.done.min(task.total.max(1)));
    let class = move || {
        task.with(|task| match task.status.as_str() {
            "failed" => "task bad",
            "succeeded" => "task good",
            _ => "task busy",
        })
    };
    let operation = Memo::new(move |_| task.with(|task| task.operation.clone()));
    let words = Memo::new(move |_| task.with(words));
    let said = Memo::new(move |_| task.with(said));
    view! {
        <section class=class>
            <header>
                <b>{move || operation.get()}</b>
                <span>{move || words.get()}</span>
                <button type="button" class="icon-button" aria-label="Dismiss" on:click=move |_| close.run(())>
                    <Mark icon=Icon::Close />
                </button>
            </header>
            <svg
                class="progress"
                viewBox=move || format!("0 0 {} 1", total())
                preserveAspectRatio="none"
                aria-hidden="true"
            >
                <rect class="track" width=total height="1" />
                <rect width=done height="1" />
            </svg>
            <p>{move || said.get()}</p>
        </section>
    }
    .into_any()
}

/// How far it is.
fn words(task: &TaskView) -> String {
    match task.status.as_str() {
        "running" if task.total == 0 => "queued".to_owned(),
        "running" => format!("step {} of {}", task.done, task.total.max(task.done)),
        other => other.to_owned(),
    }
}

/// What it does now, or why it failed.
fn said(task: &TaskView) -> String {
    let step = Some(task.step.clone()).filter(|step| !step.is_empty());
    let said = task.error.clone().or(step);
    said.unwrap_or_else(|| "The mutator takes it up in a moment.".to_owned())
}
