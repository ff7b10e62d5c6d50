//! The commands that move, block and group: lists that are handed on, sets and sorted sets that are stored, streams that are read in
//! groups. What waits for others gets nothing, because nobody else writes into a visitor's world: it waits as long as it said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    commands::{lower, wrong_number},
    data::{Answer, Bytes, Data, first, float, integer, range, second},
    structures::{Group, Id, id},
    wire::{Reply, double},
};

const SYNTAX: &str = "ERR syntax error";
const BAD_TIMEOUT: &str = "ERR timeout is not a float or out of range";
const BAD_ID: &str = "ERR Invalid stream ID specified as stream command argument";

/// How long a blocking command waits where it finds nothing, in seconds: 0 is for ever.
pub(super) fn patience(name: &str, words: &[Bytes]) -> Option<f64> {
    let seconds = match name {
        "blpop" | "brpop" | "bzpopmin" | "bzpopmax" | "brpoplpush" | "blmove" => words.last(),
        "blmpop" | "bzmpop" => words.get(1),
        "xread" | "xreadgroup" => {
            let at = words.iter().position(|w| w.eq_ignore_ascii_case(b"block"))?;
            let ms = words
                .get(at + 1)
                .and_then(|w| std::str::from_utf8(w).ok()?.parse::<f64>().ok())?;
            return Some(ms / 1000.0);
        }
        _ => return None,
    };
    std::str::from_utf8(seconds?).ok()?.parse().ok()
}

/// `LEFT` or `RIGHT`: whether it is the left end.
fn left(word: Option<&Bytes>) -> Result<bool, Reply> {
    match lower(word).as_str() {
        "left" => Ok(true),
        "right" => Ok(false),
        _ => Err(Reply::error(SYNTAX)),
    }
}

fn timeout(word: Option<&Bytes>) -> Result<(), Reply> {
    let seconds = float(word).map_err(|_| Reply::error(BAD_TIMEOUT))?;
    if seconds < 0.0 {
        return Err(Reply::error("ERR timeout is negative"));
    }
    Ok(())
}

impl Data<'_> {
    fn pop(&self, key: &[u8], left: bool, n: usize) -> Result<Vec<Bytes>, Reply> {
        if !self.list(key, |l| l.is_some())? {
            return Ok(Vec::new());
        }
        self.edit_list(key, |list| {
            let n = n.min(list.len());
            (0..n)
                .filter_map(|_| if left { list.pop_front() } else { list.pop_back() })
                .collect()
        })
    }

    fn hand_on(&self, from: &[u8], to: &[u8], out_left: bool, in_left: bool) -> Answer {
        // The other end is looked at first: a wrong type there moves nothing.
        if !self.list(from, |l| l.is_some())? {
            return Ok(Reply::Nil);
        }
        self.list(to, |_| ())?;
        let Some(item) = self.pop(from, out_left, 1)?.pop() else {
            return Ok(Reply::Nil);
        };
        self.edit_list(to, |list| {
            if in_left {
                list.push_front(item.clone());
            } else {
                list.push_back(item.clone());
            }
        })?;
        Ok(Reply::Bulk(item))
    }

    pub(super) fn moves(&self, name: &str, args: &[Bytes]) -> Answer {
        let (key, other) = (first(args), second(args));
        Ok(match name {
            "lmove" | "blmove" => {
                let (out, into) = (left(args.get(2))?, left(args.get(3))?);
                if name == "blmove" {
                    timeout(args.get(4))?;
                }
                self.hand_on(key, other, out, into)?
            }
            "rpoplpush" | "brpoplpush" => {
                if name == "brpoplpush" {
                    timeout(args.get(2))?;
                }
                self.hand_on(key, other, false, true)?
            }
            "blpop" | "brpop" => {
                timeout(args.last())?;
                for key in args.iter().take(args.len().saturating_sub(1)) {
                    if let Some(item) = self.pop(key, name == "blpop", 1)?.pop() {
                        return Ok(Reply::bulks([key.clone(), item]));
                    }
                }
                Reply::NilArray
            }
            "lmpop" | "blmpop" => {
                let rest = if name == "blmpop" {
                    timeout(args.first())?;
                    args.get(1..).unwrap_or_default()
                } else {
                    args
                };
                let (keys, rest) = numbered(rest, "ERR numkeys should be greater than 0")?;
                let from_left = left(rest.first())?;
                let n = match rest.get(1..).unwrap_or_default() {
                    [] => 1,
                    [word, n] if word.eq_ignore_ascii_case(b"count") => {
                        positive(n, "ERR count should be greater than 0")?
                    }
                    _ => return Err(Reply::error(SYNTAX)),
                };
                for key in keys {
                    let items = self.pop(key, from_left, n)?;
                    if !items.is_empty() {
                        return Ok(Reply::Array(vec![Reply::bulk(key), Reply::bulks(items)]));
                    }
                }
                Reply::NilArray
            }
            "linsert" => {
                let before = match lower(args.get(1)).as_str() {
                    "before" => true,
                    "after" => false,
                    _ => return Err(Reply::error(SYNTAX)),
                };
                let (pivot, value) = (
                    args.get(2).cloned().unwrap_or_default(),
                    args.get(3).cloned().unwrap_or_default(),
                );
                let at = match self.list(key, |l| l.map(|l| l.iter().position(|i| *i == pivot)))? {
                    None => return Ok(Reply::Int(0)),
                    Some(None) => return Ok(Reply::Int(-1)),
                    Some(Some(at)) => at + usize::from(!before),
                };
                Reply::count(self.edit_list(key, |list| {
                    list.insert(at, value);
                    list.len()
                })?)
            }
            "lpos" => {
                let (mut rank, mut count) = (1, None);
                for option in args.get(2..).unwrap_or_default().chunks(2) {
                    let value = integer(option.get(1));
                    match lower(option.first()).as_str() {
                        "rank" => rank = value?,
                        "count" => {
                            let n = value?;
                            count = Some(
                                usize::try_from(n)
                                    .map_err(|_| Reply::error("ERR COUNT can't be negative"))?,
                            );
                        }
                        "maxlen" => drop(value?),
                        _ => return Err(Reply::error(SYNTAX)),
                    }
                }
                if rank == 0 {
                    return Err(Reply::error(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                    ));
                }
                let mut hits: Vec<usize> = self.list(key, |l| {
                    let items = l.into_iter().flatten().enumerate();
                    items
                        .filter(|(_, i)| i.as_slice() == other)
                        .map(|(at, _)| at)
                        .collect()
                })?;
                if rank < 0 {
                    hits.reverse();
                }
                let skip = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX) - 1;
                let hits = hits.into_iter().skip(skip);
                match count {
                    None => hits.map(Reply::count).next().unwrap_or(Reply::Nil),
                    Some(0) => Reply::Array(hits.map(Reply::count).collect()),
                    Some(n) => Reply::Array(hits.take(n).map(Reply::count).collect()),
                }
            }
            "smove" => {
                let member = args.get(2).cloned().unwrap_or_default();
                self.set(other, |_| ())?;
                if !self.set(key, |s| s.is_some_and(|s| s.contains(&member)))? {
                    return Ok(Reply::Int(0));
                }
                self.edit_set(key, |s| s.remove(&member))?;
                self.edit_set(other, |s| s.insert(member))?;
                Reply::Int(1)
            }
            "sinterstore" | "sunionstore" | "sdiffstore" => {
                let mut sets = Vec::new();
                for key in args.iter().skip(1) {
                    sets.push(self.set(key, |s| self.copied(s))??);
                }
                let combine = |a: BTreeSet<Bytes>, b: BTreeSet<Bytes>| match name {
                    "sinterstore" => &a & &b,
                    "sunionstore" => &a | &b,
                    _ => &a - &b,
                };
                let made = sets.into_iter().reduce(combine).unwrap_or_default();
                let len = made.len();
                self.forget(key)?;
                if len > 0 {
                    self.edit_set(key, |s| *s = made)?;
                }
                Reply::count(len)
            }
            _ => {
                // SINTERCARD numkeys key … [LIMIT n]
                let (keys, rest) = numbered(args, "ERR numkeys should be greater than 0")?;
                let most = match rest {
                    [] => usize::MAX,
                    [word, n] if word.eq_ignore_ascii_case(b"limit") => usize::try_from(integer(Some(n))?)
                        .map_err(|_| Reply::error("ERR LIMIT can't be negative"))?,
                    _ => return Err(Reply::error(SYNTAX)),
                };
                let mut sets = Vec::new();
                for key in keys {
                    sets.push(self.set(key, |s| self.copied(s))??);
                }
                let both = sets.into_iter().reduce(|a, b| &a & &b).unwrap_or_default();
                let most = if most == 0 { usize::MAX } else { most };
                Reply::count(both.len().min(most))
            }
        })
    }

    pub(super) fn sorted_moves(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let sorted = |key: &[u8]| -> Result<Vec<(Bytes, f64)>, Reply> {
            let pairs = self.sorted_set(key, |z| self.copied(z))??;
            let mut pairs: Vec<_> = pairs.into_iter().collect();
            pairs.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
            Ok(pairs)
        };
        let remove = |key: &[u8], gone: &[(Bytes, f64)]| -> Result<(), Reply> {
            if gone.is_empty() {
                return Ok(());
            }
            self.edit_sorted_set(key, |z| {
                for (member, _) in gone {
                    z.remove(member);
                }
            })
        };
        Ok(match name {
            "zpopmin" | "zpopmax" => {
                let n = match args.get(1) {
                    None => 1,
                    Some(n) => usize::try_from(integer(Some(n))?)
                        .map_err(|_| Reply::error("ERR value is out of range, must be positive"))?,
                };
                let mut all = sorted(key)?;
                if name == "zpopmax" {
                    all.reverse();
                }
                all.truncate(n);
                remove(key, &all)?;
                Reply::Array(
                    all.into_iter()
                        .flat_map(|(m, s)| [Reply::Bulk(m), Reply::Double(s)])
                        .collect(),
                )
            }
            "bzpopmin" | "bzpopmax" => {
                timeout(args.last())?;
                for key in args.iter().take(args.len().saturating_sub(1)) {
                    let mut all = sorted(key)?;
                    if name == "bzpopmax" {
                        all.reverse();
                    }
                    all.truncate(1);
                    remove(key, &all)?;
                    if let Some((member, score)) = all.pop() {
                        return Ok(Reply::Array(vec![
                            Reply::bulk(key),
                            Reply::Bulk(member),
                            Reply::Double(score),
                        ]));
                    }
                }
                Reply::NilArray
            }
            "zremrangebyrank" => {
                let (from, to) = (integer(args.get(1))?, integer(args.get(2))?);
                let all = sorted(key)?;
                let gone = range(all.len(), from, to)
                    .and_then(|r| all.get(r))
                    .unwrap_or_default()
                    .to_vec();
                remove(key, &gone)?;
                Reply::count(gone.len())
            }
            "zremrangebyscore" => {
                let end = |word: Option<&Bytes>| -> Result<(f64, bool), Reply> {
                    let bad = || Reply::error("ERR min or max is not a float");
                    match word.map(Vec::as_slice) {
                        Some([b'(', rest @ ..]) => {
                            Ok((float(Some(&rest.to_vec())).map_err(|_| bad())?, true))
                        }
                        _ => Ok((float(word).map_err(|_| bad())?, false)),
                    }
                };
                let ((low, above), (high, below)) = (end(args.get(1))?, end(args.get(2))?);
                let gone: Vec<(Bytes, f64)> = sorted(key)?
                    .into_iter()
                    .filter(|(_, s)| {
                        (*s > low || (!above && *s >= low)) && (*s < high || (!below && *s <= high))
                    })
                    .collect();
                remove(key, &gone)?;
                Reply::count(gone.len())
            }
            "zmscore" => {
                let scores = self.sorted_set(key, |z| {
                    args.iter()
                        .skip(1)
                        .map(|m| z.and_then(|z| z.get(m)).map_or(Reply::Nil, |s| Reply::Double(*s)))
                        .collect()
                })?;
                Reply::Array(scores)
            }
            _ => {
                // ZUNIONSTORE, ZINTERSTORE destination numkeys key …
                let text = format!("ERR at least 1 input key is needed for '{name}' command");
                let (keys, _) = numbered(args.get(1..).unwrap_or_default(), &text)?;
                let mut made: Option<BTreeMap<Bytes, f64>> = None;
                for key in keys {
                    let next = self.sorted_set(key, |z| self.copied(z))??;
                    made = Some(match made {
                        None => next,
                        Some(mut before) if name == "zunionstore" => {
                            for (m, s) in next {
                                *before.entry(m).or_insert(0.0) += s;
                            }
                            before
                        }
                        Some(before) => before
                            .into_iter()
                            .filter_map(|(m, s)| Some((m.clone(), s + next.get(&m)?)))
                            .collect(),
                    });
                }
                let made = made.unwrap_or_default();
                let len = made.len();
                self.forget(key)?;
                if len > 0 {
                    self.edit_sorted_set(key, |z| *z = made)?;
                }
                Reply::count(len)
            }
        })
    }

    pub(super) fn hash_float(&self, args: &[Bytes]) -> Answer {
        let field = args.get(1).cloned().unwrap_or_default();
        let by = float(args.get(2))?;
        let before = self.hash(first(args), |h| h.and_then(|h| h.get(&field)).cloned())?;
        let before = match before {
            None => 0.0,
            Some(text) => float(Some(&text)).map_err(|_| Reply::error("ERR hash value is not a float"))?,
        };
        let text = double(before + by);
        self.edit_hash(first(args), |h| h.insert(field, text.clone().into()))?;
        Ok(Reply::bulk(text))
    }

    pub(super) fn groups(&self, name: &str, args: &[Bytes]) -> Answer {
        match name {
            "xgroup" => self.x_group(args),
            "xread" => self.x_read(args, None),
            "xreadgroup" => {
                let [word, group, consumer, rest @ ..] = args else {
                    return Err(Reply::Error(wrong_number("xreadgroup")));
                };
                if !word.eq_ignore_ascii_case(b"group") {
                    return Err(Reply::error(SYNTAX));
                }
                self.x_read(rest, Some((group, consumer)))
            }
            "xack" => {
                let ids = ids(args.get(2..).unwrap_or_default())?;
                if self.stream(first(args), |s| {
                    s.is_none_or(|s| !s.groups.contains_key(second(args)))
                })? {
                    return Ok(Reply::Int(0));
                }
                Ok(Reply::count(self.edit_stream(first(args), |s| {
                    let group = s.groups.get_mut(second(args));
                    group.map_or(0, |g| {
                        ids.iter().filter(|id| g.pending.remove(id).is_some()).count()
                    })
                })?))
            }
            "xpending" => self.x_pending(args),
            "xsetid" => {
                let Some((new, _)) = id(second(args), 0) else {
                    return Err(Reply::error(BAD_ID));
                };
                if !self.stream(first(args), |s| s.is_some())? {
                    return Err(Reply::error("ERR no such key"));
                }
                self.edit_stream(first(args), |s| s.last = new)?;
                Ok(Reply::OK)
            }
            _ => {
                // XTRIM key MAXLEN [=|~] n
                let n = match args.get(1..).unwrap_or_default() {
                    [word, n] if word.eq_ignore_ascii_case(b"maxlen") => n,
                    [word, how, n, ..]
                        if word.eq_ignore_ascii_case(b"maxlen") && matches!(how.as_slice(), b"=" | b"~") =>
                    {
                        n
                    }
                    _ => return Err(Reply::error(SYNTAX)),
                };
                let most = usize::try_from(integer(Some(n))?)
                    .map_err(|_| Reply::error("ERR The MAXLEN argument must be >= 0."))?;
                if !self.stream(first(args), |s| s.is_some())? {
                    return Ok(Reply::Int(0));
                }
                Ok(Reply::count(self.edit_stream(first(args), |s| {
                    let before = s.entries.len();
                    while s.entries.len() > most {
                        s.entries.pop_first();
                    }
                    before - s.entries.len()
                })?))
            }
        }
    }

    fn x_group(&self, args: &[Bytes]) -> Answer {
        let sub = lower(args.first());
        let (key, group) = (second(args), args.get(2).cloned().unwrap_or_default());
        let makes = args.iter().any(|w| w.eq_ignore_ascii_case(b"mkstream"));
        if sub == "help" {
            return Ok(Reply::Array(vec![
                Reply::Status("XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
                Reply::Status("HELP"),
                Reply::Status("    Print this help."),
            ]));
        }
        let there = self.stream(key, |s| s.map(|s| (s.last, s.groups.contains_key(&group))))?;
        let Some((last, known)) = there.or_else(|| (sub == "create" && makes).then_some(((0, 0), false)))
        else {
            return Err(Reply::error(
                "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
            ));
        };
        if sub == "create" || sub == "setid" {
            let from = match args.get(3).map(Vec::as_slice) {
                Some(b"$") => last,
                Some(text) => id(text, 0).ok_or_else(|| Reply::error(BAD_ID))?.0,
                None => return Err(Reply::error(SYNTAX)),
            };
            if sub == "create" && known {
                return Err(Reply::error("BUSYGROUP Consumer Group name already exists"));
            }
            if sub == "create" || known {
                self.edit_stream(key, |s| {
                    s.groups.entry(group).or_insert_with(Group::default).last = from
                })?;
                return Ok(Reply::OK);
            }
        }
        if sub == "destroy" {
            if known {
                self.edit_stream(key, |s| s.groups.remove(&group))?;
            }
            return Ok(Reply::Int(known.into()));
        }
        if !known {
            return Err(Reply::Error(format!(
                "NOGROUP No such consumer group '{}' for key name '{}'",
                String::from_utf8_lossy(&group),
                String::from_utf8_lossy(key)
            )));
        }
        let consumer = args.get(3).cloned().unwrap_or_default();
        Ok(Reply::count(self.edit_stream(key, |s| {
            let Some(group) = s.groups.get_mut(&group) else {
                return 0;
            };
            if sub == "createconsumer" {
                return usize::from(group.consumers.insert(consumer.into()));
            }
            group.consumers.remove(consumer.as_slice());
            let before = group.pending.len();
            group.pending.retain(|_, owner| owner[..] != consumer[..]);
            before - group.pending.len()
        })?))
    }

    fn x_read(&self, args: &[Bytes], group: Option<(&Bytes, &Bytes)>) -> Answer {
        let command = if group.is_some() { "xreadgroup" } else { "xread" };
        let (mut most, mut quiet) = (usize::MAX, false);
        let mut rest = args;
        loop {
            rest = match (lower(rest.first()).as_str(), rest) {
                ("count", [_, n, tail @ ..]) => {
                    most = usize::try_from(integer(Some(n))?).unwrap_or(usize::MAX);
                    most = if most == 0 { usize::MAX } else { most };
                    tail
                }
                ("block", [_, n, tail @ ..]) => {
                    let ms = integer(Some(n))
                        .map_err(|_| Reply::error("ERR timeout is not an integer or out of range"))?;
                    if ms < 0 {
                        return Err(Reply::error("ERR timeout is negative"));
                    }
                    tail
                }
                ("noack", [_, tail @ ..]) if group.is_some() => {
                    quiet = true;
                    tail
                }
                ("streams", [_, tail @ ..]) => {
                    rest = tail;
                    break;
                }
                _ => return Err(Reply::error(SYNTAX)),
            };
        }
        if rest.is_empty() || !rest.len().is_multiple_of(2) {
            let wanted = if group.is_some() { "'>'" } else { "'$'" };
            return Err(Reply::Error(format!(
                "ERR Unbalanced '{command}' list of streams: for each stream key an ID or {wanted} must be specified."
            )));
        }
        let (keys, from) = rest.split_at(rest.len() / 2);
        let mut out = Vec::new();
        for (key, from) in keys.iter().zip(from) {
            let fresh = group.is_some() && from.as_slice() == b">";
            let last = match (from.as_slice(), group) {
                (_, Some((name, _))) => {
                    let at = self.stream(key, |s| s.and_then(|s| s.groups.get(name)).map(|g| g.last))?;
                    let Some(at) = at else {
                        return Err(Reply::Error(format!(
                            "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                            String::from_utf8_lossy(key),
                            String::from_utf8_lossy(name)
                        )));
                    };
                    if fresh {
                        at
                    } else {
                        id(from, 0).ok_or_else(|| Reply::error(BAD_ID))?.0
                    }
                }
                (b"$", None) => self.stream(key, |s| s.map_or((0, 0), |s| s.last))?,
                (text, None) => id(text, 0).ok_or_else(|| Reply::error(BAD_ID))?.0,
            };
            let entries: Vec<(Id, Vec<Bytes>)> = self.stream(key, |s| {
                let Some(s) = s else { return Ok(Vec::new()) };
                let after = s.entries.iter().filter(|(id, _)| **id > last);
                let own = |id: &Id| match group {
                    Some((name, consumer)) if !fresh => s
                        .groups
                        .get(name)
                        .and_then(|g| g.pending.get(id))
                        .is_some_and(|owner| owner[..] == consumer[..]),
                    _ => true,
                };
                after
                    .filter(|(id, _)| own(id))
                    .take(most)
                    .map(|(id, fields)| Ok((*id, self.copied(Some(fields))?)))
                    .collect::<Result<_, Reply>>()
            })??;
            if let Some((name, consumer)) = group {
                self.edit_stream(key, |s| {
                    let Some(group) = s.groups.get_mut(name) else {
                        return;
                    };
                    let consumer = group.consumer(consumer);
                    if fresh && let Some((newest, _)) = entries.last() {
                        group.last = *newest;
                        if !quiet {
                            group
                                .pending
                                .extend(entries.iter().map(|(id, _)| (*id, Arc::clone(&consumer))));
                        }
                    }
                })?;
            }
            if !entries.is_empty() || (group.is_some() && !fresh) {
                let entries = entries.into_iter().map(|((ms, n), fields)| {
                    Reply::Array(vec![Reply::bulk(format!("{ms}-{n}")), Reply::bulks(fields)])
                });
                out.push(Reply::Array(vec![
                    Reply::bulk(key),
                    Reply::Array(entries.collect()),
                ]));
            }
        }
        Ok(if out.is_empty() {
            Reply::NilArray
        } else {
            Reply::Array(out)
        })
    }

    fn x_pending(&self, args: &[Bytes]) -> Answer {
        let pending = self.stream(first(args), |s| {
            s.and_then(|s| s.groups.get(second(args)))
                .map(|g| g.pending.clone())
        })?;
        let Some(pending) = pending else {
            return Err(Reply::Error(format!(
                "NOGROUP No such key '{}' or consumer group '{}'",
                String::from_utf8_lossy(first(args)),
                String::from_utf8_lossy(second(args))
            )));
        };
        if args.len() > 2 {
            let shown = pending.iter().map(|((ms, n), owner)| {
                Ok(Reply::Array(vec![
                    Reply::bulk(format!("{ms}-{n}")),
                    self.shown(Some(&owner.to_vec()))?,
                    Reply::Int(0),
                    Reply::Int(1),
                ]))
            });
            return shown.collect::<Result<_, _>>().map(Reply::Array);
        }
        let text = |id: Option<&Id>| id.map_or(Reply::Nil, |(ms, n)| Reply::bulk(format!("{ms}-{n}")));
        let mut owners: BTreeMap<&Arc<[u8]>, usize> = BTreeMap::new();
        for owner in pending.values() {
            *owners.entry(owner).or_default() += 1;
        }
        let each = owners
            .iter()
            .map(|(owner, n)| Reply::bulks([owner.to_vec(), n.to_string().into_bytes()]));
        Ok(Reply::Array(vec![
            Reply::count(pending.len()),
            text(pending.keys().next()),
            text(pending.keys().next_back()),
            if owners.is_empty() {
                Reply::NilArray
            } else {
                Reply::Array(each.collect())
            },
        ]))
    }
}

/// `numkeys key …`: the keys, and what follows them.
fn numbered<'a>(args: &'a [Bytes], none: &str) -> Result<(&'a [Bytes], &'a [Bytes]), Reply> {
    let bad = || Reply::Error(none.to_owned());
    let n = integer(args.first()).map_err(|reply| if none.contains("numkeys") { bad() } else { reply })?;
    let n = usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(bad)?;
    let rest = args.get(1..).unwrap_or_default();
    rest.split_at_checked(n).ok_or_else(|| Reply::error(SYNTAX))
}

fn positive(word: &Bytes, otherwise: &'static str) -> Result<usize, Reply> {
    let n = integer(Some(word)).map_err(|_| Reply::error(otherwise))?;
    usize::try_from(n)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| Reply::error(otherwise))
}

fn ids(words: &[Bytes]) -> Result<Vec<Id>, Reply> {
    let ids: Option<Vec<Id>> = words.iter().map(|w| id(w, 0).map(|i| i.0)).collect();
    ids.ok_or_else(|| Reply::error(BAD_ID))
}
