//! The fleet: every decky, how to touch it, and the orders to deploy, change and remove some.

mod deckies;
mod decky;
mod deploy;
mod orders;

use decnet_model::{
    permission::ManageFleet,
    query::HistogramQuery,
    state::DeckyState,
    view::{DeckyView, HistogramBucket},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use self::{
    deckies::{Asked, CHIPS, Cards, FIELDS, ORDERS, Rows},
    decky::DeckyDrawer,
    orders::Orders,
};
use crate::{
    api::{
        Answer,
        deploy::{Deployable, deploy_choices},
        evidence::{self, AsOf},
        fleet,
    },
    components::{
        download::{Export, ExportFile},
        filter::{Chips, Choice, FilterForm, SearchField},
        frame::{PageHead, may},
        icon::{Icon, Mark},
        notice::{Empty, Fetched, LeftOut, NothingFits},
        when::use_present,
    },
    live::use_live,
    text, url,
};

/// What can be deployed, fetched while the deploy dialog is open.
type Choices = Resource<Option<Answer<Deployable>>>;
/// What the decky whose drawer is open saw in the last 24 hours.
type Day = Resource<Option<Answer<AsOf<Vec<HistogramBucket>>>>>;

/// Minutes of a mark of the strip in a drawer.
const DAY_STEP: u32 = 30;

/// The page.
#[component]
pub(crate) fn FleetPage() -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageFleet>();
    let query = use_query_map();
    // Only the dialog needs them; a resource below a `Suspense` would be one too many, so it is made here.
    let dialog = Memo::new(move |_| query.with(|q| q.get_str("dialog") == Some("deploy")));
    let choices = Resource::new(
        move || dialog.get(),
        |wanted| async move {
            if wanted {
                Some(deploy_choices().await)
            } else {
                None
            }
        },
    );
    let opened = Memo::new(move |_| query.with(|q| url::value(q, "decky")));
    let day = Resource::new(
        move || (opened.get(), live.epoch.get()),
        |(decky, _)| async move {
            let asked = HistogramQuery {
                decky: Some(decky?),
                interval_minutes: Some(DAY_STEP),
                ..HistogramQuery::default()
            };
            Some(evidence::log_histogram(asked).await)
        },
    );
    // Once: the stream begins each time with the whole fleet, and what is drawn anew loses what somebody is filling in.
    let first = Resource::new(|| (), |()| fleet::decky_list());
    // The lines on the cards move slowly: what came last stands in the count beside them.
    let present = use_present();
    let minute = Memo::new(move |_| present.now.get().unix_timestamp().div_euclid(60));
    let traffic = Resource::new(
        move || (live.epoch.get(), minute.get()),
        |_| fleet::decky_traffic(),
    );
    let tasks = |format: &str| Signal::stored(format!("/api/v1/tasks/export?format={format}"));
    view! {
        <PageHead title="Fleet">
            <Views />
            <Export from=Signal::stored("/api/v1/fleet/export".to_owned()) whole=true>
                <ExportFile from=tasks("csv") words="Tasks, CSV" note="all that was ever ordered" />
                <ExportFile from=tasks("json") words="Tasks, JSON" note="the same, as an array" />
            </Export>
            <Suspense>
                {move || {
                    manages
                        .get()
                        .then(|| {
                            view! {
                                <a class="button primary" href="/fleet?dialog=deploy" data-noscroll="">
                                    <Mark icon=Icon::Plus />
                                    "Deploy"
                                </a>
                            }
                        })
                }}
            </Suspense>
        </PageHead>
        <Fetched from=first rows=8 draw={
            move |deckies| {
                view! { <Deckies first=deckies manages traffic choices day /> }.into_any()
            }
        } />
    }
    .into_any()
}

/// Cards or rows.
#[component]
fn Views() -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let table = move || query.with(|q| q.get_str("view") == Some("table"));
    let to = move |view: Option<&str>| url::with(&path.get(), &query.get(), &[("view", view)]);
    view! {
        <div class="switch" role="group" aria-label="Show the fleet as">
            <a href=move || to(None) aria-label="Cards" aria-current=move || (!table()).then_some("true") data-noscroll="">
                <Mark icon=Icon::Grid />
            </a>
            <a href=move || to(Some("table")) aria-label="Table" aria-current=move || table().then_some("true") data-noscroll="">
                <Mark icon=Icon::Rows />
            </a>
        </div>
    }
    .into_any()
}

/// Which deckies are shown, and in which order.
#[component]
fn Filters() -> impl IntoView {
    let states: Vec<_> = DeckyState::ALL
        .iter()
        .map(|state| (state.as_str().to_owned(), state.as_str().to_owned()))
        .collect();
    let orders = ORDERS.map(|(order, words)| (order.as_str().to_owned(), words.to_owned()));
    view! {
        <FilterForm fields=FIELDS label="Filter deckies">
            <SearchField name="search" placeholder="Name, address, archetype or service" />
            <Choice name="state" label="State" any="any state" options=Signal::stored(states) />
            <Choice name="sort_by" label="Order" any="by name" options=Signal::stored(orders.to_vec()) />
        </FilterForm>
        <Chips filters=CHIPS />
    }
    .into_any()
}

#[component]
fn Deckies(
    first: Vec<DeckyView>,
    manages: Signal<bool>,
    traffic: Resource<Answer<fleet::Traffic>>,
    choices: Choices,
    day: Day,
) -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let deckies = Memo::new(move |_| {
        let mut deckies = live
            .deckies
            .with(|known| known.as_ref().map(|k| k.values().cloned().collect::<Vec<_>>()))
            .unwrap_or_else(|| first.clone());
        deckies.sort_by(|a, b| a.name.cmp(&b.name));
        deckies
    });
    let asked = Memo::new(move |_| query.with(Asked::of));
    let shown = Memo::new(move |_| asked.with(|asked| deckies.with(|deckies| asked.arrange(deckies))));
    let some_shown = Memo::new(move |_| shown.with(|shown| !shown.is_empty()));
    // Kept: anything else that changes in the URL redraws neither, and what was selected stays so.
    let table = Memo::new(move |_| query.with(|q| q.get_str("view") == Some("table")));
    let summary = Signal::derive(move || {
        deckies.with(|deckies| {
            let running = deckies.iter().filter(|d| d.state == DeckyState::Running).count();
            let services: usize = deckies.iter().map(|d| d.services.len()).sum();
            let failing = deckies
                .iter()
                .filter(|d| matches!(d.state, DeckyState::Failed | DeckyState::Degraded))
                .count();
            let stopped = deckies.iter().filter(|d| d.state == DeckyState::Stopped).count();
            let fitting = shown.with(Vec::len);
            let mut words = if fitting < deckies.len() {
                format!("{fitting} shown · ")
            } else {
                String::new()
            };
            words.push_str(&format!(
                "{} of {} running · {} ",
                running,
                text::plural(u64::try_from(deckies.len()).unwrap_or(0), "decky", "deckies"),
                text::plural(u64::try_from(services).unwrap_or(0), "service", "services"),
            ));
            if stopped > 0 {
                words.push_str(&format!("· {stopped} stopped "));
            }
            if failing > 0 {
                words.push_str(&format!("· {failing} in trouble"));
            }
            words
        })
    });
    let nothing = move || {
        if manages.get() {
            view! {
                <Empty
                    title="No deckies yet"
                    hint="A decky is a decoy machine with an address, a name and services of its own. Deploy a few here or from a terminal."
                    command="decnet deploy --archetype linux-server --deckies 4"
                >
                    <a class="button primary" href="/fleet?dialog=deploy">"Deploy deckies"</a>
                </Empty>
            }
            .into_any()
        } else {
            view! { <Empty title="No deckies yet" hint="An administrator deploys them; they will appear here by themselves." /> }
                .into_any()
        }
    };
    view! {
        <Show when=move || deckies.with(|d| !d.is_empty()) fallback=nothing>
            <Filters />
            <LeftOut faults=Signal::derive(move || asked.with(|asked| asked.faults.join("; "))) />
            {move || {
                if !some_shown.get() {
                    view! { <NothingFits title="No decky fits these filters" /> }.into_any()
                } else if table.get() {
                    view! { <Rows deckies=shown manages=manages summary=summary /> }.into_any()
                } else {
                    view! { <p class="table-note">{summary}</p><Cards deckies=shown manages traffic /> }.into_any()
                }
            }}
        </Show>
        <DeckyDrawer deckies=deckies manages=manages day=day />
        {move || manages.get().then(|| view! { <Orders deckies=deckies choices=choices /> })}
    }
    .into_any()
}
