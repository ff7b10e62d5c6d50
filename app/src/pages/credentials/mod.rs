//! Credentials and other loot: everything that intruders gave away or left, and which of it they use again elsewhere.

pub(crate) mod finds;
pub(crate) mod reuse;

use decnet_model::query::{HashKind, Wordlist};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use crate::components::{download::ExportFile, range::use_carried};

/// The way between what was found and what was used again.
#[component]
fn Views() -> impl IntoView {
    let path = use_location().pathname;
    let carried = use_carried();
    let is = move |page: &str| path.with(|path| (path == page).then_some("page"));
    view! {
        <nav class="tabs" aria-label="Views of the credentials">
            <a href=move || carried.on("/credentials") aria-current=move || is("/credentials")>"Finds"</a>
            <a href="/credentials/reuse" aria-current=move || is("/credentials/reuse")>"Used again"</a>
        </nav>
    }
    .into_any()
}

/// Lists for password crackers.
#[component]
fn Wordlists() -> impl IntoView {
    let lists = Wordlist::ALL.iter().map(|list| {
        let (words, note) = match list {
            Wordlist::Users => ("Accounts", "a line each"),
            Wordlist::Passwords => ("Passwords", "a line each"),
            Wordlist::Pairs => ("Pairs", "account:password"),
        };
        let from = format!("/api/v1/bounty/wordlist?list={list}");
        view! { <ExportFile from=Signal::stored(from) words=words note=note /> }
    });
    let hashes = HashKind::ALL.iter().map(|kind| {
        let (words, note) = match kind {
            HashKind::MysqlNative => ("MySQL hashes", "hashcat -m 11200"),
            HashKind::CramMd5 => ("CRAM-MD5", "hashcat -m 16400"),
        };
        let from = format!("/api/v1/bounty/hashcat?kind={kind}");
        view! { <ExportFile from=Signal::stored(from) words=words note=note /> }
    });
    view! {
        <p class="menu-head">"For a password cracker, of everything captured"</p>
        {lists.collect_view()}
        {hashes.collect_view()}
    }
    .into_any()
}
