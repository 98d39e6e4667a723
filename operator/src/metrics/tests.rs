//! What the series show of what the engine tells. The API server and real databases are not asked here.

use std::collections::BTreeSet;

use dbop_model::health::{Check, Checked, Health, HealthNumbers, Problem, State, Unseen};
use dbop_model::sample::{MetricKind, MetricQuery, NextId, QueryValue, TableSize};
use dbop_model::table::{RowEstimate, RowSource, TableName};
use dbop_model::{
    Digest, Fact, JobFacts, JobName, JobPhase, LoginFacts, LoginName, LoginTurn, MigrationName,
    Outcome, RunRecord, Session, Why,
};
use dbop_plan::{Facts, WaitingOn, decide};
use jiff::Timestamp;

use dbop_model::visible::hostile;

use super::*;
use crate::receiver;

fn id(namespace: &str) -> ObjectRef {
    ObjectRef::new(namespace, "shop").unwrap()
}

/// Tells that a database was seen so.
fn publish(series: &Series, database: &ObjectRef, facts: &Facts) {
    publish_health(series, database, facts, &Health::default());
}

/// Likewise, with this health.
fn publish_health(series: &Series, database: &ObjectRef, facts: &Facts, health: &Health) {
    tell(series, database, facts, health, None);
}

/// Likewise, where the decided step failed.
fn publish_failure(series: &Series, database: &ObjectRef, facts: &Facts, failure: &str) {
    tell(series, database, facts, &Health::default(), Some(failure));
}

fn tell(
    series: &Series,
    database: &ObjectRef,
    facts: &Facts,
    health: &Health,
    failure: Option<&str>,
) {
    let desired = dbop_plan::example::desired(2).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let report = Report {
        desired: &desired,
        facts,
        decision: &decide(&desired, facts, now),
        failure,
        health,
        unsampled: None,
        now,
    };
    series.published(database, &report);
}

fn login(name: &str, turn: LoginTurn, sessions: Fact<usize>) -> LoginFacts {
    let name = LoginName::new(name).unwrap();
    let session = |pid| Session {
        pid,
        user: name.clone(),
        address: None,
        application: None,
        age: None,
        replica: None,
    };
    LoginFacts {
        turn,
        locked: false,
        granted: true,
        sessions: match sessions {
            Fact::Known(count) => Fact::Known((0..count as i64).map(session).collect()),
            Fact::Unknown(why) => Fact::Unknown(why),
        },
        name,
    }
}

fn record(outcome: Outcome, seconds: i64) -> Action {
    let v1 = MigrationName::new("v1").unwrap();
    Action::RecordRun {
        record: RunRecord {
            job: JobName::new("shop-v1-a").unwrap(),
            from: None,
            migration: v1,
            digest: Digest::new("d1").unwrap(),
            outcome,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::from_second(seconds).unwrap(),
            exit_code: None,
            message: String::new(),
        },
        with_database: true,
    }
}

#[track_caller]
fn shows(series: &Series, line: &str) {
    let text = series.render();
    assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
}

#[test]
fn sessions_are_those_of_both_logins_and_absent_where_they_cannot_be_seen() {
    let series = testing::series();
    let mut facts = dbop_plan::example::facts().unwrap();
    let Fact::Known(there) = &mut facts.database else {
        panic!("the example is known")
    };
    let v = |name| MigrationName::new(name).unwrap();
    let unseen = || Fact::Unknown(Why::new("no privilege"));
    there
        .logins
        .insert(v("v1"), login("a", LoginTurn::First, Fact::Known(2)));
    there
        .replaced
        .insert(v("v1"), login("b", LoginTurn::Second, Fact::Known(3)));
    there
        .logins
        .insert(v("v2"), login("c", LoginTurn::First, Fact::Known(2)));
    there
        .replaced
        .insert(v("v2"), login("d", LoginTurn::Second, unseen()));
    publish(&series, &id("shop"), &facts);
    shows(
        &series,
        r#"dba_operator_credential_sessions{namespace="shop",name="shop",migration="v1"} 5.0"#,
    );
    assert!(
        !series.render().contains(r#"migration="v2""#),
        "of one nobody knows"
    );
}

#[test]
fn what_was_done_is_counted_and_goes_with_its_object() {
    let series = testing::series();
    let facts = dbop_plan::example::facts().unwrap();
    for namespace in ["a", "b"] {
        publish(&series, &id(namespace), &facts);
    }
    shows(
        &series,
        r#"dba_operator_migrations_total{namespace="a",name="shop",result="failed"} 0.0"#,
    );
    let because = Because::DoorLeftOpen;
    for (outcome, seconds) in [
        (Outcome::Failed, 2),
        (Outcome::Completed, 20),
        (Outcome::Failed, 3),
    ] {
        series.acted(&id("a"), &record(outcome, seconds), &because);
    }
    let v1 = MigrationName::new("v1").unwrap();
    let made = Action::CreateCredential { migration: v1 };
    series.acted(&id("a"), &made, &because);
    for line in [
        r#"dba_operator_migrations_total{namespace="a",name="shop",result="failed"} 2.0"#,
        r#"dba_operator_migrations_total{namespace="a",name="shop",result="succeeded"} 1.0"#,
        r#"dba_operator_migrations_total{namespace="b",name="shop",result="failed"} 0.0"#,
        r#"dba_operator_credentials_created_total{namespace="a",name="shop"} 1.0"#,
        r#"dba_operator_migration_duration_seconds_sum{namespace="a",name="shop"} 25.0"#,
        r#"dba_operator_migration_duration_seconds_bucket{le="5.0",namespace="a",name="shop"} 2"#,
    ] {
        shows(&series, line);
    }
    series.gone(&id("a"));
    assert!(!series.render().contains(r#"namespace="a""#));
    shows(
        &series,
        r#"dba_operator_credentials_created_total{namespace="b",name="shop"} 0.0"#,
    );
    series.clear();
    assert!(!series.render().contains("namespace="), "another one leads");
}

#[test]
fn a_state_is_one_series_with_its_reason() {
    let series = testing::series();
    let mut facts = dbop_plan::example::facts().unwrap();
    facts.database = Fact::Unknown(Why::passing("no answer"));
    publish(&series, &id("shop"), &facts);
    shows(
        &series,
        r#"dba_operator_database_state{namespace="shop",name="shop",state="waiting",reason="DatabaseUnreachable"} 1.0"#,
    );
    shows(
        &series,
        r#"dba_operator_database_reachable{namespace="shop",name="shop"} 0.0"#,
    );
    publish(&series, &id("shop"), &dbop_plan::example::facts().unwrap());
    let states = series
        .render()
        .lines()
        .filter(|line| line.starts_with("dba_operator_database_state{"))
        .count();
    assert_eq!(states, 1, "the one before is gone");
    let failed = "the server says no";
    publish_failure(
        &series,
        &id("shop"),
        &dbop_plan::example::facts().unwrap(),
        failed,
    );
    shows(
        &series,
        r#"dba_operator_database_state{namespace="shop",name="shop",state="acting",reason="StepFailed"} 1.0"#,
    );
    shows(
        &series,
        r#"dba_operator_database_reachable{namespace="shop",name="shop"} 1.0"#,
    );
}

#[test]
fn a_run_that_is_under_way_is_a_series_with_its_id() {
    let series = testing::series();
    let mut facts = dbop_plan::example::facts().unwrap();
    let line = r#"dba_operator_migration_run_info{namespace="shop",name="shop",migration="v2",job_id="shop-v2-a"} 1.0"#;
    let job = JobFacts {
        name: JobName::new("shop-v2-a").unwrap(),
        from: None,
        to: MigrationName::new("v2").unwrap(),
        digest: Digest::new("d2").unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        phase: JobPhase::Running,
        finalizer: true,
    };
    facts.jobs = Fact::Known(vec![job.clone()]);
    publish(&series, &id("shop"), &facts);
    shows(&series, line);
    let complete = JobPhase::Finished {
        succeeded: true,
        exit_code: Some(0),
        message: String::new(),
        finished_at: Timestamp::UNIX_EPOCH,
    };
    facts.jobs = Fact::Known(vec![JobFacts {
        phase: complete,
        ..job
    }]);
    publish(&series, &id("shop"), &facts);
    assert!(!series.render().contains("dba_operator_migration_run_info"));
}

#[test]
fn reconciles_errors_and_the_queue_are_counted() {
    let series = testing::series();
    let database = id("shop");
    series.queued(&database);
    series.queued(&database);
    series.begun(&database, Duration::from_millis(20));
    let on = WaitingOn::Paused;
    let next = |decision, failure| Next {
        decision,
        failure,
        wake_at: Timestamp::UNIX_EPOCH,
    };
    let waits = Decision::Wait {
        on,
        wake_at: Timestamp::UNIX_EPOCH,
    };
    series.rested(
        &database,
        &next(Some(waits), None),
        Duration::from_millis(30),
    );
    let lost = DatabaseError::Lost {
        operation: "a test",
    };
    series.out_of_reach(&database, &lost);
    series.rested(
        &database,
        &next(None, Some(StepError::Database(lost))),
        Duration::ZERO,
    );
    for line in [
        "dba_operator_reconcile_queue_depth 1",
        "dba_operator_reconcile_queue_wait_seconds_count 1",
        r#"dba_operator_reconcile_duration_seconds_count{outcome="waiting"} 1"#,
        r#"dba_operator_reconcile_duration_seconds_count{outcome="failed"} 1"#,
        r#"dba_operator_reconcile_errors_total{source="database",class="transient"} 1"#,
        r#"dba_operator_sql_errors_total{reason="lost"} 2"#,
        "dba_operator_managed_databases 3",
        "dba_operator_registered_migrations 7",
        "dba_operator_leader 1",
    ] {
        shows(&series, line);
    }
}

#[test]
fn each_family_is_described_once_and_before_its_samples() {
    let series = testing::series();
    publish(&series, &id("a"), &dbop_plan::example::facts().unwrap());
    series.acted(
        &id("a"),
        &record(Outcome::Failed, 2),
        &Because::DoorLeftOpen,
    );
    let text = series.render();
    let (mut described, mut current) = (BTreeSet::new(), "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(described.insert(name), "{name} is described twice");
            assert!(help.ends_with('.'), "{help}");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        } else {
            assert!(line.starts_with(current), "{line} stands below {current}");
        }
    }
    assert!(described.len() > 12, "{described:?}");
}

#[test]
fn a_sample_is_shown_until_no_more_are_wanted() {
    let series = testing::series();
    let database = id("shop");
    let table: TableName = "app.orders".parse().unwrap();
    let sample = Sample {
        taken_at: Timestamp::UNIX_EPOCH,
        sizes_took: Duration::from_millis(250),
        next_ids_took: Duration::ZERO,
        sizes: [(
            table.clone(),
            Fact::Known(TableSize {
                rows: Fact::Known(RowEstimate {
                    rows: 5000,
                    source: RowSource::Statistics,
                    age: None,
                }),
                bytes: Fact::Unknown(Why::new("nobody knows")),
                writes_per_second: None,
            }),
        )]
        .into(),
        next_ids: [(
            table,
            Fact::Known(vec![NextId {
                column: "id".parse().unwrap(),
                next: 4,
                limit: i128::from(i32::MAX),
            }]),
        )]
        .into(),
        queries: Vec::new(),
    };
    series.sampled(&database, &sample);
    assert!(
        !series.render().contains("app.orders"),
        "nobody knows that database"
    );
    publish(&series, &database, &dbop_plan::example::facts().unwrap());
    series.sampled(&database, &sample);
    for line in [
        r#"database_table_rows_estimate{namespace="shop",name="shop",table="app.orders"} 5000.0"#,
        r#"database_table_next_id{namespace="shop",name="shop",table="app.orders",column="id"} 4.0"#,
        r#"database_table_next_id_limit{namespace="shop",name="shop",table="app.orders",column="id"} 2147483647.0"#,
        r#"database_query_duration_seconds{namespace="shop",name="shop",query="tableEstimatedSize"} 0.25"#,
    ] {
        shows(&series, line);
    }
    assert!(
        !series.render().contains("database_table_size_bytes"),
        "it is not known"
    );
    let is_age = |line: &str| line.starts_with("dba_operator_sample_age_seconds{");
    assert!(series.render().lines().any(is_age));
    series.unsampled(&database);
    let text = series.render();
    assert!(
        !text.contains("app.orders") && !text.lines().any(is_age),
        "{text}"
    );
}

fn query(name: &str, kind: MetricKind, labels: &[(&str, &str)]) -> Arc<MetricQuery> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Arc::new(MetricQuery {
        name: name.to_owned(),
        help: r"What \ it says.".to_owned(),
        kind,
        labels: labels.iter().map(own).collect(),
        sql: "SELECT 1".to_owned(),
    })
}

/// A sample in which these queries gave these numbers.
fn asked(queries: &[(&Arc<MetricQuery>, Option<f64>)]) -> Sample {
    let given = |(query, value): &(&Arc<MetricQuery>, Option<f64>)| {
        let took = Duration::from_millis(250);
        let fact = match value {
            Some(value) => Fact::Known(QueryValue {
                value: *value,
                took,
            }),
            None => Fact::Unknown(Why::new("it failed")),
        };
        (Arc::clone(query), fact)
    };
    Sample {
        taken_at: Timestamp::UNIX_EPOCH,
        sizes_took: Duration::ZERO,
        next_ids_took: Duration::ZERO,
        sizes: Default::default(),
        next_ids: Default::default(),
        queries: queries.iter().map(given).collect(),
    }
}

#[test]
fn users_numbers_are_families_of_their_own_whatever_their_labels_hold() {
    let series = testing::series();
    let facts = dbop_plan::example::facts().unwrap();
    let odd = query(
        "orders_open",
        MetricKind::Gauge,
        &[("shop", "a\"} 1\nup 0 \\")],
    );
    let plain = query("orders_open", MetricKind::Gauge, &[]);
    let paid = query("orders_paid_total", MetricKind::Counter, &[]);
    for namespace in ["a", "b"] {
        publish(&series, &id(namespace), &facts);
        let sample = asked(&[(&odd, Some(7.0)), (&plain, None), (&paid, Some(1e6))]);
        series.sampled(&id(namespace), &sample);
    }
    for line in [
        r"# HELP orders_open What \\ it says.",
        "# TYPE orders_open gauge",
        r#"orders_open{namespace="a",name="shop",shop="a\"} 1\nup 0 \\"} 7.0"#,
        "# TYPE orders_paid_total counter",
        r#"orders_paid_total{namespace="b",name="shop"} 1000000.0"#,
        r#"database_query_duration_seconds{namespace="a",name="shop",query="orders_open"} 0.25"#,
    ] {
        shows(&series, line);
    }
    let text = series.render();
    assert!(!text.lines().any(|line| line.starts_with("up ")), "{text}");
    assert_eq!(text.matches("# TYPE orders_open ").count(), 1, "{text}");
}

#[test]
fn whatever_names_and_labels_hold_each_line_of_a_scrape_is_harmless() {
    let facts = dbop_plan::example::facts().unwrap();
    for text in hostile::texts() {
        let series = testing::series();
        publish(&series, &id("a"), &facts);
        let odd = query("orders_open", MetricKind::Gauge, &[("shop", &text)]);
        series.sampled(&id("a"), &asked(&[(&odd, Some(7.0))]));
        let lines = series.render().matches('\n').count();
        let shown = receiver::exposed(Some(&series), &receiver::Metrics::default());
        assert_eq!(shown.matches('\n').count(), lines, "{shown}");
        for line in shown.split('\n') {
            assert_eq!(hostile::harm(line), "", "{line}");
            assert!(!line.starts_with(hostile::FORGED), "{shown}");
        }
        // A reader of the format finds the value, with what was harmful spelled out.
        let families = receiver::exposition::parse(&shown).unwrap();
        let labels = &families["orders_open"].samples[0].labels;
        let expect = text.replace(['\t', '\r'], " ");
        let expect: Vec<String> = expect
            .split('\n')
            .map(|one| {
                one.chars()
                    .map(|c| match hostile::HARMFUL.contains(&c) {
                        true => format!("\\u{{{:x}}}", u32::from(c)),
                        false => c.to_string(),
                    })
                    .collect()
            })
            .collect();
        assert_eq!(labels["shop"], expect.join("\n"));
    }
}

#[test]
fn health_is_shown_by_check_and_absent_where_it_is_not_known() {
    let series = testing::series();
    let (database, facts) = (id("shop"), dbop_plan::example::facts().unwrap());
    let checked = |check, state| Checked { check, state };
    let problem = Problem {
        table: None,
        message: "90 % are used".to_owned(),
        advice: "end some".to_owned(),
    };
    let mut health = Health {
        checks: vec![
            checked(Check::Connections, State::Degraded(vec![problem])),
            checked(Check::Bloat, State::Ok),
            checked(Check::Disk, State::Unknown(Why::new("not told"))),
        ],
        unseen: None,
    };
    publish_health(&series, &database, &facts, &health);
    for line in [
        r#"dba_operator_database_healthy{namespace="shop",name="shop"} 0.0"#,
        r#"dba_operator_health_check{namespace="shop",name="shop",check="Connections"} 0.0"#,
        r#"dba_operator_health_check{namespace="shop",name="shop",check="Bloat"} 1.0"#,
    ] {
        shows(&series, line);
    }
    assert!(!series.render().contains(r#"check="Disk""#));
    health.checks.remove(0);
    publish_health(&series, &database, &facts, &health);
    shows(
        &series,
        r#"dba_operator_database_healthy{namespace="shop",name="shop"} 1.0"#,
    );
    health.unseen = Some(Unseen::NotYet);
    publish_health(&series, &database, &facts, &health);
    assert!(!series.render().contains("dba_operator_database_healthy{"));
}

#[test]
fn numbers_of_a_look_are_shown_as_far_as_they_are_known() {
    let series = testing::series();
    let database = id("shop");
    let numbers = HealthNumbers {
        connections_used: Some(12),
        connections_max: Some(97),
        replication_lag: Some(Duration::from_millis(1500)),
        oldest_transaction: Some(Duration::ZERO),
        bytes: Some(1 << 30),
    };
    series.examined(&database, &numbers);
    assert!(
        !series.render().contains("database_size_bytes"),
        "nobody knows that database"
    );
    publish(&series, &database, &dbop_plan::example::facts().unwrap());
    series.examined(&database, &numbers);
    for line in [
        r#"database_connections_used{namespace="shop",name="shop"} 12.0"#,
        r#"database_connections_max{namespace="shop",name="shop"} 97.0"#,
        r#"database_replication_lag_seconds{namespace="shop",name="shop"} 1.5"#,
        r#"database_oldest_transaction_seconds{namespace="shop",name="shop"} 0.0"#,
        r#"database_size_bytes{namespace="shop",name="shop"} 1073741824.0"#,
    ] {
        shows(&series, line);
    }
    let unknown = HealthNumbers::default();
    series.examined(&database, &unknown);
    for family in [
        "database_connections",
        "database_replication",
        "database_size",
        "database_oldest",
    ] {
        assert!(!series.render().contains(family), "{family}");
    }
}

/// What docs/operate.md says of how many series there are.
#[test]
fn a_database_has_as_many_series_as_the_docs_say() {
    let docs = include_str!("../../../docs/operate.md");
    let series = testing::series();
    let database = id("shop");
    let mut so_far = 0;
    let mut more = |series: &Series, what: &str| {
        let text = series.render();
        let lines = text.lines();
        let own = lines.filter(|line| line.contains(r#"name="shop""#)).count();
        let row = format!("| {what} | {} |", own - so_far);
        so_far = own;
        assert!(docs.contains(&row), "docs/operate.md says it: {row}");
    };
    let mut facts = dbop_plan::example::facts().unwrap();
    if let Fact::Known(there) = &mut facts.database {
        there.logins.clear();
    }
    let well = |check| Checked {
        check,
        state: State::Ok,
    };
    let health = Health {
        checks: Check::ALL.map(well).into(),
        ..Health::default()
    };
    publish_health(&series, &database, &facts, &health);
    let numbers = HealthNumbers {
        connections_used: Some(12),
        connections_max: Some(97),
        replication_lag: Some(Duration::ZERO),
        oldest_transaction: Some(Duration::ZERO),
        bytes: Some(1 << 30),
    };
    series.examined(&database, &numbers);
    more(&series, "a database");
    if let Fact::Known(there) = &mut facts.database {
        let v1 = MigrationName::new("v1").unwrap();
        there
            .logins
            .insert(v1, login("a", LoginTurn::First, Fact::Known(2)));
    }
    publish_health(&series, &database, &facts, &health);
    more(&series, "each credential");
    series.acted(
        &database,
        &record(Outcome::Completed, 2),
        &Because::DoorLeftOpen,
    );
    more(&series, "once a migration has run");
    let mut sample = asked(&[]);
    series.sampled(&database, &sample);
    more(&series, "`spec.metrics`");
    let table: TableName = "orders".parse().unwrap();
    let size = TableSize {
        rows: Fact::Known(RowEstimate {
            rows: 5000,
            source: RowSource::Statistics,
            age: None,
        }),
        bytes: Fact::Known(1),
        writes_per_second: Some(0.0),
    };
    let an_id = NextId {
        column: "id".parse().unwrap(),
        next: 4,
        limit: 5,
    };
    sample.sizes = [(table.clone(), Fact::Known(size.clone()))].into();
    sample.next_ids = [(table, Fact::Known(vec![an_id.clone()]))].into();
    series.sampled(&database, &sample);
    more(&series, "the first table of both lists in it");
    let other: TableName = "customers".parse().unwrap();
    sample.sizes.insert(other.clone(), Fact::Known(size));
    series.sampled(&database, &sample);
    more(&series, "each further one of `tableEstimatedSize`");
    sample.next_ids.insert(other, Fact::Known(vec![an_id]));
    series.sampled(&database, &sample);
    more(&series, "each further column that counts, of `tableNextId`");
    let orders = query("orders_open", MetricKind::Gauge, &[]);
    sample.queries = asked(&[(&orders, Some(7.0))]).queries;
    series.sampled(&database, &sample);
    more(&series, "each query");
}
