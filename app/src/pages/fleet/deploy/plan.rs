//! What would come of it: in a sentence while the form is filled in, and decky by decky once the server was asked.

use decnet_model::{
    name::DeckyName,
    view::{ArchetypeView, DeckyView},
};
use leptos::prelude::*;

use super::services::served;
use crate::{
    api::deploy::{Asked, DRAWN, DeployForm as Filled},
    text,
};

/// What would come of the form, as far as it can be said without the server: the fleet before and after, and what comes.
pub(super) fn preview(
    archetype: &ArchetypeView,
    form: &Filled,
    deckies: Memo<Vec<DeckyView>>,
) -> Option<(String, String)> {
    // What is wrong is told at its field, by the server.
    let asked = Asked::of(form);
    let group = asked.spec.deckies.first().filter(|_| asked.faults.is_empty())?;
    let number = u64::from(group.amount.unwrap_or(1));
    let services = if form.choice == DRAWN {
        "services that are drawn".to_owned()
    } else {
        let served: Vec<_> = served(form, archetype).iter().map(ToString::to_string).collect();
        served.join(", ")
    };
    let here = u64::try_from(deckies.with(Vec::len)).unwrap_or(0);
    let name = match &group.name {
        Some(name) if number > 1 => format!("named {name}-01 to {name}-{number:02}"),
        Some(name) => format!("named {name}"),
        None => "named after the archetype".to_owned(),
    };
    let mutation = group.mutate_interval_minutes.map_or_else(
        || "keeping its services".to_owned(),
        |m| format!("changing services every {}", text::interval(m)),
    );
    let again: Vec<_> = match &group.name {
        Some(name) if number > 1 => (1..=number).map(|n| format!("{name}-{n:02}")).collect(),
        Some(name) => vec![name.to_string()],
        None => Vec::new(),
    };
    let is_here = |name: &String| deckies.with_untracked(|all| all.iter().any(|d| d.name.as_str() == name));
    let again: Vec<_> = again.into_iter().filter(is_here).collect();
    let anew = match again.as_slice() {
        [] => String::new(),
        [one] => format!(" {one} is there already: it is set up anew, and open sessions on it end."),
        [first, .., last] => format!(
            " {} are there already ({first} to {last}): they are set up anew, and open sessions on them end.",
            again.len(),
        ),
    };
    let more = number - u64::try_from(again.len()).unwrap_or(number).min(number);
    Some((
        format!("{} → {}", here, text::plural(here + more, "decky", "deckies")),
        format!(
            "{} × {}, {name}, with {services}, {mutation}.{anew}",
            number, archetype.label,
        ),
    ))
}

/// The deckies as they would be, and those that would be taken down.
#[component]
pub(super) fn Plan(
    plan: Vec<DeckyView>,
    #[prop(optional)] leaving: Vec<DeckyName>,
    deckies: Memo<Vec<DeckyView>>,
) -> impl IntoView {
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
        <div class="table-frame plan">
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
                <tbody>{plan.into_iter().map(|decky| view! { <Row decky deckies /> }).collect_view()}</tbody>
            </table>
        </div>
        {leave}
    }
    .into_any()
}

#[component]
fn Row(decky: DeckyView, deckies: Memo<Vec<DeckyView>>) -> impl IntoView {
    let is_here = deckies.with_untracked(|all| all.iter().any(|d| d.name == decky.name));
    let services: Vec<_> = decky
        .services
        .iter()
        .map(|service| match &service.image {
            Some(image) => format!("{} ({image})", service.slug),
            None => service.slug.to_string(),
        })
        .collect();
    let mutation = decky
        .mutate_interval_minutes
        .map(|minutes| format!("new ones every {}", text::interval(minutes)));
    view! {
        <tr>
            <td>
                {decky.name.to_string()}
                {is_here.then(|| view! { <span class="tag">"set up anew"</span> })}
            </td>
            <td>
                <code>{decky.ip.to_string()}</code>
                <code class="mac">{decky.mac}</code>
            </td>
            <td><code>{decky.hostname}</code></td>
            <td>{decky.distro} <span class="muted">{decky.os}</span></td>
            <td>{services.join(", ")} {mutation.map(|words| view! { <span class="tag">{words}</span> })}</td>
        </tr>
    }
    .into_any()
}
