//! A picture of everything that the operator can change, to show that it changed nothing.

use std::path::Path;

use tokio_postgres::Client;

use super::directory::Directory;
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

/// Everything in a database and in the published Secrets that the operator could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    facts: Vec<String>,
}

impl Snapshot {
    /// What there is now. `object` is the name of the ManagedDatabase: roles that are named after it count
    /// as well, even where nothing connects them with the database yet.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub async fn of(database: &TestDatabase, directory: &Directory, object: &str) -> Snapshot {
        let client = database.superuser().await;
        let mut roles = database.roles().await;
        roles.extend(named_after(&client, object).await);
        let rows = match client.query(FACTS, &[&roles, &database.name()]).await {
            Ok(rows) => rows,
            Err(error) => panic!("the catalogue cannot be looked at: {error:?}"),
        };
        let mut facts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        files(&directory.state().join("secrets"), &mut facts);
        Snapshot { facts }
    }

    /// Checks that nothing has changed since.
    ///
    /// # Panics
    /// When something has.
    #[track_caller]
    pub fn is_still(&self, now: &Snapshot) {
        let gone: Vec<_> = self
            .facts
            .iter()
            .filter(|fact| !now.facts.contains(fact))
            .collect();
        let new: Vec<_> = now
            .facts
            .iter()
            .filter(|fact| !self.facts.contains(fact))
            .collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "nothing was to change, but\n--- gone\n{gone:#?}\n--- new\n{new:#?}"
        );
    }
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

/// Every file below a folder, with its mode, time and content.
fn files(folder: &Path, facts: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, facts);
            continue;
        }
        let Ok(about) = path.metadata() else { continue };
        let content = std::fs::read(&path).unwrap_or_default();
        facts.push(format!(
            "file {} mode {:o} inode {} written {}.{}: {:?}",
            path.display(),
            about.mode(),
            about.ino(),
            about.mtime(),
            about.mtime_nsec(),
            String::from_utf8_lossy(&content)
        ));
    }
}
