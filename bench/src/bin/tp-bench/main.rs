//! Benches: what a packet costs, and what a laboratory carries. `scripts/bench` builds and runs it.
#![forbid(unsafe_code)]

mod machine;
mod pipeline;
mod report;
mod ticks;

use std::process::ExitCode;

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
    /// Frames from memory through the worker's code: ticks a packet and a stage.
    Pipeline {
        /// Only cases with this in their name.
        #[arg(long, default_value = "")]
        case: String,
        /// Samples of each case, 64 packets each.
        #[arg(long, default_value_t = 4000)]
        samples: usize,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().bench {
        Bench::Pipeline { case, samples } => pipeline::run(&case, samples),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tp-bench: broken run: {error}");
            ExitCode::FAILURE
        }
    }
}
