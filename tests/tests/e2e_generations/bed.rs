//! The laboratory of this test: a portal between one exchange link and three client links, with generators and
//! counting sinks on their far ends.
//!
//! ```text
//!  isp e0 ---- up0 portal cl0 ---- a0 access (10.0.0.0/24; gateway to 10.9.0.0/24)
//!                         cl1 ---- a1 access (10.1.0.0/24; gateway to 10.9.1.0/24)
//!                         sp0 ---- s0 spare  (10.2.0.0/24; a port in some generations only)
//! ```

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tp_bench::{Counts, Generator, GeneratorConfig, Rate, Sink, Template, run_in_turn};
use tp_tests::lab::{End, Lab, Ns, Route};
use tp_wire::MacAddr;

use crate::flows::Flow;

/// How long a frame may take from generator to sink. A worker sleeps a millisecond; the machine may be busy.
const SETTLE: Duration = Duration::from_secs(2);
/// Time between two pieces of news from the kernel.
const CHURN: Duration = Duration::from_millis(50);

/// A far end of one of the portal's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FarEnd {
    Isp,
    Access,
    SecondAccess,
    Spare,
}

impl FarEnd {
    pub(crate) const ALL: [Self; 4] = [Self::Isp, Self::Access, Self::SecondAccess, Self::Spare];

    /// Its device, and the portal's at the other end.
    pub(crate) fn devices(self) -> (&'static str, &'static str) {
        match self {
            Self::Isp => ("e0", "up0"),
            Self::Access => ("a0", "cl0"),
            Self::SecondAccess => ("a1", "cl1"),
            Self::Spare => ("s0", "sp0"),
        }
    }

    /// MAC address of its device.
    pub(crate) fn mac(self) -> MacAddr {
        MacAddr::new([2, 0, 0, 1, 0, self as u8])
    }

    /// MAC address of the portal's device.
    pub(crate) fn portal_mac(self) -> MacAddr {
        MacAddr::new([2, 0, 0, 0, 0, self as u8])
    }

    fn addresses(self) -> (Vec<String>, Vec<String>) {
        let text = |far: &[&str], near: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
            (owned(far), owned(near))
        };
        match self {
            Self::Isp => text(&["192.0.2.1/24"], &["192.0.2.10/24"]),
            Self::Access => {
                let (mut far, near) = text(&["10.0.0.254/24"], &["10.0.0.1/24", "10.0.0.3/24"]);
                far.extend((20..30).map(|host| format!("10.0.0.{host}/24")));
                (far, near)
            }
            Self::SecondAccess => text(&["10.1.0.254/24"], &["10.1.0.1/24"]),
            Self::Spare => text(&["10.2.0.2/24"], &["10.2.0.1/24"]),
        }
    }
}

/// The laboratory.
pub(crate) struct Bed {
    pub(crate) lab: Lab,
    pub(crate) portal: Ns,
    far: BTreeMap<FarEnd, Ns>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let lab = Lab::new("generations").unwrap();
        let portal = lab.namespace("portal").unwrap();
        let mut far = BTreeMap::new();
        for end in FarEnd::ALL {
            let ns = lab.namespace(end.devices().0).unwrap();
            let (device, port) = end.devices();
            lab.veth(
                End::new(&ns, device).mac(end.mac().octets()),
                End::new(&portal, port).mac(end.portal_mac().octets()),
            )
            .unwrap();
            let (there, here) = end.addresses();
            for address in there {
                ns.address(device, &address).unwrap();
            }
            for address in here {
                portal.address(port, &address).unwrap();
            }
            far.insert(end, ns);
        }
        for (prefix, gateway) in [
            ("10.9.0.0/24", [10, 0, 0, 254]),
            ("10.9.1.0/24", [10, 1, 0, 254]),
        ] {
            let gateway = Ipv4Addr::from(gateway).into();
            portal
                .route(&Route::to(prefix).unwrap().via(gateway))
                .unwrap();
        }
        Self { lab, portal, far }
    }
}

/// Generators on the ISP's and the clients' links, sinks on all.
pub(crate) struct Traffic {
    generators: [Generator; 2],
    sinks: BTreeMap<FarEnd, Sink>,
    /// Packets by flow since the sinks were attached.
    sent: BTreeMap<u32, u64>,
    /// Packets that the generators' own devices refused.
    refused: u64,
}

/// What arrived, by what it looked like, and where.
pub(crate) type Arrivals = BTreeMap<FarEnd, Counts>;

impl Traffic {
    /// At this rate in all.
    pub(crate) fn new(bed: &Bed, flows: &[Flow], rate: Rate) -> Self {
        let generator = |end: FarEnd| {
            let own = flows.iter().filter(|flow| flow.from == end);
            let templates: Vec<_> = own
                .map(|f| Template::new(f.id, &f.frame).unwrap())
                .collect();
            let share = |whole: u64| whole * templates.len() as u64 / flows.len() as u64;
            let rate = match rate {
                Rate::FlatOut => Rate::FlatOut,
                Rate::PacketsPerSecond(whole) => {
                    Rate::PacketsPerSecond(NonZeroU64::new(share(whole.get())).unwrap())
                }
            };
            let config = GeneratorConfig {
                rate,
                ..GeneratorConfig::new(end.devices().0, templates)
            };
            bed.far[&end]
                .run(|| Generator::open(&config))
                .unwrap()
                .unwrap()
        };
        let sink = |end: &FarEnd| {
            bed.far[end]
                .run(|| Sink::attach(end.devices().0))
                .unwrap()
                .unwrap()
        };
        Self {
            generators: [generator(FarEnd::Isp), generator(FarEnd::Access)],
            sinks: FarEnd::ALL.iter().map(|end| (*end, sink(end))).collect(),
            sent: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Sends as long as `work` runs.
    pub(crate) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let stop = AtomicBool::new(false);
        let [one, two] = &mut self.generators;
        let (answer, sent) = thread::scope(|scope| {
            let senders = scope.spawn(|| run_in_turn([one, two], &stop));
            let stopper = Stopper(&stop);
            let answer = work();
            drop(stopper);
            (answer, senders.join().unwrap())
        });
        for run in sent {
            self.refused += run.dropped + run.stuck;
            for (flow, packets) in run.by_template {
                *self.sent.entry(flow).or_default() += packets;
            }
        }
        answer
    }

    /// What arrived, once all of it has, or nothing more comes.
    pub(crate) fn arrivals(&self, flows: &[Flow]) -> Arrivals {
        let deadline = Instant::now() + SETTLE;
        loop {
            let sinks = self.sinks.iter();
            let arrivals: Arrivals = sinks
                .map(|(end, sink)| (*end, sink.read().unwrap()))
                .collect();
            if self.losses(flows, &arrivals).is_empty() || Instant::now() > deadline {
                return arrivals;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is wrong with the counts of the flows that every generation forwards, in words.
    pub(crate) fn losses(&self, flows: &[Flow], arrivals: &Arrivals) -> Vec<String> {
        let of_flow = |id: u32| {
            let counts = arrivals.values().filter_map(|counts| counts.flows.get(&id));
            counts.map(|flow| flow.packets).sum::<u64>()
        };
        let mut wrong: Vec<String> = flows
            .iter()
            .filter(|flow| flow.always)
            .map(|flow| {
                (
                    flow,
                    self.sent.get(&flow.id).copied().unwrap_or_default(),
                    of_flow(flow.id),
                )
            })
            .filter(|(_, sent, arrived)| sent != arrived)
            .map(|(flow, sent, arrived)| format!("{}: {sent} sent, {arrived} arrived", flow.name))
            .collect();
        if self.refused > 0 {
            wrong.push(format!(
                "{} refused by the generators' devices",
                self.refused
            ));
        }
        wrong
    }

    /// Packets sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.values().sum()
    }
}

/// Stops the senders when the work panics, too: their scope would wait for them.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// News from the kernel while configurations change: an address of the portal comes and goes, and an MTU changes.
/// Neither is any packet's business.
pub(crate) struct Churn {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Churn {
    pub(crate) fn start(bed: &Bed) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (portal, ends) = (bed.portal.clone(), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for (verb, mtu) in [("add", 16384), ("delete", 65536)] {
                    let mut ip = portal.command("ip");
                    let change = ip.args(["address", verb, "10.77.0.1/32", "dev", "lo"]);
                    assert!(change.status().unwrap().success());
                    portal.link_mtu("lo", mtu).unwrap();
                    thread::sleep(CHURN);
                }
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        // A panic while another one goes on would hide that.
        assert!(thread::panicking() || ended.is_some_and(|end| end.is_ok()));
    }
}
