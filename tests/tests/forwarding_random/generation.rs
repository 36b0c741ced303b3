//! A configuration, compiled, and the packets that its steering hands to a worker.

use tp_control::compile::{Compiled, compile};
use tp_control::model::{Client, Name, Tunnel};
use tp_pipeline::PortId;
use tp_pipeline::abi::Meta;
use tp_tests::generate::{Arriving, Config, Devices, Rng, change, config, frame};
use tp_tests::reference::steering::{Ingress, Steered, steer};
use tp_tests::reference::{Numbers, Portal};

use crate::BURST;
use crate::worker::Received;

/// A configuration and what the compiler made of it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) config: Config,
    pub(crate) compiled: Compiled,
    pub(crate) numbers: Numbers,
    /// Whether it was compiled from its predecessor.
    pub(crate) follows: bool,
}

impl Generation {
    pub(crate) fn first(rng: &mut Rng) -> Self {
        Self::new(config(rng, &Devices::default()), None, rng)
    }

    pub(crate) fn changed(&self, rng: &mut Rng) -> Self {
        Self::new(change(rng, &self.config), Some(&self.compiled), rng)
    }

    fn new(config: Config, previous: Option<&Compiled>, rng: &mut Rng) -> Self {
        let compiled = compile(previous, &config.model, &config.kernel, rng.u32(..)).unwrap();
        let numbers = Numbers::of(&compiled);
        Self {
            config,
            compiled,
            numbers,
            follows: previous.is_some(),
        }
    }

    /// Whether no client or tunnel has another rate in `before`: the text does not say what a
    /// meter holds once its rate has changed.
    pub(crate) fn rates_are_of(&self, before: &Self) -> bool {
        let (after, before) = (&self.config.model, &before.config.model);
        let same_client = |(name, client): (&Name, &Client)| {
            before
                .clients
                .get(name)
                .is_none_or(|b| b.rates == client.rates)
        };
        let same_tunnel = |(name, tunnel): (&Name, &Tunnel)| {
            before
                .tunnels
                .get(name)
                .is_none_or(|b| b.rates == tunnel.rates)
        };
        after.portal.slow_path.rate == before.portal.slow_path.rate
            && after.clients.iter().all(same_client)
            && after.tunnels.iter().all(same_tunnel)
    }

    pub(crate) fn portal(&self) -> Portal<'_> {
        Portal {
            model: &self.config.model,
            kernel: &self.config.kernel,
            numbers: &self.numbers,
        }
    }

    /// Packets as this configuration's steering hands them to the worker of one port.
    pub(crate) fn burst(&self, rng: &mut Rng, port: PortId) -> Vec<Received> {
        let mut burst = Vec::new();
        let most = rng.usize(1..=BURST);
        // A port that the configuration has not receives nothing.
        for _ in 0..10 * BURST {
            let arriving = frame(rng, &self.portal(), &Devices::default());
            if let Some(mut meta) = self.steered(&arriving)
                && u32::from(meta.port) == port.0
                && burst.len() < most
            {
                if rng.u32(0..100) < 5 {
                    distort(rng, &mut meta);
                }
                let headroom = if rng.u32(0..10) == 0 {
                    rng.usize(20..80)
                } else {
                    256
                };
                burst.push(Received {
                    meta,
                    frame: arriving.frame,
                    headroom,
                });
            }
        }
        burst
    }

    pub(crate) fn steered(&self, arriving: &Arriving) -> Option<Meta> {
        let Arriving {
            ifindex,
            queue,
            ref frame,
        } = *arriving;
        match steer(
            &self.portal(),
            &Ingress {
                ifindex,
                queue,
                socket: true,
            },
            frame,
        ) {
            Steered::Redirect(meta) => Some(meta),
            Steered::Pass | Steered::Drop(_) => None,
        }
    }
}

/// Metadata that the steering program would not write for this packet.
pub(crate) fn distort(rng: &mut Rng, meta: &mut Meta) {
    match rng.u32(0..9) {
        0 => meta.slot = rng.u32(0..8),
        1 => meta.tag = meta.tag.wrapping_add(rng.u32(0..4)),
        2 => meta.magic ^= 1 << rng.u32(0..16),
        3 => meta.port = rng.u16(0..4),
        4 => meta.ingress = rng.u8(0..8),
        5 => meta.l3_off = rng.u16(0..80),
        6 => meta.l4_off = rng.u16(0..2000),
        7 => meta.inner_off = rng.u16(0..120),
        _ => meta.vlans = rng.u8(..),
    }
}
