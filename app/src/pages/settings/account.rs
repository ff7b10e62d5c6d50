//! One's own account.

use leptos::prelude::*;

use crate::{
    api::account,
    components::{
        frame::ThemeChoice,
        icon::{Icon, Mark},
        notice::{Loading, Problem},
    },
};

/// The page.
#[component]
pub(crate) fn AccountPage() -> impl IntoView {
    let me = Resource::new(|| (), |()| account::who());
    view! {
        <section class="panel">
            <header><h2>"You"</h2></header>
            <Transition fallback=|| view! { <Loading rows=2 /> }>
                {move || Suspend::new(async move {
                    match me.await {
                        Ok(me) => {
                            me.map(|me| {
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
                                    </dl>
                                }
                            })
                            .into_any()
                        }
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Transition>
        </section>
        <section class="panel">
            <header><h2>"Appearance"</h2><span class="panel-note">"kept in this browser"</span></header>
            <ThemeChoice />
        </section>
    }
    .into_any()
}
