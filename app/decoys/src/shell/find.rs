//! `find`: its expression language, with `-exec` through the shell's own commands.

use std::collections::BTreeMap;

use super::{
    commands::files,
    glob,
    run::{Fds, Running, Shell, Stop},
    vfs::{Kind, Node, Who, file_name},
};

/// Files that one call looks at.
const MOST: usize = 20_000;
/// Tests and actions of one expression.
const MOST_TERMS: usize = 100;
/// Arguments that `-exec … +` gives at once.
const BATCH: usize = 500;

enum Expr {
    True,
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Name {
        pattern: String,
        fold: bool,
        path: bool,
    },
    Type(String),
    Size(i8, u64, u64),
    /// Days (or minutes) since the last change: the sign, the count, the seconds of the unit.
    Age(i8, i64, i64),
    Perm(char, u32),
    Owner(bool, Option<u32>),
    Newer(i64),
    Empty,
    /// `-readable`, `-writable`, `-executable`.
    May(u32),
    NoOwner,
    Links(i8, u64),
    Prune,
    Quit,
    Print(u8),
    List,
    Format(String),
    Delete,
    /// Its number, the command, and whether `+` gathers.
    Exec(usize, Vec<String>, bool),
}

struct Parser<'a> {
    words: &'a [String],
    at: usize,
    now: i64,
    shell: &'a Shell,
    commands: usize,
    /// Terms so far: they nest in the tree.
    terms: usize,
}

type Parse<T> = Result<T, String>;

impl Parser<'_> {
    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn argument(&mut self, test: &str) -> Parse<String> {
        self.next()
            .ok_or_else(|| format!("find: missing argument to `{test}'"))
    }

    fn or(&mut self, depth: usize) -> Parse<Expr> {
        if depth > 40 {
            return Err("find: expression is nested too deeply".to_owned());
        }
        let mut left = self.and(depth)?;
        while matches!(
            self.words.get(self.at).map(String::as_str),
            Some("-o" | "-or" | ",")
        ) {
            self.at += 1;
            left = Expr::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Parse<Expr> {
        let mut left = self.one(depth)?;
        while let Some(word) = self.words.get(self.at) {
            match word.as_str() {
                "-o" | "-or" | ")" | "," => break,
                "-a" | "-and" => self.at += 1,
                _ => {}
            }
            left = Expr::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Parse<Expr> {
        self.terms += 1;
        if depth > 40 || self.terms > MOST_TERMS {
            return Err("find: expression is too long".to_owned());
        }
        let Some(word) = self.next() else {
            return Err("find: expected an expression after `-a'".to_owned());
        };
        Ok(match word.as_str() {
            "!" | "-not" => Expr::Not(Box::new(self.one(depth + 1)?)),
            "(" => {
                let inner = self.or(depth + 1)?;
                if self.next().as_deref() != Some(")") {
                    return Err("find: invalid expression; I was expecting to find a ')' somewhere but did not see one.".to_owned());
                }
                inner
            }
            "-maxdepth" | "-mindepth" => {
                let value = self.argument(&word)?;
                if value.parse::<usize>().is_err() {
                    return Err(format!(
                        "find: Expected a positive decimal integer argument to {word}, but got ‘{value}’"
                    ));
                }
                Expr::True
            }
            "-depth"
            | "-d"
            | "-xdev"
            | "-mount"
            | "-follow"
            | "-noleaf"
            | "-true"
            | "-daystart"
            | "-ignore_readdir_race"
            | "-nowarn"
            | "-warn" => Expr::True,
            "-false" => Expr::Not(Box::new(Expr::True)),
            "-name" | "-iname" | "-path" | "-wholename" | "-ipath" | "-iwholename" => {
                let fold = word.starts_with("-i");
                let pattern = self.argument(&word)?;
                Expr::Name {
                    pattern: if fold { pattern.to_lowercase() } else { pattern },
                    fold,
                    path: !word.ends_with("name") || word.ends_with("wholename"),
                }
            }
            "-type" => {
                let value = self.argument(&word)?;
                if let Some(bad) = value.chars().find(|c| !"bcdpflsD,".contains(*c)) {
                    return Err(format!("find: Unknown argument to -type: {bad}"));
                }
                Expr::Type(value)
            }
            "-size" => {
                let value = self.argument(&word)?;
                let (sign, digits) = sign(&value);
                let (digits, unit) = match digits.char_indices().last() {
                    Some((i, c)) if c.is_alphabetic() => (digits.get(..i).unwrap_or_default(), c),
                    _ => (digits, 'b'),
                };
                let unit = match unit {
                    'c' => 1,
                    'w' => 2,
                    'b' => 512,
                    'k' => 1 << 10,
                    'M' => 1 << 20,
                    'G' => 1 << 30,
                    other => return Err(format!("find: invalid -size type `{other}'")),
                };
                match digits.parse() {
                    Ok(n) => Expr::Size(sign, n, unit),
                    Err(_) => return Err(format!("find: invalid argument `{value}' to `-size'")),
                }
            }
            "-mtime" | "-ctime" | "-atime" | "-mmin" | "-cmin" | "-amin" => {
                let value = self.argument(&word)?;
                let (sign, digits) = sign(&value);
                let unit = if word.ends_with("min") { 60 } else { 86_400 };
                match digits.parse() {
                    Ok(n) => Expr::Age(sign, n, unit),
                    Err(_) => return Err(format!("find: invalid argument `{value}' to `{word}'")),
                }
            }
            "-newer" | "-anewer" | "-cnewer" | "-newermt" => {
                let value = self.argument(&word)?;
                let found = self.shell.vfs.stat(self.shell.who(), &self.shell.env.cwd, &value);
                match found {
                    _ if word == "-newermt" => Expr::Newer(self.now - 86_400),
                    Ok((_, node)) => Expr::Newer(node.mtime),
                    Err(errno) => return Err(format!("find: ‘{value}’: {}", errno.text())),
                }
            }
            "-perm" => {
                let value = self.argument(&word)?;
                let (kind, digits) = match value.chars().next() {
                    Some(c @ ('-' | '/')) => (c, value.get(1..).unwrap_or_default()),
                    _ => ('=', value.as_str()),
                };
                let bits = u32::from_str_radix(digits, 8)
                    .ok()
                    .or_else(|| files::new_mode(digits, 0, false));
                match bits {
                    Some(bits) => Expr::Perm(kind, bits),
                    None => return Err(format!("find: invalid mode ‘{value}’")),
                }
            }
            "-user" | "-uid" | "-group" | "-gid" => {
                let value = self.argument(&word)?;
                let account = self.shell.account(&value);
                let user = word.starts_with("-u");
                let id = value
                    .parse()
                    .ok()
                    .or(account.map(|a| if user { a.uid } else { a.gid }));
                if id.is_none() {
                    let kind = if user { "user" } else { "group" };
                    return Err(format!("find: ‘{value}’ is not the name of a known {kind}"));
                }
                Expr::Owner(user, id)
            }
            "-empty" => Expr::Empty,
            "-readable" => Expr::May(4),
            "-writable" => Expr::May(2),
            "-executable" => Expr::May(1),
            "-nouser" | "-nogroup" => Expr::NoOwner,
            "-links" => {
                let value = self.argument(&word)?;
                let (sign, digits) = sign(&value);
                Expr::Links(sign, digits.parse().unwrap_or(1))
            }
            "-prune" => Expr::Prune,
            "-quit" => Expr::Quit,
            "-print" => Expr::Print(b'\n'),
            "-print0" => Expr::Print(0),
            "-ls" => Expr::List,
            "-printf" => Expr::Format(self.argument(&word)?),
            "-delete" => Expr::Delete,
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let mut command = Vec::new();
                self.commands += 1;
                let number = self.commands;
                loop {
                    match self.next() {
                        None => return Err(format!("find: missing argument to `{word}'")),
                        Some(end) if end == ";" => return Ok(Expr::Exec(number, command, false)),
                        Some(end) if end == "+" && command.last().is_some_and(|c| c == "{}") => {
                            command.pop();
                            return Ok(Expr::Exec(number, command, true));
                        }
                        Some(part) => command.push(part),
                    }
                }
            }
            other if other.starts_with('-') => {
                return Err(format!("find: unknown predicate `{other}'"));
            }
            other => {
                return Err(format!("find: paths must precede expression: `{other}'"));
            }
        })
    }
}

fn sign(value: &str) -> (i8, &str) {
    match value.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => value.strip_prefix('-').map_or((0, value), |rest| (-1, rest)),
    }
}

fn compare<T: Ord>(sign: i8, value: T, wanted: T) -> bool {
    match sign {
        1 => value > wanted,
        -1 => value < wanted,
        _ => value == wanted,
    }
}

fn acts(expr: &Expr) -> bool {
    match expr {
        Expr::Print(_) | Expr::List | Expr::Format(_) | Expr::Delete | Expr::Exec(..) => true,
        Expr::Not(inner) => acts(inner),
        Expr::And(a, b) | Expr::Or(a, b) => acts(a) || acts(b),
        _ => false,
    }
}

/// A file that was found.
struct Hit {
    path: String,
    node: Node,
    depth: usize,
}

/// What one call keeps while it runs.
struct Walk<'a> {
    fds: &'a Fds,
    now: i64,
    pruned: Vec<String>,
    quit: bool,
    failed: bool,
    /// What `-exec … +` gathers: its command and the paths.
    gathered: BTreeMap<usize, (Vec<String>, Vec<Vec<u8>>)>,
}

impl Shell {
    /// `find`.
    pub(super) async fn find(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let words: Vec<String> = rest
            .iter()
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .skip_while(|w| matches!(w.as_str(), "-L" | "-H" | "-P"))
            .collect();
        let cut = words
            .iter()
            .position(|w| w.starts_with('-') || matches!(w.as_str(), "(" | "!"))
            .unwrap_or(words.len());
        let (starts, tests) = words.split_at(cut);
        let starts = if starts.is_empty() {
            vec![".".to_owned()]
        } else {
            starts.to_vec()
        };
        let (parsed, left) = {
            let mut parser = Parser {
                words: tests,
                at: 0,
                now: self.now(),
                shell: self,
                commands: 0,
                terms: 0,
            };
            let parsed = if tests.is_empty() {
                Ok(Expr::True)
            } else {
                parser.or(0)
            };
            (parsed, parser.words.get(parser.at).cloned())
        };
        let expr = match (parsed, left) {
            (Ok(expr), None) => expr,
            (Ok(_), Some(_)) => return self.find_fault("find: you have too many ')'", fds),
            (Err(fault), _) => return self.find_fault(&fault, fds),
        };
        let expr = if acts(&expr) {
            expr
        } else {
            Expr::And(Box::new(expr), Box::new(Expr::Print(b'\n')))
        };
        let level = |name: &str| {
            let at = tests.iter().position(|t| t == name)?;
            tests.get(at + 1)?.parse::<usize>().ok()
        };
        let most = level("-maxdepth").unwrap_or(40);
        let least = level("-mindepth").unwrap_or(0);
        let last_first = tests
            .iter()
            .any(|t| matches!(t.as_str(), "-depth" | "-d" | "-delete"));
        let mut walk = Walk {
            fds,
            now: self.now(),
            pruned: Vec::new(),
            quit: false,
            failed: false,
            gathered: BTreeMap::new(),
        };
        let mut hits = Vec::new();
        for start in &starts {
            match self.vfs.lstat(self.who(), &self.env.cwd, start) {
                Ok((_, node)) => self.collect(start, node, 0, most, last_first, &mut hits, &mut walk),
                Err(errno) => {
                    let line = format!("find: ‘{start}’: {}\n", errno.text());
                    self.put_err(fds, line.as_bytes());
                    walk.failed = true;
                }
            }
        }
        for hit in hits {
            if hit.depth < least || walk.pruned.iter().any(|p| hit.path.starts_with(p.as_str())) {
                continue;
            }
            self.holds(&expr, &hit, &mut walk).await?;
            if walk.quit {
                break;
            }
        }
        for (_, (command, paths)) in std::mem::take(&mut walk.gathered) {
            for batch in paths.chunks(BATCH) {
                let args = command
                    .iter()
                    .map(|c| c.clone().into_bytes())
                    .chain(batch.iter().cloned())
                    .collect();
                self.run_found(args, fds).await?;
                walk.failed |= self.status != 0;
            }
        }
        self.status = u8::from(walk.failed);
        Ok(())
    }

    fn find_fault(&mut self, fault: &str, fds: &Fds) -> Result<(), Stop> {
        self.put_err(fds, format!("{fault}\n").as_bytes());
        self.status = 1;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of a recursion")]
    fn collect(
        &mut self,
        path: &str,
        node: Node,
        depth: usize,
        most: usize,
        last_first: bool,
        hits: &mut Vec<Hit>,
        walk: &mut Walk<'_>,
    ) {
        if hits.len() >= MOST {
            return;
        }
        let directory = node.is_dir();
        let hit = Hit {
            path: path.to_owned(),
            node,
            depth,
        };
        let after = if last_first {
            Some(hit)
        } else {
            hits.push(hit);
            None
        };
        if directory && depth < most {
            match self.vfs.list(self.who(), &self.env.cwd, path) {
                Ok(children) => {
                    for (name, child) in children {
                        let below = if path.ends_with('/') {
                            format!("{path}{name}")
                        } else {
                            format!("{path}/{name}")
                        };
                        self.collect(&below, child, depth + 1, most, last_first, hits, walk);
                    }
                }
                Err(errno) => {
                    let line = format!("find: ‘{path}’: {}\n", errno.text());
                    self.put_err(walk.fds, line.as_bytes());
                    walk.failed = true;
                }
            }
        }
        hits.extend(after);
    }

    /// Whether the expression holds for a file; its actions are done on the way.
    fn holds<'a>(
        &'a mut self,
        expr: &'a Expr,
        hit: &'a Hit,
        walk: &'a mut Walk<'_>,
    ) -> Running<'a, Result<bool, Stop>> {
        Box::pin(async move {
            let node = &hit.node;
            let path = hit.path.as_str();
            Ok(match expr {
                Expr::True => true,
                Expr::Not(inner) => !self.holds(inner, hit, walk).await?,
                Expr::And(a, b) => self.holds(a, hit, walk).await? && self.holds(b, hit, walk).await?,
                Expr::Or(a, b) => self.holds(a, hit, walk).await? || self.holds(b, hit, walk).await?,
                Expr::Name {
                    pattern,
                    fold,
                    path: whole,
                } => {
                    let text = if *whole { path } else { file_name(path) };
                    let text = if *fold {
                        text.to_lowercase()
                    } else {
                        text.to_owned()
                    };
                    glob::matches(pattern.as_bytes(), text.as_bytes())
                }
                Expr::Type(kinds) => kinds.contains(match node.kind {
                    Kind::File(_) | Kind::Opaque(_) | Kind::Cut { .. } | Kind::Log(_) => 'f',
                    Kind::Directory => 'd',
                    Kind::Link(_) => 'l',
                    Kind::Pipe => 'p',
                    Kind::Device(device) => {
                        if device.block {
                            'b'
                        } else {
                            'c'
                        }
                    }
                }),
                Expr::Size(sign, n, unit) => compare(*sign, node.size().div_ceil(*unit), *n),
                Expr::Age(sign, n, unit) => {
                    let age = (walk.now - changed(node, walk.now)).max(0) / unit;
                    compare(*sign, age, *n)
                }
                Expr::Newer(than) => changed(node, walk.now) > *than,
                Expr::Perm('-', bits) => node.mode & bits == *bits,
                Expr::Perm('/', bits) => *bits == 0 || node.mode & bits != 0,
                Expr::Perm(_, bits) => node.mode == *bits,
                Expr::Owner(user, id) => *id == Some(if *user { node.uid } else { node.gid }),
                Expr::Empty => match node.kind {
                    Kind::Directory => self
                        .vfs
                        .list(Who { uid: 0, gid: 0 }, &self.env.cwd, path)
                        .is_ok_and(|l| l.is_empty()),
                    Kind::File(_) => node.size() == 0,
                    _ => false,
                },
                Expr::May(want) => {
                    self.env.uid == 0 && (*want != 1 || node.is_dir() || node.mode & 0o111 != 0)
                        || self.who().may(node, *want)
                }
                Expr::NoOwner => false,
                Expr::Links(sign, n) => compare(*sign, if node.is_dir() { 2 } else { 1 }, *n),
                Expr::Prune => {
                    if node.is_dir() {
                        walk.pruned.push(format!("{path}/"));
                    }
                    true
                }
                Expr::Quit => {
                    walk.quit = true;
                    true
                }
                Expr::Print(end) => {
                    let line = [path.as_bytes(), &[*end]].concat();
                    self.put_out(walk.fds, &line);
                    true
                }
                Expr::List => {
                    let line = files::found_line(self, path, node);
                    self.put_out(walk.fds, line.as_bytes());
                    true
                }
                Expr::Format(format) => {
                    let line = self.found_as(format, hit);
                    self.put_out(walk.fds, line.as_bytes());
                    true
                }
                Expr::Delete => {
                    if matches!(path, "." | "/") {
                        return Ok(true);
                    }
                    match files::remove(self, path, false, 0) {
                        Ok(()) => true,
                        Err((_, super::vfs::Errno::IsDirectory)) => {
                            let (who, cwd) = (self.who(), self.env.cwd.clone());
                            match self.vfs.rmdir(who, &cwd, path) {
                                Ok(()) => true,
                                Err(errno) => self.undeleted(path, errno, walk),
                            }
                        }
                        Err((_, errno)) => self.undeleted(path, errno, walk),
                    }
                }
                Expr::Exec(number, command, true) => {
                    let entry = walk
                        .gathered
                        .entry(*number)
                        .or_insert_with(|| (command.clone(), Vec::new()));
                    entry.1.push(path.as_bytes().to_vec());
                    true
                }
                Expr::Exec(_, command, false) => {
                    let args = command
                        .iter()
                        .map(|c| c.replace("{}", path).into_bytes())
                        .collect();
                    self.run_found(args, walk.fds).await?;
                    self.status == 0
                }
            })
        })
    }

    fn undeleted(&mut self, path: &str, errno: super::vfs::Errno, walk: &mut Walk<'_>) -> bool {
        let line = format!("find: cannot delete ‘{path}’: {}\n", errno.text());
        self.put_err(walk.fds, line.as_bytes());
        walk.failed = true;
        false
    }

    /// Run a program on what was found; functions of the shell are none.
    async fn run_found(&mut self, args: Vec<Vec<u8>>, fds: &Fds) -> Result<(), Stop> {
        let name = args
            .first()
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .unwrap_or_default();
        if !name.contains('/') && self.command_path(&name).is_none() {
            let line = format!("find: ‘{name}’: No such file or directory\n");
            self.put_err(fds, line.as_bytes());
            self.status = 1;
            return Ok(());
        }
        let functions = std::mem::take(&mut self.env.functions);
        let done = self.run_args(args, fds).await;
        self.env.functions = functions;
        match done {
            Err(Stop::Killed) => Err(Stop::Killed),
            _ => Ok(()),
        }
    }

    /// `-printf`.
    fn found_as(&self, format: &str, hit: &Hit) -> String {
        let text = super::parse::unescape(format.as_bytes(), super::parse::Escapes::Printf).0;
        let text = String::from_utf8_lossy(&text).into_owned();
        let node = &hit.node;
        let mut out = String::new();
        let mut it = text.chars();
        while let Some(c) = it.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match it.next() {
                Some('p') => out.push_str(&hit.path),
                Some('f') => out.push_str(file_name(&hit.path)),
                Some('h') => out.push_str(hit.path.rsplit_once('/').map_or(".", |(head, _)| head)),
                Some('s') => out.push_str(&node.size().to_string()),
                Some('m') => out.push_str(&format!("{:o}", node.mode)),
                Some('M') => out.push_str(&node.mode_text()),
                Some('u') => out.push_str(&self.machine.user_name(node.uid)),
                Some('g') => out.push_str(&self.machine.group_name(node.gid)),
                Some('U') => out.push_str(&node.uid.to_string()),
                Some('d') => out.push_str(&hit.depth.to_string()),
                Some('y') => out.push(
                    node.mode_text()
                        .chars()
                        .next()
                        .map_or('f', |c| if c == '-' { 'f' } else { c }),
                ),
                Some('T') => {
                    it.next();
                    out.push_str(&format!("{}.0000000000", node.mtime));
                }
                Some('%') => out.push('%'),
                Some(other) => {
                    out.push('%');
                    out.push(other);
                }
                None => out.push('%'),
            }
        }
        out
    }
}

/// When a file was changed last; what is made as it is read is new.
fn changed(node: &Node, now: i64) -> i64 {
    if node.mtime == 0 { now } else { node.mtime }
}
