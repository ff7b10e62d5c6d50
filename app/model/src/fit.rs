//! JSON that does not fit its type, read as far as it does: serde stops at the first fault, and whoever wrote the text wants to
//! hear of all.
//!
//! What a fault is about is taken out, and the rest is read again, so every fault is told in the words of the type itself. Start
//! at [`fit`].

use std::{collections::BTreeMap, fmt::Write as _};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::view::FieldError;

/// The most faults that are looked for: each is another reading of the whole.
pub const MOST: usize = 50;

/// What could be read of a value, and what could not.
#[derive(Debug)]
pub struct Fitted<T> {
    /// The value without what is at fault; `None` where nothing is left that fits.
    pub value: Option<T>,
    /// What is at fault, in the order of reading. The field is empty where it is the whole.
    pub faults: Vec<FieldError>,
    /// Where something was taken out of a list: those behind it have moved up.
    taken: BTreeMap<String, Vec<usize>>,
}

/// Read `value` as a `T`, or as much of it as fits.
#[must_use]
pub fn fit<T: DeserializeOwned>(mut value: Value) -> Fitted<T> {
    let mut fitted = Fitted {
        value: None,
        faults: Vec::new(),
        taken: BTreeMap::new(),
    };
    // Objects that lack something because we took it: that it is missing then is no fault of its own.
    let mut lacking = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => {
                fitted.value = Some(read);
                return fitted;
            }
            Err(error) => error,
        };
        let path: Vec<Part> = error.path().iter().map_while(Part::of).collect();
        let field = fitted.original(&place(&path));
        if !lacking.contains(&field) {
            fitted.faults.push(FieldError {
                field: field.clone(),
                message: error.inner().to_string(),
            });
        }
        let Some((last, above)) = path.split_last() else {
            return fitted;
        };
        let above_place = fitted.original(&place(above));
        let was_there = match (value_at(&mut value, above), last) {
            (Some(Value::Array(items)), Part::Item(index)) if *index < items.len() => {
                items.remove(*index);
                let original = fitted.original_index(&above_place, *index);
                fitted.taken.entry(above_place).or_default().push(original);
                true
            }
            (Some(Value::Object(fields)), Part::Field(name)) => {
                lacking.push(above_place);
                fields.remove(name).is_some()
            }
            _ => false,
        };
        if !was_there || fitted.faults.len() >= MOST {
            return fitted;
        }
    }
}

impl<T> Fitted<T> {
    /// Where a field of [`Fitted::value`], such as `deckies[1].services[0]`, stood in the value that was given.
    #[must_use]
    pub fn original(&self, field: &str) -> String {
        let mut out = String::new();
        let mut rest = field;
        while let Some((before, (index, behind))) = rest
            .split_once('[')
            .and_then(|(before, after)| Some((before, after.split_once(']')?)))
        {
            out.push_str(before);
            let index = match index.parse() {
                Ok(index) => self.original_index(&out, index).to_string(),
                Err(_) => index.to_owned(),
            };
            // Writing to a string cannot fail.
            let _written = write!(out, "[{index}]");
            rest = behind;
        }
        out + rest
    }

    /// Where an item of a list stood. What was taken out comes in the order of the list, as it is read.
    fn original_index(&self, list: &str, index: usize) -> usize {
        let taken = self.taken.get(list).into_iter().flatten();
        taken.fold(index, |index, taken| index + usize::from(*taken <= index))
    }
}

/// A step on the way to a value.
enum Part {
    Item(usize),
    Field(String),
}

impl Part {
    fn of(segment: &serde_path_to_error::Segment) -> Option<Self> {
        match segment {
            serde_path_to_error::Segment::Seq { index } => Some(Self::Item(*index)),
            serde_path_to_error::Segment::Map { key } => Some(Self::Field(key.clone())),
            // Of the inside of an enumeration, the whole is at fault.
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
        }
    }
}

/// The path as text: `deckies[1].services[0].slug`.
fn place(path: &[Part]) -> String {
    let mut out = String::new();
    for part in path {
        // Writing to a string cannot fail.
        let _written = match part {
            Part::Item(index) => write!(out, "[{index}]"),
            Part::Field(name) if out.is_empty() => write!(out, "{name}"),
            Part::Field(name) => write!(out, ".{name}"),
        };
    }
    out
}

fn value_at<'v>(value: &'v mut Value, path: &[Part]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, part| match part {
        Part::Item(index) => value.get_mut(*index),
        Part::Field(name) => value.get_mut(name.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::FleetSpec;

    fn faults(value: Value) -> (Option<FleetSpec>, Vec<(String, String)>) {
        let fitted = fit::<FleetSpec>(value);
        let told = fitted.faults.into_iter().map(|f| (f.field, f.message)).collect();
        (fitted.value, told)
    }

    #[test]
    fn every_fault_is_told_where_it_stands_and_the_rest_is_read() {
        let fitted = fit::<FleetSpec>(json!({
            "deckies": [
                7,
                { "name": "No Name", "amount": 2 },
                { "services": [
                    { "slug": "SSH" }, { "slug": "redis", "colour": 1 }, {}, { "slug": "ftp" }, { "slug": "h t t p" }, { "slug": "smtp" }
                ] },
            ],
            "replace": "yes",
        }));
        let places: Vec<_> = fitted.faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            places,
            [
                "deckies[0]",
                "deckies[1].name",
                "deckies[2].services[0].slug",
                "deckies[2].services[1].colour",
                "deckies[2].services[2]",
                "deckies[2].services[4].slug",
                "replace"
            ]
        );
        assert!(fitted.faults[1].message.contains("a-z, 0-9 and -"), "{fitted:?}");
        let read = fitted.value.as_ref().unwrap();
        assert_eq!(read.deckies[0].amount, Some(2));
        let slugs: Vec<_> = read.deckies[1].services.iter().map(|s| s.slug.as_str()).collect();
        assert_eq!(slugs, ["redis", "ftp", "smtp"]);
        for (now, then) in [(0, 1), (1, 3), (2, 5)] {
            let field = format!("deckies[1].services[{now}].knobs");
            assert_eq!(
                fitted.original(&field),
                format!("deckies[2].services[{then}].knobs")
            );
        }
        assert_eq!(fitted.original("deckies[0].ip"), "deckies[1].ip");
    }

    #[test]
    fn what_fits_has_no_fault_and_of_what_is_another_thing_nothing_is_left() {
        let (read, told) = faults(json!({ "deckies": [{ "amount": 3 }] }));
        assert_eq!((read.unwrap().deckies[0].amount, told), (Some(3), vec![]));
        let (read, told) = faults(json!("a fleet"));
        assert_eq!(read, None);
        assert_eq!((told.len(), told[0].0.as_str()), (1, ""));
    }

    #[test]
    fn faults_without_end_have_an_end() {
        let many: Vec<Value> = (0..1000).map(|n| json!({ "amount": n.to_string() })).collect();
        let (read, told) = faults(json!({ "deckies": many }));
        assert_eq!((read, told.len()), (None, MOST));
    }
}
