//! Receiving.

use tp_xsk::Burst;

use super::lab::{lab, wait};
use super::steering::Steering;
use super::wire::frame;

#[test]
fn packets_arrive_whole_and_in_order_with_their_metadata() {
    lab("whole", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut socket = lab.open(a, 0);
        Steering::attach(a).point_to(&socket);
        let wire = lab.wire("a1");
        let lengths = |i: u32| [60, 61, 127, 128, 590, 1514][i as usize % 6];
        for round in 0..20u32 {
            let numbers = || (0..100).map(|i| round * 100 + i);
            numbers().for_each(|i| wire.send(&frame(i, lengths(i))));
            let got = lab.receive(&mut socket, 100);
            let expected: Vec<_> = numbers()
                .map(|i| (b"META\0\0\0\0".to_vec(), frame(i, lengths(i))))
                .collect();
            assert!(got == expected, "round {round}");
        }
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 0);
        socket.close(&mut lab.mag);
    });
}

#[test]
fn a_starving_fill_ring_drops_counted_and_recovers() {
    lab("starve", |lab| {
        let a = lab.pair("a", 1, 1);
        let mut socket = lab.open(a, 0);
        Steering::attach(a).point_to(&socket);
        let wire = lab.wire("a1");
        // In portions, or veth's own ring of 256 drops first.
        for i in 0..400 {
            wire.send(&frame(i, 60));
        }
        let mut burst = Burst::new();
        let mut received = 0;
        loop {
            let n = socket.receive(&mut burst);
            burst.clear_into(&mut lab.mag);
            received += n;
            if n == 0 {
                break;
            }
        }
        assert_eq!(received, 256, "as many as chunks were lent");
        let s = socket.statistics().expect("statistics");
        assert_eq!((s.rx_dropped, s.rx_ring_full), (400 - 256, 0));
        assert!(s.rx_fill_ring_empty_descs > 0);

        assert_eq!(socket.refill(&mut lab.mag), 256);
        assert!(
            !socket.needs_rx_wakeup(),
            "copy mode asks for chunks itself"
        );
        wire.send(&frame(1000, 60));
        assert_eq!(lab.receive(&mut socket, 1)[0].1, frame(1000, 60));
        socket.close(&mut lab.mag);
    });
}

#[test]
fn a_packet_longer_than_a_chunk_is_dropped_and_counted() {
    lab("long", |lab| {
        let a = lab.pair("a", 1, 1);
        lab.portal("link set a0 mtu 3000");
        lab.far("link set a1 mtu 3000");
        let mut socket = lab.open(a, 0);
        Steering::attach(a).point_to(&socket);
        let wire = lab.wire("a1");
        let longest = lab.region.max_packet();
        wire.send(&frame(1, longest + 1));
        wire.send(&frame(2, longest));
        assert_eq!(lab.receive(&mut socket, 1)[0].1, frame(2, longest));
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 1);
        socket.close(&mut lab.mag);
    });
}

#[test]
fn a_closed_socket_leaves_the_map_and_its_packets_are_dropped() {
    lab("map", |lab| {
        let a = lab.pair("a", 1, 1);
        let socket = lab.open(a, 0);
        let steering = Steering::attach(a);
        steering.point_to(&socket);
        let wire = lab.wire("a1");
        wire.send(&frame(1, 60));
        wait("the packet's chunk", || lab.region.ledger().fill == 256);
        let closed = socket.close(&mut lab.mag);
        assert_eq!(
            (closed.fill, closed.kept),
            (256, 0),
            "the unread packet's chunk included"
        );

        let mut socket = lab.open(a, 0);
        wire.send(&frame(2, 60));
        steering.point_to(&socket);
        wire.send(&frame(3, 60));
        assert_eq!(
            lab.receive(&mut socket, 1)[0].1,
            frame(3, 60),
            "1 and 2 are lost"
        );
        socket.close(&mut lab.mag);
    });
}

#[test]
fn each_queue_has_its_socket() {
    lab("queues", |lab| {
        let a = lab.pair("a", 2, 2);
        let mut near = [lab.open(a, 0), lab.open(a, 1)];
        let steering = Steering::attach(a);
        near.iter().for_each(|s| steering.point_to(s));
        // What is sent on the far end's queue q arrives on ours of the same number. The far
        // sockets are in another namespace and share the memory all the same.
        for queue in [1u8, 0] {
            let mut far = lab.open_far("a1", queue.into());
            let mut burst = lab.burst((0..3).map(|i| frame(i, 60)));
            assert_eq!(far.send(&mut burst), 3);
            assert_eq!(far.flush().consumed, 3);
            let got = lab.receive(&mut near[usize::from(queue)], 3);
            for (i, (meta, packet)) in (0..).zip(got) {
                assert_eq!(meta, [b'M', b'E', b'T', b'A', queue, 0, 0, 0]);
                assert_eq!(packet, frame(i, 60));
            }
            assert_eq!(near[usize::from(1 - queue)].receive(&mut Burst::new()), 0);
            lab.settle(&mut far);
            far.close(&mut lab.mag);
        }
        for socket in near {
            assert_eq!(socket.close(&mut lab.mag).tx, 0);
        }
    });
}
