//! What is kept of each database between scrapes: one row, of numbers alone.
//!
//! Rows are small, since there may be ten thousand: labels are made when a scrape asks.

use std::collections::BTreeMap;

use dbop_api::report::reason;
use dbop_engine::Report;
use dbop_model::finding::Verdict;
use dbop_model::health::{Check, Health, HealthNumbers, State};
use dbop_model::sample::Sample;
use dbop_model::{DatabaseFacts, Fact, JobName, MigrationName, ObjectRef, Outcome, RunRecord};
use dbop_plan::{Action, DeletionStep};
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;

use super::state;

/// Outcomes of runs, with their label.
pub(super) const OUTCOMES: [(Outcome, &str); 3] = [
    (Outcome::Completed, "succeeded"),
    (Outcome::Failed, "failed"),
    (Outcome::VersionNotReached, "version_not_reached"),
];
/// Verdicts that are shown; `Unknown` is one, whether looking again helps or not.
pub(super) const VERDICTS: [&str; 6] = [
    "WillFail",
    "Blocks",
    "ImplicitValue",
    "Contends",
    "Queues",
    "Unknown",
];
/// From a statement on an empty table to a backfill of days.
const MIGRATION_SECONDS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 172_800.0,
];

/// The rows, by database.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: BTreeMap<ObjectRef, Box<Row>>,
}

/// What is known of a database.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) jobs_spawned: u64,
    pub(super) credentials_created: u64,
    pub(super) credentials_revoked: u64,
    /// How many runs ended so, in the order of [`OUTCOMES`].
    pub(super) runs: [u64; OUTCOMES.len()],
    /// How long they took; `None`: there was none.
    pub(super) durations: Option<Histogram>,
    pub(super) seen: Option<Seen>,
    /// The numbers of the last look at its health.
    pub(super) numbers: HealthNumbers,
    /// What its tables were like, where `spec.metrics` wants it.
    pub(super) sample: Option<Box<Sample>>,
}

/// What the last look found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) state: &'static str,
    pub(super) reason: &'static str,
    pub(super) is_reachable: bool,
    /// The run that is under way: its migration and its Job.
    pub(super) run: Option<Box<(MigrationName, JobName)>>,
    /// Sessions by the migration whose credential they use, both logins of a rotation together; a credential whose
    /// sessions cannot be seen is not here.
    pub(super) sessions: Box<[(MigrationName, usize)]>,
    /// Findings about the next migration, in the order of [`VERDICTS`]; `None`: there is none, or it was not judged.
    pub(super) findings: Option<[usize; VERDICTS.len()]>,
    /// Is all well? `None`: it is not known.
    pub(super) is_healthy: Option<bool>,
    /// Checks of which it is known whether they are well.
    pub(super) checks: Box<[(Check, bool)]>,
}

impl Book {
    /// The row of a database, a new one where there is none.
    pub(super) fn row(&mut self, database: &ObjectRef) -> &mut Row {
        self.rows.entry(database.clone()).or_default()
    }

    /// A sample of a database, unless it is gone meanwhile; `None`: no more are wanted.
    pub(super) fn sample(&mut self, database: &ObjectRef, sample: Option<Sample>) {
        if let Some(row) = self.rows.get_mut(database) {
            row.sample = sample.map(Box::new);
        }
    }

    /// The numbers of a look at its health, unless it is gone meanwhile.
    pub(super) fn examined(&mut self, database: &ObjectRef, numbers: &HealthNumbers) {
        if let Some(row) = self.rows.get_mut(database) {
            row.numbers = *numbers;
        }
    }

    pub(super) fn remove(&mut self, database: &ObjectRef) {
        self.rows.remove(database);
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&ObjectRef, &Row)> {
        self.rows.iter().map(|(database, row)| (database, &**row))
    }
}

impl Row {
    /// A pass has come to a decision.
    pub(super) fn published(&mut self, report: &Report<'_>) {
        let database = report.facts.database.known();
        self.seen = Some(Seen {
            at: report.now,
            state: state(report.decision),
            reason: reason(report.decision, report.failure),
            is_reachable: database.is_some(),
            run: run(report),
            sessions: database.map(sessions).unwrap_or_default(),
            findings: findings(report),
            is_healthy: is_healthy(report.health),
            checks: checks(report.health),
        });
    }

    /// An action was carried out.
    pub(super) fn acted(&mut self, action: &Action) {
        match action {
            Action::StartRun(_) => self.jobs_spawned += 1,
            Action::CreateCredential { .. } | Action::Rotate { .. } => {
                self.credentials_created += 1;
            }
            Action::Retire(_)
            | Action::RetireReplaced { .. }
            | Action::Delete(DeletionStep::Revoke(_)) => self.credentials_revoked += 1,
            Action::RecordRun { record, .. } => self.ended(record),
            Action::Undo(_)
            | Action::Heal { .. }
            | Action::DeleteJob { .. }
            | Action::ReleaseJob { .. }
            | Action::Delete(DeletionStep::Finish { .. })
            | Action::TakeOver
            // Its run was counted when it ended.
            | Action::AcceptRun { .. } => {}
        }
    }

    fn ended(&mut self, record: &RunRecord) {
        let at = OUTCOMES.iter().position(|(of, _)| *of == record.outcome);
        if let Some(count) = at.and_then(|at| self.runs.get_mut(at)) {
            *count += 1;
        }
        let took = record.finished_at.duration_since(record.started_at);
        let durations = self
            .durations
            .get_or_insert_with(|| Histogram::new(MIGRATION_SECONDS));
        durations.observe(took.as_secs_f64().max(0.0));
    }
}

fn run(report: &Report<'_>) -> Option<Box<(MigrationName, JobName)>> {
    let jobs = report.facts.jobs.known()?;
    let job = jobs.iter().find(|job| job.is_live())?;
    Some(Box::new((job.to.clone(), job.name.clone())))
}

fn sessions(database: &DatabaseFacts) -> Box<[(MigrationName, usize)]> {
    let mut all: BTreeMap<&MigrationName, Option<usize>> = BTreeMap::new();
    for (migration, login) in database.all_logins() {
        let seen = match &login.sessions {
            Fact::Known(sessions) => Some(sessions.len()),
            Fact::Unknown(_) => None,
        };
        let sum = all.entry(migration).or_insert(Some(0));
        *sum = sum.zip(seen).map(|(sum, seen)| sum + seen);
    }
    let known = all
        .into_iter()
        .filter_map(|(migration, sum)| Some((migration.clone(), sum?)));
    known.collect()
}

fn is_healthy(health: &Health) -> Option<bool> {
    match health.degraded().next() {
        Some(_) => Some(false),
        None => health.unseen.is_none().then_some(true),
    }
}

fn checks(health: &Health) -> Box<[(Check, bool)]> {
    let known = health.checks.iter().filter_map(|one| match one.state {
        State::Ok => Some((one.check, true)),
        State::Degraded(_) => Some((one.check, false)),
        State::Unknown(_) => None,
    });
    known.collect()
}

fn findings(report: &Report<'_>) -> Option<[usize; VERDICTS.len()]> {
    let judged = report.facts.hints.as_ref()?.judged.known()?;
    let mut counts = [0; VERDICTS.len()];
    for finding in &judged.findings {
        let shown = match finding.verdict {
            Verdict::Unknown { .. } => "Unknown",
            verdict => verdict.as_str(),
        };
        if let Some(at) = VERDICTS.iter().position(|verdict| *verdict == shown) {
            counts[at] += 1;
        }
    }
    Some(counts)
}
