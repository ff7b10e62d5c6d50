//! Dragging over a drawing marks a part of its width.

use leptos::{ev::PointerEvent, html, prelude::*};

/// The least that has to be marked, as a share of the width: less is a click.
const LEAST: f64 = 0.006;

/// What `children` draw, over which can be dragged: `on` is told where from and to, as shares of the width.
#[component]
pub(crate) fn Brush(on: Callback<(f64, f64)>, children: Children) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let marked = RwSignal::new(None::<(f64, f64)>);
    // A drag that ends on a link is no click on it.
    let dragged = RwSignal::new(false);
    let place = move |event: &PointerEvent| {
        let area = node.get_untracked()?.get_bounding_client_rect();
        let along = (f64::from(event.client_x()) - area.left()) / area.width().max(1.0);
        Some(along.clamp(0.0, 1.0))
    };
    let down = move |event: PointerEvent| {
        dragged.set(false);
        if event.button() == 0 && event.is_primary() {
            marked.set(place(&event).map(|at| (at, at)));
        }
    };
    let moved = move |event: PointerEvent| {
        let Some((from, _)) = marked.get_untracked() else {
            return;
        };
        if event.buttons() == 0 {
            marked.set(None);
            return;
        }
        let Some(to) = place(&event) else { return };
        marked.set(Some((from, to)));
        if !dragged.get_untracked() && (to - from).abs() > LEAST {
            dragged.set(true);
            // Without it the mark ends where the pointer leaves the drawing, and nothing else is lost.
            if let Some(area) = node.get_untracked() {
                drop(area.set_pointer_capture(event.pointer_id()));
            }
        }
    };
    let up = move |_: PointerEvent| {
        let Some((from, to)) = marked.get_untracked() else {
            return;
        };
        marked.set(None);
        if dragged.get_untracked() {
            on.run((from.min(to), from.max(to)));
        }
    };
    let click = move |event: web_sys::MouseEvent| {
        if dragged.get_untracked() {
            dragged.set(false);
            event.prevent_default();
            event.stop_propagation();
        }
    };
    view! {
        <div
            class="brush"
            node_ref=node
            on:pointerdown=down
            on:pointermove=moved
            on:pointerup=up
            on:pointercancel=move |_| marked.set(None)
            on:dragstart=move |event| event.prevent_default()
            on:click:capture=click
        >
            {children()}
            <svg class="brush-mark" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true">
                {move || {
                    let (from, to) = marked.get().filter(|_| dragged.get())?;
                    Some(view! { <rect x=thousandths(from.min(to)) width=thousandths((to - from).abs()) height="1" /> })
                }}
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
