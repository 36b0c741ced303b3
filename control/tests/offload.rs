//! Offloads of ports, on veth (needs root and ethtool(8), which knows nothing of our code).
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod netns;

use netns::Netns;
use tp_control::kernel::{Ethtool, Offloads, Queues};

/// The state of a feature as ethtool(8) tells it.
fn feature(namespace: &Netns, name: &str) -> String {
    let all = namespace.exec("ethtool -k ix0");
    let line = all
        .lines()
        .find(|line| line.trim().starts_with(name))
        .unwrap();
    line.split(": ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

fn veth() -> (Netns, u32) {
    let namespace = Netns::new();
    namespace.ip("link add ix0 numtxqueues 4 numrxqueues 4 type veth peer name p0");
    let index = namespace
        .ip("-o link show ix0")
        .split(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    (namespace, index)
}

#[test]
fn vlan_offloads_go_off_and_come_back() {
    let (namespace, index) = veth();
    // One that is off before must be off after.
    namespace.exec("ethtool -K ix0 tx-vlan-stag-hw-insert off");
    let names = [
        "rx-vlan-offload",
        "tx-vlan-offload",
        "rx-vlan-stag-hw-parse",
    ];
    let states = || names.map(|name| feature(&namespace, name));
    assert_eq!(states(), ["on", "on", "on"]);
    let offloads = namespace.run(|| Offloads::that_are_on("ix0", index).unwrap());
    namespace.run(|| offloads.switch_off().unwrap());
    assert_eq!(states(), ["off", "off", "off"]);
    assert_eq!(feature(&namespace, "tx-checksumming"), "on", "others stay");
    namespace.run(|| offloads.switch_on().unwrap());
    assert_eq!(states(), ["on", "on", "on"]);
    assert_eq!(feature(&namespace, "tx-vlan-stag-hw-insert"), "off");
}

#[test]
fn what_is_off_already_is_none_of_them() {
    let (namespace, index) = veth();
    namespace.run(|| {
        let offloads = || Offloads::that_are_on("ix0", index).unwrap();
        let before = offloads();
        before.switch_off().unwrap();
        assert_eq!(offloads().features().count(), 0);
        offloads().switch_on().unwrap();
        assert_eq!(offloads().features().count(), 0, "still off");
        before.switch_on().unwrap();
        assert_eq!(offloads(), before);
    });
    assert_eq!(feature(&namespace, "rx-vlan-offload"), "on");
}

#[test]
fn a_device_that_is_not_there_or_is_another_one_is_told_from_other_errors() {
    let (namespace, index) = veth();
    namespace.run(|| {
        for (name, index) in [("ix0", 4711), ("p0", index)] {
            let error = Offloads::that_are_on(name, index).unwrap_err();
            assert!(error.is_of_no_device(), "{error:?}");
        }
        let unknown = Offloads::known("ix0", index, ["no-such-feature".to_owned()]);
        let error = unknown.switch_off().unwrap_err();
        assert!(!error.is_of_no_device(), "{error:?}");
    });
}

#[test]
fn queues_are_those_that_are_there() {
    let (namespace, index) = veth();
    let queues = || namespace.run(|| Ethtool::open().unwrap().queues(index).unwrap());
    namespace.exec("ethtool -L ix0 rx 4 tx 4");
    assert_eq!(queues(), Queues { rx: 4, tx: 4 });
    namespace.exec("ethtool -L ix0 rx 2 tx 3");
    assert_eq!(queues(), Queues { rx: 2, tx: 3 });
}
