//! All that a host consists of: its programs, the one inside a decky, the dashboard's files.

use anyhow::Result;

use crate::{
    decoy,
    place::{Place, Profile},
    programs,
    shell::{side_by_side, step},
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
    side_by_side(
        || programs::build(place, Profile::Release),
        || {
            decoy::build(place)?;
            site::compile(place, Profile::Release).map(drop)
        },
    )
}
