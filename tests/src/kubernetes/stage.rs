//! A stage: a namespace and a database of one's own, a chain of migrations that `dbop-migrate` runs from SQL
//! files, the kubelet, and the door of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::documents;
use super::kubelet::decoded;
use super::{Api, Audit, Door, Entry, Kubelet, Operator, Said, Way};
use crate::local::until;
use crate::{Engine, Scratch, TestDatabase, TestServer, binary, random};

/// The name of the ManagedDatabase.
pub const NAME: &str = "shop";
/// Migrations of the chain.
pub const CHAIN: usize = 6;

/// How often a status that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often an answer is asked for that a busy machine does not give in time.
const TRIES: usize = 10;

/// The stage.
pub struct Stage {
    /// The way to the API server.
    pub api: Api,
    /// The namespace.
    pub namespace: String,
    /// The database.
    pub database: TestDatabase,
    /// The door of its server.
    pub door: Door,
    /// The kubelet.
    pub kubelet: Kubelet,
    /// All that was asked of the API server in the namespace.
    pub audit: Audit,
    scratch: Scratch,
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The version in the status.
    pub version: String,
    /// The published credentials, by migration, each of which works.
    pub credentials: Vec<String>,
    /// The logins that can be logged in to, and those that cannot.
    pub logins: Vec<(String, bool)>,
    /// How many containers ran, by migration.
    pub runs: BTreeMap<String, usize>,
    /// Jobs that carry our finalizer still.
    pub held_jobs: usize,
    /// What the migrations left in the database.
    pub steps: Vec<i32>,
}

impl Stage {
    /// A new one. `pause` is how long each migration takes.
    ///
    /// # Panics
    /// When the servers refuse.
    pub async fn new(server: &TestServer, what: &str, pause: Duration) -> Stage {
        let api = Api::with_our_kinds().await;
        let namespace = format!("failures-{what}-{:08x}", random() as u32);
        let body = json!({ "metadata": { "name": namespace } });
        api.create("/api/v1/namespaces", &body).await;
        let audit = Audit::new(&namespace);
        let database = server.database("failures").await;
        let door = Door::open(server.address()).await;
        let scratch = Scratch::new(&format!("failures-{what}"));
        let folder = scratch.path().to_path_buf();
        let kubelet = Kubelet::start(api.clone(), &namespace, folder);
        let stage = Stage {
            api,
            namespace,
            database,
            door,
            kubelet,
            audit,
            scratch,
        };
        stage.roles().await;
        stage.chain(pause).await;
        stage
    }

    /// Where files of it lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts an operator.
    pub async fn operator(&self, name: &str) -> Operator {
        self.operator_by(name, Way::Straight).await
    }

    /// Starts an operator that reaches the API server in this way.
    pub async fn operator_by(&self, name: &str, way: Way<'_>) -> Operator {
        Operator::start(&self.api, &self.namespace, self.folder(), name, way, &[]).await
    }

    /// The path of a collection of the namespace: `jobs`, `secrets`, `manageddatabases`.
    #[must_use]
    pub fn path(&self, kind: &str) -> String {
        let group = match kind {
            "jobs" => "/apis/batch/v1",
            "leases" => "/apis/coordination.k8s.io/v1",
            "deployments" => "/apis/apps/v1",
            "manageddatabases" | "databasemigrations" => "/apis/database-operator.dev/v1alpha1",
            _ => "/api/v1",
        };
        format!("{group}/namespaces/{}/{kind}", self.namespace)
    }

    /// The path of its Events.
    #[must_use]
    pub fn events(&self) -> String {
        format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events",
            self.namespace
        )
    }

    /// The admin's DSN by way of the door.
    #[must_use]
    pub fn dsn(&self) -> String {
        format!(
            "postgresql://{}:{}@{}/{}?sslmode=disable",
            self.database.admin(),
            self.database.admin_password(),
            self.door.address(),
            self.database.name()
        )
    }

    /// Makes the ManagedDatabase, which desires this migration.
    pub async fn manage(&self, desired: &str) {
        let dsn = match self.database.engine() {
            Engine::Postgres => self.dsn(),
            // The door reads PostgreSQL's protocol alone.
            Engine::MariaDb | Engine::MySql => self.database.admin_dsn(),
        };
        self.secret(&format!("{NAME}-admin"), &dsn).await;
        self.manage_as(NAME, &format!("{NAME}-admin"), desired)
            .await;
    }

    /// Makes a Secret with an admin's DSN.
    pub async fn secret(&self, name: &str, dsn: &str) {
        let secret = json!({ "metadata": { "name": name }, "stringData": { "dsn": dsn } });
        self.api.create(&self.path("secrets"), &secret).await;
    }

    /// Makes a ManagedDatabase.
    pub async fn manage_as(&self, name: &str, secret: &str, desired: &str) {
        let object = json!({
            "apiVersion": "database-operator.dev/v1alpha1",
            "kind": "ManagedDatabase",
            "metadata": { "name": name },
            "spec": {
                "connection": { "dsnSecret": { "name": secret } },
                "desiredSchemaVersion": desired,
                "schemaVersion": { "engine": "Sqlx" },
                "credentials": { "quietWindow": "1s" },
            },
        });
        self.api
            .create(&self.path("manageddatabases"), &object)
            .await;
    }

    /// Says which migration is desired.
    pub async fn desire(&self, desired: &str) {
        let change = json!({ "spec": { "desiredSchemaVersion": desired } });
        let at = format!("{}/{NAME}", self.path("manageddatabases"));
        self.api.change(&at, &change).await;
    }

    /// The status of a ManagedDatabase; null where it cannot be had now.
    pub async fn status(&self, name: &str) -> Value {
        let at = format!("{}/{name}", self.path("manageddatabases"));
        let found = self.api.send(http::Method::GET, &at, None).await;
        let mut found = found.unwrap_or_default();
        let generation = found["metadata"]["generation"].clone();
        let mut status = found["status"].take();
        if status["observedGeneration"] != generation {
            // Of an earlier spec.
            status["summary"] = Value::Null;
        }
        status
    }

    /// Waits until the database is at rest at this migration.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn at_rest(&self, migration: &str, patience: Duration) {
        let began = Instant::now();
        loop {
            let status = self.status(NAME).await;
            if status["summary"] == "at rest" && status["currentVersion"] == migration {
                return;
            }
            assert!(
                began.elapsed() < patience,
                "{} was expected to be at rest at {migration} within {patience:?}: {status:#}",
                self.namespace
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for this operator's first write after a moment, and says when it began.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn wait_first_write(
        &self,
        operator: &Operator,
        after: i64,
        patience: Duration,
    ) -> i64 {
        let what = format!("a write of {}", operator.name);
        let mut first = None;
        until(&what, patience, async || {
            first = self.first_write(operator, after);
            first.is_some()
        })
        .await;
        first.unwrap_or_default()
    }

    /// When this operator took the Lease, after a moment.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn took_lease(&self, operator: &Operator, after: i64) -> i64 {
        let entries = self.audit.entries().into_iter();
        let mut taken = entries.filter(|entry| {
            entry.by == operator.name
                && ["create leases", "update leases"].contains(&entry.what.as_str())
                && entry.code < 300
                && entry.received > after
        });
        let taken = taken.next();
        taken.map_or_else(
            || panic!("{} leads by no Lease", operator.name),
            |entry| entry.received,
        )
    }

    /// Takes everything away, the namespace in its own time. The operators have ended.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn leave(self) {
        let Stage { api, namespace, .. } = &self;
        for kind in ["manageddatabases", "jobs"] {
            for object in api.list(&self.path(kind)).await {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let none = json!({ "metadata": { "finalizers": null } });
                let at = format!("{}/{name}", self.path(kind));
                // It may be gone.
                let _ = api.send(http::Method::PATCH, &at, Some(&none)).await;
            }
        }
        let at = format!("/api/v1/namespaces/{namespace}");
        let _ = api.send(http::Method::DELETE, &at, None).await;
        // Dropping a database takes its time, and walks beside this one go on meanwhile.
        let gone = tokio::task::spawn_blocking(move || drop(self));
        gone.await.expect("what is dropped does not panic");
    }

    /// How things stand.
    ///
    /// # Panics
    /// When they cannot be looked at, or a published credential does not work.
    pub async fn end(&self) -> End {
        let mut status = self.status(NAME).await;
        for _ in 0..TRIES {
            if !status.is_null() {
                break;
            }
            sleep(LOOK_EVERY).await;
            status = self.status(NAME).await;
        }
        let mut credentials = Vec::new();
        for secret in self.api.list(&self.path("secrets")).await {
            let annotations = &secret["metadata"]["annotations"];
            let migration = annotations["database-operator.dev/migration"].as_str();
            let is_credential = secret["data"]["username"].is_string();
            if let Some(migration) = migration.filter(|_| is_credential) {
                self.works(migration, &secret).await;
                credentials.push(migration.to_owned());
            }
        }
        credentials.sort();
        let superuser = self.database.superuser().await;
        let logins = superuser
            .query(
                "SELECT rolname::text, rolcanlogin FROM pg_roles \
                 WHERE rolname ~ ('^' || $1 || '_v[0-9]+_') AND pg_has_role($2, oid, 'USAGE') ORDER BY 1",
                &[&NAME, &self.database.admin()],
            )
            .await
            .expect("a superuser may list roles");
        let logins = logins
            .iter()
            .map(|row| (stem(row.get(0)), row.get(1)))
            .collect();
        let steps = superuser
            .query("SELECT step FROM steps ORDER BY step", &[])
            .await;
        let steps = steps.expect("the first migration made it");
        let mut runs = BTreeMap::new();
        for run in self.kubelet.runs() {
            *runs.entry(run.to).or_default() += 1;
        }
        let jobs = self.api.list(&self.path("jobs")).await;
        let held = |job: &&Value| {
            let finalizers = job["metadata"]["finalizers"].as_array();
            let ours = finalizers.into_iter().flatten().filter_map(Value::as_str);
            ours.into_iter()
                .any(|name| name.starts_with("database-operator.dev/"))
        };
        End {
            version: status["currentVersion"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            credentials,
            logins,
            runs,
            held_jobs: jobs.iter().filter(held).count(),
            steps: steps.iter().map(|row| row.get(0)).collect(),
        }
    }

    async fn works(&self, migration: &str, secret: &Value) {
        let value = |key: &str| decoded(secret["data"][key].as_str().unwrap_or_default());
        let mut config = tokio_postgres::Config::new();
        let (host, port) = self.database.server().address();
        config
            .host(host)
            .port(port)
            .dbname(value("database").unwrap_or_default())
            .user(value("username").unwrap_or_default())
            .password(value("password").unwrap_or_default());
        let connected = config.connect(tokio_postgres::NoTls).await;
        if let Err(error) = connected {
            panic!("credential {migration} is published and does not work: {error:?}");
        }
    }

    /// Checks that no two migrations ran at once, and each at most once.
    ///
    /// # Panics
    /// When they did.
    pub fn ran_once(&self) {
        let runs = self.kubelet.runs();
        let mut seen = BTreeSet::new();
        for run in &runs {
            assert!(
                seen.insert((run.database.clone(), run.to.clone())),
                "{} ran twice: {runs:#?}",
                run.to
            );
        }
        for (nth, one) in runs.iter().enumerate() {
            for other in &runs[..nth] {
                let over = other.database != one.database
                    || other.ended.is_some_and(|ended| ended <= one.started);
                assert!(over, "two at once: {runs:#?}");
            }
        }
    }

    /// The writes of this operator that took effect: requests, and statements.
    #[must_use]
    pub fn writes_of(&self, operator: &Operator) -> (Vec<Entry>, Vec<Said>) {
        let requests = self.audit.entries().into_iter();
        let statements = self.door.said().into_iter();
        (
            requests
                .filter(|entry| entry.by == operator.name && entry.is_write())
                .collect(),
            statements
                .filter(|said| said.pid == operator.id() && said.is_write())
                .collect(),
        )
    }

    /// When this operator's first write after a moment began.
    #[must_use]
    pub fn first_write(&self, operator: &Operator, after: i64) -> Option<i64> {
        let (requests, statements) = self.writes_of(operator);
        let requests = requests.iter().map(|entry| entry.received);
        let statements = statements.iter().map(|said| said.at);
        requests.chain(statements).filter(|at| *at > after).min()
    }

    /// The Roles that our manifests give, in this namespace.
    async fn roles(&self) {
        let deploy = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac");
        for file in ["namespaced/rbac.yaml", "operator/rbac.yaml"] {
            let text = std::fs::read_to_string(deploy.join(file)).expect("a manifest is there");
            for mut role in documents(&text) {
                let elsewhere = role["metadata"]["namespace"] == "kube-system";
                if role["kind"] != "Role" || elsewhere {
                    continue;
                }
                role["metadata"]["namespace"] = json!(self.namespace);
                let group = "/apis/rbac.authorization.k8s.io/v1";
                let at = format!("{group}/namespaces/{}/roles", self.namespace);
                self.api.create(&at, &role).await;
            }
        }
    }

    /// v1, v2 and so on; from v3 on, each lets the applications of the version before it live, and no older ones.
    async fn chain(&self, pause: Duration) {
        let folder = self.folder().join("migrations");
        std::fs::create_dir_all(&folder).expect("a test's folder is writable");
        let (counts, sleep) = match self.database.engine() {
            Engine::Postgres => ("GENERATED BY DEFAULT AS IDENTITY", "SELECT pg_sleep"),
            Engine::MariaDb | Engine::MySql => ("AUTO_INCREMENT", "DO SLEEP"),
        };
        for nth in 1..=CHAIN {
            let table = match nth {
                1 => format!(
                    "CREATE TABLE steps (id int {counts} PRIMARY KEY, step int NOT NULL);\n"
                ),
                _ => String::new(),
            };
            let seconds = pause.as_secs_f64();
            let sql =
                format!("{table}INSERT INTO steps (step) VALUES ({nth});\n{sleep}({seconds});\n");
            let file = folder.join(format!("{nth:04}_step.sql"));
            std::fs::write(file, sql).expect("a test's folder is writable");
            let name = format!("v{nth}");
            let before = (nth > 1).then(|| format!("v{}", nth - 1));
            self.add(&name, nth, before.as_deref()).await;
        }
    }

    /// Adds a migration that runs the chain's files up to the `nth`. From the third on, code for the one before can live
    /// with its schema.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn add(&self, name: &str, nth: usize, previous: Option<&str>) {
        let mut spec = json!({
            "version": nth.to_string(),
            "container": {
                "name": "migrate", "image": "test/migrate:1",
                "command": [binary("dbop-migrate").display().to_string(), "--dir", "migrations"],
            },
        });
        if let Some(previous) = previous {
            spec["previous"] = json!(previous);
            if nth > 2 {
                spec["compatibleFrom"] = json!(previous);
            }
        }
        let object = json!({
            "apiVersion": "database-operator.dev/v1alpha1",
            "kind": "DatabaseMigration",
            "metadata": { "name": name },
            "spec": spec,
        });
        self.api
            .create(&self.path("databasemigrations"), &object)
            .await;
    }
}

/// A login's name without what differs from test to test.
fn stem(login: &str) -> String {
    login
        .rsplit_once('_')
        .map_or(login, |(stem, _)| stem)
        .to_owned()
}
