//! `retry` and `accept-run`: a person's word about the last run.
//!
//! It is left in the state directory for `local`, and names the run that it is about: said of a run that is
//! over, it means nothing to the next one. What `local` would not act on is refused here.

use dbop_api::ManagedDatabaseStatus;
use dbop_api::status::{LastRun, RunOutcome};
use dbop_local::{Request, request};
use dbop_model::{JobName, ObjectRef};
use serde::Serialize;

use super::directory::Directory;
use super::{Console, Done, Exit};
use crate::cli::WordArgs;
use crate::render::Failure;
use crate::render::text::{COLUMNS, wrap};

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

pub(super) fn run(args: &WordArgs, word: Word, console: Console) -> Done {
    let directory = Directory::of(&args.place)?;
    let id = directory.database(&args.database)?;
    let status = directory.status(&id)?;
    let run = about(&id, status.as_ref(), word)?;
    let job = JobName::new(&run.job).map_err(|error| {
        Failure::new(format!("ManagedDatabase {id}: status.lastRun.job: {error}"))
    })?;
    let (said, what, saying) = match word {
        Word::Retry => ("retry", "runs again", Request::Retry(job)),
        Word::AcceptRun => ("accept-run", "counts as done", Request::AcceptRun(job)),
    };
    request(directory.platform.state_directory(), &id, &saying)
        .map_err(|error| Failure::of(&error))?;
    let text = format!(
        "{id}: migration {} {what} (Job {}); a running `local` acts on it at once, otherwise the next one",
        run.migration, run.job
    );
    let result = Result {
        database: id.to_string(),
        said,
        migration: run.migration.clone(),
        job: run.job.clone(),
    };
    console.result(&wrap("", "  ", &text, COLUMNS).join("\n"), &result)?;
    Ok(Exit::Done)
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
