//! Dragging over a drawing marks a part of its width.

use std::cell::Cell;

use leptos::{html, prelude::*};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{Element, Event, PointerEvent};

/// The least that has to be marked, as a share of the width: less is a click.
const LEAST: f64 = 0.006;
/// What is heard of a drag, by one function: a handler in the view would be code of its own for each.
const HEARD: [&str; 6] = [
    "pointerdown",
    "pointermove",
    "pointerup",
    "pointercancel",
    "dragstart",
    "click",
];

/// How a drag stands.
#[derive(Clone, Copy)]
struct Drag {
    /// From where and to where, as shares of the width.
    marked: RwSignal<Option<(f64, f64)>>,
    /// Is told of what was marked.
    on: Callback<(f64, f64)>,
}

impl Drag {
    /// Take one of [`HEARD`]: what is no event of a pointer has no more than a type. `dragged` is whether it is no click any more: one that
    /// ends on a link is no click on it. That outlives the signals: what was marked may lead to another page, and the click that
    /// ends the drag comes to this drawing all the same.
    fn hear(self, area: &Element, event: &PointerEvent, dragged: &Cell<bool>) {
        let place = || {
            let area = area.get_bounding_client_rect();
            let along = (f64::from(event.client_x()) - area.left()) / area.width().max(1.0);
            along.clamp(0.0, 1.0)
        };
        let mark = |marked| {
            self.marked.try_set(marked);
        };
        match (event.type_().as_str(), self.marked.try_get_untracked().flatten()) {
            ("pointerdown", _) => {
                dragged.set(false);
                if event.button() == 0 && event.is_primary() {
                    let at = place();
                    mark(Some((at, at)));
                }
            }
            ("pointermove", Some(_)) if event.buttons() == 0 => mark(None),
            ("pointermove", Some((from, _))) => {
                let to = place();
                mark(Some((from, to)));
                if !dragged.get() && is_drag(from, to) {
                    dragged.set(true);
                    // Without it the mark ends where the pointer leaves the drawing, and nothing else is lost.
                    drop(area.set_pointer_capture(event.pointer_id()));
                }
            }
            ("pointerup", Some((from, to))) => {
                mark(None);
                if dragged.get() {
                    self.on.run((from.min(to), from.max(to)));
                }
            }
            ("pointercancel", _) => mark(None),
            ("dragstart", _) => event.prevent_default(),
            ("click", _) if dragged.replace(false) => {
                event.prevent_default();
                event.stop_propagation();
            }
            _ => {}
        }
    }
}

/// Whether so much is marked that it is no click.
fn is_drag(from: f64, to: f64) -> bool {
    (to - from).abs() > LEAST
}

/// What `children` draw, over which can be dragged: `on` is told where from and to, as shares of the width.
#[component]
pub(crate) fn Brush(on: Callback<(f64, f64)>, children: Children) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let drag = Drag {
        marked: RwSignal::new(None),
        on,
    };
    Effect::new(move |_| {
        let Some(area) = node.get() else { return };
        let target = area.clone();
        let dragged = Cell::new(false);
        let heard = move |event: Event| drag.hear(&area, event.unchecked_ref(), &dragged);
        // It is the browser's from here on, and goes with the drawing.
        let heard = Closure::<dyn FnMut(Event)>::new(heard).into_js_value();
        for name in HEARD {
            let heard = heard.unchecked_ref();
            // Before it comes to what is drawn: a link is not to hear of a click that is none.
            if target
                .add_event_listener_with_callback_and_bool(name, heard, true)
                .is_err()
            {
                leptos::logging::warn!("cannot listen for {name}");
            }
        }
    });
    let mark = move || {
        let (from, to) = drag.marked.get().filter(|(from, to)| is_drag(*from, *to))?;
        let rect =
            view! { <rect x=thousandths(from.min(to)) width=thousandths((to - from).abs()) height="1" /> };
        Some(rect.into_any())
    };
    view! {
        <div class="brush" node_ref=node>
            {children()}
            <svg class="brush-mark" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true">
                {move || mark()}
            </svg>
        </div>
    }
    .into_any()
}

/// A share as a whole number, for an attribute: nothing here is drawn finer, and numbers with a point are long to write.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a width, 0 to 1"
)]
fn thousandths(share: f64) -> u32 {
    (share * 1_000.0).round() as u32
}
