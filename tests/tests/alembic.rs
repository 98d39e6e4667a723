//! A real Alembic, with an environment of its own, walked by `local`: the version is what Alembic wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use dbop_tests::local::{Site, migration};
use dbop_tests::{TestServer, alembic_programs, on_each};

/// Names in the chain, and the revisions that Alembic knows.
const REVISIONS: [(&str, &str); 5] = [
    ("v1", "3f1c0a9d5e21"),
    ("v2", "8b7e64c1d0f2"),
    ("v3", "c25d9a7731b3"),
    ("v4", "e90f4412aa84"),
    ("v5", "17d6b3c5f8e5"),
];

/// What each revision does.
const UPGRADES: [&str; 5] = [
    "op.create_table('users', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True), \
     sa.Column('name', sa.Text, nullable=False))",
    "op.add_column('users', sa.Column('email', sa.Text))",
    "op.create_table('orders', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True), \
     sa.Column('user_id', sa.BigInteger, sa.ForeignKey('users.id'), nullable=False))",
    "op.create_index('orders_by_user', 'orders', ['user_id'])",
    "op.add_column('orders', sa.Column('note', sa.Text, server_default=''))",
];

const ENVIRONMENT: &str = r#"
import os

from alembic import context
from sqlalchemy import create_engine, pool

# The contract's scheme names the server; SQLAlchemy wants the driver named as well.
url = os.environ["DBA_OP_CONNECTION_STRING"].replace("postgresql://", "postgresql+psycopg://", 1)
engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"#;

/// A database that Alembic migrates: its environment and five migrations, with `v1` desired.
async fn site(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    site.set("/spec/schemaVersion/engine", "Alembic");
    let files = &site.directory;
    files.write("db/alembic.ini", "[alembic]\nscript_location = db\n");
    files.write("db/env.py", ENVIRONMENT);
    let programs = alembic_programs();
    let alembic = programs.join("alembic");
    let alembic = alembic.to_str().expect("the cache's path is text");
    let mut previous: Option<(&str, &str)> = None;
    for ((name, revision), upgrade) in REVISIONS.into_iter().zip(UPGRADES) {
        let down = previous.map_or("None".to_owned(), |(_, revision)| format!("'{revision}'"));
        files.write(
            &format!("db/versions/{revision}_{name}.py"),
            &format!(
                "import sqlalchemy as sa\nfrom alembic import op\n\n\
                 revision = '{revision}'\ndown_revision = {down}\n\n\n\
                 def upgrade():\n    {upgrade}\n"
            ),
        );
        let upgrade = [
            alembic,
            "-c",
            "db/alembic.ini",
            "upgrade",
            "$(DBA_OP_TARGET_VERSION)",
        ];
        let object = migration(name, previous.map(|(name, _)| name), &upgrade);
        files.put(&object.set("/spec/version", revision));
        previous = Some((name, revision));
    }
    site
}

/// What Alembic wrote into its table.
async fn revision(site: &Site) -> Vec<String> {
    let superuser = site.database.superuser().await;
    let rows = superuser
        .query("SELECT version_num FROM alembic_version", &[])
        .await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn five_revisions_are_walked_one_by_one() {
    on_each(async |server| {
        let site = site(&server, "alembic_steps").await;
        for (nth, (name, written)) in REVISIONS.into_iter().enumerate() {
            site.desire(name);
            site.directory.local().await.exits(0);
            assert_eq!(revision(&site).await, [written]);
            let status = site.status();
            assert_eq!(status["currentVersion"], name, "{status:#}");
            assert_eq!(status["lastRun"]["outcome"], "Completed", "{status:#}");
            assert_eq!(status["binding"]["name"], site.secret_name(name), "{status:#}");
            let first = nth.saturating_sub(1);
            let kept: Vec<&str> = REVISIONS[first..=nth].iter().map(|(name, _)| *name).collect();
            site.has_credentials(&kept).await;
        }
        assert_eq!(site.directory.job_logs().len(), REVISIONS.len(), "each ran once");

        let application = site.published("v5").connect().await.unwrap();
        application
            .run(
                "INSERT INTO users (name) VALUES ('a'); INSERT INTO orders (user_id) SELECT id FROM users",
            )
            .await
            .unwrap();
        let forged = application.run("UPDATE alembic_version SET version_num = '1'").await;
        assert!(forged.unwrap_err().is_denied(), "an application may not forge the version");
    })
    .await;
}

#[tokio::test]
async fn from_empty_no_quiet_window_is_paid() {
    on_each(async |server| {
        let site = site(&server, "alembic_empty").await;
        site.set("/spec/credentials/quietWindow", "10m");
        site.desire("v5");
        let walk = site.directory.local().await;
        walk.exits(0);
        // Five times Python's start, on a busy machine: one window would be ten minutes.
        assert!(walk.took < Duration::from_secs(50), "{walk}");
        assert_eq!(revision(&site).await, ["17d6b3c5f8e5"]);
        assert_eq!(site.status()["currentVersion"], "v5");
        assert_eq!(
            site.directory.job_logs().len(),
            REVISIONS.len(),
            "each ran once"
        );
        site.has_credentials(&["v4", "v5"]).await;
    })
    .await;
}
