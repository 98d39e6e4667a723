//! `decide`: what comes next, as one pure function of what is wanted, what was seen, and the time.
//!
//! The lines stand in the order in which they win. Everything they read is a fact, known or unknown; an
//! unknown fact that a line needs makes it wait, never skip.

use dbop_credentials::generations::{Generation, at_rest};
use dbop_credentials::names;
use dbop_model::{
    Claim, DatabaseFacts, DeletionPolicy, Fact, JobFacts, JobPhase, LoginFacts, MigrationName,
    Outcome, RunRecord, Why,
};
use jiff::{SignedDuration, Timestamp};

use crate::decision::{
    Action, Because, Blocker, Decision, DeletionStep, JobEnd, Retirement, Undo, Use, WaitingOn,
};
use crate::facts::{Desired, Facts};
use crate::rotate::{beside, rotate};
use crate::situation::{NoPosition, Position, Situation};
use crate::walk::{Walk, walk, walk_again};

/// At rest, a look every so often notices what no event tells: a login dropped by hand.
pub const HEARTBEAT: SignedDuration = SignedDuration::from_secs(30);
/// A running Job is looked at this often, should no event come.
pub const RUN_LOOK: SignedDuration = SignedDuration::from_secs(1);
/// A credential in use is looked at this often; the platform's events come sooner.
pub const IN_USE_LOOK: SignedDuration = SignedDuration::from_secs(1);
/// A fact that could not be had is tried again after this; the shell makes repeated failures wait longer.
pub const UNKNOWN_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Findings that time can resolve are judged again after this.
pub const HINTS_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// A migration tool's lock that somebody holds is looked at this often.
pub const LOCK_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// A slot for a Job is asked for again after this.
pub const SLOT_LOOK: SignedDuration = SignedDuration::from_secs(2);

/// The next step of a database.
///
/// Pure and total: equal arguments give equal decisions, and every combination of facts gives one.
pub fn decide(desired: &Desired, facts: &Facts, now: Timestamp) -> Decision {
    let s = Situation::new(desired, facts, now);
    let onward = onward(&s);
    half_done(&s, &onward).unwrap_or(onward)
}

/// Lines 2 to 14: the first that applies.
fn onward(s: &Situation<'_>) -> Decision {
    let deleting = s.facts.object.deleting;
    let spec = &s.desired.database;
    if spec.read_only {
        return if deleting {
            finish_deletion(Vec::new(), false)
        } else {
            held(WaitingOn::ReadOnly)
        };
    }
    if deleting {
        return running(s)
            .or_else(|| ended(s))
            .unwrap_or_else(|| deletion(s));
    }
    if spec.paused {
        return ended(s).unwrap_or_else(|| held(WaitingOn::Paused));
    }
    heal(s)
        .or_else(|| running(s))
        .or_else(|| ended(s))
        .or_else(|| out_of_reach(s))
        .or_else(|| rotate(s))
        .unwrap_or_else(|| beside(s, onward_from_version(s)))
}

/// Line 1: a step left half done that does not go on now is taken back.
fn half_done(s: &Situation<'_>, onward: &Decision) -> Option<Decision> {
    if s.desired.database.read_only || !s.claimed() {
        return None;
    }
    let database = s.database()?;
    let goes_on = |migration: &MigrationName, login: &LoginFacts| match onward {
        Decision::Act {
            action: Action::Retire(r),
            ..
        }
        | Decision::Act {
            action: Action::Delete(DeletionStep::Revoke(r)),
            ..
        } => &r.migration == migration,
        Decision::Act {
            action: Action::RetireReplaced { login: goes, .. },
            ..
        } => goes == &login.name,
        _ => false,
    };
    let interrupted = database
        .all_logins()
        .find(|(migration, login)| login.locked && !goes_on(migration, login));
    if let Some((migration, login)) = interrupted {
        let is_replaced = database.replaced.get(migration) == Some(login);
        return Some(Decision::Act {
            action: Action::Undo(Undo::Unlock {
                migration: migration.clone(),
                turn: login.turn,
            }),
            because: Because::RetirementInterrupted {
                migration: migration.clone(),
                replaced: is_replaced.then(|| login.name.clone()),
            },
        });
    }
    let open = database
        .migrator
        .as_ref()
        .is_some_and(|migrator| migrator.open);
    // A finished run's door is closed by recording it.
    let needed = matches!(
        onward,
        Decision::Act {
            action: Action::StartRun(_)
                | Action::RecordRun {
                    with_database: true,
                    ..
                },
            ..
        }
    );
    let run_unknown_or_live =
        s.facts.jobs.known().is_none() || s.jobs().iter().any(JobFacts::is_live);
    if open && !needed && !run_unknown_or_live {
        return Some(Decision::Act {
            action: Action::Undo(Undo::CloseDoor),
            because: Because::DoorLeftOpen,
        });
    }
    None
}

/// Line 2: an existing credential that applications need is put back in order.
fn heal(s: &Situation<'_>) -> Option<Decision> {
    let Ok(Position::At(current)) = s.position() else {
        return None;
    };
    // What the steps would stumble over is line 7's to name. A database without a claim is no hindrance:
    // one that was restored to a new server has lost its roles, and our Secrets still say what they were.
    if !s.database()?.missing.is_empty() {
        return None;
    }
    if let Fact::Unknown(why) = &s.facts.secrets {
        return Some(unknown(s, "the Secrets of the credentials".to_owned(), why));
    }
    let mut not_told = None;
    let may_move = s.may_move();
    for migration in s.credentials() {
        let needed = match s.generation(&current, migration) {
            Generation::Current => true,
            Generation::Predecessor | Generation::Compatible => {
                !may_move || s.outlives_next(&current, migration)
            }
            Generation::Beyond | Generation::Older => false,
        };
        let locked = s.login(migration).is_some_and(|login| login.locked);
        if !needed || locked || in_the_way(s, migration) {
            continue;
        }
        match s.defects(migration) {
            Ok(defects) if defects.is_empty() => {}
            Ok(defects) => {
                return Some(Decision::Act {
                    action: Action::Heal {
                        migration: migration.clone(),
                    },
                    because: Because::CredentialDefective {
                        migration: migration.clone(),
                        defects,
                    },
                });
            }
            Err(why) => {
                let what = format!("whether credential {migration} works");
                not_told = not_told.or_else(|| Some(unknown(s, what, &why)));
            }
        }
    }
    not_told
}

/// Does something that is not ours bear a name that this credential needs?
fn in_the_way(s: &Situation<'_>, migration: &MigrationName) -> bool {
    let secret = names::secret(&s.desired.database.id, migration);
    s.foreign().any(|object| match object.kind.as_str() {
        "Secret" => object.name == secret.as_str(),
        kind => kind != "Job",
    })
}

/// Line 3: a run is under way, or its statement is.
fn running(s: &Situation<'_>) -> Option<Decision> {
    let jobs = match &s.facts.jobs {
        Fact::Known(jobs) => jobs,
        Fact::Unknown(why) => return Some(unknown(s, "the Jobs of this database".to_owned(), why)),
    };
    if let Some(job) = jobs.iter().find(|job| job.is_live()) {
        return Some(
            outdated_before_start(s, job).unwrap_or_else(|| Decision::Wait {
                on: WaitingOn::Run {
                    job: job.name.clone(),
                    migration: job.to.clone(),
                    not_started: match &job.phase {
                        JobPhase::Pending { reason } => reason.clone(),
                        _ => None,
                    },
                },
                wake_at: after(s.now, RUN_LOOK),
            }),
        );
    }
    let migrator = s.database()?.migrator.as_ref()?;
    match &migrator.sessions {
        Fact::Known(sessions) if sessions.is_empty() => None,
        Fact::Known(sessions) => Some(Decision::Wait {
            on: WaitingOn::MigratorSessions {
                locks: s.locks_of(sessions),
                sessions: sessions.clone(),
            },
            wake_at: after(s.now, RUN_LOOK),
        }),
        // A deletion always ends: what cannot be seen does not hold it up.
        Fact::Unknown(_) if s.facts.object.deleting => None,
        Fact::Unknown(why) => Some(unknown(s, "the migrator's sessions".to_owned(), why)),
    }
}

/// A released Job none of whose containers ever started goes, once it no longer fits.
fn outdated_before_start(s: &Situation<'_>, job: &JobFacts) -> Option<Decision> {
    let JobPhase::Pending { .. } = &job.phase else {
        return None;
    };
    let changed = s
        .desired
        .chain
        .get(&job.to)
        .is_none_or(|m| m.digest != job.digest);
    // What a node says of its Pods comes late: at `to`, the run is more likely over than not begun.
    let moved = match s.position() {
        Ok(Position::At(current)) => job.from.as_ref() != Some(&current) && job.to != current,
        Ok(Position::Empty) => job.from.is_some(),
        Err(_) => false,
    };
    let reason = match (s.facts.object.deleting, changed, moved) {
        (true, _, _) => "the database object is being deleted",
        (_, true, _) => "its migration has changed",
        (_, _, true) => "the database is no longer where it would start from",
        _ => return None,
    };
    Some(delete_job(job, reason))
}

/// Line 4: a finished Job is recorded, then let go; the oldest first.
fn ended(s: &Situation<'_>) -> Option<Decision> {
    let jobs = match &s.facts.jobs {
        Fact::Known(jobs) => jobs,
        Fact::Unknown(why) => return Some(unknown(s, "the Jobs of this database".to_owned(), why)),
    };
    let job = jobs
        .iter()
        .filter(|job| job.is_finished() && job.finalizer)
        .min_by_key(|job| (job.created_at, job.name.clone()))?;
    let recorded = s
        .last_run()
        .is_some_and(|run| run.job == job.name || run.started_at > job.created_at);
    if recorded {
        return Some(Decision::Act {
            action: Action::ReleaseJob {
                job: job.name.clone(),
            },
            because: Because::RunRecorded,
        });
    }
    record(s, job)
}

/// The record of a finished Job, where all that it says can be known.
pub(crate) fn record(s: &Situation<'_>, job: &JobFacts) -> Option<Decision> {
    let JobPhase::Finished {
        succeeded,
        exit_code,
        finished_at,
        message,
    } = &job.phase
    else {
        return None;
    };
    let with_database = s.claimed();
    let unreachable_for_good = s.facts.object.deleting && s.facts.database.known().is_none();
    let version_known = s
        .facts
        .database
        .known()
        .is_some_and(|database| database.version.known().is_some());
    let seen = version_known && s.database().is_some();
    if !(unreachable_for_good || seen) {
        return None;
    }
    let outcome = match (succeeded, s.reached(&job.to)) {
        (true, true) => Outcome::Completed,
        (true, false) => Outcome::VersionNotReached,
        (false, _) => Outcome::Failed,
    };
    Some(Decision::Act {
        action: Action::RecordRun {
            record: RunRecord {
                job: job.name.clone(),
                from: job.from.clone(),
                migration: job.to.clone(),
                digest: job.digest.clone(),
                outcome,
                started_at: job.created_at,
                finished_at: *finished_at,
                exit_code: *exit_code,
                message: message.clone(),
            },
            with_database,
        },
        because: Because::RunEnded {
            migration: job.to.clone(),
            end: JobEnd {
                outcome,
                exit_code: *exit_code,
            },
        },
    })
}

/// Line 5: the object is being deleted.
fn deletion(s: &Situation<'_>) -> Decision {
    if let Some(job) = s.jobs().iter().find(|job| job.phase == JobPhase::Suspended) {
        return delete_job(job, "the database object is being deleted");
    }
    if s.desired.database.deletion == DeletionPolicy::Retain {
        return finish_deletion(Vec::new(), false);
    }
    let mut kept = Vec::new();
    for migration in s.credentials() {
        let usage = match &s.facts.database {
            Fact::Unknown(why) => Some(Use::Unknown(why.clone())),
            // What does not bear our claim is not touched: neither the login nor the Secret that goes with it.
            Fact::Known(DatabaseFacts { claim, .. }) => match claim {
                Claim::Ours(_) => s.usage(migration),
                Claim::None => Some(Use::Unknown(Why::new(
                    "the database bears no claim of ours",
                ))),
                Claim::Elsewhere { owner, .. } => Some(Use::Unknown(Why::new(format!(
                    "the database belongs to {owner}"
                )))),
            },
        };
        match usage {
            Some(usage) => kept.push((migration.clone(), usage)),
            None => {
                return Decision::Act {
                    action: Action::Delete(DeletionStep::Revoke(Retirement {
                        migration: migration.clone(),
                    })),
                    because: Because::ObjectDeleted,
                };
            }
        }
    }
    finish_deletion(kept, s.claimed())
}

fn finish_deletion(kept: Vec<(MigrationName, Use)>, with_database: bool) -> Decision {
    Decision::Act {
        action: Action::Delete(DeletionStep::Finish {
            kept,
            with_database,
        }),
        because: Because::ObjectDeleted,
    }
}

/// Line 6: a person holds everything. There is nothing to wake for but the slow look.
fn held(on: WaitingOn) -> Decision {
    Decision::Wait {
        on,
        wake_at: Timestamp::MAX,
    }
}

/// Line 7: the database, or something in it, is not ours to work with.
fn out_of_reach(s: &Situation<'_>) -> Option<Decision> {
    let database = match &s.facts.database {
        Fact::Known(database) => database,
        Fact::Unknown(why) => {
            return Some(Decision::Wait {
                on: WaitingOn::Database { why: why.clone() },
                wake_at: after(s.now, UNKNOWN_LOOK),
            });
        }
    };
    if let Claim::Elsewhere { owner, .. } = &database.claim {
        return Some(if s.facts.object.take_over {
            Decision::Act {
                action: Action::TakeOver,
                because: Because::PersonTakesOver,
            }
        } else {
            Decision::Blocked {
                by: Blocker::ClaimedElsewhere {
                    owner: owner.clone(),
                },
            }
        });
    }
    // Before the version: what is missing may be the privilege to read it, and this says what helps.
    if !database.missing.is_empty() {
        let by = Blocker::MissingPrivilege {
            missing: database.missing.clone(),
        };
        return Some(Decision::Blocked { by });
    }
    if let Fact::Unknown(why) = &database.version {
        return Some(unknown(s, "the schema version".to_owned(), why));
    }
    let objects: Vec<_> = s.foreign().cloned().collect();
    if !objects.is_empty() {
        return Some(Decision::Blocked {
            by: Blocker::ForeignObject { objects },
        });
    }
    if let Fact::Unknown(why) = &s.facts.secrets {
        return Some(unknown(s, "the Secrets of the credentials".to_owned(), why));
    }
    None
}

/// Lines 8 to 14: from the version on.
fn onward_from_version(s: &Situation<'_>) -> Decision {
    let position = match s.position() {
        Ok(position) => position,
        Err(NoPosition::Off(by)) => return off_the_chain(s, *by),
        Err(NoPosition::Unknown(on)) => {
            return Decision::Wait {
                on: *on,
                wake_at: after(s.now, UNKNOWN_LOOK),
            };
        }
    };
    let goal = &s.desired.database.desired;
    if let Some((version, migrations)) = s.desired.chain.ambiguous(goal) {
        return Decision::Blocked {
            by: Blocker::AmbiguousVersion {
                version,
                migrations,
            },
        };
    }
    let walk = walk(s, &position);
    unwanted_job(s, &walk)
        .or_else(|| wanted_credential(s, &position, &walk.decision))
        .unwrap_or(walk.decision)
}

/// Line 8: the database shows no place on the chain. Only where a run left it so can a person say `retry`;
/// no credential is made there, since nobody knows what schema it would be for.
fn off_the_chain(s: &Situation<'_>, by: Blocker) -> Decision {
    let walk = match &by {
        Blocker::UnknownVersion { .. } | Blocker::TablesWithoutVersion => walk_again(s),
        _ => None,
    };
    let walk = walk.unwrap_or_else(|| Decision::Blocked { by }.into());
    unwanted_job(s, &walk).unwrap_or(walk.decision)
}

/// Line 9, first half: a suspended Job that is not the run to start.
fn unwanted_job(s: &Situation<'_>, walk: &Walk) -> Option<Decision> {
    let fits = |job: &JobFacts| {
        walk.run
            .as_ref()
            .is_some_and(|run| run.job == job.name && run.digest == job.digest)
    };
    let job = s
        .jobs()
        .iter()
        .find(|job| job.phase == JobPhase::Suspended && !fits(job))?;
    Some(delete_job(job, "it is no longer the next step"))
}

/// Line 9, second half: a credential is wanted and missing.
///
/// A version that the walk only passes through gets one only where the walk has to stop or wait there: a
/// fresh database with a hundred revisions is not held up by a hundred quiet windows.
fn wanted_credential(s: &Situation<'_>, position: &Position, walk: &Decision) -> Option<Decision> {
    let Position::At(current) = position else {
        return None;
    };
    let goal = &s.desired.database.desired;
    let wanted = if s.at_rest(current).is_some() {
        at_rest(&s.desired.chain, current, goal)
    } else if matches!(walk, Decision::Act { .. }) {
        return None;
    } else {
        [current.clone()].into()
    };
    let there = s.credentials();
    let missing = wanted
        .into_iter()
        .find(|migration| !there.contains(migration))?;
    Some(Decision::Act {
        action: Action::CreateCredential {
            migration: missing.clone(),
        },
        because: Because::CredentialWanted {
            migration: missing,
            current: current.clone(),
        },
    })
}

fn delete_job(job: &JobFacts, reason: &'static str) -> Decision {
    Decision::Act {
        action: Action::DeleteJob {
            job: job.name.clone(),
        },
        because: Because::JobOutdated {
            migration: job.to.clone(),
            reason,
        },
    }
}

fn unknown(s: &Situation<'_>, what: String, why: &Why) -> Decision {
    Decision::Wait {
        on: WaitingOn::Unknown {
            what,
            why: why.clone(),
        },
        wake_at: after(s.now, UNKNOWN_LOOK),
    }
}

/// `from` and so much later, at the latest the end of time.
pub(crate) fn after(from: Timestamp, span: SignedDuration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}
