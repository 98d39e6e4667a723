//! Random histories: applications, people, restores, outages and kills at random times, from a seed. Then the
//! surroundings cooperate, and the database must come to rest with exactly the credentials of "at rest".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dbop_credentials::{generations, names};
use dbop_model::{Digest, MigrationName, Orphaned};
use dbop_plan::example;
use jiff::SignedDuration;

use super::actors::{Application, Habit, Script};
use super::world::{Fault, FaultKind, Race, World};
use super::{Rng, Sim};

/// Migrations of the chain.
const MIGRATIONS: usize = 5;
/// Things that happen in one history.
const EVENTS_MAX: u64 = 14;
/// Time between two of them, at most.
const BETWEEN_MAX_S: u64 = 150;
/// Looks that the watches are behind, at most.
const LAG_MAX: u64 = 3;
/// How long the surroundings cooperate at the end: many times what a walk takes.
const SETTLED_WITHIN: SignedDuration = SignedDuration::from_hours(4);

/// Runs one history. Gives how often the operator made each kind of write.
///
/// # Errors
/// Its story, where an invariant was broken or it did not come to rest.
pub fn run(seed: u64) -> Result<BTreeMap<String, u64>, String> {
    let mut rng = Rng::new(seed);
    let mut sim = Sim::new(world(&mut rng), seed);
    for _ in 0..=rng.below(EVENTS_MAX) {
        sim.pass(SignedDuration::from_millis(
            i64::try_from(rng.below(BETWEEN_MAX_S * 1000)).unwrap_or(0),
        ));
        happen(&mut sim, &mut rng);
    }
    cooperate(&mut sim);
    let settled = sim.settle(SETTLED_WITHIN);
    let mut faults = sim.world().violations.clone();
    if !settled {
        faults.push("it did not come to rest although the surroundings cooperate".to_owned());
    } else if let Err(wrong) = at_rest(&sim.world()) {
        faults.push(wrong);
    }
    if faults.is_empty() {
        return Ok(std::mem::take(&mut sim.world().ledger.covered));
    }
    let mut story = format!("history of seed {seed}:\n");
    for line in sim.world().story.iter().chain(&faults) {
        let _ = writeln!(story, "  {line}");
    }
    Err(story)
}

fn v(number: u64) -> MigrationName {
    MigrationName::new(format!("v{number}")).expect("v and a number is a name")
}

fn world(rng: &mut Rng) -> World {
    let mut desired = example::desired(MIGRATIONS).expect("the example is well formed");
    desired.database.desired = v(1 + rng.below(MIGRATIONS as u64));
    desired.database.credentials.quiet_window = std::time::Duration::from_secs(5 + rng.below(20));
    if rng.one_in(3) {
        desired.database.credentials.orphaned = Orphaned::RevokeWhenUnused;
    }
    if rng.one_in(3) {
        widen(&mut desired.chain, 3 + rng.below(3));
    }
    let mut world = World::new(desired);
    if rng.one_in(6) {
        world
            .scripts
            .insert(v(1 + rng.below(MIGRATIONS as u64)), failing(rng));
    }
    world
}

/// Makes a migration compatible with one more of its ancestors than its predecessor.
fn widen(chain: &mut dbop_model::Chain, number: u64) {
    let mut migrations: Vec<_> = chain.iter().cloned().collect();
    for migration in &mut migrations {
        if migration.name == v(number) {
            migration.compatible_from = Some(v(number - 2));
        }
    }
    *chain = dbop_model::Chain::new(migrations);
}

fn failing(rng: &mut Rng) -> Script {
    Script {
        moves_version: rng.one_in(3),
        succeeds: rng.one_in(4),
        ..Script::default()
    }
}

/// One thing that happens.
fn happen(sim: &mut Sim, rng: &mut Rng) {
    let any = v(1 + rng.below(MIGRATIONS as u64));
    let mut guard = sim.world();
    let world = &mut *guard;
    match rng.below(22) {
        0..=2 => {
            world.tell(format!("desired becomes {any}"));
            world.desired.database.desired = any;
        }
        3..=5 => deploy(world, rng),
        6 => {
            if let Some(name) = world.current().and_then(|current| {
                let line = world.desired.chain.lineage(&current).0;
                line.get(1).map(|m| m.name.clone())
            }) {
                world.restore(&name);
            }
        }
        7 => {
            world.tell(format!("the Secret of {any} is deleted by hand"));
            let name = names::secret(&world.desired.database.id, &any);
            world.secrets.remove(&name);
        }
        8 => {
            let name = names::secret(&world.desired.database.id, &any);
            if let Some(secret) = world.secrets.get_mut(&name).filter(|secret| secret.ours) {
                secret.revision += 1;
                secret
                    .data
                    .insert("host".to_owned(), "elsewhere".to_owned());
                world.tell(format!("the Secret of {any} is edited by hand"));
            }
        }
        9 => drop_login(world, &any),
        10 => {
            let login = login_of(world, &any);
            if let Some(login) = login {
                world.tell(format!("the password of {login} is changed by hand"));
                world.db.set_password(&login, "changed by hand");
            }
        }
        11 => {
            world.tell("the database server goes away");
            world.db.set_reachable(false);
            drop(guard);
            sim.pass(SignedDuration::from_secs(
                1 + i64::try_from(rng.below(120)).unwrap_or(0),
            ));
            let mut world = sim.world();
            world.tell("the database server comes back");
            world.db.set_reachable(true);
        }
        12 => {
            drop(guard);
            sim.world().tell("the operator is killed");
            sim.restart();
        }
        13..=15 => {
            let kind = match rng.below(4) {
                0 => FaultKind::FailBefore,
                1 => FaultKind::FailAfter,
                2 => FaultKind::KillBefore,
                _ => FaultKind::KillAfter,
            };
            world.fault = Some(Fault {
                at: world.writes + 1 + rng.below(12),
                kind,
            });
        }
        16 => {
            let paused = !world.desired.database.paused;
            world.tell(format!("paused becomes {paused}"));
            world.desired.database.paused = paused;
        }
        17 => edit(world, &any),
        18 => world.race = Some(Race::SessionBeforeLock),
        19 => world.race = Some(Race::ReferenceBeforeDelete),
        20 => {
            world.lag = usize::try_from(rng.below(LAG_MAX + 1)).unwrap_or(0);
            let lag = world.lag;
            world.tell(format!("the watches are {lag} looks behind"));
        }
        _ => {
            world
                .db
                .set_admin_password(&format!("admin-{}", rng.bits()));
            world.db.break_connections();
            world.tell("the admin's password is rotated");
        }
    }
}

/// An application of the newest published version starts.
fn deploy(world: &mut World, rng: &mut Rng) {
    let Some(current) = world.current().filter(|c| world.secret_of(c).is_some()) else {
        return;
    };
    let habit = match rng.below(3) {
        0 => Habit::Pool,
        1 => Habit::Brief {
            every: SignedDuration::from_secs(1 + i64::try_from(rng.below(4)).unwrap_or(0)),
        },
        _ => Habit::Idle,
    };
    let mut application = Application::new(
        &format!("app{}", world.applications.len() + 1),
        &current,
        habit,
    );
    application.deployed = habit == Habit::Idle || rng.one_in(2);
    if rng.one_in(2) {
        application.moves_on = Some(SignedDuration::from_secs(
            i64::try_from(rng.below(200)).unwrap_or(0),
        ));
    }
    application.next = world.now;
    world.tell(format!(
        "{} of {current} is deployed, {habit:?}",
        application.name
    ));
    world.applications.push(application);
}

fn edit(world: &mut World, name: &MigrationName) {
    let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
    for migration in &mut migrations {
        if &migration.name == name {
            let digest = format!("{}x", migration.digest);
            migration.digest = Digest::new(digest).unwrap_or_else(|_| migration.digest.clone());
        }
    }
    world.desired.chain = dbop_model::Chain::new(migrations);
    world.scripts.remove(name);
    for ((_, to), left) in &mut world.ledger.started {
        if to == name {
            *left += 1;
        }
    }
    world.tell(format!("{name} is edited"));
}

fn login_of(world: &World, migration: &MigrationName) -> Option<String> {
    let prefix = format!("{}_{migration}_", world.desired.database.id.name());
    world
        .db
        .application_logins()
        .into_iter()
        .find(|login| login.starts_with(&prefix))
}

fn drop_login(world: &mut World, migration: &MigrationName) {
    let Some(login) = login_of(world, migration) else {
        return;
    };
    // Servers do not drop a role while a person would cut applications off by it: only unused ones here.
    if world.db.open_sessions().values().any(|used| used == &login) {
        return;
    }
    world.tell(format!("{login} is dropped by hand"));
    world.ledger.excused.insert(login.clone());
    world.db.drop_role(&login);
}

/// From here on everybody helps: nothing fails, applications move on, people say what is asked of them.
fn cooperate(sim: &mut Sim) {
    let mut world = sim.world();
    world.tell("from here on everybody cooperates");
    world.fault = None;
    world.lag = 0;
    world.scripts.clear();
    world.desired.database.paused = false;
    for application in &mut world.applications {
        application.moves_on = Some(SignedDuration::from_secs(1));
    }
    // What is older than the database now would be blocked for good: the newest is always reachable.
    world.desired.database.desired = v(MIGRATIONS as u64);
    drop(world);
    // A run that did not complete needs a person's word.
    for _ in 0..MIGRATIONS {
        sim.settle(SignedDuration::from_mins(20));
        let mut world = sim.world();
        let Some(run) = world
            .object
            .last_run
            .clone()
            .filter(|run| !run.outcome.is_complete())
        else {
            break;
        };
        world.tell(format!("a person says retry of {}", run.job));
        world.object.retry = Some(run.job);
        for ((_, to), left) in &mut world.ledger.started {
            if to == &run.migration {
                *left += 1;
            }
        }
    }
}

/// Does the world hold exactly what belongs there at rest?
fn at_rest(world: &World) -> Result<(), String> {
    let end = world.end();
    let current = world.current().ok_or("there is no version")?;
    let wanted: BTreeSet<MigrationName> = generations::at_rest(
        &world.desired.chain,
        &current,
        &world.desired.database.desired,
    );
    let compatible = world.desired.chain.compatible(&current);
    let there: BTreeSet<MigrationName> = end.logins.keys().cloned().collect();
    let checks = [
        (
            current == world.desired.database.desired,
            "it is not at the desired version",
        ),
        (wanted.is_subset(&there), "a wanted credential is missing"),
        (
            there.is_subset(&compatible),
            "an old credential is still there",
        ),
        (there == end.secrets, "logins and Secrets differ"),
        (
            end.logins.values().all(|works| *works),
            "a Secret's login does not work",
        ),
        (end.unfinished == 0, "a Job still carries the finalizer"),
        (!end.door_open, "the migrator's door is open"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, wrong)) => Err(format!("at rest, but {wrong}: {end:?}")),
    }
}
