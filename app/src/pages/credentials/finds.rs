//! Everything that intruders gave away or left, each once, with how often it was seen.

use std::sync::Arc;

use decnet_model::{
    query::{BountyQuery, BountySort, SortOrder},
    state::BountyKind,
    view::{BountyView, DeckyView, MAX_SEARCH, Page},
};
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};
use time::OffsetDateTime;

use super::{Views, Wordlists};
use crate::{
    api::{Answer, evidence, fleet},
    components::{
        download::Export,
        drawer::Drawer,
        filter::{Chips, Choice, FilterForm, SearchField},
        frame::PageHead,
        glyph::Glyph,
        notice::{Fetched, LeftOut, Loading, NothingFits, NothingYet, Problem},
        pager::{More, Pager},
        range::moving_start,
        said::{Address, CopyButton, Ends, Long, Said},
        table::{Column, Listed, Row, Table},
        when::{Ago, use_present},
    },
    live::{fleet_now, use_live},
    order,
    pages::live::FirstTouch,
    text,
    url::{self, Between},
};

const FIELDS: &[&str] = &["search", "bounty_type", "accepted", "service", "sort_by"];
const CHIPS: &[(&str, &str)] = &[
    ("search", "text"),
    ("bounty_type", "kind"),
    ("accepted", "accepted"),
    ("service", "service"),
    ("attacker_ip", "source"),
    url::LAST,
    url::FROM,
    url::UNTIL,
];

/// The orders beside that of finding.
const ORDERS: [(BountySort, &str); 2] = [
    (BountySort::Recent, "by last seen"),
    (BountySort::Count, "by times seen"),
];

/// The bounties that a URL asks for, and what it says wrongly.
fn asked(params: &ParamsMap, now: OffsetDateTime) -> (BountyQuery, Vec<String>) {
    let (Between { start, end }, mut faults) = Between::of(params, now);
    let attacker_ip = url::source(params, &mut faults);
    let sort_by = url::choice(
        params,
        "sort_by",
        BountySort::ALL,
        BountySort::as_str,
        &mut faults,
    );
    let sort_order = url::choice(
        params,
        "sort_order",
        SortOrder::ALL,
        SortOrder::as_str,
        &mut faults,
    );
    let bounty_type = url::choice(
        params,
        "bounty_type",
        BountyKind::ALL,
        BountyKind::as_str,
        &mut faults,
    );
    let truth = |accepted| if accepted { "true" } else { "false" };
    let accepted = url::choice(params, "accepted", &[true, false], truth, &mut faults);
    let query = BountyQuery {
        limit: Some(100),
        before: url::value(params, url::BEFORE),
        bounty_type,
        accepted,
        search: url::value(params, "search").map(|s| s.chars().take(MAX_SEARCH).collect()),
        service: url::value(params, "service"),
        attacker_ip,
        sort_by,
        sort_order,
        start_time: start,
        end_time: end,
    };
    (query, faults)
}

#[component]
pub(crate) fn FindsPage() -> impl IntoView {
    let live = use_live();
    let params = use_query_map();
    let present = use_present();
    let filters = Memo::new(move |_| params.with(url::filters));
    let counted = present.counted();
    let asked = Memo::new(move |_| filters.with(|f| asked(f, counted.get())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let export = Signal::derive(move || query.with(url::export_bounties));
    let page = Resource::new(
        move || (filters.get(), live.epoch.get()),
        move |_| evidence::bounty_page(query.get_untracked()),
    );
    // What the table shows at the moment, for the drawer.
    let shown = Shown::new(None);
    let services = Resource::new(|| (), |()| fleet::service_list());
    let deckies = fleet_now();
    let options = Signal::derive(move || match services.get() {
        Some(Ok(services)) => services
            .into_iter()
            .map(|s| (s.slug.to_string(), s.label))
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let kinds: Vec<_> = BountyKind::ALL
        .iter()
        .map(|kind| (kind.as_str().to_owned(), kind.as_str().to_owned()))
        .collect();
    let accepted = [("true", "accepted"), ("false", "never accepted")]
        .map(|(value, words)| (value.to_owned(), words.to_owned()))
        .to_vec();
    let orders = ORDERS
        .map(|(order, words)| (order.to_string(), words.to_owned()))
        .to_vec();
    view! {
        <PageHead title="Credentials">
            <Export from=export><Wordlists /></Export>
        </PageHead>
        <Views />
        <FilterForm fields=FIELDS label="Filter credentials">
            <SearchField name="search" placeholder="Account, secret, decky or address" />
            <Choice name="bounty_type" label="Kind" any="any kind" options=Signal::stored(kinds) />
            <Choice name="accepted" label="Accepted" any="accepted or not" options=Signal::stored(accepted) />
            <Transition fallback=move || {
                view! { <Choice name="service" label="Service" any="any service" options=Signal::stored(Vec::new()) /> }
            }>
                <Choice name="service" label="Service" any="any service" options=options />
            </Transition>
            <Choice name="sort_by" label="Order" any="newest first" options=Signal::stored(orders) />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <Fetched from=page draw={
            move |first| {
                view! { <List first=first query=query.get_untracked() shown=shown deckies=deckies /> }.into_any()
            }
        } />
        <BountyDrawer shown=shown />
    }
    .into_any()
}

impl Listed for BountyView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_stamp(&self) -> Option<i64> {
        Some(self.count.cast_signed())
    }

    fn row_words(&self) -> String {
        let account = self
            .principal
            .as_deref()
            .map(|p| format!(" of {}", text::visible(p)));
        format!("{}{}", self.kind, account.unwrap_or_default())
    }
}

const COLUMNS: &[Column<BountyView>] = &[
    Column {
        label: "Kind",
        class: "c-kind",
        sort: None,
        cell: |b| view! { <span class=format!("tag kind-{}", b.kind)>{b.kind.as_str()}</span> }.into_any(),
    },
    Column {
        label: "Account",
        class: "c-principal",
        sort: None,
        cell: |b| {
            b.principal
                .clone()
                .map(|p| view! { <code><Said text=p max=40 /></code> })
                .into_any()
        },
    },
    Column {
        label: "Secret or value",
        class: "c-value",
        sort: None,
        cell: |b| {
            let kind = b.secret_kind.clone().filter(|kind| kind != "plaintext");
            view! {
                <Ends text=b.value.clone() max=64 />
                {kind.map(|kind| view! { " "<span class="tag">{kind}</span> })}
                <CopyButton text=b.value.clone() what="value" />
            }
            .into_any()
        },
    },
    Column {
        label: "Seen",
        class: "number c-count",
        sort: Some("count"),
        cell: |b| {
            view! { <span class="figure" data-label=if b.count == 1 { "time" } else { "times" }>{text::count(b.count)}</span> }.into_any()
        },
    },
    Column {
        label: "Accepted",
        class: "number c-accepted",
        sort: None,
        cell: |b| {
            (b.kind == BountyKind::Credential)
                .then(|| {
                    view! { <span class="figure" class:zero=b.accepted == 0 class:hot=b.accepted != 0 data-label="accepted">{accepted_words(b)}</span> }
                })
                .into_any()
        },
    },
    Column {
        label: "Last",
        class: "c-seen",
        sort: Some("recent"),
        cell: |b| view! { <Ago at=b.last_seen /> }.into_any(),
    },
    Column {
        label: "From",
        class: "c-source",
        sort: None,
        cell: |b| {
            view! {
                <a class="who" href=format!("/attackers/{}", b.attacker_id)>
                    <Glyph seed=b.attacker_glyph.clone() size=16 />
                    <Address ip=b.attacker_ip.to_string() />
                </a>
            }
            .into_any()
        },
    },
    Column {
        label: "Service",
        class: "c-service",
        sort: None,
        cell: |b| view! { <Said text=b.service.clone() max=20 /> }.into_any(),
    },
    Column {
        label: "Decky",
        class: "c-decky",
        sort: None,
        cell: |b| view! { <Said text=b.decky.clone() max=28 /> }.into_any(),
    },
];

/// How often a decoy let somebody in with it: `3 of 12`.
fn accepted_words(bounty: &BountyView) -> String {
    if bounty.accepted == 0 {
        "none".to_owned()
    } else {
        format!(
            "{} of {}",
            text::count(bounty.accepted),
            text::count(bounty.count)
        )
    }
}

/// The rows that the page shows at the moment, once it shows any.
type Shown = StoredValue<Option<Memo<Vec<Row<BountyView>>>>>;

#[component]
fn List(
    first: Page<BountyView>,
    query: BountyQuery,
    shown: Shown,
    deckies: Signal<Vec<DeckyView>>,
) -> impl IntoView {
    let live = use_live();
    // What was not seen since is shown no more.
    let start = use_query_map().with_untracked(moving_start);
    let filtered = query
        != BountyQuery {
            limit: query.limit,
            sort_by: query.sort_by,
            sort_order: query.sort_order,
            ..BountyQuery::default()
        };
    let which = if query.before.is_some() { "next" } else { "first" };
    let sort = query.sort_by.unwrap_or(BountySort::Found);
    let ascending = query.sort_order == Some(SortOrder::Asc);
    let pager = Pager::new(first, move |before| {
        evidence::bounty_page(BountyQuery {
            before,
            start_time: start.get_untracked().or(query.start_time),
            ..query.clone()
        })
    });
    // The stream tells neither which there are nor which are seen again: each row may be of one.
    pager.follow(Memo::new(move |_| {
        live.stats.with(|s| s.as_ref().map(|s| s.total_logs))
    }));
    let newest = pager.rows.with_untracked(|rows| rows.iter().map(|b| b.id).max());
    let rows = Memo::new(move |_| {
        let row = |b: &Arc<BountyView>| (b.clone(), newest.is_none_or(|newest| b.id > newest));
        let mut rows = pager
            .rows
            .with(|rows| rows.iter().map(row).collect::<Vec<Row<_>>>());
        let start = start.get();
        rows.retain(|(b, _)| start.is_none_or(|start| b.last_seen >= start));
        // One that was seen again since it came is put where it belongs now.
        order::by(&mut rows, |(b, _)| {
            let key = (order::signed(sort.rank(b)) << 64) | order::signed(b.id);
            if ascending { key } else { order::greatest(key) }
        });
        rows
    });
    shown.set_value(Some(rows));
    let nothing = move || match pager.unknown() {
        Some(pages) => view! { <NothingYet pages which /> }.into_any(),
        None if filtered => view! { <NothingFits /> }.into_any(),
        None => view! { <FirstTouch deckies=deckies /> }.into_any(),
    };
    view! {
        <Show when=move || rows.with(|rows| !rows.is_empty()) fallback=move || nothing>
            <Table name="bounties" columns=COLUMNS rows=rows leads="bounty">
                <p class="table-note">{move || pager.words(rows.with(Vec::len), "find", "finds")}</p>
            </Table>
        </Show>
        <More pager=pager />
    }
    .into_any()
}

/// The drawer of the bounty that `?bounty=` names, taken from what is shown or fetched.
#[component]
fn BountyDrawer(shown: Shown) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let id = Memo::new(move |_| query.with(|q| q.get_str("bounty").and_then(|id| id.parse::<i64>().ok())));
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("bounty", None)]));
    let bounty = Resource::new(
        move || id.get(),
        move |id| async move {
            let id = id?;
            let rows = shown
                .get_value()
                .and_then(|rows| rows.try_get_untracked())
                .unwrap_or_default();
            let held = rows.into_iter().find(|(b, _)| b.id == id).map(|(b, _)| b);
            let bounty = match held {
                Some(bounty) => Ok(Arc::unwrap_or_clone(bounty)),
                None => evidence::bounty_get(id).await,
            };
            let elsewhere = match &bounty {
                Ok(bounty) if bounty.kind == BountyKind::Credential && !bounty.value.is_empty() => {
                    evidence::elsewhere_get(id).await
                }
                _ => Ok(None),
            };
            Some(bounty.map(|bounty| (bounty, elsewhere)))
        },
    );
    move || {
        let row = id.get()?.to_string();
        let loading = {
            let row = row.clone();
            move || view! { <Drawer title="Find" row=row.clone() close><Loading /></Drawer> }
        };
        Some(view! {
            <Transition fallback=loading>
                {move || {
                    let row = row.clone();
                    Suspend::new(async move {
                        let (title, inside) = match bounty.await {
                            None => return ().into_any(),
                            Some(Ok((bounty, elsewhere))) => {
                                (text::title(bounty.kind.as_str()), view! { <Detail bounty elsewhere /> }.into_any())
                            }
                            Some(Err(fault)) => ("Find".to_owned(), view! { <Problem fault /> }.into_any()),
                        };
                        view! { <Drawer title=title row=row close>{inside}</Drawer> }.into_any()
                    })
                }}
            </Transition>
        })
    }
}

#[component]
fn Detail(bounty: BountyView, elsewhere: Answer<Option<i64>>) -> impl IntoView {
    let present = use_present();
    let times = move |at| view! { <Ago at /><span class="exact">{move || present.exact(at)}</span> };
    let only = |key: &'static str, value: &str| format!("/credentials?{key}={}", url::escape(value));
    view! {
        <dl class="facts">
            {bounty
                .principal
                .clone()
                .map(|account| {
                    view! {
                        <dt>"Account"</dt>
                        <dd><code><Said text=account.clone() /></code><CopyButton text=account what="account" /></dd>
                    }
                })}
            <dt>{if bounty.kind == BountyKind::Credential { "Secret" } else { "Value" }}</dt>
            <dd><Long text=bounty.value.clone() /><CopyButton text=bounty.value.clone() what="value" /></dd>
            {bounty.secret_kind.clone().map(|kind| view! { <dt>"Form"</dt><dd>{text::visible(&kind)}</dd> })}
            <dt>"Seen"</dt>
            <dd>{text::plural(bounty.count, "time", "times")}</dd>
            {(bounty.kind == BountyKind::Credential)
                .then(|| {
                    let tries = format!(
                        "/live?event_type=auth_attempt&attacker_ip={}&decky={}&service={}&search=outcome:accepted",
                        bounty.attacker_ip,
                        url::escape(&bounty.decky),
                        url::escape(&bounty.service),
                    );
                    let words = accepted_words(&bounty);
                    view! {
                        <dt>"Accepted"</dt>
                        <dd>{if bounty.accepted > 0 { view! { <a href=tries>{words}</a> }.into_any() } else { words.into_any() }}</dd>
                    }
                })}
            <dt>"First"</dt>
            <dd>{times(bounty.first_seen)}</dd>
            <dt>"Last"</dt>
            <dd>{times(bounty.last_seen)}</dd>
            <dt>"From"</dt>
            <dd>
                <a class="who" href=format!("/attackers/{}", bounty.attacker_id)>
                    <Glyph seed=bounty.attacker_glyph.clone() size=16 />
                    <code>{bounty.attacker_ip.to_string()}</code>
                </a>
            </dd>
            <dt>"Service"</dt>
            <dd><a href=only("service", &bounty.service)><Said text=bounty.service.clone() /></a></dd>
            <dt>"Decky"</dt>
            <dd><a href=format!("/fleet?decky={}", url::escape(&bounty.decky))><Said text=bounty.decky.clone() /></a></dd>
            {match elsewhere {
                Ok(None) => None,
                Ok(Some(id)) => {
                    let href = format!("/credentials/reuse?reuse={id}");
                    Some(view! { <a href=href>"who else used it, and where"</a> }.into_any())
                }
                Err(fault) => Some(fault.detail.into_any()),
            }
                .map(|place| view! { <dt>"Elsewhere"</dt><dd>{place}</dd> })}
            <dt>"Evidence"</dt>
            <dd>
                <a href=format!("/live?attacker_ip={}&log={}", bounty.attacker_ip, bounty.log_id.0)>"the line that it was first seen in"</a>
            </dd>
        </dl>
    }
    .into_any()
}
