//! The caches: what the watches have told of every object that concerns a database, and who hears of a change.
//!
//! Of each object only what a look needs is kept, from the moment it is decoded. A cache may lag behind: it decides
//! what to look at, and every action looks again at the API server before it goes on.

pub(crate) mod chains;
pub(crate) mod packed;
pub(crate) mod seen;
pub(crate) mod table;
pub(crate) mod wakes;

mod watch;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use dbop_api::{DatabaseMigration, ManagedDatabase, Refusals};
use dbop_model::ObjectRef;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use crate::job::PodSeen;
use crate::references::{Holder, Prune, Pruned, Workload, schema_key};
use chains::Namespace;
use seen::{DatabaseSeen, MigrationSeen, SecretMeta, owner};
use table::{Keys, Table};
use wakes::Wakes;
use watch::Watch;

/// Secrets that are nobody's credential, of which a cluster may hold thousands: they are not even listed.
const NO_CREDENTIALS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";
/// Objects of one page of a list: what is decoded of it at once is some megabytes at most.
const PAGE_SIZE: u32 = 250;

/// What was seen of the cluster.
#[derive(Default)]
pub struct Caches {
    pub(crate) databases: Arc<Table<Arc<DatabaseSeen>>>,
    pub(crate) migrations: Arc<Table<MigrationSeen>>,
    pub(crate) secrets: Arc<Table<SecretMeta>>,
    pub(crate) jobs: Arc<Table<JobEntry>>,
    pub(crate) pods: Arc<Table<PodEntry>>,
    pub(crate) workloads: [Arc<Table<Holder>>; 5],
    pub(crate) wakes: Wakes,
    /// Something changed in namespaces whose migrations' statuses follow from it.
    pub(crate) touched: Notify,
    touched_namespaces: Mutex<BTreeSet<String>>,
    listed: Mutex<Vec<signal::Receiver<bool>>>,
}

/// A Job: one of ours, or another.
#[derive(Clone, Debug)]
pub(crate) enum JobEntry {
    /// A migration's, without its Pod template.
    Ours {
        /// The database.
        database: ObjectRef,
        /// The Job.
        job: Arc<Job>,
    },
    /// Another's; with the Secrets that it refers to, if it does.
    Other(Option<Holder>),
}

/// By its database; another's by the Secrets that it refers to.
impl Keys for JobEntry {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        match self {
            JobEntry::Ours { database, .. } => each(database.name()),
            JobEntry::Other(Some(holder)) => holder.keys(each),
            JobEntry::Other(None) => {}
        }
    }
}

impl Prune<Job> for JobEntry {
    fn prune(mut job: Job) -> Self {
        match owner(&job.metadata) {
            Some(database) => {
                job.metadata.managed_fields = None;
                if let Some(spec) = &mut job.spec {
                    spec.template.spec = None;
                }
                JobEntry::Ours {
                    database,
                    job: Arc::new(job),
                }
            }
            None => JobEntry::Other(job.holder()),
        }
    }
}

/// A Pod that matters: a migration's, or one that refers to a Secret.
#[derive(Clone, Debug)]
pub(crate) enum PodEntry {
    /// A migration's.
    Run {
        /// The database.
        database: ObjectRef,
        /// What is seen of it.
        pod: PodSeen,
    },
    /// Another's, which refers to Secrets.
    Holder(Holder),
}

/// As with Jobs.
impl Keys for PodEntry {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        match self {
            PodEntry::Run { database, .. } => each(database.name()),
            PodEntry::Holder(holder) => holder.keys(each),
        }
    }
}

/// By the Secrets that it refers to, and by the databases of whose schema it speaks.
impl Keys for Holder {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        self.uses.iter().for_each(|(secret, _)| each(secret));
        for (database, _) in &self.schemas {
            each(&schema_key(database));
        }
    }
}

impl Prune<Pod> for Option<PodEntry> {
    fn prune(pod: Pod) -> Self {
        match owner(&pod.metadata) {
            Some(database) => PodSeen::from_pod(&pod).map(|pod| PodEntry::Run { database, pod }),
            None => pod.holder().map(PodEntry::Holder),
        }
    }
}

impl<K: Workload> Prune<K> for Option<Holder> {
    fn prune(object: K) -> Self {
        object.holder()
    }
}

impl Caches {
    /// Empty caches.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Starts the watches, in these namespaces or (where none is named) in all. They end when the set is dropped.
    pub fn start(self: &Arc<Self>, client: &Client, namespaces: &[String]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if namespaces.is_empty() {
            self.start_in(client, None, &mut tasks);
        }
        for namespace in namespaces {
            self.start_in(client, Some(namespace), &mut tasks);
        }
        tasks
    }

    fn start_in(
        self: &Arc<Self>,
        client: &Client,
        within: Option<&String>,
        tasks: &mut JoinSet<()>,
    ) {
        let config = watcher::Config::default().page_size(PAGE_SIZE);

        let caches = self.clone();
        let watch = self.watch("ManagedDatabase", within, &self.databases);
        let stream = watcher(api::<ManagedDatabase>(client, within), config.clone());
        tasks.spawn(watch.follow(
            stream,
            |object| Some(Arc::new(DatabaseSeen::new(&object))),
            move |namespace, name, before, after| caches.database(namespace, name, before, after),
        ));

        let caches = self.clone();
        let watch = self.watch("DatabaseMigration", within, &self.migrations);
        let stream = watcher(api::<DatabaseMigration>(client, within), config.clone());
        tasks.spawn(watch.follow(
            stream,
            |object| Some(MigrationSeen::new(&object)),
            move |namespace, name, before, after| caches.migration(namespace, name, before, after),
        ));

        let caches = self.clone();
        let watch = self.watch("Secret", within, &self.secrets);
        let some = config.clone().fields(NO_CREDENTIALS);
        let stream = watcher(api::<PartialObjectMeta<Secret>>(client, within), some);
        tasks.spawn(watch.follow(
            stream,
            |object| Some(SecretMeta::new(&object.metadata)),
            move |namespace, name, before, after| caches.secret(namespace, name, before, after),
        ));

        let caches = self.clone();
        let watch = self.watch("Job", within, &self.jobs);
        let stream = watcher(api::<Pruned<Job, JobEntry>>(client, within), config.clone());
        tasks.spawn(watch.follow(
            stream,
            |object| Some(object.kept),
            move |namespace, _, before, after| caches.job(namespace, before, after),
        ));

        let caches = self.clone();
        let watch = self.watch("Pod", within, &self.pods);
        let stream = watcher(
            api::<Pruned<Pod, Option<PodEntry>>>(client, within),
            config.clone(),
        );
        tasks.spawn(watch.follow(
            stream,
            |object| object.kept,
            move |namespace, _, before, after| caches.pod(namespace, before, after),
        ));

        self.watch_workload::<Deployment>(0, client, within, tasks);
        self.watch_workload::<StatefulSet>(1, client, within, tasks);
        self.watch_workload::<DaemonSet>(2, client, within, tasks);
        self.watch_workload::<ReplicaSet>(3, client, within, tasks);
        self.watch_workload::<CronJob>(4, client, within, tasks);
    }

    fn watch_workload<K>(
        self: &Arc<Self>,
        nth: usize,
        client: &Client,
        within: Option<&String>,
        tasks: &mut JoinSet<()>,
    ) where
        K: Workload
            + Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let caches = self.clone();
        let watch = self.watch(K::KIND, within, &self.workloads[nth]);
        let config = watcher::Config::default().page_size(PAGE_SIZE);
        let stream = watcher(api::<Pruned<K, Option<Holder>>>(client, within), config);
        tasks.spawn(watch.follow(
            stream,
            |object| object.kept,
            move |namespace, _, before, after| caches.holder(namespace, before, after),
        ));
    }

    fn watch<V: Keys>(
        &self,
        kind: &'static str,
        within: Option<&String>,
        table: &Arc<Table<V>>,
    ) -> Watch<V> {
        let (listed, is_listed) = signal::channel(false);
        self.listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(is_listed);
        Watch {
            kind,
            within: within.cloned(),
            table: table.clone(),
            listed,
        }
    }

    /// Returns when every watch that was started has listed everything once.
    pub async fn filled(&self) {
        let all = self
            .listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for mut listed in all {
            // A watch that is gone was taken away with its set: whoever waits is about to end as well.
            if listed.wait_for(|listed| *listed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How many ManagedDatabases and DatabaseMigrations there are.
    pub fn counts(&self) -> (usize, usize) {
        let (mut databases, mut migrations) = (0, 0);
        self.databases.each(|_, _, _| databases += 1);
        self.migrations.each(|_, _, _| migrations += 1);
        (databases, migrations)
    }

    /// The namespaces whose migrations' statuses may be out of step.
    pub(crate) fn take_touched(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.touched_namespaces())
    }

    pub(crate) fn touch_again(&self, namespaces: BTreeSet<String>) {
        self.touched_namespaces().extend(namespaces);
    }

    fn touch(&self, namespace: &str) {
        self.touched_namespaces().insert(namespace.to_owned());
        self.touched.notify_one();
    }

    fn touched_namespaces(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.touched_namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What keeps a database from being judged: its own faults, or those of a migration of its chain.
    pub(crate) fn refusals(&self, id: &ObjectRef, seen: &DatabaseSeen) -> Option<Arc<Refusals>> {
        let spec = match &seen.spec {
            Err(refusals) => return Some(refusals.clone()),
            Ok(spec) => spec,
        };
        Namespace::of(&self.migrations, id.namespace())
            .chain(&spec.desired)
            .err()
    }

    fn database(
        &self,
        namespace: &str,
        name: &str,
        before: Option<&Arc<DatabaseSeen>>,
        after: Option<&Arc<DatabaseSeen>>,
    ) {
        let Ok(id) = ObjectRef::new(namespace, name) else {
            return;
        };
        let desired = |seen: Option<&Arc<DatabaseSeen>>| {
            let spec = seen.and_then(|seen| seen.spec.as_ref().ok());
            spec.map(|spec| spec.desired.clone())
        };
        if desired(before) != desired(after) {
            self.touch(namespace);
        }
        match (before, after) {
            (Some(before), Some(after)) => {
                if after.is_news_after(before) {
                    self.wakes.now(&id);
                }
            }
            (None, Some(_)) => self.wakes.came(id),
            _ => self.wakes.now(&id),
        }
    }

    fn migration(
        &self,
        namespace: &str,
        name: &str,
        before: Option<&MigrationSeen>,
        after: Option<&MigrationSeen>,
    ) {
        if let (Some(before), Some(after)) = (before, after)
            && after.says_the_same(before)
        {
            return;
        }
        self.touch(namespace);
        let Ok(name) = name.parse() else { return };
        let mut connected = Namespace::of(&self.migrations, namespace).connected(&name);
        // One that is gone may have been the link.
        let gone = before.and_then(|before| before.migration.as_ref().ok());
        connected.extend(gone.and_then(|gone| gone.previous.clone()));
        let mut wake = Vec::new();
        self.databases.each_in(namespace, |database, seen| {
            if let Ok(spec) = &seen.spec
                && connected.contains(&spec.desired)
                && let Ok(id) = ObjectRef::new(namespace, database)
            {
                wake.push(id);
            }
        });
        for id in wake {
            self.wakes.now(&id);
        }
    }

    fn secret(
        &self,
        namespace: &str,
        name: &str,
        before: Option<&SecretMeta>,
        after: Option<&SecretMeta>,
    ) {
        // What we wrote ourselves comes back at the revision that it was written at.
        if before == after {
            return;
        }
        let owners = [before, after].into_iter().flatten();
        for of in owners.filter_map(|meta| meta.of.as_ref()) {
            self.wakes.now(&of.0);
        }
        let mut users: BTreeSet<Box<str>> = BTreeSet::new();
        self.databases.each_of(namespace, name, |database, _| {
            users.insert(database.into());
        });
        // A foreign Secret that bore the name of a credential may have gone.
        if before.or(after).is_some_and(|meta| meta.of.is_none()) {
            let beginnings = name.match_indices('-').map(|(at, _)| &name[..at]);
            users.extend(beginnings.map(Box::from));
        }
        let users = users
            .iter()
            .filter_map(|database| ObjectRef::new(namespace, &**database).ok());
        for id in users {
            self.wakes.now(&id);
        }
        let elsewhere = format!("{namespace}/{name}");
        self.databases.each_with(&elsewhere, |namespace, database| {
            if let Ok(id) = ObjectRef::new(namespace, database) {
                self.wakes.now(&id);
            }
        });
    }

    fn job(&self, namespace: &str, before: Option<&JobEntry>, after: Option<&JobEntry>) {
        let revision = |entry: &JobEntry| match entry {
            JobEntry::Ours { job, .. } => job.resource_version(),
            JobEntry::Other(_) => None,
        };
        if let (Some(before), Some(after)) = (before, after)
            && let (Some(one), Some(other)) = (revision(before), revision(after))
            && one == other
        {
            return;
        }
        for entry in [before, after].into_iter().flatten() {
            match entry {
                JobEntry::Ours { database, .. } => self.wakes.now(database),
                JobEntry::Other(holder) => self.referred(namespace, holder.as_ref()),
            }
        }
    }

    fn pod(&self, namespace: &str, before: Option<&PodEntry>, after: Option<&PodEntry>) {
        for entry in [before, after].into_iter().flatten() {
            match entry {
                PodEntry::Run { database, .. } => self.wakes.now(database),
                PodEntry::Holder(_) => {}
            }
        }
        let holder = |entry: Option<&PodEntry>| match entry {
            Some(PodEntry::Holder(holder)) => Some(holder.clone()),
            _ => None,
        };
        self.holder(namespace, holder(before).as_ref(), holder(after).as_ref());
    }

    fn holder(&self, namespace: &str, before: Option<&Holder>, after: Option<&Holder>) {
        if before != after {
            self.referred(namespace, before);
            self.referred(namespace, after);
        }
    }

    /// A workload that refers to these Secrets came, went or changed.
    fn referred(&self, namespace: &str, holder: Option<&Holder>) {
        for (secret, _) in holder.iter().flat_map(|holder| holder.uses.iter()) {
            let meta = self.secrets.get(namespace, secret);
            if let Some(of) = meta.and_then(|meta| meta.of) {
                self.wakes.referred(&of.0);
            }
        }
        for (database, _) in holder.iter().flat_map(|holder| holder.schemas.iter()) {
            if let Ok(id) = ObjectRef::new(namespace, &**database) {
                self.wakes.referred(&id);
            }
        }
    }
}

fn api<K>(client: &Client, within: Option<&String>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match within {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
