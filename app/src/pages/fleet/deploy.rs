//! Deploying: what is to be deployed, and what would come of it.
//!
//! The usual way is three decisions: the kind of machine, how many, and what they serve. What is rarely asked for is folded
//! away ([`more`]), and what a form of one group cannot say (several groups, images of one's own, replacing the fleet) is said
//! as text ([`description`]). Both say what stands in them and no more: what a field may hold, the server tells beside it.

mod description;
mod field;
mod more;
mod plan;
mod services;

use decnet_model::view::{ArchetypeView, DeckyView, FleetNetworkView};
use leptos::{html, prelude::*};
use leptos_router::{hooks::use_query_map, params::ParamsMap};

use self::{
    description::DescriptionForm,
    field::{Field, FieldFault, Question, Told, is_wrong, problem_of},
    more::More,
    plan::{Footer, Plan, Planned, kept, planned, preview},
    services::{Adjust, Services, fitted},
};
use super::Choices;
use crate::{
    api::deploy::{self, Deploy, DeployForm as Filled, Deployable, MAX_AMOUNT},
    components::{
        archetype::ArchetypeMark,
        dialog::Dialog,
        notice::{Loading, Problem},
    },
    pages::login::FormFault,
    text, url,
};

/// The parameter of the URL that says how the fleet is described, and its value for text.
const AS: &str = "as";
const TEXT: &str = "text";

/// The form as it is being filled in.
#[derive(Clone, Copy)]
struct Draft {
    /// Everything that was typed and chosen, for whichever archetype.
    form: RwSignal<Filled>,
    /// The chosen archetype.
    archetype: Memo<Option<ArchetypeView>>,
    /// What the form says: what stands in it, but for what the chosen archetype cannot have.
    said: Memo<Filled>,
    /// The seed that it was given where nobody typed one.
    sown: StoredValue<String>,
    /// Whether it is about deckies that are there and remain who they are: a seed would make other machines of them.
    keeps: Memo<bool>,
}

impl Draft {
    fn new(archetypes: Vec<ArchetypeView>, contains: bool, deckies: Memo<Vec<DeckyView>>) -> Self {
        let form = RwSignal::new(Filled {
            archetype: archetypes.first().map(|a| a.slug.clone()).unwrap_or_default(),
            amount: "1".to_owned(),
            egress: if contains {
                "deny".to_owned()
            } else {
                String::new()
            },
            ..Filled::default()
        });
        let known = archetypes.clone();
        let archetype = Memo::new(move |_| {
            let slug = form.with(|form| form.archetype.clone());
            known.iter().find(|a| a.slug == slug).cloned()
        });
        let said = Memo::new(move |_| {
            archetype.with(|of| {
                form.with(|form| match of {
                    Some(of) => fitted(form, of, &archetypes),
                    None => form.clone(),
                })
            })
        });
        let keeps = Memo::new(move |_| said.with(|said| deckies.with(|all| kept(said, all) > 0)));
        let draft = Self {
            form,
            archetype,
            said,
            sown: StoredValue::new(String::new()),
            keeps,
        };
        // What was sown for others is not said of them.
        Effect::new(move |_| {
            if keeps.get() && untrack(|| form.with(|form| draft.is_sown(&form.seed))) {
                form.update(|form| form.seed.clear());
            }
        });
        draft
    }

    /// Whether nobody typed this seed.
    fn is_sown(self, seed: &str) -> bool {
        !seed.is_empty() && self.sown.with_value(|sown| sown == seed)
    }

    /// Give the form a seed where it has none: what is shown and what will be deployed are made from one. A drawn one is drawn anew
    /// where what was made from it `was_refused`: another machine may fit what is set on it. Deckies that are there have theirs.
    fn sow(self, was_refused: bool) {
        let has_none =
            |form: &Filled| form.seed.trim().is_empty() || (was_refused && self.is_sown(&form.seed));
        if !self.keeps.get_untracked() && self.form.with_untracked(has_none) {
            let seed = text::draw(16);
            self.sown.set_value(seed.clone());
            self.form.update(|form| form.seed = seed);
        }
    }
}

/// The dialog.
#[component]
pub(super) fn DeployDialog(
    choices: Choices,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let query = use_query_map();
    view! {
        <Dialog title="Deploy deckies" close=close>
            <Suspense fallback=|| view! { <Loading rows=5 /> }>
                {move || Suspend::new(async move {
                    match choices.await {
                        Some(Ok(choices)) => view! { <Ways choices query deckies close /> }.into_any(),
                        Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        None => ().into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

/// The form, or the text. Both are there, so that going from one to the other loses nothing.
#[component]
fn Ways(
    choices: Deployable,
    query: Memo<ParamsMap>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let draft = Draft::new(choices.archetypes.clone(), choices.network.contains, deckies);
    let as_text = Memo::new(move |_| query.with(|q| q.get_str(AS) == Some(TEXT)));
    let to = move |way: Option<&str>| url::with("/fleet", &query.get(), &[(AS, way)]);
    let is_here = move |text: bool| (as_text.get() == text).then_some("true");
    let network = choices.network.clone();
    view! {
        <nav class="switch words" aria-label="Describe them by">
            <a href=move || to(None) aria-current=move || is_here(false) data-noscroll="">"A form"</a>
            <a href=move || to(Some(TEXT)) aria-current=move || is_here(true) data-noscroll="">"As text"</a>
        </nav>
        <Network network />
        <div hidden=move || as_text.get()>
            <GroupForm choices draft deckies close />
        </div>
        <div hidden=move || !as_text.get()>
            <DescriptionForm as_text draft deckies close />
        </div>
    }
    .into_any()
}

/// One decky or group, as a form can say it.
#[component]
fn GroupForm(
    choices: Deployable,
    draft: Draft,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let Deployable {
        archetypes,
        services,
        systems,
        bait,
        network,
    } = choices;
    let contains = network.contains;
    let Draft {
        form,
        archetype,
        said,
        ..
    } = draft;
    let deploy = ServerAction::<Deploy>::new();
    let Planned {
        plan,
        fault,
        ask,
        is_asking,
    } = planned(said.into(), deploy, deploy::deploy_preview);
    let ask = Callback::new(move |()| {
        draft.sow(fault.with_untracked(Option::is_some));
        ask.run(());
    });
    let told = Told::derive(move || fault.get().map(|fault| fault.fields).unwrap_or_default());
    // What has a field of its own is told there.
    let elsewhere = move || {
        fault.get().and_then(|mut fault| {
            let all = fault.fields.len();
            fault.fields.retain(|told| !has_field(&told.field, contains));
            (all == 0 || !fault.fields.is_empty()).then_some(fault)
        })
    };
    let node = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        // Once the faults are drawn, the first is where one goes on.
        if fault.with(Option::is_some) {
            request_animation_frame(move || field::focus_first_fault(node));
        }
    });
    let scripted = RwSignal::new(false);
    Effect::new(move |_| scripted.set(true));
    let scripted = Signal::from(scripted);
    view! {
        <ActionForm action=deploy>
            <div node_ref=node>
                <Archetypes archetypes=archetypes.clone() draft told />
                <div class="deploy-fields">
                    <Field
                        asked=Question {
                            number: Some((1, MAX_AMOUNT)),
                            required: true,
                            ..Question::new("amount", "How many")
                        }
                        value=Signal::derive(move || form.with(|form| form.amount.clone()))
                        set=Callback::new(move |text| form.update(|form| form.amount = text))
                        told
                    />
                    <Field
                        asked=Question {
                            note: " or prefix",
                            placeholder: "from the archetype".to_owned(),
                            max_length: 60,
                            pattern: Some((
                                "[a-z0-9]([a-z0-9\\-]*[a-z0-9])?",
                                "a-z, 0-9 and -, with no - at its beginning or end",
                            )),
                            ..Question::new("name", "Name")
                        }
                        value=Signal::derive(move || form.with(|form| form.name.clone()))
                        set=Callback::new(move |text| form.update(|form| form.name = text))
                        told
                    />
                </div>
                <Services services=services.clone() draft told scripted />
                <Adjust services draft told scripted />
                <More archetypes systems bait contains draft told scripted />
            </div>
            {move || {
                let archetype = archetype.get()?;
                let (fleet, words) = said.with(|said| deckies.with(|deckies| preview(&archetype, said, deckies)))?;
                Some(
                    view! {
                        <p class="preview" role="status">
                            <b>{fleet}</b>
                            {words}
                        </p>
                    },
                )
            }}
            {move || {
                let plan = plan.get()?;
                let drawn = said.with(|said| said.seed.trim().is_empty());
                Some(view! { <Plan plan deckies drawn /> })
            }}
            <FormFault fault=elsewhere />
            <Footer close ask is_asking is_deploying=deploy.pending().into() fault />
        </ActionForm>
    }
    .into_any()
}

/// Whether the form has a field of that name to tell a fault at.
fn has_field(field: &str, contains: bool) -> bool {
    matches!(field, "archetype" | "amount" | "name" | "services")
        || field.starts_with("knobs[")
        || more::has_field(field, contains)
}

/// Where the deckies will stand, or why none can be deployed.
#[component]
fn Network(network: FleetNetworkView) -> impl IntoView {
    let FleetNetworkView {
        engine,
        network,
        taken,
        reserved,
        free,
        problem,
        ..
    } = network;
    if let Some(problem) = problem {
        return view! {
            <div class="form-fault" role="alert">
                <p>"Nothing can be deployed now (engine "<b>{engine}</b>")."</p>
                <p>{text::title(&problem)}</p>
            </div>
        }
        .into_any();
    }
    let machines = |n: u64| text::plural(n, "other machine", "other machines");
    let others = (reserved > 0).then(|| format!(", {}", machines(reserved)));
    let room = match free {
        0 => "no address is free".to_owned(),
        free => format!("{} free", text::plural(free, "address is", "addresses are")),
    };
    view! {
        <p class="deploy-network">
            "On the engine "<b>{engine}</b>" in "<code>{network}</code>": "{text::plural(taken, "decky", "deckies")} {others}", "
            {room}"."
        </p>
    }
    .into_any()
}

#[component]
fn Archetypes(archetypes: Vec<ArchetypeView>, draft: Draft, told: Told) -> impl IntoView {
    let form = draft.form;
    let begin = form.with_untracked(|form| form.archetype.clone());
    let problem = problem_of(told, "archetype".to_owned());
    let draw = move |archetype: ArchetypeView| {
        let is_begin = archetype.slug == begin;
        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
        let slug = StoredValue::new(archetype.slug.clone());
        let is_chosen = move || form.with(|form| slug.with_value(|slug| form.archetype == *slug));
        view! {
            <label class="archetype">
                <input
                    type="radio"
                    name="form[archetype]"
                    value=archetype.slug.clone()
                    checked=is_begin
                    prop:checked=is_chosen
                    autofocus=is_begin
                    on:change=move |_| form.update(|form| form.archetype = slug.get_value())
                />
                <span class="archetype-body">
                    <ArchetypeMark slug=archetype.slug />
                    <b>{archetype.label}</b>
                    <span class="muted">{archetype.summary}</span>
                    <span class="names">
                        {services.into_iter().map(|s| view! { <span class="tag">{s}</span> }).collect_view()}
                    </span>
                </span>
            </label>
        }
    };
    view! {
        <fieldset class="archetypes" tabindex="-1" aria-invalid=is_wrong(problem) aria-describedby="about-archetype">
            <legend>"Archetype"</legend>
            // Above the kinds, which may be more than fit here.
            <div id="about-archetype">
                <FieldFault problem />
            </div>
            {archetypes.into_iter().map(draw).collect_view()}
        </fieldset>
    }
    .into_any()
}
