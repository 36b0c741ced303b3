//! ARP over Ethernet for IPv4 (RFC 826).

use std::net::Ipv4Addr;

use tp_wire::MacAddr;

use super::{Field, put16};

/// An ARP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Hardware type, 1.
    pub hardware: Field<u16>,
    /// Protocol type, 0x0800.
    pub protocol: Field<u16>,
    /// Lengths of a hardware and of a protocol address, 6 and 4.
    pub lengths: Field<[u8; 2]>,
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: MacAddr,
    /// Sender's address.
    pub sender: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: MacAddr,
    /// Target's address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// A request: who has `target`?
    #[must_use]
    pub fn request(sender_mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            hardware: Field::Auto,
            protocol: Field::Auto,
            lengths: Field::Auto,
            operation: 1,
            sender_mac,
            sender,
            target_mac: MacAddr::new([0; 6]),
            target,
        }
    }

    /// The message's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut out = vec![0; 28];
        put16(&mut out, 0, self.hardware.or(1));
        put16(&mut out, 2, self.protocol.or(0x0800));
        out[4..6].copy_from_slice(&self.lengths.or([6, 4]));
        put16(&mut out, 6, self.operation);
        out[8..14].copy_from_slice(&self.sender_mac.octets());
        out[14..18].copy_from_slice(&self.sender.octets());
        out[18..24].copy_from_slice(&self.target_mac.octets());
        out[24..28].copy_from_slice(&self.target.octets());
        out
    }
}
