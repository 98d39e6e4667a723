//! What PostgreSQL alone can do, and what a file that is a transaction means.

use std::time::Duration;

use crate::support::{Files, Scratch, command, ended, run, servers, signal};

#[tokio::test]
async fn killed_in_the_middle_of_a_statement_the_server_ends_it() {
    for server in servers() {
        let database = Scratch::new(&server, "gone").await;
        let files = Files::new("gone");
        files.write("0001_long.sql", "CREATE TABLE t (); SELECT pg_sleep(600);");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until(server.kind.sleeping()).await;
        signal(&child, "KILL");
        ended(child).await;
        database
            .until(&format!("NOT {}", server.kind.connected()))
            .await;
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
        holder.execute("BEGIN; INSERT INTO t VALUES (2)").await;
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until("to_regclass('by_c') IS NOT NULL").await;
        signal(&child, "KILL");
        ended(child).await;
        database
            .until(&format!("NOT {}", server.kind.connected()))
            .await;
        holder.execute("ROLLBACK").await;
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
async fn sigterm_ends_a_statement_and_a_wait() {
    for server in servers() {
        let database = Scratch::new(&server, "term").await;
        let files = Files::new("term");
        files.write("0001_long.sql", "CREATE TABLE t (); SELECT pg_sleep(600);");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until(server.kind.sleeping()).await;
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
        database
            .until(&format!("NOT {}", server.kind.connected()))
            .await;
        assert_eq!(database.versions().await, [0_i64; 0]);
        assert_eq!(
            database
                .number("SELECT count(*) FROM pg_class WHERE relname = 't'")
                .await,
            0
        );
    }
}

#[tokio::test]
async fn rows_that_are_skipped_are_waited_for() {
    for server in servers() {
        let database = Scratch::new(&server, "skipped").await;
        let files = Files::customers(server.kind, "skipped", 25, "");
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "2")])
            .await
            .ok();
        let mut holder = database.connect().await;
        holder.execute("BEGIN").await;
        holder
            .execute("UPDATE customers SET touched = touched WHERE id = 5")
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
            .until("(SELECT count(*) FROM customers WHERE full_name IS NOT NULL) = 24")
            .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(database.versions().await, [1, 2]);
        holder.execute("ROLLBACK").await;
        ended(skipping).await.ok();
        let done = "SELECT count(*) FROM customers WHERE full_name IS NOT NULL";
        assert_eq!(database.number(done).await, 25);
    }
}

#[tokio::test]
async fn a_total_that_writes_is_refused() {
    for server in servers() {
        let database = Scratch::new(&server, "writing").await;
        let files = Files::customers(server.kind, "writing", 20, "");
        run(&database.dsn, &files.dir, &[]).await.ok();
        files.write(
            "0004_circles.sql",
            "-- dbop:batch\n-- dbop:total WITH d AS (SELECT 1) SELECT nextval('customers_id_seq')\n\
             DELETE FROM customers",
        );
        let writing = run(&database.dsn, &files.dir, &[]).await;
        writing.failed(1, &["read-only transaction"]);
        assert_eq!(database.versions().await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_failing_file_leaves_nothing_and_shows_no_row() {
    for server in servers() {
        let database = Scratch::new(&server, "failing").await;
        let files = Files::new("failing");
        files.write("0001_one.sql", "CREATE TABLE one (email text);");
        files.write(
            "0002_two.sql",
            "INSERT INTO one VALUES ('ada@example.org'), ('ada@example.org');\n\
             CREATE TABLE two ();\n\
             CREATE UNIQUE INDEX by_email ON one (email);\n",
        );
        let failed = run(&database.dsn, &files.dir, &[]).await;
        failed.failed(
            1,
            &[
                "0002_two.sql failed: could not create unique index \"by_email\"",
                "SQLSTATE 23505",
                "nothing of this file remains",
            ],
        );
        assert!(!failed.err.contains("ada@"), "{}", failed.err);
        assert_eq!(database.versions().await, [1]);
        let two = "SELECT count(*) FROM pg_class WHERE relname = 'two'";
        assert_eq!(database.number(two).await, 0);

        files.write(
            "0002_two.sql",
            "CREATE TABLE two ();\n\nCREATE TABEL three ();\n",
        );
        run(&database.dsn, &files.dir, &[])
            .await
            .failed(1, &["line 3, SQLSTATE 42601"]);
        files.write("0002_two.sql", "CREATE TABLE two ();");
        run(&database.dsn, &files.dir, &[]).await.ok();
    }
}

#[tokio::test]
async fn one_file_does_not_spoil_the_session_of_the_next() {
    for server in servers() {
        let database = Scratch::new(&server, "session").await;
        let files = Files::new("session");
        files
            .write(
                "0001_dump.sql",
                "SELECT set_config('search_path', '', false);\n\
                    SET ROLE pg_read_all_data;\nRESET ROLE; SET lock_timeout = 1;",
            )
            .write("0002_role.sql", "SET statement_timeout = 500;")
            .write(
                "0003_table.sql",
                "CREATE TABLE t AS SELECT current_setting('lock_timeout') l, \
                    current_setting('statement_timeout') s, pg_sleep(0.6)::text x;",
            );
        run(&database.dsn, &files.dir, &[("DBA_OP_LOCK_TIMEOUT", "7s")])
            .await
            .ok();
        assert_eq!(database.versions().await, [1, 2, 3]);
        let right = "SELECT count(*) FROM public.t WHERE l = '7s' AND s = '0'";
        assert_eq!(database.number(right).await, 1);
    }
}

#[tokio::test]
async fn the_table_may_live_in_a_schema_of_its_own() {
    for server in servers() {
        let database = Scratch::new(&server, "schema").await;
        let files = Files::customers(server.kind, "schema", 20, "");
        for _ in 0..2 {
            let mut command = command(&database.dsn, &files.dir, &[]);
            ended(
                command
                    .args(["--table-schema", "my \"own"])
                    .spawn()
                    .unwrap(),
            )
            .await
            .ok();
        }
        let rows = "SELECT count(*) FROM \"my \"\"own\"._sqlx_migrations";
        assert_eq!(database.number(rows).await, 3);
        let elsewhere = "SELECT count(*) FROM pg_class WHERE relname = '_sqlx_migrations' \
                         AND relnamespace = 'public'::regnamespace";
        assert_eq!(database.number(elsewhere).await, 0);
    }
}

#[tokio::test]
async fn a_login_with_no_more_than_it_needs_is_enough() {
    for server in servers() {
        let database = Scratch::new(&server, "least").await;
        let role = format!("dbop_migrate_least_{}", std::process::id());
        let mut admin = database.connect().await;
        admin
            .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p%/@w'"))
            .await;
        admin
            .execute(&format!("CREATE SCHEMA app AUTHORIZATION {role}"))
            .await;
        admin
            .execute(&format!("ALTER ROLE {role} SET search_path = app"))
            .await;
        let (_, place) = database.dsn.rsplit_once('@').unwrap();
        let dsn = format!("postgresql://{role}:p%25%2F%40w@{place}");
        let files = Files::customers(server.kind, "least", 20, "");
        let done = run(&dsn, &files.dir, &[]).await;
        let rows = database
            .number("SELECT count(*) FROM app._sqlx_migrations")
            .await;
        admin.execute(&format!("DROP OWNED BY {role}")).await;
        admin.execute(&format!("DROP ROLE {role}")).await;
        done.ok();
        assert_eq!(rows, 3);
    }
}
