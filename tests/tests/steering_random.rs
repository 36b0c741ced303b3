//! The steering program and the reference agree on random configurations and frames: action,
//! metadata, bytes and counters, through `BPF_PROG_TEST_RUN`. Needs root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(
    clippy::print_stdout,
    reason = "the seed and what was seen belong to the result"
)]

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use socket2::{Domain, Socket, Type};
use tp_control::compile::{Compiled, compile};
use tp_ebpf::{Action, NO_PORT_ROW, PortCounters, RunOutcome, Steering};
use tp_pipeline::abi::{Counter, IngressKind};
use tp_tests::generate::{Arriving, Config, Devices, Rng, change, config, frame, seed};
use tp_tests::lab::{End, Lab};
use tp_tests::reference::steering::{Ingress, Steered, steer};
use tp_tests::reference::{Numbers, Portal};

const CONFIGURATIONS: u32 = 4_000;
const FRAMES: u32 = 25;
const QUEUES: u32 = 4;
/// A queue that no socket is bound to: port index and queue.
const WITHOUT_SOCKET: (u16, u16) = (0, 3);
/// The kernel runs no frame that is shorter than an Ethernet header.
const SHORTEST: usize = 14;

#[test]
fn random_frames_are_steered_as_the_text_says() {
    let seed = seed();
    println!("TP_SEED={seed}");
    let lab = Lab::new("steering").unwrap();
    let portal = lab.namespace("portal").unwrap();
    let outside = lab.namespace("outside").unwrap();
    let ifindex = |name: &str| {
        let ends = [&portal, &outside].map(|ns| End::new(ns, name).queues(QUEUES));
        let [here, there] = ends;
        lab.veth(here, there).unwrap();
        portal.link(name).unwrap().index
    };
    let devices = Devices {
        ports: ["eth0", "eth1", "eth2"].map(ifindex),
        stranger: ifindex("eth9"),
        queues: QUEUES,
    };
    // The kernel looks the ingress device up in the caller's namespace.
    portal
        .run(|| Bench::new().run(&mut Rng::with_seed(seed), &devices))
        .unwrap();
}

struct Bench {
    program: Steering,
    counters: Vec<PortCounters>,
    // Closing one would take it out of the map.
    _sockets: Vec<Socket>,
    seen: BTreeMap<String, u32>,
}

impl Bench {
    fn new() -> Self {
        let program = Steering::load().unwrap();
        let mut sockets = Vec::new();
        for port in 0..3 {
            for queue in (0..4).filter(|queue| (port, *queue) != WITHOUT_SOCKET) {
                let socket = xdp_socket();
                program.set_socket(port, queue, socket.as_fd()).unwrap();
                sockets.push(socket);
            }
        }
        let counters = program.counters().unwrap();
        Self {
            program,
            counters,
            _sockets: sockets,
            seen: BTreeMap::new(),
        }
    }

    fn run(mut self, rng: &mut Rng, devices: &Devices) {
        let mut before: Option<(Config, Compiled)> = None;
        for _ in 0..CONFIGURATIONS {
            let next = match &before {
                Some((config, _)) if rng.bool() => change(rng, config),
                _ => config(rng, devices),
            };
            let previous = before.as_ref().map(|(_, compiled)| compiled);
            let compiled = compile(previous, &next.model, &next.kernel, rng.u32(..)).unwrap();
            self.program.apply(&compiled.steering).unwrap();
            let numbers = Numbers::of(&compiled);
            let portal = Portal {
                model: &next.model,
                kernel: &next.kernel,
                numbers: &numbers,
            };
            for _ in 0..FRAMES {
                let mut arriving = frame(rng, &portal, devices);
                while arriving.frame.len() < SHORTEST {
                    arriving = frame(rng, &portal, devices);
                }
                self.compare(&portal, &arriving);
            }
            before = Some((next, compiled));
        }
        self.assert_that_all_was_seen();
    }

    fn compare(&mut self, portal: &Portal<'_>, arriving: &Arriving) {
        let port = portal.port(arriving.ifindex).map(|(_, _, port)| port);
        let queue = u16::try_from(arriving.queue).unwrap();
        let ingress = Ingress {
            ifindex: arriving.ifindex,
            queue: arriving.queue,
            socket: port.is_some_and(|port| (port, queue) != WITHOUT_SOCKET),
        };
        let expected = steer(portal, &ingress, &arriving.frame);
        let outcome = self
            .program
            .run_once(&arriving.frame, arriving.ifindex, arriving.queue)
            .unwrap();
        let counters = self.program.counters().unwrap();

        let row = port.map_or(NO_PORT_ROW, usize::from);
        let moved = moved(&self.counters, &counters);
        let due = BTreeMap::from([((row, Counter::Seen), 1), ((row, expected.counter()), 1)]);
        assert!(
            answers(&outcome, &expected, &arriving.frame) && moved == due,
            "{portal:#?}\n{arriving:?}\nthe text:    {expected:?}, counters {due:?}\nthe program: \
             {:?} {:?}, counters {moved:?}",
            outcome.action,
            outcome.meta,
        );
        self.counters = counters;
        *self
            .seen
            .entry(format!("{:?}", expected.counter()))
            .or_default() += 1;
        if let Steered::Redirect(meta) = expected {
            let kind = IngressKind::from_u8(meta.ingress).unwrap();
            *self.seen.entry(format!("{kind:?}")).or_default() += 1;
        }
    }

    /// A comparison of frames that never get anywhere would prove nothing.
    fn assert_that_all_was_seen(&self) {
        println!("{:#?}", self.seen);
        let counters = Counter::ALL
            .into_iter()
            .filter(|c| !matches!(c, Counter::Seen | Counter::MetaRoom))
            .map(|c| format!("{c:?}"));
        let kinds = [
            IngressKind::Upstream,
            IngressKind::Tunnel,
            IngressKind::L2Client,
            IngressKind::OuterFragment,
            IngressKind::OuterIcmp,
            IngressKind::UpstreamTunnel,
            IngressKind::OuterIcmpUpstream,
        ];
        for what in counters.chain(kinds.map(|kind| format!("{kind:?}"))) {
            let times = self.seen.get(&what).copied().unwrap_or(0);
            assert!(times >= 100, "{what} was seen {times} times only");
        }
    }
}

fn xdp_socket() -> Socket {
    Socket::new(Domain::from(44), Type::RAW, None).expect("AF_XDP (linux/socket.h) is 44")
}

fn answers(outcome: &RunOutcome, expected: &Steered, frame: &[u8]) -> bool {
    let (action, meta) = match expected {
        Steered::Pass => (Action::Pass, None),
        Steered::Drop(_) => (Action::Drop, None),
        Steered::Redirect(meta) => (Action::Redirect, Some(*meta)),
    };
    // What is written in front of a frame that goes no further is nobody's business.
    let same_meta = meta.is_none() || outcome.meta == meta;
    outcome.action == action && same_meta && outcome.frame == frame
}

/// How much each counter of each port moved, those that did not left out.
fn moved(before: &[PortCounters], after: &[PortCounters]) -> BTreeMap<(usize, Counter), u64> {
    let mut moved = BTreeMap::new();
    for (row, (before, after)) in before.iter().zip(after).enumerate() {
        for counter in Counter::ALL {
            if after[counter] != before[counter] {
                moved.insert((row, counter), after[counter].wrapping_sub(before[counter]));
            }
        }
    }
    moved
}
