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
    pub(super) fn write(&self, inner_len: u16, ecn: Ecn, out: &mut [u8]) {
        // The caller made room for exactly the overhead.
        let Some(header) = out.first_chunk_mut() else {
            return;
        };
        self.outer
            .write(inner_len + Self::OVERHEAD as u16, ecn, header);
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
