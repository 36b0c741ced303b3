//! Can it leave that way?

use tp_pipeline::DropReason::{NoHeadroom, NoPort, TooBig, TtlExceeded};
use tp_pipeline::{MeterSpec, Port, Verdict};

use crate::bed::{Bed, C0, C1, CLIENT_PORT, UPSTREAM_PORT, WORLD};
use crate::packets::{Arrival, Inner};

fn outward(inner: Inner) -> Arrival {
    Arrival::ipip(
        1,
        &Inner {
            source: C1,
            destination: WORLD,
            ..inner
        }
        .bytes(),
    )
}

fn inward(slot: u32, inner: Inner) -> Arrival {
    let source = WORLD;
    Arrival::from_upstream(slot, &Inner { source, ..inner }.bytes())
}

fn any() -> Inner {
    Inner::new(WORLD, C0)
}

#[test]
fn a_ttl_of_0_or_1_is_exceeded() {
    let mut bed = Bed::new();
    for ttl in [0, 1] {
        bed.drops_as(TtlExceeded, &outward(Inner { ttl, ..any() }));
        bed.drops_as(TtlExceeded, &inward(0, Inner { ttl, ..any() }));
    }
    let seen = bed.send(&outward(Inner { ttl: 2, ..any() }));
    assert_eq!(seen.leaves_by(UPSTREAM_PORT)[14 + 8], 1);
}

#[track_caller]
fn waits(bed: &mut Bed, arrival: &Arrival) {
    let verdict = bed.send(arrival).verdict;
    assert!(matches!(verdict, Verdict::Hold(_)), "{verdict:?}");
}

#[test]
fn a_packet_waits_for_a_neighbour_that_is_unknown() {
    let mut bed = Bed::new();
    bed.upstream(0).link.egress = None;
    bed.tunnel(0).link.egress = None;
    waits(&mut bed, &outward(any()));
    waits(&mut bed, &inward(0, any()));
    // The TTL is judged first, the length later.
    bed.drops_as(TtlExceeded, &inward(0, Inner { ttl: 1, ..any() }));
    waits(&mut bed, &inward(0, Inner { len: 1500, ..any() }));
}

#[test]
fn a_way_out_by_a_port_that_is_not_there_has_no_port() {
    let mut bed = Bed::new();
    bed.current.ports[1] = None;
    bed.drops_as(NoPort, &outward(any()));
    bed.current.ports.clear();
    bed.drops_as(NoPort, &inward(0, any()));
}

#[test]
fn a_packet_fits_up_to_the_mtu_with_its_outer_headers() {
    let mut bed = Bed::new();
    bed.current.ports[0] = Some(Port { mtu: 1400 });
    // GRE with key, GRE without, IPIP.
    for (slot, destination, overhead) in [(0, C0, 28), (1, C0, 24), (0, C1, 20)] {
        let fits = Inner {
            destination,
            len: 1400 - overhead,
            ..any()
        };
        bed.send(&inward(slot, fits)).leaves_by(CLIENT_PORT);
        bed.drops_as(
            TooBig,
            &inward(
                slot,
                Inner {
                    len: 1401 - overhead,
                    ..fits
                },
            ),
        );
    }
    // Towards an upstream there are none.
    bed.send(&outward(Inner { len: 1500, ..any() }))
        .leaves_by(UPSTREAM_PORT);
    bed.drops_as(TooBig, &outward(Inner { len: 1501, ..any() }));
}

#[test]
fn an_mtu_of_65535_carries_no_total_length_beyond_16_bits() {
    let mut bed = Bed::new();
    bed.current.ports[0] = Some(Port { mtu: 65535 });
    let fits = Inner {
        len: 65535 - 28,
        ..any()
    };
    let seen = bed.send(&inward(0, fits));
    assert_eq!(seen.leaves_by(CLIENT_PORT)[16..18], [0xff, 0xff]);
    bed.drops_as(
        TooBig,
        &inward(
            0,
            Inner {
                len: 65535,
                ..any()
            },
        ),
    );
}

#[test]
fn headers_that_do_not_fit_in_front_have_no_headroom() {
    let mut bed = Bed::new();
    // Outwards to upstream 0: the inner packet starts at 24 + 34, the frame needs 14.
    bed.headroom = 24;
    bed.send(&outward(any())).leaves_by(UPSTREAM_PORT);
    // Inwards: it starts at headroom + 14, and the frame needs 14 + 28.
    bed.headroom = 28;
    bed.send(&inward(0, any())).leaves_by(CLIENT_PORT);
    bed.headroom = 27;
    bed.drops_as(NoHeadroom, &inward(0, any()));
}

#[test]
fn a_packet_that_does_not_fit_is_charged_to_nobody() {
    let mut bed = Bed::new();
    // One byte a second: what is charged stays charged.
    bed.client(1).rates.from_client = MeterSpec::new(8, 60);
    bed.drops_as(TtlExceeded, &outward(Inner { ttl: 1, ..any() }));
    bed.upstream(0).link.egress.take();
    waits(&mut bed, &outward(any()));
    bed.current.upstreams = crate::bed::tables().upstreams;
    bed.current.ports[1] = Some(Port { mtu: 59 });
    bed.drops_as(TooBig, &outward(any()));
    bed.current.ports[1] = Some(Port { mtu: 1500 });
    bed.send(&outward(any())).leaves_by(UPSTREAM_PORT);

    bed.client(0).rates.to_client = MeterSpec::new(8, 60);
    bed.headroom = 27;
    bed.drops_as(NoHeadroom, &inward(0, any()));
    bed.headroom = 28;
    bed.send(&inward(0, any())).leaves_by(CLIENT_PORT);
}
