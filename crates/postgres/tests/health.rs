//! Facts of health against real PostgreSQL, as the least admin: what is wrong is found, what is hidden is unknown.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::time::{Duration, Instant};

use dbop_model::Fact;
use dbop_model::health::{HealthFacts, Lag, Listed};
use dbop_postgres::facts::health;
use support::{connect, each, name, noon};
use tokio_postgres::Client;

async fn seen(client: &Client) -> HealthFacts {
    health(client, noon).await.unwrap()
}

#[track_caller]
fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    fact.as_result().unwrap_or_else(|why| panic!("{why}"))
}

#[track_caller]
fn hidden<T>(listed: &Listed<T>) -> String {
    listed.hidden.as_ref().unwrap().to_string()
}

#[tokio::test]
async fn tables_are_told_by_what_is_wrong_with_them() {
    let setup = "
        CREATE SCHEMA app;
        CREATE TABLE app.log (line text);
        CREATE TABLE app.\"Odd one\" (id int);
        CREATE TABLE app.orders (id serial PRIMARY KEY, email text);
        CREATE TABLE app.small (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
        CREATE TABLE app.wide (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
        CREATE TABLE app.down (id int PRIMARY KEY);
        CREATE SEQUENCE app.down_id AS int INCREMENT -1 OWNED BY app.down.id;
        CREATE TABLE app.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM (0) TO (10);
        CREATE TEMPORARY TABLE passing (id int);
        SELECT setval('app.orders_id_seq', 2000000000);
        SELECT setval('app.small_id_seq', 9);
        SELECT setval('app.down_id', -1073741824);
        INSERT INTO app.orders (id, email) VALUES (1, 'a'), (2, 'a');";
    for (major, _database, client) in each(setup).await {
        let built = "CREATE UNIQUE INDEX CONCURRENTLY orders_email ON app.orders (email)";
        client.batch_execute(built).await.unwrap_err();
        let facts = seen(&client).await;

        let keyless = known(&facts.keyless);
        let expect = [name("app.\"Odd one\""), name("app.log")];
        assert_eq!(keyless.listed, expect, "{major}");
        assert_eq!((keyless.more, &keyless.hidden), (0, &None), "{major}");

        let invalid = known(&facts.invalid_indexes);
        assert_eq!(invalid.listed.len(), 1, "{major}: {invalid:?}");
        assert_eq!(invalid.listed[0].index, "orders_email", "{major}");
        assert_eq!(invalid.listed[0].table, name("app.orders"), "{major}");

        let ids = known(&facts.ids);
        let told: Vec<(String, i128, i128)> = ids
            .listed
            .iter()
            .map(|id| (format!("{}.{}", id.table, id.column), id.next, id.limit))
            .collect();
        let int = i128::from(i32::MAX);
        let expect = [
            ("app.orders.id".to_owned(), 2_000_000_001, int),
            ("app.down.id".to_owned(), -1_073_741_825, -int - 1),
            ("app.small.id".to_owned(), 10, 32_767),
        ];
        assert_eq!(told, expect, "{major}: the widest is never used up");
        assert_eq!(ids.hidden, None, "{major}");

        assert!(*known(&facts.bytes) > 1 << 20, "{major}");
        let ages = known(&facts.transaction_ids);
        assert_eq!(ages.len(), 2, "{major}: {ages:?}");
        assert!(
            ages[0].age > 0 && ages[0].age < ages[0].freeze_at,
            "{major}: {ages:?}"
        );
        assert_eq!(ages[0].freeze_at, 200_000_000, "{major}");
    }
}

#[tokio::test]
async fn dead_rows_are_counted() {
    let setup = "
        CREATE TABLE emptied (id int PRIMARY KEY) WITH (autovacuum_enabled = off);
        CREATE TABLE full_ (id int PRIMARY KEY) WITH (autovacuum_enabled = off);
        INSERT INTO emptied SELECT generate_series(1, 20000);
        INSERT INTO full_ SELECT generate_series(1, 20000);
        DELETE FROM emptied WHERE id > 5000;";
    for (major, _database, client) in each(setup).await {
        let mut bloat = known(&seen(&client).await.bloat).clone();
        // Sessions tell what they counted a moment later.
        for _ in 0..100 {
            if !bloat.listed.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            bloat = known(&seen(&client).await.bloat).clone();
        }
        assert_eq!(bloat.listed.len(), 1, "{major}: {bloat:?}");
        let one = &bloat.listed[0];
        assert_eq!(one.table, name("public.emptied"), "{major}");
        assert!((one.share - 0.75).abs() < 0.01, "{major}: {one:?}");
        assert!(one.bytes > 500_000, "{major}: {one:?}");
    }
}

#[tokio::test]
async fn sessions_and_transactions_are_seen_as_far_as_they_are_shown() {
    for (major, database, client) in each("CREATE TABLE t (id int PRIMARY KEY)").await {
        let before = known(&seen(&client).await.connections)[0].clone();
        let other = database.superuser().await;
        other.batch_execute("BEGIN; SELECT 1").await.unwrap();
        let mine = connect(&database.admin_dsn()).await;
        mine.batch_execute("BEGIN; SELECT 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;

        let facts = seen(&client).await;
        let connections = known(&facts.connections);
        assert_eq!(connections.len(), 1, "{major}: the database has no limit");
        let server = &connections[0];
        // Other tests connect and leave meanwhile.
        assert!(server.used >= 3, "{major}: {before:?} {server:?}");
        assert!(
            server.reserved >= 3 && server.max > server.reserved,
            "{major}"
        );

        let open = known(&facts.transactions);
        let admins = open.listed.len();
        assert_eq!(admins, 1, "{major}: {open:?}");
        assert!(open.listed[0].age >= Duration::from_millis(250), "{major}");
        let why = hidden(open);
        assert!(why.contains("GRANT pg_read_all_stats TO"), "{major}: {why}");
        assert_eq!(facts.numbers().oldest_transaction, None, "{major}");

        let grant = format!("GRANT pg_read_all_stats TO {}", database.admin());
        let limit = format!("ALTER DATABASE {} CONNECTION LIMIT 50", database.name());
        other.batch_execute("COMMIT").await.unwrap();
        other.batch_execute(&grant).await.unwrap();
        other.batch_execute(&limit).await.unwrap();
        other.batch_execute("BEGIN; SELECT 1").await.unwrap();
        let facts = seen(&client).await;
        let open = known(&facts.transactions);
        assert_eq!(
            (open.listed.len(), &open.hidden),
            (2, &None),
            "{major}: {open:?}"
        );
        let connections = known(&facts.connections);
        assert_eq!(connections[1].max, 50, "{major}");
        assert_eq!(connections[1].used, 3, "{major}: {connections:?}");
        assert!(
            facts.numbers().oldest_transaction.unwrap() > Duration::ZERO,
            "{major}"
        );
        assert!(
            facts.numbers().connections_max < Some(server.max),
            "{major}"
        );
    }
}

#[tokio::test]
async fn a_sequence_that_may_not_be_read_is_said_to_be_hidden() {
    for (major, database, client) in each("CREATE SCHEMA app").await {
        let person = database.superuser().await;
        let table = "CREATE TABLE app.theirs (id serial PRIMARY KEY)";
        person.batch_execute(table).await.unwrap();
        let ids = known(&seen(&client).await.ids).clone();
        assert!(ids.listed.is_empty(), "{major}: {ids:?}");
        let why = hidden(&ids);
        assert!(
            why.contains("the sequence of app.theirs; GRANT SELECT"),
            "{major}: {why}"
        );
    }
}

#[tokio::test]
async fn a_slot_that_nobody_reads_is_a_replica_that_does_not_follow() {
    for (major, database, client) in each("").await {
        let person = database.superuser().await;
        let slot = format!(
            "gone_{}",
            database
                .name()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        );
        let slot = slot.to_lowercase();
        let made = format!("SELECT pg_create_physical_replication_slot('{slot}', true)");
        person.batch_execute(&made).await.unwrap();
        let facts = seen(&client).await;
        person
            .batch_execute(&format!("SELECT pg_drop_replication_slot('{slot}')"))
            .await
            .unwrap();
        let replicas = known(&facts.replicas);
        let one = replicas
            .iter()
            .find(|one| one.replica == format!("of slot {slot}"));
        let lag = known(&one.unwrap().lag);
        assert!(
            matches!(lag, Lag::Stopped(why) if why.contains("keeps its log")),
            "{major}: {lag:?}"
        );
    }
}

/// Many tables cost milliseconds: the statements are the catalogue's, and there is one of each.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it measures")]
async fn a_look_is_cheap() {
    let setup = "DO $$ BEGIN FOR i IN 1..1000 LOOP
            EXECUTE format('CREATE TABLE t%s (id serial, x int)', i);
        END LOOP; END $$";
    for (major, _database, client) in each(setup).await {
        seen(&client).await;
        let began = Instant::now();
        let facts = seen(&client).await;
        let took = began.elapsed();
        println!("PostgreSQL {major}: {took:?} with 1000 tables");
        let keyless = known(&facts.keyless);
        assert_eq!((keyless.listed.len(), keyless.more), (200, 800), "{major}");
        assert_eq!(known(&facts.ids).listed.len(), 200, "{major}");
        assert!(took < Duration::from_secs(5), "{major}: {took:?}");
    }
}
