//! `tp-bench fib`: longest-prefix match alone, on the files that DPDK's `dpdk-test-fib` takes, or on
//! tables of its own.
//!
//! Every address is looked up in bursts, and the sum of the answers is compared with the sum of a
//! walk through the addresses and routes in order, which shares no code with the table: a run with
//! another sum is broken, and fails.

mod family;
mod files;
mod generate;
mod measure;
mod peer;
mod random;
mod scan;
mod small;
mod updates;

use std::io;
use std::path::{Path, PathBuf};

use tp_fib::Prefix;

use crate::report::{Figure, Report};
use crate::ticks::Ticks;
use family::Family;
use generate::{Load, Placement};

/// A route as the files have it.
type Route<A> = (Prefix<A>, u32);

/// What to do with which files.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Routes: `prefix/length next-hop`, one a line. Without files: full tables with routes in either
    /// placement, small ones, and dpdk-test-fib beside them where it is installed.
    #[arg(long, requires = "addresses")]
    routes: Option<PathBuf>,
    /// Addresses to look up, one a line.
    #[arg(long, requires = "routes")]
    addresses: Option<PathBuf>,
    /// IPv6 instead of IPv4.
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Writes both files with so many routes, instead of reading them.
    #[arg(long, value_name = "ROUTES", requires = "routes")]
    generate: Option<usize>,
    /// Where --generate puts routes.
    #[arg(long, value_enum, default_value_t = Placement::Clustered)]
    placement: Placement,
    /// Begins the random numbers of what is generated.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Distinct next hops of what is generated.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    next_hops: u32,
    /// Times that all addresses are looked up.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// Why a run counts for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line of a file.
    #[error("{path}, line {line}: not {expected}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// Nothing to look up.
    #[error("{0}: no line")]
    Nothing(PathBuf),
    /// The look-ups are wrong.
    #[error("{what}: the sum of the next hops is {found} instead of {expected}")]
    Sum {
        /// Which look-ups.
        what: &'static str,
        /// What the table gave.
        found: u64,
        /// What the scan gave.
        expected: u64,
    },
    /// The table after changes is not the one that it should be.
    #[error("the changed table differs from a new one of the same routes")]
    Rebuild,
    /// The peer ran, but said nothing of look-ups.
    #[error("{program} ended with {status}:\n{output}")]
    Peer {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// The output.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// Generates the files, or measures on them, or on tables of its own.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    if options.ipv6 {
        run_family::<u128>(options)
    } else {
        run_family::<u32>(options)
    }
}

fn run_family<A: Family>(options: &Options) -> Result<(), Broken> {
    let ticks = Ticks::new();
    let mut report = Report::new("fib");
    match (&options.routes, &options.addresses) {
        (Some(routes), Some(addresses)) => {
            if let Some(count) = options.generate {
                let load = generate::<A>(options, count, options.placement);
                return write(&load, routes, addresses);
            }
            let case = routes.file_stem().unwrap_or_default().display().to_string();
            let load = Load::<A> {
                routes: files::read_routes(routes)?,
                addresses: files::read_addresses(addresses)?,
            };
            full(&case, load, options.rounds, &ticks, &mut report)?;
        }
        _ => all::<A>(options, &ticks, &mut report)?,
    }
    report.table(&mut io::stderr().lock())?;
    Ok(())
}

fn generate<A: Family>(options: &Options, count: usize, placement: Placement) -> Load<A> {
    generate::load(count, options.seed, placement, options.next_hops)
}

fn write<A: Family>(load: &Load<A>, routes: &Path, addresses: &Path) -> Result<(), Broken> {
    files::write_routes(routes, &load.routes)?;
    files::write_addresses(addresses, &load.addresses)
}

/// Full tables in both placements, with the peer before and after each; then small ones.
fn all<A: Family>(options: &Options, ticks: &Ticks, report: &mut Report) -> Result<(), Broken> {
    for placement in Placement::ALL {
        let load = generate::<A>(options, A::FULL, placement);
        let peer = peer::Dpdk::find(&load)?;
        let before = peer.as_ref().map(peer::Dpdk::ticks).transpose()?;
        let case = case::<A>(placement.name(), load.routes.len());
        let best = full(placement.name(), load, options.rounds, ticks, report)?;
        let after = peer.as_ref().map(peer::Dpdk::ticks).transpose()?;
        if let (Some(before), Some(after)) = (before, after) {
            let dpdk = before.min(after);
            for (metric, value, unit) in [
                ("cycles_per_lookup_round", dpdk, "ticks"),
                ("rate_of_portal", dpdk / best, "ratio"),
            ] {
                let (case, metric) = (case.clone(), metric.to_owned());
                report.add(Figure {
                    case,
                    metric,
                    value,
                    unit,
                    peer: peer::Dpdk::NAME,
                })?;
            }
        }
    }
    small::measure::<A>(options.seed, ticks, report)
}

fn case<A: Family>(name: &str, routes: usize) -> String {
    format!("{}/{name}/routes={routes}", A::NAME)
}

/// Measures a table, and gives the ticks of a look-up in the best round.
fn full<A: Family>(
    name: &str,
    Load { routes, addresses }: Load<A>,
    rounds: u32,
    ticks: &Ticks,
    report: &mut Report,
) -> Result<f64, Broken> {
    let expected = scan::sum(&routes, &addresses);
    let (table, load) = measure::load(&routes);
    let memory = table.memory();
    let each = |bytes: usize| bytes as f64 / table.len().max(1) as f64;
    let lookups = measure::lookups(&table, &addresses, rounds, expected, ticks)?;
    let case = case::<A>(name, routes.len());
    let mut add = |metric: &str, value: f64, unit| {
        let (case, metric) = (case.clone(), metric.to_owned());
        report.add(Figure {
            case,
            metric,
            value,
            unit,
            peer: "portal",
        })
    };
    add("cycles_per_lookup", lookups.samples.quiet(), "ticks")?;
    add("cycles_per_lookup_min", lookups.samples.min(), "ticks")?;
    add(
        "cycles_per_lookup_median",
        lookups.samples.median(),
        "ticks",
    )?;
    add("cycles_per_lookup_round", lookups.best_round, "ticks")?;
    add("bytes_per_route", each(memory.lookup), "bytes")?;
    add("control_bytes_per_route", each(memory.routes), "bytes")?;
    add("load_s", load.as_secs_f64(), "s")?;
    add("nexthop_sum", expected as f64, "sum")?;
    let updates = updates::measure(table, &addresses, ticks)?;
    add("update_us", updates.alone_us, "us")?;
    add("updates_per_second", updates.rate, "1/s")?;
    add("lookup_rate_under_updates", updates.lookup_rate, "ratio")?;
    add("update_visible_ms", updates.visible_ms, "ms")?;
    add("update_visible_ms_max", updates.visible_ms_max, "ms")?;
    Ok(lookups.best_round)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole run: generated, looked up, compared.
    fn gives_the_sum_of_the_scan<A: Family>(placement: Placement) {
        let load = generate::load::<A>(20_000, 7, placement, 300);
        let expected = scan::sum(&load.routes, &load.addresses);
        let (table, _) = measure::load(&load.routes);
        assert_eq!(table.len(), load.routes.len());
        let ticks = Ticks::new();
        let lookups = measure::lookups(&table, &load.addresses, 1, expected, &ticks);
        assert!(lookups.unwrap().best_round > 0.0);
        let wrong = measure::lookups(&table, &load.addresses, 1, expected + 1, &ticks);
        assert!(matches!(wrong, Err(Broken::Sum { .. })));
    }

    #[test]
    fn tables_of_each_placement_and_family_give_the_sum_of_the_scan() {
        for placement in Placement::ALL {
            gives_the_sum_of_the_scan::<u32>(placement);
            gives_the_sum_of_the_scan::<u128>(placement);
        }
    }
}
