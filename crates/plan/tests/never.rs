//! What the planner never does, whatever the facts: each a property over situations thrown at random, most of
//! which no world has.
#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet};

use dbop_credentials::names;
use dbop_model::finding::{Gate, HintMode, gate};
use dbop_model::{
    Claim, DatabaseFacts, DeletionPolicy, Fact, JobFacts, JobPhase, LoginFacts, Match,
    MigrationName, ObservedVersion, Orphaned, RunRecord,
};
use dbop_plan::{
    Action, Decision, DeletionStep, Desired, Facts, Quiet, Run, Undo, decide, forecast,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// Bytes of a throw: more than any uses.
const BYTES: usize = 400;
/// Throws per property: a few seconds on a slow machine.
const THROWS: u32 = 3_000;
/// Throws per property for a proof (`DBOP_PROVE=full`).
const THROWS_FULL: u32 = 200_000;

/// The credentials that an action destroys.
fn destroys(action: &Action) -> BTreeSet<&MigrationName> {
    match action {
        Action::Retire(r) | Action::Delete(DeletionStep::Revoke(r)) => {
            BTreeSet::from([&r.migration])
        }
        _ => BTreeSet::new(),
    }
}

/// A situation, and what is decided in it.
struct Thrown {
    desired: Desired,
    facts: Facts,
    now: Timestamp,
    decision: Decision,
}

impl Thrown {
    fn new(bytes: &[u8]) -> Self {
        let (desired, facts, now) = dice::thrown(bytes);
        let decision = decide(&desired, &facts, now);
        Thrown {
            desired,
            facts,
            now,
            decision,
        }
    }

    fn action(&self) -> Option<&Action> {
        match &self.decision {
            Decision::Act { action, .. } => Some(action),
            _ => None,
        }
    }

    fn database(&self) -> Option<&DatabaseFacts> {
        self.facts.database.known()
    }

    fn jobs(&self) -> &[JobFacts] {
        self.facts.jobs.known().map_or(&[], Vec::as_slice)
    }

    /// Where the database is, as far as it shows a place on the chain.
    fn current(&self) -> Option<MigrationName> {
        let version = self.database()?.version.known()?;
        let ObservedVersion::At(version) = version else {
            return None;
        };
        match self
            .desired
            .chain
            .find_version(version, &self.desired.database.desired)
        {
            Match::One(migration) => Some(migration.name.clone()),
            _ => None,
        }
    }

    fn is_at_rest(&self, current: &MigrationName) -> bool {
        let (chain, goal) = (&self.desired.chain, &self.desired.database.desired);
        current == goal
            || chain.is_ancestor(goal, current) && chain.compatible(current).contains(goal)
    }

    fn credentials(&self) -> BTreeSet<MigrationName> {
        let ours = self.database().filter(|d| d.claim.ours().is_some());
        let logins = ours.into_iter().flat_map(DatabaseFacts::all_logins);
        let logins = logins.map(|(migration, _)| migration);
        let secrets = self
            .facts
            .secrets
            .known()
            .into_iter()
            .flat_map(|s| s.keys());
        logins.chain(secrets).cloned().collect()
    }

    /// Is it known that nobody uses it?
    fn is_unused(&self, migration: &MigrationName) -> bool {
        let logins = self.database().into_iter();
        let mut logins = logins.flat_map(|d| [d.logins.get(migration), d.replaced.get(migration)]);
        logins.all(|login| login.is_none_or(|login| login.sessions.is_known_and(Vec::is_empty)))
            && self
                .facts
                .references
                .is_known_and(|r| r.get(migration).is_none_or(Vec::is_empty))
    }

    /// Was it watched for the whole window, or found locked, which it was after that?
    fn is_watched(&self, login: Option<&LoginFacts>, since: Option<Timestamp>) -> bool {
        let window = self.desired.database.credentials.quiet_window;
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        login.is_none_or(|login| login.locked)
            || since.is_some_and(|since| self.now.duration_since(since) >= window)
    }

    /// Do the hints let a migration start?
    fn is_clear(&self, migration: &MigrationName) -> bool {
        let policy = &self.desired.database.hints;
        policy.mode != HintMode::Block
            || self.facts.hints.as_ref().is_some_and(|hints| {
                &hints.migration == migration
                    && hints
                        .judged
                        .is_known_and(|j| gate(j, policy) == Gate::Clear)
            })
    }

    fn incomplete(&self) -> Option<&RunRecord> {
        let last = self.facts.object.last_run.as_ref();
        last.filter(|run| !run.outcome.is_complete())
    }

    /// Does a person want the last run once more, by word or by a change?
    fn is_answered(&self, run: &RunRecord) -> bool {
        let migration = self.desired.chain.get(&run.migration);
        self.facts.object.retry.as_ref() == Some(&run.job)
            || migration.is_some_and(|m| m.digest != run.digest)
    }

    /// The migration that may run next, if one may: the last one once more, or the next on the path.
    fn next(&self, current: Option<&MigrationName>) -> Option<MigrationName> {
        let last = self.incomplete();
        if let Some(run) = last.filter(|run| Some(&run.migration) == current) {
            return self.is_answered(run).then(|| run.migration.clone());
        }
        let path = self
            .desired
            .chain
            .path(current, &self.desired.database.desired)
            .ok()?;
        let next = path.first()?.name.clone();
        let stopped = last.is_some_and(|run| run.migration == next && !self.is_answered(run));
        (!stopped).then_some(next)
    }

    /// The run that a person wants again from a version that nobody knows.
    fn again(&self) -> Option<&RunRecord> {
        let run = self.incomplete()?;
        let said = self.facts.object.retry.as_ref() == Some(&run.job);
        let database = self.database()?;
        let lost = match database.version.known()? {
            ObservedVersion::None => database.has_tables,
            ObservedVersion::At(_) => self.current().is_none(),
            ObservedVersion::Several(_) | ObservedVersion::Dirty { .. } => false,
        };
        let migration = self.desired.chain.get(&run.migration)?;
        let same = run.from.is_none() || migration.previous == run.from;
        (said && lost && same).then_some(run)
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), BYTES)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: match std::env::var("DBOP_PROVE").as_deref() {
            Ok("full") => THROWS_FULL,
            _ => THROWS,
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_is_total_and_pure_and_says_one_line(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        prop_assert_eq!(&decide(&t.desired, &t.facts, t.now), &t.decision);
        let line = t.decision.to_string();
        prop_assert!(!line.is_empty() && !line.contains('\n') && !line.contains("  "), "{}", line);
        prop_assert!(!line.ends_with([' ', ':', ';', '.']), "{}", line);
    }

    #[test]
    fn it_never_wakes_in_the_past(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        match &t.decision {
            Decision::Wait { wake_at, .. } => prop_assert!(*wake_at >= t.now),
            Decision::Converged { look_again, .. } => prop_assert!(*look_again > t.now),
            Decision::Act { .. } | Decision::Blocked { .. } => {}
        }
    }

    #[test]
    fn it_never_destroys_what_is_used_or_may_be(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        for migration in t.action().map(destroys).unwrap_or_default() {
            prop_assert!(t.is_unused(migration), "{}", t.decision);
            let claim = &t.database().unwrap().claim;
            prop_assert!(matches!(claim, Claim::Ours(_) | Claim::None), "another's");
        }
    }

    #[test]
    fn it_never_retires_what_the_schema_needs(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(Action::Retire(r)) = t.action() else { return Ok(()) };
        let (m, chain) = (&r.migration, &t.desired.chain);
        let again = t.again();
        let current = match again {
            Some(run) => run.from.clone(),
            None => t.current(),
        };
        prop_assert_ne!(Some(m), current.as_ref(), "the current version's");
        let next = match again {
            Some(run) => Some(run.migration.clone()),
            None => t.next(current.as_ref()),
        };
        let beyond = current.as_ref().is_some_and(|c| chain.is_ancestor(c, m));
        let at_rest = again.is_none() && current.as_ref().is_some_and(|c| t.is_at_rest(c));
        if beyond {
            prop_assert!(at_rest);
            prop_assert_eq!(t.desired.database.credentials.orphaned, Orphaned::RevokeWhenUnused);
            return Ok(());
        }
        let needed = current.as_ref().is_some_and(|c| {
            chain.compatible(c).contains(m)
                || chain.get(c).is_some_and(|of| of.previous.as_ref() == Some(m))
        });
        let unblocked = next.is_some_and(|next| {
            !chain.compatible(&next).contains(m) && t.is_clear(&next)
        });
        prop_assert!(unblocked || at_rest && !needed, "{}", t.decision);
    }

    #[test]
    fn it_never_retires_unwatched_nor_one_of_several_that_must_go(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(Action::Retire(r)) = t.action() else { return Ok(()) };
        let login = |of: fn(&DatabaseFacts) -> &BTreeMap<MigrationName, LoginFacts>| {
            t.database().and_then(|d| of(d).get(&r.migration))
        };
        let since = |quiet: Option<&Quiet>| quiet.map(|quiet| quiet.since);
        let (quiet, replaced) = (&t.facts.quiet, &t.facts.quiet_replaced);
        prop_assert!(t.is_watched(login(|d| &d.logins), since(quiet.get(&r.migration))));
        prop_assert!(t.is_watched(login(|d| &d.replaced), since(replaced.get(&r.migration))));
        let Some(current) = t.current() else { return Ok(()) };
        let chain = &t.desired.chain;
        let at_rest = t.is_at_rest(&current) && t.incomplete().is_none();
        if chain.is_ancestor(&current, &r.migration) || at_rest {
            return Ok(());
        }
        let Some(next) = t.next(Some(&current)) else { return Ok(()) };
        let compatible = chain.compatible(&next);
        for other in t.credentials() {
            let goes = !compatible.contains(&other) && !chain.is_ancestor(&current, &other);
            prop_assert!(!goes || t.is_unused(&other), "{}: {} is used", t.decision, other);
        }
    }

    #[test]
    fn it_never_retires_a_replaced_login_that_somebody_may_hold(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(Action::RetireReplaced { migration, login }) = t.action() else { return Ok(()) };
        let database = t.database().unwrap();
        prop_assert!(matches!(database.claim, Claim::Ours(_)));
        let goes = &database.replaced[migration];
        prop_assert_eq!(&goes.name, login);
        prop_assert!(database.logins.get(migration).is_none_or(|stays| stays.name != goes.name), "published");
        prop_assert!(goes.sessions.is_known_and(Vec::is_empty), "{}", t.decision);
        let issued_at = t.facts.secret(migration).and_then(|secret| secret.issued_at);
        let references = t.facts.references.known().unwrap().get(migration);
        for one in references.into_iter().flatten().filter(|one| one.kind == "Pod") {
            prop_assert!(one.made_at.zip(issued_at).is_some_and(|(made, issued)| made >= issued), "{:?}", one);
        }
        let quiet = t.facts.quiet_replaced.get(migration).map(|quiet| quiet.since);
        prop_assert!(t.is_watched(Some(goes), quiet));
        prop_assert!(t.is_watched(Some(goes), issued_at.or(quiet)), "from before it was replaced");
        let held = &t.desired.database;
        prop_assert!(!held.paused && !held.read_only && !t.facts.object.deleting);
    }

    #[test]
    fn it_never_rotates_but_where_it_is_wanted_and_there_is_one_login(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(Action::Rotate { migration, login }) = t.action() else { return Ok(()) };
        let database = t.database().unwrap();
        prop_assert!(matches!(database.claim, Claim::Ours(_)));
        prop_assert_eq!(&database.logins[migration].name, login);
        prop_assert!(!database.logins[migration].locked && !database.replaced.contains_key(migration));
        let secret = t.facts.secret(migration).unwrap();
        let mut asked = t.facts.object.rotate.iter();
        prop_assert!(asked.any(|asked| asked.until <= t.now
            && asked.migration.as_ref().is_none_or(|of| of == migration)
            && secret.issued_at.is_none_or(|at| at <= asked.until)));
        prop_assert!(t.facts.jobs.known().is_some());
        prop_assert!(!t.jobs().iter().any(JobFacts::is_live), "beside a run");
        prop_assert!(database.missing.is_empty() && database.foreign.is_empty() && t.facts.foreign.is_empty());
        let held = &t.desired.database;
        prop_assert!(!held.paused && !held.read_only && !t.facts.object.deleting);
    }

    #[test]
    fn it_never_starts_a_run_that_may_not_be(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(Action::StartRun(run)) = t.action() else { return Ok(()) };
        let Run { job, from, to, digest } = run;
        let database = t.database().unwrap();
        prop_assert!(t.facts.jobs.known().is_some());
        prop_assert!(!t.jobs().iter().any(JobFacts::is_live), "beside another");
        prop_assert!(!t.jobs().iter().any(|j| j.is_finished() && j.finalizer), "before the last is recorded");
        prop_assert!(!t.jobs().iter().any(|j| &j.name == job && j.phase != JobPhase::Suspended), "again");
        let quiet = |sessions: &Fact<Vec<_>>| sessions.is_known_and(Vec::is_empty);
        prop_assert!(database.migrator.as_ref().is_none_or(|m| quiet(&m.sessions)), "a dead run's statement");
        prop_assert!(t.is_clear(to) && t.facts.slots.free());
        let held = &t.desired.database;
        prop_assert!(!held.paused && !held.read_only && !t.facts.object.deleting);
        prop_assert!(database.missing.is_empty() && database.foreign.is_empty() && t.facts.foreign.is_empty());
        prop_assert_eq!(digest, &t.desired.chain.get(to).unwrap().digest);
        let before = t.facts.object.last_run.as_ref().map(|run| &run.job);
        prop_assert_eq!(job, &names::job(&held.id, from.as_ref(), to, before));

        let current = t.current();
        let here = match t.again() {
            Some(run) => run.from.clone(),
            None => current.clone(),
        };
        let chain = &t.desired.chain;
        let compatible = chain.compatible(to);
        for m in t.credentials() {
            let beyond = chain.is_ancestor(here.as_ref().unwrap_or(to), &m);
            prop_assert!(compatible.contains(&m) || beyond, "{} is older and exists", m);
        }

        match t.again() {
            Some(last) => {
                prop_assert_eq!((&last.from, &last.migration), (from, to));
            }
            None => {
                prop_assert!(t.next(current.as_ref()).as_ref() == Some(to), "not the next");
                let known = database.version.known().unwrap();
                let empty = *known == ObservedVersion::None && !database.has_tables;
                prop_assert!(current.is_some() || empty, "at no version");
            }
        }
    }

    #[test]
    fn it_never_makes_a_credential_for_another_schema(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let chain = &t.desired.chain;
        match t.action() {
            Some(Action::CreateCredential { migration }) => {
                let current = t.current().unwrap();
                prop_assert!(!t.credentials().contains(migration), "it exists");
                let fits = chain.compatible(&current).contains(migration);
                prop_assert!(fits, "{}", t.decision);
                prop_assert!(t.is_at_rest(&current) || migration == &current, "{}", t.decision);
            }
            Some(Action::Heal { migration }) => {
                let current = t.current().unwrap();
                prop_assert!(t.credentials().contains(migration), "it does not exist");
                let previous = chain.get(&current).unwrap().previous.as_ref() == Some(migration);
                prop_assert!(previous || chain.compatible(&current).contains(migration));
                let login = t.database().unwrap().logins.get(migration);
                prop_assert!(login.is_none_or(|login| !login.locked), "it is being retired");
            }
            _ => {}
        }
    }

    #[test]
    fn it_never_writes_while_a_person_holds_it(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(action) = t.action() else { return Ok(()) };
        let deleting = t.facts.object.deleting;
        let undo = matches!(action, Action::Undo(_));
        let record = matches!(action, Action::RecordRun { .. } | Action::ReleaseJob { .. });
        let delete = matches!(action, Action::Delete(_) | Action::DeleteJob { .. });
        if t.desired.database.read_only {
            let lets_go = matches!(action, Action::Delete(DeletionStep::Finish { kept, with_database: false })
                if kept.is_empty());
            prop_assert!(deleting && lets_go, "{}", t.decision);
        } else if deleting {
            prop_assert!(undo || record || delete, "{}", t.decision);
        } else if t.desired.database.paused {
            prop_assert!(undo || record, "{}", t.decision);
        } else {
            prop_assert!(!matches!(action, Action::Delete(_)), "{}", t.decision);
        }
        if let Action::Delete(DeletionStep::Revoke(_)) = action {
            prop_assert_eq!(t.desired.database.deletion, DeletionPolicy::Revoke);
        }
    }

    #[test]
    fn it_never_touches_a_database_that_is_not_ours_or_not_there(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(action) = t.action() else { return Ok(()) };
        let on_jobs = match action {
            Action::DeleteJob { .. } | Action::ReleaseJob { .. } => true,
            Action::RecordRun { with_database, .. }
            | Action::Delete(DeletionStep::Finish { with_database, .. }) => !with_database,
            _ => false,
        };
        match t.database().map(|d| &d.claim) {
            None => prop_assert!(on_jobs, "{}", t.decision),
            Some(Claim::Elsewhere { .. }) => prop_assert!(
                on_jobs || *action == Action::TakeOver && t.facts.object.take_over, "{}", t.decision),
            Some(Claim::None) => prop_assert!(
                !matches!(action, Action::Undo(_) | Action::TakeOver | Action::Delete(DeletionStep::Revoke(_))),
                "{}", t.decision),
            Some(Claim::Ours(_)) => prop_assert_ne!(action, &Action::TakeOver),
        }
    }

    #[test]
    fn it_never_undoes_what_goes_on(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        match t.action() {
            Some(Action::Undo(Undo::Unlock { migration, turn })) => {
                let mut logins = t.database().unwrap().all_logins();
                prop_assert!(logins.any(|(of, login)| of == migration && login.turn == *turn && login.locked));
            }
            Some(Action::Undo(Undo::CloseDoor)) => {
                prop_assert!(t.database().unwrap().migrator.as_ref().unwrap().open);
                prop_assert!(t.facts.jobs.known().is_some());
                prop_assert!(!t.jobs().iter().any(JobFacts::is_live));
            }
            Some(Action::DeleteJob { job }) => {
                let job = t.jobs().iter().find(|j| &j.name == job).unwrap();
                let may = matches!(job.phase, JobPhase::Suspended | JobPhase::Pending { .. });
                prop_assert!(may, "a Job that ran");
            }
            _ => {}
        }
    }

    #[test]
    fn it_never_decides_the_same_again_once_it_is_done(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let Some(action) = t.action() else { return Ok(()) };
        if matches!(action, Action::Delete(DeletionStep::Finish { .. })) {
            return Ok(());
        }
        let mut after = t.facts.clone();
        forecast::apply(&t.desired, &mut after, action, t.now);
        prop_assert_ne!(&after, &t.facts, "{}", t.decision);
        let next = decide(&t.desired, &after, t.now);
        prop_assert!(!matches!(&next, Decision::Act { action: again, .. } if again == action), "{}", next);
    }

    #[test]
    fn its_forecast_always_ends(bytes in bytes()) {
        let t = Thrown::new(&bytes);
        let forecast = forecast::forecast(&t.desired, &t.facts, &BTreeMap::new(), t.now);
        prop_assert!(forecast.decisions.len() < 100, "{} decisions", forecast.decisions.len());
        let last = forecast.decisions.last().unwrap();
        let ends = !matches!(last, Decision::Act { action, .. }
            if !matches!(action, Action::Delete(DeletionStep::Finish { .. })));
        prop_assert!(ends, "{}", last);
    }
}

/// The throws reach what the properties are about: without this they could all be empty.
#[test]
fn the_throws_reach_every_kind_of_decision() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut state = 1_u64;
    for _ in 0..60_000 {
        let bytes: Vec<u8> = (0..BYTES)
            .map(|_| {
                // A linear congruential generator (Knuth's MMIX constants): fixed, so that this cannot flicker.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        let kind = match Thrown::new(&bytes).decision {
            Decision::Act {
                action: Action::Undo(Undo::CloseDoor),
                ..
            } => "CloseDoor",
            Decision::Act {
                action: Action::Delete(DeletionStep::Revoke(_)),
                ..
            } => "Revoke",
            Decision::Act {
                action: Action::ReleaseJob { .. },
                ..
            } => "ReleaseJob",
            Decision::Act {
                action: Action::CreateCredential { .. },
                ..
            } => "Create",
            Decision::Act { action, .. } => action.reason(),
            Decision::Wait { on, .. } => on.reason(),
            Decision::Blocked { by } => by.reason(),
            Decision::Converged { ahead: true, .. } => "Ahead",
            Decision::Converged { .. } => "AtRest",
        };
        *seen.entry(kind).or_default() += 1;
    }
    for kind in [
        "Undoing",
        "CloseDoor",
        "HealingCredential",
        "DeletingJob",
        "RecordingRun",
        "ReleaseJob",
        "Deleting",
        "Revoke",
        "TakingOver",
        "Create",
        "AcceptingRun",
        "RetiringCredential",
        "StartingMigration",
        "RotatingCredential",
        "RetiringReplacedLogin",
        "ReplacedLoginInUse",
        "MigrationRunning",
        "MigratorConnected",
        "Paused",
        "ReadOnly",
        "DatabaseUnreachable",
        "FactUnknown",
        "CredentialInUse",
        "QuietWindow",
        "HintsWaiting",
        "NoSlot",
        "ClaimedElsewhere",
        "MissingPrivilege",
        "ForeignObject",
        "TablesWithoutVersion",
        "UnknownVersion",
        "AmbiguousVersion",
        "SeveralVersions",
        "DirtyVersion",
        "RunIncomplete",
        "NoPath",
        "WorkloadStranded",
        "HintsBlocked",
        "HintsRequired",
        "Ahead",
        "AtRest",
    ] {
        assert!(seen.get(kind).is_some_and(|n| *n >= 5), "{kind}: {seen:?}");
    }
}
