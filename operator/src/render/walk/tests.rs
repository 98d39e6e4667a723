//! A walk as people watch it.

use std::collections::BTreeSet;

use dbop_engine::Report;
use dbop_model::health::Health;
use dbop_model::{
    Fact, JobFacts, JobName, JobPhase, LoginFacts, MigrationName, ObservedVersion, SchemaVersion,
    Session,
};
use dbop_plan::{Desired, Facts, decide, example};
use jiff::Timestamp;

use super::{WalkView, view};
use crate::receiver::RunMetrics;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn name(text: &str) -> MigrationName {
    MigrationName::new(text).unwrap()
}

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
                dbop_plan::SecretFacts {
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

fn use_v(facts: &mut Facts, credential: &str) {
    let Fact::Known(database) = &mut facts.database else {
        panic!("the example is reachable")
    };
    let login = database.logins.get_mut(&name(credential)).unwrap();
    let session = Session {
        pid: 4711,
        user: login.name.clone(),
        address: Some("10.1.4.7".to_owned()),
        application: None,
        age: None,
        replica: None,
    };
    login.sessions = Fact::Known(vec![session]);
}

fn job(to: &str, phase: JobPhase) -> JobFacts {
    JobFacts {
        name: JobName::new(format!("shop-{to}")).unwrap(),
        from: None,
        to: name(to),
        digest: dbop_model::Digest::new("d").unwrap(),
        created_at: at(100),
        phase,
        finalizer: true,
    }
}

fn seen(desired: &Desired, facts: &Facts, failure: Option<&str>) -> WalkView {
    let decision = decide(desired, facts, at(0));
    let report = Report {
        desired,
        facts,
        decision: &decision,
        failure,
        health: &Health::default(),
        unsampled: None,
        now: at(0),
    };
    view(&report)
}

#[track_caller]
fn check(view: &WalkView, retired: &[&str], metrics: Option<RunMetrics>, now: i64, expect: &str) {
    let retired: BTreeSet<MigrationName> = retired.iter().map(|one| name(one)).collect();
    let lines = view.live("shop", &retired, metrics.as_ref(), at(now), 100);
    let text = lines.join("\n");
    assert_eq!(text, expect.trim_matches('\n'), "\n{text}");
}

#[test]
fn a_migration_runs() {
    let mut facts = facts_at("v2", &["v2"]);
    use_v(&mut facts, "v2");
    facts.jobs = Fact::Known(vec![job("v3", JobPhase::Running)]);
    let view = seen(&example::desired(3).unwrap(), &facts, None);
    let metrics = RunMetrics {
        completion: Some(0.61),
        items: Some(128_400),
        ..RunMetrics::default()
    };
    check(
        &view,
        &["v1"],
        Some(metrics),
        112,
        "
shop  v1 ✓  v2 ✓  v3 ▸ [█████████░░░░░░]  61 %   128,400 items   0:12, about 0:07 left
      credentials  v1 retired   v2 in use by pid 4711 (10.1.4.7)   v3 -
",
    );
    check(
        &view,
        &[],
        None,
        163,
        "
shop  v1 ✓  v2 ✓  v3 ▸ running   1:03
      credentials  v2 in use by pid 4711 (10.1.4.7)   v3 -
",
    );
}

#[test]
fn a_session_is_waited_for() {
    let mut facts = facts_at("v2", &["v1", "v2"]);
    use_v(&mut facts, "v1");
    check(
        &seen(&example::desired(3).unwrap(), &facts, None),
        &[],
        None,
        0,
        "
shop  v1 ✓  v2 ✓  v3 ·
      credentials  v1 in use by pid 4711 (10.1.4.7)   v2 unused   v3 -
      waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31, from 10.1.4.7);
        its code cannot live with v3: deploy the application of v2 first
",
    );
}

#[test]
fn a_long_way_is_cut_to_where_it_is() {
    let desired = example::desired(30).unwrap();
    check(
        &seen(&desired, &facts_at("v15", &[]), Some("the server is gone")),
        &[],
        None,
        0,
        "
shop  …  v12 ✓  v13 ✓  v14 ✓  v15 ✓  v16 ·  v17 ·  v18 ·  v19 ·  … v30 ·
      credentials  v30 -
      failed, tried again: run v16 on v15: v16 is on the way to v30: the server is gone
",
    );
    check(
        &seen(
            &example::desired(2).unwrap(),
            &facts_at("v2", &["v1", "v2"]),
            None,
        ),
        &[],
        None,
        0,
        "
shop  v1 ✓  v2 ✓  at rest, at v2
      credentials  v1 unused   v2 unused
",
    );
}
