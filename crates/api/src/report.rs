//! The way back: status and Events as functions of what was seen and decided.
//!
//! Nothing here has a time of its own, so that a pass that changes nothing writes nothing: a
//! condition's `lastTransitionTime` moves when its status does, progress goes in steps, and
//! sessions show as "in use" unless somebody waits for them. Who writes asks [`change`] how soon.

mod conditions;
mod credentials;
mod events;
mod health;
mod shown;
mod unmanaged;

use std::borrow::Cow;
use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::health::Health;
use dbop_model::{DatabaseSpec, Fact, Match, MigrationName, ObservedVersion, visible};
use dbop_plan::{Decision, Desired, Facts, WaitingOn};
use jiff::Timestamp;

use crate::Refusals;
use crate::migration::LIST_ITEMS_MAX;
use crate::status::LastRun;
use crate::status::{
    Binding, DatabaseMigrationStatus, FindingStatus, ManagedDatabaseStatus, RunningMigration,
};

pub use conditions::reason;
pub use events::{Event, EventKind, PROGRESS, action_event, events, unsampled_event};

/// How often a status is written of which nothing but the sessions of a wait has changed.
pub const SESSIONS_WRITTEN_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// Steps of a running migration's progress, in percent: each is a write, and one that wakes every
/// watcher.
const PROGRESS_STEP: i32 = 5;
/// A line in a table: what is longer is shortened there, and whole in the conditions.
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
    /// What the decided step failed with, where it did: it is tried again.
    pub failure: Option<&'a str>,
    /// How it fares.
    pub health: &'a Health,
    /// What of `spec.metrics` could not be had; `None`: no sample was tried yet.
    pub unsampled: Option<&'a [String]>,
    /// The generation of the object's spec.
    pub generation: Option<i64>,
    /// How far the running migration is by its own account, 0.0 to 1.0.
    pub progress: Option<f64>,
    /// The time, for conditions that change.
    pub now: Timestamp,
}

impl Pass<'_> {
    /// Where the database stands, in one line.
    fn summary(&self) -> String {
        match self.failure {
            None => self.decision.to_string(),
            Some(failure) => format!("tries again: {}; it failed: {failure}", self.decision),
        }
    }
}

/// The status after a pass. `previous` is the status as it stands *now*: its `lastRun` is kept, and
/// what cannot be seen (the database is unreachable) stays as it was last seen.
pub fn managed_database_status(
    pass: &Pass<'_>,
    previous: Option<&ManagedDatabaseStatus>,
) -> ManagedDatabaseStatus {
    let blank = ManagedDatabaseStatus::default();
    let old = previous.unwrap_or(&blank);
    let Pass {
        desired,
        facts,
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
    let supported = match &position {
        Position::At(name) => supported(desired, name),
        Position::Empty | Position::Off(_) => Vec::new(),
        Position::Unknown => old.supported_versions.clone(),
    };
    let binding = match (&facts.secrets, &position) {
        (Fact::Known(secrets), Position::At(name)) => secrets.contains_key(name).then(|| Binding {
            name: names::secret(id, name).to_string(),
        }),
        (_, Position::Unknown) | (Fact::Unknown(_), _) => old.binding.clone(),
        (Fact::Known(_), Position::Empty | Position::Off(_)) => None,
    };
    let migration = running(pass, old);
    shown::harmless(ManagedDatabaseStatus {
        observed_generation: generation,
        conditions: conditions::of(pass, &old.conditions),
        summary: Some(line(&summary(pass, migration.as_ref()))),
        engine: database
            .map(|database| database.server.to_string())
            .or_else(|| old.engine.clone()),
        current_version: current,
        desired_version: Some(desired.database.desired.to_string()),
        supported_versions: supported,
        path,
        migration,
        last_run: old
            .last_run
            .clone()
            .or_else(|| facts.object.last_run.as_ref().map(LastRun::from)),
        credentials: credentials::of(pass, &old.credentials),
        unmanaged_logins: unmanaged::of(facts, &old.unmanaged_logins),
        findings: findings(facts),
        binding,
    })
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
    status.summary = Some(line(&format!("blocked: {refusals}")));
    status.conditions = conditions::refused(refusals, generation, now, &status.conditions);
    shown::harmless(status)
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
            // Why facts are unknown is a person's to put right, as a ConfigMap that is not there.
            .filter(|condition| condition.type_ != "HintsClear" || condition.status != "Unknown")
            // What is found beside the passes is rounded, and changes once in its interval at most.
            .filter(|condition| !["Healthy", "MetricsSampled"].contains(&condition.type_.as_str()))
            .for_each(|condition| condition.message.clear());
        status
            .credentials
            .iter_mut()
            .for_each(|credential| credential.used_by.clear());
        status.unmanaged_logins.clear();
        status
    };
    // What a run waits for does not change from look to look as sessions do, and people look for it.
    let of_a_run = next.migration.is_some();
    if !of_a_run && without_words(standing) == without_words(next) {
        Change::Sessions
    } else {
        Change::Yes
    }
}

/// The migrations whose code works with the schema of this one, the newest first.
fn supported(desired: &Desired, current: &MigrationName) -> Vec<String> {
    let compatible = desired.chain.compatible(current);
    let (line, _) = desired.chain.lineage(current);
    let works = line.iter().filter(|m| compatible.contains(&m.name));
    works
        .take(LIST_ITEMS_MAX as usize)
        .map(|m| m.name.to_string())
        .collect()
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

/// Where the database stands, in one line for tables: with how far a migration is that is waited for.
fn summary(pass: &Pass<'_>, migration: Option<&RunningMigration>) -> String {
    let waits = matches!(
        pass.decision,
        Decision::Wait {
            on: WaitingOn::Run { .. },
            ..
        }
    );
    let progress = migration.and_then(|migration| migration.progress);
    match progress.filter(|_| waits) {
        Some(percent) => format!("{}, {percent} %", pass.summary()),
        None => pass.summary(),
    }
}

/// The run that is under way. How far it was stays while nobody says how far it is: what it pushed may have been lost on its
/// way, with the Pushgateway or with an operator before this one.
fn running(pass: &Pass<'_>, old: &ManagedDatabaseStatus) -> Option<RunningMigration> {
    let job = pass.facts.jobs.known()?.iter().find(|job| job.is_live())?;
    let percent = |progress: f64| {
        let percent = (progress.clamp(0.0, 1.0) * 100.0) as i32;
        percent - percent % PROGRESS_STEP
    };
    let before = old.migration.as_ref();
    let before = before.filter(|before| before.job == job.name.as_str());
    Some(RunningMigration {
        name: job.to.to_string(),
        job: job.name.to_string(),
        started_at: job.created_at,
        progress: pass
            .progress
            .filter(|progress| progress.is_finite())
            .map(percent)
            .or_else(|| before.and_then(|before| before.progress)),
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
    let mut found: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.verdict != Verdict::Clean)
        .collect();
    // In the order of the operations; what stands in the way first, so that no bound hides it.
    found.sort_by_key(|finding| (!finding.stops(), !finding.waits()));
    found
        .into_iter()
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

/// A text as one line of a table. Its last clause is the way out, which stays where it fits into half of the line.
fn line(text: &str) -> String {
    let text = &*visible::line(text);
    let way_out = text.rfind("; ").map(|at| &text[at..]);
    let way_out = way_out.filter(|clause| clause.chars().count() <= SUMMARY_CHARS_MAX / 2);
    match way_out {
        Some(way_out) if text.chars().count() > SUMMARY_CHARS_MAX => {
            let left = SUMMARY_CHARS_MAX - way_out.chars().count();
            format!(
                "{}{way_out}",
                cut(&text[..text.len() - way_out.len()], left)
            )
        }
        _ => cut(text, SUMMARY_CHARS_MAX),
    }
}

/// A text of others, harmless and bounded.
fn cut(text: &str, chars_max: usize) -> String {
    shortened(visible::line(text), chars_max)
}

fn shortened(text: Cow<'_, str>, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use dbop_credentials::names::login;
    use dbop_model::finding::{Evidence, HintMode, Judgement, NotJudged};
    use dbop_model::{
        Claim, DatabaseFacts, Digest, Engine, JobFacts, JobName, JobPhase, LoginFacts, Outcome,
        Proof, RunRecord, SchemaVersion, Session, Why,
    };
    use dbop_plan::{Blocker, Hints, Reference, SecretFacts, Use, WaitingOn, example};

    use super::*;

    pub(crate) fn name(text: &str) -> MigrationName {
        text.parse().unwrap()
    }

    pub(crate) fn at(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn database(facts: &mut Facts) -> &mut DatabaseFacts {
        match &mut facts.database {
            Fact::Known(database) => database,
            Fact::Unknown(_) => panic!("the example is reachable"),
        }
    }

    pub(crate) fn credential(facts: &mut Facts, desired: &Desired, of: &str, sessions: &[i64]) {
        let database = database(facts);
        let Claim::Ours(claim) = &database.claim else {
            panic!("the example is claimed")
        };
        let user = login(Engine::PostgreSql, &desired.database.id, &name(of), claim);
        let session = |pid: &i64| Session {
            pid: *pid,
            user: user.clone(),
            address: Some("10.1.4.7".to_owned()),
            application: None,
            age: None,
            replica: None,
        };
        let sessions = Fact::Known(sessions.iter().map(session).collect());
        let facts_of_login = LoginFacts {
            turn: dbop_model::LoginTurn::First,
            name: user.clone(),
            locked: false,
            granted: true,
            sessions,
        };
        database.logins.insert(name(of), facts_of_login);
        if let Fact::Known(secrets) = &mut facts.secrets {
            let (intact, issued_at) = (true, None);
            secrets.insert(name(of), SecretFacts { intact, issued_at });
        }
        facts.proofs.insert(name(of), Proof::Works);
    }

    /// A database `shop/shop` at `v2` of three, with the credentials of both.
    pub(crate) fn at_v2() -> (Desired, Facts) {
        let desired = example::desired(3).unwrap();
        let mut facts = example::facts().unwrap();
        let version = SchemaVersion::new("v2").unwrap();
        database(&mut facts).version = Fact::Known(ObservedVersion::At(version));
        credential(&mut facts, &desired, "v1", &[]);
        credential(&mut facts, &desired, "v2", &[7]);
        (desired, facts)
    }

    pub(crate) fn in_use(facts: &Facts) -> Decision {
        let sessions = facts.database.known().unwrap().logins[&name("v1")]
            .sessions
            .clone();
        Decision::Wait {
            on: WaitingOn::CredentialInUse {
                credentials: vec![(name("v1"), Use::Sessions(sessions.known().unwrap().clone()))],
                next: Some(name("v3")),
                move_to: name("v2"),
            },
            wake_at: at("01:00:00"),
        }
    }

    pub(crate) fn rest() -> Decision {
        Decision::Converged {
            ahead: false,
            look_again: at("01:00:00"),
        }
    }

    pub(crate) fn status(
        desired: &Desired,
        facts: &Facts,
        decision: &Decision,
        previous: Option<&ManagedDatabaseStatus>,
        now: &str,
    ) -> ManagedDatabaseStatus {
        managed_database_status(&pass(desired, facts, decision, now), previous)
    }

    /// Nobody has looked.
    static NOT_YET: Health = Health {
        checks: Vec::new(),
        unseen: Some(dbop_model::health::Unseen::NotYet),
    };

    pub(crate) fn pass<'a>(
        desired: &'a Desired,
        facts: &'a Facts,
        decision: &'a Decision,
        now: &str,
    ) -> Pass<'a> {
        Pass {
            desired,
            facts,
            decision,
            failure: None,
            health: &NOT_YET,
            unsampled: None,
            generation: Some(4),
            progress: Some(0.479),
            now: at(now),
        }
    }

    #[test]
    fn a_line_that_is_too_long_keeps_the_way_out() {
        let many = format!(
            "waits: used by {}; deploy v2 first",
            "Pod api-0, ".repeat(40)
        );
        let shown = line(&many);
        assert!(shown.starts_with("waits: used by Pod api-0, "), "{shown}");
        assert!(shown.ends_with("...; deploy v2 first"), "{shown}");
        assert!(shown.chars().count() <= SUMMARY_CHARS_MAX + 3);
        assert_eq!(line("waits: a; b"), "waits: a; b");
        assert!(line(&"x".repeat(300)).ends_with("x..."));
    }

    fn shown(status: &ManagedDatabaseStatus) -> Vec<String> {
        let line = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            assert_eq!(condition.observed_generation, Some(4));
            format!(
                "{}={} {}",
                condition.type_, condition.status, condition.reason
            )
        };
        status.conditions.iter().map(line).collect()
    }

    #[track_caller]
    fn check_ready(decision: &Decision, expect: [&str; 3]) {
        let (desired, facts) = at_v2();
        let status = status(&desired, &facts, decision, None, "00:00:00");
        assert_eq!(shown(&status)[..3], expect);
        assert_eq!(status.summary, Some(decision.to_string()));
    }

    #[test]
    fn each_decision_has_its_row_of_conditions() {
        check_ready(
            &rest(),
            [
                "Ready=True AtRest",
                "Reconciling=False AtRest",
                "Stalled=False AtRest",
            ],
        );
        check_ready(
            &Decision::Converged {
                ahead: true,
                look_again: at("01:00:00"),
            },
            [
                "Ready=True AheadAndCompatible",
                "Reconciling=False AheadAndCompatible",
                "Stalled=False AheadAndCompatible",
            ],
        );
        check_ready(
            &Decision::Wait {
                on: WaitingOn::Paused,
                wake_at: at("01:00:00"),
            },
            [
                "Ready=False Paused",
                "Reconciling=True Paused",
                "Stalled=False Paused",
            ],
        );
        check_ready(
            &Decision::Blocked {
                by: Blocker::TablesWithoutVersion,
            },
            [
                "Ready=False TablesWithoutVersion",
                "Reconciling=False TablesWithoutVersion",
                "Stalled=True TablesWithoutVersion",
            ],
        );
        let (desired, facts, now) = example::empty_database();
        check_ready(
            &dbop_plan::decide(&desired, &facts, now),
            [
                "Ready=False StartingMigration",
                "Reconciling=True StartingMigration",
                "Stalled=False StartingMigration",
            ],
        );
    }

    #[test]
    fn a_step_that_failed_is_tried_again() {
        let (desired, facts, now) = example::empty_database();
        let decision = dbop_plan::decide(&desired, &facts, now);
        let pass = Pass {
            failure: Some("disk full"),
            ..pass(&desired, &facts, &decision, "00:00:00")
        };
        let status = managed_database_status(&pass, None);
        assert_eq!(shown(&status)[1], "Reconciling=True StepFailed");
        let summary = status.summary.unwrap();
        assert!(summary.starts_with("tries again: run v1"), "{summary}");
        assert!(summary.ends_with("it failed: disk full"), "{summary}");
    }

    #[test]
    fn a_status_says_where_the_database_stands() {
        let (desired, mut facts) = at_v2();
        credential(&mut facts, &desired, "v1", &[4711]);
        facts.references = Fact::Known(BTreeMap::from([(
            name("v1"),
            vec![Reference {
                kind: "Deployment".to_owned(),
                name: "api".to_owned(),
                how: "container api, env DATABASE_URL".to_owned(),
                made_at: None,
            }],
        )]));
        facts.jobs = Fact::Known(vec![JobFacts {
            name: JobName::new("shop-v3-0a1b").unwrap(),
            from: Some(name("v2")),
            to: name("v3"),
            digest: Digest::new("d3").unwrap(),
            created_at: at("00:00:00"),
            phase: JobPhase::Running,
            finalizer: true,
        }]);
        let status = status(&desired, &facts, &in_use(&facts), None, "00:00:10");
        assert_eq!(status.engine.as_deref(), Some("PostgreSQL 18.0"));
        assert_eq!(status.current_version.as_deref(), Some("v2"));
        assert_eq!(status.desired_version.as_deref(), Some("v3"));
        assert_eq!(status.path, ["v3"]);
        assert_eq!(status.binding.as_ref().unwrap().name, "shop-v2");
        let migration = status.migration.clone().unwrap();
        assert_eq!(
            (migration.name.as_str(), migration.progress),
            ("v3", Some(45))
        );
        // What nobody says any more stays, for the same run.
        let decision = in_use(&facts);
        let mut silent = pass(&desired, &facts, &decision, "00:00:20");
        silent.progress = None;
        let after = |job: &str| {
            let mut before = status.clone();
            before.migration.as_mut().unwrap().job = job.to_owned();
            let next = managed_database_status(&silent, Some(&before));
            next.migration.unwrap().progress
        };
        assert_eq!(after("shop-v3-0a1b"), Some(45));
        assert_eq!(after("shop-v3-0000"), None);
        // A table has one line for all of it.
        let waits = Decision::Wait {
            on: WaitingOn::Run {
                job: JobName::new("shop-v3-0a1b").unwrap(),
                migration: name("v3"),
                not_started: None,
            },
            wake_at: at("00:00:30"),
        };
        let pass = pass(&desired, &facts, &waits, "00:00:20");
        let line = managed_database_status(&pass, Some(&status)).summary;
        assert_eq!(
            line.as_deref(),
            Some("waits: migration v3 is running, 45 %")
        );
        let [v1, v2] = status.credentials.as_slice() else {
            panic!("two credentials")
        };
        assert_eq!(
            v1.used_by,
            [
                "Deployment api (container api, env DATABASE_URL)",
                "session pid 4711, user shop_v1_9f31c0de, from 10.1.4.7",
            ]
        );
        // Nobody waits for this one: that it is used is enough.
        assert_eq!((v2.in_use, v2.used_by.len()), (Some(true), 0));
        assert_eq!(v2.secret_name, "shop-v2");
        assert_eq!(v2.state, crate::status::CredentialState::Ready);
        let json = serde_json::to_string(&v2).unwrap();
        assert!(json.contains("\"inUse\":true"), "{json}");
    }

    #[test]
    fn a_pass_that_changes_nothing_writes_nothing() {
        let (desired, mut facts) = at_v2();
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        assert_eq!(change(None, &first), Change::Yes);
        let second = status(&desired, &facts, &rest(), Some(&first), "00:10:00");
        assert_eq!(change(Some(&first), &second), Change::None);
        // Other sessions of a credential that nobody waits for.
        credential(&mut facts, &desired, "v2", &[8, 9]);
        let third = status(&desired, &facts, &rest(), Some(&second), "00:20:00");
        assert_eq!(change(Some(&second), &third), Change::None);
        // None any more.
        credential(&mut facts, &desired, "v2", &[]);
        let fourth = status(&desired, &facts, &rest(), Some(&third), "00:30:00");
        assert_eq!(change(Some(&third), &fourth), Change::Yes);
    }

    #[test]
    fn sessions_that_are_waited_for_are_not_worth_a_write_each() {
        let (desired, mut facts) = at_v2();
        credential(&mut facts, &desired, "v1", &[1]);
        let first = status(&desired, &facts, &in_use(&facts), None, "00:00:00");
        credential(&mut facts, &desired, "v1", &[2]);
        let second = status(&desired, &facts, &in_use(&facts), Some(&first), "00:00:05");
        assert_eq!(change(Some(&first), &second), Change::Sessions);
        let third = status(&desired, &facts, &rest(), Some(&second), "00:00:10");
        assert_eq!(change(Some(&second), &third), Change::Yes);
    }

    #[test]
    fn why_hints_cannot_be_judged_is_told_at_once() {
        let (mut desired, mut facts) = at_v2();
        desired.database.hints.mode = HintMode::Block;
        let because = |facts: &mut Facts, why: &str| {
            facts.hints = Some(dbop_plan::Hints {
                migration: name("v3"),
                judged: Fact::Unknown(dbop_model::Why::passing(why)),
            });
            status(&desired, facts, &rest(), None, "00:00:00")
        };
        let first = because(&mut facts, "there is no ConfigMap");
        let second = because(&mut facts, "it has no such key");
        assert_eq!(change(Some(&first), &second), Change::Yes);
    }

    #[test]
    fn a_condition_keeps_the_time_at_which_it_turned() {
        let (desired, mut facts) = at_v2();
        credential(&mut facts, &desired, "v1", &[1]);
        let since = |status: &ManagedDatabaseStatus, type_: &str| {
            let found = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
            found.last_transition_time.0
        };
        let first = status(&desired, &facts, &in_use(&facts), None, "00:00:00");
        let paused = Decision::Wait {
            on: WaitingOn::Paused,
            wake_at: at("01:00:00"),
        };
        let second = status(&desired, &facts, &paused, Some(&first), "00:01:00");
        let third = status(&desired, &facts, &rest(), Some(&second), "00:02:00");
        assert_eq!(since(&second, "Ready"), at("00:00:00"));
        assert_eq!(since(&third, "Ready"), at("00:02:00"));
        assert_eq!(since(&third, "DatabaseReachable"), at("00:00:00"));
    }

    #[test]
    fn what_cannot_be_seen_stays_as_it_was_last_seen() {
        let (desired, mut facts) = at_v2();
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        facts.database = Fact::Unknown(Why::new("connection refused"));
        let on = WaitingOn::Database {
            why: Why::new("connection refused"),
        };
        let wait = Decision::Wait {
            on,
            wake_at: at("01:00:00"),
        };
        let second = status(&desired, &facts, &wait, Some(&first), "00:01:00");
        assert_eq!(
            shown(&second)[3],
            "DatabaseReachable=False DatabaseUnreachable"
        );
        let seen = |status: &ManagedDatabaseStatus| {
            let ManagedDatabaseStatus {
                engine,
                current_version,
                path,
                credentials,
                binding,
                ..
            } = status.clone();
            (engine, current_version, path, credentials, binding)
        };
        assert_eq!(seen(&second), seen(&first));
    }

    #[test]
    fn the_last_run_that_stands_is_never_overwritten_with_an_older_look() {
        let (desired, mut facts) = at_v2();
        let record = |job: &str| RunRecord {
            job: JobName::new(job).unwrap(),
            from: None,
            migration: name("v2"),
            digest: Digest::new("d2").unwrap(),
            outcome: Outcome::Completed,
            started_at: at("00:00:00"),
            finished_at: at("00:01:00"),
            exit_code: Some(0),
            message: String::new(),
        };
        facts.object.last_run = Some(record("old"));
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        assert_eq!(first.last_run.as_ref().unwrap().job, "old");
        let standing = ManagedDatabaseStatus {
            last_run: Some((&record("new")).into()),
            ..first.clone()
        };
        let second = status(&desired, &facts, &rest(), Some(&standing), "00:00:00");
        assert_eq!(second.last_run.as_ref().unwrap().job, "new");
    }

    #[track_caller]
    fn check_hints(mode: HintMode, hints: Option<Fact<Judgement>>, expect: &str) {
        let (mut desired, mut facts) = at_v2();
        desired.database.hints.mode = mode;
        facts.hints = hints.map(|judged| Hints {
            migration: name("v3"),
            judged,
        });
        let paused = Decision::Wait {
            on: WaitingOn::Paused,
            wake_at: at("01:00:00"),
        };
        let status = status(&desired, &facts, &paused, None, "00:00:00");
        assert_eq!(shown(&status)[4], expect);
    }

    pub(crate) fn judgement(verdict: Option<Verdict>) -> Judgement {
        let finding = |verdict| Finding {
            rule: "not-null-over-nulls".to_owned(),
            verdict,
            operation: "alterColumn users.email NOT NULL".to_owned(),
            table: "users".parse().unwrap(),
            claim: "a row of users.email holds NULL".to_owned(),
            evidence: vec![Evidence {
                value: "found".to_owned(),
                source: "a probe".to_owned(),
                taken_at: at("00:00:00"),
            }],
            effect: None,
            advice: vec!["fill it first".to_owned()],
            accepted: None,
        };
        Judgement {
            analysed: true,
            predicted: Vec::new(),
            findings: verdict.into_iter().map(finding).collect(),
            not_judged: Vec::new(),
            not_tried: Vec::new(),
            taken_at: at("00:00:00"),
        }
    }

    #[test]
    fn hints_are_clear_or_not_or_not_analysed() {
        let known = |verdict| Some(Fact::Known(judgement(verdict)));
        check_hints(HintMode::Off, None, "HintsClear=Unknown Off");
        check_hints(HintMode::Block, None, "HintsClear=Unknown NotAnalysed");
        check_hints(HintMode::Block, known(None), "HintsClear=True Clear");
        check_hints(
            HintMode::Block,
            known(Some(Verdict::Clean)),
            "HintsClear=True Clear",
        );
        check_hints(
            HintMode::Block,
            known(Some(Verdict::WillFail)),
            "HintsClear=False Findings",
        );
        check_hints(
            HintMode::Warn,
            known(Some(Verdict::WillFail)),
            "HintsClear=False Findings",
        );
        check_hints(
            HintMode::Block,
            Some(Fact::Known(Judgement::not_analysed(at("00:00:00")))),
            "HintsClear=Unknown NotAnalysed",
        );
        let unread = |verdict| Judgement {
            analysed: false,
            not_judged: vec![NotJudged {
                operation: "line 3: DO ...".to_owned(),
                why: "it may do anything".to_owned(),
                unread: true,
            }],
            ..judgement(verdict)
        };
        check_hints(
            HintMode::Block,
            Some(Fact::Known(unread(None))),
            "HintsClear=Unknown NotAnalysed",
        );
        check_hints(
            HintMode::Block,
            Some(Fact::Known(unread(Some(Verdict::WillFail)))),
            "HintsClear=False Findings",
        );
        check_hints(
            HintMode::Block,
            Some(Fact::Unknown(Why::new("a lock was in the way"))),
            "HintsClear=Unknown FactsUnknown",
        );
    }

    #[test]
    fn findings_are_shown_without_a_time_of_their_own() {
        let (desired, mut facts) = at_v2();
        let judged = Fact::Known(judgement(Some(Verdict::WillFail)));
        facts.hints = Some(Hints {
            migration: name("v3"),
            judged,
        });
        let status = status(&desired, &facts, &rest(), None, "00:00:00");
        let [finding] = status.findings.as_slice() else {
            panic!("one finding")
        };
        assert_eq!(
            finding.evidence,
            "a row of users.email holds NULL; found (a probe)"
        );
        assert_eq!(
            (finding.verdict.as_str(), finding.table.as_str()),
            ("WillFail", "users")
        );
    }

    #[test]
    fn findings_are_bounded_and_those_in_the_way_come_first() {
        let (desired, mut facts) = at_v2();
        let of = |verdict, nth: usize| {
            let mut finding = judgement(Some(verdict)).findings.remove(0);
            finding.rule = format!("rule-{nth}");
            finding
        };
        let mut judged = judgement(None);
        judged.findings = (0..200).map(|nth| of(Verdict::Queues, nth)).collect();
        judged.findings[3].accepted = Some("we know".to_owned());
        judged.findings[150] = of(Verdict::WillFail, 150);
        judged.findings[160] = of(Verdict::Blocks, 160);
        facts.hints = Some(Hints {
            migration: name("v3"),
            judged: Fact::Known(judged),
        });
        let shown = status(&desired, &facts, &rest(), None, "00:00:00").findings;
        assert_eq!(shown.len(), LIST_ITEMS_MAX as usize);
        let first: Vec<&str> = shown[..6].iter().map(|one| one.rule.as_str()).collect();
        let expect = [
            "rule-150", "rule-160", "rule-0", "rule-1", "rule-2", "rule-4",
        ];
        assert_eq!(first, expect);
        let again = status(&desired, &facts, &rest(), None, "00:00:01").findings;
        assert_eq!(shown, again, "the order is the same each time");
    }

    #[test]
    fn a_refused_spec_is_stalled_and_keeps_what_was_seen() {
        let (desired, facts) = at_v2();
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        let refusal = crate::Refusal {
            object: crate::Subject {
                kind: "ManagedDatabase".to_owned(),
                namespace: "shop".to_owned(),
                name: "shop".to_owned(),
            },
            field: "spec.x".to_owned(),
            problem: "is wrong".to_owned(),
            way_out: "mend it".to_owned(),
        };
        let refused = refused_status(&refusal.into(), Some(4), at("00:01:00"), Some(&first));
        assert_eq!(
            shown(&refused),
            [
                "Ready=False InvalidSpec",
                "Reconciling=False InvalidSpec",
                "Stalled=True InvalidSpec",
                "DatabaseReachable=True Connected",
                "HintsClear=Unknown Off",
                "Healthy=Unknown NotLookedAt",
            ]
        );
        assert_eq!(refused.current_version.as_deref(), Some("v2"));
    }

    #[test]
    fn a_migration_names_the_databases_of_its_chain() {
        let (desired, _) = at_v2();
        let migration = desired.chain.get(&name("v1")).unwrap();
        let status = database_migration_status(migration, &desired.chain, [&desired.database]);
        assert_eq!(status.used_by, ["shop"]);
        assert_eq!(status.digest.as_deref(), Some("d1"));
        let other = Desired {
            chain: Default::default(),
            ..desired.clone()
        };
        let status = database_migration_status(migration, &other.chain, [&desired.database]);
        assert!(status.used_by.is_empty());
    }
}
