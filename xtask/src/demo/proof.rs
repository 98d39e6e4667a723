//! The end: what was claimed, and what was counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::facts::{CUSTOMERS, Seen, counts, grouped};
use super::tally::Tally;
use super::tell;
use crate::clock;

/// What was counted beside the acts.
pub(super) struct Counted<'a> {
    /// By every process of the application.
    pub(super) tallies: Vec<&'a Tally>,
    /// By the server at the end: rows, and rows with a wrong name.
    pub(super) rows: String,
    /// The logins of applications at the end.
    pub(super) logins_after: Vec<String>,
    /// What only this home of the demo can show.
    pub(super) more: Vec<(String, String)>,
    /// The whole story.
    pub(super) took: Duration,
}

/// Shows the table, and fails where a number in it is not as it should be.
pub(super) fn show(seen: &Seen, counted: Counted<'_>) -> Result<()> {
    let rows = &counted.rows;
    let (count, wrong) = counts(rows).with_context(|| format!("{rows:?} is no count of rows"))?;
    let all = &counted.tallies;
    let sum = |of: fn(&Tally) -> u64| -> u64 { all.iter().map(|tally| of(tally)).sum() };
    let failed = sum(|tally| tally.failed);
    ensure!(failed == 0, "{failed} queries failed");
    ensure!(
        wrong == 0,
        "{wrong} customers do not have the name that was written last"
    );
    // Queries of the last moment may be counted in the one place and not yet in the other.
    ensure!(
        count >= CUSTOMERS + sum(|tally| tally.added),
        "customers are missing: there are {count}"
    );

    let mut table: Vec<(String, String)> = [
        (
            "queries of the application, v1 to v5",
            format!("{}, failed: {failed}", grouped(sum(|tally| tally.queries))),
        ),
        (
            "logins of the application",
            format!("{}, refused: 0", grouped(sum(|tally| tally.logins))),
        ),
        (
            "customers",
            format!(
                "{} imported + {} added; with a wrong name: {wrong}",
                grouped(CUSTOMERS),
                grouped(count - CUSTOMERS)
            ),
        ),
        (
            "queries during the backfill",
            format!(
                "{} in {}",
                grouped(seen.backfill.0),
                clock::spell(seen.backfill.1)
            ),
        ),
        ("logins before the rename", seen.logins_before.join(", ")),
        ("logins after", counted.logins_after.join(", ")),
        ("release v1's old password", seen.refusal.clone()),
        (
            "blocked by a hint",
            "v3 as NOT NULL, before anything was started or revoked".to_owned(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for waited in &seen.waits {
        table.push((
            format!("{} waited for {}", waited.migration, waited.holder),
            format!(
                "{} in all ({}, then 3 s of quiet)",
                clock::spell(waited.took),
                waited.named
            ),
        ));
    }
    table.extend(counted.more);
    table.push(("all of it took".to_owned(), clock::spell(counted.took)));
    tell::act(
        "What was seen",
        "Counted by the application itself, by the operator, and by the server:",
    );
    tell::table(&table);
    Ok(())
}
