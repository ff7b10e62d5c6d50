//! The loom: attackers on the left, deckies on the right, a thread where one touched the other, as thick as it was often and in the
//! colour of how near they came. A thread glows while something passes along it; choosing it, or a decky, has the overview show what
//! passed there alone. The scrubber below takes the drawing back in time.
//!
//! By the keyboard the attackers and the deckies are stops, and the arrow keys lead from them along the threads: dozens of threads as stops
//! of their own would be a wall.

use std::net::IpAddr;

use decnet_model::id::AttackerId;
use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::{
    archetype::DeckyMark, focus, glyph::Glyph, range::use_carried, said::Address, when::use_present,
};
use crate::{
    api::evidence::{Active, Touch},
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

/// How a thread looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Thread {
    /// Nothing, where the touches at hand say nothing of it.
    passed: Option<Passed>,
    glows: bool,
}

/// The threads at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Woven {
    /// When the first touch at hand was and the last, in seconds since 1970, where these differ.
    span: Option<(i64, i64)>,
    /// The moment, where it is back in time.
    until: Option<i64>,
    /// One for each pair of the cast.
    threads: Vec<Thread>,
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

/// What the page shows alone; all, where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Chosen {
    /// The attacker with this address.
    pub(crate) ip: Option<IpAddr>,
    /// The decky of this name.
    pub(crate) decky: Option<String>,
}

impl Chosen {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what passes between these two is shown; what decoys say of themselves has no address.
    pub(crate) fn has(&self, ip: Option<IpAddr>, decky: &str) -> bool {
        (self.ip.is_none() || self.ip == ip) && self.decky.as_deref().is_none_or(|chosen| chosen == decky)
    }
}

/// A link of the drawing, by the places of what it is of: an attacker, a decky, or both with the thread between them.
type Place = (Option<usize>, Option<usize>);

/// The id of the link of these: the same whatever else is drawn, so that who was at it is at it again when the page is fetched anew.
fn link_id(ip: Option<IpAddr>, decky: Option<&str>) -> String {
    let ip = ip.map_or_else(String::new, |ip| ip.to_string());
    format!("loom_{ip}_{}", decky.unwrap_or_default())
}

/// What is drawn, as long as the same ones touch the same: each in a place of its own, whoever is the more active.
#[derive(Debug, Clone, PartialEq, Default)]
struct Cast {
    attackers: Vec<Drawn>,
    deckies: Vec<String>,
    /// Which of them belong together, by their places and in the order of these.
    pairs: Vec<(usize, usize)>,
    /// Deckies that were touched, too.
    more_deckies: usize,
}

impl Cast {
    /// Who is drawn of those that `touches` tell of; where those are few, of those that are `known` else. Who is chosen is drawn in any
    /// case, and so is a decky of each attacker that is drawn.
    fn of(touches: &[Touch], known: &[Active], chosen: &Chosen, before: Option<&Self>) -> Self {
        let mut seen: Vec<(AttackerId, (u32, i64, &Touch))> = Vec::new();
        for touch in touches {
            order::update(&mut seen, touch.attacker, (0, 0, touch), |(count, last_s, _)| {
                *count += touch.count;
                *last_s = touch.at_s.max(*last_s);
            });
        }
        order::by(&mut seen, |(_, (count, ..))| order::greatest(*count));
        let mut rest = seen.split_off(ACTIVE.min(seen.len()));
        order::by(&mut rest, |(_, (_, last_s, _))| {
            u128::MAX - order::signed(*last_s)
        });
        seen.extend(rest);
        order::by(&mut seen, |(_, (.., touch))| {
            u128::from(chosen.ip != Some(touch.ip))
        });
        let seen = seen.into_iter().map(|(id, (.., t))| (id, t.ip, &t.glyph));
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
        let mut deckies = Vec::new();
        let mut pairs = Vec::new();
        for (id, name, count) in touched {
            let drawn = attackers.iter().position(|a| a.id == id);
            order::update(&mut deckies, name, 0, |sum| *sum += drawn.map_or(0, |_| count));
            if let Some(i) = drawn {
                order::update(&mut pairs, (i, name), (), |()| {});
            }
        }
        let more_deckies = deckies.len().saturating_sub(DRAWN);
        let deckies = drawn_deckies(&deckies, &pairs, chosen.decky.as_ref());
        let place = |((i, name), ())| Some((i, deckies.iter().position(|decky| decky == name)?));
        // `pairs` are in the order of attackers and names: those of an attacker in the order of the deckies, which is that of their names.
        Self {
            pairs: pairs.into_iter().filter_map(place).collect(),
            attackers,
            deckies,
            more_deckies,
        }
    }

    /// Which pair these two are.
    fn pair(&self, attacker: AttackerId, decky: &str) -> Option<usize> {
        let i = self.attackers.iter().position(|drawn| drawn.id == attacker)?;
        let j = self.deckies.iter().position(|name| name == decky)?;
        self.pairs.iter().position(|pair| *pair == (i, j))
    }

    /// The id of the link at this place, if there is one.
    fn id(&self, (i, j): Place) -> Option<String> {
        let ip = i.map(|i| self.attackers.get(i).map(|drawn| drawn.ip));
        let decky = j.map(|j| self.deckies.get(j).map(String::as_str));
        // A place of nobody is none.
        match (ip, decky) {
            (Some(None), _) | (_, Some(None)) => None,
            (ip, decky) => Some(link_id(ip.flatten(), decky.flatten())),
        }
    }

    /// The links: attackers, threads, deckies.
    fn columns(&self) -> [Vec<Place>; 3] {
        [
            (0..self.attackers.len()).map(|i| (Some(i), None)).collect(),
            self.pairs.iter().map(|(i, j)| (Some(*i), Some(*j))).collect(),
            (0..self.deckies.len()).map(|j| (None, Some(j))).collect(),
        ]
    }

    /// The id of the link to which an arrow key leads from that with the id `from`: up and down among those beside it, right from an attacker
    /// to the first of their threads and on to its decky, and left back.
    fn beside(&self, from: &str, key: &str) -> Option<String> {
        let columns = self.columns();
        let [_, threads, _] = &columns;
        let at = |place: &Place| self.id(*place).as_deref() == Some(from);
        let column = columns.iter().find(|column| column.iter().any(at))?;
        let n = column.iter().position(at)?;
        let (i, j) = *column.get(n)?;
        let to = match (key, i, j) {
            ("ArrowDown", ..) => *column.get(n + 1)?,
            ("ArrowUp", ..) => *column.get(n.checked_sub(1)?)?,
            ("ArrowRight", Some(_), None) => *threads.iter().find(|thread| thread.0 == i)?,
            ("ArrowLeft", None, Some(_)) => *threads.iter().find(|thread| thread.1 == j)?,
            ("ArrowRight", Some(_), Some(_)) => (None, j),
            ("ArrowLeft", Some(_), Some(_)) => (i, None),
            _ => return None,
        };
        self.id(to)
    }

    /// What passed along each thread until `until` (in seconds since 1970).
    fn passed(&self, touches: &[Touch], until: i64) -> Vec<Option<Passed>> {
        let mut all: Vec<Option<Passed>> = vec![None; self.pairs.len()];
        for touch in touches.iter().filter(|touch| touch.at_s <= until) {
            let pair = self.pair(touch.attacker, &touch.decky);
            if let Some(passed) = pair.and_then(|pair| all.get_mut(pair)) {
                let passed = passed.get_or_insert(Passed {
                    count: 0,
                    weight: touch.weight,
                    last_s: touch.at_s,
                });
                passed.count += u64::from(touch.count);
                passed.weight = passed.weight.max(touch.weight);
                passed.last_s = passed.last_s.max(touch.at_s);
            }
        }
        all
    }
}

/// Which of the `touched` deckies are drawn, by their names: the one that is chosen, then so that everybody of `pairs` has one, then those that
/// were touched most.
fn drawn_deckies(
    touched: &[(&String, u32)],
    pairs: &[((usize, &String), ())],
    chosen: Option<&String>,
) -> Vec<String> {
    let mut drawn: Vec<&String> = chosen.into_iter().collect();
    drawn.retain(|chosen| touched.iter().any(|(name, _)| name == chosen));
    while drawn.len() < DRAWN {
        let mut with_one = [false; DRAWN];
        for ((who, name), ()) in pairs {
            if let Some(with_one) = with_one.get_mut(*who) {
                *with_one |= drawn.contains(name);
            }
        }
        let others = |name: &String| {
            let theirs = pairs.iter().filter(|((_, touched), ())| *touched == name);
            theirs
                .filter(|((who, _), ())| with_one.get(*who) == Some(&false))
                .count()
        };
        let next = touched
            .iter()
            .filter(|(name, _)| !drawn.contains(name))
            .max_by_key(|(name, count)| (others(name), *count, std::cmp::Reverse(*name)));
        let Some((next, _)) = next else { break };
        drawn.push(next);
    }
    let names = touched.iter().map(|(name, _)| *name);
    names.filter(|name| drawn.contains(name)).cloned().collect()
}

/// Threads between the attackers of `touches` and the deckies that they touched. `touches` are those of the time that is shown, as far as they
/// are at hand; where they say nothing of a pair its thread is faint.
#[component]
pub(crate) fn Loom(
    /// Attackers to draw where `touches` tell of few.
    #[prop(into)]
    known: Signal<Vec<Active>>,
    #[prop(into)] touches: Signal<Vec<Touch>>,
    /// How many attackers there are in all, where that is known.
    total: Signal<Option<u64>>,
    /// Whose threads stand out.
    #[prop(optional)]
    chosen: Chosen,
) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let carried = use_carried();
    let step = RwSignal::new(STEPS);
    let cast = {
        let chosen = chosen.clone();
        Memo::new(move |before: Option<&Cast>| {
            touches.with(|touches| known.with(|known| Cast::of(touches, known, &chosen, before)))
        })
    };
    let weave = move |cast: &Cast, touches: &[Touch]| {
        let times = || touches.iter().map(|touch| touch.at_s);
        let span = times().min().zip(times().max());
        let span = span.filter(|(first, last)| first < last);
        let step = step.get();
        let back = span.filter(|_| step < STEPS);
        let until = back.map(|(first, last)| first + (last - first) * step / STEPS);
        let passed = cast.passed(touches, until.unwrap_or(i64::MAX));
        let mut threads: Vec<Thread> = passed
            .into_iter()
            .map(|passed| Thread { passed, glows: false })
            .collect();
        if let (Some((first, last)), Some(until)) = (span, until) {
            // Back in time a thread glows at what was the last step.
            let since = until - ((last - first) / STEPS * 3).max(1);
            for thread in &mut threads {
                thread.glows = thread.passed.is_some_and(|passed| passed.last_s >= since);
            }
        } else {
            let since = present.now.get().unix_timestamp() - GLOW_S;
            live.rows.with(|rows| {
                for row in rows
                    .iter()
                    .take_while(|row| row.received_at.unix_timestamp() >= since)
                {
                    let pair = row.attacker_id.and_then(|id| cast.pair(id, &row.decky));
                    if let Some(thread) = pair.and_then(|pair| threads.get_mut(pair)) {
                        thread.glows = true;
                    }
                }
            });
        }
        Woven { span, until, threads }
    };
    let woven = Memo::new(move |_| cast.with(|cast| touches.with(|touches| weave(cast, touches))));
    let walk = move |event: KeyboardEvent| {
        // With these they are the browser's: back, and the like.
        if event.alt_key() || event.ctrl_key() || event.meta_key() {
            return;
        }
        let to = cast.with_untracked(|cast| cast.beside(&focus::at()?, &event.key()));
        if let Some(to) = to {
            event.prevent_default();
            focus::stand_at(&to);
        }
    };
    let drawing = move || {
        // Who is at a link of it is at the same one when somebody else comes in.
        focus::give_back();
        let all = chosen.is_all();
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
            .enumerate()
            .filter_map(|(pair, (i, j))| Some((pair, i, j, attackers.get(i)?, deckies.get(j)?.clone())))
            .map(|(pair, i, j, attacker, name)| {
                let (from, to) = (place(i, attackers.len()), place(j, deckies.len()));
                let half = WIDTH / 2;
                let d = format!("M0 {from}C{half} {from} {half} {to} {WIDTH} {to}");
                let ip = attacker.ip;
                let href = format!("/?attacker_ip={ip}&decky={}", url::escape(&name));
                let id = link_id(Some(ip), Some(&name));
                let aside = !all && !chosen.has(Some(ip), &name);
                let thread = move || woven.with(|woven| woven.threads.get(pair).copied());
                let passed = move || thread()?.passed;
                let class = Signal::derive(move || {
                    let mut class = "thread".to_owned();
                    if let Some(of) = passed() {
                        let wide = (1 + of.count.ilog2() / 2).min(6);
                        class.push_str(&format!(" {} wide-{wide}", of.weight.class()));
                    }
                    if thread().is_some_and(|thread| thread.glows) {
                        class.push_str(" glow");
                    }
                    if aside {
                        class.push_str(" aside");
                    }
                    class
                });
                let title = Signal::derive(move || match passed() {
                    Some(of) => format!("{ip} at {name}: {}", text::plural(of.count, "event", "events")),
                    None => format!("{ip} at {name}"),
                });
                view! {
                    <g>
                        <a
                            id=id
                            href=carried.to(&href)
                            tabindex="-1"
                            aria-label=title
                            data-noscroll=""
                        >
                            <path class="thread-reach" d=d.clone()><title>{title}</title></path>
                            <path class=class d=d />
                        </a>
                    </g>
                }
                .into_any()
            })
            .collect::<Vec<_>>();
        let left = attackers
            .iter()
            .map(|a| {
                let is = chosen.ip == Some(a.ip);
                view! {
                    <li class:new=a.new>
                        <a id=link_id(Some(a.ip), None) href=format!("/attackers/{}", a.id) aria-current=is.then_some("true")>
                            <Glyph seed=a.glyph.clone() size=20 />
                            <Address ip=a.ip.to_string() />
                        </a>
                    </li>
                }
                .into_any()
            })
            .collect::<Vec<_>>();
        let right = deckies
            .iter()
            .map(|name| {
                let href = format!("/?decky={}", url::escape(name));
                let is = chosen.decky.as_ref() == Some(name);
                view! {
                    <li>
                        <a
                            id=link_id(None, Some(name))
                            href=carried.to(&href)
                            aria-current=is.then_some("true")
                            data-noscroll=""
                        >
                            <DeckyMark name=name.clone() />
                            <code>{text::visible(&text::ellipsis(name, 20))}</code>
                        </a>
                    </li>
                }
                .into_any()
            })
            .collect::<Vec<_>>();
        view! {
            <div class="loom" on:keydown=walk>
                <ul aria-label="Attackers">{left}</ul>
                <svg
                    viewBox=format!("0 0 {WIDTH} {height}")
                    height=height
                    preserveAspectRatio="none"
                    role="group"
                    aria-label="Threads between them"
                >
                    {threads}
                </svg>
                <ul aria-label="Deckies that they touched">{right}</ul>
            </div>
        }
        .into_any()
    };
    let date = move |at_s: i64| {
        let at = decnet_model::clock::from_micros(at_s * 1_000_000);
        text::short_date(present.local(at))
    };
    let scrubs = Memo::new(move |_| woven.with(|woven| woven.span.is_some()));
    let begins = Signal::derive(move || {
        let span = woven.with(|woven| woven.span);
        span.map_or_else(String::new, |(first, _)| date(first))
    });
    let told = Signal::derive(move || {
        let until = woven.with(|woven| woven.until);
        until.map_or_else(|| "now".to_owned(), date)
    });
    let at = Signal::derive(move || step.get().to_string());
    let scrub = move |event| {
        if let Ok(at) = event_target_value(&event).parse::<i64>() {
            step.set(at.clamp(0, STEPS));
        }
    };
    let more = move |n: u64, to: &'static str| {
        (n > 0)
            .then(|| view! { <a href=carried.to(to)>{format!("and {} more", text::count(n))}</a> }.into_any())
    };
    let rest = move || {
        let (drawn, deckies) = cast.with(|cast| (cast.attackers.len(), cast.more_deckies));
        let drawn = u64::try_from(drawn).unwrap_or(0);
        let attackers = total.get().map_or(0, |total| total.saturating_sub(drawn));
        view! {
            <p class="loom-rest">
                <span>{more(attackers, "/attackers")}</span>
                <span class="loom-keys">"arrow keys lead along the threads"</span>
                <span>{more(u64::try_from(deckies).unwrap_or(0), "/fleet")}</span>
            </p>
        }
        .into_any()
    };
    let scrubber = move || {
        view! {
            <label class="scrubber">
                <span>{begins}</span>
                <input
                    type="range"
                    min="0"
                    max=STEPS
                    value=STEPS
                    prop:value=at
                    aria-label="Until when the threads are drawn"
                    aria-valuetext=told
                    on:input=scrub
                />
                <b>{told}</b>
            </label>
        }
        .into_any()
    };
    view! {
        {move || drawing()}
        {move || rest()}
        {move || scrubs.get().then(scrubber)}
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
        let cast = Cast::of(&touches, &[], &Chosen::default(), None);
        let of = |until, decky: &str| cast.passed(&touches, until)[cast.pair(attacker, decky).unwrap()];
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
        let cast = Cast::of(&touches, &[], &Chosen::default(), None);
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
        assert_eq!(Cast::of(&touches, &[], &Chosen::default(), Some(&cast)), cast);
        touches.push(touch(30, 1, 50, 1));
        let next = Cast::of(&touches, &[], &Chosen::default(), Some(&cast));
        let new: Vec<_> = next.attackers.iter().filter(|a| a.new).map(|a| a.ip).collect();
        assert_eq!(new, [IpAddr::from([192, 0, 2, 30])]);
    }

    fn named(n: u8, decky: &str, count: u32) -> Touch {
        Touch {
            attacker: format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}")
                .parse()
                .unwrap(),
            ip: IpAddr::from([192, 0, 2, n]),
            glyph: String::new(),
            decky: decky.into(),
            at_s: 0,
            weight: Weight::Touch,
            count,
        }
    }

    #[test]
    fn each_attacker_that_is_drawn_has_a_thread() {
        // The first is everywhere, and more often than the others, who are at a place of their own or share one.
        let mut touches: Vec<_> = (0..12).map(|n| named(1, &format!("web-{n:02}"), 900)).collect();
        touches.extend([named(2, "lonely-02", 3), named(3, "lonely-03", 2)]);
        touches.extend((4..=8).map(|n| named(n, "shared", 1)));
        let cast = Cast::of(&touches, &[], &Chosen::default(), None);
        assert_eq!(cast.attackers.len(), 8);
        for (place, attacker) in cast.attackers.iter().enumerate() {
            assert!(
                cast.pairs.iter().any(|(who, _)| *who == place),
                "{} has no thread",
                attacker.ip
            );
        }
        let expected = [
            "lonely-02",
            "lonely-03",
            "shared",
            "web-00",
            "web-01",
            "web-02",
            "web-03",
            "web-04",
        ];
        assert_eq!(cast.deckies, expected);
        assert_eq!(cast.more_deckies, 7);
    }

    #[test]
    fn the_arrow_keys_lead_from_an_attacker_along_their_threads_to_a_decky_and_back() {
        let touches = [
            named(1, "web-01", 1),
            named(1, "db-01", 1),
            named(2, "web-01", 1),
            named(3, "db-01", 1),
        ];
        let cast = Cast::of(&touches, &[], &Chosen::default(), None);
        assert_eq!(cast.pairs, [(0, 0), (0, 1), (1, 1), (2, 0)]);
        let go = |from: &str, keys: &[&str]| {
            let mut at = from.to_owned();
            for key in keys {
                at = cast.beside(&at, &format!("Arrow{key}"))?;
            }
            Some(at)
        };
        let (first, second) = ("loom_192.0.2.1_", "loom_192.0.2.2_");
        assert_eq!(go(first, &["Right"]).as_deref(), Some("loom_192.0.2.1_db-01"));
        assert_eq!(
            go(first, &["Right", "Down"]).as_deref(),
            Some("loom_192.0.2.1_web-01")
        );
        assert_eq!(go(first, &["Right", "Down", "Left"]).as_deref(), Some(first));
        assert_eq!(go(first, &["Down"]).as_deref(), Some(second));
        assert_eq!(go(second, &["Up"]).as_deref(), Some(first));
        assert_eq!(go(second, &["Right", "Right"]).as_deref(), Some("loom__web-01"));
        assert_eq!(
            go("loom__web-01", &["Left"]).as_deref(),
            Some("loom_192.0.2.1_web-01")
        );
        assert_eq!(go("loom__db-01", &["Down"]).as_deref(), Some("loom__web-01"));
        for (from, key) in [
            (first, "Up"),
            (first, "Left"),
            ("loom__web-01", "Down"),
            ("loom__web-01", "Right"),
            ("elsewhere", "Down"),
            ("", "Down"),
        ] {
            assert_eq!(go(from, &[key]), None, "{key} from {from}");
        }
        assert_eq!(cast.beside(first, "Enter"), None);
    }

    #[test]
    fn who_is_chosen_is_drawn_however_little_they_did() {
        let mut touches: Vec<_> = (1..=40)
            .map(|n| named(n, &format!("web-{n:02}"), u32::from(100 - n)))
            .collect();
        touches.push(named(30, "quiet", 1));
        let chosen = Chosen {
            ip: Some(IpAddr::from([192, 0, 2, 30])),
            decky: Some("quiet".into()),
        };
        let cast = Cast::of(&touches, &[], &chosen, None);
        let who = cast
            .attackers
            .iter()
            .position(|a| Some(a.ip) == chosen.ip)
            .unwrap();
        let what = cast.deckies.iter().position(|name| name == "quiet").unwrap();
        assert!(cast.pairs.contains(&(who, what)), "{cast:?}");
        assert_eq!((cast.attackers.len(), cast.deckies.len()), (8, 8));
        assert!(chosen.has(Some(IpAddr::from([192, 0, 2, 30])), "quiet"));
        assert!(!chosen.has(Some(IpAddr::from([192, 0, 2, 30])), "web-30"));
        assert!(!chosen.has(Some(IpAddr::from([192, 0, 2, 31])), "quiet"));
    }
}
