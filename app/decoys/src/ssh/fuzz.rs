//! Doors for the fuzz targets: a client's bytes before keys are exchanged, and its messages afterwards.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use decnet_model::clock::SystemClock;
use decnet_persona::{Persona, PersonaSpec, Seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Ssh, SshConfig,
    auth::{Entered, Gate},
    channels,
    identification::identification,
    kex::{self, Kex},
    link::Link,
    proposal::Proposal,
    server::Visit,
    transport::{self, Transport},
};
use crate::{
    config::Limits,
    knob::Accept,
    serve::{Decoy as _, Host, Peer, Tap, artifact::Artifacts, peer::Bounds, sink::Sink, tap::Evidence},
};

/// The beginning of a connection, as far as nothing is encrypted; how many bytes of packets there are.
pub(crate) fn hello(bytes: &[u8]) -> usize {
    let _either = identification(bytes);
    transport::fuzz(bytes, kex::fuzz)
}

/// Messages of a client whose keys are exchanged, to a server that takes them unencrypted. The first byte says whether it
/// has signed in; each message stands behind its length in one byte.
pub(crate) fn session(bytes: &[u8]) {
    transport::fuzz_sealed(bytes);
    let Some((has_entered, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut packets = Vec::new();
    while let Some((message, after)) = rest
        .split_first()
        .and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)))
    {
        packets.extend_from_slice(&transport::clear(message));
        rest = after;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    // Whatever it ends with is fine: what is looked for is a panic or no end.
    let _ended = runtime.block_on(serve(&packets, has_entered % 2 == 1));
}

async fn serve(packets: &[u8], has_entered: bool) -> Option<()> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let visit = visit()?;
    let limits = Limits::default();
    let bounds = Bounds::from(&limits);
    let peer = Peer::new(ours, visit.address, visit.local, bounds, visit.tap.clone());
    let keys = visit.shared.host_keys().await?;
    let proposal = Arc::clone(&visit.shared.proposal);
    let mut link = Link {
        transport: Transport::new(peer, visit.tap.clone(), true),
        kex: Kex::new(proposal, keys, "SSH-2.0-x", b"SSH-2.0-y".to_vec()),
        takes_extensions: false,
    };
    let server = async {
        if has_entered {
            let entered = Entered {
                user: "root".to_owned(),
                secret: b"x".to_vec(),
            };
            let _end = channels::serve(&mut link, &visit, entered).await;
        } else {
            let _entered = Gate::new(&mut link, &visit).open().await;
        }
        drop(link);
    };
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let client = async {
        // The server may hang up before it has heard all.
        let _gone = writer.write_all(packets).await;
        let _gone = writer.shutdown().await;
    };
    let listener = async {
        let mut heard = [0; 4_096];
        while reader.read(&mut heard).await.is_ok_and(|len| len > 0) {}
    };
    tokio::join!(server, client, listener);
    Some(())
}

/// A visitor of a machine that answers without delay.
pub(super) fn visit() -> Option<Visit> {
    static SERVICE: OnceLock<Option<Ssh>> = OnceLock::new();
    let service = SERVICE.get_or_init(|| {
        let seed = Seed::from_bytes([3; 16]);
        let persona = Persona::derive(&PersonaSpec::new(seed, "linux-server")).ok()?;
        let host = Arc::new(Host::new(persona, Arc::new(SystemClock)));
        let config = SshConfig {
            accept: Accept::Never,
            refusal_ms: 0,
            ..SshConfig::default()
        };
        let mut service = Ssh::build(config, &host).ok()?;
        // It takes no time to refuse.
        let proposal = Proposal::of("SSH-2.0-dropbear_2020.81", &host.persona);
        Arc::get_mut(&mut service.shared)?.proposal = Arc::new(proposal);
        Some(service)
    });
    let evidence = Arc::new(Evidence {
        sink: Arc::new(Sink::to(io::sink())),
        artifacts: Arc::new(Artifacts::open(None, &Limits::default()).ok()?),
        clock: Arc::new(SystemClock),
        decky: "fuzz".to_owned(),
    });
    let address = ([127, 0, 0, 1], 22).into();
    Some(Visit {
        shared: Arc::clone(&service.as_ref()?.shared),
        tap: Tap::of_session(&evidence, "ssh", address, address),
        address,
        local: address,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::{fields::Message, messages::*};

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect()
    }

    #[test]
    fn the_corpora_are_read_to_their_end() {
        let whole = |bytes: &Vec<u8>| hello(bytes) == bytes.len();
        assert!(
            corpus("ssh_hello").iter().filter(|bytes| whole(bytes)).count() > 0,
            "no whole key exchange is among the seeds"
        );
        corpus("ssh_session").iter().for_each(|bytes| session(bytes));
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        const KINDS: &[u8] = &[
            SERVICE_REQUEST,
            EXT_INFO,
            KEXINIT,
            NEWKEYS,
            USERAUTH_REQUEST,
            USERAUTH_INFO_RESPONSE,
            GLOBAL_REQUEST,
            CHANNEL_OPEN,
            CHANNEL_WINDOW_ADJUST,
            CHANNEL_DATA,
            CHANNEL_EXTENDED_DATA,
            CHANNEL_EOF,
            CHANNEL_CLOSE,
            CHANNEL_REQUEST,
            PING,
        ];
        const NAMES: &[&str] = &[
            "ssh-userauth",
            "session",
            "direct-tcpip",
            "shell",
            "exec",
            "subsystem",
            "sftp",
            "pty-req",
            "env",
            "window-change",
            "tcpip-forward",
            "hostkeys-prove-00@openssh.com",
            "ssh-connection",
            "password",
            "publickey",
            "keyboard-interactive",
        ];
        let part = prop_oneof![
            (0_u32..4).prop_map(|number| Message::default().u32(number).0),
            any::<u32>().prop_map(|number| Message::default().u32(number).0),
            prop::sample::select(NAMES).prop_map(|name| Message::default().string(name.as_bytes()).0),
            any::<bool>().prop_map(|flag| Message::default().flag(flag).0),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        let parts = prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat());
        (prop::sample::select(KINDS), parts).prop_map(|(kind, rest)| [&[kind][..], &rest].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_messages_are_answered_or_end_the_connection(
            has_entered: bool,
            messages in prop::collection::vec(message(), 0..12),
        ) {
            let mut bytes = vec![u8::from(has_entered)];
            if has_entered {
                // So that there is a channel to speak of.
                let open = Message::new(CHANNEL_OPEN).string(b"session").u32(7).u32(1_000).u32(100).0;
                bytes.push(u8::try_from(open.len()).unwrap());
                bytes.extend(open);
            }
            for message in messages {
                bytes.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
                bytes.extend(message);
            }
            session(&bytes);
        }

        #[test]
        fn any_bytes_are_a_hello_or_none(bytes: Vec<u8>) {
            hello(&bytes);
        }
    }
}
