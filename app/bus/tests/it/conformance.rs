//! What holds on every transport: one suite, run on the in-process bus, the broker's socket and a real NATS server.

use std::collections::HashMap;

use decnet_bus::{Bus, BusConfig};
use futures::FutureExt;
use serde_json::{Value, json};

use crate::setup::{NatsServer, TestBroker, small_queue, socket, soon, subscribed, tally, topic};

/// Two processes' ends of one bus whose queues hold `QUEUE` events.
struct Pair {
    publisher: Bus,
    subscriber: Bus,
}

const QUEUE: usize = 64;

async fn suite(pair: impl Fn() -> Pair) {
    events_arrive_whole_in_order_and_only_where_wanted(pair()).await;
    a_process_hears_itself(pair()).await;
    each_of_eight_subscribers_accounts_for_every_event(pair()).await;
    a_subscriber_that_does_not_read_learns_exactly_what_it_lost(pair()).await;
    what_cannot_be_published_is_counted_and_harms_nobody(pair()).await;
    closing_ends_subscriptions(pair()).await;
}

async fn events_arrive_whole_in_order_and_only_where_wanted(
    Pair {
        publisher,
        subscriber,
    }: Pair,
) {
    let mut one = subscribed(&subscriber, "decky.*.state").await;
    let mut rest = subscribed(&subscriber, "decky.>").await;
    publisher.publish(topic("decky.web-1.state"), json!({"n": 1, "text": "\u{0}\n\"é"}));
    publisher.publish(topic("decky.web-1.mutation.extra"), json!([2]));
    publisher.publish(topic("attacker.observed"), 3);
    publisher.publish(topic("decky.web-2.state"), json!(null));
    let get = async |subscription: &mut decnet_bus::Subscription| {
        let event = soon("an event", subscription.recv()).await.unwrap();
        assert_eq!(event.v, 1);
        assert!(event.dropped().is_none());
        (event.topic.to_string(), Value::clone(&event.payload), event.id)
    };
    let first = get(&mut one).await;
    assert_eq!(
        (first.0.as_str(), &first.1),
        ("decky.web-1.state", &json!({"n": 1, "text": "\u{0}\n\"é"}))
    );
    assert_eq!(get(&mut one).await.0, "decky.web-2.state");
    assert_eq!(get(&mut rest).await, first, "the same event to everybody");
    assert_eq!(get(&mut rest).await.0, "decky.web-1.mutation.extra");
    assert_eq!(get(&mut rest).await.0, "decky.web-2.state");
}

async fn a_process_hears_itself(Pair { publisher, .. }: Pair) {
    let mut own = subscribed(&publisher, "system.log").await;
    publisher.publish(topic("system.log"), "here");
    assert_eq!(
        soon("the event", own.recv()).await.unwrap().payload,
        json!("here")
    );
}

async fn each_of_eight_subscribers_accounts_for_every_event(
    Pair {
        publisher,
        subscriber,
    }: Pair,
) {
    const EVENTS: u64 = 3000;
    let mut readers = Vec::new();
    for slow in 0..8 {
        let mut subscription = subscribed(&subscriber, "system.log").await;
        readers.push(tokio::spawn(async move {
            for _ in 0..slow * 20 {
                tokio::task::yield_now().await;
            }
            tally(&mut subscription, EVENTS).await
        }));
    }
    for n in 0..EVENTS {
        publisher.publish_wait(topic("system.log"), n).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn a_subscriber_that_does_not_read_learns_exactly_what_it_lost(
    Pair {
        publisher,
        subscriber,
    }: Pair,
) {
    const EVENTS: u64 = 20_000;
    let mut subscription = subscribed(&subscriber, "system.log").await;
    for n in 0..EVENTS {
        publisher.publish_wait(topic("system.log"), n).await;
    }
    soon("all is sent", publisher.flush()).await;
    let (mut expected, mut lost) = (0, 0);
    while expected < EVENTS {
        let event = soon("an event", subscription.recv()).await.unwrap();
        match event.dropped() {
            Some(dropped) => {
                assert!(!dropped.gap && dropped.lost > 0);
                lost += dropped.lost;
                expected += dropped.lost;
            }
            None => {
                assert_eq!(
                    event.payload,
                    json!(expected),
                    "a loss stands in its place and is exact"
                );
                expected += 1;
            }
        }
    }
    assert!(lost > 0, "the queue is far smaller than what was published");
    assert_eq!(expected, EVENTS);
}

async fn what_cannot_be_published_is_counted_and_harms_nobody(
    Pair {
        publisher,
        subscriber,
    }: Pair,
) {
    let mut all = subscribed(&subscriber, "system.log").await;
    publisher.publish(topic("system.log"), HashMap::from([((1, 2), 3)]));
    publisher.publish(topic("system.log"), "x".repeat(2 << 20));
    publisher.publish(topic("system.bus.dropped"), json!({"lost": 7}));
    publisher.publish(topic("system.log"), "after");
    assert_eq!(
        soon("the good one", all.recv()).await.unwrap().payload,
        json!("after")
    );
    soon("all is settled", publisher.flush()).await;
    let stats = publisher.stats();
    assert_eq!((stats.published, stats.sent, stats.dropped), (4, 1, 3));
}

async fn closing_ends_subscriptions(
    Pair {
        publisher,
        subscriber,
    }: Pair,
) {
    let mut far = subscribed(&subscriber, "system.log").await;
    let mut own = subscribed(&publisher, "fleet.changed").await;
    publisher.publish(topic("system.log"), "last");
    soon("closing", publisher.close()).await;
    assert!(soon("the end", own.recv()).await.is_none());
    assert_eq!(
        soon("what was queued", far.recv()).await.unwrap().payload,
        json!("last")
    );
    publisher.publish(topic("system.log"), "too late");
    assert_eq!(publisher.stats().dropped, 1);
}

#[tokio::test]
async fn in_process() {
    suite(|| {
        let bus = Bus::fake_with_queue(QUEUE);
        Pair {
            publisher: bus.clone(),
            subscriber: bus,
        }
    })
    .await;
}

#[tokio::test]
async fn unix_socket() {
    let (_folder, path) = socket();
    let _broker = TestBroker::start(small_queue(&path, QUEUE));
    let config = BusConfig::unix(&path);
    suite(|| Pair {
        publisher: Bus::connect(&config, "publisher"),
        subscriber: Bus::connect(&config, "subscriber"),
    })
    .await;
}

#[tokio::test]
async fn nats() {
    let Some(server) = NatsServer::start().await else {
        return;
    };
    let config = server.config(QUEUE);
    suite(|| Pair {
        publisher: Bus::connect(&config, "publisher"),
        subscriber: Bus::connect(&config, "subscriber"),
    })
    .await;
}

#[tokio::test]
async fn without_a_bus_nothing_happens_and_nothing_fails() {
    let bus = Bus::connect(&BusConfig::none(), "worker");
    let mut subscription = bus.subscribe(decnet_model::topic::Pattern::all());
    bus.publish(topic("system.log"), 1);
    bus.publish_wait(topic("system.log"), 1).await;
    bus.flush().await;
    assert!(subscription.recv().now_or_never().is_none());
    assert_eq!(bus.stats(), decnet_bus::Stats::default());
    bus.close().await;
    assert!(subscription.recv().await.is_none());
}

#[test]
fn outside_of_a_runtime_there_is_no_bus_and_no_panic() {
    let bus = Bus::connect(&BusConfig::unix("/nowhere/bus.sock"), "tool");
    bus.publish(topic("system.log"), 1);
    assert!(
        bus.subscribe(decnet_model::topic::Pattern::all())
            .recv()
            .now_or_never()
            .is_none()
    );
}
