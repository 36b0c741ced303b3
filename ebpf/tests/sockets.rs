//! Which socket gets the frames of which queue, and what happens without one.

mod common;

use std::os::fd::AsFd;

use common::frames::{HOST, IPV4, UDP, from_isp, ipv4, stack};
use common::isolated::{device, ip, isolated};
use common::{LOOPBACK, PORT, portal, steering, xdp_socket};
use tp_ebpf::{Action, SocketError, Steering, SteeringState};
use tp_pipeline::abi::{Counter, MAX_PORTS, MAX_QUEUES, PortEntry};

fn transit() -> Vec<u8> {
    stack([&from_isp(IPV4), &ipv4(HOST, HOST, UDP), &[0; 64]])
}

fn action(steering: &Steering, ifindex: u32, queue: u32) -> Action {
    steering
        .run_once(&transit(), ifindex, queue)
        .expect("run")
        .action
}

fn no_socket(steering: &Steering, port: u16) -> u64 {
    steering.counters().expect("counters")[usize::from(port)][Counter::NoSocket]
}

#[test]
fn without_a_socket_frames_are_dropped_and_counted() {
    let (steering, socket) = steering();
    assert_eq!(action(&steering, LOOPBACK, 0), Action::Redirect);
    assert_eq!(no_socket(&steering, PORT), 0);

    steering.clear_socket(PORT, 0).expect("clear");
    steering.clear_socket(PORT, 0).expect("clear again");
    assert_eq!(action(&steering, LOOPBACK, 0), Action::Drop);
    assert_eq!(no_socket(&steering, PORT), 1);

    steering.set_socket(PORT, 0, socket.as_fd()).expect("set");
    assert_eq!(action(&steering, LOOPBACK, 0), Action::Redirect);
}

/// A killed daemon clears no map: the kernel does, when it closes the sockets.
#[test]
fn a_closed_socket_leaves_the_map() {
    let (steering, socket) = steering();
    assert_eq!(action(&steering, LOOPBACK, 0), Action::Redirect);
    drop(socket);
    assert_eq!(action(&steering, LOOPBACK, 0), Action::Drop);
    assert_eq!(no_socket(&steering, PORT), 1);
    steering.clear_socket(PORT, 0).expect("nothing to clear");
}

#[test]
fn each_queue_of_each_port_has_its_own_place() {
    isolated(|| {
        ip("link add multi numrxqueues 4 numtxqueues 4 type veth peer name far");
        let multi = device("multi");
        let mut steering = Steering::load().expect("load");
        let socket = xdp_socket();
        // The last port, so that its last queue is the last place of the map.
        let last_port = u16::try_from(MAX_PORTS - 1).expect("small");
        for port in [0, last_port] {
            let entry = PortEntry {
                port,
                queues: 3,
                reserved: 0,
            };
            let mut state = SteeringState {
                ports: [(multi.ifindex, entry)].into(),
                ..portal()
            };
            state.local_macs = state
                .local_macs
                .iter()
                .map(|k| with_port(*k, port))
                .collect();
            state.links = std::mem::take(&mut state.links)
                .into_iter()
                .map(|(mut key, slot)| {
                    key.port = port;
                    (key, slot)
                })
                .collect();
            steering.apply(&state).expect("apply");

            for with_socket in 0..3 {
                let place = u16::try_from(with_socket).expect("small");
                steering
                    .set_socket(port, place, socket.as_fd())
                    .expect("set");
                for queue in 0..4 {
                    let expected = if queue == with_socket {
                        Action::Redirect
                    } else {
                        Action::Drop
                    };
                    assert_eq!(
                        action(&steering, multi.ifindex, queue),
                        expected,
                        "queue {queue}"
                    );
                }
                steering.clear_socket(port, place).expect("clear");
            }
            // A queue that the port's entry does not count has no socket even if there is one.
            steering.set_socket(port, 3, socket.as_fd()).expect("set");
            assert_eq!(action(&steering, multi.ifindex, 3), Action::Drop);
            assert_eq!(no_socket(&steering, port), 3 * 3 + 1);
        }
    });
}

fn with_port(mut key: tp_pipeline::abi::MacKey, port: u16) -> tp_pipeline::abi::MacKey {
    key.port = port;
    key
}

#[test]
fn what_is_no_place_or_no_socket_is_refused() {
    let (steering, socket) = steering();
    let beyond = [
        (u16::try_from(MAX_PORTS).expect("small"), 0),
        (0, u16::try_from(MAX_QUEUES).expect("small")),
    ];
    for (port, queue) in beyond {
        let refused = steering.set_socket(port, queue, socket.as_fd());
        assert!(
            matches!(refused, Err(SocketError::OutOfRange { .. })),
            "{refused:?}"
        );
        let refused = steering.clear_socket(port, queue);
        assert!(
            matches!(refused, Err(SocketError::OutOfRange { .. })),
            "{refused:?}"
        );
    }
    let file = std::fs::File::open("/dev/null").expect("a file");
    let refused = steering.set_socket(PORT, 0, file.as_fd());
    assert!(
        matches!(refused, Err(SocketError::Kernel { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_kernel_runs_no_frame_that_is_shorter_than_its_ethernet_header() {
    let (steering, _socket) = steering();
    assert!(steering.run_once(&[0; 13], LOOPBACK, 0).is_err());
    assert!(
        steering.run_once(&transit(), LOOPBACK, 1).is_err(),
        "loopback has one queue"
    );
    assert!(
        steering.run_once(&transit(), 4711, 0).is_err(),
        "no such device"
    );
}
