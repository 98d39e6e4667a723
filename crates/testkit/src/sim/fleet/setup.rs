//! What a history begins with: databases, servers, clusters.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbop_model::{Orphaned, SchemaVersion};
use dbop_plan::example;

use super::chain::{self, v};
use super::server;
use crate::sim::Shared;
use crate::sim::world::World;

/// What a history begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The databases; one that two clusters claim stands here twice.
    pub databases: Vec<Database>,
    /// How many Jobs of a cluster may run at once; `None`: no limit.
    pub jobs_max: Option<usize>,
    /// Calls take time, in which others act.
    pub slow: bool,
}

/// A ManagedDatabase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// The cluster that it is in.
    pub cluster: usize,
    /// The server that it is on.
    pub server: usize,
    /// It is of the same database as this one, which stands before it.
    pub same_as: Option<usize>,
    /// The migration that is wanted at first.
    pub desired: u8,
    /// Its quiet window.
    pub quiet_s: u64,
    /// What becomes of credentials that a restore leaves beyond the version.
    pub orphaned: Orphaned,
    /// This migration is compatible with one more of its ancestors than its predecessor.
    pub wide: Option<u8>,
}

impl Setup {
    /// One database of which `desired` is wanted.
    pub fn one(desired: u8) -> Self {
        let database = Database {
            cluster: 0,
            server: 0,
            same_as: None,
            desired,
            quiet_s: 5,
            orphaned: Orphaned::Retain,
            wide: None,
        };
        Self {
            databases: vec![database],
            jobs_max: None,
            slow: true,
        }
    }

    pub(super) fn clusters(&self) -> usize {
        let clusters = self.databases.iter().map(|one| one.cluster + 1);
        clusters.max().unwrap_or(1)
    }

    /// The name of a database.
    pub(super) fn name(&self, at: usize) -> String {
        let at = self.databases[at].same_as.unwrap_or(at);
        ["shop", "till", "stock", "mail"]
            .get(at)
            .map_or_else(|| format!("db{at}"), |name| (*name).to_owned())
    }

    /// What people call it: two objects of one database are told by their clusters.
    pub(super) fn title(&self, at: usize) -> String {
        let cluster = ["", " in the other cluster"][self.databases[at].cluster.min(1)];
        format!("{}{cluster}", self.name(at))
    }

    pub(super) fn worlds(&self) -> Vec<Shared> {
        let servers = self.databases.iter().map(|one| one.server + 1).max();
        let mut handles = Vec::new();
        for number in 0..servers.unwrap_or(0) {
            let own = |at: &usize| {
                let one = self.databases[*at];
                one.server == number && one.same_as.is_none()
            };
            let of_server: Vec<usize> = (0..self.databases.len()).filter(own).collect();
            let names: Vec<String> = of_server.iter().map(|at| self.name(*at)).collect();
            handles.extend(of_server.into_iter().zip(server(&names)));
        }
        let db = |at: usize| {
            let at = self.databases[at].same_as.unwrap_or(at);
            let found = handles.iter().find(|(one, _)| *one == at);
            found.expect("every database is on a server").1.clone()
        };
        let worlds = (0..self.databases.len()).map(|at| {
            let mut world = self.world(at);
            world.db = db(at);
            if let Some(table) = world.desired.database.version_source.table() {
                world.db.set_version_table(table);
            }
            Arc::new(Mutex::new(world))
        });
        worlds.collect()
    }

    fn world(&self, at: usize) -> World {
        let Database {
            cluster,
            desired: goal,
            quiet_s,
            orphaned,
            wide,
            ..
        } = self.databases[at];
        let mut desired =
            example::desired(usize::from(chain::MIGRATIONS)).expect("the example is well formed");
        let id = dbop_model::ObjectRef::new("shop", self.name(at));
        desired.database.id = id.expect("the names are names");
        desired.database.desired = v(goal);
        desired.database.credentials.quiet_window = Duration::from_secs(quiet_s);
        desired.database.credentials.orphaned = orphaned;
        desired.chain = chain::whole(wide);
        let mut world = World::new(desired);
        world.cluster = ["north", "south"][cluster.min(1)].to_owned();
        world
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.databases.iter().enumerate() {
            write!(f, "  {}", self.title(at))?;
            if one.same_as.is_some() {
                write!(f, ", of the same database,")?;
            }
            write!(
                f,
                " on server {}: v{} is wanted, quiet window {} s",
                one.server + 1,
                one.desired,
                one.quiet_s
            )?;
            if one.orphaned == Orphaned::RevokeWhenUnused {
                write!(f, ", orphaned credentials are revoked")?;
            }
            if let Some(wide) = one.wide {
                write!(f, ", v{wide} is compatible with v{} too", wide - 2)?;
            }
            writeln!(f)?;
        }
        if let Some(jobs) = self.jobs_max {
            writeln!(f, "  at most {jobs} Jobs at once")?;
        }
        if self.slow {
            writeln!(f, "  calls take time")?;
        }
        Ok(())
    }
}

/// The version of a database that somebody else's tool has been at.
pub(super) fn unknown_version() -> SchemaVersion {
    SchemaVersion::new("from-elsewhere").expect("it is a version")
}
