//! A connection to any of the servers, in their own protocols: for what tests do and look at that is the same
//! on all of them. Statements go as text, several at once if there are several, and rows come as text.

use std::fmt;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// A login that takes longer has failed: no application would wait so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// MySQL's number for bytes that are no text: of a session that comes or goes while it is listed.
const NO_TEXT: u16 = 3854;
/// Such a list is asked for so often: it is another one a moment later.
const LOOKS_MAX: u32 = 10;
/// What stands for a NULL in a row.
const NULL: &str = "null";

/// A connection.
pub struct Session(Inner);

enum Inner {
    Postgres(Client),
    MySql(Box<Mutex<Conn>>),
}

/// What a server, or the way to it, said instead of doing something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// PostgreSQL's SQLSTATE, or the number of MySQL and MariaDB; empty where the way failed.
    pub code: String,
    /// In words.
    pub message: String,
}

impl Refused {
    /// Whether it was for want of a right.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        // PostgreSQL; MySQL: a table, a column, a database, something of the server.
        ["42501", "1142", "1143", "1044", "1227"].contains(&self.code.as_str())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Refused {
        match error.as_db_error() {
            Some(said) => Refused {
                code: said.code().code().to_owned(),
                message: said.message().to_owned(),
            },
            None => Refused {
                code: String::new(),
                message: error.to_string(),
            },
        }
    }
}

impl From<mysql_async::Error> for Refused {
    fn from(error: mysql_async::Error) -> Refused {
        match error {
            mysql_async::Error::Server(said) => Refused {
                code: said.code.to_string(),
                message: said.message,
            },
            other => Refused {
                code: String::new(),
                message: other.to_string(),
            },
        }
    }
}

impl Session {
    /// Logs in to PostgreSQL, without TLS.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn in_postgres(config: &Config) -> Result<Session, Refused> {
        let connected = timeout(PATIENCE, config.connect(NoTls)).await;
        let (client, connection) = connected.expect("the server answers in time")?;
        // A broken connection shows as an error of the client's next call.
        tokio::spawn(connection);
        Ok(Session::of_postgres(client))
    }

    /// Logs in to MySQL or MariaDB, without TLS.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn in_mysql(opts: OptsBuilder) -> Result<Session, Refused> {
        let opts: Opts = opts.prefer_socket(false).into();
        let connected = timeout(PATIENCE, Conn::new(opts)).await;
        let conn = connected.expect("the server answers in time")?;
        Ok(Session(Inner::MySql(Box::new(Mutex::new(conn)))))
    }

    /// Logs in with a connection string, without TLS.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// When it is none, or the server does not answer.
    pub async fn by_uri(uri: &str) -> Result<Session, Refused> {
        if uri.starts_with("postgres") {
            let config = uri.parse().expect("the uri is a connection string");
            return Session::in_postgres(&config).await;
        }
        // What follows is how to use TLS, in words that each driver has others for.
        let plain = uri.split('?').next().unwrap_or_default();
        let opts = Opts::from_url(plain).expect("the uri is a connection string");
        Session::in_mysql(OptsBuilder::from_opts(opts)).await
    }

    pub(crate) fn of_postgres(client: Client) -> Session {
        Session(Inner::Postgres(client))
    }

    /// Runs statements, by the text protocol: no plan of them is kept that a change of the schema could spoil.
    ///
    /// # Errors
    /// The server's.
    pub async fn run(&self, sql: &str) -> Result<(), Refused> {
        match &self.0 {
            Inner::Postgres(client) => Ok(client.batch_execute(sql).await?),
            Inner::MySql(conn) => Ok(conn.lock().await.query_drop(sql).await?),
        }
    }

    /// Runs one statement, and gives how many rows it changed.
    ///
    /// # Errors
    /// The server's.
    pub async fn change(&self, sql: &str) -> Result<u64, Refused> {
        match &self.0 {
            Inner::Postgres(client) => {
                let messages = client.simple_query(sql).await?;
                let counts = messages.iter().filter_map(|message| match message {
                    SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                    _ => None,
                });
                Ok(counts.sum())
            }
            Inner::MySql(conn) => {
                let mut conn = conn.lock().await;
                conn.query_drop(sql).await?;
                Ok(conn.affected_rows())
            }
        }
    }

    /// The rows of a query: each as text, a blank between its values.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(&self, sql: &str) -> Result<Vec<String>, Refused> {
        match &self.0 {
            Inner::Postgres(client) => {
                let messages = client.simple_query(sql).await?;
                Ok(messages.iter().filter_map(postgres_row).collect())
            }
            Inner::MySql(conn) => {
                let mut looks = 0;
                let rows: Vec<Row> = loop {
                    looks += 1;
                    match conn.lock().await.query(sql).await {
                        Err(mysql_async::Error::Server(error))
                            if error.code == NO_TEXT && looks < LOOKS_MAX => {}
                        done => break done?,
                    }
                };
                Ok(rows.into_iter().map(mysql_row).collect())
            }
        }
    }

    /// The server's id of this session.
    ///
    /// # Panics
    /// When the server does not say it.
    pub async fn id(&self) -> i64 {
        let asked = match &self.0 {
            Inner::Postgres(_) => "SELECT pg_backend_pid()",
            Inner::MySql(_) => "SELECT CONNECTION_ID()",
        };
        let rows = self.read(asked).await.expect("a session knows its id");
        rows[0].parse().expect("an id is a number")
    }

    /// Ends it, and returns when the server was told.
    pub async fn close(self) {
        match self.0 {
            Inner::Postgres(client) => drop(client),
            // It may be broken already: then it has ended, too.
            Inner::MySql(conn) => drop(conn.into_inner().disconnect().await),
        }
    }
}

fn postgres_row(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let values = (0..row.len()).map(|at| row.get(at).unwrap_or(NULL));
    Some(values.collect::<Vec<_>>().join(" "))
}

fn mysql_row(row: Row) -> String {
    let text = |value: Value| match value {
        Value::NULL => NULL.to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // The text protocol has no others.
        other => other.as_sql(false),
    };
    let values: Vec<String> = row.unwrap().into_iter().map(text).collect();
    values.join(" ")
}
