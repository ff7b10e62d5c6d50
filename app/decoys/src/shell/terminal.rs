//! The terminal's side of a shell with a pty: a line editor after readline's defaults. Bytes of keys in; echo and
//! finished lines out. It knows no protocol.

/// The longest line, as the kernel's canonical mode has it (N_TTY_BUF_SIZE).
const MAX_LINE: usize = 4_095;

/// What a key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A line is finished.
    Line(Vec<u8>),
    /// `^C`.
    Interrupt,
    /// `^D` on an empty line.
    End,
    /// Tab: what stands before the cursor is to be completed.
    Complete,
}

/// Who reads the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A shell, through readline.
    Line,
    /// A program, through the kernel: only erasing and ending are special.
    Plain,
    /// The same without echo.
    Secret,
}

/// A line while it is typed.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    line: Vec<char>,
    cursor: usize,
    escape: Vec<u8>,
    utf8: Vec<u8>,
    killed: Vec<char>,
    history_at: Option<usize>,
    draft: Vec<char>,
    after_return: bool,
    /// What stands before the line.
    prompt: String,
    /// Columns of the terminal; 0 where they are not known.
    columns: usize,
    /// `^R`: what is looked for, and how many hits back.
    search: Option<(String, usize)>,
}

impl Editor {
    /// A new line behind `prompt` on a terminal of so many columns.
    pub(crate) fn begin(&mut self, prompt: &str, columns: u32) {
        // What comes before the last line break is not part of the line that is edited.
        self.prompt = prompt.rsplit('\n').next().unwrap_or_default().to_owned();
        self.columns = usize::try_from(columns).unwrap_or(0);
    }

    /// The terminal has another width: show the line again, as readline does on SIGWINCH.
    pub(crate) fn resize(&mut self, columns: u32, out: &mut Vec<u8>) {
        if !self.line.is_empty() || !self.prompt.is_empty() {
            self.go(self.cursor, 0, out);
            out.push(b'\r');
            self.columns = usize::try_from(columns).unwrap_or(0);
            out.extend_from_slice(b"\x1b[J");
            self.show(out);
        }
        self.columns = usize::try_from(columns).unwrap_or(0);
    }

    /// The prompt and the line, with the cursor in its place.
    fn show(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prompt.as_bytes());
        let text: String = self.line.iter().collect();
        out.extend_from_slice(text.as_bytes());
        self.settle(out);
        self.go(self.line.len(), self.cursor, out);
    }

    /// Columns that the prompt takes: without what only steers the terminal.
    fn margin(&self) -> usize {
        let mut width = 0;
        let mut it = self.prompt.chars();
        while let Some(c) = it.next() {
            match c {
                '\x1b' => {
                    let title = it.next() == Some(']');
                    for c in it.by_ref() {
                        if (title && c == '\x07') || (!title && (c.is_ascii_alphabetic())) {
                            break;
                        }
                    }
                }
                c if c.is_control() => {}
                _ => width += 1,
            }
        }
        width
    }

    /// Whether the line (or one of `len` characters) goes over the terminal's edge.
    fn wraps(&self, len: usize) -> bool {
        self.columns > 0 && self.margin() + len >= self.columns
    }

    /// At the very edge the terminal waits with the next row; this makes it go there.
    fn settle(&self, out: &mut Vec<u8>) {
        let end = self.margin() + self.line.len();
        if self.columns > 0 && end > 0 && end.is_multiple_of(self.columns) {
            out.extend_from_slice(b" \r");
        }
    }

    /// Move the cursor between two places of the line.
    fn go(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        if from == to {
            return;
        }
        let margin = self.margin();
        if !self.wraps(from.max(to)) {
            if to < from {
                out.extend(std::iter::repeat_n(8, from - to));
            } else {
                let text: String = self.line.iter().skip(from).take(to - from).collect();
                out.extend_from_slice(text.as_bytes());
            }
            return;
        }
        let (above, below) = ((margin + from) / self.columns, (margin + to) / self.columns);
        if below < above {
            out.extend_from_slice(format!("\x1b[{}A", above - below).as_bytes());
        } else if below > above {
            out.extend_from_slice(format!("\x1b[{}B", below - above).as_bytes());
        }
        let column = (margin + to) % self.columns;
        out.push(b'\r');
        if column > 0 {
            out.extend_from_slice(format!("\x1b[{column}C").as_bytes());
        }
    }

    /// Take one byte. What is echoed goes to `out`; `history` is what the arrows walk through.
    pub(crate) fn key(&mut self, byte: u8, mode: Mode, history: &[String], out: &mut Vec<u8>) -> Option<Key> {
        let echo = mode != Mode::Secret;
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == b'\n' && after_return {
            return None;
        }
        if mode != Mode::Line {
            return self.plain_key(byte, echo, out);
        }
        if self.search.is_some() && !self.search_key(byte, history, out) {
            return None;
        }
        if !self.escape.is_empty() {
            self.escaped(byte, history, out);
            return None;
        }
        match byte {
            b'\r' | b'\n' => {
                self.go(self.cursor, self.line.len(), out);
                out.extend_from_slice(b"\r\n");
                Some(Key::Line(self.take()))
            }
            3 => {
                out.extend_from_slice(b"^C\r\n");
                self.take();
                Some(Key::Interrupt)
            }
            4 if self.line.is_empty() => Some(Key::End),
            b'\t' => Some(Key::Complete),
            18 => {
                self.search = Some((String::new(), 0));
                self.show_search(history, out);
                None
            }
            27 => {
                self.escape.push(27);
                None
            }
            _ => {
                self.edit(byte, history, out);
                None
            }
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let line: String = std::mem::take(&mut self.line).into_iter().collect();
        (self.cursor, self.history_at) = (0, None);
        self.escape.clear();
        line.into_bytes()
    }

    /// A key for a program that reads lines: the kernel edits (termios(3), canonical mode).
    fn plain_key(&mut self, byte: u8, echo: bool, out: &mut Vec<u8>) -> Option<Key> {
        let rub = |count: usize, out: &mut Vec<u8>| {
            if echo {
                for _ in 0..count {
                    out.extend_from_slice(b"\x08 \x08");
                }
            }
        };
        let wide = |c: &char| if c.is_control() { 2 } else { 1 };
        match byte {
            b'\r' | b'\n' => {
                if echo {
                    out.extend_from_slice(b"\r\n");
                }
                return Some(Key::Line(self.take()));
            }
            3 => {
                out.extend_from_slice(b"^C\r\n");
                self.take();
                return Some(Key::Interrupt);
            }
            4 if self.line.is_empty() => return Some(Key::End),
            4 => {}
            8 | 127 => {
                let gone = self.line.pop();
                rub(gone.iter().map(wide).sum(), out);
            }
            21 => {
                let count = self.line.iter().map(wide).sum();
                self.line.clear();
                rub(count, out);
            }
            23 => {
                let mut count = 0;
                while self.line.last().is_some_and(|c| c.is_whitespace()) {
                    count += self.line.pop().iter().map(wide).sum::<usize>();
                }
                while self.line.last().is_some_and(|c| !c.is_whitespace()) {
                    count += self.line.pop().iter().map(wide).sum::<usize>();
                }
                rub(count, out);
            }
            _ => {
                self.utf8.push(byte);
                let text = match std::str::from_utf8(&self.utf8) {
                    Ok(text) => text.to_owned(),
                    Err(fault) if fault.error_len().is_none() && self.utf8.len() <= 4 => return None,
                    Err(_) => "\u{fffd}".to_owned(),
                };
                self.utf8.clear();
                for c in text.chars() {
                    if self.line.len() < MAX_LINE {
                        self.line.push(c);
                        if echo && c.is_control() && c != '\t' {
                            let shown = u8::try_from(u32::from(c)).unwrap_or(0) ^ 64;
                            out.extend_from_slice(&[b'^', shown]);
                        } else if echo {
                            out.extend_from_slice(c.to_string().as_bytes());
                        }
                    }
                }
            }
        }
        self.cursor = self.line.len();
        None
    }

    /// The newest line of the history that the search finds.
    fn searched(&self, history: &[String]) -> Option<String> {
        let (query, back) = self.search.as_ref()?;
        if query.is_empty() {
            return None;
        }
        history
            .iter()
            .rev()
            .filter(|line| line.contains(query.as_str()))
            .nth(*back)
            .cloned()
    }

    fn show_search(&self, history: &[String], out: &mut Vec<u8>) {
        let Some((query, _)) = &self.search else { return };
        let found = self.searched(history).unwrap_or_default();
        out.extend_from_slice(format!("\r\x1b[K(reverse-i-search)`{query}': {found}").as_bytes());
    }

    /// A key while the history is searched; true where it ends the search and is to be taken itself.
    fn search_key(&mut self, byte: u8, history: &[String], out: &mut Vec<u8>) -> bool {
        let Some((query, back)) = &mut self.search else {
            return true;
        };
        match byte {
            18 => *back += 1,
            8 | 127 => {
                query.pop();
                *back = 0;
            }
            32..=126 if query.len() < 200 => {
                query.push(char::from(byte));
                *back = 0;
            }
            7 | 3 => {
                self.search = None;
                out.extend_from_slice(b"\r\x1b[K");
                self.show(out);
                return byte == 3;
            }
            _ => {
                if let Some(found) = self.searched(history) {
                    self.line = found.chars().collect();
                    self.cursor = self.line.len();
                }
                self.search = None;
                out.extend_from_slice(b"\r\x1b[K");
                self.show(out);
                return true;
            }
        }
        if self.searched(history).is_none() && *self.search.as_ref().map_or(&0, |s| &s.1) > 0 {
            if let Some((_, back)) = &mut self.search {
                *back -= 1;
            }
            out.push(7);
        }
        self.show_search(history, out);
        false
    }

    fn edit(&mut self, byte: u8, history: &[String], out: &mut Vec<u8>) {
        let before = (self.cursor, self.line.clone());
        match byte {
            8 | 127 if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            8 | 127 => return,
            1 => self.cursor = 0,
            2 => self.cursor = self.cursor.saturating_sub(1),
            4 if self.cursor < self.line.len() => {
                self.line.remove(self.cursor);
            }
            5 => self.cursor = self.line.len(),
            6 => self.cursor = (self.cursor + 1).min(self.line.len()),
            11 => self.killed = self.line.split_off(self.cursor),
            12 => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                return self.show(out);
            }
            20 if self.line.len() > 1 && self.cursor > 0 => {
                let at = self.cursor.min(self.line.len() - 1);
                self.line.swap(at - 1, at);
                self.cursor = at + 1;
            }
            14 | 16 => return self.walk(byte == 16, history, out),
            21 => {
                self.killed = self.line.drain(..self.cursor).collect();
                self.cursor = 0;
            }
            23 => {
                let mut from = self.cursor;
                while from > 0 && self.line.get(from - 1).is_some_and(|c| c.is_whitespace()) {
                    from -= 1;
                }
                while from > 0 && self.line.get(from - 1).is_some_and(|c| !c.is_whitespace()) {
                    from -= 1;
                }
                self.killed = self.line.drain(from..self.cursor).collect();
                self.cursor = from;
            }
            25 => {
                let text = self.killed.clone();
                self.insert_chars(&text);
            }
            0..=31 => return,
            _ => {
                self.utf8.push(byte);
                match std::str::from_utf8(&self.utf8) {
                    Ok(text) => {
                        let chars: Vec<char> = text.chars().collect();
                        self.utf8.clear();
                        self.insert_chars(&chars);
                    }
                    Err(fault) if fault.error_len().is_some() || self.utf8.len() > 4 => {
                        self.utf8.clear();
                        self.insert_chars(&['\u{fffd}']);
                    }
                    Err(_) => return,
                }
            }
        }
        self.redraw(&before, out);
    }

    fn insert_chars(&mut self, chars: &[char]) {
        for c in chars {
            if self.line.len() < MAX_LINE {
                self.line.insert(self.cursor, *c);
                self.cursor += 1;
            }
        }
    }

    fn escaped(&mut self, byte: u8, history: &[String], out: &mut Vec<u8>) {
        self.escape.push(byte);
        let done = match self.escape.as_slice() {
            [27, b'[' | b'O'] => false,
            [27, b'[' | b'O', .., last] => {
                last.is_ascii_alphabetic() || *last == b'~' || self.escape.len() > 8
            }
            _ => true,
        };
        if !done {
            return;
        }
        let sequence = std::mem::take(&mut self.escape);
        let before = (self.cursor, self.line.clone());
        match sequence.get(1..).unwrap_or_default() {
            b"[A" | b"OA" => self.edit(16, history, out),
            b"[B" | b"OB" => self.edit(14, history, out),
            b"[C" | b"OC" => self.edit(6, history, out),
            b"[D" | b"OD" => self.edit(2, history, out),
            b"[H" | b"OH" | b"[1~" => self.edit(1, history, out),
            b"[F" | b"OF" | b"[4~" => self.edit(5, history, out),
            b"[3~" => self.edit(4, history, out),
            b"b" | b"[1;5D" => {
                self.cursor = self.word_before();
                self.redraw(&before, out);
            }
            b"f" | b"[1;5C" => {
                self.cursor = self.word_after();
                self.redraw(&before, out);
            }
            b"d" => {
                let to = self.word_after();
                self.killed = self.line.drain(self.cursor..to).collect();
                self.redraw(&before, out);
            }
            b"\x7f" | b"\x08" => {
                let from = self.word_before();
                self.killed = self.line.drain(from..self.cursor).collect();
                self.cursor = from;
                self.redraw(&before, out);
            }
            b"." => {
                let last = history.last().and_then(|l| l.split_whitespace().last());
                let last: Vec<char> = last.unwrap_or_default().chars().collect();
                self.insert_chars(&last);
                self.redraw(&before, out);
            }
            _ => {}
        }
    }

    fn word_before(&self) -> usize {
        let is_word = |i: usize| self.line.get(i).is_some_and(|c| c.is_alphanumeric());
        let mut at = self.cursor;
        while at > 0 && !is_word(at - 1) {
            at -= 1;
        }
        while at > 0 && is_word(at - 1) {
            at -= 1;
        }
        at
    }

    fn word_after(&self) -> usize {
        let is_word = |i: usize| self.line.get(i).is_some_and(|c| c.is_alphanumeric());
        let mut at = self.cursor;
        while at < self.line.len() && !is_word(at) {
            at += 1;
        }
        while at < self.line.len() && is_word(at) {
            at += 1;
        }
        at
    }

    fn walk(&mut self, up: bool, history: &[String], out: &mut Vec<u8>) {
        let at = match (self.history_at, up) {
            (None, true) => {
                self.draft.clone_from(&self.line);
                history.len().checked_sub(1)
            }
            (Some(at), true) => Some(at.saturating_sub(1)),
            (Some(at), false) => (at + 1 < history.len()).then_some(at + 1),
            (None, false) => {
                out.push(7);
                return;
            }
        };
        if up && (at.is_none() || at == self.history_at) {
            out.push(7);
        }
        let before = (self.cursor, self.line.clone());
        self.line = match at.and_then(|at| history.get(at)) {
            Some(line) => line.chars().collect(),
            None => self.draft.clone(),
        };
        self.history_at = at;
        self.cursor = self.line.len();
        self.redraw(&before, out);
    }

    /// What stands before the cursor.
    pub(crate) fn before_cursor(&self) -> String {
        self.line.iter().take(self.cursor).collect()
    }

    /// The whole line.
    pub(crate) fn text(&self) -> String {
        self.line.iter().collect()
    }

    /// Put text in at the cursor: a completion.
    pub(crate) fn insert(&mut self, text: &str, out: &mut Vec<u8>) {
        let before = (self.cursor, self.line.clone());
        let chars: Vec<char> = text.chars().collect();
        self.insert_chars(&chars);
        self.redraw(&before, out);
    }

    /// Make the screen show the line where the one before stood.
    fn redraw(&self, before: &(usize, Vec<char>), out: &mut Vec<u8>) {
        let (old_cursor, old) = before;
        if *old == self.line {
            return self.go(*old_cursor, self.cursor, out);
        }
        let same = old.iter().zip(&self.line).take_while(|(a, b)| a == b).count();
        let shared = same.min(*old_cursor);
        self.go(*old_cursor, shared, out);
        let tail: String = self.line.iter().skip(shared).collect();
        out.extend_from_slice(tail.as_bytes());
        self.settle(out);
        if old.len() > self.line.len() {
            out.extend_from_slice(if self.wraps(old.len()) {
                b"\x1b[J"
            } else {
                b"\x1b[K"
            });
        }
        self.go(self.line.len(), self.cursor, out);
    }
}
