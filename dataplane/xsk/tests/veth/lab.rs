//! A portal's namespace and a far one, veth pairs between them, and a region with a magazine.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tp_xsk::{
    BindMode, Burst, ChunkSize, Ledger, Magazine, OpenError, PACKET_START, Pages, Region,
    RegionConfig, RingSizes, Socket, SocketConfig,
};

use super::wire::Wire;

pub(crate) const CHUNKS: u32 = 4096;
pub(crate) const RINGS: RingSizes = RingSizes {
    rx: 256,
    tx: 256,
    fill: 256,
    completion: 256,
};
/// How long anything may take that takes microseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two namespaces, removed when dropped.
pub(crate) struct Lab {
    portal: String,
    far: String,
    pub(crate) region: Region,
    pub(crate) mag: Magazine,
}

/// Runs a test in the portal's namespace, and demands at its end that every chunk is back.
pub(crate) fn lab(test: &str, body: impl FnOnce(&mut Lab) + Send) {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests need root: run them with sudo"
    );
    let region = RegionConfig {
        chunks: CHUNKS,
        chunk_size: ChunkSize::B2048,
        pages: Pages::Never,
    };
    let region = Region::new(&region).expect("8 MiB of memory");
    let name = |side| format!("tpxsk-{}-{test}-{side}", std::process::id());
    let mag = region.depot().magazine();
    let mut lab = Lab {
        portal: name("p"),
        far: name("f"),
        region: region.clone(),
        mag,
    };
    for ns in [&lab.portal, &lab.far] {
        ip(&format!("netns add {ns}"));
        // The kernel's own neighbour discovery would be counted among the test's frames.
        let key = "net.ipv6.conf.default.disable_ipv6=1";
        run(Command::new("nsenter").args([
            &format!("--net=/run/netns/{ns}"),
            "sysctl",
            "-qw",
            key,
        ]));
    }
    // A thread of its own: a namespace is a thread's, and this one would keep it.
    std::thread::scope(|scope| {
        let lab = &mut lab;
        let thread = scope.spawn(move || {
            enter(&lab.portal);
            body(lab);
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
    drop(lab);
    assert_eq!(
        region.ledger(),
        Ledger {
            depot: CHUNKS,
            ..Ledger::default()
        }
    );
}

impl Lab {
    /// A veth pair `NAME0` (portal) and `NAME1` (far), both up, with as many queues at either end.
    pub(crate) fn pair(&self, name: &str, rx: u32, tx: u32) -> u32 {
        let (portal, far) = (&self.portal, &self.far);
        ip(&format!(
            "link add {name}0 netns {portal} numrxqueues {rx} numtxqueues {tx} type veth \
             peer name {name}1 netns {far} numrxqueues {tx} numtxqueues {rx}"
        ));
        self.portal(&format!("link set {name}0 up"));
        self.far(&format!("link set {name}1 up"));
        ifindex(&format!("{name}0"))
    }

    /// `ip` in the portal's namespace.
    pub(crate) fn portal(&self, args: &str) {
        ip(&format!("-n {} {args}", self.portal));
    }

    /// `ip` in the far namespace.
    pub(crate) fn far(&self, args: &str) {
        ip(&format!("-n {} {args}", self.far));
    }

    /// The far end of a pair, to send and receive raw frames.
    pub(crate) fn wire(&self, device: &str) -> Wire {
        let far = self.far.as_str();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(far);
                Wire::open(device)
            });
            thread.join().expect("a packet socket")
        })
    }

    /// Opens a socket as most tests want it.
    pub(crate) fn open(&mut self, ifindex: u32, queue: u32) -> Socket {
        self.try_open(&config(ifindex, queue)).expect("a socket")
    }

    /// Opens a socket on a device of the far namespace, on this lab's memory.
    pub(crate) fn open_far(&mut self, device: &str, queue: u32) -> Socket {
        let Self {
            far, region, mag, ..
        } = self;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(far);
                Socket::open(region, &config(ifindex(device), queue), mag).expect("a socket")
            });
            thread.join().expect("a socket")
        })
    }

    pub(crate) fn try_open(&mut self, config: &SocketConfig) -> Result<Socket, OpenError> {
        Socket::open(&self.region, config, &mut self.mag)
    }

    /// A burst of these frames.
    pub(crate) fn burst(&mut self, packets: impl Iterator<Item = Vec<u8>>) -> Burst {
        let mut burst = Burst::new();
        for packet in packets {
            let mut frame = self.mag.alloc().expect("a free frame");
            let at = PACKET_START..PACKET_START + packet.len();
            self.region.chunk_mut(&mut frame)[at].copy_from_slice(&packet);
            frame.set_extent(PACKET_START, packet.len());
            burst.push(frame).expect("room in the burst");
        }
        burst
    }

    /// Receives until `n` packets have come: metadata and bytes of each, in order. Panics when
    /// they do not come.
    pub(crate) fn receive(&mut self, socket: &mut Socket, n: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut got = Vec::new();
        wait("packets", || {
            let mut burst = Burst::new();
            socket.receive(&mut burst);
            for frame in burst.as_slice() {
                let (start, chunk) = (frame.start(), self.region.chunk(frame));
                let packet = chunk[start..start + frame.len()].to_vec();
                got.push((chunk[start - 8..start].to_vec(), packet));
            }
            burst.clear_into(&mut self.mag);
            socket.refill(&mut self.mag);
            got.len() >= n
        });
        assert_eq!(got.len(), n);
        got
    }

    /// Takes completions until nothing is in flight.
    pub(crate) fn settle(&mut self, socket: &mut Socket) {
        wait("completions", || {
            socket.reclaim(&mut self.mag);
            socket.suspects().in_flight == 0
        });
        // Those that came between the two questions.
        socket.reclaim(&mut self.mag);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for ns in [&self.portal, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", ns]).status();
        }
    }
}

pub(crate) fn config(ifindex: u32, queue: u32) -> SocketConfig {
    SocketConfig {
        ifindex,
        queue,
        rings: RINGS,
        mode: BindMode::Copy,
        need_wakeup: true,
        generic_xdp: false,
    }
}

/// Waits until `done`, or panics.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(
            Instant::now() < until,
            "{what} did not come in {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Index of a device in the calling thread's namespace.
fn ifindex(device: &str) -> u32 {
    rustix::net::netdevice::name_to_index(Wire::any_socket(), device).expect("the device exists")
}

/// Moves the calling thread into a namespace.
fn enter(ns: &str) {
    let file = File::open(format!("/run/netns/{ns}")).expect("the namespace exists");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
}

fn ip(args: &str) {
    run(Command::new("ip").args(args.split_ascii_whitespace()));
}

fn run(command: &mut Command) {
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{command:?}: {status}");
}
