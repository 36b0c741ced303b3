//! What the portal tells about what was configured, and how it stands.

mod forwarding;
mod objects;

use crate::model;

use super::Portal;

impl Portal {
    /// Generation of the forwarding state in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.compiled.tables.generation
    }

    /// Since when the portal runs.
    #[must_use]
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    fn device(&self, ifindex: u32) -> String {
        let by_index = self
            .view
            .links
            .iter()
            .find(|(_, link)| link.ifindex == ifindex);
        by_index.map_or_else(|| format!("ifindex {ifindex}"), |(name, _)| name.clone())
    }

    fn reach(&self, far_end: std::net::IpAddr) -> Option<tp_api::Reach> {
        let route = self.view.underlay.get(&far_end)?;
        let next_hop = route.gateway.unwrap_or(far_end);
        Some(tp_api::Reach {
            port: self.device(route.ifindex),
            gateway: route.gateway,
            mac: self
                .view
                .neighbours
                .get(&(route.ifindex, next_hop))
                .map(ToString::to_string),
        })
    }
}

/// A carrier's kind and GRE key.
fn kind(kind: model::TunnelKind) -> (tp_api::TunnelKind, Option<u32>) {
    use model::TunnelKind as K;
    match kind {
        K::Ipip => (tp_api::TunnelKind::Ipip, None),
        K::Gre { key } => (tp_api::TunnelKind::Gre, key),
        K::Egre { key } => (tp_api::TunnelKind::Egre, key),
        K::Fou(_) => (tp_api::TunnelKind::Fou, None),
        K::Gue(_) => (tp_api::TunnelKind::Gue, None),
    }
}

fn udp(kind: model::TunnelKind) -> Option<model::Udp> {
    match kind {
        model::TunnelKind::Fou(udp) | model::TunnelKind::Gue(udp) => Some(udp),
        _ => None,
    }
}

fn vlans(vlans: &[model::Vlan]) -> Vec<tp_api::Vlan> {
    vlans
        .iter()
        .map(|v| tp_api::Vlan {
            vid: v.vid,
            service: v.service,
        })
        .collect()
}

pub(super) fn mode(mode: tp_xsk::Mode) -> &'static str {
    match mode {
        tp_xsk::Mode::ZeroCopy => "zero-copy",
        tp_xsk::Mode::Copy => "copy",
        tp_xsk::Mode::Memory => "memory",
    }
}
