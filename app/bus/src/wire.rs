//! Frames on the broker's socket.
//!
//! ```text
//! VERB[ argument]\n  length, 4 bytes big-endian  body, `length` bytes of JSON
//! ```
//!
//! | verb | from | argument | body |
//! |---|---|---|---|
//! | `HELLO` | client, first; the broker answers with its own | – | `{"v":1,"name":"…","pid":…}` |
//! | `PUB` | client | topic | the event: see [`crate::event`] |
//! | `SUB` | client; the broker answers with the same once the subscription stands | pattern | none |
//! | `UNSUB` | client | pattern | none |
//! | `EVT` | broker | topic | the event |
//! | `BYE` | who ends the connection | – | none |
//!
//! "None" is a length of 0 or `{}`. A line has at most [`MAX_LINE`] bytes with its newline, a whole frame at most [`MAX_FRAME`].
//! Whatever does not fit this is a [`FrameError`], after which nothing on that connection can be trusted.

use decnet_model::{
    name::NameError,
    topic::{Pattern, Topic},
};
use serde::{Deserialize, Serialize};

use crate::event::{self, Event};

/// The most bytes of a verb line, its newline included.
pub const MAX_LINE: usize = 4096;

/// The most bytes of a frame: line, length and body.
pub const MAX_FRAME: usize = 1 << 20;

/// The bytes of the length field.
const LENGTH: usize = 4;

/// A frame, its strings still in the buffer that it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Who speaks.
    Hello {
        /// [`Hello`] as JSON.
        body: &'a [u8],
    },
    /// An event on its way to the broker.
    Publish {
        /// Not yet checked to be a topic.
        topic: &'a str,
        /// Not yet checked to be JSON.
        body: &'a [u8],
    },
    /// Begin to receive.
    Subscribe {
        /// Not yet checked to be a pattern.
        pattern: &'a str,
    },
    /// Cease to receive.
    Unsubscribe {
        /// Not yet checked to be a pattern.
        pattern: &'a str,
    },
    /// An event on its way to a subscriber.
    Event {
        /// Not yet checked to be a topic.
        topic: &'a str,
        /// Not yet checked to be JSON.
        body: &'a [u8],
    },
    /// The end.
    Bye,
}

/// The body of a `HELLO`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol: 1.
    pub v: u8,
    /// Who speaks: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Its process.
    pub pid: u32,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No newline in the first [`MAX_LINE`] bytes.
    #[error("a verb line of more than {MAX_LINE} bytes")]
    LineTooLong,
    /// A line outside printable ASCII.
    #[error("a verb line that is not printable ASCII")]
    NotAscii,
    /// A verb that there is not, or one with too many or too few arguments.
    #[error("no such verb line")]
    UnknownVerb,
    /// A frame beyond [`MAX_FRAME`].
    #[error("a frame of {0} bytes, of which {MAX_FRAME} are allowed")]
    TooLarge(u64),
    /// A body where none belongs.
    #[error("a body where none belongs")]
    UnexpectedBody,
    /// A topic or a pattern that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A body that is not what its verb wants.
    #[error("the body is not what its verb wants: {0}")]
    Body(String),
    /// A verb that this side does not take, or not now.
    #[error("{0} is out of place here")]
    OutOfPlace(&'static str),
}

/// The frame at the front of `buffer` and how many bytes it takes; `None` if more bytes are needed.
///
/// # Errors
/// The bytes can no longer become a frame.
pub fn decode(buffer: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(newline) = buffer.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if buffer.len() < MAX_LINE {
            Ok(None)
        } else {
            Err(FrameError::LineTooLong)
        };
    };
    let (line, rest) = buffer.split_at(newline);
    // Before anything else, so that garbage is known at its first newline.
    let line = str::from_utf8(line).map_err(|_| FrameError::NotAscii)?;
    if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(FrameError::NotAscii);
    }
    let (verb, argument) = match line.split_once(' ') {
        Some((verb, argument)) if !argument.is_empty() && !argument.contains(' ') => (verb, Some(argument)),
        Some(_) => return Err(FrameError::UnknownVerb),
        None => (line, None),
    };
    if !matches!(
        (verb, argument),
        ("HELLO" | "BYE", None) | ("PUB" | "SUB" | "UNSUB" | "EVT", Some(_))
    ) {
        return Err(FrameError::UnknownVerb);
    }
    let Some((length, rest)) = rest.get(1..).and_then(|rest| rest.split_first_chunk::<LENGTH>()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    let total = newline as u64 + 1 + LENGTH as u64 + u64::from(length);
    if total > MAX_FRAME as u64 {
        return Err(FrameError::TooLarge(total));
    }
    let Some(body) = rest.get(..length as usize) else {
        return Ok(None);
    };
    let frame = match (verb, argument) {
        ("PUB", Some(topic)) => Frame::Publish { topic, body },
        ("EVT", Some(topic)) => Frame::Event { topic, body },
        ("HELLO", _) => Frame::Hello { body },
        (..) if !matches!(body, b"" | b"{}") => return Err(FrameError::UnexpectedBody),
        ("SUB", Some(pattern)) => Frame::Subscribe { pattern },
        ("UNSUB", Some(pattern)) => Frame::Unsubscribe { pattern },
        (..) => Frame::Bye,
    };
    Ok(Some((frame, newline + 1 + LENGTH + body.len())))
}

/// How many bytes the frame at the front of `buffer` takes, which is known to be a good one, if its length is there.
pub(crate) fn frame_length(buffer: &[u8]) -> Option<usize> {
    let newline = buffer.iter().position(|byte| *byte == b'\n')?;
    let length = buffer.get(newline + 1..)?.first_chunk::<LENGTH>()?;
    Some(newline + 1 + LENGTH + u32::from_be_bytes(*length) as usize)
}

/// Appends a frame whose body is written by `body`; on an error, or when the frame is too large, `out` is as it was.
pub(crate) fn encode<E: From<FrameError>>(
    verb: &str,
    argument: &str,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(verb.as_bytes());
    if !argument.is_empty() {
        out.push(b' ');
        out.extend_from_slice(argument.as_bytes());
    }
    out.push(b'\n');
    let length_at = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    let result = body(out).and_then(|()| {
        let total = out.len() - start;
        let length = u32::try_from(out.len() - length_at - LENGTH);
        match (length, out.get_mut(length_at..length_at + LENGTH)) {
            (Ok(length), Some(field)) if total <= MAX_FRAME => {
                field.copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            _ => Err(FrameError::TooLarge(total as u64).into()),
        }
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends a frame without a body.
pub(crate) fn encode_bare(verb: &str, argument: &str, out: &mut Vec<u8>) {
    // Cannot fail: there is no body, and an argument is at most 256 bytes long.
    let fits = encode::<FrameError>(verb, argument, out, |_| Ok(()));
    debug_assert!(fits.is_ok());
}

/// Appends the `HELLO` of this process.
pub(crate) fn encode_hello(name: &str, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let hello = Hello {
        v: 1,
        name: name.to_owned(),
        pid: std::process::id(),
    };
    encode("HELLO", "", out, |out| {
        serde_json::to_writer(out, &hello).map_err(|error| FrameError::Body(error.to_string()))
    })
}

impl Hello {
    /// # Errors
    /// The body is no `HELLO`, of another version, or its name is none.
    pub fn parse(body: &[u8]) -> Result<Self, FrameError> {
        let hello: Self =
            serde_json::from_slice(body).map_err(|error| FrameError::Body(error.to_string()))?;
        if hello.v != 1 {
            return Err(FrameError::Body(format!("protocol version {}, not 1", hello.v)));
        }
        if !is_client_name(&hello.name) {
            return Err(FrameError::Body(
                "a client's name is 1 to 64 letters, digits, '.', '_' and '-'".into(),
            ));
        }
        Ok(hello)
    }
}

/// Decodes `bytes` as the broker and a client do, every frame down to its body; says how many frames there were. For the
/// fuzzer, and for the test of its corpus.
#[doc(hidden)]
pub fn walk(mut bytes: &[u8]) -> Result<usize, FrameError> {
    let mut frames = 0;
    while let Some((frame, used)) = decode(bytes)? {
        match frame {
            Frame::Hello { body } => {
                Hello::parse(body)?;
            }
            Frame::Publish { topic, body } | Frame::Event { topic, body } => {
                let topic: Topic = topic.parse()?;
                let checked = event::check(body);
                // What the broker lets pass is shown; a payload that no tree can hold is null.
                if checked.is_ok() {
                    let shown = Event::decode_checked(topic, body).map(|event| event.payload.is_null());
                    assert!(
                        shown.is_ok(),
                        "a subscriber cannot show what the broker lets pass"
                    );
                }
                checked.map_err(|error| FrameError::Body(error.to_string()))?;
            }
            Frame::Subscribe { pattern: text } | Frame::Unsubscribe { pattern: text } => {
                pattern(text)?;
            }
            Frame::Bye => {}
        }
        frames += 1;
        bytes = bytes.get(used..).unwrap_or_default();
    }
    Ok(frames)
}

pub(crate) fn is_client_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Refuses the one topic that no client may publish to: that with which the bus itself reports losses.
pub(crate) fn publishable(topic: &Topic) -> Result<(), FrameError> {
    if topic.as_str() == "system.bus.dropped" {
        return Err(FrameError::OutOfPlace("system.bus.dropped"));
    }
    Ok(())
}

pub(crate) fn pattern(text: &str) -> Result<Pattern, FrameError> {
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(verb: &str, argument: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode::<FrameError>(verb, argument, &mut out, |out| {
            out.extend_from_slice(body);
            Ok(())
        })
        .unwrap();
        out
    }

    fn any_frame() -> impl Strategy<Value = (&'static str, String, Vec<u8>)> {
        let body = prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            body.clone().prop_map(|body| ("HELLO", String::new(), body)),
            ("[!-~]{1,40}", body.clone()).prop_map(|(topic, body)| ("PUB", topic, body)),
            ("[!-~]{1,40}", body).prop_map(|(topic, body)| ("EVT", topic, body)),
            "[!-~]{1,40}".prop_map(|pattern| ("SUB", pattern, vec![])),
            "[!-~]{1,40}".prop_map(|pattern| ("UNSUB", pattern, b"{}".to_vec())),
            Just(("BYE", String::new(), vec![])),
        ]
    }

    /// What a decoder that gets `pieces` one after the other makes of them, each frame as its own bytes.
    fn decoded(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameError> {
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some((_, used)) = decode(&buffer)? {
                frames.push(buffer.drain(..used).collect());
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_frames(
            frames in prop::collection::vec(any_frame(), 1..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let frames: Vec<_> = frames.iter().map(|(verb, argument, body)| written(verb, argument, body)).collect();
            let stream = frames.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decoded(&pieces).unwrap(), frames);
        }

        #[test]
        fn garbage_is_an_error_or_wants_more_and_more_bytes_never_save_it(
            garbage in prop::collection::vec(any::<u8>(), 0..5000),
            more in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            match decode(&garbage) {
                Err(error) => {
                    let longer = [garbage.as_slice(), &more].concat();
                    prop_assert_eq!(decode(&longer), Err(error));
                }
                Ok(Some((_, used))) => prop_assert!(used <= garbage.len()),
                Ok(None) => prop_assert!(garbage.len() < MAX_FRAME),
            }
        }
    }

    #[test]
    fn the_limits_are_exact() {
        let room = MAX_FRAME - "PUB a\n".len() - LENGTH;
        let largest = written("PUB", "a", &vec![b' '; room]);
        assert_eq!(largest.len(), MAX_FRAME);
        assert!(matches!(decode(&largest), Ok(Some((_, MAX_FRAME)))));
        let mut out = b"before".to_vec();
        let refused = encode::<FrameError>("PUB", "a", &mut out, |out| {
            out.resize(out.len() + room + 1, b' ');
            Ok(())
        });
        assert_eq!(refused, Err(FrameError::TooLarge(MAX_FRAME as u64 + 1)));
        assert_eq!(out, b"before");

        let longest = written("PUB", &"a".repeat(MAX_LINE - "PUB \n".len()), b"");
        assert!(matches!(decode(&longest), Ok(Some(_))));
        assert_eq!(decode(&vec![b'a'; MAX_LINE - 1]), Ok(None));
        assert_eq!(decode(&vec![b'a'; MAX_LINE]), Err(FrameError::LineTooLong));
    }

    /// The fuzzer's corpus, so that what it once found stays found.
    #[test]
    fn the_corpus_is_decoded_without_a_fault() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/bus_frames");
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
            let entry = entry.unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            // The seeds that begin with "bad" are refused, the others are whole.
            let bad = entry.file_name().to_string_lossy().starts_with("bad");
            assert_eq!(walk(&bytes).is_err(), bad, "{:?}", entry.file_name());
            seen += 1;
        }
        assert!(seen >= 10, "{seen} files");
    }
}
