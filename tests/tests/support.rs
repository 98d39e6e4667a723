//! The support for tests is tested itself: nothing of a test stays on the server.

use dbop_tests::{Engine, TestServer, newest, on_each_engine};

/// Everything on a server that is called like this.
async fn called(server: &TestServer, name: &str) -> Vec<String> {
    let sql = match server.engine() {
        Engine::Postgres => format!(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE '{name}%'
             UNION SELECT datname FROM pg_database WHERE datname LIKE '{name}%'"
        ),
        Engine::MariaDb | Engine::MySql => format!(
            "SELECT User FROM mysql.user WHERE User LIKE '{name}%'
             UNION SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{name}%'
             UNION SELECT User FROM mysql.db WHERE Db LIKE '{name}%'"
        ),
    };
    server.read(&sql).await
}

#[tokio::test]
async fn a_database_goes_with_all_accounts_that_its_admin_made() {
    on_each_engine(async |server| {
        let database = server.database("support").await;
        let admin = database.as_admin().await;
        let (name, least) = (database.name().to_owned(), database.admin().to_owned());
        admin.run("CREATE TABLE things (id int)").await.unwrap();
        let count = match server.engine() {
            Engine::Postgres => {
                let made = format!(
                    "CREATE ROLE \"{name}_Group\" NOLOGIN;
                     CREATE ROLE {name}_app LOGIN PASSWORD 'x' IN ROLE \"{name}_Group\";
                     GRANT SELECT ON things TO \"{name}_Group\";
                     CREATE ROLE {name}_other LOGIN;
                     GRANT CONNECT ON DATABASE {name} TO {name}_other"
                );
                admin.run(&made).await.unwrap();
                4
            }
            Engine::MariaDb | Engine::MySql => {
                let made = format!(
                    "CREATE USER {name}_app@'%'; CREATE USER o_{name}@localhost;
                     GRANT SELECT ON {name}.things TO o_{name}@localhost"
                );
                admin.run(&made).await.unwrap();
                3
            }
        };
        assert_eq!(
            database.roles().await.len(),
            count,
            "{:?}",
            database.roles().await
        );
        drop(database);
        assert_eq!(called(&server, &name).await, [""; 0]);
        assert_eq!(called(&server, &least).await, [""; 0]);
        assert_eq!(called(&server, &format!("o_{name}")).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn its_admin_is_the_least_one() {
    on_each_engine(async |server| {
        let database = server.database("support").await;
        let admin = database.as_admin().await;
        for (forbidden, needs) in match server.engine() {
            Engine::Postgres => vec![
                ("CREATE DATABASE other", "createdb"),
                ("CREATE ROLE other SUPERUSER", "superuser"),
            ],
            Engine::MariaDb | Engine::MySql => vec![
                ("CREATE DATABASE other", "CREATE on everything"),
                ("SET GLOBAL max_connections = 5", "SUPER"),
                (
                    "SELECT authentication_string FROM mysql.user",
                    "SELECT on it",
                ),
                ("KILL 1", "CONNECTION ADMIN"),
            ],
        } {
            // A MariaDB admin reads global_priv, of which mysql.user is a view with rights of its own.
            let refused = admin.run(forbidden).await;
            assert!(refused.is_err(), "the admin has {needs}: {forbidden}");
        }
    })
    .await;
}

#[tokio::test]
async fn two_databases_share_nothing() {
    for server in newest() {
        let (one, two) = tokio::join!(server.database("twin"), server.database("twin"));
        assert_ne!(one.name(), two.name());
        drop(one);
        assert_eq!(two.roles().await, [two.admin()]);
        two.as_admin().await;
    }
}
