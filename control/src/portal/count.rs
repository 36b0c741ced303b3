//! What the portal counted: every term of the equations of docs/ARCHITECTURE.md, read where it is counted.

use std::collections::BTreeMap;

use tp_api::{Counters, Drop, DropStage, Drops, FrameLedger, LinkCounters, RingLosses};
use tp_ebpf::PortCounters;
use tp_pipeline::abi::Counter;
use tp_pipeline::{DropReason, LinkCounts, PortId};
use tp_worker::{SocketReport, WorkerReport};

use super::port_totals::{Row, named};
use super::{Portal, PortalError};
use crate::model::Name;

impl Portal {
    /// All counters. Read one after the other while packets flow: the equations hold when traffic rests.
    ///
    /// # Errors
    /// The kernel does not give the steering counters, or a worker does not answer.
    pub fn counters(&self) -> Result<Counters, PortalError> {
        let reports = self.fleet.report()?;
        let mut rows = self.rows(&reports)?;
        let no_port = rows.split_off(tp_ebpf::NO_PORT_ROW.min(rows.len()));
        let no_port = no_port.first().map(|row| named(&row.steering));
        Ok(Counters {
            ports: self.port_totals.by_name(&self.compiled.names.ports, &rows),
            no_port: no_port.unwrap_or_default(),
            workers: self.workers(&reports),
            slow_path: self.slow.counters(),
            frames: self.frames(),
            upstreams: self.upstream_counters(),
            tunnels: self.tunnel_counters(),
        })
    }

    /// What was counted for each port's slot; the last row is of devices that are no port.
    pub(super) fn rows(&self, reports: &[WorkerReport]) -> Result<Vec<Row>, PortalError> {
        let steering = self.steering.counters().map_err(PortalError::Counters)?;
        let row = |(slot, counters): (u32, &PortCounters)| Row {
            steering: *counters.as_array(),
            rings: rings(reports, PortId(slot)),
        };
        Ok((0..).zip(&steering).map(row).collect())
    }

    fn workers(&self, reports: &[WorkerReport]) -> Vec<tp_api::WorkerCounters> {
        let worker =
            |(worker, (counters, report)): (usize, (&std::sync::Arc<_>, &WorkerReport))| {
                let counters: &tp_pipeline::WorkerCounters = counters;
                tp_api::WorkerCounters {
                    worker,
                    rx: counters.rx(),
                    originated: counters.originated(),
                    // Nothing copies or merges packets: no fragmentation, replication or reassembly.
                    copies: 0,
                    tx: counters.tx(),
                    punted: counters.punted(),
                    merged: 0,
                    held: report.held,
                    dropped: DropReason::ALL
                        .iter()
                        .map(|reason| (reason.name().to_owned(), counters.dropped(*reason)))
                        .collect(),
                }
            };
        self.counters
            .iter()
            .zip(reports)
            .enumerate()
            .map(worker)
            .collect()
    }

    fn frames(&self) -> FrameLedger {
        let ledger = self.region.ledger();
        let owners = [
            ("depot", ledger.depot),
            ("magazines", ledger.magazines),
            ("held", ledger.held),
            ("fill", ledger.fill),
            ("tx", ledger.tx),
        ];
        FrameLedger {
            total: self.region.chunks().into(),
            owners: owners
                .map(|(owner, n)| (owner.to_owned(), n.into()))
                .into_iter()
                .collect(),
        }
    }

    fn upstream_counters(&self) -> Vec<LinkCounters> {
        let names = self.compiled.names.upstreams.iter();
        names
            .map(|(name, a)| link(name, self.totals.upstream(&self.counters, name, a.id.slot)))
            .collect()
    }

    fn tunnel_counters(&self) -> Vec<LinkCounters> {
        let names = self.compiled.names.tunnels.iter();
        names
            .map(|(name, a)| link(name, self.totals.tunnel(&self.counters, name, a.id.slot)))
            .collect()
    }

    /// Every reason that has counted anything.
    ///
    /// # Errors
    /// As [`Self::counters`].
    pub fn drops(&self) -> Result<Drops, PortalError> {
        let counters = self.counters()?;
        let mut drops = Vec::new();
        let mut add = |stage, at: String, reason: &str, packets| {
            if packets > 0 {
                drops.push(Drop {
                    stage,
                    at,
                    reason: reason.to_owned(),
                    packets,
                });
            }
        };
        let no_port = std::iter::once(("(no port)".to_owned(), &counters.no_port));
        let ports = counters.ports.iter().map(|p| (p.port.clone(), &p.steering));
        for (at, row) in ports.chain(no_port) {
            for counter in Counter::ALL.into_iter().filter(|c| c.is_drop()) {
                let packets = row.get(counter.name()).copied().unwrap_or_default();
                add(DropStage::Steering, at.clone(), counter.name(), packets);
            }
        }
        for port in &counters.ports {
            for ring in &port.rings {
                let at = format!("{}/{}", port.port, ring.queue);
                add(
                    DropStage::Ring,
                    at.clone(),
                    "rx-ring-full",
                    ring.rx_ring_full,
                );
                add(DropStage::Ring, at.clone(), "rx-dropped", ring.rx_dropped);
                add(
                    DropStage::Ring,
                    at,
                    "rx-invalid-descs",
                    ring.rx_invalid_descs,
                );
            }
        }
        for worker in &counters.workers {
            for (reason, packets) in &worker.dropped {
                add(
                    DropStage::Worker,
                    worker.worker.to_string(),
                    reason,
                    *packets,
                );
            }
        }
        let slow = &counters.slow_path;
        for (at, dropped) in [
            ("to-kernel", &slow.dropped_to_kernel),
            ("from-kernel", &slow.dropped_from_kernel),
        ] {
            for (reason, packets) in dropped {
                add(DropStage::SlowPath, at.to_owned(), reason, *packets);
            }
        }
        Ok(Drops { drops })
    }
}

fn link(name: &Name, counts: LinkCounts) -> LinkCounters {
    LinkCounters {
        name: name.clone(),
        rx_packets: counts.rx_packets,
        rx_bytes: counts.rx_bytes,
        tx_packets: counts.tx_packets,
        tx_bytes: counts.tx_bytes,
        dropped_packets: counts.dropped_packets,
    }
}

/// Losses by queue, of the sockets that are open and of those that were closed.
fn rings(reports: &[WorkerReport], port: PortId) -> BTreeMap<u32, RingLosses> {
    let mut by_queue: BTreeMap<u32, RingLosses> = BTreeMap::new();
    let sockets = reports.iter().flat_map(|r| r.open.iter().chain(&r.closed));
    for SocketReport {
        queue,
        statistics: s,
        suspects,
        ..
    } in sockets.filter(|s| s.port == port)
    {
        let sum = by_queue.entry(*queue).or_default();
        sum.queue = *queue;
        sum.rx_dropped += s.rx_dropped;
        sum.rx_invalid_descs += s.rx_invalid_descs;
        sum.tx_invalid_descs += s.tx_invalid_descs;
        sum.rx_ring_full += s.rx_ring_full;
        sum.rx_fill_ring_empty_descs += s.rx_fill_ring_empty_descs;
        sum.tx_ring_empty_descs += s.tx_ring_empty_descs;
        sum.suspects += suspects.received + suspects.fragments + suspects.completions;
    }
    by_queue
}
