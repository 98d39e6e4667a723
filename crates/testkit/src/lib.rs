//! Behaving fakes, the conformance suite and the simulator: for tests alone.
//!
//! [`fake_database::FakeDatabase`] is a database in memory that behaves: it has roles, grants, tables,
//! sessions and passwords, and keeps to the same [`conformance`] suite as a real server. Nothing in it
//! looks at a clock or draws a random number.
//!
//! ```
//! use dbop_database::Connector;
//! use dbop_model::{ObservedVersion, SchemaVersion};
//! use dbop_testkit::fake_database::FakeDatabase;
//!
//! let database = FakeDatabase::new("shop");
//! let v1 = SchemaVersion::new("v1").unwrap();
//! database.set_version(ObservedVersion::At(v1));
//!
//! let endpoint = database.endpoint(&database.target()).unwrap();
//! assert_eq!(endpoint.database, "shop");
//! assert!(database.open_session("nobody", "a password").is_err());
//! ```

pub mod conformance;
pub mod fake_database;
pub mod sim;
pub mod surroundings;
pub mod tools;
pub mod written;
