//! Names that are each other's patterns, names that are hard to quote, people who give away what they should not, and
//! statements that try to do more than read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_database::{DatabaseError, Look};
use dbop_model::{
    ClaimId, Engine, Fact, LoginTurn, MigrationName, ObservedVersion, Privilege, Proof,
    SchemaVersion, VersionSource,
};
use dbop_testkit::conformance::{Client, Site, Stage};
use mysql_async::prelude::Queryable as _;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use secrecy::SecretString;
use support::{MySite, quoted, whole};

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn v(name: &str) -> MigrationName {
    name.parse().unwrap()
}

async fn opened(site: &MySite, login: &str, password: &str) -> Box<dyn Client> {
    site.open(login, &secret(password)).await.unwrap()
}

/// `a_b` matches `axb` where a grant is not escaped.
#[tokio::test]
async fn databases_whose_names_are_each_others_patterns_do_not_touch() {
    support::on_each(async |server| {
        let pid = std::process::id();
        let one_site = MySite::named(&server, &format!("t{pid}_b%c")).await;
        let two_site = MySite::named(&server, &format!("t{pid}xbyyc")).await;
        let one = Stage::at_v1(&one_site).await;
        let two = Stage::at_v1(&two_site).await;
        let (login_one, login_two) = (one.login("v1").await, two.login("v1").await);
        for (login, own, other) in [
            (&login_one, &one_site, &two_site),
            (&login_two, &two_site, &one_site),
        ] {
            let mut conn = own.login(login.as_str(), "password-of-v1").await.unwrap();
            let of = |site: &MySite| format!("SELECT 1 FROM {}.items", quoted(&site.name));
            conn.query_drop(of(own)).await.unwrap();
            let elsewhere = conn.query_drop(of(other)).await;
            assert!(elsewhere.is_err(), "{login} reads {}", other.name);
            let entered = conn
                .query_drop(format!("USE {}", quoted(&other.name)))
                .await;
            assert!(entered.is_err(), "{login} enters {}", other.name);
            conn.disconnect().await.unwrap();
        }
        one.settles_at(&login_one, 0).await;
        one.admin
            .drop_login(&one.scope, &v("v1"), LoginTurn::First)
            .await
            .unwrap();
        assert!(two.look().await.roles_ready);
        let proof = two_site
            .connector()
            .prove(&two_site.target(), &login_two, &secret("password-of-v1"))
            .await;
        assert_eq!(proof, Proof::Works);
    })
    .await;
}

#[tokio::test]
async fn databases_with_names_that_are_hard_to_quote() {
    support::on_each(async |server| {
        let pid = std::process::id();
        for name in [
            format!("it's `{pid}` \"odd\" %_ ü"),
            format!("back\\slash{pid}"),
            format!("{pid}{}", "x".repeat(64 - pid.to_string().len())),
        ] {
            let site = MySite::named(&server, &name).await;
            let stage = Stage::at_v1(&site).await;
            let login = stage.login("v1").await;
            let facts = stage.look().await;
            assert!(facts.roles_ready, "{name}");
            let at = ObservedVersion::At(SchemaVersion::new("v1").unwrap());
            assert_eq!(facts.version, Fact::Known(at), "{name}");
            let mut client = opened(&site, login.as_str(), "password-of-v1").await;
            assert!(
                client
                    .may(Privilege::Insert, &"items".parse().unwrap())
                    .await
            );
            client.close().await;
            stage.settles_at(&login, 0).await;
            stage
                .admin
                .drop_login(&stage.scope, &v("v1"), LoginTurn::First)
                .await
                .unwrap();
            assert!(stage.look().await.logins.is_empty(), "{name}");
        }
    })
    .await;
}

/// By a view, a column, a grant on the whole database or on a pattern: the version cannot be written.
#[tokio::test]
async fn the_version_is_not_written_by_a_detour() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let to = format!("TO {}@'%'", quoted(login.as_str()));
        let version = format!("{}.alembic_version", quoted(&site.name));
        let view = |name: &str, of: &str| {
            let (database, of) = (quoted(&site.name), quoted(of));
            format!("CREATE VIEW {database}.{name} AS SELECT * FROM {database}.{of}")
        };
        server.runs(&view("behind", "alembic_version")).await;
        server.runs(&view("far_behind", "behind")).await;
        server.runs(&view("harmless", "items")).await;
        for given in [
            format!("GRANT UPDATE ON {} {to}", whole(&site.name)),
            format!("GRANT DELETE ON {} {to}", "`dbop\\_conf%`.*"),
            format!("GRANT UPDATE (version_num) ON {version} {to}"),
            format!("GRANT ALTER, TRIGGER ON {version} {to}"),
            format!("GRANT INSERT ON {}.behind {to}", quoted(&site.name)),
        ] {
            server.runs(&given).await;
        }
        assert!(!stage.look().await.roles_ready);
        // What was given on a pattern is beyond the least admin, and a person's to take back.
        match stage.admin.prepare(&stage.scope).await {
            Err(DatabaseError::Privilege(missing)) => {
                assert!(missing.grant.starts_with("REVOKE DELETE ON"), "{missing:?}");
                server.runs(&missing.grant).await;
            }
            other => panic!("{other:?}"),
        }
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let mut client = opened(&site, login.as_str(), "password-of-v1").await;
        for name in ["alembic_version", "behind", "far_behind"] {
            let mut conn = site.login(login.as_str(), "password-of-v1").await.unwrap();
            let name = format!("{}.{name}", quoted(&site.name));
            for write in [
                format!("UPDATE {name} SET version_num = 'v9'"),
                format!("INSERT INTO {name} VALUES ('v9')"),
                format!("DELETE FROM {name}"),
            ] {
                assert!(conn.query_drop(&write).await.is_err(), "{write}");
            }
            conn.query_drop(format!("SELECT * FROM {name}"))
                .await
                .unwrap();
            conn.disconnect().await.unwrap();
        }
        assert!(
            client
                .may(Privilege::Delete, &"harmless".parse().unwrap())
                .await
        );
        client.close().await;
    })
    .await;
}

/// A definer that is gone leaves a view that nobody can read.
#[tokio::test]
async fn a_login_that_defines_something_is_not_dropped() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        site.person_allows_create(login.as_str()).await;
        let mut conn = site.login(login.as_str(), "password-of-v1").await.unwrap();
        conn.query_drop("CREATE VIEW theirs AS SELECT id FROM items")
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        stage.settles_at(&login, 0).await;
        match stage
            .admin
            .drop_login(&stage.scope, &v("v1"), LoginTurn::First)
            .await
        {
            Err(DatabaseError::StillOwns { detail, .. }) => {
                assert!(
                    detail.contains(&format!("view {}.theirs", site.name)),
                    "{detail}"
                );
            }
            other => panic!("{other:?}"),
        }
        server
            .runs(&format!("DROP VIEW {}.theirs", quoted(&site.name)))
            .await;
        stage
            .admin
            .drop_login(&stage.scope, &v("v1"), LoginTurn::First)
            .await
            .unwrap();
        assert!(!site.has_role(login.as_str()).await);
    })
    .await;
}

/// The server prefers it for clients from there, and its sessions bear the same name.
#[tokio::test]
async fn an_account_of_another_host_is_foreign() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let theirs = format!("{}@'10.9.8.7'", quoted(login.as_str()));
        server.runs(&format!("CREATE USER {theirs}")).await;
        let foreign = stage.look().await.foreign;
        assert_eq!(foreign.len(), 1, "{foreign:?}");
        assert_eq!(foreign[0].name, format!("{login}@10.9.8.7"));
        stage
            .admin
            .drop_login(&stage.scope, &v("v1"), LoginTurn::First)
            .await
            .unwrap();
        let hosts = format!("SELECT Host FROM mysql.user WHERE User = '{login}'");
        assert_eq!(server.reads(&hosts).await, ["10.9.8.7"], "theirs stays");
        // A new one would share its name with theirs.
        let again = stage
            .admin
            .ensure_login(&stage.scope, &v("v1"), LoginTurn::First, &secret("x"))
            .await;
        assert!(matches!(again, Err(DatabaseError::Foreign(_))), "{again:?}");
        server.runs(&format!("DROP USER {theirs}")).await;
    })
    .await;
}

/// Not to be allowed to see is not to see nobody: also in a session that began before it was allowed.
#[tokio::test]
async fn without_process_sessions_are_unknown() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let admin = format!("{}@'%'", quoted(&site.admin));
        server
            .runs(&format!("REVOKE PROCESS ON *.* FROM {admin}"))
            .await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let client = opened(&site, login.as_str(), "password-of-v1").await;
        let wanted = BTreeSet::from([login.clone()]);
        for given in [false, true] {
            match stage.admin.sessions(&wanted).await {
                Err(DatabaseError::Privilege(missing)) => {
                    assert!(
                        missing.grant.contains("GRANT PROCESS ON *.*"),
                        "{missing:?}"
                    );
                }
                other => panic!("{other:?}"),
            }
            let facts = stage.look().await;
            assert_eq!(facts.missing, [], "it is not needed to write");
            let sessions = &facts.logins[&v("v1")].sessions;
            assert!(matches!(sessions, Fact::Unknown(_)), "{sessions:?}");
            if !given {
                server
                    .runs(&format!("GRANT PROCESS ON *.* TO {admin}"))
                    .await;
            }
        }
        let fresh = site.connector().connect(&site.target()).await.unwrap();
        assert_eq!(fresh.sessions(&wanted).await.unwrap()[&login].len(), 1);
        client.close().await;
    })
    .await;
}

/// Shorter than the time between two looks.
#[tokio::test]
async fn a_connection_that_came_and_went_is_seen_where_the_server_counts() {
    support::on_each(async |server| {
        if server.engine == Engine::MariaDb {
            server.runs("SET GLOBAL userstat = 1").await;
        }
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let wanted = BTreeSet::from([login.clone()]);
        let (password, admin) = (secret("password-of-v1"), stage.admin.as_ref());
        stage.settles_at(&login, 0).await;
        // A proof of ours is none of an application's.
        let connector = site.connector();
        let proof = connector.prove(&site.target(), &login, &password).await;
        assert_eq!(proof, Proof::Works);
        stage.settles_at(&login, 0).await;
        let before = admin.sessions(&wanted).await.unwrap();
        assert_eq!(before[&login], []);
        for _ in 0..2 {
            opened(&site, login.as_str(), "password-of-v1")
                .await
                .close()
                .await;
        }
        // They may still be ending; then they are seen as they are.
        let seen = admin.sessions(&wanted).await.unwrap();
        assert!(!seen[&login].is_empty());
        stage.settles_at(&login, 0).await;
        if server.engine == Engine::MariaDb {
            server.runs("SET GLOBAL userstat = 0").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_users_statement_reads_one_value_and_does_nothing_else() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let read = async |query: &str| {
            let look = Look {
                owner: stage.scope.owner.clone(),
                version_source: VersionSource::Query {
                    query: query.to_owned(),
                    table: None,
                },
                access: stage.scope.access.clone(),
                migrations: BTreeSet::new(),
            };
            stage.admin.observe(&look).await.unwrap().version
        };
        let at =
            |version: &str| Fact::Known(ObservedVersion::At(SchemaVersion::new(version).unwrap()));
        for (query, expect) in [
            ("SELECT version_num FROM alembic_version", at("v1")),
            (
                "SELECT version_num FROM alembic_version -- the version",
                at("v1"),
            ),
            ("WITH x AS (SELECT 41 + 1) SELECT * FROM x;", at("42")),
            ("SELECT 'it''s \\\\ x'", at("it's \\ x")),
            ("SELECT NULL", Fact::Known(ObservedVersion::None)),
            ("SELECT a FROM nowhere", Fact::Known(ObservedVersion::None)),
        ] {
            assert_eq!(read(query).await, expect, "{query}");
        }
        for query in [
            "SELECT 1; DROP TABLE items",
            "DROP TABLE items",
            "DELETE FROM items",
            "SELECT 1) AS x INTO OUTFILE '/tmp/dbop-x' -- ",
            "SELECT 1 INTO OUTFILE '/tmp/dbop-x'",
            "SELECT 1 FROM (SELECT 1",
            "SELECT 1, 2",
            "SELECT 1 UNION SELECT 2",
            "SELECT version_num FROM alembic_version FOR UPDATE; COMMIT",
            "CALL nothing()",
            "SET GLOBAL read_only = 1",
            "COMMIT",
            "",
        ] {
            let version = read(query).await;
            assert!(matches!(version, Fact::Unknown(_)), "{query}: {version:?}");
        }
        let there = stage.look().await;
        assert!(there.has_tables, "nothing was dropped");
        assert!(
            stage.admin.try_lock().await.unwrap(),
            "the connection lives"
        );
    })
    .await;
}

/// The canary is looked for in the server's own log of statements.
#[tokio::test]
async fn no_password_reaches_the_servers_log() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let was = server.reads("SELECT @@general_log + 0").await.remove(0);
        server.runs("SET GLOBAL log_output = 'TABLE'").await;
        server.runs("SET GLOBAL general_log = 1").await;
        let canary = format!("canary{}", std::process::id());
        let password = secret(&canary);
        let login = stage.admin.ensure_login(&stage.scope, &v("v1"), LoginTurn::First, &password).await.unwrap();
        let connector = site.connector();
        let proof = connector.prove(&site.target(), &login, &password).await;
        assert_eq!(proof, Proof::Works);
        stage.admin.open_migrator(&stage.scope, &password).await.unwrap();
        let logged = format!(
            "SELECT COUNT(*) FROM mysql.general_log WHERE CONVERT(argument USING utf8mb4) LIKE '%{login}%'"
        );
        assert_ne!(server.reads(&logged).await, ["0"], "the log has what it should");
        // In two parts, so that the question does not find itself.
        let (one, two) = canary.split_at(4);
        let logged = format!(
            "SELECT COUNT(*) FROM mysql.general_log \
             WHERE CONVERT(argument USING utf8mb4) LIKE CONCAT('%{one}', '{two}%')"
        );
        assert_eq!(server.reads(&logged).await, ["0"]);
        server.runs("SET GLOBAL log_output = 'FILE'").await;
        server.runs(&format!("SET GLOBAL general_log = {was}")).await;
    })
    .await;
}

/// A name of somebody's who has a claim that is none: nothing of it is ours.
#[tokio::test]
async fn a_mark_without_its_account_is_nothing() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        server
            .runs(&format!("DROP USER {}@'%'", quoted(login.as_str())))
            .await;
        assert!(stage.look().await.logins.is_empty());
        let again = stage.login("v1").await;
        assert_eq!(again, login);
        assert!(stage.look().await.roles_ready);
        server
            .runs(&format!("DROP USER {}@'%'", quoted(login.as_str())))
            .await;
        stage
            .admin
            .drop_login(&stage.scope, &v("v1"), LoginTurn::First)
            .await
            .unwrap();
        let other = ClaimId::new("ffffffff").unwrap();
        let name = names::migrator(server.engine, &stage.scope.owner.object, &other);
        assert!(!site.has_role(name.as_str()).await);
    })
    .await;
}

/// What somebody could have added, and who may do what: one line each.
async fn catalogue(site: &MySite, claim: &ClaimId) -> Vec<String> {
    let schema = format!("'{}'", site.name);
    let mut lines = Vec::new();
    for of in [
        format!("SELECT CONCAT('table ', table_name) FROM information_schema.tables WHERE table_schema = {schema}"),
        format!(
            "SELECT CONCAT('column ', table_name, '.', column_name) FROM information_schema.columns \
             WHERE table_schema = {schema}"
        ),
        format!(
            "SELECT CONCAT('index ', table_name, '.', index_name) FROM information_schema.statistics \
             WHERE table_schema = {schema}"
        ),
        format!("SELECT CONCAT('routine ', routine_name) FROM information_schema.routines WHERE routine_schema = {schema}"),
        format!("SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = {schema}"),
        format!("SELECT CONCAT('event ', event_name) FROM information_schema.events WHERE event_schema = {schema}"),
        "SELECT CONCAT('schema ', schema_name) FROM information_schema.schemata WHERE schema_name = 'dbop_mine'".into(),
    ] {
        lines.extend(site.server.reads(&of).await);
    }
    let accounts = "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user";
    let of_claim = format!("{accounts} WHERE User LIKE '%{claim}%' OR User = 'dbop_mine'");
    for account in site.server.reads(&of_claim).await {
        // A mark, in MariaDB a role's name, which is too long for this question.
        if account.ends_with("@''") {
            lines.push(account);
            continue;
        }
        for grant in site
            .server
            .reads(&format!("SHOW GRANTS FOR {account}"))
            .await
        {
            // The hash of a password is no right.
            let right = grant.split(" IDENTIFIED ").next().unwrap_or_default();
            lines.push(format!("{account}: {right}"));
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn an_application_makes_nothing_and_gives_nothing_away() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let (login, other) = (stage.login("v1").await, stage.login("v2").await);
        let [me, other] = [&login, &other].map(|one| format!("{}@'%'", quoted(one.as_str())));
        let owner = &stage.scope.owner.object;
        let migrator = names::migrator(server.engine, owner, &stage.scope.claim);
        assert!(site.has_role(migrator.as_str()).await);
        let migrator = format!("{}@'%'", quoted(migrator.as_str()));
        let database = quoted(&site.name);
        let before = catalogue(&site, &stage.scope.claim).await;
        let mut conn = site.login(login.as_str(), "password-of-v1").await.unwrap();
        for denied in [
            "CREATE TABLE mine (id int)".to_owned(),
            "CREATE DATABASE dbop_mine".to_owned(),
            "CREATE VIEW mine AS SELECT 1".to_owned(),
            "CREATE FUNCTION mine() RETURNS int DETERMINISTIC RETURN 1".to_owned(),
            "CREATE PROCEDURE mine() SELECT 1".to_owned(),
            "CREATE TRIGGER mine BEFORE INSERT ON items FOR EACH ROW SET @x = 1".to_owned(),
            "CREATE EVENT mine ON SCHEDULE EVERY 1 DAY DO SELECT 1".to_owned(),
            "CREATE INDEX mine ON items (id)".to_owned(),
            "ALTER TABLE items ADD COLUMN mine int".to_owned(),
            "RENAME TABLE items TO mine".to_owned(),
            "DROP TABLE items".to_owned(),
            "DROP TABLE alembic_version".to_owned(),
            format!("DROP DATABASE {database}"),
            "CREATE USER dbop_mine".to_owned(),
            format!("ALTER USER {other} IDENTIFIED BY 'Mine-0123456789'"),
            format!("ALTER USER {migrator} ACCOUNT UNLOCK"),
            format!("DROP USER {other}"),
            format!("RENAME USER {other} TO 'dbop_mine'@'%'"),
            format!("GRANT SELECT ON {database}.items TO {other}"),
            format!("GRANT ALL ON {} TO {me}", whole(&site.name)),
            format!("GRANT SELECT ON *.* TO {me}"),
            "SELECT * FROM mysql.user".to_owned(),
            "SELECT id FROM items INTO OUTFILE '/tmp/dbop-mine'".to_owned(),
            "SET GLOBAL read_only = 1".to_owned(),
        ] {
            assert!(conn.query_drop(&denied).await.is_err(), "{denied}");
        }
        conn.disconnect().await.unwrap();
        assert_eq!(catalogue(&site, &stage.scope.claim).await, before);
        assert!(stage.look().await.roles_ready);
    })
    .await;
}

/// Servers let every account change its own password. It ends with what stands in its Secret.
#[tokio::test]
async fn a_password_that_an_application_gave_itself_is_put_right() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let proof = async |password: &str| {
            let connector = site.connector();
            connector
                .prove(&site.target(), &login, &secret(password))
                .await
        };
        let mut conn = site.login(login.as_str(), "password-of-v1").await.unwrap();
        let mine = "SET PASSWORD = ";
        let mine = match server.engine {
            Engine::MariaDb => format!("{mine} PASSWORD('Mine-0123456789')"),
            _ => format!("{mine} 'Mine-0123456789'"),
        };
        conn.query_drop(mine).await.unwrap();
        conn.disconnect().await.unwrap();
        assert_ne!(proof("password-of-v1").await, Proof::Works);
        let ours = secret("password-of-v1");
        stage
            .admin
            .ensure_login(&stage.scope, &v("v1"), LoginTurn::First, &ours)
            .await
            .unwrap();
        assert_eq!(proof("password-of-v1").await, Proof::Works);
        assert_ne!(proof("Mine-0123456789").await, Proof::Works);
    })
    .await;
}

/// Whatever stands in a Secret as a password: one login has it, and nothing else came to be.
#[tokio::test]
async fn any_password_makes_one_login_and_nothing_else() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let before = catalogue(&site, &stage.scope.claim).await;
        let mut made = None;
        for password in passwords() {
            let given = secret(&password);
            let login = stage
                .admin
                .ensure_login(&stage.scope, &v("v2"), LoginTurn::First, &given)
                .await
                .unwrap();
            let connector = site.connector();
            let proof = connector.prove(&site.target(), &login, &given).await;
            assert_eq!(proof, Proof::Works, "{password:?}");
            let mut now = catalogue(&site, &stage.scope.claim).await;
            now.retain(|line| !before.contains(line));
            assert!(
                now.iter().all(|line| line.contains(login.as_str())),
                "{password:?}: {now:#?}"
            );
            assert_eq!(
                made.get_or_insert_with(|| now.clone()),
                &now,
                "{password:?}"
            );
        }
    })
    .await;
}

/// Those that somebody would try, and some that nobody thought of.
fn passwords() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let any = "([^\\x00]|['\"\\\\;`-]){1,40}";
    let mut found: Vec<String> = (0..24)
        .map(|_| any.new_tree(&mut runner).unwrap().current())
        .collect();
    found.extend(
        [
            "'; DROP TABLE items; -- ",
            "' WITH GRANT OPTION; -- ",
            "\\'; DROP TABLE items; -- ",
            "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
            "$A$005$",
            "%s %00 {}",
        ]
        .map(str::to_owned),
    );
    found
}
