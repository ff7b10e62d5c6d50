//! Text with placeholders: `{{word}}` or `{{word:argument:argument}}`.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `company`, `company_slug`, `domain`, `hostname`, `fqdn`, `mac`, `os` | who the machine is |
//! | `admin`, `admin.full`, `admin.password`, `admin.home` | the person who looks after it |
//! | `root.password` | root's (or Administrator's) password |
//! | `user`, `user.full`, `user.home` | one of its people, the same throughout an entry |
//! | `password:LABEL` | [`Persona::password`] of the label: the same wherever the label stands |
//! | `token:N:LABEL`, `hex:N:LABEL` | N letters and digits, or hex digits, the same wherever the label stands |
//! | `token:N`, `hex:N`, `digits:N` | N drawn ones |
//! | `int:LOW:HIGH`, `money:LOW:HIGH` | a drawn number; with two decimals |
//! | `count:LOW:HIGH:ONE:MANY` | a drawn number and the word for that many: `1 site`, `3 sites` |
//! | `pick:a\|b\|c` | one of them; a `\|` that belongs to the text is written `\\\|` |
//! | `say:LIST` | one of the phrases of a list (`[phrases]` of a bait file), itself filled |
//! | `say:LIST:LABEL` | the same, and always the same one wherever the label stands |
//! | `some:LOW:HIGH:LIST,LIST` | so many different phrases of the lists in a drawn order, one a line; all where there are fewer |
//! | `date:NEWEST:OLDEST`, `datetime:NEWEST:OLDEST`, `unix:NEWEST:OLDEST` | a time so many days before the last boot |
//! | `year` | the year of the last boot |
//! | `i` | number of the row or the key, from 1 |
//! | `person`, `person.first`, `person.last`, `person.login`, `person.email` | somebody, the same throughout a row and a line of `some` |
//! | `street`, `zip`, `city`, `phone` | an address in the company's country and a telephone there, the same throughout a row |
//! | `account` | a bank account in that country |
//! | `office`, `office.city`, `office.phone`, `country` | the company's own address in one line, and its parts |
//! | `lan` | the first three numbers of a private network |

use std::fmt;

use serde::Deserialize;
use time::{OffsetDateTime, macros::format_description};

use super::{
    Phrases,
    country::{Country, Place},
};
use crate::{
    Persona, Rng, User,
    names::{self, LoginStyle, Person},
};

/// Checked text with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder { name: Name, args: Vec<String> },
}

/// A placeholder that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("placeholder {given:?}: {problem}")]
pub struct TemplateError {
    given: String,
    problem: &'static str,
}

macro_rules! placeholders {
    ($($name:ident = $text:literal, $least:literal ..= $most:literal),* $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Name { $($name),* }

        impl Name {
            /// The placeholder of that word and how many arguments it takes.
            fn find(word: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match word { $($text => Some((Self::$name, $least..=$most)),)* _ => None }
            }

            fn word(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

placeholders! {
    Company = "company", 0..=0,
    CompanySlug = "company_slug", 0..=0,
    Domain = "domain", 0..=0,
    Hostname = "hostname", 0..=0,
    Fqdn = "fqdn", 0..=0,
    Mac = "mac", 0..=0,
    Os = "os", 0..=0,
    Admin = "admin", 0..=0,
    AdminFull = "admin.full", 0..=0,
    AdminPassword = "admin.password", 0..=0,
    AdminHome = "admin.home", 0..=0,
    RootPassword = "root.password", 0..=0,
    User = "user", 0..=0,
    UserFull = "user.full", 0..=0,
    UserHome = "user.home", 0..=0,
    Password = "password", 1..=1,
    Token = "token", 1..=2,
    Hex = "hex", 1..=2,
    Digits = "digits", 1..=1,
    Int = "int", 2..=2,
    Money = "money", 2..=2,
    Count = "count", 4..=4,
    Pick = "pick", 1..=1,
    Say = "say", 1..=2,
    Some = "some", 3..=3,
    Date = "date", 2..=2,
    DateTime = "datetime", 2..=2,
    Unix = "unix", 2..=2,
    Year = "year", 0..=0,
    Row = "i", 0..=0,
    Person = "person", 0..=0,
    PersonFirst = "person.first", 0..=0,
    PersonLast = "person.last", 0..=0,
    PersonLogin = "person.login", 0..=0,
    PersonEmail = "person.email", 0..=0,
    Street = "street", 0..=0,
    Zip = "zip", 0..=0,
    City = "city", 0..=0,
    Phone = "phone", 0..=0,
    Account = "account", 0..=0,
    Office = "office", 0..=0,
    OfficeCity = "office.city", 0..=0,
    OfficePhone = "office.phone", 0..=0,
    Country = "country", 0..=0,
    Lan = "lan", 0..=0,
}

impl Template {
    /// Text without placeholders.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// The lists of phrases that it draws from.
    pub(super) fn lists(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|piece| {
            let lists = match piece {
                Piece::Placeholder {
                    name: Name::Say,
                    args,
                } => args.first(),
                Piece::Placeholder {
                    name: Name::Some,
                    args,
                } => args.get(2),
                _ => None,
            };
            lists.into_iter().flat_map(|lists| lists.split(','))
        })
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let fault = |problem| TemplateError {
                given: after.chars().take(40).collect(),
                problem,
            };
            let (inside, tail) = after
                .split_once("}}")
                .ok_or_else(|| fault("is not closed by }}"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (word, args) = match inside.split_once(':') {
                Some((word, args)) => (word, Some(args)),
                None => (inside, None),
            };
            let (name, takes) = Name::find(word).ok_or_else(|| fault("there is no such placeholder"))?;
            // Choices are text, in which a colon is nothing but one.
            let most = if name == Name::Pick { 1 } else { usize::MAX };
            let args = args.into_iter().flat_map(|args| args.splitn(most, ':'));
            let args: Vec<String> = args.map(str::to_owned).collect();
            if !takes.contains(&args.len()) {
                return Err(fault("has another number of arguments"));
            }
            check_args(name, &args).map_err(fault)?;
            pieces.push(Piece::Placeholder { name, args });
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

/// The most characters that one placeholder may draw.
const MAX_DRAWN: u64 = 4096;

fn check_args(name: Name, args: &[String]) -> Result<(), &'static str> {
    let number = |i: usize| args.get(i).and_then(|a| a.parse::<u64>().ok());
    match name {
        Name::Token | Name::Hex | Name::Digits => match number(0) {
            Some(n) if n <= MAX_DRAWN => Ok(()),
            _ => Err("needs a number of characters up to 4096"),
        },
        Name::Int | Name::Money | Name::Count | Name::Some | Name::Date | Name::DateTime | Name::Unix => {
            match (number(0), number(1)) {
                (Some(low), Some(high)) if low <= high => Ok(()),
                _ => Err("needs two numbers, the smaller first"),
            }
        }
        _ => Ok(()),
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Placeholder { name, args } => {
                    write!(f, "{{{{{}", name.word())?;
                    for arg in args {
                        write!(f, ":{arg}")?;
                    }
                    f.write_str("}}")?;
                }
            }
        }
        Ok(())
    }
}

/// What fills the placeholders of one entry or row.
#[derive(Debug)]
pub struct Context<'a> {
    persona: &'a Persona,
    rng: &'a mut Rng,
    phrases: &'a Phrases,
    row: u64,
    person: Person,
    user: Option<&'a User>,
    /// Drawn when it is asked for first.
    place: Option<Place>,
}

/// The most lists that one phrase leads through, so that drawing ends.
const MAX_DEPTH: usize = 16;

impl<'a> Context<'a> {
    /// The context of one entry, drawing from `rng` and `phrases`.
    pub(super) fn new(persona: &'a Persona, phrases: &'a Phrases, rng: &'a mut Rng) -> Self {
        let people: Vec<&User> = persona.users.iter().filter(|u| !u.full_name.is_empty()).collect();
        let user = rng.pick(&people).copied();
        Self {
            persona,
            phrases,
            row: 1,
            person: names::person(rng),
            user,
            place: None,
            rng,
        }
    }

    /// The same for row or key number `row`.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.row = row;
        self
    }

    /// The text of `template`.
    #[must_use]
    pub fn fill(&mut self, template: &Template) -> String {
        self.filled(template, MAX_DEPTH)
    }

    fn filled(&mut self, template: &Template, depth: usize) -> String {
        let mut out = String::new();
        for piece in &template.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder { name, args } => out.push_str(&self.value(*name, args, depth)),
            }
        }
        out
    }

    /// What stands for a phrase.
    fn said(&mut self, phrase: &str, depth: usize) -> String {
        // Phrases were checked when they were loaded, also that none leads back to itself.
        match (phrase.parse(), depth.checked_sub(1)) {
            (Ok(template), Some(depth)) => self.filled(&template, depth),
            _ => String::new(),
        }
    }

    fn say(&mut self, list: &str, label: Option<&String>, depth: usize) -> String {
        let phrases = self.phrases.of(list);
        match label {
            Some(label) => {
                let mut rng = self.persona.rng(&format!("bait/label/{label}"));
                let phrase = rng.pick(phrases).map(AsRef::as_ref).unwrap_or_default();
                let mut own = Context::new(self.persona, self.phrases, &mut rng);
                own.said(phrase, depth)
            }
            None => {
                let phrase = self.rng.pick(phrases).map(AsRef::as_ref).unwrap_or_default();
                self.said(phrase, depth)
            }
        }
    }

    fn some(&mut self, [least, most]: [u64; 2], lists: &str, depth: usize) -> String {
        let phrases = self.phrases;
        let mut all: Vec<&str> = lists
            .split(',')
            .flat_map(|list| phrases.of(list))
            .map(AsRef::as_ref)
            .collect();
        self.rng.shuffle(&mut all);
        all.truncate(usize::try_from(self.rng.range(least, most)).unwrap_or(usize::MAX));
        let mut lines = Vec::new();
        for phrase in all {
            self.person = names::person(self.rng);
            lines.push(self.said(phrase, depth));
        }
        lines.join("\n")
    }

    fn place(&mut self) -> &Place {
        let Self { persona, rng, .. } = self;
        self.place.get_or_insert_with(|| Country::of(persona).place(rng))
    }

    fn value(&mut self, name: Name, args: &[String], depth: usize) -> String {
        let persona = self.persona;
        let text = |i: usize| args.get(i).map(String::as_str).unwrap_or_default();
        let number = |i: usize| text(i).parse::<u64>().unwrap_or_default();
        let length = usize::try_from(number(0)).unwrap_or_default();
        let of_user =
            |user: Option<&User>, part: fn(&User) -> &String| user.map(part).cloned().unwrap_or_default();
        match name {
            Name::Company => persona.company.clone(),
            Name::CompanySlug => slug(&persona.company),
            Name::Domain => persona.domain.clone(),
            Name::Hostname => persona.hostname.clone(),
            Name::Fqdn => persona.fqdn(),
            Name::Mac => persona.mac.to_string(),
            Name::Os => persona.release().pretty.to_owned(),
            Name::Admin => of_user(persona.admin(), |u| &u.name),
            Name::AdminFull => of_user(persona.admin(), |u| &u.full_name),
            Name::AdminPassword => of_user(persona.admin(), |u| &u.password),
            Name::AdminHome => of_user(persona.admin(), |u| &u.home),
            Name::RootPassword => of_user(persona.users.first(), |u| &u.password),
            Name::User => of_user(self.user, |u| &u.name),
            Name::UserFull => of_user(self.user, |u| &u.full_name),
            Name::UserHome => of_user(self.user, |u| &u.home),
            Name::Password => persona.password(text(0)),
            Name::Token => self.labelled(args, |rng| {
                rng.text(
                    length,
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                )
            }),
            Name::Hex => self.labelled(args, |rng| rng.hex(length)),
            Name::Digits => self.rng.digits(length),
            Name::Int => self.rng.range(number(0), number(1)).to_string(),
            Name::Money => {
                let cents = self.rng.range(number(0) * 100, number(1) * 100);
                format!("{}.{:02}", cents / 100, cents % 100)
            }
            Name::Count => {
                let number = self.rng.range(number(0), number(1));
                format!("{number} {}", text(if number == 1 { 2 } else { 3 }))
            }
            Name::Pick => {
                let choices = choices(text(0));
                self.rng.pick(&choices).cloned().unwrap_or_default()
            }
            Name::Say => self.say(text(0), args.get(1), depth),
            Name::Some => self.some([number(0), number(1)], text(2), depth),
            Name::Date => self
                .time(args)
                .format(format_description!("[year]-[month]-[day]"))
                .unwrap_or_default(),
            Name::DateTime => self
                .time(args)
                .format(format_description!(
                    "[year]-[month]-[day] [hour]:[minute]:[second]"
                ))
                .unwrap_or_default(),
            Name::Unix => self.time(args).unix_timestamp().to_string(),
            Name::Year => at(persona.boot_time).year().to_string(),
            Name::Row => self.row.to_string(),
            Name::Person => format!("{} {}", self.person.first, self.person.last),
            Name::PersonFirst => self.person.first.to_owned(),
            Name::PersonLast => self.person.last.to_owned(),
            Name::PersonLogin => self.login(),
            Name::PersonEmail => format!("{}@{}", self.login(), persona.domain),
            Name::Street => self.place().street.clone(),
            Name::Zip => self.place().code.clone(),
            Name::City => self.place().town.trim_end_matches(',').to_owned(),
            Name::Phone => self.place().phone.clone(),
            Name::Account => Country::of(persona).account(self.rng),
            Name::Office => Place::office(persona).line(),
            Name::OfficeCity => Place::office(persona).town.trim_end_matches(',').to_owned(),
            Name::OfficePhone => Place::office(persona).phone,
            Name::Country => Country::of(persona).name.to_owned(),
            Name::Lan => persona.lan(),
        }
    }

    fn labelled(&mut self, args: &[String], draw: impl Fn(&mut Rng) -> String) -> String {
        match args.get(1) {
            Some(label) => draw(&mut self.persona.rng(&format!("bait/label/{label}"))),
            None => draw(self.rng),
        }
    }

    fn time(&mut self, args: &[String]) -> OffsetDateTime {
        let days = |i: usize| {
            args.get(i)
                .and_then(|a| a.parse::<u64>().ok())
                .unwrap_or_default()
                .min(36_500)
        };
        at(super::past(self.persona, self.rng, days(0), days(1)))
    }

    fn login(&self) -> String {
        LoginStyle::InitialLast.login(&self.person)
    }
}

fn at(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn slug(name: &str) -> String {
    let first = name.split(' ').next().unwrap_or_default();
    first
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

/// What `text` offers: divided by `|`, where no `\` stands before it.
fn choices(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek(), out.last_mut()) {
            ('|', ..) => out.push(String::new()),
            ('\\', Some('|'), Some(choice)) => {
                choice.push('|');
                chars.next();
            }
            (c, _, Some(choice)) => choice.push(c),
            (_, _, None) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fault_names_the_placeholder() {
        for (bad, says) in [
            ("{{nobody}}", "no such placeholder"),
            ("{{int:5}}", "number of arguments"),
            ("{{int:9:1}}", "smaller first"),
            ("{{hex:100000}}", "4096"),
            ("x {{company", "not closed"),
        ] {
            let fault = bad.parse::<Template>().unwrap_err().to_string();
            assert!(fault.contains(says), "{fault}");
        }
    }

    #[test]
    fn a_pipe_that_belongs_to_a_choice_divides_nothing() {
        for (text, offers) in [
            (r"a|b", &["a", "b"][..]),
            (r"sort -h \| tail|w", &["sort -h | tail", "w"]),
            (r"show slave status\G|", &[r"show slave status\G", ""]),
            ("http://a:80/|b", &["http://a:80/", "b"]),
        ] {
            assert_eq!(choices(text), offers);
            let template: Template = format!("{{{{pick:{text}}}}}").parse().unwrap();
            assert_eq!(template.to_string(), format!("{{{{pick:{text}}}}}"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_a_fault_and_prints_as_it_was(text in ".{0,60}|(\\{\\{)?(i|int:1:2|pick:a:b|some:1:2:a)(\\}\\})?") {
            if let Ok(template) = text.parse::<Template>() {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
