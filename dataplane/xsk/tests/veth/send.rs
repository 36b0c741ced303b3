//! Sending.

use tp_xsk::{Closed, Flushed, Socket};

use super::lab::{Lab, RINGS, config, lab, wait};
use super::wire::{Wire, frame};

/// Puts frames `from..to` into the TX ring.
fn enqueue(lab: &mut Lab, socket: &mut Socket, from: u32, to: u32) {
    let mut next = from;
    while next < to {
        let end = to.min(next + 64);
        let mut burst = lab.burst((next..end).map(|i| frame(i, 60)));
        assert_eq!(socket.send(&mut burst), (end - next) as usize);
        next = end;
    }
}

fn expect(wire: &Wire, from: u32, to: u32) {
    let got = wire.receive_all((to - from) as usize);
    assert!(
        got == (from..to).map(|i| frame(i, 60)).collect::<Vec<_>>(),
        "in order and whole"
    );
}

#[test]
fn a_flush_sends_more_than_the_kernel_takes_in_a_call() {
    lab("budget", |lab| {
        let a = lab.pair("a", 1, 1);
        let wire = lab.wire("a1");
        let mut socket = lab.open(a, 0);
        for lowered in [false, true] {
            if lowered {
                lower_budget(&socket);
            }
            enqueue(lab, &mut socket, 0, 200);
            assert_eq!(socket.pending(), 200);
            assert_eq!(
                socket.flush(),
                Flushed {
                    consumed: 200,
                    ..Flushed::default()
                }
            );
            assert_eq!(socket.pending(), 0);
            expect(&wire, 0, 200);
            lab.settle(&mut socket);
        }
        assert_eq!(socket.suspects(), tp_xsk::SocketSuspects::default());
        socket.close(&mut lab.mag);
    });
}

/// Back to the kernel's default, 32 a call.
#[allow(unsafe_code, reason = "the option has no safe wrapper")]
fn lower_budget(socket: &Socket) {
    use std::os::fd::AsRawFd;
    let budget: u32 = 32;
    let fd = socket.as_fd().expect("a socket of the kernel").as_raw_fd();
    // SAFETY: the option (XDP_MAX_TX_SKB_BUDGET, 9) reads one u32, which lives across the call.
    let set = unsafe { libc::setsockopt(fd, libc::SOL_XDP, 9, (&raw const budget).cast(), 4) };
    assert_eq!(
        set,
        0,
        "Linux 6.17 or newer: {}",
        std::io::Error::last_os_error()
    );
}

#[test]
fn a_full_completion_ring_stops_sending_until_it_is_emptied() {
    lab("compl", |lab| {
        let a = lab.pair("a", 1, 1);
        let wire = lab.wire("a1");
        let mut socket = lab.open(a, 0);
        enqueue(lab, &mut socket, 0, RINGS.tx);
        assert_eq!(socket.flush().consumed, RINGS.tx);
        // Its completions are not taken: the ring, as large as the TX ring, is spoken for.
        enqueue(lab, &mut socket, RINGS.tx, RINGS.tx + 100);
        assert_eq!(socket.flush(), Flushed::default());
        assert_eq!(socket.pending(), 100);
        expect(&wire, 0, RINGS.tx);

        lab.settle(&mut socket);
        assert_eq!(socket.flush().consumed, 100);
        expect(&wire, RINGS.tx, RINGS.tx + 100);
        lab.settle(&mut socket);
        assert_eq!(lab.region.ledger().tx, 0);
        socket.close(&mut lab.mag);
    });
}

#[test]
fn what_the_device_drops_is_consumed_completed_and_counted() {
    lab("busy", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut socket = lab.open(a, 0);
        // Without a carrier `__dev_direct_xmit` drops.
        lab.far("link set a1 down");
        enqueue(lab, &mut socket, 0, 20);
        let flushed = socket.flush();
        assert_eq!(
            flushed,
            Flushed {
                consumed: 20,
                busy: 20,
                down: false
            }
        );
        lab.settle(&mut socket);
        assert_eq!(lab.region.ledger().tx, 0, "dropped frames come back too");
        socket.close(&mut lab.mag);
    });
}

#[test]
fn an_invalid_descriptor_is_skipped_and_its_chunk_comes_back() {
    lab("invalid", |lab| {
        let a = lab.pair("a", 1, 1);
        let wire = lab.wire("a1");
        let mut socket = lab.open(a, 0);
        enqueue(lab, &mut socket, 0, 5);
        // The API cannot make such descriptors: a second mapping of the ring does.
        spoil(&socket, 1);
        spoil(&socket, 4);
        let flushed = socket.flush();
        assert_eq!(
            flushed,
            Flushed {
                consumed: 5,
                ..Flushed::default()
            }
        );
        let expected: Vec<_> = [0, 2, 3].map(|i| frame(i, 60)).into();
        assert!(wire.receive_all(3) == expected);
        assert_eq!(socket.statistics().expect("statistics").tx_invalid_descs, 2);

        wait("the others' completions", || {
            socket.reclaim(&mut lab.mag);
            lab.region.ledger().tx <= 2
        });
        // Linux 6.18.0 keeps the chunks of refused descriptors, 6.18.44 completes them.
        let lost = socket.suspects().in_flight;
        assert!(lost == 0 || lost == 2, "{lost} lost");
        assert_eq!(socket.suspects().completions, 0);
        assert_eq!(
            socket.close(&mut lab.mag),
            Closed {
                fill: RINGS.fill,
                tx: lost,
                kept: 0
            }
        );
    });
}

/// Makes the descriptor in a slot of the TX ring one that runs past its chunk.
#[allow(unsafe_code, reason = "writes behind the back of the crate under test")]
fn spoil(socket: &Socket, slot: usize) {
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    use rustix::net::{sockopt, xdp};
    let fd = socket.as_fd().expect("a socket of the kernel");
    let entries = sockopt::xdp_mmap_offsets(fd).expect("offsets").tx.desc;
    let entries = usize::try_from(entries).expect("small");
    // `struct xdp_desc` is 16 bytes long; the length is at 8.
    let (len, at) = (entries + 16 * RINGS.tx as usize, entries + 16 * slot + 8);
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    let (anywhere, page) = (core::ptr::null_mut(), xdp::XDP_PGOFF_TX_RING);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let ring = unsafe { mmap(anywhere, len, prot, flags, fd, page) }.expect("the TX ring");
    // SAFETY: the descriptor's length lies in the mapping.
    let field = unsafe { ring.cast::<u8>().add(at) }.cast::<u32>();
    // SAFETY: aligned, and the kernel reads it only in a flush, which is not running.
    unsafe { field.write_volatile(2049) };
    // SAFETY: the mapping made above, which nothing refers to any more.
    unsafe { munmap(ring, len) }.expect("munmap");
}

#[test]
fn a_port_that_is_down_is_reported_and_sends_when_it_is_up() {
    lab("down", |lab| {
        let a = lab.pair("a", 1, 1);
        let wire = lab.wire("a1");
        let mut socket = lab.open(a, 0);
        assert_eq!(socket.port_state(), tp_xsk::PortState::Up);
        lab.portal("link set a0 down");
        assert_eq!(socket.port_state(), tp_xsk::PortState::Down);
        enqueue(lab, &mut socket, 0, 10);
        assert_eq!(
            socket.flush(),
            Flushed {
                consumed: 0,
                busy: 0,
                down: true
            }
        );
        assert_eq!(socket.pending(), 10);
        lab.portal("link set a0 up");
        wait("the carrier", || {
            // Frames sent before the carrier is back are dropped by the device.
            socket.port_state() == tp_xsk::PortState::Up
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(
            socket.flush(),
            Flushed {
                consumed: 10,
                ..Flushed::default()
            }
        );
        expect(&wire, 0, 10);
        lab.settle(&mut socket);
        socket.close(&mut lab.mag);
    });
}

#[test]
fn frames_that_were_never_flushed_come_back_when_closed() {
    lab("unflushed", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut config = config(a, 0);
        config.rings.tx = 32;
        config.rings.completion = 32;
        let mut socket = lab.try_open(&config).expect("a socket");
        let mut burst = lab.burst((0..50).map(|i| frame(i, 60)));
        assert_eq!(socket.send(&mut burst), 32);
        assert_eq!(burst.len(), 18, "what does not fit stays");
        burst.clear_into(&mut lab.mag);
        assert_eq!(
            socket.close(&mut lab.mag),
            Closed {
                fill: 256,
                tx: 32,
                kept: 0
            }
        );
    });
}
