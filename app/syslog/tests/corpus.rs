//! Replays the seeds of the fuzz targets `syslog_parse` and `octet_counting`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by panicking"
)]

use std::{collections::BTreeMap, fs, path::Path};

use decnet_syslog::{FrameError, Message, OctetCounting};

fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn seeds_of_the_parser_parse_or_are_refused_and_what_parses_goes_round() {
    let refused: Vec<String> = corpus("syslog_parse")
        .into_iter()
        .filter_map(|(name, raw)| {
            let Ok(message) = Message::parse(&raw) else {
                return Some(name);
            };
            let mut line = Vec::new();
            message.format(&mut line);
            let again = Message::parse(&line).unwrap();
            let shape = |m: &Message| m.sd.iter().map(|e| e.params.len()).collect::<Vec<_>>();
            assert_eq!(shape(&again), shape(&message), "{name}");
            assert_eq!(
                (again.timestamp, &again.hostname),
                (message.timestamp, &message.hostname),
                "{name}"
            );
            None
        })
        .collect();
    for name in ["bsd", "unterminated"] {
        assert!(
            refused.iter().any(|refused| refused == name),
            "{name} has to be refused"
        );
    }
    for name in [
        "rfc5424_su",
        "decoy_auth",
        "escaped_bracket",
        "rsyslog_sshd",
        "missing_sd",
        "not_utf8",
    ] {
        assert!(
            refused.iter().all(|refused| refused != name),
            "{name} has to parse"
        );
    }
}

fn decode(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut codec = OctetCounting::new(300);
    let mut out = Vec::new();
    for mut input in pieces.iter().copied() {
        loop {
            match codec.decode(&mut input) {
                Ok(None) => break,
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
    out
}

#[test]
fn seeds_of_the_codec_give_the_same_frames_byte_by_byte() {
    for (name, raw) in corpus("octet_counting") {
        let Some((_, stream)) = raw.split_first() else {
            continue;
        };
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&[stream]), decode(&bytes), "{name}");
    }
}
