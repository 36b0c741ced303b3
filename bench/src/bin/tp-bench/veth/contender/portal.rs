//! The portal: an upstream at a, a client behind a GRE tunnel at b.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tp_bench::{FrameSpec, Namespace, Outer, Template, TunnelKind};

use super::{Books, Broken, Contender, FORWARDER_CPU, Process, Program, Traffic, look};
use crate::veth::counters::{Counters, Neighbour};
use crate::veth::laboratory::{
    A_ADDRESS, A_MAC, B_ADDRESS, B_MAC, PORT_A, PORT_A_MAC, PORT_B, PORT_B_ADDRESS, PORT_B_MAC,
};
use crate::veth::scratch::Scratch;
use crate::veth::system;

const PEER: &str = "portal";
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const CLIENT_PREFIX: &str = "198.51.100.0/24";
/// TTL of what is sent, and of the outer headers that the portal writes by default.
const TTL: u8 = 64;
/// Far ends whose MAC addresses the portal has to learn: the router at a, the client's end at b.
const NEIGHBOURS: usize = 2;

/// The portal: `tpd` and `tpctl` of the directory of the running program.
///
/// Both directions carry inner packets of 50 bytes: frames of 64 bytes at a, and 24 bytes (IPv4, GRE
/// without key) more at b.
pub(crate) fn portal(scratch: &Scratch) -> Result<Contender, Broken> {
    let [tpd, tpctl] = [beside("tpd")?, beside("tpctl")?];
    let directory = scratch.path().to_owned();
    let config = directory.join("tpd.toml");
    fs::write(&config, configuration(&directory, &scratch.bpffs()))
        .map_err(system("write the portal's configuration"))?;
    let program = Portal {
        command: vec![tpd, "--config".into(), config.display().to_string()],
        tpctl,
        directory,
    };
    Ok(Contender {
        peer: PEER,
        traffic: traffic()?,
        program: Box::new(program),
    })
}

fn configuration(directory: &Path, bpffs: &Path) -> String {
    let (directory, bpffs) = (directory.display(), bpffs.display());
    format!(
        r#"[portal]
workers = [{FORWARDER_CPU}]
on_stop = "release"
api = "{directory}/api.sock"
bpffs = "{bpffs}"
state = "{directory}/state"

[ports.{PORT_A}]
[ports.{PORT_B}]

[upstreams.isp]
port = "{PORT_A}"
next_hop = "{A_ADDRESS}"

[clients.client]
prefixes = ["{CLIENT_PREFIX}"]

[tunnels.client-isp]
client = "client"
upstream = "isp"
kind = "gre"
local = "{PORT_B_ADDRESS}"
remote = "{B_ADDRESS}"
routes = ["{CLIENT_PREFIX}"]
"#
    )
}

fn traffic() -> Result<[Traffic; 2], Broken> {
    let tunnel = |source, destination| {
        Some(Outer {
            kind: TunnelKind::Gre { key: None },
            source,
            destination,
            ttl: TTL,
        })
    };
    let at = |src, dst, outer, ends: (Ipv4Addr, Ipv4Addr), ttl| FrameSpec {
        outer,
        ttl,
        ..FrameSpec::new(src, dst, ends.0, ends.1)
    };
    let (to_client, to_server) = ((SERVER, CLIENT), (CLIENT, SERVER));
    let (to_b, to_portal) = (
        tunnel(PORT_B_ADDRESS, B_ADDRESS),
        tunnel(B_ADDRESS, PORT_B_ADDRESS),
    );
    let sent_at_a = at(A_MAC, PORT_A_MAC, None, to_client, TTL);
    let sent_at_b = at(B_MAC, PORT_B_MAC, to_portal, to_server, TTL);
    let arrives_at_a = at(PORT_A_MAC, A_MAC, None, to_server, TTL - 1);
    let arrives_at_b = at(PORT_B_MAC, B_MAC, to_b, to_client, TTL - 1);
    Ok([
        Traffic {
            sent: vec![Template::new(0, &sent_at_a)?],
            arrives: BTreeSet::from([look(1, &arrives_at_a)]),
        },
        Traffic {
            sent: vec![Template::new(1, &sent_at_b)?],
            arrives: BTreeSet::from([look(0, &arrives_at_b)]),
        },
    ])
}

/// A program in the directory of the running one.
fn beside(name: &str) -> Result<String, Broken> {
    let here = std::env::current_exe().map_err(system("find the running program"))?;
    let path = here.with_file_name(name);
    if path.is_file() {
        Ok(path.display().to_string())
    } else {
        Err(Broken::Missing(path))
    }
}

/// `tpd`, asked by `tpctl`.
#[derive(Debug)]
struct Portal {
    command: Vec<String>,
    tpctl: String,
    directory: PathBuf,
}

impl Portal {
    /// The answer to a question, as JSON; `None` where `tpctl` fails, since nobody serves yet.
    fn show(&self, what: &str) -> Result<Option<Vec<u8>>, Broken> {
        let output = Command::new(&self.tpctl)
            .arg("--socket")
            .arg(self.directory.join("api.sock"))
            .args(["show", what, "--json"])
            .stderr(Stdio::null())
            .output()
            .map_err(system("run tpctl"))?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Whether the daemon serves and knows the MAC addresses of all far ends: before that it
    /// forwards to none of them.
    fn is_ready(&self) -> Result<bool, Broken> {
        let Some(answer) = self.show("neighbours")? else {
            return Ok(false);
        };
        let neighbours: Vec<Neighbour> = parse(&answer)?;
        let known = neighbours.iter().filter(|n| n.mac.is_some()).count();
        Ok(known == NEIGHBOURS)
    }
}

impl Program for Portal {
    fn start(&self, namespace: &Namespace) -> Result<Process, Broken> {
        let errors = self.directory.join("portal.log");
        let mut process = Process::start(PEER, &self.command, namespace, &errors)?;
        process.wait_until_ready(|_| self.is_ready())?;
        Ok(process)
    }

    fn stop(&self, process: Process) -> Result<Books, Broken> {
        let answer = self.show("counters")?;
        process.terminate()?;
        let counters: Counters = parse(&answer.unwrap_or_default())?;
        Ok(counters.books())
    }
}

fn parse<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Broken> {
    serde_json::from_slice(json).map_err(|source| Broken::Counters { peer: PEER, source })
}
