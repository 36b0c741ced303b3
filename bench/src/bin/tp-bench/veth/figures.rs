//! From rounds to figures.

use std::io::{self, Write};
use std::time::Duration;

use super::books::Books;
use super::contender::Contender;
use super::laboratory::Round;
use crate::report::{Figure, Report};
use crate::ticks::Samples;

/// On this kind of machine (two virtual CPUs of 2.6 GHz) a bare forwarder carries 0.68 Mpps. When it
/// carries less than this, something else has the CPUs, and no figure of the run means anything.
const VOID_BELOW_MPPS: f64 = 0.6;
const CASE: &str = "veth/both-directions/64B/workers=1";

/// The rounds of one contender.
#[derive(Debug, Default)]
pub(super) struct Results {
    mpps: Samples,
    offered_mpps: Samples,
    cpu_ns_per_packet: Samples,
    cpu_used: Samples,
    cpu_waited: Samples,
    generator_ns_per_packet: Samples,
    generator_waited: Samples,
    books: Books,
}

impl Results {
    pub(super) fn add(&mut self, round: &Round) {
        let load = &round.load;
        let share = |time: Duration| time.as_secs_f64() / load.elapsed.as_secs_f64();
        let rate = |frames: u64| frames as f64 / load.elapsed.as_secs_f64() / 1e6;
        let each = |time: Duration, frames: u64| time.as_nanos() as f64 / frames as f64;
        let (forwarder, generator) = (load.forwarder, load.generator);
        self.mpps.push(rate(load.arrived));
        self.offered_mpps.push(rate(load.offered));
        self.cpu_ns_per_packet
            .push(each(forwarder.used, load.arrived));
        self.cpu_used.push(share(forwarder.used));
        self.cpu_waited.push(share(forwarder.waited));
        self.generator_ns_per_packet
            .push(each(generator.used, load.offered));
        self.generator_waited.push(share(generator.waited));
        self.books.merge(&round.books);
    }

    fn figures(&self) -> [(&'static str, f64, &'static str); 8] {
        let median = |metric, samples: &Samples, unit| (metric, samples.median(), unit);
        [
            ("mpps_min", self.mpps.min(), "Mpps"),
            median("mpps", &self.mpps, "Mpps"),
            median("offered_mpps", &self.offered_mpps, "Mpps"),
            median("cpu_ns_per_packet", &self.cpu_ns_per_packet, "ns"),
            median("cpu_used", &self.cpu_used, ""),
            median("cpu_waited", &self.cpu_waited, ""),
            median(
                "generator_ns_per_packet",
                &self.generator_ns_per_packet,
                "ns",
            ),
            median("generator_waited", &self.generator_waited, ""),
        ]
    }
}

/// Prints what the rounds gave; the first contender is the measure of the others.
pub(super) fn show(contenders: &[Contender], results: &[Results]) -> io::Result<()> {
    let mut report = Report::new("veth");
    let measure = results[0].mpps.median();
    let is_void = measure < VOID_BELOW_MPPS;
    let ratio = format!("ratio_to_{}", contenders[0].peer);
    for (contender, results) in contenders.iter().zip(results) {
        let mut add = |case: &str, metric: &str, value, unit| {
            report.add(Figure {
                case: case.to_owned(),
                metric: metric.to_owned(),
                value,
                unit,
                peer: contender.peer,
            })
        };
        for (metric, value, unit) in results.figures() {
            add(CASE, metric, value, unit)?;
        }
        add(CASE, &ratio, results.mpps.median() / measure, "")?;
        add(CASE, "void", is_void.into(), "")?;
        for (place, frames) in results.books.iter() {
            add(&format!("{CASE}/frames"), place, frames as f64, "frames")?;
        }
    }
    let mut err = io::stderr().lock();
    report.table(&mut err)?;
    if is_void {
        writeln!(
            err,
            "VOID: {} carried {measure:.2} Mpps, less than {VOID_BELOW_MPPS}: the machine was busy (its forwarder \
             waited {:.0} % of the time for a CPU, its generator {:.0} %), or is of another kind. Do not \
             quote this run.",
            contenders[0].peer,
            100.0 * results[0].cpu_waited.median(),
            100.0 * results[0].generator_waited.median(),
        )?;
    }
    Ok(())
}
