//! Schema-version engines: what to ask a database, and how to read the answer.
//!
//! Pure: [`read`] hands out the next statement, the caller runs it (in a read-only transaction, with a time
//! limit) and hands back the rows as text, until there is a version or a reason why there is none. One file
//! per engine knows the statement and the meaning of its rows; a table that does not exist is no version.
//! [`locks()`] does likewise for the tool's own lock: who keeps the next run from beginning, and what frees it.
//!
//! ```
//! use dbop_model::{Fact, ObservedVersion, SchemaVersion, VersionSource};
//! use dbop_versions::{Answer, Dialect, Step, read};
//!
//! let source = VersionSource::Alembic { table: "alembic_version".parse().unwrap() };
//!
//! // First: in which schema is the table? The name says none, so it is looked for.
//! let Step::Ask(question) = read(&source, Dialect::PostgreSql) else { panic!("a question") };
//! let step = question.answer(Answer::rows([["public", "r", "alembic_version"]]));
//!
//! // Then: what does it say?
//! let Step::Ask(question) = step else { panic!("a question") };
//! assert!(question.statement().sql.contains(r#""public"."alembic_version""#));
//! let step = question.answer(Answer::rows([["1975ea83b712"]]));
//!
//! let version = SchemaVersion::new("1975ea83b712").unwrap();
//! assert_eq!(step, Step::Done(Fact::Known(ObservedVersion::At(version))));
//! ```

mod alembic;
pub mod dialect;
mod diesel;
mod django;
mod flyway;
mod golang_migrate;
mod goose;
mod liquibase;
mod locate;
pub mod locks;
mod prisma;
mod query;
mod rails;
pub mod reading;
mod recorded;
mod sqlx;

pub use dialect::{Dialect, QuoteError};
pub use locks::{LockQuestion, LockStep, locks};
pub use reading::{Answer, Author, Question, Row, Statement, Step, read};
