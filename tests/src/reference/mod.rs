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
//! - `local_macs`: of each port, its device's MAC. `local_addrs`: the addresses of the namespace.
//! - `tunnels`: the outer pair, kind and key of each tunnel.
//! - `links`: for each upstream its port, its VLAN stack and each of its source MACs; without
//!   any, the next hop's MAC, which for an address is its neighbour on the port; if the kernel
//!   does not know it, the upstream has no entry.
//! - the vFIB of an upstream: a default route to it, and each route of each of its tunnels.
//! - owners: the prefixes of each client.
//! - the way out to an upstream: its port, the port's MAC as source, the next hop's MAC, its VLAN
//!   stack with priority 0. To a tunnel: the port by which the underlay route of `remote` leaves,
//!   that port's MAC, the MAC of the gateway or else of `remote` itself, no VLAN. Without a device,
//!   a route by a port, or a neighbour there is no way out.

mod bytes;
pub mod forwarding;
mod portal;
pub mod steering;

pub use portal::{Id, Numbers, Portal};
