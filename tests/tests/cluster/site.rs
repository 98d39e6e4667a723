//! One test's site: a namespace that enforces Pod Security `restricted`, a real database, and a record of what happens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use dbop_tests::{TestDatabase, server};
use serde_json::{Value, json};
use tokio_postgres::Config;

use crate::api::{Api, all, at, background, condition, text, until};
use crate::install;
use crate::record::Record;

/// The server that Pods connect to.
const MAJOR: u8 = 18;
/// The name of the one database of a site.
pub(crate) const SHOP: &str = "shop";
/// How far into the past sessions are asked about after their end: the demo is in a hurry, too.
const QUIET_WINDOW: &str = "500ms";

pub(crate) struct Site {
    pub(crate) api: Api,
    pub(crate) namespace: String,
    pub(crate) database: TestDatabase,
    pub(crate) databases: Record,
    pub(crate) jobs: Record,
    pub(crate) pods: Record,
}

/// The image that a variable names.
fn image(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test node`"))
}

impl Site {
    /// A new one, with the operator for all namespaces at work.
    pub(crate) async fn new(name: &str) -> Site {
        let api = Api::of_environment().await;
        install::for_all_namespaces(&api).await;
        Site::without_operator(api, name).await
    }

    /// A new one; the operator is the test's affair.
    pub(crate) async fn without_operator(api: Api, name: &str) -> Site {
        let random = RandomState::new().build_hasher().finish();
        let namespace = format!("{name}-{:08x}", random >> 32);
        api.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace, "labels": {
                "database-operator.dev/test": "node",
                "pod-security.kubernetes.io/enforce": "restricted",
            } },
        }))
        .await;
        let record = |version, kind| Record::of(&api, &namespace, version, kind);
        let databases = record("database-operator.dev/v1alpha1", "ManagedDatabase");
        let (jobs, pods) = (record("batch/v1", "Job"), record("v1", "Pod"));
        let database = server(MAJOR).database(&name.replace('-', "_")).await;
        let site = Site {
            api,
            namespace,
            database,
            databases,
            jobs,
            pods,
        };
        site.apply(
            "v1",
            "Secret",
            "shop-admin",
            json!({ "stringData": { "dsn": site.admin_dsn() } }),
        )
        .await;
        site
    }

    /// The admin's DSN, as Pods connect to the server.
    fn admin_dsn(&self) -> String {
        let variable = format!("DBOP_TEST_POSTGRES_{MAJOR}_FROM_PODS");
        let dsn = image(&variable);
        let config: Config = dsn
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no DSN"));
        let tokio_postgres::config::Host::Tcp(host) = &config.get_hosts()[0] else {
            panic!("{variable} names no host");
        };
        let (user, password) = (self.database.admin(), self.database.admin_password());
        let port = config.get_ports().first().copied().unwrap_or(5432);
        format!(
            "postgresql://{user}:{password}@{host}:{port}/{}",
            self.database.name()
        )
    }

    pub(crate) fn at(&self, kind: &str, name: &str) -> String {
        at(kind, &self.namespace, name)
    }

    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.api.get(&self.at(kind, name)).await
    }

    pub(crate) async fn all(&self, kind: &str) -> Vec<Value> {
        self.api.list(&all(kind, &self.namespace)).await
    }

    /// Makes an object of the site so: `fields` beside its name and kind.
    pub(crate) async fn apply(
        &self,
        version: &str,
        kind: &str,
        name: &str,
        fields: Value,
    ) -> Value {
        let mut object = fields;
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(self.namespace);
        self.api.apply(&object).await
    }

    /// The chain v1, v2 and so on, each of one file of SQL.
    pub(crate) async fn chain(&self, sql: &[&str]) {
        self.files(sql).await;
        self.first_migration().await;
        for nth in 2..=sql.len() {
            self.migration(nth, json!({})).await;
        }
    }

    /// The first migration of a chain: what it does is read from the file itself, so that each chain asks for a ConfigMap.
    pub(crate) async fn first_migration(&self) {
        let of_file = json!({ "configMap": { "name": "migrations", "key": "0001_step.sql" } });
        self.migration(1, json!({ "sql": of_file })).await;
    }

    /// The files of the migrations, in a ConfigMap that their Pods mount.
    pub(crate) async fn files(&self, sql: &[&str]) {
        let files: serde_json::Map<String, Value> = sql
            .iter()
            .enumerate()
            .map(|(index, sql)| (format!("{:04}_step.sql", index + 1), json!(sql)))
            .collect();
        self.apply("v1", "ConfigMap", "migrations", json!({ "data": files }))
            .await;
    }

    /// One migration of the chain, with other fields than usual.
    pub(crate) async fn migration(&self, nth: usize, more: Value) {
        let mut spec = json!({
            "version": nth.to_string(),
            "container": {
                "name": "migrate",
                "image": image("DBOP_TEST_IMAGE_MIGRATE"),
                "imagePullPolicy": "Never",
                "command": ["dbop-migrate", "--dir", "/migrations"],
            },
            "schemaHints": [],
        });
        if nth > 1 {
            spec["previous"] = json!(format!("v{}", nth - 1));
        }
        merge(&mut spec, more);
        let version = "database-operator.dev/v1alpha1";
        self.apply(
            version,
            "DatabaseMigration",
            &format!("v{nth}"),
            json!({ "spec": spec }),
        )
        .await;
    }

    /// The database, wanted at a version.
    pub(crate) async fn database(&self, desired: &str, more: Value) {
        let mut spec = json!({
            "connection": { "dsnSecret": { "name": "shop-admin" }, "tls": { "mode": "Disable" } },
            "desiredSchemaVersion": desired,
            "schemaVersion": { "engine": "Sqlx" },
            "credentials": { "quietWindow": QUIET_WINDOW },
            "migrations": { "podTemplate": {
                "spec": { "volumes": [{ "name": "migrations", "configMap": { "name": "migrations" } }] },
                "container": { "volumeMounts": [
                    { "name": "migrations", "mountPath": "/migrations", "readOnly": true },
                ] },
            } },
        });
        merge(&mut spec, more);
        let version = "database-operator.dev/v1alpha1";
        self.apply(version, "ManagedDatabase", SHOP, json!({ "spec": spec }))
            .await;
    }

    pub(crate) async fn desire(&self, version: &str) {
        self.change(json!({ "spec": { "desiredSchemaVersion": version } }))
            .await;
    }

    pub(crate) async fn change(&self, change: Value) {
        self.api
            .merge(&self.at("ManagedDatabase", SHOP), change)
            .await;
    }

    /// What a person says of the last run.
    pub(crate) async fn say(&self, word: &str) {
        let job = text(&self.shop().await, "/status/lastRun/job").to_owned();
        let annotation = format!("database-operator.dev/{word}");
        self.change(json!({ "metadata": { "annotations": { annotation: job } } }))
            .await;
    }

    pub(crate) async fn shop(&self) -> Value {
        self.get("ManagedDatabase", SHOP)
            .await
            .unwrap_or(Value::Null)
    }

    /// Waits until the database is ready at this version, by the latest word of its spec.
    pub(crate) async fn at_rest(&self, version: &str) {
        let what = format!("{}: ready at {version}", self.namespace);
        let mut last = Value::Null;
        let ready = until(&what, async || {
            last = self.shop().await;
            is_ready_at(&last, version).then_some(())
        });
        // The limit's panic would not say what is so instead.
        let limit = crate::api::LIMIT - Duration::from_secs(1);
        if tokio::time::timeout(limit, ready).await.is_err() {
            panic!("{what} never is so: {:#}", last["status"]);
        }
    }

    /// Waits until the status' summary says this, and gives the object.
    pub(crate) async fn shows(&self, said: &str) -> Value {
        let what = format!("{} shows {said:?}", self.namespace);
        let mut last = Value::Null;
        let shown = until(&what, async || {
            last = self.shop().await;
            text(&last, "/status/summary")
                .contains(said)
                .then(|| last.clone())
        });
        let limit = crate::api::LIMIT - Duration::from_secs(1);
        match tokio::time::timeout(limit, shown).await {
            Ok(shown) => shown,
            Err(_) => panic!("{what} never is so: {:#}", last["status"]),
        }
    }

    /// Waits until a Pod of this migration runs, and gives it.
    pub(crate) async fn running(&self, migration: &str) -> Value {
        until(&format!("a Pod of {migration} runs"), async || {
            let pods = self.all("Pod").await;
            pods.into_iter().find(|pod| {
                migration_of(pod) == migration && text(pod, "/status/phase") == "Running"
            })
        })
        .await
    }

    /// A Pod of the application that works with the credential of a version.
    pub(crate) async fn application(&self, release: &str) -> String {
        let name = format!("shop-app-{release}");
        let secret = format!("shop-{release}");
        let mount =
            json!([{ "name": "credential", "mountPath": format!("/{secret}"), "readOnly": true }]);
        let volumes = json!([{ "name": "credential", "secret": { "secretName": secret } }]);
        let container = json!({ "args": [release, format!("/{secret}")], "volumeMounts": mount });
        self.pod(&name, container, volumes).await;
        name
    }

    /// A Pod of the application's image.
    pub(crate) async fn pod(&self, name: &str, container: Value, volumes: Value) {
        let mut whole = json!({
            "name": "app",
            "image": image("DBOP_TEST_IMAGE_APP"),
            "imagePullPolicy": "Never",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
            },
        });
        merge(&mut whole, container);
        let spec = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 5,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [whole],
            "volumes": volumes,
        });
        self.apply("v1", "Pod", name, json!({ "spec": spec })).await;
    }

    /// Waits until a Pod runs.
    pub(crate) async fn runs(&self, pod: &str) {
        until(&format!("the Pod {pod} runs"), async || {
            let pod = self.get("Pod", pod).await?;
            let running = pod.pointer("/status/containerStatuses/0/state/running");
            running.map(|_| ())
        })
        .await;
    }

    /// Why a Pod's container waits; empty: it does not.
    pub(crate) async fn waits(&self, pod: &str) -> String {
        let pod = self.get("Pod", pod).await.unwrap_or_default();
        text(&pod, "/status/containerStatuses/0/state/waiting/reason").to_owned()
    }

    /// Deletes a Pod of the application as its Deployment would, and waits until it is gone.
    pub(crate) async fn end_pod(&self, name: &str) {
        self.api.delete(&self.at("Pod", name), json!({})).await;
        until(&format!("the Pod {name} is gone"), async || {
            self.get("Pod", name).await.is_none().then_some(())
        })
        .await;
    }

    /// Each migration had one Job, and that one Pod; by the whole record.
    #[track_caller]
    pub(crate) fn ran_once(&self, migrations: usize) {
        for nth in 1..=migrations {
            let migration = format!("v{nth}");
            let (jobs, pods) = (
                self.uids(&self.jobs, &migration),
                self.uids(&self.pods, &migration),
            );
            assert_eq!(
                (jobs, pods),
                (1, 1),
                "Jobs and Pods of {migration} in {}",
                self.namespace
            );
        }
    }

    /// How many different objects of a migration a record holds.
    pub(crate) fn uids(&self, record: &Record, migration: &str) -> usize {
        let states = record.states();
        let of_it = states
            .iter()
            .filter(|object| migration_of(object) == migration);
        let uids: std::collections::BTreeSet<&str> =
            of_it.map(|object| text(object, "/metadata/uid")).collect();
        uids.len()
    }

    /// What the operator told about an object, as reason and note.
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let events = self.all("Event").await;
        let about = |event: &&Value| {
            text(event, "/regarding/kind") == kind
                && text(event, "/regarding/name") == name
                && text(event, "/reportingController") == install::OPERATOR
        };
        let told = |event: &Value| {
            (
                text(event, "/reason").to_owned(),
                text(event, "/note").to_owned(),
            )
        };
        events.iter().filter(about).map(told).collect()
    }

    /// Deletes the database's object and waits until it is gone; then the namespace, for which nobody waits.
    pub(crate) async fn end(self) {
        self.api
            .delete(&self.at("ManagedDatabase", SHOP), background())
            .await;
        self.gone().await;
        self.api
            .delete(&at("Namespace", "", &self.namespace), background())
            .await;
    }

    /// Waits until the database's object is gone.
    pub(crate) async fn gone(&self) {
        until(
            &format!("the database of {} is gone", self.namespace),
            async || {
                self.get("ManagedDatabase", SHOP)
                    .await
                    .is_none()
                    .then_some(())
            },
        )
        .await;
    }
}

/// Is this state of a database one in which `kubectl wait --for=condition=Ready` ends, at this version?
pub(crate) fn is_ready_at(object: &Value, version: &str) -> bool {
    condition(object, "Ready").0 == "True"
        && object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation")
        && text(object, "/status/currentVersion") == version
}

/// The migration whose Job or Pod this is.
pub(crate) fn migration_of(object: &Value) -> &str {
    text(object, "/metadata/labels/database-operator.dev~1migration")
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

/// Base64, as a Secret's values are written.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = ALPHABET.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 6) | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
