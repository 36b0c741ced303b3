//! May it have this source?

use tp_pipeline::DropReason::{ForgedSource, MartianDestination, MartianSource};

use crate::bed::{Bed, C0, C1, CLIENT_PORT, UPSTREAM_PORT, WORLD};
use crate::packets::{Arrival, Inner};

/// First and last address of each block that no host has.
const MARTIANS: [[u8; 4]; 8] = [
    [0, 0, 0, 0],
    [0, 255, 255, 255],
    [127, 0, 0, 0],
    [127, 255, 255, 255],
    [224, 0, 0, 0],
    [239, 255, 255, 255],
    [240, 0, 0, 0],
    [255, 255, 255, 255],
];

fn from_client(source: [u8; 4], destination: [u8; 4]) -> Arrival {
    Arrival::ipip(1, &Inner::new(source, destination).bytes())
}

fn from_upstream(source: [u8; 4], destination: [u8; 4]) -> Arrival {
    Arrival::from_upstream(0, &Inner::new(source, destination).bytes())
}

#[test]
fn a_source_of_another_client_is_forged() {
    Bed::new().drops_as(ForgedSource, &from_client(C0, WORLD));
}

#[test]
fn a_source_that_nobody_owns_is_forged() {
    let mut bed = Bed::new();
    for source in [WORLD, [10, 3, 0, 0], [10, 0, 255, 255], [0, 0, 0, 0]] {
        bed.drops_as(ForgedSource, &from_client(source, C0));
    }
}

#[test]
fn the_first_and_the_last_address_of_a_clients_prefix_are_its_own() {
    let mut bed = Bed::new();
    for source in [[10, 2, 0, 0], [10, 2, 255, 255]] {
        bed.send(&from_client(source, WORLD))
            .leaves_by(UPSTREAM_PORT);
    }
}

#[test]
fn a_tunnel_sends_to_no_martian_destination() {
    let mut bed = Bed::new();
    for destination in MARTIANS {
        bed.drops_as(MartianDestination, &from_client(C1, destination));
        // The source is judged first.
        bed.drops_as(ForgedSource, &from_client(C0, destination));
    }
}

#[test]
fn an_upstream_sends_from_no_martian_source() {
    let mut bed = Bed::new();
    for source in MARTIANS {
        bed.drops_as(MartianSource, &from_upstream(source, C0));
    }
    for source in [
        [1, 0, 0, 0],
        [126, 255, 255, 255],
        [128, 0, 0, 0],
        [223, 255, 255, 255],
    ] {
        bed.send(&from_upstream(source, C0)).leaves_by(CLIENT_PORT);
    }
}

#[test]
fn an_upstream_may_send_from_any_clients_address() {
    // Client 1 may be reached through another provider.
    Bed::new()
        .send(&from_upstream(C1, C0))
        .leaves_by(CLIENT_PORT);
}

#[test]
fn owners_are_those_of_the_packets_own_tables() {
    let mut bed = Bed::new();
    let mut old = crate::bed::tables();
    old.tunnels[1].as_mut().unwrap().tag = tp_pipeline::Tag(5);
    old.owners = Default::default();
    bed.retiring = Some(old);
    let burst = [
        from_client(C1, WORLD),
        from_client(C1, WORLD).with_meta(|m| m.tag = 5),
    ];
    let seen = bed.burst(&[&burst[..], &burst[..]].concat());
    for pair in seen.chunks(2) {
        pair[0].leaves_by(UPSTREAM_PORT);
        assert_eq!(pair[1].verdict, tp_pipeline::Verdict::Drop(ForgedSource));
    }
}
