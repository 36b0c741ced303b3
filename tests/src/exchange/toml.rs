//! The portal's end of a client's tunnel, as the operator would write it.

use crate::client::{Carrier, Gre, Kind, Tag, TunnelSpec, Udp};

/// The lines that say what kind of link it is and where its ends are: what is local to the client's end is remote to
/// the portal's. A VLAN is on this port of the portal.
#[must_use]
pub(crate) fn link(spec: &TunnelSpec, port: &str) -> String {
    let mut text = match &spec.carrier {
        Carrier::Tagged { tags, .. } => {
            let tags: Vec<String> = tags.iter().map(tag).collect();
            let tags = tags.join(", ");
            format!("kind = \"vlan\"\nport = \"{port}\"\nvlans = [{tags}]\n")
        }
        Carrier::Carried {
            kind,
            local,
            remote,
        } => {
            let kind = match kind {
                Kind::Ipip { .. } => "kind = \"ipip\"\n".to_owned(),
                Kind::Gre(fields) => format!("kind = \"gre\"\n{}", key(*fields)),
                Kind::Egre(fields) => format!("kind = \"egre\"\n{}", key(*fields)),
                Kind::Fou(ends) => format!("kind = \"fou\"\n{}", ports(*ends)),
                Kind::Gue(ends, _) => format!("kind = \"gue\"\n{}", ports(*ends)),
            };
            format!("{kind}local = \"{remote}\"\nremote = \"{local}\"\n")
        }
    };
    if let Some([a, b, c, d, e, f]) = spec.mac {
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        text.push_str(&format!("mac = \"{mac}\"\n"));
    }
    text
}

fn key(fields: Gre) -> String {
    fields
        .key
        .map_or_else(String::new, |key| format!("key = {key}\n"))
}

fn ports(ends: Udp) -> String {
    format!(
        "udp_port = {}\nudp_remote_port = {}\nudp_checksum = {}\n",
        ends.remote_port, ends.port, ends.checksum
    )
}

fn tag(tag: &Tag) -> String {
    if tag.service {
        format!("{{ vid = {}, service = true }}", tag.vid)
    } else {
        tag.vid.to_string()
    }
}
