//! What a database holds as a whole, by name: for who looks at all of it rather than at what one migration names.

use std::collections::BTreeMap;

use crate::fact::Fact;
use crate::table::{TableName, TypeFacts, Volatility};

/// The names in a database's catalogue. Nothing here says what is in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Tables, views and foreign tables, each with its schema, in the order of their names.
    pub tables: Vec<TableName>,
    /// Are these all? Where not, there are more than was asked for.
    pub is_whole: bool,
    /// The schema that a name without one means; `None`: any schema of users (PostgreSQL).
    pub default_schema: Option<String>,
    /// Does the server take `Users` and `users` for the same table?
    pub ignores_case: bool,
    /// The types that a column can have, each with its schema; a server without types of users has none.
    pub types: Fact<BTreeMap<TableName, TypeFacts>>,
    /// The functions that a default can call, each with its schema, and how volatile those of a name are at worst.
    pub functions: Fact<BTreeMap<TableName, Volatility>>,
}
