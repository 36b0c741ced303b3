//! What a client's tunnel is like.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

/// IPv4 header without options (RFC 791 section 3.1).
const IPV4_HEADER: u16 = 20;
/// GRE header without optional fields (RFC 2784 section 2.1).
const GRE_HEADER: u16 = 4;
/// Key field of a GRE header (RFC 2890 section 2).
const GRE_KEY: u16 = 4;
/// MTU of the outer network unless said otherwise.
const DEFAULT_MTU: u16 = 1500;

/// One tunnel of a client.
///
/// As text: `TUN,kind=gre|ipip,local=A,remote=B[,key=K][,address=CIDR][,mtu=N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelSpec {
    /// Name of the TUN device, which is made.
    pub tun: String,
    /// How it encapsulates.
    pub kind: Kind,
    /// Outer address of the client.
    pub local: Ipv4Addr,
    /// Outer address of the portal.
    pub remote: Ipv4Addr,
    /// Inner address of the TUN device, if it gets one.
    pub address: Option<Ipv4Net>,
    /// MTU of the outer network in bytes; the TUN device's is smaller by the outer headers.
    pub outer_mtu: u16,
}

/// How a tunnel encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IP in IP (RFC 2003).
    Ipip,
    /// GRE with or without a key.
    Gre {
        /// No key is not key 0.
        key: Option<u32>,
    },
}

/// Why a text is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A field that has to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field that does not exist, or that this kind of tunnel does not have.
    #[error("{0:?} does not belong here")]
    Unknown(String),
    /// A field's value cannot be read.
    #[error("{value:?} is no {field}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it said.
        value: String,
    },
}

impl TunnelSpec {
    /// A tunnel without an inner address over a network with an MTU of 1500.
    pub fn new(tun: &str, kind: Kind, local: Ipv4Addr, remote: Ipv4Addr) -> Self {
        Self {
            tun: tun.to_owned(),
            kind,
            local,
            remote,
            address: None,
            outer_mtu: DEFAULT_MTU,
        }
    }

    /// With this inner address on the TUN device.
    #[must_use]
    pub fn address(mut self, address: Ipv4Net) -> Self {
        self.address = Some(address);
        self
    }

    /// Bytes of the outer headers.
    pub fn overhead(&self) -> u16 {
        IPV4_HEADER
            + match self.kind {
                Kind::Ipip => 0,
                Kind::Gre { key: None } => GRE_HEADER,
                Kind::Gre { key: Some(_) } => GRE_HEADER + GRE_KEY,
            }
    }

    /// MTU of the TUN device: the largest inner packet that needs no outer fragments.
    pub fn inner_mtu(&self) -> u16 {
        self.outer_mtu.saturating_sub(self.overhead())
    }
}

impl FromStr for TunnelSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut fields = text.split(',');
        let tun = fields
            .next()
            .filter(|name| !name.is_empty() && !name.contains('='));
        let (mut kind, mut local, mut remote, mut key, mut address, mut mtu) =
            (None, None, None, None, None, None);
        for field in fields {
            let (name, value) = field
                .split_once('=')
                .ok_or_else(|| SpecError::Unknown(field.to_owned()))?;
            match name {
                "kind" => kind = Some(value),
                "local" => local = Some(parse("local", value)?),
                "remote" => remote = Some(parse("remote", value)?),
                "key" => key = Some(parse("key", value)?),
                "address" => address = Some(parse("address", value)?),
                "mtu" => mtu = Some(parse("mtu", value)?),
                _ => return Err(SpecError::Unknown(field.to_owned())),
            }
        }
        let kind = match (kind.ok_or(SpecError::Missing("kind"))?, key) {
            ("ipip", None) => Kind::Ipip,
            ("ipip", Some(key)) => return Err(SpecError::Unknown(format!("key={key}"))),
            ("gre", key) => Kind::Gre { key },
            (other, _) => {
                return Err(SpecError::Value {
                    field: "kind",
                    value: other.to_owned(),
                });
            }
        };
        Ok(Self {
            tun: tun
                .ok_or(SpecError::Missing("the name of the TUN device"))?
                .to_owned(),
            kind,
            local: local.ok_or(SpecError::Missing("local"))?,
            remote: remote.ok_or(SpecError::Missing("remote"))?,
            address,
            outer_mtu: mtu.unwrap_or(DEFAULT_MTU),
        })
    }
}

impl fmt::Display for TunnelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, key) = match self.kind {
            Kind::Ipip => ("ipip", None),
            Kind::Gre { key } => ("gre", key),
        };
        write!(
            f,
            "{},kind={kind},local={},remote={}",
            self.tun, self.local, self.remote
        )?;
        if let Some(key) = key {
            write!(f, ",key={key}")?;
        }
        if let Some(address) = self.address {
            write!(f, ",address={address}")?;
        }
        write!(f, ",mtu={}", self.outer_mtu)
    }
}

fn parse<T: FromStr>(field: &'static str, value: &str) -> Result<T, SpecError> {
    value.parse().map_err(|_| SpecError::Value {
        field,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_reads_back_as_it_was_written() {
        let local = Ipv4Addr::new(198, 51, 100, 1);
        let remote = Ipv4Addr::new(192, 0, 2, 1);
        for kind in [
            Kind::Ipip,
            Kind::Gre { key: None },
            Kind::Gre { key: Some(0) },
        ] {
            let mut spec = TunnelSpec::new("tun0", kind, local, remote);
            assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
            spec.address = Some("10.0.0.1/30".parse().unwrap());
            spec.outer_mtu = 9000;
            assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let parse = |text: &str| text.parse::<TunnelSpec>().unwrap_err().to_string();
        assert_eq!(parse("t,local=1.1.1.1,remote=1.1.1.2"), "kind is missing");
        assert_eq!(parse("t,kind=gre,local=1.1.1.1"), "remote is missing");
        assert_eq!(
            parse("t,kind=ipip,key=1,local=1.1.1.1,remote=1.1.1.2"),
            "\"key=1\" does not belong here"
        );
        assert_eq!(
            parse("t,kind=vxlan,local=1.1.1.1,remote=1.1.1.2"),
            "\"vxlan\" is no kind"
        );
        assert_eq!(
            parse("t,kind=gre,local=here,remote=1.1.1.2"),
            "\"here\" is no local"
        );
    }

    #[test]
    fn inner_mtu_leaves_room_for_the_outer_headers() {
        let mtu =
            |kind| TunnelSpec::new("t", kind, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST).inner_mtu();
        assert_eq!(mtu(Kind::Ipip), 1480);
        assert_eq!(mtu(Kind::Gre { key: None }), 1476);
        assert_eq!(mtu(Kind::Gre { key: Some(7) }), 1472);
    }
}
