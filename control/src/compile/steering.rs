//! What the steering maps hold for a model.

use std::collections::{BTreeMap, BTreeSet};

use tp_ebpf::{SteeringState, UdpKind};
use tp_pipeline::PortId;
use tp_pipeline::abi::{
    AddrKey, IngressKind, KeyKind, LinkKey, MAX_LINKS, MAX_LOCAL_ADDRS, MAX_LOCAL_MACS,
    MAX_TUNNELS, MAX_UDP_PORTS, MacKey, PortEntry, REF_LOCAL, SlotRef, TunnelKey, UdpPortKey,
    VLAN_8021AD, addr_bytes,
};
use tp_wire::MacAddr;

use super::slots::Slots;
use super::{CompileError, View, narrow};
use crate::model::{
    self, Attachment, Carried, KernelView, Model, Name, TunnelKind, Upstreams, Vlan,
};

/// Most source MACs of all upstreams and Ethernet links of clients together: half of the map, since a change writes new keys before it removes
/// old ones, so that the map holds both for a while.
pub const MAX_SOURCE_MACS: usize = MAX_LINKS / 2;

/// By what steering knows a link's packets. A link that keeps it keeps its slot and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkIdentity {
    /// Where its frames arrive, and from which MACs.
    Bare {
        /// Index of the port.
        port: PortId,
        /// The VLAN stack as in [`LinkKey`].
        vlan: [u16; 2],
        /// Source MACs: none while the next hop of an upstream is not resolved, and the zero address for a
        /// client, which may send from any.
        macs: BTreeSet<MacAddr>,
    },
    /// Its outer header.
    Carried(TunnelKey),
}

impl LinkIdentity {
    /// The source MACs of a bare link, as far as they are known and matter.
    pub fn source_macs(&self) -> impl Iterator<Item = MacAddr> {
        let macs = match self {
            Self::Bare { macs, .. } => Some(macs),
            Self::Carried(_) => None,
        };
        macs.into_iter()
            .flatten()
            .copied()
            .filter(|mac| !mac.is_zero())
    }
}

/// The MAC address that packets to an upstream are sent to, if there is one and it is known.
#[must_use]
pub fn next_hop_mac(
    upstream: &model::Upstream,
    model: &Model,
    kernel: &KernelView,
) -> Option<MacAddr> {
    match upstream.next_hop? {
        model::NextHop::Mac(mac) => Some(mac),
        model::NextHop::Address(address) => {
            let device = model.ethernet_device(&upstream.attachment, &upstream.addresses)?;
            let link = kernel.links.get(device)?;
            kernel.neighbours.get(&(link.ifindex, address)).copied()
        }
    }
}

/// The MAC addresses that an upstream's frames come from, as far as they are known.
#[must_use]
pub fn source_macs(
    upstream: &model::Upstream,
    model: &Model,
    kernel: &KernelView,
) -> BTreeSet<MacAddr> {
    if upstream.source_macs.is_empty() {
        next_hop_mac(upstream, model, kernel).into_iter().collect()
    } else {
        upstream.source_macs.iter().copied().collect()
    }
}

pub(super) fn upstream_identity(
    upstream: &model::Upstream,
    ports: &Slots<PortId, Name>,
    model: &Model,
    kernel: &KernelView,
) -> LinkIdentity {
    let macs = || source_macs(upstream, model, kernel);
    identity(&upstream.attachment, macs, ports)
}

pub(super) fn tunnel_identity(tunnel: &model::Tunnel, ports: &Slots<PortId, Name>) -> LinkIdentity {
    let any = || BTreeSet::from([MacAddr::new([0; 6])]);
    identity(&tunnel.attachment, any, ports)
}

fn identity(
    attachment: &Attachment,
    macs: impl FnOnce() -> BTreeSet<MacAddr>,
    ports: &Slots<PortId, Name>,
) -> LinkIdentity {
    match attachment {
        Attachment::Bare(bare) => LinkIdentity::Bare {
            port: ports.expect(&bare.port).id.slot,
            vlan: vlan_stack(&bare.vlans),
            macs: macs(),
        },
        Attachment::Carried(carried) => LinkIdentity::Carried(tunnel_key(carried)),
    }
}

fn vlan_stack(vlans: &[Vlan]) -> [u16; 2] {
    let mut stack = [0; 2];
    for (entry, tag) in stack.iter_mut().zip(vlans) {
        *entry = tag.vid | if tag.service { VLAN_8021AD } else { 0 };
    }
    stack
}

fn tunnel_key(carried: &Carried) -> TunnelKey {
    let Carried { remote, local, .. } = *carried;
    match carried.kind {
        TunnelKind::Ipip => TunnelKey::ipip(remote, local),
        TunnelKind::Gre { key } => TunnelKey::gre(remote, local, key),
        TunnelKind::Egre { key } => TunnelKey::egre(remote, local, key),
        TunnelKind::Fou(udp) => TunnelKey::udp(KeyKind::Fou, remote, local, udp.port),
        TunnelKind::Gue(udp) => TunnelKey::udp(KeyKind::Gue, remote, local, udp.port),
    }
}

/// A port's index as the steering maps hold it.
fn port_index(port: PortId) -> u16 {
    u16::try_from(port.0).unwrap_or_else(|_| unreachable!("ports are below MAX_PORTS"))
}

impl View<'_> {
    /// The contents of all steering maps.
    pub(super) fn steering(
        &self,
        shown: &BTreeMap<Name, MacAddr>,
        previous: Option<&SteeringState>,
    ) -> Result<SteeringState, CompileError> {
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
        self.links(&mut state);
        self.local_macs(shown, &mut state.local_macs);
        self.udp_ports(&mut state.udp_ports);
        check(
            "source MACs of upstreams and Ethernet links of clients",
            state.links.len(),
            MAX_SOURCE_MACS,
        )?;
        check(
            "MAC addresses of the portal",
            state.local_macs.len(),
            MAX_LOCAL_MACS / 2,
        )?;
        let count = with_retired(&state.udp_ports, previous.map(|p| &p.udp_ports));
        check("UDP ports", count, MAX_UDP_PORTS)?;
        let count = with_retired(&state.tunnels, previous.map(|p| &p.tunnels));
        check("tunnels and carried upstreams", count, MAX_TUNNELS)?;
        // Half of the map, as for MAX_SOURCE_MACS.
        check(
            "addresses of the portal",
            state.local_addrs.len(),
            MAX_LOCAL_ADDRS / 2,
        )?;
        Ok(state)
    }

    /// On a port with bare links that the portal's TAP device speaks for: its MAC, and those of the upstreams that such
    /// links show.
    fn local_macs(&self, shown: &BTreeMap<Name, MacAddr>, macs: &mut BTreeSet<MacKey>) {
        let tap = &self.model.portal.slow_path.tap;
        let upstreams = self.model.upstreams.values();
        let upstreams = upstreams.map(|u| (&u.attachment, &u.addresses, None));
        let tunnels = self.model.tunnels.values();
        let tunnels = tunnels.map(|t| (&t.attachment, &t.addresses, Some(&t.upstreams)));
        for (attachment, addresses, upstreams) in upstreams.chain(tunnels) {
            let Attachment::Bare(bare) = attachment else {
                continue;
            };
            let port = port_index(self.names.ports.expect(&bare.port).id.slot);
            let device = self.model.ethernet_device(attachment, addresses);
            let speaker = device.filter(|device| *device == tap);
            let own = speaker.and_then(|tap| Some(self.kernel.links.get(tap)?.mac));
            let shown = match upstreams {
                Some(Upstreams::Shown(upstreams)) => Some(upstreams.keys().map(|name| shown[name])),
                _ => None,
            };
            let all = own.into_iter().chain(shown.into_iter().flatten());
            macs.extend(all.map(|mac| MacKey::new(port, mac)));
        }
    }

    fn udp_ports(&self, ports: &mut BTreeMap<UdpPortKey, UdpKind>) {
        let upstreams = self.model.upstreams.values().map(|u| &u.attachment);
        let tunnels = self.model.tunnels.values().map(|t| &t.attachment);
        for carried in upstreams.chain(tunnels).filter_map(Attachment::carried) {
            let (udp, kind) = match carried.kind {
                TunnelKind::Fou(udp) => (udp, UdpKind::Fou),
                TunnelKind::Gue(udp) => (udp, UdpKind::Gue),
                TunnelKind::Ipip | TunnelKind::Gre { .. } | TunnelKind::Egre { .. } => continue,
            };
            let port_be = udp.port.to_be();
            ports.insert(UdpPortKey { port_be }, kind);
        }
    }

    /// Which packets are of which link. A MAC that two upstreams of one port and VLAN stack claim is of neither: what
    /// the kernel resolves to one MAC could be of either, and a guess would put one ISP's packets into the other's
    /// table.
    fn links(&self, state: &mut SteeringState) {
        let upstreams = self.names.upstreams.iter().map(|(name, allocated)| {
            let local = !self.model.upstreams[name].addresses.is_empty();
            let (slot, tag) = (allocated.id.slot.0, allocated.id.tag.0);
            (
                &allocated.identity,
                slot,
                tag,
                local,
                [IngressKind::Upstream, IngressKind::UpstreamTunnel],
            )
        });
        let tunnels = self.names.tunnels.iter().map(|(name, allocated)| {
            let local = !self.model.tunnels[name].addresses.is_empty();
            let (slot, tag) = (allocated.id.slot.0, allocated.id.tag.0);
            (
                &allocated.identity,
                slot,
                tag,
                local,
                [IngressKind::L2Client, IngressKind::Tunnel],
            )
        });
        let mut contested = BTreeSet::new();
        for (identity, slot, tag, local, [bare, carried]) in upstreams.chain(tunnels) {
            let entry = |ingress, flags| SlotRef {
                slot,
                tag,
                ingress: ingress as u16,
                flags,
            };
            match identity {
                LinkIdentity::Carried(key) => {
                    state.tunnels.insert(*key, entry(carried, 0));
                }
                LinkIdentity::Bare { port, vlan, macs } => {
                    let flags = if local { REF_LOCAL } else { 0 };
                    for mac in macs {
                        let key = LinkKey {
                            port: port_index(*port),
                            vlan: *vlan,
                            mac: mac.octets(),
                        };
                        if state.links.insert(key, entry(bare, flags)).is_some() {
                            contested.insert(key);
                        }
                    }
                }
            }
        }
        state.links.retain(|key, _| !contested.contains(key));
    }
}

/// How many keys a map holds while a change is under way: it writes new ones before it removes old ones.
fn with_retired<K: Ord, V>(new: &BTreeMap<K, V>, old: Option<&BTreeMap<K, V>>) -> usize {
    let retired = old.into_iter().flat_map(BTreeMap::keys);
    new.len() + retired.filter(|key| !new.contains_key(key)).count()
}

fn check(what: &'static str, count: usize, limit: usize) -> Result<(), CompileError> {
    if narrow(count) > narrow(limit) {
        return Err(CompileError::TooMany { what, count, limit });
    }
    Ok(())
}
