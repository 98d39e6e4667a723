//! A run from its settings to its end: connect, lock, look at what is recorded, run what is
//! pending.
//!
//! It deliberately knows neither signals nor exit codes nor the gateway: the binary ties them to
//! [`Stop`], [`RunError::is_bad_input`] and [`Progress`].

mod batches;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use tokio::time::Instant;

use crate::files::{File, Files, FilesError, UnknownVersion};
use crate::order::{self, Refusal};
use crate::progress::Progress;
use crate::said::Said;
use crate::session::{self, Session, SessionError};
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
        /// Whether it ran in a transaction, so that nothing of it remains.
        in_transaction: bool,
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
    Stopped,
}

impl RunError {
    /// Whether arguments, environment or files are at fault, and no database was asked.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Settings(_)
                | Self::Files(_)
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
            Self::File { said, .. } | Self::Batch { said, .. } if said.code() == Some("55P03") => {
                "another session held a lock for longer than the lock timeout: run again when it \
                 is gone (see pg_stat_activity), or raise DBA_OP_LOCK_TIMEOUT"
                    .to_owned()
            }
            Self::File {
                in_transaction: true,
                ..
            } => {
                "nothing of this file remains in the database: correct it and run again".to_owned()
            }
            Self::File {
                in_transaction: false,
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
            Self::Stopped => {
                "what is recorded is kept: run again, and it goes on from there".to_owned()
            }
        }
    }
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
    let mut files = Files::read(&places.dir).await?;
    let target = files.version(settings.target.as_deref());
    let target = target.map_err(unknown("DBA_OP_TARGET_VERSION"))?;
    let connecting = Session::connect(&settings.dsn, settings.lock_timeout_ms);
    let mut session = tokio::select! {
        connected = connecting => connected?,
        () = stop.wait() => return Err(RunError::Stopped),
    };
    let pid = session.pid();
    let context = Context {
        progress,
        tell,
        stop,
    };
    let ended = {
        let walk = walk(&mut session, &mut files, settings, places, target, &context);
        tokio::pin!(walk);
        tokio::select! {
            ended = &mut walk => ended,
            () = stop.wait() => {
                let cancel = session::cancel_until_dropped(&settings.dsn, pid);
                let stopping = async {
                    tokio::select! {
                        ended = &mut walk => ended,
                        () = async { cancel.await; std::future::pending().await } => {
                            Err(RunError::Stopped)
                        }
                    }
                };
                // Whatever a cancelled statement says, the reason is the signal.
                let ended = tokio::time::timeout(STOP_MAX, stopping).await;
                if matches!(ended, Ok(Ok(()))) { Ok(()) } else { Err(RunError::Stopped) }
            }
        }
    };
    if !matches!(ended, Err(RunError::Stopped)) {
        session.close().await;
    }
    ended
}

async fn walk(
    session: &mut Session,
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
    session: &mut Session,
    files: &mut Files,
    version: i64,
    context: &Context<'_, impl Tell>,
) -> Result<(), RunError> {
    let Some(file) = files.list().iter().find(|file| file.version == version) else {
        return Ok(());
    };
    if let Some(batch) = &file.directives.batch {
        batches::run(session, file, batch, context).await?;
        context.progress.file_done(false);
        return Ok(());
    }
    let before = file.directives.before.clone();
    let file = Plain::of(file);
    context.tell.say(&format!("{}: begins", file.name));
    let begun = Instant::now();
    if let Some(before) = before {
        session
            .execute(before)
            .await
            .map_err(|error| file.failed_before(&error))?;
    }
    session
        .apply(files, version)
        .await
        .map_err(|error| file.failed(&error))?;
    context.tell.say(&format!(
        "{}: done in {}",
        file.name,
        spoken(begun.elapsed())
    ));
    context.progress.file_done(true);
    Ok(())
}

/// What is said of a plain file after the files were lent to the `Migrator`.
struct Plain {
    name: String,
    sql: sqlx::SqlStr,
    in_transaction: bool,
}

impl Plain {
    fn of(file: &File) -> Self {
        let migration = &file.migration;
        Self {
            name: file.name.clone(),
            sql: migration.sql.clone(),
            in_transaction: !migration.no_tx,
        }
    }

    fn failed_before(&self, error: &sqlx::Error) -> RunError {
        let said = Said::text(format!("dbop:before: {}", Said::new(error, None)));
        RunError::File {
            name: self.name.clone(),
            said,
            in_transaction: self.in_transaction,
        }
    }

    fn failed(&self, error: &MigrateError) -> RunError {
        let said = match error {
            MigrateError::ExecuteMigration(source, _) => Said::new(source, Some(self.sql.as_str())),
            MigrateError::Execute(source) => Said::new(source, None),
            other => Said::text(other.to_string()),
        };
        RunError::File {
            name: self.name.clone(),
            said,
            in_transaction: self.in_transaction,
        }
    }
}

fn go_on(stop: &Stop) -> Result<(), RunError> {
    if stop.asked() {
        Err(RunError::Stopped)
    } else {
        Ok(())
    }
}

fn unknown(variable: &'static str) -> impl Fn(UnknownVersion) -> RunError {
    move |source| RunError::Version { variable, source }
}
