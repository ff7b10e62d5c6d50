//! All that a host consists of: its programs, the one inside a decky, the dashboard's files.

use std::thread;

use anyhow::{Result, bail};

use crate::{
    decoy,
    place::{Place, Profile},
    programs,
    shell::step,
    site,
};

/// Build it all.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    match profile {
        Profile::Dev => step("Building the programs", || programs::build(place, profile))?,
        Profile::Release => step(
            "Building the programs, and beside them what deckies and browsers run (the first time takes a while: about 500 crates)",
            || shipped(place),
        )?,
    }
    step("Building the dashboard", || site::build(place, profile))
}

/// Three builds that have nothing in common. Each of them ends with minutes that keep one processor busy, so two go at a time;
/// three would want more memory than a small machine has.
fn shipped(place: &Place) -> Result<()> {
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            decoy::build(place)?;
            site::compile(place, Profile::Release)
        });
        let programs = programs::build(place, Profile::Release);
        let Ok(beside) = beside.join() else {
            bail!("a thread of the build panicked")
        };
        programs.and(beside.map(drop))
    })
}
