//! What `/metrics` shows of a walk: who leads, what was done, what tables are like; and that it goes with its object.

use dbop_tests::kubernetes::{NAME, Operator, Stage};
use dbop_tests::local::until;
use dbop_tests::prometheus;
use serde_json::{Value, json};

use crate::{API_SERVER, STAGES, WALK, at_v2};

/// Scrapes in a row: were a statement made for one, so many would be seen.
const SCRAPES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_a_walk_and_end_with_it() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let (stage, a) = at_v2("metrics").await;
    let b = stage.operator("b").await;
    b.waits(WALK).await;
    let of = format!(r#"namespace="{}",name="{NAME}""#, stage.namespace);

    let text = a.metrics().await;
    for line in [
        "dba_operator_leader 1".to_owned(),
        "dba_operator_managed_databases 1".to_owned(),
        "dba_operator_registered_migrations 6".to_owned(),
        format!("dba_operator_migration_jobs_spawned_total{{{of}}} 2.0"),
        format!(r#"dba_operator_migrations_total{{{of},result="succeeded"}} 2.0"#),
        format!(r#"dba_operator_migrations_total{{{of},result="failed"}} 0.0"#),
        format!("dba_operator_migration_duration_seconds_count{{{of}}} 2"),
        format!("dba_operator_credentials_created_total{{{of}}} 2.0"),
        format!(r#"dba_operator_credential_sessions{{{of},migration="v2"}} 0.0"#),
        format!(r#"dba_operator_database_state{{{of},state="at_rest",reason="AtRest"}} 1.0"#),
        format!("dba_operator_database_reachable{{{of}}} 1.0"),
    ] {
        assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
    }
    let waiting = b.metrics().await;
    assert!(
        waiting.lines().any(|line| line == "dba_operator_leader 0"),
        "{waiting}"
    );
    assert!(!waiting.contains(&stage.namespace), "{waiting}");

    samples(&stage, &a, &of).await;

    let at = format!("{}/{NAME}", stage.path("manageddatabases"));
    let gone = stage.api.send(http::Method::DELETE, &at, None).await;
    assert!(gone.is_ok(), "{gone:?}");
    until("its series are gone", WALK, async || {
        let text = a.metrics().await;
        text.contains("dba_operator_managed_databases 0") && !text.contains(&stage.namespace)
    })
    .await;
    a.stop().await;
    b.stop().await;
    stage.leave().await;
}

/// `spec.metrics` is heard of at once; of two tables one is not there, which harms the other one not.
async fn samples(stage: &Stage, a: &Operator, of: &str) {
    let at = format!("{}/{NAME}", stage.path("manageddatabases"));
    let query =
        |name: &str, query: &str| json!({ "name": name, "help": "A test.", "query": query });
    let queries = [
        query("steps_done", "SELECT count(*) FROM steps"),
        query("steps_broken", "SELECT pg_sleep(60)::text::int"),
    ];
    let wanted =
        json!({ "interval": "10s", "tableEstimatedSize": ["steps", "gone"], "sqlQuery": queries });
    let change = json!({ "spec": { "metrics": wanted } });
    stage.api.change(&at, &change).await;
    let size = format!(r#"database_table_size_bytes{{{of},table="steps"}} "#);
    until("steps is measured", WALK, async || {
        a.metrics().await.contains(&size)
    })
    .await;
    let text = a.metrics().await;
    assert!(
        text.contains(&format!("dba_operator_sample_age_seconds{{{of}}} ")),
        "{text}"
    );
    assert!(!text.contains(r#"table="gone""#), "{text}");
    until("a user's query gives its number", WALK, async || {
        a.metrics().await.contains(&format!("steps_done{{{of}}} "))
    })
    .await;
    let text = a.metrics().await;
    assert!(!text.contains("steps_broken{"), "{text}");
    // All families are there by now but those of what failed.
    assert_eq!(prometheus::complaints(&text), "");
    let notes = [
        "spec.metrics.tableEstimatedSize[1]: there is no table gone",
        "spec.metrics.sqlQuery[1] (steps_broken): the query took longer than 5 s",
    ];
    let events = stage.events();
    until("the Events name the fields", WALK, async || {
        let events = stage.api.list(&events).await;
        let is_of = |event: &Value, note: &str| {
            event["reason"] == "MetricUnavailable" && event["note"] == note
        };
        notes
            .iter()
            .all(|note| events.iter().any(|event| is_of(event, note)))
    })
    .await;

    // The sampler and the heartbeat make some statements meanwhile, by chance; scrapes none.
    let statements = || {
        stage
            .door
            .said()
            .iter()
            .filter(|said| said.pid == a.id())
            .count()
    };
    let mut fewest = usize::MAX;
    for _ in 0..3 {
        let before = statements();
        for _ in 0..SCRAPES {
            a.metrics().await;
        }
        fewest = fewest.min(statements() - before);
    }
    assert!(
        fewest < SCRAPES / 2,
        "{fewest} statements in {SCRAPES} scrapes"
    );

    slow_queries_delay_nothing(stage, &at).await;

    let change = json!({ "spec": { "metrics": null } });
    stage.api.change(&at, &change).await;
    until("no more samples are shown", WALK, async || {
        !a.metrics().await.contains(r#"table="steps""#)
    })
    .await;
}

/// While a user's query is on its way, and has been from before a change to after it, the change is looked at; and a walk
/// comes to its end beside queries that are slow all the time.
async fn slow_queries_delay_nothing(stage: &Stage, at: &str) {
    let slow = |nth: usize| {
        json!({ "name": format!("steps_slow_{nth}"), "help": "A test.",
            "query": "SELECT count(*) FROM pg_sleep(60)" })
    };
    let queries: Vec<Value> = (0..3).map(slow).collect();
    let change = json!({ "spec": { "metrics": { "sqlQuery": queries } } });
    stage.api.change(at, &change).await;
    let server = stage.database.superuser().await;
    let asked = async || {
        let query = "SELECT query_start::text FROM pg_stat_activity WHERE datname = current_database() \
                     AND state = 'active' AND usename LIKE '%reader%' AND wait_event = 'PgSleep'";
        let row = server.query_opt(query, &[]).await.expect("it answers");
        row.map(|row| row.get::<_, String>(0))
    };
    let mut nth = 0;
    until("a change is looked at during a query", WALK, async || {
        let Some(before) = asked().await else {
            return false;
        };
        nth += 1;
        let change =
            json!({ "spec": { "credentials": { "quietWindow": format!("{}ms", 1000 + nth) } } });
        stage.api.change(at, &change).await;
        // It is null until a pass has come to it.
        while stage.status(NAME).await["summary"].is_null() {}
        asked().await == Some(before)
    })
    .await;
    stage.desire("v3").await;
    stage.at_rest("v3", WALK).await;
}
