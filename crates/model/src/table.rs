//! Tables: their names, and what was seen of them in a live database.
//!
//! Hint rules ask for facts with [`FactRequest`] and read them from a [`TableFactsSet`]; how a database
//! backend gathers them is not said here. No value of user data is ever kept: counts, sizes, types and
//! the names in the catalogue are.

mod facts;
mod name;
mod request;

pub use facts::{
    Blocker, Casts, ColumnFacts, ConstraintFacts, DuplicateProbe, Generated, IndexFacts, NullProbe,
    RowEstimate, RowSource, Settings, Storage, TableFacts, TableFactsSet, TableKind, TableState,
    TypeFacts, Volatility, WriteCount, WriteRate,
};
pub use name::{ColumnName, IdentifierError, TableName};
pub use request::{FactRequest, NamedKind, Understood, UniqueKey};
