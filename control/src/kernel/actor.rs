//! The mirror's task: news and wishes in, views out.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tp_api::KernelFeed;

use super::ethtool::Ethtool;
use super::listener::{Listener, News};
use super::requests::{Requests, Resolution};
use super::tables::{Effect, Key, Tables};
use super::{MirrorError, Tuning, Wanted};
use crate::model::KernelView;

/// A neighbour that is not there although it was asked for is asked for again after this time
/// (its link was down, say).
const RETRY: Duration = Duration::from_secs(1);

/// All routes are looked up a second time this long after news of links, addresses or rules: the
/// kernel sends some before it acts on them (`__dev_notify_flags` and `__inet_del_ifa` tell before
/// the routes go, and these go without news), and how long it takes then is not bounded.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// Questions that wait for the kernel's answer at a time: a thousand far ends are a few milliseconds, not a turn of
/// the runtime each, and their answers fit the socket's buffer.
const AT_ONCE: usize = 64;

/// What the mirror's owner wants of the task.
#[derive(Debug)]
pub(super) enum Command {
    Resolve(Wanted, oneshot::Sender<io::Result<()>>),
    Release(oneshot::Sender<io::Result<()>>),
}

/// Routes whose look-ups are out of date.
#[derive(Debug, Default)]
struct Stale {
    all: bool,
    within: Vec<IpNet>,
}

impl Stale {
    fn contains(&self, address: IpAddr) -> bool {
        self.all || self.within.iter().any(|prefix| prefix.contains(&address))
    }
}

/// The mirror's task.
pub(super) struct Actor {
    listener: Listener,
    requests: Requests,
    /// Tells queues; without it (a kernel without it, no permission) links keep what rtnetlink says.
    ethtool: Option<Ethtool>,
    commands: mpsc::Receiver<Command>,
    tables: Tables,
    /// Unknown until the first wish: until then entries of a predecessor are left alone.
    wanted: Option<Wanted>,
    stale: Stale,
    /// When all routes are looked up for the second time.
    second_look: Option<Instant>,
    /// When neighbours were last asked for.
    asked: BTreeMap<Key, Instant>,
    resolution: Resolution,
    coalesce: Duration,
    resolve_neighbours: bool,
    /// When the gathered changes are published.
    due: Option<Instant>,
    view: watch::Sender<Arc<KernelView>>,
    feed: watch::Sender<KernelFeed>,
}

/// What the owner watches.
type Started = (
    Actor,
    watch::Receiver<Arc<KernelView>>,
    watch::Receiver<KernelFeed>,
);

impl Actor {
    pub(super) async fn start(
        tuning: Tuning,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Started, MirrorError> {
        // Subscribed before the dump: what changes in between is news.
        let listener = Listener::open(tuning.receive_buffer).map_err(MirrorError::Socket)?;
        let requests = Requests::open().map_err(MirrorError::Socket)?;
        let (view, views) = watch::channel(Arc::default());
        let (feed, feeds) = watch::channel(KernelFeed::default());
        let mut actor = Self {
            listener,
            requests,
            ethtool: Ethtool::open().ok(),
            commands,
            tables: Tables::default(),
            wanted: None,
            stale: Stale::default(),
            second_look: None,
            asked: BTreeMap::new(),
            resolution: Resolution::Managed,
            coalesce: tuning.coalesce,
            resolve_neighbours: tuning.resolve_neighbours,
            due: None,
            view,
            feed,
        };
        actor.resync().await.map_err(MirrorError::Dump)?;
        actor.publish();
        let mut views = views;
        views.mark_unchanged();
        Ok((actor, views, feeds))
    }

    /// Until the owner is gone or releases, or a socket fails: the owner then sees the watch closed.
    pub(super) async fn run(mut self) {
        let mut tick = interval(RETRY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (due, second_look) = (self.due, self.second_look);
            let settled = tokio::select! {
                news = self.listener.next() => match news {
                    Ok(news) => self.take(news).await,
                    Err(error) => Err(error),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Resolve(wanted, done)) => self.want(wanted, done).await,
                    Some(Command::Release(done)) => {
                        // An owner that no longer waits needs no answer.
                        let _ = done.send(self.release().await);
                        return;
                    }
                    None => return,
                },
                () = at(due) => self.settle().await,
                () = at(second_look) => {
                    self.second_look = None;
                    self.stale.all = true;
                    self.settle().await
                }
                _ = tick.tick() => self.look_after().await,
            };
            if settled.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, news: News) -> io::Result<()> {
        match news {
            News::Overrun => {
                self.feed.send_modify(|feed| feed.overruns += 1);
                self.resync().await?;
            }
            News::Messages(messages) => {
                for message in messages {
                    let effect = message.map_or(Effect::AllRoutes, |m| self.tables.apply(&m));
                    self.note(effect);
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, effect: Effect) {
        match effect {
            Effect::None => return,
            Effect::Tables => {}
            Effect::Routes(prefix) => self.stale.within.push(prefix),
            Effect::AllRoutes => {
                self.stale.all = true;
                self.second_look = Some(Instant::now() + SECOND_LOOK);
            }
        }
        self.due
            .get_or_insert_with(|| Instant::now() + self.coalesce);
    }

    async fn want(
        &mut self,
        wanted: Wanted,
        done: oneshot::Sender<io::Result<()>>,
    ) -> io::Result<()> {
        self.wanted = Some(wanted);
        self.stale.all = true;
        self.asked.clear();
        let settled = self.settle().await;
        let answer = settled
            .as_ref()
            .map(|&()| ())
            .map_err(|error| error.kind().into());
        // An owner that no longer waits needs no answer.
        let _ = done.send(answer);
        settled
    }

    /// Dumps everything and takes it in place of what was: what is not in the dump is gone.
    async fn resync(&mut self) -> io::Result<()> {
        self.listener.drain()?;
        let underlay = std::mem::take(&mut self.tables.underlay);
        self.tables = Tables {
            underlay,
            ..self.requests.dump().await?
        };
        self.read_queues(|_| true);
        self.feed.send_modify(|feed| feed.resyncs += 1);
        self.note(Effect::AllRoutes);
        Ok(())
    }

    /// Brings look-ups and neighbour entries up to date and publishes.
    async fn settle(&mut self) -> io::Result<()> {
        self.due = None;
        self.look_up_routes().await?;
        self.ask_for_neighbours().await?;
        self.publish();
        Ok(())
    }

    async fn look_up_routes(&mut self) -> io::Result<()> {
        let stale = std::mem::take(&mut self.stale);
        if stale.all {
            self.read_queues(|_| true);
        }
        let Some(wanted) = &self.wanted else {
            return Ok(());
        };
        self.tables
            .underlay
            .retain(|address, _| wanted.far_ends.contains(address));
        let stale: Vec<IpAddr> = (wanted.far_ends.iter().copied())
            .filter(|address| stale.contains(*address))
            .collect();
        let requests = self.requests.clone();
        let look_ups = stale.into_iter().map(move |address| {
            let mut requests = requests.clone();
            async move { Ok::<_, io::Error>((address, requests.route_to(address).await?)) }
        });
        let mut answers = stream::iter(look_ups).buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer? {
                (address, Some(route)) => self.tables.underlay.insert(address, route),
                (address, None) => self.tables.underlay.remove(&address),
            };
        }
        Ok(())
    }

    /// What the kernel sends no news of.
    async fn look_after(&mut self) -> io::Result<()> {
        let wanted = self.wanted.take();
        let is_port = |name: &str| wanted.as_ref().is_some_and(|w| w.ports.contains(name));
        if self.read_queues(is_port) {
            self.note(Effect::Tables);
        }
        self.wanted = wanted;
        self.ask_for_neighbours().await
    }

    /// rtnetlink tells how many queues a device could have; how many it has, ethtool tells. Whether that is news.
    fn read_queues(&mut self, is_asked_for: impl Fn(&str) -> bool) -> bool {
        let Some(ethtool) = &mut self.ethtool else {
            return false;
        };
        let mut changed = false;
        for (index, (name, link)) in &mut self.tables.links {
            if is_asked_for(name)
                && let Ok(queues) = ethtool.queues(*index)
            {
                changed |= (link.rx_queues, link.tx_queues) != (queues.rx, queues.tx);
                (link.rx_queues, link.tx_queues) = (queues.rx, queues.tx);
            }
        }
        changed
    }

    /// Has the kernel resolve what is needed and not known, and forget what is needed no longer.
    async fn ask_for_neighbours(&mut self) -> io::Result<()> {
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.resolve_neighbours) else {
            return Ok(());
        };
        let needed = self.tables.needed(wanted);
        // An entry that stays may fail to go; it is tried again at the next change.
        if self.forget_ours(&needed).await.is_err() {
            self.feed.send_modify(|feed| feed.refusals += 1);
        }
        self.asked.retain(|key, _| needed.contains(key));
        let now = Instant::now();
        let unasked = needed.into_iter().filter(|key| {
            let fixed_or_managed = |n: &super::tables::Neighbour| n.managed || n.is_fixed();
            let served = (self.tables.neighbours.get(key)).is_some_and(fixed_or_managed);
            let recently = (self.asked.get(key)).is_some_and(|asked| now < *asked + RETRY);
            !served && !recently && self.is_up(key.0)
        });
        let unasked: Vec<Key> = unasked.collect();
        self.asked.extend(unasked.iter().map(|key| (*key, now)));
        self.ask_for(unasked).await;
        Ok(())
    }

    async fn ask_for(&mut self, keys: Vec<Key>) {
        let (how, requests) = (self.resolution, self.requests.clone());
        let asked = keys.into_iter().map(move |key| {
            let mut requests = requests.clone();
            async move { (key, requests.resolve(key, how).await.is_ok()) }
        });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((key, taken)) = answers.next().await {
            if taken {
                continue;
            }
            self.feed.send_modify(|feed| feed.refusals += 1);
            // A kernel that has no managed entries is asked again at each retry.
            let mut requests = self.requests.clone();
            if requests.resolve(key, Resolution::Once).await.is_ok() {
                self.resolution = Resolution::Once;
            }
        }
    }

    /// Removes all entries of ours. They are read anew: of one that was made a moment ago there may be no news yet.
    async fn release(&mut self) -> io::Result<()> {
        self.tables.neighbours = self.requests.dump().await?.neighbours;
        self.forget_ours(&BTreeSet::new()).await
    }

    async fn forget_ours(&mut self, but: &BTreeSet<Key>) -> io::Result<()> {
        let ours = self
            .tables
            .neighbours
            .iter()
            .filter(|(_, neighbour)| neighbour.ours);
        let gone: Vec<Key> = ours
            .map(|(key, _)| *key)
            .filter(|key| !but.contains(key))
            .collect();
        for key in gone {
            self.requests.forget(key).await?;
        }
        Ok(())
    }

    fn is_up(&self, ifindex: u32) -> bool {
        self.tables
            .links
            .get(&ifindex)
            .is_some_and(|(_, link)| link.up)
    }

    fn publish(&mut self) {
        let nothing = Wanted::default();
        let view = self.tables.view(self.wanted.as_ref().unwrap_or(&nothing));
        self.view.send_if_modified(|current| {
            let differs = **current != view;
            if differs {
                *current = Arc::new(view);
            }
            differs
        });
    }
}

/// Waits until this time; without one, for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
