//! What rings carry: addresses (fill, completion) and descriptors (RX, TX).

use super::memory::RingMemory;

/// An entry of one or two 64-bit words.
pub(crate) trait Entry: Copy {
    /// Words an entry.
    const WORDS: usize;

    /// Reads the entry in a slot.
    fn load<M: RingMemory>(memory: &M, slot: u32) -> Self;

    /// Writes the entry into a slot.
    fn store<M: RingMemory>(self, memory: &M, slot: u32);
}

/// An address in the UMEM.
impl Entry for u64 {
    const WORDS: usize = 1;

    #[inline]
    fn load<M: RingMemory>(memory: &M, slot: u32) -> Self {
        memory.word(slot as usize)
    }

    #[inline]
    fn store<M: RingMemory>(self, memory: &M, slot: u32) {
        memory.set_word(slot as usize, self);
    }
}

/// `struct xdp_desc` (include/uapi/linux/if_xdp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Address of the packet's first byte in the UMEM.
    pub(crate) address: u64,
    /// Length of the packet in bytes.
    pub(crate) len: u32,
    /// `XDP_PKT_CONTD`, `XDP_TX_METADATA`.
    pub(crate) options: u32,
}

impl Entry for Descriptor {
    const WORDS: usize = 2;

    #[inline]
    fn load<M: RingMemory>(memory: &M, slot: u32) -> Self {
        let at = Self::WORDS * slot as usize;
        let [l0, l1, l2, l3, o0, o1, o2, o3] = memory.word(at + 1).to_ne_bytes();
        Self {
            address: memory.word(at),
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            options: u32::from_ne_bytes([o0, o1, o2, o3]),
        }
    }

    #[inline]
    fn store<M: RingMemory>(self, memory: &M, slot: u32) {
        let at = Self::WORDS * slot as usize;
        let [l0, l1, l2, l3] = self.len.to_ne_bytes();
        let [o0, o1, o2, o3] = self.options.to_ne_bytes();
        memory.set_word(at, self.address);
        memory.set_word(at + 1, u64::from_ne_bytes([l0, l1, l2, l3, o0, o1, o2, o3]));
    }
}
