//! What the browser keeps for its reader: the theme, which columns are shown. Where it keeps nothing, nothing is lost but that.

/// The value that is kept under `key`.
pub(crate) fn get(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// Keep `value` under `key`.
pub(crate) fn put(key: &str, value: &str) {
    if let Some(storage) = storage()
        && storage.set_item(key, value).is_err()
    {
        leptos::logging::warn!("the browser does not keep {key}");
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}
