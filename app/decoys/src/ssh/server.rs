//! The service: what all visitors share, and the way of each of them through the layers.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use decnet_model::event::Event;
use rand::Rng as _;
use tokio::sync::watch;

use super::{
    Ssh, SshConfig,
    auth::{Entered, Gate},
    channels,
    identification::greet,
    kex::Kex,
    keys::HostKeys,
    link::Link,
    proposal::Proposal,
    transport::Transport,
};
use crate::{
    Service as _,
    serve::{BuildError, Decoy, Full, Host, Peer, SessionError, Tap, login::Logins},
    shell::{
        Template,
        strangers::{Left, Stranger},
        vfs::Overlays,
    },
};

/// `LoginGraceTime` of sshd_config.
const LOGIN_GRACE: Duration = Duration::from_secs(120);
/// What sshd says to whom it has no room for.
const MAX_STARTUPS_WORDS: &[u8] = b"Exceeded MaxStartups\r\n";
/// `MaxStartups` of sshd_config: as many that have not signed in yet are taken without question, past that the rate (in
/// hundredths) begins at which visitors are dropped, and at the full number all are.
const STARTUPS_BEGIN: u32 = 10;
/// See [`STARTUPS_BEGIN`].
const STARTUPS_RATE: u32 = 30;
/// See [`STARTUPS_BEGIN`].
const STARTUPS_FULL: u32 = 100;
/// What all sessions share.
pub(super) struct Shared {
    pub(super) host: Arc<Host>,
    pub(super) template: Template,
    pub(super) config: SshConfig,
    version: String,
    pub(super) proposal: Arc<Proposal>,
    /// Bytes after which keys are exchanged again, where it is not as OpenSSH has it.
    pub(super) rekey_bytes: Option<u64>,
    /// What the time of a refusal depends on beside the user.
    pub(super) refusal_secret: [u8; 32],
    pub(super) logins: Logins,
    /// Connections that have not signed in yet.
    startups: Arc<AtomicU32>,
    /// What visitors left, by their address.
    pub(super) overlays: Overlays,
    /// The host keys, once they are made.
    keys: watch::Receiver<Option<Arc<HostKeys>>>,
}

impl Shared {
    /// What a terminal shows after `user` signed in from `source`: the message of the day, and the login before.
    pub(super) fn greeting(&self, user: &str, source: &str, now: i64) -> String {
        let machine = &self.template.machine;
        let motd = machine.distribution.motd(&machine.uname, machine.architecture);
        if !machine.distribution.tells_last_login() {
            return motd;
        }
        let Some(before) = machine.login(user, source, now) else {
            return motd;
        };
        let at =
            time::OffsetDateTime::from_unix_timestamp(before.at).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let (week, month) = (at.weekday().to_string(), at.month().to_string());
        let head = |text: &str| text.chars().take(3).collect::<String>();
        format!(
            "{motd}Last login: {} {} {:>2} {:02}:{:02}:{:02} {} from {}\n",
            head(&week),
            head(&month),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.year(),
            before.from
        )
    }
}

impl Shared {
    /// The host keys, once they are made; `None` where they cannot be.
    pub(super) async fn host_keys(&self) -> Option<Arc<HostKeys>> {
        let mut keys = self.keys.clone();
        let keys = keys.wait_for(Option::is_some).await.ok()?;
        keys.clone()
    }
}

impl Decoy for Ssh {
    fn build(config: SshConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let version = Self::program(&config, &host.persona)?.banner;
        let (made, keys) = watch::channel(None);
        let persona = host.persona.clone();
        let proposal = Proposal::of(&version, &host.persona);
        let bits = proposal.rsa_bits;
        // A second of arithmetic that nobody has to wait for: visitors are greeted meanwhile.
        std::thread::Builder::new()
            .name("hostkeys".to_owned())
            .spawn(move || match HostKeys::new(&persona, bits) {
                Ok(keys) => {
                    // Without a receiver the service is gone already.
                    let _gone = made.send(Some(Arc::new(keys)));
                }
                Err(error) => crate::serve::trouble(format_args!("ssh: {error}")),
            })
            .map_err(|error| {
                BuildError::of::<Self>(None, format!("the host keys cannot be made: {error}"))
            })?;
        let logins = Logins::new(&config.accept, host);
        let template = Template::new(&host.persona, Arc::clone(&host.services));
        let shared = Shared {
            host: Arc::clone(host),
            template,
            config,
            version,
            proposal: Arc::new(proposal),
            rekey_bytes: None,
            refusal_secret: host.persona.secret("ssh/refusal"),
            logins,
            startups: Arc::default(),
            overlays: Overlays::default(),
            keys,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    fn busy(&self, _full: Full) -> Cow<'static, [u8]> {
        Cow::Borrowed(MAX_STARTUPS_WORDS)
    }

    async fn session(&self, mut peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let (startup, before) = Startup::begin(&self.shared.startups);
        if self.shared.proposal.openssh && is_dropped(before, rand::rng().random_range(0..100)) {
            tap.emit(Event::Limited {
                what: "startups",
                limit: STARTUPS_FULL.into(),
            });
            peer.send(MAX_STARTUPS_WORDS).await?;
            peer.close().await;
            return Ok(());
        }
        let visit = Visit {
            shared: Arc::clone(&self.shared),
            tap,
            address: peer.addr(),
            local: peer.local(),
        };
        // In a box, whose kilobytes are given back once somebody has signed in.
        let entering = Box::pin(visit.enter(peer));
        let Ok(entered) = tokio::time::timeout(LOGIN_GRACE, entering).await else {
            let now = visit.tap.clock().now().unix_timestamp();
            let who = Stranger {
                user: b"",
                from: visit.address,
            };
            visit
                .shared
                .template
                .machine
                .note_left(who, Left::TooLate, 0, now);
            return Ok(());
        };
        let Some((mut link, entered)) = entered? else {
            return Ok(());
        };
        drop(startup);
        channels::serve(&mut link, &visit, entered).await
    }
}

/// One visitor.
pub(super) struct Visit {
    pub(super) shared: Arc<Shared>,
    pub(super) tap: Tap,
    pub(super) address: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Visit {
    /// From the identifications until somebody has signed in; nobody where the visitor was turned away.
    async fn enter(&self, mut peer: Peer) -> Result<Option<(Link, Entered)>, SessionError> {
        let Shared {
            version, proposal, ..
        } = &*self.shared;
        let Some(client) = greet(&mut peer, &self.tap, version, &proposal.refusals).await? else {
            peer.close().await;
            return Ok(None);
        };
        let Some(keys) = self.shared.host_keys().await else {
            return Ok(None);
        };
        let mut link = Link {
            transport: Transport::new(peer, self.tap.clone(), proposal.pings),
            kex: Kex::new(Arc::clone(proposal), keys, version, client),
            takes_extensions: false,
        };
        Box::pin(link.kex.first(&mut link.transport)).await?;
        let entered = Gate::new(&mut link, self).open().await?;
        Ok(Some((link, entered)))
    }
}

/// One connection that has not signed in yet, as long as it lives.
struct Startup(Arc<AtomicU32>);

impl Startup {
    /// Another one, and how many there were before.
    fn begin(all: &Arc<AtomicU32>) -> (Self, u32) {
        let before = all.fetch_add(1, Ordering::Relaxed);
        (Self(Arc::clone(all)), before)
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a visitor is dropped who comes while `startups` others have not signed in, where `drawn` of a hundred is its luck
/// (`should_drop_connection` of sshd.c).
fn is_dropped(startups: u32, drawn: u32) -> bool {
    let over = match startups.checked_sub(STARTUPS_BEGIN) {
        None => return false,
        Some(_) if startups >= STARTUPS_FULL => return true,
        Some(over) => over,
    };
    let rate = (100 - STARTUPS_RATE) * over / (STARTUPS_FULL - STARTUPS_BEGIN) + STARTUPS_RATE;
    drawn < rate
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        process::{Command, Stdio},
    };

    use decnet_model::clock::SystemClock;
    use decnet_persona::{Persona, PersonaSpec, Seed};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        config::Limits,
        knob::Accept,
        serve::{artifact::Artifacts, peer::Bounds, runner, sink::Sink, tap::Evidence},
    };

    #[test]
    fn keys_are_exchanged_again_when_they_are_worn() {
        if Command::new("sshpass").arg("-V").output().is_err() {
            return decnet_testkit::skipped("sshpass is not installed");
        }
        let persona = Persona::derive(&PersonaSpec::new(Seed::from_bytes([4; 16]), "linux-server"));
        let host = Arc::new(Host::new(persona.unwrap(), Arc::new(SystemClock)));
        let config = SshConfig {
            accept: Accept::Always,
            ..SshConfig::default()
        };
        let mut service = Ssh::build(config, &host).unwrap();
        Arc::get_mut(&mut service.shared).unwrap().rekey_bytes = Some(100_000);
        let evidence = Arc::new(Evidence {
            sink: Arc::new(Sink::to(io::sink())),
            artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
            clock: Arc::new(SystemClock),
            decky: "decky-01".to_owned(),
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let local = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let (stream, address) = listener.accept().await.unwrap();
            let tap = Tap::of_session(&evidence, "ssh", address, local);
            let bounds = Bounds::from(&Limits::default());
            runner::Visit::begin(stream, address, local, bounds, tap)
                .answered_by(Arc::new(service), CancellationToken::new())
                .await;
        });
        let out = Command::new("sshpass")
            .args([
                "-p",
                "letmein9",
                "ssh",
                "-v",
                "-F",
                "/dev/null",
                "-p",
                &local.port().to_string(),
            ])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args([
                "-o",
                "PubkeyAuthentication=no",
                "root@127.0.0.1",
                "head -c 1000000 /dev/zero",
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && out.stdout == [0; 1_000_000], "{told}");
        let exchanges = told.matches("SSH2_MSG_NEWKEYS received").count();
        assert!(exchanges > 5, "{told}");
    }

    #[test]
    fn visitors_who_have_not_signed_in_are_dropped_as_max_startups_has_it() {
        let dropped = |startups| (0..100).filter(|drawn| is_dropped(startups, *drawn)).count();
        assert_eq!(
            [0, 9, 10, 55, 99, 100, 5000].map(dropped),
            [0, 0, 30, 65, 99, 100, 100]
        );
    }
}
