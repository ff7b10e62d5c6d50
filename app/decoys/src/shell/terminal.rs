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
}

impl Editor {
    /// Take one byte. Echo goes to `out` where `echo`; `history` is what the arrows walk through.
    pub(crate) fn key(&mut self, byte: u8, echo: bool, history: &[String], out: &mut Vec<u8>) -> Option<Key> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if !self.escape.is_empty() {
            self.escaped(byte, echo, history, out);
            return None;
        }
        match byte {
            b'\n' if after_return => None,
            b'\r' | b'\n' => {
                if echo {
                    out.extend_from_slice(b"\r\n");
                }
                let line: String = std::mem::take(&mut self.line).into_iter().collect();
                (self.cursor, self.history_at) = (0, None);
                Some(Key::Line(line.into_bytes()))
            }
            3 => {
                if echo {
                    out.extend_from_slice(b"^C\r\n");
                }
                self.line.clear();
                (self.cursor, self.history_at) = (0, None);
                Some(Key::Interrupt)
            }
            4 if self.line.is_empty() => Some(Key::End),
            b'\t' if echo => Some(Key::Complete),
            27 => {
                self.escape.push(27);
                None
            }
            _ => {
                self.edit(byte, echo, history, out);
                None
            }
        }
    }

    fn edit(&mut self, byte: u8, echo: bool, history: &[String], out: &mut Vec<u8>) {
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
                if echo {
                    out.extend_from_slice(b"\x1b[H\x1b[2J");
                }
            }
            14 | 16 => return self.walk(byte == 16, echo, history, out),
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
        if echo {
            redraw(&before, (self.cursor, &self.line), out);
        }
    }

    fn insert_chars(&mut self, chars: &[char]) {
        for c in chars {
            if self.line.len() < MAX_LINE {
                self.line.insert(self.cursor, *c);
                self.cursor += 1;
            }
        }
    }

    fn escaped(&mut self, byte: u8, echo: bool, history: &[String], out: &mut Vec<u8>) {
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
        match sequence.get(1..).unwrap_or_default() {
            b"[A" | b"OA" => self.edit(16, echo, history, out),
            b"[B" | b"OB" => self.edit(14, echo, history, out),
            b"[C" | b"OC" => self.edit(6, echo, history, out),
            b"[D" | b"OD" => self.edit(2, echo, history, out),
            b"[H" | b"OH" | b"[1~" => self.edit(1, echo, history, out),
            b"[F" | b"OF" | b"[4~" => self.edit(5, echo, history, out),
            b"[3~" => self.edit(4, echo, history, out),
            _ => {}
        }
    }

    fn walk(&mut self, up: bool, echo: bool, history: &[String], out: &mut Vec<u8>) {
        let at = match (self.history_at, up) {
            (None, true) => {
                self.draft.clone_from(&self.line);
                history.len().checked_sub(1)
            }
            (Some(at), true) => Some(at.saturating_sub(1)),
            (Some(at), false) => (at + 1 < history.len()).then_some(at + 1),
            (None, false) => return,
        };
        let before = (self.cursor, self.line.clone());
        self.line = match at.and_then(|at| history.get(at)) {
            Some(line) => line.chars().collect(),
            None => self.draft.clone(),
        };
        self.history_at = at;
        self.cursor = self.line.len();
        if echo {
            redraw(&before, (self.cursor, &self.line), out);
        }
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
        redraw(&before, (self.cursor, &self.line), out);
    }
}

/// Make the screen show the new line where the old one stood.
fn redraw(before: &(usize, Vec<char>), after: (usize, &Vec<char>), out: &mut Vec<u8>) {
    let (old_cursor, old) = before;
    let (cursor, line) = after;
    let same = old.iter().zip(line).take_while(|(a, b)| a == b).count();
    let shared = if old == line {
        cursor
    } else {
        same.min(*old_cursor)
    };
    if old == line {
        // Only the cursor moved.
        if cursor < *old_cursor {
            out.extend(std::iter::repeat_n(8, old_cursor - cursor));
        } else {
            let text: String = line.iter().skip(*old_cursor).take(cursor - old_cursor).collect();
            out.extend_from_slice(text.as_bytes());
        }
        return;
    }
    out.extend(std::iter::repeat_n(8, old_cursor - shared));
    let tail: String = line.iter().skip(shared).collect();
    out.extend_from_slice(tail.as_bytes());
    if old.len() > line.len() {
        out.extend_from_slice(b"\x1b[K");
    }
    out.extend(std::iter::repeat_n(8, line.len() - cursor));
}
