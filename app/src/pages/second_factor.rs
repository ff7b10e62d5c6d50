//! The second factor of one's own account: setting it up, new recovery codes, and giving it up. Whoever has to set it up
//! before anything else opens comes here, too.

use decnet_model::view::SecondFactorView;
use leptos::prelude::*;
use leptos_router::components::Redirect;

use super::login::FormFault;
use crate::{
    api::{
        access::{
            self, Enrolment, RecoveryCodesRenew, SecondFactorBegin, SecondFactorConfirm, SecondFactorDisable,
        },
        account::{self, Logout},
    },
    components::{
        download::save,
        frame::Brand,
        icon::{Icon, Mark},
        notice::{Loading, Problem},
        said::CopyButton,
        title::entitle,
        when::Ago,
    },
};

/// The page.
#[component]
pub(crate) fn SecondFactorPage() -> impl IntoView {
    let begin = ServerAction::<SecondFactorBegin>::new();
    let confirm = ServerAction::<SecondFactorConfirm>::new();
    let renew = ServerAction::<RecoveryCodesRenew>::new();
    let disable = ServerAction::<SecondFactorDisable>::new();
    let logout = ServerAction::<Logout>::new();
    let me = Resource::new_blocking(|| (), |()| account::who());
    let standing = Resource::new_blocking(|| (), |()| access::second_factor_get());
    // Recovery codes are shown once: as long as they are, nothing else is.
    let codes = move || {
        [confirm.value().get(), renew.value().get()]
            .into_iter()
            .flatten()
            .find_map(Result::ok)
    };
    entitle(|| "Second factor · DECNET".to_owned());
    view! {
        <main class="lone">
            <section class="door">
                <h1><Brand />"Second factor"</h1>
                <Suspense fallback=|| view! { <Loading rows=3 /> }>
                    {move || {
                        if let Some(codes) = codes() {
                            return view! { <Codes codes /> }.into_any();
                        }
                        Suspend::new(async move {
                            match (me.await, standing.await) {
                                (Ok(None), _) => view! { <Redirect path="/login?next=/second-factor" /> }.into_any(),
                                (_, Ok(standing)) if standing.enabled => {
                                    view! { <Enabled standing renew disable /> }.into_any()
                                }
                                (_, Ok(standing)) => view! { <Enrol required=standing.required begin confirm /> }.into_any(),
                                (_, Err(fault)) => view! { <Problem fault /> }.into_any(),
                            }
                        })
                        .into_any()
                    }}
                </Suspense>
                <div class="door-foot">
                    <a href="/settings">"Back"</a>
                    <ActionForm action=logout><button type="submit" class="link">"Sign out"</button></ActionForm>
                </div>
            </section>
        </main>
    }
    .into_any()
}

#[component]
fn Enrol(
    required: bool,
    begin: ServerAction<SecondFactorBegin>,
    confirm: ServerAction<SecondFactorConfirm>,
) -> impl IntoView {
    let begun = move || begin.value().get().and_then(Result::ok);
    let fault = move || begin.value().get().and_then(Result::err);
    view! {
        <p>
            {if required { "This installation asks everybody for one; everything else opens once you have it. " } else { "" }}
            "After the password, signing in then takes a code that an authenticator on your phone shows."
        </p>
        <noscript><p class="form-fault">"Setting it up needs scripts: the secret is shown once, and nowhere kept."</p></noscript>
        {move || match begun() {
            Some(enrolment) => view! { <Confirm enrolment confirm /> }.into_any(),
            None => {
                view! {
                    <ActionForm action=begin>
                        <FormFault fault=fault />
                        <button type="submit" class="button primary" disabled=move || begin.pending().get()>"Set it up"</button>
                    </ActionForm>
                }
                .into_any()
            }
        }}
    }
    .into_any()
}

#[component]
fn Confirm(enrolment: Enrolment, confirm: ServerAction<SecondFactorConfirm>) -> impl IntoView {
    let Enrolment { secret, path, size } = enrolment;
    let fault = move || confirm.value().get().and_then(Result::err);
    view! {
        <p>"Scan this with the authenticator, or type the secret into it."</p>
        <svg class="qr" viewBox=format!("0 0 {size} {size}") width="208" height="208" role="img" aria-label="QR code of the secret">
            <rect width=size height=size />
            <path d=path />
        </svg>
        <p class="qr-secret"><code>{secret.clone()}</code><CopyButton text=secret what="secret" /></p>
        <ActionForm action=confirm>
            <label>
                <span>"The code that it shows now"</span>
                <input
                    name="code"
                    autocomplete="one-time-code"
                    inputmode="numeric"
                    pattern="[0-9 ]{6,7}"
                    title="six digits"
                    maxlength="7"
                    required
                    autofocus
                />
            </label>
            <FormFault fault=fault />
            <button type="submit" class="button primary" disabled=move || confirm.pending().get()>"Done"</button>
        </ActionForm>
    }
    .into_any()
}

/// Recovery codes, this once.
#[component]
fn Codes(codes: Vec<String>) -> impl IntoView {
    let text = codes.join("\n");
    let file = text.clone();
    view! {
        <p>
            "Keep these where you will find them without your phone. Each signs you in once instead of a code. They are shown "
            <b>"this once"</b>" and stored nowhere."
        </p>
        <ol class="codes">{codes.into_iter().map(|code| view! { <li><code>{code}</code></li> }).collect_view()}</ol>
        <p class="inline-form">
            <CopyButton text=text what="recovery codes" />
            <button type="button" class="button" on:click=move |_| save("decnet-recovery-codes.txt", &file)>
                <Mark icon=Icon::Download />
                "Save"
            </button>
            <a class="button primary" href="/settings" rel="external">"I have them"</a>
        </p>
    }
    .into_any()
}

#[component]
fn Enabled(
    standing: SecondFactorView,
    renew: ServerAction<RecoveryCodesRenew>,
    disable: ServerAction<SecondFactorDisable>,
) -> impl IntoView {
    let renew_fault = move || renew.value().get().and_then(Result::err);
    let disable_fault = move || disable.value().get().and_then(Result::err);
    view! {
        <p>
            <span class="badge good">"enabled"</span>
            {standing.since.map(|at| view! { " since "<Ago at /> })}
            {format!(", {} of 10 recovery codes left.", standing.recovery_codes)}
        </p>
        <ActionForm action=renew>
            <h2>"New recovery codes"</h2>
            <label>
                <span>"A code of your authenticator"</span>
                <input name="code" autocomplete="one-time-code" inputmode="numeric" maxlength="64" required />
            </label>
            <FormFault fault=renew_fault />
            <button type="submit" class="button" disabled=move || renew.pending().get()>"Draw new ones"</button>
        </ActionForm>
        {(!standing.required)
            .then(|| {
                view! {
                    <ActionForm action=disable>
                        <h2>"Give it up"</h2>
                        <label>
                            <span>"Password"</span>
                            <input name="password" type="password" autocomplete="current-password" required />
                        </label>
                        <label>
                            <span>"A code, or a recovery code"</span>
                            <input name="code" autocomplete="one-time-code" maxlength="64" required />
                        </label>
                        <FormFault fault=disable_fault />
                        <button type="submit" class="button danger" disabled=move || disable.pending().get()>
                            "Sign in with the password alone"
                        </button>
                    </ActionForm>
                }
            })}
    }
    .into_any()
}
