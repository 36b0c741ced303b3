//! Sockets in memory: what goes in comes out, the books close, and nothing that a faulty kernel
//! says is believed.

use tp_xsk::{
    Burst, ChunkSize, Closed, Frame, KernelSide, Ledger, Magazine, Mode, PACKET_START, Pages,
    Region, RegionConfig, RingSizes, Socket, SocketSuspects,
};

const CHUNKS: u32 = 256;
const RINGS: RingSizes = RingSizes {
    rx: 64,
    tx: 32,
    fill: 64,
    completion: 32,
};

struct Bench {
    region: Region,
    mag: Magazine,
    socket: Socket,
    kernel: KernelSide,
}

impl Bench {
    fn new() -> Self {
        let config = RegionConfig {
            chunks: CHUNKS,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Never,
        };
        let region = Region::new(&config).expect("a small region");
        let mut mag = region.depot().magazine();
        let (socket, kernel) = Socket::in_memory(&region, RINGS, &mut mag);
        Self {
            region,
            mag,
            socket,
            kernel,
        }
    }

    fn receive(&mut self) -> Burst {
        let mut burst = Burst::new();
        self.socket.receive(&mut burst);
        burst
    }

    fn packet(&mut self, len: usize) -> Frame {
        let mut frame = self.mag.alloc().expect("a free frame");
        frame.set_extent(PACKET_START, len);
        frame
    }

    /// Closes all and demands that every chunk is in the depot.
    fn finish(self) -> Closed {
        let Self {
            region,
            mut mag,
            socket,
            kernel,
        } = self;
        let closed = socket.close(&mut mag);
        drop((mag, kernel));
        assert_eq!(
            region.ledger(),
            Ledger {
                depot: CHUNKS,
                ..Ledger::default()
            }
        );
        closed
    }
}

#[test]
fn a_mark_is_passed_by_what_was_there_however_much_comes_after_it() {
    let mut b = Bench::new();
    let empty = b.socket.rx_mark();
    assert!(b.socket.rx_passed(empty));
    // Rings wrap: 64 entries, and indices go on.
    for _ in 0..20 {
        for _ in 0..10 {
            assert!(b.kernel.deliver(b"", b"before"));
        }
        let mark = b.socket.rx_mark();
        for _ in 0..40 {
            assert!(b.kernel.deliver(b"", b"after"));
        }
        let mut taken = 0;
        while taken < 50 {
            assert_eq!(b.socket.rx_passed(mark), taken >= 10, "{taken}");
            let mut burst = Burst::new();
            // Leaves room for five packets.
            while burst.room() > 5 {
                let filler = b.packet(60);
                assert!(burst.push(filler).is_ok());
            }
            taken += b.socket.receive(&mut burst);
            burst.clear_into(&mut b.mag);
        }
        assert!(b.socket.rx_passed(mark));
        b.socket.refill(&mut b.mag);
    }
    b.finish();
}

/// The UMEM address of a frame's packet.
fn address(frame: &Frame) -> u64 {
    u64::from(frame.index()) * 2048 + frame.start() as u64
}

#[test]
fn packets_arrive_with_their_metadata_and_leave_with_a_pushed_header() {
    let mut b = Bench::new();
    assert_eq!(b.socket.mode(), Mode::Memory);
    assert!(b.kernel.deliver(b"META", b"some packet of 26 bytes..."));
    let mut burst = b.receive();
    assert_eq!(burst.len(), 1);
    let frame = &mut burst.as_mut_slice()[0];
    assert_eq!((frame.start(), frame.len()), (256, 26));
    let start = frame.start();
    let chunk = b.region.chunk_mut(frame);
    assert_eq!(&chunk[start - 4..start], b"META");
    chunk[start - 8..start].copy_from_slice(b"[HEADER]");
    frame.set_extent(start - 8, 8 + 26);

    assert_eq!(b.socket.send(&mut burst), 1);
    let mut seen = Vec::new();
    assert_eq!(b.kernel.transmit(|p| seen.push(p.to_vec())), 1);
    assert_eq!(seen, [b"[HEADER]some packet of 26 bytes...".to_vec()]);
    assert_eq!(b.socket.suspects().in_flight, 1);
    assert_eq!(b.kernel.complete(), 1);
    assert_eq!(b.socket.reclaim(&mut b.mag), 1);
    assert_eq!(b.socket.suspects(), SocketSuspects::default());
    assert_eq!(
        b.finish(),
        Closed {
            fill: 63,
            ..Closed::default()
        }
    );
}

#[test]
fn a_frame_moves_between_sockets_of_one_region() {
    let mut b = Bench::new();
    let (mut other, mut other_kernel) = Socket::in_memory(&b.region, RINGS, &mut b.mag);
    b.kernel.deliver(&[], b"from one socket to another");
    let mut burst = b.receive();
    assert_eq!(other.send(&mut burst), 1);
    let mut seen = Vec::new();
    other_kernel.transmit(|p| seen.push(p.to_vec()));
    assert_eq!(seen, [b"from one socket to another".to_vec()]);
    other_kernel.complete();
    assert_eq!(b.socket.reclaim(&mut b.mag), 0);
    assert_eq!(other.reclaim(&mut b.mag), 1);
    other.close(&mut b.mag);
    b.finish();
}

#[test]
fn the_fill_ring_starves_and_recovers() {
    let mut b = Bench::new();
    assert_eq!(b.kernel.fill_level(), 64);
    let delivered = (0..100u8)
        .filter(|i| b.kernel.deliver(&[], &[*i; 60]))
        .count();
    assert_eq!(delivered, 64, "no more than chunks were lent");
    let mut burst = b.receive();
    assert_eq!(burst.len(), 64);
    let order: Vec<u8> = burst
        .as_slice()
        .iter()
        .map(|f| b.region.chunk(f)[f.start()])
        .collect();
    assert_eq!(order, (0..64).collect::<Vec<u8>>());
    assert_eq!(b.socket.refill(&mut b.mag), 64);
    assert!(b.kernel.deliver(&[], &[7; 60]));
    assert_eq!(
        b.socket.refill(&mut b.mag),
        0,
        "one missing chunk is not worth a refill"
    );
    burst.clear_into(&mut b.mag);
    b.finish();
}

#[test]
fn a_full_tx_ring_leaves_the_rest_with_the_caller() {
    let mut b = Bench::new();
    let mut burst = Burst::new();
    for i in 0..40 {
        let mut frame = b.packet(60);
        b.region.chunk_mut(&mut frame)[PACKET_START] = i;
        burst.push(frame).unwrap();
    }
    assert_eq!(b.socket.send(&mut burst), 32);
    assert_eq!((burst.len(), b.socket.pending()), (8, 32));
    let mut seen = Vec::new();
    b.kernel.transmit(|p| seen.push(p[0]));
    assert_eq!(b.socket.pending(), 0);
    assert_eq!(b.socket.send(&mut burst), 8);
    assert_eq!(
        b.kernel.transmit(|p| seen.push(p[0])),
        0,
        "the completion ring is spoken for"
    );
    b.kernel.complete();
    assert_eq!(b.kernel.transmit(|p| seen.push(p[0])), 0, "and still full");
    assert_eq!(b.socket.reclaim(&mut b.mag), 32);
    assert_eq!(b.kernel.transmit(|p| seen.push(p[0])), 8);
    assert_eq!(seen, (0..40).collect::<Vec<u8>>());
    assert_eq!(
        b.finish(),
        Closed {
            fill: 64,
            tx: 8,
            kept: 0
        }
    );
}

#[test]
fn forged_completions_are_counted_and_free_nothing() {
    let mut b = Bench::new();
    let held = b.packet(60);
    let sent = b.packet(60);
    let sent_at = address(&sent);
    let mut burst = Burst::new();
    burst.push(sent).unwrap();
    b.socket.send(&mut burst);
    b.kernel.transmit(|_| ());
    b.kernel.complete();
    let before = b.region.ledger();

    b.kernel.forge_completion(0); // lent for receiving, as chunk 0 is
    b.kernel.forge_completion(address(&held));
    b.kernel.forge_completion(u64::from(CHUNKS) * 2048);
    b.kernel.forge_completion(u64::MAX);
    b.kernel.forge_completion(sent_at); // the second time
    assert_eq!(b.socket.reclaim(&mut b.mag), 1);
    assert_eq!(b.socket.suspects().completions, 5);
    let after = b.region.ledger();
    assert_eq!(
        (after.tx, after.held, after.fill),
        (0, before.held, before.fill)
    );
    b.mag.free(held);
    b.finish();
}

#[test]
fn a_lost_completion_shows_and_comes_back_when_closed() {
    let mut b = Bench::new();
    let mut burst = Burst::new();
    burst.push(b.packet(60)).unwrap();
    b.socket.send(&mut burst);
    b.kernel.transmit(|_| ());
    b.kernel.forge_completion(u64::MAX);
    assert_eq!(b.socket.reclaim(&mut b.mag), 0);
    assert_eq!(b.socket.suspects().in_flight, 1);
    assert_eq!(
        b.finish(),
        Closed {
            fill: 64,
            tx: 1,
            kept: 0
        }
    );
}

#[test]
fn forged_receptions_are_counted_and_make_no_frame() {
    let mut b = Bench::new();
    let held = b.packet(60);
    let lent = 5 * 2048 + 256;
    b.kernel.forge_receive(address(&held), 60, 0);
    b.kernel
        .forge_receive(u64::from(CHUNKS) * 2048 + 256, 60, 0);
    b.kernel.forge_receive(u64::MAX, 60, 0);
    b.kernel.forge_receive(lent, 2048 - 256 + 1, 0); // runs into the next chunk
    b.kernel.forge_receive(lent, u32::MAX, 0);
    b.kernel.forge_receive(lent, 60, 1); // goes on in another descriptor
    assert!(b.receive().is_empty());
    let expected = SocketSuspects {
        received: 5,
        fragments: 1,
        ..SocketSuspects::default()
    };
    assert_eq!(b.socket.suspects(), expected);
    assert!(b.kernel.deliver(&[], &[1; 60]), "the socket goes on");
    let mut burst = b.receive();
    assert_eq!(burst.len(), 1);
    burst.clear_into(&mut b.mag);
    b.mag.free(held);
    b.finish();
}

#[test]
fn one_address_received_twice_makes_one_frame() {
    let mut b = Bench::new();
    b.kernel.deliver(&[], &[1; 60]);
    let mut burst = b.receive();
    b.kernel.forge_receive(address(&burst.as_slice()[0]), 60, 0);
    assert!(b.receive().is_empty());
    assert_eq!(b.socket.suspects().received, 1);
    burst.clear_into(&mut b.mag);
    b.finish();
}

#[test]
fn runts_are_freed_and_the_others_keep_their_order() {
    let mut b = Bench::new();
    let mut burst = Burst::new();
    for len in [60, 0, 13, 14, 61] {
        burst.push(b.packet(len)).unwrap();
    }
    assert_eq!(b.socket.send(&mut burst), 5);
    assert!(burst.is_empty());
    let mut seen = Vec::new();
    b.kernel.transmit(|p| seen.push(p.len()));
    assert_eq!(seen, [60, 14, 61]);
    assert_eq!(b.socket.suspects().runts, 2);
    b.finish();
}

#[test]
fn a_closed_socket_takes_back_what_its_kernel_holds() {
    let b = Bench::new();
    let Bench {
        region,
        mut mag,
        socket,
        mut kernel,
    } = b;
    kernel.deliver(&[], &[1; 60]);
    assert_eq!(
        socket.close(&mut mag),
        Closed {
            fill: 64,
            ..Closed::default()
        }
    );
    assert!(
        !kernel.deliver(&[], &[1; 60]),
        "the chunks are no longer the kernel's"
    );
    assert_eq!(kernel.transmit(|_| ()), 0);
    drop(mag);
    assert_eq!(region.ledger().depot, CHUNKS);
}

#[test]
#[should_panic(expected = "magazine of another region")]
fn a_magazine_of_another_region_is_refused() {
    let mut b = Bench::new();
    b.socket.reclaim(&mut Bench::new().mag);
}

#[test]
#[should_panic(expected = "frame of another region")]
fn a_frame_of_another_region_cannot_be_sent() {
    let mut b = Bench::new();
    let mut burst = Burst::new();
    burst.push(Bench::new().packet(60)).unwrap();
    b.socket.send(&mut burst);
}

#[test]
#[should_panic(expected = "frame of another region")]
fn a_frame_of_another_region_cannot_be_read() {
    let frame = Bench::new().packet(60);
    let _ = Bench::new().region.chunk(&frame);
}
