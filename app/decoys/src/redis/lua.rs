//! As much of Lua 5.1 as scripts of a few lines use: values, tables, arithmetic, conditions and loops.
//!
//! A script is read into a tree and walked within a budget of steps and of memory, which counts all that it makes and forgets nothing. What it calls is its host's business ([`Host`]). Deliberately absent:
//! functions of its own, metatables, patterns: a script with those is [`Stop::Unknown`].

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use super::budget::OVERHEAD;

/// How deep a script may be nested.
const DEPTH_MAX: u32 = 40;
/// Steps that a script may take.
const STEPS_MAX: u32 = 200_000;
/// Bytes of one string.
const STRING_MAX: usize = 1 << 20;
/// Bytes of all that a script makes: strings, and places in tables.
const MEMORY_MAX: usize = 16 << 20;
/// Bytes of a script: its tree takes a hundred times as much.
const CODE_MAX: usize = 128 * 1024;
/// How long a chain of `a.b(c)[d]` or `1 + 2 + 3` may be: it stands in the tree as deep as it is long, and is given up as deep.
const CHAIN_MAX: u32 = 3 * DEPTH_MAX;

/// A value of a script.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Rc<[u8]>),
    Table(Rc<RefCell<Table>>),
    /// A function of the host, by its path.
    Function(Rc<str>),
}

/// A table: its sequence, and what is under other keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) items: Vec<Value>,
    pub(super) named: BTreeMap<Rc<[u8]>, Value>,
}

impl Value {
    pub(super) fn table(items: Vec<Self>) -> Self {
        Self::Table(Rc::new(RefCell::new(Table {
            items,
            named: BTreeMap::new(),
        })))
    }

    pub(super) fn named(name: &str, value: Self) -> Self {
        let table = Table {
            items: Vec::new(),
            named: BTreeMap::from([(name.as_bytes().into(), value)]),
        };
        Self::Table(Rc::new(RefCell::new(table)))
    }

    fn truth(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Table(_) => "table",
            Self::Function(_) => "function",
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(text) => {
                let text = std::str::from_utf8(text).ok()?.trim();
                match text.strip_prefix("0x") {
                    #[expect(clippy::cast_precision_loss, reason = "as Lua's numbers do")]
                    Some(hex) => i64::from_str_radix(hex, 16).ok().map(|n| n as f64),
                    None => text.parse().ok(),
                }
            }
            _ => None,
        }
    }

    /// As `..` and `tostring` have it.
    pub(super) fn text(&self) -> Option<Rc<[u8]>> {
        match self {
            Self::Text(text) => Some(Rc::clone(text)),
            Self::Number(n) => Some(shown(*n).into_bytes().into()),
            _ => None,
        }
    }

    /// What a value that nothing else holds takes.
    fn bytes(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Text(text) => text.len(),
                Self::Function(path) => path.len(),
                Self::Table(table) => {
                    let table = table.borrow();
                    let named = table.named.iter().map(|(k, v)| k.len() + OVERHEAD + v.bytes());
                    table.items.iter().map(Self::bytes).sum::<usize>() + named.sum::<usize>()
                }
                Self::Nil | Self::Bool(_) | Self::Number(_) => 0,
            }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            #[expect(clippy::float_cmp, reason = "as Lua compares them")]
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// `%.14g`.
fn shown(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e15 {
        return format!("{n:.0}");
    }
    let text = format!("{n:.13}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why a script ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is none of those that are understood.
    Unknown,
    /// It makes more than there is memory for.
    Memory,
    /// An error of the language at a line.
    Error(u32, String),
    /// What the host says: a command that failed.
    Failed(Value),
}

/// What a script runs in.
pub(super) trait Host {
    /// Call a function of the host; `None` where there is none of the name.
    fn call(&mut self, name: &str, args: &[Value], line: u32) -> Option<Result<Value, Stop>>;
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Text(Vec<u8>),
    Mark(&'static str),
}

const MARKS: &[&str] = &[
    "...", "..", "==", "~=", "<=", ">=", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(", ")", "{",
    "}", "[", "]", ";", ":", ",", ".",
];
const WORDS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
];

#[derive(Debug)]
enum Expr {
    Value(Value),
    Name(String),
    Index(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Table(Vec<(Option<Expr>, Expr)>),
}

#[derive(Debug)]
enum Kind {
    Local(Vec<String>, Vec<Expr>),
    Assign(Vec<Expr>, Vec<Expr>),
    Call(Expr),
    If(Vec<(Expr, Vec<Statement>)>, Vec<Statement>),
    While(Expr, Vec<Statement>),
    Repeat(Vec<Statement>, Expr),
    Count(String, Expr, Expr, Option<Expr>, Vec<Statement>),
    Each(Vec<String>, Expr, Vec<Statement>),
    Do(Vec<Statement>),
    Return(Option<Expr>),
    Break,
}

#[derive(Debug)]
struct Statement {
    line: u32,
    kind: Kind,
}

/// All tables of a script. They may hold each other, in a circle or ten thousand deep: so they are emptied one by one at the end, and
/// none is dropped from within another. Outlives what [`run`] returns.
#[derive(Debug, Default)]
pub(super) struct Tables(Vec<Rc<RefCell<Table>>>);

impl Tables {
    /// Keep the tables of a value that comes from outside.
    fn adopt(&mut self, value: &Value) {
        if let Value::Table(table) = value {
            self.0.push(Rc::clone(table));
            let table = table.borrow();
            table
                .items
                .iter()
                .chain(table.named.values())
                .for_each(|value| self.adopt(value));
        }
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        for table in &self.0 {
            let _emptied = table.take();
        }
    }
}

/// Run `code`: what it returns.
pub(super) fn run(
    code: &str,
    globals: Vec<(String, Value)>,
    host: &mut dyn Host,
    tables: &mut Tables,
) -> Result<Value, Stop> {
    if code.len() > CODE_MAX {
        return Err(Stop::Unknown);
    }
    let tokens = tokens(code).ok_or(Stop::Unknown)?;
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        depth: 0,
    };
    let body = reader.block().ok_or(Stop::Unknown)?;
    if reader.at < tokens.len() {
        return Err(Stop::Unknown);
    }
    globals.iter().for_each(|(_, value)| tables.adopt(value));
    let mut machine = Machine {
        globals,
        tables,
        locals: Vec::new(),
        host,
        steps: 0,
        memory: MEMORY_MAX,
        depth: 0,
        line: 1,
    };
    Ok(match machine.block(&body)? {
        Flow::Return(value) => value,
        _ => Value::Nil,
    })
}

fn tokens(code: &str) -> Option<Vec<(Token, u32)>> {
    let mut out = Vec::new();
    let mut rest = code;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        if c == '\n' {
            line += 1;
        }
        if c.is_whitespace() {
            rest = rest.get(c.len_utf8()..)?;
        } else if rest.starts_with("--[[") {
            let end = rest.find("]]")?;
            line += u32::try_from(rest.get(..end)?.matches('\n').count()).ok()?;
            rest = rest.get(end + 2..)?;
        } else if rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |at| rest.get(at..).unwrap_or(""));
        } else if c == '"' || c == '\'' {
            let mut text = Vec::new();
            let mut chars = rest.get(1..)?.char_indices();
            loop {
                let (at, next) = chars.next()?;
                match next {
                    '\n' => return None,
                    '\\' => {
                        let (_, escaped) = chars.next()?;
                        match escaped {
                            'n' => text.push(b'\n'),
                            't' => text.push(b'\t'),
                            'r' => text.push(b'\r'),
                            '0' => text.push(0),
                            '1'..='9' | 'x' => return None,
                            other => text.extend(other.to_string().bytes()),
                        }
                    }
                    n if n == c => {
                        rest = rest.get(at + 2..)?;
                        break;
                    }
                    n => text.extend(n.to_string().bytes()),
                }
            }
            out.push((Token::Text(text), line));
        } else if c.is_ascii_digit() {
            let len = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .unwrap_or(rest.len());
            let (digits, after) = rest.split_at(len);
            let number = Value::Text(digits.as_bytes().into()).number()?;
            out.push((Token::Number(number), line));
            rest = after;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let len = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(len);
            out.push((Token::Name(name.to_owned()), line));
            rest = after;
        } else {
            let mark = MARKS.iter().find(|m| rest.starts_with(**m))?;
            out.push((Token::Mark(mark), line));
            rest = rest.get(mark.len()..)?;
        }
    }
    Some(out)
}

struct Reader<'t> {
    tokens: &'t [(Token, u32)],
    at: usize,
    depth: u32,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|t| &t.0)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |t| t.1)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let there = match self.peek() {
            Some(Token::Mark(m)) => *m == mark,
            Some(Token::Name(n)) => n == mark && WORDS.contains(&mark),
            _ => false,
        };
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, mark: &str) -> Option<()> {
        self.takes(mark).then_some(())
    }

    fn name(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Name(name)) if !WORDS.contains(&name.as_str()) => {
                let name = name.clone();
                self.at += 1;
                Some(name)
            }
            _ => None,
        }
    }

    fn block(&mut self) -> Option<Vec<Statement>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut out = Vec::new();
        loop {
            while self.takes(";") {}
            let ends = match self.peek() {
                None => true,
                Some(Token::Name(n)) => matches!(n.as_str(), "end" | "else" | "elseif" | "until"),
                _ => false,
            };
            if ends {
                break;
            }
            let line = self.line();
            let kind = self.statement()?;
            let last = matches!(kind, Kind::Return(_));
            out.push(Statement { line, kind });
            if last {
                while self.takes(";") {}
                break;
            }
        }
        self.depth -= 1;
        Some(out)
    }

    fn statement(&mut self) -> Option<Kind> {
        if self.takes("local") {
            let mut names = vec![self.name()?];
            while self.takes(",") {
                names.push(self.name()?);
            }
            let values = if self.takes("=") { self.list()? } else { Vec::new() };
            return Some(Kind::Local(names, values));
        }
        if self.takes("if") {
            let mut arms = Vec::new();
            let mut otherwise = Vec::new();
            loop {
                let condition = self.expr(0)?;
                self.expect("then")?;
                arms.push((condition, self.block()?));
                if self.takes("elseif") {
                    continue;
                }
                if self.takes("else") {
                    otherwise = self.block()?;
                }
                self.expect("end")?;
                return Some(Kind::If(arms, otherwise));
            }
        }
        if self.takes("while") {
            let condition = self.expr(0)?;
            self.expect("do")?;
            let body = self.block()?;
            self.expect("end")?;
            return Some(Kind::While(condition, body));
        }
        if self.takes("repeat") {
            let body = self.block()?;
            self.expect("until")?;
            return Some(Kind::Repeat(body, self.expr(0)?));
        }
        if self.takes("for") {
            let mut names = vec![self.name()?];
            if self.takes("=") {
                let from = self.expr(0)?;
                self.expect(",")?;
                let to = self.expr(0)?;
                let step = if self.takes(",") {
                    Some(self.expr(0)?)
                } else {
                    None
                };
                self.expect("do")?;
                let body = self.block()?;
                self.expect("end")?;
                return Some(Kind::Count(names.pop()?, from, to, step, body));
            }
            while self.takes(",") {
                names.push(self.name()?);
            }
            self.expect("in")?;
            let over = self.expr(0)?;
            self.expect("do")?;
            let body = self.block()?;
            self.expect("end")?;
            return Some(Kind::Each(names, over, body));
        }
        if self.takes("do") {
            let body = self.block()?;
            self.expect("end")?;
            return Some(Kind::Do(body));
        }
        if self.takes("break") {
            return Some(Kind::Break);
        }
        if self.takes("return") {
            let ends = match self.peek() {
                None | Some(Token::Mark(";")) => true,
                Some(Token::Name(n)) => matches!(n.as_str(), "end" | "else" | "elseif" | "until"),
                _ => false,
            };
            return Some(Kind::Return(if ends {
                None
            } else {
                self.list()?.into_iter().next()
            }));
        }
        let first = self.suffixed()?;
        if matches!(first, Expr::Call(..)) {
            return Some(Kind::Call(first));
        }
        let mut targets = vec![first];
        while self.takes(",") {
            targets.push(self.suffixed()?);
        }
        self.expect("=")?;
        Some(Kind::Assign(targets, self.list()?))
    }

    fn list(&mut self) -> Option<Vec<Expr>> {
        let mut out = vec![self.expr(0)?];
        while self.takes(",") {
            out.push(self.expr(0)?);
        }
        Some(out)
    }

    fn operator(&self) -> Option<(&'static str, u8, u8)> {
        let all: &[(&'static str, u8, u8)] = &[
            ("or", 1, 2),
            ("and", 3, 4),
            ("<", 5, 6),
            (">", 5, 6),
            ("<=", 5, 6),
            (">=", 5, 6),
            ("~=", 5, 6),
            ("==", 5, 6),
            ("..", 9, 8),
            ("+", 10, 11),
            ("-", 10, 11),
            ("*", 12, 13),
            ("/", 12, 13),
            ("%", 12, 13),
            ("^", 17, 16),
        ];
        let text = match self.peek()? {
            Token::Mark(m) => *m,
            Token::Name(n) => n.as_str(),
            _ => return None,
        };
        all.iter().find(|o| o.0 == text).copied()
    }

    fn expr(&mut self, least: u8) -> Option<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let unary = ["not", "-", "#"].into_iter().find(|op| self.takes(op));
        let mut left = match unary {
            Some(op) => Expr::Unary(op, Box::new(self.expr(14)?)),
            None => self.simple()?,
        };
        let mut chain = 0;
        while let Some((op, binds, right)) = self.operator() {
            if binds < least {
                break;
            }
            chain += 1;
            if chain > CHAIN_MAX {
                return None;
            }
            self.at += 1;
            left = Expr::Binary(op, Box::new(left), Box::new(self.expr(right)?));
        }
        self.depth -= 1;
        Some(left)
    }

    fn simple(&mut self) -> Option<Expr> {
        let value = match self.peek()? {
            Token::Number(n) => Value::Number(*n),
            Token::Text(text) => Value::Text(text.as_slice().into()),
            Token::Name(n) if n == "nil" => Value::Nil,
            Token::Name(n) if n == "true" => Value::Bool(true),
            Token::Name(n) if n == "false" => Value::Bool(false),
            Token::Mark("{") => return self.table(),
            _ => return self.suffixed(),
        };
        self.at += 1;
        Some(Expr::Value(value))
    }

    fn table(&mut self) -> Option<Expr> {
        self.expect("{")?;
        let mut fields = Vec::new();
        while !self.takes("}") {
            if self.takes("[") {
                let key = self.expr(0)?;
                self.expect("]")?;
                self.expect("=")?;
                fields.push((Some(key), self.expr(0)?));
            } else if matches!(self.tokens.get(self.at + 1), Some((Token::Mark("="), _)))
                && let Some(name) = self.name()
            {
                self.expect("=")?;
                fields.push((
                    Some(Expr::Value(Value::Text(name.into_bytes().into()))),
                    self.expr(0)?,
                ));
            } else {
                fields.push((None, self.expr(0)?));
            }
            if !self.takes(",") && !self.takes(";") && !matches!(self.peek(), Some(Token::Mark("}"))) {
                return None;
            }
        }
        Some(Expr::Table(fields))
    }

    fn suffixed(&mut self) -> Option<Expr> {
        let mut left = if self.takes("(") {
            let inner = self.expr(0)?;
            self.expect(")")?;
            inner
        } else {
            Expr::Name(self.name()?)
        };
        for _ in 0..CHAIN_MAX {
            if self.takes(".") {
                let name = self.name()?;
                left = Expr::Index(
                    Box::new(left),
                    Box::new(Expr::Value(Value::Text(name.into_bytes().into()))),
                );
            } else if self.takes("[") {
                let key = self.expr(0)?;
                self.expect("]")?;
                left = Expr::Index(Box::new(left), Box::new(key));
            } else if self.takes("(") {
                let mut args = Vec::new();
                if !self.takes(")") {
                    args = self.list()?;
                    self.expect(")")?;
                }
                left = Expr::Call(Box::new(left), args);
            } else if let Some(Token::Text(text)) = self.peek() {
                let text = text.clone();
                self.at += 1;
                left = Expr::Call(Box::new(left), vec![Expr::Value(Value::Text(text.into()))]);
            } else {
                return Some(left);
            }
        }
        None
    }
}

enum Flow {
    Go,
    Break,
    Return(Value),
}

struct Machine<'h> {
    globals: Vec<(String, Value)>,
    locals: Vec<(String, Value)>,
    tables: &'h mut Tables,
    host: &'h mut dyn Host,
    steps: u32,
    /// Bytes that it may still make.
    memory: usize,
    depth: u32,
    line: u32,
}

impl Machine<'_> {
    /// Take so many bytes for something that is made.
    fn take(&mut self, bytes: usize) -> Result<(), Stop> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Stop::Memory)?;
        Ok(())
    }

    /// A new value.
    fn made(&mut self, value: Value) -> Result<Value, Stop> {
        self.take(value.bytes())?;
        Ok(value)
    }

    /// A new string.
    fn text(&mut self, text: Vec<u8>) -> Result<Value, Stop> {
        self.made(Value::Text(text.into()))
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            Err(Stop::Unknown)
        } else {
            Ok(())
        }
    }

    fn error<T>(&self, text: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::Error(self.line, text.into()))
    }

    fn block(&mut self, body: &[Statement]) -> Result<Flow, Stop> {
        let depth = self.locals.len();
        for statement in body {
            self.step()?;
            self.line = statement.line;
            match self.statement(&statement.kind)? {
                Flow::Go => {}
                other => {
                    self.locals.truncate(depth);
                    return Ok(other);
                }
            }
        }
        self.locals.truncate(depth);
        Ok(Flow::Go)
    }

    fn scoped(&mut self, names: &[String], values: Vec<Value>, body: &[Statement]) -> Result<Flow, Stop> {
        let depth = self.locals.len();
        let mut values = values.into_iter();
        for name in names {
            self.locals
                .push((name.clone(), values.next().unwrap_or(Value::Nil)));
        }
        let flow = self.block(body);
        self.locals.truncate(depth);
        flow
    }

    #[expect(clippy::too_many_lines, reason = "one arm a statement")]
    fn statement(&mut self, kind: &Kind) -> Result<Flow, Stop> {
        match kind {
            Kind::Local(names, values) => {
                let mut all = Vec::new();
                for value in values {
                    all.push(self.value(value)?);
                }
                let mut all = all.into_iter();
                for name in names {
                    let value = all.next().unwrap_or(Value::Nil);
                    self.locals.push((name.clone(), value));
                }
            }
            Kind::Assign(targets, values) => {
                let mut all = Vec::new();
                for value in values {
                    all.push(self.value(value)?);
                }
                let mut all = all.into_iter();
                for target in targets {
                    let value = all.next().unwrap_or(Value::Nil);
                    self.assign(target, value)?;
                }
            }
            Kind::Call(call) => {
                self.value(call)?;
            }
            Kind::If(arms, otherwise) => {
                for (condition, body) in arms {
                    if self.value(condition)?.truth() {
                        return self.block(body);
                    }
                }
                return self.block(otherwise);
            }
            Kind::While(condition, body) => {
                while self.value(condition)?.truth() {
                    self.step()?;
                    match self.block(body)? {
                        Flow::Go => {}
                        Flow::Break => break,
                        done => return Ok(done),
                    }
                }
            }
            Kind::Repeat(body, until) => loop {
                self.step()?;
                match self.block(body)? {
                    Flow::Go => {}
                    Flow::Break => break,
                    done => return Ok(done),
                }
                if self.value(until)?.truth() {
                    break;
                }
            },
            Kind::Count(name, from, to, step, body) => {
                let number = |machine: &mut Self, e: &Expr, what: &str| match machine.value(e)?.number() {
                    Some(n) => Ok(n),
                    None => machine.error(format!("'for' {what} must be a number")),
                };
                let (mut at, to) = (number(self, from, "initial value")?, number(self, to, "limit")?);
                let step = match step {
                    Some(step) => number(self, step, "step")?,
                    None => 1.0,
                };
                while (step > 0.0 && at <= to) || (step <= 0.0 && at >= to) {
                    self.step()?;
                    match self.scoped(std::slice::from_ref(name), vec![Value::Number(at)], body)? {
                        Flow::Go => {}
                        Flow::Break => break,
                        done => return Ok(done),
                    }
                    at += step;
                }
            }
            Kind::Each(names, over, body) => {
                let Expr::Call(how, args) = over else {
                    return Err(Stop::Unknown);
                };
                let Value::Function(how) = self.value(how)? else {
                    return Err(Stop::Unknown);
                };
                let first = match args.first() {
                    Some(arg) => self.value(arg)?,
                    None => Value::Nil,
                };
                let Value::Table(table) = first else {
                    return self.error(format!(
                        "bad argument #1 to '{how}' (table expected, got {})",
                        first.kind()
                    ));
                };
                let places = {
                    let table = table.borrow();
                    table.items.len() + table.named.len()
                };
                self.take(places * OVERHEAD)?;
                let (items, named) = {
                    let table = table.borrow();
                    (
                        table.items.clone(),
                        if &*how == "pairs" {
                            table.named.clone()
                        } else {
                            BTreeMap::new()
                        },
                    )
                };
                if &*how != "pairs" && &*how != "ipairs" {
                    return Err(Stop::Unknown);
                }
                let numbered = (1_u32..)
                    .zip(items)
                    .map(|(n, v)| (Value::Number(f64::from(n)), v));
                let named = named.into_iter().map(|(k, v)| (Value::Text(k), v));
                for (key, value) in numbered.chain(named) {
                    self.step()?;
                    match self.scoped(names, vec![key, value], body)? {
                        Flow::Go => {}
                        Flow::Break => break,
                        done => return Ok(done),
                    }
                }
            }
            Kind::Do(body) => return self.block(body),
            Kind::Return(value) => {
                let value = match value {
                    Some(value) => self.value(value)?,
                    None => Value::Nil,
                };
                return Ok(Flow::Return(value));
            }
            Kind::Break => return Ok(Flow::Break),
        }
        Ok(Flow::Go)
    }

    fn assign(&mut self, target: &Expr, value: Value) -> Result<(), Stop> {
        match target {
            Expr::Name(name) => match self.locals.iter_mut().rev().find(|l| l.0 == *name) {
                Some(local) => {
                    local.1 = value;
                    Ok(())
                }
                None => self.error("Attempt to modify a readonly table"),
            },
            Expr::Index(table, key) => {
                let (table, key) = (self.value(table)?, self.value(key)?);
                let Value::Table(table) = table else {
                    return self.error(format!("attempt to index a {} value", table.kind()));
                };
                self.take(OVERHEAD)?;
                let mut table = table.borrow_mut();
                match place(&key) {
                    Some(at) if at < table.items.len() => {
                        let last = at + 1 == table.items.len();
                        if matches!(value, Value::Nil) && last {
                            table.items.pop();
                        } else if let Some(slot) = table.items.get_mut(at) {
                            *slot = value;
                        }
                    }
                    Some(at) if at == table.items.len() && !matches!(value, Value::Nil) => {
                        table.items.push(value)
                    }
                    _ => {
                        let Some(key) = key.text() else {
                            return Err(Stop::Unknown);
                        };
                        if matches!(value, Value::Nil) {
                            table.named.remove(&key);
                        } else {
                            table.named.insert(key, value);
                        }
                    }
                }
                Ok(())
            }
            _ => Err(Stop::Unknown),
        }
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, Stop> {
        self.step()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX * 3 {
            return Err(Stop::Unknown);
        }
        let value = self.inner(expr);
        self.depth -= 1;
        value
    }

    fn inner(&mut self, expr: &Expr) -> Result<Value, Stop> {
        match expr {
            Expr::Value(value) => Ok(value.clone()),
            Expr::Name(name) => {
                let local = self.locals.iter().rev().find(|l| l.0 == *name);
                if let Some((_, value)) = local.or_else(|| self.globals.iter().find(|g| g.0 == *name)) {
                    return Ok(value.clone());
                }
                const KNOWN: &[&str] = &[
                    "redis",
                    "server",
                    "string",
                    "table",
                    "math",
                    "cjson",
                    "cmsgpack",
                    "struct",
                    "bit",
                    "tonumber",
                    "tostring",
                    "type",
                    "pairs",
                    "ipairs",
                    "unpack",
                    "error",
                    "pcall",
                    "next",
                    "select",
                    "assert",
                    "rawget",
                    "rawset",
                    "setmetatable",
                    "getmetatable",
                    "coroutine",
                    "loadstring",
                    "load",
                    "os",
                ];
                if KNOWN.contains(&name.as_str()) {
                    return Ok(Value::Function(name.as_str().into()));
                }
                self.error(format!(
                    "Script attempted to access nonexistent global variable '{name}'"
                ))
            }
            Expr::Index(table, key) => {
                let (of, key) = (self.value(table)?, self.value(key)?);
                match of {
                    Value::Function(path) => match key.text() {
                        Some(name) => {
                            let path = format!("{path}.{}", String::from_utf8_lossy(&name));
                            self.made(Value::Function(path.into()))
                        }
                        None => Ok(Value::Nil),
                    },
                    Value::Table(table) => {
                        let table = table.borrow();
                        let item = place(&key).and_then(|at| table.items.get(at)).cloned();
                        Ok(item
                            .or_else(|| table.named.get(&key.text()?).cloned())
                            .unwrap_or(Value::Nil))
                    }
                    other => {
                        let what = match table.as_ref() {
                            Expr::Name(name) if self.locals.iter().any(|l| l.0 == *name) => {
                                format!("local '{name}'")
                            }
                            Expr::Index(_, key) => match key.as_ref() {
                                Expr::Value(Value::Text(t)) => {
                                    format!("field '{}'", String::from_utf8_lossy(t))
                                }
                                _ => "field '?'".to_owned(),
                            },
                            _ => String::new(),
                        };
                        let shown = format!("attempt to index {what} (a {} value)", other.kind());
                        self.error(if what.is_empty() {
                            format!("attempt to index a {} value", other.kind())
                        } else {
                            shown
                        })
                    }
                }
            }
            Expr::Call(function, args) => {
                let function = self.value(function)?;
                let mut values = Vec::new();
                for (i, arg) in args.iter().enumerate() {
                    // The values of a table in place of the last argument.
                    if i + 1 == args.len()
                        && let Expr::Call(inner, of) = arg
                        && matches!(inner.as_ref(), Expr::Name(n) if n == "unpack")
                        && let Some(of) = of.first()
                        && let Value::Table(table) = self.value(of)?
                    {
                        values.extend(table.borrow().items.iter().cloned());
                        continue;
                    }
                    values.push(self.value(arg)?);
                }
                let Value::Function(name) = function else {
                    return self.error(format!("attempt to call a {} value", function.kind()));
                };
                let line = self.line;
                match self.host.call(&name, &values, line) {
                    Some(done) => {
                        let done = done?;
                        self.tables.adopt(&done);
                        self.made(done)
                    }
                    None => self.library(&name, &values),
                }
            }
            Expr::Unary(op, of) => {
                let of = self.value(of)?;
                match (*op, of) {
                    ("not", of) => Ok(Value::Bool(!of.truth())),
                    ("#", Value::Text(text)) => Ok(number_of(text.len())),
                    ("#", Value::Table(table)) => Ok(number_of(table.borrow().items.len())),
                    ("#", other) => self.error(format!("attempt to get length of a {} value", other.kind())),
                    (_, other) => match other.number() {
                        Some(n) => Ok(Value::Number(-n)),
                        None => self.error(format!(
                            "attempt to perform arithmetic on a {} value",
                            other.kind()
                        )),
                    },
                }
            }
            Expr::Binary(op @ ("and" | "or"), left, right) => {
                let left = self.value(left)?;
                if left.truth() == (*op == "or") {
                    Ok(left)
                } else {
                    self.value(right)
                }
            }
            Expr::Binary(op, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(op, &left, &right)
            }
            Expr::Table(fields) => {
                let made = Rc::new(RefCell::new(Table::default()));
                self.take((2 + fields.len()) * OVERHEAD)?;
                self.tables.0.push(Rc::clone(&made));
                for (key, value) in fields {
                    let value = self.value(value)?;
                    match key {
                        None => made.borrow_mut().items.push(value),
                        Some(key) => {
                            let key = self.value(key)?.text().ok_or(Stop::Unknown)?;
                            made.borrow_mut().named.insert(key, value);
                        }
                    }
                }
                Ok(Value::Table(made))
            }
        }
    }

    fn binary(&mut self, op: &str, left: &Value, right: &Value) -> Result<Value, Stop> {
        match op {
            "==" => return Ok(Value::Bool(left.same(right))),
            "~=" => return Ok(Value::Bool(!left.same(right))),
            ".." => {
                return match (left.text(), right.text()) {
                    (Some(a), Some(b)) if a.len() + b.len() <= STRING_MAX => self.text([a, b].concat()),
                    (Some(_), Some(_)) => Err(Stop::Unknown),
                    (None, _) => self.error(format!("attempt to concatenate a {} value", left.kind())),
                    _ => self.error(format!("attempt to concatenate a {} value", right.kind())),
                };
            }
            "<" | ">" | "<=" | ">=" => {
                let order = match (left, right) {
                    (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
                    (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
                    _ if left.kind() == right.kind() => {
                        return self.error(format!("attempt to compare two {} values", left.kind()));
                    }
                    _ => {
                        return self.error(format!(
                            "attempt to compare {} with {}",
                            left.kind(),
                            right.kind()
                        ));
                    }
                };
                return Ok(Value::Bool(order.is_some_and(|o| match op {
                    "<" => o.is_lt(),
                    ">" => o.is_gt(),
                    "<=" => o.is_le(),
                    _ => o.is_ge(),
                })));
            }
            _ => {}
        }
        let (Some(a), Some(b)) = (left.number(), right.number()) else {
            let bad = if left.number().is_none() { left } else { right };
            return self.error(format!("attempt to perform arithmetic on a {} value", bad.kind()));
        };
        Ok(Value::Number(match op {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a - (a / b).floor() * b,
            _ => a.powf(b),
        }))
    }

    fn library(&mut self, name: &str, args: &[Value]) -> Result<Value, Stop> {
        let first = args.first().cloned().unwrap_or(Value::Nil);
        let text = |i: usize| args.get(i).and_then(Value::text);
        let number = |i: usize| args.get(i).and_then(Value::number);
        match name {
            "tonumber" => Ok(first.number().map_or(Value::Nil, Value::Number)),
            "tostring" => {
                let text = match &first {
                    Value::Nil => (*b"nil").into(),
                    Value::Bool(b) => b.to_string().into_bytes().into(),
                    other => other.text().ok_or(Stop::Unknown)?,
                };
                self.made(Value::Text(text))
            }
            "type" => self.text(first.kind().as_bytes().to_vec()),
            "error" => match first {
                Value::Text(text) => self.error(String::from_utf8_lossy(&text).into_owned()),
                _ => Err(Stop::Unknown),
            },
            "unpack" => match first {
                Value::Table(table) => Ok(table.borrow().items.first().cloned().unwrap_or(Value::Nil)),
                _ => Err(Stop::Unknown),
            },
            "string.upper" => self.text(text(0).ok_or(Stop::Unknown)?.to_ascii_uppercase()),
            "string.lower" => self.text(text(0).ok_or(Stop::Unknown)?.to_ascii_lowercase()),
            "string.len" => text(0).map(|t| number_of(t.len())).ok_or(Stop::Unknown),
            "string.reverse" => self.text(text(0).ok_or(Stop::Unknown)?.iter().rev().copied().collect()),
            "string.rep" => {
                let (text, n) = (text(0).ok_or(Stop::Unknown)?, number(1).ok_or(Stop::Unknown)?);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped before"
                )]
                let n = n.clamp(0.0, 1e7) as usize;
                if n.saturating_mul(text.len()) > STRING_MAX {
                    return Err(Stop::Unknown);
                }
                self.text(text.repeat(n))
            }
            "string.sub" => {
                let text = text(0).ok_or(Stop::Unknown)?;
                #[expect(clippy::cast_possible_truncation, reason = "clamped before")]
                let at = |n: f64| n.clamp(-1e9, 1e9) as i64;
                let len = i64::try_from(text.len()).unwrap_or(0);
                let from_end = |n: i64| if n < 0 { n + len + 1 } else { n };
                let from = from_end(at(number(1).unwrap_or(1.0))).max(1);
                let to = from_end(at(number(2).unwrap_or(-1.0))).min(len);
                let part = usize::try_from(from - 1).ok().zip(usize::try_from(to).ok());
                let part = part.and_then(|(a, b)| text.get(a..b)).unwrap_or_default();
                self.text(part.to_vec())
            }
            "string.format" => self.format(args),
            "math.floor" => number(0).map(|n| Value::Number(n.floor())).ok_or(Stop::Unknown),
            "math.ceil" => number(0).map(|n| Value::Number(n.ceil())).ok_or(Stop::Unknown),
            "math.abs" => number(0).map(|n| Value::Number(n.abs())).ok_or(Stop::Unknown),
            "math.max" | "math.min" => {
                let all: Option<Vec<f64>> = args.iter().map(Value::number).collect();
                let pick = if name == "math.max" { f64::max } else { f64::min };
                let best = all.and_then(|all| all.into_iter().reduce(pick));
                best.map(Value::Number).ok_or(Stop::Unknown)
            }
            "table.getn" => match first {
                Value::Table(table) => Ok(number_of(table.borrow().items.len())),
                _ => Err(Stop::Unknown),
            },
            "table.insert" => match (first, args) {
                (Value::Table(table), [_, value]) => {
                    self.take(OVERHEAD)?;
                    table.borrow_mut().items.push(value.clone());
                    Ok(Value::Nil)
                }
                (Value::Table(table), [_, at, value]) => {
                    let at = place(at).ok_or(Stop::Unknown)?;
                    self.take(OVERHEAD)?;
                    let mut table = table.borrow_mut();
                    let at = at.min(table.items.len());
                    table.items.insert(at, value.clone());
                    Ok(Value::Nil)
                }
                _ => Err(Stop::Unknown),
            },
            "table.remove" => match first {
                Value::Table(table) => Ok(table.borrow_mut().items.pop().unwrap_or(Value::Nil)),
                _ => Err(Stop::Unknown),
            },
            "table.concat" => match first {
                Value::Table(table) => {
                    let parts: Option<Vec<Rc<[u8]>>> = table.borrow().items.iter().map(Value::text).collect();
                    let parts = parts.ok_or(Stop::Unknown)?;
                    let between = text(1).unwrap_or_default();
                    if parts.iter().map(|part| part.len() + between.len()).sum::<usize>() > STRING_MAX {
                        return Err(Stop::Unknown);
                    }
                    self.text(parts.join(&between[..]))
                }
                _ => Err(Stop::Unknown),
            },
            _ => Err(Stop::Unknown),
        }
    }

    fn format(&mut self, args: &[Value]) -> Result<Value, Stop> {
        let format = args.first().and_then(Value::text).ok_or(Stop::Unknown)?;
        let format = String::from_utf8_lossy(&format).into_owned();
        let mut rest = args.iter().skip(1);
        let mut out = Vec::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.extend(c.to_string().bytes());
                continue;
            }
            match chars.next() {
                Some('%') => out.push(b'%'),
                Some('s') => {
                    let text = rest.next().and_then(Value::text).ok_or(Stop::Unknown)?;
                    if out.len() + text.len() > STRING_MAX {
                        return Err(Stop::Unknown);
                    }
                    out.extend_from_slice(&text);
                }
                Some('d') => {
                    let n = rest.next().and_then(Value::number).ok_or(Stop::Unknown)?;
                    out.extend(format!("{:.0}", n.trunc()).bytes());
                }
                _ => return Err(Stop::Unknown),
            }
        }
        self.text(out)
    }
}

/// The place in a sequence that a key names: 1 is the first.
fn place(key: &Value) -> Option<usize> {
    let Value::Number(n) = key else { return None };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked before"
    )]
    let at = (n.fract() == 0.0 && (1.0..1e9).contains(n)).then_some(*n as usize);
    at.map(|at| at - 1)
}

fn number_of(n: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "lengths are bounded")]
    let n = n as f64;
    Value::Number(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Host for Nobody {
        fn call(&mut self, _: &str, _: &[Value], _: u32) -> Option<Result<Value, Stop>> {
            None
        }
    }

    fn ran(code: &str) -> Result<Value, Stop> {
        let mut tables = Tables::default();
        run(code, Vec::new(), &mut Nobody, &mut tables)
    }

    #[test]
    fn a_script_makes_no_more_than_there_is_memory_for() {
        for code in [
            "local t = {} for i = 1, 1000 do t[i] = string.rep('x', 1000000) end",
            "local t = {} for i = 1, 1000 do t[i] = string.rep('x', 500000) .. i end",
            "local s = string.rep('x', 1000000) for i = 1, 1000 do s = string.reverse(s) end",
            "local s = string.rep('x', 100000) local f = redis for i = 1, 1000 do f = f[s] end",
            "local t = {} for i = 1, 9000 do t[i] = i end for i = 1, 9000 do for k, v in pairs(t) do break end end",
        ] {
            assert!(matches!(ran(code), Err(Stop::Memory)), "{code}");
        }
        let fine =
            "local s = string.rep('x', 1000000) local t = {} for i = 1, 9000 do t[i] = s end return #t[9000]";
        assert!(matches!(ran(fine), Ok(Value::Number(n)) if n == 1e6));
        let long = "local s = string.rep('x', 1000000)";
        for made in [
            "table.concat({1, 2, 3}, s)",
            "string.format('%s%s', s, s)",
            "s .. s",
        ] {
            let code = format!("{long} return {made}");
            assert!(matches!(ran(&code), Err(Stop::Unknown)), "{made}");
        }
    }

    #[test]
    fn tables_in_a_circle_or_very_deep_are_gone_at_the_end() {
        let mut tables = Tables::default();
        let code = "local t = {} t[1] = t for i = 1, 20000 do t = {t, i} end return t";
        let deepest = match run(code, Vec::new(), &mut Nobody, &mut tables) {
            Ok(Value::Table(table)) => Rc::downgrade(&table),
            other => panic!("{other:?}"),
        };
        let circle = Rc::downgrade(&tables.0[0]);
        drop(tables);
        assert!(deepest.upgrade().is_none() && circle.upgrade().is_none());
    }

    #[test]
    fn a_script_too_long_to_be_read_is_none() {
        for code in [
            format!("return a{}", ".a".repeat(60_000)),
            format!("return 1{}", "+1".repeat(60_000)),
            " ".repeat(CODE_MAX + 1),
        ] {
            assert!(matches!(ran(&code), Err(Stop::Unknown)), "{}", code.len());
        }
    }
}
