//! Is it within the rates?

use tp_pipeline::DropReason::{
    ForgedSource, RateFromClient, RateToClient, RateTunnel, TtlExceeded,
};
use tp_pipeline::{ClientSlot, MeterSpec, Meters, Nanos, Rates, TunnelSlot, Verdict};

use crate::bed::{Bed, C0, C1, CLIENT_PORT, UPSTREAM_PORT, WORLD};
use crate::packets::{Arrival, Inner};

/// A bucket of two packets of 60 bytes that fills with one byte a second.
fn two() -> Option<MeterSpec> {
    MeterSpec::new(8, 120)
}

/// A bucket of one.
fn one() -> Option<MeterSpec> {
    MeterSpec::new(8, 60)
}

fn outward() -> Arrival {
    Arrival::ipip(1, &Inner::new(C1, WORLD).bytes())
}

fn inward() -> Arrival {
    Arrival::from_upstream(0, &Inner::new(WORLD, C1).bytes())
}

/// From client 0 to client 1.
fn across() -> Arrival {
    let inner = Inner::new(C0, C1).bytes();
    Arrival::gre(0, &[0x20, 0, 0x08, 0, 0, 0, 0, 7], &inner)
}

#[test]
fn a_client_sends_no_more_than_its_rate() {
    let mut bed = Bed::new();
    bed.client(1).rates.from_client = two();
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.drops_as(RateFromClient, &outward());
    // The other direction has its own bucket.
    bed.send(&inward()).leaves_by(CLIENT_PORT);
    // A byte a second: 60 bytes after 60 seconds, and not a moment earlier.
    bed.now = Nanos(bed.now.0 + 59_999_999_999);
    bed.drops_as(RateFromClient, &outward());
    bed.now = Nanos(bed.now.0 + 1);
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.drops_as(RateFromClient, &outward());
}

#[test]
fn a_client_receives_no_more_than_its_rate() {
    let mut bed = Bed::new();
    bed.client(1).rates.to_client = one();
    bed.send(&inward()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateToClient, &inward());
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
}

#[test]
fn a_tunnel_holds_its_own_rate_in_each_direction() {
    let mut bed = Bed::new();
    bed.tunnel(1).rates = Rates {
        from_client: one(),
        to_client: one(),
    };
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.drops_as(RateTunnel, &outward());
    bed.send(&inward()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateTunnel, &inward());
}

#[test]
fn a_clients_tunnels_share_its_rate() {
    let mut bed = Bed::new();
    bed.client(0).rates.from_client = one();
    let second = Arrival::gre(2, &[0, 0, 0x08, 0], &Inner::new(C0, WORLD).bytes());
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateFromClient, &second);
}

#[test]
fn the_first_meter_that_refuses_gives_the_reason() {
    // Sender's tunnel, sender, receiver's tunnel, receiver: each refuses before those behind it.
    let mut bed = Bed::new();
    bed.client(1).rates.to_client = one();
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateToClient, &across());
    bed.tunnel(1).rates.to_client = MeterSpec::new(8, 59);
    bed.drops_as(RateTunnel, &across());
    bed.client(0).rates.from_client = MeterSpec::new(8, 59);
    bed.drops_as(RateFromClient, &across());
    bed.tunnel(0).rates.from_client = MeterSpec::new(8, 59);
    bed.drops_as(RateTunnel, &across());
}

#[test]
fn client_to_client_is_charged_to_both() {
    let mut bed = Bed::new();
    bed.client(0).rates.from_client = two();
    bed.client(1).rates.to_client = two();
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateFromClient, &across());
    bed.drops_as(RateToClient, &inward());
}

#[test]
fn a_packet_that_one_meter_refuses_is_charged_to_none() {
    let mut bed = Bed::new();
    bed.tunnel(0).rates.from_client = one();
    bed.client(0).rates.from_client = one();
    bed.tunnel(1).rates.to_client = one();
    bed.client(1).rates.to_client = MeterSpec::new(8, 59);
    for _ in 0..10 {
        bed.drops_as(RateToClient, &across());
    }
    bed.client(1).rates.to_client = None;
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateTunnel, &across());
}

#[test]
fn forged_and_dropped_packets_are_charged_to_nobody() {
    let mut bed = Bed::new();
    bed.client(0).rates.from_client = one();
    bed.client(1).rates = Rates {
        from_client: one(),
        to_client: one(),
    };
    for _ in 0..3 {
        bed.drops_as(
            ForgedSource,
            &Arrival::ipip(1, &Inner::new(C0, WORLD).bytes()),
        );
        let old = Inner {
            ttl: 1,
            ..Inner::new(C1, WORLD)
        };
        bed.drops_as(TtlExceeded, &Arrival::ipip(1, &old.bytes()));
    }
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.send(&across()).leaves_by(CLIENT_PORT);
}

#[test]
fn the_charge_is_the_inner_total_length_without_padding_and_outer_headers() {
    let mut bed = Bed::new();
    bed.client(1).rates.to_client = two();
    bed.send(&inward().padded(100)).leaves_by(CLIENT_PORT);
    bed.send(&across()).leaves_by(CLIENT_PORT);
    bed.drops_as(RateToClient, &inward());
}

#[test]
fn a_packet_longer_than_the_bucket_is_deep_never_passes() {
    let mut bed = Bed::new();
    bed.client(1).rates.from_client = MeterSpec::new(1_000_000_000, 59);
    for _ in 0..3 {
        bed.now = Nanos(bed.now.0 + 1_000_000_000);
        bed.drops_as(RateFromClient, &outward());
    }
}

#[test]
fn a_rate_without_a_meter_lets_nothing_pass() {
    let mut bed = Bed::new();
    bed.meters = Meters::new(0, 0, 0);
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.tunnel(1).rates.to_client = two();
    bed.client(1).rates.from_client = two();
    bed.drops_as(RateFromClient, &outward());
    bed.drops_as(RateTunnel, &inward());
}

#[test]
fn a_slot_that_is_reset_has_full_buckets() {
    let mut bed = Bed::new();
    bed.tunnel(1).rates.from_client = one();
    bed.client(1).rates.from_client = one();
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.meters.reset_client(ClientSlot(1));
    bed.drops_as(RateTunnel, &outward());
    bed.meters.reset_tunnel(TunnelSlot(1));
    bed.send(&outward()).leaves_by(UPSTREAM_PORT);
    bed.meters.reset_client(ClientSlot(99));
    bed.meters.reset_tunnel(TunnelSlot(99));
}

#[test]
fn a_burst_takes_what_there_is_and_no_more() {
    let mut bed = Bed::new();
    bed.client(1).rates.from_client = MeterSpec::new(8, 20 * 60);
    let seen = bed.burst(&vec![outward(); 64]);
    let passed = seen
        .iter()
        .filter(|s| matches!(s.verdict, Verdict::Transmit(_)))
        .count();
    assert_eq!(passed, 20);
    assert_eq!(bed.counters.dropped(RateFromClient), 44);
}
