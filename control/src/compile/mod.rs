//! From the desired state and the kernel's state to forwarding state: pure, and incremental.
//!
//! [`compile`] takes the predecessor so that what did not change keeps its slots and shares
//! its structure. Compiling from scratch gives the same forwarding, under other slots and tags.

mod routes;
mod slots;
mod steering;

use std::collections::BTreeMap;
use std::sync::Arc;

use tp_ebpf::SteeringState;
use tp_pipeline::{
    Client, ClientSlot, Encap, Ends, Link, LinkHeader, MeterSpec, Owners, Port, PortId, Tables,
    Tunnel, TunnelSlot, Upstream, UpstreamSlot, Vfib, VfibId,
};
use tp_wire::MacAddr;

use crate::model::{
    self, Attachment, Bare, Carried, KernelView, Model, Name, TunnelKind, Upstreams, Vlan,
};
use routes::RouteTable;
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
    /// A link that the tables cannot hold yet.
    #[error("only gre and ipip tunnels over IPv4 can be compiled")]
    NotYet,
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
    vfib_routes: BTreeMap<Name, (VfibId, RouteTable)>,
    owners: RouteTable,
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
    let view = View {
        model,
        kernel,
        names: &names,
    };

    let mut vfib_routes = BTreeMap::new();
    let mut vfibs = Vec::with_capacity(model.upstreams.len());
    for (index, name) in model.upstreams.keys().enumerate() {
        let wanted = view.routes_of(name);
        let before = previous.and_then(|p| p.vfib_routes.get(name).map(|(id, t)| (p, *id, t)));
        let base = before.map(|(p, id, t)| (&p.tables.vfibs[id.index()].v4, t));
        vfibs.push(Vfib {
            v4: routes::advance(base, &wanted),
            ..Vfib::default()
        });
        vfib_routes.insert(name.clone(), (VfibId(narrow(index)), wanted));
    }
    let owners = view.owners();
    let owner_fib = routes::advance(previous.map(|p| (&p.tables.owners.v4, &p.owners)), &owners);

    let tables = Tables {
        generation: previous.map_or(1, |p| p.tables.generation + 1),
        ports: view.ports(),
        upstreams: view.upstreams(&vfib_routes),
        tunnels: view.tunnels(&vfib_routes)?,
        clients: view.clients()?,
        vfibs,
        next_hops: routes::next_hops(names.upstreams.bound(), names.tunnels.bound()),
        owners: Owners {
            v4: owner_fib,
            ..Owners::default()
        },
    };
    let steering = view.steering()?;
    Ok(Compiled {
        tables: Arc::new(tables),
        steering,
        names,
        tags,
        vfib_routes,
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

    fn upstreams(&self, vfibs: &BTreeMap<Name, (VfibId, RouteTable)>) -> Vec<Option<Upstream>> {
        self.names.upstreams.table(|name, allocated| {
            let upstream = &self.model.upstreams[name];
            let egress = match &upstream.attachment {
                Attachment::Bare(bare) => self.bare_header(upstream, bare),
                Attachment::Carried(carried) => self.underlay_header(carried),
            };
            Upstream {
                tag: allocated.id.tag,
                vfib: vfibs[name].0,
                link: link(egress, Encap::bare()),
            }
        })
    }

    fn tunnels(
        &self,
        vfibs: &BTreeMap<Name, (VfibId, RouteTable)>,
    ) -> Result<Vec<Option<Tunnel>>, CompileError> {
        self.names.tunnels.try_table(|name, allocated| {
            let tunnel = &self.model.tunnels[name];
            let carried = tunnel.attachment.carried().ok_or(CompileError::NotYet)?;
            let ends = ends(carried).ok_or(CompileError::NotYet)?;
            let encap = match carried.kind {
                TunnelKind::Ipip => Encap::ipip(ends),
                TunnelKind::Gre { key } => Encap::gre(ends, key),
                TunnelKind::Egre { .. } | TunnelKind::Fou(_) | TunnelKind::Gue(_) => {
                    return Err(CompileError::NotYet);
                }
            };
            let Upstreams::One(upstream) = &tunnel.upstreams else {
                return Err(CompileError::NotYet);
            };
            Ok(Tunnel {
                tag: allocated.id.tag,
                client: self.client_slot(&tunnel.client),
                vfib: Some(vfibs[upstream].0),
                link: link(self.underlay_header(carried), encap),
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

    /// How frames to the router of an upstream on a port start; `None` while its MAC address is not known.
    fn bare_header(&self, upstream: &model::Upstream, bare: &Bare) -> Option<LinkHeader> {
        let link = self.kernel.links.get(&bare.port)?;
        let mac = next_hop_mac(upstream, self.model, self.kernel)?;
        self.link_header(&bare.port, link.mac, mac, &bare.vlans)
    }

    /// How frames to a carried link's far end start; `None` where the kernel knows no way by a port,
    /// or not yet the neighbour's MAC address.
    fn underlay_header(&self, carried: &Carried) -> Option<LinkHeader> {
        let far_end = carried.remote;
        let route = self.kernel.underlay.get(&far_end)?;
        let neighbour = (route.ifindex, route.gateway.unwrap_or(far_end));
        let mac = *self.kernel.neighbours.get(&neighbour)?;
        let (name, link) = self
            .kernel
            .links
            .iter()
            .find(|(_, link)| link.ifindex == route.ifindex)?;
        self.link_header(name, link.mac, mac, &[])
    }

    fn link_header(
        &self,
        port: &str,
        source: MacAddr,
        destination: MacAddr,
        vlans: &[Vlan],
    ) -> Option<LinkHeader> {
        let port = self.names.ports.get(port)?.id.slot;
        let mut bytes = Vec::with_capacity(20);
        bytes.extend(destination.octets());
        bytes.extend(source.octets());
        for vlan in vlans {
            let tpid: u16 = if vlan.service { 0x88a8 } else { 0x8100 };
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(vlan.vid.to_be_bytes());
        }
        LinkHeader::new(port, &bytes)
    }

    fn client_slot(&self, name: &str) -> ClientSlot {
        self.names.clients.expect(name).id.slot
    }
}

/// The ends of a carrier, if it is IPv4.
fn ends(carried: &Carried) -> Option<Ends> {
    let ends = Ends::new(carried.local, carried.remote, carried.ttl, carried.dscp);
    ends.filter(|_| carried.local.is_ipv4())
}

fn link(egress: Option<LinkHeader>, encap: Encap) -> Link {
    Link {
        egress,
        encap,
        ethernet: None,
        local: None,
    }
}

fn rates(rates: &model::Rates) -> Result<tp_pipeline::Rates, CompileError> {
    let spec = |rate: Option<model::Rate>| {
        rate.map(|r| {
            MeterSpec::new(r.bits_per_second, r.burst).ok_or(CompileError::Rate {
                bits_per_second: r.bits_per_second,
                burst: r.burst,
            })
        })
        .transpose()
    };
    Ok(tp_pipeline::Rates {
        from_client: spec(rates.from_client)?,
        to_client: spec(rates.to_client)?,
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
