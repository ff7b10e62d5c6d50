//! The broker's own promises: the socket, hostile clients, slow clients, its figures.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    time::Duration,
};

use decnet_bus::{Broker, BrokerConfig, BrokerError, Bus, BusConfig};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::setup::{Log, TestBroker, small_queue, socket, soon, subscribed, tally, topic};

fn frame(line: &str, body: &[u8]) -> Vec<u8> {
    let mut frame = format!("{line}\n").into_bytes();
    frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    frame
}

const HELLO: &[u8] = br#"{"v":1,"name":"raw","pid":1}"#;
const EVENT: &[u8] =
    br#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1700000000000000,"payload":{"x":1}}"#;

#[tokio::test]
async fn the_socket_is_for_owner_and_group_only_and_appears_with_its_folder() {
    let (_folder, path) = socket();
    let path = path.parent().unwrap().join("made/for/it/bus.sock");
    let _broker = TestBroker::start(BrokerConfig::new(&path));
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    assert_eq!(
        std::fs::metadata(path.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
}

#[tokio::test]
async fn a_second_broker_is_refused_with_path_and_process_and_a_dead_ones_socket_is_replaced() {
    let (_folder, path) = socket();
    let first = TestBroker::start(small_queue(&path, 10));
    let refused = Broker::bind(small_queue(&path, 10)).err().unwrap();
    let told = refused.to_string();
    assert!(matches!(refused, BrokerError::Running { .. }), "{told}");
    assert!(
        told.contains(path.to_str().unwrap()) && told.contains(&std::process::id().to_string()),
        "{told}"
    );

    // Without the lock, as a broker of another make would be, it is known by its answer.
    let lock = path.with_file_name("bus.sock.lock");
    std::fs::remove_file(&lock).unwrap();
    let told = Broker::bind(small_queue(&path, 10)).err().unwrap().to_string();
    assert!(told.contains(&std::process::id().to_string()), "{told}");

    first.kill();
    assert!(path.exists(), "a killed broker leaves its socket");
    let _second = TestBroker::start(small_queue(&path, 10));
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    subscribed(&bus, ">").await;
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_left_alone() {
    let (_folder, path) = socket();
    std::fs::write(&path, "precious").unwrap();
    let refused = Broker::bind(small_queue(&path, 10)).err().unwrap();
    assert!(matches!(refused, BrokerError::NotASocket { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_malformed_client_is_closed_and_the_others_go_on() {
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 1000));
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    let hello = frame("HELLO", HELLO);
    let with_hello = |more: Vec<u8>| [hello.clone(), more].concat();
    let deep = format!(r#"{{"v":1,"id":"x","payload":{}"#, "[".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"\x00\xff\xfe\n".to_vec()),
        ("an endless line", vec![b'A'; 5000]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no HELLO", frame("PUB system.log", EVENT)),
        ("two HELLOs", with_hello(hello.clone())),
        (
            "a HELLO of another version",
            frame("HELLO", br#"{"v":9,"name":"raw","pid":1}"#),
        ),
        (
            "a HELLO with a line break",
            frame("HELLO", br#"{"v":1,"name":"a\nb","pid":1}"#),
        ),
        ("an unknown verb", with_hello(frame("NOPE", b""))),
        ("no topic", with_hello(frame("PUB", EVENT))),
        ("a wildcard topic", with_hello(frame("PUB system.*", EVENT))),
        (
            "the bus's own topic",
            with_hello(frame("PUB system.bus.dropped", EVENT)),
        ),
        ("a bad pattern", with_hello(frame("SUB a..b", b""))),
        ("EVT from a client", with_hello(frame("EVT system.log", EVENT))),
        (
            "a body that is not JSON",
            with_hello(frame("PUB system.log", b"{]")),
        ),
        (
            "a body that is no event",
            with_hello(frame("PUB system.log", b"{}")),
        ),
        (
            "a deeply nested body",
            with_hello(frame("PUB system.log", deep.as_bytes())),
        ),
        ("a body where none belongs", with_hello(frame("SUB a", b"[1]"))),
        (
            "a frame of 4 GiB",
            with_hello(b"PUB system.log\n\xff\xff\xff\xff".to_vec()),
        ),
        (
            "a frame one byte too large",
            with_hello([b"PUB system.log\n".as_slice(), &(1u32 << 20).to_be_bytes()].concat()),
        ),
    ];
    for (n, (what, bytes)) in cases.iter().enumerate() {
        let mut raw = UnixStream::connect(&path).await.unwrap();
        // The broker may close before it has read everything.
        if let Err(error) = raw.write_all(bytes).await {
            println!("{what}: closed while writing: {error}");
        }
        let mut sink = [0; 4096];
        soon(what, async {
            while !matches!(raw.read(&mut sink).await, Ok(0) | Err(_)) {}
        })
        .await;
        bus.publish(topic("system.log"), n);
        assert_eq!(
            soon(what, subscription.recv()).await.unwrap().payload,
            json!(n),
            "{what}"
        );
    }
}

#[tokio::test]
async fn frames_may_come_in_any_pieces() {
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 1000));
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    let stream = [
        frame("HELLO", HELLO),
        frame("PUB system.log", EVENT),
        frame("PUB system.log", EVENT),
        frame("BYE", b""),
    ]
    .concat();
    let mut raw = UnixStream::connect(&path).await.unwrap();
    for byte in &stream {
        raw.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        assert_eq!(
            soon("an event", subscription.recv()).await.unwrap().payload,
            json!({"x": 1})
        );
    }
}

#[tokio::test]
async fn an_unsubscribed_client_gets_nothing_more() {
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 1000));
    let mut raw = UnixStream::connect(&path).await.unwrap();
    let stream = [
        frame("HELLO", HELLO),
        frame("SUB system.log", b""),
        frame("PUB system.log", EVENT),
        frame("UNSUB system.log", b"{}"),
        frame("PUB system.log", EVENT),
        frame("SUB fleet.changed", b""),
        frame("PUB fleet.changed", EVENT),
    ]
    .concat();
    raw.write_all(&stream).await.unwrap();
    let mut got = Vec::new();
    let last = frame("EVT fleet.changed", EVENT);
    soon("the last event", async {
        while !got.ends_with(&last) {
            assert_ne!(raw.read_buf(&mut got).await.unwrap(), 0);
        }
    })
    .await;
    let text = String::from_utf8_lossy(&got);
    assert!(text.starts_with("HELLO\n"), "{text:?}");
    assert_eq!(text.matches("EVT system.log\n").count(), 1, "{text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_subscribers_of_two_flat_out_publishers_account_for_every_event() {
    const EACH: u64 = 30_000;
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 256));
    let config = BusConfig::unix(&path);
    let bus = Bus::connect(&config, "subscriber");
    let mut readers = Vec::new();
    for slow in 0..8u64 {
        let mut subscription = subscribed(&bus, "system.log").await;
        readers.push(tokio::spawn(async move {
            let mut sum = 0;
            if slow > 4 {
                // Slow by turns: a pause, a stretch, a pause.
                for part in 1..=4 {
                    tokio::time::sleep(Duration::from_millis(slow * 5)).await;
                    let event = soon("an event", subscription.recv()).await.unwrap();
                    sum += event.dropped().map_or(1, |dropped| dropped.lost);
                    assert!(sum >= part);
                }
            }
            let tally = tally(&mut subscription, 2 * EACH - sum).await;
            assert_eq!(tally.gaps, 0);
            tally.lost
        }));
    }
    let publishers = [Bus::connect(&config, "one"), Bus::connect(&config, "two")];
    let publishing = publishers.clone().map(|publisher| {
        tokio::spawn(async move {
            for n in 0..EACH {
                publisher.publish_wait(topic("system.log"), n).await;
            }
        })
    });
    for task in publishing {
        task.await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
    for publisher in publishers {
        assert_eq!((publisher.stats().sent, publisher.stats().dropped), (EACH, 0));
    }
}

#[tokio::test]
async fn the_brokers_health_tells_what_it_took_gave_and_dropped() {
    let (_folder, path) = socket();
    let config = BrokerConfig {
        health_every: Duration::from_millis(20),
        ..small_queue(&path, 64)
    };
    let _broker = TestBroker::start(config);
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut lazy = subscribed(&bus, "system.log").await;
    let mut health = subscribed(&bus, "system.bus.health").await;
    for n in 0..20_000 {
        bus.publish_wait(topic("system.log"), n).await;
    }
    soon("all is sent", bus.flush()).await;
    let figures = soon("health after that", async {
        loop {
            let payload = health.recv().await.unwrap().payload;
            if payload["published"].as_u64().unwrap() >= 20_000 {
                return payload;
            }
        }
    })
    .await;
    assert!(figures["dropped"].as_u64().unwrap() > 0, "{figures:?}");
    assert_eq!(figures["clients"], 3);
    let worker: decnet_model::view::WorkerView = serde_json::from_slice(figures.as_bytes()).unwrap();
    assert_eq!(
        (worker.name.as_str(), worker.pid),
        ("bus", Some(std::process::id()))
    );
    let tally = tally(&mut lazy, 20_000).await;
    assert!(tally.lost > 0);
}

#[tokio::test]
async fn the_peers_user_and_process_stand_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 10));
    let bus = Bus::connect(&BusConfig::unix(&path), "some-worker");
    subscribed(&bus, ">").await;
    subscribed(&bus, "system.log").await;
    let text = log.text();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("bus client connected"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line for all connections of a process: {lines:#?}")
    };
    let uid = nix::unistd::getuid();
    assert!(line.contains(&format!("uid={uid}")), "{line}");
    assert!(line.contains(&format!("pid={}", std::process::id())), "{line}");
    assert!(line.contains("some-worker"), "{line}");
}

#[tokio::test]
async fn a_broker_that_stops_in_order_says_so_to_its_subscribers() {
    let (_folder, path) = socket();
    let broker = TestBroker::start(small_queue(&path, 100));
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut health = subscribed(&bus, "system.bus.health").await;
    tokio::task::spawn_blocking(move || broker.stop()).await.unwrap();
    soon("the last word", async {
        while health.recv().await.unwrap().payload["state"] != json!("stopped") {}
    })
    .await;
}
