//! The setting of most tests: a database of one's own, a directory with one ManagedDatabase for it, and a
//! chain of migrations that `dbop-migrate` runs from SQL files.

use serde_json::Value;

use super::application::Credential;
use super::catalogue::Snapshot;
use super::directory::{Directory, MANAGED_DATABASE};
use super::manifest::{Object, managed_database, migration, secret};
use crate::{Engine, TestDatabase, TestServer, binary};

/// A database, and the directory that manages it.
pub struct Site {
    // The directory goes first, and its processes with it, so that nobody is connected any more.
    /// The directory.
    pub directory: Directory,
    /// The database.
    pub database: TestDatabase,
    /// The name of the ManagedDatabase: that of the database, as a DNS label.
    pub name: String,
}

/// One step of a chain that `dbop-migrate` runs: `v1`, `v2` and so on.
#[derive(Debug, Clone, Default)]
pub struct Step {
    sql: String,
    compatible_from: Option<String>,
    hints: Option<Value>,
    source: Option<Value>,
}

impl Step {
    /// A step that runs these statements, and says nothing of what they do to the schema.
    #[must_use]
    pub fn new(sql: &str) -> Step {
        Step {
            sql: sql.to_owned(),
            ..Step::default()
        }
    }

    /// The oldest migration whose application works with the schema after this step.
    #[must_use]
    pub fn compatible_from(mut self, migration: &str) -> Step {
        self.compatible_from = Some(migration.to_owned());
        self
    }

    /// Where its SQL stands for those who judge it: the migration's `spec.sql`.
    #[must_use]
    pub fn sql(mut self, source: Value) -> Step {
        self.source = Some(source);
        self
    }

    /// What it says that it does to the schema.
    #[must_use]
    pub fn hints(mut self, hints: Value) -> Step {
        self.hints = Some(hints);
        self
    }
}

impl Site {
    /// A new database with a ManagedDatabase that desires `v1`, and no migration yet.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn new(server: &TestServer, prefix: &str) -> Site {
        let database = server.database(prefix).await;
        Site::of(database, Directory::new(prefix))
    }

    /// A ManagedDatabase for this database in this directory.
    #[must_use]
    #[track_caller]
    pub fn of(database: TestDatabase, directory: Directory) -> Site {
        let name = object_name(&database);
        Site::called(&name, database, directory)
    }

    /// A ManagedDatabase of this name for this database in this directory.
    #[must_use]
    #[track_caller]
    pub fn called(name: &str, database: TestDatabase, directory: Directory) -> Site {
        let site = Site {
            directory,
            database,
            name: name.to_owned(),
        };
        site.directory.put(&managed_database(&site.name, "v1"));
        site.set_dsn(&site.database.admin_dsn());
        site
    }

    /// Sets the admin's DSN.
    #[track_caller]
    pub fn set_dsn(&self, dsn: &str) {
        self.directory
            .put(&secret(&format!("{}-admin", self.name), &[("dsn", dsn)]));
    }

    /// The kind of its server.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.database.engine()
    }

    /// Adds steps to the chain, the first one after step `after` (0: the beginning).
    #[track_caller]
    pub fn steps(&self, after: usize, steps: &[Step]) {
        for (nth, step) in (after + 1..).zip(steps) {
            self.directory
                .write(&format!("migrations/{nth:04}_step.sql"), &step.sql);
            self.directory.put(&self.step_manifest(nth, step));
        }
    }

    /// Says which version is desired.
    #[track_caller]
    pub fn desire(&self, migration: &str) {
        self.set("/spec/desiredSchemaVersion", migration);
    }

    /// Sets a field of the ManagedDatabase.
    #[track_caller]
    pub fn set(&self, path: &str, value: impl Into<Value>) {
        self.directory
            .change(MANAGED_DATABASE, &self.name, path, value);
    }

    /// The status of the ManagedDatabase.
    #[must_use]
    pub fn status(&self) -> Value {
        self.directory.status(&self.name)
    }

    /// The line in the status that says where the database stands.
    #[must_use]
    pub fn summary(&self) -> String {
        self.status()["summary"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The statements that the status says would help: they stand in `(what helps: ...)`.
    #[must_use]
    pub fn helps(&self) -> Vec<String> {
        let status = self.status();
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let stalled = conditions.filter(|condition| condition["type"] == "Stalled");
        let messages = stalled.filter_map(|condition| condition["message"].as_str());
        messages
            .flat_map(|message| message.split("(what helps: ").skip(1))
            .filter_map(up_to_its_end)
            .collect()
    }

    /// The name of a migration's Secret.
    #[must_use]
    pub fn secret_name(&self, migration: &str) -> String {
        format!("{}-{migration}", self.name)
    }

    /// The published credential of a migration, if there is one.
    #[must_use]
    pub fn credential(&self, migration: &str) -> Option<Credential> {
        self.directory.secret(&self.secret_name(migration))
    }

    /// The published credential of a migration.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn published(&self, migration: &str) -> Credential {
        let credential = self.credential(migration);
        credential
            .unwrap_or_else(|| panic!("credential {migration} is not published: {}", self.status()))
    }

    /// Has a credential look as if it had been published at the beginning of 2026.
    ///
    /// # Panics
    /// When it is not published, or its file cannot be changed.
    #[track_caller]
    pub fn age(&self, migration: &str) {
        let keys = self.directory.secret_folder(&self.secret_name(migration));
        let keys = keys.canonicalize().expect("the Secret is published");
        let meta = keys.join("../meta.yaml");
        let text = std::fs::read_to_string(&meta).expect("a Secret has its metadata");
        let aged: Vec<&str> = text
            .lines()
            .map(|line| match line.starts_with("issuedAt:") {
                true => "issuedAt: 2026-01-01T00:00:00Z",
                false => line,
            })
            .collect();
        assert!(aged.join("\n") != text.trim_end(), "{text}");
        std::fs::write(&meta, aged.join("\n")).expect("the state can be written");
    }

    /// Checks which credentials are published, and that each of them works.
    ///
    /// # Panics
    /// When they are others, or one does not work.
    pub async fn has_credentials(&self, migrations: &[&str]) {
        let expected: Vec<String> = migrations.iter().map(|m| self.secret_name(m)).collect();
        let prefix = format!("{}-v", self.name);
        let mut there = self.directory.secrets();
        there.retain(|name| name.starts_with(&prefix));
        assert_eq!(
            there,
            expected,
            "published Secrets; status: {:#}",
            self.status()
        );
        for migration in migrations {
            if let Err(error) = self.published(migration).connect().await {
                panic!("credential {migration} is published and does not work: {error:?}");
            }
        }
        let suffix = self.logins().await;
        assert_eq!(
            suffix.len(),
            migrations.len(),
            "logins in the database: {suffix:?}"
        );
    }

    /// The application logins of this ManagedDatabase in the server, whether locked or not.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn logins(&self) -> Vec<String> {
        self.database.logins().await
    }

    /// Everything that the operator could change.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub async fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.database, &self.directory, &self.name).await
    }

    /// The manifest of a step by `dbop-migrate`.
    fn step_manifest(&self, nth: usize, step: &Step) -> Object {
        let program = binary("dbop-migrate");
        let program = program
            .to_str()
            .expect("the target directory's path is text");
        let previous = (nth > 1).then(|| format!("v{}", nth - 1));
        let object = migration(
            &format!("v{nth}"),
            previous.as_deref(),
            &[program, "--dir", "migrations"],
        )
        .set("/spec/version", nth.to_string());
        let object = match &step.compatible_from {
            Some(oldest) => object.set("/spec/compatibleFrom", oldest.as_str()),
            None => object,
        };
        let said = [
            ("/spec/schemaHints", &step.hints),
            ("/spec/sql", &step.source),
        ];
        said.into_iter()
            .fold(object, |object, (field, value)| match value {
                Some(value) => object.set(field, value.clone()),
                None => object,
            })
    }
}

fn object_name(database: &TestDatabase) -> String {
    database.name().replace('_', "-")
}

/// What stands before the parenthesis that closes the one before it; a statement may have some of its own.
fn up_to_its_end(text: &str) -> Option<String> {
    let mut open = 1;
    let end = text.find(|c: char| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    })?;
    Some(text[..end].to_owned())
}
