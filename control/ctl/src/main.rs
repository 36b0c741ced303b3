//! Command line of the Transit Portal daemon.
#![forbid(unsafe_code)]

use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    tpctl::run(
        std::env::args_os(),
        &mut stdout().lock(),
        &mut stderr().lock(),
    )
}
