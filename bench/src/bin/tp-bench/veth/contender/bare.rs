//! The measure: frames leave as they came.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tp_bench::{FrameSpec, Namespace, Template};

use super::{Books, Broken, Contender, FORWARDER_CPU, Process, Program, Traffic, look};
use crate::veth::laboratory::{A_MAC, B_MAC, PORT_A, PORT_A_MAC, PORT_B, PORT_B_MAC};
use crate::veth::scratch::Scratch;

const PEER: &str = "xsk-rs-l2fwd";

/// The bare forwarder at this path: 64-byte frames in both directions.
pub(crate) fn bare(program: &Path, scratch: &Scratch) -> Result<Contender, Broken> {
    let (host_a, host_b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
    let to_b = FrameSpec::new(A_MAC, PORT_A_MAC, host_a, host_b);
    let to_a = FrameSpec::new(B_MAC, PORT_B_MAC, host_b, host_a);
    let traffic = [
        Traffic {
            sent: vec![Template::new(0, &to_b)?],
            arrives: BTreeSet::from([look(1, &to_a)]),
        },
        Traffic {
            sent: vec![Template::new(1, &to_a)?],
            arrives: BTreeSet::from([look(0, &to_b)]),
        },
    ];
    let program = Bare {
        command: vec![
            program.display().to_string(),
            PORT_A.into(),
            PORT_B.into(),
            FORWARDER_CPU.to_string(),
        ],
        errors: scratch.path().join("bare.log"),
    };
    Ok(Contender {
        peer: PEER,
        traffic,
        program: Box::new(program),
    })
}

/// It prints "ready" when it forwards, ends with its standard input, and prints its counters then.
#[derive(Debug)]
struct Bare {
    command: Vec<String>,
    errors: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Counters {
    rx_dropped: u64,
    rx_ring_full: u64,
    received: u64,
    tx_ring_full: u64,
    tx_busy: u64,
}

impl Program for Bare {
    fn start(&self, namespace: &Namespace) -> Result<Process, Broken> {
        let mut process = Process::start(PEER, &self.command, namespace, &self.errors)?;
        process.wait_until_ready(|process| Ok(process.line().as_deref() == Some("ready")))?;
        Ok(process)
    }

    fn stop(&self, process: Process) -> Result<Books, Broken> {
        books(&process.end_input()?).map_err(|source| Broken::Counters { peer: PEER, source })
    }
}

fn books(line: &str) -> serde_json::Result<Books> {
    let counters: Counters = serde_json::from_str(line)?;
    let mut books = Books::default();
    books.add("ring_rx_dropped", counters.rx_dropped);
    books.add("ring_rx_full", counters.rx_ring_full);
    books.add("received", counters.received);
    books.add("tx_ring_full", counters.tx_ring_full);
    books.add("tx_busy", counters.tx_busy);
    Ok(books)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_counters_are_read() {
        let line = r#"{"rx_dropped":1,"rx_ring_full":2,"received":3,"tx_ring_full":4,"tx_busy":5}"#;
        assert_eq!(
            books(line).unwrap().to_string(),
            "ring_rx_dropped 1, ring_rx_full 2, received 3, tx_ring_full 4, tx_busy 5"
        );
        assert!(books(r#"{"received":3}"#).is_err());
    }
}
