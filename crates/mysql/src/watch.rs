//! The session that watches a look at tables ([`dbop_database::watch`]).

use dbop_database::DatabaseError;
use dbop_database::watch::Watcher;

use crate::connect::Spare;
use crate::link::Link;
use crate::{parse, query};

/// What it does, for errors.
const OPERATION: &str = "watching a look at tables";

/// A session that watches the one of this number, which looks at tables of `database`.
pub(crate) struct Watch<'a> {
    link: Link,
    database: &'a str,
    id: u32,
}

impl<'a> Watch<'a> {
    /// `id` is `None` where the look's connection broke: there is nothing to watch.
    pub(crate) async fn open(
        spare: &Spare,
        database: &'a str,
        id: Option<u32>,
    ) -> Result<Self, DatabaseError> {
        let operation = OPERATION;
        let id = id.ok_or(DatabaseError::Lost { operation })?;
        let link = spare.open().await?;
        Ok(Self { link, database, id })
    }
}

impl Watcher for Watch<'_> {
    async fn is_waited_for(&self) -> Result<bool, DatabaseError> {
        let sql = query::is_a_table_waited_for(self.database, self.id)?;
        let hold = self.link.hold(OPERATION).await?;
        let rows = hold.rows(&sql).await;
        let waited = rows.and_then(|rows| parse::boolean(OPERATION, &rows));
        hold.release(waited)
    }

    async fn end(self) -> Result<(), DatabaseError> {
        let hold = self.link.hold(OPERATION).await?;
        let ended = hold.run(&query::end_statement(self.id)).await;
        hold.release(ended)?;
        self.link.close().await;
        Ok(())
    }
}
