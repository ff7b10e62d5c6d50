//! The audit log: who did what, on what, from where, and with which result.

use decnet_model::view::{AuditView, Page};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    api::users,
    components::{
        download::Export,
        notice::{Empty, Fetched},
        pager::{More, Pager},
        said::Said,
        table::{Column, Leads, Listed, Table},
        when::Clock,
    },
    text, url,
};

/// The page.
#[component]
pub(crate) fn AuditPage() -> impl IntoView {
    let before = use_query_map().with_untracked(|params| url::value(params, url::BEFORE));
    let page = Resource::new(move || before.clone(), users::audit_page);
    view! {
        <Fetched from=page draw=|first| view! { <List first=first /> }.into_any() />
    }
    .into_any()
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
fn List(first: Page<AuditView>) -> impl IntoView {
    let pager = Pager::new(first, users::audit_page);
    let rows = Signal::derive(move || {
        pager.rows.with(|rows| {
            rows.iter()
                .map(|entry| (entry.clone(), false))
                .collect::<Vec<_>>()
        })
    });
    view! {
        <Show
            when=move || pager.rows.with(|rows| !rows.is_empty())
            fallback=|| view! { <Empty title="Nobody has done anything yet" hint="Sign-ins and changes are written here." /> }
        >
            <Table name="audit" columns=COLUMNS rows=rows leads=Leads::Nowhere>
                <p class="table-note">"Nothing in it can be changed or removed."</p>
                <Export from=Signal::stored("/api/v1/audit/export".to_owned()) />
            </Table>
            <More pager=pager words="Older" />
        </Show>
    }
    .into_any()
}
