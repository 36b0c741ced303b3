//! Which packet does it carry?

use etherparse::IpEcn;
use tp_pipeline::DropReason::EcnViolation;
use tp_pipeline::Verdict;

use crate::bed::{Bed, C1, UPSTREAM_PORT, WORLD, upstream_link};
use crate::packets::{Arrival, Inner, outer};

const NOT_ECT: u8 = 0;
const ECT1: u8 = 1;
const ECT0: u8 = 2;
const CE: u8 = 3;

#[test]
fn congestion_marks_leave_the_tunnel_as_rfc_6040_says() {
    // Figure 4: rows are inner, columns outer.
    let figure = [
        (NOT_ECT, NOT_ECT, Some(NOT_ECT)),
        (NOT_ECT, ECT0, Some(NOT_ECT)),
        (NOT_ECT, ECT1, Some(NOT_ECT)),
        (NOT_ECT, CE, None),
        (ECT0, NOT_ECT, Some(ECT0)),
        (ECT0, ECT0, Some(ECT0)),
        (ECT0, ECT1, Some(ECT1)),
        (ECT0, CE, Some(CE)),
        (ECT1, NOT_ECT, Some(ECT1)),
        (ECT1, ECT0, Some(ECT1)),
        (ECT1, ECT1, Some(ECT1)),
        (ECT1, CE, Some(CE)),
        (CE, NOT_ECT, Some(CE)),
        (CE, ECT0, Some(CE)),
        (CE, ECT1, Some(CE)),
        (CE, CE, Some(CE)),
    ];
    let mut bed = Bed::new();
    for (inner_ecn, outer_ecn, expected) in figure {
        let inner = Inner {
            ecn: inner_ecn,
            dscp: 10,
            ..Inner::new(C1, WORLD)
        };
        let mut header = outer([198, 51, 100, 9], [192, 0, 2, 1], 4, 60);
        header.ecn = IpEcn::try_new(outer_ecn).unwrap();
        let seen = bed.send(&Arrival::from_tunnel(1, header, &[], &inner.bytes()));
        match expected {
            None => assert_eq!(seen.verdict, Verdict::Drop(EcnViolation)),
            Some(ecn) => {
                let expected = [
                    upstream_link(0),
                    vec![0x08, 0x00],
                    Inner { ecn, ..inner.hop() }.bytes(),
                ];
                let case = format!("inner {inner_ecn}, outer {outer_ecn}");
                assert_eq!(seen.leaves_by(UPSTREAM_PORT), expected.concat(), "{case}");
            }
        }
    }
}

#[test]
fn a_packet_that_violates_ecn_is_counted_for_its_tunnel() {
    let mut bed = Bed::new();
    let mut header = outer([198, 51, 100, 9], [192, 0, 2, 1], 4, 60);
    header.ecn = IpEcn::try_new(CE).unwrap();
    let inner = Inner::new(C1, WORLD).bytes();
    bed.drops_as(EcnViolation, &Arrival::from_tunnel(1, header, &[], &inner));
    let counts = bed.tunnel_counts(1);
    assert_eq!(
        (counts.rx_packets, counts.rx_bytes, counts.dropped_packets),
        (1, 60, 1)
    );
}
