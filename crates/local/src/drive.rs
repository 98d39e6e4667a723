//! The driver: a task for each database of a directory, until nothing can go on by itself, or for good.
//!
//! Databases do not wait for each other, and one whose task panics leaves the others at work. What is decided
//! is decided by the engine; here is only when to look again, and when to stop looking.

mod board;
mod end;
mod patience;
mod task;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbop_database::Connector;
use dbop_engine::{Engine, Entropy, Platform as _, Read};
use dbop_model::{JobName, ObjectRef};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::{Id, JoinError, JoinSet};

use crate::manifests::Problem;
use crate::platform::LocalPlatform;
use board::Board;
pub use end::{DatabaseEnd, End, end_of, exit_status};
use task::{QUIT_GRACE, Task};
use watch::Watch;

/// A database whose task panicked is taken up again after this.
const PANIC_PAUSE: Duration = Duration::from_secs(5);
/// When told to stop, a task that does not come to rest is left where it is after this: as safe as a crash.
const STOP_GRACE: Duration = QUIT_GRACE.saturating_add(Duration::from_secs(2));

/// How long to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until no database can go on by itself.
    Rest,
    /// Until told to stop.
    Stopped,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalEnd {
    /// Each database, by name.
    pub databases: Vec<DatabaseEnd>,
    /// What is wrong with the directory: nothing was started where there was anything.
    pub problems: Vec<Problem>,
    /// It was told to stop before it came to rest.
    pub stopped: bool,
    /// Runs that go on without us.
    pub running: Vec<(ObjectRef, JobName)>,
}

impl LocalEnd {
    /// The exit status of the command line.
    pub fn exit_status(&self) -> u8 {
        if self.problems.is_empty() {
            exit_status(self.databases.iter().map(|database| database.end))
        } else {
            end::FAILED_STATUS
        }
    }
}

/// Works on every database of the directory.
///
/// It returns when no database can go on by itself (with [`Until::Rest`]), or when `stop` becomes true. Runs
/// that are under way then go on by themselves, and are found again by the next call.
pub async fn run(
    platform: Arc<LocalPlatform>,
    connector: Arc<dyn Connector>,
    entropy: Arc<dyn Entropy>,
    until: Until,
    stop: Receiver<bool>,
) -> LocalEnd {
    let manifests = platform.manifests();
    platform.observer().manifests(&manifests);
    let mut problems = manifests.problems.clone();
    if problems.is_empty() && manifests.databases.is_empty() && until == Until::Rest {
        problems.push(nothing_to_do());
    }
    if !problems.is_empty() {
        return LocalEnd {
            problems,
            ..LocalEnd::default()
        };
    }
    let engine = Engine::new(
        platform.clone(),
        connector,
        platform.clock().clone(),
        entropy,
    );
    Driver::new(platform, engine, until).drive(stop).await
}

fn nothing_to_do() -> Problem {
    Problem {
        file: ".".into(),
        line: None,
        object: None,
        text: "no ManagedDatabase stands in the directory's manifests".to_owned(),
        way_out: "add one, in a file whose name ends with .yaml".to_owned(),
    }
}

/// Returns when it is told to stop. Where nobody is left who could tell it, it never does.
async fn told(stop: &mut Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

struct Driver {
    platform: Arc<LocalPlatform>,
    engine: Engine,
    until: Until,
    board: Arc<Board>,
    tasks: JoinSet<()>,
    names: BTreeMap<Id, ObjectRef>,
    changes: Sender<u64>,
    quit: Sender<bool>,
}

impl Driver {
    fn new(platform: Arc<LocalPlatform>, engine: Engine, until: Until) -> Self {
        Self {
            platform,
            engine,
            until,
            board: Arc::default(),
            tasks: JoinSet::new(),
            names: BTreeMap::new(),
            changes: channel(0).0,
            quit: channel(false).0,
        }
    }

    async fn drive(mut self, mut stop: Receiver<bool>) -> LocalEnd {
        let mut watch = Watch::new(&self.platform);
        let mut stopped = false;
        loop {
            self.start_missing();
            if self.until == Until::Rest && self.board.all_settled() {
                break;
            }
            let board = self.board.clone();
            tokio::select! {
                () = board.changed() => {}
                () = watch.change(&self.platform) => {
                    self.changes.send_modify(|generation| *generation += 1);
                }
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    match ended {
                        Ok((id, ())) => { self.names.remove(&id); }
                        Err(error) => self.panicked(&error),
                    }
                }
                () = told(&mut stop) => {
                    stopped = true;
                    break;
                }
            }
        }
        self.stop().await;
        self.end(stopped).await
    }

    /// A task for each database that has none.
    fn start_missing(&mut self) {
        let manifests = self.platform.manifests();
        for database in manifests.databases.keys() {
            if self.names.values().any(|name| name == database) || self.board.rests(database) {
                continue;
            }
            self.board.starts(database);
            let task = Task::new(
                self.platform.clone(),
                self.engine.clone(),
                database.clone(),
                self.board.clone(),
                self.changes.subscribe(),
                self.quit.subscribe(),
            );
            let handle = self.tasks.spawn(task.run());
            self.names.insert(handle.id(), database.clone());
        }
    }

    /// One database's task is gone. The others go on; it is taken up again while we watch.
    fn panicked(&mut self, error: &JoinError) {
        let Some(database) = self.names.remove(&error.id()) else {
            return;
        };
        tracing::error!(%database, %error, "the task of a database ended unexpectedly");
        let end = DatabaseEnd {
            database: database.clone(),
            end: End::Failed,
            says: "a fault of the program itself ended its work; see the message before".to_owned(),
        };
        self.board.breaks(end);
        if self.until == Until::Stopped {
            let board = self.board.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PANIC_PAUSE).await;
                board.forget(&database);
            });
        }
    }

    async fn stop(&mut self) {
        self.quit.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }

    async fn end(self, stopped: bool) -> LocalEnd {
        let databases = self.board.ends();
        let mut running = Vec::new();
        for database in &databases {
            let jobs = self
                .platform
                .jobs(&database.database, Read::Live)
                .await
                .unwrap_or_default();
            let live = jobs.into_iter().filter(|job| job.is_live());
            running.extend(live.map(|job| (database.database.clone(), job.name)));
        }
        LocalEnd {
            databases,
            problems: Vec::new(),
            stopped,
            running,
        }
    }
}
