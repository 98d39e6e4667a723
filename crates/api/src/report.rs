//! The way back: status and Events as functions of what was seen and decided.
//!
//! Nothing here has a time of its own, so that a pass that changes nothing writes nothing: a condition's
//! `lastTransitionTime` moves when its status does, progress goes in steps, and sessions show as "in use"
//! unless somebody waits for them. Who writes asks [`change`] how soon.

mod conditions;
mod credentials;
mod events;

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::{DatabaseSpec, Fact, Match, MigrationName, ObservedVersion};
use dbop_plan::{Decision, Desired, Facts};
use jiff::Timestamp;

use crate::Refusals;
use crate::migration::LIST_ITEMS_MAX;
use crate::status::LastRun;
use crate::status::{
    Binding, DatabaseMigrationStatus, FindingStatus, ManagedDatabaseStatus, RunningMigration,
};

pub use events::{Event, EventKind, action_event, events};

/// How often a status is written of which nothing but the sessions of a wait has changed.
pub const SESSIONS_WRITTEN_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// Steps of a running migration's progress, in percent: each is a write, and one that wakes every watcher.
const PROGRESS_STEP: i32 = 5;
/// A line in a table: what is longer is cut there, and whole in the conditions.
const SUMMARY_CHARS_MAX: usize = 256;
/// Kubernetes allows 32,768; a person reads less.
const MESSAGE_CHARS_MAX: usize = 4096;

/// One pass over a database: what was wanted, seen and decided.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// What was seen.
    pub facts: &'a Facts,
    /// What was decided.
    pub decision: &'a Decision,
    /// The generation of the object's spec.
    pub generation: Option<i64>,
    /// How far the running migration is by its own account, 0.0 to 1.0.
    pub progress: Option<f64>,
    /// The time, for conditions that change.
    pub now: Timestamp,
}

/// The status after a pass. `previous` is the status as it stands *now*: its `lastRun` is kept, and what
/// cannot be seen (the database is unreachable) stays as it was last seen.
pub fn managed_database_status(
    pass: &Pass<'_>,
    previous: Option<&ManagedDatabaseStatus>,
) -> ManagedDatabaseStatus {
    let blank = ManagedDatabaseStatus::default();
    let old = previous.unwrap_or(&blank);
    let Pass {
        desired,
        facts,
        decision,
        generation,
        ..
    } = *pass;
    let id = &desired.database.id;
    let database = facts.database.known();
    let position = position(desired, facts);
    let current = match &position {
        Position::At(name) => Some(name.to_string()),
        Position::Off(version) => Some(version.clone()),
        Position::Empty => None,
        Position::Unknown => old.current_version.clone(),
    };
    let path = match &position {
        Position::At(name) => path(desired, Some(name)),
        Position::Empty => path(desired, None),
        Position::Off(_) => Vec::new(),
        Position::Unknown => old.path.clone(),
    };
    let binding = match (&facts.secrets, &position) {
        (Fact::Known(secrets), Position::At(name)) => secrets.contains_key(name).then(|| Binding {
            name: names::secret(id, name).to_string(),
        }),
        (_, Position::Unknown) | (Fact::Unknown(_), _) => old.binding.clone(),
        (Fact::Known(_), Position::Empty | Position::Off(_)) => None,
    };
    ManagedDatabaseStatus {
        observed_generation: generation,
        conditions: conditions::of(pass, &old.conditions),
        summary: Some(cut(&decision.to_string(), SUMMARY_CHARS_MAX)),
        engine: database
            .map(|database| database.server.to_string())
            .or_else(|| old.engine.clone()),
        current_version: current,
        desired_version: Some(desired.database.desired.to_string()),
        path,
        migration: running(pass),
        last_run: old
            .last_run
            .clone()
            .or_else(|| facts.object.last_run.as_ref().map(LastRun::from)),
        credentials: credentials::of(pass, &old.credentials),
        findings: findings(facts),
        binding,
    }
}

/// The status of an object whose spec is refused: what was last seen stays, and Stalled says why.
pub fn refused_status(
    refusals: &Refusals,
    generation: Option<i64>,
    now: Timestamp,
    previous: Option<&ManagedDatabaseStatus>,
) -> ManagedDatabaseStatus {
    let mut status = previous.cloned().unwrap_or_default();
    status.observed_generation = generation;
    status.summary = Some(cut(&format!("blocked: {refusals}"), SUMMARY_CHARS_MAX));
    status.conditions = conditions::refused(refusals, generation, now, &status.conditions);
    status
}

/// The status of a DatabaseMigration, from its digest and the databases to whose chain it belongs.
pub fn database_migration_status<'a>(
    migration: &dbop_model::Migration,
    chain: &dbop_model::Chain,
    databases: impl IntoIterator<Item = &'a DatabaseSpec>,
) -> DatabaseMigrationStatus {
    let uses =
        |database: &&DatabaseSpec| chain.connected(&database.desired).contains(&migration.name);
    let used_by: BTreeSet<String> = databases
        .into_iter()
        .filter(uses)
        .map(|database| database.id.name().to_owned())
        .collect();
    DatabaseMigrationStatus {
        digest: Some(migration.digest.to_string()),
        used_by: used_by.into_iter().take(LIST_ITEMS_MAX as usize).collect(),
    }
}

/// How a status differs from the one that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not at all: write nothing.
    None,
    /// Only in who it is that uses a credential: write every [`SESSIONS_WRITTEN_EVERY`].
    Sessions,
    /// In something else: write now.
    Yes,
}

/// How a status differs from the one that stands.
pub fn change(standing: Option<&ManagedDatabaseStatus>, next: &ManagedDatabaseStatus) -> Change {
    let Some(standing) = standing else {
        return Change::Yes;
    };
    if standing == next {
        return Change::None;
    }
    let without_words = |status: &ManagedDatabaseStatus| {
        let mut status = status.clone();
        status.summary = None;
        status
            .conditions
            .iter_mut()
            .for_each(|condition| condition.message.clear());
        status
            .credentials
            .iter_mut()
            .for_each(|credential| credential.used_by.clear());
        status
    };
    if without_words(standing) == without_words(next) {
        Change::Sessions
    } else {
        Change::Yes
    }
}

/// Where a database stands, as far as status shows it.
enum Position {
    Unknown,
    Empty,
    At(MigrationName),
    Off(String),
}

fn position(desired: &Desired, facts: &Facts) -> Position {
    let version = facts
        .database
        .known()
        .and_then(|database| database.version.known());
    match version {
        None => Position::Unknown,
        Some(ObservedVersion::None) => Position::Empty,
        Some(ObservedVersion::At(version)) => {
            match desired
                .chain
                .find_version(version, &desired.database.desired)
            {
                Match::One(migration) => Position::At(migration.name.clone()),
                Match::Unknown | Match::Ambiguous(_) => Position::Off(version.to_string()),
            }
        }
        Some(ObservedVersion::Several(versions)) => {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            Position::Off(versions.join(", "))
        }
        Some(ObservedVersion::Dirty { version, .. }) => Position::Off(format!("{version} (dirty)")),
    }
}

fn path(desired: &Desired, current: Option<&MigrationName>) -> Vec<String> {
    let path = desired
        .chain
        .path(current, &desired.database.desired)
        .unwrap_or_default();
    path.iter()
        .take(LIST_ITEMS_MAX as usize)
        .map(|step| step.name.to_string())
        .collect()
}

fn running(pass: &Pass<'_>) -> Option<RunningMigration> {
    let job = pass.facts.jobs.known()?.iter().find(|job| job.is_live())?;
    let percent = |progress: f64| {
        let percent = (progress.clamp(0.0, 1.0) * 100.0) as i32;
        percent - percent % PROGRESS_STEP
    };
    Some(RunningMigration {
        name: job.to.to_string(),
        job: job.name.to_string(),
        started_at: job.created_at,
        progress: pass
            .progress
            .filter(|progress| progress.is_finite())
            .map(percent),
    })
}

fn findings(facts: &Facts) -> Vec<FindingStatus> {
    let Some(hints) = &facts.hints else {
        return Vec::new();
    };
    let found = hints
        .judged
        .known()
        .map_or(&[][..], |judged| judged.findings.as_slice());
    found
        .iter()
        .filter(|finding| finding.verdict != Verdict::Clean)
        .take(LIST_ITEMS_MAX as usize)
        .map(|finding| finding_status(&hints.migration, finding))
        .collect()
}

fn finding_status(migration: &MigrationName, finding: &Finding) -> FindingStatus {
    let mut evidence = finding.claim.clone();
    for fact in &finding.evidence {
        evidence.push_str(&format!("; {} ({})", fact.value, fact.source));
    }
    FindingStatus {
        migration: migration.to_string(),
        rule: finding.rule.clone(),
        verdict: finding.verdict.as_str().to_owned(),
        table: finding.table.to_string(),
        evidence: cut(&evidence, MESSAGE_CHARS_MAX),
        advice: finding
            .advice
            .iter()
            .take(LIST_ITEMS_MAX as usize)
            .cloned()
            .collect(),
        accepted: finding.accepted.clone(),
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
