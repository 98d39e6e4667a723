//! The support for tests is tested itself: nothing of a test stays on the server.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use tokio_postgres::{Client, Config, NoTls};

use dbop_tests::{majors, server};

async fn login(dsn: &str) -> Client {
    let config: Config = dsn.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn a_database_goes_with_all_roles_that_its_admin_made() {
    for major in majors() {
        let server = server(major);
        let database = server.database("support").await;
        let admin = login(&database.admin_dsn()).await;
        let (name, least) = (database.name().to_owned(), database.admin().to_owned());
        admin
            .batch_execute(&format!(
                "CREATE ROLE \"{name}_Group\" NOLOGIN;
                 CREATE ROLE {name}_app LOGIN PASSWORD 'x' IN ROLE \"{name}_Group\";
                 CREATE TABLE things (id int);
                 GRANT SELECT ON things TO \"{name}_Group\";
                 CREATE ROLE {name}_other LOGIN;
                 GRANT CONNECT ON DATABASE {name} TO {name}_other"
            ))
            .await
            .unwrap();
        let row = admin
            .query_one(
                "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = $1",
                &[&least],
            )
            .await
            .unwrap();
        assert!(
            !row.get::<_, bool>(0) && !row.get::<_, bool>(1),
            "the admin is the least one"
        );
        assert_eq!(
            database.roles().await.len(),
            4,
            "{:?}",
            database.roles().await
        );

        drop(database);
        let left = server
            .superuser()
            .await
            .query(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1
                 UNION SELECT datname::text FROM pg_database WHERE datname LIKE $1",
                &[&format!("{name}%")],
            )
            .await
            .unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn two_databases_share_nothing() {
    let server = server(majors()[0]);
    let (one, two) = tokio::join!(server.database("twin"), server.database("twin"));
    assert_ne!(one.name(), two.name());
    drop(one);
    assert_eq!(two.roles().await, [two.admin()]);
    login(&two.admin_dsn()).await;
}
