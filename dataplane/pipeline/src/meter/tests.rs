//! Meters on a simulated clock.
#![allow(
    clippy::cast_possible_truncation,
    reason = "expectations are computed in floating point"
)]

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn spec(bits_per_second: u64, burst: u64) -> MeterSpec {
    MeterSpec::new(bits_per_second, burst).unwrap()
}

/// Bytes that `workers` threads with one clock and one meter pass together. At each of `offers`
/// steps of the clock one of them, whichever is there, has the next packet.
fn offer(
    meter: &Meter,
    spec: MeterSpec,
    workers: usize,
    offers: u64,
    step_nanos: f64,
    sizes: &[u16],
) -> u64 {
    let clock = AtomicU64::new(0);
    let start = Barrier::new(workers);
    let worker = || {
        let mut passed = 0;
        start.wait();
        loop {
            let turn = clock.fetch_add(1, Relaxed);
            if turn >= offers {
                return passed;
            }
            let now = Nanos((turn as f64 * step_nanos) as u64);
            let size = sizes[turn as usize % sizes.len()];
            if meter.charge(spec, now, size) {
                passed += u64::from(size);
            }
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(worker)).collect();
        worker() + others.into_iter().map(|w| w.join().unwrap()).sum::<u64>()
    })
}

#[test]
fn the_rate_is_met_for_all_rates_and_sizes_with_1_2_and_8_workers() {
    const OFFERS: u64 = 50_000;
    let rates = [
        64_000,
        1_000_000,
        123_456_789,
        1_000_000_000,
        10_000_000_000,
        100_000_000_000,
    ];
    let sizes: [&[u16]; 4] = [&[28], &[1500], &[9000], &[28, 9000, 576, 1500, 29]];
    for (rate, sizes) in rates.into_iter().flat_map(|r| sizes.map(|s| (r, s))) {
        for workers in [1, 2, 8] {
            let burst = 18_000;
            let meter = Meter::default();
            // Twice the rate is offered.
            let mean = sizes.iter().map(|s| f64::from(*s)).sum::<f64>() / sizes.len() as f64;
            let step = mean * 8.0 * SECOND as f64 / rate as f64 / 2.0;
            let passed = offer(&meter, spec(rate, burst), workers, OFFERS, step, sizes);
            let expected = rate as f64 / 8.0 * OFFERS as f64 * step / SECOND as f64;
            let error = (passed as f64 - burst as f64 - expected) / expected;
            let case = format!("{rate} bit/s, {sizes:?}, {workers} workers");
            assert!(
                error.abs() < 0.01,
                "{case}: {passed} of {expected}: {error:+.4}"
            );
        }
    }
}

#[test]
fn a_bucket_starts_full_and_is_never_fuller() {
    let spec = spec(8000, 3000);
    for idle in [0, 3 * SECOND, 3600 * SECOND] {
        let meter = Meter::default();
        let now = Nanos(17 * SECOND);
        assert!(meter.charge(spec, now, 3000));
        assert!(!meter.charge(spec, now, 1));
        // 1000 bytes a second: three seconds fill it, more do not.
        let now = Nanos(now.0 + idle);
        assert_eq!(meter.charge(spec, now, 3000), idle > 0);
        assert!(!meter.charge(spec, now, 1));
    }
}

#[test]
fn a_full_bucket_is_full_at_time_zero() {
    let spec = spec(8000, 3000);
    let meter = Meter::default();
    assert!(meter.charge(spec, Nanos(0), 3000));
    assert!(!meter.charge(spec, Nanos(0), 1));
}

#[test]
fn packets_that_empty_a_bucket_to_the_byte_all_pass() {
    for rate in [1_000, 64_000, 777_777, 123_456_789, 99_999_999_999] {
        for size in [28, 29, 61, 1499] {
            let spec = spec(rate, 100 * u64::from(size));
            let meter = Meter::default();
            let passed = (0..200)
                .filter(|_| meter.charge(spec, Nanos(SECOND), size))
                .count();
            assert_eq!(passed, 100, "{size} bytes at {rate} bit/s");
        }
    }
}

#[test]
fn what_admits_says_charge_does() {
    let spec = spec(8000, 100);
    let meter = Meter::default();
    assert!(meter.admits(spec, Nanos(5), 100));
    assert!(!meter.admits(spec, Nanos(5), 101));
    assert!(meter.charge(spec, Nanos(5), 60));
    assert!(meter.admits(spec, Nanos(5), 40));
    assert!(!meter.admits(spec, Nanos(5), 41));
}

#[test]
fn a_refund_gives_back_what_was_charged() {
    let spec = spec(8000, 100);
    let meter = Meter::default();
    assert!(meter.charge(spec, Nanos(5), 60));
    assert!(meter.charge(spec, Nanos(5), 40));
    meter.refund(spec, 60);
    assert!(meter.charge(spec, Nanos(5), 60));
    assert!(!meter.charge(spec, Nanos(5), 1));
}

#[test]
fn the_clock_wraps_without_a_gap_or_a_gift() {
    // 2^64 ticks are 2^57 ns.
    let wrap = 1u64 << 57;
    let spec = spec(8000, 3000);
    let meter = Meter::default();
    // A meter that was never charged counts as charged at 0, which is also the time of the wrap.
    assert!(meter.charge(spec, Nanos(wrap - 7200 * SECOND), 3000));
    let before = Nanos(wrap - SECOND);
    assert!(meter.charge(spec, before, 3000));
    assert!(!meter.charge(spec, before, 1));
    let after = Nanos(wrap + SECOND);
    assert!(!meter.charge(spec, after, 2001));
    assert!(meter.charge(spec, after, 2000));
    assert!(!meter.charge(spec, after, 1));
}

#[test]
fn a_meter_that_was_idle_for_years_is_full() {
    let spec = spec(64_000, 8000);
    for days in [1, 100, 800, 834, 835, 1667, 1669, 5000] {
        let meter = Meter::default();
        let now = Nanos(SECOND);
        assert!(meter.charge(spec, now, 8000));
        let now = Nanos(now.0 + days * 86400 * SECOND);
        assert!(meter.charge(spec, now, 8000), "{days} days");
    }
}

#[test]
fn a_worker_whose_clock_is_behind_gives_no_gift() {
    let spec = spec(8000, 1000);
    let meter = Meter::default();
    let now = 10_000 * SECOND;
    assert!(meter.charge(spec, Nanos(now), 1000));
    for behind in [0, 1, SECOND, 4000 * SECOND] {
        assert!(
            !meter.charge(spec, Nanos(now - behind), 1),
            "{behind} ns behind"
        );
    }
}

#[test]
fn specs_that_cannot_be_held_are_refused() {
    assert_eq!(MeterSpec::new(0, 1500), None);
    assert_eq!(MeterSpec::new(64_000, 0), None);
    assert_eq!(
        MeterSpec::new(MeterSpec::MAX_BITS_PER_SECOND + 1, 1500),
        None
    );
    assert!(MeterSpec::new(MeterSpec::MAX_BITS_PER_SECOND, 1500).is_some());
    // 64 kbit/s for 73 minutes are 35 MB.
    assert!(MeterSpec::new(64_000, 35_000_000).is_some());
    assert_eq!(MeterSpec::new(64_000, 36_000_000), None);
    assert_eq!(MeterSpec::new(1, u64::MAX), None);
    assert_eq!(MeterSpec::new(u64::MAX, u64::MAX), None);
}

#[test]
fn charges_and_refunds_of_many_workers_leave_the_bucket_as_it_was() {
    let spec = spec(8, 1_000);
    let meter = Meter::default();
    let now = Nanos(SECOND);
    let start = Barrier::new(8);
    let churn = || {
        start.wait();
        for _ in 0..10_000 {
            if meter.charge(spec, now, 100) {
                meter.refund(spec, 100);
            }
        }
    };
    thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(churn)));
    });
    assert!(meter.charge(spec, now, 1_000));
    assert!(!meter.charge(spec, now, 1));
}

proptest! {
    /// The textbook's bucket: a level in exact bytes * bits, refilled at each packet.
    #[test]
    fn a_meter_decides_like_a_level_that_is_refilled(
        rate in prop_oneof![1_000u64..100_000, 1_000_000u64..1_000_000_000],
        burst in 28u64..20_000,
        packets in prop::collection::vec((0u64..50_000_000, 28u16..9000), 1..200),
    ) {
        let Some(spec) = MeterSpec::new(rate, burst) else { return Ok(()) };
        let meter = Meter::default();
        let unit = 8 * u128::from(SECOND);
        let (mut now, mut last) = (SECOND, SECOND);
        let full = u128::from(burst) * unit;
        let mut level = full;
        for (gap, size) in packets {
            now += gap;
            level = full.min(level + u128::from(now - last) * u128::from(rate));
            last = now;
            let cost = u128::from(size) * unit;
            let passed = meter.charge(spec, Nanos(now), size);
            // Rounding is in the client's favour, by less than a tick a packet: here, a byte in all.
            if level >= cost {
                prop_assert!(passed, "level {} cost {}", level, cost);
            } else if level + unit < cost {
                prop_assert!(!passed, "level {} cost {}", level, cost);
            }
            if passed {
                level = level.saturating_sub(cost);
            }
        }
    }
}
