//! IP in IP (RFC 2003): the inner packet follows the outer header.

use std::net::Ipv4Addr;

use tp_wire::{Ecn, Protocol};

use super::outer::{self, Outer};
use crate::verdict::DropReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ipip {
    outer: Outer,
}

impl Ipip {
    pub(super) const OVERHEAD: usize = outer::LEN;

    pub(super) fn new(local: Ipv4Addr, remote: Ipv4Addr, ttl: u8, dscp: u8) -> Self {
        Self {
            outer: Outer::new(local, remote, Protocol::IPIP, ttl, dscp),
        }
    }

    #[inline]
    pub(super) fn write(&self, total_len: u16, ecn: Ecn, out: &mut [u8]) {
        // The caller made room for exactly the overhead.
        let Some(header) = out.first_chunk_mut() else {
            return;
        };
        self.outer.write(total_len, ecn, header);
    }
}

/// Checks what is between outer header and inner packet: nothing.
#[inline]
pub(super) fn open(header_len: usize) -> Result<(), DropReason> {
    if header_len != 0 {
        return Err(DropReason::BadMetadata);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Header};

    use super::*;

    #[test]
    fn the_header_is_what_etherparse_builds() {
        let (local, remote) = ([192, 0, 2, 1], [198, 51, 100, 9]);
        for (ecn, inner_len) in [(Ecn::NotEct, 20), (Ecn::Ce, 1480), (Ecn::Ect0, 65515)] {
            let ipip = Ipip::new(local.into(), remote.into(), 255, 63);
            let mut out = [0xff; Ipip::OVERHEAD];
            ipip.write(20 + inner_len, ecn, &mut out);

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
        assert_eq!(open(0), Ok(()));
        assert_eq!(open(4), Err(DropReason::BadMetadata));
    }
}
