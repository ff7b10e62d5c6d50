//! Running steps through an engine: several deckies at once, each decky's steps in order, every one reported. Who goes on with other
//! things meanwhile has [`Works`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use decnet_model::name::DeckyName;
use tokio::sync::mpsc;

use crate::{
    Engine, Step, StepError, StepKind,
    works::{Works, in_turn},
};

/// How often it is looked whether a step ended without a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// How steps are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Deckies that are worked on at the same time.
    pub parallel: usize,
    /// How often a step is tried that fails for a reason that may pass.
    pub attempts: u32,
    /// How long to wait before the second attempt; doubled for each further one.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel: 16,
            attempts: 4,
            backoff: Duration::from_millis(100),
        }
    }
}

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is being run.
    Begun,
    /// It failed, and is tried again.
    Retrying(StepError),
    /// It waits for something, and is run again in a later round; the decky's further steps are left out.
    Waiting(StepError),
    /// It is done.
    Done,
    /// It failed; the decky's further steps are left out.
    Failed(StepError),
}

/// A report of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The decky.
    pub decky: DeckyName,
    /// The kind of the step.
    pub kind: StepKind,
    /// The step, in words.
    pub step: String,
    /// What happened.
    pub outcome: Outcome,
}

/// Run `steps` to their end, as a reconciler does that has nothing else to look at, reporting each to `progress`; gives the deckies
/// that failed, or wait for something, with the reason. Dropped, it begins nothing more. A receiver of `progress` that is gone does not
/// stop the work.
pub async fn execute<E: Engine>(
    engine: &Arc<E>,
    steps: Vec<Step>,
    options: Options,
    progress: &mpsc::UnboundedSender<Progress>,
) -> BTreeMap<DeckyName, StepError> {
    let mut works = Works::new(options);
    let mut failed = BTreeMap::new();
    for half in in_turn(steps) {
        works.begin_all(engine, half, &failed, |_| None);
        while !works.is_empty() {
            let news = match works.news(PATIENCE).await {
                Some(news) => news,
                None => works.heard(),
            };
            for told in news.progress {
                if progress.send(told).is_err() {
                    tracing::debug!("nobody listens to the progress");
                }
            }
            let ended = news.ended.into_iter();
            failed.extend(ended.filter_map(|(name, failure)| Some((name, failure?))));
        }
    }
    failed
}

/// Run the steps of one decky in their order until one fails, or waits for something, reporting each; gives why.
pub(crate) async fn work(
    engine: &impl Engine,
    steps: &[Step],
    options: &Options,
    report: &(impl Fn(Progress) + Sync),
) -> Option<StepError> {
    for step in steps {
        if let Err(error) = run_one(engine, step, options, report).await {
            return Some(error);
        }
    }
    None
}

async fn run_one(
    engine: &impl Engine,
    step: &Step,
    options: &Options,
    report: &(impl Fn(Progress) + Sync),
) -> Result<(), StepError> {
    let report = |outcome| {
        report(Progress {
            decky: step.decky().clone(),
            kind: step.kind(),
            step: step.to_string(),
            outcome,
        });
    };
    report(Outcome::Begun);
    let mut wait = options.backoff;
    let mut attempt = 1;
    loop {
        match engine.run(step).await {
            Ok(()) => {
                report(Outcome::Done);
                return Ok(());
            }
            Err(error) if error.transient && attempt < options.attempts => {
                report(Outcome::Retrying(error));
                tokio::time::sleep(wait).await;
                wait *= 2;
                attempt += 1;
            }
            Err(error) => {
                report(if error.waits {
                    Outcome::Waiting(error.clone())
                } else {
                    Outcome::Failed(error.clone())
                });
                return Err(error);
            }
        }
    }
}
