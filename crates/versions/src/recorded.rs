//! What most tools' tables come down to: the version they stand at, and a step that the tool itself counts as
//! half done. The tools' own files say which rows those are; here they are only read.

use dbop_model::{ObservedVersion, SchemaVersion, Why, visible};

use crate::reading::{Row, Statement, engine_statement};

/// What is shown of a text that a tool, or whoever wrote a migration, recorded.
const CHARS_MAX: usize = 80;

/// A statement for [`Recorded::read`]: rows of (version, done, note), at most one of them half done ('f') and one
/// done ('t').
pub(crate) fn statement(failed: &str, current: &str) -> Statement {
    engine_statement(format!("({failed}) UNION ALL ({current})"))
}

/// What a version table says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The version that the schema has, where all is well.
    pub(crate) current: Option<SchemaVersion>,
    /// The step that is half done, and what is recorded of it.
    pub(crate) failed: Option<(SchemaVersion, String)>,
}

impl Recorded {
    /// Reads rows of (version, done, note).
    pub(crate) fn read(rows: &[Row]) -> Result<Self, Why> {
        let mut recorded = Recorded::default();
        for row in rows {
            let [Some(text), Some(done), note] = row.as_slice() else {
                return Err(Why::new(
                    "the migrations table holds a row of another shape",
                ));
            };
            let version = version(text)?;
            if done == "t" {
                recorded.current = Some(version);
            } else {
                let note = printable(note.as_deref().unwrap_or_default());
                recorded.failed = Some((version, note));
            }
        }
        Ok(recorded)
    }

    /// The version; a half done step counts before everything else, for the tool goes no further either.
    ///
    /// `detail` makes of the version and the note what people read.
    pub(crate) fn observed(self, detail: impl FnOnce(&str, &str) -> String) -> ObservedVersion {
        match (self.failed, self.current) {
            (Some((version, note)), _) => ObservedVersion::Dirty {
                detail: detail(version.as_str(), &note),
                version,
            },
            (None, Some(version)) => ObservedVersion::At(version),
            (None, None) => ObservedVersion::None,
        }
    }
}

/// A version as a table holds it.
pub(crate) fn version(text: &str) -> Result<SchemaVersion, Why> {
    SchemaVersion::new(text)
        .map_err(|error| Why::new(format!("the migrations table holds a version that {error}")))
}

/// A version that the tool counts with.
pub(crate) fn number(text: &str) -> Result<i64, Why> {
    text.parse()
        .map_err(|_| Why::new("the migrations table holds a version that is not a number"))
}

/// A text of somebody's as people may see it: one short line.
pub(crate) fn printable(text: &str) -> String {
    let text: String = text.trim().chars().take(CHARS_MAX).collect();
    visible::line(&text).trim().to_owned()
}
