//! Every tunnel kind over both families, with both inside, into it and out of it: every byte
//! against what etherparse builds.

use etherparse::{
    EtherType, Ethernet2Header, IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header,
    UdpHeader,
};
use tp_pipeline::abi::IngressKind;
use tp_pipeline::{Encap, Ends, EthernetAddresses, EthernetLink, LinkHeader};

use crate::bed::{
    Bed, C0, C0_V6, CLIENT_PORT, LOCAL, OUTER_DSCP, OUTER_TTL, REMOTES, UPSTREAM_PORT, WORLD,
    WORLD_V6, tunnel_link, upstream_link, v6,
};
use crate::packets::{Arrival, Inner, Inner6, outer};

const LOCAL_V6: [u8; 16] = v6(0xff, 1);
const REMOTE_V6: [u8; 16] = v6(0xfe, 9);
const OWN: [u8; 6] = [2, 0, 0, 0, 9, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 9, 2];
const REMOTE_PORT: u16 = 5555;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ipip,
    Gre(Option<u32>),
    Egre(Option<u32>),
    Fou(bool),
    Gue(bool),
}

const KINDS: [Kind; 9] = [
    Kind::Ipip,
    Kind::Gre(None),
    Kind::Gre(Some(7)),
    Kind::Egre(None),
    Kind::Egre(Some(u32::MAX)),
    Kind::Fou(false),
    Kind::Fou(true),
    Kind::Gue(false),
    Kind::Gue(true),
];

/// A kind over IPv4 or IPv6.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    kind: Kind,
    v6: bool,
}

fn carriers() -> impl Iterator<Item = Carrier> {
    [false, true]
        .into_iter()
        .flat_map(|v6| KINDS.into_iter().map(move |kind| Carrier { kind, v6 }))
}

/// An inner packet as it arrives and as it leaves.
struct Through {
    v6: bool,
    ecn: u8,
    arrives: Vec<u8>,
    leaves: Vec<u8>,
}

/// Packets of both families, from the world to client 0 or back.
fn packets(to_client: bool) -> [Through; 2] {
    let turn = |a, b| if to_client { (a, b) } else { (b, a) };
    let (source, destination) = if to_client { (WORLD, C0) } else { (C0, WORLD) };
    let four = Inner {
        ecn: 2,
        len: 61,
        ..Inner::new(source, destination)
    };
    let (source, destination) = turn(WORLD_V6, C0_V6);
    let six = Inner6 {
        ecn: 1,
        ..Inner6::new(source, destination)
    };
    [
        Through {
            v6: false,
            ecn: 2,
            arrives: four.bytes(),
            leaves: four.hop().bytes(),
        },
        Through {
            v6: true,
            ecn: 1,
            arrives: six.bytes(),
            leaves: six.hop().bytes(),
        },
    ]
}

/// The text's flow hash, in wide integers.
fn flow_hash(packet: &[u8], v6: bool) -> u32 {
    const M: u128 = 1 << 64;
    let word = |at: usize| u128::from(u32::from_be_bytes(packet[at..at + 4].try_into().unwrap()));
    let xor = |at: usize| word(at) ^ word(at + 4) ^ word(at + 8) ^ word(at + 12);
    let (s, d, n, p) = match v6 {
        false => (word(12), word(16), packet[9], word(20)),
        true => (xor(8), xor(24), packet[6], word(40)),
    };
    let (x, y) = ((s * (1 << 32) + d) % M, (p * 256 + u128::from(n)) % M);
    let h = (x ^ (y * 0x9e37_79b9_7f4a_7c15 % M)) * 0xff51_afd7_ed55_8ccd % M;
    u32::try_from(h >> 32).unwrap()
}

impl Carrier {
    fn encap(self) -> Encap {
        let ends = match self.v6 {
            false => Ends::new(LOCAL.into(), REMOTES[0].into(), OUTER_TTL, OUTER_DSCP),
            true => Ends::new(LOCAL_V6.into(), REMOTE_V6.into(), OUTER_TTL, OUTER_DSCP),
        };
        let ends = ends.unwrap();
        let addresses = EthernetAddresses {
            own: OWN.into(),
            peer: PEER.into(),
        };
        match self.kind {
            Kind::Ipip => Encap::ipip(ends),
            Kind::Gre(key) => Encap::gre(ends, key),
            Kind::Egre(key) => Encap::egre(ends, key, addresses),
            Kind::Fou(checksum) => Encap::fou(ends, REMOTE_PORT, checksum),
            Kind::Gue(checksum) => Encap::gue(ends, REMOTE_PORT, checksum),
        }
    }

    fn ethernet(self) -> Option<EthernetLink> {
        matches!(self.kind, Kind::Egre(_)).then(|| EthernetLink {
            own: OWN.into(),
            shown: Box::default(),
        })
    }

    fn protocol(self, inner_v6: bool) -> u8 {
        match self.kind {
            Kind::Ipip if inner_v6 => 41,
            Kind::Ipip => 4,
            Kind::Gre(_) | Kind::Egre(_) => 47,
            Kind::Fou(_) | Kind::Gue(_) => 17,
        }
    }

    /// What stands between IP header and inner packet, but UDP, of a packet from this MAC.
    fn shim(self, inner_v6: bool, [source, destination]: [[u8; 6]; 2]) -> Vec<u8> {
        let ether_type = if inner_v6 {
            EtherType::IPV6
        } else {
            EtherType::IPV4
        };
        let gre = |key: Option<u32>, protocol: u16| {
            let flags: u16 = if key.is_some() { 0x2000 } else { 0 };
            let key = key.map_or(Vec::new(), |key| key.to_be_bytes().to_vec());
            [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), &key].concat()
        };
        match self.kind {
            Kind::Ipip | Kind::Fou(_) => Vec::new(),
            Kind::Gre(key) => gre(key, ether_type.0),
            Kind::Egre(key) => {
                let ethernet = Ethernet2Header {
                    source,
                    destination,
                    ether_type,
                };
                [gre(key, 0x6558), ethernet.to_bytes().to_vec()].concat()
            }
            Kind::Gue(_) => vec![0, if inner_v6 { 41 } else { 4 }, 0, 0],
        }
    }

    /// The outer packet around this inner one, as the portal is to send it.
    fn sent(self, through: &Through) -> Vec<u8> {
        let shim = self.shim(through.v6, [OWN, PEER]);
        let hash = flow_hash(&through.leaves, through.v6);
        let behind = [&shim[..], &through.leaves].concat();
        let payload = match self.kind {
            Kind::Fou(checksum) | Kind::Gue(checksum) => {
                let source = 0xc000 + u16::try_from(hash >> 18).unwrap();
                self.udp(source, checksum, [self.local(), self.remote()], &behind)
            }
            _ => behind,
        };
        let ecn = through.ecn;
        let protocol = self.protocol(through.v6);
        [
            self.ip(true, protocol, ecn, hash >> 12, payload.len()),
            payload,
        ]
        .concat()
    }

    /// The outer packet around this inner one, as the far end sends it; and the lengths of its
    /// IP header and of all that is in front of what the tunnel carries.
    fn received(self, through: &Through) -> ((usize, usize), Vec<u8>) {
        let shim = self.shim(through.v6, [PEER, OWN]);
        let behind = [&shim[..], &through.arrives].concat();
        let (udp_len, payload) = match self.kind {
            Kind::Fou(checksum) | Kind::Gue(checksum) => {
                let ends = [self.remote(), self.local()];
                (8, self.udp(51234, checksum, ends, &behind))
            }
            _ => (0, behind),
        };
        let ip = self.ip(false, self.protocol(through.v6), 0, 0x12345, payload.len());
        let ethernet_len = if self.ethernet().is_some() { 14 } else { 0 };
        let headers = ip.len() + udp_len + shim.len() - ethernet_len;
        ((ip.len(), headers), [ip, payload].concat())
    }

    fn local(self) -> Vec<u8> {
        if self.v6 {
            LOCAL_V6.to_vec()
        } else {
            LOCAL.to_vec()
        }
    }

    fn remote(self) -> Vec<u8> {
        if self.v6 {
            REMOTE_V6.to_vec()
        } else {
            REMOTES[0].to_vec()
        }
    }

    fn udp(self, source: u16, checksum: bool, ends: [Vec<u8>; 2], behind: &[u8]) -> Vec<u8> {
        let mut header =
            UdpHeader::without_ipv4_checksum(source, REMOTE_PORT, behind.len()).unwrap();
        let [from, to] = ends;
        if checksum {
            header.checksum = match self.v6 {
                false => header.calc_checksum_ipv4_raw(
                    from.try_into().unwrap(),
                    to.try_into().unwrap(),
                    behind,
                ),
                true => header.calc_checksum_ipv6_raw(
                    from.try_into().unwrap(),
                    to.try_into().unwrap(),
                    behind,
                ),
            }
            .unwrap();
        }
        [&header.to_bytes()[..], behind].concat()
    }

    fn ip(self, to_client: bool, protocol: u8, ecn: u8, label: u32, payload: usize) -> Vec<u8> {
        if self.v6 {
            let (source, destination) = match to_client {
                true => (LOCAL_V6, REMOTE_V6),
                false => (REMOTE_V6, LOCAL_V6),
            };
            let header = Ipv6Header {
                traffic_class: OUTER_DSCP << 2 | ecn,
                flow_label: Ipv6FlowLabel::try_new(label).unwrap(),
                payload_length: u16::try_from(payload).unwrap(),
                next_header: IpNumber(protocol),
                hop_limit: OUTER_TTL,
                source,
                destination,
            };
            return header.to_bytes().to_vec();
        }
        let (source, destination) = match to_client {
            true => (LOCAL, REMOTES[0]),
            false => (REMOTES[0], LOCAL),
        };
        let mut header: Ipv4Header = outer(source, destination, protocol, payload);
        header.time_to_live = OUTER_TTL;
        header.identification = 0;
        header.dscp = IpDscp::try_new(OUTER_DSCP).unwrap();
        header.ecn = IpEcn::try_new(ecn).unwrap();
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    fn ethertype(self) -> u16 {
        if self.v6 { 0x86dd } else { 0x0800 }
    }
}

/// A frame with these addresses and tags.
fn frame(link: &[u8], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    [link, &ethertype.to_be_bytes(), packet].concat()
}

fn inner_type(through: &Through) -> u16 {
    if through.v6 { 0x86dd } else { 0x0800 }
}

/// Client 0's first tunnel in this carrier.
fn with_tunnel(carrier: Carrier) -> Bed {
    let mut bed = Bed::new();
    bed.tunnel(0).link.encap = carrier.encap();
    bed.tunnel(0).link.ethernet = carrier.ethernet();
    bed
}

/// The first upstream behind this carrier, and client 0 on a bare link.
fn with_upstream(carrier: Carrier) -> Bed {
    let mut bed = Bed::new();
    bed.upstream(0).link.encap = carrier.encap();
    bed.upstream(0).link.ethernet = carrier.ethernet();
    bed.tunnel(0).link.encap = Encap::bare();
    bed.tunnel(0).link.ethernet = Some(EthernetLink {
        own: OWN.into(),
        shown: Box::default(),
    });
    bed
}

#[test]
fn into_a_tunnel_of_each_kind() {
    for carrier in carriers() {
        let mut bed = with_tunnel(carrier);
        for through in packets(true) {
            let header = frame(&[0; 12], inner_type(&through), &[]);
            let arrival = Arrival::bare(
                UPSTREAM_PORT,
                IngressKind::Upstream,
                0,
                &header,
                &through.arrives,
            );
            let seen = bed.send(&arrival.padded(5));
            let expected = frame(
                &tunnel_link(0),
                carrier.ethertype(),
                &carrier.sent(&through),
            );
            assert_eq!(seen.leaves_by(CLIENT_PORT), expected, "{carrier:?}");
        }
    }
}

#[test]
fn out_of_a_tunnel_of_each_kind() {
    for carrier in carriers() {
        let mut bed = with_tunnel(carrier);
        for through in packets(false) {
            let (lengths, packet) = carrier.received(&through);
            let arrival = Arrival::carried(CLIENT_PORT, IngressKind::Tunnel, 0, lengths, &packet);
            let seen = bed.send(&arrival.padded(5));
            let expected = frame(&upstream_link(0), inner_type(&through), &through.leaves);
            assert_eq!(seen.leaves_by(UPSTREAM_PORT), expected, "{carrier:?}");
        }
    }
}

#[test]
fn between_an_upstream_behind_each_kind_and_a_bare_client() {
    for carrier in carriers() {
        let mut bed = with_upstream(carrier);
        for through in packets(true) {
            let (lengths, packet) = carrier.received(&through);
            let arrival = Arrival::carried(
                UPSTREAM_PORT,
                IngressKind::UpstreamTunnel,
                0,
                lengths,
                &packet,
            );
            let seen = bed.send(&arrival);
            let expected = frame(&tunnel_link(0), inner_type(&through), &through.leaves);
            assert_eq!(seen.leaves_by(CLIENT_PORT), expected, "{carrier:?}");
        }
        for through in packets(false) {
            let to_own = [OWN, [0xee; 6]].concat();
            let arrival = Arrival::bare(
                CLIENT_PORT,
                IngressKind::L2Client,
                0,
                &frame(&to_own, inner_type(&through), &[]),
                &through.arrives,
            );
            let seen = bed.send(&arrival);
            let expected = frame(
                &upstream_link(0),
                carrier.ethertype(),
                &carrier.sent(&through),
            );
            assert_eq!(seen.leaves_by(UPSTREAM_PORT), expected, "{carrier:?}");
        }
    }
}

#[test]
fn a_tunnel_header_counts_for_the_mtu_and_for_the_headroom() {
    use tp_pipeline::DropReason::{NoHeadroom, TooBig};
    for carrier in carriers() {
        let overhead = carrier.encap().overhead();
        let arrival = |len: usize| {
            let inner = Inner {
                len: u16::try_from(len).unwrap(),
                ..Inner::new(WORLD, C0)
            };
            Arrival::from_upstream(0, &inner.bytes())
        };
        let mut bed = with_tunnel(carrier);
        let seen = bed.send(&arrival(1500 - overhead));
        assert_eq!(seen.leaves_by(CLIENT_PORT).len(), 1514, "{carrier:?}");
        bed.drops_as(TooBig, &arrival(1501 - overhead));
        // Metadata is as long as what arrives in front of the inner packet.
        let link = LinkHeader::new(CLIENT_PORT, &tunnel_link(0)).unwrap().len();
        let needed = overhead + link - 14;
        bed.headroom = needed.max(24);
        bed.send(&arrival(100)).leaves_by(CLIENT_PORT);
        if needed > 24 {
            bed.headroom = needed - 1;
            bed.drops_as(NoHeadroom, &arrival(100));
        }
    }
}

#[test]
fn every_cut_of_every_kind_is_dropped() {
    for carrier in carriers() {
        let mut bed = with_tunnel(carrier);
        for through in packets(false) {
            let (lengths, packet) = carrier.received(&through);
            let whole = Arrival::carried(CLIENT_PORT, IngressKind::Tunnel, 0, lengths, &packet);
            for len in 0..whole.frame.len() {
                let seen = bed.send(&whole.clone().cut(len));
                assert!(
                    matches!(seen.verdict, tp_pipeline::Verdict::Drop(_)),
                    "{carrier:?} cut to {len} bytes"
                );
            }
        }
    }
}

#[test]
fn a_udp_checksum_is_verified_where_there_is_one() {
    use tp_pipeline::DropReason::UdpChecksum;
    for carrier in carriers() {
        let (Kind::Fou(checksum) | Kind::Gue(checksum)) = carrier.kind else {
            continue;
        };
        let mut bed = with_tunnel(carrier);
        for through in packets(false) {
            let (lengths, packet) = carrier.received(&through);
            let whole = Arrival::carried(CLIENT_PORT, IngressKind::Tunnel, 0, lengths, &packet);
            let last = whole.frame.len() - 1;
            let flipped = whole.frame[last] ^ 0x20;
            let damaged = whole.with_byte(last, flipped);
            if checksum {
                bed.drops_as(UdpChecksum, &damaged);
            } else {
                bed.send(&damaged).leaves_by(UPSTREAM_PORT);
            }
        }
    }
}
