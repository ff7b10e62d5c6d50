//! Orders to deckies: what each does is said in numbers before it is given.

use decnet_model::{name::DeckyName, view::DeckyView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{Choices, deploy::DeployDialog};
use crate::{
    api::fleet::{self, DeckyStart, DeckyStop, Mutate, Redeploy, Teardown, WHOLE_FLEET},
    components::dialog::Dialog,
    pages::login::FormFault,
    text, url,
};

/// The keys of the URL that say what is ordered of the deckies that they name.
const ORDERS: [&str; 5] = ["teardown", "mutate", "redeploy", "stop", "start"];

/// Why `order` is not for the decky called `name`; nothing where it is.
fn unfit(order: &str, name: &str, deckies: &[DeckyView]) -> Option<&'static str> {
    let Some(decky) = deckies.iter().find(|d| d.name.as_str() == name) else {
        return Some(" is not there");
    };
    match (order, decky.stopped) {
        ("start", false) => Some(" is not stopped"),
        ("start" | "teardown", _) | (_, false) => None,
        (_, true) => Some(" is stopped"),
    }
}

/// The dialog that the URL names.
#[component]
pub(super) fn Orders(deckies: Memo<Vec<DeckyView>>, choices: Choices) -> impl IntoView {
    let query = use_query_map();
    let closed = Signal::derive(move || {
        let out = ["dialog", "deploy", "as"].into_iter().chain(ORDERS);
        url::with(
            "/fleet",
            &query.get(),
            &out.map(|key| (key, None)).collect::<Vec<_>>(),
        )
    });
    let which = Memo::new(move |_| {
        query.with(|q| {
            if q.get_str("dialog") == Some("deploy") {
                return Some(("deploy", String::new()));
            }
            ORDERS
                .into_iter()
                .find_map(|key| Some((key, url::value(q, key)?)))
        })
    });
    move || {
        {
            which.get().map(|(order, names)| match order {
                "deploy" => {
                    view! { <DeployDialog choices=choices deckies=deckies close=closed /> }.into_any()
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
    let unfit = move |name: &str| deckies.with(|all| unfit(order, name, all));
    // As of now: what the title says stays, and what is ordered is what it says.
    let ordered: Vec<_> = untrack(|| {
        named
            .iter()
            .filter(|name| unfit(name).is_none())
            .cloned()
            .collect()
    });
    let listed = ordered.clone();
    let of = Memo::new(move |_| {
        deckies.with(|all| {
            all.iter()
                .filter(|d| listed.iter().any(|n| n == d.name.as_str()))
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    let number = u64::try_from(ordered.len()).unwrap_or(0);
    let deckies_words = text::plural(number, "decky", "deckies");
    // The browser asks for it: what is in the page before says all but the number.
    let open = Action::new(|names: &Vec<DeckyName>| fleet::decky_open_sessions(names.clone()));
    if number > 0 && order != "start" {
        let names: Vec<_> = ordered.iter().filter_map(|name| name.parse().ok()).collect();
        Effect::new(move |_| {
            open.dispatch(names.clone());
        });
    }
    let sessions = move || {
        let (open, all) = open
            .value()
            .get()
            .and_then(Result::ok)
            .filter(|(open, _)| *open > 0)?;
        let least = if all { "" } else { "at least " };
        Some(format!(
            "{least}{}",
            text::plural(open, "live session", "live sessions")
        ))
    };
    // Also where it becomes the whole only while this is open.
    let whole = {
        let ordered = ordered.clone();
        Memo::new(move |_| order == "teardown" && deckies.with(|all| fleet::is_whole_fleet(&ordered, all)))
    };
    let ordered = ordered.join(",");
    let none = number == 0;
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
        "stop" => (format!("Stop {deckies_words}"), "Stop"),
        "start" => (format!("Start {deckies_words}"), "Start"),
        _ => (format!("Restart {deckies_words}"), "Restart"),
    };
    let effect = {
        let deckies_words = deckies_words.clone();
        move || {
            let (services, sessions) = (services(), sessions());
            if order == "mutate" {
                // Services that are drawn again go on, and with them their sessions.
                let with = sessions
                    .map(|sessions| format!(" with {sessions}"))
                    .unwrap_or_default();
                return format!(
                    "Draws services that fit the archetype: of {services}{with}, those that are not drawn again end, and others start. Address and name stay."
                );
            }
            if order == "start" {
                return format!(
                    "Starts {deckies_words} with {services}, as before: same address, same name, same keys."
                );
            }
            let (them, they, addresses) = match number {
                1 => ("it", "it", "address"),
                _ => ("them", "they", "addresses"),
            };
            let (ends, all) = match sessions {
                Some(sessions) => (format!(", ends {sessions}"), String::new()),
                None => (String::new(), format!(" Every session on {them} ends.")),
            };
            match order {
                "teardown" => format!(
                    "Stops {deckies_words} with {services}{ends}, and gives the {addresses} back.{all} What {they} recorded stays."
                ),
                "stop" => format!(
                    "Stops {deckies_words} with {services}{ends}, until started again.{all} Address, name and keys stay, and what {they} recorded."
                ),
                _ => format!("Stops {deckies_words} with {services}{ends}, and starts the same again.{all}"),
            }
        }
    };
    let teardown = ServerAction::<Teardown>::new();
    let mutate = ServerAction::<Mutate>::new();
    let redeploy = ServerAction::<Redeploy>::new();
    let stop = ServerAction::<DeckyStop>::new();
    let start = ServerAction::<DeckyStart>::new();
    let fault = move || {
        [
            teardown.value().get(),
            mutate.value().get(),
            redeploy.value().get(),
            stop.value().get(),
            start.value().get(),
        ]
        .into_iter()
        .flatten()
        .find_map(Result::err)
    };
    let pending = move || {
        let orders = [
            teardown.pending(),
            mutate.pending(),
            redeploy.pending(),
            stop.pending(),
            start.pending(),
        ];
        orders.into_iter().any(|order| order.get())
    };
    let inside = move || {
        view! {
            <input type="hidden" name="names" value=ordered.clone() />
            {move || {
                whole
                    .get()
                    .then(|| {
                        view! {
                            <p><b>"This is the whole fleet:"</b>" nothing is left that an intruder could touch."</p>
                            <div class="form">
                                <label>
                                    <span>"Type " <b>{WHOLE_FLEET}</b> " to confirm"</span>
                                    <input name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false" />
                                </label>
                            </div>
                        }
                    })
            }}
            <FormFault fault=fault />
            <footer>
                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                {(!none)
                    .then(|| {
                        view! {
                            <button type="submit" class="button primary" class:danger=order == "teardown" disabled=pending>
                                {button}
                            </button>
                        }
                    })}
            </footer>
        }
    };
    view! {
        <Dialog title=title close=close>
            <ul class="named">
                {named
                    .into_iter()
                    .map(|name| {
                        let words = text::visible(&name);
                        let left_out = move || unfit(&name).map(|why| view! { <span class="muted">{why}</span> });
                        view! { <li><code>{words}</code>{left_out}</li> }
                    })
                    .collect_view()}
            </ul>
            {(!none).then(|| view! { <p>{effect}</p> })}
            {match order {
                "teardown" => view! { <ActionForm action=teardown>{inside()}</ActionForm> }.into_any(),
                "mutate" => view! { <ActionForm action=mutate>{inside()}</ActionForm> }.into_any(),
                "stop" => view! { <ActionForm action=stop>{inside()}</ActionForm> }.into_any(),
                "start" => view! { <ActionForm action=start>{inside()}</ActionForm> }.into_any(),
                _ => view! { <ActionForm action=redeploy>{inside()}</ActionForm> }.into_any(),
            }}
        </Dialog>
    }
    .into_any()
}
