//! From the start of a process to the first look at every database.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::cluster::LOOK_EVERY;
use crate::operator::{Operator, Program};
use crate::server::FakeServer;

/// Longer than this it must not take.
const LIMIT: Duration = Duration::from_secs(300);

/// Stops the operator in good order and starts another; gives the seconds from its start to the moment at which
/// the server was asked about the last database for the first time.
pub async fn restart(
    server: &FakeServer,
    program: &Program,
    operator: Operator,
    count: usize,
) -> Result<(Operator, f64)> {
    operator.stop().await?;
    server.forget_looks();
    let mut operator = Operator::start(program)?;
    let seconds = all_seen(server, &mut operator, count).await?;
    Ok((operator, seconds))
}

/// Waits until so many databases were looked at; gives the seconds since the operator's start.
async fn all_seen(server: &FakeServer, operator: &mut Operator, count: usize) -> Result<f64> {
    let begin = Instant::now();
    loop {
        let (seen, last) = server.looks();
        if seen >= count {
            let last = last.unwrap_or(operator.started);
            return Ok((last - operator.started).as_secs_f64());
        }
        operator.lives()?;
        ensure!(
            begin.elapsed() < LIMIT,
            "only {seen} of {count} databases were looked at within {LIMIT:?}"
        );
        sleep(LOOK_EVERY).await;
    }
}
