//! A canary password shows nowhere, whatever is wrong with the connection string.

use crate::support::{Files, Scratch, run, servers};

const CANARY: &str = "c4n4ryPass";

#[tokio::test]
async fn no_failure_to_connect_shows_the_password() {
    let files = Files::new("canary");
    files.write("0001_one.sql", "SELECT 1");
    for server in servers() {
        let (before, place) = server.dsn.rsplit_once('@').unwrap();
        let user = before
            .rsplit('/')
            .next()
            .unwrap()
            .split(':')
            .next()
            .unwrap();
        let host = place.split('/').next().unwrap();
        let scheme = server.kind.scheme();
        let begins = "begins with none of postgresql://, mysql:// and mariadb://";
        let mut cases = vec![
            (
                format!("{scheme}://{user}:{CANARY}@{place}"),
                1,
                server
                    .kind
                    .pick("password authentication", "Access denied for user"),
            ),
            (
                format!("{scheme}://{user}:{CANARY}@{host}/nowhere-db"),
                1,
                "cannot connect to",
            ),
            (
                format!("{scheme}://u:{CANARY}@127.0.0.1:1/d"),
                1,
                "Connection refused",
            ),
            (
                format!("{scheme}://u:{CANARY}@no-such-host.invalid/d"),
                1,
                "cannot connect to",
            ),
            (
                format!("{scheme}://u:{CANARY}@{host}/d?sslmode={CANARY}"),
                2,
                "sslmode",
            ),
            (
                format!("{scheme}://u:{CANARY}@{host}"),
                2,
                "names no database",
            ),
            (
                format!("{scheme}://u:x/{CANARY}@{host}/d"),
                2,
                "percent-encoded",
            ),
            (
                format!("{scheme}://u:x#{CANARY}@{host}/d"),
                2,
                "percent-encoded",
            ),
            (
                format!("{scheme}://u:{CANARY}@h:{CANARY}/d"),
                2,
                "cannot be read",
            ),
            (format!("{CANARY}://u@{host}/d"), 2, begins),
            (CANARY.to_owned(), 2, begins),
        ];
        if server.kind.is_postgres() {
            // Servers of tests have a certificate where they are MySQL or MariaDB.
            let tls = format!("{scheme}://u:{CANARY}@{host}/d?sslmode=require");
            cases.push((tls, 1, "TLS"));
        }
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
            .execute(&match server.kind.is_postgres() {
                true => format!("CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'"),
                false => format!("CREATE USER {role} IDENTIFIED BY '{CANARY}'"),
            })
            .await;
        let (_, place) = database.dsn.rsplit_once('@').unwrap();
        // Not a parameter the driver knows: it warns about it, value included, where logs are on.
        let scheme = server.kind.scheme();
        let dsn = format!("{scheme}://{role}:{CANARY}@{place}?pasword={CANARY}");
        let files = Files::new("canary-later");
        files.write("0001_one.sql", "CREATE TABLE one (c int);");
        let refused = run(&dsn, &files.dir, &[("RUST_LOG", "trace")]).await;
        database
            .execute(&match server.kind.is_postgres() {
                true => format!("GRANT CREATE ON SCHEMA public TO {role}"),
                false => format!("GRANT ALL PRIVILEGES ON *.* TO {role}"),
            })
            .await;
        let worked = run(&dsn, &files.dir, &[("RUST_LOG", "trace")]).await;
        database
            .execute(&match server.kind.is_postgres() {
                true => format!("DROP OWNED BY {role}; DROP ROLE {role}"),
                false => format!("DROP USER {role}"),
            })
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
