//! When the next packets are due.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as the device takes them.
    FlatOut,
    /// Packets a second, over all templates.
    PacketsPerSecond(NonZeroU64),
}

const NANOS: u128 = 1_000_000_000;
/// Time that a stalled generator catches up on; what it missed beyond is not sent, since a flood
/// after a stall would overflow the receiver's queue (256 packets on veth).
const CATCH_UP: Duration = Duration::from_millis(1);

/// Turns the passing of time into packets that are due.
#[derive(Debug)]
pub(super) struct Pacer {
    rate: Option<u128>,
    burst: u128,
    last: Instant,
    /// Packets due, in units of 1/[`NANOS`] of a packet, so that no time is lost to rounding.
    credit: u128,
}

impl Pacer {
    pub(super) fn new(rate: Rate, burst: u32, now: Instant) -> Self {
        let rate = match rate {
            Rate::FlatOut => None,
            Rate::PacketsPerSecond(pps) => Some(u128::from(pps.get())),
        };
        Self {
            rate,
            burst: u128::from(burst),
            last: now,
            credit: 0,
        }
    }

    /// Forgets the time since the last call, as after a pause.
    pub(super) fn restart(&mut self, now: Instant) {
        self.last = now;
        self.credit = 0;
    }

    /// Packets due now, at most a burst.
    pub(super) fn due(&mut self, now: Instant) -> u32 {
        let packets = match self.rate {
            None => self.burst,
            Some(rate) => {
                let elapsed = now.saturating_duration_since(self.last).as_nanos();
                let most = (rate * CATCH_UP.as_nanos()).max(self.burst * NANOS);
                self.credit = (self.credit + elapsed * rate).min(most);
                self.last = now;
                (self.credit / NANOS).min(self.burst)
            }
        };
        u32::try_from(packets).unwrap_or(u32::MAX)
    }

    /// These packets were sent.
    pub(super) fn spend(&mut self, packets: u32) {
        self.credit = self.credit.saturating_sub(u128::from(packets) * NANOS);
    }

    /// How long until a packet is due, as of the last [`Self::due`].
    pub(super) fn wait(&self) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let nanos = NANOS.saturating_sub(self.credit).div_ceil(rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(pps: u64, burst: u32) -> (Pacer, Instant) {
        let start = Instant::now();
        (
            Pacer::new(
                Rate::PacketsPerSecond(NonZeroU64::new(pps).unwrap()),
                burst,
                start,
            ),
            start,
        )
    }

    #[test]
    fn ten_seconds_in_odd_steps_give_exactly_the_rate() {
        let (mut pacer, start) = pacer(333_333, 32);
        let (mut now, mut sent) = (start, 0u64);
        while now < start + Duration::from_secs(10) {
            now = (now + Duration::from_nanos(7_919)).min(start + Duration::from_secs(10));
            let due = pacer.due(now);
            pacer.spend(due);
            sent += u64::from(due);
        }
        assert_eq!(sent, 3_333_330);
    }

    #[test]
    fn a_stall_is_caught_up_on_for_a_millisecond_only() {
        let (mut pacer, start) = pacer(100_000, 32);
        let now = start + Duration::from_secs(5);
        let mut sent = 0;
        loop {
            let due = pacer.due(now);
            assert!(due <= 32);
            if due == 0 {
                break;
            }
            pacer.spend(due);
            sent += due;
        }
        assert_eq!(sent, 100);
    }

    #[test]
    fn the_wait_ends_when_the_next_packet_is_due() {
        let (mut pacer, start) = pacer(1_000, 32);
        assert_eq!(pacer.due(start), 0);
        assert_eq!(pacer.wait(), Duration::from_millis(1));
        let now = start + Duration::from_micros(400);
        assert_eq!(pacer.due(now), 0);
        assert_eq!(pacer.wait(), Duration::from_micros(600));
        assert_eq!(pacer.due(now + pacer.wait()), 1);
    }

    #[test]
    fn flat_out_always_owes_a_burst() {
        let mut pacer = Pacer::new(Rate::FlatOut, 32, Instant::now());
        for _ in 0..3 {
            assert_eq!(pacer.due(Instant::now()), 32);
            pacer.spend(32);
            assert_eq!(pacer.wait(), Duration::ZERO);
        }
    }
}
