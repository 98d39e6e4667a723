//! The facts of a database as a file, so that hints are judged where no login to it may be.
//!
//! A [`Snapshot`] is what was seen of all tables in one look: sizes, write rates, columns with their types, indexes,
//! constraints, storage, settings, server. It holds no row, no value of one and no statistics of values, no password and
//! no login. It is written as JSON in a format of its own ([`write()`], [`read()`]; docs/snapshot.md), and answers what hint
//! rules ask ([`Snapshot::facts`]) as the database would, but for what only a look at the rows tells: that stays unknown.
//!
//! ```
//! use dbop_model::catalogue::Catalogue;
//! use dbop_model::table::{FactRequest, TableState};
//! use dbop_model::{Engine, Fact, ServerInfo, Why};
//! use dbop_snapshot::Snapshot;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ServerInfo { engine: Engine::PostgreSql, major: 18, minor: 4, address: "db:5432/shop".into() };
//! let catalogue = Catalogue {
//!     tables: vec!["public.users".parse()?],
//!     is_whole: true,
//!     default_schema: None,
//!     ignores_case: false,
//!     types: Fact::Known([].into()),
//!     functions: Fact::Known([].into()),
//! };
//! let snapshot = Snapshot::new(server, "2026-01-01T12:00:00Z".parse()?, catalogue);
//!
//! let again = dbop_snapshot::read(&dbop_snapshot::write(&snapshot)?)?;
//! assert_eq!(again, snapshot);
//!
//! let facts = again.facts(&[FactRequest::Table("orders".parse()?)].into());
//! assert_eq!(facts.table(&"orders".parse()?), Fact::Known(TableState::Missing));
//! // It is there, and nobody has looked at it: that is unknown, and never "missing".
//! let facts = again.facts(&[FactRequest::Table("users".parse()?)].into());
//! assert!(matches!(facts.table(&"users".parse()?), Fact::Unknown(_)));
//! # Ok(())
//! # }
//! ```

mod answer;
mod dependents;
mod file;
mod keys;
mod parts;
mod types;

use std::collections::BTreeMap;

use dbop_model::catalogue::Catalogue;
use dbop_model::table::{Settings, TableFacts, TableFactsSet, TableName, TableState};
use dbop_model::{Fact, ServerInfo, Why};
use jiff::Timestamp;

pub use file::{KIND, SnapshotError, VERSION, read, write};

/// The facts of a database, as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Of which server.
    pub server: ServerInfo,
    /// When the look began, by the clock of who took it: facts are as old as this.
    pub taken_at: Timestamp,
    /// What there is, by name.
    pub catalogue: Catalogue,
    /// Settings, as a migration's session has them.
    pub settings: Fact<Settings>,
    /// What was seen of the tables that were looked at, by their names in the catalogue; the others were left out.
    pub tables: BTreeMap<TableName, Fact<TableFacts>>,
}

impl Snapshot {
    /// A look at the names alone.
    pub fn new(server: ServerInfo, taken_at: Timestamp, catalogue: Catalogue) -> Self {
        let types = catalogue.types.map(|types| {
            let kept = |(name, facts)| (name, types::kept(facts));
            types.into_iter().map(kept).collect()
        });
        let catalogue = Catalogue { types, ..catalogue };
        Self {
            server,
            taken_at,
            catalogue,
            settings: Fact::Unknown(Why::new("they were not looked at")),
            tables: BTreeMap::new(),
        }
    }

    /// Takes what a look at some tables saw, each under its name in the catalogue. What went away meanwhile is no table
    /// of the database any more. What only holds of the moment (who is in the way), and counters, of which a rate was
    /// made or not, are not kept.
    pub fn add(&mut self, seen: TableFactsSet) {
        let TableFactsSet {
            taken_at: _,
            tables,
            indexes: _,
            // What bears names that somebody asked for, and what came of statements that were tried.
            relations: _,
            named: _,
            readings: _,
            trials: _,
            settings,
        } = seen;
        if self.settings.known().is_none() {
            self.settings = settings;
        }
        for (name, state) in tables {
            match state {
                Fact::Known(TableState::Missing) => self.catalogue.tables.retain(|t| *t != name),
                Fact::Known(TableState::Present(facts)) => {
                    self.tables.insert(name, Fact::Known(parts::kept(*facts)));
                }
                Fact::Unknown(why) => {
                    self.tables.insert(name, Fact::Unknown(why));
                }
            }
        }
    }

    /// Tables that are in the catalogue and were not looked at.
    pub fn left_out(&self) -> impl Iterator<Item = &TableName> {
        let listed = self.catalogue.tables.iter();
        listed.filter(|name| !self.tables.contains_key(name))
    }
}
