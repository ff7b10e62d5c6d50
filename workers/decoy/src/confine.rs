//! Locks the program in before the first visitor can speak to it: whoever takes it over has a user without a name, the
//! folder of this decky and its open connections.
//!
//! Root becomes the configured user; whoever starts it, no capability stays but that of binding low ports, which a new
//! configuration needs, and no program that it could start gains any. Landlock does the same for files where users do
//! not: the folder of the configuration can be read, the two folders of evidence written, nothing executed, nothing
//! connected to but the ports that it was started with, behind which its relays are. Where a service connects to its visitors, as
//! FTP does in active mode, to ports of theirs that nobody can know before, only the network's own rules say where it may. Sockets of
//! the host that have a path are out of reach, whoever may write to them, because no such socket is made, and nor is one of IP about which
//! Landlock is not asked (`sockets.rs`).
//!
//! The kernel keeps most of this for each thread, so [`confine`] must run before there is a second one.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, lchown},
    path::Path,
};

use decnet_decoys::{catalogue, config::DeckyConfig};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, geteuid, getppid, setgroups, setresgid, setresuid},
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::sockets;

/// The newest rules that are known here; what a kernel lacks of them it leaves out.
const RULES: ABI = ABI::V9;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("hand {0} over: {1}")]
    HandOver(String, io::Error),
    #[error("give up privileges: {0}")]
    Privileges(#[from] io::Error),
    #[error("restrict sockets: {0}")]
    Sockets(io::Error),
    #[error("restrict file access: {0}")]
    Landlock(#[from] RulesetError),
    #[error("open {0} to restrict file access to it: {1}")]
    Open(String, landlock::PathFdError),
    #[error("whoever started it is gone")]
    Orphan,
}

/// Whether the kernel restricts file access beyond users and permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    Restricted,
    /// It has no Landlock, or it is switched off.
    ByUserOnly,
}

/// Give up what serving visitors does not need. `source` is the file that the configuration came from.
pub(crate) fn confine(config: &DeckyConfig, source: Option<&Path>) -> Result<Files, Error> {
    let parent = getppid();
    let dies_with_parent = prctl::get_pdeathsig().map_err(io::Error::from)?;
    let evidence: Vec<&Path> = [&config.artifacts, &config.transcripts]
        .into_iter()
        .flatten()
        .map(std::path::PathBuf::as_path)
        .collect();
    for folder in &evidence {
        hand_over(folder, config.user)
            .map_err(|error| Error::HandOver(folder.display().to_string(), error))?;
    }
    prctl::set_no_new_privs().map_err(io::Error::from)?;
    // Before the change of user, who may not reach the folders by their paths.
    let calls_back = config
        .services
        .iter()
        .any(|service| catalogue::calls_back(service.slug.as_str(), &service.knobs));
    let reach = (!calls_back).then_some(config.reach.as_slice());
    let files = restrict(source, &evidence, reach)?;
    if geteuid().is_root() {
        become_user(config.user)?;
    }
    let kept = capabilities(None).map_err(io::Error::from)?.permitted & CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(io::Error::from)?;
    sockets::allow_tcp_alone().map_err(Error::Sockets)?;
    if let Some(signal) = dies_with_parent {
        // The kernel forgets it with the change of user. The parent may have died in between.
        prctl::set_pdeathsig(signal).map_err(io::Error::from)?;
        if getppid() != parent {
            return Err(Error::Orphan);
        }
    }
    Ok(files)
}

/// Make `folder`; as root, let `user` have it and what earlier runs left in it.
fn hand_over(folder: &Path, user: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if !geteuid().is_root() || fs::metadata(folder)?.uid() == user {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        // A second name may stand anywhere: such a file stays whose it is.
        if meta.is_file() && meta.nlink() == 1 {
            lchown(entry.path(), Some(user), Some(user))?;
        }
    }
    // Last: it says that everything in it was handed over.
    lchown(folder, Some(user), Some(user))
}

fn become_user(user: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    prctl::set_keepcaps(true)?;
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    prctl::set_keepcaps(false)?;
    Ok(())
}

/// Restrict what is read, written and executed, and to `reach` where it may connect, unless it may connect anywhere.
fn restrict(source: Option<&Path>, evidence: &[&Path], reach: Option<&[u16]>) -> Result<Files, Error> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile});
    let beneath = |path: &Path, access: BitFlags<AccessFs>| {
        PathFd::new(path)
            .map(|folder| PathBeneath::new(folder, access))
            .map_err(|error| Error::Open(path.display().to_string(), error))
    };
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(RULES))?;
    if reach.is_some() {
        rules = rules.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut rules = rules.scope(Scope::from_all(RULES))?.create()?;
    // Of a new configuration only the name is the same, so the folder is what has to be readable.
    if let Some(folder) = source.and_then(Path::parent) {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        rules = rules.add_rule(beneath(folder, read)?)?;
    }
    // The static program asks them for random numbers.
    for device in ["/dev/random", "/dev/urandom"].map(Path::new) {
        if device.exists() {
            rules = rules.add_rule(beneath(device, AccessFs::ReadFile.into())?)?;
        }
    }
    for port in reach.unwrap_or_default() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    for folder in evidence {
        rules = rules.add_rule(beneath(folder, read | write)?)?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Files::ByUserOnly,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Files::Restricted,
    })
}
