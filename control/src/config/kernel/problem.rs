//! What may be wrong between a model and the machine.

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use tp_wire::MacAddr;

use crate::config::attachment::LinkName;
use crate::model::Name;

/// The model does not fit the machine.
#[derive(Debug, Error, Diagnostic)]
pub enum KernelProblem {
    /// A port that is no device.
    #[error("there is no device {port}")]
    #[diagnostic(help("the devices are: {known}"))]
    NoDevice {
        /// The port.
        port: Name,
        /// The devices there are.
        known: String,
        /// Its place.
        #[label("no such device")]
        at: SourceSpan,
    },
    /// A port whose packets do not fit.
    #[error(
        "port {port} has an MTU of {mtu}, more than the {most} that a chunk of {chunk} bytes holds"
    )]
    #[diagnostic(help("{remedy}"))]
    Mtu {
        /// The port.
        port: Name,
        /// Bytes.
        mtu: u32,
        /// Bytes.
        most: u32,
        /// Bytes.
        chunk: u32,
        /// What would be right.
        remedy: String,
        /// Its place.
        #[label(primary, "MTU {mtu}")]
        at: SourceSpan,
        /// The place of the other.
        #[label("the size of chunks is set here")]
        chunk_at: Option<SourceSpan>,
    },
    /// More workers than queues.
    #[error("{workers} workers, but port {port} has {rx} receive and {tx} transmit queues")]
    #[diagnostic(help("{remedy}"))]
    Queues {
        /// How many there are.
        workers: usize,
        /// The port.
        port: Name,
        /// Receive queues.
        rx: u32,
        /// Transmit queues.
        tx: u32,
        /// What would be right.
        remedy: String,
        /// Its place.
        #[label(primary, "each needs a queue of every port")]
        at: SourceSpan,
        /// The place of the other.
        #[label("this port")]
        port_at: SourceSpan,
    },
    /// More receive queues than the socket map has places.
    #[error("port {port} has {rx} receive queues, more than the {limit} that a port may have")]
    #[diagnostic(help("ethtool -L {port} combined {limit}"))]
    TooManyQueues {
        /// The port.
        port: Name,
        /// Receive queues.
        rx: u32,
        /// How many there may be.
        limit: usize,
        /// Its place.
        #[label("too many queues")]
        at: SourceSpan,
    },
    /// Too few frames for the sockets.
    #[error(
        "{sockets} sockets, one for each receive queue of every port, lend up to {needed} frames to the kernel, and \
         there are {frames}"
    )]
    #[diagnostic(help(
        "memory = {{ frames = {needed} }}, or fewer queues: ethtool -L {port} combined N"
    ))]
    Frames {
        /// The port at which they run out.
        port: Name,
        /// Sockets of all ports.
        sockets: u32,
        /// Frames that they may need.
        needed: u32,
        /// Frames that there are.
        frames: u32,
        /// Its place.
        #[label(primary, "they run out here")]
        at: SourceSpan,
        /// Where their number is given.
        #[label("the number of frames is set here")]
        frames_at: Option<SourceSpan>,
    },
    /// A carrier from an address that is not ours.
    #[error("{address}, the local address of {link}, is not an address of this host")]
    #[diagnostic(help("ip address add {address} dev DEVICE, or name an address that is there"))]
    LocalNotHere {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// Its place.
        #[label("not here")]
        at: SourceSpan,
    },
    /// A far end that is this host.
    #[error("{address}, the far end of {link}, is an address of this host")]
    #[diagnostic(help("remote is the far end's address"))]
    RemoteIsHere {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// Its place.
        #[label("this host")]
        at: SourceSpan,
    },
    /// A far end behind a tunnel.
    #[error("the route to {address}, the far end of {link}, leads into {device}, a {kind} device")]
    #[diagnostic(help("route it by a port: ip route add {address} via GATEWAY dev PORT"))]
    RouteIntoTunnel {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// The device.
        device: Name,
        /// Its kind.
        kind: String,
        /// Its place.
        #[label("reached through a tunnel")]
        at: SourceSpan,
    },
    /// A far end behind the portal's own slow path.
    #[error("the route to {address}, the far end of {link}, leads into {device}, the portal's own")]
    #[diagnostic(help("route it by a port: ip route add {address} via GATEWAY dev PORT"))]
    RouteIntoSlowPath {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// The device.
        device: Name,
        /// Its place.
        #[label("reached through its own links")]
        at: SourceSpan,
    },
    /// A link address that the kernel has on another device.
    #[error("{address}, a link address of {link}, is an address of this host already")]
    #[diagnostic(help(
        "the kernel would take what is for the link: remove it from its device, or use another pair of link addresses"
    ))]
    LinkAddressHere {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// Its place.
        #[label("has the address")]
        at: SourceSpan,
    },
    /// A far end that no port leads to.
    #[error("the route to {address}, the far end of {link}, leads to {device}, which is no port")]
    #[diagnostic(help("add [ports.{device}], or route it by one of: {ports}"))]
    RouteToNoPort {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// The device.
        device: Name,
        /// The ports there are.
        ports: String,
        /// Its place.
        #[label("not reached by a port")]
        at: SourceSpan,
    },
    /// A far end that is not reached now.
    #[error("there is no route to {address}, the far end of {link}")]
    #[diagnostic(
        severity(Warning),
        help("packets for it are dropped until the kernel has one: ip route get {address}")
    )]
    Unreachable {
        /// Whose it is.
        link: LinkName,
        /// As written.
        address: std::net::IpAddr,
        /// Its place.
        #[label("unreachable")]
        at: SourceSpan,
    },
    /// Two upstreams whose frames would come from one MAC address.
    #[error(
        "upstreams {other} and {upstream} have one MAC {mac} on port {port}, as the kernel resolves it now"
    )]
    #[diagnostic(help(
        "frames from it could be of either, and are dropped: a MAC belongs to one upstream for each port and VLAN \
         stack. If the routers send from other MACs, name them in source_macs"
    ))]
    SharedMac {
        /// The second upstream.
        upstream: Name,
        /// The first.
        other: Name,
        /// The address.
        mac: MacAddr,
        /// Where both are.
        port: Name,
        /// Its place.
        #[label(primary, "{upstream}'s")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}'s")]
        first: SourceSpan,
    },
}
