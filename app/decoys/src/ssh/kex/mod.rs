//! Key exchange (RFC 4253, sections 7 and 8): what is offered, what is chosen, and the keys of both directions.
//!
//! Start with [`Kex::first`]; [`Kex::begin`] and [`Kex::answer`] do it again at any time, at either side's wish. Strict exchange is
//! OpenSSH's PROTOCOL, section 1.10, extensions are RFC 8308.

pub(super) mod exchange;
mod groups;
mod sntrup761;

use std::{io, sync::Arc};

use aws_lc_rs::digest::{Algorithm, digest};
use decnet_model::event::{Event, FingerprintKind};
use exchange::{Agreed, Kind, Method};
use groups::Group;
use md5::{Digest as _, Md5};
use rand::Rng as _;
use tokio::sync::Semaphore;

use super::{
    fields::{Fields, Message},
    keys::{self, HostKeys},
    messages::{
        DEBUG, DISCONNECT, EXT_INFO, GEX_GROUP, GEX_INIT, GEX_REPLY, GEX_REQUEST, IGNORE, KEX_INIT,
        KEX_REPLY, KEXINIT, NEWKEYS, UNIMPLEMENTED, USERAUTH_MIN,
    },
    proposal::Proposal,
    transport::{
        Packet, Transport,
        cipher::{self, Material},
        mac, over,
    },
};
use crate::serve::SessionError;

const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
/// Slow exchanges are made a few at a time, so that a crowd of visitors does not take a thread each.
static SLOW: Semaphore = Semaphore::const_new(2);
/// dropbear's marker: a guess is right where the first key exchanges are the same.
const GUESS: &str = "kexguess2@matt.ucc.asn.au";

/// A KEXINIT that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KexInit<'a> {
    lists: [&'a str; 10],
    /// A packet of the exchange that the client guesses follows.
    guessed: bool,
}

impl<'a> KexInit<'a> {
    /// Read one; `payload` begins with its number.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let (KEXINIT, _cookie) = (fields.u8()?, fields.array::<16>()?) else {
            return None;
        };
        let mut lists = [""; 10];
        for list in &mut lists {
            *list = std::str::from_utf8(fields.bytes()?).ok()?;
        }
        Some(Self {
            lists,
            guessed: fields.flag()?,
        })
    }

    fn list(&self, at: usize) -> &'a str {
        self.lists.get(at).copied().unwrap_or_default()
    }

    /// HASSH of a client: its four lists of client-to-server algorithms and their MD5.
    /// Source: Salesforce's specification, "kex;encryption;mac;compression".
    pub(super) fn hassh(&self) -> (String, String) {
        let text = [0, 2, 4, 6].map(|at| self.list(at)).join(";");
        (hex::encode(Md5::digest(text.as_bytes())), text)
    }
}

fn has(list: &str, name: &str) -> bool {
    list.split(',').any(|other| other == name)
}

/// The client's first that the server has, too (RFC 4253, section 7.1).
fn choose<'a>(theirs: &'a str, ours: &str) -> Option<&'a str> {
    theirs.split(',').find(|name| has(ours, name))
}

/// One direction's algorithms.
struct Direction {
    cipher: cipher::Kind,
    mac: Option<mac::Kind>,
    compresses: bool,
}

/// What was chosen.
struct Chosen {
    kex: Kind,
    host_key: keys::Algorithm,
    from_client: Direction,
    to_client: Direction,
    /// The packet that the client guessed is to be skipped.
    skips: bool,
}

impl Chosen {
    fn of(theirs: &KexInit<'_>, proposal: &Proposal) -> Option<Self> {
        let ours = &proposal.lists;
        let kex = choose(theirs.list(0), &ours.kex)?;
        let key = choose(theirs.list(1), ours.key)?;
        let direction = |at: usize| {
            let cipher = cipher::Kind::of(choose(theirs.list(at), ours.cipher)?)?;
            let mac = if cipher.is_whole() {
                None
            } else {
                Some(mac::Kind::of(choose(theirs.list(at + 2), ours.mac)?)?)
            };
            Some(Direction {
                cipher,
                mac,
                compresses: choose(theirs.list(at + 4), ours.compression)? != "none",
            })
        };
        let first = |list: &str| list.split(',').next().unwrap_or_default().to_owned();
        let same = |theirs: &str, ours: &str| first(theirs) == first(ours);
        let right = same(theirs.list(0), &ours.kex)
            && (same(theirs.list(1), ours.key) || (has(&ours.kex, GUESS) && has(theirs.list(0), GUESS)));
        Some(Self {
            kex: Kind::of(kex)?,
            host_key: keys::Algorithm::of(key)?,
            from_client: direction(2)?,
            to_client: direction(3)?,
            skips: theirs.guessed && !right,
        })
    }
}

/// What a connection knows of its exchanges.
pub(super) struct Kex {
    proposal: Arc<Proposal>,
    keys: Arc<HostKeys>,
    /// Both identifications, without line ends.
    server: String,
    client: Vec<u8>,
    /// The hash of the first exchange; empty before.
    session: Vec<u8>,
    strict: bool,
    /// Our KEXINIT, while it has no answer.
    ours: Option<Vec<u8>>,
    /// How the server last proved who it is; none before the first exchange is done.
    host_key: Option<keys::Algorithm>,
    /// From the client, and to it: compress once somebody has signed in.
    compresses: (bool, bool),
}

impl Kex {
    pub(super) fn new(proposal: Arc<Proposal>, keys: Arc<HostKeys>, server: &str, client: Vec<u8>) -> Self {
        Self {
            proposal,
            keys,
            server: server.to_owned(),
            client,
            session: Vec::new(),
            strict: false,
            ours: None,
            host_key: None,
            compresses: (false, false),
        }
    }

    pub(super) fn keys(&self) -> &HostKeys {
        &self.keys
    }

    /// What the client calls itself.
    pub(super) fn client(&self) -> &[u8] {
        &self.client
    }

    /// The proof that the host key `public` is the machine's (`hostkeys-prove-00@openssh.com` of OpenSSH's PROTOCOL, section
    /// 2.5); `None` where it is not.
    pub(super) fn prove(&self, public: &[u8]) -> Option<Vec<u8>> {
        let rsa = self.host_key.filter(|key| key.is_rsa());
        let algorithm = [keys::Algorithm::Ed25519, keys::Algorithm::EcdsaP256]
            .into_iter()
            .chain([rsa.unwrap_or(keys::Algorithm::RsaSha512)])
            .find(|algorithm| self.keys.public(*algorithm) == public)?;
        let data = Message::default()
            .string(b"hostkeys-prove-00@openssh.com")
            .string(&self.session)
            .string(public);
        self.keys.sign(algorithm, &data.0)
    }

    /// The first exchange of a connection.
    pub(super) async fn first(&mut self, transport: &mut Transport) -> Result<(), SessionError> {
        self.begin(transport).await?;
        let packet = self.expect(transport, KEXINIT).await?;
        if let Some(init) = KexInit::parse(packet.payload()) {
            let (hash, raw) = init.hassh();
            transport.tap().emit(Event::Fingerprint {
                kind: FingerprintKind::Hassh,
                hash: &hash,
                raw: &raw,
            });
            let ours = &self.proposal.lists.kex;
            self.strict = has(init.list(0), STRICT_CLIENT) && has(ours, STRICT_SERVER);
        }
        if self.strict && packet.seq != 0 {
            let words = "strict KEX violation: KEXINIT was not the first packet";
            return Err(transport.refuse(&packet, words).await);
        }
        self.answer(transport, &packet).await
    }

    /// Send a KEXINIT. Only key exchange goes from here on.
    pub(super) async fn begin(&mut self, transport: &mut Transport) -> Result<(), SessionError> {
        let lists = &self.proposal.lists;
        let mut init = Message::new(KEXINIT).raw(&rand::rng().random::<[u8; 16]>());
        for list in [
            lists.kex.as_str(),
            lists.key,
            lists.cipher,
            lists.cipher,
            lists.mac,
            lists.mac,
            lists.compression,
            lists.compression,
            "",
            "",
        ] {
            init = init.string(list.as_bytes());
        }
        let init = init.flag(false).u32(0);
        self.ours = Some(init.0.clone());
        transport.hold();
        transport.send(init).await
    }

    /// The exchange that the KEXINIT `packet` began, to its end.
    pub(super) async fn answer(
        &mut self,
        transport: &mut Transport,
        packet: &Packet,
    ) -> Result<(), SessionError> {
        if self.ours.is_none() {
            self.begin(transport).await?;
        }
        let theirs = packet.payload();
        let Some(init) = KexInit::parse(theirs) else {
            return Err(over());
        };
        let Some(chosen) = Chosen::of(&init, &self.proposal) else {
            return Err(SessionError::Violation("no common algorithm"));
        };
        if chosen.skips {
            let _guess = self.any(transport).await?;
        }
        let (share, group) = match chosen.kex.method {
            Method::GroupExchange => {
                let packet = self.expect(transport, GEX_REQUEST).await?;
                let (request, group) = requested(packet.body()).ok_or_else(over)?;
                let numbers = Message::default().mpint(&group.prime()).mpint(&[2]).0;
                transport.send(Message::new(GEX_GROUP).raw(&numbers)).await?;
                let share = self.expect(transport, GEX_INIT).await?;
                (share, Some((group, [request, &numbers].concat())))
            }
            _ => (self.expect(transport, KEX_INIT).await?, None),
        };
        let share = Fields(share.body()).bytes().ok_or_else(over)?.to_vec();
        let ours = self.ours.take().unwrap_or_default();
        // RFC 4253, section 8: H hashes this, then both shares and the secret.
        let key = self.keys.public(chosen.host_key);
        let mut head = Message::default()
            .string(&self.client)
            .string(self.server.as_bytes())
            .string(theirs)
            .string(&ours)
            .string(key);
        let (method, reply) = match group {
            Some((group, request)) => {
                head = head.raw(&request);
                (Method::Group(group), GEX_REPLY)
            }
            None => (chosen.kex.method, KEX_REPLY),
        };
        let done = self
            .agree(method, chosen.kex.hash, chosen.host_key, share, head)
            .await?
            .ok_or_else(over)?;
        if self.session.is_empty() {
            self.session.clone_from(&done.hash);
        }
        transport.push(
            Message::new(reply)
                .string(key)
                .raw(&done.share)
                .string(&done.signature),
        );
        transport.push(Message::new(NEWKEYS));
        let to_client = self.material(&done, chosen.kex.hash, &chosen.to_client, *b"BDF");
        let from_client = self.material(&done, chosen.kex.hash, &chosen.from_client, *b"ACE");
        transport.seal_with(&to_client, self.strict).ok_or_else(over)?;
        let is_first = self.host_key.is_none();
        if is_first && has(init.list(0), "ext-info-c") && !self.proposal.extensions.is_empty() {
            transport.push(extensions(&self.proposal.extensions));
        }
        transport.flush().await?;
        self.expect(transport, NEWKEYS).await?;
        transport.open_with(&from_client, self.strict).ok_or_else(over)?;
        self.host_key = Some(chosen.host_key);
        self.compresses = (chosen.from_client.compresses, chosen.to_client.compresses);
        Ok(())
    }

    /// Somebody has signed in: `zlib@openssh.com` begins.
    pub(super) fn compress(&self, transport: &mut Transport) {
        transport.inflate(self.compresses.0);
        transport.deflate(self.compresses.1);
    }

    /// The secret of the exchange, our share of it and our signature; `None` where the client's share is none.
    async fn agree(
        &self,
        method: Method,
        hash: &'static Algorithm,
        host_key: keys::Algorithm,
        share: Vec<u8>,
        head: Message,
    ) -> Result<Option<Done>, SessionError> {
        let keys = Arc::clone(&self.keys);
        let work = move || {
            let Agreed { shares, ours, secret } = method.answer(hash, &share)?;
            let hash = digest(hash, &head.raw(&shares).raw(&secret).0).as_ref().to_vec();
            Some(Done {
                share: ours,
                signature: keys.sign(host_key, &hash)?,
                hash,
                secret,
            })
        };
        if method.is_slow() || host_key.is_slow() {
            // It is never closed.
            let _turn = SLOW.acquire().await.ok();
            return tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| io::Error::other(error).into());
        }
        Ok(work())
    }

    /// The keys of one direction (RFC 4253, section 7.2), whose letters are `letters`: IV, key, key of the MAC.
    fn material(
        &self,
        done: &Done,
        hash: &'static Algorithm,
        direction: &Direction,
        letters: [u8; 3],
    ) -> Material {
        let stretch = |letter: u8, len: usize| {
            let head = [&done.secret[..], &done.hash].concat();
            let mut key = digest(hash, &[&head[..], &[letter], &self.session].concat())
                .as_ref()
                .to_vec();
            while key.len() < len {
                let more = digest(hash, &[&head[..], &key].concat());
                key.extend_from_slice(more.as_ref());
            }
            key.truncate(len);
            key
        };
        let [iv, key, mac] = letters;
        let [iv_len, key_len, mac_len] = Material::lengths(direction.cipher, direction.mac);
        Material {
            cipher: direction.cipher,
            mac: direction.mac,
            iv: stretch(iv, iv_len),
            key: stretch(key, key_len),
            mac_key: stretch(mac, mac_len),
        }
    }

    /// The next packet that belongs to an exchange; others are answered as OpenSSH does (`kex_protocol_error`).
    async fn any(&self, transport: &mut Transport) -> Result<Packet, SessionError> {
        let is_first = self.host_key.is_none();
        loop {
            let packet = transport.read().await?;
            match packet.kind() {
                DISCONNECT => return Err(over()),
                IGNORE | UNIMPLEMENTED | DEBUG if !(is_first && self.strict) => {}
                USERAUTH_MIN.. if is_first => {
                    transport.report("an SSH packet that none may be", packet.payload());
                    return Err(over());
                }
                _ => return Ok(packet),
            }
        }
    }

    /// The next packet, which has to be `kind`.
    async fn expect(&self, transport: &mut Transport, kind: u8) -> Result<Packet, SessionError> {
        let is_first = self.host_key.is_none();
        loop {
            let packet = self.any(transport).await?;
            if packet.kind() == kind {
                return Ok(packet);
            }
            if is_first && self.strict {
                let words = format!(
                    "strict KEX violation: unexpected packet type {} (seqnr {})",
                    packet.kind(),
                    packet.seq
                );
                return Err(transport.refuse(&packet, &words).await);
            }
            transport.unimplemented(&packet).await?;
        }
    }
}

/// What an exchange has come to.
struct Done {
    share: Vec<u8>,
    signature: Vec<u8>,
    hash: Vec<u8>,
    secret: Vec<u8>,
}

/// The request of a group exchange, and the group for it.
fn requested(body: &[u8]) -> Option<(&[u8], Group)> {
    let mut fields = Fields(body);
    let (min, wanted, max) = (fields.u32()?, fields.u32()?, fields.u32()?);
    if min > max || wanted < min || max < wanted {
        return None;
    }
    Some((body.get(..12)?, Group::choose(min, wanted, max)?))
}

/// EXT_INFO (RFC 8308, section 2.3).
pub(super) fn extensions(all: &[(&str, &str)]) -> Message {
    let count = u32::try_from(all.len()).unwrap_or_default();
    let message = Message::new(EXT_INFO).u32(count);
    all.iter().fold(message, |message, (name, value)| {
        message.string(name.as_bytes()).string(value.as_bytes())
    })
}

/// Read `payload` as the messages of an exchange.
pub(super) fn fuzz(payload: &[u8]) {
    if let Some(init) = KexInit::parse(payload) {
        let _hash = init.hassh();
    }
    let _group = requested(payload);
    if let Some(share) = Fields(payload).bytes() {
        for name in [
            "curve25519-sha256",
            "ecdh-sha2-nistp384",
            "sntrup761x25519-sha512",
            "mlkem768x25519-sha256",
        ] {
            let _secret = Kind::of(name).and_then(|kind| kind.method.answer(kind.hash, share));
        }
    }
}
