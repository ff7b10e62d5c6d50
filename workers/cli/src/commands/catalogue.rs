//! `decnet services`, `archetypes` and `distros`: what there is to deploy. Needs no installation.

use anyhow::Result;

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
    let distros = decnet_persona::Distro::ALL;
    if list.json {
        let rows: Vec<_> =
            distros.iter().map(|d| serde_json::json!({ "slug": d.as_str(), "name": d.releases().first().map_or("", |r| r.pretty) })).collect();
        return output::json(&rows);
    }
    let rows: Vec<_> = distros
        .iter()
        .map(|d| {
            vec![
                d.as_str().to_owned(),
                d.releases().first().map_or("", |r| r.pretty).to_owned(),
            ]
        })
        .collect();
    output::table(&["DISTRIBUTION", "NAME"], &rows, "");
    Ok(())
}
