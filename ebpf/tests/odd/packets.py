#!/usr/bin/env python3
"""Writes packets.txt: odd packets and what docs/steering.md says of them.

Usage: python3 packets.py > packets.txt   (Debian: python3-scapy)

Scapy builds the bytes and, unless a packet is odd in that, lengths and checksums; the verdicts
are written by hand, from the contract. The portal is that of tests/common/portal.rs.
"""

from scapy.all import (
    ARP, GRE, ICMP, IP, UDP, TCP, Dot1AD, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest,
    ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPOption_LSRR,
    IPOption_NOP, IPOption_Router_Alert, IPOption_Timestamp, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, raw,
)

PORTAL_MAC, ISP_MAC, STRANGER_MAC, MEMBER_MAC = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3, 9))
PORTAL, CLIENT, ROUTER, HOST = "192.0.2.1", "198.51.100.1", "198.51.100.254", "203.0.113.9"
PORTAL6, CLIENT6, ROUTER6, HOST6 = "2001:db8::1", "2001:db8::2", "2001:db8::fe", "2001:db8:9::9"
FOU, GUE = 5555, 6080
KEY = 0x01020304
# Slots of the portal.
S_GRE, S_KEYED, S_EGRE, S_IPIP, S_FOU, S_GUE = 10, 11, 13, 14, 15, 16
S_GRE6, S_IPIP6, S_EGRE6, S_FOU6, S_GUE6 = 20, 21, 22, 23, 24
S_LOCAL_CLIENT, S_UNTAGGED, S_TAGGED, S_QINQ = 31, 40, 41, 42
S_UP_IPIP, S_UP_GRE6 = 50, 53

from_isp = Ether(dst=PORTAL_MAC, src=ISP_MAC)
inner = IP(src=HOST, dst=HOST) / UDP(sport=1, dport=2) / Raw(b"inner")
inner6 = IPv6(src=HOST6, dst=HOST6) / UDP(sport=1, dport=2) / Raw(b"inner")
outer = IP(src=CLIENT, dst=PORTAL, id=1)
outer6 = IPv6(src=CLIENT6, dst=PORTAL6)
sent = IP(src=PORTAL, dst=CLIENT, id=1)
sent6 = IPv6(src=PORTAL6, dst=CLIENT6)


def to(kind, slot, l3, l4, inner_off, vlans=0):
    return f"{kind} {slot} vlans {vlans} at {l3} {l4} {inner_off}"


def packet(name, frame, *verdicts):
    """The last verdict is of the whole frame; (bytes, verdict) in front of it of shorter ones."""
    print(f"\n{name}")
    for below, verdict in verdicts[:-1]:
        print(f"  below {below}: {verdict}")
    print(f"  is: {verdicts[-1]}")
    data = raw(frame).hex()
    for at in range(0, len(data), 96):
        print(f"  {data[at:at + 96]}")


def patched(frame, at, value):
    data = bytearray(raw(frame))
    data[at:at + len(value)] = value
    return Raw(bytes(data))


def options():
    """IPv4 options and IPv6 extension headers: skipped by their lengths, never obeyed."""
    route = [IPOption_LSRR(routers=[HOST, PORTAL])]
    packet("a loose source route in transit",
           from_isp / IP(src=HOST, dst="203.0.113.1", options=route) / UDP() / b"x",
           (46, "truncated"), to("upstream", S_UNTAGGED, 14, 46, 14))
    packet("a loose source route in front of IPIP",
           from_isp / IP(src=CLIENT, dst=PORTAL, options=route) / inner,
           (46, "truncated"), to("tunnel", S_IPIP, 14, 46, 46))
    packet("a timestamp option in front of GRE",
           from_isp / IP(src=CLIENT, dst=PORTAL, options=[IPOption_Timestamp(length=12, pointer=13)])
           / GRE() / inner,
           (50, "truncated"), to("tunnel", S_GRE, 14, 46, 50))
    packet("forty bytes of options in front of FOU",
           from_isp / IP(src=CLIENT, dst=PORTAL, options=[IPOption_NOP()] * 40)
           / UDP(sport=4, dport=FOU) / inner,
           (82, "truncated"), to("tunnel", S_FOU, 14, 74, 82))
    packet("router alert to the portal",
           from_isp / IP(src=CLIENT, dst=PORTAL, options=[IPOption_Router_Alert()]) / TCP(dport=179),
           (38, "truncated"), "pass")
    chain = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=[HOST6])
    packet("GRE behind three extension headers, one of them long",
           from_isp / outer6 / chain / GRE() / inner,
           (98, "truncated"), to("tunnel", S_GRE6, 14, 94, 98))
    four = chain / IPv6ExtHdrDestOpt()
    packet("GRE behind four extension headers",
           from_isp / outer6 / four / GRE() / inner,
           (106, "truncated"), to("tunnel", S_GRE6, 14, 102, 106))
    packet("GRE behind five extension headers",
           from_isp / outer6 / four / IPv6ExtHdrDestOpt() / GRE() / inner,
           (102, "truncated"), "malformed")
    packet("five extension headers in transit",
           from_isp / IPv6(src=HOST6, dst=HOST6) / four / IPv6ExtHdrDestOpt() / UDP(),
           (102, "truncated"), "malformed")
    packet("four extension headers and no next header",
           from_isp / outer6 / chain / IPv6ExtHdrDestOpt(nh=59),
           (102, "truncated"), "pass")
    packet("a routing header that names the portal, in transit",
           from_isp / IPv6(src=HOST6, dst=HOST6) / IPv6ExtHdrRouting(addresses=[PORTAL6]) / UDP(),
           (62, "truncated"), to("upstream", S_UNTAGGED, 14, 78, 14))


def checksums():
    """Steering reads no checksum and no total length: the worker does, or the kernel."""
    bad = from_isp / IP(src=CLIENT, dst=PORTAL, chksum=0xdead) / inner
    packet("IPIP with a bad header checksum", bad,
           (34, "truncated"), to("tunnel", S_IPIP, 14, 34, 34))
    packet("IPIP with a total length beyond the frame",
           from_isp / IP(src=CLIENT, dst=PORTAL, len=65535) / inner,
           (34, "truncated"), to("tunnel", S_IPIP, 14, 34, 34))
    packet("IPIP with a total length of 0",
           from_isp / IP(src=CLIENT, dst=PORTAL, len=0) / inner,
           (34, "truncated"), to("tunnel", S_IPIP, 14, 34, 34))
    packet("GRE with a bad checksum",
           from_isp / outer / GRE(chksum_present=1, chksum=0xbad) / inner,
           (42, "truncated"), to("tunnel", S_GRE, 14, 34, 42))
    packet("FOU with a bad checksum",
           from_isp / outer / UDP(sport=9, dport=FOU, chksum=0xbad) / inner,
           (42, "truncated"), to("tunnel", S_FOU, 14, 34, 42))
    packet("FOU over IPv6 without a checksum",
           from_isp / outer6 / UDP(sport=9, dport=FOU, chksum=0) / inner,
           (62, "truncated"), to("tunnel", S_FOU6, 14, 54, 62))
    packet("FOU with a length of 7",
           from_isp / outer / UDP(sport=9, dport=FOU, len=7) / inner,
           (42, "truncated"), to("tunnel", S_FOU, 14, 34, 42))
    packet("IPv6 with a payload length of 0",
           from_isp / IPv6(src=CLIENT6, dst=PORTAL6, plen=0) / inner6,
           (54, "truncated"), to("tunnel", S_IPIP6, 14, 54, 54))
    packet("an ICMP error with a bad checksum",
           from_isp / IP(src=ROUTER, dst=PORTAL) / ICMP(type=3, code=4, chksum=1) / sent / inner,
           (35, "truncated"), (62, "pass"), to("outer-icmp", S_IPIP, 14, 34, 42))


def nested():
    """Only the outermost tunnel is looked at."""
    packet("GRE in GRE", from_isp / outer / GRE() / outer / GRE(key_present=1, key=KEY) / inner,
           (38, "truncated"), to("tunnel", S_GRE, 14, 34, 38))
    packet("GRE in IPIP in FOU", from_isp / outer / UDP(sport=1, dport=FOU) / outer / GRE() / inner,
           (42, "truncated"), to("tunnel", S_FOU, 14, 34, 42))
    packet("GUE in GUE",
           from_isp / outer / UDP(sport=1, dport=GUE) / Raw(b"\x00\x04\x00\x00")
           / outer / UDP(sport=1, dport=GUE) / Raw(b"\x80\x04\x00\x00") / inner,
           (46, "truncated"), to("tunnel", S_GUE, 14, 34, 46))
    packet("Ethernet in GRE, of the portal's own MAC and address",
           from_isp / outer / GRE(proto=0x6558) / Ether(dst=PORTAL_MAC, src=PORTAL_MAC) / outer / inner,
           (38, "truncated"), to("tunnel", S_EGRE, 14, 34, 38))
    packet("6in4in6", from_isp / outer6 / outer / outer6 / inner6,
           (54, "truncated"), to("tunnel", S_IPIP6, 14, 54, 54))
    packet("a tunnel of strangers in transit",
           from_isp / IP(src=CLIENT, dst=HOST) / GRE(version=1) / inner,
           (34, "truncated"), to("upstream", S_UNTAGGED, 14, 34, 14))
    packet("from the portal to itself", from_isp / IP(src=PORTAL, dst=PORTAL) / inner,
           (34, "truncated"), "unknown-tunnel")
    packet("from the portal to itself over IPv6", from_isp / IPv6(src=PORTAL6, dst=PORTAL6) / GRE() / inner,
           (58, "truncated"), "unknown-tunnel")


def gre():
    """RFC 2784 section 2.2: what to refuse, and what to ignore."""
    for version in (1, 3, 7):
        packet(f"GRE version {version}", from_isp / outer / GRE(version=version) / inner,
               (38, "truncated"), "gre-unsupported")
    packet("PPTP", from_isp / outer / GRE(version=1, key_present=1, key=KEY, proto=0x880b) / Raw(b"ppp"),
           (38, "truncated"), "gre-unsupported")
    packet("GRE with routing, over IPv6", from_isp / outer6 / GRE(routing_present=1) / inner,
           (58, "truncated"), "gre-unsupported")
    packet("GRE with a strict source route", from_isp / outer / GRE(strict_route_source=1) / inner,
           (38, "truncated"), "gre-unsupported")
    packet("GRE with recursion control 1, bit 7", from_isp / outer / GRE(recursion_control=1) / inner,
           (38, "truncated"), to("tunnel", S_GRE, 14, 34, 38))
    packet("GRE with recursion control 4, bit 5", from_isp / outer / GRE(recursion_control=4) / inner,
           (38, "truncated"), "gre-unsupported")
    packet("GRE with key and sequence number",
           from_isp / outer / GRE(key_present=1, key=KEY, seqnum_present=1, sequence_number=7) / inner,
           (46, "truncated"), to("tunnel", S_KEYED, 14, 34, 46))
    packet("MPLS in GRE", from_isp / outer / GRE(proto=0x8847) / Raw(bytes(8)),
           (38, "truncated"), "unknown-tunnel")
    packet("ARP in GRE (NHRP's neighbour)", from_isp / outer / GRE(proto=0x0806) / ARP(),
           (38, "truncated"), "unknown-tunnel")
    packet("a keep-alive: GRE with protocol type 0", from_isp / outer / GRE(proto=0),
           (38, "truncated"), "unknown-tunnel")
    packet("Ethernet in GRE over IPv6 with a key",
           from_isp / outer6 / GRE(proto=0x6558, key_present=1, key=KEY) / Ether() / inner,
           (62, "truncated"), to("tunnel", S_EGRE6, 14, 54, 62))


def fragments():
    """No tunnel is found by a fragment."""
    first, later = IP(src=CLIENT, dst=PORTAL, flags="MF"), IP(src=CLIENT, dst=PORTAL, frag=185)
    fragment = to("outer-fragment", "none", 14, 34, 34)
    packet("the first fragment of GRE version 1", from_isp / first / GRE(version=1) / inner,
           (34, "truncated"), fragment)
    packet("a later fragment of IPIP", from_isp / IP(src=CLIENT, dst=PORTAL, frag=185, proto=4) / b"middle",
           (34, "truncated"), fragment)
    packet("the first fragment of a GUE control message",
           from_isp / first / UDP(sport=1, dport=GUE) / Raw(b"\x20\x01\x00\x00"),
           (42, "truncated"), fragment)
    packet("a later fragment of UDP", from_isp / later / UDP(sport=1, dport=FOU) / b"middle",
           (34, "truncated"), "pass")
    packet("a later fragment over IPv6 with extension headers inside",
           from_isp / outer6 / IPv6ExtHdrFragment(offset=2, nh=60) / Raw(b"\x2f\x00" + bytes(14)),
           (62, "truncated"), "pass")
    packet("two fragment headers, the second of a later fragment",
           from_isp / outer6 / IPv6ExtHdrFragment(offset=0, m=0) / IPv6ExtHdrFragment(offset=9, nh=47) / b"middle",
           (70, "truncated"), to("outer-fragment", "none", 14, 70, 70))
    packet("an atomic fragment of GRE",
           from_isp / outer6 / IPv6ExtHdrFragment(offset=0, m=0) / GRE() / inner,
           (66, "truncated"), to("tunnel", S_GRE6, 14, 62, 66))


def icmp():
    """Errors about what the portal sent into tunnels, and what looks like them."""
    error = from_isp / IP(src=ROUTER, dst=PORTAL) / ICMP(type=11)
    error6 = from_isp / IPv6(src=ROUTER6, dst=PORTAL6)
    found = to("outer-icmp", S_GRE, 14, 34, 42)
    packet("an error that quotes GRE in GRE",
           error / sent / GRE() / sent / GRE(key_present=1, key=KEY) / inner,
           (35, "truncated"), (66, "pass"), found)
    packet("an error that quotes an error", error / sent / ICMP(type=3) / sent / GRE() / inner,
           (35, "truncated"), "pass")
    packet("an error that quotes GRE version 1", error / sent / GRE(version=1) / inner,
           (35, "truncated"), "pass")
    packet("an error that quotes options and FOU",
           error / IP(src=PORTAL, dst=CLIENT, options=[IPOption_NOP()] * 8) / UDP(sport=1, dport=FOU) / inner,
           (35, "truncated"), (78, "pass"), to("outer-icmp", S_FOU, 14, 34, 42))
    packet("an error that quotes an upstream's IPIP",
           error / IP(src=PORTAL, dst=ROUTER) / inner,
           (35, "truncated"), (62, "pass"), to("outer-icmp-upstream", S_UP_IPIP, 14, 34, 42))
    packet("an error with options that quotes GRE",
           from_isp / IP(src=ROUTER, dst=PORTAL, options=[IPOption_NOP()] * 4) / ICMP(type=12) / sent / GRE() / inner,
           (39, "truncated"), (70, "pass"), to("outer-icmp", S_GRE, 14, 38, 46))
    packet("source quench that quotes GRE",
           from_isp / IP(src=ROUTER, dst=PORTAL) / ICMP(type=4) / sent / GRE() / inner,
           (35, "truncated"), "pass")
    packet("packet too big that quotes what Linux sends",
           error6 / ICMPv6PacketTooBig(mtu=1280) / sent6 / IPv6ExtHdrDestOpt() / GRE() / inner,
           (55, "truncated"), (114, "pass"), to("outer-icmp", S_GRE6, 14, 54, 62))
    packet("time exceeded that quotes five extension headers",
           error6 / ICMPv6TimeExceeded() / sent6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
           / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / GRE() / inner,
           (55, "truncated"), "pass")
    packet("unreachable behind extension headers that quotes an upstream's GRE",
           error6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ICMPv6DestUnreach()
           / IPv6(src=PORTAL6, dst=ROUTER6) / GRE() / inner,
           (71, "truncated"), (122, "pass"), to("outer-icmp-upstream", S_UP_GRE6, 14, 70, 78))
    packet("unreachable that quotes IPv4",
           error6 / ICMPv6DestUnreach() / Raw(raw(sent / GRE() / inner)),
           (55, "truncated"), "pass")
    packet("echo request to the portal", error6 / ICMPv6EchoRequest(data=b"ping"), (55, "truncated"), "pass")


def links():
    """VLAN stacks, exchanges, the slow path's neighbours."""
    eth = Ether(dst=PORTAL_MAC, src=ISP_MAC)
    packet("a priority tag in front of GRE", eth / Dot1Q(vlan=0, prio=7) / outer / GRE() / inner,
           (42, "truncated"), to("tunnel", S_GRE, 18, 38, 42, vlans=1))
    packet("a provider's priority tag in front of a VLAN",
           eth / Dot1AD(vlan=0, prio=5) / Dot1Q(vlan=100) / inner,
           (42, "truncated"), to("upstream", S_TAGGED, 22, 42, 22, vlans=2))
    packet("QinQ with drop eligibility and priorities",
           eth / Dot1AD(vlan=100, prio=3, id=1) / Dot1Q(vlan=200, prio=6, id=1) / inner6,
           (62, "truncated"), to("upstream", S_QINQ, 22, 62, 22, vlans=2))
    packet("QinQ of TPID 0x9100", Ether(dst=PORTAL_MAC, src=ISP_MAC, type=0x9100) / Raw(bytes(40)),
           (14, "truncated"), "ethertype")
    packet("three priority tags", eth / Dot1Q(vlan=0) / Dot1Q(vlan=0) / Dot1Q(vlan=0) / inner,
           (22, "truncated"), "ethertype")
    packet("VID 4095", eth / Dot1Q(vlan=4095) / inner, (38, "truncated"), "unknown-source")
    packet("MPLS", Ether(dst=PORTAL_MAC, src=ISP_MAC, type=0x8847) / Raw(bytes(40)), (14, "truncated"), "ethertype")
    packet("an exchange floods a member's GRE to the portal's address",
           Ether(dst=MEMBER_MAC, src=ISP_MAC) / outer / GRE() / inner, (14, "truncated"), "not-for-us")
    packet("an exchange floods a member's ARP",
           Ether(dst=MEMBER_MAC, src=STRANGER_MAC) / ARP(op=2, pdst=HOST), (14, "truncated"), "not-for-us")
    packet("a group source MAC", Ether(dst=PORTAL_MAC, src="ff:ff:ff:ff:ff:ff") / inner,
           (34, "truncated"), "unknown-source")
    packet("broadcast that carries GRE to the portal",
           Ether(dst="ff:ff:ff:ff:ff:ff", src=ISP_MAC) / outer / GRE() / inner, (34, "truncated"), "group-address")
    local = Dot1Q(vlan=400)
    packet("ARP of a local client", Ether(dst="ff:ff:ff:ff:ff:ff", src=STRANGER_MAC) / local / ARP(pdst=HOST),
           (18, "truncated"), to("l2-client", S_LOCAL_CLIENT, 18, 18, 18, vlans=1))
    packet("neighbour solicitation of a local client",
           Ether(dst="33:33:ff:00:00:01", src=STRANGER_MAC) / local / IPv6(src="fe80::1", dst="ff02::1:ff00:1")
           / ICMPv6ND_NS(tgt=PORTAL6) / ICMPv6NDOptSrcLLAddr(lladdr=STRANGER_MAC),
           (59, "truncated"), to("l2-client", S_LOCAL_CLIENT, 18, 58, 18, vlans=1))
    packet("IPv4 in the type of IPv6", patched(eth / outer6 / inner6, 14, b"\x45"), (54, "truncated"), "malformed")


print("# Odd packets and what docs/steering.md says of them: packets.py writes this file.")
for part in (options, checksums, nested, gre, fragments, icmp, links):
    print(f"\n# {part.__doc__}")
    part()
