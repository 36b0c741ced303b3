//! One row for each branch of docs/steering.md, through the program in the kernel: what
//! becomes of the frame, which counter moves while all others stand still, and what the
//! metadata says; then the same frame cut short at each byte.
//!
//! Frames below 14 bytes are not among the cuts: the kernel runs no XDP program on them.

mod common;

mod rows {
    pub(crate) mod gre;
    pub(crate) mod group;
    pub(crate) mod icmp;
    pub(crate) mod icmp6;
    pub(crate) mod link;
    pub(crate) mod neighbour;
    pub(crate) mod network;
    pub(crate) mod odd;
    pub(crate) mod tunnel;
    pub(crate) mod udp;
}

use common::{LOOPBACK, PORT, counters, steering};
use tp_ebpf::{Action, RunOutcome, Steering, SteeringState};
use tp_pipeline::abi::{Counter, IngressKind, META_MAGIC, Meta, NO_SLOT};

/// What should become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Pass,
    Drop(Counter),
    Redirect(Meta),
}

pub(crate) use Expect::{Drop, Pass};

/// A redirect of a frame without VLAN headers.
pub(crate) fn redirect(ingress: IngressKind, slot: u32, offsets: [u16; 3]) -> Expect {
    redirect_tagged(ingress, slot, 0, offsets)
}

/// A redirect; `offsets` are those of the network header, what follows it, and the inner packet.
pub(crate) fn redirect_tagged(
    ingress: IngressKind,
    slot: u32,
    vlans: u8,
    offsets: [u16; 3],
) -> Expect {
    let tag = if slot == NO_SLOT {
        0
    } else {
        common::slot(slot, ingress).tag
    };
    let [l3_off, l4_off, inner_off] = offsets;
    Expect::Redirect(Meta {
        slot,
        tag,
        magic: META_MAGIC,
        port: PORT,
        ingress: ingress as u8,
        vlans,
        l3_off,
        l4_off,
        inner_off,
        reserved: 0,
    })
}

/// A frame and what should become of it.
pub(crate) struct Row {
    name: &'static str,
    frame: Vec<u8>,
    expect: Expect,
    /// Cut below this many bytes, something else becomes of it; the least first.
    cuts: Vec<(usize, Expect)>,
    /// What differs from the portal of `common`.
    change: Option<fn(&mut SteeringState)>,
    /// Index of the port that counts it.
    port: usize,
}

impl Row {
    /// A row whose frame is truncated below `needs` bytes.
    pub(crate) fn new(name: &'static str, frame: Vec<u8>, needs: usize, expect: Expect) -> Self {
        let cuts = vec![(needs, Drop(Counter::Truncated))];
        Self {
            name,
            frame,
            expect,
            cuts,
            change: None,
            port: PORT.into(),
        }
    }

    /// Between the cuts before and this many bytes, this becomes of the frame.
    pub(crate) fn below(mut self, bytes: usize, expect: Expect) -> Self {
        self.cuts.push((bytes, expect));
        self
    }

    /// In another portal.
    pub(crate) fn with(mut self, change: fn(&mut SteeringState)) -> Self {
        self.change = Some(change);
        self
    }

    /// Counted by another port.
    pub(crate) fn on_port(mut self, port: usize) -> Self {
        self.port = port;
        self
    }

    fn expect_of(&self, len: usize) -> Expect {
        self.cuts
            .iter()
            .find(|(below, _)| len < *below)
            .map_or(self.expect, |(_, e)| *e)
    }
}

#[test]
fn link_rows() {
    check_all(rows::link::rows());
}

#[test]
fn network_rows() {
    check_all(rows::network::rows());
}

#[test]
fn group_rows() {
    check_all(rows::group::rows());
}

#[test]
fn tunnel_rows() {
    check_all(rows::tunnel::rows());
}

#[test]
fn gre_rows() {
    check_all(rows::gre::rows());
}

#[test]
fn udp_rows() {
    check_all(rows::udp::rows());
}

#[test]
fn icmp_rows() {
    check_all(rows::icmp::rows());
}

#[test]
fn icmp6_rows() {
    check_all(rows::icmp6::rows());
}

#[test]
fn neighbour_rows() {
    check_all(rows::neighbour::rows());
}

#[test]
fn odd_rows() {
    check_all(rows::odd::rows());
}

fn check_all(rows: Vec<Row>) {
    let (mut steering, _socket) = steering();
    for row in rows {
        let mut state = common::portal();
        if let Some(change) = row.change {
            change(&mut state);
        }
        steering.apply(&state).expect("apply");
        assert!(
            row.cuts.iter().all(|(below, _)| *below <= row.frame.len()),
            "{}: the frame is shorter than what the row says of it",
            row.name
        );
        for len in 14..=row.frame.len() {
            check(&steering, &row, &row.frame[..len], row.expect_of(len));
        }
    }
}

/// Runs a frame; compares the action, each counter of each port, the metadata and the bytes.
fn check(steering: &Steering, row: &Row, frame: &[u8], expect: Expect) {
    let before = counters(steering);
    let outcome = steering.run_once(frame, LOOPBACK, 0).expect("run");
    let after = counters(steering);

    let context = format!("{}, {} bytes", row.name, frame.len());
    let (action, counter, meta) = match expect {
        Pass => (Action::Pass, Counter::Passed, None),
        Drop(reason) => (Action::Drop, reason, None),
        Expect::Redirect(meta) => (Action::Redirect, Counter::Redirected, Some(meta)),
    };
    assert_eq!(
        outcome,
        RunOutcome {
            action,
            meta,
            frame: frame.to_vec()
        },
        "{context}"
    );

    for (port, (before, after)) in before.iter().zip(&after).enumerate() {
        for c in Counter::ALL {
            let moves = port == row.port && (c == Counter::Seen || c == counter);
            let moved = after[c] - before[c];
            assert_eq!(
                moved,
                u64::from(moves),
                "{context}: counter {c:?} of port {port}"
            );
        }
        assert!(
            after.closes(),
            "{context}: port {port} does not close: {after:?}"
        );
    }
}

#[test]
fn every_counter_has_a_row() {
    let all = [
        rows::link::rows(),
        rows::network::rows(),
        rows::group::rows(),
        rows::tunnel::rows(),
        rows::gre::rows(),
        rows::udp::rows(),
        rows::icmp::rows(),
        rows::icmp6::rows(),
        rows::neighbour::rows(),
    ];
    for counter in Counter::ALL.into_iter().filter(|c| c.is_drop()) {
        // It needs a frame without headroom: tests/metadata.rs.
        if counter != Counter::MetaRoom {
            let named = |row: &Row| {
                row.expect == Drop(counter) || row.cuts.iter().any(|(_, e)| *e == Drop(counter))
            };
            assert!(
                all.iter().flatten().any(named),
                "no row expects {counter:?}"
            );
        }
    }
}
