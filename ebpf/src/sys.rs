//! The bpf(2) calls that libbpf-rs has no safe form of.
#![allow(unsafe_code, reason = "libbpf's C interface")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use libbpf_rs::libbpf_sys as bpf;
use libbpf_rs::{MapCore, MapHandle};

pub(crate) use bpf::{XDP_DROP, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_PASS, XDP_REDIRECT};

/// Most bytes of metadata (`xdp_metalen_invalid` in include/net/xdp.h).
const MAX_META: usize = 255;

/// libbpf answers a negative errno.
fn check(ret: i32) -> io::Result<i32> {
    if ret < 0 {
        Err(io::Error::from_raw_os_error(-ret))
    } else {
        Ok(ret)
    }
}

/// The size of an options struct: how libbpf knows which version of it the caller has.
#[allow(
    clippy::cast_possible_truncation,
    reason = "structs of some hundred bytes"
)]
const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// A run of an XDP program on one frame.
pub(crate) struct XdpRun {
    pub(crate) action: u32,
    /// Metadata, then the packet.
    pub(crate) data: Vec<u8>,
    pub(crate) meta_len: usize,
    pub(crate) mean_ns: u32,
}

/// Runs an XDP program `repeat` times on a frame.
pub(crate) fn run_xdp(
    program: BorrowedFd<'_>,
    frame: &[u8],
    ifindex: u32,
    queue: u32,
    repeat: u32,
) -> io::Result<XdpRun> {
    let len = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut data = vec![0; frame.len() + MAX_META];
    let context = bpf::xdp_md {
        data_end: len,
        ingress_ifindex: ifindex,
        rx_queue_index: queue,
        ..Default::default()
    };
    let mut context_out = bpf::xdp_md::default();
    let mut opts = bpf::bpf_test_run_opts {
        sz: size::<bpf::bpf_test_run_opts>().into(),
        data_in: frame.as_ptr().cast(),
        data_size_in: len,
        data_out: data.as_mut_ptr().cast(),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "255 more than a u32 that the kernel took"
        )]
        data_size_out: data.len() as u32,
        ctx_in: ptr::from_ref(&context).cast(),
        ctx_size_in: size::<bpf::xdp_md>(),
        ctx_out: ptr::from_mut(&mut context_out).cast(),
        ctx_size_out: size::<bpf::xdp_md>(),
        repeat: i32::try_from(repeat).map_err(|_| io::ErrorKind::InvalidInput)?,
        ..Default::default()
    };
    // SAFETY: every pointer in `opts` is to a buffer of the size that stands beside it, and all
    // of them live until the call returns.
    check(unsafe { bpf::bpf_prog_test_run_opts(program.as_raw_fd(), &mut opts) })?;
    data.truncate(opts.data_size_out as usize);
    Ok(XdpRun {
        action: opts.retval,
        data,
        meta_len: context_out.data as usize,
        mean_ns: opts.duration,
    })
}

/// All values of a per-CPU array of u64 arrays: that of index 0 for each CPU, that of index 1, and
/// so on.
pub(crate) fn percpu_array(map: &MapHandle, cpus: usize) -> io::Result<Vec<u64>> {
    let entries = map.max_entries();
    let words = map.value_size() as usize / size_of::<u64>();
    let mut keys = vec![0u32; entries as usize];
    let mut values = vec![0u64; entries as usize * cpus * words];
    let mut next = 0u32;
    let mut count = entries;
    let opts = bpf::bpf_map_batch_opts {
        sz: size::<bpf::bpf_map_batch_opts>().into(),
        ..Default::default()
    };
    // SAFETY: `keys` and `values` have room for `count` keys of 4 bytes, and as many values for
    // each possible CPU, which are multiples of 8 bytes and so lie without gaps; `next` takes the
    // position behind the last key.
    let ret = unsafe {
        bpf::bpf_map_lookup_batch(
            map.as_fd().as_raw_fd(),
            ptr::null_mut(),
            ptr::from_mut(&mut next).cast(),
            keys.as_mut_ptr().cast(),
            values.as_mut_ptr().cast(),
            &mut count,
            &opts,
        )
    };
    check(ret)?;
    if count == entries {
        Ok(values)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Attaches an XDP program to a device; it leaves when the last descriptor and pin of the link do.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::ErrorKind::InvalidInput)?;
    let opts = bpf::bpf_link_create_opts {
        sz: size::<bpf::bpf_link_create_opts>().into(),
        flags,
        ..Default::default()
    };
    // SAFETY: `opts` lives until the call returns, and has no pointers.
    let ret = unsafe { bpf::bpf_link_create(program.as_raw_fd(), ifindex, bpf::BPF_XDP, &opts) };
    let fd = check(ret)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a link run another program, from one frame to the next.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: two open descriptors; no options.
    let ret = unsafe { bpf::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), ptr::null()) };
    check(ret).map(drop)
}

/// Pins an object in a bpffs.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an open descriptor, and a string that ends in NUL and outlives the call.
    let ret = unsafe { bpf::bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) };
    check(ret).map(drop)
}

/// The XDP program of a device, by the mode it runs in; 0 is none.
pub(crate) fn xdp_programs(ifindex: u32) -> io::Result<bpf::bpf_xdp_query_opts> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut opts = bpf::bpf_xdp_query_opts {
        sz: size::<bpf::bpf_xdp_query_opts>().into(),
        ..Default::default()
    };
    // SAFETY: `opts` says its size, and lives until the call returns.
    check(unsafe { bpf::bpf_xdp_query(ifindex, 0, &mut opts) })?;
    Ok(opts)
}
