//! The functions that visitors call.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Md5;
use rand::Rng as _;
use sha1::{Digest as _, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use time::{Date, Duration, Month, PrimitiveDateTime, Time};

use super::{
    SqlError,
    eval::{Clause, Frame, Run},
    parse::{Call, Op},
    value::{self, Val},
};

/// The longest text that a function makes.
const TEXT_MAX: usize = 1 << 20;
/// The longest that a statement sleeps.
const DELAY_MAX_S: f64 = 300.0;
const ANY: usize = usize::MAX;

/// Names, and how many arguments each takes.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("abs", 1, 1),
    ("ascii", 1, 1),
    ("benchmark", 2, 2),
    ("bin", 1, 1),
    ("bit_length", 1, 1),
    ("both", 2, 2),
    ("ceil", 1, 1),
    ("ceiling", 1, 1),
    ("char", 1, ANY),
    ("char_length", 1, 1),
    ("character_length", 1, 1),
    ("charset", 1, 1),
    ("coalesce", 1, ANY),
    ("collation", 1, 1),
    ("concat", 1, ANY),
    ("concat_ws", 2, ANY),
    ("connection_id", 0, 0),
    ("conv", 3, 3),
    ("crc32", 1, 1),
    ("curdate", 0, 0),
    ("current_date", 0, 0),
    ("current_role", 0, 0),
    ("current_time", 0, 1),
    ("current_timestamp", 0, 1),
    ("current_user", 0, 0),
    ("curtime", 0, 1),
    ("database", 0, 0),
    ("date", 1, 1),
    ("date_add", 2, 2),
    ("date_format", 2, 2),
    ("date_sub", 2, 2),
    ("datediff", 2, 2),
    ("day", 1, 1),
    ("dayofmonth", 1, 1),
    ("elt", 2, ANY),
    ("exp", 1, 1),
    ("field", 2, ANY),
    ("find_in_set", 2, 2),
    ("floor", 1, 1),
    ("format", 2, 3),
    ("found_rows", 0, 0),
    ("from_base64", 1, 1),
    ("from_unixtime", 1, 2),
    ("greatest", 2, ANY),
    ("hex", 1, 1),
    ("hour", 1, 1),
    ("if", 3, 3),
    ("ifnull", 2, 2),
    ("inet_aton", 1, 1),
    ("inet_ntoa", 1, 1),
    ("instr", 2, 2),
    ("isnull", 1, 1),
    ("last_insert_id", 0, 1),
    ("lcase", 1, 1),
    ("leading", 2, 2),
    ("least", 2, ANY),
    ("left", 2, 2),
    ("length", 1, 1),
    ("ln", 1, 2),
    ("load_file", 1, 1),
    ("localtime", 0, 1),
    ("localtimestamp", 0, 1),
    ("locate", 2, 3),
    ("log", 1, 2),
    ("lower", 1, 1),
    ("lpad", 2, 3),
    ("ltrim", 1, 1),
    ("md5", 1, 1),
    ("mid", 2, 3),
    ("minute", 1, 1),
    ("mod", 2, 2),
    ("month", 1, 1),
    ("now", 0, 1),
    ("nullif", 2, 2),
    ("nvl", 2, 2),
    ("oct", 1, 1),
    ("octet_length", 1, 1),
    ("ord", 1, 1),
    ("password", 1, 1),
    ("pi", 0, 0),
    ("pow", 2, 2),
    ("power", 2, 2),
    ("quote", 1, 1),
    ("rand", 0, 1),
    ("repeat", 2, 2),
    ("replace", 3, 3),
    ("reverse", 1, 1),
    ("right", 2, 2),
    ("round", 1, 2),
    ("row_count", 0, 0),
    ("rpad", 2, 3),
    ("rtrim", 1, 1),
    ("schema", 0, 0),
    ("second", 1, 1),
    ("session_user", 0, 0),
    ("sha", 1, 1),
    ("sha1", 1, 1),
    ("sha2", 2, 2),
    ("sign", 1, 1),
    ("sleep", 1, 1),
    ("space", 1, 1),
    ("sqrt", 1, 1),
    ("strcmp", 2, 2),
    ("substr", 2, 3),
    ("substring", 2, 3),
    ("substring_index", 3, 3),
    ("sysdate", 0, 1),
    ("system_user", 0, 0),
    ("to_base64", 1, 1),
    ("trailing", 2, 2),
    ("truncate", 2, 2),
    ("ucase", 1, 1),
    ("unhex", 1, 1),
    ("unix_timestamp", 0, 1),
    ("upper", 1, 1),
    ("user", 0, 0),
    ("utc_date", 0, 0),
    ("utc_timestamp", 0, 1),
    ("uuid", 0, 0),
    ("version", 0, 0),
    ("year", 1, 1),
];

impl Run<'_> {
    /// Whether there is such a function that takes so many arguments.
    pub(super) fn check_call(&self, call: &Call) -> Result<(), SqlError> {
        let name = call.name.as_str();
        if call.is_aggregate() {
            return Ok(());
        }
        let Some((_, least, most)) = FUNCTIONS.iter().find(|(known, _, _)| *known == name) else {
            return Err(self.database.no_function(&call.written, self.asker));
        };
        if (*least..=*most).contains(&call.arguments.len()) {
            return Ok(());
        }
        let text = format!(
            "Incorrect parameter count in the call to native function '{}'",
            call.written
        );
        Err(SqlError::new(1582, "42000", text))
    }

    /// A function of one row.
    pub(super) fn call(&self, call: &Call, frame: &Frame<'_>, clause: Clause) -> Result<Val, SqlError> {
        self.check_call(call)?;
        let of = |i: usize| match call.arguments.get(i) {
            Some(e) => self.value(e, frame, clause),
            None => Ok(Val::Null),
        };
        // Those that do not look at all that they are given, or take NULL for a value like others.
        match call.name.as_str() {
            "if" => return of(if of(0)?.truth() == Some(true) { 1 } else { 2 }),
            "ifnull" | "nvl" | "coalesce" => {
                for i in 0..call.arguments.len() {
                    let v = of(i)?;
                    if !v.is_null() {
                        return Ok(v);
                    }
                }
                return Ok(Val::Null);
            }
            "nullif" => {
                let (a, b) = (of(0)?, of(1)?);
                let same = value::compared(&a, &b).is_some_and(std::cmp::Ordering::is_eq);
                return Ok(if same { Val::Null } else { a });
            }
            "isnull" => return Ok(Val::bool(of(0)?.is_null())),
            "benchmark" => {
                let count = of(0)?;
                // The work itself is a fifth of a microsecond a time, as far as a visitor can tell.
                self.delayed(count.real() * 2e-7);
                return Ok(if count.is_null() { Val::Null } else { Val::Int(0) });
            }
            "date_add" | "date_sub" => {
                let Some(super::parse::Expr::Interval(amount, unit)) = call.arguments.get(1) else {
                    return Ok(moved(&of(0)?, of(1)?.int(), "day"));
                };
                let amount = self.value(amount, frame, clause)?.int();
                let sign = if call.name == "date_sub" { -1 } else { 1 };
                return Ok(moved(&of(0)?, amount.saturating_mul(sign), unit));
            }
            "quote" if of(0)?.is_null() => return Ok(Val::text("NULL")),
            _ => {}
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for e in &call.arguments {
            arguments.push(self.value(e, frame, clause)?);
        }
        if call.name == "concat_ws" {
            let Some((Some(with), rest)) = arguments.split_first().map(|(with, rest)| (with.shown(), rest))
            else {
                return Ok(Val::Null);
            };
            let texts: Vec<String> = rest.iter().filter_map(Val::shown).collect();
            return self.made(texts.join(&with));
        }
        let takes_null = matches!(
            call.name.as_str(),
            "field" | "elt" | "charset" | "collation" | "char" | "sleep"
        );
        if !takes_null && arguments.iter().any(Val::is_null) {
            return Ok(Val::Null);
        }
        self.plain(&call.name, &arguments)
    }

    /// A text that a function made.
    fn made(&self, text: String) -> Result<Val, SqlError> {
        self.take(text.len())?;
        Ok(Val::text(text))
    }

    fn delayed(&self, seconds: f64) {
        let seconds = self.delay.get().as_secs_f64() + seconds.clamp(0.0, DELAY_MAX_S);
        self.delay
            .set(std::time::Duration::from_secs_f64(seconds.min(DELAY_MAX_S)));
    }

    fn plain(&self, name: &str, arguments: &[Val]) -> Result<Val, SqlError> {
        const NULL: &Val = &Val::Null;
        let at = |i: usize| arguments.get(i).unwrap_or(NULL);
        let (a, b) = (at(0), at(1));
        let text = |i: usize| at(i).string();
        let asker = self.asker;
        let count = |n: usize| Val::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let account = || Val::text(format!("{}@{}", asker.user, asker.host));
        Ok(match name {
            "version" => Val::text(self.database.flavour.version.as_str()),
            "user" | "current_user" | "session_user" | "system_user" => account(),
            "current_role" | "load_file" => Val::Null,
            "database" | "schema" => asker.database.as_deref().map_or(Val::Null, Val::text),
            "connection_id" => Val::Int(asker.connection_id.into()),
            "last_insert_id" => Val::Int(0),
            "row_count" => Val::Int(asker.row_count),
            "found_rows" => Val::Int(asker.found_rows),
            "uuid" => Val::text(self.database.uuid(asker.unix_time)),
            "rand" => Val::Real(rand::rng().random_range(0.0..1.0)),
            "pi" => Val::number("3.141593"),
            "sleep" => {
                self.delayed(a.real());
                Val::Int(0)
            }
            "charset" => Val::text(if matches!(a, Val::Text(_)) {
                "utf8mb4"
            } else {
                "binary"
            }),
            "collation" => Val::text(if matches!(a, Val::Text(_)) {
                "utf8mb4_general_ci"
            } else {
                "binary"
            }),
            "now" | "current_timestamp" | "localtime" | "localtimestamp" | "sysdate" | "utc_timestamp" => {
                Val::text(asker.now.as_str())
            }
            "curdate" | "current_date" | "utc_date" => {
                Val::text(asker.now.chars().take(10).collect::<String>())
            }
            "curtime" | "current_time" => Val::text(asker.now.chars().skip(11).collect::<String>()),
            "unix_timestamp" => {
                let given = if arguments.is_empty() {
                    asker.now.clone()
                } else {
                    text(0)
                };
                moment(&given).map_or(Val::Null, |at| Val::Int(at.assume_utc().unix_timestamp()))
            }
            "from_unixtime" => match time::OffsetDateTime::from_unix_timestamp(a.int()) {
                Ok(at) => {
                    let shown = shown(PrimitiveDateTime::new(at.date(), at.time()));
                    if arguments.len() > 1 {
                        formatted(&shown, &text(1))
                    } else {
                        Val::text(shown)
                    }
                }
                Err(_) => Val::Null,
            },
            "date" => Val::text(text(0).chars().take(10).collect::<String>()),
            "year" | "month" | "day" | "dayofmonth" | "hour" | "minute" | "second" => {
                match moment(&text(0)) {
                    None => Val::Null,
                    Some(at) => Val::Int(match name {
                        "year" => at.year().into(),
                        "month" => u8::from(at.month()).into(),
                        "hour" => at.hour().into(),
                        "minute" => at.minute().into(),
                        "second" => at.second().into(),
                        _ => at.day().into(),
                    }),
                }
            }
            "date_format" => formatted(&text(0), &text(1)),
            "datediff" => match (moment(&text(0)), moment(&text(1))) {
                (Some(x), Some(y)) => Val::Int((x.date() - y.date()).whole_days()),
                _ => Val::Null,
            },
            "concat" => return self.made(arguments.iter().map(Val::string).collect()),
            "length" | "octet_length" => count(text(0).len()),
            "bit_length" => count(text(0).len() * 8),
            "char_length" | "character_length" => count(text(0).chars().count()),
            "lower" | "lcase" => return self.made(text(0).to_lowercase()),
            "upper" | "ucase" => return self.made(text(0).to_uppercase()),
            "ltrim" => Val::text(text(0).trim_start_matches(' ')),
            "rtrim" => Val::text(text(0).trim_end_matches(' ')),
            "both" | "leading" | "trailing" => {
                let (whole, cut) = (text(0), text(1));
                let mut rest = whole.as_str();
                if !cut.is_empty() {
                    if name != "trailing" {
                        rest = rest.trim_start_matches(cut.as_str());
                    }
                    if name != "leading" {
                        rest = rest.trim_end_matches(cut.as_str());
                    }
                }
                Val::text(rest)
            }
            "substring" | "substr" | "mid" => {
                let whole: Vec<char> = text(0).chars().collect();
                let take = if arguments.len() > 2 {
                    at(2).int()
                } else {
                    i64::MAX
                };
                let from = match b.int() {
                    0 => return Ok(Val::text("")),
                    n @ 1.. => usize::try_from(n - 1).unwrap_or(usize::MAX),
                    n => match whole
                        .len()
                        .checked_sub(usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX))
                    {
                        Some(from) => from,
                        None => return Ok(Val::text("")),
                    },
                };
                let take = usize::try_from(take).unwrap_or_default();
                return self.made(whole.into_iter().skip(from).take(take).collect());
            }
            "left" => {
                let n = usize::try_from(b.int()).unwrap_or_default();
                return self.made(text(0).chars().take(n).collect());
            }
            "right" => {
                let n = usize::try_from(b.int()).unwrap_or_default();
                let whole = text(0);
                let skip = whole.chars().count().saturating_sub(n);
                return self.made(whole.chars().skip(skip).collect());
            }
            "reverse" => return self.made(text(0).chars().rev().collect()),
            "replace" => {
                let (whole, from, to) = (text(0), text(1), text(2));
                if from.is_empty() {
                    return self.made(whole);
                }
                let most = whole.len() + whole.matches(from.as_str()).count().saturating_mul(to.len());
                self.take(most)?;
                Val::text(whole.replace(from.as_str(), &to))
            }
            "repeat" => {
                let n = usize::try_from(b.int()).unwrap_or_default();
                let one = text(0);
                if one.len().saturating_mul(n) > TEXT_MAX {
                    return Ok(Val::Null);
                }
                return self.made(one.repeat(n));
            }
            "space" => {
                let n = usize::try_from(a.int()).unwrap_or_default();
                return if n > TEXT_MAX {
                    Ok(Val::Null)
                } else {
                    self.made(" ".repeat(n))
                };
            }
            "lpad" | "rpad" => {
                let width = usize::try_from(b.int()).unwrap_or(usize::MAX);
                if width > TEXT_MAX {
                    return Ok(Val::Null);
                }
                let whole: Vec<char> = text(0).chars().collect();
                let with = if arguments.len() > 2 {
                    text(2)
                } else {
                    " ".to_owned()
                };
                let pad: String = with
                    .chars()
                    .cycle()
                    .take(width.saturating_sub(whole.len()))
                    .collect();
                let kept: String = whole.into_iter().take(width).collect();
                return self.made(if name == "lpad" { pad + &kept } else { kept + &pad });
            }
            "instr" => count(position(&text(0), &text(1), 0)),
            "locate" => {
                let from = usize::try_from(at(2).int().max(1) - 1).unwrap_or_default();
                count(position(&text(1), &text(0), from))
            }
            "ascii" => Val::Int(text(0).bytes().next().unwrap_or(0).into()),
            "ord" => {
                let whole = text(0);
                let first = whole
                    .chars()
                    .next()
                    .map(|c| whole.bytes().take(c.len_utf8()))
                    .into_iter()
                    .flatten();
                Val::Int(first.fold(0, |n, byte| n << 8 | i64::from(byte)))
            }
            "char" => {
                let bytes = arguments.iter().filter(|v| !v.is_null()).map(Val::int);
                let bytes: Vec<u8> = bytes
                    .flat_map(|n| {
                        let all = n.to_be_bytes();
                        let zeros = all.iter().take_while(|b| **b == 0).count().min(7);
                        all.into_iter().skip(zeros)
                    })
                    .collect();
                Val::text(String::from_utf8_lossy(&bytes).into_owned())
            }
            "hex" => match a.exact() {
                Some(_) => Val::text(format!("{:X}", a.int())),
                None => return self.made(hex::encode_upper(text(0))),
            },
            "unhex" => match hex::decode(text(0)) {
                Ok(bytes) => Val::text(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => Val::Null,
            },
            "bin" => Val::text(format!("{:b}", a.int())),
            "oct" => Val::text(format!("{:o}", a.int())),
            "conv" => conv(&text(0), b.int(), at(2).int()),
            "md5" => Val::text(hex::encode(Md5::digest(text(0)))),
            "sha" | "sha1" => Val::text(hex::encode(Sha1::digest(text(0)))),
            "sha2" => {
                let whole = text(0);
                Val::text(match b.int() {
                    224 => hex::encode(Sha224::digest(whole)),
                    0 | 256 => hex::encode(Sha256::digest(whole)),
                    384 => hex::encode(Sha384::digest(whole)),
                    512 => hex::encode(Sha512::digest(whole)),
                    _ => return Ok(Val::Null),
                })
            }
            "password" if text(0).is_empty() => Val::text(""),
            "password" => Val::text(format!(
                "*{}",
                hex::encode_upper(Sha1::digest(Sha1::digest(text(0))))
            )),
            "crc32" => Val::Int(crc32(text(0).as_bytes()).into()),
            "to_base64" => return self.made(STANDARD.encode(text(0))),
            "from_base64" => match STANDARD.decode(text(0)) {
                Ok(bytes) => Val::text(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => Val::Null,
            },
            "inet_aton" => text(0)
                .parse::<std::net::Ipv4Addr>()
                .map_or(Val::Null, |ip| Val::Int(ip.to_bits().into())),
            "inet_ntoa" => u32::try_from(a.int()).map_or(Val::Null, |bits| {
                Val::text(std::net::Ipv4Addr::from_bits(bits).to_string())
            }),
            "elt" => match usize::try_from(a.int()) {
                Ok(n @ 1..) => arguments.get(n).cloned().unwrap_or(Val::Null),
                _ => Val::Null,
            },
            "field" => {
                let same = |v: &Val| value::compared(a, v).is_some_and(std::cmp::Ordering::is_eq);
                count(arguments.iter().skip(1).position(same).map_or(0, |i| i + 1))
            }
            "find_in_set" => {
                let (wanted, set) = (value::folded(&text(0)), text(1));
                count(
                    set.split(',')
                        .position(|one| value::folded(one) == wanted)
                        .map_or(0, |i| i + 1),
                )
            }
            "strcmp" => Val::Int(match value::compared(&Val::text(text(0)), &Val::text(text(1))) {
                Some(std::cmp::Ordering::Less) => -1,
                Some(std::cmp::Ordering::Greater) => 1,
                _ => 0,
            }),
            "substring_index" => {
                let (whole, divider, n) = (text(0), text(1), at(2).int());
                if divider.is_empty() || n == 0 {
                    return Ok(Val::text(""));
                }
                let parts: Vec<&str> = whole.split(divider.as_str()).collect();
                let many = usize::try_from(n.unsigned_abs())
                    .unwrap_or(usize::MAX)
                    .min(parts.len());
                let (before, after) = parts.split_at(if n > 0 { many } else { parts.len() - many });
                return self.made(if n > 0 { before } else { after }.join(&divider));
            }
            "quote" => {
                let mut out = String::from("'");
                for c in text(0).chars() {
                    match c {
                        '\'' | '\\' => out.extend(['\\', c]),
                        '\0' => out.push_str("\\0"),
                        '\u{1a}' => out.push_str("\\Z"),
                        c => out.push(c),
                    }
                }
                out.push('\'');
                return self.made(out);
            }
            "abs" => match a {
                Val::Int(n) => Val::Int(n.saturating_abs()),
                Val::Decimal(n, scale) => Val::Decimal(n.abs(), *scale),
                other => Val::Real(other.real().abs()),
            },
            "sign" => Val::Int(if a.real() > 0.0 {
                1
            } else if a.real() < 0.0 {
                -1
            } else {
                0
            }),
            "mod" => return self.arithmetic(Op::Modulo, a, b),
            "ceil" | "ceiling" | "floor" => {
                let rounded = if name == "floor" {
                    a.real().floor()
                } else {
                    a.real().ceil()
                };
                match a.exact() {
                    Some(_) => Val::Int(Val::Real(rounded).int()),
                    None => Val::Real(rounded),
                }
            }
            "round" | "truncate" => {
                let places = if arguments.len() > 1 {
                    b.int().clamp(-30, 30)
                } else {
                    0
                };
                rounded(a, places, name == "truncate")
            }
            "pow" | "power" => Val::Real(a.real().powf(b.real())),
            "sqrt" if a.real() < 0.0 => Val::Null,
            "sqrt" => Val::Real(a.real().sqrt()),
            "exp" => Val::Real(a.real().exp()),
            "ln" | "log" if a.real() <= 0.0 => Val::Null,
            "ln" | "log" if arguments.len() == 2 => Val::Real(b.real().ln() / a.real().ln()),
            "ln" | "log" => Val::Real(a.real().ln()),
            "greatest" => arguments
                .iter()
                .max_by(|a, b| value::ordered(a, b))
                .cloned()
                .unwrap_or(Val::Null),
            "least" => arguments
                .iter()
                .min_by(|a, b| value::ordered(a, b))
                .cloned()
                .unwrap_or(Val::Null),
            "format" => {
                let places = u32::try_from(b.int().clamp(0, 30)).unwrap_or_default();
                let number = Val::number(&text(0)).rescaled(places).string();
                let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
                let mut out = String::new();
                for (i, c) in whole.chars().enumerate() {
                    if i > 0
                        && (whole.len() - i).is_multiple_of(3)
                        && c.is_ascii_digit()
                        && !out.ends_with('-')
                    {
                        out.push(',');
                    }
                    out.push(c);
                }
                if places > 0 {
                    out.push('.');
                    out.push_str(part);
                }
                Val::text(out)
            }
            _ => Val::Null,
        })
    }
}

/// Where `needle` stands in `hay` after `from` characters, counted from one; zero where it does not.
fn position(hay: &str, needle: &str, from: usize) -> usize {
    let small = |text: &str| text.to_lowercase();
    let start: usize = hay.chars().take(from).map(char::len_utf8).sum();
    let rest = small(hay.get(start..).unwrap_or_default());
    match rest.find(&small(needle)) {
        Some(at) => from + rest.get(..at).unwrap_or_default().chars().count() + 1,
        None => 0,
    }
}

fn conv(digits: &str, from: i64, to: i64) -> Val {
    let base = |n: i64| {
        u32::try_from(n.unsigned_abs())
            .ok()
            .filter(|base| (2..=36).contains(base))
    };
    let (Some(from), Some(to)) = (base(from), base(to)) else {
        return Val::Null;
    };
    let end = digits.find(|c: char| !c.is_digit(from)).unwrap_or(digits.len());
    let mut n = u64::from_str_radix(digits.get(..end).unwrap_or_default(), from).unwrap_or_default();
    let mut out = Vec::new();
    loop {
        let digit = u32::try_from(n % u64::from(to)).unwrap_or_default();
        out.extend(char::from_digit(digit, to));
        n /= u64::from(to);
        if n == 0 {
            break;
        }
    }
    Val::text(out.into_iter().rev().collect::<String>().to_ascii_uppercase())
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn rounded(a: &Val, places: i64, cut: bool) -> Val {
    let keep = u32::try_from(places.max(0)).unwrap_or_default();
    match a.exact() {
        Some((n, scale)) if !cut => {
            if places < 0 {
                let unit = value::power_of_ten(u32::try_from(-places).unwrap_or_default());
                let whole = a.rescaled(0).int();
                return value::whole(value::divided(whole.into(), unit).saturating_mul(unit));
            }
            match (scale, keep) {
                (0, _) => a.clone(),
                (_, 0) => value::whole(a.rescaled(0).exact().map_or(0, |(n, _)| n)),
                (from, to) if to >= from => Val::Decimal(n, scale),
                _ => a.rescaled(keep),
            }
        }
        Some((n, scale)) if keep < scale => Val::Decimal(n / value::power_of_ten(scale - keep), keep),
        Some(_) => a.clone(),
        None => {
            let unit = 10_f64.powi(i32::try_from(places).unwrap_or_default());
            let x = a.real() * unit;
            Val::Real(if cut { x.trunc() } else { x.round() } / unit)
        }
    }
}

impl super::Database {
    /// A version 1 UUID (RFC 4122 section 4.2): of the time, which never stands still, and the machine's own node.
    fn uuid(&self, now: i64) -> String {
        use std::sync::atomic::Ordering;
        let second = u64::try_from(now).unwrap_or(0) * 10_000_000;
        let next = |last: u64| {
            // Within a second the last one goes before by as much as a statement takes.
            if last / 10_000_000 == second / 10_000_000 || last > second {
                last + rand::rng().random_range(180..4_000)
            } else {
                second + rand::rng().random_range(0..5_000_000)
            }
        };
        let mut new = 0;
        let _never_refused = self
            .ticks
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                new = next(last);
                Some(new)
            });
        let ticks = new + UUID_EPOCH;
        let (sequence, node) = self.node;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{}",
            ticks & 0xffff_ffff,
            ticks >> 32 & 0xffff,
            ticks >> 48 & 0x0fff | 0x1000,
            sequence & 0x3fff | 0x8000,
            hex::encode(node)
        )
    }
}

/// Ticks of 100 ns between 15 October 1582 and 1970.
const UUID_EPOCH: u64 = 0x01b2_1dd2_1381_4000;

/// A date with or without a time.
fn moment(text: &str) -> Option<PrimitiveDateTime> {
    let mut numbers = text.split(['-', ' ', ':', 'T', '.']).map(str::parse::<i32>);
    let mut next = || numbers.next().and_then(Result::ok);
    let (year, month, day) = (next()?, next()?, next()?);
    let small = |n: Option<i32>| u8::try_from(n.unwrap_or(0)).ok();
    let date = Date::from_calendar_date(
        year,
        Month::try_from(small(Some(month))?).ok()?,
        small(Some(day))?,
    )
    .ok()?;
    let time = Time::from_hms(small(next())?, small(next())?, small(next())?).ok()?;
    Some(PrimitiveDateTime::new(date, time))
}

fn shown(at: PrimitiveDateTime) -> String {
    format!(
        "{} {:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// A date moved by so many units.
pub(super) fn moved(of: &Val, amount: i64, unit: &str) -> Val {
    let text = of.string();
    let Some(at) = moment(&text) else {
        return Val::Null;
    };
    let months = match unit {
        "month" => Some(amount),
        "quarter" => Some(amount.saturating_mul(3)),
        "year" => Some(amount.saturating_mul(12)),
        _ => None,
    };
    let to = if let Some(months) = months {
        let all =
            i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1 + months.clamp(-120_000, 120_000);
        let year = i32::try_from(all.div_euclid(12)).ok();
        let month = u8::try_from(all.rem_euclid(12) + 1)
            .ok()
            .and_then(|m| Month::try_from(m).ok());
        year.zip(month).and_then(|(year, month)| {
            let day = at.day().min(month.length(year));
            Date::from_calendar_date(year, month, day)
                .ok()
                .map(|date| at.replace_date(date))
        })
    } else {
        let seconds = match unit {
            "week" => 604_800,
            "day" => 86_400,
            "hour" => 3_600,
            "minute" => 60,
            _ => 1,
        };
        at.checked_add(Duration::seconds(amount.saturating_mul(seconds)))
    };
    let Some(to) = to else {
        return Val::Null;
    };
    let by_days = !matches!(unit, "hour" | "minute" | "second");
    Val::text(if text.len() == 10 && by_days {
        to.date().to_string()
    } else {
        shown(to)
    })
}

fn formatted(of: &str, format: &str) -> Val {
    let Some(at) = moment(of) else {
        return Val::Null;
    };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let month = at.month().to_string();
        let weekday = at.date().weekday().to_string();
        let short = |name: &str| name.chars().take(3).collect::<String>();
        let twelve = match at.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        out.push_str(&match chars.next() {
            Some('Y') => format!("{:04}", at.year()),
            Some('y') => format!("{:02}", at.year().rem_euclid(100)),
            Some('m') => format!("{:02}", u8::from(at.month())),
            Some('c') => u8::from(at.month()).to_string(),
            Some('d') => format!("{:02}", at.day()),
            Some('e') => at.day().to_string(),
            Some('H') => format!("{:02}", at.hour()),
            Some('k') => at.hour().to_string(),
            Some('h' | 'I') => format!("{twelve:02}"),
            Some('i') => format!("{:02}", at.minute()),
            Some('s' | 'S') => format!("{:02}", at.second()),
            Some('f') => "000000".to_owned(),
            Some('p') => if at.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            Some('T') => format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second()),
            Some('M') => month,
            Some('b') => short(&month),
            Some('W') => weekday,
            Some('a') => short(&weekday),
            Some('j') => format!("{:03}", at.ordinal()),
            Some(other) => other.to_string(),
            None => "%".to_owned(),
        });
    }
    Val::text(out)
}

/// Whether a part of `text` fits the regular expression: literals, `.`, classes, `*`, `+`, `?`, `^`, `$` and `|` outside of
/// parentheses. Another one fits nothing.
pub(super) fn matches_regexp(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().take(2048).collect();
    pattern.to_lowercase().split('|').any(|branch| {
        let Some(parts) = regexp_parts(branch) else {
            return false;
        };
        let anchored = parts.first() == Some(&(Atom::Start, Times::Once));
        let mut work = 20_000;
        (0..=text.len())
            .take(if anchored { 1 } else { usize::MAX })
            .any(|from| fits(&text, from, &parts, &mut work))
    })
}

#[derive(Debug, PartialEq)]
enum Atom {
    Start,
    End,
    Any,
    Char(char),
    Class { not: bool, ranges: Vec<(char, char)> },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Times {
    Once,
    Maybe,
    Any,
    Some,
}

fn regexp_parts(pattern: &str) -> Option<Vec<(Atom, Times)>> {
    let mut chars = pattern.chars().peekable();
    let mut out = Vec::new();
    while let Some(c) = chars.next() {
        let atom = match c {
            '^' => Atom::Start,
            '$' => Atom::End,
            '.' => Atom::Any,
            '(' | ')' | '{' => return None,
            '\\' => match chars.next()? {
                'd' => Atom::Class {
                    not: false,
                    ranges: vec![('0', '9')],
                },
                c => Atom::Char(c),
            },
            '[' => {
                let not = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    match chars.next()? {
                        ']' if !ranges.is_empty() => break,
                        from if chars.peek() == Some(&'-') => {
                            chars.next();
                            match chars.next()? {
                                ']' => {
                                    ranges.extend([(from, from), ('-', '-')]);
                                    break;
                                }
                                to => ranges.push((from, to)),
                            }
                        }
                        one => ranges.push((one, one)),
                    }
                }
                Atom::Class { not, ranges }
            }
            c => Atom::Char(c),
        };
        let times = match chars.peek() {
            Some('*') => Times::Any,
            Some('+') => Times::Some,
            Some('?') => Times::Maybe,
            _ => Times::Once,
        };
        if times != Times::Once {
            chars.next();
        }
        out.push((atom, times));
    }
    Some(out)
}

fn fits(text: &[char], at: usize, parts: &[(Atom, Times)], work: &mut u32) -> bool {
    *work = work.saturating_sub(1);
    let Some(((atom, times), rest)) = parts.split_first() else {
        return true;
    };
    if *work == 0 {
        return false;
    }
    let one = |at: usize| match (atom, text.get(at)) {
        (Atom::Any, Some(_)) => true,
        (Atom::Char(wanted), Some(c)) => wanted == c,
        (Atom::Class { not, ranges }, Some(c)) => {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(c)) != *not
        }
        _ => false,
    };
    match (atom, times) {
        (Atom::Start, _) => at == 0 && fits(text, at, rest, work),
        (Atom::End, _) => at == text.len() && fits(text, at, rest, work),
        (_, Times::Once) => one(at) && fits(text, at + 1, rest, work),
        _ => {
            let most = match times {
                Times::Maybe => usize::from(one(at)),
                _ => (at..text.len()).take_while(|i| one(*i)).count(),
            };
            let least = usize::from(*times == Times::Some);
            (least..=most).rev().any(|n| fits(text, at + n, rest, work))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_of_common_forms_fit_as_they_should() {
        for (text, pattern, fit) in [
            ("abc", "^a", true),
            ("abc", "b", true),
            ("abc", "^b", false),
            ("abc", "c$", true),
            ("user42", "[a-z]+[0-9]+$", true),
            ("user", "[0-9]", false),
            ("ac", "ab*c", true),
            ("x", "y|x", true),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "a*a*a*a*a*a*a*a*b",
                false,
            ),
        ] {
            assert_eq!(matches_regexp(text, pattern), fit, "{text} {pattern}");
        }
    }

    #[test]
    fn dates_move_over_the_ends_of_months() {
        let shown = |text: &str, n, unit| moved(&Val::text(text), n, unit).string();
        assert_eq!(shown("2024-01-31", 1, "month"), "2024-02-29");
        assert_eq!(shown("2024-01-01", -1, "second"), "2023-12-31 23:59:59");
        assert_eq!(shown("2024-01-01 10:00:00", 1, "year"), "2025-01-01 10:00:00");
        assert_eq!(
            formatted("2024-05-06 17:08:09", "%d.%m.%y %h:%i %p").string(),
            "06.05.24 05:08 PM"
        );
    }

    #[test]
    fn checksums_are_those_of_the_server() {
        assert_eq!(crc32(b"a"), 3_904_355_907);
        assert_eq!(conv("ff", 16, 10), Val::text("255"));
    }
}
