//! `nmap -sV` names the product and the version that the persona claims, for every service.
//!
//! The services listen on their standard ports, because nmap asks some questions only there; ports below 1024 need root. Where
//! nmap or the right is missing, the test says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
    sync::Arc,
};

use decnet_decoys::{
    catalogue,
    config::{DeckyConfig, Limits, ServiceEntry},
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Distro, Persona, PersonaSpec, Product, ProductKind, Seed};
use support::Lines;

const MACHINES: &[(&str, Distro)] = &[
    ("linux-server", Distro::Debian12),
    ("web-server", Distro::Debian11),
    ("web-server", Distro::Ubuntu20),
    ("database-server", Distro::Ubuntu22),
    ("mail-server", Distro::Ubuntu24),
    ("database-server", Distro::Rocky9),
    ("linux-server", Distro::Fedora),
    ("mail-server", Distro::Debian12),
];

/// The service, what answers for it, and what nmap calls that: its name, and its version where nmap can know it.
fn expected(persona: &Persona) -> Vec<(&'static str, String, Option<String>)> {
    let known = |slug, product: &Product, name: &str| (slug, name.to_owned(), Some(product.version.clone()));
    let ssh = persona.product(ProductKind::Ssh);
    let web = persona.product(ProductKind::Web);
    let redis = persona.product(ProductKind::Redis);
    let sql = persona.sql_product();
    let ftp = persona.product(ProductKind::Ftp);
    let mail = persona.product(ProductKind::Mail);
    vec![
        known("ssh", &ssh, "OpenSSH"),
        known(
            "http",
            &web,
            if web.name == "Apache" {
                "Apache httpd"
            } else {
                "nginx"
            },
        ),
        known("redis", &redis, "Redis key-value store"),
        // nmap calls a real mariadbd so, too: its greeting begins with 5.5.5- for old clients.
        known("mysql", &sql, "MySQL"),
        match ftp.name {
            // ProFTPD's greeting has told no version since 1.3.4: nobody can know it from outside.
            "ProFTPD" => ("ftp", "ProFTPD".to_owned(), None),
            _ => known("ftp", &ftp, "vsftpd"),
        },
        match mail.name {
            "Exim" => known("smtp", &mail, "Exim smtpd"),
            // Postfix's greeting tells no version.
            _ => ("smtp", "Postfix smtpd".to_owned(), None),
        },
    ]
}

#[test]
fn nmap_names_product_and_version_of_every_service_as_the_persona_claims_them() {
    if std::net::TcpListener::bind("127.78.0.1:21").is_err() {
        decnet_testkit::skipped("ports below 1024 cannot be listened on");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let mut deckies = Vec::new();
    let mut wanted = BTreeMap::new();
    let mut ports = BTreeSet::new();
    for (n, (archetype, distro)) in (1_u8..).zip(MACHINES) {
        let address = IpAddr::V4(Ipv4Addr::new(127, 78, 0, n));
        let persona = PersonaSpec {
            distro: Some(*distro),
            ..PersonaSpec::new(Seed::from_bytes([n; 16]), archetype)
        };
        let who = Persona::derive(&persona).unwrap();
        let mut services = Vec::new();
        for (slug, product, version) in expected(&who) {
            let decnet_decoys::Port::Tcp(port) = catalogue::find(slug).unwrap().listen[0] else {
                panic!("{slug} is no TCP service");
            };
            ports.insert(port.to_string());
            wanted.insert((address.to_string(), port.to_string()), (slug, product, version));
            services.push(ServiceEntry {
                slug: slug.parse().unwrap(),
                knobs: BTreeMap::new(),
                listen: vec![SocketAddr::new(address, port)],
                relays: Vec::new(),
            });
        }
        let config = DeckyConfig {
            name: "decky-01".parse().unwrap(),
            persona,
            services,
            artifacts: None,
            transcripts: None,
            evidence: None,
            pulse: None,
            user: decnet_decoys::config::NOBODY,
            reach: Vec::new(),
            limits: Limits::default(),
        };
        let sink = Arc::new(Sink::to(Lines::default()));
        deckies.push(Decky::start(config, sink, Arc::new(SystemClock)).unwrap());
    }
    let ports: Vec<String> = ports.into_iter().collect();
    let scan = Command::new("nmap")
        .args(["-n", "-Pn", "-sT", "-sV", "-oX", "-", "-p", &ports.join(",")])
        .arg(format!("127.78.0.1-{}", MACHINES.len()))
        .output();
    let Ok(scan) = scan else {
        decnet_testkit::skipped("nmap is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&scan.stdout).into_owned();
    let mut different = Vec::new();
    for ((address, port), (slug, product, version)) in &wanted {
        let service = service(&text, address, port).unwrap_or_default();
        let said = |name: &str| {
            let (_, rest) = service.split_once(&format!(" {name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let (name, number) = (
            said("product").unwrap_or_default(),
            said("version").unwrap_or_default(),
        );
        let fits = match version {
            Some(version) => number.contains(version.as_str()),
            None => number.is_empty(),
        };
        if name != *product || !fits {
            different.push(format!(
                "{address} {slug}: {name:?} {number:?}, claimed {product:?} {version:?}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The element `service` of `port` of `address` in nmap's XML.
fn service<'t>(text: &'t str, address: &str, port: &str) -> Option<&'t str> {
    let (_, host) = text.split_once(&format!("<address addr=\"{address}\""))?;
    let (_, after) = host.split_once(&format!("portid=\"{port}\""))?;
    let (_, element) = after.split_once("<service")?;
    element.split('>').next()
}
