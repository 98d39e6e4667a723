//! Hints, from what a migration says to what the engine does, on the fake platform and the fake database.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

#[path = "support/story.rs"]
mod support;

use dbop_model::finding::{Accept, HintMode, HintPolicy, Probes};
use dbop_model::operation::{Column, Operation};
use dbop_model::table::{
    ColumnFacts, NullProbe, RowEstimate, RowSource, TableFacts, TableKind, TableName,
};
use dbop_model::trial::Trial;
use dbop_model::{Chain, ConfigMapKey, ConfigMapName, Fact, SqlSource};
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::world::World;
use jiff::SignedDuration;
use support::{HOUR, MINUTE, check_shows, story, v, world};

/// v2 makes customers.email NOT NULL.
fn with_a_hint(world: &mut World, mode: HintMode) -> TableName {
    with_a_hint_on(world, 1, mode)
}

/// The migration with this number, from 0, makes customers.email NOT NULL.
fn with_a_hint_on(world: &mut World, nth: usize, mode: HintMode) -> TableName {
    let table: TableName = "public.customers".parse().unwrap();
    let column = Column::new("email".parse().unwrap()).with_nullable(false);
    let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
    migrations[nth].hints = Some(vec![
        Operation::alter_column(table.clone(), vec![column]).unwrap(),
    ]);
    world.desired.chain = Chain::new(migrations);
    world.desired.database.hints = HintPolicy {
        mode,
        ..HintPolicy::default()
    };
    table
}

fn customers(nulls: bool) -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.any_row = Fact::Known(true);
    facts.bytes = Fact::Known(1 << 20);
    facts.rows = Fact::Known(RowEstimate {
        rows: 10_000,
        source: RowSource::Statistics,
        age: None,
    });
    facts.columns.insert(
        "email".parse().unwrap(),
        ColumnFacts {
            sql_type: "text".to_owned(),
            nullable: true,
            has_default: false,
            proven_not_null_by: None,
            charset: None,
            collation: None,
            generated: None,
            computed: None,
        },
    );
    let probe = NullProbe {
        found: nulls,
        took: std::time::Duration::from_millis(3),
    };
    facts
        .nulls
        .insert("email".parse().unwrap(), Fact::Known(probe));
    facts
}

#[test]
fn a_finding_stops_the_walk_before_anything_is_revoked_until_the_data_is_repaired() {
    let mut world = world(3);
    world.desired.database.desired = v("v1");
    let table = with_a_hint(&mut world, HintMode::Block);
    let mut sim = Sim::new(world, 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim.world().db.set_table(&table, customers(true));
    sim.pass(MINUTE);
    sim.world().desired.database.desired = v("v3");
    let before = sim.world().end();
    check_shows(&mut sim, "blocked: v2 would fail");
    assert_eq!(sim.world().end(), before);
    sim.world().db.set_table(&table, customers(false));
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v3")));
}

#[test]
fn a_run_that_takes_an_empty_database_the_whole_way_is_not_judged_by_its_last_step() {
    let mut world = world(3);
    // v2 changes a table that v1 would have made.
    with_a_hint(&mut world, HintMode::Block);
    let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
    migrations[1].from_empty = true;
    world.desired.chain = Chain::new(migrations);
    let mut sim = Sim::new(world, 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let world = sim.world();
    assert_eq!(world.current(), Some(v("v3")));
    assert!(!world.ledger.runs.contains_key(&v("v1")));
}

/// v2 says what it does by the SQL in a ConfigMap.
fn with_sql(world: &mut World, hints: Option<Vec<Operation>>) -> ConfigMapName {
    let at = ConfigMapKey {
        name: ConfigMapName::new("shop-sql").unwrap(),
        key: "v2.sql".to_owned(),
    };
    let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
    migrations[1].sql = Some(SqlSource::ConfigMap(at.clone()));
    migrations[1].hints = hints;
    world.desired.chain = Chain::new(migrations);
    world.desired.database.hints.mode = HintMode::Block;
    at.name
}

#[test]
fn sql_that_is_not_there_is_waited_for_and_then_judged_before_anything_is_revoked() {
    let mut world = world(3);
    world.desired.database.desired = v("v1");
    let map = with_sql(&mut world, None);
    let mut sim = Sim::new(world, 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let table: TableName = "public.customers".parse().unwrap();
    sim.world().db.set_table(&table, customers(true));
    sim.pass(MINUTE);
    sim.world().desired.database.desired = v("v3");
    let before = sim.world().end();
    let waits = |why: &str| {
        let of = "the live facts about migration v2 not known: DatabaseMigration shop/v2: spec.sql.configMap";
        format!("waits: {of}: {why}")
    };
    let missing =
        "ConfigMap shop/shop-sql does not exist; create it, with the SQL under the key v2.sql";
    check_shows(&mut sim, &waits(missing));
    assert_eq!(sim.world().end(), before, "nothing was touched");

    let long = format!("-- {}", "x".repeat(1 << 20));
    sim.world().config_maps.insert(map.clone(), long);
    check_shows(
        &mut sim,
        &waits("its SQL is 1024 KiB long, 1024 KiB are allowed"),
    );

    let require = "ALTER TABLE public.customers ALTER COLUMN email SET NOT NULL;";
    sim.world().config_maps.insert(map, require.to_owned());
    check_shows(&mut sim, "blocked: v2 would fail");
    assert_eq!(sim.world().end(), before, "nothing was touched");
    sim.world().db.set_table(&table, customers(false));
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v3")));
}

#[test]
fn sql_that_cannot_be_read_stops_only_where_hints_are_required() {
    for (require_hints, hints, goes_on) in [
        (false, None, true),
        (true, None, false),
        // Its author has said what the SQL does not show.
        (true, Some(Vec::new()), true),
    ] {
        let mut world = world(2);
        world.desired.database.desired = v("v1");
        let map = with_sql(&mut world, hints);
        let text = "SELECT 1;\nDO $$ BEGIN PERFORM 1; END $$;".to_owned();
        world.config_maps.insert(map, text);
        let mut sim = Sim::new(world, 1);
        // v1 says nothing, and is there before anybody requires it.
        assert!(sim.settle(HOUR), "{}", story(&sim));
        sim.world().desired.database.hints.require_hints = require_hints;
        sim.world().desired.database.desired = v("v2");
        if goes_on {
            assert!(sim.settle(HOUR), "{}", story(&sim));
        } else {
            check_shows(
                &mut sim,
                "blocked: not all SQL of v2 can be read: line 2: DO ",
            );
        }
    }
}

#[test]
fn data_that_changes_while_a_credential_is_watched_stops_the_run_before_it_is_taken() {
    let mut world = world(3);
    world.desired.database.credentials.quiet_window = std::time::Duration::from_secs(30);
    world.desired.database.desired = v("v2");
    let table = with_a_hint_on(&mut world, 2, HintMode::Block);
    let mut sim = Sim::new(world, 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim.world().db.set_table(&table, customers(false));
    sim.world().desired.database.desired = v("v3");
    sim.pass(SignedDuration::from_secs(15));
    let decision = sim.turn().decision.map(|decision| decision.to_string());
    let decision = decision.unwrap_or_default();
    assert!(
        decision.contains("credential v1"),
        "it is watched: {decision}"
    );
    let before = sim.world().end();
    sim.world().db.set_table(&table, customers(true));
    check_shows(&mut sim, "blocked: v3 would fail");
    assert_eq!(sim.world().end(), before, "v1 was cleared on older facts");
}

#[test]
fn in_modes_warn_and_off_a_finding_stops_nothing() {
    for mode in [HintMode::Warn, HintMode::Off] {
        let mut world = world(2);
        world.desired.database.desired = v("v1");
        let table = with_a_hint(&mut world, mode);
        let mut sim = Sim::new(world, 1);
        assert!(sim.settle(HOUR), "{}", story(&sim));
        sim.world().db.set_table(&table, customers(true));
        sim.world().desired.database.desired = v("v2");
        assert!(sim.settle(HOUR), "{}", story(&sim));
        let looked = sim.world().db.looked_at_tables();
        assert_eq!(
            looked > 0,
            mode == HintMode::Warn,
            "{mode:?}: {looked} looks at tables"
        );
    }
}

#[test]
fn a_finding_is_accepted_on_the_migration_or_on_the_database_for_that_migration_alone() {
    let entry = |migration: Option<&str>| {
        let reason = "rows are removed by hand tonight";
        Accept::new(
            migration.map(v),
            "not-null-over-nulls",
            "customers".parse().unwrap(),
            reason,
        )
        .unwrap()
    };
    for (on_database, on_migration, goes_on) in [
        (Vec::new(), Vec::new(), false),
        (vec![entry(Some("v3"))], Vec::new(), false),
        (vec![entry(Some("v2"))], Vec::new(), true),
        (vec![entry(None)], Vec::new(), true),
        (Vec::new(), vec![entry(None)], true),
    ] {
        let mut world = world(2);
        world.desired.database.desired = v("v1");
        let table = with_a_hint(&mut world, HintMode::Block);
        world.desired.database.hints.accept = on_database.clone();
        let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
        migrations[1].accept = on_migration.clone();
        world.desired.chain = Chain::new(migrations);
        let mut sim = Sim::new(world, 1);
        assert!(sim.settle(HOUR), "{}", story(&sim));
        sim.world().db.set_table(&table, customers(true));
        sim.world().desired.database.desired = v("v2");
        if goes_on {
            assert!(
                sim.settle(HOUR),
                "{on_database:?}, {on_migration:?}: {}",
                story(&sim)
            );
        } else {
            check_shows(&mut sim, "blocked: v2 would fail");
        }
    }
}

#[test]
fn statements_are_tried_on_copies_only_where_somebody_asked_for_it_and_nobody_holds_the_database() {
    for (probes, paused, read_only, tried) in [
        (Probes::ReadOnly, false, false, false),
        (Probes::Scratch, true, false, false),
        (Probes::Scratch, false, true, false),
        (Probes::Scratch, false, false, true),
    ] {
        let mut world = world(2);
        world.desired.database.desired = v("v1");
        let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
        let sql = "SELECT 1; ALTER TABLE public.customers ADD COLUMN n int DEFAULT 'x';";
        migrations[1].sql = Some(SqlSource::Inline(sql.into()));
        world.desired.chain = Chain::new(migrations);
        let mut sim = Sim::new(world, 1);
        assert!(sim.settle(HOUR), "{}", story(&sim));
        let table: TableName = "public.customers".parse().unwrap();
        sim.world().db.set_table(&table, customers(false));
        let refused = Trial::Refused {
            code: "22P02".to_owned(),
            message: "a value did not fit".to_owned(),
        };
        sim.world().db.set_trial(1, refused);
        {
            let mut world = sim.world();
            let database = &mut world.desired.database;
            database.desired = v("v2");
            database.hints.mode = HintMode::Block;
            database.hints.probes = probes;
            database.paused = paused;
            database.read_only = read_only;
        }
        sim.pass(MINUTE);
        assert_eq!(
            sim.world().db.tried() > 0,
            tried,
            "{probes:?} {paused} {read_only}"
        );
        if tried {
            check_shows(
                &mut sim,
                "blocked: v2 would fail: addColumn public.customers.n int DEFAULT 'x': the server refuses it: a value \
                 did not fit (22P02)",
            );
        }
    }
}
