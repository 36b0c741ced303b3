//! Links: upstreams and tunnels alike, as a configuration and the kernel describe them.

use std::net::IpAddr;

use tp_control::model::{
    Attachment, Bare, Carried, Link, LinkAddresses, Name, NextHop, Tunnel, TunnelKind, Upstream,
    Upstreams,
};
use tp_wire::MacAddr;

use super::Portal;

/// What packets come from and leave by.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// An upstream with its name.
    Upstream(&'a Name, &'a Upstream),
    /// A tunnel with its name.
    Tunnel(&'a Name, &'a Tunnel),
}

impl<'a> End<'a> {
    /// How it is attached.
    #[must_use]
    pub fn attachment(self) -> &'a Attachment {
        match self {
            Self::Upstream(_, upstream) => &upstream.attachment,
            Self::Tunnel(_, tunnel) => &tunnel.attachment,
        }
    }

    /// Its port and VLANs, if it is bare.
    #[must_use]
    pub fn bare(self) -> Option<&'a Bare> {
        match self.attachment() {
            Attachment::Bare(bare) => Some(bare),
            Attachment::Carried(_) => None,
        }
    }

    /// Its outer header, if it is carried.
    #[must_use]
    pub fn carried(self) -> Option<&'a Carried> {
        match self.attachment() {
            Attachment::Bare(_) => None,
            Attachment::Carried(carried) => Some(carried),
        }
    }

    /// Its pairs of link addresses.
    #[must_use]
    pub fn addresses(self) -> &'a [LinkAddresses] {
        match self {
            Self::Upstream(_, upstream) => &upstream.addresses,
            Self::Tunnel(_, tunnel) => &tunnel.addresses,
        }
    }

    /// Whether an Ethernet header stands behind the carrier.
    #[must_use]
    pub fn is_ethernet(self) -> bool {
        match self.carried() {
            None => true,
            Some(carried) => matches!(carried.kind, TunnelKind::Egre { .. }),
        }
    }

    /// Whether the slow path, not the kernel's device, speaks to the other end.
    #[must_use]
    pub fn is_local(self) -> bool {
        !self.addresses().is_empty()
    }

    /// The upstreams that an Ethernet link shows side by side.
    pub fn shows(self) -> impl Iterator<Item = &'a Name> {
        let shown = match self {
            Self::Tunnel(_, tunnel) => match &tunnel.upstreams {
                Upstreams::Shown(shown) => Some(shown.keys()),
                Upstreams::One(_) => None,
            },
            Self::Upstream(..) => None,
        };
        shown.into_iter().flatten()
    }

    /// The upstream whose vFIB is the link's own.
    #[must_use]
    pub fn own_upstream(self) -> Option<&'a Name> {
        match self {
            Self::Upstream(name, _) => Some(name),
            Self::Tunnel(_, tunnel) => match &tunnel.upstreams {
                Upstreams::One(name) => Some(name),
                Upstreams::Shown(_) => None,
            },
        }
    }
}

impl<'a> Portal<'a> {
    /// The device whose MAC an Ethernet link has, and on which the kernel knows its neighbour: the
    /// TAP device, but for bare links without link addresses, whose neighbour is the port's.
    fn speaker(&self, end: End<'a>) -> Option<&'a Link> {
        match end.bare() {
            Some(bare) if !end.is_local() => self.kernel.links.get(&bare.port),
            _ => self.kernel.links.get(&self.model.portal.slow_path.tap),
        }
    }

    /// An Ethernet link's own MAC.
    #[must_use]
    pub fn own_mac(&self, end: End<'a>) -> Option<MacAddr> {
        self.speaker(end).map(|device| device.mac)
    }

    /// The MAC of an Ethernet link's other end, if it is known.
    #[must_use]
    pub fn peer_mac(&self, end: End<'a>) -> Option<MacAddr> {
        let resolved = |address: IpAddr| {
            let device = self.speaker(end)?;
            let neighbours = &self.kernel.neighbours;
            neighbours.get(&(device.ifindex, address)).copied()
        };
        match end {
            End::Upstream(_, upstream) => match upstream.next_hop? {
                NextHop::Mac(mac) => Some(mac),
                NextHop::Address(address) => resolved(address),
            },
            End::Tunnel(_, tunnel) => (tunnel.peer)
                .or_else(|| tunnel.addresses.iter().find_map(|pair| resolved(pair.peer))),
        }
    }

    /// The MACs that an Ethernet link shows, with the upstream that each stands for.
    pub fn shown(&self, end: End<'a>) -> impl Iterator<Item = (MacAddr, &'a Name)> {
        let macs = &self.numbers.shown;
        end.shows().map(|name| (macs[name], name))
    }

    /// From which MACs a bare link's frames come; a client's from any.
    #[must_use]
    pub fn source_macs(&self, end: End<'a>) -> Option<Vec<MacAddr>> {
        match end {
            End::Upstream(_, upstream) if upstream.source_macs.is_empty() => {
                Some(self.peer_mac(end).into_iter().collect())
            }
            End::Upstream(_, upstream) => Some(upstream.source_macs.clone()),
            End::Tunnel(..) => None,
        }
    }

    /// The port by which a carrier's far end is reached and the MAC to send to, if known.
    #[must_use]
    pub fn far_end(&self, carried: &Carried) -> Option<(&'a Name, &'a Link, MacAddr)> {
        let route = self.kernel.underlay.get(&carried.remote)?;
        let (name, link, _) = self.port(route.ifindex)?;
        let hop = route.gateway.unwrap_or(carried.remote);
        let mac = self.kernel.neighbours.get(&(route.ifindex, hop))?;
        Some((name, link, *mac))
    }

    /// Whether a frame to this MAC is for the portal on this port.
    #[must_use]
    pub fn is_local_mac(&self, port: &str, mac: MacAddr) -> bool {
        let device = self.kernel.links.get(port);
        let mut links = (self.ends()).filter(|e| e.bare().is_some_and(|b| b.port == port));
        device.is_some_and(|device| device.mac == mac)
            || links.any(|end| {
                self.own_mac(end) == Some(mac) || self.shown(end).any(|(shown, _)| shown == mac)
            })
    }
}
