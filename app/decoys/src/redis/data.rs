//! The commands that concern keys and values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    budget::Measured,
    commands::{NOT_AN_INTEGER, Visitor, lower, wrong_number},
    glob,
    keyspace::{Database, NoRoom, Value},
    structures::Stream,
    wire::{Reply, double, number},
};

pub(super) type Bytes = Vec<u8>;
pub(super) type Answer = Result<Reply, Reply>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_A_FLOAT: &str = "ERR value is not a valid float";
/// The most elements that a range or a scan looks at by default.
const SCAN_COUNT: usize = 10;
/// The longest string that SETRANGE and the like make (the visitor's world is bounded anyway).
pub(super) const STRING_MAX: usize = 4 << 20;

/// Answer `name`, if it is a command on data.
pub(super) fn execute(visitor: &Visitor<'_>, name: &str, args: &[Bytes]) -> Option<Reply> {
    let v = Data {
        visitor,
        now: visitor.server.now(),
    };
    let answer = match name {
        "keys" | "scan" | "dbsize" | "exists" | "touch" | "type" | "del" | "unlink" | "rename"
        | "renamenx" | "randomkey" | "flushdb" | "flushall" | "ttl" | "pttl" | "expiretime"
        | "pexpiretime" | "expire" | "pexpire" | "expireat" | "pexpireat" | "persist" | "object"
        | "memory" | "dump" | "copy" => v.keys(name, args),
        "get" | "set" | "setnx" | "setex" | "psetex" | "getset" | "getdel" | "getex" | "append"
        | "strlen" | "incr" | "decr" | "incrby" | "decrby" | "incrbyfloat" | "mget" | "mset" | "msetnx"
        | "getrange" | "substr" | "setrange" => v.strings(name, args),
        "hget" | "hset" | "hmset" | "hmget" | "hgetall" | "hdel" | "hexists" | "hkeys" | "hvals" | "hlen"
        | "hsetnx" | "hincrby" | "hstrlen" | "hscan" => v.hashes(name, args),
        "lpush" | "rpush" | "lpushx" | "rpushx" | "lpop" | "rpop" | "llen" | "lrange" | "lindex" | "lset"
        | "lrem" | "ltrim" => v.lists(name, args),
        "sadd" | "srem" | "smembers" | "sismember" | "smismember" | "scard" | "spop" | "srandmember"
        | "sscan" | "sinter" | "sunion" | "sdiff" => v.sets(name, args),
        "zadd" | "zrem" | "zscore" | "zcard" | "zrange" | "zrevrange" | "zrangebyscore"
        | "zrevrangebyscore" | "zcount" | "zrank" | "zrevrank" | "zincrby" | "zscan" => {
            v.sorted_sets(name, args)
        }
        "setbit" | "getbit" | "bitcount" => v.bitmaps(name, args),
        "lmove" | "blmove" | "rpoplpush" | "brpoplpush" | "blpop" | "brpop" | "lmpop" | "blmpop"
        | "linsert" | "lpos" | "smove" | "sinterstore" | "sunionstore" | "sdiffstore" | "sintercard" => {
            v.moves(name, args)
        }
        "zpopmin" | "zpopmax" | "bzpopmin" | "bzpopmax" | "zremrangebyrank" | "zremrangebyscore"
        | "zmscore" | "zunionstore" | "zinterstore" => v.sorted_moves(name, args),
        "hincrbyfloat" => v.hash_float(args),
        "xgroup" | "xread" | "xreadgroup" | "xack" | "xpending" | "xsetid" | "xtrim" => v.groups(name, args),
        "xadd" | "xlen" | "xdel" | "xrange" | "xrevrange" => v.streams(name, args),
        "pfadd" | "pfcount" | "pfmerge" => v.counters(name, args),
        "geoadd" | "geopos" | "geodist" => v.places(name, args),
        _ => return None,
    };
    Some(answer.unwrap_or_else(|refusal| refusal))
}

pub(super) struct Data<'a> {
    visitor: &'a Visitor<'a>,
    pub(super) now: i64,
}

/// Reading and changing a value of one type.
macro_rules! access {
    ($read:ident, $edit:ident, $variant:ident, $type:ty) => {
        pub(super) fn $read<T>(
            &self,
            key: &[u8],
            look: impl FnOnce(Option<&$type>) -> T,
        ) -> Result<T, Reply> {
            self.visitor
                .see(|db| match db.get(key, self.now) {
                    None => Ok(look(None)),
                    Some(Value::$variant(value)) => Ok(look(Some(value))),
                    Some(_) => Err(Reply::error(WRONG_TYPE)),
                })
                .unwrap_or(Err(Reply::Nil))
        }

        pub(super) fn $edit<T>(&self, key: &[u8], edit: impl FnOnce(&mut $type) -> T) -> Result<T, Reply> {
            self.$read(key, |_| ())?;
            self.visitor
                .change(|db| {
                    let mut value = match db.get(key, self.now) {
                        Some(Value::$variant(value)) => value.clone(),
                        _ => <$type>::default(),
                    };
                    let result = edit(&mut value);
                    db.put(key, Value::$variant(value), true, self.now)?;
                    Ok(result)
                })
                .ok_or(Reply::Nil)?
        }
    };
}

impl Data<'_> {
    access!(string, edit_string, Str, Bytes);
    access!(list, edit_list, List, VecDeque<Bytes>);
    access!(set, edit_set, Set, BTreeSet<Bytes>);
    access!(hash, edit_hash, Hash, BTreeMap<Bytes, Bytes>);
    access!(stream, edit_stream, Stream, Stream);
    access!(counter, edit_counter, Counter, BTreeSet<Bytes>);
    access!(sorted_set, edit_sorted_set, SortedSet, BTreeMap<Bytes, f64>);

    /// Remove a key, whatever it holds.
    pub(super) fn forget(&self, key: &[u8]) -> Result<(), Reply> {
        self.change(|db| drop(db.remove(key, self.now)))
    }

    fn see<T>(&self, look: impl FnOnce(&Database) -> T) -> Result<T, Reply> {
        self.visitor.see(look).ok_or(Reply::Nil)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Database) -> T) -> Result<T, Reply> {
        self.visitor.change(change).ok_or(Reply::Nil)
    }

    /// A copy of what was read of the world, or what there is where it has nothing; the answer may take as much.
    pub(super) fn copied<T: Measured + Clone + Default>(&self, value: Option<&T>) -> Result<T, Reply> {
        let Some(value) = value else {
            return Ok(T::default());
        };
        self.visitor.budget.charge(value)?;
        Ok(value.clone())
    }

    /// A string of the world in an answer, which may take as much.
    pub(super) fn shown(&self, value: Option<&Bytes>) -> Answer {
        let Some(value) = value else {
            return Ok(Reply::Nil);
        };
        self.copied(Some(value)).map(Reply::Bulk)
    }

    pub(super) fn exists(&self, key: &[u8]) -> Result<bool, Reply> {
        self.see(|db| db.get(key, self.now).is_some())
    }

    fn all_keys(&self) -> Result<Vec<Bytes>, Reply> {
        let order = |key: &[u8]| self.visitor.server.order(key);
        self.see(|db| db.keys(self.now, order).into_iter().map(<[u8]>::to_vec).collect())
    }

    fn keys(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        Ok(match name {
            "keys" => {
                let found = self
                    .all_keys()?
                    .into_iter()
                    .filter(|k| glob::matches(key, k, false));
                Reply::bulks(found)
            }
            "scan" => {
                let keys = self.all_keys()?;
                let wanted_type =
                    option(args, "type").map(|t| String::from_utf8_lossy(t).to_ascii_lowercase());
                let of_type = |k: &Bytes| {
                    wanted_type.as_ref().is_none_or(|wanted| {
                        self.visitor
                            .see(|db| db.get(k, self.now).is_some_and(|v| v.type_name() == wanted))
                            == Some(true)
                    })
                };
                scan(keys, args, |k| of_type(k), |k| vec![Reply::bulk(k)])?
            }
            "dbsize" => Reply::count(self.see(|db| db.sizes(self.now).0)?),
            "exists" | "touch" => {
                let mut n = 0;
                for key in args {
                    n += usize::from(self.exists(key)?);
                }
                Reply::count(n)
            }
            "type" => Reply::Status(self.see(|db| db.get(key, self.now).map_or("none", Value::type_name))?),
            "del" | "unlink" => Reply::count(self.change(|db| {
                args.iter()
                    .filter(|key| db.remove(key, self.now).is_some())
                    .count()
            })?),
            "rename" | "renamenx" | "copy" => self.rename(name, args)?,
            "randomkey" => {
                let keys = self.all_keys()?;
                let at = usize::try_from(rand::random::<u32>()).unwrap_or_default() % keys.len().max(1);
                keys.get(at).map_or(Reply::Nil, Reply::bulk)
            }
            "flushdb" => {
                self.change(Database::clear)?;
                Reply::OK
            }
            "flushall" => {
                let visitor = self.visitor;
                visitor.server.worlds.change(visitor.address, |world| {
                    world.databases.iter_mut().for_each(Database::clear)
                });
                Reply::OK
            }
            "ttl" | "pttl" | "expiretime" | "pexpiretime" => {
                let expiry = self.see(|db| db.expiry(key, self.now))?;
                Reply::Int(match expiry {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(at)) => match name {
                        "ttl" => (at - self.now + 500) / 1000,
                        "pttl" => at - self.now,
                        "expiretime" => at / 1000,
                        _ => at,
                    },
                })
            }
            "expire" | "pexpire" | "expireat" | "pexpireat" => self.expire(name, args)?,
            "persist" => {
                let had = matches!(self.see(|db| db.expiry(key, self.now))?, Some(Some(_)));
                if had {
                    self.change(|db| db.set_expiry(key, None))?;
                }
                Reply::Int(had.into())
            }
            "object" => self.object(args)?,
            "memory" => match (lower(args.first()).as_str(), args.get(1)) {
                ("usage", Some(key)) if self.exists(key)? => Reply::count(56 + key.len() * 2),
                ("usage", _) => Reply::Nil,
                ("purge", _) => Reply::OK,
                _ => Reply::Array(Vec::new()),
            },
            // Nobody restores it here; a server that is busy gives up the same way.
            _ => Reply::Nil,
        })
    }

    fn rename(&self, name: &str, args: &[Bytes]) -> Answer {
        let (from, to) = pair(args);
        let taken = self.exists(to)?;
        if !self.exists(from)? {
            return Ok(if name == "copy" {
                Reply::Int(0)
            } else {
                Reply::error("ERR no such key")
            });
        }
        if taken && name != "rename" {
            return Ok(Reply::Int(0));
        }
        self.change(|db| {
            if name != "copy" {
                return db.rename(from, to, self.now).map(drop);
            }
            let expiry = db.expiry(from, self.now).flatten();
            if let Some(value) = db.get(from, self.now).cloned() {
                db.put(to, value, false, self.now)?;
                db.set_expiry(to, expiry);
            }
            Ok(())
        })??;
        Ok(if name == "rename" {
            Reply::OK
        } else {
            Reply::Int(1)
        })
    }

    fn expire(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let n = integer(args.get(1))?;
        let unit = if name.starts_with('p') { 1 } else { 1000 };
        let base = if name.ends_with("at") { 0 } else { self.now };
        let Some(at) = n.checked_mul(unit).and_then(|ms| ms.checked_add(base)) else {
            return Err(Reply::Error(format!(
                "ERR invalid expire time in '{name}' command"
            )));
        };
        if !self.exists(key)? {
            return Ok(Reply::Int(0));
        }
        self.change(|db| {
            if at <= self.now {
                db.remove(key, self.now);
            } else {
                db.set_expiry(key, Some(at));
            }
        })?;
        Ok(Reply::Int(1))
    }

    fn object(&self, args: &[Bytes]) -> Answer {
        let Some(key) = args.get(1) else {
            return Ok(Reply::Nil);
        };
        let version = self.visitor.server.version;
        let small = if version.at_least(7, 0) {
            "listpack"
        } else {
            "ziplist"
        };
        let encoding = self.see(|db| {
            db.get(key, self.now).map(|value| match value {
                Value::Str(s) if number(s).is_some() => "int",
                Value::Str(s) if s.len() <= 44 => "embstr",
                Value::Str(_) => "raw",
                Value::List(_) => "quicklist",
                Value::Set(s) if s.iter().all(|m| number(m).is_some()) && s.len() <= 512 => "intset",
                Value::Set(_) => "hashtable",
                Value::Hash(h) if h.len() <= 128 && h.iter().all(|(k, v)| k.len().max(v.len()) <= 64) => {
                    small
                }
                Value::Hash(_) => "hashtable",
                Value::SortedSet(z) if z.len() <= 128 && z.keys().all(|m| m.len() <= 64) => small,
                Value::SortedSet(_) => "skiplist",
                Value::Stream(_) => "stream",
                Value::Counter(_) => "raw",
            })
        })?;
        let Some(encoding) = encoding else {
            return Ok(Reply::Nil);
        };
        Ok(match lower(args.first()).as_str() {
            "encoding" => Reply::bulk(encoding),
            // Small numbers are shared by all keys (`OBJ_SHARED_INTEGERS`).
            "refcount" if encoding == "int" => {
                let shared = self.string(key, |s| {
                    s.and_then(|s| number(s))
                        .is_some_and(|n| (0..10_000).contains(&n))
                })?;
                Reply::Int(if shared { i64::from(i32::MAX) } else { 1 })
            }
            "refcount" => Reply::Int(1),
            "idletime" => Reply::Int(0),
            _ => Reply::error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ),
        })
    }

    fn strings(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let get = |key: &[u8]| self.string(key, |s| s.cloned());
        let bulk = |value: Option<Bytes>| value.map_or(Reply::Nil, Reply::Bulk);
        Ok(match name {
            "get" => bulk(get(key)?),
            "set" => self.set_command(args)?,
            "setnx" => {
                let new = !self.exists(key)?;
                if new {
                    self.put(key, second(args), None)?;
                }
                Reply::Int(new.into())
            }
            "setex" | "psetex" => {
                let n = integer(args.get(1))?;
                if n <= 0 {
                    return Err(Reply::Error(format!(
                        "ERR invalid expire time in '{name}' command"
                    )));
                }
                let ms = if name == "setex" {
                    n.saturating_mul(1000)
                } else {
                    n
                };
                self.put(
                    key,
                    args.get(2).map_or(&[], Vec::as_slice),
                    Some(self.now.saturating_add(ms)),
                )?;
                Reply::OK
            }
            "getset" | "getdel" | "getex" => {
                let old = get(key)?;
                match name {
                    "getset" => self.put(key, second(args), None)?,
                    "getdel" => drop(self.change(|db| db.remove(key, self.now))?),
                    _ => {}
                }
                bulk(old)
            }
            "append" => Reply::count(self.edit_string(key, |s| {
                let room = STRING_MAX.saturating_sub(s.len());
                let tail = second(args);
                s.extend_from_slice(tail.get(..room).unwrap_or(tail));
                s.len()
            })?),
            "strlen" => Reply::count(get(key)?.map_or(0, |s| s.len())),
            "incr" => self.add(key, 1)?,
            "decr" => self.add(key, -1)?,
            "incrby" => self.add(key, integer(args.get(1))?)?,
            "decrby" => self.add(key, integer(args.get(1))?.checked_neg().ok_or_else(overflow)?)?,
            "incrbyfloat" => {
                let old = get(key)?.map_or(Ok(0.0), |s| float(Some(&s)))?;
                let text = double(old + float(args.get(1))?);
                self.put(key, text.as_bytes(), None)?;
                Reply::bulk(text)
            }
            "mget" => {
                let mut values = Vec::new();
                for key in args {
                    // Another kind of value is no fault here.
                    values.push(self.string(key, |s| self.shown(s)).unwrap_or(Ok(Reply::Nil))?);
                }
                Reply::Array(values)
            }
            "mset" | "msetnx" => {
                if !args.len().is_multiple_of(2) {
                    return Err(Reply::Error(wrong_number(name)));
                }
                let mut taken = false;
                for pair in args.chunks(2) {
                    taken |= name == "msetnx" && self.exists(first(pair))?;
                }
                if !taken {
                    for pair in args.chunks(2) {
                        self.put(first(pair), second(pair), None)?;
                    }
                }
                if name == "mset" {
                    Reply::OK
                } else {
                    Reply::Int((!taken).into())
                }
            }
            "getrange" | "substr" => {
                let (from, to) = (integer(args.get(1))?, integer(args.get(2))?);
                let value = get(key)?.unwrap_or_default();
                Reply::bulk(
                    range(value.len(), from, to)
                        .and_then(|r| value.get(r))
                        .unwrap_or_default(),
                )
            }
            _ => {
                let Some(at) = usize::try_from(integer(args.get(1))?).ok() else {
                    return Err(Reply::error("ERR offset is out of range"));
                };
                let value = args.get(2).map_or(&[][..], Vec::as_slice);
                if at.saturating_add(value.len()) > STRING_MAX {
                    return Err(Reply::error(
                        "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                    ));
                }
                Reply::count(self.edit_string(key, |s| {
                    if s.len() < at + value.len() {
                        s.resize(at + value.len(), 0);
                    }
                    if let Some(part) = s.get_mut(at..at + value.len()) {
                        part.copy_from_slice(value);
                    }
                    s.len()
                })?)
            }
        })
    }

    fn put(&self, key: &[u8], value: &[u8], expires: Option<i64>) -> Result<(), Reply> {
        self.change(|db| {
            db.put(key, Value::Str(value.to_vec()), false, self.now)?;
            db.set_expiry(key, expires);
            Ok(())
        })?
    }

    fn add(&self, key: &[u8], by: i64) -> Answer {
        let old = self.string(key, |s| s.map_or(Some(0), |s| number(s)))?;
        let old = old.ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
        let new = old.checked_add(by).ok_or_else(overflow)?;
        self.edit_string(key, |s| *s = new.to_string().into_bytes())?;
        Ok(Reply::Int(new))
    }

    fn set_command(&self, args: &[Bytes]) -> Answer {
        let (key, value) = pair(args);
        let (mut only_new, mut only_old, mut keep, mut get) = (false, false, false, false);
        let mut expires = None;
        let mut rest = args.get(2..).unwrap_or_default();
        while let Some((word, tail)) = rest.split_first() {
            rest = tail;
            match lower(Some(word)).as_str() {
                "nx" if !only_old => only_new = true,
                "xx" if !only_new => only_old = true,
                "keepttl" if expires.is_none() => keep = true,
                "get" if self.visitor.server.version.at_least(6, 2) => get = true,
                unit @ ("ex" | "px" | "exat" | "pxat") if expires.is_none() && !keep => {
                    let Some((n, tail)) = tail.split_first() else {
                        return Err(Reply::error("ERR syntax error"));
                    };
                    rest = tail;
                    let n = integer(Some(n))?;
                    let ms = if unit.starts_with('e') {
                        n.checked_mul(1000)
                    } else {
                        Some(n)
                    };
                    let base = if unit.ends_with("at") { 0 } else { self.now };
                    let at = ms.filter(|ms| *ms > 0).and_then(|ms| ms.checked_add(base));
                    expires =
                        Some(at.ok_or_else(|| Reply::error("ERR invalid expire time in 'set' command"))?);
                }
                _ => return Err(Reply::error("ERR syntax error")),
            }
        }
        let old = if get {
            Some(self.string(key, |s| s.cloned())?)
        } else {
            None
        };
        let there = self.exists(key)?;
        let done = !(only_new && there || only_old && !there);
        if done {
            self.change(|db| {
                db.put(key, Value::Str(value.to_vec()), keep, self.now)?;
                if !keep {
                    db.set_expiry(key, expires);
                }
                Ok::<_, NoRoom>(())
            })??;
        }
        Ok(match old {
            Some(old) => old.map_or(Reply::Nil, Reply::Bulk),
            None if done => Reply::OK,
            None => Reply::Nil,
        })
    }

    fn hashes(&self, name: &str, args: &[Bytes]) -> Answer {
        let (key, field) = pair(args);
        let fields = args.get(1..).unwrap_or_default();
        let bulk = |value: Option<&Bytes>| value.map_or(Reply::Nil, Reply::bulk);
        Ok(match name {
            "hget" => self.hash(key, |h| bulk(h.and_then(|h| h.get(field))))?,
            "hset" | "hmset" => {
                if !fields.len().is_multiple_of(2) {
                    return Err(Reply::Error(wrong_number(name)));
                }
                let new = self.edit_hash(key, |h| {
                    let pairs = fields.chunks(2).map(|p| (first(p).to_vec(), second(p).to_vec()));
                    pairs
                        .filter(|(k, v)| h.insert(k.clone(), v.clone()).is_none())
                        .count()
                })?;
                if name == "hset" {
                    Reply::count(new)
                } else {
                    Reply::OK
                }
            }
            "hmget" => {
                let values = self.hash(key, |h| {
                    let values = fields.iter().map(|f| self.shown(h.and_then(|h| h.get(f))));
                    values.collect::<Result<_, _>>()
                })?;
                Reply::Array(values?)
            }
            "hgetall" => self.hash(key, |h| {
                let pairs = h.into_iter().flatten();
                Reply::Map(pairs.map(|(k, v)| (Reply::bulk(k), Reply::bulk(v))).collect())
            })?,
            "hkeys" => self.hash(key, |h| Reply::bulks(h.into_iter().flat_map(BTreeMap::keys)))?,
            "hvals" => self.hash(key, |h| Reply::bulks(h.into_iter().flat_map(BTreeMap::values)))?,
            "hlen" => self.hash(key, |h| Reply::count(h.map_or(0, BTreeMap::len)))?,
            "hexists" => self.hash(key, |h| {
                Reply::Int(h.is_some_and(|h| h.contains_key(field)).into())
            })?,
            "hstrlen" => self.hash(key, |h| {
                Reply::count(h.and_then(|h| h.get(field)).map_or(0, Vec::len))
            })?,
            "hdel" if !self.exists(key)? => Reply::Int(0),
            "hdel" => Reply::count(
                self.edit_hash(key, |h| fields.iter().filter(|f| h.remove(*f).is_some()).count())?,
            ),
            "hsetnx" => {
                let value = args.get(2).cloned().unwrap_or_default();
                let new = self.edit_hash(key, |h| {
                    let new = !h.contains_key(field);
                    if new {
                        h.insert(field.to_vec(), value);
                    }
                    new
                })?;
                Reply::Int(new.into())
            }
            "hincrby" => {
                let by = integer(args.get(2))?;
                let old = self.hash(key, |h| {
                    h.and_then(|h| h.get(field)).map_or(Some(0), |v| number(v))
                })?;
                let old = old.ok_or_else(|| Reply::error("ERR hash value is not an integer"))?;
                let new = old.checked_add(by).ok_or_else(overflow)?;
                self.edit_hash(key, |h| h.insert(field.to_vec(), new.to_string().into_bytes()))?;
                Reply::Int(new)
            }
            _ => {
                let pairs = self.hash(key, |h| {
                    h.into_iter()
                        .flatten()
                        .map(|(k, v)| (k.clone(), v.clone()))
                        .collect::<Vec<_>>()
                })?;
                scan_pairs(pairs, fields)?
            }
        })
    }

    fn lists(&self, name: &str, args: &[Bytes]) -> Answer {
        let key = first(args);
        let items = args.get(1..).unwrap_or_default();
        Ok(match name {
            "lpushx" | "rpushx" if !self.exists(key)? => Reply::Int(0),
            "lpush" | "lpushx" | "rpush" | "rpushx" => Reply::count(self.edit_list(key, |list| {
                for item in items {
                    if name.starts_with('l') {
                        list.push_front(item.clone())
                    } else {
                        list.push_back(item.clone())
                    }
                }
                list.len()
            })?),
            "lpop" | "rpop" => {
                let count = items.first().map(|n| integer(Some(n))).transpose()?;
                if count.is_some_and(|n| n < 0) {
                    return Err(Reply::error("ERR value is out of range, must be positive"));
                }
                if !self.list(key, |l| l.is_some())? {
                    return Ok(if count.is_some() {
                        Reply::NilArray
                    } else {
                        Reply::Nil
                    });
                }
                let n = usize::try_from(count.unwrap_or(1)).unwrap_or_default();
                let popped = self.edit_list(key, |list| {
                    let n = n.min(list.len());
                    let pop = |list: &mut VecDeque<Bytes>| {
                        if name == "lpop" {
                            list.pop_front()
                        } else {
                            list.pop_back()
                        }
                    };
                    (0..n).filter_map(|_| pop(list)).collect::<Vec<_>>()
                })?;
                match count {
                    Some(_) => Reply::bulks(popped),
                    None => popped.into_iter().next().map_or(Reply::Nil, Reply::Bulk),
                }
            }
            "llen" => self.list(key, |l| Reply::count(l.map_or(0, VecDeque::len)))?,
            "lrange" => {
                let (from, to) = (integer(args.get(1))?, integer(args.get(2))?);
                self.list(key, |l| {
                    let part = l.and_then(|l| range(l.len(), from, to).map(|r| l.range(r)));
                    Reply::bulks(part.into_iter().flatten())
                })?
            }
            "lindex" => {
                let at = integer(args.get(1))?;
                self.list(key, |l| {
                    let item = l.and_then(|l| position(l.len(), at).and_then(|at| l.get(at)));
                    item.map_or(Reply::Nil, Reply::bulk)
                })?
            }
            "lset" => {
                let at = integer(args.get(1))?;
                if !self.list(key, |l| l.is_some())? {
                    return Err(Reply::error("ERR no such key"));
                }
                let value = args.get(2).cloned().unwrap_or_default();
                let set = self.edit_list(key, |list| {
                    let slot = position(list.len(), at).and_then(|at| list.get_mut(at));
                    slot.map(|slot| *slot = value).is_some()
                })?;
                if set {
                    Reply::OK
                } else {
                    Reply::error("ERR index out of range")
                }
            }
            "lrem" => {
                let count = integer(args.get(1))?;
                let value = args.get(2).map_or(&[][..], Vec::as_slice);
                if !self.list(key, |l| l.is_some())? {
                    return Ok(Reply::Int(0));
                }
                Reply::count(self.edit_list(key, |list| remove_items(list, count, value))?)
            }
            _ => {
                let (from, to) = (integer(args.get(1))?, integer(args.get(2))?);
                if self.list(key, |l| l.is_some())? {
                    self.edit_list(key, |list| {
                        let kept = range(list.len(), from, to).unwrap_or(0..0);
                        list.truncate(kept.end);
                        list.drain(..kept.start.min(list.len()));
                    })?;
                }
                Reply::OK
            }
        })
    }

    fn sets(&self, name: &str, args: &[Bytes]) -> Answer {
        let (key, member) = pair(args);
        let members = args.get(1..).unwrap_or_default();
        let whole = |key: &[u8]| self.set(key, |s| self.copied(s))?;
        let reply = |set: BTreeSet<Bytes>| Reply::Set(set.into_iter().map(Reply::Bulk).collect());
        Ok(match name {
            "sadd" => Reply::count(
                self.edit_set(key, |s| members.iter().filter(|m| s.insert((*m).clone())).count())?,
            ),
            "srem" if !self.exists(key)? => Reply::Int(0),
            "srem" => Reply::count(self.edit_set(key, |s| members.iter().filter(|m| s.remove(*m)).count())?),
            "smembers" => reply(whole(key)?),
            "sismember" => self.set(key, |s| Reply::Int(s.is_some_and(|s| s.contains(member)).into()))?,
            "smismember" => self.set(key, |s| {
                let has = |m: &Bytes| s.is_some_and(|s| s.contains(m));
                Reply::Array(members.iter().map(|m| Reply::Int(has(m).into())).collect())
            })?,
            "scard" => self.set(key, |s| Reply::count(s.map_or(0, BTreeSet::len)))?,
            "spop" | "srandmember" => {
                let count = members.first().map(|n| integer(Some(n))).transpose()?;
                let mut left: Vec<Bytes> = whole(key)?.into_iter().collect();
                let n = count.map_or(1, |n| usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX));
                let mut drawn = Vec::new();
                while drawn.len() < n && !left.is_empty() {
                    let at = usize::try_from(rand::random::<u32>()).unwrap_or_default() % left.len();
                    drawn.push(left.swap_remove(at));
                }
                if name == "spop" && !drawn.is_empty() {
                    self.edit_set(key, |s| drawn.iter().for_each(|m| drop(s.take(m))))?;
                }
                match count {
                    None => drawn.into_iter().next().map_or(Reply::Nil, Reply::Bulk),
                    Some(_) => Reply::bulks(drawn),
                }
            }
            "sinter" | "sunion" | "sdiff" => {
                let mut sets = Vec::new();
                for key in args {
                    sets.push(whole(key)?);
                }
                let combine = |a: BTreeSet<Bytes>, b: BTreeSet<Bytes>| match name {
                    "sinter" => &a & &b,
                    "sunion" => &a | &b,
                    _ => &a - &b,
                };
                reply(sets.into_iter().reduce(combine).unwrap_or_default())
            }
            _ => scan(
                whole(key)?.into_iter().collect(),
                members,
                |_| true,
                |m| vec![Reply::bulk(m)],
            )?,
        })
    }

    fn sorted_sets(&self, name: &str, args: &[Bytes]) -> Answer {
        let (key, member) = pair(args);
        let sorted = |reverse: bool| -> Result<Vec<(Bytes, f64)>, Reply> {
            let pairs = self.sorted_set(key, |z| self.copied(z))??;
            let mut pairs: Vec<_> = pairs.into_iter().collect();
            // Members with the same score stand in the order of their bytes, which the map has already.
            pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
            if reverse {
                pairs.reverse();
            }
            Ok(pairs)
        };
        let with_scores = args.iter().any(|a| a.eq_ignore_ascii_case(b"withscores"));
        let reply = |pairs: &[(Bytes, f64)]| {
            Reply::Array(
                pairs
                    .iter()
                    .flat_map(|(m, s)| {
                        let score = with_scores.then_some(Reply::Double(*s));
                        [Some(Reply::bulk(m)), score].into_iter().flatten()
                    })
                    .collect(),
            )
        };
        Ok(match name {
            "zadd" => {
                let mut rest = args.get(1..).unwrap_or_default();
                while let Some((word, tail)) = rest.split_first()
                    && matches!(lower(Some(word)).as_str(), "nx" | "xx" | "gt" | "lt" | "ch")
                {
                    rest = tail;
                }
                if rest.is_empty() || !rest.len().is_multiple_of(2) {
                    return Err(Reply::error("ERR syntax error"));
                }
                let mut pairs = Vec::new();
                for pair in rest.chunks(2) {
                    pairs.push((second(pair).to_vec(), float(pair.first())?));
                }
                Reply::count(self.edit_sorted_set(key, |z| {
                    pairs
                        .into_iter()
                        .filter(|(m, s)| z.insert(m.clone(), *s).is_none())
                        .count()
                })?)
            }
            "zrem" if !self.exists(key)? => Reply::Int(0),
            "zrem" => {
                let members = args.get(1..).unwrap_or_default();
                Reply::count(
                    self.edit_sorted_set(key, |z| members.iter().filter(|m| z.remove(*m).is_some()).count())?,
                )
            }
            "zscore" => self.sorted_set(key, |z| {
                z.and_then(|z| z.get(member))
                    .map_or(Reply::Nil, |s| Reply::Double(*s))
            })?,
            "zcard" => self.sorted_set(key, |z| Reply::count(z.map_or(0, BTreeMap::len)))?,
            "zrange" | "zrevrange" => {
                let pairs =
                    sorted(name == "zrevrange" || args.iter().any(|a| a.eq_ignore_ascii_case(b"rev")))?;
                let (from, to) = (integer(args.get(1))?, integer(args.get(2))?);
                reply(
                    range(pairs.len(), from, to)
                        .and_then(|r| pairs.get(r))
                        .unwrap_or_default(),
                )
            }
            "zrangebyscore" | "zrevrangebyscore" | "zcount" => {
                let reverse = name == "zrevrangebyscore";
                let (a, b) = (bound(args.get(1))?, bound(args.get(2))?);
                let (low, high) = if reverse { (b, a) } else { (a, b) };
                let mut pairs = sorted(reverse)?;
                pairs.retain(|(_, s)| {
                    let above = if low.1 { *s > low.0 } else { *s >= low.0 };
                    above && if high.1 { *s < high.0 } else { *s <= high.0 }
                });
                if name == "zcount" {
                    Reply::count(pairs.len())
                } else {
                    reply(&pairs)
                }
            }
            "zrank" | "zrevrank" => {
                let pairs = sorted(name == "zrevrank")?;
                pairs
                    .iter()
                    .position(|(m, _)| m == member)
                    .map_or(Reply::Nil, Reply::count)
            }
            "zincrby" => {
                let by = float(args.get(1))?;
                let member = args.get(2).cloned().unwrap_or_default();
                Reply::Double(self.edit_sorted_set(key, |z| {
                    let score = z.entry(member).or_default();
                    *score += by;
                    *score
                })?)
            }
            _ => {
                let pairs = sorted(false)?
                    .into_iter()
                    .map(|(m, s)| (m, double(s).into_bytes()));
                scan_pairs(pairs.collect(), args.get(1..).unwrap_or_default())?
            }
        })
    }
}

pub(super) fn first(args: &[Bytes]) -> &[u8] {
    args.first().map_or(&[], Vec::as_slice)
}

pub(super) fn second(args: &[Bytes]) -> &[u8] {
    args.get(1).map_or(&[], Vec::as_slice)
}

fn pair(args: &[Bytes]) -> (&[u8], &[u8]) {
    (first(args), second(args))
}

pub(super) fn integer(word: Option<&Bytes>) -> Result<i64, Reply> {
    word.and_then(|w| number(w))
        .ok_or_else(|| Reply::error(NOT_AN_INTEGER))
}

pub(super) fn float(word: Option<&Bytes>) -> Result<f64, Reply> {
    let text = word.and_then(|w| std::str::from_utf8(w).ok());
    let value = text.and_then(|t| t.parse::<f64>().ok()).filter(|f| !f.is_nan());
    value.ok_or_else(|| Reply::error(NOT_A_FLOAT))
}

/// One end of a range of scores, and whether it is left out.
fn bound(word: Option<&Bytes>) -> Result<(f64, bool), Reply> {
    let text = word.map_or(&[][..], Vec::as_slice);
    let (open, digits) = match text.strip_prefix(b"(") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = float(Some(&digits.to_vec())).map_err(|_| Reply::error("ERR min or max is not a float"))?;
    Ok((value, open))
}

fn overflow() -> Reply {
    Reply::error("ERR increment or decrement would overflow")
}

/// An index that may count from the end.
fn position(len: usize, at: i64) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let at = if at < 0 { at.checked_add(len)? } else { at };
    usize::try_from(at).ok()
}

/// The elements from `from` to `to`, both included and either counted from the end; `None` where there are none.
pub(super) fn range(len: usize, from: i64, to: i64) -> Option<std::ops::Range<usize>> {
    let from = position(len, from).unwrap_or(0);
    let to = position(len, to)?.min(len.checked_sub(1)?);
    (from <= to).then_some(from..to + 1)
}

/// Remove `count` items that equal `value`: from the end where it is negative, all where it is 0; how many.
fn remove_items(list: &mut VecDeque<Bytes>, count: i64, value: &[u8]) -> usize {
    let most = if count == 0 {
        usize::MAX
    } else {
        usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
    };
    let backwards = count < 0;
    let mut removed = 0;
    let keep = |item: &Bytes, removed: &mut usize| {
        let goes = *removed < most && item == value;
        *removed += usize::from(goes);
        !goes
    };
    let mut kept: VecDeque<Bytes> = VecDeque::new();
    while let Some(item) = if backwards {
        list.pop_back()
    } else {
        list.pop_front()
    } {
        if keep(&item, &mut removed) {
            if backwards {
                kept.push_front(item)
            } else {
                kept.push_back(item)
            }
        }
    }
    *list = kept;
    removed
}

/// The value of an option such as MATCH.
fn option<'a>(args: &'a [Bytes], name: &str) -> Option<&'a [u8]> {
    let at = args
        .iter()
        .position(|a| a.eq_ignore_ascii_case(name.as_bytes()))?;
    args.get(at + 1).map(Vec::as_slice)
}

/// One step through `all`: the cursor stands first in `args`. Each item that matches becomes what `shown` makes of it.
fn scan(
    all: Vec<Bytes>,
    args: &[Bytes],
    fits: impl Fn(&Bytes) -> bool,
    shown: impl Fn(&Bytes) -> Vec<Reply>,
) -> Answer {
    let cursor = std::str::from_utf8(first(args))
        .ok()
        .and_then(|c| c.parse::<usize>().ok());
    let cursor = cursor.ok_or_else(|| Reply::error("ERR invalid cursor"))?;
    let mut options = args.get(1..).unwrap_or_default();
    while let Some((word, tail)) = options.split_first() {
        let known = matches!(lower(Some(word)).as_str(), "match" | "count" | "type");
        let Some((_, tail)) = tail.split_first().filter(|_| known) else {
            return Err(Reply::error("ERR syntax error"));
        };
        options = tail;
    }
    let count = match option(args, "count") {
        None => SCAN_COUNT,
        Some(n) => match number(n) {
            None => return Err(Reply::error(NOT_AN_INTEGER)),
            Some(n) if n < 1 => return Err(Reply::error("ERR syntax error")),
            Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
        },
    };
    let pattern = option(args, "match").unwrap_or(b"*");
    let end = cursor.saturating_add(count);
    let next = if end >= all.len() { 0 } else { end };
    let part = all.iter().skip(cursor).take(count);
    let found = part
        .filter(|item| glob::matches(pattern, item, false) && fits(item))
        .flat_map(shown);
    Ok(Reply::Array(vec![
        Reply::bulk(next.to_string()),
        Reply::Array(found.collect()),
    ]))
}

/// HSCAN and ZSCAN: `args` begin with the cursor.
fn scan_pairs(pairs: Vec<(Bytes, Bytes)>, args: &[Bytes]) -> Answer {
    let values: BTreeMap<Bytes, Bytes> = pairs.iter().cloned().collect();
    let names = pairs.into_iter().map(|(name, _)| name).collect();
    scan(
        names,
        args,
        |_| true,
        |name| {
            vec![
                Reply::bulk(name),
                values.get(name).map_or(Reply::Nil, Reply::bulk),
            ]
        },
    )
}
