//! The fleet as cards and as a table.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    iter,
    net::IpAddr,
    sync::Arc,
};

use decnet_model::{query::SortOrder, state::DeckyState, view::DeckyView};
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::mark::ArchetypeMark;
use crate::{
    api::{Answer, fleet::Traffic},
    components::{
        chart::Sparkline,
        icon::{Icon, Mark},
        notice::LeftOut,
        said::{Command, CopyButton},
        stat::StateBadge,
        table::{Column, Leads, Listed, Row, Table},
        when::Elapsed,
    },
    order, text, url,
};

impl Listed for DeckyView {
    fn row_id(&self) -> String {
        self.name.to_string()
    }

    /// All but the time since when: what a card shows of that moves by itself.
    fn row_stamp(&self) -> i64 {
        let mut hash = DefaultHasher::new();
        (
            self.state,
            self.desired,
            self.stopped,
            self.event_count,
            &self.last_error,
        )
            .hash(&mut hash);
        for service in &self.services {
            (service.slug.as_str(), &service.listen, &service.image).hash(&mut hash);
        }
        hash.finish().cast_signed()
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
    view! {
        <ul class="cards">
            <For each=move || deckies.get() key=|decky| (decky.row_id(), decky.row_stamp()) children=move |decky| view! { <Card decky manages traffic /> } />
        </ul>
    }
    .into_any()
}

#[component]
fn Card(decky: DeckyView, manages: Signal<bool>, traffic: Resource<Answer<Traffic>>) -> impl IntoView {
    let name = decky.name.to_string();
    let logs = format!("/live?decky={name}");
    let drawer = drawer_of(name.clone());
    let ip = decky.ip.to_string();
    view! {
        <li class="card" class:leaving=!decky.desired>
            <header>
                <a class="card-name" href=drawer data-row=name.clone() data-noscroll=""><ArchetypeMark slug=decky.archetype.clone() />{name.clone()}</a>
                <StateBadge state=Signal::stored(decky.state) />
            </header>
            <p class="card-who">
                <code>{decky.hostname.clone()}</code>
                <span>{format!("{} · {}", decky.archetype, decky.distro)}</span>
            </p>
            <p class="card-address">
                <code>{ip.clone()}</code>
                <CopyButton text=ip what="address" />
                <code class="mac">{decky.mac.clone()}</code>
            </p>
            {decky.last_error.clone().map(|error| view! { <p class="card-error"><Mark icon=Icon::Alert />{text::visible(&error)}</p> })}
            <ul class="services">
                {decky
                    .services
                    .iter()
                    .flat_map(|service| {
                        let slug = service.slug.to_string();
                        service
                            .listen
                            .iter()
                            .map(|at| {
                                view! {
                                    <li>
                                        <span class="tag" title=service.image.clone()>{slug.clone()}</span>
                                        <Command text=text::touch_command(&decky.distro, &slug, at) />
                                    </li>
                                }
                            })
                            .collect::<Vec<_>>()
                    })
                    .collect_view()}
                {decky
                    .services
                    .iter()
                    .filter(|service| service.listen.is_empty())
                    .map(|service| {
                        view! {
                            <li>
                                <span class="tag" title=service.image.clone()>{service.slug.to_string()}</span>
                                <span class="muted">"not listening"</span>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
            <Day name=name.clone() traffic />
            <footer>
                <a href=logs class="card-events">
                    <b>{text::count(decky.event_count)}</b>
                    {if decky.event_count == 1 { " event" } else { " events" }}
                </a>
                <span class="muted">{decky.state.as_str()}" for "<Elapsed since=decky.since /></span>
                {move || manages.get().then(|| view! { <DeckyOrders name=name.clone() desired=decky.desired stopped=decky.stopped /> })}
            </footer>
        </li>
    }
    .into_any()
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
                <a class="icon-button" href=href title=words aria-label=format!("{words} {name}") data-noscroll="">
                    <Mark icon=icon />
                </a>
            }
        }
    };
    // One that stands still can be started or taken down, and nothing else comes of an order.
    let fitting: &[_] = match stopped {
        true => &[("start", "Start", Icon::Play)],
        false => &[
            ("mutate", "Change the services of", Icon::Swap),
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
    let asked = Memo::new(move |_| query.with(asked));
    let rows = Signal::derive(move || {
        let mut rows = deckies.with(|deckies| {
            deckies
                .iter()
                .map(|d| (Arc::new(d.clone()), false))
                .collect::<Vec<Row<_>>>()
        });
        let (sort, ascending) = asked.with(|(sort, ascending, _)| (*sort, *ascending));
        arrange(&mut rows, sort, ascending);
        rows
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
        let leads = Leads::Drawer("decky");
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
    view! {
        <LeftOut faults=Signal::derive(move || asked.with(|(_, _, faults)| faults.join("; "))) />
        {move || table(manages.get().then_some(ticked))}
    }
}

/// What rows can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
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
    const fn as_str(self) -> &'static str {
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

/// The order that a URL asks for, whether the lowest come first, and what it says wrongly.
fn asked(params: &ParamsMap) -> (Option<Sort>, bool, Vec<String>) {
    let mut faults = Vec::new();
    let sort = url::choice(params, "sort_by", Sort::ALL, Sort::as_str, &mut faults);
    let turn = url::choice(
        params,
        "sort_order",
        SortOrder::ALL,
        SortOrder::as_str,
        &mut faults,
    );
    (sort, turn == Some(SortOrder::Asc), faults)
}

/// Put deckies, which stand in the order of their names, in another. Those that are alike in it stay as they are.
fn arrange(rows: &mut Vec<Row<DeckyView>>, sort: Option<Sort>, ascending: bool) {
    match sort {
        None => {}
        Some(Sort::Name) if ascending => {}
        Some(Sort::Name) => rows.reverse(),
        Some(sort) => order::by(rows, |(decky, _)| {
            let key = sort.key(decky);
            if ascending { key } else { order::greatest(key) }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decky named `name`, up since that second of 2026.
    fn decky(name: &str, state: &str, archetype: &str, ip: &str, events: u64, second: u8) -> Row<DeckyView> {
        let decky = serde_json::from_value(serde_json::json!({
            "name": name, "state": state, "desired": true, "stopped": false, "archetype": archetype, "distro": "debian12", "os": "linux",
            "hostname": "host", "ip": ip, "mac": "b0:83:fe:f2:99:01", "services": [], "engine": "local",
            "since": format!("2026-01-01T00:00:{second:02}Z"), "last_mutation": null, "event_count": events,
        }));
        (Arc::new(decky.unwrap()), false)
    }

    #[test]
    fn rows_stand_in_the_order_of_the_url_and_alike_ones_in_that_of_their_names() {
        let deckies = vec![
            decky("a", "running", "windows-server", "10.0.0.10", 5, 3),
            decky("b", "failed", "web-server", "10.0.0.9", 70, 1),
            decky("c", "running", "windows-workstation", "10.0.1.1", 5, 2),
        ];
        let order = |query: &[(&'static str, &str)]| {
            let mut params = ParamsMap::new();
            for (key, value) in query {
                params.insert(*key, (*value).to_owned());
            }
            let (sort, ascending, faults) = asked(&params);
            assert_eq!(faults, Vec::<String>::new());
            let mut rows = deckies.clone();
            arrange(&mut rows, sort, ascending);
            rows.iter().map(|(d, _)| d.name.to_string()).collect::<String>()
        };
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
    fn an_order_that_there_is_none_of_is_told() {
        let mut params = ParamsMap::new();
        params.insert("sort_by", "luck".to_owned());
        let (sort, ascending, faults) = asked(&params);
        assert_eq!((sort, ascending), (None, false));
        assert_eq!(
            faults,
            ["sort_by=luck, where only name, state, address, archetype, age, events can stand"]
        );
    }
}
