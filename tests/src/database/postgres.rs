//! A database of PostgreSQL's: how it is made, what belongs to it, how it goes.

use super::TestDatabase;

/// All roles that have to do with a database: named in it as owner or in a privilege, or connected
/// with such a role by membership. Superusers and the server's own roles (below the first number
/// given to users) are left out, and nothing is followed through them.
const ROLES_OF_DATABASE: &str = "
    WITH RECURSIVE removable AS (
        SELECT oid, rolname FROM pg_roles WHERE NOT rolsuper AND oid >= 16384
    ), found AS (
        SELECT r.oid FROM removable r
        WHERE r.rolname = $2 OR r.oid IN (
            SELECT d.refobjid FROM pg_shdepend d JOIN pg_database b ON b.datname = $1
            WHERE d.refclassid = 'pg_authid'::regclass
              AND (d.dbid = b.oid OR (d.classid = 'pg_database'::regclass AND d.objid = b.oid)))
        UNION
        SELECT r.oid FROM found f
        JOIN pg_auth_members m ON f.oid IN (m.roleid, m.member)
        JOIN removable r ON r.oid IN (m.roleid, m.member)
    )
    SELECT r.rolname::text FROM found JOIN removable r USING (oid)";

pub(super) fn creation(database: &TestDatabase) -> Vec<String> {
    let quoted = |name| database.engine().quoted(name);
    let (name, admin) = (quoted(&database.name), quoted(&database.admin));
    let password = &database.password;
    vec![
        format!("CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD '{password}'"),
        // Nobody ever connects to template0, so tests side by side do not disturb each other.
        format!("CREATE DATABASE {name} OWNER {admin} TEMPLATE template0 ENCODING 'UTF8'"),
    ]
}

pub(super) async fn roles(database: &TestDatabase) -> Vec<String> {
    let superuser = database.server.superuser().await;
    let rows = superuser
        .query(ROLES_OF_DATABASE, &[&database.name, &database.admin])
        .await;
    match rows {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => panic!(
            "the roles of {} cannot be listed: {error:?}",
            database.name()
        ),
    }
}

/// Logins are `<object>_<migration>_<claim>`; accounts and roles that are for all migrations end otherwise.
pub(super) async fn logins(database: &TestDatabase) -> Vec<String> {
    let mut names = named(database, "v%").await;
    names.retain(|name| !is_for_all(name));
    names
}

pub(super) async fn migrators(database: &TestDatabase) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for name in named(database, "%\\_migrator").await {
        let open = database.is_open(&name).await.unwrap_or_default();
        found.push((name, open));
    }
    found
}

fn is_for_all(name: &str) -> bool {
    ["_app", "_owner", "_migrator"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Roles whose names begin like the object that is called after the database, and end like this pattern.
async fn named(database: &TestDatabase, end: &str) -> Vec<String> {
    let object = database.name.replace('_', "-");
    let sql = "SELECT rolname::text FROM pg_roles \
               WHERE starts_with(rolname, $1) AND substr(rolname, length($1) + 1) LIKE $2";
    let superuser = database.server.superuser().await;
    let rows = superuser.query(sql, &[&format!("{object}_"), &end]).await;
    let rows = rows.expect("a superuser may list roles");
    rows.iter().map(|row| row.get(0)).collect()
}

pub(super) async fn removal(database: &TestDatabase) -> Vec<String> {
    let roles: Vec<String> = roles(database).await;
    let quoted = |name: &String| database.engine().quoted(name);
    let name = database.engine().quoted(&database.name);
    let roles: Vec<String> = roles.iter().map(quoted).collect();
    vec![
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        // In one statement, because of grants that they made to each other.
        format!("DROP ROLE IF EXISTS {}", roles.join(", ")),
    ]
}
