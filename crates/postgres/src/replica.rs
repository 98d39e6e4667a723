//! A server that holds a copy: who is connected there, and whether it has replayed that a login is locked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{DatabaseError, Replica, ReplicaFacts};
use dbop_model::health::Lag;
use dbop_model::{Fact, LoginName, Replication, ReportedReplica, Session, Why};

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

    async fn lag(&self) -> Result<Fact<Lag>, DatabaseError> {
        let hold = self.link.hold("asking a replica for its lag").await?;
        let lag = lag(&hold).await;
        hold.release(lag)
    }
}

/// What a standby says of itself: is it none any more, is its replay paused, does it receive; and seconds since the
/// last change that it has replayed, zero where it has replayed all that it received (none: it cannot be told).
const LAG: &str = "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 'promoted' \
    WHEN pg_catalog.pg_is_wal_replay_paused() THEN 'paused' \
    WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver) THEN 'receives' \
    WHEN pg_catalog.pg_last_wal_receive_lsn() IS NULL THEN 'restores' ELSE 'cut' END, \
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL \
    WHEN pg_catalog.pg_last_wal_receive_lsn() OPERATOR(pg_catalog.<=) pg_catalog.pg_last_wal_replay_lsn() THEN 0 \
    ELSE pg_catalog.round(EXTRACT(epoch FROM pg_catalog.clock_timestamp() \
    OPERATOR(pg_catalog.-) pg_catalog.pg_last_xact_replay_timestamp())::pg_catalog.numeric \
    OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8 END";

async fn lag(hold: &Hold<'_>) -> Result<Fact<Lag>, DatabaseError> {
    let rows = hold.rows(LAG).await?;
    let (state, behind) = parse::one(hold.operation(), &rows, |c| {
        let state = c.text()?.to_owned();
        let behind = c.nullable()?.and_then(|text| text.parse::<i64>().ok());
        Ok((state, behind))
    })?;
    let stopped = |why: &str| Ok(Fact::Known(Lag::Stopped(why.to_owned())));
    match (state.as_str(), behind) {
        ("promoted", _) => stopped("it is no standby any more"),
        ("paused", _) => stopped("its replay is paused"),
        ("cut", _) => stopped("it receives nothing from its primary"),
        // On a primary where nothing is written no change is late.
        ("restores", _) => Ok(Fact::Unknown(Why::new(
            "it restores from an archive, and how old the newest change there is does not show",
        ))),
        (_, Some(behind)) => {
            let behind = Duration::from_millis(behind.max(0).unsigned_abs());
            Ok(Fact::Known(Lag::Behind(behind)))
        }
        (_, None) => Ok(Fact::Unknown(Why::passing(
            "it has replayed no change yet since its start",
        ))),
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
