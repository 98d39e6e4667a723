//! The sampler of one database's metrics: a loop of its own, on a connection of its own.
//!
//! It shares nothing with the worker but the way to the server: a slow look at tables holds up neither a reconcile nor
//! a migration. It only looks, writes nothing but the login that users' queries run as, and keeps nothing but counters of
//! writes. What it finds goes to the [`Observer`](crate::Observer); what it cannot find is told once, by the field of the
//! spec that asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dbop_database::{Administer, DatabaseError, Target};
use dbop_model::sample::{MetricsSpec, Sample, TableSize};
use dbop_model::table::{FactRequest, TableFactsSet, TableName, TableState};
use dbop_model::writes::WriteWatch;
use dbop_model::{DatabaseSpec, Fact, ObjectRef, ServerRole, Why};
use futures_util::future::{Either, select};
use tokio::sync::Semaphore;

use crate::observe::dsn_error;
use crate::platform::{PlatformError, Read, Subject};
use crate::queries::{Asking, Queries};
use crate::worker::Engine;

/// A look takes a connection and some statements about the catalogue; one that takes longer is given up.
const SAMPLE_TIME_MAX: Duration = Duration::from_secs(30);
/// The first look comes within so long, so that the looks of many databases do not come together.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// No row is probed for a sample.
const NO_PROBES: Duration = Duration::ZERO;

/// Why there is no sample, or no look at the health.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    #[error("{0}")]
    Platform(#[from] PlatformError),
    #[error("{}", .1)]
    Database(DatabaseError, String),
    #[error("the server does not answer")]
    Dead,
    #[error("the look took longer than {} s", SAMPLE_TIME_MAX.as_secs())]
    Slow,
}

/// Samples one database.
pub struct Sampler {
    engine: Engine,
    database: ObjectRef,
    /// How many look at the same moment is bounded, over all databases.
    permits: Arc<Semaphore>,
    writes: WriteWatch,
    queries: Queries,
    told: Vec<String>,
}

impl Sampler {
    /// A sampler of this database.
    pub fn new(engine: Engine, database: ObjectRef, permits: Arc<Semaphore>) -> Self {
        Self {
            engine,
            database,
            permits,
            writes: WriteWatch::default(),
            queries: Queries::default(),
            told: Vec::new(),
        }
    }

    /// Samples for as long as the object is there and `spec.metrics` wants it.
    pub async fn run(mut self) {
        let first = FIRST_WITHIN.mul_f64(random(&self.engine));
        self.engine.clock.sleep(first).await;
        while let Some(pause) = self.turn().await {
            // A tenth more or less: what began together does not stay together.
            let pause = pause.mul_f64(0.9 + 0.2 * random(&self.engine));
            self.engine.clock.sleep(pause).await;
        }
    }

    /// One sample, and how long to wait for the next; `None`: no more are wanted.
    pub async fn turn(&mut self) -> Option<Duration> {
        let subject = self.engine.platform.subject(&self.database, Read::Cached);
        // The worker tells what is wrong with the object.
        let Ok(subject) = subject.await else {
            return Some(SAMPLE_TIME_MAX);
        };
        let subject = subject?;
        let wanted = subject.desired.database.metrics.as_ref()?;
        self.sample(&subject, wanted).await;
        Some(wanted.interval)
    }

    async fn sample(&mut self, subject: &Subject, wanted: &MetricsSpec) {
        let Ok(_permit) = self.permits.clone().acquire_owned().await else {
            return;
        };
        let (clock, look) = (self.engine.clock.clone(), self.look(subject, wanted));
        let limit = pin!(clock.sleep(SAMPLE_TIME_MAX));
        let looked = match select(pin!(look), limit).await {
            Either::Left((looked, _)) => looked,
            Either::Right(_) => Err(SampleError::Slow),
        };
        let problems = match looked {
            Ok(sample) => {
                self.engine.observer.sampled(&self.database, &sample);
                sample.problems(wanted)
            }
            Err(error) => {
                if let SampleError::Database(error, _) = &error {
                    self.engine.observer.out_of_reach(&self.database, error);
                }
                vec![format!("spec.metrics: {error}")]
            }
        };
        self.tell(problems).await;
    }

    /// Tells what was not told the last time.
    async fn tell(&mut self, problems: Vec<String>) {
        let vitals = &self.engine.vitals;
        vitals.sampled(&self.database, Some(problems.clone()));
        for problem in problems.iter().filter(|one| !self.told.contains(one)) {
            tracing::warn!(database = %self.database, "no sample: {problem}");
            let platform = &self.engine.platform;
            platform.unsampled(&self.database, problem).await;
        }
        self.told = problems;
    }

    async fn look(
        &mut self,
        subject: &Subject,
        wanted: &MetricsSpec,
    ) -> Result<Sample, SampleError> {
        let (admin, target) = connect(&self.engine, &subject.desired.database).await?;
        let failed = |error: DatabaseError| {
            let text = error.to_string();
            SampleError::Database(error, text)
        };
        let clock = self.engine.clock.clone();
        let began = clock.now();
        let requests = wanted.sizes.iter();
        let requests: BTreeSet<FactRequest> = requests
            .flat_map(|table| {
                [
                    FactRequest::Size(table.clone()),
                    FactRequest::Writes(table.clone()),
                ]
            })
            .collect();
        let mut tables = TableFactsSet::new(began);
        if !requests.is_empty() {
            tables = admin
                .table_facts(&requests, NO_PROBES)
                .await
                .map_err(failed)?;
        }
        self.writes.look(&mut tables);
        let between = clock.now();
        let next_ids: BTreeSet<TableName> = wanted.next_ids.iter().cloned().collect();
        let next_ids = admin.next_ids(&next_ids).await.map_err(failed)?;
        let taken_at = clock.now();
        let with = Asking {
            engine: &self.engine,
            subject,
            admin: &*admin,
            target: &target,
        };
        let queries = self.queries.ask(&with, &wanted.queries).await;
        let span = |from, to: jiff::Timestamp| {
            Duration::try_from(to.duration_since(from)).unwrap_or_default()
        };
        Ok(Sample {
            taken_at,
            sizes_took: span(began, between),
            next_ids_took: span(between, taken_at),
            sizes: sizes(&wanted.sizes, &tables),
            next_ids,
            queries,
        })
    }
}

/// A connection of its own, unless the worker knows the server to be dead.
pub(crate) async fn connect(
    engine: &Engine,
    spec: &DatabaseSpec,
) -> Result<(Box<dyn Administer>, Target), SampleError> {
    let of_dsn = |error: DatabaseError| {
        let text = dsn_error(spec, ServerRole::Primary, &error);
        SampleError::Database(error, text)
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
        return Err(SampleError::Dead);
    }
    let admin = connector.connect(&target).await.map_err(of_dsn)?;
    Ok((admin, target))
}

/// From 0 to 1.
pub(crate) fn random(engine: &Engine) -> f64 {
    let mut byte = [0];
    engine.entropy.fill(&mut byte);
    f64::from(byte[0]) / f64::from(u8::MAX)
}

fn sizes(wanted: &[TableName], seen: &TableFactsSet) -> BTreeMap<TableName, Fact<TableSize>> {
    let of = |table: &TableName| match seen.table(table) {
        Fact::Unknown(why) => Fact::Unknown(why),
        Fact::Known(TableState::Missing) => {
            Fact::Unknown(Why::new(format!("there is no table {table}")))
        }
        Fact::Known(TableState::Present(facts)) => match (&facts.rows, &facts.bytes) {
            (Fact::Unknown(why), Fact::Unknown(_)) => Fact::Unknown(why.clone()),
            _ => Fact::Known(TableSize {
                writes_per_second: facts.writes.known().map(|rate| rate.per_second),
                rows: facts.rows,
                bytes: facts.bytes,
            }),
        },
    };
    wanted
        .iter()
        .map(|table| (table.clone(), of(table)))
        .collect()
}
