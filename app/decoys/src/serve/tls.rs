//! The persona's certificates and the TLS configurations made from them.
//!
//! Keys and serial numbers come from the persona's secret, and RSA signatures (PKCS #1 v1.5) are deterministic, so a
//! restart presents the same certificate byte for byte, as a real machine does. RSA because the self-signed
//! certificates that products make for themselves (Debian's ssl-cert, MySQL, vsftpd's) are RSA with 2048 bits.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, SanType, SerialNumber,
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::{
    self, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs as lc},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::Host;

/// The modulus length of every product's self-signed default that is imitated here.
const RSA_BITS: usize = 2048;

/// A certificate or a TLS configuration that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("certificate {label:?}: {problem}")]
pub struct TlsError {
    /// Which certificate.
    pub label: String,
    /// What went wrong.
    pub problem: String,
}

/// How a self-signed certificate looks.
#[derive(Debug, Clone)]
pub struct Look {
    /// Subject and issuer, in order, such as `(DnType::CommonName, "srv-01.example")`.
    pub subject: Vec<(DnType, String)>,
    /// DNS names of the subjectAltName extension; none makes no extension.
    pub dns_names: Vec<String>,
    /// Addresses of the subjectAltName extension.
    pub addresses: Vec<IpAddr>,
    /// Whether it calls itself a CA; `None` leaves the extension away.
    pub ca: Option<bool>,
    /// Days that it is valid, from a time before the persona's boot.
    pub days: i64,
}

impl Look {
    /// As Debian's ssl-cert package makes it at installation: `/etc/ssl/certs/ssl-cert-snakeoil.pem`.
    #[must_use]
    pub fn snakeoil(host: &Host) -> Self {
        let name = host.persona.fqdn();
        Self {
            subject: vec![(DnType::CommonName, name.clone())],
            dns_names: vec![name],
            addresses: Vec::new(),
            ca: Some(false),
            days: 3650,
        }
    }
}

/// The TLS library that a machine's products answer with: visitors tell libraries by what they negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stack {
    /// OpenSSL from 1.1.1 to 3.4, which has no post-quantum groups.
    OpenSsl,
    /// Windows before Server 2022 and 11, which has no TLS 1.3.
    OldSchannel,
    /// Windows Server 2022 and 11, and later.
    Schannel,
}

impl Stack {
    /// That of the machine's own system.
    fn of(host: &Host) -> Self {
        if !host.persona.os.is_windows() {
            return Self::OpenSsl;
        }
        let pretty = host.persona.release().pretty;
        let new = ["Server 2022", "Server 2025", "Windows 11"];
        if new.iter().any(|name| pretty.contains(name)) {
            Self::Schannel
        } else {
            Self::OldSchannel
        }
    }

    /// What it negotiates, in its order.
    fn provider(self) -> CryptoProvider {
        use lc::cipher_suite as suite;
        let cipher_suites = match self {
            Self::OpenSsl => vec![
                suite::TLS13_AES_256_GCM_SHA384,
                suite::TLS13_CHACHA20_POLY1305_SHA256,
                suite::TLS13_AES_128_GCM_SHA256,
                suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ],
            // ChaCha20 is off in every Windows unless somebody turns it on.
            Self::OldSchannel => vec![
                suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ],
            Self::Schannel => vec![
                suite::TLS13_AES_256_GCM_SHA384,
                suite::TLS13_AES_128_GCM_SHA256,
                suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ],
        };
        CryptoProvider {
            cipher_suites,
            // The same order in both.
            kx_groups: vec![
                lc::kx_group::X25519,
                lc::kx_group::SECP256R1,
                lc::kx_group::SECP384R1,
            ],
            ..lc::default_provider()
        }
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
        match self {
            Self::OldSchannel => &TLS12,
            Self::OpenSsl | Self::Schannel => rustls::ALL_VERSIONS,
        }
    }
}

/// How a product takes up TLS on a connection that began without it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate, and what it negotiates.
    pub config: Arc<ServerConfig>,
    /// What it does with words that came too early.
    pub ahead: Ahead,
    /// What it says where something else comes in place of a handshake, or the end; empty where that is left to the library.
    pub unmet: &'static [u8],
}

/// What becomes of bytes that a visitor sends right behind the words that ask for TLS, without waiting for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// They begin the handshake: the product has read no further than those words.
    Handshake,
    /// The product has read them with those words, and forgets them before TLS begins (CVE-2011-0411).
    Forgotten,
}

/// The fatal alert `unexpected_message`, in a record of TLS 1.2: how GnuTLS answers both, as Exim 4.96 of Debian 12 shows.
pub const GNUTLS_UNMET: &[u8] = &[21, 3, 3, 0, 2, 2, 10];

/// A certificate with its key.
pub struct Identity {
    /// DER of the certificate.
    pub certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    stack: Stack,
}

impl Identity {
    /// The machine's own self-signed certificate, which services of one machine share unless their product makes its
    /// own.
    ///
    /// # Errors
    /// Where the certificate cannot be made.
    pub fn snakeoil(host: &Host) -> Result<Arc<Self>, TlsError> {
        let mut made = host.snakeoil.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = &*made {
            return Ok(Arc::clone(identity));
        }
        let identity = Arc::new(Self {
            stack: Stack::of(host),
            ..Self::self_signed(host, "ssl-cert-snakeoil", &Look::snakeoil(host))?
        });
        *made = Some(Arc::clone(&identity));
        Ok(identity)
    }

    /// The self-signed certificate of this `host` that `label` names. The same host, label and look give the same
    /// certificate.
    ///
    /// # Errors
    /// Where a name of `look` does not fit into a certificate.
    pub fn self_signed(host: &Host, label: &str, look: &Look) -> Result<Self, TlsError> {
        let failed = |problem: &dyn std::fmt::Display| TlsError {
            label: label.to_owned(),
            problem: problem.to_string(),
        };
        let secret = |what: &str| host.persona.secret(&format!("tls/{label}/{what}"));
        let mut rng = ChaCha20Rng::from_seed(secret("key"));
        let key = RsaPrivateKey::new(&mut rng, RSA_BITS).map_err(|e| failed(&e))?;
        let key = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().map_err(|e| failed(&e))?.as_bytes().to_vec());
        let pair =
            KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_RSA_SHA256).map_err(|e| failed(&e))?;

        let mut params = CertificateParams::new(look.dns_names.clone()).map_err(|e| failed(&e))?;
        params
            .subject_alt_names
            .extend(look.addresses.iter().map(|a| SanType::IpAddress(*a)));
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in &look.subject {
            params.distinguished_name.push(kind.clone(), value.as_str());
        }
        params.is_ca = match look.ca {
            None => IsCa::NoCa,
            Some(false) => IsCa::ExplicitNoCa,
            Some(true) => IsCa::Ca(BasicConstraints::Unconstrained),
        };
        let [lead, rest @ ..] = secret("serial");
        // OpenSSL's serial numbers are 160 bits, positive (RFC 5280 section 4.1.2.2).
        let mut serial = vec![lead & 0x7f | 0x01];
        serial.extend_from_slice(rest.get(..19).unwrap_or_default());
        params.serial_number = Some(SerialNumber::from(serial));
        let [a, b, c, d, ..] = secret("age");
        // Made when the machine was installed: up to 400 days before it was last booted.
        let age = i64::from(u32::from_be_bytes([a, b, c, d]) % (400 * 86_400));
        let boot = OffsetDateTime::from_unix_timestamp(host.persona.boot_time).map_err(|e| failed(&e))?;
        params.not_before = boot - Duration::seconds(age);
        params.not_after = params.not_before + Duration::days(look.days);
        let certificate = params.self_signed(&pair).map_err(|e| failed(&e))?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key,
            // A product that makes its own certificate brings its own OpenSSL, on Windows too.
            stack: Stack::OpenSsl,
        })
    }

    /// A TLS configuration with this certificate that offers `alpn`.
    ///
    /// # Errors
    /// Where the key does not fit the certificate.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        let failed = |problem: rustls::Error| TlsError {
            label: "server configuration".to_owned(),
            problem: problem.to_string(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(self.stack.provider()))
            .with_protocol_versions(self.stack.versions())
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate.clone()],
                PrivateKeyDer::Pkcs8(self.key.clone_key()),
            )
            .map_err(failed)?;
        // Schannel decides by its own order; OpenSSL's servers by the client's, unless they are told otherwise.
        config.ignore_client_order = self.stack != Stack::OpenSsl;
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stack_has_post_quantum_groups_and_an_old_windows_has_neither_tls_1_3_nor_chacha20() {
        let names = |stack: Stack| -> Vec<String> {
            let suites = stack.provider().cipher_suites;
            suites
                .iter()
                .map(|suite| format!("{:?}", suite.suite()))
                .collect()
        };
        for stack in [Stack::OpenSsl, Stack::OldSchannel, Stack::Schannel] {
            let groups: Vec<_> = stack
                .provider()
                .kx_groups
                .iter()
                .map(|group| group.name())
                .collect();
            assert_eq!(
                groups,
                [
                    rustls::NamedGroup::X25519,
                    rustls::NamedGroup::secp256r1,
                    rustls::NamedGroup::secp384r1
                ]
            );
            let chacha = names(stack).iter().any(|name| name.contains("CHACHA20"));
            assert_eq!(chacha, stack == Stack::OpenSsl);
            let new = names(stack).iter().any(|name| name.starts_with("TLS13"));
            assert_eq!(new, stack != Stack::OldSchannel);
            assert_eq!(stack.versions().len(), if new { 2 } else { 1 });
        }
    }
}
