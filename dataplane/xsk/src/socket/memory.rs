//! Sockets without a kernel: the same rings and the same code, in memory of the process.
#![allow(
    unsafe_code,
    reason = "plays the kernel, which reads and writes chunks it was lent"
)]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{End, OpenError, RingSizes, Rings, Socket};
use crate::region::{Magazine, PACKET_START, Region};
use crate::ring::{Consumer, Descriptor, Entry, Mapped, Producer};

impl Socket {
    /// A socket whose kernel is the returned [`KernelSide`], for tests and benches. The fill ring
    /// is full.
    ///
    /// # Panics
    /// On ring sizes that [`Socket::open`] would refuse, a magazine of another region, more
    /// sockets than a region takes, or without memory: all mistakes of the test.
    #[must_use]
    pub fn in_memory(
        region: &Region,
        rings: RingSizes,
        magazine: &mut Magazine,
    ) -> (Self, KernelSide) {
        match build(region, rings, magazine) {
            Ok(pair) => pair,
            Err(error) => panic!("socket in memory: {error}"),
        }
    }
}

fn build(
    region: &Region,
    sizes: RingSizes,
    magazine: &mut Magazine,
) -> Result<(Socket, KernelSide), OpenError> {
    sizes.check()?;
    let rings = map(sizes).map_err(|source| OpenError::System {
        call: "mmap of a ring",
        source,
    })?;
    let id = region.sockets().number()?;
    let closed = Arc::new(Mutex::new(false));
    let kernel = KernelSide {
        fill: Consumer::new(rings.fill.clone()),
        rx: Producer::new(rings.rx.clone()),
        tx: Consumer::new(rings.tx.clone()),
        completion: Producer::new(rings.completion.clone()),
        region: region.clone(),
        taken: Vec::with_capacity(sizes.completion as usize),
        forged: vec![false; region.chunks() as usize],
        closed: Arc::clone(&closed),
    };
    let mut socket = Socket::new(region, id, rings, End::Memory(closed));
    socket.refill(magazine);
    Ok((socket, kernel))
}

fn map(sizes: RingSizes) -> io::Result<Rings> {
    Ok(Rings {
        rx: Mapped::anonymous(sizes.rx, Descriptor::WORDS)?,
        tx: Mapped::anonymous(sizes.tx, Descriptor::WORDS)?,
        fill: Mapped::anonymous(sizes.fill, u64::WORDS)?,
        completion: Mapped::anonymous(sizes.completion, u64::WORDS)?,
    })
}

/// Plays the kernel for a socket in memory; it may do so on another thread. Once the socket is
/// closed it does nothing.
#[derive(Debug)]
pub struct KernelSide {
    fill: Consumer<u64, Mapped>,
    rx: Producer<Descriptor, Mapped>,
    tx: Consumer<Descriptor, Mapped>,
    completion: Producer<u64, Mapped>,
    region: Region,
    /// Addresses taken from the TX ring and not completed; never more than the completion ring
    /// takes.
    taken: Vec<u64>,
    /// Chunks whose address was forged. The socket may have believed it, so their bytes may be
    /// somebody else's: they are not touched again.
    forged: Vec<bool>,
    /// Held while chunks are touched: the socket does not free them under our hands.
    closed: Arc<Mutex<bool>>,
}

impl KernelSide {
    /// Receives a packet, with what the XDP program put in front of it. `false`, and the packet
    /// is lost, if the fill ring is empty, the RX ring full, or the packet does not fit.
    ///
    /// # Panics
    /// If the metadata is longer than the headroom.
    pub fn deliver(&mut self, metadata: &[u8], packet: &[u8]) -> bool {
        assert!(
            metadata.len() <= PACKET_START,
            "metadata lies in the headroom"
        );
        let fits = !packet.is_empty() && packet.len() <= self.region.max_packet();
        let closed = lock(&self.closed);
        if *closed || !fits || self.rx.room(1) == 0 {
            return false;
        }
        let mut chunk = None;
        self.fill.consume(1, |address| chunk = Some(address));
        let Some(chunk) = chunk.filter(|&c| !is_forged(&self.forged, &self.region, c)) else {
            return false;
        };
        let address = chunk + PACKET_START as u64;
        let from = address - metadata.len() as u64;
        // SAFETY: the socket lent the chunk by its fill ring, cannot have it back before its
        // descriptor is produced below (no address of it was forged), and does not close
        // meanwhile (the lock is held).
        let bytes = unsafe { self.region.lent(from, metadata.len() + packet.len()) };
        let (front, behind) = bytes.split_at_mut(metadata.len());
        front.copy_from_slice(metadata);
        behind.copy_from_slice(packet);
        // At most a chunk's size.
        let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        self.rx.produce([Descriptor {
            address,
            len,
            options: 0,
        }]) == 1
    }

    /// Sends: shows `see` each packet in the TX ring, and returns how many it took. It stops
    /// where the completion ring could not take their chunks, as the kernel does.
    ///
    /// `see` must not close the socket.
    pub fn transmit(&mut self, mut see: impl FnMut(&[u8])) -> usize {
        let Self {
            tx,
            completion,
            region,
            taken,
            forged,
            closed,
            ..
        } = self;
        let closed = lock(closed);
        if *closed {
            return 0;
        }
        let reserved = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let room = completion.room(u32::MAX).saturating_sub(reserved);
        tx.consume(room, |descriptor| {
            if !is_forged(forged, region, descriptor.address) {
                // SAFETY: the socket lent the chunk by its TX ring, cannot have it back before
                // its completion (no address of it was forged), and does not close meanwhile.
                let packet = unsafe { region.lent(descriptor.address, descriptor.len as usize) };
                see(packet);
            }
            taken.push(descriptor.address);
        }) as usize
    }

    /// Gives back the chunks of the packets that [`Self::transmit`] took.
    pub fn complete(&mut self) -> usize {
        let room = self
            .completion
            .room(u32::try_from(self.taken.len()).unwrap_or(u32::MAX));
        self.completion.produce(self.taken.drain(..room as usize)) as usize
    }

    /// Free chunks that the socket has lent for receiving.
    #[must_use]
    pub fn fill_level(&self) -> u32 {
        self.fill.available()
    }

    /// Completes an address that may never have been sent, as a faulty kernel does.
    pub fn forge_completion(&mut self, address: u64) {
        self.taint(address);
        self.completion.room(1);
        self.completion.produce([address]);
    }

    /// Receives into an address that may never have been lent, as a faulty kernel does.
    pub fn forge_receive(&mut self, address: u64, len: u32, options: u32) {
        self.taint(address);
        self.rx.room(1);
        self.rx.produce([Descriptor {
            address,
            len,
            options,
        }]);
    }

    fn taint(&mut self, address: u64) {
        let (chunk, _) = self.region.locate(address);
        if let Some(forged) = usize::try_from(chunk)
            .ok()
            .and_then(|c| self.forged.get_mut(c))
        {
            *forged = true;
        }
    }
}

/// A flag is whole after a panic elsewhere.
fn lock(closed: &Mutex<bool>) -> MutexGuard<'_, bool> {
    closed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_forged(forged: &[bool], region: &Region, address: u64) -> bool {
    let (chunk, _) = region.locate(address);
    usize::try_from(chunk)
        .ok()
        .and_then(|c| forged.get(c))
        .copied()
        .unwrap_or(true)
}
