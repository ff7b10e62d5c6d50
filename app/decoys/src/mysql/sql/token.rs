//! A statement as tokens, and a cursor over them.

use super::{SqlError, value::Val};

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or a plain name.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// A text in quotes, or written as hexadecimal digits.
    Text(String),
    Number(String),
    /// `@name` or `@@name`, with its signs.
    Variable(String),
    /// An operator or a bracket.
    Mark(&'static str),
    /// What no token begins with, and a text without its end.
    Bad,
}

impl Token {
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) token: Token,
}

/// Longer ones first.
const MARKS: &[&str] = &[
    "<=>", "<=", ">=", "<>", "!=", ":=", "||", "&&", "<<", ">>", "(", ")", ",", ".", "=", "<", ">", "+", "-",
    "*", "/", "%", "!", "~", "^", "|", "&", "?", ";", "{", "}", ":",
];

/// Split a statement into tokens. Comments are left out; what stands in `/*! … */` is not.
pub(super) fn tokens(sql: &str) -> Vec<Placed> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((token, from, to)) = next(sql, at) {
        at = to;
        if let Some(token) = token {
            out.push(Placed { from, to, token });
        }
    }
    out
}

fn word_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The length of the beginning of `text` that `fits`.
fn run(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// The token at or after `at`, from where to where it stands; `None` in its place for what is passed over.
fn next(sql: &str, at: usize) -> Option<(Option<Token>, usize, usize)> {
    let rest = sql.get(at..)?;
    let c = rest.chars().next()?;
    let after = |n: usize| at + n;
    let line = || run(rest, |c| c != '\n');
    let blank_after_dashes = || {
        rest.strip_prefix("--").is_some_and(|more| {
            more.chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || c.is_control())
        })
    };
    if c.is_whitespace() || c == '\0' {
        return Some((None, at, after(c.len_utf8())));
    }
    if c == '#' || blank_after_dashes() {
        return Some((None, at, after(line())));
    }
    if let Some(comment) = rest.strip_prefix("/*") {
        let opened = comment.strip_prefix("M!").or_else(|| comment.strip_prefix('!'));
        if let Some(inner) = opened {
            let digits = run(inner, |c| c.is_ascii_digit());
            return Some((None, at, after(rest.len() - inner.len() + digits)));
        }
        let end = comment.find("*/").map_or(rest.len(), |end| 2 + end + 2);
        return Some((None, at, after(end)));
    }
    if rest.starts_with("*/") {
        return Some((None, at, after(2)));
    }
    if matches!(c, '\'' | '"' | '`') {
        let (text, len) = quoted(rest, c);
        let token = match (text, c) {
            (None, _) => Token::Bad,
            (Some(name), '`') => Token::Quoted(name),
            (Some(text), _) => Token::Text(text),
        };
        return Some((Some(token), at, after(len)));
    }
    if c == '@' {
        let signs = run(rest, |c| c == '@');
        let name = rest.get(signs..).unwrap_or_default();
        let len = signs + run(name, |c| word_char(c) || c == '.');
        let name = rest.get(..len).unwrap_or_default().to_owned();
        return Some((Some(Token::Variable(name)), at, after(len)));
    }
    let fraction = rest
        .strip_prefix('.')
        .is_some_and(|more| more.starts_with(|c: char| c.is_ascii_digit()));
    if c.is_ascii_digit() || fraction {
        let (token, len) = number(rest);
        return Some((Some(token), at, after(len)));
    }
    if word_char(c) {
        let len = run(rest, word_char);
        let word = rest.get(..len).unwrap_or_default().to_owned();
        return Some((Some(Token::Word(word)), at, after(len)));
    }
    let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
    Some(match mark {
        Some(mark) => (Some(Token::Mark(mark)), at, after(mark.len())),
        None => (Some(Token::Bad), at, after(c.len_utf8())),
    })
}

/// The text in quotes `mark` that `rest` begins with, `None` where it has no end; and how long it is with its quotes.
fn quoted(rest: &str, mark: char) -> (Option<String>, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' if mark != '`' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, '0')) => text.push('\0'),
                Some((_, 'b')) => text.push('\u{8}'),
                Some((_, 'Z')) => text.push('\u{1a}'),
                // These two mean something to LIKE.
                Some((_, c @ ('%' | '_'))) => text.extend(['\\', c]),
                Some((_, c)) => text.push(c),
                None => {}
            },
            c if c == mark => {
                if chars.next_if(|(_, again)| *again == mark).is_none() {
                    return (Some(text), i + 1);
                }
                text.push(mark);
            }
            c => text.push(c),
        }
    }
    (None, rest.len())
}

fn number(rest: &str) -> (Token, usize) {
    let hex = rest
        .strip_prefix("0x")
        .map(|digits| run(digits, |c| c.is_ascii_hexdigit()));
    if let Some(len @ 1..) = hex {
        let digits = rest.get(2..2 + len).unwrap_or_default();
        let even = if len % 2 == 1 {
            format!("0{digits}")
        } else {
            digits.to_owned()
        };
        let bytes = hex::decode(even).unwrap_or_default();
        return (Token::Text(String::from_utf8_lossy(&bytes).into_owned()), 2 + len);
    }
    let digit = |c: char| c.is_ascii_digit();
    let tail = |from: usize| rest.get(from..).unwrap_or_default();
    let mut len = run(rest, digit);
    if tail(len).starts_with('.') {
        len += 1 + run(tail(len + 1), digit);
    } else if tail(len).starts_with(word_char) && !exponent(tail(len)) {
        // A name may begin with digits.
        len += run(tail(len), word_char);
        return (Token::Word(rest.get(..len).unwrap_or_default().to_owned()), len);
    }
    if exponent(tail(len)) {
        let sign = usize::from(tail(len + 1).starts_with(['+', '-']));
        len += 1 + sign + run(tail(len + 1 + sign), digit);
    }
    (Token::Number(rest.get(..len).unwrap_or_default().to_owned()), len)
}

fn exponent(text: &str) -> bool {
    let Some(more) = text.strip_prefix(['e', 'E']) else {
        return false;
    };
    more.strip_prefix(['+', '-'])
        .unwrap_or(more)
        .starts_with(|c: char| c.is_ascii_digit())
}

/// A statement being read.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) sql: &'a str,
    tokens: &'a [Placed],
    /// Where the last token ended.
    end: usize,
    pub(super) product: &'static str,
    /// What stands for each `?`, by its place.
    parameters: &'a [(usize, Val)],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(
        sql: &'a str,
        tokens: &'a [Placed],
        product: &'static str,
        parameters: &'a [(usize, Val)],
    ) -> Self {
        Self {
            sql,
            tokens,
            end: 0,
            product,
            parameters,
        }
    }

    /// Eat a `?`; its value, NULL where it has none.
    pub(super) fn parameter(&mut self) -> Option<Val> {
        let at = self.at();
        let found = self.eat_mark("?");
        let value = self.parameters.iter().find(|(place, _)| *place == at);
        found.then(|| value.map_or(Val::Null, |(_, value)| value.clone()))
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.first().map(|placed| &placed.token)
    }

    /// The token after the next one.
    pub(super) fn second(&self) -> Option<&'a Token> {
        self.tokens.get(1).map(|placed| &placed.token)
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let (placed, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        self.end = placed.to;
        Some(&placed.token)
    }

    pub(super) fn is_done(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn is(&self, keyword: &str) -> bool {
        self.peek().is_some_and(|token| token.is(keyword))
    }

    pub(super) fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(m)) if *m == mark)
    }

    pub(super) fn eat(&mut self, keyword: &str) -> bool {
        let found = self.is(keyword);
        if found {
            self.next();
        }
        found
    }

    /// Eat one of `keywords`.
    pub(super) fn eat_any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.eat(keyword))
    }

    pub(super) fn eat_mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn need(&mut self, keyword: &str) -> Result<(), SqlError> {
        if self.eat(keyword) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    pub(super) fn need_mark(&mut self, mark: &str) -> Result<(), SqlError> {
        if self.eat_mark(mark) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// A name, in backticks or not.
    pub(super) fn name(&mut self) -> Result<&'a str, SqlError> {
        match self.peek().and_then(Token::name) {
            Some(name) => {
                self.next();
                Ok(name)
            }
            None => Err(self.syntax()),
        }
    }

    /// Where the next token begins.
    pub(super) fn at(&self) -> usize {
        self.tokens.first().map_or(self.sql.len(), |placed| placed.from)
    }

    /// What was read since `from`, which [`Self::at`] gave.
    pub(super) fn since(&self, from: usize) -> &'a str {
        self.sql.get(from..self.end).unwrap_or_default()
    }

    /// Nothing may follow.
    pub(super) fn finish(&mut self) -> Result<(), SqlError> {
        while self.eat_mark(";") {}
        if self.is_done() {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// A fault at the next token.
    pub(super) fn syntax(&self) -> SqlError {
        self.syntax_at(self.at())
    }

    /// A fault at `from`, in the server's words: what is left of the statement, and its line.
    pub(super) fn syntax_at(&self, from: usize) -> SqlError {
        let near: String = self
            .sql
            .get(from..)
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect();
        let before = self.sql.get(..from).unwrap_or_default();
        let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
        let product = self.product;
        SqlError::new(
            1064,
            "42000",
            format!(
                "You have an error in your SQL syntax; check the manual that corresponds to your {product} server version \
                 for the right syntax to use near '{near}' at line {line}"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<Token> {
        tokens(sql).into_iter().map(|placed| placed.token).collect()
    }

    #[test]
    fn comments_are_passed_over_but_for_those_of_the_product() {
        let word = |w: &str| Token::Word(w.to_owned());
        let of = kinds("/* a */ SELECT /*!40101 b */ -- c\n # d\n /*M!100401 e*/--f");
        let minus = Token::Mark("-");
        assert_eq!(
            of,
            [
                word("SELECT"),
                word("b"),
                word("e"),
                minus.clone(),
                minus,
                word("f")
            ]
        );
    }

    #[test]
    fn literals_are_read_with_their_escapes() {
        assert_eq!(
            kinds(r#"'it''s' "a\n" '\%' 0x4142 1.5e3 .5 1a"#),
            [
                Token::Text("it's".to_owned()),
                Token::Text("a\n".to_owned()),
                Token::Text("\\%".to_owned()),
                Token::Text("AB".to_owned()),
                Token::Number("1.5e3".to_owned()),
                Token::Number(".5".to_owned()),
                Token::Word("1a".to_owned()),
            ]
        );
        assert_eq!(kinds("'open"), [Token::Bad]);
    }
}
