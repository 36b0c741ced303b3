//! Waiting for the CPUs that run the steering program.

use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};

const INDEX: [u8; 4] = 0u32.to_ne_bytes();

/// A map of maps that no program uses. The kernel answers an update of one only when every
/// program that could see the old contents has ended: synchronize_rcu() in
/// maybe_wait_bpf_programs (kernel/bpf/syscall.c), for exactly this purpose. It waits for all
/// programs, not only for those that use the map.
///
/// membarrier(2) with `MEMBARRIER_CMD_GLOBAL` waits for the same, but answers `EINVAL` on
/// kernels that run with `nohz_full` CPUs, as servers with pinned workers do.
#[derive(Debug)]
pub(crate) struct Barrier {
    outer: MapHandle,
    inner: MapHandle,
}

impl Barrier {
    pub(crate) fn new() -> libbpf_rs::Result<Self> {
        let mut opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        let inner = MapHandle::create(MapType::Array, Some("tp_inner"), 4, 4, 1, &opts)?;
        opts.inner_map_fd = inner.as_fd().as_raw_fd().cast_unsigned();
        let outer = MapHandle::create(MapType::ArrayOfMaps, Some("tp_barrier"), 4, 4, 1, &opts)?;
        Ok(Self { outer, inner })
    }

    /// Returns when every CPU has left the program as it ran at the call: some milliseconds.
    pub(crate) fn wait(&self) -> libbpf_rs::Result<()> {
        let inner = self.inner.as_fd().as_raw_fd().to_ne_bytes();
        self.outer.update(&INDEX, &inner, MapFlags::ANY)
    }
}
