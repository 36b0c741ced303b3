//! Section 7: token buckets, in exact integers.

use std::collections::BTreeMap;

use tp_control::model::{Name, Rate, Rates};
use tp_pipeline::DropReason;

use crate::reference::Portal;

/// A byte in the buckets' unit. A rate of one bit a second adds one unit a nanosecond.
const BYTE: u128 = 8 * 1_000_000_000;

/// A meter that may apply to a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meter {
    /// Of this tunnel.
    Tunnel(Name, Direction),
    /// Of this client.
    Client(Name, Direction),
}

/// What a meter measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// What the client sends.
    FromClient,
    /// What the client receives.
    ToClient,
}

/// The state of all meters; those that were never charged are full.
#[derive(Clone, Debug, Default)]
pub struct Police {
    buckets: BTreeMap<Meter, Bucket>,
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
        meters: &[Meter],
        length: usize,
        now: u64,
    ) -> Result<(), DropReason> {
        let cost = length as u128 * BYTE;
        let mut charged = Vec::new();
        for meter in meters {
            let Some(rate) = rate(portal, meter) else {
                continue;
            };
            let level = self.level(meter, rate, now);
            let left = level.checked_sub(cost).ok_or(refusal(meter))?;
            charged.push((
                meter.clone(),
                Bucket {
                    level: left,
                    filled_at: now,
                },
            ));
        }
        self.buckets.extend(charged);
        Ok(())
    }

    fn level(&self, meter: &Meter, rate: Rate, now: u64) -> u128 {
        let full = u128::from(rate.burst) * BYTE;
        self.buckets.get(meter).map_or(full, |bucket| {
            let since = u128::from(now - bucket.filled_at);
            full.min(bucket.level + since * u128::from(rate.bits_per_second))
        })
    }
}

fn rate(portal: &Portal<'_>, meter: &Meter) -> Option<Rate> {
    let of = |rates: Rates, direction| match direction {
        Direction::FromClient => rates.from_client,
        Direction::ToClient => rates.to_client,
    };
    match meter {
        Meter::Tunnel(name, direction) => of(portal.model.tunnels[name].rates, *direction),
        Meter::Client(name, direction) => of(portal.model.clients[name].rates, *direction),
    }
}

fn refusal(meter: &Meter) -> DropReason {
    match meter {
        Meter::Tunnel(..) => DropReason::RateTunnel,
        Meter::Client(_, Direction::FromClient) => DropReason::RateFromClient,
        Meter::Client(_, Direction::ToClient) => DropReason::RateToClient,
    }
}
