//! From words to arguments: braces, tilde, parameters, substitution, arithmetic, field splitting and path names, in
//! the order of POSIX.1-2017 XCU 2.6.

use super::{
    arith, glob,
    parse::{Part, VarOp, Variable, Word},
    run::{Fds, Shell, Stop},
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
        for word in words {
            for word in braces(word) {
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
                        let only_at = inner
                            .iter()
                            .all(|p| matches!(p, Part::Variable(v) if v.name == "@"));
                        if !only_at {
                            fields.exists = true;
                        }
                        self.expand_parts(inner, fds, true, fields).await?;
                    }
                    Part::Variable(variable) if variable.name == "@" && variable.op.is_none() && quoted => {
                        let params = self.env.params.clone();
                        for (i, param) in params.iter().enumerate() {
                            if i > 0 {
                                fields.end_field();
                            }
                            fields.push(param, true);
                        }
                    }
                    Part::Variable(variable) => {
                        let value = self.variable(variable, fds, quoted).await?;
                        self.place(&value, quoted, fields);
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
        match arith::evaluate(&text, &mut self.env.vars) {
            Ok(value) => Ok(value),
            Err(fault) => {
                let message = format!("{}: {fault}\n", self.complaint());
                self.put_err(fds, message.as_bytes());
                self.status = 1;
                Err(Stop::Failed)
            }
        }
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
            let ifs = self
                .env
                .vars
                .get("IFS")
                .map_or_else(|| b" \t\n".to_vec(), |v| v.value.clone());
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
            "!" => self.background_pid.map(|p| p.to_string()).unwrap_or_default(),
            "#" => self.env.params.len().to_string(),
            "-" => if self.interactive { "himBHs" } else { "hBc" }.to_owned(),
            "0" => self.env.arg0.clone(),
            "@" | "*" => return (!self.env.params.is_empty()).then(|| self.env.params.join(&b' ')),
            "RANDOM" => (self.random() % 32_768).to_string(),
            "SECONDS" => (self.now() - self.started).to_string(),
            "PPID" => (self.pid - 1).to_string(),
            "UID" | "EUID" => self.env.uid.to_string(),
            _ if name.as_bytes().iter().all(u8::is_ascii_digit) => {
                let index: usize = name.parse().ok()?;
                return self.env.params.get(index.checked_sub(1)?).cloned();
            }
            _ => return self.env.vars.get(name).map(|v| v.value.clone()),
        };
        Some(text.into_bytes())
    }

    async fn variable(&mut self, variable: &Variable, fds: &Fds, quoted: bool) -> Result<Vec<u8>, Stop> {
        let value = self.parameter(&variable.name);
        let Some(op) = &variable.op else {
            return Ok(value.unwrap_or_default());
        };
        Ok(match op {
            VarOp::Length if matches!(variable.name.as_str(), "@" | "*") => {
                self.env.params.len().to_string().into_bytes()
            }
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
                        self.env.set(&variable.name, new.clone());
                        new
                    }
                    (b'?', true) => {
                        let mut text = self.expand_one(word, fds).await?;
                        if text.is_empty() {
                            text = b"parameter null or not set".to_vec();
                        }
                        let mut message = format!("{}: {}: ", self.complaint(), variable.name).into_bytes();
                        message.extend_from_slice(&text);
                        message.push(b'\n');
                        self.put_err(fds, &message);
                        self.status = if self.interactive { 1 } else { 127 };
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
            VarOp::Replace { all, pattern, text } => {
                let pattern = self.expand_pattern(pattern, fds).await?;
                let text = self.expand_one(text, fds).await?;
                glob::replace(&value.unwrap_or_default(), &pattern, &text, *all)
            }
            VarOp::Slice(offset, length) => {
                let value = value.unwrap_or_default();
                let offset = self.expand_one(offset, fds).await?;
                let offset = self.arithmetic(&offset, fds)?;
                let total = i64::try_from(value.len()).unwrap_or(i64::MAX);
                let from = if offset < 0 { total + offset } else { offset }.clamp(0, total);
                let to = match length {
                    Some(length) => {
                        let length = self.expand_one(length, fds).await?;
                        let length = self.arithmetic(&length, fds)?;
                        if length < 0 {
                            total + length
                        } else {
                            from.saturating_add(length)
                        }
                    }
                    None => total,
                }
                .clamp(from, total);
                let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
                value.get(range).unwrap_or_default().to_vec()
            }
            VarOp::Case { upper } => {
                let mut value = value.unwrap_or_default();
                if *upper {
                    value.make_ascii_uppercase()
                } else {
                    value.make_ascii_lowercase()
                }
                let _ = quoted;
                value
            }
        })
    }

    /// Add what a field matches in the file system, or the field itself where it matches nothing.
    fn path_names(&self, field: &[Ch], out: &mut Vec<Vec<u8>>) {
        let plain = || field.iter().map(|(b, _)| *b).collect::<Vec<u8>>();
        if !field
            .iter()
            .any(|(b, quoted)| !quoted && matches!(b, b'*' | b'?' | b'['))
        {
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
