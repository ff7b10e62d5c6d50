//! Settings: one's own account, the installation's, the accounts of others, and who did what.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod host;
pub(crate) mod users;

use decnet_model::permission::{ManageUsers, ViewAudit};
use leptos::prelude::*;
use leptos_router::components::{A, Outlet};

use crate::components::frame::{PageHead, may};

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
                {move || users.get().then(|| view! { <A href="/settings/users">"Users"</A> })}
                {move || audit.get().then(|| view! { <A href="/settings/audit">"Audit log"</A> })}
            </Suspense>
        </nav>
        <Outlet />
    }
    .into_any()
}
