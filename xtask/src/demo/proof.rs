//! The end: what was claimed, and what was counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::acts::{CUSTOMERS, Seen, application_logins, grouped};
use super::application::Tally;
use super::stage::Stage;
use super::tell;
use crate::clock;

/// Shows the table, and fails where a number in it is not as it should be.
pub(super) fn show(stage: &mut Stage, seen: &Seen, took: Duration) -> Result<()> {
    stage.tend()?;
    let rows = stage.sql(&["rows"], &[])?;
    let (count, wrong) = counts(&rows).with_context(|| format!("{rows:?} is no count of rows"))?;
    let all: Vec<&Tally> = stage
        .stopped
        .iter()
        .map(|(_, tally)| tally)
        .chain(stage.applications.iter().map(|one| &one.tally))
        .collect();
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
    let after = application_logins(stage)?;

    let mut table = vec![
        (
            "queries of the application, v1 to v5".to_owned(),
            format!("{}, failed: {failed}", grouped(sum(|tally| tally.queries))),
        ),
        (
            "logins of the application".to_owned(),
            format!("{}, refused: 0", grouped(sum(|tally| tally.logins))),
        ),
        (
            "customers".to_owned(),
            format!(
                "{} imported + {} added; with a wrong name: {wrong}",
                grouped(CUSTOMERS),
                grouped(count - CUSTOMERS)
            ),
        ),
        (
            "queries during the backfill".to_owned(),
            format!(
                "{} in {}",
                grouped(seen.backfill.0),
                clock::spell(seen.backfill.1)
            ),
        ),
        (
            "logins before the rename".to_owned(),
            seen.logins_before.join(", "),
        ),
        ("logins after".to_owned(), after.join(", ")),
        ("release v1's old password".to_owned(), seen.refusal.clone()),
        (
            "blocked by a hint".to_owned(),
            "v3 as NOT NULL, before anything was started or revoked".to_owned(),
        ),
    ];
    for waited in &seen.waits {
        table.push((
            format!("{} waited for release {}", waited.migration, waited.release),
            format!(
                "{} in all (pid {}, then 3 s of quiet)",
                clock::spell(waited.took),
                waited.pid
            ),
        ));
    }
    table.push(("all of it took".to_owned(), clock::spell(took)));
    tell::act(
        "What was seen",
        "Counted by the application itself, by the operator, and by the server:",
    );
    tell::table(&table);
    Ok(())
}

/// Rows, and rows with a wrong name.
fn counts(line: &str) -> Option<(u64, u64)> {
    let value = |key: &str| -> Option<u64> {
        let word = line.split(' ').find_map(|word| word.strip_prefix(key))?;
        word.parse().ok()
    };
    Some((value("rows=")?, value("wrong=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(
            counts("rows=200543 wrong=0 columns=full_name"),
            Some((200_543, 0))
        );
        assert_eq!(counts("error"), None);
    }
}
