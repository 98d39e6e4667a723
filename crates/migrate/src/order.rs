//! Which files are to be run, from what the database has recorded: pure, and the place of every
//! refusal.
//!
//! It deliberately goes forward only, and never guesses: a record that does not fit the files is
//! named with its way out.

use crate::files::File;

/// A row of `_sqlx_migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The version that ran.
    pub version: i64,
    /// Whether it ended well.
    pub success: bool,
    /// SHA-384 of the file as it ran.
    pub checksum: Vec<u8>,
}

impl From<(i64, bool, Vec<u8>)> for Recorded {
    fn from((version, success, checksum): (i64, bool, Vec<u8>)) -> Self {
        Self {
            version,
            success,
            checksum,
        }
    }
}

/// Why nothing is run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A row without success.
    #[error("version {version} is recorded as begun and not ended")]
    Dirty {
        /// The version.
        version: i64,
    },
    /// The database is past the target.
    #[error(
        "the database is at version {current}, later than the target {target}, and dbop-migrate \
         only goes forward"
    )]
    Later {
        /// The database's version.
        current: i64,
        /// The version asked for.
        target: i64,
    },
    /// A recorded version without its file.
    #[error("version {version} ran on this database, and its file is missing")]
    Missing {
        /// The version.
        version: i64,
    },
    /// A file that is not what ran.
    #[error(
        "{name} has changed since it ran on this database (checksum {recorded} then, {now} now)"
    )]
    Changed {
        /// The file.
        name: String,
        /// The beginning of the recorded checksum.
        recorded: String,
        /// The beginning of the file's checksum.
        now: String,
    },
    /// A file that was put in before one that has run.
    #[error("{name} never ran on this database, which is already at the later version {current}")]
    OutOfOrder {
        /// The file.
        name: String,
        /// The database's version.
        current: i64,
    },
    /// The database is not yet where this run starts from.
    #[error(
        "the database is at version {current}, and this run starts from version {previous} \
         (DBA_OP_PREVIOUS_VERSION)"
    )]
    Behind {
        /// The database's version.
        current: i64,
        /// The version that the run starts from.
        previous: i64,
    },
}

impl Refusal {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Dirty { version } => format!(
                "finish or undo by hand what it did, then DELETE FROM _sqlx_migrations WHERE \
                 version = {version} and run again"
            ),
            Self::Later { current, .. } => format!(
                "ask for version {current} or later, or restore the database to an earlier state"
            ),
            Self::Missing { version } => format!(
                "put the file of version {version} back: every version keeps the files of all \
                 versions before it"
            ),
            Self::Changed { .. } => {
                "put the file back as it was, and write the change as a new file".to_owned()
            }
            Self::OutOfOrder { current, .. } => {
                format!("give it a number after {current}")
            }
            Self::Behind { .. } => {
                "run the migrations before it first, each as its own run".to_owned()
            }
        }
    }
}

/// The files to run, in order, so that the database ends at `target`; none if it is there.
///
/// `previous` is the version that the run starts from. A database between the two is one whose
/// earlier run ended half way, and the run goes on; an empty one is walked from the first file.
///
/// # Errors
/// [`Refusal`]: nothing may be run.
pub fn pending<'f>(
    files: &'f [File],
    recorded: &[Recorded],
    previous: Option<i64>,
    target: i64,
) -> Result<Vec<&'f File>, Refusal> {
    if let Some(row) = recorded.iter().find(|row| !row.success) {
        return Err(Refusal::Dirty {
            version: row.version,
        });
    }
    let current = recorded.iter().map(|row| row.version).max();
    if let Some(current) = current.filter(|current| *current > target) {
        return Err(Refusal::Later { current, target });
    }
    for row in recorded {
        let file = files.iter().find(|file| file.version == row.version);
        let file = file.ok_or(Refusal::Missing {
            version: row.version,
        })?;
        if *file.migration.checksum != *row.checksum {
            return Err(Refusal::Changed {
                name: file.name.clone(),
                recorded: short_hex(&row.checksum),
                now: short_hex(&file.migration.checksum),
            });
        }
    }
    if let (Some(current), Some(previous)) = (current, previous)
        && current < previous
    {
        return Err(Refusal::Behind { current, previous });
    }
    let missing = |file: &&File| recorded.iter().all(|row| row.version != file.version);
    let pending: Vec<_> = files
        .iter()
        .filter(|file| file.version <= target)
        .filter(missing)
        .collect();
    match (pending.first(), current) {
        (Some(file), Some(current)) if file.version < current => Err(Refusal::OutOfOrder {
            name: file.name.clone(),
            current,
        }),
        _ => Ok(pending),
    }
}

/// Enough of a checksum to tell two apart.
fn short_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::{Migration, MigrationType};

    use super::*;
    use crate::directives::Directives;

    fn file(version: i64) -> File {
        let sql = "SELECT 1".into_sql_str();
        let migration = Migration::new(version, "x".into(), MigrationType::Simple, sql, false);
        File {
            version,
            name: format!("{version:04}_x.sql"),
            directives: Directives::default(),
            migration,
        }
    }

    fn files() -> Vec<File> {
        (1..=4).map(file).collect()
    }

    fn ran(versions: &[i64]) -> Vec<Recorded> {
        let row = |version: &i64| Recorded {
            version: *version,
            success: true,
            checksum: file(*version).migration.checksum.to_vec(),
        };
        versions.iter().map(row).collect()
    }

    #[track_caller]
    fn runs(recorded: &[i64], previous: Option<i64>, target: i64, expected: &[i64]) {
        let files = files();
        let pending = pending(&files, &ran(recorded), previous, target).unwrap();
        assert_eq!(
            pending.iter().map(|f| f.version).collect::<Vec<_>>(),
            expected
        );
    }

    #[track_caller]
    fn refuses(recorded: &[Recorded], previous: Option<i64>, target: i64, text: &str) {
        let files = files();
        let refusal = pending(&files, recorded, previous, target).unwrap_err();
        assert!(refusal.to_string().contains(text), "{refusal}");
        assert!(!refusal.advice().is_empty());
    }

    #[test]
    fn goes_forward_to_the_target() {
        runs(&[], None, 4, &[1, 2, 3, 4]);
        runs(&[], Some(3), 4, &[1, 2, 3, 4]);
        runs(&[1], Some(1), 2, &[2]);
        runs(&[1, 2], None, 2, &[]);
        // The earlier run from 1 to 4 ended half way.
        runs(&[1, 2, 3], Some(1), 4, &[4]);
        runs(&[1, 2, 3, 4], Some(1), 4, &[]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        refuses(
            &ran(&[1, 2, 3]),
            None,
            2,
            "at version 3, later than the target 2",
        );
        refuses(
            &ran(&[1, 9]),
            None,
            2,
            "at version 9, later than the target 2",
        );
        refuses(
            &ran(&[1]),
            Some(2),
            3,
            "at version 1, and this run starts from version 2",
        );
        refuses(&ran(&[1, 3]), None, 4, "0002_x.sql never ran");
        let mut dirty = ran(&[1, 2]);
        dirty[1].success = false;
        refuses(&dirty, None, 4, "version 2 is recorded as begun");
        let mut changed = ran(&[1, 2]);
        changed[0].checksum = vec![0xab; 48];
        refuses(&changed, None, 4, "0001_x.sql has changed");
        let mut missing = ran(&[1]);
        missing.push(Recorded {
            version: 0,
            ..missing[0].clone()
        });
        refuses(
            &missing,
            None,
            4,
            "version 0 ran on this database, and its file is missing",
        );
    }
}
