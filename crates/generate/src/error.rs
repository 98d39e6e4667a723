//! What can be wrong with a tool's files: which file, where in it, what, and the way out.

use std::io;
use std::path::PathBuf;

/// Why no DatabaseMigrations can be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file or directory cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More or larger files than migrations are.
    #[error("{path} {problem}")]
    TooMuch {
        /// Where.
        path: PathBuf,
        /// What is too much.
        problem: &'static str,
    },
    /// Nothing to make migrations of.
    #[error("{path} holds no {what}")]
    Nothing {
        /// Where was looked.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A file does not say what it must.
    #[error("{place}: {problem}")]
    File {
        /// The file, and the line where it is known: `file:line`.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        way_out: String,
    },
    /// The files do not go together.
    #[error("{problem}")]
    Set {
        /// What is wrong.
        problem: String,
        /// What to do.
        way_out: String,
    },
}

impl GenerateError {
    /// The way out, for a person; `None`: the sentence says it.
    pub fn way_out(&self) -> Option<&str> {
        match self {
            GenerateError::File { way_out, .. } | GenerateError::Set { way_out, .. } => {
                Some(way_out.as_str()).filter(|text| !text.is_empty())
            }
            GenerateError::Nothing { .. } => Some("name the directory that the tool itself reads"),
            GenerateError::Unreadable { .. } | GenerateError::TooMuch { .. } => None,
        }
    }

    pub(crate) fn file(
        place: impl Into<String>,
        problem: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        GenerateError::File {
            place: place.into(),
            problem: problem.into(),
            way_out: way_out.into(),
        }
    }

    pub(crate) fn set(problem: impl Into<String>, way_out: impl Into<String>) -> Self {
        GenerateError::Set {
            problem: problem.into(),
            way_out: way_out.into(),
        }
    }
}
