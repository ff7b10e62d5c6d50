//! The loom: attackers on the left, deckies on the right, a thread where one touched the other, as thick as it was often and in the
//! colour of how near they came. A thread glows while something passes along it, and leads to what passed; the scrubber below takes
//! the drawing back in time.

use std::collections::BTreeMap;

use decnet_model::{id::AttackerId, view::AttackerView};
use leptos::prelude::*;

use super::{glyph::Glyph, range::use_carried, when::use_present};
use crate::{
    api::evidence::Touch,
    live::use_live,
    text::{self, Weight},
    url,
};

/// Height of a row of the drawing, in its own units.
const ROW: usize = 34;
/// Its width.
const WIDTH: usize = 400;
/// Seconds for which a thread glows after a touch.
const GLOW_S: i64 = 20;
/// Deckies that are drawn.
const DECKIES: usize = 8;
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

/// Threads between `attackers` and the deckies that they touched. `touches` are those of the time that is shown, as far as they
/// are at hand; where they say nothing of a pair its thread is faint.
#[component]
pub(crate) fn Loom(
    #[prop(into)] attackers: Signal<Vec<AttackerView>>,
    #[prop(into)] touches: Signal<Vec<Touch>>,
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
                .collect::<std::collections::BTreeSet<_>>()
        })
    });
    let drawing = move || {
        let attackers = attackers.get();
        let mut deckies: Vec<(String, u64)> = Vec::new();
        for name in attackers.iter().flat_map(|a| &a.deckies) {
            match deckies.iter_mut().find(|(known, _)| known == name) {
                Some((_, threads)) => *threads += 1,
                None => deckies.push((name.clone(), 1)),
            }
        }
        deckies.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        deckies.truncate(DECKIES);
        let rows = attackers.len().max(deckies.len()).max(1);
        let height = rows * ROW;
        let place = move |i: usize, of: usize| (height - of * ROW) / 2 + i * ROW + ROW / 2;
        let pairs = attackers.iter().enumerate().flat_map(|(i, attacker)| {
            let touched = deckies
                .iter()
                .enumerate()
                .filter(|(_, (name, _))| attacker.deckies.contains(name));
            touched
                .map(move |(j, (name, _))| (i, j, attacker, name.clone()))
                .collect::<Vec<_>>()
        });
        let threads = pairs
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
                    <li>
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
            .map(|(name, _)| {
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
    view! {
        {drawing}
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
}
