//! sed (POSIX.1-2017 XCU sed) with GNU's `-i`, `-E` and one-line `a`, `i`, `c`; without hold space and labels.

use super::{Call, Shell, inputs, lines, text::Regex};

/// Commands that one script may run over all lines.
const WORK: usize = 500_000;

enum Command {
    Substitute {
        regex: Regex,
        text: Vec<u8>,
        /// From which hit on; every one from there where `all`.
        from: usize,
        all: bool,
        print: bool,
    },
    Print,
    Delete,
    Quit,
    Next,
    Number,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    Map(Vec<(char, char)>),
    /// `{`: how many commands it has.
    Group(usize),
}

enum Place {
    Line(usize),
    Last,
    Match(Regex),
    /// `first~step`.
    Every(usize, usize),
    /// `+n` behind a first address.
    More(usize),
}

struct Step {
    from: Option<Place>,
    to: Option<Place>,
    negated: bool,
    command: Command,
    /// The line at which a range that is open ends, once it is known.
    open: Option<usize>,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
}

type Parse<T> = Result<T, (usize, String)>;

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fault<T>(&self, what: &str) -> Parse<T> {
        Err((self.at, what.to_owned()))
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| b == b' ' || b == b'\t') {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += len;
        std::str::from_utf8(rest.get(..len)?).ok()?.parse().ok()
    }

    /// Text up to `by`; `\` before `by` protects it.
    fn part(&mut self, by: u8, regex: bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut set = false;
        loop {
            let b = self.peek()?;
            self.at += 1;
            if b == b'\\' {
                let next = self.peek()?;
                self.at += 1;
                if next != by || (next == b'.' && regex) {
                    out.push(b'\\');
                }
                out.push(next);
            } else if b == by && !set {
                return Some(out);
            } else {
                if regex {
                    set = (set && b != b']') || (b == b'[' && !set);
                }
                out.push(b);
            }
        }
    }

    fn place(&mut self) -> Parse<Option<Place>> {
        self.blanks();
        match self.peek() {
            Some(b'0'..=b'9') => {
                let first = self.number().unwrap_or(0);
                if self.peek() == Some(b'~') {
                    self.at += 1;
                    return Ok(Some(Place::Every(first, self.number().unwrap_or(1).max(1))));
                }
                Ok(Some(Place::Line(first)))
            }
            Some(b'$') => {
                self.at += 1;
                Ok(Some(Place::Last))
            }
            Some(b'+') => {
                self.at += 1;
                Ok(Some(Place::More(self.number().unwrap_or(0))))
            }
            Some(b @ (b'/' | b'\\')) => {
                self.at += 1;
                let by = if b == b'\\' {
                    self.at += 1;
                    self.text.get(self.at - 1).copied().unwrap_or(b'/')
                } else {
                    b
                };
                let Some(pattern) = self.part(by, true) else {
                    return self.fault("unterminated address regex");
                };
                let fold = self.peek() == Some(b'I');
                self.at += usize::from(fold);
                Ok(Some(Place::Match(Regex::new(&pattern, self.extended, fold))))
            }
            _ => Ok(None),
        }
    }

    fn steps(&mut self, depth: usize) -> Parse<Vec<Step>> {
        let mut out = Vec::new();
        loop {
            while self.peek().is_some_and(|b| b.is_ascii_whitespace() || b == b';') {
                self.at += 1;
            }
            match self.peek() {
                None if depth > 0 => return self.fault("unmatched `{'"),
                None => return Ok(out),
                Some(b'}') if depth > 0 => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'}') => {
                    self.at += 1;
                    return self.fault("unexpected `}'");
                }
                Some(b'#') => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                    continue;
                }
                Some(_) => {}
            }
            self.step(depth, &mut out)?;
        }
    }

    fn step(&mut self, depth: usize, out: &mut Vec<Step>) -> Parse<()> {
        let from = self.place()?;
        let mut to = None;
        if from.is_some() {
            self.blanks();
            if self.peek() == Some(b',') {
                self.at += 1;
                to = self.place()?;
                if to.is_none() {
                    self.at += 1;
                    return self.fault("unexpected `,'");
                }
            }
        }
        self.blanks();
        let mut negated = false;
        while self.peek() == Some(b'!') {
            negated = true;
            self.at += 1;
            self.blanks();
        }
        let Some(letter) = self.peek() else {
            return self.fault("missing command");
        };
        self.at += 1;
        let place = out.len();
        let mut inner = Vec::new();
        let command = match letter {
            b'p' => Command::Print,
            b'd' | b'D' => Command::Delete,
            b'q' | b'Q' => Command::Quit,
            b'n' => Command::Next,
            b'=' => Command::Number,
            b'a' | b'i' | b'c' => {
                let text = self.line_text();
                if text.is_empty() {
                    return self.fault("expected \\ after `a', `c' or `i'");
                }
                match letter {
                    b'a' => Command::Append(text),
                    b'i' => Command::Insert(text),
                    _ => Command::Change(text),
                }
            }
            b'{' if depth < 10 => {
                inner = self.steps(depth + 1)?;
                Command::Group(inner.len())
            }
            b's' => self.substitute()?,
            b'y' => {
                let Some(by) = self.peek() else {
                    return self.fault("unterminated `y' command");
                };
                self.at += 1;
                let (Some(a), Some(b)) = (self.part(by, false), self.part(by, false)) else {
                    return self.fault("unterminated `y' command");
                };
                let (a, b) = (
                    String::from_utf8_lossy(&a).into_owned(),
                    String::from_utf8_lossy(&b).into_owned(),
                );
                if a.chars().count() != b.chars().count() {
                    return self.fault("strings for `y' command are different lengths");
                }
                Command::Map(a.chars().zip(b.chars()).collect())
            }
            other => {
                return self.fault(&format!("unknown command: `{}'", char::from(other)));
            }
        };
        self.blanks();
        let ended = matches!(letter, b'a' | b'i' | b'c' | b'{')
            || matches!(self.peek(), None | Some(b';' | b'\n' | b'}' | b'#'));
        if !ended {
            self.at += 1;
            return self.fault(if letter == b's' {
                "unknown option to `s'"
            } else {
                "extra characters after command"
            });
        }
        out.insert(
            place,
            Step {
                from,
                to,
                negated,
                command,
                open: None,
            },
        );
        out.extend(inner);
        Ok(())
    }

    /// The text of `a`, `i` and `c`: the rest of the line.
    fn line_text(&mut self) -> Vec<u8> {
        self.blanks();
        if self.peek() == Some(b'\\') {
            self.at += 1;
            self.blanks();
            if self.peek() == Some(b'\n') {
                self.at += 1;
            }
        }
        let mut out = Vec::new();
        while let Some(b) = self.peek() {
            self.at += 1;
            match b {
                b'\n' => break,
                b'\\' => {
                    out.extend(self.peek());
                    self.at += 1;
                }
                b => out.push(b),
            }
        }
        if !out.is_empty() {
            out.push(b'\n');
        }
        out
    }

    fn substitute(&mut self) -> Parse<Command> {
        let Some(by) = self.peek() else {
            return self.fault("unterminated `s' command");
        };
        self.at += 1;
        let (Some(pattern), Some(text)) = (self.part(by, true), self.part(by, false)) else {
            return self.fault("unterminated `s' command");
        };
        let (mut from, mut all, mut print, mut fold) = (1, false, false, false);
        loop {
            match self.peek() {
                Some(b'g') => all = true,
                Some(b'p') => print = true,
                Some(b'i' | b'I') => fold = true,
                Some(b'm' | b'M' | b'e') => {}
                Some(b'0'..=b'9') => {
                    from = self.number().unwrap_or(1).max(1);
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        Ok(Command::Substitute {
            regex: Regex::new(&pattern, self.extended, fold),
            text,
            from,
            all,
            print,
        })
    }
}

impl Step {
    fn chosen(&mut self, number: usize, total: usize, line: &[u8]) -> bool {
        let hit = |place: &Place| match place {
            Place::Line(n) => number == *n,
            Place::Last => number == total,
            Place::Match(regex) => regex.find(line, 0).is_some(),
            Place::Every(first, step) => number >= *first && (number - first).is_multiple_of(*step),
            Place::More(_) => false,
        };
        let yes = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => hit(from),
            (Some(from), Some(to)) => match self.open {
                Some(end) => {
                    if number >= end || (matches!(to, Place::Match(_)) && hit(to)) {
                        self.open = None;
                    }
                    number <= end
                }
                None if hit(from) => {
                    let end = match to {
                        Place::Line(n) => *n,
                        Place::Last => total,
                        Place::More(n) => number + n,
                        Place::Match(_) | Place::Every(..) => usize::MAX,
                    };
                    self.open = (end > number).then_some(end);
                    true
                }
                None => false,
            },
        };
        yes != self.negated
    }
}

pub(super) fn sed(shell: &mut Shell, call: &mut Call) -> u8 {
    let extended = call.has('E') || call.has('r');
    let mut operands = call.operands("ef");
    let mut scripts = Vec::new();
    let mut it = call.args.iter();
    while let Some(arg) = it.next() {
        if arg == "-e" || arg == "--expression" {
            scripts.extend(it.next().cloned());
        } else if let Some(script) = arg.strip_prefix("--expression=") {
            scripts.push(script.to_owned());
        }
    }
    if scripts.is_empty() {
        if operands.is_empty() {
            call.err("Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n");
            return 1;
        }
        scripts.push(operands.remove(0));
    }
    let script = scripts.join("\n");
    let mut parser = Parser {
        text: script.as_bytes(),
        at: 0,
        extended,
    };
    let mut steps = match parser.steps(0) {
        Ok(steps) => steps,
        Err((at, fault)) => return call.fail(format!("-e expression #1, char {at}: {fault}")),
    };
    let quiet = call.has('n');
    let in_place = call
        .args
        .iter()
        .any(|a| a.starts_with("-i") || a.starts_with("--in-place"));
    if in_place {
        for path in &operands {
            if shell.vfs.stat(shell.who(), &shell.env.cwd, path).is_err() {
                call.fail(format!("can't read {path}: No such file or directory"));
                return 2;
            }
        }
    }
    let (files, mut status) = inputs(shell, call, &operands);
    let mut work = WORK;
    for (path, bytes) in files {
        let ends = bytes.is_empty() || bytes.ends_with(b"\n");
        let mut out = edit(&mut steps, &bytes, quiet, &mut work);
        if !ends && out.ends_with(b"\n") && !bytes.is_empty() {
            out.pop();
        }
        if in_place {
            let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
            if let Err(errno) = shell.vfs.write(who, &cwd, &path, &out, false, now) {
                status = call.fail(format!("couldn't open file {path}: {}", errno.text()));
            }
        } else {
            call.out(out);
        }
    }
    if status == 0 { 0 } else { 2 }
}

fn edit(steps: &mut [Step], bytes: &[u8], quiet: bool, work: &mut usize) -> Vec<u8> {
    let mut out = Vec::new();
    let all: Vec<&[u8]> = lines(bytes).collect();
    let put = |out: &mut Vec<u8>, line: &[u8]| {
        out.extend_from_slice(line);
        out.push(b'\n');
    };
    let mut number = 0;
    'lines: while let Some(line) = all.get(number) {
        number += 1;
        let mut line = line.to_vec();
        let mut after = Vec::new();
        let mut at = 0;
        let mut quit = false;
        while let Some(step) = steps.get_mut(at) {
            at += 1;
            let Some(left) = work.checked_sub(1) else {
                return out;
            };
            *work = left;
            let chosen = step.chosen(number, all.len(), &line);
            if !chosen {
                if let Command::Group(inner) = step.command {
                    at += inner;
                }
                continue;
            }
            match &step.command {
                Command::Group(_) => {}
                Command::Print => put(&mut out, &line),
                Command::Delete => {
                    out.extend(after);
                    continue 'lines;
                }
                Command::Quit => {
                    quit = true;
                    break;
                }
                Command::Next => {
                    if !quiet {
                        put(&mut out, &line);
                    }
                    match all.get(number) {
                        Some(next) => line = next.to_vec(),
                        None => return out,
                    }
                    number += 1;
                }
                Command::Number => put(&mut out, number.to_string().as_bytes()),
                Command::Append(text) => after.extend_from_slice(text),
                Command::Insert(text) => out.extend_from_slice(text),
                Command::Change(text) => {
                    out.extend_from_slice(text);
                    continue 'lines;
                }
                Command::Map(pairs) => {
                    let mapped: String = String::from_utf8_lossy(&line)
                        .chars()
                        .map(|c| pairs.iter().find(|(a, _)| *a == c).map_or(c, |(_, b)| *b))
                        .collect();
                    line = mapped.into_bytes();
                }
                Command::Substitute {
                    regex,
                    text,
                    from,
                    all,
                    print,
                } => {
                    let (new, hit) = substitute(&line, regex, text, *from, *all);
                    line = new;
                    if hit && *print {
                        put(&mut out, &line);
                    }
                }
            }
        }
        if !quiet {
            put(&mut out, &line);
        }
        out.extend(after);
        if quit {
            break;
        }
    }
    out
}

fn substitute(line: &[u8], regex: &Regex, text: &[u8], from_hit: usize, all: bool) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut at = 0;
    let mut hits = 0;
    let mut changed = false;
    while let Some(groups) = regex.captures(line, at) {
        let Some((from, to)) = groups.first().copied().flatten() else {
            break;
        };
        hits += 1;
        out.extend_from_slice(line.get(at..from).unwrap_or_default());
        let matched = line.get(from..to).unwrap_or_default();
        if hits < from_hit {
            out.extend_from_slice(matched);
        } else {
            changed = true;
            replace(&mut out, text, matched, &groups, line);
        }
        at = to;
        if to == from {
            out.extend(line.get(at));
            at += 1;
        }
        if (changed && !all) || at > line.len() {
            break;
        }
    }
    out.extend_from_slice(line.get(at..).unwrap_or_default());
    (out, changed)
}

fn replace(out: &mut Vec<u8>, text: &[u8], matched: &[u8], groups: &[Option<(usize, usize)>], line: &[u8]) {
    let mut it = text.iter();
    while let Some(b) = it.next() {
        match b {
            b'&' => out.extend_from_slice(matched),
            b'\\' => match it.next() {
                Some(digit @ b'0'..=b'9') => {
                    let group = groups.get(usize::from(digit - b'0')).copied().flatten();
                    if let Some((from, to)) = group {
                        out.extend_from_slice(line.get(from..to).unwrap_or_default());
                    }
                }
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b) => out.push(*b),
                None => {}
            },
            b => out.push(*b),
        }
    }
}
