//! A real Alembic, with an environment of its own, walked by `local`: the version is what Alembic wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use dbop_tests::local::{Directory, Site, migration};
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

/// A revision's file.
fn script(revision: &str, previous: Option<&str>, upgrade: &str) -> String {
    let down = previous.map_or("None".to_owned(), |revision| format!("'{revision}'"));
    format!(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = '{revision}'\ndown_revision = {down}\n\n\n\
         def upgrade():\n    {upgrade}\n"
    )
}

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
        files.write(
            &format!("db/versions/{revision}_{name}.py"),
            &script(revision, previous.map(|(_, revision)| revision), upgrade),
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

/// Revisions one after the other, which Alembic can be asked to print offline.
fn offline(prefix: &str, revisions: &[(&str, &str)]) -> Directory {
    const OFFLINE: &str = "from alembic import context\n\n\
        context.configure(dialect_name='postgresql', literal_binds=True)\n\
        with context.begin_transaction():\n    context.run_migrations()\n";
    let programs = alembic_programs();
    let path = std::env::var("PATH").unwrap_or_default();
    let files =
        Directory::new(prefix).with_environment("PATH", &format!("{}:{path}", programs.display()));
    files.write("alembic.ini", "[alembic]\nscript_location = db\n");
    files.write("db/env.py", OFFLINE);
    let mut previous = None;
    for (revision, upgrade) in revisions {
        let path = format!("db/versions/{revision}.py");
        files.write(&path, &script(revision, previous, upgrade));
        previous = Some(*revision);
    }
    files
}

/// A revision that asks the database cannot be printed: it is named, and those around it have their hints.
#[tokio::test]
async fn a_revision_that_alembic_cannot_print_costs_its_own_hints_alone() {
    let asks = "op.get_bind().execute(sa.text('SELECT 1')).scalar()";
    let files = offline(
        "alembic_asks",
        &[
            ("aa01", UPGRADES[0]),
            ("aa02", asks),
            (
                "aa03",
                "op.add_column('users', sa.Column('email', sa.Text))",
            ),
            ("aa04", asks),
        ],
    );
    let folder = files.path().display().to_string();
    let arguments = ["generate", "alembic", &*folder, "--image", "i"];
    let finished = files
        .run(&[&arguments[..], &["--engine", "PostgreSQL"]].concat())
        .await;
    finished
        .exits(0)
        .says("revision aa02 has no hints, for `alembic upgrade base:aa04 --sql` failed: AttributeError")
        .says("revision aa04 has no hints, for `alembic upgrade aa02:aa04 --sql` failed: AttributeError")
        .says("write its hints by hand");
    let documents: Vec<&str> = finished.stdout.split("---\n").collect();
    let of = |version: &str| -> &str {
        let version = format!("version: {version}\n");
        let mut found = documents.iter().filter(|text| text.contains(&version));
        found
            .next()
            .unwrap_or_else(|| panic!("{version} is not in {finished}"))
    };
    for (version, hint) in [
        ("aa01", "- {op: createTable, table: users}"),
        (
            "aa03",
            "- {op: addColumn, table: users, columns: [{name: email, type: TEXT}]}",
        ),
    ] {
        let text = of(version);
        assert!(
            text.contains("\n  schemaHints:") && text.contains(hint),
            "{text}"
        );
    }
    for version in ["aa02", "aa04"] {
        let text = of(version);
        assert!(
            !text.contains("\n  schemaHints:") && text.contains("# MISSING: "),
            "{text}"
        );
    }
}

/// What Alembic itself prints of its revisions, offline, becomes hints of the revisions.
#[tokio::test]
async fn hints_come_from_what_alembic_prints() {
    let revisions = REVISIONS.map(|(_, revision)| revision);
    let mut revisions: Vec<(&str, &str)> = revisions.into_iter().zip(UPGRADES).collect();
    let further = "op.execute('DO $$ BEGIN PERFORM 1; END $$')";
    revisions.push(("aa11bb22cc33", further));
    let files = offline("alembic_hints", &revisions);
    let folder = files.path();
    let folder = folder.to_str().unwrap();
    let arguments = [
        "generate",
        "alembic",
        folder,
        "--image",
        "i",
        "--engine",
        "PostgreSQL",
    ];
    let finished = files.run(&arguments).await;
    finished
        .exits(0)
        .says("the SQL is what `alembic upgrade --sql` printed")
        .says("version aa11bb22cc33: alembic upgrade --sql line");
    for line in [
        "- {op: createTable, table: users}",
        "- {op: addColumn, table: users, columns: [{name: email, type: TEXT}]}",
        "- {op: createIndex, table: orders, columns: [{name: user_id}], index: {online: false}}",
        "  #   # MISSING: alembic upgrade --sql line",
    ] {
        assert!(
            finished.stdout.contains(line),
            "{line} was expected of {finished}"
        );
    }

    // The same, from a file; and without Alembic it is said what to do.
    let printed = std::process::Command::new(alembic_programs().join("alembic"))
        .args(["upgrade", "base:head", "--sql"])
        .current_dir(files.path())
        .output()
        .unwrap();
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    files.write("printed.sql", &String::from_utf8(printed.stdout).unwrap());
    let printed = files.path().join("printed.sql");
    let from_file = [&arguments[..], &["--sql", printed.to_str().unwrap()]].concat();
    let again = files.run(&from_file).await;
    again.exits(0);
    let hints = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("- {op"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(hints(&again.stdout), hints(&finished.stdout));
    let elsewhere = Directory::new("alembic_none").with_environment("PATH", "/nowhere");
    let without = elsewhere.run(&arguments).await;
    without
        .exits(0)
        .says("there is no alembic on the PATH")
        .says("by --sql");
    assert!(!without.stdout.contains("  schemaHints"), "{without}");
}
