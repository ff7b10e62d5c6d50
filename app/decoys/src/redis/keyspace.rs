//! Keys and values: the bait, and what a visitor makes of it.
//!
//! Every address sees its own copy of the bait, from its first change on and across its connections (intruders' scripts open one for
//! each command), until [`WORLDS_MAX`] others have come after it. A world holds at most [`WORLD_BYTES_MAX`] of a
//! visitor's data.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use decnet_persona::bait::{RedisEntry, RedisValue};

use super::structures::Stream;

/// How many addresses have a world of their own.
const WORLDS_MAX: usize = 32;
/// Bytes of keys and values in one world; past that the server is out of memory.
pub(super) const WORLD_BYTES_MAX: usize = 5 << 20;
/// Databases of a server (`databases 16`).
pub(super) const DATABASES: usize = 16;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Str(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    SortedSet(BTreeMap<Vec<u8>, f64>),
    Stream(Stream),
    /// What a HyperLogLog has counted.
    Counter(BTreeSet<Vec<u8>>),
}

impl Value {
    /// Its type as `TYPE` names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            // A HyperLogLog is kept in a string.
            Self::Str(_) | Self::Counter(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Str(s) => s.len(),
            Self::List(items) => items.iter().map(|i| i.len() + 24).sum(),
            Self::Set(items) | Self::Counter(items) => items.iter().map(|i| i.len() + 24).sum(),
            Self::Hash(pairs) => pairs.iter().map(|(k, v)| k.len() + v.len() + 48).sum(),
            Self::SortedSet(pairs) => pairs.keys().map(|k| k.len() + 40).sum(),
            Self::Stream(stream) => {
                let fields = stream.entries.values().flatten();
                fields.map(|f| f.len() + 24).sum::<usize>() + stream.entries.len() * 48
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            // An empty one of these is a value like any other.
            Self::Str(_) | Self::Stream(_) | Self::Counter(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Set(items) => items.is_empty(),
            Self::Hash(pairs) => pairs.is_empty(),
            Self::SortedSet(pairs) => pairs.is_empty(),
        }
    }
}

impl From<&RedisValue> for Value {
    fn from(bait: &RedisValue) -> Self {
        let bytes = |s: &String| s.clone().into_bytes();
        match bait {
            RedisValue::String(s) => Self::Str(bytes(s)),
            RedisValue::List(items) => Self::List(items.iter().map(bytes).collect()),
            RedisValue::Set(items) => Self::Set(items.iter().map(bytes).collect()),
            RedisValue::Hash(pairs) => Self::Hash(pairs.iter().map(|(k, v)| (bytes(k), bytes(v))).collect()),
            RedisValue::SortedSet(pairs) => {
                Self::SortedSet(pairs.iter().map(|(m, s)| (bytes(m), *s)).collect())
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    /// Unix time in milliseconds.
    expires: Option<i64>,
    /// Whether a visitor wrote it.
    foreign: bool,
}

/// One numbered database.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl Database {
    /// The bait of a persona, which began to count down at `now` (milliseconds).
    pub(super) fn of_bait(bait: &[RedisEntry], now: i64) -> Self {
        let entries = bait.iter().map(|entry| {
            let ttl = entry
                .ttl
                .map(|s| i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000));
            let stored = Entry {
                value: Value::from(&entry.value),
                expires: ttl.map(|ttl| now.saturating_add(ttl)),
                foreign: false,
            };
            (entry.key.clone().into_bytes(), stored)
        });
        Self {
            entries: entries.collect(),
        }
    }

    fn live(entry: &Entry, now: i64) -> bool {
        entry.expires.is_none_or(|at| at > now)
    }

    pub(super) fn get(&self, key: &[u8], now: i64) -> Option<&Value> {
        self.entries
            .get(key)
            .filter(|e| Self::live(e, now))
            .map(|e| &e.value)
    }

    /// Put `value` at `key`; what became empty is gone. Keeps the expiry where `keep_ttl`.
    pub(super) fn put(&mut self, key: &[u8], value: Value, keep_ttl: bool, now: i64) {
        let expires = self.expiry(key, now).flatten().filter(|_| keep_ttl);
        if value.is_empty() {
            self.entries.remove(key);
        } else {
            self.entries.insert(
                key.to_vec(),
                Entry {
                    value,
                    expires,
                    foreign: true,
                },
            );
        }
    }

    pub(super) fn remove(&mut self, key: &[u8], now: i64) -> Option<Value> {
        self.entries
            .remove(key)
            .filter(|e| Self::live(e, now))
            .map(|e| e.value)
    }

    /// `None` where there is no such key; otherwise when it expires, if it does.
    pub(super) fn expiry(&self, key: &[u8], now: i64) -> Option<Option<i64>> {
        self.entries
            .get(key)
            .filter(|e| Self::live(e, now))
            .map(|e| e.expires)
    }

    pub(super) fn set_expiry(&mut self, key: &[u8], at: Option<i64>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expires = at;
        }
    }

    /// Keys in an order that looks like a hash table's: by `order` of the key.
    pub(super) fn keys(&self, now: i64, order: impl Fn(&[u8]) -> u64) -> Vec<&[u8]> {
        let live = self.entries.iter().filter(|(_, e)| Self::live(e, now));
        let mut keys: Vec<&[u8]> = live.map(|(k, _)| k.as_slice()).collect();
        keys.sort_by_cached_key(|key| order(key));
        keys
    }

    /// Keys, and keys with an expiry.
    pub(super) fn sizes(&self, now: i64) -> (usize, usize) {
        let live = || self.entries.values().filter(|e| Self::live(e, now));
        (live().count(), live().filter(|e| e.expires.is_some()).count())
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Strings that visitors wrote, in the order of their keys.
    pub(super) fn foreign_strings(&self) -> impl Iterator<Item = &[u8]> {
        self.entries
            .values()
            .filter(|e| e.foreign)
            .filter_map(|e| match &e.value {
                Value::Str(s) => Some(s.as_slice()),
                _ => None,
            })
    }

    fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|(k, e)| k.len() + e.value.bytes() + 64)
            .sum()
    }
}

/// The server as one address sees it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) databases: Vec<Database>,
    /// Settings that differ from the package's.
    pub(super) settings: BTreeMap<String, String>,
    /// The master that the server was told to follow.
    pub(super) master: Option<(String, u16)>,
    /// Unix time in seconds of the last SAVE.
    pub(super) last_save: i64,
    /// Commands that changed something since.
    pub(super) changes: u64,
}

impl World {
    pub(super) fn new(bait: Database, last_save: i64) -> Self {
        let mut databases = vec![bait];
        databases.resize_with(DATABASES, Database::default);
        Self {
            databases,
            settings: BTreeMap::new(),
            master: None,
            last_save,
            changes: 0,
        }
    }

    /// Whether there is no room for another value.
    pub(super) fn full(&self) -> bool {
        self.databases.iter().map(Database::bytes).sum::<usize>() > WORLD_BYTES_MAX
    }
}

/// All worlds: the pristine one, and those that visitors have changed.
pub(super) struct Worlds {
    pristine: Arc<Mutex<World>>,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    by_address: HashMap<IpAddr, (u64, Arc<Mutex<World>>)>,
    clock: u64,
}

impl Worlds {
    pub(super) fn new(pristine: World) -> Self {
        Self {
            pristine: Arc::new(Mutex::new(pristine)),
            changed: Mutex::default(),
        }
    }

    /// Look at the world of `address`, which is the pristine one until it changes something.
    pub(super) fn see<T>(&self, address: IpAddr, look: impl FnOnce(&World) -> T) -> T {
        let own = {
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            changed.clock += 1;
            let now = changed.clock;
            changed.by_address.get_mut(&address).map(|(used, world)| {
                *used = now;
                Arc::clone(world)
            })
        };
        let world = own.unwrap_or_else(|| Arc::clone(&self.pristine));
        look(&world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Change the world of `address`.
    pub(super) fn change<T>(&self, address: IpAddr, change: impl FnOnce(&mut World) -> T) -> T {
        let world = self.own(address);
        change(&mut world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn own(&self, address: IpAddr) -> Arc<Mutex<World>> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.clock += 1;
        let now = changed.clock;
        if let Some((used, world)) = changed.by_address.get_mut(&address) {
            *used = now;
            return Arc::clone(world);
        }
        if changed.by_address.len() >= WORLDS_MAX {
            let oldest = changed
                .by_address
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(a, _)| *a);
            if let Some(oldest) = oldest {
                changed.by_address.remove(&oldest);
            }
        }
        let copy = self
            .pristine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let world = Arc::new(Mutex::new(copy));
        changed.by_address.insert(address, (now, Arc::clone(&world)));
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_address_changes_no_other_sees_and_worlds_are_bounded() {
        let worlds = Worlds::new(World::new(Database::default(), 0));
        let address = |n: u8| IpAddr::from([127, 0, 0, n]);
        let put = |world: &mut World| world.databases[0].put(b"k", Value::Str(b"v".to_vec()), false, 0);
        worlds.change(address(1), put);
        let sees = |n| worlds.see(address(n), |w| w.databases[0].get(b"k", 0).is_some());
        assert!(sees(1) && !sees(2));
        for n in 2..60 {
            worlds.change(address(n), put);
        }
        assert!(!sees(1), "the world that was not used for longest is given up");
        assert_eq!(worlds.changed.lock().unwrap().by_address.len(), WORLDS_MAX);
    }

    #[test]
    fn an_expired_key_is_gone() {
        let mut db = Database::default();
        db.put(b"k", Value::Str(b"v".to_vec()), false, 0);
        db.set_expiry(b"k", Some(50));
        assert!(db.get(b"k", 49).is_some());
        assert!(db.get(b"k", 50).is_none());
        assert_eq!(db.sizes(50), (0, 0));
    }
}
