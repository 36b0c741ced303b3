//! Loading a table and looking up in it.

use std::time::{Duration, Instant};

use tp_fib::{Fib, NextHopId};

use super::family::Family;
use super::{Broken, Route};
use crate::ticks::{Samples, Ticks};

/// Addresses in a burst, as in the worker.
pub(super) const BURST: usize = 64;

/// Addresses in a sample: few enough that many samples are undisturbed on a shared machine, and
/// many enough that all samples cost the same but for that.
const PIECE: usize = 64 * BURST;

/// Builds the table, and says how long that took.
pub(super) fn load<A: Family>(routes: &[Route<A>]) -> (Fib<A>, Duration) {
    let begun = Instant::now();
    let table: Fib<A> = routes.iter().map(|(p, v)| (*p, NextHopId(*v))).collect();
    (table, begun.elapsed())
}

/// Ticks for each look-up.
#[derive(Debug)]
pub(super) struct Lookups {
    /// A sample a [`PIECE`] of the addresses.
    pub(super) samples: Samples,
    /// The mean over all addresses, in the round where it was least.
    pub(super) best_round: f64,
}

/// Looks all addresses up, so many times; the sum of every round counts.
pub(super) fn lookups<A: Family>(
    table: &Fib<A>,
    addresses: &[A],
    rounds: u32,
    expected: u64,
    ticks: &Ticks,
) -> Result<Lookups, Broken> {
    let mut samples = Samples::default();
    let mut best_round = f64::INFINITY;
    for _ in 0..rounds {
        let (mut found, mut round) = (0, 0.0);
        for piece in addresses.chunks(PIECE) {
            let taken = ticks.time(|| found += sum(table, piece));
            samples.push(taken / piece.len() as f64);
            round += taken;
        }
        best_round = best_round.min(round / addresses.len() as f64);
        if found != expected {
            let what = "look-ups in bursts";
            return Err(Broken::Sum {
                what,
                found,
                expected,
            });
        }
    }
    Ok(Lookups {
        samples,
        best_round,
    })
}

pub(super) fn sum<A: Family>(table: &Fib<A>, addresses: &[A]) -> u64 {
    let mut found = [None; BURST];
    let mut sum = 0;
    for addresses in addresses.chunks(BURST) {
        table.lookup_burst(addresses, &mut found);
        let values = found[..addresses.len()].iter().flatten();
        sum += values
            .map(|NextHopId(value)| u64::from(*value))
            .sum::<u64>();
    }
    sum
}
