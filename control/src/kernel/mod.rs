//! What the kernel knows that forwarding needs: links, addresses, the routes to far ends and the
//! neighbours on the way, mirrored and followed; and the offloads of ports.
//!
//! [`NetlinkMirror`] is the mirror of this network namespace: that of the thread which starts it.

mod actor;
mod ethtool;
mod listener;
mod mirror;
mod offload;
mod requests;
mod tables;
mod wanted;

pub use ethtool::{Ethtool, EthtoolError, Queues};
pub use mirror::{Mirror, MirrorError, MirrorStopped, NetlinkMirror, Tuning, release_neighbours};
pub use offload::{OffloadError, Offloads};
pub(crate) use requests::OURS;
pub use wanted::Wanted;
