//! What `demo-sql` does on MySQL and MariaDB.

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use crate::{Failure, LogIn, MARK, PATIENCE, Rows, Sql};

/// The accounts with rights in the database, and not those with rights everywhere.
const ACCOUNTS: &str = "SELECT User, Host FROM mysql.db WHERE Db = ? ORDER BY User";

/// A server, by a connection string of somebody who may do what is asked for.
pub(crate) struct MySql {
    options: MySqlConnectOptions,
    database: String,
}

impl MySql {
    /// A parse error could repeat a part of the string, which holds a password.
    pub(crate) fn at(dsn: &str, database: String) -> Option<MySql> {
        let options = dsn.parse().ok()?;
        Some(MySql { options, database })
    }

    async fn connect(&self, database: Option<&str>) -> Result<MySqlConnection, Failure> {
        let options = match database {
            Some(database) => self.options.clone().database(database),
            None => self.options.clone(),
        };
        match tokio::time::timeout(PATIENCE, options.connect()).await {
            Ok(connected) => connected.map_err(failure),
            Err(_) => Err(Failure {
                by_server: false,
                said: "no answer".to_owned(),
            }),
        }
    }

    /// A session in the demo's database.
    async fn in_shop(&self) -> Result<MySqlConnection, Failure> {
        self.connect(Some(&self.database)).await
    }
}

impl Sql for MySql {
    /// The admin may do everything in its database and make logins for it, and is no superuser.
    async fn create_database(&self, password: &str) -> Result<(), Failure> {
        let mut superuser = self.connect(None).await?;
        let quoted = password.replace('\\', "\\\\").replace('\'', "''");
        let database = &self.database;
        // The mark is where the server has a place for it: MariaDB at the database, MySQL at an account. And
        // each has its own name for the right to end other sessions, and its own table of accounts.
        let (of_database, of_admin, end_sessions, accounts) =
            match is_mariadb(&mut superuser).await? {
                true => (
                    format!(" COMMENT '{MARK}'"),
                    String::new(),
                    "CONNECTION ADMIN",
                    "SELECT ON mysql.global_priv",
                ),
                false => (
                    String::new(),
                    format!(" COMMENT '{MARK}'"),
                    "CONNECTION_ADMIN",
                    "SELECT (Host, User, account_locked) ON mysql.user",
                ),
            };
        let mut statements = vec![
            format!("CREATE DATABASE {database}{of_database}"),
            format!("CREATE USER {database}_admin IDENTIFIED BY '{quoted}'{of_admin}"),
            format!("GRANT ALL PRIVILEGES ON {database}.* TO {database}_admin WITH GRANT OPTION"),
        ];
        // To make logins, and to see and end their sessions; to see what accounts may do (docs/mysql-admin.md).
        let end_sessions = format!("{end_sessions} ON *.*");
        for privileges in [
            "CREATE USER, PROCESS, SHOW DATABASES ON *.*",
            &end_sessions,
            "SELECT ON mysql.db",
            "SELECT ON mysql.tables_priv",
            "SELECT ON mysql.columns_priv",
            "SELECT ON mysql.procs_priv",
            accounts,
        ] {
            statements.push(format!("GRANT {privileges} TO {database}_admin"));
        }
        for statement in statements {
            superuser
                .execute(AssertSqlSafe(statement))
                .await
                .map_err(failure)?;
        }
        Ok(())
    }

    async fn drop_database(&self) -> Result<(), Failure> {
        let mut superuser = self.connect(None).await?;
        let database = &self.database;
        let marked = match is_mariadb(&mut superuser).await? {
            true => {
                "SELECT COUNT(*) FROM information_schema.schemata
                 WHERE schema_name = ? AND schema_comment = ?"
            }
            false => {
                "SELECT COUNT(*) FROM information_schema.user_attributes
                 WHERE user = CONCAT(?, '_admin') AND attribute->>'$.comment' = ?"
            }
        };
        let marked: i64 = sqlx::query_scalar(marked)
            .bind(database)
            .bind(MARK)
            .fetch_one(&mut superuser)
            .await
            .map_err(failure)?;
        if marked == 0 {
            return Ok(());
        }
        // Asked before: without the database, nothing tells which accounts were its own.
        let accounts: Vec<(String, String)> = sqlx::query_as(ACCOUNTS)
            .bind(database)
            .fetch_all(&mut superuser)
            .await
            .map_err(failure)?;
        let mut statements = vec![format!("DROP DATABASE {database}")];
        let drop_user = |(user, host): &(String, String)| format!("DROP USER '{user}'@'{host}'");
        statements.extend(accounts.iter().map(drop_user));
        for statement in statements {
            superuser
                .execute(AssertSqlSafe(statement))
                .await
                .map_err(failure)?;
        }
        Ok(())
    }

    async fn import(&self, rows: i64) -> Result<(), Failure> {
        let mut conn = self.in_shop().await?;
        // Numbers from the digits of a number: a recursion ends at a thousand.
        let digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
                      UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
        let (mut from, mut number, mut power) = (Vec::new(), Vec::new(), 1_i64);
        for place in 0.. {
            from.push(format!("{digits} d{place}"));
            number.push(format!("d{place}.n * {power}"));
            power = power.saturating_mul(10);
            if power > rows {
                break;
            }
        }
        let import = format!(
            "INSERT INTO customers (email, name)
             SELECT CONCAT('customer-', n, '@example.com'), CONCAT('customer-', n, ', revision 0')
             FROM (SELECT {} AS n FROM {}) numbers WHERE n BETWEEN 1 AND {rows} ORDER BY n",
            number.join(" + "),
            from.join(", ")
        );
        // The second as the server would within seconds: the size of the table is known from now on.
        for statement in [import, "ANALYZE TABLE customers".to_owned()] {
            conn.execute(AssertSqlSafe(statement))
                .await
                .map_err(failure)?;
        }
        Ok(())
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

    /// Roles are accounts too, that nobody can log in as.
    async fn logins(&self) -> Result<Vec<String>, Failure> {
        let mut conn = self.connect(None).await?;
        let is_login = match is_mariadb(&mut conn).await? {
            true => "is_role = 'N'",
            false => "account_locked = 'N' AND authentication_string <> ''",
        };
        // Names derive from that of the database.
        let sql = format!(
            "SELECT CAST(User AS CHAR) FROM mysql.user WHERE User LIKE CONCAT(?, '\\_%') AND {is_login} ORDER BY User"
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&self.database)
            .fetch_all(&mut conn)
            .await
            .map_err(failure)
    }

    /// The columns' names are asked for, because the table changes during the demo.
    async fn rows(&self) -> Result<Rows, Failure> {
        let mut conn = self.in_shop().await?;
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT CAST(column_name AS CHAR) FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = 'customers'
               AND column_name IN ('name', 'full_name') ORDER BY ordinal_position",
        )
        .fetch_all(&mut conn)
        .await
        .map_err(failure)?;
        let right = |column: &String| {
            format!("{column} <=> CONCAT(SUBSTRING_INDEX(email, '@', 1), ', revision ', revision)")
        };
        let right: Vec<String> = columns.iter().map(right).collect();
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(NOT ({})), 0) AS SIGNED) FROM customers",
            right.join(" OR ")
        );
        let (rows, wrong): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut conn)
            .await
            .map_err(failure)?;
        Ok(Rows {
            rows,
            wrong,
            columns,
        })
    }
}

async fn is_mariadb(conn: &mut MySqlConnection) -> Result<bool, Failure> {
    let version: String = sqlx::query_scalar("SELECT VERSION()")
        .fetch_one(conn)
        .await
        .map_err(failure)?;
    Ok(version.contains("MariaDB"))
}

/// The server's own words where there are any. Else all causes.
fn failure(error: sqlx::Error) -> Failure {
    match error.as_database_error() {
        Some(of_server) => Failure {
            by_server: true,
            said: of_server.message().to_owned(),
        },
        None => Failure::of(&error),
    }
}
