/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Programs that leave a frame in a state in which BPF_PROG_TEST_RUN cannot hand it to the
 * program under test, and go on to that.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define PUSH 208 /* of XDP_PACKET_HEADROOM, 256; struct xdp_frame needs the rest */
#define FRAME 64

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

/* Moves the packet's start so far into the headroom that no metadata fits in front of it, as
 * a program does that pushes headers and redirects to a veth.
 */
SEC("xdp")
int low_headroom(struct xdp_md *ctx)
{
	char frame[FRAME];

	if (bpf_xdp_load_bytes(ctx, 0, frame, sizeof(frame)) ||
	    bpf_xdp_adjust_head(ctx, -PUSH) ||
	    bpf_xdp_store_bytes(ctx, 0, frame, sizeof(frame)))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

/* With the metadata that the test run has put in front. */
SEC("xdp")
int straight_on(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
