//! NATS, where the bus spans hosts: topic `a.b` is subject `decnet.a.b`, the body is the same as on the socket.
//!
//! Publishing and all subscriptions of a process share one connection, which the NATS client keeps up by itself. Each
//! subscription has a task that empties the NATS client's channel into a queue that drops the oldest and counts; the NATS
//! client's own channel drops the newest and does not, which shows as a gap.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Subscriber};
use bytes::Bytes;
use decnet_model::topic::Pattern;
use futures::StreamExt;
use tokio::{
    runtime::Handle,
    sync::{OnceCell, watch},
    time::sleep,
};

use crate::{
    bus::{Feed, Shared},
    config::NatsUrl,
    queue::Queue,
    wire::{self, Frame, FrameError},
};

const SUBJECTS: &str = "decnet.";
const RETRY: Duration = Duration::from_secs(2);

/// The connection that the publisher and every subscription share.
pub(crate) struct Link {
    url: NatsUrl,
    client: OnceCell<Client>,
    shared: Arc<Shared>,
    runtime: Handle,
    /// Rises whenever events may have been missed uncounted.
    gaps: watch::Sender<u64>,
    /// Whether the server has us. What is given to the client while it has not, the client takes and may lose.
    connected: watch::Sender<bool>,
}

impl Link {
    pub(crate) fn new(url: NatsUrl, shared: Arc<Shared>, runtime: Handle) -> Self {
        Self {
            url,
            client: OnceCell::new(),
            shared,
            runtime,
            gaps: watch::Sender::new(0),
            connected: watch::Sender::new(false),
        }
    }

    /// The client; it reconnects by itself, so there is only ever one.
    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                loop {
                    match self.options().connect(self.url.servers()).await {
                        Ok(client) => return client,
                        Err(error) => self.shared.outage.failed(&error),
                    }
                    sleep(RETRY).await;
                }
            })
            .await
    }

    fn options(&self) -> ConnectOptions {
        let (shared, gaps, connected) = (
            Arc::clone(&self.shared),
            self.gaps.clone(),
            self.connected.clone(),
        );
        let was_connected = Arc::new(std::sync::atomic::AtomicBool::new(false));
        ConnectOptions::new()
            .name(&self.shared.name)
            .retry_on_initial_connect()
            .event_callback(move |event| {
                use async_nats::Event as Nats;
                use std::sync::atomic::Ordering;
                match event {
                    Nats::Connected => {
                        shared.outage.over();
                        connected.send_replace(true);
                        if was_connected.swap(true, Ordering::Relaxed) {
                            gaps.send_modify(|n| *n += 1);
                        }
                    }
                    Nats::SlowConsumer(_) => gaps.send_modify(|n| *n += 1),
                    Nats::Disconnected => {
                        connected.send_replace(false);
                        shared.outage.failed(&event);
                    }
                    Nats::ClientError(_) => shared.outage.failed(&event),
                    Nats::ServerError(_) => tracing::warn!(%event, "NATS server"),
                    Nats::LameDuckMode | Nats::Draining | Nats::Closed => tracing::debug!(%event, "NATS"),
                }
                std::future::ready(())
            })
    }

    pub(crate) fn subscribe(self: &Arc<Self>, pattern: Pattern) -> Feed {
        let inbox = Arc::new(Queue::new(self.shared.limits));
        let stands = watch::Sender::new(false);
        let feed = Feed::new(Arc::clone(&inbox), stands.subscribe(), self.gaps.subscribe());
        let task = self.runtime.spawn(fill(Arc::clone(self), pattern, inbox, stands));
        feed.filled_by(task.abort_handle())
    }
}

/// Empties the NATS client's channel into `inbox`.
async fn fill(link: Arc<Link>, pattern: Pattern, inbox: Arc<Queue>, stands: watch::Sender<bool>) {
    let client = link.client().await;
    let mut messages = match subscribe(client, &pattern).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::error!(%pattern, %error, "the bus subscription was refused");
            return;
        }
    };
    stands.send_replace(true);
    let mut frame = Vec::new();
    while let Some(message) = messages.next().await {
        let topic = message.subject.strip_prefix(SUBJECTS).unwrap_or_default();
        frame.clear();
        let framed = wire::encode::<FrameError>("EVT", topic, &mut frame, |out| {
            out.extend_from_slice(&message.payload);
            Ok(())
        });
        if let Err(error) = framed {
            // Counts as one that cannot be shown.
            tracing::debug!(%error, "an event came over NATS that is none");
            wire::encode_bare("EVT", "", &mut frame);
        }
        if inbox.push(&frame, 1).first {
            inbox.wake();
        }
    }
}

/// Subscribes, and makes sure that the server knows: what is sent to ourselves afterwards comes back only then.
async fn subscribe(client: &Client, pattern: &Pattern) -> Result<Subscriber, async_nats::Error> {
    let messages = client.subscribe(format!("{SUBJECTS}{pattern}")).await?;
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, Bytes::new()).await?;
    echo.next().await;
    Ok(messages)
}

/// Sends what is published, until the bus is closed and the queue empty.
pub(crate) async fn publisher(link: Arc<Link>) {
    let shared = &link.shared;
    let client = tokio::select! {
        client = link.client() => client,
        () = nothing_left(shared) => return,
    };
    let mut connected = link.connected.subscribe();
    let mut frame = Vec::new();
    loop {
        let sendable = async {
            shared.outbox.queue.ready().await;
            // Its other end is in `link`.
            connected.wait_for(|connected| *connected).await.is_ok()
        };
        tokio::select! {
            biased;
            _ = sendable => {}
            () = nothing_left(shared) => {
                if *link.connected.borrow()
                    && let Err(error) = client.flush().await
                {
                    tracing::debug!(%error, "NATS flush");
                }
                return;
            }
        }
        // What was lost in front was counted when it was dropped.
        frame.clear();
        shared.outbox.queue.take(1, &mut frame, |_, _| {});
        let Ok(Some((Frame::Publish { topic, body }, _))) = wire::decode(&frame) else {
            continue;
        };
        let subject = format!("{SUBJECTS}{topic}");
        match client.publish(subject, Bytes::copy_from_slice(body)).await {
            Ok(()) => shared.sent(1),
            Err(error) => shared.refused(1, &error),
        }
    }
}

/// Returns once the bus is closed and nothing waits. What waits then may for as long as a bus may take to close.
async fn nothing_left(shared: &Shared) {
    shared.ended.cancelled().await;
    if !shared.outbox.queue.is_empty() {
        std::future::pending::<()>().await;
    }
}
