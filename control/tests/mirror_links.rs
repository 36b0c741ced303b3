//! The mirror of what links of every kind need: IPv6, the slow path's devices, many far ends, and moves (needs root).
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod netns;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use netns::Netns;
use tp_control::kernel::{Mirror, NetlinkMirror, Tuning, Wanted};
use tp_control::model::{KernelView, UnderlayRoute};

/// The portal's namespace, with `ix0` (192.0.2.10/24, 2001:db8::10/64), and a peer's on the same wire (.1, ::1).
fn wire() -> (Netns, Netns) {
    let (portal, peer) = (Netns::new(), Netns::new());
    let name = peer.name();
    portal.ip(&format!("link add ix0 type veth peer name p0 netns {name}"));
    peer.ip("link set p0 address 02:00:00:00:00:20");
    for (namespace, device, last) in [(&portal, "ix0", "10"), (&peer, "p0", "1")] {
        namespace.ip(&format!("address add 192.0.2.{last}/24 dev {device}"));
        namespace.ip(&format!(
            "address add 2001:db8::{last}/64 dev {device} nodad"
        ));
        namespace.ip(&format!("link set {device} up"));
    }
    (portal, peer)
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn far_ends(addresses: impl IntoIterator<Item = IpAddr>) -> Wanted {
    Wanted {
        far_ends: addresses.into_iter().collect(),
        ..Wanted::default()
    }
}

async fn start() -> NetlinkMirror {
    NetlinkMirror::start(Tuning::default()).await.unwrap()
}

async fn until(mirror: &mut NetlinkMirror, what: &str, is: impl Fn(&KernelView) -> bool) {
    let wait = async {
        while !is(&mirror.view()) {
            mirror.changed().await.unwrap();
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(20), wait).await;
    result.unwrap_or_else(|_| panic!("never saw: {what}; the view is {:#?}", mirror.view()));
}

#[test]
fn routes_and_neighbours_of_ipv6_are_followed() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        let (near, far) = (ip("2001:db8::1"), ip("2001:db8:9::1"));
        mirror.resolve(far_ends([near, far])).await.unwrap();
        let ix0 = mirror.view().links["ix0"].ifindex;
        let way = |gateway: Option<&str>| {
            Some(UnderlayRoute {
                ifindex: ix0,
                gateway: gateway.map(ip),
            })
        };
        let to = |v: &KernelView, address| v.underlay.get(&address).copied();
        until(&mut mirror, "the network of the port", |v| {
            to(v, near) == way(None)
        })
        .await;
        until(&mut mirror, "its neighbour", |v| {
            let mac = v.neighbours.get(&(ix0, near));
            mac.is_some_and(|mac| mac.octets() == [2, 0, 0, 0, 0, 0x20])
        })
        .await;
        assert_eq!(to(&mirror.view(), far), None);

        portal.ip("-6 route add 2001:db8:9::/48 via 2001:db8::1");
        until(&mut mirror, "the route", |v| {
            to(v, far) == way(Some("2001:db8::1"))
        })
        .await;
        portal.ip("-6 route replace 2001:db8:9::/48 via fe80::1 dev ix0");
        until(&mut mirror, "another gateway", |v| {
            to(v, far) == way(Some("fe80::1"))
        })
        .await;
        portal.ip("-6 rule add to 2001:db8:9::1 prohibit");
        until(&mut mirror, "a rule", |v| to(v, far).is_none()).await;
        portal.ip("-6 rule del to 2001:db8:9::1 prohibit");
        until(&mut mirror, "no rule", |v| to(v, far).is_some()).await;
        // Past the second look that the rule brought: what follows is news of the route alone.
        tokio::time::sleep(Duration::from_millis(500)).await;
        portal.ip("-6 route del 2001:db8:9::/48");
        until(&mut mirror, "no route", |v| to(v, far).is_none()).await;
    });
}

#[test]
fn addresses_of_the_slow_path_are_not_the_namespaces() {
    let (portal, _peer) = wire();
    portal.ip("tuntap add tp-tap mode tap");
    portal.ip("address add 169.254.1.1 peer 169.254.1.2 dev tp-tap");
    portal.block_on(async {
        let mut mirror = start().await;
        let link_address = ip("169.254.1.1");
        assert!(mirror.view().addresses.contains(&link_address));
        let wanted = Wanted {
            own_devices: ["tp-tap".to_owned()].into(),
            ..Wanted::default()
        };
        mirror.resolve(wanted).await.unwrap();
        assert!(!mirror.view().addresses.contains(&link_address));
        assert!(mirror.view().addresses.contains(&ip("192.0.2.10")));
        // On another device too, it is the namespace's.
        portal.ip("address add 169.254.1.1/32 dev lo");
        until(&mut mirror, "the address on lo", |v| {
            v.addresses.contains(&link_address)
        })
        .await;
    });
}

#[test]
fn a_neighbour_that_moves_is_followed_within_100_ms() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        let far_end = ip("192.0.2.1");
        mirror.resolve(far_ends([far_end])).await.unwrap();
        let key = (mirror.view().links["ix0"].ifindex, far_end);
        until(&mut mirror, "the MAC", |v| v.neighbours.contains_key(&key)).await;
        let mut took = Vec::new();
        for last in 1..=5_u8 {
            let mac = [2, 0, 0, 0, 9, last];
            portal.ip(&format!(
                "neigh replace 192.0.2.1 lladdr 02:00:00:00:09:{last:02x} dev ix0 nud reachable"
            ));
            // The kernel knew before ip(8) returned.
            let known = Instant::now();
            until(&mut mirror, "the move", |v| {
                v.neighbours.get(&key).is_some_and(|m| m.octets() == mac)
            })
            .await;
            took.push(known.elapsed());
        }
        println!("followed after {took:?}");
        // One of five: a starved CPU is not the mirror's doing.
        assert!(
            took.iter().min() < Some(&Duration::from_millis(50)),
            "{took:?}"
        );
    });
}

#[test]
fn a_thousand_far_ends_are_looked_up_in_a_fraction_of_a_second() {
    let (portal, _peer) = wire();
    portal.ip("route add 10.0.0.0/8 via 192.0.2.1");
    portal.block_on(async {
        let mirror = start().await;
        let addresses = (1..=1000_u32).map(|n| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)));
        let asked = Instant::now();
        mirror.resolve(far_ends(addresses)).await.unwrap();
        let took = asked.elapsed();
        println!("1,000 routes after {took:?}");
        assert_eq!(mirror.view().underlay.len(), 1000);
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn five_hundred_neighbours_are_asked_for_in_a_fraction_of_a_second() {
    let (portal, peer) = wire();
    portal.ip("address add 10.1.0.1/16 dev ix0");
    // Half of what the kernel holds of all namespaces together, unless its gc_thresh3 is raised (arp(7)).
    let on_the_wire = |n: u32| Ipv4Addr::from_bits(0x0a01_0100 + n);
    let lines: String = (0..500)
        .map(|n| format!("address add {}/16 dev p0\n", on_the_wire(n)))
        .collect();
    peer.ip_batch(&lines);
    portal.block_on(async {
        let mut mirror = start().await;
        let asked = Instant::now();
        let addresses = (0..500).map(|n| IpAddr::from(on_the_wire(n)));
        mirror.resolve(far_ends(addresses)).await.unwrap();
        let took = asked.elapsed();
        until(&mut mirror, "all neighbours", |v| v.neighbours.len() == 500).await;
        println!(
            "500 neighbours asked for after {took:?}, known after {:?}",
            asked.elapsed()
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}
