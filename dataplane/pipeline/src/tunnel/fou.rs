//! IP in UDP, as Linux FOU: the inner packet follows the UDP header, and its version tells its family.

use super::Carries;
use super::outer::{Ends, Payload};
use super::udp::Udp;
use crate::family::Family;
use crate::verdict::DropReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fou {
    pub(super) udp: Udp,
}

impl Fou {
    pub(super) fn new(ends: &Ends, remote: u16, checksum: bool) -> Self {
        Self {
            udp: Udp::new(ends, remote, checksum),
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.udp.overhead()
    }

    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, out: &mut [u8]) {
        self.udp.write(payload, &[], out);
    }
}

/// Tells what follows a UDP header. (GUE's variant 1 is the same.)
#[inline]
pub(super) fn open(packet: &[u8]) -> Result<Carries, DropReason> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => Ok(Carries::Ip(Family::V4)),
        Some(6) => Ok(Carries::Ip(Family::V6)),
        _ => Err(DropReason::InnerUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use tp_wire::{Ecn, EtherType};

    use super::*;
    use crate::flow;

    const LOCAL: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const REMOTE: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

    fn inner() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 1, 0, 1], [203, 0, 113, 9], 64)
            .tcp(1000, 443, 1, 1)
            .write(&mut bytes, b"odd")
            .unwrap();
        bytes
    }

    fn written(ends: &Ends, checksum: bool) -> Vec<u8> {
        let fou = Fou::new(ends, 5555, checksum);
        let mut out = vec![0xff; fou.overhead()];
        let payload = Payload {
            ethertype: EtherType::IPV4,
            ecn: Ecn::NotEct,
            packet: &inner(),
        };
        fou.write(&payload, &mut out);
        out
    }

    fn port() -> u16 {
        let hash = flow::hash(EtherType::IPV4, &inner());
        0xc000 + u16::try_from(hash / (1 << 18)).unwrap()
    }

    #[test]
    fn the_source_port_is_the_flows_and_the_checksum_etherparses() {
        let (local, remote) = ([192, 0, 2, 1], [198, 51, 100, 9]);
        let mut expected = Vec::new();
        PacketBuilder::ipv4(local, remote, 64)
            .udp(port(), 5555)
            .write(&mut expected, &inner())
            .unwrap();
        let ends = Ends::new(local.into(), remote.into(), 64, 0).unwrap();
        assert_eq!(written(&ends, true)[20..], expected[20..28]);
        expected[26..28].fill(0);
        assert_eq!(written(&ends, false)[20..], expected[20..28]);
    }

    #[test]
    fn over_ipv6_a_checksum_is_sent_where_it_is_asked_for() {
        let mut expected = Vec::new();
        PacketBuilder::ipv6(LOCAL, REMOTE, 64)
            .udp(port(), 5555)
            .write(&mut expected, &inner())
            .unwrap();
        let ends = Ends::new(LOCAL.into(), REMOTE.into(), 64, 0).unwrap();
        assert_eq!(written(&ends, true)[40..], expected[40..48]);
        expected[46..48].fill(0);
        assert_eq!(written(&ends, false)[40..], expected[40..48]);
    }

    #[test]
    fn the_version_tells_the_family() {
        assert_eq!(open(&[0x45]), Ok(Carries::Ip(Family::V4)));
        assert_eq!(open(&[0x6f, 0]), Ok(Carries::Ip(Family::V6)));
        for bytes in [&[][..], &[0x05], &[0x50], &[0x76]] {
            assert_eq!(open(bytes), Err(DropReason::InnerUnsupported));
        }
    }
}
