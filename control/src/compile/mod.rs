//! From the desired state and the kernel's state to forwarding state: pure, and incremental.
//!
//! [`compile`] takes the predecessor so that what did not change keeps its slots and shares
//! its structure. Compiling from scratch gives the same forwarding, under other slots and tags.

mod links;
mod routes;
mod shown;
mod slots;
mod steering;

use std::collections::BTreeMap;
use std::sync::Arc;

use tp_ebpf::SteeringState;
use tp_pipeline::{
    Client, ClientSlot, MeterSpec, Port, PortId, Tables, Tunnel, TunnelSlot, Upstream,
    UpstreamSlot, Vfib, VfibId,
};

use crate::model::{self, KernelView, Model, Name, Upstreams};
use links::Vfibs;
pub use links::{own_mac, peer_mac};
use routes::Routes;
pub use slots::{Allocated, Slots, TagSource};
pub use steering::{LinkIdentity, MAX_SOURCE_MACS, next_hop_mac, source_macs};

/// Why a valid model cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// More than the steering maps or the workers' tables hold.
    #[error("{count} {what} are more than the {limit} that one portal holds")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are, those that a change still retires included.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A rate or burst that the police cannot represent.
    #[error("a rate of {bits_per_second} bit/s with a burst of {burst} bytes cannot be policed")]
    Rate {
        /// Bits a second.
        bits_per_second: u64,
        /// Bytes.
        burst: u64,
    },
}

/// Most upstreams of a portal: the paper's Linux tables stop at 252; a VLAN has 4,094.
pub const MAX_UPSTREAMS: usize = 4096;
/// Most clients of a portal.
pub const MAX_CLIENTS: usize = 65536;

/// Forwarding state of one generation, and what the next compile continues from.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What workers read.
    pub tables: Arc<Tables>,
    /// What the steering maps hold.
    pub steering: SteeringState,
    /// Which slots the names have.
    pub names: Names,
    tags: TagSource,
    vfib_routes: BTreeMap<Name, (VfibId, Routes)>,
    owners: Routes,
}

/// Which slots the names of the model have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By device name.
    pub ports: Slots<PortId, Name>,
    /// By name.
    pub upstreams: Slots<UpstreamSlot, LinkIdentity>,
    /// By name.
    pub tunnels: Slots<TunnelSlot, LinkIdentity>,
    /// By name.
    pub clients: Slots<ClientSlot, Name>,
}

impl Compiled {
    /// The virtual table of this upstream.
    #[must_use]
    pub fn vfib(&self, upstream: &str) -> Option<VfibId> {
        self.vfib_routes.get(upstream).map(|(id, _)| *id)
    }

    fn vfib_with_routes(&self, upstream: &str) -> Option<(&Vfib, &Routes)> {
        let (id, routes) = self.vfib_routes.get(upstream)?;
        Some((&self.tables.vfibs[id.index()], routes))
    }

    /// Gives out no tag again that this one gave out, though it never came into force.
    pub fn spend_tags_of(&mut self, other: &Self) {
        self.tags = other.tags;
    }

    /// The port that this device is.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<PortId> {
        self.names.ports.get(name).map(|a| a.id.slot)
    }
}

/// Compiles the model as the kernel stands.
///
/// What lacks a kernel device or a neighbour compiles to a way out that drops
/// (`NeighbourUnresolved`), so that a later state of the kernel repairs it.
///
/// # Errors
/// [`CompileError`] where a capacity does not suffice; nothing is changed then.
pub fn compile(
    previous: Option<&Compiled>,
    model: &Model,
    kernel: &KernelView,
    first_tag: u32,
) -> Result<Compiled, CompileError> {
    let mut tags = previous.map_or(TagSource::starting_at(first_tag), |p| p.tags);
    let names = name_slots(previous, model, kernel, &mut tags)?;
    let devices = (kernel.links.iter()).map(|(name, link)| (link.ifindex, (name, link)));
    let view = View {
        model,
        kernel,
        names: &names,
        devices: devices.collect(),
    };

    let routes = view.routes();
    let macs = shown::macs(model.upstreams.keys());
    let numbered = (0..).zip(routes.keys());
    let vfibs: Vfibs = numbered
        .map(|(index, name)| (name.clone(), (VfibId(index), macs[name])))
        .collect();
    let owners = view.owners();
    let tables = Tables {
        generation: previous.map_or(1, |p| p.tables.generation + 1),
        ports: view.ports(),
        upstreams: view.upstreams(&vfibs)?,
        tunnels: view.tunnels(&vfibs)?,
        clients: view.clients()?,
        vfibs: (routes.iter())
            .map(|(name, routes)| {
                let before = previous.and_then(|p| p.vfib_with_routes(name));
                routes.vfib(before, vfibs[name].1)
            })
            .collect(),
        next_hops: routes::next_hops(names.upstreams.bound(), names.tunnels.bound()),
        owners: owners.owners(previous.map(|p| (&p.tables.owners, &p.owners))),
    };
    let steering = view.steering(&macs, previous.map(|p| &p.steering))?;
    let numbered = vfibs.into_iter().zip(routes.into_values());
    Ok(Compiled {
        tables: Arc::new(tables),
        steering,
        names,
        tags,
        vfib_routes: numbered
            .map(|((name, (id, _)), routes)| (name, (id, routes)))
            .collect(),
        owners,
    })
}

fn name_slots(
    previous: Option<&Compiled>,
    model: &Model,
    kernel: &KernelView,
    tags: &mut TagSource,
) -> Result<Names, CompileError> {
    let before = previous.map(|p| &p.names);
    let ports = Slots::advance(
        before.map(|n| &n.ports),
        model.ports.keys().map(|name| (name.clone(), name.clone())),
        tags,
        ("ports", tp_pipeline::abi::MAX_PORTS),
    )?;
    let upstreams = Slots::advance(
        before.map(|n| &n.upstreams),
        model.upstreams.iter().map(|(name, u)| {
            (
                name.clone(),
                steering::upstream_identity(u, &ports, model, kernel),
            )
        }),
        tags,
        ("upstreams", MAX_UPSTREAMS),
    )?;
    let tunnels = Slots::advance(
        before.map(|n| &n.tunnels),
        model
            .tunnels
            .iter()
            .map(|(name, t)| (name.clone(), steering::tunnel_identity(t, &ports))),
        tags,
        ("tunnels", tp_pipeline::abi::MAX_TUNNELS),
    )?;
    let clients = Slots::advance(
        before.map(|n| &n.clients),
        model
            .clients
            .keys()
            .map(|name| (name.clone(), name.clone())),
        tags,
        ("clients", MAX_CLIENTS),
    )?;
    Ok(Names {
        ports,
        upstreams,
        tunnels,
        clients,
    })
}

/// What the parts of a compile read.
struct View<'a> {
    model: &'a Model,
    kernel: &'a KernelView,
    names: &'a Names,
    /// Names and links of devices by their index.
    devices: BTreeMap<u32, (&'a Name, &'a model::Link)>,
}

impl View<'_> {
    fn ports(&self) -> Vec<Option<Port>> {
        self.names.ports.table(|name, _| {
            let mtu = self.kernel.links.get(name).map_or(0, |l| l.mtu);
            Port {
                mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            }
        })
    }

    fn upstreams(&self, vfibs: &Vfibs) -> Result<Vec<Option<Upstream>>, CompileError> {
        self.names.upstreams.try_table(|name, allocated| {
            Ok(Upstream {
                tag: allocated.id.tag,
                vfib: vfibs[name].0,
                link: self.upstream_link(&self.model.upstreams[name])?,
            })
        })
    }

    fn tunnels(&self, vfibs: &Vfibs) -> Result<Vec<Option<Tunnel>>, CompileError> {
        self.names.tunnels.try_table(|name, allocated| {
            let tunnel = &self.model.tunnels[name];
            Ok(Tunnel {
                tag: allocated.id.tag,
                client: self.client_slot(&tunnel.client),
                vfib: match &tunnel.upstreams {
                    Upstreams::One(upstream) => Some(vfibs[upstream].0),
                    Upstreams::Shown(_) => None,
                },
                link: self.tunnel_link(tunnel, vfibs)?,
                rates: rates(&tunnel.rates)?,
            })
        })
    }

    fn clients(&self) -> Result<Vec<Option<Client>>, CompileError> {
        self.names.clients.try_table(|name, _| {
            Ok(Client {
                rates: rates(&self.model.clients[name].rates)?,
            })
        })
    }

    fn client_slot(&self, name: &str) -> ClientSlot {
        self.names.clients.expect(name).id.slot
    }
}

fn rates(rates: &model::Rates) -> Result<tp_pipeline::Rates, CompileError> {
    Ok(tp_pipeline::Rates {
        from_client: rates.from_client.map(meter).transpose()?,
        to_client: rates.to_client.map(meter).transpose()?,
    })
}

fn meter(rate: model::Rate) -> Result<MeterSpec, CompileError> {
    let model::Rate {
        bits_per_second,
        burst,
    } = rate;
    MeterSpec::new(bits_per_second, burst).ok_or(CompileError::Rate {
        bits_per_second,
        burst,
    })
}

/// An index as the tables hold it; the capacities are far below 2^32.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or_else(|_| unreachable!("slots are bounded by the capacities"))
}

/// A slot as an index and back, for each kind of slot.
pub trait Slot: Copy + Ord {
    /// The slot with this index.
    fn from_index(index: usize) -> Self;
    /// Its index.
    fn to_index(self) -> usize;
}

macro_rules! slot {
    ($($name:ty),*) => {$(
        impl Slot for $name {
            fn from_index(index: usize) -> Self {
                Self(narrow(index))
            }
            fn to_index(self) -> usize {
                self.index()
            }
        }
    )*};
}
slot!(PortId, UpstreamSlot, TunnelSlot, ClientSlot);
