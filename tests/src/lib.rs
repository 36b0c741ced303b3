//! Laboratory of network namespaces, client ends, reference model, end-to-end scenarios.
#![forbid(unsafe_code)]

pub mod bgp;
pub mod carriers;
pub mod client;
pub mod exchange;
pub mod generate;
pub mod lab;
pub mod packet;
pub mod reference;
pub mod traffic;
