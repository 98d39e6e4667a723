//! Facts of tables for the hint rules: what the catalogue says, how large, any row, any NULL.
//!
//! Every question is a statement of its own with a limit, so that no lock outlives it. Only rows of real tables are
//! looked at: a view could run anybody's code as the admin. What a server refuses or is too slow to say is Unknown
//! with the reason; only a broken connection ends the look. Nothing of a row's contents is ever read, but whether
//! there is one.

mod parse;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::table::{
    ColumnName, FactRequest, NullProbe, RowEstimate, RowSource, TableFacts, TableFactsSet,
    TableKind, TableName, TableState, TypeFacts,
};
use dbop_model::{Fact, Why};
use dbop_versions::Row;
use jiff::Timestamp;

use crate::connect::Server;
use crate::link::{Hold, LOCK_TIMEOUT, STATEMENT_TIMEOUT};
use crate::parse::all;
use parse::Located;

/// More than any migration's hints want; what is beyond is Unknown, not a longer look.
const REQUESTS_MAX: usize = 1000;
/// What lies in the catalogue is there at once; on a server that is this slow, nothing should be started.
const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question waits for a lock; the server counts in seconds. Looking again is cheap.
const PROBE_LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// All probes of one look together take at most so many probe timeouts.
const PROBE_TIMEOUTS_PER_LOOK: u32 = 4;

/// Looks up what is wanted. `clock` gives the operator's time.
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
) -> Result<TableFactsSet, DatabaseError> {
    let look = Look {
        hold,
        server,
        clock,
        probe_timeout,
        started_at: clock(),
    };
    look.limit(CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT).await?;
    let mut by_table: BTreeMap<&TableName, Vec<&FactRequest>> = BTreeMap::new();
    for request in wanted.iter().take(REQUESTS_MAX) {
        by_table.entry(request.table()).or_default().push(request);
    }
    let mut tables = BTreeMap::new();
    for (name, requests) in by_table {
        tables.insert(name.clone(), look.table(name, &requests).await?);
    }
    look.limit(STATEMENT_TIMEOUT, LOCK_TIMEOUT).await?;
    Ok(TableFactsSet {
        tables,
        ..TableFactsSet::new(clock())
    })
}

struct Look<'a> {
    hold: &'a Hold<'a>,
    server: &'a Server,
    clock: fn() -> Timestamp,
    probe_timeout: Duration,
    started_at: Timestamp,
}

/// Ends a question without ending the look.
enum Failure {
    Unknown(Why),
    Broken(DatabaseError),
}

type Answer<T> = Result<T, Failure>;

/// A question that failed is an unknown fact; a broken connection is an error.
fn fact<T>(answer: Answer<T>) -> Result<Fact<T>, DatabaseError> {
    match answer {
        Ok(value) => Ok(Fact::Known(value)),
        Err(Failure::Unknown(why)) => Ok(Fact::Unknown(why)),
        Err(Failure::Broken(error)) => Err(error),
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
                    facts.bytes = fact(self.bytes_of(&located))?;
                }
                FactRequest::AnyRow(_) => facts.any_row = fact(self.any_row(&located).await)?,
                FactRequest::Nulls { column, .. } => {
                    if is_open(&facts, column) {
                        let probe = fact(self.nulls(&located, column).await)?;
                        facts.nulls.insert(column.clone(), probe);
                    }
                }
                // There are no domains: what a type is, its name says.
                FactRequest::Type { sql_type, .. } => {
                    let plain = TypeFacts {
                        constrained_domain: false,
                        domain_default: false,
                    };
                    facts.types.insert(sql_type.clone(), Fact::Known(plain));
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
                _ => {}
            }
        }
        Ok(Fact::Known(TableState::Present(Box::new(facts))))
    }

    async fn locate(&self, name: &TableName) -> Answer<Option<Located>> {
        let database = name.schema().unwrap_or(&self.server.database);
        let sql = query::locate(database, name.name()).map_err(unasked)?;
        let rows = self.asked(&sql, CATALOGUE_TIMEOUT).await?;
        let found = all(self.hold.operation(), &rows, parse::located).map_err(unasked)?;
        let found = parse::choose(database, name.name(), found);
        if found.is_none() && database != self.server.database {
            // The catalogue shows no more of another database than the admin has rights on.
            return Err(Failure::Unknown(Why::new(format!(
                "{name} is in another database, of which the admin may not see all tables"
            ))));
        }
        Ok(found)
    }

    async fn columns(
        &self,
        table: &Located,
    ) -> Answer<Vec<(ColumnName, dbop_model::table::ColumnFacts)>> {
        let engine = self.server.engine;
        let checks = match query::checks(table, engine).map_err(unasked)? {
            Some(sql) => {
                let rows = self.asked(&sql, CATALOGUE_TIMEOUT).await?;
                all(self.hold.operation(), &rows, |c| {
                    Ok((c.text()?.to_owned(), c.text()?.to_owned()))
                })
                .map_err(unasked)?
            }
            None => Vec::new(),
        };
        let sql = query::columns(table, engine).map_err(unasked)?;
        let rows = self.asked(&sql, CATALOGUE_TIMEOUT).await?;
        all(self.hold.operation(), &rows, |c| parse::column(c, &checks)).map_err(unasked)
    }

    fn rows_of(&self, table: &Located) -> Answer<RowEstimate> {
        self.readable(table)?;
        match table.rows {
            Some(rows) => Ok(RowEstimate {
                rows,
                source: RowSource::Statistics,
                age: None,
            }),
            None => Err(unsaid(table)),
        }
    }

    fn bytes_of(&self, table: &Located) -> Answer<u64> {
        self.readable(table)?;
        table.bytes.ok_or_else(|| unsaid(table))
    }

    async fn any_row(&self, table: &Located) -> Answer<bool> {
        self.readable(table)?;
        let sql = query::any_row(table).map_err(unasked)?;
        self.probe(&sql).await
    }

    async fn nulls(&self, table: &Located, column: &ColumnName) -> Answer<NullProbe> {
        self.readable(table)?;
        let sql = query::nulls(table, column).map_err(unasked)?;
        let begin = (self.clock)();
        let found = self.probe(&sql).await?;
        let took = (self.clock)().duration_since(begin).unsigned_abs();
        Ok(NullProbe { found, took })
    }

    /// Only the rows of real tables are looked at.
    fn readable(&self, table: &Located) -> Answer<()> {
        match table.kind {
            TableKind::Ordinary | TableKind::Partitioned => Ok(()),
            TableKind::Other => Err(Failure::Unknown(Why::new(format!(
                "{} is a view or a table of another server, whose rows are not looked at",
                table.name
            )))),
        }
    }

    /// A question about rows, unless the look's probes have used up their time.
    async fn probe(&self, sql: &str) -> Answer<bool> {
        let spent = (self.clock)()
            .duration_since(self.started_at)
            .unsigned_abs();
        if spent > self.probe_timeout * PROBE_TIMEOUTS_PER_LOOK {
            return Err(Failure::Unknown(Why::new(format!(
                "the probes before it took {} s together, so it was not tried",
                spent.as_secs()
            ))));
        }
        self.limit(self.probe_timeout, PROBE_LOCK_TIMEOUT)
            .await
            .map_err(Failure::Broken)?;
        let rows = self.asked(sql, self.probe_timeout).await?;
        self.limit(CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT)
            .await
            .map_err(Failure::Broken)?;
        crate::parse::boolean(self.hold.operation(), &rows).map_err(unasked)
    }

    async fn limit(&self, statement: Duration, lock: Duration) -> Result<(), DatabaseError> {
        let sql = query::limits(self.server.engine, statement, lock);
        self.hold.run(&sql).await
    }

    async fn asked(&self, sql: &str, timeout: Duration) -> Answer<Vec<Row>> {
        match self.hold.rows_within(sql, timeout).await {
            Ok(rows) => Ok(rows),
            Err(lost @ DatabaseError::Lost { .. }) => Err(Failure::Broken(lost)),
            Err(error) => Err(Failure::Unknown(parse::refusal(&error, timeout))),
        }
    }
}

/// Is it still open whether a column holds NULL? A probe could scan the whole table for nothing.
fn is_open(facts: &TableFacts, column: &ColumnName) -> bool {
    let declared = facts.columns.get(column);
    declared.is_some_and(|c| c.nullable && c.proven_not_null_by.is_none())
        && !facts.any_row.is_known_and(|any| !any)
}

fn unsaid(table: &Located) -> Failure {
    Failure::Unknown(Why::new(format!(
        "the server has no statistics of {}",
        table.name
    )))
}

fn unasked(error: DatabaseError) -> Failure {
    Failure::Unknown(Why::new(error.to_string()))
}
