//! The examiner of one database's health: a loop of its own, on a connection of its own.
//!
//! It shares nothing with the worker but the way to the server, and the place where it leaves what it found
//! ([`Vitals`](crate::vitals::Vitals)): a slow look holds up neither a reconcile nor a migration. What it finds shows with
//! the worker's next pass, which comes by itself within the heartbeat.

use std::sync::Arc;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::health::{HealthFacts, ReplicaLag};
use dbop_model::table::TableName;
use dbop_model::{DatabaseSpec, Fact, ObjectRef, ServerRole, Why};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::beside::{self, LOOK_TIME_MAX, LookError, connect};
use crate::observe::dsn_error;
use crate::platform::Read;
use crate::worker::Engine;

/// Examines one database.
pub struct Examiner {
    engine: Engine,
    database: ObjectRef,
    /// How many look at the same moment is bounded, over all databases.
    permits: Arc<Semaphore>,
}

impl Examiner {
    /// An examiner of this database.
    pub fn new(engine: Engine, database: ObjectRef, permits: Arc<Semaphore>) -> Self {
        Self {
            engine,
            database,
            permits,
        }
    }

    /// Examines for as long as the object is there.
    ///
    /// A turn is in a box: a database between two looks costs a small future, and ten thousand of them rest.
    pub async fn run(self) {
        beside::first(&self.engine).await;
        while let Some(pause) = Box::pin(self.turn()).await {
            beside::pause(&self.engine, pause).await;
        }
    }

    /// One look, and how long to wait for the next; `None`: the object is gone.
    pub async fn turn(&self) -> Option<Duration> {
        let subject = self.engine.platform.subject(&self.database, Read::Cached);
        // The worker tells what is wrong with the object.
        let Ok(subject) = subject.await else {
            return Some(LOOK_TIME_MAX);
        };
        let spec = subject?.desired.database;
        let Ok(_permit) = self.permits.clone().acquire_owned().await else {
            return None;
        };
        let looked = beside::bounded(&self.engine, &self.database, self.look(&spec)).await;
        let observer = &self.engine.observer;
        let found = match looked {
            Ok(facts) => {
                observer.examined(&self.database, &facts.numbers());
                Ok(dbop_health::judge(&facts, &spec.health, &own(&spec)))
            }
            Err(error) => {
                observer.examined(&self.database, &Default::default());
                Err(Why::new(error.to_string()))
            }
        };
        self.engine.vitals.looked(&self.database, found);
        Some(spec.health.interval)
    }

    async fn look(&self, spec: &DatabaseSpec) -> Result<HealthFacts, LookError> {
        let (admin, _) = connect(&self.engine, spec).await?;
        let mut facts = admin.health().await?;
        drop(admin);
        let asked = (0..spec.replicas.len()).map(|nth| self.ask(spec, nth));
        add(&mut facts.replicas, join_all(asked).await);
        Ok(facts)
    }

    /// Asks a replica of the spec for its lag.
    async fn ask(&self, spec: &DatabaseSpec, nth: usize) -> ReplicaLag {
        let role = ServerRole::Replica(nth);
        let Engine {
            platform,
            connector,
            servers,
            ..
        } = &self.engine;
        let unknown = |replica: String, why: String| ReplicaLag {
            replica,
            lag: Fact::Unknown(Why::new(why)),
        };
        let target = match platform.target(spec, role, Read::Cached).await {
            Ok(target) => target,
            Err(error) => return unknown(role.to_string(), error.to_string()),
        };
        let of_dsn = |error: &DatabaseError| dsn_error(spec, role, error);
        let replica = match connector.endpoint(&target) {
            Ok(endpoint) => format!("{}:{}", endpoint.host, endpoint.port),
            Err(error) => return unknown(role.to_string(), of_dsn(&error)),
        };
        if servers.is_dead(&replica) {
            return unknown(replica, LookError::Dead.to_string());
        }
        let connection = match connector.connect_replica(&target).await {
            Ok(connection) => connection,
            Err(error) => return unknown(replica, of_dsn(&error)),
        };
        match connection.lag().await {
            Ok(lag) => ReplicaLag { replica, lag },
            Err(error) => unknown(replica, of_dsn(&error)),
        }
    }
}

/// Puts what replicas say of themselves beside what the server knows of them. A server that only knows that there are
/// replicas says no more than that: where as many have been asked, they are these.
fn add(known: &mut Fact<Vec<ReplicaLag>>, asked: Vec<ReplicaLag>) {
    match known {
        Fact::Known(replicas) => {
            let unknown = replicas.iter().filter(|one| one.lag.unknown().is_some());
            if asked.len() >= unknown.count() {
                replicas.retain(|one| one.lag.known().is_some());
            }
            replicas.extend(asked);
        }
        // What a replica says is known, whatever the server shows.
        Fact::Unknown(_) if asked.is_empty() => {}
        Fact::Unknown(_) => *known = Fact::Known(asked),
    }
}

/// The migration tool's own tables: nobody can give them another shape.
fn own(spec: &DatabaseSpec) -> Vec<TableName> {
    let source = &spec.version_source;
    let version = source.table().cloned();
    version.into_iter().chain(source.companions()).collect()
}

#[cfg(test)]
mod tests {
    use dbop_model::health::Lag;

    use super::*;

    fn replica(name: &str, lag: Option<u64>) -> ReplicaLag {
        ReplicaLag {
            replica: name.to_owned(),
            lag: match lag {
                Some(seconds) => Fact::Known(Lag::Behind(Duration::from_secs(seconds))),
                None => Fact::Unknown(Why::new("it is not told")),
            },
        }
    }

    #[track_caller]
    fn check(known: Fact<Vec<ReplicaLag>>, asked: Vec<ReplicaLag>, expect: Option<&[&str]>) {
        let mut replicas = known;
        add(&mut replicas, asked);
        let names = replicas.known().map(|all| {
            let names = all.iter().map(|one| one.replica.as_str());
            names.collect::<Vec<_>>()
        });
        assert_eq!(names.as_deref(), expect);
    }

    #[test]
    fn replicas_that_have_been_asked_stand_in_for_those_that_the_server_only_counts() {
        let unseen = || Fact::Unknown(Why::new("no right"));
        let counted = || Fact::Known(vec![replica("a", None), replica("b", None)]);
        check(counted(), vec![], Some(&["a", "b"]));
        check(
            counted(),
            vec![replica("x", Some(1))],
            Some(&["a", "b", "x"]),
        );
        let both = || vec![replica("x", Some(1)), replica("y", None)];
        check(counted(), both(), Some(&["x", "y"]));
        // A server that knows more keeps what it knows.
        check(
            Fact::Known(vec![replica("a", Some(5))]),
            both(),
            Some(&["a", "x", "y"]),
        );
        check(unseen(), both(), Some(&["x", "y"]));
        check(unseen(), vec![], None);
    }
}
