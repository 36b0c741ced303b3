//! Ports in and out of service: offloads, sockets, and the program on the device.

use std::time::{Duration, Instant};

use tp_ebpf::{Device, Mode, Pin};
use tp_pipeline::PortId;
use tp_xsk::{BindMode, OpenError, RingSizes, Socket, SocketConfig};

use super::{Portal, PortalError, chain};
use crate::config::CHUNKS_OF_A_SOCKET;
use crate::kernel::OffloadError;
use crate::model::{self, Link, Name, XdpMode};

/// Entries of each ring of a socket: what it may lend to the kernel is to receive into and to send from. Above the bursts of a NIC's or veth's own rings (256 to 1,024), and small enough
/// that what is lent to the kernel stays in cache.
const RING: u32 = CHUNKS_OF_A_SOCKET / 2;

/// Why a port could not be taken into service.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The device is not there.
    #[error("port {port}: there is no such device")]
    NoDevice {
        /// Which.
        port: Name,
    },
    /// Fewer queues than workers.
    #[error(
        "port {port}: {workers} workers need a queue each, and the device has {rx} to receive and {tx} to send; \
         use fewer workers, or give the device more (ethtool -L {port} ...)"
    )]
    Queues {
        /// Which.
        port: Name,
        /// How many workers there are.
        workers: usize,
        /// Receive queues.
        rx: u32,
        /// Transmit queues.
        tx: u32,
    },
    /// Too few chunks for the sockets.
    #[error(
        "port {port}: {sockets} sockets lend up to {needed} chunks to the kernel, and there are {frames}; \
         raise memory.frames"
    )]
    Frames {
        /// Which.
        port: Name,
        /// Sockets of all ports.
        sockets: u32,
        /// Chunks that they may need.
        needed: u32,
        /// Chunks that there are.
        frames: u32,
    },
    /// A packet of the port's MTU does not fit a chunk.
    #[error(
        "port {port}: an MTU of {mtu} does not fit a chunk; the largest that does is {largest}"
    )]
    Mtu {
        /// Which.
        port: Name,
        /// The device's.
        mtu: u32,
        /// The largest that fits.
        largest: u32,
    },
    /// Offloads could not be switched off.
    #[error("port {port}")]
    Offload {
        /// Which.
        port: Name,
        /// Why.
        source: OffloadError,
    },
    /// A socket could not be opened.
    #[error("port {port}, queue {queue}")]
    Open {
        /// Which port.
        port: Name,
        /// Which queue.
        queue: u32,
        /// Why.
        source: OpenError,
    },
    /// The socket map refused a socket.
    #[error("port {port}")]
    Socket {
        /// Which.
        port: Name,
        /// Why.
        source: tp_ebpf::SocketError,
    },
    /// The program could not be put on the device.
    #[error("port {port}")]
    Attach {
        /// Which.
        port: Name,
        /// Why.
        source: tp_ebpf::AttachError,
    },
    /// A worker did not take a socket.
    #[error("port {port}")]
    Worker {
        /// Which.
        port: Name,
        /// Why.
        source: tp_worker::FleetError,
    },
}

/// A port in service.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) id: PortId,
    pub(super) ifindex: u32,
    pub(super) queues: u32,
}

impl Bound {
    /// Whether this is the device, with the queues, that the sockets were opened for.
    fn is_of(&self, link: &Link) -> bool {
        (self.ifindex, self.queues) == (link.ifindex, link.rx_queues)
    }
}

/// When a port that is not in service is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    at: Instant,
    wait: Duration,
}

impl Retry {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);

    /// After a failure at `now`: twice as long as before, up to the longest.
    fn after(before: Option<Self>, now: Instant) -> Self {
        let wait = before.map_or(Self::FIRST, |b| (2 * b.wait).min(Self::LONGEST));
        Self {
            at: now + wait,
            wait,
        }
    }
}

impl Portal {
    /// Takes every port of the model that is not in service into service.
    pub(super) fn bind_all(&mut self) -> Result<(), PortalError> {
        let waiting: Vec<Name> = self.waiting_ports();
        for name in waiting {
            self.bind(&name)?;
        }
        Ok(())
    }

    /// As [`Self::bind_all`], for the ports whose turn it is; what goes wrong is a fault of that port.
    pub(super) fn bind_present(&mut self) {
        let now = Instant::now();
        for name in self.waiting_ports() {
            let retry = self.retries.get(&name).copied();
            if retry.is_some_and(|retry| now < retry.at) {
                continue;
            }
            if let Err(error) = self.bind(&name) {
                let next = Retry::after(retry, Instant::now());
                self.retries.insert(name.clone(), next);
                self.faults.insert(name, error);
            }
        }
    }

    fn waiting_ports(&self) -> Vec<Name> {
        self.model
            .ports
            .keys()
            .filter(|name| !self.bound.contains_key(*name))
            .cloned()
            .collect()
    }

    /// Takes ports out of service that the model no longer has, or whose device is gone or another one, or has more
    /// or fewer receive queues than it had.
    pub(super) fn unbind_missing(&mut self) {
        let gone: Vec<Name> = self
            .bound
            .iter()
            .filter(|(name, bound)| {
                !self.model.ports.contains_key(*name)
                    || self
                        .view
                        .links
                        .get(*name)
                        .is_none_or(|link| !bound.is_of(link))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            let same = |link: &Link| link.ifindex == self.bound[&name].ifindex;
            let stays = self.model.ports.contains_key(&name)
                && self.view.links.get(&name).is_some_and(same);
            if stays {
                // Other queues: the program stays and drops until the new sockets are there.
                self.close(&name);
            } else {
                self.unbind(&name);
            }
        }
        self.faults
            .retain(|name, _| self.model.ports.contains_key(name));
        self.retries
            .retain(|name, _| self.model.ports.contains_key(name));
    }

    /// Opens the sockets, puts them into the socket map, hands them to their workers, and only then puts the
    /// program onto the device.
    fn bind(&mut self, name: &str) -> Result<(), BindError> {
        let port = || name.to_owned();
        let link = self
            .view
            .links
            .get(name)
            .cloned()
            .ok_or_else(|| BindError::NoDevice { port: port() })?;
        self.check_fit(name, &link)?;
        let settings = self.model.ports[name];
        // The compiler gave every port of the model an index.
        let Some(id) = self.compiled.port(name) else {
            return Ok(());
        };
        let device = Device {
            name: port(),
            ifindex: link.ifindex,
        };
        if let Err(error) = self.serve(&device, id, &link, settings) {
            // What was opened so far is closed again: nothing half done stays.
            let _ = self.fleet.detach(id, &mut self.magazine);
            // What a program still holds keeps its offloads off, else each attempt would switch them on and off.
            if !self.is_held(&device) {
                self.restore_offloads(name);
            }
            return Err(error);
        }
        let bound = Bound {
            id,
            ifindex: link.ifindex,
            queues: link.rx_queues,
        };
        self.bound.insert(port(), bound);
        self.faults.remove(name);
        self.retries.remove(name);
        Ok(())
    }

    /// Whether a program of ours is on the device; where that cannot be known, it may be.
    fn is_held(&self, device: &Device) -> bool {
        let is_its = |pin: &Pin| pin.device == device.name && pin.ifindex == Some(device.ifindex);
        let pins = self.pins.list();
        pins.map_or(true, |pins| pins.iter().any(is_its))
    }

    /// Gives a device its offloads back; one that is gone needs none.
    fn restore_offloads(&mut self, port: &str) {
        if let Err(error) = self.offloads.give_back(port) {
            tracing::warn!(port, error = chain(&error), "offloads not restored");
        }
    }

    fn serve(
        &mut self,
        device: &Device,
        id: PortId,
        link: &Link,
        settings: model::Port,
    ) -> Result<(), BindError> {
        self.offloads
            .switch_off(&device.name, device.ifindex)
            .map_err(|source| BindError::Offload {
                port: device.name.clone(),
                source,
            })?;
        for queue in 0..link.rx_queues {
            self.open_queue(&device.name, id, link, queue, settings)?;
        }
        let mode = match settings.xdp {
            XdpMode::Native => Mode::Native,
            XdpMode::Generic => Mode::Generic,
        };
        let put_on = self.steering.put_on(&self.pins, device, mode);
        put_on.map(drop).map_err(|source| BindError::Attach {
            port: device.name.clone(),
            source,
        })
    }

    fn check_fit(&self, name: &str, link: &Link) -> Result<(), BindError> {
        let port = || name.to_owned();
        let workers = self.fleet.workers();
        if (link.rx_queues.min(link.tx_queues) as usize) < workers {
            let (rx, tx) = (link.rx_queues, link.tx_queues);
            return Err(BindError::Queues {
                port: port(),
                workers,
                rx,
                tx,
            });
        }
        let largest = crate::config::max_mtu(self.model.portal.memory.chunk);
        if link.mtu > largest {
            return Err(BindError::Mtu {
                port: port(),
                mtu: link.mtu,
                largest,
            });
        }
        let others: u32 = self.bound.values().map(|bound| bound.queues).sum();
        let sockets = others + link.rx_queues;
        let (needed, frames) = (
            sockets.saturating_mul(CHUNKS_OF_A_SOCKET),
            self.region.chunks(),
        );
        if needed > frames {
            return Err(BindError::Frames {
                port: port(),
                sockets,
                needed,
                frames,
            });
        }
        Ok(())
    }

    fn open_queue(
        &mut self,
        name: &str,
        id: PortId,
        link: &Link,
        queue: u32,
        settings: model::Port,
    ) -> Result<(), BindError> {
        let port = || name.to_owned();
        let config = SocketConfig {
            ifindex: link.ifindex,
            queue,
            rings: RingSizes {
                rx: RING,
                tx: RING,
                fill: RING,
                completion: RING,
            },
            mode: match settings.mode {
                model::BindMode::Auto => BindMode::Auto,
                model::BindMode::ZeroCopy => BindMode::ZeroCopy,
                model::BindMode::Copy => BindMode::Copy,
            },
            need_wakeup: true,
            generic_xdp: settings.xdp == XdpMode::Generic,
        };
        let socket = Socket::open(&self.region, &config, &mut self.magazine).map_err(|source| {
            BindError::Open {
                port: port(),
                queue,
                source,
            }
        })?;
        if let Some(fd) = socket.as_fd() {
            let (port_index, queue) = (narrow(id.0), narrow(queue));
            self.steering
                .set_socket(port_index, queue, fd)
                .map_err(|source| BindError::Socket {
                    port: port(),
                    source,
                })?;
        }
        // Worker w of W owns every queue q with q mod W = w.
        let worker = queue as usize % self.fleet.workers();
        self.fleet
            .attach(worker, id, socket)
            .map_err(|source| BindError::Worker {
                port: port(),
                source,
            })
    }

    /// Takes a port out of service; its device gets back what it had.
    pub(super) fn unbind(&mut self, name: &str) {
        if self.bound.contains_key(name) {
            self.close(name);
            self.release(name);
        }
    }

    /// Closes a port's sockets; the program stays on its device.
    fn close(&mut self, name: &str) {
        let Some(bound) = self.bound.remove(name) else {
            return;
        };
        // Closed sockets leave the socket map by themselves.
        if let Err(error) = self.fleet.detach(bound.id, &mut self.magazine) {
            tracing::error!(
                port = name,
                error = chain(&error),
                "a worker did not close its sockets"
            );
        }
    }

    /// Takes the program off the devices of this namespace that the model does not have, a predecessor's ports, and
    /// gives them their offloads back.
    pub(super) fn release_strays(&mut self) {
        let pins = match self.pins.list() {
            Ok(pins) => pins,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "ports of a predecessor may still be held");
                return;
            }
        };
        let here = |ifindex| self.view.links.values().any(|l| l.ifindex == ifindex);
        let is_stray =
            |pin: &Pin| !self.model.ports.contains_key(&pin.device) && pin.ifindex.is_none_or(here);
        let strays: Vec<Pin> = pins.into_iter().filter(is_stray).collect();
        for pin in strays {
            let port = pin.device;
            match self.pins.release(&port) {
                Ok(_) => tracing::info!(port, "released: it was held, and is no port any more"),
                Err(error) => tracing::warn!(
                    port,
                    error = chain(&error),
                    "the program may still be on the device"
                ),
            }
        }
        let is_stray = |port: &&Name| !self.model.ports.contains_key(*port);
        let strays: Vec<Name> = self.offloads.ports().filter(is_stray).cloned().collect();
        for port in strays {
            self.restore_offloads(&port);
        }
    }

    /// Takes the program off a device and gives it its offloads back. A device that is gone needs neither.
    pub(super) fn release(&mut self, name: &str) {
        if let Err(error) = self.pins.release(name) {
            tracing::warn!(
                port = name,
                error = chain(&error),
                "the program may still be on the device"
            );
        }
        self.restore_offloads(name);
    }
}

fn narrow(value: u32) -> u16 {
    u16::try_from(value).unwrap_or_else(|_| unreachable!("below MAX_PORTS and MAX_QUEUES"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_fails_is_tried_less_and_less_often() {
        let now = Instant::now();
        let mut last = None;
        let waits: Vec<u64> = (0..7)
            .map(|_| {
                let next = Retry::after(last, now);
                last = Some(next);
                (next.at - now).as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }
}
