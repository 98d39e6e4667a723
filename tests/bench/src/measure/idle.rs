//! What an operator costs while nothing is to be done.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::Bench;
use crate::operator::Operator;
use crate::report::Idle;
use crate::server::FakeServer;

/// What a start leaves behind is over after this.
const SETTLE: Duration = Duration::from_secs(20);

/// Looks for the window's length.
pub async fn look(bench: &Bench, server: &FakeServer, operator: &mut Operator) -> Result<Idle> {
    sleep(SETTLE).await;
    let (from, before, processor) = (bench.audit.mark()?, server.counts(), operator.processor()?);
    sleep(bench.window).await;
    let (to, after) = (bench.audit.mark()?, server.counts());
    operator.lives()?;
    Ok(Idle {
        seconds: bench.window.as_secs_f64(),
        requests: bench.audit.between(from, to)?,
        databases: after.since(&before),
        processor_seconds: operator.processor()? - processor,
        memory: operator.memory()?,
    })
}
