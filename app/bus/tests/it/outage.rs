//! A bus that is away, dies, and comes back.

use std::time::Duration;

use decnet_bus::{Bus, BusConfig};
use futures::FutureExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::setup::{Log, NatsServer, TestBroker, small_queue, socket, soon, subscribed, tally, topic};

#[tokio::test]
async fn publishing_to_a_dead_bus_neither_waits_nor_grows_and_is_counted() {
    let (_folder, path) = socket();
    let config = BusConfig {
        queue_events: 100,
        ..BusConfig::unix(&path)
    };
    let bus = Bus::connect(&config, "worker");
    let mut subscription = bus.subscribe("system.log".parse().unwrap());
    for n in 0..10_000 {
        bus.publish(topic("system.log"), n);
    }
    assert!(subscription.recv().now_or_never().is_none());
    let stats = bus.stats();
    assert_eq!((stats.published, stats.sent, stats.dropped), (10_000, 0, 9_900));
    assert!(bus.flush().now_or_never().is_none(), "nothing was sent yet");

    // The bus appears: the subscription comes to stand, and the newest hundred arrive, if not before it stood.
    let _broker = TestBroker::start(small_queue(&path, 1000));
    soon("the subscription stands", subscription.established()).await;
    soon("the queue is sent", bus.flush()).await;
    assert_eq!(bus.stats().sent, 100);
    bus.publish(topic("system.log"), "now");
    while soon("the event", subscription.recv()).await.unwrap().payload != json!("now") {}
}

/// What a command does that publishes, and ends before it is connected: `times` over.
async fn last_words_arrive(config: &BusConfig, times: u32) {
    let listener = Bus::connect(config, "listener");
    let mut heard = subscribed(&listener, "system.log").await;
    for n in 0..times {
        let command = Bus::connect(config, "command");
        command.publish(topic("system.log"), n);
        assert_eq!(command.stats().sent, 0, "it is not connected yet");
        soon("closing", command.close()).await;
        assert_eq!(command.stats().sent, 1);
        let event = soon("the last word", heard.recv()).await.unwrap();
        assert_eq!(event.payload, json!(n));
    }
}

#[tokio::test]
async fn what_is_published_just_before_the_end_arrives_though_nothing_was_connected_yet() {
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, 1000));
    last_words_arrive(&BusConfig::unix(&path), 200).await;
}

#[tokio::test]
async fn what_is_published_just_before_the_end_arrives_over_nats_too() {
    let Some(server) = NatsServer::start().await else {
        return;
    };
    last_words_arrive(&server.config(1000), 20).await;
}

#[tokio::test]
async fn nobody_is_told_that_something_was_sent_where_nobody_took_it() {
    let (_folder, path) = socket();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for config in [
        BusConfig::unix(&path),
        BusConfig::new(format!("nats://{nobody}").parse().unwrap()),
    ] {
        let command = Bus::connect(&config, "command");
        command.publish(topic("system.log"), 1);
        soon("closing", command.close()).await;
        assert_eq!((command.stats().published, command.stats().sent), (1, 0));
    }
}

#[tokio::test]
async fn nats_that_is_away_is_told_once_and_once_when_it_is_back() {
    let Some(first) = NatsServer::start().await else {
        return;
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let port = first.url.rsplit_once(':').unwrap().1.to_owned();
    let bus = Bus::connect(&first.config(1000), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    drop(first);
    // Somebody else has the port, and hangs up on every attempt.
    let other = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    for _ in 0..3 {
        soon("an attempt", other.accept()).await.unwrap();
    }
    drop(other);
    bus.publish(topic("system.log"), "kept until it is back");
    let again = NatsServer::start_on(&port).unwrap();
    while soon("the event", subscription.recv())
        .await
        .unwrap()
        .dropped()
        .is_some()
    {}
    drop(again);
    let text = log.text();
    let own: Vec<_> = text.lines().filter(|line| line.contains("decnet_bus")).collect();
    let [away, back, ..] = own[..] else {
        panic!("{text}")
    };
    assert!(
        away.contains("the bus is away") && away.contains("nats://127.0.0.1"),
        "{text}"
    );
    assert!(back.contains("the bus is back"), "{text}");
    assert_eq!(
        own.iter().filter(|line| line.contains("is back")).count(),
        1,
        "{text}"
    );
}

#[tokio::test]
async fn a_killed_broker_costs_what_was_under_way_and_every_hole_is_told() {
    let (_folder, path) = socket();
    let mut broker = TestBroker::start(small_queue(&path, 100_000));
    let config = BusConfig::unix(&path);
    let (publisher, subscriber) = (
        Bus::connect(&config, "publisher"),
        Bus::connect(&config, "subscriber"),
    );
    let mut subscription = subscribed(&subscriber, "system.log").await;
    let stop = tokio_util::sync::CancellationToken::new();
    let publishing = tokio::spawn({
        let (publisher, stop) = (publisher.clone(), stop.clone());
        async move {
            for n in 0u64.. {
                if stop.is_cancelled() {
                    return n;
                }
                publisher.publish_wait(topic("system.log"), n).await;
                if n % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            unreachable!("fewer than 2^64 events")
        }
    });
    let (mut expected, mut told, mut gaps) = (0, false, 0);
    for _ in 0..4 {
        // Mid-stream: some events after the last outage, the broker dies under load.
        let target = gaps + 1;
        let mut since = 0;
        while since < 500 {
            let event = soon("an event", subscription.recv()).await.unwrap();
            match event.dropped() {
                Some(dropped) => {
                    told = true;
                    gaps += u64::from(dropped.gap);
                }
                None => {
                    let n = event.payload.as_u64().unwrap();
                    assert!(
                        n >= expected,
                        "{n} after {expected}: delivered twice or out of order"
                    );
                    assert!(
                        n == expected || told,
                        "{expected} to {n} are missing and nobody said so"
                    );
                    (expected, told) = (n + 1, false);
                    since += 1;
                }
            }
        }
        broker.kill();
        broker = TestBroker::start(small_queue(&path, 100_000));
        while gaps < target {
            let event = soon("the reconnection", subscription.recv()).await.unwrap();
            match event.dropped() {
                Some(dropped) => {
                    told = true;
                    gaps += u64::from(dropped.gap);
                }
                None => {
                    let n = event.payload.as_u64().unwrap();
                    assert!(
                        n == expected || (told && n > expected),
                        "{n} instead of {expected}"
                    );
                    (expected, told) = (n + 1, false);
                }
            }
        }
    }
    stop.cancel();
    let published = publishing.await.unwrap();
    soon("the queue is sent", publisher.flush()).await;
    let stats = publisher.stats();
    assert_eq!(
        (stats.published, stats.sent, stats.dropped),
        (published, published, 0),
        "each sent exactly once"
    );
}

#[tokio::test]
async fn a_broker_that_stops_in_order_first_gives_what_waits() {
    let (_folder, path) = socket();
    let broker = TestBroker::start(small_queue(&path, 10_000));
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    let mut witness = subscribed(&bus, "system.log").await;
    for n in 0..5000 {
        bus.publish_wait(topic("system.log"), n).await;
    }
    // Once one subscriber has them all the broker took them all; the other one has yet to read.
    tally(&mut witness, 5000).await;
    let reading = tokio::spawn(async move { tally(&mut subscription, 5000).await });
    tokio::task::spawn_blocking(move || broker.stop()).await.unwrap();
    let tally = reading.await.unwrap();
    assert_eq!((tally.received, tally.lost, tally.gaps), (5000, 0, 0));
    assert!(!path.exists(), "the socket is gone");
}

#[tokio::test]
async fn a_client_takes_frames_in_any_pieces() {
    let (_folder, path) = socket();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let frame = |line: &str, body: &str| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [line.as_bytes(), b"\n", &length, body.as_bytes()].concat()
    };
    let mut stream = frame("SUB system.log", "");
    for n in 0..40 {
        let payload = format!("[{n},\"{}\"]", "x".repeat(n * 37));
        let event = format!(
            r#"{{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1700000000000000,"payload":{payload}}}"#
        );
        stream.extend(frame("EVT system.log", &event));
    }
    let hello = frame("HELLO", r#"{"v":1,"name":"pieces","pid":1}"#);
    // Neither the publisher's connection nor the subscription's gets more than a piece at a time.
    let broker = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut greeting = vec![0; 4096];
            let n = connection.read(&mut greeting).await.unwrap();
            let subscribes = greeting[..n].windows(4).any(|word| word == b"SUB ");
            let told = if subscribes {
                [hello.as_slice(), &stream].concat()
            } else {
                hello.clone()
            };
            let mut rest = told.as_slice();
            let mut sizes = [1, 2, 3, 5, 8, 13, 610, 1, 4].iter().cycle();
            while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
                let (piece, later) = rest.split_at((*size).min(rest.len()));
                connection.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
                rest = later;
            }
            open.push(connection);
        }
    });
    let bus = Bus::connect(&BusConfig::unix(&path), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    for n in 0..40 {
        let event = soon("the next event", subscription.recv()).await.unwrap();
        assert_eq!(event.payload[0], json!(n));
    }
    broker.abort();
}

#[tokio::test]
async fn nats_that_dies_is_told_as_a_gap_after_it_is_back() {
    let Some(first) = NatsServer::start().await else {
        return;
    };
    let port = first.url.rsplit_once(':').unwrap().1.to_owned();
    let bus = Bus::connect(&first.config(1000), "worker");
    let mut subscription = subscribed(&bus, "system.log").await;
    drop(first);
    bus.publish(topic("system.log"), "into the void, or later");
    let _again = NatsServer::start_on(&port).unwrap();
    soon("the gap", async {
        loop {
            let event = subscription.recv().await.unwrap();
            if event.dropped().is_some_and(|dropped| dropped.gap) {
                break;
            }
        }
        bus.publish(topic("system.log"), "again");
        while subscription.recv().await.unwrap().payload != json!("again") {}
    })
    .await;
}
