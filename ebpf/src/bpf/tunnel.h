/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The headers that tunnels put behind the outer IP header: each function reads one into
 * f->tunnel, leaves the cursor behind it, and answers GO_ON or how the frame ends.
 */
#ifndef TP_TUNNEL_H
#define TP_TUNNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.h"
#include "parse.h"

#define GRE_CHECKSUM 0x8000 /* RFC 2784 section 2.1 */
#define GRE_KEY 0x2000      /* RFC 2890 section 2 */
#define GRE_SEQUENCE 0x1000
/* Routing and the RFC 1701 bits that RFC 2784 section 2.2 says to refuse, and the version. */
#define GRE_REFUSED (0x4000 | 0x0800 | 0x0400 | 0x0007)
#define GRE_WORD 4 /* each optional field is one word, checksum with reserved1 */

#define TYPE_TEB 0x6558 /* Transparent Ethernet Bridging, IEEE 802 numbers */

/* draft-ietf-intarea-gue-09 section 3.1: variant, control bit, length in words. */
#define GUE_VARIANT 0xc0
#define GUE_VARIANT_1 0x40 /* no header: the bits are those of an IP version */
#define GUE_CONTROL 0x20
#define GUE_LENGTH 0x1f
#define GUE_WORD 4

struct gre_header {
	__be16 flags;
	__be16 type;
};

struct gue_header {
	__u8 variant_control_length;
	__u8 protocol;
	__be16 flags;
};

/* The UDP header into f->tunnel, if it is to a port of tunnels. */
static __always_inline enum tp_counter read_udp(struct frame *f)
{
	struct udphdr *udp = take(f, sizeof(*udp));
	struct tp_udp_port_key to;
	__u32 *kind;

	if (!udp)
		return TP_DROP_TRUNCATED;
	to.port_be = udp->dest;
	kind = bpf_map_lookup_elem(&udp_ports, &to);
	if (kind) {
		f->tunnel.kind = *kind;
		f->tunnel.dport_be = to.port_be;
	}
	return GO_ON;
}

/* The kind of tunnel that protocol and port say, into f->tunnel; none where it stays 0. What a
 * later fragment carries has no port.
 */
static __always_inline enum tp_counter read_kind(struct frame *f)
{
	switch (f->protocol) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		f->tunnel.kind = TP_KIND_IPIP;
		return GO_ON;
	case IPPROTO_GRE:
		f->tunnel.kind = TP_KIND_GRE;
		return GO_ON;
	case IPPROTO_UDP:
		return f->later_fragment ? GO_ON : read_udp(f);
	default:
		return GO_ON;
	}
}

/* The kind of tunnel whose GRE header names this type of payload; 0 for none of ours. */
static __always_inline __u8 gre_kind(__be16 type)
{
	switch (bpf_ntohs(type)) {
	case ETH_P_IP:
	case ETH_P_IPV6:
		return TP_KIND_GRE;
	case TYPE_TEB:
		return TP_KIND_EGRE;
	default:
		return 0;
	}
}

static __always_inline enum tp_counter read_gre_key(struct frame *f)
{
	__be32 *key = take(f, GRE_WORD);

	if (!key)
		return TP_DROP_TRUNCATED;
	f->tunnel.key_be = *key;
	f->tunnel.flags = TP_TUNNEL_KEY_PRESENT;
	return GO_ON;
}

/* The GRE header into f->tunnel. What a router quotes in an ICMP error may end behind the
 * key: `whole` asks for all that the flags announce.
 */
static __always_inline enum tp_counter read_gre(struct frame *f, bool whole)
{
	struct gre_header *gre = take(f, sizeof(*gre));
	enum tp_counter end;
	__u16 flags;

	if (!gre)
		return TP_DROP_TRUNCATED;
	flags = bpf_ntohs(gre->flags);
	if (flags & GRE_REFUSED)
		return TP_DROP_GRE_UNSUPPORTED;
	if (flags & GRE_CHECKSUM)
		f->pos += GRE_WORD;
	if (flags & GRE_KEY) {
		end = read_gre_key(f);
		if (end != GO_ON)
			return end;
	}
	if (flags & GRE_SEQUENCE)
		f->pos += GRE_WORD;
	if (whole && f->pos > f->end)
		return TP_DROP_TRUNCATED;
	f->tunnel.kind = gre_kind(gre->type);
	return f->tunnel.kind ? GO_ON : TP_DROP_UNKNOWN_TUNNEL;
}

/* What a GUE header says is the worker's to read; here it is only skipped. */
static __always_inline enum tp_counter read_gue(struct frame *f)
{
	__u8 *first = f->pos;

	if ((void *)(first + 1) > f->end)
		return TP_DROP_TRUNCATED;
	if ((*first & GUE_VARIANT) == GUE_VARIANT_1)
		return GO_ON;
	if (*first & (GUE_VARIANT | GUE_CONTROL))
		return TP_DROP_GUE_UNSUPPORTED;
	if (!take(f, sizeof(struct gue_header)))
		return TP_DROP_TRUNCATED;
	f->pos += (*first & GUE_LENGTH) * GUE_WORD;
	return f->pos > f->end ? TP_DROP_TRUNCATED : GO_ON;
}

#endif
