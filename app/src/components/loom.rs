//! The loom: attackers on the left, deckies on the right, a thread where one touched the other, as thick as it was often and in the
//! colour of how near they came. A thread glows while something passes along it, and leads to what passed; the scrubber below takes
//! the drawing back in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use decnet_model::{id::AttackerId, view::AttackerView};
use leptos::prelude::*;

use super::{glyph::Glyph, range::use_carried, when::use_present};
use crate::{
    api::evidence::Touch,
    live::use_live,
    order,
    text::{self, Weight},
    url,
};

/// Height of a row of the drawing, in its own units.
const ROW: usize = 34;
/// Its width.
const WIDTH: usize = 400;
/// Seconds for which a thread glows after a touch.
const GLOW_S: i64 = 20;
/// Attackers that are drawn, and deckies as many.
const DRAWN: usize = 8;
/// Those of the attackers that are drawn because they are the most active; the rest are those that came last.
const ACTIVE: usize = 5;
/// Steps of the scrubber; at the last it is now.
const STEPS: i64 = 100;

/// What passed along a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passed {
    count: u64,
    weight: Weight,
    last_s: i64,
}

/// What passed along each thread until `until` (in seconds since 1970).
fn threads(touches: &[Touch], until: i64) -> BTreeMap<(AttackerId, String), Passed> {
    let mut threads: BTreeMap<_, Passed> = BTreeMap::new();
    for touch in touches.iter().filter(|touch| touch.at_s <= until) {
        let passed = threads
            .entry((touch.attacker, touch.decky.clone()))
            .or_insert(Passed {
                count: 0,
                weight: touch.weight,
                last_s: touch.at_s,
            });
        passed.count += u64::from(touch.count);
        passed.weight = passed.weight.max(touch.weight);
        passed.last_s = passed.last_s.max(touch.at_s);
    }
    threads
}

/// An attacker that is drawn.
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    id: AttackerId,
    ip: IpAddr,
    glyph: String,
    /// Whether it was not there before.
    new: bool,
}

/// What is drawn, as long as the same ones touch the same: each in a place of its own, whoever is the more active.
#[derive(Debug, Clone, PartialEq, Default)]
struct Cast {
    attackers: Vec<Drawn>,
    deckies: Vec<String>,
    /// Which of them belong together, by their places.
    pairs: Vec<(usize, usize)>,
    /// Deckies that were touched, too.
    more_deckies: usize,
}

impl Cast {
    /// Who is drawn of those that `touches` tell of; where those are few, of those that are `known` else.
    fn of(touches: &[Touch], known: &[AttackerView], before: Option<&Self>) -> Self {
        let mut seen: BTreeMap<AttackerId, (u32, i64, &Touch)> = BTreeMap::new();
        for touch in touches {
            let (count, last_s, _) = seen.entry(touch.attacker).or_insert((0, 0, touch));
            *count += touch.count;
            *last_s = touch.at_s.max(*last_s);
        }
        let mut seen: Vec<_> = seen.into_values().collect();
        order::by(&mut seen, |(count, ..)| order::greatest(*count));
        let mut rest = seen.split_off(ACTIVE.min(seen.len()));
        order::by(&mut rest, |(_, last_s, _)| u128::MAX - order::signed(*last_s));
        seen.extend(rest);
        let seen = seen.into_iter().map(|(.., t)| (t.attacker, t.ip, &t.glyph));
        let mut attackers: Vec<Drawn> = Vec::new();
        for (id, ip, glyph) in seen.chain(known.iter().map(|a| (a.id, a.ip, &a.glyph))) {
            if attackers.len() < DRAWN && attackers.iter().all(|a| a.id != id) {
                let new = before.is_some_and(|before| before.attackers.iter().all(|a| a.id != id));
                let glyph = glyph.clone();
                attackers.push(Drawn { id, ip, glyph, new });
            }
        }
        order::by(&mut attackers, |a| match a.ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        });
        let of_known = known
            .iter()
            .flat_map(|a| a.deckies.iter().map(|name| (a.id, name, 0)));
        let touched = touches
            .iter()
            .map(|t| (t.attacker, &t.decky, t.count))
            .chain(of_known);
        let mut deckies: BTreeMap<&String, u32> = BTreeMap::new();
        let mut pairs = BTreeSet::new();
        for (id, name, count) in touched {
            let drawn = attackers.iter().position(|a| a.id == id);
            *deckies.entry(name).or_default() += drawn.map_or(0, |_| count);
            pairs.extend(drawn.map(|i| (i, name)));
        }
        // In the order of their names, the most touched ones of them.
        let mut deckies: Vec<_> = deckies.into_iter().enumerate().collect();
        order::by(&mut deckies, |(_, (_, count))| order::greatest(*count));
        let more_deckies = deckies.len().saturating_sub(DRAWN);
        deckies.truncate(DRAWN);
        order::by(&mut deckies, |(place, _)| *place as u128);
        let deckies: Vec<_> = deckies.into_iter().map(|(_, (name, _))| name.clone()).collect();
        let place = |(i, name)| Some((i, deckies.iter().position(|decky| decky == name)?));
        Self {
            pairs: pairs.into_iter().filter_map(place).collect(),
            attackers,
            deckies,
            more_deckies,
        }
    }
}

/// Threads between the attackers of `touches` and the deckies that they touched. `touches` are those of the time that is shown, as far as they
/// are at hand; where they say nothing of a pair its thread is faint.
#[component]
pub(crate) fn Loom(
    /// Attackers to draw where `touches` tell of few.
    #[prop(into)]
    known: Signal<Vec<AttackerView>>,
    #[prop(into)] touches: Signal<Vec<Touch>>,
    /// How many attackers there are in all, where that is known.
    total: Signal<Option<u64>>,
) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let carried = use_carried();
    let step = RwSignal::new(STEPS);
    // From the first touch at hand to the last.
    let span = Memo::new(move |_| {
        touches.with(|touches| {
            let times = || touches.iter().map(|touch| touch.at_s);
            Some((times().min()?, times().max()?)).filter(|(first, last)| first < last)
        })
    });
    let until = Memo::new(move |_| match (step.get(), span.get()) {
        (step, Some((first, last))) if step < STEPS => Some(first + (last - first) * step / STEPS),
        _ => None,
    });
    let passed =
        Memo::new(move |_| touches.with(|touches| threads(touches, until.get().unwrap_or(i64::MAX))));
    let glowing = Memo::new(move |_| match until.get() {
        // Back in time a thread glows at what was the last step.
        Some(until) => span
            .get()
            .map(|(first, last)| until - ((last - first) / STEPS * 3).max(1)),
        None => Some(present.now.get().unix_timestamp() - GLOW_S),
    });
    let now = Memo::new(move |_| {
        let since = glowing.get().unwrap_or(i64::MAX);
        live.rows.with(|rows| {
            let rows = rows
                .iter()
                .take_while(|row| row.received_at.unix_timestamp() >= since);
            rows.filter_map(|row| Some((row.attacker_id?, row.decky.clone())))
                .collect::<BTreeSet<_>>()
        })
    });
    let cast = Memo::new(move |before: Option<&Cast>| {
        touches.with(|touches| known.with(|known| Cast::of(touches, known, before)))
    });
    let drawing = move || {
        let Cast {
            attackers,
            deckies,
            pairs,
            ..
        } = cast.get();
        let rows = attackers.len().max(deckies.len()).max(1);
        let height = rows * ROW;
        let place = move |i: usize, of: usize| (height - of * ROW) / 2 + i * ROW + ROW / 2;
        let threads = pairs
            .into_iter()
            .filter_map(|(i, j)| Some((i, j, attackers.get(i)?, deckies.get(j)?.clone())))
            .map(|(i, j, attacker, name)| {
                let (from, to) = (place(i, attackers.len()), place(j, deckies.len()));
                let half = WIDTH / 2;
                let d = format!("M0 {from}C{half} {from} {half} {to} {WIDTH} {to}");
                let ip = attacker.ip;
                let href = format!("/live?attacker_ip={ip}&decky={}", url::escape(&name));
                let pair = (attacker.id, name.clone());
                let of = {
                    let pair = pair.clone();
                    Memo::new(move |_| passed.with(|passed| passed.get(&pair).copied()))
                };
                let glows = move || {
                    let then = of.get().is_some_and(|of| {
                        until.get().is_some() && glowing.get().is_some_and(|since| of.last_s >= since)
                    });
                    then || (until.get().is_none() && now.with(|now| now.contains(&pair)))
                };
                let class = move || match of.get() {
                    Some(of) => format!(
                        "thread {} wide-{}",
                        of.weight.class(),
                        (1 + of.count.ilog2() / 2).min(6)
                    ),
                    None => "thread".to_owned(),
                };
                let title = move || match of.get() {
                    Some(of) => format!("{ip} at {name}: {}", text::plural(of.count, "event", "events")),
                    None => format!("{ip} at {name}"),
                };
                view! {
                    <g>
                        <a href=carried.to(&href) tabindex="-1">
                            <path class="thread-reach" d=d.clone()><title>{title}</title></path>
                            <path class=class class:glow=glows d=d />
                        </a>
                    </g>
                }
            })
            .collect_view();
        let left = attackers
            .iter()
            .map(|a| {
                view! {
                    <li class:new=a.new>
                        <a href=format!("/attackers/{}", a.id)>
                            <Glyph seed=a.glyph.clone() size=20 />
                            <code>{text::ellipsis(&a.ip.to_string(), 22)}</code>
                        </a>
                    </li>
                }
            })
            .collect_view();
        let right = deckies
            .iter()
            .map(|name| {
                let href = format!("/live?decky={}", url::escape(name));
                view! {
                    <li>
                        <a href=carried.to(&href)><code>{text::visible(&text::ellipsis(name, 20))}</code></a>
                    </li>
                }
            })
            .collect_view();
        view! {
            <div class="loom">
                <ul aria-label="Attackers">{left}</ul>
                <svg
                    viewBox=format!("0 0 {WIDTH} {height}")
                    height=height
                    preserveAspectRatio="none"
                    aria-hidden="true"
                >
                    {threads}
                </svg>
                <ul aria-label="Deckies that they touched">{right}</ul>
            </div>
        }
        .into_any()
    };
    let told = move || match until.get() {
        Some(at) => text::short_date(present.local(decnet_model::clock::from_micros(at * 1_000_000))),
        None => "now".to_owned(),
    };
    let scrub = move |event| {
        if let Ok(at) = event_target_value(&event).parse::<i64>() {
            step.set(at.clamp(0, STEPS));
        }
    };
    let rest = move || {
        let (drawn, deckies) = cast.with(|cast| (cast.attackers.len(), cast.more_deckies));
        let drawn = u64::try_from(drawn).unwrap_or(0);
        let attackers = total.get().map_or(0, |total| total.saturating_sub(drawn));
        let more = |n: u64, to: &'static str| {
            (n > 0).then(|| view! { <a href=carried.to(to)>{format!("and {} more", text::count(n))}</a> })
        };
        view! {
            <p class="loom-rest">
                <span>{more(attackers, "/attackers")}</span>
                <span>{more(u64::try_from(deckies).unwrap_or(0), "/fleet")}</span>
            </p>
        }
    };
    view! {
        {drawing}
        {rest}
        {move || {
            span.get()
                .map(|(first, _)| {
                    let first = decnet_model::clock::from_micros(first * 1_000_000);
                    view! {
                        <label class="scrubber">
                            <span>{text::short_date(present.local(first))}</span>
                            <input
                                type="range"
                                min="0"
                                max=STEPS
                                prop:value=move || step.get().to_string()
                                aria-label="Until when the threads are drawn"
                                aria-valuetext=told
                                on:input=scrub
                            />
                            <b>{told}</b>
                        </label>
                    }
                })
        }}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_what_passed_until_then_in_the_colour_of_the_nearest() {
        let attacker: AttackerId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let touch = |decky: &str, at_s, weight, count| Touch {
            attacker,
            ip: IpAddr::from([192, 0, 2, 1]),
            glyph: String::new(),
            decky: decky.into(),
            at_s,
            weight,
            count,
        };
        let touches = [
            touch("web-01", 10, Weight::Touch, 2),
            touch("web-01", 20, Weight::Hands, 1),
            touch("web-01", 30, Weight::Probe, 4),
            touch("db-01", 40, Weight::Probe, 1),
        ];
        let of = |until, decky: &str| {
            threads(&touches, until)
                .get(&(attacker, decky.to_owned()))
                .copied()
        };
        assert_eq!(of(9, "web-01"), None);
        assert_eq!(
            of(10, "web-01"),
            Some(Passed {
                count: 2,
                weight: Weight::Touch,
                last_s: 10
            })
        );
        assert_eq!(
            of(99, "web-01"),
            Some(Passed {
                count: 7,
                weight: Weight::Hands,
                last_s: 30
            })
        );
        assert_eq!(of(39, "db-01"), None);
    }

    #[test]
    fn drawn_are_the_most_active_and_the_newest_and_the_deckies_that_they_touched_most() {
        let touch = |n: u8, decky: u8, at_s, count| Touch {
            attacker: format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}")
                .parse()
                .unwrap(),
            ip: IpAddr::from([192, 0, 2, n]),
            glyph: String::new(),
            decky: format!("web-{decky:02}"),
            at_s,
            weight: Weight::Touch,
            count,
        };
        // Twenty attackers, each at a decky of its own: the first ones are the most active, the last one came last.
        let mut touches: Vec<_> = (1..=20)
            .map(|n| touch(n, n, i64::from(n), u32::from(100 - n)))
            .collect();
        let cast = Cast::of(&touches, &[], None);
        let drawn = |cast: &Cast| cast.attackers.iter().map(|a| a.ip).collect::<Vec<_>>();
        let expected = [1, 2, 3, 4, 5, 18, 19, 20].map(|n| IpAddr::from([192, 0, 2, n]));
        assert_eq!(drawn(&cast), expected);
        assert_eq!(
            cast.deckies,
            ["01", "02", "03", "04", "05", "18", "19", "20"].map(|n| format!("web-{n}"))
        );
        assert_eq!((cast.pairs.len(), cast.more_deckies), (8, 12));
        assert!(cast.attackers.iter().all(|a| !a.new));
        // Whoever touches something now comes in; the more of the same changes nothing.
        touches.push(touch(1, 1, 40, 7));
        assert_eq!(Cast::of(&touches, &[], Some(&cast)), cast);
        touches.push(touch(30, 1, 50, 1));
        let next = Cast::of(&touches, &[], Some(&cast));
        let new: Vec<_> = next.attackers.iter().filter(|a| a.new).map(|a| a.ip).collect();
        assert_eq!(new, [IpAddr::from([192, 0, 2, 30])]);
    }
}
