//! There is no such page.

use leptos::prelude::*;

use crate::{
    components::{frame::PageHead, notice::Empty},
    nothing_here,
};

/// The page.
#[component]
pub(crate) fn LostPage() -> impl IntoView {
    nothing_here();
    view! {
        <PageHead title="Not here" />
        <Empty title="There is no such page" hint="The address may have a typing error, or the page has moved.">
            <a class="button" href="/">"Go to the overview"</a>
        </Empty>
    }
}
