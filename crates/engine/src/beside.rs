//! What those who look beside the workers have in common: how often, for how long at most, by which connection, and why
//! there is nothing to tell.

use std::pin::pin;
use std::time::Duration;

use dbop_database::{Administer, DatabaseError, Target};
use dbop_model::{DatabaseSpec, ObjectRef, ServerRole};
use futures_util::future::{Either, select};

use crate::observe::dsn_error;
use crate::platform::{PlatformError, Read};
use crate::worker::Engine;

/// A look takes some connections and a dozen statements, each with a limit; one that takes longer is given up.
pub(crate) const LOOK_TIME_MAX: Duration = Duration::from_secs(30);
/// The first look comes within so long, so that the looks of many databases do not come together.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no sample, or no look at the health.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error("{0}")]
    Platform(#[from] PlatformError),
    /// With the words for people, which may name the DSN's field.
    #[error("{}", .1)]
    Database(DatabaseError, String),
    #[error("the server does not answer")]
    Dead,
    #[error("the look took longer than {} s", LOOK_TIME_MAX.as_secs())]
    Slow,
}

impl From<DatabaseError> for LookError {
    fn from(error: DatabaseError) -> Self {
        let text = error.to_string();
        Self::Database(error, text)
    }
}

/// Waits for the first look.
pub(crate) async fn first(engine: &Engine) {
    engine
        .clock
        .sleep(FIRST_WITHIN.mul_f64(random(engine)))
        .await;
}

/// Waits from one look to the next, a tenth more or less: what began together does not stay together.
pub(crate) async fn pause(engine: &Engine, pause: Duration) {
    let pause = pause.mul_f64(0.9 + 0.2 * random(engine));
    engine.clock.sleep(pause).await;
}

/// A look within its limit; whoever looks on is told of a database that is out of reach.
pub(crate) async fn bounded<T>(
    engine: &Engine,
    database: &ObjectRef,
    look: impl Future<Output = Result<T, LookError>>,
) -> Result<T, LookError> {
    let limit = pin!(engine.clock.sleep(LOOK_TIME_MAX));
    let looked = match select(pin!(look), limit).await {
        Either::Left((looked, _)) => looked,
        Either::Right(_) => Err(LookError::Slow),
    };
    if let Err(LookError::Database(error, _)) = &looked {
        engine.observer.out_of_reach(database, error);
    }
    looked
}

/// A connection of its own, unless the worker knows the server to be dead.
pub(crate) async fn connect(
    engine: &Engine,
    spec: &DatabaseSpec,
) -> Result<(Box<dyn Administer>, Target), LookError> {
    let of_dsn = |error: DatabaseError| {
        let text = dsn_error(spec, ServerRole::Primary, &error);
        LookError::Database(error, text)
    };
    let Engine {
        platform,
        connector,
        servers,
        ..
    } = engine;
    let target = platform
        .target(spec, ServerRole::Primary, Read::Cached)
        .await?;
    let endpoint = connector.endpoint(&target).map_err(of_dsn)?;
    if servers.is_dead(&format!("{}:{}", endpoint.host, endpoint.port)) {
        return Err(LookError::Dead);
    }
    let admin = connector.connect(&target).await.map_err(of_dsn)?;
    Ok((admin, target))
}

/// From 0 to 1.
fn random(engine: &Engine) -> f64 {
    let mut byte = [0];
    engine.entropy.fill(&mut byte);
    f64::from(byte[0]) / f64::from(u8::MAX)
}
