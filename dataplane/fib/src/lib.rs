//! Longest-prefix match for many virtual tables.
