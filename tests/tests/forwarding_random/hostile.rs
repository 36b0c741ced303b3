//! Packets that steering would not hand over, and what must hold of those that leave all the same.

use std::net::Ipv4Addr;

use etherparse::{LaxPacketHeaders, NetHeaders};
use tp_control::model::Tunnel;
use tp_pipeline::PortId;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_tests::generate::{Devices, Rng, frame};

use crate::generation::{Generation, distort};
use crate::worker::Received;

impl Generation {
    /// A packet whose bytes changed after steering saw it, or that steering never saw.
    pub(crate) fn hostile(&self, rng: &mut Rng, port: PortId) -> Received {
        let mut arriving = frame(rng, &self.config, &Devices::default());
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
        let upstreams = self.numbers.upstreams.values().map(|id| (1, *id));
        let tunnels = self.numbers.tunnels.values().map(|id| (2, *id));
        let links: Vec<_> = upstreams.chain(tunnels).collect();
        let (ingress, id) = links[rng.usize(0..links.len())];
        let l3_off = [14, 14, 14, 18, 22, 0, 34][rng.usize(0..7)];
        let overhead = if ingress == 1 {
            0
        } else {
            [20, 24, 28][rng.usize(0..3)]
        };
        Meta {
            slot: id.slot,
            tag: id.tag,
            magic: META_MAGIC,
            port: 0,
            ingress,
            vlans: 0,
            l3_off,
            l4_off: l3_off + 20,
            inner_off: l3_off + overhead,
            reserved: 0,
        }
    }

    /// From a tunnel only with a source of its client, from an upstream only into a tunnel: read
    /// from the bytes that leave, with nothing of the pipeline or of the reference's parser.
    pub(crate) fn assert_may_leave(&self, received: &Received, bytes: &[u8]) {
        let portal = self.portal();
        let start = usize::from(received.meta.inner_off);
        let length = u16::from_be_bytes([received.frame[start + 2], received.frame[start + 3]]);
        let inner = &bytes[bytes.len() - usize::from(length)..];
        let source = Ipv4Addr::new(inner[12], inner[13], inner[14], inner[15]);
        let network = LaxPacketHeaders::from_ethernet(bytes).unwrap().net;
        let Some(NetHeaders::Ipv4(outermost, _)) = network else {
            panic!("no IPv4 packet leaves:\n{self:#?}\n{received:?}\n{bytes:02x?}");
        };
        let encapsulated = outermost.total_len > length;
        let may = match IngressKind::from_u8(received.meta.ingress) {
            Some(IngressKind::Upstream) => {
                let ends = (outermost.source.into(), outermost.destination.into());
                let leads_there = |t: &Tunnel| {
                    let carried = t.attachment.carried();
                    carried.is_some_and(|c| (c.local, c.remote) == ends)
                };
                encapsulated && self.config.model.tunnels.values().any(leads_there)
            }
            Some(IngressKind::Tunnel) => {
                let mut tunnels = self.numbers.tunnels.iter();
                let name = tunnels.find(|(_, id)| id.slot == received.meta.slot);
                name.is_some_and(|(name, _)| {
                    portal.owner(source) == Some(&self.config.model.tunnels[name].client)
                })
            }
            _ => false,
        };
        assert!(may, "{self:#?}\n{received:?}\n{bytes:02x?}");
    }
}
