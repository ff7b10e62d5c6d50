//! Moving targets: another set of services that fits the archetype.

use std::collections::BTreeSet;

use decnet_model::{fleet::OwnImage, name::ServiceSlug};
use decnet_persona::{
    Rng,
    archetype::{self, Archetype, MAX_SERVICES},
};

use crate::{Catalogue, DesiredDecky, own_image, resolve::available};

/// How often a set is drawn that is not the current one before the sets are tried in order.
const DRAWS: u32 = 32;

/// A set of services that fits `archetype` and is not `current`, in the archetype's order; `None` where there is no
/// other. The first service of the archetype that the catalogue has stays in every set: a mail server without mail would be none.
#[must_use]
pub fn choose(
    archetype: &Archetype,
    catalogue: &dyn Catalogue,
    current: &[ServiceSlug],
    rng: &mut Rng,
) -> Option<Vec<ServiceSlug>> {
    choose_beside(&[], archetype, catalogue, current, rng)
}

/// [`choose`] on a machine where `own` images answer, which are no choice of the archetype: the set leaves their ports free
/// and room for them. Where one of them has the port of the archetype's first service, that one goes.
pub(crate) fn choose_beside(
    own: &[&OwnImage],
    archetype: &Archetype,
    catalogue: &dyn Catalogue,
    current: &[ServiceSlug],
    rng: &mut Rng,
) -> Option<Vec<ServiceSlug>> {
    let mut fitting = available(archetype, catalogue);
    let core = fitting.first().cloned();
    fitting.retain(|slug| own.is_empty() || own_image::may_stand_beside(slug));
    fitting.retain(|slug| {
        let mut ports = catalogue.ports(slug).unwrap_or_default().into_iter();
        !ports.any(|port| own.iter().any(|own| own_image::stands_in_the_way(own, port)))
    });
    let core = core.filter(|core| fitting.contains(core));
    let room = MAX_SERVICES.saturating_sub(own.len());
    if room == 0 {
        return None;
    }
    let now: BTreeSet<&ServiceSlug> = current.iter().collect();
    let other = |set: &[ServiceSlug]| !set.is_empty() && set.iter().collect::<BTreeSet<_>>() != now;
    for _ in 0..DRAWS {
        let most = fitting.len().min(room).min(archetype.usual + 2);
        let least = archetype.usual.saturating_sub(1).clamp(1, most.max(1));
        let size = rng.range(u64::try_from(least).ok()?, u64::try_from(most).ok()?);
        let mut drawn = fitting.clone();
        rng.shuffle(&mut drawn);
        // What makes the machine what it is comes first, so that it is not cut off.
        drawn.sort_by_key(|slug| Some(slug) != core.as_ref());
        drawn.truncate(usize::try_from(size).ok()?);
        let chosen: Vec<ServiceSlug> = fitting.iter().filter(|s| drawn.contains(s)).cloned().collect();
        let chosen = without_shared_ports(chosen, catalogue);
        if other(&chosen) {
            return Some(chosen);
        }
    }
    // Few services: one beside the first is the smallest change that there is, and without the first only where there is no room
    // for two.
    let beside = |one: &ServiceSlug| -> Vec<ServiceSlug> {
        let first = core.iter().filter(|core| *core != one).cloned();
        without_shared_ports(first.chain([one.clone()]).collect(), catalogue)
    };
    let small = fitting.iter().map(beside).filter(|set| set.len() <= room);
    small
        .chain(fitting.iter().map(|one| vec![one.clone()]))
        .find(|set| other(set))
}

fn without_shared_ports(services: Vec<ServiceSlug>, catalogue: &dyn Catalogue) -> Vec<ServiceSlug> {
    let mut ports = Vec::new();
    services
        .into_iter()
        .filter(|slug| {
            let mine = catalogue.ports(slug).unwrap_or_default();
            let free = mine.iter().all(|p| !ports.contains(p));
            if free {
                ports.extend(mine);
            }
            free
        })
        .collect()
}

/// `decky` with other services; the same `round` gives the same ones. `None` where its archetype leaves no choice.
#[must_use]
pub fn mutate(decky: &DesiredDecky, catalogue: &dyn Catalogue, round: u64) -> Option<DesiredDecky> {
    let archetype = archetype::find(&decky.persona.archetype).ok()?;
    let (own, images): (Vec<_>, Vec<_>) = decky
        .own_images()
        .map(|(slug, image)| (slug.clone(), image))
        .unzip();
    let current: Vec<ServiceSlug> = decky
        .slugs()
        .filter(|slug| !own.contains(slug))
        .cloned()
        .collect();
    let mut rng = decky.persona.seed.rng(&format!("mutation/{round}"));
    let mut chosen = choose_beside(&images, archetype, catalogue, &current, &mut rng)?;
    chosen.extend(own);
    Some(decky.clone().with_services(&chosen))
}
