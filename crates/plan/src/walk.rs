//! The walk: lines 10 to 14, from the outcome of the last run to the start of the next.

use dbop_credentials::generations::Generation;
use dbop_credentials::names;
use dbop_model::finding::{Gate, HintMode, gate};
use dbop_model::{
    ChainBreak, Engine, Fact, JobFacts, Migration, MigrationName, Orphaned, Outcome, RunRecord, Why,
};

use crate::decide::{HEARTBEAT, HINTS_LOOK, LOCK_LOOK, SLOT_LOOK, UNKNOWN_LOOK, after, record};
use crate::decision::{Action, Because, Blocker, Decision, Run, WaitingOn};
use crate::facts::Declared;
use crate::retire::{Outdated, retire, retire_each};
use crate::situation::{Position, Rest, Situation};

/// What lines 10 to 14 come to, and the run that line 14 is about, if it is about one.
pub(crate) struct Walk {
    pub(crate) decision: Decision,
    pub(crate) run: Option<Run>,
}

impl From<Decision> for Walk {
    fn from(decision: Decision) -> Self {
        Self {
            decision,
            run: None,
        }
    }
}

/// The run that the walk is about to make.
struct Step<'a> {
    from: Option<MigrationName>,
    to: &'a Migration,
    because: Because,
}

pub(crate) fn walk(s: &Situation<'_>, position: &Position) -> Walk {
    match last_run(s, position) {
        LastRun::Decided(decision) => (*decision).into(),
        LastRun::Again(step) => take(s, position, &step),
        LastRun::GoOn(because) => {
            if let Some(decision) = at_rest(s, position) {
                return decision.into();
            }
            match next_step(s, position, because) {
                Ok(step) => take(s, position, &step),
                Err(blocked) => (*blocked).into(),
            }
        }
    }
}

/// Makes the last run again, in a database that shows no place on the chain since: a person says `retry`.
pub(crate) fn walk_again(s: &Situation<'_>) -> Option<Walk> {
    let (run, to) = s.retried()?;
    let because = Because::PersonRetries {
        job: run.job.clone(),
    };
    let from = run.from.clone();
    let position = from.clone().map_or(Position::Empty, Position::At);
    Some(take(s, &position, &Step { from, to, because }))
}

/// What the last run means for the walk (line 10).
enum LastRun<'a> {
    Decided(Box<Decision>),
    /// Run the step to the current version again.
    Again(Step<'a>),
    /// Go on; a person or a change is the reason for the next run, where it is one.
    GoOn(Option<Because>),
}

fn last_run<'a>(s: &Situation<'a>, position: &Position) -> LastRun<'a> {
    let Some(run) = s.last_run().filter(|run| !run.outcome.is_complete()) else {
        return LastRun::GoOn(None);
    };
    let version_moved = matches!(position, Position::At(current) if current == &run.migration);
    let was_next = || {
        s.path(position)
            .is_ok_and(|path| path.first() == Some(&run.migration))
    };
    if !version_moved && !was_next() {
        return LastRun::GoOn(None);
    }
    let object = &s.facts.object;
    if version_moved && object.accept_run.as_ref() == Some(&run.job) {
        let record = RunRecord {
            outcome: Outcome::Accepted,
            ..run.clone()
        };
        return LastRun::Decided(Box::new(Decision::Act {
            action: Action::AcceptRun { record },
            because: Because::PersonAccepts {
                job: run.job.clone(),
            },
        }));
    }
    let migration = s.desired.chain.get(&run.migration);
    let because = if object.retry.as_ref() == Some(&run.job) {
        Because::PersonRetries {
            job: run.job.clone(),
        }
    } else if migration.is_some_and(|m| m.digest != run.digest) {
        Because::MigrationChanged {
            migration: run.migration.clone(),
        }
    } else {
        let by = Blocker::RunIncomplete {
            run: run.clone(),
            version_moved,
            half_run_on: half_run_on(s, run, version_moved),
            locks: s.locks(),
        };
        return LastRun::Decided(Box::new(Decision::Blocked { by }));
    };
    match migration {
        Some(to) if version_moved => LastRun::Again(Step {
            from: run.from.clone(),
            to,
            because,
        }),
        _ => LastRun::GoOn(Some(because)),
    }
}

/// A failed run leaves what its DDL did where that is not rolled back. A tool that records so makes the version
/// dirty, and is heard before this.
fn half_run_on(s: &Situation<'_>, run: &RunRecord, version_moved: bool) -> Option<Engine> {
    let engine = s.database()?.server.engine;
    let may_be = run.outcome == Outcome::Failed && !version_moved && !engine.rolls_back_ddl();
    may_be.then_some(engine)
}

/// At rest (line 11): nothing to run; old credentials go, those beyond by the policy.
fn at_rest(s: &Situation<'_>, position: &Position) -> Option<Decision> {
    let Position::At(current) = position else {
        return None;
    };
    let rest = s.at_rest(current)?;
    let of = |wanted| -> Vec<MigrationName> {
        let mut those: Vec<MigrationName> = s.credentials().into_iter().cloned().collect();
        those.retain(|m| s.generation(current, m) == wanted);
        those
    };
    let outdated = |generation| Outdated {
        migrations: of(generation),
        next: None,
        schema: current,
        move_to: current,
    };
    retire(s, &outdated(Generation::Older))
        .or_else(|| match s.desired.database.credentials.orphaned {
            Orphaned::Retain => None,
            Orphaned::RevokeWhenUnused => retire_each(s, &outdated(Generation::Beyond)),
        })
        .or_else(|| {
            Some(Decision::Converged {
                ahead: rest == Rest::Ahead,
                look_again: after(s.now, HEARTBEAT),
            })
        })
}

fn next_step<'a>(
    s: &Situation<'a>,
    position: &Position,
    because: Option<Because>,
) -> Result<Step<'a>, Box<Decision>> {
    let blocked = |broken| {
        Box::new(Decision::Blocked {
            by: Blocker::NoPath { broken },
        })
    };
    let path = s.path(position).map_err(blocked)?;
    let desired = &s.desired.database.desired;
    let to = path
        .first()
        .and_then(|next| s.desired.chain.get(next))
        .ok_or_else(|| {
            blocked(ChainBreak::DesiredMissing {
                desired: desired.clone(),
            })
        })?;
    let because = because.unwrap_or_else(|| Because::OnTheWay {
        migration: to.name.clone(),
        desired: desired.clone(),
    });
    let from = match position {
        Position::Empty => None,
        Position::At(current) => Some(current.clone()),
    };
    Ok(Step { from, to, because })
}

/// Lines 12 to 14 for one step.
fn take(s: &Situation<'_>, position: &Position, step: &Step<'_>) -> Walk {
    let to = &step.to.name;
    let run = Run {
        job: names::job(
            &s.desired.database.id,
            step.from.as_ref(),
            to,
            s.last_run().map(|run| &run.job),
        ),
        from: step.from.clone(),
        to: to.clone(),
        digest: step.to.digest.clone(),
    };
    let outdated = Outdated {
        migrations: outdated(s, position, to),
        next: Some(to),
        schema: to,
        move_to: match position {
            Position::Empty => to,
            Position::At(current) => current,
        },
    };
    let decision = already_ran(s, &run)
        .or_else(|| no_way(s, step.to))
        .or_else(|| stranded(s, position, to))
        .or_else(|| judged(s, to))
        .or_else(|| tool_locked(s, to))
        .or_else(|| retire(s, &outdated))
        .or_else(|| no_slot(s))
        .unwrap_or_else(|| Decision::Act {
            action: Action::StartRun(run.clone()),
            because: step.because.clone(),
        });
    Walk {
        decision,
        run: Some(run),
    }
}

/// A step that is made again is not on a path that was looked at: its `compatibleFrom` was not, either.
fn no_way(s: &Situation<'_>, to: &Migration) -> Option<Decision> {
    let named = to.compatible_from.as_ref()?;
    let broken = ChainBreak::NotCompatible {
        migration: to.name.clone(),
        compatible_from: named.clone(),
    };
    let follows = s.desired.chain.is_ancestor(named, &to.name);
    (!follows).then_some(Decision::Blocked {
        by: Blocker::NoPath { broken },
    })
}

/// A running workload says that its code is for a schema that works now, and cannot live with the next one. It need not
/// use a credential of ours. One that names no migration of the chain may be any: it is not left behind either.
fn stranded(s: &Situation<'_>, position: &Position, next: &MigrationName) -> Option<Decision> {
    let Position::At(current) = position else {
        return None;
    };
    let declared = match &s.facts.declared {
        Fact::Known(declared) => declared,
        Fact::Unknown(why) => {
            return Some(Decision::Wait {
                on: WaitingOn::Unknown {
                    what: "the running workloads of its namespace".to_owned(),
                    why: why.clone(),
                },
                wake_at: after(s.now, UNKNOWN_LOOK),
            });
        }
    };
    let chain = &s.desired.chain;
    let (now, then) = (chain.compatible(current), chain.compatible(next));
    let is_stranded = |workload: &&Declared| match MigrationName::new(workload.migration.as_str()) {
        Ok(code) if chain.get(&code).is_some() => now.contains(&code) && !then.contains(&code),
        _ => true,
    };
    let workloads: Vec<Declared> = declared.iter().filter(is_stranded).cloned().collect();
    (!workloads.is_empty()).then(|| Decision::Blocked {
        by: Blocker::WorkloadStranded {
            migration: next.clone(),
            workloads,
            move_to: current.clone(),
        },
    })
}

/// Credentials whose code cannot live with the schema of `next`; those beyond where the database is are not
/// in the way (of an empty one, those beyond `next`).
fn outdated(s: &Situation<'_>, position: &Position, next: &MigrationName) -> Vec<MigrationName> {
    let chain = &s.desired.chain;
    let compatible = chain.compatible(next);
    let here = match position {
        Position::Empty => next,
        Position::At(current) => current,
    };
    let mut those: Vec<MigrationName> = s.credentials().into_iter().cloned().collect();
    those.retain(|m| !compatible.contains(m) && !chain.is_ancestor(here, m));
    those
}

/// The findings about the next migration, where they stop it or make it wait.
fn judged(s: &Situation<'_>, next: &MigrationName) -> Option<Decision> {
    let wait = |on| {
        Some(Decision::Wait {
            on,
            wake_at: after(s.now, HINTS_LOOK),
        })
    };
    let policy = &s.desired.database.hints;
    let judged = match &s.facts.hints {
        Some(hints) if &hints.migration == next => hints.judged.as_result().map_err(Clone::clone),
        _ => Err(Why::new("they have not been gathered")),
    };
    let judgement = match judged {
        Ok(judgement) => judgement,
        // Only mode Block has a finding stop a migration, so only there a missing one does.
        Err(_) if policy.mode != HintMode::Block => return None,
        Err(why) => {
            let what = format!("the live facts about migration {next}");
            return wait(WaitingOn::Unknown { what, why });
        }
    };
    let migration = next.clone();
    match gate(judgement, policy) {
        Gate::Clear => None,
        Gate::Stop(findings) => Some(Decision::Blocked {
            by: Blocker::Hints {
                migration,
                findings,
            },
        }),
        Gate::Wait(findings) => wait(WaitingOn::Hints {
            migration,
            findings,
        }),
        Gate::HintsRequired(unread) => Some(Decision::Blocked {
            by: Blocker::HintsRequired { migration, unread },
        }),
    }
}

/// Somebody holds the tool's own lock: the run would wait for it until the tool gives up. Nothing is revoked
/// meanwhile. Where it cannot be told, the tool itself will.
fn tool_locked(s: &Situation<'_>, next: &MigrationName) -> Option<Decision> {
    let locks = s.locks();
    (!locks.is_empty()).then(|| Decision::Wait {
        on: WaitingOn::ToolLock {
            migration: next.clone(),
            locks,
        },
        wake_at: after(s.now, LOCK_LOOK),
    })
}

fn no_slot(s: &Situation<'_>) -> Option<Decision> {
    let slots = s.facts.slots;
    match slots.limit {
        Some(limit) if !slots.free() => Some(Decision::Wait {
            on: WaitingOn::Slot {
                taken: slots.taken,
                limit,
            },
            wake_at: after(s.now, SLOT_LOOK),
        }),
        _ => None,
    }
}

/// A finished Job of this very run whose record was lost with the object's status: it is recorded, not run
/// a second time.
fn already_ran(s: &Situation<'_>, run: &Run) -> Option<Decision> {
    let job: &JobFacts = s
        .jobs()
        .iter()
        .find(|job| job.name == run.job && job.is_finished())?;
    record(s, job)
}
