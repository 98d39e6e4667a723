//! What the health of a database is judged by. Statistics and the catalogue alone, in a few statements over all tables:
//! what they come to, is worked out here.
//!
//! There is no invalid index to find, since these servers take back a build that fails; and ids of transactions have
//! 48 bits, which nobody uses up.

use std::collections::BTreeMap;

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure, fact, unknown};
use dbop_model::health::{
    Bloat, Connections, HealthFacts, IdUse, LISTED_MAX, Lag, Listed, ReplicaLag,
};
use dbop_model::table::{Blocker, ColumnName, TableName};
use dbop_model::{Fact, Why};

use super::blockers::{AGE, blocker};
use super::ids::limit;
use super::{Look, unasked};
use crate::parse::{Columns, Values as _};
use crate::query::{self, text};
use crate::replica;

/// Of more tables than this nothing is told: the look would be no cheap one.
const TABLES_MAX: usize = 10_000;

/// Sessions, whoever's.
const USED: &str = "SHOW GLOBAL STATUS WHERE Variable_name = 'Threads_connected'";
/// How many there may be; one more is kept for an administrator.
const MAX: &str = "SELECT @@GLOBAL.max_connections";
/// Has each table a file of its own? Else the free space of one is that of all.
const FILE_PER_TABLE: &str = "SELECT @@GLOBAL.innodb_file_per_table";
/// What shows sessions of others.
const PROCESS_SHOWS: &str = "GRANT PROCESS ON *.* TO the admin shows it";

/// Transactions of sessions in the database, and those that are prepared and have no session: id, login, command,
/// seconds.
fn transactions(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT x.trx_mysql_thread_id, COALESCE(p.USER, ''), COALESCE(p.COMMAND, ''), \
         GREATEST(COALESCE({AGE}, 0), 0) AS age \
         FROM information_schema.INNODB_TRX x \
         LEFT JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id \
         WHERE x.trx_mysql_thread_id <> CONNECTION_ID() \
         AND (p.DB = {} OR x.trx_mysql_thread_id = 0) ORDER BY age DESC LIMIT {LISTED_MAX}",
        text(database)?
    ))
}

/// Tables: name, engine, next id, bytes of data, of indexes, free ones.
fn tables(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT t.TABLE_NAME, COALESCE(t.ENGINE, ''), t.AUTO_INCREMENT, t.DATA_LENGTH, \
         t.INDEX_LENGTH, t.DATA_FREE FROM information_schema.TABLES t \
         WHERE t.TABLE_SCHEMA = {} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
         ORDER BY t.TABLE_NAME LIMIT {}",
        text(database)?,
        TABLES_MAX + 1
    ))
}

/// Columns that count by themselves or are of a key that tells rows apart: table, column, type, is it of such a key,
/// does it count. A UNIQUE over columns that are NOT NULL is shown as a primary key where there is no other, and the
/// server uses it as one.
fn columns(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT c.TABLE_NAME, c.COLUMN_NAME, LOWER(c.COLUMN_TYPE), c.COLUMN_KEY = 'PRI', \
         c.EXTRA LIKE '%auto_increment%' FROM information_schema.COLUMNS c \
         WHERE c.TABLE_SCHEMA = {} AND (c.COLUMN_KEY = 'PRI' OR c.EXTRA LIKE '%auto_increment%') \
         LIMIT {}",
        text(database)?,
        16 * TABLES_MAX
    ))
}

/// A table with what the statistics say of it.
struct Table {
    name: String,
    is_innodb: bool,
    next_id: Option<i128>,
    bytes: u64,
    free_bytes: u64,
}

/// A column that counts, or of a key.
struct Column {
    table: String,
    name: String,
    sql_type: String,
    is_key: bool,
    counts: bool,
}

impl Look<'_> {
    /// # Errors
    /// Where the connection breaks.
    pub(super) async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        let connections = fact(self.connections().await)?;
        let replicas = fact(self.replicas().await)?;
        let transactions = fact(self.open_transactions().await)?;
        let (tables, columns) = match fact(self.tables_and_columns().await)? {
            Fact::Known((tables, columns)) => (tables, columns),
            Fact::Unknown(why) => {
                return Ok(HealthFacts {
                    connections,
                    replicas,
                    transactions,
                    transaction_ids: Fact::Known(Vec::new()),
                    invalid_indexes: Fact::Known(Listed::all(Vec::new())),
                    ..HealthFacts::unknown(&why)
                });
            }
        };
        let database = &self.server.database;
        Ok(HealthFacts {
            connections,
            replicas,
            transactions,
            ids: Fact::Known(ids(database, &tables, &columns)),
            transaction_ids: Fact::Known(Vec::new()),
            invalid_indexes: Fact::Known(Listed::all(Vec::new())),
            bloat: fact(self.free_space(&tables).await)?,
            keyless: Fact::Known(keyless(database, &tables, &columns)),
            bytes: Fact::Known(tables.iter().map(|table| table.bytes).sum()),
        })
    }

    async fn connections(&self) -> Answer<Vec<Connections>> {
        let used = self
            .catalogue(Ok(USED.to_owned()), |c| {
                c.text()?;
                c.number()
            })
            .await?;
        let max = self.catalogue(Ok(MAX.to_owned()), |c| c.number()).await?;
        let (Some(used), Some(max)) = (used.first(), max.first()) else {
            return unknown("the server does not say how many sessions there are");
        };
        Ok(vec![Connections {
            of: "the server",
            used: *used,
            max: *max,
            reserved: 0,
        }])
    }

    async fn open_transactions(&self) -> Answer<Listed<Blocker>> {
        let sql = transactions(&self.server.database);
        match self.catalogue(sql, blocker).await {
            Ok(open) => Ok(Listed::all(open)),
            Err(failure) => Err(shown_by_process(failure)),
        }
    }

    /// A server does not know how far its replicas are behind: each that reads its log is one that has to be asked.
    async fn replicas(&self) -> Answer<Vec<ReplicaLag>> {
        let may_see = self.catalogue(Ok(query::PROCESS.to_owned()), |_| Ok(()));
        may_see.await.map_err(shown_by_process)?;
        let seen = match replica::replication(self.hold).await {
            Ok(seen) => seen,
            Err(lost @ DatabaseError::Lost { .. }) => return Err(Failure::Broken(lost)),
            Err(error) => return Err(unasked(error)),
        };
        let replica = |one: dbop_model::ReportedReplica| {
            let place = one.address.or(one.name);
            ReplicaLag {
                replica: place.map_or_else(|| "without a name".to_owned(), |at| format!("at {at}")),
                lag: Fact::Unknown(Why::new(
                    "the server does not tell how far its replicas are behind; name them in connection.replicas",
                )),
            }
        };
        Ok(seen.replicas.into_iter().map(replica).collect())
    }

    async fn tables_and_columns(&self) -> Answer<(Vec<Table>, Vec<Column>)> {
        let database = &self.server.database;
        let tables = self.catalogue(tables(database), table).await?;
        if tables.len() > TABLES_MAX {
            return unknown(format!(
                "there are more than {TABLES_MAX} tables, which are not looked at"
            ));
        }
        let columns = self.catalogue(columns(database), column).await?;
        Ok((tables, columns))
    }

    async fn free_space(&self, tables: &[Table]) -> Answer<Listed<Bloat>> {
        let own = self
            .catalogue(Ok(FILE_PER_TABLE.to_owned()), |c| c.boolean())
            .await?;
        if own.first() != Some(&true) {
            return unknown("tables share a file (innodb_file_per_table is off)");
        }
        Ok(bloat(&self.server.database, tables))
    }
}

/// A question that the server refuses without the privilege PROCESS.
fn shown_by_process(failure: Failure) -> Failure {
    match failure {
        Failure::Unknown(why) => Failure::Unknown(Why::new(format!("{why}; {PROCESS_SHOWS}"))),
        broken => broken,
    }
}

fn number(columns: &mut Columns<'_>) -> Result<Option<i128>, DatabaseError> {
    Ok(columns.nullable()?.and_then(|number| number.parse().ok()))
}

fn table(columns: &mut Columns<'_>) -> Result<Table, DatabaseError> {
    let bytes = |number: Option<i128>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(Table {
        name: columns.text()?.to_owned(),
        is_innodb: columns.text()?.eq_ignore_ascii_case("InnoDB"),
        next_id: number(columns)?,
        bytes: bytes(number(columns)?).saturating_add(bytes(number(columns)?)),
        free_bytes: bytes(number(columns)?),
    })
}

fn column(columns: &mut Columns<'_>) -> Result<Column, DatabaseError> {
    Ok(Column {
        table: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        sql_type: columns.text()?.to_owned(),
        is_key: columns.boolean()?,
        counts: columns.boolean()?,
    })
}

fn ids(database: &str, tables: &[Table], columns: &[Column]) -> Listed<IdUse> {
    let counting = columns.iter().filter(|column| column.counts);
    let counting: BTreeMap<&str, &Column> = counting
        .map(|column| (column.table.as_str(), column))
        .collect();
    let id = |table: &Table| {
        let column = counting.get(table.name.as_str())?;
        Some(IdUse {
            table: TableName::new(Some(database), &table.name).ok()?,
            column: column.name.parse::<ColumnName>().ok()?,
            next: table.next_id?,
            limit: limit(&column.sql_type),
        })
    };
    let mut listed: Vec<IdUse> = tables.iter().filter_map(id).collect();
    listed.sort_by(|one, two| two.share().total_cmp(&one.share()));
    listed.truncate(LISTED_MAX);
    Listed::all(listed)
}

fn keyless(database: &str, tables: &[Table], columns: &[Column]) -> Listed<TableName> {
    let keyed = columns.iter().filter(|column| column.is_key);
    let keyed: std::collections::BTreeSet<&str> =
        keyed.map(|column| column.table.as_str()).collect();
    let mut listed: Vec<TableName> = tables
        .iter()
        .filter(|table| !keyed.contains(table.name.as_str()))
        .filter_map(|table| TableName::new(Some(database), &table.name).ok())
        .collect();
    let more = listed.len().saturating_sub(LISTED_MAX) as u64;
    listed.truncate(LISTED_MAX);
    Listed {
        listed,
        more,
        hidden: None,
    }
}

fn bloat(database: &str, tables: &[Table]) -> Listed<Bloat> {
    let of = |table: &Table| {
        let file = table.bytes.saturating_add(table.free_bytes);
        Some(Bloat {
            table: TableName::new(Some(database), &table.name).ok()?,
            bytes: file,
            share: table.free_bytes as f64 / file.max(1) as f64,
            what: "of its file is free",
        })
    };
    let with_space = tables
        .iter()
        .filter(|table| table.is_innodb && table.free_bytes > 0);
    let mut listed: Vec<Bloat> = with_space.filter_map(of).collect();
    // The most free space first: a large share of a small file matters to nobody.
    let free = |one: &Bloat| one.share * one.bytes as f64;
    listed.sort_by(|one, two| free(two).total_cmp(&free(one)));
    listed.truncate(LISTED_MAX);
    Listed::all(listed)
}

/// What a replica says of its own lag: the two threads, and seconds.
pub(crate) fn lag(status: &BTreeMap<String, Option<String>>) -> Fact<Lag> {
    let of = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| status.get(*name));
        value.and_then(Option::as_deref)
    };
    let stopped = |why: &str| Fact::Known(Lag::Stopped(why.to_owned()));
    let (reads, applies) = (
        of(["Replica_IO_Running", "Slave_IO_Running"]),
        of(["Replica_SQL_Running", "Slave_SQL_Running"]),
    );
    if applies != Some("Yes") {
        return stopped("it applies no changes (its SQL thread is off)");
    }
    if reads != Some("Yes") {
        return stopped("it receives nothing from its primary (its IO thread is not connected)");
    }
    let behind = of(["Seconds_Behind_Source", "Seconds_Behind_Master"]);
    match behind.and_then(|text| text.parse().ok()) {
        Some(seconds) => Fact::Known(Lag::Behind(std::time::Duration::from_secs(seconds))),
        None => Fact::Unknown(Why::passing("it does not say how far it is behind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &[(&str, Option<&str>)], expect: &str) {
        let status = status
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect();
        let said = format!("{:?}", lag(&status));
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn a_replica_tells_its_lag_in_the_words_of_both_servers() {
        let mysql = |io, sql, behind| {
            [
                ("Replica_IO_Running", Some(io)),
                ("Replica_SQL_Running", Some(sql)),
                ("Seconds_Behind_Source", behind),
            ]
        };
        check(&mysql("Yes", "Yes", Some("7")), "Behind(7s)");
        check(&mysql("Connecting", "Yes", None), "receives nothing");
        check(&mysql("Yes", "No", None), "applies no changes");
        check(&mysql("Yes", "Yes", None), "does not say");
        let mariadb = [
            ("Slave_IO_Running", Some("Yes")),
            ("Slave_SQL_Running", Some("Yes")),
            ("Seconds_Behind_Master", Some("0")),
        ];
        check(&mariadb, "Behind(0ns)");
    }
}
