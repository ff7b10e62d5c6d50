//! The folder of one decky: what it was told, and the evidence that it keeps. The same for every engine.
//!
//! `desired.json` is what it was made from (ours), `config.json` what the program is told, `artifacts/` and
//! `transcripts/` are evidence, which no step takes away. `share/` is the operator's bait while a container reads it,
//! `resolv.conf` whom a container asks for names. Where
//! this is root, the decky's user can read `config.json` and owns the folders of evidence, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Its folders of captured files and of recordings.
pub(super) use decnet_decoys::config::{ARTIFACTS, TRANSCRIPTS};
use decnet_decoys::{
    Port,
    config::{DeckyConfig, Limits, NOBODY, ServiceEntry},
};
use decnet_model::{
    fleet::ServiceSpec,
    name::{DeckyName, ServiceSlug},
};
use decnet_persona::PersonaSpec;
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use super::{EngineError, StepError};
use crate::{Catalogue, DesiredDecky, own_image};

/// What it was made from: without it there is no decky.
const DESIRED: &str = "desired.json";
/// What the program is told.
pub(super) const CONFIG: &str = "config.json";
/// What it was last known to run, where its engine cannot keep that in its memory.
const APPLIED: &str = "applied.json";
/// What a container reads as /etc/resolv.conf.
const RESOLVER: &str = "resolv.conf";
/// The operator's bait, while a program begins that sees nothing of the host but this folder. Whoever gets in may read the name.
const LENT: &str = "share";
/// Everything in it that is no evidence.
const OURS: [&str; 6] = [DESIRED, CONFIG, APPLIED, RESOLVER, "decoy.log", "decoy.log.1"];
/// Its evidence lines, where the engine keeps them here.
pub(super) const LINES: &str = "out";

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Home(PathBuf);

impl Home {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether a decky was made here.
    pub(super) fn is_made(&self) -> bool {
        self.0.join(DESIRED).exists()
    }

    /// Make the folder and what is in it, each file whole or not at all.
    pub(super) fn write(&self, decky: &DesiredDecky, config: &DeckyConfig) -> Result<(), StepError> {
        let group = group(config);
        self.doing("write", || {
            for sub in [ARTIFACTS, TRANSCRIPTS] {
                let path = self.0.join(sub);
                fs::create_dir_all(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            }
            share(&self.0, 0o710, group)?;
            // desired.json last: it says that config.json is what it would make.
            replace(&self.0.join(CONFIG), &serde_json::to_vec_pretty(config)?, group)?;
            replace(&self.0.join(DESIRED), &serde_json::to_vec(decky)?, None)
        })
    }

    /// Note that it is made from `decky` now.
    pub(super) fn note_desired(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        self.doing("write", || {
            replace(&self.0.join(DESIRED), &serde_json::to_vec(decky)?, None)
        })
    }

    /// Tell the program something else, and nobody that it has heard of it.
    pub(super) fn tell(&self, config: &DeckyConfig) -> Result<(), StepError> {
        let told = || {
            replace(
                &self.0.join(CONFIG),
                &serde_json::to_vec_pretty(config)?,
                group(config),
            )
        };
        self.doing("write", told)
    }

    /// Take away what the program was told: it has read it, and whoever takes it over need not.
    pub(super) fn take_back(&self) -> Result<(), StepError> {
        self.doing("remove", || remove_file(&self.0.join(CONFIG)))
    }

    /// Put the operator's bait of `persona` here, where `group` can read it and [`within`] says that it is.
    pub(super) fn lend_bait(&self, persona: &PersonaSpec, group: Option<u32>) -> Result<(), StepError> {
        self.take_bait_back()?;
        let moved = within(&mut persona.clone());
        for (from, to) in &moved {
            let to = self.0.join(to);
            let lent = || {
                fs::create_dir_all(&to)?;
                for entry in fs::read_dir(from)? {
                    let path = entry?.path();
                    if let Some(name) = path.file_name()
                        && path.extension().is_some_and(|ending| ending == "toml")
                    {
                        let copy = to.join(name);
                        fs::copy(&path, &copy)?;
                        share(&copy, 0o640, group)?;
                    }
                }
                share(&to, 0o750, group)
            };
            lent().map_err(|e: io::Error| StepError::lasting(format!("bait {}: {e}", from.display())))?;
        }
        if moved.is_empty() {
            return Ok(());
        }
        self.doing("share", || share(&self.0.join(LENT), 0o710, group))
    }

    /// Take it away: the program has read it.
    pub(super) fn take_bait_back(&self) -> Result<(), StepError> {
        self.doing("remove", || match fs::remove_dir_all(self.0.join(LENT)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
    }

    /// The newest of its outlets, where they are kept here.
    pub(super) fn newest_lines(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.0.join(LINES)).ok()?.flatten();
        files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .max()
    }

    /// What it was made from.
    pub(super) fn read(&self) -> Option<DesiredDecky> {
        read(&self.0.join(DESIRED))
    }

    /// Have a container ask the name server at `address`, and not the daemon's, which tells of other deckies; gives the file that says so.
    pub(super) fn ask_names_of(&self, address: IpAddr) -> Result<PathBuf, StepError> {
        let path = self.0.join(RESOLVER);
        self.doing("write", || {
            fs::write(&path, format!("nameserver {address}\n"))?;
            // Whoever runs in it may read it, as everywhere.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
        })?;
        Ok(path)
    }

    /// Note what it runs; `None` where that is about to change.
    pub(super) fn note_applied(&self, decky: Option<&DesiredDecky>) -> Result<(), StepError> {
        let path = self.0.join(APPLIED);
        self.doing("write", || match decky {
            Some(decky) => replace(&path, &serde_json::to_vec(decky)?, None),
            None => remove_file(&path),
        })
    }

    /// What it was last known to run.
    pub(super) fn applied(&self) -> Option<DesiredDecky> {
        read(&self.0.join(APPLIED))
    }

    /// Take away everything that is no evidence, and the folder where nothing else is in it. Gives whether it is gone.
    pub(super) fn remove(&self) -> Result<bool, StepError> {
        self.take_bait_back()?;
        self.doing("remove", || {
            // desired.json first: without it the decky is not observed, so a cut removal is not mistaken for a decky.
            for file in OURS {
                remove_file(&self.0.join(file))?;
            }
            for sub in [ARTIFACTS, TRANSCRIPTS, LINES, ""] {
                match fs::remove_dir(self.0.join(sub)) {
                    Err(e)
                        if !matches!(
                            e.kind(),
                            io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                        ) =>
                    {
                        return Err(e);
                    }
                    _ => {}
                }
            }
            self.0.try_exists()
        })
        .map(|there| !there)
    }

    fn doing<T>(&self, what: &str, work: impl FnOnce() -> io::Result<T>) -> Result<T, StepError> {
        work().map_err(|e| StepError::transient(format!("{what} {}: {e}", self.0.display())))
    }
}

/// Take the folder of all deckies, for as long as what this gives lives: two engines would end each other's.
pub(super) fn hold(deckies: &Path) -> Result<Flock<File>, EngineError> {
    fs::create_dir_all(deckies).map_err(EngineError::io("create", deckies))?;
    let path = deckies.join(".lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(EngineError::io("open", &path))?;
    Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| EngineError::Busy(deckies.to_owned()))
}

/// The deckies that have a folder, or a link to one, in the folder of all deckies.
pub(super) fn names(deckies: &Path) -> impl Iterator<Item = DeckyName> {
    let entries = fs::read_dir(deckies).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The deckies that have a link in one of these folders, which is how containers stand there.
pub(super) fn links(deckies: &Path, outlets: &Path) -> BTreeSet<DeckyName> {
    let entries = [deckies, outlets].map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let links = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.path().is_symlink());
    links
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The name of this installation towards what it shares with others, such as a daemon or the host's interfaces; drawn
/// when it is first asked for. `deckies` is its folder of deckies, which has to be there.
///
/// # Errors
/// Where it can be neither read nor written.
pub fn installation(deckies: &Path) -> Result<String, EngineError> {
    let path = deckies.join(".installation");
    known_or_drawn(&path).map_err(EngineError::io("read", &path))
}

fn known_or_drawn(path: &Path) -> io::Result<String> {
    match File::open(path) {
        Ok(file) => {
            let mut id = String::new();
            file.take(64).read_to_string(&mut id)?;
            let id = id.trim().to_owned();
            if id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(id);
            }
            Err(io::Error::other(
                "it is not twelve hex digits, as this program writes it",
            ))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let id = hex(&rand::random::<[u8; 6]>());
            let new = path.with_extension("new");
            fs::write(&new, &id)?;
            fs::rename(&new, path)?;
            Ok(id)
        }
        Err(e) => Err(e),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The user of the decky at `address`: no distribution gives out users from 1879048192 to 2147483647, which is as far
/// as Docker counts, and systemd leaves them free. Machines of one network differ in their last 28 bits.
pub(super) fn user(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => 0x7000_0000 | (u32::from(address) & 0x0fff_ffff),
        IpAddr::V6(_) => NOBODY,
    }
}

/// Where the services of `decky` listen, with `offset` added to ports below 1024.
pub(super) fn listens(
    catalogue: &dyn Catalogue,
    decky: &DesiredDecky,
    offset: u16,
) -> BTreeMap<ServiceSlug, Vec<SocketAddr>> {
    let ports = |service: &ServiceSpec| match &service.image {
        Some(own) => own.ports.iter().copied().map(Port::Tcp).collect(),
        None => catalogue.ports(&service.slug).unwrap_or_default(),
    };
    let socket = |port: Port| {
        let (Port::Tcp(port) | Port::Udp(port)) = port;
        let moved = if port < 1024 {
            port.saturating_add(offset)
        } else {
            port
        };
        SocketAddr::new(decky.ip, moved)
    };
    decky
        .services
        .iter()
        .map(|service| {
            (
                service.slug.clone(),
                ports(service).into_iter().map(socket).collect(),
            )
        })
        .collect()
}

/// What the program is told of `decky`, which runs as `user` in its folder.
pub(super) fn config(
    decky: &DesiredDecky,
    mut listen: BTreeMap<ServiceSlug, Vec<SocketAddr>>,
    user: u32,
) -> DeckyConfig {
    DeckyConfig {
        name: decky.name.clone(),
        persona: decky.persona.clone(),
        services: decky
            .services
            .iter()
            .map(|service| {
                let relays = service.image.as_ref().map(own_image::relays).unwrap_or_default();
                let mut listen = listen.remove(&service.slug).unwrap_or_default();
                if !relays.is_empty() {
                    listen = relays
                        .iter()
                        .map(|relay| SocketAddr::new(decky.ip, relay.listen))
                        .collect();
                }
                ServiceEntry {
                    slug: service.slug.clone(),
                    knobs: service.knobs.clone(),
                    listen,
                    relays,
                }
            })
            .collect(),
        // Relative to its working directory: as a user of its own it may not pass the folders above.
        artifacts: Some(ARTIFACTS.into()),
        transcripts: Some(TRANSCRIPTS.into()),
        evidence: None,
        pulse: None,
        user,
        reach: Vec::new(),
        limits: Limits::default(),
    }
}

/// Have `persona` name its folders of bait where [`Home::lend_bait`] puts them, from the decky's folder on; gives where each comes from
/// and goes to.
pub(super) fn within(persona: &mut PersonaSpec) -> Vec<(PathBuf, PathBuf)> {
    let overrides = &mut persona.overrides;
    let folders = overrides
        .bait
        .iter_mut()
        .chain(overrides.service_bait.values_mut());
    let moved = folders.enumerate().map(|(n, folder)| {
        let there = format!("{LENT}/{n}");
        (std::mem::replace(folder, there.clone()).into(), there.into())
    });
    moved.collect()
}

/// Who may read what the program is told: only root can start a program as somebody else.
fn group(config: &DeckyConfig) -> Option<u32> {
    geteuid().is_root().then_some(config.user)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Let `group` use `path` as `mode` says; without a group it is for this user alone.
pub(super) fn share(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    let mode = if group.is_some() { mode } else { mode & 0o700 };
    std::os::unix::fs::chown(path, None, group)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Replace `path` with `content`, readable by this user and `group` alone, in one step. Nobody else may do so at the same time: what is
/// new has one name, so that of a process that was killed nothing else is left than what the next one replaces.
fn replace(path: &Path, content: &[u8], group: Option<u32>) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file: File = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    share(&new, 0o640, group)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Make `link` lead to `target`. What is no link is somebody's, and stays.
pub(super) fn link(link: &Path, target: &Path) -> Result<(), StepError> {
    let cannot = |e: io::Error| StepError::transient(format!("make the link {}: {e}", link.display()));
    match fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => {
            if fs::read_link(link).map_err(cannot)? == target {
                return Ok(());
            }
            fs::remove_file(link).map_err(cannot)?;
        }
        // What a local decky of that name left behind.
        Ok(_) => match fs::remove_dir(link) {
            Ok(()) => {}
            Err(e) => {
                return Err(StepError::lasting(format!(
                    "{} is in the way: evidence of an earlier decky of this name is in it ({e}); move it elsewhere",
                    link.display()
                )));
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(cannot(e)),
    }
    std::os::unix::fs::symlink(target, link).map_err(cannot)
}

/// Take `link` away where it leads to `target`. Gives where it leads otherwise: that is somebody's, as what is no link is, and stays.
pub(super) fn unlink(link: &Path, target: &Path) -> Result<Option<PathBuf>, StepError> {
    let cannot = |e: io::Error| StepError::transient(format!("remove the link {}: {e}", link.display()));
    match fs::read_link(link) {
        Ok(leads) if leads == target => remove_file(link).map(|()| None).map_err(cannot),
        Ok(leads) => Ok(Some(leads)),
        // It is gone, or is no link.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
        Err(e) => Err(cannot(e)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_installation_keeps_its_name_and_a_name_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let id = installation(folder.path()).unwrap();
        assert_eq!(id.len(), 12);
        assert_eq!(installation(folder.path()).unwrap(), id);
        fs::write(folder.path().join(".installation"), "of somebody else").unwrap();
        assert!(installation(folder.path()).is_err());
    }

    #[test]
    fn a_decky_is_a_user_of_its_own_that_nobody_gives_out() {
        for network in [[192, 168, 1], [127, 66, 0]] {
            let [a, b, c] = network;
            let users: BTreeSet<u32> = (0..=255)
                .map(|last| user(IpAddr::V4(Ipv4Addr::new(a, b, c, last))))
                .collect();
            assert_eq!(users.len(), 256);
            assert!(
                users
                    .iter()
                    .all(|user| (0x7000_0000..=0x7fff_ffff).contains(user))
            );
        }
    }

    #[test]
    fn bait_is_lent_as_it_is_and_taken_back_whole() {
        use decnet_persona::{Seed, bait::Bait};

        let folder = tempfile::tempdir().unwrap();
        let key = |name: &str| format!("[[key]]\nkey = \"{name}\"\nstring = \"1\"\n");
        for name in ["all", "redis"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("redis.toml"), key(name)).unwrap();
            fs::write(folder.path().join(name).join("notes.txt"), "for nobody else").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut persona = PersonaSpec::new(Seed::from_bytes([1; 16]), "linux-server");
        let home = Home::at(folder.path().join("home"));
        fs::create_dir(home.path()).unwrap();
        home.lend_bait(&persona, None).unwrap();
        assert!(!home.path().join(LENT).exists(), "there is none");

        persona.overrides.bait = Some(at("all"));
        persona.overrides.service_bait = [("redis".parse().unwrap(), at("redis"))].into();
        let mut told = persona.clone();
        within(&mut told);
        for _ in 0..2 {
            home.lend_bait(&persona, None).unwrap();
            for (lent, own) in [
                (told.overrides.bait.as_ref(), persona.overrides.bait.as_ref()),
                (
                    told.overrides.service_bait.values().next(),
                    persona.overrides.service_bait.values().next(),
                ),
            ] {
                let lent = home.path().join(lent.unwrap());
                assert_eq!(Bait::load(&lent), Bait::load(Path::new(own.unwrap())));
                assert_eq!(fs::read_dir(&lent).unwrap().count(), 1);
            }
        }
        home.take_bait_back().unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);

        home.lend_bait(&persona, None).unwrap();
        assert!(home.remove().unwrap());
        persona.overrides.bait = Some(at("gone"));
        fs::create_dir(home.path()).unwrap();
        let error = home.lend_bait(&persona, None).unwrap_err();
        assert!(
            error.message.starts_with(&format!("bait {}: ", at("gone"))),
            "{error}"
        );
    }

    #[test]
    fn what_is_in_the_way_of_a_link_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("web-1"), folder.path().join("ab12"));
        link(&from, &to).unwrap();
        link(&from, &to).unwrap();
        assert_eq!(fs::read_link(&from).unwrap(), to);
        let elsewhere = folder.path().join("cd34");
        assert_eq!(unlink(&from, &elsewhere).unwrap(), Some(to.clone()));
        assert_eq!(fs::read_link(&from).unwrap(), to, "it is not ours to take away");
        assert_eq!(unlink(&from, &to).unwrap(), None);
        assert!(!from.is_symlink());
        assert_eq!(unlink(&from, &to).unwrap(), None, "it is gone");
        fs::create_dir_all(from.join("artifacts")).unwrap();
        assert_eq!(unlink(&from, &to).unwrap(), None, "it is no link");
        let error = link(&from, &to).unwrap_err();
        assert!(
            !error.transient && error.message.contains("in the way"),
            "{error}"
        );
        assert!(from.join("artifacts").exists());
    }
}
