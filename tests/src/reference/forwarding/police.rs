//! Section 7: token buckets, in exact integers.

use std::collections::BTreeMap;

use tp_control::model::{Name, Rate, Rates};
use tp_pipeline::DropReason;

use crate::reference::{End, Portal};

/// A byte in the buckets' unit. A rate of one bit a second adds one unit a nanosecond.
const BYTE: u128 = 8 * 1_000_000_000;

/// A meter that may apply to a packet.
#[derive(Clone, Copy)]
pub(super) enum Meter<'a> {
    /// Of this tunnel.
    Tunnel(&'a Name, Direction),
    /// Of this client.
    Client(&'a Name, Direction),
}

/// What a level belongs to. A tunnel that takes another slot is another tunnel, whatever its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Tunnel(u32),
    Client(Name),
    SlowPathOfUpstream(u32),
    SlowPathOfTunnel(u32),
}

/// What a meter measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// What the client sends.
    FromClient,
    /// What the client receives.
    ToClient,
}

/// The state of all meters; those that were never charged are full.
#[derive(Clone, Debug, Default)]
pub struct Police {
    buckets: BTreeMap<(Owner, Direction), Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u128,
    filled_at: u64,
}

impl Police {
    /// Charges all of `meters` that have a rate with `length` bytes, or none and says why.
    pub(super) fn charge(
        &mut self,
        portal: &Portal<'_>,
        meters: &[Meter<'_>],
        length: usize,
        now: u64,
    ) -> Result<(), DropReason> {
        let cost = length as u128 * BYTE;
        let mut charged = Vec::new();
        for meter in meters {
            let Some(rate) = rate(portal, meter) else {
                continue;
            };
            let key = key(portal, meter);
            let level = self.level(&key, rate, now);
            let left = level.checked_sub(cost).ok_or(refusal(meter))?;
            charged.push((
                key,
                Bucket {
                    level: left,
                    filled_at: now,
                },
            ));
        }
        self.buckets.extend(charged);
        Ok(())
    }

    /// Charges the slow-path meter of a link, or says why not.
    pub(super) fn charge_slow_path(
        &mut self,
        portal: &Portal<'_>,
        end: End<'_>,
        length: usize,
        now: u64,
    ) -> Result<(), DropReason> {
        let slot = portal.id(end).slot;
        let owner = match end {
            End::Upstream(..) => Owner::SlowPathOfUpstream(slot),
            End::Tunnel(..) => Owner::SlowPathOfTunnel(slot),
        };
        let key = (owner, Direction::FromClient);
        let level = self.level(&key, portal.model.portal.slow_path.rate, now);
        let left = level.checked_sub(length as u128 * BYTE);
        let bucket = Bucket {
            level: left.ok_or(DropReason::RateSlowPath)?,
            filled_at: now,
        };
        self.buckets.insert(key, bucket);
        Ok(())
    }

    fn level(&self, key: &(Owner, Direction), rate: Rate, now: u64) -> u128 {
        let full = u128::from(rate.burst) * BYTE;
        self.buckets.get(key).map_or(full, |bucket| {
            let since = u128::from(now - bucket.filled_at);
            full.min(bucket.level + since * u128::from(rate.bits_per_second))
        })
    }
}

fn key(portal: &Portal<'_>, meter: &Meter<'_>) -> (Owner, Direction) {
    match *meter {
        Meter::Tunnel(name, direction) => {
            (Owner::Tunnel(portal.numbers.tunnels[name].slot), direction)
        }
        Meter::Client(name, direction) => (Owner::Client(name.clone()), direction),
    }
}

fn rate(portal: &Portal<'_>, meter: &Meter<'_>) -> Option<Rate> {
    let of = |rates: Rates, direction| match direction {
        Direction::FromClient => rates.from_client,
        Direction::ToClient => rates.to_client,
    };
    match *meter {
        Meter::Tunnel(name, direction) => of(portal.model.tunnels[name].rates, direction),
        Meter::Client(name, direction) => of(portal.model.clients[name].rates, direction),
    }
}

fn refusal(meter: &Meter<'_>) -> DropReason {
    match meter {
        Meter::Tunnel(..) => DropReason::RateTunnel,
        Meter::Client(_, Direction::FromClient) => DropReason::RateFromClient,
        Meter::Client(_, Direction::ToClient) => DropReason::RateToClient,
    }
}
