//! The demo in a cluster: Deployments that mount the Secrets of their versions, migrations as Jobs, and the
//! operator as it is installed, in two namespaces of the demo's own.
//!
//! Which cluster: the one whose kubeconfig is named; else one of kind's, or our own, that is started for it.
//! Everything is removed at the end, however it comes about (`keeper.rs`). It deliberately touches nothing
//! else in a cluster that it did not start.

mod acts;
mod application;
mod frame;
mod images;
mod install;
mod keeper;
mod kubectl;
mod look;
mod stage;

pub(crate) use keeper::keep;

use anyhow::{Context as _, Result, bail, ensure};

use super::proof::{self, Counted};
use super::{Place, tell};
use crate::cache::Cache;
use crate::clock;
use crate::cluster::{Cluster, Form, form_to_start};
use crate::process::TemporaryFolder;
use crate::servers::{NEWEST_POSTGRES, Server};
use crate::workspace;

use kubectl::Kubectl;
use stage::Stage;

/// Where the shop lives.
const NAMESPACE: &str = "dbop-demo";
/// Where the operator lives.
const OPERATOR_NAMESPACE: &str = "dbop-demo-operator";
/// What the operator claims databases for: the uid of a namespace that it may not read would be the usual.
const CLUSTER_ID: &str = "dbop-demo";
/// The mark of what the demo made outside of these namespaces, and of the namespaces.
const LABEL: &str = "database-operator.dev/demo";

/// Plays the whole demo; with `keep` it ends at Ctrl-C alone.
pub(super) fn run(place: &Place, keep: bool) -> Result<()> {
    let root = workspace::root()?;
    let named = named(place)?;
    if place.remove {
        return remove(&named.context(
            "name the cluster with --kubeconfig; one that a demo has started itself is gone with it",
        )?);
    }
    let dsn = dsn(place, named.as_ref())?;
    frame::opening();
    let archives = match place.loaded {
        true => Vec::new(),
        false => {
            tell::line("First the programs are built, which takes minutes the first time.");
            let started = clock::now();
            let archives = images::build(&root)?;
            let took = clock::spell(started.elapsed());
            tell::line(&format!("  made two images, without Docker, in {took}"));
            archives
        }
    };

    let started = clock::now();
    let cluster = match named {
        Some(cluster) => cluster,
        None => {
            let cluster = Cluster::node("demo")?;
            let took = clock::spell(started.elapsed());
            tell::line(&format!("  started a cluster with a node in {took}"));
            cluster
        }
    };
    // A server of ours listens where Pods reach it if there is a node already.
    let (server, dsn) = match dsn {
        Some(dsn) => (None, dsn),
        None => {
            let server = Server::start(NEWEST_POSTGRES, &Cache::open()?)?;
            let dsn = server
                .pod_url()
                .context("Pods cannot reach this machine; name a server with --dsn-file")?
                .to_owned();
            tell::line(&format!("  started {}", server.describe()));
            (Some(server), dsn)
        }
    };
    if !place.loaded {
        images::load(&cluster, &archives)?;
    }
    let mut stage = Stage::set(&root, cluster, server, &dsn)?;
    let version = stage.kubectl.ask(&[
        "get",
        "nodes",
        "--output=jsonpath={.items[*].status.nodeInfo.kubeletVersion}",
    ])?;
    tell::line(&format!(
        "  installed the operator on Kubernetes {version}, for the namespace {NAMESPACE} alone, after {}",
        clock::spell(started.elapsed())
    ));
    let (seen, waiting) = acts::play(&mut stage)?;
    stage.tend()?;
    let rows = stage.sql(&["rows"])?;
    let restarts = stage.kubectl.ask(&[
        "get",
        "pods",
        "--namespace",
        OPERATOR_NAMESPACE,
        "--output=jsonpath={.items[*].status.containerStatuses[*].restartCount}",
    ])?;
    ensure!(
        restarts.split(' ').all(|count| count == "0"),
        "a Pod of the operator was restarted: {restarts}"
    );
    let counted = Counted {
        rows,
        tallies: stage.applications.iter().map(|one| &one.tally).collect(),
        logins_after: acts::application_logins(&stage)?,
        more: vec![(
            "Pods that waited for their Secret".to_owned(),
            waiting.join(", "),
        )],
        took: started.elapsed(),
    };
    proof::show(&seen, counted)?;
    if keep {
        frame::keep(&stage)?;
        stage.leave_alone();
    }
    frame::next_steps();
    Ok(())
}

/// The cluster that is named, which must run Pods.
fn named(place: &Place) -> Result<Option<Cluster>> {
    let cluster = match &place.kubeconfig {
        Some(file) => {
            let file = std::path::absolute(file)
                .with_context(|| format!("{} cannot be named", file.display()))?;
            Some(Cluster::of(file)?)
        }
        None => Cluster::named()?,
    };
    if let Some(cluster) = &cluster {
        ensure!(
            cluster.form() != Some(Form::Light),
            "the cluster of {} runs no Pods; start one that does with `cargo xtask cluster up`, or name \
             another",
            cluster.kubeconfig().display()
        );
    }
    Ok(cluster)
}

/// The connection string that the caller gives; without one, a server is started here, where Pods of our own
/// node reach it, and no others.
fn dsn(place: &Place, named: Option<&Cluster>) -> Result<Option<String>> {
    let Some(file) = &place.dsn_file else {
        let form = named.map_or_else(|| Some(form_to_start()), Cluster::form);
        if form == Some(Form::Node) {
            return Ok(None);
        }
        bail!(
            "Pods of this cluster cannot reach a PostgreSQL that is started here: name one that they reach \
             with --dsn-file FILE, a file with its superuser's connection string. With Docker, for kind:\n\
             \x20 docker run --detach --name demo-postgres --network kind --env POSTGRES_PASSWORD=demo postgres:18\n\
             \x20 echo \"postgresql://postgres:demo@$(docker inspect --format \
             '{{{{.NetworkSettings.Networks.kind.IPAddress}}}}' demo-postgres):5432/postgres\" > dsn"
        )
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let text = text.trim().to_owned();
    let is_one = text.starts_with("postgresql://") || text.starts_with("postgres://");
    ensure!(
        is_one && text.contains('@') && !text.contains(char::is_whitespace),
        "{} holds no connection string of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        file.display()
    );
    ensure!(
        !["@localhost", "@127.", "@[::1]"]
            .iter()
            .any(|here| text.contains(here)),
        "{} names this machine as it calls itself, which is the Pod itself for a Pod",
        file.display()
    );
    Ok(Some(text))
}

/// Removes what a demo that was killed has left.
fn remove(cluster: &Cluster) -> Result<()> {
    let path = std::env::temp_dir().join(format!("dbop-demo-{}", std::process::id()));
    let folder = TemporaryFolder::new(path)?;
    let kubectl = Kubectl::new(cluster, folder.path())?;
    let psql = ["get", "pod", "psql", "--ignore-not-found", "--output=name"];
    let has_psql = kubectl.ask(&psql).is_ok_and(|name| !name.is_empty());
    keeper::remove(&kubectl, has_psql);
    Ok(())
}
