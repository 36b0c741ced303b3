//! The outer IPv6 header that tunnel kinds share.

use std::net::Ipv6Addr;

use tp_wire::{Ecn, Ipv6Packet, Protocol, checksum};

use super::outer::Opened;
use crate::verdict::DropReason;

/// Length in bytes; the portal sends no extension headers.
pub(super) const LEN: usize = 40;

/// An outer header, complete but for ECN, flow label, payload length and next header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outer6 {
    header: [u8; LEN],
}

impl Outer6 {
    pub(super) fn new(local: Ipv6Addr, remote: Ipv6Addr, hop_limit: u8, dscp: u8) -> Self {
        let mut header = [0; LEN];
        // The six bits of the DSCP begin in the low half of the first byte.
        let dscp = dscp & 0x3f;
        header[0] = 0x60 | dscp >> 2;
        header[1] = dscp << 6;
        header[7] = hop_limit;
        header[8..24].copy_from_slice(&local.octets());
        header[24..40].copy_from_slice(&remote.octets());
        Self { header }
    }

    /// Writes the header of a packet whose payload has `payload_len` bytes and is of the flow with this hash.
    #[inline]
    pub(super) fn write(
        &self,
        next_header: Protocol,
        payload_len: u16,
        ecn: Ecn,
        flow_hash: u32,
        out: &mut [u8; LEN],
    ) {
        *out = self.header;
        // RFC 6438 section 3: the label is the flow's, so that it can share out load.
        let [_, high, middle, low] = (flow_hash >> 12).to_be_bytes();
        out[1] |= (ecn as u8) << 4 | high;
        (out[2], out[3]) = (middle, low);
        out[4..6].copy_from_slice(&payload_len.to_be_bytes());
        out[6] = next_header.0;
    }

    /// Ones' complement sum of the addresses, for a pseudo-header.
    #[inline]
    pub(super) fn address_sum(&self) -> u16 {
        checksum::sum(&self.header[8..])
    }
}

/// Reads an outer header and its extension headers, and judges them.
#[inline]
pub(super) fn open(bytes: &[u8]) -> Result<Opened<'_>, DropReason> {
    let malformed = |_| DropReason::OuterMalformed;
    let outer = Ipv6Packet::new_checked(bytes).map_err(malformed)?;
    let upper = outer.upper_layer().map_err(malformed)?;
    if upper.is_fragment {
        return Err(DropReason::OuterFragment);
    }
    Ok(Opened {
        ecn: outer.ecn(),
        protocol: upper.protocol,
        header_len: upper.offset,
        addresses: &bytes[8..40],
        payload: &bytes[upper.offset..outer.total_len()],
    })
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6Header};

    use super::*;

    #[test]
    fn the_header_is_what_etherparse_builds() {
        let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let destination = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        for (dscp, ecn) in [(0, Ecn::NotEct), (46, Ecn::Ce), (63, Ecn::Ect0)] {
            let outer = Outer6::new(source.into(), destination.into(), 61, dscp);
            let mut out = [0xff; LEN];
            outer.write(Protocol::GRE, 0x0123, ecn, 0xabcd_efff, &mut out);
            let expected = Ipv6Header {
                traffic_class: dscp << 2 | ecn as u8,
                // The upper 20 bits.
                flow_label: Ipv6FlowLabel::try_new(0xabcde).unwrap(),
                payload_length: 0x0123,
                next_header: IpNumber::GRE,
                hop_limit: 61,
                source,
                destination,
            };
            assert_eq!(out, expected.to_bytes());
        }
    }
}
