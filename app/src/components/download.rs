//! Taking a list along: files that the REST API makes of all that a page's filters leave, and files that the page made itself.

use leptos::prelude::*;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::icon::{Icon, Mark};

/// A menu of files: the whole list as CSV and as JSON, and what else the page has of it.
#[component]
pub(crate) fn Export(
    /// Its export in the REST API, with what is filtered by: see [`url::export`](crate::url::export).
    #[prop(into)]
    from: Signal<String>,
    /// Its filters are the page's own: the files have the whole list, whatever is shown of it.
    #[prop(optional)]
    whole: bool,
    /// More files, as [`ExportFile`]s.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let file = move |format: &'static str| {
        Signal::derive(move || {
            from.with(|from| {
                let and = if from.contains('?') { '&' } else { '?' };
                format!("{from}{and}format={format}")
            })
        })
    };
    let note = if whole {
        "all of them"
    } else {
        "all that the filters leave"
    };
    view! {
        <details class="menu export">
            <summary class="button"><Mark icon=Icon::Download />"Export"</summary>
            <div class="menu-body">
                <ExportFile from=file("csv") words="CSV" note=note />
                <ExportFile from=file("json") words="JSON" note="the same, as an array" />
                {children.map(|children| children())}
            </div>
        </details>
    }
    .into_any()
}

/// One file of an [`Export`].
#[component]
pub(crate) fn ExportFile(
    #[prop(into)] from: Signal<String>,
    words: &'static str,
    /// What is in it.
    note: &'static str,
) -> impl IntoView {
    view! {
        <a href=move || from.get() download="" rel="external">
            <span>{words}</span>
            <span class="menu-note">{note}</span>
        </a>
    }
    .into_any()
}

/// Have the browser save `text` as `name`.
pub(crate) fn save(name: &str, text: &str) {
    if let Err(err) = offer(name, text) {
        leptos::logging::warn!("{name} cannot be saved: {err:?}");
    }
}

fn offer(name: &str, text: &str) -> Result<(), JsValue> {
    let parts = js_sys::Array::of1(&JsValue::from_str(text));
    let options = BlobPropertyBag::new();
    options.set_type("text/csv;charset=utf-8");
    let url = Url::create_object_url_with_blob(&Blob::new_with_str_sequence_and_options(&parts, &options)?)?;
    let document = web_sys::window()
        .and_then(|w| w.document())
        .ok_or(JsValue::NULL)?;
    let link: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}
