//! How this server is reached: the part of the settings that HTTP needs.

use std::{path::PathBuf, time::Duration};

use decnet_runtime::{
    Settings,
    settings::{Environment, WebOrigin},
};
use ipnet::IpNet;

/// How this server is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// The origin that browsers see, `http(s)://host[:port]`, without a slash at the end.
    pub public_url: String,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose scripts may use the API.
    pub cors_origins: Vec<WebOrigin>,
    /// Whether a 500 tells the client what led to it.
    pub show_causes: bool,
    /// Folder of the dashboard's files.
    pub site_root: PathBuf,
    /// How long the answer of a list is everybody's who asks for the same; zero where each is made anew.
    pub answers_good_for: Duration,
}

impl Config {
    /// The part of `settings` that is about HTTP.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            public_url: settings.server.public_url.clone(),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            cors_origins: settings.server.cors_origins.clone(),
            show_causes: settings.environment == Environment::Development,
            site_root: settings.server.site_root.clone(),
            answers_good_for: settings.server.answers_good_for,
        }
    }

    /// Whether browsers come by TLS: decides on Secure cookies and HSTS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
