//! Facts of tables for the hint rules: what the catalogue says, how large, any row, any NULL, any duplicate, who
//! writes and who is in the way.
//!
//! Every question is a short read-only transaction of its own with timeouts, so that no lock and no snapshot
//! outlives it. Only rows of ordinary and partitioned tables are looked at: a view could run anybody's code
//! as the admin. What a server refuses or is too slow to say is Unknown with the reason; only a broken
//! connection ends the look. Nothing of a row's contents is ever read, but whether there is one.
//!
//! A file for each family of facts holds its SQL, and what is made of the answers.

mod ask;
mod blockers;
mod catalogue;
mod constraints;
mod convert;
mod dependents;
mod duplicates;
mod health;
mod ids;
mod indexes;
mod parse;
mod query;
mod reading;
mod rows;
mod settings;
mod storage;
mod writes;

pub(crate) use parse::quoted_table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::catalogue::Catalogue;
use dbop_model::health::HealthFacts;
use dbop_model::sample::NextId;
use dbop_model::table::{
    ColumnName, FactRequest, NullProbe, TableFacts, TableFactsSet, TableName, TableState,
    TypeFacts, Volatility,
};
use dbop_model::{Fact, Why};
use jiff::Timestamp;
use tokio_postgres::Client;

use ask::{all, unreadable};
use dbop_database::answer::{Answer, Failure, fact};
use dbop_database::watch::Way;
use parse::Located;

/// What these functions do, for errors.
const OPERATION: &str = "looking at tables";
/// More than any migration's hints want; what is beyond is Unknown, not a longer look.
const REQUESTS_MAX: usize = 1000;
/// The server cannot have longer names (`NAMEDATALEN` - 1), and would cut them silently.
const NAME_BYTES_MAX: usize = 63;

/// Looks up what is wanted, on a connection that is in no transaction. `clock` gives the operator's time. Settings are
/// read whenever anything is wanted.
///
/// After an error the connection may be inside a transaction: it is of no use any more.
///
/// # Errors
/// [`DatabaseError::Lost`] or [`DatabaseError::Timeout`] where the connection breaks or falls silent.
pub async fn table_facts(
    client: &Client,
    wanted: &BTreeSet<FactRequest>,
    probe_timeout: Duration,
    clock: fn() -> Timestamp,
) -> Result<TableFactsSet, DatabaseError> {
    facts_giving_way(client, wanted, probe_timeout, clock, &Way::default()).await
}

/// Likewise, until the way is given.
pub(crate) async fn facts_giving_way(
    client: &Client,
    wanted: &BTreeSet<FactRequest>,
    probe_timeout: Duration,
    clock: fn() -> Timestamp,
    way: &Way,
) -> Result<TableFactsSet, DatabaseError> {
    let look = Look::new(client, clock, probe_timeout, way);
    let mut set = TableFactsSet::new(clock());
    if !wanted.is_empty() {
        set.settings = fact(look.settings().await)?;
    }
    let mut by_table: BTreeMap<TableName, BTreeSet<FactRequest>> = BTreeMap::new();
    for request in wanted.iter().take(REQUESTS_MAX) {
        match request {
            FactRequest::IndexNamed(index) => {
                let table = fact(look.table_of(index).await)?;
                if let Fact::Known(Some(table)) = &table {
                    let of_it = by_table.entry(table.clone()).or_default();
                    of_it.extend(FactRequest::of_indexed(table));
                }
                set.indexes.insert(index.clone(), table);
            }
            FactRequest::Relation(name) => {
                let relations = fact(look.relations(name).await)?;
                set.relations.insert(name.clone(), relations);
            }
            FactRequest::Reading { reading, .. } => {
                let understood = fact(look.understood(reading).await)?;
                set.readings.insert(reading.clone(), understood);
            }
            // Names of constraints and triggers are their tables' own here.
            FactRequest::Named { .. } => {}
            _ => {
                let of_it = by_table.entry(request.table().clone()).or_default();
                of_it.insert(request.clone());
            }
        }
    }
    for (name, requests) in by_table {
        let state = look.table(&name, &requests).await?;
        set.tables.insert(name, state);
    }
    set.taken_at = clock();
    Ok(set)
}

/// Lists what there is in the database: at most `tables_max` tables.
///
/// # Errors
/// As [`table_facts`]; also where the tables cannot be listed.
pub(crate) async fn catalogue(
    client: &Client,
    tables_max: usize,
    clock: fn() -> Timestamp,
) -> Result<Catalogue, DatabaseError> {
    let way = Way::default();
    let look = Look::new(client, clock, Duration::ZERO, &way);
    look.whole(tables_max).await
}

/// The ids that these tables' next rows get.
///
/// # Errors
/// As [`table_facts`].
pub async fn next_ids(
    client: &Client,
    tables: &BTreeSet<TableName>,
    clock: fn() -> Timestamp,
) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
    let way = Way::default();
    let look = Look::new(client, clock, Duration::ZERO, &way);
    look.next_ids(tables).await
}

/// What the health of the database is judged by.
///
/// # Errors
/// As [`table_facts`].
pub async fn health(
    client: &Client,
    clock: fn() -> Timestamp,
) -> Result<HealthFacts, DatabaseError> {
    let way = Way::default();
    let look = Look::new(client, clock, Duration::ZERO, &way);
    look.health().await
}

struct Look<'a> {
    client: &'a Client,
    clock: fn() -> Timestamp,
    probe_timeout: Duration,
    started_at: Timestamp,
    way: &'a Way,
}

impl<'a> Look<'a> {
    fn new(
        client: &'a Client,
        clock: fn() -> Timestamp,
        probe_timeout: Duration,
        way: &'a Way,
    ) -> Self {
        Self {
            client,
            clock,
            probe_timeout,
            started_at: clock(),
            way,
        }
    }
}

impl Look<'_> {
    async fn table(
        &self,
        name: &TableName,
        requests: &BTreeSet<FactRequest>,
    ) -> Result<Fact<TableState>, DatabaseError> {
        let located = match fact(self.locate(name).await)? {
            Fact::Unknown(why) => return Ok(Fact::Unknown(why)),
            Fact::Known(None) => return Ok(Fact::Known(TableState::Missing)),
            Fact::Known(Some(located)) => located,
        };
        let mut facts = TableFacts::new(located.kind);
        facts.schema = located.name.schema().map(str::to_owned);
        let composite = match fact(self.columns(&located).await)? {
            Fact::Unknown(why) => return Ok(Fact::Unknown(why)),
            Fact::Known(columns) => {
                let composite: BTreeSet<ColumnName> = columns
                    .iter()
                    .filter(|c| c.composite)
                    .map(|c| c.name.clone())
                    .collect();
                facts.columns = columns.into_iter().map(|c| (c.name, c.facts)).collect();
                composite
            }
        };
        for request in requests {
            match request {
                FactRequest::Table(_) => {}
                FactRequest::Size(_) => (facts.rows, facts.bytes) = self.size(&located).await?,
                FactRequest::Indexes(_) => facts.indexes = fact(self.indexes(&located).await)?,
                FactRequest::Constraints(_) => {
                    facts.constraints = fact(self.constraints(&located).await)?;
                }
                FactRequest::Storage(_) => facts.storage = fact(self.storage(&located).await)?,
                FactRequest::Writes(_) => {
                    facts.written = fact(self.written(&located).await)?;
                    facts.writes = unwatched(&facts.written);
                }
                FactRequest::Blockers(_) => {
                    facts.blockers = fact(self.blockers(&located).await)?;
                    facts.snapshots = fact(self.snapshots().await)?;
                }
                FactRequest::Duplicates { key, .. } => {
                    let probe = fact(self.duplicates(&located, &facts, key).await)?;
                    facts.duplicates.insert(key.clone(), probe);
                }
                FactRequest::AnyRow(_) => facts.any_row = fact(self.any_row(&located).await)?,
                FactRequest::Nulls { column, .. } => {
                    if facts.may_hold_null(column) {
                        let by_value = composite.contains(column);
                        let probe = fact(self.nulls(&located, column, by_value).await)?;
                        facts.nulls.insert(column.clone(), probe);
                    }
                }
                FactRequest::Type { sql_type, .. } => {
                    let known = fact(self.type_facts(&located, sql_type).await)?;
                    facts.types.insert(sql_type.clone(), known);
                }
                FactRequest::Volatility { function, .. } => {
                    let known = fact(self.volatility(function).await)?;
                    facts.functions.insert(function.clone(), known);
                }
                FactRequest::Dependents(_) => {
                    facts.dependents = fact(self.dependents(&located).await)?;
                    facts.partitioned = fact(self.partitioned(&located).await)?;
                }
                FactRequest::Rows { probe, .. } => {
                    let found = fact(self.rows(&located, probe).await)?;
                    facts.probed.insert(probe.clone(), found);
                }
                // They are about no table that is known yet.
                FactRequest::IndexNamed(_)
                | FactRequest::Relation(_)
                | FactRequest::Named { .. }
                | FactRequest::Reading { .. } => {}
            }
        }
        Ok(Fact::Known(TableState::Present(Box::new(facts))))
    }

    async fn locate(&self, name: &TableName) -> Answer<Option<Located>> {
        let too_long = |part: &str| part.len() > NAME_BYTES_MAX;
        if too_long(name.name()) || name.schema().is_some_and(too_long) {
            return Ok(None);
        }
        let rows = self
            .catalogue(query::LOCATE, &[&name.name(), &name.schema()])
            .await?;
        let found = all(&rows, parse::located)?;
        parse::choose(name, found).map_err(Failure::Unknown)
    }

    async fn columns(&self, table: &Located) -> Answer<Vec<parse::Column>> {
        let checks = self.catalogue(query::CHECKS, &[&table.oid]).await?;
        let checks = all(&checks, parse::check)?;
        let rows = self.catalogue(query::COLUMNS, &[&table.oid]).await?;
        all(&rows, |row| parse::column(row, &checks))
    }

    async fn any_row(&self, table: &Located) -> Answer<bool> {
        self.readable(table)?;
        let sql = query::any_row(&table.name);
        let answer = self.probe(&sql).await?;
        parse::boolean(answer.first()).ok_or_else(unreadable)
    }

    async fn nulls(
        &self,
        table: &Located,
        column: &ColumnName,
        by_value: bool,
    ) -> Answer<NullProbe> {
        self.readable(table)?;
        let sql = query::nulls(&table.name, column, by_value);
        let answer = self.probe(&sql).await?;
        parse::null_probe(&answer).ok_or_else(unreadable)
    }

    async fn type_facts(&self, table: &Located, sql_type: &str) -> Answer<TypeFacts> {
        let path = format!("pg_catalog, {}public", table.schema_in_path());
        let rows = self
            .in_path(&path, query::TYPE, &[&sql_type, &table.oid])
            .await?;
        let row = rows.first().ok_or_else(unreadable)?;
        parse::type_facts(row)
            .ok_or_else(unreadable)?
            .ok_or_else(|| {
                Failure::Unknown(Why::new(format!(
                    "there is no type {sql_type} in the database yet"
                )))
            })
    }

    async fn volatility(&self, function: &str) -> Answer<Volatility> {
        let none = || {
            Failure::Unknown(Why::new(format!(
                "there is no function {function} in the database yet"
            )))
        };
        // A function's name is written as a table's is.
        let name: TableName = function.parse().map_err(|_| none())?;
        if name.name().len() > NAME_BYTES_MAX {
            return Err(none());
        }
        let rows = self
            .catalogue(query::VOLATILITY, &[&name.name(), &name.schema()])
            .await?;
        let row = rows.first().ok_or_else(unreadable)?;
        parse::volatility(row)
            .ok_or_else(unreadable)?
            .ok_or_else(none)
    }
}

/// A rate is made of two looks, by who keeps the one before: of one alone it is unknown.
fn unwatched(written: &Fact<dbop_model::table::WriteCount>) -> Fact<dbop_model::table::WriteRate> {
    Fact::Unknown(match written {
        Fact::Known(_) => Why::passing("its writes have been looked at once, which tells no rate"),
        Fact::Unknown(why) => why.clone(),
    })
}
