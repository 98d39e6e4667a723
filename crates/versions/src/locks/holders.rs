//! The sessions that hold tools' locks: PostgreSQL's advisory locks, and MySQL's named ones.

use std::time::Duration;

use dbop_model::{LockHolder, LoginName, Session, ToolLock, VersionSource, Why};

use super::{keys, shape, tool};
use crate::dialect::{Dialect, QuoteError};
use crate::reading::{Author, Row, Statement, engine_statement};

/// Advisory locks of one database that are looked at; an application may take many.
const LOCKS_MAX: usize = 1000;

/// Rows of (key, database, schema of the tool's table, pid, user, address, application, age in seconds): the
/// advisory locks of this database that are held, of the kind with one number (PostgreSQL manual, section 54.12).
pub(super) fn advisory(source: &VersionSource) -> Result<Statement, QuoteError> {
    let schema = match keys::table(source) {
        None => "NULL".to_owned(),
        Some(table) => format!(
            "(SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.relname = {} \
             ORDER BY 1 LIMIT 1)",
            Dialect::PostgreSql.literal(table.name())?
        ),
    };
    Ok(Statement {
        sql: format!(
            "SELECT ((l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8)::pg_catalog.text, \
             d.datname::pg_catalog.text, {schema}, l.pid::pg_catalog.text, \
             a.usename::pg_catalog.text, pg_catalog.host(a.client_addr), a.application_name, \
             pg_catalog.floor(pg_catalog.date_part('epoch', \
             pg_catalog.clock_timestamp() - a.backend_start))::pg_catalog.int8::pg_catalog.text \
             FROM pg_catalog.pg_locks l \
             JOIN pg_catalog.pg_database d ON d.oid = l.database \
             AND d.datname = pg_catalog.current_database() \
             LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
             ORDER BY l.pid, l.classid, l.objid LIMIT {LOCKS_MAX}"
        ),
        author: Author::Engine,
        rows_max: LOCKS_MAX,
    })
}

/// Those of them that are the tool's.
pub(super) fn of_advisory(source: &VersionSource, rows: &[Row]) -> Result<Vec<ToolLock>, Why> {
    let mut locks = Vec::new();
    for row in rows {
        let [
            Some(key),
            Some(database),
            schema,
            Some(pid),
            user,
            address,
            application,
            age,
        ] = row.as_slice()
        else {
            return Err(shape());
        };
        let key: i64 = key.parse().map_err(|_| shape())?;
        if !keys::is_of(source, key, database, schema.as_deref()) {
            continue;
        }
        let session = session(pid, user, address, application, age)?;
        locks.push(ToolLock {
            tool: tool(source),
            lock: format!("advisory lock {key}"),
            frees: format!("SELECT pg_catalog.pg_terminate_backend({});", session.pid),
            holder: LockHolder::Session(session),
        });
    }
    Ok(locks)
}

/// The database that is connected to, from which MySQL's names of locks are made.
pub(super) fn database() -> Statement {
    engine_statement("SELECT DATABASE()".to_owned())
}

pub(super) fn name_of(rows: &[Row]) -> Result<String, Why> {
    match rows.first().map(Vec::as_slice) {
        Some([Some(name)]) => Ok(name.clone()),
        _ => Err(shape()),
    }
}

/// Rows of (id, user, address and port): who holds a named lock (MySQL manual, section 14.14, `IS_USED_LOCK`; MariaDB
/// has the function, too, and no table of such locks). A holder whom we may not see holds it all the same.
pub(super) fn of_name(name: &str, dialect: Dialect) -> Result<Statement, QuoteError> {
    Ok(engine_statement(format!(
        "SELECT CAST(l.id AS CHAR), p.USER, p.HOST FROM (SELECT IS_USED_LOCK({}) AS id) AS l \
         LEFT JOIN information_schema.PROCESSLIST AS p ON p.ID = l.id WHERE l.id IS NOT NULL",
        dialect.literal(name)?
    )))
}

pub(super) fn of_named(
    source: &VersionSource,
    name: &str,
    rows: &[Row],
) -> Result<Vec<ToolLock>, Why> {
    rows.iter()
        .map(|row| {
            let [Some(id), user, host] = row.as_slice() else {
                return Err(shape());
            };
            // Without the port, which is no part of who it is; an IPv6 address holds colons, too.
            let address = host.as_deref().map(|host| {
                let (address, port) = host.rsplit_once(':').unwrap_or((host, ""));
                let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                if is_port { address } else { host }.to_owned()
            });
            let session = session(id, user, &address, &None, &None)?;
            Ok(ToolLock {
                tool: tool(source),
                lock: format!("lock named {name}"),
                frees: format!("KILL {};", session.pid),
                holder: LockHolder::Session(session),
            })
        })
        .collect()
}

fn session(
    pid: &str,
    user: &Option<String>,
    address: &Option<String>,
    application: &Option<String>,
    age: &Option<String>,
) -> Result<Session, Why> {
    // A session that ended just now, or that the server does not show, has no user.
    let user = LoginName::new(user.as_deref().unwrap_or("not shown"))
        .map_err(|error| Why::new(format!("the user of a session {error}")))?;
    let age = age.as_deref().map(str::parse).transpose();
    Ok(Session {
        pid: pid.parse().map_err(|_| shape())?,
        user,
        address: address.clone(),
        application: application.clone(),
        age: age.map_err(|_| shape())?.map(Duration::from_secs),
        replica: None,
    })
}
