//! GRE (RFC 2784, RFC 2890), with any flags.

use super::{Checksum, Field, Frame, Ip, Ipv4, Ipv6, internet_checksum, put16};

/// A GRE header and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gre {
    /// With a checksum over header and payload.
    pub checksum: Option<Checksum>,
    /// With a key.
    pub key: Option<u32>,
    /// With a sequence number.
    pub sequence: Option<u32>,
    /// Bits to invert in the flags and the version, which else tell what is there.
    pub odd_flags: u16,
    /// Protocol type.
    pub protocol: Field<u16>,
    /// What it carries.
    pub payload: GrePayload,
}

/// What GRE carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrePayload {
    /// An IP packet.
    Ip(Box<Ip>),
    /// An Ethernet frame (transparent Ethernet bridging).
    Ethernet(Box<Frame>),
    /// Anything: its protocol type and its bytes.
    Raw(u16, Vec<u8>),
}

impl GrePayload {
    fn protocol(&self) -> u16 {
        match self {
            Self::Ip(packet) => packet.ethertype(),
            Self::Ethernet(_) => 0x6558,
            Self::Raw(protocol, _) => *protocol,
        }
    }

    fn build(&self) -> Vec<u8> {
        match self {
            Self::Ip(packet) => packet.build(),
            Self::Ethernet(frame) => frame.build(),
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }
}

impl Gre {
    /// GRE with or without a key.
    #[must_use]
    pub fn new(key: Option<u32>, payload: impl Into<GrePayload>) -> Self {
        Self {
            checksum: None,
            key,
            sequence: None,
            odd_flags: 0,
            protocol: Field::Auto,
            payload: payload.into(),
        }
    }

    /// The header's and the payload's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let present = |bit: u16, is: bool| if is { bit } else { 0 };
        let flags = present(0x8000, self.checksum.is_some())
            | present(0x2000, self.key.is_some())
            | present(0x1000, self.sequence.is_some());
        let mut out = Vec::from((flags ^ self.odd_flags).to_be_bytes());
        out.extend(self.protocol.or(self.payload.protocol()).to_be_bytes());
        if self.checksum.is_some() {
            out.extend([0; 4]);
        }
        if let Some(key) = self.key {
            out.extend(key.to_be_bytes());
        }
        if let Some(sequence) = self.sequence {
            out.extend(sequence.to_be_bytes());
        }
        out.extend(self.payload.build());
        if let Some(checksum) = self.checksum {
            let right = internet_checksum(&out);
            put16(&mut out, 4, checksum.apply(right));
        }
        out
    }
}

impl From<Ip> for GrePayload {
    fn from(packet: Ip) -> Self {
        Self::Ip(Box::new(packet))
    }
}

impl From<Ipv4> for GrePayload {
    fn from(packet: Ipv4) -> Self {
        Ip::from(packet).into()
    }
}

impl From<Ipv6> for GrePayload {
    fn from(packet: Ipv6) -> Self {
        Ip::from(packet).into()
    }
}

impl From<Frame> for GrePayload {
    fn from(frame: Frame) -> Self {
        Self::Ethernet(Box::new(frame))
    }
}
