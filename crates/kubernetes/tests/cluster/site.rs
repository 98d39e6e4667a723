//! One test's site: a namespace, a server with fake databases, and an operator in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dbop_api::{DatabaseMigration, ManagedDatabase, ManagedDatabaseStatus};
use dbop_database::Connector;
use dbop_engine::{Clock, Engine, Entropy, Pace};
use dbop_kubernetes::{Caches, KubernetesPlatform, Settings, drive};
use dbop_testkit::fake_database::FakeDatabase;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What takes longer than this does not come.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The server's first database; others lie beside it.
    pub(crate) server: FakeDatabase,
    operator: Option<Operator>,
    pub(crate) settings: Settings,
}

struct Operator {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _watches: JoinSet<()>,
}

/// The machine's clock.
struct Now;

#[async_trait]
impl Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "a real cluster has a real time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// Bytes that differ from call to call: nothing is secret here.
pub(crate) struct Counting(AtomicU32);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let nth = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let pid = std::process::id().to_be_bytes();
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = nth[at % 4] ^ pid[(at / 4) % 4] ^ (at as u8);
        }
    }
}

pub(crate) async fn client() -> Client {
    // The first client of the process names the TLS provider.
    Client::try_from(config().await).unwrap()
}

pub(crate) async fn config() -> Config {
    let path = std::env::var("DBOP_TEST_KUBECONFIG").expect(
        "DBOP_TEST_KUBECONFIG is not set: cargo xtask cluster up --light -- \
         cargo test -p dbop-kubernetes --test cluster",
    );
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

impl Site {
    /// A namespace of its own on the test cluster, with the CRDs as they are now.
    pub(crate) async fn new(name: &str) -> Self {
        let client = client().await;
        install_crds(&client).await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{name}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let how = PostParams::default();
        let namespace = namespaces.create(&how, &namespace).await.unwrap();
        let namespace = namespace.name_any();
        Self {
            client,
            namespace,
            server: FakeDatabase::new("shop"),
            operator: None,
            settings: Settings {
                cluster: "test".to_owned(),
                instance: "test-1".to_owned(),
                ..Settings::default()
            },
        }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Starts an operator on the namespace, with the fakes as databases.
    pub(crate) async fn start(&mut self) {
        let server = Arc::new(self.server.clone());
        self.start_with(server).await;
    }

    pub(crate) async fn start_with(&mut self, connector: Arc<dyn Connector>) {
        let caches = Caches::new();
        let watches = caches.start(&self.client, std::slice::from_ref(&self.namespace));
        tokio::time::timeout(LIMIT, caches.filled()).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(Now);
        let platform = Arc::new(KubernetesPlatform::new(
            self.client.clone(),
            caches.clone(),
            self.settings.clone(),
            Arc::new(()),
            clock.clone(),
        ));
        let mut engine = Engine::new(
            platform.clone(),
            connector,
            clock,
            Arc::new(Counting(AtomicU32::new(1))),
        );
        engine.pace = Pace {
            heartbeat: Duration::from_secs(2),
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(drive::run(platform, caches, engine, stopped));
        self.operator = Some(Operator {
            stop,
            task,
            _watches: watches,
        });
    }

    /// Ends the operator in good order.
    pub(crate) async fn stop(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.stop.send_replace(true);
            operator.task.await.unwrap();
        }
    }

    /// Ends the operator where it stands.
    pub(crate) async fn kill(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.task.abort();
            let _ = operator.task.await;
        }
    }

    /// Creates the chain v1 to v`last`, each compatible from the one before it.
    pub(crate) async fn migrations(&self, last: u32) {
        for nth in 1..=last {
            self.create::<DatabaseMigration>(migration(nth)).await;
        }
    }

    /// Creates a database on the fake server, and its admin's Secret.
    pub(crate) async fn database(&self, name: &str, desired: &str) {
        self.database_with(name, desired, json!({})).await;
    }

    pub(crate) async fn database_with(&self, name: &str, desired: &str, more: Value) {
        self.admin_secret(name).await;
        let mut object = database(name, desired);
        merge(&mut object["spec"], more);
        self.create::<ManagedDatabase>(object).await;
    }

    pub(crate) async fn admin_secret(&self, name: &str) {
        let database = match name {
            "shop" => self.server.clone(),
            other => self.server.beside(other),
        };
        let dsn = database.target().dsn.expose_secret().to_owned();
        self.create::<Secret>(json!({
            "metadata": { "name": format!("{name}-admin") },
            "stringData": { "dsn": dsn },
        }))
        .await;
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        let mut object = object;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    pub(crate) async fn patch<K>(&self, name: &str, change: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap()
    }

    pub(crate) async fn desire(&self, name: &str, desired: &str) {
        self.patch::<ManagedDatabase>(name, json!({ "spec": { "desiredSchemaVersion": desired } }))
            .await;
    }

    pub(crate) async fn status(&self, name: &str) -> ManagedDatabaseStatus {
        let object = self.api::<ManagedDatabase>().get(name).await.unwrap();
        object.status.unwrap_or_default()
    }

    /// Waits until the status line of a database says this.
    #[track_caller]
    pub(crate) fn shows(&self, name: &str, text: &str) -> impl Future<Output = ()> {
        let (name, text) = (name.to_owned(), text.to_owned());
        async move {
            let is_so = async || {
                let status = self.status(&name).await;
                status
                    .summary
                    .is_some_and(|summary| summary.contains(&text))
            };
            if !until(is_so).await {
                let status = self.status(&name).await;
                panic!("{name} does not show {text:?}: {:?}", status.summary);
            }
        }
    }

    /// Waits until a database is at rest at this version, and the status is of the spec as it is.
    pub(crate) async fn at_rest(&self, name: &str, version: &str) {
        let is_so = async || {
            let object = self.api::<ManagedDatabase>().get(name).await.unwrap();
            let status = object.status.unwrap_or_default();
            status.summary.as_deref() == Some("at rest")
                && status.observed_generation == object.metadata.generation
                && status.current_version.as_deref() == Some(version)
        };
        if !until(is_so).await {
            panic!("{name} is not at rest: {:?}", self.status(name).await);
        }
    }

    pub(crate) async fn secret(&self, name: &str) -> Option<Secret> {
        self.api::<Secret>().get_opt(name).await.unwrap()
    }

    /// A value of a Secret that is there.
    pub(crate) async fn value(&self, secret: &str, key: &str) -> String {
        let secret = self.secret(secret).await.unwrap();
        String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
    }

    /// The reasons of the Events about an object, oldest first.
    pub(crate) async fn events(&self, about: &str) -> Vec<String> {
        let all = self
            .api::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let mut events: Vec<Event> = all
            .items
            .into_iter()
            .filter(|event| {
                let regarding = event.regarding.as_ref();
                regarding.and_then(|of| of.name.as_deref()) == Some(about)
                    && event.reporting_controller.as_deref() == Some("database-operator")
            })
            .collect();
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let reasons = events.into_iter().filter_map(|event| event.reason);
        reasons.collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(operator) = &self.operator {
            operator.task.abort();
        }
        // The namespace goes by itself; nobody waits for it.
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let namespaces: Api<Namespace> = Api::all(client);
                let _ = namespaces
                    .delete(&namespace, &DeleteParams::background())
                    .await;
            });
        }
    }
}

/// Asks until it is so, or the limit is over.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) -> bool {
    tokio::time::timeout(LIMIT, async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await
    .is_ok()
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    async move { assert!(until(is_so).await, "it never is so: {what}") }
}

pub(crate) fn migration(nth: u32) -> Value {
    let mut spec = json!({
        "container": { "name": "migrate", "image": "test/migrate:1" },
        "schemaHints": [],
    });
    if nth > 1 {
        spec["previous"] = json!(format!("v{}", nth - 1));
    }
    json!({ "metadata": { "name": format!("v{nth}") }, "spec": spec })
}

pub(crate) fn database(name: &str, desired: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "connection": { "dsnSecret": { "name": format!("{name}-admin") } },
            "desiredSchemaVersion": desired,
            "schemaVersion": { "engine": "Alembic" },
            "credentials": { "quietWindow": "500ms" },
        },
    })
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

async fn install_crds(client: &Client) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let ours = PatchParams::apply("dbop-test").force();
    for crd in dbop_api::crds() {
        let name = crd.name_any();
        api.patch(&name, &ours, &Patch::Apply(&crd)).await.unwrap();
    }
    let served = async || {
        let databases: Api<ManagedDatabase> = Api::all(client.clone());
        let migrations: Api<DatabaseMigration> = Api::all(client.clone());
        let one = ListParams::default().limit(1);
        databases.list(&one).await.is_ok() && migrations.list(&one).await.is_ok()
    };
    assert!(until(served).await, "the kinds are served");
}
