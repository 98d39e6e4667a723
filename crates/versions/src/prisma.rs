//! Prisma Migrate: `_prisma_migrations`, a row for each time that a migration was begun (Prisma's
//! `schema-engine`, `migration_persistence`; its documentation, "Patching and hotfixing"). A row with
//! `finished_at` is applied, one with `rolled_back_at` counts for nothing, and one with neither has failed, or is
//! under way: Prisma goes no further until a person says which.
//!
//! The version is the migration that was finished last. Where two finished in one instant, Prisma's order of
//! files decides, which is that of their names.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement};
use crate::recorded::{self, Recorded};

pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let column = |name| dialect.column(name);
    let (name, begun, finished, undone) = (
        column("migration_name"),
        column("started_at"),
        column("finished_at"),
        column("rolled_back_at"),
    );
    let text = dialect.text(&name);
    // What failed is not told from `logs`: a server's message can hold a row's values.
    recorded::statement(
        &format!(
            "SELECT {text}, 'f', NULL FROM {from} AS t \
             WHERE {finished} IS NULL AND {undone} IS NULL ORDER BY {begun} LIMIT 1"
        ),
        &format!(
            "SELECT {text}, 't', NULL FROM {from} AS t \
             WHERE {finished} IS NOT NULL AND {undone} IS NULL \
             ORDER BY {finished} DESC, {begun} DESC, {name} DESC LIMIT 1"
        ),
    )
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    Ok(Recorded::read(rows)?.observed(|version, _| {
        format!(
            "Prisma began it and it did not finish, until `prisma migrate resolve --rolled-back {version}`, \
             or `--applied {version}`"
        )
    }))
}
