//! Regular expressions as `grep`, `sed`, `awk` and `[[ =~ ]]` take them: POSIX.1-2017 XBD chapter 9, basic and
//! extended, with GNU's `\+ \? \| \w \s \b \< \>`. A backtracking matcher whose work and depth are bounded.

use crate::shell::glob;

/// Steps that one search may take.
const WORK: u32 = 400_000;
/// How deep one match may nest.
const DEPTH: u32 = 300;
/// Groups that are captured.
const GROUPS: usize = 10;

/// A regular expression.
pub(in crate::shell) struct Regex {
    branches: Branches,
    fold: bool,
    /// It has alternatives: the longest match is looked for, not the first.
    alternatives: bool,
    groups: usize,
}

type Branches = Vec<Vec<Node>>;
/// Where the groups begin and end; 0 is the whole match.
type Captures = [Option<(usize, usize)>; GROUPS];

struct Node {
    atom: Atom,
    min: u32,
    max: u32,
}

enum Atom {
    Any,
    Byte(u8),
    /// A bracket expression, as a shell pattern.
    Set(Vec<u8>),
    Group(usize, Branches),
    Back(usize),
    Start,
    End,
    /// A word's edge; its beginning or its end only where told.
    Edge(Option<bool>),
    Inside,
}

impl Regex {
    /// `extended` is the ERE grammar: `+ ? | ( ) { }` without backslashes.
    pub(in crate::shell) fn new(pattern: &[u8], extended: bool, fold: bool) -> Self {
        let mut parser = Parser {
            text: pattern,
            at: 0,
            extended,
            groups: 0,
            alternatives: false,
        };
        let mut branches = parser.branches(0);
        // A closing parenthesis that closes nothing stands for itself.
        while parser.at < pattern.len() {
            parser.at += 1;
            let more = parser.branches(0);
            if let (Some(last), Some(first)) = (branches.last_mut(), more.into_iter().next()) {
                last.push(once(Atom::Byte(b')')));
                last.extend(first);
            }
        }
        Self {
            branches,
            fold,
            alternatives: parser.alternatives,
            groups: parser.groups.min(GROUPS - 1),
        }
    }

    /// The first match: where it begins and ends.
    pub(in crate::shell) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.search(text, from).and_then(|captures| captures[0])
    }

    /// The first match and its groups.
    pub(in crate::shell) fn captures(&self, text: &[u8], from: usize) -> Option<Vec<Option<(usize, usize)>>> {
        let captures = self.search(text, from)?;
        Some(captures.into_iter().take(self.groups + 1).collect())
    }

    fn search(&self, text: &[u8], from: usize) -> Option<Captures> {
        let mut run = Run {
            regex: self,
            text,
            work: WORK,
        };
        for start in from..=text.len() {
            let mut best: Option<Captures> = None;
            let mut captures: Captures = [None; GROUPS];
            let longest = self.alternatives;
            run.branches(
                &self.branches,
                start,
                &mut captures,
                0,
                &mut |_, end, captures| {
                    let better = best.is_none_or(|b| b[0].is_none_or(|(_, e)| end > e));
                    if better {
                        let mut found = *captures;
                        found[0] = Some((start, end));
                        best = Some(found);
                    }
                    !longest
                },
            );
            if best.is_some() {
                return best;
            }
            if run.work == 0 {
                return None;
            }
        }
        None
    }
}

struct Run<'a> {
    regex: &'a Regex,
    text: &'a [u8],
    work: u32,
}

/// What goes on behind a part that matched up to a place; true ends the search.
type Then<'t, 'a> = &'t mut dyn FnMut(&mut Run<'a>, usize, &mut Captures) -> bool;

impl<'a> Run<'a> {
    fn branches(
        &mut self,
        branches: &[Vec<Node>],
        at: usize,
        captures: &mut Captures,
        depth: u32,
        then: Then<'_, 'a>,
    ) -> bool {
        for branch in branches {
            let before = *captures;
            if self.sequence(branch, at, captures, depth, then) {
                return true;
            }
            *captures = before;
        }
        false
    }

    fn sequence(
        &mut self,
        nodes: &[Node],
        at: usize,
        captures: &mut Captures,
        depth: u32,
        then: Then<'_, 'a>,
    ) -> bool {
        if self.work == 0 || depth > DEPTH {
            self.work = 0;
            return false;
        }
        self.work -= 1;
        let (mut nodes, mut at) = (nodes, at);
        // What has to match once needs no way back of its own.
        while let Some((Node { atom, min: 1, max: 1 }, rest)) = nodes.split_first() {
            if matches!(atom, Atom::Group(..)) {
                break;
            }
            match self.step(atom, at, captures) {
                Some(next) => (at, nodes) = (next, rest),
                None => return false,
            }
        }
        let Some((node, rest)) = nodes.split_first() else {
            return then(self, at, captures);
        };
        match &node.atom {
            Atom::Group(number, inner) => self.group(
                (*number, inner),
                (node.min, node.max),
                rest,
                at,
                captures,
                depth,
                then,
            ),
            atom => {
                let mut places = vec![at];
                while u32::try_from(places.len()).is_ok_and(|n| n <= node.max) {
                    let here = places.last().copied().unwrap_or(at);
                    match self.step(atom, here, captures) {
                        Some(next) if next > here => places.push(next),
                        // What takes no room counts once.
                        Some(next) => {
                            places.push(next);
                            break;
                        }
                        None => break,
                    }
                    self.work = self.work.saturating_sub(1);
                }
                let least = usize::try_from(node.min).unwrap_or(usize::MAX);
                for count in (least..places.len()).rev() {
                    let Some(place) = places.get(count) else { break };
                    let before = *captures;
                    if self.sequence(rest, *place, captures, depth + 1, then) {
                        return true;
                    }
                    *captures = before;
                }
                false
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one backtracking step")]
    fn group(
        &mut self,
        (number, inner): (usize, &Branches),
        (min, max): (u32, u32),
        rest: &[Node],
        at: usize,
        captures: &mut Captures,
        depth: u32,
        then: Then<'_, 'a>,
    ) -> bool {
        if max > 0 {
            let more = (min.saturating_sub(1), if max == u32::MAX { max } else { max - 1 });
            let before = *captures;
            let done = self.branches(inner, at, captures, depth + 1, &mut |run, end, captures| {
                if end == at && min == 0 {
                    return false;
                }
                let old = captures.get(number).copied().flatten();
                if let Some(slot) = captures.get_mut(number) {
                    *slot = Some((at, end));
                }
                let done = if more.1 == 0 {
                    run.sequence(rest, end, captures, depth + 1, then)
                } else {
                    run.group((number, inner), more, rest, end, captures, depth + 2, then)
                };
                if !done && let Some(slot) = captures.get_mut(number) {
                    *slot = old;
                }
                done
            });
            if done {
                return true;
            }
            *captures = before;
        }
        min == 0 && self.sequence(rest, at, captures, depth + 1, then)
    }

    fn step(&self, atom: &Atom, at: usize, captures: &Captures) -> Option<usize> {
        let fold = self.regex.fold;
        let byte = self.text.get(at).copied();
        let word = |i: Option<usize>| {
            i.and_then(|i| self.text.get(i))
                .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        };
        let (before, behind) = (word(at.checked_sub(1)), word(Some(at)));
        match atom {
            Atom::Any => byte.map(|_| at + 1),
            Atom::Byte(b) => byte
                .filter(|c| b == c || (fold && b.eq_ignore_ascii_case(c)))
                .map(|_| at + 1),
            Atom::Set(set) => {
                let hit = |c: u8| glob::matches(set, &[c]);
                byte.filter(|c| {
                    hit(*c) || (fold && (hit(c.to_ascii_lowercase()) || hit(c.to_ascii_uppercase())))
                })
                .map(|_| at + 1)
            }
            Atom::Back(number) => {
                let (from, to) = captures.get(*number).copied().flatten()?;
                let text = self.text.get(from..to)?;
                self.text.get(at..)?.starts_with(text).then_some(at + text.len())
            }
            Atom::Start => (at == 0).then_some(at),
            Atom::End => (at == self.text.len()).then_some(at),
            Atom::Edge(None) => (before != behind).then_some(at),
            Atom::Edge(Some(true)) => (!before && behind).then_some(at),
            Atom::Edge(Some(false)) => (before && !behind).then_some(at),
            Atom::Inside => (before == behind).then_some(at),
            Atom::Group(..) => None,
        }
    }
}

fn once(atom: Atom) -> Node {
    Node { atom, min: 1, max: 1 }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
    groups: usize,
    alternatives: bool,
}

impl Parser<'_> {
    fn branches(&mut self, depth: usize) -> Branches {
        let mut out = vec![Vec::new()];
        while let Some(b) = self.text.get(self.at).copied() {
            let escaped = b == b'\\' && self.at + 1 < self.text.len();
            let token = if escaped {
                self.text.get(self.at + 1).copied().unwrap_or(b)
            } else {
                b
            };
            let special = escaped != self.extended;
            let count = out.len();
            let Some(branch) = out.last_mut() else { break };
            match token {
                b')' if special && (depth > 0 || !escaped) => break,
                b'|' if special => {
                    self.at += 1 + usize::from(escaped);
                    self.alternatives = true;
                    if count < 200 {
                        out.push(Vec::new());
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1 + usize::from(escaped);
            let first = branch.is_empty();
            let atom = match token {
                b'*' if !escaped && !first => {
                    repeat(branch, 0, u32::MAX);
                    continue;
                }
                b'+' if special && !first => {
                    repeat(branch, 1, u32::MAX);
                    continue;
                }
                b'?' if special && !first => {
                    repeat(branch, 0, 1);
                    continue;
                }
                b'{' if special && !first => {
                    self.bounds(branch);
                    continue;
                }
                b'(' if special && depth < 20 => {
                    self.groups += 1;
                    let number = self.groups;
                    let inner = self.branches(depth + 1);
                    if self.text.get(self.at) == Some(&b'\\') {
                        self.at += 1;
                    }
                    self.at = (self.at + 1).min(self.text.len());
                    Atom::Group(number, inner)
                }
                b'.' if !escaped => Atom::Any,
                b'^' if !escaped && (first || self.extended) => Atom::Start,
                b'$' if !escaped && self.ends() => Atom::End,
                b'[' if !escaped => {
                    let rest = self.text.get(self.at - 1..).unwrap_or_default();
                    let end = set_end(rest);
                    self.at += end - 1;
                    Atom::Set(rest.get(..end).unwrap_or_default().to_vec())
                }
                b'1'..=b'9' if escaped => Atom::Back(usize::from(token - b'0')),
                b's' if escaped => Atom::Set(b"[[:space:]]".to_vec()),
                b'S' if escaped => Atom::Set(b"[![:space:]]".to_vec()),
                b'w' if escaped => Atom::Set(b"[A-Za-z0-9_]".to_vec()),
                b'W' if escaped => Atom::Set(b"[!A-Za-z0-9_]".to_vec()),
                b'd' if escaped => Atom::Set(b"[0-9]".to_vec()),
                b'b' if escaped => Atom::Edge(None),
                b'B' if escaped => Atom::Inside,
                b'<' if escaped => Atom::Edge(Some(true)),
                b'>' if escaped => Atom::Edge(Some(false)),
                b't' if escaped => Atom::Byte(b'\t'),
                b'n' if escaped => Atom::Byte(b'\n'),
                other => Atom::Byte(other),
            };
            branch.push(once(atom));
        }
        out
    }

    /// Whether a dollar sign before this place is an anchor.
    fn ends(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if self.extended {
            return true;
        }
        rest.is_empty() || rest.starts_with(b"\\)") || rest.starts_with(b"\\|")
    }

    /// `{n}`, `{n,}`, `{n,m}` behind the brace.
    fn bounds(&mut self, branch: &mut [Node]) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b',')
            .count();
        let text = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        let (min, max) = match text.split_once(',') {
            Some((a, b)) => (a.parse().unwrap_or(0), b.parse().unwrap_or(u32::MAX)),
            None => (text.parse().unwrap_or(1), text.parse().unwrap_or(1)),
        };
        repeat(branch, min, max.max(min));
        self.at = (self.at + len + 1 + usize::from(!self.extended)).min(self.text.len());
    }
}

fn repeat(branch: &mut [Node], min: u32, max: u32) {
    if let Some(last) = branch.last_mut() {
        (last.min, last.max) = (min, max);
    }
}

fn set_end(rest: &[u8]) -> usize {
    let mut i = 1;
    if matches!(rest.get(i), Some(b'^' | b'!')) {
        i += 1;
    }
    if rest.get(i) == Some(&b']') {
        i += 1;
    }
    while let Some(b) = rest.get(i) {
        if *b == b'[' && rest.get(i + 1) == Some(&b':') {
            i += 2;
            while rest.get(i).is_some_and(|b| *b != b']') {
                i += 1;
            }
        } else if *b == b']' {
            return i + 1;
        }
        i += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_alternatives_and_back_references_match_as_posix_says() {
        for (pattern, extended, text, found) in [
            ("foo|foobar", true, "a foobar", Some("foobar")),
            ("(a|ab)(c|bcd)(d*)", true, "abcd", Some("abcd")),
            ("\\(ab\\)\\1", false, "xababx", Some("abab")),
            ("^a*$", false, "aaa", Some("aaa")),
            ("a{2,3}", true, "aaaa", Some("aaa")),
            ("a\\{2\\}", false, "aaaa", Some("aa")),
            ("[0-9]+(\\.[0-9]+)?", true, "v12.5x", Some("12.5")),
            ("\\bfoo\\b", false, "a foo b", Some("foo")),
            ("\\<o", false, "foo of", Some("o")),
            ("(x*)*y", true, "xxxz", None),
            ("a+b", false, "a+b", Some("a+b")),
            ("(^|[^a-z])cat($|[^a-z])", true, "the cat sat", Some(" cat ")),
        ] {
            let regex = Regex::new(pattern.as_bytes(), extended, false);
            let hit = regex.find(text.as_bytes(), 0).and_then(|(a, b)| text.get(a..b));
            assert_eq!(hit, found, "{pattern} in {text}");
        }
        let regex = Regex::new(b"(a+)(b*)c", true, false);
        let groups = regex.captures(b"xaabc", 0).unwrap();
        assert_eq!(groups, [Some((1, 5)), Some((1, 3)), Some((3, 4))]);
    }

    #[test]
    fn a_search_that_explodes_gives_up() {
        let regex = Regex::new(b"(a*)*(a*)*(a*)*b", true, false);
        assert_eq!(regex.find(&[b'a'; 4_000], 0), None);
    }
}
