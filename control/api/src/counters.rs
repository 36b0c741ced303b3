//! Counters: each term of the equations is counted where it happens, none is derived.
//!
//! - steering: `seen = passed + redirected + sum of its drops`
//! - ring: `redirected = rx of the workers + losses of the rings`
//! - worker: `rx + originated + copies = tx + punted + sum of dropped + merged + held`
//! - slow path: `punted of the workers = to_tun + to_tap + answered + sum of dropped_to_kernel`, and
//!   `from_tun + from_tap + answered = originated + sum of dropped_from_kernel`; `originated` is that of the workers
//! - frames: `total = sum of the owners`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts by name; packets unless said otherwise.
pub type Named = BTreeMap<String, u64>;

/// Answer of `GET /v1/counters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Where packets enter.
    pub ports: Vec<PortCounters>,
    /// Steering's counts of frames of devices that are no port.
    pub no_port: Named,
    /// Where packets are forwarded.
    pub workers: Vec<WorkerCounters>,
    /// Between the workers and the kernel.
    pub slow_path: SlowPathCounters,
    /// Where the frames are.
    pub frames: FrameLedger,
    /// What each upstream brought and took.
    pub upstreams: Vec<LinkCounters>,
    /// What each tunnel brought and took.
    pub tunnels: Vec<LinkCounters>,
}

/// What an upstream or a tunnel brought and took, since its name came into the configuration.
/// Bytes are of inner IP packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    /// The upstream or tunnel.
    pub name: String,
    /// Packets from it.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets to it.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Packets from it that were dropped.
    pub dropped_packets: u64,
}

/// What a port's steering program and rings counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounters {
    /// The device.
    pub port: String,
    /// Of the steering program, by the names of `abi::Counter`.
    pub steering: Named,
    /// Of each socket.
    pub rings: Vec<RingLosses>,
}

/// `struct xdp_statistics` of linux/if_xdp.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingLosses {
    /// The queue.
    pub queue: u32,
    /// Dropped for other reasons than a full RX ring.
    pub rx_dropped: u64,
    /// Dropped: invalid descriptors in the fill ring.
    pub rx_invalid_descs: u64,
    /// Dropped: invalid descriptors in the TX ring.
    pub tx_invalid_descs: u64,
    /// Dropped: full RX ring.
    pub rx_ring_full: u64,
    /// Times that the fill ring was empty.
    pub rx_fill_ring_empty_descs: u64,
    /// Times that the TX ring was empty.
    pub tx_ring_empty_descs: u64,
    /// Ring entries that did not fit the ledger and were not believed.
    pub suspects: u64,
}

/// What a worker counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounters {
    /// Its number.
    pub worker: usize,
    /// Received from the rings.
    pub rx: u64,
    /// Sent without having been received: what the kernel sends to links.
    pub originated: u64,
    /// Further packets made of one (fragments, replicas).
    pub copies: u64,
    /// Sent.
    pub tx: u64,
    /// Handed to the kernel.
    pub punted: u64,
    /// Packets that became part of another (reassembly).
    pub merged: u64,
    /// Waiting in the worker.
    pub held: u64,
    /// Dropped, by the names of `DropReason`.
    pub dropped: Named,
}

/// What went between the workers and the kernel. What waits in a queue is in neither's count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowPathCounters {
    /// Packets that the kernel received by the TUN device.
    pub to_tun: u64,
    /// Frames that it received by the TAP device.
    pub to_tap: u64,
    /// ARP requests and neighbour solicitations that were answered for the link that they came by.
    pub answered: u64,
    /// Packets for the kernel that it did not receive, by reason.
    pub dropped_to_kernel: Named,
    /// Packets that the kernel sent by the TUN device.
    pub from_tun: u64,
    /// Frames that it sent by the TAP device.
    pub from_tap: u64,
    /// Handed to workers, to be sent.
    pub originated: u64,
    /// Packets of the kernel, and answers, that no worker got, by reason; some are those of workers.
    pub dropped_from_kernel: Named,
}

/// Where the frames are, in frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLedger {
    /// All there are.
    pub total: u64,
    /// By owner: pool, rings, workers, kernel.
    pub owners: Named,
}

/// Answer of `GET /v1/drops`: every reason that has counted anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// By stage and place.
    pub drops: Vec<Drop>,
}

/// A reason that has counted something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// Who dropped.
    pub stage: DropStage,
    /// The port, `port/queue`, or the worker's number.
    pub at: String,
    /// The counter's name.
    pub reason: String,
    /// How many.
    pub packets: u64,
}

/// Who dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropStage {
    /// The XDP program.
    Steering,
    /// The kernel, between program and worker.
    Ring,
    /// The pipeline.
    Worker,
    /// Between workers and kernel.
    #[serde(rename = "slow-path")]
    SlowPath,
}
