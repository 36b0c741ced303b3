//! `tp-bench veth`: 64-byte frames through a laboratory, both directions at once, flat out.
//!
//! ```text
//! namespace a        portal's namespace        namespace b
//! [a0] ------------- [fa]  contender  [fb] ------------- [b0]
//! generator, sink     one worker, CPU 0        generator, sink
//!          \______ one sending thread, CPU 1 ______/
//! ```
//!
//! Contenders take turns, round by round, so that what else the machine does meets all of them.
//! On veth the kernel's transmission costs twenty times what forwarding does: compare the CPU time
//! of a packet and the ratio, not the rate by itself.

mod contender;
mod laboratory;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use contender::Contender;
use laboratory::{Laboratory, Round};

use crate::report::{Figure, Report};
use crate::ticks::Samples;

/// On this kind of machine (two virtual CPUs of 2.6 GHz) a bare forwarder carries 0.68 Mpps. When it
/// carries less than this, something else has the CPUs, and no figure of the run means anything.
const VOID_BELOW_MPPS: f64 = 0.6;
const CASE: &str = "veth/both-directions/64B/workers=1";

/// Why a run counts for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// Generator and forwarder would share a CPU.
    #[error("two CPUs are needed, one for the forwarder and one for the generator")]
    OneCpu,
    /// The laboratory.
    #[error(transparent)]
    Namespace(#[from] tp_bench::NamespaceError),
    /// The generator.
    #[error("generator: {0}")]
    Generator(#[from] tp_bench::GeneratorError),
    /// The frames.
    #[error("template: {0}")]
    Template(#[from] tp_bench::TemplateError),
    /// The sink.
    #[error("sink: {0}")]
    Sink(#[from] tp_bench::SinkError),
    /// Files, pipes, processes.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The contender did not get as far as forwarding.
    #[error("{peer} ended, or was not ready within {seconds} s")]
    NotReady {
        /// Who.
        peer: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// A direction carried nothing.
    #[error("{peer}: nothing arrived at {side}")]
    Silent {
        /// Who forwarded.
        peer: &'static str,
        /// Where nothing arrived.
        side: &'static str,
    },
    /// Frames arrived that should not have, or damaged.
    #[error("{peer}: {packets} frames at {side} are not as expected: {what}")]
    Wrong {
        /// Who forwarded.
        peer: &'static str,
        /// Where they arrived.
        side: &'static str,
        /// How many.
        packets: u64,
        /// What is wrong with them.
        what: String,
    },
}

/// `map_err` for a step that says what was tried.
pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Broken {
    move |source| Broken::System { what, source }
}

/// Runs rounds of this length, with the bare forwarder at this path as the measure.
pub(crate) fn run(bare: &Path, rounds: u32, length: Duration) -> Result<(), Broken> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Broken::OneCpu);
    }
    let contenders = [Contender::bare(bare)?];
    let laboratory = Laboratory::new()?;
    let mut results = contenders.each_ref().map(|_| Results::default());
    for _ in 0..rounds {
        for (contender, results) in contenders.iter().zip(&mut results) {
            results.add(&laboratory.round(contender, length)?);
        }
    }
    show(&contenders, &results).map_err(system("output"))
}

/// The rounds of one contender.
#[derive(Debug, Default)]
struct Results {
    mpps: Samples,
    offered_mpps: Samples,
    cpu_ns_per_packet: Samples,
}

impl Results {
    fn add(&mut self, round: &Round) {
        let seconds = round.elapsed.as_secs_f64();
        self.mpps.push(round.arrived as f64 / seconds / 1e6);
        self.offered_mpps.push(round.offered as f64 / seconds / 1e6);
        self.cpu_ns_per_packet
            .push(round.cpu.as_nanos() as f64 / round.arrived as f64);
    }
}

fn show(contenders: &[Contender], results: &[Results]) -> io::Result<()> {
    let mut report = Report::new("veth");
    for (contender, results) in contenders.iter().zip(results) {
        for (metric, value, unit) in [
            ("mpps_min", results.mpps.min(), "Mpps"),
            ("mpps", results.mpps.median(), "Mpps"),
            ("offered_mpps", results.offered_mpps.median(), "Mpps"),
            (
                "cpu_ns_per_packet",
                results.cpu_ns_per_packet.median(),
                "ns",
            ),
        ] {
            let (case, metric) = (CASE.to_owned(), metric.to_owned());
            report.add(Figure {
                case,
                metric,
                value,
                unit,
                peer: contender.peer,
            })?;
        }
    }
    // The first contender is the measure of the others.
    let bare = results[0].mpps.median();
    for (contender, results) in contenders.iter().zip(results).skip(1) {
        let (case, metric) = (CASE.to_owned(), format!("ratio_to_{}", contenders[0].peer));
        let value = results.mpps.median() / bare;
        report.add(Figure {
            case,
            metric,
            value,
            unit: "",
            peer: contender.peer,
        })?;
    }
    let mut err = io::stderr().lock();
    report.table(&mut err)?;
    if bare < VOID_BELOW_MPPS {
        writeln!(
            err,
            "VOID: {} carried {bare:.2} Mpps, less than {VOID_BELOW_MPPS}: the machine was busy, \
             or is of another kind. Do not quote this run.",
            contenders[0].peer
        )?;
    }
    Ok(())
}
