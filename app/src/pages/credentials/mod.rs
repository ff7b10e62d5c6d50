//! Credentials and other loot: everything that intruders gave away or left, and which of it they use again elsewhere.

mod finds;
mod reuse;

use decnet_model::query::{HashKind, Wordlist};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use crate::{components::download::ExportFile, url};

/// The page.
#[component]
pub(crate) fn CredentialsPage() -> impl IntoView {
    let params = use_query_map();
    let reused = Memo::new(move |_| params.with(|q| q.get_str("view") == Some("reuse")));
    move || {
        if reused.get() {
            view! { <reuse::ReusePage /> }.into_any()
        } else {
            view! { <finds::FindsPage /> }.into_any()
        }
    }
}

/// The way between what was found and what was used again.
#[component]
fn Views() -> impl IntoView {
    let params = use_query_map();
    let path = use_location().pathname;
    let reused = move || params.with(|q| q.get_str("view") == Some("reuse"));
    // Time holds for both; what else is filtered by means something to one of them only.
    let to = move |view: Option<&str>| {
        let mut kept = params.get();
        for (key, _) in finds::CHIPS.iter().chain(reuse::CHIPS) {
            if !url::TIMES.contains(key) {
                kept.remove(key);
            }
        }
        url::with(
            &path.get(),
            &kept,
            &[("view", view), ("bounty", None), ("reuse", None)],
        )
    };
    view! {
        <nav class="tabs" aria-label="Views of the credentials">
            <a href=move || to(None) aria-current=move || (!reused()).then_some("page")>"Finds"</a>
            <a href=move || to(Some("reuse")) aria-current=move || reused().then_some("page")>"Used again"</a>
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
