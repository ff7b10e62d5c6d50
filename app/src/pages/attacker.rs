//! One attacker: what they did in sum, and every step of it along one line.

use std::sync::Arc;

use decnet_model::{
    id::AttackerId,
    query::LogQuery,
    state::BountyKind,
    view::{AttackerView, BountyView, CommandView, LogView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map, use_query_map};

use crate::{
    api::{
        Answer, Fault, FaultKind,
        evidence::{self, Dossier},
    },
    components::{
        download::Export,
        frame::PageHead,
        glyph::Glyph,
        icon::{Icon, Mark},
        line::Line,
        log::{LogDrawer, LogTable, Shown},
        notice::{Loading, Problem},
        said::{CopyButton, Said},
        stat::ShareBar,
        table::Row,
        when::{Ago, Clock, use_present},
    },
    live::use_live,
    nothing_here, text,
    url::{self, Between},
};

/// The page.
#[component]
pub(crate) fn AttackerPage() -> impl IntoView {
    let live = use_live();
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let shown = Shown::new(None);
    let query = use_query_map();
    let present = use_present();
    let between = Memo::new(move |_| query.with(|q| Between::of(q, present.now.get_untracked()).0));
    let rows = move |Between { start, end }: Between| LogQuery {
        start_time: start,
        end_time: end,
        ..LogQuery::default()
    };
    // What the stream tells that they left since: their commands and credentials are not in it, so they are fetched.
    let told = Memo::new(move |_| {
        let id = id.get().parse().ok()?;
        live.attackers.with(|changed| {
            changed
                .get(&id)
                .map(|a| (a.command_count, a.bounty_count, a.credential_count))
        })
    });
    let since = Resource::new(
        move || (id.get(), told.get(), between.get()),
        move |(id, told, between)| async move {
            let (Ok(id), Some(_)) = (id.parse(), told) else {
                return None;
            };
            // A fault leaves what is there: the live dot tells of a server that does not answer.
            evidence::dossier_get(id, rows(between)).await.ok()
        },
    );
    let dossier = Resource::new(
        move || (id.get(), live.epoch.get(), between.get()),
        move |(id, _, between)| async move {
            let found: Answer<Dossier> = match id.parse() {
                Ok(id) => evidence::dossier_get(id, rows(between)).await,
                Err(_) => Err(Fault::new(
                    FaultKind::NotFound,
                    "That is not the id of an attacker.",
                )),
            };
            found
        },
    );
    view! {
        <Transition fallback=|| view! { <PageHead title="Attacker" /><Loading rows=12 /> }>
            {move || Suspend::new(async move {
                match dossier.await {
                    Ok(dossier) => {
                        let between = between.get_untracked();
                        view! { <Full dossier=dossier since=since shown=shown between=between /> }
                    }.into_any(),
                    Err(fault) => {
                        if fault.kind == FaultKind::NotFound {
                            nothing_here();
                        }
                        let again = Callback::new(move |()| dossier.refetch());
                        view! {
                            <PageHead title="Attacker" />
                            <Problem fault again=again />
                            <a class="button more" href="/attackers">"All attackers"</a>
                        }
                            .into_any()
                    }
                }
            })}
        </Transition>
        <LogDrawer shown=shown />
    }
    .into_any()
}

#[component]
fn Full(dossier: Dossier, since: Resource<Option<Dossier>>, shown: Shown, between: Between) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let whole = move || {
        let out = url::TIMES.iter().map(|key| (*key, None)).collect::<Vec<_>>();
        url::with(&path.get(), &query.get(), &out)
    };
    let live = use_live();
    let Dossier {
        attacker: first,
        commands,
        bounties,
        logs,
    } = dossier;
    let (id, ip) = (first.id, first.ip.to_string());
    let glyph = first.glyph.clone();
    let first_seen = first.first_seen;
    let attacker = Memo::new(move |_| {
        live.attackers
            .with(|changed| changed.get(&id).cloned())
            .unwrap_or_else(|| first.clone())
    });
    let newest = logs.data.first().map(|row| row.id);
    let stored: Vec<_> = logs.data.into_iter().map(Arc::new).collect();
    let address = ip.clone();
    let rows = Memo::new(move |_| {
        let mut rows: Vec<Row<LogView>> = live.rows.with(|rows| {
            rows.iter()
                .filter(|row| newest.is_none_or(|newest| row.id > newest))
                .filter(|row| row.attacker_ip.is_some_and(|from| from.to_string() == address))
                .filter(|row| between.has(row.at, row.at))
                .map(|row| (row.clone(), true))
                .collect()
        });
        rows.extend(stored.iter().map(|row| (row.clone(), false)));
        rows
    });
    shown.set_value(Some(rows));
    let left = Signal::derive(move || match since.get().flatten() {
        Some(now) => (now.bounties, now.commands),
        None => (bounties.clone(), commands.clone()),
    });
    let all_logs = format!("/live?attacker_ip={ip}");
    let more_logs = logs.next.is_some();
    let line = Signal::derive(move || rows.get().into_iter().map(|(row, _)| row).collect::<Vec<_>>());
    let export = format!("/api/v1/logs/export?attacker_ip={ip}");
    let rest = more_logs.then(|| view! { <a href=all_logs.clone()>"all of it"</a> });
    view! {
        <PageHead title=Signal::stored(ip.clone())>
            <a class="button" href=all_logs><Mark icon=Icon::Live />"In the log"</a>
            <Export from=Signal::stored(export) />
        </PageHead>
        <section class="identity">
            <Glyph seed=glyph size=72 />
            <div>
                <p class="identity-ip"><code>{ip.clone()}</code><CopyButton text=ip.clone() what="address" /></p>
                <p class="identity-when">
                    "first seen " <Ago at=first_seen /> ", last seen "
                    {move || view! { <Ago at=attacker.with(|a| a.last_seen) /> }}
                </p>
            </div>
            <Sums attacker=attacker />
        </section>
        <section class="panel">
            <header>
                <h2>"The line"</h2>
                {(!between.is_ever())
                    .then(|| view! { <a href=whole data-noscroll="">"All of it"</a> })}
                <span class="panel-note legend">
                    <i class="w-touch"></i>"touched"<i class="w-probe"></i>"tried"<i class="w-hands"></i>"hands on"
                </span>
            </header>
            <Line rows=line between=between />
        </section>
        <div class="two">
            <Where rows=line />
            <Transition>
                {move || view! { <Credentials bounties=left.get().0.data /> }}
            </Transition>
        </div>
        <Transition>
            {move || {
                let mut commands = left.get().1;
                commands.data.retain(|command| between.has(command.at, command.at));
                view! { <Commands of=id commands=commands.data more=commands.next.is_some() /> }
            }}
        </Transition>
        <section class="panel">
            <header>
                <h2>"Log"</h2>
                {rest}
            </header>
            <LogTable rows=rows one_source=true />
        </section>
    }
    .into_any()
}

#[component]
fn Sums(attacker: Memo<AttackerView>) -> impl IntoView {
    let sum = |label: &'static str, of: fn(&AttackerView) -> u64| {
        view! {
            <div>
                <dt>{label}</dt>
                <dd>{move || text::count(attacker.with(of))}</dd>
            </div>
        }
    };
    view! {
        <dl class="sums">
            {sum("events", |a| a.event_count)}
            {sum("sessions", |a| a.session_count)}
            {sum("sign-ins", |a| a.auth_count)}
            {sum("credentials", |a| a.credential_count)}
            {sum("commands", |a| a.command_count)}
            {sum("loot", |a| a.bounty_count)}
        </dl>
    }
    .into_any()
}

/// How often each decky and service was touched, of the rows at hand.
#[component]
fn Where(rows: Signal<Vec<Arc<LogView>>>) -> impl IntoView {
    let places = Memo::new(move |_| {
        let mut places: Vec<(String, String, u64)> = Vec::new();
        for row in rows.get() {
            match places
                .iter_mut()
                .find(|(decky, service, _)| *decky == row.decky && *service == row.service)
            {
                Some((.., count)) => *count += 1,
                None => places.push((row.decky.clone(), row.service.clone(), 1)),
            }
        }
        places.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
        places
    });
    view! {
        <section class="panel">
            <header><h2>"Where"</h2></header>
            <ol class="top-list">
                {move || {
                    let places = places.get();
                    let most = places.first().map_or(1, |(.., count)| *count);
                    places
                        .into_iter()
                        .take(12)
                        .map(|(decky, service, count)| {
                            let to = format!(
                                "/live?decky={}&service={}",
                                url::escape(&decky),
                                url::escape(&service),
                            );
                            view! {
                                <li>
                                    <a href=to>
                                        <code class="top-name"><Said text=decky max=28 /></code>
                                        <span class="top-side"><Said text=service max=16 /></span>
                                        <span class="top-count">{text::count(count)}</span>
                                        <ShareBar value=count most=most />
                                    </a>
                                </li>
                            }
                        })
                        .collect_view()
                }}
            </ol>
        </section>
    }
    .into_any()
}

/// What they gave away or left.
#[component]
fn Credentials(bounties: Vec<BountyView>) -> impl IntoView {
    let empty = bounties.is_empty();
    view! {
        <section class="panel">
            <header><h2>"Credentials and loot"</h2></header>
            {empty.then(|| view! { <p class="none">"They gave nothing away yet."</p> })}
            <ul class="loot">
                {bounties
                    .into_iter()
                    .map(|b| {
                        let copy = match (&b.principal, b.kind) {
                            (Some(principal), BountyKind::Credential) => format!("{principal}:{}", b.value),
                            _ => b.value.clone(),
                        };
                        let kind = b.secret_kind.clone().filter(|k| k != "plaintext");
                        view! {
                            <li>
                                <span class=format!("tag kind-{}", b.kind)>{b.kind.as_str()}</span>
                                <code class="loot-value">
                                    {b.principal
                                        .map(|p| view! { <span class="principal"><Said text=p max=32 /></span>" : " })}
                                    <Said text=b.value max=48 />
                                </code>
                                {kind.map(|k| view! { <span class="tag">{k}</span> })}
                                <span class="loot-side">
                                    <Said text=b.service max=16 />
                                    {(b.count > 1).then(|| format!(" ×{}", text::count(b.count)))}
                                </span>
                                <CopyButton text=copy what="value" />
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </section>
    }
    .into_any()
}

/// Every command line, newest first.
#[component]
fn Commands(of: AttackerId, commands: Vec<CommandView>, more: bool) -> impl IntoView {
    let all = commands
        .iter()
        .rev()
        .map(|c| c.command.clone())
        .collect::<Vec<_>>()
        .join("\n");
    if commands.is_empty() {
        return view! {
            <section class="panel">
                <header><h2>"Commands"</h2></header>
                <p class="none">"They ran nothing yet."</p>
            </section>
        }
        .into_any();
    }
    view! {
        <section class="panel">
            <header>
                <h2>"Commands"</h2>
                {more.then(|| view! { <span class="panel-note">"the newest 200"</span> })}
                <CopyButton text=all what="all commands" />
                <Export from=Signal::stored(format!("/api/v1/attackers/{of}/commands/export")) />
            </header>
            <ol class="commands">
                {commands
                    .into_iter()
                    .map(|c| {
                        view! {
                            <li>
                                <Clock at=c.at />
                                <span class="commands-where"><Said text=c.decky max=24 />" "<Said text=c.service max=16 /></span>
                                <code><Said text=c.command.clone() max=400 /></code>
                                <CopyButton text=c.command what="command" />
                            </li>
                        }
                    })
                    .collect_view()}
            </ol>
        </section>
    }
    .into_any()
}
