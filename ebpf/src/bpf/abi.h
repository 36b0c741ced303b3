/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The contract between the steering program, the map writers and the workers.
 *
 * dataplane/pipeline/src/abi.rs is the Rust mirror; ebpf/tests/abi.rs compares
 * every size, offset and value with it. Multi-byte fields are in host order
 * unless a name ends in _be. Addresses are 16 bytes; IPv4 is IPv4-mapped
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2).
 */
#ifndef TP_ABI_H
#define TP_ABI_H

#define TP_META_MAGIC 0x5450 /* "TP", with the layout version in it: change it with the layout */
#define TP_NO_SLOT 0xffffffffu

#define TP_MAX_PORTS 64
#define TP_MAX_QUEUES 64 /* XSKMAP key: port * TP_MAX_QUEUES + queue */
#define TP_MAX_LOCAL_MACS 4096
#define TP_MAX_LOCAL_ADDRS 16384
#define TP_MAX_TUNNELS 65536
#define TP_MAX_LINKS 16384
#define TP_MAX_UDP_PORTS 256

/* What a redirected frame is. */
enum tp_ingress {
	TP_INGRESS_UPSTREAM = 1,           /* slot: upstream; without an outer header */
	TP_INGRESS_TUNNEL = 2,             /* slot: tunnel */
	TP_INGRESS_L2_CLIENT = 3,          /* slot: tunnel (a layer-two link without an outer header) */
	TP_INGRESS_OUTER_FRAGMENT = 4,     /* slot: TP_NO_SLOT */
	TP_INGRESS_OUTER_ICMP = 5,         /* slot: the tunnel whose outer header is quoted */
	TP_INGRESS_UPSTREAM_TUNNEL = 6,    /* slot: upstream; within an outer header */
	TP_INGRESS_OUTER_ICMP_UPSTREAM = 7,/* slot: the upstream whose outer header is quoted */
};

enum tp_tunnel_kind {
	TP_KIND_IPIP = 1, /* IP protocols 4 and 41 */
	TP_KIND_GRE = 2,  /* RFC 2784, RFC 2890; protocol types 0x0800, 0x86dd */
	TP_KIND_EGRE = 3, /* protocol type 0x6558 */
	TP_KIND_FOU = 4,  /* IP in UDP, as Linux FOU */
	TP_KIND_GUE = 5,  /* Generic UDP Encapsulation, draft-ietf-intarea-gue */
};

/* Metadata in front of a redirected packet: ends where the packet starts. */
struct tp_meta {
	__u32 slot;
	__u32 tag;
	__u16 magic;
	__u16 port;      /* index of the ingress port */
	__u8 ingress;    /* enum tp_ingress */
	__u8 vlans;      /* VLAN headers in the frame, VID 0 included: 0..2 */
	__u16 l3_off;    /* outermost network header */
	__u16 l4_off;    /* what follows it */
	__u16 inner_off; /* behind the tunnel header; l3_off where there is no tunnel;
			  * the quoted header for TP_INGRESS_OUTER_ICMP; l4_off for a fragment */
	__u32 reserved;  /* 0 */
};

/* Map "ports": ifindex -> */
struct tp_port {
	__u16 port;      /* index, < TP_MAX_PORTS */
	__u16 queues;    /* receive queues with a socket; others are TP_DROP_NO_SOCKET */
	__u32 reserved;
};

/* Map "local_macs": destination MACs that are ours -> __u32 flags (0) */
struct tp_mac_key {
	__u16 port;
	__u8 mac[6];
};

/* Map "local_addrs": addresses of the portal -> __u32 flags (0) */
struct tp_addr_key {
	__u8 addr[16];
};

/* Map "tunnels" -> struct tp_slot_ref */
#define TP_TUNNEL_KEY_PRESENT 0x01
struct tp_tunnel_key {
	__u8 remote[16]; /* outer source as received */
	__u8 local[16];  /* outer destination as received */
	__u32 key_be;    /* GRE key; 0 where absent */
	__u16 dport_be;  /* UDP destination port; 0 elsewhere */
	__u8 kind;       /* enum tp_tunnel_kind */
	__u8 flags;      /* TP_TUNNEL_KEY_PRESENT: no key is not key 0 */
};

/* Map "udp_ports": destination ports of UDP tunnels -> __u32 enum tp_tunnel_kind, FOU or GUE */
struct tp_udp_port_key {
	__be16 port_be;
};

/* Map "links": (port, VLAN stack, source MAC) -> struct tp_slot_ref.
 * A layer-two client takes any source MAC: its entry has mac 0. Exact entries win. */
#define TP_VLAN_8021AD 0x1000 /* the tag's TPID was 0x88a8 */
struct tp_link_key {
	__u16 port;
	__u16 vlan[2];   /* VID (12 bits) | TP_VLAN_8021AD, outermost first; 0 = none */
	__u8 mac[6];
};

#define TP_REF_LOCAL 0x0001 /* ARP and ND from this link are for the portal's slow path */
struct tp_slot_ref {
	__u32 slot;
	__u32 tag;
	__u16 ingress;   /* enum tp_ingress */
	__u16 flags;
};

/* Map "counters" (per CPU): index of the port -> __u64[TP_COUNTERS];
 * frames of a device that is no port count under port TP_MAX_PORTS.
 * seen = passed + redirected + sum of the drops, on every path. */
enum tp_counter {
	TP_SEEN = 0,
	TP_PASSED,
	TP_REDIRECTED,
	TP_DROP_NO_PORT,          /* device is not in the map "ports" */
	TP_DROP_TRUNCATED,        /* ends inside a header that steering reads */
	TP_DROP_MALFORMED,        /* IP version, IHL, extension header chain */
	TP_DROP_NOT_FOR_US,       /* unicast destination MAC that is not ours */
	TP_DROP_GROUP,            /* group destination MAC, not a link protocol */
	TP_DROP_ETHERTYPE,        /* neither IP nor a link protocol, or more than two VLAN headers */
	TP_DROP_UNKNOWN_TUNNEL,   /* to an address of the portal, tunnel protocol, no such tunnel */
	TP_DROP_GRE_UNSUPPORTED,  /* GRE version, routing, or RFC 1701 bits */
	TP_DROP_GUE_UNSUPPORTED,  /* GUE variant, or a control message */
	TP_DROP_UNKNOWN_SOURCE,   /* no upstream or client for (port, VLANs, source MAC) */
	TP_DROP_NO_SOCKET,        /* no AF_XDP socket on the queue */
	TP_DROP_META,             /* no room for metadata */
	TP_COUNTERS,
};

#endif
