//! Compiling step by step means the same as compiling from scratch, whatever slots and tags it takes.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use tp_control::compile::{Compiled, compile};
use tp_control::model::Name;
use tp_pipeline::abi::{AddrKey, IngressKind, LinkKey, SlotRef, TunnelKey};
use tp_pipeline::{Encap, LinkHeader, NextHop, PortId, Rates, TunnelSlot, UpstreamSlot, VfibId};
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
    let ids = |compiled: &Compiled| -> BTreeMap<(u16, u32), SlotRef> {
        let tunnels = compiled.steering.tunnels.values();
        tunnels
            .chain(compiled.steering.links.values())
            .map(|r| ((r.ingress, r.slot), *r))
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
    tunnel_keys: BTreeMap<TunnelKey, Name>,
    /// By port, VLAN stack and MAC.
    links: BTreeMap<(Name, [u16; 2], [u8; 6]), Name>,
    mtus: BTreeMap<Name, u16>,
    upstreams: BTreeMap<Name, (Vfib, Option<Way>)>,
    tunnels: BTreeMap<Name, Tunnel>,
    clients: BTreeMap<Name, Rates>,
    owners: BTreeSet<(Ipv4Addr, u8, Name)>,
}

/// Routes: prefix, and the kind and name of where they lead.
type Vfib = BTreeSet<(Ipv4Addr, u8, IngressKind, Name)>;
/// Port and link header.
type Way = (Name, Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
struct Tunnel {
    client: Name,
    vfib: Option<Vfib>,
    encap: Encap,
    way: Option<Way>,
    rates: Rates,
}

impl Meaning {
    fn of(compiled: &Compiled) -> Self {
        let names = Names(compiled);
        let (tables, steering) = (&compiled.tables, &compiled.steering);
        Self {
            ports: (steering.ports.iter())
                .map(|(ifindex, entry)| (*ifindex, (names.port(entry.port), entry.queues)))
                .collect(),
            macs: steering
                .local_macs
                .iter()
                .map(|k| (names.port(k.port), k.mac))
                .collect(),
            addresses: steering.local_addrs.clone(),
            tunnel_keys: steering
                .tunnels
                .iter()
                .map(|(k, r)| (*k, names.ingress(r)))
                .collect(),
            links: (steering.links.iter())
                .map(|(LinkKey { port, vlan, mac }, r)| {
                    ((names.port(*port), *vlan, *mac), names.ingress(r))
                })
                .collect(),
            mtus: entries(&tables.ports)
                .map(|(i, port)| (names.port(i), port.mtu))
                .collect(),
            upstreams: entries(&tables.upstreams)
                .map(|(slot, upstream)| {
                    let name = names.upstream(UpstreamSlot(slot.into()));
                    (
                        name,
                        (
                            names.vfib(upstream.vfib),
                            names.way(upstream.link.egress.as_ref()),
                        ),
                    )
                })
                .collect(),
            tunnels: entries(&tables.tunnels)
                .map(|(slot, tunnel)| {
                    let meaning = Tunnel {
                        client: names.client(tunnel.client.0),
                        vfib: tunnel.vfib.map(|id| names.vfib(id)),
                        encap: tunnel.link.encap.clone(),
                        way: names.way(tunnel.link.egress.as_ref()),
                        rates: tunnel.rates,
                    };
                    (names.tunnel(TunnelSlot(slot.into())), meaning)
                })
                .collect(),
            clients: entries(&tables.clients)
                .map(|(slot, client)| (names.client(slot.into()), client.rates))
                .collect(),
            owners: (tables.owners.v4.iter())
                .map(|(prefix, owner)| (prefix.addr(), prefix.len(), names.client(owner.0)))
                .collect(),
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
        self.0
            .names
            .ports
            .name_of(PortId(index.into()))
            .unwrap()
            .clone()
    }

    fn upstream(&self, slot: UpstreamSlot) -> Name {
        self.0.names.upstreams.name_of(slot).unwrap().clone()
    }

    fn tunnel(&self, slot: TunnelSlot) -> Name {
        self.0.names.tunnels.name_of(slot).unwrap().clone()
    }

    fn client(&self, slot: u32) -> Name {
        self.0
            .names
            .clients
            .name_of(tp_pipeline::ClientSlot(slot))
            .unwrap()
            .clone()
    }

    /// The name that a steering entry leads to; its tag must be the one in the tables.
    fn ingress(&self, entry: &SlotRef) -> Name {
        let (tables, slot) = (&self.0.tables, entry.slot as usize);
        let (tag, name) = if entry.ingress == IngressKind::Upstream as u16 {
            (
                tables.upstreams[slot].as_ref().unwrap().tag,
                self.upstream(UpstreamSlot(entry.slot)),
            )
        } else {
            assert_eq!(entry.ingress, IngressKind::Tunnel as u16);
            (
                tables.tunnels[slot].as_ref().unwrap().tag,
                self.tunnel(TunnelSlot(entry.slot)),
            )
        };
        assert_eq!(tag.0, entry.tag, "{name}");
        name
    }

    fn vfib(&self, id: VfibId) -> Vfib {
        let tables = &self.0.tables;
        let leads_to = |id| match tables.next_hop(id) {
            NextHop::Upstream(slot) => (IngressKind::Upstream, self.upstream(slot)),
            NextHop::Tunnel(slot) => (IngressKind::Tunnel, self.tunnel(slot)),
            other @ (NextHop::Punt | NextHop::Drop) => panic!("no route leads to {other:?}"),
        };
        (tables.vfibs[id.index()].v4.iter())
            .map(|(prefix, id)| {
                let (kind, name) = leads_to(id);
                (prefix.addr(), prefix.len(), kind, name)
            })
            .collect()
    }

    fn way(&self, header: Option<&LinkHeader>) -> Option<Way> {
        let header = header?;
        let mut bytes = vec![0; header.len()];
        header.write(0x0800, &mut bytes);
        Some((self.port(u16::try_from(header.port.0).unwrap()), bytes))
    }
}
