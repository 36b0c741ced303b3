//! What the program costs: the kernel's verifier, and each frame.
//!
//! `cargo nextest run -p tp-ebpf --test cost --no-capture` shows the figures.

mod common;

use std::os::fd::AsFd;

use common::frames::*;
use common::{FOU_PORT, GRE_KEY, GUE_PORT, LOCAL_CLIENT_VLAN, LOOPBACK, steering};
use libbpf_rs::Program;
use libbpf_rs::query::ProgInfoIter;
use tp_ebpf::Action;

/// A tenth of what the verifier is ready to look at (`BPF_COMPLEXITY_LIMIT_INSNS`): older kernels
/// and other compilers may need a multiple of what this one needs.
const MOST_VERIFIED: u32 = 100_000;

#[test]
fn the_verifier_is_far_from_its_limit() {
    let (steering, _socket) = steering();
    let id = Program::id_from_fd(steering.as_fd()).expect("program id");
    let verified = ProgInfoIter::default()
        .find(|program| program.id == id)
        .expect("program")
        .verified_insns;
    println!("instructions {}", steering.instructions());
    println!("verified {verified}");
    // The kernel counts since 5.16.
    assert!((1..MOST_VERIFIED).contains(&verified), "{verified}");
}

/// Far above what a frame takes on any machine: a look-up that walks a list would show.
const MOST_NS: u32 = 20_000;

#[test]
fn each_class_of_frames_takes_its_time() {
    const RUNS: u32 = 10_000;
    let (steering, _socket) = steering();
    for (name, frame, action) in classes() {
        let outcome = steering.run_once(&frame, LOOPBACK, 0).expect("run");
        assert_eq!(outcome.action, action, "{name}");
        // The least of several: others use the machine too.
        let run = |_| steering.ns_per_frame(&frame, LOOPBACK, 0, RUNS);
        let ns = (0..20).map(|i| run(i).expect("run")).min();
        let ns = ns.expect("a run");
        println!("{name}: {ns} ns");
        assert!(ns < MOST_NS, "{name}: {ns} ns");
    }
}

fn classes() -> Vec<(&'static str, Vec<u8>, Action)> {
    use Action::{Pass, Redirect};
    let to_portal = |protocol, rest: &[u8]| {
        let outer = ipv4(CLIENT, PORTAL, protocol);
        stack([&from_isp(IPV4), &outer, rest, &payload()])
    };
    let to_portal6 = |next, rest: &[u8]| {
        let outer = ipv6(CLIENT6, PORTAL6, next);
        stack([&from_isp(IPV6), &outer, rest, &payload()])
    };
    let upstream4 = stack([&from_isp(IPV4), &payload()]);
    let upstream6 = stack([&from_isp(IPV6), &ipv6(HOST6, HOST6, UDP), &[0; 64]]);
    let gue = [udp(GUE_PORT), vec![0, 4, 0, 0]].concat();
    let as_linux = [extension(GRE, 0), gre(0, IPV4, 0)].concat();
    let quote = [icmp(3), ipv4(PORTAL, CLIENT, IPIP), payload()].concat();
    let arp = stack([&from_isp(ARP), &[0; 28]]);
    let local_tag = tag(LOCAL_CLIENT_VLAN, ARP);
    let local_arp = stack([&eth(BROADCAST, STRANGER_MAC, CTAG), &local_tag, &[0; 28]]);
    let keyed = to_portal(GRE, &gre(K, IPV4, GRE_KEY));
    vec![
        ("IPv4 from an upstream", upstream4, Redirect),
        ("IPv6 from an upstream", upstream6, Redirect),
        ("IPIP", to_portal(IPIP, &[]), Redirect),
        ("GRE with a key", keyed, Redirect),
        ("FOU", to_portal(UDP, &udp(FOU_PORT)), Redirect),
        ("GUE", to_portal(UDP, &gue), Redirect),
        ("GRE over IPv6", to_portal6(GRE, &gre(0, IPV4, 0)), Redirect),
        (
            "the same as Linux sends it",
            to_portal6(DSTOPTS, &as_linux),
            Redirect,
        ),
        (
            "an ICMP error about a tunnel",
            to_portal(ICMP, &quote),
            Redirect,
        ),
        ("TCP to the portal", to_portal(TCP, &[]), Pass),
        ("ARP to the kernel", arp, Pass),
        ("ARP of a local link", local_arp, Redirect),
    ]
}
