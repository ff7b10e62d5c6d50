//! Values as expressions have them: exact numbers, floating-point numbers, texts, and how they compare and print.

use std::{cmp::Ordering, sync::Arc};

use decnet_persona::bait;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    Null,
    Int(i64),
    /// An exact number: so many, of this many decimal places.
    Decimal(i128, u32),
    Real(f64),
    Text(Arc<str>),
}

/// The most decimal places that are kept: those of DECIMAL.
const SCALE_MAX: u32 = 30;

impl Val {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn bool(truth: bool) -> Self {
        Self::Int(i64::from(truth))
    }

    /// A literal of digits.
    pub(super) fn number(digits: &str) -> Self {
        if let Ok(n) = digits.parse() {
            return Self::Int(n);
        }
        if !digits.contains(['e', 'E'])
            && let Some(exact) = decimal(digits)
        {
            return exact;
        }
        Self::Real(digits.parse().unwrap_or_default())
    }

    /// A field of bait whose column has this type.
    pub(super) fn of_bait(value: &bait::Value, sql_type: &str) -> Self {
        match value {
            bait::Value::Null => Self::Null,
            bait::Value::Int(n) => Self::Int(*n),
            bait::Value::Text(text) if sql_type.starts_with("decimal") => decimal(text).map_or_else(
                || Self::text(text.as_str()),
                |exact| exact.rescaled(scale_of(sql_type)),
            ),
            bait::Value::Text(text) if sql_type == "datetime" && text.len() == 10 => {
                Self::text(format!("{text} 00:00:00"))
            }
            bait::Value::Text(text) => Self::text(text.as_str()),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// What is shown of it; `None` for NULL.
    pub(super) fn shown(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Int(n) => n.to_string(),
            Self::Decimal(n, 0) => n.to_string(),
            Self::Decimal(n, scale) => {
                let places = usize::try_from(*scale).unwrap_or_default();
                let digits = format!("{:0>width$}", n.unsigned_abs(), width = places + 1);
                let (whole, part) = digits.split_at(digits.len() - places);
                format!("{}{whole}.{part}", if *n < 0 { "-" } else { "" })
            }
            Self::Real(x) if x.abs() >= 1e15 || (*x != 0.0 && x.abs() < 1e-15) => {
                format!("{x:e}")
            }
            Self::Real(x) => x.to_string(),
            Self::Text(text) => text.to_string(),
        })
    }

    /// As [`Self::shown`], empty for NULL.
    pub(super) fn string(&self) -> String {
        self.shown().unwrap_or_default()
    }

    pub(super) fn real(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            #[expect(
                clippy::cast_precision_loss,
                reason = "as the server compares a number with a text"
            )]
            Self::Int(n) => *n as f64,
            Self::Decimal(..) => self.string().parse().unwrap_or_default(),
            Self::Real(x) => *x,
            Self::Text(text) => leading_number(text),
        }
    }

    pub(super) fn int(&self) -> i64 {
        match self {
            Self::Int(n) => *n,
            Self::Decimal(..) => match self.rescaled(0) {
                Self::Decimal(n, _) => clamped(n),
                _ => 0,
            },
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast saturates, as the server does"
            )]
            other => other.real().round() as i64,
        }
    }

    /// True, false, or neither for NULL.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Null => None,
            Self::Int(n) => Some(*n != 0),
            Self::Decimal(n, _) => Some(*n != 0),
            other => Some(other.real() != 0.0),
        }
    }

    /// The exact number that it is, with its decimal places; `None` for texts and floating-point numbers.
    pub(super) fn exact(&self) -> Option<(i128, u32)> {
        match self {
            Self::Int(n) => Some((i128::from(*n), 0)),
            Self::Decimal(n, scale) => Some((*n, *scale)),
            _ => None,
        }
    }

    /// With `scale` decimal places, rounded half away from zero.
    pub(super) fn rescaled(&self, scale: u32) -> Self {
        match self.exact() {
            Some((n, from)) => Self::Decimal(rescaled(n, from, scale), scale),
            None => self.clone(),
        }
    }
}

/// A number of a sum or a product: whole where it can be.
pub(super) fn whole(n: i128) -> Val {
    i64::try_from(n).map_or(Val::Decimal(n, 0), Val::Int)
}

pub(super) fn clamped(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn power_of_ten(n: u32) -> i128 {
    10_i128.saturating_pow(n.min(SCALE_MAX))
}

fn rescaled(n: i128, from: u32, to: u32) -> i128 {
    if to >= from {
        return n.saturating_mul(power_of_ten(to - from));
    }
    divided(n, power_of_ten(from - to))
}

/// A quotient, rounded half away from zero.
pub(super) fn divided(n: i128, by: i128) -> i128 {
    let (quotient, rest) = (n / by, n % by);
    if rest.unsigned_abs() >= by.unsigned_abs().div_ceil(2) && rest != 0 {
        quotient + if (n < 0) == (by < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

fn scale_of(sql_type: &str) -> u32 {
    let scale = sql_type.split([',', ')']).nth(1);
    scale.and_then(|s| s.trim().parse().ok()).unwrap_or(0)
}

fn decimal(text: &str) -> Option<Val> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let scale = u32::try_from(part.len())
        .ok()
        .filter(|scale| *scale <= SCALE_MAX)?;
    let n = format!("{whole}{part}").parse().ok()?;
    Some(Val::Decimal(n, scale))
}

/// The number that a text begins with, as far as it goes.
fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let mut best = 0.0;
    for (i, c) in text.char_indices().take(40) {
        if !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.' | 'e' | 'E') {
            break;
        }
        if let Some(Ok(x)) = text.get(..=i).map(str::parse::<f64>) {
            best = x;
        }
    }
    best
}

/// A text as utf8mb4_general_ci takes it: without regard to case, accents of Latin letters, and spaces at its end.
pub(super) fn folded(text: &str) -> String {
    let plain = |c: char| match c {
        'À'..='Å' => 'A',
        'Ç' => 'C',
        'È'..='Ë' => 'E',
        'Ì'..='Ï' => 'I',
        'Ñ' => 'N',
        'Ò'..='Ö' => 'O',
        'Ù'..='Ü' => 'U',
        'Ý' => 'Y',
        other => other,
    };
    let single = |c: char| if c == 'ß' { 's' } else { c };
    text.trim_end_matches(' ')
        .chars()
        .map(single)
        .flat_map(char::to_uppercase)
        .map(plain)
        .collect()
}

/// How two values stand to each other; `None` where one is NULL.
pub(super) fn compared(a: &Val, b: &Val) -> Option<Ordering> {
    Some(match (a, b) {
        (Val::Null, _) | (_, Val::Null) => return None,
        (Val::Text(a), Val::Text(b)) => match (moment(a), moment(b)) {
            // A date is a date and midnight.
            (Some(x), Some(y)) if a.len() != b.len() => x.cmp(&y),
            _ => folded(a).cmp(&folded(b)),
        },
        _ => match (a.exact(), b.exact()) {
            (Some((x, s)), Some((y, t))) => rescaled(x, s, s.max(t)).cmp(&rescaled(y, t, s.max(t))),
            _ => a.real().total_cmp(&b.real()),
        },
    })
}

/// A date, or a date and a time, as the longer form.
fn moment(text: &str) -> Option<String> {
    let looks = |i: usize, c: u8| text.as_bytes().get(i) == Some(&c);
    (looks(4, b'-') && looks(7, b'-') && matches!(text.len(), 10 | 19)).then(|| match text.len() {
        10 => format!("{text} 00:00:00"),
        _ => text.to_owned(),
    })
}

/// The order of ORDER BY: NULL comes first.
pub(super) fn ordered(a: &Val, b: &Val) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => compared(a, b).unwrap_or(Ordering::Equal),
    }
}

/// What GROUP BY and DISTINCT take for the same.
pub(super) fn key(row: &[Val]) -> Vec<Option<String>> {
    row.iter().map(|v| v.shown().map(|text| folded(&text))).collect()
}

/// Whether `text` fits a LIKE pattern, without regard to case. Takes time in proportion to both lengths.
pub(super) fn matches_like(text: &str, pattern: &str, escape: char) -> bool {
    #[derive(PartialEq)]
    enum Part {
        Any,
        One,
        Char(char),
    }
    let text: Vec<char> = text.chars().flat_map(char::to_uppercase).collect();
    let mut parts = Vec::new();
    let mut chars = pattern.chars().flat_map(char::to_uppercase);
    while let Some(c) = chars.next() {
        parts.push(match c {
            c if c == escape => Part::Char(chars.next().unwrap_or(c)),
            '%' => Part::Any,
            '_' => Part::One,
            c => Part::Char(c),
        });
    }
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match parts.get(p) {
            Some(Part::Any) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(part) if *part == Part::One || *part == Part::Char(*c) => {
                t += 1;
                p += 1;
            }
            _ => match retry {
                Some((after, at)) => {
                    retry = Some((after, at + 1));
                    t = at + 1;
                    p = after;
                }
                None => return false,
            },
        }
    }
    parts.iter().skip(p).all(|part| *part == Part::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_keep_their_places_and_round_half_away_from_zero() {
        assert_eq!(Val::number("1.50").shown().unwrap(), "1.50");
        assert_eq!(Val::Decimal(-5, 2).shown().unwrap(), "-0.05");
        assert_eq!(Val::number("2.5").int(), 3);
        assert_eq!(Val::Decimal(-25, 1).rescaled(0), Val::Decimal(-3, 0));
        assert_eq!(Val::Real(1e20).shown().unwrap(), "1e20");
    }

    #[test]
    fn texts_compare_as_the_collation_has_it() {
        let is = |a: &str, b: &str| compared(&Val::text(a), &Val::text(b)).unwrap();
        assert!(is("a ", "A").is_eq());
        assert!(is("Müller", "MULLER").is_eq());
        assert!(is("a_b", "aZb").is_gt());
        assert!(is("2024-01-01", "2024-01-01 00:00:00").is_eq());
        assert!(compared(&Val::text("12abc"), &Val::Int(12)).unwrap().is_eq());
    }

    #[test]
    fn like_takes_its_escapes() {
        assert!(matches_like("wp_users", r"WP\_%", '\\'));
        assert!(!matches_like("wpXusers", r"wp\_%", '\\'));
        assert!(matches_like("abc", "%c", '\\') && matches_like("", "%", '\\'));
    }
}
