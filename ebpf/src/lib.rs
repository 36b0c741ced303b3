//! The steering XDP program, its loader and its map writers.
