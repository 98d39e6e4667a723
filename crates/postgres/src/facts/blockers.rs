//! Who is in the way: transactions that hold a lock on the table, and old snapshots in the database.
//!
//! Both are of one moment. Without the privileges of `pg_read_all_stats` the server shows that a session of another
//! login holds a lock, and not for how long: then who blocks is unknown, and passes where the transaction is short.

use std::time::Duration;

use dbop_model::Why;
use dbop_model::table::Blocker;
use tokio_postgres::Row;

use super::Look;
use super::ask::all;
use super::parse::Located;
use dbop_database::answer::{Answer, Failure};

/// Of how many is told: the oldest. One is enough to wait for.
const BLOCKERS_MAX: usize = 20;

/// Transactions that hold a lock on the table `$1` or a part of it: pid (NULL: none), its name, login, seconds, state,
/// is the age hidden. Each lock that a statement takes is in the way of ACCESS EXCLUSIVE. A worker of autovacuum
/// (which is no user's) gives way, unless it must prevent a wraparound; what it does is hidden, too.
const HOLDERS: &str = "
    WITH RECURSIVE tree(oid) AS (
        SELECT $1::oid
        UNION
        SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    ), held AS (
        SELECT DISTINCT l.pid, l.virtualtransaction
        FROM pg_locks l
        JOIN tree ON tree.oid = l.relation
        WHERE l.locktype = 'relation' AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND l.pid IS DISTINCT FROM pg_backend_pid()
    )
    SELECT a.pid, 'pid ' || a.pid, coalesce(a.usename::text, a.backend_type, ''),
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
           coalesce(a.state, a.backend_type, 'active'),
           a.xact_start IS NULL
    FROM held
    JOIN pg_stat_activity a ON a.pid = held.pid
    WHERE (a.xact_start IS NOT NULL OR a.state IS NULL)
      AND (a.usesysid IS NOT NULL OR a.query LIKE '%to prevent wraparound%'
           OR a.xact_start IS NULL AND EXISTS (
               SELECT FROM tree JOIN pg_class c ON c.oid = tree.oid
               WHERE c.relkind = 'r' AND age(c.relfrozenxid)
                   > current_setting('autovacuum_freeze_max_age')::int4))
    UNION ALL
    SELECT NULL, 'prepared transaction ' || quote_literal(p.gid), p.owner::text,
           extract(epoch FROM clock_timestamp() - p.prepared)::float8, 'prepared transaction', false
    FROM held
    JOIN pg_locks x ON x.virtualtransaction = held.virtualtransaction
         AND x.locktype = 'transactionid' AND x.pid IS NULL
    JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
    WHERE held.pid IS NULL
    ORDER BY 4 DESC NULLS FIRST";

/// Sessions of this database with a snapshot or a transaction that writes, and prepared transactions: an index build
/// without a strong lock waits for the older ones. Every transaction holds the lock on its virtual id, which is shown
/// of those as well whose age is hidden.
const SNAPSHOTS: &str = "
    SELECT a.pid, 'pid ' || a.pid, coalesce(a.usename::text, a.backend_type, ''),
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
           coalesce(a.state, a.backend_type, 'active'),
           a.xact_start IS NULL
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND a.usesysid IS NOT NULL AND a.backend_type IS DISTINCT FROM 'walsender'
      AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL
           OR a.xact_start IS NULL AND a.state IS NULL AND EXISTS (
               SELECT FROM pg_locks l
               WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted))
    UNION ALL
    SELECT NULL, 'prepared transaction ' || quote_literal(p.gid), p.owner::text,
           extract(epoch FROM clock_timestamp() - p.prepared)::float8, 'prepared transaction', false
    FROM pg_prepared_xacts p
    WHERE p.database = current_database()
    ORDER BY 4 DESC NULLS FIRST";

impl Look<'_> {
    pub(super) async fn blockers(&self, table: &Located) -> Answer<Vec<Blocker>> {
        let rows = self.catalogue(HOLDERS, &[&table.oid]).await?;
        told(all(&rows, seen)?, "holds a lock on it")
    }

    pub(super) async fn snapshots(&self) -> Answer<Vec<Blocker>> {
        let rows = self.catalogue(SNAPSHOTS, &[]).await?;
        told(all(&rows, seen)?, "is in a transaction")
    }
}

/// A blocker; without an age where that is hidden.
struct Seen {
    session: String,
    login: String,
    age: Option<Duration>,
    state: String,
}

fn seen(row: &Row) -> Option<Seen> {
    let age: Option<f64> = row.try_get(3).ok()?;
    let hidden: bool = row.try_get(5).ok()?;
    Some(Seen {
        session: row.try_get(1).ok()?,
        login: row.try_get(2).ok()?,
        age: match (hidden, age) {
            (true, _) => None,
            // A transaction that begins this instant is none of the past.
            (false, age) => Duration::try_from_secs_f64(age?.max(0.0)).ok(),
        },
        state: row.try_get(4).ok()?,
    })
}

fn told(seen: Vec<Seen>, does: &str) -> Answer<Vec<Blocker>> {
    if let Some(hidden) = seen.iter().find(|blocker| blocker.age.is_none()) {
        return Err(Failure::Unknown(Why::passing(format!(
            "{} of login {} {does}, and the server does not show the admin for how long: grant it \
             pg_read_all_stats",
            hidden.session, hidden.login
        ))));
    }
    let told = seen.into_iter().take(BLOCKERS_MAX).filter_map(|blocker| {
        Some(Blocker {
            session: blocker.session,
            login: blocker.login,
            age: blocker.age?,
            state: blocker.state,
        })
    });
    Ok(told.collect())
}
