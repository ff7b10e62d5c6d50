//! The files that a visitor sees: the bait, and for its session what it changed.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use decnet_persona::{Persona, bait};

/// How many entries one session adds.
const ADDED_MAX: usize = 1000;
/// Bytes of uploads that one session can fetch again; what is over reads as empty.
const KEPT_MAX: usize = 1 << 20;

/// Addresses whose changes are kept while they are away.
const ADDRESSES_MAX: usize = 64;
/// Bytes of uploads that all of them keep together.
const AWAY_MAX: usize = 8 << 20;
/// Seconds after which a visitor that stays away finds everything as it was.
const STAYS_S: i64 = 12 * 3_600;

/// What visitors changed, by their address: it outlives their connections.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<HashMap<IpAddr, (Tree, i64)>>);

impl Left {
    /// What `address` finds: what it left, or `base`.
    pub(super) fn by(&self, address: IpAddr, base: &Tree, now: i64) -> Tree {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, last)| now - *last < STAYS_S);
        all.get(&address)
            .map_or_else(|| base.clone(), |(tree, _)| tree.clone())
    }

    /// Keep what a session of `address` changed of `before`, and give it what others of the same address did.
    pub(super) fn keep(&self, address: IpAddr, before: &Tree, own: &Tree, now: i64) -> Tree {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tree, last) = all.entry(address).or_insert_with(|| (before.clone(), now));
        *last = now;
        tree.follow(before, own);
        let merged = tree.clone();
        while all.len() > ADDRESSES_MAX || all.values().map(|(tree, _)| tree.kept).sum::<usize>() > AWAY_MAX {
            let Some(oldest) = all.iter().min_by_key(|(_, (_, last))| *last).map(|(a, _)| *a) else {
                break;
            };
            all.remove(&oldest);
        }
        merged
    }
}

/// A file or a folder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// What is in it; `None` for a folder.
    pub(super) content: Option<Arc<[u8]>>,
    /// Bytes of the file; for an upload that was not kept more than there is to fetch.
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) owner: String,
    /// Unix time in seconds.
    pub(super) mtime: i64,
}

impl Node {
    pub(super) fn is_folder(&self) -> bool {
        self.content.is_none()
    }

    /// As `ls -l` shows it.
    pub(super) fn permissions(&self) -> String {
        let mut out = String::from(if self.is_folder() { "d" } else { "-" });
        for shift in [6, 3, 0] {
            for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
                out.push(if self.mode >> shift & bit != 0 {
                    letter
                } else {
                    '-'
                });
            }
        }
        out
    }
}

/// All files, by absolute path.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: Arc<BTreeMap<String, Node>>,
    added: usize,
    kept: usize,
}

impl Tree {
    /// The bait of a persona.
    pub(super) fn of(persona: &Persona) -> Self {
        let mut nodes = BTreeMap::new();
        let uid_of = |owner: &str| persona.user(owner).map_or(0, |user| user.uid);
        let folder = |mtime: i64, owner: &str| Node {
            content: None,
            size: 4096,
            mode: 0o755,
            uid: uid_of(owner),
            owner: owner.to_owned(),
            mtime,
        };
        for file in bait::ftp_files(persona) {
            let mut at = parent(&file.path);
            loop {
                let node = nodes
                    .entry(at.to_owned())
                    .or_insert_with(|| folder(file.mtime, "root"));
                node.mtime = node.mtime.max(file.mtime);
                if at == "/" {
                    break;
                }
                at = parent(at);
            }
            let node = Node {
                size: u64::try_from(file.content.len()).unwrap_or(u64::MAX),
                content: Some(file.content.into()),
                mode: file.mode & 0o777,
                uid: uid_of(&file.owner),
                owner: file.owner,
                mtime: file.mtime,
            };
            nodes.insert(file.path, node);
        }
        for path in ["/", bait::FTP_ROOT] {
            nodes
                .entry(path.to_owned())
                .or_insert_with(|| folder(persona.boot_time, "root"));
        }
        for user in persona
            .users
            .iter()
            .filter(|user| !user.shell.ends_with("nologin"))
        {
            nodes
                .entry(user.home.clone())
                .or_insert_with(|| folder(persona.boot_time, &user.name));
        }
        Self {
            nodes: Arc::new(nodes),
            added: 0,
            kept: 0,
        }
    }

    /// Whether both are the same, change by change.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.nodes, &other.nodes)
    }

    /// Make the changes that lead from `before` to `after`.
    fn follow(&mut self, before: &Self, after: &Self) {
        for (path, node) in after.nodes.iter() {
            if before.nodes.get(path) != Some(node) {
                // What has no room is missing, as on a full disk.
                let _full = self.put(path, node.clone());
            }
        }
        for path in before.nodes.keys() {
            if !after.nodes.contains_key(path) {
                Arc::make_mut(&mut self.nodes).remove(path);
            }
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.get(path).is_some_and(Node::is_folder)
    }

    /// Names and nodes in a folder, in order; without those that begin with a dot.
    pub(super) fn list(&self, folder: &str) -> Vec<(&str, &Node)> {
        let prefix = if folder == "/" {
            "/".to_owned()
        } else {
            format!("{folder}/")
        };
        let below = self
            .nodes
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix));
        below
            .filter_map(|(path, node)| Some((path.strip_prefix(&prefix)?, node)))
            .filter(|(name, _)| !name.is_empty() && !name.contains('/') && !name.starts_with('.'))
            .collect()
    }

    /// Put a node at `path`, whose folder must be there; whether there is room for it.
    pub(super) fn put(&mut self, path: &str, mut node: Node) -> bool {
        if self.added >= ADDED_MAX || !self.is_folder(parent(path)) {
            return false;
        }
        self.added += 1;
        if let Some(content) = &node.content {
            if self.kept + content.len() > KEPT_MAX {
                node.content = Some(Arc::from([]));
            } else {
                self.kept += content.len();
            }
        }
        Arc::make_mut(&mut self.nodes).insert(path.to_owned(), node);
        true
    }

    /// Remove a file, or an empty folder; whether there was such a thing.
    pub(super) fn remove(&mut self, path: &str, folder: bool) -> bool {
        let fits = self.get(path).is_some_and(|node| node.is_folder() == folder);
        let prefix = format!("{path}/");
        let used = self
            .nodes
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(p, _)| p.starts_with(&prefix));
        let goes = fits && !used && path != "/";
        if goes {
            Arc::make_mut(&mut self.nodes).remove(path);
        }
        goes
    }

    /// Give what is at `from`, and all below it, another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let inside = to == from || to.starts_with(&format!("{from}/"));
        if self.get(from).is_none() || !self.is_folder(parent(to)) || inside || self.is_folder(to) {
            return false;
        }
        let prefix = format!("{from}/");
        let nodes = Arc::make_mut(&mut self.nodes);
        let moved: Vec<String> = nodes
            .keys()
            .filter(|p| *p == from || p.starts_with(&prefix))
            .cloned()
            .collect();
        for path in moved {
            if let (Some(node), Some(tail)) = (nodes.remove(&path), path.strip_prefix(from)) {
                nodes.insert(format!("{to}{tail}"), node);
            }
        }
        true
    }
}

/// The folder that `path` stands in.
pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// `path` as seen from folder `from`: absolute, without `.` and `..`, never above the root.
pub(super) fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { from };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use decnet_persona::{PersonaSpec, Seed};
    use proptest::prelude::*;

    use super::*;

    fn tree() -> Tree {
        let archetype = decnet_persona::archetype::ALL[0].slug;
        let spec = PersonaSpec::new(Seed::from_bytes([5; 16]), archetype);
        Tree::of(&Persona::derive(&spec).unwrap())
    }

    fn upload(size: usize) -> Node {
        Node {
            content: Some(vec![7; size].into()),
            size: size as u64,
            mode: 0o644,
            uid: 0,
            owner: "root".to_owned(),
            mtime: 0,
        }
    }

    #[test]
    fn what_one_session_changes_no_other_sees() {
        let base = tree();
        let mut own = base.clone();
        assert!(own.put("/srv/ftp/x", upload(3)) && own.rename("/srv/ftp/x", "/srv/ftp/y"));
        assert!(own.get("/srv/ftp/y").is_some() && own.get("/srv/ftp/x").is_none());
        assert!(base.get("/srv/ftp/y").is_none());
        assert!(
            own.remove("/srv/ftp/y", false) && !own.remove("/srv/ftp", true)
                || own.list("/srv/ftp").is_empty()
        );
    }

    #[test]
    fn an_address_finds_what_it_left_and_another_does_not() {
        let (base, left) = (tree(), Left::default());
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse::<IpAddr>().unwrap());
        let (mut one, mut two) = (left.by(here, &base, 10), left.by(here, &base, 10));
        assert!(one.put("/srv/ftp/x", upload(3)) && two.put("/srv/ftp/y", upload(3)));
        left.keep(here, &base, &one, 11);
        // Both of two connections at once stay.
        let both = left.keep(here, &base, &two, 12);
        assert!(both.get("/srv/ftp/x").is_some() && both.get("/srv/ftp/y").is_some());
        let mut again = left.by(here, &base, 13);
        let before = again.clone();
        assert!(again.remove("/srv/ftp/x", false));
        left.keep(here, &before, &again, 14);
        assert!(left.by(here, &base, 15).get("/srv/ftp/x").is_none());
        assert!(left.by(here, &base, 15).get("/srv/ftp/y").is_some());
        assert!(left.by(there, &base, 15).get("/srv/ftp/y").is_none());
        assert!(left.by(here, &base, 15 + STAYS_S).get("/srv/ftp/y").is_none());
    }

    #[test]
    fn what_is_left_is_bounded_over_all_addresses() {
        let (base, left) = (tree(), Left::default());
        for n in 0..100_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from(0xc633_6400 + n));
            let mut own = base.clone();
            assert!(own.put("/srv/ftp/x", upload(900_000)));
            left.keep(address, &base, &own, i64::from(n));
        }
        let all = left.0.lock().unwrap();
        assert!(all.values().map(|(t, _)| t.kept).sum::<usize>() <= AWAY_MAX && !all.is_empty());
    }

    #[test]
    fn a_session_keeps_and_adds_only_so_much() {
        let mut own = tree();
        assert!((0..ADDED_MAX).all(|n| own.put(&format!("/srv/ftp/{n}"), upload(100_000))));
        assert!(!own.put("/srv/ftp/more", upload(1)));
        assert!(own.kept <= KEPT_MAX);
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in r"(/|\.|\.\.|a|b){0,12}") {
            let resolved = resolve("/srv/ftp", &path);
            prop_assert!(resolved.starts_with('/') && !resolved.split('/').any(|p| p == ".." || p == "."));
        }
    }
}
