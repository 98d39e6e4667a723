//! Runs that must not begin, and files that fail: one sentence, the way out, no change.

use std::time::Duration;

use crate::support::{Files, Scratch, run, servers};

#[tokio::test]
async fn a_record_that_does_not_fit_is_refused() {
    for server in servers() {
        let database = Scratch::new(&server, "record").await;
        let files = Files::customers(server.kind, "record", 5, "");
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
async fn the_lock_timeout_is_kept() {
    for server in servers() {
        let database = Scratch::new(&server, "timeout").await;
        let files = Files::customers(server.kind, "timeout", 5, "");
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "1")])
            .await
            .ok();
        let mut holder = database.connect().await;
        holder
            .execute("BEGIN; SELECT count(*) FROM customers")
            .await;
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
                server.kind.pick("SQLSTATE 55P03", "error 1205"),
                "LOCK_TIMEOUT",
            ],
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(database.versions().await, [1]);
        holder.execute("ROLLBACK").await;
        run(&database.dsn, &files.dir, &[("DBA_OP_LOCK_TIMEOUT", "300")])
            .await
            .ok();
    }
}

#[tokio::test]
async fn bad_input_asks_no_database() {
    let files = Files::new("input");
    let kind = servers()[0].kind;
    let dsn = &format!("{}://u:p@192.0.2.1/d", kind.scheme());
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
