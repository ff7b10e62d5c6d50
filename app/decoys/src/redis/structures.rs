//! The rarer kinds of data: bitmaps, streams, counters of different things (HyperLogLog) and places on a map.
//!
//! A counter keeps what it has counted and so makes no error; a place is the cell of 52 bits that the server keeps as a
//! sorted set's score (`geohash.c`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    budget::{Measured, OVERHEAD},
    commands::{NOT_AN_INTEGER, lower, wrong_number},
    data::{Answer, Bytes, Data, STRING_MAX, first, float, integer, range, second},
    wire::{Reply, number},
};

/// When an entry came: milliseconds of Unix time, and its number within them.
pub(super) type Id = (u64, u64);

/// A log of entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stream {
    pub(super) entries: BTreeMap<Id, Vec<Bytes>>,
    pub(super) last: Id,
    pub(super) groups: BTreeMap<Bytes, Group>,
}

/// A group of consumers of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Group {
    /// The newest entry that it was given.
    pub(super) last: Id,
    /// What was given to whom and not acknowledged; a name is kept once, however much was given to it.
    pub(super) pending: BTreeMap<Id, Arc<[u8]>>,
    pub(super) consumers: BTreeSet<Arc<[u8]>>,
}

impl Group {
    /// The name of a consumer as it is kept, which is new where it was not known.
    pub(super) fn consumer(&mut self, name: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.consumers.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = name.into();
        self.consumers.insert(Arc::clone(&new));
        new
    }
}

impl Measured for Group {
    fn bytes(&self) -> usize {
        let names: usize = self.consumers.iter().map(|name| name.bytes()).sum();
        names + self.pending.len() * OVERHEAD + 2 * OVERHEAD
    }
}

impl Measured for Vec<Bytes> {
    fn bytes(&self) -> usize {
        // An entry is shown with its identifier.
        self.iter().map(Measured::bytes).sum::<usize>() + 4 * OVERHEAD
    }
}

impl Measured for Stream {
    fn bytes(&self) -> usize {
        let entries: usize = self.entries.values().map(Measured::bytes).sum();
        let groups = self
            .groups
            .iter()
            .map(|(name, group)| name.bytes() + group.bytes());
        entries + groups.sum::<usize>()
    }
}

const BAD_ID: &str = "ERR Invalid stream ID specified as stream command argument";
const SYNTAX: &str = "ERR syntax error";

/// North and south of this there is no map (`GEO_LAT_MAX`).
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// Bits of each coordinate.
const STEP: u32 = 26;
/// Metres (`EARTH_RADIUS_IN_METERS`).
const EARTH_RADIUS: f64 = 6_372_797.560_856;

impl Data<'_> {
    pub(super) fn bitmaps(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        match name {
            "bitcount" => self.bit_count(args),
            _ => {
                let bad = || Reply::error("ERR bit offset is not an integer or out of range");
                let at = number(second(args)).and_then(|n| usize::try_from(n).ok());
                let at = at.filter(|at| at / 8 < STRING_MAX).ok_or_else(bad)?;
                let (byte, mask) = (at / 8, 0x80_u8 >> (at % 8));
                let is_set = |s: Option<&Bytes>| s.and_then(|s| s.get(byte)).is_some_and(|b| b & mask != 0);
                if name == "getbit" {
                    return Ok(Reply::Int(self.string(key, is_set)?.into()));
                }
                let on = match args.get(2).map(Vec::as_slice) {
                    Some(b"0") => false,
                    Some(b"1") => true,
                    _ => return Err(Reply::error("ERR bit is not an integer or out of range")),
                };
                self.edit_string(key, |s| {
                    let before = is_set(Some(s));
                    s.resize(s.len().max(byte + 1), 0);
                    if let Some(b) = s.get_mut(byte) {
                        *b = if on { *b | mask } else { *b & !mask };
                    }
                    Reply::Int(before.into())
                })
            }
        }
    }

    fn bit_count(&self, args: &[Bytes]) -> Answer {
        let value = self.string(first(args), |s| s.cloned())?.unwrap_or_default();
        let ones = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|b| usize::try_from(b.count_ones()).unwrap_or(0))
                .sum()
        };
        let count: usize = match args {
            [_] => ones(&value),
            [_, from, to, unit @ ..] if unit.len() <= 1 => {
                let (from, to) = (integer(Some(from))?, integer(Some(to))?);
                match lower(unit.first()).as_str() {
                    "" | "byte" => range(value.len(), from, to)
                        .and_then(|r| value.get(r))
                        .map_or(0, ones),
                    "bit" => {
                        let bit = |at: &usize| value.get(at / 8).is_some_and(|b| b & (0x80 >> (at % 8)) != 0);
                        range(value.len() * 8, from, to).map_or(0, |r| r.filter(bit).count())
                    }
                    _ => return Err(Reply::error(SYNTAX)),
                }
            }
            _ => return Err(Reply::error(SYNTAX)),
        };
        Ok(Reply::count(count))
    }

    pub(super) fn counters(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let all = |keys: &[Bytes]| -> Result<BTreeSet<Bytes>, Reply> {
            let mut all = BTreeSet::new();
            for key in keys {
                all.extend(self.counter(key, |c| self.copied(c))??);
            }
            Ok(all)
        };
        Ok(match name {
            "pfcount" => Reply::count(all(args)?.len()),
            "pfmerge" => {
                let merged = all(args)?;
                self.edit_counter(key, |counter| *counter = merged)?;
                Reply::OK
            }
            _ => {
                let new = self.counter(key, |c| c.is_none())?;
                let items = args.get(1..).unwrap_or_default();
                let changed = self.edit_counter(key, |counter| {
                    let before = counter.len();
                    counter.extend(items.iter().cloned());
                    counter.len() > before
                })?;
                Reply::Int((new || changed).into())
            }
        })
    }

    pub(super) fn streams(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        Ok(match name {
            "xadd" => self.x_add(args)?,
            "xlen" => Reply::count(self.stream(key, |s| s.map_or(0, |s| s.entries.len()))?),
            "xdel" => {
                let ids: Option<Vec<Id>> = args
                    .iter()
                    .skip(1)
                    .map(|text| id(text, 0).map(|(id, _)| id))
                    .collect();
                let ids = ids.ok_or_else(|| Reply::error(BAD_ID))?;
                if !self.exists(key)? {
                    return Ok(Reply::Int(0));
                }
                Reply::count(self.edit_stream(key, |s| {
                    ids.iter().filter(|id| s.entries.remove(id).is_some()).count()
                })?)
            }
            _ => {
                let backwards = name == "xrevrange";
                let (low, high) = if backwards { (2, 1) } else { (1, 2) };
                let from = end_of_range(args.get(low), 0)?;
                let to = end_of_range(args.get(high), u64::MAX)?;
                let most = match args.get(3..).unwrap_or_default() {
                    [] => usize::MAX,
                    [word, n] if word.eq_ignore_ascii_case(b"count") => {
                        usize::try_from(integer(Some(n))?).unwrap_or(0)
                    }
                    _ => return Err(Reply::error(SYNTAX)),
                };
                self.stream(key, |s| {
                    let inside = |(id, _): &(&Id, &Vec<Bytes>)| from <= **id && **id <= to;
                    let shown = |((ms, n), fields): (&Id, &Vec<Bytes>)| {
                        Reply::Array(vec![Reply::bulk(format!("{ms}-{n}")), Reply::bulks(fields)])
                    };
                    let entries = s.into_iter().flat_map(|s| s.entries.iter()).filter(inside);
                    let entries: Vec<_> = entries.collect();
                    Reply::Array(if backwards {
                        entries.into_iter().rev().take(most).map(shown).collect()
                    } else {
                        entries.into_iter().take(most).map(shown).collect()
                    })
                })?
            }
        })
    }

    fn x_add(&self, args: &[Bytes]) -> Answer {
        let (mut most, mut only_old) = (None, false);
        let mut rest = args.get(1..).unwrap_or_default();
        loop {
            rest = match (lower(rest.first()).as_str(), rest) {
                ("nomkstream", [_, tail @ ..]) => {
                    only_old = true;
                    tail
                }
                ("maxlen", [_, how, n, tail @ ..]) if matches!(how.as_slice(), b"~" | b"=") => {
                    most = Some(integer(Some(n))?);
                    tail
                }
                ("maxlen", [_, n, tail @ ..]) => {
                    most = Some(integer(Some(n))?);
                    tail
                }
                _ => break,
            };
        }
        let Some((wanted, fields)) = rest.split_first() else {
            return Err(Reply::Error(wrong_number("xadd")));
        };
        let now = u64::try_from(self.now).unwrap_or(0);
        let wanted = match wanted.as_slice() {
            b"*" => None,
            text => Some(id(text, 0).ok_or_else(|| Reply::error(BAD_ID))?),
        };
        if fields.is_empty() || !fields.len().is_multiple_of(2) {
            return Err(Reply::Error(wrong_number("xadd")));
        }
        if wanted == Some(((0, 0), false)) {
            return Err(Reply::error(
                "ERR The ID specified in XADD must be greater than 0-0",
            ));
        }
        if only_old && !self.exists(first(args))? {
            return Ok(Reply::Nil);
        }
        let last = self.stream(first(args), |s| s.map_or((0, 0), |s| s.last))?;
        let new = match wanted {
            None if now > last.0 => (now, 0),
            None => (last.0, last.1 + 1),
            // The server counts within the millisecond.
            Some(((ms, _), true)) if ms == last.0 => (ms, last.1 + 1),
            Some((given, _)) => given,
        };
        if new <= last {
            return Err(Reply::error(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            ));
        }
        self.edit_stream(first(args), |s| {
            s.last = new;
            s.entries.insert(new, fields.to_vec());
            while most.is_some_and(|most| s.entries.len() > usize::try_from(most).unwrap_or(0)) {
                s.entries.pop_first();
            }
        })?;
        Ok(Reply::bulk(format!("{}-{}", new.0, new.1)))
    }

    pub(super) fn places(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let at =
            |member: &[u8]| self.sorted_set(key, |z| z.and_then(|z| z.get(member)).map(|cell| place(*cell)));
        Ok(match name {
            "geopos" => {
                let mut found = Vec::new();
                for member in args.iter().skip(1) {
                    found.push(at(member)?.map_or(Reply::NilArray, |(x, y)| {
                        Reply::bulks([coordinate(x), coordinate(y)])
                    }));
                }
                Reply::Array(found)
            }
            "geodist" => {
                let unit = match lower(args.get(3)).as_str() {
                    "" | "m" => 1.0,
                    "km" => 1000.0,
                    "ft" => 0.3048,
                    "mi" => 1609.34,
                    _ => {
                        return Err(Reply::error(
                            "ERR unsupported unit provided. please use M, KM, FT, MI",
                        ));
                    }
                };
                match (at(second(args))?, at(args.get(2).map_or(&[], Vec::as_slice))?) {
                    (Some(a), Some(b)) => Reply::bulk(format!("{:.4}", distance(a, b) / unit)),
                    _ => Reply::Nil,
                }
            }
            _ => {
                let (mut only_new, mut only_old, mut changes) = (false, false, false);
                let mut rest = args.get(1..).unwrap_or_default();
                while let Some((word, tail)) = rest.split_first() {
                    match lower(Some(word)).as_str() {
                        "nx" => only_new = true,
                        "xx" => only_old = true,
                        "ch" => changes = true,
                        _ => break,
                    }
                    rest = tail;
                }
                if !rest.len().is_multiple_of(3) || (only_new && only_old) {
                    return Err(Reply::error(SYNTAX));
                }
                let mut cells = Vec::new();
                for triple in rest.chunks(3) {
                    let (x, y) = (float(triple.first())?, float(triple.get(1))?);
                    if x.abs() > LONGITUDE_MAX || y.abs() > LATITUDE_MAX {
                        return Err(Reply::Error(format!(
                            "ERR invalid longitude,latitude pair {x:.6},{y:.6}"
                        )));
                    }
                    cells.push((triple.get(2).cloned().unwrap_or_default(), cell(x, y)));
                }
                Reply::count(self.edit_sorted_set(key, |z| {
                    let mut n = 0;
                    for (member, cell) in cells {
                        let old = z.get(&member).copied();
                        if (only_new && old.is_some()) || (only_old && old.is_none()) {
                            continue;
                        }
                        n += usize::from(old.is_none() || (changes && old != Some(cell)));
                        z.insert(member, cell);
                    }
                    n
                })?)
            }
        })
    }
}

/// An identifier, and whether the server is to count within its millisecond; `missing` where it has no second half.
pub(super) fn id(text: &[u8], missing: u64) -> Option<(Id, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    Some(match text.split_once('-') {
        None => ((text.parse().ok()?, missing), false),
        Some((ms, "*")) => ((ms.parse().ok()?, 0), true),
        Some((ms, n)) => ((ms.parse().ok()?, n.parse().ok()?), false),
    })
}

/// One end of XRANGE, itself inside.
fn end_of_range(word: Option<&Bytes>, missing: u64) -> Result<Id, Reply> {
    let bad = || Reply::error(BAD_ID);
    match word.map_or(&[][..], Vec::as_slice) {
        b"-" => Ok((0, 0)),
        b"+" => Ok((u64::MAX, u64::MAX)),
        [b'(', text @ ..] => {
            let ((ms, n), _) = id(text, missing).ok_or_else(bad)?;
            // Outside: the next one above, or below.
            let next = if missing == 0 {
                n.checked_add(1)
            } else {
                n.checked_sub(1)
            };
            next.map(|n| (ms, n)).ok_or_else(|| Reply::error(NOT_AN_INTEGER))
        }
        text => id(text, missing).map(|(id, _)| id).ok_or_else(bad),
    }
}

/// The cell of a place: the bits of latitude and longitude in turn, as a score.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the shares are from 0 to 1 and the cell has 52 bits, which a double holds"
)]
fn cell(x: f64, y: f64) -> f64 {
    let bits = |share: f64| (share * f64::from(1_u32 << STEP)) as u32;
    let lat = bits((y + LATITUDE_MAX) / (2.0 * LATITUDE_MAX));
    let long = bits((x + LONGITUDE_MAX) / (2.0 * LONGITUDE_MAX));
    let cell = (0..STEP).fold(0_u64, |cell, bit| {
        cell | u64::from(lat >> bit & 1) << (2 * bit) | u64::from(long >> bit & 1) << (2 * bit + 1)
    });
    cell as f64
}

/// The middle of a cell: longitude and latitude.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a score that is no cell, which ZADD may have made, is read as the server reads it: as 64 bits"
)]
fn place(cell: f64) -> (f64, f64) {
    let cell = cell as u64;
    let bits = |first: u32| {
        (0..STEP).fold(0_u32, |sum, bit| {
            sum | u32::from(cell >> (2 * bit + first) & 1 == 1) << bit
        })
    };
    let middle = |n: u32, max: f64| {
        let edge = |n: u32| -max + f64::from(n) / f64::from(1_u32 << STEP) * (2.0 * max);
        f64::midpoint(edge(n), edge(n + 1))
    };
    (middle(bits(1), LONGITUDE_MAX), middle(bits(0), LATITUDE_MAX))
}

/// Metres between two places (`geohashGetDistance`).
fn distance((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> f64 {
    let (lat1, lat2) = (y1.to_radians(), y2.to_radians());
    let u = ((lat2 - lat1) / 2.0).sin();
    let v = ((x2.to_radians() - x1.to_radians()) / 2.0).sin();
    2.0 * EARTH_RADIUS * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().asin()
}

/// Seventeen decimals at most, as the server writes a long double for people.
fn coordinate(value: f64) -> String {
    let text = format!("{value:.17}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
