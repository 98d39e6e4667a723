//! The words: one line for every decision, the same in status, Events, `plan` and the demo.
//!
//! A wait says what it waits for and the way on; a blocker says what is wrong and the way out.

use std::fmt;

use dbop_model::{ChainBreak, Engine, MigrationName, Outcome, RunRecord, Session, ToolLock};
use jiff::Timestamp;

use crate::decision::{
    Action, Because, Blocker, Decision, Defect, DeletionStep, HeldLock, JobEnd, ReplacedInUse, Run,
    Undo, Use, WaitingOn, Watched,
};
use crate::facts::Reference;

/// How many sessions, references or findings are named before the rest is counted.
const NAMED_MAX: usize = 3;

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Act { action, because } => write!(f, "{action}: {because}"),
            Decision::Wait { on, .. } => write!(f, "waits: {on}"),
            Decision::Blocked { by } => write!(f, "blocked: {by}"),
            Decision::Converged { ahead: false, .. } => f.write_str("at rest"),
            Decision::Converged { ahead: true, .. } => {
                f.write_str("at rest, newer than desired and compatible with it")
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Undo(Undo::Unlock { migration, .. }) => {
                write!(f, "unlock credential {migration}")
            }
            Action::Undo(Undo::CloseDoor) => f.write_str("lock the migrator"),
            Action::Heal { migration } => write!(f, "repair credential {migration}"),
            Action::DeleteJob { job } => write!(f, "delete Job {job}"),
            Action::RecordRun { record, .. } => {
                write!(f, "record the run of {}", record.migration)
            }
            Action::ReleaseJob { job } => write!(f, "let Job {job} go"),
            Action::Delete(DeletionStep::Revoke(r)) => {
                write!(f, "revoke credential {}", r.migration)
            }
            Action::Delete(DeletionStep::Finish { kept, .. }) if kept.is_empty() => {
                f.write_str("let the object go")
            }
            Action::Delete(DeletionStep::Finish { kept, .. }) => {
                let kept = kept.iter().map(|(m, usage)| match usage {
                    Use::Unknown(why) => format!("credential {m} (use not known: {why})"),
                    usage => format!("credential {m} (used by {usage})"),
                });
                write!(f, "let the object go and keep {}", clauses(kept))
            }
            Action::TakeOver => f.write_str("take over the claim"),
            Action::CreateCredential { migration } => write!(f, "create credential {migration}"),
            Action::AcceptRun { record } => {
                write!(f, "take {} as done", record.migration)
            }
            Action::Rotate { migration, .. } => write!(f, "rotate credential {migration}"),
            Action::RetireReplaced { migration, login } => {
                write!(f, "retire login {login} of credential {migration}")
            }
            Action::Retire(r) => write!(f, "retire credential {}", r.migration),
            Action::StartRun(run) => write!(f, "run {run}"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "{} on {from}", self.to),
            None => write!(f, "{} on the empty database", self.to),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Because::RetirementInterrupted {
                replaced: Some(login),
                ..
            } => write!(f, "the retirement of login {login} does not go on now"),
            Because::RetirementInterrupted { migration, .. } => {
                write!(
                    f,
                    "the retirement of credential {migration} does not go on now"
                )
            }
            Because::DoorLeftOpen => f.write_str("no migration is running"),
            Because::CredentialDefective { defects, .. } => {
                let words: Vec<String> = defects.iter().map(Defect::to_string).collect();
                f.write_str(&words.join(", "))
            }
            Because::RunEnded { end, .. } => write!(f, "it {end}"),
            Because::RunRecorded => f.write_str("its outcome stands in the status"),
            Because::JobOutdated { migration, reason } => {
                write!(f, "it would run {migration}, but {reason}")
            }
            Because::ObjectDeleted => f.write_str("the database object is being deleted"),
            Because::PersonTakesOver => f.write_str("a person said take-over"),
            Because::PersonAccepts { job } => write!(f, "a person said accept-run of {job}"),
            Because::CredentialWanted { migration, current } if migration == current => {
                write!(f, "the database is at {current}")
            }
            Because::CredentialWanted { current, .. } => {
                write!(f, "its code works with the schema of {current}")
            }
            Because::PersonRotates => f.write_str("a person said rotate"),
            Because::LoginOld { since, every } => {
                let every = every.as_secs();
                match since {
                    Some(since) => write!(
                        f,
                        "its login is from {}, and rotateEvery is {every} s",
                        second(*since)
                    ),
                    None => write!(
                        f,
                        "nobody knows since when its login is there, and rotateEvery is {every} s"
                    ),
                }
            }
            Because::LoginReplaced { by: Some(by) } => {
                write!(f, "unused, and replaced by {by}")
            }
            Because::LoginReplaced { by: None } => f.write_str("unused, and replaced"),
            Because::CredentialOutdated { schema, .. } => {
                write!(
                    f,
                    "unused, and its code cannot live with the schema of {schema}"
                )
            }
            Because::OnTheWay { migration, desired } if migration == desired => {
                write!(f, "{desired} is desired")
            }
            Because::OnTheWay { migration, desired } => {
                write!(f, "{migration} is on the way to {desired}")
            }
            Because::PersonRetries { job } => write!(f, "a person said retry of {job}"),
            Because::MigrationChanged { migration } => {
                write!(
                    f,
                    "{migration} has changed since its last run did not complete"
                )
            }
        }
    }
}

impl fmt::Display for JobEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outcome, self.exit_code) {
            (Outcome::Completed, _) => f.write_str("succeeded, and the database says so"),
            (Outcome::VersionNotReached, _) => {
                f.write_str("succeeded, but the database did not show its version")
            }
            (Outcome::Accepted, _) => f.write_str("did not complete, and a person accepts it"),
            (Outcome::Failed, Some(code)) => write!(f, "failed with exit status {code}"),
            (Outcome::Failed, None) => f.write_str("failed"),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Defect::LoginMissing => "its login is gone",
            Defect::Refused => "the server refuses the password in its Secret",
            Defect::GrantsMissing => "its login lacks grants",
            Defect::SecretMissing => "its Secret is gone",
            Defect::SecretChanged => "its Secret was changed",
        })
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Use::Sessions(sessions) => write!(f, "{}", Sessions(sessions)),
            Use::References(references) => f.write_str(&list(references.iter())),
            Use::Both(sessions, references) => {
                write!(f, "{} and {}", Sessions(sessions), list(references.iter()))
            }
            Use::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

struct Sessions<'a>(&'a [Session]);

impl fmt::Display for Sessions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [one] => write!(f, "a session ({one})"),
            many => write!(f, "{} sessions ({})", many.len(), clauses(many.iter())),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.how)
    }
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ToolLock {
            tool,
            lock,
            holder,
            frees,
        } = &self.lock;
        write!(f, "{tool}'s lock ({lock}) is held by {holder}")?;
        match &self.left_by {
            // No run is under way where this is said: what held it for that Job has ended.
            Some(job) => write!(f, ", a Pod of Job {job}, which has ended; free it: {frees}"),
            None => write!(f, "; once that is no longer at work, free it: {frees}"),
        }
    }
}

/// Further words about locks, where there are any.
fn with_locks(f: &mut fmt::Formatter<'_>, locks: &[HeldLock]) -> fmt::Result {
    match locks {
        [] => Ok(()),
        locks => write!(f, "; {}", clauses(locks.iter())),
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitingOn::Run {
                migration,
                not_started: None,
                ..
            } => {
                write!(f, "migration {migration} is running")
            }
            WaitingOn::Run {
                migration,
                not_started: Some(reason),
                job,
            } => {
                write!(
                    f,
                    "migration {migration} has not started: {reason} (Job {job})"
                )
            }
            WaitingOn::MigratorSessions { sessions, locks } => {
                write!(
                    f,
                    "the migrator is still connected, with {}",
                    Sessions(sessions)
                )?;
                with_locks(f, locks)
            }
            WaitingOn::Paused => {
                f.write_str("paused by a person; set spec.paused to false to go on")
            }
            WaitingOn::ReadOnly => {
                f.write_str("readOnly is set: only observed; set spec.readOnly to false to go on")
            }
            WaitingOn::Database { why } => write!(f, "{why}"),
            WaitingOn::Unknown { what, why } => write!(f, "{what} not known: {why}"),
            WaitingOn::CredentialInUse {
                credentials,
                next,
                move_to,
            } => {
                let used = credentials.iter().map(|(m, usage)| match usage {
                    Use::Unknown(why) => {
                        format!("whether credential {m} is used is not known: {why}")
                    }
                    usage => format!("credential {m} is still used by {usage}"),
                });
                f.write_str(&clauses(used))?;
                let their = match credentials[..] {
                    [_] => "its",
                    _ => "their",
                };
                if credentials
                    .iter()
                    .all(|(_, usage)| matches!(usage, Use::Unknown(_)))
                {
                    return f.write_str("; nothing is revoked until it is");
                }
                match next {
                    Some(next) if next == move_to => {
                        write!(f, "; {their} code cannot live with {next}: stop it first")
                    }
                    Some(next) => write!(
                        f,
                        "; {their} code cannot live with {next}: deploy the application of {move_to} first"
                    ),
                    None => write!(
                        f,
                        "; {their} code cannot live with the schema of {move_to}: move it to \
                         credential {move_to}"
                    ),
                }
            }
            WaitingOn::QuietWindow {
                migration,
                login,
                watched: Watched::Replaced,
                until,
            } => {
                write!(
                    f,
                    "login {login} of credential {migration} was replaced and is unused, and watched until {} before it \
                     is retired",
                    second(*until)
                )
            }
            WaitingOn::ReplacedInUse { logins } => f.write_str(&clauses(logins.iter())),
            WaitingOn::QuietWindow {
                migration, until, ..
            } => {
                write!(
                    f,
                    "credential {migration} is unused, and watched until {} before it is retired",
                    second(*until)
                )
            }
            WaitingOn::Hints {
                migration,
                findings,
            } => {
                write!(f, "{migration} {}", clauses(findings.iter()))
            }
            WaitingOn::ToolLock { migration, locks } => {
                write!(f, "{migration} cannot begin: {}", clauses(locks.iter()))
            }
            WaitingOn::Slot { taken: 1, limit } => {
                write!(
                    f,
                    "a migration of another database is running, and --max-jobs is {limit}"
                )
            }
            WaitingOn::Slot { taken, limit } => {
                write!(
                    f,
                    "{taken} migrations of other databases are running, and --max-jobs is {limit}"
                )
            }
        }
    }
}

impl fmt::Display for ReplacedInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplacedInUse {
            migration,
            login,
            usage,
            next_waits,
        } = self;
        match usage {
            Use::Unknown(why) => write!(
                f,
                "whether login {login} of credential {migration}, which was replaced, is used is not known: {why}"
            )?,
            usage => write!(
                f,
                "login {login} of credential {migration} was replaced and is still used by {usage}: start anew what \
                 holds it"
            )?,
        }
        if *next_waits {
            write!(f, " (the next rotation of {migration} waits for that)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocker::ClaimedElsewhere { owner } => write!(
                f,
                "the database belongs to {owner}; delete that object, or set the annotation \
                 database-operator.dev/take-over on this one"
            ),
            Blocker::MissingPrivilege { missing } => {
                let each = missing
                    .iter()
                    .map(|m| format!("the admin may not {} (what helps: {})", m.needed_for, m.grant));
                f.write_str(&clauses(each))
            }
            Blocker::ForeignObject { objects } => {
                let rest = match objects[..] {
                    [_] => "exists and is not ours; nothing of it was changed: rename or remove it",
                    _ => "exist and are not ours; nothing of them was changed: rename or remove them",
                };
                write!(f, "{} {rest}", list(objects.iter()))
            }
            Blocker::TablesWithoutVersion => f.write_str(
                "the database has tables but no schema version; record the version that they are at \
                 with the migration tool (alembic stamp and the like)",
            ),
            Blocker::UnknownVersion { version, known } => write!(
                f,
                "the database is at version {version}, which no migration of this chain has (known: \
                 {}); create that migration, or restore the version",
                range(known)
            ),
            Blocker::AmbiguousVersion { version, migrations } => write!(
                f,
                "the migrations {} all have version {version}; give each a version of its own",
                list(migrations.iter())
            ),
            Blocker::SeveralVersions { versions } => write!(
                f,
                "the database records several versions at once ({}); merge the heads with the \
                 migration tool",
                list(versions.iter())
            ),
            Blocker::DirtyVersion { version, detail } => write!(
                f,
                "version {version} is half applied: {detail}; repair the schema and the record with \
                 the migration tool"
            ),
            Blocker::RunIncomplete {
                run,
                version_moved,
                half_run_on,
                locks,
            } => {
                incomplete(f, run, *version_moved, *half_run_on)?;
                with_locks(f, locks)
            }
            Blocker::NoPath { broken } => write!(f, "{broken}; {}", way_out(broken)),
            Blocker::WorkloadStranded {
                migration,
                workloads,
                move_to,
            } => write!(
                f,
                "{migration} would strand what runs, by its own label: {}; deploy the application of {move_to} \
                 first, or correct the label",
                list(workloads.iter())
            ),
            Blocker::Hints { migration, findings } => {
                write!(f, "{migration} {}", clauses(findings.iter()))
            }
            Blocker::HintsRequired { migration, unread } => match unread.split_first() {
                None => write!(
                    f,
                    "{migration} says nothing of what it does to the schema, and requireHints is set; \
                     add schemaHints or sql to it"
                ),
                Some((first, rest)) => {
                    write!(f, "not all SQL of {migration} can be read: {first}")?;
                    if !rest.is_empty() {
                        write!(f, " and {} more", rest.len())?;
                    }
                    f.write_str(
                        ", and requireHints is set; say in schemaHints what it does to the schema, [] \
                         if nothing",
                    )
                }
            },
        }
    }
}

fn incomplete(
    f: &mut fmt::Formatter<'_>,
    run: &RunRecord,
    version_moved: bool,
    half_run_on: Option<Engine>,
) -> fmt::Result {
    let RunRecord {
        migration,
        job,
        exit_code,
        message,
        outcome,
        finished_at,
        ..
    } = run;
    let end = JobEnd {
        outcome: *outcome,
        exit_code: *exit_code,
    };
    let at = second(*finished_at);
    write!(f, "the run of {migration} that ended at {at} {end}")?;
    if !message.is_empty() {
        write!(f, " ({message})")?;
    }
    if let Some(engine) = half_run_on {
        write!(
            f,
            "; it may be half run, as {engine} does not roll back DDL: finish or undo what it did"
        )?;
    }
    match version_moved {
        true if *outcome == Outcome::VersionNotReached => write!(
            f,
            " then; it does now: say retry to run it again, or accept-run to go on (Job {job})"
        ),
        false => write!(f, "; change {migration}, or say retry (Job {job})"),
        true => write!(
            f,
            "; the database shows its version all the same: say retry to run it again, or accept-run \
             to go on (Job {job})"
        ),
    }
}

/// What a person can do about a broken chain.
fn way_out(broken: &ChainBreak) -> String {
    match broken {
        ChainBreak::DesiredMissing { .. } => "create it, or name another".to_owned(),
        ChainBreak::PreviousMissing { previous, .. } => format!("create {previous}"),
        ChainBreak::Cycle { .. } => {
            "delete one of them and create it again with the right previous".to_owned()
        }
        ChainBreak::NotAnAncestor { current, .. } => {
            format!("set desiredSchemaVersion to {current} or to a migration that follows it")
        }
        ChainBreak::DesiredOlder { current, .. } => {
            format!("set desiredSchemaVersion to {current} or later, or restore a backup")
        }
        ChainBreak::NotCompatible { migration, .. } => {
            format!("change compatibleFrom of {migration} to one of them, or remove it")
        }
    }
}

/// The first few of them, the rest counted.
fn list<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    few(items, ", ")
}

/// Likewise, of what holds commas itself.
fn clauses<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    few(items, "; ")
}

fn few<T: fmt::Display>(items: impl Iterator<Item = T>, between: &str) -> String {
    let all: Vec<String> = items.map(|item| item.to_string()).collect();
    match all.len().checked_sub(NAMED_MAX) {
        None | Some(0) => all.join(between),
        Some(more) => format!("{} and {more} more", all[..NAMED_MAX].join(between)),
    }
}

/// `v1 ... v7`, or the few there are.
fn range(names: &[MigrationName]) -> String {
    match names {
        [first, _, _, .., last] => format!("{first} ... {last}"),
        few => few
            .iter()
            .map(MigrationName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// A point in time to the second: what a person can compare with a clock.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
