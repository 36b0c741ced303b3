//! What the slow path counts. Two equations close when traffic rests:
//!
//! - `punted of the workers = to_tun + to_tap + answered + dropped_to_kernel`
//! - `from_tun + from_tap + answered = originated + dropped_from_kernel`, and `originated` is that of the workers

use std::sync::atomic::{AtomicU64, Ordering};

use tp_pipeline::DropReason;
use tp_xsk::Carries;

/// Why a packet for the kernel did not reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToKernel {
    /// Its link is no more.
    StaleLink,
    /// ARP or neighbour discovery that is neither a question to the portal nor news of the link's peer.
    NotForUs,
    /// The device did not take it.
    Refused,
}

/// Why a packet of the kernel, or an answer, did not reach a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FromKernel {
    /// To a group.
    Group,
    /// To an address that no link's peer has.
    NoSuchLink,
    /// No free frame.
    NoFrame,
    /// The worker is slower than the kernel sends.
    QueueFull,
    /// As a worker would have dropped it.
    Pipeline(DropReason),
}

impl ToKernel {
    const NAMES: [&str; 3] = ["stale-link", "not-for-us", "device-refused"];
}

impl FromKernel {
    const NAMES: [&str; 4] = ["group", "no-such-link", "no-frame", "submission-queue-full"];

    fn index(self) -> usize {
        match self {
            Self::Group => 0,
            Self::NoSuchLink => 1,
            Self::NoFrame => 2,
            Self::QueueFull => 3,
            Self::Pipeline(reason) => Self::NAMES.len() + reason as usize,
        }
    }
}

/// The slow path's counters: written by its thread, read by the control side.
#[derive(Debug)]
pub(super) struct Counters {
    to_kernel: [AtomicU64; 2],
    answered: AtomicU64,
    dropped_to_kernel: [AtomicU64; ToKernel::NAMES.len()],
    from_kernel: [AtomicU64; 2],
    originated: AtomicU64,
    dropped_from_kernel: [AtomicU64; FromKernel::NAMES.len() + DropReason::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            to_kernel: Default::default(),
            answered: AtomicU64::default(),
            dropped_to_kernel: Default::default(),
            from_kernel: Default::default(),
            originated: AtomicU64::default(),
            dropped_from_kernel: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Counters {
    pub(super) fn add_to_kernel(&self, device: Carries) {
        add(&self.to_kernel[device as usize]);
    }

    pub(super) fn add_answered(&self) {
        add(&self.answered);
    }

    pub(super) fn add_dropped_to_kernel(&self, reason: ToKernel) {
        add(&self.dropped_to_kernel[reason as usize]);
    }

    pub(super) fn add_from_kernel(&self, device: Carries) {
        add(&self.from_kernel[device as usize]);
    }

    pub(super) fn add_originated(&self) {
        add(&self.originated);
    }

    pub(super) fn add_dropped_from_kernel(&self, reason: FromKernel) {
        add(&self.dropped_from_kernel[reason.index()]);
    }

    /// All of them, for the API.
    pub(super) fn read(&self) -> tp_api::SlowPathCounters {
        let [to_tun, to_tap] = [0, 1].map(|device| get(&self.to_kernel[device]));
        let [from_tun, from_tap] = [0, 1].map(|device| get(&self.from_kernel[device]));
        let of_pipeline = DropReason::ALL.iter().map(|reason| reason.name());
        let from_names = FromKernel::NAMES.into_iter().chain(of_pipeline);
        tp_api::SlowPathCounters {
            to_tun,
            to_tap,
            answered: get(&self.answered),
            dropped_to_kernel: named(ToKernel::NAMES, &self.dropped_to_kernel),
            from_tun,
            from_tap,
            originated: get(&self.originated),
            dropped_from_kernel: named(from_names, &self.dropped_from_kernel),
        }
    }
}

/// Those that counted anything.
fn named(names: impl IntoIterator<Item = &'static str>, counts: &[AtomicU64]) -> tp_api::Named {
    let pairs = names.into_iter().zip(counts);
    pairs
        .map(|(name, count)| (name.to_owned(), get(count)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn add(counter: &AtomicU64) {
    // One thread writes.
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
