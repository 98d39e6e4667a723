//! The example migrations of `deploy/examples/migrationcontainer`: an application of the first
//! release and one of the next go on through every step that promises it.

use std::path::Path;

use crate::support::{Scratch, run, servers};

/// What the first release does; it knows `name` alone.
const FIRST_RELEASE: &str = "INSERT INTO customers (email, name) \
                             VALUES ('first-' || gen_random_uuid(), 'Ada'); \
                             UPDATE customers SET name = 'Ada L' WHERE name = 'Ada';";
/// What the next release does; it knows `full_name` alone.
const NEXT_RELEASE: &str = "INSERT INTO customers (email, full_name) \
                            VALUES ('next-' || gen_random_uuid(), 'Bob'); \
                            UPDATE customers SET full_name = 'Bob M' WHERE full_name = 'Bob';";

#[tokio::test]
async fn both_releases_go_on_where_the_example_promises_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/examples/migrationcontainer/migrations");
    for server in servers() {
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

        step("", "1").await;
        let rows =
            "INSERT INTO customers (email, name) SELECT n, n FROM generate_series(1, 2500) n";
        database.execute(rows).await;
        database.execute(FIRST_RELEASE).await;
        step("1", "2").await;
        database.execute(FIRST_RELEASE).await;
        step("2", "3").await;
        let apart = "SELECT count(*) FROM customers WHERE name IS DISTINCT FROM full_name";
        for (from, to) in [("3", "6"), ("", "")] {
            database.execute(FIRST_RELEASE).await;
            database.execute(NEXT_RELEASE).await;
            assert_eq!(number(apart).await, 0);
            if !to.is_empty() {
                step(from, to).await;
            }
        }
        step("6", "7").await;
        database.execute(NEXT_RELEASE).await;
        assert_eq!(database.versions().await, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(number("SELECT count(*) FROM customers").await, 2500 + 4 + 3);
        assert_eq!(
            number("SELECT count(*) FROM customers WHERE full_name = 'Ada L'").await,
            4
        );
        assert_eq!(
            number("SELECT count(*) FROM customers WHERE full_name = 'Bob M'").await,
            3
        );
    }
}
