/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Everything that abi.h declares, as types of one object, so that the compiler writes all
 * of it into BTF. Never loaded: tests/abi.rs reads the BTF.
 */
#include <linux/types.h>

#include "../../src/bpf/abi.h"

/* The preprocessor's constants, which BTF does not know. */
enum defines {
	VALUE_TP_META_MAGIC = TP_META_MAGIC,
	VALUE_TP_NO_SLOT = TP_NO_SLOT,
	VALUE_TP_MAX_PORTS = TP_MAX_PORTS,
	VALUE_TP_MAX_QUEUES = TP_MAX_QUEUES,
	VALUE_TP_MAX_LOCAL_MACS = TP_MAX_LOCAL_MACS,
	VALUE_TP_MAX_LOCAL_ADDRS = TP_MAX_LOCAL_ADDRS,
	VALUE_TP_MAX_TUNNELS = TP_MAX_TUNNELS,
	VALUE_TP_MAX_LINKS = TP_MAX_LINKS,
	VALUE_TP_MAX_UDP_PORTS = TP_MAX_UDP_PORTS,
	VALUE_TP_REF_LOCAL = TP_REF_LOCAL,
	VALUE_TP_TUNNEL_KEY_PRESENT = TP_TUNNEL_KEY_PRESENT,
	VALUE_TP_VLAN_8021AD = TP_VLAN_8021AD,
};

struct {
	enum defines defines;
	enum tp_ingress ingress;
	enum tp_tunnel_kind kind;
	enum tp_counter counter;
	struct tp_meta meta;
	struct tp_port port;
	struct tp_mac_key mac_key;
	struct tp_addr_key addr_key;
	struct tp_tunnel_key tunnel_key;
	struct tp_link_key link_key;
	struct tp_udp_port_key udp_port_key;
	struct tp_slot_ref slot_ref;
} everything;
