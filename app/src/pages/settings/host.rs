//! Settings of the installation: limits, how long evidence is kept, what is not looked at, and starting over.

use std::sync::Arc;

use decnet_model::{ignore::IgnoreRule, permission::ManageSettings, view::ConfigView};
use leptos::{prelude::*, server_fn::ServerFn as _};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use wasm_bindgen::JsCast as _;

use crate::{
    api::{
        Answer,
        settings::{self, AGE_WORDS, IgnoreRuleCreate, IgnoreRuleDelete, PAGE, Reinitialise, SettingChange},
    },
    components::{
        dialog::Dialog,
        download::Export,
        frame::may,
        icon::{Icon, Mark},
        notice::{Loading, Problem},
        said::Said,
        table::{Column, Glance, Listed},
        toast::tell,
        when::Ago,
    },
    live::use_live,
    pages::login::FormFault,
    text, url,
};

/// What has to be typed before all evidence is deleted: the domain asks for the same words.
const DELETE_WORDS: &str = "delete all evidence";

/// The knob whose setting deletes: it is set in a dialog that says how much.
const RETENTION: &str = "retention-days";
/// The parameter of the URL that opens that dialog: the days that are to be set; empty for no limit.
const KEEP: &str = "keep";

/// A number that can be set: its name, words for it, its unit, its least and most, and what it does.
struct Knob {
    name: &'static str,
    words: &'static str,
    unit: &'static str,
    range: (u32, u32),
    effect: &'static str,
    of: fn(&ConfigView) -> Option<u32>,
}

const KNOBS: &[Knob] = &[
    Knob {
        name: "deployment-limit",
        words: "Most deckies",
        unit: "deckies",
        range: (1, 10_000),
        effect: "A deployment that would make more is refused; what runs goes on.",
        of: |config| Some(config.deployment_limit),
    },
    Knob {
        name: "mutation-interval-minutes",
        words: "New services every",
        unit: "minutes",
        range: (0, 525_600),
        effect: "For deckies without an interval of their own; 0 is never.",
        of: |config| Some(config.mutation_interval_minutes),
    },
    Knob {
        name: RETENTION,
        words: "Keep log rows for",
        unit: "days",
        range: (1, 36_500),
        effect: "Older rows are deleted step by step; counters stay, and the spool has a limit of its own. Empty keeps all.",
        of: |config| config.retention_days,
    },
    Knob {
        name: "session-minutes",
        words: "A session lasts",
        unit: "minutes",
        range: (5, 10_080),
        effect: "For sessions that begin from now on.",
        of: |config| Some(config.session_lifetime_minutes),
    },
];

/// What can be done here.
#[derive(Clone, Copy)]
struct Orders {
    change: ServerAction<SettingChange>,
    create: ServerAction<IgnoreRuleCreate>,
    delete: ServerAction<IgnoreRuleDelete>,
}

/// The page.
#[component]
pub(crate) fn HostPage() -> impl IntoView {
    let manages = may::<ManageSettings>();
    let orders = Orders {
        change: ServerAction::new(),
        create: ServerAction::new(),
        delete: ServerAction::new(),
    };
    tell(orders.change, "The setting holds from now on.");
    tell(orders.create, "The rule holds from now on.");
    tell(orders.delete, "The rule was removed.");
    let given = move || {
        [
            orders.change.version(),
            orders.create.version(),
            orders.delete.version(),
        ]
        .map(|version| version.get())
    };
    let config = Resource::new(given, |_| settings::config_get());
    let query = use_query_map();
    let keep = Memo::new(move |_| query.with(|q| q.get(KEEP)));
    let aged = Resource::new(
        move || keep.get(),
        |days| async move {
            match days {
                Some(days) => Some(settings::retention_preview(days).await),
                None => None,
            }
        },
    );
    view! {
        <Transition fallback=|| view! { <Loading rows=8 /> }>
            {move || Suspend::new(async move {
                match config.await {
                    Ok(config) => view! { <Full config orders manages /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| config.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
        <Suspense>
            {move || {
                let days = keep.get().filter(|_| manages.get())?;
                Some(view! { <Keep days aged change=orders.change /> })
            }}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Full(config: ConfigView, orders: Orders, manages: Signal<bool>) -> impl IntoView {
    let fault = move || orders.change.value().get().and_then(Result::err);
    let knobs = KNOBS
        .iter()
        .map(|knob| {
            let changed = config.changed.iter().any(|name| name == knob.name);
            view! { <Set knob value=(knob.of)(&config) changed orders manages /> }
        })
        .collect_view();
    view! {
        <section class="panel">
            <header><h2>"Limits"</h2><span class="panel-note">"for this installation, from now on"</span></header>
            <FormFault fault=fault />
            <div class="knobs">{knobs}</div>
        </section>
        <Ignored rules=config.ignore_rules lines=config.ignored_lines orders manages />
        {move || manages.get().then(|| view! { <StartOver /> })}
    }
    .into_any()
}

#[component]
fn Set(
    knob: &'static Knob,
    value: Option<u32>,
    changed: bool,
    orders: Orders,
    manages: Signal<bool>,
) -> impl IntoView {
    let change = orders.change;
    let id = StoredValue::new(format!("knob-{}", knob.name));
    let effect = move || format!("{}-effect", id.get_value());
    let words = value.map_or_else(
        || "no limit".to_owned(),
        |n| format!("{} {}", text::count(u64::from(n)), knob.unit),
    );
    view! {
        <div class="knob">
            <label for=id.get_value()>{knob.words}</label>
            {move || {
                if !manages.get() {
                    return view! { <b>{words.clone()}</b> }.into_any();
                }
                let field = move |name: &'static str, button: &'static str| {
                    view! {
                        <span class="inline-form">
                            <input
                                id=id.get_value()
                                name=name
                                type="number"
                                min=knob.range.0
                                max=knob.range.1
                                value=value.map(|n| n.to_string())
                                placeholder="no limit"
                                aria-describedby=effect()
                            />
                            <span class="muted">{knob.unit}</span>
                            <button type="submit" class="button" disabled=move || change.pending().get()>{button}</button>
                        </span>
                    }
                    .into_any()
                };
                if knob.name == RETENTION {
                    // Asks for its dialog, which sets it.
                    return view! { <form method="get" action=PAGE on:submit=ask_to_keep()>{field(KEEP, "Set…")}</form> }.into_any();
                }
                let inside = field("value", "Set");
                view! {
                    <ActionForm action=change>
                        <input type="hidden" name="name" value=knob.name />
                        {inside}
                    </ActionForm>
                }
                .into_any()
            }}
            <small id=effect()>
                {knob.effect}
                {if changed { " Set here; empty it for what the configuration says." } else { "" }}
            </small>
        </div>
    }
    .into_any()
}

/// What the form of the retention does in a browser: as without scripts, without loading the page.
fn ask_to_keep() -> impl Fn(web_sys::SubmitEvent) + Clone {
    let navigate = use_navigate();
    move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let form = event
            .target()
            .and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        let data = form.and_then(|form| web_sys::FormData::new_with_form(&form).ok());
        let days = data
            .and_then(|data| data.get(KEEP).as_string())
            .unwrap_or_default();
        let here = NavigateOptions {
            scroll: false,
            ..NavigateOptions::default()
        };
        navigate(&format!("{PAGE}?{KEEP}={}", url::escape(days.trim())), here);
    }
}

/// Sets for how long log rows are kept, once it was said how many go. Where some do, words have to be typed: they are gone for whoever
/// only looks here.
#[component]
fn Keep(
    days: String,
    aged: Resource<Option<Answer<u64>>>,
    change: ServerAction<SettingChange>,
) -> impl IntoView {
    let fault = move || change.value().get().and_then(Result::err);
    let close = Signal::stored(PAGE.to_owned());
    let days = StoredValue::new(days.trim().to_owned());
    let title = days.with_value(|days| match days.as_str() {
        "" => "Keep every log row".to_owned(),
        "1" => "Keep log rows for 1 day".to_owned(),
        days => format!("Keep log rows for {} days", text::visible(days)),
    });
    let form = move |rows: u64| {
        let goes = rows > 0;
        let effect = match rows {
            0 => "Deletes nothing now: no log row is older than that.".to_owned(),
            rows => format!(
                "Deletes {} within minutes, all that are older than that, and each further one when it becomes so. Counters, attackers \
                 and what they left stay; the spool keeps its lines as far as its own limit goes.",
                text::plural(rows, "log row", "log rows")
            ),
        };
        let effect = match days.with_value(String::is_empty) {
            true => "No log row is deleted for its age from now on.".to_owned(),
            false => effect,
        };
        view! {
            <p>{effect}</p>
            <ActionForm action=change>
                <input type="hidden" name="name" value=RETENTION />
                <input type="hidden" name="value" value=days.get_value() />
                {goes
                    .then(|| {
                        view! {
                            <div class="form">
                                <label>
                                    <span>"Type " <b>{AGE_WORDS}</b> " to confirm"</span>
                                    <input
                                        name="confirm"
                                        required
                                        pattern=format!("\\s*{AGE_WORDS}\\s*")
                                        title=AGE_WORDS
                                        autocomplete="off"
                                        autocapitalize="none"
                                        spellcheck="false"
                                    />
                                </label>
                            </div>
                        }
                    })}
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=PAGE data-noscroll="">"Cancel"</a>
                    <button type="submit" class="button primary" class:danger=goes disabled=move || change.pending().get()>
                        {if goes { "Set and delete" } else { "Set" }}
                    </button>
                </footer>
            </ActionForm>
        }
        .into_any()
    };
    view! {
        <Dialog title=title close=close>
            <Suspense fallback=|| view! { <Loading rows=2 /> }>
                {move || Suspend::new(async move {
                    match aged.await {
                        Some(Ok(rows)) => form(rows),
                        Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        None => ().into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

impl Listed for IgnoreRule {
    fn row_id(&self) -> String {
        self.id.to_string()
    }

    fn row_words(&self) -> String {
        format!("rule of {}", self.created_by)
    }
}

/// What of a rule is said, in words.
fn about(rule: &IgnoreRule) -> String {
    let lines = &rule.lines;
    let parts = [
        lines.network.map(|network| format!("from {network}")),
        lines.decky.as_ref().map(|decky| format!("on {decky}")),
        lines.service.as_ref().map(|service| format!("by {service}")),
        lines.event_type.as_ref().map(|kind| format!("of type {kind}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const COLUMNS: &[Column<IgnoreRule>] = &[
    Column {
        label: "Lines",
        class: "c-what",
        sort: None,
        cell: |rule| view! { <Said text=about(rule) max=80 /> }.into_any(),
    },
    Column {
        label: "Why",
        class: "c-why",
        sort: None,
        cell: |rule| view! { <Said text=rule.note.clone() max=80 /> }.into_any(),
    },
    Column {
        label: "Made",
        class: "c-seen",
        sort: None,
        cell: |rule| {
            view! { <Ago at=rule.created_at />" by "<Said text=rule.created_by.clone() max=24 /> }.into_any()
        },
    },
];

/// Lines that are not looked at.
#[component]
fn Ignored(rules: Vec<IgnoreRule>, lines: u64, orders: Orders, manages: Signal<bool>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("rule", None)]));
    let opened = Memo::new(move |_| query.with(|q| url::value(q, "rule")));
    let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
    let rows = Signal::stored(rules.iter().map(|rule| (rule.clone(), false)).collect::<Vec<_>>());
    let none = rules.is_empty();
    let ending = move || {
        let id = opened.get().filter(|_| manages.get())?;
        let rule = rules.iter().find(|rule| rule.row_id() == id)?;
        Some(view! { <EndRule id=id words=about(rule) orders close /> })
    };
    view! {
        <section class="panel">
            <header>
                <h2>"Not looked at"</h2>
                <span class="panel-note">{text::plural(lines, "line", "lines")}" kept out so far"</span>
                {(!none).then(|| view! { <Export from=Signal::stored("/api/v1/config/ignore-rules/export".to_owned()) whole=true /> })}
            </header>
            <p class="muted">
                "Lines that a rule fits stay in the spool and are counted, and become neither rows nor attackers: your own scanner, for one."
            </p>
            {(!none).then(|| view! { <Glance name="rules" columns=COLUMNS rows=rows param="rule" /> })}
            {move || manages.get().then(|| view! { <NewRule orders /> })}
            {ending}
        </section>
    }
    .into_any()
}

#[component]
fn NewRule(orders: Orders) -> impl IntoView {
    let create = orders.create;
    let fault = move || create.value().get().and_then(Result::err);
    let field = |name: &'static str, words: &'static str, hint: &'static str| {
        view! {
            <label>
                <span>{words}</span>
                <input name=name placeholder=hint maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" />
            </label>
        }
    };
    view! {
        <details class="new-rule">
            <summary class="button"><Mark icon=Icon::Plus />"New rule"</summary>
            <ActionForm action=create>
                <div class="deploy-fields">
                    {field("network", "From", "192.0.2.0/24")}
                    {field("decky", "On decky", "any")}
                    {field("service", "By service", "any")}
                    {field("event_type", "Of type", "any")}
                </div>
                <div class="form">
                    <label><span>"Why"</span><input name="note" maxlength="200" placeholder="our own scanner" /></label>
                </div>
                <button type="submit" class="button primary" disabled=move || create.pending().get()>"Ignore such lines"</button>
            </ActionForm>
        </details>
        <FormFault fault=fault />
    }
    .into_any()
}

#[component]
fn EndRule(id: String, words: String, orders: Orders, close: Signal<String>) -> impl IntoView {
    let delete = orders.delete;
    let fault = move || delete.value().get().and_then(Result::err);
    view! {
        <Dialog title="Look at them again" close=close>
            <p>"Lines "<b>{text::visible(&words)}</b>" become evidence again, from now on. What was kept out stays in the spool."</p>
            <ActionForm action=delete>
                <input type="hidden" name="id" value=id />
                <FormFault fault=fault />
                <footer>
                    <a class="button" href=move || close.get() data-noscroll="">"Keep the rule"</a>
                    <button type="submit" class="button primary" disabled=move || delete.pending().get()>"Remove the rule"</button>
                </footer>
            </ActionForm>
        </Dialog>
    }
    .into_any()
}

/// Delete all evidence.
#[component]
fn StartOver() -> impl IntoView {
    let order = ServerAction::<Reinitialise>::new();
    let fault = move || order.value().get().and_then(Result::err);
    let live = use_live();
    let rows = move || {
        live.stats.with(|stats| {
            stats.as_ref().map_or_else(
                || "Deletes every log row, attacker, credential and counter from the database.".to_owned(),
                |stats| {
                    format!(
                        "Deletes {}, {}, {} and every counter from the database.",
                        text::plural(stats.total_logs, "log row", "log rows"),
                        text::plural(stats.unique_attackers, "attacker", "attackers"),
                        text::plural(stats.credentials, "credential", "credentials"),
                    )
                },
            )
        })
    };
    view! {
        <section class="panel">
            <header><h2>"Start over"</h2></header>
            <p>
                {rows}" The fleet, accounts, settings and the audit log stay; so does the spool, from which "
                <code>"decnet ingest --rebuild"</code>" can bring everything back that it still holds."
            </p>
            // Not by a script: every page that is open here begins anew, with nothing of what was deleted.
            <form action=Reinitialise::PATH method="post">
                <div class="form">
                    <label>
                        <span>"Type " <b>{DELETE_WORDS}</b> " to confirm"</span>
                        <input name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false" />
                    </label>
                </div>
                <FormFault fault=fault />
                <button type="submit" class="button danger">"Delete all evidence"</button>
            </form>
        </section>
    }
    .into_any()
}
