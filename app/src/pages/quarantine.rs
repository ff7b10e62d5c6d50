//! The quarantine: lines of the spool that did not become evidence, and why not. For administrators.

use decnet_model::view::{Page, QuarantineView};
use leptos::prelude::*;

use crate::{
    api::{Answer, evidence},
    components::{
        frame::PageHead,
        notice::{Empty, Loading, Problem},
        said::{CopyButton, Said},
        when::Clock,
    },
    live::use_live,
    text,
};

/// The page.
#[component]
pub(crate) fn QuarantinePage() -> impl IntoView {
    let live = use_live();
    let page = Resource::new(move || live.epoch.get(), |_| evidence::quarantine_page(None));
    view! {
        <PageHead title="Unread lines">
            <a class="button" href="/live">"Back to the log"</a>
        </PageHead>
        <Transition fallback=|| view! { <Loading rows=8 /> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(first) => view! { <List first=first /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| page.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn List(first: Page<QuarantineView>) -> impl IntoView {
    let total = first.total.unwrap_or_default();
    let next = RwSignal::new(first.next);
    let lines = RwSignal::new(first.data);
    let more = Action::new(move |before: &String| {
        let before = before.clone();
        async move {
            let page: Answer<_> = evidence::quarantine_page(Some(before)).await;
            page.map(|page| {
                lines.update(|lines| lines.extend(page.data));
                next.set(page.next);
            })
        }
    });
    let older = move || {
        next.get().map(|before| {
            view! {
                <button
                    type="button"
                    class="button more"
                    disabled=move || more.pending().get()
                    on:click=move |_| {
                        more.dispatch(before.clone());
                    }
                >
                    "Older"
                </button>
            }
        })
    };
    view! {
        <Show
            when=move || lines.with(|lines| !lines.is_empty())
            fallback=|| {
                view! {
                    <Empty
                        title="Every line became evidence"
                        hint="A line that cannot be read or stored is kept here as it came, with the reason."
                    />
                }
            }
        >
            <p class="table-note">
                {text::plural(total, "line", "lines")}
                ", kept as they came. They count for nothing; "<code>"decnet ingest --rebuild"</code>
                " reads the spool anew, once what hindered them is mended."
            </p>
            <div class="table-frame">
                <table class="table quarantine">
                    <thead>
                        <tr>
                            <th scope="col">"Met"</th>
                            <th scope="col">"In the spool"</th>
                            <th scope="col">"Why"</th>
                            <th scope="col">"Line"</th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || lines.get() key=|line| line.id children=move |line| view! { <Kept line /> } />
                    </tbody>
                </table>
            </div>
            {older}
        </Show>
        {move || more.value().get().and_then(Result::err).map(|fault| view! { <Problem fault /> })}
    }
    .into_any()
}

#[component]
fn Kept(line: QuarantineView) -> impl IntoView {
    view! {
        <tr>
            <td><Clock at=line.received_at /></td>
            <td title="segment and the byte at which the line ends">
                <code>{format!("{}:{}", line.segment, line.offset)}</code>
            </td>
            <td class="c-why"><Said text=line.why max=200 /></td>
            <td class="c-line"><code><Said text=line.line.clone() max=300 /></code><CopyButton text=line.line what="line" /></td>
        </tr>
    }
    .into_any()
}
