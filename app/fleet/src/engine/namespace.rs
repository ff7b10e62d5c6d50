//! A network namespace: the network that a decky's process is in, and nobody else.
//!
//! It lives as long as something is in it or has it open. What is made in it goes with it, so nothing has to be taken away.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd},
        unix::fs::MetadataExt as _,
    },
};

use nix::sched::{CloneFlags, setns, unshare};

/// The namespace of the thread that opens it.
const OURS: &str = "/proc/thread-self/ns/net";

/// See the module.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// A new one, with nothing in it but a loopback interface that is off.
    pub(super) fn new() -> io::Result<Self> {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(OURS).map(Self)
        })
    }

    /// The one that process `pid` is in.
    ///
    /// # Errors
    /// Where that process is gone, or is in this very namespace: what is meant for a decky must never reach the host.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let theirs = File::open(format!("/proc/{pid}/ns/net"))?;
        if theirs.metadata()?.ino() == fs::metadata(OURS)?.ino() {
            return Err(io::Error::other(format!(
                "process {pid} is in the host's network: nothing is changed there"
            )));
        }
        Ok(Self(theirs))
    }

    /// Do `work` in it, on a thread of its own: a thread's namespace cannot be changed back by everybody who may change it.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// The same with what has to be waited for.
    pub(super) fn inside_async<T: Send, F: Future<Output = io::Result<T>>>(
        &self,
        work: impl FnOnce() -> F + Send,
    ) -> io::Result<T> {
        self.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(work())
        })
    }

    /// Its descriptor, for what netlink is told.
    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let done = scope.spawn(work).join();
        done.unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace ended")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_network_is_refused() {
        let refused = Namespace::of(std::process::id());
        assert!(refused.is_err_and(|e| e.to_string().contains("the host's network")));
    }

    #[test]
    fn what_is_done_inside_is_done_there_and_leaves_this_thread_where_it_was() {
        let here = || fs::metadata(OURS).map(|it| it.ino());
        let before = here().unwrap();
        let namespace = match Namespace::new() {
            Ok(namespace) => namespace,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                decnet_testkit::skipped("network namespaces are made by root, and this is not root");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        assert_ne!(namespace.inside(here).unwrap(), before);
        assert_eq!(here().unwrap(), before);
    }
}
