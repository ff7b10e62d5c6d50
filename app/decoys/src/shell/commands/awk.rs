//! awk (POSIX.1-2017 XCU awk), as far as one-liners go: patterns and ranges, fields, variables and arrays, the control
//! flow, `printf`, and the functions on strings. Its work is bounded.
//!
//! Deliberately absent: functions of one's own, `getline`, pipes and redirections; output to a file or a command is
//! printed like any other.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Call, Shell, inputs, lines, text::Regex};
use crate::shell::parse::{Escapes, unescape};

/// Steps that one program may take.
const WORK: u32 = 400_000;
/// How deep a program may nest.
const DEPTH: usize = 60;
/// Operators of one statement.
const TERMS: usize = 120;
/// Bytes that one program may print or hold.
const BYTES: usize = 4 << 20;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    /// A function's name with its parenthesis.
    Call(String),
    Op(&'static str),
    Line,
    End,
}

const OPERATORS: &[&str] = &[
    "**=", "&&", "||", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "^=", "++", "--", "!~", ">>",
    "**", "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", "<", ">", "=", "?", ":",
    "~", "$", "|",
];

fn tokens(program: &str) -> Result<Vec<Token>, String> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = program;
    'next: while let Some(c) = rest.chars().next() {
        if c == '\n' {
            out.push(Token::Line);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if c.is_whitespace() || rest.starts_with("\\\n") {
            rest = rest
                .get(if c == '\\' { 2 } else { c.len_utf8() }..)
                .unwrap_or_default();
            continue;
        }
        if c == '#' {
            rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default();
            continue;
        }
        let divides = matches!(
            out.last(),
            Some(Token::Number(_) | Token::Text(_) | Token::Name(_) | Token::Op(")" | "]" | "$"))
        );
        if c == '"' || (c == '/' && !divides) {
            let mut text = String::new();
            let mut escaped = false;
            let mut set = false;
            for (i, d) in rest.char_indices().skip(1) {
                if escaped {
                    // A slash that was escaped only to stand in the pattern.
                    if !(c == '/' && d == '/') {
                        text.push('\\');
                    }
                    text.push(d);
                    escaped = false;
                } else if d == '\\' {
                    escaped = true;
                } else if d == c && !set {
                    out.push(if c == '"' {
                        Token::Text(
                            String::from_utf8_lossy(&unescape(text.as_bytes(), Escapes::Ansi).0).into_owned(),
                        )
                    } else {
                        Token::Regex(text)
                    });
                    rest = rest.get(i + 1..).unwrap_or_default();
                    continue 'next;
                } else {
                    set = c == '/' && ((set && d != ']') || d == '[');
                    text.push(d);
                }
            }
            return Err(format!(
                "runaway {} {c}{text} ...",
                if c == '"' {
                    "string constant"
                } else {
                    "regular expression"
                }
            ));
        }
        if c.is_ascii_digit() || (c == '.' && rest.chars().nth(1).is_some_and(|d| d.is_ascii_digit())) {
            let len = rest
                .find(|d: char| !(d.is_ascii_digit() || d == '.'))
                .unwrap_or(rest.len());
            let (digits, after) = rest.split_at(len);
            out.push(Token::Number(digits.parse().unwrap_or(0.0)));
            rest = after;
            continue;
        }
        if c.is_ascii_alphabetic() || c == '_' {
            let len = rest
                .find(|d: char| !(d.is_ascii_alphanumeric() || d == '_'))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(len);
            let name = name.to_owned();
            let word = matches!(
                name.as_str(),
                "if" | "else"
                    | "while"
                    | "for"
                    | "do"
                    | "print"
                    | "printf"
                    | "in"
                    | "next"
                    | "exit"
                    | "delete"
                    | "break"
                    | "continue"
                    | "BEGIN"
                    | "END"
                    | "getline"
                    | "return"
            );
            out.push(if after.starts_with('(') && !word {
                Token::Call(name)
            } else {
                Token::Name(name)
            });
            rest = after;
            continue;
        }
        let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) else {
            return Err(format!("syntax error at or near {c}"));
        };
        out.push(Token::Op(op));
        rest = rest.get(op.len()..).unwrap_or_default();
    }
    out.push(Token::End);
    Ok(out)
}

#[derive(Debug, Clone)]
enum Expr {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    Field(Box<Expr>),
    Item(String, Vec<Expr>),
    In(Vec<Expr>, String),
    Call(String, Vec<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Match(bool, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Assign(&'static str, Box<Expr>, Box<Expr>),
    /// A change by one: how much, and whether the old value counts.
    Step(f64, bool, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone)]
enum Stmt {
    Expr(Expr),
    Print(Vec<Expr>),
    Printf(Vec<Expr>),
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    While(Expr, Box<Stmt>, bool),
    For(Option<Box<Stmt>>, Option<Expr>, Option<Box<Stmt>>, Box<Stmt>),
    ForIn(String, String, Box<Stmt>),
    Block(Vec<Stmt>),
    Delete(String, Option<Vec<Expr>>),
    Next,
    Exit(Option<Expr>),
    Break,
    Continue,
}

enum Pattern {
    Begin,
    End,
    Always,
    When(Expr),
    Range(Expr, Expr),
}

type Parse<T> = Result<T, String>;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Operators of the expression that is read: they nest in the tree.
    terms: usize,
    /// In the list of `print`, where `>` sends the output.
    printing: bool,
    /// In the head of a `for`, where `in` is no operator.
    no_in: bool,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn is(&self, op: &str) -> bool {
        matches!(self.peek(), Token::Op(o) if *o == op)
    }

    fn eat(&mut self, op: &str) -> bool {
        let found = self.is(op);
        self.at += usize::from(found);
        found
    }

    fn eat_name(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(n) if n == name);
        self.at += usize::from(found);
        found
    }

    fn want(&mut self, op: &str) -> Parse<()> {
        if self.eat(op) { Ok(()) } else { self.fault() }
    }

    fn fault<T>(&self) -> Parse<T> {
        let near = match self.peek() {
            Token::Op(op) => (*op).to_owned(),
            Token::Name(name) | Token::Call(name) => name.clone(),
            Token::Text(text) => format!("\"{text}\""),
            Token::Number(n) => n.to_string(),
            Token::Regex(r) => format!("/{r}/"),
            Token::Line | Token::End => "end of file".to_owned(),
        };
        Err(format!("syntax error at or near {near}"))
    }

    fn breaks(&mut self) {
        while matches!(self.peek(), Token::Line) || self.is(";") {
            self.at += 1;
        }
    }

    fn lines(&mut self) {
        while matches!(self.peek(), Token::Line) {
            self.at += 1;
        }
    }

    fn program(&mut self) -> Parse<Vec<(Pattern, Option<Stmt>)>> {
        let mut out = Vec::new();
        loop {
            self.breaks();
            if *self.peek() == Token::End {
                return Ok(out);
            }
            let pattern = if self.eat_name("BEGIN") {
                Pattern::Begin
            } else if self.eat_name("END") {
                Pattern::End
            } else if self.is("{") {
                Pattern::Always
            } else {
                let first = self.expr()?;
                if self.eat(",") {
                    self.lines();
                    Pattern::Range(first, self.expr()?)
                } else {
                    Pattern::When(first)
                }
            };
            let body = if self.is("{") { Some(self.block()?) } else { None };
            if body.is_none() && matches!(pattern, Pattern::Begin | Pattern::End) {
                return self.fault();
            }
            out.push((pattern, body));
        }
    }

    fn block(&mut self) -> Parse<Stmt> {
        self.want("{")?;
        let mut out = Vec::new();
        loop {
            self.breaks();
            if self.eat("}") {
                return Ok(Stmt::Block(out));
            }
            if *self.peek() == Token::End {
                return self.fault();
            }
            out.push(self.statement()?);
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("program too deep".to_owned());
        }
        let out = inner(self);
        self.depth -= 1;
        out
    }

    /// One more operator of an expression.
    fn term(&mut self) -> Parse<()> {
        self.terms += 1;
        if self.terms > TERMS {
            return Err("expression too complex".to_owned());
        }
        Ok(())
    }

    fn statement(&mut self) -> Parse<Stmt> {
        self.terms = 0;
        self.nested(Self::statement_inner)
    }

    fn body(&mut self) -> Parse<Box<Stmt>> {
        self.lines();
        if self.eat(";") {
            return Ok(Box::new(Stmt::Block(Vec::new())));
        }
        Ok(Box::new(self.statement()?))
    }

    fn statement_inner(&mut self) -> Parse<Stmt> {
        if self.is("{") {
            return self.block();
        }
        if self.eat_name("if") {
            self.want("(")?;
            let condition = self.expr()?;
            self.want(")")?;
            let yes = self.body()?;
            let back = self.at;
            self.breaks();
            if self.eat_name("else") {
                return Ok(Stmt::If(condition, yes, Some(self.body()?)));
            }
            self.at = back;
            return Ok(Stmt::If(condition, yes, None));
        }
        if self.eat_name("while") {
            self.want("(")?;
            let condition = self.expr()?;
            self.want(")")?;
            return Ok(Stmt::While(condition, self.body()?, false));
        }
        if self.eat_name("do") {
            let body = self.body()?;
            self.breaks();
            if !self.eat_name("while") {
                return self.fault();
            }
            self.want("(")?;
            let condition = self.expr()?;
            self.want(")")?;
            return Ok(Stmt::While(condition, body, true));
        }
        if self.eat_name("for") {
            return self.for_statement();
        }
        let out = self.simple()?;
        if !(self.is(";") || self.is("}") || matches!(self.peek(), Token::Line | Token::End)) {
            return self.fault();
        }
        Ok(out)
    }

    fn for_statement(&mut self) -> Parse<Stmt> {
        self.want("(")?;
        if let (
            Some(Token::Name(name)),
            Some(Token::Name(word)),
            Some(Token::Name(array)),
            Some(Token::Op(")")),
        ) = (
            self.tokens.get(self.at),
            self.tokens.get(self.at + 1),
            self.tokens.get(self.at + 2),
            self.tokens.get(self.at + 3),
        ) && word == "in"
        {
            let (name, array) = (name.clone(), array.clone());
            self.at += 4;
            return Ok(Stmt::ForIn(name, array, self.body()?));
        }
        let first = if self.is(";") {
            None
        } else {
            Some(Box::new(self.simple()?))
        };
        self.want(";")?;
        let condition = if self.is(";") { None } else { Some(self.expr()?) };
        self.want(";")?;
        let step = if self.is(")") {
            None
        } else {
            Some(Box::new(self.simple()?))
        };
        self.want(")")?;
        Ok(Stmt::For(first, condition, step, self.body()?))
    }

    fn simple(&mut self) -> Parse<Stmt> {
        for (word, stmt) in [
            ("next", Stmt::Next),
            ("break", Stmt::Break),
            ("continue", Stmt::Continue),
        ] {
            if self.eat_name(word) {
                return Ok(stmt);
            }
        }
        let ends = |p: &Self| p.is(";") || p.is("}") || matches!(p.peek(), Token::Line | Token::End);
        if self.eat_name("exit") {
            return Ok(Stmt::Exit(if ends(self) { None } else { Some(self.expr()?) }));
        }
        if self.eat_name("delete") {
            let Token::Name(name) = self.peek().clone() else {
                return self.fault();
            };
            self.at += 1;
            let keys = if self.eat("[") {
                let keys = self.list("]")?;
                self.want("]")?;
                Some(keys)
            } else {
                None
            };
            return Ok(Stmt::Delete(name, keys));
        }
        for (word, formatted) in [("print", false), ("printf", true)] {
            if !self.eat_name(word) {
                continue;
            }
            let was = std::mem::replace(&mut self.printing, true);
            let mut list = Vec::new();
            if !(ends(self) || self.is(">") || self.is(">>") || self.is("|")) {
                list.push(self.expr()?);
                while self.eat(",") {
                    self.lines();
                    list.push(self.expr()?);
                }
            }
            self.printing = was;
            if self.eat(">") || self.eat(">>") || self.eat("|") {
                // Where it goes is not looked at.
                self.concat()?;
            }
            // `print (a, b)`: the parentheses belong to the list.
            if let [Expr::Call(name, inner)] = list.as_mut_slice()
                && name.is_empty()
            {
                list = std::mem::take(inner);
            }
            return Ok(if formatted {
                Stmt::Printf(list)
            } else {
                Stmt::Print(list)
            });
        }
        Ok(Stmt::Expr(self.expr()?))
    }

    fn list(&mut self, end: &str) -> Parse<Vec<Expr>> {
        let mut out = Vec::new();
        let was = (
            std::mem::replace(&mut self.printing, false),
            std::mem::replace(&mut self.no_in, false),
        );
        while !self.is(end) {
            out.push(self.expr()?);
            if !self.eat(",") {
                break;
            }
            self.lines();
        }
        (self.printing, self.no_in) = was;
        Ok(out)
    }

    fn expr(&mut self) -> Parse<Expr> {
        self.nested(Self::ternary)
    }

    fn ternary(&mut self) -> Parse<Expr> {
        let left = self.or()?;
        if self.eat("?") {
            let yes = self.expr()?;
            self.want(":")?;
            let no = self.expr()?;
            return Ok(Expr::If(Box::new(left), Box::new(yes), Box::new(no)));
        }
        for op in ["=", "+=", "-=", "*=", "/=", "%=", "^="] {
            if self.is(op) && matches!(left, Expr::Name(_) | Expr::Field(_) | Expr::Item(..)) {
                self.at += 1;
                let right = self.expr()?;
                let op = op.strip_suffix('=').unwrap_or_default();
                return Ok(Expr::Assign(op, Box::new(left), Box::new(right)));
            }
        }
        Ok(left)
    }

    fn or(&mut self) -> Parse<Expr> {
        let mut left = self.and()?;
        while self.eat("||") {
            self.term()?;
            self.lines();
            left = Expr::Binary("||", Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parse<Expr> {
        let mut left = self.membership()?;
        while self.eat("&&") {
            self.term()?;
            self.lines();
            left = Expr::Binary("&&", Box::new(left), Box::new(self.membership()?));
        }
        Ok(left)
    }

    fn membership(&mut self) -> Parse<Expr> {
        let mut left = self.matching()?;
        while !self.no_in && self.eat_name("in") {
            let Token::Name(array) = self.peek().clone() else {
                return self.fault();
            };
            self.at += 1;
            let keys = match left {
                Expr::Call(name, keys) if name.is_empty() => keys,
                key => vec![key],
            };
            self.term()?;
            left = Expr::In(keys, array);
        }
        Ok(left)
    }

    fn matching(&mut self) -> Parse<Expr> {
        let mut left = self.comparison()?;
        loop {
            let yes = if self.eat("~") {
                true
            } else if self.eat("!~") {
                false
            } else {
                return Ok(left);
            };
            self.term()?;
            left = Expr::Match(yes, Box::new(left), Box::new(self.comparison()?));
        }
    }

    fn comparison(&mut self) -> Parse<Expr> {
        let left = self.concat()?;
        for op in ["<=", ">=", "==", "!=", "<", ">"] {
            if self.is(op) && !(op == ">" && self.printing) {
                self.at += 1;
                return Ok(Expr::Binary(op, Box::new(left), Box::new(self.concat()?)));
            }
        }
        Ok(left)
    }

    fn concat(&mut self) -> Parse<Expr> {
        let mut left = self.sum()?;
        loop {
            let joins = match self.peek() {
                Token::Number(_) | Token::Text(_) | Token::Call(_) => true,
                Token::Name(name) => name != "in",
                Token::Op(op) => matches!(*op, "$" | "!" | "(" | "++" | "--"),
                _ => false,
            };
            if !joins {
                return Ok(left);
            }
            self.term()?;
            left = Expr::Concat(Box::new(left), Box::new(self.sum()?));
        }
    }

    fn sum(&mut self) -> Parse<Expr> {
        let mut left = self.product()?;
        loop {
            let op = if self.eat("+") {
                "+"
            } else if self.eat("-") {
                "-"
            } else {
                return Ok(left);
            };
            self.term()?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Parse<Expr> {
        let mut left = self.unary()?;
        loop {
            let op = if self.eat("*") {
                "*"
            } else if self.eat("/") {
                "/"
            } else if self.eat("%") {
                "%"
            } else {
                return Ok(left);
            };
            self.term()?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parse<Expr> {
        for op in ["!", "-", "+"] {
            if self.eat(op) {
                return Ok(Expr::Unary(op, Box::new(self.nested(Self::unary)?)));
            }
        }
        let base = self.postfix()?;
        if self.eat("^") || self.eat("**") {
            return Ok(Expr::Binary(
                "^",
                Box::new(base),
                Box::new(self.nested(Self::unary)?),
            ));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parse<Expr> {
        for (op, by) in [("++", 1.0), ("--", -1.0)] {
            if self.eat(op) {
                return Ok(Expr::Step(by, false, Box::new(self.primary()?)));
            }
        }
        let base = self.primary()?;
        if matches!(base, Expr::Name(_) | Expr::Field(_) | Expr::Item(..)) {
            for (op, by) in [("++", 1.0), ("--", -1.0)] {
                if self.eat(op) {
                    return Ok(Expr::Step(by, true, Box::new(base)));
                }
            }
        }
        Ok(base)
    }

    fn primary(&mut self) -> Parse<Expr> {
        let token = self.peek().clone();
        self.at += 1;
        Ok(match token {
            Token::Number(n) => Expr::Number(n),
            Token::Text(text) => Expr::Text(text),
            Token::Regex(text) => Expr::Regex(text),
            Token::Op("$") => {
                let step = self.is("++") || self.is("--");
                let inner = self.nested(|p| if step { p.postfix() } else { p.primary() })?;
                Expr::Field(Box::new(inner))
            }
            Token::Op("(") => {
                let mut list = self.list(")")?;
                self.want(")")?;
                if list.len() == 1 {
                    // Kept apart from what stands beside it.
                    let inner = list.remove(0);
                    if matches!(inner, Expr::Name(_) | Expr::Field(_) | Expr::Item(..)) {
                        inner
                    } else {
                        Expr::Unary("(", Box::new(inner))
                    }
                } else {
                    Expr::Call(String::new(), list)
                }
            }
            Token::Call(name) => {
                self.want("(")?;
                let list = self.list(")")?;
                self.want(")")?;
                if !FUNCTIONS.contains(&name.as_str()) {
                    return Err(format!("function {name} not defined"));
                }
                Expr::Call(name, list)
            }
            Token::Name(name) if name == "length" => Expr::Call(name, Vec::new()),
            Token::Name(name) => {
                if self.eat("[") {
                    let keys = self.list("]")?;
                    self.want("]")?;
                    Expr::Item(name, keys)
                } else {
                    Expr::Name(name)
                }
            }
            _ => {
                self.at -= 1;
                return self.fault();
            }
        })
    }
}

const FUNCTIONS: &[&str] = &[
    "length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "toupper", "tolower", "int",
    "sqrt", "exp", "log", "sin", "cos", "rand", "srand", "system", "strftime", "systime", "close", "fflush",
];

#[derive(Debug, Clone)]
enum Value {
    Number(f64),
    Text(String),
    /// Text from outside: a number where it looks like one.
    Field(String),
    Unset,
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Number(n) => shown(*n),
            Self::Text(text) | Self::Field(text) => text.clone(),
            Self::Unset => String::new(),
        }
    }

    fn number(&self) -> f64 {
        match self {
            Self::Number(n) => *n,
            Self::Text(text) | Self::Field(text) => leading(text),
            Self::Unset => 0.0,
        }
    }

    /// Its number, where it counts as one in a comparison.
    fn numeric(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Unset => Some(0.0),
            Self::Field(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            Self::Text(_) => None,
        }
    }

    fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Field(text) => self.numeric().map_or(!text.is_empty(), |n| n != 0.0),
            other => other.number() != 0.0,
        }
    }
}

/// A number as awk prints it: whole ones as they are, others by `%.6g`.
fn shown(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e16 {
        return format!("{n:.0}").replace("-0", if n == 0.0 { "0" } else { "-0" });
    }
    general(n, 6)
}

/// `%.{digits}g`.
fn general(n: f64, digits: usize) -> String {
    if n == 0.0 || !n.is_finite() {
        return if n.is_finite() {
            "0".to_owned()
        } else if n.is_nan() {
            "nan".to_owned()
        } else {
            "inf".to_owned()
        };
    }
    let digits = digits.max(1);
    let scientific = format!("{n:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let most = i32::try_from(digits).unwrap_or(6);
    if exponent < -4 || exponent >= most {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
    trim(&format!("{n:.places$}"))
}

fn leading(text: &str) -> f64 {
    let text = text.trim_start();
    let mut end = 0;
    let (mut digits, mut point, mut exponent) = (false, false, false);
    for (i, c) in text.char_indices() {
        match c {
            '0'..='9' => digits = true,
            '+' | '-' if i == 0 || text.get(..i).is_some_and(|t| t.ends_with(['e', 'E'])) => {}
            '.' if !point && !exponent => point = true,
            'e' | 'E' if digits && !exponent => exponent = true,
            _ => break,
        }
        if c.is_ascii_digit() || (c == '.' && digits) {
            end = i + 1;
        }
    }
    text.get(..end).and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

enum Flow {
    Next,
    Exit,
    Break,
    Continue,
    Fault(String),
}

type Run<T> = Result<T, Flow>;

struct Awk {
    vars: BTreeMap<String, Value>,
    arrays: BTreeMap<String, BTreeMap<String, Value>>,
    record: String,
    fields: Vec<String>,
    out: Vec<u8>,
    status: u8,
    work: u32,
    held: usize,
    now: i64,
    seed: u64,
}

impl Awk {
    fn var(&self, name: &str) -> Value {
        match name {
            "NF" => {
                #[expect(clippy::cast_precision_loss, reason = "a line has fewer fields")]
                let count = self.fields.len() as f64;
                Value::Number(count)
            }
            _ => self.vars.get(name).cloned().unwrap_or(Value::Unset),
        }
    }

    fn set(&mut self, name: &str, value: Value) -> Run<()> {
        self.held += 16;
        if let Value::Text(text) | Value::Field(text) = &value {
            self.held += text.len();
        }
        if self.held > BYTES * 2 {
            return Err(Flow::Fault("program limit exceeded".to_owned()));
        }
        if name == "NF" {
            let count = index(value.number()).min(10_000);
            self.fields.resize(count, String::new());
            self.rejoin();
            return Ok(());
        }
        self.vars.insert(name.to_owned(), value);
        Ok(())
    }

    fn set_record(&mut self, record: &str) {
        self.record = record.to_owned();
        let by = self.var("FS").text();
        self.fields = self.split(record, &by);
    }

    fn split(&self, text: &str, by: &str) -> Vec<String> {
        if text.is_empty() {
            return Vec::new();
        }
        if by == " " {
            return text.split_whitespace().map(str::to_owned).collect();
        }
        if by.is_empty() {
            return text.chars().map(|c| c.to_string()).collect();
        }
        if by.chars().count() == 1 && !matches!(by, "\\") {
            return text.split(by).map(str::to_owned).collect();
        }
        let regex = Regex::new(by.as_bytes(), true, false);
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let (mut at, mut from) = (0, 0);
        while let Some((a, b)) = regex.find(bytes, from) {
            if b == a {
                from = b + 1;
                if from > bytes.len() {
                    break;
                }
                continue;
            }
            out.push(String::from_utf8_lossy(bytes.get(at..a).unwrap_or_default()).into_owned());
            (at, from) = (b, b);
        }
        out.push(String::from_utf8_lossy(bytes.get(at..).unwrap_or_default()).into_owned());
        out
    }

    fn rejoin(&mut self) {
        let by = self.var("OFS").text();
        self.record = self.fields.join(&by);
    }

    fn field(&self, number: usize) -> Value {
        if number == 0 {
            return Value::Field(self.record.clone());
        }
        self.fields
            .get(number - 1)
            .map_or(Value::Unset, |text| Value::Field(text.clone()))
    }

    fn set_field(&mut self, number: usize, text: &str) {
        if number == 0 {
            return self.set_record(text);
        }
        if number > 10_000 {
            return;
        }
        if self.fields.len() < number {
            self.fields.resize(number, String::new());
        }
        if let Some(field) = self.fields.get_mut(number - 1) {
            text.clone_into(field);
        }
        self.rejoin();
    }

    fn key(&mut self, keys: &[Expr]) -> Run<String> {
        let mut parts = Vec::new();
        for key in keys {
            parts.push(self.eval(key)?.text());
        }
        Ok(parts.join("\x1c"))
    }

    fn store(&mut self, place: &Expr, value: Value) -> Run<()> {
        match place {
            Expr::Name(name) => self.set(name, value),
            Expr::Field(inner) => {
                let number = index(self.eval(inner)?.number());
                self.set_field(number, &value.text());
                Ok(())
            }
            Expr::Item(name, keys) => {
                let key = self.key(keys)?;
                self.held += key.len() + 32;
                if self.held > BYTES * 2 {
                    return Err(Flow::Fault("program limit exceeded".to_owned()));
                }
                self.arrays.entry(name.clone()).or_default().insert(key, value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn matches(&mut self, text: &str, pattern: &Expr) -> Run<bool> {
        let pattern = match pattern {
            Expr::Regex(pattern) => pattern.clone(),
            other => self.eval(other)?.text(),
        };
        Ok(Regex::new(pattern.as_bytes(), true, false)
            .find(text.as_bytes(), 0)
            .is_some())
    }

    fn eval(&mut self, expr: &Expr) -> Run<Value> {
        self.work = self
            .work
            .checked_sub(1)
            .ok_or_else(|| Flow::Fault("program limit exceeded".to_owned()))?;
        Ok(match expr {
            Expr::Number(n) => Value::Number(*n),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Regex(_) => {
                let record = self.record.clone();
                truth(self.matches(&record, expr)?)
            }
            Expr::Name(name) => self.var(name),
            Expr::Field(inner) => {
                let number = self.eval(inner)?.number();
                self.field(index(number))
            }
            Expr::Item(name, keys) => {
                let key = self.key(keys)?;
                let array = self.arrays.entry(name.clone()).or_default();
                array.entry(key).or_insert(Value::Unset).clone()
            }
            Expr::In(keys, name) => {
                let key = self.key(keys)?;
                truth(self.arrays.get(name).is_some_and(|a| a.contains_key(&key)))
            }
            Expr::Unary("(", inner) => self.eval(inner)?,
            Expr::Unary("!", inner) => truth(!self.eval(inner)?.is_true()),
            Expr::Unary("-", inner) => Value::Number(-self.eval(inner)?.number()),
            Expr::Unary(_, inner) => Value::Number(self.eval(inner)?.number()),
            Expr::If(condition, yes, no) => {
                if self.eval(condition)?.is_true() {
                    self.eval(yes)?
                } else {
                    self.eval(no)?
                }
            }
            Expr::Match(yes, text, pattern) => {
                let text = self.eval(text)?.text();
                truth(self.matches(&text, pattern)? == *yes)
            }
            Expr::Concat(a, b) => {
                let mut text = self.eval(a)?.text();
                text.push_str(&self.eval(b)?.text());
                if text.len() > BYTES {
                    return Err(Flow::Fault("program limit exceeded".to_owned()));
                }
                Value::Text(text)
            }
            Expr::Assign("", place, value) => {
                let value = self.eval(value)?;
                self.store(place, value.clone())?;
                value
            }
            Expr::Assign(op, place, value) => {
                let right = self.eval(value)?.number();
                let left = self.eval(place)?.number();
                let value = Value::Number(arithmetic(op, left, right)?);
                self.store(place, value.clone())?;
                value
            }
            Expr::Step(by, old, place) => {
                let before = self.eval(place)?.number();
                self.store(place, Value::Number(before + by))?;
                Value::Number(if *old { before } else { before + by })
            }
            Expr::Binary("&&", a, b) => truth(self.eval(a)?.is_true() && self.eval(b)?.is_true()),
            Expr::Binary("||", a, b) => truth(self.eval(a)?.is_true() || self.eval(b)?.is_true()),
            Expr::Binary(op @ ("<" | "<=" | "==" | "!=" | ">=" | ">"), a, b) => {
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                let order = match (a.numeric(), b.numeric()) {
                    (Some(a), Some(b)) => a.total_cmp(&b),
                    _ => a.text().cmp(&b.text()),
                };
                truth(match *op {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    "==" => order.is_eq(),
                    "!=" => order.is_ne(),
                    ">=" => order.is_ge(),
                    _ => order.is_gt(),
                })
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.eval(a)?.number(), self.eval(b)?.number());
                Value::Number(arithmetic(op, a, b)?)
            }
            Expr::Call(name, args) => self.call(name, args)?,
        })
    }

    fn call(&mut self, name: &str, args: &[Expr]) -> Run<Value> {
        if name.is_empty() {
            return match args.last() {
                Some(last) => self.eval(last),
                None => Ok(Value::Unset),
            };
        }
        if let ("length", [Expr::Name(array)]) = (name, args)
            && let Some(array) = self.arrays.get(array)
        {
            return Ok(Value::Number(count(array.len())));
        }
        if name == "split" {
            let text = match args.first() {
                Some(text) => self.eval(text)?.text(),
                None => String::new(),
            };
            let by = match args.get(2) {
                Some(Expr::Regex(by)) => by.clone(),
                Some(by) => self.eval(by)?.text(),
                None => self.var("FS").text(),
            };
            let parts = self.split(&text, &by);
            let total = count(parts.len());
            if let Some(Expr::Name(array)) = args.get(1) {
                let items = parts.into_iter().enumerate();
                let items = items
                    .map(|(i, p)| ((i + 1).to_string(), Value::Field(p)))
                    .collect();
                self.arrays.insert(array.clone(), items);
            }
            return Ok(Value::Number(total));
        }
        if matches!(name, "sub" | "gsub") {
            return self.substitute(name == "gsub", args);
        }
        if name == "match" {
            let text = match args.first() {
                Some(text) => self.eval(text)?.text(),
                None => String::new(),
            };
            let pattern = match args.get(1) {
                Some(Expr::Regex(pattern)) => pattern.clone(),
                Some(other) => self.eval(other)?.text(),
                None => String::new(),
            };
            let found = Regex::new(pattern.as_bytes(), true, false).find(text.as_bytes(), 0);
            let (start, length) = found.map_or((0.0, -1.0), |(a, b)| (count(a + 1), count(b - a)));
            self.set("RSTART", Value::Number(start))?;
            self.set("RLENGTH", Value::Number(length))?;
            return Ok(Value::Number(start));
        }
        let mut values = Vec::new();
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let first = values.first().cloned().unwrap_or(Value::Unset);
        let number = first.number();
        Ok(match name {
            "length" => {
                let text = if values.is_empty() {
                    self.record.clone()
                } else {
                    first.text()
                };
                Value::Number(count(text.chars().count()))
            }
            "substr" => {
                let text = first.text();
                let from = values.get(1).map_or(1.0, Value::number).round();
                let end = values.get(2).map_or(f64::INFINITY, |n| from + n.number().round());
                let part: String = text
                    .chars()
                    .enumerate()
                    .filter(|(i, _)| count(i + 1) >= from && count(i + 1) < end)
                    .map(|(_, c)| c)
                    .collect();
                Value::Text(part)
            }
            "index" => {
                let text = first.text();
                let part = values.get(1).map(Value::text).unwrap_or_default();
                let at = text.find(&part).and_then(|at| text.get(..at));
                Value::Number(at.map_or(0.0, |head| count(head.chars().count() + 1)))
            }
            "sprintf" => Value::Text(formatted(&values)),
            "toupper" => Value::Text(first.text().to_uppercase()),
            "tolower" => Value::Text(first.text().to_lowercase()),
            "int" => Value::Number(number.trunc()),
            "sqrt" => Value::Number(number.sqrt()),
            "exp" => Value::Number(number.exp()),
            "log" => Value::Number(number.ln()),
            "sin" => Value::Number(number.sin()),
            "cos" => Value::Number(number.cos()),
            "rand" => {
                self.seed ^= self.seed << 13;
                self.seed ^= self.seed >> 7;
                self.seed ^= self.seed << 17;
                #[expect(clippy::cast_precision_loss, reason = "24 bits")]
                let drawn = (self.seed >> 40) as f64 / 16_777_216.0;
                Value::Number(drawn)
            }
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
            "systime" => Value::Number(self.now as f64),
            _ => Value::Number(0.0),
        })
    }

    fn substitute(&mut self, all: bool, args: &[Expr]) -> Run<Value> {
        let pattern = match args.first() {
            Some(Expr::Regex(pattern)) => pattern.clone(),
            Some(other) => self.eval(other)?.text(),
            None => String::new(),
        };
        let with = match args.get(1) {
            Some(text) => self.eval(text)?.text(),
            None => String::new(),
        };
        let whole = Expr::Field(Box::new(Expr::Number(0.0)));
        let place = args.get(2).unwrap_or(&whole);
        let text = self.eval(place)?.text();
        let regex = Regex::new(pattern.as_bytes(), true, false);
        let bytes = text.as_bytes();
        let mut out: Vec<u8> = Vec::new();
        let (mut at, mut hits) = (0, 0_usize);
        while let Some((a, b)) = regex.find(bytes, at) {
            hits += 1;
            out.extend_from_slice(bytes.get(at..a).unwrap_or_default());
            let mut it = with.bytes();
            while let Some(c) = it.next() {
                match c {
                    b'&' => out.extend_from_slice(bytes.get(a..b).unwrap_or_default()),
                    b'\\' => out.extend(it.next()),
                    c => out.push(c),
                }
            }
            at = b;
            if a == b {
                out.extend(bytes.get(at));
                at += 1;
            }
            if !all || at > bytes.len() || out.len() > BYTES {
                break;
            }
        }
        out.extend_from_slice(bytes.get(at..).unwrap_or_default());
        if hits > 0 {
            let text = String::from_utf8_lossy(&out).into_owned();
            self.store(place, Value::Text(text))?;
        }
        Ok(Value::Number(count(hits)))
    }

    fn run(&mut self, stmt: &Stmt) -> Run<()> {
        if self.out.len() > BYTES {
            return Err(Flow::Fault("write failure".to_owned()));
        }
        match stmt {
            Stmt::Expr(expr) => {
                self.eval(expr)?;
            }
            Stmt::Print(list) => {
                let (by, end) = (self.var("OFS").text(), self.var("ORS").text());
                let mut parts = Vec::new();
                for expr in list {
                    parts.push(self.eval(expr)?.text());
                }
                let line = if list.is_empty() {
                    self.record.clone()
                } else {
                    parts.join(&by)
                };
                self.out.extend_from_slice(line.as_bytes());
                self.out.extend_from_slice(end.as_bytes());
            }
            Stmt::Printf(list) => {
                let mut values = Vec::new();
                for expr in list {
                    values.push(self.eval(expr)?);
                }
                self.out.extend_from_slice(formatted(&values).as_bytes());
            }
            Stmt::If(condition, yes, no) => {
                if self.eval(condition)?.is_true() {
                    self.run(yes)?;
                } else if let Some(no) = no {
                    self.run(no)?;
                }
            }
            Stmt::While(condition, body, after) => {
                if *after && !self.turn(body)? {
                    return Ok(());
                }
                while self.eval(condition)?.is_true() {
                    if !self.turn(body)? {
                        break;
                    }
                }
            }
            Stmt::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.run(first)?;
                }
                loop {
                    if let Some(condition) = condition
                        && !self.eval(condition)?.is_true()
                    {
                        break;
                    }
                    self.eval(&Expr::Number(0.0))?;
                    if !self.turn(body)? {
                        break;
                    }
                    if let Some(step) = step {
                        self.run(step)?;
                    }
                }
            }
            Stmt::ForIn(name, array, body) => {
                let mut keys: Vec<String> = self
                    .arrays
                    .get(array)
                    .into_iter()
                    .flat_map(|a| a.keys().cloned())
                    .collect();
                // The order is nobody's promise; small numbers in theirs look right.
                keys.sort_by_key(|k| k.parse::<u64>().unwrap_or(u64::MAX));
                for key in keys {
                    self.set(name, Value::Field(key))?;
                    if !self.turn(body)? {
                        break;
                    }
                }
            }
            Stmt::Block(list) => {
                for stmt in list {
                    self.run(stmt)?;
                }
            }
            Stmt::Delete(name, keys) => match keys {
                Some(keys) => {
                    let key = self.key(keys)?;
                    self.arrays.entry(name.clone()).or_default().remove(&key);
                }
                None => {
                    self.arrays.remove(name);
                }
            },
            Stmt::Next => return Err(Flow::Next),
            Stmt::Exit(status) => {
                if let Some(status) = status {
                    let status = self.eval(status)?.number();
                    self.status = u8::try_from(index(status) & 0xff).unwrap_or(0);
                }
                return Err(Flow::Exit);
            }
            Stmt::Break => return Err(Flow::Break),
            Stmt::Continue => return Err(Flow::Continue),
        }
        Ok(())
    }

    /// One turn of a loop; false where it is left.
    fn turn(&mut self, body: &Stmt) -> Run<bool> {
        match self.run(body) {
            Ok(()) | Err(Flow::Continue) => Ok(true),
            Err(Flow::Break) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

fn truth(yes: bool) -> Value {
    Value::Number(f64::from(u8::from(yes)))
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
fn index(n: f64) -> usize {
    n.clamp(0.0, 1e9) as usize
}

fn arithmetic(op: &str, a: f64, b: f64) -> Run<f64> {
    Ok(match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" | "%" if b == 0.0 => return Err(Flow::Fault("division by zero".to_owned())),
        "/" => a / b,
        "%" => a % b,
        _ => a.powf(b),
    })
}

/// `printf`: the format and its arguments.
fn formatted(values: &[Value]) -> String {
    let Some((format, args)) = values.split_first() else {
        return String::new();
    };
    let format = format.text();
    let mut args = args.iter();
    let mut out = String::new();
    let mut it = format.chars().peekable();
    while let Some(c) = it.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if it.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let (mut left, mut zero, mut plus) = (false, false, false);
        while let Some(flag) = it.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            left |= flag == '-';
            zero |= flag == '0';
            plus |= flag == '+';
        }
        let mut number = |it: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Option<usize> {
            if it.next_if_eq(&'*').is_some() {
                return args.next().map(|n| index(n.number()).min(4_096));
            }
            let mut digits = String::new();
            while let Some(d) = it.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            digits.parse().ok().map(|n: usize| n.min(4_096))
        };
        let width = number(&mut it).unwrap_or(0);
        let precision = if it.next_if_eq(&'.').is_some() {
            Some(number(&mut it).unwrap_or(0))
        } else {
            None
        };
        let conversion = it.next().unwrap_or('s');
        let value = args.next().cloned().unwrap_or(Value::Unset);
        let number = value.number();
        #[expect(clippy::cast_possible_truncation, reason = "as C converts")]
        let whole = number as i64;
        let mut text = match conversion {
            'd' | 'i' => whole.to_string(),
            'u' => whole.to_string(),
            'x' => format!("{whole:x}"),
            'X' => format!("{whole:X}"),
            'o' => format!("{whole:o}"),
            'c' => match value {
                Value::Number(n) => u32::try_from(index(n))
                    .ok()
                    .and_then(char::from_u32)
                    .map(String::from)
                    .unwrap_or_default(),
                other => other.text().chars().take(1).collect(),
            },
            'f' | 'F' => format!("{number:.0$}", precision.unwrap_or(6)),
            'g' | 'G' => general(number, precision.unwrap_or(6)),
            'e' | 'E' => {
                let text = format!("{number:.0$e}", precision.unwrap_or(6));
                match text.split_once('e') {
                    Some((mantissa, exponent)) => {
                        let exponent: i32 = exponent.parse().unwrap_or(0);
                        let sign = if exponent < 0 { '-' } else { '+' };
                        format!("{mantissa}e{sign}{:02}", exponent.abs())
                    }
                    None => text,
                }
            }
            _ => {
                let text = value.text();
                match precision {
                    Some(most) => text.chars().take(most).collect(),
                    None => text,
                }
            }
        };
        if plus && number >= 0.0 && matches!(conversion, 'd' | 'i' | 'f' | 'e' | 'g') {
            text.insert(0, '+');
        }
        let pad = width.saturating_sub(text.chars().count());
        if left {
            let _infallible = write!(out, "{text}{}", " ".repeat(pad));
        } else if zero && conversion != 's' && conversion != 'c' {
            let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |d| ("-", d));
            let _infallible = write!(out, "{sign}{}{digits}", "0".repeat(pad));
        } else {
            let _infallible = write!(out, "{}{text}", " ".repeat(pad));
        }
    }
    out
}

pub(super) fn awk(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("Fvf");
    let name = call.name.clone();
    let source = match call.value("-f", "--file") {
        Some(path) => match shell.vfs.read(shell.who(), &shell.env.cwd, &path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => {
                call.err(format!(
                    "{name}: cannot open {path} (No such file or directory)\n"
                ));
                return 2;
            }
        },
        None if operands.is_empty() => {
            call.err("Usage: mawk [Options] [Program] [file ...]\n");
            return 2;
        }
        None => operands.remove(0),
    };
    let parsed = tokens(&source).and_then(|tokens| {
        let mut parser = Parser {
            tokens,
            at: 0,
            depth: 0,
            terms: 0,
            printing: false,
            no_in: false,
        };
        parser.program()
    });
    let program = match parsed {
        Ok(program) => program,
        Err(fault) => {
            call.err(format!("{name}: line 1: {fault}\n"));
            return 2;
        }
    };
    let mut awk = Awk {
        vars: BTreeMap::new(),
        arrays: BTreeMap::new(),
        record: String::new(),
        fields: Vec::new(),
        out: Vec::new(),
        status: 0,
        work: WORK,
        held: 0,
        now: shell.now(),
        seed: shell.random() | 1,
    };
    let unescaped =
        |text: &str| String::from_utf8_lossy(&unescape(text.as_bytes(), Escapes::Ansi).0).into_owned();
    for (name, value) in [
        ("FS", " "),
        ("OFS", " "),
        ("ORS", "\n"),
        ("RS", "\n"),
        ("SUBSEP", "\x1c"),
    ] {
        awk.vars.insert(name.to_owned(), Value::Text(value.to_owned()));
    }
    if let Some(by) = call.value("-F", "--field-separator") {
        let by = if by == "t" {
            "\t".to_owned()
        } else {
            unescaped(&by)
        };
        awk.vars.insert("FS".to_owned(), Value::Text(by));
    }
    let mut it = call.args.iter();
    while let Some(arg) = it.next() {
        let given = if arg == "-v" {
            it.next().cloned()
        } else {
            arg.strip_prefix("-v").map(str::to_owned)
        };
        if let Some((name, value)) = given.as_deref().and_then(|g| g.split_once('=')) {
            awk.vars.insert(name.to_owned(), Value::Field(unescaped(value)));
        }
    }
    for (name, var) in shell.env.vars.iter().filter(|(_, v)| v.exported) {
        let value = Value::Field(String::from_utf8_lossy(&var.value).into_owned());
        awk.arrays
            .entry("ENVIRON".to_owned())
            .or_default()
            .insert(name.clone(), value);
    }
    let mut status = 0;
    let mut ended = Ok(());
    for (pattern, body) in &program {
        if let (Pattern::Begin, Some(body), Ok(())) = (pattern, body, &ended) {
            ended = awk.run(body);
        }
    }
    let reads = program.iter().any(|(p, _)| !matches!(p, Pattern::Begin));
    if ended.is_ok() && reads {
        let (files, failed) = inputs(shell, call, &operands);
        if failed != 0 {
            status = 2;
        }
        ended = records(&mut awk, &program, &files);
    }
    if !matches!(ended, Err(Flow::Fault(_))) {
        for (pattern, body) in &program {
            if let (Pattern::End, Some(body), true) =
                (pattern, body, !matches!(ended, Err(Flow::Exit)) || reads)
            {
                ended = awk.run(body);
            }
        }
    }
    call.out(std::mem::take(&mut awk.out));
    if let Err(Flow::Fault(fault)) = ended {
        call.err(format!("{name}: {fault}\n"));
        return 2;
    }
    if awk.status != 0 { awk.status } else { status }
}

fn records(awk: &mut Awk, program: &[(Pattern, Option<Stmt>)], files: &[(String, Vec<u8>)]) -> Run<()> {
    let mut open = vec![false; program.len()];
    let mut total = 0;
    for (path, bytes) in files {
        let shown = if path == "-" { "" } else { path };
        awk.vars
            .insert("FILENAME".to_owned(), Value::Text(shown.to_owned()));
        let by = awk.var("RS").text();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let all: Vec<String> = if by == "\n" {
            lines(bytes)
                .map(|l| String::from_utf8_lossy(l).into_owned())
                .collect()
        } else if by.is_empty() {
            text.split("\n\n")
                .map(|r| r.trim_matches('\n').to_owned())
                .filter(|r| !r.is_empty())
                .collect()
        } else {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.split(by.as_str()).map(str::to_owned).collect()
        };
        for (i, record) in all.iter().enumerate() {
            total += 1;
            awk.set_record(record);
            awk.vars.insert("NR".to_owned(), Value::Number(count(total)));
            awk.vars.insert("FNR".to_owned(), Value::Number(count(i + 1)));
            for (at, (pattern, body)) in program.iter().enumerate() {
                let mut inside = open.get(at).copied().unwrap_or(false);
                let chosen = match pattern {
                    Pattern::Begin | Pattern::End => false,
                    Pattern::Always => true,
                    Pattern::When(expr) => awk.eval(expr)?.is_true(),
                    Pattern::Range(from, to) => {
                        let begins = inside || awk.eval(from)?.is_true();
                        inside = begins && !awk.eval(to)?.is_true();
                        begins
                    }
                };
                if let Some(state) = open.get_mut(at) {
                    *state = inside;
                }
                if !chosen {
                    continue;
                }
                let default = Stmt::Print(Vec::new());
                match awk.run(body.as_ref().unwrap_or(&default)) {
                    Ok(()) => {}
                    Err(Flow::Next) => break,
                    Err(other) => return Err(other),
                }
            }
        }
    }
    Ok(())
}
