//! The loop that a worker runs, over rings in memory with the kernel's part on another thread:
//! nothing is allocated, nothing lost, and no packet meets another's bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tp_xsk::{
    Burst, ChunkSize, KernelSide, Ledger, Magazine, PACKET_START, Pages, Region, RegionConfig,
    RingSizes, Socket, SocketSuspects,
};

/// Counts the calling thread's allocations.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more, and is not counted.
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CHUNKS: u32 = 2048;
const RINGS: RingSizes = RingSizes {
    rx: 512,
    tx: 256,
    fill: 512,
    completion: 512,
};
const PACKETS: u64 = 200_000;

fn region() -> Region {
    let config = RegionConfig {
        chunks: CHUNKS,
        chunk_size: ChunkSize::B2048,
        pages: Pages::Try,
    };
    Region::new(&config).expect("4 MiB of memory")
}

/// Packet number `i`: its length and every byte depend on it.
fn packet(i: u64, buffer: &mut [u8; 1024]) -> &[u8] {
    let len = 60 + usize::try_from(i % 900).expect("small");
    buffer[..len].fill(i.to_le_bytes()[0]);
    buffer[..8].copy_from_slice(&i.to_le_bytes());
    &buffer[..len]
}

/// Delivers packets in order and checks that they leave in order, whole, behind eight bytes that
/// the worker pushed.
fn play_kernel(mut kernel: KernelSide, stop: &AtomicBool) -> (KernelSide, u64) {
    let (mut delivered, mut left) = (0, 0);
    let (mut ours, mut theirs) = ([0; 1024], [0; 1024]);
    let until = Instant::now() + Duration::from_secs(60);
    while left < PACKETS && !stop.load(Ordering::Relaxed) {
        assert!(Instant::now() < until, "{left} of {delivered} packets left");
        for _ in 0..32 {
            if delivered < PACKETS && kernel.deliver(b"metadata", packet(delivered, &mut ours)) {
                delivered += 1;
            }
        }
        kernel.transmit(|sent| {
            assert_eq!(&sent[..8], b"metadata");
            assert!(&sent[8..] == packet(left, &mut theirs), "packet {left}");
            left += 1;
        });
        kernel.complete();
        std::thread::yield_now();
    }
    (kernel, left)
}

/// One turn: everything that arrived goes out with its metadata as a header.
fn turn(socket: &mut Socket, magazine: &mut Magazine, burst: &mut Burst) -> usize {
    socket.reclaim(magazine);
    let waiting = burst.len();
    socket.receive(burst);
    for frame in &mut burst.as_mut_slice()[waiting..] {
        let (start, len) = (frame.start(), frame.len());
        frame.set_extent(start - 8, len + 8);
    }
    let sent = socket.send(burst);
    socket.flush();
    socket.refill(magazine);
    sent
}

#[test]
fn the_loop_allocates_nothing_and_loses_nothing() {
    let region = region();
    let mut magazine = region.depot().magazine();
    let (mut socket, kernel) = Socket::in_memory(&region, RINGS, &mut magazine);
    let mut burst = Burst::new();
    let stop = AtomicBool::new(false);
    let kernel = std::thread::scope(|scope| {
        let player = scope.spawn(|| play_kernel(kernel, &stop));
        let before = ALLOCATIONS.get();
        let mut sent = 0;
        while sent < PACKETS && !player.is_finished() {
            sent += turn(&mut socket, &mut magazine, &mut burst) as u64;
            std::hint::spin_loop();
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in the loop");
        let (kernel, left) = player.join().expect("the kernel's part");
        assert_eq!((sent, left), (PACKETS, PACKETS));
        kernel
    });
    socket.reclaim(&mut magazine);
    assert_eq!(socket.suspects(), SocketSuspects::default());
    let ledger = region.ledger();
    assert_eq!((ledger.held, ledger.tx, ledger.total()), (0, 0, CHUNKS));
    socket.close(&mut magazine);
    drop((magazine, kernel));
    assert_eq!(
        region.ledger(),
        Ledger {
            depot: CHUNKS,
            ..Ledger::default()
        }
    );
}

#[test]
fn workers_share_a_depot_without_meeting_in_a_chunk() {
    let region = region();
    std::thread::scope(|scope| {
        for worker in 0..4u8 {
            let region = region.clone();
            scope.spawn(move || {
                let mut magazine = region.depot().magazine();
                let mut burst = Burst::new();
                for round in 0..2000 {
                    for _ in 0..=(round % 64) {
                        let Some(mut frame) = magazine.alloc() else {
                            break;
                        };
                        region.chunk_mut(&mut frame).fill(worker);
                        burst.push(frame).expect("64 at most");
                    }
                    for frame in burst.as_slice() {
                        assert!(
                            region.chunk(frame)[PACKET_START..]
                                .iter()
                                .all(|b| *b == worker)
                        );
                    }
                    burst.clear_into(&mut magazine);
                }
            });
        }
    });
    assert_eq!(
        region.ledger(),
        Ledger {
            depot: CHUNKS,
            ..Ledger::default()
        }
    );
}
