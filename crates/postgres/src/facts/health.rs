//! What the health of a database is judged by, of the server: sessions and transactions, replicas, ids of transactions,
//! the size. What is about tables is in `health/tables.rs`.
//!
//! Catalogue and statistics alone; each question has an answer of its own, so that a privilege that is missing hides
//! one fact and no other.

mod tables;

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, fact};
use dbop_model::health::{
    Connections, HealthFacts, LISTED_MAX, Lag, Listed, ReplicaLag, TransactionIds,
};
use dbop_model::table::Blocker;
use dbop_model::{Fact, Why};
use tokio_postgres::Row;

use super::Look;
use super::ask::all;
use super::parse::seconds;
use crate::query::ARCHIVERS;

/// Sessions of applications and people; of the server, the limit and what is reserved; of the database, and its limit
/// (negative: none). Without `pg_read_all_stats` a session of another login shows no type: one in a database is taken
/// for a client's. `reserved_connections` is PostgreSQL 16's.
const CONNECTIONS: &str = "
    WITH client AS (
        SELECT a.datid
        FROM pg_stat_activity a
        WHERE a.backend_type = 'client backend'
           OR a.backend_type IS NULL AND a.usesysid IS NOT NULL AND a.datid IS NOT NULL
    )
    SELECT (SELECT count(*) FROM client)::int8,
           current_setting('max_connections')::int8,
           current_setting('superuser_reserved_connections')::int8
               + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int8,
           (SELECT count(*) FROM client WHERE client.datid = d.oid)::int8,
           d.datconnlimit::int8
    FROM pg_database d
    WHERE d.datname = current_database()";

/// May the admin see what sessions of other logins do?
const SEES_ALL: &str = "SELECT pg_has_role('pg_read_all_stats', 'USAGE')";
const SEES_NOT: &str = "the server does not show the admin how old transactions of other logins are; \
    GRANT pg_read_all_stats TO the admin shows it";

/// Transactions in this database: session, login, seconds, state.
const TRANSACTIONS: &str = "
    SELECT 'pid ' || a.pid, coalesce(a.usename::text, ''),
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8, coalesce(a.state, 'active')
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
      AND a.xact_start IS NOT NULL AND a.leader_pid IS NULL
      AND a.backend_type IS DISTINCT FROM 'walsender'
    UNION ALL
    SELECT 'prepared transaction ' || quote_literal(p.gid), p.owner::text,
           extract(epoch FROM clock_timestamp() - p.prepared)::float8, 'prepared transaction'
    FROM pg_prepared_xacts p
    WHERE p.database = current_database()
    ORDER BY 3 DESC LIMIT $1";

/// For what rows of the oldest database bear: which ids, the database, their age, and when the server begins to freeze.
const TRANSACTION_IDS: &str = "
    (SELECT false, d.datname::text, age(d.datfrozenxid)::int8,
            current_setting('autovacuum_freeze_max_age')::int8
     FROM pg_database d ORDER BY 3 DESC LIMIT 1)
    UNION ALL
    (SELECT true, d.datname::text, mxid_age(d.datminmxid)::int8,
            current_setting('autovacuum_multixact_freeze_max_age')::int8
     FROM pg_database d ORDER BY 3 DESC LIMIT 1)";
/// Ids are compared as a circle, of which one half lies in the past (manual, section 24.1.5).
const TRANSACTION_ID_LIMIT: u64 = 1 << 31;

/// Bytes of the database's files.
const BYTES: &str = "SELECT pg_database_size(current_database())";

/// Standbys, by what the server knows of them: name, address, seconds that they are behind (none: nothing was written
/// lately), is it hidden. And slots for which the server keeps its log and that nobody reads.
fn replicas() -> String {
    format!(
        "SELECT r.application_name, host(r.client_addr), extract(epoch FROM r.replay_lag)::float8,
                r.state IS NULL, false
         FROM pg_stat_replication r
         WHERE (r.application_name IS NULL OR r.application_name NOT IN ({ARCHIVERS}))
           AND r.state IS DISTINCT FROM 'backup'
           AND NOT EXISTS (SELECT FROM pg_replication_slots s
                           WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
         UNION ALL
         SELECT s.slot_name::text, NULL, NULL, false, true
         FROM pg_replication_slots s
         WHERE NOT s.active AND s.restart_lsn IS NOT NULL
           AND (s.slot_type = 'physical' OR s.database = current_database())
         ORDER BY 1, 2 LIMIT {LISTED_MAX}"
    )
}

impl Look<'_> {
    /// # Errors
    /// Where the connection breaks or falls silent.
    pub(super) async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        Ok(HealthFacts {
            connections: fact(self.connections().await)?,
            replicas: fact(self.replicas().await)?,
            transactions: fact(self.transactions().await)?,
            ids: fact(self.used_ids().await)?,
            transaction_ids: fact(self.transaction_ids().await)?,
            invalid_indexes: fact(self.invalid_indexes().await)?,
            bloat: fact(self.bloat().await)?,
            keyless: fact(self.keyless().await)?,
            bytes: fact(self.database_bytes().await)?,
        })
    }

    async fn connections(&self) -> Answer<Vec<Connections>> {
        self.one(CONNECTIONS, &[], connections).await
    }

    async fn transactions(&self) -> Answer<Listed<Blocker>> {
        let sees_all: bool = self.one(SEES_ALL, &[], |row| row.try_get(0).ok()).await?;
        let rows = self
            .catalogue(TRANSACTIONS, &[&(LISTED_MAX as i64)])
            .await?;
        Ok(Listed {
            listed: all(&rows, transaction)?,
            more: 0,
            hidden: (!sees_all).then(|| Why::new(SEES_NOT)),
        })
    }

    async fn transaction_ids(&self) -> Answer<Vec<TransactionIds>> {
        let rows = self.catalogue(TRANSACTION_IDS, &[]).await?;
        all(&rows, transaction_ids)
    }

    async fn replicas(&self) -> Answer<Vec<ReplicaLag>> {
        let rows = self.catalogue(&replicas(), &[]).await?;
        all(&rows, replica)
    }

    async fn database_bytes(&self) -> Answer<u64> {
        let read = |row: &Row| row.try_get::<_, i64>(0).ok()?.try_into().ok();
        self.one(BYTES, &[], read).await
    }
}

/// A count; the server's are signed.
fn count(row: &Row, at: usize) -> Option<u64> {
    row.try_get::<_, i64>(at).ok()?.try_into().ok()
}

fn connections(row: &Row) -> Option<Vec<Connections>> {
    let mut limits = vec![Connections {
        of: "the server",
        used: count(row, 0)?,
        max: count(row, 1)?,
        reserved: count(row, 2)?,
    }];
    // Negative is none.
    let of_database: i64 = row.try_get(4).ok()?;
    if let Ok(max) = of_database.try_into() {
        limits.push(Connections {
            of: "the database",
            used: count(row, 3)?,
            max,
            reserved: 0,
        });
    }
    Some(limits)
}

fn transaction(row: &Row) -> Option<Blocker> {
    Some(Blocker {
        session: row.try_get(0).ok()?,
        login: row.try_get(1).ok()?,
        age: seconds(row.try_get(2).ok()?)?,
        state: row.try_get(3).ok()?,
    })
}

fn transaction_ids(row: &Row) -> Option<TransactionIds> {
    let is_multixact: bool = row.try_get(0).ok()?;
    Some(TransactionIds {
        what: if is_multixact {
            "multixact ids"
        } else {
            "transaction ids"
        },
        database: row.try_get(1).ok()?,
        // Ids that no row bears have an age below zero.
        age: row.try_get::<_, i64>(2).ok()?.max(0).try_into().ok()?,
        freeze_at: count(row, 3)?,
        limit: TRANSACTION_ID_LIMIT,
    })
}

fn replica(row: &Row) -> Option<ReplicaLag> {
    let name: Option<String> = row.try_get(0).ok()?;
    let address: Option<String> = row.try_get(1).ok()?;
    let (behind, is_hidden): (Option<f64>, bool) = (row.try_get(2).ok()?, row.try_get(3).ok()?);
    let is_slot: bool = row.try_get(4).ok()?;
    let name = name.filter(|name| !name.is_empty());
    let replica = match (name, address) {
        (Some(name), _) if is_slot => format!("of slot {name}"),
        (Some(name), Some(address)) => format!("{name} at {address}"),
        (Some(name), None) => name,
        (None, Some(address)) => format!("at {address}"),
        (None, None) => "without a name".to_owned(),
    };
    let lag = if is_slot {
        let why = "nobody reads the slot, for which the server keeps its log";
        Fact::Known(Lag::Stopped(why.to_owned()))
    } else if is_hidden {
        Fact::Unknown(Why::new(
            "the server does not show the admin how far replicas are behind; GRANT pg_read_all_stats TO the admin \
             shows it",
        ))
    } else {
        Fact::Known(Lag::Behind(seconds(behind.unwrap_or(0.0))?))
    };
    Some(ReplicaLag { replica, lag })
}
