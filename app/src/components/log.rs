//! Log rows: the table, and the drawer with everything about one of them.

use std::sync::Arc;

use decnet_model::{id::LogId, view::LogView};
use leptos::{html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};

use super::{
    glyph::Glyph,
    icon::{Icon, Mark},
    notice::{Loading, Problem},
    said::{CopyButton, Said},
    when::{Ago, Clock, use_present},
};
use crate::{api::evidence, live::use_live, text, url};

/// A row and whether it just came.
pub(crate) type Row = (Arc<LogView>, bool);

/// The rows that a page shows at the moment, once it shows any.
pub(crate) type Shown = StoredValue<Option<Memo<Vec<Row>>>>;

/// A table of log rows, newest first. A row leads to its drawer: `?log=<id>` on the same page.
#[component]
pub(crate) fn LogTable(
    #[prop(into)] rows: Signal<Vec<Row>>,
    /// Without the column of the source, where all rows have the same.
    #[prop(optional)]
    one_source: bool,
) -> impl IntoView {
    view! {
        <div class="table-frame">
            <table class="table logs" class:one-source=one_source>
                <thead>
                    <tr>
                        <th scope="col" class="c-time">"Time"</th>
                        {(!one_source).then(|| view! { <th scope="col" class="c-source">"Source"</th> })}
                        <th scope="col" class="c-decky">"Decky"</th>
                        <th scope="col" class="c-service">"Service"</th>
                        <th scope="col" class="c-type">"Event"</th>
                        <th scope="col" class="c-what">"What"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || rows.get() key=|(row, _)| row.id children=move |(row, new)| view! { <LogRow row new one_source /> } />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn LogRow(row: Arc<LogView>, new: bool, one_source: bool) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let id = row.id;
    let href = move || url::with(&path.get(), &query.get(), &[("log", Some(&id.0.to_string()))]);
    let chosen = move || query.with(|q| q.get_str("log").is_some_and(|log| log.parse() == Ok(id.0)));
    let weight = text::weight(&row.event_type);
    let source = row.attacker_ip.map(|ip| (ip.to_string(), glyph_of(&row)));
    let navigate = use_navigate();
    let open = move |event: web_sys::MouseEvent| {
        // A click on a link in the row is the link's own, and one that ends the marking of text is none.
        if !event.default_prevented() && selection_is_empty() {
            let here = NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(&href(), here);
        }
    };
    view! {
        <tr class=weight.class() class:new=new class:chosen=chosen on:click=open>
            <td class="c-time">
                <a href=href data-row="" data-noscroll="" aria-label=format!("{}, details", text::event_words(&row.event_type))>
                    <Clock at=row.at />
                </a>
            </td>
            {(!one_source)
                .then(|| {
                    view! {
                        <td class="c-source">
                            {source
                                .map(|(ip, glyph)| {
                                    view! {
                                        <span class="who">
                                            {move || view! { <Glyph seed=glyph.get() size=16 /> }}
                                            <code>{ip}</code>
                                        </span>
                                    }
                                })}
                        </td>
                    }
                })}
            <td class="c-decky"><Said text=row.decky.clone() max=28 /></td>
            <td class="c-service"><Said text=row.service.clone() max=20 /></td>
            <td class="c-type">
                <span class="event">{text::visible(&text::event_words(&row.event_type))}</span>
            </td>
            <td class="c-what"><code><Said text=text::summary(&row) max=220 /></code></td>
        </tr>
    }
    .into_any()
}

/// What seeds the glyph of a row's attacker, as it is known by now: a row may be older than the fingerprints.
fn glyph_of(row: &LogView) -> Memo<String> {
    let live = use_live();
    let id = row.attacker_id;
    let address = || row.attacker_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let first = row.attacker_glyph.clone().unwrap_or_else(address);
    Memo::new(move |_| {
        let changed = live.attackers.with(|known| Some(known.get(&id?)?.glyph.clone()));
        changed.unwrap_or_else(|| first.clone())
    })
}

/// Whether the reader is not just marking text.
fn selection_is_empty() -> bool {
    web_sys::window()
        .and_then(|w| w.get_selection().ok().flatten())
        .is_none_or(|selection| selection.is_collapsed())
}

/// The drawer of the row that `?log=` names, taken from what is shown or fetched.
#[component]
pub(crate) fn LogDrawer(shown: Shown) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let id = Memo::new(move |_| query.with(|q| q.get_str("log").and_then(|log| log.parse().ok()).map(LogId)));
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("log", None)]));
    let row = Resource::new(
        move || id.get(),
        move |id| async move {
            let id = id?;
            let rows = shown
                .get_value()
                .and_then(|rows| rows.try_get_untracked())
                .unwrap_or_default();
            let held = rows.into_iter().find(|(row, _)| row.id == id).map(|(row, _)| row);
            Some(match held {
                Some(row) => Ok(Arc::unwrap_or_clone(row)),
                None => evidence::log_get(id).await,
            })
        },
    );
    move || {
        {
        id.get().map(|opened| {
            view! {
                <Transition fallback=move || view! { <Drawer opened close title="Log row"><Loading /></Drawer> }>
                    {move || Suspend::new(async move {
                        match row.await {
                            None => ().into_any(),
                            Some(Ok(row)) => {
                                let title = text::event_words(&row.event_type);
                                view! { <Drawer opened close title=text::visible(&title)><Detail row /></Drawer> }.into_any()
                            }
                            Some(Err(fault)) => {
                                view! { <Drawer opened close title="Log row"><Problem fault /></Drawer> }.into_any()
                            }
                        }
                    })}
                </Transition>
            }
        })
    }
    .into_any()
    }
}

/// A panel at the side that takes the focus and gives it back.
#[component]
fn Drawer(
    #[prop(into)] title: String,
    opened: LogId,
    close: Signal<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::A>::new();
    Effect::new(move |_| {
        if let Some(link) = node.get() {
            drop(link.focus());
        }
    });
    on_cleanup(move || {
        // Back to the row that was opened.
        super::keys::focus(&format!("a[data-row][href$='log={}']", opened.0));
    });
    let label = title.clone();
    view! {
        <aside class="drawer" role="dialog" aria-label=label>
            <header>
                <h2>{title}</h2>
                <a
                    class="icon-button"
                    node_ref=node
                    href=move || close.get()
                    aria-label="Close"
                    data-close=""
                    data-noscroll=""
                >
                    <Mark icon=Icon::Close />
                </a>
            </header>
            <div class="drawer-body">{children()}</div>
        </aside>
    }
    .into_any()
}

#[component]
fn Detail(row: LogView) -> impl IntoView {
    let present = use_present();
    let (at, received_at) = (row.at, row.received_at);
    let only = |key: &'static str, value: &str| format!("/live?{key}={}", url::escape(value));
    let source = row.attacker_ip.map(|ip| (ip.to_string(), glyph_of(&row)));
    let attacker = row.attacker_id;
    let json = serde_json::to_string_pretty(&row).unwrap_or_default();
    let late = (received_at - at).whole_milliseconds();
    view! {
        <p class="detail-what"><code><Said text=text::summary(&row) /></code></p>
        <dl class="facts">
            <dt>"When"</dt>
            <dd><Ago at=at /><span class="exact">{move || text::exact(at, present.zone.get())}</span></dd>
            <dt>"Stored"</dt>
            <dd>{if (0..60_000).contains(&late) { format!("{late} ms later") } else { text::exact(received_at, None) }}</dd>
            {source
                .map(|(ip, glyph)| {
                    let to = attacker.map_or_else(|| only("attacker_ip", &ip), |id| format!("/attackers/{id}"));
                    view! {
                        <dt>"Source"</dt>
                        <dd>
                            <a class="who" href=to>
                                {move || view! { <Glyph seed=glyph.get() size=16 /> }}
                                <code>{ip.clone()}</code>
                            </a>
                            <CopyButton text=ip what="address" />
                        </dd>
                    }
                })}
            <dt>"Decky"</dt>
            <dd><a href=only("decky", &row.decky)><Said text=row.decky.clone() /></a></dd>
            <dt>"Service"</dt>
            <dd><a href=only("service", &row.service)><Said text=row.service.clone() /></a></dd>
            <dt>"Event"</dt>
            <dd><a href=only("event_type", &row.event_type)><Said text=row.event_type.clone() /></a></dd>
        </dl>
        <h3>"Fields"</h3>
        <dl class="facts fields">
            {row
                .fields
                .clone()
                .into_iter()
                .map(|(key, value)| {
                    let copy = value.clone();
                    let what = key.clone();
                    view! {
                        <dt><Said text=key /></dt>
                        <dd><code><Said text=value /></code><CopyButton text=copy what=what /></dd>
                    }
                })
                .collect_view()}
        </dl>
        {(!row.message.is_empty())
            .then(|| view! { <h3>"Message"</h3><pre class="raw"><Said text=row.message.clone() /></pre> })}
        <h3>"Line" <CopyButton text=row.raw.clone() what="line" /></h3>
        <pre class="raw"><Said text=row.raw.clone() /></pre>
        <h3>"JSON" <CopyButton text=json.clone() what="JSON" /></h3>
        <details><summary>"show"</summary><pre class="raw"><Said text=json /></pre></details>
    }
    .into_any()
}
