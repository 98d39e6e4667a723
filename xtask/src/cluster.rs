//! A real Kubernetes for tests, the demo and developers: `cargo xtask cluster`.
//!
//! Which one it is, in this order: the one whose kubeconfig the caller names; one that `kind` makes
//! where Docker runs; else our own, built from Kubernetes' Go modules (`binary.rs`) and owned by a
//! keeper (`keeper.rs`). The light form has no node: etcd, API server and controllers, no root, a
//! few seconds. Nothing here reads or writes the user's own kubeconfig.

mod binary;
mod command;
mod component;
mod control;
mod image;
mod iptables;
mod keeper;
mod kind;
mod machine;
mod node;
mod packages;
mod state;
mod sweep;
mod target;

pub(crate) use command::{Arguments, run};
pub(crate) use control::BRIDGE_ADDRESS;
pub(crate) use keeper::keep;
pub(crate) use node::PODS;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cache::Cache;
use crate::process;
use crate::progress::Progress;
use binary::Programs;
use state::State;
use target::Target;

/// The variable that names the kubeconfig of the cluster to test on.
pub(crate) const KUBECONFIG: &str = "DBOP_TEST_KUBECONFIG";
/// The variable that names the folder of a cluster of ours; its last part is the cluster's name.
const FOLDER: &str = "DBOP_TEST_CLUSTER";
/// The variable that names the API server's audit log.
const AUDIT_LOG: &str = "DBOP_TEST_AUDIT_LOG";
/// The variable that names xtask itself, by which tests stop and start components.
const XTASK: &str = "DBOP_XTASK";

/// What a cluster consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// etcd, API server, controllers: no Pod ever runs.
    Light,
    /// Ours, with a node that runs Pods.
    Node,
    /// One that `kind` made.
    Kind,
}

impl Form {
    /// Its name in files and arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::Light => "light",
            Form::Node => "node",
            Form::Kind => "kind",
        }
    }

    /// The form of this name.
    pub(crate) fn parse(text: &str) -> Option<Form> {
        [Form::Light, Form::Node, Form::Kind]
            .into_iter()
            .find(|form| form.name() == text)
    }
}

/// A cluster that is ready. One that we started ends, and leaves nothing, when this is dropped,
/// when xtask is interrupted, and when xtask is killed.
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
    audit_log: Option<PathBuf>,
    state: Option<State>,
    keeper: Option<u64>,
}

impl Cluster {
    /// A cluster for tests that need no Pods: the one that the environment names, else a new one.
    pub(crate) fn light(name: &str) -> Result<Cluster> {
        match Cluster::named()? {
            Some(cluster) => Ok(cluster),
            None => Cluster::start(name, Form::Light),
        }
    }

    /// A cluster with a node: the one that the environment names, else kind's, else our own. There
    /// is one of our own at a time.
    pub(crate) fn node(name: &str) -> Result<Cluster> {
        match Cluster::named()? {
            Some(cluster) => Ok(cluster),
            None => Cluster::start(name, command::form(false)),
        }
    }

    /// A new cluster of this form.
    fn start(name: &str, form: Form) -> Result<Cluster> {
        let cache = Cache::open()?;
        let state = State::of(&cache, name)?;
        sweep::sweep(&cache);
        if form == Form::Node {
            packages::ensure()?;
        }
        let programs = match form {
            Form::Kind => None,
            Form::Light | Form::Node => Some(Programs::provide(&cache)?),
        };
        let mut progress = Progress::new(format!("cluster {name}"));
        let keeper = keeper::start(&state, form, programs.as_ref(), &mut |step| {
            progress.tick(step)
        })?;
        Ok(Cluster {
            kubeconfig: state.kubeconfig(),
            audit_log: (form != Form::Kind).then(|| state.audit_log()),
            state: Some(state),
            keeper: Some(keeper),
        })
    }

    /// The cluster that the environment names.
    pub(crate) fn named() -> Result<Option<Cluster>> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        named(KUBECONFIG)
            .map(|file| Cluster::of(file.into()))
            .transpose()
    }

    /// The cluster of this kubeconfig, with what else the environment tells of it.
    pub(crate) fn of(kubeconfig: PathBuf) -> Result<Cluster> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        ensure!(
            kubeconfig.is_file(),
            "the kubeconfig {} is no file",
            kubeconfig.display()
        );
        Ok(Cluster {
            audit_log: named(AUDIT_LOG).map(PathBuf::from),
            state: named(FOLDER)
                .and_then(|folder| State::at(Path::new(&folder)))
                .or_else(|| State::of_kubeconfig(&kubeconfig)),
            kubeconfig,
            keeper: None,
        })
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's audit log, where it is one of ours.
    pub(crate) fn audit_log(&self) -> Option<&Path> {
        self.audit_log.as_deref()
    }

    /// What it consists of, where it is one that we made.
    pub(crate) fn form(&self) -> Option<Form> {
        self.state.as_ref().and_then(State::form)
    }

    /// Whether it ends with us.
    pub(crate) fn is_temporary(&self) -> bool {
        self.keeper.is_some()
    }

    /// Our own program that kubectl is a part of; `None`: the kubectl that is installed is used.
    pub(crate) fn kubectl_of_ours(&self) -> Result<Option<PathBuf>> {
        target::program_for(&Cache::open()?, self.form())
    }

    /// Loads an archive of images into the nodes; an error where they are not ours.
    pub(crate) fn load(&self, archive: &Path) -> Result<()> {
        match &self.state {
            Some(state) => command::load(&Target::Ours(state.clone()), archive),
            None => command::load(&Target::Theirs(self.kubeconfig.clone()), archive),
        }
    }

    /// What tests find the cluster by: environment variables and their values.
    pub(crate) fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut variables = vec![
            (KUBECONFIG, self.kubeconfig().to_owned()),
            (XTASK, ourselves()?),
        ];
        variables.extend(self.audit_log().map(|log| (AUDIT_LOG, log.to_owned())));
        variables.extend(self.state.iter().map(|s| (FOLDER, s.folder().to_owned())));
        Ok(variables
            .into_iter()
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .collect())
    }

    /// Lets the cluster live on after us, until `cluster down`.
    fn let_go(mut self) -> Result<()> {
        match self.keeper.take() {
            Some(keeper) => process::let_go(keeper),
            None => Ok(()),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper {
            process::release(keeper);
        }
    }
}

/// What a cluster with a node is made of here, where none is named.
pub(crate) fn form_to_start() -> Form {
    command::form(false)
}

/// A `kubectl` for this kubeconfig that takes nothing from the user's own, not even its cache: ours,
/// or the installed one.
pub(crate) fn kubectl(ours: Option<&Path>, kubeconfig: &Path) -> Command {
    let mut command = match ours {
        Some(program) => {
            let mut command = Command::new(program);
            command.arg("kubectl");
            command
        }
        None => Command::new("kubectl"),
    };
    command
        .env("KUBECONFIG", kubeconfig)
        .env("KUBERC", "off")
        .env("KUBECACHEDIR", kubeconfig.with_extension("cache"));
    command
}

/// The path of xtask, for others to start.
fn ourselves() -> Result<PathBuf> {
    let path = std::env::current_exe().context("xtask cannot find itself")?;
    // A build of the workspace has put a new file in its place.
    let text = path.to_string_lossy();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(replaced) => PathBuf::from(replaced),
        None => path,
    })
}
