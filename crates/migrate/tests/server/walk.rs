//! Runs that reach their target: alone, in steps, and two at once.

use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, Migrator};

use crate::support::{self, Files, Scratch, command, ended, run, servers};

#[tokio::test]
async fn a_full_walk_is_one_that_sqlx_itself_finds_complete() {
    for server in servers() {
        let database = Scratch::new(&server, "full").await;
        let files = Files::customers("full", 95, "");
        let first = run(&database.dsn, &files.dir, &[]).await;
        first.ok();
        assert!(
            first.out.contains("empty, 3 files to run up to version 3"),
            "{}",
            first.out
        );
        assert!(
            first
                .out
                .contains("0003_backfill_full_name.sql: begins, in batches, 95 rows")
        );
        assert_eq!(first.err, "");
        assert_eq!(database.versions().await, [1, 2, 3]);
        assert_eq!(
            database.number("SELECT sum(touched) FROM customers").await,
            95
        );
        let unset = "SELECT count(*) FROM _sqlx_migrations WHERE execution_time <= 0";
        assert_eq!(database.number(unset).await, 0);

        // The same checksums, so there is nothing left to do, neither for sqlx nor for us.
        let migrator = Migrator::new(files.dir.clone()).await.unwrap();
        migrator.run(&mut database.connect().await).await.unwrap();
        let again = run(&database.dsn, &files.dir, &[]).await;
        assert!(
            again.ok().out.contains("at version 3, nothing to do"),
            "{}",
            again.out
        );
    }
}

#[tokio::test]
async fn a_target_in_the_middle_is_where_it_ends() {
    for server in servers() {
        let database = Scratch::new(&server, "middle").await;
        let files = Files::customers("middle", 5, "");
        run(
            &database.dsn,
            &files.dir,
            &[("DBA_OP_TARGET_VERSION", "0002")],
        )
        .await
        .ok();
        assert_eq!(database.versions().await, [1, 2]);
        let next = [
            ("DBA_OP_TARGET_VERSION", "3"),
            ("DBA_OP_PREVIOUS_VERSION", "2"),
        ];
        run(&database.dsn, &files.dir, &next).await.ok();
        assert_eq!(database.versions().await, [1, 2, 3]);
        // Run again, as after a lost answer.
        run(&database.dsn, &files.dir, &next).await.ok();
    }
}

#[tokio::test]
async fn two_at_once_do_the_work_once() {
    for server in servers() {
        let database = Scratch::new(&server, "two").await;
        let files = Files::customers("two", 30, "-- dbop:pause 20ms\n");
        files.write("0004_slow.sql", "SELECT pg_sleep(1);");
        // It waits for every older snapshot: the second run must hold none while it waits.
        files.write(
            "0005_index.sql",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY by_name ON customers (name);",
        );
        let start = || command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        let (one, two) = tokio::join!(ended(start()), ended(start()));
        one.ok();
        two.ok();
        let waited = "another migration run holds the lock (pid ";
        let done = "at version 5, nothing to do";
        let is_second = |run: &support::Ended| run.out.contains(waited) && run.out.contains(done);
        assert!(is_second(&one) != is_second(&two), "{one:#?} {two:#?}");
        assert_eq!(database.versions().await, [1, 2, 3, 4, 5]);
        assert_eq!(
            database.number("SELECT max(touched) FROM customers").await,
            1
        );
        let valid = "SELECT indisvalid::int FROM pg_index WHERE indexrelid = 'by_name'::regclass";
        assert_eq!(database.number(valid).await, 1);
    }
}

#[tokio::test]
async fn the_lock_is_the_one_that_sqlx_takes() {
    for server in servers() {
        let database = Scratch::new(&server, "lock").await;
        let files = Files::new("lock");
        files.write("0001_one.sql", "CREATE TABLE one ();");
        let mut sqlx_run = database.connect().await;
        sqlx_run.lock().await.unwrap();
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database
            .until(
                "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = \
                        'dbop-migrate' AND datname = current_database())",
            )
            .await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(
            database
                .number("SELECT count(*) FROM pg_class WHERE relname = 'one'")
                .await,
            0
        );
        sqlx_run.unlock().await.unwrap();
        sqlx_run.close().await.unwrap();
        let ended = ended(child).await;
        assert!(
            ended
                .ok()
                .out
                .contains("another migration run holds the lock"),
            "{ended:#?}"
        );
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
            .write("0002_role.sql", "SET statement_timeout = 1;")
            .write(
                "0003_table.sql",
                "CREATE TABLE t AS SELECT current_setting('lock_timeout') l, \
                    current_setting('statement_timeout') s, pg_sleep(0.05)::text x;",
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
        let files = Files::customers("schema", 20, "");
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
        support::execute(
            &mut admin,
            &format!("CREATE ROLE {role} LOGIN PASSWORD 'p%/@w'"),
        )
        .await;
        support::execute(
            &mut admin,
            &format!("CREATE SCHEMA app AUTHORIZATION {role}"),
        )
        .await;
        support::execute(
            &mut admin,
            &format!("ALTER ROLE {role} SET search_path = app"),
        )
        .await;
        let (_, place) = database.dsn.rsplit_once('@').unwrap();
        let dsn = format!("postgresql://{role}:p%25%2F%40w@{place}");
        let files = Files::customers("least", 20, "");
        let done = run(&dsn, &files.dir, &[]).await;
        let rows = database
            .number("SELECT count(*) FROM app._sqlx_migrations")
            .await;
        support::execute(&mut admin, &format!("DROP OWNED BY {role}")).await;
        support::execute(&mut admin, &format!("DROP ROLE {role}")).await;
        done.ok();
        assert_eq!(rows, 3);
    }
}
