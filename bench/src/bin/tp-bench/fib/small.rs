//! Small tables, many of them: what an upstream's clients announce.

use tp_fib::{Fib, NextHopId, Prefix};

use super::family::Family;
use super::measure::{BURST, sum};
use super::random::Random;
use super::{Broken, scan};
use crate::report::{Figure, Report};
use crate::ticks::{Samples, Ticks};

/// Rounds through all tables, a burst in each.
const ROUNDS: usize = 200;

/// A default and a few prefixes in each of 4,096 tables; a thousand routes in each of a thousand;
/// and the largest that are small ones. The first two are more than a core's caches hold.
pub(super) fn measure<A: Family>(
    seed: u64,
    ticks: &Ticks,
    report: &mut Report,
) -> Result<(), Broken> {
    for (tables, routes) in [(4096, 8), (1000, 1000), (16, 1000), (16, 8000)] {
        let mut random = Random::new(seed);
        let tables: Vec<Table<A>> = (0..tables)
            .map(|_| Table::new(routes, &mut random))
            .collect();
        let memory: usize = tables
            .iter()
            .map(|t| t.fib.memory())
            .map(|m| m.lookup + m.routes)
            .sum();
        let samples = lookups(&tables, ticks)?;
        let case = format!("{}/tables={}/routes={routes}", A::NAME, tables.len());
        let mebibytes = memory as f64 / f64::from(1 << 20);
        for (metric, value, unit) in [
            ("cycles_per_lookup", samples.quiet(), "ticks"),
            ("cycles_per_lookup_median", samples.median(), "ticks"),
            ("memory_mib", mebibytes, "MiB"),
        ] {
            let (case, metric) = (case.clone(), metric.to_owned());
            report.add(Figure {
                case,
                metric,
                value,
                unit,
                peer: "portal",
            })?;
        }
    }
    Ok(())
}

/// A table and a burst for it.
struct Table<A: Family> {
    fib: Fib<A>,
    addresses: Vec<A>,
    expected: u64,
}

impl<A: Family> Table<A> {
    /// A default and other routes; a burst over them.
    fn new(count: usize, random: &mut Random) -> Self {
        let value = |random: &mut Random| 1 + random.below(64);
        let mut routes = vec![(Prefix::DEFAULT, value(random))];
        while routes.len() < count {
            let len = A::CLIENTS[random.index(A::CLIENTS.len())];
            let prefix = Prefix::from_bits(A::anywhere(random).first_of(len), len);
            routes.extend(prefix.map(|prefix| (prefix, value(random))));
        }
        let addresses = (0..BURST).map(|_| {
            let (prefix, _) = routes[random.index(routes.len())];
            prefix.bits().within(prefix.len(), random)
        });
        let addresses: Vec<A> = addresses.collect();
        Self {
            expected: scan::sum(&routes, &addresses),
            fib: routes.into_iter().map(|(p, v)| (p, NextHopId(v))).collect(),
            addresses,
        }
    }
}

/// Ticks of a look-up, in sixteen tables in turn a sample.
fn lookups<A: Family>(tables: &[Table<A>], ticks: &Ticks) -> Result<Samples, Broken> {
    let mut samples = Samples::default();
    for _ in 0..ROUNDS {
        for tables in tables.chunks(16) {
            let mut found = 0;
            let taken =
                ticks.time(|| found = tables.iter().map(|t| sum(&t.fib, &t.addresses)).sum());
            samples.push(taken / (tables.len() * BURST) as f64);
            let expected = tables.iter().map(|t| t.expected).sum();
            if found != expected {
                let what = "look-ups in small tables";
                return Err(Broken::Sum {
                    what,
                    found,
                    expected,
                });
            }
        }
    }
    Ok(samples)
}
