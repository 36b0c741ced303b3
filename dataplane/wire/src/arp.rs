//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::{Error, MacAddr};

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// A view of an ARP packet: the buffer may be longer than the packet (link padding).
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length in bytes.
    pub const LEN: usize = 28;

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 28 bytes, [`Error::Malformed`] if it is not of IPv4 over Ethernet.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        if bytes.len() < Self::LEN {
            return Err(Error::Truncated);
        }
        if !bytes.starts_with(&KIND) {
            return Err(Error::Malformed);
        }
        Ok(Self { buffer })
    }

    /// 1 requests, 2 replies.
    #[inline]
    pub fn operation(&self) -> u16 {
        let b = self.buffer.as_ref();
        u16::from_be_bytes([b[6], b[7]])
    }

    /// MAC address of the sender.
    #[inline]
    pub fn sender_mac(&self) -> MacAddr {
        self.mac(8)
    }

    /// IP address of the sender.
    #[inline]
    pub fn sender(&self) -> Ipv4Addr {
        self.address(14)
    }

    /// MAC address of the target; of no meaning in a request.
    #[inline]
    pub fn target_mac(&self) -> MacAddr {
        self.mac(18)
    }

    /// IP address of the target.
    #[inline]
    pub fn target(&self) -> Ipv4Addr {
        self.address(24)
    }

    fn mac(&self, at: usize) -> MacAddr {
        let b = self.buffer.as_ref();
        MacAddr::new([b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]])
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let b = self.buffer.as_ref();
        Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3])
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpOperation, ArpPacket, EtherType};

    use super::*;

    fn built() -> [u8; 30] {
        let arp = ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            EtherType::IPV4,
            ArpOperation::REPLY,
            &[2, 0, 0, 0, 0, 1],
            &[192, 0, 2, 1],
            &[2, 0, 0, 0, 0, 2],
            &[192, 0, 2, 2],
        )
        .unwrap();
        let mut bytes = [0xee; 30];
        bytes[..28].copy_from_slice(&arp.to_bytes());
        bytes
    }

    #[test]
    fn all_fields_are_read() {
        let arp = Packet::new_checked(built()).unwrap();
        assert_eq!(arp.operation(), 2);
        assert_eq!(arp.sender_mac(), MacAddr::new([2, 0, 0, 0, 0, 1]));
        assert_eq!(arp.sender(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(arp.target_mac(), MacAddr::new([2, 0, 0, 0, 0, 2]));
        assert_eq!(arp.target(), Ipv4Addr::new(192, 0, 2, 2));
    }

    #[test]
    fn packets_cut_at_each_byte_and_of_other_kinds_are_refused() {
        for len in 0..28 {
            assert_eq!(
                Packet::new_checked(&built()[..len]).err(),
                Some(Error::Truncated)
            );
        }
        for at in 0..6 {
            let mut bytes = built();
            bytes[at] ^= 1;
            assert_eq!(Packet::new_checked(bytes).err(), Some(Error::Malformed));
        }
    }
}
