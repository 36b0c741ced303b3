//! The demo: a laboratory of two ISPs and two clients, the portal between them, and a table of what was
//! expected and what was seen.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the demo speaks to a person")]

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tp_tests::exchange::{Row, Scenario, StepError};
use tp_tests::lab::{LabError, Signal};

/// Real traffic through the Transit Portal in network namespaces of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Leave the laboratory up after the steps, to be explored, until SIGINT (Ctrl-C), SIGTERM or SIGHUP
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = signals()
        .map_err(|error| error.to_string())
        .and_then(|signals| run(&arguments, &signals).map_err(|error| error.to_string()));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tp-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The signals that ask for an end, as they come. None of them ends the process by itself: the laboratory goes by
/// falling out of scope. They are handled and not blocked, since the programs that it starts would inherit that.
fn signals() -> io::Result<Receiver<Signal>> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let handlers = runtime.block_on(async {
        // A shell starts background jobs with SIGINT ignored: a handler is put in that place too.
        io::Result::Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    });
    let (mut interrupt, mut terminate, mut hangup) = handlers?;
    let (told, asked) = mpsc::channel();
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::SIGINT,
                    _ = terminate.recv() => Signal::SIGTERM,
                    _ = hangup.recv() => Signal::SIGHUP,
                };
                if told.send(signal).is_err() {
                    break;
                }
            }
        });
    });
    Ok(asked)
}

fn run(arguments: &Arguments, signals: &Receiver<Signal>) -> Result<bool, StepError> {
    println!(
        "Two ISPs on one exchange LAN, a portal, client a by GRE behind a gateway, client b by IPIP.\n"
    );
    let scenario = Scenario::start("demo")?;
    for what in ["ports", "upstreams", "tunnels"] {
        show(&scenario, what)?;
    }
    let rows = scenario.run(|row| {
        println!("  {} {}", mark(row), row.step);
        signals
            .try_recv()
            .map_or(Ok(()), |signal| Err(StepError::Stopped(signal)))
    })?;
    println!();
    for what in ["vfib", "drops"] {
        show(&scenario, what)?;
    }
    print_table(&rows);
    if arguments.keep {
        explore(&scenario)?;
        // A signal ends the wait; whatever else does ends it too.
        let _ = signals.recv();
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
    println!(
        "\nThe laboratory stays until Ctrl-C or `kill {}`. In another terminal:",
        std::process::id()
    );
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
