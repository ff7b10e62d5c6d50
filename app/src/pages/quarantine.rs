//! The quarantine: lines of the spool that did not become evidence, and why not. For administrators.

use decnet_model::{
    permission::ViewQuarantine,
    view::{Page, QuarantineView},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    api::evidence,
    components::{
        download::Export,
        frame::{PageHead, may},
        notice::{Empty, Fetched},
        pager::{More, Pager},
        said::{CopyButton, Said},
        table::{Column, Leads, Listed, Table},
        when::Clock,
    },
    live::use_live,
    text, url,
};

/// The page.
#[component]
pub(crate) fn QuarantinePage() -> impl IntoView {
    let live = use_live();
    let reads = may::<ViewQuarantine>();
    let before = use_query_map().with_untracked(|params| url::value(params, url::BEFORE));
    let page = Resource::new(
        move || (before.clone(), live.epoch.get()),
        |(before, _)| evidence::quarantine_page(before),
    );
    view! {
        <PageHead title="Unread lines">
            <a class="button" href="/live">"Back to the log"</a>
            // Who may not see the lines may not take them along.
            <Suspense>
                {move || {
                    reads.get().then(|| view! { <Export from=Signal::stored("/api/v1/quarantine/export".to_owned()) /> })
                }}
            </Suspense>
        </PageHead>
        <Fetched from=page rows=8 draw=|first| view! { <List first=first /> }.into_any() />
    }
    .into_any()
}

impl Listed for QuarantineView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_words(&self) -> String {
        format!("the line at {}:{}", self.segment, self.offset)
    }
}

const COLUMNS: &[Column<QuarantineView>] = &[
    Column {
        label: "Met",
        class: "c-time",
        sort: None,
        cell: |line| view! { <Clock at=line.received_at /> }.into_any(),
    },
    Column {
        label: "In the spool",
        class: "c-place",
        sort: None,
        cell: |line| {
            let place = format!("{}:{}", line.segment, line.offset);
            view! { <code title="segment and the byte at which the line ends">{place}</code> }.into_any()
        },
    },
    Column {
        label: "Why",
        class: "c-why",
        sort: None,
        cell: |line| view! { <Said text=line.why.clone() max=200 /> }.into_any(),
    },
    Column {
        label: "Line",
        class: "c-line",
        sort: None,
        cell: |line| {
            view! {
                <code><Said text=line.line.clone() max=300 /></code>
                <CopyButton text=line.line.clone() what="line" />
            }
            .into_any()
        },
    },
];

#[component]
fn List(first: Page<QuarantineView>) -> impl IntoView {
    let total = first.total.unwrap_or_default();
    let pager = Pager::new(first, evidence::quarantine_page);
    let rows = Signal::derive(move || {
        pager
            .rows
            .with(|lines| lines.iter().map(|line| (line.clone(), false)).collect::<Vec<_>>())
    });
    view! {
        <Show
            when=move || pager.rows.with(|lines| !lines.is_empty())
            fallback=|| {
                view! {
                    <Empty
                        title="Every line became evidence"
                        hint="A line that cannot be read or stored is kept here as it came, with the reason."
                    />
                }
            }
        >
            <Table name="quarantine" columns=COLUMNS rows=rows leads=Leads::Nowhere>
                <p class="table-note">
                    {text::plural(total, "line", "lines")}
                    ", kept as they came. They count for nothing; "<code>"decnet ingest --rebuild"</code>
                    " reads the spool anew, once what hindered them is mended."
                </p>
            </Table>
            <More pager=pager words="Older" />
        </Show>
    }
    .into_any()
}
