//! Tables of counters: a column for each place, a row for each term, so that the equations can be
//! checked by eye.

use std::collections::BTreeSet;

use tp_api::{
    Counters, DropStage, Drops, LinkCounters, Named, PortCounters, RingLosses, SlowPathCounters,
    WorkerCounters,
};

use crate::table::{Table, list};

/// A term of an equation: its name and how to read it.
type Term<T> = (&'static str, fn(&T) -> u64);

/// Terms of steering's equation that come before its drops.
const STEERING_FIRST: [&str; 3] = ["seen", "passed", "redirected"];

pub(crate) fn counters(counters: &Counters) -> String {
    let parts = [
        steering(counters),
        rings(&counters.ports),
        workers(&counters.workers),
        slow_path(&counters.slow_path),
        links("UPSTREAM", &counters.upstreams),
        links("TUNNEL", &counters.tunnels),
        frames(counters),
    ];
    parts.join("\n")
}

/// A table whose columns are places.
fn matrix(title: &str, places: Vec<String>) -> Table {
    Table::new(std::iter::once(title.to_owned()).chain(places))
}

fn row(table: &mut Table, name: &str, counts: impl Iterator<Item = u64>) {
    table.row(std::iter::once(name.to_owned()).chain(counts.map(|count| count.to_string())));
}

fn steering(counters: &Counters) -> String {
    let columns: Vec<&Named> = counters
        .ports
        .iter()
        .map(|port| &port.steering)
        .chain([&counters.no_port])
        .collect();
    let places = counters.ports.iter().map(|port| port.port.clone());
    let mut table = matrix(
        "STEERING (frames)",
        places.chain(["other devices".to_owned()]).collect(),
    );
    let of = |name: &str| {
        let columns = columns.clone();
        let name = name.to_owned();
        columns
            .into_iter()
            .map(move |counts| counts.get(&name).copied().unwrap_or(0))
    };
    for name in STEERING_FIRST {
        row(&mut table, name, of(name));
    }
    let names: BTreeSet<&String> = columns.iter().flat_map(|counts| counts.keys()).collect();
    for name in names
        .into_iter()
        .filter(|name| !STEERING_FIRST.contains(&name.as_str()))
    {
        row(&mut table, &format!("dropped {name}"), of(name));
    }
    table.render()
}

fn rings(ports: &[PortCounters]) -> String {
    let rings: Vec<(String, &RingLosses)> = ports
        .iter()
        .flat_map(|port| {
            port.rings
                .iter()
                .map(|r| (format!("{}/{}", port.port, r.queue), r))
        })
        .collect();
    let mut table = matrix(
        "RINGS (frames)",
        rings.iter().map(|(place, _)| place.clone()).collect(),
    );
    let terms: [Term<RingLosses>; 7] = [
        ("lost: rx ring full", |r| r.rx_ring_full),
        ("lost: rx dropped", |r| r.rx_dropped),
        ("lost: rx invalid descriptors", |r| r.rx_invalid_descs),
        ("lost: tx invalid descriptors", |r| r.tx_invalid_descs),
        ("fill ring was empty (times)", |r| {
            r.rx_fill_ring_empty_descs
        }),
        ("tx ring was empty (times)", |r| r.tx_ring_empty_descs),
        ("entries not believed", |r| r.suspects),
    ];
    for (name, term) in terms {
        row(&mut table, name, rings.iter().map(|(_, ring)| term(ring)));
    }
    table.render()
}

fn workers(workers: &[WorkerCounters]) -> String {
    let places = workers
        .iter()
        .map(|worker| worker.worker.to_string())
        .collect();
    let mut table = matrix("WORKERS (packets)", places);
    let terms: [Term<WorkerCounters>; 8] = [
        ("rx", |w| w.rx),
        ("originated", |w| w.originated),
        ("copies", |w| w.copies),
        ("tx", |w| w.tx),
        ("punted", |w| w.punted),
        ("merged", |w| w.merged),
        ("held", |w| w.held),
        ("dropped", |w| w.dropped.values().sum()),
    ];
    for (name, term) in terms {
        row(&mut table, name, workers.iter().map(term));
    }
    let reasons: BTreeSet<&String> = workers.iter().flat_map(|w| w.dropped.keys()).collect();
    for reason in reasons {
        let of = |w: &WorkerCounters| w.dropped.get(reason).copied().unwrap_or(0);
        row(&mut table, &format!("  {reason}"), workers.iter().map(of));
    }
    table.render()
}

fn slow_path(slow: &SlowPathCounters) -> String {
    let mut table = Table::new(["SLOW PATH", "(packets)"]);
    let mut count = |name: &str, n: u64| row(&mut table, name, std::iter::once(n));
    count("to the kernel by TUN", slow.to_tun);
    count("to the kernel by TAP", slow.to_tap);
    count("answered", slow.answered);
    for (reason, packets) in &slow.dropped_to_kernel {
        count(&format!("  dropped {reason}"), *packets);
    }
    count("from the kernel by TUN", slow.from_tun);
    count("from the kernel by TAP", slow.from_tap);
    count("originated", slow.originated);
    for (reason, packets) in &slow.dropped_from_kernel {
        count(&format!("  dropped {reason}"), *packets);
    }
    table.render()
}

fn links(title: &str, links: &[LinkCounters]) -> String {
    let headers = [
        title,
        "FROM IT (packets)",
        "(inner bytes)",
        "TO IT (packets)",
        "(inner bytes)",
        "DROPPED (packets)",
    ];
    let mut table = Table::new(headers);
    for link in links {
        let counts = [
            link.rx_packets,
            link.rx_bytes,
            link.tx_packets,
            link.tx_bytes,
            link.dropped_packets,
        ];
        row(&mut table, &link.name, counts.into_iter());
    }
    table.render()
}

fn frames(counters: &Counters) -> String {
    let mut table = Table::new(["FRAMES", "(frames)"]);
    row(&mut table, "total", std::iter::once(counters.frames.total));
    for (owner, count) in &counters.frames.owners {
        row(&mut table, &format!("  {owner}"), std::iter::once(*count));
    }
    table.render()
}

pub(crate) fn drops(drops: &Drops) -> String {
    let mut table = Table::new(["STAGE", "AT", "REASON", "PACKETS"]);
    for drop in &drops.drops {
        let stage = match drop.stage {
            DropStage::Steering => "steering",
            DropStage::Ring => "ring",
            DropStage::Worker => "worker",
            DropStage::SlowPath => "slow path",
        };
        table.row([
            stage.to_owned(),
            list([&drop.at]),
            drop.reason.clone(),
            drop.packets.to_string(),
        ]);
    }
    table.render()
}
