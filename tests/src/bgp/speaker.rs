//! What a BGP speaker is to do, and BIRD's configuration for it.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// Seconds until a session is given up, and between attempts to bring one up: a test waits for either.
pub(super) const HOLD_TIME: u32 = 9;
const RETRY: u32 = 1;

/// A router that speaks BGP.
#[derive(Clone, Debug)]
pub struct Speaker {
    asn: u32,
    id: Ipv4Addr,
    announces: Vec<IpNet>,
    sessions: Vec<Session>,
}

/// One of its sessions.
#[derive(Clone, Debug)]
pub struct Session {
    name: String,
    local: IpAddr,
    peer: IpAddr,
    peer_asn: u32,
    device: Option<String>,
    link_state: bool,
}

impl Speaker {
    /// A router of that AS number and router id, which announces nothing.
    #[must_use]
    pub fn new(asn: u32, id: Ipv4Addr) -> Self {
        Self {
            asn,
            id,
            announces: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// It announces this prefix too, on each session of its family.
    #[must_use]
    pub fn announce(mut self, prefix: impl Into<IpNet>) -> Self {
        self.announces.push(prefix.into());
        self
    }

    /// With this session too.
    #[must_use]
    pub fn session(mut self, session: Session) -> Self {
        self.sessions.push(session);
        self
    }

    /// The text of its configuration. What it learns goes into the kernel's main table.
    #[must_use]
    pub fn config(&self) -> String {
        let mut text = format!(
            "router id {};\nprotocol device {{ scan time 1; }}\n",
            self.id
        );
        for family in ["ipv4", "ipv6"] {
            push(
                &mut text,
                format_args!(
                    "protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n\
                     protocol static {{ {family};\n"
                ),
            );
            for prefix in &self.announces {
                if family_of(prefix.addr()) == family {
                    push(&mut text, format_args!("  route {prefix} blackhole;\n"));
                }
            }
            text.push_str("}\n");
        }
        for session in &self.sessions {
            session.write(self.asn, &mut text);
        }
        text
    }
}

impl Session {
    /// A session from an address of this router to a peer's, which is on the same network or at the other end of a link.
    #[must_use]
    pub fn new(
        name: &str,
        local: impl Into<IpAddr>,
        (peer, peer_asn): (impl Into<IpAddr>, u32),
    ) -> Self {
        Self {
            name: name.to_owned(),
            local: local.into(),
            peer: peer.into(),
            peer_asn,
            device: None,
            link_state: true,
        }
    }

    /// By this device alone.
    #[must_use]
    pub fn by(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }

    /// Kept when the link's carrier is lost, as it is from a TUN or TAP device while no daemon holds it; BIRD gives up
    /// a session on a network of its own at once otherwise.
    #[must_use]
    pub fn whatever_the_carrier(mut self) -> Self {
        self.link_state = false;
        self
    }

    /// A session is of one family, which is that of its addresses.
    fn write(&self, asn: u32, text: &mut String) {
        let Self {
            name,
            local,
            peer,
            peer_asn,
            device,
            link_state,
        } = self;
        let family = family_of(*peer);
        let by = device
            .as_ref()
            .map_or_else(String::new, |device| format!("  interface \"{device}\";\n"));
        let check = if *link_state { "on" } else { "off" };
        push(
            text,
            format_args!(
                "protocol bgp {name} {{\n  local {local} as {asn};\n  neighbor {peer} as {peer_asn};\n{by}  direct;\n  check link {check};\n  \
                 hold time {HOLD_TIME};\n  connect delay time {RETRY};\n  connect retry time {RETRY};\n  \
                 error wait time {RETRY}, {RETRY};\n  {family} {{\n    import all;\n    \
                 export where source = RTS_STATIC;\n    next hop self;\n  }};\n}}\n"
            ),
        );
    }
}

fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}
