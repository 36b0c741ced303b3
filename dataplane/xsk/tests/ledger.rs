//! Random histories of a socket in memory against books that are kept by hand: after every step
//! the ledger says the same, and at the end every chunk is in the depot.

use proptest::prelude::*;
use tp_xsk::{
    Burst, ChunkSize, KernelSide, Ledger, Magazine, PACKET_START, Pages, Region, RegionConfig,
    RingSizes, Socket,
};

const CHUNKS: u32 = 96;
const RINGS: RingSizes = RingSizes {
    rx: 32,
    tx: 16,
    fill: 16,
    completion: 16,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(u8),
    Receive,
    Refill,
    Alloc(u8),
    Free(u8),
    Send,
    Transmit,
    Complete,
    Reclaim,
    ForgeCompletionOfHeld,
    ForgeReceptionOfHeld,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{
        Alloc, Complete, Deliver, ForgeCompletionOfHeld, ForgeReceptionOfHeld, Free, Receive,
        Reclaim, Refill, Send, Transmit,
    };
    let step = prop_oneof![
        4 => (1..24u8).prop_map(Deliver),
        4 => Just(Receive),
        2 => Just(Refill),
        2 => (1..24u8).prop_map(Alloc),
        1 => (1..8u8).prop_map(Free),
        4 => Just(Send),
        3 => Just(Transmit),
        3 => Just(Complete),
        3 => Just(Reclaim),
        1 => Just(ForgeCompletionOfHeld),
        1 => Just(ForgeReceptionOfHeld),
    ];
    prop::collection::vec(step, 1..120)
}

/// What is tested, and the books: who has how many chunks, by the rules of the rings alone.
struct History {
    region: Region,
    magazine: Magazine,
    socket: Socket,
    kernel: KernelSide,
    burst: Burst,
    /// Chunks in the fill or RX ring, packets in the RX ring, frames in the burst.
    lent: u32,
    unread: u32,
    held: u32,
    /// Frames in the TX ring, taken by the kernel, and completed but not reclaimed.
    queued: u32,
    taken: u32,
    completed: u32,
    /// Lies told.
    suspects: u64,
}

impl History {
    fn new() -> Self {
        let config = RegionConfig {
            chunks: CHUNKS,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Never,
        };
        let region = Region::new(&config).expect("a small region");
        let mut magazine = region.depot().magazine();
        let (socket, kernel) = Socket::in_memory(&region, RINGS, &mut magazine);
        let burst = Burst::new();
        Self {
            region,
            magazine,
            socket,
            kernel,
            burst,
            lent: RINGS.fill,
            unread: 0,
            held: 0,
            queued: 0,
            taken: 0,
            completed: 0,
            suspects: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver(n) => {
                for _ in 0..n {
                    self.unread += u32::from(self.kernel.deliver(&[1; 8], &[2; 60]));
                }
            }
            Step::Receive => self.receive(),
            Step::Refill => {
                self.lent += count(self.socket.refill(&mut self.magazine));
                assert!(self.lent <= RINGS.fill);
            }
            Step::Alloc(n) => self.alloc(n),
            Step::Free(n) => {
                for frame in (0..n).map_while(|_| self.burst.pop()) {
                    self.magazine.free(frame);
                    self.held -= 1;
                }
            }
            Step::Send => self.send(),
            Step::Transmit => {
                let n = count(self.kernel.transmit(|_| ()));
                assert!(n <= self.queued);
                self.queued -= n;
                self.taken += n;
            }
            Step::Complete => {
                let n = count(self.kernel.complete());
                assert!(n <= self.taken);
                self.taken -= n;
                self.completed += n;
            }
            Step::Reclaim => {
                assert_eq!(
                    count(self.socket.reclaim(&mut self.magazine)),
                    self.completed
                );
                self.completed = 0;
            }
            Step::ForgeCompletionOfHeld => self.forge(KernelSide::forge_completion),
            Step::ForgeReceptionOfHeld => self.forge(|kernel, at| kernel.forge_receive(at, 60, 0)),
        }
    }

    fn receive(&mut self) {
        let room = count(self.burst.room());
        let n = count(self.socket.receive(&mut self.burst));
        assert_eq!(n, self.unread.min(room));
        self.unread -= n;
        self.lent -= n;
        self.held += n;
    }

    fn alloc(&mut self, n: u8) {
        for _ in 0..usize::from(n).min(self.burst.room()) {
            let Some(mut frame) = self.magazine.alloc() else {
                break;
            };
            frame.set_extent(PACKET_START - 20, 80);
            self.burst.push(frame).expect("there is room");
            self.held += 1;
        }
    }

    fn send(&mut self) {
        let room = RINGS.tx - self.queued;
        let n = count(self.socket.send(&mut self.burst));
        assert_eq!(n, room.min(self.held));
        self.held -= n;
        self.queued += n;
    }

    /// Names a chunk that the program holds at this moment, and lets the socket look at once:
    /// later it may be lent, and the lie could not be told from the truth.
    fn forge(&mut self, lie: impl Fn(&mut KernelSide, u64)) {
        let Some(frame) = self.burst.as_slice().last() else {
            return;
        };
        let address = u64::from(frame.index()) * 2048 + 256;
        // Rings that are full do not take the lie.
        self.step(Step::Reclaim);
        if self.unread > 0 || self.burst.is_full() {
            return;
        }
        lie(&mut self.kernel, address);
        let before = self.socket.suspects();
        self.step(Step::Receive);
        self.step(Step::Reclaim);
        let after = self.socket.suspects();
        self.suspects += 1;
        let told = after.received + after.completions - before.received - before.completions;
        assert_eq!(
            (told, after.received + after.completions),
            (1, self.suspects)
        );
    }

    fn check(&self) {
        let ledger = self.region.ledger();
        let tx = self.queued + self.taken + self.completed;
        assert_eq!(
            (ledger.fill, ledger.held, ledger.tx),
            (self.lent, self.held, tx)
        );
        let free = CHUNKS - self.lent - self.held - tx;
        assert_eq!(ledger.depot + ledger.magazines, free);
        assert_eq!(count(self.region.depot().len() + self.magazine.len()), free);
        assert_eq!(self.socket.suspects().in_flight, self.taken);
    }

    fn finish(mut self) {
        self.burst.clear_into(&mut self.magazine);
        let closed = self.socket.close(&mut self.magazine);
        assert_eq!(closed.fill, self.lent);
        assert_eq!(
            closed.tx,
            self.queued + self.taken,
            "completions are taken first"
        );
        drop(self.magazine);
        assert_eq!(
            self.region.ledger(),
            Ledger {
                depot: CHUNKS,
                ..Ledger::default()
            }
        );
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("small")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_books_close_after_every_step(steps in steps()) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
            history.check();
        }
        history.finish();
    }
}
