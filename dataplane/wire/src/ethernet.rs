//! Ethernet II header and VLAN tags (IEEE 802.3 section 3.2, IEEE 802.1Q section 9).

use crate::{Error, MacAddr};

/// An EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// Transparent Ethernet bridging: what GRE carries Ethernet frames under (RFC 1701).
    pub const TEB: Self = Self(0x6558);
    /// A customer VLAN tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// A service VLAN tag (802.1ad).
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// Whether a VLAN tag follows.
    #[inline]
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }
}

/// A VLAN tag: its TPID and its tag control information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub tpid: EtherType,
    /// Priority (3 bits), DEI (1 bit), VID (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// Length in bytes.
    pub const LEN: usize = 4;

    /// VLAN identifier; 0 is a priority tag, which names no VLAN.
    #[inline]
    #[must_use]
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }

    /// The tag as it follows the addresses.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b] = self.tpid.0.to_be_bytes();
        let [c, d] = self.tci.to_be_bytes();
        [a, b, c, d]
    }
}

mod field {
    use core::ops::Range;

    pub(super) const DESTINATION: Range<usize> = 0..6;
    pub(super) const SOURCE: Range<usize> = 6..12;
    pub(super) const ETHERTYPE: Range<usize> = 12..14;
}

/// A view of an Ethernet frame without its check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Frame<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Frame<T> {
    /// Addresses and EtherType.
    pub const HEADER_LEN: usize = field::ETHERTYPE.end;

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 14 bytes.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        if buffer.as_ref().len() < Self::HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> MacAddr {
        self.address(field::DESTINATION.start)
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> MacAddr {
        self.address(field::SOURCE.start)
    }

    /// What follows the addresses: the payload's type, or a tag's TPID.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        let b = self.buffer.as_ref();
        EtherType(u16::from_be_bytes([b[12], b[13]]))
    }

    /// The tag behind the addresses, and the type that follows it at `at`, which starts as
    /// 12 and moves behind the tag. `None` if there is no whole tag.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the frame ends inside a tag or before the type behind it.
    pub fn next_tag(&self, at: &mut usize) -> Result<Option<VlanTag>, Error> {
        let rest = self.buffer.as_ref().get(*at..).ok_or(Error::Truncated)?;
        let [a, b] = *rest.first_chunk().ok_or(Error::Truncated)?;
        let tpid = EtherType(u16::from_be_bytes([a, b]));
        if !tpid.is_vlan() {
            return Ok(None);
        }
        let [_, _, c, d, _, _] = *rest.first_chunk().ok_or(Error::Truncated)?;
        *at += VlanTag::LEN;
        Ok(Some(VlanTag {
            tpid,
            tci: u16::from_be_bytes([c, d]),
        }))
    }

    fn address(&self, at: usize) -> MacAddr {
        let b = self.buffer.as_ref();
        MacAddr::new([b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]])
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Frame<T> {
    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, address: MacAddr) {
        self.buffer.as_mut()[field::DESTINATION].copy_from_slice(&address.octets());
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, address: MacAddr) {
        self.buffer.as_mut()[field::SOURCE].copy_from_slice(&address.octets());
    }

    /// Sets what follows the addresses.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        self.buffer.as_mut()[field::ETHERTYPE].copy_from_slice(&ethertype.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tags: 802.1ad VID 5 with priority 7, 802.1Q VID 300; then IPv4.
    static BYTES: [u8; 22] = [
        0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x88, 0xa8, 0xe0, 0x05, 0x81, 0x00, 0x01,
        0x2c, 0x08, 0x00,
    ];

    #[test]
    fn addresses_and_tags_are_read() {
        let frame = Frame::new_checked(BYTES).unwrap();
        assert_eq!(frame.destination(), MacAddr::new([2, 0, 0, 0, 0, 1]));
        assert_eq!(frame.source(), MacAddr::new([2, 0, 0, 0, 0, 2]));
        assert_eq!(frame.ethertype(), EtherType::SERVICE_VLAN);
        let mut at = 12;
        let outer = frame.next_tag(&mut at).unwrap().unwrap();
        let inner = frame.next_tag(&mut at).unwrap().unwrap();
        assert_eq!((outer.tpid, outer.vid()), (EtherType::SERVICE_VLAN, 5));
        assert_eq!((inner.tpid, inner.vid()), (EtherType::VLAN, 300));
        assert_eq!(outer.to_bytes(), BYTES[12..16]);
        assert_eq!(frame.next_tag(&mut at), Ok(None));
        assert_eq!(BYTES[at..], [0x08, 0x00]);
    }

    #[test]
    fn frames_cut_at_each_byte_are_refused() {
        for len in 0..14 {
            assert_eq!(
                Frame::new_checked(&BYTES[..len]).err(),
                Some(Error::Truncated)
            );
        }
        for len in 14..BYTES.len() {
            let frame = Frame::new_checked(&BYTES[..len]).unwrap();
            let mut at = 12;
            let all = (|| {
                while frame.next_tag(&mut at)?.is_some() {}
                Ok::<_, Error>(())
            })();
            assert_eq!(all, Err(Error::Truncated), "{len} bytes");
        }
    }

    #[test]
    fn what_is_set_is_read() {
        let mut frame = Frame::new_checked([0u8; 14]).unwrap();
        frame.set_destination(MacAddr::new([1, 2, 3, 4, 5, 6]));
        frame.set_source(MacAddr::new([7, 8, 9, 10, 11, 12]));
        frame.set_ethertype(EtherType::ARP);
        assert_eq!(
            frame.buffer,
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06]
        );
    }
}
