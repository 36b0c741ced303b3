//! A burst goes down the line: in phases, so that the memory that one packet waits for is
//! fetched while others are worked on.

use arrayvec::ArrayVec;

use crate::classify::classify;
use crate::context::Context;
use crate::counters::{LinkId, WorkerCounters};
use crate::decapsulate::decapsulate;
use crate::fit::fit;
use crate::lookup::Lookup;
use crate::packet::Packet;
use crate::parse::parse;
use crate::police::police;
use crate::probe::{Probe, Stage};
use crate::punt::punt;
use crate::route::{self, Routed};
use crate::verdict::Verdict;
use crate::verify::{self, Onward, Stop, Verified};
use crate::write::write;

/// The packets of a burst that reached a stage, each with its index in the burst.
type Burst<T> = ArrayVec<(u8, T), { Pipeline::BURST }>;

/// A worker's pipeline: its scratch memory.
#[derive(Debug)]
pub struct Pipeline {
    lookup: Lookup,
    accounts: [Account; Self::BURST],
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
            let admitted = fit(routed, packet).and_then(|f| police(f, ctx.meters, ctx.now));
            verdicts[index] = match admitted {
                Ok(admitted) => write(admitted, packet),
                Err(reason) => Verdict::Drop(reason),
            };
        }
    }

    /// Counts each packet once: it has one verdict.
    #[inline]
    fn count(&self, counters: &WorkerCounters, verdicts: &[Verdict]) {
        for (account, verdict) in self.accounts.iter().zip(verdicts) {
            let from = account.from.and_then(|link| counters.link(link));
            if let Some(cells) = from {
                cells.add_rx(account.len);
            }
            match verdict {
                Verdict::Transmit(_) => {
                    if let Some(cells) = account.to.and_then(|link| counters.link(link)) {
                        cells.add_tx(account.len);
                    }
                }
                Verdict::Punt(_) => {}
                Verdict::Drop(reason) => {
                    counters.add_dropped(*reason, 1);
                    if let Some(cells) = from {
                        cells.add_dropped();
                    }
                }
            }
        }
    }
}

/// The verdict of a packet that is not forwarded.
#[inline]
fn halt(stop: Stop<'_>, packet: &mut Packet<'_>, ctx: &Context<'_>) -> Verdict {
    match stop {
        Stop::Drop(reason) => Verdict::Drop(reason),
        Stop::Punt(punted) => punt(punted, packet, ctx.meters, ctx.now),
    }
}
