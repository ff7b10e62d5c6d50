//! One attacker: what they did in sum, and every step of it along one line.

use std::{collections::BTreeSet, sync::Arc};

use decnet_model::{
    id::AttackerId,
    query::LogQuery,
    state::BountyKind,
    view::{ActivityView, AttackerView, BountyView, CommandView, LogView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map, use_query_map};

use crate::{
    api::{
        Answer, Fault, FaultKind,
        evidence::{self, Change, Dossier, LEFT, Left, Place, Trail},
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
            evidence::left_get(id, rows(between)).await.ok()
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
fn Full(dossier: Dossier, since: Resource<Option<Left>>, shown: Shown, between: Between) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let all_time = move || {
        let out = url::TIMES.iter().map(|key| (*key, None)).collect::<Vec<_>>();
        url::with(&path.get(), &query.get(), &out)
    };
    let live = use_live();
    let Dossier {
        attacker: first,
        left,
        trail,
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
    let came = Memo::new(move |_| {
        live.rows.with(|rows| {
            rows.iter()
                .filter(|row| newest.is_none_or(|newest| row.id > newest))
                .filter(|row| row.attacker_ip.is_some_and(|from| from.to_string() == address))
                .filter(|row| between.has(row.at, row.at))
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    let rows = Memo::new(move |_| {
        let mut rows: Vec<Row<LogView>> = came.get().into_iter().map(|row| (row, true)).collect();
        rows.extend(stored.iter().map(|row| (row.clone(), false)));
        rows
    });
    shown.set_value(Some(rows));
    let left = Signal::derive(move || since.get().flatten().unwrap_or_else(|| left.clone()));
    let Trail {
        marks,
        visits,
        changes,
        places,
        whole,
    } = trail;
    let visits = Signal::derive(move || {
        let mut visits = visits.clone();
        for row in came.get().iter().rev() {
            evidence::lengthen(&mut visits, row);
        }
        visits
    });
    let changes = Memo::new(move |_| {
        let mut all = changes.clone();
        live.rows.with(|rows| {
            let new = rows.iter().filter(|row| between.has(row.at, row.at));
            let new = new.filter_map(|row| Change::of(row));
            all.extend(new.filter(|new| changes.iter().all(|known| known.log_id != new.log_id)));
        });
        all
    });
    let marks = Signal::derive(move || {
        let new = came.get().into_iter().map(|row| ActivityView {
            decky: row.decky.clone(),
            service: row.service.clone(),
            event_type: row.event_type.clone(),
            first_at: row.at,
            last_at: row.at,
            log_id: row.id,
            count: 1,
        });
        marks.iter().cloned().chain(new).collect::<Vec<_>>()
    });
    let places = Memo::new(move |_| {
        let mut places = places.clone();
        for row in came.get() {
            match places
                .iter_mut()
                .find(|(decky, service, _)| *decky == row.decky && *service == row.service)
            {
                Some((.., count)) => *count += 1,
                None => places.push((row.decky.clone(), row.service.clone(), 1)),
            }
        }
        places.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        places
    });
    let deckies = Signal::derive(move || {
        places.with(|places| {
            places
                .iter()
                .map(|(decky, ..)| decky)
                .collect::<BTreeSet<_>>()
                .len()
        })
    });
    let part = if whole { "" } else { "the newest " };
    let extent = move || {
        let events = places.with(|places| places.iter().map(|(.., count)| count).sum());
        let deckies = u64::try_from(deckies.get()).unwrap_or(0);
        format!(
            "{part}{} at {}",
            text::plural(events, "event", "events"),
            text::plural(deckies, "decky", "deckies")
        )
    };
    let logged = LogQuery {
        attacker_ip: ip.parse().ok(),
        start_time: between.start,
        end_time: between.end,
        ..LogQuery::default()
    };
    let of = Of::new(&ip, between);
    let all_logs = of.to("/live", "");
    let (of_loot, of_commands) = (of.clone(), of.clone());
    let rest = logs.next.is_some().then(|| {
        view! {
            <span class="panel-note">"the newest 100"</span>
            <a href=all_logs.clone()>"all of it"</a>
        }
    });
    view! {
        <PageHead title=Signal::stored(ip.clone())>
            <a class="button" href=all_logs><Mark icon=Icon::Live />"In the log"</a>
            <Export from=Signal::stored(url::export_logs(&logged)) />
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
            <Sums attacker=attacker ever=between.is_ever() />
        </section>
        <section class="panel">
            <header>
                <h2>"The line"</h2>
                <span class="panel-note">{extent}</span>
                {(!between.is_ever())
                    .then(|| view! { <a href=all_time data-noscroll="">"All of it"</a> })}
            </header>
            <Line marks=marks visits=visits changes=changes deckies=deckies between=between />
        </section>
        <div class="two">
            <Where places=places of=of />
            <Transition>
                {move || {
                    let left = left.get();
                    let more = left.more_loot.then(|| of_loot.to("/credentials", ""));
                    view! { <Loot finds=left.loot more=more /> }
                }}
            </Transition>
        </div>
        <Transition>
            {move || view! { <Fingerprints finds=left.get().fingerprints /> }}
        </Transition>
        <Transition>
            {move || {
                let commands = left.get().commands;
                let more = commands.next.is_some().then(|| of_commands.to("/live", "event_type=command"));
                view! { <Commands of=id commands=commands.data more=more /> }
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

/// The way from this page to a list of all that it shows a part of.
#[derive(Clone)]
struct Of(String);

impl Of {
    fn new(ip: &str, between: Between) -> Self {
        let times = [("start_time", between.start), ("end_time", between.end)];
        let times = times.iter().filter_map(|(key, at)| {
            let at = text::rfc3339((*at)?);
            Some(format!("&{key}={}", url::escape(&at)))
        });
        Self(format!("attacker_ip={ip}{}", times.collect::<String>()))
    }

    /// The list at `path`, with one more filter or none.
    fn to(&self, path: &str, filter: &str) -> String {
        let and = if filter.is_empty() { "" } else { "&" };
        format!("{path}?{}{and}{filter}", self.0)
    }
}

#[component]
fn Sums(
    attacker: Memo<AttackerView>,
    /// Whether the page shows all time, as these sums do.
    ever: bool,
) -> impl IntoView {
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
            {sum("visits", |a| a.session_count)}
            {sum("sign-ins", |a| a.auth_count)}
            {sum("credentials", |a| a.credential_count)}
            {sum("commands", |a| a.command_count)}
            {sum("loot", |a| a.bounty_count)}
            {(!ever).then(|| view! { <p class="identity-when">"of all time, not only of what is shown"</p> })}
        </dl>
    }
    .into_any()
}

/// How often each decky and service was touched.
#[component]
fn Where(places: Memo<Vec<Place>>, of: Of) -> impl IntoView {
    let rest = move || {
        let rest = places.with(Vec::len).saturating_sub(LEFT);
        (rest > 0).then(|| view! { <p class="table-note">{format!("and {rest} more")}</p> })
    };
    view! {
        <section class="panel">
            <header><h2>"Where"</h2></header>
            <ol class="top-list">
                {move || {
                    let places = places.get();
                    let most = places.first().map_or(1, |(.., count)| *count);
                    places
                        .into_iter()
                        .take(LEFT)
                        .map(|(decky, service, count)| {
                            let place = format!("decky={}&service={}", url::escape(&decky), url::escape(&service));
                            view! {
                                <li>
                                    <a href=of.to("/live", &place)>
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
            {rest}
        </section>
    }
    .into_any()
}

/// What they gave away or left.
#[component]
fn Loot(finds: Vec<BountyView>, more: Option<String>) -> impl IntoView {
    let empty = finds.is_empty();
    view! {
        <section class="panel">
            <header>
                <h2>"Credentials and loot"</h2>
                {more.map(|all| view! { <a href=all>"all of it"</a> })}
            </header>
            {empty.then(|| view! { <p class="none">"They gave nothing away yet."</p> })}
            <Finds finds />
        </section>
    }
    .into_any()
}

/// What tells their software from others, where there is anything.
#[component]
fn Fingerprints(finds: Vec<BountyView>) -> impl IntoView {
    (!finds.is_empty())
        .then(|| {
            view! {
                <section class="panel">
                    <header><h2>"Fingerprints"</h2></header>
                    <Finds finds />
                </section>
            }
        })
        .into_any()
}

#[component]
fn Finds(finds: Vec<BountyView>) -> impl IntoView {
    let row = |b: BountyView| {
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
    };
    view! { <ul class="loot">{finds.into_iter().map(row).collect_view()}</ul> }.into_any()
}

/// The newest command lines.
#[component]
fn Commands(of: AttackerId, commands: Vec<CommandView>, more: Option<String>) -> impl IntoView {
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
                {more.map(|all| view! { <a href=all>"all of them"</a> })}
                <CopyButton text=all what="these commands" />
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
