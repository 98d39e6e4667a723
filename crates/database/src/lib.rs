//! What the operator needs of a database, as two traits in the domain's words.
//!
//! [`Introspect`] looks, [`Administer`] changes, [`Connector`] opens connections and proves credentials. A
//! backend keeps to the conformance suite in `dbop-testkit`, which runs against the behaving fake and against
//! real servers alike. Hint rules and the planner never see a connection, only what came out of these.
//!
//! Beside the traits stands what backends would write alike: the common part of a DSN ([`dsn`]), rows of text
//! into values ([`columns`]), what is in an expression that a migration wrote ([`expression`]), and what an unanswered
//! question about a table means ([`answer`]), and how a look at tables gives way to others ([`watch`]).
//!
//! ```
//! use dbop_database::DatabaseError;
//!
//! let refused = DatabaseError::Refused {
//!     address: "db.crm:5432".into(),
//!     user: "admin".into(),
//!     code: "28P01".into(),
//! };
//! assert_eq!(
//!     refused.to_string(),
//!     "cannot log in to db.crm:5432 as 'admin': the server refused the login or its password (28P01)"
//! );
//! assert!(!refused.is_transient());
//! ```

pub mod answer;
pub mod columns;
pub mod dsn;
pub mod error;
pub mod expression;
pub mod number;
pub mod ports;
pub mod watch;

pub use error::DatabaseError;
pub use ports::{
    Administer, Connector, Endpoint, Introspect, Look, Reader, Replica, ReplicaFacts, Scope, Target,
};
