//! Builder of test packets: a typed description of a frame, turned into bytes.
//!
//! A description is plain data: what a layer may carry is an enum, so a stack that cannot
//! exist does not compile. Lengths, checksums, protocol numbers and EtherTypes are computed
//! unless a test asks for a [`Field::Is`] or [`Checksum::Wrong`]: that is how malformed
//! packets are made, one fault at a time.
//!
//! It shares no code with the data plane (but the address type), so that a mistake of the
//! data plane's header code cannot hide in the packets that test it.

mod frame;
mod gre;
mod icmp;
mod ipv4;
mod ipv6;
mod transport;

pub use frame::{Frame, Network, Tag};
pub use gre::{Gre, GrePayload};
pub use icmp::Icmp;
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6, Ipv6Payload};
pub use transport::{Tcp, Transport, Udp};

use etherparse::checksum::Sum16BitWords;

/// A header field that the builder knows how to fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// What is right for the rest of the packet.
    #[default]
    Auto,
    /// This, right or not.
    Is(T),
}

impl<T> Field<T> {
    fn or(self, right: T) -> T {
        match self {
            Self::Auto => right,
            Self::Is(value) => value,
        }
    }
}

/// A checksum that the builder computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The right one.
    #[default]
    Right,
    /// One that no receiver accepts.
    Wrong,
    /// 0xffff where the right one is 0: the other zero of one's complement, accepted like it.
    OtherZero,
}

impl Checksum {
    /// `right`, or a value that differs from it in one's complement too (where 0 and 0xffff are one).
    fn apply(self, right: u16) -> u16 {
        match self {
            Self::Right => right,
            Self::Wrong => right ^ 0x0101,
            Self::OtherZero if right == 0 => 0xffff,
            Self::OtherZero => right,
        }
    }
}

/// The Internet checksum of `bytes` (RFC 1071), in host order.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    Sum16BitWords::new()
        .add_slice(bytes)
        .ones_complement()
        .to_be()
}

fn put16(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// A length that must fit its field: a description beyond it is a mistake of the test.
fn length16(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a test packet is shorter than 64 KiB")
}

#[cfg(test)]
mod tests {
    use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn udp(payload: usize) -> Ipv4 {
        let udp = Udp {
            source: 1,
            destination: 2,
            payload: vec![7; payload],
        };
        Ipv4::new([10, 0, 0, 1].into(), [8, 8, 8, 8].into(), udp)
    }

    fn frame(packet: impl Into<Network>) -> Frame {
        Frame::new([2, 0, 0, 0, 0, 1].into(), [2, 0, 0, 0, 0, 2].into(), packet)
    }

    #[test]
    fn etherparse_accepts_what_is_built_without_faults() {
        let mut packet = udp(31);
        packet.options = vec![1, 1, 1];
        let bytes = frame(packet).tag(Tag::s(20)).tag(Tag::c(10)).build();
        let parsed = SlicedPacket::from_ethernet(&bytes).unwrap();
        assert!(matches!(
            parsed.link_exts[..],
            [LinkExtSlice::Vlan(_), LinkExtSlice::Vlan(_)]
        ));
        let Some(NetSlice::Ipv4(ip)) = parsed.net else {
            panic!("no IPv4")
        };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(header.options.len(), 4);
        let Some(TransportSlice::Udp(udp)) = parsed.transport else {
            panic!("no UDP")
        };
        let sum = udp
            .to_header()
            .calc_checksum_ipv4(&header, udp.payload())
            .unwrap();
        assert_eq!(udp.checksum(), sum);
    }

    #[test]
    fn gre_fields_stand_in_the_order_of_rfc_2890() {
        let mut gre = Gre::new(Some(7), GrePayload::Ipv4(Box::new(udp(0))));
        gre.checksum = Some(Checksum::Right);
        gre.sequence = Some(9);
        let bytes = gre.build();
        assert_eq!(bytes[..4], [0xb0, 0, 0x08, 0]);
        assert_eq!(bytes[6..16], [0, 0, 0, 0, 0, 7, 0, 0, 0, 9]);
        assert_eq!(internet_checksum(&bytes), 0);
        gre.checksum = Some(Checksum::Wrong);
        assert_ne!(internet_checksum(&gre.build()), 0);
    }

    #[test]
    fn a_fault_is_the_only_thing_wrong() {
        let right = udp(8).build();
        let mut packet = udp(8);
        packet.total_length = Field::Is(19);
        let wrong = packet.build();
        assert_eq!(wrong[2..4], [0, 19]);
        assert_eq!(internet_checksum(&wrong[..20]), 0);
        assert_eq!(wrong[12..], right[12..]);
    }
}
