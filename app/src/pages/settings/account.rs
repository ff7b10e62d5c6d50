//! One's own account: the password, the second factor, open sessions, API tokens, and how the dashboard looks.

use std::sync::Arc;

use decnet_model::{
    clock::micros,
    state::Role,
    view::{ApiTokenView, Me, SessionView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use crate::{
    api::{
        access::{self, SessionEnd, SessionEndOthers, TokenCreate, TokenRevoke},
        account,
    },
    components::{
        dialog::Dialog,
        download::Export,
        frame::ThemeChoice,
        icon::{Icon, Mark},
        notice::{Loading, Problem},
        said::{CopyButton, Said},
        table::{Column, Glance, Listed},
        toast::tell,
        when::Ago,
    },
    pages::login::FormFault,
    text, url,
};

/// The page.
#[component]
pub(crate) fn AccountPage() -> impl IntoView {
    let end = ServerAction::<SessionEnd>::new();
    let end_others = ServerAction::<SessionEndOthers>::new();
    let create = ServerAction::<TokenCreate>::new();
    let revoke = ServerAction::<TokenRevoke>::new();
    tell(end, "The session has ended.");
    tell(end_others, "Your other sessions have ended.");
    tell(revoke, "The token has ended.");
    let changes = move || {
        [
            end.version(),
            end_others.version(),
            create.version(),
            revoke.version(),
        ]
        .map(|version| version.get())
    };
    let me = Resource::new(|| (), |()| account::who());
    let lists = Resource::new(changes, |_| access::access_list());
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("dialog", None)]));
    let making = move || query.with(|q| q.get_str("dialog") == Some("token"));
    let role = Signal::derive(move || {
        me.get()
            .and_then(Result::ok)
            .flatten()
            .map_or(Role::Viewer, |me| me.role)
    });
    view! {
        <section class="panel">
            <header><h2>"You"</h2></header>
            <Transition fallback=|| view! { <Loading rows=2 /> }>
                {move || Suspend::new(async move {
                    match me.await {
                        Ok(me) => me.map(|me| view! { <You me /> }).into_any(),
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Transition>
        </section>
        <Transition fallback=|| view! { <Loading rows=6 /> }>
            {move || Suspend::new(async move {
                match lists.await {
                    Ok((sessions, tokens)) => {
                        view! {
                            <Sessions sessions end end_others />
                            <Tokens tokens revoke />
                        }
                        .into_any()
                    }
                    Err(fault) => view! { <Problem fault /> }.into_any(),
                }
            })}
        </Transition>
        <section class="panel">
            <header><h2>"Appearance"</h2><span class="panel-note">"kept in this browser"</span></header>
            <ThemeChoice />
        </section>
        <Suspense>{move || making().then(|| view! { <NewToken create close role=role.get() /> })}</Suspense>
    }
    .into_any()
}

#[component]
fn You(me: Me) -> impl IntoView {
    let factor = if me.second_factor {
        ("badge good", "enabled")
    } else {
        ("badge idle", "none")
    };
    view! {
        <dl class="facts">
            <dt>"Name"</dt>
            <dd><b>{me.username.to_string()}</b></dd>
            <dt>"Role"</dt>
            <dd><span class="badge idle">{me.role.as_str()}</span></dd>
            <dt>"Password"</dt>
            <dd>
                <a class="button" href="/password"><Mark icon=Icon::Key />"Change password"</a>
                <span class="muted">"ends your sessions everywhere else"</span>
            </dd>
            <dt>"Second factor"</dt>
            <dd>
                <span class=factor.0>{factor.1}</span>
                <a class="button" href="/second-factor">{if me.second_factor { "Change" } else { "Set up" }}</a>
            </dd>
        </dl>
    }
    .into_any()
}

/// Where one is signed in.
#[component]
fn Sessions(
    sessions: Vec<SessionView>,
    end: ServerAction<SessionEnd>,
    end_others: ServerAction<SessionEndOthers>,
) -> impl IntoView {
    let fault = move || {
        [end.value().get(), end_others.value().get()]
            .into_iter()
            .flatten()
            .find_map(Result::err)
    };
    let several = sessions.len() > 1;
    let all_others = match sessions.len().saturating_sub(1) {
        1 => "End the other one".to_owned(),
        others => format!("End all {others} others"),
    };
    view! {
        <section class="panel">
            <header>
                <h2>"Where you are signed in"</h2>
                {several
                    .then(|| {
                        view! {
                            <ActionForm action=end_others>
                                <button type="submit" class="button" disabled=move || end_others.pending().get()>
                                    {all_others}
                                </button>
                            </ActionForm>
                        }
                    })}
                <Export from=Signal::stored("/api/v1/auth/sessions/export".to_owned()) whole=true />
            </header>
            <FormFault fault=fault />
            <ul class="access">
                {sessions
                    .into_iter()
                    .map(|session| {
                        let id = session.id.to_string();
                        view! {
                            <li>
                                <span class="access-what">
                                    <Said text=if session.user_agent.is_empty() { "unknown program".to_owned() } else { session.user_agent } max=90 />
                                </span>
                                <span class="muted">
                                    {session.address.map(|ip| view! { <code>{ip.to_string()}</code>" · " })}
                                    "seen "<Ago at=session.last_seen_at />" · since "<Ago at=session.started_at />
                                </span>
                                {if session.current {
                                    view! { <span class="badge good">"this one"</span> }.into_any()
                                } else {
                                    view! {
                                        <ActionForm action=end>
                                            <input type="hidden" name="id" value=id />
                                            <button type="submit" class="button" disabled=move || end.pending().get()>"End"</button>
                                        </ActionForm>
                                    }
                                    .into_any()
                                }}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </section>
    }
    .into_any()
}

impl Listed for ApiTokenView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_stamp(&self) -> Option<i64> {
        Some(self.last_used_at.map_or(0, micros))
    }

    fn row_words(&self) -> String {
        format!("{} of {}", self.name, self.owner)
    }
}

const COLUMNS: &[Column<ApiTokenView>] = &[
    Column {
        label: "Name",
        class: "c-who",
        sort: None,
        cell: |token| view! { <b><Said text=token.name.to_string() max=40 /></b> }.into_any(),
    },
    Column {
        label: "Role",
        class: "c-role",
        sort: None,
        cell: |token| view! { <span class="badge idle">{token.role.as_str()}</span> }.into_any(),
    },
    Column {
        label: "Last used",
        class: "c-seen",
        sort: None,
        cell: |token| match token.last_used_at {
            Some(at) => view! { <Ago at /> }.into_any(),
            None => "never".into_any(),
        },
    },
    Column {
        label: "Ends",
        class: "c-seen",
        sort: None,
        cell: |token| view! { <Ago at=token.expires_at /> }.into_any(),
    },
];

/// What programs sign in with in one's name.
#[component]
fn Tokens(tokens: Vec<ApiTokenView>, revoke: ServerAction<TokenRevoke>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("token", None)]));
    let opened = Memo::new(move |_| query.with(|q| url::value(q, "token")));
    let tokens: Vec<_> = tokens.into_iter().map(Arc::new).collect();
    let rows = Signal::stored(
        tokens
            .iter()
            .map(|token| (token.clone(), false))
            .collect::<Vec<_>>(),
    );
    let empty = tokens.is_empty();
    let ending = move || {
        let id = opened.get()?;
        let token = tokens.iter().find(|token| token.row_id() == id)?;
        Some(view! { <EndToken id=id name=token.name.to_string() revoke close /> })
    };
    view! {
        <section class="panel">
            <header>
                <h2>"API tokens"</h2>
                <a class="button" href="/settings?dialog=token" data-noscroll=""><Mark icon=Icon::Plus />"New token"</a>
                <Export from=Signal::stored("/api/v1/auth/tokens/export".to_owned()) whole=true />
            </header>
            {if empty {
                view! {
                    <p class="none">
                        "None. A program signs in with one: "<code>"Authorization: Bearer dnt_…"</code>"."
                    </p>
                }
                .into_any()
            } else {
                view! { <Glance name="tokens" columns=COLUMNS rows=rows param="token" /> }.into_any()
            }}
            {ending}
        </section>
    }
    .into_any()
}

#[component]
fn EndToken(
    id: String,
    name: String,
    revoke: ServerAction<TokenRevoke>,
    close: Signal<String>,
) -> impl IntoView {
    let fault = move || revoke.value().get().and_then(Result::err);
    view! {
        <Dialog title=format!("Token {}", text::visible(&name)) close=close>
            <p>"Whatever signs in with it is refused from then on. Its text cannot be shown again."</p>
            <ActionForm action=revoke>
                <input type="hidden" name="id" value=id />
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=move || close.get() data-noscroll="">"Keep it"</a>
                    <button type="submit" class="button primary danger" disabled=move || revoke.pending().get()>
                        "End the token"
                    </button>
                </footer>
            </ActionForm>
        </Dialog>
    }
    .into_any()
}

#[component]
fn NewToken(create: ServerAction<TokenCreate>, close: Signal<String>, role: Role) -> impl IntoView {
    // What was made before this dialog was opened is not shown again.
    let before = create.version().get_untracked();
    let answer = move || {
        (create.version().get() > before)
            .then(|| create.value().get())
            .flatten()
    };
    let fault = move || answer().and_then(Result::err);
    let roles = move || {
        let held = Role::ALL.iter().filter(|held| role.covers(**held));
        held.map(|held| view! { <option value=held.as_str()>{held.as_str()}</option> })
            .collect_view()
    };
    view! {
        <Dialog title="New API token" close=close>
            {move || match answer() {
                Some(Ok(made)) => {
                    view! {
                        <p>"This is the token "<b>{made.name}</b>". It is shown "<b>"this once"</b>"."</p>
                        <p class="token-text"><code>{made.text.clone()}</code><CopyButton text=made.text what="token" /></p>
                        <footer><a class="button primary" href=move || close.get() data-noscroll="">"I have it"</a></footer>
                    }
                    .into_any()
                }
                _ => {
                    view! {
                        <ActionForm action=create>
                            <div class="form">
                                <label>
                                    <span>"Name"</span>
                                    <input name="name" required autofocus maxlength="64" autocomplete="off" placeholder="what it is for" />
                                </label>
                                <label><span>"May do what this role may"</span><span class="choice"><select name="role">{roles()}</select><Mark icon=Icon::Down /></span></label>
                                <label>
                                    <span>"Days until it ends"</span>
                                    <input name="days" type="number" min="1" max="3650" value="90" required />
                                </label>
                            </div>
                            <FormFault fault=fault />
                            <footer>
                                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                                <button type="submit" class="button primary" disabled=move || create.pending().get()>"Make"</button>
                            </footer>
                        </ActionForm>
                    }
                    .into_any()
                }
            }}
        </Dialog>
    }
    .into_any()
}
