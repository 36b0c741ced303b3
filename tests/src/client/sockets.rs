//! The sockets of a client's end on the outer network.
//!
//! Packets are received by packet sockets, which show every byte of an outer packet of either family before the kernel
//! judges it. The kernel judges it all the same: so there is a socket that takes each tunnel protocol, and it has no
//! reason to answer with ICMP errors.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, SockaddrLike, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

use super::end::ClientError;
use super::outer::{PROTOCOL_IPV4, PROTOCOL_IPV6};
use super::spec::{Carrier, Kind, TunnelSpec};
use super::{gre, udp};
use crate::lab::packet_socket;

/// Buffer of each socket in bytes: a TCP window of small packets must not overflow it.
const BUFFER: usize = 16 << 20;
/// Ethernet types (linux/if_ether.h).
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// The instruction that returns a constant (linux/bpf_common.h, `BPF_RET | BPF_K`): of 0, to keep no byte.
const KEEP_NOTHING: u16 = 0x06;

/// What sends outer packets, whole, with their IP header: `IPPROTO_RAW` receives nothing (raw(7)).
#[derive(Debug)]
pub(super) struct Senders {
    v4: Socket,
    v6: Socket,
}

impl Senders {
    pub(super) fn open() -> Result<Self, ClientError> {
        let sender = |domain| {
            let socket = raw(domain, nix::libc::IPPROTO_RAW)?;
            setsockopt(&socket, sockopt::SndBufForce, &BUFFER)
                .map_err(|source| ClientError::os("size a raw socket's buffer", source))?;
            Ok::<_, ClientError>(socket)
        };
        Ok(Self {
            v4: sender(Domain::IPV4)?,
            v6: sender(Domain::IPV6)?,
        })
    }

    /// Sends it by the kernel's route to the far end; false when the kernel refuses.
    pub(super) fn send(&self, packet: &[u8], remote: IpAddr) -> bool {
        let socket = if remote.is_ipv4() { &self.v4 } else { &self.v6 };
        let to = SockAddr::from(SocketAddr::new(remote, 0));
        socket.send_to(packet, &to).is_ok()
    }
}

/// Packet sockets on the devices that have the tunnels' local addresses.
pub(super) fn receivers(specs: &[TunnelSpec]) -> Result<Vec<Socket>, ClientError> {
    let mut places = BTreeSet::new();
    for (_, local) in carried(specs) {
        let ethertype = if local.is_ipv4() {
            ETH_P_IP
        } else {
            ETH_P_IPV6
        };
        places.insert((device_of(local)?, ethertype));
    }
    let sockets = places.into_iter().map(|(device, ethertype)| {
        let socket = packet_socket(&device, Type::DGRAM, ethertype, BUFFER)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .map_err(|source| ClientError::os("size a packet socket's buffer", source))?;
        Ok(socket)
    });
    sockets.collect()
}

/// Sockets that take each tunnel protocol and are never read. With a raw socket for a protocol, whatever its address,
/// the kernel sends no "protocol unreachable" (net/ipv4/ip_input.c, `ip_protocol_deliver_rcu`; net/ipv6/ip6_input.c,
/// `ip6_protocol_deliver_rcu`); with one for a port no "port unreachable".
pub(super) fn takers(specs: &[TunnelSpec]) -> Result<Vec<Socket>, ClientError> {
    let (mut protocols, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for (kind, local) in carried(specs) {
        let of = |protocol: u8| (local.is_ipv4(), protocol);
        match kind {
            Kind::Ipip { .. } => protocols.extend([of(PROTOCOL_IPV4), of(PROTOCOL_IPV6)]),
            Kind::Gre(_) | Kind::Egre(_) => protocols.extend([of(gre::PROTOCOL)]),
            Kind::Fou(udp) | Kind::Gue(udp, _) => {
                ports.insert(SocketAddr::new(local, udp.port));
            }
        }
    }
    let raw_takers = protocols.into_iter().map(|(v4, protocol)| {
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        raw(domain, protocol.into())
    });
    let udp_takers = ports.into_iter().map(udp_taker);
    let takers = raw_takers.chain(udp_takers).map(|taker| {
        let taker = taker?;
        // Taken and not kept: a raw socket whose buffer is full takes nothing (net/ipv4/raw.c, raw_v4_input).
        taker
            .attach_filter(&[SockFilter::new(KEEP_NOTHING, 0, 0, 0)])
            .map_err(|source| ClientError::os("filter a socket", source))?;
        Ok(taker)
    });
    takers.collect()
}

fn udp_taker(address: SocketAddr) -> Result<Socket, ClientError> {
    let failed = |source| ClientError::os(format!("open UDP port {address}"), source);
    let protocol = Some(Protocol::from(i32::from(udp::PROTOCOL)));
    let socket =
        Socket::new(Domain::for_address(address), Type::DGRAM, protocol).map_err(failed)?;
    socket.bind(&SockAddr::from(address)).map_err(failed)?;
    Ok(socket)
}

fn carried(specs: &[TunnelSpec]) -> impl Iterator<Item = (Kind, IpAddr)> {
    specs.iter().filter_map(|spec| match spec.carrier {
        Carrier::Carried { kind, local, .. } => Some((kind, local)),
        Carrier::Tagged { .. } => None,
    })
}

/// The device of the thread's namespace that has an address.
fn device_of(address: IpAddr) -> Result<String, ClientError> {
    let failed = |source| ClientError::os(format!("find the device of {address}"), source);
    let mut entries = getifaddrs().map_err(failed)?;
    let found = entries.find(|entry| {
        let Some(candidate) = &entry.address else {
            return false;
        };
        match candidate.family() {
            Some(AddressFamily::Inet) => candidate
                .as_sockaddr_in()
                .is_some_and(|found| IpAddr::V4(found.ip()) == address),
            Some(AddressFamily::Inet6) => candidate
                .as_sockaddr_in6()
                .is_some_and(|found| IpAddr::V6(found.ip()) == address),
            _ => false,
        }
    });
    let none = || failed(nix::errno::Errno::EADDRNOTAVAIL);
    found.map(|entry| entry.interface_name).ok_or_else(none)
}

fn raw(domain: Domain, protocol: i32) -> Result<Socket, ClientError> {
    Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))
        .map_err(|source| ClientError::os("open a raw socket", source))
}
