//! Pulling operators' images: each is a task of its own, so that no other decky waits for it.
//!
//! A step that needs an image asks again and again how its pull stands, and is told in words. One that ended well is forgotten, because
//! the daemon has the image then; why one did not is told to all who ask, until it is so long ago that who asks begins another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::{
    Docker,
    models::CreateImageInfo,
    query_parameters::{CreateImageOptions, CreateImageOptionsBuilder},
};
use futures::StreamExt as _;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use super::daemon::said;
use crate::own_image;

/// How long the daemon may say nothing of a pull.
const SILENCE: Duration = Duration::from_secs(300);
/// How long a pull may take in all, once it is its turn.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// How many run at a time.
const AT_A_TIME: usize = 3;
/// How long nobody tries again what failed.
const AGAIN: Duration = Duration::from_secs(60);
/// The most layers that are counted: an image of Docker has no more than 127.
const LAYERS: usize = 256;

/// The pulls of an engine.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    by_image: Mutex<BTreeMap<String, Pull>>,
    turns: Semaphore,
    ended: Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            by_image: Mutex::default(),
            turns: Semaphore::new(AT_A_TIME),
            ended: Notify::new(),
        }
    }
}

#[derive(Debug)]
enum Pull {
    /// What came and what is to come of each layer, in bytes.
    Runs(BTreeMap<String, (u64, u64)>),
    /// Why it failed, and when.
    Failed(String, Instant),
}

impl Pulls {
    /// How the pull of `image` stands, in words; it is begun with `begin` where there is none.
    ///
    /// # Errors
    /// Why it failed lately.
    pub(super) fn ask<F>(&self, image: &str, begin: impl FnOnce(Progress) -> F) -> Result<String, String>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut by_image = self.0.by_image();
        // Of images that nobody asks for any more, too.
        by_image.retain(|_, pull| !matches!(pull, Pull::Failed(_, when) if when.elapsed() >= AGAIN));
        match by_image.get(image) {
            Some(Pull::Failed(why, _)) => return Err(why.clone()),
            Some(Pull::Runs(layers)) => return Ok(words(image, layers)),
            None => {}
        }
        by_image.insert(image.to_owned(), Pull::Runs(BTreeMap::new()));
        drop(by_image);
        let (shared, name) = (self.0.clone(), image.to_owned());
        let pull = begin(Progress {
            shared: shared.clone(),
            image: name.clone(),
        });
        tokio::spawn(async move {
            let ended = Ending {
                shared: shared.clone(),
                image: name,
            };
            // Nobody closes it.
            let _turn = shared.turns.acquire().await;
            let pulled = timeout(LONGEST, pull).await;
            let too_long = |_| Err(format!("it was not done after {} h", LONGEST.as_secs() / 3600));
            ended.with(pulled.unwrap_or_else(too_long));
        });
        Ok(words(image, &BTreeMap::new()))
    }

    /// The image is there, wherever it came from: that a pull of it failed is no news.
    pub(super) fn is_there(&self, image: &str) {
        let mut by_image = self.0.by_image();
        if let Some(Pull::Failed(..)) = by_image.get(image) {
            by_image.remove(image);
        }
    }

    /// Wait until one ends.
    pub(super) async fn ended(&self) {
        self.0.ended.notified().await;
    }
}

impl Shared {
    fn by_image(&self) -> MutexGuard<'_, BTreeMap<String, Pull>> {
        self.by_image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(image: &str, layers: &BTreeMap<String, (u64, u64)>) -> String {
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let (came, all) = layers.values().fold((0_u64, 0_u64), |(came, all), layer| {
        (came.saturating_add(layer.0), all.saturating_add(layer.1))
    });
    if all == 0 {
        return format!("pulling {image}");
    }
    // A layer is only known once it begins, so that more may follow.
    format!(
        "pulling {image}: {} of {} MB so far",
        megabytes(came),
        megabytes(all)
    )
}

/// Where a pull says how far it is.
pub(super) struct Progress {
    shared: Arc<Shared>,
    image: String,
}

impl Progress {
    /// Take in what the daemon says of a layer.
    fn note(&self, said: &CreateImageInfo) {
        let (Some(layer), Some(status)) = (&said.id, &said.status) else {
            return;
        };
        let mut by_image = self.shared.by_image();
        let Some(Pull::Runs(layers)) = by_image.get_mut(&self.image) else {
            return;
        };
        let bytes = |of: Option<i64>| of.and_then(|bytes| u64::try_from(bytes).ok());
        let detail = said.progress_detail.as_ref();
        match status.as_str() {
            "Downloading" => {
                let (came, all) = (
                    bytes(detail.and_then(|d| d.current)),
                    bytes(detail.and_then(|d| d.total)),
                );
                if let (Some(came), Some(all)) = (came, all)
                    && (layers.len() < LAYERS || layers.contains_key(layer))
                {
                    layers.insert(layer.clone(), (came, all));
                }
            }
            "Download complete" | "Pull complete" => {
                if let Some((came, all)) = layers.get_mut(layer) {
                    *came = *all;
                }
            }
            _ => {}
        }
    }
}

/// Notes how a pull ended, even where it panicked: it must not be waited for.
struct Ending {
    shared: Arc<Shared>,
    image: String,
}

impl Ending {
    fn with(self, pulled: Result<(), String>) {
        let mut by_image = self.shared.by_image();
        match pulled {
            Ok(()) => by_image.remove(&self.image),
            Err(why) => by_image.insert(self.image.clone(), Pull::Failed(why, Instant::now())),
        };
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut by_image = self.shared.by_image();
        if let Some(Pull::Runs(_)) = by_image.get(&self.image) {
            let why = "it was cut short".to_owned();
            by_image.insert(self.image.clone(), Pull::Failed(why, Instant::now()));
        }
        drop(by_image);
        self.shared.ended.notify_one();
    }
}

/// Have the daemon pull `image`.
pub(super) async fn pull(docker: Docker, image: String, progress: Progress) -> Result<(), String> {
    let mut pulled = Box::pin(docker.create_image(Some(options(&image)), None, None));
    loop {
        match timeout(SILENCE, pulled.next()).await {
            Ok(Some(Ok(said))) => progress.note(&said),
            Ok(Some(Err(error))) => return Err(said(&error)),
            Ok(None) => return Ok(()),
            Err(_) => return Err(format!("nothing came for {} s", SILENCE.as_secs())),
        }
    }
}

fn options(image: &str) -> CreateImageOptions {
    let mut options = CreateImageOptionsBuilder::default().from_image(image);
    if own_image::tagged(image).1.is_none() && !image.contains('@') {
        // Without one every tag that there is would be pulled.
        options = options.tag("latest");
    }
    options.build()
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;
    use tokio::{sync::oneshot, time::advance};

    use super::*;

    fn layer(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    fn none_is_begun(_: Progress) -> std::future::Ready<Result<(), String>> {
        panic!("another pull was begun")
    }

    async fn cut_short(_: Progress) -> Result<(), String> {
        panic!("this test's own")
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_goes_on_by_itself_says_how_far_it_is_and_tells_all_who_ask_why_it_failed() {
        let pulls = Pulls::default();
        let (says, hears) = oneshot::channel::<Progress>();
        let (end, ended) = oneshot::channel::<Result<(), String>>();
        let begun = pulls.ask("a:1", |progress| {
            let _heard = says.send(progress);
            async move { ended.await.unwrap() }
        });
        assert_eq!(begun.unwrap(), "pulling a:1");
        let progress = hears.await.unwrap();
        for (said, told) in [
            (layer("1", "Pulling fs layer", None), "pulling a:1"),
            (
                layer("1", "Downloading", Some((2_000_000, 10_000_000))),
                "pulling a:1: 2 of 10 MB so far",
            ),
            (
                layer("2", "Downloading", Some((1, 1_000_000))),
                "pulling a:1: 3 of 11 MB so far",
            ),
            (
                layer("1", "Extracting", Some((5, 9))),
                "pulling a:1: 3 of 11 MB so far",
            ),
            (
                layer("1", "Download complete", None),
                "pulling a:1: 11 of 11 MB so far",
            ),
            (
                layer("2", "Downloading", Some((-1, 7))),
                "pulling a:1: 11 of 11 MB so far",
            ),
        ] {
            progress.note(&said);
            assert_eq!(pulls.ask("a:1", none_is_begun).unwrap(), told, "{said:?}");
        }
        // Another image waits for nobody.
        pulls.ask("b:1", |_| std::future::ready(Ok(()))).unwrap();
        pulls.ended().await;
        assert!(pulls.0.by_image().contains_key("a:1"));
        assert!(!pulls.0.by_image().contains_key("b:1"));
        end.send(Err("no such host".to_owned())).unwrap();
        pulls.ended().await;
        for _ in 0..2 {
            assert_eq!(pulls.ask("a:1", none_is_begun).unwrap_err(), "no such host");
        }
        advance(AGAIN).await;
        // What is old is forgotten, and the first to ask begins again.
        pulls.ask("a:1", |_| std::future::ready(Ok(()))).unwrap();
        pulls.ended().await;
        assert!(pulls.0.by_image().is_empty());
        pulls.ask("a:1", cut_short).unwrap();
        pulls.ended().await;
        advance(AGAIN).await;
        pulls.ask("b:1", |_| std::future::ready(Ok(()))).unwrap();
        assert!(!pulls.0.by_image().contains_key("a:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_pulls_run_at_a_time_and_none_for_ever() {
        let pulls = Pulls::default();
        for image in ["a:1", "b:1", "c:1"] {
            pulls.ask(image, |_| std::future::pending()).unwrap();
        }
        let (says, mut begun) = oneshot::channel();
        pulls
            .ask("d:1", |_| async move {
                says.send(()).unwrap();
                Ok(())
            })
            .unwrap();
        advance(LONGEST - Duration::from_secs(1)).await;
        assert!(begun.try_recv().is_err(), "it waits for its turn");
        begun.await.unwrap();
        let told = loop {
            match pulls.ask("a:1", none_is_begun) {
                Ok(_) => tokio::task::yield_now().await,
                Err(why) => break why,
            }
        };
        assert_eq!(told, "it was not done after 4 h");
    }

    #[tokio::test]
    async fn a_pull_that_is_cut_short_is_waited_for_by_nobody() {
        let pulls = Pulls::default();
        pulls.ask("a:1", cut_short).unwrap();
        pulls.ended().await;
        assert!(pulls.ask("a:1", none_is_begun).is_err());
        // Nor is it told of an image that somebody brought meanwhile.
        pulls.is_there("a:1");
        assert!(pulls.0.by_image().is_empty());
    }

    #[test]
    fn without_a_tag_the_one_that_everybody_means_is_pulled() {
        let tag = |image| options(image).tag.unwrap_or_default();
        assert_eq!(tag("busybox"), "latest");
        assert_eq!(tag("registry.example:5000/intranet"), "latest");
        assert_eq!(tag("busybox:1"), "");
        assert_eq!(tag("busybox@sha256:00"), "");
    }
}
