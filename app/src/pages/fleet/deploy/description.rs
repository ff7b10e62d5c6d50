//! The fleet as text: everything that can be said of one, as `decnet deploy -f` reads it.
//!
//! The text is made from the form, anew whenever that has changed, and not the other way round: a form of one group cannot
//! say what a text can.

use decnet_model::view::DeckyView;
use leptos::prelude::*;

use super::{field::FieldFault, plan::Plan, sow};
use crate::{
    api::deploy::{self, DeployForm as Filled, DescriptionDeploy},
    pages::login::FormFault,
};

/// What can stand in the text.
const HELP: &str = "\
[general]
replace = yes              ; take down every decky that is not described here

[web]                      ; a decky, or with amount= a group web-01, web-02 …
archetype = web-server
amount = 3
services = http, ssh, intranet
randomize_services = yes   ; instead of services=
distro, os, ip, mac, hostname, seed, bait, mutate_interval_minutes, egress

[web.http]                 ; what is set on a service of it
tarpit_ms = 200

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
    form: RwSignal<Filled>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let deploy = ServerAction::<DescriptionDeploy>::new();
    let pending = deploy.pending();
    let make = Action::new(|form: &Filled| {
        let form = form.clone();
        async move { (form.clone(), deploy::description_make(form).await) }
    });
    // Not again of the same form: what was written since would be lost.
    let made_of = StoredValue::new(None::<Filled>);
    Effect::new(move |_| {
        if as_text.get() {
            sow(form);
            let form = form.get_untracked();
            if made_of.with_value(|of| of.as_ref() != Some(&form)) {
                make.dispatch(form);
            }
        }
    });
    Effect::new(move |_| {
        if let Some((of, Ok(made))) = make.value().get() {
            made_of.set_value(Some(of));
            text.set(made);
        }
    });
    let plan = Action::new(|text: &String| {
        let text = text.clone();
        async move { (text.clone(), deploy::description_preview(text).await) }
    });
    let show_plan = move |_| {
        deploy.clear();
        plan.dispatch(text.get_untracked());
    };
    // A plan of what the text no longer says is none.
    let planned = move || {
        plan.value()
            .get()
            .filter(|(of, _)| text.with(|text| of == text))
            .map(|(_, plan)| plan)
    };
    let fault = Signal::derive(move || {
        let refused = deploy.value().get().and_then(Result::err);
        refused.or_else(|| planned().and_then(Result::err))
    });
    let problem = Signal::derive(move || {
        // Lines are not numbered where one writes, so each is shown.
        let quoted = |field: &str| {
            let number: usize = field.strip_prefix("line ")?.parse().ok()?;
            let line = |text: &String| text.lines().nth(number.checked_sub(1)?).map(str::to_owned);
            text.with_untracked(line)
        };
        let fields = fault.get().map(|fault| fault.fields).unwrap_or_default();
        let told = fields.iter().map(|told| match quoted(&told.field) {
            Some(line) => format!("{} ({}): {}", told.field, line.trim(), told.message),
            None => format!("{}: {}", told.field, told.message),
        });
        told.collect::<Vec<_>>().join("\n")
    });
    let wrong = move || problem.with(|problem| (!problem.is_empty()).then_some("true"));
    // What the form has to mend before there is a text of it; and what is about no line.
    let elsewhere = move || {
        let unmade = make.value().get().and_then(|(_, made)| made.err());
        unmade.or_else(|| fault.get().filter(|fault| fault.fields.is_empty()))
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
                        aria-invalid=wrong
                        aria-describedby="about-description"
                        on:input=move |event| text.set(event_target_value(&event))
                    ></textarea>
                </label>
                <div id="about-description">
                    <FieldFault problem />
                    <p class="muted">
                        "Made from the form; what you change here, the form does not know. Several groups, images of your own and replacing the fleet are said only here."
                    </p>
                </div>
            </div>
            <details class="adjust">
                <summary>"What can be said"</summary>
                <pre>{HELP}</pre>
            </details>
            {move || {
                planned()
                    .and_then(Result::ok)
                    .map(|plan| view! { <Plan plan=plan.deckies leaving=plan.leaving deckies /> })
            }}
            <FormFault fault=elsewhere />
            <footer>
                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                <button type="button" class="button" disabled=move || plan.pending().get() on:click=show_plan>
                    "Show the plan"
                </button>
                <button type="submit" class="button primary" disabled=move || pending.get()>
                    {move || if pending.get() { "Deploying…" } else { "Deploy" }}
                </button>
            </footer>
        </ActionForm>
    }
    .into_any()
}
