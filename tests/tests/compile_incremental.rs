//! Compiling step by step means the same as compiling from scratch, whatever slots and tags it takes.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tp_control::compile::{Compiled, compile};
use tp_control::model::Name;
use tp_ebpf::UdpKind;
use tp_pipeline::abi::{AddrKey, IngressKind, LinkKey, SlotRef, TunnelKey, UdpPortKey};
use tp_pipeline::{
    Encap, Link, LinkAddresses, LinkHeader, MeterSpec, NextHop, PortId, Rates, TunnelSlot,
    UpstreamSlot, VfibId,
};
use tp_tests::generate::{Config, Devices, Rng, change, config, seed};

const CHAINS: u32 = 200;
const CHANGES: u32 = 50;

#[test]
fn incremental_compile_equals_compile_from_scratch() {
    let seed = seed();
    println!("TP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for _ in 0..CHAINS {
        let mut config = config(&mut rng, &Devices::default());
        let mut incremental = from_scratch(&config, 1);
        for _ in 0..CHANGES {
            let next = change(&mut rng, &config);
            let compiled = compile(Some(&incremental), &next.model, &next.kernel, 0).unwrap();
            let scratch = Meaning::of(&from_scratch(&next, 1000));
            assert_eq!(
                Meaning::of(&compiled),
                scratch,
                "before: {config:#?}\nafter: {next:#?}"
            );
            assert_ids_are_fresh(&incremental, &compiled);
            (config, incremental) = (next, compiled);
        }
    }
}

fn from_scratch(config: &Config, first_tag: u32) -> Compiled {
    compile(None, &config.model, &config.kernel, first_tag).unwrap()
}

/// A slot that the successor gave to something else bears another tag, and is not one that the
/// predecessor uses: workers hold both generations while a change is under way.
fn assert_ids_are_fresh(before: &Compiled, after: &Compiled) {
    // Bare and carried upstreams have their slots of one space, and so have clients' links.
    let ids = |compiled: &Compiled| -> BTreeMap<(bool, u32), (u16, u32)> {
        let entries = compiled.steering.tunnels.values();
        let space = |r: &SlotRef| {
            let upstreams = [IngressKind::Upstream, IngressKind::UpstreamTunnel];
            upstreams.map(|kind| kind as u16).contains(&r.ingress)
        };
        entries
            .chain(compiled.steering.links.values())
            .map(|r| ((space(r), r.slot), (r.ingress, r.tag)))
            .collect()
    };
    let (old, new) = (ids(before), ids(after));
    for (place, id) in &new {
        assert!(
            old.get(place).is_none_or(|o| o == id),
            "slot {place:?} was handed over at once"
        );
    }
}

/// What a compile means, in names instead of numbers.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    /// Of each device: its port and its queues.
    ports: BTreeMap<u32, (Name, u16)>,
    macs: BTreeSet<(Name, [u8; 6])>,
    addresses: BTreeSet<AddrKey>,
    udp_ports: BTreeMap<UdpPortKey, UdpKind>,
    tunnel_keys: BTreeMap<TunnelKey, Leads>,
    /// With the flags of the entry.
    links: BTreeMap<Place, (Leads, u16)>,
    mtus: BTreeMap<Name, u16>,
    upstreams: BTreeMap<Name, (Vfib, Attached)>,
    tunnels: BTreeMap<Name, Tunnel>,
    clients: BTreeMap<Name, Rates>,
    owners: BTreeSet<(IpAddr, u8, Name)>,
}

/// Port, VLAN stack and MAC.
type Place = (Name, [u16; 2], [u8; 6]);

/// Kind and name of where a steering entry leads.
type Leads = (IngressKind, Name);

#[derive(Debug, PartialEq, Eq)]
struct Vfib {
    /// Prefix, whether it leads to an upstream, and the name of where it leads.
    routes: BTreeSet<(IpAddr, u8, bool, Name)>,
    mac: [u8; 6],
}

#[derive(Debug, PartialEq, Eq)]
struct Tunnel {
    client: Name,
    vfib: Option<Vfib>,
    link: Attached,
    rates: Rates,
}

/// How packets come and go.
#[derive(Debug, PartialEq, Eq)]
struct Attached {
    way: Option<Way>,
    encap: Encap,
    own: Option<[u8; 6]>,
    /// The MACs that it shows, in order, each with the upstream of its vFIB.
    shown: Vec<([u8; 6], Name)>,
    local: Option<(Vec<LinkAddresses>, Option<Way>, MeterSpec)>,
}

/// Port and link header.
type Way = (Name, Vec<u8>);

impl Meaning {
    fn of(compiled: &Compiled) -> Self {
        let names = Names(compiled);
        let (tables, steering) = (&compiled.tables, &compiled.steering);
        let link = |LinkKey { port, vlan, mac }: &LinkKey| (names.port(*port), *vlan, *mac);
        Self {
            ports: (steering.ports.iter())
                .map(|(ifindex, entry)| (*ifindex, (names.port(entry.port), entry.queues)))
                .collect(),
            macs: (steering.local_macs.iter())
                .map(|k| (names.port(k.port), k.mac))
                .collect(),
            addresses: steering.local_addrs.clone(),
            udp_ports: steering.udp_ports.clone(),
            tunnel_keys: (steering.tunnels.iter())
                .map(|(k, r)| (*k, names.ingress(r)))
                .collect(),
            links: (steering.links.iter())
                .map(|(k, r)| (link(k), (names.ingress(r), r.flags)))
                .collect(),
            mtus: entries(&tables.ports)
                .map(|(i, port)| (names.port(i), port.mtu))
                .collect(),
            upstreams: entries(&tables.upstreams)
                .map(|(slot, upstream)| {
                    let name = names.upstream(UpstreamSlot(slot.into()));
                    let meaning = (names.vfib(upstream.vfib), names.attached(&upstream.link));
                    (name, meaning)
                })
                .collect(),
            tunnels: entries(&tables.tunnels)
                .map(|(slot, tunnel)| {
                    let meaning = Tunnel {
                        client: names.client(tunnel.client.0),
                        vfib: tunnel.vfib.map(|id| names.vfib(id)),
                        link: names.attached(&tunnel.link),
                        rates: tunnel.rates,
                    };
                    (names.tunnel(TunnelSlot(slot.into())), meaning)
                })
                .collect(),
            clients: entries(&tables.clients)
                .map(|(slot, client)| (names.client(slot.into()), client.rates))
                .collect(),
            owners: names.owners(),
        }
    }
}

/// The slots that are taken.
fn entries<T>(slots: &[Option<T>]) -> impl Iterator<Item = (u16, &T)> {
    (0..)
        .zip(slots)
        .filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
}

/// From numbers back to names.
struct Names<'a>(&'a Compiled);

impl Names<'_> {
    fn port(&self, index: u16) -> Name {
        let ports = &self.0.names.ports;
        ports.name_of(PortId(index.into())).unwrap().clone()
    }

    fn upstream(&self, slot: UpstreamSlot) -> Name {
        self.0.names.upstreams.name_of(slot).unwrap().clone()
    }

    fn tunnel(&self, slot: TunnelSlot) -> Name {
        self.0.names.tunnels.name_of(slot).unwrap().clone()
    }

    fn client(&self, slot: u32) -> Name {
        let clients = &self.0.names.clients;
        let slot = tp_pipeline::ClientSlot(slot);
        clients.name_of(slot).unwrap().clone()
    }

    /// What a steering entry leads to; its tag must be the one in the tables.
    fn ingress(&self, entry: &SlotRef) -> Leads {
        let (tables, slot) = (&self.0.tables, entry.slot as usize);
        let kind = IngressKind::from_u8(u8::try_from(entry.ingress).unwrap()).unwrap();
        let (tag, name) = match kind {
            IngressKind::Upstream | IngressKind::UpstreamTunnel => (
                tables.upstreams[slot].as_ref().unwrap().tag,
                self.upstream(UpstreamSlot(entry.slot)),
            ),
            IngressKind::Tunnel | IngressKind::L2Client => (
                tables.tunnels[slot].as_ref().unwrap().tag,
                self.tunnel(TunnelSlot(entry.slot)),
            ),
            other => panic!("no entry leads to {other:?}"),
        };
        assert_eq!(tag.0, entry.tag, "{name}");
        (kind, name)
    }

    fn vfib(&self, id: VfibId) -> Vfib {
        let tables = &self.0.tables;
        let vfib = &tables.vfibs[id.index()];
        let v4 = (vfib.v4.iter()).map(|(p, to)| (IpAddr::from(p.addr()), p.len(), to));
        let v6 = (vfib.v6.iter()).map(|(p, to)| (IpAddr::from(p.addr()), p.len(), to));
        let routes = v4.chain(v6).map(|(address, length, to)| {
            let (is_upstream, name) = match tables.next_hop(to) {
                NextHop::Upstream(slot) => (true, self.upstream(slot)),
                NextHop::Tunnel(slot) => (false, self.tunnel(slot)),
                other @ (NextHop::Punt | NextHop::Drop) => panic!("no route leads to {other:?}"),
            };
            (address, length, is_upstream, name)
        });
        Vfib {
            routes: routes.collect(),
            mac: vfib.mac.octets(),
        }
    }

    /// The upstream whose table this is.
    fn upstream_of(&self, vfib: VfibId) -> Name {
        let mut names = self.0.names.upstreams.iter().map(|(name, _)| name);
        let of = |name: &&Name| self.0.vfib(name) == Some(vfib);
        names.find(of).unwrap().clone()
    }

    fn owners(&self) -> BTreeSet<(IpAddr, u8, Name)> {
        let owners = &self.0.tables.owners;
        let v4 = (owners.v4.iter()).map(|(p, to)| (IpAddr::from(p.addr()), p.len(), to));
        let v6 = (owners.v6.iter()).map(|(p, to)| (IpAddr::from(p.addr()), p.len(), to));
        v4.chain(v6)
            .map(|(address, length, owner)| (address, length, self.client(owner.0)))
            .collect()
    }

    fn attached(&self, link: &Link) -> Attached {
        let ethernet = link.ethernet.as_ref();
        let shown = ethernet.into_iter().flat_map(|e| e.shown.iter());
        Attached {
            way: self.way(link.egress.as_ref()),
            encap: link.encap.clone(),
            own: ethernet.map(|e| e.own.octets()),
            shown: shown
                .map(|(mac, vfib)| (mac.octets(), self.upstream_of(*vfib)))
                .collect(),
            local: link.local.as_ref().map(|local| {
                let way = self.way(local.egress.as_ref());
                (local.pairs.clone(), way, local.rate)
            }),
        }
    }

    fn way(&self, header: Option<&LinkHeader>) -> Option<Way> {
        let header = header?;
        let mut bytes = vec![0; header.len()];
        header.write(0x0800, &mut bytes);
        Some((self.port(u16::try_from(header.port.0).unwrap()), bytes))
    }
}
