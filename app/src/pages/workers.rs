//! The workers: every daemon of the host, how it does by its heartbeat, whether it is installed and who keeps it; telling one
//! to stop, having it started again, and clearing one that died too often.

use std::collections::BTreeMap;

use decnet_model::{
    name::WorkerName,
    permission::ManageWorkers,
    state::{DeckyState, KeptBy, ORDER, WORKERS, WorkerState},
    view::{self, DeckyView, Health, HealthComponent, StartFailure, WorkerView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use time::Duration;

use super::login::FormFault;
use crate::{
    api::host::{self, WorkerClear, WorkerStart, WorkerStartAll, WorkerStop},
    components::{
        dialog::Dialog,
        download::Export,
        frame::{PageHead, may},
        icon::{Icon, Mark},
        notice::{Loading, Problem},
        toast::{tell, tell_fault, use_toasts},
        when::{Ago, Elapsed},
    },
    live::use_live,
    text, url,
};

/// The page.
#[component]
pub(crate) fn WorkersPage() -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageWorkers>();
    let first = Resource::new(move || live.epoch.get(), |_| host::worker_list());
    let health = Resource::new(move || live.health.get(), |_| host::health_get());
    view! {
        <PageHead title="Workers">
            <Export from=Signal::stored("/api/v1/workers/export".to_owned()) />
            <StartAll manages />
        </PageHead>
        <Transition fallback=|| view! { <Loading rows=4 /> }>
            {move || Suspend::new(async move {
                match health.await {
                    Ok(health) => view! { <HostHealth health /> }.into_any(),
                    Err(fault) => view! { <Problem fault /> }.into_any(),
                }
            })}
        </Transition>
        <Transition fallback=|| view! { <Loading rows=8 /> }>
            {move || Suspend::new(async move {
                match first.await {
                    Ok(workers) => view! { <Workers first=workers manages=manages /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| first.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
    }
    .into_any()
}

/// What each is for, in the order in which evidence passes them.
fn purpose(name: &str) -> &'static str {
    match name {
        "bus" => "tells the others that there is something to look at",
        "server" => "serves the dashboard and the API",
        "collector" => "takes what decoys report into the spool",
        "ingester" => "stores the spool in the database",
        "profiler" => "derives attackers' sessions and the search index",
        "mutator" => "makes the fleet what it should be",
        _ => "",
    }
}

#[component]
fn HostHealth(health: Health) -> impl IntoView {
    let words = match health.status.as_str() {
        "healthy" => "Everything does its work.",
        "degraded" => "Something is amiss: which part, and why, stands below.",
        _ => "Something that evidence needs is not there.",
    };
    view! {
        <section class=format!("panel health {}", health.status)>
            <header>
                <h2>"The host is "{health.status.clone()}</h2>
                <span class="panel-note">{words}</span>
            </header>
            <ul class="parts">{health.components.into_iter().map(|part| view! { <Part part /> }).collect_view()}</ul>
        </section>
    }
    .into_any()
}

#[component]
fn Part(part: HealthComponent) -> impl IntoView {
    let kind = match part.status.as_str() {
        "ok" => "good",
        "degraded" => "warn",
        _ => "bad",
    };
    view! {
        <li>
            <span class=format!("badge {kind}")>{part.status}</span>
            <b>{part.name}</b>
            <span class="muted">{text::with_counts(&text::visible(&part.detail))}</span>
        </li>
    }
    .into_any()
}

#[component]
fn Workers(first: Vec<WorkerView>, manages: Signal<bool>) -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let path = use_location().pathname;
    let workers = Memo::new(move |_| {
        let mut known: BTreeMap<_, _> = first.iter().map(|w| (w.name.clone(), w.clone())).collect();
        live.workers
            .with(|heard| known.extend(heard.iter().map(|(name, w)| (name.clone(), w.clone()))));
        known
    });
    let names = Memo::new(move |_| {
        let mut names: Vec<_> = workers.with(|known| known.keys().cloned().collect());
        names.sort_by_key(|name: &WorkerName| WORKERS.iter().position(|known| *known == name.as_str()));
        names
    });
    let stopping = Memo::new(move |_| query.with(|q| url::value(q, "stop")));
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("stop", None)]));
    // A card and the dialog are gone by the time that the answer is there.
    let (start, clear, stop) = (
        ServerAction::<WorkerStart>::new(),
        ServerAction::<WorkerClear>::new(),
        ServerAction::<WorkerStop>::new(),
    );
    tell(start, "The worker was started.");
    tell_fault(start);
    tell(clear, "The worker is out of quarantine, and runs.");
    tell_fault(clear);
    tell(stop, "The worker was told to stop, and does.");
    // A card stays the same whatever is heard of its worker: who goes through the page by the keyboard is not thrown out of it.
    let card = move |name: WorkerName| {
        let worker = {
            let name = name.clone();
            Memo::new(move |_| workers.with(|known| known.get(&name).cloned()))
        };
        view! { <Card name worker manages start clear /> }
    };
    view! {
        <ul class="cards">
            <For each=move || names.get() key=Clone::clone children=card />
        </ul>
        {move || stopping.get().filter(|_| manages.get()).map(|name| view! { <StopDialog name close stop /> })}
    }
    .into_any()
}

/// What can be done about a worker, by how it does.
#[derive(Debug, Clone, PartialEq)]
enum Offer {
    Stop,
    Start(Option<KeptBy>),
    Clear,
    Nothing,
}

/// How a worker does: the kind of its badge, and the words.
fn doing(worker: &WorkerView) -> (&'static str, &'static str) {
    match (worker.state, worker.tasks.contains_key(ORDER)) {
        (WorkerState::Ok, false) => ("good", "running"),
        (WorkerState::Ok, true) => ("warn", "stopping"),
        (WorkerState::Stale, _) => ("bad", "not heard"),
        (WorkerState::Stopped, false) => ("idle", "stopped"),
        (WorkerState::Stopped, true) => ("idle", "stopped by order"),
        (WorkerState::Quarantined, _) => ("bad", "in quarantine"),
        (WorkerState::Unknown, _) => ("warn", "never heard"),
    }
}

impl Offer {
    fn of(worker: &WorkerView) -> Self {
        match worker.state {
            // The server would cut off whoever asks.
            WorkerState::Ok if worker.name.as_str() == "server" || worker.tasks.contains_key(ORDER) => {
                Self::Nothing
            }
            WorkerState::Ok => Self::Stop,
            WorkerState::Quarantined => Self::Clear,
            _ => Self::Start(worker.kept_by),
        }
    }
}

/// What is known of a worker, in the order in which its card tells it.
#[component]
fn Facts(worker: WorkerView) -> impl IntoView {
    let is_up = worker.state == WorkerState::Ok;
    // What is said of a process is of one that lives.
    let pid = worker.pid.filter(|_| is_up);
    let up_since = worker
        .last_heard
        .filter(|_| is_up)
        .zip(worker.uptime_s.and_then(|s| i64::try_from(s).ok()))
        .and_then(|(heard, s)| heard.checked_sub(Duration::seconds(s)));
    view! {
        <dt>"Heard"</dt>
        <dd>{worker.last_heard.map_or_else(|| "never".into_any(), |at| view! { <Ago at /> }.into_any())}</dd>
        {up_since.map(|since| view! { <dt>"Up for"</dt><dd><Elapsed since /></dd> })}
        {pid.map(|pid| view! { <dt>"Process"</dt><dd><code>{pid}</code></dd> })}
        {worker.version.map(|version| view! { <dt>"Version"</dt><dd><code>{text::visible(&version)}</code></dd> })}
        {worker
            .tasks
            .into_iter()
            .map(|(task, state)| {
                view! { <dt>{text::visible(&task)}</dt><dd>{text::with_counts(&text::visible(&state))}</dd> }
            })
            .collect_view()}
        {worker.kept_by.map(|by| view! { <dt>"Installed"</dt><dd>{installed(by)}</dd> })}
    }
    .into_any()
}

#[component]
fn Card(
    name: WorkerName,
    /// What was heard of it last.
    worker: Memo<Option<WorkerView>>,
    manages: Signal<bool>,
    start: ServerAction<WorkerStart>,
    clear: ServerAction<WorkerClear>,
) -> impl IntoView {
    let name = name.to_string();
    let does = Memo::new(move |_| worker.with(|worker| worker.as_ref().map(doing).unwrap_or_default()));
    let offer = Memo::new(move |_| worker.with(|worker| worker.as_ref().map_or(Offer::Nothing, Offer::of)));
    let stop = format!("/workers?stop={name}");
    let stop = move || {
        let href = stop.clone();
        manages.get().then(|| {
            view! {
                <footer>
                    <a class="button" href=href data-noscroll=""><Mark icon=Icon::Stop />"Stop"</a>
                </footer>
            }
        })
    };
    view! {
        <li class="card worker">
            <header>
                <span class="card-name"><Mark icon=Icon::Workers />{name.clone()}</span>
                <span class=move || format!("badge {}", does.get().0)>{move || does.get().1}</span>
            </header>
            <p class="muted">{purpose(&name)}</p>
            <dl class="facts">{move || worker.get().map(|worker| view! { <Facts worker /> })}</dl>
            // Drawn anew only where it is something else: this is what can have the focus.
            {move || match offer.get() {
                Offer::Stop => stop.clone().into_any(),
                Offer::Start(kept_by) => view! { <Start name=name.clone() kept_by manages start /> }.into_any(),
                Offer::Clear => view! { <Clear name=name.clone() manages clear /> }.into_any(),
                Offer::Nothing => ().into_any(),
            }}
        </li>
    }
    .into_any()
}

/// Has every worker started that is down, and tells what became of each.
#[component]
fn StartAll(manages: Signal<bool>) -> impl IntoView {
    let start = ServerAction::<WorkerStartAll>::new();
    let toasts = use_toasts();
    tell_fault(start);
    Effect::new(move |_| {
        if let Some(Ok(done)) = start.value().get() {
            let words = summary(&done);
            if done.failed.is_empty() {
                toasts.done(words);
            } else {
                toasts.in_part(words);
            }
        }
    });
    view! {
        <Suspense>
            {move || {
                manages
                    .get()
                    .then(|| {
                        view! {
                            <ActionForm action=start>
                                <button type="submit" class="button" disabled=move || start.pending().get()>
                                    <Mark icon=Icon::Play />
                                    "Start all"
                                </button>
                            </ActionForm>
                        }
                    })
            }}
        </Suspense>
    }
    .into_any()
}

/// What became of each, in a sentence or three.
fn summary(done: &view::StartAll) -> String {
    let names = |names: &[WorkerName]| {
        let names: Vec<_> = names.iter().map(WorkerName::as_str).collect();
        names.join(", ")
    };
    let mut words = match done.started.as_slice() {
        [] if done.failed.is_empty() => "Every worker runs already.".to_owned(),
        [] => String::new(),
        started => format!(
            "Started: {}. {} ran already.",
            names(started),
            done.already_running.len()
        ),
    };
    for StartFailure { name, reason } in &done.failed {
        words.push_str(&format!(" {name} does not come up: {reason}."));
    }
    words.trim_start().to_owned()
}

/// Whether a worker is installed, and who starts it again when it dies.
fn installed(by: KeptBy) -> &'static str {
    match by {
        KeptBy::Up => "yes; decnet up keeps it",
        KeptBy::Systemd => "yes; systemd keeps it",
        KeptBy::Nobody => "yes; nobody starts it again",
        KeptBy::Missing => "no",
    }
}

/// How a worker that is down gets up again, by who keeps it; a button only where that would do.
#[component]
fn Start(
    name: String,
    kept_by: Option<KeptBy>,
    manages: Signal<bool>,
    start: ServerAction<WorkerStart>,
) -> impl IntoView {
    let code = |text: String| view! { <code>{text}</code> };
    let by_hand = code(format!("decnet {name}"));
    let words = match kept_by {
        Some(KeptBy::Up) => view! {
            {move || if manages.get() { "It is started here, or by " } else { "An administrator starts it, here or by " }}
            {code(format!("decnet worker start {name}"))}"."
        }
        .into_any(),
        Some(KeptBy::Systemd) => view! {
            "It is a unit of systemd: "{code(format!("systemctl status decnet-{name}"))}
            " tells whether that has given it up, and "{code(format!("systemctl start decnet-{name}"))}" has it tried again."
        }
        .into_any(),
        Some(KeptBy::Nobody) => view! {
            "Neither "{code("decnet up".into())}" nor systemd keeps it here, so nobody starts it again when it dies, and nothing "
            "is put in quarantine: start it by "{by_hand}"."
        }
        .into_any(),
        Some(KeptBy::Missing) => view! {
            "Its program is not where the server's is, and systemd has no unit of it: it has to be installed first."
        }
        .into_any(),
        None => view! {
            "It is kept on another host, or by none: where "{code("decnet up".into())}" runs, it is started by "
            {code(format!("decnet worker start {name}"))}"; else by systemd, or by "{by_hand}"."
        }
        .into_any(),
    };
    view! {
        <p class="muted">{words}</p>
        {move || {
            let name = name.clone();
            (kept_by == Some(KeptBy::Up) && manages.get())
                .then(|| {
                    view! {
                        <ActionForm action=start>
                            <input type="hidden" name="name" value=name />
                            <footer>
                                <button type="submit" class="button" disabled=move || start.pending().get()>
                                    <Mark icon=Icon::Play />
                                    "Start"
                                </button>
                            </footer>
                        </ActionForm>
                    }
                })
        }}
    }
    .into_any()
}

/// How a worker that died too often is tried again.
#[component]
fn Clear(name: String, manages: Signal<bool>, clear: ServerAction<WorkerClear>) -> impl IntoView {
    view! {
        <p class="muted">
            "It died too often, and is left alone until "
            {move || if manages.get() { "it is cleared, here or by " } else { "an administrator clears it, here or by " }}
            <code>{format!("decnet worker clear {name}")}</code>"; what it said last stands above."
        </p>
        {move || {
            let name = name.clone();
            manages
                .get()
                .then(|| {
                    view! {
                        <ActionForm action=clear>
                            <input type="hidden" name="name" value=name />
                            <footer>
                                <button type="submit" class="button" disabled=move || clear.pending().get()>
                                    <Mark icon=Icon::Play />
                                    "Clear and start"
                                </button>
                            </footer>
                        </ActionForm>
                    }
                })
        }}
    }
    .into_any()
}

#[component]
fn StopDialog(name: String, close: Signal<String>, stop: ServerAction<WorkerStop>) -> impl IntoView {
    // What became of another is told no more.
    stop.clear();
    let fault = move || stop.value().get().and_then(Result::err);
    let effect = match name.as_str() {
        "collector" => {
            "Decoys go on and keep what they see; it is taken into the spool when the collector is back."
        }
        "ingester" => "Evidence waits in the spool and is stored when the ingester is back.",
        "profiler" => "New attackers' sessions and the search index wait until it is back.",
        "mutator" => "It brings them up again when it is back.",
        "bus" => "Everything goes on, a little later: each worker looks by itself every few seconds.",
        _ => "It finishes what it is doing and ends.",
    };
    let live = use_live();
    let ending = move || {
        let ending = live.deckies.with(|known| {
            // Containers are the daemon's; everything else is a child of the mutator.
            let ends = |d: &&DeckyView| {
                d.engine != "docker" && matches!(d.state, DeckyState::Running | DeckyState::Degraded)
            };
            known.as_ref().map(|known| known.values().filter(ends).count())
        });
        match ending.and_then(|n| u64::try_from(n).ok()) {
            Some(1) => "1 decky ends with it, and every session on it. ".to_owned(),
            Some(n) => format!(
                "{} end with it, and every session on them. ",
                text::plural(n, "decky", "deckies")
            ),
            None => "Deckies that are no containers end with it, and every session on them. ".to_owned(),
        }
    };
    let ending = (name == "mutator").then_some(ending);
    view! {
        <Dialog title=format!("Stop the {}", text::visible(&name)) close=close>
            <p>{ending}{effect}</p>
            <p class="muted">
                "It stays stopped until it is started again: here, where "<code>"decnet up"</code>
                " runs the host, else by systemd or by hand."
            </p>
            <ActionForm action=stop>
                <input type="hidden" name="name" value=name />
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                    <button type="submit" class="button primary danger" disabled=move || stop.pending().get()>"Stop"</button>
                </footer>
            </ActionForm>
        </Dialog>
    }
    .into_any()
}
