//! Batch files: killed, stopped, disturbed by others, and written wrongly.

use crate::support::{Files, Scratch, command, ended, run, servers, signal, until_said};

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    for server in servers() {
        let database = Scratch::new(&server, "killed").await;
        let files = Files::customers(server.kind, "killed", 400, "-- dbop:pause 50ms\n");
        let before = [("DBA_OP_TARGET_VERSION", "2")];
        run(&database.dsn, &files.dir, &before).await.ok();
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database
            .until("(SELECT count(*) FROM customers WHERE full_name IS NOT NULL) >= 50")
            .await;
        signal(&child, "KILL");
        assert_eq!(ended(child).await.status, None);
        database
            .until(&format!("NOT {}", server.kind.connected()))
            .await;
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
async fn a_file_that_cannot_end_or_is_not_one_statement_fails() {
    for server in servers() {
        let database = Scratch::new(&server, "wrong").await;
        let files = Files::customers(server.kind, "wrong", 20, "");
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
            &[
                "failed after 0 changed rows: ",
                server.kind.pick(
                    "cannot insert multiple commands",
                    "error in your SQL syntax",
                ),
            ],
        );

        files.write(
            "0004_circles.sql",
            "-- dbop:batch\n-- dbop:total SELECT count(*) FROM nowhere\nDELETE FROM customers",
        );
        let total = run(&database.dsn, &files.dir, &[]).await;
        let missing = server.kind.pick(
            "dbop:total: relation \"nowhere\" does not exist",
            "nowhere' doesn't exist",
        );
        total.failed(1, &["dbop:total: ", missing]);

        assert_eq!(database.versions().await, [1, 2, 3]);
        assert_eq!(database.number("SELECT count(*) FROM customers").await, 20);
    }
}

#[tokio::test]
async fn sigterm_ends_a_batch() {
    for server in servers() {
        let database = Scratch::new(&server, "term_batch").await;
        let files = Files::customers(server.kind, "term-batch", 400, "-- dbop:pause 1s\n");
        let child = command(&database.dsn, &files.dir, &[]).spawn().unwrap();
        database
            .until(&format!(
                "(SELECT count(*) FROM information_schema.columns WHERE table_schema = {} \
                 AND column_name = 'full_name') = 1",
                server.kind.pick("current_schema()", "DATABASE()")
            ))
            .await;
        database
            .until("(SELECT max(touched) FROM customers) = 1")
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
        let files = Files::customers(server.kind, "held", 25, "");
        run(&database.dsn, &files.dir, &[]).await.ok();
        let mut holder = database.connect().await;
        holder.execute("BEGIN").await;
        holder
            .execute("UPDATE customers SET touched = touched WHERE id = 5")
            .await;
        files.write(
            "0004_touch.sql",
            "-- dbop:batch\nUPDATE customers SET touched = 9 WHERE touched < 9;",
        );
        let timeout = [("DBA_OP_LOCK_TIMEOUT", server.kind.pick("200", "1s"))];
        let waiting = command(&database.dsn, &files.dir, &timeout)
            .spawn()
            .unwrap();
        let waiting = until_said(waiting, "one batch is tried again").await;
        holder.execute("ROLLBACK").await;
        ended(waiting).await.ok();
        assert_eq!(
            database.number("SELECT min(touched) FROM customers").await,
            9
        );
    }
}
