//! A network and a mount namespace for the length of one test.
#![allow(
    unsafe_code,
    reason = "unshare(2), and sockaddr_ll, which rustix does not have"
)]

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::net::{AddressFamily, SocketType, socket};
use tp_ebpf::Device;

/// Runs a test in a network and a mount namespace of its thread's own, which end with the
/// thread: nothing is left behind, however the test ends. Children of the thread are in them too.
pub(crate) fn isolated(test: impl FnOnce() + Send) {
    unshared(libc::CLONE_NEWNET | libc::CLONE_NEWNS, || {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("private mounts");
        mount(
            "tmpfs",
            env!("CARGO_TARGET_TMPDIR"),
            "tmpfs",
            MountFlags::empty(),
            None,
        )
        .expect("a directory that ends with the namespace");
        test();
    });
}

/// Runs a part of a test in another network namespace, with the mounts of the test.
pub(crate) fn elsewhere(test: impl FnOnce() + Send) {
    unshared(libc::CLONE_NEWNET, test);
}

fn unshared(namespaces: libc::c_int, test: impl FnOnce() + Send) {
    super::require_root();
    thread::scope(|scope| {
        let run = || {
            // SAFETY: touches this thread's namespaces only; no memory is shared differently.
            let ret = unsafe { libc::unshare(namespaces) };
            assert_eq!(ret, 0, "unshare: {}", std::io::Error::last_os_error());
            test();
        };
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A place for a bpffs, seen in this namespace only.
pub(crate) fn bpffs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .status()
        .expect("ip");
    assert!(status.success(), "ip {arguments}");
}

pub(crate) fn device(name: &str) -> Device {
    let c_name = std::ffi::CString::new(name).expect("name");
    // SAFETY: a string that ends in NUL and outlives the call.
    let ifindex = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    assert_ne!(ifindex, 0, "no device {name}");
    Device {
        name: name.to_owned(),
        ifindex,
    }
}

/// A veth pair, both ends up: the port, and the end of whoever sends to it.
pub(crate) fn veth(port: &str, far_end: &str) -> (Device, Device) {
    ip(&format!("link add {port} type veth peer name {far_end}"));
    ip(&format!("link set {port} up"));
    ip(&format!("link set {far_end} up"));
    (device(port), device(far_end))
}

/// Sends a frame out of a device.
pub(crate) fn send(from: &Device, frame: &[u8]) {
    let socket = socket(AddressFamily::PACKET, SocketType::RAW, None).expect("packet socket");
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a family"),
        sll_protocol: 0,
        sll_ifindex: i32::try_from(from.ifindex).expect("index"),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: a buffer and an address of the lengths that stand beside them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            std::ptr::from_ref(&address).cast(),
            u32::try_from(size_of::<libc::sockaddr_ll>()).expect("small"),
        )
    };
    assert_eq!(
        sent,
        frame.len() as isize,
        "send: {}",
        std::io::Error::last_os_error()
    );
}
