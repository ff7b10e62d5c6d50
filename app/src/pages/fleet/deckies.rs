//! The fleet as cards and as a table.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    iter,
    net::IpAddr,
    sync::Arc,
};

use decnet_model::{
    query::SortOrder,
    state::DeckyState,
    view::{DeckyService, DeckyView},
};
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use crate::{
    api::{Answer, fleet::Traffic},
    components::{
        archetype::ArchetypeMark,
        chart::Sparkline,
        icon::{Icon, Mark},
        said::{Command, CopyButton},
        stat::StateBadge,
        table::{Column, Keep, Listed, Now, Row, Table},
        when::Elapsed,
    },
    order, text, url,
};

/// The fields of the form above the fleet, and what of them is shown as filtered by.
pub(super) const FIELDS: &[&str] = &["search", "state", "sort_by"];
pub(super) const CHIPS: &[(&str, &str)] = &[("search", "text"), ("state", "state")];
/// The orders beside that by name.
pub(super) const ORDERS: [(Sort, &str); 5] = [
    (Sort::State, "by trouble"),
    (Sort::Events, "by events"),
    (Sort::Age, "by time in its state"),
    (Sort::Address, "by address"),
    (Sort::Archetype, "by archetype"),
];

impl Listed for DeckyView {
    fn row_id(&self) -> String {
        self.name.to_string()
    }

    /// All but the time since when: what a card shows of that moves by itself.
    fn row_stamp(&self) -> Option<i64> {
        let mut hash = DefaultHasher::new();
        (
            self.state,
            self.desired,
            self.stopped,
            self.event_count,
            &self.last_error,
        )
            .hash(&mut hash);
        (&self.archetype, &self.distro, &self.hostname, self.ip, &self.mac).hash(&mut hash);
        for service in &self.services {
            (service.slug.as_str(), &service.listen, &service.image).hash(&mut hash);
        }
        Some(hash.finish().cast_signed())
    }

    fn row_words(&self) -> String {
        format!("{}, {}", self.name, self.state)
    }

    fn row_class(&self) -> &'static str {
        if self.desired { "" } else { "leaving" }
    }
}

/// The URL that opens the drawer of a decky.
fn drawer_of(name: String) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    let query = use_query_map();
    let path = use_location().pathname;
    move || url::with(&path.get(), &query.get(), &[("decky", Some(&name))])
}

/// A card each.
#[component]
pub(super) fn Cards(
    deckies: Memo<Vec<DeckyView>>,
    manages: Signal<bool>,
    traffic: Resource<Answer<Traffic>>,
) -> impl IntoView {
    let keep = Keep::new();
    let cards = move || {
        keep.rows(
            deckies
                .get()
                .into_iter()
                .map(|decky| (Arc::new(decky), false))
                .collect(),
        )
    };
    view! {
        <ul class="cards">
            <For each=cards key=|(name, _)| name.clone() children=move |(name, now)| view! { <Card name now manages traffic /> } />
        </ul>
    }
    .into_any()
}

/// The card of the decky `name`, which is what it is `now`. Each part of it is drawn anew when it changes and not whenever an event is
/// counted, so that what is pointed at or has the focus stays.
#[component]
fn Card(
    name: String,
    now: ArcRwSignal<Now<DeckyView>>,
    manages: Signal<bool>,
    traffic: Resource<Answer<Traffic>>,
) -> impl IntoView {
    let drawer = drawer_of(name.clone());
    let logs = format!("/live?decky={name}");
    let now: Signal<Now<DeckyView>> = now.into();
    let state = Signal::derive(move || now.with(|now| now.item.state));
    let leaving = move || now.with(|now| !now.item.desired);
    let archetype = Memo::new(move |_| now.with(|now| now.item.archetype.clone()));
    let persona = Memo::new(move |_| {
        let of = |decky: &DeckyView| {
            let kind = format!("{} · {}", decky.archetype, decky.distro);
            [
                decky.hostname.clone(),
                kind,
                decky.ip.to_string(),
                decky.mac.clone(),
            ]
        };
        now.with(|now| of(&now.item))
    });
    let error = Memo::new(move |_| now.with(|now| now.item.last_error.clone()));
    let heard = Memo::new(move |_| now.with(|now| (now.item.distro.clone(), now.item.services.clone())));
    let events = move || now.with(|now| now.item.event_count);
    let since = Memo::new(move |_| now.with(|now| (now.item.state, now.item.since)));
    let ordered = Memo::new(move |_| now.with(|now| (now.item.desired, now.item.stopped)));
    let orders = {
        let name = name.clone();
        move || {
            let (desired, stopped) = ordered.get();
            let name = name.clone();
            manages
                .get()
                .then(|| view! { <DeckyOrders name desired stopped /> })
        }
    };
    view! {
        <li class="card" class:leaving=leaving>
            <header>
                <a class="card-name" href=drawer data-row=name.clone() data-noscroll="">
                    {move || view! { <ArchetypeMark slug=archetype.get() /> }}
                    {name.clone()}
                </a>
                <StateBadge state />
            </header>
            {move || {
                let [hostname, kind, ip, mac] = persona.get();
                view! {
                    <p class="card-who">
                        <code>{hostname}</code>
                        <span>{kind}</span>
                    </p>
                    <p class="card-address">
                        <code>{ip.clone()}</code>
                        <CopyButton text=ip what="address" />
                        <code class="mac">{mac}</code>
                    </p>
                }
            }}
            {move || error.get().map(|error| view! { <p class="card-error"><Mark icon=Icon::Alert />{text::visible(&error)}</p> })}
            <ul class="services">{move || heard.with(|(distro, services)| services_of(distro, services))}</ul>
            <Day name=name traffic />
            <footer>
                <a href=logs class="card-events">
                    <b>{move || text::count(events())}</b>
                    {move || if events() == 1 { " event" } else { " events" }}
                </a>
                <span class="muted">
                    {move || {
                        let (state, since) = since.get();
                        view! { {state.as_str()}" for "<Elapsed since /> }
                    }}
                </span>
                {orders}
            </footer>
        </li>
    }
    .into_any()
}

/// Where each service is to be touched, with the command that does it.
fn services_of(distro: &str, services: &[DeckyService]) -> Vec<AnyView> {
    let item = |service: &DeckyService, inside: AnyView| {
        view! {
            <li>
                <span class="tag" title=service.image.clone()>{service.slug.to_string()}</span>
                {inside}
            </li>
        }
        .into_any()
    };
    let (heard, silent): (Vec<_>, Vec<_>) = services.iter().partition(|service| !service.listen.is_empty());
    let heard = heard.into_iter().flat_map(|service| {
        let touch = |at: &String| text::touch_command(distro, service.slug.as_str(), at);
        service
            .listen
            .iter()
            .map(move |at| item(service, view! { <Command text=touch(at) /> }.into_any()))
    });
    let silent = silent.into_iter().map(|service| {
        item(
            service,
            view! { <span class="muted">"not listening"</span> }.into_any(),
        )
    });
    heard.chain(silent).collect()
}

/// What a decky saw in the last 24 hours.
#[component]
fn Day(name: String, traffic: Resource<Answer<Traffic>>) -> impl IntoView {
    let drawn = move || {
        let hours = traffic.get()?.ok()?.remove(&name).unwrap_or_default();
        Some(view! { <Sparkline hours /> })
    };
    view! { <Transition>{drawn}</Transition> }.into_any()
}

/// What can be done to one decky.
#[component]
pub(super) fn DeckyOrders(name: String, desired: bool, stopped: bool) -> impl IntoView {
    let query = use_query_map();
    let to = move |order: &'static str, name: &str| {
        url::with(
            "/fleet",
            &query.get(),
            &[(order, Some(name)), ("task", None), ("decky", None)],
        )
    };
    let order = {
        let name = name.clone();
        move |key: &'static str, words: &'static str, icon: Icon| {
            let name = name.clone();
            let href = {
                let name = name.clone();
                move || to(key, &name)
            };
            view! {
                <a class="icon-button order" href=href title=words aria-label=format!("{words} {name}") data-noscroll="">
                    <Mark icon=icon />
                    <span>{words.trim_end_matches(" of")}</span>
                </a>
            }
        }
    };
    // One that stands still can be started or taken down, and nothing else comes of an order.
    let fitting: &[_] = match stopped {
        true => &[("start", "Start", Icon::Play)],
        false => &[
            ("mutate", "Change services of", Icon::Swap),
            ("redeploy", "Restart", Icon::Again),
            ("stop", "Stop", Icon::Stop),
        ],
    };
    desired.then(|| {
        let fitting = fitting.iter().map(|&(key, words, icon)| order(key, words, icon));
        view! {
            <span class="orders">
                {fitting.collect_view()}
                {order("teardown", "Take down", Icon::Bin)}
            </span>
        }
    })
}

const COLUMNS: &[Column<DeckyView>] = &[
    Column {
        label: "Decky",
        class: "c-decky",
        sort: Some(Sort::Name.as_str()),
        cell: |decky| {
            view! {
                <span class="who">
                    <ArchetypeMark slug=decky.archetype.clone() />
                    {decky.name.to_string()}
                </span>
            }
            .into_any()
        },
    },
    Column {
        label: "State",
        class: "c-state",
        sort: Some(Sort::State.as_str()),
        cell: |decky| view! { <StateBadge state=Signal::stored(decky.state) /> }.into_any(),
    },
    Column {
        label: "Address",
        class: "c-address",
        sort: Some(Sort::Address.as_str()),
        cell: |decky| {
            view! {
                <code>{decky.ip.to_string()}</code>
                <CopyButton text=decky.ip.to_string() what="address" />
            }
            .into_any()
        },
    },
    Column {
        label: "Persona",
        class: "c-persona",
        sort: Some(Sort::Archetype.as_str()),
        cell: |decky| {
            view! {
                <code>{decky.hostname.clone()}</code>
                <span class="muted">{format!(" {} · {}", decky.archetype, decky.distro)}</span>
            }
            .into_any()
        },
    },
    Column {
        label: "Services",
        class: "c-names",
        sort: None,
        cell: |decky| {
            let services = decky.services.iter().map(|service| {
                let image = service.image.iter().cloned();
                let at = image
                    .chain(service.listen.first().cloned())
                    .collect::<Vec<_>>()
                    .join(" · ");
                view! { <span class="tag" title=at>{service.slug.to_string()}</span> }
            });
            view! { <span class="names">{services.collect_view()}</span> }.into_any()
        },
    },
    Column {
        label: "For",
        class: "c-since",
        sort: Some(Sort::Age.as_str()),
        cell: |decky| view! { <Elapsed since=decky.since /> }.into_any(),
    },
    Column {
        label: "Events",
        class: "number",
        sort: Some(Sort::Events.as_str()),
        cell: |decky| {
            view! { <span class="figure" data-label="events">{text::count(decky.event_count)}</span> }
                .into_any()
        },
    },
];

/// A row each. Whoever manages the fleet can select some and give one order to all of them.
#[component]
pub(super) fn Rows(
    deckies: Memo<Vec<DeckyView>>,
    manages: Signal<bool>,
    /// How the fleet does, in a line.
    summary: Signal<String>,
) -> impl IntoView {
    let query = use_query_map();
    let rows = Signal::derive(move || {
        let rows = deckies.get().into_iter();
        rows.map(|decky| (Arc::new(decky), false))
            .collect::<Vec<Row<_>>>()
    });
    let ticked = RwSignal::new(BTreeSet::<String>::new());
    // One that is gone meanwhile cannot be given an order.
    let names = Memo::new(move |_| {
        deckies.with(|deckies| {
            let there = deckies.iter().filter(|d| d.desired).map(|d| d.name.to_string());
            ticked.with(|ticked| there.filter(|name| ticked.contains(name)).collect::<Vec<_>>())
        })
    });
    // What can be ordered of some of them: which those are, the order itself says.
    let some = move |stopped: bool| {
        deckies.with(|deckies| {
            let mut such = deckies.iter().filter(|d| d.stopped == stopped);
            names.with(|names| such.any(|d| names.iter().any(|name| name == d.name.as_str())))
        })
    };
    let (some_run, some_rest) = (Memo::new(move |_| some(false)), Memo::new(move |_| some(true)));
    let order = move |key: &'static str, words: &'static str, icon: Icon| {
        let href = move || {
            url::with(
                "/fleet",
                &query.get(),
                &[(key, Some(&names.get().join(","))), ("task", None)],
            )
        };
        view! { <a class="button" href=href data-noscroll=""><Mark icon=icon />{words}</a> }
    };
    let table = move |selected: Option<RwSignal<BTreeSet<String>>>| {
        let leads = "decky";
        match selected {
            Some(selected) => {
                view! {
                    <Table name="fleet" columns=COLUMNS rows=rows leads=leads selected=selected>
                        {move || names.with(Vec::is_empty).then(|| view! { <p class="table-note">{summary}</p> })}
                        {move || {
                            let number = names.with(Vec::len);
                            (number > 0)
                                .then(|| {
                                    view! {
                                        <div class="bulk" role="group" aria-label="Orders for the selected deckies">
                                            <b>{format!("{number} selected")}</b>
                                            {some_run
                                                .get()
                                                .then(|| {
                                                    view! {
                                                        {order("mutate", "Change services", Icon::Swap)}
                                                        {order("redeploy", "Restart", Icon::Again)}
                                                        {order("stop", "Stop", Icon::Stop)}
                                                    }
                                                })}
                                            {some_rest.get().then(|| order("start", "Start", Icon::Play))}
                                            {order("teardown", "Take down", Icon::Bin)}
                                            <button type="button" class="link" on:click=move |_| ticked.update(BTreeSet::clear)>
                                                "none"
                                            </button>
                                        </div>
                                    }
                                })
                        }}
                    </Table>
                }
                .into_any()
            }
            None => {
                view! {
                    <Table name="fleet" columns=COLUMNS rows=rows leads=leads>
                        <p class="table-note">{summary}</p>
                    </Table>
                }
                .into_any()
            }
        }
    };
    move || table(manages.get().then_some(ticked))
}

/// What deckies can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    State,
    Address,
    Archetype,
    /// How long the decky has been in its state.
    Age,
    Events,
}

impl Sort {
    const ALL: &'static [Self] = &[
        Self::Name,
        Self::State,
        Self::Address,
        Self::Archetype,
        Self::Age,
        Self::Events,
    ];

    /// Its word in the URL.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Address => "address",
            Self::Archetype => "archetype",
            Self::Age => "age",
            Self::Events => "events",
        }
    }

    /// What of a decky it goes by. Names have no key: deckies stand in their order before they are put in another.
    fn key(self, decky: &DeckyView) -> u128 {
        match self {
            Self::Name => 0,
            Self::State => trouble(decky.state),
            Self::Address => match decky.ip {
                IpAddr::V4(ip) => u128::from(u32::from(ip)),
                IpAddr::V6(ip) => u128::from(ip),
            },
            Self::Archetype => leading(&decky.archetype),
            Self::Age => order::greatest(order::signed(decky.since.unix_timestamp())),
            Self::Events => u128::from(decky.event_count),
        }
    }
}

/// How much a state wants to be looked at.
fn trouble(state: DeckyState) -> u128 {
    match state {
        DeckyState::Running => 0,
        DeckyState::Stopped => 1,
        DeckyState::Stopping => 2,
        DeckyState::Pending => 3,
        DeckyState::Deploying => 4,
        DeckyState::Mutating => 5,
        DeckyState::Degraded => 6,
        DeckyState::Failed => 7,
    }
}

/// The first letters of a word as a number: in the order of the alphabet, and as many as there is room for, which is enough to tell
/// archetypes apart.
fn leading(word: &str) -> u128 {
    word.bytes()
        .chain(iter::repeat(0))
        .take(16)
        .fold(0, |key, byte| (key << 8) | u128::from(byte))
}

/// Which deckies a URL asks for, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    sort: Option<Sort>,
    /// Whether the lowest come first.
    ascending: bool,
    /// The state that they have to be in.
    state: Option<DeckyState>,
    /// What has to stand in what is told of them.
    words: String,
    /// What the URL says wrongly.
    pub(super) faults: Vec<String>,
}

impl Asked {
    pub(super) fn of(params: &ParamsMap) -> Self {
        let mut faults = Vec::new();
        let sort = url::choice(params, "sort_by", Sort::ALL, Sort::as_str, &mut faults);
        let turn = url::choice(
            params,
            "sort_order",
            SortOrder::ALL,
            SortOrder::as_str,
            &mut faults,
        );
        let state = url::choice(params, "state", DeckyState::ALL, DeckyState::as_str, &mut faults);
        Self {
            sort,
            ascending: turn == Some(SortOrder::Asc),
            state,
            words: url::value(params, "search").unwrap_or_default(),
            faults,
        }
    }

    /// Those of `deckies`, which stand in the order of their names, in the order that is asked for. Those that are alike in it stay as
    /// they are.
    pub(super) fn arrange(&self, deckies: &[DeckyView]) -> Vec<DeckyView> {
        let fitting = deckies.iter().filter(|decky| self.fits(decky));
        let mut deckies: Vec<_> = fitting.cloned().collect();
        match self.sort {
            None => {}
            Some(Sort::Name) if self.ascending => {}
            Some(Sort::Name) => deckies.reverse(),
            Some(sort) => order::by(&mut deckies, |decky| {
                let key = sort.key(decky);
                if self.ascending { key } else { order::greatest(key) }
            }),
        }
        deckies
    }

    fn fits(&self, decky: &DeckyView) -> bool {
        let told = || {
            let mut told = format!(
                "{}\n{}\n{}\n{}\n{}\n{}\n{}",
                decky.name, decky.hostname, decky.ip, decky.mac, decky.archetype, decky.distro, decky.os
            );
            for service in &decky.services {
                told.push('\n');
                told.push_str(service.slug.as_str());
            }
            told
        };
        self.state.is_none_or(|state| decky.state == state)
            && (self.words.is_empty() || text::has_words(&told(), &self.words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decky named `name`, up since that second of 2026.
    fn decky(name: &str, state: &str, archetype: &str, ip: &str, events: u64, second: u8) -> DeckyView {
        let decky = serde_json::from_value(serde_json::json!({
            "name": name, "state": state, "desired": true, "stopped": false, "archetype": archetype, "distro": "debian12", "os": "linux",
            "hostname": format!("host-{name}"), "ip": ip, "mac": "b0:83:fe:f2:99:01", "engine": "local",
            "services": [{ "slug": if name == "b" { "redis" } else { "ssh" }, "listen": [] }],
            "since": format!("2026-01-01T00:00:{second:02}Z"), "last_mutation": null, "event_count": events,
        }));
        decky.unwrap()
    }

    fn params(query: &[(&'static str, &str)]) -> ParamsMap {
        query
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect()
    }

    /// The names of those of `deckies` that a URL asks for, in its order.
    fn names(query: &[(&'static str, &str)], deckies: &[DeckyView]) -> String {
        let asked = Asked::of(&params(query));
        assert_eq!(asked.faults, Vec::<String>::new());
        let shown = asked.arrange(deckies);
        shown.iter().map(|d| d.name.to_string()).collect()
    }

    #[test]
    fn rows_stand_in_the_order_of_the_url_and_alike_ones_in_that_of_their_names() {
        let deckies = [
            decky("a", "running", "windows-server", "10.0.0.10", 5, 3),
            decky("b", "failed", "web-server", "10.0.0.9", 70, 1),
            decky("c", "running", "windows-workstation", "10.0.1.1", 5, 2),
        ];
        let order = |query: &[(&'static str, &str)]| names(query, &deckies);
        for (by, highest, lowest) in [
            ("", "abc", "abc"),
            ("name", "cba", "abc"),
            ("state", "bac", "acb"),
            ("address", "cab", "bac"),
            ("archetype", "cab", "bac"),
            ("age", "bca", "acb"),
            ("events", "bac", "acb"),
        ] {
            assert_eq!(order(&[("sort_by", by)]), highest, "{by}");
            assert_eq!(order(&[("sort_by", by), ("sort_order", "asc")]), lowest, "{by}");
        }
    }

    #[test]
    fn those_are_shown_that_are_in_the_state_and_have_every_word() {
        let deckies = [
            decky("a", "running", "windows-server", "10.0.0.10", 5, 3),
            decky("b", "failed", "web-server", "10.0.0.9", 70, 1),
            decky("c", "running", "web-server", "10.0.1.1", 5, 2),
        ];
        for (state, search, shown) in [
            ("running", "", "ac"),
            ("", "web", "bc"),
            ("running", "WEB 10.0.1", "c"),
            ("", "redis", "b"),
            ("", "host-a", "a"),
            ("stopped", "", ""),
            ("", "nobody", ""),
        ] {
            let query = [("state", state), ("search", search)];
            assert_eq!(names(&query, &deckies), shown, "{query:?}");
        }
    }

    #[test]
    fn an_order_or_a_state_that_there_is_none_of_is_told() {
        let asked = Asked::of(&params(&[("sort_by", "luck"), ("state", "well")]));
        assert_eq!((asked.sort, asked.ascending, asked.state), (None, false, None));
        assert_eq!(
            asked.faults,
            [
                "sort_by=luck, where only name, state, address, archetype, age, events can stand",
                "state=well, where only pending, deploying, running, degraded, mutating, stopping, stopped, failed can stand"
            ]
        );
    }
}
