//! Plans as people read them, from small forecasts of the planner's own.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_engine::worker::Plan;
use dbop_model::finding::{Judgement, Verdict};
use dbop_model::{Fact, LoginFacts, MigrationName, ObservedVersion, SchemaVersion, Session};
use dbop_plan::{Facts, SecretFacts, example, forecast};
use jiff::Timestamp;

use super::build;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn name(text: &str) -> MigrationName {
    MigrationName::new(text).unwrap()
}

/// A database at `version` with working credentials.
fn facts_at(version: &str, credentials: &[&str]) -> Facts {
    let mut facts = example::facts().unwrap();
    let Fact::Known(database) = &mut facts.database else {
        panic!("the example is reachable")
    };
    database.version = Fact::Known(ObservedVersion::At(SchemaVersion::new(version).unwrap()));
    database.has_tables = true;
    database.roles_ready = true;
    database.claim = dbop_model::Claim::Ours(dbop_model::ClaimId::new("9f31").unwrap());
    for credential in credentials {
        let login = LoginFacts {
            turn: dbop_model::LoginTurn::First,
            name: dbop_model::LoginName::new(format!("shop_{credential}_9f31")).unwrap(),
            locked: false,
            granted: true,
            sessions: Fact::Known(Vec::new()),
        };
        database.logins.insert(name(credential), login);
        if let Fact::Known(secrets) = &mut facts.secrets {
            secrets.insert(
                name(credential),
                SecretFacts {
                    intact: true,
                    issued_at: None,
                },
            );
        }
        facts
            .proofs
            .insert(name(credential), dbop_model::Proof::Works);
    }
    facts
}

fn use_by(facts: &mut Facts, credential: &str, pids: &[i64]) {
    let Fact::Known(database) = &mut facts.database else {
        panic!("the example is reachable")
    };
    let login = database.logins.get_mut(&name(credential)).unwrap();
    let user = login.name.clone();
    let session = |pid: &i64| Session {
        pid: *pid,
        user: user.clone(),
        address: Some("10.1.4.7".to_owned()),
        application: Some("shop-api".to_owned()),
        age: Some(Duration::from_secs(11_520)),
        replica: None,
    };
    login.sessions = Fact::Known(pids.iter().map(session).collect());
}

fn plan(count: usize, facts: Facts) -> Plan {
    let desired = example::desired(count).unwrap();
    let forecast = forecast::forecast(&desired, &facts, &BTreeMap::new(), NOW);
    Plan {
        desired,
        facts,
        judgements: BTreeMap::new(),
        forecast,
    }
}

#[track_caller]
fn check(plan: &Plan, expect: &str) {
    let Fact::Known(database) = &plan.facts.database else {
        panic!("the example is reachable")
    };
    let view = build(plan, &database.server, NOW);
    let text = view.to_string();
    assert_eq!(text, expect.trim_matches('\n'), "\n{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    serde_json::to_string(&view).unwrap();
}

#[test]
fn an_empty_database() {
    check(
        &plan(2, example::facts().unwrap()),
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): empty -> v2, two migrations

  1. v1                                                    Job, from the empty database, as migrator
     hints    not judged: hints.mode is Off

  2. v2                                                                    Job, from v1, as migrator
     hints    not judged: hints.mode is Off
     create   credential v1 -> Secret shop/shop-v1
     create   credential v2 -> Secret shop/shop-v2

Nothing has been changed. Step 1 can start now. Later migrations are judged again when they are
reached.
",
    );
}

#[test]
fn a_session_is_in_the_way() {
    let mut facts = facts_at("v2", &["v1", "v2"]);
    use_by(&mut facts, "v1", &[4711, 4712]);
    check(
        &plan(4, facts),
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): v2 -> v4, two migrations

  1. v3                                                                    Job, from v2, as migrator
     hints    not judged: hints.mode is Off
     retire   credential v1   WAITS: 2 sessions (pid 4711, 4712; user shop_v1_9f31; from 10.1.4.7;
                              shop-api; oldest 3 h 12 min)

  2. v4                                                                    Job, from v3, as migrator
     hints    not judged: hints.mode is Off
     retire   credential v2   once it has been unused for 60 s
     create   credential v3 -> Secret shop/shop-v3
     create   credential v4 -> Secret shop/shop-v4

Nothing has been changed. Step 1 can start when credential v1 is unused. Later migrations are judged
again when they are reached.
",
    );
}

#[test]
fn at_rest() {
    check(
        &plan(2, facts_at("v2", &["v1", "v2"])),
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): at v2, at rest

Nothing to do.
",
    );
}

#[test]
fn blocked_before_the_first_step() {
    check(
        &plan(2, facts_at("v9", &[])),
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): at version v9, desired v2

  blocked: the database is at version v9, which no migration of this chain has (known: v1, v2);
           create that migration, or restore the version

Nothing has been changed.
",
    );
}

#[test]
fn paused_shows_what_would_happen() {
    let mut plan = plan(2, facts_at("v1", &["v1"]));
    plan.desired.database.paused = true;
    plan.forecast = forecast::forecast(&plan.desired, &plan.facts, &BTreeMap::new(), NOW);
    check(
        &plan,
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): v1 -> v2, one migration

  1. v2                                                                    Job, from v1, as migrator
     hints    not judged: hints.mode is Off
     create   credential v2 -> Secret shop/shop-v2

waits: paused by a person; set spec.paused to false to go on

Nothing has been changed. Step 1 cannot start before that.
",
    );
}

#[test]
fn hints_stand_under_their_operation() {
    let mut plan = plan(3, facts_at("v1", &["v1"]));
    plan.desired.database.hints = dbop_model::finding::HintPolicy::default();
    let operation = |text: &str| {
        let column = dbop_model::operation::Column::new(text.parse().unwrap())
            .with_type("text".parse().unwrap())
            .with_nullable(true);
        let table = "customers".parse().unwrap();
        dbop_model::operation::Operation::add_column(table, vec![column]).unwrap()
    };
    let operations = [operation("full_name"), operation("nick_name")];
    let migrations: Vec<_> = plan
        .desired
        .chain
        .iter()
        .cloned()
        .map(|mut migration| {
            migration.hints = match migration.name.as_str() {
                "v2" => Some(operations.to_vec()),
                "v3" => Some(vec![operations[0].clone()]),
                _ => None,
            };
            migration
        })
        .collect();
    plan.desired.chain = dbop_model::Chain::new(migrations);
    let finding =
        |operation: usize, rule: &str, verdict, claim: &str| dbop_model::finding::Finding {
            rule: rule.to_owned(),
            verdict,
            operation: operations[operation].to_string(),
            table: "customers".parse().unwrap(),
            claim: claim.to_owned(),
            evidence: vec![],
            effect: None,
            advice: vec!["do something else".to_owned()],
            accepted: None,
        };
    let judgement = |findings| Judgement {
        analysed: true,
        predicted: Vec::new(),
        findings,
        not_judged: vec![],
        not_tried: Vec::new(),
        taken_at: NOW,
    };
    let clean = finding(
        0,
        "add-column-large-table",
        Verdict::Clean,
        "customers is small",
    );
    let blocks = finding(
        1,
        "add-column-large-table",
        Verdict::Blocks,
        "customers is large",
    );
    let missing = finding(
        0,
        "missing-object",
        Verdict::WillFail,
        "there is no table customers",
    );
    plan.judgements
        .insert(name("v2"), judgement(vec![clean, blocks]));
    plan.judgements.insert(name("v3"), judgement(vec![missing]));
    plan.facts.hints = Some(dbop_plan::Hints {
        migration: name("v2"),
        judged: Fact::Known(plan.judgements[&name("v2")].clone()),
    });
    plan.forecast = forecast::forecast(&plan.desired, &plan.facts, &BTreeMap::new(), NOW);
    check(
        &plan,
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): v1 -> v3, two migrations

  1. v2                                                                                      BLOCKED
     hints    addColumn customers.full_name text NULL
                clean: customers is small
              addColumn customers.nick_name text NULL
                blocks: customers is large

shop  v2   BLOCKS
  customers is large
  for      addColumn customers.nick_name text NULL
  do       do something else
           or accept it on the DatabaseMigration:
           accept: [{rule: add-column-large-table, table: customers, reason: ...}]
  more     docs/rules/add-column-large-table

Nothing has been changed. Step 1 cannot start before the findings are resolved or accepted.
",
    );
    plan.desired.database.hints.mode = dbop_model::finding::HintMode::Warn;
    plan.forecast = forecast::forecast(&plan.desired, &plan.facts, &BTreeMap::new(), NOW);
    check(
        &plan,
        "
shop (PostgreSQL 18.0, db.shop:5432/shop): v1 -> v3, two migrations

  1. v2                                                                    Job, from v1, as migrator
     hints    addColumn customers.full_name text NULL
                clean: customers is small
              addColumn customers.nick_name text NULL
                blocks: customers is large
     create   credential v2 -> Secret shop/shop-v2

  2. v3                                                                    Job, from v2, as migrator
     hints    addColumn customers.full_name text NULL
              judged when reached: there is no table customers
     retire   credential v1   once it has been unused for 60 s
     create   credential v3 -> Secret shop/shop-v3

shop  v2   BLOCKS
  customers is large
  for      addColumn customers.nick_name text NULL
  do       do something else
           or accept it on the DatabaseMigration:
           accept: [{rule: add-column-large-table, table: customers, reason: ...}]
  more     docs/rules/add-column-large-table

Nothing has been changed. Step 1 can start now. Later migrations are judged again when they are
reached.
",
    );
}
