//! Facts of tables for the hint rules: what the catalogue says, how large, any row, any NULL, any duplicate, who
//! writes and who is in the way.
//!
//! Every question is a statement of its own with a limit, so that no lock outlives it. Only rows of real tables are
//! looked at: a view could run anybody's code as the admin. What a server refuses or is too slow to say is Unknown
//! with the reason; only a broken connection ends the look. Nothing of a row's contents is ever read, but whether
//! there is one.
//!
//! A file for each family of facts holds its SQL, and what is made of the answers.

mod ask;
mod blockers;
mod catalogue;
mod computed;
mod constraints;
mod dependents;
mod duplicates;
mod fits;
mod health;
mod ids;
mod indexes;
mod named;
mod parse;
mod partitions;
mod query;
mod reading;
mod retyped;
mod rows;
mod settings;
mod storage;
mod writes;

pub(crate) use health::lag;
pub(crate) use query::limits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::catalogue::Catalogue;
use dbop_model::health::HealthFacts;
use dbop_model::sample::NextId;
use dbop_model::table::{
    ColumnFacts, ColumnName, FactRequest, NullProbe, TableFacts, TableFactsSet, TableName,
    TableState, TypeFacts,
};
use dbop_model::{Fact, Why};
use jiff::Timestamp;

use crate::connect::Server;
use crate::link::{Hold, LOCK_TIMEOUT, STATEMENT_TIMEOUT};
use ask::{CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT, unasked};
use dbop_database::answer::{Answer, Failure, fact};
use dbop_database::watch::Way;
use parse::Located;

/// More than any migration's hints want; what is beyond is Unknown, not a longer look.
const REQUESTS_MAX: usize = 1000;

/// Looks up what is wanted. `clock` gives the operator's time. Settings are read whenever anything is wanted.
///
/// After an error the session may be left with other limits: it is of no use any more.
///
/// # Errors
/// [`DatabaseError::Lost`] where the connection breaks or falls silent.
pub(crate) async fn table_facts(
    hold: &Hold<'_>,
    server: &Server,
    wanted: &BTreeSet<FactRequest>,
    probe_timeout: Duration,
    clock: fn() -> Timestamp,
    way: &Way,
) -> Result<TableFactsSet, DatabaseError> {
    let look = Look::new(hold, server, clock, probe_timeout, way);
    look.limit(CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT).await?;
    let mut set = TableFactsSet::new(clock());
    if !wanted.is_empty() {
        set.settings = fact(look.settings().await)?;
    }
    let mut by_table: BTreeMap<&TableName, Vec<&FactRequest>> = BTreeMap::new();
    for request in wanted.iter().take(REQUESTS_MAX) {
        if let FactRequest::IndexNamed(index) = request {
            let table = fact(look.table_of(index).await)?;
            set.indexes.insert(index.clone(), table);
        } else if let FactRequest::Named { kind, name } = request {
            let of = fact(look.named(*kind, name).await)?;
            set.named.insert((*kind, name.clone()), of);
        } else if let FactRequest::Reading { reading, .. } = request {
            let understood = fact(look.understood(reading).await)?;
            set.readings.insert(reading.clone(), understood);
        } else if matches!(request, FactRequest::Relation(_)) {
            // Tables alone bear names here, and those are looked up as such.
        } else {
            by_table.entry(request.table()).or_default().push(request);
        }
    }
    for (name, requests) in by_table {
        set.tables
            .insert(name.clone(), look.table(name, &requests).await?);
    }
    look.limit(STATEMENT_TIMEOUT, LOCK_TIMEOUT).await?;
    set.taken_at = clock();
    Ok(set)
}

/// Lists what there is in the database: at most `tables_max` tables.
///
/// # Errors
/// As [`table_facts`]; also where the tables cannot be listed.
pub(crate) async fn catalogue(
    hold: &Hold<'_>,
    server: &Server,
    tables_max: usize,
    clock: fn() -> Timestamp,
) -> Result<Catalogue, DatabaseError> {
    let way = Way::default();
    let look = Look::new(hold, server, clock, Duration::ZERO, &way);
    look.whole(tables_max).await
}

/// The ids that these tables' next rows get.
///
/// # Errors
/// As [`table_facts`].
pub(crate) async fn next_ids(
    hold: &Hold<'_>,
    server: &Server,
    tables: &BTreeSet<TableName>,
    clock: fn() -> Timestamp,
) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
    let way = Way::default();
    let look = Look::new(hold, server, clock, Duration::ZERO, &way);
    look.next_ids(tables).await
}

/// What the health of the database is judged by.
///
/// # Errors
/// As [`table_facts`].
pub(crate) async fn health(
    hold: &Hold<'_>,
    server: &Server,
    clock: fn() -> Timestamp,
) -> Result<HealthFacts, DatabaseError> {
    let way = Way::default();
    let look = Look::new(hold, server, clock, Duration::ZERO, &way);
    look.limit(CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT).await?;
    let facts = look.health().await?;
    look.limit(STATEMENT_TIMEOUT, LOCK_TIMEOUT).await?;
    Ok(facts)
}

struct Look<'a> {
    hold: &'a Hold<'a>,
    server: &'a Server,
    clock: fn() -> Timestamp,
    probe_timeout: Duration,
    started_at: Timestamp,
    way: &'a Way,
}

impl<'a> Look<'a> {
    fn new(
        hold: &'a Hold<'a>,
        server: &'a Server,
        clock: fn() -> Timestamp,
        probe_timeout: Duration,
        way: &'a Way,
    ) -> Self {
        Self {
            hold,
            server,
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
        requests: &[&FactRequest],
    ) -> Result<Fact<TableState>, DatabaseError> {
        let located = match fact(self.locate(name).await)? {
            Fact::Unknown(why) => return Ok(Fact::Unknown(why)),
            Fact::Known(None) => return Ok(Fact::Known(TableState::Missing)),
            Fact::Known(Some(located)) => located,
        };
        let mut facts = TableFacts::new(located.kind);
        match fact(self.columns(&located).await)? {
            Fact::Unknown(why) => return Ok(Fact::Unknown(why)),
            Fact::Known(columns) => facts.columns = columns.into_iter().collect(),
        }
        for request in requests {
            match request {
                FactRequest::Table(_) => {}
                FactRequest::Size(_) => {
                    facts.rows = fact(self.rows_of(&located))?;
                    facts.bytes = fact(self.bytes_of(&located).await)?;
                }
                FactRequest::AnyRow(_) => facts.any_row = fact(self.any_row(&located).await)?,
                FactRequest::Nulls { column, .. } => {
                    if facts.may_hold_null(column) {
                        let probe = fact(self.nulls(&located, column).await)?;
                        facts.nulls.insert(column.clone(), probe);
                    }
                }
                // There are no domains: what a type is, its name says.
                FactRequest::Type { sql_type, .. } => {
                    let plain = Fact::Known(TypeFacts::default());
                    facts.types.insert(sql_type.clone(), plain);
                }
                FactRequest::Volatility { function, .. } => {
                    let known = parse::volatility(function).ok_or_else(|| {
                        Why::new(format!(
                            "the server does not say whether {function} gives every row the same value"
                        ))
                    });
                    let known = known.map_or_else(Fact::Unknown, Fact::Known);
                    facts.functions.insert(function.clone(), known);
                }
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
                    // A change that takes no strong lock waits for the same sessions, and for no others.
                    facts.snapshots = Fact::Known(Vec::new());
                }
                FactRequest::Duplicates { key, .. } => {
                    let probe = fact(self.duplicates(&located, &facts, key).await)?;
                    facts.duplicates.insert(key.clone(), probe);
                }
                FactRequest::Dependents(_) => {
                    let columns: Vec<ColumnName> = facts.columns.keys().cloned().collect();
                    match fact(self.dependents(&located, &columns).await)? {
                        Fact::Known((dependents, partitioned)) => {
                            facts.dependents = Fact::Known(dependents);
                            facts.partitioned = Fact::Known(partitioned);
                        }
                        Fact::Unknown(why) => facts.dependents = Fact::Unknown(why),
                    }
                }
                FactRequest::Rows { probe, .. } => {
                    let probed = fact(self.rows(&located, &facts, probe).await)?;
                    facts.probed.insert(probe.clone(), probed);
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
        let database = name.schema().unwrap_or(&self.server.database);
        let sql = query::locate(database, name.name());
        let found = self.catalogue(sql, parse::located).await?;
        let found = parse::choose(database, name.name(), found);
        if found.is_none() && database != self.server.database {
            // The catalogue shows no more of another database than the admin has rights on.
            return Err(Failure::Unknown(Why::new(format!(
                "{name} is in another database, of which the admin may not see all tables"
            ))));
        }
        Ok(found)
    }

    async fn columns(&self, table: &Located) -> Answer<Vec<(ColumnName, ColumnFacts)>> {
        let engine = self.server.engine;
        let checks = match query::checks(table, engine).map_err(unasked)? {
            Some(sql) => {
                let pair = |c: &mut crate::parse::Columns<'_>| {
                    Ok((c.text()?.to_owned(), c.text()?.to_owned()))
                };
                self.catalogue(Ok(sql), pair).await?
            }
            None => Vec::new(),
        };
        self.catalogue(query::columns(table, engine), |c| parse::column(c, &checks))
            .await
    }

    async fn any_row(&self, table: &Located) -> Answer<bool> {
        self.readable(table)?;
        let sql = query::any_row(table).map_err(unasked)?;
        let (rows, _) = self.probe(&sql).await?;
        crate::parse::boolean(self.hold.operation(), &rows).map_err(unasked)
    }

    async fn nulls(&self, table: &Located, column: &ColumnName) -> Answer<NullProbe> {
        self.readable(table)?;
        let sql = query::nulls(table, column).map_err(unasked)?;
        let (rows, took) = self.probe(&sql).await?;
        let found = crate::parse::boolean(self.hold.operation(), &rows).map_err(unasked)?;
        Ok(NullProbe { found, took })
    }
}

/// A rate is made of two looks, by who keeps the one before: of one alone it is unknown.
fn unwatched(written: &Fact<dbop_model::table::WriteCount>) -> Fact<dbop_model::table::WriteRate> {
    Fact::Unknown(match written {
        Fact::Known(_) => Why::passing("its writes have been looked at once, which tells no rate"),
        Fact::Unknown(why) => why.clone(),
    })
}
