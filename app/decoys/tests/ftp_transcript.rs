//! The ftp decoy against what vsftpd 3.0.3 of Debian 12 answered to the same requests.
//!
//! The replies are a real server's, with `write_enable`, the three `anon_…` switches that let guests write, and
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

#[test]
fn a_conversation_with_vsftpd_reads_as_the_real_ones_does() {
    let spec = (0..=255)
        .map(|seed| PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server"))
        .find(|spec| {
            let product = Persona::derive(spec).unwrap().product(ProductKind::Ftp);
            (product.name, product.version.as_str()) == ("vsFTPd", "3.0.3")
        })
        .unwrap();
    let site = support::start("ftp", spec, &[]);
    let mut visitor = TcpStream::connect(site.address).unwrap();
    visitor.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    visitor
        .write_all(REQUESTS.replace('\n', "\r\n").as_bytes())
        .unwrap();
    let mut heard = Vec::new();
    visitor.take(64 * 1024).read_to_end(&mut heard).unwrap();
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.lines().all(|line| !line.ends_with('\r')));
    let heard: Vec<&str> = heard.lines().collect();
    assert_eq!(heard, REPLIES.lines().collect::<Vec<_>>());
}
