//! Why a step failed.

use dbop_database::DatabaseError;
use dbop_model::MigrationName;

use crate::platform::PlatformError;

/// Why a step failed. The next pass decides anew; nothing is lost by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The database failed.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// The platform failed.
    #[error("{0}")]
    Platform(#[from] PlatformError),
    /// Another operator holds the database's lock.
    #[error("another operator is at work on this database and holds its lock")]
    Locked,
    /// A credential was made, but logging in with it did not work.
    #[error("credential {migration} was made, but logging in with it did not work: {why}")]
    NotProven {
        /// Whose.
        migration: MigrationName,
        /// What happened.
        why: String,
    },
    /// The step needs something that the last look did not find.
    #[error("the step needs {0}, which the last look did not find")]
    Gone(&'static str),
}

impl StepError {
    /// Where it came from, in one word, for metrics.
    pub fn source_word(&self) -> &'static str {
        match self {
            StepError::Database(_) => "database",
            StepError::Platform(_) => "platform",
            StepError::Locked => "lock",
            StepError::NotProven { .. } => "credential",
            StepError::Gone(_) => "look",
        }
    }

    /// Can the same step succeed later, without anybody changing anything?
    pub fn is_transient(&self) -> bool {
        match self {
            StepError::Database(error) => error.is_transient(),
            StepError::Platform(error) => !error.is_refusal(),
            StepError::Locked | StepError::Gone(_) => true,
            StepError::NotProven { .. } => false,
        }
    }
}
