//! Judges the health of a database, purely: facts of one look and thresholds in, the outcome of each check out.
//!
//! A check is a file under `checks/` and a row of [`CHECKS`]. What cannot be seen is unknown, and never unhealthy. What
//! a check says is rounded, so that the same text stands until something has really changed: it is written into status.
//!
//! ```
//! use dbop_health::judge;
//! use dbop_model::Why;
//! use dbop_model::health::{HealthFacts, HealthSpec, State};
//!
//! let facts = HealthFacts::unknown(&Why::new("nobody has looked"));
//! let checked = judge(&facts, &HealthSpec::default(), &[]);
//! assert!(checked.iter().all(|one| matches!(one.state, State::Unknown(_))));
//! ```

mod checks;
#[cfg(test)]
mod testing;
mod words;

use dbop_model::health::{Checked, Health, HealthFacts, HealthSpec, Runs};
use dbop_model::table::TableName;

pub use checks::{CHECKS, CheckRow};
use checks::{Case, Judge};

/// Judges what one look found. `own` are tables of the migration tool, which nobody can give another shape. A check
/// that a person has accepted is left out.
pub fn judge(facts: &HealthFacts, spec: &HealthSpec, own: &[TableName]) -> Vec<Checked> {
    let case = Case { facts, spec, own };
    let looked = CHECKS.iter().filter_map(|row| match row.judge {
        Judge::Looked(judge) if !spec.ignores(row.check) => Some(Checked {
            check: row.check,
            state: judge(&case),
        }),
        Judge::Looked(_) | Judge::Runs(_) => None,
    });
    looked.collect()
}

/// The whole health: what was looked at last, and what runs say now.
pub fn whole(looked: &[Checked], spec: &HealthSpec, runs: &Runs<'_>) -> Health {
    let of_row = |row: &CheckRow| match row.judge {
        Judge::Looked(_) => looked.iter().find(|one| one.check == row.check).cloned(),
        Judge::Runs(judge) => (!spec.ignores(row.check)).then(|| Checked {
            check: row.check,
            state: judge(spec, runs),
        }),
    };
    Health {
        unseen: None,
        checks: CHECKS.iter().filter_map(of_row).collect(),
    }
}
