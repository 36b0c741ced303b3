//! `tpd`, the daemon of the Transit Portal: wiring only.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a program answers on its standard output"
)]

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Parser;
use tp_control::daemon;

/// Daemon of the Transit Portal data plane.
///
/// Holds the ports of its network namespace by an XDP program and forwards their packets between hosted
/// networks and the ISPs that these choose. SIGHUP, or tpctl reload, applies a changed file.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
#[command(group(clap::ArgGroup::new("task").required(true).args(["config", "check", "release"])))]
struct Arguments {
    /// Serve by this configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check this configuration file against this machine, and change nothing
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Remove what a stopped or killed daemon left: programs on ports, neighbour entries, the slow path's devices; and
    /// switch the ports' offloads on again that it switched off
    #[arg(long)]
    release: bool,

    /// With --release: where the daemon's bpffs is (`bpffs` in its configuration)
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "/run/tpd/bpf",
        requires = "release"
    )]
    bpffs: PathBuf,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> miette::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let arguments = Arguments::parse();
    if arguments.release {
        match daemon::release(&arguments.bpffs).await?.as_slice() {
            [] => println!("no port was held"),
            ports => println!("released: {}", ports.join(", ")),
        }
        return Ok(());
    }
    if let Some(file) = arguments.check {
        daemon::check(&file).await?;
        println!("{}: good", file.display());
        return Ok(());
    }
    match arguments.config {
        Some(file) => daemon::run(&file).await,
        None => unreachable!("clap asks for one of the group"),
    }
}
