//! A server that holds a copy: who is connected there, and whether it has replayed that a login is locked.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{DatabaseError, Replica, ReplicaFacts};
use dbop_model::{LoginName, Replication, ReportedReplica};

use crate::connect::Server;
use crate::link::{Hold, Link};
use crate::sessions::Counters;
use crate::{logins, parse, query, sessions};

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
