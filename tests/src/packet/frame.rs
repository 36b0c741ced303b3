//! Ethernet with VLAN tags.

use tp_wire::MacAddr;

use super::{Arp, Field, Ip, Ipv4, Ipv6};

/// An Ethernet frame, without its check sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Destination address.
    pub destination: MacAddr,
    /// Source address.
    pub source: MacAddr,
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// The EtherType behind the tags.
    pub ethertype: Field<u16>,
    /// What the frame carries.
    pub payload: Network,
    /// Bytes of link padding behind the payload.
    pub padding: usize,
}

/// A VLAN tag (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag's EtherType: 0x8100 or 0x88a8, or what a test wants.
    pub tpid: u16,
    /// VLAN identifier; 0 is a priority tag.
    pub vid: u16,
    /// Priority and drop-eligible bits, in the upper four bits of 16.
    pub priority: u16,
}

impl Tag {
    /// An 802.1Q tag.
    #[must_use]
    pub const fn c(vid: u16) -> Self {
        Self {
            tpid: 0x8100,
            vid,
            priority: 0,
        }
    }

    /// An 802.1ad service tag.
    #[must_use]
    pub const fn s(vid: u16) -> Self {
        Self {
            tpid: 0x88a8,
            vid,
            priority: 0,
        }
    }
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// IP.
    Ip(Ip),
    /// ARP.
    Arp(Arp),
    /// Anything: its EtherType and its bytes.
    Raw(u16, Vec<u8>),
}

impl From<Ip> for Network {
    fn from(packet: Ip) -> Self {
        Self::Ip(packet)
    }
}

impl From<Ipv4> for Network {
    fn from(packet: Ipv4) -> Self {
        Self::Ip(packet.into())
    }
}

impl From<Ipv6> for Network {
    fn from(packet: Ipv6) -> Self {
        Self::Ip(packet.into())
    }
}

impl From<Arp> for Network {
    fn from(message: Arp) -> Self {
        Self::Arp(message)
    }
}

impl Network {
    fn ethertype(&self) -> u16 {
        match self {
            Self::Ip(packet) => packet.ethertype(),
            Self::Arp(_) => 0x0806,
            Self::Raw(ethertype, _) => *ethertype,
        }
    }
}

impl Frame {
    /// An untagged frame.
    #[must_use]
    pub fn new(destination: MacAddr, source: MacAddr, payload: impl Into<Network>) -> Self {
        Self {
            destination,
            source,
            tags: Vec::new(),
            ethertype: Field::Auto,
            payload: payload.into(),
            padding: 0,
        }
    }

    /// The frame inside one more tag, behind those that it has.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The frame's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.destination.octets());
        out.extend(self.source.octets());
        for tag in &self.tags {
            out.extend(tag.tpid.to_be_bytes());
            out.extend((tag.priority & 0xf000 | tag.vid & 0x0fff).to_be_bytes());
        }
        out.extend(self.ethertype.or(self.payload.ethertype()).to_be_bytes());
        match &self.payload {
            Network::Ip(packet) => out.extend(packet.build()),
            Network::Arp(message) => out.extend(message.build()),
            Network::Raw(_, bytes) => out.extend(bytes),
        }
        out.resize(out.len() + self.padding, 0);
        out
    }
}
