//! PostgreSQL 14 to 18 behind the database traits.
//!
//! [`Postgres`] opens connections. Everything is done as the least admin (CREATEROLE and the database's owner, no
//! superuser); what it must be granted besides is found before anything is written, and named with its GRANT.
//! Passwords go to the server as SCRAM verifiers, the search path is pinned, every statement has a limit.
//!
//! ```
//! use dbop_database::{Connector, Target};
//! use dbop_model::TlsMode;
//! use dbop_postgres::Postgres;
//! use jiff::Timestamp;
//!
//! // The clock says when facts were seen; a program gives the real one.
//! let postgres = Postgres::new(|| Timestamp::UNIX_EPOCH);
//! let target = |dsn: &str| Target { dsn: dsn.to_owned().into(), tls: None, ca_certificate: None };
//!
//! let endpoint = postgres.endpoint(&target("postgresql://admin:secret@db.shop/shop")).unwrap();
//! assert_eq!((endpoint.host.as_str(), endpoint.port), ("db.shop", 5432));
//! assert_eq!(endpoint.tls, TlsMode::Require);
//!
//! // What does not parse is named, and not shown.
//! let error = postgres.endpoint(&target("postgresql://admin:sec@ret@db.shop/shop")).unwrap_err();
//! assert!(error.to_string().contains("more than one '@'"));
//! assert!(!error.to_string().contains("sec"));
//! ```

mod backend;
mod claim;
mod connect;
mod dsn;
mod error;
pub mod facts;
mod grants;
mod link;
mod lock;
mod logins;
mod mark;
mod migrator;
mod observe;
mod parse;
mod password;
mod prepare;
mod query;
mod reader;
mod replica;
mod roles;
mod select;
mod sessions;
mod tls;
mod trial;
mod version;
mod watch;

pub use connect::Postgres;
