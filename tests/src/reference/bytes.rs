//! Reading bytes that may not be there.

use std::net::{Ipv4Addr, Ipv6Addr};

use tp_wire::MacAddr;

/// A frame, read by offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

/// What was to be read lies beyond the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated;

impl<'a> Bytes<'a> {
    pub(super) fn range(self, at: usize, len: usize) -> Result<&'a [u8], Truncated> {
        self.0.get(at..at + len).ok_or(Truncated)
    }

    pub(super) fn u8(self, at: usize) -> Result<u8, Truncated> {
        self.0.get(at).copied().ok_or(Truncated)
    }

    pub(super) fn u16(self, at: usize) -> Result<u16, Truncated> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Result<u32, Truncated> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn ipv4(self, at: usize) -> Result<Ipv4Addr, Truncated> {
        self.array::<4>(at).map(Ipv4Addr::from)
    }

    pub(super) fn ipv6(self, at: usize) -> Result<Ipv6Addr, Truncated> {
        self.array::<16>(at).map(Ipv6Addr::from)
    }

    pub(super) fn mac(self, at: usize) -> Result<MacAddr, Truncated> {
        self.array(at).map(MacAddr::new)
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Truncated> {
        let bytes = self.range(at, N)?;
        Ok(bytes.try_into().expect("range gives N bytes"))
    }
}
