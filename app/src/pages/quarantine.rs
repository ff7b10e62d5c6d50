//! The quarantine: lines of the spool that did not become evidence, and why not. For administrators.

use decnet_model::{
    permission::ViewQuarantine,
    query::QuarantineQuery,
    view::{MAX_SEARCH, Page, QuarantineView},
};
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use time::OffsetDateTime;

use crate::{
    api::evidence,
    components::{
        download::Export,
        drawer::RowDrawer,
        filter::{Chips, FilterForm, SearchField, WordField},
        frame::{PageHead, may},
        notice::{Empty, Fetched, LeftOut, NothingFits, NothingYet},
        pager::{More, Pager},
        said::{CopyButton, Long, Said},
        table::{Column, Listed, Table},
        when::{Ago, Clock, use_present},
    },
    live::use_live,
    url::{self, Between},
};

/// The parameter of the URL that names the line whose drawer is open.
const OPENED: &str = "line";

const FIELDS: &[&str] = &["search", "segment"];
const CHIPS: &[(&str, &str)] = &[
    ("search", "text"),
    ("segment", "segment"),
    url::LAST,
    url::FROM,
    url::UNTIL,
];

/// The page.
#[component]
pub(crate) fn QuarantinePage() -> impl IntoView {
    let live = use_live();
    let params = use_query_map();
    let present = use_present();
    let reads = may::<ViewQuarantine>();
    let filters = Memo::new(move |_| params.with(url::filters));
    let asked = Memo::new(move |_| filters.with(|f| asked(f, present.now.get_untracked())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let page = Resource::new(
        move || (query.get(), live.epoch.get()),
        |(query, _)| evidence::quarantine_page(query),
    );
    let export = Signal::derive(move || query.with(url::export_quarantine));
    view! {
        <PageHead title="Unread lines">
            <a class="button" href="/live">"Back to the log"</a>
            // Who may not see the lines may not take them along.
            <Suspense>
                {move || reads.get().then(|| view! { <Export from=export /> })}
            </Suspense>
        </PageHead>
        <FilterForm fields=FIELDS label="Filter unread lines">
            <SearchField name="search" placeholder="Text in the line or the reason" />
            <WordField name="segment" label="Segment" most=20 />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <Fetched from=page rows=8 draw=move |first| view! { <List first query=query.get_untracked() /> }.into_any() />
    }
    .into_any()
}

/// The lines that a URL asks for, and what it says wrongly.
fn asked(params: &ParamsMap, now: OffsetDateTime) -> (QuarantineQuery, Vec<String>) {
    let (Between { start, end }, mut faults) = Between::of(params, now);
    let segment = url::value(params, "segment").map(|segment| segment.parse::<u64>());
    if matches!(segment, Some(Err(_))) {
        faults.push("the segment is not a number".to_owned());
    }
    let query = QuarantineQuery {
        limit: Some(100),
        before: url::value(params, url::BEFORE),
        search: url::value(params, "search").map(|text| text.chars().take(MAX_SEARCH).collect()),
        segment: segment.and_then(Result::ok),
        start_time: start,
        end_time: end,
    };
    (query, faults)
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
fn List(first: Page<QuarantineView>, query: QuarantineQuery) -> impl IntoView {
    let live = use_live();
    let filtered = query.is_filtered();
    let from_start = query.before.is_none();
    let which = if from_start { "newest" } else { "next" };
    let pager = Pager::new(first, move |before| {
        evidence::quarantine_page(QuarantineQuery {
            before,
            ..query.clone()
        })
    });
    if from_start {
        pager.follow(Memo::new(move |_| {
            live.stats
                .with(|stats| stats.as_ref().map(|stats| stats.quarantined))
        }));
    }
    let rows = Signal::derive(move || {
        pager
            .rows
            .with(|lines| lines.iter().map(|line| (line.clone(), false)).collect::<Vec<_>>())
    });
    let nothing = move || match pager.unknown() {
        Some(pages) => view! { <NothingYet pages which /> }.into_any(),
        None if filtered => view! { <NothingFits /> }.into_any(),
        None => view! {
            <Empty
                title="Every line became evidence"
                hint="A line that cannot be read or stored is kept here as it came, with the reason."
            />
        }
        .into_any(),
    };
    view! {
        <Show when=move || pager.rows.with(|lines| !lines.is_empty()) fallback=move || nothing>
            <Table name="quarantine" columns=COLUMNS rows=rows leads=OPENED>
                <p class="table-note">
                    {move || pager.words(rows.with(Vec::len), "line", "lines")}
                    ", kept as they came. They count for nothing; "<code>"decnet ingest --rebuild"</code>
                    " reads the spool anew, once what hindered them is mended."
                </p>
            </Table>
        </Show>
        <More pager=pager words="Older" />
        <RowDrawer rows=pager.rows param=OPENED title="Unread line" draw=detail />
    }
    .into_any()
}

/// All of a line: where it is, why it was not read, and itself.
fn detail(line: &QuarantineView) -> AnyView {
    let present = use_present();
    let at = line.received_at;
    let place = format!("{}:{}", line.segment, line.offset);
    let segment = format!("/quarantine?segment={}", line.segment);
    view! {
        <dl class="facts">
            <dt>"Met"</dt>
            <dd><Ago at /><span class="exact">{move || present.exact(at)}</span></dd>
            <dt>"In the spool"</dt>
            <dd>
                <code title="segment and the byte at which the line ends">{place.clone()}</code>
                <CopyButton text=place what="place" />
            </dd>
            <dt>"Why"</dt>
            <dd><Said text=line.why.clone() /><CopyButton text=line.why.clone() what="reason" /></dd>
            <dt>"Line"</dt>
            <dd><Long text=line.line.clone() /><CopyButton text=line.line.clone() what="line" /></dd>
        </dl>
        <p class="drawer-foot drawer-ways"><a class="button" href=segment>"All of this segment"</a></p>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_says_wrongly_is_told_and_the_rest_is_asked() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut params = ParamsMap::new();
            for (key, value) in pairs {
                params.insert(*key, (*value).to_owned());
            }
            asked(&params, OffsetDateTime::UNIX_EPOCH)
        };
        let (query, faults) = of(&[("search", " no version "), ("segment", "7"), ("log", "1")]);
        assert_eq!(
            (query.search.as_deref(), query.segment),
            (Some("no version"), Some(7))
        );
        assert!(faults.is_empty() && query.is_filtered());
        let (query, faults) = of(&[("segment", "-1"), ("start_time", "yesterday")]);
        assert!(!query.is_filtered());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(
            url::export_quarantine(&of(&[("search", "a b"), ("segment", "7")]).0),
            "/api/v1/quarantine/export?search=a%20b&segment=7"
        );
    }
}
