//! A service that is an operator's own: visitors are led to it, what passes is evidence, and where nobody answers they are reset.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

#[path = "support/machine.rs"]
mod machine;

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use decnet_decoys::{
    config::{DeckyConfig, Limits, Relay, ServiceEntry},
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{PersonaSpec, Seed};
use machine::Lines;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// The port that visitors believe to be on.
const SHOWN: u16 = 8080;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

fn entry(slug: &str, listen: SocketAddr, to: SocketAddr) -> ServiceEntry {
    ServiceEntry {
        slug: slug.parse().unwrap(),
        knobs: BTreeMap::new(),
        listen: vec![listen],
        relays: vec![Relay {
            listen: listen.port(),
            port: SHOWN,
            to,
        }],
    }
}

fn config(services: Vec<ServiceEntry>, limits: Limits) -> DeckyConfig {
    DeckyConfig {
        name: "web-01".parse().unwrap(),
        persona: PersonaSpec::new(Seed::from_bytes([1; 16]), "linux-server"),
        services,
        artifacts: None,
        transcripts: None,
        evidence: None,
        pulse: None,
        user: decnet_decoys::config::NOBODY,
        reach: Vec::new(),
        limits,
    }
}

fn start(services: Vec<ServiceEntry>, limits: Limits) -> (Decky, Lines) {
    let lines = Lines::default();
    let sink = Arc::new(Sink::to(lines.clone()));
    let decky = Decky::start(config(services, limits), sink, Arc::new(SystemClock)).unwrap();
    (decky, lines)
}

/// The line that holds all of `parts`, waited for.
async fn line(lines: &Lines, parts: &[&str]) -> String {
    let seen = async {
        loop {
            let text = lines.text();
            let found = text
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(line) => line,
        Err(_) => panic!("no line with {parts:?} in:\n{}", lines.text()),
    }
}

#[test]
fn what_a_visitor_says_and_is_answered_is_told_under_the_services_own_name_and_port() {
    runtime().block_on(async {
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let door = free().await;
        let (_decky, lines) = start(
            vec![entry("intranet", door, program.local_addr().unwrap())],
            Limits::default(),
        );
        line(
            &lines,
            &[" intranet ", "service_started", "listen=\"127.0.0.1:8080\""],
        )
        .await;
        let answering = tokio::spawn(async move {
            let (mut visitor, _) = program.accept().await.unwrap();
            let mut asked = [0; 64];
            for answer in ["one", "two"] {
                let n = visitor.read(&mut asked).await.unwrap();
                assert!(n > 0);
                visitor.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let mut heard = [0; 3];
        for (ask, answer) in [("first \u{1}", "one"), ("second", "two")] {
            visitor.write_all(ask.as_bytes()).await.unwrap();
            visitor.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, answer.as_bytes());
        }
        // The program is done and closes; the visitor sees it.
        assert_eq!(visitor.read(&mut heard).await.unwrap(), 0);
        drop(visitor);
        answering.await.unwrap();
        let source = "src_ip=\"127.0.0.1\"";
        line(&lines, &[" intranet ", " connect ", source, "dst_port=\"8080\""]).await;
        let first = line(
            &lines,
            &[" exchange ", source, "answered=\"one\"", "answered_bytes=\"3\""],
        )
        .await;
        assert!(
            first.contains("first ") && first.contains("received_bytes=\"7\""),
            "{first}"
        );
        line(&lines, &[" exchange ", "received=\"second\"", "answered=\"two\""]).await;
        line(
            &lines,
            &[" intranet ", " disconnect ", "bytes_in=\"13\"", "bytes_out=\"6\""],
        )
        .await;
    });
}

#[test]
fn where_nobody_answers_a_visitor_is_reset_as_by_a_closed_port_and_the_evidence_says_so() {
    runtime().block_on(async {
        let (door, nobody) = (free().await, free().await);
        let (_decky, lines) = start(vec![entry("intranet", door, nobody)], Limits::default());
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let heard = visitor.read(&mut [0; 8]).await;
        assert_eq!(heard.unwrap_err().kind(), ErrorKind::ConnectionReset);
        line(&lines, &[" intranet ", " disconnect ", "reason=\"unanswered\""]).await;
    });
}

#[test]
fn what_is_said_while_the_program_is_silent_is_told_before_the_end() {
    runtime().block_on(async {
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let door = free().await;
        let to = program.local_addr().unwrap();
        let (_decky, lines) = start(vec![entry("intranet", door, to)], Limits::default());
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let _silent = program.accept().await.unwrap();
        visitor.write_all(b"anybody there?").await.unwrap();
        line(&lines, &[" exchange ", "anybody there?", "answered_bytes=\"0\""]).await;
        assert!(!lines.text().contains(" disconnect "));
    });
}

#[test]
fn only_where_neither_side_says_anything_for_too_long_the_session_ends_as_an_idle_one() {
    runtime().block_on(async {
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let door = free().await;
        let to = program.local_addr().unwrap();
        let limits = Limits {
            idle_s: 1,
            ..Limits::default()
        };
        let (_decky, lines) = start(vec![entry("intranet", door, to)], limits);
        let answering = tokio::spawn(async move {
            let (mut visitor, _) = program.accept().await.unwrap();
            // In all longer than the limit, and never for so long at once.
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(250)).await;
                visitor.write_all(b".").await.unwrap();
            }
            visitor
        });
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let mut heard = [0; 8];
        visitor.read_exact(&mut heard).await.unwrap();
        let _silent_now = answering.await.unwrap();
        line(
            &lines,
            &[
                " intranet ",
                " disconnect ",
                "reason=\"idle_timeout\"",
                "bytes_out=\"8\"",
            ],
        )
        .await;
    });
}

#[test]
fn much_passes_both_ways_at_once_and_little_of_it_is_kept() {
    runtime().block_on(async {
        const MUCH: usize = 8 << 20;
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let door = free().await;
        let to = program.local_addr().unwrap();
        let (_decky, lines) = start(vec![entry("intranet", door, to)], Limits::default());
        // It answers all before it hears anything: neither side may wait for the other.
        let answering = tokio::spawn(async move {
            let (mut visitor, _) = program.accept().await.unwrap();
            visitor.write_all(&vec![b'x'; MUCH]).await.unwrap();
            let mut all = vec![0; MUCH];
            visitor.read_exact(&mut all).await.unwrap();
            visitor.read(&mut [0]).await.unwrap()
        });
        let (mut hears, mut says) = TcpStream::connect(door).await.unwrap().into_split();
        let saying = tokio::spawn(async move {
            says.write_all(&vec![b'y'; MUCH]).await.unwrap();
            says.shutdown().await.unwrap();
        });
        let all = async {
            hears.read_exact(&mut vec![0; MUCH]).await.unwrap();
            hears.read(&mut [0]).await.unwrap()
        };
        assert_eq!(
            tokio::time::timeout(PATIENCE, all).await.unwrap(),
            0,
            "no more than that"
        );
        saying.await.unwrap();
        assert_eq!(answering.await.unwrap(), 0, "no more than that");
        let much = format!("\"{MUCH}\"");
        line(
            &lines,
            &[
                " disconnect ",
                &format!("bytes_in={much}"),
                &format!("bytes_out={much}"),
            ],
        )
        .await;
        assert!(
            lines.text().len() < 3 << 20,
            "{} bytes of evidence",
            lines.text().len()
        );
    });
}

#[test]
fn past_the_most_exchanges_of_a_session_the_evidence_says_that_more_are_only_counted() {
    runtime().block_on(async {
        const MOST: usize = 256;
        const ALL: usize = MOST + 3;
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let door = free().await;
        let to = program.local_addr().unwrap();
        let (_decky, lines) = start(vec![entry("intranet", door, to)], Limits::default());
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let (mut inside, _) = program.accept().await.unwrap();
        for _ in 0..ALL {
            visitor.write_all(b"ask").await.unwrap();
            inside.read_exact(&mut [0; 3]).await.unwrap();
            inside.write_all(b"no").await.unwrap();
            visitor.read_exact(&mut [0; 2]).await.unwrap();
        }
        drop((visitor, inside));
        // All of it was counted, whatever of it was told.
        let (came, went) = (
            format!("bytes_in=\"{}\"", ALL * 3),
            format!("bytes_out=\"{}\"", ALL * 2),
        );
        line(&lines, &[" disconnect ", &came, &went]).await;
        let text = lines.text();
        let told = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(told(" exchange "), MOST);
        assert_eq!(told(" limit_reached "), 1, "{text}");
        line(
            &lines,
            &[
                " intranet ",
                " limit_reached ",
                "what=\"exchanges\"",
                "limit=\"256\"",
            ],
        )
        .await;
    });
}

#[test]
fn another_image_beside_it_cuts_no_visit_and_a_limit_counts_as_everywhere() {
    runtime().block_on(async {
        let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (door, other, nobody) = (free().await, free().await, free().await);
        let to = program.local_addr().unwrap();
        let limits = Limits {
            connections: 1,
            ..Limits::default()
        };
        let (mut decky, lines) = start(vec![entry("intranet", door, to)], limits);
        let mut visitor = TcpStream::connect(door).await.unwrap();
        let (mut inside, _) = program.accept().await.unwrap();
        let both = vec![entry("intranet", door, to), entry("extranet", other, nobody)];
        decky.apply(config(both, limits)).unwrap();
        line(&lines, &[" extranet ", "service_started"]).await;
        inside.write_all(b"still here").await.unwrap();
        let mut heard = [0; 10];
        visitor.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"still here");
        let mut turned_away = TcpStream::connect(other).await.unwrap();
        // It hears nothing, whether that is an end or a reset.
        assert!(
            turned_away.read(&mut heard).await.is_ok_and(|n| n == 0)
                || lines.text().contains("limit_reached")
        );
        line(&lines, &[" extranet ", "limit_reached", "connections"]).await;
        // Taken away, its visits end and are told.
        decky
            .apply(config(vec![entry("extranet", other, nobody)], limits))
            .unwrap();
        assert!(!matches!(visitor.read(&mut heard).await, Ok(n) if n > 0));
        line(&lines, &[" intranet ", " disconnect ", "reason=\"shutdown\""]).await;
    });
}
