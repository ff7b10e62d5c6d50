//! What a server presents: kept in a file across restarts, renewed in time, exchanged while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use pem::Pem;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::{
    Authority, PkiError,
    authority::CLOCK_SKEW,
    certificate::{Identity, Names},
    files::{self, Access},
};

/// How long a server's certificate lasts: Apple's clients take no longer one than 825 days from a private authority,
/// and a year leaves room.
pub const VALIDITY: Duration = Duration::days(365);
/// A certificate of ours that lasts no longer than this is replaced.
pub const RENEW_BEFORE: Duration = Duration::days(30);

/// Where a server's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The authority in this folder issues it, for these names; it is kept there as `server.pem`.
    Authority {
        /// The authority's folder.
        dir: PathBuf,
        /// What the server is called.
        names: Names,
    },
    /// An operator's PEM files, which somebody else renews.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// The leaf's key.
        key: PathBuf,
    },
}

/// The certificate that a server presents now.
#[derive(Debug)]
pub struct ServerCertificate {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// The certificate from `source`, issued where there is none that fits.
    ///
    /// # Errors
    /// Where there is none to be had: see [`PkiError`].
    pub fn open(source: Source, now: OffsetDateTime) -> Result<Arc<Self>, PkiError> {
        let current = RwLock::new(Arc::new(load(&source, now)?));
        Ok(Arc::new(Self { source, current }))
    }

    /// Look again: issue a new one where the present one is about to expire, read an operator's files again. True
    /// where new connections get another certificate from now on. On an error the present one stays.
    ///
    /// # Errors
    /// As of [`ServerCertificate::open`].
    pub fn renew(&self, now: OffsetDateTime) -> Result<bool, PkiError> {
        let fresh = Arc::new(load(&self.source, now)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != fresh.cert;
        *current = fresh;
        Ok(changed)
    }

    /// The configuration of a web server: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, no client certificates.
    ///
    /// # Errors
    /// Where the cryptography does not support these versions.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, PkiError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.current
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

fn load(source: &Source, now: OffsetDateTime) -> Result<CertifiedKey, PkiError> {
    let identity = match source {
        Source::Files { chain, key } => {
            let identity = Identity::read(chain, key)?;
            if identity.not_after() <= now {
                tracing::warn!(file = %chain.display(), expired = %identity.not_after(), "the certificate has expired; browsers refuse it");
            }
            identity
        }
        Source::Authority { dir, names } => issued(dir, names, now)?,
    };
    let provider: &CryptoProvider = &aws_lc_rs::default_provider();
    // Refuses a key that is not the leaf's.
    let certified = CertifiedKey::from_der(identity.chain().to_vec(), identity.key().clone_key(), provider);
    match (certified, source) {
        (Ok(certified), _) => Ok(certified),
        (Err(error), Source::Files { chain, key }) => Err(PkiError::Unusable {
            path: key.clone(),
            problem: format!("is not the key of {}: {error}", chain.display()),
            way_out: "name the key that belongs to the first certificate of the chain",
        }),
        (Err(error), Source::Authority { .. }) => Err(error.into()),
    }
}

/// The certificate that is kept in `dir`, or a new one where that is not good enough any more.
fn issued(dir: &Path, names: &Names, now: OffsetDateTime) -> Result<Identity, PkiError> {
    let authority = Authority::ensure(dir, now)?;
    let path = dir.join("server.pem");
    match kept(&path) {
        Ok(Some(identity)) => match unfit(&identity, &authority, names, now) {
            None => return Ok(identity),
            Some(why) => tracing::info!(why, "issuing another server certificate"),
        },
        Ok(None) => {}
        // Nothing is lost with it: it can be issued again, with a key that nobody has seen.
        Err(error) => tracing::warn!(%error, "issuing another server certificate"),
    }
    let identity = authority.issue_server(names, now, VALIDITY)?;
    files::replace(&path, &written(&identity), Access::Owner)?;
    Ok(identity)
}

fn kept(path: &Path) -> Result<Option<Identity>, PkiError> {
    let Some(text) = files::read(path, Access::Owner)? else {
        return Ok(None);
    };
    let identity = Identity::parse((path, &text), (path, &text), "it is issued anew")?;
    let provider: &CryptoProvider = &aws_lc_rs::default_provider();
    CertifiedKey::from_der(identity.chain().to_vec(), identity.key().clone_key(), provider)?;
    Ok(Some(identity))
}

fn unfit(
    identity: &Identity,
    authority: &Authority,
    names: &Names,
    now: OffsetDateTime,
) -> Option<&'static str> {
    if identity.chain().get(1) != Some(authority.certificate()) {
        Some("the authority is another")
    } else if identity.names() != names {
        Some("the server's names have changed")
    } else if identity.not_after() - now <= RENEW_BEFORE {
        Some("it expires soon")
    } else if identity.not_after() - now > VALIDITY + CLOCK_SKEW {
        Some("it is not valid yet: the clock was put back since it was issued")
    } else {
        None
    }
}

/// Key and chain in one file, so that no reader ever sees one without the other.
fn written(identity: &Identity) -> Zeroizing<String> {
    let block = |tag: &str, der: &[u8]| Zeroizing::new(pem::encode(&Pem::new(tag, der)));
    // rcgen writes keys as PKCS #8, whose label this is (RFC 7468 section 10).
    let mut text = block("PRIVATE KEY", identity.key().secret_der());
    for certificate in identity.chain() {
        text.push_str(&block("CERTIFICATE", certificate));
    }
    text
}
