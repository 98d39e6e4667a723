//! Status files: `status/<namespace>/<kind>/<name>.yaml`, as an object with nothing but its status.

use std::path::{Path, PathBuf};

use dbop_api::{
    API_VERSION, DATABASE_MIGRATION, DatabaseMigrationStatus, MANAGED_DATABASE,
    ManagedDatabaseStatus,
};
use dbop_engine::PlatformError;
use dbop_model::ObjectRef;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::file;

/// The status files of a state directory.
pub(crate) struct Statuses {
    root: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusFile<T> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    status: T,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

impl Statuses {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            root: state.join("status"),
        }
    }

    pub(crate) fn database(
        &self,
        id: &ObjectRef,
    ) -> Result<Option<ManagedDatabaseStatus>, PlatformError> {
        self.read(MANAGED_DATABASE, id)
    }

    pub(crate) fn write_database(
        &self,
        id: &ObjectRef,
        status: &ManagedDatabaseStatus,
    ) -> Result<(), PlatformError> {
        self.write(MANAGED_DATABASE, id, status)
    }

    pub(crate) fn migration(
        &self,
        id: &ObjectRef,
    ) -> Result<Option<DatabaseMigrationStatus>, PlatformError> {
        self.read(DATABASE_MIGRATION, id)
    }

    pub(crate) fn write_migration(
        &self,
        id: &ObjectRef,
        status: &DatabaseMigrationStatus,
    ) -> Result<(), PlatformError> {
        self.write(DATABASE_MIGRATION, id, status)
    }

    fn read<T: DeserializeOwned>(
        &self,
        kind: &str,
        id: &ObjectRef,
    ) -> Result<Option<T>, PlatformError> {
        let path = self.path(kind, id);
        let Some(content) = file::read(&path)? else {
            return Ok(None);
        };
        let parsed: Result<StatusFile<T>, _> =
            serde_saphyr::from_str(&String::from_utf8_lossy(&content));
        parsed
            .map(|file| Some(file.status))
            .map_err(|error| PlatformError::Failed {
                operation: format!(
                    "reading {} (remove it to have it written anew)",
                    path.display()
                ),
                reason: error.without_snippet().to_string(),
            })
    }

    fn write<T: Serialize>(
        &self,
        kind: &str,
        id: &ObjectRef,
        status: T,
    ) -> Result<(), PlatformError> {
        let path = self.path(kind, id);
        let file = StatusFile {
            api_version: API_VERSION.to_owned(),
            kind: kind.to_owned(),
            metadata: Metadata {
                name: id.name().to_owned(),
                namespace: id.namespace().to_owned(),
            },
            status,
        };
        let text = serde_saphyr::to_string(&file).map_err(|error| PlatformError::Failed {
            operation: format!("writing {}", path.display()),
            reason: error.to_string(),
        })?;
        file::create_directory(file::parent(&path))?;
        Ok(file::replace(&path, text.as_bytes())?)
    }

    fn path(&self, kind: &str, id: &ObjectRef) -> PathBuf {
        self.root
            .join(id.namespace())
            .join(kind)
            .join(format!("{}.yaml", id.name()))
    }
}

#[cfg(test)]
mod tests {
    use dbop_api::status::{LastRun, RunOutcome};
    use dbop_model::{Digest, JobName, MigrationName, Outcome, RunRecord};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_status_is_read_back_as_it_was() {
        let scratch = Scratch::new();
        let statuses = Statuses::new(scratch.path());
        let shop = ObjectRef::new("shop", "shop").unwrap();
        assert_eq!(statuses.database(&shop).unwrap(), None);
        let run = RunRecord {
            job: JobName::new("shop-v2-0a1b").unwrap(),
            from: None,
            migration: MigrationName::new("v2").unwrap(),
            digest: Digest::new("0123").unwrap(),
            outcome: Outcome::Failed,
            started_at: "2026-01-02T03:04:05.678901234Z".parse().unwrap(),
            finished_at: "2026-01-02T03:05:00Z".parse().unwrap(),
            exit_code: Some(3),
            message: "it said: \"no\": 'yes' and # more".to_owned(),
        };
        let status = ManagedDatabaseStatus {
            summary: Some("yes".to_owned()),
            current_version: Some("1.10".to_owned()),
            last_run: Some(LastRun::from(&run)),
            ..ManagedDatabaseStatus::default()
        };
        statuses.write_database(&shop, &status).unwrap();
        let read = statuses.database(&shop).unwrap().unwrap();
        assert_eq!(read, status);
        let last_run = read.last_run.unwrap();
        assert_eq!(last_run.outcome, RunOutcome::Failed);
        assert_eq!(RunRecord::try_from(&last_run).unwrap(), run);
        let path = scratch.path().join("status/shop/ManagedDatabase/shop.yaml");
        std::fs::write(&path, "status: [").unwrap();
        let error = statuses.database(&shop).unwrap_err().to_string();
        assert!(error.contains("remove it"), "{error}");
    }
}
