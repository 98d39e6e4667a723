//! Who is in the way: transactions that use the table. Even the cheapest change of a table waits until they end, and
//! whoever comes after waits behind it.
//!
//! Metadata locks say who uses which table: MySQL shows them to who may read `performance_schema`, MariaDB in its plugin
//! `metadata_lock_info`. Without them InnoDB's transactions are read (PROCESS), which do not say what they have used:
//! one that lasts, of a session in this database, makes it unknown. A session that only said `LOCK TABLES` is not seen
//! there.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::table::Blocker;
use dbop_model::{Engine, Why};

use super::Look;
use super::parse::Located;
use crate::parse::{Columns, Values as _};
use crate::query::text;
use dbop_database::answer::{Answer, Failure, unknown};

/// Of how many is told: the oldest. One is enough to wait for.
const BLOCKERS_MAX: usize = 20;
/// Where it is not seen what a transaction uses, those that are over at once are left out.
const LASTS_S: u32 = 2;
/// The age of a transaction. The server writes its start in its own time zone, whatever the session's is.
pub(super) const AGE: &str =
    "TIMESTAMPDIFF(SECOND, x.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))";

/// Does the server keep metadata locks where they can be read?
const IS_ON: &str = "SELECT i.ENABLED = 'YES' FROM performance_schema.setup_instruments i \
    WHERE i.NAME = 'wait/lock/metadata/sql/mdl'";
/// MariaDB's plugin.
const PLUGIN: &str = "SELECT p.PLUGIN_NAME FROM information_schema.PLUGINS p \
    WHERE p.PLUGIN_NAME = 'METADATA_LOCK_INFO' AND p.PLUGIN_STATUS = 'ACTIVE'";

/// Sessions with a lock on the table: id, login, command, seconds.
fn by_locks(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT t.PROCESSLIST_ID, COALESCE(MAX(t.PROCESSLIST_USER), ''), \
         COALESCE(MAX(t.PROCESSLIST_COMMAND), ''), \
         GREATEST(COALESCE(MAX({AGE}), MAX(t.PROCESSLIST_TIME), 0), 0) AS age \
         FROM performance_schema.metadata_locks m \
         JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID \
         LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = t.PROCESSLIST_ID \
         WHERE m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = {} AND m.OBJECT_NAME = {} \
         AND m.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID <> CONNECTION_ID() \
         GROUP BY t.PROCESSLIST_ID ORDER BY age DESC LIMIT {BLOCKERS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// The same by MariaDB's plugin.
fn by_plugin(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT m.THREAD_ID, COALESCE(MAX(p.USER), ''), COALESCE(MAX(p.COMMAND), ''), \
         GREATEST(COALESCE(MAX({AGE}), MAX(p.TIME), 0), 0) AS age \
         FROM information_schema.METADATA_LOCK_INFO m \
         LEFT JOIN information_schema.PROCESSLIST p ON p.ID = m.THREAD_ID \
         LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = m.THREAD_ID \
         WHERE m.TABLE_SCHEMA = {} AND m.TABLE_NAME = {} AND m.THREAD_ID <> CONNECTION_ID() \
         GROUP BY m.THREAD_ID ORDER BY age DESC LIMIT {BLOCKERS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// Transactions that last, of sessions in the database or in none: the same columns.
fn by_transactions(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT x.trx_mysql_thread_id, COALESCE(p.USER, ''), COALESCE(p.COMMAND, ''), {AGE} AS age \
         FROM information_schema.INNODB_TRX x \
         JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id \
         WHERE x.trx_mysql_thread_id <> CONNECTION_ID() AND (p.DB IS NULL OR p.DB = {}) \
         AND {AGE} >= {LASTS_S} ORDER BY age DESC LIMIT {BLOCKERS_MAX}",
        text(&table.database)?
    ))
}

impl Look<'_> {
    pub(super) async fn blockers(&self, table: &Located) -> Answer<Vec<Blocker>> {
        let (seen, way_out) = match self.server.engine {
            Engine::MariaDb => {
                let plugin = self
                    .catalogue(Ok(PLUGIN.to_owned()), |c| Ok(c.text()?.to_owned()))
                    .await?;
                let seen = match plugin.is_empty() {
                    true => unknown("not loaded"),
                    false => self.catalogue(by_plugin(table), blocker).await,
                };
                (seen, "INSTALL SONAME 'metadata_lock_info' shows it")
            }
            _ => (
                self.by_metadata_locks(table).await,
                "GRANT SELECT ON performance_schema.* TO the admin shows it",
            ),
        };
        match seen {
            Err(Failure::Unknown(_)) => self.by_transactions(table, way_out).await,
            seen => seen,
        }
    }

    async fn by_metadata_locks(&self, table: &Located) -> Answer<Vec<Blocker>> {
        let on = self
            .catalogue(Ok(IS_ON.to_owned()), |c| c.boolean())
            .await?;
        if on.first() != Some(&true) {
            return unknown("metadata locks are not kept");
        }
        self.catalogue(by_locks(table), blocker).await
    }

    async fn by_transactions(&self, table: &Located, way_out: &str) -> Answer<Vec<Blocker>> {
        let lasting = self.catalogue(by_transactions(table), blocker).await?;
        match lasting.first() {
            None => Ok(Vec::new()),
            Some(oldest) => Err(Failure::Unknown(Why::passing(format!(
                "a transaction of {}, login {}, is open for {} s, and which tables it uses is not seen; {way_out}",
                oldest.session,
                oldest.login,
                oldest.age.as_secs()
            )))),
        }
    }
}

pub(super) fn blocker(columns: &mut Columns<'_>) -> Result<Blocker, DatabaseError> {
    Ok(Blocker {
        session: format!("thread {}", columns.number::<u64>()?),
        login: columns.text()?.to_owned(),
        state: match columns.text()? {
            "Sleep" => "idle in transaction".to_owned(),
            _ => "active".to_owned(),
        },
        age: Duration::from_secs(columns.number()?),
    })
}
