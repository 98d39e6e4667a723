//! The benchmark's parts: the operator runs in a process of its own and is measured from outside.
//!
//! Its databases are behaving fakes that live in the benchmark's process ([`server`]) and are reached over TCP
//! ([`wire`]): what they weigh is not the operator's, they outlive its restarts, and every call is counted. For
//! real databases the released binary itself is measured. `cargo xtask bench` starts what all this needs.

pub mod audit;
pub mod cluster;
pub mod kubelet;
pub mod measure;
pub mod operator;
pub mod postgres;
pub mod report;
pub mod server;
pub mod wire;
