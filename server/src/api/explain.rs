//! What is wrong with a request, for whoever sent it: the field, what is allowed, what was given.
//!
//! serde stops at the first fault and tells it in terms of Rust. So a value that does not fit its type is held against
//! the type's schema, which is what the OpenAPI document shows to clients, and every fault that the schema sees is told
//! at once. With them come those that it cannot see, such as the pattern of a name, in the words of the type itself
//! ([`decnet_model::fit`]). All of this happens only once a request has failed: one that is as it should be pays
//! nothing for it.

use std::{collections::BTreeSet, sync::LazyLock};

use decnet_model::{fit::fit, view::FieldError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, PartialSchema, openapi::path::ParameterIn};
use uuid::Uuid;

/// The most characters of what was given that are shown again.
const SHOWN: usize = 40;

/// Where schemas refer to.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(super::api(super::lists()).to_openapi()).unwrap_or_default());

/// Every fault of a body that is JSON and no `T`.
pub(super) fn body<T: DeserializeOwned + PartialSchema>(value: &Value) -> Vec<FieldError> {
    let mut faults = Faults::default();
    faults.check(&schema_of::<T>(), value, "");
    let is_seen = !faults.0.is_empty();
    let fitted = fit::<T>(value.clone());
    for FieldError { field, message } in &fitted.faults {
        let is_told = faults.0.iter().any(|known| known.field == *field);
        // Of what serde itself does not like, the schema has spoken.
        if !(is_told || is_seen && is_of_serde(message)) {
            faults.add(field, own_words(message));
        }
    }
    if faults.0.is_empty() {
        // Read as a value, the last of two fields of one name counts.
        faults.add("", "a field stands in it more than once");
    }
    faults.0
}

/// Every fault of a query that is no `T`.
pub(super) fn query<T: IntoParams>(pairs: &[(String, String)]) -> Vec<FieldError> {
    let parameters = serde_json::to_value(T::into_params(|| Some(ParameterIn::Query))).unwrap_or_default();
    let known: Vec<(&str, &Value)> = parameters
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| Some((p.get("name")?.as_str()?, p.get("schema")?)))
        .collect();
    let needed = parameters
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p.get("required").is_some_and(|needed| needed == true))
        .filter_map(|p| p.get("name")?.as_str());
    let mut faults = Faults::default();
    let mut seen = BTreeSet::new();
    for (name, text) in pairs {
        match known.iter().find(|(known, _)| known == name) {
            None => faults.unknown("parameter", name, known.iter().map(|(name, _)| *name)),
            Some(_) if !seen.insert(name) => faults.add(name, "is given more than once"),
            Some((_, schema)) => faults.check(schema, &as_value(schema, text), name),
        }
    }
    for name in needed.filter(|name| !pairs.iter().any(|(given, _)| given == name)) {
        faults.add(name, "is needed");
    }
    if faults.0.is_empty() {
        faults.add("query", UNFIT);
    }
    faults.0
}

/// What is wrong with a parameter of the path; `said` is what its type says of it.
pub(super) fn parameter<T: PartialSchema>(name: &str, text: &str, said: &str) -> Vec<FieldError> {
    let schema = schema_of::<T>();
    let mut faults = Faults::default();
    faults.check(&schema, &as_value(&schema, text), name);
    if faults.0.is_empty() {
        faults.add(name, own_words(said));
    }
    faults.0
}

/// Where neither the schema nor the type has words for it.
const UNFIT: &str = "is not as the API's description says";

fn schema_of<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

/// Whether serde says this of a value, and not a type of ours.
fn is_of_serde(said: &str) -> bool {
    const OF_SERDE: &[&str] = &[
        "invalid ",
        "missing ",
        "unknown ",
        "duplicate ",
        "data did not match",
    ];
    OF_SERDE.iter().any(|start| said.starts_with(start))
}

/// What a type of ours says of a value that it refuses. serde's own phrases are about Rust, and not for a client.
fn own_words(said: &str) -> String {
    if is_of_serde(said) {
        UNFIT.to_owned()
    } else {
        said.chars().take(200).collect()
    }
}

/// The text of a query or a path as the value that its schema means.
fn as_value(schema: &Value, text: &str) -> Value {
    let schema = resolved(schema);
    let number = || text.parse::<i64>().ok().map(Value::from);
    let word = || text.parse::<bool>().ok().map(Value::from);
    let parsed = if is_of(schema, "integer") {
        number()
    } else if is_of(schema, "boolean") {
        word()
    } else {
        None
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// The schema itself, where it is a reference to one or an optional one.
fn resolved(schema: &Value) -> &Value {
    let mut schema = schema;
    // A reference to a reference is rare, and a circle of them is none of ours.
    for _ in 0..4 {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|at| DOCUMENT.pointer(at.strip_prefix('#')?));
        let alternative = || {
            let items = schema.get("oneOf")?.as_array()?;
            items.iter().find(|item| !is_of(item, "null"))
        };
        match target.or_else(alternative) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Whether the schema is of this type, alone or among others.
fn is_of(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(own)) => own == kind,
        Some(Value::Array(several)) => several.iter().any(|own| own == kind),
        _ => false,
    }
}

/// Whether the schema takes `null`.
fn is_optional(schema: &Value) -> bool {
    let alternatives = schema.get("oneOf").and_then(Value::as_array);
    is_of(schema, "null") || alternatives.is_some_and(|items| items.iter().any(|item| is_of(item, "null")))
}

fn number(schema: &Value, key: &str) -> Option<i64> {
    schema.get(key)?.as_i64()
}

fn format(schema: &Value) -> Option<&str> {
    schema.get("format")?.as_str()
}

/// What a schema allows, in words.
fn allowed(schema: &Value) -> String {
    let optional = if is_optional(schema) { ", or null" } else { "" };
    let schema = resolved(schema);
    let words = if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        format!("one of {}", words.join(", "))
    } else if is_of(schema, "integer") {
        match bounds(schema) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            (Some(least), None) => format!("a whole number of at least {least}"),
            (None, Some(most)) => format!("a whole number of at most {most}"),
            (None, None) => "a whole number".to_owned(),
        }
    } else if is_of(schema, "number") {
        "a number".to_owned()
    } else if is_of(schema, "boolean") {
        "true or false".to_owned()
    } else if is_of(schema, "array") {
        "a list".to_owned()
    } else if is_of(schema, "string") {
        match (
            format(schema),
            number(schema, "minLength"),
            number(schema, "maxLength"),
        ) {
            (Some("date-time"), ..) => "a time such as 2026-11-20T21:53:00Z".to_owned(),
            (Some("uuid"), ..) => "an id such as 01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            (Some("ip"), ..) => "an IP address".to_owned(),
            (_, Some(least), Some(most)) => format!("text of {least} to {most} characters"),
            (_, None, Some(most)) => format!("text of at most {most} characters"),
            _ => "text".to_owned(),
        }
    } else {
        "an object".to_owned()
    };
    words + optional
}

/// The least and the greatest number; a type has bounds too where the schema says none.
fn bounds(schema: &Value) -> (Option<i64>, Option<i64>) {
    let least = number(schema, "minimum");
    let most = number(schema, "maximum").or_else(|| match (format(schema), least) {
        (Some("int32"), Some(0..)) => Some(i64::from(u32::MAX)),
        (Some("int32"), _) => Some(i64::from(i32::MAX)),
        _ => None,
    });
    (least, most)
}

/// What was given, in words. A secret is not shown again.
fn given(schema: &Value, value: &Value) -> String {
    let secret = format(resolved(schema)) == Some("password");
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if secret => format!("{} characters", text.chars().count()),
        Value::Number(_) if secret => "a number".to_owned(),
        Value::Bool(known) => known.to_string(),
        Value::Number(known) => shortened(&known.to_string()),
        Value::String(text) => format!("\"{}\"", shortened(&text.escape_debug().to_string())),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// The place of a field in its object.
fn within(place: &str, field: &str) -> String {
    if place.is_empty() {
        shortened(field)
    } else {
        format!("{place}.{}", shortened(field))
    }
}

/// What is wrong, all of it.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, place: &str, message: impl Into<String>) {
        let field = if place.is_empty() { "body" } else { place };
        self.0.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn unknown<'a>(&mut self, what: &str, place: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<_> = known.collect();
        let words = if known.is_empty() {
            format!("there is no such {what}, nor any other")
        } else {
            format!("there is no such {what}; there are {}", known.join(", "))
        };
        self.add(&within("", place), words);
    }

    fn unfit(&mut self, schema: &Value, value: &Value, place: &str) {
        self.add(
            place,
            format!("{}, not {}", allowed(schema), given(schema, value)),
        );
    }

    fn check(&mut self, declared: &Value, value: &Value, place: &str) {
        if value.is_null() && is_optional(declared) {
            return;
        }
        let schema = resolved(declared);
        let fits = match value {
            Value::Null => is_of(schema, "null"),
            Value::Bool(_) => is_of(schema, "boolean"),
            Value::Number(n) => is_of(schema, "number") || is_of(schema, "integer") && !n.is_f64(),
            Value::String(_) => is_of(schema, "string"),
            Value::Array(_) => is_of(schema, "array"),
            Value::Object(_) => is_of(schema, "object"),
        };
        if !fits {
            // A schema without a type takes anything.
            if schema.get("type").is_some() {
                self.unfit(declared, value, place);
            }
            return;
        }
        match value {
            Value::Number(n) => {
                let (least, most) = bounds(schema);
                // What is beyond 64 bits with a sign is beyond every bound.
                let inside = n
                    .as_i64()
                    .map(|n| least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most));
                if !inside.unwrap_or(n.is_f64()) {
                    self.unfit(declared, value, place);
                }
            }
            Value::String(text) => {
                if !takes_text(schema, text) {
                    self.unfit(declared, value, place);
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (no, item) in items.iter().enumerate() {
                        self.check(schema, item, &format!("{place}[{no}]"));
                    }
                }
            }
            Value::Object(fields) => self.check_fields(schema, fields, place),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_fields(&mut self, schema: &Value, fields: &serde_json::Map<String, Value>, place: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let property = |name: &str| properties.and_then(|all| all.get(name));
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let what = property(name).map_or_else(String::new, |schema| format!(": {}", allowed(schema)));
                self.add(&within(place, name), format!("is needed{what}"));
            }
        }
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (name, value) in fields {
            match property(name) {
                Some(schema) => self.check(schema, value, &within(place, name)),
                None if closed => {
                    let known = properties
                        .into_iter()
                        .flat_map(|all| all.keys().map(String::as_str));
                    self.unknown("field", &within(place, name), known);
                }
                None => {}
            }
        }
    }
}

fn takes_text(schema: &Value, text: &str) -> bool {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .is_none_or(|values| values.iter().any(|value| value == text));
    let formed = match format(schema) {
        Some("date-time") => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        Some("uuid") => Uuid::parse_str(text).is_ok(),
        Some("ip") => text.parse::<std::net::IpAddr>().is_ok(),
        _ => true,
    };
    listed
        && formed
        && number(schema, "minLength").is_none_or(|least| length >= least)
        && number(schema, "maxLength").is_none_or(|most| length <= most)
}
