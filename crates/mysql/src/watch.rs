//! A watch over a look at tables: ends a probe that somebody waits for ([`Way`]).
//!
//! It is a session of its own, for the look's is busy, and there is none where the look is short.

use std::pin::pin;

use dbop_database::DatabaseError;
use dbop_database::answer::{WATCHED_AFTER, WATCHED_EVERY, Way};
use tokio::time::sleep;

use crate::connect::{Server, Spare};
use crate::{parse, query};

/// Looks, and gives way. A watch that cannot be kept, for want of a connection, changes nothing: the probes' own limit
/// holds as well.
pub(crate) async fn beside<T>(
    look: impl Future<Output = T>,
    spare: &Spare,
    server: &Server,
    id: Option<u32>,
    way: &Way,
) -> T {
    let mut look = pin!(look);
    if let Some(id) = id {
        tokio::select! {
            biased;
            looked = &mut look => return looked,
            _ = watch(spare, server, id, way) => {}
        }
    }
    look.await
}

async fn watch(spare: &Spare, server: &Server, id: u32, way: &Way) -> Result<(), DatabaseError> {
    sleep(WATCHED_AFTER).await;
    let link = spare.open().await?;
    let hold = link.hold("watching a look at tables").await?;
    loop {
        let rows = hold
            .rows(&query::is_a_table_waited_for(&server.database, id)?)
            .await?;
        if parse::boolean(hold.operation(), &rows)? {
            break;
        }
        sleep(WATCHED_EVERY).await;
    }
    // In this order: the statement that is ended says why.
    way.give();
    let ended = hold.run(&query::end_statement(id)).await;
    hold.release(ended)?;
    link.close().await;
    Ok(())
}
