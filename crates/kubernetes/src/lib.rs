//! The Kubernetes platform: a cluster behind the engine's port.

pub mod election;
pub mod gate;
pub mod rbac;
pub mod references;
