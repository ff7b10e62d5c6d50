//! The alerts of the top bar: what the host knows to be wrong, and who got in. Few, grouped, each with the way to its place.

use decnet_model::{
    clock::micros,
    event::{EventKind, field},
    state::{AlertKind, DeckyState},
    view::AlertView,
};
use leptos::{html, prelude::*};

use super::{
    glyph::Glyph,
    icon::{Icon, Mark},
    said::Said,
    store,
    when::{Ago, use_present},
};
use crate::{api::evidence, live::use_live, text, url};

/// The key of the browser's storage under which stands which intrusions were read: the time of the last.
const READ_KEY: &str = "decnet-alerts-read";

/// How many alerts nobody has read yet, as the title of the page tells, too.
#[derive(Clone, Copy)]
pub(crate) struct Unread(pub(crate) RwSignal<usize>);

/// The bell.
#[component]
pub(crate) fn Bell() -> impl IntoView {
    let live = use_live();
    let counted = use_context::<Unread>();
    let present = use_present();
    // What alerts are made of, as far as the stream tells; an intrusion is one for a day only, so they are asked for every minute, too.
    // In one word, which costs no machinery of its own.
    let moved = Memo::new(move |_| {
        let minute = present.now.get().unix_timestamp().div_euclid(60);
        let mut word = format!("{} {minute}", live.health.get());
        live.deckies.with(|known| {
            let bad = known.iter().flat_map(|known| known.values());
            for decky in bad.filter(|d| matches!(d.state, DeckyState::Failed | DeckyState::Degraded)) {
                word.push(' ');
                word.push_str(decky.name.as_str());
            }
        });
        live.rows.with(|rows| {
            let accepted = rows.iter().find(|row| {
                row.event_type == EventKind::AuthAttempt.as_str()
                    && row
                        .fields
                        .get(field::OUTCOME)
                        .is_some_and(|outcome| outcome == "accepted")
            });
            if let Some(row) = accepted {
                word.push_str(&format!(" {}", row.id.0));
            }
        });
        word
    });
    let alerts = Resource::new(
        move || format!("{} {}", live.epoch.get(), moved.get()),
        |_| evidence::alert_list(),
    );
    let read = RwSignal::new(0_i64);
    Effect::new(move |_| {
        read.set(
            store::get(READ_KEY)
                .and_then(|at| at.parse().ok())
                .unwrap_or_default(),
        )
    });
    let node = NodeRef::<html::Details>::new();
    // The last intrusion, as it was told.
    let newest = RwSignal::new(0_i64);
    // What is told while it is open is read, too.
    let look = move || {
        let opened = node.get_untracked().is_some_and(|details| details.open());
        let newest = newest.get_untracked();
        if opened && newest > read.get_untracked() {
            read.set(newest);
            store::put(READ_KEY, &newest.to_string());
        }
    };
    Effect::new(move |_| {
        let alerts = alerts.get().and_then(Result::ok).unwrap_or_default();
        newest.set(
            alerts
                .iter()
                .map(stamp)
                .filter(|at| *at < i64::MAX)
                .max()
                .unwrap_or_default(),
        );
        look();
    });
    let unread = move || {
        let alerts = alerts.get().and_then(Result::ok).unwrap_or_default();
        let read = read.get();
        alerts.iter().filter(|alert| stamp(alert) > read).count()
    };
    Effect::new(move |_| {
        if let Some(Unread(counted)) = counted {
            counted.set(unread());
        }
    });
    view! {
        <details class="menu bell" node_ref=node on:toggle=move |_| look()>
            <Transition fallback=|| view! { <BellFace unread=0 /> }>
                {move || view! { <BellFace unread=unread() /> }}
            </Transition>
            <div class="menu-body" role="region" aria-label="Alerts">
                <Transition>
                    {move || match alerts.get() {
                        Some(Ok(alerts)) => view! { <Alerts alerts /> }.into_any(),
                        Some(Err(fault)) => view! { <p class="menu-note">{format!("Alerts cannot be told: {}", fault.detail)}</p> }.into_any(),
                        None => ().into_any(),
                    }}
                </Transition>
            </div>
        </details>
    }
    .into_any()
}

/// What an alert has to be newer than to count as read: what is still wrong is never read.
fn stamp(alert: &AlertView) -> i64 {
    match alert.kind {
        AlertKind::Intrusion => alert.since.map_or(i64::MAX, micros),
        AlertKind::Host | AlertKind::Fleet => i64::MAX,
    }
}

#[component]
pub(crate) fn BellFace(unread: usize) -> impl IntoView {
    let label = match unread {
        0 => "Alerts: nothing new".to_owned(),
        n => format!("Alerts: {n} new"),
    };
    view! {
        <summary aria-label=label>
            <Mark icon=Icon::Bell />
            {(unread > 0).then(|| view! { <span class="bell-count" aria-hidden="true">{unread}</span> })}
        </summary>
    }
    .into_any()
}

/// The alerts, or that there are none.
#[component]
pub(crate) fn Alerts(alerts: Vec<AlertView>) -> impl IntoView {
    if alerts.is_empty() {
        return view! {
            <p class="alerts-none"><b>"All is quiet"</b><span>"The host does its work, the deckies run, and nobody got in during the last 24 hours."</span></p>
        }
        .into_any();
    }
    view! { <ul class="alerts">{alerts.into_iter().map(|alert| view! { <Alert alert /> }).collect_view()}</ul> }.into_any()
}

#[component]
fn Alert(alert: AlertView) -> impl IntoView {
    let one = alert.count == 1;
    let first = alert.names.first().cloned().unwrap_or_default();
    let (icon, words, href) = match alert.kind {
        AlertKind::Host => (
            Icon::Workers,
            format!(
                "{} of the host in trouble",
                text::plural(alert.count, "part", "parts")
            ),
            "/workers".to_owned(),
        ),
        AlertKind::Fleet => (
            Icon::Fleet,
            format!("{} in trouble", text::plural(alert.count, "decky", "deckies")),
            if one {
                format!("/fleet?decky={}", url::escape(&first))
            } else {
                "/fleet?view=table".to_owned()
            },
        ),
        AlertKind::Intrusion => {
            let all = format!(
                "/live?event_type={}&search={}:accepted&last=24h",
                EventKind::AuthAttempt,
                field::OUTCOME
            );
            (
                Icon::Attackers,
                format!(
                    "{} signed in to a decoy",
                    text::plural(alert.count, "attacker", "attackers")
                ),
                if one {
                    format!("{all}&attacker_ip={}", url::escape(&first))
                } else {
                    all
                },
            )
        }
    };
    let rest = alert
        .count
        .saturating_sub(u64::try_from(alert.names.len()).unwrap_or(0));
    // What is told beside the names is of the first of them.
    let detail = match alert.kind {
        AlertKind::Intrusion if !one && !alert.detail.is_empty() => format!("last: {}", alert.detail),
        _ => alert.detail,
    };
    let glyphs = alert.glyphs;
    let names = alert.names.into_iter().enumerate().map(|(i, name)| {
        let glyph = glyphs
            .get(i)
            .map(|seed| view! { <Glyph seed=seed.clone() size=16 /> });
        view! { <span class="who">{glyph}<Said text=name max=48 /></span> }.into_any()
    });
    view! {
        <li class=format!("alert-{}", alert.kind)>
            <a href=href>
                <Mark icon=icon />
                <span class="alert-words">
                    <b>{words}</b>
                    <span class="alert-names">
                        {names.collect_view()}
                        {(rest > 0).then(|| format!(" and {rest} more"))}
                    </span>
                    {(!detail.is_empty()).then(|| view! { <span class="alert-detail"><Said text=detail max=120 /></span> })}
                </span>
                {alert.since.map(|at| view! { <span class="alert-when"><Ago at=at /></span> })}
            </a>
        </li>
    }
    .into_any()
}
