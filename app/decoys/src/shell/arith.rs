//! Shell arithmetic (POSIX.1-2017 XCU 2.6.4) on 64-bit integers that wrap, as bash does it.

use std::collections::BTreeMap;

use super::vars::{Env, Key};

/// How deep parentheses and signs may nest.
const MAX_DEPTH: usize = 64;

/// How often a variable's value may be an expression that names another.
const MAX_TURNS: usize = 10;

/// The value of `text`; assignments in it change `env`. `special` are variables that the shell keeps itself.
///
/// # Errors
/// The text that bash prints after the script's name.
pub(super) fn evaluate(text: &str, env: &mut Env, special: &BTreeMap<&str, i64>) -> Result<i64, String> {
    evaluate_at(text, env, special, 0)
}

fn evaluate_at(
    text: &str,
    env: &mut Env,
    special: &BTreeMap<&str, i64>,
    turns: usize,
) -> Result<i64, String> {
    if text.trim().is_empty() {
        return Ok(0);
    }
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        env,
        special,
        turns,
        depth: 0,
        idle: 0,
    };
    let value = parser.comma()?;
    parser.blanks();
    if parser.at < parser.text.len() {
        let rest = String::from_utf8_lossy(parser.text.get(parser.at..).unwrap_or_default()).into_owned();
        return Err(format!(
            "{}: syntax error in expression (error token is \"{rest}\")",
            text.trim_start()
        ));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    env: &'a mut Env,
    special: &'a BTreeMap<&'a str, i64>,
    turns: usize,
    depth: usize,
    /// How many branches deep that are not taken: nothing is assigned there.
    idle: usize,
}

/// A variable, or an element of an array.
struct Place {
    name: String,
    key: Option<Key>,
}

/// Binary operators by rising precedence; longer ones first where one begins another.
const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn looking_at(&self, what: &str) -> bool {
        self.text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    fn eat(&mut self, what: &str) -> bool {
        self.blanks();
        let found = self.looking_at(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn fault<T>(&self) -> Result<T, String> {
        let whole = String::from_utf8_lossy(self.text);
        let mut rest = String::from_utf8_lossy(self.text.get(self.at..).unwrap_or_default()).into_owned();
        if rest.trim().is_empty() {
            // At the end bash names the last token that it read.
            rest = whole
                .trim_end()
                .chars()
                .last()
                .map(String::from)
                .unwrap_or_default();
        }
        Err(format!(
            "{}: syntax error: operand expected (error token is \"{rest}\")",
            whole.trim_start()
        ))
    }

    fn comma(&mut self) -> Result<i64, String> {
        let mut value = self.ternary()?;
        while self.eat(",") {
            value = self.ternary()?;
        }
        Ok(value)
    }

    fn ternary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fault();
        }
        let value = self.ternary_inner();
        self.depth -= 1;
        value
    }

    fn ternary_inner(&mut self) -> Result<i64, String> {
        let back = self.at;
        if let Some(place) = self.place()? {
            self.blanks();
            for op in ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="] {
                if self.looking_at(op) && !(op == "=" && self.looking_at("==")) {
                    self.at += op.len();
                    let right = self.ternary()?;
                    let left = self.value_of(&place)?;
                    let value = match op.trim_end_matches('=') {
                        "" => right,
                        op => self.apply(op, left, right)?,
                    };
                    self.assign(&place, value);
                    return Ok(value);
                }
            }
            self.at = back;
        }
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        self.idle += usize::from(condition == 0);
        let yes = self.ternary()?;
        self.idle -= usize::from(condition == 0);
        if !self.eat(":") {
            return self.fault();
        }
        self.idle += usize::from(condition != 0);
        let no = self.ternary()?;
        self.idle -= usize::from(condition != 0);
        Ok(if condition == 0 { no } else { yes })
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.power();
        };
        let mut left = self.binary(level + 1)?;
        'more: loop {
            self.blanks();
            for op in *operators {
                if !self.looking_at(op) {
                    continue;
                }
                let next = self.text.get(self.at + op.len()).copied();
                let longer = match *op {
                    "|" => next == Some(b'|'),
                    "&" => next == Some(b'&'),
                    "<" => next == Some(b'<'),
                    ">" => next == Some(b'>'),
                    "*" => next == Some(b'*'),
                    _ => false,
                };
                if longer {
                    continue;
                }
                self.at += op.len();
                let decided = (*op == "||" && left != 0) || (*op == "&&" && left == 0);
                self.idle += usize::from(decided);
                let right = self.binary(level + 1)?;
                self.idle -= usize::from(decided);
                left = self.apply(op, left, right)?;
                continue 'more;
            }
            return Ok(left);
        }
    }

    fn apply(&self, op: &str, a: i64, b: i64) -> Result<i64, String> {
        let shift = u32::try_from(b & 63).unwrap_or(0);
        Ok(match op {
            "||" => i64::from(a != 0 || b != 0),
            "&&" => i64::from(a != 0 && b != 0),
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<=" => i64::from(a <= b),
            ">=" => i64::from(a >= b),
            "<" => i64::from(a < b),
            ">" => i64::from(a > b),
            "<<" => a.wrapping_shl(shift),
            ">>" => a.wrapping_shr(shift),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 && self.idle > 0 => 0,
            "/" | "%" if b == 0 => {
                let whole = String::from_utf8_lossy(self.text);
                let token = whole
                    .trim_end()
                    .rsplit(['/', '%'])
                    .next()
                    .unwrap_or_default()
                    .trim();
                return Err(format!(
                    "{}: division by 0 (error token is \"{token}\")",
                    whole.trim()
                ));
            }
            "/" => a.wrapping_div(b),
            _ => a.wrapping_rem(b),
        })
    }

    fn power(&mut self) -> Result<i64, String> {
        let base = self.unary()?;
        if !self.eat("**") {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fault();
        }
        let exponent = self.power()?;
        self.depth -= 1;
        let Ok(exponent) = u32::try_from(exponent) else {
            return Err(format!(
                "{}: exponent less than 0",
                String::from_utf8_lossy(self.text)
            ));
        };
        Ok(base.wrapping_pow(exponent))
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fault();
        }
        let value = self.unary_inner();
        self.depth -= 1;
        value
    }

    fn unary_inner(&mut self) -> Result<i64, String> {
        self.blanks();
        for (op, by) in [("++", 1), ("--", -1)] {
            if self.looking_at(op) {
                let back = self.at;
                self.at += 2;
                if let Some(place) = self.place()? {
                    let value = self.value_of(&place)?.wrapping_add(by);
                    self.assign(&place, value);
                    return Ok(value);
                }
                self.at = back + 1;
                return self.unary().map(|v| if by > 0 { v } else { v.wrapping_neg() });
            }
        }
        if self.eat("!") {
            return Ok(i64::from(self.unary()? == 0));
        }
        if self.eat("~") {
            return Ok(!self.unary()?);
        }
        if self.eat("-") {
            return Ok(self.unary()?.wrapping_neg());
        }
        if self.eat("+") {
            return self.unary();
        }
        if self.eat("(") {
            let value = self.comma()?;
            return if self.eat(")") { Ok(value) } else { self.fault() };
        }
        if let Some(place) = self.place()? {
            let value = self.value_of(&place)?;
            for (op, by) in [("++", 1), ("--", -1)] {
                if self.eat(op) {
                    self.assign(&place, value.wrapping_add(by));
                    break;
                }
            }
            return Ok(value);
        }
        self.number()
    }

    fn number(&mut self) -> Result<i64, String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'#')
            .count();
        let token = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        if token.is_empty() {
            return self.fault();
        }
        let (digits, base) = if let Some(hex) = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X"))
        {
            (hex, 16)
        } else if let Some((base, digits)) = token.split_once('#') {
            (
                digits,
                base.parse::<u32>()
                    .ok()
                    .filter(|b| (2..=36).contains(b))
                    .unwrap_or(10),
            )
        } else if token.len() > 1 && token.starts_with('0') {
            (token.as_str(), 8)
        } else {
            (token.as_str(), 10)
        };
        match i64::from_str_radix(digits, base) {
            Ok(value) => {
                self.at += len;
                Ok(value)
            }
            Err(_) => {
                let whole = String::from_utf8_lossy(self.text);
                Err(format!(
                    "{whole}: value too great for base (error token is \"{token}\")"
                ))
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        self.blanks();
        let rest = self.text.get(self.at..)?;
        if !rest
            .first()
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        {
            return None;
        }
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count();
        self.at += len;
        Some(String::from_utf8_lossy(rest.get(..len)?).into_owned())
    }

    /// A variable's name, with its subscript where it has one.
    fn place(&mut self) -> Result<Option<Place>, String> {
        let Some(name) = self.name() else { return Ok(None) };
        if self.text.get(self.at) != Some(&b'[') {
            return Ok(Some(Place { name, key: None }));
        }
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let mut depth = 0_usize;
        let Some(end) = rest.iter().position(|b| match b {
            b'[' => {
                depth += 1;
                false
            }
            b']' => {
                depth = depth.wrapping_sub(1);
                depth == usize::MAX
            }
            _ => false,
        }) else {
            return self.fault();
        };
        let inner = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        self.at += end + 2;
        let key = if self.env.is_named(&name) {
            Key::Name(inner.into_bytes())
        } else if self.turns >= MAX_TURNS {
            Key::Number(0)
        } else {
            let number = evaluate_at(&inner, self.env, self.special, self.turns + 1)?;
            Key::Number(u32::try_from(number).unwrap_or(0).min(1 << 24))
        };
        Ok(Some(Place { name, key: Some(key) }))
    }

    /// A variable's value: a number, or an expression in its turn.
    fn value_of(&mut self, place: &Place) -> Result<i64, String> {
        let text = match &place.key {
            Some(key) => self.env.item(&place.name, key),
            None => self.env.vars.get(&place.name).map(|v| v.value.clone()),
        };
        let Some(text) = text else {
            return Ok(self.special.get(place.name.as_str()).copied().unwrap_or(0));
        };
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if let Ok(value) = text.parse::<i64>()
            && (!text.starts_with('0') || text.len() == 1)
        {
            return Ok(value);
        }
        if self.turns >= MAX_TURNS {
            return Err(format!(
                "{text}: expression recursion level exceeded (error token is \"{text}\")"
            ));
        }
        evaluate_at(&text, self.env, self.special, self.turns + 1)
    }

    fn assign(&mut self, place: &Place, value: i64) {
        if self.idle > 0 {
            return;
        }
        let text = value.to_string().into_bytes();
        match &place.key {
            Some(key) => self.env.set_item(&place.name, key, text),
            None => self.env.set(&place.name, text),
        }
    }
}
