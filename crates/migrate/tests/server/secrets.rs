//! A canary password shows nowhere, whatever is wrong with the connection string.

use crate::support::{Files, Scratch, run, servers};

const CANARY: &str = "c4n4ryPass";

#[tokio::test]
async fn no_failure_to_connect_shows_the_password() {
    let files = Files::new("canary");
    files.write("0001_one.sql", "SELECT 1");
    for server in servers() {
        let (_, place) = server.rsplit_once('@').unwrap();
        let host = place.split('/').next().unwrap();
        let cases = [
            (
                format!("postgresql://postgres:{CANARY}@{place}"),
                1,
                "password authentication",
            ),
            (
                format!("postgresql://postgres:{CANARY}@{host}/nowhere-db"),
                1,
                "cannot connect to",
            ),
            (
                format!("postgresql://u:{CANARY}@127.0.0.1:1/d"),
                1,
                "Connection refused",
            ),
            (
                format!("postgresql://u:{CANARY}@no-such-host.invalid/d"),
                1,
                "cannot connect to",
            ),
            (
                format!("postgresql://u:{CANARY}@{host}/d?sslmode=require"),
                1,
                "TLS",
            ),
            (
                format!("postgresql://u:{CANARY}@{host}/d?sslmode={CANARY}"),
                2,
                "sslmode",
            ),
            (
                format!("postgresql://u:{CANARY}@{host}"),
                2,
                "names no database",
            ),
            (
                format!("postgresql://u:x/{CANARY}@{host}/d"),
                2,
                "percent-encoded",
            ),
            (
                format!("postgresql://u:x#{CANARY}@{host}/d"),
                2,
                "percent-encoded",
            ),
            (
                format!("postgresql://u:{CANARY}@h:{CANARY}/d"),
                2,
                "cannot be read",
            ),
            (format!("mysql://u:{CANARY}@{host}/d"), 2, "MySQL"),
            (
                format!("{CANARY}://u@{host}/d"),
                2,
                "does not begin with postgresql://",
            ),
            (CANARY.to_owned(), 2, "does not begin with postgresql://"),
        ];
        for (dsn, status, text) in &cases {
            let trace = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
            let ended = run(dsn, &files.dir, &trace).await;
            ended.failed(*status, &[text]);
            let shown = format!("{}{}", ended.out, ended.err);
            assert!(!shown.contains(CANARY), "{shown}");
            assert_eq!(
                ended.err.lines().count(),
                2,
                "one sentence and a way out: {}",
                ended.err
            );
        }
    }
}

#[tokio::test]
async fn a_run_that_works_or_fails_later_does_not_either() {
    for server in servers() {
        let database = Scratch::new(&server, "canary").await;
        let role = format!("dbop_migrate_canary_{}", std::process::id());
        database
            .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'"))
            .await;
        let (_, place) = database.dsn.rsplit_once('@').unwrap();
        // Not a parameter the driver knows: it warns about it, value included, where logs are on.
        let dsn = format!("postgresql://{role}:{CANARY}@{place}?pasword={CANARY}");
        let files = Files::new("canary-later");
        files.write("0001_one.sql", "CREATE TABLE one ();");
        let refused = run(&dsn, &files.dir, &[("RUST_LOG", "trace")]).await;
        database
            .execute(&format!("GRANT CREATE ON SCHEMA public TO {role}"))
            .await;
        let worked = run(&dsn, &files.dir, &[("RUST_LOG", "trace")]).await;
        database
            .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
            .await;
        worked.ok();
        // Up to 14 everybody may create in schema public.
        assert!(matches!(refused.status, Some(0 | 1)), "{refused:#?}");
        for ended in [refused, worked] {
            let shown = format!("{}{}", ended.out, ended.err);
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
}
