//! GRE version 0 (RFC 2784) with an optional key (RFC 2890).

use std::net::Ipv4Addr;

use tp_wire::{Ecn, Error, EtherType, GreFlags, GrePacket, Protocol};

use super::outer::{self, Outer};
use crate::verdict::DropReason;

/// Without a key.
const PLAIN_LEN: usize = 4;
/// With a key.
const KEYED_LEN: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gre {
    outer: Outer,
    header: Header,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    Plain([u8; PLAIN_LEN]),
    Keyed([u8; KEYED_LEN]),
}

impl Gre {
    pub(super) fn new(
        local: Ipv4Addr,
        remote: Ipv4Addr,
        key: Option<u32>,
        ttl: u8,
        dscp: u8,
    ) -> Self {
        let [t0, t1] = EtherType::IPV4.0.to_be_bytes();
        let header = match key {
            None => Header::Plain([0, 0, t0, t1]),
            Some(key) => {
                let [f0, f1] = GreFlags::KEY.to_be_bytes();
                let [k0, k1, k2, k3] = key.to_be_bytes();
                Header::Keyed([f0, f1, t0, t1, k0, k1, k2, k3])
            }
        };
        Self {
            outer: Outer::new(local, remote, Protocol::GRE, ttl, dscp),
            header,
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        outer::LEN
            + match self.header {
                Header::Plain(_) => PLAIN_LEN,
                Header::Keyed(_) => KEYED_LEN,
            }
    }

    #[inline]
    pub(super) fn write(&self, inner_len: u16, ecn: Ecn, out: &mut [u8]) {
        // The caller made room for exactly the overhead.
        let Some((header, gre)) = out.split_first_chunk_mut() else {
            return;
        };
        self.outer
            .write(inner_len + self.overhead() as u16, ecn, header);
        match &self.header {
            Header::Plain(bytes) => gre.copy_from_slice(bytes),
            Header::Keyed(bytes) => gre.copy_from_slice(bytes),
        }
    }
}

/// Checks the GRE header that an outer packet's payload begins with: of this length, with IPv4 behind it.
#[inline]
pub(super) fn open(payload: &[u8], header_len: usize) -> Result<(), DropReason> {
    let gre = GrePacket::new_checked(payload).map_err(|error| match error {
        Error::Truncated => DropReason::OuterMalformed,
        Error::Malformed => DropReason::InnerUnsupported,
    })?;
    if gre.header_len() != header_len {
        return Err(DropReason::BadMetadata);
    }
    if !gre.is_checksum_valid() {
        return Err(DropReason::GreChecksum);
    }
    if gre.protocol_type() != EtherType::IPV4 {
        return Err(DropReason::InnerUnsupported);
    }
    Ok(())
}
