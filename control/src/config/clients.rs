//! `[clients]`: hosted networks and the prefixes that are theirs alone.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};
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
    #[diagnostic(help("0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3 are not hosts' (RFC 6890)"))]
    NotHosts {
        /// As written.
        prefix: Ipv4Net,
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
        prefix: Ipv4Net,
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
        prefix: Ipv4Net,
        /// Its client.
        client: Name,
        /// The prefix around it.
        other: Ipv4Net,
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

/// A prefix with its owner and place.
struct Owned<'a> {
    prefix: Ipv4Net,
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
) -> (Client, Vec<(Ipv4Net, SourceSpan)>) {
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
        let Some(prefix) = problems.keep(text::prefix(text, "prefixes")) else {
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
    let mut sorted: Vec<Ipv4Net> = prefixes.iter().map(|(prefix, _)| *prefix).collect();
    sorted.sort_unstable();
    let rates = rates(raw.rate.as_ref(), problems);
    (
        Client {
            asn,
            prefixes: sorted.into_iter().map(IpNet::V4).collect(),
            rates,
        },
        prefixes,
    )
}

/// Whether all of the prefix may be addresses of hosts.
fn is_hosts(prefix: &Ipv4Net) -> bool {
    let (first, last) = (prefix.network().octets()[0], prefix.broadcast().octets()[0]);
    first > 0 && last < 224 && !(first <= 127 && 127 <= last)
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
