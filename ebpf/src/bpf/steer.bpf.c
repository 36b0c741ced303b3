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
#include "tunnel.h"

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

/* Step 5, a tunnel protocol: to a worker or dropped, never to the kernel. GO_ON redirects. */
static __always_inline enum tp_counter steer_tunnel(struct frame *f)
{
	struct tp_slot_ref *ref;
	enum tp_counter end = GO_ON;

	if (f->fragment) {
		f->meta.slot = TP_NO_SLOT;
		f->meta.ingress = TP_INGRESS_OUTER_FRAGMENT;
		f->meta.inner_off = f->meta.l4_off;
		return GO_ON;
	}
	if (f->tunnel.kind == TP_KIND_GRE)
		end = read_gre(f, true);
	else if (f->tunnel.kind == TP_KIND_GUE)
		end = read_gue(f);
	if (end != GO_ON)
		return end;
	f->meta.inner_off = offset(f);
	ref = bpf_map_lookup_elem(&tunnels, &f->tunnel);
	return found(f, ref, ref ? ref->ingress : 0) ? GO_ON : TP_DROP_UNKNOWN_TUNNEL;
}

/* The tunnel whose outer header this ICMP error quotes: what we sent, so that our address is its
 * source. A quote that ends too early is of no tunnel: RFC 792 promises its IP header and 8 bytes.
 */
static __noinline bool find_quoted_tunnel(struct frame *f)
{
	struct tp_slot_ref *ref;

	if (!take(f, sizeof(struct icmp_header)))
		return false;
	f->meta.inner_off = offset(f);
	forget(f, L4_MASK);
	if ((f->ipv4 ? read_ipv4(f) : read_ipv6(f)) != GO_ON || f->later_fragment)
		return false;
	swap_ends(&f->tunnel);
	if (claims_ipv4(f) || read_kind(f) != GO_ON)
		return false;
	if (f->tunnel.kind == TP_KIND_GRE && read_gre(f, false) != GO_ON)
		return false;
	ref = bpf_map_lookup_elem(&tunnels, &f->tunnel);
	return found(f, ref, ref && ref->ingress == TP_INGRESS_UPSTREAM_TUNNEL ?
				     TP_INGRESS_OUTER_ICMP_UPSTREAM :
				     TP_INGRESS_OUTER_ICMP);
}

static __always_inline bool is_icmp_error(const struct frame *f, __u8 type)
{
	if (f->ipv4)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
		       type == ICMP_PARAMETER_PROBLEM;
	return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
}

/* Step 5, ICMP: what concerns a tunnel is the worker's, all else the kernel's. */
static __always_inline enum tp_counter steer_icmp(struct frame *f)
{
	__u8 *type = f->pos;

	if ((void *)(type + 1) > f->end)
		return TP_DROP_TRUNCATED;
	return is_icmp_error(f, *type) && find_quoted_tunnel(f) ? GO_ON : TP_PASSED;
}

static __always_inline bool is_local(const struct frame *f)
{
	return !claims_ipv4(f) && bpf_map_lookup_elem(&local_addrs, f->tunnel.local);
}

/* Step 5. */
static __always_inline enum tp_counter steer_local(struct frame *f)
{
	enum tp_counter end = read_kind(f);

	if (end != GO_ON)
		return end;
	if (f->tunnel.kind)
		return steer_tunnel(f);
	if (f->protocol == (f->ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && !f->later_fragment)
		return steer_icmp(f);
	return TP_PASSED;
}

/* Step 6, and the neighbour protocols of step 4, which are the kernel's on other links than
 * the slow path's.
 */
static __always_inline enum tp_counter steer_link(struct frame *f)
{
	struct tp_slot_ref *ref = bpf_map_lookup_elem(&links, &f->link);

	if (!ref) {
		__builtin_memset(f->link.mac, 0, sizeof(f->link.mac));
		ref = bpf_map_lookup_elem(&links, &f->link);
	}
	if (f->neighbour && !(ref && ref->flags & TP_REF_LOCAL))
		return TP_PASSED;
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

	if (!f.neighbour && is_local(&f))
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
