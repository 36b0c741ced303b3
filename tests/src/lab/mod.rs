//! The laboratory: network namespaces, veth pairs and bridges that exist as long as a value.
//!
//! ```no_run
//! # fn main() -> Result<(), tp_tests::lab::LabError> {
//! use tp_tests::lab::{Lab, Route};
//! let lab = Lab::new("ping")?;
//! let (left, right) = (lab.namespace("left")?, lab.namespace("right")?);
//! lab.veth((&left, "eth0"), (&right, "eth0"))?;
//! left.address("eth0", "192.0.2.1/24")?;
//! right.address("eth0", "192.0.2.2/24")?;
//! left.route(&Route::to("0.0.0.0/0")?.via("192.0.2.2".parse().unwrap()))?;
//! assert!(left.command("ping").args(["-c1", "192.0.2.2"]).status().unwrap().success());
//! # Ok(()) }
//! ```
//!
//! Invariants:
//! - File descriptors of this process hold the namespaces, and processes started through it die with it. When
//!   it ends, in whatever way, the kernel removes the namespaces and every device in them. (A killed process
//!   leaves the directory behind, and names given by [`Lab::publish`].)
//! - No device is ever made in the namespace of the caller: a veth end is born where it belongs.
//! - Dropping the [`Lab`] ends every process that was started through it or that is in one of its namespaces.
//! - Every checksum on a wire is complete and no packet is larger than the MTU: checksum and segmentation
//!   offloads are off on each veth end unless asked for. A sender behind a veth otherwise leaves the
//!   pseudo-header sum for hardware that is not there, and AF_XDP hands it on as it is.
//! - IPv6 is off ([`Ns::enable_ipv6`]) and reverse path filters are off until a test turns them on. IPv6 addresses are
//!   usable at once: there is neither duplicate address detection nor autoconfiguration.

mod bridge;
mod error;
mod laboratory;
mod link;
pub(crate) mod netlink;
mod ns;
mod packet_socket;
mod process;
mod route;
mod scratch;

pub use bridge::Bridge;
pub use error::LabError;
pub use laboratory::{Lab, require_root};
pub use link::{End, Link};
pub use nix::sys::signal::Signal;
pub use ns::Ns;
pub(crate) use packet_socket::packet_socket;
pub use process::Process;
pub use route::Route;
