//! What the kernel sends to the other ends of links, given their headers.

use std::net::IpAddr;

use tp_control::compile::Compiled;
use tp_pipeline::{Link, Packet, TunnelSlot, UpstreamSlot, originate};
use tp_tests::generate::Rng;
use tp_tests::packet::{Arp, Frame, Icmp, Icmp6, Ip, Network, Tcp, Transport, Udp};
use tp_tests::reference::{End, forwarding};
use tp_wire::MacAddr;

use crate::generation::Generation;
use crate::worker::{CHUNK, outcome};

impl Generation {
    /// Sends a random packet to each link that has link addresses; says what became of them.
    pub(crate) fn compare_originated(&self, rng: &mut Rng) -> Vec<forwarding::Outcome> {
        let portal = self.portal();
        let local = portal.ends().filter(|end| end.is_local());
        let compare = |end: End<'_>| {
            let sent = sent(rng, end);
            // Enough for all headers, or for some of them.
            let headroom = [256, 256, 256, rng.usize(0..80)][rng.usize(0..4)];
            let mut chunk = vec![0x5a; CHUNK];
            chunk[headroom..headroom + sent.len()].copy_from_slice(&sent);
            let mut packet = Packet::new(&mut chunk, headroom, sent.len()).unwrap();
            let link = link(&self.compiled, portal.id(end).slot, end);
            let verdict = originate(link, &self.compiled.tables, &mut packet);
            let got = outcome(&packet, verdict);
            let expected = forwarding::originate(&portal, end, &sent, headroom);
            assert_eq!(got, expected, "{self:#?}\n{end:?}\n{sent:02x?}");
            expected
        };
        local.map(compare).collect()
    }
}

fn link<'a>(compiled: &'a Compiled, slot: u32, end: End<'_>) -> &'a Link {
    match end {
        End::Upstream(..) => {
            let slot = UpstreamSlot(slot).index();
            &compiled.tables.upstreams[slot].as_ref().unwrap().link
        }
        End::Tunnel(..) => {
            let slot = TunnelSlot(slot).index();
            &compiled.tables.tunnels[slot].as_ref().unwrap().link
        }
    }
}

/// An IP packet, or for an Ethernet link a frame of IP or ARP.
fn sent(rng: &mut Rng, end: End<'_>) -> Vec<u8> {
    let pairs = end.addresses();
    let pair = pairs[rng.usize(0..pairs.len())];
    let packet = ip(rng, pair.portal, pair.peer);
    if !end.is_ethernet() {
        return packet.build();
    }
    let network: Network = match (pair.portal, pair.peer) {
        (IpAddr::V4(here), IpAddr::V4(there)) if rng.bool() => {
            Arp::request(mac(rng), here, there).into()
        }
        _ => packet.into(),
    };
    Frame::new(mac(rng), mac(rng), network).build()
}

fn ip(rng: &mut Rng, from: IpAddr, to: IpAddr) -> Ip {
    let length = match rng.u32(0..4) {
        0 => rng.usize(1300..1500),
        _ => rng.usize(0..100),
    };
    let data = vec![7; length];
    let (a, b) = (rng.u16(..), rng.u16(..));
    let transport: Transport = match (rng.u32(0..3), from) {
        (0, _) => Udp::new(a, b, data).into(),
        (1, _) => Tcp {
            source: a,
            destination: b,
            sequence: 1,
            payload: data,
        }
        .into(),
        (_, IpAddr::V4(_)) => Icmp::echo(a, b, data).into(),
        (_, IpAddr::V6(_)) => Icmp6::echo(a, b, data).into(),
    };
    let mut packet = Ip::new(from, to, transport);
    *packet.traffic_class_mut() = rng.u8(..);
    *packet.ttl_mut() = rng.u8(..);
    packet
}

fn mac(rng: &mut Rng) -> MacAddr {
    MacAddr::new([rng.u8(..), 1, 2, 3, 4, 5])
}
