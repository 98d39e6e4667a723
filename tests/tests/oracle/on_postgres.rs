//! PostgreSQL, watched: the locks of the session, the files of tables and indexes, and rows read by sequential
//! scans, before and after a statement. No knowledge of what is predicted.
//!
//! A statement runs in a transaction that is rolled back, so that a shape is made once. What cannot run in one is
//! watched by another session, while a third holds it up with a writer's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbop_tests::{TestDatabase, TestServer};
use futures_util::StreamExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::catalogue::Case;
use crate::observation::Observation;

/// Tables and indexes of the schema: number, name, kind, file, rows read by sequential scans.
const RELATIONS: &str =
    "SELECT c.oid, c.relname, c.relkind, coalesce(pg_relation_filenode(c.oid), 0),
        pg_stat_get_xact_tuples_returned(c.oid), coalesce(i.indrelid, c.oid)
    FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'i', 'I')";
/// The numbers of a table's partitions, all levels, and its own.
const TREE: &str = "SELECT relid::oid FROM pg_partition_tree('$TABLE')
    UNION SELECT '$TABLE'::regclass::oid";
/// How long a look at a session that is held up may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a session that works is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Locks, the weakest first (manual, section 13.3.1), as `pg_locks` calls them and as statements do.
const MODES: [(&str, &str); 8] = [
    ("AccessShareLock", "ACCESS SHARE"),
    ("RowShareLock", "ROW SHARE"),
    ("RowExclusiveLock", "ROW EXCLUSIVE"),
    ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
    ("ShareLock", "SHARE"),
    ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
    ("ExclusiveLock", "EXCLUSIVE"),
    ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
];
/// The table beside the one that cases are about, which is small in every shape.
const SMALL: &str = "u";
/// From this one on nobody writes beside it: `SHARE`.
const STOPS_WRITES: usize = 4;
/// Beside this one nobody reads: `ACCESS EXCLUSIVE`.
const STOPS_READS: usize = 7;

/// A server on which cases run.
pub(crate) struct Postgres {
    server: TestServer,
    /// For each shape a database in which nothing is ever committed.
    shapes: BTreeMap<String, (TestDatabase, Watched)>,
    /// A database for cases that leave something behind.
    other: TestDatabase,
}

/// A connection, and what the server said on it beside answers.
struct Watched {
    client: Client,
    /// Another session, which waits for no lock: for what others meet.
    witness: Client,
    said: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    async fn of(database: &TestDatabase) -> Watched {
        let (client, mut connection) = tokio_postgres::connect(&database.admin_dsn(), NoTls)
            .await
            .expect("the admin can log in");
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&said);
        tokio::spawn(async move {
            let mut messages =
                futures_util::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    keep.lock().unwrap().push(notice.message().to_owned());
                }
            }
        });
        // Workers would read rows that are counted as theirs.
        let settings = "SET client_min_messages = debug1; SET max_parallel_maintenance_workers = 0;
            SET max_parallel_workers_per_gather = 0; SET statement_timeout = '60s'";
        client.batch_execute(settings).await.expect("settings");
        let (witness, connection) = tokio_postgres::connect(&database.admin_dsn(), NoTls)
            .await
            .expect("the admin can log in");
        tokio::spawn(connection);
        let settings = "SET lock_timeout = '20ms'";
        witness.batch_execute(settings).await.expect("settings");
        Watched {
            client,
            witness,
            said,
        }
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let messages = self
            .client
            .simple_query(sql)
            .await
            .unwrap_or_else(|error| panic!("`{sql}` fails: {error:?}"));
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            let values = (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned());
            values.collect()
        })
        .collect()
    }

    async fn relations(&self) -> Relations {
        let rows = self.rows(RELATIONS).await;
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let of = |row: Vec<String>| {
            let relation = Relation {
                name: row[1].clone(),
                is_index: matches!(row[2].as_str(), "i" | "I"),
                file: number(&row[3]),
                read: number(&row[4]),
                table: number(&row[5]),
            };
            (number(&row[0]), relation)
        };
        rows.into_iter().map(of).collect()
    }

    async fn tree(&self, table: &str) -> Vec<i64> {
        let rows = self.rows(&TREE.replace("$TABLE", table)).await;
        rows.iter()
            .map(|row| row[0].parse().expect("a number"))
            .collect()
    }

    /// Locks on tables that a session holds or waits for.
    async fn locks(&self, pid: &str) -> Vec<(i64, usize)> {
        let sql = format!(
            "SELECT relation::bigint, mode FROM pg_locks WHERE pid = {pid} AND locktype = 'relation' AND relation >= 16384"
        );
        let rows = self.rows(&sql).await;
        rows.iter()
            .filter_map(|row| {
                let rank = MODES.iter().position(|(mode, _)| *mode == row[1])?;
                Some((row[0].parse().expect("a number"), rank))
            })
            .collect()
    }
}

#[derive(Debug, Clone)]
struct Relation {
    name: String,
    is_index: bool,
    file: i64,
    read: i64,
    /// Of an index: whose it is; else itself.
    table: i64,
}

type Relations = BTreeMap<i64, Relation>;

impl Postgres {
    pub(crate) async fn new(server: &TestServer) -> Postgres {
        Postgres {
            server: server.clone(),
            shapes: BTreeMap::new(),
            other: server.database("oracle").await,
        }
    }

    /// Makes the shape of a case, and gives the connection string by which it is judged.
    pub(crate) async fn prepare(&mut self, case: &Case) -> String {
        if stays(case) {
            let fresh = Watched::of(&self.other).await;
            let made = format!(
                "SET client_min_messages = warning; DROP OWNED BY CURRENT_USER CASCADE; {}\n;{}",
                case.shape_sql, case.setup
            );
            run(&fresh, &made, case).await;
            return self.other.admin_dsn();
        }
        if !self.shapes.contains_key(&case.shape.name) {
            let database = self.server.database("oracle").await;
            let watched = Watched::of(&database).await;
            run(&watched, &case.shape_sql, case).await;
            self.shapes
                .insert(case.shape.name.clone(), (database, watched));
        }
        self.shapes[&case.shape.name].0.admin_dsn()
    }

    /// Runs a case that is prepared.
    pub(crate) async fn observe(&self, case: &Case) -> Observation {
        if case.outside {
            return self.outside(case).await;
        }
        let fresh;
        let watched = match self.shapes.get(&case.shape.name) {
            Some((_, watched)) if !stays(case) => watched,
            _ => {
                fresh = Watched::of(&self.other).await;
                &fresh
            }
        };
        let mut seen = Seen::default();
        let mut open = false;
        for statement in &case.statements {
            if !open {
                watched.client.batch_execute("BEGIN").await.expect("begin");
                open = true;
            }
            let tree = watched.tree_or_none(&case.table, seen.tree.clone()).await;
            let before = watched.relations().await;
            watched.said.lock().unwrap().clear();
            if let Err(error) = watched.client.batch_execute(statement).await {
                seen.error = Some(code(&error));
                seen.notes.push(words(&error));
                break;
            }
            let messages = watched.said.lock().unwrap().clone();
            let after = watched.relations().await;
            let locks = watched.locks("pg_backend_pid()").await;
            seen.tree = tree;
            seen.take_in(case, &before, &after, &locks, &messages);
            if !case.shape.name.contains("partitioned") {
                self.confirm(case, watched, &before, &locks, &seen).await;
            }
            if !case.transaction && stays(case) {
                watched
                    .client
                    .batch_execute("COMMIT")
                    .await
                    .expect("commit");
                open = false;
            }
        }
        if open {
            watched
                .client
                .batch_execute("ROLLBACK")
                .await
                .expect("rollback");
        }
        seen.observation(case)
    }

    /// A reader and a writer beside the open transaction wait or do not wait as its locks say.
    async fn confirm(
        &self,
        case: &Case,
        watched: &Watched,
        before: &Relations,
        locks: &[(i64, usize)],
        seen: &Seen,
    ) {
        // A table that the transaction made is nobody else's.
        if !seen.tables.contains(&case.table) {
            return;
        }
        let (mut strongest, mut of_index) = (0, 0);
        for (number, rank) in locks {
            match before.get(number) {
                Some(index) if index.is_index && seen.tree.contains(&index.table) => {
                    of_index = of_index.max(*rank);
                }
                Some(_) if seen.tree.contains(number) => strongest = strongest.max(*rank),
                _ => {}
            }
        }
        // Whoever plans a query locks the table's indexes.
        let no_plan = of_index == STOPS_READS;
        let witness = &watched.witness;
        for (asked, expect) in [
            (
                format!("SELECT FROM {} LIMIT 0", case.table),
                strongest >= STOPS_READS || no_plan,
            ),
            (
                format!("DELETE FROM {} WHERE false", case.table),
                strongest >= STOPS_WRITES || no_plan,
            ),
        ] {
            let waits = match witness.batch_execute(&asked).await {
                Ok(()) => false,
                Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => true,
                // The table is not there any more for others either, since an earlier statement was committed.
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return,
                Err(error) => panic!("{}: `{asked}` fails: {error:?}", case.name),
            };
            assert_eq!(
                waits, expect,
                "{}: `{asked}` waits or does not, against the locks {locks:?}",
                case.name
            );
        }
    }

    /// Runs a statement that must be in no transaction.
    async fn outside(&self, case: &Case) -> Observation {
        let (works, writer, watcher) = (
            Watched::of(&self.other).await,
            Watched::of(&self.other).await,
            Watched::of(&self.other).await,
        );
        let pid = works.rows("SELECT pg_backend_pid()").await[0][0].clone();
        let tree = watcher.tree(&case.table).await;
        let mut seen = Seen {
            tree,
            ..Seen::default()
        };
        for statement in &case.statements {
            let before = watcher.relations().await;
            let hold = format!("BEGIN; LOCK TABLE {} IN ROW EXCLUSIVE MODE", case.table);
            writer.client.batch_execute(&hold).await.expect("a lock");
            works.said.lock().unwrap().clear();
            let mut locks = Vec::new();
            let running = works.client.batch_execute(statement);
            tokio::pin!(running);
            let mut held = true;
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let outcome = loop {
                tokio::select! {
                    outcome = &mut running => break outcome,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                locks.extend(watcher.locks(&pid).await);
                let waits = format!("SELECT 1 FROM pg_locks WHERE pid = {pid} AND NOT granted");
                let late = tokio::time::Instant::now() > deadline;
                if held && (late || !watcher.rows(&waits).await.is_empty()) {
                    writer.client.batch_execute("COMMIT").await.expect("commit");
                    held = false;
                }
            };
            if held {
                writer.client.batch_execute("COMMIT").await.expect("commit");
            }
            let messages = works.said.lock().unwrap().clone();
            if let Err(error) = outcome {
                seen.error = Some(code(&error));
                seen.notes.push(words(&error));
                break;
            }
            let after = watcher.relations().await;
            seen.take_in(case, &before, &after, &locks, &messages);
        }
        seen.observation(case)
    }
}

impl Watched {
    /// The tree of a table that an earlier statement may have dropped or renamed.
    async fn tree_or_none(&self, table: &str, known: Vec<i64>) -> Vec<i64> {
        let there = self
            .rows(&format!("SELECT to_regclass('{table}') IS NOT NULL"))
            .await;
        match there[0][0].as_str() {
            "t" => self.tree(table).await,
            _ => known,
        }
    }
}

/// Does a case leave something behind, or need a shape of its own?
fn stays(case: &Case) -> bool {
    !case.setup.is_empty() || case.outside || (case.statements.len() > 1 && !case.transaction)
}

async fn run(watched: &Watched, sql: &str, case: &Case) {
    if let Err(error) = watched.client.batch_execute(sql).await {
        panic!("the shape of {} cannot be made: {error:?}", case.name);
    }
}

fn code(error: &tokio_postgres::Error) -> String {
    match error.code() {
        Some(code) => code.code().to_owned(),
        None => panic!("the connection broke: {error}"),
    }
}

fn words(error: &tokio_postgres::Error) -> String {
    // Details hold values of rows; the message alone holds names.
    error
        .as_db_error()
        .map_or_else(String::new, |said| said.message().to_owned())
}

/// What was seen so far of a case's statements.
#[derive(Default)]
struct Seen {
    tree: Vec<i64>,
    /// The names of the tables that were there before the case: nobody waits for others.
    tables: BTreeSet<String>,
    /// The strongest lock on each table that was there before.
    locks: BTreeMap<String, (bool, usize)>,
    rewrite: bool,
    scan: bool,
    indexes: usize,
    blocks_reads: bool,
    blocks_writes: bool,
    /// Does it read or write another table than the small one?
    long: bool,
    error: Option<String>,
    notes: Vec<String>,
}

/// What the server says at level DEBUG1 of its work on a table.
struct Told<'a> {
    table: &'a str,
    reads: bool,
}

impl<'a> Told<'a> {
    fn of(message: &'a str) -> Option<Told<'a>> {
        let quoted = |text: &'a str| text.split('"').nth(1);
        if let Some(rest) = message.strip_prefix("building index ") {
            let (_, rest) = rest.split_once(" on table ")?;
            let table = quoted(rest)?;
            return Some(Told { table, reads: true });
        }
        let reads = message.starts_with("verifying table ");
        let table =
            (reads || message.starts_with("rewriting table ")).then(|| quoted(message))??;
        Some(Told { table, reads })
    }
}

impl Seen {
    fn take_in(
        &mut self,
        case: &Case,
        before: &Relations,
        after: &Relations,
        locks: &[(i64, usize)],
        messages: &[String],
    ) {
        if self.tables.is_empty() {
            let tables = before.values().filter(|relation| !relation.is_index);
            self.tables = tables.map(|table| table.name.clone()).collect();
        }
        let mut strongest = 0;
        for (number, rank) in locks {
            let Some(relation) = before.get(number) else {
                continue;
            };
            if relation.is_index {
                // Whoever plans a query locks every index of its tables: without this one nobody reads. A
                // concurrent command takes that lock for an instant, when nobody uses the index any more.
                if *rank == STOPS_READS && !case.outside {
                    strongest = STOPS_READS;
                }
                continue;
            }
            let own = self.tree.contains(number);
            if !own && !self.tables.contains(&relation.name) {
                continue;
            }
            let name = if own {
                String::new()
            } else {
                relation.name.clone()
            };
            let entry = self.locks.entry(name).or_insert((own, 0));
            entry.1 = entry.1.max(*rank);
            strongest = strongest.max(*rank);
        }
        let mut works = false;
        let files: BTreeSet<i64> = before.values().map(|relation| relation.file).collect();
        for (number, now) in after {
            let own = self.tree.contains(&now.table);
            let was = before.get(number);
            if now.is_index {
                // An index of a table that was there, in a file that no index had: one with another number
                // may have taken over a file.
                let built = now.file != 0 && !files.contains(&now.file);
                if built && before.contains_key(&now.table) {
                    self.indexes += 1;
                }
                continue;
            }
            let Some(was) = was.filter(|was| self.tables.contains(&was.name)) else {
                continue;
            };
            if was.file != now.file {
                works = true;
                self.long |= now.name != SMALL;
                self.rewrite |= own;
            }
            if now.read > was.read {
                works = true;
                self.long |= now.name != SMALL;
                self.scan |= own;
                let table = &now.name;
                self.notes
                    .push(format!("read {} rows of {table}", now.read - was.read));
            }
        }
        for message in messages {
            let Some(told) = Told::of(message).filter(|told| self.tables.contains(told.table))
            else {
                continue;
            };
            self.notes.push(message.clone());
            works = true;
            self.long |= told.table != SMALL;
            // The statistics of a session that is in no transaction come late; what it says does not.
            self.scan |= told.reads;
        }
        self.blocks_writes |= works && strongest >= STOPS_WRITES;
        self.blocks_reads |= works && strongest >= STOPS_READS;
    }

    fn observation(mut self, case: &Case) -> Observation {
        let name = |rank: usize| MODES[rank].1.to_owned();
        if case.expect.works == Some(false) {
            (self.scan, self.blocks_reads, self.blocks_writes) = (false, false, false);
        }
        let own = self.locks.get("").map(|(_, rank)| name(*rank));
        let others = self.locks.iter().filter(|(_, (own, _))| !own);
        Observation {
            lock: own,
            other_locks: others
                .map(|(table, (_, rank))| (table.clone(), name(*rank)))
                .collect(),
            algorithm: None,
            rewrite: self.rewrite,
            scan: self.scan,
            indexes: self.indexes,
            blocks_reads: self.blocks_reads,
            blocks_writes: self.blocks_writes,
            long: self.long,
            error: self.error,
            invented: false,
            notes: self.notes,
        }
    }
}

#[tokio::test]
async fn judged() {
    crate::judge(true).await;
}
