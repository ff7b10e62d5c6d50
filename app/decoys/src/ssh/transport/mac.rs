//! Message authentication codes, by their names in a KEXINIT.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};

use super::umac::Umac;

/// What is made a tag with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
    Umac,
}

/// A kind of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) struct Kind {
    function: Function,
    pub(super) key_len: usize,
    pub(super) tag_len: usize,
    /// The tag is that of what is encrypted already, and the length is not encrypted (encrypt-then-mac).
    pub(super) after: bool,
}

impl Kind {
    /// The kind that is called `name`.
    pub(in crate::ssh) fn of(name: &str) -> Option<Self> {
        let plain = name
            .strip_suffix("-etm@openssh.com")
            .or_else(|| name.strip_suffix("@openssh.com"))
            .unwrap_or(name);
        let (function, key_len, tag_len) = match plain {
            "hmac-sha1" => (Function::Sha1, 20, 20),
            "hmac-sha1-96" => (Function::Sha1, 20, 12),
            "hmac-sha2-256" => (Function::Sha256, 32, 32),
            "hmac-sha2-512" => (Function::Sha512, 64, 64),
            "umac-64" => (Function::Umac, 16, 8),
            "umac-128" => (Function::Umac, 16, 16),
            _ => return None,
        };
        Some(Self {
            function,
            key_len,
            tag_len,
            after: name.ends_with("-etm@openssh.com"),
        })
    }

    /// A key of this kind, of at least `key_len` bytes.
    pub(super) fn key(self, key: &[u8]) -> Option<Mac> {
        let key = key.get(..self.key_len)?;
        let hmac = |algorithm| State::Hmac(Box::new(hmac::Key::new(algorithm, key)));
        let state = match self.function {
            Function::Sha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Function::Sha256 => hmac(hmac::HMAC_SHA256),
            Function::Sha512 => hmac(hmac::HMAC_SHA512),
            Function::Umac => State::Umac(Box::new(Umac::new(key.first_chunk()?, self.tag_len))),
        };
        Some(Mac { kind: self, state })
    }
}

enum State {
    Hmac(Box<hmac::Key>),
    Umac(Box<Umac>),
}

/// A key of one direction.
pub(super) struct Mac {
    pub(super) kind: Kind,
    state: State,
}

impl Mac {
    /// The tag of packet number `seq`.
    pub(super) fn tag(&self, seq: u32, packet: &[u8]) -> Vec<u8> {
        match &self.state {
            State::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(&seq.to_be_bytes());
                context.update(packet);
                let tag = context.sign();
                tag.as_ref().get(..self.kind.tag_len).unwrap_or_default().to_vec()
            }
            State::Umac(key) => key.tag(seq.into(), packet),
        }
    }

    /// Whether `tag` is that of packet number `seq`.
    pub(super) fn verify(&self, seq: u32, packet: &[u8], tag: &[u8]) -> bool {
        verify_slices_are_equal(&self.tag(seq, packet), tag).is_ok()
    }
}
