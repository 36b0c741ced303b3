//! The control API: HTTP and JSON on a unix socket.
//!
//! [`paths`] lists what can be asked for and which type answers; every refusal is an [`ApiError`].
//! The feature `client` brings a client that needs tokio's current-thread runtime only.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
mod client;
mod counters;
mod error;
mod forwarding;
mod objects;
pub mod paths;
mod status;

#[cfg(feature = "client")]
pub use client::{Client as ApiClient, ClientError};
pub use counters::{
    Counters, Drop, DropStage, Drops, FrameLedger, LinkCounters, Named, PortCounters, RingLosses,
    SlowPathCounters, WorkerCounters,
};
pub use error::{ApiError, ErrorKind, Place};
pub use forwarding::{Egress, Lookup, Neighbour, Outer, RouteTarget, Vfib, VfibRoute, VfibSummary};
pub use objects::{
    Attachment, Bare, BareKind, Carried, Client, Ethernet, LinkAddresses, Port, Queue, Rate, Rates,
    Reach, Shown, Tunnel, TunnelKind, Udp, Upstream, Vlan,
};
pub use status::{KernelFeed, Reload, Status, Worker};
