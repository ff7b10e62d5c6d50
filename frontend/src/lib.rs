//! Takes over the rendered pages in the browser, and nothing else.

#![recursion_limit = "256"]

use decnet_app::App;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `boot.js` once the module is there.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
}
