//! What would come of it: in a sentence while the form is filled in, and decky by decky once the server was asked; and what is
//! common to the form and the text in asking and in deploying.

use std::future::Future;

use decnet_model::{
    fleet::DeckySpec,
    name::DeckyName,
    view::{ArchetypeView, DeckyView},
};
use leptos::{html, prelude::*, server_fn::ServerFn};

use super::services::{number_set, served};
use crate::{
    api::{
        Answer, Fault,
        deploy::{Asked, Coming, DRAWN, DeployForm as Filled, PlannedDecky},
    },
    text,
};

/// What the server was asked about that which is said now, and what it answered.
pub(super) struct Planned<P: Send + Sync + 'static> {
    /// What would come of it; absent where that was not asked, or is no longer what is said.
    pub(super) plan: Signal<Option<P>>,
    /// Why it was refused, or would be.
    pub(super) fault: Signal<Option<Fault>>,
    /// Ask what would come of it.
    pub(super) ask: Callback<()>,
    pub(super) is_asking: Signal<bool>,
}

/// `ask` tells what would come of `said`, which `deploy` deploys.
pub(super) fn planned<S, T, P, A>(said: Signal<T>, deploy: ServerAction<S>, ask: fn(T) -> A) -> Planned<P>
where
    S: ServerFn<Error = Fault> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
    T: Clone + PartialEq + Send + Sync + 'static,
    P: Clone + Send + Sync + 'static,
    A: Future<Output = Answer<P>> + Send + 'static,
{
    // What was refused is mended, or is another thing.
    Effect::watch(move || said.track(), move |(), _, _| deploy.clear(), false);
    let asked = Action::new(move |of: &T| {
        let of = of.clone();
        async move { (of.clone(), ask(of).await) }
    });
    let answer = Signal::derive(move || {
        let answer = asked.value().get();
        let of_now = answer.filter(|(of, _)| said.with(|said| of == said));
        of_now.map(|(_, answer)| answer)
    });
    Planned {
        plan: Signal::derive(move || answer.get().and_then(Result::ok)),
        fault: Signal::derive(move || {
            let refused = deploy.value().get().and_then(Result::err);
            refused.or_else(|| answer.get().and_then(Result::err))
        }),
        ask: Callback::new(move |()| {
            deploy.clear();
            asked.dispatch(said.get_untracked());
        }),
        is_asking: asked.pending().into(),
    }
}

/// The ways on: out, the plan, and deploying.
#[component]
pub(super) fn Footer(
    close: Signal<String>,
    ask: Callback<()>,
    is_asking: Signal<bool>,
    is_deploying: Signal<bool>,
    fault: Signal<Option<Fault>>,
) -> impl IntoView {
    let scripted = RwSignal::new(false);
    Effect::new(move |_| scripted.set(true));
    let not_kept = move || {
        (!scripted.get() && fault.with(Option::is_some)).then(|| {
            view! {
                <p class="muted">
                    "Without scripts this page does not keep what you typed. Go back in the browser: it may still be there."
                </p>
            }
        })
    };
    view! {
        {not_kept}
        <footer>
            <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
            <button type="button" class="button" disabled=move || is_asking.get() on:click=move |_| ask.run(())>
                "Show the plan"
            </button>
            <button type="submit" class="button primary" disabled=move || is_deploying.get()>
                {move || if is_deploying.get() { "Deploying…" } else { "Deploy" }}
            </button>
        </footer>
    }
    .into_any()
}

/// What would come of the form, as far as it can be said without the server: the fleet before and after, and what comes.
pub(super) fn preview(
    archetype: &ArchetypeView,
    form: &Filled,
    deckies: &[DeckyView],
) -> Option<(String, String)> {
    // What is wrong is told at its field, by the server.
    let asked = Asked::of(form);
    let group = asked.spec.deckies.first().filter(|_| asked.faults.is_empty())?;
    let number = u64::from(group.amount.unwrap_or(1));
    let they_have = if number == 1 { "it has" } else { "they have" };
    let name = match &group.name {
        Some(name) if number > 1 => format!("named {name}-01 to {name}-{number:02}"),
        Some(name) => format!("named {name}"),
        None => "named after the archetype".to_owned(),
    };
    // One that stays the kind that it is keeps what is not said of it.
    let (same, others): (Vec<_>, Vec<_>) = there(group, deckies)
        .into_iter()
        .partition(|decky| decky.archetype == archetype.slug);
    let count = |these: &Vec<&DeckyView>| u64::try_from(these.len()).unwrap_or(number);
    let (kept, again) = (count(&same), count(&same) + count(&others));
    let mut unsaid = Vec::new();
    let services = if form.choice == DRAWN {
        "services that are drawn".to_owned()
    } else {
        if group.services.is_empty() && number_set(&form.knobs) == 0 {
            unsaid.push("services");
        }
        if kept == number && !unsaid.is_empty() {
            format!("the services that {they_have} now")
        } else {
            let served: Vec<_> = served(form, archetype).iter().map(ToString::to_string).collect();
            served.join(", ")
        }
    };
    let mutation = match group.mutate_interval_minutes {
        Some(0) => ", never changing services".to_owned(),
        Some(minutes) => format!(", changing services every {}", text::interval(minutes)),
        None => {
            unsaid.push("interval");
            String::new()
        }
    };
    let mut anew = already(
        &same,
        "is changed to this, and remains the machine that it is unless the plan says otherwise.",
        "are changed to this, and remain the machines that they are unless the plan says otherwise.",
    );
    anew.push_str(&already(
        &others,
        "is set up anew, and open sessions on it end.",
        "are set up anew, and open sessions on them end.",
    ));
    if kept > 0 && !unsaid.is_empty() {
        anew.push_str(&format!(
            " What is not said here stays as it is there: {}.",
            unsaid.join(", ")
        ));
    }
    let there = u64::try_from(deckies.len()).unwrap_or(0);
    let more = number.saturating_sub(again);
    Some((
        format!("{} → {}", there, text::plural(there + more, "decky", "deckies")),
        format!(
            "{} × {}, {name}, with {services}{mutation}.{anew}",
            number, archetype.label
        ),
    ))
}

/// Those of `deckies` that a group is about.
fn there<'a>(group: &DeckySpec, deckies: &'a [DeckyView]) -> Vec<&'a DeckyView> {
    let number = group.amount.unwrap_or(1);
    let names: Vec<String> = match &group.name {
        Some(name) if number > 1 => (1..=number).map(|n| format!("{name}-{n:02}")).collect(),
        Some(name) => vec![name.to_string()],
        None => Vec::new(),
    };
    let here = |name: &String| {
        let mut wanted = deckies.iter().filter(|decky| decky.desired);
        wanted.find(|decky| decky.name.as_str() == name)
    };
    names.iter().filter_map(here).collect()
}

/// How many of `deckies` a form is about that remain the kind of machine that they are.
pub(super) fn kept(form: &Filled, deckies: &[DeckyView]) -> usize {
    let spec = Asked::of(form).spec;
    let same = |group: &DeckySpec| {
        let there = there(group, deckies);
        there
            .iter()
            .filter(|decky| decky.archetype == form.archetype)
            .count()
    };
    spec.deckies.first().map_or(0, same)
}

/// That these are there, and what becomes of one or of several.
fn already(deckies: &[&DeckyView], one: &str, several: &str) -> String {
    match deckies {
        [] => String::new(),
        [it] => format!(" {} is there already: it {one}", it.name),
        [first, .., last] => format!(
            " {} are there already ({} to {}): they {several}",
            deckies.len(),
            first.name,
            last.name,
        ),
    }
}

/// The deckies as they would be, and those that would be taken down.
#[component]
pub(super) fn Plan(
    plan: Vec<PlannedDecky>,
    #[prop(optional)] leaving: Vec<DeckyName>,
    deckies: Memo<Vec<DeckyView>>,
    /// Whether those that are made are drawn once more when they are deployed.
    #[prop(optional)]
    drawn: bool,
) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    // The button that asks for it is always in sight, and its answer may be below what is.
    Effect::new(move |_| {
        if let Some(table) = node.get() {
            request_animation_frame(move || table.scroll_into_view());
        }
    });
    let drawn = drawn && plan.iter().any(|planned| planned.coming == Coming::Made);
    let leave = (!leaving.is_empty()).then(|| {
        let names: Vec<_> = leaving.iter().map(ToString::to_string).collect();
        let number = u64::try_from(names.len()).unwrap_or(0);
        let number = text::plural(number, "decky", "deckies");
        view! {
            <p class="form-fault" role="status">
                <b>{format!("Takes down {number}: ")}</b>
                {names.join(", ")}
            </p>
        }
    });
    view! {
        <div class="table-frame plan" node_ref=node>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Host name"</th>
                        <th scope="col">"Pretends"</th>
                        <th scope="col">"Services"</th>
                    </tr>
                </thead>
                <tbody>{plan.into_iter().map(|planned| view! { <Row planned deckies /> }).collect_view()}</tbody>
            </table>
        </div>
        {drawn
            .then(|| {
                view! {
                    <p class="table-note">
                        "Those that are new are drawn once more when they are deployed, because those that are there have seeds of their own. \
                        To have these very machines, deploy them on their own."
                    </p>
                }
            })}
        {leave}
    }
    .into_any()
}

#[component]
fn Row(planned: PlannedDecky, deckies: Memo<Vec<DeckyView>>) -> impl IntoView {
    let PlannedDecky { decky, coming } = planned;
    let is_here = deckies.with_untracked(|all| all.iter().any(|d| d.name == decky.name));
    let services: Vec<_> = decky
        .services
        .iter()
        .map(|service| match &service.image {
            Some(image) => format!("{} ({image})", service.slug),
            None => service.slug.to_string(),
        })
        .collect();
    let becomes = match coming {
        Coming::Is => (
            "stays as it is",
            "Nothing of it changes, and sessions on it go on.",
        ),
        Coming::Started => ("started", "It is the same machine as before."),
        Coming::Reconfigured => (
            "reconfigured",
            "It remains the same machine: sessions end on services that change.",
        ),
        Coming::Made => (
            "set up anew",
            "It is stopped and made anew: open sessions on it end.",
        ),
    };
    let mutation = decky.mutate_interval_minutes.map(|minutes| match minutes {
        0 => "never new ones".to_owned(),
        _ => format!("new ones every {}", text::interval(minutes)),
    });
    view! {
        <tr>
            <td>
                {decky.name.to_string()}
                {is_here.then(|| view! { <span class="tag" title=becomes.1>{becomes.0}</span> })}
            </td>
            <td>
                <code>{decky.ip.to_string()}</code>
                <code class="mac">{decky.mac}</code>
            </td>
            <td><code>{decky.hostname}</code></td>
            <td>{decky.distro}" "<span class="muted">{decky.os}</span></td>
            <td>{services.join(", ")}" "{mutation.map(|words| view! { <span class="tag">{words}</span> })}</td>
        </tr>
    }
    .into_any()
}

#[cfg(feature = "ssr")]
#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, archetype: &str) -> DeckyView {
        let decky = serde_json::json!({
            "name": name, "state": "running", "desired": true, "stopped": false, "archetype": archetype,
            "distro": "debian12", "os": "linux", "hostname": name, "ip": "127.66.0.9", "mac": "00:50:56:01:02:03",
            "services": [], "engine": "local", "since": "2026-11-20T12:00:00Z", "last_mutation": null, "event_count": 0,
        });
        serde_json::from_value(decky).unwrap()
    }

    #[test]
    fn a_decky_that_is_there_and_stays_of_its_kind_keeps_what_is_not_said() {
        let all = decnet_domain::archetypes();
        let web = all.iter().find(|a| a.slug == "web-server").unwrap();
        let mut form = Filled {
            archetype: web.slug.clone(),
            amount: "1".to_owned(),
            name: "web-01".to_owned(),
            ..Filled::default()
        };
        let words = |form: &Filled, here: &[DeckyView]| preview(web, form, here).unwrap().1;
        let new = words(&form, &[]);
        assert!(new.contains("with http") && !new.contains("there"), "{new}");
        // What is of another kind is another machine.
        let other = words(&form, &[at("web-01", "linux-server")]);
        assert!(
            other.contains("set up anew") && !other.contains("stays"),
            "{other}"
        );
        assert_eq!(kept(&form, &[at("web-01", "linux-server")]), 0);
        let same = [at("web-01", "web-server")];
        assert_eq!(kept(&form, &same), 1);
        let stays = words(&form, &same);
        assert!(
            stays.contains("with the services that it has now. web-01 is there"),
            "{stays}"
        );
        assert!(
            stays.ends_with("stays as it is there: services, interval."),
            "{stays}"
        );
        assert!(!stays.contains("anew"), "{stays}");
        form.interval = "30".to_owned();
        assert!(words(&form, &same).ends_with("stays as it is there: services."));
        form.choice = DRAWN.to_owned();
        assert!(!words(&form, &same).contains("stays"));
        // One of two is new, and has what is usual.
        form.choice.clear();
        form.amount = "2".to_owned();
        form.name = "web".to_owned();
        let both = preview(web, &form, &same).unwrap();
        assert_eq!(both.0, "1 → 2 deckies");
        assert!(
            both.1.contains("with http") && both.1.ends_with("stays as it is there: services."),
            "{}",
            both.1
        );
    }
}
