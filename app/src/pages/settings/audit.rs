//! The audit log: who did what, on what, from where, and with which result.

use decnet_model::{
    query::AuditQuery,
    view::{AuditView, MAX_SEARCH, Page},
};
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use time::OffsetDateTime;

use crate::{
    api::users,
    components::{
        download::Export,
        drawer::RowDrawer,
        filter::{Chips, FilterForm, SearchField, WordField},
        notice::{Empty, Fetched, LeftOut, NothingFits, NothingYet},
        pager::{More, Pager},
        said::{CopyButton, Said},
        table::{Column, Listed, Table},
        when::{Ago, Clock, use_present},
    },
    text,
    url::{self, Between},
};

/// The parameter of the URL that names the entry whose drawer is open.
const OPENED: &str = "entry";

const FIELDS: &[&str] = &["target", "actor", "action"];
const CHIPS: &[(&str, &str)] = &[
    ("target", "on"),
    ("actor", "who"),
    ("action", "did"),
    url::LAST,
    url::FROM,
    url::UNTIL,
];

/// The page.
#[component]
pub(crate) fn AuditPage() -> impl IntoView {
    let params = use_query_map();
    let present = use_present();
    let filters = Memo::new(move |_| params.with(url::filters));
    let asked = Memo::new(move |_| filters.with(|f| asked(f, present.now.get_untracked())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let page = Resource::new(move || query.get(), users::audit_page);
    view! {
        <FilterForm fields=FIELDS label="Filter the audit log">
            <SearchField name="target" placeholder="What it was done to" />
            <WordField name="actor" label="Who" most=128 />
            <WordField name="action" label="Did" most=128 />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <Fetched from=page draw=move |first| view! { <List first=first query=query.get_untracked() /> }.into_any() />
    }
    .into_any()
}

/// The entries that a URL asks for, and what it says wrongly.
fn asked(params: &ParamsMap, now: OffsetDateTime) -> (AuditQuery, Vec<String>) {
    let (Between { start, end }, faults) = Between::of(params, now);
    let text = |key, most| url::value(params, key).map(|text| text.chars().take(most).collect());
    let query = AuditQuery {
        limit: Some(100),
        before: url::value(params, url::BEFORE),
        actor: text("actor", 128),
        action: text("action", 128),
        target: text("target", MAX_SEARCH),
        start_time: start,
        end_time: end,
    };
    (query, faults)
}

impl Listed for AuditView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_words(&self) -> String {
        format!("{} by {}", self.action, self.actor)
    }
}

const COLUMNS: &[Column<AuditView>] = &[
    Column {
        label: "When",
        class: "c-time",
        sort: None,
        cell: |entry| view! { <Clock at=entry.at /> }.into_any(),
    },
    Column {
        label: "Who",
        class: "c-who",
        sort: None,
        cell: |entry| view! { <Said text=entry.actor.clone() max=32 /> }.into_any(),
    },
    Column {
        label: "Did",
        class: "c-did",
        sort: None,
        cell: |entry| view! { <code>{text::visible(&entry.action)}</code> }.into_any(),
    },
    Column {
        label: "On",
        class: "c-target",
        sort: None,
        cell: |entry| view! { <Said text=entry.target.clone() max=48 /> }.into_any(),
    },
    Column {
        label: "From",
        class: "c-source",
        sort: None,
        cell: |entry| {
            entry
                .from
                .map(|ip| view! { <code>{ip.to_string()}</code> })
                .into_any()
        },
    },
    Column {
        label: "Result",
        class: "c-result",
        sort: None,
        cell: |entry| {
            let kind = if entry.result == "ok" {
                "badge good"
            } else {
                "badge warn"
            };
            view! { <span class=kind>{text::visible(&entry.result)}</span> }.into_any()
        },
    },
];

#[component]
fn List(first: Page<AuditView>, query: AuditQuery) -> impl IntoView {
    let export = Signal::stored(url::export_audit(&query));
    let filtered = query
        != AuditQuery {
            limit: query.limit,
            ..AuditQuery::default()
        };
    let from_start = query.before.is_none();
    let which = if from_start { "newest" } else { "next" };
    let pager = Pager::new(first, move |before| {
        users::audit_page(AuditQuery {
            before,
            ..query.clone()
        })
    });
    if from_start {
        pager.follow_by_asking();
    }
    let rows = Signal::derive(move || {
        pager.rows.with(|rows| {
            rows.iter()
                .map(|entry| (entry.clone(), false))
                .collect::<Vec<_>>()
        })
    });
    let nothing = move || {
        match pager.unknown() {
        Some(pages) => view! { <NothingYet pages which /> }.into_any(),
        None if filtered => view! { <NothingFits /> }.into_any(),
        None => {
            view! { <Empty title="Nobody has done anything yet" hint="Sign-ins, changes and downloads are written here." /> }
                .into_any()
        }
    }
    };
    view! {
        <Show when=move || pager.rows.with(|rows| !rows.is_empty()) fallback=move || nothing>
            <Table name="audit" columns=COLUMNS rows=rows leads=OPENED>
                <p class="table-note">"Nothing in it can be changed or removed."</p>
                <Export from=export />
            </Table>
        </Show>
        <More pager=pager words="Older" />
        <RowDrawer rows=pager.rows param=OPENED title="Entry of the audit log" draw=detail />
    }
    .into_any()
}

/// All of an entry, each part to be copied, and the way to all that were made by whom or on what.
fn detail(entry: &AuditView) -> AnyView {
    let present = use_present();
    let at = entry.at;
    let only = |key: &str, value: &str| format!("/settings/audit?{key}={}", url::escape(value));
    let said = |label: &'static str, text: String, what: &'static str| {
        (!text.is_empty()).then(|| {
            view! { <dt>{label}</dt><dd><code><Said text=text.clone() /></code><CopyButton text what /></dd> }
        })
    };
    view! {
        <dl class="facts">
            <dt>"When"</dt>
            <dd><Ago at /><span class="exact">{move || present.exact(at)}</span></dd>
            {said("Who", entry.actor.clone(), "name")}
            {said("Did", entry.action.clone(), "action")}
            {said("On", entry.target.clone(), "target")}
            {entry.from.map(|ip| said("From", ip.to_string(), "address"))}
            {said("Result", entry.result.clone(), "result")}
        </dl>
        <p class="drawer-foot drawer-ways">
            <a class="button" href=only("actor", &entry.actor)>"All they did"</a>
            {(!entry.target.is_empty())
                .then(|| view! { <a class="button" href=only("target", &entry.target)>"All done to it"</a> })}
        </p>
    }
    .into_any()
}
