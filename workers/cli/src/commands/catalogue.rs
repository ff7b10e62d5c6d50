//! `decnet services`, `archetypes` and `distros`: what there is to deploy. Needs no installation.

use anyhow::Result;
use decnet_persona::{Distro, archetype::of_distro};
use serde_json::json;

use crate::{cli::ListArgs, output};

/// `decnet services`
pub(crate) fn services(list: ListArgs) -> Result<()> {
    let services = decnet_domain::services();
    if list.json {
        return output::json(&services);
    }
    let rows: Vec<_> = services
        .iter()
        .map(|s| {
            let knobs: Vec<_> = s.knobs.iter().map(|knob| knob.name.as_str()).collect();
            vec![
                s.slug.to_string(),
                s.label.clone(),
                s.category.clone(),
                s.ports.join(", "),
                knobs.join(", "),
            ]
        })
        .collect();
    output::table(&["SERVICE", "NAME", "KIND", "PORTS", "KNOBS"], &rows, "");
    Ok(())
}

/// `decnet archetypes`
pub(crate) fn archetypes(list: ListArgs) -> Result<()> {
    let archetypes = decnet_domain::archetypes();
    if list.json {
        return output::json(&archetypes);
    }
    let rows: Vec<_> = archetypes
        .iter()
        .map(|a| {
            let services: Vec<_> = a.services.iter().map(ToString::to_string).collect();
            vec![
                a.slug.clone(),
                a.label.clone(),
                services.join(", "),
                a.summary.clone(),
            ]
        })
        .collect();
    output::table(
        &["ARCHETYPE", "NAME", "SERVICES", "WHAT IT PASSES FOR"],
        &rows,
        "",
    );
    Ok(())
}

/// `decnet distros`
pub(crate) fn distros(list: ListArgs) -> Result<()> {
    let of = |distro: &Distro| -> Vec<&'static str> { of_distro(*distro).map(|kind| kind.slug).collect() };
    // What no machine can have is nothing to deploy.
    let distros = Distro::ALL.iter().map(|distro| (*distro, of(distro)));
    let distros = distros.filter(|(_, kinds)| !kinds.is_empty());
    if list.json {
        let rows: Vec<_> = distros
            .map(|(distro, archetypes)| {
                let releases = releases(distro);
                json!({
                    "slug": distro.as_str(), "name": releases.first(), "releases": releases, "archetypes": archetypes
                })
            })
            .collect();
        return output::json(&rows);
    }
    let rows: Vec<_> = distros
        .map(|(distro, archetypes)| {
            let releases = releases(distro).join(", ");
            vec![distro.as_str().to_owned(), releases, archetypes.join(", ")]
        })
        .collect();
    output::table(&["DISTRIBUTION", "A DECKY IS ONE OF", "FITS"], &rows, "");
    Ok(())
}

/// What the releases of a distribution call themselves, each once; which one a decky has, its seed decides.
fn releases(distro: Distro) -> Vec<&'static str> {
    let mut names: Vec<_> = distro.releases().iter().map(|release| release.pretty).collect();
    names.dedup();
    names
}
