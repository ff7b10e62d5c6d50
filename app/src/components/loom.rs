//! The loom: attackers on the left, deckies on the right, a thread where one touched the other. A thread glows while
//! something passes along it.

use std::collections::BTreeMap;

use decnet_model::view::AttackerView;
use leptos::prelude::*;

use super::glyph::Glyph;
use crate::{live::use_live, text, url};

/// Height of a row of the drawing, in its own units.
const ROW: usize = 34;
/// Its width.
const WIDTH: usize = 400;
/// Seconds for which a thread glows after a touch.
const GLOW_S: i64 = 20;

/// Threads between `attackers` and the deckies that they touched.
#[component]
pub(crate) fn Loom(#[prop(into)] attackers: Signal<Vec<AttackerView>>) -> impl IntoView {
    let live = use_live();
    let present = super::when::use_present();
    // Which (address, decky) pairs something passed between just now.
    let touched = Memo::new(move |_| {
        let since = present.now.get().unix_timestamp() - GLOW_S;
        live.rows.with(|rows| {
            let mut touched = BTreeMap::new();
            for row in rows
                .iter()
                .take_while(|row| row.received_at.unix_timestamp() >= since)
            {
                if let Some(ip) = row.attacker_ip {
                    touched.entry((ip, row.decky.clone())).or_insert(());
                }
            }
            touched
        })
    });
    move || {
        {
            let attackers = attackers.get();
            let mut deckies: Vec<(String, u64)> = Vec::new();
            for name in attackers.iter().flat_map(|a| &a.deckies) {
                match deckies.iter_mut().find(|(known, _)| known == name) {
                    Some((_, threads)) => *threads += 1,
                    None => deckies.push((name.clone(), 1)),
                }
            }
            deckies.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            deckies.truncate(8);
            let rows = attackers.len().max(deckies.len()).max(1);
            let height = rows * ROW;
            let place = move |i: usize, of: usize| (height - of * ROW) / 2 + i * ROW + ROW / 2;
            let most = attackers.iter().map(|a| a.event_count).max().unwrap_or(1).max(1);
            let threads = attackers
                .iter()
                .enumerate()
                .flat_map(|(i, attacker)| {
                    deckies
                        .iter()
                        .enumerate()
                        .filter(|(_, (name, _))| attacker.deckies.contains(name))
                        .map(move |(j, (name, _))| (i, j, attacker.ip, name.clone(), attacker.event_count))
                        .collect::<Vec<_>>()
                })
                .map(|(i, j, ip, name, events)| {
                    let (from, to) = (place(i, attackers.len()), place(j, deckies.len()));
                    let half = WIDTH / 2;
                    let d = format!("M0 {from}C{half} {from} {half} {to} {WIDTH} {to}");
                    let wide = 1 + events.ilog2() * 3 / most.ilog2().max(1);
                    let title = format!("{ip} at {name}");
                    let pair = (ip, name);
                    let glows = move || touched.with(|touched| touched.contains_key(&pair));
                    view! {
                        <path class=format!("thread wide-{wide}") class:glow=glows d=d>
                            <title>{title}</title>
                        </path>
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
                    view! {
                        <li>
                            <a href=url_of(name)><code>{text::visible(&text::ellipsis(name, 20))}</code></a>
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
        }
        .into_any()
    }
}

fn url_of(decky: &str) -> String {
    format!("/live?decky={}", url::escape(decky))
}
