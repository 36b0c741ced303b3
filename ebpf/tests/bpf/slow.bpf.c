/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An XDP program that takes its time, and says when it starts and when it ends.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TURNS (1 << 23) /* BPF_MAX_LOOPS: some 20 ms */

enum state {
	RUNNING = 1,
	ENDED = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} state SEC(".maps");

static long turn(__u32 index, void *context)
{
	(void)index;
	(void)context;
	return 0;
}

SEC("xdp")
int slow(struct xdp_md *ctx)
{
	__u32 zero = 0;
	volatile __u32 *now = bpf_map_lookup_elem(&state, &zero);

	(void)ctx;
	if (!now)
		return XDP_ABORTED;
	*now = RUNNING;
	bpf_loop(TURNS, turn, NULL, 0);
	*now = ENDED;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
