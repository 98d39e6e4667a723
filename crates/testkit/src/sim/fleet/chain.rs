//! The migrations of a history: what people do to their objects, and the whole chain again.

use dbop_model::{Chain, Digest, Migration, MigrationName};
use dbop_plan::example;

use crate::sim::world::World;

/// Migrations of a chain.
pub(super) const MIGRATIONS: u8 = 5;

pub(super) fn v(number: u8) -> MigrationName {
    MigrationName::new(format!("v{number}")).expect("v and a number is a name")
}

/// All of them, in a row; one may be compatible with one more of its ancestors.
pub(super) fn whole(wide: Option<u8>) -> Chain {
    let chain = example::chain(usize::from(MIGRATIONS)).expect("the example is well formed");
    let mut migrations: Vec<Migration> = chain.iter().cloned().collect();
    for one in &mut migrations {
        if wide.is_some_and(|wide| one.name == v(wide)) {
            one.compatible_from = wide.map(|wide| v(wide - 2));
        }
    }
    Chain::new(migrations)
}

/// Edits a migration: its digest becomes another.
pub(super) fn edit(world: &mut World, name: &MigrationName) {
    change(world, name, |one| {
        let digest = Digest::new(format!("{}x", one.digest));
        one.digest = digest.unwrap_or_else(|_| one.digest.clone());
    });
    world.scripts.remove(name);
    world.may_run_again(Some(name));
}

/// Deletes a migration and creates it anew on another one.
pub(super) fn repoint(world: &mut World, name: &MigrationName, onto: Option<MigrationName>) {
    change(world, name, |one| one.previous = onto);
    // Another way leads elsewhere: what was run on this one, or failed, is no longer the last run.
    world.may_run_again(None);
}

/// Deletes a migration.
pub(super) fn delete(world: &mut World, name: &MigrationName) {
    let left = world.desired.chain.iter().filter(|one| &one.name != name);
    world.desired.chain = Chain::new(left.cloned().collect::<Vec<_>>());
}

/// Puts every migration back to where it belongs; what was edited stays so.
pub(super) fn repair(world: &mut World, wide: Option<u8>) {
    let kept = world.desired.chain.clone();
    let whole = whole(wide);
    let repaired = whole.iter().cloned().map(|one| {
        let digest = kept.get(&one.name).map(|kept| kept.digest.clone());
        Migration {
            digest: digest.unwrap_or_else(|| one.digest.clone()),
            ..one
        }
    });
    world.desired.chain = Chain::new(repaired.collect::<Vec<_>>());
    world.may_run_again(None);
}

fn change(world: &mut World, name: &MigrationName, how: impl FnOnce(&mut Migration)) {
    let mut migrations: Vec<Migration> = world.desired.chain.iter().cloned().collect();
    if let Some(one) = migrations.iter_mut().find(|one| &one.name == name) {
        how(one);
    }
    world.desired.chain = Chain::new(migrations);
}
