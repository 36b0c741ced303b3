//! The counter equations of docs/ARCHITECTURE.md, over what `tpctl show counters --json` answers.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Tpd;
use crate::lab::LabError;

/// How long counters must stay the same to count as resting: longer than a worker's sleep between two looks at what
/// the kernel has not completed.
const REST: Duration = Duration::from_millis(50);
/// How long they may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Terms of the steering equation that are no drops.
const NO_DROPS: [&str; 3] = ["seen", "passed", "redirected"];
/// Terms of `struct xdp_statistics` that are packets which were redirected and did not become a worker's. The other
/// terms count descriptors or events; a packet that finds the fill ring empty counts as `rx_dropped` too.
const RING_LOSSES: [&str; 2] = ["rx_dropped", "rx_ring_full"];
/// What stays 0 as long as nobody damages a ring.
const NEVER: [&str; 3] = ["rx_invalid_descs", "tx_invalid_descs", "suspects"];

impl Tpd {
    /// The counters, once nothing has changed for a while: the equations hold when traffic rests.
    ///
    /// # Errors
    /// `tpctl` failed, or traffic did not come to rest.
    pub fn counters_at_rest(&self) -> Result<Value, LabError> {
        let deadline = Instant::now() + PATIENCE;
        let mut counters = self.json(&["show", "counters"])?;
        while Instant::now() < deadline {
            std::thread::sleep(REST);
            let next = self.json(&["show", "counters"])?;
            if next == counters {
                return Ok(counters);
            }
            counters = next;
        }
        Err(LabError::Program {
            program: "tpd",
            package: "this workspace",
            reason: format!("counters do not come to rest: {counters:#}"),
        })
    }
}

/// Asserts that every equation closes.
///
/// # Panics
/// With all those that do not, and the counters.
#[track_caller]
pub fn assert_counters_close(counters: &Value) {
    let open = open(counters);
    assert!(open.is_empty(), "{}\n{counters:#}", open.join("\n"));
}

/// The equations that do not close, in words.
///
/// # Panics
/// If a term is not there.
pub(super) fn open(counters: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut equal = |what: &str, left: u64, right: u64| {
        if left != right {
            found.push(format!("{what}: {left} != {right}"));
        }
    };
    let (mut redirected, mut lost_in_rings) = (0, 0);
    let no_port = &counters["no_port"];
    equal(
        "(no port): seen = passed + redirected + drops",
        number(no_port, "seen"),
        steering_ends(no_port),
    );
    for port in list(counters, "ports") {
        let (name, steering) = (&port["port"], &port["steering"]);
        equal(
            &format!("port {name}: seen = passed + redirected + drops"),
            number(steering, "seen"),
            steering_ends(steering),
        );
        redirected += number(steering, "redirected");
        for ring in list(port, "rings") {
            lost_in_rings += sum(ring, &RING_LOSSES);
            let queue = &ring["queue"];
            equal(
                &format!("port {name} queue {queue}: damaged ring entries"),
                sum(ring, &NEVER),
                0,
            );
        }
    }
    let workers = list(counters, "workers");
    let received: u64 = workers.iter().map(|worker| number(worker, "rx")).sum();
    equal(
        "rings: redirected = rx + losses",
        redirected,
        received + lost_in_rings,
    );
    for worker in workers {
        let came = sum(worker, &["rx", "originated", "copies"]);
        let went = sum(worker, &["tx", "punted", "merged", "held"]);
        let dropped: u64 = named(&worker["dropped"]).map(|(_, packets)| packets).sum();
        equal(
            &format!(
                "worker {}: rx + originated + copies = tx + punted + drops + merged + held",
                worker["worker"]
            ),
            came,
            went + dropped,
        );
    }
    let total = |term: &str| workers.iter().map(|w| number(w, term)).sum::<u64>();
    slow_path(&counters["slow_path"], &total, &mut equal);
    let frames = &counters["frames"];
    let owned: u64 = named(&frames["owners"]).map(|(_, frames)| frames).sum();
    equal("frames: total = owners", number(frames, "total"), owned);
    found
}

/// Between the workers, whose counts `total` sums, and the kernel.
fn slow_path(slow: &Value, total: &dyn Fn(&str) -> u64, equal: &mut dyn FnMut(&str, u64, u64)) {
    let dropped = |term| named(&slow[term]).map(|(_, packets)| packets).sum::<u64>();
    equal(
        "slow path: punted = to_tun + to_tap + answered + drops",
        total("punted"),
        sum(slow, &["to_tun", "to_tap", "answered"]) + dropped("dropped_to_kernel"),
    );
    equal(
        "slow path: from_tun + from_tap + answered = originated + drops",
        sum(slow, &["from_tun", "from_tap", "answered"]),
        number(slow, "originated") + dropped("dropped_from_kernel"),
    );
    equal(
        "slow path: originated = that of the workers",
        number(slow, "originated"),
        total("originated"),
    );
}

fn steering_ends(row: &Value) -> u64 {
    let drops = named(row).filter(|(name, _)| !NO_DROPS.contains(name));
    let drops: u64 = drops.map(|(_, packets)| packets).sum();
    drops + sum(row, &["passed", "redirected"])
}

fn sum(row: &Value, terms: &[&str]) -> u64 {
    terms.iter().map(|term| number(row, term)).sum()
}

/// A term must be there: one that is missing would close any equation.
fn number(row: &Value, term: &str) -> u64 {
    let value = row[term].as_u64();
    value.unwrap_or_else(|| panic!("no count {term:?} in {row:#}"))
}

fn list<'a>(row: &'a Value, key: &str) -> &'a [Value] {
    let list = row[key].as_array();
    list.unwrap_or_else(|| panic!("no list {key:?} in {row:#}"))
}

fn named(row: &Value) -> impl Iterator<Item = (&str, u64)> {
    let map = row.as_object();
    let map = map.unwrap_or_else(|| panic!("no counts by name: {row:#}"));
    map.keys().map(|name| (name.as_str(), number(row, name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed() -> Value {
        json!({
            "no_port": {"seen": 1, "passed": 0, "redirected": 0, "no-port": 1},
            "ports": [{
                "port": "ix0",
                "steering": {"seen": 20, "passed": 3, "redirected": 15, "group-address": 2},
                "rings": [{
                    "queue": 0, "rx_dropped": 1, "rx_ring_full": 2, "rx_invalid_descs": 0,
                    "tx_invalid_descs": 0, "suspects": 0,
                }],
            }],
            "workers": [
                {"worker": 0, "rx": 12, "originated": 1, "copies": 1, "tx": 6, "punted": 1, "merged": 1,
                 "held": 2, "dropped": {"no-route": 3, "too-big": 1}},
                {"worker": 1, "rx": 0, "originated": 2, "copies": 4, "tx": 0, "punted": 4, "merged": 0,
                 "held": 2, "dropped": {}},
            ],
            "slow_path": {
                "to_tun": 1, "to_tap": 1, "answered": 1, "dropped_to_kernel": {"not-for-us": 2},
                "from_tun": 2, "from_tap": 1, "originated": 3, "dropped_from_kernel": {"group": 1},
            },
            "frames": {"total": 10, "owners": {"depot": 4, "fill": 6}},
        })
    }

    #[test]
    fn counters_that_close_leave_nothing_open() {
        assert_counters_close(&closed());
    }

    #[test]
    fn each_term_is_missed() {
        let terms = [
            ("/no_port/no-port", 1),
            ("/ports/0/steering/seen", 1),
            ("/ports/0/steering/passed", 1),
            ("/ports/0/steering/group-address", 1),
            ("/ports/0/steering/redirected", 2),
            ("/ports/0/rings/0/rx_dropped", 1),
            ("/ports/0/rings/0/rx_ring_full", 1),
            ("/ports/0/rings/0/rx_invalid_descs", 1),
            ("/ports/0/rings/0/tx_invalid_descs", 1),
            ("/ports/0/rings/0/suspects", 1),
            ("/workers/0/rx", 2),
            ("/workers/0/originated", 2),
            ("/workers/0/copies", 1),
            ("/workers/0/tx", 1),
            ("/workers/0/punted", 2),
            ("/workers/0/merged", 1),
            ("/workers/0/held", 1),
            ("/workers/0/dropped/no-route", 1),
            ("/slow_path/to_tun", 1),
            ("/slow_path/to_tap", 1),
            ("/slow_path/answered", 2),
            ("/slow_path/dropped_to_kernel/not-for-us", 1),
            ("/slow_path/from_tun", 1),
            ("/slow_path/from_tap", 1),
            ("/slow_path/originated", 2),
            ("/slow_path/dropped_from_kernel/group", 1),
            ("/frames/total", 1),
            ("/frames/owners/fill", 1),
        ];
        for (term, broken) in terms {
            let mut counters = closed();
            let value = counters.pointer_mut(term).expect(term);
            *value = json!(value.as_u64().expect(term) + 1);
            assert_eq!(open(&counters).len(), broken, "{term}");
        }
    }

    #[test]
    #[should_panic(expected = "no count \"seen\"")]
    fn a_term_that_is_not_there_is_no_zero() {
        let mut counters = closed();
        let steering = counters["ports"][0]["steering"].as_object_mut();
        steering.expect("a table").remove("seen");
        assert_counters_close(&counters);
    }
}
