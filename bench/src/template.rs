//! Frames of the generator: UDP over IPv4 in Ethernet, plain or as a client's tunnel end sends it.
//!
//! The UDP payload starts with a sequence number (8 bytes), the magic "TPGN" (4) and the number of
//! the template (4), all big-endian; `src/bpf/sink.bpf.c` looks for them. What follows is zero.

use std::net::Ipv4Addr;

use etherparse::{EtherType, Ethernet2Header, IpDscp, IpNumber, Ipv4Header, UdpHeader};
use tp_wire::MacAddr;

/// Templates have numbers below this (`MAX_TEMPLATES` in the sink).
pub const MAX_TEMPLATES: u32 = 4096;
/// Length of an Ethernet header without tags.
pub const LINK_LEN: usize = 14;
/// Smallest inner packet: IPv4, UDP and what the sink looks for.
pub const MIN_INNER: usize = IPV4_LEN + UDP_LEN + PAYLOAD_LEN;
/// Inner packet of a frame of 64 bytes without a tunnel (frame check sequence not counted).
pub const INNER_OF_64: usize = 64 - LINK_LEN;

const MAGIC: u32 = 0x5450_474e;
const PAYLOAD_LEN: usize = 16;
const IPV4_LEN: usize = 20;
const UDP_LEN: usize = 8;
const UDP_CHECKSUM: usize = 6;

/// Why a frame cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The number is not below [`MAX_TEMPLATES`].
    #[error("template number {0} is not below {MAX_TEMPLATES}")]
    Number(u32),
    /// The inner packet is shorter than [`MIN_INNER`].
    #[error("an inner packet of {0} bytes is below {MIN_INNER}")]
    TooShort(usize),
    /// A header cannot hold the length.
    #[error("a packet of {0} bytes does not fit its header")]
    TooLong(usize),
    /// More than 6 bits.
    #[error("DSCP {0} is above 63")]
    Dscp(u8),
}

/// How a tunnel encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IP in IP (RFC 2003).
    Ipip,
    /// GRE (RFC 2784), with a key (RFC 2890) or without.
    Gre {
        /// No key is not key 0.
        key: Option<u32>,
    },
}

/// The outer header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// Outer source: the client's end.
    pub source: Ipv4Addr,
    /// Outer destination: the portal.
    pub destination: Ipv4Addr,
    /// Outer TTL.
    pub ttl: u8,
}

/// What a template's frames look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSpec {
    /// Source MAC.
    pub src_mac: MacAddr,
    /// Destination MAC.
    pub dst_mac: MacAddr,
    /// The tunnel header, if the frame is encapsulated.
    pub outer: Option<Outer>,
    /// Source of the inner packet.
    pub source: Ipv4Addr,
    /// Destination of the inner packet.
    pub destination: Ipv4Addr,
    /// UDP source and destination port.
    pub ports: (u16, u16),
    /// TTL of the inner packet.
    pub ttl: u8,
    /// DSCP of the inner packet, 0-63.
    pub dscp: u8,
    /// Total length of the inner packet.
    pub inner_len: usize,
}

impl FrameSpec {
    /// Plain UDP, TTL 64, 64 bytes in all; change the fields for what differs.
    #[must_use]
    pub fn new(
        src_mac: MacAddr,
        dst_mac: MacAddr,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Self {
        Self {
            src_mac,
            dst_mac,
            outer: None,
            source,
            destination,
            ports: (4000, 4001),
            ttl: 64,
            dscp: 0,
            inner_len: INNER_OF_64,
        }
    }
}

/// A frame ready to be sent, all but its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    id: u32,
    bytes: Vec<u8>,
    udp: usize,
}

impl Template {
    /// The frames of this number and look.
    ///
    /// # Errors
    /// When the number is too great or the lengths do not fit.
    pub fn new(id: u32, spec: &FrameSpec) -> Result<Self, TemplateError> {
        if id >= MAX_TEMPLATES {
            return Err(TemplateError::Number(id));
        }
        let inner = inner_packet(id, spec)?;
        let mut bytes = Ethernet2Header {
            source: spec.src_mac.octets(),
            destination: spec.dst_mac.octets(),
            ether_type: EtherType::IPV4,
        }
        .to_bytes()
        .to_vec();
        if let Some(outer) = spec.outer {
            bytes.extend(tunnel_header(&outer, inner.len())?);
        }
        let udp = bytes.len() + IPV4_LEN;
        bytes.extend(inner);
        Ok(Self { id, bytes, udp })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Length of a frame in bytes.
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a frame has at least its headers"
    )]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of the inner packet in the frame.
    #[must_use]
    pub fn inner_offset(&self) -> usize {
        self.udp - IPV4_LEN
    }

    /// Writes the frame with this sequence number to the front of `out` and returns its length;
    /// `None` if it does not fit.
    #[must_use]
    pub fn write(&self, sequence: u64, out: &mut [u8]) -> Option<usize> {
        let frame = out.get_mut(..self.bytes.len())?;
        frame.copy_from_slice(&self.bytes);
        let payload = self.udp + UDP_LEN;
        frame[payload..payload + 8].copy_from_slice(&sequence.to_be_bytes());
        // RFC 1624 equation 3 with an old value of 0: the template's sequence number is 0.
        let at = self.udp + UDP_CHECKSUM;
        let mut sum = u32::from(!u16::from_be_bytes([frame[at], frame[at + 1]]));
        for word in sequence.to_be_bytes().as_chunks::<2>().0 {
            sum += u32::from(u16::from_be_bytes(*word));
        }
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        #[allow(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
        let checksum = match !(sum as u16) {
            // A UDP checksum of 0 means that there is none (RFC 768).
            0 => 0xffff,
            other => other,
        };
        frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        Some(self.bytes.len())
    }
}

fn inner_packet(id: u32, spec: &FrameSpec) -> Result<Vec<u8>, TemplateError> {
    let len = spec.inner_len;
    if len < MIN_INNER {
        return Err(TemplateError::TooShort(len));
    }
    let mut payload = vec![0; len - IPV4_LEN - UDP_LEN];
    payload[8..12].copy_from_slice(&MAGIC.to_be_bytes());
    payload[12..16].copy_from_slice(&id.to_be_bytes());
    let dscp = IpDscp::try_new(spec.dscp).map_err(|_| TemplateError::Dscp(spec.dscp))?;
    let mut ip = ipv4(
        len - IPV4_LEN,
        spec.ttl,
        IpNumber::UDP,
        spec.source,
        spec.destination,
    )?;
    ip.dscp = dscp;
    ip.header_checksum = ip.calc_header_checksum();
    let udp = UdpHeader::with_ipv4_checksum(spec.ports.0, spec.ports.1, &ip, &payload)
        .map_err(|_| TemplateError::TooLong(len))?;
    let mut packet = ip.to_bytes().to_vec();
    packet.extend(udp.to_bytes());
    packet.extend(payload);
    Ok(packet)
}

fn tunnel_header(outer: &Outer, inner_len: usize) -> Result<Vec<u8>, TemplateError> {
    let (protocol, gre) = match outer.kind {
        TunnelKind::Ipip => (IpNumber::IPV4, Vec::new()),
        TunnelKind::Gre { key: None } => (IpNumber::GRE, vec![0x00, 0x00, 0x08, 0x00]),
        TunnelKind::Gre { key: Some(key) } => {
            let mut gre = vec![0x20, 0x00, 0x08, 0x00];
            gre.extend(key.to_be_bytes());
            (IpNumber::GRE, gre)
        }
    };
    let mut ip = ipv4(
        gre.len() + inner_len,
        outer.ttl,
        protocol,
        outer.source,
        outer.destination,
    )?;
    ip.header_checksum = ip.calc_header_checksum();
    let mut header = ip.to_bytes().to_vec();
    header.extend(gre);
    Ok(header)
}

fn ipv4(
    payload_len: usize,
    ttl: u8,
    protocol: IpNumber,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Result<Ipv4Header, TemplateError> {
    let too_long = TemplateError::TooLong(payload_len);
    let len = u16::try_from(payload_len).map_err(|_| too_long)?;
    Ipv4Header::new(len, ttl, protocol, source.octets(), destination.octets()).map_err(|_| too_long)
}

#[cfg(test)]
mod tests {
    use etherparse::SlicedPacket;

    use super::*;

    fn spec() -> FrameSpec {
        FrameSpec::new(
            MacAddr::new([2, 0, 0, 0, 0, 1]),
            MacAddr::new([2, 0, 0, 0, 0, 2]),
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv4Addr::new(198, 51, 100, 7),
        )
    }

    /// The one's complement sum of a whole UDP packet with its pseudo-header, by RFC 768.
    fn udp_sum(packet: &[u8]) -> u16 {
        let mut words = vec![0, 17];
        words.extend(&packet[24..26]);
        words.extend(&packet[12..]);
        if words.len() % 2 == 1 {
            words.push(0);
        }
        let mut sum: u32 = words
            .chunks(2)
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_default_frame_has_64_bytes() {
        assert_eq!(Template::new(0, &spec()).unwrap().len(), 64);
    }

    #[test]
    fn every_sequence_number_gives_a_valid_udp_checksum() {
        for inner_len in [MIN_INNER, 51, 1500] {
            let template = Template::new(
                3,
                &FrameSpec {
                    inner_len,
                    ..spec()
                },
            )
            .unwrap();
            let mut out = [0; 2048];
            for sequence in (0..100_000).chain([u64::MAX, u64::MAX - 1, 1 << 63, 0xffff_0000]) {
                let len = template.write(sequence, &mut out).unwrap();
                assert_eq!(udp_sum(&out[LINK_LEN..len]), 0xffff, "{sequence}");
                assert_ne!(out[LINK_LEN + 26..LINK_LEN + 28], [0, 0], "{sequence}");
            }
        }
    }

    #[test]
    fn an_independent_parser_reads_what_was_asked_for() {
        let outer = |kind| Outer {
            kind,
            source: Ipv4Addr::new(203, 0, 113, 1),
            destination: Ipv4Addr::new(203, 0, 113, 2),
            ttl: 33,
        };
        let cases = [
            (None, 0),
            (Some(outer(TunnelKind::Ipip)), 20),
            (Some(outer(TunnelKind::Gre { key: None })), 24),
            (Some(outer(TunnelKind::Gre { key: Some(0) })), 28),
        ];
        for (outer, overhead) in cases {
            let template = Template::new(9, &FrameSpec { outer, ..spec() }).unwrap();
            let mut out = [0; 256];
            let len = template.write(0x0102_0304_0506_0708, &mut out).unwrap();
            assert_eq!(len, 64 + overhead);
            assert_eq!(template.inner_offset(), LINK_LEN + overhead);
            let inner = SlicedPacket::from_ip(&out[LINK_LEN + overhead..len]).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = inner.transport else {
                panic!("no UDP: {inner:?}");
            };
            assert_eq!(
                udp.payload()[..16],
                *b"\x01\x02\x03\x04\x05\x06\x07\x08TPGN\0\0\0\x09"
            );
            let (ip, _) = Ipv4Header::from_slice(&out[LINK_LEN..len]).unwrap();
            assert_eq!(usize::from(ip.total_len), len - LINK_LEN);
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
            assert_eq!(ip.time_to_live, if outer.is_some() { 33 } else { 64 });
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            Template::new(MAX_TEMPLATES, &spec()),
            Err(TemplateError::Number(4096))
        );
        let short = FrameSpec {
            inner_len: MIN_INNER - 1,
            ..spec()
        };
        assert_eq!(Template::new(0, &short), Err(TemplateError::TooShort(43)));
        let long = FrameSpec {
            inner_len: 65536,
            ..spec()
        };
        assert!(matches!(
            Template::new(0, &long),
            Err(TemplateError::TooLong(_))
        ));
        assert_eq!(
            Template::new(0, &FrameSpec { dscp: 64, ..spec() }),
            Err(TemplateError::Dscp(64))
        );
        assert_eq!(
            Template::new(0, &spec()).unwrap().write(0, &mut [0; 63]),
            None
        );
    }
}
