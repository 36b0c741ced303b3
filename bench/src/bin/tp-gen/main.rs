//! Sends frames with sequence numbers over AF_XDP, or counts those that arrive.
#![forbid(unsafe_code)]

mod args;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use args::{Args, Command, SendArgs, SinkArgs};
use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use tp_bench::{Counts, Generator, Sent, Sink, TunnelKind};

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Send(args) => send(&args),
        Command::Sink(args) => sink(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tp-gen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(args: &SendArgs) -> Result<(), Box<dyn Error>> {
    let config = args.config()?;
    if let Some(cpu) = args.cpu {
        let mut cpus = CpuSet::new();
        cpus.set(usize::from(cpu));
        sched_setaffinity(None, &cpus)?;
    }
    let sent = Generator::open(&config)?.run(&AtomicBool::new(false));
    print(&sent_json(&sent))?;
    Ok(())
}

fn sink(args: &SinkArgs) -> Result<(), Box<dyn Error>> {
    let sink = Sink::attach(&args.interface)?;
    thread::sleep(Duration::from_secs_f64(args.seconds));
    print(&counts_json(&sink.read()?))?;
    Ok(())
}

fn sent_json(sent: &Sent) -> Value {
    let seconds = sent.elapsed.as_secs_f64();
    json!({
        "packets": sent.packets,
        "dropped": sent.dropped,
        "stuck": sent.stuck,
        "bytes": sent.bytes,
        "seconds": seconds,
        "packets_per_second": sent.packets as f64 / seconds,
    })
}

fn counts_json(counts: &Counts) -> Value {
    let signatures = counts.signatures.iter().map(|(s, tally)| {
        json!({
            "template": s.template,
            "dst_mac": s.dst_mac.to_string(),
            "src_mac": s.src_mac.to_string(),
            "vlans": s.vlans,
            "outer": s.outer.map(|o| json!({
                "kind": match o.kind {
                    TunnelKind::Ipip => "ipip",
                    TunnelKind::Gre { .. } => "gre",
                },
                "key": match o.kind {
                    TunnelKind::Gre { key } => key,
                    TunnelKind::Ipip => None,
                },
                "source": o.source,
                "destination": o.destination,
                "ttl": o.ttl,
                "tos": o.tos,
            })),
            "source": s.source,
            "destination": s.destination,
            "ttl": s.ttl,
            "packets": tally.packets,
            "frame_bytes": tally.frame_bytes,
            "inner_bytes": tally.inner_bytes,
            "bad_inner_checksum": tally.bad_inner_checksum,
            "bad_outer_checksum": tally.bad_outer_checksum,
        })
    });
    let flows = counts.flows.iter().map(|(id, flow)| {
        json!({
            "template": id,
            "packets": flow.packets,
            "lost": flow.lost(),
            "late": flow.late,
        })
    });
    json!({
        "signatures": signatures.collect::<Vec<_>>(),
        "flows": flows.collect::<Vec<_>>(),
        "passed": counts.passed,
        "overflow": counts.overflow,
    })
}

fn print(value: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value}")
}
