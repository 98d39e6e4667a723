//! A server that holds a copy: who is connected there, and whether it has replayed that a login is locked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{DatabaseError, Replica, ReplicaFacts};
use dbop_model::health::Lag;
use dbop_model::{Engine, Fact, LoginName, Replication, ReportedReplica, Why};

use crate::connect::Server;
use crate::link::{Hold, Link};
use crate::sessions::Counters;
use crate::{facts, logins, parse, query, sessions};

/// A connection to a replica.
pub(crate) struct Follower {
    link: Link,
    server: Server,
    counters: Arc<Counters>,
}

impl Follower {
    pub(crate) fn new(link: Link, server: Server, counters: Arc<Counters>) -> Self {
        Self {
            link,
            server,
            counters,
        }
    }
}

#[async_trait]
impl Replica for Follower {
    async fn look(&self, logins: &BTreeSet<LoginName>) -> Result<ReplicaFacts, DatabaseError> {
        let hold = self.link.hold("looking at a replica").await?;
        let facts = self.facts(&hold, logins).await;
        hold.release(facts)
    }

    async fn lag(&self) -> Result<Fact<Lag>, DatabaseError> {
        let hold = self.link.hold("asking a replica for its lag").await?;
        let status = match self.server.engine {
            Engine::MariaDb => hold.named("SHOW ALL REPLICAS STATUS").await,
            _ => hold.named("SHOW REPLICA STATUS").await,
        };
        let lag = match status {
            Ok(status) if status.is_empty() => {
                let why = "it is no replica of any server".to_owned();
                Ok(Fact::Known(Lag::Stopped(why)))
            }
            // One that follows several servers is as far behind as the slowest.
            Ok(status) => Ok(slowest(status.iter().map(facts::lag))),
            Err(DatabaseError::Server { code, message, .. }) => {
                let privilege = match self.server.engine {
                    Engine::MariaDb => "REPLICA MONITOR",
                    _ => "REPLICATION CLIENT",
                };
                Ok(Fact::Unknown(Why::new(format!(
                    "the server says: {message} ({code}); GRANT {privilege} ON *.* TO its login shows it"
                ))))
            }
            Err(error) => Err(error),
        };
        hold.release(lag)
    }
}

/// The lag of a replica by that of each server that it follows.
fn slowest(all: impl Iterator<Item = Fact<Lag>>) -> Fact<Lag> {
    let rank = |lag: &Fact<Lag>| match lag {
        Fact::Known(Lag::Stopped(_)) => (2, Duration::ZERO),
        Fact::Unknown(_) => (1, Duration::ZERO),
        Fact::Known(Lag::Behind(span)) => (0, *span),
    };
    let none = || Fact::Unknown(Why::passing("it does not say what it follows"));
    all.max_by_key(rank).unwrap_or_else(none)
}

impl Follower {
    async fn facts(
        &self,
        hold: &Hold<'_>,
        logins: &BTreeSet<LoginName>,
    ) -> Result<ReplicaFacts, DatabaseError> {
        let names: BTreeSet<&str> = logins.iter().map(LoginName::as_str).collect();
        let accounts = query::accounts_named(self.server.engine, &names)?;
        let rows = hold.rows(&accounts).await?;
        let mut open = BTreeSet::new();
        for account in parse::all(hold.operation(), &rows, parse::known_account)? {
            if !account.is_locked {
                open.insert(logins::parsed(hold, &account.name)?);
            }
        }
        // After the accounts: whom an account that is not open any more let in has a session by now.
        let sessions = sessions::of(hold, logins, &self.server, &self.counters).await?;
        Ok(ReplicaFacts {
            replication: replication(hold).await?,
            sessions,
            open,
        })
    }
}

/// Which server it is, and its replicas.
pub(crate) async fn replication(hold: &Hold<'_>) -> Result<Replication, DatabaseError> {
    let rows = hold.rows(&query::replication()).await?;
    let rows = parse::all(hold.operation(), &rows, |c| {
        let server = c.nullable()?.map(str::to_owned);
        let address = parse::address(c)?;
        let name = c.nullable()?.map(str::to_owned);
        Ok((server, ReportedReplica { address, name }))
    })?;
    let mut replication = Replication::default();
    for (server, replica) in rows {
        match server {
            Some(server) => replication.server = server,
            None => replication.replicas.push(replica),
        }
    }
    Ok(replication)
}
