//! The mirror of the kernel's state, on veth pairs in namespaces of its own (needs root).
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod netns;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netns::Netns;
use tp_control::kernel::{Mirror, NetlinkMirror, Tuning, Wanted, release_neighbours};
use tp_control::model::{KernelView, UnderlayRoute};

const PORTAL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x20];

/// The portal's namespace, with `ix0` (192.0.2.10/24), and a peer's on the same wire (192.0.2.1 and .2).
fn wire() -> (Netns, Netns) {
    let (portal, peer) = (Netns::new(), Netns::new());
    portal.ip(&format!(
        "link add ix0 numtxqueues 4 numrxqueues 4 address 02:00:00:00:00:10 type veth peer name p0 netns {}",
        peer.name()
    ));
    peer.ip("link set p0 address 02:00:00:00:00:20");
    portal.ip("address add 192.0.2.10/24 dev ix0");
    peer.ip("address add 192.0.2.1/24 dev p0");
    peer.ip("address add 192.0.2.2/24 dev p0");
    portal.ip("link set ix0 up");
    peer.ip("link set p0 up");
    (portal, peer)
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn far_ends(addresses: &[&str]) -> Wanted {
    let far_ends = addresses.iter().map(|address| ip(address)).collect();
    Wanted {
        far_ends,
        ..Wanted::default()
    }
}

async fn start() -> NetlinkMirror {
    NetlinkMirror::start(Tuning::default()).await.unwrap()
}

/// Waits until the view is as it should be.
async fn until(
    mirror: &mut NetlinkMirror,
    what: &str,
    is: impl Fn(&KernelView) -> bool,
) -> Arc<KernelView> {
    let wait = async {
        loop {
            let view = mirror.view();
            if is(&view) {
                return view;
            }
            mirror.changed().await.unwrap();
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(20), wait).await;
    result.unwrap_or_else(|_| panic!("never saw: {what}; the view is {:#?}", mirror.view()))
}

fn ifindex(view: &KernelView, name: &str) -> u32 {
    view.links[name].ifindex
}

#[test]
fn the_first_view_is_complete() {
    let (portal, _peer) = wire();
    portal.exec("ethtool -L ix0 rx 3 tx 2");
    let view = portal.block_on(async { start().await.view() });
    let link = &view.links["ix0"];
    assert_eq!(link.mac, PORTAL_MAC.into());
    assert_eq!(
        (link.mtu, link.up, link.kind.as_deref()),
        (1500, true, Some("veth"))
    );
    // Real queues, not the four that the device was made with.
    assert_eq!((link.rx_queues, link.tx_queues), (3, 2));
    assert_eq!(view.links["lo"].kind, None);
    assert!(
        view.addresses
            .is_superset(&[ip("127.0.0.1"), ip("192.0.2.10")].into())
    );
    assert!(view.neighbours.is_empty() && view.underlay.is_empty());
}

#[test]
fn links_come_change_and_go() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        let index = ifindex(&mirror.view(), "ix0");
        portal.ip("link set ix0 mtu 1700");
        until(&mut mirror, "the MTU", |v| v.links["ix0"].mtu == 1700).await;
        portal.ip("link set ix0 down");
        until(&mut mirror, "down", |v| !v.links["ix0"].up).await;
        portal.ip("link set ix0 name ix9");
        let view = until(&mut mirror, "the name", |v| v.links.contains_key("ix9")).await;
        assert_eq!(ifindex(&view, "ix9"), index);
        assert!(!view.links.contains_key("ix0"));
        portal.ip("link delete ix9");
        let gone = |v: &KernelView| !v.links.contains_key("ix9");
        let view = until(&mut mirror, "the end of the link", gone).await;
        assert!(!view.addresses.contains(&ip("192.0.2.10")));
        portal.ip("link add ix9 type veth peer name ix8");
        let view = until(&mut mirror, "a new link", |v| v.links.contains_key("ix9")).await;
        assert_ne!(ifindex(&view, "ix9"), index);
    });
}

#[test]
fn a_ports_queues_are_followed() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        let ports = BTreeSet::from(["ix0".to_owned()]);
        let wanted = Wanted {
            ports,
            ..Wanted::default()
        };
        mirror.resolve(wanted).await.unwrap();
        for (rx, tx) in [(3, 2), (4, 1)] {
            portal.exec(&format!("ethtool -L ix0 rx {rx} tx {tx}"));
            let all_are = |view: &KernelView| {
                let link = &view.links["ix0"];
                (link.rx_queues, link.tx_queues) == (rx, tx)
            };
            until(&mut mirror, "the device's queues", all_are).await;
        }
    });
}

#[test]
fn a_port_that_leaves_a_bridge_stays_a_link() {
    let (portal, _peer) = wire();
    portal.ip("link add br0 type bridge");
    portal.ip("link set ix0 master br0");
    portal.block_on(async {
        let mut mirror = start().await;
        portal.ip("link set ix0 nomaster");
        portal.ip("link set ix0 mtu 1400");
        until(&mut mirror, "a later change", |v| {
            v.links["ix0"].mtu == 1400
        })
        .await;
        // News of the link would bring it back, but not what went with it.
        assert!(mirror.view().addresses.contains(&ip("192.0.2.10")));
    });
}

#[test]
fn addresses_come_and_go() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        portal.ip("address add 198.51.100.1/32 dev lo");
        portal.ip("address add 2001:db8::1/128 dev lo");
        let both = |v: &KernelView| {
            v.addresses
                .is_superset(&[ip("198.51.100.1"), ip("2001:db8::1")].into())
        };
        until(&mut mirror, "both", both).await;
        portal.ip("address del 198.51.100.1/32 dev lo");
        until(&mut mirror, "one less", |v| {
            !v.addresses.contains(&ip("198.51.100.1"))
        })
        .await;
        // The same address twice: it stays while one is left.
        portal.ip("address add 192.0.2.10/32 dev lo");
        portal.ip("address del 192.0.2.10/24 dev ix0");
        portal.ip("address add 198.51.100.2/32 dev lo");
        let view = until(&mut mirror, "a later one", |v| {
            v.addresses.contains(&ip("198.51.100.2"))
        })
        .await;
        assert!(view.addresses.contains(&ip("192.0.2.10")));
    });
}

#[test]
fn routes_to_far_ends_are_followed() {
    let (portal, _peer) = wire();
    // Or news of IPv6 addresses would tell of the link.
    portal.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
    portal.block_on(async {
        let mut mirror = start().await;
        mirror
            .resolve(far_ends(&["192.0.2.2", "203.0.113.5", "192.0.2.10"]))
            .await
            .unwrap();
        let view = mirror.view();
        let ix0 = ifindex(&view, "ix0");
        let via = |gateway: &str| {
            Some(UnderlayRoute {
                ifindex: ix0,
                gateway: Some(ip(gateway)),
            })
        };
        let to = |v: &KernelView, address: &str| v.underlay.get(&ip(address)).copied();
        // What resolve() returned after is in the view: on-link, unreachable, and our own.
        assert_eq!(
            to(&view, "192.0.2.2"),
            Some(UnderlayRoute {
                ifindex: ix0,
                gateway: None
            })
        );
        assert_eq!(to(&view, "203.0.113.5"), None);
        assert_eq!(to(&view, "192.0.2.10"), None);

        let far = |v: &KernelView| to(v, "203.0.113.5");
        portal.ip("route add default via 192.0.2.1");
        until(&mut mirror, "the default route", |v| {
            far(v) == via("192.0.2.1")
        })
        .await;
        portal.ip("route add 203.0.113.0/24 via 192.0.2.2");
        until(&mut mirror, "a longer match", |v| {
            far(v) == via("192.0.2.2")
        })
        .await;
        portal.ip("route replace 203.0.113.0/24 via 192.0.2.3");
        until(&mut mirror, "another gateway", |v| {
            far(v) == via("192.0.2.3")
        })
        .await;
        portal.ip("route add blackhole 203.0.113.5/32");
        until(&mut mirror, "no way", |v| far(v).is_none()).await;
        portal.ip("route del blackhole 203.0.113.5/32");
        until(&mut mirror, "the way again", |v| far(v) == via("192.0.2.3")).await;
        portal.ip("rule add to 203.0.113.5 prohibit");
        until(&mut mirror, "a rule", |v| far(v).is_none()).await;
        portal.ip("rule del to 203.0.113.5 prohibit");
        until(&mut mirror, "no rule", |v| far(v) == via("192.0.2.3")).await;
        // Past the second look that the rule brought.
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The kernel drops routes of a link that goes down without news of the routes.
        portal.ip("link set ix0 down");
        until(&mut mirror, "nothing", |v| v.underlay.is_empty()).await;
    });
}

#[test]
fn what_is_wanted_no_longer_is_forgotten() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        mirror
            .resolve(far_ends(&["192.0.2.1", "192.0.2.2"]))
            .await
            .unwrap();
        until(&mut mirror, "two neighbours", |v| v.neighbours.len() == 2).await;
        mirror.resolve(far_ends(&["192.0.2.2"])).await.unwrap();
        let view = mirror.view();
        assert_eq!(view.underlay.keys().collect::<Vec<_>>(), [&ip("192.0.2.2")]);
        let known: Vec<IpAddr> = view
            .neighbours
            .keys()
            .map(|(_, address)| *address)
            .collect();
        assert_eq!(known, [ip("192.0.2.2")]);
        assert_eq!(portal.ip("neigh show 192.0.2.1"), "");
        mirror.release().await.unwrap();
        assert_eq!(portal.ip("neigh show 192.0.2.2"), "");
    });
}

#[test]
fn neighbours_are_waited_for_unless_they_are_dead() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mirror = start().await;
        let wait = async |wanted: &[&str], known: &[&str]| {
            let (wanted, known) = (far_ends(wanted), far_ends(known));
            mirror
                .resolve(wanted.clone().and(known.clone()))
                .await
                .unwrap();
            let start = tokio::time::Instant::now();
            mirror
                .neighbours(&wanted, &known, Duration::from_millis(300))
                .await;
            start.elapsed()
        };
        let took = wait(&["192.0.2.1", "192.0.2.2"], &[]).await;
        assert_eq!(mirror.view().neighbours.len(), 2, "after {took:?}");
        // Nobody has this address.
        let dead = wait(&["192.0.2.1", "192.0.2.9"], &["192.0.2.1"]).await;
        assert!(dead >= Duration::from_millis(300), "{dead:?}");
        // Who is waited for in vain once is not waited for again.
        let known = wait(&["192.0.2.1", "192.0.2.9"], &["192.0.2.9"]).await;
        assert!(known < Duration::from_millis(300), "{known:?}");
    });
}

#[test]
fn a_neighbour_is_resolved_without_traffic_and_stays() {
    let (portal, _peer) = wire();
    // Ten times faster than the default, so that entries age within the test.
    portal.sysctl("net.ipv4.neigh.ix0.base_reachable_time_ms", "1000");
    portal.sysctl("net.ipv4.neigh.ix0.delay_first_probe_time", "1");
    portal.sysctl("net.ipv4.neigh.ix0.interval_probe_time_ms", "500");
    portal.ip("route add 203.0.113.0/24 via 192.0.2.1");
    portal.block_on(async {
        let mut mirror = start().await;
        let mut wanted = far_ends(&["203.0.113.5"]);
        wanted.next_hops.insert(("ix0".to_owned(), ip("192.0.2.2")));
        mirror.resolve(wanted).await.unwrap();
        let ix0 = ifindex(&mirror.view(), "ix0");
        let both = [(ix0, ip("192.0.2.1")), (ix0, ip("192.0.2.2"))];
        let all = |v: &KernelView| {
            both.iter()
                .all(|k| v.neighbours.get(k) == Some(&PEER_MAC.into()))
        };
        until(&mut mirror, "gateway and next hop", all).await;
        let entry = portal.ip("neigh show 192.0.2.1 dev ix0");
        assert!(
            entry.contains("managed") && entry.contains("REACHABLE"),
            "{entry}"
        );
        // Over several reachable times nobody sends anything, and it is never lost.
        let end = tokio::time::Instant::now() + Duration::from_secs(6);
        while tokio::time::timeout_at(end, mirror.changed()).await.is_ok() {
            assert!(all(&mirror.view()), "{:?}", mirror.view().neighbours);
        }
        // Long after its reachable time it is confirmed again and again: the kernel probes by itself.
        let confirmed = async {
            while !portal
                .ip("neigh show 192.0.2.1 dev ix0")
                .contains("REACHABLE")
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), confirmed)
            .await
            .expect("probed again");
        assert_eq!(mirror.feed().refusals, 0);
    });
}

#[test]
fn a_neighbours_new_mac_is_followed() {
    let (portal, peer) = wire();
    peer.sysctl("net.ipv4.conf.p0.arp_notify", "1");
    portal.sysctl("net.ipv4.neigh.ix0.locktime", "0");
    portal.block_on(async {
        let mut mirror = start().await;
        mirror.resolve(far_ends(&["192.0.2.1"])).await.unwrap();
        let key = (ifindex(&mirror.view(), "ix0"), ip("192.0.2.1"));
        let mac = |v: &KernelView| v.neighbours.get(&key).map(|mac| mac.octets());
        until(&mut mirror, "the MAC", |v| mac(v) == Some(PEER_MAC)).await;
        peer.ip("link set p0 address 02:00:00:00:00:99");
        until(&mut mirror, "the new MAC", |v| {
            mac(v) == Some([2, 0, 0, 0, 0, 0x99])
        })
        .await;
        // An end without an answer is unresolved in the end, and resolved again when it is back.
        peer.ip("link set p0 arp off");
        portal.ip("neigh flush dev ix0");
        portal.ip("link set ix0 down");
        portal.ip("link set ix0 up");
        until(&mut mirror, "nobody", |v| v.neighbours.is_empty()).await;
        peer.ip("link set p0 arp on");
        until(&mut mirror, "somebody", |v| {
            mac(v) == Some([2, 0, 0, 0, 0, 0x99])
        })
        .await;
    });
}

#[test]
fn an_operators_permanent_entry_is_left_alone() {
    let (portal, _peer) = wire();
    portal.ip("neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev ix0 nud permanent");
    portal.block_on(async {
        let mirror = start().await;
        mirror.resolve(far_ends(&["192.0.2.77"])).await.unwrap();
        let key = (ifindex(&mirror.view(), "ix0"), ip("192.0.2.77"));
        assert_eq!(mirror.view().neighbours[&key], [2, 0, 0, 0, 0, 0x77].into());
        mirror.release().await.unwrap();
    });
    assert!(portal.ip("neigh show 192.0.2.77").contains("PERMANENT"));
}

#[test]
fn entries_of_a_killed_mirror_are_taken_over_or_removed() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        mirror
            .resolve(far_ends(&["192.0.2.1", "192.0.2.2"]))
            .await
            .unwrap();
        until(&mut mirror, "two neighbours", |v| v.neighbours.len() == 2).await;
        // Dropped without release, as by a kill.
    });
    portal.block_on(async {
        let mut mirror = start().await;
        assert!(portal.ip("neigh show 192.0.2.1").contains("managed"));
        mirror.resolve(far_ends(&["192.0.2.2"])).await.unwrap();
        until(&mut mirror, "one neighbour", |v| v.neighbours.len() == 1).await;
        assert_eq!(portal.ip("neigh show 192.0.2.1"), "");
        assert!(portal.ip("neigh show 192.0.2.2").contains("managed"));
    });
    portal.block_on(async { release_neighbours().await.unwrap() });
    assert_eq!(portal.ip("neigh show 192.0.2.2"), "");
}

#[test]
fn an_overrun_ends_in_the_kernels_state() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let tuning = Tuning {
            receive_buffer: 4096,
            ..Tuning::default()
        };
        let mut mirror = NetlinkMirror::start(tuning).await.unwrap();
        mirror.resolve(far_ends(&["203.0.113.5"])).await.unwrap();
        portal.ip("address add 10.255.0.1/32 dev lo");
        let seen = |v: &KernelView| v.addresses.contains(&ip("10.255.0.1"));
        until(&mut mirror, "one that will go", seen).await;
        let before = mirror.feed();
        // The runtime's one thread waits here, so nobody reads the socket meanwhile.
        let address = |n: u32| format!("10.{}.{}.1/32", n / 256, n % 256);
        let add = (0..2000).map(|n| format!("address add {} dev lo\n", address(n)));
        portal.ip_batch(&add.collect::<String>());
        // Those that are gone are the first: news of them wait in the buffer, but must not be believed.
        let del = (0..1500).map(|n| format!("address del {} dev lo\n", address(n)));
        portal.ip_batch(&del.collect::<String>());
        portal.ip("address del 10.255.0.1/32 dev lo");
        portal.ip("route add 203.0.113.0/24 via 192.0.2.1");
        portal.ip("link set ix0 mtu 1600");

        let settled = |v: &KernelView| {
            v.links["ix0"].mtu == 1600 && v.underlay.contains_key(&ip("203.0.113.5"))
        };
        let view = until(&mut mirror, "the last change", settled).await;
        let tens = view
            .addresses
            .iter()
            .filter(|a| a.to_string().starts_with("10."))
            .count();
        assert_eq!(tens, 500);
        let after = mirror.feed();
        assert!(
            after.overruns > before.overruns,
            "the buffer was too large: {after:?}"
        );
        assert!(after.resyncs > before.resyncs, "{after:?}");
        // And it follows on.
        portal.ip("link set ix0 mtu 1500");
        until(&mut mirror, "news", |v| v.links["ix0"].mtu == 1500).await;
    });
}

#[test]
fn many_changes_are_few_views() {
    let (portal, _peer) = wire();
    portal.block_on(async {
        let mut mirror = start().await;
        let add =
            (0..2000).map(|n| format!("address add 10.0.{}.{}/32 dev lo\n", n / 200, n % 200));
        portal.ip_batch(&add.collect::<String>());
        let mut views = 0;
        while mirror.view().addresses.len() < 2000 {
            mirror.changed().await.unwrap();
            views += 1;
        }
        assert!(
            views <= 10,
            "{views} views of 2000 changes that had all happened"
        );
    });
}
