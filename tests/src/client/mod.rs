//! The client's end of a tunnel, as an operator would have it on a router of another make.
//!
//! Question: does what the portal sends make sense to somebody who knows only the RFCs, and does the portal
//! understand what such a one sends? Shares no code with the data plane: outer headers are built and read here
//! (IPv4 with etherparse, GRE by hand from RFC 2784 and RFC 2890).
//!
//! A TUN device in the client's namespace is the inner side; raw sockets are the outer side. One [`ClientEnd`]
//! holds all tunnels of one host, since only who knows all of them can say that an outer packet belongs to none:
//! such packets, and those that break a rule, are counted by [`Refusal`] and thrown away.
//!
//! Not seen here: packets whose outer header checksum is wrong or whose fragments do not fit together. The kernel
//! drops those before a raw socket gets them (counter `Ip InHdrErrors`, [`crate::lab::Ns::snmp`]). Checksums
//! inside (TCP, UDP, ICMP) are checked by the kernel that takes the inner packet (`InCsumErrors`).

mod counters;
mod end;
mod engine;
mod outer;
mod refusal;
mod spec;

pub use counters::{ClientReport, TunnelReport};
pub use end::{ClientEnd, ClientError};
pub use refusal::Refusal;
pub use spec::{Kind, SpecError, TunnelSpec};
