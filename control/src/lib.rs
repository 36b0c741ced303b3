//! The model, the compiler of forwarding state, the kernel mirror, and the daemon tpd.
