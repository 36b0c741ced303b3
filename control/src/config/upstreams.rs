//! `[upstreams]`: ISPs, on ports, where (port, VLAN stack, source MAC) tells them apart, or behind carriers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use tp_wire::MacAddr;

use super::attachment::{Keys, LinkName};
use super::raw::{RawFile, RawUpstream, Text, span};
use super::report::{LinkSpans, Problems, Spans};
use super::text::{self, ValueProblem};
use super::{addresses, claims};
use crate::compile::MAX_SOURCE_MACS;
use crate::model::{Attachment, Bare, LinkAddresses, Name, NextHop, Upstream};

/// `[upstreams]` asks for what cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum UpstreamProblem {
    /// An address as next hop behind VLAN tags.
    #[error("the next hop of an upstream with VLANs must be a MAC address")]
    #[diagnostic(help(
        "the kernel resolves addresses on the port without its VLANs: write the router's MAC address, or give the \
         link addresses, by which the portal resolves it: link = [{{ portal = \"192.0.2.10\", router = \"192.0.2.1\" }}]"
    ))]
    AddressBehindVlans {
        /// Its place.
        #[label(primary, "an address")]
        at: SourceSpan,
        /// The place of the other.
        #[label("with VLANs")]
        vlans: SourceSpan,
    },
    /// An address as next hop behind a carrier, without addresses to resolve it by.
    #[error("the next hop of an egre upstream without link addresses must be a MAC address")]
    #[diagnostic(help(
        "write the router's MAC address, or link = [{{ portal = \"192.0.2.10\", router = \"192.0.2.1\" }}]"
    ))]
    AddressWithoutLink {
        /// Its place.
        #[label("nothing resolves it")]
        at: SourceSpan,
    },
    /// An address as next hop that is not the router's on the link.
    #[error("next hop {next_hop} of upstream {upstream} is not a router of its link addresses")]
    #[diagnostic(help("the portal resolves what `link` names: {routers}"))]
    NextHopNotOnLink {
        /// The upstream.
        upstream: Name,
        /// As written.
        next_hop: IpAddr,
        /// What would be right.
        routers: String,
        /// Its place.
        #[label("not on the link")]
        at: SourceSpan,
    },
    /// Link addresses on a port, and no MAC to know the router's frames by.
    #[error("upstream {upstream} has link addresses, and nothing tells its router's frames")]
    #[diagnostic(help(
        "the portal resolves {next_hop} over the link, and must know the answers by their MAC: \
         source_macs = [\"02:00:00:00:00:01\"], or a MAC address as next_hop"
    ))]
    RouterUnknown {
        /// The upstream.
        upstream: Name,
        /// As written.
        next_hop: IpAddr,
        /// Its place.
        #[label("of unknown MAC")]
        at: SourceSpan,
    },
    /// A source MAC that one upstream lists twice.
    #[error("source MAC {mac} is listed twice")]
    #[diagnostic(help("remove one"))]
    MacTwice {
        /// As written.
        mac: String,
        /// Its place.
        #[label("again")]
        at: SourceSpan,
    },
    /// A source MAC that two upstreams claim.
    #[error("upstreams {other} and {upstream} have one source MAC {mac} on one port and VLAN")]
    #[diagnostic(help(
        "frames from it could be of either: a MAC belongs to one upstream for each port and VLAN stack"
    ))]
    SameMac {
        /// The second upstream.
        upstream: Name,
        /// The first.
        other: Name,
        /// As written.
        mac: String,
        /// Its place.
        #[label(primary, "also here")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}'s")]
        first: SourceSpan,
    },
    /// A next hop that two upstreams send to and receive from.
    #[error("upstreams {other} and {upstream} have one next hop {next_hop} on one port and VLAN")]
    #[diagnostic(help("they would be one router: give one of them another next hop"))]
    SameNextHop {
        /// The second upstream.
        upstream: Name,
        /// The first.
        other: Name,
        /// As written.
        next_hop: String,
        /// Its place.
        #[label(primary, "also here")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}'s")]
        first: SourceSpan,
    },
    /// More source MACs than the steering map holds.
    #[error("{count} source MACs are more than the {limit} that steering holds")]
    #[diagnostic(help("split the upstreams over several portals"))]
    TooManyMacs {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
        /// Its place.
        #[label("the last upstream")]
        at: SourceSpan,
    },
}

/// Who claimed something first, and where.
type Claim = (Name, SourceSpan);

/// What bare upstreams claim for themselves.
#[derive(Default)]
struct Claims {
    macs: BTreeMap<(Bare, MacAddr), Claim>,
    next_hops: BTreeMap<(Bare, String), Claim>,
}

pub(super) fn upstreams(
    raw: &RawFile,
    links: &mut claims::Claims<'_>,
    addresses: &mut addresses::Claims<'_>,
    spans: &mut Spans,
    problems: &mut Problems,
) -> BTreeMap<Name, Upstream> {
    let mut upstreams = BTreeMap::new();
    let mut claims = Claims::default();
    for (name, entry) in &raw.upstreams.entries {
        let link = LinkName::Upstream(name.clone());
        let (at, entry) = (entry.name_at, &entry.value);
        let places = LinkSpans {
            name: at,
            local: entry.local.as_ref().map(span),
            remote: entry.remote.as_ref().map(span),
            next_hop: entry.next_hop.as_ref().map(span),
        };
        spans.links.insert(link.clone(), places);
        let pairs = entry.link.iter().map(|pair| (&pair.portal, &pair.router));
        let addresses = addresses.pairs(&link, pairs, problems);
        let keys = Keys::of_upstream(name, at, entry);
        let attachment = keys.attachment(raw, problems);
        if let Some(attachment) = &attachment {
            links.take(&link, attachment, places, problems);
        }
        let parts = (attachment, addresses);
        if let Some(upstream) = upstream(name, entry, &keys, parts, &mut claims, problems) {
            upstreams.insert(name.clone(), upstream);
        }
    }
    check_macs(raw, &claims, &upstreams, problems);
    upstreams
}

fn check_macs(
    raw: &RawFile,
    claims: &Claims,
    upstreams: &BTreeMap<Name, Upstream>,
    problems: &mut Problems,
) {
    // What the kernel will resolve is one each.
    let resolved = |upstream: &&Upstream| {
        upstream.source_macs.is_empty()
            && upstream.attachment.bare().is_some()
            && matches!(upstream.next_hop, Some(NextHop::Address(_)))
    };
    let count = claims.macs.len() + upstreams.values().filter(resolved).count();
    if let (true, Some((_, last))) = (
        count > MAX_SOURCE_MACS,
        raw.upstreams.entries.last_key_value(),
    ) {
        let at = last.name_at;
        problems.push(UpstreamProblem::TooManyMacs {
            count,
            limit: MAX_SOURCE_MACS,
            at,
        });
    }
}

fn upstream(
    name: &Name,
    raw: &RawUpstream,
    keys: &Keys<'_>,
    (attachment, addresses): (Option<Attachment>, Vec<LinkAddresses>),
    claims: &mut Claims,
    problems: &mut Problems,
) -> Option<Upstream> {
    let source_macs = source_macs(raw, problems);
    let attachment = attachment?;
    let next_hop = match &raw.next_hop {
        text if attachment.is_ethernet() => {
            let text = keys.need("next_hop", text.as_ref(), problems)?;
            let next_hop = problems.keep(next_hop(text));
            if let Some(NextHop::Address(address)) = next_hop {
                check_resolvable(name, raw, &attachment, (address, span(text)), problems);
            }
            if let Attachment::Bare(bare) = &attachment {
                claims.source_macs(name, bare, (text, next_hop), &source_macs, problems);
                claims.next_hop(name, bare, text, next_hop, problems);
            }
            Some(next_hop?)
        }
        _ => None,
    };
    Some(Upstream {
        attachment,
        next_hop,
        source_macs: source_macs.into_iter().map(|(mac, _)| mac).collect(),
        addresses,
    })
}

/// The kernel must be able to resolve the address: on the port, or where there are link addresses on the
/// portal's TAP device, over the link.
fn check_resolvable(
    name: &Name,
    raw: &RawUpstream,
    attachment: &Attachment,
    (next_hop, at): (IpAddr, SourceSpan),
    problems: &mut Problems,
) {
    if raw.link.is_empty() {
        match (attachment, &raw.vlans) {
            (Attachment::Carried(_), _) => {
                problems.push(UpstreamProblem::AddressWithoutLink { at });
            }
            (Attachment::Bare(_), Some(tags)) if !tags.get_ref().is_empty() => {
                let vlans = span(tags);
                problems.push(UpstreamProblem::AddressBehindVlans { at, vlans });
            }
            _ => {}
        }
        return;
    }
    let routers = raw.link.iter().map(|pair| pair.router.get_ref());
    let is_router = |text: &String| text.parse() == Ok(next_hop);
    if !routers.clone().any(is_router) {
        let routers: Vec<&str> = routers.map(String::as_str).collect();
        problems.push(UpstreamProblem::NextHopNotOnLink {
            upstream: name.clone(),
            next_hop,
            routers: routers.join(", "),
            at,
        });
    }
    if attachment.bare().is_some() && raw.source_macs.is_none() {
        let upstream = name.clone();
        problems.push(UpstreamProblem::RouterUnknown {
            upstream,
            next_hop,
            at,
        });
    }
}

fn next_hop(text: &Text) -> Result<NextHop, ValueProblem> {
    // An IPv6 address has colons too, but never five of them between pairs of digits only.
    match text::mac(text) {
        Ok(mac) => Ok(NextHop::Mac(mac)),
        Err(problem @ ValueProblem::NotUnicastMac { .. }) => Err(problem),
        Err(_) => text::link_address(text, "next_hop").map(NextHop::Address),
    }
}

fn source_macs(raw: &RawUpstream, problems: &mut Problems) -> Vec<(MacAddr, SourceSpan)> {
    let mut seen = BTreeSet::new();
    let mut macs = Vec::new();
    let listed = raw.source_macs.iter().flat_map(toml::Spanned::get_ref);
    for text in listed {
        let Some(mac) = problems.keep(text::mac(text)) else {
            continue;
        };
        if seen.insert(mac) {
            macs.push((mac, span(text)));
        } else {
            let mac = text.get_ref().clone();
            problems.push(UpstreamProblem::MacTwice {
                mac,
                at: span(text),
            });
        }
    }
    macs
}

impl Claims {
    /// The MACs whose frames are this upstream's: those listed, else the next hop's where it is known.
    fn source_macs(
        &mut self,
        name: &Name,
        bare: &Bare,
        (text, next_hop): (&Text, Option<NextHop>),
        listed: &[(MacAddr, SourceSpan)],
        problems: &mut Problems,
    ) {
        let own = match next_hop {
            Some(NextHop::Mac(mac)) if listed.is_empty() => vec![(mac, span(text))],
            _ => listed.to_vec(),
        };
        for (mac, at) in own {
            let claim = (name.clone(), at);
            let before = self
                .macs
                .entry((bare.clone(), mac))
                .or_insert_with(|| claim.clone());
            if *before != claim {
                problems.push(UpstreamProblem::SameMac {
                    upstream: name.clone(),
                    other: before.0.clone(),
                    mac: mac.to_string(),
                    at,
                    first: before.1,
                });
            }
        }
    }

    fn next_hop(
        &mut self,
        name: &Name,
        bare: &Bare,
        text: &Text,
        next_hop: Option<NextHop>,
        problems: &mut Problems,
    ) {
        let written = match next_hop {
            Some(NextHop::Mac(mac)) => mac.to_string(),
            Some(NextHop::Address(address)) => address.to_string(),
            None => return,
        };
        let claim = (name.clone(), span(text));
        let key = (bare.clone(), written.clone());
        let before = self.next_hops.entry(key).or_insert_with(|| claim.clone());
        if *before != claim {
            problems.push(UpstreamProblem::SameNextHop {
                upstream: name.clone(),
                other: before.0.clone(),
                next_hop: written,
                at: claim.1,
                first: before.1,
            });
        }
    }
}
