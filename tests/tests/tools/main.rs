//! Real migration tools on real servers, through the whole loop of `local`: three versions, a migration that fails, and
//! one that is killed in the middle.
//!
//! A file per tool says how a project of it is laid out and what it is called with; `walk` is the same for all. Which
//! tools there are, `cargo xtask tools` says, which fetches them; nothing is fetched here.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod alembic;
mod copier;
mod diesel;
mod django;
mod flyway;
mod gh_ost;
mod golang_migrate;
mod goose;
mod liquibase;
mod percona_toolkit;
mod project;
mod prometheus;
mod sqlx;
mod walk;
