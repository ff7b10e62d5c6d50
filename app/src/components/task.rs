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
        <div class="tasks" role="status" aria-label="Running work">
            <For
                each=move || shown.get()
                key=|task| (task.id, task.done, task.total, task.status.clone(), task.step.clone())
                children=move |task| {
                    let id = task.id;
                    view! { <TaskCard task close=Callback::new(move |()| closed.update(|closed| closed.push(id))) /> }
                }
            />
        </div>
    }
    .into_any()
}

/// How one task stands.
#[component]
pub(crate) fn TaskCard(task: TaskView, close: Callback<()>) -> impl IntoView {
    let total = task.total.max(1);
    let done = task.done.min(total);
    let words = match task.status.as_str() {
        "running" if task.total == 0 => "queued".to_owned(),
        "running" => format!("step {} of {}", task.done, task.total.max(task.done)),
        other => other.to_owned(),
    };
    let step = Some(task.step.clone()).filter(|step| !step.is_empty());
    let said = task
        .error
        .clone()
        .or(step)
        .unwrap_or_else(|| "The mutator takes it up in a moment.".to_owned());
    let class = match task.status.as_str() {
        "failed" => "task bad",
        "succeeded" => "task good",
        _ => "task busy",
    };
    view! {
        <section class=class>
            <header>
                <b>{task.operation.clone()}</b>
                <span>{words}</span>
                <button type="button" class="icon-button" aria-label="Dismiss" on:click=move |_| close.run(())>
                    <Mark icon=Icon::Close />
                </button>
            </header>
            <svg class="progress" viewBox=format!("0 0 {total} 1") preserveAspectRatio="none" aria-hidden="true">
                <rect class="track" width=total height="1" />
                <rect width=done height="1" />
            </svg>
            <p>{said}</p>
        </section>
    }
    .into_any()
}
