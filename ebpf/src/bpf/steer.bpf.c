// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Decides, for each frame that a port receives: to the kernel, to a worker, or dropped
 * with a reason. docs/steering.md is the contract; its steps are numbered here.
 *
 * It fails closed: whatever is not known to be the kernel's, or whatever finds no
 * socket, is dropped, so that the kernel never forwards client traffic.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.h"
#include "parse.h"

/* One SEEN and one of the others for each frame: the sums close on every path. */
static __always_inline void count(__u32 port, enum tp_counter end)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &port);

	if (!n || end >= TP_COUNTERS)
		return;
	n[TP_SEEN]++;
	n[end]++;
}

/* Step 7. The metadata ends where the packet starts, whatever a driver has put there. */
static __always_inline enum tp_counter redirect(struct xdp_md *ctx, const struct frame *f,
						const struct tp_port *port)
{
	__u32 queue = ctx->rx_queue_index;
	int present = ctx->data - ctx->data_meta;
	struct tp_meta *meta;

	if (queue >= port->queues)
		return TP_DROP_NO_SOCKET;
	if (bpf_xdp_adjust_meta(ctx, present - (int)sizeof(*meta)))
		return TP_DROP_META;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return TP_DROP_META;
	*meta = f->meta;

	queue += port->port * TP_MAX_QUEUES;
	if (bpf_redirect_map(&xsks, queue, XDP_DROP) != XDP_REDIRECT)
		return TP_DROP_NO_SOCKET;
	return TP_REDIRECTED;
}

/* Step 2, and who sent it. */
static __always_inline enum tp_counter read_ethernet(struct frame *f)
{
	struct ethhdr *eth = take(f, sizeof(*eth));
	struct tp_mac_key to = { .port = f->link.port };

	if (!eth)
		return TP_DROP_TRUNCATED;
	f->group = eth->h_dest[0] & 1;
	__builtin_memcpy(to.mac, eth->h_dest, sizeof(to.mac));
	if (!f->group && !bpf_map_lookup_elem(&local_macs, &to))
		return TP_DROP_NOT_FOR_US;
	__builtin_memcpy(f->link.mac, eth->h_source, sizeof(f->link.mac));
	f->type = eth->h_proto;
	return GO_ON;
}

/* The worker of this frame is found; `ingress` says what the frame is to it. */
static __always_inline bool found(struct frame *f, const struct tp_slot_ref *ref, __u8 ingress)
{
	if (!ref)
		return false;
	f->meta.slot = ref->slot;
	f->meta.tag = ref->tag;
	f->meta.ingress = ingress;
	return true;
}

static __always_inline bool find_tunnel(struct frame *f, __u8 ingress)
{
	return found(f, bpf_map_lookup_elem(&tunnels, &f->tunnel), ingress);
}

/* Step 5, a tunnel protocol: to a worker or dropped, never to the kernel. GO_ON redirects. */
static __always_inline enum tp_counter steer_tunnel(struct frame *f)
{
	enum tp_counter end;

	if (f->fragment) {
		f->meta.slot = TP_NO_SLOT;
		f->meta.ingress = TP_INGRESS_OUTER_FRAGMENT;
		f->meta.inner_off = f->meta.l4_off;
		return GO_ON;
	}
	f->tunnel.kind = TP_KIND_IPIP;
	if (f->protocol == IPPROTO_GRE) {
		end = read_gre(f, true);
		if (end != GO_ON)
			return end;
	}
	f->meta.inner_off = offset(f);
	return find_tunnel(f, TP_INGRESS_TUNNEL) ? GO_ON : TP_DROP_UNKNOWN_TUNNEL;
}

/* The tunnel whose outer header this ICMP error quotes. A quote that ends too early is of no
 * tunnel: RFC 792 promises its IP header and 8 bytes.
 */
static __always_inline bool find_quoted_tunnel(struct frame *f)
{
	struct iphdr *ip;

	if (!take(f, sizeof(struct icmp_header)))
		return false;
	f->meta.inner_off = offset(f);
	ip = take(f, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return false;
	f->pos = (void *)ip + ip->ihl * 4;
	if (f->pos > f->end || !is_tunnel_protocol(ip->protocol) ||
	    ip->frag_off & bpf_htons(IPV4_OFFSET_MASK))
		return false;

	/* We sent it: our address is its source. */
	map_ipv4(f->tunnel.local, ip->saddr);
	map_ipv4(f->tunnel.remote, ip->daddr);
	f->tunnel.kind = TP_KIND_IPIP;
	if (ip->protocol == IPPROTO_GRE && read_gre(f, false) != GO_ON)
		return false;
	return find_tunnel(f, TP_INGRESS_OUTER_ICMP);
}

/* Step 5, ICMP: what concerns a tunnel is the worker's, all else the kernel's. */
static __always_inline enum tp_counter steer_icmp(struct frame *f)
{
	struct icmp_header *icmp = f->pos;

	if ((void *)(&icmp->type + 1) > f->end)
		return TP_DROP_TRUNCATED;
	switch (icmp->type) {
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		return find_quoted_tunnel(f) ? GO_ON : TP_PASSED;
	default:
		return TP_PASSED;
	}
}

/* An IPv4-mapped address stands for IPv4 in our maps. IPv6 packets must not carry one
 * (RFC 4291 section 2.5.5.2), and one that does is not taken for an IPv4 packet.
 */
static __always_inline bool is_local(const struct frame *f)
{
	if (!f->ipv4 && is_mapped_ipv4(f->tunnel.local))
		return false;
	return bpf_map_lookup_elem(&local_addrs, f->tunnel.local);
}

/* Step 5. */
static __always_inline enum tp_counter steer_local(struct frame *f)
{
	if (is_tunnel_protocol(f->protocol))
		return steer_tunnel(f);
	if (f->ipv4 && f->protocol == IPPROTO_ICMP && !f->later_fragment)
		return steer_icmp(f);
	return TP_PASSED;
}

/* Step 6. */
static __always_inline enum tp_counter steer_link(struct frame *f)
{
	struct tp_slot_ref *ref = bpf_map_lookup_elem(&links, &f->link);

	if (!ref) {
		__builtin_memset(f->link.mac, 0, sizeof(f->link.mac));
		ref = bpf_map_lookup_elem(&links, &f->link);
	}
	f->meta.inner_off = f->meta.l3_off;
	return found(f, ref, ref ? ref->ingress : 0) ? GO_ON : TP_DROP_UNKNOWN_SOURCE;
}

/* Steps 2 to 7, in order: the first that decides wins. */
static __always_inline enum tp_counter steer(struct xdp_md *ctx, const struct tp_port *port)
{
	struct frame f = {
		.data = (void *)(long)ctx->data,
		.pos = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.link = { .port = port->port },
		.meta = { .magic = TP_META_MAGIC, .port = port->port },
	};
	enum tp_counter end;

	end = read_ethernet(&f);
	if (end == GO_ON)
		end = read_vlans(&f);
	if (end == GO_ON)
		end = read_network(&f);
	if (end != GO_ON)
		return end;

	if (is_local(&f))
		end = steer_local(&f);
	else
		end = steer_link(&f);
	return end == GO_ON ? redirect(ctx, &f, port) : end;
}

SEC("xdp")
int tp_steer(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct tp_port *port = bpf_map_lookup_elem(&ports, &ifindex);
	__u32 index = port ? port->port : TP_MAX_PORTS;
	enum tp_counter end = port ? steer(ctx, port) : TP_DROP_NO_PORT;

	count(index, end);
	switch (end) {
	case TP_PASSED:
		return XDP_PASS;
	case TP_REDIRECTED:
		return XDP_REDIRECT;
	default:
		return XDP_DROP;
	}
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
