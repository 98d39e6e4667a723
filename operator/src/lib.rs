//! The command line of Database Operator, and the wiring of the crates below it.
//!
//! [`main`] is the whole program. Those who embed the parts use the crates themselves; what lives here is
//! what touches a terminal, the machine's clock or a port: the commands, how their results look ([`render`]),
//! the receiver of migration metrics ([`receiver`]), and small adapters ([`shell`]). No decision about a
//! database is made here.
//!
//! ```
//! use database_operator::receiver::Receiver;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # let state = std::env::temp_dir().join(format!("dbop-operator-doc-{}", std::process::id()));
//! # runtime.block_on(async {
//! // A receiver of metrics, as `local` runs one: on the port that its state directory remembers.
//! let receiver = Receiver::start(&state).await?;
//! assert!(receiver.address().ip().is_loopback());
//!
//! // Nothing has been pushed yet for this run.
//! assert_eq!(receiver.metrics().run("shop-v2-0a1b2c"), None);
//! # std::fs::remove_dir_all(&state)?;
//! # Ok(())
//! # })
//! # }
//! ```

pub mod cli;
pub mod receiver;
pub mod render;
pub mod shell;

mod backends;
mod commands;
mod http;
mod memory;
mod metrics;
mod run;
mod screen;

pub use commands::{Exit, main, main_with};
