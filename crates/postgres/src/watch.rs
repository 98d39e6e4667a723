//! The session that watches a look at tables ([`dbop_database::watch`]).

use dbop_database::DatabaseError;
use dbop_database::watch::Watcher;

use crate::connect::Spare;
use crate::link::Link;
use crate::{parse, query};

/// What it does, for errors.
const OPERATION: &str = "watching a look at tables";

/// A session that watches the one of process `pid`.
pub(crate) struct Watch {
    link: Link,
    pid: i32,
}

impl Watch {
    pub(crate) async fn open(spare: &Spare, pid: i32) -> Result<Self, DatabaseError> {
        let link = spare.open().await?;
        Ok(Self { link, pid })
    }
}

impl Watcher for Watch {
    async fn is_waited_for(&self) -> Result<bool, DatabaseError> {
        let hold = self.link.hold(OPERATION).await?;
        let rows = hold.rows(&query::is_waited_for(self.pid)).await;
        let waited = rows.and_then(|rows| parse::boolean(OPERATION, &rows));
        hold.release(waited)
    }

    async fn end(self) -> Result<(), DatabaseError> {
        let hold = self.link.hold(OPERATION).await?;
        let ended = hold.run(&query::cancel(self.pid)).await;
        hold.release(ended)?;
        self.link.close().await;
        Ok(())
    }
}
