//! The example migrations of `deploy/examples/migrationcontainer`: an application of the first
//! release and one of the next go on through every step that promises it.

use std::path::Path;

use crate::support::{Scratch, run, servers};

/// What the first release does; it knows `name` alone.
const FIRST_RELEASE: &str = "INSERT INTO customers (email, name) VALUES ({unique}, 'Ada'); \
                             UPDATE customers SET name = 'Ada L' WHERE name = 'Ada';";
/// What the next release does; it knows `full_name` alone.
const NEXT_RELEASE: &str = "INSERT INTO customers (email, full_name) VALUES ({unique}, 'Bob'); \
                            UPDATE customers SET full_name = 'Bob M' WHERE full_name = 'Bob';";

#[tokio::test]
async fn both_releases_go_on_where_the_example_promises_it() {
    let place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/migrationcontainer");
    for server in servers() {
        let kind = server.kind;
        // The versions after which, in this order: the table is there; both columns are the same for new
        // rows; for all rows; full_name is never null; name is gone.
        let (dir, versions) = match kind.is_postgres() {
            true => ("migrations", ["1", "2", "3", "6", "7"]),
            false => ("mysql", ["1", "4", "5", "6", "9"]),
        };
        let dir = place.join(dir);
        let [table, same, filled, required, gone] = versions;
        let database = Scratch::new(&server, "example").await;
        let step = async |from: &str, to: &str| {
            let variables = [
                ("DBA_OP_PREVIOUS_VERSION", from),
                ("DBA_OP_TARGET_VERSION", to),
                ("DBA_OP_LOCK_TIMEOUT", "5s"),
            ];
            run(&database.dsn, &dir, &variables).await.ok();
        };
        let number = async |sql: &str| database.number(sql).await;
        let release = async |sql: &str| {
            let unique = kind.pick("gen_random_uuid()::text", "UUID()");
            database.execute(&sql.replace("{unique}", unique)).await;
        };

        step("", table).await;
        let rows = kind.pick(
            "INSERT INTO customers (email, name) SELECT n, n FROM generate_series(1, 2500) n",
            "INSERT INTO customers (email, name) WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL \
             SELECT n + 1 FROM counter WHERE n < 50) SELECT CONCAT(a.n, '-', b.n), a.n FROM counter a, counter b",
        );
        database.execute(rows).await;
        release(FIRST_RELEASE).await;
        step(table, same).await;
        release(FIRST_RELEASE).await;
        step(same, filled).await;
        let apart = kind.pick(
            "SELECT count(*) FROM customers WHERE name IS DISTINCT FROM full_name",
            "SELECT count(*) FROM customers WHERE NOT (name <=> full_name)",
        );
        for to in [Some(required), None] {
            release(FIRST_RELEASE).await;
            release(NEXT_RELEASE).await;
            assert_eq!(number(apart).await, 0);
            if let Some(to) = to {
                step(filled, to).await;
            }
        }
        step(required, gone).await;
        release(NEXT_RELEASE).await;
        let last: i64 = gone.parse().unwrap();
        assert_eq!(database.versions().await, (1..=last).collect::<Vec<_>>());
        assert_eq!(number("SELECT count(*) FROM customers").await, 2500 + 4 + 3);
        let called = async |name: &str| {
            number(&format!(
                "SELECT count(*) FROM customers WHERE full_name = '{name}'"
            ))
            .await
        };
        assert_eq!(called("Ada L").await, 4);
        assert_eq!(called("Bob M").await, 3);
    }
}
