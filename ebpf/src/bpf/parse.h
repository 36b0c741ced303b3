/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * From bytes to what steering decides by: each function reads one header, leaves the
 * cursor behind it, and answers GO_ON or how the frame ends.
 */
#ifndef TP_PARSE_H
#define TP_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* The frame is not decided yet. */
#define GO_ON TP_COUNTERS

#define MAX_VLANS 2
#define MAX_EXTENSIONS 4

/* Above every offset of a network header, and of what follows it and four extension headers. */
#define L3_MASK 0x1f
#define L4_MASK 0x7fff

#define VLAN_VID_MASK 0x0fff /* IEEE 802.1Q section 9.6 */

#define IPV4_MORE_FRAGMENTS 0x2000 /* RFC 791 section 3.1 */
#define IPV4_OFFSET_MASK 0x1fff
#define IPV6_MORE_FRAGMENTS 0x0001 /* RFC 8200 section 4.5 */
#define IPV6_OFFSET_MASK 0xfff8

#define TYPE_LLDP 0x88cc /* IEEE 802.1AB section 7.3; not in linux/if_ether.h of all ages */

/* RFC 792. <linux/icmp.h> would do, but its includes need a C library for the BPF target. */
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12

#define ICMPV6_UNREACHABLE 1 /* RFC 4443: with packet too big and time exceeded, the errors */
#define ICMPV6_PARAMETER_PROBLEM 4
#define ICMPV6_MLD_FIRST 130 /* RFC 2710, RFC 4861: MLDv1, RS, RA, NS, NA, Redirect */
#define ICMPV6_ROUTER_SOLICITATION 133
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMPV6_REDIRECT 137
#define ICMPV6_MLDV2_REPORT 143 /* RFC 3810 */

struct vlan_header {
	__be16 tci;
	__be16 type;
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest; /* by type; an error's quote follows */
};

/* The first words of every IPv6 extension header (RFC 8200 section 4.2), with the fragment
 * header's own (section 4.5).
 */
struct extension_header {
	__u8 next;
	__u8 length; /* in units of 8 bytes, the first not counted */
	__be16 fragment;
	__be32 identification;
};

/* A frame, and what has been read of it. */
struct frame {
	void *data;
	void *pos; /* the next header; behind the end if one claims to be longer than the frame */
	void *end;
	struct tp_link_key link;     /* whence it came: port, VLANs, source MAC */
	struct tp_tunnel_key tunnel; /* outer addresses; the rest by tunnel.h */
	struct tp_meta meta;         /* for the worker, if it is redirected */
	__be16 type;                 /* what the frame carries */
	__u8 protocol;               /* what the IP packet carries */
	bool ipv4;
	bool group;          /* to a group address */
	bool neighbour;      /* ARP or ND: between the ends of a link */
	bool fragment;       /* of an IP packet, the first one or not */
	bool later_fragment; /* not the first one: what follows is no header */
};

/* The next header, or NULL if the frame ends inside of it. */
static __always_inline void *take(struct frame *f, __u32 size)
{
	void *header = f->pos;

	if (header + size > f->end)
		return NULL;
	f->pos = header + size;
	return header;
}

static __always_inline __u16 offset(const struct frame *f)
{
	return f->pos - f->data;
}

/* Leaves the cursor where it is. The verifier takes it for any place within the mask, so that it
 * checks what follows once, and not once for each way that leads here.
 */
static __always_inline void forget(struct frame *f, __u32 mask)
{
	void *pos = f->pos;

	barrier_var(pos);
	f->pos = f->data + ((pos - f->data) & mask);
}

static __always_inline void map_ipv4(__u8 *to, __be32 addr)
{
	__u32 *word = (__u32 *)to;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = addr;
}

/* From a packet that we got to one that we sent. */
static __always_inline void swap_ends(struct tp_tunnel_key *key)
{
	__u8 remote[sizeof(key->remote)];

	__builtin_memcpy(remote, key->remote, sizeof(remote));
	__builtin_memcpy(key->remote, key->local, sizeof(remote));
	__builtin_memcpy(key->local, remote, sizeof(remote));
}

/* An IPv4-mapped address stands for IPv4 in our maps. IPv6 packets must not carry one
 * (RFC 4291 section 2.5.5.2), and one that does is not taken for an IPv4 packet.
 */
static __always_inline bool claims_ipv4(const struct frame *f)
{
	const __u32 *word = (const __u32 *)f->tunnel.local;

	return !f->ipv4 && word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum tp_counter read_vlans(struct frame *f)
{
	struct vlan_header *tag;
	__u16 vid;

	for (int i = 0; i < MAX_VLANS && is_vlan(f->type); i++) {
		tag = take(f, sizeof(*tag));
		if (!tag)
			return TP_DROP_TRUNCATED;
		vid = bpf_ntohs(tag->tci) & VLAN_VID_MASK;
		if (vid) {
			if (f->type == bpf_htons(ETH_P_8021AD))
				vid |= TP_VLAN_8021AD;
			/* Not an index: the stack would then be addressed by a variable. */
			if (f->link.vlan[0])
				f->link.vlan[1] = vid;
			else
				f->link.vlan[0] = vid;
		}
		f->meta.vlans++;
		f->type = tag->type;
	}
	return is_vlan(f->type) ? TP_DROP_ETHERTYPE : GO_ON;
}

static __always_inline enum tp_counter read_ipv4(struct frame *f)
{
	struct iphdr *ip = take(f, sizeof(*ip));
	__u16 fragment;

	if (!ip)
		return TP_DROP_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return TP_DROP_MALFORMED;
	f->pos = (void *)ip + ip->ihl * 4;
	if (f->pos > f->end)
		return TP_DROP_TRUNCATED;

	fragment = bpf_ntohs(ip->frag_off);
	f->ipv4 = true;
	f->protocol = ip->protocol;
	f->fragment = fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK);
	f->later_fragment = fragment & IPV4_OFFSET_MASK;
	map_ipv4(f->tunnel.remote, ip->saddr);
	map_ipv4(f->tunnel.local, ip->daddr);
	return GO_ON;
}

/* Behind the fragment header of a later fragment stand the packet's middle bytes. */
static __always_inline bool at_extension(const struct frame *f)
{
	const __u64 extensions = 1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING |
				 1ULL << IPPROTO_FRAGMENT | 1ULL << IPPROTO_DSTOPTS;

	return !f->later_fragment && f->protocol < 64 && extensions >> f->protocol & 1;
}

/* Neither unrolled nor inlined: few packets have any, and the code is there once for what is
 * received and for what is quoted.
 */
static __noinline enum tp_counter read_extensions(struct frame *f)
{
	struct extension_header *ext;
	__u16 fragment;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_EXTENSIONS && at_extension(f); i++) {
		ext = take(f, sizeof(*ext));
		if (!ext)
			return TP_DROP_TRUNCATED;
		if (f->protocol == IPPROTO_FRAGMENT) {
			fragment = bpf_ntohs(ext->fragment);
			f->fragment |= !!(fragment & (IPV6_MORE_FRAGMENTS | IPV6_OFFSET_MASK));
			f->later_fragment = fragment & IPV6_OFFSET_MASK;
		} else {
			f->pos += ext->length * 8;
		}
		f->protocol = ext->next;
		forget(f, L4_MASK);
	}
	return at_extension(f) ? TP_DROP_MALFORMED : GO_ON;
}

static __always_inline enum tp_counter read_ipv6(struct frame *f)
{
	struct ipv6hdr *ip = take(f, sizeof(*ip));

	if (!ip)
		return TP_DROP_TRUNCATED;
	if (ip->version != 6)
		return TP_DROP_MALFORMED;
	f->protocol = ip->nexthdr;
	__builtin_memcpy(f->tunnel.remote, &ip->saddr, sizeof(f->tunnel.remote));
	__builtin_memcpy(f->tunnel.local, &ip->daddr, sizeof(f->tunnel.local));
	return at_extension(f) ? read_extensions(f) : GO_ON;
}

static __always_inline bool is_multicast(const struct frame *f)
{
	const __u8 *addr = f->tunnel.local;

	return f->ipv4 ? (addr[12] & 0xf0) == 0xe0 : addr[0] == 0xff;
}

/* IP to a group MAC: listener reports are the kernel's, neighbour discovery is of whoever speaks
 * for this link, nothing else is anybody's. A unicast IP destination never gets there: the kernel could forward it.
 */
static __always_inline enum tp_counter read_group(struct frame *f)
{
	__u8 *type = f->pos;

	if (!is_multicast(f))
		return TP_DROP_GROUP;
	if (f->ipv4)
		return f->protocol == IPPROTO_IGMP ? TP_PASSED : TP_DROP_GROUP;
	if (f->protocol != IPPROTO_ICMPV6 || f->later_fragment)
		return TP_DROP_GROUP;
	if ((void *)(type + 1) > f->end)
		return TP_DROP_TRUNCATED;
	if (*type >= ICMPV6_ROUTER_SOLICITATION && *type <= ICMPV6_NEIGHBOUR_ADVERTISEMENT) {
		f->neighbour = true;
		return GO_ON;
	}
	if ((*type >= ICMPV6_MLD_FIRST && *type <= ICMPV6_REDIRECT) || *type == ICMPV6_MLDV2_REPORT)
		return TP_PASSED;
	return TP_DROP_GROUP;
}

/* Link protocols pass or are between neighbours; of the rest only IP goes on, and only to one
 * receiver.
 */
static __always_inline enum tp_counter read_network(struct frame *f)
{
	enum tp_counter end;

	f->meta.l3_off = offset(f);
	forget(f, L3_MASK);
	switch (bpf_ntohs(f->type)) {
	case ETH_P_ARP:
		f->neighbour = true;
		end = GO_ON;
		break;
	case TYPE_LLDP:
	case ETH_P_SLOW:
		return TP_PASSED;
	case ETH_P_IP:
		end = read_ipv4(f);
		break;
	case ETH_P_IPV6:
		end = read_ipv6(f);
		break;
	default:
		end = f->group ? TP_DROP_GROUP : TP_DROP_ETHERTYPE;
	}
	if (end != GO_ON)
		return end;
	f->meta.l4_off = offset(f);
	forget(f, L4_MASK);
	return f->group && !f->neighbour ? read_group(f) : GO_ON;
}

#endif
