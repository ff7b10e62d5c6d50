//! The parts of the deploy form: a field with its label, what stands in it, and what the server says is wrong with that; and
//! what folds several away.

use decnet_model::{
    fleet::KnobKind,
    view::{FieldError, KnobView},
};
use leptos::{html, prelude::*};
use wasm_bindgen::JsCast as _;
use web_sys::HtmlElement;

use crate::components::icon::{Icon, Mark};

/// What is wrong with the form, by field, as the server calls them.
pub(super) type Told = Signal<Vec<FieldError>>;

/// What is asked for.
pub(super) struct Question {
    /// What the server calls it.
    pub(super) field: String,
    pub(super) label: String,
    pub(super) note: &'static str,
    /// What it is for, where a label does not say it.
    pub(super) summary: String,
    pub(super) placeholder: String,
    /// The least and the most, of a number.
    pub(super) number: Option<(u32, u32)>,
    pub(super) required: bool,
    pub(super) max_length: u32,
    /// What a text has to look like, and that in words.
    pub(super) pattern: Option<(&'static str, &'static str)>,
    /// The values that there are, each in words, where it is one of a few.
    pub(super) options: Vec<(String, String)>,
    /// Those of the options that there are now; all where absent.
    pub(super) offered: Option<Signal<Vec<String>>>,
    /// Values that are worth a try.
    pub(super) examples: Vec<String>,
}

impl Question {
    /// A text, which may be empty.
    pub(super) fn new(field: &str, label: &str) -> Self {
        Self {
            field: field.to_owned(),
            label: label.to_owned(),
            note: "",
            summary: String::new(),
            placeholder: String::new(),
            number: None,
            required: false,
            max_length: 128,
            pattern: None,
            options: Vec::new(),
            offered: None,
            examples: Vec::new(),
        }
    }

    /// A knob of a service; left alone, it is as the service has it.
    pub(super) fn knob(service: &str, knob: &KnobView) -> Self {
        let mut asked = Self {
            summary: knob.summary.clone(),
            placeholder: knob.preset.clone().unwrap_or_else(|| "none".to_owned()),
            max_length: 1024,
            ..Self::new(&format!("knobs[{service}][{}]", knob.name), &knob.name)
        };
        let itself = |word: &String| (word.clone(), word.clone());
        match knob.kind {
            KnobKind::Switch => {
                asked.options = vec![
                    ("true".to_owned(), "yes".to_owned()),
                    ("false".to_owned(), "no".to_owned()),
                ];
            }
            KnobKind::Choice => asked.options = knob.words.iter().map(itself).collect(),
            KnobKind::Number => asked.number = Some((0, u32::MAX)),
            KnobKind::Text => asked.examples.clone_from(&knob.words),
        }
        asked
    }
}

/// The field. `set` is told what stands in it whenever that changes.
#[component]
pub(super) fn Field(
    asked: Question,
    value: Signal<String>,
    set: Callback<String>,
    told: Told,
) -> impl IntoView {
    let Question {
        field,
        label,
        note,
        summary,
        placeholder,
        number,
        required,
        max_length,
        pattern,
        options,
        offered,
        examples,
    } = asked;
    // `knobs[ssh][banner]` is in the form what `amount` is.
    let name = match field.split_once('[') {
        Some((first, rest)) => format!("form[{first}][{rest}"),
        None => format!("form[{field}]"),
    };
    let described = format!("about-{field}");
    let list = (!examples.is_empty()).then(|| format!("examples-{field}"));
    let problem = problem_of(told, field);
    let wrong = is_wrong(problem);
    let kind = if number.is_some() { "number" } else { "text" };
    let control = if options.is_empty() {
        view! {
            <input
                name=name
                type=kind
                min=number.map(|(least, _)| least)
                max=number.map(|(_, most)| most)
                value=value.get_untracked()
                prop:value=move || value.get()
                placeholder=placeholder
                required=required
                maxlength=number.is_none().then_some(max_length)
                pattern=pattern.map(|(pattern, _)| pattern)
                title=pattern.map(|(_, words)| words)
                list=list.clone()
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                aria-invalid=wrong
                aria-describedby=described.clone()
                on:input=move |event| set.run(event_target_value(&event))
            />
        }
        .into_any()
    } else {
        let preset = options.iter().find(|(value, _)| *value == placeholder);
        let preset = preset.map_or(placeholder.clone(), |(_, words)| words.clone());
        let draw_option = |(value, words): (String, String)| {
            let of = value.clone();
            let is_out = move || offered.is_some_and(|offered| offered.with(|there| !there.contains(&of)));
            view! { <option value=value disabled=is_out.clone() hidden=is_out>{words}</option> }
        };
        view! {
            <span class="choice">
                <select
                    name=name
                    prop:value=move || value.get()
                    aria-invalid=wrong
                    aria-describedby=described.clone()
                    on:change=move |event| set.run(event_target_value(&event))
                >
                    <option value="">{format!("if left empty: {preset}")}</option>
                    {options.into_iter().map(draw_option).collect_view()}
                </select>
                <Mark icon=Icon::Down />
            </span>
        }
        .into_any()
    };
    let examples = list.map(|id| {
        view! { <datalist id=id>{examples.into_iter().map(|word| view! { <option value=word></option> }).collect_view()}</datalist> }
    });
    view! {
        <div class="field">
            <label>
                <span>{label}<small>{note}</small></span>
                {control}
            </label>
            {examples}
            <div id=described>
                <FieldFault problem />
                {(!summary.is_empty()).then(|| view! { <p class="muted">{summary}</p> })}
            </div>
        </div>
    }
    .into_any()
}

/// What is wrong with `field`, in one line; empty where nothing is.
pub(super) fn problem_of(told: Told, field: String) -> Signal<String> {
    Signal::derive(move || {
        told.with(|told| {
            let of = told.iter().filter(|told| told.field == field);
            of.map(|told| told.message.as_str())
                .collect::<Vec<_>>()
                .join("; ")
        })
    })
}

/// What `aria-invalid` says where something is wrong.
pub(super) fn is_wrong(
    problem: Signal<String>,
) -> impl Fn() -> Option<&'static str> + Copy + Send + Sync + 'static {
    move || problem.with(|problem| (!problem.is_empty()).then_some("true"))
}

/// What is wrong, where something is.
#[component]
pub(super) fn FieldFault(problem: Signal<String>) -> impl IntoView {
    move || {
        let problem = problem.get();
        (!problem.is_empty())
            .then(|| view! { <p class="field-fault" role="alert">{problem}</p> })
            .into_any()
    }
}

/// Fields that are mostly left alone, folded away. `set` is how many are not; where one `is_wrong`, the fold opens.
#[component]
pub(super) fn Fold(
    label: &'static str,
    /// What is in there.
    #[prop(default = "")]
    note: &'static str,
    set: Signal<usize>,
    is_wrong: Signal<bool>,
    children: Children,
) -> impl IntoView {
    // That it is mended does not close it.
    let fold = NodeRef::<html::Details>::new();
    Effect::new(move |_| {
        if is_wrong.get()
            && let Some(fold) = fold.get()
        {
            fold.set_open(true);
        }
    });
    view! {
        <details class="adjust" node_ref=fold open=is_wrong.get_untracked()>
            <summary>
                {label}{move || (set.get() > 0).then(|| format!(" ({} set)", set.get()))}" "<small>{note}</small>
            </summary>
            {children()}
        </details>
    }
    .into_any()
}

/// Go to the first field of `form` that something is wrong with.
pub(super) fn focus_first_fault(form: NodeRef<html::Div>) {
    // The dialog may be gone by now.
    let Some(form) = form.try_get_untracked().flatten() else {
        return;
    };
    if let Ok(Some(field)) = form.query_selector("[aria-invalid=true]")
        && let Ok(field) = field.dyn_into::<HtmlElement>()
        && let Err(error) = field.focus()
    {
        leptos::logging::warn!("the field with the fault does not take the focus: {error:?}");
    }
}
