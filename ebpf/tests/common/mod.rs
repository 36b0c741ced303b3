//! What the tests of this crate share: a portal's steering state, frames, a socket.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod clang;
pub(crate) mod frames;
pub(crate) mod isolated;
mod portal;

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};
use tp_ebpf::{PortCounters, Steering};

pub(crate) use portal::*;

/// The loopback device: it is in every network namespace, with one queue.
pub(crate) const LOOPBACK: u32 = 1;
/// Fails, and says what is needed, without the rights that BPF needs.
pub(crate) fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test loads BPF programs: run it as root (scripts/test)"
    );
}

/// A loaded program with [`portal`] applied and a socket on every queue of [`PORT`].
pub(crate) fn steering() -> (Steering, OwnedFd) {
    require_root();
    let mut steering = Steering::load().expect("load");
    steering.apply(&portal()).expect("apply");
    let socket = xdp_socket();
    steering
        .set_socket(PORT, 0, socket.as_fd())
        .expect("set socket");
    (steering, socket)
}

/// An AF_XDP socket without rings: enough to stand in the map. Only a frame that really
/// arrives is put into rings, and `BPF_PROG_TEST_RUN` stops before.
pub(crate) fn xdp_socket() -> OwnedFd {
    socket(AddressFamily::XDP, SocketType::RAW, None).expect("AF_XDP socket")
}

/// Counters of all rows, as one list.
pub(crate) fn counters(steering: &Steering) -> Vec<PortCounters> {
    steering.counters().expect("counters")
}
