/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The counting sink: counts what the generator sent, by what it looks like when it
 * arrives, and drops it. Whatever is not the generator's goes on to the kernel.
 *
 * bench/src/sink/abi.rs mirrors the structs; bench/tests/sink.rs runs frames of known
 * content through the program and so compares both sides.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_SIGNATURES 16384
#define MAX_TEMPLATES 4096
#define MAX_VLANS 2

#define GRE_CSUM 0x8000 /* RFC 2784 section 2.1 */
#define GRE_KEY 0x2000  /* RFC 2890 section 2 */
#define GRE_SEQ 0x1000

/* "TPGN": marks a payload of the generator (bench/src/template.rs). */
#define PAYLOAD_MAGIC 0x5450474e

enum kind {
	KIND_PLAIN = 0,
	KIND_IPIP = 1,
	KIND_GRE = 2,
	KIND_GRE_KEY = 3,
};

struct vlan_header {
	__be16 tci;
	__be16 type;
};

struct payload {
	__be64 sequence;
	__be32 magic;
	__be32 template_id;
} __attribute__((packed));

/* Addresses and the GRE key as on the wire; all bytes are defined, for the hash. */
struct signature {
	__u8 dst_mac[6];
	__u8 src_mac[6];
	__u16 vlan[MAX_VLANS]; /* VID, outermost first; 0 = none; host order */
	__be32 outer_src;
	__be32 outer_dst;
	__be32 gre_key;
	__be32 inner_src;
	__be32 inner_dst;
	__u32 template_id;
	__u8 kind;
	__u8 inner_ttl;
	__u8 outer_ttl;
	__u8 outer_tos;
};

struct tally {
	__u64 packets;
	__u64 frame_bytes;
	__u64 inner_bytes; /* total length of the inner IP packets */
	__u64 bad_inner_checksum;
	__u64 bad_outer_checksum;
};

struct flow {
	__u64 packets;
	__u64 next_sequence; /* one above the greatest seen */
	__u64 late;          /* arrived below a greater one, on the same CPU */
};

enum other {
	OTHER_PASSED = 0,     /* not the generator's */
	OTHER_OVERFLOW = 1,   /* the generator's, but the tables are full */
	OTHER_COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_SIGNATURES);
	__type(key, struct signature);
	__type(value, struct tally);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_TEMPLATES);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OTHER_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} others SEC(".maps");

/* What is left of the frame. */
struct cursor {
	void *at;
	void *end;
};

static __always_inline void *take(struct cursor *c, __u32 size)
{
	void *at = c->at;

	if (at + size > c->end)
		return 0;
	c->at = at + size;
	return at;
}

static __always_inline int count_other(__u32 which, int action)
{
	__u64 *n = bpf_map_lookup_elem(&others, &which);

	if (n)
		(*n)++;
	return action;
}

/* RFC 1071: the sum over a header with its checksum is all ones. */
static __always_inline int header_checksum_ok(const struct iphdr *ip)
{
	const __u16 *word = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* An IPv4 header without options, the only one that the generator and the portal write. */
static __always_inline struct iphdr *take_ipv4(struct cursor *c)
{
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl != 5)
		return 0;
	return ip;
}

static __always_inline int take_link(struct cursor *c, struct signature *sig)
{
	struct ethhdr *eth = take(c, sizeof(*eth));
	__be16 type;

	if (!eth)
		return 0;
	__builtin_memcpy(sig->dst_mac, eth->h_dest, 6);
	__builtin_memcpy(sig->src_mac, eth->h_source, 6);
	type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_VLANS; i++) {
		struct vlan_header *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		tag = take(c, sizeof(*tag));
		if (!tag)
			return 0;
		sig->vlan[i] = bpf_ntohs(tag->tci) & 0x0fff;
		type = tag->type;
	}
	return type == bpf_htons(ETH_P_IP);
}

static __always_inline int take_gre(struct cursor *c, struct signature *sig)
{
	__be16 *gre = take(c, 4);
	__u16 flags;

	if (!gre || gre[1] != bpf_htons(ETH_P_IP))
		return 0;
	flags = bpf_ntohs(gre[0]);
	if (flags & ~(GRE_CSUM | GRE_KEY | GRE_SEQ))
		return 0;
	if (flags & GRE_CSUM && !take(c, 4))
		return 0;
	sig->kind = KIND_GRE;
	if (flags & GRE_KEY) {
		__be32 *key = take(c, 4);

		if (!key)
			return 0;
		sig->kind = KIND_GRE_KEY;
		sig->gre_key = *key;
	}
	if (flags & GRE_SEQ && !take(c, 4))
		return 0;
	return 1;
}

static __always_inline void count_flow(__u32 id, __u64 sequence)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &id);

	if (!flow)
		return;
	flow->packets++;
	if (sequence < flow->next_sequence)
		flow->late++;
	else
		flow->next_sequence = sequence + 1;
}

static __always_inline struct tally *tally_of(const struct signature *sig)
{
	struct tally *tally = bpf_map_lookup_elem(&tallies, sig);
	struct tally zero = {};

	if (tally)
		return tally;
	/* Another CPU may have been first: both then find the same entry. */
	bpf_map_update_elem(&tallies, sig, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tallies, sig);
}

SEC("xdp")
int count_frames(struct xdp_md *ctx)
{
	struct cursor c = {
		.at = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u64 frame_bytes = c.end - c.at;
	struct signature sig = {};
	struct iphdr *outer = 0, *inner;
	struct payload *payload;
	struct tally *tally;

	if (!take_link(&c, &sig))
		return count_other(OTHER_PASSED, XDP_PASS);
	inner = take_ipv4(&c);
	if (inner && (inner->protocol == IPPROTO_IPIP || inner->protocol == IPPROTO_GRE)) {
		outer = inner;
		sig.kind = KIND_IPIP;
		if (outer->protocol == IPPROTO_GRE && !take_gre(&c, &sig))
			return count_other(OTHER_PASSED, XDP_PASS);
		inner = take_ipv4(&c);
	}
	if (!inner || inner->protocol != IPPROTO_UDP || !take(&c, sizeof(struct udphdr)))
		return count_other(OTHER_PASSED, XDP_PASS);
	payload = take(&c, sizeof(*payload));
	if (!payload || payload->magic != bpf_htonl(PAYLOAD_MAGIC))
		return count_other(OTHER_PASSED, XDP_PASS);

	sig.inner_src = inner->saddr;
	sig.inner_dst = inner->daddr;
	sig.inner_ttl = inner->ttl;
	sig.template_id = bpf_ntohl(payload->template_id);
	if (outer) {
		sig.outer_src = outer->saddr;
		sig.outer_dst = outer->daddr;
		sig.outer_ttl = outer->ttl;
		sig.outer_tos = outer->tos;
	}
	tally = sig.template_id < MAX_TEMPLATES ? tally_of(&sig) : 0;
	if (!tally)
		return count_other(OTHER_OVERFLOW, XDP_DROP);
	tally->packets++;
	tally->frame_bytes += frame_bytes;
	tally->inner_bytes += bpf_ntohs(inner->tot_len);
	if (!header_checksum_ok(inner))
		tally->bad_inner_checksum++;
	if (outer && !header_checksum_ok(outer))
		tally->bad_outer_checksum++;
	count_flow(sig.template_id, bpf_be64_to_cpu(payload->sequence));
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
