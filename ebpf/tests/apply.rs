//! The map writers: what the kernel holds after each apply, read back by the maps' own ids.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Program};
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use tp_ebpf::{Applied, ApplyError, Key, MapName, Steering, SteeringState, UdpKind};
use tp_pipeline::abi::{
    AddrKey, IngressKind, LinkKey, MAX_PORTS, MAX_QUEUES, MacKey, PortEntry, SlotRef, TunnelKey,
    UdpPortKey, addr_bytes,
};
use tp_wire::MacAddr;

/// A map of this program, opened behind the back of its writer.
fn map(steering: &Steering, name: &str) -> MapHandle {
    let id = Program::id_from_fd(steering.as_fd()).expect("program id");
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    let info = ProgInfoIter::with_query_opts(options)
        .find(|p| p.id == id)
        .expect("program");
    let maps = info
        .map_ids
        .iter()
        .map(|id| MapHandle::from_map_id(*id).expect("map"));
    maps.into_iter()
        .find(|m| m.name() == name)
        .unwrap_or_else(|| panic!("no map {name}"))
}

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn contents(steering: &Steering, name: &str) -> Contents {
    let map = map(steering, name);
    let value = |key: &Vec<u8>| {
        map.lookup(key, MapFlags::ANY)
            .expect("lookup")
            .expect("value")
    };
    map.keys().map(|key| (key.clone(), value(&key))).collect()
}

/// What the kernel should hold, field by field as abi.h has them.
fn expected(state: &SteeringState) -> [(&'static str, Contents); 6] {
    let slot = |s: &SlotRef| {
        let halves = [s.ingress, s.flags].map(u16::to_ne_bytes).concat();
        [[s.slot, s.tag].map(u32::to_ne_bytes).concat(), halves].concat()
    };
    let flags = || vec![0; 4];
    let mac = |k: &MacKey| [&k.port.to_ne_bytes()[..], &k.mac].concat();
    let port = |p: &PortEntry| {
        [
            &p.port.to_ne_bytes()[..],
            &p.queues.to_ne_bytes(),
            &p.reserved.to_ne_bytes(),
        ]
        .concat()
    };
    let tunnel = |k: &TunnelKey| {
        let rest = [
            &k.key_be.to_ne_bytes()[..],
            &k.dport_be.to_ne_bytes(),
            &[k.kind, k.flags],
        ];
        [&k.remote[..], &k.local, &rest.concat()].concat()
    };
    // TP_KIND_FOU and TP_KIND_GUE.
    let kind = |kind| {
        let number: u32 = match kind {
            UdpKind::Fou => 4,
            UdpKind::Gue => 5,
        };
        number.to_ne_bytes().to_vec()
    };
    let link = |k: &LinkKey| {
        let vlan = k.vlan.map(u16::to_ne_bytes).concat();
        [&k.port.to_ne_bytes()[..], &vlan, &k.mac].concat()
    };
    [
        (
            "ports",
            state
                .ports
                .iter()
                .map(|(k, v)| (k.to_ne_bytes().to_vec(), port(v)))
                .collect(),
        ),
        (
            "local_macs",
            state.local_macs.iter().map(|k| (mac(k), flags())).collect(),
        ),
        (
            "local_addrs",
            state
                .local_addrs
                .iter()
                .map(|k| (k.addr.to_vec(), flags()))
                .collect(),
        ),
        (
            "tunnels",
            state
                .tunnels
                .iter()
                .map(|(k, v)| (tunnel(k), slot(v)))
                .collect(),
        ),
        (
            "udp_ports",
            state
                .udp_ports
                .iter()
                .map(|(k, v)| (k.port_be.to_ne_bytes().to_vec(), kind(*v)))
                .collect(),
        ),
        (
            "links",
            state
                .links
                .iter()
                .map(|(k, v)| (link(k), slot(v)))
                .collect(),
        ),
    ]
}

fn assert_holds(steering: &Steering, state: &SteeringState) {
    assert_eq!(steering.state(), state);
    for (name, expected) in expected(state) {
        assert_eq!(contents(steering, name), expected, "map {name}");
    }
}

/// What leads from one state to the next, counted over all maps' contents.
fn difference(from: &SteeringState, to: &SteeringState) -> Applied {
    let mut applied = Applied::default();
    for ((_, from), (_, to)) in expected(from).iter().zip(&expected(to)) {
        applied.added += to.keys().filter(|k| !from.contains_key(*k)).count();
        applied.removed += from.keys().filter(|k| !to.contains_key(*k)).count();
        applied.changed += to
            .iter()
            .filter(|(k, v)| from.get(*k).is_some_and(|f| f != *v))
            .count();
    }
    applied
}

prop_compose! {
    fn a_slot()(slot in 0..4u32, tag in 0..2u32) -> SlotRef {
        SlotRef { slot, tag, ingress: IngressKind::Tunnel as u16, flags: 0 }
    }
}

fn a_udp_kind() -> impl Strategy<Value = UdpKind> {
    prop_oneof![Just(UdpKind::Fou), Just(UdpKind::Gue)]
}

prop_compose! {
    /// From few keys, so that states share some.
    fn a_state()(
        ports in btree_map(1..6u32, (0..64u16, 0..=64u16), 0..5),
        macs in btree_set((0..3u16, 0..3u8), 0..5),
        addrs in btree_set(0..6u8, 0..5),
        tunnels in btree_map((0..4u8, prop::option::of(0..2u32)), a_slot(), 0..6),
        udp_ports in btree_map(0..6u16, a_udp_kind(), 0..4),
        links in btree_map((0..3u16, 0..3u16, 0..2u8), a_slot(), 0..6),
    ) -> SteeringState {
        let addr = |n| Ipv4Addr::new(192, 0, 2, n).into();
        SteeringState {
            ports: ports
                .into_iter()
                .map(|(k, (port, queues))| (k, PortEntry { port, queues, reserved: 0 }))
                .collect(),
            local_macs: macs
                .into_iter()
                .map(|(port, n)| MacKey::new(port, MacAddr::new([2, 0, 0, 0, 0, n])))
                .collect(),
            local_addrs: addrs.into_iter().map(|n| AddrKey { addr: addr_bytes(addr(n)) }).collect(),
            tunnels: tunnels
                .into_iter()
                .map(|((n, key), slot)| (TunnelKey::gre(addr(n), addr(100), key), slot))
                .collect(),
            udp_ports: udp_ports
                .into_iter()
                .map(|(n, kind)| (UdpPortKey { port_be: (5550 + n).to_be() }, kind))
                .collect(),
            links: links
                .into_iter()
                .map(|((port, vlan, n), slot)| {
                    (LinkKey { port, vlan: [vlan, 0], mac: [2, 0, 0, 0, 0, n] }, slot)
                })
                .collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_kernel_holds_what_was_applied(states in prop::collection::vec(a_state(), 1..8)) {
        common::require_root();
        let mut steering = Steering::load().expect("load");
        let mut before = SteeringState::default();
        for state in states {
            let applied = steering.apply(&state).expect("apply");
            prop_assert_eq!(applied, difference(&before, &state));
            assert_holds(&steering, &state);
            before = state;
        }
    }
}

#[test]
fn a_refused_write_names_its_key_and_the_next_apply_goes_on() {
    common::require_root();
    let mut steering = Steering::load().expect("load");
    let target = common::portal();
    // A frozen map takes no writes from user space.
    map(&steering, "links").freeze().expect("freeze");

    let first_link = *target.links.keys().next().expect("a link");
    match steering.apply(&target) {
        Err(ApplyError::Write {
            key: Key::Link(key),
            ..
        }) => assert_eq!(key, first_link),
        other => panic!("{other:?}"),
    }
    let so_far = steering.state().clone();
    assert_eq!(
        so_far,
        SteeringState {
            tunnels: target.tunnels.clone(),
            ..Default::default()
        }
    );
    assert_holds(&steering, &so_far);

    let without_links = SteeringState {
        links: BTreeMap::new(),
        ..target
    };
    let applied = steering.apply(&without_links).expect("apply");
    assert_eq!(applied, difference(&so_far, &without_links));
    assert_holds(&steering, &without_links);
}

/// Removing is about the key's absence, not about who removed it.
#[test]
fn a_key_that_is_already_gone_is_removed() {
    let (mut steering, _socket) = common::steering();
    let key = *steering.state().local_addrs.first().expect("an address");
    map(&steering, "local_addrs")
        .delete(&key.addr)
        .expect("delete");
    let nothing = SteeringState::default();
    steering.apply(&nothing).expect("apply");
    assert_holds(&steering, &nothing);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (mut steering, _socket) = common::steering();
    let before = steering.state().clone();

    let ports = |n: usize| {
        let port = |i| PortEntry {
            port: u16::try_from(i % MAX_PORTS).expect("small"),
            queues: 1,
            reserved: 0,
        };
        (0..n)
            .map(|i| (100 + u32::try_from(i).expect("small"), port(i)))
            .collect::<BTreeMap<_, _>>()
    };
    // As many as fit, but one is there already and goes only after the others have come.
    let full = SteeringState {
        ports: ports(MAX_PORTS),
        ..SteeringState::default()
    };
    match steering.apply(&full) {
        Err(ApplyError::Full {
            map: MapName::Ports,
            needed,
        }) => assert_eq!(needed, MAX_PORTS + 1),
        other => panic!("{other:?}"),
    }
    assert_holds(&steering, &before);
    steering.apply(&SteeringState::default()).expect("apply");
    steering.apply(&full).expect("apply");
    assert_holds(&steering, &full);

    let beyond = [(MAX_PORTS, 1), (0, MAX_QUEUES + 1)];
    for (port, queues) in beyond.map(|(p, q)| (u16::try_from(p), u16::try_from(q))) {
        let entry = PortEntry {
            port: port.expect("small"),
            queues: queues.expect("small"),
            reserved: 0,
        };
        let state = SteeringState {
            ports: [(1, entry)].into(),
            ..SteeringState::default()
        };
        let refused = steering.apply(&state);
        assert!(
            matches!(refused, Err(ApplyError::PortOutOfRange { ifindex: 1, .. })),
            "{refused:?}"
        );
        assert_holds(&steering, &full);
    }
}

#[test]
fn messages_say_which_key() {
    let state = common::portal();
    let keys: BTreeSet<_> = state
        .tunnels
        .keys()
        .map(|k| Key::Tunnel(*k).to_string())
        .chain(state.links.keys().map(|k| Key::Link(*k).to_string()))
        .chain(state.udp_ports.keys().map(|k| Key::UdpPort(*k).to_string()))
        .collect();
    assert!(
        keys.contains("kind 2 from 198.51.100.1 to 192.0.2.1 key 16909060"),
        "{keys:?}"
    );
    assert!(
        keys.contains("02:00:00:00:00:02 on port 3 vlan 0x1064 vlan 0xc8"),
        "{keys:?}"
    );
    assert!(
        keys.contains("kind 4 from 198.51.100.1 to 192.0.2.1 udp port 5555"),
        "{keys:?}"
    );
    assert!(keys.contains("udp port 5555"), "{keys:?}");
    assert_eq!(
        keys.len(),
        state.tunnels.len() + state.links.len() + state.udp_ports.len()
    );
}
