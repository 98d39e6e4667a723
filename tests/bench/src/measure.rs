//! The measurements: one site after the other, each with its number of databases.

pub mod changes;
pub mod idle;
pub mod outages;
pub mod restart;
pub mod scrapes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use dbop_model::DatabaseSpec;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::audit::Audit;
use crate::cluster::{LOOK_EVERY, Site, example};
use crate::kubelet::Kubelet;
use crate::operator::{Operator, Program};
use crate::report::Measured;
use crate::server::FakeServer;

/// Databases that change beside those at rest.
pub const MOVERS: usize = 100;
/// The first databases of a site may take so long to be at rest, and as much more for each of them.
const ADOPTION_FIRST: Duration = Duration::from_secs(60);
const ADOPTION_EACH: Duration = Duration::from_millis(600);

/// After this a process has started.
const STARTED: Duration = Duration::from_secs(3);

/// What all measurements work with.
pub struct Bench {
    /// The benchmark's client.
    pub client: Client,
    /// The kubeconfig of the test cluster.
    pub kubeconfig: PathBuf,
    /// Its audit log.
    pub audit: Audit,
    /// The operator with fakes behind it.
    pub fake_operator: PathBuf,
    /// The operator as it is released.
    pub real_operator: PathBuf,
    /// Where logs go.
    pub scratch: PathBuf,
    /// How often a database at rest is looked at.
    pub heartbeat: Duration,
    /// How long is looked at rest.
    pub window: Duration,
    /// Changes that are timed.
    pub changes: usize,
    /// With failover and outages.
    pub outages: bool,
}

impl Bench {
    /// An operator for a site.
    pub fn program(&self, binary: &std::path::Path, namespace: &str) -> Program {
        Program {
            path: binary.to_owned(),
            kubeconfig: self.kubeconfig.clone(),
            namespace: namespace.to_owned(),
            heartbeat: self.heartbeat,
            listen: "127.0.0.1:0".to_owned(),
            log: self.scratch.join(format!("{namespace}.log")),
        }
    }

    /// A server for fake databases as this benchmark makes them.
    async fn fake_server(&self) -> Result<Arc<FakeServer>> {
        let spec = DatabaseSpec::try_from(&example()?);
        let spec = spec.map_err(|error| anyhow::anyhow!("{error}"))?;
        let server = FakeServer::start(spec.version_source.clone(), spec.access()).await?;
        Ok(Arc::new(server))
    }

    /// Everything about so many databases.
    pub async fn fakes(&self, count: usize) -> Result<Measured> {
        let server = self.fake_server().await?;
        let site = Site::new(self.client.clone(), &format!("bench-{count}")).await?;
        say(&format!("{count} databases: objects are made"));
        let names: Vec<String> = (0..count).map(|nth| format!("db-{nth:05}")).collect();
        create(&site, &server, &names, &json!({})).await?;

        let program = self.program(&self.fake_operator, &site.namespace);
        let mut operator = Operator::start(&program)?;
        let adoption = at_rest(&site, &mut operator, "v1", count).await?;
        // Where there is none, it has hardly started.
        sleep(STARTED).await;
        let mut measured = Measured {
            databases: count,
            adoption_seconds: adoption.as_secs_f64(),
            memory_after_adoption: operator.memory()?,
            ..Measured::default()
        };
        say(&format!(
            "{count} databases: all at rest after {adoption:.1?}"
        ));

        let (restarted, seconds) = restart::restart(&server, &program, operator, count).await?;
        operator = restarted;
        measured.restart_seconds = seconds;
        say(&format!(
            "{count} databases: all observed {seconds:.2} s after a restart"
        ));

        measured.idle = Some(idle::look(self, &server, &mut operator).await?);
        say(&format!("{count} databases: {}", measured.idle_line()));

        let kubelet = Kubelet::start(self.client.clone(), site.namespace.clone(), server.clone());
        let movers: Vec<String> = (0..MOVERS).map(|nth| format!("mover-{nth:03}")).collect();
        create(&site, &server, &movers, &json!({})).await?;
        at_rest(&site, &mut operator, "v1", count + MOVERS).await?;
        let timed = changes::time(&site, &mut operator, &movers, self.changes).await?;
        say(&format!("{count} databases: {timed}"));
        measured.changes = Some(timed);

        if self.outages {
            let (still, outages) =
                outages::all(self, &site, &server, &program, operator, count + MOVERS).await?;
            operator = still;
            measured.outages = Some(outages);
        }
        operator.stop().await?;
        drop(kubelet);
        say(&format!("{count} databases: done, the site is removed"));
        server.clear();
        site.remove().await?;
        Ok(measured)
    }
}

/// `more` is put into each spec.
async fn create(site: &Site, server: &FakeServer, names: &[String], more: &Value) -> Result<()> {
    let mut all = Vec::new();
    for name in names {
        all.push((name.clone(), server.add(name, "v1")?));
    }
    site.create_databases(&all, more).await
}

/// Waits until so many databases are at rest at a version.
pub async fn at_rest(
    site: &Site,
    operator: &mut Operator,
    version: &str,
    count: usize,
) -> Result<Duration> {
    let begin = Instant::now();
    let limit = ADOPTION_FIRST + ADOPTION_EACH * u32::try_from(count)?;
    let mut told = begin;
    loop {
        let there = site.at_rest(version);
        if there >= count {
            return Ok(begin.elapsed());
        }
        operator.lives()?;
        ensure!(
            begin.elapsed() < limit,
            "only {there} of {count} databases are at rest at {version} after {limit:?}"
        );
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            say(&format!("  {there} of {count} at rest at {version}"));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Tells how far it is.
pub fn say(text: &str) {
    println!("{text}");
}
