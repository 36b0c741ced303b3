//! Code for the processor that it runs on: all that is unsafe in the crate.
//!
//! A build for all x86-64 has neither an instruction that counts bits nor vectors of 256 bits, and
//! look-ups take 1.5 to 2 times as long without (docs/fib.md). So they are compiled twice, and the
//! processor is asked which ones it can run.
#![allow(
    unsafe_code,
    reason = "neither calling what is compiled for features that were found nor prefetching has a safe form"
)]

/// Work that is worth two compilations. The method must be `#[inline(always)]`, as all that it
/// calls: only what is inlined is compiled twice.
pub(crate) trait Work {
    fn run(self);
}

/// Does the work with what the processor has.
#[inline]
pub(crate) fn run(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has all features that the function is compiled for.
        return unsafe { run_v3(work) };
    }
    work.run();
}

/// For x86-64-v3, as far as it serves here.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_v3(work: impl Work) {
    work.run();
}

/// Asks for the cache line in which `at` begins, so that it is on its way before it is read.
#[inline(always)]
pub(crate) fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which neither reads nor faults, wherever it points.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A bit for each of the numbers, set if it is less than `than`; the lowest for the first.
#[inline(always)]
pub(crate) fn less(numbers: &[i32; 16], than: i32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: all x86-64 has SSE2.
    return unsafe { less_sse2(numbers, than) };
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bits = numbers.iter().zip(0..);
        bits.fold(0, |bits, (number, at)| {
            bits | u32::from(*number < than) << at
        })
    }
}

/// The compiler finds other instructions for this, and many more of them.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn less_sse2(numbers: &[i32; 16], than: i32) -> u32 {
    use std::arch::x86_64::{
        _mm_cmplt_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi32,
        _mm_set1_epi32,
    };
    let than = _mm_set1_epi32(than);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *numbers;
    // One by one: a closure may stay a call.
    let first = _mm_cmplt_epi32(_mm_set_epi32(d, c, b, a), than);
    let second = _mm_cmplt_epi32(_mm_set_epi32(h, g, f, e), than);
    let third = _mm_cmplt_epi32(_mm_set_epi32(l, k, j, i), than);
    let fourth = _mm_cmplt_epi32(_mm_set_epi32(p, o, n, m), than);
    let (low, high) = (
        _mm_packs_epi32(first, second),
        _mm_packs_epi32(third, fourth),
    );
    _mm_movemask_epi8(_mm_packs_epi16(low, high)).cast_unsigned()
}
