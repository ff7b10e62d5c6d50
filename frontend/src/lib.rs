//! Takes over the rendered pages in the browser, and nothing else.

#![recursion_limit = "256"]

use decnet_app::App;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `boot.js` once the module is there, with the name of the piece that the page came with, if it is in one.
/// Whether the page is alive now: without its piece it stays what it is.
#[wasm_bindgen]
pub async fn hydrate(piece: Option<String>) -> bool {
    console_error_panic_hook::set_once();
    let here = match piece {
        Some(name) => decnet_app::fetch(&name).await,
        None => true,
    };
    if here {
        leptos::mount::hydrate_body(App);
    }
    here
}
