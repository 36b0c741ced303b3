//! `[upstreams]`: ISPs, told apart by (port, VLAN stack, source MAC).

use std::collections::{BTreeMap, BTreeSet};

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use tp_wire::MacAddr;

use super::raw::{RawFile, RawTag, RawUpstream, RawVlan, Text, span};
use super::report::{Problems, Spans};
use super::text::{self, ValueProblem};
use crate::compile::MAX_SOURCE_MACS;
use crate::model::{Attachment, Bare, Name, NextHop, Upstream, Vlan};

/// Most VLAN tags that steering reads (docs/steering.md, step 3).
const MAX_VLANS: usize = 2;

/// `[upstreams]` asks for what cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum UpstreamProblem {
    /// On a port that is not configured.
    #[error("upstream {upstream} is on port `{port}`, which is not in [ports]")]
    #[diagnostic(help("add [ports.{port}], or name one of: {known}"))]
    NoPort {
        /// The upstream.
        upstream: Name,
        /// As written.
        port: String,
        /// The ports there are.
        known: String,
        /// Its place.
        #[label("no such port")]
        at: SourceSpan,
    },
    /// Too many VLAN tags.
    #[error("{count} VLAN tags")]
    #[diagnostic(help("at most {MAX_VLANS}, outermost first"))]
    TooManyVlans {
        /// As written.
        count: usize,
        /// Its place.
        #[label("too many")]
        at: SourceSpan,
    },
    /// An address as next hop behind VLAN tags.
    #[error("the next hop of an upstream with VLANs must be a MAC address")]
    #[diagnostic(help(
        "the kernel resolves addresses on the port without its VLANs: write the router's MAC address"
    ))]
    AddressBehindVlans {
        /// Its place.
        #[label(primary, "an address")]
        at: SourceSpan,
        /// The place of the other.
        #[label("with VLANs")]
        vlans: SourceSpan,
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

/// Where frames arrive: a port and a VLAN stack.
type Link = (Name, Vec<Vlan>);
/// Who claimed something first, and where.
type Claim = (Name, SourceSpan);

/// What upstreams claim for themselves.
#[derive(Default)]
struct Claims {
    macs: BTreeMap<(Link, MacAddr), Claim>,
    next_hops: BTreeMap<(Link, String), Claim>,
}

pub(super) fn upstreams(
    raw: &RawFile,
    spans: &mut Spans,
    problems: &mut Problems,
) -> BTreeMap<Name, Upstream> {
    let mut upstreams = BTreeMap::new();
    let mut claims = Claims::default();
    for (name, entry) in &raw.upstreams.entries {
        spans
            .next_hops
            .insert(name.clone(), span(&entry.value.next_hop));
        check_port(raw, name, &entry.value.port, problems);
        if let Some(upstream) = upstream(name, &entry.value, &mut claims, problems) {
            upstreams.insert(name.clone(), upstream);
        }
    }
    // What the kernel will resolve is one each.
    let resolved = |upstream: &&Upstream| {
        upstream.source_macs.is_empty() && matches!(upstream.next_hop, Some(NextHop::Address(_)))
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
    upstreams
}

fn check_port(raw: &RawFile, upstream: &Name, port: &Text, problems: &mut Problems) {
    if !raw.ports.names(port.get_ref()) {
        problems.push(UpstreamProblem::NoPort {
            upstream: upstream.clone(),
            port: port.get_ref().clone(),
            known: raw.ports.known(),
            at: span(port),
        });
    }
}

fn upstream(
    name: &Name,
    raw: &RawUpstream,
    claims: &mut Claims,
    problems: &mut Problems,
) -> Option<Upstream> {
    let vlans = vlans(raw, problems);
    let next_hop = problems.keep(next_hop(&raw.next_hop));
    if let (Some(NextHop::Address(_)), Some(tags)) = (next_hop, &raw.vlans)
        && !tags.get_ref().is_empty()
    {
        let (at, vlans) = (span(&raw.next_hop), span(tags));
        problems.push(UpstreamProblem::AddressBehindVlans { at, vlans });
    }
    let source_macs = source_macs(raw, problems);
    let link = (raw.port.get_ref().clone(), vlans.clone());
    claims.source_macs(name, &link, raw, next_hop, &source_macs, problems);
    claims.next_hop(name, &link, &raw.next_hop, next_hop, problems);
    Some(Upstream {
        attachment: Attachment::Bare(Bare {
            port: link.0,
            vlans,
        }),
        next_hop: Some(next_hop?),
        source_macs: source_macs.into_iter().map(|(mac, _)| mac).collect(),
        addresses: Vec::new(),
    })
}

fn next_hop(text: &Text) -> Result<NextHop, ValueProblem> {
    // An IPv6 address has colons too, but never five of them between pairs of digits only.
    match text::mac(text) {
        Ok(mac) => Ok(NextHop::Mac(mac)),
        Err(problem @ ValueProblem::NotUnicastMac { .. }) => Err(problem),
        Err(_) => text::address(text, "next_hop").map(|address| NextHop::Address(address.into())),
    }
}

fn vlans(raw: &RawUpstream, problems: &mut Problems) -> Vec<Vlan> {
    let Some(list) = &raw.vlans else {
        return Vec::new();
    };
    let count = list.get_ref().len();
    if count > MAX_VLANS {
        problems.push(UpstreamProblem::TooManyVlans {
            count,
            at: span(list),
        });
    }
    let mut vlans = Vec::new();
    for tag in list.get_ref() {
        let (vid, service) = match *tag.get_ref() {
            RawVlan::Vid(vid) => (vid, false),
            RawVlan::Tag(RawTag { vid, service }) => (vid, service),
        };
        // 0 is no VLAN but a priority tag, 4095 is reserved (IEEE 802.1Q table 9-2).
        let vid = toml::Spanned::new(tag.span(), vid);
        if let Some(vid) = problems.keep(text::number(&vid, "a VID", 1..=4094_u16)) {
            vlans.push(Vlan { vid, service });
        }
    }
    vlans
}

fn source_macs(raw: &RawUpstream, problems: &mut Problems) -> Vec<(MacAddr, SourceSpan)> {
    let mut seen = BTreeSet::new();
    let mut macs = Vec::new();
    for text in &raw.source_macs {
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
        link: &Link,
        raw: &RawUpstream,
        next_hop: Option<NextHop>,
        listed: &[(MacAddr, SourceSpan)],
        problems: &mut Problems,
    ) {
        let own = match next_hop {
            Some(NextHop::Mac(mac)) if raw.source_macs.is_empty() => {
                vec![(mac, span(&raw.next_hop))]
            }
            _ => listed.to_vec(),
        };
        for (mac, at) in own {
            let claim = (name.clone(), at);
            let before = self
                .macs
                .entry((link.clone(), mac))
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
        link: &Link,
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
        let key = (link.clone(), written.clone());
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
