//! Steps that are being run: those of each decky in a task of their own, which goes on when a round ends without it. So one decky that
//! hangs holds up neither the others nor the next order.
//!
//! Whoever has them run asks for [`in_turn`], begins each half, and hears the news of it until there is none.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use decnet_model::name::DeckyName;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{Engine, Options, Outcome, Progress, Step, StepError, execute::work};

/// The steps of each decky, in two halves: those first that end or remove, because they free addresses.
#[must_use]
pub fn in_turn(steps: Vec<Step>) -> [BTreeMap<DeckyName, Vec<Step>>; 2] {
    let (first, second): (Vec<_>, Vec<_>) = steps.into_iter().partition(Step::frees);
    [first, second].map(|half| {
        let mut by_decky: BTreeMap<DeckyName, Vec<Step>> = BTreeMap::new();
        for step in half {
            by_decky.entry(step.decky().clone()).or_default().push(step);
        }
        by_decky
    })
}

/// See the module.
#[derive(Debug)]
pub struct Works {
    options: Arc<Options>,
    /// For those that are worked on at the same time.
    slots: Arc<Semaphore>,
    running: BTreeMap<DeckyName, Work>,
    /// How many there ever were.
    number: u64,
    report: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
}

/// The steps of one decky.
#[derive(Debug)]
struct Work {
    number: u64,
    /// Of what is wanted of the decky, when they were begun; nothing where it was wanted by nobody.
    revision: Option<u64>,
    /// When it was given out.
    made: Instant,
    /// When the first of them began, which waits for a slot before.
    begun: Option<Instant>,
    /// Steps that are not done.
    left: u32,
    /// What went wrong with the present one.
    trouble: Option<StepError>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Report {
    Step {
        number: u64,
        progress: Progress,
    },
    Ended {
        decky: DeckyName,
        number: u64,
        failure: Option<StepError>,
    },
}

/// What came of steps since they were last asked about.
#[derive(Debug, Default)]
pub struct News {
    /// What was reported of steps.
    pub progress: Vec<Progress>,
    /// Deckies whose steps have ended, with why where that was before their end.
    pub ended: Vec<(DeckyName, Option<StepError>)>,
}

impl Works {
    /// None yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (report, reports) = mpsc::unbounded_channel();
        Self {
            slots: Arc::new(Semaphore::new(options.parallel.max(1))),
            options: Arc::new(options),
            running: BTreeMap::new(),
            number: 0,
            report,
            reports,
        }
    }

    /// Whether none go on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether those of `decky` go on.
    #[must_use]
    pub fn has(&self, decky: &DeckyName) -> bool {
        self.running.contains_key(decky)
    }

    /// How many steps are to be done still for the deckies that `count`.
    pub fn left(&self, count: impl Fn(&DeckyName) -> bool) -> u32 {
        let mine = self.running.iter().filter(|(decky, _)| count(decky));
        mine.fold(0, |sum, (_, work)| sum.saturating_add(work.left))
    }

    /// Begin with `half`, but for deckies whose earlier steps go on, or are among those that `failed`. `revision` is at which each decky
    /// is wanted so; nothing where nobody wants it.
    pub fn begin_all<E: Engine>(
        &mut self,
        engine: &Arc<E>,
        half: BTreeMap<DeckyName, Vec<Step>>,
        failed: &BTreeMap<DeckyName, StepError>,
        revision: impl Fn(&DeckyName) -> Option<u64>,
    ) {
        for (decky, steps) in half {
            if !self.has(&decky) && !failed.contains_key(&decky) {
                let revision = revision(&decky);
                self.begin(engine, decky, steps, revision);
            }
        }
    }

    /// Begin with `steps`, which are all of `decky`, as it is wanted at `revision`.
    pub fn begin<E: Engine>(
        &mut self,
        engine: &Arc<E>,
        decky: DeckyName,
        steps: Vec<Step>,
        revision: Option<u64>,
    ) {
        self.number += 1;
        let number = self.number;
        let left = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let (engine, options) = (Arc::clone(engine), Arc::clone(&self.options));
        let (slots, reports, name) = (Arc::clone(&self.slots), self.report.clone(), decky.clone());
        let task = tokio::spawn(async move {
            // Nobody closes them.
            let slot = slots.acquire_owned().await.ok();
            let tell = |report| {
                if reports.send(report).is_err() {
                    tracing::debug!("nobody asks any more what came of a step");
                }
            };
            let failure = work(&*engine, &steps, &options, &|progress: Progress| {
                tell(Report::Step { number, progress })
            })
            .await;
            // Who hears of the end may take the engine away.
            drop((slot, engine));
            tell(Report::Ended {
                decky: name,
                number,
                failure,
            });
        });
        self.running.insert(
            decky,
            Work {
                number,
                revision,
                made: Instant::now(),
                begun: None,
                left,
                trouble: None,
                task,
            },
        );
    }

    /// What came meanwhile.
    pub fn heard(&mut self) -> News {
        // Whatever ends says so before: what has ended by now and is not told to have, said nothing.
        let over = self.running.iter().filter(|(_, work)| work.task.is_finished());
        let over: Vec<(DeckyName, u64)> = over.map(|(decky, work)| (decky.clone(), work.number)).collect();
        let mut news = News::default();
        while let Ok(report) = self.reports.try_recv() {
            self.take(report, &mut news);
        }
        for (decky, number) in over {
            if !self.is_at(&decky, number) {
                continue;
            }
            self.running.remove(&decky);
            let failure =
                StepError::lasting("its step ended without a word: the log of the mutator says why");
            news.ended.push((decky, Some(failure)));
        }
        news
    }

    /// Whether the steps of `decky` that go on are those of that `number`.
    fn is_at(&self, decky: &DeckyName, number: u64) -> bool {
        self.running.get(decky).is_some_and(|work| work.number == number)
    }

    /// Wait for news; nothing once all is done, or what is left has taken longer than `patience`.
    pub async fn news(&mut self, patience: Duration) -> Option<News> {
        if self.running.is_empty() {
            return None;
        }
        // What waits for a slot has not begun, and is new all the same.
        let latest = self
            .running
            .values()
            .map(|work| work.begun.unwrap_or(work.made))
            .max();
        let until = latest.unwrap_or_else(Instant::now) + patience;
        let report = timeout_at(until, self.reports.recv()).await.ok()??;
        let mut news = News::default();
        self.take(report, &mut news);
        while let Ok(report) = self.reports.try_recv() {
            self.take(report, &mut news);
        }
        Some(news)
    }

    /// What was cut short tells nothing of the steps that came after it: its decky was wanted otherwise.
    fn take(&mut self, report: Report, news: &mut News) {
        match report {
            Report::Step { number, progress } => {
                let work = self.running.get_mut(&progress.decky);
                let Some(work) = work.filter(|work| work.number == number) else {
                    return;
                };
                match &progress.outcome {
                    Outcome::Begun => {
                        work.begun.get_or_insert_with(Instant::now);
                        work.trouble = None;
                    }
                    Outcome::Retrying(error) => work.trouble = Some(error.clone()),
                    Outcome::Done => work.left = work.left.saturating_sub(1),
                    Outcome::Waiting(_) | Outcome::Failed(_) => {}
                }
                news.progress.push(progress);
            }
            Report::Ended {
                decky,
                number,
                failure,
            } => {
                if self.is_at(&decky, number) {
                    self.running.remove(&decky);
                    news.ended.push((decky, failure));
                }
            }
        }
    }

    /// The deckies whose steps go on, each with what there is to say of it.
    pub fn going_on(&self) -> impl Iterator<Item = (DeckyName, StepError)> {
        self.running.iter().map(|(decky, work)| {
            let told = match &work.trouble {
                Some(trouble) => format!("{trouble}; it is tried again"),
                None => "it takes longer than usual".to_owned(),
            };
            (decky.clone(), StepError::waiting(told))
        })
    }

    /// Cut the steps of those short that are wanted otherwise since, and hear no more of them, also where they have ended:
    /// `now` is the present revision of a decky.
    pub async fn cut(&mut self, now: impl Fn(&DeckyName) -> Option<u64>) {
        let outdated = self
            .running
            .iter()
            .filter(|(decky, work)| now(decky) != work.revision);
        let outdated: Vec<DeckyName> = outdated.map(|(decky, _)| decky.clone()).collect();
        for work in outdated.iter().filter_map(|decky| self.running.remove(decky)) {
            work.end().await;
        }
    }

    /// Cut all of them short.
    pub async fn end(&mut self) {
        for (_, work) in std::mem::take(&mut self.running) {
            work.end().await;
        }
    }
}

impl Work {
    /// Cut it short: it begins nothing more. What it has handed on goes to its end: files that a thread writes, for which the next
    /// step of the decky waits, and what a daemon was asked to make, which the next one takes away, or meets and tries again.
    async fn end(self) {
        self.task.abort();
        if let Err(error) = self.task.await
            && !error.is_cancelled()
        {
            tracing::error!(%error, "a step");
        }
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        for work in self.running.values() {
            work.task.abort();
        }
    }
}
