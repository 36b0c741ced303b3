//! A client's tunnel as text, for command lines.

use std::fmt;
use std::str::FromStr;

use super::spec::{Carrier, Gre, GueVariant, Kind, Tag, TunnelSpec, Udp};

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

/// The fields that nobody has asked for yet.
struct Fields<'a> {
    left: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        let fields = text.split(',').skip(1);
        Self {
            left: fields
                .map(|field| field.split_once('=').unwrap_or((field, "")))
                .collect(),
        }
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let at = self.left.iter().position(|(field, _)| *field == name)?;
        Some(self.left.remove(at).1)
    }

    fn optional<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, SpecError> {
        self.text(name)
            .map(|value| value.parse().map_err(|_| wrong(name, value)))
            .transpose()
    }

    fn required<T: FromStr>(&mut self, name: &'static str) -> Result<T, SpecError> {
        self.optional(name)?.ok_or(SpecError::Missing(name))
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, SpecError> {
        match self.text(name) {
            None => Ok(false),
            Some("") => Ok(true),
            Some(value) => Err(wrong(name, value)),
        }
    }

    fn all<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SpecError> {
        let mut found = Vec::new();
        while let Some(value) = self.text(name) {
            found.push(read(value).ok_or_else(|| wrong(name, value))?);
        }
        Ok(found)
    }

    fn nothing_is_left(self) -> Result<(), SpecError> {
        match self.left.first() {
            None => Ok(()),
            Some((name, "")) => Err(SpecError::Unknown((*name).to_owned())),
            Some((name, value)) => Err(SpecError::Unknown(format!("{name}={value}"))),
        }
    }
}

fn wrong(field: &'static str, value: &str) -> SpecError {
    SpecError::Value {
        field,
        value: value.to_owned(),
    }
}

impl FromStr for TunnelSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let device = text.split(',').next();
        let device = device.filter(|name| !name.is_empty() && !name.contains('='));
        let device = device.ok_or(SpecError::Missing("the name of the device"))?;
        let mut fields = Fields::of(text);
        let carrier = match fields.required::<String>("kind")?.as_str() {
            "vlan" => Carrier::Tagged {
                trunk: fields.required("trunk")?,
                tags: some_tags(fields.all("vlan", read_tag)?)?,
            },
            kind => Carrier::Carried {
                kind: read_kind(kind, &mut fields)?,
                local: fields.required("local")?,
                remote: fields.required("remote")?,
            },
        };
        let mut spec = Self::tagged(device, "", &[]);
        spec.carrier = carrier;
        if let Some(value) = fields.text("mac") {
            spec.mac = Some(read_mac(value).ok_or_else(|| wrong("mac", value))?);
        }
        spec.addresses = fields.all("address", |value| value.parse().ok())?;
        spec.outer_mtu = fields.optional("mtu")?.unwrap_or(spec.outer_mtu);
        fields.nothing_is_left()?;
        Ok(spec)
    }
}

fn read_kind(name: &str, fields: &mut Fields<'_>) -> Result<Kind, SpecError> {
    match name {
        "ipip" => Ok(Kind::Ipip {
            limit: fields.flag("limit")?,
        }),
        "gre" => Ok(Kind::Gre(read_gre(fields)?)),
        "egre" => Ok(Kind::Egre(read_gre(fields)?)),
        "fou" => Ok(Kind::Fou(read_udp(fields)?)),
        "gue" => {
            let variant = match fields.text("variant") {
                None | Some("0") => GueVariant::Header,
                Some("1") => GueVariant::Direct,
                Some(value) => return Err(wrong("variant", value)),
            };
            Ok(Kind::Gue(read_udp(fields)?, variant))
        }
        other => Err(wrong("kind", other)),
    }
}

fn read_gre(fields: &mut Fields<'_>) -> Result<Gre, SpecError> {
    Ok(Gre {
        key: fields.optional("key")?,
        sequence: fields.flag("sequence")?,
        checksum: fields.flag("checksum")?,
    })
}

fn read_udp(fields: &mut Fields<'_>) -> Result<Udp, SpecError> {
    let port = fields.required("port")?;
    Ok(Udp {
        port,
        remote_port: fields.optional("remote_port")?.unwrap_or(port),
        checksum: fields.flag("checksum")?,
    })
}

fn some_tags(tags: Vec<Tag>) -> Result<Vec<Tag>, SpecError> {
    match tags.len() {
        0 => Err(SpecError::Missing("vlan")),
        1 | 2 => Ok(tags),
        _ => Err(SpecError::Unknown("a third vlan".to_owned())),
    }
}

fn read_tag(text: &str) -> Option<Tag> {
    let (service, vid) = match text.strip_prefix('s') {
        Some(vid) => (true, vid),
        None => (false, text),
    };
    let vid = vid.parse().ok().filter(|vid| (1..4095).contains(vid))?;
    Some(Tag { vid, service })
}

fn read_mac(text: &str) -> Option<[u8; 6]> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok()
}

impl fmt::Display for TunnelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},", self.device)?;
        match &self.carrier {
            Carrier::Tagged { trunk, tags } => {
                write!(f, "kind=vlan,trunk={trunk}")?;
                for tag in tags {
                    let service = if tag.service { "s" } else { "" };
                    write!(f, ",vlan={service}{}", tag.vid)?;
                }
            }
            Carrier::Carried {
                kind,
                local,
                remote,
            } => write!(f, "{kind},local={local},remote={remote}")?,
        }
        if let Some([a, b, c, d, e, g]) = self.mac {
            write!(f, ",mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")?;
        }
        for address in &self.addresses {
            write!(f, ",address={address}")?;
        }
        write!(f, ",mtu={}", self.outer_mtu)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipip { limit } => write!(f, "kind=ipip{}", flag(",limit", *limit)),
            Self::Gre(gre) => write!(f, "kind=gre{gre}"),
            Self::Egre(gre) => write!(f, "kind=egre{gre}"),
            Self::Fou(udp) => write!(f, "kind=fou{udp}"),
            Self::Gue(udp, GueVariant::Header) => write!(f, "kind=gue{udp}"),
            Self::Gue(udp, GueVariant::Direct) => write!(f, "kind=gue,variant=1{udp}"),
        }
    }
}

impl fmt::Display for Gre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key {
            write!(f, ",key={key}")?;
        }
        f.write_str(flag(",sequence", self.sequence))?;
        f.write_str(flag(",checksum", self.checksum))
    }
}

impl fmt::Display for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ",port={},remote_port={}", self.port, self.remote_port)?;
        f.write_str(flag(",checksum", self.checksum))
    }
}

/// A flag's text, or nothing when it is not set.
fn flag(text: &'static str, set: bool) -> &'static str {
    if set { text } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_tunnel_reads_back_as_it_was_written() {
        let gre = Gre {
            key: Some(0),
            sequence: true,
            checksum: true,
        };
        let udp = Udp {
            port: 5555,
            remote_port: 6635,
            checksum: true,
        };
        let local = Ipv4Addr::new(198, 51, 100, 1);
        let remote = Ipv4Addr::new(192, 0, 2, 1);
        let kinds = [
            Kind::IPIP,
            Kind::Ipip { limit: true },
            Kind::gre(None),
            Kind::Gre(gre),
            Kind::Egre(gre),
            Kind::Fou(udp),
            Kind::Fou(Udp::port(5555)),
            Kind::Gue(udp, GueVariant::Header),
            Kind::Gue(udp, GueVariant::Direct),
        ];
        let carried = kinds.map(|kind| TunnelSpec::new("tun0", kind, local, remote));
        let tagged = TunnelSpec::tagged("vlan0", "eth1", &[Tag::service(100), Tag::customer(7)]);
        for mut spec in carried.into_iter().chain([tagged]) {
            assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
            spec.addresses = vec![
                "10.0.0.1/30".parse().unwrap(),
                "2001:db8::1/64".parse().unwrap(),
            ];
            spec.mac = Some([2, 0, 0, 0xfe, 0, 1]);
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
            parse("t,kind=ipip,checksum,local=1.1.1.1,remote=1.1.1.2"),
            "\"checksum\" does not belong here"
        );
        assert_eq!(
            parse("t,kind=vxlan,local=1.1.1.1,remote=1.1.1.2"),
            "\"vxlan\" is no kind"
        );
        assert_eq!(
            parse("t,kind=gre,local=here,remote=1.1.1.2"),
            "\"here\" is no local"
        );
        assert_eq!(parse("t,kind=vlan,trunk=eth0"), "vlan is missing");
        assert_eq!(
            parse("t,kind=vlan,trunk=eth0,vlan=4095"),
            "\"4095\" is no vlan"
        );
    }
}
