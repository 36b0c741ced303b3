//! Benches: what a packet costs, and what a laboratory carries. `scripts/bench` builds and runs it.
#![forbid(unsafe_code)]

mod fib;
mod machine;
mod pipeline;
mod report;
mod ticks;
mod veth;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures the portal; figures go to standard output as JSON lines, tables to standard error.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Longest-prefix match alone: ticks a look-up, bytes a route, and what updates cost.
    Fib(fib::Options),
    /// Frames from memory through the worker's code: ticks a packet and a stage.
    Pipeline {
        /// Only cases with this in their name.
        #[arg(long, default_value = "")]
        case: String,
        /// Samples of each case, 64 packets each.
        #[arg(long, default_value_t = 4000)]
        samples: usize,
    },
    /// Frames through a laboratory of veth pairs: the portal's rate (`tpd` and `tpctl` beside this
    /// program) beside a bare forwarder's.
    Veth {
        /// The bare forwarder (bench/peers/xsk-rs-l2fwd).
        #[arg(long)]
        bare: PathBuf,
        /// Rounds of each contender.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Length of a round in seconds.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match run(Args::parse().bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tp-bench: broken run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: Bench) -> Result<(), Box<dyn Error>> {
    match bench {
        Bench::Fib(options) => fib::run(&options)?,
        Bench::Pipeline { case, samples } => pipeline::run(&case, samples)?,
        Bench::Veth {
            bare,
            rounds,
            seconds,
        } => {
            veth::run(&bare, rounds, Duration::from_secs(seconds))?;
        }
    }
    Ok(())
}
