//! abi.h and its Rust mirror, side by side: each size, offset and value of the C side is
//! read from the BTF that clang wrote, and nothing of it may be missing here.

mod common;

use std::collections::BTreeMap;
use std::mem::offset_of;

use libbpf_rs::btf::types::{Enum, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, HasSize};
use tp_pipeline::abi::{
    AddrKey, Counter, IngressKind, KeyKind, LinkKey, MAX_LINKS, MAX_LOCAL_ADDRS, MAX_LOCAL_MACS,
    MAX_PORTS, MAX_QUEUES, MAX_TUNNELS, MAX_UDP_PORTS, META_MAGIC, MacKey, Meta, NO_SLOT,
    PortEntry, REF_LOCAL, SlotRef, TUNNEL_KEY_PRESENT, TunnelKey, UdpPortKey, VLAN_8021AD,
};

const HEADER: &str = include_str!("../src/bpf/abi.h");

/// Name and offset of each field of a C struct, and its size.
fn c_layout(btf: &Btf<'_>, name: &str) -> (BTreeMap<String, usize>, usize) {
    let ty: Struct<'_> = btf
        .type_by_name(name)
        .unwrap_or_else(|| panic!("no struct {name}"));
    let field = |m: libbpf_rs::btf::types::StructMember<'_>| {
        let MemberAttr::Normal { offset } = m.attr else {
            panic!("{name} has a bit field")
        };
        (
            m.name.expect("named").to_str().expect("UTF-8").to_owned(),
            offset as usize / 8,
        )
    };
    (ty.iter().map(field).collect(), ty.size())
}

/// Name and value of each constant of a C enum.
fn c_values(btf: &Btf<'_>, name: &str) -> BTreeMap<String, i64> {
    let ty: Enum<'_> = btf
        .type_by_name(name)
        .unwrap_or_else(|| panic!("no enum {name}"));
    let value = |m: libbpf_rs::btf::types::EnumMember<'_>| {
        (
            m.name.expect("named").to_str().expect("UTF-8").to_owned(),
            m.value,
        )
    };
    ty.iter().map(value).collect()
}

fn btf() -> Btf<'static> {
    Btf::from_path(common::clang::compile("abi")).expect("BTF")
}

macro_rules! rust_layout {
    ($ty:ty: $($field:ident),*) => {(
        BTreeMap::from([$((stringify!($field).to_owned(), offset_of!($ty, $field))),*]),
        size_of::<$ty>(),
    )};
}

#[test]
fn structs_have_the_same_fields_at_the_same_offsets() {
    let btf = btf();
    let pairs = [
        (
            "tp_meta",
            rust_layout!(Meta: slot, tag, magic, port, ingress, vlans, l3_off, l4_off, inner_off, reserved),
        ),
        ("tp_port", rust_layout!(PortEntry: port, queues, reserved)),
        ("tp_mac_key", rust_layout!(MacKey: port, mac)),
        ("tp_addr_key", rust_layout!(AddrKey: addr)),
        (
            "tp_tunnel_key",
            rust_layout!(TunnelKey: remote, local, key_be, dport_be, kind, flags),
        ),
        ("tp_link_key", rust_layout!(LinkKey: port, vlan, mac)),
        ("tp_udp_port_key", rust_layout!(UdpPortKey: port_be)),
        (
            "tp_slot_ref",
            rust_layout!(SlotRef: slot, tag, ingress, flags),
        ),
    ];
    for (name, rust) in &pairs {
        assert_eq!(c_layout(&btf, name), *rust, "struct {name}");
    }
    assert_eq!(
        declared("struct "),
        pairs.map(|(name, _)| name.to_owned()).into()
    );
    assert_eq!(size_of::<Meta>(), Meta::SIZE);
}

#[test]
fn enums_have_the_same_values() {
    let btf = btf();
    let map = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    };
    let ingress = [
        ("TP_INGRESS_UPSTREAM", IngressKind::Upstream as i64),
        ("TP_INGRESS_TUNNEL", IngressKind::Tunnel as i64),
        ("TP_INGRESS_L2_CLIENT", IngressKind::L2Client as i64),
        (
            "TP_INGRESS_OUTER_FRAGMENT",
            IngressKind::OuterFragment as i64,
        ),
        ("TP_INGRESS_OUTER_ICMP", IngressKind::OuterIcmp as i64),
        (
            "TP_INGRESS_UPSTREAM_TUNNEL",
            IngressKind::UpstreamTunnel as i64,
        ),
        (
            "TP_INGRESS_OUTER_ICMP_UPSTREAM",
            IngressKind::OuterIcmpUpstream as i64,
        ),
    ];
    assert_eq!(c_values(&btf, "tp_ingress"), map(&ingress));
    for (name, value) in ingress {
        let value = u8::try_from(value).expect("u8");
        assert_eq!(
            IngressKind::from_u8(value).map(|k| k as u8),
            Some(value),
            "{name}"
        );
    }

    let kinds = [
        ("TP_KIND_IPIP", KeyKind::Ipip as i64),
        ("TP_KIND_GRE", KeyKind::Gre as i64),
        ("TP_KIND_EGRE", KeyKind::Egre as i64),
        ("TP_KIND_FOU", KeyKind::Fou as i64),
        ("TP_KIND_GUE", KeyKind::Gue as i64),
    ];
    assert_eq!(c_values(&btf, "tp_tunnel_kind"), map(&kinds));

    let counters = [
        ("TP_SEEN", Counter::Seen as i64),
        ("TP_PASSED", Counter::Passed as i64),
        ("TP_REDIRECTED", Counter::Redirected as i64),
        ("TP_DROP_NO_PORT", Counter::NoPort as i64),
        ("TP_DROP_TRUNCATED", Counter::Truncated as i64),
        ("TP_DROP_MALFORMED", Counter::Malformed as i64),
        ("TP_DROP_NOT_FOR_US", Counter::NotForUs as i64),
        ("TP_DROP_GROUP", Counter::Group as i64),
        ("TP_DROP_ETHERTYPE", Counter::Ethertype as i64),
        ("TP_DROP_UNKNOWN_TUNNEL", Counter::UnknownTunnel as i64),
        ("TP_DROP_GRE_UNSUPPORTED", Counter::GreUnsupported as i64),
        ("TP_DROP_GUE_UNSUPPORTED", Counter::GueUnsupported as i64),
        ("TP_DROP_UNKNOWN_SOURCE", Counter::UnknownSource as i64),
        ("TP_DROP_NO_SOCKET", Counter::NoSocket as i64),
        ("TP_DROP_META", Counter::MetaRoom as i64),
        ("TP_COUNTERS", Counter::COUNT as i64),
    ];
    assert_eq!(c_values(&btf, "tp_counter"), map(&counters));
    for (name, value) in &counters[..Counter::COUNT] {
        let counter = Counter::ALL[usize::try_from(*value).expect("index")];
        assert_eq!(counter as i64, *value, "{name}");
        assert_eq!(counter.is_drop(), name.starts_with("TP_DROP_"), "{name}");
    }
    let enums = ["tp_ingress", "tp_tunnel_kind", "tp_counter"];
    assert_eq!(declared("enum "), enums.map(String::from).into());
}

#[test]
fn constants_have_the_same_values() {
    let rust: BTreeMap<String, i64> = [
        ("TP_META_MAGIC", i64::from(META_MAGIC)),
        ("TP_NO_SLOT", i64::from(NO_SLOT)),
        ("TP_MAX_PORTS", MAX_PORTS as i64),
        ("TP_MAX_QUEUES", MAX_QUEUES as i64),
        ("TP_MAX_LOCAL_MACS", MAX_LOCAL_MACS as i64),
        ("TP_MAX_LOCAL_ADDRS", MAX_LOCAL_ADDRS as i64),
        ("TP_MAX_TUNNELS", MAX_TUNNELS as i64),
        ("TP_MAX_LINKS", MAX_LINKS as i64),
        ("TP_MAX_UDP_PORTS", MAX_UDP_PORTS as i64),
        ("TP_REF_LOCAL", i64::from(REF_LOCAL)),
        ("TP_TUNNEL_KEY_PRESENT", i64::from(TUNNEL_KEY_PRESENT)),
        ("TP_VLAN_8021AD", i64::from(VLAN_8021AD)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let c = c_values(&btf(), "defines")
        .into_iter()
        .map(|(name, value)| {
            // The one value above i32::MAX makes the enum unsigned to C, but not to BTF.
            let value = value & i64::from(u32::MAX);
            (
                name.strip_prefix("VALUE_").expect("prefix").to_owned(),
                value,
            )
        });
    assert_eq!(c.collect::<BTreeMap<_, _>>(), rust);

    let mut defined = declared("#define ");
    defined.remove("TP_ABI_H");
    assert_eq!(defined, rust.into_keys().collect());
}

/// Metadata is written by C and read byte by byte: each field must come from its offset.
#[test]
fn metadata_bytes_are_read_where_c_puts_them() {
    let meta = Meta {
        slot: 0x0102_0304,
        tag: 0x0506_0708,
        magic: 0x090a,
        port: 0x0b0c,
        ingress: 0x0d,
        vlans: 0x0e,
        l3_off: 0x0f10,
        l4_off: 0x1112,
        inner_off: 0x1314,
        reserved: 0x1516_1718,
    };
    let fields: [(&str, &[u8]); 10] = [
        ("slot", &meta.slot.to_ne_bytes()),
        ("tag", &meta.tag.to_ne_bytes()),
        ("magic", &meta.magic.to_ne_bytes()),
        ("port", &meta.port.to_ne_bytes()),
        ("ingress", &[meta.ingress]),
        ("vlans", &[meta.vlans]),
        ("l3_off", &meta.l3_off.to_ne_bytes()),
        ("l4_off", &meta.l4_off.to_ne_bytes()),
        ("inner_off", &meta.inner_off.to_ne_bytes()),
        ("reserved", &meta.reserved.to_ne_bytes()),
    ];
    let (offsets, size) = c_layout(&btf(), "tp_meta");
    let mut bytes = [0; Meta::SIZE];
    assert_eq!(size, bytes.len());
    for (name, value) in fields {
        bytes[offsets[name]..][..value.len()].copy_from_slice(value);
    }
    assert_eq!(Meta::from_bytes(&bytes), meta);
    assert_eq!(meta.to_bytes(), bytes);
}

/// Names that abi.h declares by lines that begin like this.
fn declared(keyword: &str) -> std::collections::BTreeSet<String> {
    let names = HEADER.lines().filter_map(|line| line.strip_prefix(keyword));
    let name = |rest: &str| {
        rest.split([' ', '\t', '{'])
            .next()
            .expect("a name")
            .to_owned()
    };
    names.map(name).collect()
}
