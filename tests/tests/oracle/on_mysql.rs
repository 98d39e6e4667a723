//! MySQL and MariaDB, watched: the cheapest ALGORITHM and the weakest LOCK that the server accepts for a statement,
//! and what the statement as it is does to a twin. No knowledge of what is predicted.
//!
//! What a server refuses changes nothing, so that attempts need no table of their own until one is accepted.

use dbop_tests::{TestDatabase, TestServer};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};

use crate::catalogue::Case;
use crate::observation::Observation;

/// What can be asked for, the cheapest first. `LOCK` beside `INSTANT` is refused by MySQL.
const ATTEMPTS: [(&str, &[&str]); 4] = [
    ("INSTANT", &[""]),
    ("NOCOPY", &["NONE", "SHARED", "EXCLUSIVE"]),
    ("INPLACE", &["NONE", "SHARED", "EXCLUSIVE"]),
    ("COPY", &["NONE", "SHARED", "EXCLUSIVE"]),
];
/// The server does not do it that way: a way that is not supported (with a reason or not), no more row versions, a
/// word that it does not know, `LOCK=NONE` where a copy refuses it.
const NOT_THAT_WAY: [&str; 6] = ["1845", "1846", "4092", "1800", "1064", "1221"];

/// What shapes take their rows from, in a database of the character set that they are written for.
const NUMBERS: &str = "ALTER DATABASE CHARACTER SET utf8mb4; CREATE TABLE digits (g INT);
    INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
    CREATE VIEW numbers AS SELECT 1 + p.g + 10 * q.g + 100 * r.g + 1000 * s.g AS g
    FROM digits p, digits q, digits r, digits s";

/// A server on which cases run.
pub(crate) struct MySql {
    server: TestServer,
    database: TestDatabase,
    conn: Conn,
    /// Where InnoDB tells of its tables.
    tables: &'static str,
}

/// The server said no.
struct Refusal {
    code: String,
    message: String,
}

impl MySql {
    pub(crate) async fn new(server: &TestServer) -> MySql {
        let database = server.database("oracle").await;
        let mut conn = connect(&database).await;
        conn.query_drop(NUMBERS).await.expect("a view of numbers");
        let tables = match server.name().starts_with("mariadb") {
            true => "information_schema.INNODB_SYS_TABLES",
            false => "information_schema.INNODB_TABLES",
        };
        MySql {
            server: server.clone(),
            database,
            conn,
            tables,
        }
    }

    /// Makes the shape of a case, and gives the connection string by which it is judged.
    pub(crate) async fn prepare(&mut self, case: &Case) -> String {
        self.make(case, &case.shape_sql).await;
        self.database.admin_dsn()
    }

    /// Runs a case that is prepared.
    pub(crate) async fn observe(&mut self, case: &Case) -> Observation {
        let mut seen = Observation::default();
        let before = self.ids(&case.table).await;
        let nulls = self.nulls(case).await;
        let had_rows = self.has_rows(case).await;
        let mut works = false;
        for statement in &case.statements {
            let read = self.counter("Innodb_buffer_pool_read_requests").await;
            match self.attempt(statement).await {
                Ok(affected) => {
                    let pages = self.counter("Innodb_buffer_pool_read_requests").await - read;
                    if affected > 0 {
                        seen.notes.push(format!("{affected} rows affected"));
                    }
                    seen.notes.push(format!("{pages} pages asked for"));
                    works |= affected > 0;
                    for warning in self.warnings().await {
                        seen.notes.push(warning);
                    }
                }
                Err(refusal) => {
                    seen.error = Some(refusal.code);
                    seen.notes.push(refusal.message);
                    break;
                }
            }
        }
        if seen.error.is_none() {
            let last = case.statements.last().map_or("", String::as_str);
            let after = self.ids(renamed(last).unwrap_or(&case.table)).await;
            // Where only some partitions are others, the table as a whole is not written anew.
            seen.rewrite = case
                .statements
                .iter()
                .any(|statement| keeps_table(statement))
                && !before.is_empty()
                && !after.is_empty()
                && !before.iter().any(|id| after.contains(id));
            seen.invented = had_rows && self.invented(case, &nulls).await;
            // How a server does it does not depend on how many rows there are.
            self.make(case, &case.small_sql).await;
            for statement in &case.statements {
                self.ask(statement, &mut seen).await;
            }
        }
        self.conclude(case, works, &mut seen);
        seen
    }

    /// What follows from algorithm and lock: the server works for as long as the table is large wherever it writes the
    /// table anew, or reads it to build something.
    fn conclude(&self, case: &Case, copied: bool, seen: &mut Observation) {
        if case.expect.lock.is_some() {
            seen.lock.clone_from(&case.expect.lock);
        }
        // InnoDB knows nothing of other engines' tables.
        seen.rewrite |= seen.algorithm.as_deref() == Some("COPY");
        let builds = case.statements.iter().any(|statement| builds(statement));
        seen.scan = seen.error.is_none() && (seen.rewrite || copied || builds);
        if let Some(works) = case.expect.works {
            seen.scan = works && seen.error.is_none();
        }
        let works = seen.scan && seen.algorithm.as_deref() != Some("INSTANT");
        let lock = seen.lock.as_deref();
        seen.blocks_writes = works && matches!(lock, Some("SHARED" | "EXCLUSIVE"));
        seen.blocks_reads = works && lock == Some("EXCLUSIVE");
        seen.long = works;
    }

    /// Finds the cheapest way for a statement, and goes it; of several statements the worst counts.
    async fn ask(&mut self, statement: &str, seen: &mut Observation) {
        let Some(pinned) = Pinned::of(statement) else {
            // It changes what those behind it meet.
            let _ = self.attempt(statement).await;
            return;
        };
        for (rank, (algorithm, locks)) in ATTEMPTS.into_iter().enumerate() {
            if pinned
                .algorithm
                .as_deref()
                .is_some_and(|own| own != algorithm)
            {
                continue;
            }
            for lock in locks {
                let lock = match (&pinned.lock, *lock) {
                    (Some(own), "") => own.as_str(),
                    (Some(own), lock) if own != lock => continue,
                    (_, lock) => lock,
                };
                let asked = pinned.with(statement, algorithm, lock);
                match self.attempt(&asked).await {
                    // MariaDB takes the word for other engines' tables, and copies them all the same.
                    Ok(rows) if rows > 0 && algorithm == "INSTANT" => {
                        worst(seen, ATTEMPTS.len() - 1, "COPY", "SHARED");
                        return;
                    }
                    Ok(_) => {
                        let lock = if lock.is_empty() { "NONE" } else { lock };
                        worst(seen, rank, algorithm, lock);
                        return;
                    }
                    Err(refusal) if NOT_THAT_WAY.contains(&refusal.code.as_str()) => {}
                    // The data, or the statement itself: it came so far that this way would have been taken.
                    Err(refusal) => {
                        let code = refusal.code;
                        seen.notes.push(format!("{algorithm} {lock}: {code}"));
                        return;
                    }
                }
            }
        }
        seen.notes.push(format!("takes no ALGORITHM: {statement}"));
        let _ = self.attempt(statement).await;
    }

    async fn make(&mut self, case: &Case, shape_sql: &str) {
        // What an earlier case set in its session is gone with the session.
        self.conn = connect(&self.database).await;
        let drop = self.removal().await;
        for sql in [drop.as_str(), shape_sql, &case.setup] {
            if let Err(error) = self.conn.query_drop(sql).await
                && !sql.trim().is_empty()
            {
                let server = self.server.title();
                panic!("{} cannot be made on {server}: {error}", case.name);
            }
        }
    }

    /// What removes an earlier case's objects.
    async fn removal(&mut self) -> String {
        let own = "TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT IN ('digits', 'numbers')";
        let sql =
            format!("SELECT TABLE_TYPE, TABLE_NAME FROM information_schema.TABLES WHERE {own}");
        let rows = self.rows(&sql).await;
        let drops = rows.iter().map(|row| match row[0].as_str() {
            "VIEW" => format!("DROP VIEW `{}`;", row[1]),
            _ => format!("DROP TABLE `{}`;", row[1]),
        });
        let drops: String = drops.collect();
        format!(
            "SET lock_wait_timeout = 20, foreign_key_checks = 0; {drops} DROP PROCEDURE IF EXISTS versions; \
             SET foreign_key_checks = 1"
        )
    }

    async fn attempt(&mut self, statement: &str) -> Result<u64, Refusal> {
        match self.conn.query_drop(statement).await {
            Ok(()) => Ok(self.conn.affected_rows()),
            Err(mysql_async::Error::Server(said)) => Err(Refusal {
                code: said.code.to_string(),
                message: said.message,
            }),
            Err(other) => panic!("the connection broke at `{statement}`: {other}"),
        }
    }

    async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let rows: Vec<Row> = self
            .conn
            .query(sql)
            .await
            .unwrap_or_else(|error| panic!("`{sql}` fails: {error}"));
        let text = |value: Value| match value {
            Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::NULL => String::new(),
            other => other.as_sql(false),
        };
        rows.into_iter()
            .map(|row| row.unwrap().into_iter().map(text).collect())
            .collect()
    }

    /// The numbers that InnoDB gives to the files of the table and of its partitions: others, if it is written anew.
    async fn ids(&mut self, table: &str) -> Vec<String> {
        let name = self.database.name();
        let tables = self.tables;
        let sql = format!(
            "SELECT TABLE_ID FROM {tables} WHERE NAME = '{name}/{table}' OR NAME LIKE '{name}/{table}#p#%' ORDER BY 1"
        );
        self.rows(&sql).await.into_iter().flatten().collect()
    }

    async fn has_rows(&mut self, case: &Case) -> bool {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", case.table);
        let rows: Result<Vec<Row>, _> = self.conn.query(sql).await;
        rows.is_ok_and(|rows| !rows.is_empty())
    }

    /// How many NULLs there are in each column that a row can give.
    async fn nulls(&mut self, case: &Case) -> Vec<(String, bool, i64)> {
        let (name, table) = (self.database.name(), &case.table);
        let sql = format!(
            "SELECT COLUMN_NAME, IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA = '' AND GENERATION_EXPRESSION <=> '' \
             OR IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA = '' AND GENERATION_EXPRESSION IS NULL \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{name}' AND TABLE_NAME = '{table}'"
        );
        let columns = self.rows(&sql).await;
        if columns.is_empty() {
            return Vec::new();
        }
        let sums: Vec<String> = columns
            .iter()
            .map(|column| format!("SUM(`{}` IS NULL)", column[0]))
            .collect();
        let sql = format!("SELECT {} FROM {table}", sums.join(", "));
        let counts = self.rows(&sql).await.remove(0);
        columns
            .into_iter()
            .zip(counts)
            .map(|(column, nulls)| {
                let bare = column[1] == "1";
                (column[0].clone(), bare, nulls.parse().unwrap_or(0))
            })
            .collect()
    }

    /// Do rows hold values now that nobody gave: in a new column that cannot be NULL and has no default, or where
    /// there was NULL?
    async fn invented(&mut self, case: &Case, before: &[(String, bool, i64)]) -> bool {
        let after = self.nulls(case).await;
        // Where rows are gone, so are their NULLs.
        if !self.has_rows(case).await {
            return false;
        }
        let renames = case.statements.iter().any(|statement| {
            let upper = statement.to_uppercase();
            upper.contains("RENAME COLUMN") || upper.contains(" CHANGE ")
        });
        let vanished = |bare: bool| {
            let gone = before.iter().filter(|(name, had, _)| {
                *had == bare && !after.iter().any(|(column, ..)| column == name)
            });
            gone.count()
        };
        let new = after
            .iter()
            .filter(|(column, bare, _)| *bare && !before.iter().any(|(name, ..)| name == column));
        let excused = if renames { vanished(true) } else { 0 };
        let filled = after.iter().any(|(column, _, nulls)| {
            let had = before.iter().find(|(name, ..)| name == column);
            had.is_some_and(|(_, _, had)| nulls < had)
        });
        filled || new.count() > excused
    }

    async fn counter(&mut self, name: &str) -> i64 {
        let rows = self
            .rows(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))
            .await;
        rows.first()
            .and_then(|row| row[1].parse().ok())
            .unwrap_or_default()
    }

    async fn warnings(&mut self) -> Vec<String> {
        let rows = self.rows("SHOW WARNINGS LIMIT 1").await;
        rows.into_iter()
            .map(|row| format!("{} {}", row[0], row[1]))
            .collect()
    }
}

/// Keeps the slower algorithm, and the stronger lock.
fn worst(seen: &mut Observation, rank: usize, algorithm: &str, lock: &str) {
    let known = seen.algorithm.as_deref();
    let known = ATTEMPTS.iter().position(|(name, _)| Some(*name) == known);
    if known.is_none_or(|known| known < rank) {
        seen.algorithm = Some(algorithm.to_owned());
    }
    let order = ["NONE", "SHARED", "EXCLUSIVE"];
    let at = |lock: &str| order.iter().position(|known| *known == lock);
    if seen.lock.as_deref().and_then(at) < at(lock) {
        seen.lock = Some(lock.to_owned());
    }
}

/// What an ALTER calls its table from then on.
fn renamed(statement: &str) -> Option<&str> {
    let at = statement.to_uppercase().find(" RENAME TO ")?;
    statement[at + " RENAME TO ".len()..]
        .split([',', ' '])
        .next()
}

/// Is the table of a name the same one after a statement? Not where another takes its name.
fn keeps_table(statement: &str) -> bool {
    let upper = statement.to_uppercase();
    let others = [
        "RENAME TABLE",
        "DROP TABLE",
        "CREATE TABLE",
        "CREATE OR REPLACE TABLE",
    ];
    !others.iter().any(|words| upper.starts_with(words))
}

/// Does a statement build an index from the rows of the table, wherever it writes the rest?
fn builds(statement: &str) -> bool {
    let upper = statement.to_uppercase();
    let words = [
        "CREATE INDEX",
        "CREATE OR REPLACE INDEX",
        "CREATE UNIQUE INDEX",
        "CREATE FULLTEXT INDEX",
        "CREATE SPATIAL INDEX",
        "ADD INDEX",
        "ADD KEY",
        "ADD UNIQUE",
        "ADD FULLTEXT",
        "ADD SPATIAL",
        "ADD PRIMARY",
        "UNIQUE",
    ];
    words.iter().any(|word| upper.contains(word))
}

/// Where a statement takes ALGORITHM and LOCK, and what of them it has.
struct Pinned {
    algorithm: Option<String>,
    lock: Option<String>,
    /// The length of `ALTER TABLE name `; none: they go to the end.
    head: Option<usize>,
}

impl Pinned {
    fn of(statement: &str) -> Option<Pinned> {
        let upper = statement.to_uppercase();
        let value = |word: &str| {
            let (_, rest) = upper.split_once(word)?;
            let rest = rest.trim_start_matches([' ', '=']);
            let end = rest.find(|c: char| !c.is_ascii_alphabetic());
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        };
        let words: Vec<&str> = upper.split_whitespace().collect();
        let head = match words.as_slice() {
            ["ALTER", "TABLE", table, ..] => {
                let at = upper.find(&format!(" {table} "))?;
                Some(at + table.len() + 2)
            }
            ["CREATE", "INDEX", ..] | ["CREATE", _, "INDEX", ..] | ["DROP", "INDEX", ..] => None,
            _ => return None,
        };
        Some(Pinned {
            algorithm: value("ALGORITHM"),
            lock: value("LOCK=").or_else(|| value(" LOCK ")),
            head,
        })
    }

    fn with(&self, statement: &str, algorithm: &str, lock: &str) -> String {
        let mut parts = Vec::new();
        if self.algorithm.is_none() {
            parts.push(format!("ALGORITHM={algorithm}"));
        }
        if self.lock.is_none() && !lock.is_empty() {
            parts.push(format!("LOCK={lock}"));
        }
        match self.head {
            _ if parts.is_empty() => statement.to_owned(),
            Some(at) => {
                let (head, rest) = statement.split_at(at);
                let own = rest.to_uppercase();
                // How a table is partitioned stands behind its actions, not among them.
                let alone = ["PARTITION BY", "REMOVE PARTITIONING"];
                let comma = match alone.iter().any(|words| own.starts_with(words)) {
                    true => "",
                    false => ",",
                };
                format!("{head}{}{comma} {rest}", parts.join(", "))
            }
            None => format!("{statement} {}", parts.join(" ")),
        }
    }
}

async fn connect(database: &TestDatabase) -> Conn {
    let opts = Opts::from_url(&database.admin_dsn()).expect("the admin's connection string");
    let opts = OptsBuilder::from_opts(opts).prefer_socket(false);
    Conn::new(opts).await.expect("the admin can log in")
}

#[tokio::test]
async fn judged() {
    crate::judge(false).await;
}

#[test]
fn a_statement_is_asked_for_as_cheaply_as_it_allows() {
    #[track_caller]
    fn check(statement: &str, expect: &str) {
        let pinned = Pinned::of(statement).expect("one that takes ALGORITHM");
        assert_eq!(pinned.with(statement, "INPLACE", "NONE"), expect);
    }
    check(
        "ALTER TABLE t ADD COLUMN x int",
        "ALTER TABLE t ALGORITHM=INPLACE, LOCK=NONE, ADD COLUMN x int",
    );
    check(
        "CREATE UNIQUE INDEX i ON t (a)",
        "CREATE UNIQUE INDEX i ON t (a) ALGORITHM=INPLACE LOCK=NONE",
    );
    check(
        "ALTER TABLE t FORCE, ALGORITHM=COPY",
        "ALTER TABLE t LOCK=NONE, FORCE, ALGORITHM=COPY",
    );
    check(
        "ALTER TABLE t PARTITION BY HASH (id)",
        "ALTER TABLE t ALGORITHM=INPLACE, LOCK=NONE PARTITION BY HASH (id)",
    );
    let both = "ALTER TABLE t FORCE, LOCK=SHARED, ALGORITHM=INPLACE";
    check(both, both);
    assert!(Pinned::of("TRUNCATE t").is_none());
}
