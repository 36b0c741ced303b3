//! Ports, upstreams, clients and tunnels.

use tp_api::BareKind;

use super::{kind, udp, vlans};
use crate::compile::{next_hop_mac, own_mac, peer_mac};
use crate::model::{self, Attachment, Name, Upstreams};
use crate::portal::Portal;

impl Portal {
    /// Devices.
    #[must_use]
    pub fn ports(&self) -> Vec<tp_api::Port> {
        let reports = self.fleet.report().unwrap_or_default();
        let port = |(name, port): (&Name, &model::Port)| {
            let link = self.view.links.get(name);
            let id = self.bound.get(name).map(|bound| bound.id);
            let mut queues: Vec<tp_api::Queue> = reports
                .iter()
                .enumerate()
                .flat_map(|(worker, report)| report.open.iter().map(move |s| (worker, s)))
                .filter(|(_, socket)| Some(socket.port) == id)
                .map(|(worker, socket)| tp_api::Queue {
                    queue: socket.queue,
                    worker,
                    mode: super::mode(socket.mode).to_owned(),
                })
                .collect();
            queues.sort_by_key(|queue| queue.queue);
            tp_api::Port {
                name: name.clone(),
                ifindex: link.map(|l| l.ifindex),
                mac: link.map(|l| l.mac.to_string()),
                mtu: link.map(|l| l.mtu),
                up: link.is_some_and(|l| l.up),
                xdp: match port.xdp {
                    model::XdpMode::Native => "native",
                    model::XdpMode::Generic => "generic",
                }
                .to_owned(),
                queues,
                fault: self
                    .faults
                    .get(name)
                    .map(|fault| crate::portal::chain(fault)),
            }
        };
        self.model.ports.iter().map(port).collect()
    }

    /// ISPs.
    #[must_use]
    pub fn upstreams(&self) -> Vec<tp_api::Upstream> {
        let mut tunnels: std::collections::BTreeMap<&Name, usize> = Default::default();
        for upstream in self
            .model
            .tunnels
            .values()
            .flat_map(|t| t.upstreams.names())
        {
            *tunnels.entry(upstream).or_default() += 1;
        }
        let upstream = |(name, upstream): (&Name, &model::Upstream)| {
            let allocated = self.compiled.names.upstreams.get(name);
            let macs = allocated.map(|a| a.identity.source_macs().map(|m| m.to_string()).collect());
            let next_hop_mac = next_hop_mac(upstream, &self.model, &self.view);
            let vfib = self.compiled.vfib(name);
            let vfib = vfib.and_then(|id| self.compiled.tables.vfibs.get(id.index()));
            tp_api::Upstream {
                name: name.clone(),
                attachment: self.attachment(&upstream.attachment),
                next_hop: upstream.next_hop.map(|next_hop| match next_hop {
                    model::NextHop::Address(address) => address.to_string(),
                    model::NextHop::Mac(mac) => mac.to_string(),
                }),
                next_hop_mac: next_hop_mac.map(|mac| mac.to_string()),
                source_macs: macs.unwrap_or_default(),
                link: link(&upstream.addresses),
                shown_mac: vfib.map(|vfib| vfib.mac.to_string()).unwrap_or_default(),
                tunnels: tunnels.get(name).copied().unwrap_or_default(),
            }
        };
        self.model.upstreams.iter().map(upstream).collect()
    }

    /// Hosted networks.
    #[must_use]
    pub fn clients(&self) -> Vec<tp_api::Client> {
        let mut tunnels: std::collections::BTreeMap<&Name, Vec<String>> = Default::default();
        for (name, tunnel) in &self.model.tunnels {
            tunnels
                .entry(&tunnel.client)
                .or_default()
                .push(name.clone());
        }
        let client = |(name, client): (&Name, &model::Client)| tp_api::Client {
            name: name.clone(),
            asn: client.asn,
            prefixes: client.prefixes.clone(),
            rates: rates(&client.rates),
            tunnels: tunnels.get(name).cloned().unwrap_or_default(),
        };
        self.model.clients.iter().map(client).collect()
    }

    /// Links of clients to upstreams.
    #[must_use]
    pub fn tunnels(&self) -> Vec<tp_api::Tunnel> {
        let tunnel = |(name, tunnel): (&Name, &model::Tunnel)| tp_api::Tunnel {
            name: name.clone(),
            client: tunnel.client.clone(),
            upstreams: shown(&tunnel.upstreams),
            attachment: self.attachment(&tunnel.attachment),
            link: link(&tunnel.addresses),
            ethernet: tunnel.attachment.is_ethernet().then(|| {
                let own = own_mac(
                    &tunnel.attachment,
                    &tunnel.addresses,
                    &self.model,
                    &self.view,
                );
                let peer = peer_mac(tunnel, &self.model, &self.view);
                tp_api::Ethernet {
                    own: own.map(|mac| mac.to_string()),
                    peer: peer.map(|mac| mac.to_string()),
                }
            }),
            routes: tunnel.routes.clone(),
            rates: rates(&tunnel.rates),
        };
        self.model.tunnels.iter().map(tunnel).collect()
    }

    fn attachment(&self, attachment: &Attachment) -> tp_api::Attachment {
        match attachment {
            Attachment::Bare(bare) => tp_api::Attachment::Bare(tp_api::Bare {
                kind: if bare.vlans.is_empty() {
                    BareKind::Port
                } else {
                    BareKind::Vlan
                },
                port: bare.port.clone(),
                vlans: vlans(&bare.vlans),
            }),
            Attachment::Carried(carried) => {
                let (kind, key) = kind(carried.kind);
                tp_api::Attachment::Carried(tp_api::Carried {
                    kind,
                    key,
                    udp: udp(carried.kind).map(|udp| tp_api::Udp {
                        port: udp.port,
                        remote_port: udp.remote_port,
                        checksum: udp.checksum,
                    }),
                    local: carried.local,
                    remote: carried.remote,
                    ttl: carried.ttl,
                    dscp: carried.dscp,
                    reach: self.reach(carried.remote),
                })
            }
        }
    }
}

fn link(pairs: &[model::LinkAddresses]) -> Vec<tp_api::LinkAddresses> {
    let pair = |pair: &model::LinkAddresses| tp_api::LinkAddresses {
        portal: pair.portal,
        peer: pair.peer,
    };
    pairs.iter().map(pair).collect()
}

fn shown(upstreams: &Upstreams) -> Vec<tp_api::Shown> {
    let shown = |(upstream, next_hops): (&Name, &Vec<std::net::IpAddr>)| tp_api::Shown {
        upstream: upstream.clone(),
        next_hops: next_hops.clone(),
    };
    match upstreams {
        Upstreams::One(name) => vec![shown((name, &Vec::new()))],
        Upstreams::Shown(several) => several.iter().map(shown).collect(),
    }
}

fn rates(rates: &model::Rates) -> tp_api::Rates {
    let rate = |rate: model::Rate| tp_api::Rate {
        bits_per_second: rate.bits_per_second,
        burst_bytes: rate.burst,
    };
    tp_api::Rates {
        from_client: rates.from_client.map(rate),
        to_client: rates.to_client.map(rate),
    }
}
