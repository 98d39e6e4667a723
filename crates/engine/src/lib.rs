//! Observe, decide, execute, publish: the reconcile loop behind the [`Platform`] port.
//!
//! A [`Worker`] walks one database. Each pass observes the surroundings, asks [`dbop_plan::decide()`] for one
//! step, carries it out under the database's lock, and publishes where things stand. It remembers nothing
//! that matters: sessions watched over time and a connection, both of which a restart only makes it get anew.
//!
//! ```
//! use dbop_engine::backoff;
//! use std::time::Duration;
//!
//! // Failures in a row wait longer each time, up to a bound.
//! assert_eq!(backoff(1), Duration::from_secs(1));
//! assert_eq!(backoff(3), Duration::from_secs(4));
//! assert_eq!(backoff(40), Duration::from_secs(60));
//! ```

pub mod error;
pub mod examiner;
pub mod memory;
pub mod observer;
pub mod platform;
pub mod sampler;
pub mod servers;
pub mod vitals;
mod wanted;
pub mod worker;

mod beside;
mod execute;
mod judge;
mod observe;
mod queries;
mod replicas;

pub use error::StepError;
pub use examiner::Examiner;
pub use memory::Memory;
pub use observer::Observer;
pub use platform::{
    AppSecret, Clock, ConfigMapLacks, Dress, Entropy, JobSpec, Platform, PlatformError, Read,
    Report, Revision, SecretSeen, Subject, Workloads, connection_value,
};
pub use sampler::Sampler;
pub use servers::Servers;
pub use vitals::{Vital, Vitals};
pub use worker::{Engine, Next, Pace, Worker, backoff};
