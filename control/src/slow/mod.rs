//! The slow path: the kernel speaks BGP, BFD and ping with the far ends of the links through two devices.
//!
//! One persistent TUN carries IP packets, one persistent TAP Ethernet frames, for all links at once: what the
//! kernel sends is told apart by the peer's address, which no two links share.

mod addresses;
mod answer;
mod arp;
mod counters;
mod demux;
mod devices;
mod directory;
mod filter;
mod mtu;
mod nd;
mod netlink;
mod pump;
mod rules;
mod sysctl;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tp_pipeline::TunnelSlot;
use tp_wire::MacAddr;
use tp_worker::SlowEnds;
use tp_xsk::{Carries, Region, TunTap};

use crate::compile::Compiled;
use crate::model::{self, Attachment, KernelView, LinkAddresses, Model, Name, Upstreams};
use addresses::{Pair, Plan, Step};
use counters::Counters;
use devices::Device;
pub use devices::DeviceError;
use directory::Directory;
use filter::Filter;
use netlink::Netlink;
use pump::{Parts, Pump};

/// Why the slow path cannot be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum SlowPathError {
    /// A device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// rtnetlink fails.
    #[error("the addresses of the slow path's devices")]
    Netlink(#[source] io::Error),
    /// The kernel refuses an address of a link.
    #[error("the link address {portal} on device {device}")]
    Address {
        /// The portal's.
        portal: IpAddr,
        /// Where it should be.
        device: String,
        /// Why.
        source: io::Error,
    },
    /// The thread cannot be started.
    #[error("the slow path's thread")]
    Thread(#[source] io::Error),
    /// Ports cannot be made to receive the MAC addresses of links.
    #[error("the MAC addresses that ports receive")]
    Filter(#[source] io::Error),
}

/// What the thread needs of the portal.
#[derive(Debug)]
pub struct Workers {
    /// The memory of all frames.
    pub region: Region,
    /// Where punts come from and frames go to.
    pub ends: SlowEnds,
    /// CPUs of the workers.
    pub cpus: Vec<usize>,
}

/// The two devices, and the thread between them and the workers.
#[derive(Debug)]
pub struct SlowPath {
    netlink: Netlink,
    tun: Device,
    tap: Device,
    settings: model::SlowPath,
    bpffs: PathBuf,
    filter: Filter,
    directory: Arc<ArcSwap<Directory>>,
    counters: Arc<Counters>,
    /// The files of both devices, until the thread has them.
    queues: Option<[TunTap; 2]>,
    pump: Option<Pump>,
}

impl SlowPath {
    /// Opens the devices in the network namespace of the calling thread: those that a predecessor with this bpffs left, or
    /// new ones, which go again unless [`Self::run`] is called.
    ///
    /// # Errors
    /// [`SlowPathError`].
    pub fn open(settings: &model::SlowPath, bpffs: &Path) -> Result<Self, SlowPathError> {
        let mut netlink = Netlink::open().map_err(SlowPathError::Netlink)?;
        let [(tun, packets), (tap, frames)] = open_both(&mut netlink, settings, bpffs)?;
        Ok(Self {
            netlink,
            tun,
            tap,
            settings: settings.clone(),
            bpffs: bpffs.to_owned(),
            filter: Filter::new().map_err(SlowPathError::Filter)?,
            directory: Arc::default(),
            counters: Arc::default(),
            queues: Some([packets, frames]),
            pump: None,
        })
    }

    /// Makes the devices stay, removes those of other names that a predecessor left, and starts the thread.
    ///
    /// # Errors
    /// [`SlowPathError`]; the devices may stay then, as the predecessor's did.
    pub fn run(&mut self, workers: Workers) -> Result<(), SlowPathError> {
        let Some([tun, tap]) = self.queues.take() else {
            return Ok(());
        };
        for (device, queue) in [(&self.tun, &tun), (&self.tap, &tap)] {
            devices::keep(&mut self.netlink, device, queue)?;
        }
        let names = [&self.settings.tun, &self.settings.tap].map(String::as_str);
        devices::remove_ours(&mut self.netlink, &self.bpffs, &names)?;
        let parts = Parts {
            region: workers.region,
            ends: workers.ends,
            directory: Arc::clone(&self.directory),
            counters: Arc::clone(&self.counters),
            tun,
            tap,
            avoid: workers.cpus,
        };
        self.pump = Some(Pump::start(parts).map_err(SlowPathError::Thread)?);
        Ok(())
    }

    /// Whether the thread runs. It ends when somebody removes a device.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pump.as_ref().is_some_and(Pump::runs)
    }

    /// Opens the devices anew, after the thread has ended.
    ///
    /// # Errors
    /// [`SlowPathError`]; it does not run then.
    pub fn reopen(&mut self, workers: Workers) -> Result<(), SlowPathError> {
        // Whichever of the two is left is closed with the thread: a device has one user.
        self.pump = None;
        let opened = open_both(&mut self.netlink, &self.settings, &self.bpffs)?;
        let [(tun, packets), (tap, frames)] = opened;
        (self.tun, self.tap) = (tun, tap);
        self.queues = Some([packets, frames]);
        self.run(workers)
    }

    /// Adds what a model needs to what is there.
    ///
    /// # Errors
    /// [`SlowPathError`]; some of it may be there then, until [`Self::settle`] removes it.
    pub fn add(&mut self, model: &Model) -> Result<(), SlowPathError> {
        let plan = self.plan(model)?;
        self.take(&plan.additions)
    }

    /// Makes the slow path that of this model and these tables alone.
    ///
    /// # Errors
    /// The first failure; what could be done is done.
    pub fn settle(
        &mut self,
        model: &Model,
        compiled: &Compiled,
        view: &KernelView,
    ) -> Result<(), SlowPathError> {
        let tables = &compiled.tables;
        let directory = Directory::of(tables, self.tap.mac, |slot| shown_on(model, compiled, slot));
        self.directory.store(Arc::new(directory));
        let filter = filter::wanted(&compiled.steering, view);
        let filtered = self.filter.set(filter).map_err(SlowPathError::Filter);
        let mtus = mtu::of(tables, model.portal.memory.chunk);
        let sized = self.set_mtus(mtus);
        let plan = self.plan(model)?;
        self.take(&plan.additions)?;
        self.take(&plan.removals)?;
        filtered.and(sized)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> tp_api::SlowPathCounters {
        self.counters.read()
    }

    /// Stops the thread and removes the devices.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn release(mut self) -> Result<(), SlowPathError> {
        self.pump = None;
        devices::remove_ours(&mut self.netlink, &self.bpffs, &[])?;
        Ok(())
    }

    fn set_mtus(&mut self, [tun, tap]: [u32; 2]) -> Result<(), SlowPathError> {
        for (device, mtu) in [(&mut self.tun, tun), (&mut self.tap, tap)] {
            devices::set_mtu(&mut self.netlink, device, mtu)?;
        }
        Ok(())
    }

    fn plan(&mut self, model: &Model) -> Result<Plan, SlowPathError> {
        let devices = [self.tun.ifindex, self.tap.ifindex];
        let present =
            addresses::read(&mut self.netlink, devices).map_err(SlowPathError::Netlink)?;
        Ok(addresses::plan(&present, &self.pairs(model)))
    }

    fn take(&mut self, steps: &[Step]) -> Result<(), SlowPathError> {
        let taken = addresses::take(&mut self.netlink, steps).map_err(SlowPathError::Netlink)?;
        taken.map_err(|(step, source)| {
            let (ifindex, portal) = step.subject();
            let device = if ifindex == self.tun.ifindex {
                &self.tun
            } else {
                &self.tap
            };
            SlowPathError::Address {
                portal,
                device: device.name.clone(),
                source,
            }
        })
    }

    /// The pairs of all links, each on the device of its kind.
    fn pairs(&self, model: &Model) -> BTreeSet<Pair> {
        let upstreams = model
            .upstreams
            .values()
            .map(|u| (&u.attachment, &u.addresses));
        let tunnels = model
            .tunnels
            .values()
            .map(|t| (&t.attachment, &t.addresses));
        let on_device = |(attachment, addresses): (&Attachment, &Vec<LinkAddresses>)| {
            let device = if attachment.is_ethernet() {
                &self.tap
            } else {
                &self.tun
            };
            let ifindex = device.ifindex;
            let pairs = addresses.iter().map(move |a| Pair {
                ifindex,
                portal: a.portal,
                peer: a.peer,
            });
            pairs.collect::<Vec<_>>()
        };
        upstreams.chain(tunnels).flat_map(on_device).collect()
    }
}

/// Removes the devices that a daemon with this bpffs left in the network namespace of the calling thread; answers which they
/// were.
///
/// # Errors
/// What could not be removed.
pub fn release(bpffs: &Path) -> Result<Vec<String>, SlowPathError> {
    let mut netlink = Netlink::open().map_err(SlowPathError::Netlink)?;
    Ok(devices::remove_ours(&mut netlink, bpffs, &[])?)
}

fn open_both(
    netlink: &mut Netlink,
    settings: &model::SlowPath,
    bpffs: &Path,
) -> Result<[(Device, TunTap); 2], DeviceError> {
    let tun = devices::open(netlink, &settings.tun, Carries::Packets, bpffs)?;
    let tap = devices::open(netlink, &settings.tap, Carries::Frames, bpffs)?;
    Ok([tun, tap])
}

/// The addresses that a link shows for upstreams, each with the MAC address that the upstream has there.
fn shown_on(model: &Model, compiled: &Compiled, slot: TunnelSlot) -> Vec<(IpAddr, MacAddr)> {
    let name = compiled.names.tunnels.name_of(slot);
    let tunnel = name.and_then(|name| model.tunnels.get(name));
    let Some(Upstreams::Shown(shown)) = tunnel.map(|tunnel| &tunnel.upstreams) else {
        return Vec::new();
    };
    let with_mac = |(upstream, addresses): (&Name, &Vec<IpAddr>)| {
        let vfib = compiled.vfib(upstream)?;
        let mac = compiled.tables.vfibs.get(vfib.index())?.mac;
        Some(addresses.iter().map(move |a| (*a, mac)).collect::<Vec<_>>())
    };
    shown.iter().filter_map(with_mac).flatten().collect()
}

#[cfg(test)]
mod tests;
