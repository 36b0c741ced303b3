//! What `tpctl ... --json` answers, as far as the bench reads it.
//!
//! The bench measures the portal from outside and so shares no code with it, its API's types included.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::books::Books;

/// An entry of `tpctl show neighbours`.
#[derive(Debug, Deserialize)]
pub(super) struct Neighbour {
    /// Absent until the kernel has resolved it.
    pub(super) mac: Option<String>,
}

/// `tpctl show counters`.
#[derive(Debug, Deserialize)]
pub(super) struct Counters {
    ports: Vec<Port>,
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Port {
    steering: BTreeMap<String, u64>,
    rings: Vec<Ring>,
}

#[derive(Debug, Deserialize)]
struct Ring {
    rx_dropped: u64,
    rx_ring_full: u64,
}

#[derive(Debug, Deserialize)]
struct Worker {
    rx: u64,
    tx: u64,
    punted: u64,
    held: u64,
    dropped: BTreeMap<String, u64>,
}

/// Steering's counters that are no reason of a drop.
const STEERING: [&str; 3] = ["seen", "passed", "redirected"];

impl Counters {
    /// The sums over ports and workers: the terms of the counter equations of docs/ARCHITECTURE.md,
    /// and each reason that dropped anything.
    pub(super) fn books(&self) -> Books {
        let mut books = Books::default();
        for name in STEERING {
            for port in &self.ports {
                let frames = port.steering.get(name).copied().unwrap_or_default();
                books.add(format!("steering_{name}"), frames);
            }
        }
        let drops = self.ports.iter().flat_map(|port| &port.steering);
        for (reason, frames) in drops.filter(|(name, _)| !STEERING.contains(&name.as_str())) {
            add_drop(&mut books, "steering", reason, *frames);
        }
        for ring in self.ports.iter().flat_map(|port| &port.rings) {
            books.add("ring_rx_dropped", ring.rx_dropped);
            books.add("ring_rx_full", ring.rx_ring_full);
        }
        for worker in &self.workers {
            books.add("received", worker.rx);
            for (reason, frames) in &worker.dropped {
                add_drop(&mut books, "worker", reason, *frames);
            }
            books.add("punted", worker.punted);
            books.add("held", worker.held);
            books.add("sent", worker.tx);
        }
        books
    }
}

fn add_drop(books: &mut Books, stage: &str, reason: &str, frames: u64) {
    if frames > 0 {
        books.add(format!("{stage}_drop_{reason}"), frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_workers_are_summed_and_drops_named() {
        let json = r#"{
            "ports": [
                {"port": "fa", "steering": {"seen": 10, "passed": 1, "redirected": 8, "group-address": 1, "truncated": 0},
                 "rings": [{"queue": 0, "rx_dropped": 1, "rx_ring_full": 2, "suspects": 0}]},
                {"port": "fb", "steering": {"seen": 5, "passed": 0, "redirected": 5},
                 "rings": [{"queue": 0, "rx_dropped": 0, "rx_ring_full": 1, "suspects": 0}]}
            ],
            "no_port": {},
            "workers": [{"worker": 0, "rx": 9, "tx": 6, "punted": 0, "held": 1, "dropped": {"tx-busy": 2, "stale-ingress": 0}}]
        }"#;
        let counters: Counters = serde_json::from_str(json).unwrap();
        assert_eq!(
            counters.books().to_string(),
            "steering_seen 15, steering_passed 1, steering_redirected 13, steering_drop_group-address 1, \
             ring_rx_dropped 1, ring_rx_full 3, received 9, worker_drop_tx-busy 2, punted 0, held 1, sent 6"
        );
    }
}
