//! What a machine proves itself with: its host keys and certificates, for who looks at it without visiting it. The services make the same
//! from the same persona; a knob that has another version answer may change how long a key is.

use decnet_model::clock::SharedClock;
use decnet_persona::Persona;
use sha2::{Digest as _, Sha256};

use super::{
    Host,
    tls::{Identity, Look, TlsError},
};
use crate::{config::Proof, mysql, ssh};

/// Those of the services of `persona`; none where it has no such service. Long keys take seconds of arithmetic.
///
/// # Errors
/// Where one cannot be made.
pub fn proofs(persona: &Persona, clock: SharedClock) -> Result<Vec<Proof>, TlsError> {
    let has = |slug: &str| persona.services.iter().any(|service| service.as_str() == slug);
    let mut proofs = Vec::new();
    if has("ssh") {
        let keys = ssh::fingerprints(persona).map_err(|problem| TlsError {
            label: "host keys".to_owned(),
            problem,
        })?;
        proofs.extend(keys.map(|(kind, fingerprint)| Proof {
            what: format!("{kind} host key"),
            fingerprint,
        }));
    }
    let host = Host::new(persona.clone(), clock);
    if has("ftp") || has("smtp") {
        let look = Look::snakeoil(&host);
        let identity = Identity::snakeoil(&host)?;
        proofs.push(certificate(&look, &identity));
    }
    if has("mysql")
        && let Some(look) = mysql::look(&persona.sql_product())
    {
        proofs.push(certificate(
            &look,
            &Identity::self_signed(&host, mysql::LABEL, &look)?,
        ));
    }
    Ok(proofs)
}

fn certificate(look: &Look, identity: &Identity) -> Proof {
    let subject = look.subject.iter().map(|(_, value)| value.as_str());
    let digest = Sha256::digest(&identity.certificate);
    let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Proof {
        what: format!("certificate of {}", subject.collect::<Vec<_>>().join(", ")),
        fingerprint: digest.join(":"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decnet_model::clock::SystemClock;
    use decnet_persona::{PersonaSpec, Seed};

    use super::*;

    #[test]
    fn a_machine_proves_itself_by_what_its_services_have_and_by_the_same_each_time() {
        let proofs = |seed: u8, services: &[&str]| {
            let spec = PersonaSpec {
                services: services.iter().map(|slug| slug.parse().unwrap()).collect(),
                ..PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
            };
            let persona = Persona::derive(&spec).unwrap();
            let host = Host::new(persona.clone(), Arc::new(SystemClock));
            (proofs(&persona, Arc::new(SystemClock)).unwrap(), host)
        };
        let (all, host) = proofs(5, &["ssh", "ftp", "redis"]);
        let what: Vec<_> = all.iter().map(|proof| proof.what.clone()).collect();
        let own = format!("certificate of {}", host.persona.fqdn());
        assert_eq!(
            what,
            ["RSA host key", "ECDSA host key", "ED25519 host key", own.as_str()]
        );
        // As a visitor's client sees it.
        assert_eq!(all[2].fingerprint, ssh::host_key(&host.persona).1);
        let shown = Sha256::digest(&Identity::snakeoil(&host).unwrap().certificate);
        let shown: Vec<_> = shown.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(all[3].fingerprint, shown.join(":"));
        assert_eq!(proofs(5, &["smtp"]).0, all[3..], "the machine's own is one");
        assert_ne!(proofs(6, &["smtp"]).0, all[3..]);
        assert_eq!(proofs(5, &["redis", "http"]).0, []);
    }
}
