//! The few things that the demo's reader would do with psql: `demo-sql COMMAND`.
//!
//! It belongs to the demo and not to the application. The connection string is read from the file
//! that is named, or from DEMO_DSN: never from an argument, which everybody on the machine can read.
//! The database is `shop`, or what DEMO_DATABASE names.

use std::io::Read as _;
use std::process::ExitCode;

use tokio_postgres::{Client, Config, NoTls};

/// What it does, for whoever calls it without arguments.
const USAGE: &str = "usage: demo-sql COMMAND
  create-database     role shop_admin (password in DEMO_ADMIN_PASSWORD) and its database shop
  drop-database       the database that this made, and the roles of it
  import ROWS         customers, as from a backup
  log-in URI_FILE     whether the server lets this credential in: works, or refused;
                      -: credentials from standard input, one a line
  logins              the logins that exist for the database
  rows                rows, and how many of them do not have the name that was written last
  stay                nothing, until SIGTERM: a Pod to run the others in";

/// What the database is marked with: no other is ever dropped.
const MARK: &str = "made by the demo of database-operator";
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

/// Nobody waits longer for a login on the same machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["create-database"] => create_database().await,
        ["drop-database"] => drop_database().await,
        ["import", rows] => import(rows).await,
        ["log-in", file] => log_in(file).await,
        ["logins"] => logins().await,
        ["rows"] => rows().await,
        ["stay"] => stay().await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", spell(error.as_ref()));
        ExitCode::FAILURE
    })
}

/// What a platform team hands over: an empty database whose owner may create roles, and is no
/// superuser.
async fn create_database() -> Outcome {
    let password = std::env::var("DEMO_ADMIN_PASSWORD")?;
    let superuser = connect(environment()?).await?;
    let quoted = password.replace('\'', "''");
    let database = database();
    for statement in [
        format!("CREATE ROLE {database}_admin LOGIN CREATEROLE PASSWORD '{quoted}'"),
        format!("CREATE DATABASE {database} OWNER {database}_admin"),
        format!("COMMENT ON DATABASE {database} IS '{MARK}'"),
    ] {
        superuser.batch_execute(&statement).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Drops what [`create_database`] made, and what the operator made in it since.
async fn drop_database() -> Outcome {
    let superuser = connect(environment()?).await?;
    let database = database();
    let marked = superuser
        .query_opt(
            "SELECT oid FROM pg_database
             WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2",
            &[&database, &MARK],
        )
        .await?;
    if marked.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    // Asked before: without the database, nothing tells which roles were its own.
    let roles = superuser.query(ROLES, &[&database]).await?;
    superuser
        .batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
        .await?;
    // The admin's memberships were granted by roles that depend on them.
    let admin = format!("{database}_admin");
    let mut names: Vec<String> = roles.iter().map(|row| row.get(0)).collect();
    names.retain(|name| *name != admin);
    names.push(admin);
    for name in names {
        superuser
            .batch_execute(&format!("DROP ROLE \"{name}\""))
            .await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn import(rows: &str) -> Outcome {
    let rows: i64 = rows.parse()?;
    let client = connect(in_shop()?).await?;
    client
        .execute(
            "INSERT INTO customers (email, name)
             SELECT 'customer-' || n || '@example.com', 'customer-' || n || ', revision 0'
             FROM generate_series(1, $1::bigint) n",
            &[&rows],
        )
        .await?;
    // As autovacuum would within a minute: the size of the table is known from now on.
    client.batch_execute("ANALYZE customers").await?;
    Ok(ExitCode::SUCCESS)
}

/// Exit status 3, and the server's words, when a login is refused.
async fn log_in(file: &str) -> Outcome {
    let mut text = String::new();
    match file {
        "-" => drop(std::io::stdin().read_to_string(&mut text)?),
        _ => text = std::fs::read_to_string(file)?,
    }
    let mut code = ExitCode::SUCCESS;
    for uri in text.lines() {
        // A parse error could repeat a part of the URI, which holds a password.
        let config = uri
            .trim()
            .parse()
            .map_err(|_| format!("{file} holds what is no connection string"))?;
        match connect(config).await {
            Ok(_) => println!("works"),
            Err(error) if error.as_db_error().is_some() => {
                println!("refused: {}", spell(&error));
                code = ExitCode::from(3);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}

async fn logins() -> Outcome {
    let client = connect(environment()?).await?;
    for row in client.query(ROLES, &[&database()]).await? {
        if row.get(1) {
            println!("{}", row.get::<_, String>(0));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn stay() -> Outcome {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    term.recv().await;
    Ok(ExitCode::SUCCESS)
}

/// The columns' names are asked for, because the table changes during the demo.
async fn rows() -> Outcome {
    let client = connect(in_shop()?).await?;
    let columns: Vec<String> = client
        .query(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = 'customers'::regclass AND attnum > 0 AND NOT attisdropped
               AND attname IN ('name', 'full_name')",
            &[],
        )
        .await?
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
        .await?;
    let (rows, wrong): (i64, i64) = (row.get(0), row.get(1));
    println!("rows={rows} wrong={wrong} columns={}", columns.join("+"));
    Ok(ExitCode::SUCCESS)
}

/// The name of the demo's database.
fn database() -> String {
    std::env::var("DEMO_DATABASE").unwrap_or_else(|_| "shop".to_owned())
}

/// The connection string in DEMO_DSN.
fn environment() -> Result<Config, String> {
    let dsn = std::env::var("DEMO_DSN").map_err(|_| "DEMO_DSN is not set".to_owned())?;
    dsn.parse()
        .map_err(|_| "DEMO_DSN is no connection string".to_owned())
}

/// The same, in the demo's database.
fn in_shop() -> Result<Config, String> {
    let mut config = environment()?;
    config.dbname(database());
    Ok(config)
}

async fn connect(mut config: Config) -> Result<Client, tokio_postgres::Error> {
    config.connect_timeout(PATIENCE);
    config.application_name("demo");
    let (client, connection) = config.connect(NoTls).await?;
    // A broken connection shows as an error of the client's next call.
    tokio::spawn(connection);
    Ok(client)
}

/// The server's own words where there are any: the driver's error says only `db error`. Else all causes.
fn spell(error: &(dyn std::error::Error + 'static)) -> String {
    let of_server = error
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::as_db_error);
    if let Some(error) = of_server {
        return error.message().to_owned();
    }
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
