//! What `demo-sql` does on PostgreSQL.

use tokio_postgres::{Client, Config, NoTls};

use crate::{Failure, LogIn, MARK, PATIENCE, Rows, Sql};

/// The roles that have rights in the database, and their members: what the operator made for it.
const ROLES: &str = "
    WITH RECURSIVE found(oid) AS (
        SELECT DISTINCT refobjid FROM pg_shdepend, pg_database db
         WHERE db.datname = $1 AND refclassid = 'pg_authid'::regclass
           AND (dbid = db.oid OR (classid = 'pg_database'::regclass AND objid = db.oid))
        UNION
        SELECT member FROM pg_auth_members JOIN found ON roleid = found.oid
    )
    SELECT rolname::text, rolcanlogin FROM pg_roles JOIN found USING (oid)
     WHERE rolname <> current_user AND NOT rolsuper ORDER BY rolname";

/// A server, by a connection string of somebody who may do what is asked for.
pub(crate) struct Postgres {
    config: Config,
    database: String,
}

impl Postgres {
    /// A parse error could repeat a part of the string, which holds a password.
    pub(crate) fn at(dsn: &str, database: String) -> Option<Postgres> {
        let config = dsn.parse().ok()?;
        Some(Postgres { config, database })
    }

    async fn connect(&self, database: Option<&str>) -> Result<Client, Failure> {
        let mut config = self.config.clone();
        if let Some(database) = database {
            config.dbname(database);
        }
        config.connect_timeout(PATIENCE);
        config.application_name("demo");
        let (client, connection) = config.connect(NoTls).await.map_err(failure)?;
        // A broken connection shows as an error of the client's next call.
        tokio::spawn(connection);
        Ok(client)
    }

    /// A session in the demo's database.
    async fn in_shop(&self) -> Result<Client, Failure> {
        self.connect(Some(&self.database)).await
    }
}

impl Sql for Postgres {
    /// The owner may create roles, and is no superuser.
    async fn create_database(&self, password: &str) -> Result<(), Failure> {
        let superuser = self.connect(None).await?;
        let quoted = password.replace('\'', "''");
        let database = &self.database;
        for statement in [
            format!("CREATE ROLE {database}_admin LOGIN CREATEROLE PASSWORD '{quoted}'"),
            format!("CREATE DATABASE {database} OWNER {database}_admin"),
            format!("COMMENT ON DATABASE {database} IS '{MARK}'"),
        ] {
            superuser.batch_execute(&statement).await.map_err(failure)?;
        }
        Ok(())
    }

    async fn drop_database(&self) -> Result<(), Failure> {
        let superuser = self.connect(None).await?;
        let database = &self.database;
        let marked = superuser
            .query_opt(
                "SELECT oid FROM pg_database
                 WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2",
                &[database, &MARK],
            )
            .await
            .map_err(failure)?;
        if marked.is_none() {
            return Ok(());
        }
        // Asked before: without the database, nothing tells which roles were its own.
        let roles = superuser.query(ROLES, &[database]).await.map_err(failure)?;
        superuser
            .batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
            .await
            .map_err(failure)?;
        // The admin's memberships were granted by roles that depend on them.
        let admin = format!("{database}_admin");
        let mut names: Vec<String> = roles.iter().map(|row| row.get(0)).collect();
        names.retain(|name| *name != admin);
        names.push(admin);
        for name in names {
            let drop = format!("DROP ROLE \"{name}\"");
            superuser.batch_execute(&drop).await.map_err(failure)?;
        }
        Ok(())
    }

    async fn import(&self, rows: i64) -> Result<(), Failure> {
        let client = self.in_shop().await?;
        client
            .execute(
                "INSERT INTO customers (email, name)
                 SELECT 'customer-' || n || '@example.com', 'customer-' || n || ', revision 0'
                 FROM generate_series(1, $1::bigint) n",
                &[&rows],
            )
            .await
            .map_err(failure)?;
        // As autovacuum would within a minute: the size of the table is known from now on.
        client
            .batch_execute("ANALYZE customers")
            .await
            .map_err(failure)
    }

    async fn log_in(&self) -> Result<LogIn, Failure> {
        match self.connect(None).await {
            Ok(_) => Ok(LogIn::Works),
            Err(Failure {
                by_server: true,
                said,
            }) => Ok(LogIn::Refused(said)),
            Err(failure) => Err(failure),
        }
    }

    async fn logins(&self) -> Result<Vec<String>, Failure> {
        let client = self.connect(None).await?;
        let rows = client
            .query(ROLES, &[&self.database])
            .await
            .map_err(failure)?;
        let with_login = rows.iter().filter(|row| row.get(1));
        Ok(with_login.map(|row| row.get(0)).collect())
    }

    /// The columns' names are asked for, because the table changes during the demo.
    async fn rows(&self) -> Result<Rows, Failure> {
        let client = self.in_shop().await?;
        let columns: Vec<String> = client
            .query(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = 'customers'::regclass AND attnum > 0 AND NOT attisdropped
                   AND attname IN ('name', 'full_name')",
                &[],
            )
            .await
            .map_err(failure)?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let names = columns.join(", ");
        let row = client
            .query_one(
                &format!(
                    "SELECT count(*), count(*) FILTER (WHERE (SELECT bool_and(
                         held IS DISTINCT FROM split_part(email, '@', 1) || ', revision ' || revision)
                         FROM unnest(ARRAY[{names}]) held))
                     FROM customers"
                ),
                &[],
            )
            .await
            .map_err(failure)?;
        Ok(Rows {
            rows: row.get(0),
            wrong: row.get(1),
            columns,
        })
    }
}

/// The server's own words where there are any: the driver's error says only `db error`. Else all causes.
fn failure(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(of_server) => Failure {
            by_server: true,
            said: of_server.message().to_owned(),
        },
        None => Failure::of(&error),
    }
}
