//! Frames are the same however the stream is cut, and never longer than allowed. The first byte is the size of the pieces.
#![cfg_attr(not(test), no_main)]

use decnet_syslog::{FrameError, OctetCounting};

const MAX: usize = 300;

fn decode(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut codec = OctetCounting::new(MAX);
    let mut out = Vec::new();
    for piece in pieces {
        let mut input = piece.as_ref();
        loop {
            match codec.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    assert!((1..=MAX).contains(&frame.len()));
                    out.push(Ok(frame));
                }
                Err(e) => {
                    out.push(Err(e));
                    if e.is_fatal() {
                        return out;
                    }
                }
            }
        }
    }
    out
}

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    let Some((size, stream)) = raw.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(stream));
    assert_eq!(whole, decode(stream.chunks(usize::from(*size).max(1))));
});
