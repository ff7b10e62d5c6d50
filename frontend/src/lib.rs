//! Takes over the rendered pages in the browser, and nothing else.

#![recursion_limit = "256"]

use decnet_app::App;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `boot.js` once the module is there, with the names of the pieces that the page came with, if it is in pieces.
/// Whether the page is alive now: without them it stays what it is.
#[wasm_bindgen]
pub async fn hydrate(pieces: Vec<String>) -> bool {
    console_error_panic_hook::set_once();
    for name in pieces {
        if !decnet_app::fetch(&name).await {
            return false;
        }
    }
    leptos::mount::hydrate_body(App);
    true
}
