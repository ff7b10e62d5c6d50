//! The host: its daemons, telling one to stop, having one started again, and clearing one that was left alone.

use decnet_model::view::{Health, StartAll, WorkerView};
use leptos::prelude::*;

use super::{Answer, json::Json};
#[cfg(feature = "ssr")]
use super::{access::parsed, ssr::permitted};

/// Every worker, heard or not.
#[server(prefix = "/ui", endpoint = "worker_list", input = Json, output = Json)]
pub async fn worker_list() -> Answer<Vec<WorkerView>> {
    let (domain, see) = permitted()?;
    Ok(domain.worker_list(&see).await?)
}

/// How the parts of the host do.
#[server(prefix = "/ui", endpoint = "health_get", input = Json, output = Json)]
pub async fn health_get() -> Answer<Health> {
    let (domain, see) = permitted()?;
    Ok(domain.health_parts(&see)?)
}

/// Tell a worker to stop. A plain form too, so it leads back to the workers.
#[server(prefix = "/ui", endpoint = "worker_stop", output = Json)]
pub async fn worker_stop(name: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.worker_stop(&manage, &parsed(&name)?).await?;
    leptos_axum::redirect("/workers");
    Ok(())
}

/// Have a worker started, where `decnet up` runs it. A plain form too, so it leads back to the workers.
#[server(prefix = "/ui", endpoint = "worker_start", output = Json)]
pub async fn worker_start(name: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.worker_start(&manage, &parsed(&name)?).await?;
    leptos_axum::redirect("/workers");
    Ok(())
}

/// Have a worker tried again that died too often. A plain form too, so it leads back to the workers.
#[server(prefix = "/ui", endpoint = "worker_clear", output = Json)]
pub async fn worker_clear(name: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.worker_clear_quarantine(&manage, &parsed(&name)?).await?;
    leptos_axum::redirect("/workers");
    Ok(())
}

/// Have every worker started that is down. A plain form too, so it leads back to the workers.
#[server(prefix = "/ui", endpoint = "worker_start_all", output = Json)]
pub async fn worker_start_all() -> Answer<StartAll> {
    let (domain, manage) = permitted()?;
    let done = domain.worker_start_all(&manage).await?;
    leptos_axum::redirect("/workers");
    Ok(done)
}
