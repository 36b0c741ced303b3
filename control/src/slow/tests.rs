//! The devices in a network namespace, as ip(8) sees them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::addresses::{self, Pair, Present};
use super::devices::{self, Device, DeviceError};
use super::netlink::Netlink;
use crate::netns::Netns;
use tp_xsk::{Carries, TunTap};

const BPFFS: &str = "/run/tp-slow-test/bpf";

/// A device that stays.
#[derive(Debug)]
struct Kept {
    device: Device,
    queue: TunTap,
}

impl std::ops::Deref for Kept {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

fn open(netlink: &mut Netlink, name: &str, carries: Carries) -> Result<Kept, DeviceError> {
    let (device, queue) = devices::open(netlink, name, carries, Path::new(BPFFS))?;
    devices::keep(netlink, &device, &queue)?;
    Ok(Kept { device, queue })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Puts these pairs onto the devices, and takes all others off.
fn set(netlink: &mut Netlink, devices: [u32; 2], pairs: &BTreeSet<Pair>) -> (usize, usize) {
    let present = addresses::read(netlink, devices).unwrap();
    let plan = addresses::plan(&present, pairs);
    for steps in [&plan.additions, &plan.removals] {
        addresses::take(netlink, steps).unwrap().unwrap();
    }
    (plan.additions.len(), plan.removals.len())
}

#[test]
fn devices_are_made_persistent_and_quiet() {
    let netns = Netns::new();
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let mut tun = open(&mut netlink, "tp-tun", Carries::Packets).unwrap();
        let tap = open(&mut netlink, "tp-tap", Carries::Frames).unwrap();
        assert_ne!(tun.ifindex, tap.ifindex);
        let text = netns.ip("-d link show tp-tap");
        assert!(text.contains("tun type tap pi off"), "{text}");
        assert!(text.contains("persist on"), "{text}");
        assert!(text.contains(&tap.mac.to_string()), "{text}");
        assert!(text.contains(",UP,"), "{text}");
        let text = netns.ip("-d link show tp-tun");
        assert!(text.contains("tun type tun pi off"), "{text}");
        devices::set_mtu(&mut netlink, &mut tun.device, 1280).unwrap();
        assert!(netns.ip("link show tp-tun").contains("mtu 1280"));
        // The TAP's link-local address is the one that is answered for; the TUN has none.
        let local = super::answer::link_local(tap.mac);
        let text = netns.ip("-6 address show");
        assert!(text.contains(&format!("inet6 {local}/64")), "{text}");
        assert_eq!(text.matches("inet6 fe80").count(), 1, "{text}");
    });
}

#[test]
fn a_device_is_taken_over_from_a_predecessor_and_removed_at_last() {
    let netns = Netns::new();
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let first = open(&mut netlink, "tp-tap", Carries::Frames).unwrap();
        // While that one has it, nobody else may.
        let second = open(&mut netlink, "tp-tap", Carries::Frames);
        assert!(
            matches!(second, Err(DeviceError::Open { .. })),
            "{second:?}"
        );
        let (mac, ifindex) = (first.mac, first.ifindex);
        drop(first);
        let heir = open(&mut netlink, "tp-tap", Carries::Frames).unwrap();
        assert_eq!((heir.mac, heir.ifindex), (mac, ifindex));
        drop(heir);
        netns.ip("tuntap add foreign mode tap");
        open(&mut netlink, "tp-other", Carries::Packets).unwrap();
        let bpffs = Path::new(BPFFS);
        let gone = devices::remove_ours(&mut netlink, bpffs, &["tp-tap"]).unwrap();
        assert_eq!(gone, ["tp-other"]);
        let gone = devices::remove_ours(&mut netlink, bpffs, &[]).unwrap();
        assert_eq!(gone, ["tp-tap"]);
        let rest = netns.ip("-o link show");
        assert!(rest.contains("foreign") && !rest.contains("tp-"), "{rest}");
        for family in ["-4", "-6"] {
            let rules = netns.ip(&format!("{family} rule show"));
            assert!(!rules.contains("iif"), "{rules}");
        }
    });
}

#[test]
fn what_others_made_is_refused() {
    let netns = Netns::new();
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        netns.ip("tuntap add tp-tun mode tun");
        netns.ip("link add tp-tap type veth peer name p0");
        for (name, carries) in [("tp-tun", Carries::Packets), ("tp-tap", Carries::Frames)] {
            let refused = open(&mut netlink, name, carries);
            assert!(
                matches!(refused, Err(DeviceError::Foreign { .. })),
                "{refused:?}"
            );
        }
        drop(open(&mut netlink, "mine", Carries::Packets).unwrap());
        let other_kind = open(&mut netlink, "mine", Carries::Frames);
        assert!(
            matches!(other_kind, Err(DeviceError::Taken { .. })),
            "{other_kind:?}"
        );
        let elsewhere = Path::new("/run/elsewhere/bpf");
        let others = devices::open(&mut netlink, "mine", Carries::Packets, elsewhere);
        assert!(
            matches!(others, Err(DeviceError::Taken { .. })),
            "{others:?}"
        );
        let gone = devices::remove_ours(&mut netlink, elsewhere, &[]).unwrap();
        assert_eq!(gone, [""; 0]);
    });
}

#[test]
fn addresses_come_with_a_route_to_the_peer_and_go() {
    let netns = Netns::new();
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let tun = open(&mut netlink, "tp-tun", Carries::Packets).unwrap();
        let tap = open(&mut netlink, "tp-tap", Carries::Frames).unwrap();
        let devices = [tun.ifindex, tap.ifindex];
        let pair = |ifindex, portal, peer| Pair {
            ifindex,
            portal: ip(portal),
            peer: ip(peer),
        };
        // One address of the portal on several links, of both families and on both devices.
        let all = BTreeSet::from([
            pair(tun.ifindex, "169.254.1.1", "169.254.1.2"),
            pair(tun.ifindex, "169.254.1.1", "169.254.1.3"),
            pair(tap.ifindex, "169.254.1.1", "169.254.1.4"),
            pair(tun.ifindex, "fd00::1", "fd00::2"),
            pair(tun.ifindex, "fd00::1", "fd00::3"),
            pair(tap.ifindex, "fd00::1", "fd00::4"),
            pair(tap.ifindex, "fd00::1:1", "fd00::5"),
        ]);
        set(&mut netlink, devices, &all);
        for Pair {
            ifindex,
            portal,
            peer,
        } in &all
        {
            let device = if *ifindex == tun.ifindex {
                "tp-tun"
            } else {
                "tp-tap"
            };
            let route = netns.ip(&format!("route get {peer}"));
            assert!(route.contains(&format!("dev {device} ")), "{route}");
            assert!(route.contains(&format!("src {portal} ")), "{route}");
        }
        assert_eq!(
            set(&mut netlink, devices, &all),
            (0, 0),
            "nothing is done twice"
        );
        // The peer that the kernel has for fd00::1 goes: the other one stays reachable.
        let fewer: BTreeSet<Pair> = all
            .iter()
            .filter(|p| ![ip("fd00::2"), ip("169.254.1.2"), ip("fd00::5")].contains(&p.peer))
            .copied()
            .collect();
        set(&mut netlink, devices, &fewer);
        assert!(netns.ip("route get fd00::3").contains("src fd00::1 "));
        assert!(
            netns
                .ip("route get 169.254.1.3")
                .contains("src 169.254.1.1 ")
        );
        let text = netns.ip("address show");
        for gone in ["peer fd00::2", "169.254.1.2", "fd00::1:1"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        set(&mut netlink, devices, &BTreeSet::new());
        assert_eq!(
            addresses::read(&mut netlink, devices).unwrap(),
            Present::default()
        );
        // The kernel's own link-local address is none of ours.
        assert!(netns.ip("-6 address show dev tp-tap").contains("fe80::"));
    });
}

#[test]
fn a_thousand_links_of_both_families_take_well_below_a_second() {
    let netns = Netns::new();
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let tun = open(&mut netlink, "tp-tun", Carries::Packets).unwrap();
        let tap = open(&mut netlink, "tp-tap", Carries::Frames).unwrap();
        let devices = [tun.ifindex, tap.ifindex];
        let pairs = |from: u32| -> BTreeSet<Pair> {
            let both = |n: u32| {
                let ifindex = devices[(n % 2) as usize];
                let v4 = |low: u32| IpAddr::from((0x6440_0000 + 2 * n + low).to_be_bytes());
                let v6 = |low: u32| {
                    IpAddr::from((0xfd00_u128 << 112 | u128::from(2 * n + low)).to_be_bytes())
                };
                [
                    Pair {
                        ifindex,
                        portal: v4(0),
                        peer: v4(1),
                    },
                    Pair {
                        ifindex,
                        portal: v6(0),
                        peer: v6(1),
                    },
                ]
            };
            (from..from + 1000).flat_map(both).collect()
        };
        let start = Instant::now();
        assert_eq!(set(&mut netlink, devices, &pairs(0)), (3000, 0));
        let made = start.elapsed();
        assert_eq!(set(&mut netlink, devices, &pairs(500)), (1500, 1500));
        let changed = start.elapsed() - made;
        println!("made in {made:?}, half of them changed in {changed:?}");
        assert!(made < Duration::from_secs(1) && changed < Duration::from_secs(1));
    });
}

/// What is written to the device is received by the kernel, and no more than that.
#[test]
fn the_kernel_forwards_nothing_that_it_receives_by_a_device() {
    let netns = Netns::new();
    let beyond = Netns::new();
    let other = beyond.name();
    netns.ip(&format!(
        "link add out0 type veth peer name in0 netns {other}"
    ));
    for (namespace, device, n) in [(&netns, "out0", 1), (&beyond, "in0", 2)] {
        namespace.ip(&format!("address add 192.0.2.{n}/24 dev {device}"));
        namespace.ip(&format!("address add 2001:db8::{n}/64 dev {device} nodad"));
        namespace.ip(&format!("link set {device} up"));
    }
    netns.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let tun = open(&mut netlink, "tp-tun", Carries::Packets).unwrap();
        // Whatever an operator sets, and when.
        netns.sysctl("net/ipv4/ip_forward", "1");
        netns.sysctl("net/ipv6/conf/all/forwarding", "1");
        netns.sysctl("net/ipv4/conf/all/rp_filter", "0");
        netns.ip("route add 198.51.100.0/24 dev tp-tun");
        netns.ip("-6 route add 2001:db8:1::/64 dev tp-tun");
        netns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev out0");
        netns.ip("neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev out0");
        let sent = || -> u64 {
            let path = "/sys/class/net/out0/statistics/tx_packets";
            netns.exec(&format!("cat {path}")).trim().parse().unwrap()
        };
        let write_ten_of_each = || {
            for _ in 0..10 {
                let mut file = tun.queue.file();
                file.write_all(&udp4([198, 51, 100, 1], [192, 0, 2, 2]))
                    .unwrap();
                file.write_all(&udp6("2001:db8:1::1", "2001:db8::2"))
                    .unwrap();
            }
        };
        std::thread::sleep(Duration::from_millis(100));
        let before = sent();
        write_ten_of_each();
        std::thread::sleep(Duration::from_millis(100));
        let forwarded = sent() - before;
        // Duplicate address detection and its like are a few packets, and not ten.
        assert!(forwarded < 10, "{forwarded} packets went on");
        // The same packets are forwarded where they come by another device: the test can fail.
        netns.ip("rule del iif tp-tun pref 2");
        netns.ip("-6 rule del iif tp-tun pref 2");
        netns.sysctl("net/ipv4/conf/tp-tun/forwarding", "1");
        let before = sent();
        write_ten_of_each();
        std::thread::sleep(Duration::from_millis(100));
        assert!(sent() - before >= 20, "the fence is what held them");
    });
}

fn udp4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    build(etherparse::PacketBuilder::ipv4(source, destination, 64).udp(7, 9))
}

fn udp6(source: &str, destination: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let builder = etherparse::PacketBuilder::ipv6(octets(source), octets(destination), 64);
    build(builder.udp(7, 9))
}

fn build(step: etherparse::PacketBuilderStep<etherparse::UdpHeader>) -> Vec<u8> {
    let mut packet = Vec::new();
    step.write(&mut packet, b"x").unwrap();
    packet
}
