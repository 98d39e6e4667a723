//! An application: it takes its credential from a published Secret, and counts what the database refuses it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql_async::OptsBuilder;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;

use crate::session::{Refused, Session};

/// The pause between two queries of a session.
const PAUSE: Duration = Duration::from_millis(20);
/// A query that takes longer has failed: no application would wait so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many failures are kept in words.
const FAILURES_MAX: usize = 20;

/// What a published Secret holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(BTreeMap<String, String>);

impl Credential {
    pub(crate) fn new(data: BTreeMap<String, String>) -> Credential {
        Credential(data)
    }

    /// The value of a key.
    ///
    /// # Panics
    /// When there is no such key.
    #[must_use]
    #[track_caller]
    pub fn get(&self, key: &str) -> &str {
        match self.0.get(key) {
            Some(value) => value,
            None => panic!("the Secret has no key {key}, only {:?}", self.0.keys()),
        }
    }

    /// The same login on another server.
    #[must_use]
    pub fn on(&self, (host, port): (String, u16)) -> Credential {
        let mut data = self.0.clone();
        data.insert("host".to_owned(), host);
        data.insert("port".to_owned(), port.to_string());
        Credential(data)
    }

    /// All keys and values.
    #[must_use]
    pub fn data(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Logs in with its parts.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// When a key is missing, or the server does not answer.
    pub async fn connect(&self) -> Result<Session, Refused> {
        let port = self.get("port").parse().expect("a port is a number");
        if self.get("type") == "mysql" {
            let opts = OptsBuilder::default()
                .ip_or_hostname(self.get("host"))
                .tcp_port(port)
                .db_name(Some(self.get("database")))
                .user(Some(self.get("username")))
                .pass(Some(self.get("password")));
            return Session::in_mysql(opts).await;
        }
        let mut config = Config::new();
        config
            .host(self.get("host"))
            .port(port)
            .dbname(self.get("database"))
            .user(self.get("username"))
            .password(self.get("password"));
        Session::in_postgres(&config).await
    }

    /// Logs in with its connection string.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// When it has none, or the server does not answer.
    pub async fn connect_by_uri(&self) -> Result<Session, Refused> {
        Session::by_uri(self.get("uri")).await
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({:?})", self.0.get("username"))
    }
}

/// An application that runs one query again and again until it is stopped.
pub struct Application {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What an application went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Queries that succeeded.
    pub queries: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Queries and logins that failed.
    pub failed: u64,
    /// The first failures, in words.
    pub failures: Vec<String>,
}

impl Tally {
    /// Checks that it worked, and that nothing ever failed.
    ///
    /// # Panics
    /// When it did nothing, or something failed.
    #[track_caller]
    pub fn is_undisturbed(&self) {
        assert!(self.queries > 0, "the application made no query at all");
        assert!(self.failed == 0, "the application was disturbed: {self:?}");
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    pid: AtomicI64,
    queries: AtomicU64,
    logins: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Application {
    /// One that logs in once and keeps its session, with a query every 20 ms.
    ///
    /// # Panics
    /// When it cannot log in to begin with.
    pub async fn staying(credential: &Credential, query: &str) -> Application {
        let shared = Arc::new(Shared::default());
        let session = match credential.connect().await {
            Ok(session) => session,
            Err(error) => panic!("an application cannot log in as {credential:?}: {error:?}"),
        };
        shared.logins.fetch_add(1, Ordering::Relaxed);
        shared.pid.store(session.id().await, Ordering::Relaxed);
        let (query, inner) = (query.to_owned(), shared.clone());
        let task = tokio::spawn(async move {
            while !inner.is_stopped() {
                inner.query(&session, &query).await;
                sleep(PAUSE).await;
            }
            session.close().await;
        });
        Application { shared, task }
    }

    /// One that logs in for `stay`, every so often.
    #[must_use]
    pub fn visiting(
        credential: &Credential,
        query: &str,
        stay: Duration,
        every: Duration,
    ) -> Application {
        let shared = Arc::new(Shared::default());
        let (credential, query, inner) = (credential.clone(), query.to_owned(), shared.clone());
        let task = tokio::spawn(async move {
            while !inner.is_stopped() {
                match credential.connect().await {
                    Ok(session) => {
                        inner.logins.fetch_add(1, Ordering::Relaxed);
                        inner.query(&session, &query).await;
                        sleep(stay).await;
                        session.close().await;
                    }
                    Err(error) => inner.fail(&error),
                }
                sleep(every.saturating_sub(stay)).await;
            }
        });
        Application { shared, task }
    }

    /// The server's id of its session.
    #[must_use]
    pub fn pid(&self) -> i64 {
        self.shared.pid.load(Ordering::Relaxed)
    }

    /// What it has gone through so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.tally()
    }

    /// Ends it, its session included.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = timeout(PATIENCE * 2, self.task).await;
        ended
            .expect("an application ends in time")
            .expect("an application does not panic");
        self.shared.tally()
    }
}

impl Shared {
    fn tally(&self) -> Tally {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Tally {
            queries: self.queries.load(Ordering::Relaxed),
            logins: self.logins.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            failures: failures.clone(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn query(&self, session: &Session, query: &str) {
        match timeout(PATIENCE, session.run(query)).await {
            Ok(Ok(())) => drop(self.queries.fetch_add(1, Ordering::Relaxed)),
            Ok(Err(error)) => self.fail(&error),
            Err(_) => self.fail(&"a query took too long"),
        }
    }

    fn fail(&self, error: &dyn std::fmt::Debug) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_MAX {
            failures.push(format!("{error:?}"));
        }
    }
}
