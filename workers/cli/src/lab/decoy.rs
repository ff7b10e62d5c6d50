//! The decoy that is compared: a machine that has the control's product, run by the decoys' program.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use decnet_control::Product;
use decnet_decoys::config::{DeckyConfig, Limits, NOBODY, ServiceEntry};
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use super::talk;

/// How many machines of a distribution are looked at for one that has the product.
const MACHINES: u8 = 64;
/// How long a machine may take to make its keys, where its program was built without optimisation.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who the decoy is.
pub(super) struct Machine {
    spec: PersonaSpec,
    /// Its name with domain.
    pub(super) host: String,
    /// Its domain.
    pub(super) domain: String,
}

impl Machine {
    /// A machine whose product is of this version, or else the newest of its series (the first two numbers) that the first
    /// distribution with that series has.
    pub(super) fn having(product: Product, version: &str) -> Option<Self> {
        let wanted = numbers(version);
        let mut best: Option<(Vec<u32>, Distro, Self)> = None;
        for distro in Distro::ALL {
            for n in 0..MACHINES {
                let spec = PersonaSpec {
                    distro: Some(*distro),
                    ..PersonaSpec::new(Seed::from_bytes([n; 16]), archetype(product))
                };
                let Ok(persona) = Persona::derive(&spec) else {
                    continue;
                };
                let its = match kind(product) {
                    Some(kind) => persona.product(kind),
                    None => persona.sql_product(),
                };
                let has = numbers(&its.version);
                let same_series = has.len() > 1 && wanted.iter().zip(&has).take(2).all(|(a, b)| a == b);
                if its.name != product.name() || !same_series {
                    continue;
                }
                let machine = Self {
                    host: persona.fqdn(),
                    domain: persona.domain.clone(),
                    spec,
                };
                // OpenSSH does not tell all of its numbers.
                if has.starts_with(&wanted) {
                    return Some(machine);
                }
                let is_better = best
                    .as_ref()
                    .is_none_or(|(newest, of, _)| of == distro && has > *newest);
                if is_better {
                    best = Some((has, *distro, machine));
                }
            }
        }
        best.map(|(_, _, machine)| machine)
    }
}

fn archetype(product: Product) -> &'static str {
    match product.service() {
        "http" => "web-server",
        "redis" | "mysql" => "database-server",
        "smtp" => "mail-server",
        _ => "linux-server",
    }
}

/// What the persona knows it as; of the two kinds of MySQL a machine has one.
fn kind(product: Product) -> Option<ProductKind> {
    Some(match product {
        Product::OpenSsh => ProductKind::Ssh,
        Product::Nginx | Product::Apache => ProductKind::Web,
        Product::Redis => ProductKind::Redis,
        Product::MariaDb => return None,
        Product::Postfix | Product::Exim => ProductKind::Mail,
        Product::VsFtpd | Product::ProFtpd => ProductKind::Ftp,
    })
}

/// The numbers of a version, up to the first that is none.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .take(3)
        .map_while(|number| number.parse().ok())
        .collect()
}

/// The knobs that make it what the control was configured to be; `banner` is what that says of itself.
fn knobs(product: Product, banner: &str) -> BTreeMap<String, Value> {
    let knobs = match product {
        Product::OpenSsh => json!({"version": banner, "accept": "never"}),
        Product::Nginx | Product::Apache => json!({"banner": banner, "site": "company"}),
        Product::Redis => json!({"version": banner, "guarded": true}),
        Product::MariaDb => json!({"version": banner, "accept": "r:p"}),
        Product::Postfix => json!({"auth": false, "starttls": false}),
        Product::Exim => json!({"auth": false, "starttls": true, "size": 52_428_800}),
        Product::VsFtpd => json!({"tls": false, "writable": true, "anonymous": true, "accept": "never"}),
        Product::ProFtpd => json!({"tls": false, "writable": false, "anonymous": true, "accept": "never"}),
    };
    match knobs {
        Value::Object(knobs) => knobs.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// A running decoy, ended when this is dropped.
pub(super) struct Decoy {
    _program: Child,
    /// Where it answers.
    pub(super) address: SocketAddr,
}

impl Decoy {
    /// Start `machine` with the service of `product`; where it cannot be that machine, what it says.
    pub(super) async fn start(
        program: &Path,
        machine: &Machine,
        product: Product,
        banner: &str,
    ) -> Result<Result<Self, String>> {
        // The port is free again between the two; should somebody take it, the decoy says so and ends.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = DeckyConfig {
            name: "compared".parse()?,
            persona: machine.spec.clone(),
            services: vec![ServiceEntry {
                slug: product.service().parse()?,
                knobs: knobs(product, banner),
                listen: vec![address],
                relays: Vec::new(),
            }],
            artifacts: None,
            transcripts: None,
            evidence: None,
            pulse: None,
            user: NOBODY,
            reach: Vec::new(),
            limits: Limits::default(),
        };
        // A group of its own: a terminal's interrupt is for this program, which ends it.
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut input = child.stdin.take().context("the decoy has no standard input")?;
        let trouble = child.stderr.take().context("the decoy has no standard error")?;
        // One that ended meanwhile has said why.
        let _ended = input.write_all(&serde_json::to_vec(&config)?).await;
        drop(input);
        let mut lines = BufReader::new(trouble).lines();
        let mut last = String::new();
        loop {
            match lines.next_line().await? {
                Some(line) if line == "ready" => break,
                Some(line) => last = line,
                None => return Ok(Err(last)),
            }
        }
        // What it says later is nobody's concern, but has to go somewhere.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let decoy = Self {
            _program: child,
            address,
        };
        if product == Product::OpenSsh {
            decoy.has_keys().await?;
        }
        Ok(Ok(decoy))
    }

    /// Wait until it has made its host keys.
    async fn has_keys(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !talk::offers_keys(self.address).await? {
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the decoy does not make its host keys",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_machine_for_every_product_in_the_version_of_debian_12() {
        for (product, version) in [
            (Product::OpenSsh, "9.2"),
            (Product::Nginx, "1.22.1"),
            (Product::Apache, "2.4.66"),
            (Product::Redis, "7.0.15"),
            (Product::MariaDb, "10.11.19-MariaDB-0+deb12u1"),
            (Product::Postfix, "3.7.11"),
            (Product::Exim, "4.96"),
            (Product::VsFtpd, "3.0.3"),
            (Product::ProFtpd, "1.3.8"),
        ] {
            let machine = Machine::having(product, version).unwrap();
            assert_eq!(machine.spec.distro, Some(Distro::Debian12), "{product:?}");
            assert!(machine.host.ends_with(&machine.domain), "{product:?}");
        }
        assert!(Machine::having(Product::Nginx, "0.1.2").is_none());
    }
}
