//! The certificate authority: made at the first start, loaded at every other.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::{
    PkiError,
    certificate::{Identity, Names, unusable, x509},
    files::{self, Access},
};

/// How long an authority lasts.
const LIFETIME: Duration = Duration::days(3650);
/// Certificates begin this much earlier, for clients whose clock is behind.
pub(crate) const CLOCK_SKEW: Duration = Duration::hours(1);

const WAY_OUT: &str = "restore ca.key and ca.crt together from a backup, or move both away: the next start makes a new \
                       authority, which every client has to be told to trust";

/// The installation's certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    path: PathBuf,
    not_after: OffsetDateTime,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority in `dir`: `ca.key` and `ca.crt`, made where they are not there yet. Processes that start at once
    /// end with the same one.
    ///
    /// # Errors
    /// Where the folder or the key is open to others, a file cannot be read or written, or they do not hold an
    /// authority that is valid at `now`.
    pub fn ensure(dir: &Path, now: OffsetDateTime) -> Result<Self, PkiError> {
        files::private_folder(dir)?;
        let (key_path, path) = (dir.join("ca.key"), dir.join("ca.crt"));
        // The certificate first: the key is made before it, so a certificate without a key is one that lost it.
        let certificate = files::read(&path, Access::Public)?;
        let key = match (files::read(&key_path, Access::Owner)?, &certificate) {
            (Some(key), _) => key,
            (None, Some(_)) => return Err(unusable(&key_path, "is gone, and ca.crt is there", WAY_OUT)),
            (None, None) => {
                let key = new_key()?;
                files::write_once(&key_path, &Zeroizing::new(key.serialize_pem()), Access::Owner)?
            }
        };
        let key = KeyPair::from_pem(&key)
            .map_err(|error| unusable(&key_path, format!("holds no private key: {error}"), WAY_OUT))?;
        let certificate = match certificate {
            Some(pem) => pem,
            // With the key at hand this is the same authority again, also after a stop between the two files.
            None => files::write_once(&path, &self_signed(&key, now)?, Access::Public)?,
        };
        Self::new(key, &certificate, path, now)
    }

    fn new(key: KeyPair, pem: &str, path: PathBuf, now: OffsetDateTime) -> Result<Self, PkiError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| unusable(&path, format!("holds no certificate: {error}"), WAY_OUT))?;
        let not_after = {
            let parsed = x509(&certificate, &path, WAY_OUT)?;
            if !parsed.is_ca() {
                return Err(unusable(&path, "is not an authority's certificate", WAY_OUT));
            }
            if parsed.public_key().raw != key.subject_public_key_info() {
                return Err(unusable(&path, "does not belong to ca.key", WAY_OUT));
            }
            parsed.validity().not_after.to_datetime()
        };
        if not_after <= now {
            return Err(unusable(
                &path,
                format!("has expired on {}", not_after.date()),
                WAY_OUT,
            ));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| unusable(&path, error.to_string(), WAY_OUT))?;
        Ok(Self {
            issuer,
            certificate,
            path,
            not_after,
        })
    }

    /// The certificate that clients have to trust.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The file with that certificate, for whoever imports it into a browser.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new key with a certificate for a server that is called `names`, from `now` for `validity`, at most as long as
    /// the authority itself lasts. The chain ends with the authority's own certificate.
    ///
    /// # Errors
    /// Where a name is none that a certificate can hold.
    pub fn issue_server(
        &self,
        names: &Names,
        now: OffsetDateTime,
        validity: Duration,
    ) -> Result<Identity, PkiError> {
        let dns = names.dns.iter().map(|name| {
            let ia5 = name.as_str().try_into();
            ia5.map(SanType::DnsName)
                .map_err(PkiError::make(format!("a certificate for {name:?}")))
        });
        let ips = names.ips.iter().map(|ip| Ok(SanType::IpAddress(*ip)));
        let key = new_key()?;
        let mut params = CertificateParams::default();
        // Clients look at the alternative names only (RFC 9525 section 6.3); the subject is for people.
        params.distinguished_name = called("DECNET server".to_owned());
        params.subject_alt_names = dns.chain(ips).collect::<Result<_, _>>()?;
        params.not_before = now - CLOCK_SKEW;
        params.not_after = self.not_after.min(now + validity);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(PkiError::make("a server's certificate"))?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Identity::new(chain, key, &self.path, WAY_OUT)
    }
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::make("a key"))
}

/// The authority's own certificate, as PEM. Its name tells installations apart in a browser's list.
fn self_signed(key: &KeyPair, now: OffsetDateTime) -> Result<String, PkiError> {
    let mark: String = Sha256::digest(key.subject_public_key_info())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = called(format!("DECNET installation {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + LIFETIME;
    let certificate = params
        .self_signed(key)
        .map_err(PkiError::make("the authority's certificate"))?;
    Ok(certificate.pem())
}

fn called(name: String) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "DECNET");
    distinguished.push(DnType::CommonName, name);
    distinguished
}
