//! What links claim for themselves: outer headers, UDP ports, and ports with VLANs; all of them, so
//! that no packet could be of two links.

use std::collections::BTreeMap;
use std::net::IpAddr;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use tp_pipeline::abi::MAX_UDP_PORTS;

use super::attachment::LinkName;
use super::clients::Owners;
use super::report::{LinkSpans, Problems};
use crate::model::{Attachment, Bare, Carried, Name, TunnelKind, Udp};

/// Two links whose packets look the same, or one that would be carried by another.
#[derive(Debug, Error, Diagnostic)]
pub enum ClaimProblem {
    /// Two links with one outer header.
    #[error("{other} and {link} have one outer header: {header}")]
    #[diagnostic(help(
        "packets could be of either: use another local address, another UDP port, or other GRE keys (none is not key 0)"
    ))]
    SameHeader {
        /// The second.
        link: LinkName,
        /// The first.
        other: LinkName,
        /// In words.
        header: String,
        /// Its place.
        #[label(primary, "the same")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}")]
        first: SourceSpan,
    },
    /// A client's link on the port and VLANs of another link.
    #[error("{link} takes all frames of port {port}{stack}, where {other} is")]
    #[diagnostic(help(
        "a client may send from any MAC address, so it has its port and VLAN stack for itself: give one of them another port or VLAN"
    ))]
    SamePlace {
        /// The client's link.
        link: LinkName,
        /// The first.
        other: LinkName,
        /// The port.
        port: Name,
        /// In words.
        stack: String,
        /// Its place.
        #[label(primary, "any MAC address")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}")]
        first: SourceSpan,
    },
    /// A UDP port of two kinds.
    #[error("{link} has UDP port {port} for {kind}, {other} for {other_kind}")]
    #[diagnostic(help("a UDP port of the portal is of one kind: use another for one of them"))]
    UdpKinds {
        /// The second.
        link: LinkName,
        /// The first.
        other: LinkName,
        /// As written.
        port: u16,
        /// In words.
        kind: &'static str,
        /// In words.
        other_kind: &'static str,
        /// Its place.
        #[label(primary, "{kind}")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other_kind}")]
        first: SourceSpan,
    },
    /// More UDP ports than the steering map holds.
    #[error("{count} UDP ports are more than the {MAX_UDP_PORTS} that steering holds")]
    #[diagnostic(help("links with other far ends may share a udp_port"))]
    TooManyUdpPorts {
        /// How many there are.
        count: usize,
        /// Its place.
        #[label("the last link with a port of its own")]
        at: SourceSpan,
    },
    /// A far end that is reached through clients' tunnels.
    #[error("the far end {remote} of {link} is within {prefix} of client {client}")]
    #[diagnostic(help(
        "its packets would be tunnelled into a tunnel: remote is an address that is reached without one"
    ))]
    RemoteInPrefix {
        /// Whose it is.
        link: LinkName,
        /// As written.
        remote: IpAddr,
        /// Around it.
        prefix: ipnet::IpNet,
        /// Whose that is.
        client: Name,
        /// Its place.
        #[label("a client's address")]
        at: SourceSpan,
    },
}

/// Who claimed something first, and where.
type Claim = (LinkName, SourceSpan);

/// The places that links claim, as they are read: upstreams first.
pub(super) struct Claims<'a> {
    owners: &'a Owners,
    headers: BTreeMap<(IpAddr, IpAddr, TunnelKind), Claim>,
    udp_ports: BTreeMap<u16, (Claim, &'static str)>,
    places: BTreeMap<Bare, Claim>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(owners: &'a Owners) -> Self {
        Self {
            owners,
            headers: BTreeMap::new(),
            udp_ports: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    pub(super) fn take(
        &mut self,
        link: &LinkName,
        attachment: &Attachment,
        places: LinkSpans,
        problems: &mut Problems,
    ) {
        match attachment {
            Attachment::Bare(bare) => self.place(link, bare, places.name, problems),
            Attachment::Carried(carried) => {
                self.header(link, carried, places.name, problems);
                self.udp_port(link, carried.kind, places.name, problems);
                let owner = self.owners.of(carried.remote);
                if let (Some((prefix, client)), Some(at)) = (owner, places.remote) {
                    problems.push(ClaimProblem::RemoteInPrefix {
                        link: link.clone(),
                        remote: carried.remote,
                        prefix,
                        client: client.clone(),
                        at,
                    });
                }
            }
        }
    }

    fn header(
        &mut self,
        link: &LinkName,
        carried: &Carried,
        at: SourceSpan,
        problems: &mut Problems,
    ) {
        let Carried { local, remote, .. } = *carried;
        let key = (local, remote, as_received(carried.kind));
        let claim = (link.clone(), at);
        let before = self.headers.entry(key).or_insert_with(|| claim.clone());
        if *before != claim {
            problems.push(ClaimProblem::SameHeader {
                link: link.clone(),
                other: before.0.clone(),
                header: format!("{local} to {remote}, {}", in_words(carried.kind)),
                at,
                first: before.1,
            });
        }
    }

    fn udp_port(
        &mut self,
        link: &LinkName,
        kind: TunnelKind,
        at: SourceSpan,
        problems: &mut Problems,
    ) {
        let (port, kind) = match kind {
            TunnelKind::Fou(udp) => (udp.port, "fou"),
            TunnelKind::Gue(udp) => (udp.port, "gue"),
            _ => return,
        };
        let count = self.udp_ports.len() + 1;
        let claim = ((link.clone(), at), kind);
        let ((other, first), other_kind) = self.udp_ports.entry(port).or_insert(claim.clone());
        if *other_kind != kind {
            problems.push(ClaimProblem::UdpKinds {
                link: link.clone(),
                other: other.clone(),
                port,
                kind,
                other_kind,
                at,
                first: *first,
            });
        } else if *other == *link && count == MAX_UDP_PORTS + 1 {
            problems.push(ClaimProblem::TooManyUdpPorts { count, at });
        }
    }

    /// Upstreams of a port and VLAN stack are told by their MACs; a client's link has it for itself.
    fn place(&mut self, link: &LinkName, bare: &Bare, at: SourceSpan, problems: &mut Problems) {
        let claim = (link.clone(), at);
        let before = self
            .places
            .entry(bare.clone())
            .or_insert_with(|| claim.clone());
        if *before != claim && matches!(link, LinkName::Tunnel(_)) {
            let vids: Vec<String> = bare.vlans.iter().map(|tag| tag.vid.to_string()).collect();
            problems.push(ClaimProblem::SamePlace {
                link: link.clone(),
                other: before.0.clone(),
                port: bare.port.clone(),
                stack: if vids.is_empty() {
                    String::new()
                } else {
                    format!(", VLAN {}", vids.join("."))
                },
                at,
                first: before.1,
            });
        }
    }
}

/// The kind with what steering sees of it in arriving packets only.
fn as_received(kind: TunnelKind) -> TunnelKind {
    let seen = |udp: Udp| Udp {
        remote_port: 0,
        checksum: false,
        ..udp
    };
    match kind {
        TunnelKind::Fou(udp) => TunnelKind::Fou(seen(udp)),
        TunnelKind::Gue(udp) => TunnelKind::Gue(seen(udp)),
        other => other,
    }
}

fn in_words(kind: TunnelKind) -> String {
    let keyed = |name, key: Option<u32>| match key {
        None => format!("{name} without a key"),
        Some(key) => format!("{name} with key {key}"),
    };
    match kind {
        TunnelKind::Ipip => "ipip".to_owned(),
        TunnelKind::Gre { key } => keyed("gre", key),
        TunnelKind::Egre { key } => keyed("egre", key),
        TunnelKind::Fou(udp) => format!("fou at UDP port {}", udp.port),
        TunnelKind::Gue(udp) => format!("gue at UDP port {}", udp.port),
    }
}
