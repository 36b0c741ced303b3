//! What stands between a link's ends: the keys of tunnels and upstreams that say so.

use std::fmt;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use toml::Spanned;

use super::raw::{
    RawCarrier, RawFile, RawKind, RawTag, RawTunnel, RawUpstream, RawVlan, Text, Vlans, span,
};
use super::report::Problems;
use super::text::{self, number};
use crate::model::{Attachment, Bare, Carried, Name, TunnelKind, Udp, Vlan};

/// TTL of outer headers where none is given (RFC 1700's recommended default).
const DEFAULT_TTL: u8 = 64;
/// Most VLAN tags that steering reads (docs/steering.md, step 3).
const MAX_VLANS: usize = 2;

/// An upstream or a tunnel, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkName {
    /// Of `[upstreams]`.
    Upstream(Name),
    /// Of `[tunnels]`.
    Tunnel(Name),
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(name) => write!(f, "upstream {name}"),
            Self::Tunnel(name) => write!(f, "tunnel {name}"),
        }
    }
}

/// A link asks for an attachment that cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum AttachmentProblem {
    /// A key that the kind needs.
    #[error("{link} of kind \"{kind}\" has no `{key}`")]
    #[diagnostic(help("{example}"))]
    Missing {
        /// Whose it would be.
        link: LinkName,
        /// In words.
        kind: &'static str,
        /// The key.
        key: &'static str,
        /// What would be right.
        example: &'static str,
        /// Its place.
        #[label("`{key}` is missing")]
        at: SourceSpan,
    },
    /// A key that says nothing about the kind.
    #[error("`{key}` is no key of kind \"{kind}\"")]
    #[diagnostic(help("{example}"))]
    Foreign {
        /// The key.
        key: &'static str,
        /// In words.
        kind: &'static str,
        /// What would be right.
        example: &'static str,
        /// Its place.
        #[label("remove it, or change the kind")]
        at: SourceSpan,
    },
    /// On a port that is not configured.
    #[error("{link} is on port `{port}`, which is not in [ports]")]
    #[diagnostic(help("add [ports.{port}], or name one of: {known}"))]
    NoPort {
        /// Whose it would be.
        link: LinkName,
        /// As written.
        port: String,
        /// The ports there are.
        known: String,
        /// Its place.
        #[label("no such port")]
        at: SourceSpan,
    },
    /// No VLAN tag where the kind is of one.
    #[error("{link} of kind \"vlan\" has no VLAN tag")]
    #[diagnostic(help("vlans = [100], or kind = \"port\" for untagged frames"))]
    NoVlan {
        /// Whose it would be.
        link: LinkName,
        /// Its place.
        #[label("empty")]
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
    /// Outer addresses of two families.
    #[error("{link} has outer addresses of two families")]
    #[diagnostic(help("both are IPv4 or both are IPv6; either carries packets of both families"))]
    Families {
        /// Whose they are.
        link: LinkName,
        /// Its place.
        #[label(primary, "of one family")]
        at: SourceSpan,
        /// The place of the other.
        #[label("of the other")]
        local: SourceSpan,
    },
    /// A carrier to itself.
    #[error("{link} has one address {address} at both ends")]
    #[diagnostic(help("local is the portal's address, remote that of the far end"))]
    SameEnds {
        /// Whose it is.
        link: LinkName,
        /// Both.
        address: std::net::IpAddr,
        /// Its place.
        #[label("the same as local")]
        at: SourceSpan,
    },
}

/// A kind of attachment: which keys say what it is.
struct Kind {
    name: &'static str,
    keys: &'static [&'static str],
    example: &'static str,
}

/// An upstream without `kind`.
const ON_A_PORT: Kind = Kind {
    name: "port",
    keys: &["port", "vlans", "next_hop", "source_macs"],
    example: "an upstream without `kind` is on a port: port = \"ix0\", next_hop = \"192.0.2.1\"; optional: vlans = [100], source_macs = [..], link = [..]",
};

impl Kind {
    const fn of(kind: RawKind) -> Self {
        match kind {
            RawKind::Ipip => Self {
                name: "ipip",
                keys: &["local", "remote", "ttl", "dscp"],
                example: "kind = \"ipip\", local = \"192.0.2.10\", remote = \"203.0.113.5\"; optional: ttl, dscp, link",
            },
            RawKind::Gre => Self {
                name: "gre",
                keys: &["local", "remote", "ttl", "dscp", "key"],
                example: "kind = \"gre\", local = \"192.0.2.10\", remote = \"203.0.113.5\"; optional: key = 1, ttl, dscp, link",
            },
            RawKind::Egre => Self {
                name: "egre",
                keys: &[
                    "local",
                    "remote",
                    "ttl",
                    "dscp",
                    "key",
                    "mac",
                    "upstreams",
                    "next_hop",
                ],
                example: "kind = \"egre\", local = \"192.0.2.10\", remote = \"203.0.113.5\"; optional: key = 1, ttl, dscp, link; the other end's MAC is a tunnel's mac, an upstream's next_hop",
            },
            RawKind::Fou => Self {
                name: "fou",
                keys: UDP_KEYS,
                example: "kind = \"fou\", local = \"192.0.2.10\", remote = \"203.0.113.5\", udp_port = 5555; optional: udp_remote_port, udp_checksum = true, ttl, dscp, link",
            },
            RawKind::Gue => Self {
                name: "gue",
                keys: UDP_KEYS,
                example: "kind = \"gue\", local = \"192.0.2.10\", remote = \"203.0.113.5\", udp_port = 6080; optional: udp_remote_port, udp_checksum = true, ttl, dscp, link",
            },
            RawKind::Vlan => Self {
                name: "vlan",
                keys: &["port", "vlans", "mac", "upstreams"],
                example: "kind = \"vlan\", port = \"lan0\", vlans = [100]; optional: mac, link",
            },
            RawKind::Port => Self {
                name: "port",
                keys: &["port", "mac", "upstreams"],
                example: "kind = \"port\", port = \"veth7\"; optional: mac, link",
            },
        }
    }
}

const UDP_KEYS: &[&str] = &[
    "local",
    "remote",
    "ttl",
    "dscp",
    "udp_port",
    "udp_remote_port",
    "udp_checksum",
];

/// The keys of a link that its kind judges.
pub(super) struct Keys<'a> {
    link: LinkName,
    name_at: SourceSpan,
    kind: Option<RawKind>,
    port: Option<&'a Text>,
    vlans: Option<&'a Vlans>,
    pub(super) local: Option<&'a Text>,
    pub(super) remote: Option<&'a Text>,
    key: Option<&'a Spanned<i64>>,
    udp_port: Option<&'a Spanned<i64>>,
    udp_remote_port: Option<&'a Spanned<i64>>,
    udp_checksum: Option<&'a Spanned<bool>>,
    ttl: Option<&'a Spanned<i64>>,
    dscp: Option<&'a Spanned<i64>>,
    /// Keys that others read, with their places.
    others: [(&'static str, Option<SourceSpan>); 4],
}

impl<'a> Keys<'a> {
    pub(super) fn of_tunnel(name: &Name, name_at: SourceSpan, raw: &'a RawTunnel) -> Self {
        Self {
            link: LinkName::Tunnel(name.clone()),
            name_at,
            kind: Some(*raw.kind.get_ref()),
            port: raw.port.as_ref(),
            vlans: raw.vlans.as_ref(),
            local: raw.local.as_ref(),
            remote: raw.remote.as_ref(),
            key: raw.key.as_ref(),
            udp_port: raw.udp_port.as_ref(),
            udp_remote_port: raw.udp_remote_port.as_ref(),
            udp_checksum: raw.udp_checksum.as_ref(),
            ttl: raw.ttl.as_ref(),
            dscp: raw.dscp.as_ref(),
            others: [
                ("mac", raw.mac.as_ref().map(span)),
                ("upstreams", raw.upstreams.as_ref().map(span)),
                ("next_hop", None),
                ("source_macs", None),
            ],
        }
    }

    pub(super) fn of_upstream(name: &Name, name_at: SourceSpan, raw: &'a RawUpstream) -> Self {
        let kind = raw.kind.as_ref().map(|kind| match kind.get_ref() {
            RawCarrier::Ipip => RawKind::Ipip,
            RawCarrier::Gre => RawKind::Gre,
            RawCarrier::Egre => RawKind::Egre,
            RawCarrier::Fou => RawKind::Fou,
            RawCarrier::Gue => RawKind::Gue,
        });
        Self {
            link: LinkName::Upstream(name.clone()),
            name_at,
            kind,
            port: raw.port.as_ref(),
            vlans: raw.vlans.as_ref(),
            local: raw.local.as_ref(),
            remote: raw.remote.as_ref(),
            key: raw.key.as_ref(),
            udp_port: raw.udp_port.as_ref(),
            udp_remote_port: raw.udp_remote_port.as_ref(),
            udp_checksum: raw.udp_checksum.as_ref(),
            ttl: raw.ttl.as_ref(),
            dscp: raw.dscp.as_ref(),
            others: [
                ("mac", None),
                ("upstreams", None),
                ("next_hop", raw.next_hop.as_ref().map(span)),
                ("source_macs", raw.source_macs.as_ref().map(span)),
            ],
        }
    }

    /// What the keys say; `None` if that is wrong in itself.
    pub(super) fn attachment(&self, raw: &RawFile, problems: &mut Problems) -> Option<Attachment> {
        self.refuse_foreign(problems);
        match self.kind {
            None | Some(RawKind::Vlan | RawKind::Port) => {
                self.bare(raw, problems).map(Attachment::Bare)
            }
            Some(kind) => self.carried(kind, problems).map(Attachment::Carried),
        }
    }

    fn described(&self) -> Kind {
        self.kind.map_or(ON_A_PORT, Kind::of)
    }

    fn refuse_foreign(&self, problems: &mut Problems) {
        let kind = self.described();
        let own = [
            ("port", self.port.map(span)),
            ("vlans", self.vlans.map(span)),
            ("local", self.local.map(span)),
            ("remote", self.remote.map(span)),
            ("key", self.key.map(span)),
            ("udp_port", self.udp_port.map(span)),
            ("udp_remote_port", self.udp_remote_port.map(span)),
            ("udp_checksum", self.udp_checksum.map(span)),
            ("ttl", self.ttl.map(span)),
            ("dscp", self.dscp.map(span)),
        ];
        for (key, at) in own.into_iter().chain(self.others) {
            if let (Some(at), false) = (at, kind.keys.contains(&key)) {
                problems.push(AttachmentProblem::Foreign {
                    key,
                    kind: kind.name,
                    example: kind.example,
                    at,
                });
            }
        }
    }

    /// The value of a key that the kind needs.
    pub(super) fn need<T>(
        &self,
        key: &'static str,
        value: Option<&'a T>,
        problems: &mut Problems,
    ) -> Option<&'a T> {
        if value.is_none() {
            let kind = self.described();
            problems.push(AttachmentProblem::Missing {
                link: self.link.clone(),
                kind: kind.name,
                key,
                example: kind.example,
                at: self.name_at,
            });
        }
        value
    }

    fn bare(&self, raw: &RawFile, problems: &mut Problems) -> Option<Bare> {
        let port = self.need("port", self.port, problems);
        if let Some(port) = port
            && !raw.ports.names(port.get_ref())
        {
            problems.push(AttachmentProblem::NoPort {
                link: self.link.clone(),
                port: port.get_ref().clone(),
                known: raw.ports.known(),
                at: span(port),
            });
        }
        let tags = match self.kind {
            Some(RawKind::Vlan) => self.need("vlans", self.vlans, problems),
            _ => self.vlans,
        };
        if let (Some(RawKind::Vlan), Some(tags)) = (self.kind, tags)
            && tags.get_ref().is_empty()
        {
            let (link, at) = (self.link.clone(), span(tags));
            problems.push(AttachmentProblem::NoVlan { link, at });
        }
        let vlans = tags.map_or_else(Vec::new, |tags| vlans(tags, problems));
        Some(Bare {
            port: port?.get_ref().clone(),
            vlans,
        })
    }

    fn carried(&self, kind: RawKind, problems: &mut Problems) -> Option<Carried> {
        let kind = self.tunnel_kind(kind, problems);
        let local = self.need("local", self.local, problems);
        let remote = self.need("remote", self.remote, problems);
        let ends = (
            local.and_then(|text| problems.keep(text::address(text, "local"))),
            remote.and_then(|text| problems.keep(text::address(text, "remote"))),
        );
        if let ((Some(a), Some(b)), Some(local_at), Some(at)) = (ends, self.local, self.remote) {
            let (link, at) = (self.link.clone(), span(at));
            if a.is_ipv4() != b.is_ipv4() {
                let local = span(local_at);
                problems.push(AttachmentProblem::Families { link, at, local });
            } else if a == b {
                let address = a;
                problems.push(AttachmentProblem::SameEnds { link, address, at });
            }
        }
        let mut value = |given: Option<&Spanned<i64>>, what, range, default| {
            given.map_or(Some(default), |n| problems.keep(number(n, what, range)))
        };
        let ttl = value(self.ttl, "ttl", 1..=u8::MAX, DEFAULT_TTL);
        let dscp = value(self.dscp, "dscp", 0..=63, 0);
        Some(Carried {
            local: ends.0?,
            remote: ends.1?,
            kind: kind?,
            ttl: ttl?,
            dscp: dscp?,
        })
    }

    fn tunnel_kind(&self, kind: RawKind, problems: &mut Problems) -> Option<TunnelKind> {
        let key = match self.key {
            Some(key) => Some(problems.keep(number(key, "key", 0..=u32::MAX))?),
            None => None,
        };
        Some(match kind {
            RawKind::Ipip => TunnelKind::Ipip,
            RawKind::Gre => TunnelKind::Gre { key },
            RawKind::Egre => TunnelKind::Egre { key },
            RawKind::Fou => TunnelKind::Fou(self.udp(problems)?),
            RawKind::Gue => TunnelKind::Gue(self.udp(problems)?),
            RawKind::Vlan | RawKind::Port => unreachable!("a bare link has no carrier"),
        })
    }

    fn udp(&self, problems: &mut Problems) -> Option<Udp> {
        let port = self.need("udp_port", self.udp_port, problems);
        let port = port.and_then(|n| problems.keep(number(n, "udp_port", 1..=u16::MAX)));
        let remote_port = match self.udp_remote_port {
            Some(n) => problems.keep(number(n, "udp_remote_port", 1..=u16::MAX)),
            None => port,
        };
        Some(Udp {
            port: port?,
            remote_port: remote_port?,
            checksum: self
                .udp_checksum
                .is_some_and(|checksum| *checksum.get_ref()),
        })
    }
}

fn vlans(list: &Vlans, problems: &mut Problems) -> Vec<Vlan> {
    let count = list.get_ref().len();
    if count > MAX_VLANS {
        problems.push(AttachmentProblem::TooManyVlans {
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
        let vid = Spanned::new(tag.span(), vid);
        if let Some(vid) = problems.keep(number(&vid, "a VID", 1..=4094_u16)) {
            vlans.push(Vlan { vid, service });
        }
    }
    vlans
}
