/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the steering program reads and counts. Filled by ebpf/src/maps.rs; each load
 * has maps of its own, so a program never sees those of a predecessor.
 *
 * The hash maps are not preallocated: they are sized for the largest portal, and most
 * are small.
 */
#ifndef TP_MAPS_H
#define TP_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* ifindex -> */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tp_port);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_LOCAL_MACS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_mac_key);
	__type(value, __u32);
} local_macs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_LOCAL_ADDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_addr_key);
	__type(value, __u32);
} local_addrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_TUNNELS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_tunnel_key);
	__type(value, struct tp_slot_ref);
} tunnels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_UDP_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_udp_port_key);
	__type(value, __u32);
} udp_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_LINKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_link_key);
	__type(value, struct tp_slot_ref);
} links SEC(".maps");

/* port * TP_MAX_QUEUES + queue -> AF_XDP socket */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, TP_MAX_PORTS * TP_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* port -> its counters. One entry a port: counted by one look-up, read by one system call. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TP_MAX_PORTS + 1);
	__type(key, __u32);
	__type(value, __u64[TP_COUNTERS]);
} counters SEC(".maps");

#endif
