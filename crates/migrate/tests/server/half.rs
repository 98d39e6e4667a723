//! What MySQL and MariaDB do otherwise: DDL commits at once, so a file can end half way.

use std::time::Duration;

use crate::support::{Files, Scratch, command, ended, run, servers, signal};

#[tokio::test]
async fn a_file_that_ends_half_way_is_said_to_and_stops_the_next_run() {
    for server in servers() {
        let database = Scratch::new(&server, "half").await;
        let files = Files::new("half");
        files.write("0001_one.sql", "CREATE TABLE one (email varchar(100));");
        files.write(
            "0002_two.sql",
            "CREATE TABLE two (c int);\n\
             INSERT INTO one VALUES ('ada@example.org'), ('ada@example.org');\n\
             CREATE UNIQUE INDEX by_email ON one (email);\nCREATE TABLE three (c int);\n",
        );
        let failed = run(&database.dsn, &files.dir, &[]).await;
        failed.failed(
            1,
            &[
                "0002_two.sql failed: Duplicate entry '...' for key",
                "error 1062, SQLSTATE 23000",
                "half run",
                "first 2 statements have done their work",
                "DELETE FROM _sqlx_migrations WHERE version = 2",
            ],
        );
        assert!(!failed.err.contains("ada@"), "{}", failed.err);
        let mut conn = database.connect().await;
        assert_eq!(conn.versions(true).await, [1]);
        assert_eq!(conn.versions(false).await, [2]);
        assert!(conn.holds(&server.kind.has_table("two")).await);
        assert!(!conn.holds(&server.kind.has_table("three")).await);

        let again = run(&database.dsn, &files.dir, &[]).await;
        again.failed(1, &["version 2 is recorded as begun and not ended"]);
        conn.execute(
            "DROP TABLE two; DELETE FROM one; DELETE FROM _sqlx_migrations WHERE version = 2",
        )
        .await;
        files.write("0002_two.sql", "CREATE TABLE two (c int);");
        run(&database.dsn, &files.dir, &[]).await.ok();
        assert_eq!(conn.versions(true).await, [1, 2]);
    }
}

#[tokio::test]
async fn a_file_that_left_nothing_can_simply_be_run_again() {
    for server in servers() {
        let database = Scratch::new(&server, "nothing").await;
        let files = Files::new("nothing");
        files.write(
            "0001_one.sql",
            "CREATE TABLE one (email varchar(100));\nINSERT INTO one VALUES ('ada@example.org'), ('ada@example.org');",
        );
        let nothing = "nothing of this file remains";
        run(&database.dsn, &files.dir, &[]).await.ok();
        for (sql, said) in [
            // DDL alone: its record was committed with it, and is taken back.
            (
                "-- a\nALTER TABLE one ADD UNIQUE INDEX by_email (email);",
                "Duplicate entry '...'",
            ),
            ("CREATE TABEL two (c int);", "error 1064"),
            // Rows alone: a transaction.
            (
                "INSERT INTO one VALUES ('x');\nINSERT INTO nowhere VALUES (1);",
                "nowhere",
            ),
        ] {
            files.write("0002_two.sql", sql);
            let failed = run(&database.dsn, &files.dir, &[]).await;
            failed.failed(1, &["0002_two.sql failed", said, nothing]);
            let mut conn = database.connect().await;
            assert_eq!(conn.versions(false).await, [0_i64; 0], "{sql}");
            assert_eq!(conn.number("SELECT count(*) FROM one").await, 2);
        }
        files.write("0002_two.sql", "CREATE TABLE two (c int);");
        run(&database.dsn, &files.dir, &[]).await.ok();
    }
}

#[tokio::test]
async fn killed_in_the_middle_the_next_run_waits_and_then_says_so() {
    for server in servers() {
        let database = Scratch::new(&server, "killed_half").await;
        let files = Files::new("killed-half");
        files.write(
            "0001_long.sql",
            &format!(
                "CREATE TABLE t (c int); {} CREATE TABLE u (c int);",
                server.kind.sleep(4)
            ),
        );
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database.until(server.kind.sleeping()).await;
        signal(&child, "KILL");
        ended(child).await;
        let again = run(&database.dsn, &files.dir, &[]).await;
        again.failed(
            1,
            &[
                "version 1 is recorded as begun and not ended",
                "DELETE FROM _sqlx_migrations WHERE version = 1",
            ],
        );
        let waited = "another migration run holds the lock (connection ";
        assert!(again.out.contains(waited), "{again:#?}");
        let mut conn = database.connect().await;
        assert_eq!(conn.versions(false).await, [1]);
        assert!(conn.holds(&server.kind.has_table("t")).await);
    }
}

#[tokio::test]
async fn sigterm_ends_a_statement_and_says_what_is_half_run() {
    for server in servers() {
        let database = Scratch::new(&server, "term").await;
        let files = Files::new("term");
        files.write(
            "0001_long.sql",
            &format!(
                "CREATE TABLE t (c int);\nCREATE TABLE u SELECT SLEEP(600) + 1 AS c FROM (SELECT 1 UNION SELECT 2) x;\n{}",
                server.kind.sleep(600)
            ),
        );
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
            .failed(143, &["warning: asked to stop", "half run"]);
        database
            .until(&format!("NOT {}", server.kind.connected()))
            .await;
        let mut conn = database.connect().await;
        assert_eq!(conn.versions(false).await, [1]);
    }
}

#[tokio::test]
async fn bodies_of_routines_need_no_delimiter() {
    for server in servers() {
        let database = Scratch::new(&server, "body").await;
        let files = Files::new("body");
        let body = "CREATE TRIGGER filled BEFORE INSERT ON t FOR EACH ROW\nBEGIN\n  \
                    IF NEW.c IS NULL THEN\n    SET NEW.c = 7;\n  END IF;\nEND";
        files.write("0001_table.sql", "# a comment\nCREATE TABLE t (c int);");
        files.write(
            "0002_trigger.sql",
            &format!("{body};\nINSERT INTO t VALUES (NULL);\n"),
        );
        run(&database.dsn, &files.dir, &[]).await.ok();
        assert_eq!(database.number("SELECT c FROM t").await, 7);
        files.write(
            "0003_more.sql",
            &format!("DELIMITER //\n{body}//\nDELIMITER ;\n"),
        );
        run(&database.dsn, &files.dir, &[]).await.failed(
            2,
            &[
                "0003_more.sql, line 1: DELIMITER is a command of the mysql client",
                "by itself",
            ],
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
                "SET FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0, SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO', \
                 time_zone = '+05:00', autocommit = 0, timestamp = 1000000;\n\
                 SET NAMES latin1; SET lock_wait_timeout = 1; SET ROLE NONE; USE mysql;",
            )
            .write("0002_lock.sql", "CREATE TABLE l (c int); LOCK TABLES l WRITE, _sqlx_migrations WRITE;")
            .write(
                "0003_table.sql",
                "CREATE TABLE t (f int, u int, w int, a int, m int, z int, n int, s int);\n\
                 INSERT INTO t SELECT @@foreign_key_checks, @@unique_checks, @@lock_wait_timeout, \
                 @@autocommit, @@sql_mode = @@global.sql_mode, @@time_zone = @@global.time_zone, \
                 @@character_set_client = 'utf8mb4', UNIX_TIMESTAMP() > 1000000000;",
            );
        run(
            &database.dsn,
            &files.dir,
            &[("DBA_OP_LOCK_TIMEOUT", "6500ms")],
        )
        .await
        .ok();
        assert_eq!(database.versions().await, [1, 2, 3]);
        let right = "SELECT count(*) FROM t WHERE f AND u AND a AND m AND z AND n AND s AND w = 7";
        assert_eq!(database.number(right).await, 1);
    }
}

#[tokio::test]
async fn a_schema_for_the_table_is_refused() {
    let files = Files::new("schemas");
    files.write("0001_one.sql", "CREATE TABLE one (c int);");
    let mut command = command("mysql://u:p@192.0.2.1/d", &files.dir, &[]);
    let refused = ended(command.args(["--table-schema", "x"]).spawn().unwrap()).await;
    refused.failed(2, &["--table-schema is for PostgreSQL", "leave it out"]);
}

#[tokio::test]
async fn a_login_with_no_more_than_it_needs_is_enough() {
    for server in servers() {
        let database = Scratch::new(&server, "least").await;
        let user = format!("dbop_least_{}", std::process::id());
        let mut admin = database.connect().await;
        let name = format!("dbop_migrate_least_{}", std::process::id());
        admin
            .execute(&format!(
                "CREATE USER {user} IDENTIFIED BY 'p%/@w'; GRANT ALL PRIVILEGES ON {name}.* TO {user}"
            ))
            .await;
        let (_, place) = database.dsn.rsplit_once('@').unwrap();
        let dsn = format!("{}://{user}:p%25%2F%40w@{place}", server.kind.scheme());
        let files = Files::customers(server.kind, "least", 20, "");
        let done = run(&dsn, &files.dir, &[]).await;
        admin.execute(&format!("DROP USER {user}")).await;
        done.ok();
        assert_eq!(database.versions().await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn certificates_are_verified_where_the_string_says_so() {
    for server in servers() {
        let variable = format!("{}_CA", server.variable);
        let authority = std::env::var(&variable).unwrap_or_else(|_| {
            panic!("{variable} names no authority of a certificate: run `cargo xtask test mysql`")
        });
        let database = Scratch::new(&server, "tls").await;
        let files = Files::new("tls");
        files.write("0001_one.sql", "CREATE TABLE one (c int);");
        let with =
            |mode: &str, file: &str| format!("{}?sslmode={mode}&sslrootcert={file}", database.dsn);
        run(&with("verify-full", &authority), &files.dir, &[])
            .await
            .ok();
        run(&with("VERIFY_CA", &authority), &files.dir, &[])
            .await
            .ok();
        let unknown = format!("{}?sslmode=verify-full", database.dsn);
        run(&unknown, &files.dir, &[])
            .await
            .failed(1, &["cannot connect to", "certificate"]);
    }
}
