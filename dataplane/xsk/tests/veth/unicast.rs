//! Addresses that a device lets in beside its own: as long as the filter lives.

use std::process::Command;

use tp_xsk::UnicastFilter;

use super::lab::lab;

const ONE: [u8; 6] = [0x02, 0x54, 0x50, 0, 0, 1];
const OTHER: [u8; 6] = [0x02, 0x54, 0x50, 0, 0, 2];

/// What the kernel's list of the device's unicast addresses holds, in the namespace of this thread.
fn admitted(device: &str) -> Vec<String> {
    let output = Command::new("bridge")
        .args(["fdb", "show", "dev", device])
        .output()
        .expect("bridge(8)");
    let text = String::from_utf8(output.stdout).expect("text");
    let ours = text.lines().filter(|line| line.starts_with("02:54:50:"));
    ours.filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_device_lets_in_what_the_filter_admits() {
    lab("uc", |lab| {
        let ifindex = lab.pair("uc", 1, 1);
        let filter = UnicastFilter::new().expect("a packet socket");
        filter.admit(ifindex, ONE).expect("one");
        filter.admit(ifindex, OTHER).expect("another");
        assert_eq!(admitted("uc0"), ["02:54:50:00:00:01", "02:54:50:00:00:02"]);
        filter.refuse(ifindex, ONE).expect("not that one");
        assert_eq!(admitted("uc0"), ["02:54:50:00:00:02"]);
        drop(filter);
        assert_eq!(admitted("uc0"), [""; 0]);
    });
}

#[test]
fn a_device_that_is_not_there_lets_nothing_in() {
    lab("uc-gone", |lab| {
        let ifindex = lab.pair("ug", 1, 1);
        let filter = UnicastFilter::new().expect("a packet socket");
        filter.admit(ifindex, ONE).expect("one");
        lab.portal("link del ug0");
        assert!(filter.admit(ifindex, OTHER).is_err());
        // Whoever keeps the list of what is admitted need not know that the device went.
        let _ = filter.refuse(ifindex, ONE);
    });
}
