//! Shell arithmetic (POSIX.1-2017 XCU 2.6.4) on 64-bit integers that wrap, as bash does it.

use std::collections::BTreeMap;

use super::run::Var;

/// How deep parentheses and signs may nest.
const MAX_DEPTH: usize = 64;

/// The value of `text`; assignments in it change `vars`.
///
/// # Errors
/// The text that bash prints after the script's name.
pub(super) fn evaluate(text: &str, vars: &mut BTreeMap<String, Var>) -> Result<i64, String> {
    if text.trim().is_empty() {
        return Ok(0);
    }
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        vars,
        depth: 0,
    };
    let value = parser.comma()?;
    parser.blanks();
    if parser.at < parser.text.len() {
        let rest = String::from_utf8_lossy(parser.text.get(parser.at..).unwrap_or_default()).into_owned();
        return Err(format!(
            "{text}: syntax error in expression (error token is \"{rest}\")"
        ));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    vars: &'a mut BTreeMap<String, Var>,
    depth: usize,
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
        let rest = String::from_utf8_lossy(self.text.get(self.at..).unwrap_or_default());
        Err(format!(
            "{whole}: syntax error: operand expected (error token is \"{rest}\")"
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
        if let Some(name) = self.name() {
            self.blanks();
            for op in ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="] {
                if self.looking_at(op) && !(op == "=" && self.looking_at("==")) {
                    self.at += op.len();
                    let right = self.ternary()?;
                    let left = self.value_of(&name, 0);
                    let value = match op.trim_end_matches('=') {
                        "" => right,
                        op => self.apply(op, left, right)?,
                    };
                    self.assign(&name, value);
                    return Ok(value);
                }
            }
            self.at = back;
        }
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let yes = self.ternary()?;
        if !self.eat(":") {
            return self.fault();
        }
        let no = self.ternary()?;
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
                let right = self.binary(level + 1)?;
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
                    whole.trim_end()
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
                if let Some(name) = self.name() {
                    let value = self.value_of(&name, 0).wrapping_add(by);
                    self.assign(&name, value);
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
        if let Some(name) = self.name() {
            let value = self.value_of(&name, 0);
            for (op, by) in [("++", 1), ("--", -1)] {
                if self.eat(op) {
                    self.assign(&name, value.wrapping_add(by));
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

    /// A variable's value: a number, or (once more, at most ten times) a variable's name.
    fn value_of(&self, name: &str, turns: usize) -> i64 {
        let Some(var) = self.vars.get(name) else { return 0 };
        let text = String::from_utf8_lossy(&var.value).trim().to_owned();
        match text.parse() {
            Ok(value) => value,
            Err(_) if turns < 10 => self.value_of(&text, turns + 1),
            Err(_) => 0,
        }
    }

    fn assign(&mut self, name: &str, value: i64) {
        self.vars.entry(name.to_owned()).or_default().value = value.to_string().into_bytes();
    }
}
