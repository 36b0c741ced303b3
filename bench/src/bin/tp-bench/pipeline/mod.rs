//! `tp-bench pipeline`: frames from memory through the worker's code.
//!
//! The worker's turn is timed whole: rings, ledger, pipeline, rings; the kernel's part is played
//! between turns. The stages are timed in the pipeline alone, since a look at the clock between
//! stages costs what it measures. Every packet that leaves is compared or counted: a run that
//! forwards something else is broken, and fails.

mod case;
mod frames;
mod load;
mod stages;
mod turns;

use std::io;

use case::Case;
use load::Load;
use tp_pipeline::{Stage, Verdict};

use crate::report::{Figure, Report};
use crate::ticks::Ticks;

/// Packets of a sample, and samples of a case.
const SAMPLE: usize = 64;

/// Why a run counts for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// No such case.
    #[error("no case has {0:?} in its name")]
    NoCase(String),
    /// The memory.
    #[error("memory of the frames: {0}")]
    Region(#[from] tp_xsk::RegionError),
    /// The worker.
    #[error("worker: {0}")]
    Worker(#[from] rustix::io::Errno),
    /// The output.
    #[error("output: {0}")]
    Output(#[from] io::Error),
    /// A packet was not received.
    #[error("{case}: the worker's rings took {taken} packets of {offered}")]
    Starved {
        /// Which case.
        case: String,
        /// Packets that were to be received.
        offered: usize,
        /// Packets that were.
        taken: usize,
    },
    /// Other packets left than should have.
    #[error("{case}: {left} packets of {expected} left, {bytes} bytes of {expected_bytes}")]
    Count {
        /// Which case.
        case: String,
        /// Packets that left.
        left: usize,
        /// Packets that should have.
        expected: usize,
        /// Their bytes.
        bytes: usize,
        /// The bytes that should have left.
        expected_bytes: usize,
    },
    /// A packet left with other bytes than it should.
    #[error("{case}: packet {index} left as {found:02x?} instead of {expected:02x?}")]
    Bytes {
        /// Which case.
        case: String,
        /// Which packet.
        index: usize,
        /// What left.
        found: Vec<u8>,
        /// What should have.
        expected: Vec<u8>,
    },
    /// The pipeline decided otherwise.
    #[error("{case}: packet {index} got {found:?}")]
    Verdict {
        /// Which case.
        case: String,
        /// Which packet.
        index: usize,
        /// What became of it.
        found: Verdict,
    },
}

/// Runs the cases whose name contains `filter`, with so many samples each.
pub(crate) fn run(filter: &str, samples: usize) -> Result<(), Broken> {
    let cases: Vec<Case> = case::all()
        .into_iter()
        .filter(|c| c.to_string().contains(filter))
        .collect();
    if cases.is_empty() {
        return Err(Broken::NoCase(filter.to_owned()));
    }
    let ticks = Ticks::new();
    let mut report = Report::new("pipeline");
    add(
        &mut report,
        "clock",
        "ticks_per_second",
        ticks.hertz(),
        "Hz",
    )?;
    add(&mut report, "clock", "reading", ticks.overhead(), "ticks")?;
    for case in cases {
        let name = case.to_string();
        let load = Load::new(&case);
        let turns = turns::measure(&case, &load, samples, &ticks)?;
        add(
            &mut report,
            &name,
            "ticks_per_packet_min",
            turns.min(),
            "ticks",
        )?;
        add(
            &mut report,
            &name,
            "ticks_per_packet",
            turns.median(),
            "ticks",
        )?;
        let stages = stages::measure(&case, &load, samples, &ticks)?;
        add(&mut report, &name, "pipeline", stages.all.median(), "ticks")?;
        for (stage, samples) in Stage::ALL.into_iter().zip(&stages.each) {
            add(&mut report, &name, stage.name(), samples.median(), "ticks")?;
        }
    }
    report.table(&mut io::stderr().lock())?;
    Ok(())
}

fn add(
    report: &mut Report,
    case: &str,
    metric: &str,
    value: f64,
    unit: &'static str,
) -> Result<(), Broken> {
    let (case, metric) = (case.to_owned(), metric.to_owned());
    report.add(Figure {
        case,
        metric,
        value,
        unit,
        peer: "portal",
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case forwards what it should, hot and cold; the figures of a debug build mean nothing.
    #[test]
    fn every_case_forwards_every_packet() {
        let ticks = Ticks::new();
        for case in case::all() {
            let load = Load::new(&case);
            assert!(
                turns::measure(&case, &load, 2, &ticks).unwrap().min() > 0.0,
                "{case}"
            );
            let stages = stages::measure(&case, &load, 2, &ticks).unwrap();
            assert!(stages.all.min() > 0.0, "{case}");
        }
    }

    #[test]
    fn a_packet_that_leaves_otherwise_breaks_the_run() {
        let ticks = Ticks::new();
        let case = case::all()[0];
        let mut load = Load::new(&case);
        let last = load.exchanges[5].sent.len() - 1;
        load.exchanges[5].sent[last] ^= 1;
        let turns = turns::measure(&case, &load, 2, &ticks);
        assert!(
            matches!(turns, Err(Broken::Bytes { index: 5, .. })),
            "{turns:?}"
        );
        let stages = stages::measure(&case, &load, 2, &ticks);
        assert!(matches!(stages, Err(Broken::Bytes { index: 5, .. })));
    }

    #[test]
    fn a_dropped_packet_breaks_the_run() {
        let ticks = Ticks::new();
        let case = case::all()[0];
        let mut load = Load::new(&case);
        // The tag of a slot that was freed since.
        load.exchanges[9].meta[4] ^= 1;
        let turns = turns::measure(&case, &load, 2, &ticks);
        assert!(
            matches!(turns, Err(Broken::Count { .. } | Broken::Bytes { .. })),
            "{turns:?}"
        );
        let stages = stages::measure(&case, &load, 2, &ticks);
        assert!(matches!(stages, Err(Broken::Verdict { index: 9, .. })));
    }
}
