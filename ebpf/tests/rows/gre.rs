//! Step 5: GRE to an address of the portal.

use tp_pipeline::abi::Counter;

use super::tunnel::{OTHER, outer, to_portal, tunnel};
use crate::common::frames::*;
use crate::common::{GRE_KEY, slots};
use crate::{Drop, Row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = gre_rows();
    rows.extend(gre_header_rows());
    rows
}

fn gre_rows() -> Vec<Row> {
    let keyed = |key| to_portal(GRE, &gre(K, IPV4, key));
    vec![
        Row::new(
            "GRE",
            to_portal(GRE, &gre(0, IPV4, 0)),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        Row::new(
            "GRE with IPv6",
            to_portal(GRE, &gre(0, IPV6, 0)),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        Row::new(
            "GRE with a key",
            keyed(GRE_KEY),
            42,
            tunnel(slots::GRE_KEYED, [14, 34, 42]),
        ),
        Row::new(
            "GRE with key 0",
            keyed(0),
            42,
            tunnel(slots::GRE_KEY_ZERO, [14, 34, 42]),
        ),
        Row::new(
            "GRE with another key",
            keyed(GRE_KEY + 1),
            42,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "key 0 is not no key",
            keyed(0),
            42,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| s.tunnels.retain(|key, _| key.flags == 0)),
        Row::new(
            "no key is not key 0",
            to_portal(GRE, &gre(0, IPV4, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| s.tunnels.retain(|key, _| key.flags != 0)),
        Row::new(
            "Ethernet in GRE",
            to_portal(GRE, &gre(0, TEB, 0)),
            38,
            tunnel(slots::EGRE, [14, 34, 38]),
        ),
        Row::new(
            "Ethernet in a GRE tunnel of packets",
            to_portal(GRE, &gre(K, TEB, GRE_KEY)),
            42,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "ERSPAN in GRE",
            to_portal(GRE, &gre(0, 0x88be, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "GRE from a stranger",
            outer(&ipv4(OTHER, PORTAL, GRE), &gre(0, IPV4, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        ),
    ]
}

fn gre_header_rows() -> Vec<Row> {
    let header = |flags| to_portal(GRE, &gre(flags, IPV4, GRE_KEY));
    let refused = |name, flags| Row::new(name, header(flags), 38, Drop(Counter::GreUnsupported));
    vec![
        Row::new(
            "GRE with a checksum",
            header(C),
            42,
            tunnel(slots::GRE, [14, 34, 42]),
        ),
        Row::new(
            "GRE with a sequence number",
            header(S),
            42,
            tunnel(slots::GRE, [14, 34, 42]),
        ),
        Row::new(
            "GRE key behind a checksum",
            header(C | K),
            46,
            tunnel(slots::GRE_KEYED, [14, 34, 46]),
        ),
        Row::new(
            "GRE key and sequence number",
            header(K | S),
            46,
            tunnel(slots::GRE_KEYED, [14, 34, 46]),
        ),
        Row::new(
            "GRE with everything",
            header(C | K | S),
            50,
            tunnel(slots::GRE_KEYED, [14, 34, 50]),
        ),
        // RFC 2784 section 2.3: Reserved0's other bits are ignored on receipt.
        Row::new(
            "GRE bits 6 to 12",
            header(0x03f8),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        refused("GRE version 1 (PPTP)", K | 1),
        refused("GRE version 2", 2),
        refused("GRE version 4", 4),
        refused("GRE with routing", R),
        refused("GRE strict source route", 0x0800),
        refused("GRE recursion, the bit to refuse", 0x0400),
    ]
}
