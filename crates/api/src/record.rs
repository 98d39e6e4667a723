//! What the planner reads of the object beside its spec: `status.lastRun`, the one fact of the
//! status that is read back, and the annotations by which a person speaks.

use dbop_model::{Digest, JobName, MigrationName, NameError, Outcome, RunRecord, visible};
use dbop_plan::ObjectFacts;

use crate::status::{LastRun, RunOutcome};
use crate::{
    ACCEPT_RUN_ANNOTATION, ManagedDatabase, RETRY_ANNOTATION, ROTATE_ANNOTATION,
    TAKE_OVER_ANNOTATION, rotation,
};

/// The object's own facts. An annotation that names no Job is nobody's word, and is passed over.
///
/// # Errors
/// Where somebody has spoilt `status.lastRun`: without it nobody knows what ran, so nothing may go
/// on.
pub fn object_facts(object: &ManagedDatabase) -> Result<ObjectFacts, RecordError> {
    let annotation = |name: &str| {
        object
            .metadata
            .annotations
            .as_ref()?
            .get(name)
            .map(String::as_str)
    };
    let job = |name: &str| annotation(name).and_then(|text| JobName::new(text.trim()).ok());
    let last_run = object
        .status
        .as_ref()
        .and_then(|status| status.last_run.as_ref());
    Ok(ObjectFacts {
        deleting: object.metadata.deletion_timestamp.is_some(),
        retry: job(RETRY_ANNOTATION),
        accept_run: job(ACCEPT_RUN_ANNOTATION),
        rotate: annotation(ROTATE_ANNOTATION)
            .map(rotation::read)
            .unwrap_or_default(),
        take_over: annotation(TAKE_OVER_ANNOTATION).is_some_and(|text| text.trim() == "true"),
        last_run: last_run.map(RunRecord::try_from).transpose()?,
    })
}

impl From<&RunRecord> for LastRun {
    fn from(record: &RunRecord) -> Self {
        let RunRecord {
            job,
            from,
            migration,
            digest,
            outcome,
            started_at,
            finished_at,
            exit_code,
            message,
        } = record;
        Self {
            migration: migration.to_string(),
            from: from.as_ref().map(ToString::to_string),
            job: job.to_string(),
            digest: digest.to_string(),
            outcome: match outcome {
                Outcome::Completed => RunOutcome::Completed,
                Outcome::Failed => RunOutcome::Failed,
                Outcome::VersionNotReached => RunOutcome::VersionNotReached,
                Outcome::Accepted => RunOutcome::Accepted,
            },
            started_at: *started_at,
            finished_at: *finished_at,
            exit_code: *exit_code,
            message: visible::line(message).into_owned(),
        }
    }
}

/// The error says which name somebody has spoilt.
impl TryFrom<&LastRun> for RunRecord {
    type Error = RecordError;

    fn try_from(run: &LastRun) -> Result<Self, RecordError> {
        let LastRun {
            migration,
            from,
            job,
            digest,
            outcome,
            started_at,
            finished_at,
            exit_code,
            message,
        } = run;
        let spoilt = |field| move |source| RecordError { field, source };
        Ok(Self {
            job: JobName::new(job).map_err(spoilt("job"))?,
            from: from
                .as_ref()
                .map(MigrationName::new)
                .transpose()
                .map_err(spoilt("from"))?,
            migration: MigrationName::new(migration).map_err(spoilt("migration"))?,
            digest: Digest::new(digest).map_err(spoilt("digest"))?,
            outcome: match outcome {
                RunOutcome::Completed => Outcome::Completed,
                RunOutcome::Failed => Outcome::Failed,
                RunOutcome::VersionNotReached => Outcome::VersionNotReached,
                RunOutcome::Accepted => Outcome::Accepted,
            },
            started_at: *started_at,
            finished_at: *finished_at,
            exit_code: *exit_code,
            message: message.clone(),
        })
    }
}

/// Why `status.lastRun` is none of the operator's records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("status.lastRun.{field} was changed by hand and is no name")]
pub struct RecordError {
    field: &'static str,
    source: NameError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let record = RunRecord {
            job: JobName::new("shop-v2-0a1b").unwrap(),
            from: None,
            migration: MigrationName::new("v2").unwrap(),
            digest: Digest::new("d0").unwrap(),
            outcome: Outcome::VersionNotReached,
            started_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            finished_at: "2026-01-02T03:05:00Z".parse().unwrap(),
            exit_code: Some(0),
            message: String::new(),
        };
        let text = serde_json::to_string(&LastRun::from(&record)).unwrap();
        let read: LastRun = serde_json::from_str(&text).unwrap();
        assert_eq!(RunRecord::try_from(&read).unwrap(), record);

        let spoilt = LastRun {
            job: "No Job".to_owned(),
            ..read
        };
        let error = RunRecord::try_from(&spoilt).unwrap_err();
        assert_eq!(
            error.to_string(),
            "status.lastRun.job was changed by hand and is no name"
        );
    }

    #[test]
    fn a_person_speaks_by_annotations() {
        let spec = serde_json::json!({
            "connection": { "dsnSecret": { "name": "admin" } },
            "desiredSchemaVersion": "v2",
            "schemaVersion": { "engine": "Alembic" },
        });
        let mut object = ManagedDatabase::new("shop", serde_json::from_value(spec).unwrap());
        assert_eq!(object_facts(&object).unwrap(), ObjectFacts::default());
        let words = [
            (RETRY_ANNOTATION, "shop-v2-0a1b"),
            (ACCEPT_RUN_ANNOTATION, "no Job"),
            (TAKE_OVER_ANNOTATION, "true"),
            (ROTATE_ANNOTATION, "v2@2026-01-02T03:04:05Z"),
        ];
        object.metadata.annotations = Some(
            words
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        let facts = object_facts(&object).unwrap();
        assert_eq!(facts.retry, Some(JobName::new("shop-v2-0a1b").unwrap()));
        assert_eq!((facts.accept_run, facts.take_over), (None, true));
        assert_eq!(facts.rotate, rotation::read("v2@2026-01-02T03:04:05Z"));
    }
}
