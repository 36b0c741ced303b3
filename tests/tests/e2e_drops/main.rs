//! Every drop that a frame on the wire can provoke, provoked once: its counter moves, and no other.
//! And what is forwarded instead, byte for byte: TTL and checksums on the wire.
//!
//! Not here, because no single frame brings them about: `bad-metadata`, `stale-ingress`, `no-headroom`, `no-port`,
//! `punt-queue-full`, `tx-ring-full`, `no-socket`, `no-metadata-room` (faults within the portal or floods; see the
//! tests of pipeline, worker and ebpf); `no-route` and `blackhole` (every virtual FIB has a default route); the rates
//! (`e2e_workers`); what only other kinds of link have: `gue-unsupported`, `udp-checksum`, `inner-unsupported`,
//! `inner-group`, `inner-not-for-us`, `link-protocol`, `rate-slow-path` (the same tests, of those kinds).
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

mod bed;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tp_tests::exchange::{Client, Isp, SERVER, Wire};
use tp_tests::packet::{
    Checksum, Field, Frame, Gre, Icmp, Ipv4, Ipv6, Network, Tag, Transport, Udp,
};
use tp_wire::MacAddr;

use bed::Bed;

/// The portal's ports.
const IX: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const CL: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
/// The router on the exchange LAN that is no upstream.
const THIRD: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 3]);
/// On the access LAN: steering knows tunnels by their outer headers alone.
const ANYBODY: MacAddr = MacAddr::new([2, 0, 0, 0, 9, 9]);
/// Client a's outer address, and the portal's that its tunnels lead to.
const A: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PORTAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// GRE key of client a's tunnel to the first ISP.
const KEY: u32 = 1;
/// An address of the client whose far end does not answer ARP.
const SILENT: Ipv4Addr = Ipv4Addr::new(198, 51, 99, 1);
/// An IPv6 address of nobody's (RFC 3849).
const DOCUMENTATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const TIMEOUT: Duration = Duration::from_secs(5);

/// A frame from the second ISP's router, known by its MAC address.
fn from_isp2(packet: impl Into<Network>) -> Frame {
    Frame::new(IX, MacAddr::new(Isp::Two.mac()), packet)
}

fn to_client_a() -> Ipv4 {
    Ipv4::new(SERVER, Client::A.address(), datagram(100))
}

fn datagram(payload: usize) -> Udp {
    let payload: Vec<u8> = (0..=250).cycle().take(payload).collect();
    Udp::new(5000, 5001, payload)
}

/// What client a's program sends to the server.
fn from_client_a() -> Ipv4 {
    Ipv4::new(Client::A.address(), SERVER, datagram(100))
}

/// The outer packet of client a's tunnel to the first ISP.
fn outer(inner: Ipv4) -> Ipv4 {
    Ipv4::new(A, PORTAL, gre(inner))
}

fn gre(inner: Ipv4) -> Gre {
    Gre::new(Some(KEY), inner)
}

fn on_access(packet: Ipv4) -> Vec<u8> {
    Frame::new(CL, ANYBODY, packet).build()
}

#[test]
fn each_drop_of_steering_has_its_counter() {
    let bed = Bed::new("drops-steering");
    let whole = from_isp2(to_client_a());

    for (length, why) in [(14, "no network header"), (30, "in the network header")] {
        println!("{why}");
        bed.lan(&whole.build()[..length], &["ix0 truncated"]);
    }
    let mut frame = to_client_a();
    frame.version = Field::Is(6);
    bed.lan(&from_isp2(frame).build(), &["ix0 malformed"]);
    let mut frame = to_client_a();
    frame.ihl = Field::Is(4);
    bed.lan(&from_isp2(frame).build(), &["ix0 malformed"]);

    let other_member = MacAddr::new([2, 0, 0, 0, 7, 7]);
    let stray = Frame {
        destination: other_member,
        ..whole.clone()
    };
    bed.lan(&stray.build(), &["ix0 not-for-us"]);
    for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 5]] {
        let to_all = Frame {
            destination: MacAddr::new(group),
            ..whole.clone()
        };
        bed.lan(&to_all.build(), &["ix0 group-address"]);
    }
    let odd = from_isp2(Network::Raw(0x88f7, vec![0; 50]));
    bed.lan(&odd.build(), &["ix0 ethertype"]);
    let three = whole.clone().tag(Tag::s(1)).tag(Tag::c(2)).tag(Tag::c(3));
    bed.lan(&three.build(), &["ix0 ethertype"]);

    let strange = Frame {
        source: THIRD,
        ..whole.clone()
    };
    bed.lan(&strange.build(), &["ix0 unknown-source"]);
    // The upstream is untagged: the same router in a VLAN is somebody else.
    bed.lan(
        &whole.clone().tag(Tag::c(5)).build(),
        &["ix0 unknown-source"],
    );
    // A VID of 0 is no VLAN (IEEE 802.1Q priority tag).
    bed.lan(
        &whole.tag(Tag::c(0)).build(),
        &["ix0 redirected", "worker rx", "worker tx"],
    );

    let mut other_key = gre(from_client_a());
    other_key.key = Some(77);
    bed.access(
        &on_access(Ipv4::new(A, PORTAL, other_key)),
        &["cl0 unknown-tunnel"],
    );
    let mut no_key = gre(from_client_a());
    no_key.key = None;
    bed.access(
        &on_access(Ipv4::new(A, PORTAL, no_key)),
        &["cl0 unknown-tunnel"],
    );
    bed.access(
        &on_access(Ipv4::new(A, PORTAL, from_client_a())),
        &["cl0 unknown-tunnel"],
    );
    let mut routing = gre(from_client_a());
    routing.odd_flags = 0x4000;
    bed.access(
        &on_access(Ipv4::new(A, PORTAL, routing)),
        &["cl0 gre-unsupported"],
    );
    let mut version = gre(from_client_a());
    version.odd_flags = 1;
    bed.access(
        &on_access(Ipv4::new(A, PORTAL, version)),
        &["cl0 gre-unsupported"],
    );
    bed.finish();
}

#[test]
fn each_drop_of_a_packet_from_an_upstream_has_its_counter() {
    let bed = Bed::new("drops-inward");
    let lan = |packet: Ipv4, reason| {
        bed.lan(
            &from_isp2(packet).build(),
            &["ix0 redirected", "worker rx", reason],
        );
    };

    lan(
        Ipv4::new(SERVER, Ipv4Addr::new(192, 88, 99, 1), datagram(10)),
        "worker no-client-route",
    );
    // The other ISP is no client: nothing from an upstream leaves by an upstream.
    lan(
        Ipv4::new(SERVER, Ipv4Addr::new(10, 1, 0, 1), datagram(10)),
        "worker no-client-route",
    );
    for source in [
        [127, 0, 0, 1],
        [0, 0, 0, 1],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        let packet = Ipv4::new(source.into(), Client::A.address(), datagram(10));
        lan(packet, "worker martian-source");
    }
    for ttl in [0, 1] {
        lan(
            Ipv4 {
                ttl,
                ..to_client_a()
            },
            "worker ttl-exceeded",
        );
    }
    // 1,472 bytes and 28 of IPv4 and GRE with a key are 1,500; one byte more is not.
    let large = Ipv4::new(SERVER, Client::A.address(), datagram(1472 - 28 + 1));
    lan(large, "worker too-big");
    lan(
        Ipv4 {
            checksum: Checksum::Wrong,
            ..to_client_a()
        },
        "worker inner-checksum",
    );
    lan(
        Ipv4 {
            total_length: Field::Is(1000),
            ..to_client_a()
        },
        "worker inner-malformed",
    );
    lan(
        Ipv4::new(SERVER, SILENT, datagram(10)),
        "worker neighbour-unresolved",
    );
    for (source, reason) in [
        (Ipv6Addr::LOCALHOST, "worker martian-source"),
        (DOCUMENTATION, "worker no-client-route"),
    ] {
        let ipv6 = Ipv6::new(source, DOCUMENTATION, Transport::Raw(59, Vec::new()));
        bed.lan(
            &from_isp2(ipv6).build(),
            &["ix0 redirected", "worker rx", reason],
        );
    }
    bed.finish();
}

#[test]
fn each_drop_of_a_packet_from_a_tunnel_has_its_counter() {
    let bed = Bed::new("drops-outward");
    let access = |packet: Ipv4, reason| {
        bed.access(&on_access(packet), &["cl0 redirected", "worker rx", reason]);
    };

    // Client b's address, an address of nobody's, and the server's own.
    for source in [Client::B.address(), Ipv4Addr::new(8, 8, 8, 8), SERVER] {
        access(
            outer(Ipv4::new(source, SERVER, datagram(10))),
            "worker forged-source",
        );
    }
    for destination in [
        [127, 0, 0, 1],
        [0, 0, 0, 0],
        [224, 0, 0, 5],
        [255, 255, 255, 255],
    ] {
        let inner = Ipv4::new(Client::A.address(), destination.into(), datagram(10));
        access(outer(inner), "worker martian-destination");
    }
    access(
        outer(Ipv4 {
            ttl: 1,
            ..from_client_a()
        }),
        "worker ttl-exceeded",
    );
    access(
        Ipv4 {
            checksum: Checksum::Wrong,
            ..outer(from_client_a())
        },
        "worker outer-checksum",
    );
    access(
        Ipv4 {
            total_length: Field::Is(1000),
            ..outer(from_client_a())
        },
        "worker outer-malformed",
    );
    let mut summed = gre(from_client_a());
    summed.checksum = Some(Checksum::Wrong);
    access(Ipv4::new(A, PORTAL, summed), "worker gre-checksum");
    let inner = Ipv4 {
        checksum: Checksum::Wrong,
        ..from_client_a()
    };
    access(outer(inner), "worker inner-checksum");
    let inner = Ipv4 {
        total_length: Field::Is(1000),
        ..from_client_a()
    };
    access(outer(inner), "worker inner-malformed");
    // The client owns no IPv6 address.
    let ipv6 = Ipv6::new(DOCUMENTATION, DOCUMENTATION, Transport::Raw(59, Vec::new()));
    let ipv6 = Gre::new(Some(KEY), ipv6);
    access(Ipv4::new(A, PORTAL, ipv6), "worker forged-source");
    // RFC 6040 section 4.2: CE outside, not ECN-capable inside.
    access(
        Ipv4 {
            tos: 3,
            ..outer(from_client_a())
        },
        "worker ecn-violation",
    );
    access(
        Ipv4 {
            more_fragments: true,
            ..outer(from_client_a())
        },
        "worker outer-fragment",
    );
    access(
        Ipv4 {
            fragment_offset: 8,
            ..outer(from_client_a())
        },
        "worker outer-fragment",
    );
    // A router on the way tells that the portal's own outer packet was too large.
    let quoted = Ipv4::new(PORTAL, A, gre(to_client_a()));
    let error = Icmp::error(3, 4, &quoted.into(), 8);
    access(
        Ipv4::new(Ipv4Addr::new(10, 0, 0, 254), PORTAL, error),
        "worker outer-icmp",
    );
    // From one client to another, who cannot be reached.
    let (local, remote) = Client::A.ends(Isp::Two);
    let to_silent = Ipv4::new(Client::A.address(), SILENT, datagram(10));
    let to_silent = Gre::new(Some(2), to_silent);
    access(
        Ipv4::new(local, remote, to_silent),
        "worker neighbour-unresolved",
    );
    bed.finish();
}

#[test]
fn a_packet_that_the_device_does_not_take_is_counted() {
    let bed = Bed::new("drops-busy");
    // Without a carrier the device drops what it is given; the second ISP's MAC address is configured, so that no
    // neighbour gets lost with the carrier.
    bed.site.exchange.lan().ns().link_down("p0").unwrap();
    bed.site
        .wait_until(&["show", "ports"], "the port is down", |ports| {
            let ports = ports.as_array().expect("a list");
            ports
                .iter()
                .any(|port| port["name"] == "ix0" && port["up"] == false)
        })
        .unwrap();
    let (local, remote) = Client::A.ends(Isp::Two);
    let inner = Gre::new(Some(2), from_client_a());
    bed.access(
        &on_access(Ipv4::new(local, remote, inner)),
        &["cl0 redirected", "worker rx", "worker tx-busy"],
    );
    bed.finish();
}

#[test]
fn a_forwarded_packet_has_its_ttl_decremented_and_right_checksums() {
    let bed = Bed::new("drops-forward");
    for ttl in [2, 64, 255] {
        // To the client: plain in, GRE with the key out, to the gateway.
        let sent = Ipv4 {
            ttl,
            id: 0xbeef,
            tos: 0x2c,
            options: vec![1, 1, 1, 0],
            ..to_client_a()
        };
        bed.ix.send(&from_isp2(sent.clone()).build()).unwrap();
        let seen = seen(&bed.cl, CL, Client::A.address());
        let inner = Ipv4 {
            ttl: ttl - 1,
            ..sent
        };
        let expected = Ipv4 {
            ttl: 64,
            dont_fragment: true,
            // DSCP as configured, ECN as within (RFC 6040 section 4.1).
            tos: inner.tos & 3,
            ..Ipv4::new(PORTAL, A, Gre::new(Some(2), inner))
        };
        assert_eq!(seen[14..], expected.build(), "to the client, TTL {ttl}");

        // To the server: out of the tunnel, with link padding behind, to the first ISP's router.
        let sent = Ipv4 {
            ttl,
            id: 0xbeef,
            tos: 0x2e,
            ..from_client_a()
        };
        let frame = Frame {
            padding: 7,
            ..Frame::new(CL, ANYBODY, outer(sent.clone()))
        };
        bed.cl.send(&frame.build()).unwrap();
        let seen = self::seen(&bed.ix, IX, SERVER);
        let expected = Frame::new(
            MacAddr::new(Isp::One.mac()),
            IX,
            Ipv4 {
                ttl: ttl - 1,
                ..sent
            },
        );
        assert_eq!(seen, expected.build(), "to the server, TTL {ttl}");
    }
    bed.finish();
}

/// The next frame that the portal sends out of this port, with an IPv4 header for this address in it.
fn seen(wire: &Wire, port: MacAddr, destination: Ipv4Addr) -> Vec<u8> {
    let is_it = |frame: &[u8]| {
        frame[6..12] == port.octets() && frame.windows(4).any(|bytes| bytes == destination.octets())
    };
    wire.wait_for(is_it, TIMEOUT)
        .unwrap()
        .expect("a frame from the portal")
}
