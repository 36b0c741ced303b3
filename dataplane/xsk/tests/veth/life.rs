//! Sockets come and go, and so do ports.

use std::time::{Duration, Instant};

use tp_xsk::{BindMode, Flushed, Mode, OpenError, PortState, Region, Socket};

use super::lab::{config, lab, wait};
use super::steering::Steering;
use super::wire::frame;

#[test]
fn a_queue_is_bound_again_as_soon_as_it_is_closed() {
    lab("rebind", |lab| {
        let a = lab.pair("a", 1, 1);
        let steering = Steering::attach(a);
        let wire = lab.wire("a1");
        for i in 0..10 {
            let mut socket = lab.open(a, 0);
            steering.point_to(&socket);
            wire.send(&frame(i, 60));
            assert_eq!(lab.receive(&mut socket, 1)[0].1, frame(i, 60));
            let mut burst = lab.burst(std::iter::once(frame(i, 60)));
            socket.send(&mut burst);
            assert_eq!(socket.flush().consumed, 1);
            assert_eq!(wire.receive(), Some(frame(i, 60)));
            assert_eq!(socket.close(&mut lab.mag).tx, 0);
        }
    });
}

#[test]
fn a_queue_taken_by_another_region_is_waited_for_and_then_refused() {
    lab("taken", |lab| {
        let a = lab.pair("a", 1, 1);
        let holder = lab.open(a, 0);
        let other = tp_xsk::RegionConfig {
            chunks: 512,
            chunk_size: tp_xsk::ChunkSize::B2048,
            pages: tp_xsk::Pages::Never,
        };
        let other = Region::new(&other).expect("1 MiB of memory");
        let mut mag = other.depot().magazine();
        let started = Instant::now();
        let refused = Socket::open(&other, &config(a, 0), &mut mag).map(drop);
        assert!(matches!(refused, Err(OpenError::Busy)), "{refused:?}");
        assert!(started.elapsed() >= Duration::from_secs(3));
        drop(mag);
        assert_eq!(other.ledger().depot, 512, "a refused socket keeps nothing");
        holder.close(&mut lab.mag);
    });
}

#[test]
fn a_queue_taken_by_the_same_region_is_refused_too() {
    lab("twice", |lab| {
        let (a, b) = (lab.pair("a", 1, 1), lab.pair("b", 1, 1));
        let sockets = [lab.open(a, 0), lab.open(b, 0)];
        let before = lab.region.ledger().fill;
        for taken in [a, b] {
            let refused = lab.try_open(&config(taken, 0)).map(drop);
            assert!(matches!(refused, Err(OpenError::Busy)), "{refused:?}");
        }
        assert_eq!(lab.region.ledger().fill, before);
        drop(sockets);
    });
}

#[test]
fn a_queue_needs_both_halves() {
    lab("halves", |lab| {
        let a = lab.pair("a", 2, 1);
        for (queue, exists) in [(0, true), (1, false), (2, false)] {
            let opened = lab.try_open(&config(a, queue)).map(drop);
            match opened {
                Ok(()) => assert!(exists, "queue {queue}"),
                Err(OpenError::NoQueue {
                    queue: q,
                    rx: 2,
                    tx: 1,
                }) => assert!(!exists && q == queue),
                Err(e) => panic!("queue {queue}: {e:?}"),
            }
        }
    });
}

#[test]
fn zero_copy_falls_back_to_copy_or_is_refused() {
    lab("mode", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut config = config(a, 0);
        config.mode = BindMode::ZeroCopy;
        let refused = lab.try_open(&config).map(drop);
        assert!(
            matches!(refused, Err(OpenError::ZeroCopy(_))),
            "{refused:?}"
        );

        config.mode = BindMode::Auto;
        let socket = lab.try_open(&config).expect("copy mode");
        assert_eq!(socket.mode(), Mode::Copy);
        let why = socket.zero_copy_refused().expect("a reason").raw_os_error();
        assert_eq!(why, Some(libc::EOPNOTSUPP));
        socket.close(&mut lab.mag);

        config.generic_xdp = true;
        let socket = lab.try_open(&config).expect("copy mode");
        assert!(socket.zero_copy_refused().is_none(), "it was not asked");
        drop(socket);
        config.mode = BindMode::ZeroCopy;
        let refused = lab.try_open(&config).map(drop);
        assert!(
            matches!(refused, Err(OpenError::GenericZeroCopy)),
            "{refused:?}"
        );
    });
}

#[test]
fn the_memory_outlives_the_socket_that_registered_it() {
    lab("umem", |lab| {
        let (a, b) = (lab.pair("a", 1, 1), lab.pair("b", 1, 1));
        let first = lab.open(a, 0);
        let mut second = lab.open(b, 0);
        let to_second = Steering::attach(b);
        to_second.point_to(&second);
        first.close(&mut lab.mag);
        let wire = lab.wire("b1");
        wire.send(&frame(1, 60));
        assert_eq!(lab.receive(&mut second, 1)[0].1, frame(1, 60));

        // The third shares with the second, which never registered anything.
        let mut third = lab.open(a, 0);
        Steering::attach(a).point_to(&third);
        let wire = lab.wire("a1");
        wire.send(&frame(2, 60));
        assert_eq!(lab.receive(&mut third, 1)[0].1, frame(2, 60));
        second.close(&mut lab.mag);
        third.close(&mut lab.mag);
    });
}

#[test]
fn a_port_vanishes_and_returns() {
    lab("vanish", |lab| {
        // The socket on the port that vanishes is the one that registered the memory.
        let (a, b) = (lab.pair("a", 1, 1), lab.pair("b", 1, 1));
        let mut lost = lab.open(a, 0);
        let mut kept = lab.open(b, 0);
        Steering::attach(b).point_to(&kept);
        let wire_b = lab.wire("b1");
        Steering::attach(a).point_to(&lost);
        lab.wire("a1").send(&frame(1, 60));

        lab.portal("link del a0");
        wait("the kernel's word", || lost.port_state() == PortState::Gone);
        let mut burst = lab.burst((0..5).map(|i| frame(i, 60)));
        assert_eq!(lost.send(&mut burst), 5);
        assert_eq!(
            lost.flush(),
            Flushed {
                consumed: 0,
                busy: 0,
                down: true
            }
        );
        assert_eq!(kept.port_state(), PortState::Up);
        wire_b.send(&frame(2, 60));
        assert_eq!(lab.receive(&mut kept, 1)[0].1, frame(2, 60));

        // The name is back; while the old socket is open, too, a new one can be opened.
        let a = lab.pair("a", 1, 1);
        let mut found = lab.open(a, 0);
        let closed = lost.close(&mut lab.mag);
        assert_eq!((closed.fill, closed.tx, closed.kept), (256, 5, 0));
        Steering::attach(a).point_to(&found);
        let wire_a = lab.wire("a1");
        wire_a.send(&frame(3, 60));
        assert_eq!(lab.receive(&mut found, 1)[0].1, frame(3, 60));
        kept.close(&mut lab.mag);
        found.close(&mut lab.mag);
    });
}

#[test]
fn a_dropped_socket_gives_everything_back() {
    lab("dropped", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut socket = lab.open(a, 0);
        let mut burst = lab.burst((0..5).map(|i| frame(i, 60)));
        socket.send(&mut burst);
        assert_eq!(lab.region.ledger().tx, 5);
        drop(socket);
        let ledger = lab.region.ledger();
        assert_eq!((ledger.fill, ledger.tx, ledger.held), (0, 0, 0));
    });
}

#[test]
fn a_device_that_does_not_exist_is_named_as_the_cause() {
    lab("nodev", |lab| {
        let refused = lab.try_open(&config(9999, 0)).map(drop);
        assert!(
            matches!(
                refused,
                Err(OpenError::System {
                    call: "SIOCGIFNAME",
                    ..
                })
            ),
            "{refused:?}"
        );
    });
}
