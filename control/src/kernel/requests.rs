//! The socket that asks: dumps, route look-ups, neighbour entries.

use std::io;
use std::net::IpAddr;

use futures_util::StreamExt;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, new_connection};

use super::tables::{Key, Tables, underlay_route};
use crate::model::UnderlayRoute;

/// Marks our neighbour entries (`NDA_PROTOCOL`), so that those of a mirror that was killed are
/// known; a number that neither linux/rtnetlink.h nor iproute2's rt_protos gives away.
pub(crate) const OURS: u8 = 84;

/// Dumps that the kernel's tables changed under are repeated this often.
const DUMP_ATTEMPTS: usize = 8;

/// How the kernel is asked to resolve a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The kernel keeps it resolved by itself (`NTF_EXT_MANAGED`, Linux 5.16).
    Managed,
    /// Once (`NTF_USE`).
    Once,
}

/// The socket that asks.
#[derive(Clone)]
pub(super) struct Requests {
    handle: Handle,
}

impl Requests {
    /// Connects; the connection's task lives as long as the handle.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All links, addresses and neighbours.
    pub(super) async fn dump(&mut self) -> io::Result<Tables> {
        let mut tables = Tables::default();
        for what in [
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        ] {
            for message in self.dump_one(&what).await? {
                tables.apply(&message);
            }
        }
        Ok(tables)
    }

    async fn dump_one(
        &mut self,
        what: &RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut messages = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            messages.clear();
            let mut interrupted = false;
            let mut answers = self.ask(what.clone(), NLM_F_DUMP)?;
            while let Some(answer) = answers.next().await {
                interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
                messages.extend(payload(answer)?);
            }
            if !interrupted {
                break;
            }
        }
        // A dump that never came through unchanged is still a start: the news tell the rest.
        Ok(messages)
    }

    /// How the kernel would send to this address; `None` if it would not.
    pub(super) async fn route_to(&mut self, address: IpAddr) -> io::Result<Option<UnderlayRoute>> {
        let mut question = RouteMessage::default();
        let (family, length, destination) = match address {
            IpAddr::V4(a) => (AddressFamily::Inet, 32, RouteAddress::Inet(a)),
            IpAddr::V6(a) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(a)),
        };
        question.header.address_family = family;
        question.header.destination_prefix_length = length;
        question
            .attributes
            .push(RouteAttribute::Destination(destination));
        let mut answers = self.ask(RouteNetlinkMessage::GetRoute(question), 0)?;
        let mut route = None;
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(answer)) => {
                    route = underlay_route(&answer);
                }
                // ENETUNREACH, EHOSTUNREACH, EINVAL (blackhole), EACCES (prohibit): no way.
                NetlinkPayload::Error(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(route)
    }

    /// Has the kernel resolve a neighbour.
    pub(super) async fn resolve(&mut self, key: Key, how: Resolution) -> io::Result<()> {
        let mut message = neighbour(key);
        message.header.state = NeighbourState::None;
        message
            .attributes
            .push(NeighbourAttribute::Protocol(RouteProtocol::from(OURS)));
        match how {
            Resolution::Managed => message
                .attributes
                .push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed)),
            Resolution::Once => message.header.flags = NeighbourFlags::Use,
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.acknowledged(RouteNetlinkMessage::NewNeighbour(message), flags)
            .await
    }

    /// Removes a neighbour entry; one that is gone already is no error.
    pub(super) async fn forget(&mut self, key: Key) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelNeighbour(neighbour(key));
        match self.acknowledged(message, NLM_F_ACK).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    async fn acknowledged(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut answers = self.ask(message, flags)?;
        while let Some(answer) = answers.next().await {
            payload(answer)?;
        }
        Ok(())
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<impl futures_util::Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + use<>>
    {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        self.handle.request(request).map_err(io::Error::other)
    }
}

fn payload(answer: NetlinkMessage<RouteNetlinkMessage>) -> io::Result<Option<RouteNetlinkMessage>> {
    match answer.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(None),
    }
}

fn neighbour((ifindex, address): Key) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    let (family, destination) = match address {
        IpAddr::V4(a) => (AddressFamily::Inet, NeighbourAddress::Inet(a)),
        IpAddr::V6(a) => (AddressFamily::Inet6, NeighbourAddress::Inet6(a)),
    };
    message.header.family = family;
    message.header.ifindex = ifindex;
    message.header.kind = RouteType::Unicast;
    message
        .attributes
        .push(NeighbourAttribute::Destination(destination));
    message
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::netns;

    /// The way for kernels without managed entries, which no test can make this kernel refuse.
    #[test]
    fn asking_once_resolves_a_neighbour() {
        let (portal, peer) = (netns::Netns::new(), netns::Netns::new());
        let peer_name = peer.name();
        portal.ip(&format!(
            "link add ix0 type veth peer name p0 netns {peer_name}"
        ));
        for (namespace, device, address) in
            [(&portal, "ix0", "192.0.2.10"), (&peer, "p0", "192.0.2.1")]
        {
            namespace.ip(&format!("address add {address}/24 dev {device}"));
            namespace.ip(&format!("link set {device} up"));
        }
        let line = portal.ip("-o link show ix0");
        let index: u32 = line.split(':').next().unwrap().parse().unwrap();
        let key = (index, "192.0.2.1".parse().unwrap());
        portal.block_on(async {
            let mut requests = Requests::open().unwrap();
            requests.resolve(key, Resolution::Once).await.unwrap();
            loop {
                let tables = requests.dump().await.unwrap();
                let entry = &tables.neighbours[&key];
                assert!(entry.ours && !entry.managed, "{entry:?}");
                if entry.state == NeighbourState::Reachable {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            requests.forget(key).await.unwrap();
            assert!(!requests.dump().await.unwrap().neighbours.contains_key(&key));
            // What is gone already is no error.
            requests.forget(key).await.unwrap();
        });
    }
}
