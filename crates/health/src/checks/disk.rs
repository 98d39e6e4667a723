//! Does the disk fill up? Few servers tell; how large the database is they all do, and a person knows how large it may
//! become.

use dbop_model::Why;
use dbop_model::health::{Check, Disk, Problem, State};

use super::{Case, CheckRow, Judge, outcome};
use crate::words::{bytes, percent, step};

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::Disk,
    title: "free disk space, where the server tells; the size of the database, where a limit is set",
    judge: Judge::Looked(judge),
};

fn judge(case: &Case<'_>) -> State {
    let disks = case.facts.disks.as_result();
    let known = disks.iter().flat_map(|disks| disks.iter());
    let mut problems: Vec<Problem> = known
        .filter_map(|disk| full(disk, case.spec.disk_percent))
        .collect();
    let size = case
        .spec
        .database_bytes
        .map(|limit| (limit, case.facts.bytes.as_result()));
    if let Some((limit, Ok(size))) = size {
        problems.extend(too_large(*size, limit));
    }
    // A limit that a person has set stands in for a disk that nobody sees.
    let hidden = match size {
        Some((_, size)) => size.err(),
        None => disks.err(),
    };
    outcome(problems, hidden)
}

fn full(disk: &Disk, threshold: u8) -> Option<Problem> {
    let used = percent(disk.bytes.saturating_sub(disk.free_bytes), disk.bytes);
    (used >= u64::from(threshold)).then(|| Problem {
        table: None,
        message: format!(
            "{} % or more of the disk at {} is used, of {}",
            step(used),
            disk.path,
            bytes(disk.bytes)
        ),
        advice: "make room, or enlarge it, before the server stops".to_owned(),
    })
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
    use dbop_model::health::{HealthFacts, HealthSpec};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, problems, state, well};

    fn disk(free_percent: u64) -> HealthFacts {
        let mut facts = well();
        facts.disks = Fact::Known(vec![Disk {
            path: "/var".to_owned(),
            bytes: 100 << 30,
            free_bytes: free_percent << 30,
        }]);
        facts
    }

    fn limit(bytes: u64) -> HealthSpec {
        HealthSpec {
            database_bytes: Some(bytes),
            ..HealthSpec::default()
        }
    }

    #[test]
    fn a_disk_fires_at_the_threshold() {
        is_ok(&disk(16), Check::Disk);
        let said = problem(&disk(15), Check::Disk);
        assert!(
            said.starts_with("85 % or more of the disk at /var is used, of 100 GiB; "),
            "{said}"
        );
    }

    #[test]
    fn a_database_fires_at_its_limit() {
        let mut facts = well();
        facts.disks = Fact::Unknown(Why::new("not told"));
        is_unknown(&facts, Check::Disk, "not told");
        assert_eq!(state(&facts, &limit((1 << 30) + 1), Check::Disk), State::Ok);
        let found = problems(&facts, &limit(1 << 30), Check::Disk);
        assert!(
            found[0].message.contains("100 % or more of the 1 GiB"),
            "{found:?}"
        );
        facts.bytes = Fact::Unknown(Why::new("slow"));
        let unknown = state(&facts, &limit(1), Check::Disk);
        assert_eq!(unknown, State::Unknown(Why::new("slow")));
    }
}
