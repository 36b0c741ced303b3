//! Tables of objects and look-ups.

use std::fmt::Write;

use tp_api::{
    Attachment, Bare, Carried, Client, Egress, LinkAddresses, Lookup, Neighbour, Outer, Port,
    Queue, Rate, Rates, Reload, RouteTarget, Shown, Status, Tunnel, TunnelKind, Upstream, Vfib,
    VfibRoute, VfibSummary, Vlan,
};

use crate::error::places;
use crate::table::{Table, list, or_none};

pub(crate) fn status(status: &Status) -> String {
    let mut facts = Table::new(["STATUS", ""]);
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("version", status.version.clone());
    fact("process", status.pid.to_string());
    fact("uptime (s)", status.uptime_s.to_string());
    fact("configuration", status.configuration.clone());
    fact("generation", status.generation.to_string());
    fact("kernel feed overruns", status.kernel.overruns.to_string());
    fact("kernel feed resyncs", status.kernel.resyncs.to_string());
    fact("kernel refusals", status.kernel.refusals.to_string());
    let mut workers = Table::new(["WORKER", "CPU", "GENERATION"]);
    for worker in &status.workers {
        let (number, cpu) = (worker.worker.to_string(), worker.cpu.to_string());
        workers.row([number, cpu, worker.generation.to_string()]);
    }
    let mut text = format!("{}\n{}", facts.render(), workers.render());
    if !status.warnings.is_empty() {
        text.push_str("\nWARNINGS\n");
        text.push_str(&places(&status.warnings));
    }
    text
}

pub(crate) fn reload(reload: &Reload) -> String {
    let Reload {
        generation,
        took_us,
        changed,
        warnings,
    } = reload;
    let what = if *changed {
        "applied"
    } else {
        "nothing changed"
    };
    format!(
        "{what}: generation {generation}, after {took_us} µs\n{}",
        places(warnings)
    )
}

pub(crate) fn ports(ports: &[Port]) -> String {
    let headers = [
        "PORT",
        "IFINDEX",
        "MAC",
        "MTU (bytes)",
        "STATE",
        "XDP",
        "QUEUES (worker, mode)",
    ];
    let mut table = Table::new(headers);
    for port in ports {
        let queue = |q: &Queue| format!("{} ({}, {})", q.queue, q.worker, q.mode);
        table.row([
            port.name.clone(),
            or_none(port.ifindex),
            or_none(port.mac.as_ref()),
            or_none(port.mtu),
            match (&port.fault, port.up) {
                (Some(fault), _) => fault.clone(),
                (None, true) => "up".to_owned(),
                (None, false) => "down".to_owned(),
            },
            port.xdp.clone(),
            list(port.queues.iter().map(queue)),
        ]);
    }
    table.render()
}

pub(crate) fn upstreams(upstreams: &[Upstream]) -> String {
    let headers = [
        "UPSTREAM",
        "KIND",
        "AT",
        "NEXT HOP",
        "NEXT HOP MAC",
        "SOURCE MACS",
        "LINK (portal, router)",
        "SHOWN AS",
        "TUNNELS",
    ];
    let mut table = Table::new(headers);
    for upstream in upstreams {
        let unresolved = || "unresolved".to_owned();
        let mac = upstream.next_hop.as_ref().map(|_| {
            let mac = upstream.next_hop_mac.clone();
            mac.unwrap_or_else(unresolved)
        });
        let [kind, at] = attachment(&upstream.attachment);
        table.row([
            upstream.name.clone(),
            kind,
            at,
            or_none(upstream.next_hop.as_ref()),
            or_none(mac),
            list(&upstream.source_macs),
            pairs(&upstream.link),
            upstream.shown_mac.clone(),
            upstream.tunnels.to_string(),
        ]);
    }
    table.render()
}

/// Kind, with what tells links of one kind apart; and where it is: port and VLANs, or outer addresses and the way.
fn attachment(attachment: &Attachment) -> [String; 2] {
    match attachment {
        Attachment::Bare(Bare { port, vlans: v, .. }) if v.is_empty() => {
            ["port".to_owned(), port.clone()]
        }
        Attachment::Bare(Bare { port, vlans: v, .. }) => {
            ["vlan".to_owned(), format!("{port} {}", vlans(v))]
        }
        Attachment::Carried(carried) => {
            let mut named = kind(carried.kind).to_owned();
            // Writing to a String cannot fail.
            if let Some(key) = carried.key {
                let _ = write!(named, " key {key}");
            }
            if let Some(udp) = carried.udp {
                let _ = write!(named, " port {}", udp.port);
                if udp.remote_port != udp.port {
                    let _ = write!(named, " to {}", udp.remote_port);
                }
            }
            let (local, remote) = (carried.local, carried.remote);
            [named, format!("{local} to {remote}{}", reach(carried))]
        }
    }
}

fn pairs(pairs: &[LinkAddresses]) -> String {
    list(pairs.iter().map(|p| format!("{} {}", p.portal, p.peer)))
}

/// Tags, outermost first; one with TPID 0x88a8 is marked.
fn vlans(vlans: &[Vlan]) -> String {
    list(vlans.iter().map(|v| {
        if v.service {
            format!("{}s", v.vid)
        } else {
            v.vid.to_string()
        }
    }))
}

/// The two limits in bits a second and the bytes of their bursts.
fn rate_cells(rates: &Rates) -> [String; 3] {
    let bits = |rate: Option<Rate>| or_none(rate.map(|rate| rate.bits_per_second));
    // The configuration gives both directions one burst, unless it is a default.
    let both = [rates.from_client, rates.to_client].into_iter().flatten();
    let mut bursts: Vec<u64> = both.map(|rate| rate.burst_bytes).collect();
    bursts.dedup();
    [bits(rates.from_client), bits(rates.to_client), list(bursts)]
}

pub(crate) fn clients(clients: &[Client]) -> String {
    let headers = [
        "CLIENT",
        "ASN",
        "PREFIXES",
        "FROM CLIENT (bit/s)",
        "TO CLIENT (bit/s)",
        "BURST (bytes)",
        "TUNNELS",
    ];
    let mut table = Table::new(headers);
    for client in clients {
        let [from, to, burst] = rate_cells(&client.rates);
        table.row([
            client.name.clone(),
            or_none(client.asn),
            list(&client.prefixes),
            from,
            to,
            burst,
            list(&client.tunnels),
        ]);
    }
    table.render()
}

pub(crate) fn tunnels(tunnels: &[Tunnel]) -> String {
    let headers = [
        "TUNNEL",
        "CLIENT",
        "UPSTREAM",
        "KIND",
        "AT",
        "PEER MAC",
        "LINK (portal, client)",
        "ROUTES",
        "FROM CLIENT (bit/s)",
        "TO CLIENT (bit/s)",
        "BURST (bytes)",
    ];
    let mut table = Table::new(headers);
    for tunnel in tunnels {
        let [from, to, burst] = rate_cells(&tunnel.rates);
        let [kind, at] = attachment(&tunnel.attachment);
        let peer = tunnel.ethernet.as_ref().map(|ethernet| {
            let peer = ethernet.peer.as_deref();
            peer.unwrap_or("unresolved")
        });
        table.row([
            tunnel.name.clone(),
            tunnel.client.clone(),
            list(tunnel.upstreams.iter().map(shown)),
            kind,
            at,
            or_none(peer),
            pairs(&tunnel.link),
            list(&tunnel.routes),
            from,
            to,
            burst,
        ]);
    }
    table.render()
}

/// An upstream, with its next-hop addresses where it is one of several.
fn shown(shown: &Shown) -> String {
    let next_hops: Vec<String> = shown.next_hops.iter().map(ToString::to_string).collect();
    if next_hops.is_empty() {
        shown.upstream.clone()
    } else {
        format!("{} at {}", shown.upstream, next_hops.join(" "))
    }
}

fn reach(carried: &Carried) -> String {
    let Some(reach) = &carried.reach else {
        return ", unreachable".to_owned();
    };
    let way = match reach.gateway {
        Some(gateway) => format!(" by {gateway} on {}", reach.port),
        None => format!(" by {}", reach.port),
    };
    if reach.mac.is_some() {
        way
    } else {
        format!("{way}, unresolved")
    }
}

const fn kind(kind: TunnelKind) -> &'static str {
    match kind {
        TunnelKind::Ipip => "ipip",
        TunnelKind::Gre => "gre",
        TunnelKind::Egre => "egre",
        TunnelKind::Fou => "fou",
        TunnelKind::Gue => "gue",
    }
}

pub(crate) fn vfibs(vfibs: &[VfibSummary]) -> String {
    let mut table = Table::new(["VFIB", "ROUTES"]);
    for vfib in vfibs {
        table.row([vfib.name.clone(), vfib.routes.to_string()]);
    }
    table.render()
}

pub(crate) fn vfib(vfib: &Vfib) -> String {
    let mut table = Table::new(["PREFIX", "TO"]);
    for VfibRoute { prefix, target: to } in &vfib.routes {
        table.row([prefix.to_string(), target(to)]);
    }
    table.render()
}

fn target(target: &RouteTarget) -> String {
    match target {
        RouteTarget::Upstream { upstream } => format!("upstream {upstream}"),
        RouteTarget::Tunnel { tunnel, client } => format!("tunnel {tunnel} of {client}"),
        RouteTarget::Kernel => "kernel".to_owned(),
        RouteTarget::Drop => "drop".to_owned(),
    }
}

pub(crate) fn lookup(lookup: &Lookup) -> String {
    let mut text = format!("{} in {}\n", lookup.address, lookup.vfib);
    // Writing to a String cannot fail.
    let _ = match &lookup.route {
        Some(VfibRoute { prefix, target: to }) => {
            writeln!(text, "  matches {prefix}, to {}", target(to))
        }
        None => writeln!(text, "  matches no route"),
    };
    if let Some(egress) = &lookup.egress {
        text.push_str(&leaves(egress));
    }
    if let Some(reason) = &lookup.drop {
        let _ = writeln!(text, "  is dropped: {reason}");
    }
    let _ = writeln!(text, "  as of generation {}", lookup.generation);
    text
}

fn leaves(egress: &Egress) -> String {
    let mut text = format!("  leaves by {} to {}", egress.port, egress.mac);
    // Writing to a String cannot fail.
    if !egress.vlans.is_empty() {
        let _ = write!(text, ", VLANs {}", vlans(&egress.vlans));
    }
    if let Some(Outer {
        kind: of,
        key,
        udp_port,
        source,
        destination,
    }) = &egress.outer
    {
        let _ = write!(
            text,
            "\n  wrapped in {} {source} to {destination}",
            kind(*of)
        );
        if let Some(key) = key {
            let _ = write!(text, ", key {key}");
        }
        if let Some(port) = udp_port {
            let _ = write!(text, ", UDP port {port}");
        }
    }
    if let Some(mac) = &egress.inner_mac {
        let _ = write!(text, ", to {mac} within");
    }
    text.push('\n');
    text
}

pub(crate) fn neighbours(neighbours: &[Neighbour]) -> String {
    let mut table = Table::new(["PORT", "ADDRESS", "MAC", "USED BY"]);
    for neighbour in neighbours {
        table.row([
            neighbour.port.clone(),
            neighbour.address.to_string(),
            neighbour
                .mac
                .clone()
                .unwrap_or_else(|| "unresolved".to_owned()),
            list(&neighbour.users),
        ]);
    }
    table.render()
}
