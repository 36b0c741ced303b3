//! What the tests of this crate share: a portal's steering state, frames, a socket.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod clang;
pub(crate) mod frames;
pub(crate) mod isolated;

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};
use tp_ebpf::{PortCounters, Steering, SteeringState, UdpKind};
use tp_pipeline::abi::{
    AddrKey, IngressKind, KeyKind, LinkKey, MacKey, PortEntry, SlotRef, TunnelKey, UdpPortKey,
    VLAN_8021AD, addr_bytes,
};
use tp_wire::MacAddr;

use frames::{CLIENT, CLIENT6, ISP_MAC, PORTAL, PORTAL_MAC, PORTAL6};

/// The loopback device: it is in every network namespace, with one queue.
pub(crate) const LOOPBACK: u32 = 1;
/// Index of the port, away from 0 so that it shows when it is forgotten.
pub(crate) const PORT: u16 = 3;
/// VLAN of one upstream.
pub(crate) const VLAN: u16 = 100;
/// VLAN in [`VLAN`] of another.
pub(crate) const INNER_VLAN: u16 = 200;
/// VLAN of a layer-two client, shared with an upstream.
pub(crate) const CLIENT_VLAN: u16 = 300;
/// GRE key of a tunnel.
pub(crate) const GRE_KEY: u32 = 0x0102_0304;
/// The portal's port of FOU tunnels.
pub(crate) const FOU_PORT: u16 = 5555;
/// The portal's port of GUE tunnels.
pub(crate) const GUE_PORT: u16 = 6080;

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

/// A slot, told apart from all others of the portal by both its numbers.
pub(crate) fn slot(number: u32, ingress: IngressKind) -> SlotRef {
    SlotRef {
        slot: number,
        tag: 0xa000_0000 + number,
        ingress: ingress as u16,
        flags: 0,
    }
}

/// Slots of [`portal`].
pub(crate) mod slots {
    pub(crate) const GRE: u32 = 10;
    pub(crate) const GRE_KEYED: u32 = 11;
    pub(crate) const GRE_KEY_ZERO: u32 = 12;
    pub(crate) const EGRE: u32 = 13;
    pub(crate) const IPIP: u32 = 14;
    pub(crate) const GRE_OVER_V6: u32 = 15;
    pub(crate) const IPIP_OVER_V6: u32 = 16;
    pub(crate) const FOU: u32 = 17;
    pub(crate) const GUE: u32 = 18;
    pub(crate) const UNTAGGED: u32 = 20;
    pub(crate) const TAGGED: u32 = 21;
    pub(crate) const DOUBLE_TAGGED: u32 = 22;
    pub(crate) const BESIDE_L2: u32 = 23;
    pub(crate) const L2_CLIENT: u32 = 30;
}

/// One port with every kind of ingress.
pub(crate) fn portal() -> SteeringState {
    let mut state = SteeringState::default();
    state.ports.insert(
        LOOPBACK,
        PortEntry {
            port: PORT,
            queues: 1,
            reserved: 0,
        },
    );
    state
        .local_macs
        .insert(MacKey::new(PORT, MacAddr::new(PORTAL_MAC)));
    state.local_addrs.insert(AddrKey {
        addr: addr_bytes(PORTAL.into()),
    });
    state.local_addrs.insert(AddrKey {
        addr: addr_bytes(PORTAL6.into()),
    });

    let gre = |key| TunnelKey::gre(CLIENT.into(), PORTAL.into(), key);
    let egre = TunnelKey {
        kind: KeyKind::Egre as u8,
        ..gre(None)
    };
    let udp = |kind: UdpKind, port| TunnelKey::udp(kind.into(), CLIENT.into(), PORTAL.into(), port);
    let tunnels = [
        (gre(None), slots::GRE),
        (gre(Some(GRE_KEY)), slots::GRE_KEYED),
        (gre(Some(0)), slots::GRE_KEY_ZERO),
        (egre, slots::EGRE),
        (TunnelKey::ipip(CLIENT.into(), PORTAL.into()), slots::IPIP),
        (
            TunnelKey::gre(CLIENT6.into(), PORTAL6.into(), None),
            slots::GRE_OVER_V6,
        ),
        (
            TunnelKey::ipip(CLIENT6.into(), PORTAL6.into()),
            slots::IPIP_OVER_V6,
        ),
        (udp(UdpKind::Fou, FOU_PORT), slots::FOU),
        (udp(UdpKind::Gue, GUE_PORT), slots::GUE),
    ];
    state.udp_ports = [
        (udp_port(FOU_PORT), UdpKind::Fou),
        (udp_port(GUE_PORT), UdpKind::Gue),
    ]
    .into();
    state
        .tunnels
        .extend(tunnels.map(|(key, n)| (key, slot(n, IngressKind::Tunnel))));

    let link = |vlan, mac| LinkKey {
        port: PORT,
        vlan,
        mac,
    };
    let links = [
        (link([0, 0], ISP_MAC), slots::UNTAGGED),
        (link([VLAN, 0], ISP_MAC), slots::TAGGED),
        (
            link([VLAN | VLAN_8021AD, INNER_VLAN], ISP_MAC),
            slots::DOUBLE_TAGGED,
        ),
        (link([CLIENT_VLAN, 0], ISP_MAC), slots::BESIDE_L2),
    ];
    state
        .links
        .extend(links.map(|(key, n)| (key, slot(n, IngressKind::Upstream))));
    let client = slot(slots::L2_CLIENT, IngressKind::L2Client);
    state.links.insert(link([CLIENT_VLAN, 0], [0; 6]), client);
    state
}

/// A UDP port of the portal.
pub(crate) fn udp_port(port: u16) -> UdpPortKey {
    UdpPortKey {
        port_be: port.to_be(),
    }
}

/// Counters of all rows, as one list.
pub(crate) fn counters(steering: &Steering) -> Vec<PortCounters> {
    steering.counters().expect("counters")
}
