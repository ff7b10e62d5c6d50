//! The server: sessions, the REST API, the event stream, security headers, and the dashboard's pages.
//!
//! It translates between HTTP and `decnet-domain` and holds no rule of its own; it is the only place that knows
//! status codes. Start at [`api::router`] for the API and at [`http::wrap`] for what every
//! request passes through; [`serve::serve`] is where connections come in.

pub mod api;
pub mod client;
pub mod config;
mod cors;
pub mod http;
pub mod problem;
pub mod serve;
pub mod session;
mod shared;
mod site;
pub mod throttle;
pub mod tls;
pub mod ui;

use std::sync::Arc;

use decnet_domain::Domain;
use decnet_runtime::Shutdown;

pub use config::Config;

/// What every handler shares.
#[derive(Clone)]
pub struct AppState {
    /// The use-cases.
    pub domain: Domain,
    /// How this server is reached.
    pub config: Arc<Config>,
    /// Ends open streams when the server stops.
    pub shutdown: Shutdown,
}
