//! What the tier `node` needs: static programs in images, a cluster whose node has them, and a server that its
//! Pods reach. The tests themselves install the operator: `tests/tests/cluster`.
//!
//! A cluster of ours goes with all that is in it, however the run ends. In one that the environment names, what
//! the tests made is deleted at the end; after Ctrl-C the next run deletes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cache::{Cache, random_hex};
use crate::cluster::Cluster;
use crate::dist::image::{Image, Source};
use crate::dist::link::{self, Profile};
use crate::dist::{created, of_program};
use crate::process::TemporaryFolder;
use crate::progress::{self, Progress};
use crate::servers::{NEWEST_POSTGRES, SERVERS, Server};
use crate::workspace;

/// The programs, each with its package and the variable that tells the tests the image of it.
const PROGRAMS: [(&str, &str, &str); 3] = [
    (
        "database-operator",
        "database-operator",
        "DBOP_TEST_IMAGE_OPERATOR",
    ),
    ("dbop-migrate", "dbop-migrate", "DBOP_TEST_IMAGE_MIGRATE"),
    ("shop-app", "dbop-demo-app", "DBOP_TEST_IMAGE_APP"),
];
/// Packages of ours: they have a bill of materials. The demo's application is nothing that is given to others.
const SHIPPED: [&str; 2] = ["database-operator", "dbop-migrate"];
/// How the variable ends that tells how Pods connect to a server.
const FROM_PODS: &str = "_FROM_PODS";
/// Where in the API server's audit log the run begins, in bytes.
const AUDIT_FROM: &str = "DBOP_TEST_AUDIT_FROM";
/// Tests mostly wait, and each has a namespace and a database of its own.
const THREADS: &str = "8";
/// What the tests leave in a cluster that is not ours, as kubectl deletes it.
const LEFT_BEHIND: [&[&str]; 2] = [
    &["namespace", "--selector=database-operator.dev/test=node"],
    &[
        "namespace,clusterrole,clusterrolebinding,crd",
        "--selector=app.kubernetes.io/name=database-operator",
    ],
];

/// A node with our images, and a server.
pub(crate) struct Node {
    environment: Vec<(String, String)>,
    foreign: bool,
    // Dropped in this order: the server serves Pods until the end.
    _cluster: Cluster,
    _server: Server,
}

impl Node {
    /// How the test program is run: those that look back at the whole run, or change the installation, one after
    /// the other at the end.
    pub(crate) const ROUNDS: [&[&str]; 2] = [
        &["--skip", "after::", "--show-output"],
        &["after::", "--test-threads=1", "--show-output"],
    ];

    /// Starts all of it.
    pub(crate) fn provide(root: &Path) -> Result<Node> {
        // First, since it says at once where a node cannot be.
        let cluster = Cluster::node("tests")?;
        // One of its own: it listens where Pods can reach it only if the node was there before it.
        let server = Server::provide(NEWEST_POSTGRES, &Cache::open()?)?;
        println!("  {}", server.describe());
        let mut environment = server.environment();
        ensure!(
            environment
                .iter()
                .any(|(name, _)| name.ends_with(FROM_PODS)),
            "Pods of this cluster reach no server of ours; name one that they do reach, in \
             {variable} as we and in {variable}{FROM_PODS} as Pods connect to it",
            variable = NEWEST_POSTGRES.variable()
        );
        environment.extend(cluster.environment()?);
        environment.push((SERVERS.into(), NEWEST_POSTGRES.to_string()));
        environment.push(("RUST_TEST_THREADS".into(), THREADS.into()));
        if let Some(log) = cluster.audit_log() {
            let bytes = log.metadata().map_or(0, |file| file.len());
            environment.push((AUDIT_FROM.into(), bytes.to_string()));
        }
        let node = Node {
            foreign: std::env::var_os("DBOP_TEST_KUBECONFIG").is_some_and(|file| !file.is_empty()),
            environment,
            _cluster: cluster,
            _server: server,
        };
        node.with_images(root)
    }

    /// What the tests find all of it by.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    fn with_images(mut self, root: &Path) -> Result<Node> {
        let packages = PROGRAMS.map(|(_, package, _)| package);
        let programs = link::build(root, Profile::Debug, &packages)?;
        let folder = TemporaryFolder::new(workspace::target(root).join("node-images"))?;
        // A tag of its own: a node that lives on keeps the images of earlier runs.
        let tag = random_hex(8)?;
        let mut archives = Vec::new();
        for (program, _, variable) in PROGRAMS {
            let name = format!("dbop-test/{program}:{tag}");
            let archive = folder.path().join(format!("{program}.tar"));
            write(root, &programs, program, &name, &archive)?;
            archives.push(archive);
            self.environment.push((variable.to_owned(), name));
        }
        self.load(&archives)?;
        Ok(self)
    }

    fn load(&self, archives: &[PathBuf]) -> Result<()> {
        let mut load = self.xtask()?;
        load.args(["cluster", "load"]).args(archives);
        let loaded = progress::run("loading images", &mut load)?;
        ensure!(
            loaded.succeeded,
            "the images cannot be loaded: {}",
            loaded.output.join("; ")
        );
        Ok(())
    }

    fn xtask(&self) -> Result<Command> {
        let mut of_us = self
            .environment
            .iter()
            .filter(|(name, _)| name == "DBOP_XTASK");
        let (_, program) = of_us.next().context("the cluster does not name xtask")?;
        let mut command = Command::new(program);
        command.envs(self.environment.iter().cloned());
        Ok(command)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.foreign {
            return;
        }
        for what in LEFT_BEHIND {
            let Ok(mut kubectl) = self.xtask() else {
                return;
            };
            let mut progress = Progress::new("clearing the cluster");
            kubectl.args(["cluster", "kubectl", "--", "delete", "--wait=true"]);
            kubectl
                .args(["--timeout=120s", "--ignore-not-found"])
                .args(what);
            match workspace::capture(&mut kubectl) {
                Ok(_) => drop(progress),
                Err(error) => progress.line(&format!("  {}", crate::spell(&error))),
            }
        }
    }
}

fn write(root: &Path, programs: &Path, program: &str, name: &str, archive: &Path) -> Result<()> {
    if SHIPPED.contains(&program) {
        return of_program(root, programs, program, name, archive);
    }
    let image = Image {
        name: name.to_owned(),
        files: vec![Source::program(
            format!("usr/local/bin/{program}"),
            programs.join(program),
        )],
        entrypoint: vec![program.to_owned()],
        environment: vec!["PATH=/usr/local/bin".to_owned()],
        created: created(root)?,
        ..Image::default()
    };
    image.write(archive)
}
