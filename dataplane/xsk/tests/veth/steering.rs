//! The XDP program of the tests: compiled once, loaded and attached natively for each device.

use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::OnceLock;

use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, Xdp, XdpFlags};
use tp_xsk::Socket;

pub(crate) struct Steering {
    object: Object,
}

impl Steering {
    /// Attaches to a device of the calling thread's namespace. The device's removal detaches.
    pub(crate) fn attach(ifindex: u32) -> Self {
        let object = ObjectBuilder::default()
            .open_memory(compiled())
            .and_then(libbpf_rs::OpenObject::load)
            .expect("the program loads");
        let program = object
            .progs()
            .find(|p| p.name() == "redirect")
            .expect("the program");
        Xdp::new(program.as_fd())
            .attach(ifindex.cast_signed(), XdpFlags::DRV_MODE)
            .expect("attach natively");
        Self { object }
    }

    /// Gives the socket its queue's packets, until it is closed.
    pub(crate) fn point_to(&self, socket: &Socket) {
        let map = self
            .object
            .maps()
            .find(|m| m.name() == "sockets")
            .expect("the map");
        let fd = socket.as_fd().expect("a socket of the kernel").as_raw_fd();
        map.update(
            &socket.queue().to_ne_bytes(),
            &fd.to_ne_bytes(),
            MapFlags::ANY,
        )
        .expect("an XSKMAP entry");
    }
}

/// The program's object file.
fn compiled() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/veth/redirect.bpf.c");
        // Debian keeps asm/types.h in a directory of the architecture's.
        let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let clang = Command::new("clang")
            .args(["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", &headers])
            .args(["-c", source, "-o", "-"])
            .output()
            .expect("clang is installed");
        assert!(
            clang.status.success(),
            "clang: {}",
            String::from_utf8_lossy(&clang.stderr)
        );
        clang.stdout
    })
}
