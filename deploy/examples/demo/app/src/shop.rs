//! A session with the shop's server, of either kind, in the application's words: add, rename, read.
//!
//! Errors are the server's own words. It deliberately retries nothing.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::release::{Dialect, Release, Sql};

/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A customer, as a release sees one.
pub(crate) struct Customer {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) revision: i32,
    pub(crate) name: Option<String>,
}

/// Where the shop's server is, and with which credential.
#[derive(Clone)]
pub(crate) enum Place {
    Postgres(Box<Config>),
    MySql(Box<MySqlConnectOptions>),
}

impl Place {
    /// Reads the `uri` of a Secret. What is wrong with it is not told: a piece of it could be of the password.
    pub(crate) fn read(uri: &str, release: &Release) -> Option<Place> {
        if uri.starts_with("mysql://") || uri.starts_with("mariadb://") {
            return Some(Place::MySql(Box::new(uri.parse().ok()?)));
        }
        let mut config = uri.parse::<Config>().ok()?;
        config.application_name(format!("shop-app {}", release.name));
        config.connect_timeout(PATIENCE);
        Some(Place::Postgres(Box::new(config)))
    }

    fn dialect(&self) -> Dialect {
        match self {
            Place::Postgres(_) => Dialect::Postgres,
            Place::MySql(_) => Dialect::MySql,
        }
    }

    /// Logs in.
    pub(crate) async fn log_in(&self, release: &Release) -> Result<Shop, String> {
        let sql = release.sql(self.dialect());
        let session = match self {
            Place::Postgres(config) => {
                let (client, connection) = config.connect(NoTls).await.map_err(of_postgres)?;
                let connection = tokio::spawn(async move {
                    // A connection that broke has told so by the last query.
                    let _ = connection.await;
                });
                Session::Postgres(Postgres {
                    client,
                    connection,
                    prepared: Vec::new(),
                })
            }
            Place::MySql(options) => {
                let connecting = tokio::time::timeout(PATIENCE, options.connect()).await;
                let conn = connecting.map_err(|_| "no answer".to_owned())?;
                Session::MySql(conn.map_err(of_mysql)?)
            }
        };
        Ok(Shop { session, sql })
    }
}

/// A session, and the SQL of the release that it is of.
pub(crate) struct Shop {
    session: Session,
    sql: Sql,
}

enum Session {
    Postgres(Postgres),
    MySql(MySqlConnection),
}

/// A client, the task that moves its bytes, and the statements that it has used.
struct Postgres {
    client: Client,
    connection: JoinHandle<()>,
    prepared: Vec<(String, Statement)>,
}

impl Shop {
    /// The server's number of this session, and the login.
    pub(crate) async fn whoami(&mut self) -> Result<(i64, String), String> {
        match &mut self.session {
            Session::Postgres(it) => {
                let sql = "SELECT pg_backend_pid(), current_user::text";
                let row = it.client.query_one(sql, &[]).await.map_err(of_postgres)?;
                Ok((row.get::<_, i32>(0).into(), row.get(1)))
            }
            Session::MySql(conn) => {
                let sql = "SELECT CAST(CONNECTION_ID() AS SIGNED), SUBSTRING_INDEX(USER(), '@', 1)";
                sqlx::query_as(sql).fetch_one(conn).await.map_err(of_mysql)
            }
        }
    }

    /// Adds a customer.
    pub(crate) async fn add(&mut self, email: &str) -> Result<Option<Customer>, String> {
        let sql = &self.sql;
        match &mut self.session {
            Session::Postgres(it) => it.query(&sql.insert, &email).await,
            Session::MySql(conn) => {
                let insert = sqlx::query(AssertSqlSafe(sql.insert.clone())).bind(email);
                insert.execute(&mut *conn).await.map_err(of_mysql)?;
                let added = sqlx::query(AssertSqlSafe(sql.added.clone()));
                row(added.fetch_optional(conn).await)
            }
        }
    }

    /// Renames a customer.
    pub(crate) async fn rename(&mut self, id: i64) -> Result<Option<Customer>, String> {
        let sql = &self.sql;
        match &mut self.session {
            Session::Postgres(it) => it.query(&sql.update, &id).await,
            Session::MySql(conn) => {
                let update = sqlx::query(AssertSqlSafe(sql.update.clone())).bind(id);
                update.execute(&mut *conn).await.map_err(of_mysql)?;
                let renamed = sqlx::query(AssertSqlSafe(sql.renamed.clone())).bind(id);
                row(renamed.fetch_optional(conn).await)
            }
        }
    }

    /// Reads the first customer from this id on.
    pub(crate) async fn read(&mut self, id: i64) -> Result<Option<Customer>, String> {
        let sql = &self.sql;
        match &mut self.session {
            Session::Postgres(it) => it.query(&sql.read, &id).await,
            Session::MySql(conn) => {
                let read = sqlx::query(AssertSqlSafe(sql.read.clone())).bind(id);
                row(read.fetch_optional(conn).await)
            }
        }
    }

    /// Says goodbye, and waits until the server has heard it.
    pub(crate) async fn close(self) {
        match self.session {
            Session::Postgres(it) => {
                drop(it.client);
                let _ = it.connection.await;
            }
            // As above: the last query has told.
            Session::MySql(conn) => drop(conn.close().await),
        }
    }
}

impl Postgres {
    async fn query(
        &mut self,
        sql: &str,
        parameter: &(impl tokio_postgres::types::ToSql + Sync),
    ) -> Result<Option<Customer>, String> {
        let known = self.prepared.iter().find(|(text, _)| text == sql);
        let statement = match known {
            Some((_, statement)) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql).await.map_err(of_postgres)?;
                self.prepared.push((sql.to_owned(), statement.clone()));
                statement
            }
        };
        let row = self.client.query_opt(&statement, &[parameter]).await;
        Ok(row.map_err(of_postgres)?.map(|row| Customer {
            id: row.get(0),
            email: row.get(1),
            revision: row.get(2),
            name: row.get(3),
        }))
    }
}

fn row(fetched: Result<Option<MySqlRow>, sqlx::Error>) -> Result<Option<Customer>, String> {
    let Some(row) = fetched.map_err(of_mysql)? else {
        return Ok(None);
    };
    let read = || {
        Ok(Customer {
            id: row.try_get(0)?,
            email: row.try_get(1)?,
            revision: row.try_get(2)?,
            name: row.try_get(3)?,
        })
    };
    read().map(Some).map_err(of_mysql)
}

/// The server's own words: the error's `Display` says only `db error`.
fn of_postgres(error: tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn of_mysql(error: sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
