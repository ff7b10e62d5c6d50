//! Signing in.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    api::{
        Fault,
        account::{Login, LoginCode},
    },
    components::{frame::Brand, title::entitle},
    url,
};

/// The form. It is a plain one until the WASM has arrived, and works as such.
#[component]
pub(crate) fn LoginPage() -> impl IntoView {
    let query = use_query_map();
    let next = move || query.with(|q| q.get("next").unwrap_or_default());
    let code_due = move || query.with(|q| q.get_str("step") == Some("code"));
    entitle(|| "Sign in · DECNET".to_owned());
    view! {
        <main class="lone">
            <section class="door">
                <h1><Brand />"DECNET"</h1>
                {move || {
                    if code_due() {
                        view! { <Code next=next() /> }.into_any()
                    } else {
                        view! { <Password next=next() /> }.into_any()
                    }
                }}
                <p class="door-note">
                    {move || {
                        if code_due() {
                            "Lost both? Whoever runs the host can take the second factor away: "
                        } else {
                            "No password, or lost it? Whoever runs the host can give you one: "
                        }
                    }}
                    <code>
                        {move || if code_due() { "decnet user totp reset NAME" } else { "decnet user reset NAME" }}
                    </code>
                </p>
            </section>
        </main>
    }
    .into_any()
}

/// The first step: name and password.
#[component]
fn Password(next: String) -> impl IntoView {
    let login = ServerAction::<Login>::new();
    let pending = login.pending();
    let fault = move || login.value().get().and_then(Result::err);
    view! {
        <ActionForm action=login>
            <input type="hidden" name="next" value=next />
            <label>
                <span>"User name"</span>
                <input
                    name="username"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    autofocus
                />
            </label>
            <label>
                <span>"Password"</span>
                <input name="password" type="password" autocomplete="current-password" required />
            </label>
            <FormFault fault=fault />
            <button type="submit" class="button primary" disabled=move || pending.get()>
                {move || if pending.get() { "Signing in…" } else { "Sign in" }}
            </button>
        </ActionForm>
    }
    .into_any()
}

/// The second step, for an account with a second factor.
#[component]
fn Code(next: String) -> impl IntoView {
    let login = ServerAction::<LoginCode>::new();
    let pending = login.pending();
    let fault = move || login.value().get().and_then(Result::err);
    let again = url::login(&next);
    view! {
        <ActionForm action=login>
            <input type="hidden" name="next" value=next />
            <label>
                <span>"Code of your authenticator"<small>" or a recovery code"</small></span>
                <input
                    name="code"
                    autocomplete="one-time-code"
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="64"
                    required
                    autofocus
                />
            </label>
            <FormFault fault=fault />
            <button type="submit" class="button primary" disabled=move || pending.get()>
                {move || if pending.get() { "Signing in…" } else { "Sign in" }}
            </button>
        </ActionForm>
        <div class="door-foot"><a href=again>"Begin again"</a></div>
    }
    .into_any()
}

/// What was wrong with a form, where it was sent.
#[component]
pub(crate) fn FormFault<F>(fault: F) -> impl IntoView
where
    F: Fn() -> Option<Fault> + Send + Sync + 'static,
{
    move || {
        {
            fault().map(|fault| {
                let fields = fault.fields.clone();
                let detail = if fields.is_empty() {
                    capital(&fault.detail)
                } else {
                    fault.title().to_owned()
                };
                view! {
                    <div class="form-fault" role="alert">
                        <p>{detail}</p>
                        {fields
                            .into_iter()
                            .map(|f| view! { <p><b>{f.field}</b>": "{f.message}</p> })
                            .collect_view()}
                        {fault.error_id.map(|id| view! { <p>"Error id " <code>{id}</code></p> })}
                    </div>
                }
            })
        }
        .into_any()
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
