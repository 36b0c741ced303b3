//! GRE version 0 (RFC 2784) with an optional key (RFC 2890).

use tp_wire::{Error, EtherType, GreFlags, GrePacket, Protocol};

use super::Carries;
use super::outer::{Ends, Outer, Payload};
use crate::family::Family;
use crate::verdict::DropReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gre {
    pub(super) outer: Outer,
    header: Header,
}

impl Gre {
    pub(super) fn new(ends: &Ends, key: Option<u32>) -> Self {
        Self {
            outer: Outer::new(ends),
            header: Header::new(key),
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.outer.len() + self.header.len()
    }

    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, out: &mut [u8]) {
        let rest = self.outer.write(Protocol::GRE, payload, out);
        self.header.write(payload.ethertype, rest);
    }
}

/// A GRE header but for its protocol type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Plain,
    Keyed([u8; 4]),
}

impl Header {
    /// No key is not key 0.
    pub(super) fn new(key: Option<u32>) -> Self {
        key.map_or(Self::Plain, |key| Self::Keyed(key.to_be_bytes()))
    }

    /// Length in bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain => 4,
            Self::Keyed(_) => 8,
        }
    }

    /// Writes the header into the front of `out`; returns the rest.
    #[inline]
    pub(super) fn write<'o>(&self, protocol_type: EtherType, out: &'o mut [u8]) -> &'o mut [u8] {
        // The caller made room for the overhead.
        let Some((header, rest)) = out.split_at_mut_checked(self.len()) else {
            return &mut [];
        };
        let [t0, t1] = protocol_type.0.to_be_bytes();
        match self {
            Self::Plain => header.copy_from_slice(&[0, 0, t0, t1]),
            Self::Keyed([k0, k1, k2, k3]) => {
                let [f0, f1] = GreFlags::KEY.to_be_bytes();
                header.copy_from_slice(&[f0, f1, t0, t1, *k0, *k1, *k2, *k3]);
            }
        }
        rest
    }
}

/// Checks the GRE header that an outer packet's payload begins with, whose end is said to be `end`
/// bytes behind its start, and tells what it carries.
#[inline]
pub(super) fn open(payload: &[u8], end: isize) -> Result<Carries, DropReason> {
    let gre = GrePacket::new_checked(payload).map_err(|error| match error {
        Error::Truncated => DropReason::OuterMalformed,
        Error::Malformed => DropReason::InnerUnsupported,
    })?;
    if gre.header_len().cast_signed() != end {
        return Err(DropReason::BadMetadata);
    }
    if !gre.is_checksum_valid() {
        return Err(DropReason::GreChecksum);
    }
    match gre.protocol_type() {
        EtherType::IPV4 => Ok(Carries::Ip(Family::V4)),
        EtherType::IPV6 => Ok(Carries::Ip(Family::V6)),
        EtherType::TEB => Ok(Carries::Ethernet),
        _ => Err(DropReason::InnerUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, Ipv4Header};
    use tp_wire::Ecn;

    use super::*;

    /// What [`Gre::write`] gives for an inner packet of 100 bytes.
    fn written(key: Option<u32>) -> Vec<u8> {
        let ends = Ends::new([192, 0, 2, 1].into(), [198, 51, 100, 9].into(), 64, 0).unwrap();
        let gre = Gre::new(&ends, key);
        let mut out = vec![0xff; gre.overhead()];
        let payload = Payload {
            ethertype: EtherType::IPV4,
            ecn: Ecn::NotEct,
            packet: &[0; 100],
        };
        gre.write(&payload, &mut out);
        out
    }

    fn outer(payload: u16) -> Vec<u8> {
        let (source, destination) = ([192, 0, 2, 1], [198, 51, 100, 9]);
        let mut header = Ipv4Header::new(payload, 64, IpNumber::GRE, source, destination).unwrap();
        header.dont_fragment = true;
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    #[test]
    fn without_a_key_four_bytes_follow_the_outer_header() {
        assert_eq!(written(None), [&outer(104)[..], &[0, 0, 0x08, 0]].concat());
    }

    #[test]
    fn a_key_is_sent_in_network_order_and_key_zero_is_a_key() {
        let keyed = |key: [u8; 4]| [&outer(108)[..], &[0x20, 0, 0x08, 0], &key].concat();
        assert_eq!(written(Some(0x0102_0304)), keyed([1, 2, 3, 4]));
        assert_eq!(written(Some(0)), keyed([0; 4]));
    }

    #[test]
    fn what_is_written_is_opened() {
        for key in [None, Some(0), Some(u32::MAX)] {
            let bytes = written(key);
            let end = (bytes.len() - 20).cast_signed();
            assert_eq!(open(&bytes[20..], end), Ok(Carries::Ip(Family::V4)));
            for wrong in [end + 4, end - 4, 0, -20] {
                assert_eq!(open(&bytes[20..], wrong), Err(DropReason::BadMetadata));
            }
        }
    }

    #[test]
    fn a_checksum_is_judged_before_the_protocol_type() {
        let mut bytes = [0x80, 0, 0x88, 0x47, 0, 0, 0, 0, b'x'];
        assert_eq!(open(&bytes, 8), Err(DropReason::GreChecksum));
        // 8000 + 8847 + 7800 = 18047 -> 8048; its complement is 7fb7.
        bytes[4..6].copy_from_slice(&[0x7f, 0xb7]);
        assert_eq!(open(&bytes, 8), Err(DropReason::InnerUnsupported));
    }

    #[test]
    fn a_header_that_is_not_whole_is_malformed() {
        for len in 0..8 {
            let bytes = &[0x20, 0, 0x08, 0, 0, 0, 0, 7][..len];
            assert_eq!(
                open(bytes, 8),
                Err(DropReason::OuterMalformed),
                "{len} bytes"
            );
        }
    }
}
