//! Runs a batch file: its statement again and again, each time a transaction of its own, until it
//! changes no row; only then is the file recorded.
//!
//! It deliberately keeps no note of how far it is: the rows themselves say what is left, so a run
//! that was killed in the middle goes on where it was.

use std::time::Duration;

use tokio::time::Instant;

use super::{Context, RunError, go_on};
use crate::directives::Batch;
use crate::files::File;
use crate::said::{Said, Trouble};
use crate::session::Session;
use crate::tell::{Tell, grouped, spoken};

/// Repetitions of one file in one run: at a thousand rows each, a billion rows. A run that gets
/// there ends as failed, and can be run again to go on.
const REPETITIONS_MAX: u64 = 1_000_000;
/// Empty repetitions in a row that end a file. One is not enough: rows that others change at the
/// same moment can make a repetition change nothing while there is more to do.
const EMPTY_IN_A_ROW: u32 = 2;
/// How often `dbop:total` may still count rows while the statement changes none (others may hold
/// them locked and the statement skip them): a minute in all.
const LEFTOVER_WAITS_MAX: u32 = 60;
/// How often in a row a full pass may leave as many rows as before: others may add some, but a
/// statement that never takes any away must end.
const FRUITLESS_PASSES_MAX: u32 = 3;
/// Deadlocks, serialization failures and lock timeouts in a row that are tried again.
const RETRIES_MAX: u32 = 10;
/// Between these, and between looks at what is left.
const WAIT: Duration = Duration::from_secs(1);
/// Between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far one batch file is.
struct Pass {
    rows: u64,
    /// Rows to do in all, as far as known: those done by this run and those left.
    total: Option<u64>,
    /// What `dbop:total` gave last.
    left: u64,
    fruitless: u32,
}

pub(super) async fn run(
    session: &mut impl Session,
    file: &File,
    batch: &Batch,
    context: &Context<'_, impl Tell>,
) -> Result<(), RunError> {
    let name = &file.name;
    let begun = Instant::now();
    let left = count(session, file, batch).await?;
    let of = left.map_or(String::new(), |left| {
        format!(", {} rows to do", grouped(left))
    });
    context.tell.say(&format!("{name}: begins, in batches{of}"));
    let mut pass = Pass {
        rows: 0,
        total: left,
        left: left.unwrap_or_default(),
        fruitless: 0,
    };
    let (mut empty, mut leftover_waits, mut retries) = (0, 0, 0);
    let mut line_at = begun + LINE_INTERVAL;
    for _ in 0..REPETITIONS_MAX {
        go_on(context.stop)?;
        match session.change(file).await {
            Ok(0) => {
                empty += 1;
                if empty < EMPTY_IN_A_ROW {
                    continue;
                }
                match count(session, file, batch).await? {
                    None | Some(0) => {
                        session.record(file, begun.elapsed()).await?;
                        let (rows, took) = (grouped(pass.rows), spoken(begun.elapsed()));
                        context
                            .tell
                            .say(&format!("{name}: done in {took}, {rows} rows"));
                        return Ok(());
                    }
                    Some(left) if leftover_waits >= LEFTOVER_WAITS_MAX => {
                        let left = grouped(left);
                        let why = format!(
                            "the statement changes no row any more, and dbop:total still counts \
                             {left} after a minute"
                        );
                        return Err(RunError::Endless {
                            name: name.clone(),
                            why,
                        });
                    }
                    Some(_) => {
                        leftover_waits += 1;
                        context.stop.sleep(WAIT).await;
                    }
                }
            }
            Ok(rows) => {
                (empty, leftover_waits, retries) = (0, 0, 0);
                pass.rows = pass.rows.saturating_add(rows);
                if pass.total.is_some_and(|total| pass.rows >= total) {
                    pass.recount(count(session, file, batch).await?, name)?;
                }
                context.progress.batch(rows, pass.fraction());
                if Instant::now() >= line_at {
                    line_at = Instant::now() + LINE_INTERVAL;
                    context.tell.say(&format!("{name}: {}", pass.line()));
                }
                if !batch.pause.is_zero() {
                    context.stop.sleep(batch.pause).await;
                }
            }
            Err(error) if is_transient(&error) && retries < RETRIES_MAX => {
                retries += 1;
                let said = Said::new(&error, None);
                context
                    .tell
                    .say(&format!("{name}: one batch is tried again: {said}"));
                context.stop.sleep(WAIT).await;
            }
            Err(error) => return Err(failed(file, pass.rows, &error)),
        }
    }
    let why = format!("{} repetitions were not enough", grouped(REPETITIONS_MAX));
    Err(RunError::Endless {
        name: name.clone(),
        why,
    })
}

impl Pass {
    /// Takes in what is left once the total is reached: others add rows, or the statement runs in
    /// circles.
    fn recount(&mut self, left: Option<u64>, name: &str) -> Result<(), RunError> {
        let left = left.unwrap_or_default();
        self.fruitless = if left > 0 && left >= self.left {
            self.fruitless + 1
        } else {
            0
        };
        if self.fruitless >= FRUITLESS_PASSES_MAX {
            let why = format!(
                "after {} changed rows dbop:total counts {}, not fewer than before",
                grouped(self.rows),
                grouped(left)
            );
            return Err(RunError::Endless {
                name: name.to_owned(),
                why,
            });
        }
        self.left = left;
        self.total = Some(self.rows.saturating_add(left));
        Ok(())
    }

    fn fraction(&self) -> f64 {
        match self.total {
            // Precise enough for a percentage, whatever the counts.
            Some(total) if total > 0 => self.rows as f64 / total as f64,
            _ => 0.0,
        }
    }

    fn line(&self) -> String {
        let rows = grouped(self.rows);
        match self.total {
            Some(total) => {
                format!(
                    "{rows} of {} rows, {:.0} %",
                    grouped(total),
                    self.fraction() * 100.0
                )
            }
            None => format!("{rows} rows"),
        }
    }
}

/// How many rows `dbop:total` counts; `None` where the file has none.
async fn count(
    session: &mut impl Session,
    file: &File,
    batch: &Batch,
) -> Result<Option<u64>, RunError> {
    let Some(query) = &batch.total else {
        return Ok(None);
    };
    let refused = |said: String| RunError::Batch {
        name: file.name.clone(),
        rows: 0,
        said: Said::text(said),
    };
    let counted = session.count(query).await;
    let counted =
        counted.map_err(|error| refused(format!("dbop:total: {}", Said::new(&error, None))))?;
    let number = counted.and_then(|count| u64::try_from(count).ok());
    let number =
        number.ok_or_else(|| refused("dbop:total gives no number from 0 up".to_owned()))?;
    Ok(Some(number))
}

/// What another session's work can cause, and trying again can cure: serialization failure,
/// deadlock, lock timeout.
fn is_transient(error: &sqlx::Error) -> bool {
    let trouble = Said::new(error, None).trouble();
    matches!(trouble, Some(Trouble::Conflict | Trouble::LockTimeout))
}

fn failed(file: &File, rows: u64, error: &sqlx::Error) -> RunError {
    let said = Said::new(error, Some(file.migration.sql.as_str()));
    RunError::Batch {
        name: file.name.clone(),
        rows,
        said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_grows_moves_the_percentage_and_not_the_end() {
        let mut pass = Pass {
            rows: 100,
            total: Some(100),
            left: 100,
            fruitless: 0,
        };
        pass.recount(Some(50), "f").unwrap();
        assert_eq!(pass.total, Some(150));
        assert_eq!(pass.line(), "100 of 150 rows, 67 %");
        pass.recount(Some(0), "f").unwrap();
        assert_eq!(pass.line(), "100 of 100 rows, 100 %");
    }

    #[test]
    fn running_in_circles_ends() {
        let mut pass = Pass {
            rows: 0,
            total: Some(10),
            left: 10,
            fruitless: 0,
        };
        for _ in 1..FRUITLESS_PASSES_MAX {
            pass.rows += 10;
            pass.recount(Some(10), "f").unwrap();
        }
        let error = pass.recount(Some(10), "f").unwrap_err();
        assert!(
            error.to_string().contains("not fewer than before"),
            "{error}"
        );
    }
}
