//! A burst goes down the line: in phases, so that the memory that one packet waits for is
//! fetched while others are worked on.

use arrayvec::ArrayVec;

use crate::classify::classify;
use crate::context::Context;
use crate::counters::{LinkCells, LinkId, WorkerCounters};
use crate::decapsulate::decapsulate;
use crate::fit::{Unfit, fit};
use crate::hold::Held;
use crate::lookup::Lookup;
use crate::packet::Packet;
use crate::parse::parse;
use crate::police::police;
use crate::probe::{Probe, Stage};
use crate::punt::punt;
use crate::route::{self, Routed};
use crate::verdict::{DropReason, HoldId, Verdict};
use crate::verify::{self, Onward, Stop, Verified};
use crate::write::write;

/// The packets of a burst that reached a stage, each with its index in the burst.
type Burst<T> = ArrayVec<(u8, T), { Pipeline::BURST }>;

/// A worker's pipeline: its scratch memory.
#[derive(Debug)]
pub struct Pipeline {
    lookup: Lookup,
    accounts: [Account; Self::BURST],
    /// Of the last burst, by [`HoldId`].
    held: ArrayVec<Held, { Self::BURST }>,
}

/// Which links' counters a packet enters.
#[derive(Clone, Copy, Debug)]
struct Account {
    from: Option<LinkId>,
    to: Option<LinkId>,
    len: u16,
}

impl Account {
    const EMPTY: Self = Self {
        from: None,
        to: None,
        len: 0,
    };
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipeline {
    /// Most packets of a burst.
    pub const BURST: usize = 64;

    /// A pipeline. It allocates nothing, here or later.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lookup: Lookup::new(),
            accounts: [Account::EMPTY; Self::BURST],
            held: ArrayVec::new_const(),
        }
    }

    /// Decides what becomes of each packet, into the element of `verdicts` with the same index, and
    /// changes the packets accordingly. Counts drops and links; rings are the worker's to count.
    ///
    /// # Panics
    /// If there are more than [`Self::BURST`] packets, or fewer verdicts than packets.
    #[inline]
    pub fn process(
        &mut self,
        ctx: &Context<'_>,
        packets: &mut [Packet<'_>],
        verdicts: &mut [Verdict],
    ) {
        self.process_probed(ctx, packets, verdicts, &mut ());
    }

    /// [`Self::process`], telling `probe` when the burst has finished a stage.
    ///
    /// # Panics
    /// As [`Self::process`].
    #[inline]
    pub fn process_probed<P: Probe>(
        &mut self,
        ctx: &Context<'_>,
        packets: &mut [Packet<'_>],
        verdicts: &mut [Verdict],
        probe: &mut P,
    ) {
        assert!(
            packets.len() <= Self::BURST,
            "a burst has at most {} packets",
            Self::BURST
        );
        let verdicts = &mut verdicts[..packets.len()];
        self.held.clear();

        let mut onward = Burst::new();
        self.receive(ctx, packets, verdicts, &mut onward);
        probe.mark(Stage::Parse);
        let mut verified = Burst::new();
        self.verify(packets, verdicts, &mut onward, &mut verified);
        probe.mark(Stage::Verify);
        let mut routed = Burst::new();
        self.route(ctx, packets, verdicts, &mut verified, &mut routed);
        probe.mark(Stage::Route);
        self.send(ctx, packets, verdicts, &mut routed);
        probe.mark(Stage::Write);
        self.count(ctx.counters, verdicts);
        probe.mark(Stage::Count);
    }

    /// Parse, classify, decapsulate; and take out what is for the portal itself.
    #[inline]
    fn receive<'t>(
        &mut self,
        ctx: &Context<'t>,
        packets: &mut [Packet<'_>],
        verdicts: &mut [Verdict],
        out: &mut Burst<Onward<'t>>,
    ) {
        let each = packets.iter_mut().zip(verdicts).zip(&mut self.accounts);
        for (index, ((packet, verdict), account)) in (0u8..).zip(each) {
            *account = Account::EMPTY;
            let onward = parse(packet, ctx.port)
                .and_then(|parsed| classify(parsed, packet, ctx.snapshot))
                .and_then(|classified| {
                    account.from = Some(classified.from.id());
                    account.len = classified.inner.len;
                    decapsulate(classified, packet)
                })
                .map_err(Stop::Drop)
                .and_then(|inner| verify::local(inner, packet.bytes()));
            match onward {
                Ok(onward) => out.push((index, onward)),
                Err(stop) => *verdict = halt(stop, packet, ctx),
            }
        }
    }

    #[inline]
    fn verify<'t>(
        &mut self,
        packets: &[Packet<'_>],
        verdicts: &mut [Verdict],
        burst: &mut Burst<Onward<'t>>,
        out: &mut Burst<Verified<'t>>,
    ) {
        let bytes = |index: u8| packets[usize::from(index)].bytes();
        let keys = burst.iter();
        let mut owners = self
            .lookup
            .all(keys.map(|(index, onward)| verify::key(onward, bytes(*index))));
        for (index, onward) in burst.drain(..) {
            let owner = owners.next(onward.family);
            match verify::verify(onward, bytes(index), owner) {
                Ok(verified) => out.push((index, verified)),
                Err(reason) => verdicts[usize::from(index)] = Verdict::Drop(reason),
            }
        }
    }

    #[inline]
    fn route<'t>(
        &mut self,
        ctx: &Context<'t>,
        packets: &mut [Packet<'_>],
        verdicts: &mut [Verdict],
        burst: &mut Burst<Verified<'t>>,
        out: &mut Burst<Routed<'t>>,
    ) {
        let bytes = |index: u8| packets[usize::from(index)].bytes();
        let keys = burst.iter();
        let mut routes = self
            .lookup
            .all(keys.map(|(index, verified)| route::key(verified, bytes(*index))));
        for (index, verified) in burst.drain(..) {
            let found = routes.next(verified.family);
            match route::route(verified, found) {
                Ok(routed) => out.push((index, routed)),
                Err(stop) => {
                    let index = usize::from(index);
                    verdicts[index] = halt(stop, &mut packets[index], ctx);
                }
            }
        }
    }

    /// Fit, police, write.
    #[inline]
    fn send(
        &mut self,
        ctx: &Context<'_>,
        packets: &mut [Packet<'_>],
        verdicts: &mut [Verdict],
        burst: &mut Burst<Routed<'_>>,
    ) {
        for (index, routed) in burst.drain(..) {
            let index = usize::from(index);
            let packet = &mut packets[index];
            self.accounts[index].to = Some(routed.way.id());
            verdicts[index] = match leave(ctx, &routed, packet) {
                Ok(verdict) => verdict,
                Err(Unresolved) => self.hold(&routed),
            };
        }
    }

    #[cold]
    fn hold(&mut self, routed: &Routed<'_>) -> Verdict {
        // At most one a packet, so there is room, and the number fits.
        let Ok(id) = u8::try_from(self.held.len()) else {
            return Verdict::Drop(DropReason::NeighbourUnresolved);
        };
        match self.held.try_push(Held::new(routed)) {
            Ok(()) => Verdict::Hold(HoldId(id)),
            Err(_) => Verdict::Drop(DropReason::NeighbourUnresolved),
        }
    }

    /// What is to be kept with a packet of the last burst that is to wait.
    #[must_use]
    pub fn held(&self, id: HoldId) -> Option<Held> {
        self.held.get(usize::from(id.0)).copied()
    }

    /// Goes on with a packet that waited, by the current tables. `None`: its neighbour is still not known.
    /// Counts as [`Self::process`] does.
    pub fn resume(ctx: &Context<'_>, held: &Held, packet: &mut Packet<'_>) -> Option<Verdict> {
        let verdict = match held.routed(&ctx.snapshot.current) {
            Some(routed) => leave(ctx, &routed, packet).ok()?,
            None => Verdict::Drop(DropReason::StaleIngress),
        };
        settle(ctx.counters, held, verdict);
        Some(verdict)
    }

    /// Counts a packet that waited too long, or found no place to wait.
    pub fn give_up(counters: &WorkerCounters, held: &Held) {
        let verdict = Verdict::Drop(DropReason::NeighbourUnresolved);
        settle(counters, held, verdict);
    }

    /// Counts each packet once: it has one verdict.
    #[inline]
    fn count(&self, counters: &WorkerCounters, verdicts: &[Verdict]) {
        for (account, verdict) in self.accounts.iter().zip(verdicts) {
            let from = account.from.and_then(|link| counters.link(link));
            if let Some(cells) = from {
                cells.add_rx(account.len);
            }
            account.close(counters, from, *verdict);
        }
    }
}

impl Account {
    /// Counts a packet's end; `from` are the cells of where it came from.
    #[inline]
    fn close(self, counters: &WorkerCounters, from: Option<&LinkCells>, verdict: Verdict) {
        match verdict {
            Verdict::Transmit(_) => {
                if let Some(cells) = self.to.and_then(|link| counters.link(link)) {
                    cells.add_tx(self.len);
                }
            }
            // Counted by the worker, or when it goes on.
            Verdict::Punt(_) | Verdict::Hold(_) => {}
            Verdict::Drop(reason) => {
                counters.add_dropped(reason, 1);
                if let Some(cells) = from {
                    cells.add_dropped();
                }
            }
        }
    }
}

/// Counts the end of a packet that was held; that it came was counted then.
fn settle(counters: &WorkerCounters, held: &Held, verdict: Verdict) {
    let (from, to) = held.ids();
    let account = Account {
        from: Some(from),
        to: Some(to),
        len: held.len,
    };
    account.close(counters, counters.link(from), verdict);
}

/// Fit, police and write one packet.
#[inline]
fn leave(
    ctx: &Context<'_>,
    routed: &Routed<'_>,
    packet: &mut Packet<'_>,
) -> Result<Verdict, Unresolved> {
    match fit(routed, packet) {
        Ok(fitted) => Ok(match police(fitted, ctx.meters, ctx.now) {
            Ok(admitted) => write(admitted, packet),
            Err(reason) => Verdict::Drop(reason),
        }),
        Err(Unfit::Drop(reason)) => Ok(Verdict::Drop(reason)),
        Err(Unfit::Unresolved) => Err(Unresolved),
    }
}

/// The way out has no link header.
struct Unresolved;

/// The verdict of a packet that is not forwarded.
#[inline]
fn halt(stop: Stop<'_>, packet: &mut Packet<'_>, ctx: &Context<'_>) -> Verdict {
    match stop {
        Stop::Drop(reason) => Verdict::Drop(reason),
        Stop::Punt(punted) => punt(punted, packet, ctx.meters, ctx.now),
    }
}
