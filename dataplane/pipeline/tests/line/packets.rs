//! Packets as etherparse builds them, and frames as steering would redirect them.

use etherparse::{
    IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder,
};
use tp_pipeline::PortId;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};

use crate::bed::{CLIENT_PORT, UPSTREAM_PORT};

/// An Ethernet header of which only the type is read.
pub(crate) const ETHERNET: [u8; 14] = [
    0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0x08, 0x00,
];

/// A UDP packet in IPv4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner {
    pub(crate) source: [u8; 4],
    pub(crate) destination: [u8; 4],
    pub(crate) ttl: u8,
    pub(crate) ecn: u8,
    pub(crate) dscp: u8,
    /// Total length in bytes, at least 28.
    pub(crate) len: u16,
}

impl Inner {
    pub(crate) fn new(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            ecn: 0,
            dscp: 0,
            len: 60,
        }
    }

    /// The header, its checksum right.
    pub(crate) fn header(&self) -> Ipv4Header {
        let mut header = Ipv4Header::new(
            self.len - 20,
            self.ttl,
            IpNumber::UDP,
            self.source,
            self.destination,
        )
        .unwrap();
        header.ecn = IpEcn::try_new(self.ecn).unwrap();
        header.dscp = IpDscp::try_new(self.dscp).unwrap();
        header.dont_fragment = false;
        header.identification = 0x1234;
        header.header_checksum = header.calc_header_checksum();
        header
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let payload: Vec<u8> = (0..self.len - 28).map(|i| (i % 251) as u8).collect();
        let mut bytes = Vec::new();
        PacketBuilder::ip(etherparse::IpHeaders::Ipv4(
            self.header(),
            Default::default(),
        ))
        .udp(40000, 53)
        .write(&mut bytes, &payload)
        .unwrap();
        bytes
    }

    /// The same packet after a router: a TTL less.
    pub(crate) fn hop(self) -> Self {
        Self {
            ttl: self.ttl - 1,
            ..self
        }
    }
}

/// A UDP packet in IPv6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner6 {
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) hop_limit: u8,
    pub(crate) ecn: u8,
    /// Total length in bytes, at least 48.
    pub(crate) len: u16,
}

impl Inner6 {
    pub(crate) fn new(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            ecn: 0,
            len: 77,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = Ipv6Header {
            traffic_class: 34 << 2 | self.ecn,
            flow_label: Ipv6FlowLabel::try_new(0xabcde).unwrap(),
            payload_length: self.len - 40,
            next_header: IpNumber::UDP,
            hop_limit: self.hop_limit,
            source: self.source,
            destination: self.destination,
        };
        let payload: Vec<u8> = (0..self.len - 48).map(|i| (i % 251) as u8).collect();
        let mut bytes = Vec::new();
        PacketBuilder::ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
            .udp(40000, 53)
            .write(&mut bytes, &payload)
            .unwrap();
        bytes
    }

    /// The same packet after a router.
    pub(crate) fn hop(self) -> Self {
        Self {
            hop_limit: self.hop_limit - 1,
            ..self
        }
    }
}

/// An outer IPv4 header of a packet with this payload.
pub(crate) fn outer(
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    payload: usize,
) -> Ipv4Header {
    let len = u16::try_from(payload).unwrap();
    let mut header = Ipv4Header::new(len, 64, IpNumber(protocol), source, destination).unwrap();
    header.dont_fragment = true;
    header.fragment_offset = IpFragOffset::ZERO;
    header
}

/// The header's bytes, its checksum right.
pub(crate) fn emit(mut header: Ipv4Header) -> Vec<u8> {
    header.header_checksum = header.calc_header_checksum();
    header.to_bytes().to_vec()
}

/// A frame with its metadata, as it comes out of a receive ring.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The port of the socket.
    pub(crate) port: PortId,
    /// `None`: there is no room in front of the frame.
    pub(crate) meta: Option<Meta>,
    pub(crate) frame: Vec<u8>,
}

impl Arrival {
    /// From the upstream of this slot.
    pub(crate) fn from_upstream(slot: u32, inner: &[u8]) -> Self {
        let mut arrival = Self::new(UPSTREAM_PORT, IngressKind::Upstream, slot, 0);
        arrival.frame.extend_from_slice(inner);
        arrival.meta().l4_off = 34;
        arrival.meta().inner_off = 14;
        arrival
    }

    /// From the tunnel of this slot, in these headers.
    pub(crate) fn from_tunnel(slot: u32, outer: Ipv4Header, gre: &[u8], inner: &[u8]) -> Self {
        let mut arrival = Self::new(CLIENT_PORT, IngressKind::Tunnel, slot, outer.header_len());
        arrival.frame.extend(emit(outer));
        arrival.frame.extend_from_slice(gre);
        arrival.frame.extend_from_slice(inner);
        arrival.meta().inner_off += u16::try_from(gre.len()).unwrap();
        arrival
    }

    /// From the IPIP tunnel of this slot.
    pub(crate) fn ipip(slot: u32, inner: &[u8]) -> Self {
        Self::from_tunnel(
            slot,
            outer([198, 51, 100, 9], [192, 0, 2, 1], 4, inner.len()),
            &[],
            inner,
        )
    }

    /// From the GRE tunnel of this slot, with this GRE header.
    pub(crate) fn gre(slot: u32, gre: &[u8], inner: &[u8]) -> Self {
        let len = gre.len() + inner.len();
        Self::from_tunnel(
            slot,
            outer([198, 51, 100, 8], [192, 0, 2, 1], 47, len),
            gre,
            inner,
        )
    }

    /// In these outer headers, of which the IP header is `l3_len` long and all are `headers` long.
    pub(crate) fn carried(
        port: PortId,
        kind: IngressKind,
        slot: u32,
        (l3_len, headers): (usize, usize),
        packet: &[u8],
    ) -> Self {
        let mut arrival = Self::new(port, kind, slot, l3_len);
        arrival.frame.extend_from_slice(packet);
        arrival.meta().inner_off = 14 + u16::try_from(headers).unwrap();
        arrival
    }

    /// On a bare link, with this whole Ethernet header.
    pub(crate) fn bare(
        port: PortId,
        kind: IngressKind,
        slot: u32,
        header: &[u8],
        inner: &[u8],
    ) -> Self {
        let mut arrival = Self::new(port, kind, slot, 20);
        arrival.frame = [header, inner].concat();
        let l3_off = u16::try_from(header.len()).unwrap();
        (arrival.meta().l3_off, arrival.meta().inner_off) = (l3_off, l3_off);
        arrival.meta().l4_off = l3_off;
        arrival
    }

    fn new(port: PortId, kind: IngressKind, slot: u32, l3_len: usize) -> Self {
        let l4_off = 14 + u16::try_from(l3_len).unwrap();
        let meta = Meta {
            slot,
            tag: crate::bed::tag(slot),
            magic: META_MAGIC,
            port: u16::try_from(port.0).unwrap(),
            ingress: kind as u8,
            vlans: 0,
            l3_off: 14,
            l4_off,
            inner_off: l4_off,
            reserved: 0,
        };
        Self {
            port,
            meta: Some(meta),
            frame: ETHERNET.to_vec(),
        }
    }

    pub(crate) fn meta(&mut self) -> &mut Meta {
        self.meta.as_mut().unwrap()
    }

    /// With other metadata.
    pub(crate) fn with_meta(mut self, change: impl FnOnce(&mut Meta)) -> Self {
        change(self.meta());
        self
    }

    /// With another byte at this offset of the frame.
    pub(crate) fn with_byte(mut self, at: usize, byte: u8) -> Self {
        self.frame[at] = byte;
        self
    }

    /// With the checksum of the IPv4 header at this offset made right (RFC 1071, word by word).
    pub(crate) fn with_checksum_at(mut self, at: usize) -> Self {
        let len = usize::from(self.frame[at] & 15) * 4;
        self.frame[at + 10..at + 12].fill(0);
        let checksum = checksum(&self.frame[at..at + len]);
        self.frame[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
        self
    }

    /// Without what follows this offset of the frame.
    pub(crate) fn cut(mut self, len: usize) -> Self {
        self.frame.truncate(len);
        self
    }

    /// With link padding behind the packet.
    pub(crate) fn padded(mut self, n: usize) -> Self {
        self.frame.resize(self.frame.len() + n, 0xdd);
        self
    }
}

/// The checksum of RFC 1071, by a way that shares nothing with tp-wire. Where it may be
/// 0 or 0xffff it is 0xffff, as no sender computes it: receivers must take both.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    !residue(bytes)
}

/// Whether these bytes contain their own checksum.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    residue(bytes) == 0
}

fn residue(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    u16::try_from(sum % 0xffff).unwrap()
}
