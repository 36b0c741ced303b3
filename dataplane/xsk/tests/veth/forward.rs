//! Forwarding: in on one device, a header pushed into the headroom, out on the other.

use tp_xsk::{Burst, Ledger};

use super::lab::{CHUNKS, lab, wait};
use super::steering::Steering;
use super::wire::frame;

const PUSHED: usize = 24;

#[test]
fn frames_leave_on_the_other_device_with_a_pushed_header() {
    lab("forward", |lab| {
        let (a, b) = (lab.pair("a", 1, 1), lab.pair("b", 1, 1));
        let mut from = lab.open(a, 0);
        let mut to = lab.open(b, 0);
        Steering::attach(a).point_to(&from);
        let (wire_a, wire_b) = (lab.wire("a1"), lab.wire("b1"));
        let mut burst = Burst::new();
        for round in 0..100u32 {
            let numbers = || (0..100).map(|i| round * 100 + i);
            numbers().for_each(|i| wire_a.send(&frame(i, 590)));
            let mut forwarded = 0;
            wait("forwarded frames", || {
                from.receive(&mut burst);
                for f in burst.as_mut_slice() {
                    let (start, len) = (f.start(), f.len());
                    let chunk = lab.region.chunk_mut(f);
                    assert_eq!(&chunk[start - 8..start], b"META\0\0\0\0");
                    // An Ethernet header for the tests' EtherType, and a mark behind it.
                    chunk.copy_within(start..start + 14, start - PUSHED);
                    chunk[start - 10..start].copy_from_slice(b"<<header>>");
                    f.set_extent(start - PUSHED, len + PUSHED);
                }
                forwarded += to.send(&mut burst);
                assert_eq!(to.flush().busy, 0);
                to.reclaim(&mut lab.mag);
                from.refill(&mut lab.mag);
                forwarded == 100
            });
            for (i, got) in numbers().zip(wire_b.receive_all(100)) {
                let original = frame(i, 590);
                let expected = [&original[..14], b"<<header>>", &original].concat();
                assert!(got == expected, "frame {i}");
            }
        }
        lab.settle(&mut to);
        let ledger = lab.region.ledger();
        assert_eq!((ledger.held, ledger.tx, ledger.total()), (0, 0, CHUNKS));
        assert_eq!(from.statistics().expect("statistics").rx_dropped, 0);
        from.close(&mut lab.mag);
        to.close(&mut lab.mag);
        let ledger = lab.region.ledger();
        assert_eq!(ledger.depot + ledger.magazines, CHUNKS);
        assert_eq!(
            ledger,
            Ledger {
                depot: ledger.depot,
                magazines: ledger.magazines,
                ..Ledger::default()
            }
        );
    });
}
