//! The one-liners of an interpreter: as much of Python as `python3 -c` is given by intruders, read and acted out.
//!
//! [`run`] goes through straight-line code (imports, assignments, expressions) and returns what it does, in order. What it does
//! not know (loops, functions, classes) is [`Unknown`]: it is not guessed at. Deliberately absent: objects, files, a network.

use super::machine::Machine;

/// What a script does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Print(String),
    /// A command line for `sh -c`.
    Run(String),
    /// A program at a terminal of its own, or in place of the interpreter: its words.
    Spawn(Vec<String>),
    /// A connection to host and port.
    Connect(String, String),
    Sleep(f64),
    Exit(u8),
    /// A traceback's last line, and status 1.
    Raise(String),
    /// The code cannot be read: the text after the line's number.
    Syntax(String),
}

/// Code that is beyond this.
#[derive(Debug)]
pub(super) struct Unknown;

/// What expressions of the script may ask of its surroundings.
pub(super) struct Around<'a> {
    pub(super) machine: &'a Machine,
    pub(super) user: &'a str,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) cwd: &'a str,
    pub(super) pid: u32,
    pub(super) now: i64,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    /// A module, a function or something of it: `os.getuid`.
    Path(String),
    /// The output of a command.
    Output(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Value(Value),
    /// An f-string: text and expressions.
    Format(String),
    Op(&'static str),
    End,
}

/// Why evaluation stopped.
enum Stop {
    Unknown,
    Over,
    Raise(String),
}

type Eval<T> = Result<T, Stop>;

const OPS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", ".", "=", "<", ">",
    ":", ";", "{", "}",
];
const MODULES: &[&str] = &[
    "os",
    "sys",
    "pty",
    "socket",
    "subprocess",
    "time",
    "platform",
    "base64",
    "random",
    "string",
    "re",
    "json",
    "urllib",
    "hashlib",
    "struct",
    "getpass",
    "pwd",
    "ctypes",
    "threading",
    "datetime",
    "shutil",
    "math",
    "http",
    "select",
    "fcntl",
    "termios",
    "tty",
    "signal",
    "zlib",
    "ssl",
    "binascii",
    "itertools",
    "collections",
    "__future__",
    "pathlib",
    "tempfile",
];

/// Read and act out `code`.
pub(super) fn run(code: &str, around: &Around<'_>) -> Result<Vec<Effect>, Unknown> {
    let mut effects = Vec::new();
    let mut names: Vec<(String, Value)> = Vec::new();
    let statements = match tokens(code) {
        Ok(statements) => statements,
        Err(Some(fault)) => return Ok(vec![Effect::Syntax(fault)]),
        Err(None) => return Err(Unknown),
    };
    for tokens in statements {
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
            around,
            effects: &mut effects,
            names: &mut names,
            depth: 0,
        };
        match reader.statement() {
            Ok(()) => {}
            Err(Stop::Over) => break,
            Err(Stop::Raise(text)) => {
                effects.push(Effect::Raise(text));
                break;
            }
            Err(Stop::Unknown) => return Err(Unknown),
        }
    }
    Ok(effects)
}

/// The statements of a code; a fault is `None` where it is only beyond this.
fn tokens(code: &str) -> Result<Vec<Vec<Token>>, Option<String>> {
    let mut out = Vec::new();
    let mut current = Vec::new();
    let mut open: Vec<char> = Vec::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '#' => {
                rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default();
                continue;
            }
            '\n' | ';' if open.is_empty() => {
                if !current.is_empty() {
                    current.push(Token::End);
                    out.push(std::mem::take(&mut current));
                }
                rest = after;
                continue;
            }
            c if c.is_whitespace() => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let word: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let behind = rest.get(word.len()..).unwrap_or_default();
        let quoted = behind.starts_with(['\'', '"']);
        if quoted
            && matches!(
                word.to_lowercase().as_str(),
                "" | "b" | "r" | "f" | "u" | "rb" | "br"
            )
        {
            let kind = word.to_lowercase();
            let (text, len) = string(behind, kind.contains('r'))?;
            current.push(match kind.as_str() {
                "f" => Token::Format(text),
                k if k.contains('b') => {
                    Token::Value(Value::Bytes(text.chars().map(|c| c as u32 as u8).collect()))
                }
                _ => Token::Value(Value::Str(text)),
            });
            rest = behind.get(len..).unwrap_or_default();
        } else if c.is_ascii_digit() {
            let digits: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
                .collect();
            let plain = digits.replace('_', "");
            let value = if let Some(hex) = plain.strip_prefix("0x") {
                i128::from_str_radix(hex, 16).ok().map(Value::Int)
            } else if plain.contains('.') {
                plain.parse().ok().map(Value::Float)
            } else {
                plain.parse().ok().map(Value::Int)
            };
            let Some(value) = value else {
                return Err(Some(underlined(code, "invalid decimal literal")));
            };
            current.push(Token::Value(value));
            rest = rest.get(digits.len()..).unwrap_or_default();
        } else if !word.is_empty() {
            current.push(Token::Name(word));
            rest = behind;
        } else if let Some(op) = OPS.iter().find(|op| rest.starts_with(**op)) {
            match *op {
                "(" | "[" | "{" => open.push(c),
                ")" | "]" | "}" if open.pop().is_none() => {
                    return Err(Some(underlined(code, &format!("unmatched '{op}'"))));
                }
                _ => {}
            }
            current.push(Token::Op(op));
            rest = rest.get(op.len()..).unwrap_or_default();
        } else {
            return Err(if c == '$' || c == '?' {
                Some(underlined(code, "invalid syntax"))
            } else {
                None
            });
        }
    }
    if let Some(open) = open.last() {
        return Err(Some(underlined(code, &format!("'{open}' was never closed"))));
    }
    if !current.is_empty() {
        current.push(Token::End);
        out.push(current);
    }
    Ok(out)
}

/// The code's line, a mark below its end, and what is wrong.
fn underlined(code: &str, fault: &str) -> String {
    let line = code.lines().next().unwrap_or_default();
    let open = fault.chars().nth(1).filter(|_| fault.ends_with("closed"));
    let at = open
        .and_then(|c| line.rfind(c))
        .unwrap_or(line.chars().count().saturating_sub(1));
    format!("    {line}\n    {}^\nSyntaxError: {fault}", " ".repeat(at))
}

/// A string literal at the head of `text`: what it says, and its length.
fn string(text: &str, raw: bool) -> Result<(String, usize), Option<String>> {
    let quote = text.chars().next().unwrap_or('"');
    let triple = quote.to_string().repeat(3);
    let (begin, end) = if text.starts_with(&triple) {
        (3, triple)
    } else {
        (1, quote.to_string())
    };
    let mut out = String::new();
    let mut rest = text.get(begin..).unwrap_or_default();
    loop {
        if rest.starts_with(&end) {
            return Ok((out, text.len() - rest.len() + end.len()));
        }
        let Some(c) = rest.chars().next() else {
            return Err(Some(underlined(
                text,
                "unterminated string literal (detected at line 1)",
            )));
        };
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' || raw {
            out.push(c);
            continue;
        }
        let next = rest.chars().next().unwrap_or('\\');
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
        match next {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            '0' => out.push('\0'),
            '\n' => {}
            'x' => {
                let code = rest.get(..2).and_then(|h| u32::from_str_radix(h, 16).ok());
                out.extend(code.and_then(char::from_u32));
                rest = rest.get(2..).unwrap_or_default();
            }
            '\\' | '\'' | '"' => out.push(next),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

struct Reader<'r, 'a> {
    tokens: &'r [Token],
    at: usize,
    around: &'r Around<'a>,
    effects: &'r mut Vec<Effect>,
    names: &'r mut Vec<(String, Value)>,
    depth: u32,
}

impl Reader<'_, '_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn takes(&mut self, op: &str) -> bool {
        let there = matches!(self.peek(), Token::Op(o) if *o == op);
        self.at += usize::from(there);
        there
    }

    fn name(&mut self) -> Eval<String> {
        match self.next() {
            Token::Name(name) => Ok(name),
            _ => Err(Stop::Unknown),
        }
    }

    fn known(&self, module: &str) -> Eval<()> {
        let top = module.split('.').next().unwrap_or_default();
        if MODULES.contains(&top) {
            return Ok(());
        }
        Err(Stop::Raise(format!(
            "ModuleNotFoundError: No module named '{module}'"
        )))
    }

    fn bind(&mut self, name: String, value: Value) {
        self.names.retain(|n| n.0 != name);
        self.names.push((name, value));
    }

    fn dotted(&mut self) -> Eval<String> {
        let mut path = self.name()?;
        while self.takes(".") {
            path = format!("{path}.{}", self.name()?);
        }
        Ok(path)
    }

    fn statement(&mut self) -> Eval<()> {
        let word = match self.peek() {
            Token::Name(name) => name.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "import" => {
                self.at += 1;
                loop {
                    let module = self.dotted()?;
                    self.known(&module)?;
                    let top = module.split('.').next().unwrap_or_default().to_owned();
                    if matches!(self.peek(), Token::Name(n) if n == "as") {
                        self.at += 1;
                        let name = self.name()?;
                        self.bind(name, Value::Path(module));
                    } else {
                        self.bind(top.clone(), Value::Path(top));
                    }
                    if !self.takes(",") {
                        return self.ended();
                    }
                }
            }
            "from" => {
                self.at += 1;
                let module = self.dotted()?;
                self.known(&module)?;
                if self.name()? != "import" {
                    return Err(Stop::Unknown);
                }
                if self.takes("*") {
                    return Err(Stop::Unknown);
                }
                loop {
                    let what = self.name()?;
                    self.bind(what.clone(), Value::Path(format!("{module}.{what}")));
                    if !self.takes(",") {
                        return self.ended();
                    }
                }
            }
            "for" | "while" | "if" | "def" | "class" | "with" | "try" | "lambda" | "return" | "global"
            | "assert" | "raise" | "del" | "yield" => Err(Stop::Unknown),
            "pass" => Ok(()),
            "print" if !matches!(self.tokens.get(1), Some(Token::Op("(" | "." | "=") | Token::End)) => {
                Err(Stop::Raise(
                    "SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?"
                        .to_owned(),
                ))
            }
            _ => {
                if let (Token::Name(name), Some(Token::Op("="))) =
                    (self.peek().clone(), self.tokens.get(self.at + 1))
                {
                    self.at += 2;
                    let value = self.expression()?;
                    self.bind(name, value);
                    return self.ended();
                }
                self.expression()?;
                self.ended()
            }
        }
    }

    fn ended(&self) -> Eval<()> {
        if *self.peek() == Token::End {
            Ok(())
        } else {
            Err(Stop::Unknown)
        }
    }

    fn expression(&mut self) -> Eval<Value> {
        self.depth += 1;
        if self.depth > 40 {
            return Err(Stop::Unknown);
        }
        let first = self.compared()?;
        if self.depth == 1 && matches!(self.peek(), Token::Op(",")) {
            let mut items = vec![first];
            while self.takes(",") {
                if *self.peek() == Token::End {
                    break;
                }
                items.push(self.compared()?);
            }
            self.depth -= 1;
            return Ok(Value::Tuple(items));
        }
        self.depth -= 1;
        Ok(first)
    }

    fn compared(&mut self) -> Eval<Value> {
        let left = self.sum()?;
        for op in ["==", "!=", "<=", ">=", "<", ">"] {
            if self.takes(op) {
                let right = self.sum()?;
                return match op {
                    "==" => Ok(Value::Bool(left == right)),
                    "!=" => Ok(Value::Bool(left != right)),
                    _ => match (number(&left), number(&right)) {
                        (Some(a), Some(b)) => Ok(Value::Bool(match op {
                            "<=" => a <= b,
                            ">=" => a >= b,
                            "<" => a < b,
                            _ => a > b,
                        })),
                        _ => Err(Stop::Unknown),
                    },
                };
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Eval<Value> {
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Token::Op(op @ ("+" | "-")) => *op,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.product()?;
            left = arithmetic(op, left, right)?;
        }
    }

    fn product(&mut self) -> Eval<Value> {
        let mut left = self.unary()?;
        loop {
            let op = match self.peek() {
                Token::Op(op @ ("*" | "/" | "//" | "%")) => *op,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.unary()?;
            left = arithmetic(op, left, right)?;
        }
    }

    fn unary(&mut self) -> Eval<Value> {
        if self.takes("-") {
            return match self.unary()? {
                Value::Int(n) => Ok(Value::Int(-n)),
                Value::Float(n) => Ok(Value::Float(-n)),
                _ => Err(Stop::Unknown),
            };
        }
        let base = self.postfix()?;
        if self.takes("**") {
            let power = self.unary()?;
            return match (base, power) {
                (Value::Int(a), Value::Int(b)) => u32::try_from(b)
                    .ok()
                    .and_then(|b| a.checked_pow(b))
                    .map(Value::Int)
                    .ok_or(Stop::Unknown),
                _ => Err(Stop::Unknown),
            };
        }
        Ok(base)
    }

    fn list(&mut self, end: &str) -> Eval<Vec<Value>> {
        let mut items = Vec::new();
        while !self.takes(end) {
            // A keyword's name is not looked at, its value is.
            if let (Token::Name(_), Some(Token::Op("="))) = (self.peek(), self.tokens.get(self.at + 1)) {
                self.at += 2;
                self.depth += 1;
                self.compared()?;
                self.depth -= 1;
            } else {
                self.depth += 1;
                items.push(self.compared()?);
                self.depth -= 1;
            }
            if !self.takes(",") && !matches!(self.peek(), Token::Op(o) if *o == end) {
                return Err(Stop::Unknown);
            }
        }
        Ok(items)
    }

    fn postfix(&mut self) -> Eval<Value> {
        let mut value = match self.next() {
            Token::Value(value) => value,
            Token::Format(text) => Value::Str(self.formatted(&text)?),
            Token::Name(name) => match name.as_str() {
                "None" => Value::None,
                "True" => Value::Bool(true),
                "False" => Value::Bool(false),
                _ => self.named(&name)?,
            },
            Token::Op("(") => {
                let before = self.at;
                let mut items = self.list(")")?;
                let comma = self
                    .tokens
                    .get(before..self.at)
                    .is_some_and(|t| t.len() > 1 && t.get(t.len() - 2) == Some(&Token::Op(",")));
                if items.len() == 1 && !comma {
                    items.pop().unwrap_or(Value::None)
                } else {
                    Value::Tuple(items)
                }
            }
            Token::Op("[") => Value::List(self.list("]")?),
            _ => return Err(Stop::Unknown),
        };
        loop {
            if self.takes(".") {
                let name = self.name()?;
                value = match value {
                    Value::Path(path) => self.attribute(format!("{path}.{name}"))?,
                    other => {
                        if !self.takes("(") {
                            return Err(Stop::Unknown);
                        }
                        let args = self.list(")")?;
                        method(&other, &name, &args)?
                    }
                };
            } else if self.takes("(") {
                let args = self.list(")")?;
                let Value::Path(path) = value else {
                    return Err(Stop::Unknown);
                };
                value = self.call(&path, &args)?;
            } else if self.takes("[") {
                value = self.item(&value)?;
            } else {
                return Ok(value);
            }
        }
    }

    /// An index or a slice, behind its bracket.
    fn item(&mut self, of: &Value) -> Eval<Value> {
        let mut parts: Vec<Option<i128>> = vec![None];
        while !self.takes("]") {
            if self.takes(":") {
                parts.push(None);
                continue;
            }
            match self.compared()? {
                Value::Int(n) => {
                    if let Some(last) = parts.last_mut() {
                        *last = Some(n);
                    }
                }
                _ => return Err(Stop::Unknown),
            }
        }
        let items: Vec<Value> = match of {
            Value::Str(text) => text.chars().map(|c| Value::Str(c.to_string())).collect(),
            Value::List(items) | Value::Tuple(items) => items.clone(),
            _ => return Err(Stop::Unknown),
        };
        let len = i128::try_from(items.len()).unwrap_or(0);
        let place = |n: i128| if n < 0 { n + len } else { n };
        if let [Some(index)] = parts.as_slice() {
            let kind = if matches!(of, Value::Str(_)) {
                "string"
            } else {
                "list"
            };
            return usize::try_from(place(*index))
                .ok()
                .and_then(|i| items.get(i).cloned())
                .ok_or_else(|| Stop::Raise(format!("IndexError: {kind} index out of range")));
        }
        let bound = |part: Option<&Option<i128>>, otherwise: i128| {
            let n = part.copied().flatten().map_or(otherwise, place);
            usize::try_from(n.clamp(0, len)).unwrap_or(0)
        };
        let (from, to) = (bound(parts.first(), 0), bound(parts.get(1), len));
        let mut chosen: Vec<Value> = items.get(from..to.max(from)).unwrap_or_default().to_vec();
        match parts.get(2).copied().flatten() {
            None | Some(1) => {}
            Some(-1) => chosen.reverse(),
            Some(_) => return Err(Stop::Unknown),
        }
        Ok(match of {
            Value::Str(_) => Value::Str(chosen.iter().map(shown).collect()),
            Value::Tuple(_) => Value::Tuple(chosen),
            _ => Value::List(chosen),
        })
    }

    fn formatted(&mut self, text: &str) -> Eval<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((code, behind)) = after.split_once('}') else {
                return Err(Stop::Unknown);
            };
            let mut statements = tokens(code).map_err(|_| Stop::Unknown)?;
            let Some(inner) = statements.pop() else {
                return Err(Stop::Unknown);
            };
            let mut reader = Reader {
                tokens: &inner,
                at: 0,
                around: self.around,
                effects: self.effects,
                names: self.names,
                depth: self.depth,
            };
            let value = reader.compared()?;
            out.push_str(&shown(&value));
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn named(&self, name: &str) -> Eval<Value> {
        if let Some((_, value)) = self.names.iter().find(|n| n.0 == name) {
            return Ok(value.clone());
        }
        const BUILTINS: &[&str] = &[
            "print",
            "len",
            "str",
            "int",
            "float",
            "range",
            "chr",
            "ord",
            "repr",
            "sum",
            "max",
            "min",
            "hex",
            "oct",
            "bin",
            "abs",
            "exit",
            "quit",
            "list",
            "sorted",
            "bytes",
            "round",
            "__import__",
            "bool",
        ];
        const BEYOND: &[&str] = &[
            "open",
            "exec",
            "eval",
            "input",
            "map",
            "filter",
            "zip",
            "lambda",
            "type",
            "dict",
            "set",
            "getattr",
            "compile",
            "globals",
            "locals",
            "dir",
            "help",
            "vars",
            "not",
            "enumerate",
            "any",
            "all",
            "isinstance",
            "bytearray",
            "object",
        ];
        if BUILTINS.contains(&name) {
            return Ok(Value::Path(name.to_owned()));
        }
        if BEYOND.contains(&name) {
            return Err(Stop::Unknown);
        }
        Err(Stop::Raise(
            if MODULES.contains(&name)
                && self
                    .around
                    .machine
                    .distribution
                    .interpreters()
                    .1
                    .starts_with("3.12")
            {
                format!("NameError: name '{name}' is not defined. Did you forget to import '{name}'?")
            } else {
                format!("NameError: name '{name}' is not defined")
            },
        ))
    }

    /// What stands at a path without being called.
    fn attribute(&self, path: String) -> Eval<Value> {
        let (_, python) = self.around.machine.distribution.interpreters();
        let text = |t: &str| Ok(Value::Str(t.to_owned()));
        match path.as_str() {
            "sys.version" => {
                let built = self.around.machine.distribution.python_build();
                Ok(Value::Str(format!("{python} {built}")))
            }
            "sys.version_info" => Ok(Value::Tuple(
                python
                    .split('.')
                    .filter_map(|n| n.parse().ok())
                    .map(Value::Int)
                    .collect(),
            )),
            "sys.executable" => text("/usr/bin/python3"),
            "sys.platform" => text("linux"),
            "sys.argv" => Ok(Value::List(vec![Value::Str("-c".to_owned())])),
            "os.name" => text("posix"),
            "os.sep" => text("/"),
            _ => Ok(Value::Path(path)),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a function")]
    fn call(&mut self, path: &str, args: &[Value]) -> Eval<Value> {
        let around = self.around;
        let machine = around.machine;
        let first = args.first();
        let words = |value: Option<&Value>| -> Vec<String> {
            match value {
                Some(Value::Str(text)) => vec![text.clone()],
                Some(Value::List(items) | Value::Tuple(items)) => items.iter().map(shown).collect(),
                _ => Vec::new(),
            }
        };
        let int = |n: u32| Ok(Value::Int(i128::from(n)));
        let text = |t: &str| Ok(Value::Str(t.to_owned()));
        match (path, first) {
            ("print", _) => {
                let mut line = Vec::new();
                for arg in args {
                    if let Value::Output(command) = arg {
                        self.effects.push(Effect::Run(command.clone()));
                    } else {
                        line.push(shown(arg));
                    }
                }
                self.effects.push(Effect::Print(line.join(" ") + "\n"));
                Ok(Value::None)
            }
            ("sys.stdout.write", Some(Value::Str(text))) => {
                self.effects.push(Effect::Print(text.clone()));
                Ok(Value::Int(i128::try_from(text.len()).unwrap_or(0)))
            }
            ("sys.stdout.flush" | "sys.stderr.write" | "os.dup2" | "os.putenv" | "os.environ", _) => {
                Ok(Value::None)
            }
            ("len", Some(Value::Str(t))) => Ok(Value::Int(i128::try_from(t.chars().count()).unwrap_or(0))),
            ("len", Some(Value::List(i) | Value::Tuple(i))) => {
                Ok(Value::Int(i128::try_from(i.len()).unwrap_or(0)))
            }
            ("str", Some(value)) => Ok(Value::Str(shown(value))),
            ("repr", Some(value)) => Ok(Value::Str(quoted(value))),
            ("int", Some(Value::Int(n))) => Ok(Value::Int(*n)),
            ("int", Some(Value::Float(n))) => {
                #[expect(clippy::cast_possible_truncation, reason = "as int() does")]
                let whole = *n as i128;
                Ok(Value::Int(whole))
            }
            ("int", Some(Value::Str(t))) => t.trim().parse().map(Value::Int).map_err(|_| {
                Stop::Raise(format!(
                    "ValueError: invalid literal for int() with base 10: {}",
                    quoted(&Value::Str(t.clone()))
                ))
            }),
            ("chr", Some(Value::Int(n))) => u32::try_from(*n)
                .ok()
                .and_then(char::from_u32)
                .map(|c| Value::Str(c.to_string()))
                .ok_or_else(|| Stop::Raise("ValueError: chr() arg not in range(0x110000)".to_owned())),
            ("ord", Some(Value::Str(t))) => Ok(Value::Int(
                t.chars().next().map_or(0, |c| i128::from(u32::from(c))),
            )),
            ("hex", Some(Value::Int(n))) => Ok(Value::Str(format!("{n:#x}"))),
            ("oct", Some(Value::Int(n))) => Ok(Value::Str(format!("{n:#o}"))),
            ("bin", Some(Value::Int(n))) => Ok(Value::Str(format!("{n:#b}"))),
            ("abs", Some(Value::Int(n))) => Ok(Value::Int(n.abs())),
            ("sum", Some(Value::List(items) | Value::Tuple(items))) => items
                .iter()
                .try_fold(Value::Int(0), |sum, item| arithmetic("+", sum, item.clone())),
            ("list", Some(Value::List(items) | Value::Tuple(items))) => Ok(Value::List(items.clone())),
            ("range", _) => {
                let numbers: Vec<i128> = args
                    .iter()
                    .filter_map(|a| if let Value::Int(n) = a { Some(*n) } else { None })
                    .collect();
                let (from, to) = match numbers.as_slice() {
                    [to] => (0, *to),
                    [from, to] => (*from, *to),
                    _ => return Err(Stop::Unknown),
                };
                if to - from > 10_000 {
                    return Err(Stop::Unknown);
                }
                Ok(Value::List((from..to).map(Value::Int).collect()))
            }
            ("exit" | "quit" | "sys.exit" | "os._exit", code) => {
                let status = match code {
                    Some(Value::Int(n)) => u8::try_from(n.rem_euclid(256)).unwrap_or(0),
                    None | Some(Value::None) => 0,
                    Some(_) => 1,
                };
                self.effects.push(Effect::Exit(status));
                Err(Stop::Over)
            }
            ("__import__", Some(Value::Str(module))) => {
                self.known(module)?;
                Ok(Value::Path(module.clone()))
            }
            ("os.getuid" | "os.geteuid", _) => int(around.uid),
            ("os.getgid" | "os.getegid", _) => int(around.gid),
            ("os.getpid", _) => int(around.pid),
            ("os.getppid", _) => int(around.pid.saturating_sub(7)),
            ("os.getcwd", _) => text(around.cwd),
            ("os.getlogin" | "getpass.getuser", _) => text(around.user),
            ("os.cpu_count", _) => int(machine.cores),
            ("os.setuid" | "os.seteuid" | "os.setgid" | "os.setresuid", Some(Value::Int(n))) => {
                let wanted = u32::try_from(*n).unwrap_or(u32::MAX);
                if around.uid != 0 && wanted != around.uid {
                    return Err(Stop::Raise(
                        "PermissionError: [Errno 1] Operation not permitted".to_owned(),
                    ));
                }
                // It would be the interpreter's own: a shell that it starts begins anew.
                Ok(Value::None)
            }
            ("os.system", Some(Value::Str(command))) => {
                self.effects.push(Effect::Run(command.clone()));
                Ok(Value::Int(0))
            }
            ("os.popen", Some(Value::Str(command))) => Ok(Value::Output(command.clone())),
            (
                "subprocess.call" | "subprocess.run" | "subprocess.Popen" | "subprocess.check_call",
                Some(Value::Str(_) | Value::List(_) | Value::Tuple(_)),
            ) => {
                let words = words(first);
                if matches!(first, Some(Value::Str(_))) || !is_shell(&words) {
                    self.effects.push(Effect::Run(words.join(" ")));
                } else {
                    self.effects.push(Effect::Spawn(words));
                }
                Ok(Value::Int(0))
            }
            ("subprocess.check_output" | "subprocess.getoutput", Some(_)) => {
                Ok(Value::Output(words(first).join(" ")))
            }
            ("pty.spawn", Some(Value::Str(_) | Value::List(_) | Value::Tuple(_))) => {
                self.effects.push(Effect::Spawn(words(first)));
                Ok(Value::Int(0))
            }
            (
                "os.execl" | "os.execlp" | "os.execv" | "os.execvp" | "os.execle",
                Some(Value::Str(program)),
            ) => {
                let mut argv: Vec<String> = match args.get(1) {
                    Some(Value::List(_) | Value::Tuple(_)) => words(args.get(1)),
                    _ => args.get(1..).unwrap_or_default().iter().map(shown).collect(),
                };
                if let Some(name) = argv.first_mut() {
                    name.clone_from(program);
                } else {
                    argv.push(program.clone());
                }
                self.effects.push(Effect::Spawn(argv));
                Err(Stop::Over)
            }
            ("time.sleep", Some(value)) => {
                self.effects.push(Effect::Sleep(number(value).unwrap_or(0.0)));
                Ok(Value::None)
            }
            ("time.time", _) => {
                #[expect(clippy::cast_precision_loss, reason = "as time.time() has it")]
                let now = around.now as f64 + 0.381_275_4;
                Ok(Value::Float(now))
            }
            ("platform.system", _) => text("Linux"),
            ("platform.release", _) => text(machine.kernel_release),
            ("platform.version", _) => text(machine.kernel_version),
            ("platform.machine", _) => text(machine.architecture),
            ("platform.node" | "socket.gethostname", _) => text(&machine.hostname),
            ("socket.getfqdn", _) => Ok(Value::Str(format!("{}.{}", machine.hostname, machine.domain))),
            ("platform.python_version", _) => text(machine.distribution.interpreters().1),
            ("platform.platform", _) => Ok(Value::Str(format!(
                "Linux-{}-{}-with-glibc2.36",
                machine.kernel_release, machine.architecture
            ))),
            ("os.uname", _) => Ok(Value::Tuple(
                [
                    "Linux",
                    &machine.hostname,
                    machine.kernel_release,
                    machine.kernel_version,
                    machine.architecture,
                ]
                .iter()
                .map(|t| Value::Str((*t).to_owned()))
                .collect(),
            )),
            ("base64.b64decode", Some(Value::Str(t))) => decoded(t.as_bytes()),
            ("base64.b64decode", Some(Value::Bytes(t))) => decoded(t),
            ("base64.b64encode", Some(Value::Bytes(t))) => {
                use base64::Engine as _;
                Ok(Value::Bytes(
                    base64::engine::general_purpose::STANDARD.encode(t).into_bytes(),
                ))
            }
            _ => Err(Stop::Unknown),
        }
    }
}

/// Whether the words start a shell that somebody is to type into.
fn is_shell(words: &[String]) -> bool {
    let name = words
        .first()
        .and_then(|w| w.rsplit('/').next())
        .unwrap_or_default();
    matches!(name, "sh" | "bash" | "dash" | "ash") && words.iter().skip(1).all(|w| w == "-i" || w == "-l")
}

fn decoded(text: &[u8]) -> Eval<Value> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map(Value::Bytes)
        .map_err(|_| Stop::Raise("binascii.Error: Incorrect padding".to_owned()))
}

fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "compared and slept only")]
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::None => "NoneType",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Str(_) | Value::Output(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Tuple(_) => "tuple",
        Value::Path(_) => "builtin_function_or_method",
    }
}

fn arithmetic(op: &'static str, left: Value, right: Value) -> Eval<Value> {
    use Value::{Bytes, Float, Int, List, Str};
    let zero = || {
        Stop::Raise(
            if matches!(op, "/") {
                "ZeroDivisionError: division by zero"
            } else {
                "ZeroDivisionError: integer division or modulo by zero"
            }
            .to_owned(),
        )
    };
    Ok(match (op, left, right) {
        ("+", Int(a), Int(b)) => a.checked_add(b).map(Int).ok_or(Stop::Unknown)?,
        ("-", Int(a), Int(b)) => a.checked_sub(b).map(Int).ok_or(Stop::Unknown)?,
        ("*", Int(a), Int(b)) => a.checked_mul(b).map(Int).ok_or(Stop::Unknown)?,
        ("/" | "//" | "%", Int(_), Int(0)) => return Err(zero()),
        ("//", Int(a), Int(b)) => Int(a.div_euclid(b)),
        ("%", Int(a), Int(b)) => Int(a.rem_euclid(b)),
        ("+", Str(a), Str(b)) => Str(a + &b),
        ("+", Bytes(a), Bytes(b)) => Bytes([a, b].concat()),
        ("+", List(a), List(b)) => List([a, b].concat()),
        ("*", Str(text), Int(n)) | ("*", Int(n), Str(text)) => {
            let times = usize::try_from(n.max(0)).map_err(|_| Stop::Raise("MemoryError".to_owned()))?;
            if times.saturating_mul(text.len()) > 1 << 20 {
                return Err(Stop::Raise("MemoryError".to_owned()));
            }
            Str(text.repeat(times))
        }
        ("%", Str(format), values) => {
            let values = match values {
                Value::Tuple(items) => items,
                one => vec![one],
            };
            let mut it = values.iter();
            let mut out = String::new();
            let mut chars = format.chars();
            while let Some(c) = chars.next() {
                match (c, c == '%') {
                    (_, true) => match chars.next() {
                        Some('%') => out.push('%'),
                        Some('s' | 'd' | 'i' | 'r') => match it.next() {
                            Some(value) => out.push_str(&shown(value)),
                            None => {
                                return Err(Stop::Raise(
                                    "TypeError: not enough arguments for format string".to_owned(),
                                ));
                            }
                        },
                        _ => return Err(Stop::Unknown),
                    },
                    (c, _) => out.push(c),
                }
            }
            Str(out)
        }
        ("+", Str(_), other) => {
            return Err(Stop::Raise(format!(
                "TypeError: can only concatenate str (not \"{}\") to str",
                kind(&other)
            )));
        }
        (op, left, right) => match (number(&left), number(&right)) {
            (Some(a), Some(b)) => Float(match op {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                "/" if b == 0.0 => return Err(zero()),
                "/" => a / b,
                "//" => (a / b).floor(),
                _ => a.rem_euclid(b),
            }),
            _ => {
                return Err(Stop::Raise(format!(
                    "TypeError: unsupported operand type(s) for {op}: '{}' and '{}'",
                    kind(&left),
                    kind(&right)
                )));
            }
        },
    })
}

fn method(of: &Value, name: &str, args: &[Value]) -> Eval<Value> {
    let text = |i: usize| match args.get(i) {
        Some(Value::Str(t)) => t.clone(),
        _ => String::new(),
    };
    Ok(match (of, name) {
        (Value::Output(_), "read" | "decode" | "strip" | "readlines") => of.clone(),
        (Value::Str(t), "upper") => Value::Str(t.to_uppercase()),
        (Value::Str(t), "lower") => Value::Str(t.to_lowercase()),
        (Value::Str(t), "strip") => Value::Str(t.trim().to_owned()),
        (Value::Str(t), "title") => Value::Str(t.to_owned()),
        (Value::Str(t), "encode") => Value::Bytes(t.clone().into_bytes()),
        (Value::Str(t), "replace") => Value::Str(t.replace(&text(0), &text(1))),
        (Value::Str(t), "split") if args.is_empty() => {
            Value::List(t.split_whitespace().map(|p| Value::Str(p.to_owned())).collect())
        }
        (Value::Str(t), "split") => {
            Value::List(t.split(&text(0)).map(|p| Value::Str(p.to_owned())).collect())
        }
        (Value::Str(t), "join") => match args.first() {
            Some(Value::List(items) | Value::Tuple(items)) => {
                Value::Str(items.iter().map(shown).collect::<Vec<_>>().join(t))
            }
            _ => return Err(Stop::Unknown),
        },
        (Value::Bytes(b), "decode") => Value::Str(String::from_utf8_lossy(b).into_owned()),
        (Value::Bytes(b), "hex") => Value::Str(hex::encode(b)),
        _ => return Err(Stop::Unknown),
    })
}

/// As `str()` has it.
fn shown(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        other => quoted(other),
    }
}

/// As `repr()` has it.
fn quoted(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(quoted).collect::<Vec<_>>().join(", ");
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Float(n) if n.fract() == 0.0 && n.abs() < 1e16 => format!("{n:.1}"),
        Value::Float(n) => n.to_string(),
        Value::Str(text) => {
            let quote = if text.contains('\'') && !text.contains('"') {
                '"'
            } else {
                '\''
            };
            let inner = text
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t");
            format!("{quote}{inner}{quote}")
        }
        Value::Bytes(bytes) => {
            let inner: String = bytes
                .iter()
                .map(|b| match b {
                    b'\n' => "\\n".to_owned(),
                    b'\\' => "\\\\".to_owned(),
                    0x20..=0x7e => char::from(*b).to_string(),
                    b => format!("\\x{b:02x}"),
                })
                .collect();
            format!("b'{inner}'")
        }
        Value::List(items) => format!("[{}]", all(items)),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", all(items)),
        Value::Tuple(items) => format!("({})", all(items)),
        Value::Path(path) => match path.split_once('.') {
            None => format!("<built-in function {path}>"),
            Some((_, name)) => format!("<built-in function {name}>"),
        },
        Value::Output(_) => String::new(),
    }
}

/// Host and port of the first `connect((…, …))` in a code, whatever stands around it.
pub(super) fn connection(code: &str) -> Option<(String, String)> {
    let at = code
        .find("connect((")
        .map(|at| at + 9)
        .or_else(|| code.find("create_connection((").map(|at| at + 19))?;
    let inner = code.get(at..)?.split(')').next()?;
    let (host, port) = inner.split_once(',')?;
    let clean = |t: &str| t.trim().trim_matches(['"', '\'', '\\']).to_owned();
    let (host, port) = (clean(host), clean(port));
    (!host.is_empty() && host.len() < 256 && port.len() < 16).then_some((host, port))
}
