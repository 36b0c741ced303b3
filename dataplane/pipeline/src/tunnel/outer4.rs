//! The outer IPv4 header that tunnel kinds share.

use std::net::Ipv4Addr;

use tp_wire::{Ecn, Ipv4Packet, Protocol, checksum};

use super::outer::Opened;
use crate::verdict::DropReason;

/// Length in bytes; the portal sends no options.
pub(super) const LEN: usize = 20;

/// An outer header, complete but for protocol, total length, ECN and checksum.
///
/// Identification 0 with DF set: the packet is atomic (RFC 6864 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outer4 {
    header: [u8; LEN],
    /// Ones' complement sum of `header`, to which only the missing fields are added.
    sum: u16,
}

impl Outer4 {
    pub(super) fn new(local: Ipv4Addr, remote: Ipv4Addr, ttl: u8, dscp: u8) -> Self {
        let mut header = [0; LEN];
        header[0] = 0x45;
        header[1] = dscp << 2;
        header[6] = 0x40;
        header[8] = ttl;
        header[12..16].copy_from_slice(&local.octets());
        header[16..20].copy_from_slice(&remote.octets());
        Self {
            header,
            sum: checksum::sum(&header),
        }
    }

    /// Writes the header of a packet of `total_len` bytes.
    #[inline]
    pub(super) fn write(&self, protocol: Protocol, total_len: u16, ecn: Ecn, out: &mut [u8; LEN]) {
        *out = self.header;
        out[1] |= ecn as u8;
        out[2..4].copy_from_slice(&total_len.to_be_bytes());
        out[9] = protocol.0;
        let missing = u64::from(total_len) + ecn as u64 + u64::from(protocol.0);
        let sum = u64::from(self.sum) + missing;
        out[10..12].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
    }

    /// Ones' complement sum of the addresses, for a pseudo-header.
    #[inline]
    pub(super) fn address_sum(&self) -> u16 {
        checksum::sum(&self.header[12..])
    }
}

/// Reads an outer header and judges it.
#[inline]
pub(super) fn open(bytes: &[u8]) -> Result<Opened<'_>, DropReason> {
    let outer = Ipv4Packet::new_checked(bytes).map_err(|_| DropReason::OuterMalformed)?;
    if !outer.is_checksum_valid() {
        return Err(DropReason::OuterChecksum);
    }
    if outer.is_fragment() {
        return Err(DropReason::OuterFragment);
    }
    Ok(Opened {
        ecn: outer.ecn(),
        protocol: outer.protocol(),
        header_len: outer.header_len(),
        addresses: &bytes[12..20],
        payload: &bytes[outer.header_len()..usize::from(outer.total_len())],
    })
}
