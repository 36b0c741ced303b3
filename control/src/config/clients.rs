//! `[clients]`: hosted networks and the prefixes that are theirs alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::rates::rates;
use super::raw::{RawClient, RawFile, span};
use super::report::Problems;
use super::text::{self, number};
use crate::model::{Client, Name};

/// `[clients]` asks for what cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum ClientProblem {
    /// A client without a prefix.
    #[error("client {client} has no prefix")]
    #[diagnostic(help("without one, all that it sends has a forged source: name what it owns"))]
    NoPrefix {
        /// The client.
        client: Name,
        /// Its place.
        #[label("empty")]
        at: SourceSpan,
    },
    /// A prefix that no network can own.
    #[error("{prefix} takes in addresses that no client can own")]
    #[diagnostic(help("{not_hosts} are not hosts' (RFC 6890)", not_hosts = not_hosts(prefix)))]
    NotHosts {
        /// As written.
        prefix: IpNet,
        /// Its place.
        #[label("not hosts' addresses")]
        at: SourceSpan,
    },
    /// A prefix listed twice.
    #[error("client {client} lists {prefix} twice")]
    #[diagnostic(help("remove one"))]
    Twice {
        /// The client.
        client: Name,
        /// As written.
        prefix: IpNet,
        /// Its place.
        #[label(primary, "again")]
        at: SourceSpan,
        /// The place of the other.
        #[label("first here")]
        first: SourceSpan,
    },
    /// Two clients that would own one address.
    #[error("{prefix} of client {client} overlaps {other} of client {owner}")]
    #[diagnostic(help(
        "an address belongs to one client: anti-spoofing could not tell them apart"
    ))]
    Overlap {
        /// The inner prefix, or the second of two equal ones.
        prefix: IpNet,
        /// Its client.
        client: Name,
        /// The prefix around it.
        other: IpNet,
        /// The other client.
        owner: Name,
        /// Its place.
        #[label(primary, "within the other")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{owner}'s")]
        first: SourceSpan,
    },
}

/// All clients' prefixes, disjoint between clients.
pub(super) struct Owners(BTreeMap<IpNet, Name>);

impl Owners {
    pub(super) fn new(clients: &BTreeMap<Name, Client>) -> Self {
        let owned = clients.iter().flat_map(|(name, client)| {
            let prefixes = client.prefixes.iter();
            prefixes.map(move |prefix| (*prefix, name.clone()))
        });
        Self(owned.collect())
    }

    /// The longest prefix around an address, and whose it is: a look-up for each length, whatever the number of
    /// prefixes.
    pub(super) fn of(&self, address: IpAddr) -> Option<(IpNet, &Name)> {
        (0..=IpNet::from(address).max_prefix_len())
            .rev()
            .find_map(|length| {
                let prefix = IpNet::new_assert(address, length).trunc();
                Some((prefix, self.0.get(&prefix)?))
            })
    }
}

/// A prefix with its owner and place.
struct Owned<'a> {
    prefix: IpNet,
    client: &'a Name,
    at: SourceSpan,
}

pub(super) fn clients(raw: &RawFile, problems: &mut Problems) -> BTreeMap<Name, Client> {
    let mut clients = BTreeMap::new();
    let mut owned = Vec::new();
    for (name, entry) in &raw.clients.entries {
        let (client, prefixes) = client(name, &entry.value, problems);
        // Without one of its prefixes, routes within it would look foreign.
        if prefixes.len() == entry.value.prefixes.get_ref().len() {
            clients.insert(name.clone(), client);
        }
        owned.extend(prefixes.into_iter().map(|(prefix, at)| Owned {
            prefix,
            client: name,
            at,
        }));
    }
    check_overlaps(owned, problems);
    clients
}

fn client(
    name: &Name,
    raw: &RawClient,
    problems: &mut Problems,
) -> (Client, Vec<(IpNet, SourceSpan)>) {
    // AS 0 is reserved (RFC 7607).
    let asn = raw
        .asn
        .as_ref()
        .and_then(|asn| problems.keep(number(asn, "asn", 1..=u32::MAX)));
    let listed = raw.prefixes.get_ref();
    if listed.is_empty() {
        problems.push(ClientProblem::NoPrefix {
            client: name.clone(),
            at: span(&raw.prefixes),
        });
    }
    let mut prefixes = Vec::new();
    for text in listed {
        let Some(prefix) = problems.keep(text::prefix(text)) else {
            continue;
        };
        if is_hosts(&prefix) {
            prefixes.push((prefix, span(text)));
        } else {
            problems.push(ClientProblem::NotHosts {
                prefix,
                at: span(text),
            });
        }
    }
    let mut sorted: Vec<IpNet> = prefixes.iter().map(|(prefix, _)| *prefix).collect();
    sorted.sort_unstable();
    let rates = rates(raw.rate.as_ref(), problems);
    (
        Client {
            asn,
            prefixes: sorted,
            rates,
        },
        prefixes,
    )
}

/// Blocks whose addresses a packet to be forwarded has neither as source nor as destination
/// (docs/forwarding.md section 4).
const MARTIANS_V4: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];
const MARTIANS_V6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 127),
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether all of the prefix may be addresses of hosts.
fn is_hosts(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(net) => {
            let apart = |m: &Ipv4Net| !m.contains(net) && !net.contains(m);
            MARTIANS_V4.iter().all(apart)
        }
        IpNet::V6(net) => {
            let apart = |m: &Ipv6Net| !m.contains(net) && !net.contains(m);
            MARTIANS_V6.iter().all(apart)
        }
    }
}

/// The blocks of the prefix's family that are not hosts', in words.
fn not_hosts(prefix: &IpNet) -> String {
    let blocks: Vec<String> = match prefix {
        IpNet::V4(_) => MARTIANS_V4.iter().map(ToString::to_string).collect(),
        IpNet::V6(_) => MARTIANS_V6.iter().map(ToString::to_string).collect(),
    };
    blocks.join(", ")
}

fn check_overlaps(mut owned: Vec<Owned<'_>>, problems: &mut Problems) {
    // By network, the wider first, then by place: what contains a prefix comes before it.
    owned.sort_by_key(|o| (o.prefix.network(), o.prefix.prefix_len(), o.at.offset()));
    let mut around: Vec<&Owned<'_>> = Vec::new();
    for inner in &owned {
        while around
            .last()
            .is_some_and(|outer| !outer.prefix.contains(&inner.prefix))
        {
            around.pop();
        }
        if let Some(outer) = around.last() {
            if outer.client != inner.client {
                problems.push(ClientProblem::Overlap {
                    prefix: inner.prefix,
                    client: inner.client.clone(),
                    other: outer.prefix,
                    owner: outer.client.clone(),
                    at: inner.at,
                    first: outer.at,
                });
            } else if outer.prefix == inner.prefix {
                let (client, prefix) = (inner.client.clone(), inner.prefix);
                problems.push(ClientProblem::Twice {
                    client,
                    prefix,
                    at: inner.at,
                    first: outer.at,
                });
            }
        }
        around.push(inner);
    }
}
