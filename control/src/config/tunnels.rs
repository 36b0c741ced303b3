//! `[tunnels]`: links of clients to upstreams, and what the clients announce over them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::rates::rates;
use super::raw::{RawFile, RawKind, RawTunnel, span};
use super::report::{Problems, Spans, TunnelSpans};
use super::text::{self, number};
use crate::model::{Attachment, Carried, Client, Name, Tunnel, TunnelKind, Upstreams};

/// TTL of outer headers where none is given (RFC 1700's recommended default).
const DEFAULT_TTL: u8 = 64;

/// `[tunnels]` asks for what cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum TunnelProblem {
    /// Of a client that is not there.
    #[error("tunnel {tunnel} is of client `{client}`, which is not in [clients]")]
    #[diagnostic(help("add [clients.{client}], or name one of: {known}"))]
    NoClient {
        /// The tunnel.
        tunnel: Name,
        /// As written.
        client: String,
        /// The clients there are.
        known: String,
        /// Its place.
        #[label("no such client")]
        at: SourceSpan,
    },
    /// To an upstream that is not there.
    #[error("tunnel {tunnel} leads to upstream `{upstream}`, which is not in [upstreams]")]
    #[diagnostic(help("add [upstreams.{upstream}], or name one of: {known}"))]
    NoUpstream {
        /// The tunnel.
        tunnel: Name,
        /// As written.
        upstream: String,
        /// The upstreams there are.
        known: String,
        /// Its place.
        #[label("no such upstream")]
        at: SourceSpan,
    },
    /// A key where the encapsulation has none.
    #[error("an ipip tunnel has no key")]
    #[diagnostic(help("remove key, or use kind = \"gre\""))]
    KeyOnIpip {
        /// Its place.
        #[label("no such field in IP in IP (RFC 2003)")]
        at: SourceSpan,
    },
    /// A tunnel to itself.
    #[error("tunnel {tunnel} has one address {address} at both ends")]
    #[diagnostic(help("local is the portal's address, remote the client's"))]
    SameEnds {
        /// The tunnel.
        tunnel: Name,
        /// Both.
        address: IpAddr,
        /// Its place.
        #[label("the same as local")]
        at: SourceSpan,
    },
    /// A far end that is reached through clients' tunnels.
    #[error("the far end {remote} of tunnel {tunnel} is within {prefix} of client {client}")]
    #[diagnostic(help(
        "its packets would be tunnelled into a tunnel: remote is an address that is reached without one"
    ))]
    RemoteInPrefix {
        /// The tunnel.
        tunnel: Name,
        /// As written.
        remote: IpAddr,
        /// Around it.
        prefix: IpNet,
        /// Whose it is.
        client: Name,
        /// Its place.
        #[label("a client's address")]
        at: SourceSpan,
    },
    /// Two tunnels whose packets look the same.
    #[error("tunnels {other} and {tunnel} have one outer header: {header}")]
    #[diagnostic(help(
        "packets could be of either: use another local address, or other GRE keys (none is not key 0)"
    ))]
    SameHeader {
        /// The second tunnel.
        tunnel: Name,
        /// The first.
        other: Name,
        /// In words.
        header: String,
        /// Its place.
        #[label(primary, "the same")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}")]
        first: SourceSpan,
    },
    /// A route that is not the client's.
    #[error("route {route} is not within a prefix of client {client}")]
    #[diagnostic(help("a client announces what it owns: {owned}"))]
    ForeignRoute {
        /// As written.
        route: IpNet,
        /// The client.
        client: Name,
        /// Its prefixes.
        owned: String,
        /// Its place.
        #[label("not the client's")]
        at: SourceSpan,
    },
    /// A route announced twice to one upstream.
    #[error("route {route} is announced to upstream {upstream} by tunnel {other} already")]
    #[diagnostic(help(
        "a virtual FIB has one way for each route: remove one, or split the prefix"
    ))]
    SameRoute {
        /// As written.
        route: IpNet,
        /// The upstream.
        upstream: Name,
        /// Who has it.
        other: Name,
        /// Its place.
        #[label(primary, "again")]
        at: SourceSpan,
        /// The place of the other.
        #[label("first here")]
        first: SourceSpan,
    },
}

/// What tunnels claim for themselves, with the first who did.
#[derive(Default)]
struct Claims {
    headers: BTreeMap<(IpAddr, IpAddr, TunnelKind), (Name, SourceSpan)>,
    routes: BTreeMap<(Name, IpNet), (Name, SourceSpan)>,
}

pub(super) fn tunnels(
    raw: &RawFile,
    clients: &BTreeMap<Name, Client>,
    spans: &mut Spans,
    problems: &mut Problems,
) -> BTreeMap<Name, Tunnel> {
    let mut tunnels = BTreeMap::new();
    let mut claims = Claims::default();
    let owners = owners(clients);
    for (name, entry) in &raw.tunnels.entries {
        let places = TunnelSpans {
            local: span(&entry.value.local),
            remote: span(&entry.value.remote),
        };
        spans.tunnels.insert(name.clone(), places);
        check_references(raw, name, &entry.value, problems);
        let Some(tunnel) = tunnel(&entry.value, problems) else {
            continue;
        };
        check_remote(name, &tunnel, &owners, places, problems);
        check_routes_owned(&entry.value, clients, problems);
        claims.header(name, &tunnel, entry.name_at, problems);
        claims.routes(name, &tunnel, &entry.value, problems);
        tunnels.insert(name.clone(), tunnel);
    }
    tunnels
}

fn check_references(raw: &RawFile, name: &Name, tunnel: &RawTunnel, problems: &mut Problems) {
    let (client, upstream) = (tunnel.client.get_ref(), tunnel.upstream.get_ref());
    if !raw.clients.names(client) {
        problems.push(TunnelProblem::NoClient {
            tunnel: name.clone(),
            client: client.clone(),
            known: raw.clients.known(),
            at: span(&tunnel.client),
        });
    }
    if !raw.upstreams.names(upstream) {
        problems.push(TunnelProblem::NoUpstream {
            tunnel: name.clone(),
            upstream: upstream.clone(),
            known: raw.upstreams.known(),
            at: span(&tunnel.upstream),
        });
    }
}

fn tunnel(raw: &RawTunnel, problems: &mut Problems) -> Option<Tunnel> {
    let kind = kind(raw, problems);
    let local = problems.keep(text::address(&raw.local, "local"));
    let remote = problems.keep(text::address(&raw.remote, "remote"));
    let routes = raw
        .routes
        .iter()
        .map(|text| problems.keep(text::prefix(text, "routes")));
    let routes: Vec<Option<Ipv4Net>> = routes.collect();
    let ttl = raw
        .ttl
        .as_ref()
        .map(|ttl| problems.keep(number(ttl, "ttl", 1..=u8::MAX)));
    let dscp = raw
        .dscp
        .as_ref()
        .map(|dscp| problems.keep(number(dscp, "dscp", 0..=63_u8)));
    let rates = rates(raw.rate.as_ref(), problems);
    Some(Tunnel {
        client: raw.client.get_ref().clone(),
        upstreams: Upstreams::One(raw.upstream.get_ref().clone()),
        attachment: Attachment::Carried(Carried {
            local: local?.into(),
            remote: remote?.into(),
            kind: kind?,
            ttl: ttl.unwrap_or(Some(DEFAULT_TTL))?,
            dscp: dscp.unwrap_or(Some(0))?,
        }),
        peer: None,
        addresses: Vec::new(),
        routes: routes
            .into_iter()
            .map(|net| net.map(IpNet::V4))
            .collect::<Option<_>>()?,
        rates,
    })
}

fn kind(raw: &RawTunnel, problems: &mut Problems) -> Option<TunnelKind> {
    match (raw.kind, &raw.key) {
        (RawKind::Gre, None) => Some(TunnelKind::Gre { key: None }),
        (RawKind::Gre, Some(key)) => {
            let key = problems.keep(number(key, "key", 0..=u32::MAX))?;
            Some(TunnelKind::Gre { key: Some(key) })
        }
        (RawKind::Ipip, None) => Some(TunnelKind::Ipip),
        (RawKind::Ipip, Some(key)) => {
            problems.push(TunnelProblem::KeyOnIpip { at: span(key) });
            None
        }
    }
}

/// All prefixes with their owners, by network; disjoint between clients.
fn owners(clients: &BTreeMap<Name, Client>) -> BTreeMap<IpNet, &Name> {
    clients
        .iter()
        .flat_map(|(name, client)| client.prefixes.iter().map(move |prefix| (*prefix, name)))
        .collect()
}

fn check_remote(
    name: &Name,
    tunnel: &Tunnel,
    owners: &BTreeMap<IpNet, &Name>,
    places: TunnelSpans,
    problems: &mut Problems,
) {
    let Some(&Carried { local, remote, .. }) = tunnel.attachment.carried() else {
        return;
    };
    let at = places.remote;
    if local == remote {
        problems.push(TunnelProblem::SameEnds {
            tunnel: name.clone(),
            address: remote,
            at,
        });
    }
    // At most 32 look-ups, whatever the number of prefixes.
    let around = (1..=32).rev().find_map(|length| {
        let prefix = IpNet::new_assert(remote, length).trunc();
        owners.get(&prefix).map(|client| (prefix, *client))
    });
    if let Some((prefix, client)) = around {
        let (tunnel, client) = (name.clone(), client.clone());
        problems.push(TunnelProblem::RemoteInPrefix {
            tunnel,
            remote,
            prefix,
            client,
            at,
        });
    }
}

fn check_routes_owned(raw: &RawTunnel, clients: &BTreeMap<Name, Client>, problems: &mut Problems) {
    let Some(client) = clients.get(raw.client.get_ref()) else {
        return;
    };
    for text in &raw.routes {
        let Ok(route) = text::prefix(text, "routes").map(IpNet::V4) else {
            continue;
        };
        if !client.prefixes.iter().any(|prefix| prefix.contains(&route)) {
            let owned: Vec<String> = client.prefixes.iter().map(IpNet::to_string).collect();
            problems.push(TunnelProblem::ForeignRoute {
                route,
                client: raw.client.get_ref().clone(),
                owned: owned.join(", "),
                at: span(text),
            });
        }
    }
}

impl Claims {
    fn header(&mut self, name: &Name, tunnel: &Tunnel, at: SourceSpan, problems: &mut Problems) {
        let Some(&Carried {
            local,
            remote,
            kind,
            ..
        }) = tunnel.attachment.carried()
        else {
            return;
        };
        let key = (local, remote, kind);
        if let Some((other, first)) = self.headers.get(&key) {
            let kind = match kind {
                TunnelKind::Gre { key: None } => "gre without a key".to_owned(),
                TunnelKind::Gre { key: Some(key) } => format!("gre with key {key}"),
                _ => "ipip".to_owned(),
            };
            problems.push(TunnelProblem::SameHeader {
                tunnel: name.clone(),
                other: other.clone(),
                header: format!("{local} to {remote}, {kind}"),
                at,
                first: *first,
            });
        } else {
            self.headers.insert(key, (name.clone(), at));
        }
    }

    fn routes(&mut self, name: &Name, tunnel: &Tunnel, raw: &RawTunnel, problems: &mut Problems) {
        for (route, text) in tunnel.routes.iter().zip(&raw.routes) {
            let upstream = raw.upstream.get_ref();
            let key = (upstream.clone(), *route);
            if let Some((other, first)) = self.routes.get(&key) {
                problems.push(TunnelProblem::SameRoute {
                    route: *route,
                    upstream: upstream.clone(),
                    other: other.clone(),
                    at: span(text),
                    first: *first,
                });
            } else {
                self.routes.insert(key, (name.clone(), span(text)));
            }
        }
    }
}
