//! What is used again: the same secret, or the same account and secret, at several deckies or by several attackers.

use decnet_model::{
    query::{ReuseQuery, ReuseScope},
    view::{BountyView, DeckyView, Page, ReuseDetail, ReuseView},
};
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::{Views, Wordlists};
use crate::{
    api::{Answer, evidence},
    components::{
        download::Export,
        drawer::Drawer,
        filter::{Chips, Choice, FilterForm},
        frame::PageHead,
        glyph::Glyph,
        notice::{Empty, Fetched, LeftOut, Loading, NothingFits, Problem},
        pager::{More, Pager},
        said::{Command, CopyButton, Long, Said},
        table::{Column, Listed, Table},
        when::Ago,
    },
    live::{fleet_now, use_live},
    text, url,
};

const FIELDS: &[&str] = &["scope", "secret_kind"];
const CHIPS: &[(&str, &str)] = &[("scope", "same"), ("secret_kind", "form")];

/// The groups that a URL asks for, and what it says wrongly.
fn asked(params: &ParamsMap) -> (ReuseQuery, Vec<String>) {
    let mut faults = Vec::new();
    let query = ReuseQuery {
        limit: Some(100),
        before: url::value(params, url::BEFORE),
        scope: url::choice(params, "scope", ReuseScope::ALL, ReuseScope::as_str, &mut faults),
        secret_kind: url::value(params, "secret_kind").map(|kind| kind.chars().take(64).collect()),
    };
    (query, faults)
}

#[component]
pub(crate) fn ReusePage() -> impl IntoView {
    let live = use_live();
    let params = use_query_map();
    let asked = Memo::new(move |_| params.with(asked));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let opened =
        Memo::new(move |_| params.with(|q| q.get_str("reuse").and_then(|id| id.parse::<i64>().ok())));
    let page = Resource::new(
        move || (query.get(), live.epoch.get()),
        |(query, _)| evidence::reuse_page(query),
    );
    let detail = Resource::new(
        move || opened.get(),
        |id| async move { Some(evidence::reuse_get(id?).await) },
    );
    let deckies = fleet_now();
    let export = Signal::derive(move || query.with(url::export_reuse));
    let scopes = vec![(ReuseScope::Pair.to_string(), "account and secret".to_owned())];
    let kinds = [
        "plaintext",
        "public_key",
        "mysql_native_password",
        "caching_sha2_password",
        "cram_md5",
        "http_digest_md5",
    ];
    let kinds = kinds
        .map(|kind| (kind.to_owned(), text::event_words(kind)))
        .to_vec();
    view! {
        <PageHead title="Credentials">
            <Export from=export><Wordlists /></Export>
        </PageHead>
        <Views />
        <FilterForm fields=FIELDS label="Filter what is used again">
            <Choice name="scope" label="What is the same" any="same secret" options=Signal::stored(scopes) />
            <Choice name="secret_kind" label="Form of the secret" any="any form" options=Signal::stored(kinds) />
        </FilterForm>
        <Chips filters=CHIPS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <Fetched from=page draw=move |first| view! { <List first=first query=query.get_untracked() deckies=deckies /> }.into_any() />
        <ReuseDrawer opened=opened detail=detail />
    }
    .into_any()
}

impl Listed for ReuseView {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_stamp(&self) -> Option<i64> {
        Some((self.deckies << 32 | self.attackers).cast_signed())
    }

    fn row_words(&self) -> String {
        let account = self
            .principal
            .as_deref()
            .map(|p| format!(" of {}", text::visible(p)));
        format!("secret{}, where it was used", account.unwrap_or_default())
    }
}

const COLUMNS: &[Column<ReuseView>] = &[
    Column {
        label: "Secret",
        class: "c-value",
        sort: None,
        cell: |r| {
            let kind = Some(r.secret_kind.clone()).filter(|kind| kind != "plaintext");
            view! {
                <code>
                    {r.principal.clone().map(|p| view! { <span class="principal"><Said text=p max=32 /></span>" : " })}
                    <Said text=r.value.clone() max=48 />
                </code>
                {kind.map(|kind| view! { " "<span class="tag">{text::event_words(&kind)}</span> })}
            }
            .into_any()
        },
    },
    Column {
        label: "Deckies",
        class: "number",
        sort: None,
        cell: |r| {
            view! { <span class="figure" data-label=if r.deckies == 1 { "decky" } else { "deckies" }>{text::count(r.deckies)}</span> }.into_any()
        },
    },
    Column {
        label: "Attackers",
        class: "number",
        sort: None,
        cell: |r| {
            view! { <span class="figure" data-label=if r.attackers == 1 { "attacker" } else { "attackers" }>{text::count(r.attackers)}</span> }.into_any()
        },
    },
    Column {
        label: "Last spread",
        class: "c-seen",
        sort: None,
        cell: |r| view! { <Ago at=r.last_spread /> }.into_any(),
    },
    Column {
        label: "First seen",
        class: "c-first",
        sort: None,
        cell: |r| view! { <Ago at=r.first_seen /> }.into_any(),
    },
];

#[component]
fn List(first: Page<ReuseView>, query: ReuseQuery, deckies: Signal<Vec<DeckyView>>) -> impl IntoView {
    let live = use_live();
    let filtered = query.secret_kind.is_some();
    let pager = Pager::new(first, move |before| {
        evidence::reuse_page(ReuseQuery {
            before,
            ..query.clone()
        })
    });
    // The stream tells that more credentials were compared; one of them may be one that is used again.
    pager.follow(Memo::new(move |_| live.compared.get().map(i64::cast_unsigned)));
    let rows = Signal::derive(move || {
        pager
            .rows
            .with(|rows| rows.iter().map(|r| (r.clone(), false)).collect::<Vec<_>>())
    });
    let nothing = move || {
        if filtered {
            view! { <NothingFits /> }.into_any()
        } else {
            view! {
                <Empty
                    title="Nothing was used twice yet"
                    hint="A secret that turns up at a second decky, or with a second attacker, stands here: the trace of a list, or of one hand. To see how, sign in at two deckies with the same password."
                >
                    <Transition>
                        {move || {
                            let command = deckies.with(|deckies| text::touch_some(deckies));
                            command.map(|text| view! { <Command text=text /> })
                        }}
                    </Transition>
                </Empty>
            }
            .into_any()
        }
    };
    view! {
        <Show when=move || pager.rows.with(|rows| !rows.is_empty()) fallback=nothing>
            <Table name="reuse" columns=COLUMNS rows=rows leads="reuse">
                <p class="table-note">
                    {move || pager.words(pager.rows.with(Vec::len), "credential", "credentials")}
                    ", spread widest first"
                </p>
            </Table>
            <More pager=pager />
        </Show>
    }
    .into_any()
}

/// Who used it, on what.
#[component]
fn ReuseDrawer(opened: Memo<Option<i64>>, detail: Resource<Option<Answer<ReuseDetail>>>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("reuse", None)]));
    move || {
        let id = opened.get()?.to_string();
        let row = id.clone();
        Some(view! {
            <Transition fallback=move || view! { <Drawer title="Used again" row=row.clone() close><Loading /></Drawer> }>
                {move || {
                    let row = id.clone();
                    Suspend::new(async move {
                        let inside = match detail.await {
                            None => return ().into_any(),
                            Some(Ok(detail)) => view! { <Detail detail /> }.into_any(),
                            Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        };
                        view! { <Drawer title="Used again" row=row close>{inside}</Drawer> }.into_any()
                    })
                }}
            </Transition>
        })
    }
}

#[component]
fn Detail(detail: ReuseDetail) -> impl IntoView {
    let ReuseDetail { reuse, finds } = detail;
    let more = finds.len() == 500;
    let search = format!(
        "/credentials?search={}",
        url::escape(&reuse.value.chars().take(200).collect::<String>())
    );
    view! {
        <dl class="facts">
            {reuse
                .principal
                .clone()
                .map(|account| {
                    view! {
                        <dt>"Account"</dt>
                        <dd><code><Said text=account.clone() /></code><CopyButton text=account what="account" /></dd>
                    }
                })}
            <dt>"Secret"</dt>
            <dd><Long text=reuse.value.clone() /><CopyButton text=reuse.value.clone() what="secret" /></dd>
            <dt>"Form"</dt>
            <dd>{text::event_words(&text::visible(&reuse.secret_kind))}</dd>
            <dt>"Used at"</dt>
            <dd>
                {text::plural(reuse.deckies, "decky", "deckies")}" by "
                {text::plural(reuse.attackers, "attacker", "attackers")}
            </dd>
            <dt>"First"</dt>
            <dd><Ago at=reuse.first_seen /></dd>
            <dt>"Last spread"</dt>
            <dd><Ago at=reuse.last_spread /></dd>
        </dl>
        <h3>"Who, on what"</h3>
        <ul class="used">{finds.into_iter().map(|find| view! { <Used find /> }).collect_view()}</ul>
        {more.then(|| view! { <p class="table-note">"The 500 that were seen last."</p> })}
        <a class="button" href=search>"Find it in the list"</a>
    }
    .into_any()
}

#[component]
fn Used(find: BountyView) -> impl IntoView {
    let account = find.principal;
    let decky = format!("/fleet?decky={}", url::escape(&find.decky));
    view! {
        <li>
            <a class="who" href=format!("/attackers/{}", find.attacker_id)>
                <Glyph seed=find.attacker_glyph size=16 />
                <code>{find.attacker_ip.to_string()}</code>
            </a>
            <span>
                <a href=decky><Said text=find.decky max=28 /></a>
                " "
                <span class="muted"><Said text=find.service max=16 /></span>
            </span>
            <span class="used-as">
                {account.map(|account| view! { "as "<code><Said text=account max=32 /></code> })}
                {(find.count > 1).then(|| format!(" ×{}", text::count(find.count)))}
            </span>
            <Ago at=find.last_seen />
        </li>
    }
    .into_any()
}
