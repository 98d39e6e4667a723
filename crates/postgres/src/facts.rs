//! Facts of tables for the hint rules: what the catalogue says, how large, any row, any NULL.
//!
//! Every question is a short read-only transaction of its own with timeouts, so that no lock and no snapshot
//! outlives it. Only rows of ordinary and partitioned tables are looked at: a view could run anybody's code
//! as the admin. What a server refuses or is too slow to say is Unknown with the reason; only a broken
//! connection ends the look. Nothing of a row's contents is ever read, but whether there is one.

mod parse;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::table::{
    ColumnName, FactRequest, NullProbe, RowEstimate, RowSource, TableFacts, TableFactsSet,
    TableKind, TableName, TableState, TypeFacts, Volatility,
};
use dbop_model::{Fact, Why};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use parse::{Located, quoted_table};

/// What these functions do, for errors.
const OPERATION: &str = "looking at tables";
/// More than any migration's hints want; what is beyond is Unknown, not a longer look.
const REQUESTS_MAX: usize = 1000;
/// What lies in the catalogue is there at once; on a server that is this slow, nothing should be started.
const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question waits for a lock: only ACCESS EXCLUSIVE is in its way, and looking again is cheap.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// All probes of one look together take at most so many probe timeouts.
const PROBE_TIMEOUTS_PER_LOOK: u32 = 4;
/// The server ends a statement itself; a reply this much later means that the connection is dead.
const REPLY_GRACE: Duration = Duration::from_secs(5);
/// The server cannot have longer names (`NAMEDATALEN` - 1), and would cut them silently.
const NAME_BYTES_MAX: usize = 63;

/// Looks up what is wanted, on a connection that is in no transaction. `clock` gives the operator's time.
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
    let look = Look {
        client,
        clock,
        probe_timeout,
        started_at: clock(),
    };
    let mut by_table: BTreeMap<&TableName, Vec<&FactRequest>> = BTreeMap::new();
    for request in wanted.iter().take(REQUESTS_MAX) {
        by_table.entry(request.table()).or_default().push(request);
    }
    let mut tables = BTreeMap::new();
    for (name, requests) in by_table {
        tables.insert(name.clone(), look.table(name, &requests).await?);
    }
    Ok(TableFactsSet {
        tables,
        ..TableFactsSet::new(clock())
    })
}

struct Look<'a> {
    client: &'a Client,
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
                FactRequest::AnyRow(_) => facts.any_row = fact(self.any_row(&located).await)?,
                FactRequest::Nulls { column, .. } => {
                    if self.is_open(&facts, column) {
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
                _ => {}
            }
        }
        Ok(Fact::Known(TableState::Present(Box::new(facts))))
    }

    /// Is it still open whether a column holds NULL? A probe could scan the whole table for nothing.
    fn is_open(&self, facts: &TableFacts, column: &ColumnName) -> bool {
        let declared = facts.columns.get(column);
        declared.is_some_and(|c| c.nullable && c.proven_not_null_by.is_none())
            && !facts.any_row.is_known_and(|any| !any)
    }

    async fn locate(&self, name: &TableName) -> Answer<Option<Located>> {
        let too_long = |part: &str| part.len() > NAME_BYTES_MAX;
        if too_long(name.name()) || name.schema().is_some_and(too_long) {
            return Ok(None);
        }
        let rows = self
            .catalogue(query::LOCATE, &[&name.name(), &name.schema()])
            .await?;
        let found: Vec<Located> = rows
            .iter()
            .map(parse::located)
            .collect::<Option<_>>()
            .ok_or_else(unreadable)?;
        parse::choose(name, found).map_err(Failure::Unknown)
    }

    async fn columns(&self, table: &Located) -> Answer<Vec<parse::Column>> {
        let checks = self.catalogue(query::CHECKS, &[&table.oid]).await?;
        let checks: Vec<(String, String)> = checks
            .iter()
            .map(parse::check)
            .collect::<Option<_>>()
            .ok_or_else(unreadable)?;
        let rows = self.catalogue(query::COLUMNS, &[&table.oid]).await?;
        rows.iter()
            .map(|row| parse::column(row, &checks))
            .collect::<Option<_>>()
            .ok_or_else(unreadable)
    }

    async fn size(&self, table: &Located) -> Result<(Fact<RowEstimate>, Fact<u64>), DatabaseError> {
        let size = match fact(self.files_and_statistics(table).await)? {
            Fact::Known(size) => size,
            Fact::Unknown(why) => return Ok((Fact::Unknown(why.clone()), Fact::Unknown(why))),
        };
        let rows = match size.rows {
            Some(rows) => Fact::Known(RowEstimate {
                rows,
                source: RowSource::Statistics,
                age: size.age,
            }),
            None => fact(self.guess(table).await)?,
        };
        Ok((rows, Fact::Known(size.bytes)))
    }

    async fn files_and_statistics(&self, table: &Located) -> Answer<parse::Size> {
        self.readable(table)?;
        let rows = self.catalogue(query::SIZE, &[&table.oid]).await?;
        match rows.first().and_then(parse::size) {
            Some(size) if size.foreign => Err(Failure::Unknown(Why::new(format!(
                "partitions of {} are foreign tables, whose rows are not looked at",
                table.name
            )))),
            Some(size) => Ok(size),
            None => Err(unreadable()),
        }
    }

    /// The planner's guess at a table that was never analysed.
    async fn guess(&self, table: &Located) -> Answer<RowEstimate> {
        let explain = format!("EXPLAIN SELECT 1 FROM {}", quoted_table(&table.name));
        let lines = self.asked(&explain, CATALOGUE_TIMEOUT).await?;
        let rows = lines
            .first()
            .and_then(|line| parse::planned_rows(line))
            .ok_or_else(unreadable)?;
        Ok(RowEstimate {
            rows,
            source: RowSource::PlannerGuess,
            age: None,
        })
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
        let own = table
            .name
            .schema()
            .map(|schema| format!("{}, ", parse::quoted(schema)));
        let path = format!("pg_catalog, {}public", own.unwrap_or_default());
        let rows = self.in_path(&path, query::TYPE, &[&sql_type]).await?;
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

    /// Only the rows of real tables are looked at.
    fn readable(&self, table: &Located) -> Answer<()> {
        match table.kind {
            TableKind::Ordinary | TableKind::Partitioned => Ok(()),
            TableKind::Other => Err(Failure::Unknown(Why::new(format!(
                "{} is a view or a foreign table, whose rows are not looked at",
                table.name
            )))),
        }
    }

    /// A question about rows, unless the look's probes have used up their time.
    async fn probe(&self, sql: &str) -> Answer<Vec<String>> {
        let spent = (self.clock)()
            .duration_since(self.started_at)
            .unsigned_abs();
        if spent > self.probe_timeout * PROBE_TIMEOUTS_PER_LOOK {
            return Err(Failure::Unknown(Why::new(format!(
                "the probes before it took {} s together, so it was not tried",
                spent.as_secs()
            ))));
        }
        self.asked(sql, self.probe_timeout).await
    }

    /// Runs one statement as text, and gives the columns of its first row.
    async fn asked(&self, sql: &str, timeout: Duration) -> Answer<Vec<String>> {
        let answer = self
            .bounded(timeout, "pg_catalog", self.client.simple_query(sql))
            .await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.ok_or_else(unreadable)?;
        Ok((0..row.len())
            .map(|at| row.get(at).unwrap_or_default().to_owned())
            .collect())
    }

    async fn catalogue(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Answer<Vec<Row>> {
        self.in_path("pg_catalog", sql, parameters).await
    }

    async fn in_path(
        &self,
        path: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Answer<Vec<Row>> {
        self.bounded(CATALOGUE_TIMEOUT, path, self.client.query(sql, parameters))
            .await
    }

    /// Runs a question in a transaction of its own: read-only, with timeouts, and with a search path in
    /// which nobody can stand before the server's own functions and operators.
    async fn bounded<T>(
        &self,
        timeout: Duration,
        path: &str,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Answer<T> {
        let begin = query::begin(timeout, LOCK_TIMEOUT, path);
        let patience = timeout + REPLY_GRACE;
        let whole = async {
            let answer = match self.client.batch_execute(&begin).await {
                Ok(()) => question.await,
                Err(error) => Err(error),
            };
            self.client.batch_execute("ROLLBACK").await?;
            answer
        };
        match tokio::time::timeout(patience, whole).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure(&error, timeout)),
            Err(_) => Err(Failure::Broken(DatabaseError::Timeout {
                operation: OPERATION,
            })),
        }
    }

    fn failure(&self, error: &tokio_postgres::Error, timeout: Duration) -> Failure {
        match error.as_db_error() {
            Some(refusal) if !self.client.is_closed() => {
                match parse::refusal(refusal.code().code(), refusal.message(), timeout) {
                    Some(why) => Failure::Unknown(why),
                    None => Failure::Broken(DatabaseError::Lost {
                        operation: OPERATION,
                    }),
                }
            }
            _ => Failure::Broken(DatabaseError::Lost {
                operation: OPERATION,
            }),
        }
    }
}

fn unreadable() -> Failure {
    Failure::Unknown(Why::new(
        "the server's answer was not of the shape asked for",
    ))
}
