//! Devices whose other end is the kernel: what is written it receives, what it sends is read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use tp_xsk::{Carries, TunTap};

use super::lab::lab;

#[test]
fn a_device_stays_if_it_is_made_to_and_is_attached_to_once() {
    lab("tt", |lab| {
        let code = |name, carries| {
            let refused = TunTap::open(name, carries).map(drop);
            refused.expect_err("refused").raw_os_error()
        };
        drop(TunTap::open("short", Carries::Packets).expect("a device"));
        // It went with its file, so that one of the other kind can have its name.
        let device = TunTap::open("short", Carries::Frames).expect("another");
        assert_eq!(code("short", Carries::Frames), Some(libc::EBUSY));
        device.persist().expect("to stay");
        drop(device);
        assert_eq!(code("short", Carries::Packets), Some(libc::EINVAL));
        let again = TunTap::open("short", Carries::Frames).expect("the same");
        drop(again);
        lab.portal("link del short");
        let name = "sixteen-letters-";
        let refused = TunTap::open(name, Carries::Packets).expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn packets_go_both_ways_whole() {
    lab("tr", |lab| {
        let device = TunTap::open("echo", Carries::Packets).expect("a device");
        lab.portal("address add 192.0.2.1 peer 192.0.2.2 dev echo");
        lab.portal("link set echo up");
        // ICMP echo request from 192.0.2.2 to 192.0.2.1, identifier 1, sequence number 2 (RFC 792).
        let request = [
            0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0xf6, 0xdd, 192, 0, 2, 2, 192, 0, 2, 1, // IPv4
            8, 0, 0xf7, 0xfc, 0, 1, 0, 2,
        ];
        assert_eq!(device.file().write(&request).expect("received"), 28);
        let mut reply = [0; 100];
        let start = Instant::now();
        let length = loop {
            match device.file().read(&mut reply) {
                Ok(length) if reply[0] == 0x45 => break length,
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => assert!(start.elapsed() < Duration::from_secs(5), "no answer"),
            }
        };
        assert_eq!(length, 28);
        assert_eq!(reply[12..20], [192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(reply[20..28], [0, 0, 0xff, 0xfc, 0, 1, 0, 2]);
    });
}
