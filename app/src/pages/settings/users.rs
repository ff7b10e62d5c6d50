//! The accounts: who may sign in, and as what.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use decnet_model::{clock::micros, permission::ManageUsers, state::Role, view::UserView};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use super::{Asked, Filters, number_of};
use crate::{
    api::users::{
        self, UserCreate, UserDelete, UserResetPassword, UserSecondFactorReset, UserSessionsEnd,
        UserSetDisabled, UserSetRole,
    },
    components::{
        dialog::Dialog,
        download::Export,
        drawer::Drawer,
        frame::may,
        icon::{Icon, Mark},
        notice::{Empty, Loading, NothingFits, Problem},
        pager::Pager,
        said::CopyButton,
        table::{Column, Leads, Listed, Row, Table},
        toast::tell,
        when::Ago,
    },
    pages::login::FormFault,
    text, url,
};

/// The page.
#[component]
pub(crate) fn UsersPage() -> impl IntoView {
    let create = ServerAction::<UserCreate>::new();
    let orders = Orders {
        set_role: ServerAction::new(),
        reset: ServerAction::new(),
        set_disabled: ServerAction::new(),
        factor: ServerAction::new(),
        delete: ServerAction::new(),
    };
    tell(create, "The account was made.");
    tell(orders.set_role, "The role was changed.");
    tell(orders.reset, "The new password holds from now on.");
    tell(orders.set_disabled, "The account was changed.");
    tell(orders.factor, "The second factor was taken away.");
    tell(orders.delete, "The account was removed.");
    let changes = move || (create.version().get(), orders.given());
    let list = Resource::new(changes, |_| users::user_list());
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("dialog", None)]));
    let manages = may::<ManageUsers>();
    let making = move || manages.get() && query.with(|q| q.get_str("dialog") == Some("user"));
    view! {
        <Transition fallback=|| view! { <Loading rows=4 /> }>
            {move || Suspend::new(async move {
                match list.await {
                    Ok(first) => view! { <List first orders /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| list.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
        <Suspense>{move || making().then(|| view! { <Create action=create close=close /> })}</Suspense>
    }
    .into_any()
}

/// What can be done to one account.
#[derive(Clone, Copy)]
struct Orders {
    set_role: ServerAction<UserSetRole>,
    reset: ServerAction<UserResetPassword>,
    set_disabled: ServerAction<UserSetDisabled>,
    factor: ServerAction<UserSecondFactorReset>,
    delete: ServerAction<UserDelete>,
}

impl Orders {
    /// Changes with each order that was answered, so that the list is fetched again.
    fn given(self) -> [usize; 5] {
        [
            self.set_role.version(),
            self.reset.version(),
            self.set_disabled.version(),
            self.factor.version(),
            self.delete.version(),
        ]
        .map(|version| version.get())
    }
}

impl Listed for UserView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_stamp(&self) -> Option<i64> {
        let mut hash = DefaultHasher::new();
        (
            self.role.as_str(),
            self.disabled,
            self.must_change_password,
            self.second_factor,
            self.last_login_at.map(micros),
        )
            .hash(&mut hash);
        Some(hash.finish().cast_signed())
    }

    fn row_words(&self) -> String {
        self.username.to_string()
    }
}

fn standing(user: &UserView) -> (&'static str, &'static str) {
    if user.disabled {
        ("badge idle", "disabled")
    } else if user.must_change_password {
        ("badge warn", "has to choose a password")
    } else {
        ("badge good", "may sign in")
    }
}

fn signs_in_with(user: &UserView) -> &'static str {
    if user.second_factor {
        "second factor"
    } else {
        "password alone"
    }
}

const COLUMNS: &[Column<UserView>] = &[
    Column {
        label: "Name",
        class: "c-who",
        sort: None,
        cell: |user| view! { <b>{user.username.to_string()}</b> }.into_any(),
    },
    Column {
        label: "Role",
        class: "c-role",
        sort: None,
        cell: |user| view! { <span class="badge idle">{user.role.as_str()}</span> }.into_any(),
    },
    Column {
        label: "State",
        class: "c-state",
        sort: None,
        cell: |user| {
            let (class, words) = standing(user);
            view! { <span class=class>{words}</span> }.into_any()
        },
    },
    Column {
        label: "Signs in with",
        class: "c-factor",
        sort: None,
        cell: |user| signs_in_with(user).into_any(),
    },
    Column {
        label: "Last sign-in",
        class: "c-seen",
        sort: None,
        cell: |user| match user.last_login_at {
            Some(at) => view! { <Ago at /> }.into_any(),
            None => "never".into_any(),
        },
    },
    Column {
        label: "Made",
        class: "c-seen",
        sort: None,
        cell: |user| view! { <Ago at=user.created_at /> }.into_any(),
    },
];

#[component]
fn List(first: Vec<UserView>, orders: Orders) -> impl IntoView {
    let query = use_query_map();
    let pager = Pager::whole(first, users::user_list);
    pager.follow_by_asking();
    let users = pager.rows;
    let asked = Memo::new(move |_| query.with(Asked::of));
    let rows = Memo::new(move |_| {
        asked.with(|asked| {
            users.with(|users| {
                let fits = |user: &&Arc<UserView>| {
                    let (_, words) = standing(user);
                    asked.fits(user.role, &[user.username.as_str(), words, signs_in_with(user)])
                };
                let fitting = users.iter().filter(fits);
                fitting.map(|user| (user.clone(), false)).collect::<Vec<Row<_>>>()
            })
        })
    });
    let some_shown = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    view! {
        <Filters label="Filter users" placeholder="Name, or how they stand" asked />
        <Show when=move || some_shown.get() fallback=|| view! { <NothingFits title="Nobody fits these filters" /> }>
            <Table name="users" columns=COLUMNS rows=rows leads=Leads::Drawer("user")>
                <p class="table-note">{move || number_of(rows.with(Vec::len), users.with(Vec::len), "account", "accounts")}</p>
                <a class="button" href="/settings/users?dialog=user" data-noscroll=""><Mark icon=Icon::Plus />"New user"</a>
                <Export from=Signal::stored("/api/v1/users/export".to_owned()) whole=true />
            </Table>
        </Show>
        <UserDrawer users orders />
    }
    .into_any()
}

/// The drawer of the user that the URL names.
#[component]
fn UserDrawer(users: RwSignal<Vec<Arc<UserView>>>, orders: Orders) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("user", None)]));
    let opened = Memo::new(move |_| {
        let id = query.with(|q| url::value(q, "user"))?;
        let user = users.with(|users| users.iter().find(|user| user.row_id() == id).cloned());
        // What changes here draws the forms anew, and what somebody is filling in is lost: nothing that is not shown does.
        let shown = user.map(|user| UserView {
            last_login_at: None,
            ..Arc::unwrap_or_clone(user)
        });
        Some((id, shown))
    });
    move || {
        opened.get().map(|(id, user)| match user {
            Some(user) => {
                view! { <Drawer title=user.username.to_string() row=id close=close><One user orders /></Drawer> }
                    .into_any()
            }
            None => view! {
                <Drawer title="No such user" row=text::visible(&id) close=close>
                    <Empty title="There is no such user" hint="The account may have been removed." />
                </Drawer>
            }
            .into_any(),
        })
    }
}

/// A field for a password that somebody else will be told, with a way to draw one.
#[component]
fn NewPassword(label: &'static str) -> impl IntoView {
    let password = RwSignal::new(String::new());
    view! {
        <label>
            <span>{label}</span>
            <input
                name="password"
                type="text"
                minlength="12"
                maxlength="128"
                required
                autocomplete="off"
                spellcheck="false"
                prop:value=move || password.get()
                on:input=move |event| password.set(event_target_value(&event))
            />
        </label>
        <p class="inline-form">
            <button type="button" class="button" on:click=move |_| password.set(text::draw(20))>"Draw one"</button>
            {move || {
                let drawn = password.get();
                (!drawn.is_empty()).then(|| view! { <CopyButton text=drawn what="password" /> })
            }}
            <span class="muted">"It is shown to nobody again, and has to be changed at the first sign-in."</span>
        </p>
    }
    .into_any()
}

#[component]
fn Roles(chosen: Role) -> impl IntoView {
    Role::ALL
        .iter()
        .map(|role| {
            view! { <option value=role.as_str() selected=*role == chosen>{role.as_str()}</option> }
        })
        .collect_view()
}

#[component]
fn Create(action: ServerAction<UserCreate>, close: Signal<String>) -> impl IntoView {
    let fault = move || action.value().get().and_then(Result::err);
    view! {
        <Dialog title="New user" close=close>
            <ActionForm action=action>
                <div class="form">
                    <label>
                        <span>"Name"</span>
                        <input
                            name="username"
                            required
                            autofocus
                            minlength="2"
                            maxlength="64"
                            pattern="[a-z0-9._@\\-]+"
                            title="2 to 64 of a-z, 0-9 and . _ @ -"
                            autocapitalize="none"
                            autocomplete="off"
                            spellcheck="false"
                        />
                    </label>
                    <label><span>"Role"</span><span class="choice"><select name="role"><Roles chosen=Role::Viewer /></select><Mark icon=Icon::Down /></span></label>
                    <p class="muted">"A viewer reads everything but the audit log, the users and the unread lines, and changes nothing."</p>
                    <NewPassword label="First password" />
                </div>
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                    <button type="submit" class="button primary" disabled=move || action.pending().get()>"Make"</button>
                </footer>
            </ActionForm>
        </Dialog>
    }
    .into_any()
}

#[component]
fn One(user: UserView, orders: Orders) -> impl IntoView {
    let (class, words) = standing(&user);
    let id = StoredValue::new(user.id.to_string());
    let name = user.username.to_string();
    let UserView {
        role,
        disabled,
        created_at,
        second_factor,
        ..
    } = user;
    let Orders {
        set_role,
        reset,
        set_disabled,
        factor,
        delete,
    } = orders;
    let held = Action::new(|name: &String| users::user_tokens(name.clone()));
    // The browser asks for it: what is in the page before says all but the number.
    Effect::new({
        let name = name.clone();
        move |_| {
            held.dispatch(name.clone());
        }
    });
    let tokens = move || match held.value().get() {
        Some(Ok(0)) => "ends their sessions; they have no API token".to_owned(),
        Some(Ok(number)) => format!(
            "ends their sessions, and deletes {} for good",
            text::plural(number, "API token", "API tokens")
        ),
        _ => "ends their sessions, and deletes their API tokens".to_owned(),
    };
    let end = ServerAction::<UserSessionsEnd>::new();
    let end_fault = move || end.value().get().and_then(Result::err);
    let ended = move || end.value().get().is_some_and(|done| done.is_ok());
    let factor_fault = move || factor.value().get().and_then(Result::err);
    let role_fault = move || set_role.value().get().and_then(Result::err);
    let reset_fault = move || reset.value().get().and_then(Result::err);
    let disabled_fault = move || set_disabled.value().get().and_then(Result::err);
    let delete_fault = move || delete.value().get().and_then(Result::err);
    view! {
        <p class="drawer-state">
            <span class=class>{words}</span>
            <span class="muted">"made "<Ago at=created_at /></span>
        </p>
        <h3>"Role"</h3>
        <ActionForm action=set_role>
            <input type="hidden" name="id" value=id.get_value() />
            <p class="inline-form">
                <span class="choice"><select name="role" aria-label="Role"><Roles chosen=role /></select><Mark icon=Icon::Down /></span>
                <button type="submit" class="button" disabled=move || set_role.pending().get()>"Change role"</button>
                <span class="muted">"ends their sessions"</span>
            </p>
            <FormFault fault=role_fault />
        </ActionForm>
        <h3>"Password"</h3>
        <ActionForm action=reset>
            <input type="hidden" name="id" value=id.get_value() />
            <div class="form"><NewPassword label="New password" /></div>
            <p class="inline-form">
                <button type="submit" class="button" disabled=move || reset.pending().get()>"Reset password"</button>
                <span class="muted">"ends their sessions"</span>
            </p>
            <FormFault fault=reset_fault />
        </ActionForm>
        <h3>"Signing in"</h3>
        <ActionForm action=set_disabled>
            <input type="hidden" name="id" value=id.get_value() />
            <input type="hidden" name="disabled" value=(!disabled).to_string() />
            <p class="inline-form">
                <button type="submit" class="button" disabled=move || set_disabled.pending().get()>
                    {if disabled { "Let them sign in again" } else { "Disable" }}
                </button>
                <span class="muted">
                    {move || if disabled { "with the password that they had".to_owned() } else { tokens() }}
                </span>
            </p>
            <FormFault fault=disabled_fault />
        </ActionForm>
        <h3>"Sessions"</h3>
        <ActionForm action=end>
            <input type="hidden" name="id" value=id.get_value() />
            <p class="inline-form">
                <button type="submit" class="button" disabled=move || end.pending().get()>"End their sessions"</button>
                <span class="muted" role="status">{move || if ended() { "ended" } else { "they can sign in again" }}</span>
            </p>
            <FormFault fault=end_fault />
        </ActionForm>
        {second_factor
            .then(|| {
                view! {
                    <h3>"Second factor"</h3>
                    <ActionForm action=factor>
                        <input type="hidden" name="id" value=id.get_value() />
                        <p class="inline-form">
                            <button type="submit" class="button" disabled=move || factor.pending().get()>"Take it away"</button>
                            <span class="muted">"for whoever lost it: they sign in with the password alone then"</span>
                        </p>
                        <FormFault fault=factor_fault />
                    </ActionForm>
                }
            })}
        <h3>"Remove"</h3>
        <ActionForm action=delete>
            <input type="hidden" name="id" value=id.get_value() />
            <input type="hidden" name="name" value=name.clone() />
            <div class="form">
                <label>
                    <span>"Type " <b>{name}</b> " to confirm"</span>
                    <input name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false" />
                </label>
            </div>
            <p class="inline-form">
                <button type="submit" class="button danger" disabled=move || delete.pending().get()>"Remove the account"</button>
                <span class="muted">{move || format!("{}; what they did stays in the audit log", tokens())}</span>
            </p>
            <FormFault fault=delete_fault />
        </ActionForm>
    }
    .into_any()
}
