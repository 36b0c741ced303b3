//! A reference model of the portal: slow, obvious, and independent of what it checks.
//!
//! It answers from the configuration ([`tp_control::model::Model`]) and the kernel's state
//! ([`tp_control::model::KernelView`]) by scanning them, never from compiled tables; frames
//! are read by its own few lines, never by the data plane's header views. From the
//! compiler it takes only which number each name has ([`Numbers`]).
//!
//! [`steering`] follows `docs/steering.md`, [`forwarding`] follows `docs/forwarding.md`. Where
//! program and reference differ, the text decides which of them is wrong.
//!
//! # What a configuration means
//! The texts speak of tables; this is what the reference expects the compiler to have put there:
//! - `ports`: of each port's device its index and its receive queues.
//! - `local_macs`: of each port its device's MAC, and the own and shown MACs of the bare links on it.
//!   `local_addrs`: the addresses of the namespace, but for those on the portal's TUN and TAP devices.
//! - `tunnels`: the outer pair, kind and key or UDP port of each carried link. `udp_ports`: the
//!   portal's ports of FOU and GUE links.
//! - `links`: for each bare upstream its port, its VLAN stack and each of its source MACs; without any,
//!   the next hop's MAC, if the kernel knows it. For each bare tunnel its port, its VLAN stack and MAC 0.
//!   What two links claim is neither's. A link with link addresses is local.
//! - an Ethernet link speaks by the TAP device, a bare one without link addresses by its port: that
//!   device's MAC is the link's own, and on it the kernel resolves addresses on the link.
//! - the vFIB of an upstream: a default route to it, and each route of each tunnel that leads to it.
//!   Its MAC, by which links with several upstreams show it, is a number like a slot.
//! - owners: the prefixes of each client.
//! - the peer of an Ethernet link: an upstream's next hop; a tunnel's peer, or else the first peer's
//!   address that the kernel has resolved.
//! - the way out by a bare link: its port, its peer's MAC, its own MAC, its VLAN stack with priority 0.
//!   By a carried one: the port by which the underlay route of `remote` leaves, that port's MAC, the MAC
//!   of the gateway or else of `remote` itself, no VLAN. Without a device, a route by a port, a
//!   neighbour, or on Ethernet links a peer, there is no way out.

mod bytes;
mod end;
pub mod forwarding;
mod portal;
pub mod steering;

pub use end::End;
pub use portal::{Id, Numbers, Portal};
