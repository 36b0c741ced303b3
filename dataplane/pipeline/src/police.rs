//! Is it within the rates?
//!
//! Reads: rates of tunnels and clients. Writes: meters.
//! Drops: `RateTunnel`, `RateFromClient`, `RateToClient`.

use arrayvec::ArrayVec;

use crate::classify::TunnelLink;
use crate::context::Nanos;
use crate::fit::Fitted;
use crate::meter::{Direction, Meter, MeterSpec, Meters};
use crate::tables::{Client, Rates, Tables};
use crate::verdict::DropReason;

/// A packet that is paid for.
#[derive(Debug)]
pub(crate) struct Admitted<'t>(pub(crate) Fitted<'t>);

/// A meter that applies to a packet.
#[derive(Clone, Copy)]
struct Due<'m> {
    meter: &'m Meter,
    spec: MeterSpec,
    refused: DropReason,
}

/// Tunnel and client, of the sender and of the receiver.
type Dues<'m> = ArrayVec<Due<'m>, 4>;

/// Answers for one packet; charges all meters that apply, or none.
#[inline]
pub(crate) fn police<'t>(
    fitted: Fitted<'t>,
    meters: &Meters,
    now: Nanos,
) -> Result<Admitted<'t>, DropReason> {
    let mut dues = Dues::new();
    if let Some(from) = fitted.way.sender() {
        add(
            &mut dues,
            fitted.tables,
            from,
            meters,
            Direction::FromClient,
        )?;
    }
    if let Some(to) = fitted.way.receiver() {
        add(&mut dues, fitted.tables, to, meters, Direction::ToClient)?;
    }
    if !dues.is_empty() {
        charge(&dues, now, fitted.len)?;
    }
    Ok(Admitted(fitted))
}

/// Adds the meters of a tunnel and of its client, in the order in which they are asked.
#[inline]
fn add<'m>(
    dues: &mut Dues<'m>,
    tables: &Tables,
    link: TunnelLink<'_>,
    meters: &'m Meters,
    direction: Direction,
) -> Result<(), DropReason> {
    let rate = |rates: &Rates| match direction {
        Direction::FromClient => rates.from_client,
        Direction::ToClient => rates.to_client,
    };
    // A rate without a meter cannot be held, so nothing passes.
    if let Some(spec) = rate(&link.tunnel.rates) {
        let refused = DropReason::RateTunnel;
        let meter = meters.tunnel(link.slot, direction).ok_or(refused)?;
        dues.push(Due {
            meter,
            spec,
            refused,
        });
    }
    let slot = link.tunnel.client;
    let client: Option<&Client> = tables.clients.get(slot.index()).and_then(Option::as_ref);
    if let Some(spec) = client.and_then(|client| rate(&client.rates)) {
        let refused = match direction {
            Direction::FromClient => DropReason::RateFromClient,
            Direction::ToClient => DropReason::RateToClient,
        };
        let meter = meters.client(slot, direction).ok_or(refused)?;
        dues.push(Due {
            meter,
            spec,
            refused,
        });
    }
    Ok(())
}

/// Charges all or none; tells the reason of the first that refuses.
#[inline]
fn charge(dues: &[Due<'_>], now: Nanos, len: u16) -> Result<(), DropReason> {
    // Asked first: a charge that is taken back can make another worker's packet fail meanwhile.
    if let Some(due) = dues
        .iter()
        .find(|due| !due.meter.admits(due.spec, now, len))
    {
        return Err(due.refused);
    }
    for (paid, due) in dues.iter().enumerate() {
        // Another worker can have taken what was there a moment ago.
        if !due.meter.charge(due.spec, now, len) {
            for due in &dues[..paid] {
                due.meter.refund(due.spec, len);
            }
            return Err(due.refused);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// What a race does, without one: the second meter is the first, so that asking both finds
    /// room twice, and charging both does not.
    #[test]
    fn what_was_charged_is_taken_back_when_a_later_meter_refuses() {
        let spec = MeterSpec::new(8, 1_000).unwrap();
        let (meter, now) = (Meter::default(), Nanos(1_000_000_000));
        let due = |refused| Due {
            meter: &meter,
            spec,
            refused,
        };
        let dues = [due(DropReason::RateTunnel), due(DropReason::RateFromClient)];
        assert_eq!(charge(&dues, now, 600), Err(DropReason::RateFromClient));
        assert!(meter.admits(spec, now, 1_000));
    }

    /// The last of two meters refuses while others charge the first: whatever they take back, no
    /// byte is charged without the other.
    #[test]
    fn workers_that_race_charge_both_meters_or_none() {
        const WORKERS: usize = 8;
        let now = Nanos(1_000_000_000);
        // A byte a second: nothing is refilled meanwhile.
        let wide = MeterSpec::new(8, 3_000).unwrap();
        let narrow = MeterSpec::new(8, 1_000).unwrap();
        for _ in 0..200 {
            let (first, last) = (Meter::default(), Meter::default());
            let due = |meter, spec| Due {
                meter,
                spec,
                refused: DropReason::RateTunnel,
            };
            let dues = [due(&first, wide), due(&last, narrow)];
            let start = Barrier::new(WORKERS);
            let worker = || {
                start.wait();
                (0..10).filter(|_| charge(&dues, now, 100).is_ok()).count()
            };
            let passed: usize = thread::scope(|scope| {
                let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
                workers.into_iter().map(|w| w.join().unwrap()).sum()
            });
            assert_eq!(passed, 10);
            assert!(first.admits(wide, now, 2_000));
            assert!(!first.admits(wide, now, 2_001));
        }
    }
}
