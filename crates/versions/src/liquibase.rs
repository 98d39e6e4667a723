//! Liquibase: `DATABASECHANGELOG`, a row for each change set that ran, numbered by `ORDEREXECUTED`
//! (docs.liquibase.com, "DATABASECHANGELOG table"; Liquibase's `MarkChangeSetRanGenerator`). The spec says what a
//! version is:
//!
//! - the last *change set*, as Liquibase itself writes one: `path::id::author`, which is its identity;
//! - the last *tag*: change sets that ran after it count once the next tag is set.
//!
//! A change set that runs again (`runOnChange`, `runAlways`) takes a new place in the order, and the old one is
//! lost. Where such a one came last, the order no longer says which version the schema has, so none is told.

use dbop_model::{LiquibaseVersion, ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded;

/// The last two rows, the second only for being told from the first: (order, version, what was done).
pub(crate) fn statement(from: &str, by: LiquibaseVersion, dialect: Dialect) -> Statement {
    let column = |name| dialect.column(name);
    let order = column("orderexecuted");
    let (version, only) = match by {
        LiquibaseVersion::Tag => {
            let tag = column("tag");
            (dialect.text(&tag), format!(" WHERE {tag} IS NOT NULL"))
        }
        LiquibaseVersion::ChangeSet => {
            let parts = ["filename", "id", "author"].map(|part| dialect.text(&column(part)));
            let version = match dialect {
                Dialect::PostgreSql => parts.join(" || '::' || "),
                Dialect::MySql => format!("CONCAT({})", parts.join(", '::', ")),
            };
            (version, String::new())
        }
    };
    engine_statement(format!(
        "SELECT {}, {version}, {} FROM {from} AS t{only} ORDER BY {order} DESC LIMIT 2",
        dialect.text(&order),
        dialect.text(&column("exectype")),
    ))
}

pub(crate) fn interpret(by: LiquibaseVersion, rows: &[Row]) -> Result<ObservedVersion, Why> {
    let shape = || Why::new("DATABASECHANGELOG holds a row of another shape");
    let mut last: Option<(&str, &str, &str)> = None;
    for row in rows {
        let [Some(order), Some(version), done] = row.as_slice() else {
            return Err(shape());
        };
        match last {
            None => last = Some((order, version, done.as_deref().unwrap_or_default())),
            // Liquibase numbers rows one by one; only hands give two the same number.
            Some((same, first, _)) if same == order && first != version => {
                return Err(Why::new(format!(
                    "two rows of DATABASECHANGELOG have the ORDEREXECUTED {order}: which came last?"
                )));
            }
            Some(_) => {}
        }
    }
    let Some((_, text, done)) = last else {
        return Ok(ObservedVersion::None);
    };
    let version = recorded::version(text)?;
    Ok(match (by, done) {
        (LiquibaseVersion::ChangeSet, "FAILED") => ObservedVersion::Dirty {
            version,
            detail: "Liquibase recorded the change set as failed, until its row of \
                     DATABASECHANGELOG is gone"
                .to_owned(),
        },
        (LiquibaseVersion::ChangeSet, "RERAN") => {
            return Err(Why::new(format!(
                "the change set that ran last, {}, ran before, too (runOnChange or runAlways), so the \
                 order of DATABASECHANGELOG names no version; give versions tags, and write \
                 schemaVersion.versionIs: Tag",
                recorded::printable(text)
            )));
        }
        _ => ObservedVersion::At(version),
    })
}
