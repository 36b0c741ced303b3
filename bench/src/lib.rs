//! Micro benches, the generator and the counting sink, comparisons.
