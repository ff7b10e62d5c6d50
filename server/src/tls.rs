//! Which certificate this server presents.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use axum::http::Uri;
use decnet_model::clock::SharedClock;
use decnet_pki::{Names, PkiError, ServerCertificate, Source};
use decnet_runtime::{Settings, exit::chain, settings::Tls};

/// How often the certificate is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(12 * 3600);

/// The certificate that `settings` ask for; none where TLS is off.
///
/// # Errors
/// Where there is none to be had.
pub fn certificate(
    settings: &Settings,
    clock: &SharedClock,
) -> Result<Option<Arc<ServerCertificate>>, PkiError> {
    let source = match &settings.server.tls {
        Tls::Off => return Ok(None),
        Tls::Auto => Source::Authority {
            dir: settings.pki_dir(),
            names: names(settings),
        },
        Tls::Files { chain, key } => Source::Files {
            chain: chain.clone(),
            key: key.clone(),
        },
    };
    ServerCertificate::open(source, clock.now()).map(Some)
}

/// What this server is called: by its public URL, by where it listens, and by whoever is on the same host.
fn names(settings: &Settings) -> Names {
    let mut names = Names::default();
    names.dns.insert("localhost".into());
    names
        .ips
        .extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    let listen = settings.server.listen.ip();
    if !listen.is_unspecified() {
        names.ips.insert(listen);
    }
    let url = settings.server.public_url.parse::<Uri>().ok();
    if let Some(host) = url.as_ref().and_then(Uri::host) {
        let host = host.trim_matches(['[', ']']);
        match host.parse() {
            Ok(ip) => drop(names.ips.insert(ip)),
            Err(_) => drop(names.dns.insert(host.to_ascii_lowercase())),
        }
    }
    names
}

/// Keep `certificate` up to date while the server runs. Never returns.
pub async fn keep(certificate: Option<Arc<ServerCertificate>>, clock: SharedClock) {
    let Some(certificate) = certificate else {
        return std::future::pending().await;
    };
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        match certificate.renew(clock.now()) {
            Ok(true) => tracing::info!("new connections get the new certificate"),
            Ok(false) => {}
            Err(error) => tracing::error!(
                error = chain(&error),
                "the certificate is not renewed; the present one stays"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_runtime::settings::Sources;

    use super::*;

    #[test]
    fn a_server_is_called_by_its_url_its_address_and_as_the_same_host() {
        let named = |listen: &str, url: &str| {
            let mut sources = Sources::default();
            sources.flags.insert("tls", "auto".into());
            sources.flags.insert("listen", listen.into());
            sources.flags.insert("public-url", url.into());
            let names = names(&Settings::read(&sources).unwrap());
            let ips: Vec<_> = names.ips.iter().map(ToString::to_string).collect();
            (names.dns.into_iter().collect::<Vec<_>>().join(" "), ips.join(" "))
        };
        let (dns, ips) = named("192.0.2.7:8443", "https://Decoys.Test:8443");
        assert_eq!(
            (dns.as_str(), ips.as_str()),
            ("decoys.test localhost", "127.0.0.1 192.0.2.7 ::1")
        );
        let (dns, ips) = named("0.0.0.0:8443", "https://[2001:db8::1]:8443");
        assert_eq!(
            (dns.as_str(), ips.as_str()),
            ("localhost", "127.0.0.1 ::1 2001:db8::1")
        );
    }
}
