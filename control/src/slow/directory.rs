//! Which link is whose: by its peers' addresses for what the kernel sends, by its slot for what it brings.

use std::collections::HashMap;
use std::net::IpAddr;

use tp_pipeline::abi::{IngressKind, Meta};
use tp_pipeline::{Link, Tables, Tag, TunnelSlot, UpstreamSlot};
use tp_wire::MacAddr;
use tp_xsk::Carries;

use super::answer::{Shown, link_local};

/// A link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LinkId {
    /// To an ISP.
    Upstream(UpstreamSlot),
    /// To a client.
    Tunnel(TunnelSlot),
}

impl LinkId {
    /// The link that a packet came by, and the tag that its slot had then.
    pub(super) fn of(meta: &Meta) -> Option<(Self, Tag)> {
        let id = match IngressKind::from_u8(meta.ingress)? {
            IngressKind::Upstream | IngressKind::UpstreamTunnel => {
                Self::Upstream(UpstreamSlot(meta.slot))
            }
            IngressKind::Tunnel | IngressKind::L2Client => Self::Tunnel(TunnelSlot(meta.slot)),
            IngressKind::OuterFragment
            | IngressKind::OuterIcmp
            | IngressKind::OuterIcmpUpstream => {
                return None;
            }
        };
        Some((id, Tag(meta.tag)))
    }

    /// The link in these tables, if its slot still has this tag.
    pub(super) fn find(self, tag: Tag, tables: &Tables) -> Option<&Link> {
        let (found, link) = match self {
            Self::Upstream(slot) => {
                let upstream = tables.upstreams.get(slot.index())?.as_ref()?;
                (upstream.tag, &upstream.link)
            }
            Self::Tunnel(slot) => {
                let tunnel = tables.tunnels.get(slot.index())?.as_ref()?;
                (tunnel.tag, &tunnel.link)
            }
        };
        (found == tag).then_some(link)
    }

    /// Spreads links over workers; the packets of one stay with one, and so in their order.
    pub(super) fn spread(self, workers: usize) -> usize {
        let slot = match self {
            Self::Upstream(slot) => slot.index(),
            Self::Tunnel(slot) => slot.index(),
        };
        slot % workers
    }
}

/// A link with link addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: LinkId,
    pub(super) tag: Tag,
    pub(super) carries: Carries,
    pub(super) shown: Shown,
}

/// All links with link addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    entries: Vec<Entry>,
    by_peer: HashMap<IpAddr, usize>,
    by_id: HashMap<(LinkId, Tag), usize>,
}

impl Directory {
    /// Of these tables. `tap` is the TAP's MAC address; `shown_on` tells which addresses have which MAC address on a
    /// link to several upstreams.
    pub(super) fn of(
        tables: &Tables,
        tap: MacAddr,
        shown_on: impl Fn(TunnelSlot) -> Vec<(IpAddr, MacAddr)>,
    ) -> Self {
        let mut directory = Self::default();
        let upstreams = (0..).map(UpstreamSlot).zip(&tables.upstreams);
        for (slot, upstream) in upstreams.filter_map(|(slot, u)| Some((slot, u.as_ref()?))) {
            let id = LinkId::Upstream(slot);
            directory.add(id, upstream.tag, &upstream.link, tap, Vec::new());
        }
        let tunnels = (0..).map(TunnelSlot).zip(&tables.tunnels);
        for (slot, tunnel) in tunnels.filter_map(|(slot, t)| Some((slot, t.as_ref()?))) {
            let id = LinkId::Tunnel(slot);
            directory.add(id, tunnel.tag, &tunnel.link, tap, shown_on(slot));
        }
        directory
    }

    fn add(
        &mut self,
        id: LinkId,
        tag: Tag,
        link: &Link,
        tap: MacAddr,
        shown: Vec<(IpAddr, MacAddr)>,
    ) {
        let Some(local) = &link.local else { return };
        let carries = carries(link);
        // A bare upstream's own MAC address is judged by steering, so its tables do not have it.
        let own = link.ethernet.as_ref().map_or(tap, |ethernet| ethernet.own);
        let mut answers = shown;
        answers.extend(local.pairs.iter().map(|pair| (pair.portal, own)));
        if local.pairs.iter().any(|pair| pair.portal.is_ipv6()) {
            answers.push((link_local(own).into(), own));
        }
        answers.sort_unstable();
        answers.dedup();
        let peers: Vec<IpAddr> = local.pairs.iter().map(|pair| pair.peer).collect();
        let index = self.entries.len();
        self.by_peer.extend(peers.iter().map(|peer| (*peer, index)));
        self.by_id.insert((id, tag), index);
        self.entries.push(Entry {
            id,
            tag,
            carries,
            shown: Shown { answers, peers },
        });
    }

    /// The link with this peer.
    pub(super) fn with_peer(&self, peer: IpAddr) -> Option<&Entry> {
        self.by_peer.get(&peer).map(|index| &self.entries[*index])
    }

    /// The link that a packet came by.
    pub(super) fn source_of(&self, meta: &Meta) -> Option<&Entry> {
        let index = self.by_id.get(&LinkId::of(meta)?)?;
        Some(&self.entries[*index])
    }
}

/// What a link carries, and so which device speaks with its far end.
pub(super) fn carries(link: &Link) -> Carries {
    if link.encap.is_ethernet() {
        Carries::Frames
    } else {
        Carries::Packets
    }
}
