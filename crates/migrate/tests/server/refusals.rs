//! Runs that must not begin, and files that fail: one sentence, the way out, no change.

use std::time::Duration;

use sqlx::Connection;

use crate::support::{Files, Scratch, execute, run, servers};

#[tokio::test]
async fn a_record_that_does_not_fit_is_refused() {
    for server in servers() {
        let database = Scratch::new(&server, "record").await;
        let files = Files::customers("record", 5, "");
        let dsn = &database.dsn;
        let target = |version| [("DBA_OP_TARGET_VERSION", version)];

        let unknown = run(dsn, &files.dir, &target("v9")).await;
        unknown.failed(2, &["no file of version 'v9' among the 3 known: 1, 2, 3"]);
        run(dsn, &files.dir, &target("1")).await.ok();
        let behind = run(dsn, &files.dir, &[("DBA_OP_PREVIOUS_VERSION", "2")]).await;
        behind.failed(1, &["at version 1, and this run starts from version 2"]);
        let unknown = run(dsn, &files.dir, &[("DBA_OP_PREVIOUS_VERSION", "x")]).await;
        unknown.failed(
            1,
            &["DBA_OP_PREVIOUS_VERSION: there is no file of version 'x'"],
        );
        run(dsn, &files.dir, &target("2")).await.ok();
        run(dsn, &files.dir, &target("1"))
            .await
            .failed(1, &["at version 2, later than the target 1"]);

        let second = std::fs::read_to_string(files.dir.join("0002_add_full_name.sql")).unwrap();
        files.write("0002_add_full_name.sql", &format!("{second}-- edited"));
        let changed = run(dsn, &files.dir, &[]).await;
        changed.failed(
            1,
            &[
                "0002_add_full_name.sql has changed since it ran",
                "as a new file",
            ],
        );
        files.remove("0002_add_full_name.sql");
        run(dsn, &files.dir, &[])
            .await
            .failed(1, &["version 2 ran on this database, and its file"]);
        files.write("0002_add_full_name.sql", &second);

        database
            .execute("UPDATE _sqlx_migrations SET success = false WHERE version = 2")
            .await;
        let dirty = run(dsn, &files.dir, &[]).await;
        dirty.failed(
            1,
            &[
                "version 2 is recorded as begun",
                "DELETE FROM _sqlx_migrations",
            ],
        );
        database
            .execute("UPDATE _sqlx_migrations SET success = true WHERE version = 2")
            .await;

        assert_eq!(database.versions().await, [1, 2]);
        run(dsn, &files.dir, &[]).await.ok();
        files
            .write("0004_late.sql", "SELECT 1")
            .write("0005_later.sql", "SELECT 1");
        run(dsn, &files.dir, &[]).await.ok();
        database
            .execute("DELETE FROM _sqlx_migrations WHERE version = 4")
            .await;
        run(dsn, &files.dir, &[])
            .await
            .failed(1, &["0004_late.sql never ran", "number after 5"]);
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
async fn the_lock_timeout_is_kept() {
    for server in servers() {
        let database = Scratch::new(&server, "timeout").await;
        let files = Files::customers("timeout", 5, "");
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "1")])
            .await
            .ok();
        let mut holder = database.connect().await;
        let mut tx = holder.begin().await.unwrap();
        execute(&mut tx, "SELECT count(*) FROM customers").await;
        let begun = tokio::time::Instant::now();
        let failed = run(
            &database.dsn,
            &files.dir,
            &[("DBA_OP_LOCK_TIMEOUT", "300ms")],
        )
        .await;
        failed.failed(
            1,
            &[
                "0002_add_full_name.sql failed",
                "SQLSTATE 55P03",
                "LOCK_TIMEOUT",
            ],
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(database.versions().await, [1]);
        tx.rollback().await.unwrap();
        run(&database.dsn, &files.dir, &[("DBA_OP_LOCK_TIMEOUT", "300")])
            .await
            .ok();
    }
}

#[tokio::test]
async fn bad_input_asks_no_database() {
    let files = Files::new("input");
    let dsn = "postgresql://u:p@192.0.2.1/d";
    run(dsn, &files.dir, &[])
        .await
        .failed(2, &["holds no SQL file", "--dir"]);
    run(dsn, &files.dir.join("none"), &[])
        .await
        .failed(2, &["cannot be read"]);
    files.write("0001_one.sql", "-- dbop:bacth\nDELETE FROM t");
    run(dsn, &files.dir, &[])
        .await
        .failed(2, &["0001_one.sql, line 1: 'dbop:bacth'"]);
    files.write("0001_one.sql", "SELECT 1");
    run(dsn, &files.dir, &[("DBA_OP_LOCK_TIMEOUT", "soon")])
        .await
        .failed(2, &["'soon'", "5s"]);
    run("", &files.dir, &[])
        .await
        .failed(2, &["DBA_OP_CONNECTION_STRING is not set"]);
}
