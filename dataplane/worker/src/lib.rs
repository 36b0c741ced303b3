//! The pinned worker loop and the publication of snapshots.
