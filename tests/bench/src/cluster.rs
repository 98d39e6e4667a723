//! The site of one measurement: a namespace with its databases, and what the benchmark sees of it.
//!
//! All databases are in one namespace: the operator's hardest case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use dbop_api::marks::{DATABASE_LABEL, TO_ANNOTATION};
use dbop_api::{DatabaseMigration, ManagedDatabase};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{HeaderValue, USER_AGENT};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The benchmark's own requests bear this, so that they are not taken for the operator's.
const AGENT: &str = "dbop-bench";
/// Requests at once while objects are made.
const PARALLEL: usize = 24;
/// Migrations of the chain: databases begin at the first.
pub const CHAIN: u32 = 4;
/// How often something is looked at that is waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A client of the benchmark.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(AGENT)));
    Ok(Client::try_from(config)?)
}

/// Where a database stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stand {
    generation: i64,
    observed: i64,
    summary: String,
    version: String,
}

impl Stand {
    fn of(object: &ManagedDatabase) -> Self {
        let status = object.status.clone().unwrap_or_default();
        Self {
            generation: object.metadata.generation.unwrap_or_default(),
            observed: status.observed_generation.unwrap_or_default(),
            summary: status.summary.unwrap_or_default(),
            version: status.current_version.unwrap_or_default(),
        }
    }

    /// At rest at this version, and the status is of the spec as it is.
    pub fn is_at_rest(&self, version: &str) -> bool {
        self.summary == "at rest" && self.generation == self.observed && self.version == version
    }
}

type Stands = Arc<Mutex<BTreeMap<String, Stand>>>;
type Jobs = Arc<Mutex<BTreeMap<(String, String), Instant>>>;

/// A namespace, and what is seen in it.
pub struct Site {
    /// The benchmark's client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    stands: Stands,
    jobs: Jobs,
    watches: Vec<JoinHandle<()>>,
}

impl Site {
    /// A new namespace with the chain of migrations, on a cluster with the custom resources as they are now.
    pub async fn new(client: Client, name: &str) -> Result<Self> {
        install_crds(&client).await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": { "generateName": format!("{name}-") },
        }))?;
        let namespace = namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        let mut site = Self {
            namespace: namespace.name_any(),
            client,
            stands: Arc::default(),
            jobs: Arc::default(),
            watches: Vec::new(),
        };
        for nth in 1..=CHAIN {
            let mut spec = json!({
                "container": { "name": "migrate", "image": "bench/migrate:1" },
                "schemaHints": [],
            });
            if nth > 1 {
                spec["previous"] = json!(format!("v{}", nth - 1));
            }
            let object = json!({ "metadata": { "name": format!("v{nth}") }, "spec": spec });
            site.create::<DatabaseMigration>(object).await?;
        }
        site.watch();
        Ok(site)
    }

    /// An API in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn create<K>(&self, mut object: Value) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let object: K = serde_json::from_value(object)?;
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await?;
        Ok(())
    }

    /// Creates databases with their admins' Secrets, at the first version. `more` is put into each spec.
    pub async fn create_databases(
        &self,
        databases: &[(String, String)],
        more: &Value,
    ) -> Result<()> {
        let all = databases.iter().map(|(name, dsn)| async move {
            let secret = json!({
                "metadata": { "name": format!("{name}-admin") },
                "stringData": { "dsn": dsn },
            });
            self.create::<Secret>(secret).await?;
            self.create::<ManagedDatabase>(database(name, more)).await
        });
        stream::iter(all)
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Asks for a version; gives the moment of the API server's answer.
    pub async fn desire(&self, name: &str, version: &str) -> Result<Instant> {
        let change = json!({ "spec": { "desiredSchemaVersion": version } });
        let api = self.api::<ManagedDatabase>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await?;
        Ok(Instant::now())
    }

    /// How many databases are at rest at this version.
    pub fn at_rest(&self, version: &str) -> usize {
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        stands
            .values()
            .filter(|stand| stand.is_at_rest(version))
            .count()
    }

    /// Where a database stands.
    pub fn stand(&self, name: &str) -> Stand {
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        stands.get(name).cloned().unwrap_or_default()
    }

    /// When the Job of a database's migration was seen.
    pub fn job(&self, database: &str, migration: &str) -> Option<Instant> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(&(database.to_owned(), migration.to_owned()))
            .copied()
    }

    /// Waits for that Job.
    pub async fn await_job(
        &self,
        database: &str,
        migration: &str,
        limit: Duration,
    ) -> Result<Instant> {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.job(database, migration) {
                return Ok(at);
            }
            ensure!(
                begin.elapsed() < limit,
                "no Job of {database} to {migration} within {limit:?}: {:?}",
                self.stand(database)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn watch(&mut self) {
        let stands = self.stands.clone();
        let api = self.api::<ManagedDatabase>();
        self.watches.push(tokio::spawn(async move {
            let stream = watcher(api, watcher::Config::default()).backoff(Often);
            let mut stream = std::pin::pin!(stream);
            while let Some(event) = stream.next().await {
                let mut stands = stands.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(Event::InitApply(object) | Event::Apply(object)) => {
                        stands.insert(object.name_any(), Stand::of(&object));
                    }
                    Ok(Event::Delete(object)) => {
                        stands.remove(&object.name_any());
                    }
                    _ => {}
                }
            }
        }));
        let jobs = self.jobs.clone();
        let api = self.api::<Job>();
        self.watches.push(tokio::spawn(async move {
            let stream = watcher(api, watcher::Config::default()).backoff(Often);
            let mut stream = std::pin::pin!(stream);
            while let Some(event) = stream.next().await {
                let now = Instant::now();
                if let Ok(Event::InitApply(object) | Event::Apply(object)) = event {
                    let of = |mark: &str| {
                        let label = object.labels().get(mark);
                        label.or_else(|| object.annotations().get(mark)).cloned()
                    };
                    let key = (
                        of(DATABASE_LABEL).unwrap_or_default(),
                        of(TO_ANNOTATION).unwrap_or_default(),
                    );
                    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
                    jobs.entry(key).or_insert(now);
                }
            }
        }));
    }

    /// Removes all databases at once, finalizers and all, and the namespace in its own time.
    pub async fn remove(self) -> Result<()> {
        for watch in &self.watches {
            watch.abort();
        }
        let api = self.api::<ManagedDatabase>();
        let all = api.list_metadata(&ListParams::default()).await?;
        let held: Vec<String> = all.items.iter().map(ResourceExt::name_any).collect();
        let none = json!({ "metadata": { "finalizers": null } });
        let let_go = held.iter().map(|name| {
            let api = api.clone();
            let none = &none;
            async move {
                api.patch(name, &PatchParams::default(), &Patch::Merge(none))
                    .await?;
                anyhow::Ok(())
            }
        });
        stream::iter(let_go)
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        let everything = DeleteParams::background();
        api.delete_collection(&everything, &ListParams::default())
            .await?;
        let secrets = self.api::<Secret>();
        secrets
            .delete_collection(&everything, &ListParams::default())
            .await?;
        let jobs = self.api::<Job>();
        for job in jobs.list_metadata(&ListParams::default()).await?.items {
            let none = Patch::Merge(&none);
            jobs.patch(&job.name_any(), &PatchParams::default(), &none)
                .await?;
        }
        jobs.delete_collection(&everything, &ListParams::default())
            .await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &everything).await?;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

/// The benchmark's own watches come back at once: what they see is measured.
struct Often;

impl Iterator for Often {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(5 * LOOK_EVERY)
    }
}

impl Backoff for Often {
    fn reset(&mut self) {}
}

fn database(name: &str, more: &Value) -> Value {
    let mut object = json!({
        "metadata": { "name": name },
        "spec": {
            "connection": { "dsnSecret": { "name": format!("{name}-admin") } },
            "desiredSchemaVersion": "v1",
            "schemaVersion": { "engine": "Alembic" },
            "credentials": { "quietWindow": "500ms" },
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

/// A database as the benchmark makes them, with everything that it does not say.
pub fn example() -> Result<ManagedDatabase> {
    let mut object = database("example", &json!({}));
    object["apiVersion"] = json!(dbop_api::API_VERSION);
    object["kind"] = json!(dbop_api::MANAGED_DATABASE);
    object["metadata"]["namespace"] = json!("bench");
    Ok(serde_json::from_value(object)?)
}

async fn install_crds(client: &Client) -> Result<()> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let ours = PatchParams::apply(AGENT).force();
    for crd in dbop_api::crds() {
        api.patch(&crd.name_any(), &ours, &Patch::Apply(&crd))
            .await?;
    }
    let databases: Api<ManagedDatabase> = Api::all(client.clone());
    let migrations: Api<DatabaseMigration> = Api::all(client.clone());
    let one = ListParams::default().limit(1);
    for _ in 0..500 {
        if databases.list(&one).await.is_ok() && migrations.list(&one).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the kinds are not served")
}

/// The API server, stopped and started by xtask.
pub struct ApiServer {
    xtask: PathBuf,
}

impl ApiServer {
    /// By the environment that `cargo xtask bench` gives.
    pub fn new() -> Result<Self> {
        let xtask = std::env::var_os("DBOP_XTASK").context("DBOP_XTASK is not set")?;
        Ok(Self {
            xtask: xtask.into(),
        })
    }

    /// Stops it.
    pub async fn stop(&self) -> Result<()> {
        self.tell("stop").await
    }

    /// Starts it; returns when it answers.
    pub async fn start(&self) -> Result<()> {
        self.tell("start").await
    }

    async fn tell(&self, what: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.xtask);
        let status = command
            .args(["cluster", what, "kube-apiserver"])
            .status()
            .await?;
        ensure!(status.success(), "the API server was not told to {what}");
        Ok(())
    }
}
