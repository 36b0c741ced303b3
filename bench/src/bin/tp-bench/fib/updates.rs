//! Changing a table, and looking up while another core changes it.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tp_fib::{Change, Fib, NextHopId, Prefix};

use super::Broken;
use super::family::Family;
use super::measure::{BURST, sum};
use crate::ticks::{Samples, Ticks};

/// Changes to be made in a second.
const UPDATES_PER_SECOND: u32 = 10_000;

/// Changes made at a time: so many come in 2 ms.
const UPDATES_AT_ONCE: usize = 20;

/// How long look-ups are counted, with updates and without, in turn.
const SLICE: Duration = Duration::from_millis(250);

/// Slices of each kind.
const SLICES: usize = 8;

/// What changes cost, and what they do to look-ups on another core.
pub(super) struct Updates {
    /// One change and its table, in microseconds.
    pub(super) alone_us: f64,
    /// Changes made in a second beside look-ups.
    pub(super) rate: f64,
    /// Look-ups beside changes against look-ups without, median of the pairs.
    pub(super) lookup_rate: f64,
    /// From when a change was due to when the reader could see it, in milliseconds: median and
    /// longest.
    pub(super) visible_ms: f64,
    pub(super) visible_ms_max: f64,
}

/// Changes a table, alone and beside look-ups, and compares it with a new one.
pub(super) fn measure<A: Family>(
    table: Fib<A>,
    addresses: &[A],
    ticks: &Ticks,
) -> Result<Updates, Broken> {
    let routes = table.iter().map(|(prefix, value)| (prefix, Some(value)));
    let routes = routes.collect();
    let mut changes = Changes { routes, next: 1 };
    let mut table = table;
    let mut alone = Samples::default();
    for _ in 0..2000 {
        let change = changes.take(1);
        let begun = Instant::now();
        table = table.with(&change);
        alone.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let shared = ArcSwap::from_pointee(table);
    let (mut made, mut time, mut visible) = (0, Duration::ZERO, Vec::new());
    let mut ratios = Samples::default();
    for _ in 0..SLICES {
        let undisturbed = count(&shared, addresses, ticks);
        let stop = AtomicBool::new(false);
        let (disturbed, written) = thread::scope(|scope| {
            let writer = scope.spawn(|| changes.write(&shared, &stop));
            let disturbed = count(&shared, addresses, ticks);
            stop.store(true, Ordering::Relaxed);
            (disturbed, writer.join())
        });
        let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        made += written.made;
        time += written.time;
        visible.extend(written.visible);
        ratios.push(disturbed / undisturbed);
    }
    visible.sort_unstable();
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let table = shared.load();
    let rebuilt: Fib<A> = table.iter().collect();
    if **table != rebuilt || sum(&table, addresses) != sum(&rebuilt, addresses) {
        return Err(Broken::Rebuild);
    }
    Ok(Updates {
        alone_us: alone.quiet(),
        rate: made as f64 / time.as_secs_f64(),
        lookup_rate: ratios.median(),
        visible_ms: visible.get(visible.len() / 2).map_or(f64::NAN, ms),
        visible_ms_max: visible.last().map_or(f64::NAN, ms),
    })
}

/// Look-ups a tick during one slice. The table is taken anew for each burst, as a worker does.
fn count<A: Family>(shared: &ArcSwap<Fib<A>>, addresses: &[A], ticks: &Ticks) -> f64 {
    let mut found = [None; BURST];
    let (begun, start) = (Instant::now(), ticks.now());
    let mut looked_up = 0;
    for addresses in addresses.chunks(BURST).cycle() {
        shared.load().lookup_burst(addresses, &mut found);
        black_box(&found);
        looked_up += addresses.len();
        if looked_up % (BURST * 1024) == 0 && begun.elapsed() > SLICE {
            break;
        }
    }
    looked_up as f64 / ticks.since(start)
}

/// Changes all over the table: routes that go, come back, and get another next hop.
struct Changes<A: Family> {
    /// What each prefix leads to.
    routes: Vec<(Prefix<A>, Option<NextHopId>)>,
    next: usize,
}

struct Written {
    made: usize,
    time: Duration,
    visible: Vec<Duration>,
}

impl<A: Family> Changes<A> {
    fn take(&mut self, count: usize) -> Vec<Change<A>> {
        let changes = (0..count).map(|_| {
            // A step without a common divisor with most lengths: neighbours come far apart.
            self.next = (self.next + 7_368_787) % self.routes.len();
            let (prefix, value) = &mut self.routes[self.next];
            *value = match *value {
                Some(NextHopId(value)) if value % 2 == 0 => None,
                Some(NextHopId(value)) => Some(NextHopId(value ^ 2)),
                None => Some(NextHopId(1)),
            };
            match *value {
                Some(value) => Change::Set(*prefix, value),
                None => Change::Remove(*prefix),
            }
        });
        changes.collect()
    }

    /// Makes changes at the rate until told to stop.
    fn write(&mut self, shared: &ArcSwap<Fib<A>>, stop: &AtomicBool) -> Written {
        let every = Duration::from_secs(UPDATES_AT_ONCE as u64) / UPDATES_PER_SECOND;
        let begun = Instant::now();
        let (mut made, mut visible) = (0, Vec::new());
        let mut due = begun;
        while !stop.load(Ordering::Relaxed) {
            let table = shared.load_full();
            let changes = self.take(UPDATES_AT_ONCE);
            shared.store(table.with(&changes).into());
            made += changes.len();
            visible.push(due.elapsed());
            due += every;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let time = begun.elapsed();
        Written {
            made,
            time,
            visible,
        }
    }
}
