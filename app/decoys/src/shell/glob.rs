//! Shell patterns (POSIX.1-2017 XCU 2.13): `*`, `?`, `[…]` and backslash.

/// Whether the whole of `text` matches `pattern`. Linear in their product; backtracks to the last `*` only.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(pattern, p, text.get(t).copied().unwrap_or_default()) {
            Step::Star => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Step::Match(next) => {
                p = next;
                t += 1;
                continue;
            }
            Step::Differs => {}
        }
        let Some((after, at)) = star else { return false };
        star = Some((after, at + 1));
        (p, t) = (after, at + 1);
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

enum Step {
    Star,
    Match(usize),
    Differs,
}

fn one(pattern: &[u8], p: usize, byte: u8) -> Step {
    let matched = |yes: bool, next: usize| if yes { Step::Match(next) } else { Step::Differs };
    match pattern.get(p) {
        None => Step::Differs,
        Some(b'*') => Step::Star,
        Some(b'?') => Step::Match(p + 1),
        Some(b'\\') if p + 1 < pattern.len() => matched(pattern.get(p + 1) == Some(&byte), p + 2),
        Some(b'[') => match set(pattern, p, byte) {
            Some((yes, next)) => matched(yes, next),
            None => matched(byte == b'[', p + 1),
        },
        Some(b) => matched(*b == byte, p + 1),
    }
}

/// A bracket expression at `p`: whether it has `byte`, and where it ends.
fn set(pattern: &[u8], p: usize, byte: u8) -> Option<(bool, usize)> {
    let mut i = p + 1;
    let negated = matches!(pattern.get(i), Some(b'!' | b'^'));
    if negated {
        i += 1;
    }
    let first = i;
    let mut found = false;
    loop {
        let b = *pattern.get(i)?;
        if b == b']' && i > first {
            return Some((found != negated, i + 1));
        }
        if b == b'[' && pattern.get(i + 1) == Some(&b':') {
            let rest = pattern.get(i + 2..)?;
            let end = rest.windows(2).position(|w| w == b":]")?;
            found |= class(rest.get(..end)?, byte);
            i += end + 4;
            continue;
        }
        if pattern.get(i + 1) == Some(&b'-') && pattern.get(i + 2).is_some_and(|b| *b != b']') {
            found |= (b..=*pattern.get(i + 2)?).contains(&byte);
            i += 3;
        } else {
            found |= b == byte;
            i += 1;
        }
    }
}

/// Whether a named class such as `digit` has the byte.
pub(super) fn class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"space" => byte.is_ascii_whitespace() || byte == 11,
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"punct" => byte.is_ascii_punctuation(),
        b"print" => (32..127).contains(&byte),
        b"graph" => (33..127).contains(&byte),
        b"cntrl" => byte.is_ascii_control(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

/// `${value#pattern}` and its three kin.
pub(super) fn trim<'a>(value: &'a [u8], pattern: &[u8], suffix: bool, longest: bool) -> &'a [u8] {
    let len = value.len().min(8_192);
    let mut lengths: Vec<usize> = (0..=len).collect();
    if longest {
        lengths.reverse();
    }
    for n in lengths {
        let (cut, rest) = if suffix {
            (value.get(value.len() - n..), value.get(..value.len() - n))
        } else {
            (value.get(..n), value.get(n..))
        };
        if cut.is_some_and(|cut| matches(pattern, cut)) {
            return rest.unwrap_or_default();
        }
    }
    value
}

/// `${value/pattern/text}`: the longest match at the first place; at every place where `how` is `/`, only at the start
/// where it is `#`, only at the end where it is `%`.
pub(super) fn replace(value: &[u8], pattern: &[u8], text: &[u8], how: u8) -> Vec<u8> {
    // Quadratic by nature: longer values than anybody types are left alone.
    if value.len() > 8_192 {
        return value.to_vec();
    }
    if how == b'%' {
        let cut = (0..=value.len()).find(|n| value.get(*n..).is_some_and(|tail| matches(pattern, tail)));
        return match cut {
            Some(n) => [value.get(..n).unwrap_or_default(), text].concat(),
            None => value.to_vec(),
        };
    }
    let mut out = Vec::new();
    if value.is_empty() && matches(pattern, b"") && !pattern.is_empty() {
        return text.to_vec();
    }
    let mut at = 0;
    while at < value.len() {
        let rest = value.get(at..).unwrap_or_default();
        let hit = (1..=rest.len())
            .rev()
            .find(|n| rest.get(..*n).is_some_and(|cut| matches(pattern, cut)));
        match hit {
            Some(n) => {
                out.extend_from_slice(text);
                at += n;
                if how != b'/' {
                    break;
                }
            }
            None if how == b'#' => break,
            None => {
                out.extend(rest.first());
                at += 1;
            }
        }
    }
    out.extend_from_slice(value.get(at..).unwrap_or_default());
    out
}
