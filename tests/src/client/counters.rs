//! What a client's end counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::outer::Accepted;
use super::refusal::Refusal;
use super::spec::TunnelSpec;

/// Counters of all tunnels; written by the threads of a client's end, read at any time.
#[derive(Debug)]
pub(super) struct Counters {
    tunnels: Vec<TunnelCounters>,
    refused: [AtomicU64; Refusal::ALL.len()],
}

#[derive(Debug, Default)]
pub(super) struct TunnelCounters {
    sent_packets: AtomicU64,
    sent_bytes: AtomicU64,
    not_sent: AtomicU64,
    not_ip: AtomicU64,
    received_packets: AtomicU64,
    received_bytes: AtomicU64,
    not_delivered: AtomicU64,
    outer_ttl: AtomicU64,
    outer_tos: AtomicU64,
    checksummed_packets: AtomicU64,
}

/// What a client's end has counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReport {
    /// By the name of the tunnel's device.
    pub tunnels: BTreeMap<String, TunnelReport>,
    /// Outer packets that were thrown away, by [`Refusal::name`]; reasons that never applied are left out.
    pub refused: BTreeMap<String, u64>,
}

/// What one tunnel has counted; bytes are those of inner packets (of TAP devices: frames).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelReport {
    /// Inner packets that were encapsulated and sent.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Inner packets that the kernel refused to send when encapsulated.
    pub not_sent: u64,
    /// Packets from the device that are not IP.
    pub not_ip: u64,
    /// Inner packets that were received and given to the device.
    pub received_packets: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Inner packets that the device did not take.
    pub not_delivered: u64,
    /// TTL of the last outer packet received; 0 before the first.
    pub outer_ttl: u64,
    /// DSCP and ECN byte of the last outer packet received.
    pub outer_tos: u64,
    /// Outer packets received with a checksum of GRE or UDP, which was right.
    pub checksummed_packets: u64,
}

impl Counters {
    pub(super) fn new(tunnels: usize) -> Self {
        Self {
            tunnels: (0..tunnels).map(|_| TunnelCounters::default()).collect(),
            refused: Default::default(),
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        add(&self.refused[refusal as usize], 1);
    }

    /// An outer packet was opened, and the tunnel's device took the inner one or not.
    pub(super) fn received(&self, accepted: &Accepted, delivered: bool) {
        let tunnel = &self.tunnels[accepted.tunnel];
        let (ttl, tos) = (accepted.ttl.into(), accepted.tos.into());
        tunnel.outer_ttl.store(ttl, Ordering::Relaxed);
        tunnel.outer_tos.store(tos, Ordering::Relaxed);
        add(
            &tunnel.checksummed_packets,
            usize::from(accepted.checksummed),
        );
        self.delivered(accepted.tunnel, accepted.inner.len(), delivered);
    }

    /// A packet was given to a tunnel's device, which took it or not.
    pub(super) fn delivered(&self, tunnel: usize, bytes: usize, delivered: bool) {
        let tunnel = &self.tunnels[tunnel];
        if delivered {
            add(&tunnel.received_packets, 1);
            add(&tunnel.received_bytes, bytes);
        } else {
            add(&tunnel.not_delivered, 1);
        }
    }

    /// A packet from a device was sent, or not.
    pub(super) fn sent(&self, tunnel: usize, bytes: usize, gone: bool) {
        let tunnel = &self.tunnels[tunnel];
        if gone {
            add(&tunnel.sent_packets, 1);
            add(&tunnel.sent_bytes, bytes);
        } else {
            add(&tunnel.not_sent, 1);
        }
    }

    pub(super) fn not_ip(&self, tunnel: usize) {
        add(&self.tunnels[tunnel].not_ip, 1);
    }

    pub(super) fn report(&self, specs: &[TunnelSpec]) -> ClientReport {
        let names = specs.iter().map(|spec| spec.device.clone());
        let refused = Refusal::ALL.into_iter().map(|refusal| {
            (
                refusal.name().to_owned(),
                get(&self.refused[refusal as usize]),
            )
        });
        ClientReport {
            tunnels: names
                .zip(self.tunnels.iter().map(TunnelCounters::report))
                .collect(),
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl TunnelCounters {
    fn report(&self) -> TunnelReport {
        TunnelReport {
            sent_packets: get(&self.sent_packets),
            sent_bytes: get(&self.sent_bytes),
            not_sent: get(&self.not_sent),
            not_ip: get(&self.not_ip),
            received_packets: get(&self.received_packets),
            received_bytes: get(&self.received_bytes),
            not_delivered: get(&self.not_delivered),
            outer_ttl: get(&self.outer_ttl),
            outer_tos: get(&self.outer_tos),
            checksummed_packets: get(&self.checksummed_packets),
        }
    }
}

impl ClientReport {
    /// How often a reason applied.
    pub fn refusals(&self, reason: Refusal) -> u64 {
        self.refused.get(reason.name()).copied().unwrap_or(0)
    }
}

/// Statistics: no other memory depends on their order.
fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
