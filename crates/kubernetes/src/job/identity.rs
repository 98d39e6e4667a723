//! Which run a Job is of: annotations that it carries twice, so that an edit by hand shows.

use std::collections::BTreeMap;

use dbop_api::marks::{
    DATABASE_LABEL, DIGEST_ANNOTATION, FINALIZER, FROM_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL,
    TO_ANNOTATION,
};
use dbop_engine::{JobSpec, PlatformError};
use dbop_model::{Digest, JobName, MigrationName};
use dbop_plan::Run;
use k8s_openapi::api::batch::v1::Job;

use super::SERVER_ANNOTATION;

/// Why a Job cannot be read as a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It does not bear our labels.
    #[error("Job {job} exists and is not ours")]
    Foreign {
        /// Its namespace and name.
        job: String,
    },
    /// What it says of the run cannot be believed.
    #[error("Job {job}: {what} {problem}")]
    Spoilt {
        /// Its namespace and name.
        job: String,
        /// Which part of it.
        what: String,
        /// What is wrong, and the way out.
        problem: String,
    },
}

impl From<JobError> for PlatformError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Foreign { job } => PlatformError::Foreign {
                what: format!("Job {job}"),
            },
            spoilt => PlatformError::Refused(spoilt.to_string()),
        }
    }
}

/// The annotations that tell a run.
pub(super) fn annotations(run: &Run) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        (TO_ANNOTATION.to_owned(), run.to.to_string()),
        (DIGEST_ANNOTATION.to_owned(), run.digest.to_string()),
    ]);
    if let Some(from) = &run.from {
        annotations.insert(FROM_ANNOTATION.to_owned(), from.to_string());
    }
    annotations
}

/// The run that a Job is of.
///
/// # Errors
/// [`JobError`]: it is not ours, or somebody has edited what it says.
pub fn identity(job: &Job) -> Result<Run, JobError> {
    if database_of(job).is_none() {
        return Err(JobError::Foreign { job: shown(job) });
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let required = |key: &str| {
        value(job, key)?.ok_or_else(|| {
            let way_out = "is missing; delete the Job if nothing of it runs any more";
            spoilt(job, format!("its annotation {key}"), way_out.to_owned())
        })
    };
    let migration = |key: &str, text: &str| {
        MigrationName::new(text).map_err(|error| misnamed(job, key, &error))
    };
    Ok(Run {
        job: JobName::new(name).map_err(|error| misnamed(job, "its name", &error))?,
        from: value(job, FROM_ANNOTATION)?
            .map(|from| migration(FROM_ANNOTATION, from))
            .transpose()?,
        to: migration(TO_ANNOTATION, required(TO_ANNOTATION)?)?,
        digest: Digest::new(required(DIGEST_ANNOTATION)?)
            .map_err(|error| misnamed(job, DIGEST_ANNOTATION, &error))?,
    })
}

/// Is it the Job that would be created for this run? One that was recorded and let go is not.
pub fn is_same_run(job: &Job, spec: &JobSpec) -> bool {
    let finalizers = job.metadata.finalizers.iter().flatten();
    job.metadata.deletion_timestamp.is_none()
        && database_of(job) == Some(spec.database.name())
        && identity(job).as_ref() == Ok(&spec.run)
        && finalizers.into_iter().any(|f| f == FINALIZER)
}

/// The name of the ManagedDatabase whose run it is; `None`: it is not ours.
pub fn database_of(job: &Job) -> Option<&str> {
    let labels = job.metadata.labels.as_ref()?;
    if labels.get(MANAGED_BY_LABEL)? != MANAGED_BY {
        return None;
    }
    labels.get(DATABASE_LABEL).map(String::as_str)
}

/// The server that it works on, where it says so.
pub fn server_of(job: &Job) -> Option<&str> {
    annotation(job.metadata.annotations.as_ref(), SERVER_ANNOTATION)
}

/// An annotation, as both places have it.
fn value<'a>(job: &'a Job, key: &str) -> Result<Option<&'a str>, JobError> {
    let own = annotation(job.metadata.annotations.as_ref(), key);
    let template = job.spec.as_ref().map(|spec| &spec.template);
    let template = template.and_then(|template| template.metadata.as_ref());
    let pods = annotation(template.and_then(|m| m.annotations.as_ref()), key);
    if own == pods {
        return Ok(own);
    }
    let told = |value: Option<&str>| value.map_or("absent".to_owned(), |v| format!("{v:?}"));
    let problem = format!(
        "was edited: it is {}, and {} in the Pod template; make it what the template has",
        told(own),
        told(pods),
    );
    Err(spoilt(job, format!("its annotation {key}"), problem))
}

fn annotation<'a>(of: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    of?.get(key).map(String::as_str)
}

fn misnamed(job: &Job, what: &str, error: &dyn std::fmt::Display) -> JobError {
    let what = match what.strip_prefix("its ") {
        Some(_) => what.to_owned(),
        None => format!("its annotation {what}"),
    };
    let problem = format!("{error}; delete the Job if nothing of it runs any more");
    spoilt(job, what, problem)
}

pub(super) fn spoilt(job: &Job, what: String, problem: String) -> JobError {
    JobError::Spoilt {
        job: shown(job),
        what,
        problem,
    }
}

fn shown(job: &Job) -> String {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    format!(
        "{namespace}/{}",
        job.metadata.name.as_deref().unwrap_or_default()
    )
}
