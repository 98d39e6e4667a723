//! A writer beside a change of the schema: an application that changes a row again and again, and knows how long it
//! waited at most.
//!
//! It has a thread of its own, so that nothing that a test does meanwhile looks like a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use crate::session::{Refused, Session};

/// Between two statements: an application that does nothing else is none.
const STEP: Duration = Duration::from_millis(3);
/// What InnoDB says when two transactions wait for each other: every application tries again.
pub const DEADLOCK: &str = "1213";
/// How often one statement is tried in a row.
const TRIES_MAX: usize = 100;

/// A writer at work.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Pauses>,
}

/// What a writer knows at its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pauses {
    /// The longest time that one statement took, with all its tries.
    pub longest: Duration,
    /// How many statements it ran.
    pub statements: u64,
}

impl Writer {
    /// Begins: logs in with this connection string, and runs what `statement` gives for 0, 1, 2 and so on. Returns when
    /// the first has succeeded.
    ///
    /// # Panics
    /// When it cannot log in, or the first statement fails.
    #[must_use]
    pub fn start(uri: String, statement: impl Fn(u64) -> String + Send + 'static) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (begun, begins) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for one writer");
            runtime.block_on(async {
                let session = Session::by_uri(&uri).await.expect("the writer can log in");
                let mut pauses = Pauses::default();
                while !stopped.load(Ordering::Relaxed) {
                    let took = one(&session, &statement(pauses.statements)).await;
                    pauses.longest = pauses.longest.max(took);
                    pauses.statements += 1;
                    // Nobody listens after the first.
                    let _ = begun.send(());
                    tokio::time::sleep(STEP).await;
                }
                session.close().await;
                pauses
            })
        });
        begins.recv().expect("the writer writes");
        Writer { stop, thread }
    }

    /// Ends it.
    ///
    /// # Panics
    /// When a statement of it failed.
    #[must_use]
    #[track_caller]
    pub fn end(self) -> Pauses {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every write succeeds")
    }
}

/// Runs one statement, and gives how long that took.
async fn one(session: &Session, statement: &str) -> Duration {
    let begun = Instant::now();
    for _ in 0..TRIES_MAX {
        match session.run(statement).await {
            Ok(()) => return begun.elapsed(),
            Err(Refused { code, .. }) if code == DEADLOCK => {}
            Err(error) => panic!("the writer's `{statement}` fails: {error}"),
        }
    }
    panic!("the writer's `{statement}` meets a deadlock {TRIES_MAX} times in a row")
}
