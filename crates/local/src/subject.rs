//! What the planner reads of a ManagedDatabase: its spec, the chain of its namespace, and what persons have
//! said of its last run, by annotation or by the command line.

use dbop_api::status::LastRun;
use dbop_api::{MANAGED_DATABASE, ManagedDatabaseStatus};
use dbop_engine::{PlatformError, Subject};
use dbop_model::{Chain, JobName, ObjectRef};
use dbop_plan::{Desired, ObjectFacts};

use crate::manifests::Manifests;
use crate::requests::Requests;

/// The subject of a database; `None`: there is no such object.
///
/// # Errors
/// What keeps it from being judged: its own faults, those of the migrations and Secrets of its namespace, and
/// files that cannot be read.
pub(crate) fn subject(
    manifests: &Manifests,
    requests: &Requests,
    last_run: Option<LastRun>,
    id: &ObjectRef,
) -> Result<Option<Subject>, PlatformError> {
    let problems = manifests.problems_of(id);
    if !problems.is_empty() {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return Err(PlatformError::Refused(texts.join("\n")));
    }
    let Some(database) = manifests.databases.get(id) else {
        return Ok(None);
    };
    let mut object = database.object.clone();
    // A manifest that is taken away is gone at once: there is no deletion to wait for.
    object.metadata.deletion_timestamp = None;
    object.status = Some(ManagedDatabaseStatus {
        last_run,
        ..ManagedDatabaseStatus::default()
    });
    let said = dbop_api::record::object_facts(&object).map_err(|error| {
        PlatformError::Refused(format!(
            "{MANAGED_DATABASE} {id}: {error}; put the status file back, or remove it to have the \
             run's record looked up among the Jobs"
        ))
    })?;
    let of = said.last_run.as_ref().map(|run| &run.job);
    let migrations = manifests.migrations_in(id.namespace());
    Ok(Some(Subject {
        desired: Desired {
            database: database.spec.clone(),
            chain: Chain::new(migrations.map(|one| one.migration.clone())),
        },
        object: ObjectFacts {
            retry: newest(of, said.retry.as_ref(), requests.retry.as_ref()),
            accept_run: newest(of, said.accept_run.as_ref(), requests.accept_run.as_ref()),
            take_over: said.take_over || requests.take_over,
            rotate: [&said.rotate[..], &requests.rotate].concat(),
            ..said
        },
        held: true,
    }))
}

/// Of two things that were said, the one about the last run.
fn newest(
    last_run: Option<&JobName>,
    annotation: Option<&JobName>,
    request: Option<&JobName>,
) -> Option<JobName> {
    match (annotation, request) {
        (Some(_), Some(request)) if last_run == Some(request) => Some(request.clone()),
        (annotation, request) => annotation.or(request).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_the_last_run_counts() {
        let job = |name: &str| JobName::new(name).unwrap();
        let (old, new) = (job("old"), job("new"));
        assert_eq!(
            newest(Some(&new), Some(&old), Some(&new)),
            Some(new.clone())
        );
        assert_eq!(
            newest(Some(&new), Some(&new), Some(&old)),
            Some(new.clone())
        );
        assert_eq!(newest(Some(&new), None, Some(&new)), Some(new.clone()));
        assert_eq!(newest(None, Some(&old), None), Some(old));
        assert_eq!(newest(Some(&new), None, None), None);
    }
}
