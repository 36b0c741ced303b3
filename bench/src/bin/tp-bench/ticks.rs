//! The time stamp counter, and what many samples of it say.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Reads the counter.
///
/// quanta does it without unsafe on our side and by the compiler's intrinsic; `tick_counter` has
/// fewer dependencies, but its assembly changes a register that it does not declare.
#[derive(Clone, Debug)]
pub(crate) struct Ticks {
    clock: Clock,
    /// What two readings in a row are apart, on average.
    overhead: f64,
}

impl Ticks {
    /// Finds the counter and what reading it costs.
    pub(crate) fn new() -> Self {
        let mut ticks = Self {
            clock: Clock::new(),
            overhead: 0.0,
        };
        let mut pairs: Vec<f64> = (0..10_000).map(|_| ticks.time(|| {})).collect();
        // A mean, since counters advance in steps (26 ticks on some); the slowest tenth was disturbed.
        pairs.sort_by(f64::total_cmp);
        pairs.truncate(9_000);
        ticks.overhead = pairs.iter().sum::<f64>() / pairs.len() as f64;
        ticks
    }

    /// A reading that earlier loads and stores have finished before.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.clock.raw()
    }

    /// Ticks that the call took, the cost of reading the counter left out.
    #[inline]
    pub(crate) fn time(&self, call: impl FnOnce()) -> f64 {
        let start = self.now();
        call();
        self.since(start)
    }

    /// Ticks since a reading, the cost of reading the counter left out. A little below 0 is an
    /// error of the cost, which many samples level out: so it is kept.
    #[inline]
    pub(crate) fn since(&self, start: u64) -> f64 {
        (self.now() - start) as f64 - self.overhead
    }

    /// What two readings in a row are apart, on average.
    pub(crate) fn overhead(&self) -> f64 {
        self.overhead
    }

    /// Ticks a second, measured; 1e9 where there is no counter and quanta reads the system's clock.
    pub(crate) fn hertz(&self) -> f64 {
        let (at, from) = (Instant::now(), self.clock.raw());
        std::thread::sleep(Duration::from_millis(100));
        let ticks = self.clock.raw() - from;
        ticks as f64 / at.elapsed().as_secs_f64()
    }
}

/// Samples of one quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The least; what the machine does when nothing disturbs it. NaN without samples.
    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    /// The mean of the least quarter: what the machine does when little disturbs it, without the
    /// luck that is in the least sample. NaN without samples.
    pub(crate) fn quiet(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.truncate(sorted.len().div_ceil(4));
        sorted.iter().sum::<f64>() / sorted.len() as f64
    }

    /// Half of the samples are below it. NaN without samples.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len(), sorted.len() / 2) {
            (0, _) => f64::NAN,
            (n, half) if n % 2 == 1 => sorted[half],
            (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_median_of_even_and_odd_counts() {
        let samples = |values: &[f64]| Samples(values.to_vec());
        assert_eq!(samples(&[3.0, 1.0, 9.0]).median(), 3.0);
        assert_eq!(samples(&[3.0, 1.0, 9.0, 4.0]).median(), 3.5);
        assert_eq!(samples(&[3.0, 1.0, 9.0]).min(), 1.0);
        assert_eq!(samples(&[3.0, 1.0, 9.0, 4.0, 8.0]).quiet(), 2.0);
        assert!(samples(&[]).min().is_nan() && samples(&[]).median().is_nan());
    }

    #[test]
    fn ticks_pass_at_the_measured_rate() {
        let ticks = Ticks::new();
        let slept = ticks.time(|| std::thread::sleep(Duration::from_millis(50)));
        let seconds = slept / ticks.hertz();
        assert!((0.05..0.5).contains(&seconds), "{seconds}");
    }
}
