//! What the planner sees of a world: its `Desired` and its `Facts`.
//!
//! The planner's own types are built anew for each state; only `Desired`, which few states differ in, is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dbop_credentials::names;
use dbop_model::finding::{Finding as Found, HintMode, Judgement, Verdict};
use dbop_model::{
    Chain, Claim as SeenClaim, ClaimId, ClaimOwner, DatabaseFacts, Digest, Fact, JobFacts, JobName,
    JobPhase, LoginFacts, LoginName, LoginTurn, MigrationName, MigratorFacts, ObservedVersion,
    Outcome, Proof, RunRecord, SchemaVersion, Session, Why,
};
use dbop_plan::{
    Action, Decision, DeletionStep, Desired, Facts, Hints, ObjectFacts, Quiet, Reference,
    SecretFacts, Slots, Undo, decide, example, forecast,
};
use jiff::{SignedDuration, Timestamp};

use super::scenario::Scenario;
use super::world::{Claim, Finding, Job, M, Phase, Run, Version, Work, World};

/// The quiet window of `example`, which a watched login has behind it.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// The pid that sessions have: who it is does not matter here.
const PID: i64 = 4711;

/// What `Desired` depends on in a world: desired version, edits, `paused`, `readOnly`.
type WantedBy = (M, u8, bool, bool);

/// Reads worlds of one scenario as the planner would see them.
pub struct Lens {
    scenario: Scenario,
    /// When everything happens.
    pub now: Timestamp,
    names: Vec<MigrationName>,
    last_run: JobName,
    desired: RefCell<BTreeMap<WantedBy, Rc<Desired>>>,
}

impl Lens {
    /// For the worlds of this scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let made = example::desired(scenario.previous.len()).and_then(|_| {
            let names: Result<Vec<_>, _> = (1..=scenario.previous.len())
                .map(|i| MigrationName::new(format!("v{i}")))
                .collect();
            Ok((names?, JobName::new("last-run")?))
        });
        let (names, last_run) = made.expect("the names of the model are well formed");
        Lens {
            scenario: scenario.clone(),
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
            names,
            last_run,
            desired: RefCell::default(),
        }
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The name of a migration.
    pub fn name(&self, m: M) -> &MigrationName {
        &self.names[usize::from(m)]
    }

    /// The migration of that name.
    pub fn migration(&self, name: &MigrationName) -> M {
        let place = self.names.iter().position(|n| n == name);
        place
            .and_then(|i| M::try_from(i).ok())
            .expect("the planner names only migrations of the model")
    }

    /// What the planner decides in this world.
    pub fn decide(&self, world: &World) -> Decision {
        let desired = self.desired(world);
        let facts = self.facts(world, &desired);
        decide(&desired, &facts, self.now)
    }

    /// What is wanted.
    pub fn desired(&self, world: &World) -> Rc<Desired> {
        let key = (world.desired, world.edited, world.paused, world.read_only);
        let mut kept = self.desired.borrow_mut();
        let made = kept
            .entry(key)
            .or_insert_with(|| Rc::new(self.make_desired(world)));
        made.clone()
    }

    fn make_desired(&self, world: &World) -> Desired {
        let scenario = &self.scenario;
        let mut desired =
            example::desired(self.names.len()).expect("the names of the example are well formed");
        desired.chain = Chain::new((0..).zip(desired.chain.iter().cloned()).map(
            |(i, mut migration): (M, _)| {
                let at = usize::from(i);
                migration.previous = scenario.previous[at].map(|m| self.name(m).clone());
                migration.compatible_from =
                    scenario.compatible_from[at].map(|m| self.name(m).clone());
                migration.from_empty = scenario.from_empty == Some(i);
                migration.digest = digest(world.is_edited(i));
                migration
            },
        ));
        desired.database.desired = self.name(world.desired).clone();
        desired.database.paused = world.paused;
        desired.database.read_only = world.read_only;
        desired.database.deletion = scenario.deletion;
        desired.database.credentials.orphaned = scenario.orphaned;
        desired.database.hints.mode = match scenario.hints {
            true => HintMode::Block,
            false => HintMode::Off,
        };
        desired
    }

    /// What is seen.
    pub fn facts(&self, world: &World, desired: &Desired) -> Facts {
        let mut facts = Facts {
            object: ObjectFacts {
                deleting: world.deleting,
                retry: world.retry.then(|| self.last_run.clone()),
                accept_run: world.accept.then(|| self.last_run.clone()),
                take_over: world.take_over,
                rotate: Vec::new(),
                last_run: self.last_run(world),
            },
            jobs: Fact::Known(self.jobs(world, desired)),
            secrets: Fact::Known(self.by_migration(|m| {
                let secret = world.secret(m)?;
                Some(SecretFacts {
                    intact: !secret.altered,
                    issued_at: None,
                })
            })),
            references: match world.veiled {
                true => Fact::Unknown(cannot_see()),
                false => Fact::Known(self.by_migration(|m| self.references(world, m))),
            },
            admin_references: Vec::new(),
            declared: Fact::Known(Vec::new()),
            foreign: Vec::new(),
            database: match world.dark {
                true => Fact::Unknown(Why::new("connection refused")),
                false => Fact::Known(self.database(world)),
            },
            proofs: self.by_migration(|m| self.proof(world, m)),
            quiet: self.by_migration(|m| {
                let since = self.now - WINDOW;
                (world.quiet & 1 << m != 0).then_some(Quiet { since })
            }),
            quiet_replaced: BTreeMap::new(),
            hints: None,
            slots: Slots {
                taken: usize::from(world.no_slot),
                limit: Some(1),
            },
        };
        if self.scenario.hints
            && let Some(migration) = forecast::next(desired, &facts, self.now)
        {
            let judged = Fact::Known(self.judgement(world.finding));
            facts.hints = Some(Hints { migration, judged });
        }
        facts
    }

    fn by_migration<T>(&self, of: impl Fn(M) -> Option<T>) -> BTreeMap<MigrationName, T> {
        (0..)
            .zip(&self.names)
            .filter_map(|(m, name)| Some((name.clone(), of(m)?)))
            .collect()
    }

    fn last_run(&self, world: &World) -> Option<RunRecord> {
        let record = world.last_run?;
        let outcome = Outcome::from(record.outcome);
        Some(RunRecord {
            job: self.last_run.clone(),
            from: record.run.from.map(|m| self.name(m).clone()),
            migration: self.name(record.run.to).clone(),
            digest: digest(record.run.edited),
            outcome,
            started_at: self.now - SignedDuration::from_secs(9),
            finished_at: self.now - SignedDuration::from_secs(8),
            exit_code: None,
            message: String::new(),
        })
    }

    /// The name of a run that is not recorded yet: it comes after the last one.
    fn job_name(&self, world: &World, desired: &Desired, run: Run) -> JobName {
        let from = run.from.map(|m| self.name(m));
        let before = world.last_run.map(|_| &self.last_run);
        names::job(&desired.database.id, from, self.name(run.to), before)
    }

    fn jobs(&self, world: &World, desired: &Desired) -> Vec<JobFacts> {
        let seen = |job: Job| JobFacts {
            name: match job.recorded {
                true => self.last_run.clone(),
                false => self.job_name(world, desired, job.run),
            },
            from: job.run.from.map(|m| self.name(m).clone()),
            to: self.name(job.run.to).clone(),
            digest: digest(job.run.edited),
            created_at: match job.recorded {
                true => self.now - SignedDuration::from_secs(9),
                false => self.now,
            },
            finalizer: true,
            phase: match job.phase {
                Phase::Suspended => JobPhase::Suspended,
                Phase::Pending => JobPhase::Pending { reason: None },
                Phase::Running => JobPhase::Running,
                Phase::Succeeded | Phase::Failed => JobPhase::Finished {
                    succeeded: job.phase == Phase::Succeeded,
                    exit_code: None,
                    finished_at: self.now,
                    message: String::new(),
                },
            },
        };
        world.jobs.iter().flatten().copied().map(seen).collect()
    }

    fn references(&self, world: &World, m: M) -> Option<Vec<Reference>> {
        let refers =
            |i: usize| !self.scenario.outside[i] && world.applications[i].deployed == Some(m);
        let reference = Reference {
            kind: "Deployment".to_owned(),
            name: "api".to_owned(),
            how: "env".to_owned(),
            made_at: None,
        };
        (0..world.applications.len())
            .any(refers)
            .then(|| vec![reference])
    }

    fn proof(&self, world: &World, m: M) -> Option<Proof> {
        let (login, secret) = (world.login(m)?, world.secret(m)?);
        Some(match login.locked || login.password != secret.password {
            true => Proof::Refused,
            false => Proof::Works,
        })
    }

    fn database(&self, world: &World) -> DatabaseFacts {
        let sessions = |connected: bool, user: &LoginName| match (world.blind, connected) {
            (true, _) => Fact::Unknown(cannot_see()),
            (false, true) => Fact::Known(vec![Session {
                pid: PID,
                user: user.clone(),
                address: None,
                application: None,
                age: None,
                replica: None,
            }]),
            (false, false) => Fact::Known(Vec::new()),
        };
        let mut database = match example::facts().map(|facts| facts.database) {
            Ok(Fact::Known(database)) => database,
            _ => unreachable!("the example's database is known"),
        };
        let user = |role: &str| LoginName::new(role).expect("the name of the model is well formed");
        let claim = || ClaimId::new("c1").expect("the name of the model is well formed");
        database.claim = match world.claim {
            Claim::None => SeenClaim::None,
            Claim::Ours => SeenClaim::Ours(claim()),
            Claim::Elsewhere => SeenClaim::Elsewhere {
                id: claim(),
                owner: ClaimOwner {
                    cluster: "other".to_owned(),
                    object: example::desired(1)
                        .expect("the names of the example are well formed")
                        .database
                        .id,
                },
            },
        };
        let at =
            |text: &str| SchemaVersion::new(text).expect("the version of the model is well formed");
        database.version = Fact::Known(match world.version {
            Version::Empty | Version::Tables => ObservedVersion::None,
            Version::At(m) => ObservedVersion::At(at(self.name(m).as_str())),
            Version::Stray => ObservedVersion::At(at("stray")),
        });
        database.has_tables = world.version != Version::Empty;
        database.roles_ready = world.ready;
        database.logins = self.by_migration(|m| {
            let login = world.login(m)?;
            let name = user(self.name(m).as_str());
            Some(LoginFacts {
                turn: LoginTurn::First,
                locked: login.locked,
                granted: login.granted,
                sessions: sessions(world.has_session(m), &name),
                name,
            })
        });
        database.migrator = world.migrator.map(|migrator| {
            let name = user("migrator");
            MigratorFacts {
                open: migrator.open,
                sessions: sessions(migrator.session, &name),
                name,
            }
        });
        database
    }

    fn judgement(&self, finding: Finding) -> Judgement {
        let found = |verdict| {
            vec![Found {
                rule: "rule".to_owned(),
                verdict,
                operation: "operation".to_owned(),
                table: "t".parse().expect("the table of the model is well formed"),
                claim: "claim".to_owned(),
                evidence: Vec::new(),
                effect: None,
                advice: Vec::new(),
                accepted: None,
            }]
        };
        Judgement {
            analysed: true,
            predicted: Vec::new(),
            findings: match finding {
                Finding::Clean => Vec::new(),
                Finding::Stops => found(Verdict::WillFail),
                Finding::Waits => found(Verdict::Queues),
            },
            not_judged: Vec::new(),
            not_tried: Vec::new(),
            taken_at: self.now,
        }
    }

    /// The action in the model's words.
    pub fn work(&self, world: &World, action: &Action) -> Work {
        let m = |name: &MigrationName| self.migration(name);
        let run = |from: &Option<MigrationName>, to: &MigrationName, of: &Digest| Run {
            from: from.as_ref().map(m),
            to: m(to),
            edited: *of == digest(true),
        };
        let recorded = |record: &RunRecord| super::world::Record {
            run: run(&record.from, &record.migration, &record.digest),
            outcome: record.outcome.into(),
        };
        match action {
            Action::Undo(Undo::Unlock { migration, .. }) => Work::Unlock(m(migration)),
            Action::Undo(Undo::CloseDoor) => Work::CloseDoor,
            Action::Heal { migration } | Action::CreateCredential { migration } => {
                Work::Credential(m(migration))
            }
            Action::DeleteJob { job } => {
                let desired = self.desired(world);
                let named = |j: &Job| &self.job_name(world, &desired, j.run) == job;
                let found = world.job_where(|j| !j.recorded && named(j));
                Work::DeleteJob(found.expect("the planner names a Job that it saw").1.run)
            }
            Action::RecordRun {
                record,
                with_database,
            } => Work::Record {
                record: recorded(record),
                with_database: *with_database,
            },
            Action::ReleaseJob { .. } => Work::ReleaseJob,
            Action::Delete(DeletionStep::Revoke(r)) => Work::Revoke(m(&r.migration)),
            Action::Delete(DeletionStep::Finish { with_database, .. }) => Work::Finish {
                with_database: *with_database,
            },
            Action::TakeOver => Work::TakeOver,
            Action::AcceptRun { .. } => Work::AcceptRun,
            Action::Rotate { .. } | Action::RetireReplaced { .. } => {
                unreachable!("nobody in the model asks for a rotation")
            }
            Action::Retire(r) => Work::Retire(m(&r.migration)),
            Action::StartRun(r) => Work::Start(run(&r.from, &r.to, &r.digest)),
        }
    }
}

fn digest(edited: bool) -> Digest {
    let text = if edited { "edited" } else { "first" };
    Digest::new(text).expect("the digest of the model is well formed")
}

fn cannot_see() -> Why {
    Why::new("the admin may not see it")
}
