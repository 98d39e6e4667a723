//! DatabaseMigrations from the migrations that a tool already has: read from its files, written as YAML.
//!
//! Nothing is run and no database is asked: the files say which versions there are and how they follow each
//! other, each tool in its own way (one file a tool). What a migration does to the schema is told where there is SQL of
//! it: in the files, or in what the tool printed ([`text`], [`hints`]). The same files give the same bytes.
//!
//! ```no_run
//! use dbop_generate::{Tool, manifests::Settings};
//!
//! # fn main() -> Result<(), dbop_generate::GenerateError> {
//! let chain = dbop_generate::flyway::read("src/main/resources/db/migration".as_ref())?;
//! let settings = Settings {
//!     image: "registry.example.com/shop-migrations:7".to_owned(),
//!     namespace: Some("shop".to_owned()),
//!     change_log: None,
//!     from_empty: false,
//!     engine: Some(dbop_model::Engine::PostgreSql),
//! };
//! print!("{}", dbop_generate::manifests::yaml(Tool::Flyway, &chain, &settings)?);
//! # Ok(())
//! # }
//! ```

pub mod alembic;
pub mod chain;
pub mod error;
pub mod flyway;
pub mod hints;
pub mod liquibase;
pub mod manifests;
pub mod sql;
pub mod text;

mod files;
mod flow;
mod name;

pub use chain::{Chain, Step};
pub use error::GenerateError;

/// A tool whose migrations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Alembic's revisions.
    Alembic,
    /// Flyway's versioned migrations.
    Flyway,
    /// A Liquibase change log, by its tags.
    LiquibaseTags,
    /// A Liquibase change log, by its change sets.
    LiquibaseChangeSets,
    /// SQL files, as `dbop-migrate` and sqlx run them.
    Sql,
}
