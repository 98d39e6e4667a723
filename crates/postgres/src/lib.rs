//! PostgreSQL 14 to 18 behind the database traits.

pub mod facts;
