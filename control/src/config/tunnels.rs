//! `[tunnels]`: links of clients to upstreams, and what the clients announce over them.

use std::collections::BTreeMap;

use ipnet::IpNet;
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::attachment::{Keys, LinkName};
use super::rates::rates;
use super::raw::{RawFile, RawTunnel, span};
use super::report::{LinkSpans, Problems, Spans};
use super::text;
use super::{addresses, claims, shown};
use crate::model::{Attachment, Client, LinkAddresses, Name, Tunnel, Upstreams};

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
    /// An Ethernet link whose other end has no MAC.
    #[error("nothing tells the MAC address of tunnel {tunnel}'s other end")]
    #[diagnostic(help(
        "the portal resolves it by the link addresses: link = [{{ portal = \"169.254.1.1\", client = \"169.254.1.2\" }}]; or write it: mac = \"02:00:00:00:00:01\""
    ))]
    NoPeer {
        /// The tunnel.
        tunnel: Name,
        /// Its place.
        #[label("neither `link` nor `mac`")]
        at: SourceSpan,
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

/// Routes by upstream, with the first tunnel that announced them.
type Announced = BTreeMap<(Name, IpNet), (Name, SourceSpan)>;

pub(super) fn tunnels(
    raw: &RawFile,
    clients: &BTreeMap<Name, Client>,
    links: &mut claims::Claims<'_>,
    addresses: &mut addresses::Claims<'_>,
    spans: &mut Spans,
    problems: &mut Problems,
) -> BTreeMap<Name, Tunnel> {
    // All link addresses first: a shown upstream's next hop may be no link's other end.
    let mut pairs = BTreeMap::new();
    for (name, entry) in &raw.tunnels.entries {
        let link = LinkName::Tunnel(name.clone());
        let written = entry
            .value
            .link
            .iter()
            .map(|pair| (&pair.portal, &pair.client));
        pairs.insert(name, addresses.pairs(&link, written, problems));
    }
    let context = shown::Context { raw, addresses };
    let mut tunnels = BTreeMap::new();
    let mut announced = Announced::new();
    for (name, entry) in &raw.tunnels.entries {
        let link = LinkName::Tunnel(name.clone());
        let (at, entry) = (entry.name_at, &entry.value);
        let places = LinkSpans {
            name: at,
            local: entry.local.as_ref().map(span),
            remote: entry.remote.as_ref().map(span),
            next_hop: None,
        };
        spans.links.insert(link.clone(), places);
        check_client(raw, name, entry, problems);
        let pairs = pairs.remove(name).unwrap_or_default();
        let upstreams = shown::upstreams(&context, (name, at), entry, &pairs, problems);
        let attachment = Keys::of_tunnel(name, at, entry).attachment(raw, problems);
        if let Some(attachment) = &attachment {
            links.take(&link, attachment, places, problems);
            check_peer((name, at), entry, attachment, problems);
        }
        check_routes_owned(entry, clients, problems);
        let parts = (upstreams, attachment, pairs);
        if let Some(tunnel) = tunnel(entry, parts, problems) {
            check_routes_once(name, entry, &tunnel, &mut announced, problems);
            tunnels.insert(name.clone(), tunnel);
        }
    }
    tunnels
}

fn check_client(raw: &RawFile, name: &Name, tunnel: &RawTunnel, problems: &mut Problems) {
    let client = tunnel.client.get_ref();
    if !raw.clients.names(client) {
        problems.push(TunnelProblem::NoClient {
            tunnel: name.clone(),
            client: client.clone(),
            known: raw.clients.known(),
            at: span(&tunnel.client),
        });
    }
}

fn check_peer(
    (name, at): (&Name, SourceSpan),
    tunnel: &RawTunnel,
    attachment: &Attachment,
    problems: &mut Problems,
) {
    if attachment.is_ethernet() && tunnel.mac.is_none() && tunnel.link.is_empty() {
        let tunnel = name.clone();
        problems.push(TunnelProblem::NoPeer { tunnel, at });
    }
}

type Parts = (Option<Upstreams>, Option<Attachment>, Vec<LinkAddresses>);

fn tunnel(
    raw: &RawTunnel,
    (upstreams, attachment, addresses): Parts,
    problems: &mut Problems,
) -> Option<Tunnel> {
    let routes: Vec<Option<IpNet>> = (raw.routes.iter())
        .map(|text| problems.keep(text::prefix(text)))
        .collect();
    let peer = raw.mac.as_ref().map(|text| problems.keep(text::mac(text)));
    let rates = rates(raw.rate.as_ref(), problems);
    Some(Tunnel {
        client: raw.client.get_ref().clone(),
        upstreams: upstreams?,
        attachment: attachment?,
        peer: peer.map_or(Some(None), |mac| mac.map(Some))?,
        addresses,
        routes: routes.into_iter().collect::<Option<_>>()?,
        rates,
    })
}

fn check_routes_owned(raw: &RawTunnel, clients: &BTreeMap<Name, Client>, problems: &mut Problems) {
    let Some(client) = clients.get(raw.client.get_ref()) else {
        return;
    };
    for text in &raw.routes {
        let Ok(route) = text::prefix(text) else {
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

fn check_routes_once(
    name: &Name,
    raw: &RawTunnel,
    tunnel: &Tunnel,
    announced: &mut Announced,
    problems: &mut Problems,
) {
    for (route, text) in tunnel.routes.iter().zip(&raw.routes) {
        let claim = (name.clone(), span(text));
        // What is announced to several upstreams twice is one problem.
        let mut before = None;
        for upstream in tunnel.upstreams.names() {
            let key = (upstream.clone(), *route);
            let first = announced.entry(key).or_insert_with(|| claim.clone());
            if *first != claim {
                before.get_or_insert_with(|| (upstream.clone(), first.clone()));
            }
        }
        if let Some((upstream, (other, first))) = before {
            problems.push(TunnelProblem::SameRoute {
                route: *route,
                upstream,
                other,
                at: claim.1,
                first,
            });
        }
    }
}
