//! Tables of objects and look-ups.

use std::fmt::Write;

use tp_api::{
    Client, Egress, Lookup, Neighbour, Outer, Port, Queue, Rate, Rates, Reload, RouteTarget,
    Status, Tunnel, TunnelKind, Upstream, Vfib, VfibRoute, VfibSummary, Vlan,
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
        "PORT",
        "VLANS",
        "NEXT HOP",
        "NEXT HOP MAC",
        "SOURCE MACS",
        "TUNNELS",
    ];
    let mut table = Table::new(headers);
    for upstream in upstreams {
        table.row([
            upstream.name.clone(),
            upstream.port.clone(),
            vlans(&upstream.vlans),
            upstream.next_hop.clone(),
            upstream
                .next_hop_mac
                .clone()
                .unwrap_or_else(|| "unresolved".to_owned()),
            list(&upstream.source_macs),
            upstream.tunnels.to_string(),
        ]);
    }
    table.render()
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
        "KEY",
        "LOCAL",
        "REMOTE",
        "REACHED BY",
        "ROUTES",
        "FROM CLIENT (bit/s)",
        "TO CLIENT (bit/s)",
        "BURST (bytes)",
    ];
    let mut table = Table::new(headers);
    for tunnel in tunnels {
        let [from, to, burst] = rate_cells(&tunnel.rates);
        table.row([
            tunnel.name.clone(),
            tunnel.client.clone(),
            tunnel.upstream.clone(),
            kind(tunnel.kind).to_owned(),
            or_none(tunnel.key),
            tunnel.local.to_string(),
            tunnel.remote.to_string(),
            reach(tunnel),
            list(&tunnel.routes),
            from,
            to,
            burst,
        ]);
    }
    table.render()
}

fn reach(tunnel: &Tunnel) -> String {
    let Some(reach) = &tunnel.reach else {
        return "unreachable".to_owned();
    };
    let way = match reach.gateway {
        Some(gateway) => format!("{gateway} on {}", reach.port),
        None => reach.port.clone(),
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
