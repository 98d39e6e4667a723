//! The SQL, and nothing of what its answers mean. Every name in it is qualified; values come in quoted.
//!
//! Operators are found by the search path, which the connection pins (`connect.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::table::TableName;
use dbop_model::{ClaimId, LoginName, Privilege};
use dbop_versions::{Dialect, QuoteError};

use crate::mark;

/// Rows of the grants' plan in one round: what is more comes in the next.
pub(crate) const OBJECTS_PER_ROUND: usize = 2000;
/// Marked group roles read at most: databases of one server that are managed.
const CLAIMS_MAX: usize = 10_000;
/// Marked roles of one claim read at most.
const ROLES_MAX: usize = 10_000;
/// Sessions read at most; a server allows fewer.
const SESSIONS_MAX: usize = 100_000;
/// Sessions of others, told apart by login and address, that are looked at: more than a person reads.
const UNMANAGED_MAX: usize = 500;

/// A name, quoted.
pub(crate) fn name(name: &str) -> Result<String, DatabaseError> {
    Dialect::PostgreSql.identifier(name).map_err(unquotable)
}

/// A text, quoted.
pub(crate) fn text(text: &str) -> Result<String, DatabaseError> {
    Dialect::PostgreSql.literal(text).map_err(unquotable)
}

fn unquotable(error: QuoteError) -> DatabaseError {
    DatabaseError::Server {
        operation: "name an object",
        code: "42602".to_owned(),
        message: error.to_string(),
    }
}

/// A schema and a name, quoted.
pub(crate) fn qualified(schema: &str, object: &str) -> Result<String, DatabaseError> {
    Ok(format!("{}.{}", name(schema)?, name(object)?))
}

/// What a connection starts with: the server's version, whether the pinned settings hold, whether it takes
/// writes, its process. It sets when an idle session ends, which servers before 14 refuse in the startup packet, and those
/// are to be told apart first.
pub(crate) fn greeting(idle: Duration) -> String {
    format!(
        "SELECT \
         pg_catalog.current_setting('server_version_num'), \
         pg_catalog.current_setting('search_path'), \
         pg_catalog.pg_is_in_recovery(), \
         pg_catalog.pg_backend_pid(), \
         CASE WHEN pg_catalog.current_setting('server_version_num')::int4 >= 140000 \
         THEN pg_catalog.set_config('idle_session_timeout', '{}', false) END",
        idle.as_millis()
    )
}

/// Who we are, and what we may do with the database:
/// name, superuser, createrole, and whether CONNECT, CREATE and TEMPORARY can be granted on; the database.
pub(crate) const ADMIN: &str = "SELECT r.rolname, r.rolsuper, r.rolcreaterole, \
    pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT WITH GRANT OPTION'), \
    pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE WITH GRANT OPTION') \
    AND pg_catalog.has_database_privilege(r.oid, d.oid, 'TEMPORARY WITH GRANT OPTION'), \
    d.datname \
    FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
    WHERE r.rolname = CURRENT_USER AND d.datname = pg_catalog.current_database()";

/// The group roles whose claim matters to a look or a step: those that are tied to this database, and those that
/// bear one of `marks`, wherever they are tied: name, mark, whether it is tied to this database, whether to any.
///
/// The tie is the CONNECT privilege: it moves with a database that is renamed, and with a server's backup. Where a
/// thousand databases share a server, others' ties must not be unfolded for each of their roles: that was a second
/// of the server's time in each look.
pub(crate) fn claims(marks: &[String]) -> Result<String, DatabaseError> {
    let mut matters = "r.oid = ANY (here.roles)".to_owned();
    for mark in marks {
        matters.push_str(&format!(
            " OR pg_catalog.strpos(s.description, {}) > 0",
            text(mark)?
        ));
    }
    Ok(format!(
        "WITH here AS MATERIALIZED (SELECT COALESCE(pg_catalog.array_agg(a.grantee), '{{}}') AS roles \
         FROM pg_catalog.pg_database d, LATERAL pg_catalog.aclexplode(d.datacl) a \
         WHERE d.datname = pg_catalog.current_database() AND a.privilege_type = 'CONNECT') \
         SELECT r.rolname, s.description, r.oid = ANY (here.roles), \
         EXISTS (SELECT 1 FROM pg_catalog.pg_database d, LATERAL pg_catalog.aclexplode(d.datacl) a \
         WHERE a.grantee = r.oid AND a.privilege_type = 'CONNECT') \
         FROM here, pg_catalog.pg_roles r \
         JOIN pg_catalog.pg_shdescription s ON s.objoid = r.oid \
         AND s.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
         WHERE s.description LIKE {} AND ({matters}) ORDER BY r.rolname LIMIT {CLAIMS_MAX}",
        text(&format!("{}%\"kind\":\"group\"%", mark::PREFIX))?
    ))
}

/// The roles of a claim: name, mark, can log in, has the rights of `group`.
pub(crate) fn roles_of(claim: &ClaimId, group: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT r.rolname, s.description, r.rolcanlogin, \
         pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE') \
         FROM pg_catalog.pg_roles g, pg_catalog.pg_roles r \
         JOIN pg_catalog.pg_shdescription s ON s.objoid = r.oid \
         AND s.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
         WHERE g.rolname = {} AND s.description LIKE {} ORDER BY r.rolname LIMIT {ROLES_MAX}",
        text(group)?,
        text(&mark::pattern_of(claim))?
    ))
}

/// Roles by name: name, superuser, whether we have its rights, whether we may give it to others.
///
/// The last is what `pg_has_role(..., 'MEMBER WITH ADMIN OPTION')` says, which unfolds all of our memberships anew for
/// each role it is asked about: an admin that has made the roles of a thousand databases is a member of all of them.
pub(crate) fn roles_named(names: &BTreeSet<&str>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT r.rolname, r.rolsuper, \
         pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'USAGE'), \
         me.rolsuper OR EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members a \
         WHERE a.roleid = r.oid AND a.admin_option \
         AND (a.member = me.oid OR pg_catalog.pg_has_role(me.oid, a.member, 'MEMBER'))) \
         FROM pg_catalog.pg_roles me, pg_catalog.pg_roles r \
         WHERE me.rolname = CURRENT_USER AND r.rolname IN ({})",
        list(names.iter().copied())?
    ))
}

/// Predefined roles that reach beyond the database's own objects: files and programs of the server, all data of all
/// databases, others' sessions.
const REACHING: [&str; 8] = [
    "pg_create_subscription",
    "pg_execute_server_program",
    "pg_maintain",
    "pg_read_all_data",
    "pg_read_server_files",
    "pg_signal_backend",
    "pg_write_all_data",
    "pg_write_server_files",
];

/// The first role whose rights are too many for migrations, of one and of all that it may become: its name, and why.
pub(crate) fn too_mighty(role: &str) -> Result<String, DatabaseError> {
    let reaching = list(REACHING.into_iter())?;
    Ok(format!(
        "WITH RECURSIVE held (oid) AS (\
         SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = {} \
         UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN held h ON m.member = h.oid) \
         SELECT r.rolname, CASE WHEN r.rolsuper THEN 'a superuser' \
         WHEN r.rolname = CURRENT_USER THEN 'the admin itself' \
         WHEN r.rolname IN ({reaching}) THEN 'a role that reaches beyond the database' \
         WHEN r.rolcreaterole THEN 'a role that makes roles' \
         WHEN r.rolreplication THEN 'a role that replicates' \
         ELSE 'a role that passes row security' END \
         FROM held h JOIN pg_catalog.pg_roles r ON r.oid = h.oid \
         WHERE r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls \
         OR r.rolname = CURRENT_USER OR r.rolname IN ({reaching}) \
         ORDER BY r.rolname LIMIT 1",
        text(role)?
    ))
}

/// The mark on who is logged in.
pub(crate) const OWN_MARK: &str = "SELECT s.description FROM pg_catalog.pg_roles r \
    JOIN pg_catalog.pg_shdescription s ON s.objoid = r.oid \
    AND s.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
    WHERE r.rolname = SESSION_USER";

/// The roles whose rights somebody who logged in has, with their marks.
pub(crate) fn own_groups() -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT s.description FROM pg_catalog.pg_roles r \
         JOIN pg_catalog.pg_shdescription s ON s.objoid = r.oid \
         AND s.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
         WHERE s.description LIKE {} AND pg_catalog.pg_has_role(SESSION_USER, r.oid, 'USAGE')",
        text(&format!("{}%", mark::PREFIX))?
    ))
}

/// Sessions of logins, in whichever database of the server: pid, login, address, application, age in
/// seconds. The address and the age show where we have the login's rights, or `pg_read_all_stats`.
pub(crate) fn sessions(logins: &BTreeSet<LoginName>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT a.pid, a.usename, pg_catalog.host(a.client_addr), a.application_name, \
         pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.backend_start) \
         FROM pg_catalog.pg_stat_activity a \
         WHERE a.leader_pid IS NULL AND a.usename IN ({}) \
         ORDER BY a.pid LIMIT {SESSIONS_MAX}",
        list(logins.iter().map(LoginName::as_str))?
    ))
}

/// Clients of a replication connection that keep files, and let nobody log in.
pub(crate) const ARCHIVERS: &str =
    "'pg_basebackup', 'pg_receivewal', 'barman_receive_wal', 'barman_streaming_backup'";

/// Which server this is, by the moment of its start, and the standbys that it sends its changes to: one row of
/// server, null, null, then one for each standby (`pg_stat_replication`; who has not `pg_read_all_stats` sees them
/// without name and address). A subscriber of logical replication is a database of its own.
pub(crate) fn replication() -> String {
    format!(
        "SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text, NULL, NULL \
         UNION ALL (SELECT NULL, pg_catalog.host(r.client_addr), r.application_name \
         FROM pg_catalog.pg_stat_replication r \
         WHERE (r.application_name IS NULL OR r.application_name NOT IN ({ARCHIVERS})) \
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots s \
         WHERE s.active_pid = r.pid AND s.slot_type = 'logical') \
         ORDER BY r.pid LIMIT {SESSIONS_MAX})"
    )
}

/// Who is connected to this database as none of these: login, where from. Our own sessions are those of
/// our own name.
pub(crate) fn unmanaged(ours: &BTreeSet<LoginName>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT DISTINCT a.usename, pg_catalog.host(a.client_addr) \
         FROM pg_catalog.pg_stat_activity a \
         WHERE a.datname = pg_catalog.current_database() AND a.usename IS NOT NULL \
         AND a.usename NOT IN ({}) AND NOT (a.usename = SESSION_USER \
         AND a.application_name = pg_catalog.current_setting('application_name')) \
         ORDER BY 1, 2 LIMIT {UNMANAGED_MAX}",
        list(ours.iter().map(LoginName::as_str))?
    ))
}

/// Those of these logins that can log in.
pub(crate) fn open_logins(logins: &BTreeSet<LoginName>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.rolcanlogin AND r.rolname IN ({})",
        list(logins.iter().map(LoginName::as_str))?
    ))
}

/// Takes the advisory lock of this database (the server keeps them apart by database), unless this session
/// has it: one that is taken twice would have to be released twice.
pub(crate) fn try_lock((class, object): (i32, i32)) -> String {
    format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_locks l, pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database() AND l.database = d.oid \
         AND l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() \
         AND l.classid::pg_catalog.int8 = {class} AND l.objid::pg_catalog.int8 = {object} \
         AND l.objsubid = 2) THEN true \
         ELSE pg_catalog.pg_try_advisory_lock({class}, {object}) END"
    )
}

/// Releases the advisory lock, where this session has it.
pub(crate) fn unlock((class, object): (i32, i32)) -> String {
    format!(
        "SELECT pg_catalog.pg_advisory_unlock({class}, {object}) \
         FROM pg_catalog.pg_locks l, pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database() AND l.database = d.oid \
         AND l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() \
         AND l.classid::pg_catalog.int8 = {class} AND l.objid::pg_catalog.int8 = {object} \
         AND l.objsubid = 2"
    )
}

/// Does another session wait for a lock that the session of this process has?
pub(crate) fn is_waited_for(pid: i32) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks w WHERE NOT w.granted \
         AND {pid} = ANY (pg_catalog.pg_blocking_pids(w.pid)))"
    )
}

/// Ends what that session runs at the moment.
pub(crate) fn cancel(pid: i32) -> String {
    format!("SELECT pg_catalog.pg_cancel_backend({pid})")
}

/// Waits for the claim's turn until the transaction ends, so that two owners cannot both find none.
pub(crate) fn claim_turn((class, object): (i32, i32)) -> String {
    format!("SELECT pg_catalog.pg_advisory_xact_lock({class}, {object})")
}

/// How the migrator stands to its owner role: member, may act as it, acts as it in this database, may
/// connect; and whether it owns anything here.
pub(crate) fn migrator(migrator: &str, owner: &str, major: u32) -> Result<String, DatabaseError> {
    // Before 16 every member may act as the role.
    let set = if major >= 16 { "SET" } else { "MEMBER" };
    Ok(format!(
        "SELECT pg_catalog.pg_has_role(m.oid, o.oid, 'USAGE') \
         AND pg_catalog.pg_has_role(m.oid, o.oid, '{set}'), \
         EXISTS (SELECT 1 FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid \
         AND s.setrole = m.oid AND {setting} = ANY (s.setconfig)), \
         pg_catalog.has_database_privilege(m.oid, d.oid, 'CONNECT'), \
         EXISTS (SELECT 1 FROM pg_catalog.pg_shdepend p WHERE p.dbid = d.oid \
         AND p.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND p.refobjid = m.oid \
         AND p.deptype = 'o') \
         FROM pg_catalog.pg_roles m, pg_catalog.pg_roles o, pg_catalog.pg_database d \
         WHERE m.rolname = {migrator} AND o.rolname = {owner} \
         AND d.datname = pg_catalog.current_database()",
        setting = text(&format!("role={owner}"))?,
        migrator = text(migrator)?,
        owner = text(owner)?
    ))
}

/// What a role may do with the database: connect; create and make temporary tables.
pub(crate) fn on_database(role: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(d.datacl) a \
         WHERE a.grantee = r.oid AND a.privilege_type = 'CONNECT'), \
         pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE') \
         AND pg_catalog.has_database_privilege(r.oid, d.oid, 'TEMPORARY') \
         FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
         WHERE r.rolname = {} AND d.datname = pg_catalog.current_database()",
        text(role)?
    ))
}

/// What a role owns: anything in this database or shared.
pub(crate) fn owns(role: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_shdepend p \
         JOIN pg_catalog.pg_roles r ON r.oid = p.refobjid \
         LEFT JOIN pg_catalog.pg_database d ON d.oid = p.dbid \
         WHERE p.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND p.deptype = 'o' \
         AND (p.dbid = 0 OR d.datname = pg_catalog.current_database()) AND r.rolname = {})",
        text(role)?
    ))
}

/// What the grants are planned from: whose, and by which policy.
pub(crate) struct GrantScope<'a> {
    /// The group role; `None`: there is none yet.
    pub(crate) group: Option<&'a str>,
    /// The role that owns the objects; `None`: there is none yet.
    pub(crate) owner: Option<&'a str>,
    /// The policy's schemas; `None`: every user schema.
    pub(crate) schemas: Option<&'a BTreeSet<String>>,
    /// The table that holds the version.
    pub(crate) version_table: Option<&'a TableName>,
    /// Other tables that the migration tool keeps for itself.
    pub(crate) tool_tables: &'a BTreeSet<TableName>,
}

impl GrantScope<'_> {
    fn oid_of(role: Option<&str>) -> Result<String, DatabaseError> {
        match role {
            None => Ok("NULL::pg_catalog.oid".to_owned()),
            Some(role) => Ok(format!(
                "(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = {})",
                text(role)?
            )),
        }
    }

    /// Does the policy cover the schema `n`?
    fn covers(&self) -> Result<String, DatabaseError> {
        match self.schemas {
            None => Ok("true".to_owned()),
            Some(schemas) if schemas.is_empty() => Ok("false".to_owned()),
            Some(schemas) => Ok(format!(
                "n.nspname IN ({})",
                list(schemas.iter().map(String::as_str))?
            )),
        }
    }

    /// Is `c` in `n` the version table?
    fn is_version_table(&self) -> Result<String, DatabaseError> {
        self.version_table
            .map_or_else(|| Ok("false".to_owned()), is_table)
    }

    /// Is `c` in `n` a table that the migration tool keeps for itself?
    fn is_tools_table(&self) -> Result<String, DatabaseError> {
        let own = self.version_table.into_iter().chain(self.tool_tables);
        let own: Vec<String> = own
            .map(|table| Ok(format!("({})", is_table(table)?)))
            .collect::<Result<_, DatabaseError>>()?;
        Ok(if own.is_empty() {
            "false".to_owned()
        } else {
            format!("({})", own.join(" OR "))
        })
    }
}

/// Is `c` in `n` this table? One without a schema can be in any.
fn is_table(table: &TableName) -> Result<String, DatabaseError> {
    let mut sql = format!(
        "c.relkind IN ('r', 'p') AND c.relname = {}",
        text(table.name())?
    );
    if let Some(schema) = table.schema() {
        sql.push_str(&format!(" AND n.nspname = {}", text(schema)?));
    }
    Ok(sql)
}

/// Schemas that users make: not the server's, not temporary, not an extension's.
const USER_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x \
    WHERE x.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND x.objid = n.oid \
    AND x.deptype = 'e')";

/// Relations that users make: what belongs to an extension has the extension's grants.
const USER_RELATION: &str = "c.relpersistence <> 't' \
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x \
    WHERE x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.objid = c.oid \
    AND x.deptype = 'e')";

/// Is there a table besides the migration tool's own, in the policy's schemas; and is there the version table?
pub(crate) fn tables(scope: &GrantScope<'_>) -> Result<String, DatabaseError> {
    let from = format!(
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {USER_SCHEMA} AND {USER_RELATION}"
    );
    Ok(format!(
        "SELECT EXISTS (SELECT 1 {from} AND c.relkind IN ('r', 'p', 'f') \
         AND ({covers}) AND NOT {is_tools}), EXISTS (SELECT 1 {from} AND {is_version})",
        covers = scope.covers()?,
        is_tools = scope.is_tools_table()?,
        is_version = scope.is_version_table()?,
    ))
}

/// Schemas, with what group and owner have there: name, in the policy, the group has USAGE, was given
/// USAGE itself, the owner role has USAGE and CREATE, we can grant USAGE, CREATE too.
pub(crate) fn schemas(scope: &GrantScope<'_>) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT n.nspname, {covers}, \
         COALESCE(pg_catalog.has_schema_privilege(g.oid, n.oid, 'USAGE'), \
         pg_catalog.has_schema_privilege('public', n.oid, 'USAGE')), \
         EXISTS (SELECT 1 FROM pg_catalog.aclexplode(n.nspacl) a \
         WHERE a.grantee = g.oid AND a.privilege_type = 'USAGE'), \
         COALESCE(pg_catalog.has_schema_privilege(o.oid, n.oid, 'USAGE') \
         AND pg_catalog.has_schema_privilege(o.oid, n.oid, 'CREATE'), \
         pg_catalog.has_schema_privilege('public', n.oid, 'USAGE') \
         AND pg_catalog.has_schema_privilege('public', n.oid, 'CREATE')), \
         COALESCE(pg_catalog.has_schema_privilege(CURRENT_USER, n.oid, 'USAGE WITH GRANT OPTION'), \
         true), \
         COALESCE(pg_catalog.has_schema_privilege(CURRENT_USER, n.oid, 'CREATE WITH GRANT OPTION'), \
         true) \
         FROM (SELECT {group} AS oid) g, (SELECT {owner} AS oid) o, pg_catalog.pg_namespace n \
         WHERE {USER_SCHEMA} ORDER BY n.nspname",
        covers = scope.covers()?,
        group = GrantScope::oid_of(scope.group)?,
        owner = GrantScope::oid_of(scope.owner)?,
    ))
}

/// Relations whose grants are not as the policy has them: kind (`t` or `s`), schema, name, owner, and as
/// lists: what the group lacks, which of that we can grant, what it has too much and we can revoke;
/// who may write it although it is the migration tool's (`PUBLIC` or roles, as a JSON array), can we revoke that.
pub(crate) fn relations(
    scope: &GrantScope<'_>,
    privileges: &BTreeSet<Privilege>,
) -> Result<String, DatabaseError> {
    let on_tables = keywords(privileges.iter().copied());
    let on_guarded = keywords(privileges.iter().copied().filter(|p| !p.writes()));
    let writes = keywords(Privilege::ALL.into_iter().filter(|p| p.writes()));
    Ok(format!(
        "WITH RECURSIVE grp AS (SELECT {group} AS oid), \
         guarded (oid) AS ( \
         SELECT c.oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {USER_SCHEMA} AND {USER_RELATION} AND {is_tools} \
         UNION \
         SELECT x.oid FROM guarded, LATERAL ( \
         SELECT w.ev_class AS oid FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.refobjid = guarded.oid \
         UNION ALL \
         SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = guarded.oid) x), \
         members AS (SELECT grp.oid FROM grp UNION \
         SELECT m.member FROM pg_catalog.pg_auth_members m JOIN grp ON grp.oid = m.roleid \
         JOIN pg_catalog.pg_roles r ON r.oid = m.member \
         WHERE r.rolname <> CURRENT_USER), \
         found AS (SELECT c.oid, c.relowner, n.nspname, c.relname, c.relkind = 'S' AS is_sequence, \
         v.oid IS NOT NULL AS is_guarded, c.relacl, \
         CASE WHEN NOT ({covers}) THEN ARRAY[]::pg_catalog.text[] \
         WHEN c.relkind = 'S' THEN {on_sequences} \
         WHEN v.oid IS NOT NULL THEN {on_guarded} ELSE {on_tables} END AS wanted, \
         CASE WHEN c.relkind = 'S' THEN {all_sequences} ELSE {all_tables} END AS known \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN guarded v ON v.oid = c.oid \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {USER_SCHEMA} AND {USER_RELATION}), \
         diff AS (SELECT f.*, \
         ARRAY(SELECT pg_catalog.unnest(f.wanted) EXCEPT SELECT pg_catalog.unnest(h.held)) AS lacking, \
         ARRAY(SELECT pg_catalog.unnest(h.own) INTERSECT SELECT pg_catalog.unnest(f.known) \
         EXCEPT SELECT pg_catalog.unnest(f.wanted)) AS surplus, \
         CASE WHEN f.is_guarded THEN ARRAY( \
         SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END \
         FROM (SELECT e.grantee, e.privilege_type FROM pg_catalog.aclexplode(f.relacl) e \
         UNION ALL SELECT e.grantee, e.privilege_type FROM pg_catalog.pg_attribute t, \
         LATERAL pg_catalog.aclexplode(t.attacl) e WHERE t.attrelid = f.oid) a \
         WHERE a.privilege_type = ANY ({writes}) AND a.grantee <> f.relowner \
         AND (a.grantee = 0 OR a.grantee IN (SELECT members.oid FROM members)) \
         GROUP BY a.grantee ORDER BY 1) ELSE ARRAY[]::pg_catalog.text[] END AS writers \
         FROM found f CROSS JOIN LATERAL (SELECT \
         COALESCE(pg_catalog.array_agg(a.privilege_type), ARRAY[]::pg_catalog.text[]) AS held, \
         COALESCE(pg_catalog.array_agg(a.privilege_type) FILTER (WHERE a.grantor = f.relowner \
         AND pg_catalog.pg_has_role(CURRENT_USER, f.relowner, 'USAGE')), \
         ARRAY[]::pg_catalog.text[]) AS own \
         FROM grp, LATERAL pg_catalog.aclexplode(f.relacl) a WHERE a.grantee = grp.oid) h) \
         SELECT CASE WHEN is_sequence THEN 's' ELSE 't' END, nspname, relname, \
         pg_catalog.pg_get_userbyid(relowner), pg_catalog.array_to_string(lacking, ','), \
         pg_catalog.array_to_string(ARRAY(SELECT p FROM pg_catalog.unnest(lacking) p \
         WHERE COALESCE(CASE WHEN is_sequence \
         THEN pg_catalog.has_sequence_privilege(CURRENT_USER, oid, p || ' WITH GRANT OPTION') \
         ELSE pg_catalog.has_table_privilege(CURRENT_USER, oid, p || ' WITH GRANT OPTION') END, true)), \
         ','), \
         pg_catalog.array_to_string(surplus, ','), pg_catalog.array_to_json(writers)::pg_catalog.text, \
         COALESCE(pg_catalog.pg_has_role(CURRENT_USER, relowner, 'USAGE'), true) \
         FROM diff WHERE pg_catalog.cardinality(lacking) > 0 \
         OR pg_catalog.cardinality(surplus) > 0 OR pg_catalog.cardinality(writers) > 0 \
         ORDER BY nspname, relname LIMIT {OBJECTS_PER_ROUND}",
        group = GrantScope::oid_of(scope.group)?,
        is_tools = scope.is_tools_table()?,
        covers = scope.covers()?,
        on_sequences = array(&sequence_keywords(privileges)),
        on_guarded = array(&on_guarded),
        on_tables = array(&on_tables),
        all_sequences = array(&["SELECT", "UPDATE", "USAGE"]),
        all_tables = array(&keywords(Privilege::ALL.into_iter())),
        writes = array(&writes),
    ))
}

/// What the group gets of what the owner role makes: kind (`r` tables, `S` sequences, `n` schemas), schema
/// (empty: any), privilege.
pub(crate) fn defaults(group: &str, owner: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT d.defaclobjtype, COALESCE(n.nspname, ''), a.privilege_type \
         FROM pg_catalog.pg_roles o JOIN pg_catalog.pg_default_acl d ON d.defaclrole = o.oid \
         JOIN pg_catalog.pg_roles g ON g.rolname = {} \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, \
         LATERAL pg_catalog.aclexplode(d.defaclacl) a \
         WHERE o.rolname = {} AND a.grantee = g.oid AND d.defaclobjtype IN ('r', 'S', 'n') \
         ORDER BY 1, 2, 3",
        text(group)?,
        text(owner)?
    ))
}

/// Does the schema `public` hold a function or an operator that could be taken for one of the server's? Those
/// of extensions are trusted, as the extension is.
pub(crate) const SHADOWS: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_proc p \
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'public' \
    WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_proc s WHERE s.proname = p.proname \
    AND s.pronamespace = 'pg_catalog'::pg_catalog.regnamespace) \
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x \
    WHERE x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid \
    AND x.deptype = 'e')) \
    OR EXISTS (SELECT 1 FROM pg_catalog.pg_operator p \
    JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace AND n.nspname = 'public' \
    WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x \
    WHERE x.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND x.objid = p.oid \
    AND x.deptype = 'e'))";

/// The schemas that have a relation of this name.
pub(crate) fn schemas_with(relation: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT n.nspname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {USER_SCHEMA} \
         ORDER BY 1 LIMIT 1",
        text(relation)?
    ))
}

/// What the group gets on sequences, so that rows can be inserted where their keys come from one.
pub(crate) fn sequence_keywords(privileges: &BTreeSet<Privilege>) -> Vec<&'static str> {
    let has = |privilege| privileges.contains(&privilege);
    let mut keywords = Vec::new();
    if has(Privilege::Select) {
        keywords.push("SELECT");
    }
    if has(Privilege::Update) {
        keywords.push("UPDATE");
    }
    if has(Privilege::Insert) || has(Privilege::Update) {
        keywords.push("USAGE");
    }
    keywords
}

/// SQL's keywords of privileges, in order.
pub(crate) fn keywords(privileges: impl Iterator<Item = Privilege>) -> Vec<&'static str> {
    privileges.map(Privilege::sql).collect()
}

/// Keywords as an array. They are SQL's own words, with nothing to quote.
fn array(keywords: &[&str]) -> String {
    let quoted: Vec<String> = keywords
        .iter()
        .map(|keyword| format!("'{keyword}'"))
        .collect();
    format!("ARRAY[{}]::pg_catalog.text[]", quoted.join(", "))
}

/// Texts as the list of an IN; of none, one that no name equals.
fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Result<String, DatabaseError> {
    let quoted: Vec<String> = texts.map(text).collect::<Result<_, _>>()?;
    Ok(if quoted.is_empty() {
        "''".to_owned()
    } else {
        quoted.join(", ")
    })
}
