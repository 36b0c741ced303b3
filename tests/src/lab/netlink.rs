//! rtnetlink requests in the network namespace of the calling thread.
//!
//! A netlink socket belongs to the namespace that its thread is in when it is made, so each function opens its
//! own: callers choose the namespace with [`crate::lab::Ns::run`], or stay in the process's own.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::link::{
    BridgeStpState, LinkAttribute, LinkFlags, LinkMessage, Stats64,
};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::{LabError, Link, Route};

/// Queue of a TUN device in packets: a TCP window of full-sized packets fits in.
const TUN_QUEUE: u32 = 10_000;
/// How long a link is waited for.
const CARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// Adds a link, as described by the message.
pub(crate) fn add_link(what: &str, message: LinkMessage) -> Result<(), LabError> {
    talk(what, async move |handle| {
        handle.link().add(message).execute().await
    })
}

/// Changes the link of that name.
pub(crate) fn set_link(
    name: &str,
    change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
) -> Result<(), LabError> {
    let index = index(name)?;
    let message = change(LinkUnspec::new_with_index(index)).build();
    talk(&format!("set link {name}"), async move |handle| {
        handle.link().set(message).execute().await
    })
}

/// Gives a TUN or TAP device its MTU, its queue and maybe a MAC address, and sets it up.
pub(crate) fn set_tun_up(name: &str, mtu: u32, mac: Option<[u8; 6]>) -> Result<(), LabError> {
    set_link(name, |link| {
        let link = link
            .mtu(mtu)
            .append_extra_attribute(LinkAttribute::TxQueueLen(TUN_QUEUE))
            .up();
        match mac {
            Some(mac) => link.address(mac.to_vec()),
            None => link,
        }
    })
}

/// Adds a learning switch without spanning tree, so that a new port forwards at once.
pub(crate) fn add_bridge(name: &str) -> Result<(), LabError> {
    let message = LinkBridge::new(name)
        .stp_state(BridgeStpState::Disabled)
        .forward_delay(0)
        // Group frames are flooded to all, as on an exchange whose switch knows no members.
        .mcast_snooping(false)
        .up()
        .build();
    add_link(&format!("add bridge {name}"), message)
}

/// Plugs a link into a bridge of the same namespace.
pub(crate) fn plug(name: &str, bridge: &str) -> Result<(), LabError> {
    let bridge = index(bridge)?;
    set_link(name, |link| link.controller(bridge))
}

/// Waits until a link carries packets. Both ends of a pair being up is not enough: until the kernel has
/// worked off the carrier event, up to a second later, a device drops what it is given (net/core/link_watch.c).
pub(crate) fn await_running(name: &str, namespace: &str) -> Result<(), LabError> {
    let deadline = Instant::now() + CARRIER_TIMEOUT;
    while !link(name)?.running {
        if Instant::now() >= deadline {
            return Err(LabError::NoCarrier {
                link: name.to_owned(),
                namespace: namespace.to_owned(),
            });
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Deletes the link of that name (and its peer, if it is a veth end).
pub(crate) fn delete_link(name: &str) -> Result<(), LabError> {
    let index = index(name)?;
    talk(&format!("delete link {name}"), async move |handle| {
        handle.link().del(index).execute().await
    })
}

/// What the kernel says about the link of that name.
pub(crate) fn link(name: &str) -> Result<Link, LabError> {
    let index = index(name)?;
    let message = talk(&format!("get link {name}"), async move |handle| {
        handle
            .link()
            .get()
            .match_index(index)
            .execute()
            .try_next()
            .await
    })?;
    let message =
        message.ok_or_else(|| LabError::os(format!("get link {name}"), io::ErrorKind::NotFound))?;
    Ok(describe(&message))
}

/// Adds an address to the link of that name.
pub(crate) fn add_address(name: &str, address: IpNet) -> Result<(), LabError> {
    let index = index(name)?;
    talk(
        &format!("add address {address} to {name}"),
        async move |handle| {
            handle
                .address()
                .add(index, address.addr(), address.prefix_len())
                .execute()
                .await
        },
    )
}

/// Adds a permanent neighbour entry.
pub(crate) fn add_neighbour(name: &str, address: IpAddr, mac: [u8; 6]) -> Result<(), LabError> {
    let index = index(name)?;
    talk(
        &format!("add neighbour {address} on {name}"),
        async move |handle| {
            handle
                .neighbours()
                .add(index, address)
                .link_layer_address(&mac)
                .state(NeighbourState::Permanent)
                .replace()
                .execute()
                .await
        },
    )
}

/// Adds a route, or puts it in the place of one with the same destination and table.
pub(crate) fn replace_route(route: &Route) -> Result<(), LabError> {
    let message = route_message(route)?;
    talk(&format!("set route {route}"), async move |handle| {
        handle.route().add(message).replace().execute().await
    })
}

/// Adds a rule: packets from this prefix are routed by this table.
pub(crate) fn add_rule(source: IpNet, table: u32) -> Result<(), LabError> {
    let what = format!("add rule from {source} to table {table}");
    talk(&what, async move |handle| {
        let rule = handle.rule().add().table_id(table);
        let rule = rule.action(RuleAction::ToTable);
        match source {
            IpNet::V4(net) => {
                let rule = rule.v4().source_prefix(net.addr(), net.prefix_len());
                rule.execute().await
            }
            IpNet::V6(net) => {
                let rule = rule.v6().source_prefix(net.addr(), net.prefix_len());
                rule.execute().await
            }
        }
    })
}

/// Removes a route.
pub(crate) fn delete_route(route: &Route) -> Result<(), LabError> {
    let message = route_message(route)?;
    talk(&format!("delete route {route}"), async move |handle| {
        handle.route().del(message).execute().await
    })
}

/// Index of the link of that name.
fn index(name: &str) -> Result<u32, LabError> {
    nix::net::if_::if_nametoindex(name)
        .map_err(|source| LabError::os(format!("find link {name}"), source))
}

fn route_message(route: &Route) -> Result<RouteMessage, LabError> {
    let invalid = |_| LabError::Argument {
        value: route.to_string(),
        expected: "a route whose addresses are of one family",
    };
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination.addr(), route.destination.prefix_len())
        .map_err(invalid)?;
    match route.gateway {
        Some(gateway) => builder = builder.gateway(gateway).map_err(invalid)?,
        None => builder = builder.scope(RouteScope::Link),
    }
    if let Some(source) = route.source {
        builder = builder.pref_source(source).map_err(invalid)?;
    }
    if let Some(device) = &route.device {
        builder = builder.output_interface(index(device)?);
    }
    if let Some(table) = route.table {
        builder = builder.table_id(table);
    }
    Ok(builder.build())
}

fn describe(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        mac: [0; 6],
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        running: message.header.flags.contains(LinkFlags::Running),
        rx_packets: 0,
        tx_packets: 0,
        rx_dropped: 0,
        tx_dropped: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => {
                if let Ok(mac) = bytes.as_slice().try_into() {
                    link.mac = mac;
                }
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Stats64(Stats64 {
                rx_packets,
                tx_packets,
                rx_dropped,
                tx_dropped,
                ..
            }) => {
                link.rx_packets = *rx_packets;
                link.tx_packets = *tx_packets;
                link.rx_dropped = *rx_dropped;
                link.tx_dropped = *tx_dropped;
            }
            _ => {}
        }
    }
    link
}

/// One conversation over a socket of its own.
fn talk<T>(
    what: &str,
    ask: impl AsyncFnOnce(Handle) -> Result<T, rtnetlink::Error>,
) -> Result<T, LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|source| LabError::os(what, source))?;
    runtime.block_on(async {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|source| LabError::os(what, source))?;
        tokio::spawn(connection);
        ask(handle).await.map_err(|error| match error {
            rtnetlink::Error::NetlinkError(refused) => LabError::os(what, refused.to_io()),
            source => LabError::Netlink {
                what: what.to_owned(),
                source,
            },
        })
    })
}
