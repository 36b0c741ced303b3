//! IP in IP: RFC 2003, RFC 4213 and RFC 2473; the inner packet follows the outer header.

use tp_wire::{EtherType, Protocol};

use super::Carries;
use super::outer::{Ends, Outer, Payload};
use crate::family::Family;
use crate::verdict::DropReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ipip {
    pub(super) outer: Outer,
}

impl Ipip {
    pub(super) fn new(ends: &Ends) -> Self {
        Self {
            outer: Outer::new(ends),
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.outer.len()
    }

    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, out: &mut [u8]) {
        let protocol = match payload.ethertype {
            EtherType::IPV6 => Protocol::IPV6,
            _ => Protocol::IPIP,
        };
        self.outer.write(protocol, payload, out);
    }
}

/// Checks what is between outer header and inner packet: nothing, whatever `end` should say.
#[inline]
pub(super) fn open(family: Family, end: isize) -> Result<Carries, DropReason> {
    if end != 0 {
        return Err(DropReason::BadMetadata);
    }
    Ok(Carries::Ip(family))
}

#[cfg(test)]
mod tests {
    use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Header};
    use tp_wire::Ecn;

    use super::*;

    #[test]
    fn the_header_is_what_etherparse_builds() {
        let (local, remote) = ([192, 0, 2, 1], [198, 51, 100, 9]);
        for (ecn, inner_len) in [(Ecn::NotEct, 20), (Ecn::Ce, 1480), (Ecn::Ect0, 65515)] {
            let ipip = Ipip::new(&Ends::new(local.into(), remote.into(), 255, 63).unwrap());
            let mut out = [0xff; 20];
            let payload = Payload {
                ethertype: EtherType::IPV4,
                ecn,
                packet: &vec![0; usize::from(inner_len)],
            };
            ipip.write(&payload, &mut out);

            let mut expected =
                Ipv4Header::new(inner_len, 255, IpNumber::IPV4, local, remote).unwrap();
            expected.dscp = IpDscp::try_new(63).unwrap();
            expected.ecn = IpEcn::try_new(ecn as u8).unwrap();
            expected.dont_fragment = true;
            expected.header_checksum = expected.calc_header_checksum();
            assert_eq!(out[..], expected.to_bytes()[..]);
        }
    }

    #[test]
    fn nothing_is_between_the_headers() {
        assert_eq!(open(Family::V6, 0), Ok(Carries::Ip(Family::V6)));
        for end in [4, -4] {
            assert_eq!(open(Family::V4, end), Err(DropReason::BadMetadata));
        }
    }
}
