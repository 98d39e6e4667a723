//! Batch files: killed, stopped, disturbed by others, and written wrongly.

use std::time::Duration;

use sqlx::Connection;

use crate::support::{Files, Scratch, command, ended, execute, run, servers, signal};

/// The run's own session is on the server.
const CONNECTED: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                         AND application_name = 'dbop-migrate')";

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    for server in servers() {
        let database = Scratch::new(&server, "killed").await;
        let files = Files::customers("killed", 400, "-- dbop:pause 50ms\n");
        let before = [("DBA_OP_TARGET_VERSION", "2")];
        run(&database.dsn, &files.dir, &before).await.ok();
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database
            .until("count(*) >= 50 FROM customers WHERE full_name IS NOT NULL")
            .await;
        signal(&child, "KILL");
        assert_eq!(ended(child).await.status, None);
        database.until(&format!("NOT {CONNECTED}")).await;
        let done = "SELECT count(*) FROM customers WHERE full_name IS NOT NULL";
        let half = database.number(done).await;
        assert!((50..400).contains(&half), "{half}");
        assert_eq!(half % 10, 0, "a batch is whole or not at all");
        assert_eq!(database.versions().await, [1, 2]);

        let again = run(
            &database.dsn,
            &files.dir,
            &[("DBA_OP_PREVIOUS_VERSION", "2")],
        )
        .await;
        let left = format!("begins, in batches, {} rows to do", 400 - half);
        assert!(again.ok().out.contains(&left), "{}", again.out);
        assert_eq!(database.versions().await, [1, 2, 3]);
        assert_eq!(database.number(done).await, 400);
        let once = "SELECT count(*) FROM customers WHERE touched = 1";
        assert_eq!(database.number(once).await, 400);
    }
}

#[tokio::test]
async fn killed_in_the_middle_of_a_statement_the_server_ends_it() {
    for server in servers() {
        let database = Scratch::new(&server, "gone").await;
        let files = Files::new("gone");
        files.write("0001_long.sql", "CREATE TABLE t (); SELECT pg_sleep(600);");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        let sleeping = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                        AND application_name = 'dbop-migrate' AND wait_event = 'PgSleep')";
        database.until(sleeping).await;
        signal(&child, "KILL");
        ended(child).await;
        database.until(&format!("NOT {CONNECTED}")).await;
        assert_eq!(database.versions().await, [0_i64; 0]);
        files.write("0001_long.sql", "CREATE TABLE t ();");
        run(&database.dsn, &files.dir, &[]).await.ok();
    }
}

#[tokio::test]
async fn an_interrupted_index_is_cleared_away_by_the_next_run() {
    for server in servers() {
        let database = Scratch::new(&server, "index").await;
        let files = Files::new("index");
        files.write(
            "0001_one.sql",
            "CREATE TABLE t (c int); INSERT INTO t VALUES (1);",
        );
        let create = "CREATE INDEX CONCURRENTLY by_c ON t (c);";
        files.write("0002_index.sql", &format!("-- no-transaction\n{create}"));
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "1")])
            .await
            .ok();
        // The index waits for every transaction that has written to the table.
        let mut holder = database.connect().await;
        let mut tx = holder.begin().await.unwrap();
        execute(&mut tx, "INSERT INTO t VALUES (2)").await;
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until("to_regclass('by_c') IS NOT NULL").await;
        signal(&child, "KILL");
        ended(child).await;
        database.until(&format!("NOT {CONNECTED}")).await;
        tx.rollback().await.unwrap();
        let valid = "SELECT indisvalid::int FROM pg_index WHERE indexrelid = 'by_c'::regclass";
        assert_eq!(database.number(valid).await, 0);

        let again = run(&database.dsn, &files.dir, &[]).await;
        again.failed(
            1,
            &["relation \"by_c\" already exists", "an invalid index, say"],
        );
        let before = "-- dbop:before DROP INDEX CONCURRENTLY IF EXISTS by_c";
        files.write(
            "0002_index.sql",
            &format!("-- no-transaction\n{before}\n{create}"),
        );
        run(&database.dsn, &files.dir, &[]).await.ok();
        assert_eq!(database.number(valid).await, 1);
        assert_eq!(database.versions().await, [1, 2]);
    }
}

#[tokio::test]
async fn sigterm_ends_a_statement_a_batch_and_a_wait() {
    for server in servers() {
        let database = Scratch::new(&server, "term").await;
        let files = Files::new("term");
        files.write("0001_long.sql", "CREATE TABLE t (); SELECT pg_sleep(600);");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        let sleeping = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                        AND wait_event = 'PgSleep')";
        database.until(sleeping).await;
        let waiting = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        signal(&waiting, "INT");
        ended(waiting)
            .await
            .failed(130, &["error: stopped before the target was reached"]);
        signal(&child, "TERM");
        ended(child)
            .await
            .failed(143, &["warning: asked to stop", "run again"]);
        database.until(&format!("NOT {CONNECTED}")).await;
        assert_eq!(database.versions().await, [0_i64; 0]);
        assert_eq!(
            database
                .number("SELECT count(*) FROM pg_class WHERE relname = 't'")
                .await,
            0
        );

        let files = Files::customers("term-batch", 400, "-- dbop:pause 1s\n");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until("to_regclass('customers') IS NOT NULL").await;
        database
            .until(
                "(xpath('//c/text()', query_to_xml('SELECT max(touched) c FROM customers', true, \
             true, '')))[1]::text = '1'",
            )
            .await;
        signal(&child, "TERM");
        ended(child)
            .await
            .failed(143, &["stopped before the target was reached"]);
        assert_eq!(database.versions().await, [1, 2]);
    }
}

#[tokio::test]
async fn rows_that_others_hold_are_waited_for() {
    for server in servers() {
        let database = Scratch::new(&server, "held").await;
        let files = Files::customers("held", 25, "");
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "2")])
            .await
            .ok();
        let mut holder = database.connect().await;
        let mut tx = holder.begin().await.unwrap();
        execute(
            &mut tx,
            "UPDATE customers SET touched = touched WHERE id = 5",
        )
        .await;

        // A statement that skips locked rows changes none at the end, and is not done.
        files.write(
            "0003_backfill_full_name.sql",
            "-- dbop:batch\n-- dbop:total SELECT count(*) FROM customers WHERE full_name IS NULL\n\
             UPDATE customers SET full_name = name WHERE id IN (SELECT id FROM customers\n\
             WHERE full_name IS NULL LIMIT 10 FOR UPDATE SKIP LOCKED);",
        );
        let skipping = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database
            .until("count(*) = 24 FROM customers WHERE full_name IS NOT NULL")
            .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(database.versions().await, [1, 2]);
        tx.rollback().await.unwrap();
        ended(skipping).await.ok();
        let done = "SELECT count(*) FROM customers WHERE full_name IS NOT NULL";
        assert_eq!(database.number(done).await, 25);

        // One that waits for them is tried again after a lock timeout.
        let mut tx = holder.begin().await.unwrap();
        execute(
            &mut tx,
            "UPDATE customers SET touched = touched WHERE id = 5",
        )
        .await;
        files.write(
            "0004_touch.sql",
            "-- dbop:batch\nUPDATE customers SET touched = 9 WHERE touched < 9;",
        );
        let timeout = [("DBA_OP_LOCK_TIMEOUT", "200")];
        let waiting = command(&database.dsn, &files.dir, &timeout)
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(800)).await;
        tx.rollback().await.unwrap();
        let waited = ended(waiting).await;
        assert!(
            waited.ok().out.contains("one batch is tried again"),
            "{waited:#?}"
        );
        assert_eq!(
            database.number("SELECT min(touched) FROM customers").await,
            9
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_end_or_is_not_one_statement_fails() {
    for server in servers() {
        let database = Scratch::new(&server, "wrong").await;
        let files = Files::customers("wrong", 20, "");
        run(&database.dsn, &files.dir, &[]).await.ok();
        files.write(
            "0004_circles.sql",
            "-- dbop:batch\n-- dbop:total SELECT count(*) FROM customers\n\
             UPDATE customers SET touched = touched + 1;",
        );
        let circles = run(&database.dsn, &files.dir, &[]).await;
        circles.failed(
            1,
            &[
                "0004_circles.sql does not come to its end",
                "not fewer than before",
            ],
        );

        files.write(
            "0004_circles.sql",
            "-- dbop:batch\nDELETE FROM customers;\nDELETE FROM x;",
        );
        let two = run(&database.dsn, &files.dir, &[]).await;
        two.failed(
            1,
            &["failed after 0 changed rows: cannot insert multiple commands"],
        );

        files.write(
            "0004_circles.sql",
            "-- dbop:batch\n-- dbop:total SELECT count(*) FROM nowhere\nDELETE FROM customers",
        );
        let total = run(&database.dsn, &files.dir, &[]).await;
        total.failed(1, &["dbop:total: relation \"nowhere\" does not exist"]);

        files.write(
            "0004_circles.sql",
            "-- dbop:batch\n-- dbop:total WITH d AS (SELECT 1) SELECT nextval('customers_id_seq')\n\
             DELETE FROM customers",
        );
        let writing = run(&database.dsn, &files.dir, &[]).await;
        writing.failed(1, &["read-only transaction"]);
        assert_eq!(database.versions().await, [1, 2, 3]);
        assert_eq!(database.number("SELECT count(*) FROM customers").await, 20);
    }
}
