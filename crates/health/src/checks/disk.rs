//! Is the database too large for its disk? No server that is supported tells, without rights that the admin should not
//! have, how much of its disk is free. How large the database is they all do, and a person knows how large it may become.

use dbop_model::Why;
use dbop_model::health::{Check, Problem, State};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::{bytes, percent, step};

/// Why there is nothing to compare with.
const NO_LIMIT: &str = "the server does not tell how much of its disk is free; set spec.health.databaseBytes to what the \
    database may have";

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::Disk,
    title: "the size of the database against the limit that a person has set",
    judge: Judge::Looked(judge),
};

fn judge(case: &Case<'_>) -> State {
    match case.spec.database_bytes {
        None => State::Unknown(Why::new(NO_LIMIT)),
        Some(limit) => known(case.facts.bytes.as_result().map(|size| {
            let problem = too_large(*size, limit);
            outcome(problem.into_iter().collect(), None)
        })),
    }
}

fn too_large(size: u64, limit: u64) -> Option<Problem> {
    (size >= limit).then(|| Problem {
        table: None,
        message: format!(
            "the database has {} % or more of the {} of spec.health.databaseBytes",
            step(percent(size, limit)),
            bytes(limit)
        ),
        advice: "make room, or enlarge the disk and then the limit".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::health::HealthSpec;

    use super::*;
    use crate::testing::{is_unknown, problems, state, well};

    fn limit(bytes: u64) -> HealthSpec {
        HealthSpec {
            database_bytes: Some(bytes),
            ..HealthSpec::default()
        }
    }

    #[test]
    fn a_database_fires_at_its_limit() {
        let facts = well();
        assert_eq!(state(&facts, &limit((1 << 30) + 1), Check::Disk), State::Ok);
        let found = problems(&facts, &limit(1 << 30), Check::Disk);
        let message = &found[0].message;
        assert!(message.contains("100 % or more of the 1 GiB"), "{message}");
        assert!(
            problems(&facts, &limit(1 << 29), Check::Disk)[0]
                .message
                .contains("200 %")
        );
    }

    #[test]
    fn without_a_limit_or_a_size_it_is_unknown() {
        is_unknown(&well(), Check::Disk, "set spec.health.databaseBytes");
        let mut facts = well();
        facts.bytes = Fact::Unknown(Why::new("slow"));
        let unknown = state(&facts, &limit(1), Check::Disk);
        assert_eq!(unknown, State::Unknown(Why::new("slow")));
    }
}
