//! The client's end of a tunnel, as an operator would have it on a router of another make.
//!
//! Question: does what the portal sends make sense to somebody who knows only the RFCs, and does the portal
//! understand what such a one sends? Shares no code with the data plane: outer headers are built and read here
//! (IP and UDP with etherparse, the rest by hand from the RFCs).
//!
//! A TUN or TAP device in the client's namespace is the inner side; packet sockets and raw sockets (of VLANs, a TAP
//! device that is bridged with the Ethernet device) are the outer side. One [`ClientEnd`] holds all tunnels of one host,
//! since only who knows all of them can say that an outer packet belongs to none: such packets, and those that break a
//! rule, are counted by [`Refusal`] and thrown away. What is of no tunnel protocol is the kernel's business.
//!
//! A client at a `port` of the portal needs none of this: it has its addresses on its Ethernet device.
//!
//! Checksums inside (TCP, UDP, ICMP) are checked by the kernel that takes the inner packet (`InCsumErrors`).

mod counters;
mod device;
mod end;
mod engine;
mod frame;
mod gre;
mod ip;
mod outer;
mod refusal;
mod sockets;
mod spec;
mod text;
mod udp;

pub use counters::{ClientReport, TunnelReport};
pub use end::{ClientEnd, ClientError};
pub use refusal::Refusal;
pub use spec::{Carrier, Gre, GueVariant, Kind, Tag, TunnelSpec, Udp};
pub use text::SpecError;
