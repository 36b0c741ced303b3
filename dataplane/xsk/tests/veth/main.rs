//! Sockets of the kernel, on veth devices in network namespaces of the test's own: what AF_XDP
//! does that a forwarder must live with, each case with the books closed at its end.
//!
//! Needs root. Without it the tests fail and say so.

mod forward;
mod lab;
mod life;
mod receive;
mod send;
mod steering;
mod tuntap;
mod unicast;
mod wire;
