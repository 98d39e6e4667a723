//! The directory of SQL files: read by sqlx's `Migrator`, checked more strictly than it does.
//!
//! sqlx ignores a file whose name does not fit and takes two files of one number; both end in a
//! schema that nobody meant, so here they are refused. It deliberately reads no database.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::migrate::{MigrateError, Migration, Migrator};

use crate::directives::{DirectiveError, Directives};
use crate::engine::Engine;

/// More files than this are not a directory of migrations.
const FILES_MAX: usize = 10_000;
/// A larger SQL file is a dump; it would be held in memory as a whole.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// As many versions are listed in an error; of more, the first and the last.
const LISTED_MAX: usize = 12;

/// The migrations of a directory, in order.
#[derive(Debug)]
pub struct Files {
    pub(crate) migrator: Migrator,
    list: Vec<File>,
}

/// One migration file.
#[derive(Debug)]
pub struct File {
    /// The number at the beginning of its name.
    pub version: i64,
    /// Its name, for people.
    pub name: String,
    /// What it says about how it is run.
    pub directives: Directives,
    pub(crate) migration: Migration,
}

/// Why a directory is refused.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The directory or a file in it cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No migration in it.
    #[error("{0} holds no SQL file")]
    Empty(PathBuf),
    /// Too many files.
    #[error("{0} holds more than {FILES_MAX} files")]
    TooMany(PathBuf),
    /// Too large a file.
    #[error("{0} is larger than 64 MiB")]
    TooLarge(String),
    /// A SQL file that sqlx would skip or stumble over.
    #[error("the name of {0} is not NUMBER_description.sql")]
    Name(String),
    /// Two files of one version.
    #[error("{first} and {second} have the same version {version}")]
    Twice {
        /// The version.
        version: i64,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// Directives that cannot be kept.
    #[error("{name}, {source}")]
    Directive {
        /// The file.
        name: String,
        /// Why.
        source: DirectiveError,
    },
    /// What sqlx found wrong.
    #[error(transparent)]
    Resolve(#[from] MigrateError),
}

/// A version, as written, that no file has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no file of version '{wanted}' among the {known}")]
pub struct UnknownVersion {
    wanted: String,
    known: String,
}

impl FilesError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Empty(_) => {
                "name the directory with --dir; in the container it is COPYed beside the program"
            }
            Self::TooMany(_) => "give the migrations a directory of their own",
            Self::TooLarge(_) => "load data by other means than a migration file",
            Self::Name(_) => "rename it to something like 0003_add_email.sql, or move it elsewhere",
            Self::Twice { .. } => "give one of them the next free number",
            Self::Directive { source, .. } => source.advice(),
            Self::Resolve(_) => "each file is UTF-8 text, named like 0003_add_email.sql",
        }
    }
}

impl Files {
    /// Reads and checks every SQL file in `dir` (not below it), for this kind of server.
    ///
    /// # Errors
    /// [`FilesError`] for the first thing that does not fit.
    pub async fn read(dir: &Path, engine: Engine) -> Result<Self, FilesError> {
        let names = names(dir)?;
        if names.is_empty() {
            return Err(FilesError::Empty(dir.to_owned()));
        }
        let mut migrator = Migrator::new(dir.to_owned()).await?;
        // The lock is taken once around all files, by `Session::lock`.
        migrator.set_locking(false);
        let mut list = Vec::with_capacity(names.len());
        for migration in migrator
            .iter()
            .filter(|found| !found.migration_type.is_down_migration())
        {
            let name = names.get(&migration.version).cloned();
            let name = name.unwrap_or_else(|| migration.version.to_string());
            let directives =
                Directives::parse(migration.sql.as_str(), engine).map_err(|source| {
                    FilesError::Directive {
                        name: name.clone(),
                        source,
                    }
                })?;
            let migration = migration.clone();
            list.push(File {
                version: migration.version,
                name,
                directives,
                migration,
            });
        }
        Ok(Self { migrator, list })
    }

    /// The files, by version.
    #[must_use]
    pub fn list(&self) -> &[File] {
        &self.list
    }

    /// The file of this version.
    pub(crate) fn get(&self, version: i64) -> Option<&File> {
        self.list.iter().find(|file| file.version == version)
    }

    /// The version that `wanted` means, `2` and `0002` alike; the latest where it is absent.
    ///
    /// # Errors
    /// [`UnknownVersion`], which names those that exist.
    pub fn version(&self, wanted: Option<&str>) -> Result<i64, UnknownVersion> {
        find(
            &self
                .list
                .iter()
                .map(|file| file.version)
                .collect::<Vec<_>>(),
            wanted,
        )
    }
}

/// The names of the SQL files that move forward, by version.
fn names(dir: &Path) -> Result<BTreeMap<i64, String>, FilesError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FilesError::Unreadable { path, source }
    };
    let mut names = BTreeMap::new();
    for (count, entry) in std::fs::read_dir(dir).map_err(unreadable(dir))?.enumerate() {
        if count >= FILES_MAX {
            return Err(FilesError::TooMany(dir.to_owned()));
        }
        let path = entry.map_err(unreadable(dir))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // Through links: a mounted ConfigMap is made of them.
        let metadata = std::fs::metadata(&path).map_err(unreadable(&path))?;
        if !name.ends_with(".sql") || !metadata.is_file() {
            continue;
        }
        let version = version_of(&name).ok_or_else(|| FilesError::Name(name.clone()))?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(FilesError::TooLarge(name));
        }
        if name.ends_with(".down.sql") {
            continue;
        }
        if let Some(first) = names.insert(version, name.clone()) {
            let (first, second) = if first < name {
                (first, name)
            } else {
                (name, first)
            };
            return Err(FilesError::Twice {
                version,
                first,
                second,
            });
        }
    }
    Ok(names)
}

/// The number before the first `_`; at least 1, because 0 stands for an empty database elsewhere.
fn version_of(name: &str) -> Option<i64> {
    let (number, _) = name.split_once('_')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number
        .parse()
        .ok()
        .filter(|version| digits && *version >= 1)
}

fn find(known: &[i64], wanted: Option<&str>) -> Result<i64, UnknownVersion> {
    let found = match wanted {
        None => known.last().copied(),
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().filter(|version| known.contains(version))
        }
        Some(_) => None,
    };
    found.ok_or_else(|| UnknownVersion {
        wanted: wanted.unwrap_or_default().chars().take(80).collect(),
        known: listed(known),
    })
}

/// `1 known: 1`, or `14 known: 1 ... 14` where the list would be long.
fn listed(known: &[i64]) -> String {
    let count = known.len();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) if count > LISTED_MAX => {
            format!("{count} known: {first} ... {last}")
        }
        _ => {
            let list: Vec<_> = known.iter().map(i64::to_string).collect();
            format!("{count} known: {}", list.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_as_number_and_as_written_in_the_name() {
        let known = [1, 2, 20_260_101_120_000];
        assert_eq!(find(&known, Some("2")), Ok(2));
        assert_eq!(find(&known, Some("0002")), Ok(2));
        assert_eq!(find(&known, Some("20260101120000")), Ok(20_260_101_120_000));
        assert_eq!(find(&known, None), Ok(20_260_101_120_000));
        for wanted in ["3", "v2", "-2", "+2", "2.0", "", "99999999999999999999"] {
            let error = find(&known, Some(wanted)).unwrap_err();
            assert!(
                error.to_string().contains("1, 2, 20260101120000"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let known: Vec<i64> = (1..=40).collect();
        assert_eq!(listed(&known), "40 known: 1 ... 40");
    }

    #[test]
    fn names_are_read_strictly() {
        assert_eq!(version_of("0002_add.sql"), Some(2));
        for name in [
            "2.sql",
            "0003-foo.sql",
            "_x.sql",
            "0_x.sql",
            "-1_x.sql",
            "+1_x.sql",
            "v1_x.sql",
        ] {
            assert_eq!(version_of(name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_directory_is_checked_as_a_whole() {
        let dir = std::env::temp_dir().join(format!("dbop-migrate-files-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();

        let error = Files::read(&dir, Engine::Postgres).await.unwrap_err();
        assert!(error.to_string().ends_with("holds no SQL file"), "{error}");
        write("0001_one.sql", "SELECT 1");
        write("0010_ten.up.sql", "SELECT 10");
        write("0010_ten.down.sql", "SELECT -10");
        write("0002_two.sql", "-- dbop:batch\nDELETE FROM t");
        write("README.md", "not SQL");
        let files = Files::read(&dir, Engine::Postgres).await.unwrap();
        let seen: Vec<_> = files
            .list()
            .iter()
            .map(|f| (f.version, f.name.as_str(), f.directives.batch.is_some()))
            .collect();
        let expected = [
            (1, "0001_one.sql", false),
            (2, "0002_two.sql", true),
            (10, "0010_ten.up.sql", false),
        ];
        assert_eq!(seen, expected);

        write("002_two.sql", "SELECT 2");
        let error = Files::read(&dir, Engine::Postgres).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "0002_two.sql and 002_two.sql have the same version 2"
        );
        std::fs::remove_file(dir.join("002_two.sql")).unwrap();
        write("0003.sql", "SELECT 3");
        let error = Files::read(&dir, Engine::Postgres).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the name of 0003.sql is not NUMBER_description.sql"
        );
        std::fs::remove_file(dir.join("0003.sql")).unwrap();
        write("0003_three.sql", "-- dbop:once\nSELECT 3");
        let error = Files::read(&dir, Engine::Postgres).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "0003_three.sql, line 1: 'dbop:once' is not a directive"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
