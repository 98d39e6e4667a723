//! `retry` and `accept-run`: a person's word about the last run.
//!
//! It is left in the state directory for `local`, or on the object in a cluster, and names the run that it is
//! about: said of a run that is over, it means nothing to the next one. What would not be acted on is refused
//! here.

use dbop_api::status::{LastRun, RunOutcome};
use dbop_api::{ACCEPT_RUN_ANNOTATION, ManagedDatabaseStatus, RETRY_ANNOTATION};
use dbop_kubernetes::access::{self, AccessError};
use dbop_local::{Request, request};
use dbop_model::{JobName, ObjectRef};
use serde::Serialize;

use super::cluster::{self, Objects};
use super::directory::Directory;
use super::place::Place;
use super::{Console, Done, Exit};
use crate::cli::WordArgs;
use crate::render::Failure;
use crate::render::text::{COLUMNS, wrap};

/// An object that changes so often while a word is put on it changes all the time.
pub(super) const ATTEMPTS_MAX: u32 = 5;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Retry,
    AcceptRun,
}

#[derive(Serialize)]
struct Result {
    database: String,
    said: &'static str,
    migration: String,
    job: String,
}

pub(super) async fn run(args: &WordArgs, word: Word, console: Console) -> Done {
    let place = Place::open(&args.place).await?;
    let (id, run, when) = match &place {
        Place::Directory(directory) => {
            let (id, run) = left(directory, &args.database, word)?;
            let when = "a running `local` acts on it at once, otherwise the next one";
            (id, run, when)
        }
        Place::Cluster(objects) => {
            let (id, run) = annotated(objects, &args.database, word).await?;
            (id, run, "the operator acts on it at once")
        }
    };
    let (said, what) = match word {
        Word::Retry => ("retry", "runs again"),
        Word::AcceptRun => ("accept-run", "counts as done"),
    };
    let text = format!(
        "{id}: migration {} {what} (Job {}); {when}",
        run.migration, run.job
    );
    let result = Result {
        database: id.to_string(),
        said,
        migration: run.migration,
        job: run.job,
    };
    console.result(&wrap("", "  ", &text, COLUMNS).join("\n"), &result)?;
    Ok(Exit::Done)
}

/// Leaves the word in a state directory.
fn left(
    directory: &Directory,
    name: &str,
    word: Word,
) -> std::result::Result<(ObjectRef, LastRun), Failure> {
    let id = directory.database(name)?;
    let status = directory.status(&id)?;
    let run = about(&id, status.as_ref(), word)?.clone();
    let job = JobName::new(&run.job).map_err(|error| {
        Failure::new(format!("ManagedDatabase {id}: status.lastRun.job: {error}"))
    })?;
    let saying = match word {
        Word::Retry => Request::Retry(job),
        Word::AcceptRun => Request::AcceptRun(job),
    };
    request(directory.platform.state_directory(), &id, &saying)
        .map_err(|error| Failure::of(&error))?;
    Ok((id, run))
}

/// Puts the word on an object, as it was looked at; one that changes meanwhile is looked at again.
async fn annotated(
    objects: &Objects,
    name: &str,
    word: Word,
) -> std::result::Result<(ObjectRef, LastRun), Failure> {
    let annotation = match word {
        Word::Retry => RETRY_ANNOTATION,
        Word::AcceptRun => ACCEPT_RUN_ANNOTATION,
    };
    let client = objects.cluster.unguarded();
    let client = client.map_err(|error| cluster::failure(&error))?;
    let mut attempts = 1;
    loop {
        let (id, object) = objects.database(name).await?;
        let run = about(&id, object.status.as_ref(), word)?.clone();
        match access::annotate(&client, &object, annotation, &run.job).await {
            Ok(()) => return Ok((id, run)),
            Err(AccessError::Changed { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(error) => return Err(cluster::failure(&error)),
        }
    }
}

/// The run that the word is about.
fn about<'a>(
    id: &ObjectRef,
    status: Option<&'a ManagedDatabaseStatus>,
    word: Word,
) -> std::result::Result<&'a LastRun, Failure> {
    let Some(run) = status.and_then(|status| status.last_run.as_ref()) else {
        return Err(Failure::new(format!(
            "ManagedDatabase {id}: no migration has run yet"
        )));
    };
    let migration = &run.migration;
    match (run.outcome, word) {
        (RunOutcome::Completed | RunOutcome::Accepted, _) => {
            let how = if run.outcome == RunOutcome::Completed {
                "completed"
            } else {
                "was accepted"
            };
            Err(Failure::new(format!(
                "ManagedDatabase {id}: the last run, of {migration}, {how}"
            ))
            .or("there is nothing to be said of it"))
        }
        (_, Word::AcceptRun)
            if status.and_then(|s| s.current_version.as_ref()) != Some(migration) =>
        {
            let at = status
                .and_then(|status| status.current_version.as_deref())
                .unwrap_or("no version");
            Err(Failure::new(format!(
                "ManagedDatabase {id}: the run of {migration} cannot be accepted: the database is at {at}, \
                 not at {migration}"
            ))
            .or("repair the cause and say retry, or change the migration"))
        }
        _ => Ok(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(current: &str, outcome: &str) -> ManagedDatabaseStatus {
        serde_saphyr::from_str(&format!(
            "currentVersion: {current}\nlastRun: {{migration: v2, job: shop-v2-1a, digest: d, outcome: {outcome}, \
             startedAt: 2026-01-02T03:00:00Z, finishedAt: 2026-01-02T03:00:12Z}}\n"
        ))
        .unwrap()
    }

    #[track_caller]
    fn check(
        status: Option<ManagedDatabaseStatus>,
        word: Word,
        expect: std::result::Result<&str, &str>,
    ) {
        let id = ObjectRef::new("shop", "shop").unwrap();
        let about = about(&id, status.as_ref(), word);
        let got = about
            .map(|run| run.job.clone())
            .map_err(|failure| failure.what);
        assert_eq!(got.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn only_what_can_be_acted_on_is_taken() {
        check(
            None,
            Word::Retry,
            Err("ManagedDatabase shop/shop: no migration has run yet"),
        );
        let done = "ManagedDatabase shop/shop: the last run, of v2, completed";
        check(Some(status("v2", "Completed")), Word::Retry, Err(done));
        check(Some(status("v1", "Failed")), Word::Retry, Ok("shop-v2-1a"));
        check(
            Some(status("v2", "Failed")),
            Word::AcceptRun,
            Ok("shop-v2-1a"),
        );
        check(
            Some(status("v1", "Failed")),
            Word::AcceptRun,
            Err(
                "ManagedDatabase shop/shop: the run of v2 cannot be accepted: the database is at v1, not at v2",
            ),
        );
    }
}
