//! The program's counters, summed over the CPUs.

use std::io;
use std::ops::{AddAssign, Index};

use libbpf_rs::MapHandle;
use tp_pipeline::abi::{Counter, MAX_PORTS};

use crate::sys;

/// The row of frames from devices that are no port (`TP_MAX_PORTS` in abi.h).
pub const NO_PORT_ROW: usize = MAX_PORTS;

/// Counters of one port since the program was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters([u64; Counter::COUNT]);

impl PortCounters {
    /// All, in the order of [`Counter::ALL`].
    #[must_use]
    pub fn as_array(&self) -> &[u64; Counter::COUNT] {
        &self.0
    }

    /// Sum of the drops, whatever the reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        Counter::ALL
            .into_iter()
            .filter(|c| c.is_drop())
            .map(|c| self[c])
            .sum()
    }

    /// Whether every frame that was seen ended in one way. Holds when no frame is in the program.
    #[must_use]
    pub fn closes(&self) -> bool {
        self[Counter::Seen] == self[Counter::Passed] + self[Counter::Redirected] + self.dropped()
    }
}

impl Index<Counter> for PortCounters {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.0[counter as usize]
    }
}

impl AddAssign for PortCounters {
    fn add_assign(&mut self, other: Self) {
        for (sum, n) in self.0.iter_mut().zip(other.0) {
            *sum += n;
        }
    }
}

/// All rows: [`NO_PORT_ROW`] is the last. One system call, since `tpctl` and tests read often.
pub(crate) fn read_all(map: &MapHandle) -> io::Result<Vec<PortCounters>> {
    let cpus = libbpf_rs::num_possible_cpus().map_err(io::Error::other)?;
    let values = sys::percpu_array(map, cpus)?;
    let (per_cpu, rest) = values.as_chunks::<{ Counter::COUNT }>();
    debug_assert!(rest.is_empty(), "abi.h has another number of counters");
    let rows = per_cpu.chunks_exact(cpus).map(|cpus| {
        let mut sum = PortCounters::default();
        cpus.iter()
            .for_each(|counters| sum += PortCounters(*counters));
        sum
    });
    Ok(rows.collect())
}
