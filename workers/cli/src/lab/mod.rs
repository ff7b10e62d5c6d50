//! `decnet lab compare`: the same words to a real server and to the decoy of its product and version, and what both answer.
//!
//! For each product that is installed the control is started (`decnet-control`), then the decoys' program as a machine that has
//! this product (`decoy.rs`); both are asked what stands in `probes.rs`, one connection each, and timed (`timing.rs`). What has to
//! differ, such as a salt, is masked by rules that are printed (`masks.rs`). Everything that was started ends with the value
//! that holds it, so an interrupt leaves nothing behind.

use std::{io, net::SocketAddr, path::Path};

use anyhow::Result;
use decnet_control::{Absence, Control, Installed, Product, Words};
use decnet_runtime::{Exit, StartError};
use futures::future::join_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{CompareArgs, PlaceArgs},
    host,
};

mod decoy;
mod masks;
mod probes;
mod report;
mod shown;
mod talk;
mod timing;

use decoy::{Decoy, Machine};
use masks::Mask;
use report::{Compared, Outcome, Probed, Progress, Verdict};

/// How many conversations are held at a time. OpenSSH, and its decoy, drop some of those that have not signed in from ten on.
const AT_A_TIME: usize = 6;

/// What `decnet lab compare` takes: services, and products by themselves.
pub(crate) fn choices() -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for product in Product::ALL {
        for word in [product.service().to_owned(), product.name().to_lowercase()] {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words
}

/// `decnet lab compare`
pub(crate) async fn compare(place: &PlaceArgs, args: &CompareArgs) -> Result<()> {
    let program = host::settings(place)?.fleet.decoy_program;
    // Before anything is started.
    let mut signals = Signals::listen()?;
    let compared = tokio::select! {
        compared = all(&program, args) => compared?,
        // What ran has ended: its future is gone.
        code = signals.ended_by() => std::process::exit(code),
    };
    if args.json {
        report::json(&compared)?;
    } else {
        report::print(&compared, args.all);
    }
    let of = |wanted: fn(&Compared) -> bool| compared.iter().filter(|one| wanted(one)).count();
    if of(|one| matches!(one.outcome, Outcome::Compared { .. })) == 0 {
        let why: Vec<&str> = compared.iter().filter_map(Compared::reason).collect();
        return Err(StartError::unavailable(format!("nothing could be compared: {}", why.join("; "))).into());
    }
    let differing: usize = compared.iter().map(Compared::differing).sum();
    if differing > 0 {
        return Err(StartError {
            exit: Exit::Failed,
            message: format!("{differing} answers differ where they should not"),
        }
        .into());
    }
    Ok(())
}

/// The signals that end this program.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Wait for one of them; the exit code that shells have for it.
    async fn ended_by(&mut self) -> i32 {
        let signal = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        128 + signal.as_raw_value()
    }
}

async fn all(program: &Path, args: &CompareArgs) -> Result<Vec<Compared>> {
    let chosen = |product: &&Product| {
        let names = [product.service().to_owned(), product.name().to_lowercase()];
        args.services.is_empty() || args.services.iter().any(|word| names.contains(word))
    };
    if !program.is_file() {
        return Err(StartError::unavailable(format!(
            "the program of the decoys is not there: {}; name it by --set decoy-program=PATH",
            program.display()
        ))
        .into());
    }
    let mut compared = Vec::new();
    for product in Product::ALL.iter().filter(chosen) {
        let progress = Progress::of(*product);
        compared.push(one(*product, program, args.runs.into(), &progress).await?);
    }
    Ok(compared)
}

/// Compare with one product, or say why not.
async fn one(product: Product, program: &Path, runs: usize, progress: &Progress) -> Result<Compared> {
    let (version, outcome) = match decnet_control::installed(product) {
        Ok(server) => {
            let outcome = against(product, &server, program, runs, progress).await?;
            (Some(server.version), outcome)
        }
        Err(absence) => (None, Outcome::of(&absence)),
    };
    Ok(Compared {
        product,
        version,
        outcome,
    })
}

/// Compare with the server that is installed.
async fn against(
    product: Product,
    server: &Installed,
    program: &Path,
    runs: usize,
    progress: &Progress,
) -> Result<Outcome> {
    let Some(machine) = Machine::having(product, &server.version) else {
        let why = "no distribution of ours has this series of versions";
        return Ok(Outcome::NotStarted(why.to_owned()));
    };
    progress.say("starting the real server");
    let words = Words {
        host: &machine.host,
        domain: &machine.domain,
        version: "",
    };
    let control = match decnet_control::start(server, words).await {
        Ok(control) => control,
        Err(absence) => return Ok(Outcome::of(&absence)),
    };
    progress.say("starting the decoy");
    let banner = talk::banner(product, control.address(), &server.version).await?;
    let decoy = match Decoy::start(program, &machine, product, &banner).await? {
        Ok(decoy) => decoy,
        Err(why) => return Ok(Outcome::NotStarted(format!("the decoy: {why}"))),
    };
    same_page(product, &control, decoy.address).await?;
    let pair = Pair {
        product,
        control: control.address(),
        ours: decoy.address,
    };
    let masks = masks::of(product, &server.version);
    let probes = pair.probed(&masks, progress).await?;
    let timings = timing::measure(&pair, runs, control.folder(), progress).await?;
    Ok(Outcome::Compared {
        probes,
        timings,
        masks,
    })
}

/// A web server's answers depend on its page, so the real one gets the decoy's.
async fn same_page(product: Product, control: &Control, decoy: SocketAddr) -> io::Result<()> {
    if product.service() != "http" {
        return Ok(());
    }
    let answer = talk::say(decoy, b"GET / HTTP/1.0\r\n\r\n", true).await?;
    let head = answer.bytes.windows(4).position(|end| end == b"\r\n\r\n");
    let page = head.and_then(|at| answer.bytes.get(at + 4..)).unwrap_or_default();
    std::fs::write(control.folder().join("html/index.html"), page)
}

/// Two servers of the same product and version.
pub(super) struct Pair {
    pub(super) product: Product,
    pub(super) control: SocketAddr,
    pub(super) ours: SocketAddr,
}

impl Pair {
    /// Ask both everything.
    async fn probed(&self, masks: &[Mask], progress: &Progress) -> io::Result<Vec<Probed>> {
        let all = probes::of(self.product);
        let mut probed = Vec::with_capacity(all.len());
        for some in all.chunks(AT_A_TIME) {
            progress.say(&format!("{} of {} probes", probed.len(), all.len()));
            let asked = some.iter().map(|probe| async move {
                let (control, ours) = tokio::join!(probe.answered(self.control), probe.answered(self.ours));
                Ok::<_, io::Error>((probe, control?, ours?))
            });
            for answered in join_all(asked).await {
                let (probe, control, ours) = answered?;
                let verdict = Verdict::of(masks, (&control, self.control), (&ours, self.ours));
                probed.push(Probed {
                    kind: probe.kind,
                    name: probe.name,
                    control,
                    ours,
                    verdict,
                });
            }
        }
        Ok(probed)
    }
}

impl Outcome {
    fn of(absence: &Absence) -> Self {
        match absence {
            Absence::NotInstalled(..) => Self::NotInstalled(absence.to_string()),
            _ => Self::NotStarted(absence.to_string()),
        }
    }
}
