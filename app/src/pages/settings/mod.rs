//! Settings: one's own account, the installation's, the accounts of others and their tokens, and who did what.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod host;
pub(crate) mod tokens;
pub(crate) mod users;

use decnet_model::{
    permission::{ManageUsers, ViewAudit},
    state::Role,
};
use leptos::prelude::*;
use leptos_router::{
    components::{A, Outlet},
    params::ParamsMap,
};

use crate::{
    components::{
        filter::{Chips, Choice, FilterForm, SearchField},
        frame::{PageHead, may},
        notice::LeftOut,
    },
    text, url,
};

/// The head of every page of settings, and the way between them.
#[component]
pub(crate) fn SettingsFrame() -> impl IntoView {
    let users = may::<ManageUsers>();
    let audit = may::<ViewAudit>();
    view! {
        <PageHead title="Settings" />
        <nav class="tabs" aria-label="Settings">
            <A href="/settings" exact=true>"Account"</A>
            <A href="/settings/host">"Installation"</A>
            <Suspense>
                {move || {
                    users
                        .get()
                        .then(|| {
                            view! {
                                <A href="/settings/users">"Users"</A>
                                <A href="/settings/tokens">"API tokens"</A>
                            }
                        })
                }}
                {move || audit.get().then(|| view! { <A href="/settings/audit">"Audit log"</A> })}
            </Suspense>
        </nav>
        <Outlet />
    }
    .into_any()
}

/// What a list of accounts, or of what belongs to them, is filtered by. Such a list is in the page whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    /// What has to stand in what is told of a row.
    words: String,
    role: Option<Role>,
    /// What the URL says wrongly.
    faults: Vec<String>,
}

impl Asked {
    fn of(params: &ParamsMap) -> Self {
        let mut faults = Vec::new();
        let role = url::choice(params, "role", Role::ALL, Role::as_str, &mut faults);
        Self {
            words: url::value(params, "search").unwrap_or_default(),
            role,
            faults,
        }
    }

    /// Whether a row of that role, of which `told` is told, is asked for.
    fn fits(&self, role: Role, told: &[&str]) -> bool {
        self.role.is_none_or(|asked| asked == role) && text::has_words(&told.join("\n"), &self.words)
    }
}

/// The form of what such a list is filtered by, what it is filtered by, and what of that is left out.
#[component]
fn Filters(label: &'static str, placeholder: &'static str, asked: Memo<Asked>) -> impl IntoView {
    const FIELDS: &[&str] = &["search", "role"];
    const CHIPS: &[(&str, &str)] = &[("search", "text"), ("role", "role")];
    let roles: Vec<_> = Role::ALL
        .iter()
        .map(|role| (role.as_str().to_owned(), role.as_str().to_owned()))
        .collect();
    view! {
        <FilterForm fields=FIELDS label=label>
            <SearchField name="search" placeholder=placeholder />
            <Choice name="role" label="Role" any="any role" options=Signal::stored(roles) />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|asked| asked.faults.join("; "))) />
    }
    .into_any()
}

/// `3 of 12 accounts`, where not all are shown.
fn number_of(shown: usize, all: usize, one: &str, many: &str) -> String {
    let [shown, all] = [shown, all].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
    let all_words = text::plural(all, one, many);
    if shown < all {
        format!("{} of {all_words}", text::count(shown))
    } else {
        all_words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_asked_for_by_words_and_by_role_and_what_is_no_role_is_told() {
        let asked = |query: &[(&'static str, &str)]| {
            let pairs = query.iter().map(|(key, value)| (*key, (*value).to_owned()));
            Asked::of(&pairs.collect())
        };
        let told = ["alice", "may sign in"];
        for (query, fits) in [
            (&[][..], true),
            (&[("search", "ALI sign")], true),
            (&[("search", "bob")], false),
            (&[("role", "admin")], true),
            (&[("role", "viewer")], false),
            (&[("role", "viewer"), ("search", "alice")], false),
        ] {
            assert_eq!(asked(query).fits(Role::Admin, &told), fits, "{query:?}");
        }
        let wrong = asked(&[("role", "king")]);
        assert!(wrong.fits(Role::Viewer, &told));
        assert_eq!(wrong.faults.len(), 1);
        assert!(wrong.faults.concat().contains("role=king"), "{wrong:?}");
    }

    #[test]
    fn a_number_says_of_how_many_where_some_are_left_out() {
        assert_eq!(number_of(1, 1, "account", "accounts"), "1 account");
        assert_eq!(number_of(1, 2, "account", "accounts"), "1 of 2 accounts");
        assert_eq!(number_of(0, 2, "account", "accounts"), "0 of 2 accounts");
    }
}
