//! Where a tunnel leads: to one upstream, or to several that an Ethernet link shows side by side.

use std::collections::BTreeMap;
use std::net::IpAddr;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::addresses;
use super::attachment::LinkName;
use super::raw::{RawFile, RawTunnel, Text, span};
use super::report::Problems;
use super::text;
use crate::model::{LinkAddresses, Name, Upstreams};

/// A tunnel leads where it cannot.
#[derive(Debug, Error, Diagnostic)]
pub enum ShownProblem {
    /// Nowhere.
    #[error("tunnel {tunnel} leads to no upstream")]
    #[diagnostic(help(
        "upstream = \"isp1\"; or, on an Ethernet link, several side by side: upstreams = {{ isp1 = [\"100.65.0.1\"], isp2 = [\"100.65.0.2\"] }}"
    ))]
    Nowhere {
        /// The tunnel.
        tunnel: Name,
        /// Its place.
        #[label("to no upstream")]
        at: SourceSpan,
    },
    /// To one and to several.
    #[error("tunnel {tunnel} has both `upstream` and `upstreams`")]
    #[diagnostic(help("one upstream, or several that are shown side by side: remove one key"))]
    Both {
        /// The tunnel.
        tunnel: Name,
        /// Its place.
        #[label(primary, "several")]
        at: SourceSpan,
        /// The place of the other.
        #[label("one")]
        one: SourceSpan,
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
    /// An upstream that is shown without an address.
    #[error("upstream {upstream} is shown without a next-hop address")]
    #[diagnostic(help(
        "the client sends to an upstream by its address on the link: {upstream} = [\"100.65.0.1\"]"
    ))]
    NoNextHop {
        /// The upstream.
        upstream: String,
        /// Its place.
        #[label("empty")]
        at: SourceSpan,
    },
    /// Shown upstreams on a link on which the portal has no address.
    #[error("tunnel {tunnel} shows upstreams, and has no link addresses")]
    #[diagnostic(help(
        "the portal answers ARP and neighbour discovery for them, and speaks with the client's router: link = [{{ portal = \"100.65.0.254\", client = \"100.65.0.10\" }}]"
    ))]
    NoLink {
        /// The tunnel.
        tunnel: Name,
        /// Its place.
        #[label("shown to nobody")]
        at: SourceSpan,
    },
    /// One address for two upstreams.
    #[error(
        "upstreams {other} and {upstream} have one next-hop address {address} on tunnel {tunnel}"
    )]
    #[diagnostic(help("give each its own: the address is what the client chooses by"))]
    SameNextHop {
        /// The tunnel.
        tunnel: Name,
        /// The second.
        upstream: String,
        /// The first.
        other: String,
        /// As written.
        address: IpAddr,
        /// Its place.
        #[label(primary, "also here")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}'s")]
        first: SourceSpan,
    },
    /// A next-hop address that is someone else's on a link.
    #[error("{address} as next-hop address of upstream {upstream} is {whose} link address")]
    #[diagnostic(help("a shown upstream has an address of its own"))]
    NotItsOwn {
        /// The upstream.
        upstream: String,
        /// As written.
        address: IpAddr,
        /// In words.
        whose: String,
        /// Its place.
        #[label("taken")]
        at: SourceSpan,
    },
}

/// What a tunnel's upstreams are read with.
pub(super) struct Context<'a> {
    pub(super) raw: &'a RawFile,
    pub(super) addresses: &'a addresses::Claims<'a>,
}

/// Where the tunnel leads; `None` if that is wrong in itself.
pub(super) fn upstreams(
    context: &Context<'_>,
    (name, name_at): (&Name, SourceSpan),
    tunnel: &RawTunnel,
    pairs: &[LinkAddresses],
    problems: &mut Problems,
) -> Option<Upstreams> {
    match (&tunnel.upstream, &tunnel.upstreams) {
        (Some(one), None) => {
            check_known(context, name, one, problems);
            Some(Upstreams::One(one.get_ref().clone()))
        }
        (None, Some(several)) => {
            let at = span(several);
            let several = several.get_ref();
            if several.is_empty() {
                let tunnel = name.clone();
                problems.push(ShownProblem::Nowhere { tunnel, at });
            }
            if tunnel.link.is_empty() {
                let tunnel = name.clone();
                problems.push(ShownProblem::NoLink { tunnel, at });
            }
            let mut shown = Shown {
                context,
                tunnel: name,
                pairs,
                seen: BTreeMap::new(),
            };
            let read = several.iter().map(|(upstream, addresses)| {
                check_known(context, name, upstream, problems);
                let list = (span(addresses), addresses.get_ref());
                (
                    upstream.get_ref().clone(),
                    shown.next_hops(upstream.get_ref(), list, problems),
                )
            });
            Some(Upstreams::Shown(read.collect()))
        }
        (None, None) => {
            let (tunnel, at) = (name.clone(), name_at);
            problems.push(ShownProblem::Nowhere { tunnel, at });
            None
        }
        (Some(one), Some(several)) => {
            problems.push(ShownProblem::Both {
                tunnel: name.clone(),
                at: span(several),
                one: span(one),
            });
            None
        }
    }
}

fn check_known(context: &Context<'_>, tunnel: &Name, upstream: &Text, problems: &mut Problems) {
    if !context.raw.upstreams.names(upstream.get_ref()) {
        problems.push(ShownProblem::NoUpstream {
            tunnel: tunnel.clone(),
            upstream: upstream.get_ref().clone(),
            known: context.raw.upstreams.known(),
            at: span(upstream),
        });
    }
}

/// The next-hop addresses of a link, as they are read.
struct Shown<'a> {
    context: &'a Context<'a>,
    tunnel: &'a Name,
    pairs: &'a [LinkAddresses],
    seen: BTreeMap<IpAddr, (String, SourceSpan)>,
}

impl Shown<'_> {
    fn next_hops(
        &mut self,
        upstream: &str,
        (at, list): (SourceSpan, &Vec<Text>),
        problems: &mut Problems,
    ) -> Vec<IpAddr> {
        if list.is_empty() {
            let upstream = upstream.to_owned();
            problems.push(ShownProblem::NoNextHop { upstream, at });
        }
        let mut addresses = Vec::new();
        for text in list {
            let read = text::link_address(text, "a next-hop address");
            if let Some(address) = problems.keep(read) {
                self.take(upstream, address, span(text), problems);
                addresses.push(address);
            }
        }
        addresses
    }

    fn take(&mut self, upstream: &str, address: IpAddr, at: SourceSpan, problems: &mut Problems) {
        self.context.addresses.not_a_clients(address, at, problems);
        let of_the_portal = self.pairs.iter().any(|pair| pair.portal == address);
        let whose = if of_the_portal {
            Some("the portal's".to_owned())
        } else {
            let peer = self.context.addresses.peer_of(address);
            peer.map(|(link, _): &(LinkName, _)| format!("{link}'s other end's"))
        };
        if let Some(whose) = whose {
            problems.push(ShownProblem::NotItsOwn {
                upstream: upstream.to_owned(),
                address,
                whose,
                at,
            });
        }
        let claim = (upstream.to_owned(), at);
        let before = self.seen.entry(address).or_insert_with(|| claim.clone());
        if *before != claim {
            problems.push(ShownProblem::SameNextHop {
                tunnel: self.tunnel.clone(),
                upstream: upstream.to_owned(),
                other: before.0.clone(),
                address,
                at,
                first: before.1,
            });
        }
    }
}
