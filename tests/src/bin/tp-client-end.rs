//! The client's end of its tunnels as a program: runs in the network namespace that it is started in.
//!
//! Prints one JSON object a line: `{"ready":true}` when the devices are up, the counters at SIGUSR1, and the
//! counters once more when SIGTERM or SIGINT ends it.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use tp_tests::client::{ClientEnd, ClientError, TunnelSpec};

/// Client end of tunnels of all kinds: TUN and TAP devices and raw sockets.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// DEVICE,kind=ipip|gre|egre|fou|gue,local=A,remote=B or DEVICE,kind=vlan,trunk=ETH,vlan=VID[,vlan=VID]; and
    /// [,address=CIDR...][,mtu=N]. IPIP: [,limit]. GRE, EGRE: [,key=K][,sequence][,checksum]. FOU, GUE: ,port=P
    /// [,remote_port=P][,checksum]; GUE: [,variant=0|1]. EGRE, VLAN: [,mac=M]. A service VLAN is sVID. Once for each
    /// tunnel of this host.
    #[arg(long = "tunnel", required = true, value_name = "SPEC")]
    tunnels: Vec<TunnelSpec>,
}

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("signals: {0}")]
    Signals(#[from] nix::errno::Errno),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    #[error("counters: {0}")]
    Report(#[from] serde_json::Error),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tp-client-end: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1]);
    // Before any thread starts: threads inherit the mask, so that only `wait` below takes the signals.
    signals.thread_block()?;
    let end = ClientEnd::start(arguments.tunnels)?;
    print_line(r#"{"ready":true}"#)?;
    while signals.wait()? == Signal::SIGUSR1 {
        print_line(&serde_json::to_string(&end.report())?)?;
    }
    Ok(print_line(&serde_json::to_string(&end.stop())?)?)
}

fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
