//! Keys and values as the bytes that the kernel compares and copies.
#![allow(
    unsafe_code,
    reason = "the mirror of abi.h is handed to the kernel as it lies in memory"
)]

use tp_pipeline::abi::{AddrKey, LinkKey, MacKey, PortEntry, SlotRef, TunnelKey, UdpPortKey};

/// A type whose bytes are all defined.
///
/// # Safety
/// The type has no padding: a padding byte is not initialised, and would be part of a key.
pub(crate) unsafe trait Plain: Copy + 'static {
    /// Its bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: `self` is valid for reads of its size, and by the trait's promise each of
        // these bytes is initialised; the borrow of `self` outlives the slice.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
}

/// Declares types as plain after checking that their fields fill them.
macro_rules! plain {
    ($($ty:ty = $($field:literal)+;)*) => {$(
        const _: () = assert!(size_of::<$ty>() == 0 $(+ $field)+, "padding in a key or value");
        // SAFETY: the sizes of the fields, listed here, add up to the size of the type.
        unsafe impl Plain for $ty {}
    )*};
}

plain! {
    u32 = 4;
    PortEntry = 2 2 4;
    MacKey = 2 6;
    AddrKey = 16;
    TunnelKey = 16 16 4 2 1 1;
    LinkKey = 2 4 6;
    UdpPortKey = 2;
    SlotRef = 4 4 2 2;
}
