//! Trials: a migration's statements on an empty copy of their table, in a schema of ours that is dropped again.
//!
//! DDL is no transaction here, so a crash leaves the schema behind. Its name follows from the database's, and whoever
//! tries next drops it first: an advisory lock, which ends with its session, says that nobody uses it meanwhile. A schema
//! of that name that holds anything but an empty copy is not ours, and nothing is tried.
//!
//! The cheapest way that the server takes is found by asking for each in turn, as its manual has them (MySQL 8.4 manual,
//! section 17.12; MariaDB, ALTER TABLE): what it cannot do it refuses at once, and changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::operation::{Algorithm, Locking};
use dbop_model::table::TableName;
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{Engine, Fact, Why};

use crate::connect::Server;
use crate::link::{Hold, LOCK_TIMEOUT, STATEMENT_TIMEOUT};
use crate::{facts, lock, parse, query};

/// What the names of the schemas begin with; the rest is the hash of the database's name.
const SCHEMA_PREFIX: &str = "dbop_scratch_";
/// The copy.
const COPY: &str = "dbop_scratch";
/// How long the copy waits for a lock; the server counts in seconds.
const COPY_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The ways in which MySQL changes a table, the cheapest first. None lets others write while it copies.
const OF_MYSQL: [(Algorithm, Locking); 4] = [
    (Algorithm::Instant, Locking::None),
    (Algorithm::InPlace, Locking::None),
    (Algorithm::InPlace, Locking::Shared),
    (Algorithm::Copy, Locking::Shared),
];
/// Those of MariaDB, which copies beside writers from 11.2 on.
const OF_MARIADB: [(Algorithm, Locking); 7] = [
    (Algorithm::Instant, Locking::None),
    (Algorithm::NoCopy, Locking::None),
    (Algorithm::NoCopy, Locking::Shared),
    (Algorithm::InPlace, Locking::None),
    (Algorithm::InPlace, Locking::Shared),
    (Algorithm::Copy, Locking::None),
    (Algorithm::Copy, Locking::Shared),
];

/// The schema for empty copies of a database's tables, on which statements are tried (`hints.probes: Scratch`): where one of
/// this name is there, an operator is at it, or was killed at it.
pub fn scratch_schema(database: &str) -> String {
    format!("{SCHEMA_PREFIX}{}", lock::hash(database))
}

/// Tries statements, those about one table one after the other.
pub(crate) async fn try_on_copies(
    hold: &Hold<'_>,
    server: &Server,
    attempts: &[Attempt],
    timeout: Duration,
) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
    let limits = facts::limits(server.engine, timeout, COPY_LOCK_TIMEOUT);
    hold.run(&limits).await?;
    let name = lock::name("try", &server.database);
    let alone = match hold.rows(&query::try_lock(&name, 0)?).await {
        Ok(rows) => parse::boolean(hold.operation(), &rows)?,
        Err(lost @ DatabaseError::Lost { .. }) => return Err(lost),
        Err(_) => false,
    };
    let trials = if alone {
        let tried = in_schema(hold, server, attempts).await;
        hold.run(&query::unlock(&name)?).await?;
        tried?
    } else {
        let why = Why::passing("another session is just trying statements on this database");
        all_unknown(attempts, &why)
    };
    let limits = facts::limits(server.engine, STATEMENT_TIMEOUT, LOCK_TIMEOUT);
    hold.run(&limits).await?;
    Ok(trials)
}

fn all_unknown(attempts: &[Attempt], why: &Why) -> BTreeMap<usize, Fact<Trial>> {
    attempts
        .iter()
        .map(|attempt| (attempt.statement, Fact::Unknown(why.clone())))
        .collect()
}

/// With the schema made before, and dropped after.
async fn in_schema(
    hold: &Hold<'_>,
    server: &Server,
    attempts: &[Attempt],
) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
    let schema = scratch_schema(&server.database);
    if let Err(why) = sweep(hold, &schema).await? {
        return Ok(all_unknown(attempts, &why));
    }
    let create = format!("CREATE DATABASE {}", query::name(&schema)?);
    if let Err(error) = hold.run(&create).await {
        return not_lost(error).map(|error| all_unknown(attempts, &not_made(&error)));
    }
    let mut by_table: BTreeMap<&TableName, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        by_table.entry(&attempt.table).or_default().push(attempt);
    }
    let mut trials = BTreeMap::new();
    let mut tried = Ok(());
    for (table, attempts) in by_table {
        tried = on_copy(hold, server, &schema, table, &attempts, &mut trials).await;
        if tried.is_err() {
            break;
        }
        for attempt in attempts {
            trials.entry(attempt.statement).or_insert_with(|| {
                Fact::Unknown(Why::new("a statement before it could not be tried"))
            });
        }
    }
    // Whatever came of it: nothing of it stays.
    let drop = format!("DROP DATABASE IF EXISTS {}", query::name(&schema)?);
    hold.run(&drop).await?;
    tried.map(|()| trials)
}

/// Drops what a crash left behind. The reason where it is not ours to drop.
async fn sweep(hold: &Hold<'_>, schema: &str) -> Result<Result<(), Why>, DatabaseError> {
    let literal = query::text(schema)?;
    let count = format!(
        "SELECT COUNT(*) FROM information_schema.SCHEMATA s WHERE s.SCHEMA_NAME = {literal}"
    );
    if hold.rows(&count).await? == [[Some("0".to_owned())]] {
        return Ok(Ok(()));
    }
    let tables = format!(
        "SELECT t.TABLE_NAME FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = {literal} LIMIT 2"
    );
    let tables = hold.rows(&tables).await?;
    let is_copy = |row: &Vec<Option<String>>| row == &[Some(COPY.to_owned())];
    let mut is_ours = tables.is_empty() || (tables.len() == 1 && tables.iter().all(is_copy));
    if is_ours && !tables.is_empty() {
        let any = format!("SELECT 1 FROM {} LIMIT 1", query::qualified(schema, COPY)?);
        is_ours = hold.rows(&any).await?.is_empty();
    }
    if !is_ours {
        return Ok(Err(Why::new(format!(
            "there is a schema {schema} that holds other things than an empty copy; nothing is tried while it is there"
        ))));
    }
    let drop = format!("DROP DATABASE IF EXISTS {}", query::name(schema)?);
    match hold.run(&drop).await {
        Ok(()) => Ok(Ok(())),
        Err(error) => not_lost(error).map(|error| Err(not_made(&error))),
    }
}

/// Makes the copy and tries, until a statement is refused: what follows it never runs.
async fn on_copy(
    hold: &Hold<'_>,
    server: &Server,
    schema: &str,
    table: &TableName,
    attempts: &[&Attempt],
    trials: &mut BTreeMap<usize, Fact<Trial>>,
) -> Result<(), DatabaseError> {
    let Some(first) = attempts.first() else {
        return Ok(());
    };
    let copy = query::qualified(schema, COPY)?;
    let database = table.schema().unwrap_or(&server.database);
    let of = query::qualified(database, table.name())?;
    if let Err(error) = hold.run(&format!("CREATE TABLE {copy} LIKE {of}")).await {
        let why = not_made(&not_lost(error)?);
        trials.insert(first.statement, Fact::Unknown(why));
        return Ok(());
    }
    for attempt in attempts {
        let trial = try_one(hold, server.engine, attempt, &copy).await?;
        let goes_on = matches!(trial, Fact::Known(Trial::Done { .. }));
        trials.insert(attempt.statement, trial);
        if !goes_on {
            break;
        }
    }
    hold.run(&format!("DROP TABLE {copy}")).await
}

async fn try_one(
    hold: &Hold<'_>,
    engine: Engine,
    attempt: &Attempt,
    copy: &str,
) -> Result<Fact<Trial>, DatabaseError> {
    let sql = attempt.around.of(copy);
    if attempt.pinned {
        return Ok(match hold.run(&sql).await {
            Ok(()) => Fact::Known(Trial::Done {
                algorithm: None,
                locking: None,
                rewrites: None,
            }),
            Err(error) => outcome(&not_lost(error)?),
        });
    }
    let ways: &[_] = match engine {
        Engine::MariaDb => &OF_MARIADB,
        Engine::MySql | Engine::PostgreSql => &OF_MYSQL,
    };
    let alters = sql.trim_start().to_ascii_lowercase().starts_with("alter");
    let mut refused = None;
    for (algorithm, locking) in ways {
        let comma = if alters { "," } else { "" };
        let lock = match algorithm {
            // INSTANT goes with no lock of its own.
            Algorithm::Instant => String::new(),
            _ => format!("{comma} LOCK={locking}"),
        };
        match hold
            .run(&format!("{sql}{comma} ALGORITHM={algorithm}{lock}"))
            .await
        {
            Ok(()) => {
                return Ok(Fact::Known(Trial::Done {
                    algorithm: Some(*algorithm),
                    locking: Some(*locking),
                    rewrites: None,
                }));
            }
            Err(error) => {
                let error = not_lost(error)?;
                if !is_of_the_way(&error) {
                    return Ok(outcome(&error));
                }
                refused = Some(error);
            }
        }
    }
    let why = refused.map_or_else(String::new, |error| error.to_string());
    Ok(Fact::Unknown(Why::new(format!(
        "the server takes none of the known ways: {why}"
    ))))
}

/// Is it the algorithm or the lock that the server refuses, or the grammar of this statement does not have?
fn is_of_the_way(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Server { code, .. }
        if matches!(code.as_str(), "1800" | "1801" | "1845" | "1846" | "1064"))
}

/// A broken connection ends the look; anything else is an outcome.
fn not_lost(error: DatabaseError) -> Result<DatabaseError, DatabaseError> {
    match error {
        lost @ DatabaseError::Lost { .. } => Err(lost),
        other => Ok(other),
    }
}

fn not_made(error: &DatabaseError) -> Why {
    let missing = matches!(error, DatabaseError::Server { code, .. }
        if matches!(code.as_str(), "1044" | "1142" | "1227" | "1370"));
    let help = if missing {
        format!(
            "; what helps: GRANT ALL PRIVILEGES ON `{}%`.* TO the admin",
            SCHEMA_PREFIX.replace('_', "\\_")
        )
    } else {
        String::new()
    };
    Why::new(format!("no copy can be made: {error}{help}"))
}

/// What a refusal says: of the statement, or of the trial.
fn outcome(error: &DatabaseError) -> Fact<Trial> {
    // For want of a right or of room; of a table or a schema that the migration may have and the copy has not; of a value
    // that hangs on the session's sql_mode (MySQL's server error message reference).
    const OF_THE_TRIAL: [&str; 14] = [
        "1044", "1142", "1143", "1227", "1370", "1049", "1146", "1114", "1030", "1021", "1067",
        "1213", "1205", "1064",
    ];
    match error {
        DatabaseError::Server { code, message, .. } if !OF_THE_TRIAL.contains(&code.as_str()) => {
            Fact::Known(Trial::Refused {
                code: code.clone(),
                message: message.clone(),
            })
        }
        other => Fact::Unknown(Why::new(format!("the trial told nothing: {other}"))),
    }
}
