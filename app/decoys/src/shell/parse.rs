//! Shell text to a syntax tree: the grammar of POSIX.1-2017 XCU chapter 2, with the bash forms that intruders use
//! (`&>`, `<<<`, `[[ … ]]`, `function name`, `for ((;;))`, arrays, `<(…)`).
//!
//! Deliberately absent: aliases and expansion, which need a running shell (`run.rs`, `expand.rs`), and of bash's grammar
//! `select`, `coproc` and extended patterns. Every recursion is
//! bounded by [`MAX_DEPTH`], so that a megabyte of `(` is a syntax error and not a stack overflow.

/// The deepest nesting of commands and substitutions; bash itself gives up on deeper ones only when memory ends.
pub(crate) const MAX_DEPTH: usize = 40;

/// The most terms of one `[[ … ]]`: they nest in the tree.
const MAX_TERMS: usize = 150;

/// The longest script that is parsed at all, in bytes.
pub(crate) const MAX_SCRIPT: usize = 1 << 20;

/// A list of commands, each with what joins it to the next.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct List(pub(crate) Vec<Item>);

/// One and-or list: pipelines joined by `&&` and `||`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) first: Pipeline,
    pub(crate) rest: Vec<(AndOr, Pipeline)>,
    /// It ended in `&`: its text, which `jobs` shows.
    pub(crate) background: Option<String>,
}

/// What joins two pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AndOr {
    And,
    Or,
}

/// Commands joined by `|`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    /// It began with `time`.
    pub(crate) timed: bool,
    pub(crate) commands: Vec<Command>,
}

/// A command and where its descriptors go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    pub(crate) redirects: Vec<Redirect>,
    /// The line that it begins on, counted from 1.
    pub(crate) line: u32,
}

/// What a command is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `NAME=value … word …`
    Simple {
        assigns: Vec<Assign>,
        words: Vec<Word>,
        /// Lists that a declaration gives its names: `declare -a name=(…)`.
        arrays: Vec<Assign>,
    },
    /// `( list )`
    Subshell(List),
    /// `{ list; }`
    Group(List),
    /// `if … then … elif … else … fi`: conditions with their bodies, and the else part.
    If {
        arms: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    /// `while … do … done`; `until` is its opposite.
    While {
        until: bool,
        condition: List,
        body: List,
    },
    /// `for name in words; do … done`; without `in` the words are the positional parameters.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `for ((first; condition; step)) do … done`
    Count { parts: [Word; 3], body: List },
    /// `case word in pattern) … ;; esac`
    Case { subject: Word, arms: Vec<Arm> },
    /// `name() command`
    Function {
        name: String,
        body: std::sync::Arc<Command>,
    },
    /// `(( expression ))`
    Arithmetic(Word),
    /// `[[ expression ]]`
    Test(Cond),
}

/// `NAME=value`, `NAME[index]=value`, `NAME+=value`, `NAME=(…)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assign {
    pub(crate) name: String,
    pub(crate) index: Option<Word>,
    pub(crate) append: bool,
    pub(crate) value: Value,
}

/// What a name is given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    One(Word),
    /// Words, each with the index that it may name.
    List(Vec<(Option<Word>, Word)>),
}

/// One arm of a `case`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arm {
    pub(crate) patterns: Vec<Word>,
    pub(crate) body: List,
    pub(crate) end: ArmEnd,
}

/// What follows an arm that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArmEnd {
    /// `;;`: nothing.
    Done,
    /// `;&`: the next arm's body.
    Fall,
    /// `;;&`: the next arm that matches.
    Go,
}

/// The expression of `[[ … ]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cond {
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Unary(String, Word),
    Binary(Word, String, Word),
    Text(Word),
}

/// Where a descriptor goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Redirect {
    pub(crate) fd: u32,
    pub(crate) to: Target,
}

/// The other end of a redirection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// `< word`
    Read(Word),
    /// `> word` and `>| word`
    Write(Word),
    /// `>> word`
    Append(Word),
    /// `<> word`
    ReadWrite(Word),
    /// `>& word`, `<& word`: a descriptor's copy, or `-` to close it.
    Copy(Word),
    /// `&> word` (and `>& file`): both output descriptors; whether to append.
    Both(Word, bool),
    /// Here-documents and here-strings: the text.
    Here(Word),
}

/// A word before expansion.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Word(pub(crate) Vec<Part>);

/// A piece of a word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// Unquoted text: globs and braces in it are live.
    Text(Vec<u8>),
    /// Quoted text, taken as it stands.
    Quoted(Vec<u8>),
    /// `"…"`: expanded, but neither split nor globbed.
    Double(Vec<Part>),
    /// `$name`, `${name…}`.
    Variable(Box<Variable>),
    /// `$(…)` and backticks.
    Substitution(List),
    /// `$((…))`.
    Arithmetic(Word),
    /// `<(…)` (true) and `>(…)`.
    Process(bool, List),
    /// `${…}` that means nothing: an error when it is reached.
    Bad(String),
}

/// A parameter expansion.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) index: Option<Index>,
    /// `${!name}`: the value names the parameter; with `[@]` it is the indices.
    pub(crate) indirect: bool,
    pub(crate) op: Option<VarOp>,
}

/// Which element of an array.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Index {
    /// `[@]`, or `[*]` where true.
    All(bool),
    At(Word),
}

/// What is done to a parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VarOp {
    /// `${#name}`
    Length,
    /// `:-`, `-`, `:=`, `=`, `:+`, `+`, `:?`, `?`: the sign, whether an empty value counts as unset, and the word.
    Default(u8, bool, Word),
    /// `#`, `##`, `%`, `%%`: from the end or not, longest or not, and the pattern.
    Trim {
        suffix: bool,
        longest: bool,
        pattern: Word,
    },
    /// `/pattern/text`; all of them with `//`, at the start with `/#`, at the end with `/%`.
    Replace { how: u8, pattern: Word, text: Word },
    /// `:offset` and `:offset:length`, both arithmetic.
    Slice(Word, Option<Word>),
    /// `^^` and `,,`; of the first letter only `^` and `,`.
    Case { upper: bool, all: bool },
    /// `@Q`, `@U` and the like: the letter.
    Transform(u8),
    /// `${!prefix*}`: the names that begin so.
    Names,
}

/// Why a script does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends in the middle: an interactive shell asks for more.
    Incomplete(&'static str),
    /// A token stands where it may not.
    Unexpected(String),
}

type Parse<T> = Result<T, Fault>;

/// A here-document whose delimiter the text does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenHere {
    /// The line that its body stands behind.
    pub(crate) line: u32,
    pub(crate) delimiter: Vec<u8>,
    strip_tabs: bool,
}

impl OpenHere {
    /// Whether this line, without its end, closes it.
    pub(crate) fn is_closed_by(&self, line: &[u8]) -> bool {
        without_tabs(line, self.strip_tabs) == self.delimiter
    }
}

/// What came of reading a script to its end.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) list: Parse<List>,
    /// Here-documents that only the end of the text ended, in their order.
    pub(crate) open: Vec<OpenHere>,
}

/// The syntax tree of a whole script, whose end ends its here-documents, too.
///
/// # Errors
/// The first fault in it.
pub(crate) fn parse(script: &[u8]) -> Parse<List> {
    read(script).list
}

/// A whole script, and the here-documents that its end cut off.
pub(crate) fn read(script: &[u8]) -> Script {
    if script.len() > MAX_SCRIPT {
        return Script {
            list: Err(Fault::Unexpected("newline".into())),
            open: Vec::new(),
        };
    }
    let mut parser = Parser::new(script, 0);
    let list = parser.script();
    if matches!(list, Err(Fault::Incomplete(_))) {
        // The operator stands on the last line: its body would come before what else is missing.
        parser.read_heredocs();
    }
    Script {
        list,
        open: parser.open,
    }
}

fn parse_at(script: &[u8], depth: usize) -> Parse<List> {
    Parser::new(script, depth).script()
}

/// The parts of text in which only `$`, backticks and backslashes are live: a here-document, or a prompt.
pub(crate) fn parse_double(text: &[u8], depth: usize) -> Parse<Word> {
    Ok(Word(Parser::new(text, depth).double_parts(None)?))
}

struct Pending {
    delimiter: Vec<u8>,
    quoted: bool,
    strip_tabs: bool,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// A place and the line that it is on: where counting goes on.
    line: (usize, u32),
    heredocs: Vec<Pending>,
    /// Bodies of here-documents in the order of their operators.
    bodies: Vec<Word>,
    /// Those whose delimiter was not found.
    open: Vec<OpenHere>,
    /// How many here-document operators were seen, which numbers their placeholders.
    here_scanned: usize,
}

const RESERVED_STOP: &[&str] = &["then", "elif", "else", "fi", "do", "done", "esac", "}"];

/// A line without the tabs that `<<-` takes off.
fn without_tabs(line: &[u8], strip: bool) -> &[u8] {
    let tabs = line.iter().take_while(|b| strip && **b == b'\t').count();
    line.get(tabs..).unwrap_or_default()
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], depth: usize) -> Self {
        Self {
            text,
            at: 0,
            depth,
            line: (0, 1),
            heredocs: Vec::new(),
            bodies: Vec::new(),
            open: Vec::new(),
            here_scanned: 0,
        }
    }
}

impl Parser<'_> {
    /// All of the text.
    fn script(&mut self) -> Parse<List> {
        let mut list = self.list(&[])?;
        self.blank_lines();
        if self.at < self.text.len() {
            return Err(self.unexpected());
        }
        self.read_heredocs();
        let bodies = std::mem::take(&mut self.bodies);
        if !bodies.is_empty() {
            fill_list(&mut list, &bodies);
        }
        Ok(list)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn looking_at(&self, what: &[u8]) -> bool {
        self.text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(what))
    }

    /// The line that the parser is on.
    fn line(&mut self) -> u32 {
        let (from, line) = if self.at < self.line.0 { (0, 1) } else { self.line };
        let passed = self.text.get(from..self.at).unwrap_or_default();
        let breaks = passed.iter().filter(|b| **b == b'\n').count();
        self.line = (self.at, line + u32::try_from(breaks).unwrap_or(0));
        self.line.1
    }

    fn eat(&mut self, what: &[u8]) -> bool {
        let found = self.looking_at(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::Unexpected("(".into()));
        }
        self.depth += 1;
        let out = inner(self);
        self.depth -= 1;
        out
    }

    /// Spaces, continued lines and comments.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.at += 2,
                Some(b'#') => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn newline(&mut self) {
        self.at += 1;
        self.read_heredocs();
    }

    fn blank_lines(&mut self) {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return;
            }
            self.newline();
        }
    }

    fn read_heredocs(&mut self) {
        for pending in std::mem::take(&mut self.heredocs) {
            let mut body = Vec::new();
            let begun = self.text.get(..self.at).is_some_and(|t| t.ends_with(b"\n"));
            let line = self.line() - u32::from(begun);
            let mut closed = false;
            while self.at < self.text.len() {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
                self.at = (self.at + line.len() + 1).min(self.text.len());
                let line = without_tabs(line, pending.strip_tabs);
                closed = line == pending.delimiter;
                if closed {
                    break;
                }
                body.extend_from_slice(line);
                body.push(b'\n');
            }
            if !closed {
                self.open.push(OpenHere {
                    line,
                    delimiter: pending.delimiter,
                    strip_tabs: pending.strip_tabs,
                });
            }
            let word = if pending.quoted {
                Word(vec![Part::Quoted(body)])
            } else {
                parse_heredoc(&body, self.depth + 1)
            };
            self.bodies.push(word);
        }
    }

    fn unexpected(&self) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let token: Vec<u8> = match rest.first() {
            None | Some(b'\n') => b"newline".to_vec(),
            Some(b) if is_operator(*b) => {
                let two = rest.get(..2).unwrap_or(rest);
                if [&b"&&"[..], b"||", b";;", b"<<", b">>"].contains(&two) {
                    two.to_vec()
                } else {
                    vec![*b]
                }
            }
            Some(_) => rest
                .iter()
                .copied()
                .take_while(|b| !b.is_ascii_whitespace() && !is_operator(*b))
                .take(64)
                .collect(),
        };
        Fault::Unexpected(String::from_utf8_lossy(&token).into_owned())
    }

    /// The reserved word at this place, if a whole one stands here.
    fn reserved(&mut self) -> Option<&'static str> {
        self.blanks();
        let rest = self.text.get(self.at..)?;
        let end = rest
            .iter()
            .position(|b| b.is_ascii_whitespace() || is_operator(*b))
            .unwrap_or(rest.len());
        let word = rest.get(..end)?;
        [
            "if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "in",
            "{", "}", "!", "function", "time", "[[",
        ]
        .into_iter()
        .find(|r| r.as_bytes() == word)
    }

    fn eat_reserved(&mut self, word: &'static str) -> bool {
        let found = self.reserved() == Some(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn want_reserved(&mut self, word: &'static str) -> Parse<()> {
        self.blank_lines();
        if self.eat_reserved(word) {
            return Ok(());
        }
        if self.at >= self.text.len() {
            Err(Fault::Incomplete(word))
        } else {
            Err(self.unexpected())
        }
    }

    /// Commands up to the end of the text, a closing parenthesis or one of `stops`.
    fn list(&mut self, stops: &[&str]) -> Parse<List> {
        let mut items = Vec::new();
        loop {
            self.blank_lines();
            match self.peek() {
                None | Some(b')') => break,
                Some(b';') if self.arm_ends() && stops.contains(&"esac") => break,
                _ => {}
            }
            if let Some(word) = self.reserved()
                && RESERVED_STOP.contains(&word)
            {
                if stops.contains(&word) {
                    break;
                }
                return Err(self.unexpected());
            }
            let start = self.at;
            let mut item = self.and_or()?;
            self.blanks();
            match self.peek() {
                Some(b'&') if self.peek_at(1) != Some(b'&') => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    item.background = Some(String::from_utf8_lossy(text.trim_ascii()).into_owned());
                    self.at += 1;
                }
                Some(b';') if self.arm_ends() && stops.contains(&"esac") => {}
                Some(b';') if self.peek_at(1) != Some(b';') => self.at += 1,
                Some(b';' | b'\n' | b')') | None => {}
                Some(_) => return Err(self.unexpected()),
            }
            items.push(item);
        }
        Ok(List(items))
    }

    /// Whether `;;`, `;&` or `;;&` stands here.
    fn arm_ends(&self) -> bool {
        self.looking_at(b";;") || (self.looking_at(b";&") && !self.looking_at(b";&&"))
    }

    fn and_or(&mut self) -> Parse<Item> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let join = if self.eat(b"&&") {
                AndOr::And
            } else if self.eat(b"||") {
                AndOr::Or
            } else {
                return Ok(Item {
                    first,
                    rest,
                    background: None,
                });
            };
            self.blank_lines();
            if self.at >= self.text.len() {
                return Err(Fault::Incomplete("command"));
            }
            rest.push((join, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parse<Pipeline> {
        let (mut negated, mut timed) = (false, false);
        loop {
            if self.eat_reserved("!") {
                negated = !negated;
            } else if self.eat_reserved("time") {
                timed = true;
                self.blanks();
                let bare = self.looking_at(b"-p") && self.peek_at(2).is_none_or(|b| b.is_ascii_whitespace());
                self.at += if bare { 2 } else { 0 };
            } else {
                break;
            }
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                return Ok(Pipeline {
                    negated,
                    timed,
                    commands,
                });
            }
            self.at += 1;
            if self.peek() == Some(b'&') {
                self.at += 1;
                if let Some(last) = commands.last_mut() {
                    last.redirects.push(Redirect {
                        fd: 2,
                        to: Target::Copy(Word(vec![Part::Text(b"1".to_vec())])),
                    });
                }
            }
            self.blank_lines();
            if self.at >= self.text.len() {
                return Err(Fault::Incomplete("command"));
            }
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parse<Command> {
        self.nested(Self::command_inner)
    }

    fn command_inner(&mut self) -> Parse<Command> {
        self.blanks();
        let line = self.line();
        let kind = match self.reserved() {
            Some("[[") => {
                self.at += 2;
                let cond = self.cond_or()?;
                self.cond_blanks();
                if !self.eat(b"]]") {
                    return Err(if self.at >= self.text.len() {
                        Fault::Incomplete("]]")
                    } else {
                        self.unexpected()
                    });
                }
                Kind::Test(cond)
            }
            Some("if") => self.if_command()?,
            Some("while") => self.while_command("while")?,
            Some("until") => self.while_command("until")?,
            Some("for") => self.for_command()?,
            Some("case") => self.case_command()?,
            Some("{") => {
                self.at += 1;
                let body = self.list(&["}"])?;
                self.want_reserved("}")?;
                Kind::Group(body)
            }
            Some("function") => {
                self.at += "function".len();
                self.blanks();
                let name = self.name();
                self.blanks();
                if self.eat(b"(") {
                    self.blanks();
                    if !self.eat(b")") {
                        return Err(self.unexpected());
                    }
                }
                return self.function(name);
            }
            Some(word) if RESERVED_STOP.contains(&word) => return Err(self.unexpected()),
            _ if self.looking_at(b"((") => {
                self.at += 2;
                let text = self.until_double_paren()?;
                Kind::Arithmetic(parse_double(&text, self.depth + 1)?)
            }
            _ if self.peek() == Some(b'(') => {
                self.at += 1;
                let body = self.list(&[])?;
                self.close_paren()?;
                if body.0.is_empty() {
                    self.at -= 1;
                    return Err(Fault::Unexpected(")".into()));
                }
                Kind::Subshell(body)
            }
            _ => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(Command {
            kind,
            redirects,
            line,
        })
    }

    fn cond_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n'))
            || (self.peek() == Some(b'\\') && self.peek_at(1) == Some(b'\n'))
        {
            self.at += 1;
        }
    }

    fn cond_or(&mut self) -> Parse<Cond> {
        let mut left = self.cond_and()?;
        for _ in 0..MAX_TERMS {
            self.cond_blanks();
            if !self.eat(b"||") {
                return Ok(left);
            }
            left = Cond::Or(Box::new(left), Box::new(self.cond_and()?));
        }
        Err(self.unexpected())
    }

    fn cond_and(&mut self) -> Parse<Cond> {
        let mut left = self.nested(Self::cond_one)?;
        for _ in 0..MAX_TERMS {
            self.cond_blanks();
            if !self.eat(b"&&") {
                return Ok(left);
            }
            left = Cond::And(Box::new(left), Box::new(self.nested(Self::cond_one)?));
        }
        Err(self.unexpected())
    }

    fn cond_one(&mut self) -> Parse<Cond> {
        self.cond_blanks();
        if self.peek() == Some(b'!')
            && self
                .peek_at(1)
                .is_some_and(|b| b.is_ascii_whitespace() || b == b'(')
        {
            self.at += 1;
            return Ok(Cond::Not(Box::new(self.nested(Self::cond_one)?)));
        }
        if self.eat(b"(") {
            let inner = self.cond_or()?;
            self.cond_blanks();
            return if self.eat(b")") {
                Ok(inner)
            } else {
                Err(self.unexpected())
            };
        }
        let start = self.at;
        let Some(first) = self.word()? else {
            return Err(self.cond_fault());
        };
        let raw = self.text.get(start..self.at).unwrap_or_default();
        if raw == b"]]" {
            self.at = start;
            return Err(self.unexpected());
        }
        let operator = String::from_utf8_lossy(raw).into_owned();
        self.cond_blanks();
        let unary =
            raw.len() == 2 && raw.starts_with(b"-") && raw.get(1).is_some_and(u8::is_ascii_alphabetic);
        if self.at >= self.text.len() {
            return Err(Fault::Incomplete("]]"));
        }
        let ends = self.looking_at(b"]]")
            || self.looking_at(b"&&")
            || self.looking_at(b"||")
            || self.peek() == Some(b')');
        if ends {
            return Ok(Cond::Text(first));
        }
        if unary {
            let Some(word) = self.word()? else {
                return Err(self.cond_fault());
            };
            return Ok(Cond::Unary(operator, word));
        }
        let Some(op) = ["==", "=~", "!=", "=", "<", ">"]
            .into_iter()
            .find(|op| self.looking_at(op.as_bytes()))
            .map(str::to_owned)
            .or_else(|| {
                let rest = self.text.get(self.at..)?;
                let len = rest.iter().position(u8::is_ascii_whitespace)?;
                let op = std::str::from_utf8(rest.get(..len)?).ok()?;
                ["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"]
                    .contains(&op)
                    .then(|| op.to_owned())
            })
        else {
            return Err(self.cond_fault());
        };
        self.at += op.len();
        self.cond_blanks();
        let right = if op == "=~" {
            self.regex_word()?
        } else {
            self.word()?
        };
        match right {
            Some(right) => Ok(Cond::Binary(first, op, right)),
            None => Err(self.cond_fault()),
        }
    }

    fn cond_fault(&self) -> Fault {
        if self.at >= self.text.len() {
            Fault::Incomplete("]]")
        } else {
            self.unexpected()
        }
    }

    /// The right side of `=~`: parentheses and bars are part of it.
    fn regex_word(&mut self) -> Parse<Option<Word>> {
        let mut parts = Vec::new();
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b @ (b'(' | b')' | b'|' | b'<' | b'>' | b';' | b'&')) => {
                    if b == b'(' {
                        depth += 1;
                    } else if b == b')' {
                        match depth.checked_sub(1) {
                            Some(less) => depth = less,
                            None => break,
                        }
                    } else if matches!(b, b';' | b'&') {
                        break;
                    }
                    parts.push(Part::Text(vec![b]));
                    self.at += 1;
                }
                Some(b' ' | b'\t') if depth > 0 => {
                    parts.push(Part::Text(vec![b' ']));
                    self.at += 1;
                }
                Some(_) => match self.word()? {
                    Some(word) => parts.extend(word.0),
                    None => break,
                },
                None => return Err(Fault::Incomplete("]]")),
            }
        }
        Ok((!parts.is_empty()).then_some(Word(parts)))
    }

    fn close_paren(&mut self) -> Parse<()> {
        self.blank_lines();
        if self.eat(b")") {
            Ok(())
        } else if self.at >= self.text.len() {
            Err(Fault::Incomplete(")"))
        } else {
            Err(self.unexpected())
        }
    }

    fn if_command(&mut self) -> Parse<Kind> {
        self.at += 2;
        let mut arms = Vec::new();
        let mut otherwise = None;
        let condition = self.list(&["then"])?;
        self.want_reserved("then")?;
        let body = self.list(&["elif", "else", "fi"])?;
        arms.push((condition, body));
        loop {
            self.blank_lines();
            if self.eat_reserved("elif") {
                let condition = self.list(&["then"])?;
                self.want_reserved("then")?;
                arms.push((condition, self.list(&["elif", "else", "fi"])?));
            } else if self.eat_reserved("else") {
                otherwise = Some(self.list(&["fi"])?);
                self.want_reserved("fi")?;
                break;
            } else {
                self.want_reserved("fi")?;
                break;
            }
        }
        Ok(Kind::If { arms, otherwise })
    }

    fn while_command(&mut self, word: &'static str) -> Parse<Kind> {
        self.at += word.len();
        let condition = self.list(&["do"])?;
        let body = self.do_group()?;
        Ok(Kind::While {
            until: word == "until",
            condition,
            body,
        })
    }

    fn do_group(&mut self) -> Parse<List> {
        self.want_reserved("do")?;
        let body = self.list(&["done"])?;
        self.want_reserved("done")?;
        Ok(body)
    }

    fn name(&mut self) -> String {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            .count();
        self.at += len;
        String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned()
    }

    fn for_command(&mut self) -> Parse<Kind> {
        self.at += 3;
        self.blanks();
        if self.looking_at(b"((") {
            return self.count_command();
        }
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.blank_lines();
        let mut words = None;
        if self.eat_reserved("in") {
            let mut list = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None | Some(b'\n' | b';') => break,
                    _ => match self.word()? {
                        Some(word) => list.push(word),
                        None => return Err(self.unexpected()),
                    },
                }
            }
            words = Some(list);
        }
        self.blanks();
        if self.peek() == Some(b';') {
            self.at += 1;
        }
        let body = self.do_group()?;
        Ok(Kind::For { name, words, body })
    }

    /// `for ((first; condition; step))`.
    fn count_command(&mut self) -> Parse<Kind> {
        self.at += 2;
        let text = self.until_double_paren()?;
        let mut parts = text.split(|b| *b == b';');
        let (Some(first), Some(condition), Some(step), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Unexpected("((".into()));
        };
        let depth = self.depth + 1;
        let word = |text: &[u8]| parse_double(text.trim_ascii(), depth);
        let parts = [word(first)?, word(condition)?, word(step)?];
        self.blanks();
        if self.peek() == Some(b';') {
            self.at += 1;
        }
        self.blank_lines();
        let body = if self.eat_reserved("{") {
            let body = self.list(&["}"])?;
            self.want_reserved("}")?;
            body
        } else {
            self.do_group()?
        };
        Ok(Kind::Count { parts, body })
    }

    fn case_command(&mut self) -> Parse<Kind> {
        self.at += 4;
        self.blanks();
        let Some(subject) = self.word()? else {
            return Err(self.unexpected());
        };
        self.want_reserved("in")?;
        let mut arms = Vec::new();
        loop {
            self.blank_lines();
            if self.eat_reserved("esac") {
                return Ok(Kind::Case { subject, arms });
            }
            if self.at >= self.text.len() {
                return Err(Fault::Incomplete("esac"));
            }
            self.eat(b"(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                let Some(pattern) = self.word()? else {
                    return Err(self.unexpected());
                };
                patterns.push(pattern);
                self.blanks();
                if !self.eat(b"|") {
                    break;
                }
            }
            if !self.eat(b")") {
                return Err(if self.at >= self.text.len() {
                    Fault::Incomplete(")")
                } else {
                    self.unexpected()
                });
            }
            let body = self.list(&["esac"])?;
            self.blank_lines();
            let ended = self.arm_ends();
            let end = if self.eat(b";;&") {
                ArmEnd::Go
            } else if self.eat(b";&") {
                ArmEnd::Fall
            } else {
                self.eat(b";;");
                ArmEnd::Done
            };
            arms.push(Arm { patterns, body, end });
            if !ended && self.reserved() != Some("esac") {
                return Err(if self.at >= self.text.len() {
                    Fault::Incomplete("esac")
                } else {
                    self.unexpected()
                });
            }
        }
    }

    fn function(&mut self, name: String) -> Parse<Command> {
        self.blank_lines();
        if self.at >= self.text.len() {
            return Err(Fault::Incomplete("{"));
        }
        let line = self.line();
        let body = self.command()?;
        Ok(Command {
            kind: Kind::Function {
                name,
                body: std::sync::Arc::new(body),
            },
            redirects: Vec::new(),
            line,
        })
    }

    fn simple(&mut self) -> Parse<Command> {
        let line = self.line();
        let mut arrays: Vec<Assign> = Vec::new();
        let mut declares = false;
        let mut assigns = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(assign) = self.assignment()?
            {
                assigns.push(assign);
                continue;
            }
            let start = self.at;
            if declares && let Some(assign) = self.assignment()? {
                if matches!(assign.value, Value::List(_)) {
                    words.push(Word(vec![Part::Text(assign.name.clone().into_bytes())]));
                    arrays.push(assign);
                    continue;
                }
                self.at = start;
            }
            let Some(word) = self.word()? else { break };
            words.push(word);
            declares |= words.len() == 1
                && matches!(
                    self.text.get(start..self.at),
                    Some(b"declare" | b"typeset" | b"local" | b"export" | b"readonly")
                );
            if words.len() == 1 && assigns.is_empty() && self.peek() == Some(b'(') {
                // Only a plain name before `(` starts a function definition.
                let name = self.text.get(start..self.at).unwrap_or_default();
                if name
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
                {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.at += 1;
                    self.blanks();
                    if !self.eat(b")") {
                        return Err(self.unexpected());
                    }
                    return self.function(name);
                }
                return Err(self.unexpected());
            }
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command {
            kind: Kind::Simple {
                assigns,
                words,
                arrays,
            },
            redirects,
            line,
        })
    }

    fn assignment(&mut self) -> Parse<Option<Assign>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count();
        if len == 0 || rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(None);
        }
        let back = self.at;
        self.at += len;
        let index = self.subscript()?;
        let append = self.eat(b"+=");
        if !append && !self.eat(b"=") {
            self.at = back;
            return Ok(None);
        }
        let name = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        let value = if self.peek() == Some(b'(') && index.is_none() {
            self.at += 1;
            Value::List(self.nested(Self::array_list)?)
        } else {
            Value::One(self.word()?.unwrap_or_default())
        };
        Ok(Some(Assign {
            name,
            index,
            append,
            value,
        }))
    }

    /// `[…]` behind a name, where there is one.
    fn subscript(&mut self) -> Parse<Option<Word>> {
        if self.peek() != Some(b'[') {
            return Ok(None);
        }
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let mut depth = 0_usize;
        let end = rest.iter().position(|b| match b {
            b'[' => {
                depth += 1;
                false
            }
            b']' if depth > 0 => {
                depth -= 1;
                false
            }
            b => matches!(b, b']' | b'\n'),
        });
        let Some(end) = end.filter(|end| rest.get(*end) == Some(&b']')) else {
            return Ok(None);
        };
        let mut inner = rest.get(..end).unwrap_or_default();
        for quote in *b"'\"" {
            if let Some(bare) = inner
                .strip_prefix(&[quote])
                .and_then(|i| i.strip_suffix(&[quote]))
            {
                inner = bare;
            }
        }
        let inner = inner.to_vec();
        self.at += end + 2;
        let word = self.nested(|p| parse_double(&inner, p.depth))?;
        Ok(Some(word))
    }

    /// The words of `name=(…)`, behind the parenthesis.
    fn array_list(&mut self) -> Parse<Vec<(Option<Word>, Word)>> {
        let mut out = Vec::new();
        loop {
            self.blank_lines();
            if self.eat(b")") {
                return Ok(out);
            }
            if self.at >= self.text.len() {
                return Err(Fault::Incomplete(")"));
            }
            let back = self.at;
            let index = self.subscript()?;
            if index.is_some() && self.eat(b"=") {
                out.push((index, self.word()?.unwrap_or_default()));
                continue;
            }
            self.at = back;
            match self.word()? {
                Some(word) => out.push((None, word)),
                None => return Err(self.unexpected()),
            }
        }
    }

    fn redirect(&mut self) -> Parse<Option<Redirect>> {
        self.blanks();
        let start = self.at;
        let mut digits = 0;
        while self.peek_at(digits).is_some_and(|b| b.is_ascii_digit()) && digits < 4 {
            digits += 1;
        }
        let explicit = (digits > 0)
            .then(|| {
                std::str::from_utf8(self.text.get(start..start + digits)?)
                    .ok()?
                    .parse::<u32>()
                    .ok()
            })
            .flatten();
        if !matches!(self.peek_at(digits), Some(b'<' | b'>')) {
            if digits == 0 && (self.eat(b"&>>") || self.looking_at(b"&>")) {
                let append = self.at > start;
                if !append {
                    self.at += 2;
                }
                return Ok(Some(Redirect {
                    fd: 1,
                    to: Target::Both(self.target()?, append),
                }));
            }
            return Ok(None);
        }
        self.at += digits;
        // `<(…)` and `>(…)` are words, not redirections.
        if explicit.is_none() && self.peek_at(1) == Some(b'(') {
            return Ok(None);
        }
        let redirect = if self.eat(b"<<<") {
            let mut word = self.target()?;
            word.0.push(Part::Quoted(b"\n".to_vec()));
            Redirect {
                fd: explicit.unwrap_or(0),
                to: Target::Here(word),
            }
        } else if self.eat(b"<<") {
            let strip_tabs = self.eat(b"-");
            self.blanks();
            let from = self.at;
            if self.word()?.is_none() {
                return Err(self.unexpected());
            }
            let raw = self.text.get(from..self.at).unwrap_or_default();
            let quoted = raw.iter().any(|b| matches!(b, b'\'' | b'"' | b'\\'));
            let delimiter = raw
                .iter()
                .copied()
                .filter(|b| !matches!(b, b'\'' | b'"' | b'\\'))
                .collect();
            self.heredocs.push(Pending {
                delimiter,
                quoted,
                strip_tabs,
            });
            let placeholder = Word(vec![Part::Text(
                format!("\u{0}{}", self.here_scanned).into_bytes(),
            )]);
            self.here_scanned += 1;
            Redirect {
                fd: explicit.unwrap_or(0),
                to: Target::Here(placeholder),
            }
        } else if self.eat(b"<&") {
            Redirect {
                fd: explicit.unwrap_or(0),
                to: Target::Copy(self.target()?),
            }
        } else if self.eat(b"<>") {
            Redirect {
                fd: explicit.unwrap_or(0),
                to: Target::ReadWrite(self.target()?),
            }
        } else if self.eat(b"<") {
            Redirect {
                fd: explicit.unwrap_or(0),
                to: Target::Read(self.target()?),
            }
        } else if self.eat(b">>") {
            Redirect {
                fd: explicit.unwrap_or(1),
                to: Target::Append(self.target()?),
            }
        } else if self.eat(b">&") {
            let word = self.target()?;
            let plain =
                matches!(word.0.as_slice(), [Part::Text(t)] if t.iter().all(u8::is_ascii_digit) || t == b"-");
            if plain || explicit.is_some() || !matches!(word.0.as_slice(), [Part::Text(_)]) {
                Redirect {
                    fd: explicit.unwrap_or(1),
                    to: Target::Copy(word),
                }
            } else {
                Redirect {
                    fd: 1,
                    to: Target::Both(word, false),
                }
            }
        } else {
            self.eat(b">");
            self.eat(b"|");
            Redirect {
                fd: explicit.unwrap_or(1),
                to: Target::Write(self.target()?),
            }
        };
        Ok(Some(redirect))
    }

    fn target(&mut self) -> Parse<Word> {
        self.blanks();
        self.word()?.ok_or_else(|| self.unexpected())
    }

    /// One word, or `None` where an operator or the end stands here.
    fn word(&mut self) -> Parse<Option<Word>> {
        let mut parts: Vec<Part> = Vec::new();
        let mut text: Vec<u8> = Vec::new();
        let mut any = false;
        while let Some(b) = self.peek() {
            match b {
                b'<' | b'>' if !any && self.peek_at(1) == Some(b'(') => {
                    any = true;
                    self.at += 2;
                    let list = self.nested(|p| {
                        let list = p.list(&[])?;
                        p.close_paren()?;
                        Ok(list)
                    })?;
                    parts.push(Part::Process(b == b'<', list));
                }
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                b'\\' => {
                    any = true;
                    self.at += 1;
                    match self.peek() {
                        Some(b'\n') => self.at += 1,
                        Some(next) => {
                            self.at += 1;
                            flush(&mut parts, &mut text);
                            parts.push(Part::Quoted(vec![next]));
                        }
                        None => text.push(b'\\'),
                    }
                }
                b'\'' => {
                    any = true;
                    flush(&mut parts, &mut text);
                    parts.push(Part::Quoted(self.single_quoted()?));
                }
                b'"' => {
                    any = true;
                    flush(&mut parts, &mut text);
                    self.at += 1;
                    let inner = self.nested(|p| p.double_parts(Some(b'"')))?;
                    parts.push(Part::Double(inner));
                }
                b'$' if self.peek_at(1) == Some(b'\'') => {
                    any = true;
                    flush(&mut parts, &mut text);
                    self.at += 1;
                    parts.push(Part::Quoted(self.ansi_quoted()?));
                }
                b'$' if self.peek_at(1) == Some(b'"') => self.at += 1,
                b'$' | b'`' => {
                    any = true;
                    match self.dollar()? {
                        Some(part) => {
                            flush(&mut parts, &mut text);
                            parts.push(part);
                        }
                        None => {
                            self.at += 1;
                            text.push(b'$');
                        }
                    }
                }
                _ => {
                    any = true;
                    text.push(b);
                    self.at += 1;
                }
            }
        }
        flush(&mut parts, &mut text);
        Ok(any.then_some(Word(parts)))
    }

    fn single_quoted(&mut self) -> Parse<Vec<u8>> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(end) = rest.iter().position(|&b| b == b'\'') else {
            return Err(Fault::Incomplete("'"));
        };
        self.at += end + 2;
        Ok(rest.get(..end).unwrap_or_default().to_vec())
    }

    fn ansi_quoted(&mut self) -> Parse<Vec<u8>> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let mut end = 0;
        loop {
            match rest.get(end) {
                None => return Err(Fault::Incomplete("'")),
                Some(b'\'') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        self.at += end + 2;
        let mut out = unescape(rest.get(..end).unwrap_or_default(), Escapes::Ansi).0;
        out.retain(|b| *b != 0);
        Ok(out)
    }

    /// Text up to `close` (or the end), in which `$`, backticks and backslashes are live.
    fn double_parts(&mut self, close: Option<u8>) -> Parse<Vec<Part>> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        loop {
            let Some(b) = self.peek() else {
                if close.is_some() {
                    return Err(Fault::Incomplete("\""));
                }
                break;
            };
            if Some(b) == close {
                self.at += 1;
                break;
            }
            match b {
                b'\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'\n') => self.at += 1,
                        Some(next @ (b'$' | b'`' | b'\\')) => {
                            text.push(next);
                            self.at += 1;
                        }
                        Some(b'"') if close.is_some() => {
                            text.push(b'"');
                            self.at += 1;
                        }
                        _ => text.push(b'\\'),
                    }
                }
                b'$' | b'`' => match self.dollar()? {
                    Some(part) => {
                        flush_quoted(&mut parts, &mut text);
                        parts.push(part);
                    }
                    None => {
                        self.at += 1;
                        text.push(b'$');
                    }
                },
                _ => {
                    text.push(b);
                    self.at += 1;
                }
            }
        }
        flush_quoted(&mut parts, &mut text);
        Ok(parts)
    }

    /// What starts at a `$` or a backtick; `None` (and nothing consumed) where the dollar stands for itself.
    fn dollar(&mut self) -> Parse<Option<Part>> {
        if self.peek() == Some(b'`') {
            return self.backtick().map(Some);
        }
        match self.peek_at(1) {
            Some(b'(') if self.peek_at(2) == Some(b'(') => {
                let back = self.at;
                self.at += 3;
                match self.until_double_paren() {
                    Ok(text) => {
                        let word = self.nested(|p| parse_double(&text, p.depth))?;
                        Ok(Some(Part::Arithmetic(word)))
                    }
                    // `$( (list) )` looks the same at first.
                    Err(_) => {
                        self.at = back;
                        self.substitution().map(Some)
                    }
                }
            }
            Some(b'(') => self.substitution().map(Some),
            Some(b'[') => {
                let back = self.at;
                self.at += 1;
                match self.subscript()? {
                    Some(word) => Ok(Some(Part::Arithmetic(word))),
                    None => {
                        self.at = back;
                        Ok(None)
                    }
                }
            }
            Some(b'{') => self.braced().map(Some),
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
                self.at += 1;
                let rest = self.text.get(self.at..).unwrap_or_default();
                let len = rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count();
                let name = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
                self.at += len;
                Ok(Some(Part::Variable(Box::new(Variable {
                    name,
                    ..Variable::default()
                }))))
            }
            Some(b @ (b'?' | b'$' | b'#' | b'@' | b'*' | b'!' | b'-' | b'0'..=b'9')) => {
                self.at += 2;
                Ok(Some(Part::Variable(Box::new(Variable {
                    name: char::from(b).to_string(),
                    ..Variable::default()
                }))))
            }
            _ => Ok(None),
        }
    }

    fn substitution(&mut self) -> Parse<Part> {
        self.at += 2;
        let list = self.nested(|p| {
            let list = p.list(&[])?;
            p.close_paren()?;
            Ok(list)
        })?;
        Ok(Part::Substitution(list))
    }

    fn backtick(&mut self) -> Parse<Part> {
        self.at += 1;
        let mut inner = Vec::new();
        loop {
            match self.peek() {
                None => return Err(Fault::Incomplete("`")),
                Some(b'`') => break,
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b @ (b'`' | b'\\' | b'$')) => {
                            inner.push(b);
                            self.at += 1;
                        }
                        _ => inner.push(b'\\'),
                    }
                }
                Some(b) => {
                    inner.push(b);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let list = self.nested(|p| parse_at(&inner, p.depth))?;
        Ok(Part::Substitution(list))
    }

    fn until_double_paren(&mut self) -> Parse<Vec<u8>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut depth = 0_usize;
        for (i, b) in rest.iter().enumerate() {
            match b {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' => {
                    if rest.get(i + 1) == Some(&b')') {
                        self.at += i + 2;
                        return Ok(rest.get(..i).unwrap_or_default().to_vec());
                    }
                    return Err(Fault::Unexpected(")".into()));
                }
                _ => {}
            }
        }
        Err(Fault::Incomplete("))"))
    }

    fn braced(&mut self) -> Parse<Part> {
        let start = self.at;
        self.at += 2;
        match self.nested(Self::braced_inner) {
            Err(Fault::Unexpected(what)) if what == "bad substitution" => {
                let rest = self.text.get(start..).unwrap_or_default();
                let Some(end) = rest.iter().position(|b| *b == b'}') else {
                    return Err(Fault::Incomplete("}"));
                };
                self.at = start + end + 1;
                let text = rest.get(..=end).unwrap_or_default();
                Ok(Part::Bad(String::from_utf8_lossy(text).into_owned()))
            }
            other => other,
        }
    }

    fn braced_inner(&mut self) -> Parse<Part> {
        let length = self.peek() == Some(b'#') && self.peek_at(1).is_some_and(|b| b != b'}');
        if length {
            self.at += 1;
        }
        let indirect = !length
            && self.peek() == Some(b'!')
            && self
                .peek_at(1)
                .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if indirect {
            self.at += 1;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = match rest.first() {
            Some(b) if b.is_ascii_alphabetic() || *b == b'_' => rest
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                .count(),
            Some(b) if b.is_ascii_digit() => rest.iter().take_while(|b| b.is_ascii_digit()).count(),
            Some(b'?' | b'$' | b'#' | b'@' | b'*' | b'!' | b'-') => 1,
            None => return Err(Fault::Incomplete("}")),
            _ => return Err(Fault::Unexpected("bad substitution".into())),
        };
        let name = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        self.at += len;
        let index = if rest
            .first()
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        {
            match self.peek() {
                Some(b'[') if self.looking_at(b"[@]") || self.looking_at(b"[*]") => {
                    let joined = self.peek_at(1) == Some(b'*');
                    self.at += 3;
                    Some(Index::All(joined))
                }
                Some(b'[') => self.subscript()?.map(Index::At),
                _ => None,
            }
        } else {
            None
        };
        let op = if length {
            Some(VarOp::Length)
        } else {
            match self.peek() {
                Some(b'*' | b'@') if indirect && self.peek_at(1) == Some(b'}') => {
                    self.at += 1;
                    Some(VarOp::Names)
                }
                Some(b'@') if self.peek_at(2) == Some(b'}') => {
                    let letter = self.peek_at(1).unwrap_or(b'Q');
                    if !b"QEPAaKkUuL".contains(&letter) {
                        return Err(Fault::Unexpected("bad substitution".into()));
                    }
                    self.at += 2;
                    Some(VarOp::Transform(letter))
                }
                Some(b'}') => None,
                Some(b':') if matches!(self.peek_at(1), Some(b'-' | b'=' | b'+' | b'?')) => {
                    let sign = self.peek_at(1).unwrap_or(b'-');
                    self.at += 2;
                    Some(VarOp::Default(sign, true, self.brace_word(b"}")?))
                }
                Some(b':') => {
                    self.at += 1;
                    let offset = self.brace_word(b":}")?;
                    let length = if self.eat(b":") {
                        Some(self.brace_word(b"}")?)
                    } else {
                        None
                    };
                    Some(VarOp::Slice(offset, length))
                }
                Some(sign @ (b'-' | b'=' | b'+' | b'?')) => {
                    self.at += 1;
                    Some(VarOp::Default(sign, false, self.brace_word(b"}")?))
                }
                Some(sign @ (b'#' | b'%')) => {
                    self.at += 1;
                    let longest = self.eat(&[sign]);
                    Some(VarOp::Trim {
                        suffix: sign == b'%',
                        longest,
                        pattern: self.brace_word(b"}")?,
                    })
                }
                Some(b'/') => {
                    self.at += 1;
                    let how = match self.peek() {
                        Some(b @ (b'/' | b'#' | b'%')) => {
                            self.at += 1;
                            b
                        }
                        _ => 0,
                    };
                    let pattern = self.brace_word(b"/}")?;
                    let text = if self.eat(b"/") {
                        self.brace_word(b"}")?
                    } else {
                        Word::default()
                    };
                    Some(VarOp::Replace { how, pattern, text })
                }
                Some(sign @ (b'^' | b',')) => {
                    self.at += 1;
                    let all = self.eat(&[sign]);
                    Some(VarOp::Case {
                        upper: sign == b'^',
                        all,
                    })
                }
                None => return Err(Fault::Incomplete("}")),
                _ => return Err(Fault::Unexpected("bad substitution".into())),
            }
        };
        if !self.eat(b"}") {
            return Err(if self.at >= self.text.len() {
                Fault::Incomplete("}")
            } else {
                Fault::Unexpected("bad substitution".into())
            });
        }
        Ok(Part::Variable(Box::new(Variable {
            name,
            index,
            indirect,
            op,
        })))
    }

    /// The word inside `${…}` up to one of `ends`.
    fn brace_word(&mut self, ends: &[u8]) -> Parse<Word> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        loop {
            let Some(b) = self.peek() else {
                return Err(Fault::Incomplete("}"));
            };
            if ends.contains(&b) {
                break;
            }
            match b {
                b'\\' => {
                    self.at += 1;
                    if let Some(next) = self.peek() {
                        flush(&mut parts, &mut text);
                        parts.push(Part::Quoted(vec![next]));
                        self.at += 1;
                    }
                }
                b'\'' => {
                    flush(&mut parts, &mut text);
                    parts.push(Part::Quoted(self.single_quoted()?));
                }
                b'"' => {
                    flush(&mut parts, &mut text);
                    self.at += 1;
                    let inner = self.nested(|p| p.double_parts(Some(b'"')))?;
                    parts.push(Part::Double(inner));
                }
                b'$' | b'`' => match self.dollar()? {
                    Some(part) => {
                        flush(&mut parts, &mut text);
                        parts.push(part);
                    }
                    None => {
                        text.push(b'$');
                        self.at += 1;
                    }
                },
                _ => {
                    text.push(b);
                    self.at += 1;
                }
            }
        }
        flush(&mut parts, &mut text);
        Ok(Word(parts))
    }
}

fn parse_heredoc(body: &[u8], depth: usize) -> Word {
    if depth >= MAX_DEPTH {
        return Word(vec![Part::Quoted(body.to_vec())]);
    }
    parse_double(body, depth).unwrap_or_else(|_| Word(vec![Part::Quoted(body.to_vec())]))
}

fn is_operator(b: u8) -> bool {
    matches!(b, b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
}

fn flush(parts: &mut Vec<Part>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

fn flush_quoted(parts: &mut Vec<Part>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Part::Quoted(std::mem::take(text)));
    }
}

/// Which escapes a text knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// `echo -e`: octal needs a leading 0, `\c` ends the output.
    Echo,
    /// `printf` and its `%b`: octal with or without 0.
    Printf,
    /// `$'…'`.
    Ansi,
    /// dash's `echo`: octal with or without 0, nothing hexadecimal.
    Dash,
}

/// Backslash escapes turned into bytes; whether `\c` asked to stop.
pub(crate) fn unescape(text: &[u8], kind: Escapes) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        i += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some(&e) = text.get(i) else {
            out.push(b'\\');
            break;
        };
        i += 1;
        match e {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'e' | b'E' => out.push(27),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\\' => out.push(b'\\'),
            b'c' if matches!(kind, Escapes::Echo | Escapes::Dash) => return (out, true),
            b'\'' | b'"' if matches!(kind, Escapes::Printf | Escapes::Ansi) => out.push(e),
            b'x' if kind != Escapes::Dash => {
                let digits = text
                    .get(i..)
                    .unwrap_or_default()
                    .iter()
                    .take(2)
                    .take_while(|b| b.is_ascii_hexdigit())
                    .count();
                if digits == 0 {
                    out.extend_from_slice(b"\\x");
                } else {
                    out.push(radix(text.get(i..i + digits).unwrap_or_default(), 16));
                    i += digits;
                }
            }
            b'0'..=b'7' if kind != Escapes::Echo || e == b'0' => {
                let skip = usize::from(e == b'0' && kind != Escapes::Ansi);
                let from = i - 1 + skip;
                let digits = text
                    .get(from..)
                    .unwrap_or_default()
                    .iter()
                    .take(3)
                    .take_while(|b| (b'0'..=b'7').contains(*b))
                    .count();
                out.push(radix(text.get(from..from + digits).unwrap_or_default(), 8));
                i = from + digits;
            }
            other => {
                out.push(b'\\');
                out.push(other);
            }
        }
    }
    (out, false)
}

fn radix(digits: &[u8], base: u32) -> u8 {
    let value = digits.iter().fold(0_u32, |v, d| {
        v * base + char::from(*d).to_digit(base).unwrap_or(0)
    });
    u8::try_from(value & 0xff).unwrap_or(0)
}

/// Put the here-documents' bodies where their placeholders stand.
fn fill_list(list: &mut List, bodies: &[Word]) {
    for item in &mut list.0 {
        for pipeline in std::iter::once(&mut item.first).chain(item.rest.iter_mut().map(|(_, p)| p)) {
            for command in &mut pipeline.commands {
                fill_command(command, bodies);
            }
        }
    }
}

fn fill_command(command: &mut Command, bodies: &[Word]) {
    for redirect in &mut command.redirects {
        if let Target::Here(word) = &mut redirect.to
            && let [Part::Text(text)] = word.0.as_slice()
            && let Some((0, digits)) = text.split_first()
        {
            let index = std::str::from_utf8(digits)
                .ok()
                .and_then(|d| d.parse::<usize>().ok());
            *word = index.and_then(|i| bodies.get(i)).cloned().unwrap_or_default();
        }
    }
    match &mut command.kind {
        Kind::Simple {
            assigns,
            words,
            arrays,
        } => {
            words.iter_mut().for_each(|word| fill_word(&mut word.0, bodies));
            for assign in assigns.iter_mut().chain(arrays) {
                match &mut assign.value {
                    Value::One(word) => fill_word(&mut word.0, bodies),
                    Value::List(list) => list.iter_mut().for_each(|(_, w)| fill_word(&mut w.0, bodies)),
                }
            }
        }
        Kind::Arithmetic(_) | Kind::Test(_) => {}
        Kind::Subshell(list) | Kind::Group(list) => fill_list(list, bodies),
        Kind::If { arms, otherwise } => {
            for (condition, body) in arms {
                fill_list(condition, bodies);
                fill_list(body, bodies);
            }
            if let Some(list) = otherwise {
                fill_list(list, bodies);
            }
        }
        Kind::While { condition, body, .. } => {
            fill_list(condition, bodies);
            fill_list(body, bodies);
        }
        Kind::For { body, .. } | Kind::Count { body, .. } => fill_list(body, bodies),
        Kind::Case { arms, .. } => arms.iter_mut().for_each(|arm| fill_list(&mut arm.body, bodies)),
        Kind::Function { body, .. } => {
            if let Some(body) = std::sync::Arc::get_mut(body) {
                fill_command(body, bodies);
            }
        }
    }
}

fn fill_word(parts: &mut [Part], bodies: &[Word]) {
    for part in parts {
        match part {
            Part::Substitution(list) | Part::Process(_, list) => fill_list(list, bodies),
            Part::Double(inner) => fill_word(inner, bodies),
            _ => {}
        }
    }
}

/// A line as `read` takes it: its bytes, each with whether a backslash protected it; with `raw` none does.
pub(crate) fn read_chars(line: &[u8], raw: bool) -> Vec<(u8, bool)> {
    let mut out = Vec::with_capacity(line.len());
    let mut it = line.iter();
    while let Some(b) = it.next() {
        if *b == b'\\' && !raw {
            out.extend(it.next().map(|b| (*b, true)));
        } else {
            out.push((*b, false));
        }
    }
    out
}
