//! Everybody's API tokens, for administrators: whose each is, what it may do, when it was last used, and ending some of them.

use std::{collections::BTreeSet, sync::Arc};

use decnet_model::view::ApiTokenView;
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use time::{Duration, OffsetDateTime};

use super::{Asked, Filters, number_of};
use crate::{
    api::users::{self, TokensEnd},
    components::{
        dialog::Dialog,
        download::Export,
        drawer::Drawer,
        icon::{Icon, Mark},
        notice::{Empty, Fetched, NothingFits},
        pager::Pager,
        said::Said,
        table::{Column, Row, Table},
        toast::tell,
        when::{Ago, use_present},
    },
    pages::login::FormFault,
    text, url,
};

/// The parameter of the URL that names the token whose drawer is open, and the one that names the token that is to end.
const OPENED: &str = "token";
const ENDING: &str = "end";
/// What that says where those that are selected are to end. Which these are the page knows: a URL is not long enough for them all.
const SELECTED: &str = "selected";

/// The page.
#[component]
pub(crate) fn TokensPage() -> impl IntoView {
    let end = ServerAction::<TokensEnd>::new();
    tell(end, "What signs in with it is refused from now on.");
    let list = Resource::new(move || end.version().get(), |_| users::token_list_all());
    view! { <Fetched from=list rows=6 draw=move |first| view! { <List first end /> }.into_any() /> }
        .into_any()
}

const COLUMNS: &[Column<ApiTokenView>] = &[
    Column {
        label: "Name",
        class: "c-who",
        sort: None,
        cell: |token| view! { <b><Said text=token.name.to_string() max=40 /></b> }.into_any(),
    },
    Column {
        label: "Owner",
        class: "c-owner",
        sort: None,
        cell: |token| token.owner.to_string().into_any(),
    },
    Column {
        label: "Role",
        class: "c-role",
        sort: None,
        cell: |token| view! { <span class="badge idle">{token.role.as_str()}</span> }.into_any(),
    },
    Column {
        label: "Last used",
        class: "c-used",
        sort: None,
        cell: used,
    },
    Column {
        label: "Made",
        class: "c-made",
        sort: None,
        cell: |token| view! { <Ago at=token.created_at /> }.into_any(),
    },
    Column {
        label: "Ends",
        class: "c-ends",
        sort: None,
        cell: |token| view! { <Ago at=token.expires_at /> }.into_any(),
    },
];

/// When it was last used.
fn used(token: &ApiTokenView) -> AnyView {
    match token.last_used_at {
        Some(at) => view! { <Ago at /> }.into_any(),
        None => "never".into_any(),
    }
}

#[component]
fn List(first: Vec<ApiTokenView>, end: ServerAction<TokensEnd>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let pager = Pager::whole(first, users::token_list_all);
    pager.follow_by_asking();
    let tokens = pager.rows;
    let asked = Memo::new(move |_| query.with(Asked::of));
    let rows = Memo::new(move |_| {
        asked.with(|asked| {
            tokens.with(|tokens| {
                let fits = |token: &&Arc<ApiTokenView>| {
                    asked.fits(token.role, &[token.name.as_str(), token.owner.as_str()])
                };
                let fitting = tokens.iter().filter(fits);
                fitting
                    .map(|token| (token.clone(), false))
                    .collect::<Vec<Row<_>>>()
            })
        })
    });
    let ticked = RwSignal::new(BTreeSet::<String>::new());
    // One that has ended meanwhile, or that a filter hides, is not ended with the others.
    let chosen = Memo::new(move |_| {
        let ids = rows.with(|rows| {
            rows.iter()
                .map(|(token, _)| token.id.to_string())
                .collect::<Vec<_>>()
        });
        ticked.with(|ticked| {
            ids.into_iter()
                .filter(|id| ticked.contains(id))
                .collect::<Vec<_>>()
        })
    });
    let to_end = move || {
        url::with(
            &path.get(),
            &query.get(),
            &[(ENDING, Some(SELECTED)), (OPENED, None)],
        )
    };
    let above = move || {
        let number = chosen.with(Vec::len);
        if number == 0 {
            let words = number_of(rows.with(Vec::len), tokens.with(Vec::len), "token", "tokens");
            return view! { <p class="table-note">{words}</p> }.into_any();
        }
        view! {
            <div class="bulk" role="group" aria-label="Orders for the selected tokens">
                <b>{format!("{number} selected")}</b>
                <a class="button" href=to_end data-noscroll=""><Mark icon=Icon::Bin />"End"</a>
                <button type="button" class="link" on:click=move |_| ticked.update(BTreeSet::clear)>"none"</button>
            </div>
        }
        .into_any()
    };
    let some_shown = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    view! {
        <Show
            when=move || tokens.with(|tokens| !tokens.is_empty())
            fallback=|| {
                view! {
                    <Empty
                        title="No API tokens"
                        hint="A program signs in with one. Everybody makes their own on the page of their account, or you make one for them in a terminal; all of them are here then."
                        command="decnet user token add admin backup"
                    />
                }
            }
        >
            <Filters label="Filter API tokens" placeholder="Name or owner" asked />
            <Show when=move || some_shown.get() fallback=|| view! { <NothingFits title="No token fits these filters" /> }>
                <Table name="all-tokens" columns=COLUMNS rows=rows leads=OPENED selected=ticked>
                    {above}
                    <Export from=Signal::stored("/api/v1/tokens/export".to_owned()) whole=true />
                </Table>
            </Show>
        </Show>
        <TokenDrawer tokens />
        <Ending tokens chosen end />
    }
    .into_any()
}

/// The drawer of the token that the URL names. What is told of it changes in it, and leaves it open.
#[component]
fn TokenDrawer(tokens: RwSignal<Vec<Arc<ApiTokenView>>>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[(OPENED, None)]));
    let id = Memo::new(move |_| query.with(|q| url::value(q, OPENED)));
    let token = Memo::new(move |_| {
        let id = id.get()?;
        tokens.with(|tokens| tokens.iter().find(|token| token.id.to_string() == id).cloned())
    });
    let name = Memo::new(move |_| token.with(|token| token.as_ref().map(|token| token.name.to_string())));
    move || {
        id.get().map(|id| match name.get() {
            Some(name) => {
                let inside = move || token.get().map(|token| view! { <Inside token /> });
                view! { <Drawer title=text::visible(&name) row=id close=close>{inside}</Drawer> }.into_any()
            }
            None => view! {
                <Drawer title="No such token" row=text::visible(&id) close=close>
                    <Empty title="There is no such token" hint="It may have ended, or was never made." />
                </Drawer>
            }
            .into_any(),
        })
    }
}

#[component]
fn Inside(token: Arc<ApiTokenView>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let present = use_present();
    let times = move |at| view! { <Ago at /><span class="exact">{move || present.exact(at)}</span> };
    let id = token.id.to_string();
    let end = move || url::with(&path.get(), &query.get(), &[(ENDING, Some(&id)), (OPENED, None)]);
    let owner = format!("/settings/users?search={}", url::escape(token.owner.as_str()));
    let did = format!(
        "/settings/audit?actor={}",
        url::escape(&format!("{}/{}", token.owner, token.name))
    );
    view! {
        <dl class="facts">
            <dt>"Owner"</dt>
            <dd><a href=owner>{token.owner.to_string()}</a></dd>
            <dt>"Role"</dt>
            <dd><span class="badge idle">{token.role.as_str()}</span></dd>
            <dt>"Last used"</dt>
            <dd>{token.last_used_at.map_or_else(|| "never".into_any(), |at| times(at).into_any())}</dd>
            <dt>"Made"</dt>
            <dd>{times(token.created_at)}</dd>
            <dt>"Ends"</dt>
            <dd>{times(token.expires_at)}</dd>
        </dl>
        <p class="drawer-foot drawer-ways">
            <a class="button" href=did>"All it did"</a>
            <a class="button" href=end data-noscroll=""><Mark icon=Icon::Bin />"End it"</a>
        </p>
    }
    .into_any()
}

/// What ending tokens does, in numbers: how many they are, of how many accounts, and how many of them something used lately.
fn effect(tokens: &[Arc<ApiTokenView>], now: OffsetDateTime) -> String {
    let number = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    let owners: BTreeSet<_> = tokens.iter().map(|token| token.owner.as_str()).collect();
    let is_lately = |at: OffsetDateTime| now - at < Duration::days(1);
    let lately = tokens
        .iter()
        .filter(|token| token.last_used_at.is_some_and(is_lately))
        .count();
    let them = if tokens.len() == 1 { "it" } else { "them" };
    let used = match lately {
        0 => format!("Nothing used {them}"),
        _ if tokens.len() == 1 => "It was used".to_owned(),
        1 => "1 of them was used".to_owned(),
        lately => format!("{lately} of them were used"),
    };
    format!(
        "Ends {} of {}. {used} during the last 24 hours. Whatever signs in with {them} is refused from then on, for good.",
        text::plural(number(tokens.len()), "token", "tokens"),
        text::plural(number(owners.len()), "account", "accounts"),
    )
}

/// The dialog that ends the token that the URL names, or those that are selected.
#[component]
fn Ending(
    tokens: RwSignal<Vec<Arc<ApiTokenView>>>,
    /// The ids of those that are selected.
    chosen: Memo<Vec<String>>,
    end: ServerAction<TokensEnd>,
) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[(ENDING, None)]));
    let named = Memo::new(move |_| query.with(|q| url::value(q, ENDING)));
    move || {
        let named = named.get()?;
        let selected = named == SELECTED;
        // As of now: what the dialog says stays, and what ends is what it says.
        let ids = if selected {
            chosen.get_untracked()
        } else {
            vec![named]
        };
        let there = tokens.with_untracked(|tokens| {
            let ids: BTreeSet<_> = ids.iter().map(String::as_str).collect();
            let there = tokens
                .iter()
                .filter(|token| ids.contains(token.id.to_string().as_str()));
            there.cloned().collect::<Vec<_>>()
        });
        Some(view! { <EndDialog tokens=there selected end close /> })
    }
}

#[component]
fn EndDialog(
    tokens: Vec<Arc<ApiTokenView>>,
    /// Whether they are those that are selected.
    selected: bool,
    end: ServerAction<TokensEnd>,
    close: Signal<String>,
) -> impl IntoView {
    let present = use_present();
    let fault = move || end.value().get().and_then(Result::err);
    let number = u64::try_from(tokens.len()).unwrap_or(u64::MAX);
    let ids: Vec<_> = tokens.iter().map(|token| token.id.to_string()).collect();
    let words = match number {
        // What is selected is forgotten when the page is loaded again, and no link has it.
        0 if selected => {
            "None is selected. Select those that are to end in the list, and end them from there.".to_owned()
        }
        0 => "It is not there any more.".to_owned(),
        _ => effect(&tokens, present.now.get_untracked()),
    };
    let named = tokens
        .iter()
        .map(|token| {
            view! {
                <li>
                    <code>{text::visible(token.name.as_str())}</code>
                    <span class="muted">" of "{token.owner.to_string()}", used "{used(token)}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <Dialog title=format!("End {}", text::plural(number, "API token", "API tokens")) close=close>
            <ul class="named">{named}</ul>
            <p>{words}</p>
            <ActionForm action=end>
                <input type="hidden" name="ids" value=ids.join(",") />
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                    {(number > 0)
                        .then(|| {
                            view! {
                                <button type="submit" class="button primary danger" disabled=move || end.pending().get()>
                                    "End for good"
                                </button>
                            }
                        })}
                </footer>
            </ActionForm>
        </Dialog>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_ends_is_said_in_numbers_and_whether_something_uses_it() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let token = |owner: &str, used: Option<&str>| -> Arc<ApiTokenView> {
            let token = serde_json::from_value(serde_json::json!({
                "id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "backup", "owner": owner, "role": "viewer",
                "created_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "last_used_at": used,
            }));
            Arc::new(token.unwrap())
        };
        let (fresh, old) = (Some("2026-11-20T11:00:00Z"), Some("2026-11-19T11:00:00Z"));
        for (tokens, begins) in [
            (
                vec![token("alice", fresh)],
                "Ends 1 token of 1 account. It was used during the last 24 hours. Whatever signs in with it is",
            ),
            (
                vec![token("alice", old)],
                "Ends 1 token of 1 account. Nothing used it during the last 24 hours. ",
            ),
            (
                vec![token("alice", fresh), token("alice", None), token("bob", old)],
                "Ends 3 tokens of 2 accounts. 1 of them was used during the last 24 hours. Whatever signs in with them is",
            ),
            (
                vec![token("alice", fresh), token("bob", fresh)],
                "Ends 2 tokens of 2 accounts. 2 of them were used during the last 24 hours. ",
            ),
        ] {
            let said = effect(&tokens, now);
            assert!(said.starts_with(begins), "{said}");
        }
    }
}
