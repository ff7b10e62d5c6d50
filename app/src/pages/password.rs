//! Choosing a password: one's own wish, or the first thing after the first sign-in.

use leptos::prelude::*;
use leptos_router::{components::Redirect, hooks::use_query_map};

use super::login::FormFault;
use crate::{
    api::account::{self, PasswordChange},
    components::{frame::Brand, notice::Problem, title::entitle},
};

/// The form, for whoever is signed in.
#[component]
pub(crate) fn PasswordPage() -> impl IntoView {
    let me = Resource::new_blocking(|| (), |()| account::who());
    entitle(|| "Choose a password · DECNET".to_owned());
    view! {
        <main class="lone">
            <Suspense>
                {move || Suspend::new(async move {
                    match me.await {
                        Ok(None) => view! { <Redirect path="/login?next=/password" /> }.into_any(),
                        Ok(Some(me)) => view! { <Form must=me.must_change_password name=me.username.to_string() /> }.into_any(),
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Suspense>
        </main>
    }
    .into_any()
}

#[component]
fn Form(must: bool, name: String) -> impl IntoView {
    let query = use_query_map();
    let next = move || query.with(|q| q.get("next").unwrap_or_default());
    let change = ServerAction::<PasswordChange>::new();
    let logout = ServerAction::<account::Logout>::new();
    let pending = change.pending();
    let new = RwSignal::new(String::new());
    let again = RwSignal::new(String::new());
    let length = move || new.with(|n| n.chars().count());
    let fault = move || change.value().get().and_then(Result::err);
    view! {
        <section class="door">
            <h1><Brand />{if must { "Choose a password" } else { "Change password" }}</h1>
            {must
                .then(|| {
                    view! {
                        <p>
                            "The password that you came with was for the first time only. Everything else opens once you have your own."
                        </p>
                    }
                })}
            <ActionForm action=change>
                <input type="hidden" name="next" value=next />
                <input type="hidden" name="username" autocomplete="username" value=name />
                <label>
                    <span>"Current password"</span>
                    <input name="old" type="password" autocomplete="current-password" required autofocus />
                </label>
                <label>
                    <span>"New password"</span>
                    <input
                        name="new"
                        type="password"
                        autocomplete="new-password"
                        minlength="12"
                        maxlength="128"
                        required
                        aria-describedby="password-rules"
                        on:input=move |event| new.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"New password again"</span>
                    <input
                        name="again"
                        type="password"
                        autocomplete="new-password"
                        minlength="12"
                        maxlength="128"
                        required
                        on:input=move |event| again.set(event_target_value(&event))
                    />
                </label>
                <ul class="password-rules" id="password-rules">
                    <li class:met=move || { (12..=128).contains(&length()) }>"12 to 128 characters"</li>
                    <li class:met=move || { length() > 0 && new.get() == again.get() }>"the same twice"</li>
                    <li>"not one of the common ones"</li>
                </ul>
                <FormFault fault=fault />
                <button type="submit" class="button primary" disabled=move || pending.get()>
                    "Change password"
                </button>
            </ActionForm>
            <div class="door-foot">
                {(!must).then(|| view! { <a href="/">"Back"</a> })}
                <ActionForm action=logout>
                    <button type="submit" class="link">"Sign out"</button>
                </ActionForm>
            </div>
        </section>
    }
    .into_any()
}
