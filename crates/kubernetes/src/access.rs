//! The way to a cluster: which one, with what rights, and what people's commands ask of it.
//!
//! Three kinds of clients lead there: one that only looks, one that writes while a term lasts, and one that writes
//! as the person who runs a command. What is missing for the operator to work at all is found out at its start,
//! and named: an API server, the custom resources, a rule.

mod check;

use std::path::PathBuf;
use std::time::Duration;

use dbop_api::ManagedDatabase;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;

use crate::call::explained;
use crate::election::Leadership;
use crate::gate::{self, Gate};
use crate::rbac::CLUSTER_ID_NAMESPACE;

pub use check::{Place, check};

/// An API server that does not answer a question within this is taken for absent.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Objects of one page of a list.
const PAGE_SIZE: u32 = 500;

/// Which cluster, by whose word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig file; `None`: what the environment gives.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it; `None`: its current one.
    pub context: Option<String>,
}

/// What gives the operator its rights.
pub const FORBIDDEN_WAY_OUT: &str = "apply the manifests of its version, which grant it";

/// Why a cluster cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Nothing says which cluster.
    #[error(
        "no cluster is known: {reason}; name a file with --kubeconfig, or run inside a cluster"
    )]
    NoCluster {
        /// What was looked for, and why it does not do.
        reason: String,
    },
    /// Nobody answers.
    #[error("the API server {server} cannot be worked with: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        reason: String,
    },
    /// Our kinds are not there.
    #[error(
        "the cluster does not know the kind {kind}; install the custom resources first: \
         database-operator crds | kubectl apply --server-side -f -"
    )]
    NoKind {
        /// Which.
        kind: &'static str,
    },
    /// Rules are missing.
    #[error(
        "the operator may not do what it has to: {}; {FORBIDDEN_WAY_OUT}",
        missing.join(", nor ")
    )]
    Forbidden {
        /// Verbs, resources and where, a rule each.
        missing: Vec<String>,
    },
    /// A question was refused, or failed.
    #[error("{what}: {reason}")]
    Failed {
        /// What was asked.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// An object has changed since it was looked at.
    #[error("{what} has changed meanwhile")]
    Changed {
        /// Which object.
        what: String,
    },
}

/// A cluster, and who we are in it.
#[derive(Debug, Clone)]
pub struct Cluster {
    config: Config,
}

impl Cluster {
    /// Finds it: by a named file or context, else by what the environment gives.
    ///
    /// # Errors
    /// [`AccessError::NoCluster`].
    pub async fn find(access: &Access) -> Result<Self, AccessError> {
        let options = KubeConfigOptions {
            context: access.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match (&access.kubeconfig, &access.context) {
            (Some(path), _) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|e| no_cluster(&e))?;
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|e| no_cluster(&e))?
            }
            (None, Some(_)) => {
                let config = Config::from_kubeconfig(&options).await;
                config.map_err(|e| no_cluster(&e))?
            }
            // A file goes first, and a Pod has none.
            (None, None) => match (Config::from_kubeconfig(&options).await, Config::incluster()) {
                (Ok(config), _) | (Err(_), Ok(config)) => config,
                (Err(error), Err(_)) => return Err(no_cluster(&error)),
            },
        };
        Ok(Self { config })
    }

    /// The API server's address.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// Host and port of the API server.
    pub fn server_address(&self) -> Option<(String, u16)> {
        let url = &self.config.cluster_url;
        let port = match url.scheme_str() {
            Some("http") => 80,
            _ => 443,
        };
        let host = url.host()?.trim_matches(['[', ']']);
        Some((host.to_owned(), url.port_u16().unwrap_or(port)))
    }

    /// Our own namespace: that of the ServiceAccount, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// A client that cannot write.
    ///
    /// # Errors
    /// Where no client can be made of the configuration.
    pub fn looking(&self) -> Result<Client, AccessError> {
        self.made(gate::client(self.config.clone(), &Gate::closed()))
    }

    /// A client that writes while this leadership lasts.
    ///
    /// # Errors
    /// Where no client can be made of the configuration.
    pub fn leading(&self, leadership: Leadership) -> Result<Client, AccessError> {
        self.made(gate::client(
            self.config.clone(),
            &Gate::leading(leadership),
        ))
    }

    /// A client that writes whenever it is asked to: for the Lease, and for a person's word.
    ///
    /// # Errors
    /// Where no client can be made of the configuration.
    pub fn unguarded(&self) -> Result<Client, AccessError> {
        self.made(gate::ungated(self.config.clone()))
    }

    fn made(&self, client: Result<Client, kube::Error>) -> Result<Client, AccessError> {
        client.map_err(|error| AccessError::Unreachable {
            server: self.server(),
            reason: with_causes(&error),
        })
    }

    /// Answers anybody there?
    ///
    /// # Errors
    /// [`AccessError::Unreachable`].
    pub async fn answers(&self, client: &Client) -> Result<(), AccessError> {
        let unreachable = |reason| AccessError::Unreachable {
            server: self.server(),
            reason,
        };
        match tokio::time::timeout(CALL_TIMEOUT, client.apiserver_version()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unreachable(cause(&error))),
            Err(_) => Err(unreachable(no_answer())),
        }
    }
}

/// An id of the cluster that is its own for as long as it exists.
///
/// # Errors
/// Where it may not be read.
pub async fn cluster_id(client: &Client) -> Result<String, AccessError> {
    use k8s_openapi::api::core::v1::Namespace;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let what =
        format!("reading the uid of Namespace {CLUSTER_ID_NAMESPACE}, which is the cluster's id");
    let namespace = bounded(&what, namespaces.get(CLUSTER_ID_NAMESPACE)).await?;
    namespace.uid().ok_or(AccessError::Failed {
        what,
        reason: "it has none".to_owned(),
    })
}

/// The ManagedDatabases of a namespace, or of all.
///
/// # Errors
/// [`AccessError`].
pub async fn databases(
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<ManagedDatabase>, AccessError> {
    let (api, what) = match namespace {
        Some(namespace) => (
            Api::namespaced(client.clone(), namespace),
            format!("listing the ManagedDatabases of namespace {namespace}"),
        ),
        None => (
            Api::all(client.clone()),
            "listing the ManagedDatabases of all namespaces".to_owned(),
        ),
    };
    let mut all: Vec<ManagedDatabase> = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE_SIZE);
    loop {
        let page = bounded(&what, api.list(&parameters)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => parameters = parameters.continue_token(&more),
            None => return Ok(all),
        }
    }
}

/// One ManagedDatabase; `None`: there is none.
///
/// # Errors
/// [`AccessError`].
pub async fn database(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<ManagedDatabase>, AccessError> {
    let api: Api<ManagedDatabase> = Api::namespaced(client.clone(), namespace);
    let what = format!("reading ManagedDatabase {namespace}/{name}");
    bounded(&what, api.get_opt(name)).await
}

/// Puts an annotation on a ManagedDatabase, as it was looked at: one that has changed since is not touched.
///
/// # Errors
/// [`AccessError::Changed`], and others.
pub async fn annotate(
    client: &Client,
    seen: &ManagedDatabase,
    annotation: &str,
    value: &str,
) -> Result<(), AccessError> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let object = format!("ManagedDatabase {namespace}/{name}");
    let api: Api<ManagedDatabase> = Api::namespaced(client.clone(), &namespace);
    let change = Patch::Merge(json!({"metadata": {
        "annotations": {annotation: value},
        "resourceVersion": seen.resource_version(),
        "uid": seen.uid(),
    }}));
    let parameters = PatchParams::default();
    let what = format!("annotating {object}");
    let patched = async {
        match api.patch_metadata(&name, &parameters, &change).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    };
    match bounded(&what, patched).await? {
        true => Ok(()),
        false => Err(AccessError::Changed { what: object }),
    }
}

/// Why no cluster is known. What a YAML reader shows of a file that is not well formed is kept back: there are
/// tokens and keys in it.
fn no_cluster(error: &KubeconfigError) -> AccessError {
    let reason = match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!(
                "the kubeconfig is not well-formed YAML at line {}",
                at.line()
            ),
            None => "the kubeconfig is not well-formed YAML".to_owned(),
        },
        KubeconfigError::ReadConfig(error, path) => {
            format!("{} cannot be read: {error}", path.display())
        }
        error => with_causes(error),
    };
    AccessError::NoCluster { reason }
}

/// One question, with a limit; a kind that is not there is named.
async fn bounded<T>(
    what: &str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, AccessError> {
    let failed = |reason| AccessError::Failed {
        what: what.to_owned(),
        reason,
    };
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // An object that is missing is named in the answer; a path that is unknown is not.
        Ok(Err(kube::Error::Api(status)))
            if status.code == 404 && status.details.as_ref().is_none_or(|d| d.name.is_empty()) =>
        {
            Err(AccessError::NoKind {
                kind: dbop_api::MANAGED_DATABASE,
            })
        }
        Ok(Err(error)) => Err(failed(explained(&error))),
        Err(_) => Err(failed(no_answer())),
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", CALL_TIMEOUT.as_secs())
}

/// Why the API server cannot be worked with, without saying so twice.
fn cause(error: &kube::Error) -> String {
    let text = explained(error);
    let known = "the API server cannot be reached: ";
    text.strip_prefix(known).map_or(text.clone(), str::to_owned)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
