//! Runs that reach their target: alone, in steps, and two at once.

use std::time::Duration;

use sqlx::migrate::Migrator;

use crate::kind::Kind;
use crate::support::{self, Files, Scratch, command, ended, run, servers};

#[tokio::test]
async fn a_full_walk_is_one_that_sqlx_itself_finds_complete() {
    for server in servers() {
        let database = Scratch::new(&server, "full").await;
        let files = Files::customers(server.kind, "full", 95, "");
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
        database.connect().await.migrate(&migrator).await;
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
        let files = Files::customers(server.kind, "middle", 5, "");
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
        let files = Files::customers(server.kind, "two", 30, "-- dbop:pause 20ms\n");
        files.write("0004_slow.sql", &server.kind.sleep(1));
        // It waits for every older snapshot: the second run must hold none while it waits.
        files.write(
            "0005_index.sql",
            server.kind.pick(
                "-- no-transaction\nCREATE INDEX CONCURRENTLY by_name ON customers (name);",
                "CREATE INDEX by_name ON customers (name);",
            ),
        );
        let start = || command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        let (one, two) = tokio::join!(ended(start()), ended(start()));
        one.ok();
        two.ok();
        let waited = server.kind.pick(
            "another migration run holds the lock (pid ",
            "another migration run holds the lock (connection ",
        );
        let done = "at version 5, nothing to do";
        let is_second = |run: &support::Ended| run.out.contains(waited) && run.out.contains(done);
        assert!(is_second(&one) != is_second(&two), "{one:#?} {two:#?}");
        assert_eq!(database.versions().await, [1, 2, 3, 4, 5]);
        assert_eq!(
            database.number("SELECT max(touched) FROM customers").await,
            1
        );
        let valid = server.kind.pick(
            "SELECT indisvalid::int FROM pg_index WHERE indexrelid = 'by_name'::regclass",
            "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
             AND index_name = 'by_name'",
        );
        assert_eq!(database.number(valid).await, 1);
    }
}

#[tokio::test]
async fn the_lock_is_the_one_that_sqlx_takes() {
    for server in servers() {
        // sqlx waits without limit by a timeout of -1, which MariaDB does not know: it takes no lock there.
        if server.kind == Kind::MariaDb {
            continue;
        }
        let database = Scratch::new(&server, "lock").await;
        let files = Files::new("lock");
        files.write("0001_one.sql", "CREATE TABLE one (c int);");
        let mut sqlx_run = database.connect().await;
        sqlx_run.lock().await;
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        let run = server.kind.pick(
            server.kind.connected(),
            "(SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()) = 3",
        );
        database.until(run).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = server.kind.has_table("one");
        assert!(!database.connect().await.holds(&begun).await);
        sqlx_run.unlock().await;
        drop(sqlx_run);
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
