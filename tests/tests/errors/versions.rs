//! The version in the database and the chain of migrations do not fit.

use dbop_tests::local::migration;
use dbop_tests::{on_each_engine, on_newest};

use super::{goes_on, refused, site, site_on};

#[tokio::test]
async fn a_version_that_no_migration_has() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_unknown").await;
        goes_on(&site, "v1").await;
        let set = |version: i32| format!("UPDATE _sqlx_migrations SET version = {version}");
        site.database.run(&set(77)).await;
        site.desire("v2");
        refused(
            &site,
            3,
            "the database is at version 77, which no migration of this chain has (known: v1, v2); create \
             that migration, or restore the version",
        )
        .await;
        assert_eq!(site.status()["currentVersion"], "77");
        site.database.run(&set(1)).await;
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn tables_without_a_version() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_tables").await;
        let admin = site.database.as_admin().await;
        admin.run("CREATE TABLE things (id int)").await.unwrap();
        refused(
            &site,
            3,
            "the database has tables but no schema version; record the version",
        )
        .await;
        admin.run("DROP TABLE things").await.unwrap();
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_circle_of_previous() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_cycle").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&migration("w2", Some("w3"), &["true"]));
        files.put(&migration("w3", Some("w2"), &["true"]));
        site.desire("w3");
        let sentence = "name each other as previous, in a circle; delete one of them and create it again \
                        with the right previous";
        let ended = refused(&site, 3, sentence).await;
        ended.says("w2").says("w3");
        files.remove("DatabaseMigration", "w2");
        refused(&site, 3, "DatabaseMigration w3 names w2 as its previous, which does not exist; create w2")
            .await;
        site.desire("v2");
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn a_desired_migration_that_does_not_exist() {
    let site = site("error_desired").await;
    site.desire("v9");
    refused(
        &site,
        3,
        "desiredSchemaVersion names DatabaseMigration v9, which does not exist; create it, or name another",
    )
    .await;
}

#[tokio::test]
async fn two_migrations_of_one_version() {
    let site = site("error_ambiguous").await;
    goes_on(&site, "v1").await;
    let twin = migration("v1b", Some("v1"), &["true"]).set("/spec/version", "1");
    site.directory.put(&twin);
    site.desire("v1b");
    let ended = refused(
        &site,
        3,
        "all have version 1; give each a version of its own",
    )
    .await;
    ended.says("v1, v1b");
}

#[tokio::test]
async fn several_heads() {
    on_newest(async |server| {
        let site = site_on(&server, "error_heads").await;
        site.set("/spec/schemaVersion/engine", "Alembic");
        let tool = site.database.as_admin().await;
        tool.run(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
                 INSERT INTO alembic_version VALUES ('aaaa'), ('bbbb')",
        )
        .await
        .unwrap();
        refused(
            &site,
            3,
            "the database records several versions at once (aaaa, bbbb); merge the heads with the migration \
             tool",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_half_applied_version() {
    on_newest(async |server| {
        let site = site_on(&server, "error_dirty").await;
        goes_on(&site, "v1").await;
        site.database
            .run(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (2, 'x', false, '', 0)",
            )
            .await;
        site.desire("v2");
        refused(&site, 3, "version 2 is half applied").await;
    })
    .await;
}
