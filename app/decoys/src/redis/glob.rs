//! Glob patterns as `KEYS`, `SCAN` and `CONFIG GET` take them (`stringmatchlen` in the server's `util.c`).

/// Whether `text` matches `pattern`: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character that stands for itself.
///
/// Time is bounded by the product of the lengths: only the last star is ever gone back to.
pub(super) fn matches(pattern: &[u8], text: &[u8], fold_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = one(
            pattern.get(p..).unwrap_or_default(),
            text.get(t).copied().unwrap_or_default(),
            fold_case,
        );
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(taken) = step {
            p += taken;
            t += 1;
        } else if let Some((after, at)) = star {
            star = Some((after, at + 1));
            p = after;
            t = at + 1;
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

/// How much of `pattern` one character `c` takes up, if it matches.
fn one(pattern: &[u8], c: u8, fold_case: bool) -> Option<usize> {
    let fold = |b: u8| if fold_case { b.to_ascii_lowercase() } else { b };
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class(rest, c, fold).map(|n| n + 1),
        [b'\\', literal, ..] => (fold(*literal) == fold(c)).then_some(2),
        [literal, ..] => (fold(*literal) == fold(c)).then_some(1),
    }
}

/// A character class after its `[`; its length if it matches. One that is not closed ends with the pattern.
fn class(rest: &[u8], c: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let negated = rest.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match rest.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= fold(*literal) == fold(c);
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (fold(*low).min(fold(*high)), fold(*low).max(fold(*high)));
                found |= (low..=high).contains(&fold(c));
                at += 3;
            }
            [literal, ..] => {
                found |= fold(*literal) == fold(c);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_documentation_of_keys_says() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h*llo", "hell", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("session:[0-9]*", "session:7f", true),
            ("[abc", "a", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"MaxMemory", b"maxmemory", true));
    }
}
