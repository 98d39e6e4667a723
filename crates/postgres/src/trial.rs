//! Trials: a migration's statements on an empty copy of their table, in a transaction that is taken back.
//!
//! The copy is a temporary table: nobody else sees it, and nothing of it is left, whatever happens. The user's table is
//! read from the catalogue alone (`LIKE`), under ACCESS SHARE and for the moment of the trial.
//!
//! **All of it runs as the admin**, so nothing may run that somebody else wrote: a table whose columns, defaults or
//! checks use a function, an operator or a type that is not the server's own is not copied, no index is but the primary
//! key's, names are looked up in `pg_catalog` alone, and expressions of the statement may call a few functions of the
//! server's and no others.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_database::expression::{Grammar, harmless};
use dbop_model::table::TableName;
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{Fact, Why};

use crate::facts::quoted_table;
use crate::link::Hold;

/// The copy, which only this session can see.
const COPY: &str = "pg_temp.dbop_scratch";
/// How long the copy waits for a lock: only ACCESS EXCLUSIVE on the table is in its way.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Does the table, a check or a default of it use what is not the server's own? On what is the server's own no dependency
/// is recorded (PostgreSQL manual, section 52.18). `table` is a text of its name.
fn uses_others(table: &str) -> String {
    format!(
        "WITH of_table AS (SELECT {table}::pg_catalog.regclass::oid AS oid)
         SELECT EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             WHERE d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass,
                                    'pg_catalog.pg_type'::regclass)
               AND (d.classid, d.objid) IN (
                     SELECT 'pg_catalog.pg_class'::regclass::oid, t.oid FROM of_table t
                     UNION ALL
                     SELECT 'pg_catalog.pg_constraint'::regclass, c.oid
                     FROM of_table t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid
                     UNION ALL
                     SELECT 'pg_catalog.pg_attrdef'::regclass, a.oid
                     FROM of_table t JOIN pg_catalog.pg_attrdef a ON a.adrelid = t.oid))"
    )
}

/// The columns of the table's primary key, quoted; NULL where it has none.
fn primary_key(table: &str) -> String {
    format!(
        "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.nth)
         FROM pg_catalog.pg_constraint c
         CROSS JOIN unnest(c.conkey) WITH ORDINALITY k (attnum, nth)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
         WHERE c.conrelid = {table}::pg_catalog.regclass AND c.contype = 'p'"
    )
}

/// Tries statements, those about one table one after the other.
pub(crate) async fn try_on_copies(
    hold: &Hold<'_>,
    attempts: &[Attempt],
    timeout: Duration,
) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
    let mut by_table: BTreeMap<&TableName, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        by_table.entry(&attempt.table).or_default().push(attempt);
    }
    let mut trials = BTreeMap::new();
    for (table, attempts) in by_table {
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {statement}; \
             SET LOCAL search_path = pg_catalog, pg_temp",
            // Zero would mean no limit at all.
            statement = timeout.as_millis().max(1),
            lock = LOCK_TIMEOUT.as_millis(),
        );
        let tried = match hold.run(&begin).await {
            Ok(()) => on_copy(hold, table, &attempts, &mut trials).await,
            Err(error) => unless_lost(error, |error| {
                for attempt in &attempts {
                    let why = not_copied(table, error);
                    trials.insert(attempt.statement, Fact::Unknown(why));
                }
            }),
        };
        // Whatever came of it: nothing of it stays.
        hold.run("ROLLBACK")
            .await
            .map_err(|_| DatabaseError::Lost {
                operation: hold.operation(),
            })?;
        tried?;
        for attempt in attempts {
            let why = || Why::new("a statement before it could not be tried");
            trials
                .entry(attempt.statement)
                .or_insert_with(|| Fact::Unknown(why()));
        }
    }
    Ok(trials)
}

/// Makes the copy and tries, until a statement is refused: what follows it never runs.
async fn on_copy(
    hold: &Hold<'_>,
    table: &TableName,
    attempts: &[&Attempt],
    trials: &mut BTreeMap<usize, Fact<Trial>>,
) -> Result<(), DatabaseError> {
    let Some(first) = attempts.first() else {
        return Ok(());
    };
    let name = quoted_table(table);
    let literal = format!("'{}'", name.replace('\'', "''"));
    match copy(hold, &name, &literal).await {
        Ok(true) => {}
        Ok(false) => {
            let why = format!(
                "{table} uses functions, operators or types that are not the server's own, which a copy would run as \
                 the admin"
            );
            trials.insert(first.statement, Fact::Unknown(Why::new(why)));
            return Ok(());
        }
        Err(error) => {
            return unless_lost(error, |error| {
                trials.insert(first.statement, Fact::Unknown(not_copied(table, error)));
            });
        }
    }
    for attempt in attempts {
        let refused = attempt
            .expressions
            .iter()
            .find_map(|text| harmless(text, Grammar::PostgreSql).err());
        if let Some(why) = refused {
            let why = Why::new(format!("it is not tried: {why}"));
            trials.insert(attempt.statement, Fact::Unknown(why));
            return Ok(());
        }
        let before = files(hold).await?;
        match hold.run_single(&attempt.around.of(COPY)).await {
            Ok(()) => {
                let after = files(hold).await?;
                let done = Trial::Done {
                    algorithm: None,
                    locking: None,
                    rewrites: Some(before != after),
                };
                trials.insert(attempt.statement, Fact::Known(done));
            }
            Err(error) => {
                return unless_lost(error, |error| {
                    trials.insert(attempt.statement, outcome(error));
                });
            }
        }
    }
    Ok(())
}

/// Makes the copy. False: what somebody else wrote would run in it.
///
/// The lock that a reader takes keeps everybody from giving the table another check or default after the look. It does not
/// keep an index away, so none is copied but the primary key's.
async fn copy(hold: &Hold<'_>, name: &str, literal: &str) -> Result<bool, DatabaseError> {
    hold.run_single(&format!("LOCK TABLE {name} IN ACCESS SHARE MODE"))
        .await?;
    if value(hold, &uses_others(literal)).await?.as_deref() != Some("f") {
        return Ok(false);
    }
    let like = "INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS";
    hold.run_single(&format!("CREATE TABLE {COPY} (LIKE {name} {like})"))
        .await?;
    if let Some(columns) = value(hold, &primary_key(literal)).await? {
        hold.run_single(&format!("ALTER TABLE {COPY} ADD PRIMARY KEY ({columns})"))
            .await?;
    }
    Ok(true)
}

/// The file of the copy: a table that is written anew gets another.
async fn files(hold: &Hold<'_>) -> Result<Option<String>, DatabaseError> {
    let sql = format!("SELECT pg_catalog.pg_relation_filenode('{COPY}'::regclass)");
    value(hold, &sql).await
}

/// The only value of an answer.
async fn value(hold: &Hold<'_>, sql: &str) -> Result<Option<String>, DatabaseError> {
    let rows = hold.rows(sql).await?;
    Ok(rows.first().and_then(|row| row.first()).cloned().flatten())
}

/// A broken connection ends the look; anything else is an outcome.
fn unless_lost(
    error: DatabaseError,
    note: impl FnOnce(&DatabaseError),
) -> Result<(), DatabaseError> {
    if matches!(error, DatabaseError::Lost { .. }) {
        return Err(error);
    }
    note(&error);
    Ok(())
}

fn not_copied(table: &TableName, error: &DatabaseError) -> Why {
    let missing = matches!(error, DatabaseError::Server { code, .. } if code == "42501");
    let help = if missing {
        "; a copy needs SELECT on the table, and TEMPORARY on the database"
    } else {
        ""
    };
    Why::new(format!("no copy of {table} can be made: {error}{help}"))
}

/// What a refusal says: of the statement, or of the trial.
fn outcome(error: &DatabaseError) -> Fact<Trial> {
    match error {
        DatabaseError::Server { code, message, .. } if is_of_the_statement(code) => {
            Fact::Known(Trial::Refused {
                code: code.clone(),
                message: message.clone(),
            })
        }
        other => Fact::Unknown(Why::new(format!("the trial told nothing: {other}"))),
    }
}

/// Would the table be refused the same? Not for want of a right, of an object that names without a schema may mean for
/// the migration, or of memory (PostgreSQL manual, appendix A).
fn is_of_the_statement(code: &str) -> bool {
    const OF_THE_TRIAL: [&str; 9] = [
        "42501", // insufficient_privilege
        "42704", // undefined_object: a type of another schema
        "42883", // undefined_function
        "42P01", // undefined_table
        "42P02", // undefined_parameter
        "3F000", // invalid_schema_name
        "42P06", // duplicate_schema
        "42P07", // duplicate_table: an index of that name
        "42710", // duplicate_object
    ];
    let class = &code[..code.len().min(2)];
    matches!(class, "42" | "22" | "54") && !OF_THE_TRIAL.contains(&code) || code == "0A000"
}
