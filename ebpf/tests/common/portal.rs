//! The portal of the tests: one port with every kind of ingress.

use std::net::IpAddr;

use tp_ebpf::{SteeringState, UdpKind};
use tp_pipeline::abi::{
    AddrKey, IngressKind, LinkKey, MacKey, PortEntry, REF_LOCAL, SlotRef, TunnelKey, UdpPortKey,
    VLAN_8021AD, addr_bytes,
};
use tp_wire::MacAddr;

use super::LOOPBACK;
use super::frames::{CLIENT, CLIENT6, ISP_MAC, PORTAL, PORTAL_MAC, PORTAL6, ROUTER, ROUTER6};

/// Index of the port, away from 0 so that it shows when it is forgotten.
pub(crate) const PORT: u16 = 3;
/// VLAN of one upstream.
pub(crate) const VLAN: u16 = 100;
/// VLAN in [`VLAN`] of another.
pub(crate) const INNER_VLAN: u16 = 200;
/// VLAN of a layer-two client, shared with an upstream.
pub(crate) const CLIENT_VLAN: u16 = 300;
/// VLAN of a layer-two client whose link is the slow path's.
pub(crate) const LOCAL_CLIENT_VLAN: u16 = 400;
/// VLAN of an upstream whose link is the slow path's.
pub(crate) const LOCAL_UPSTREAM_VLAN: u16 = 500;
/// GRE key of a tunnel.
pub(crate) const GRE_KEY: u32 = 0x0102_0304;
/// The portal's port of FOU tunnels.
pub(crate) const FOU_PORT: u16 = 5555;
/// The portal's port of GUE tunnels.
pub(crate) const GUE_PORT: u16 = 6080;

/// Slots of [`portal`].
pub(crate) mod slots {
    pub(crate) const GRE: u32 = 10;
    pub(crate) const GRE_KEYED: u32 = 11;
    pub(crate) const GRE_KEY_ZERO: u32 = 12;
    pub(crate) const EGRE: u32 = 13;
    pub(crate) const IPIP: u32 = 14;
    pub(crate) const FOU: u32 = 15;
    pub(crate) const GUE: u32 = 16;
    pub(crate) const GRE_OVER_V6: u32 = 20;
    pub(crate) const IPIP_OVER_V6: u32 = 21;
    pub(crate) const EGRE_OVER_V6: u32 = 22;
    pub(crate) const FOU_OVER_V6: u32 = 23;
    pub(crate) const GUE_OVER_V6: u32 = 24;
    pub(crate) const L2_CLIENT: u32 = 30;
    pub(crate) const LOCAL_CLIENT: u32 = 31;
    pub(crate) const UNTAGGED: u32 = 40;
    pub(crate) const TAGGED: u32 = 41;
    pub(crate) const DOUBLE_TAGGED: u32 = 42;
    pub(crate) const BESIDE_L2: u32 = 43;
    pub(crate) const LOCAL_UPSTREAM: u32 = 44;
    pub(crate) const UPSTREAM_IPIP: u32 = 50;
    pub(crate) const UPSTREAM_EGRE: u32 = 51;
    pub(crate) const UPSTREAM_FOU: u32 = 52;
    pub(crate) const UPSTREAM_GRE_OVER_V6: u32 = 53;
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

/// A UDP port of the portal.
pub(crate) fn udp_port(port: u16) -> UdpPortKey {
    UdpPortKey {
        port_be: port.to_be(),
    }
}

/// One port with every kind of ingress.
pub(crate) fn portal() -> SteeringState {
    let port = PortEntry {
        port: PORT,
        queues: 1,
        reserved: 0,
    };
    let address = |addr: IpAddr| AddrKey {
        addr: addr_bytes(addr),
    };
    let tunnels = client_tunnels().map(|(key, n)| (key, slot(n, IngressKind::Tunnel)));
    let upstreams = upstream_tunnels().map(|(key, n)| (key, slot(n, IngressKind::UpstreamTunnel)));
    SteeringState {
        ports: [(LOOPBACK, port)].into(),
        local_macs: [MacKey::new(PORT, MacAddr::new(PORTAL_MAC))].into(),
        local_addrs: [address(PORTAL.into()), address(PORTAL6.into())].into(),
        tunnels: tunnels.into_iter().chain(upstreams).collect(),
        udp_ports: [
            (udp_port(FOU_PORT), UdpKind::Fou),
            (udp_port(GUE_PORT), UdpKind::Gue),
        ]
        .into(),
        links: links().into(),
    }
}

fn client_tunnels() -> [(TunnelKey, u32); 12] {
    let v4 = (IpAddr::from(CLIENT), IpAddr::from(PORTAL));
    let v6 = (IpAddr::from(CLIENT6), IpAddr::from(PORTAL6));
    let gre = |key| TunnelKey::gre(v4.0, v4.1, key);
    let udp =
        |kind: UdpKind, (remote, local), port| TunnelKey::udp(kind.into(), remote, local, port);
    [
        (gre(None), slots::GRE),
        (gre(Some(GRE_KEY)), slots::GRE_KEYED),
        (gre(Some(0)), slots::GRE_KEY_ZERO),
        (TunnelKey::egre(v4.0, v4.1, None), slots::EGRE),
        (TunnelKey::ipip(v4.0, v4.1), slots::IPIP),
        (udp(UdpKind::Fou, v4, FOU_PORT), slots::FOU),
        (udp(UdpKind::Gue, v4, GUE_PORT), slots::GUE),
        (TunnelKey::gre(v6.0, v6.1, None), slots::GRE_OVER_V6),
        (TunnelKey::ipip(v6.0, v6.1), slots::IPIP_OVER_V6),
        (
            TunnelKey::egre(v6.0, v6.1, Some(GRE_KEY)),
            slots::EGRE_OVER_V6,
        ),
        (udp(UdpKind::Fou, v6, FOU_PORT), slots::FOU_OVER_V6),
        (udp(UdpKind::Gue, v6, GUE_PORT), slots::GUE_OVER_V6),
    ]
}

fn upstream_tunnels() -> [(TunnelKey, u32); 4] {
    let v4 = (IpAddr::from(ROUTER), IpAddr::from(PORTAL));
    let v6 = (IpAddr::from(ROUTER6), IpAddr::from(PORTAL6));
    [
        (TunnelKey::ipip(v4.0, v4.1), slots::UPSTREAM_IPIP),
        (
            TunnelKey::egre(v4.0, v4.1, Some(GRE_KEY)),
            slots::UPSTREAM_EGRE,
        ),
        (
            TunnelKey::udp(UdpKind::Fou.into(), v4.0, v4.1, FOU_PORT),
            slots::UPSTREAM_FOU,
        ),
        (
            TunnelKey::gre(v6.0, v6.1, None),
            slots::UPSTREAM_GRE_OVER_V6,
        ),
    ]
}

fn links() -> [(LinkKey, SlotRef); 7] {
    let upstream = |vlan, number| {
        let key = LinkKey {
            port: PORT,
            vlan,
            mac: ISP_MAC,
        };
        (key, slot(number, IngressKind::Upstream))
    };
    let client = |vlan, number| {
        let key = LinkKey {
            port: PORT,
            vlan: [vlan, 0],
            mac: [0; 6],
        };
        (key, slot(number, IngressKind::L2Client))
    };
    let local = |(key, slot)| {
        let flags = REF_LOCAL;
        (key, SlotRef { flags, ..slot })
    };
    [
        upstream([0, 0], slots::UNTAGGED),
        upstream([VLAN, 0], slots::TAGGED),
        upstream([VLAN | VLAN_8021AD, INNER_VLAN], slots::DOUBLE_TAGGED),
        upstream([CLIENT_VLAN, 0], slots::BESIDE_L2),
        local(upstream([LOCAL_UPSTREAM_VLAN, 0], slots::LOCAL_UPSTREAM)),
        client(CLIENT_VLAN, slots::L2_CLIENT),
        local(client(LOCAL_CLIENT_VLAN, slots::LOCAL_CLIENT)),
    ]
}
