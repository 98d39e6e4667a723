//! MySQL 8.0 to 9.x and MariaDB 10.6 to 11.x behind the database traits.
//!
//! [`MySql`] opens connections. Everything is done as the least admin (`docs/mysql-admin.md`), without SUPER; what it
//! must be granted besides is found before anything is written, and named with its GRANT. Passwords go to the server
//! as hashes, a session's settings are pinned, every statement has a limit.
//!
//! ```
//! use dbop_database::{Connector, Target};
//! use dbop_model::{Engine, TlsMode};
//! use dbop_mysql::MySql;
//! use jiff::Timestamp;
//!
//! // The clock says when facts were seen; a program gives the real one.
//! let mysql = MySql::new(|| Timestamp::UNIX_EPOCH);
//! let target = |dsn: &str| Target { dsn: dsn.to_owned().into(), tls: None, ca_certificate: None };
//!
//! let endpoint = mysql.endpoint(&target("mysql://admin:secret@db.shop/shop")).unwrap();
//! assert_eq!((endpoint.host.as_str(), endpoint.port), ("db.shop", 3306));
//! assert_eq!((endpoint.engine, endpoint.tls), (Engine::MySql, TlsMode::Require));
//!
//! // What does not parse is named, and not shown.
//! let error = mysql.endpoint(&target("mysql://admin:sec@ret@db.shop/shop")).unwrap_err();
//! assert!(error.to_string().contains("more than one '@'"));
//! assert!(!error.to_string().contains("sec"));
//! ```

mod backend;
mod claim;
mod connect;
mod dsn;
mod error;
mod facts;
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

pub use connect::MySql;
pub use trial::scratch_schema;
