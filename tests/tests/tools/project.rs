//! What the common body has to know of a tool: where files go, what is called, and what a person does to repair.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use dbop_tests::local::{Directory, Site};
use dbop_tests::{Engine, tool};
use serde_json::Value;

/// A project of a migration tool.
pub(crate) trait Project: Sync {
    /// The tool's name, as `cargo xtask tools` knows it.
    fn name(&self) -> &'static str;

    /// `spec.schemaVersion`.
    fn schema_version(&self) -> Value;

    /// The table in which it records versions.
    fn table(&self) -> &'static str;

    /// What the tool records for its three migrations.
    fn versions(&self) -> [&'static str; 3];

    /// Writes what is there before any migration.
    fn lay_out(&self, _files: &Directory, _engine: Engine) {}

    /// Writes one migration, the first being 1; one that is there is replaced.
    fn step(&self, files: &Directory, nth: usize, statements: &[&str]);

    /// What takes a database to `$(DBA_OP_TARGET_VERSION)`: a program of the tool's, and its arguments.
    fn command(&self, engine: Engine) -> Vec<String>;

    /// Variables that it is called with; what the operator sets can be named in them.
    fn environment(&self, _engine: Engine) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What the second migration leaves that fails in its second statement, the first one being DDL.
    fn failed(&self, engine: Engine) -> Aftermath {
        Aftermath::of_statements(engine)
    }

    /// What the third one leaves that is killed in its first statement.
    fn killed(&self, _engine: Engine) -> Aftermath {
        Aftermath::default()
    }
}

/// What a run leaves behind, and what puts it right.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// What the status says of a version that is half applied; empty: the tool recorded none.
    pub(crate) dirty: &'static str,
    /// What a person runs in the database.
    pub(crate) sql: Vec<&'static str>,
    /// What a person calls the tool with.
    pub(crate) calls: Vec<Vec<&'static str>>,
}

impl Aftermath {
    /// What remains of the statements alone: all is rolled back where DDL can be.
    pub(crate) fn of_statements(engine: Engine) -> Aftermath {
        let sql = match engine {
            Engine::Postgres => vec![],
            Engine::MariaDb | Engine::MySql => vec!["ALTER TABLE users DROP COLUMN email"],
        };
        Aftermath {
            sql,
            ..Aftermath::default()
        }
    }

    /// The same where the tool recorded the version as half applied.
    pub(crate) fn dirty(mut self, says: &'static str) -> Aftermath {
        self.dirty = says;
        self
    }

    /// The same where a statement more has to be run.
    pub(crate) fn sql(mut self, statement: &'static str) -> Aftermath {
        self.sql.push(statement);
        self
    }

    /// The same where the tool has a command for it.
    pub(crate) fn call(mut self, arguments: &[&'static str]) -> Aftermath {
        self.calls.push(arguments.to_vec());
        self
    }
}

/// A call of a tool's program with these arguments.
pub(crate) fn command_line(project: &dyn Project, name: &str, arguments: &[&str]) -> Vec<String> {
    let mut words = vec![program(project, name)];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    words
}

/// The path of a tool's program.
fn program(project: &dyn Project, name: &str) -> String {
    let path = tool::programs(project.name()).join(name);
    assert!(path.is_file(), "{} is not there", path.display());
    path.to_str().expect("the cache's path is text").to_owned()
}

/// A DSN in the form that Go's driver for MySQL has; `options` follow.
pub(crate) fn go_mysql_dsn(options: &str) -> String {
    format!(
        "$(DBA_OP_USERNAME):$(DBA_OP_PASSWORD)@tcp($(DBA_OP_HOST):$(DBA_OP_PORT))/$(DBA_OP_DATABASE)?{options}"
    )
}

/// Calls the tool by hand, as the admin, with the same variables as a Job; it must succeed.
pub(crate) fn call(project: &dyn Project, site: &Site, arguments: &[&str]) {
    let engine = site.database.engine();
    let known = variables(site);
    let own = project.environment(engine);
    let mut whole = project.command(engine);
    // Up to the first word that is a command of the tool's, all says where the database and the files are.
    let end = whole.iter().position(|word| is_verb(word)).unwrap_or(1);
    whole.truncate(end);
    whole.extend(arguments.iter().map(|word| (*word).to_owned()));
    let mut words = whole.iter().map(|word| expanded(word, &known));
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(site.directory.path())
        .envs(known.iter())
        .envs(
            own.iter()
                .map(|(name, value)| (name, expanded(value, &known))),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{} {arguments:?} failed by hand: {}{}",
        project.name(),
        said(&output.stdout),
        said(&output.stderr)
    );
}

fn is_verb(word: &str) -> bool {
    ["goto", "migrate"].contains(&word)
}

/// What the operator would set, for the admin.
fn variables(site: &Site) -> BTreeMap<&'static str, String> {
    let database = &site.database;
    let (host, port) = database.server().address();
    let (jdbc, tls, uri_tls) = match database.engine() {
        Engine::Postgres => ("postgresql", "sslmode=disable", "sslmode=disable"),
        Engine::MariaDb => ("mariadb", "sslMode=trust", "ssl-mode=REQUIRED"),
        Engine::MySql => ("mysql", "sslMode=REQUIRED", "ssl-mode=REQUIRED"),
    };
    BTreeMap::from([
        (
            "DBA_OP_CONNECTION_STRING",
            format!("{}?{uri_tls}", database.admin_dsn()),
        ),
        (
            "DBA_OP_JDBC_URL",
            format!("jdbc:{jdbc}://{host}:{port}/{}?{tls}", database.name()),
        ),
        ("DBA_OP_HOST", host),
        ("DBA_OP_PORT", port.to_string()),
        ("DBA_OP_DATABASE", database.name().to_owned()),
        ("DBA_OP_USERNAME", database.admin().to_owned()),
        ("DBA_OP_PASSWORD", database.admin_password().to_owned()),
        ("DBA_OP_TARGET_VERSION", "latest".to_owned()),
    ])
}

/// `$(NAME)` replaced, as in a container.
fn expanded(text: &str, known: &BTreeMap<&'static str, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("$({name})"), value)
    })
}
