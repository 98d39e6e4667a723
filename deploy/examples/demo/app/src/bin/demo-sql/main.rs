//! The few things that the demo's reader would do with psql or mysql: `demo-sql COMMAND`.
//!
//! It belongs to the demo and not to the application. The connection string is read from the file
//! that is named, or from DEMO_DSN: never from an argument, which everybody on the machine can read.
//! The database is `shop`, or what DEMO_DATABASE names.

mod mysql;
mod postgres;

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use mysql::MySql;
use postgres::Postgres;

/// What it does, for whoever calls it without arguments.
const USAGE: &str = "usage: demo-sql COMMAND
  create-database     login shop_admin (password in DEMO_ADMIN_PASSWORD) and its database shop
  drop-database       the database that this made, and the logins of it
  import ROWS         customers, as from a backup
  log-in URI_FILE     whether the server lets this credential in: works, or refused;
                      -: credentials from standard input, one a line
  logins              the logins that exist for the database
  rows                rows, and how many of them do not have the name that was written last
  stay                nothing, until SIGTERM: a Pod to run the others in";

/// What the database is marked with: no other is ever dropped.
const MARK: &str = "made by the demo of database-operator";
/// Nobody waits longer for a login on the same machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the commands ask of a server.
trait Sql {
    /// Makes what a platform team hands over: an empty database, and its admin with this password.
    async fn create_database(&self, password: &str) -> Result<(), Failure>;
    /// Drops what [`Sql::create_database`] made, and what the operator made in it since.
    async fn drop_database(&self) -> Result<(), Failure>;
    /// Adds so many customers.
    async fn import(&self, rows: i64) -> Result<(), Failure>;
    /// Whether the credential of the connection string is let in.
    async fn log_in(&self) -> Result<LogIn, Failure>;
    /// The logins that exist for the database.
    async fn logins(&self) -> Result<Vec<String>, Failure>;
    /// Counts customers.
    async fn rows(&self) -> Result<Rows, Failure>;
}

/// Whether a credential is let in; if not, the server's words.
enum LogIn {
    Works,
    Refused(String),
}

/// Counts of customers.
struct Rows {
    rows: i64,
    /// Those that have the name that was written last in none of the columns.
    wrong: i64,
    /// The columns that hold a name.
    columns: Vec<String>,
}

/// What went wrong.
struct Failure {
    /// Whether the server said it.
    by_server: bool,
    said: String,
}

impl Failure {
    fn new(said: impl Into<String>) -> Failure {
        Failure {
            by_server: false,
            said: said.into(),
        }
    }

    /// An error with all its causes.
    fn of(error: &(dyn std::error::Error + 'static)) -> Failure {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        Failure::new(causes.join(": "))
    }
}

type Outcome = Result<ExitCode, Failure>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["log-in", file] => log_in(file).await,
        ["stay"] => stay().await,
        words if is_command(words) => on_server(words).await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.said);
        ExitCode::FAILURE
    })
}

fn is_command(words: &[&str]) -> bool {
    matches!(
        words,
        ["create-database" | "drop-database" | "logins" | "rows"] | ["import", _]
    )
}

/// Runs a command on the server that DEMO_DSN names.
async fn on_server(words: &[&str]) -> Outcome {
    let dsn = std::env::var("DEMO_DSN").map_err(|_| Failure::new("DEMO_DSN is not set"))?;
    let unreadable = || Failure::new("DEMO_DSN is no connection string");
    match is_mysql(&dsn) {
        true => run(words, &MySql::at(&dsn, database()).ok_or_else(unreadable)?).await,
        false => {
            run(
                words,
                &Postgres::at(&dsn, database()).ok_or_else(unreadable)?,
            )
            .await
        }
    }
}

async fn run(words: &[&str], sql: &impl Sql) -> Outcome {
    match words {
        ["create-database"] => {
            let password = std::env::var("DEMO_ADMIN_PASSWORD")
                .map_err(|_| Failure::new("DEMO_ADMIN_PASSWORD is not set"))?;
            sql.create_database(&password).await?;
        }
        ["drop-database"] => sql.drop_database().await?,
        ["import", rows] => {
            let rows = rows.parse();
            let rows = rows.map_err(|_| Failure::new("ROWS is a number"))?;
            sql.import(rows).await?;
        }
        ["logins"] => {
            for login in sql.logins().await? {
                println!("{login}");
            }
        }
        _ => {
            let Rows {
                rows,
                wrong,
                columns,
            } = sql.rows().await?;
            println!("rows={rows} wrong={wrong} columns={}", columns.join("+"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Exit status 3, and the server's words, when a login is refused.
async fn log_in(file: &str) -> Outcome {
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(file).map(|read| text = read),
    }
    .map_err(|error| Failure::new(format!("{file}: {error}")))?;
    let mut code = ExitCode::SUCCESS;
    for uri in text.lines().map(str::trim) {
        let unreadable = || Failure::new(format!("{file} holds what is no connection string"));
        let tried = match is_mysql(uri) {
            true => {
                let place = MySql::at(uri, database()).ok_or_else(unreadable)?;
                place.log_in().await?
            }
            false => {
                let place = Postgres::at(uri, database()).ok_or_else(unreadable)?;
                place.log_in().await?
            }
        };
        match tried {
            LogIn::Works => println!("works"),
            LogIn::Refused(said) => {
                println!("refused: {said}");
                code = ExitCode::from(3);
            }
        }
    }
    Ok(code)
}

async fn stay() -> Outcome {
    let term = tokio::signal::unix::SignalKind::terminate();
    let term = tokio::signal::unix::signal(term);
    let mut term = term.map_err(|error| Failure::of(&error))?;
    term.recv().await;
    Ok(ExitCode::SUCCESS)
}

/// The name of the demo's database.
fn database() -> String {
    std::env::var("DEMO_DATABASE").unwrap_or_else(|_| "shop".to_owned())
}

fn is_mysql(dsn: &str) -> bool {
    dsn.starts_with("mysql://") || dsn.starts_with("mariadb://")
}
