//! The accounts: who may sign in, and as what.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use decnet_model::{clock::micros, permission::ManageUsers, state::Role, view::UserView};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::{Asked, Filters, number_of};
use crate::{
    api::{
        Answer, Fault,
        users::{
            self, UserCreate, UserDelete, UserResetPassword, UserSecondFactorReset, UserSessionsEnd,
            UserSetDisabled, UserSetRole,
        },
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
        table::{Column, Listed, Row, Table},
        toast::tell,
        when::Ago,
    },
    pages::login::FormFault,
    text, url,
};

/// The parameter of the URL that opens the dialog of an [`Order`] to the account whose drawer it came from.
const ORDER: &str = "order";

/// The page.
#[component]
pub(crate) fn UsersPage() -> impl IntoView {
    let create = ServerAction::<UserCreate>::new();
    let orders = Orders {
        set_role: ServerAction::new(),
        reset: ServerAction::new(),
        set_disabled: ServerAction::new(),
        end: ServerAction::new(),
        factor: ServerAction::new(),
        delete: ServerAction::new(),
    };
    tell(create, "The account was made.");
    tell(orders.set_role, "The role was changed.");
    tell(orders.reset, "The new password holds from now on.");
    tell(orders.set_disabled, "The account was changed.");
    tell(orders.end, "Their sessions have ended.");
    tell(orders.factor, "The second factor was taken away.");
    tell(orders.delete, "The account was removed.");
    let made = done(create);
    let changes = move || (made.get(), orders.done());
    let list = Resource::new(changes, |_| users::user_list());
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("dialog", None)]));
    let manages = may::<ManageUsers>();
    let making = move || manages.get() && query.with(|q| q.get_str("dialog") == Some("user"));
    let asked = Memo::new(move |_| query.with(|q| url::value(q, "user").filter(|_| Order::of(q).is_some())));
    let held = Resource::new(
        move || asked.get(),
        |id| async move {
            match id {
                Some(id) => Some(users::user_access(id).await),
                None => None,
            }
        },
    );
    view! {
        <Transition fallback=|| view! { <Loading rows=4 /> }>
            {move || Suspend::new(async move {
                match list.await {
                    Ok(first) => view! { <List first orders held /> }.into_any(),
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

/// How many times `action` has done something, so that the list is fetched again. A refusal changed nothing, and leaves what is
/// being filled in.
fn done<S>(action: ServerAction<S>) -> Memo<usize>
where
    S: ServerFn<Error = Fault> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    Memo::new(move |before: Option<&usize>| {
        let version = action.version().get();
        let is_done = action.value().with(|value| matches!(value, Some(Ok(_))));
        if is_done {
            version
        } else {
            before.copied().unwrap_or_default()
        }
    })
}

/// How many open sessions and API tokens the account has that an order is about; none where there is no order.
type Held = Resource<Option<Answer<(u64, u64)>>>;

/// What carries out what can be done to one account.
#[derive(Clone, Copy)]
struct Orders {
    set_role: ServerAction<UserSetRole>,
    reset: ServerAction<UserResetPassword>,
    set_disabled: ServerAction<UserSetDisabled>,
    end: ServerAction<UserSessionsEnd>,
    factor: ServerAction<UserSecondFactorReset>,
    delete: ServerAction<UserDelete>,
}

impl Orders {
    /// Changes with each order that was carried out.
    fn done(self) -> [usize; 5] {
        [
            done(self.set_role),
            done(self.reset),
            done(self.set_disabled),
            done(self.factor),
            done(self.delete),
        ]
        .map(|done| done.get())
    }
}

/// What can be done to one account: each has a dialog that says what it ends, before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Role,
    Password,
    Disable,
    Enable,
    Sessions,
    Factor,
    Remove,
}

impl Order {
    const ALL: [Self; 7] = [
        Self::Role,
        Self::Password,
        Self::Disable,
        Self::Enable,
        Self::Sessions,
        Self::Factor,
        Self::Remove,
    ];

    /// The one whose dialog the URL opens.
    fn of(params: &ParamsMap) -> Option<Self> {
        let word = params.get_str(ORDER)?;
        Self::ALL.into_iter().find(|order| order.word() == word)
    }

    /// What the URL calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Password => "password",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Sessions => "sessions",
            Self::Factor => "factor",
            Self::Remove => "remove",
        }
    }

    /// Whether it can be done to `user`.
    fn fits(self, user: &UserView) -> bool {
        match self {
            Self::Disable => !user.disabled,
            Self::Enable => user.disabled,
            Self::Factor => user.second_factor,
            Self::Role | Self::Password | Self::Sessions | Self::Remove => true,
        }
    }

    /// What the way to its dialog says, and the button in it.
    fn words(self) -> &'static str {
        match self {
            Self::Role => "Change role",
            Self::Password => "Reset password",
            Self::Disable => "Disable",
            Self::Enable => "Let them sign in again",
            Self::Sessions => "End their sessions",
            Self::Factor => "Take the second factor away",
            Self::Remove => "Remove the account",
        }
    }

    /// What it does to the account called `name`, which has so many sessions and API tokens.
    fn effect(self, name: &str, (sessions, tokens): (u64, u64)) -> String {
        let ends = match sessions {
            0 => format!("{name} has no open session"),
            number => format!("Ends {} of {name}", text::plural(number, "session", "sessions")),
        };
        let tokens = match tokens {
            0 => "there is no API token of theirs".to_owned(),
            number => format!(
                "{} of theirs {} deleted for good",
                text::plural(number, "API token", "API tokens"),
                if number == 1 { "is" } else { "are" }
            ),
        };
        match self {
            Self::Role => format!("{ends}; they sign in again, and may do then what the role may."),
            Self::Password => {
                format!("{ends}; they sign in again with the new password, and choose one of their own.")
            }
            Self::Disable => format!("{ends}, and {tokens}. They sign in no more until somebody lets them."),
            Self::Enable => format!("{name} may sign in again, with the password that they had."),
            Self::Sessions => format!("{ends}; they can sign in again."),
            Self::Factor => format!("{ends}; they sign in again, with the password alone."),
            Self::Remove => format!("{ends}, and {tokens}. What they did stays in the audit log."),
        }
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
fn List(first: Vec<UserView>, orders: Orders, held: Held) -> impl IntoView {
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
            <Table name="users" columns=COLUMNS rows=rows leads="user">
                <p class="table-note">{move || number_of(rows.with(Vec::len), users.with(Vec::len), "account", "accounts")}</p>
                <a class="button" href="/settings/users?dialog=user" data-noscroll=""><Mark icon=Icon::Plus />"New user"</a>
                <Export from=Signal::stored("/api/v1/users/export".to_owned()) whole=true />
            </Table>
        </Show>
        <UserDrawer users orders held />
    }
    .into_any()
}

/// The drawer of the user that the URL names, or the dialog of what is to be done to them.
#[component]
fn UserDrawer(users: RwSignal<Vec<Arc<UserView>>>, orders: Orders, held: Held) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close =
        Signal::derive(move || url::with(&path.get(), &query.get(), &[("user", None), (ORDER, None)]));
    let back = Signal::derive(move || url::with(&path.get(), &query.get(), &[(ORDER, None)]));
    let order = Memo::new(move |_| query.with(Order::of));
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
        let order = order.get();
        opened.get().map(|(id, user)| match (user, order) {
            (Some(user), Some(order)) if order.fits(&user) => {
                view! { <OrderDialog order user orders held close=back /> }.into_any()
            }
            (Some(user), _) => {
                view! { <Drawer title=user.username.to_string() row=id close=close><One user /></Drawer> }
                    .into_any()
            }
            (None, _) => view! {
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
fn One(user: UserView) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let (class, words) = standing(&user);
    let way = |order: Order| {
        let href = move || url::with(&path.get(), &query.get(), &[(ORDER, Some(order.word()))]);
        view! { <a class="button" href=href data-noscroll="">{order.words()}</a> }
    };
    let ways: Vec<_> = Order::ALL
        .into_iter()
        .filter(|order| order.fits(&user))
        .map(way)
        .collect();
    view! {
        <p class="drawer-state">
            <span class=class>{words}</span>
            <span class="muted">"made "<Ago at=user.created_at /></span>
        </p>
        <dl class="facts">
            <dt>"Role"</dt>
            <dd><span class="badge idle">{user.role.as_str()}</span></dd>
            <dt>"Signs in with"</dt>
            <dd>{signs_in_with(&user)}</dd>
        </dl>
        <p class="drawer-foot drawer-ways">{ways}</p>
    }
    .into_any()
}

/// The form of `order`, with what it takes, under what it does in numbers.
#[component]
fn OrderDialog(
    order: Order,
    user: UserView,
    orders: Orders,
    held: Held,
    close: Signal<String>,
) -> impl IntoView {
    let id = user.id.to_string();
    let name = StoredValue::new(user.username.to_string());
    let effect = move || {
        Suspend::new(async move {
            match held.await {
                Some(Ok(held)) => {
                    let effect = name.with_value(|name| order.effect(name, held));
                    view! { <p>{effect}</p> }.into_any()
                }
                Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                None => ().into_any(),
            }
        })
    };
    let title = format!("{}: {}", order.words(), user.username);
    let form = match order {
        Order::Role => view! {
            <ActionForm action=orders.set_role>
                <Inside order id close on=On::of(orders.set_role)>
                    <label>
                        <span>"Role"</span>
                        <span class="choice"><select name="role"><Roles chosen=user.role /></select><Mark icon=Icon::Down /></span>
                    </label>
                </Inside>
            </ActionForm>
        }
        .into_any(),
        Order::Password => view! {
            <ActionForm action=orders.reset>
                <Inside order id close on=On::of(orders.reset)><NewPassword label="New password" /></Inside>
            </ActionForm>
        }
        .into_any(),
        Order::Disable | Order::Enable => view! {
            <ActionForm action=orders.set_disabled>
                <Inside order id close on=On::of(orders.set_disabled)>
                    <input type="hidden" name="disabled" value=(order == Order::Disable).to_string() />
                </Inside>
            </ActionForm>
        }
        .into_any(),
        Order::Sessions => {
            view! { <ActionForm action=orders.end><Inside order id close on=On::of(orders.end) /></ActionForm> }.into_any()
        }
        Order::Factor => {
            view! { <ActionForm action=orders.factor><Inside order id close on=On::of(orders.factor) /></ActionForm> }
                .into_any()
        }
        Order::Remove => view! {
            <ActionForm action=orders.delete>
                <Inside order id close on=On::of(orders.delete)>
                    <input type="hidden" name="name" value=name.get_value() />
                    <label>
                        <span>"Type " <b>{name.get_value()}</b> " to confirm"</span>
                        <input name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false" />
                    </label>
                </Inside>
            </ActionForm>
        }
        .into_any(),
    };
    view! {
        <Dialog title=title close=close>
            <Suspense fallback=|| view! { <Loading rows=1 /> }>{effect}</Suspense>
            {form}
        </Dialog>
    }
    .into_any()
}

/// How the order stands that a form gives.
#[derive(Clone, Copy)]
struct On {
    fault: Signal<Option<Fault>>,
    pending: Signal<bool>,
}

impl On {
    fn of<S>(action: ServerAction<S>) -> Self
    where
        S: ServerFn<Error = Fault> + Clone + Send + Sync + 'static,
        S::Output: Clone + Send + Sync + 'static,
    {
        let value = action.value();
        // The next dialog is not told what became of this one. The page may be gone with it.
        on_cleanup(move || {
            if value.try_with_untracked(|value| matches!(value, Some(Err(_)))) == Some(true) {
                value.set(None);
            }
        });
        Self {
            fault: Signal::derive(move || value.get().and_then(Result::err)),
            pending: action.pending().into(),
        }
    }
}

/// What every form of an order has.
#[component]
fn Inside(
    order: Order,
    id: String,
    close: Signal<String>,
    on: On,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <input type="hidden" name="id" value=id />
        {children.map(|children| view! { <div class="form">{children()}</div> })}
        <FormFault fault=move || on.fault.get() />
        <footer>
            <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
            <button
                type="submit"
                class="button primary"
                class:danger=order != Order::Enable
                disabled=move || on.pending.get()
            >
                {order.words()}
            </button>
        </footer>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_ends_is_said_in_numbers() {
        for (order, held, said) in [
            (
                Order::Password,
                (3, 2),
                "Ends 3 sessions of vera; they sign in again with the new password, and choose one of their own.",
            ),
            (
                Order::Sessions,
                (0, 0),
                "vera has no open session; they can sign in again.",
            ),
            (
                Order::Disable,
                (1, 1),
                "Ends 1 session of vera, and 1 API token of theirs is deleted for good. They sign in no more until \
                 somebody lets them.",
            ),
            (
                Order::Remove,
                (1, 2),
                "Ends 1 session of vera, and 2 API tokens of theirs are deleted for good. What they did stays in the \
                 audit log.",
            ),
        ] {
            assert_eq!(order.effect("vera", held), said);
        }
    }

    #[test]
    fn every_order_has_a_word_of_its_own_in_the_url() {
        for order in Order::ALL {
            let params = [(ORDER, order.word().to_owned())].into_iter().collect();
            assert_eq!(Order::of(&params), Some(order));
        }
        assert_eq!(Order::of(&ParamsMap::new()), None);
    }
}
