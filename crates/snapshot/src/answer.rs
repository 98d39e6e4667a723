//! Answers to what hint rules ask, as the database would give them: by the names and the words of its backend.
//!
//! Whether rows hold NULL, or the same key twice, only a look at the rows tells. A snapshot says it where what it holds
//! proves it (no row, NOT NULL, a unique index); else it is unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::dependent::{RowProbe, RowsProbed};
use dbop_model::table::{
    FactRequest, TableFacts, TableFactsSet, TableName, TableState, TypeFacts, Volatility,
};
use dbop_model::{Engine, Fact, Why, conversion, unique};

use crate::{Snapshot, types};

/// Why a snapshot does not say what only rows tell.
const NEEDS_ROWS: &str =
    "a snapshot holds nothing of rows: it needs the live database (analyze --dsn-file)";
/// Why a snapshot does not say who is in the way.
const NEEDS_SESSIONS: &str =
    "a snapshot says nothing of sessions: it needs the live database (analyze --dsn-file)";
/// Why a snapshot does not say what the server makes of a text.
const NEEDS_SERVER: &str =
    "a snapshot reads no SQL as the server does: it needs the live database (analyze --dsn-file)";
/// Why a snapshot does not say what bears a name.
const NEEDS_NAMES: &str =
    "a snapshot does not list what is no table: it needs the live database (analyze --dsn-file)";
/// The schema of PostgreSQL that a name without one means, where several have it.
const POSTGRESQL_DEFAULT: &str = "public";

/// Where a name leads.
enum Found<'a> {
    Missing,
    Table(&'a TableName),
}

impl Snapshot {
    /// What the snapshot says of these facts.
    pub fn facts(&self, wanted: &BTreeSet<FactRequest>) -> TableFactsSet {
        let mut set = TableFactsSet::new(self.taken_at);
        if !wanted.is_empty() {
            set.settings = self.settings.clone();
        }
        let mut of_tables: BTreeSet<FactRequest> = BTreeSet::new();
        for request in wanted {
            match request {
                FactRequest::IndexNamed(index) => {
                    let table = self.table_of(index);
                    if let Fact::Known(Some(table)) = &table {
                        of_tables.extend(FactRequest::of_indexed(table));
                    }
                    set.indexes.insert(index.clone(), table);
                }
                FactRequest::Relation(name) => {
                    let unknown = Fact::Unknown(Why::new(NEEDS_NAMES));
                    set.relations.insert(name.clone(), unknown);
                }
                FactRequest::Reading { reading, .. } => {
                    let unknown = Fact::Unknown(Why::new(NEEDS_SERVER));
                    set.readings.insert(reading.clone(), unknown);
                }
                FactRequest::Named { kind, name } => {
                    let unknown = Fact::Unknown(Why::new(NEEDS_NAMES));
                    set.named.insert((*kind, name.clone()), unknown);
                }
                _ => {
                    of_tables.insert(request.clone());
                }
            }
        }
        for request in &of_tables {
            let name = request.table();
            let state = set
                .tables
                .entry(name.clone())
                .or_insert_with(|| self.state(name));
            if let Fact::Known(TableState::Present(facts)) = state {
                self.answer(request, facts);
            }
        }
        set
    }

    /// What the tables, which hold all that can be held, do not say by themselves.
    fn answer(&self, request: &FactRequest, facts: &mut TableFacts) {
        match request {
            FactRequest::Table(_)
            | FactRequest::Size(_)
            | FactRequest::AnyRow(_)
            | FactRequest::Indexes(_)
            | FactRequest::Constraints(_)
            | FactRequest::Storage(_)
            | FactRequest::Dependents(_)
            | FactRequest::Relation(_)
            | FactRequest::Named { .. }
            | FactRequest::Reading { .. }
            | FactRequest::IndexNamed(_) => {}
            FactRequest::Writes(_) => facts.written = Fact::Unknown(Why::new(NEEDS_SESSIONS)),
            FactRequest::Blockers(_) => {
                facts.blockers = Fact::Unknown(Why::new(NEEDS_SESSIONS));
                facts.snapshots = Fact::Unknown(Why::new(NEEDS_SESSIONS));
            }
            FactRequest::Nulls { column, .. } => {
                if facts.may_hold_null(column) {
                    let unknown = Fact::Unknown(Why::new(NEEDS_ROWS));
                    facts.nulls.insert(column.clone(), unknown);
                }
            }
            FactRequest::Duplicates { key, .. } => {
                let indexes = facts.indexes.known().map_or(&[][..], Vec::as_slice);
                let probe = match unique::settled(indexes, facts, key) {
                    Some(settled) => Fact::Known(settled),
                    None => Fact::Unknown(Why::new(NEEDS_ROWS)),
                };
                facts.duplicates.insert(key.clone(), probe);
            }
            FactRequest::Rows { probe, .. } => {
                let probed = if facts.any_row.is_known_and(|any| !any)
                    || (self.server.engine == Engine::PostgreSql && always_converts(facts, probe))
                {
                    Fact::Known(RowsProbed {
                        found: false,
                        took: Duration::ZERO,
                    })
                } else {
                    Fact::Unknown(Why::new(NEEDS_ROWS))
                };
                facts.probed.insert(probe.clone(), probed);
            }
            FactRequest::Type { table, sql_type } => {
                let known = self.type_facts(table, sql_type);
                facts.types.insert(sql_type.clone(), known);
            }
            FactRequest::Volatility { function, .. } => {
                let known = self.volatility(function);
                facts.functions.insert(function.clone(), known);
            }
        }
    }

    fn state(&self, name: &TableName) -> Fact<TableState> {
        match self.locate(name) {
            Err(why) => Fact::Unknown(why),
            Ok(Found::Missing) => Fact::Known(TableState::Missing),
            Ok(Found::Table(found)) => match self.tables.get(found) {
                Some(facts) => facts.clone().map(|f| TableState::Present(Box::new(f))),
                None => Fact::Unknown(Why::new(format!("the snapshot leaves {found} out"))),
            },
        }
    }

    fn locate(&self, name: &TableName) -> Result<Found<'_>, Why> {
        match self.server.engine {
            Engine::PostgreSql => self.locate_by_path(name),
            Engine::MySql | Engine::MariaDb => self.locate_in_database(name),
        }
    }

    /// A name without a schema may mean one in any schema of users.
    fn locate_by_path(&self, name: &TableName) -> Result<Found<'_>, Why> {
        let is_servers = |schema: &str| schema == "information_schema" || schema.starts_with("pg_");
        if name.schema().is_some_and(is_servers) {
            return Err(Why::new("a snapshot leaves the server's own tables out"));
        }
        let mut found = self.named(name);
        if found.len() > 1 {
            found = match found
                .iter()
                .find(|t| t.schema() == Some(POSTGRESQL_DEFAULT))
            {
                Some(one) => vec![*one],
                None => return Err(several(name, &found)),
            };
        }
        self.one_or_missing(name, found.pop())
    }

    fn named(&self, name: &TableName) -> Vec<&TableName> {
        let listed = self.catalogue.tables.iter();
        listed.filter(|table| table.may_be(name)).collect()
    }

    /// A name without a database is in the snapshot's.
    fn locate_in_database(&self, name: &TableName) -> Result<Found<'_>, Why> {
        let own = self.catalogue.default_schema.as_deref();
        let same = |one: &str, other: &str| {
            one == other
                || (self.catalogue.ignores_case && one.to_lowercase() == other.to_lowercase())
        };
        let is_here = match (name.schema(), own) {
            (Some(schema), Some(own)) => same(schema, own),
            (schema, _) => schema.is_none(),
        };
        if !is_here {
            return Err(Why::new(format!(
                "{name} is in another database, which the snapshot leaves out"
            )));
        }
        let here = |table: &&TableName| table.schema() == own;
        let listed = || self.catalogue.tables.iter().filter(here);
        let found = listed()
            .find(|table| table.name() == name.name())
            .or_else(|| listed().find(|table| same(table.name(), name.name())));
        self.one_or_missing(name, found)
    }

    fn one_or_missing<'a>(
        &self,
        name: &TableName,
        found: Option<&'a TableName>,
    ) -> Result<Found<'a>, Why> {
        match found {
            Some(table) => Ok(Found::Table(table)),
            None if self.catalogue.is_whole => Ok(Found::Missing),
            None => Err(Why::new(format!(
                "the snapshot does not list all tables, and {name} is not among those that it lists"
            ))),
        }
    }

    /// The table that an index is of, by the index's name. What was not looked at could have one of the name as well.
    fn table_of(&self, index: &TableName) -> Fact<Option<TableName>> {
        if !self.catalogue.is_whole || self.left_out().next().is_some() {
            return Fact::Unknown(Why::new("the snapshot leaves tables out"));
        }
        let mut found: Vec<&TableName> = Vec::new();
        for (table, facts) in &self.tables {
            let schema = index.schema().or(self.catalogue.default_schema.as_deref());
            if schema.is_some_and(|schema| table.schema() != Some(schema)) {
                continue;
            }
            let indexes = facts
                .as_result()
                .and_then(|facts| facts.indexes.as_result());
            match indexes {
                Err(why) => return Fact::Unknown(why.clone()),
                Ok(indexes) if indexes.iter().any(|i| i.name.as_str() == index.name()) => {
                    found.push(table);
                }
                Ok(_) => {}
            }
        }
        match found[..] {
            [] => Fact::Known(None),
            [one] => Fact::Known(Some(one.clone())),
            _ => {
                let public = found
                    .iter()
                    .find(|t| t.schema() == Some(POSTGRESQL_DEFAULT));
                match (self.server.engine, public) {
                    (Engine::PostgreSql, Some(one)) => Fact::Known(Some((*one).clone())),
                    _ => Fact::Unknown(several(index, &found)),
                }
            }
        }
    }

    fn type_facts(&self, table: &TableName, sql_type: &str) -> Fact<TypeFacts> {
        // MySQL and MariaDB have no domains: what a type is, its name says.
        if self.server.engine != Engine::PostgreSql {
            return Fact::Known(TypeFacts::default());
        }
        let known = match &self.catalogue.types {
            Fact::Known(known) => known,
            Fact::Unknown(why) => return Fact::Unknown(why.clone()),
        };
        let schema = match self.locate(table) {
            Ok(Found::Table(table)) => table.schema(),
            _ => table.schema(),
        };
        match types::find(known, schema, sql_type) {
            Some(facts) => Fact::Known(facts),
            None => Fact::Unknown(Why::new(format!(
                "there is no type {sql_type} in the database yet"
            ))),
        }
    }

    fn volatility(&self, function: &str) -> Fact<Volatility> {
        let functions = match &self.catalogue.functions {
            Fact::Known(functions) => functions,
            Fact::Unknown(why) => return Fact::Unknown(why.clone()),
        };
        let (function_name, missing) = match self.server.engine {
            Engine::PostgreSql => (
                function.to_owned(),
                format!("there is no function {function} in the database yet"),
            ),
            Engine::MySql | Engine::MariaDb => (
                function.to_ascii_lowercase(),
                format!(
                    "the server does not say whether {function} gives every row the same value"
                ),
            ),
        };
        let name: Option<TableName> = function_name.parse().ok();
        let is_it = |one: &TableName| name.as_ref().is_some_and(|name| one.may_be(name));
        // Which of several an expression calls depends on types: the worst counts.
        let worst = functions
            .iter()
            .filter(|(one, _)| is_it(one))
            .map(|(_, v)| *v);
        match worst.max() {
            Some(volatility) => Fact::Known(volatility),
            None => Fact::Unknown(Why::new(missing)),
        }
    }
}

/// Is it a change of type that no value is refused by?
fn always_converts(facts: &TableFacts, probe: &RowProbe) -> bool {
    let RowProbe::Unconvertible {
        column,
        sql_type,
        using: None,
    } = probe
    else {
        return false;
    };
    let old = facts.columns.get(column);
    old.is_some_and(|old| conversion::never_fails(&old.sql_type, sql_type))
}

fn several(name: &TableName, found: &[&TableName]) -> Why {
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    Why::new(format!(
        "{name} can be any of {}: write its schema in the operation",
        names.join(", ")
    ))
}
