//! What must hold after every event, by name. A broken one is kept as a sentence in `World::violations`.

use std::collections::{BTreeMap, BTreeSet};

use dbop_credentials::generations::{Generation, generation};
use dbop_model::{JobName, MigrationName, SecretName};

use super::world::{Job, Stored, World};
use crate::fake_database::Mark;

/// Checks every invariant that can be seen in the world as it stands.
pub fn check(world: &mut World) {
    login_in_use_is_never_dropped(world);
    current_credential_is_never_dropped(world);
    one_migration_at_a_time(world);
    foreign_secrets_stay_as_they_are(world);
    remember(world);
}

/// A login that had a session at the last look, and still has it, is there.
fn login_in_use_is_never_dropped(world: &mut World) {
    let there = logins(world);
    let in_use: BTreeSet<String> = world.db.open_sessions().into_values().collect();
    let gone: Vec<String> = world
        .ledger
        .logins
        .keys()
        .filter(|login| !there.contains_key(*login) && in_use.contains(*login))
        .filter(|login| !world.ledger.excused.contains(*login))
        .cloned()
        .collect();
    for login in gone {
        violated(
            world,
            "login_in_use_is_never_dropped",
            &format!("{login} had a session"),
        );
    }
}

/// The credential of the current version stays, unless the object is being deleted.
fn current_credential_is_never_dropped(world: &mut World) {
    if world.object.deleting {
        return;
    }
    let Some(current) = world.current() else {
        return;
    };
    let there = logins(world);
    let dropped: Vec<String> = world
        .ledger
        .logins
        .keys()
        .filter(|login| !there.contains_key(*login) && !world.ledger.excused.contains(*login))
        .filter(|login| is_of(login, world, &current))
        // Of two logins, it is the one that its Secret names.
        .filter(|login| {
            let secret = world.secret_of(&current);
            let named = secret.and_then(|secret| secret.data.get("username"));
            named.is_none_or(|named| named == *login)
        })
        .cloned()
        .collect();
    for login in dropped {
        violated(
            world,
            "current_credential_is_never_dropped",
            &format!("{login} is {current}'s"),
        );
    }
}

fn is_of(login: &str, world: &World, migration: &MigrationName) -> bool {
    login.starts_with(&format!(
        "{}_{migration}_",
        world.desired.database.id.name()
    ))
}

/// At most one Job may be running.
fn one_migration_at_a_time(world: &mut World) {
    let live = world
        .jobs
        .values()
        .filter(|job| job.released_at.is_some() && job.end.is_none());
    let count = live.count();
    if count > 1 {
        violated(
            world,
            "one_migration_at_a_time",
            &format!("{count} Jobs may be running"),
        );
    }
}

/// A Secret that is not ours keeps its first revision.
fn foreign_secrets_stay_as_they_are(world: &mut World) {
    let changed: Vec<SecretName> = world
        .secrets
        .iter()
        .filter(|(_, secret)| !secret.ours && secret.revision != 1)
        .map(|(name, _)| name.clone())
        .collect();
    for name in changed {
        violated(
            world,
            "foreign_secrets_stay_as_they_are",
            &format!("Secret {name}"),
        );
    }
}

/// A Secret is published only when its login works and the schema is at its version or a compatible one.
pub(super) fn published(world: &mut World, migration: &MigrationName, secret: &Stored) {
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
    // A retirement that finds somebody after all puts the same Secret back: it was there before.
    let put_back = world.ledger.secrets_seen(migration);
    if !compatible && !put_back {
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
    if world.desired.database.paused || world.desired.database.read_only {
        violated(world, "nothing_starts_while_held", &format!("Job {name}"));
    }
    let compatible = world.desired.chain.compatible(&job.to);
    let current = world.current();
    let mut old = Vec::new();
    for (login, migration) in logins(world) {
        let beyond = match &current {
            Some(current) => {
                generation(&world.desired.chain, current, &migration) == Generation::Beyond
            }
            None => true,
        };
        if !beyond && !compatible.contains(&migration) {
            old.push(login);
        }
    }
    if !old.is_empty() {
        let detail = format!("{} starts while {} exist", job.to, old.join(", "));
        violated(world, "no_run_while_older_credentials_exist", &detail);
    }
    let migrators: BTreeSet<String> = world
        .db
        .roles()
        .into_iter()
        .filter(|(_, role)| matches!(role.mark, Some(Mark::Migrator { .. })))
        .map(|(name, _)| name)
        .collect();
    if world
        .db
        .open_sessions()
        .values()
        .any(|login| migrators.contains(login))
    {
        violated(world, "no_run_meets_a_dead_one", &format!("Job {name}"));
    }
}

fn remember(world: &mut World) {
    let there = logins(world);
    let excused = std::mem::take(&mut world.ledger.excused);
    world.ledger.excused = excused
        .into_iter()
        .filter(|login| there.contains_key(login))
        .collect();
    let in_use: BTreeSet<String> = world.db.open_sessions().into_values().collect();
    world.ledger.logins = there
        .into_keys()
        .map(|login| (login.clone(), in_use.contains(&login)))
        .collect();
    let secrets = world
        .secrets
        .iter()
        .filter(|(_, s)| s.ours)
        .map(|(name, _)| name.clone());
    world.ledger.secrets.extend(secrets);
}

impl super::world::Ledger {
    /// Was a Secret of this migration ever there?
    fn secrets_seen(&self, migration: &MigrationName) -> bool {
        self.secrets
            .iter()
            .any(|name| name.as_str().ends_with(&format!("-{migration}")))
    }
}

/// Our application logins, each with its migration.
fn logins(world: &World) -> BTreeMap<String, MigrationName> {
    let roles = world.db.roles();
    roles
        .into_iter()
        .filter_map(|(name, role)| match role.mark {
            Some(Mark::Login { migration, .. }) => Some((name, migration)),
            _ => None,
        })
        .collect()
}

fn violated(world: &mut World, invariant: &str, detail: &str) {
    let line = format!("INVARIANT BROKEN: {invariant}: {detail}");
    world.tell(&line);
    world.violations.push(line);
}
