//! Which changes of the API's description break a client that was written by an older one. What is new beside the old breaks nobody:
//! another route, a parameter that may be left out, one more field of an answer, one more word of a closed list in it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// A client sends it: what was taken has to be taken.
    In,
    /// A client reads it: what is told has to be what could be told.
    Out,
}

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Everything in `now` that a client of `then` would stumble over, each in a sentence.
pub(crate) fn breaks(then: &Value, now: &Value) -> Vec<String> {
    let mut found = Found {
        then,
        now,
        seen: BTreeSet::new(),
        told: Vec::new(),
    };
    for (path, item) in fields(&then["paths"]) {
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            let name = format!("{} {path}", method.to_uppercase());
            match now["paths"][path].get(*method) {
                Some(operation) => found.operation(&name, &item[*method], operation),
                None => found.tell(format!("{name} is gone")),
            }
        }
    }
    found.told
}

struct Found<'a> {
    then: &'a Value,
    now: &'a Value,
    /// Pairs of schemas, by where they are, that are compared already or are being compared: a schema may hold itself.
    seen: BTreeSet<(usize, usize, Way)>,
    told: Vec<String>,
}

impl<'a> Found<'a> {
    fn tell(&mut self, sentence: String) {
        if !self.told.contains(&sentence) {
            self.told.push(sentence);
        }
    }

    fn operation(&mut self, name: &str, then: &'a Value, now: &'a Value) {
        let (old, new) = (parameters(then), parameters(now));
        for parameter in &old {
            let what = format!("{name}: the parameter {}", text(parameter, "name"));
            match new.iter().find(|other| is_same(parameter, other)) {
                None => self.tell(format!("{what} is no longer taken")),
                Some(other) => {
                    if is_needed(other) && !is_needed(parameter) {
                        self.tell(format!("{what} could be left out, and is needed now"));
                    }
                    self.schema(&what, Way::In, &parameter["schema"], &other["schema"]);
                }
            }
        }
        for parameter in new.iter().filter(|parameter| is_needed(parameter)) {
            if !old.iter().any(|other| is_same(parameter, other)) {
                self.tell(format!(
                    "{name}: the parameter {} is new, and needed",
                    text(parameter, "name")
                ));
            }
        }
        self.body(name, then.get("requestBody"), now.get("requestBody"));
        for (status, answer) in fields(&then["responses"]).filter(|(status, _)| status.starts_with('2')) {
            match now["responses"].get(status) {
                None => self.tell(format!("{name} no longer answers {status}")),
                Some(other) => self.contents(&format!("{name}: its answer"), Way::Out, answer, other),
            }
        }
    }

    fn body(&mut self, name: &str, then: Option<&'a Value>, now: Option<&'a Value>) {
        let what = format!("{name}: its body");
        match (then, now) {
            (None, Some(body)) if is_needed(body) => self.tell(format!("{what} is new, and needed")),
            (Some(_), None) => self.tell(format!("{what} is no longer taken")),
            (Some(then), Some(now)) => {
                if is_needed(now) && !is_needed(then) {
                    self.tell(format!("{what} could be left out, and is needed now"));
                }
                self.contents(&what, Way::In, then, now);
            }
            (None, _) => {}
        }
    }

    fn contents(&mut self, what: &str, way: Way, then: &'a Value, now: &'a Value) {
        for (kind, content) in fields(&then["content"]) {
            match now["content"].get(kind) {
                Some(other) => self.schema(what, way, &content["schema"], &other["schema"]),
                None => self.tell(format!("{what} is no longer {kind}")),
            }
        }
    }

    fn schema(&mut self, what: &str, way: Way, then: &'a Value, now: &'a Value) {
        let (mut old, mut new) = (forms(self.then, then), forms(self.now, now));
        let null_then = take_null(&mut old);
        let null_now = take_null(&mut new);
        match way {
            Way::In if null_then && !null_now => self.tell(format!("{what}: null is no longer taken")),
            Way::Out if null_now && !null_then => self.tell(format!("{what} may be null now")),
            Way::In | Way::Out => {}
        }
        if let ([old], [new]) = (old.as_slice(), new.as_slice()) {
            self.form(what, way, old, new);
            return;
        }
        // The forms that may come, of which each has to be one of those that are expected.
        let (come, expected) = match way {
            Way::In => (&old, &new),
            Way::Out => (&new, &old),
        };
        for form in come {
            let is_one = expected.iter().any(|other| {
                let mut tried = Found {
                    then: self.then,
                    now: self.now,
                    seen: self.seen.clone(),
                    told: Vec::new(),
                };
                match way {
                    Way::In => tried.form(what, way, form, other),
                    Way::Out => tried.form(what, way, other, form),
                }
                tried.told.is_empty()
            });
            if !is_one {
                let named = named(form);
                self.tell(match way {
                    Way::In => format!("{what}: {named} is no longer taken as it was"),
                    Way::Out => format!("{what}: {named} may come, and could not or was otherwise"),
                });
            }
        }
    }

    /// Two schemas without alternatives.
    fn form(&mut self, what: &str, way: Way, then: &'a Value, now: &'a Value) {
        let place = |schema: &Value| std::ptr::from_ref(schema).addr();
        if !self.seen.insert((place(then), place(now), way)) {
            return;
        }
        let (old, new) = (kinds(then), kinds(now));
        let (come, expected) = match way {
            Way::In => (&old, &new),
            Way::Out => (&new, &old),
        };
        // A schema without a type is anything.
        let fits = |kind: &&str| expected.contains(kind) || *kind == "integer" && expected.contains("number");
        if !expected.is_empty() && (come.is_empty() || !come.iter().all(fits)) {
            self.tell(format!("{what} was {}, and is {} now", named(then), named(now)));
            return;
        }
        self.words(what, way, then, now);
        if way == Way::In {
            self.bounds(what, then, now);
        }
        if then.get("format") != now.get("format") && (way == Way::Out || now.get("format").is_some()) {
            self.tell(format!("{what} is written otherwise: {}", named(now)));
        }
        let (needed_then, needed_now) = (needed(then), needed(now));
        for (name, field) in fields(&then["properties"]) {
            let what = format!("{what}: the field {name}");
            match now["properties"].get(name) {
                None if way == Way::In => self.tell(format!("{what} is no longer taken")),
                None => self.tell(format!("{what} is gone")),
                Some(other) => {
                    match way {
                        Way::In
                            if needed_now.contains(name.as_str()) && !needed_then.contains(name.as_str()) =>
                        {
                            self.tell(format!("{what} could be left out, and is needed now"));
                        }
                        Way::Out
                            if needed_then.contains(name.as_str()) && !needed_now.contains(name.as_str()) =>
                        {
                            self.tell(format!("{what} was always there, and may be missing now"));
                        }
                        Way::In | Way::Out => {}
                    }
                    self.schema(&what, way, field, other);
                }
            }
        }
        for name in needed_now.iter().filter(|_| way == Way::In) {
            if then["properties"].get(*name).is_none() {
                self.tell(format!("{what}: the field {name} is new, and needed"));
            }
        }
        for part in ["items", "additionalProperties"] {
            if let (Some(old), Some(new)) = (then.get(part), now.get(part))
                && old.is_object()
                && new.is_object()
            {
                self.schema(&format!("{what}: each of it"), way, old, new);
            }
        }
    }

    fn words(&mut self, what: &str, way: Way, then: &Value, now: &Value) {
        match (way, then["enum"].as_array(), now["enum"].as_array()) {
            (Way::In, None, Some(_)) => self.tell(format!("{what} was any text, and is {} now", named(now))),
            (Way::Out, Some(_), None) => {
                self.tell(format!("{what} was {}, and is any text now", named(then)))
            }
            (Way::In, Some(old), Some(new)) => {
                for word in old.iter().filter(|word| !new.contains(word)) {
                    self.tell(format!("{what} is no longer taken as {word}"));
                }
            }
            _ => {}
        }
    }

    fn bounds(&mut self, what: &str, then: &Value, now: &Value) {
        let least = ["minimum", "minLength", "minItems"].map(|bound| (bound, false));
        let most = ["maximum", "maxLength", "maxItems"].map(|bound| (bound, true));
        for (bound, is_most) in least.into_iter().chain(most) {
            let (old, new) = (then[bound].as_i64(), now[bound].as_i64());
            let narrower = match (old, new) {
                (_, None) => false,
                // A length is never below nothing.
                (None, Some(new)) => is_most || new > 0 || bound == "minimum",
                (Some(old), Some(new)) if is_most => new < old,
                (Some(old), Some(new)) => new > old,
            };
            if narrower {
                self.tell(format!("{what} is narrower: {bound} is {}", now[bound]));
            }
        }
        if now.get("pattern").is_some() && then.get("pattern") != now.get("pattern") {
            self.tell(format!("{what} has to be of another form: {}", now["pattern"]));
        }
    }
}

fn fields(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

fn parameters(operation: &Value) -> Vec<&Value> {
    operation["parameters"].as_array().into_iter().flatten().collect()
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["name"] == other["name"] && one["in"] == other["in"]
}

fn is_needed(part: &Value) -> bool {
    part["required"] == true
}

fn needed(schema: &Value) -> BTreeSet<&str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// The types that a schema takes.
fn kinds(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(kind) => BTreeSet::from([kind.as_str()]),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

/// The alternatives of a schema, each without a reference.
fn forms<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut schema = schema;
    while let Some(at) = schema["$ref"].as_str() {
        let target = document.pointer(at.trim_start_matches('#'));
        schema = target.unwrap_or_else(|| panic!("{at} is nowhere"));
    }
    let alternatives = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array());
    match alternatives {
        // Formats of one text are no schemas of their own.
        Some(forms) if schema.get("type").is_none() => forms
            .iter()
            .flat_map(|form| self::forms(document, form))
            .collect(),
        _ => vec![schema],
    }
}

/// Takes the alternative that is nothing but null out of some; whether there was one.
fn take_null(forms: &mut Vec<&Value>) -> bool {
    let all = forms.len();
    forms.retain(|form| form["type"] != "null");
    forms.len() < all
}

/// A schema in a few words.
fn named(schema: &Value) -> String {
    let kinds = kinds(schema);
    let mut words = if kinds.is_empty() {
        "anything".to_owned()
    } else {
        kinds.into_iter().collect::<Vec<_>>().join(" or ")
    };
    if let Some(format) = schema["format"].as_str() {
        words = format!("{words} ({format})");
    }
    if let Some(listed) = schema["enum"].as_array() {
        let listed: Vec<_> = listed.iter().map(ToString::to_string).collect();
        words = format!("one of {}", listed.join(", "));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "paths": {
                "/things": {
                    "get": {
                        "parameters": [
                            { "name": "limit", "in": "query", "required": false, "schema": { "type": "integer", "minimum": 1, "maximum": 500 } },
                            { "name": "kind", "in": "query", "required": false, "schema": { "$ref": "#/components/schemas/Kind" } },
                        ],
                        "responses": { "200": { "content": { "application/json": { "schema": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } } } } }, "422": {} },
                    },
                    "post": {
                        "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } },
                        "responses": { "201": {} },
                    },
                },
            },
            "components": { "schemas": {
                "Kind": { "type": "string", "enum": ["a", "b"] },
                "Thing": {
                    "type": "object", "required": ["name"],
                    "properties": {
                        "name": { "type": "string", "maxLength": 64 },
                        "kind": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Kind" }] },
                        "inner": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Thing" }] },
                        "since": { "type": ["string", "null"], "format": "date-time" },
                    },
                },
            } },
        })
    }

    /// Change the document at a place; `null` takes it away.
    fn with(at: &str, value: &Value) -> Value {
        let mut document = document();
        let (parent, key) = at.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        let parent = document.pointer_mut(parent).unwrap();
        match (parent, value) {
            (Value::Object(fields), Value::Null) => {
                fields.remove(&key).unwrap();
            }
            (Value::Object(fields), value) => {
                fields.insert(key, value.clone());
            }
            (Value::Array(items), Value::Null) => {
                items.remove(key.parse().unwrap());
            }
            (Value::Array(items), value) => items.push(value.clone()),
            _ => panic!("{at}"),
        }
        document
    }

    #[test]
    fn what_breaks_clients_is_told() {
        let get = "/paths/~1things/get";
        let thing = "/components/schemas/Thing";
        for (at, value, told) in [
            ("/paths/~1things".to_owned(), json!(null), "GET /things is gone"),
            (
                format!("{get}/parameters/0"),
                json!(null),
                "the parameter limit is no longer taken",
            ),
            (
                format!("{get}/parameters/-"),
                json!({ "name": "by", "in": "query", "required": true, "schema": { "type": "string" } }),
                "the parameter by is new, and needed",
            ),
            (
                format!("{get}/parameters/0/required"),
                json!(true),
                "could be left out, and is needed now",
            ),
            (
                format!("{get}/parameters/0/schema/maximum"),
                json!(100),
                "is narrower: maximum is 100",
            ),
            (
                format!("{get}/parameters/0/schema/type"),
                json!("boolean"),
                "was integer, and is boolean now",
            ),
            (
                format!("{get}/parameters/0/schema/pattern"),
                json!("^x$"),
                "of another form",
            ),
            (
                format!("{get}/responses/200"),
                json!(null),
                "no longer answers 200",
            ),
            (
                "/components/schemas/Kind/enum/0".to_owned(),
                json!(null),
                "is no longer taken as \"a\"",
            ),
            (
                "/components/schemas/Kind/enum".to_owned(),
                json!(null),
                "is any text now",
            ),
            (
                format!("{thing}/properties/since"),
                json!(null),
                "the field since is gone",
            ),
            (
                format!("{thing}/required"),
                json!([]),
                "was always there, and may be missing now",
            ),
            (
                format!("{thing}/required"),
                json!(["name", "since"]),
                "the field since could be left out, and is needed now",
            ),
            (
                format!("{thing}/properties/name/type"),
                json!("integer"),
                "the field name was string, and is integer now",
            ),
            (
                format!("{thing}/properties/name/type"),
                json!(["string", "null"]),
                "is null or string now",
            ),
            (
                format!("{thing}/properties/name/maxLength"),
                json!(8),
                "is narrower: maxLength is 8",
            ),
            (
                format!("{thing}/properties/since/format"),
                json!("date"),
                "is written otherwise: null or string (date)",
            ),
            (
                format!("{thing}/properties/kind"),
                json!({ "$ref": "#/components/schemas/Kind" }),
                "null is no longer taken",
            ),
            (
                format!("{thing}/properties/inner"),
                json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }),
                "was object, and is string now",
            ),
            (
                "/paths/~1things/post/requestBody".to_owned(),
                json!(null),
                "its body is no longer taken",
            ),
        ] {
            let found = breaks(&document(), &with(&at, &value));
            assert!(
                found.iter().any(|sentence| sentence.contains(told)),
                "{at} {value}: {found:#?}"
            );
        }
    }

    #[test]
    fn what_is_added_breaks_nobody() {
        let get = "/paths/~1things/get";
        let thing = "/components/schemas/Thing";
        for (at, value) in [
            (
                "/paths/~1more".to_owned(),
                json!({ "get": { "responses": { "200": {} } } }),
            ),
            (
                "/paths/~1things/delete".to_owned(),
                json!({ "responses": { "204": {} } }),
            ),
            (
                format!("{get}/parameters/-"),
                json!({ "name": "by", "in": "query", "required": false, "schema": { "type": "string" } }),
            ),
            (format!("{get}/parameters/0/schema/maximum"), json!(1_000)),
            (format!("{get}/parameters/0/schema/minimum"), json!(null)),
            (format!("{get}/parameters/0/description"), json!("other words")),
            (format!("{get}/responses/418"), json!({})),
            ("/components/schemas/Kind/enum/-".to_owned(), json!("c")),
            (format!("{thing}/properties/more"), json!({ "type": "string" })),
            (
                format!("{thing}/properties/name/description"),
                json!("other words"),
            ),
            ("/components/schemas/More".to_owned(), json!({ "type": "string" })),
        ] {
            assert_eq!(breaks(&document(), &with(&at, &value)), [""; 0], "{at} {value}");
        }
        assert_eq!(breaks(&document(), &document()), [""; 0]);
    }
}
