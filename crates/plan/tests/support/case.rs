//! A situation for `decide`, built word by word from the example: `case(3).at("v2").cred("v1").session("v1")`.
//!
//! It builds facts and nothing else: what must be decided stands in the tables that use it.

use dbop_credentials::names;
use dbop_model::finding::{Finding, HintMode, Judgement, Verdict};
use dbop_model::{
    Chain, Claim, ClaimOwner, DatabaseFacts, DeletionPolicy, Digest, Fact, ForeignObject, JobFacts,
    JobName, JobPhase, LockHolder, LoginFacts, LoginName, LoginTurn, Migration, MigrationName,
    MigratorFacts, MissingPrivilege, ObjectRef, ObservedVersion, Orphaned, Outcome, Proof,
    RunRecord, SchemaVersion, Session, ToolLock, Why,
};
use dbop_plan::{
    Decision, Declared, Desired, Facts, Hints, Quiet, Reference, SecretFacts, decide, example,
};
use jiff::{SignedDuration, Timestamp};

/// When everything here happens.
pub(crate) const NOW: &str = "2026-01-01T00:00:00Z";

/// Since when the Secrets name their logins: a day before that.
pub(crate) fn issued() -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() - SignedDuration::from_hours(24)
}

/// A situation.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) desired: Desired,
    pub(crate) facts: Facts,
    pub(crate) now: Timestamp,
}

/// A claimed, empty database of which `v<count>` of the chain `v1 <- v2 <- ...` is desired.
pub(crate) fn case(count: usize) -> Case {
    let mut facts = example::facts().unwrap();
    if let Fact::Known(database) = &mut facts.database {
        database.roles_ready = true;
        database.migrator = Some(MigratorFacts {
            name: LoginName::new("shop_9f31c0de_migrator").unwrap(),
            open: false,
            sessions: Fact::Known(Vec::new()),
        });
    }
    Case {
        desired: example::desired(count).unwrap(),
        facts,
        now: NOW.parse().unwrap(),
    }
}

/// At rest at `v<count>`, and `v<desired>` is desired.
pub(crate) fn rest(count: usize, desired: usize) -> Case {
    let (before, here) = (format!("v{}", count - 1), format!("v{count}"));
    case(desired).at(&here).cred(&before).cred(&here)
}

pub(crate) fn name(text: &str) -> MigrationName {
    MigrationName::new(text).unwrap()
}

fn from_name(text: &str) -> Option<MigrationName> {
    (text != "empty").then(|| name(text))
}

/// A session with a readable address.
pub(crate) fn session(pid: i64, user: &str) -> Session {
    Session {
        pid,
        user: LoginName::new(user).unwrap(),
        address: Some("10.1.4.7".to_owned()),
        application: None,
        age: None,
        replica: None,
    }
}

fn nobody_says() -> Why {
    Why::new("the server did not answer")
}

impl Case {
    pub(crate) fn decide(&self) -> Decision {
        decide(&self.desired, &self.facts, self.now)
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Case)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn database(self, change: impl FnOnce(&mut DatabaseFacts)) -> Self {
        self.with(|case| match &mut case.facts.database {
            Fact::Known(database) => change(database),
            Fact::Unknown(_) => panic!("the database is unreachable"),
        })
    }

    fn login_of(self, migration: &str, change: impl FnOnce(&mut LoginFacts)) -> Self {
        self.database(|d| change(d.logins.get_mut(&name(migration)).unwrap()))
    }

    // The chain.

    pub(crate) fn migration(self, which: &str, change: impl FnOnce(&mut Migration)) -> Self {
        self.with(|case| {
            let mut all: Vec<Migration> = case.desired.chain.iter().cloned().collect();
            change(all.iter_mut().find(|m| m.name == name(which)).unwrap());
            case.desired.chain = Chain::new(all);
        })
    }

    pub(crate) fn desired(self, which: &str) -> Self {
        self.with(|case| case.desired.database.desired = name(which))
    }

    pub(crate) fn branch(self, which: &str, previous: &str) -> Self {
        self.with(|case| {
            let mut all: Vec<Migration> = case.desired.chain.iter().cloned().collect();
            all.push(Migration {
                name: name(which),
                version: SchemaVersion::new(which).unwrap(),
                previous: Some(name(previous)),
                ..all[0].clone()
            });
            case.desired.chain = Chain::new(all);
        })
    }

    pub(crate) fn pruned(self, which: &str) -> Self {
        self.with(|case| {
            let all = case.desired.chain.iter().cloned();
            case.desired.chain = Chain::new(all.filter(|m| m.name != name(which)));
        })
    }

    pub(crate) fn compatible(self, which: &str, from: &str) -> Self {
        self.migration(which, |m| m.compatible_from = Some(name(from)))
    }

    pub(crate) fn takes_empty(self, which: &str) -> Self {
        self.migration(which, |m| m.from_empty = true)
    }

    pub(crate) fn edited(self, which: &str) -> Self {
        self.migration(which, |m| m.digest = Digest::new("edited").unwrap())
    }

    // The object.

    pub(crate) fn paused(self) -> Self {
        self.with(|case| case.desired.database.paused = true)
    }

    pub(crate) fn read_only(self) -> Self {
        self.with(|case| case.desired.database.read_only = true)
    }

    pub(crate) fn deleting(self) -> Self {
        self.with(|case| case.facts.object.deleting = true)
    }

    pub(crate) fn revoke(self) -> Self {
        self.deleting()
            .with(|case| case.desired.database.deletion = DeletionPolicy::Revoke)
    }

    pub(crate) fn orphans_go(self) -> Self {
        self.with(|case| case.desired.database.credentials.orphaned = Orphaned::RevokeWhenUnused)
    }

    /// A last run that ended with exit status 1 or 0, as its outcome says.
    pub(crate) fn ran(self, from: &str, to: &str, outcome: Outcome) -> Self {
        self.with(|case| {
            let job = case.job_name(from, to);
            case.facts.object.last_run = Some(RunRecord {
                job,
                from: from_name(from),
                migration: name(to),
                digest: case.digest(to),
                outcome,
                started_at: case.now - SignedDuration::from_secs(60),
                finished_at: case.now - SignedDuration::from_secs(30),
                exit_code: Some(i32::from(outcome == Outcome::Failed)),
                message: String::new(),
            });
        })
    }

    pub(crate) fn retry(self) -> Self {
        self.with(|case| {
            let run = case.facts.object.last_run.as_ref().unwrap();
            case.facts.object.retry = Some(run.job.clone());
        })
    }

    pub(crate) fn accept_run(self) -> Self {
        self.with(|case| {
            let run = case.facts.object.last_run.as_ref().unwrap();
            case.facts.object.accept_run = Some(run.job.clone());
        })
    }

    // Jobs.

    fn job_name(&self, from: &str, to: &str) -> JobName {
        let before = self.facts.object.last_run.as_ref().map(|run| &run.job);
        let id = &self.desired.database.id;
        names::job(id, from_name(from).as_ref(), &name(to), before)
    }

    fn digest(&self, of: &str) -> Digest {
        self.desired.chain.get(&name(of)).unwrap().digest.clone()
    }

    /// A Job of the run that comes after the last one.
    pub(crate) fn job(self, from: &str, to: &str, phase: JobPhase) -> Self {
        self.with(|case| {
            let job = JobFacts {
                name: case.job_name(from, to),
                from: from_name(from),
                to: name(to),
                digest: case.digest(to),
                created_at: case.now,
                finalizer: phase != JobPhase::Suspended,
                phase,
            };
            match &mut case.facts.jobs {
                Fact::Known(jobs) => jobs.push(job),
                Fact::Unknown(_) => panic!("the Jobs are not known"),
            }
        })
    }

    pub(crate) fn suspended(self, from: &str, to: &str) -> Self {
        self.job(from, to, JobPhase::Suspended)
    }

    pub(crate) fn pending(self, from: &str, to: &str) -> Self {
        let reason = Some("ImagePullBackOff".to_owned());
        self.job(from, to, JobPhase::Pending { reason })
    }

    pub(crate) fn running(self, from: &str, to: &str) -> Self {
        self.job(from, to, JobPhase::Running)
    }

    pub(crate) fn finished(self, from: &str, to: &str, succeeded: bool) -> Self {
        let finished_at = self.now;
        let phase = JobPhase::Finished {
            succeeded,
            exit_code: Some(i32::from(!succeeded)),
            finished_at,
            message: String::new(),
        };
        self.job(from, to, phase)
    }

    /// The last Job is that of `lastRun`.
    pub(crate) fn job_is_recorded(self) -> Self {
        self.with(|case| {
            let recorded = case.facts.object.last_run.as_ref().unwrap().job.clone();
            if let Fact::Known(jobs) = &mut case.facts.jobs {
                jobs.last_mut().unwrap().name = recorded;
            }
        })
    }

    pub(crate) fn jobs_unknown(self) -> Self {
        self.with(|case| case.facts.jobs = Fact::Unknown(nobody_says()))
    }

    // The database.

    pub(crate) fn at(self, version: &str) -> Self {
        self.version(ObservedVersion::At(SchemaVersion::new(version).unwrap()))
            .tables()
    }

    pub(crate) fn version(self, version: ObservedVersion) -> Self {
        self.database(|d| d.version = Fact::Known(version))
    }

    pub(crate) fn version_unknown(self) -> Self {
        self.database(|d| d.version = Fact::Unknown(nobody_says()))
    }

    pub(crate) fn tables(self) -> Self {
        self.database(|d| d.has_tables = true)
    }

    pub(crate) fn unreachable(self) -> Self {
        self.with(|case| {
            let why = Why::new("cannot connect to db.shop:5432: connection refused");
            case.facts.database = Fact::Unknown(why);
        })
    }

    pub(crate) fn unclaimed(self) -> Self {
        self.database(|d| {
            d.claim = Claim::None;
            d.roles_ready = false;
            d.migrator = None;
            d.logins.clear();
        })
    }

    pub(crate) fn elsewhere(self) -> Self {
        self.database(|d| {
            d.claim = Claim::Elsewhere {
                id: d.claim.ours().unwrap().clone(),
                owner: ClaimOwner {
                    cluster: "blue".to_owned(),
                    object: ObjectRef::new("old", "shop").unwrap(),
                },
            };
        })
    }

    pub(crate) fn take_over(self) -> Self {
        self.with(|case| case.facts.object.take_over = true)
    }

    pub(crate) fn missing(self, needed_for: &str, grant: &str) -> Self {
        self.database(|d| {
            d.missing.push(MissingPrivilege {
                needed_for: needed_for.to_owned(),
                grant: grant.to_owned(),
            });
        })
    }

    pub(crate) fn foreign(self, kind: &str, name: &str) -> Self {
        self.with(|case| {
            case.facts.foreign.push(ForeignObject {
                kind: kind.to_owned(),
                name: name.to_owned(),
            });
        })
    }

    pub(crate) fn door_open(self) -> Self {
        self.database(|d| d.migrator.as_mut().unwrap().open = true)
    }

    pub(crate) fn migrator_session(self) -> Self {
        let connected = vec![session(99, "shop_9f31c0de_migrator")];
        self.database(|d| d.migrator.as_mut().unwrap().sessions = Fact::Known(connected))
    }

    pub(crate) fn migrator_unknown(self) -> Self {
        self.database(|d| d.migrator.as_mut().unwrap().sessions = Fact::Unknown(nobody_says()))
    }

    /// The tool's lock in a row, taken by `by`.
    pub(crate) fn lock_row(self, by: &str) -> Self {
        self.lock(ToolLock {
            tool: "Liquibase",
            lock: "row of public.databasechangeloglock".to_owned(),
            holder: LockHolder::Row {
                by: Some(by.to_owned()),
                since: Some("2025-12-31 23:00:00".to_owned()),
            },
            frees: "UPDATE it;".to_owned(),
        })
    }

    /// The tool's lock that a session holds.
    pub(crate) fn lock_session(self, pid: i64, user: &str) -> Self {
        self.lock(ToolLock {
            tool: "Flyway",
            lock: "advisory lock 7".to_owned(),
            holder: LockHolder::Session(session(pid, user)),
            frees: format!("SELECT pg_catalog.pg_terminate_backend({pid});"),
        })
    }

    fn lock(self, lock: ToolLock) -> Self {
        self.database(|d| d.locks = Fact::Known(vec![lock]))
    }

    pub(crate) fn locks_unknown(self) -> Self {
        self.database(|d| d.locks = Fact::Unknown(nobody_says()))
    }

    // Credentials.

    /// A credential in good order, unused.
    pub(crate) fn cred(self, migration: &str) -> Self {
        self.login(migration).secret(migration).with(|case| {
            case.facts.proofs.insert(name(migration), Proof::Works);
        })
    }

    pub(crate) fn login(self, migration: &str) -> Self {
        let login = LoginFacts {
            name: LoginName::new(format!("shop_{migration}_9f31c0de")).unwrap(),
            turn: LoginTurn::First,
            locked: false,
            granted: true,
            sessions: Fact::Known(Vec::new()),
        };
        self.database(|d| {
            d.logins.insert(name(migration), login);
        })
    }

    pub(crate) fn secret(self, migration: &str) -> Self {
        self.with(|case| match &mut case.facts.secrets {
            Fact::Known(secrets) => {
                let (intact, issued_at) = (true, Some(issued()));
                secrets.insert(name(migration), SecretFacts { intact, issued_at });
            }
            Fact::Unknown(_) => panic!("the Secrets are not known"),
        })
    }

    pub(crate) fn no_secret(self, migration: &str) -> Self {
        self.with(|case| {
            if let Fact::Known(secrets) = &mut case.facts.secrets {
                secrets.remove(&name(migration));
            }
            case.facts.proofs.remove(&name(migration));
        })
    }

    pub(crate) fn no_login(self, migration: &str) -> Self {
        self.database(|d| {
            d.logins.remove(&name(migration));
        })
    }

    pub(crate) fn altered(self, migration: &str) -> Self {
        self.with(|case| {
            if let Fact::Known(secrets) = &mut case.facts.secrets {
                let (intact, issued_at) = (false, Some(issued()));
                secrets.insert(name(migration), SecretFacts { intact, issued_at });
            }
        })
    }

    pub(crate) fn proof(self, migration: &str, proof: Proof) -> Self {
        self.with(|case| {
            case.facts.proofs.insert(name(migration), proof);
        })
    }

    pub(crate) fn ungranted(self, migration: &str) -> Self {
        self.login_of(migration, |login| login.granted = false)
    }

    pub(crate) fn locked(self, migration: &str) -> Self {
        self.login_of(migration, |login| login.locked = true)
    }

    pub(crate) fn session(self, migration: &str) -> Self {
        self.login_of(migration, |login| {
            let connected = vec![session(4711, login.name.as_str())];
            login.sessions = Fact::Known(connected);
        })
    }

    pub(crate) fn sessions(self, migration: &str, pids: std::ops::Range<i64>) -> Self {
        self.login_of(migration, |login| {
            let user = login.name.to_string();
            login.sessions = Fact::Known(pids.map(|pid| session(pid, &user)).collect());
        })
    }

    pub(crate) fn sessions_unknown(self, migration: &str) -> Self {
        self.login_of(migration, |login| {
            login.sessions = Fact::Unknown(nobody_says());
        })
    }

    pub(crate) fn reference(self, migration: &str) -> Self {
        self.with(|case| match &mut case.facts.references {
            Fact::Known(references) => {
                references
                    .entry(name(migration))
                    .or_default()
                    .push(Reference {
                        kind: "Deployment".to_owned(),
                        name: "api".to_owned(),
                        how: "container api, env DATABASE_URL".to_owned(),
                        made_at: None,
                    });
            }
            Fact::Unknown(_) => panic!("the references are not known"),
        })
    }

    /// A running workload says that its code is for this migration's schema.
    pub(crate) fn declared(self, migration: &str) -> Self {
        self.with(|case| match &mut case.facts.declared {
            Fact::Known(declared) => declared.push(Declared {
                kind: "Deployment".to_owned(),
                name: "api".to_owned(),
                migration: migration.to_owned(),
            }),
            Fact::Unknown(_) => panic!("the workloads are not known"),
        })
    }

    pub(crate) fn declared_unknown(self) -> Self {
        self.with(|case| case.facts.declared = Fact::Unknown(nobody_says()))
    }

    pub(crate) fn references_unknown(self) -> Self {
        self.with(|case| case.facts.references = Fact::Unknown(nobody_says()))
    }

    pub(crate) fn secrets_unknown(self) -> Self {
        self.with(|case| case.facts.secrets = Fact::Unknown(nobody_says()))
    }

    /// Watched without a use for so long.
    pub(crate) fn quiet(self, migration: &str, seconds: i64) -> Self {
        self.with(|case| {
            let since = case.now - SignedDuration::from_secs(seconds);
            case.facts.quiet.insert(name(migration), Quiet { since });
        })
    }

    // Hints and slots.

    /// What is said of a migration, in mode Block.
    pub(crate) fn judged(self, migration: &str, analysed: bool, verdicts: &[Verdict]) -> Self {
        let findings = verdicts.iter().map(|verdict| finding(*verdict)).collect();
        self.hints(
            migration,
            Fact::Known(Judgement {
                analysed,
                predicted: Vec::new(),
                findings,
                not_judged: Vec::new(),
                not_tried: Vec::new(),
                taken_at: NOW.parse().unwrap(),
            }),
        )
    }

    pub(crate) fn hints(self, migration: &str, judged: Fact<Judgement>) -> Self {
        let migration = name(migration);
        self.hint_mode(HintMode::Block)
            .with(|case| case.facts.hints = Some(Hints { migration, judged }))
    }

    pub(crate) fn hint_mode(self, mode: HintMode) -> Self {
        self.with(|case| case.desired.database.hints.mode = mode)
    }

    pub(crate) fn hints_required(self) -> Self {
        self.with(|case| case.desired.database.hints.require_hints = true)
    }

    pub(crate) fn slots(self, taken: usize, limit: usize) -> Self {
        self.with(|case| {
            case.facts.slots.taken = taken;
            case.facts.slots.limit = Some(limit);
        })
    }
}

fn finding(verdict: Verdict) -> Finding {
    Finding {
        rule: "not-null-over-nulls".to_owned(),
        verdict,
        operation: "alterColumn users.email NOT NULL".to_owned(),
        table: "users".parse().unwrap(),
        claim: "NOT NULL on users.email: a row holds NULL".to_owned(),
        evidence: Vec::new(),
        effect: None,
        advice: Vec::new(),
        accepted: None,
    }
}

/// The line that a person reads, with the hash in Jobs' names left out.
pub(crate) fn shown(decision: &Decision) -> String {
    let text = decision.to_string();
    let digits = |text: &str| {
        text.len() >= 16
            && text.bytes().take(16).all(|b| b.is_ascii_hexdigit())
            && !text.as_bytes().get(16).is_some_and(u8::is_ascii_hexdigit)
    };
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if out.ends_with('-') && digits(rest) {
            out.push('#');
            rest = &rest[16..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// What `apply` makes of the facts, for rows that go one step on.
pub(crate) fn after_step(case: &Case) -> Case {
    let Decision::Act { action, .. } = case.decide() else {
        panic!("no action: {}", case.decide());
    };
    let mut next = case.clone();
    dbop_plan::forecast::apply(&case.desired, &mut next.facts, &action, case.now);
    next
}
