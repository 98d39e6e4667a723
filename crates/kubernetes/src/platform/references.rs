//! Who refers to a credential's Secret, in the database's namespace: a Secret is mounted by its own namespace alone.
//!
//! A cached answer comes from the watches; a live one lists every kind anew, which is done only for a retirement.
//! Kinds that the ManagedDatabase names besides are always listed: they are not watched. What cannot be listed makes
//! the answer unknown, never shorter.

use std::collections::{BTreeMap, BTreeSet};

use dbop_api::database::PodTemplateKind;
use dbop_engine::{PlatformError, Read, Workloads};
use dbop_model::{ObjectRef, SecretName};
use dbop_plan::{Declared, Reference};
use futures_util::FutureExt as _;
use futures_util::future::join3;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::discovery;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::KubernetesPlatform;
use crate::cache::{Caches, JobEntry, PodEntry};
use crate::call::{self, CallError};
use crate::references::{Holder, Pruned, Workload, holder_of_template, is_built_in, schema_key};

/// Objects of one page of a list.
const PAGE_SIZE: u32 = 500;
/// Pages of one kind in one namespace: what has more is not looked through to the end, and unknown.
const PAGES_MAX: usize = 40;

/// References by Secret; one without an entry has none.
type References = BTreeMap<SecretName, Vec<Reference>>;

impl KubernetesPlatform {
    pub(super) async fn find_workloads(
        &self,
        database: &ObjectRef,
        secrets: &BTreeSet<SecretName>,
        read: Read,
    ) -> Result<Workloads, PlatformError> {
        let namespace = database.namespace();
        let mut holders = match (&self.caches, read) {
            (Some(caches), Read::Cached) => cached(caches, database, secrets),
            _ => self.listed(namespace).await?,
        };
        // The kinds of an object whose spec is refused are not asked for: nothing is retired there either.
        let seen = self.database(database, Read::Cached).await?;
        for kind in seen.iter().flat_map(|seen| seen.kinds.iter()) {
            if !is_built_in(&kind.api_version, &kind.kind) {
                holders.extend(self.listed_of(namespace, kind).await?);
            }
        }
        Ok(Workloads {
            references: sorted(&holders, secrets),
            declared: declared(&holders, database.name()),
        })
    }

    /// Every kind of Kubernetes' own, as it is now.
    async fn listed(&self, namespace: &str) -> Result<Vec<Holder>, PlatformError> {
        let ((pods, deployments, stateful_sets), (daemon_sets, replica_sets, jobs), cron_jobs) =
            join3(
                join3(
                    self.list::<Pod>(namespace).boxed(),
                    self.list::<Deployment>(namespace).boxed(),
                    self.list::<StatefulSet>(namespace).boxed(),
                ),
                join3(
                    self.list::<DaemonSet>(namespace).boxed(),
                    self.list::<ReplicaSet>(namespace).boxed(),
                    self.list::<Job>(namespace).boxed(),
                ),
                self.list::<CronJob>(namespace).boxed(),
            )
            .await;
        let all = [
            pods?,
            deployments?,
            stateful_sets?,
            daemon_sets?,
            replica_sets?,
            jobs?,
            cron_jobs?,
        ];
        Ok(all.into_iter().flatten().collect())
    }

    async fn list<K>(&self, namespace: &str) -> Result<Vec<Holder>, PlatformError>
    where
        K: Workload
            + Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<Pruned<K, Option<Holder>>> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("the {}s of namespace {namespace}", K::KIND);
        let mut holders = Vec::new();
        let all = pages(&api, &what, |object: Pruned<K, Option<Holder>>| {
            holders.extend(object.kept);
            Ok(())
        });
        all.await?;
        Ok(holders)
    }

    /// Objects of a kind that the ManagedDatabase names.
    async fn listed_of(
        &self,
        namespace: &str,
        kind: &PodTemplateKind,
    ) -> Result<Vec<Holder>, PlatformError> {
        let PodTemplateKind { api_version, kind } = kind;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let named = GroupVersionKind::gvk(group, version, kind);
        let known = call::find(discovery::pinned_kind(&self.client, &named)).await;
        let what = format!("the kind {kind} of {api_version} (credentials.podTemplates)");
        let (resource, _): (ApiResource, _) = match known {
            Ok(Some(known)) => known,
            Ok(None) => {
                return Err(PlatformError::Missing(format!(
                    "{what} does not exist in this cluster; install it, or take it out of the list"
                )));
            }
            Err(error) => return Err(error.of("looking up", &what)),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let what = format!(
            "the {kind}s of namespace {namespace} (let the operator list them: a ClusterRole with the \
             label rbac.authorization.k8s.io/aggregate-to-database-operator)"
        );
        let mut holders = Vec::new();
        let all = pages(&api, &what, |object: DynamicObject| {
            let holder = holder_of_template(kind, &object);
            holders.extend(holder.map_err(|error| PlatformError::Refused(error.to_string()))?);
            Ok(())
        });
        all.await?;
        Ok(holders)
    }
}

/// Goes through all pages of a list.
async fn pages<K>(
    api: &Api<K>,
    what: &str,
    mut each: impl FnMut(K) -> Result<(), PlatformError>,
) -> Result<(), PlatformError>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE_SIZE);
    for _ in 0..PAGES_MAX {
        let page = call::read(api.list(&params)).await;
        let page = page.map_err(|error: CallError| error.of("listing", what))?;
        for object in page.items {
            each(object)?;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
    Err(PlatformError::Failed {
        operation: format!("listing {what}"),
        reason: format!("there are more than {}", PAGES_MAX * PAGE_SIZE as usize),
    })
}

/// Holders that refer to one of these Secrets, or say which schema of the database they are for, as the watches have
/// told.
fn cached(caches: &Caches, database: &ObjectRef, secrets: &BTreeSet<SecretName>) -> Vec<Holder> {
    let namespace = database.namespace();
    // One that refers to several of them counts once.
    let mut holders: BTreeMap<(String, Box<str>), Holder> = BTreeMap::new();
    let mut add = |holder: &Holder| {
        let key = (holder.kind.clone().into_owned(), holder.name.clone());
        holders.entry(key).or_insert_with(|| holder.clone());
    };
    let declaring = schema_key(database.name());
    for secret in secrets
        .iter()
        .map(SecretName::as_str)
        .chain([declaring.as_str()])
    {
        caches.pods.each_of(namespace, secret, |_, entry| {
            if let PodEntry::Holder(holder) = entry {
                add(holder);
            }
        });
        for table in &caches.workloads {
            table.each_of(namespace, secret, |_, holder| add(holder));
        }
        caches.jobs.each_of(namespace, secret, |_, entry| {
            if let JobEntry::Other(Some(holder)) = entry {
                add(holder);
            }
        });
    }
    holders.into_values().collect()
}

/// Those that run and say which schema of the database they are for, in a stable order.
fn declared(holders: &[Holder], database: &str) -> Vec<Declared> {
    let mut all: Vec<Declared> = holders
        .iter()
        .filter_map(|holder| holder.declares(database))
        .collect();
    all.sort();
    all
}

/// By Secret, in a stable order.
fn sorted(holders: &[Holder], secrets: &BTreeSet<SecretName>) -> References {
    let mut references = References::new();
    for secret in secrets {
        let mut all: Vec<Reference> = holders
            .iter()
            .filter_map(|holder| holder.reference_to(secret.as_str()))
            .collect();
        if !all.is_empty() {
            all.sort();
            references.insert(secret.clone(), all);
        }
    }
    references
}
