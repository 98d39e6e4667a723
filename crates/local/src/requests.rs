//! What a person says on the command line about a database: retry, accept-run, take-over, rotate.
//!
//! It is the same as the annotation on the manifest, for those who do not want to edit a file. A request names
//! the run that it is about, so that one that stays behind says nothing of later runs.

use std::path::{Path, PathBuf};

use dbop_api::rotation;
use dbop_model::{JobName, ObjectRef};
use dbop_plan::RotationAsked;
use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};

/// A person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run the migration of this run again.
    Retry(JobName),
    /// Take the version that the database shows after this run as done.
    AcceptRun(JobName),
    /// Take over the claim of another.
    TakeOver,
    /// Give these credentials another login.
    Rotate(Vec<RotationAsked>),
}

/// What was said of one database, the last of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) retry: Option<JobName>,
    pub(crate) accept_run: Option<JobName>,
    pub(crate) take_over: bool,
    pub(crate) rotate: Vec<RotationAsked>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestsFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_run: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    take_over: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate: Option<String>,
}

/// Why a request could not be left.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be put into words.
    #[error("the request cannot be written as YAML")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
}

/// The directory of requests, within the state directory.
pub(crate) fn directory(state: &Path) -> PathBuf {
    state.join("requests")
}

/// Leaves a request in a state directory, for a `local` that runs or that will.
///
/// # Errors
/// Where the state directory cannot be written.
pub fn request(state: &Path, database: &ObjectRef, request: &Request) -> Result<(), RequestError> {
    let path = path(state, database);
    file::create_directory(file::parent(&path))?;
    let mut all = read_file(&path)?;
    match request {
        Request::Retry(job) => all.retry = Some(job.to_string()),
        Request::AcceptRun(job) => all.accept_run = Some(job.to_string()),
        Request::TakeOver => all.take_over = true,
        Request::Rotate(more) => {
            let before = all.rotate.unwrap_or_default();
            all.rotate = Some(rotation::and(&before, more));
        }
    }
    Ok(file::replace(
        &path,
        serde_saphyr::to_string(&all)?.as_bytes(),
    )?)
}

/// What was said of a database.
pub(crate) fn read(state: &Path, database: &ObjectRef) -> Result<Requests, FileError> {
    let all = read_file(&path(state, database))?;
    let job = |name: Option<String>| name.and_then(|name| JobName::new(name).ok());
    Ok(Requests {
        retry: job(all.retry),
        accept_run: job(all.accept_run),
        take_over: all.take_over,
        rotate: rotation::read(&all.rotate.unwrap_or_default()),
    })
}

/// A file that somebody has spoilt says nothing: a request is made again more easily than repaired.
fn read_file(path: &Path) -> Result<RequestsFile, FileError> {
    let content = file::read(path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    Ok(serde_saphyr::from_str(&text).unwrap_or_default())
}

fn path(state: &Path, database: &ObjectRef) -> PathBuf {
    directory(state)
        .join(database.namespace())
        .join(format!("{}.yaml", database.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn requests_add_up_and_the_last_of_a_kind_counts() {
        let scratch = Scratch::new();
        let shop = ObjectRef::new("shop", "shop").unwrap();
        let job = |name: &str| JobName::new(name).unwrap();
        assert_eq!(read(scratch.path(), &shop).unwrap(), Requests::default());
        request(scratch.path(), &shop, &Request::Retry(job("one"))).unwrap();
        request(scratch.path(), &shop, &Request::AcceptRun(job("two"))).unwrap();
        request(scratch.path(), &shop, &Request::Retry(job("three"))).unwrap();
        let said = read(scratch.path(), &shop).unwrap();
        assert_eq!(said.retry, Some(job("three")));
        assert_eq!(said.accept_run, Some(job("two")));
        assert!(!said.take_over);
        request(scratch.path(), &shop, &Request::TakeOver).unwrap();
        assert!(read(scratch.path(), &shop).unwrap().take_over);
        for text in ["v1@2026-01-01T00:00:00Z", "v2@2026-01-01T00:00:00Z"] {
            let request_of = Request::Rotate(rotation::read(text));
            request(scratch.path(), &shop, &request_of).unwrap();
        }
        let said = read(scratch.path(), &shop).unwrap();
        assert_eq!((said.rotate.len(), said.retry), (2, Some(job("three"))));
    }
}
