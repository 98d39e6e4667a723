//! What must hold after every event, by name. A broken one is kept as a sentence in `World::violations`.
//!
//! They are about what the operator did, seen where it was done: the database says whom a dropped login had, a
//! write is held against what was wanted when it was made.

use std::collections::BTreeSet;

use dbop_credentials::generations::{Generation, at_rest, generation};
use dbop_model::{JobName, MigrationName, SecretName};
use jiff::SignedDuration;

use super::world::{Job, Stored, World};
use crate::fake_database::{Deed, Done};

/// Somebody may come between the last look at the sessions and the lock: that is found after it. The calls between
/// the two take no longer than this.
const COMES_BETWEEN: SignedDuration = SignedDuration::from_secs(3);

/// Checks every invariant that can be seen in the world as it stands.
pub fn check(world: &mut World) {
    for deed in world.db.deeds() {
        match deed.done {
            Done::Locked => watched_before_it_is_locked(world, &deed),
            Done::Dropped => {
                login_in_use_is_never_dropped(world, &deed);
                needed_credential_is_never_dropped(world, &deed);
            }
        }
    }
    one_migration_at_a_time(world);
    foreign_secrets_stay_as_they_are(world);
}

/// A login is locked only after nobody has used it for the quiet window, in true time. An object that is being
/// deleted is not waited for: there one proof is enough.
fn watched_before_it_is_locked(world: &mut World, deed: &Deed) {
    if world.object.deleting {
        return;
    }
    let window = world.desired.database.credentials.quiet_window;
    let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
    let uses = world.ledger.used_at.get(&deed.login);
    let ago = uses
        .into_iter()
        .flatten()
        .map(|at| world.now.duration_since(*at));
    let watched = |ago: &SignedDuration| *ago > COMES_BETWEEN && *ago < window;
    if let Some(ago) = ago.into_iter().find(watched) {
        let detail = format!("{} was used {ago:#} ago", deed.login);
        violated(world, "watched_before_it_is_locked", &detail);
    }
}

/// A login that is dropped has no session, and no workload refers to its Secret.
fn login_in_use_is_never_dropped(world: &mut World, deed: &Deed) {
    let Deed {
        login, sessions, ..
    } = deed;
    if *sessions > 0 {
        let detail = format!("{login} had {sessions} sessions");
        violated(world, "login_in_use_is_never_dropped", &detail);
    }
    let refers =
        |app: &&super::actors::Application| app.refers_to().as_ref() == Some(&deed.migration);
    if let Some(app) = world.applications.iter().find(refers) {
        let detail = format!("{} refers to the Secret of {login}", app.name);
        violated(world, "referred_login_is_never_dropped", &detail);
    }
}

/// The credential of the current version stays, unless the object is being deleted; so do its predecessor's and
/// compatible ones while the database is at rest.
fn needed_credential_is_never_dropped(world: &mut World, deed: &Deed) {
    if world.object.deleting {
        return;
    }
    let Some(current) = world.current() else {
        return;
    };
    let chain = &world.desired.chain;
    let goal = &world.desired.database.desired;
    let resting = current == *goal || chain.is_ancestor(goal, &current);
    let needed = match generation(chain, &current, &deed.migration) {
        Generation::Current => true,
        // At rest there is no next migration for which it could have to go.
        Generation::Predecessor => {
            resting && at_rest(chain, &current, goal).contains(&deed.migration)
        }
        Generation::Compatible => resting,
        Generation::Beyond | Generation::Older => false,
    };
    // Of two logins, it is the one that its Secret names.
    let secret = world.secret_of(&deed.migration);
    let named = secret.and_then(|secret| secret.data.get("username"));
    if needed && named.is_none_or(|named| *named == deed.login.as_str()) {
        let detail = format!("{} is needed at {current}", deed.login);
        violated(world, "needed_credential_is_never_dropped", &detail);
    }
}

/// At most one Job may be running, and of a migrator there is at most one session.
fn one_migration_at_a_time(world: &mut World) {
    let live = |job: &&Job| job.released_at.is_some() && job.end.is_none();
    let count = world.jobs.values().filter(live).count();
    if count > 1 {
        let detail = format!("{count} Jobs may be running");
        violated(world, "one_migration_at_a_time", &detail);
    }
    if count > 0 && world.db.migrator_sessions() > 1 {
        violated(world, "one_migration_at_a_time", "of two objects");
    }
}

/// A Secret that is not ours keeps its first revision.
fn foreign_secrets_stay_as_they_are(world: &mut World) {
    let touched = |(_, secret): &(&SecretName, &Stored)| !secret.ours && secret.revision != 1;
    if let Some((name, _)) = world.secrets.iter().find(touched) {
        let detail = format!("Secret {name}");
        violated(world, "foreign_secrets_stay_as_they_are", &detail);
    }
}

/// Under `readOnly` nothing is written but the end of a deletion; under `paused` nothing is begun. A suspended
/// Job alone may be created on what was wanted a moment ago.
pub(super) fn written(world: &mut World, name: &str) {
    let database = &world.desired.database;
    let (read_only, paused) = (database.read_only, database.paused);
    let ends = name == "remove the finalizers";
    if read_only && !ends && !name.starts_with("create Job") {
        violated(world, "nothing_is_written_under_read_only", name);
    }
    let finishes = ["unlock_login", "close_migrator", "prepare"].contains(&name)
        || ["record", "let Job", "create Job"]
            .iter()
            .any(|start| name.starts_with(start));
    // A retirement that ends as somebody pauses puts back what it took.
    let puts_back = name.starts_with("write Secret ") && !name.contains(" of Job ");
    if paused && !world.object.deleting && !finishes && !puts_back {
        violated(world, "nothing_is_begun_while_paused", name);
    }
}

/// A Secret is published only when its login works and the schema is at its version or a compatible one.
pub(super) fn published(
    world: &mut World,
    name: &SecretName,
    migration: &MigrationName,
    secret: &Stored,
) {
    // A retirement that finds somebody after all puts the same Secret back, as good as it was.
    if world.ledger.taken.remove(name).as_ref() == Some(&secret.data) {
        return;
    }
    if !world.works(secret) {
        let detail = format!("the login of {migration} does not work");
        violated(world, "published_credentials_work", &detail);
    }
    let compatible = world.current().is_some_and(|current| {
        !matches!(
            generation(&world.desired.chain, &current, migration),
            Generation::Beyond | Generation::Older
        )
    });
    if !compatible {
        let detail = format!("{migration} is not compatible with the schema");
        violated(world, "published_credentials_fit_the_schema", &detail);
    }
}

/// A run starts only when nothing older than `compatibleFrom` exists, nobody holds the migrator, and the step
/// was not taken before without a reason.
pub(super) fn released(world: &mut World, name: &JobName, job: &Job) {
    *world.ledger.runs.entry(job.to.clone()).or_default() += 1;
    let step = (job.from.clone(), job.to.clone());
    let left = world.ledger.started.entry(step).or_insert(1);
    if *left == 0 {
        let detail = format!("{} on {:?} again, in Job {name}", job.to, job.from);
        violated(world, "no_step_twice_without_a_reason", &detail);
    } else {
        *left -= 1;
    }
    let compatible = world.desired.chain.compatible(&job.to);
    let current = world.current();
    let mut old = BTreeSet::new();
    for (login, migration) in world.db.logins() {
        let beyond = match &current {
            Some(current) => {
                generation(&world.desired.chain, current, &migration) == Generation::Beyond
            }
            None => true,
        };
        if !beyond && !compatible.contains(&migration) {
            old.insert(login);
        }
    }
    if !old.is_empty() {
        let old: Vec<String> = old.into_iter().collect();
        let detail = format!("{} starts while {} exist", job.to, old.join(", "));
        violated(world, "no_run_while_older_credentials_exist", &detail);
    }
    if world.db.migrator_sessions() > 0 {
        violated(world, "no_run_meets_a_dead_one", &format!("Job {name}"));
    }
}

fn violated(world: &mut World, invariant: &str, detail: &str) {
    let line = format!("INVARIANT BROKEN: {invariant}: {detail}");
    world.tell(&line);
    world.violations.push(line);
}
