//! Keys and values: the bait, and what a visitor makes of it.
//!
//! Every address sees its own copy of the bait, from its first change on and across its connections (intruders' scripts open one for
//! each command), until [`WORLDS_MAX`] others have come after it or all worlds together hold [`WORLDS_BYTES_MAX`]. A world is full at
//! [`WORLD_BYTES_MAX`] of a visitor's data, and one command takes it to [`WORLD_BYTES_END`] at most. Counted is the memory that data take,
//! not only their bytes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use decnet_persona::bait::{RedisEntry, RedisValue};

use super::{
    budget::{Measured, OVERHEAD},
    commands::out_of_memory,
    structures::Stream,
    wire::Reply,
};

/// How many addresses have a world of their own.
const WORLDS_MAX: usize = 32;
/// Bytes of all of them; past that the one is given up that was not used for longest.
const WORLDS_BYTES_MAX: usize = 48 << 20;
/// Bytes of keys and values in one world; past that the server is out of memory.
pub(super) const WORLD_BYTES_MAX: usize = 5 << 20;
/// Bytes that no command takes a world past, not even one that the server runs when it is out of memory (RENAME, XREADGROUP).
pub(super) const WORLD_BYTES_END: usize = 2 * WORLD_BYTES_MAX;
/// What a key takes beside its bytes and its value.
const ENTRY_OVERHEAD: usize = 2 * OVERHEAD;
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

impl Measured for Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Str(value) => value.bytes(),
            Self::List(value) => value.bytes(),
            Self::Set(value) | Self::Counter(value) => value.bytes(),
            Self::Hash(value) => value.bytes(),
            Self::SortedSet(value) => value.bytes(),
            Self::Stream(value) => value.bytes(),
        }
    }
}

impl Measured for VecDeque<Vec<u8>> {
    fn bytes(&self) -> usize {
        self.iter().map(Measured::bytes).sum()
    }
}

impl Measured for BTreeSet<Vec<u8>> {
    fn bytes(&self) -> usize {
        self.iter().map(Measured::bytes).sum()
    }
}

impl Measured for BTreeMap<Vec<u8>, Vec<u8>> {
    fn bytes(&self) -> usize {
        self.iter().map(|(k, v)| k.bytes() + v.bytes()).sum()
    }
}

impl Measured for BTreeMap<Vec<u8>, f64> {
    fn bytes(&self) -> usize {
        self.keys().map(|k| k.bytes() + OVERHEAD).sum()
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

impl Entry {
    fn bytes(&self, key: &[u8]) -> usize {
        key.len() + self.value.bytes() + ENTRY_OVERHEAD
    }
}

/// There is no room for what was to be written, and nothing was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl From<NoRoom> for Reply {
    fn from(_: NoRoom) -> Self {
        out_of_memory()
    }
}

/// One numbered database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// What the entries take.
    bytes: usize,
    /// The most that they may take, by what the other databases of the world do.
    bytes_end: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            bytes_end: WORLD_BYTES_END,
        }
    }
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
        let entries: BTreeMap<Vec<u8>, Entry> = entries.collect();
        Self {
            bytes: entries.iter().map(|(key, entry)| entry.bytes(key)).sum(),
            entries,
            ..Self::default()
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
    ///
    /// # Errors
    /// Where there is no room for it.
    pub(super) fn put(&mut self, key: &[u8], value: Value, keep_ttl: bool, now: i64) -> Result<(), NoRoom> {
        let expires = self.expiry(key, now).flatten().filter(|_| keep_ttl);
        if value.is_empty() {
            self.take(key);
            return Ok(());
        }
        let entry = Entry {
            value,
            expires,
            foreign: true,
        };
        let before = self.entries.get(key).map_or(0, |entry| entry.bytes(key));
        let bytes = self.bytes - before + entry.bytes(key);
        // What gets smaller is written in any case: a visitor makes room that way.
        if bytes > self.bytes_end.max(self.bytes) {
            return Err(NoRoom);
        }
        self.bytes = bytes;
        self.entries.insert(key.to_vec(), entry);
        Ok(())
    }

    /// Give what stands at `from` the key `to`, with its expiry; whether there was anything.
    ///
    /// # Errors
    /// Where there is no room for the longer key.
    pub(super) fn rename(&mut self, from: &[u8], to: &[u8], now: i64) -> Result<bool, NoRoom> {
        if self.get(from, now).is_none() {
            return Ok(false);
        }
        if self.bytes + to.len() > self.bytes_end.max(self.bytes) + from.len() {
            return Err(NoRoom);
        }
        if let Some(mut entry) = self.take(from) {
            self.take(to);
            entry.foreign = true;
            self.bytes += entry.bytes(to);
            self.entries.insert(to.to_vec(), entry);
        }
        Ok(true)
    }

    pub(super) fn remove(&mut self, key: &[u8], now: i64) -> Option<Value> {
        self.take(key).filter(|e| Self::live(e, now)).map(|e| e.value)
    }

    fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes(key);
        Some(entry)
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
        self.bytes = 0;
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

    fn bytes(&self) -> usize {
        self.databases.iter().map(|db| db.bytes).sum()
    }

    /// Whether there is no room for another value.
    pub(super) fn full(&self) -> bool {
        self.bytes() > WORLD_BYTES_MAX
    }

    /// A database to change.
    pub(super) fn database_mut(&mut self, n: usize) -> Option<&mut Database> {
        let all = self.bytes();
        let database = self.databases.get_mut(n)?;
        database.bytes_end = WORLD_BYTES_END.saturating_sub(all - database.bytes);
        Some(database)
    }
}

/// All worlds: the pristine one, and those that visitors have changed.
pub(super) struct Worlds {
    pristine: Arc<Mutex<World>>,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    by_address: HashMap<IpAddr, Own>,
    clock: u64,
}

impl Changed {
    /// Give the world up that was not used for longest, but not that of `address`; whether there is one.
    fn forget_oldest(&mut self, address: IpAddr) -> bool {
        let others = self.by_address.iter().filter(|(of, _)| **of != address);
        let oldest = others.min_by_key(|(_, own)| own.used).map(|(of, _)| *of);
        oldest.is_some_and(|oldest| self.by_address.remove(&oldest).is_some())
    }
}

/// The world of one address.
struct Own {
    used: u64,
    /// What it took after its last change.
    bytes: usize,
    world: Arc<Mutex<World>>,
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
            changed.by_address.get_mut(&address).map(|own| {
                own.used = now;
                Arc::clone(&own.world)
            })
        };
        let world = own.unwrap_or_else(|| Arc::clone(&self.pristine));
        look(&world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Change the world of `address`.
    pub(super) fn change<T>(&self, address: IpAddr, change: impl FnOnce(&mut World) -> T) -> T {
        let world = self.own(address);
        let (result, bytes) = {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            (change(&mut world), world.bytes())
        };
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = changed.by_address.get_mut(&address) {
            own.bytes = bytes;
        }
        let held = |changed: &Changed| changed.by_address.values().map(|own| own.bytes).sum::<usize>();
        while held(&changed) > WORLDS_BYTES_MAX && changed.forget_oldest(address) {}
        result
    }

    fn own(&self, address: IpAddr) -> Arc<Mutex<World>> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.clock += 1;
        let now = changed.clock;
        if let Some(own) = changed.by_address.get_mut(&address) {
            own.used = now;
            return Arc::clone(&own.world);
        }
        if changed.by_address.len() >= WORLDS_MAX {
            changed.forget_oldest(address);
        }
        let copy = self
            .pristine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let own = Own {
            used: now,
            bytes: copy.bytes(),
            world: Arc::new(Mutex::new(copy)),
        };
        let world = Arc::clone(&own.world);
        changed.by_address.insert(address, own);
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
        worlds.change(address(1), put).unwrap();
        let sees = |n| worlds.see(address(n), |w| w.databases[0].get(b"k", 0).is_some());
        assert!(sees(1) && !sees(2));
        for n in 2..60 {
            worlds.change(address(n), put).unwrap();
        }
        assert!(!sees(1), "the world that was not used for longest is given up");
        assert_eq!(worlds.changed.lock().unwrap().by_address.len(), WORLDS_MAX);
    }

    #[test]
    fn an_expired_key_is_gone() {
        let mut db = Database::default();
        db.put(b"k", Value::Str(b"v".to_vec()), false, 0).unwrap();
        db.set_expiry(b"k", Some(50));
        assert!(db.get(b"k", 49).is_some());
        assert!(db.get(b"k", 50).is_none());
        assert_eq!(db.sizes(50), (0, 0));
    }

    #[test]
    fn worlds_that_together_hold_too_much_are_given_up_the_oldest_first() {
        let worlds = Worlds::new(World::new(Database::default(), 0));
        let address = |n: u8| IpAddr::from([127, 0, 0, n]);
        let fill = |world: &mut World| {
            let database = world.database_mut(3).unwrap();
            database.put(b"k", Value::Str(vec![0; WORLD_BYTES_END - 1000]), false, 0)
        };
        let fit = u8::try_from(WORLDS_BYTES_MAX / WORLD_BYTES_END).unwrap();
        for n in 1..=fit + 2 {
            worlds.change(address(n), fill).unwrap();
        }
        let sees = |n| worlds.see(address(n), |w| w.databases[3].get(b"k", 0).is_some());
        assert!(!sees(1) && !sees(2) && sees(3) && sees(fit + 2));
        let changed = worlds.changed.lock().unwrap();
        assert!(changed.by_address.values().map(|own| own.bytes).sum::<usize>() <= WORLDS_BYTES_MAX);
    }

    #[test]
    fn what_is_counted_of_a_database_is_what_it_holds() {
        let mut world = World::new(Database::default(), 0);
        let list = |n: usize| Value::List(vec![vec![1; 100]; n].into());
        let db = world.database_mut(0).unwrap();
        db.put(b"a", list(7), false, 0).unwrap();
        db.put(b"a", list(900), false, 0).unwrap();
        db.put(b"b", list(8), false, 0).unwrap();
        assert_eq!(db.rename(b"a", b"b", 0), Ok(true));
        assert_eq!(db.rename(b"a", b"c", 0), Ok(false));
        db.put(b"c", list(9), false, 0).unwrap();
        db.put(b"c", list(0), false, 0).unwrap();
        db.remove(b"d", 0);
        let held: usize = db.entries.iter().map(|(k, e)| e.bytes(k)).sum();
        assert_eq!(db.bytes, held);
        // Another database of the world takes room from this one, and a longer key is no way around that.
        let other = world.database_mut(1).unwrap();
        other
            .put(b"x", Value::Str(vec![0; WORLD_BYTES_END - held - 2000]), false, 0)
            .unwrap();
        let db = world.database_mut(0).unwrap();
        assert_eq!(db.put(b"d", list(100), false, 0), Err(NoRoom));
        assert_eq!(db.rename(b"b", &[b'k'; 3000], 0), Err(NoRoom));
        assert_eq!(db.rename(b"b", &[b'k'; 1000], 0), Ok(true));
        db.clear();
        assert_eq!(db.bytes, 0);
    }
}
