//! What a TLS client says of itself in its ClientHello: the server that it asks for, the protocols and versions that it offers, and the
//! fingerprints JA3 and JA4. Its cipher suites stand by their numbers in what JA3 hashes.
//!
//! JA3 is Salesforce's (github.com/salesforce/ja3), JA4 is FoxIO's TLS client fingerprint (technical details in
//! github.com/FoxIO-LLC/ja4; BSD). Both leave out the GREASE values of RFC 8701. The message is that of RFC 8446
//! section 4.1.2, inside the records of section 5.1.

use decnet_model::event::{ClientInfoKind, Event, FingerprintKind};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::tap::Tap;

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What is told of it; GREASE is left out already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    version: u16,
    /// As it came: neither a name of the DNS nor text, necessarily.
    server_name: Vec<u8>,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    groups: Vec<u16>,
    point_formats: Vec<u8>,
    signature_algorithms: Vec<u16>,
    supported_versions: Vec<u16>,
    alpn: Vec<Vec<u8>>,
}

impl ClientHello {
    /// The ClientHello that `bytes`, the beginning of a TLS connection, carry; `None` where they do not carry a whole one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut handshake = Vec::new();
        let mut records = Reader(bytes);
        loop {
            let mut message = Reader(&handshake);
            if let (Some(kind), Some(body)) = (message.u8(), message.vector24()) {
                return if kind == 1 {
                    Self::parse_body(Reader(body))
                } else {
                    None
                };
            }
            let 22 = records.u8()? else { return None };
            records.u16()?;
            handshake.extend_from_slice(records.vector16()?);
        }
    }

    fn parse_body(mut body: Reader<'_>) -> Option<Self> {
        let mut hello = Self {
            version: body.u16()?,
            ..Self::default()
        };
        body.bytes(32)?;
        body.vector8()?;
        hello.ciphers = numbers(body.vector16()?);
        body.vector8()?;
        // No extensions at all is allowed (RFC 5246 section 7.4.1.2).
        let mut extensions = Reader(body.vector16().unwrap_or_default());
        while let Some(kind) = extensions.u16() {
            let mut data = Reader(extensions.vector16()?);
            if is_grease(kind) {
                continue;
            }
            hello.extensions.push(kind);
            match kind {
                SERVER_NAME => hello.server_name = host_name(data.vector16().unwrap_or_default()),
                SUPPORTED_GROUPS => hello.groups = numbers(data.vector16()?),
                EC_POINT_FORMATS => hello.point_formats = data.vector8()?.to_vec(),
                SIGNATURE_ALGORITHMS => hello.signature_algorithms = numbers(data.vector16()?),
                SUPPORTED_VERSIONS => hello.supported_versions = numbers(data.vector8()?),
                ALPN => {
                    let mut names = Reader(data.vector16()?);
                    while let Some(name) = names.vector8() {
                        hello.alpn.push(name.to_vec());
                    }
                }
                _ => {}
            }
        }
        Some(hello)
    }

    /// What JA3 hashes.
    #[must_use]
    pub fn ja3_text(&self) -> String {
        let formats: Vec<u16> = self.point_formats.iter().map(|f| u16::from(*f)).collect();
        format!(
            "{},{},{},{},{}",
            self.version,
            decimal(&self.ciphers),
            decimal(&self.extensions),
            decimal(&self.groups),
            decimal(&formats)
        )
    }

    /// The JA3 hash, hex.
    #[must_use]
    pub fn ja3(&self) -> String {
        hex::encode(Md5::digest(self.ja3_text().as_bytes()))
    }

    /// JA4 with its lists unhashed (`JA4_r`).
    #[must_use]
    pub fn ja4_text(&self) -> String {
        let (head, ciphers, rest) = self.ja4_parts();
        format!("{head}_{ciphers}_{rest}")
    }

    /// The JA4 fingerprint.
    #[must_use]
    pub fn ja4(&self) -> String {
        let (head, ciphers, rest) = self.ja4_parts();
        format!("{head}_{}_{}", twelve(&ciphers), twelve(&rest))
    }

    fn ja4_parts(&self) -> (String, String, String) {
        let version = match self
            .supported_versions
            .iter()
            .copied()
            .max()
            .unwrap_or(self.version)
        {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let sni = if self.extensions.contains(&SERVER_NAME) {
            'd'
        } else {
            'i'
        };
        let head = format!(
            "t{version}{sni}{:02}{:02}{}",
            self.ciphers.len().min(99),
            self.extensions.len().min(99),
            self.ja4_alpn()
        );
        let mut ciphers = self.ciphers.clone();
        ciphers.sort_unstable();
        let mut extensions: Vec<u16> = self
            .extensions
            .iter()
            .copied()
            .filter(|e| ![SERVER_NAME, ALPN].contains(e))
            .collect();
        extensions.sort_unstable();
        let mut rest = hexadecimal(&extensions);
        if !self.signature_algorithms.is_empty() {
            rest.push('_');
            rest.push_str(&hexadecimal(&self.signature_algorithms));
        }
        (head, hexadecimal(&ciphers), rest)
    }

    /// First and last character of the first ALPN value; of its hex form where one of them is not alphanumeric.
    fn ja4_alpn(&self) -> String {
        let value = self.alpn.first().map(Vec::as_slice).unwrap_or_default();
        let (Some(first), Some(last)) = (value.first(), value.last()) else {
            return "00".to_owned();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [char::from(*first), char::from(*last)].iter().collect();
        }
        let text = hex::encode(value);
        text.chars()
            .next()
            .into_iter()
            .chain(text.chars().last())
            .collect()
    }

    /// The versions that it offers; what it calls its own where it does not list them.
    fn versions(&self) -> String {
        if self.supported_versions.is_empty() {
            hexadecimal(&[self.version])
        } else {
            hexadecimal(&self.supported_versions)
        }
    }

    /// Report all of it.
    pub fn report(&self, tap: &Tap) {
        for (kind, value) in [
            (ClientInfoKind::TlsServerName, self.server_name.clone()),
            (ClientInfoKind::TlsAlpn, self.alpn.join(&b',')),
            (ClientInfoKind::TlsVersions, self.versions().into_bytes()),
        ] {
            if !value.is_empty() {
                tap.emit(Event::ClientInfo { kind, value: &value });
            }
        }
        for (kind, hash, raw) in [
            (FingerprintKind::Ja3, self.ja3(), self.ja3_text()),
            (FingerprintKind::Ja4, self.ja4(), self.ja4_text()),
        ] {
            tap.emit(Event::Fingerprint {
                kind,
                hash: &hash,
                raw: &raw,
            });
        }
    }
}

/// The first name of a host in a list of server names; empty where there is none.
fn host_name(list: &[u8]) -> Vec<u8> {
    let mut names = Reader(list);
    while let (Some(kind), Some(name)) = (names.u8(), names.vector16()) {
        if kind == 0 {
            return name.to_vec();
        }
    }
    Vec::new()
}

/// The first twelve hex digits of SHA-256, or zeros for an empty list.
fn twelve(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.truncate(12);
    hash
}

fn decimal(values: &[u16]) -> String {
    values.iter().map(u16::to_string).collect::<Vec<_>>().join("-")
}

fn hexadecimal(values: &[u16]) -> String {
    values
        .iter()
        .map(|v| format!("{v:04x}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// RFC 8701: both bytes alike, with a low nibble of `a`.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn numbers(list: &[u8]) -> Vec<u16> {
    let mut reader = Reader(list);
    let mut out = Vec::new();
    while let Some(value) = reader.u16() {
        if !is_grease(value) {
            out.push(value);
        }
    }
    out
}

/// Takes fields off the front; `None` where there is not enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self, n: usize) -> Option<usize> {
        Some(self.bytes(n)?.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)))
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        u16::try_from(self.number(2)?).ok()
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let n = self.number(1)?;
        self.bytes(n)
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let n = self.number(2)?;
        self.bytes(n)
    }

    fn vector24(&mut self) -> Option<&'a [u8]> {
        let n = self.number(3)?;
        self.bytes(n)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list16(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_be_bytes()).collect()
    }

    fn vector(prefix: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.len().to_be_bytes()[8 - prefix..].to_vec();
        out.extend_from_slice(bytes);
        out
    }

    /// A connection's first bytes: a ClientHello in records of at most `record` bytes.
    fn hello(version: u16, ciphers: &[u16], extensions: Option<&[(u16, Vec<u8>)]>, record: usize) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend(vector(1, &[9; 32]));
        body.extend(vector(2, &list16(ciphers)));
        body.extend(vector(1, &[0]));
        if let Some(extensions) = extensions {
            let mut all = Vec::new();
            for (kind, data) in extensions {
                all.extend(kind.to_be_bytes());
                all.extend(vector(2, data));
            }
            body.extend(vector(2, &all));
        }
        let mut message = vec![1];
        message.extend(vector(3, &body));
        message
            .chunks(record)
            .flat_map(|part| [vec![22, 3, 1], vector(2, part)].concat())
            .collect()
    }

    #[test]
    fn ja3_equals_the_published_vectors() {
        // github.com/salesforce/ja3, README.
        let ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4];
        let extensions = [
            (0, vec![]),
            (10, vector(2, &list16(&[23, 24, 25]))),
            (11, vector(1, &[0])),
        ];
        let first = ClientHello::parse(&hello(769, &ciphers, Some(&extensions), 900)).unwrap();
        assert_eq!(
            first.ja3_text(),
            "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
        );
        assert_eq!(first.ja3(), "ada70206e40642a3e4461f35503241d5");
        let second =
            ClientHello::parse(&hello(769, &[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], None, 900)).unwrap();
        assert_eq!(second.ja3(), "de350869b8c85de67a350c8d186f11e6");
    }

    #[test]
    fn ja4_equals_the_published_vector_with_grease_and_several_records() {
        // github.com/FoxIO-LLC/ja4, technical_details/JA4.md.
        let ciphers = [
            0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ];
        let plain = [
            0x001b_u16, 0x0000, 0x0033, 0x4469, 0x0017, 0x002d, 0x0005, 0x0023, 0x0012, 0xff01, 0x0015,
        ];
        let mut extensions: Vec<(u16, Vec<u8>)> = plain.iter().map(|e| (*e, vec![])).collect();
        extensions.insert(0, (0x3a3a, vec![]));
        extensions.push((
            0x0010,
            vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat()),
        ));
        extensions.push((
            0x000d,
            vector(
                2,
                &list16(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]),
            ),
        ));
        extensions.push((0x000a, vector(2, &list16(&[0xfafa, 0x001d, 0x0017, 0x0018]))));
        extensions.push((0x000b, vector(1, &[0])));
        extensions.push((0x002b, vector(1, &list16(&[0x7a7a, 0x0304, 0x0303]))));
        for record in [100, 16_000] {
            let seen = ClientHello::parse(&hello(0x0303, &ciphers, Some(&extensions), record)).unwrap();
            assert_eq!(seen.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        }
    }

    #[test]
    fn an_alpn_value_that_is_not_text_counts_by_its_hex_form() {
        let extensions = [(16, vector(2, &vector(1, &[0xab, 0x00, 0xcd])))];
        let seen = ClientHello::parse(&hello(0x0303, &[0x1301], Some(&extensions), 900)).unwrap();
        assert!(seen.ja4().starts_with("t12i0101ad_"), "{}", seen.ja4());
    }

    #[test]
    fn the_server_name_is_taken_as_it_is_and_the_first_of_several() {
        let name_of = |data: Vec<u8>| {
            let raw = hello(0x0303, &[0x1301], Some(&[(0, data)]), 900);
            ClientHello::parse(&raw).unwrap().server_name
        };
        let entry = |kind: u8, name: &[u8]| [vec![kind], vector(2, name)].concat();
        let hostile = b"a]\"\\\0\xff\n".repeat(100);
        for (list, name) in [
            (entry(0, b"mail.example"), &b"mail.example"[..]),
            (entry(0, &hostile), &hostile),
            (
                [entry(7, b"no host"), entry(0, b"a"), entry(0, b"b")].concat(),
                b"a",
            ),
            (entry(7, b"no host"), b""),
            (b"\0\0\x09cut".to_vec(), b""),
        ] {
            assert_eq!(name_of(vector(2, &list)), name);
        }
        // What is not even a list makes the rest no worse.
        assert_eq!(name_of(b"\xff\xff".to_vec()), b"");
    }

    #[test]
    fn protocols_and_versions_are_told_in_their_order_without_grease() {
        let extensions = [
            (
                16,
                vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat()),
            ),
            (43, vector(1, &list16(&[0x1a1a, 0x0304, 0x0303]))),
        ];
        let new = ClientHello::parse(&hello(0x0303, &[0x1301], Some(&extensions), 900)).unwrap();
        assert_eq!(new.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(new.versions(), "0304,0303");
        let old = ClientHello::parse(&hello(0x0301, &[0x002f], None, 900)).unwrap();
        assert_eq!((old.alpn.len(), old.versions().as_str()), (0, "0301"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _any = ClientHello::parse(&bytes);
            let mut record = vec![22, 3, 1, 1, 0x90, 1, 0, 1, 0x8c];
            record.extend(&bytes);
            let _any = ClientHello::parse(&record);
        }

        #[test]
        fn a_cut_hello_is_no_hello(cut in 0_usize..100) {
            let whole = hello(0x0303, &[0x1301, 0x1302], Some(&[(0, vec![])]), 40);
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(ClientHello::parse(&whole[..cut]), None);
        }
    }

    #[test]
    fn seeds_of_the_fuzz_target_have_fingerprints_or_none() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/client_hello");
        let mut parsed: Vec<String> = Vec::new();
        for seed in std::fs::read_dir(folder).unwrap() {
            let seed = seed.unwrap();
            if let Some(hello) = ClientHello::parse(&std::fs::read(seed.path()).unwrap()) {
                assert_eq!(hello.ja4().len(), 36, "{seed:?}");
                parsed.push(seed.file_name().into_string().unwrap());
            }
        }
        for name in [
            "tls13_grease",
            "two_records",
            "empty_records",
            "tls10_no_extensions",
        ] {
            assert!(
                parsed.iter().any(|p| p == name),
                "{name} is a ClientHello: {parsed:?}"
            );
        }
        for name in ["server_hello", "alert", "torn", "ssl2", "length_huge"] {
            assert!(parsed.iter().all(|p| p != name), "{name} is none");
        }
    }
}
