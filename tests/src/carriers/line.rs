//! One link of the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::client::{Gre, GueVariant, Kind, Tag, TunnelSpec, Udp};
use crate::exchange::toml;
use crate::lab::{LabError, Ns, Route};

/// Outer addresses of both ends, the client's first.
const V4: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 20)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
];
const V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 0x20)),
    IpAddr::V6(Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 1)),
];
/// The client's Ethernet device for VLANs, and the one that is a link of its own.
const TRUNK: &str = "eth1";
const PORT: &str = "eth2";
/// UDP ports of FOU and GUE.
const FOU: u16 = 5555;
const GUE: u16 = 6080;

/// A link of the client, with addresses of its own at both ends.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name, as a tunnel and as the client's device.
    pub name: String,
    number: u8,
    kind: LineKind,
}

#[derive(Clone, Debug)]
enum LineKind {
    Carried(Kind, [IpAddr; 2]),
    Tagged(Vec<Tag>),
    Port,
}

impl Line {
    /// A link of every kind over each outer family, with what is optional in half of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::numbered(
            Self::layer_three()
                .into_iter()
                .chain(Self::ethernet())
                .collect(),
        )
    }

    fn layer_three() -> Vec<(&'static str, LineKind)> {
        let full = Gre {
            key: Some(0xcafe_0001),
            sequence: true,
            checksum: true,
        };
        let summed = |port| Udp {
            checksum: true,
            ..Udp::port(port)
        };
        let carried = LineKind::Carried;
        vec![
            ("ipip4", carried(Kind::IPIP, V4)),
            ("ipip6", carried(Kind::Ipip { limit: true }, V6)),
            ("gre4", carried(Kind::gre(None), V4)),
            ("gre4full", carried(Kind::Gre(full), V4)),
            ("gre6", carried(Kind::gre(Some(0)), V6)),
            ("fou4", carried(Kind::Fou(Udp::port(FOU)), V4)),
            ("fou6", carried(Kind::Fou(summed(FOU)), V6)),
            (
                "gue4",
                carried(Kind::Gue(summed(GUE), GueVariant::Header), V4),
            ),
            (
                "gue6",
                carried(Kind::Gue(Udp::port(GUE), GueVariant::Direct), V6),
            ),
        ]
    }

    fn ethernet() -> Vec<(&'static str, LineKind)> {
        let stack = vec![Tag::service(100), Tag::customer(10)];
        vec![
            ("egre4", LineKind::Carried(Kind::egre(None), V4)),
            ("egre6", LineKind::Carried(Kind::egre(Some(7)), V6)),
            ("vlan", LineKind::Tagged(vec![Tag::customer(10)])),
            ("qinq", LineKind::Tagged(stack)),
            ("port", LineKind::Port),
        ]
    }

    fn numbered(kinds: Vec<(&'static str, LineKind)>) -> Vec<Self> {
        let numbers = 1..;
        let lines = numbers.zip(kinds).map(|(number, (name, kind))| Self {
            name: name.to_owned(),
            number,
            kind,
        });
        lines.collect()
    }

    /// The client's end, if it is more than addresses on a device.
    #[must_use]
    pub fn spec(&self) -> Option<TunnelSpec> {
        let spec = match &self.kind {
            LineKind::Carried(kind, [local, remote]) => {
                TunnelSpec::new(&self.name, *kind, *local, *remote)
            }
            LineKind::Tagged(tags) => TunnelSpec::tagged(&self.name, TRUNK, tags),
            LineKind::Port => return None,
        };
        // Half of the Ethernet links have a router whose MAC address is configured, the others' is resolved.
        if spec.is_ethernet() && self.number.is_multiple_of(2) {
            return Some(spec.mac([2, 0, 0, 0, 3, self.number]));
        }
        Some(spec)
    }

    /// The portal's end, as lines of its configuration.
    pub(super) fn portal_end(&self) -> String {
        self.spec().map_or_else(
            || "kind = \"port\"\nport = \"cl2\"\n".to_owned(),
            |spec| toml::link(&spec, "cl1"),
        )
    }

    /// The client's device.
    #[must_use]
    pub fn device(&self) -> &str {
        match self.kind {
            LineKind::Port => PORT,
            _ => &self.name,
        }
    }

    /// Frames with Ethernet headers go over it.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        self.spec().is_none_or(|spec| spec.is_ethernet())
    }

    /// The client's addresses for what it sends and receives over this line, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        let n = self.number;
        [
            Ipv4Addr::new(198, 51, 100, n).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0x100, n.into(), 0, 0, 0, 1).into(),
        ]
    }

    /// Addresses that are none of the client's, which its kernel sends by this line all the same.
    #[must_use]
    pub fn stolen(&self) -> [IpAddr; 2] {
        let n = self.number;
        [
            Ipv4Addr::new(198, 18, 0, n).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0xbad, n.into(), 0, 0, 0, 1).into(),
        ]
    }

    /// Link addresses, the portal's and the client's of each family.
    #[must_use]
    pub fn link(&self) -> [(IpAddr, IpAddr); 2] {
        let n = self.number;
        let v4 = |host| IpAddr::from(Ipv4Addr::new(100, 64, n, host));
        let v6 = |host| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, n.into(), 0, 0, 0, host));
        [(v4(1), v4(2)), (v6(1), v6(2))]
    }

    /// What the client announces by it.
    pub(super) fn routes(&self) -> [IpNet; 2] {
        self.addresses().map(IpNet::from)
    }

    /// Gives the client's device its addresses, and the addresses their way.
    pub(super) fn set_up(&self, client: &Ns) -> Result<(), LabError> {
        let table = 100 + u32::from(self.number);
        for ((portal, own), (any, length)) in self
            .link()
            .into_iter()
            .zip([("0.0.0.0/0", 30), ("::/0", 64)])
        {
            client.address(self.device(), &format!("{own}/{length}"))?;
            let route = Route::to(any)?.table(table).dev(self.device());
            client.route(&if self.is_ethernet() {
                route.via(portal)
            } else {
                route
            })?;
        }
        for address in self.addresses().into_iter().chain(self.stolen()) {
            let net = IpNet::from(address).to_string();
            client.address("lo", &net)?;
            client.rule(&net, table)?;
        }
        Ok(())
    }
}

/// An address of the laboratory's own text.
pub(super) fn address(text: &str) -> Result<IpAddr, LabError> {
    text.parse().map_err(|_| LabError::Argument {
        value: text.to_owned(),
        expected: "an address",
    })
}
