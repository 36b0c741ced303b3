//! Generic UDP Encapsulation (draft-ietf-intarea-gue-09), variant 0 without optional fields.

use tp_wire::{Error, EtherType, GuePacket, Protocol};

use super::Carries;
use super::outer::{Ends, Payload};
use super::udp::Udp;
use crate::family::Family;
use crate::verdict::DropReason;

/// Length of a header without optional fields.
const LEN: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gue {
    pub(super) udp: Udp,
}

impl Gue {
    pub(super) fn new(ends: &Ends, remote: u16, checksum: bool) -> Self {
        Self {
            udp: Udp::new(ends, remote, checksum),
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.udp.overhead() + LEN
    }

    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, out: &mut [u8]) {
        let protocol = match payload.ethertype {
            EtherType::IPV6 => Protocol::IPV6,
            _ => Protocol::IPIP,
        };
        self.udp.write(payload, &[0, protocol.0, 0, 0], out);
    }
}

/// Checks the header that follows a UDP header and is said to be `len` bytes long.
#[inline]
pub(super) fn open(payload: &[u8], len: isize) -> Result<Carries, DropReason> {
    let gue = GuePacket::new_checked(payload).map_err(|error| match error {
        Error::Truncated => DropReason::OuterMalformed,
        Error::Malformed => DropReason::InnerUnsupported,
    })?;
    if gue.header_len().cast_signed() != len {
        return Err(DropReason::BadMetadata);
    }
    // A field that is not understood may be what makes the packet valid, so none is passed over.
    match (gue.flags(), gue.protocol()) {
        (0, Protocol::IPIP) => Ok(Carries::Ip(Family::V4)),
        (0, Protocol::IPV6) => Ok(Carries::Ip(Family::V6)),
        _ => Err(DropReason::InnerUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use tp_wire::Ecn;

    use super::*;

    #[test]
    fn four_bytes_with_the_protocol_follow_the_udp_header() {
        let (local, remote) = ([192, 0, 2, 1], [198, 51, 100, 9]);
        let gue = Gue::new(
            &Ends::new(local.into(), remote.into(), 64, 0).unwrap(),
            6080,
            true,
        );
        for (ethertype, protocol) in [(EtherType::IPV4, 4), (EtherType::IPV6, 41)] {
            // No IP packet: its hash is 0.
            let packet = [0x99; 31];
            let payload = Payload {
                ethertype,
                ecn: Ecn::NotEct,
                packet: &packet,
            };
            let mut out = vec![0xff; gue.overhead()];
            gue.write(&payload, &mut out);
            let mut expected = Vec::new();
            PacketBuilder::ipv4(local, remote, 64)
                .udp(0xc000, 6080)
                .write(&mut expected, &[&[0, protocol, 0, 0][..], &packet].concat())
                .unwrap();
            assert_eq!(out[20..], expected[20..32]);
        }
    }

    #[test]
    fn only_a_header_that_is_understood_is_opened() {
        assert_eq!(open(&[0, 4, 0, 0], 4), Ok(Carries::Ip(Family::V4)));
        assert_eq!(open(&[0, 41, 0, 0], 4), Ok(Carries::Ip(Family::V6)));
        assert_eq!(
            open(&[1, 4, 0, 0, 9, 9, 9, 9], 8),
            Ok(Carries::Ip(Family::V4))
        );
        for (bytes, len, reason) in [
            (&[0, 4, 0][..], 4, DropReason::OuterMalformed),
            (&[1, 4, 0, 0], 4, DropReason::OuterMalformed),
            (&[0x40, 4, 0, 0], 4, DropReason::InnerUnsupported),
            (&[0x20, 4, 0, 0], 4, DropReason::InnerUnsupported),
            (&[0, 4, 0, 0, 0, 0, 0, 0], 8, DropReason::BadMetadata),
            (&[0, 4, 0x80, 0], 4, DropReason::InnerUnsupported),
            (&[0, 4, 0, 1], 4, DropReason::InnerUnsupported),
            (&[0, 47, 0, 0], 4, DropReason::InnerUnsupported),
        ] {
            assert_eq!(open(bytes, len), Err(reason), "{bytes:x?}");
        }
    }
}
