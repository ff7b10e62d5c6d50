//! The fleet: every decky, how to touch it, and the orders to deploy, change and remove some.

use decnet_model::{
    permission::ManageFleet,
    state::DeckyState,
    view::{ArchetypeView, DeckyView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use crate::{
    api::{
        Answer,
        fleet::{self, Deploy, MAX_AMOUNT, Mutate, Redeploy, Teardown},
    },
    components::{
        dialog::Dialog,
        frame::{PageHead, may},
        icon::{Icon, Mark},
        notice::{Empty, Loading, Problem},
        said::{Command, CopyButton},
        stat::StateBadge,
        when::Elapsed,
    },
    live::use_live,
    text, url,
};

use super::login::FormFault;

/// The kinds of decky, fetched while the deploy dialog is open.
type Archetypes = Resource<Answer<Vec<ArchetypeView>>>;

/// The page.
#[component]
pub(crate) fn FleetPage() -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageFleet>();
    let query = use_query_map();
    // Only the dialog needs them; a resource below a `Suspense` would be one too many, so it is made here.
    let dialog = Memo::new(move |_| query.with(|q| q.get_str("dialog") == Some("deploy")));
    let archetypes = Resource::new(
        move || dialog.get(),
        |wanted| async move {
            if wanted {
                fleet::archetype_list().await
            } else {
                Ok(Vec::new())
            }
        },
    );
    let first = Resource::new(move || live.epoch.get(), |_| fleet::decky_list());
    view! {
        <PageHead title="Fleet">
            <Views />
            <Suspense>
                {move || {
                    manages
                        .get()
                        .then(|| {
                            view! {
                                <a class="button primary" href="/fleet?dialog=deploy" data-noscroll="">
                                    <Mark icon=Icon::Plus />
                                    "Deploy"
                                </a>
                            }
                        })
                }}
            </Suspense>
        </PageHead>
        <Transition fallback=|| view! { <Loading rows=8 /> }>
            {move || Suspend::new(async move {
                match first.await {
                    Ok(deckies) => view! { <Deckies first=deckies manages=manages archetypes=archetypes /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| first.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
    }
    .into_any()
}

/// Cards or rows.
#[component]
fn Views() -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let table = move || query.with(|q| q.get_str("view") == Some("table"));
    let to = move |view: Option<&str>| url::with(&path.get(), &query.get(), &[("view", view)]);
    view! {
        <div class="switch" role="group" aria-label="Show the fleet as">
            <a href=move || to(None) aria-label="Cards" aria-current=move || (!table()).then_some("true") data-noscroll="">
                <Mark icon=Icon::Grid />
            </a>
            <a href=move || to(Some("table")) aria-label="Table" aria-current=move || table().then_some("true") data-noscroll="">
                <Mark icon=Icon::Rows />
            </a>
        </div>
    }
    .into_any()
}

#[component]
fn Deckies(first: Vec<DeckyView>, manages: Signal<bool>, archetypes: Archetypes) -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let deckies = Memo::new(move |_| {
        let mut deckies = live
            .deckies
            .with(|known| known.as_ref().map(|k| k.values().cloned().collect::<Vec<_>>()))
            .unwrap_or_else(|| first.clone());
        deckies.sort_by(|a, b| a.name.cmp(&b.name));
        deckies
    });
    let table = move || query.with(|q| q.get_str("view") == Some("table"));
    let summary = move || {
        deckies.with(|deckies| {
            let running = deckies.iter().filter(|d| d.state == DeckyState::Running).count();
            let services: usize = deckies.iter().map(|d| d.services.len()).sum();
            let failing = deckies
                .iter()
                .filter(|d| matches!(d.state, DeckyState::Failed | DeckyState::Degraded))
                .count();
            let mut words = format!(
                "{} of {} running · {} ",
                running,
                text::plural(u64::try_from(deckies.len()).unwrap_or(0), "decky", "deckies"),
                text::plural(u64::try_from(services).unwrap_or(0), "service", "services"),
            );
            if failing > 0 {
                words.push_str(&format!("· {failing} in trouble"));
            }
            words
        })
    };
    let nothing = move || {
        if manages.get() {
            view! {
                <Empty
                    title="No deckies yet"
                    hint="A decky is a decoy machine with an address, a name and services of its own. Deploy a few here or from a terminal."
                    command="decnet deploy --archetype linux-server --deckies 4"
                >
                    <a class="button primary" href="/fleet?dialog=deploy">"Deploy deckies"</a>
                </Empty>
            }
            .into_any()
        } else {
            view! { <Empty title="No deckies yet" hint="An administrator deploys them; they will appear here by themselves." /> }
                .into_any()
        }
    };
    view! {
        <Show when=move || deckies.with(|d| !d.is_empty()) fallback=nothing>
            <p class="table-note">{summary}</p>
            {move || {
                if table() {
                    view! { <Table deckies=deckies manages=manages /> }.into_any()
                } else {
                    view! { <Cards deckies=deckies manages=manages /> }.into_any()
                }
            }}
        </Show>
        {move || manages.get().then(|| view! { <Orders deckies=deckies archetypes=archetypes /> })}
    }
    .into_any()
}

#[component]
fn Cards(deckies: Memo<Vec<DeckyView>>, manages: Signal<bool>) -> impl IntoView {
    view! {
        <ul class="cards">
            <For each=move || deckies.get() key=DeckyView::clone_key children=move |decky| view! { <Card decky manages /> } />
        </ul>
    }
    .into_any()
}

/// What makes a card another card; its count of events alone does not need a new one a second.
trait CloneKey {
    fn clone_key(&self) -> String;
}

impl CloneKey for DeckyView {
    fn clone_key(&self) -> String {
        let listen: Vec<_> = self.services.iter().map(|s| s.listen.join(" ")).collect();
        format!(
            "{} {} {} {} {:?}",
            self.name,
            self.state,
            self.event_count,
            listen.join(","),
            self.last_error
        )
    }
}

#[component]
fn Card(decky: DeckyView, manages: Signal<bool>) -> impl IntoView {
    let name = decky.name.to_string();
    let logs = format!("/live?decky={name}");
    let ip = decky.ip.to_string();
    view! {
        <li class="card" class:leaving=!decky.desired>
            <header>
                <a class="card-name" href=logs.clone() data-row=""><ArchetypeMark slug=decky.archetype.clone() />{name.clone()}</a>
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
                                        <span class="tag">{slug.clone()}</span>
                                        <Command text=text::touch_command(&slug, at) />
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
                                <span class="tag">{service.slug.to_string()}</span>
                                <span class="muted">"not listening"</span>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
            <footer>
                <a href=logs class="card-events">
                    <b>{text::count(decky.event_count)}</b>
                    {if decky.event_count == 1 { " event" } else { " events" }}
                </a>
                <span class="muted">{decky.state.as_str()}" for "<Elapsed since=decky.since /></span>
                {move || manages.get().then(|| view! { <DeckyOrders name=name.clone() desired=decky.desired /> })}
            </footer>
        </li>
    }
    .into_any()
}

/// What can be done to one decky.
#[component]
fn DeckyOrders(name: String, desired: bool) -> impl IntoView {
    let query = use_query_map();
    let to = move |order: &'static str, name: &str| {
        url::with("/fleet", &query.get(), &[(order, Some(name)), ("task", None)])
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
    desired.then(|| {
        view! {
            <span class="orders">
                {order("mutate", "Change the services of", Icon::Swap)}
                {order("redeploy", "Restart", Icon::Again)}
                {order("teardown", "Take down", Icon::Stop)}
            </span>
        }
    })
}

#[component]
fn Table(deckies: Memo<Vec<DeckyView>>, manages: Signal<bool>) -> impl IntoView {
    view! {
        <div class="table-frame">
            <table class="table fleet">
                <thead>
                    <tr>
                        <th scope="col">"Decky"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Persona"</th>
                        <th scope="col">"Services"</th>
                        <th scope="col" class="number">"Events"</th>
                        <th scope="col"><span class="sr">"Orders"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || deckies.get()
                        key=CloneKey::clone_key
                        children=move |decky| {
                            let name = decky.name.to_string();
                            let listen: Vec<_> = decky
                                .services
                                .iter()
                                .map(|service| {
                                    let at = service.listen.first().cloned().unwrap_or_default();
                                    view! { <span class="tag" title=at>{service.slug.to_string()}</span> }
                                })
                                .collect();
                            view! {
                                <tr class:leaving=!decky.desired>
                                    <td class="c-decky">
                                        <a class="who" href=format!("/live?decky={name}") data-row="">
                                            <ArchetypeMark slug=decky.archetype.clone() />
                                            {name.clone()}
                                        </a>
                                    </td>
                                    <td><StateBadge state=Signal::stored(decky.state) /></td>
                                    <td>
                                        <code>{decky.ip.to_string()}</code>
                                        <CopyButton text=decky.ip.to_string() what="address" />
                                    </td>
                                    <td class="c-persona">
                                        <code>{decky.hostname.clone()}</code>
                                        <span class="muted">{format!(" {}", decky.distro)}</span>
                                    </td>
                                    <td class="c-names"><span class="names">{listen}</span></td>
                                    <td class="number" data-label="events">{text::count(decky.event_count)}</td>
                                    <td>{move || manages.get().then(|| view! { <DeckyOrders name=name.clone() desired=decky.desired /> })}</td>
                                </tr>
                            }
                        }
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The mark of a kind of decky: its first letters in a box, so that kinds are told apart at a glance.
#[component]
fn ArchetypeMark(slug: String) -> impl IntoView {
    let letters: String = slug
        .split(['-', '_'])
        .filter_map(|part| part.chars().next())
        .take(2)
        .collect::<String>()
        .to_uppercase();
    view! { <span class="archetype-mark" title=slug aria-hidden="true">{letters}</span> }
}

/// The dialog that the URL names.
#[component]
fn Orders(deckies: Memo<Vec<DeckyView>>, archetypes: Archetypes) -> impl IntoView {
    let query = use_query_map();
    let closed = Signal::derive(move || {
        let out = ["dialog", "deploy", "teardown", "mutate", "redeploy"].map(|key| (key, None));
        url::with("/fleet", &query.get(), &out)
    });
    let which = Memo::new(move |_| {
        query.with(|q| {
            if q.get_str("dialog") == Some("deploy") {
                return Some(("deploy", String::new()));
            }
            ["teardown", "mutate", "redeploy"]
                .into_iter()
                .find_map(|key| Some((key, url::value(q, key)?)))
        })
    });
    move || {
        {
            which.get().map(|(order, names)| match order {
                "deploy" => {
                    view! { <DeployDialog archetypes=archetypes deckies=deckies close=closed /> }.into_any()
                }
                order => {
                    view! { <OrderDialog order=order names=names deckies=deckies close=closed /> }.into_any()
                }
            })
        }
        .into_any()
    }
}

/// Says what an order does, in numbers, before it is given.
#[component]
fn OrderDialog(
    order: &'static str,
    names: String,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let named: Vec<String> = names
        .split(',')
        .map(|n| n.trim().to_owned())
        .filter(|n| !n.is_empty())
        .collect();
    let listed = named.clone();
    let of = Memo::new(move |_| {
        deckies.with(|all| {
            all.iter()
                .filter(|d| listed.iter().any(|n| n == d.name.as_str()))
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    let number = u64::try_from(named.len()).unwrap_or(0);
    let deckies_words = text::plural(number, "decky", "deckies");
    let services = move || {
        let services = of.with(|of| of.iter().map(|d| d.services.len()).sum::<usize>());
        text::plural(u64::try_from(services).unwrap_or(0), "service", "services")
    };
    let (title, button) = match order {
        "teardown" => (format!("Take down {deckies_words}"), "Take down"),
        "mutate" => (
            format!("Change the services of {deckies_words}"),
            "Change services",
        ),
        _ => (format!("Restart {deckies_words}"), "Restart"),
    };
    let effect = {
        let deckies_words = deckies_words.clone();
        move || match order {
            "teardown" => format!(
                "Stops {deckies_words} with {}, and gives the address back. Open sessions on them end. What they recorded stays.",
                services()
            ),
            "mutate" => format!(
                "Stops {} and starts others that fit the archetype. Open sessions on them end; address and name stay.",
                services()
            ),
            _ => format!(
                "Stops {deckies_words} with {} and starts the same again. Open sessions on them end.",
                services()
            ),
        }
    };
    let teardown = ServerAction::<Teardown>::new();
    let mutate = ServerAction::<Mutate>::new();
    let redeploy = ServerAction::<Redeploy>::new();
    let fault = move || {
        [
            teardown.value().get(),
            mutate.value().get(),
            redeploy.value().get(),
        ]
        .into_iter()
        .flatten()
        .find_map(Result::err)
    };
    let pending = move || teardown.pending().get() || mutate.pending().get() || redeploy.pending().get();
    let inside = move || {
        view! {
            <input type="hidden" name="names" value=names.clone() />
            <FormFault fault=fault />
            <footer>
                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                <button type="submit" class="button primary" class:danger=order == "teardown" disabled=pending>
                    {button}
                </button>
            </footer>
        }
    };
    view! {
        <Dialog title=title close=close>
            <ul class="named">
                {named.into_iter().map(|name| view! { <li><code>{text::visible(&name)}</code></li> }).collect_view()}
            </ul>
            <p>{effect}</p>
            {match order {
                "teardown" => view! { <ActionForm action=teardown>{inside()}</ActionForm> }.into_any(),
                "mutate" => view! { <ActionForm action=mutate>{inside()}</ActionForm> }.into_any(),
                _ => view! { <ActionForm action=redeploy>{inside()}</ActionForm> }.into_any(),
            }}
        </Dialog>
    }
    .into_any()
}

#[component]
fn DeployDialog(
    archetypes: Archetypes,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    view! {
        <Dialog title="Deploy deckies" close=close>
            <Suspense fallback=|| view! { <Loading rows=5 /> }>
                {move || Suspend::new(async move {
                    match archetypes.await {
                        Ok(archetypes) => view! { <DeployForm archetypes=archetypes deckies=deckies close=close /> }.into_any(),
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

#[component]
fn DeployForm(
    archetypes: Vec<ArchetypeView>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let deploy = ServerAction::<Deploy>::new();
    let pending = deploy.pending();
    let fault = move || deploy.value().get().and_then(Result::err);
    let chosen = RwSignal::new(archetypes.first().map(|a| a.slug.clone()).unwrap_or_default());
    let amount = RwSignal::new("1".to_owned());
    let prefix = RwSignal::new(String::new());
    let interval = RwSignal::new(String::new());
    let known = archetypes.clone();
    let preview = move || {
        let slug = chosen.get();
        let archetype = known.iter().find(|a| a.slug == slug)?;
        let spec = fleet::deploy_spec(&slug, &amount.get(), &prefix.get(), "", &interval.get()).ok()?;
        let group = spec.deckies.first()?;
        let number = u64::from(group.amount.unwrap_or(1));
        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
        let here = u64::try_from(deckies.with(Vec::len)).unwrap_or(0);
        let name = match &group.name {
            Some(name) if number > 1 => format!("named {name}-1 to {name}-{number}"),
            Some(name) => format!("named {name}"),
            None => "named after the archetype".to_owned(),
        };
        let mutation = group.mutate_interval_minutes.map_or_else(
            || "keeping its services".to_owned(),
            |m| format!("changing services every {}", text::span(u64::from(m) * 60)),
        );
        let again = group
            .name
            .as_ref()
            .filter(|name| number == 1 && deckies.with(|all| all.iter().any(|d| d.name == **name)));
        if let Some(again) = again {
            return Some((
                format!("{again} is there already"),
                format!(
                    "It is set up anew as {}. Open sessions on it end.",
                    archetype.label
                ),
            ));
        }
        Some((
            format!("{} → {}", here, text::plural(here + number, "decky", "deckies")),
            format!(
                "{} × {}, {name}, with services that fit it ({}), {mutation}.",
                number,
                archetype.label,
                services.join(", "),
            ),
        ))
    };
    view! {
        <ActionForm action=deploy>
            <fieldset class="archetypes">
                <legend>"Archetype"</legend>
                {archetypes
                    .into_iter()
                    .enumerate()
                    .map(|(i, archetype)| {
                        let slug = archetype.slug.clone();
                        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
                        view! {
                            <label class="archetype">
                                <input
                                    type="radio"
                                    name="archetype"
                                    value=archetype.slug.clone()
                                    checked=i == 0
                                    autofocus=i == 0
                                    on:change=move |_| chosen.set(slug.clone())
                                />
                                <span class="archetype-body">
                                    <ArchetypeMark slug=archetype.slug />
                                    <b>{archetype.label}</b>
                                    <span class="muted">{archetype.summary}</span>
                                    <span class="names">
                                        {services.into_iter().map(|s| view! { <span class="tag">{s}</span> }).collect_view()}
                                    </span>
                                </span>
                            </label>
                        }
                    })
                    .collect_view()}
            </fieldset>
            <div class="deploy-fields">
                <label>
                    <span>"How many"</span>
                    <input
                        name="amount"
                        type="number"
                        min="1"
                        max=MAX_AMOUNT
                        value="1"
                        required
                        on:input=move |event| amount.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"Name"<small>" or prefix"</small></span>
                    <input
                        name="name"
                        placeholder="from the archetype"
                        maxlength="60"
                        pattern="[a-z0-9]([a-z0-9\\-]*[a-z0-9])?"
                        title="a-z, 0-9 and -, with no - at its beginning or end"
                        autocomplete="off"
                        on:input=move |event| prefix.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"New services every"<small>" min"</small></span>
                    <input
                        name="interval"
                        type="number"
                        min="1"
                        max="525600"
                        placeholder="never"
                        on:input=move |event| interval.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"Seed"<small>" for the same again"</small></span>
                    <input name="seed" placeholder="drawn" maxlength="128" autocomplete="off" />
                </label>
            </div>
            {move || {
                preview()
                    .map(|(fleet, words)| {
                        view! {
                            <p class="preview" role="status">
                                <b>{fleet}</b>
                                {words}
                            </p>
                        }
                    })
            }}
            <FormFault fault=fault />
            <footer>
                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                <button type="submit" class="button primary" disabled=move || pending.get()>
                    {move || if pending.get() { "Deploying…" } else { "Deploy" }}
                </button>
            </footer>
        </ActionForm>
    }
    .into_any()
}
