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
        archetype::DeckyMark,
        download::Export,
        focus,
        frame::PageHead,
        glyph::Glyph,
        icon::{Icon, Mark},
        line::Line,
        log::{LogDrawer, LogTable, Shown},
        metro::{self, Metro},
        notice::{Loading, Problem},
        said::{CopyButton, Said},
        stat::ShareBar,
        table::Row,
        when::{Ago, Clock, use_present},
    },
    live::{paced, use_live},
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
    // What opens beside the page is no other time. A time that ends now is counted anew whenever something is asked.
    let times = Memo::new(move |_| {
        query.with(|q| {
            url::TIMES
                .iter()
                .map(|key| url::value(q, key))
                .collect::<Vec<_>>()
        })
    });
    let between = move || query.with_untracked(|q| Between::of(q, present.now.get_untracked()).0);
    let rows = move || {
        let Between { start, end } = between();
        LogQuery {
            start_time: start,
            end_time: end,
            ..LogQuery::default()
        }
    };
    // The stream tells that they did something since: what they left by that, new or again, is not in it, so that is fetched.
    let told = paced(Memo::new(move |told: Option<&Option<u64>>| {
        let id = id.get().parse().ok()?;
        let events = live.attackers.with(|known| Some(known.get(&id)?.event_count));
        events.or(told.copied().flatten())
    }));
    let since = Resource::new(
        move || (id.get(), told.get(), times.get()),
        move |(id, told, _)| async move {
            let (Ok(id), Some(_)) = (id.parse(), told) else {
                return None;
            };
            // A fault leaves what is there: the live dot tells of a server that does not answer.
            evidence::left_get(id, rows()).await.ok()
        },
    );
    let all_lanes = Memo::new(move |_| query.with(|q| url::value(q, "lanes").as_deref() == Some("all")));
    let dossier = Resource::new(
        move || (id.get(), live.epoch.get(), times.get(), all_lanes.get()),
        move |(id, _, _, all_lanes)| async move {
            let found: Answer<Dossier> = match id.parse() {
                Ok(id) => evidence::dossier_get(id, rows(), Some(all_lanes)).await,
                Err(_) => Err(Fault::new(
                    FaultKind::NotFound,
                    "That is not the id of an attacker.",
                )),
            };
            found
        },
    );
    let anew = Callback::new(move |()| dossier.refetch());
    view! {
        <Transition fallback=|| view! { <PageHead title="Attacker" /><Loading rows=12 /> }>
            {move || Suspend::new(async move {
                match dossier.await {
                    Ok(dossier) => {
                        view! { <Full dossier=dossier anew=anew since=since shown=shown between=between() /> }
                    }.into_any(),
                    Err(fault) => {
                        if fault.kind == FaultKind::NotFound {
                            nothing_here();
                        }
                        view! {
                            <PageHead title="Attacker" />
                            <Problem fault again=anew />
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
fn Full(
    dossier: Dossier,
    /// Fetches it again.
    anew: Callback<()>,
    since: Resource<Option<Left>>,
    shown: Shown,
    between: Between,
) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let all_time = move || {
        let out = url::TIMES.iter().map(|key| (*key, None)).collect::<Vec<_>>();
        url::with(&path.get(), &query.get(), &out)
    };
    let live = use_live();
    let Dossier {
        reached,
        attacker: first,
        left,
        trail,
        way,
        logs,
    } = dossier;
    focus::give_back();
    let (id, address) = (first.id, first.ip);
    let ip = address.to_string();
    let glyph = first.glyph.clone();
    let first_seen = first.first_seen;
    let attacker = Memo::new(move |before: Option<&AttackerView>| {
        let told = live.attackers.with(|known| known.get(&id).cloned());
        told.unwrap_or_else(|| before.unwrap_or(&first).clone())
    });
    let newest = logs.data.first().map_or(reached, |row| row.id.max(reached));
    let stored: Vec<_> = logs.data.into_iter().map(Arc::new).collect();
    let came = live.came(
        newest,
        move |row| row.attacker_ip == Some(address) && between.has(row.at, row.at),
        anew,
    );
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
    let visits = grown(came, visits, evidence::lengthen);
    let changed = live.came(
        newest,
        move |row| between.has(row.at, row.at) && Change::of(row).is_some(),
        anew,
    );
    let changes = grown(changed, changes, |changes, row| {
        changes.extend(Change::of(row).filter(|new| changes.iter().all(|known| known.log_id != new.log_id)));
    });
    let way = grown(came, way, metro::go_on);
    // Where the line reaches no further back, what is before it is the newest of another time.
    let before = (!whole)
        .then(|| marks.iter().map(|mark| mark.first_at).min())
        .flatten()
        .map(|first| text::rfc3339(first.saturating_add(time::Duration::SECOND)));
    let earlier = before.map(|end| {
        let to = move || {
            let changes = [("end_time", Some(end.as_str())), ("log", None)];
            url::with(&path.get(), &query.get(), &changes)
        };
        view! { <a id="line-before" href=to data-noscroll="">"What was before"</a> }
    });
    let marks = grown(came, marks, |marks, row| {
        marks.push(ActivityView {
            decky: row.decky.clone(),
            service: row.service.clone(),
            event_type: row.event_type.clone(),
            first_at: row.at,
            last_at: row.at,
            log_id: row.id,
            count: 1,
            accepted: text::is_accepted(row),
        });
    });
    let places = grown(came, places, visit_place);
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
    let way_logs = all_logs.clone();
    let (of_loot, of_prints, of_commands) = (of.clone(), of.clone(), of.clone());
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
        <section class="panel" aria-labelledby="the-line">
            <header>
                <h2 id="the-line" tabindex="-1">"The line"</h2>
                <span class="panel-note">{extent}</span>
                {earlier}
                {(!between.is_ever())
                    .then(|| view! { <a id="line-ever" href=all_time data-noscroll="">"All of it"</a> })}
            </header>
            <Line marks=marks.into() visits=visits.into() changes=changes deckies=deckies between=between />
        </section>
        <section class="panel" aria-labelledby="the-way">
            <header>
                <h2 id="the-way" tabindex="-1">"The way"</h2>
                <span class="panel-note">{move || way.with(metro::words)}</span>
            </header>
            <Metro way changes logs=way_logs />
        </section>
        <div class="two">
            <Where places=places of=of />
            <Transition>
                {move || {
                    let left = left.get();
                    let more = left.more_loot.then(|| of_loot.to("/credentials", ""));
                    view! { <Loot finds=left.loot more=more ever=between.is_ever() /> }
                }}
            </Transition>
        </div>
        <Transition>
            {move || {
                let left = left.get();
                let more = left.more_fingerprints.then(|| of_prints.to("/credentials", "bounty_type=fingerprint"));
                view! { <Fingerprints finds=left.fingerprints more=more /> }
            }}
        </Transition>
        <Transition>
            {move || {
                let commands = left.get().commands;
                let more = commands.next.is_some().then(|| of_commands.to("/live", "event_type=command"));
                view! { <Commands of=id between=between commands=commands.data more=more /> }
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

/// What follows from `first` by the rows that come, newest first: `add` is told each once, the oldest first. Of a busy attacker there are
/// thousands, so what they came to before is kept, and nothing is made anew for one more.
fn grown<T: Clone + Send + Sync + 'static>(
    came: RwSignal<Vec<Arc<LogView>>>,
    first: T,
    add: impl Fn(&mut T, &LogView) + Send + Sync + 'static,
) -> Memo<T> {
    let taken = StoredValue::new(0);
    Memo::new_owning(move |grown: Option<T>| {
        let before = if grown.is_some() { taken.get_value() } else { 0 };
        let mut grown = grown.unwrap_or_else(|| first.clone());
        came.with(|rows| {
            let new = rows.len().saturating_sub(before);
            for row in rows.iter().take(new).rev() {
                add(&mut grown, row);
            }
            taken.set_value(rows.len());
            (grown, new > 0)
        })
    })
}

/// Counts a row at its place; those with the most rows stay the first.
fn visit_place(places: &mut Vec<Place>, row: &LogView) {
    match places
        .iter_mut()
        .find(|(decky, service, _)| *decky == row.decky && *service == row.service)
    {
        Some((.., count)) => *count += 1,
        None => places.push((row.decky.clone(), row.service.clone(), 1)),
    }
    places.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
}

/// The way from this page to a list of all that it shows a part of.
#[derive(Clone)]
struct Of {
    ip: String,
    /// What says the time that is shown, behind another parameter.
    time: String,
}

impl Of {
    fn new(ip: &str, between: Between) -> Self {
        let times = [("start_time", between.start), ("end_time", between.end)];
        let times = times.iter().filter_map(|(key, at)| {
            let at = text::rfc3339((*at)?);
            Some(format!("&{key}={}", url::escape(&at)))
        });
        Self {
            ip: ip.to_owned(),
            time: times.collect(),
        }
    }

    /// The list at `path`, with one more filter or none.
    fn to(&self, path: &str, filter: &str) -> String {
        let and = if filter.is_empty() { "" } else { "&" };
        format!("{path}?attacker_ip={}{}{and}{filter}", self.ip, self.time)
    }
}

#[component]
fn Sums(
    attacker: Memo<AttackerView>,
    /// Whether the page shows all time, as these sums do.
    ever: bool,
) -> impl IntoView {
    let sum = |one: &'static str, many: &'static str, of: fn(&AttackerView) -> u64| {
        view! {
            <div>
                <dt>{move || if attacker.with(of) == 1 { one } else { many }}</dt>
                <dd>{move || text::count(attacker.with(of))}</dd>
            </div>
        }
    };
    view! {
        <dl class="sums">
            {sum("event", "events", |a| a.event_count)}
            {sum("visit", "visits", |a| a.session_count)}
            {sum("try", "tries", |a| a.auth_count)}
            {sum("credential", "credentials", |a| a.credential_count)}
            {sum("command", "commands", |a| a.command_count)}
            {sum("loot", "loot", |a| a.bounty_count)}
        </dl>
        // What the same page calls a session is another thing.
        <p class="identity-when sums-note">
            {(!ever).then_some("Of all time, not only of what is shown. ")}
            "A visit is a stay, which ends with 15 minutes in which they did nothing; in it are the sessions of the line."
        </p>
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
                                        <DeckyMark name=decky.clone() />
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
fn Loot(
    finds: Vec<BountyView>,
    more: Option<String>,
    /// Whether the page shows all time.
    ever: bool,
) -> impl IntoView {
    let empty = finds.is_empty();
    view! {
        <section class="panel">
            <header>
                <h2>"Credentials and loot"</h2>
                {more.map(|all| view! { <a href=all>"all of it"</a> })}
            </header>
            {empty
                .then(|| view! { <p class="none">{if ever { "They gave nothing away yet." } else { "They gave nothing away then." }}</p> })}
            <Finds finds />
        </section>
    }
    .into_any()
}

/// What tells their software from others, where there is anything.
#[component]
fn Fingerprints(finds: Vec<BountyView>, more: Option<String>) -> impl IntoView {
    (!finds.is_empty())
        .then(|| {
            view! {
                <section class="panel">
                    <header>
                        <h2>"Fingerprints"</h2>
                        {more.map(|all| view! { <a href=all>"all of them"</a> })}
                    </header>
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
fn Commands(
    of: AttackerId,
    between: Between,
    commands: Vec<CommandView>,
    more: Option<String>,
) -> impl IntoView {
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
                <p class="none">{if between.is_ever() { "They ran nothing yet." } else { "They ran nothing then." }}</p>
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
                <Export from=Signal::stored(url::export_commands(of, between)) />
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use decnet_model::id::LogId;
    use time::OffsetDateTime;

    use super::*;

    fn row(id: i64, decky: &str) -> Arc<LogView> {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(id);
        Arc::new(LogView {
            id: LogId(id),
            at,
            received_at: at,
            decky: decky.into(),
            service: "ssh".into(),
            event_type: "command".into(),
            attacker_ip: None,
            attacker_id: None,
            attacker_glyph: None,
            fields: std::collections::BTreeMap::new(),
            message: String::new(),
            raw: String::new(),
        })
    }

    #[test]
    fn each_row_that_comes_is_added_once_and_in_its_order() {
        let owner = Owner::new();
        owner.set();
        let came = RwSignal::new(Vec::new());
        let told = Arc::new(AtomicUsize::new(0));
        let added = told.clone();
        let ids = grown(came, vec![0], move |ids, row| {
            added.fetch_add(1, Ordering::Relaxed);
            ids.push(row.id.0);
        });
        assert_eq!(ids.get_untracked(), [0]);
        for batch in [vec![2, 1], vec![3], vec![], vec![6, 5, 4]] {
            let mut rows: Vec<_> = batch.into_iter().map(|id| row(id, "web-01")).collect();
            came.update(|came| {
                rows.append(came);
                *came = rows;
            });
            // Who reads it again is told the same.
            assert_eq!(ids.get_untracked(), ids.get_untracked());
        }
        assert_eq!(ids.get_untracked(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(told.load(Ordering::Relaxed), 6);
        drop(owner);
    }

    #[test]
    fn the_place_that_was_touched_most_is_the_first() {
        let mut places = vec![
            ("web-01".into(), "ssh".into(), 2),
            ("db-01".into(), "ssh".into(), 1),
        ];
        for id in 0..2 {
            visit_place(&mut places, &row(id, "db-01"));
            visit_place(&mut places, &row(id, "mail-01"));
        }
        let told: Vec<_> = places
            .iter()
            .map(|(decky, _, count)| (decky.as_str(), *count))
            .collect();
        assert_eq!(told, [("db-01", 3), ("web-01", 2), ("mail-01", 2)]);
    }
}
