//! What travels on the bus, and its JSON form.
//!
//! The topic stands in the frame's verb line (with NATS: in the subject) and nowhere else, so the two can never
//! disagree; the body is `{"v":1,"id":"<uuid>","ts":<microseconds since the epoch>,"payload":<any JSON>}`.
//!
//! Every publisher of this crate writes it in exactly that spelling, which is read without a JSON parser; any other
//! spelling is read with one. The payload is checked once, by the broker, and taken apart only by who looks at it.

use std::{
    fmt,
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use decnet_model::{
    clock::{SharedClock, from_micros, micros},
    topic::Topic,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use time::OffsetDateTime;
use uuid::Uuid;

/// The version that this crate writes, and the only one that it takes.
pub const VERSION: u8 = 1;

/// One event as a subscriber gets it.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The version of the envelope: 1.
    pub v: u8,
    /// Unique to this event; version 7, so it sorts by time.
    pub id: Uuid,
    /// Where it was published.
    pub topic: Topic,
    /// When it was published, by the publisher's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub ts: OffsetDateTime,
    /// What it says. Anybody who may open the socket may publish anything: look with care, or [`Event::parse`].
    pub payload: Payload,
}

/// What an event says, as JSON, which becomes a tree when it is first looked into: whoever only wants to be woken never
/// pays for that.
///
/// It dereferences to that tree, which is `null` for what no tree can hold (JSON nested more than 128 deep).
#[derive(Clone)]
pub struct Payload {
    json: Box<[u8]>,
    tree: OnceLock<Value>,
}

impl Payload {
    fn new(json: &[u8]) -> Self {
        Self {
            json: json.into(),
            tree: OnceLock::new(),
        }
    }

    /// Its JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.json
    }
}

impl Deref for Payload {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.tree
            .get_or_init(|| serde_json::from_slice(&self.json).unwrap_or_default())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<T: ?Sized> PartialEq<T> for Payload
where
    Value: PartialEq<T>,
{
    fn eq(&self, other: &T) -> bool {
        **self == *other
    }
}

impl PartialEq<Payload> for Value {
    fn eq(&self, other: &Payload) -> bool {
        *self == **other
    }
}

/// The payload of a `system.bus.dropped` event: what this one subscriber did not get, in the place where it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Exactly how many events the subscriber's queue dropped since the last report.
    pub lost: u64,
    /// The connection broke and came back: whatever was published in between is missing too, and nobody counted it.
    #[serde(default)]
    pub gap: bool,
}

impl Event {
    /// The payload as a `T`.
    ///
    /// # Errors
    /// The payload is not a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload.json)
    }

    /// What was lost here, if this is the bus telling so.
    #[must_use]
    pub fn dropped(&self) -> Option<Dropped> {
        (self.topic == Topic::bus_dropped())
            .then(|| self.parse().ok())
            .flatten()
    }

    /// The event of a body from who knows where.
    pub(crate) fn decode(topic: Topic, body: &[u8]) -> Result<Self, serde_json::Error> {
        check(body)?;
        Self::decode_checked(topic, body)
    }

    /// The event of a body that [`check`] let pass, as the broker has done with whatever it sends.
    pub(crate) fn decode_checked(topic: Topic, body: &[u8]) -> Result<Self, serde_json::Error> {
        let envelope = Envelope::read(body)?;
        Ok(Self {
            v: VERSION,
            id: envelope.id,
            topic,
            ts: from_micros(envelope.ts),
            payload: Payload::new(envelope.payload),
        })
    }
}

/// The body of a frame.
struct Envelope<'a> {
    id: Uuid,
    ts: i64,
    payload: &'a [u8],
    /// The payload is known to be JSON.
    checked: bool,
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::cut(body).map_or_else(|| Self::parse(body), Ok)
    }

    /// Cuts up the usual spelling, whose payload goes up to the last brace.
    fn cut(body: &'a [u8]) -> Option<Self> {
        let (id, rest) = body
            .strip_prefix(b"{\"v\":1,\"id\":\"")?
            .split_at_checked(uuid::fmt::Hyphenated::LENGTH)?;
        let id = Uuid::try_parse_ascii(id).ok()?;
        let mut rest = rest.strip_prefix(b"\",\"ts\":")?;
        if !rest.first()?.is_ascii_digit() {
            return None;
        }
        let mut ts = 0i64;
        while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
            ts = ts.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
            // JSON knows no number that begins with a zero but zero itself.
            if ts == 0 && after.first().is_some_and(u8::is_ascii_digit) {
                return None;
            }
            rest = after;
        }
        let payload = rest.strip_prefix(b",\"payload\":")?.strip_suffix(b"}")?;
        Some(Self {
            id,
            ts,
            payload,
            checked: false,
        })
    }

    /// Reads any spelling.
    fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Spelt<'a> {
            v: u8,
            id: Uuid,
            ts: i64,
            #[serde(borrow)]
            payload: &'a RawValue,
        }
        let Spelt { v, id, ts, payload } = serde_json::from_slice(body)?;
        if v != VERSION {
            return Err(serde::de::Error::custom(format_args!("event version {v}, not 1")));
        }
        Ok(Self {
            id,
            ts,
            payload: payload.get().as_bytes(),
            checked: true,
        })
    }
}

/// Whether `body` is that of an event, without building it.
pub(crate) fn check(body: &[u8]) -> Result<(), serde_json::Error> {
    let envelope = Envelope::read(body)?;
    if !envelope.checked {
        serde_json::from_slice::<&RawValue>(envelope.payload)?;
    }
    Ok(())
}

/// Gives events their id and time.
///
/// Ids are UUIDs of version 7 whose random part is drawn once and then counted up (RFC 9562 section 6.2), which
/// spares the publisher a system call an event.
pub(crate) struct Stamp {
    clock: SharedClock,
    random: [u8; 4],
    counter: AtomicU64,
}

impl Stamp {
    pub(crate) fn new(clock: SharedClock) -> Self {
        let [a, b, c, d, e, f, g, ..] = Uuid::new_v4().into_bytes();
        Self {
            clock,
            random: [a, b, c, d],
            counter: AtomicU64::new(u64::from_be_bytes([0, 0, 0, 0, 0, e, f, g])),
        }
    }

    fn next(&self) -> (Uuid, i64) {
        let now = micros(self.clock.now());
        let [_, _, tail @ ..] = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let ([a, b, c, d], [e, f, g, h, i, j]) = (self.random, tail);
        let millis = u64::try_from(now / 1000).unwrap_or_default();
        // Version and variant take bits of the first and the third of these bytes; what counts up is in the last six.
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &[a, b, c, d, e, f, g, h, i, j]);
        (id.into_uuid(), now)
    }

    /// Appends the body of a new event to `out`.
    pub(crate) fn encode<P: Serialize + ?Sized>(
        &self,
        payload: &P,
        out: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        let (id, ts) = self.next();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        out.extend_from_slice(b"{\"v\":1,\"id\":\"");
        out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
        out.extend_from_slice(b"\",\"ts\":");
        serde_json::to_writer(&mut *out, &ts)?;
        out.extend_from_slice(b",\"payload\":");
        serde_json::to_writer(&mut *out, payload)?;
        out.push(b'}');
        Ok(())
    }

    /// The report of a loss, made on the subscriber's side.
    pub(crate) fn dropped(&self, lost: u64, gap: bool) -> Event {
        let (id, ts) = self.next();
        Event {
            v: VERSION,
            id,
            topic: Topic::bus_dropped(),
            ts: from_micros(ts),
            payload: Payload::new(format!("{{\"lost\":{lost},\"gap\":{gap}}}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;
    use decnet_model::clock::ManualClock;
    use serde_json::json;

    #[test]
    fn an_event_comes_back_as_it_was_published() {
        let at = from_micros(1_700_000_000_123_456);
        let stamp = Stamp::new(Arc::new(ManualClock::new(at)));
        let mut body = Vec::new();
        stamp.encode(&json!({"a": [1, "x\n"]}), &mut body).unwrap();
        let event = Event::decode(Topic::system_log(), &body).unwrap();
        assert_eq!((event.v, event.ts, event.topic.as_str()), (1, at, "system.log"));
        assert_eq!(event.parse::<Value>().unwrap(), json!({"a": [1, "x\n"]}));
        assert_eq!(event.id.get_version_num(), 7);
    }

    #[test]
    fn ids_differ_within_a_microsecond_and_between_publishers() {
        let clock = Arc::new(ManualClock::new(from_micros(5_000_000)));
        let (one, two) = (Stamp::new(clock.clone()), Stamp::new(clock));
        let ids: HashSet<Uuid> = (0..1000).flat_map(|_| [one.next().0, two.next().0]).collect();
        assert_eq!(ids.len(), 2000);
    }

    #[test]
    fn another_version_or_another_shape_is_refused() {
        for bad in [
            r#"{"v":2,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1,"payload":1}"#,
            r#"{"v":1,"id":"x","ts":1,"payload":1}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1,"payload":{]}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":,"payload":1}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":01,"payload":1}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":99999999999999999999,"payload":1}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1,"payload":}"#,
            r#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1,"payload":1,"more":2}"#,
            "[]",
            "",
        ] {
            assert!(
                Event::decode(Topic::system_log(), bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn any_spelling_of_the_envelope_is_the_same_event() {
        let usual = br#"{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":0,"payload":{"a":"}"}}"#;
        assert!(Envelope::cut(usual).is_some());
        let usual = Event::decode(Topic::system_log(), usual).unwrap();
        for other in [
            &br#" {"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":0,"payload":{"a":"}"}}"#[..],
            br#"{"payload":{"a":"}"},"ts": 0,"id":"018bcfe5680070008000000000000000","v":1,"more":2}"#,
        ] {
            assert!(Envelope::cut(other).is_none());
            let event = Event::decode(Topic::system_log(), other).unwrap();
            assert_eq!((event.id, event.ts), (usual.id, usual.ts));
            assert_eq!(event.payload, usual.payload);
        }
    }

    #[test]
    fn a_payload_that_no_tree_can_hold_is_null_and_no_fault() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let body =
            format!(r#"{{"v":1,"id":"018bcfe5-6800-7000-8000-000000000000","ts":1,"payload":{deep}}}"#);
        let event = Event::decode(Topic::system_log(), body.as_bytes()).unwrap();
        assert_eq!(event.payload, Value::Null);
        assert_eq!(event.payload.as_bytes(), deep.as_bytes());
        assert!(event.parse::<Value>().is_err());
    }
}
