//! The UDP header that FOU and GUE share.

use tp_wire::checksum::{fold, sum};
use tp_wire::{Protocol, UdpDatagram, datagram_checksum};

use super::outer::{Ends, Opened, Outer, Payload, narrow};
use super::{Carries, fou, gue};
use crate::verdict::DropReason;

/// Length in bytes.
pub(super) const LEN: usize = 8;

/// Ephemeral ports (RFC 6335 section 6) start here: 14 bits of the flow hash fill them.
const FIRST_SOURCE: u16 = 0xc000;

/// An outer IP and a UDP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Udp {
    pub(super) outer: Outer,
    remote: [u8; 2],
    checksum: bool,
}

impl Udp {
    pub(super) fn new(ends: &Ends, remote: u16, checksum: bool) -> Self {
        Self {
            outer: Outer::new(ends),
            remote: remote.to_be_bytes(),
            checksum,
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.outer.len() + LEN
    }

    /// Writes outer header and UDP header into the front of `out`, and `shim` behind them.
    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, shim: &[u8], out: &mut [u8]) {
        let udp = self.outer.write(Protocol::UDP, payload, out);
        let len = narrow(udp.len() + payload.packet.len());
        // The caller made room for the overhead.
        let Some((header, behind)) = udp.split_first_chunk_mut() else {
            return;
        };
        let [s0, s1] = (FIRST_SOURCE | narrow((payload.flow_hash() >> 18) as usize)).to_be_bytes();
        let ([d0, d1], [l0, l1]) = (self.remote, len.to_be_bytes());
        *header = [s0, s1, d0, d1, l0, l1, 0, 0];
        behind.copy_from_slice(shim);
        if self.checksum {
            // What is in front of the packet has an even length, so that the parts add up.
            let parts = [&header[..], shim, payload.packet].map(|part| u64::from(sum(part)));
            let total = fold(parts.iter().sum());
            let checksum = datagram_checksum(self.outer.address_sum(), len, total);
            header[6..].copy_from_slice(&checksum.to_be_bytes());
        }
    }
}

/// Checks the UDP header of an outer packet, and what follows it: an IP packet, or a GUE header that
/// ends `end` bytes behind the UDP header's start.
#[inline]
pub(super) fn open(outer: &Opened<'_>, end: isize) -> Result<Carries, DropReason> {
    let udp = UdpDatagram::new_checked(outer.payload).map_err(|_| DropReason::OuterMalformed)?;
    let end = end - LEN.cast_signed();
    if end < 0 {
        return Err(DropReason::BadMetadata);
    }
    if udp.checksum() != 0 && !udp.is_checksum_valid(sum(outer.addresses)) {
        return Err(DropReason::UdpChecksum);
    }
    match end {
        0 => fou::open(udp.payload()),
        _ => gue::open(udp.payload(), end),
    }
}
