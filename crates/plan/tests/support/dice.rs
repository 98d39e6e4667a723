//! Any situation at all, thrown from bytes: broken chains, unknown facts, combinations that no world has.
//!
//! A byte of 0 always gives the plainest choice, so that a failing throw shrinks towards an ordinary one.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_credentials::names;
use dbop_model::finding::{Finding, HintMode, Judgement, Verdict};
use dbop_model::{
    Chain, Claim, ClaimId, ClaimOwner, DeletionPolicy, Digest, Fact, ForeignObject, JobFacts,
    JobName, JobPhase, LoginFacts, LoginName, LoginTurn, Migration, MigrationName, MigratorFacts,
    MissingPrivilege, ObjectRef, ObservedVersion, Orphaned, Outcome, Proof, RunRecord,
    SchemaVersion, Session, Why,
};
use dbop_plan::{
    Declared, Desired, Facts, Hints, ObjectFacts, Quiet, Reference, RotationAsked, SecretFacts,
    Slots, example,
};
use jiff::{SignedDuration, Timestamp};

/// Migrations of a throw at most.
const MIGRATIONS_MAX: usize = 5;

/// A source of choices.
pub(crate) struct Dice<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// How odd this throw is, in quarters: what is out of order in every respect only shows the planner's
    /// first lines.
    wild: usize,
}

impl<'a> Dice<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut dice = Dice {
            bytes: bytes.iter(),
            wild: 0,
        };
        dice.wild = dice.one(&[0, 1, 1, 1, 4]);
        dice
    }

    /// One of `0..sides`; 0 once the bytes are used up.
    fn of(&mut self, sides: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) * sides / 256
    }

    /// True in `in_16` of sixteen throws.
    fn chance(&mut self, in_16: usize) -> bool {
        self.of(16) + in_16 >= 16
    }

    /// Is something out of order, in at most `in_16` of sixteen throws?
    fn odd(&mut self, in_16: usize) -> bool {
        self.of(64) + in_16 * self.wild >= 64
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.of(of.len())].clone()
    }

    fn maybe<T>(&mut self, in_16: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(in_16).then(|| make(self))
    }

    fn fact<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Fact<T> {
        match self.odd(1) {
            true => Fact::Unknown(Why::new("nobody said")),
            false => Fact::Known(make(self)),
        }
    }
}

/// What is wanted, what was seen, and when.
pub(crate) fn thrown(bytes: &[u8]) -> (Desired, Facts, Timestamp) {
    let mut dice = Dice::new(bytes);
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
    let desired = desired(&mut dice);
    let mut facts = facts(&mut dice, &desired, now);
    facts.jobs = jobs(&mut dice, &desired, &facts, now);
    let next = dbop_plan::forecast::next(&desired, &facts, now);
    facts.hints = hints(&mut dice, next, now);
    (desired, facts, now)
}

fn v(number: usize) -> MigrationName {
    MigrationName::new(format!("v{number}")).unwrap()
}

/// A migration of the chain, or now and then one that does not exist.
fn some_migration(dice: &mut Dice<'_>) -> MigrationName {
    match dice.odd(1) {
        true => MigrationName::new("gone").unwrap(),
        false => v(1 + dice.of(MIGRATIONS_MAX)),
    }
}

fn digest(dice: &mut Dice<'_>) -> Digest {
    Digest::new(if dice.chance(2) { "edited" } else { "first" }).unwrap()
}

fn desired(dice: &mut Dice<'_>) -> Desired {
    let mut desired = example::desired(MIGRATIONS_MAX).unwrap();
    let count = 1 + dice.of(MIGRATIONS_MAX);
    desired.chain = Chain::new((1..=count).map(|number| {
        Migration {
            name: v(number),
            version: SchemaVersion::new(match dice.chance(1) {
                true => format!("v{}", 1 + dice.of(MIGRATIONS_MAX)),
                false => format!("v{number}"),
            })
            .unwrap(),
            previous: match dice.odd(3) {
                true => dice.maybe(12, some_migration),
                false => (number > 1).then(|| v(number - 1)),
            },
            compatible_from: dice.maybe(2, some_migration),
            from_empty: dice.chance(3),
            digest: digest(dice),
            hints: None,
            sql: None,
            accept: Vec::new(),
        }
    }));
    let database = &mut desired.database;
    database.desired = match dice.chance(8) {
        true => some_migration(dice),
        false => v(count),
    };
    database.paused = dice.odd(2);
    database.read_only = dice.odd(1);
    database.deletion = match dice.chance(8) {
        true => DeletionPolicy::Revoke,
        false => DeletionPolicy::Retain,
    };
    let credentials = &mut database.credentials;
    if dice.chance(4) {
        credentials.orphaned = Orphaned::RevokeWhenUnused;
    }
    if dice.chance(3) {
        credentials.quiet_window = dice.one(&[Duration::ZERO, Duration::MAX]);
    }
    database.hints.mode = dice.one(&[
        HintMode::Off,
        HintMode::Off,
        HintMode::Block,
        HintMode::Warn,
    ]);
    database.hints.require_hints = dice.chance(4);
    desired
}

fn record(dice: &mut Dice<'_>, now: Timestamp) -> RunRecord {
    RunRecord {
        job: JobName::new("last-run").unwrap(),
        from: dice.maybe(12, some_migration),
        migration: some_migration(dice),
        digest: digest(dice),
        outcome: dice.one(&[
            Outcome::Completed,
            Outcome::Failed,
            Outcome::VersionNotReached,
            Outcome::Accepted,
        ]),
        started_at: now - SignedDuration::from_secs(60),
        finished_at: now - SignedDuration::from_secs(30),
        exit_code: dice.maybe(8, |_| 1),
        message: String::new(),
    }
}

fn facts(dice: &mut Dice<'_>, desired: &Desired, now: Timestamp) -> Facts {
    let mut facts = example::facts().unwrap();
    let last_run = dice.maybe(10, |dice| record(dice, now));
    let said = |dice: &mut Dice<'_>| {
        dice.maybe(5, |dice| match dice.chance(4) {
            true => JobName::new("another-run").unwrap(),
            false => JobName::new("last-run").unwrap(),
        })
    };
    facts.object = ObjectFacts {
        deleting: dice.odd(4),
        retry: said(dice),
        accept_run: said(dice),
        take_over: dice.chance(4),
        rotate: Vec::new(),
        last_run,
    };
    let some: Vec<MigrationName> = (1..=MIGRATIONS_MAX).map(v).collect();
    let by = |dice: &mut Dice<'_>, in_16| -> Vec<MigrationName> {
        let chosen = some.iter().filter(|_| dice.chance(in_16)).cloned();
        chosen.collect()
    };
    facts.secrets = dice.fact(|dice| {
        let each = by(dice, 8);
        let intact = |dice: &mut Dice<'_>| SecretFacts {
            intact: !dice.odd(2),
            issued_at: Some(now - SignedDuration::from_hours(1)),
        };
        each.into_iter().map(|m| (m, intact(dice))).collect()
    });
    facts.references = dice.fact(|dice| {
        let reference = Reference {
            kind: "Deployment".to_owned(),
            name: "api".to_owned(),
            how: "env".to_owned(),
            made_at: None,
        };
        let each = by(dice, 2);
        each.into_iter()
            .map(|m| (m, vec![reference.clone()]))
            .collect()
    });
    facts.declared = dice.fact(|dice| {
        let declared = Declared {
            kind: "Deployment".to_owned(),
            name: "api".to_owned(),
            migration: some_migration(dice).to_string(),
        };
        vec![declared; usize::from(dice.odd(2))]
    });
    if dice.odd(1) {
        facts.foreign.push(ForeignObject {
            kind: "Secret".to_owned(),
            name: names::secret(&desired.database.id, &some_migration(dice)).to_string(),
        });
    }
    facts.proofs = proofs(dice, &some);
    facts.quiet = by(dice, 8)
        .into_iter()
        .map(|m| {
            let ago = dice.one(&[60, 59, 3600, -60]);
            let since = now - SignedDuration::from_secs(ago);
            (m, Quiet { since })
        })
        .collect();
    facts.slots = Slots {
        taken: dice.of(3),
        limit: dice.maybe(4, |dice| 1 + dice.of(2)),
    };
    database(dice, &mut facts);
    // Last, so that the bytes of throws from before there were rotations mean the same.
    rotations(dice, &mut facts, now);
    facts
}

/// Logins that were replaced, Pods from before and after that, and what a person wants rotated.
fn rotations(dice: &mut Dice<'_>, facts: &mut Facts, now: Timestamp) {
    if !dice.chance(7) {
        return;
    }
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    for number in 1..=MIGRATIONS_MAX {
        let (is_asked, pod) = (dice.chance(2), dice.chance(4));
        if is_asked {
            facts.object.rotate.push(RotationAsked {
                migration: dice.maybe(8, |_| v(number)),
                until: ago(dice.one(&[1, 90, -5])),
            });
        }
        if let (true, Fact::Known(references)) = (pod, &mut facts.references) {
            references.entry(v(number)).or_default().push(Reference {
                kind: "Pod".to_owned(),
                name: "api-1".to_owned(),
                how: "env".to_owned(),
                made_at: dice.maybe(12, |dice| ago(dice.one(&[1, 90]))),
            });
        }
        if let (true, Fact::Known(secrets)) = (dice.odd(2), &mut facts.secrets)
            && let Some(secret) = secrets.get_mut(&v(number))
        {
            secret.issued_at = None;
        }
        let Fact::Known(database) = &mut facts.database else {
            continue;
        };
        if dice.chance(8) && database.claim != Claim::None {
            let name = LoginName::new(format!("shop_v{number}_c1_2")).unwrap();
            let login = LoginFacts {
                turn: LoginTurn::Second,
                locked: dice.odd(3),
                granted: !dice.odd(2),
                sessions: sessions(dice, &name),
                name,
            };
            database.replaced.insert(v(number), login);
            if dice.chance(10) {
                let since = ago(dice.one(&[1, 2, 60, 0, -1]));
                facts.quiet_replaced.insert(v(number), Quiet { since });
            }
        }
    }
}

fn proofs(dice: &mut Dice<'_>, of: &[MigrationName]) -> BTreeMap<MigrationName, Proof> {
    let mut proofs = BTreeMap::new();
    for migration in of {
        let proof = match dice.odd(3) {
            false => Some(Proof::Works),
            true => dice.one(&[
                Some(Proof::Refused),
                Some(Proof::Unknown(Why::new("nobody answered"))),
                None,
            ]),
        };
        proofs.extend(proof.map(|proof| (migration.clone(), proof)));
    }
    proofs
}

fn sessions(dice: &mut Dice<'_>, user: &LoginName) -> Fact<Vec<Session>> {
    let session = Session {
        pid: 4711,
        user: user.clone(),
        address: None,
        application: None,
        age: None,
        replica: None,
    };
    dice.fact(|dice| dice.maybe(2, |_| session).into_iter().collect())
}

fn database(dice: &mut Dice<'_>, facts: &mut Facts) {
    let Fact::Known(database) = &mut facts.database else {
        return;
    };
    let id = ClaimId::new("c1").unwrap();
    database.claim = match (dice.odd(3), dice.chance(8)) {
        (false, _) => Claim::Ours(id),
        (true, false) => Claim::None,
        (true, true) => Claim::Elsewhere {
            id,
            owner: ClaimOwner {
                cluster: "other".to_owned(),
                object: ObjectRef::new("old", "shop").unwrap(),
            },
        },
    };
    let at = |text: String| SchemaVersion::new(text).unwrap();
    database.version = dice.fact(|dice| {
        match if dice.odd(6) {
            12 + dice.of(4)
        } else {
            dice.of(13)
        } {
            0..=11 => ObservedVersion::At(at(format!("v{}", 1 + dice.of(MIGRATIONS_MAX)))),
            12 => ObservedVersion::None,
            15 => ObservedVersion::At(at("stray".to_owned())),
            13 => ObservedVersion::Several(vec![at("a".to_owned()), at("b".to_owned())]),
            14 => ObservedVersion::Dirty {
                version: at("v1".to_owned()),
                detail: "dirty".to_owned(),
            },
            _ => ObservedVersion::None,
        }
    });
    database.has_tables =
        dice.odd(6) || !matches!(&database.version, Fact::Known(ObservedVersion::None));
    database.roles_ready = !dice.odd(2);
    for number in 1..=MIGRATIONS_MAX {
        // A credential is mostly whole.
        let secret = facts
            .secrets
            .known()
            .is_some_and(|s| s.contains_key(&v(number)));
        if secret != dice.odd(3) {
            let name = LoginName::new(format!("shop_v{number}_c1")).unwrap();
            let login = LoginFacts {
                turn: LoginTurn::First,
                locked: dice.odd(3),
                granted: !dice.odd(2),
                sessions: sessions(dice, &name),
                name,
            };
            database.logins.insert(v(number), login);
        }
    }
    // Our logins are told by the claim.
    if database.claim == Claim::None {
        database.logins.clear();
    }
    database.migrator = dice.maybe(13, |dice| {
        let name = LoginName::new("shop_c1_migrator").unwrap();
        MigratorFacts {
            open: dice.odd(3),
            sessions: match dice.odd(4) {
                true => sessions(dice, &name),
                false => Fact::Known(Vec::new()),
            },
            name,
        }
    });
    if dice.odd(1) {
        database.missing.push(MissingPrivilege {
            needed_for: "create logins".to_owned(),
            grant: "ALTER ROLE admin CREATEROLE".to_owned(),
        });
    }
    if dice.odd(1) {
        database.foreign.push(ForeignObject {
            kind: "login".to_owned(),
            name: "shop_v2_c1".to_owned(),
        });
    }
    if dice.odd(1) {
        facts.database = Fact::Unknown(Why::new("connection refused"));
    }
}

fn jobs(
    dice: &mut Dice<'_>,
    desired: &Desired,
    facts: &Facts,
    now: Timestamp,
) -> Fact<Vec<JobFacts>> {
    let before = facts.object.last_run.as_ref().map(|run| &run.job);
    let id = &desired.database.id;
    dice.fact(|dice| {
        let mut jobs: Vec<JobFacts> = Vec::new();
        let count = match dice.odd(6) {
            true => 1 + dice.of(2),
            false => 0,
        };
        for _ in 0..count {
            let (from, to) = (dice.maybe(12, some_migration), some_migration(dice));
            let phase = match dice.of(8) {
                0..=3 => JobPhase::Suspended,
                4 => JobPhase::Pending { reason: None },
                5 => JobPhase::Running,
                _ => JobPhase::Finished {
                    succeeded: dice.chance(8),
                    exit_code: None,
                    finished_at: now,
                    message: String::new(),
                },
            };
            let job = JobFacts {
                name: match dice.of(8) {
                    0..=5 => names::job(id, from.as_ref(), &to, before),
                    6 => JobName::new("last-run").unwrap(),
                    _ => JobName::new("an-old-run").unwrap(),
                },
                from,
                to,
                digest: digest(dice),
                created_at: now - SignedDuration::from_secs(dice.one(&[0, 60, 120])),
                finalizer: !dice.chance(3),
                phase,
            };
            if jobs.iter().all(|other| other.name != job.name) {
                jobs.push(job);
            }
        }
        jobs
    })
}

fn hints(dice: &mut Dice<'_>, next: Option<MigrationName>, now: Timestamp) -> Option<Hints> {
    dice.maybe(14, |dice| Hints {
        // Mostly the one that the planner asks for.
        migration: match (next, dice.odd(3)) {
            (Some(next), false) => next,
            _ => v(1 + dice.of(MIGRATIONS_MAX)),
        },
        judged: dice.fact(|dice| Judgement {
            predicted: Vec::new(),
            analysed: !dice.chance(4),
            findings: dice
                .maybe(4, |dice| {
                    dice.one(&[Verdict::Clean, Verdict::WillFail, Verdict::Queues])
                })
                .map(finding)
                .into_iter()
                .collect(),
            not_judged: Vec::new(),
            not_tried: Vec::new(),
            taken_at: now,
        }),
    })
}

fn finding(verdict: Verdict) -> Finding {
    Finding {
        rule: "rule".to_owned(),
        verdict,
        operation: "operation".to_owned(),
        table: "users".parse().unwrap(),
        claim: "claim".to_owned(),
        evidence: Vec::new(),
        effect: None,
        advice: Vec::new(),
        accepted: None,
    }
}
