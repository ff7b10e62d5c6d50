//! What came of a comparison: a table for people, JSON for programs, and how far it is.

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdout},
    net::SocketAddr,
};

use anyhow::Result;
use decnet_control::Product;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    masks::Mask,
    probes::Kind,
    shown::{on_one_line, shortened},
    timing::{Timed, What},
};
use crate::output;

/// Where standard output is no terminal.
const WIDTH: usize = 160;
/// The least that is shown of an answer.
const LEAST: usize = 24;

/// One product.
pub(super) struct Compared {
    pub(super) product: Product,
    /// What is installed.
    pub(super) version: Option<String>,
    pub(super) outcome: Outcome,
}

/// What came of it.
pub(super) enum Outcome {
    /// The control is not installed; with the package that has it.
    NotInstalled(String),
    /// There is no pair, and why.
    NotStarted(String),
    /// Both were asked.
    Compared {
        probes: Vec<Probed>,
        timings: Vec<Timed>,
        masks: Vec<Mask>,
    },
}

/// What both answered.
pub(super) struct Probed {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) control: String,
    pub(super) ours: String,
    pub(super) verdict: Verdict,
}

/// Whether that gives a decoy away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Byte by byte the same.
    Same,
    /// The same but for what these masks hide.
    Masked(Vec<&'static str>),
    /// Not the same.
    Differs,
}

impl Verdict {
    /// Hold two answers against each other, each with its server.
    pub(super) fn of(
        masks: &[Mask],
        (control, at): (&str, SocketAddr),
        (ours, our): (&str, SocketAddr),
    ) -> Self {
        if control == ours {
            return Self::Same;
        }
        let mut hiding = Vec::new();
        let (mut control, mut ours) = (control.to_owned(), ours.to_owned());
        for mask in masks {
            let (one, other) = (mask.over(&control, at), mask.over(&ours, our));
            if (one != control || other != ours) && !hiding.contains(&mask.name) {
                hiding.push(mask.name);
            }
            (control, ours) = (one, other);
        }
        if control == ours {
            Self::Masked(hiding)
        } else {
            Self::Differs
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Masked(_) => "differs where it should",
            Self::Differs => "differs",
        }
    }

    fn masks(&self) -> &[&'static str] {
        match self {
            Self::Masked(names) => names,
            Self::Same | Self::Differs => &[],
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Same => "same".to_owned(),
            Self::Masked(names) => match names.as_slice() {
                [name] => format!("but for {name}"),
                [name, others @ ..] => format!("but for {name} and {}", others.len()),
                [] => "same".to_owned(),
            },
            Self::Differs => "DIFFERS".to_owned(),
        }
    }
}

impl Compared {
    /// How many answers differ where they should not.
    pub(super) fn differing(&self) -> usize {
        match &self.outcome {
            Outcome::Compared { probes, .. } => probes
                .iter()
                .filter(|probed| probed.verdict == Verdict::Differs)
                .count(),
            Outcome::NotInstalled(_) | Outcome::NotStarted(_) => 0,
        }
    }

    /// Why it was not compared.
    pub(super) fn reason(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::NotInstalled(why) | Outcome::NotStarted(why) => Some(why),
            Outcome::Compared { .. } => None,
        }
    }

    fn title(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.product.name()),
            None => self.product.name().to_owned(),
        }
    }

    fn parts(&self) -> (&[Probed], &[Timed], &[Mask]) {
        match &self.outcome {
            Outcome::Compared {
                probes,
                timings,
                masks,
            } => (probes, timings, masks),
            Outcome::NotInstalled(_) | Outcome::NotStarted(_) => (&[], &[], &[]),
        }
    }
}

/// Print everything for people; the answers whole with `all`.
pub(super) fn print(compared: &[Compared], all: bool) {
    if all {
        answers(compared);
    } else {
        table(compared);
    }
    let rows: Vec<_> = compared
        .iter()
        .flat_map(|one| one.parts().1.iter().map(move |timed| timing_row(one, timed)))
        .collect();
    if !rows.is_empty() {
        println!();
        let head = ["SERVICE", "PRODUCT", "TIME OF", "CONTROL MS", "OURS MS", "RATIO"];
        output::table(&head, &rows, "");
        println!(
            "Times are medians, with the tenth and the ninetieth of a hundred; a ratio is ours by the control's."
        );
    }
    let mut told: Vec<String> = Vec::new();
    for one in compared {
        for mask in one.parts().2 {
            let line = format!("{{{}}} of {}: {}", mask.name, one.product.service(), mask.why);
            if !told.contains(&line) {
                told.push(line);
            }
        }
    }
    if !told.is_empty() {
        println!("\nWhat differs where it should is masked:");
        told.iter().for_each(|line| println!("  {line}"));
    }
    let missing: Vec<_> = compared
        .iter()
        .filter_map(|one| Some((one.title(), one.reason()?)))
        .collect();
    if !missing.is_empty() {
        println!("\nNot compared:");
        for (title, why) in missing {
            println!("  {title}: {}", output::harmless(why));
        }
    }
}

fn table(compared: &[Compared]) {
    let probed = || {
        compared
            .iter()
            .flat_map(|one| one.parts().0.iter().map(move |probed| (one, probed)))
    };
    let widest = |of: &dyn Fn(&Compared, &Probed) -> usize| {
        probed().map(|(one, probed)| of(one, probed)).max().unwrap_or(0)
    };
    let taken = widest(&|one, _| one.product.service().len())
        + widest(&|one, _| one.title().len())
        + widest(&|_, probed| probed.name.chars().count())
        + widest(&|_, probed| probed.verdict.shown().len())
        + 2 * 5;
    let width = (terminal_width().saturating_sub(taken) / 2).max(LEAST);
    let rows: Vec<_> = probed()
        .map(|(one, probed)| {
            let (control, ours) = (on_one_line(&probed.control), on_one_line(&probed.ours));
            let at = match probed.verdict {
                Verdict::Differs => control
                    .chars()
                    .zip(ours.chars())
                    .take_while(|(a, b)| a == b)
                    .count(),
                Verdict::Same | Verdict::Masked(_) => 0,
            };
            vec![
                one.product.service().to_owned(),
                one.title(),
                probed.name.to_owned(),
                shortened(&control, width, at),
                shortened(&ours, width, at),
                probed.verdict.shown(),
            ]
        })
        .collect();
    let head = ["SERVICE", "PRODUCT", "PROBE", "CONTROL", "OURS", "VERDICT"];
    output::table(&head, &rows, "Nothing could be compared.");
}

fn answers(compared: &[Compared]) {
    for one in compared {
        for probed in one.parts().0 {
            println!(
                "{}  {}  {}  {}",
                one.product.service(),
                one.title(),
                probed.name,
                probed.verdict.shown()
            );
            println!("  control: {}", on_one_line(&probed.control));
            println!("  ours:    {}", on_one_line(&probed.ours));
        }
    }
}

fn timing_row(one: &Compared, timed: &Timed) -> Vec<String> {
    let what = match timed.what {
        What::Banner => "banner",
        What::Request => "request",
        What::Refusal => "refusal",
    };
    let [control, ours] = [timed.control, timed.ours].map(|spread| {
        format!(
            "{:.3} ({:.3} to {:.3})",
            spread.median_ms, spread.p10_ms, spread.p90_ms
        )
    });
    vec![
        one.product.service().to_owned(),
        one.title(),
        format!("{what}: {}", timed.how),
        control,
        ours,
        format!("{:.2}", timed.ratio),
    ]
}

/// How wide what is printed may be, in characters.
fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(stdout());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { WIDTH } else { columns }
}

/// Print everything for programs: `services`, one for each product, with `service`, `product`, `version` (null where it is not
/// installed), `package`, `state` (`compared`, `not_installed`, `not_started`), `reason`, `probes`, `timings` (in milliseconds) and
/// `masks`; and `differing`, the number of answers that differ where they should not.
pub(super) fn json(compared: &[Compared]) -> Result<()> {
    let services: Vec<Value> = compared
        .iter()
        .map(|one| {
            let (probes, timings, masks) = one.parts();
            let state = match one.outcome {
                Outcome::NotInstalled(_) => "not_installed",
                Outcome::NotStarted(_) => "not_started",
                Outcome::Compared { .. } => "compared",
            };
            let probes: Vec<Value> = probes.iter().map(probed).collect();
            let masks: Vec<Value> = masks
                .iter()
                .map(|mask| json!({"name": mask.name, "why": mask.why}))
                .collect();
            json!({
                "service": one.product.service(),
                "product": one.product.name(),
                "version": one.version,
                "package": one.product.package(),
                "state": state,
                "reason": one.reason(),
                "probes": probes,
                "timings": timings,
                "masks": masks,
            })
        })
        .collect();
    let differing: usize = compared.iter().map(Compared::differing).sum();
    output::json(&Whole { services, differing })
}

#[derive(Serialize)]
struct Whole {
    services: Vec<Value>,
    /// Answers that differ where they should not.
    differing: usize,
}

fn probed(probed: &Probed) -> Value {
    json!({
        "kind": probed.kind,
        "name": probed.name,
        "control": probed.control,
        "ours": probed.ours,
        "verdict": probed.verdict.word(),
        "masks": probed.verdict.masks(),
    })
}

/// How far it is, on a terminal.
pub(super) struct Progress {
    product: Product,
    is_shown: bool,
}

impl Progress {
    pub(super) fn of(product: Product) -> Self {
        Self {
            product,
            is_shown: stderr().is_terminal(),
        }
    }

    pub(super) fn say(&self, what: &str) {
        if self.is_shown {
            // Where it cannot be shown there is nobody who waits for it.
            let _closed = write!(stderr(), "\r\x1b[K{}: {what}", self.product.name());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _closed = write!(stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::masks;

    #[test]
    fn what_differs_where_it_should_is_no_difference_and_says_by_what() {
        let masks = masks::of(Product::Nginx, "1.22.1");
        let [one, other] = [80, 81].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let verdict = |a: &str, b: &str| Verdict::of(&masks, (a, one), (b, other));
        assert_eq!(verdict("a", "a"), Verdict::Same);
        assert_eq!(verdict("a", "b"), Verdict::Differs);
        assert_eq!(
            verdict(
                "x\r\nDate: 1\r\n\r\nhttp://a:80/",
                "x\r\nDate: 2\r\n\r\nhttp://a:81/"
            ),
            Verdict::Masked(vec!["date", "port"])
        );
        assert_eq!(
            verdict("x\r\nDate: 1\r\nServer: a\r\n", "x\r\nDate: 2\r\nServer: b\r\n"),
            Verdict::Differs
        );
    }
}
