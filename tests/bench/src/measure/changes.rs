//! From the change of a spec to the Job: from the API server's answer to the PATCH to the Job's appearance in a
//! watch of the benchmark, both by the benchmark's own monotonic clock.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::cluster::{LOOK_EVERY, Site};
use crate::operator::Operator;
use crate::report::Times;

/// A Job that has not come by then does not come.
const LIMIT: Duration = Duration::from_secs(30);

/// Changes one database after the other from `v1` to `v2`, each when the one before is at rest again.
pub async fn time(
    site: &Site,
    operator: &mut Operator,
    movers: &[String],
    changes: usize,
) -> Result<Times> {
    let mut seconds = Vec::new();
    for mover in movers.iter().take(changes) {
        let answered = site.desire(mover, "v2").await?;
        let seen = site.await_job(mover, "v2", LIMIT).await?;
        // The watch may tell of the Job before the answer to our own request is read.
        seconds.push(seen.saturating_duration_since(answered).as_secs_f64());
        let begin = Instant::now();
        while !site.stand(mover).is_at_rest("v2") {
            operator.lives()?;
            ensure!(
                begin.elapsed() < LIMIT,
                "{mover} is not at rest: {:?}",
                site.stand(mover)
            );
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(Times::of(seconds))
}
