//! What a device gets back when it is a port no more: its offloads, and the way to the kernel.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use tp_tests::exchange::{ConfigText, Exchange, Tpd, binary};
use tp_tests::lab::End;

/// What a veth end has of what a port must not have, and one thing that a port may have (names of ethtool -k).
const FEATURES: [&str; 5] = [
    "rx-vlan-offload",
    "tx-vlan-offload",
    "rx-vlan-stag-hw-parse",
    "tx-vlan-stag-hw-insert",
    "scatter-gather",
];

#[test]
fn after_the_death_of_daemons_release_gives_offloads_back() {
    let exchange = laboratory("release-killed");
    let before = both(&exchange);
    let text = text(&exchange);
    // The second life finds them off, and must not take that for what was there before.
    for life in ["first", "second"] {
        let tpd = start(&exchange, &text);
        assert_eq!(both(&exchange), all_off(), "{life}");
        tpd.kill().unwrap();
        assert_eq!(both(&exchange), all_off(), "{life}");
    }
    let lines = std::fs::read_to_string(record(&exchange)).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    release(&exchange);
    assert_eq!(both(&exchange), before);
    assert!(!record(&exchange).exists());
    release(&exchange);
    assert_eq!(both(&exchange), before);
}

#[test]
fn after_a_stop_that_holds_release_gives_offloads_back() {
    let exchange = laboratory("release-held");
    let before = both(&exchange);
    let text = text(&exchange);
    let tpd = start(&exchange, &text);
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    assert_eq!(both(&exchange), all_off());
    release(&exchange);
    assert_eq!(both(&exchange), before);

    // What is switched on or off in between is what is given back the next time.
    set(&exchange, "cl0", "rx-vlan-stag-hw-parse", "off");
    let between = both(&exchange);
    let tpd = start(&exchange, &text.replace("\"hold\"", "\"release\""));
    assert_eq!(both(&exchange), all_off());
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    assert_eq!(both(&exchange), between);
    assert!(!record(&exchange).exists());
}

#[test]
fn a_device_that_came_instead_of_a_port_is_left_as_it_is() {
    let exchange = laboratory("release-other");
    start(&exchange, &text(&exchange)).kill().unwrap();
    exchange.portal.link_delete("ix0").unwrap();
    exchange
        .lan()
        .plug(End::new(&exchange.portal, "ix0"))
        .unwrap();
    let new = features(&exchange, "ix0");
    assert_eq!(new["rx-vlan-offload"], "off");
    release(&exchange);
    assert_eq!(features(&exchange, "ix0"), new);
    assert_eq!(features(&exchange, "cl0")["rx-vlan-offload"], "on");
    assert!(!record(&exchange).exists());
}

#[test]
fn a_port_that_cannot_be_taken_into_service_keeps_its_offloads() {
    let exchange = laboratory("release-bind");
    let before = both(&exchange);
    let good = text(&exchange);
    // Its driver has no zero-copy: the first of the two ports is bound, the second is not.
    let bad = good.replace("[ports.ix0]", "[ports.ix0]\nmode = \"zero-copy\"");
    refused(&exchange, &bad);
    assert_eq!(both(&exchange), before);

    plug_ex0(&exchange);
    let ex0 = features(&exchange, "ex0");
    let tpd = start(&exchange, &good);
    let with = "[ports.cl0]\n[ports.ex0]\nmode = \"zero-copy\"\n";
    let output = tpd.reload(&good.replace("[ports.cl0]\n", with)).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(features(&exchange, "ex0"), ex0);
    assert_eq!(both(&exchange), all_off());
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));

    // A start that fails leaves what a predecessor holds as that one left it.
    refused(&exchange, &bad);
    assert_eq!(both(&exchange), all_off());
    release(&exchange);
    assert_eq!(both(&exchange), before);
}

#[test]
fn a_start_releases_a_port_that_only_its_predecessor_had() {
    let exchange = laboratory("release-stray");
    plug_ex0(&exchange);
    let ex0 = features(&exchange, "ex0");
    assert!(!is_held(&exchange, "ex0"));
    let good = text(&exchange);
    let with_ex0 = good.replace("[ports.cl0]\n", "[ports.cl0]\n[ports.ex0]\n");
    start(&exchange, &with_ex0).kill().unwrap();
    assert!(is_held(&exchange, "ex0"));
    assert_ne!(features(&exchange, "ex0"), ex0);

    // One that is refused changes nothing about it.
    refused(&exchange, &good.replace("workers", "wrokers"));
    assert!(is_held(&exchange, "ex0"));

    let tpd = start(&exchange, &good);
    assert!(!is_held(&exchange, "ex0"));
    assert_eq!(features(&exchange, "ex0"), ex0);
    assert!(is_held(&exchange, "ix0") && is_held(&exchange, "cl0"));
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    release(&exchange);
    assert!(!is_held(&exchange, "ix0") && !is_held(&exchange, "cl0"));
}

/// The laboratory, whose ports have VLAN offloads on, one of them all but one.
fn laboratory(name: &str) -> Exchange {
    let exchange = Exchange::new(name, 1).unwrap();
    for port in ["ix0", "cl0"] {
        for feature in &FEATURES[..4] {
            set(&exchange, port, feature, "on");
        }
    }
    set(&exchange, "ix0", "tx-vlan-stag-hw-insert", "off");
    exchange
}

fn plug_ex0(exchange: &Exchange) {
    let end = End::new(&exchange.portal, "ex0").with_offloads();
    exchange.lan().plug(end).unwrap();
}

fn text(exchange: &Exchange) -> String {
    ConfigText::default().text(exchange.lab.directory())
}

fn start(exchange: &Exchange, text: &str) -> Tpd {
    Tpd::start(&exchange.lab, &exchange.portal, text).unwrap()
}

/// A start with this text fails.
#[track_caller]
fn refused(exchange: &Exchange, text: &str) {
    let file = exchange.lab.directory().join("other.toml");
    std::fs::write(&file, text).unwrap();
    let tpd = binary("tpd").unwrap();
    let mut command = exchange.portal.command("timeout");
    let output = command.args(["30", &tpd, "--config"]).arg(file).output();
    assert_eq!(
        output.as_ref().unwrap().status.code(),
        Some(1),
        "{output:?}"
    );
}

#[track_caller]
fn release(exchange: &Exchange) {
    let mut command = exchange.portal.command(&binary("tpd").unwrap());
    let bpffs = exchange.lab.directory().join("bpf");
    let output = command.args(["--release", "--bpffs"]).arg(bpffs).output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
}

fn record(exchange: &Exchange) -> PathBuf {
    exchange.lab.directory().join("bpf.offloads")
}

fn set(exchange: &Exchange, device: &str, feature: &str, state: &str) {
    run(exchange, "ethtool", &["-K", device, feature, state]);
}

/// The states of a device's features as ethtool(8) tells them.
fn features(exchange: &Exchange, device: &str) -> BTreeMap<&'static str, String> {
    let all = run(exchange, "ethtool", &["-k", device]);
    let state = |feature: &&'static str| {
        let line = all.lines().find_map(|line| {
            let (name, state) = line.trim().split_once(": ")?;
            (name == *feature).then_some(state)
        });
        let word = line.and_then(|line| line.split(' ').next());
        (*feature, word.unwrap().to_owned())
    };
    FEATURES.iter().map(state).collect()
}

fn both(exchange: &Exchange) -> [BTreeMap<&'static str, String>; 2] {
    ["ix0", "cl0"].map(|device| features(exchange, device))
}

/// The laboratory has switched off the other one.
fn all_off() -> [BTreeMap<&'static str, String>; 2] {
    let off: BTreeMap<_, _> = FEATURES.iter().map(|f| (*f, "off".to_owned())).collect();
    [off.clone(), off]
}

fn is_held(exchange: &Exchange, device: &str) -> bool {
    run(exchange, "ip", &["-details", "link", "show", "dev", device]).contains("prog/xdp")
}

#[track_caller]
fn run(exchange: &Exchange, program: &str, arguments: &[&str]) -> String {
    let mut command = exchange.portal.command(program);
    let output = command.args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}
