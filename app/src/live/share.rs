//! One stream for all tabs of a browser. The tab that holds a lock opens it and tells the others what it says; when that tab is gone,
//! the lock falls to another.
//!
//! Where a browser has no locks (Web Locks API: they also want a page that came over TLS or from this machine) or no channel between
//! tabs (HTML section 9.6), there is no [`Seat`], and each tab has a stream of its own.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Function, Object, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{BroadcastChannel, MessageEvent};

/// The name of the lock and of the channel.
const NAME: &str = "decnet-stream";

/// What tabs say to each other; everything else is an event as the stream sent it.
pub(super) mod word {
    /// Whether there is a stream.
    pub(in crate::live) const HELLO: &str = "hello";
    /// There is, and it lives.
    pub(in crate::live) const LIVES: &str = "lives";
    /// It broke, and is opened again.
    pub(in crate::live) const BROKEN: &str = "broken";
    /// The session has ended.
    pub(in crate::live) const ENDED: &str = "ended";
}

/// What becomes of the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// It is this tab's: the stream is this tab's to open.
    Granted,
    /// Another tab took it.
    Stolen,
}

/// A tab's place among the tabs, until it is dropped.
pub(in crate::live) struct Seat {
    channel: BroadcastChannel,
    _told: Closure<dyn FnMut(MessageEvent)>,
    hold: Rc<Hold>,
}

/// What a tab has of the lock.
#[derive(Default)]
struct Hold {
    /// Ends the promise by which it is held.
    release: RefCell<Option<Function>>,
    waiting: Cell<bool>,
    left: Cell<bool>,
}

impl Hold {
    fn release(&self) {
        if let Some(release) = self.release.take()
            && release.call0(&JsValue::UNDEFINED).is_err()
        {
            leptos::logging::warn!("the stream's lock is still held");
        }
    }
}

impl Seat {
    /// Sit down and ask for the lock.
    pub(super) fn take(
        told: impl Fn(String) + 'static,
        lock: impl Fn(Lock) + Clone + 'static,
    ) -> Option<Self> {
        locks()?;
        let channel = BroadcastChannel::new(NAME).ok()?;
        let listener = Closure::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string() {
                told(text);
            }
        });
        channel.set_onmessage(Some(AsRef::<JsValue>::as_ref(&listener).unchecked_ref()));
        let seat = Self {
            channel,
            _told: listener,
            hold: Rc::default(),
        };
        seat.ask(false, lock);
        Some(seat)
    }

    /// Whether the stream is this tab's to open.
    pub(super) fn leads(&self) -> bool {
        self.hold.release.borrow().is_some()
    }

    /// Tell the other tabs.
    pub(super) fn tell(&self, text: &str) {
        if self.channel.post_message(&text.into()).is_err() {
            leptos::logging::warn!("the other tabs cannot be told");
        }
    }

    /// Ask for the lock; `steal` takes it from a tab that holds it and says nothing, such as one that the browser has frozen.
    pub(super) fn ask(&self, steal: bool, lock: impl Fn(Lock) + Clone + 'static) {
        let Some((locks, request)) = locks() else { return };
        if !steal && self.hold.waiting.replace(true) {
            return;
        }
        let (hold, granted) = (self.hold.clone(), lock.clone());
        let holding = Closure::once_into_js(move |_lock: JsValue| {
            if hold.left.get() {
                return JsValue::UNDEFINED;
            }
            hold.waiting.set(steal && hold.waiting.get());
            let held = Promise::new(&mut |resolve, _reject| {
                hold.release.replace(Some(resolve));
            });
            granted(Lock::Granted);
            held.into()
        });
        let options = Object::new();
        let asked = Reflect::set(&options, &"steal".into(), &steal.into())
            .and_then(|_| request.call3(&locks, &NAME.into(), &options, &holding));
        let Some(asked) = asked.ok().and_then(|asked| asked.dyn_into::<Promise>().ok()) else {
            leptos::logging::warn!("the stream's lock cannot be asked for");
            return;
        };
        let hold = self.hold.clone();
        leptos::task::spawn_local(async move {
            // A lock that was given back is no news.
            if JsFuture::from(asked).await.is_err() && !hold.left.get() {
                hold.release.take();
                lock(Lock::Stolen);
            }
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hold.left.set(true);
        self.hold.release();
        self.channel.set_onmessage(None);
        self.channel.close();
    }
}

/// The browser's locks, and the function that asks for one.
fn locks() -> Option<(JsValue, Function)> {
    let locks = Reflect::get(&window().navigator(), &"locks".into()).ok()?;
    let request = Reflect::get(&locks, &"request".into()).ok()?;
    Some((locks, request.dyn_into().ok()?))
}
