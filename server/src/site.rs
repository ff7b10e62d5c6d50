//! The dashboard's files, as `cargo xtask` lays them out (`deploy/xtask/src/site.rs`): below `pkg`, and in a release in a
//! folder of it that is named after its content, with a list of the pieces that each page needs.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use leptos::{WasmSplitManifest, prelude::ArcStoredValue};

/// Where they are when they are not named after their content.
const PKG: &str = "pkg";
/// The list of pieces.
const MANIFEST: &str = "pieces.json";
/// What fetches the pieces.
const LOADER: &str = "__wasm_split.js";

/// Where the files are and which of them a page needs.
#[derive(Clone)]
pub(crate) struct Package {
    /// Their folder below the site's.
    pub(crate) folder: Arc<str>,
    /// Page by page, its pieces; nothing where the WebAssembly is in one.
    pub(crate) pieces: Option<WasmSplitManifest>,
}

impl Package {
    /// Look where they are. A site that is made anew has another folder: the server has to be started anew, too.
    pub(crate) fn find(site_root: &Path) -> Self {
        let named = fs::read_dir(site_root.join(PKG)).ok().and_then(|entries| {
            let folders = entries.flatten().filter(|entry| entry.path().is_dir());
            folders
                .filter_map(|entry| entry.file_name().into_string().ok())
                .max()
        });
        let folder = named.map_or_else(|| PKG.to_owned(), |name| format!("{PKG}/{name}"));
        let pieces = fs::read(site_root.join(&folder).join(MANIFEST))
            .ok()
            .and_then(|list| match serde_json::from_slice::<HashMap<_, _>>(&list) {
                Ok(list) => Some(list),
                Err(error) => {
                    tracing::warn!(%error, "the list of the dashboard's pieces is unreadable: pages fetch them late");
                    None
                }
            })
            .map(|list| WasmSplitManifest(ArcStoredValue::new((format!("/{folder}"), list, LOADER.to_owned()))));
        Self {
            folder: folder.into(),
            pieces,
        }
    }

    /// Whether what is at `path` never changes: its address would.
    pub(crate) fn is_for_good(&self, path: &str) -> bool {
        *self.folder != *PKG
            && path
                .strip_prefix('/')
                .and_then(|path| path.strip_prefix(&*self.folder))
                .is_some_and(|file| file.starts_with('/'))
    }
}
