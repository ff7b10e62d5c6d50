//! Redis: a server that was left open, with bait in it.
//!
//! Its words are those of the persona's version, errors and protocol faults included; `tests/redis_control.rs` sends the same
//! transcript to a real server and compares. `wire.rs` reads requests and writes replies, `keyspace.rs` holds what a
//! visitor sees and changes, `commands.rs` and `data.rs` answer, `table.rs` knows which commands and settings a version
//! has. `structures.rs` and `more.rs` are the rarer kinds of data and commands, `takeover.rs` how servers are taken over, `info.rs`
//! INFO, `glob.rs` patterns; `script.rs` with `lua.rs` runs scripts. `budget.rs` bounds what an answer takes.
//!
//! Deliberately absent: of Lua, functions of a script's own, metatables and patterns; replication (nothing is ever connected to);
//! modules.

#[cfg(feature = "serve")]
mod budget;
#[cfg(feature = "serve")]
mod commands;
#[cfg(feature = "serve")]
mod data;
#[cfg(feature = "serve")]
mod glob;
#[cfg(feature = "serve")]
mod info;
#[cfg(feature = "serve")]
mod keyspace;
#[cfg(feature = "serve")]
mod lua;
#[cfg(feature = "serve")]
mod more;
#[cfg(feature = "serve")]
mod script;
#[cfg(feature = "serve")]
mod structures;
#[cfg(feature = "serve")]
mod table;
#[cfg(feature = "serve")]
mod takeover;
#[cfg(feature = "serve")]
mod wire;

use decnet_persona::{Persona, Product, ProductKind};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Misfit, knobs, said},
};

/// The service.
pub struct Redis {
    #[cfg(feature = "serve")]
    server: commands::Server,
}

knobs! {
    /// Knobs of redis.
    pub struct RedisConfig {
        /// Password of the default user; none leaves the server open, as many are. With one, it is what
        /// `accept = listed` lets in.
        pub requirepass: Option<String> = None,
        /// Who gets in where there is a password; of accounts of your own only `default` can.
        pub accept: Accept = Accept::Listed,
        /// Version, where the persona's is not wanted: three numbers, at least 5.0.0, of the series that its distribution has.
        pub version: Option<String> = None,
        /// Refuse visitors from elsewhere while there is no password, as `protected-mode yes` does.
        pub protected_mode: bool = false,
        /// Whether version 7 guards `dir`, `dbfilename`, MODULE and DEBUG as it does out of the box. A careless operator
        /// has switched that off, and who takes servers over gets further.
        pub guarded: bool = false,
    }
}

impl Service for Redis {
    const META: Meta = Meta {
        slug: "redis",
        label: "Redis",
        category: Category::Database,
        listen: &[Port::Tcp(6379)],
        summary: "An open key-value store with bait; takeover sequences are answered and reported",
    };
    type Config = RedisConfig;

    fn program(config: &RedisConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.product(ProductKind::Redis);
        let given = config.version.as_deref();
        if let Some(given) = given.filter(|given| !is_version(given)) {
            let problem = "is not three numbers from 5.0.0 to 7.x";
            return Err(Misfit::of::<Self>("version", given, problem, &own));
        }
        said::<Self>(persona, own, "version", given)
    }
}

fn is_version(given: &str) -> bool {
    let parts: Vec<Option<u16>> = given.split('.').map(|p| p.parse().ok()).collect();
    matches!(parts.as_slice(), [Some(5..=7), Some(_), Some(_)])
}

#[cfg(feature = "serve")]
mod session {
    use std::{borrow::Cow, io, sync::Arc};

    use decnet_model::event::Event;

    use super::{
        Redis, RedisConfig,
        commands::{Server, Visitor},
        wire::{Request, read_request},
    };
    use crate::serve::{BuildError, Decoy, Full, Host, Peer, Room, SessionError, Tap};

    /// How much is answered before it is sent, while more requests wait.
    const ANSWER_CHUNK: usize = 64 * 1024;

    impl Decoy for Redis {
        fn build(config: RedisConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
            Ok(Self {
                server: Server::new(config, host)?,
            })
        }

        fn room(&self) -> Room {
            // `maxclients`.
            Room {
                all: 10_000,
                ..Room::default()
            }
        }

        fn busy(&self, _full: Full) -> Cow<'static, [u8]> {
            Cow::Borrowed(b"-ERR max number of clients reached\r\n")
        }

        async fn session(&self, mut peer: Peer, tap: Tap) -> Result<(), SessionError> {
            if let Some(words) = self.server.turns_away(peer.addr().ip()) {
                peer.send(words).await?;
                peer.close().await;
                return Ok(());
            }
            let mut visitor = Visitor::new(&self.server, &peer, tap.clone());
            let mut out = Vec::new();
            loop {
                match read_request(&mut peer, visitor.authenticated()).await? {
                    Request::End => break,
                    Request::Nothing => {}
                    Request::Command(args) => {
                        let before = out.len();
                        visitor.answer(&args, &mut out);
                        if let Some(patience) = visitor.patience.take() {
                            // What was answered before it is not held back.
                            let late = out.split_off(before.min(out.len()));
                            self.deliver(&mut peer, &out).await?;
                            out = late;
                            tokio::time::sleep(patience).await;
                            peer.touch();
                        }
                    }
                    Request::Fault(text) => {
                        tap.emit(Event::Violation {
                            what: "not the Redis protocol",
                            bytes: text.as_bytes(),
                        });
                        out.extend_from_slice(b"-ERR Protocol error: ");
                        out.extend_from_slice(text.as_bytes());
                        out.extend_from_slice(b"\r\n");
                        peer.send(&out).await?;
                        peer.close().await;
                        return Err(SessionError::Violation("not the Redis protocol"));
                    }
                }
                if visitor.quits() || peer.buffered().is_empty() || out.len() > ANSWER_CHUNK {
                    self.deliver(&mut peer, &out).await?;
                    out = Vec::new();
                }
                if visitor.quits() {
                    break;
                }
            }
            if !out.is_empty() {
                peer.send(&out).await?;
            }
            peer.close().await;
            Ok(())
        }
    }

    impl Redis {
        /// Send `answer`, which counts among those that nobody has read until it is on its way.
        async fn deliver(&self, peer: &mut Peer, answer: &[u8]) -> io::Result<()> {
            let _unread = self.server.unread.hold(answer.len());
            peer.send(answer).await
        }
    }
}
