/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Redirects frames of the local experimental EtherType to the socket of their queue, with eight
 * bytes of metadata in front; all else goes to the kernel. */
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define ETH_P_EXPERIMENT 0xb588 /* 0x88b5 in network order (IEEE 802, local experimental) */

static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static long (*adjust_meta)(struct xdp_md *ctx, int delta) = (void *)BPF_FUNC_xdp_adjust_meta;

struct {
	int (*type)[BPF_MAP_TYPE_XSKMAP];
	int (*max_entries)[4];
	__u32 *key;
	__u32 *value;
} sockets SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	__u32 *meta;

	if (data + 14 > (unsigned char *)(long)ctx->data_end)
		return XDP_PASS;
	if (*(__u16 *)(data + 12) != ETH_P_EXPERIMENT)
		return XDP_PASS;
	if (adjust_meta(ctx, -8))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 2) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	meta[0] = 0x4154454d; /* "META" */
	meta[1] = ctx->rx_queue_index;
	return redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

char dual_license[] SEC("license") = "Dual MIT/GPL";
