//! The ftp decoy against what vsftpd 3.0.3 and ProFTPD 1.3.8 of Debian 12 answered to the same requests.
//!
//! The replies are those of real servers: vsftpd's with `write_enable`, the three `anon_…` switches that let guests write, and
//! `ssl_enable` set to YES, recorded over 127.0.0.1; line ends are LF in the files.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use decnet_persona::{Persona, PersonaSpec, ProductKind, Seed};

const REQUESTS: &str = include_str!("data/vsftpd-3.0.3.requests");
const REPLIES: &str = include_str!("data/vsftpd-3.0.3.replies");

const PROFTPD_REQUESTS: &str = include_str!("data/proftpd-1.3.8.requests");
const PROFTPD_REPLIES: &str = include_str!("data/proftpd-1.3.8.replies");

#[test]
fn a_conversation_with_vsftpd_reads_as_the_real_ones_does() {
    let spec = persona("vsFTPd", "3.0.3");
    let site = support::start("ftp", spec, &[]);
    assert_eq!(heard(&site, REQUESTS), REPLIES.lines().collect::<Vec<_>>());
}

/// The control was Debian's 1.3.8+dfsg-4+deb12u5 with its modules.conf, an anonymous login to a folder that nobody may
/// write to, and no TLS, asked over 127.0.0.1.
#[test]
fn a_conversation_with_proftpd_reads_as_the_real_ones_does() {
    let spec = persona("ProFTPD", "1.3.8");
    let knobs = [
        ("tls", false.into()),
        ("writable", false.into()),
        ("anonymous", true.into()),
    ];
    let site = support::start_with("ftp", spec, &knobs);
    assert_eq!(
        heard(&site, PROFTPD_REQUESTS),
        PROFTPD_REPLIES.lines().collect::<Vec<_>>()
    );
}

/// A persona whose FTP server is this one.
fn persona(name: &str, version: &str) -> PersonaSpec {
    (0..=255)
        .map(|seed| PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server"))
        .find(|spec| {
            let product = Persona::derive(spec).unwrap().product(ProductKind::Ftp);
            (product.name, product.version.as_str()) == (name, version)
        })
        .unwrap()
}

/// The lines that come back for `requests`, all sent at once.
fn heard(site: &support::Site, requests: &str) -> Vec<String> {
    let mut visitor = TcpStream::connect(site.address).unwrap();
    visitor.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    visitor
        .write_all(requests.replace('\n', "\r\n").as_bytes())
        .unwrap();
    let mut heard = Vec::new();
    visitor.take(64 * 1024).read_to_end(&mut heard).unwrap();
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.lines().all(|line| !line.ends_with('\r')));
    heard.lines().map(str::to_owned).collect()
}
