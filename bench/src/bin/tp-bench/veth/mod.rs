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
//! of a packet and the ratio, not the rate by itself. docs/benchmarks.md says what the figures mean.

mod books;
mod contender;
mod counters;
mod cpu;
mod error;
mod figures;
mod laboratory;
mod process;
mod scratch;

use std::path::Path;
use std::time::Duration;

pub(crate) use error::{Broken, system};

use figures::Results;
use laboratory::Laboratory;
use scratch::Scratch;

/// Runs rounds of this length, with the bare forwarder at this path as the measure.
pub(crate) fn run(bare: &Path, rounds: u32, length: Duration) -> Result<(), Broken> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Broken::OneCpu);
    }
    let scratch = Scratch::new()?;
    let contenders = [
        contender::bare(bare, &scratch)?,
        contender::portal(&scratch)?,
    ];
    let laboratory = Laboratory::new()?;
    let mut results = contenders.each_ref().map(|_| Results::default());
    for _ in 0..rounds {
        for (contender, results) in contenders.iter().zip(&mut results) {
            results.add(&laboratory.round(contender, length)?);
        }
    }
    figures::show(&contenders, &results).map_err(system("output"))
}
