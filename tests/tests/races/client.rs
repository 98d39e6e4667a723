//! A client of the credential that is being retired, on a thread of its own, and somebody who looks whether that
//! credential can be logged in to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dbop_tests::{Session, TestDatabase};

/// What a client does with its session.
pub(crate) const QUERY: &str = "SELECT id, name FROM customers";
/// A client that stays asks so often.
const STEP: Duration = Duration::from_millis(5);
/// What servers say to who may not log in. PostgreSQL: not permitted, wrong password (there is no such role); MySQL and
/// MariaDB: locked, access denied.
const REFUSALS: [&str; 5] = ["28000", "28P01", "3118", "4151", "1045"];
/// MySQL lets nobody find out whether an account exists: of one that does not it asks for any of the ways to prove
/// oneself, also for one that this client does not know.
const DECOY: &str = "Unknown authentication plugin";

/// How a client uses its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It logs in, asks once, leaves, and logs in again, without a pause.
    Tight,
    /// It logs in once, and stays.
    Staying,
}

/// A login that the server let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// When it knocked.
    pub(crate) came: Instant,
    /// When the last answer to it came.
    pub(crate) served: Instant,
}

/// What became of a client.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) visits: Vec<Visit>,
    /// When it was not let in: when it knocked.
    pub(crate) refused: Vec<Instant>,
    /// What went wrong after it had been let in, or otherwise; the last time.
    pub(crate) broken: Option<String>,
}

/// Something that goes on until it is told to end.
pub(crate) struct Beside<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Beside<T> {
    /// A thread with a runtime of its own: nothing else that a test does holds it up.
    fn start<F: Future<Output = T>>(
        work: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for one client");
            runtime.block_on(work(told))
        });
        Beside { stop, thread }
    }

    /// Tells it to end, and gives what it has to say.
    pub(crate) fn end(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

/// A client that begins after this time.
pub(crate) fn client(uri: String, manner: Manner, begins: Duration) -> Beside<Account> {
    Beside::start(async move |stop| {
        let mut account = Account::default();
        let goes_on = || !stop.load(Ordering::Relaxed);
        tokio::time::sleep(begins).await;
        while goes_on() {
            let came = Instant::now();
            match Session::by_uri(&uri).await {
                Ok(session) => {
                    loop {
                        if let Err(error) = session.run(QUERY).await {
                            account.broken = Some(error.to_string());
                            break;
                        }
                        if manner == Manner::Tight || !goes_on() {
                            break;
                        }
                        tokio::time::sleep(STEP).await;
                    }
                    let served = Instant::now();
                    account.visits.push(Visit { came, served });
                    session.close().await;
                }
                Err(error)
                    if REFUSALS.contains(&error.code.as_str()) || error.message.contains(DECOY) =>
                {
                    account.refused.push(came);
                }
                Err(error) => account.broken = Some(error.to_string()),
            }
        }
        account
    })
}

/// When a login was seen to be open, locked (`Some(false)`), gone (`None`): each change.
pub(crate) type Gate = Vec<(Instant, Option<bool>)>;

/// Looks at a login without a pause.
pub(crate) fn gate(database: &TestDatabase, login: &str) -> Beside<Gate> {
    let (server, sql) = (database.server().clone(), database.asks_whether_open(login));
    Beside::start(async move |stop| {
        let person = server.person(None).await;
        let mut gate: Gate = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let rows = person.read(&sql).await.expect("a person reads of logins");
            let is_open = rows.first().map(|open| open == "1");
            if gate.last().map(|(_, last)| *last) != Some(is_open) {
                gate.push((Instant::now(), is_open));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        person.close().await;
        gate
    })
}
