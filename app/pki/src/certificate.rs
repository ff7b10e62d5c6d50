//! A certificate chain with its key, and what it says about itself.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    PkiError,
    files::{self, Access},
};

/// For whom a certificate speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Host names, in lower case.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub ips: BTreeSet<IpAddr>,
}

/// A certificate chain, leaf first, with the leaf's key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    names: Names,
    not_after: OffsetDateTime,
}

impl Identity {
    /// The identity that an operator's PEM files hold: the chain, and its key, which a group may share but not
    /// everybody.
    ///
    /// # Errors
    /// Where a file cannot be read, is open to others, or does not hold what it should.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, PkiError> {
        let text = |path: &Path, access| {
            files::read(path, access)?.ok_or_else(|| unusable(path, "there is no such file", OPERATORS))
        };
        let (chain_pem, key_pem) = (text(chain, Access::Public)?, text(key, Access::Group)?);
        Self::parse((chain, &chain_pem), (key, &key_pem), OPERATORS)
    }

    /// Both from PEM text, each with the file that it comes from.
    pub(crate) fn parse(
        (chain_path, chain): (&Path, &str),
        (key_path, key): (&Path, &str),
        way_out: &'static str,
    ) -> Result<Self, PkiError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(chain_path, format!("is not PEM: {error}"), way_out))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| unusable(key_path, format!("holds no private key: {error}"), way_out))?;
        Self::new(chain, key, chain_path, way_out)
    }

    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        path: &Path,
        way_out: &'static str,
    ) -> Result<Self, PkiError> {
        let leaf = chain
            .first()
            .ok_or_else(|| unusable(path, "holds no certificate", way_out))?;
        let (names, not_after) = {
            let leaf = x509(leaf, path, way_out)?;
            (names(&leaf), leaf.validity().not_after.to_datetime())
        };
        Ok(Self {
            chain,
            key,
            names,
            not_after,
        })
    }

    /// The chain, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The leaf's key.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// For whom it speaks.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// From when on nobody takes it any more.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

const OPERATORS: &str = "`tls` takes a PEM file with the chain, leaf first, and one with its key: CERT,KEY";

/// The certificate in `der`, which comes from the file at `path`.
pub(crate) fn x509<'a>(
    der: &'a CertificateDer<'_>,
    path: &Path,
    way_out: &'static str,
) -> Result<X509Certificate<'a>, PkiError> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| unusable(path, format!("holds a broken certificate: {error}"), way_out))
}

fn names(certificate: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return names;
    };
    for name in &alternatives.value.general_names {
        match name {
            GeneralName::DNSName(name) => {
                names.dns.insert(name.to_ascii_lowercase());
            }
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                names
                    .ips
                    .extend(v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)));
            }
            _ => {}
        }
    }
    names
}

pub(crate) fn unusable(path: &Path, problem: impl Into<String>, way_out: &'static str) -> PkiError {
    PkiError::Unusable {
        path: path.to_owned(),
        problem: problem.into(),
        way_out,
    }
}
