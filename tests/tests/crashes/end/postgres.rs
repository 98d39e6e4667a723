//! What PostgreSQL's catalogue tells of where a walk has ended.

use dbop_tests::local::Site;

/// Roles and what they may do, who owns what, which grants there are: one line each. The order in which
/// grants were made is no difference. `$1` are the roles, `$2` is the database.
const FACTS: &str = "
    WITH ours AS (SELECT * FROM pg_authid WHERE rolname = ANY ($1))
    SELECT format('role %s login %s superuser %s createrole %s createdb %s inherit %s replication %s bypass %s '
               || 'limit %s until %s password %s settings %s',
               rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolinherit, rolreplication,
               rolbypassrls, rolconnlimit, rolvaliduntil, left(rolpassword, 13),
               (SELECT array_agg(setconfig::text ORDER BY setdatabase) FROM pg_db_role_setting
                WHERE setrole = ours.oid))
    FROM ours
    UNION ALL
    SELECT format('member %s of %s by %s: %s', m.member::regrole, m.roleid::regrole, m.grantor::regrole,
               to_jsonb(m) - 'oid' - 'member' - 'roleid' - 'grantor')
    FROM pg_auth_members m WHERE m.member IN (SELECT oid FROM ours) OR m.roleid IN (SELECT oid FROM ours)
    UNION ALL
    SELECT format('comment on role %s: %s', o.rolname, d.description)
    FROM pg_shdescription d JOIN ours o ON d.objoid = o.oid AND d.classoid = 'pg_authid'::regclass
    UNION ALL
    SELECT format('on database: %s to %s by %s', a.privilege_type, a.grantee::regrole, a.grantor::regrole)
    FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $2
    UNION ALL
    SELECT format('schema %s owner %s', nspname, nspowner::regrole)
    FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT format('on schema %s: %s to %s by %s', nspname, a.privilege_type, a.grantee::regrole,
               a.grantor::regrole)
    FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT format('relation %s kind %s owner %s columns %s', c.relname, c.relkind, c.relowner::regrole,
               (SELECT string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull),
                                  ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('on relation %s: %s to %s by %s', c.relname, a.privilege_type, a.grantee::regrole,
               a.grantor::regrole)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('by default of %s in %s on %s: %s to %s', d.defaclrole::regrole,
               d.defaclnamespace::regnamespace, d.defaclobjtype, a.privilege_type, a.grantee::regrole)
    FROM pg_default_acl d, aclexplode(d.defaclacl) a";

/// What PostgreSQL's catalogue tells.
pub(super) async fn facts(site: &Site) -> Vec<String> {
    let superuser = site.database.superuser().await;
    let mut roles = site.database.roles().await;
    let named = superuser
        .query(
            "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1)",
            &[&format!("{}_", site.name)],
        )
        .await
        .expect("a superuser may list roles");
    roles.extend(named.iter().map(|row| row.get::<_, String>(0)));
    let rows = superuser
        .query(FACTS, &[&roles, &site.database.name()])
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("the catalogue cannot be read: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
