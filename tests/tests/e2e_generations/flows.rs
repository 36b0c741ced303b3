//! What is sent, and all that may become of it.
//!
//! A flow's looks are the ways in which *one* generation forwards it. What arrives in any other look met two
//! generations: the key of one with the outer source of the other, say.

use std::net::Ipv4Addr;

use tp_bench::{FrameSpec, Outer, OuterSignature, Signature, TunnelKind};
use tp_wire::MacAddr;

use crate::bed::FarEnd;
use crate::plan::{EXTRAS, Parity, client, extra, tunnel};

/// A host behind the ISPs.
const INTERNET: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
/// Of what the generators send, and of what arrives: the portal takes one hop.
const TTL: u8 = 64;

/// Frames of one template.
pub(crate) struct Flow {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) from: FarEnd,
    pub(crate) frame: FrameSpec,
    /// Every generation forwards it: none of it may be lost.
    pub(crate) always: bool,
    /// Where it may arrive, and how.
    pub(crate) looks: Vec<(FarEnd, Signature)>,
}

/// How a tunnel's frames look outside the portal.
#[derive(Clone, Copy)]
pub(crate) struct TunnelLook {
    pub(crate) kind: TunnelKind,
    pub(crate) local: Ipv4Addr,
    pub(crate) remote: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) dscp: u8,
    /// The link that leads to its far end.
    pub(crate) end: FarEnd,
}

impl TunnelLook {
    fn sent_by_client(&self) -> Outer {
        Outer {
            kind: self.kind,
            source: self.remote,
            destination: self.local,
            ttl: 61,
        }
    }

    fn sent_by_portal(&self) -> OuterSignature {
        OuterSignature {
            kind: self.kind,
            source: self.local,
            destination: self.remote,
            ttl: self.ttl,
            tos: self.dscp << 2,
        }
    }
}

/// All flows.
pub(crate) fn flows() -> Vec<Flow> {
    let mut flows = Flows::default();
    let [even, odd] = Parity::BOTH;
    let (flipping, other) = (
        Parity::BOTH.map(tunnel::flipping),
        Parity::BOTH.map(tunnel::alt),
    );
    let specific = Parity::BOTH.map(tunnel::alt_specific);
    let (steady, own) = (tunnel::steady(), tunnel::of_added_upstream());
    let mains = Parity::BOTH.map(Parity::next_hop_of_main);
    let alts = Parity::BOTH.map(Parity::next_hop_of_alt);

    flows
        .always()
        .inward("main to f", MAIN, client::F, &flipping);
    flows
        .always()
        .outward("steady tunnel out", (&steady, client::S), &mains);
    flows.always().across(
        "steady tunnel to f",
        (&steady, client::S),
        client::F,
        &flipping,
    );
    flows.always().inward("alt to s", ALT, client::S, &other);
    let either = [other, specific].concat();
    flows.always().inward(
        "alt to a more specific route",
        ALT,
        client::S_SPECIFIC,
        &either,
    );
    flows
        .always()
        .outward("alt's tunnel out", (&other[0], client::S), &alts);
    let either = [&other[..], &[steady]].concat();
    flows
        .always()
        .inward("a MAC of main or alt to s", MOVING, client::S, &either);
    let either = [tunnel::wandering(false), tunnel::wandering(true)];
    flows
        .always()
        .inward("alt to a port that comes and goes", ALT, client::W, &either);

    for parity in [even, odd] {
        let look = tunnel::flipping(parity);
        flows.at_times().outward(
            "one parity's tunnel out",
            (&look, client::F),
            &[parity.next_hop_of_main()],
        );
    }
    flows.at_times().inward(
        "a MAC of main at times to s",
        AT_TIMES,
        client::S,
        &[steady],
    );
    flows.at_times().inward(
        "an upstream that comes and goes to s",
        ADDED,
        client::S,
        &[own],
    );
    for number in 0..EXTRAS {
        let look = tunnel::extra(number);
        flows
            .at_times()
            .inward("main to an added client", MAIN, extra(number), &[look]);
        let out = [mains, alts].concat();
        flows
            .at_times()
            .outward("an added client out", (&look, extra(number)), &out);
    }
    flows.list
}

/// Source MACs of upstreams.
pub(crate) const MAIN: MacAddr = MacAddr::new([2, 0, 0, 2, 0, 1]);
pub(crate) const ALT: MacAddr = MacAddr::new([2, 0, 0, 2, 0, 2]);
/// Of main or of alt, always of one.
pub(crate) const MOVING: MacAddr = MacAddr::new([2, 0, 0, 2, 0, 3]);
/// Of main or of nobody.
pub(crate) const AT_TIMES: MacAddr = MacAddr::new([2, 0, 0, 2, 0, 4]);
/// Of the upstream that comes and goes: its router answers for the address that is its next hop.
const ADDED: MacAddr = MacAddr::new([2, 0, 0, 1, 0, FarEnd::Isp as u8]);

#[derive(Default)]
struct Flows {
    list: Vec<Flow>,
    always: bool,
}

impl Flows {
    fn always(&mut self) -> &mut Self {
        self.always = true;
        self
    }

    fn at_times(&mut self) -> &mut Self {
        self.always = false;
        self
    }

    /// From an upstream to a client, by one of these tunnels.
    fn inward(&mut self, name: &str, source: MacAddr, to: Ipv4Addr, tunnels: &[TunnelLook]) {
        let frame = FrameSpec::new(source, FarEnd::Isp.portal_mac(), INTERNET, to);
        self.push(
            name,
            FarEnd::Isp,
            frame,
            tunnels.iter().map(into_tunnel).collect(),
        );
    }

    /// From a client's tunnel to an upstream, whose router has one of these MACs.
    fn outward(
        &mut self,
        name: &str,
        (tunnel, from): (&TunnelLook, Ipv4Addr),
        routers: &[MacAddr],
    ) {
        let looks = routers.iter().map(|router| {
            let way = (FarEnd::Isp, *router);
            (way, None)
        });
        self.push(
            name,
            FarEnd::Access,
            from_tunnel(tunnel, from, INTERNET),
            looks.collect(),
        );
    }

    /// From a client's tunnel to another client, by one of these tunnels.
    fn across(
        &mut self,
        name: &str,
        (tunnel, from): (&TunnelLook, Ipv4Addr),
        to: Ipv4Addr,
        tunnels: &[TunnelLook],
    ) {
        let looks = tunnels.iter().map(into_tunnel).collect();
        self.push(name, FarEnd::Access, from_tunnel(tunnel, from, to), looks);
    }

    fn push(&mut self, name: &str, from: FarEnd, frame: FrameSpec, looks: Vec<Look>) {
        let id = u32::try_from(self.list.len()).unwrap();
        let signature = |((end, dst_mac), outer): Look| {
            let signature = Signature {
                template: id,
                dst_mac,
                src_mac: end.portal_mac(),
                vlans: [0; 2],
                outer,
                source: frame.source,
                destination: frame.destination,
                ttl: TTL - 1,
            };
            (end, signature)
        };
        self.list.push(Flow {
            id,
            name: format!("flow {id} ({name})"),
            from,
            always: self.always,
            looks: looks.into_iter().map(signature).collect(),
            frame,
        });
    }
}

/// The link and the MAC address that a frame is sent to, and its outer header.
type Look = ((FarEnd, MacAddr), Option<OuterSignature>);

fn into_tunnel(tunnel: &TunnelLook) -> Look {
    (
        (tunnel.end, tunnel.end.mac()),
        Some(tunnel.sent_by_portal()),
    )
}

fn from_tunnel(tunnel: &TunnelLook, from: Ipv4Addr, to: Ipv4Addr) -> FrameSpec {
    let (source, destination) = (FarEnd::Access.mac(), FarEnd::Access.portal_mac());
    FrameSpec {
        outer: Some(tunnel.sent_by_client()),
        ..FrameSpec::new(source, destination, from, to)
    }
}
