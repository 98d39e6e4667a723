//! A server that holds a copy: who is connected there, and whether it has replayed that a login is locked.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use dbop_database::{DatabaseError, Replica, ReplicaFacts};
use dbop_model::{LoginName, Replication, ReportedReplica, Session};

use crate::link::{Hold, Link};
use crate::{parse, query, sessions};

/// A connection to a standby.
pub(crate) struct Standby {
    link: Link,
}

impl Standby {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Replica for Standby {
    async fn look(&self, logins: &BTreeSet<LoginName>) -> Result<ReplicaFacts, DatabaseError> {
        let hold = self.link.hold("looking at a replica").await?;
        let facts = facts(&hold, logins).await;
        hold.release(facts)
    }
}

async fn facts(
    hold: &Hold<'_>,
    logins: &BTreeSet<LoginName>,
) -> Result<ReplicaFacts, DatabaseError> {
    let rows = hold.rows(&query::open_logins(logins)?).await?;
    let open = parse::all(hold.operation(), &rows, parse::login)?;
    // After the logins: whom a login that is not open any more let in has a session by now.
    let sessions: BTreeMap<LoginName, Vec<Session>> = sessions::of(hold, logins).await?;
    Ok(ReplicaFacts {
        replication: replication(hold).await?,
        sessions,
        open: open.into_iter().collect(),
    })
}

/// Which server it is, and its replicas.
pub(crate) async fn replication(hold: &Hold<'_>) -> Result<Replication, DatabaseError> {
    let rows = hold.rows(&query::replication()).await?;
    let mut replication = Replication::default();
    let rows = parse::all(hold.operation(), &rows, |c| {
        let mut column = || Ok(c.nullable()?.filter(|s| !s.is_empty()).map(str::to_owned));
        Ok((column()?, column()?, column()?))
    })?;
    for (server, address, name) in rows {
        match server {
            Some(server) => replication.server = server,
            None => replication.replicas.push(ReportedReplica { address, name }),
        }
    }
    Ok(replication)
}
