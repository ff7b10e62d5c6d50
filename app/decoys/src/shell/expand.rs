//! From words to arguments: braces, tilde, parameters, substitution, arithmetic, field splitting and path names, in
//! the order of POSIX.1-2017 XCU 2.6.

use std::collections::BTreeMap;

use super::{
    arith, glob,
    parse::{Index, Part, VarOp, Variable, Word},
    run::{Fds, Shell, Stop},
    vars::{self, Dialect, Key},
};

/// The most fields that one command line may expand to; past it the command is killed.
const MAX_FIELDS: usize = 10_000;
/// The most bytes of one expanded word.
const MAX_WORD: usize = 1 << 20;

/// A byte and whether quotes protect it from splitting and globbing.
type Ch = (u8, bool);

#[derive(Default)]
struct Fields {
    done: Vec<Vec<Ch>>,
    current: Vec<Ch>,
    /// The current field exists even if it is empty: it had quotes.
    exists: bool,
}

impl Fields {
    fn push(&mut self, bytes: &[u8], quoted: bool) {
        self.current.extend(bytes.iter().map(|b| (*b, quoted)));
        self.exists |= quoted || !bytes.is_empty();
    }

    fn end_field(&mut self) {
        if self.exists {
            self.done.push(std::mem::take(&mut self.current));
        }
        self.exists = false;
    }

    fn push_split(&mut self, bytes: &[u8], ifs: &[u8]) {
        for &b in bytes {
            if ifs.contains(&b) {
                if !b.is_ascii_whitespace() {
                    self.exists = true;
                }
                self.end_field();
            } else {
                self.current.push((b, false));
                self.exists = true;
            }
        }
    }
}

impl Shell {
    /// The arguments that `words` expand to.
    pub(super) async fn expand_words(&mut self, words: &[Word], fds: &Fds) -> Result<Vec<Vec<u8>>, Stop> {
        let mut out = Vec::new();
        let declares = self.env.dialect == Dialect::Bash
            && matches!(words.first().map(|w| w.0.as_slice()), Some([Part::Text(t)])
                if matches!(t.as_slice(), b"declare" | b"typeset" | b"local" | b"export" | b"readonly"));
        for (i, word) in words.iter().enumerate() {
            if i > 0 && declares && is_assignment(word) {
                out.push(self.expand_one(word, fds).await?);
                continue;
            }
            let alternatives = if self.env.dialect == Dialect::Bash {
                braces(word)
            } else {
                vec![word.clone()]
            };
            for word in alternatives {
                let mut fields = Fields::default();
                self.expand_parts(&word.0, fds, false, &mut fields).await?;
                fields.end_field();
                for field in fields.done {
                    self.path_names(&field, &mut out);
                    if out.len() > MAX_FIELDS {
                        return Err(Stop::Killed);
                    }
                }
            }
        }
        Ok(out)
    }

    /// One string: no splitting, no path names. For assignments, redirections and the like.
    pub(super) async fn expand_one(&mut self, word: &Word, fds: &Fds) -> Result<Vec<u8>, Stop> {
        let field = self.expand_chars(word, fds).await?;
        Ok(field.into_iter().map(|(b, _)| b).collect())
    }

    /// A pattern: quoted bytes are escaped, so that they match themselves.
    pub(super) async fn expand_pattern(&mut self, word: &Word, fds: &Fds) -> Result<Vec<u8>, Stop> {
        let field = self.expand_chars(word, fds).await?;
        Ok(pattern(&field))
    }

    /// A regular expression: quoted bytes are escaped, so that they match themselves.
    pub(super) async fn expand_regex(&mut self, word: &Word, fds: &Fds) -> Result<Vec<u8>, Stop> {
        let field = self.expand_chars(word, fds).await?;
        let mut out = Vec::with_capacity(field.len());
        for (b, quoted) in field {
            if quoted && b.is_ascii_punctuation() && b != b'_' {
                out.push(b'\\');
            }
            out.push(b);
        }
        Ok(out)
    }

    async fn expand_chars(&mut self, word: &Word, fds: &Fds) -> Result<Vec<Ch>, Stop> {
        let mut fields = Fields::default();
        let saved = std::mem::replace(&mut self.no_split, true);
        let done = self.expand_parts(&word.0, fds, false, &mut fields).await;
        self.no_split = saved;
        done?;
        fields.end_field();
        let mut out = Vec::new();
        for (i, field) in fields.done.into_iter().enumerate() {
            if i > 0 {
                out.push((b' ', true));
            }
            out.extend(field);
        }
        Ok(out)
    }

    fn expand_parts<'a>(
        &'a mut self,
        parts: &'a [Part],
        fds: &'a Fds,
        quoted: bool,
        fields: &'a mut Fields,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>> {
        Box::pin(async move {
            for (i, part) in parts.iter().enumerate() {
                if fields.current.len() > MAX_WORD {
                    return Err(Stop::Killed);
                }
                match part {
                    Part::Text(text) if i == 0 && !quoted && text.first() == Some(&b'~') => {
                        let (home, rest) = self.tilde(text);
                        fields.push(&home, true);
                        fields.push(&rest, false);
                    }
                    Part::Text(text) => fields.push(text, quoted),
                    Part::Quoted(text) => fields.push(text, true),
                    Part::Double(inner) => {
                        if inner.is_empty() {
                            fields.exists = true;
                        }
                        let only_at = inner.iter().all(|p| {
                            matches!(p, Part::Variable(v) if (v.name == "@" || v.index == Some(Index::All(false)))
                                && v.op != Some(VarOp::Length))
                        });
                        if !only_at {
                            fields.exists = true;
                        }
                        self.expand_parts(inner, fds, true, fields).await?;
                    }
                    Part::Variable(variable) => match self.many(variable, fds).await? {
                        Some((list, joined)) if quoted && joined => {
                            let ifs = self.ifs();
                            fields.push(&list.join(ifs.get(..1).unwrap_or_default()), true);
                        }
                        Some((list, _)) => {
                            for (i, value) in list.iter().enumerate() {
                                if i > 0 {
                                    fields.end_field();
                                }
                                self.place(value, quoted, fields);
                            }
                        }
                        None => {
                            let value = self.variable(variable, fds).await?;
                            self.place(&value, quoted, fields);
                        }
                    },
                    Part::Process(read, list) => {
                        let path = self.process(*read, list, fds).await?;
                        fields.push(&path, true);
                    }
                    Part::Bad(text) => {
                        let line = if self.env.dialect == Dialect::Dash {
                            format!("{}: Bad substitution\n", self.complaint())
                        } else {
                            format!("{}: {text}: bad substitution\n", self.complaint())
                        };
                        self.put_err(fds, line.as_bytes());
                        self.status = 1;
                        return Err(Stop::Failed);
                    }
                    Part::Substitution(list) => {
                        let mut value = self.substitute(list, fds).await?;
                        while value.last() == Some(&b'\n') {
                            value.pop();
                        }
                        value.retain(|b| *b != 0);
                        self.place(&value, quoted, fields);
                    }
                    Part::Arithmetic(word) => {
                        let text = self.expand_one(word, fds).await?;
                        let value = self.arithmetic(&text, fds)?;
                        self.place(value.to_string().as_bytes(), quoted, fields);
                    }
                }
            }
            if fields.current.len() > MAX_WORD {
                Err(Stop::Killed)
            } else {
                Ok(())
            }
        })
    }

    /// The value of an expression; a fault in it is told and fails the command.
    pub(super) fn arithmetic(&mut self, text: &[u8], fds: &Fds) -> Result<i64, Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        let mut special = BTreeMap::new();
        for name in [
            "RANDOM",
            "SECONDS",
            "UID",
            "EUID",
            "LINENO",
            "PPID",
            "EPOCHSECONDS",
        ] {
            if text.contains(name)
                && let Some(value) = self.parameter(name)
                && let Ok(value) = String::from_utf8_lossy(&value).parse::<i64>()
            {
                special.insert(name, value);
            }
        }
        match arith::evaluate(&text, &mut self.env, &special) {
            Ok(value) => Ok(value),
            Err(fault) => {
                let message = if self.env.dialect == Dialect::Dash {
                    format!(
                        "{}: arithmetic expression: {}: \"{text}\"\n",
                        self.complaint(),
                        if fault.contains("division") {
                            "division by zero"
                        } else {
                            "expecting primary"
                        }
                    )
                } else {
                    format!("{}: {fault}\n", self.complaint())
                };
                self.put_err(fds, message.as_bytes());
                self.status = if self.env.dialect == Dialect::Dash { 2 } else { 1 };
                Err(Stop::Failed)
            }
        }
    }

    fn ifs(&self) -> Vec<u8> {
        self.env
            .vars
            .get("IFS")
            .map_or_else(|| b" \t\n".to_vec(), |v| v.value.clone())
    }

    fn place(&mut self, value: &[u8], quoted: bool, fields: &mut Fields) {
        if quoted || self.no_split {
            fields.push(value, true);
            if !quoted {
                // An unquoted pattern in `case` or an assignment stays live.
                let from = fields.current.len() - value.len();
                if let Some(tail) = fields.current.get_mut(from..) {
                    tail.iter_mut().for_each(|ch| ch.1 = false);
                }
            }
        } else {
            let ifs = self.ifs();
            fields.push_split(value, &ifs);
        }
    }

    fn tilde(&self, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let end = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
        let (head, rest) = text.split_at(end);
        let name = String::from_utf8_lossy(head.get(1..).unwrap_or_default()).into_owned();
        let home = if name.is_empty() {
            self.env.vars.get("HOME").map(|v| v.value.clone())
        } else {
            self.machine.account(&name).map(|a| a.home.clone().into_bytes())
        };
        home.map_or_else(|| (head.to_vec(), rest.to_vec()), |home| (home, rest.to_vec()))
    }

    /// The value of a parameter without anything done to it; `None` where it is unset.
    pub(super) fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        let text = match name {
            "?" => self.status.to_string(),
            "$" => self.pid.to_string(),
            "!" => self.background_pid?.to_string(),
            "#" => self.env.params.len().to_string(),
            "-" => self.flags(),
            "0" => self.env.arg0.clone(),
            "_" => return Some(self.last_argument.clone()),
            "@" | "*" => return (!self.env.params.is_empty()).then(|| self.env.params.join(&b' ')),
            _ if name.as_bytes().iter().all(u8::is_ascii_digit) => {
                let index: usize = name.parse().ok()?;
                return self.env.params.get(index.checked_sub(1)?).cloned();
            }
            _ => {
                return match self.env.vars.get(name) {
                    Some(var) => match &var.items {
                        Some(vars::Items::Indexed(items)) => items.get(&0).cloned(),
                        Some(vars::Items::Named(items)) => items.get(&b"0"[..]).cloned(),
                        None => Some(var.value.clone()),
                    },
                    None => self.own_variable(name),
                };
            }
        };
        Some(text.into_bytes())
    }

    /// A variable that the shell itself keeps.
    fn own_variable(&self, name: &str) -> Option<Vec<u8>> {
        let bash = self.env.dialect == Dialect::Bash;
        let text = match name {
            "PPID" => (self.pid - 1).to_string(),
            "LINENO" => (self.lines_before + self.line_number.max(1)).to_string(),
            "RANDOM" if self.env.dialect != Dialect::Dash => (self.random() % 32_768).to_string(),
            "SECONDS" if bash => (self.now() - self.started).to_string(),
            "EPOCHSECONDS" if bash => self.now().to_string(),
            "UID" | "EUID" if bash => self.env.uid.to_string(),
            "BASHPID" if bash => (self.pid + self.subshells).to_string(),
            "BASH" if bash => "/bin/bash".to_owned(),
            "BASH_VERSION" if bash => self.machine.distribution.bash().to_owned(),
            "BASHOPTS" if bash => "checkwinsize:cmdhist:complete_fullquote:extquote:force_fignore:globasciiranges:globskipdots:hostcomplete:interactive_comments:patsub_replacement:progcomp:promptvars:sourcepath".to_owned(),
            "HOSTNAME" if bash => self.machine.hostname.clone(),
            "HOSTTYPE" if bash => self.machine.architecture.to_owned(),
            "OSTYPE" if bash => "linux-gnu".to_owned(),
            "MACHTYPE" if bash => format!("{}-pc-linux-gnu", self.machine.architecture),
            "GROUPS" if bash => self.env.gid.to_string(),
            "PIPESTATUS" if bash => self.pipe_status.first()?.to_string(),
            "SHELLOPTS" if bash => "braceexpand:hashall:interactive-comments".to_owned(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// `$-`: each shell's letters in the order in which it has its options.
    fn flags(&self) -> String {
        let options = &self.env.options;
        let argument = self.env.from_argument && !self.interactive;
        let input = (self.env.from_input || self.interactive) && !argument;
        let bash = [
            (options.allexport, 'a'),
            (options.errexit, 'e'),
            (options.noglob, 'f'),
            (true, 'h'),
            (self.interactive, 'i'),
            (self.interactive, 'm'),
            (options.nounset, 'u'),
            (options.xtrace, 'x'),
            (true, 'B'),
            (self.interactive, 'H'),
            (argument, 'c'),
            (input, 's'),
        ];
        let others = [
            (options.nounset, 'u'),
            (options.allexport, 'a'),
            (options.xtrace, 'x'),
            (input, 's'),
            (self.interactive, 'm'),
            (self.interactive, 'i'),
            (options.noglob, 'f'),
            (options.errexit, 'e'),
        ];
        let letters: &[(bool, char)] = match self.env.dialect {
            Dialect::Bash => &bash,
            Dialect::Dash | Dialect::Ash => &others,
        };
        letters
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, letter)| letter)
            .collect()
    }

    /// The values of `$@`, `$*`, `${name[@]}` and their like, and whether quotes join them; `None` for what is one
    /// value.
    async fn many(&mut self, variable: &Variable, fds: &Fds) -> Result<Option<(Vec<Vec<u8>>, bool)>, Stop> {
        let joined = match (&variable.index, variable.name.as_str()) {
            (Some(Index::All(joined)), _) => *joined,
            (None, "@") => false,
            (None, "*") => true,
            (None, prefix) if variable.op == Some(VarOp::Names) => {
                let names = self.env.vars.keys().filter(|n| n.starts_with(prefix));
                return Ok(Some((names.map(|n| n.clone().into_bytes()).collect(), false)));
            }
            _ => return Ok(None),
        };
        let positional = variable.index.is_none();
        let items = if positional {
            let params = self.env.params.iter().cloned();
            params
                .enumerate()
                .map(|(i, p)| ((i + 1).to_string().into_bytes(), p))
                .collect()
        } else if variable.name == "PIPESTATUS" && self.env.dialect == Dialect::Bash {
            let statuses = self.pipe_status.iter().enumerate();
            statuses
                .map(|(i, s)| (i.to_string().into_bytes(), s.to_string().into_bytes()))
                .collect()
        } else {
            self.env.items(&variable.name)
        };
        if variable.indirect {
            return Ok(Some((items.into_iter().map(|(k, _)| k).collect(), joined)));
        }
        let list: Vec<Vec<u8>> = items.iter().map(|(_, v)| v.clone()).collect();
        let list = match &variable.op {
            None => list,
            Some(VarOp::Length) => return Ok(None),
            Some(VarOp::Default(sign, ..)) => {
                if list.is_empty() == (*sign == b'+') {
                    Vec::new()
                } else if *sign == b'+' || list.is_empty() {
                    vec![self.with_op(&variable.name, None, &variable.op, fds).await?]
                } else {
                    list
                }
            }
            Some(VarOp::Slice(offset, length)) => {
                let offset = self.number(offset, fds).await?;
                // Of the positional parameters the first is the shell's own name.
                let all: Vec<(i64, Vec<u8>)> = if positional {
                    std::iter::once(self.env.arg0.clone().into_bytes())
                        .chain(list)
                        .enumerate()
                        .map(|(i, v)| (i64::try_from(i).unwrap_or(0), v))
                        .collect()
                } else {
                    items
                        .iter()
                        .map(|(k, v)| (String::from_utf8_lossy(k).parse().unwrap_or(0), v.clone()))
                        .collect()
                };
                let end = all.last().map_or(0, |(i, _)| i + 1);
                let from = if offset < 0 { end + offset } else { offset };
                let most = match length {
                    Some(length) => usize::try_from(self.number(length, fds).await?).unwrap_or(0),
                    None => usize::MAX,
                };
                all.into_iter()
                    .filter(|(i, _)| *i >= from)
                    .take(most)
                    .map(|(_, v)| v)
                    .collect()
            }
            op => {
                let mut out = Vec::new();
                for value in list {
                    out.push(self.with_op(&variable.name, Some(value), op, fds).await?);
                }
                out
            }
        };
        Ok(Some((list, joined)))
    }

    async fn number(&mut self, word: &Word, fds: &Fds) -> Result<i64, Stop> {
        let text = self.expand_one(word, fds).await?;
        self.arithmetic(&text, fds)
    }

    /// The value of a parameter expansion that is one value.
    async fn variable(&mut self, variable: &Variable, fds: &Fds) -> Result<Vec<u8>, Stop> {
        let name = &variable.name;
        if variable.op == Some(VarOp::Length) {
            let count = match (&variable.index, name.as_str()) {
                (Some(Index::All(_)), "PIPESTATUS") => Some(self.pipe_status.len()),
                (Some(Index::All(_)), _) => Some(self.env.items(name).len()),
                (None, "@" | "*") => Some(self.env.params.len()),
                _ => None,
            };
            if let Some(count) = count {
                return Ok(count.to_string().into_bytes());
            }
        }
        let mut value = match &variable.index {
            Some(Index::At(index)) => {
                let key = self.key(name, index, fds).await?;
                match (&key, name.as_str()) {
                    (Key::Number(n), "PIPESTATUS") => usize::try_from(*n)
                        .ok()
                        .and_then(|n| self.pipe_status.get(n))
                        .map(|s| s.to_string().into_bytes()),
                    (Key::Number(n), "BASH_VERSINFO") => {
                        let version = self.machine.distribution.bash();
                        version
                            .split(['.', '(', ')'])
                            .nth(usize::try_from(*n).unwrap_or(usize::MAX))
                            .map(|part| part.as_bytes().to_vec())
                    }
                    _ => self.env.item(name, &key),
                }
            }
            _ => self.parameter(name),
        };
        if variable.indirect {
            let target = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
            value = match target
                .split_once('[')
                .and_then(|(n, k)| Some((n, k.strip_suffix(']')?)))
            {
                Some((name, key)) => {
                    let key = match key.parse() {
                        Ok(number) if !self.env.is_named(name) => Key::Number(number),
                        _ => Key::Name(key.as_bytes().to_vec()),
                    };
                    self.env.item(name, &key)
                }
                None => self.parameter(&target),
            };
        }
        let unset_matters = !matches!(variable.op, Some(VarOp::Default(..)));
        if value.is_none() && self.env.options.nounset && unset_matters && !matches!(name.as_str(), "@" | "*")
        {
            let fault = if self.env.dialect == Dialect::Bash {
                "unbound variable"
            } else {
                "parameter not set"
            };
            let line = format!("{}: {name}: {fault}\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            self.status = if self.env.dialect == Dialect::Bash { 1 } else { 2 };
            if self.env.from_argument && self.env.dialect == Dialect::Bash {
                self.status = 127;
            }
            return Err(if self.interactive {
                Stop::Failed
            } else {
                Stop::Exit
            });
        }
        self.with_op(name, value, &variable.op, fds).await
    }

    /// A value with what is done to it.
    async fn with_op(
        &mut self,
        name: &str,
        value: Option<Vec<u8>>,
        op: &Option<VarOp>,
        fds: &Fds,
    ) -> Result<Vec<u8>, Stop> {
        let Some(op) = op else {
            return Ok(value.unwrap_or_default());
        };
        Ok(match op {
            VarOp::Length => {
                let value = value.unwrap_or_default();
                String::from_utf8_lossy(&value)
                    .chars()
                    .count()
                    .to_string()
                    .into_bytes()
            }
            VarOp::Default(sign, empty_counts, word) => {
                let missing = value.as_ref().is_none_or(|v| *empty_counts && v.is_empty());
                match (sign, missing) {
                    (b'+', true) => Vec::new(),
                    (b'+', false) | (b'-', true) => self.expand_one(word, fds).await?,
                    (b'=', true) => {
                        let new = self.expand_one(word, fds).await?;
                        self.env.set(name, new.clone());
                        new
                    }
                    (b'?', true) => {
                        let mut text = self.expand_one(word, fds).await?;
                        if text.is_empty() {
                            text = match (self.env.dialect, empty_counts) {
                                (Dialect::Bash, true) => b"parameter null or not set".to_vec(),
                                (Dialect::Bash, false) => b"parameter not set".to_vec(),
                                (_, true) => b"parameter not set or null".to_vec(),
                                (_, false) => b"parameter not set".to_vec(),
                            };
                        }
                        let mut message = format!("{}: {name}: ", self.complaint()).into_bytes();
                        message.extend_from_slice(&text);
                        message.push(b'\n');
                        self.put_err(fds, &message);
                        self.status = match self.env.dialect {
                            _ if self.interactive => 1,
                            Dialect::Bash if self.env.from_argument => 127,
                            Dialect::Bash => 1,
                            _ => 2,
                        };
                        return Err(if self.interactive {
                            Stop::Failed
                        } else {
                            Stop::Exit
                        });
                    }
                    _ => value.unwrap_or_default(),
                }
            }
            VarOp::Trim {
                suffix,
                longest,
                pattern,
            } => {
                let pattern = self.expand_pattern(pattern, fds).await?;
                glob::trim(&value.unwrap_or_default(), &pattern, *suffix, *longest).to_vec()
            }
            VarOp::Replace { how, pattern, text } => {
                let pattern = self.expand_pattern(pattern, fds).await?;
                let text = self.expand_one(text, fds).await?;
                glob::replace(&value.unwrap_or_default(), &pattern, &text, *how)
            }
            VarOp::Slice(offset, length) => {
                let value = value.unwrap_or_default();
                let text = String::from_utf8_lossy(&value).into_owned();
                let offset = self.number(offset, fds).await?;
                let total = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                let from = if offset < 0 { total + offset } else { offset };
                if from < 0 || from > total {
                    return Ok(Vec::new());
                }
                let to = match length {
                    Some(length) => {
                        let length = self.number(length, fds).await?;
                        if length < 0 {
                            total + length
                        } else {
                            from.saturating_add(length)
                        }
                    }
                    None => total,
                }
                .clamp(from, total);
                let (from, count) = (
                    usize::try_from(from).unwrap_or(0),
                    usize::try_from(to - from).unwrap_or(0),
                );
                let part: String = text.chars().skip(from).take(count).collect();
                part.into_bytes()
            }
            VarOp::Case { upper, all } => {
                let value = value.unwrap_or_default();
                let text = String::from_utf8_lossy(&value);
                let turned = |c: char| -> String {
                    if *upper {
                        c.to_uppercase().collect()
                    } else {
                        c.to_lowercase().collect()
                    }
                };
                let cased: String = text
                    .chars()
                    .enumerate()
                    .map(|(i, c)| if *all || i == 0 { turned(c) } else { c.to_string() })
                    .collect();
                cased.into_bytes()
            }
            VarOp::Transform(letter) => match (letter, value) {
                (_, None) => Vec::new(),
                (b'Q', Some(value)) => {
                    if value.iter().any(|b| *b < 32 || *b == 127) {
                        vars::quoted(&value)
                    } else {
                        vars::single_quoted(&value)
                    }
                }
                (b'U', Some(value)) => String::from_utf8_lossy(&value).to_uppercase().into_bytes(),
                (b'L', Some(value)) => String::from_utf8_lossy(&value).to_lowercase().into_bytes(),
                (b'u', Some(value)) => {
                    let text = String::from_utf8_lossy(&value);
                    let mut chars = text.chars();
                    let first: String = chars
                        .next()
                        .map(|c| c.to_uppercase().collect())
                        .unwrap_or_default();
                    format!("{first}{}", chars.as_str()).into_bytes()
                }
                (b'E', Some(value)) => super::parse::unescape(&value, super::parse::Escapes::Ansi).0,
                (b'a', Some(_)) => self.attributes(name).into_bytes(),
                (b'A', Some(value)) => {
                    [name.as_bytes(), b"=", vars::single_quoted(&value).as_slice()].concat()
                }
                (_, Some(value)) => value,
            },
            // Taken care of where the names are listed.
            VarOp::Names => Vec::new(),
        })
    }

    /// The letters of `declare` that hold for a variable.
    pub(super) fn attributes(&self, name: &str) -> String {
        let Some(var) = self.env.vars.get(name) else {
            return String::new();
        };
        let mut out = String::new();
        match var.items {
            Some(vars::Items::Indexed(_)) => out.push('a'),
            Some(vars::Items::Named(_)) => out.push('A'),
            None => {}
        }
        for (on, letter) in [(var.integer, 'i'), (var.readonly, 'r'), (var.exported, 'x')] {
            if on {
                out.push(letter);
            }
        }
        out
    }

    /// Add what a field matches in the file system, or the field itself where it matches nothing.
    fn path_names(&self, field: &[Ch], out: &mut Vec<Vec<u8>>) {
        let plain = || field.iter().map(|(b, _)| *b).collect::<Vec<u8>>();
        let live = |(b, quoted): &Ch| !quoted && matches!(b, b'*' | b'?' | b'[');
        if self.env.options.noglob || !field.iter().any(live) {
            out.push(plain());
            return;
        }
        let text = String::from_utf8_lossy(&pattern(field)).into_owned();
        let mut found: Vec<String> = vec![if text.starts_with('/') {
            "/".to_owned()
        } else {
            String::new()
        }];
        for part in text.split('/').filter(|p| !p.is_empty()) {
            let mut next = Vec::new();
            for above in &found {
                let join = |name: &str| {
                    if above.is_empty() || above.ends_with('/') {
                        format!("{above}{name}")
                    } else {
                        format!("{above}/{name}")
                    }
                };
                if !part.contains(['*', '?', '[']) {
                    let name = part.replace('\\', "");
                    let path = join(&name);
                    if self.vfs.lstat(self.who(), &self.env.cwd, &path).is_ok() {
                        next.push(path);
                    }
                    continue;
                }
                let dir = if above.is_empty() { "." } else { above.as_str() };
                for (name, _) in self.vfs.list(self.who(), &self.env.cwd, dir).unwrap_or_default() {
                    if (!name.starts_with('.') || part.starts_with('.'))
                        && glob::matches(part.as_bytes(), name.as_bytes())
                    {
                        next.push(join(&name));
                    }
                }
                if next.len() > MAX_FIELDS {
                    break;
                }
            }
            found = next;
        }
        if found.is_empty() {
            out.push(plain());
        } else {
            out.extend(found.into_iter().map(String::into_bytes));
        }
    }
}

/// Whether a word begins as `name=` does.
fn is_assignment(word: &Word) -> bool {
    let Some(Part::Text(text)) = word.0.first() else {
        return false;
    };
    let name = text
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    name > 0 && matches!(text.get(name..), Some([b'=', ..] | [b'+', b'=', ..]))
}

/// A field as a pattern: protected bytes that would be special are escaped.
fn pattern(field: &[Ch]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    for (b, quoted) in field {
        if *quoted && matches!(b, b'*' | b'?' | b'[' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out
}

/// `a{b,c}d` as `abd acd`, `{1..3}` as `1 2 3`; a word without braces as itself.
fn braces(word: &Word) -> Vec<Word> {
    let mut done = Vec::new();
    let mut todo = vec![word.clone()];
    while let Some(word) = todo.pop() {
        let split = word.0.iter().enumerate().find_map(|(i, part)| match part {
            Part::Text(text) => brace(text).map(|alternatives| (i, alternatives)),
            _ => None,
        });
        match split {
            Some((i, alternatives)) if todo.len() + alternatives.len() < 1_000 => {
                for text in alternatives.into_iter().rev() {
                    let mut parts = word.0.clone();
                    if let Some(part) = parts.get_mut(i) {
                        *part = Part::Text(text);
                    }
                    todo.push(Word(parts));
                }
            }
            _ => done.push(word),
        }
        if done.len() > MAX_FIELDS {
            break;
        }
    }
    done
}

/// The alternatives of the first brace expression of a text.
fn brace(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.iter().position(|b| *b == b'{')?;
        let mut depth = 0_usize;
        let mut cuts = vec![open];
        let mut close = None;
        for (i, b) in text.iter().enumerate().skip(open + 1) {
            match b {
                b'{' => depth += 1,
                b'}' if depth == 0 => {
                    close = Some(i);
                    break;
                }
                b'}' => depth -= 1,
                b',' if depth == 0 => cuts.push(i),
                _ => {}
            }
        }
        let Some(close) = close else {
            from = open + 1;
            continue;
        };
        let inner = text.get(open + 1..close)?;
        let items: Vec<Vec<u8>> = if cuts.len() > 1 {
            cuts.push(close);
            cuts.windows(2)
                .filter_map(|w| Some(text.get(w.first()? + 1..*w.get(1)?)?.to_vec()))
                .collect()
        } else if let Some(items) = sequence(inner) {
            items
        } else {
            from = open + 1;
            continue;
        };
        let (head, tail) = (text.get(..open)?, text.get(close + 1..)?);
        return Some(
            items
                .into_iter()
                .map(|item| [head, &item, tail].concat())
                .collect(),
        );
    }
}

/// `1..5`, `5..1`, `a..e`, with a step as third; at most a thousand items.
fn sequence(inner: &[u8]) -> Option<Vec<Vec<u8>>> {
    let inner = std::str::from_utf8(inner).ok()?;
    let mut parts = inner.split("..");
    let (from, to, step) = (parts.next()?, parts.next()?, parts.next());
    let step: i64 = step.map_or(Some(1), |s| s.parse().ok())?;
    let step = step.checked_abs()?.max(1);
    let letter = |s: &str| {
        (s.len() == 1 && s.as_bytes().first()?.is_ascii_alphabetic())
            .then(|| s.bytes().next())
            .flatten()
    };
    let (start, end, letters) = match (from.parse::<i64>(), to.parse::<i64>(), letter(from), letter(to)) {
        (Ok(a), Ok(b), ..) => (a, b, false),
        (_, _, Some(a), Some(b)) => (i64::from(a), i64::from(b), true),
        _ => return None,
    };
    let width = if from.starts_with('0') && from.len() > 1 {
        from.len()
    } else {
        0
    };
    let mut out = Vec::new();
    let mut at = start;
    while if start <= end { at <= end } else { at >= end } {
        out.push(if letters {
            vec![u8::try_from(at).ok()?]
        } else {
            format!("{at:0width$}").into_bytes()
        });
        if out.len() >= 1_000 {
            break;
        }
        at = if start <= end {
            at.checked_add(step)?
        } else {
            at.checked_sub(step)?
        };
    }
    Some(out)
}
