//! A packet in its chunk: the bytes, and the headroom that headers are pushed into.

use crate::abi::Meta;

/// A packet in its chunk of memory.
///
/// The chunk is the whole frame, headroom and tailroom included. Pushing and
/// pulling headers moves the start; the payload stays where it is.
#[derive(Debug)]
pub struct Packet<'c> {
    chunk: &'c mut [u8],
    start: usize,
    end: usize,
}

impl<'c> Packet<'c> {
    /// A packet of `len` bytes at `start` of `chunk`; `None` if it does not fit.
    #[inline]
    #[must_use]
    pub fn new(chunk: &'c mut [u8], start: usize, len: usize) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= chunk.len()).then_some(Self { chunk, start, end })
    }

    /// The packet's bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.chunk[self.start..self.end]
    }

    /// The packet's bytes, to change.
    #[inline]
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.chunk[self.start..self.end]
    }

    /// Offset of the first byte in the chunk.
    #[inline]
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "an empty packet is malformed, not a state"
    )]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// What the steering program wrote in front of the packet.
    #[inline]
    #[must_use]
    pub fn meta(&self) -> Option<Meta> {
        let from = self.start.checked_sub(Meta::SIZE)?;
        let bytes = self.chunk.get(from..self.start)?.first_chunk()?;
        Some(Meta::from_bytes(bytes))
    }

    /// Drops `n` bytes from the front; `None`, and no change, if there are fewer.
    #[inline]
    #[must_use]
    pub fn pull(&mut self, n: usize) -> Option<()> {
        if n > self.len() {
            return None;
        }
        self.start += n;
        Some(())
    }

    /// Makes room for `n` bytes in front and returns them; `None`, and no change, without headroom.
    #[inline]
    #[must_use]
    pub fn push(&mut self, n: usize) -> Option<&mut [u8]> {
        let start = self.start.checked_sub(n)?;
        self.start = start;
        Some(&mut self.chunk[start..start + n])
    }

    /// As [`Self::push`]; returns what was in the packet before as well.
    #[inline]
    #[must_use]
    pub fn push_split(&mut self, n: usize) -> Option<(&mut [u8], &mut [u8])> {
        self.start = self.start.checked_sub(n)?;
        self.chunk[self.start..self.end].split_at_mut_checked(n)
    }

    /// Cuts the packet to `len` bytes (link padding behind the IP packet); no effect if it is shorter.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_lies_within_its_chunk() {
        let mut chunk = [0; 100];
        assert!(Packet::new(&mut chunk, 40, 60).is_some());
        assert!(Packet::new(&mut chunk, 40, 61).is_none());
        assert!(Packet::new(&mut chunk, 1, usize::MAX).is_none());
    }

    #[test]
    fn what_is_pushed_comes_first_and_nothing_moves() {
        let mut chunk: Vec<u8> = (0..100).collect();
        let mut packet = Packet::new(&mut chunk, 40, 4).unwrap();
        packet.push(2).unwrap().copy_from_slice(&[0xaa, 0xbb]);
        assert_eq!(packet.bytes(), [0xaa, 0xbb, 40, 41, 42, 43]);
        assert_eq!((packet.start(), packet.len()), (38, 6));
        packet.pull(3).unwrap();
        assert_eq!(packet.bytes(), [41, 42, 43]);
    }

    #[test]
    fn a_push_or_pull_too_far_changes_nothing() {
        let mut chunk = [7; 100];
        let mut packet = Packet::new(&mut chunk, 40, 4).unwrap();
        assert!(packet.push(41).is_none());
        assert!(packet.pull(5).is_none());
        assert_eq!((packet.start(), packet.len()), (40, 4));
        assert!(packet.push(40).is_some());
    }

    #[test]
    fn truncate_only_shortens() {
        let mut chunk: Vec<u8> = (0..100).collect();
        let mut packet = Packet::new(&mut chunk, 40, 4).unwrap();
        packet.truncate(usize::from(u16::MAX));
        assert_eq!(packet.len(), 4);
        packet.truncate(1);
        assert_eq!(packet.bytes(), [40]);
    }

    #[test]
    fn metadata_ends_where_the_packet_starts() {
        let meta = Meta {
            slot: 1,
            tag: 2,
            magic: 3,
            port: 4,
            ingress: 5,
            vlans: 6,
            l3_off: 7,
            l4_off: 8,
            inner_off: 9,
            reserved: 10,
        };
        let mut chunk = [0; 100];
        chunk[16..40].copy_from_slice(&meta.to_bytes());
        assert_eq!(Packet::new(&mut chunk, 40, 4).unwrap().meta(), Some(meta));
        assert_eq!(Packet::new(&mut chunk, 23, 4).unwrap().meta(), None);
    }
}
