//! The program on devices: links that outlive their maker, and what the kernel refuses.

mod common;

use std::time::{Duration, Instant};

use common::frames::{STRANGER_MAC, eth};
use common::isolated::{bpffs, device, elsewhere, ip, isolated, send, veth};
use common::{PORT, portal};
use tp_ebpf::{AttachError, Device, Mode, Pin, Pins, PutOn, Steering, SteeringState};
use tp_pipeline::abi::{Counter, PortEntry};

/// A program whose only port is this device.
fn steering_for(device: &Device) -> Steering {
    let mut steering = Steering::load().expect("load");
    let entry = PortEntry {
        port: PORT,
        queues: 1,
        reserved: 0,
    };
    let ports = [(device.ifindex, entry)].into();
    steering
        .apply(&SteeringState { ports, ..portal() })
        .expect("apply");
    steering
}

/// Sends a frame of a type that nothing else sends, and waits until it is counted.
fn counts_a_frame(steering: &Steering, far_end: &Device) -> bool {
    let dropped = || steering.counters().expect("counters")[usize::from(PORT)][Counter::NotForUs];
    let before = dropped();
    send(
        far_end,
        &[&eth(STRANGER_MAC, STRANGER_MAC, 0x88b5)[..], &[0; 46]].concat(),
    );
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        if dropped() == before + 1 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn programs(device: &Device) -> String {
    let out = std::process::Command::new("ip")
        .args(["link", "show", "dev", &device.name])
        .output();
    String::from_utf8(out.expect("ip").stdout).expect("UTF-8")
}

#[test]
fn a_link_outlives_its_maker_and_the_next_program_takes_it_over() {
    isolated(|| {
        let pins = Pins::open(&bpffs("outlives")).expect("pins");
        let (port, far_end) = veth("tp0", "far0");
        let mut first = steering_for(&port);
        assert_eq!(
            first.put_on(&pins, &port, Mode::Native).expect("put on"),
            PutOn::New
        );
        assert!(counts_a_frame(&first, &far_end));

        drop(first);
        let pin = Pin {
            device: "tp0".into(),
            ifindex: Some(port.ifindex),
        };
        assert_eq!(pins.list().expect("list"), [pin]);
        assert!(programs(&port).contains("prog/xdp"), "{}", programs(&port));

        let mut second = steering_for(&port);
        assert!(!counts_a_frame(&second, &far_end));
        assert_eq!(
            second.put_on(&pins, &port, Mode::Native).expect("put on"),
            PutOn::TakenOver
        );
        assert!(counts_a_frame(&second, &far_end));

        assert!(pins.release("tp0").expect("release"));
        assert!(!pins.release("tp0").expect("release again"));
        assert!(!programs(&port).contains("prog/xdp"), "{}", programs(&port));
        assert!(!counts_a_frame(&second, &far_end));
    });
}

#[test]
fn a_device_that_comes_back_gets_a_new_link() {
    isolated(|| {
        let pins = Pins::open(&bpffs("comes-back")).expect("pins");
        let (port, _) = veth("tp0", "far0");
        let mut steering = steering_for(&port);
        steering.put_on(&pins, &port, Mode::Native).expect("put on");
        ip("link del tp0");
        assert_eq!(
            pins.list().expect("list"),
            [Pin {
                device: "tp0".into(),
                ifindex: None
            }]
        );

        let (port, far_end) = veth("tp0", "far0");
        let mut steering = steering_for(&port);
        assert_eq!(
            steering.put_on(&pins, &port, Mode::Native).expect("put on"),
            PutOn::New
        );
        assert!(counts_a_frame(&steering, &far_end));

        // The pin of a device that is gone can be released as well.
        ip("link del tp0");
        assert!(pins.release("tp0").expect("release"));
        assert_eq!(pins.list().expect("list"), []);
    });
}

#[test]
fn a_renamed_device_leaves_its_old_name_to_another() {
    isolated(|| {
        let pins = Pins::open(&bpffs("renamed")).expect("pins");
        let (port, _) = veth("tp0", "far0");
        let mut steering = steering_for(&port);
        steering.put_on(&pins, &port, Mode::Native).expect("put on");
        ip("link set tp0 down");
        ip("link set tp0 name tp1");

        let (port, far_end) = veth("tp0", "far1");
        let mut steering = steering_for(&port);
        assert_eq!(
            steering.put_on(&pins, &port, Mode::Native).expect("put on"),
            PutOn::New
        );
        assert!(counts_a_frame(&steering, &far_end));
        assert!(!programs(&device("tp1")).contains("prog/xdp"));
    });
}

#[test]
fn generic_mode_runs_where_it_is_asked_for() {
    isolated(|| {
        let pins = Pins::open(&bpffs("generic")).expect("pins");
        let (port, far_end) = veth("tp0", "far0");
        let mut steering = steering_for(&port);
        steering
            .put_on(&pins, &port, Mode::Generic)
            .expect("put on");
        assert!(counts_a_frame(&steering, &far_end));
        assert!(
            programs(&port).contains("xdpgeneric"),
            "{}",
            programs(&port)
        );

        let refused = steering_for(&port).put_on(&pins, &port, Mode::Native);
        assert!(
            matches!(refused, Err(AttachError::OtherMode { .. })),
            "{refused:?}"
        );
        assert!(counts_a_frame(&steering, &far_end));
    });
}

#[test]
fn what_the_kernel_refuses_has_a_name() {
    isolated(|| {
        let pins = Pins::open(&bpffs("refuses")).expect("pins");
        let mut steering = Steering::load().expect("load");
        let mut native = |device: &Device| steering.put_on(&pins, device, Mode::Native);

        let refused = native(&device("lo"));
        assert!(
            matches!(refused, Err(AttachError::NoNativeXdp { .. })),
            "{refused:?}"
        );

        let refused = native(&Device {
            name: "none".into(),
            ifindex: 4711,
        });
        assert!(
            matches!(refused, Err(AttachError::NoDevice { .. })),
            "{refused:?}"
        );

        let (port, _) = veth("mtu0", "mtu1");
        ip("link set mtu1 mtu 9000");
        let refused = native(&port);
        assert!(
            matches!(refused, Err(AttachError::MtuTooLarge { .. })),
            "{refused:?}"
        );

        // The near end's numtxqueues makes the kernel keep what is asked for on both ends.
        ip("link add q0 numrxqueues 1 numtxqueues 1 type veth peer name q1 numtxqueues 4");
        let refused = native(&device("q0"));
        assert!(
            matches!(refused, Err(AttachError::TooFewQueues { .. })),
            "{refused:?}"
        );

        let (port, _) = veth("busy0", "busy1");
        let others = Pins::open(&bpffs("refuses-others")).expect("pins");
        let mut other = Steering::load().expect("load");
        other.put_on(&others, &port, Mode::Native).expect("put on");
        let refused = native(&port);
        assert!(
            matches!(refused, Err(AttachError::Occupied { .. })),
            "{refused:?}"
        );
        let refused = steering.put_on(&pins, &port, Mode::Generic);
        assert!(
            matches!(refused, Err(AttachError::Occupied { .. })),
            "{refused:?}"
        );

        assert_eq!(pins.list().expect("list"), [], "a refusal leaves no pin");
    });
}

#[test]
fn the_pin_of_another_network_namespace_is_left_alone() {
    isolated(|| {
        let pins = Pins::open(&bpffs("elsewhere")).expect("pins");
        let (port, far_end) = veth("tp0", "far0");
        let mut steering = steering_for(&port);
        steering.put_on(&pins, &port, Mode::Native).expect("put on");

        let theirs = pins.clone();
        elsewhere(move || {
            // The same index as there, and another one.
            let (port, other) = veth("tp0", "far0");
            let mut steering = Steering::load().expect("load");
            for device in [
                port,
                Device {
                    name: "tp0".into(),
                    ..other
                },
            ] {
                let refused = steering.put_on(&theirs, &device, Mode::Native);
                assert!(
                    matches!(refused, Err(AttachError::OtherNamespace { .. })),
                    "{refused:?}"
                );
            }
        });
        assert!(counts_a_frame(&steering, &far_end));
    });
}

#[test]
fn names_with_dots_can_be_pinned() {
    isolated(|| {
        let pins = Pins::open(&bpffs("dots")).expect("pins");
        let (port, _) = veth("tp0.100", "far0");
        let mut steering = Steering::load().expect("load");
        steering.put_on(&pins, &port, Mode::Native).expect("put on");
        let names: Vec<_> = pins
            .list()
            .expect("list")
            .into_iter()
            .map(|p| p.device)
            .collect();
        assert_eq!(names, ["tp0.100"]);
        assert!(pins.release("tp0.100").expect("release"));
    });
}

#[test]
fn releasing_all_leaves_nothing() {
    isolated(|| {
        let bpffs = bpffs("nothing");
        assert_eq!(Pins::find(&bpffs), None);
        let pins = Pins::open(&bpffs).expect("pins");
        assert_eq!(Pins::open(&bpffs).expect("a second time"), pins);
        assert_eq!(Pins::find(&bpffs), Some(pins.clone()));
        let ports = [veth("tp0", "far0").0, veth("tp1", "far1").0];
        let mut steering = Steering::load().expect("load");
        for port in &ports {
            steering.put_on(&pins, port, Mode::Native).expect("put on");
        }

        assert_eq!(pins.release_all().expect("release"), ["tp0", "tp1"]);
        for port in &ports {
            assert!(!programs(port).contains("prog/xdp"), "{}", programs(port));
        }
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(bpffs.to_str().expect("UTF-8")), "{mounts}");
        assert_eq!(Pins::find(&bpffs), None);
        std::fs::remove_dir(&bpffs).expect("nothing is in the directory");
    });
}

#[test]
fn what_is_no_link_keeps_nothing_else_from_being_released() {
    isolated(|| {
        let bpffs = bpffs("no-link");
        let pins = Pins::open(&bpffs).expect("pins");
        let ports = [veth("tp0", "far0").0, veth("tp1", "far1").0];
        let mut steering = Steering::load().expect("load");
        for port in &ports {
            steering.put_on(&pins, port, Mode::Native).expect("put on");
        }
        // Before, between and after the good ones.
        let strange = ["aa", "tp00", "zz"].map(|name| bpffs.join("links").join(name));
        for path in &strange {
            std::fs::create_dir(path).expect("directory");
        }
        Pins::close_unused(&bpffs).expect("is in use");
        assert!(programs(&ports[0]).contains("prog/xdp"));

        let refused = pins.clone().release_all().expect_err("three are strange");
        for port in &ports {
            assert!(!programs(port).contains("prog/xdp"), "{}", programs(port));
        }
        let message = refused.to_string();
        assert!(message.starts_with("released: tp0, tp1; "), "{message}");
        for path in &strange {
            assert!(message.contains(path.to_str().expect("UTF-8")), "{message}");
            std::fs::remove_dir(path).expect("directory");
        }
        assert!(pins.release_all().expect("release").is_empty());
        assert_eq!(Pins::find(&bpffs), None);
        std::fs::remove_dir(&bpffs).expect("nothing is in the directory");
    });
}

#[test]
fn a_bpffs_of_others_stays_mounted() {
    isolated(|| {
        let bpffs = bpffs("of-others");
        std::fs::create_dir(&bpffs).expect("directory");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("bpf", &bpffs, "bpf", flags, None).expect("mount");
        Pins::open(&bpffs)
            .expect("pins")
            .release_all()
            .expect("release");
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
        assert!(mounts.contains(bpffs.to_str().expect("UTF-8")));
    });
}
