//! Header views, newtypes and checksums; no unsafe, no allocation, no dependency.
//!
//! Every view has the same shape: `new_checked` proves that the header is whole, after
//! which no getter or setter panics; a setter that could void this says so. Fields are
//! in host order.
#![forbid(unsafe_code)]
#![no_std]

mod arp;
pub mod checksum;
mod ethernet;
mod gre;
mod gue;
mod ipv4;
mod ipv6;
mod mac;
mod udp;

pub use arp::Packet as ArpPacket;
pub use ethernet::{EtherType, Frame as EthernetFrame, VlanTag};
pub use gre::{Flags as GreFlags, Packet as GrePacket};
pub use gue::Packet as GuePacket;
pub use ipv4::{Ecn, Packet as Ipv4Packet, Protocol};
pub use ipv6::{Packet as Ipv6Packet, UpperLayer, is_ipv6};
pub use mac::{MacAddr, MacParseError};
pub use udp::{Datagram as UdpDatagram, datagram_checksum};

/// Why bytes are not the header that a view was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end inside the header.
    Truncated,
    /// A field has a value that the header cannot have (version, header or total length).
    Malformed,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "bytes end inside the header",
            Self::Malformed => "header has an impossible version or length",
        })
    }
}

impl core::error::Error for Error {}
