//! The SQL, and nothing of what its answers mean. Every name in it is qualified; values come in quoted.
//!
//! Comparisons in the server's own views may not tell letters' cases apart: who reads the answers compares again.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::{Engine, LoginName};
use dbop_versions::{Dialect, QuoteError};

use crate::mark;
use crate::password;

/// Accounts of ours read at most: all databases of one server together.
const ACCOUNTS_MAX: usize = 100_000;
/// Sessions read at most; a server allows fewer.
const SESSIONS_MAX: usize = 100_000;
/// Sessions of others, told apart by login and address, that are looked at: more than a person reads.
const UNMANAGED_MAX: usize = 500;
/// Tables of one database read at most.
pub(crate) const TABLES_MAX: usize = 100_000;
/// Objects named at most that a login defines.
const DEFINED_MAX: usize = 5;

/// A name, quoted.
pub(crate) fn name(name: &str) -> Result<String, DatabaseError> {
    Dialect::MySql.identifier(name).map_err(unquotable)
}

/// A text, quoted.
pub(crate) fn text(text: &str) -> Result<String, DatabaseError> {
    Dialect::MySql.literal(text).map_err(unquotable)
}

/// A text where the grammar takes a plain string and nothing else (ATTRIBUTE). What a backslash means in it hangs on
/// `sql_mode`, which the session has pinned ([`settings`]).
pub(crate) fn plain_text(plain: &str) -> Result<String, DatabaseError> {
    // Refuses what no text holds.
    text(plain)?;
    Ok(format!(
        "'{}'",
        plain.replace('\\', "\\\\").replace('\'', "''")
    ))
}

fn unquotable(error: QuoteError) -> DatabaseError {
    DatabaseError::Server {
        operation: "name an object",
        code: "42602".to_owned(),
        message: error.to_string(),
    }
}

/// An account of ours: it may come from anywhere, so one host is enough.
pub(crate) fn account(user: &str) -> Result<String, DatabaseError> {
    Ok(format!("{}@`%`", name(user)?))
}

/// Accounts as a list.
pub(crate) fn accounts<'a>(
    users: impl IntoIterator<Item = &'a str>,
) -> Result<String, DatabaseError> {
    let quoted: Vec<String> = users.into_iter().map(account).collect::<Result<_, _>>()?;
    Ok(quoted.join(", "))
}

/// A marking role's name, quoted: it is longer than other names, and we made it.
pub(crate) fn role(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A database's name as the servers keep it in a grant on all of it: `_` and `%` are wildcards there, unless
/// escaped, or unless the server has `partial_revokes` (MySQL 8.4 manual, sections 15.7.1.6 and 8.2.12).
pub(crate) fn pattern(database: &str, names_are_literal: bool) -> String {
    if names_are_literal {
        return database.to_owned();
    }
    let mut pattern = String::with_capacity(database.len() + 4);
    for c in database.chars() {
        if matches!(c, '_' | '%' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// All of a database, for a grant. An escaped name may be longer than a name.
pub(crate) fn whole(database: &str, names_are_literal: bool) -> String {
    format!("{}.*", role(&pattern(database, names_are_literal)))
}

/// A table in its database, quoted. In a grant on a table the database's name has no wildcards.
pub(crate) fn qualified(database: &str, table: &str) -> Result<String, DatabaseError> {
    Ok(format!("{}.{}", name(database)?, name(table)?))
}

/// The server's variables that matter.
pub(crate) const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('version', 'read_only', 'super_read_only', 'innodb_read_only', 'partial_revokes', \
    'performance_schema', 'userstat')";

/// Has MariaDB the plugin?
pub(crate) const ED25519: &str = "SELECT p.PLUGIN_NAME FROM information_schema.PLUGINS p \
    WHERE p.PLUGIN_NAME = 'ed25519' AND p.PLUGIN_STATUS = 'ACTIVE'";

/// What is pinned in a session: when it ends, what waits for how long, and what quotes mean.
pub(crate) fn settings(
    engine: Engine,
    idle: Duration,
    lock: Duration,
    statement: Duration,
) -> String {
    let own = match engine {
        Engine::MariaDb => format!("max_statement_time = {}", statement.as_secs()),
        _ => format!(
            "max_execution_time = {}, information_schema_stats_expiry = 0",
            statement.as_millis()
        ),
    };
    format!(
        "SET SESSION wait_timeout = {idle}, lock_wait_timeout = {lock}, \
         innodb_lock_wait_timeout = {lock}, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         sql_select_limit = DEFAULT, sql_auto_is_null = 0, autocommit = 1, {own}",
        idle = idle.as_secs(),
        lock = lock.as_secs(),
    )
}

/// Whether the session took them, and which database it is in.
pub(crate) const GREETING: &str = "SELECT @@SESSION.wait_timeout, DATABASE()";

/// Who we are: account, host, the database.
pub(crate) const ADMIN: &str = "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', \
    LENGTH(CURRENT_USER()) - LENGTH(REPLACE(CURRENT_USER(), '@', ''))), \
    SUBSTRING_INDEX(CURRENT_USER(), '@', -1), COALESCE(DATABASE(), '')";

/// What we may do, in the server's words.
pub(crate) const GRANTS: &str = "SHOW GRANTS";

/// Is there a database of this name, as far as we may see?
pub(crate) fn database_named(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA s WHERE s.SCHEMA_NAME = {}",
        text(database)?
    ))
}

/// The server's tables that must be read, each with the part of a GRANT that names it, and a question that only
/// who may read it can ask.
pub(crate) fn catalogue(engine: Engine) -> [(&'static str, &'static str); 5] {
    let accounts = match engine {
        Engine::MariaDb => (
            "SELECT ON mysql.global_priv",
            "SELECT a.Priv FROM mysql.global_priv a LIMIT 0",
        ),
        _ => (
            "SELECT (Host, User, account_locked) ON mysql.user",
            "SELECT a.Host, a.User, a.account_locked FROM mysql.user a LIMIT 0",
        ),
    };
    [
        accounts,
        ("SELECT ON mysql.db", "SELECT * FROM mysql.db LIMIT 0"),
        (
            "SELECT ON mysql.tables_priv",
            "SELECT * FROM mysql.tables_priv LIMIT 0",
        ),
        (
            "SELECT ON mysql.columns_priv",
            "SELECT * FROM mysql.columns_priv LIMIT 0",
        ),
        (
            "SELECT ON mysql.procs_priv",
            "SELECT * FROM mysql.procs_priv LIMIT 0",
        ),
    ]
}

/// MySQL's accounts that bear a mark: name, locked, mark.
pub(crate) fn marked_accounts() -> String {
    format!(
        "SELECT u.User, u.account_locked = 'Y', a.ATTRIBUTE \
         FROM information_schema.USER_ATTRIBUTES a \
         JOIN mysql.user u ON u.User = a.USER AND u.Host = a.HOST \
         WHERE u.Host = '%' AND JSON_EXTRACT(a.ATTRIBUTE, '$.databaseOperator') IS NOT NULL \
         ORDER BY u.User LIMIT {ACCOUNTS_MAX}"
    )
}

/// MariaDB's roles that mark accounts: name.
pub(crate) fn marking_roles() -> String {
    format!(
        "SELECT g.User FROM mysql.global_priv g WHERE g.Host = '' AND LEFT(g.User, {}) = '{}' \
         ORDER BY g.User LIMIT {ACCOUNTS_MAX}",
        mark::ROLE_PREFIX.len(),
        mark::ROLE_PREFIX
    )
}

/// Accounts by name, of whatever host: name, host, locked, bears nothing but the password that we give what we
/// have just made (MariaDB).
pub(crate) fn accounts_named(
    engine: Engine,
    names: &BTreeSet<&str>,
) -> Result<String, DatabaseError> {
    let listed = list(names.iter().copied())?;
    if engine != Engine::MariaDb {
        return Ok(format!(
            "SELECT u.User, u.Host, u.account_locked = 'Y', 0 FROM mysql.user u \
             WHERE u.User IN ({listed}) LIMIT {ACCOUNTS_MAX}"
        ));
    }
    let blank: Vec<String> = names
        .iter()
        .map(|name| {
            let hash = text(&password::unusable_hash(name))?;
            Ok(format!("({}, {hash})", text(name)?))
        })
        .collect::<Result<_, DatabaseError>>()?;
    let blank = if blank.is_empty() {
        "('', '')".to_owned()
    } else {
        blank.join(", ")
    };
    Ok(format!(
        "SELECT g.User, g.Host, \
         COALESCE(JSON_VALUE(g.Priv, '$.account_locked'), '0') IN ('1', 'true'), \
         (g.User, COALESCE(JSON_VALUE(g.Priv, '$.authentication_string'), '')) IN ({blank}) \
         FROM mysql.global_priv g WHERE g.User IN ({listed}) LIMIT {ACCOUNTS_MAX}"
    ))
}

/// Who has not the PROCESS privilege in this very session is refused this; what a GRANT says is no help, as a
/// session keeps the privileges that it began with (MySQL 8.4 manual, section 8.2.13).
pub(crate) const PROCESS: &str = "SELECT COUNT(*) FROM information_schema.INNODB_CMP";

/// Sessions of logins, sleeping ones too, whatever database they are in: id, login, where from.
pub(crate) fn sessions(logins: &BTreeSet<LoginName>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT p.ID, p.USER, p.HOST FROM information_schema.PROCESSLIST p \
         WHERE p.USER IN ({}) ORDER BY p.ID LIMIT {SESSIONS_MAX}",
        list(logins.iter().map(LoginName::as_str))?
    ))
}

/// Which server this is, and the replicas that it sends its changes to: one row of server, null, null, then one for
/// each replica: where from, as whom. One that reads the binary log for another end than to hold a copy, such as
/// `mysqlbinlog`, looks the same.
pub(crate) fn replication() -> String {
    format!(
        "SELECT CONCAT_WS(' ', @@GLOBAL.hostname, @@GLOBAL.port, @@GLOBAL.server_id), NULL, NULL \
         UNION ALL SELECT NULL, d.HOST, d.USER FROM \
         (SELECT p.HOST, p.USER FROM information_schema.PROCESSLIST p \
         WHERE p.COMMAND LIKE 'Binlog Dump%' ORDER BY p.ID LIMIT {SESSIONS_MAX}) d"
    )
}

/// Who is connected to this database as none of these: login, where from. Our own sessions are those of
/// our own login from where we are.
pub(crate) fn unmanaged(
    database: &str,
    ours: &BTreeSet<LoginName>,
) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT DISTINCT p.USER, SUBSTRING_INDEX(p.HOST, ':', 1) \
         FROM information_schema.PROCESSLIST p, information_schema.PROCESSLIST me \
         WHERE me.ID = CONNECTION_ID() AND p.DB = {} AND p.USER NOT IN ({}) \
         AND p.USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user') \
         AND NOT (p.USER = me.USER AND SUBSTRING_INDEX(p.HOST, ':', 1) = SUBSTRING_INDEX(me.HOST, ':', 1)) \
         ORDER BY 1, 2 LIMIT {UNMANAGED_MAX}",
        text(database)?,
        list(ours.iter().map(LoginName::as_str))?
    ))
}

/// Does a session in this database, but the one of this number, wait for a table, as DDL does behind a reader? Which table it is, and behind whom, not
/// every server tells; a look can be repeated. Others' sessions are seen with PROCESS alone.
pub(crate) fn is_a_table_waited_for(database: &str, but: u32) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST p \
         WHERE p.ID <> {but} AND p.DB = {} AND p.STATE LIKE 'Waiting for table%lock')",
        text(database)?
    ))
}

/// Ends what that session runs at the moment.
pub(crate) fn end_statement(id: u32) -> String {
    format!("KILL QUERY {id}")
}

/// How many connections the server has counted by login since it started: login, number.
pub(crate) fn connections(
    engine: Engine,
    logins: &BTreeSet<LoginName>,
) -> Result<String, DatabaseError> {
    let from = match engine {
        Engine::MariaDb => "information_schema.USER_STATISTICS",
        _ => "performance_schema.accounts",
    };
    Ok(format!(
        "SELECT a.USER, CAST(SUM(a.TOTAL_CONNECTIONS) AS CHAR) FROM {from} a \
         WHERE a.USER IN ({}) GROUP BY a.USER",
        list(logins.iter().map(LoginName::as_str))?
    ))
}

/// Takes a lock, unless this session has it: one that is taken twice would have to be released twice.
pub(crate) fn try_lock(lock: &str, seconds: u64) -> Result<String, DatabaseError> {
    let lock = text(lock)?;
    Ok(format!(
        "SELECT IF(IS_USED_LOCK({lock}) <=> CONNECTION_ID(), 1, GET_LOCK({lock}, {seconds})) <=> 1"
    ))
}

/// Releases a lock, where this session has it: that of another stays.
pub(crate) fn unlock(lock: &str) -> Result<String, DatabaseError> {
    Ok(format!("SELECT RELEASE_LOCK({})", text(lock)?))
}

/// Tables and views of a database: its name, theirs, `t` or `v`.
pub(crate) fn tables(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, IF(t.TABLE_TYPE LIKE '%VIEW', 'v', 't') \
         FROM information_schema.TABLES t \
         WHERE t.TABLE_SCHEMA = {} AND t.TABLE_TYPE <> 'TEMPORARY' \
         ORDER BY t.TABLE_NAME LIMIT {}",
        text(database)?,
        TABLES_MAX + 1
    ))
}

/// Views of a database: its name, theirs, what they select (empty: we may not see it).
pub(crate) fn views(database: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT v.TABLE_SCHEMA, v.TABLE_NAME, COALESCE(v.VIEW_DEFINITION, '') \
         FROM information_schema.VIEWS v WHERE v.TABLE_SCHEMA = {} LIMIT {}",
        text(database)?,
        TABLES_MAX + 1
    ))
}

/// What accounts may do with tables of a database: account, table, privileges.
pub(crate) fn table_grants(
    database: &str,
    users: &BTreeSet<&str>,
) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT p.User, p.Table_name, p.Table_priv FROM mysql.tables_priv p \
         WHERE p.Host = '%' AND p.Db = {} AND p.User IN ({})",
        text(database)?,
        list(users.iter().copied())?
    ))
}

/// What accounts may do with columns of a database's tables: account, table, column, privileges.
pub(crate) fn column_grants(
    database: &str,
    users: &BTreeSet<&str>,
) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT p.User, p.Table_name, p.Column_name, p.Column_priv FROM mysql.columns_priv p \
         WHERE p.Host = '%' AND p.Db = {} AND p.User IN ({})",
        text(database)?,
        list(users.iter().copied())?
    ))
}

/// The privileges on all of a database, each with its column in the server's table.
const DATABASE_PRIVILEGES: [(&str, &str); 18] = [
    ("SELECT", "Select_priv"),
    ("INSERT", "Insert_priv"),
    ("UPDATE", "Update_priv"),
    ("DELETE", "Delete_priv"),
    ("CREATE", "Create_priv"),
    ("DROP", "Drop_priv"),
    ("REFERENCES", "References_priv"),
    ("INDEX", "Index_priv"),
    ("ALTER", "Alter_priv"),
    ("CREATE TEMPORARY TABLES", "Create_tmp_table_priv"),
    ("LOCK TABLES", "Lock_tables_priv"),
    ("CREATE VIEW", "Create_view_priv"),
    ("SHOW VIEW", "Show_view_priv"),
    ("CREATE ROUTINE", "Create_routine_priv"),
    ("ALTER ROUTINE", "Alter_routine_priv"),
    ("EXECUTE", "Execute_priv"),
    ("EVENT", "Event_priv"),
    ("TRIGGER", "Trigger_priv"),
];

/// What accounts may do with whole databases: account, database as the grant has it, privileges.
pub(crate) fn database_grants(users: &BTreeSet<&str>) -> Result<String, DatabaseError> {
    let columns: Vec<String> = DATABASE_PRIVILEGES
        .iter()
        .map(|(privilege, column)| format!("IF(p.{column} = 'Y', '{privilege}', NULL)"))
        .collect();
    Ok(format!(
        "SELECT p.User, p.Db, CONCAT_WS(',', {}) FROM mysql.db p \
         WHERE p.Host = '%' AND p.User IN ({})",
        columns.join(", "),
        list(users.iter().copied())?
    ))
}

/// The databases that an account has anything of: how the grant names it, is that a pattern.
pub(crate) fn databases_of(user: &str) -> Result<String, DatabaseError> {
    let user = text(user)?;
    let of = |table: &str, is_pattern: u8| {
        format!(
            "SELECT DISTINCT p.Db, {is_pattern} FROM mysql.{table} p \
             WHERE p.Host = '%' AND p.User = {user}"
        )
    };
    Ok(format!(
        "{} UNION {} UNION {} UNION {}",
        of("db", 1),
        of("tables_priv", 0),
        of("columns_priv", 0),
        of("procs_priv", 0)
    ))
}

/// What an account defines, wherever we may see it: kind, database, name.
pub(crate) fn defined_by(user: &str) -> Result<String, DatabaseError> {
    let definer = text(&format!("{user}@%"))?;
    let of = |kind: &str, schema: &str, name: &str, table: &str| {
        format!(
            "(SELECT '{kind}', d.{schema}, d.{name} FROM information_schema.{table} d \
             WHERE d.DEFINER = {definer} LIMIT {DEFINED_MAX})"
        )
    };
    Ok(format!(
        "{} UNION ALL {} UNION ALL {} UNION ALL {}",
        of("view", "TABLE_SCHEMA", "TABLE_NAME", "VIEWS"),
        of("routine", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINES"),
        of("trigger", "TRIGGER_SCHEMA", "TRIGGER_NAME", "TRIGGERS"),
        of("event", "EVENT_SCHEMA", "EVENT_NAME", "EVENTS")
    ))
}

/// Texts as the list of an IN; of none, one that no name equals.
fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Result<String, DatabaseError> {
    let quoted: Vec<String> = texts.map(text).collect::<Result<_, _>>()?;
    Ok(if quoted.is_empty() {
        "NULL".to_owned()
    } else {
        quoted.join(", ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_databases_name_is_no_pattern_of_anothers() {
        assert_eq!(whole("a_b", false), "`a\\_b`.*");
        assert_eq!(whole("a_b", true), "`a_b`.*");
        assert_eq!(whole("100%`\\", false), "`100\\%``\\\\`.*");
        assert_eq!(qualified("a_b", "t_`1").unwrap(), "`a_b`.`t_``1`");
        assert_eq!(plain_text("it's \\\"").unwrap(), "'it''s \\\\\"'");
        assert_eq!(account("it`s").unwrap(), "`it``s`@`%`");
    }
}
