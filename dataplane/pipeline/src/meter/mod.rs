//! Token buckets that all workers share: one atomic word each.
//!
//! The word is the time until which the bucket is paid for (the theoretical arrival time of the
//! generic cell rate algorithm, ITU-T I.371): a packet of cost `c` moves it from `t` to
//! `max(t, now) + c` and is admitted if that is not more than the bucket's depth ahead
//! of now. That is a token bucket whose level is `depth - (t - now)`, without a refill
//! to compute, and changed by one compare-and-swap.
//!
//! **Unit.** A tick is 1/128 ns: 28 bytes at 100 Gbit/s cost 286 ticks, so that rounding stays
//! far below 1 %. It is always in the client's favour: what a bucket of exact numbers admits is
//! admitted. **Horizon.** The word wraps after 2^64 ticks, 4.5 years. A word further ahead of
//! now than the depth and [`SKEW`] cannot have been written lately, so it counts as past, as any
//! idle meter should. What remains: a meter that is idle for a multiple of 4.5 years, to within
//! its depth and `SKEW`, may refuse for as long as these (one that was never charged is idle since time 0).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::context::Nanos;
use crate::counters::LinkId;
use crate::tables::{ClientSlot, TunnelSlot, UpstreamSlot};

/// Ticks of a nanosecond, as a shift.
const TICK_SHIFT: u32 = 7;
/// Fraction bits of [`MeterSpec::per_byte`].
const FRACTION: u32 = 16;
/// How far the clocks of two workers may differ, in ticks: 73 minutes. A worker reads the clock
/// once a burst and may be preempted before it charges; if it came back later than this, it would
/// take the meter for an idle one and give away one burst.
const SKEW: u64 = 1 << (42 + TICK_SHIFT);

/// A rate and a depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterSpec {
    /// Ticks that a byte costs, with [`FRACTION`] bits behind the point.
    per_byte: u64,
    /// Ticks that a full bucket pays for.
    depth: u64,
}

impl MeterSpec {
    /// Highest rate: 400 Gbit/s. Above it a short packet's cost would round by more than 1 %.
    pub const MAX_BITS_PER_SECOND: u64 = 400_000_000_000;
    /// Longest time that a bucket may take to fill, in nanoseconds: 73 minutes.
    pub const MAX_FILL_NANOS: u64 = 1 << 42;

    /// A bucket that fills with this rate up to `burst_bytes`. A packet longer than
    /// `burst_bytes` never passes.
    ///
    /// `None` if either is 0, the rate is above [`Self::MAX_BITS_PER_SECOND`], or the
    /// bucket takes longer than [`Self::MAX_FILL_NANOS`] to fill.
    #[must_use]
    pub fn new(bits_per_second: u64, burst_bytes: u64) -> Option<Self> {
        if bits_per_second == 0 || bits_per_second > Self::MAX_BITS_PER_SECOND || burst_bytes == 0 {
            return None;
        }
        let per_byte = ((8_000_000_000 << TICK_SHIFT) << FRACTION) / bits_per_second;
        let depth = cost(per_byte, burst_bytes);
        let depth = u64::try_from(depth).ok()?;
        (depth <= Self::MAX_FILL_NANOS << TICK_SHIFT).then_some(Self { per_byte, depth })
    }

    /// What a packet of this length costs, in ticks.
    #[inline]
    fn cost(self, bytes: u16) -> u64 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "per_byte < 2^59, bytes < 2^16: < 2^59"
        )]
        let cost = cost(self.per_byte, u64::from(bytes)) as u64;
        cost
    }
}

/// Rounded down, depth and packets alike: packets that empty a bucket to the byte add up to no
/// more than its depth.
#[inline]
fn cost(per_byte: u64, bytes: u64) -> u128 {
    (u128::from(per_byte) * u128::from(bytes)) >> FRACTION
}

/// Which way a packet goes, as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    FromClient = 0,
    ToClient = 1,
}

/// A client's or tunnel's two meters, by [`Direction`].
type Pair = [Meter; 2];

/// A tunnel's meters: of what is forwarded, and of what goes to the kernel.
#[derive(Debug, Default)]
struct TunnelMeters {
    forwarding: Pair,
    slow_path: Meter,
}

/// The fill levels of all meters: by (client, direction) and (tunnel, direction), and of the slow
/// path by link.
///
/// Rates are not here but in the tables: a change of rate keeps the level.
#[derive(Debug)]
pub struct Meters {
    // Padded: two clients served by two workers never contend for a cache line.
    clients: Box<[CachePadded<Pair>]>,
    tunnels: Box<[CachePadded<TunnelMeters>]>,
    upstreams: Box<[CachePadded<Meter>]>,
}

impl Meters {
    /// Full buckets for slots below these numbers.
    #[must_use]
    pub fn new(clients: usize, tunnels: usize, upstreams: usize) -> Self {
        Self {
            clients: full(clients),
            tunnels: full(tunnels),
            upstreams: full(upstreams),
        }
    }

    /// Fills a client's buckets: its slot is about to be used again.
    pub fn reset_client(&self, slot: ClientSlot) {
        if let Some(pair) = self.clients.get(slot.index()) {
            pair.iter().for_each(Meter::reset);
        }
    }

    /// Fills a tunnel's buckets: its slot is about to be used again.
    pub fn reset_tunnel(&self, slot: TunnelSlot) {
        if let Some(tunnel) = self.tunnels.get(slot.index()) {
            tunnel.forwarding.iter().for_each(Meter::reset);
            tunnel.slow_path.reset();
        }
    }

    /// Fills an upstream's bucket: its slot is about to be used again.
    pub fn reset_upstream(&self, slot: UpstreamSlot) {
        if let Some(meter) = self.upstreams.get(slot.index()) {
            meter.reset();
        }
    }

    #[inline]
    pub(crate) fn client(&self, slot: ClientSlot, direction: Direction) -> Option<&Meter> {
        self.clients
            .get(slot.index())
            .map(|pair| &pair[direction as usize])
    }

    #[inline]
    pub(crate) fn tunnel(&self, slot: TunnelSlot, direction: Direction) -> Option<&Meter> {
        self.tunnels
            .get(slot.index())
            .map(|tunnel| &tunnel.forwarding[direction as usize])
    }

    /// The meter of what goes from a link to the kernel.
    #[inline]
    pub(crate) fn slow_path(&self, link: LinkId) -> Option<&Meter> {
        match link {
            LinkId::Upstream(slot) => self.upstreams.get(slot.index()).map(|meter| &**meter),
            LinkId::Tunnel(slot) => self
                .tunnels
                .get(slot.index())
                .map(|tunnel| &tunnel.slow_path),
        }
    }
}

fn full<T: Default>(slots: usize) -> Box<[CachePadded<T>]> {
    (0..slots).map(|_| CachePadded::default()).collect()
}

/// One bucket's level.
// Relaxed throughout: a meter is one word, and nothing else is published through it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// In ticks, modulo 2^64. 0 is long past, hence full.
    paid_until: AtomicU64,
}

impl Meter {
    fn reset(&self) {
        self.paid_until.store(0, Relaxed);
    }

    /// Whether a packet would be admitted.
    #[inline]
    pub(crate) fn admits(&self, spec: MeterSpec, now: Nanos, bytes: u16) -> bool {
        after(self.paid_until.load(Relaxed), spec, now, spec.cost(bytes)).is_some()
    }

    /// Charges a packet if it is admitted; tells whether it was.
    #[inline]
    #[must_use]
    pub(crate) fn charge(&self, spec: MeterSpec, now: Nanos, bytes: u16) -> bool {
        let cost = spec.cost(bytes);
        self.paid_until
            .fetch_update(Relaxed, Relaxed, |until| after(until, spec, now, cost))
            .is_ok()
    }

    /// Gives back what [`Self::charge`] took. Charges made in between keep what they paid.
    #[inline]
    pub(crate) fn refund(&self, spec: MeterSpec, bytes: u16) {
        self.paid_until.fetch_sub(spec.cost(bytes), Relaxed);
    }
}

/// The word after a packet of this cost; `None` if the packet is not admitted.
#[inline]
fn after(until: u64, spec: MeterSpec, now: Nanos, cost: u64) -> Option<u64> {
    let now = now.0 << TICK_SHIFT;
    let ahead = until.wrapping_sub(now);
    // Past times are "ahead" by almost 2^64.
    let ahead = if ahead > spec.depth + SKEW { 0 } else { ahead };
    // No overflow: ahead is below 2^51, cost below 2^57.
    let paid = ahead + cost;
    (paid <= spec.depth).then(|| now.wrapping_add(paid))
}

#[cfg(test)]
mod tests;
