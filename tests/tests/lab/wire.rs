//! What is on a wire of the laboratory: whole checksums, packets no larger than the MTU, nothing unasked for.

use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use socket2::{Domain, Protocol, Socket, Type};
use tp_tests::lab::{End, Lab, Ns};
use tp_tests::traffic::{TcpTransfer, UdpFlow};

use crate::{EAST, MIB, line};

/// All Ethernet types, in network byte order (linux/if_ether.h, `ETH_P_ALL`).
const EVERYTHING: u16 = 0x0003_u16.to_be();
const LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn datagrams_arrive_at_the_rate_they_are_sent() {
    let line = line("udp");
    let flow = UdpFlow::new(&line.west, &line.east, EAST)
        .payload(1472)
        .packets_per_second(5000);
    let report = flow.lasting(Duration::from_millis(500)).run().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.received_ip_bytes, 2500 * 1500);
    let late = report.elapsed.as_secs_f64() / 0.5;
    // Never faster; how much slower is up to a machine that does other things too.
    assert!((0.95..4.0).contains(&late), "{report:?}");
}

#[test]
fn datagrams_that_do_not_arrive_are_counted_as_lost() {
    let line = line("loss");
    let running = UdpFlow::new(&line.west, &line.east, EAST).start().unwrap();
    while running.progress().received < 100 {
        std::thread::sleep(Duration::from_millis(1));
    }
    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    let report = running.finish().unwrap();
    assert!((100..1000).contains(&report.received), "{report:?}");
    assert_eq!(report.lost(), 1000 - report.received);
}

#[test]
fn checksums_are_complete_unless_offloads_are_asked_for() {
    for offloads in [false, true] {
        let lab = Lab::new("sums").unwrap();
        let (left, right) = pair(&lab, offloads);
        let socket = listen(&right);
        let report = UdpFlow::new(&left, &right, RIGHT).count(10).run().unwrap();
        assert!(report.is_clean(), "{report:?}");
        let sums: Vec<bool> = frames(&socket)
            .iter()
            .filter_map(|frame| udp_is_right(frame))
            .collect();
        assert_eq!(sums, [!offloads; 10], "with offloads: {offloads}");
    }
}

#[test]
fn no_frame_is_larger_than_the_mtu() {
    let lab = Lab::new("sizes").unwrap();
    let (left, right) = pair(&lab, false);
    let socket = listen(&right);
    TcpTransfer::new(&left, &right, RIGHT, MIB).run().unwrap();
    let largest = frames(&socket).iter().map(Vec::len).max();
    assert_eq!(largest, Some(14 + 1500));
}

#[test]
fn an_idle_link_is_silent() {
    let lab = Lab::new("idle").unwrap();
    let (_left, right) = pair(&lab, false);
    std::thread::sleep(Duration::from_secs(1));
    let link = right.link("eth0").unwrap();
    assert_eq!((link.rx_packets, link.tx_packets), (0, 0));
}

fn pair(lab: &Lab, offloads: bool) -> (Ns, Ns) {
    let [left, right] = ["left", "right"].map(|name| lab.namespace(name).unwrap());
    let end = |ns| {
        let end = End::new(ns, "eth0");
        if offloads { end.with_offloads() } else { end }
    };
    lab.veth(end(&left), end(&right)).unwrap();
    left.address("eth0", &format!("{LEFT}/24")).unwrap();
    right.address("eth0", &format!("{RIGHT}/24")).unwrap();
    (left, right)
}

/// Sees every frame of a namespace, as it is before the kernel looks at it.
fn listen(ns: &Ns) -> Socket {
    let protocol = Some(Protocol::from(i32::from(EVERYTHING)));
    let socket = ns
        .run(|| Socket::new(Domain::PACKET, Type::RAW, protocol))
        .unwrap()
        .unwrap();
    socket.set_recv_buffer_size(4 << 20).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn frames(socket: &Socket) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match (&*socket).read(&mut buffer) {
            Ok(length) => frames.push(buffer[..length].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether the UDP checksum is that of the datagram; `None` for other packets.
fn udp_is_right(frame: &[u8]) -> Option<bool> {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Udp(udp)) = packet.transport else {
        return None;
    };
    let ip = packet.net.unwrap();
    let ip = ip.ipv4_ref().unwrap().header().to_header();
    let right = udp
        .to_header()
        .calc_checksum_ipv4(&ip, udp.payload())
        .unwrap();
    Some(udp.checksum() == right)
}
