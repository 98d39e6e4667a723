//! A run from its settings to its end: connect, lock, look at what is recorded, run what is
//! pending.
//!
//! It deliberately knows neither signals nor exit codes nor the gateway: the binary ties them to
//! [`Stop`], [`RunError::is_bad_input`] and [`Progress`].

mod batches;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::Engine;
use crate::files::{Files, FilesError, UnknownVersion};
use crate::order::{self, Refusal};
use crate::progress::Progress;
use crate::said::{Said, Trouble};
use crate::session::mysql::MySql;
use crate::session::postgres::Postgres;
use crate::session::{Left, Session, SessionError};
use crate::settings::{Settings, SettingsError};
use crate::tell::{Stop, Tell, spoken};

/// How long a run that is told to stop may take for it; a Pod has 30 s before it is killed, and
/// the last push needs its share.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Where the files and their records are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The directory of SQL files.
    pub dir: PathBuf,
    /// The schema of `_sqlx_migrations`; absent: where it is found on the search path.
    pub table_schema: Option<String>,
}

/// Why a run did not reach its target.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The environment.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The directory of SQL files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A version that no file has.
    #[error("{variable}: {source}")]
    Version {
        /// The variable that names it.
        variable: &'static str,
        /// Which.
        source: UnknownVersion,
    },
    /// The connection.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The record does not fit the files.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A plain file failed.
    #[error("{name} failed: {said}")]
    File {
        /// The file.
        name: String,
        /// What the server or the driver said.
        said: Said,
        /// The version of the file.
        version: i64,
        /// What is left of it.
        left: Left,
    },
    /// A batch file failed.
    #[error("{name} failed after {rows} changed rows: {said}")]
    Batch {
        /// The file.
        name: String,
        /// Rows that this run changed; they stay changed.
        rows: u64,
        /// What the server or the driver said.
        said: Said,
    },
    /// A batch file came to no end.
    #[error("{name} does not come to its end: {why}")]
    Endless {
        /// The file.
        name: String,
        /// What was seen.
        why: String,
    },
    /// A signal.
    #[error("stopped before the target was reached")]
    Stopped {
        /// The version of a file that is half run, as far as that is seen, and how many of its statements have
        /// done their work.
        half_run: Option<(i64, Option<usize>)>,
    },
    /// A schema for the table where a database has none.
    #[error("--table-schema is for PostgreSQL: in MySQL and MariaDB a database has no schemas")]
    NoSchemas,
}

impl RunError {
    /// Stopped, with no file that is seen to be half run.
    const STOPPED: Self = Self::Stopped { half_run: None };

    /// Whether arguments, environment or files are at fault, and no database was asked.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Settings(_)
                | Self::Files(_)
                | Self::NoSchemas
                | Self::Version {
                    variable: "DBA_OP_TARGET_VERSION",
                    ..
                }
        )
    }

    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Settings(error) => error.advice().to_owned(),
            Self::Files(error) => error.advice().to_owned(),
            Self::Version { .. } => "it is the number that a file's name begins with, and the \
                                     files of this container must reach it"
                .to_owned(),
            Self::Session(error) => error.advice().to_owned(),
            Self::Refused(refusal) => refusal.advice(),
            Self::File {
                version,
                left: Left::Recorded(done),
                ..
            } => half_run(*version, *done),
            Self::File {
                version,
                left: Left::Unknown,
                ..
            } => format!(
                "the connection is lost: look whether _sqlx_migrations has a row of version {version}. If it has \
                 one without success, finish or undo by hand what the file did, and DELETE that row; then run again"
            ),
            Self::File { said, .. } | Self::Batch { said, .. }
                if said.trouble() == Some(Trouble::LockTimeout) =>
            {
                let activity = match said.is_mysql() {
                    true => "SHOW PROCESSLIST",
                    false => "pg_stat_activity",
                };
                format!(
                    "another session held a lock for longer than the lock timeout: run again when it \
                     is gone (see {activity}), or raise DBA_OP_LOCK_TIMEOUT"
                )
            }
            Self::File {
                left: Left::Nothing,
                ..
            } => {
                "nothing of this file remains in the database: correct it and run again".to_owned()
            }
            Self::File {
                left: Left::Unrecorded,
                ..
            } => "this file runs without a transaction: look at what it left behind (an invalid \
                 index, say), remove that (dbop:before can do it) and run again"
                .to_owned(),
            Self::Batch { .. } => {
                "what is changed stays changed: correct the file and run again, it goes on with \
                 the rows that are left"
                    .to_owned()
            }
            Self::Endless { .. } => {
                "each repetition must leave fewer rows to do, and dbop:total must count those \
                 that are left"
                    .to_owned()
            }
            Self::NoSchemas => {
                "leave it out: the table is in the database that is migrated".to_owned()
            }
            Self::Stopped {
                half_run: Some((version, done)),
            } => half_run(*version, *done),
            Self::Stopped { half_run: None } => {
                "what is recorded is kept: run again, and it goes on from there".to_owned()
            }
        }
    }
}

/// What a person does about a file that ended half way.
fn half_run(version: i64, done: Option<usize>) -> String {
    let done = match done {
        Some(0) => {
            "it failed in its first statement, which may have done a part of its work".to_owned()
        }
        Some(1) => "its first statement has done its work, the second failed".to_owned(),
        Some(done) => format!("its first {done} statements have done their work, the next failed"),
        None => "the statements before the one that failed have done their work".to_owned(),
    };
    format!(
        "this file is half run, since MySQL and MariaDB commit DDL at once: {done}. Finish or undo by hand what \
         they did (SHOW CREATE TABLE tells), then DELETE FROM _sqlx_migrations WHERE version = {version}, which \
         is recorded without success, and run again"
    )
}

/// What every step of a run gets.
struct Context<'r, T> {
    progress: &'r Progress,
    tell: &'r T,
    stop: &'r Stop,
}

/// Brings the database to its target.
///
/// Safe to call again after any failure, and beside another run: the second waits, then finds
/// nothing to do. When `stop` is asked for, what the server does is cancelled, and the run ends
/// with [`RunError::Stopped`] unless it was complete by then.
///
/// # Errors
/// [`RunError`]; none of them shows a secret.
pub async fn run(
    settings: &Settings,
    places: &Places,
    progress: &Progress,
    tell: &impl Tell,
    stop: &Stop,
) -> Result<(), RunError> {
    let mut files = Files::read(&places.dir, settings.dsn.engine()).await?;
    let target = files.version(settings.target.as_deref());
    let target = target.map_err(unknown("DBA_OP_TARGET_VERSION"))?;
    let context = Context {
        progress,
        tell,
        stop,
    };
    match settings.dsn.engine() {
        Engine::Postgres => {
            walk_until_stopped::<Postgres>(&mut files, settings, places, target, &context).await
        }
        Engine::MySql if places.table_schema.is_some() => Err(RunError::NoSchemas),
        Engine::MySql => {
            walk_until_stopped::<MySql>(&mut files, settings, places, target, &context).await
        }
    }
}

/// Connects and walks; cancels what the server does when the end is asked for.
async fn walk_until_stopped<S: Session>(
    files: &mut Files,
    settings: &Settings,
    places: &Places,
    target: i64,
    context: &Context<'_, impl Tell>,
) -> Result<(), RunError> {
    let stop = context.stop;
    let connecting = S::connect(&settings.dsn, settings.lock_timeout_ms);
    let mut session = tokio::select! {
        connected = connecting => connected?,
        () = stop.wait() => return Err(RunError::STOPPED),
    };
    let number = session.number();
    let ended = {
        let walk = walk(&mut session, files, settings, places, target, context);
        tokio::pin!(walk);
        tokio::select! {
            ended = &mut walk => ended,
            () = stop.wait() => {
                let cancel = S::cancel_until_dropped(&settings.dsn, number);
                let stopping = async {
                    tokio::select! {
                        ended = &mut walk => ended,
                        () = async { cancel.await; std::future::pending().await } => {
                            Err(RunError::STOPPED)
                        }
                    }
                };
                // Whatever a cancelled statement says, the reason is the signal.
                match tokio::time::timeout(STOP_MAX, stopping).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(RunError::File { version, left: Left::Recorded(done), .. })) => {
                        Err(RunError::Stopped { half_run: Some((version, done)) })
                    }
                    _ => Err(RunError::STOPPED),
                }
            }
        }
    };
    if !matches!(ended, Err(RunError::Stopped { .. })) {
        session.close().await;
    }
    ended
}

async fn walk(
    session: &mut impl Session,
    files: &mut Files,
    settings: &Settings,
    places: &Places,
    target: i64,
    context: &Context<'_, impl Tell>,
) -> Result<(), RunError> {
    let (tell, stop) = (context.tell, context.stop);
    session.renew().await?;
    session.lock(stop, tell).await?;
    go_on(stop)?;
    session.open_table(places.table_schema.as_deref()).await?;
    let recorded = session.recorded().await?;
    let current = recorded.iter().map(|row| row.version).max();
    let previous = match (&settings.previous, current) {
        // An empty database is walked from its first file, wherever the chain would start.
        (Some(previous), Some(_)) => {
            let previous = files.version(Some(previous));
            Some(previous.map_err(unknown("DBA_OP_PREVIOUS_VERSION"))?)
        }
        _ => None,
    };
    let pending: Vec<i64> = order::pending(files.list(), &recorded, previous, target)?
        .iter()
        .map(|file| file.version)
        .collect();
    let place = settings.dsn.place();
    let at = current.map_or("empty".to_owned(), |version| {
        format!("at version {version}")
    });
    if pending.is_empty() {
        tell.say(&format!("{place}: {at}, nothing to do"));
        return Ok(());
    }
    let count = pending.len();
    let word = if count == 1 { "file" } else { "files" };
    tell.say(&format!(
        "{place}: {at}, {count} {word} to run up to version {target}"
    ));
    context.progress.begin(count);
    let begun = Instant::now();
    for version in pending {
        go_on(stop)?;
        session.renew().await?;
        run_file(session, files, version, context).await?;
    }
    tell.say(&format!(
        "at version {target}: {count} {word} in {}",
        spoken(begun.elapsed())
    ));
    Ok(())
}

async fn run_file(
    session: &mut impl Session,
    files: &mut Files,
    version: i64,
    context: &Context<'_, impl Tell>,
) -> Result<(), RunError> {
    let Some(file) = files.get(version) else {
        return Ok(());
    };
    if let Some(batch) = &file.directives.batch {
        batches::run(session, file, batch, context).await?;
        context.progress.file_done(false);
        return Ok(());
    }
    let (name, before) = (file.name.clone(), file.directives.before.clone());
    context.tell.say(&format!("{name}: begins"));
    let begun = Instant::now();
    let failed = |said, left| RunError::File {
        name: name.clone(),
        version,
        said,
        left,
    };
    if let Some(before) = before {
        session.execute(before).await.map_err(|error| {
            let said = Said::text(format!("dbop:before: {}", Said::new(&error, None)));
            failed(said, Left::Unrecorded)
        })?;
    }
    let applied = session.apply(files, version).await;
    applied.map_err(|error| failed(error.said, error.left))?;
    context
        .tell
        .say(&format!("{name}: done in {}", spoken(begun.elapsed())));
    context.progress.file_done(true);
    Ok(())
}

fn go_on(stop: &Stop) -> Result<(), RunError> {
    if stop.asked() {
        Err(RunError::STOPPED)
    } else {
        Ok(())
    }
}

fn unknown(variable: &'static str) -> impl Fn(UnknownVersion) -> RunError {
    move |source| RunError::Version { variable, source }
}
