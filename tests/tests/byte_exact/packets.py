#!/usr/bin/env python3
"""What arrives and what must leave on every kind of link, built by Scapy.

    python3 packets.py packets > packets.txt
    python3 packets.py portal > portal.toml   # the configuration that the packets are for

Nothing here comes from the data plane; flow hash and shown MACs are computed from the texts in docs/.
"""

import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.all import (  # noqa: E402
    ARP, GRE, ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6EchoReply, ICMPv6EchoRequest,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrDestOpt,
    Raw, raw,
)

PORT = {f"eth{n}": f"02:00:00:00:00:0{n}" for n in range(4)}
TAP = "02:00:00:00:00:10"
ISP = {"isp": "02:aa:00:00:00:01", "isp2": "02:aa:00:00:00:02"}  # routers of plain upstreams, on eth0
HOP = "02:bb:00:00:00:01"  # the underlay's router, on eth1
PORTAL = {4: "192.0.2.1", 6: "2001:db8::1"}
ECT1, CE = 1, 3
DSCP = 46

# Every kind of link: its number in addresses, how it is carried, and between which MACs.
LINKS = [
    ("ipip4", 1, 4, "ipip", {}), ("ipip6", 2, 6, "ipip", {}),
    ("gre4", 3, 4, "gre", {}), ("gre6", 4, 6, "gre", {"key": 7}),
    ("gre4-key", 5, 4, "gre", {"key": 0}), ("egre4", 6, 4, "egre", {}),
    ("egre6", 7, 6, "egre", {"key": 0xFFFFFFFF}), ("fou4", 8, 4, "fou", {"port": 5555}),
    ("fou6", 9, 6, "fou", {"port": 5555}), ("fou4-sum", 10, 4, "fou", {"port": 5556, "sum": True}),
    ("fou6-sum", 11, 6, "fou", {"port": 5556, "sum": True}), ("gue4", 12, 4, "gue", {"port": 6080}),
    ("gue6", 13, 6, "gue", {"port": 6080}), ("gue4-sum", 14, 4, "gue", {"port": 6081, "sum": True}),
    ("gue6-sum", 15, 6, "gue", {"port": 6081, "sum": True}),
    ("vlan", 16, None, "bare", {"vlans": [(10, False)]}),
    ("qinq", 17, None, "bare", {"vlans": [(20, True), (10, False)]}),
    ("port", 18, None, "bare", {"vlans": []}),
]

# Links with the upstreams isp and isp2 side by side.
SHOWN = [
    ("shown-egre4", 30, 4, "egre", {"key": 30}), ("shown-egre6", 31, 6, "egre", {"key": 31}),
    ("shown-vlan", 32, None, "bare", {"vlans": [(30, False)]}),
]


def flow_hash(packet):
    """docs/forwarding.md, "Flow hash"."""
    data = raw(packet)
    if packet.version == 4:
        source, destination = (int.from_bytes(data[at:at + 4], "big") for at in (12, 16))
        protocol, header = data[9], (data[0] & 15) * 4
    else:
        words = [int.from_bytes(data[at:at + 4], "big") for at in range(8, 40, 4)]
        source = words[0] ^ words[1] ^ words[2] ^ words[3]
        destination = words[4] ^ words[5] ^ words[6] ^ words[7]
        protocol, header = data[6], 40
    ports = int.from_bytes(data[header:header + 4], "big") if protocol in (6, 17, 132) else 0
    x = source * 2**32 + destination
    y = ports * 2**8 + protocol
    mixed = (x ^ (y * 0x9E3779B97F4A7C15 % 2**64)) * 0xFF51AFD7ED558CCD % 2**64
    return mixed >> 32


def host(number, family, role):
    """An address of the client behind link `number`; `role` moves the links of upstreams out of the way."""
    return f"10.{role}.{number}.1" if family == 4 else f"2001:db8:{role:x}00:{number:x}::1"


def server(family):
    return "8.8.8.8" if family == 4 else "2600::8"


def inner(source, destination, ttl, ecn):
    payload = UDP(sport=5000, dport=5001) / Raw(b"through the portal")
    if "." in source:
        return IP(src=source, dst=destination, ttl=ttl, tos=DSCP << 2 | ecn, id=0x1234, flags="DF") / payload
    return IPv6(src=source, dst=destination, hlim=ttl, tc=DSCP << 2 | ecn, fl=0x12345) / payload


def ecn_of(packet):
    return (packet.tos if packet.version == 4 else packet.tc) & 3


def macs(link, role):
    """The MAC of a link's other end."""
    return f"02:cc:00:00:{role:02x}:{link[1]:02x}"


def remote(link, role):
    return f"198.51.{role}.{link[1]}" if link[2] == 4 else f"2001:db8:51:{role:x}::{link[1]:x}"


def framed(packet, source, destination, stack):
    frame = Ether(src=source, dst=destination)
    for tag in stack:
        frame = frame / tag
    return frame / packet


def tunnel_header(kind, options, load, family, sport, gre=None):
    """What stands between the outer IP header and the load."""
    if kind == "ipip":
        return load
    if kind in ("gre", "egre"):
        options = dict(gre or {}, **({"key_present": 1, "key": options["key"]} if "key" in options else {}))
        return GRE(proto=0x6558 if kind == "egre" else family, **options) / load
    udp = UDP(sport=sport, dport=options["port"])
    if not options.get("sum"):
        udp.chksum = 0
    if kind == "gue":
        load = Raw(bytes([0, 4 if family == 0x0800 else 41, 0, 0])) / load
    return udp / load


def tags(link, role):
    """Of a bare link; those of upstreams have other VLANs than those of clients."""
    vlans = link[4]["vlans"]
    return [(Dot1AD if service else Dot1Q)(vlan=vid + role - 1) for vid, service in vlans]


def device(link, role):
    """Where this link's frames come and go; a whole port is one link's."""
    if link[3] == "bare" and not link[4]["vlans"]:
        return f"eth{role + 1}"
    return "eth1"


def shown(upstream):
    """The MAC of an upstream on links that show several: 02:54:50 and 24 bits of FNV-1a of its name."""
    value = 0x811C9DC5
    for byte in upstream.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return "02:54:50:" + ":".join(f"{value >> shift & 255:02x}" for shift in (16, 8, 0))


def sent(link, role, packet, own=TAP):
    """The frame in which the portal sends `packet` (of IP, or an Ethernet frame of its slow path) by this link."""
    _, _, outer, kind, options = link
    network = packet.payload if isinstance(packet, Ether) else packet
    family, flow, ecn = 0x0806, 0, 0
    if not isinstance(network, ARP):
        family = 0x0800 if network.version == 4 else 0x86DD
        flow, ecn = flow_hash(network), ecn_of(network)
    if kind == "bare":
        whole = packet if isinstance(packet, Ether) else Ether(src=own, dst=macs(link, role)) / packet
        return framed(whole.payload, whole.src, whole.dst, tags(link, role))
    load = packet
    if kind == "egre" and not isinstance(packet, Ether):
        load = Ether(src=own, dst=macs(link, role)) / packet
    behind = tunnel_header(kind, options, load, family, 0xC000 + (flow >> 18))
    if outer == 4:
        ip = IP(src=PORTAL[4], dst=remote(link, role), ttl=64, tos=10 << 2 | ecn, id=0, flags="DF")
    else:
        ip = IPv6(src=PORTAL[6], dst=remote(link, role), hlim=64, tc=10 << 2 | ecn, fl=flow >> 12)
    return Ether(src=PORT["eth1"], dst=HOP) / ip / behind


def received(link, role, packet, ecn, to=TAP):
    """A frame in which this link's other end sends `packet`, marked on its way; with what else is allowed."""
    _, _, outer, kind, options = link
    family = 0x86DD if isinstance(packet, IPv6) else 0x0800
    if kind == "bare":
        return framed(packet, macs(link, role), to, tags(link, role))
    load = packet
    if kind == "egre":
        load = Ether(src=macs(link, role), dst=to) / Dot1Q(vlan=0, prio=5) / packet
    allowed = {"seqnum_present": 1, "seqence_number": 99, "chksum_present": 1}
    behind = tunnel_header(kind, options, load, family, 54321, allowed)
    if outer == 4:
        ip = IP(src=remote(link, role), dst=PORTAL[4], ttl=61, tos=ecn, id=77)
    else:
        # As Linux ip6gre and ip6tnl send: with a tunnel encapsulation limit.
        ip = IPv6(src=remote(link, role), dst=PORTAL[6], hlim=61, tc=ecn, fl=0xABCDE) / IPv6ExtHdrDestOpt()
    return Ether(src=HOP, dst=PORT["eth1"]) / ip / behind


def show(label, packet):
    print(f"# {packet.command()}")
    print(f"{label} {raw(packet).hex()}\n")


def echo(source, destination, reply):
    """Of the slow path: TTL and hop limit stay as they are."""
    if "." in source:
        return IP(src=source, dst=destination, ttl=1, id=5) / ICMP(type=0 if reply else 8, id=1, seq=1)
    message = ICMPv6EchoReply if reply else ICMPv6EchoRequest
    return IPv6(src=source, dst=destination, hlim=1) / message(id=1, seq=1)


def from_and_to(link, role, upstream, family, arrives, leaves):
    """Traffic both ways: `arrives` and `leaves` put a packet on the other side's wire."""
    there, here = server(family), host(link[1], family, role)
    marked = ECT1 if link[3] == "bare" else CE
    if role == 2:
        there, here = here, there
    own = shown(upstream) if link in SHOWN else TAP
    where, frame = arrives(inner(there, here, 64, ECT1))
    show(f"{where} in", frame)
    show(f"{device(link, role)} out", sent(link, role, inner(there, here, 63, ECT1), own))
    show(f"{device(link, role)} in", received(link, role, inner(here, there, 64, ECT1), CE, own))
    show(f"{where} out", leaves(inner(here, there, 63, marked)))


def tunnel_rows(link, upstream="isp"):
    """The link as a client's, to a plain upstream."""
    for family in (4, 6):
        print(f"## tunnel {link[0]} {upstream} inner{family}\n")
        from_and_to(
            link, 1, upstream, family,
            lambda packet: ("eth0", Ether(src=ISP[upstream], dst=PORT["eth0"]) / packet),
            lambda packet: Ether(src=PORT["eth0"], dst=ISP[upstream]) / packet,
        )
        slow_path_rows(link, 1, family)


def upstream_rows(link):
    """The link as an upstream, with a client behind an IPIP tunnel."""
    client = (f"via-{link[0]}", link[1], 4, "ipip", {})
    for family in (4, 6):
        print(f"## upstream {link[0]} inner{family}\n")
        from_and_to(
            link, 2, None, family,
            lambda packet: ("eth1", received(client, 3, packet, 0)),
            lambda packet: sent(client, 3, packet),
        )
        slow_path_rows(link, 2, family)


def pair(link, role, family):
    """Link addresses: the portal's and the other end's."""
    if family == 4:
        return f"169.254.{role}.1", f"169.254.{role}.{100 + link[1]}"
    return f"fd00:{role}::1", f"fd00:{role}::{100 + link[1]:x}"


def slow_path_rows(link, role, family):
    """Ping between the link's addresses: to the kernel, and the kernel's answer."""
    portal, peer = pair(link, role, family)
    request, reply = echo(peer, portal, False), echo(portal, peer, True)
    show(f"{device(link, role)} in", received(link, role, request, 0))
    if link[3] in ("bare", "egre"):
        show("tap out", Ether(src=macs(link, role), dst=TAP) / request)
        reply = Ether(src=TAP, dst=macs(link, role)) / reply
    else:
        show("tun out", request)
    show(f"{'upstream' if role == 2 else 'tunnel'}:{link[0]} in", reply)
    show(f"{device(link, role)} out", sent(link, role, reply))
    if link[3] in ("bare", "egre"):
        resolution_rows(link, role, family)


def resolution_rows(link, role, family):
    """On Ethernet links: who has the portal's address, to a group, and the kernel's answer."""
    portal, peer = pair(link, role, family)
    mac = macs(link, role)
    if family == 4:
        group, ethertype = "ff:ff:ff:ff:ff:ff", 0x0806
        request = ARP(op=1, hwsrc=mac, psrc=peer, hwdst="00:00:00:00:00:00", pdst=portal)
        reply = ARP(op=2, hwsrc=TAP, psrc=portal, hwdst=mac, pdst=peer)
    else:
        group, ethertype = "33:33:ff:00:00:01", 0x86DD
        request = IPv6(src=peer, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=portal)
        request = request / ICMPv6NDOptSrcLLAddr(lladdr=mac)
        reply = IPv6(src=portal, dst=peer, hlim=255) / ICMPv6ND_NA(R=0, S=1, O=1, tgt=portal)
        reply = reply / ICMPv6NDOptDstLLAddr(lladdr=TAP)
    show(f"{device(link, role)} in", received(link, role, request, 0, group))
    show("tap out", Ether(src=mac, dst=group, type=ethertype) / request)
    reply = Ether(src=TAP, dst=mac, type=ethertype) / reply
    show(f"{'upstream' if role == 2 else 'tunnel'}:{link[0]} in", reply)
    show(f"{device(link, role)} out", sent(link, role, reply))


def attachment(link, role):
    """The keys of a link that say how it is attached."""
    _, _, outer, kind, options = link
    mac = f'{"next_hop" if role == 2 else "mac"} = "{macs(link, role)}"'
    if kind == "bare":
        vlans = [f"{{ vid = {vid + role - 1}, service = {str(s).lower()} }}" for vid, s in options["vlans"]]
        lines = [f'port = "{device(link, role)}"', mac]
        if vlans:
            lines.append(f"vlans = [{', '.join(vlans)}]")
        return lines if role == 2 else [f'kind = "{"vlan" if vlans else "port"}"', *lines]
    lines = [f'kind = "{kind}"', f'local = "{PORTAL[outer]}"', f'remote = "{remote(link, role)}"', "dscp = 10"]
    lines += [f'key = {options["key"]}'] if "key" in options else []
    lines += [f'udp_port = {options["port"]}'] if "port" in options else []
    lines += ["udp_checksum = true"] if options.get("sum") else []
    return lines + ([mac] if kind == "egre" else [])


def entry(section, name, lines):
    print(f"[{section}.{name}]")
    print("\n".join(lines) + "\n")


def link_keys(link, role):
    other = "router" if role == 2 else "client"
    pairs = (pair(link, role, family) for family in (4, 6))
    return "link = [" + ", ".join(f'{{ portal = "{a}", {other} = "{b}" }}' for a, b in pairs) + "]"


def client(name, link, role, upstream, lines):
    """A client with one tunnel, over which it announces all that it has."""
    block = 2 if role == 3 else role
    prefixes = f'["10.{block}.{link[1]}.0/24", "2001:db8:{block}00:{link[1]:x}::/64"]'
    entry("clients", name, [f"prefixes = {prefixes}"])
    entry("tunnels", name, [f'client = "{name}"', upstream, *lines, f"routes = {prefixes}"])


def print_portal():
    print("# Generated by packets.py; do not edit.\n")
    print("[portal]\nworkers = [0]\n\n[ports]")
    print("\n".join(f"{port} = {{}}" for port in PORT) + "\n")
    for name, router in ISP.items():
        entry("upstreams", name, ['port = "eth0"', f'next_hop = "{router}"'])
    for link in LINKS:
        entry("upstreams", link[0], [*attachment(link, 2), link_keys(link, 2)])
        client(link[0], link, 1, 'upstream = "isp"', [*attachment(link, 1), link_keys(link, 1)])
        via = (f"via-{link[0]}", link[1], 4, "ipip", {})
        client(via[0], link, 3, f'upstream = "{link[0]}"', attachment(via, 3))
    for link in SHOWN:
        number = link[1]
        upstreams = f'upstreams = {{ isp = ["100.65.{number}.1"], isp2 = ["100.65.{number}.2", "fd00:9:{number}::2"] }}'
        client(link[0], link, 1, upstreams, [*attachment(link, 1), link_keys(link, 1)])


def print_packets():
    print("# Generated by packets.py; do not edit. Each packet stands below the Scapy expression that built it.\n")
    for link in LINKS:
        tunnel_rows(link)
        upstream_rows(link)
    for link in SHOWN:
        tunnel_rows(link, "isp")
        tunnel_rows(link, "isp2")


{"packets": print_packets, "portal": print_portal}[sys.argv[1]]()
