//! Packets that steering would not hand over, and what must hold of those that leave all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tp_control::model::{Carried, Name, Tunnel, TunnelKind};
use tp_pipeline::PortId;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_tests::generate::{Devices, Rng, frame};
use tp_tests::reference::End;
use tp_tests::reference::forwarding::Outcome;

use crate::generation::{Generation, distort};
use crate::worker::Received;

impl Generation {
    /// A packet whose bytes changed after steering saw it, or that steering never saw.
    pub(crate) fn hostile(&self, rng: &mut Rng, port: PortId) -> Received {
        let mut arriving = frame(rng, &self.portal(), &Devices::default());
        let mut meta = match self.steered(&arriving) {
            Some(meta) if rng.bool() => meta,
            _ => self.plausible(rng),
        };
        meta.port = u16::try_from(port.0).unwrap();
        if rng.u32(0..4) == 0 {
            distort(rng, &mut meta);
        }
        for _ in 0..rng.u32(0..3) {
            if !arriving.frame.is_empty() {
                let at = rng.usize(0..arriving.frame.len());
                arriving.frame[at] = rng.u8(..);
            }
        }
        Received {
            meta,
            frame: arriving.frame,
            headroom: 256,
        }
    }

    /// Metadata of a link that is there, with offsets that a packet may have.
    fn plausible(&self, rng: &mut Rng) -> Meta {
        let portal = self.portal();
        let ends: Vec<End<'_>> = portal.ends().collect();
        let end = ends[rng.usize(0..ends.len())];
        let id = portal.id(end);
        let ingress = match (end, end.bare()) {
            (End::Upstream(..), Some(_)) => IngressKind::Upstream,
            (End::Upstream(..), None) => IngressKind::UpstreamTunnel,
            (End::Tunnel(..), Some(_)) => IngressKind::L2Client,
            (End::Tunnel(..), None) => IngressKind::Tunnel,
        };
        let l3_off = [14, 14, 14, 18, 22, 0, 34][rng.usize(0..7)];
        let overhead = match end.bare() {
            Some(_) => 0,
            None => [20, 24, 28, 32, 40, 44, 48][rng.usize(0..7)],
        };
        Meta {
            slot: id.slot,
            tag: id.tag,
            magic: META_MAGIC,
            port: 0,
            ingress: ingress as u8,
            vlans: 0,
            l3_off,
            l4_off: l3_off + 20,
            inner_off: l3_off + overhead,
            reserved: 0,
        }
    }

    /// From a tunnel only with a source of its client, from an upstream only into a tunnel, to the kernel only what
    /// is between a link's addresses or resolves them: read from the bytes that leave, with nothing of the
    /// pipeline or of the reference's parser.
    pub(crate) fn assert_allowed(&self, received: &Received, outcome: &Outcome) {
        let portal = self.portal();
        let is_upstreams = match IngressKind::from_u8(received.meta.ingress) {
            Some(IngressKind::Upstream | IngressKind::UpstreamTunnel) => true,
            Some(IngressKind::Tunnel | IngressKind::L2Client) => false,
            _ => {
                assert!(matches!(outcome, Outcome::Drop(_)), "{received:?}");
                return;
            }
        };
        let from = portal.ends().find(|end| {
            matches!(end, End::Upstream(..)) == is_upstreams
                && portal.id(*end).slot == received.meta.slot
        });
        let allowed = match (outcome, from) {
            (Outcome::Drop(_), _) => true,
            (_, None) => false,
            (Outcome::Transmit(port, bytes), Some(End::Upstream(..))) => {
                (self.ways(*port, bytes)).any(|(end, _)| matches!(end, End::Tunnel(..)))
            }
            (Outcome::Transmit(port, bytes), Some(End::Tunnel(_, tunnel))) => {
                let is_own =
                    |inner: &[u8]| ends(inner).is_some_and(|(source, _)| self.owns(tunnel, source));
                self.ways(*port, bytes).any(|(_, inner)| is_own(inner))
            }
            (Outcome::Tun(packet), Some(end)) => is_talk(end, packet),
            (Outcome::Tap(frame), Some(end)) => is_talk_or_resolution(end, frame),
        };
        assert!(allowed, "{self:#?}\n{received:?}\n{outcome:02x?}");
    }

    fn owns(&self, tunnel: &Tunnel, source: IpAddr) -> bool {
        let prefixes = &self.config.model.clients[&tunnel.client].prefixes;
        prefixes.iter().any(|prefix| prefix.contains(&source))
    }

    /// The links by which a frame may have left this port, and the inner packet that it carries there.
    fn ways<'a>(
        &'a self,
        port: u16,
        frame: &'a [u8],
    ) -> impl Iterator<Item = (End<'a>, &'a [u8])> + 'a {
        let portal = self.portal();
        let is_port = move |name: &Name| self.numbers.ports.get(name) == Some(&port);
        let ends: Vec<End<'a>> = portal.ends().collect();
        ends.into_iter().filter_map(move |end| {
            let inner = match (end.bare(), end.carried()) {
                (Some(bare), _) => {
                    let peer = portal.peer_mac(end)?;
                    let start = 14 + 4 * bare.vlans.len();
                    let tags = (bare.vlans.iter()).map(|vlan| vlan.vid.to_be_bytes());
                    let tagged = tags
                        .enumerate()
                        .all(|(n, vid)| frame.get(14 + 4 * n..16 + 4 * n) == Some(&vid[..]));
                    let there = is_port(&bare.port) && frame[..6] == peer.octets() && tagged;
                    there.then(|| frame.get(start..)).flatten()
                }
                (None, Some(carried)) => carried_by(carried, frame),
                (None, None) => None,
            };
            Some((end, inner?))
        })
    }
}

/// What a frame carries between these outer addresses, if it does.
fn carried_by<'a>(carried: &Carried, frame: &'a [u8]) -> Option<&'a [u8]> {
    let (header, addresses) = match (carried.local, carried.remote) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (20, [from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => (40, [from.octets(), to.octets()].concat()),
        _ => return None,
    };
    let key = |key: Option<u32>| if key.is_some() { 4 } else { 0 };
    let tunnel = match carried.kind {
        TunnelKind::Ipip => 0,
        TunnelKind::Gre { key: k } => 4 + key(k),
        TunnelKind::Egre { key: k } => 4 + key(k) + 14,
        TunnelKind::Fou(_) => 8,
        TunnelKind::Gue(_) => 12,
    };
    let outer = frame.get(14..)?;
    let there = outer.get(header - addresses.len()..header) == Some(&addresses[..]);
    there.then(|| outer.get(header + tunnel..)).flatten()
}

/// Source and destination of an IP packet.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let at = |at: usize| packet.get(at..at + 4)?.try_into().ok();
            let v4 = |bytes: [u8; 4]| IpAddr::from(Ipv4Addr::from(bytes));
            Some((at(12).map(v4)?, at(16).map(v4)?))
        }
        6 => {
            let at = |at: usize| packet.get(at..at + 16)?.try_into().ok();
            let v6 = |bytes: [u8; 16]| IpAddr::from(Ipv6Addr::from(bytes));
            Some((at(8).map(v6)?, at(24).map(v6)?))
        }
        _ => None,
    }
}

/// Whether a packet goes from a link's other end to the portal.
fn is_talk(end: End<'_>, packet: &[u8]) -> bool {
    let Some((from, to)) = ends(packet) else {
        return false;
    };
    let pairs = end.addresses();
    pairs.iter().any(|pair| pair.peer == from) && pairs.iter().any(|pair| pair.portal == to)
}

fn is_talk_or_resolution(end: End<'_>, frame: &[u8]) -> bool {
    if end.addresses().is_empty() {
        return false;
    }
    match frame.get(12..14) {
        Some([0x08, 0x06]) => frame.len() == 14 + 28,
        // Next header, hop limit, type.
        Some([0x86, 0xdd]) if frame[20] == 58 && frame[21] == 255 => {
            frame.get(54).is_some_and(|kind| (133..=136).contains(kind))
                || is_talk(end, &frame[14..])
        }
        Some([0x08, 0x00] | [0x86, 0xdd]) => is_talk(end, &frame[14..]),
        _ => false,
    }
}
