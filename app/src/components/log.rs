//! Log rows: the table, and the drawer with everything about one of them.

use std::sync::Arc;

use decnet_model::{event::field, id::LogId, view::LogView};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use time::UtcOffset;

use super::{
    archetype::DeckyMark,
    drawer::Drawer,
    glyph::Glyph,
    notice::{Loading, Problem},
    said::{Address, CopyButton, Ends, Long, Said},
    table::{Column, Glance, Listed, Row, Table},
    when::{Ago, Clock, use_present},
};
use crate::{
    api::{Answer, evidence},
    live::use_live,
    piece::parts,
    text, url,
};

/// The rows that a page shows at the moment, once it shows any.
pub(crate) type Shown = StoredValue<Option<Memo<Vec<Row<LogView>>>>>;

impl Listed for LogView {
    fn row_id(&self) -> String {
        self.id.0.to_string()
    }

    fn row_words(&self) -> String {
        let at = text::clock(self.at.to_offset(UtcOffset::UTC));
        let source = self.attacker_ip.map(|ip| format!("{ip}, ")).unwrap_or_default();
        let event = text::visible(&text::event_words(&self.event_type));
        format!("{at} UTC, {source}{event}, details")
    }

    fn row_class(&self) -> &'static str {
        text::row_weight(self).class()
    }
}

const TIME: Column<LogView> = Column {
    label: "Time",
    class: "c-time",
    sort: None,
    cell: |row| view! { <Clock at=row.at /> }.into_any(),
};
const SOURCE: Column<LogView> = Column {
    label: "Source",
    class: "c-source",
    sort: None,
    cell: |row| {
        let source = row.attacker_ip.map(|ip| (ip.to_string(), glyph_of(row)));
        source
            .map(|(ip, glyph)| {
                view! {
                    <span class="who">
                        {move || view! { <Glyph seed=glyph.get() size=16 /> }}
                        <Address ip />
                    </span>
                }
            })
            .into_any()
    },
};
const DECKY: Column<LogView> = Column {
    label: "Decky",
    class: "c-decky",
    sort: None,
    cell: |row| {
        view! { <DeckyMark name=row.decky.clone() /><Said text=row.decky.clone() max=28 /> }.into_any()
    },
};
const SERVICE: Column<LogView> = Column {
    label: "Service",
    class: "c-service",
    sort: None,
    cell: |row| view! { <Said text=row.service.clone() max=20 /> }.into_any(),
};
const EVENT: Column<LogView> = Column {
    label: "Event",
    class: "c-type",
    sort: None,
    cell: |row| {
        view! { <span class="event">{text::visible(&text::event_words(&row.event_type))}</span> }.into_any()
    },
};
const WHAT: Column<LogView> = Column {
    label: "What",
    class: "c-what",
    sort: None,
    cell: |row| view! { <Ends text=text::summary(row) max=220 /> }.into_any(),
};

const COLUMNS: &[Column<LogView>] = &[TIME, SOURCE, DECKY, SERVICE, EVENT, WHAT];
const OF_ONE_SOURCE: &[Column<LogView>] = &[TIME, DECKY, SERVICE, EVENT, WHAT];

/// A table of log rows, newest first. A row leads to its drawer: `?log=<id>` on the same page.
#[component]
pub(crate) fn LogTable(
    #[prop(into)] rows: Signal<Vec<Row<LogView>>>,
    /// Without the column of the source, where all rows have the same.
    #[prop(optional)]
    one_source: bool,
    /// What stands above it.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let (name, columns) = if one_source {
        ("logs one-source", OF_ONE_SOURCE)
    } else {
        ("logs", COLUMNS)
    };
    view! {
        <Table name=name columns=columns rows=rows leads="log">{children.map(|children| children())}</Table>
    }
    .into_any()
}

/// The newest of them at a glance.
#[component]
pub(crate) fn LogGlance(#[prop(into)] rows: Signal<Vec<Row<LogView>>>) -> impl IntoView {
    view! { <Glance name="logs" columns=COLUMNS rows=rows param="log" /> }.into_any()
}

/// What seeds the glyph of a row's attacker, as it is known by now: a row may be older than the fingerprints.
fn glyph_of(row: &LogView) -> Memo<String> {
    let live = use_live();
    let id = row.attacker_id;
    let address = || row.attacker_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let first = row.attacker_glyph.clone().unwrap_or_else(address);
    Memo::new(move |before: Option<&String>| {
        let told = live.attackers.with(|known| Some(known.get(&id?)?.glyph.clone()));
        told.unwrap_or_else(|| before.unwrap_or(&first).clone())
    })
}

/// The drawer of the row that `?log=` names, taken from what is shown or fetched.
#[component]
pub(crate) fn LogDrawer(shown: Shown) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let id = Memo::new(move |_| query.with(|q| q.get_str("log").and_then(|log| log.parse().ok()).map(LogId)));
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("log", None)]));
    let row = Resource::new(
        move || id.get(),
        move |id| async move {
            let id = id?;
            let rows = shown
                .get_value()
                .and_then(|rows| rows.try_get_untracked())
                .unwrap_or_default();
            let held = rows.into_iter().find(|(row, _)| row.id == id).map(|(row, _)| row);
            Some(match held {
                Some(row) => Ok(Arc::unwrap_or_clone(row)),
                None => evidence::log_get(id).await,
            })
        },
    );
    move || {
        id.get().map(|opened| {
            let drawer = OPENED.shown();
            move || drawer.get().map(|drawer| drawer(opened, row, close))
        })
    }
}

/// The row that is asked for, if one is.
type Asked = Resource<Option<Answer<LogView>>>;

parts! {
    pub(crate) OPENED: fn(LogId, Asked, Signal<String>) -> AnyView = log: |opened, row, close| view! { <Opened opened row close /> }.into_any();
}

#[component]
fn Opened(opened: LogId, row: Asked, close: Signal<String>) -> impl IntoView {
    let name = opened.0.to_string();
    let loading = {
        let row = name.clone();
        move || view! { <Drawer row=row.clone() close title="Log row"><Loading /></Drawer> }
    };
    view! {
        <Transition fallback=loading>
            {move || {
                let name = name.clone();
                Suspend::new(async move {
                    let (title, inside) = match row.await {
                        None => return ().into_any(),
                        Some(Ok(row)) => (text::title(&text::visible(&text::event_words(&row.event_type))), view! { <Detail row /> }.into_any()),
                        Some(Err(fault)) => ("Log row".to_owned(), view! { <Problem fault /> }.into_any()),
                    };
                    view! { <Drawer row=name close title=title>{inside}</Drawer> }.into_any()
                })
            }}
        </Transition>
    }
    .into_any()
}

#[component]
fn Detail(row: LogView) -> impl IntoView {
    let present = use_present();
    let (at, received_at) = (row.at, row.received_at);
    let only = |key: &'static str, value: &str| format!("/live?{key}={}", url::escape(value));
    let source = row.attacker_ip.map(|ip| (ip.to_string(), glyph_of(&row)));
    let attacker = row.attacker_id;
    let json = serde_json::to_string_pretty(&row).unwrap_or_default();
    let late = (received_at - at).whole_milliseconds();
    let what = text::summary(&row);
    view! {
        <dl class="facts">
            <dt>"When"</dt>
            <dd><Ago at=at /><span class="exact">{move || present.exact(at)}</span></dd>
            <dt>"Stored"</dt>
            <dd>{if (0..60_000).contains(&late) { format!("{late} ms later") } else { text::exact(received_at, None) }}</dd>
            {source
                .map(|(ip, glyph)| {
                    let to = attacker.map_or_else(|| only("attacker_ip", &ip), |id| format!("/attackers/{id}"));
                    view! {
                        <dt>"Source"</dt>
                        <dd>
                            <a class="who" href=to>
                                {move || view! { <Glyph seed=glyph.get() size=16 /> }}
                                <code>{ip.clone()}</code>
                            </a>
                            <CopyButton text=ip what="address" />
                        </dd>
                    }
                })}
            <dt>"Decky"</dt>
            <dd>
                <a class="who" href=only("decky", &row.decky)>
                    <DeckyMark name=row.decky.clone() />
                    <Said text=row.decky.clone() />
                </a>
            </dd>
            <dt>"Service"</dt>
            <dd><a href=only("service", &row.service)><Said text=row.service.clone() /></a></dd>
            <dt>"Event"</dt>
            <dd><a href=only("event_type", &row.event_type)><Said text=row.event_type.clone() /></a></dd>
        </dl>
        {(!what.is_empty())
            .then(|| view! { <p class="detail-what"><code><Said text=what max=220 /></code></p> })}
        <h3>"Fields"</h3>
        <dl class="facts fields">
            {row
                .fields
                .clone()
                .into_iter()
                .map(|(key, value)| {
                    let copy = value.clone();
                    let what = key.clone();
                    let value = if key == field::SESSION {
                        let search = format!("{key}:{value}");
                        view! { <a href=only("search", &search) title="The log of this session"><Long text=value /></a> }.into_any()
                    } else {
                        view! { <Long text=value /> }.into_any()
                    };
                    view! {
                        <dt><Said text=key /></dt>
                        <dd>{value}<CopyButton text=copy what=what /></dd>
                    }
                })
                .collect_view()}
        </dl>
        {(!row.message.is_empty())
            .then(|| view! { <h3>"Message"</h3><div class="raw"><Long text=row.message.clone() /></div> })}
        <h3>"Line" <CopyButton text=row.raw.clone() what="line" /></h3>
        <div class="raw"><Long text=row.raw.clone() /></div>
        <h3>"JSON" <CopyButton text=json.clone() what="JSON" /></h3>
        <details><summary>"show"</summary><pre class="raw"><Said text=json /></pre></details>
    }
    .into_any()
}
