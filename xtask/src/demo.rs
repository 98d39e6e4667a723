//! `cargo xtask demo`: a story that a stranger can follow, played by the real programs.
//!
//! A column of a table with real rows is renamed, in four phases, while an application works on it.
//! The operator, the migrations, the application and a database server run as processes of their own, or with
//! `--cluster` as Pods; this is the person who edits manifests, rolls out releases, and tells what is
//! seen. Each act is checked against the operator's status and against the server itself, and the demo
//! fails if one did not happen. It deliberately asks for no key, and leaves nothing behind.

mod cluster;
mod directory;
mod engine;
mod facts;
mod proof;
mod status;
mod tally;
mod tell;

pub(crate) use cluster::keep;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use engine::Engine;

/// What the demo builds, besides xtask itself.
pub(crate) const PACKAGES: &[&str] = &["database-operator", "dbop-migrate", "dbop-demo-app"];
/// Where the demo's files are, below the checkout.
const ORIGIN: &str = "deploy/examples/demo";
/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The arguments of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Leave everything running at the end, to play with, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Play it in a Kubernetes cluster: the one that is named, else one that is made for it.
    #[arg(long)]
    cluster: bool,
    /// The kind of server that it is played on.
    #[arg(long, value_enum, default_value_t = Engine::Postgres)]
    engine: Engine,
    #[command(flatten)]
    place: Place,
}

/// Where in a cluster it is played.
#[derive(Args)]
struct Place {
    /// The cluster of this kubeconfig's current context [default: what DBOP_TEST_KUBECONFIG names,
    /// else a new one]. The demo has namespaces of its own there, and removes them.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
    /// A file with a PostgreSQL superuser's connection string, as Pods of the cluster reach the server
    /// [default: a server that is started here, where Pods can reach it]. The demo makes the database
    /// dbop_demo there, and removes it.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    dsn_file: Option<PathBuf>,
    /// The cluster's nodes have the demo's images already: none is built or loaded.
    #[arg(long, requires = "cluster")]
    loaded: bool,
    /// Play nothing: remove what a demo that was killed has left in the cluster.
    #[arg(long, requires = "cluster", conflicts_with_all = ["keep", "loaded", "dsn_file"])]
    remove: bool,
}

/// Plays the whole demo, in a directory or in a cluster.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    match arguments.cluster {
        true => {
            ensure!(
                arguments.engine == Engine::Postgres,
                "in a cluster the demo is played on PostgreSQL alone; leave out --cluster or --engine"
            );
            cluster::run(&arguments.place, arguments.keep)?;
        }
        false => directory::run(arguments.engine, arguments.keep)?,
    }
    Ok(true)
}

/// Writes a file that nobody else can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be created", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))
}
