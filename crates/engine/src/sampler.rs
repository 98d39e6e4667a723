//! The sampler of one database's metrics: a loop of its own, on a connection of its own.
//!
//! It shares nothing with the worker but the way to the server and the counters of writes: a slow look at tables holds up
//! neither a reconcile nor a migration. It only looks, and writes nothing but the login that users' queries run as. What it
//! finds goes to the [`Observer`](crate::Observer); what it cannot find is told once, by the field of the spec that asks
//! for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbop_model::sample::{MetricsSpec, Sample, TableSize};
use dbop_model::table::{FactRequest, TableFactsSet, TableName, TableState};
use dbop_model::{Fact, ObjectRef, Why};
use tokio::sync::Semaphore;

use crate::beside::{self, LOOK_TIME_MAX, LookError, connect};
use crate::platform::{Read, Subject};
use crate::queries::{Asking, Queries};
use crate::worker::Engine;

/// No row is probed for a sample.
const NO_PROBES: Duration = Duration::ZERO;

/// Samples one database.
pub struct Sampler {
    engine: Engine,
    database: ObjectRef,
    /// How many look at the same moment is bounded, over all databases.
    permits: Arc<Semaphore>,
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
            queries: Queries::default(),
            told: Vec::new(),
        }
    }

    /// Samples for as long as the object is there and `spec.metrics` wants it.
    pub async fn run(mut self) {
        beside::first(&self.engine).await;
        while let Some(pause) = self.turn().await {
            beside::pause(&self.engine, pause).await;
        }
    }

    /// One sample, and how long to wait for the next; `None`: no more are wanted.
    pub async fn turn(&mut self) -> Option<Duration> {
        let subject = self.engine.platform.subject(&self.database, Read::Cached);
        // The worker tells what is wrong with the object.
        let Ok(subject) = subject.await else {
            return Some(LOOK_TIME_MAX);
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
        let engine = self.engine.clone();
        let look = self.look(subject, wanted);
        let looked = beside::bounded(&engine, &subject.desired.database.id, look).await;
        let problems = match looked {
            Ok(sample) => {
                self.engine.observer.sampled(&self.database, &sample);
                sample.problems(wanted)
            }
            Err(error) => vec![format!("spec.metrics: {error}")],
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

    async fn look(&mut self, subject: &Subject, wanted: &MetricsSpec) -> Result<Sample, LookError> {
        let (admin, target) = connect(&self.engine, &subject.desired.database).await?;
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
            tables = admin.table_facts(&requests, NO_PROBES).await?;
        }
        let vitals = &self.engine.vitals;
        vitals.watch_writes(&self.database, &mut tables);
        let between = clock.now();
        let next_ids: BTreeSet<TableName> = wanted.next_ids.iter().cloned().collect();
        let next_ids = admin.next_ids(&next_ids).await?;
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
