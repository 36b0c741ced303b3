//! The mirror as the daemon sees it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tp_api::KernelFeed;

use super::Wanted;
use super::actor::{Actor, Command};
use super::requests::Requests;
use crate::model::KernelView;

/// A mirror cannot start or end well.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// The sockets cannot be had.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    /// The tables cannot be read.
    #[error("cannot read the kernel's links, addresses and neighbours")]
    Dump(#[source] io::Error),
    /// A neighbour entry cannot be removed.
    #[error("cannot remove a neighbour entry")]
    Neighbour(#[source] io::Error),
    /// It stopped before.
    #[error(transparent)]
    Stopped(#[from] MirrorStopped),
}

/// The mirror's task has ended: its sockets failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the mirror of the kernel's state has stopped")]
pub struct MirrorStopped;

/// What the kernel knows that forwarding needs, followed as it changes.
pub trait Mirror {
    /// The state as last seen.
    fn view(&self) -> Arc<KernelView>;

    /// Waits until [`Mirror::view`] is another than when this was last called (at first: than at
    /// the start). Several changes in a few milliseconds are one. Cancelling loses none.
    fn changed(&mut self) -> impl Future<Output = Result<(), MirrorStopped>> + Send;

    /// Sets what is resolved: returns when the view holds the routes to `wanted` and the kernel
    /// was asked for the neighbours; these come as changes.
    fn resolve(&self, wanted: Wanted) -> impl Future<Output = Result<(), MirrorStopped>> + Send;

    /// Waits until the view has the neighbours that `wanted` needs beyond what `known` needs; at most this
    /// long, since a neighbour may be dead. Both must be resolved ([`Mirror::resolve`]).
    fn neighbours(
        &self,
        wanted: &Wanted,
        known: &Wanted,
        at_most: Duration,
    ) -> impl Future<Output = ()> + Send;

    /// How the feed does.
    fn feed(&self) -> KernelFeed;

    /// Ends the mirror and removes its neighbour entries.
    fn release(self) -> impl Future<Output = Result<(), MirrorError>> + Send;
}

/// How a mirror does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes of news that may wait in the socket.
    pub receive_buffer: usize,
    /// How long changes are gathered into one.
    pub coalesce: Duration,
    /// Whether the kernel is asked to resolve the neighbours that are needed, and to forget those of ours that are
    /// not; without, the mirror changes nothing in the kernel, where another one may be at work.
    pub resolve_neighbours: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            receive_buffer: 8 << 20,
            coalesce: Duration::from_millis(5),
            resolve_neighbours: true,
        }
    }
}

/// The mirror of a network namespace by rtnetlink.
#[derive(Debug)]
pub struct NetlinkMirror {
    view: watch::Receiver<Arc<KernelView>>,
    feed: watch::Receiver<KernelFeed>,
    commands: mpsc::Sender<Command>,
}

impl NetlinkMirror {
    /// Starts a mirror of the calling thread's network namespace; returns when the first view is
    /// complete. Must be called within a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`MirrorError`]: the kernel gives no socket or no answer.
    pub async fn start(tuning: Tuning) -> Result<Self, MirrorError> {
        let (commands, receiver) = mpsc::channel(16);
        let (actor, view, feed) = Actor::start(tuning, receiver).await?;
        tokio::spawn(actor.run());
        Ok(Self {
            view,
            feed,
            commands,
        })
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Command,
    ) -> Result<io::Result<()>, MirrorStopped> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(command(done))
            .await
            .map_err(|_| MirrorStopped)?;
        answer.await.map_err(|_| MirrorStopped)
    }
}

impl Mirror for NetlinkMirror {
    fn view(&self) -> Arc<KernelView> {
        Arc::clone(&self.view.borrow())
    }

    async fn changed(&mut self) -> Result<(), MirrorStopped> {
        self.view.changed().await.map_err(|_| MirrorStopped)
    }

    async fn resolve(&self, wanted: Wanted) -> Result<(), MirrorStopped> {
        match self.command(|done| Command::Resolve(wanted, done)).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(MirrorStopped),
        }
    }

    async fn neighbours(&self, wanted: &Wanted, known: &Wanted, at_most: Duration) {
        let complete = |view: &Arc<KernelView>| {
            let known = known.neighbours_in(view);
            let mut needed = wanted.neighbours_in(view).into_iter();
            needed.all(|key| known.contains(&key) || view.neighbours.contains_key(&key))
        };
        // A receiver of its own: what `changed` has not told yet stays untold.
        let mut views = self.view.clone();
        // Whether it came, took too long or never will: the owner goes by what the view then is.
        let _ = tokio::time::timeout(at_most, views.wait_for(complete)).await;
    }

    fn feed(&self) -> KernelFeed {
        *self.feed.borrow()
    }

    async fn release(self) -> Result<(), MirrorError> {
        self.command(Command::Release)
            .await?
            .map_err(MirrorError::Neighbour)
    }
}

/// Removes all neighbour entries that a mirror of this namespace left behind.
///
/// # Errors
/// [`MirrorError`]: the kernel gives no socket or no answer.
pub async fn release_neighbours() -> Result<(), MirrorError> {
    let mut requests = Requests::open().map_err(MirrorError::Socket)?;
    let tables = requests.dump().await.map_err(MirrorError::Dump)?;
    for (key, _) in tables
        .neighbours
        .iter()
        .filter(|(_, neighbour)| neighbour.ours)
    {
        requests
            .forget(*key)
            .await
            .map_err(MirrorError::Neighbour)?;
    }
    Ok(())
}
