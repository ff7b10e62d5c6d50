//! Octet-counted framing: `LEN SP BYTES`, as RFC 6587 section 3.4.1 and RFC 5425 section 4.3 have it.

/// Decoder of a stream of octet-counted frames. It does no I/O: hand it what was read, in pieces of any size.
///
/// Memory is bounded by the longest frame that is allowed, however the stream is cut.
#[derive(Debug)]
pub struct OctetCounting {
    max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Reading the length; `None` before its first digit.
    Length(Option<usize>),
    /// Reading a frame of which `missing` bytes have not come.
    Frame { missing: usize, bytes: Vec<u8> },
    /// Passing over a frame that is too long.
    Skip { missing: usize },
    /// Where frames begin is no longer known.
    Lost,
}

/// Why a stream is not octet-counted frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length that is not a number from 1 without leading zeros and a space. The stream is lost.
    #[error("frame length: byte {0:#04x} where a digit or a space belongs")]
    Length(u8),
    /// A frame is over the limit. It is passed over; decoding goes on with the next.
    #[error("frame of {len} bytes: at most {max} are allowed")]
    TooLong {
        /// Stated length in bytes.
        len: usize,
        /// Limit in bytes.
        max: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
}

impl FrameError {
    /// Whether nothing more can be read from this stream.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        !matches!(self, Self::TooLong { .. })
    }
}

/// A stated length over this is taken for noise rather than for a frame to pass over.
const LARGEST_LENGTH: usize = 999_999_999;

impl OctetCounting {
    /// A decoder of frames of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            state: State::Length(None),
        }
    }

    /// Take bytes from the front of `input` until a frame is whole; `None` when `input` is used up before that.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] once for each frame that is passed over; [`FrameError::Length`] where the stream is not
    /// octet-counted, then and ever after.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            match &mut self.state {
                State::Length(so_far) => {
                    let Some((&byte, tail)) = input.split_first() else {
                        return Ok(None);
                    };
                    match (byte, *so_far) {
                        (b'1'..=b'9', None) => *so_far = Some(usize::from(byte - b'0')),
                        (b'0'..=b'9', Some(n)) if n <= LARGEST_LENGTH / 10 => {
                            *so_far = Some(n * 10 + usize::from(byte - b'0'));
                        }
                        (b' ', Some(len)) => {
                            *input = tail;
                            if len > self.max {
                                self.state = State::Skip { missing: len };
                                return Err(FrameError::TooLong { len, max: self.max });
                            }
                            // Room is made as bytes come: a stated length alone takes no memory.
                            self.state = State::Frame {
                                missing: len,
                                bytes: Vec::new(),
                            };
                            continue;
                        }
                        _ => {
                            self.state = State::Lost;
                            return Err(FrameError::Length(byte));
                        }
                    }
                    *input = tail;
                }
                State::Frame { missing, bytes } => {
                    let (head, tail) = input.split_at_checked(*missing).unwrap_or((input, &[]));
                    bytes.extend_from_slice(head);
                    *missing -= head.len();
                    *input = tail;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let frame = std::mem::take(bytes);
                    self.state = State::Length(None);
                    return Ok(Some(frame));
                }
                State::Skip { missing } => {
                    let (head, tail) = input.split_at_checked(*missing).unwrap_or((input, &[]));
                    *missing -= head.len();
                    *input = tail;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    self.state = State::Length(None);
                }
                State::Lost => return Err(FrameError::Length(input.first().copied().unwrap_or_default())),
            }
        }
    }

    /// To be called at the end of the stream.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] where a frame has begun and not ended.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.state {
            State::Length(None) => Ok(()),
            _ => Err(FrameError::Truncated),
        }
    }

    /// Append `frame`, framed, to `out`. An empty frame cannot be said in this framing and writes nothing.
    pub fn encode(frame: &[u8], out: &mut Vec<u8>) {
        if !frame.is_empty() {
            out.extend_from_slice(frame.len().to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(codec: &mut OctetCounting, mut input: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut out = Vec::new();
        loop {
            match codec.decode(&mut input) {
                Ok(None) => return out,
                Ok(Some(frame)) => out.push(Ok(frame)),
                Err(e) => {
                    out.push(Err(e));
                    if e.is_fatal() {
                        return out;
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                OctetCounting::encode(frame, &mut stream);
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(stream.len())).chain([0, stream.len()]).collect();
            cuts.sort_unstable();
            let mut codec = OctetCounting::new(20);
            let mut got = Vec::new();
            for piece in cuts.windows(2) {
                got.extend(decode_all(&mut codec, &stream[piece[0]..piece[1]]));
            }
            // What is over the limit is told and passed over; the rest is whole.
            let want: Vec<_> = frames
                .into_iter()
                .map(|f| if f.len() > 20 { Err(FrameError::TooLong { len: f.len(), max: 20 }) } else { Ok(f) })
                .collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(codec.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(raw in r"[0-9 a]{0,60}") {
            let mut codec = OctetCounting::new(50);
            for frame in decode_all(&mut codec, raw.as_bytes()).into_iter().flatten() {
                prop_assert!((1..=50).contains(&frame.len()));
            }
        }
    }

    #[test]
    fn a_stream_that_is_not_octet_counted_stays_refused() {
        for bad in ["<34>1 - - - - - -", "0 ", "01 a", " 3 abc", "99999999999 "] {
            let mut codec = OctetCounting::new(100);
            let mut input = bad.as_bytes();
            assert!(codec.decode(&mut input).unwrap_err().is_fatal(), "{bad}");
            assert!(
                codec.decode(&mut b"3 abc".as_slice()).unwrap_err().is_fatal(),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_end_within_a_frame_is_told() {
        for torn in ["1", "5 abc", "200 a"] {
            let mut codec = OctetCounting::new(100);
            decode_all(&mut codec, torn.as_bytes());
            assert_eq!(codec.finish(), Err(FrameError::Truncated), "{torn}");
        }
    }
}
