//! The fleet as text: everything that can be said of one, as `decnet deploy -f` reads it.
//!
//! The text is made from the form, anew whenever that has changed, and not the other way round: a form of one group cannot
//! say what a text can. What somebody wrote is theirs: it is made anew only where they ask for that.

use decnet_model::view::DeckyView;
use leptos::prelude::*;

use super::{
    Draft,
    field::{FieldFault, is_wrong},
    plan::{Footer, Plan, Planned, planned},
};
use crate::{
    api::deploy::{self, DeployForm as Filled, DescriptionDeploy},
    pages::login::FormFault,
    text::{ellipsis, visible},
};

/// What can stand in the text.
const HELP: &str = "\
[general]
replace = yes              ; take down every decky that is not described here

[web]                      ; a decky, or with amount= a group web-01, web-02 …
archetype = web-server
amount = 3
services = http, ssh, intranet
; or, instead of services=: randomize_services = yes
; also: distro, os, ip, mac, hostname, seed, bait, mutate_interval_minutes, egress

[web.http]                 ; what is set on a service of it
tarpit_ms = 200            ; every service has it: each answer is held back so long
accept = editor:spring24, admin:admin
; also: bait, a folder for this service alone

[custom-intranet]          ; a container image of your own (engine docker)
image = registry.example/intranet:2
command = /srv/app --port 8080
ports = 8080, 9090
memory_mb = 256";

/// What stands in the text where nothing is made yet.
const EXAMPLE: &str = "[web]\narchetype = web-server\namount = 2";

/// The text, its plan and its faults.
#[component]
pub(super) fn DescriptionForm(
    as_text: Memo<bool>,
    draft: Draft,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let said = draft.said;
    let text = RwSignal::new(String::new());
    // The form that the text was made from, and what was made.
    let made = RwSignal::new(None::<(Filled, String)>);
    let is_own = move || text.with(|text| made.with(|made| !is_as_made(text, made.as_ref())));
    let make = Action::new(|form: &Filled| {
        let form = form.clone();
        async move { (form.clone(), deploy::description_make(form).await) }
    });
    let is_behind =
        move || said.with(|said| made.with(|made| made.as_ref().is_none_or(|(of, _)| of != said)));
    Effect::new(move |_| {
        if as_text.get() {
            draft.sow(false);
            if untrack(|| !is_own() && (is_behind() || text.with(String::is_empty))) {
                make.dispatch(said.get_untracked());
            }
        }
    });
    Effect::new(move |_| {
        if let Some((of, Ok(answer))) = make.value().get()
            // Somebody may have begun to write meanwhile.
            && !untrack(is_own)
        {
            text.set(answer.clone());
            made.set(Some((of, answer)));
        }
    });
    let make_anew = move |_| {
        // From here on it is no more theirs than what is made.
        made.set(Some((Filled::default(), text.get_untracked())));
        draft.sow(false);
        make.dispatch(said.get_untracked());
    };
    let deploy = ServerAction::<DescriptionDeploy>::new();
    let Planned {
        plan,
        fault,
        ask,
        is_asking,
    } = planned(text.into(), deploy, deploy::description_preview);
    let problem = Signal::derive(move || {
        // Lines are not numbered where one writes, so each is shown.
        let quoted = |field: &str| {
            let number: usize = field.strip_prefix("line ")?.parse().ok()?;
            let line = |text: &String| text.lines().nth(number.checked_sub(1)?).map(str::to_owned);
            text.with_untracked(line)
        };
        let fields = fault.get().map(|fault| fault.fields).unwrap_or_default();
        let told = fields.iter().map(|told| match quoted(&told.field) {
            Some(line) => format!(
                "{} ({}): {}",
                told.field,
                ellipsis(&visible(line.trim()), 80),
                told.message
            ),
            None => format!("{}: {}", told.field, told.message),
        });
        told.collect::<Vec<_>>().join("\n")
    });
    // What is about no line; and where nothing is wrong with the text, what the form has to mend before there is one of it.
    let elsewhere = move || match fault.get() {
        Some(fault) => fault.fields.is_empty().then_some(fault),
        None => make.value().get().and_then(|(_, made)| made.err()),
    };
    view! {
        <ActionForm action=deploy>
            <div class="field description">
                <label>
                    <span>"Description" <small>" as decnet deploy -f reads it"</small></span>
                    <textarea
                        name="text"
                        rows="14"
                        required
                        spellcheck="false"
                        autocapitalize="none"
                        placeholder=EXAMPLE
                        prop:value=move || text.get()
                        aria-invalid=is_wrong(problem)
                        aria-describedby="about-description"
                        on:input=move |event| {
                            // What the form has to mend is no matter of what is written here.
                            make.clear();
                            text.set(event_target_value(&event));
                        }
                    ></textarea>
                </label>
                <div id="about-description">
                    <FieldFault problem />
                    <p class="muted">
                        "Made from the form; what you change here, the form does not know. Several groups, images of your own and replacing the fleet are said only here."
                    </p>
                </div>
                {move || {
                    (is_own() && is_behind())
                        .then(|| {
                            view! {
                                <p class="inline-form">
                                    "The form has changed since, and what you wrote is kept."
                                    <button type="button" class="button" on:click=make_anew>
                                        "Make the text anew from the form"
                                    </button>
                                </p>
                            }
                        })
                }}
            </div>
            <details class="adjust">
                <summary>"What can be said"</summary>
                <pre>{HELP}</pre>
            </details>
            {move || plan.get().map(|plan| view! { <Plan plan=plan.deckies leaving=plan.leaving deckies /> })}
            <FormFault fault=elsewhere />
            <Footer close ask is_asking is_deploying=deploy.pending().into() fault />
        </ActionForm>
    }
    .into_any()
}

/// Whether nobody wrote in `text`: nothing stands there, or what was `made`, from a form, last.
fn is_as_made(text: &str, made: Option<&(Filled, String)>) -> bool {
    text.is_empty() || made.is_some_and(|(_, made)| made == text)
}
