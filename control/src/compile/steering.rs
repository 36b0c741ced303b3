//! What the steering maps hold for a model.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tp_ebpf::SteeringState;
use tp_pipeline::PortId;
use tp_pipeline::abi::{
    AddrKey, IngressKind, LinkKey, MAX_LINKS, MAX_LOCAL_ADDRS, MacKey, PortEntry, SlotRef,
    TunnelKey, VLAN_8021AD, addr_bytes,
};
use tp_wire::MacAddr;

use super::slots::Slots;
use super::{CompileError, View, narrow};
use crate::model::{self, KernelView, Name};

/// Most source MACs of all upstreams together: half of the map, since a change writes new keys before it removes
/// old ones, so that the map holds both for a while.
pub const MAX_SOURCE_MACS: usize = MAX_LINKS / 2;

/// By what steering knows an upstream: where its frames arrive, and from which MACs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamIdentity {
    /// Index of the port.
    pub port: PortId,
    /// The VLAN stack as in [`LinkKey`].
    pub vlan: [u16; 2],
    /// Source MACs; empty while the next hop is not resolved.
    pub macs: BTreeSet<MacAddr>,
}

/// The MAC address that packets to an upstream are sent to, if it is known.
#[must_use]
pub fn next_hop_mac(upstream: &model::Upstream, kernel: &KernelView) -> Option<MacAddr> {
    match upstream.next_hop {
        model::NextHop::Mac(mac) => Some(mac),
        model::NextHop::Address(address) => {
            let link = kernel.links.get(&upstream.port)?;
            kernel.neighbours.get(&(link.ifindex, address)).copied()
        }
    }
}

/// The MAC addresses that an upstream's frames come from, as far as they are known.
#[must_use]
pub fn source_macs(upstream: &model::Upstream, kernel: &KernelView) -> BTreeSet<MacAddr> {
    if upstream.source_macs.is_empty() {
        next_hop_mac(upstream, kernel).into_iter().collect()
    } else {
        upstream.source_macs.iter().copied().collect()
    }
}

pub(super) fn upstream_identity(
    upstream: &model::Upstream,
    ports: &Slots<PortId, Name>,
    kernel: &KernelView,
) -> UpstreamIdentity {
    let mut vlan = [0; 2];
    for (entry, tag) in vlan.iter_mut().zip(&upstream.vlans) {
        *entry = tag.vid | if tag.service { VLAN_8021AD } else { 0 };
    }
    UpstreamIdentity {
        port: ports.expect(&upstream.port).id.slot,
        vlan,
        macs: source_macs(upstream, kernel),
    }
}

pub(super) fn tunnel_key(tunnel: &model::Tunnel) -> TunnelKey {
    let (remote, local) = (IpAddr::V4(tunnel.remote), IpAddr::V4(tunnel.local));
    match tunnel.kind {
        model::TunnelKind::Ipip => TunnelKey::ipip(remote, local),
        model::TunnelKind::Gre { key } => TunnelKey::gre(remote, local, key),
    }
}

/// A port's index as the steering maps hold it.
fn port_index(port: PortId) -> u16 {
    u16::try_from(port.0).unwrap_or_else(|_| unreachable!("ports are below MAX_PORTS"))
}

impl View<'_> {
    /// The contents of all steering maps.
    pub(super) fn steering(&self) -> Result<SteeringState, CompileError> {
        let mut state = SteeringState::default();
        for (name, allocated) in self.names.ports.iter() {
            let Some(link) = self.kernel.links.get(name) else {
                continue;
            };
            let port = port_index(allocated.id.slot);
            let queues = u16::try_from(link.rx_queues).unwrap_or(u16::MAX);
            state.ports.insert(
                link.ifindex,
                PortEntry {
                    port,
                    queues,
                    reserved: 0,
                },
            );
            state.local_macs.insert(MacKey::new(port, link.mac));
        }
        state.local_addrs = self
            .kernel
            .addresses
            .iter()
            .map(|a| AddrKey {
                addr: addr_bytes(*a),
            })
            .collect();
        for (_, allocated) in self.names.tunnels.iter() {
            let ingress = IngressKind::Tunnel as u16;
            let (slot, tag) = (allocated.id.slot.0, allocated.id.tag.0);
            state.tunnels.insert(
                allocated.identity,
                SlotRef {
                    slot,
                    tag,
                    ingress,
                    flags: 0,
                },
            );
        }
        state.links = self.links();
        check(
            "source MACs of upstreams",
            state.links.len(),
            MAX_SOURCE_MACS,
        )?;
        // Half of the map, as for MAX_SOURCE_MACS.
        check(
            "addresses of the portal",
            state.local_addrs.len(),
            MAX_LOCAL_ADDRS / 2,
        )?;
        Ok(state)
    }

    /// Which upstream frames are from. A key that two upstreams claim is of neither: what the kernel resolves
    /// to one MAC could be of either, and a guess would put one ISP's packets into the other's table.
    fn links(&self) -> BTreeMap<LinkKey, SlotRef> {
        let mut links = BTreeMap::new();
        let mut contested = BTreeSet::new();
        for (_, allocated) in self.names.upstreams.iter() {
            let UpstreamIdentity { port, vlan, macs } = &allocated.identity;
            let ingress = IngressKind::Upstream as u16;
            let (slot, tag) = (allocated.id.slot.0, allocated.id.tag.0);
            for mac in macs {
                let key = LinkKey {
                    port: port_index(*port),
                    vlan: *vlan,
                    mac: mac.octets(),
                };
                if links
                    .insert(
                        key,
                        SlotRef {
                            slot,
                            tag,
                            ingress,
                            flags: 0,
                        },
                    )
                    .is_some()
                {
                    contested.insert(key);
                }
            }
        }
        links.retain(|key, _| !contested.contains(key));
        links
    }
}

fn check(what: &'static str, count: usize, limit: usize) -> Result<(), CompileError> {
    if narrow(count) > narrow(limit) {
        return Err(CompileError::TooMany { what, count, limit });
    }
    Ok(())
}
