//! A cluster, as the commands beside `run` see it: the databases in it, by the names that people use, and the
//! status that the operator has published. What looks has a client that cannot write.

use std::collections::BTreeMap;

use dbop_api::ManagedDatabase;
use dbop_kubernetes::access::{self, Access, AccessError, Cluster, FORBIDDEN_WAY_OUT};
use dbop_model::ObjectRef;

use super::directory::few;
use crate::cli::{ClusterArgs, Place};
use crate::render::Failure;

/// The ManagedDatabases of a cluster that a command is about.
pub(crate) struct Objects {
    pub(crate) cluster: Cluster,
    /// The only namespace; `None`: all.
    namespace: Option<String>,
}

/// A cluster's way, from the command line.
pub(crate) fn access(args: &ClusterArgs) -> Access {
    Access {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
    }
}

/// What is wrong with a cluster, and the way out.
pub(crate) fn failure(error: &AccessError) -> Failure {
    match error {
        AccessError::Forbidden { missing } => {
            let what = "the operator may not do what it has to; these rules are missing:";
            let failure = missing.iter().fold(Failure::new(what), |failure, rule| {
                failure.or(format!("- {rule}"))
            });
            failure.or(FORBIDDEN_WAY_OUT)
        }
        error => Failure::said(&error.to_string()),
    }
}

impl Objects {
    /// Finds the cluster that a command is about.
    pub(crate) async fn of(place: &Place) -> Result<Self, Failure> {
        let found = Cluster::find(&access(&place.cluster)).await;
        let cluster = match found {
            Ok(cluster) => cluster,
            Err(error) => {
                let failure = failure(&error);
                return Err(failure.or("for a directory of manifests, give it with --local"));
            }
        };
        let default = || cluster.namespace().to_owned();
        let namespace = place.namespace.clone().unwrap_or_else(default);
        Ok(Self {
            namespace: (!place.all_namespaces).then_some(namespace),
            cluster,
        })
    }

    /// These databases; without a name, all of the namespace, or of the cluster.
    pub(crate) async fn databases(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<ObjectRef, ManagedDatabase>, Vec<Failure>> {
        let client = self.cluster.looking().map_err(|e| failure(&e))?;
        if names.is_empty() {
            let namespace = self.namespace.as_deref();
            let all = access::databases(&client, namespace).await;
            let all = by_id(all.map_err(|e| failure(&e))?);
            return if all.is_empty() {
                Err(self.nothing().into())
            } else {
                Ok(all)
            };
        }
        let (mut found, mut failures) = (BTreeMap::new(), Vec::new());
        for name in names {
            match self.database(name).await {
                Ok((id, object)) => drop(found.insert(id, object)),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            Ok(found)
        } else {
            Err(failures)
        }
    }

    /// The database of this name, which is `name` or `namespace/name`.
    pub(crate) async fn database(
        &self,
        name: &str,
    ) -> Result<(ObjectRef, ManagedDatabase), Failure> {
        let client = self.cluster.looking().map_err(|e| failure(&e))?;
        let (namespace, short) = match name.split_once('/') {
            Some((namespace, short)) => (Some(namespace), short),
            None => (self.namespace.as_deref(), name),
        };
        if let Some(namespace) = namespace {
            let id = ObjectRef::new(namespace, short)
                .map_err(|error| Failure::new(format!("'{name}' is no name: {error}")))?;
            let found = access::database(&client, namespace, short).await;
            if let Some(object) = found.map_err(|e| failure(&e))? {
                return Ok((id, object));
            }
        }
        let all = access::databases(&client, namespace).await;
        let all = by_id(all.map_err(|e| failure(&e))?);
        let named: Vec<&ObjectRef> = all.keys().filter(|id| id.name() == short).collect();
        match named.as_slice() {
            [one] if namespace.is_none() => {
                let id = (*one).clone();
                let object = all[&id].clone();
                Ok((id, object))
            }
            [] | [_] => {
                let what = format!("there is no ManagedDatabase '{name}' {}", place(namespace));
                let known = few(all.keys().map(ToString::to_string));
                Err(match known.is_empty() {
                    true => Failure::new(what).or("there is none at all there"),
                    false => Failure::new(what).or(format!("those that exist: {known}")),
                })
            }
            several => {
                let names = few(several.iter().map(ToString::to_string));
                let what = format!("several databases are called '{name}'");
                Err(Failure::new(what).or(format!("name one of: {names}")))
            }
        }
    }

    fn nothing(&self) -> Failure {
        let namespace = self.namespace.as_deref();
        let failure = Failure::new(format!("there is no ManagedDatabase {}", place(namespace)));
        match namespace {
            Some(_) => failure.or("name another namespace with -n, or look into all with -A"),
            None => failure,
        }
    }
}

fn place(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in the cluster".to_owned(),
    }
}

/// What the API server lets be the name of an object need not be one of ours: the schema refuses it.
fn by_id(objects: Vec<ManagedDatabase>) -> BTreeMap<ObjectRef, ManagedDatabase> {
    let id = |object: &ManagedDatabase| {
        let metadata = &object.metadata;
        let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
        ObjectRef::new(namespace, name).ok()
    };
    let pairs = objects.into_iter();
    pairs
        .filter_map(|object| Some((id(&object)?, object)))
        .collect()
}
