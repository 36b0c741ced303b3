//! Which counters moved between two looks: after a packet a test says which did, and no other may have.

use std::collections::BTreeMap;

use serde_json::Value;

/// Counters of steering that the link's own life moves too (ARP for the neighbours).
const RESTLESS: [&str; 2] = ["seen", "passed"];
/// Counters of a worker that are no drops.
const WORKER: [&str; 6] = ["rx", "originated", "copies", "tx", "punted", "merged"];

/// The counters that grew from `before` to `after`, and by how much: `ix0 unknown-source`, `worker rx`,
/// `worker forged-source`. Workers are summed up; what rests in the laboratory only if nobody speaks ARP is left out.
///
/// # Panics
/// If an answer is none of `tpctl show counters --json`.
#[must_use]
pub fn moved(before: &Value, after: &Value) -> BTreeMap<String, i128> {
    let (before, mut after) = (flat(before), flat(after));
    for (name, was) in before {
        *after.entry(name).or_default() -= was;
    }
    after.retain(|_, by| *by != 0);
    after
}

fn flat(counters: &Value) -> BTreeMap<String, i128> {
    let mut all = BTreeMap::new();
    let mut add = |place: &str, name: &str, count: &Value| {
        let count = count
            .as_u64()
            .unwrap_or_else(|| panic!("{place} {name} is no count"));
        *all.entry(format!("{place} {name}")).or_default() += i128::from(count);
    };
    for port in array(&counters["ports"]) {
        let place = port["port"].as_str().expect("a port has a name");
        for (name, count) in object(&port["steering"]) {
            if !RESTLESS.contains(&name.as_str()) {
                add(place, name, count);
            }
        }
        for ring in array(&port["rings"]) {
            for name in ["rx_dropped", "rx_ring_full"] {
                add(place, name, &ring[name]);
            }
        }
    }
    for worker in array(&counters["workers"]) {
        for name in WORKER {
            add("worker", name, &worker[name]);
        }
        for (reason, count) in object(&worker["dropped"]) {
            add("worker", reason, count);
        }
    }
    all
}

fn array(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value:#}"))
}

fn object(value: &Value) -> &serde_json::Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("no table: {value:#}"))
}
