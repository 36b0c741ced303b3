//! The demo: a laboratory of two ISPs and two clients, the portal between them, and a table of what was
//! expected and what was seen.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the demo speaks to a person")]

use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use tp_tests::exchange::{Row, Scenario, StepError};
use tp_tests::lab::LabError;

/// Real traffic through the Transit Portal in network namespaces of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Leave the laboratory up after the steps, to be explored, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    // Blocked before any thread starts: with --keep the laboratory ends by falling out of scope, not by a signal.
    if arguments.keep
        && let Err(error) = signals.thread_block()
    {
        eprintln!("tp-demo: signals: {error}");
        return ExitCode::FAILURE;
    }
    match run(&arguments, &signals) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tp-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, signals: &SigSet) -> Result<bool, StepError> {
    println!(
        "Two ISPs on one exchange LAN, a portal, client a by GRE behind a gateway, client b by IPIP.\n"
    );
    let scenario = Scenario::start("demo")?;
    for what in ["ports", "upstreams", "tunnels"] {
        show(&scenario, what)?;
    }
    let rows = scenario.run(|row| println!("  {} {}", mark(row), row.step))?;
    println!();
    for what in ["vfib", "drops"] {
        show(&scenario, what)?;
    }
    print_table(&rows);
    if arguments.keep {
        explore(&scenario)?;
        // A signal ends the wait; whatever else does ends it too.
        let _ = signals.wait();
    }
    scenario.tpd.stop()?;
    Ok(rows.iter().all(|row| row.good))
}

fn show(scenario: &Scenario, what: &str) -> Result<(), LabError> {
    println!("$ tpctl show {what}");
    let output = scenario.tpd.tpctl(&["show", what])?;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn mark(row: &Row) -> &'static str {
    if row.good { "ok  " } else { "FAIL" }
}

fn print_table(rows: &[Row]) {
    println!("EXPECTED AND SEEN");
    for row in rows {
        println!("{} {}", mark(row), row.step);
        println!("       expected  {}", row.expected);
        println!("       seen      {}", row.seen);
    }
    let good = rows.iter().filter(|row| row.good).count();
    println!("\n{good} of {} as expected", rows.len());
}

fn explore(scenario: &Scenario) -> Result<(), LabError> {
    let lab = &scenario.exchange.lab;
    lab.publish()?;
    let socket = lab.directory().join("api.sock");
    let tpctl = tp_tests::exchange::binary("tpctl")?;
    println!("\nThe laboratory stays until Ctrl-C. In another terminal:");
    println!("  {tpctl} --socket {} show status", socket.display());
    println!(
        "  {tpctl} --socket {} lookup isp1 198.51.100.1",
        socket.display()
    );
    println!("  ip netns list");
    println!(
        "  nsenter --net=/run/netns/{}-client-a ping 203.0.113.80",
        lab.name()
    );
    Ok(())
}
