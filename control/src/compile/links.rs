//! The links of upstreams and tunnels: how packets get in and out.

use std::collections::BTreeMap;

use tp_pipeline::{
    Encap, Ends, EthernetAddresses, EthernetLink, Link, LinkAddresses, LinkHeader, Local, VfibId,
};
use tp_wire::MacAddr;

use super::{CompileError, View, next_hop_mac};
use crate::model::{
    self, Attachment, Bare, Carried, KernelView, Model, Name, TunnelKind, Upstreams, Vlan,
};

/// Of which virtual table an upstream is, and by which MAC address it is shown.
pub(super) type Vfibs = BTreeMap<Name, (VfibId, MacAddr)>;

/// Either end's description of a link: what upstreams and tunnels have in common.
struct Described<'a> {
    attachment: &'a Attachment,
    addresses: &'a [model::LinkAddresses],
    /// Of an Ethernet link, the other end's MAC address, once it is known.
    peer: Option<MacAddr>,
}

impl View<'_> {
    pub(super) fn upstream_link(&self, upstream: &model::Upstream) -> Result<Link, CompileError> {
        let link = Described {
            attachment: &upstream.attachment,
            addresses: &upstream.addresses,
            peer: next_hop_mac(upstream, self.model, self.kernel),
        };
        // A bare upstream's destination is steering's to judge.
        let checks = upstream.attachment.bare().is_none();
        self.link(&link, checks.then(Box::default))
    }

    pub(super) fn tunnel_link(
        &self,
        tunnel: &model::Tunnel,
        vfibs: &Vfibs,
    ) -> Result<Link, CompileError> {
        let mut shown: Vec<(MacAddr, VfibId)> = match &tunnel.upstreams {
            Upstreams::One(_) => Vec::new(),
            Upstreams::Shown(shown) => shown
                .keys()
                .map(|name| (vfibs[name].1, vfibs[name].0))
                .collect(),
        };
        shown.sort_unstable();
        let link = Described {
            attachment: &tunnel.attachment,
            addresses: &tunnel.addresses,
            peer: peer_mac(tunnel, self.model, self.kernel),
        };
        self.link(&link, Some(shown.into()))
    }

    /// `shown` is of a link that judges destination MACs, if it is an Ethernet link at all.
    fn link(
        &self,
        link: &Described<'_>,
        shown: Option<Box<[(MacAddr, VfibId)]>>,
    ) -> Result<Link, CompileError> {
        let own = own_mac(link.attachment, link.addresses, self.model, self.kernel);
        let underlay = match link.attachment {
            Attachment::Bare(bare) => self.bare_header(bare, [MacAddr::default(); 2]),
            Attachment::Carried(carried) => self.underlay_header(carried),
        };
        let egress = match link.attachment {
            Attachment::Bare(bare) => {
                (link.peer.zip(own)).and_then(|(peer, own)| self.bare_header(bare, [peer, own]))
            }
            Attachment::Carried(_) if link.attachment.is_ethernet() => {
                underlay.filter(|_| link.peer.is_some() && own.is_some())
            }
            Attachment::Carried(_) => underlay,
        };
        let ethernet = shown.filter(|_| link.attachment.is_ethernet());
        Ok(Link {
            egress,
            encap: encap(link, own),
            ethernet: ethernet.map(|shown| EthernetLink {
                own: own.unwrap_or_default(),
                shown,
            }),
            local: self.local(link.addresses, underlay)?,
        })
    }

    fn local(
        &self,
        addresses: &[model::LinkAddresses],
        egress: Option<LinkHeader>,
    ) -> Result<Option<Box<Local>>, CompileError> {
        if addresses.is_empty() {
            return Ok(None);
        }
        let pairs = addresses.iter().map(|pair| LinkAddresses {
            portal: pair.portal,
            peer: pair.peer,
        });
        Ok(Some(Box::new(Local {
            pairs: pairs.collect(),
            egress,
            rate: super::meter(self.model.portal.slow_path.rate)?,
        })))
    }

    /// How frames of a bare link start; `None` while its port has no device.
    fn bare_header(&self, bare: &Bare, [destination, source]: [MacAddr; 2]) -> Option<LinkHeader> {
        self.kernel.links.get(&bare.port)?;
        self.link_header(&bare.port, [destination, source], &bare.vlans)
    }

    /// How frames to a carried link's far end start; `None` where the kernel knows no way by a port,
    /// or not yet the neighbour's MAC address.
    fn underlay_header(&self, carried: &Carried) -> Option<LinkHeader> {
        let route = self.kernel.underlay.get(&carried.remote)?;
        let neighbour = (route.ifindex, route.gateway.unwrap_or(carried.remote));
        let mac = *self.kernel.neighbours.get(&neighbour)?;
        let (name, link) = self.devices.get(&route.ifindex)?;
        self.link_header(name, [mac, link.mac], &[])
    }

    fn link_header(
        &self,
        port: &str,
        [destination, source]: [MacAddr; 2],
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
}

/// The portal's own MAC address on an Ethernet link: that of the device which speaks for it there.
#[must_use]
pub fn own_mac(
    attachment: &Attachment,
    addresses: &[model::LinkAddresses],
    model: &Model,
    kernel: &KernelView,
) -> Option<MacAddr> {
    let device = model.ethernet_device(attachment, addresses)?;
    kernel.links.get(device).map(|link| link.mac)
}

/// The MAC address of an Ethernet tunnel's other end: as configured, or as the kernel resolves the first link address
/// that it can.
#[must_use]
pub fn peer_mac(tunnel: &model::Tunnel, model: &Model, kernel: &KernelView) -> Option<MacAddr> {
    let device = model.ethernet_device(&tunnel.attachment, &tunnel.addresses)?;
    if tunnel.peer.is_some() {
        return tunnel.peer;
    }
    let ifindex = kernel.links.get(device)?.ifindex;
    let resolved =
        |pair: &model::LinkAddresses| kernel.neighbours.get(&(ifindex, pair.peer)).copied();
    tunnel.addresses.iter().find_map(resolved)
}

fn encap(link: &Described<'_>, own: Option<MacAddr>) -> Encap {
    let Attachment::Carried(carried) = link.attachment else {
        return Encap::bare();
    };
    let Carried {
        local,
        remote,
        ttl,
        dscp,
        ..
    } = *carried;
    let Some(ends) = Ends::new(local, remote, ttl, dscp) else {
        unreachable!("the outer addresses of a model are of one family");
    };
    match carried.kind {
        TunnelKind::Ipip => Encap::ipip(ends),
        TunnelKind::Gre { key } => Encap::gre(ends, key),
        TunnelKind::Egre { key } => {
            // While one of them is unknown nothing leaves: there is no link header.
            let (own, peer) = (own.unwrap_or_default(), link.peer.unwrap_or_default());
            Encap::egre(ends, key, EthernetAddresses { own, peer })
        }
        TunnelKind::Fou(udp) => Encap::fou(ends, udp.remote_port, udp.checksum),
        TunnelKind::Gue(udp) => Encap::gue(ends, udp.remote_port, udp.checksum),
    }
}
