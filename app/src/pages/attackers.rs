//! The attackers: everybody who touched a decoy.

use std::{collections::BTreeMap, sync::Arc};

use decnet_model::{
    clock::micros,
    id::AttackerId,
    query::{AttackerQuery, AttackerSort, SortOrder},
    search::finds_attacker,
    view::{AttackerView, DeckyView, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use time::OffsetDateTime;

use super::live::FirstTouch;
use crate::{
    api::{Fault, FaultKind, evidence, fleet},
    components::{
        download::Export,
        drawer::Drawer,
        filter::{Chips, Choice, FilterForm, SearchField},
        frame::PageHead,
        glyph::Glyph,
        notice::{Fetched, LeftOut, Loading, NothingFits, NothingYet, Problem},
        pager::{More, Pager},
        range::{moving_start, use_carried},
        said::{CopyButton, Said},
        table::{Column, Listed, Row, Table},
        when::{Ago, use_present},
    },
    live::{TAKEN, fleet_now, use_live},
    text,
    url::{self, Between},
};

const FIELDS: &[&str] = &["search", "service", "sort_by"];
const CHIPS: &[(&str, &str)] = &[
    ("search", "text"),
    ("service", "service"),
    ("decky", "decky"),
    url::LAST,
    url::FROM,
    url::UNTIL,
];
/// The orders beside that by the last time.
const ORDERS: [(AttackerSort, &str); 4] = [
    (AttackerSort::Active, "by events"),
    (AttackerSort::AuthCount, "by tries"),
    (AttackerSort::CommandCount, "by commands"),
    (AttackerSort::BountyCount, "by loot"),
];
/// Names of deckies or services that a row shows before it counts the rest.
const NAMES: usize = 3;

/// The page.
#[component]
pub(crate) fn AttackersPage() -> impl IntoView {
    let live = use_live();
    let params = use_query_map();
    let present = use_present();
    let filters = Memo::new(move |_| params.with(url::filters));
    let counted = present.counted();
    let asked = Memo::new(move |_| filters.with(|f| url::attacker_query(f, counted.get())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let export = Signal::derive(move || query.with(url::export_attackers));
    let page = Resource::new(
        move || (filters.get(), live.epoch.get()),
        move |_| evidence::attacker_page(query.get_untracked()),
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
    let orders = ORDERS
        .map(|(order, words)| (order.to_string(), words.to_owned()))
        .to_vec();
    view! {
        <PageHead title="Attackers"><Export from=export /></PageHead>
        <FilterForm fields=FIELDS label="Filter attackers">
            <SearchField name="search" placeholder="Address, decky or service" />
            <Transition fallback=move || {
                view! { <Choice name="service" label="Service" any="any service" options=Signal::stored(Vec::new()) /> }
            }>
                <Choice name="service" label="Service" any="any service" options=options />
            </Transition>
            <Choice name="sort_by" label="Order" any="by last seen" options=Signal::stored(orders) />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <Fetched from=page draw=move |first| {
            let anew = Callback::new(move |()| page.refetch());
            view! { <List first=first query=query.get_untracked() anew=anew shown=shown deckies=deckies /> }.into_any()
        } />
        <AttackerDrawer shown=shown />
    }
    .into_any()
}

/// Whether an attacker that just changed belongs to what is shown: the server's rule, for what the stream brings.
fn matches(query: &AttackerQuery, attacker: &AttackerView) -> bool {
    let has = |want: &Option<String>, have: &[String]| want.as_ref().is_none_or(|want| have.contains(want));
    let between = Between {
        start: query.start_time,
        end: query.end_time,
    };
    query.before.is_none()
        && between.has(attacker.first_seen, attacker.last_seen)
        && has(&query.service, &attacker.services)
        && has(&query.decky, &attacker.deckies)
        && query
            .search
            .as_deref()
            .is_none_or(|search| finds_attacker(search, attacker))
}

/// Those who were seen since a list was fetched, by their ids.
type Came = BTreeMap<AttackerId, Row<AttackerView>>;

/// What changes when somebody did something, and not when the profiler finds out who they are: that is no news.
type Did = (OffsetDateTime, u64);

fn did(attacker: &AttackerView) -> Did {
    (attacker.last_seen, attacker.event_count)
}

/// Take up what the stream told of attackers. While the list has a `next` page, nobody is put in who stands behind its end: they come with
/// that page, and before them all who stand between. Whether anybody was taken up.
fn take_up(
    came: &mut Came,
    told: &BTreeMap<AttackerId, AttackerView>,
    query: &AttackerQuery,
    next: Option<&str>,
    listed: &BTreeMap<AttackerId, &Arc<AttackerView>>,
    known: &BTreeMap<AttackerId, Did>,
) -> bool {
    let mut any = false;
    for (id, attacker) in told.iter().filter(|(_, attacker)| matches(query, attacker)) {
        let (held, listed) = (came.get(id), listed.get(id));
        let within = next.is_none_or(|next| query.has_come_to(next, attacker));
        if held.is_some_and(|(held, _)| **held == *attacker) || held.is_none() && listed.is_none() && !within
        {
            continue;
        }
        // What the stream told before this list was there is no news here, nor is what the list has, as the stream tells it again when it
        // greets.
        let now = did(attacker);
        let new = match held {
            Some((held, new)) if did(held) == now => *new,
            _ => known.get(id) != Some(&now) && listed.map(|listed| did(listed)) != Some(now),
        };
        came.insert(*id, (Arc::new(attacker.clone()), new));
        any = true;
    }
    any
}

/// The rows of a list: those that were fetched, as they are now, and those that `came`, in the order that was asked for.
fn in_order(
    fetched: &[Arc<AttackerView>],
    came: &Came,
    query: &AttackerQuery,
    next: Option<&str>,
    start: Option<OffsetDateTime>,
) -> Vec<Row<AttackerView>> {
    let quiet = fetched.iter().filter(|attacker| !came.contains_key(&attacker.id));
    let quiet = quiet.map(|attacker| (attacker.clone(), false));
    // What has moved behind the end of the list stands there again once the list has come to it.
    let within =
        |(attacker, _): &&Row<AttackerView>| next.is_none_or(|next| query.has_come_to(next, attacker));
    let mut rows: Vec<_> = quiet.chain(came.values().filter(within).cloned()).collect();
    rows.retain(|(attacker, _)| start.is_none_or(|start| attacker.last_seen >= start));
    let sort = query.sort_by.unwrap_or(AttackerSort::Recent);
    rows.sort_by_key(|(attacker, _)| (sort.rank(attacker), attacker.id));
    if query.sort_order != Some(SortOrder::Asc) {
        rows.reverse();
    }
    rows
}

impl Listed for AttackerView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_stamp(&self) -> Option<i64> {
        let glyph = self.glyph.bytes();
        let glyph = glyph.fold(0_i64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let seen = micros(self.last_seen).wrapping_add(self.event_count.cast_signed());
        Some(seen.wrapping_add(glyph))
    }

    fn row_words(&self) -> String {
        self.ip.to_string()
    }
}

/// A column of figures. On a phone its head is gone, so each says what it counts: of one, and of several.
macro_rules! figures {
    ($label:literal, $field:ident, $one:literal, $many:literal, $sort:expr) => {
        Column {
            label: $label,
            class: "number",
            sort: $sort,
            cell: |attacker| view! { <Figure of=attacker.$field words=[$one, $many] /> }.into_any(),
        }
    };
}

const COLUMNS: &[Column<AttackerView>] = &[
    Column {
        label: "Attacker",
        class: "c-attacker",
        sort: None,
        cell: |attacker| {
            view! {
                <span class="who">
                    <Glyph seed=attacker.glyph.clone() size=24 />
                    <code>{attacker.ip.to_string()}</code>
                </span>
            }
            .into_any()
        },
    },
    Column {
        label: "Last seen",
        class: "c-seen",
        sort: Some(""),
        cell: |attacker| view! { <Ago at=attacker.last_seen /> }.into_any(),
    },
    figures!("Events", event_count, "event", "events", Some("active")),
    figures!("Tries", auth_count, "try", "tries", Some("auth_count")),
    figures!(
        "Commands",
        command_count,
        "command",
        "commands",
        Some("command_count")
    ),
    figures!("Loot", bounty_count, "loot", "loot", Some("bounty_count")),
    Column {
        label: "Deckies",
        class: "c-names",
        sort: None,
        cell: |attacker| view! { <Names names=attacker.deckies.clone() /> }.into_any(),
    },
    Column {
        label: "Services",
        class: "c-names",
        sort: None,
        cell: |attacker| view! { <Names names=attacker.services.clone() /> }.into_any(),
    },
];

/// The rows that the page shows at the moment, once it shows any.
type Shown = StoredValue<Option<Memo<Vec<Row<AttackerView>>>>>;

#[component]
fn List(
    first: Page<AttackerView>,
    query: AttackerQuery,
    /// Fetches it again.
    anew: Callback<()>,
    shown: Shown,
    deckies: Signal<Vec<DeckyView>>,
) -> impl IntoView {
    let live = use_live();
    // Whoever was not seen since is shown no more.
    let start = use_query_map().with_untracked(moving_start);
    let filtered = query
        != AttackerQuery {
            limit: query.limit,
            sort_by: query.sort_by,
            sort_order: query.sort_order,
            ..AttackerQuery::default()
        };
    let timed = query.start_time.is_some() || query.end_time.is_some();
    let which = if query.before.is_some() { "next" } else { "first" };
    let known: BTreeMap<_, _> = live
        .attackers
        .with_untracked(|known| known.values().map(|a| (a.id, did(a))).collect());
    let pager = Pager::new(first, {
        let query = query.clone();
        move |before| {
            evidence::attacker_page(AttackerQuery {
                before,
                start_time: start.get_untracked().or(query.start_time),
                ..query.clone()
            })
        }
    });
    let came = Memo::new_owning({
        let query = query.clone();
        move |came: Option<Came>| {
            let mut came = came.unwrap_or_default();
            let any = pager.rows.with(|rows| {
                let listed = rows.iter().map(|a| (a.id, a)).collect();
                let next = pager.next.get();
                live.attackers
                    .with(|told| take_up(&mut came, told, &query, next.as_deref(), &listed, &known))
            });
            (came, any)
        }
    });
    let rows = Memo::new(move |_| {
        let (start, next) = (start.get(), pager.next.get());
        came.with(|came| {
            pager
                .rows
                .with(|rows| in_order(rows, came, &query, next.as_deref(), start))
        })
    });
    let is_full = Memo::new(move |_| {
        let fetched = pager.rows.with(Vec::len);
        rows.with(Vec::len).saturating_sub(fetched) > TAKEN
    });
    Effect::new(move |_| {
        if is_full.get() {
            anew.run(());
        }
    });
    shown.set_value(Some(rows));
    let nothing = move || match pager.unknown() {
        Some(pages) => view! { <NothingYet pages which /> }.into_any(),
        None if filtered => view! { <NothingFits title="Nobody fits these filters" /> }.into_any(),
        None => view! { <FirstTouch deckies=deckies /> }.into_any(),
    };
    view! {
        <Show when=move || rows.with(|rows| !rows.is_empty()) fallback=move || nothing>
            <Table name="attackers" columns=COLUMNS rows=rows leads="attacker">
                <p class="table-note">
                    {move || pager.words(rows.with(Vec::len), "attacker", "attackers")}
                    {timed.then_some(" seen in the chosen time. What is counted of each is of all time.")}
                </p>
            </Table>
        </Show>
        <More pager=pager />
    }
    .into_any()
}

/// The drawer of the attacker that `?attacker=` names, taken from what is shown or fetched; what the stream tells of them stands in it
/// at once.
#[component]
fn AttackerDrawer(shown: Shown) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let id = Memo::new(move |_| query.with(|q| url::value(q, "attacker")));
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("attacker", None)]));
    let attacker = Resource::new(
        move || id.get(),
        move |id| async move {
            let Ok(id) = id?.parse::<AttackerId>() else {
                return Some(Err(Fault::new(
                    FaultKind::NotFound,
                    "That is not the id of an attacker.",
                )));
            };
            let rows = shown
                .get_value()
                .and_then(|rows| rows.try_get_untracked())
                .unwrap_or_default();
            let held = rows.into_iter().find(|(a, _)| a.id == id).map(|(a, _)| a);
            Some(match held {
                Some(attacker) => Ok(Arc::unwrap_or_clone(attacker)),
                None => evidence::attacker_get(id).await,
            })
        },
    );
    move || {
        let row = id.get()?;
        let loading = {
            let row = row.clone();
            move || view! { <Drawer title="Attacker" row=row.clone() close><Loading /></Drawer> }
        };
        Some(view! {
            <Transition fallback=loading>
                {move || {
                    let row = row.clone();
                    Suspend::new(async move {
                        let (title, inside) = match attacker.await {
                            None => return ().into_any(),
                            Some(Ok(attacker)) => (attacker.ip.to_string(), view! { <Detail attacker /> }.into_any()),
                            Some(Err(fault)) => ("Attacker".to_owned(), view! { <Problem fault /> }.into_any()),
                        };
                        view! { <Drawer title=title row=row close>{inside}</Drawer> }.into_any()
                    })
                }}
            </Transition>
        })
    }
}

#[component]
fn Detail(attacker: AttackerView) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let carried = use_carried();
    let id = attacker.id;
    let page = format!("/attackers/{id}");
    let ip = attacker.ip.to_string();
    let log = format!("/live?attacker_ip={}", url::escape(&ip));
    let finds = format!("/credentials?attacker_ip={}", url::escape(&ip));
    let times = move |at| view! { <Ago at /><span class="exact">{move || present.exact(at)}</span> };
    let now = Memo::new(move |before: Option<&AttackerView>| {
        let told = live.attackers.with(|known| known.get(&id).cloned());
        told.unwrap_or_else(|| before.unwrap_or(&attacker).clone())
    });
    let facts = move || {
        let attacker = now.get();
        let counts = [
            ("Events", attacker.event_count),
            ("Tries to sign in", attacker.auth_count),
            ("Commands", attacker.command_count),
            ("Loot", attacker.bounty_count),
            ("Visits", attacker.session_count),
        ];
        let names = |label: &'static str, names: Vec<String>, key: &'static str| {
            let names = names.into_iter().map(|name| {
                let to = format!("/live?attacker_ip={}&{key}={}", attacker.ip, url::escape(&name));
                view! { <a class="tag" href=to><Said text=name max=28 /></a>" " }
            });
            view! { <dt>{label}</dt><dd>{names.collect_view()}</dd> }
        };
        view! {
            <dl class="facts">
                <dt>"Address"</dt>
                <dd>
                    <span class="who">
                        <Glyph seed=attacker.glyph.clone() size=24 />
                        <code>{attacker.ip.to_string()}</code>
                    </span>
                    <CopyButton text=attacker.ip.to_string() what="address" />
                </dd>
                <dt>"First seen"</dt>
                <dd>{times(attacker.first_seen)}</dd>
                <dt>"Last seen"</dt>
                <dd>{times(attacker.last_seen)}</dd>
                {counts.map(|(label, count)| view! { <dt>{label}</dt><dd>{text::count(count)}</dd> }).collect_view()}
                {names("Deckies", attacker.deckies.clone(), "decky")}
                {names("Services", attacker.services.clone(), "service")}
            </dl>
        }
    };
    view! {
        <p class="drawer-ways">
            <a class="button primary" href=page>"Everything about this attacker"</a>
            <a class="button" href=carried.to(&log)>"Log"</a>
            <a class="button" href=carried.to(&finds)>"Loot"</a>
        </p>
        {facts}
    }
    .into_any()
}

#[component]
fn Figure(
    of: u64,
    /// What it counts, of one and of several.
    words: [&'static str; 2],
) -> impl IntoView {
    let [one, many] = words;
    let words = if of == 1 { one } else { many };
    view! { <span class="figure" class:zero=of == 0 data-label=words>{text::count(of)}</span> }
}

/// A few names and how many more there are.
#[component]
fn Names(names: Vec<String>) -> impl IntoView {
    let rest = names.len().saturating_sub(NAMES);
    let all = names.join(", ");
    view! {
        <span class="names" title=text::visible(&all)>
            {names
                .into_iter()
                .take(NAMES)
                .map(|name| view! { <span class="tag"><Said text=name max=20 /></span> })
                .collect_view()}
            {(rest > 0).then(|| view! { <span class="tag rest">{format!("+{rest}")}</span> })}
        </span>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attacker(n: u8, event_count: u64) -> AttackerView {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(event_count.cast_signed());
        let ip = std::net::IpAddr::from([192, 0, 2, n]);
        AttackerView {
            id: format!("01890a5d-ac96-774b-bcce-b302000000{n:02x}")
                .parse()
                .unwrap(),
            ip,
            first_seen: at,
            last_seen: at,
            event_count,
            auth_count: 0,
            command_count: 0,
            credential_count: 0,
            bounty_count: 0,
            session_count: 0,
            deckies: vec!["web-01".into()],
            services: vec!["ssh".into()],
            glyph: ip.to_string(),
        }
    }

    /// The cursor behind an attacker, as the server writes it.
    fn behind(attacker: &AttackerView) -> String {
        format!("r{}.{}", attacker.event_count, attacker.id.0.simple())
    }

    /// What a list shows of who was `fetched` and who was told: of each the last figure of the address, the events, and whether it is new.
    fn shown(
        query: &AttackerQuery,
        fetched: &[AttackerView],
        next: Option<&str>,
        told: &[Vec<AttackerView>],
    ) -> Vec<(u8, u64, bool)> {
        let fetched: Vec<_> = fetched.iter().cloned().map(Arc::new).collect();
        let listed = fetched.iter().map(|a| (a.id, a)).collect();
        let mut came = Came::new();
        for told in told {
            // The stream keeps no more than the last of them.
            let told = told.iter().map(|a| (a.id, a.clone())).collect();
            take_up(&mut came, &told, query, next, &listed, &BTreeMap::new());
        }
        let rows = in_order(&fetched, &came, query, next, None);
        let last = |a: &AttackerView| match a.ip {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        rows.iter()
            .map(|(a, new)| (last(a), a.event_count, *new))
            .collect()
    }

    #[test]
    fn while_more_follows_nobody_stands_in_the_list_before_whom_others_are_missing() {
        let query = AttackerQuery {
            sort_by: Some(AttackerSort::Active),
            ..AttackerQuery::default()
        };
        let fetched = [attacker(1, 100), attacker(2, 90), attacker(3, 80)];
        let end = behind(&fetched[2]);
        let told = [
            vec![attacker(4, 3)],
            vec![attacker(5, 85)],
            vec![attacker(3, 120)],
            vec![attacker(6, 80)],
        ];
        let part = [
            (3, 120, true),
            (1, 100, false),
            (2, 90, false),
            (5, 85, true),
            (6, 80, true),
        ];
        assert_eq!(shown(&query, &fetched, Some(&end), &told), part);
        let whole = shown(&query, &fetched, None, &told);
        assert_eq!((&whole[..5], whole[5]), (&part[..], (4, 3, true)));
        let asc = AttackerQuery {
            sort_order: Some(SortOrder::Asc),
            ..query
        };
        let fetched = [attacker(4, 3), attacker(5, 10)];
        let told = [vec![attacker(4, 12)], vec![attacker(6, 1)]];
        assert_eq!(
            shown(&asc, &fetched, Some(&behind(&fetched[1])), &told),
            [(6, 1, true), (5, 10, false)],
            "what moved behind the end comes with what stands before it"
        );
        assert_eq!(
            shown(&asc, &fetched, None, &told),
            [(6, 1, true), (5, 10, false), (4, 12, true)]
        );
    }

    #[test]
    fn who_was_told_stays_as_told_when_the_stream_keeps_them_no_more_and_is_found_as_the_server_finds() {
        let query = AttackerQuery {
            search: Some("WEB".into()),
            ..AttackerQuery::default()
        };
        let elsewhere = AttackerView {
            deckies: vec!["db-01".into()],
            ..attacker(9, 9)
        };
        let told = [vec![attacker(1, 7), elsewhere], vec![attacker(2, 8)]];
        assert_eq!(
            shown(&query, &[attacker(1, 5)], None, &told),
            [(2, 8, true), (1, 7, true)]
        );
    }

    #[test]
    fn what_the_profiler_finds_out_is_drawn_again_and_is_no_news() {
        let before = attacker(1, 5);
        let after = AttackerView {
            session_count: 1,
            glyph: "ja4:t13d".into(),
            ..before.clone()
        };
        assert_ne!(before.row_stamp(), after.row_stamp());
        let told = [vec![after]];
        assert_eq!(
            shown(&AttackerQuery::default(), &[before], None, &told),
            [(1, 5, false)]
        );
    }
}
