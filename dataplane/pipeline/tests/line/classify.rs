//! Whose is it, and in which tables?

use tp_pipeline::DropReason::StaleIngress;
use tp_pipeline::{Encap, LinkCounts, Tag};

use crate::bed::{Bed, C0, CLIENT_PORT, UPSTREAM_PORT, WORLD, ends, tables};
use crate::packets::{Arrival, Inner};

fn to_client() -> Arrival {
    Arrival::from_upstream(0, &Inner::new(WORLD, C0).bytes())
}

fn from_client() -> Arrival {
    Arrival::gre(
        0,
        &[0x20, 0, 0x08, 0, 0, 0, 0, 7],
        &Inner::new(C0, WORLD).bytes(),
    )
}

#[test]
fn another_tag_is_stale() {
    let mut bed = Bed::new();
    for arrival in [to_client(), from_client()] {
        bed.drops_as(StaleIngress, &arrival.with_meta(|m| m.tag += 1));
    }
}

#[test]
fn a_free_slot_and_one_beyond_the_tables_are_stale() {
    let mut bed = Bed::new();
    for slot in [4, u32::MAX] {
        bed.drops_as(StaleIngress, &to_client().with_meta(|m| m.slot = slot));
        bed.drops_as(StaleIngress, &from_client().with_meta(|m| m.slot = slot));
    }
    bed.current.tunnels[0] = None;
    bed.current.upstreams[0] = None;
    bed.drops_as(StaleIngress, &to_client());
    bed.drops_as(StaleIngress, &from_client());
}

#[test]
fn a_stale_packet_is_counted_for_no_link() {
    let mut bed = Bed::new();
    bed.drops_as(StaleIngress, &from_client().with_meta(|m| m.tag += 1));
    assert_eq!(bed.tunnel_counts(0), LinkCounts::default());
    // Nor for the link of the packet that had its place in the burst before.
    bed.send(&from_client()).leaves_by(UPSTREAM_PORT);
    let counts = (bed.tunnel_counts(0), bed.upstream_counts(0));
    bed.drops_as(StaleIngress, &from_client().with_meta(|m| m.tag += 1));
    assert_eq!((bed.tunnel_counts(0), bed.upstream_counts(0)), counts);
}

#[test]
fn a_link_that_only_the_retiring_tables_know_is_forwarded_by_them_alone() {
    let mut bed = Bed::new();
    let mut old = tables();
    old.upstreams[0].as_mut().unwrap().tag = Tag(5);
    old.tunnels[0].as_mut().unwrap().link.encap = Encap::ipip(ends([100, 64, 0, 1]));
    bed.retiring = Some(old);

    let new_way = bed.send(&to_client());
    let old_way = bed.send(&to_client().with_meta(|m| m.tag = 5));
    assert_eq!(new_way.leaves_by(CLIENT_PORT)[14 + 9], 47);
    assert_eq!(old_way.leaves_by(CLIENT_PORT)[14 + 9], 4);
    assert_eq!(
        old_way.leaves_by(CLIENT_PORT)[14 + 16..14 + 20],
        [100, 64, 0, 1]
    );
}

#[test]
fn a_link_that_both_tables_know_is_forwarded_by_the_current_ones() {
    let mut bed = Bed::new();
    let mut old = tables();
    old.upstreams[0].as_mut().unwrap().link.egress = None;
    bed.retiring = Some(old);
    bed.send(&from_client()).leaves_by(UPSTREAM_PORT);
}
