//! A worker on sockets in memory: the counters close, snapshots are picked up at burst boundaries, draining is
//! seen, and nothing is allocated for a packet.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tp_pipeline::{DropReason, PortId, Snapshot, Tag};
use tp_worker::{Activity, Fleet, FleetConfig};
use tp_xsk::KernelSide;
use world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_packet_from_the_upstream_leaves_in_the_tunnel() {
    let mut world = World::new();
    assert!(world.deliver_from_upstream(1));
    assert_eq!(world.worker.turn(), Activity::Busy);
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    let parsed = etherparse::SlicedPacket::from_ethernet(&sent[0]).unwrap();
    let Some(etherparse::NetSlice::Ipv4(outer)) = parsed.net else {
        panic!("no IPv4: {parsed:?}")
    };
    assert_eq!(outer.header().source_addr(), world::PORTAL);
    assert_eq!(outer.header().destination_addr(), world::FAR_END);
    assert_eq!(outer.header().protocol(), etherparse::IpNumber::GRE);
    // The worker sees that the device took it when it looks again.
    world.worker.turn();
    world.assert_closed(1);
}

#[test]
fn counters_close_whatever_becomes_of_the_packets() {
    let mut world = World::new();
    for tag in [1, 1, 7, 1] {
        // Tag 7 was never allocated.
        assert!(world.deliver_from_upstream(tag));
    }
    while world.worker.turn() == Activity::Busy {
        world.sent();
    }
    world.worker.turn();
    assert_eq!(world.counters.dropped(DropReason::StaleIngress), 1);
    assert_eq!(world.counters.tx(), 3);
    world.assert_closed(4);
}

#[test]
fn a_full_transmit_ring_drops_and_counts() {
    let mut world = World::new();
    let offered = 3 * u64::from(world::RING);
    let mut delivered = 0;
    while delivered < offered {
        delivered += u64::from(world.deliver_from_upstream(1));
        world.worker.turn();
    }
    assert!(world.counters.dropped(DropReason::TxRingFull) > 0);
    while !world.sent().is_empty() {
        world.worker.turn();
    }
    world.worker.turn();
    assert_eq!(world.counters.tx(), u64::from(world::RING));
    world.assert_closed(delivered);
}

#[test]
fn a_turn_allocates_nothing() {
    let mut world = World::new();
    // The first turns may size what lives as long as the worker.
    world.deliver_from_upstream(1);
    world.worker.turn();
    world.sent();
    world.worker.turn();
    let mut seen = 0;
    for burst in 0..64 {
        for packet in 0..64 {
            // Forwarded, stale and malformed packets in turn.
            assert!(world.deliver_from_upstream(if packet % 3 == 0 { 9 } else { 1 }));
        }
        let allocated =
            allocation_counter::measure(|| while world.worker.turn() == Activity::Busy {});
        assert_eq!(allocated.count_total, 0, "burst {burst}");
        seen += world.sent().len();
        world.worker.turn();
    }
    assert_eq!(seen, 64 * 42);
}

#[test]
fn submissions_leave_and_are_counted_as_originated() {
    let mut world = World::new();
    let mut magazine = world.region.depot().magazine();
    let mut frame = magazine.alloc().unwrap();
    frame.set_extent(256, 60);
    let inlet = world.worker.inlet();
    assert!(inlet.submit(world::CLIENT_PORT, frame).is_ok());
    let mut frame = magazine.alloc().unwrap();
    frame.set_extent(256, 60);
    // No socket of this worker serves that port.
    assert!(inlet.submit(PortId(9), frame).is_ok());
    world.worker.turn();
    assert_eq!(world.sent().len(), 1);
    world.worker.turn();
    assert_eq!(world.counters.originated(), 2);
    assert_eq!(world.counters.dropped(DropReason::NoPort), 1);
    world.assert_closed(0);
}

#[test]
fn punted_packets_reach_the_queue() {
    let mut world = World::new();
    world.route_to_kernel();
    let punts = world.worker.punts();
    world.punt_bell.arm();
    assert!(world.deliver_from_upstream(1));
    world.worker.turn();
    assert_eq!(world.counters.punted(), 1);
    let rang = rustix::io::read(&*world.punt_bell, &mut [0; 8]).is_ok();
    assert!(rang, "whoever takes punts may sleep");
    let punted = punts.pop().expect("one packet");
    // By whichever link it came, it says so.
    assert_eq!(punted.meta, world::meta(1));
    world.region.depot().magazine().free(punted.frame);
    world.assert_closed(1);
}

#[test]
fn a_submission_wakes_a_worker_that_sleeps() {
    let world = World::new();
    let fleet = fleet(&world, false);
    let ends = fleet.slow_ends();
    let mut magazine = world.region.depot().magazine();
    for sent in 1..=5 {
        // It falls asleep within microseconds, and sleeps for half a second if nobody wakes it.
        std::thread::sleep(Duration::from_millis(20));
        let mut frame = magazine.alloc().unwrap();
        frame.set_extent(256, 60);
        assert!(ends.submit(0, PortId(9), frame).is_ok());
        let start = Instant::now();
        while world.counters.originated() < sent {
            assert!(start.elapsed() < Duration::from_millis(400), "slept on");
            std::thread::yield_now();
        }
    }
    drop(fleet);
    // Nobody takes them any more: the queue fills, and no frame is lost.
    let frames = std::iter::from_fn(|| magazine.alloc());
    let refused = frames
        .take(2000)
        .filter_map(|frame| ends.submit(0, PortId(9), frame).err());
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), 2000 - 1024);
    refused.into_iter().for_each(|f| magazine.free(f));
}

fn fleet(world: &World, busy_poll: bool) -> Fleet {
    Fleet::start(FleetConfig {
        cpus: vec![0],
        busy_poll,
        region: world.region.clone(),
        meters: Arc::clone(&world.meters),
        counters: vec![Arc::clone(&world.counters)],
        snapshot: Snapshot {
            current: Arc::clone(&world.tables),
            retiring: None,
        },
    })
    .expect("a worker on CPU 0")
}

#[test]
fn a_fleet_publishes_waits_and_frees_on_the_publishers_side() {
    let world = World::new();
    let old = Arc::clone(&world.tables);
    let fleet = fleet(&world, false);
    let mut next = (*old).clone();
    next.upstreams[0].as_mut().unwrap().tag = Tag(2);
    let next = Arc::new(next);
    let holders = Arc::strong_count(&old);
    let both = Snapshot {
        current: Arc::clone(&next),
        retiring: Some(Arc::clone(&old)),
    };
    fleet.wait_seen(fleet.publish(both), SECOND).unwrap();
    // The first snapshot is freed, the second one holds the tables as retiring.
    assert_eq!(Arc::strong_count(&old), holders);
    fleet.wait_drained(fleet.mark(), SECOND).unwrap();
    let alone = Snapshot {
        current: next,
        retiring: None,
    };
    fleet.wait_seen(fleet.publish(alone), SECOND).unwrap();
    assert_eq!(Arc::strong_count(&old), holders - 1);
}

#[test]
fn a_fleet_hands_sockets_over_and_takes_them_back() {
    let mut world = World::new();
    let (socket, mut kernel) = world.socket();
    let mut magazine = world.region.depot().magazine();
    let fleet = fleet(&world, true);
    fleet.attach(0, world::UPSTREAM_PORT, socket).unwrap();
    assert_eq!(fleet.report().unwrap()[0].open.len(), 1);
    assert!(kernel.deliver(&world::meta(1).to_bytes(), &world::inner_frame()));
    fleet.wait_drained(fleet.mark(), SECOND).unwrap();
    // It has no socket on the client's port: the packet has nowhere to go.
    assert_eq!(world.counters.dropped(DropReason::NoPort), 1);
    assert_eq!(
        fleet
            .detach(world::UPSTREAM_PORT, &mut magazine)
            .unwrap()
            .len(),
        1
    );
    let report = fleet.report().unwrap().remove(0);
    assert_eq!(
        (report.open.len(), report.closed.len(), report.held),
        (0, 1, 0)
    );
    assert!(fleet.healthy());
}

/// A fleet whose worker does not know the client's neighbour, the kernel's side of both its sockets, and what to
/// publish when the neighbour is known.
fn unresolved(world: &mut World) -> (Fleet, [KernelSide; 2], Snapshot) {
    let fleet = fleet(world, false);
    let (inside, upstream) = world.socket();
    let (outside, client) = world.socket();
    fleet.attach(0, world::UPSTREAM_PORT, inside).unwrap();
    fleet.attach(0, world::CLIENT_PORT, outside).unwrap();
    let mut tables = (*world.tables).clone();
    tables.tunnels[0].as_mut().unwrap().link.egress = None;
    let alone = |current| Snapshot {
        current,
        retiring: None,
    };
    let epoch = fleet.publish(alone(Arc::new(tables)));
    fleet.wait_seen(epoch, SECOND).unwrap();
    let known = alone(Arc::clone(&world.tables));
    (fleet, [upstream, client], known)
}

fn deliver(fleet: &Fleet, upstream: &mut KernelSide, packets: usize) {
    for _ in 0..packets {
        assert!(upstream.deliver(&world::meta(1).to_bytes(), &world::inner_frame()));
    }
    fleet.wait_drained(fleet.mark(), SECOND).unwrap();
}

#[test]
fn packets_wait_for_their_neighbour_and_leave_when_it_is_known() {
    let mut world = World::new();
    let (fleet, [mut upstream, mut client], known) = unresolved(&mut world);
    let unresolved = || world.counters.dropped(DropReason::NeighbourUnresolved);
    deliver(&fleet, &mut upstream, 20);
    // So many find a place towards one link.
    assert_eq!(fleet.report().unwrap()[0].held, 16);
    assert_eq!(unresolved(), 4);
    fleet.wait_seen(fleet.publish(known), SECOND).unwrap();
    let mut sent = Vec::new();
    let start = Instant::now();
    while sent.len() < 16 && start.elapsed() < SECOND {
        client.transmit(|packet| sent.push(packet.to_vec()));
        client.complete();
    }
    assert_eq!(sent.len(), 16);
    assert_eq!(sent[0][..6], [2, 0, 0, 0, 0, 8]);
    assert_eq!(unresolved(), 4);
    drop(fleet);
}

#[test]
fn a_packet_waits_no_longer_than_a_second() {
    let mut world = World::new();
    let (fleet, [mut upstream, _client], known) = unresolved(&mut world);
    let start = Instant::now();
    deliver(&fleet, &mut upstream, 3);
    let unresolved = || world.counters.dropped(DropReason::NeighbourUnresolved);
    while unresolved() < 3 {
        assert!(start.elapsed() < 3 * SECOND, "waits on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() >= SECOND);
    assert_eq!(fleet.report().unwrap()[0].held, 0);
    // And is gone for good.
    fleet.wait_seen(fleet.publish(known), SECOND).unwrap();
    assert_eq!(fleet.report().unwrap()[0].held, 0);
}

#[test]
fn a_worker_that_stops_drops_what_waits() {
    let mut world = World::new();
    let (fleet, [mut upstream, _client], _) = unresolved(&mut world);
    deliver(&fleet, &mut upstream, 2);
    drop(fleet);
    let dropped = world.counters.dropped(DropReason::NeighbourUnresolved);
    assert_eq!((world.counters.rx(), dropped), (2, 2));
}
