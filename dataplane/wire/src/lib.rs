//! Header views, newtypes and checksums; no unsafe, no allocation, no dependency.
