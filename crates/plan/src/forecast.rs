//! `decide` run forward on facts that it changes itself, as if each step had succeeded: what `plan` shows.

use std::collections::BTreeMap;

use dbop_credentials::names;
use dbop_model::finding::Judgement;
use dbop_model::{
    Claim, ClaimId, DatabaseFacts, Fact, JobPhase, LoginFacts, LoginTurn, MigrationName,
    ObservedVersion, Outcome, Proof, RunRecord,
};
use jiff::{SignedDuration, Timestamp};

use crate::decide::{after, decide};
use crate::decision::{Action, Blocker, Decision, DeletionStep, Run, Undo, WaitingOn};
use crate::facts::{Desired, Facts, Hints, Quiet, SecretFacts};
use crate::situation::{NoPosition, Position, Situation};

/// A forecast ends after so many decisions: a hundred migrations, each with a handful of steps.
const DECISIONS_MAX: usize = 1_000;

/// A forecast: the decisions to come, in order. The last is `Converged` or `Blocked`, or a wait that nothing
/// in the forecast can end.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Actions and the waits before them.
    pub decisions: Vec<Decision>,
}

/// Runs `decide` forward from these facts.
///
/// `judgements` says what is known of migrations on the way; one without an entry is judged when it is
/// reached, and taken as clear here.
pub fn forecast(
    desired: &Desired,
    facts: &Facts,
    judgements: &BTreeMap<MigrationName, Judgement>,
    now: Timestamp,
) -> Forecast {
    let mut facts = facts.clone();
    let mut now = now;
    let mut decisions: Vec<Decision> = Vec::new();
    for _ in 0..DECISIONS_MAX {
        supply_hints(desired, &mut facts, judgements, now);
        let decision = decide(desired, &facts, now);
        let goes_on = match &decision {
            Decision::Act { action, .. } => {
                let before = facts.clone();
                apply(desired, &mut facts, action, now);
                before != facts
            }
            Decision::Wait { on, .. } => resolve(&mut facts, on, &mut now),
            Decision::Blocked { .. } | Decision::Converged { .. } => false,
        };
        if decisions.last() != Some(&decision) {
            decisions.push(decision);
        }
        if !goes_on {
            break;
        }
    }
    Forecast { decisions }
}

/// Hints of the migration that comes next: as judged, or clear until it is reached.
fn supply_hints(
    desired: &Desired,
    facts: &mut Facts,
    judgements: &BTreeMap<MigrationName, Judgement>,
    now: Timestamp,
) {
    let Some(next) = next(desired, facts, now) else {
        return;
    };
    if facts
        .hints
        .as_ref()
        .is_some_and(|hints| hints.migration == next)
    {
        return;
    }
    let clear = Judgement {
        analysed: true,
        predicted: Vec::new(),
        findings: vec![],
        not_judged: vec![],
        not_tried: Vec::new(),
        taken_at: now,
    };
    let judged = judgements.get(&next).cloned().unwrap_or(clear);
    facts.hints = Some(Hints {
        migration: next,
        judged: Fact::Known(judged),
    });
}

/// The next migration on the way, whose hints `decide` will want to know; `None`: there is none.
pub fn next(desired: &Desired, facts: &Facts, now: Timestamp) -> Option<MigrationName> {
    path(desired, facts, now).into_iter().next()
}

/// The migrations still to run, oldest first; empty at rest, and where there is no way.
pub fn path(desired: &Desired, facts: &Facts, now: Timestamp) -> Vec<MigrationName> {
    let s = Situation::new(desired, facts, now);
    let position = match s.position() {
        Ok(position) => position,
        // A run that is made again brings the database back onto the chain.
        Err(NoPosition::Off(by))
            if matches!(
                *by,
                Blocker::UnknownVersion { .. } | Blocker::TablesWithoutVersion
            ) =>
        {
            let again = s.retried().map(|(run, _)| run.migration.clone());
            let rest = again
                .clone()
                .map(|to| s.path(&Position::At(to)).unwrap_or_default());
            return again
                .into_iter()
                .chain(rest.into_iter().flatten())
                .collect();
        }
        Err(_) => return Vec::new(),
    };
    // A run to the current version that did not complete may be what comes next.
    let again = s
        .last_run()
        .filter(|run| !run.outcome.is_complete())
        .and_then(|run| {
            let here = Position::At(run.migration.clone());
            (position == here).then(|| run.migration.clone())
        });
    let at_rest = match &position {
        Position::At(current) => s.at_rest(current).is_some(),
        Position::Empty => false,
    };
    let rest = if at_rest {
        Vec::new()
    } else {
        s.path(&position).unwrap_or_default()
    };
    again.into_iter().chain(rest).collect()
}

/// The current migration, where the database stands on the chain.
pub fn current(desired: &Desired, facts: &Facts, now: Timestamp) -> Option<MigrationName> {
    match Situation::new(desired, facts, now).position() {
        Ok(Position::At(current)) => Some(current),
        _ => None,
    }
}

/// The facts as they are once `action` has succeeded.
pub fn apply(desired: &Desired, facts: &mut Facts, action: &Action, now: Timestamp) {
    match action {
        Action::Undo(Undo::Unlock { migration, turn }) => {
            let is_it = |login: &&mut LoginFacts| login.turn == *turn;
            // Nobody could come in while it was locked: that it was unused then says nothing.
            if let Some(database) = database(facts) {
                if let Some(login) = database.logins.get_mut(migration).filter(is_it) {
                    login.locked = false;
                    facts.quiet.remove(migration);
                } else if let Some(login) = database.replaced.get_mut(migration).filter(is_it) {
                    login.locked = false;
                    facts.quiet_replaced.remove(migration);
                }
            }
        }
        Action::Undo(Undo::CloseDoor) => close_door(facts),
        Action::Heal { migration } | Action::CreateCredential { migration } => {
            create(desired, facts, migration, now);
        }
        Action::Rotate { migration, .. } => rotate(desired, facts, migration, now),
        Action::RetireReplaced { migration, .. } => {
            if let Some(database) = database(facts) {
                database.replaced.remove(migration);
            }
            facts.quiet_replaced.remove(migration);
        }
        Action::DeleteJob { job } => {
            if let Fact::Known(jobs) = &mut facts.jobs {
                jobs.retain(|j| &j.name != job);
            }
        }
        Action::RecordRun { record, .. } => {
            close_door(facts);
            grants_stand(facts);
            facts.object.last_run = Some(record.clone());
            release(facts, &record.job);
        }
        Action::ReleaseJob { job } => release(facts, job),
        Action::Delete(DeletionStep::Revoke(r)) | Action::Retire(r) => {
            if let Some(database) = database(facts) {
                database.logins.remove(&r.migration);
                database.replaced.remove(&r.migration);
            }
            if let Fact::Known(secrets) = &mut facts.secrets {
                secrets.remove(&r.migration);
            }
            facts.proofs.remove(&r.migration);
            facts.quiet.remove(&r.migration);
            facts.quiet_replaced.remove(&r.migration);
        }
        Action::Delete(DeletionStep::Finish { .. }) => close_door(facts),
        Action::TakeOver => {
            if let Some(database) = database(facts)
                && let Claim::Elsewhere { id, .. } = &database.claim
            {
                database.claim = Claim::Ours(id.clone());
            }
        }
        Action::AcceptRun { record } => facts.object.last_run = Some(record.clone()),
        Action::StartRun(run) => complete(desired, facts, run, now),
    }
}

/// A run, started and completed in one: what happens on the way is the Job's.
fn complete(desired: &Desired, facts: &mut Facts, run: &Run, now: Timestamp) {
    if let (Some(database), Some(migration)) = (database(facts), desired.chain.get(&run.to)) {
        database.version = Fact::Known(ObservedVersion::At(migration.version.clone()));
        database.has_tables = true;
    }
    claim(facts);
    grants_stand(facts);
    if let Fact::Known(jobs) = &mut facts.jobs {
        jobs.retain(|job| job.phase != JobPhase::Suspended);
    }
    facts.hints = None;
    facts.object.last_run = Some(RunRecord {
        job: run.job.clone(),
        from: run.from.clone(),
        migration: run.to.clone(),
        digest: run.digest.clone(),
        outcome: Outcome::Completed,
        started_at: now,
        finished_at: now,
        exit_code: Some(0),
        message: String::new(),
    });
}

fn create(desired: &Desired, facts: &mut Facts, migration: &MigrationName, now: Timestamp) {
    claim(facts);
    grants_stand(facts);
    let Some(database) = database(facts) else {
        return;
    };
    let Some(id) = database.claim.ours() else {
        return;
    };
    let engine = database.server.engine;
    let name = names::login(engine, &desired.database.id, migration, id);
    let sessions = Fact::Known(Vec::new());
    let fresh = LoginFacts {
        name,
        turn: LoginTurn::First,
        locked: false,
        granted: true,
        sessions,
    };
    database
        .logins
        .entry(migration.clone())
        .and_modify(|login| login.granted = true)
        .or_insert(fresh);
    if let Fact::Known(secrets) = &mut facts.secrets {
        let held = secrets.get(migration);
        let issued_at = held.map_or(Some(now), |held| held.issued_at);
        let intact = true;
        secrets.insert(migration.clone(), SecretFacts { intact, issued_at });
    }
    facts.proofs.insert(migration.clone(), Proof::Works);
}

/// The other login is published, and the one before it stays.
fn rotate(desired: &Desired, facts: &mut Facts, migration: &MigrationName, now: Timestamp) {
    if let Some(database) = database(facts)
        && let (Some(id), Some(before)) = (
            database.claim.ours().cloned(),
            database.logins.get(migration).cloned(),
        )
    {
        let (engine, id) = (database.server.engine, &id);
        let turn = before.turn.other();
        let name = names::login_in_turn(engine, &desired.database.id, migration, id, turn);
        let fresh = LoginFacts {
            name,
            turn,
            locked: false,
            granted: true,
            sessions: Fact::Known(Vec::new()),
        };
        database.logins.insert(migration.clone(), fresh);
        database.replaced.insert(migration.clone(), before);
    }
    if let Fact::Known(secrets) = &mut facts.secrets
        && let Some(secret) = secrets.get_mut(migration)
    {
        // As the engine does it: from the next second on.
        secret.issued_at = Some(after(now, SignedDuration::from_secs(1)));
    }
    facts.proofs.insert(migration.clone(), Proof::Works);
    facts.quiet.remove(migration);
    facts.quiet_replaced.remove(migration);
}

/// The claim is the first write of a credential or a run.
fn claim(facts: &mut Facts) {
    if let Some(database) = database(facts)
        && database.claim == Claim::None
        && let Ok(id) = ClaimId::new("forecast")
    {
        database.claim = Claim::Ours(id);
    }
}

/// Roles and grants are the next write, and the last of a run.
fn grants_stand(facts: &mut Facts) {
    if let Some(database) = database(facts) {
        database.roles_ready = true;
    }
}

/// Ends a wait as the surroundings would, once they cooperate. False: nothing here can.
fn resolve(facts: &mut Facts, on: &WaitingOn, now: &mut Timestamp) -> bool {
    match on {
        WaitingOn::CredentialInUse { credentials, .. } => {
            for (migration, _) in credentials {
                if let Some(database) = database(facts) {
                    let logins = [
                        database.logins.get_mut(migration),
                        database.replaced.get_mut(migration),
                    ];
                    for login in logins.into_iter().flatten() {
                        login.sessions = Fact::Known(Vec::new());
                    }
                }
                if let Fact::Known(references) = &mut facts.references {
                    references.remove(migration);
                }
                facts.quiet.remove(migration);
                facts.quiet_replaced.remove(migration);
            }
            facts.references.known().is_some()
        }
        WaitingOn::ReplacedInUse { logins } => {
            for one in logins {
                if let Some(login) =
                    database(facts).and_then(|d| d.replaced.get_mut(&one.migration))
                {
                    login.sessions = Fact::Known(Vec::new());
                }
                if let Fact::Known(references) = &mut facts.references
                    && let Some(all) = references.get_mut(&one.migration)
                {
                    all.retain(|reference| reference.kind != "Pod");
                }
                facts.quiet_replaced.remove(&one.migration);
            }
            facts.references.known().is_some()
        }
        WaitingOn::QuietWindow { until, .. } => {
            let logins: Vec<MigrationName> = database(facts)
                .map(|d| d.logins.keys().cloned().collect())
                .unwrap_or_default();
            let replaced: Vec<MigrationName> = database(facts)
                .map(|d| d.replaced.keys().cloned().collect())
                .unwrap_or_default();
            let since = Quiet { since: *now };
            for migration in logins {
                facts.quiet.entry(migration).or_insert(since);
            }
            for migration in replaced {
                facts.quiet_replaced.entry(migration).or_insert(since);
            }
            // What the walk waits for meanwhile, and looks at more often, is not there any sooner here.
            *now = (*until).max(*now);
            true
        }
        WaitingOn::Slot { .. } => {
            facts.slots.taken = 0;
            true
        }
        WaitingOn::Run { .. }
        | WaitingOn::MigratorSessions { .. }
        | WaitingOn::ToolLock { .. }
        | WaitingOn::Paused
        | WaitingOn::ReadOnly
        | WaitingOn::Database { .. }
        | WaitingOn::Unknown { .. }
        | WaitingOn::Hints { .. } => false,
    }
}

fn close_door(facts: &mut Facts) {
    if let Some(migrator) = database(facts).and_then(|database| database.migrator.as_mut()) {
        migrator.open = false;
    }
}

fn release(facts: &mut Facts, job: &dbop_model::JobName) {
    if let Fact::Known(jobs) = &mut facts.jobs
        && let Some(job) = jobs.iter_mut().find(|j| &j.name == job)
    {
        job.finalizer = false;
    }
}

fn database(facts: &mut Facts) -> Option<&mut DatabaseFacts> {
    match &mut facts.database {
        Fact::Known(database) => Some(database),
        Fact::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn lines(desired: &Desired, facts: &Facts) -> Vec<String> {
        forecast(desired, facts, &BTreeMap::new(), Timestamp::UNIX_EPOCH)
            .decisions
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn from_empty_the_whole_way_without_a_quiet_window() {
        let desired = example::desired(3).unwrap();
        assert_eq!(
            lines(&desired, &example::facts().unwrap()),
            [
                "run v1 on the empty database: v1 is on the way to v3",
                "run v2 on v1: v2 is on the way to v3",
                "run v3 on v2: v3 is desired",
                "create credential v2: its code works with the schema of v3",
                "create credential v3: the database is at v3",
                "at rest",
            ]
        );
    }

    #[test]
    fn from_rest_the_oldest_credential_goes_first() {
        let mut facts = example::facts().unwrap();
        let two = example::desired(2).unwrap();
        for name in ["v1", "v2"] {
            let name = MigrationName::new(name).unwrap();
            create(&two, &mut facts, &name, Timestamp::UNIX_EPOCH);
        }
        if let Fact::Known(database) = &mut facts.database {
            database.version = Fact::Known(ObservedVersion::At(
                dbop_model::SchemaVersion::new("v2").unwrap(),
            ));
            database.has_tables = true;
        }
        assert_eq!(
            lines(&example::desired(3).unwrap(), &facts),
            [
                "waits: credential v1 is unused, and watched until 1970-01-01T00:01:00Z before it is retired",
                "retire credential v1: unused, and its code cannot live with the schema of v3",
                "run v3 on v2: v3 is desired",
                "create credential v3: the database is at v3",
                "at rest",
            ]
        );
    }
}
