//! What the application does all day: a session that stays, and visitors who come and go.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use crate::release::{Release, name_of};
use crate::tally::Tally;

/// The pause between two queries of the session that stays: a few hundred in a second.
const PAUSE: Duration = Duration::from_millis(2);
/// The pause between two visitors.
const VISIT_EVERY: Duration = Duration::from_millis(250);
/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);
/// Numbers of rows are drawn from this many; the search from there on finds one.
const IDS: u64 = 150_000;

/// Works until `stop` says so, and until all sessions are closed.
pub(crate) async fn start(
    release: &'static Release,
    uri: &str,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    // The text of a parse error could repeat a part of the URI, which holds a password.
    let Ok(mut config) = uri.parse::<Config>() else {
        tally.failure("the Secret's uri cannot be read");
        return;
    };
    config.application_name(format!("shop-app {}", release.name));
    config.connect_timeout(Duration::from_secs(5));
    let visitors = visit(release, config.clone(), Arc::clone(&tally), stop.clone());
    tokio::join!(stay(release, config, tally, stop), visitors);
}

/// One session, for as long as it lasts.
async fn stay(
    release: &'static Release,
    config: Config,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    let mut numbers = Numbers::new();
    while !*stop.borrow() {
        match log_in(&config, &tally).await {
            Ok(session) => {
                let outcome = serve(&session.client, release, &mut numbers, &tally, &stop).await;
                session.close().await;
                let Err(error) = outcome else {
                    return;
                };
                tally.failure(&spell(&error));
            }
            Err(error) => tally.failure(&format!("login: {}", spell(&error))),
        }
        tokio::time::sleep(FAILURE_PAUSE).await;
    }
}

/// Somebody logs in, reads one customer, and leaves.
async fn visit(
    release: &'static Release,
    config: Config,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    let mut numbers = Numbers::new();
    while !*stop.borrow() {
        match log_in(&config, &tally).await {
            Ok(session) => {
                let id = numbers.id();
                match session.client.query_opt(release.read, &[&id]).await {
                    Ok(row) => check(row.as_ref(), &tally),
                    Err(error) => tally.failure(&spell(&error)),
                }
                session.close().await;
            }
            Err(error) => tally.failure(&format!("login: {}", spell(&error))),
        }
        tokio::time::sleep(VISIT_EVERY).await;
    }
}

/// Adds, renames and reads customers, one in ten, three and six.
async fn serve(
    client: &Client,
    release: &Release,
    numbers: &mut Numbers,
    tally: &Tally,
    stop: &watch::Receiver<bool>,
) -> Result<(), tokio_postgres::Error> {
    let row = client
        .query_one("SELECT pg_backend_pid(), current_user::text", &[])
        .await?;
    tally.session(row.get(0), row.get(1));
    let insert = client.prepare(release.insert).await?;
    let update = client.prepare(release.update).await?;
    let read = client.prepare(release.read).await?;
    while !*stop.borrow() {
        match numbers.next() % 10 {
            0 => {
                let email = format!("{}-{:016x}@example.com", release.name, numbers.next());
                check(query(client, &insert, &email).await?.as_ref(), tally);
                tally.added();
            }
            1..4 => check(query(client, &update, &numbers.id()).await?.as_ref(), tally),
            _ => check(query(client, &read, &numbers.id()).await?.as_ref(), tally),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn query(
    client: &Client,
    statement: &Statement,
    parameter: &(impl tokio_postgres::types::ToSql + Sync),
) -> Result<Option<Row>, tokio_postgres::Error> {
    client.query_opt(statement, &[parameter]).await
}

/// The name in a row must be the one that was written last. No row is right as well: the table
/// begins empty.
fn check(row: Option<&Row>, tally: &Tally) {
    let Some(row) = row else {
        tally.query();
        return;
    };
    let (id, email, revision): (i64, String, i32) = (row.get(0), row.get(1), row.get(2));
    let name: Option<String> = row.get(3);
    let expected = name_of(&email, revision);
    if name.as_ref() == Some(&expected) {
        tally.query();
    } else {
        let found = name.as_deref().unwrap_or("NULL");
        tally.failure(&format!(
            "customer {id} is called {found}, and not {expected}"
        ));
    }
}

/// A session, and the task that moves its bytes.
struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

impl Session {
    /// Says goodbye, and waits until the server has heard it.
    async fn close(self) {
        drop(self.client);
        // A connection that broke has told so by the last query.
        let _ = self.connection.await;
    }
}

async fn log_in(config: &Config, tally: &Tally) -> Result<Session, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tally.login();
    let connection = tokio::spawn(async move {
        // As in `close`.
        let _ = connection.await;
    });
    Ok(Session { client, connection })
}

/// The server's own words: the error's `Display` says only `db error`.
fn spell(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// A stream of numbers without pattern (Marsaglia's xorshift64), good enough to pick customers.
struct Numbers(u64);

impl Numbers {
    /// Each starts anywhere: two Pods are both process 1 of their own.
    fn new() -> Numbers {
        Numbers(RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn id(&mut self) -> i64 {
        i64::try_from(self.next() % IDS).unwrap_or_default()
    }
}
