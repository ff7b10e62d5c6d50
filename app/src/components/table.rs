//! Tables: a head that stays, columns that can be chosen, rows that lead somewhere, and of long lists only the rows
//! that are seen.
//!
//! A page says what its rows are by [`Listed`] and what its columns are by [`Column`]; all else is here. Start at
//! [`Table`]. How the rows come is the business of `pager`.

use std::{collections::BTreeSet, sync::Arc};

use leptos::{html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use wasm_bindgen::JsCast as _;

use super::{
    icon::{Icon, Mark},
    sight, store,
};
use crate::{order, url};

/// A row and whether it just came.
pub(crate) type Row<T> = (Arc<T>, bool);

/// What can stand in a table.
pub(crate) trait Listed: Send + Sync + 'static {
    /// What tells it from the others, and names it in the URL.
    fn row_id(&self) -> String;

    /// Changes when what is shown of it does; of what never changes there is none.
    fn row_stamp(&self) -> Option<i64> {
        None
    }

    /// What its link says to those who do not see the row.
    fn row_words(&self) -> String;

    /// Classes of the row.
    fn row_class(&self) -> &'static str {
        ""
    }
}

/// One column. The cells of the first one are the links of their rows, and must hold none themselves.
pub(crate) struct Column<T: 'static> {
    /// What its head says.
    pub(crate) label: &'static str,
    /// The class of its cells and of its head.
    pub(crate) class: &'static str,
    /// What `sort_by` is in the URL when rows stand in its order; `""` is the order of a list that nobody sorted. `sort_order=asc`
    /// turns it round.
    pub(crate) sort: Option<&'static str>,
    /// What stands in its cells.
    pub(crate) cell: fn(&T) -> AnyView,
}

/// What a row shows now, and how it tells that it just came.
pub(crate) struct Now<T> {
    pub(crate) item: Arc<T>,
    /// Classes of a row that glows. They alternate, because the same ones again would start no animation.
    glow: &'static str,
}

impl<T> Now<T> {
    fn of((item, new): Row<T>, before: &str) -> Self {
        let glow = match (new, before) {
            (false, _) => "",
            (true, "new") => "new again",
            (true, _) => "new",
        };
        Self { item, glow }
    }
}

/// A row on the screen: its id, and what it shows.
pub(crate) type Kept<T> = (String, ArcRwSignal<Now<T>>);

/// The rows that are on the screen. One that changes stays the element that it is, so that a click on it that has begun, the focus and
/// what is open in it outlive what comes in.
pub(crate) struct Keep<T: 'static>(StoredValue<Vec<Kept<T>>>);

impl<T> Clone for Keep<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Keep<T> {}

impl<T: Listed> Keep<T> {
    pub(crate) fn new() -> Self {
        Self(StoredValue::new(Vec::new()))
    }

    /// What is to be on the screen, of which what was there already is the same, and shows what it shows now.
    pub(crate) fn rows(self, rows: Vec<Row<T>>) -> Vec<Kept<T>> {
        let before = self.0.get_value();
        let kept = |row: Row<T>| {
            let id = row.0.row_id();
            let Some((_, now)) = before.iter().find(|(kept, _)| *kept == id) else {
                return (id, ArcRwSignal::new(Now::of(row, "")));
            };
            let (stamp, glow) = now.with_untracked(|now| (now.item.row_stamp(), now.glow));
            if stamp != row.0.row_stamp() {
                now.set(Now::of(row, glow));
            }
            (id, now.clone())
        };
        let rows: Vec<_> = rows.into_iter().map(kept).collect();
        self.0.set_value(rows.clone());
        rows
    }
}

/// What a column is called in the browser's storage and in the style sheet: the table's first column is 1.
type Hidden = RwSignal<BTreeSet<usize>>;

/// Rows, newest or first ones on top.
///
/// With `selected`, rows can be ticked (by x, too); what is to be done with them is the page's business.
#[component]
pub(crate) fn Table<T: Listed>(
    /// What it is called: the class that styles it, and the key under which the browser keeps the reader's choices.
    name: &'static str,
    columns: &'static [Column<T>],
    #[prop(into)] rows: Signal<Vec<Row<T>>>,
    /// The parameter of the URL that names the opened row.
    leads: &'static str,
    #[prop(optional, into)] selected: Option<RwSignal<BTreeSet<String>>>,
    /// What stands above it: how many there are, and what can be done with all of them.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let body = NodeRef::<html::Tbody>::new();
    let length = Memo::new(move |_| rows.with(Vec::len));
    let seen = RwSignal::new(Seen::default());
    // Whether the table is no wider than its frame: then the frame has nothing to scroll, and the head stays in the window.
    let fits = RwSignal::new(false);
    let look = move || {
        let Some(body) = body.get_untracked() else { return };
        if let Some(now) = Seen::of(&body)
            && seen.get_untracked() != now
        {
            seen.set(now);
        }
        let now = is_within_frame(&body).unwrap_or(false);
        if fits.get_untracked() != now {
            fits.set(now);
        }
    };
    sight::watch(look);
    // Rows that come, columns that go and a drawer beside it make it wider or narrower, and nothing is scrolled by that.
    sight::watch_sizes(
        move || {
            let body = body.get_untracked();
            let table = body.as_ref().and_then(|body| body.parent_element());
            let frame = table.as_ref().and_then(|table| table.parent_element());
            table.into_iter().chain(frame).collect()
        },
        look,
    );
    let span = Memo::new(move |_| seen.get().span(length.get()));
    let turn = Memo::new(move |turn: Option<&u32>| {
        rows.track();
        turn.map_or(0, |turn| turn.wrapping_add(1))
    });
    let drawn = StoredValue::new((None, Vec::new()));
    let holding = StoredValue::new(Holding::default());
    let keep = Keep::new();
    let shown = move || {
        let (Span { first, last, .. }, turn) = (span.get(), turn.get());
        let part = rows.with(|rows| {
            let part = rows.get(first..last).unwrap_or_default().to_vec();
            // In the browser; what is in the page now are the rows of the last turn.
            if let Some(body) = body.get_untracked() {
                drawn.update_value(|(last, before): &mut (Option<u32>, Vec<_>)| {
                    if *last != Some(turn) {
                        // What comes in before that is drawn moves nobody from where they were held.
                        if !holding.get_value().on {
                            let on = hold(holding, &body, seen.get_untracked(), before, rows);
                            holding.update_value(|holding| holding.on = on);
                        }
                        (*last, *before) = (Some(turn), rows.clone());
                    }
                });
            }
            part
        });
        keep.rows(part)
    };
    // Of a long list only some rows are there: each says which it is. Once they are drawn.
    Effect::new(move |_| {
        turn.track();
        let first = span.get().first;
        request_animation_frame(move || {
            if let Some(body) = body.try_get_untracked().flatten() {
                number(&body, first);
            }
        });
    });
    let wide = columns.len() + usize::from(selected.is_some());
    let gap = move |px: fn(&Span) -> u32| {
        let px = span.with(px);
        (px > 0).then(|| {
            view! {
                <tr class="gap" aria-hidden="true">
                    <td colspan=wide><svg width="1" height=px></svg></td>
                </tr>
            }
        })
    };
    let hidden = Hidden::new(BTreeSet::new());
    let key = format!("decnet-columns-{name}");
    Effect::new({
        let key = key.clone();
        move |_| hidden.set(parse(&store::get(&key).unwrap_or_default()))
    });
    let off = move || hidden.with(words);
    let ticks = usize::from(selected.is_some());
    let labels: Vec<_> = columns.iter().map(|column| column.label).collect();
    let heads = columns
        .iter()
        .map(|column| view! { <Head label=column.label class=column.class sort=column.sort /> })
        .collect_view();
    view! {
        <div class="table-bar">
            {children.map(|children| children())}
            <Chooser labels=labels ticks=ticks hidden=hidden key=key />
        </div>
        <div class="table-frame" class:fits=move || fits.get()>
            <table class=format!("table {name}") data-off=off aria-rowcount=move || length.get() + 1>
                <thead>
                    <tr aria-rowindex="1">
                        {selected.map(|_| view! { <th scope="col" class="c-tick"><span class="sr">"Selected"</span></th> })}
                        {heads}
                    </tr>
                </thead>
                <tbody node_ref=body>
                    {move || gap(|span| span.above)}
                    <For
                        each=shown
                        key=|(id, _)| id.clone()
                        children=move |row| line(row, columns, leads, selected)
                    />
                    {move || gap(|span| span.below)}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// A few rows at a glance, of what never changes: nothing to choose, and each row leads to its drawer, which `param` of the URL names. It needs a
/// third of the program of a whole [`Table`], which counts on the page where readers come in.
#[component]
pub(crate) fn Glance<T: Listed>(
    /// The class that styles it.
    name: &'static str,
    columns: &'static [Column<T>],
    #[prop(into)] rows: Signal<Vec<Row<T>>>,
    param: &'static str,
) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let line = move |(item, new): Row<T>| {
        let id = item.row_id();
        let href = {
            let id = id.clone();
            move || url::with(&path.get(), &query.get(), &[(param, Some(&id))])
        };
        let link = Callback::new(move |()| href());
        let first = first_cell(columns, &id, item.row_words(), link, drawn(columns, &item));
        let others = other_cells(columns, &item);
        let chosen = move || query.with(|q| q.get_str(param) == Some(id.as_str()));
        view! { <tr class=item.row_class() class:new=new class:chosen=chosen>{first}{others}</tr> }.into_any()
    };
    let heads = columns
        .iter()
        .map(|column| view! { <th scope="col" class=column.class>{column.label}</th> })
        .collect_view();
    view! {
        <div class="table-frame">
            <table class=format!("table glance {name}")>
                <thead><tr>{heads}</tr></thead>
                <tbody>
                    <For each=move || rows.get() key=|(row, _)| row.row_id() children=line />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The head of a column; of one that rows can be sorted by, a link that sorts them: the highest first, and once they are, the
/// lowest.
#[component]
fn Head(label: &'static str, class: &'static str, sort: Option<&'static str>) -> impl IntoView {
    let Some(order) = sort else {
        return view! { <th scope="col" class=class>{label}</th> }.into_any();
    };
    let query = use_query_map();
    let path = use_location().pathname;
    let is = Memo::new(move |_| {
        query.with(|q| {
            if q.get_str("sort_by").unwrap_or_default() != order {
                "none"
            } else if q.get_str("sort_order") == Some("asc") {
                "ascending"
            } else {
                "descending"
            }
        })
    });
    let href = move || {
        let turned = (is.get() == "descending").then_some("asc");
        url::with(
            &path.get(),
            &query.get(),
            &[("sort_by", Some(order)), ("sort_order", turned)],
        )
    };
    view! {
        <th scope="col" class=class aria-sort=move || is.get()>
            <a class="sort" href=href data-noscroll="">{label}</a>
        </th>
    }
    .into_any()
}

/// One row.
fn line<T: Listed>(
    (id, now): Kept<T>,
    columns: &'static [Column<T>],
    leads: &'static str,
    selected: Option<RwSignal<BTreeSet<String>>>,
) -> AnyView {
    let query = use_query_map();
    let path = use_location().pathname;
    let navigate = use_navigate();
    let href = {
        let id = id.clone();
        move || url::with(&path.get(), &query.get(), &[(leads, Some(&id))])
    };
    let open = {
        let href = href.clone();
        move |event: web_sys::MouseEvent| {
            if is_for_row(&event) {
                let here = NavigateOptions {
                    scroll: false,
                    ..NavigateOptions::default()
                };
                navigate(&href(), here);
            }
        }
    };
    let tick = selected.map(|selected| {
        let (has, put, words) = (id.clone(), id.clone(), now.clone());
        let label = move || words.with(|now| format!("Select {}", now.item.row_words()));
        view! {
            <td class="c-tick">
                <input
                    type="checkbox"
                    data-tick=""
                    aria-label=label
                    prop:checked=move || selected.with(|s| s.contains(&has))
                    on:change=move |event| {
                        selected
                            .update(|s| {
                                if event_target_checked(&event) {
                                    s.insert(put.clone());
                                } else {
                                    s.remove(&put);
                                }
                            });
                    }
                />
            </td>
        }
    });
    let class = {
        let (id, now) = (id.clone(), now.clone());
        move || {
            let chosen = query.with(|q| q.get_str(leads) == Some(id.as_str()));
            let ticked = selected.is_some_and(|selected| selected.with(|s| s.contains(&id)));
            let own = now.with(|now| [now.item.row_class(), now.glow]);
            let [of_row, glow] = own;
            let classes = [
                of_row,
                glow,
                if chosen { "chosen" } else { "" },
                if ticked { "ticked" } else { "" },
            ];
            let set: Vec<_> = classes.into_iter().filter(|class| !class.is_empty()).collect();
            set.join(" ")
        }
    };
    let link = Callback::new(move |()| href());
    let item = now.with_untracked(|now| now.item.clone());
    // Of what never changes nothing has to be drawn again, which is a good part of the work of a long list.
    let (words, inside, others) = if item.row_stamp().is_some() {
        let (words, inside, others) = (now.clone(), now.clone(), now);
        (
            Signal::derive(move || words.with(|now| now.item.row_words())),
            (move || inside.with(|now| drawn(columns, &now.item))).into_any(),
            (move || others.with(|now| other_cells(columns, &now.item))).into_any(),
        )
    } else {
        (
            Signal::stored(item.row_words()),
            drawn(columns, &item),
            other_cells(columns, &item).into_any(),
        )
    };
    let first = first_cell(columns, &id, words, link, inside);
    view! {
        <tr class=class on:click=open>
            {tick}
            {first}
            {others}
        </tr>
    }
    .into_any()
}

/// What stands in the first cell of a row.
fn drawn<T>(columns: &'static [Column<T>], item: &T) -> AnyView {
    columns
        .first()
        .map_or_else(|| ().into_any(), |column| (column.cell)(item))
}

/// The first cell of a row, with the row's link: where that leads is `link`.
fn first_cell<T>(
    columns: &'static [Column<T>],
    id: &str,
    words: impl Into<Signal<String>>,
    link: Callback<(), String>,
    inside: AnyView,
) -> AnyView {
    let class = columns.first().map(|column| column.class);
    let (id, words) = (id.to_owned(), words.into());
    view! {
        <td class=class>
            <a class="row-link" href=move || link.run(()) data-row=id data-noscroll="" aria-label=words>{inside}</a>
        </td>
    }
    .into_any()
}

/// The cells of a row after its first.
fn other_cells<T>(columns: &'static [Column<T>], item: &T) -> Vec<AnyView> {
    let cell = |column: &Column<T>| view! { <td class=column.class>{(column.cell)(item)}</td> }.into_any();
    columns.iter().skip(1).map(cell).collect()
}

/// Whether a click means the row: one on a link, a button or a box in it does not, nor one that ends the marking of text.
fn is_for_row(event: &web_sys::MouseEvent) -> bool {
    let own = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .is_some_and(|el| {
            el.closest("a, button, input, label")
                .is_ok_and(|found| found.is_some())
        });
    let marking = web_sys::window()
        .and_then(|w| w.get_selection().ok().flatten())
        .is_some_and(|selection| !selection.is_collapsed());
    !event.default_prevented() && !own && !marking
}

/// Which columns are shown.
#[component]
fn Chooser(labels: Vec<&'static str>, ticks: usize, hidden: Hidden, key: String) -> impl IntoView {
    let change = StoredValue::new(move |column: usize, shown: bool| {
        hidden.update(|hidden| {
            if shown {
                hidden.remove(&column);
            } else {
                hidden.insert(column);
            }
        });
        store::put(&key, &hidden.with_untracked(words));
    });
    // The first column is the rows' link, so it stays.
    let boxes = labels.into_iter().enumerate().skip(1).map(|(i, label)| {
        let column = i + ticks + 1;
        view! {
            <label>
                <input
                    type="checkbox"
                    prop:checked=move || hidden.with(|hidden| !hidden.contains(&column))
                    on:change=move |event| change.with_value(|change| change(column, event_target_checked(&event)))
                />
                {label}
            </label>
        }
    });
    view! {
        <details class="menu column-menu">
            <summary class="icon-button" aria-label="Columns" title="Columns"><Mark icon=Icon::Columns /></summary>
            <div class="menu-body" role="group" aria-label="Columns that are shown">{boxes.collect_view()}</div>
        </details>
    }
    .into_any()
}

fn words(hidden: &BTreeSet<usize>) -> String {
    hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

fn parse(words: &str) -> BTreeSet<usize> {
    words
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// A list up to this long stands in the page whole: it is what a page is rendered with.
const WHOLE: usize = 200;
/// What is kept above and below what is seen, so that a turn of the wheel meets rows that are there.
const MARGIN_PX: f64 = 800.0;

/// Where the rows are in the window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Seen {
    /// The top of the first row, from the top of the window: negative once it is scrolled out.
    top_px: f64,
    /// Height of the window.
    window_px: f64,
    /// Height of a row.
    row_px: f64,
}

/// The rows that stand in the page, and the room of those that do not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    first: usize,
    last: usize,
    /// In CSS pixels.
    above: u32,
    /// In CSS pixels.
    below: u32,
}

impl Seen {
    fn of(body: &web_sys::HtmlTableSectionElement) -> Option<Self> {
        let row = body.query_selector("tr:not(.gap)").ok()??;
        Some(Self {
            top_px: body.get_bounding_client_rect().top(),
            window_px: web_sys::window()?.inner_height().ok()?.as_f64()?,
            row_px: row.get_bounding_client_rect().height(),
        })
    }

    /// How far the row went that was `above_px` below the start of the rows, as far as the list tells: for one that is not drawn
    /// any more.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a row's number"
    )]
    fn moved_px<T: Listed>(self, above_px: f64, before: &[Row<T>], after: &[Row<T>]) -> f64 {
        let was = (above_px / self.row_px.max(1.0)) as usize;
        let is = before.get(was).and_then(|(row, _)| {
            let id = row.row_id();
            after.iter().position(|(row, _)| row.row_id() == id)
        });
        is.map_or(0.0, |is| (is as f64 - was as f64) * self.row_px)
    }

    /// Which of `length` rows to draw.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "pixels of a page, clamped at zero; a cast of what is too large saturates"
    )]
    fn span(self, length: usize) -> Span {
        let whole = Span {
            first: 0,
            last: length,
            above: 0,
            below: 0,
        };
        if length <= WHOLE || self.row_px < 1.0 {
            return Span {
                last: length.min(WHOLE),
                ..whole
            };
        }
        let rows = |px: f64| (px.max(0.0) / self.row_px) as usize;
        // An even number: rows keep their stripes, and small turns of the wheel change nothing.
        let first = (rows(-self.top_px - MARGIN_PX) & !15).min(length);
        let last = (rows(self.window_px - self.top_px + MARGIN_PX) | 15)
            .min(length)
            .max(first);
        let px = |rows: usize| (rows as f64 * self.row_px) as u32;
        Span {
            first,
            last,
            above: px(first),
            below: px(length - last),
        }
    }
}

/// Tell each row that is drawn its place in the whole table, of which the head is the first row and the row `first` the first
/// drawn one.
fn number(body: &web_sys::Element, first: usize) {
    let rows = body.children();
    let rows = (0..rows.length()).filter_map(|i| rows.item(i));
    let rows = rows.filter(|row| !row.class_list().contains("gap"));
    for (row, place) in rows.zip(first + 2..) {
        let place = place.to_string();
        if row.get_attribute("aria-rowindex").as_ref() != Some(&place)
            && let Err(error) = row.set_attribute("aria-rowindex", &place)
        {
            leptos::logging::warn!("a row has no place: {error:?}");
        }
    }
}

/// Whether the table does not reach out of its frame.
fn is_within_frame(body: &web_sys::Element) -> Option<bool> {
    let wide = |element: web_sys::Element| element.get_bounding_client_rect().width();
    let frame = body.closest(".table-frame").ok()??;
    Some(wide(body.parent_element()?) < wide(frame) + 1.0)
}

/// Where the rows begin that nothing covers, from the top of the window: below the head, where it stays there.
fn edge_px(body: &web_sys::Element) -> f64 {
    let head = body
        .previous_element_sibling()
        .and_then(|head| head.first_element_child()?.first_element_child());
    head.map_or(0.0, |head| head.get_bounding_client_rect().bottom().max(0.0))
}

/// Whether rows are being held in their place, and by how much the last time was off: a browser scrolls by whole pixels of its screen,
/// and many small steps must not add up to one that is seen.
#[derive(Debug, Clone, Copy, Default)]
struct Holding {
    on: bool,
    owed_px: f64,
}

/// Keep what is read where it is while rows come in above it: `before` stand in the page, `after` will. Of the rows that are seen,
/// more stay than move to another place of the list, so the one in the middle of how far each went tells how far the list did.
/// Whether there is anything to hold; `holding` says until when.
fn hold<T: Listed>(
    holding: StoredValue<Holding>,
    body: &web_sys::HtmlTableSectionElement,
    seen: Seen,
    before: &[Row<T>],
    after: &[Row<T>],
) -> bool {
    let top_px = |element: &web_sys::Element| element.get_bounding_client_rect().top();
    let edge_px = edge_px(body);
    let above_px = edge_px - top_px(body);
    if above_px < 2.0 {
        return false;
    }
    let rows = body.children();
    let rows = (0..rows.length()).filter_map(|i| rows.item(i));
    let rows: Vec<_> = rows
        .filter(|row| !row.class_list().contains("gap"))
        .map(|row| (top_px(&row), row))
        .filter(|(top, _)| (edge_px..edge_px + seen.window_px).contains(top))
        .collect();
    let moved_px = seen.moved_px(above_px, before, after);
    let scroll_px = || web_sys::window().and_then(|window| window.scroll_y().ok());
    let was_px = scroll_px();
    request_animation_frame(move || {
        // The table may be gone by then.
        let Some(owed_px) = holding.try_update_value(|holding| {
            holding.on = false;
            std::mem::take(&mut holding.owed_px)
        }) else {
            return;
        };
        // Who scrolled meanwhile, all the way to an end perhaps, is not brought back.
        let scrolled_px = scroll_px().zip(was_px).map_or(0.0, |(is, was)| is - was);
        let mut moved: Vec<f64> = rows
            .iter()
            .filter(|(_, row)| row.is_connected())
            .map(|(top, row)| top_px(row) - top + scrolled_px)
            .collect();
        order::by(&mut moved, |px| order::signed((px * 64.0) as i64));
        let by = owed_px + moved.get(moved.len() / 2).copied().unwrap_or(moved_px);
        if by != 0.0
            && let Some(window) = web_sys::window()
            && let Ok(from) = window.scroll_y()
        {
            window.scroll_by_with_x_and_y(0.0, by);
            let went = window.scroll_y().map_or(by, |at| at - from);
            holding.try_update_value(|holding| holding.owed_px = (by - went).clamp(-1.0, 1.0));
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_stands_there_whole_and_of_a_long_one_what_is_seen() {
        let seen = |top_px| Seen {
            top_px,
            window_px: 900.0,
            row_px: 30.0,
        };
        assert_eq!(seen(-3_000.0).span(150).last, 150);
        for top_px in [100.0, 0.0, -45.0, -150_000.0, -299_000.0, -9e9] {
            let span = seen(top_px).span(10_000);
            assert!(span.first <= span.last && span.last <= 10_000, "{span:?}");
            assert!(span.last - span.first < 130, "{span:?}");
            let drawn = u32::try_from(span.last - span.first).unwrap() * 30;
            assert_eq!(span.above + drawn + span.below, 300_000, "{span:?}");
            // What the window shows is drawn.
            if (-299_000.0..=0.0).contains(&top_px) {
                assert!(f64::from(span.above) <= -top_px, "{span:?}");
                assert!(
                    f64::from(span.above + drawn) >= (900.0 - top_px).min(300_000.0),
                    "{span:?}"
                );
            }
        }
    }

    #[test]
    fn before_anything_was_measured_a_long_list_is_not_drawn_whole() {
        assert_eq!(Seen::default().span(10_000).last, WHOLE);
    }

    #[test]
    fn hidden_columns_are_kept_as_words() {
        let hidden = BTreeSet::from([2, 11]);
        assert_eq!(parse(&words(&hidden)), hidden);
        assert_eq!(parse("3 x -1"), BTreeSet::from([3]));
    }
}
