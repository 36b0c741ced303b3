//! Link addresses: by which the portal and the routers at its links' other ends talk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::attachment::LinkName;
use super::clients::Owners;
use super::raw::{Text, span};
use super::report::Problems;
use super::text;
use crate::model::{LinkAddresses, Name};

/// Link addresses that cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum AddressProblem {
    /// A pair of two families.
    #[error("{portal} and {peer} are of two families")]
    #[diagnostic(help("a pair is of one family; a link may have a pair of each"))]
    Families {
        /// The portal's.
        portal: IpAddr,
        /// The other end's.
        peer: IpAddr,
        /// Its place.
        #[label(primary, "of one family")]
        at: SourceSpan,
        /// The place of the other.
        #[label("of the other")]
        portal_at: SourceSpan,
    },
    /// One address at both ends.
    #[error("{address} is the link address of both ends of {link}")]
    #[diagnostic(help(
        "each end has its own: portal = \"169.254.1.1\", and 169.254.1.2 for the other end"
    ))]
    SameEnds {
        /// Whose it is.
        link: LinkName,
        /// Both.
        address: IpAddr,
        /// Its place.
        #[label("the same as the portal's")]
        at: SourceSpan,
    },
    /// An address at the other ends of two links.
    #[error("{address} is the other end's link address of {other} already")]
    #[diagnostic(help(
        "the kernel would not know by which link to send to it: a link address belongs to one router"
    ))]
    PeerTwice {
        /// As written.
        address: IpAddr,
        /// Who has it.
        other: LinkName,
        /// Its place.
        #[label(primary, "also here")]
        at: SourceSpan,
        /// The place of the other.
        #[label("{other}")]
        first: SourceSpan,
    },
    /// An address of the portal and of another end.
    #[error("{address} is a link address of the portal, and of the other end of {link}")]
    #[diagnostic(help("use another pair for one of them"))]
    PortalAndPeer {
        /// As written.
        address: IpAddr,
        /// Where it is the other end's.
        link: LinkName,
        /// Its place.
        #[label(primary, "the other end's")]
        at: SourceSpan,
        /// The place of the other.
        #[label("the portal's")]
        portal: SourceSpan,
    },
    /// An address that a client owns.
    #[error("link address {address} is within {prefix} of client {client}")]
    #[diagnostic(help(
        "what the client sends from it would be forwarded, and answers to it too: take link addresses from a block that is no client's, like 169.254.0.0/16 or fd00::/8"
    ))]
    InPrefix {
        /// As written.
        address: IpAddr,
        /// Around it.
        prefix: IpNet,
        /// Whose it is.
        client: Name,
        /// Its place.
        #[label("a client's address")]
        at: SourceSpan,
    },
}

/// The link addresses of all links, as they are read.
pub(super) struct Claims<'a> {
    owners: &'a Owners,
    portals: BTreeMap<IpAddr, SourceSpan>,
    peers: BTreeMap<IpAddr, (LinkName, SourceSpan)>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(owners: &'a Owners) -> Self {
        Self {
            owners,
            portals: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// Reads the pairs of a link; those that are wrong in themselves leave a problem only.
    pub(super) fn pairs<'t>(
        &mut self,
        link: &LinkName,
        pairs: impl Iterator<Item = (&'t Text, &'t Text)>,
        problems: &mut Problems,
    ) -> Vec<LinkAddresses> {
        let mut addresses = Vec::new();
        for (portal_text, peer_text) in pairs {
            let portal = problems.keep(text::link_address(portal_text, "a link address"));
            let peer = problems.keep(text::link_address(peer_text, "a link address"));
            let (Some(portal), Some(peer)) = (portal, peer) else {
                continue;
            };
            let (portal_at, at) = (span(portal_text), span(peer_text));
            if portal.is_ipv4() != peer.is_ipv4() {
                problems.push(AddressProblem::Families {
                    portal,
                    peer,
                    at,
                    portal_at,
                });
                continue;
            }
            if portal == peer {
                problems.push(AddressProblem::SameEnds {
                    link: link.clone(),
                    address: peer,
                    at,
                });
                continue;
            }
            self.not_a_clients(portal, portal_at, problems);
            self.portals.entry(portal).or_insert(portal_at);
            self.peer(link, peer, at, problems);
            addresses.push(LinkAddresses { portal, peer });
        }
        addresses
    }

    /// An address at a link's other end.
    fn peer(&mut self, link: &LinkName, peer: IpAddr, at: SourceSpan, problems: &mut Problems) {
        self.not_a_clients(peer, at, problems);
        let claim = (link.clone(), at);
        let before = self.peers.entry(peer).or_insert_with(|| claim.clone());
        if *before != claim {
            problems.push(AddressProblem::PeerTwice {
                address: peer,
                other: before.0.clone(),
                at,
                first: before.1,
            });
        }
    }

    pub(super) fn not_a_clients(&self, address: IpAddr, at: SourceSpan, problems: &mut Problems) {
        if let Some((prefix, client)) = self.owners.of(address) {
            problems.push(AddressProblem::InPrefix {
                address,
                prefix,
                client: client.clone(),
                at,
            });
        }
    }

    /// Whose other end this address is, if it is one's.
    pub(super) fn peer_of(&self, address: IpAddr) -> Option<&(LinkName, SourceSpan)> {
        self.peers.get(&address)
    }

    /// Looks at all links together, once all are read.
    pub(super) fn finish(&self, problems: &mut Problems) {
        for (address, (link, at)) in &self.peers {
            if let Some(portal) = self.portals.get(address) {
                problems.push(AddressProblem::PortalAndPeer {
                    address: *address,
                    link: link.clone(),
                    at: *at,
                    portal: *portal,
                });
            }
        }
    }
}
