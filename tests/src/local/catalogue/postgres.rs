//! What PostgreSQL's catalogue tells.

use tokio_postgres::Client;

use crate::TestDatabase;

/// Roles, what each may do, what bears a comment, who owns what: one line for each fact. Passwords are in
/// it as verifiers, so that a new password shows.
///
/// `$1` are the roles that have to do with the database, `$2` is the database.
const FACTS: &str = "
    WITH ours AS (SELECT * FROM pg_authid WHERE rolname = ANY ($1))
    SELECT format('role %s login %s createrole %s inherit %s bypass %s limit %s until %s password %s config %s',
               rolname, rolcanlogin, rolcreaterole, rolinherit, rolbypassrls, rolconnlimit, rolvaliduntil,
               rolpassword, (SELECT array_agg(setconfig::text || setdatabase ORDER BY setdatabase)
                             FROM pg_db_role_setting WHERE setrole = ours.oid))
    FROM ours
    UNION ALL
    SELECT format('member %s of %s by %s: %s', m.member::regrole, m.roleid::regrole, m.grantor::regrole,
               to_jsonb(m) - 'oid' - 'member' - 'roleid' - 'grantor')
    FROM pg_auth_members m WHERE m.member IN (SELECT oid FROM ours) OR m.roleid IN (SELECT oid FROM ours)
    UNION ALL
    SELECT format('comment on role %s: %s', o.rolname, d.description)
    FROM pg_shdescription d JOIN ours o ON d.objoid = o.oid AND d.classoid = 'pg_authid'::regclass
    UNION ALL
    SELECT format('database %s owner %s acl %s comment %s', datname, datdba::regrole, datacl,
               shobj_description(oid, 'pg_database'))
    FROM pg_database WHERE datname = $2
    UNION ALL
    SELECT format('schema %s owner %s acl %s', nspname, nspowner::regrole, nspacl)
    FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT format('relation %s kind %s owner %s acl %s columns %s', c.oid::regclass, c.relkind,
               c.relowner::regrole, c.relacl,
               (SELECT string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull),
                                  ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('function %s owner %s acl %s', p.oid::regprocedure, p.proowner::regrole, p.proacl)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('default acl of %s in %s for %s: %s', defaclrole::regrole, defaclnamespace::regnamespace,
               defaclobjtype, defaclacl)
    FROM pg_default_acl
    ORDER BY 1";

/// What there is now, one line for each fact.
pub(super) async fn facts(database: &TestDatabase, object: &str) -> Vec<String> {
    let client = database.superuser().await;
    let mut roles = database.roles().await;
    roles.extend(named_after(&client, object).await);
    let rows = match client.query(FACTS, &[&roles, &database.name()]).await {
        Ok(rows) => rows,
        Err(error) => panic!("the catalogue cannot be looked at: {error:?}"),
    };
    rows.iter().map(|row| row.get(0)).collect()
}

async fn named_after(client: &Client, object: &str) -> Vec<String> {
    let rows = client
        .query(
            "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1)",
            &[&format!("{object}_")],
        )
        .await
        .expect("a superuser may list roles");
    rows.iter().map(|row| row.get(0)).collect()
}
