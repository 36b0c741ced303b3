//! Builder of test packets: a typed description of a frame, turned into bytes.
//!
//! A description is plain data: what a layer may carry is an enum, so a stack that cannot
//! exist does not compile. Lengths, checksums, protocol numbers and EtherTypes are computed
//! unless a test asks for a [`Field::Is`] or [`Checksum::Wrong`]: that is how malformed
//! packets are made, one fault at a time.
//!
//! It shares no code with the data plane (but the address type), so that a mistake of the
//! data plane's header code cannot hide in the packets that test it.

mod arp;
mod frame;
mod gre;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod transport;
mod udp;

pub use arp::Arp;
pub use frame::{Frame, Network, Tag};
pub use gre::{Gre, GrePayload};
pub use icmp::{Icmp, Icmp6};
pub use ip::Ip;
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub use transport::{Tcp, Transport};
pub use udp::{Gue, GuePayload, Udp, UdpPayload};

use etherparse::checksum::Sum16BitWords;

/// A header field that the builder knows how to fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// What is right for the rest of the packet.
    #[default]
    Auto,
    /// This, right or not.
    Is(T),
}

impl<T> Field<T> {
    fn or(self, right: T) -> T {
        match self {
            Self::Auto => right,
            Self::Is(value) => value,
        }
    }
}

/// A checksum that the builder computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The right one.
    #[default]
    Right,
    /// One that no receiver accepts.
    Wrong,
    /// 0xffff where the right one is 0: the other zero of one's complement, accepted like it.
    OtherZero,
}

impl Checksum {
    /// `right`, or a value that differs from it in one's complement too (where 0 and 0xffff are one).
    fn apply(self, right: u16) -> u16 {
        match self {
            Self::Right => right,
            Self::Wrong => right ^ 0x0101,
            Self::OtherZero if right == 0 => 0xffff,
            Self::OtherZero => right,
        }
    }
}

/// The Internet checksum of `bytes` (RFC 1071), in host order.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    Sum16BitWords::new()
        .add_slice(bytes)
        .ones_complement()
        .to_be()
}

fn put16(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// A length that must fit its field: a description beyond it is a mistake of the test.
fn length16(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a test packet is shorter than 64 KiB")
}

#[cfg(test)]
mod tests;
