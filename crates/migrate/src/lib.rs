//! A ready-made migration program that keeps Database Operator's container contract: a directory
//! of plain SQL files, as sqlx's `Migrator` runs them, up to the version that the environment names, on
//! PostgreSQL, MySQL and MariaDB.
//!
//! The binary `dbop-migrate` is a thin shell around [`run::run`]. What it adds to sqlx: the target
//! version, the contract's environment and metrics ([`settings`], [`push`]), batch files for data
//! migrations ([`directives`]), strict checks of directory and record ([`files`], [`order`]), and texts
//! that hold neither passwords nor user data ([`said`]).
//!
//! It deliberately never goes backward, never repairs a record, and tries nothing again that a
//! person should look at first.
//!
//! ```
//! use dbop_migrate::dsn::Dsn;
//!
//! let dsn = "postgresql://migrator:s3cret@db.shop:5432/shop?sslmode=verify-full";
//! let dsn = Dsn::parse(&dsn.into()).unwrap();
//! assert_eq!(dsn.place(), "shop at db.shop:5432 as migrator");
//! ```

pub mod directives;
pub mod dsn;
pub mod duration;
pub mod engine;
pub mod files;
pub mod order;
pub mod progress;
pub mod push;
pub mod run;
pub mod said;
mod session;
pub mod settings;
pub mod tell;

pub use session::{Left, SessionError};
