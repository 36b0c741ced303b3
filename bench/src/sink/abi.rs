//! The sink's maps as bytes: the mirror of the structs in `src/bpf/sink.bpf.c`.

use std::net::Ipv4Addr;

use tp_wire::MacAddr;

use super::{FlowTally, Signature, Tally};
use crate::template::TunnelKind;

/// `struct signature`.
pub(super) const SIGNATURE_LEN: usize = 44;
/// `struct tally`.
pub(super) const TALLY_LEN: usize = 40;
/// `struct flow`.
pub(super) const FLOW_LEN: usize = 24;
/// `OTHER_PASSED` and `OTHER_OVERFLOW`.
pub(super) const PASSED: u32 = 0;
pub(super) const OVERFLOW: u32 = 1;

const KIND_IPIP: u8 = 1;
const KIND_GRE: u8 = 2;
const KIND_GRE_KEY: u8 = 3;

/// `None` if the length is another.
pub(super) fn signature(bytes: &[u8]) -> Option<Signature> {
    let b: &[u8; SIGNATURE_LEN] = bytes.try_into().ok()?;
    let mac = |i: usize| MacAddr::new([b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5]]);
    let word = |i: usize| [b[i], b[i + 1], b[i + 2], b[i + 3]];
    let vlan = |i: usize| u16::from_ne_bytes([b[i], b[i + 1]]);
    let kind = match b[40] {
        KIND_IPIP => Some(TunnelKind::Ipip),
        KIND_GRE => Some(TunnelKind::Gre { key: None }),
        KIND_GRE_KEY => Some(TunnelKind::Gre {
            key: Some(u32::from_be_bytes(word(24))),
        }),
        _ => None,
    };
    Some(Signature {
        dst_mac: mac(0),
        src_mac: mac(6),
        vlans: [vlan(12), vlan(14)],
        outer: kind.map(|kind| super::OuterSignature {
            kind,
            source: Ipv4Addr::from(word(16)),
            destination: Ipv4Addr::from(word(20)),
            ttl: b[42],
            tos: b[43],
        }),
        source: Ipv4Addr::from(word(28)),
        destination: Ipv4Addr::from(word(32)),
        ttl: b[41],
        template: u32::from_ne_bytes(word(36)),
    })
}

/// Adds one CPU's share; `None` if the length is another.
pub(super) fn add_tally(total: &mut Tally, bytes: &[u8]) -> Option<()> {
    let [packets, frame_bytes, inner_bytes, bad_inner, bad_outer] = words(bytes)?;
    total.packets += packets;
    total.frame_bytes += frame_bytes;
    total.inner_bytes += inner_bytes;
    total.bad_inner_checksum += bad_inner;
    total.bad_outer_checksum += bad_outer;
    Some(())
}

/// Adds one CPU's share; `None` if the length is another.
pub(super) fn add_flow(total: &mut FlowTally, bytes: &[u8]) -> Option<()> {
    let [packets, next_sequence, late] = words(bytes)?;
    total.packets += packets;
    total.next_sequence = total.next_sequence.max(next_sequence);
    total.late += late;
    Some(())
}

/// One counter of `others`.
pub(super) fn counter(bytes: &[u8]) -> Option<u64> {
    let [n] = words(bytes)?;
    Some(n)
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut out = [0; N];
    let (chunks, rest) = bytes.as_chunks::<8>();
    if chunks.len() != N || !rest.is_empty() {
        return None;
    }
    for (word, chunk) in out.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*chunk);
    }
    Some(out)
}
