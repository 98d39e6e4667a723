//! The sampler of metrics on the fake platform and the fake database: what it tells, how often, and that it is in
//! nobody's way.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

#[path = "support/story.rs"]
mod support;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_engine::{Engine, Observer, Sampler};
use dbop_model::ObjectRef;
use dbop_model::sample::{MetricsSpec, Sample};
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::clock::{SimClock, SimEntropy};
use dbop_testkit::sim::platform::SimPlatform;
use support::{HOUR, story, world};
use tokio::sync::Semaphore;

/// What it was told.
#[derive(Default)]
struct Heard {
    samples: Mutex<Vec<Sample>>,
    errors: Mutex<Vec<DatabaseError>>,
}

impl Observer for Heard {
    fn sampled(&self, _: &ObjectRef, sample: &Sample) {
        self.samples.lock().unwrap().push(sample.clone());
    }

    fn out_of_reach(&self, _: &ObjectRef, error: &DatabaseError) {
        self.errors.lock().unwrap().push(error.clone());
    }
}

/// Everything in a simulation answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// A database at rest of which the size and the next id of a table are wanted that is not there.
fn wanted() -> (Sim, Sampler, Arc<Heard>) {
    let mut sim = Sim::new(world(2), 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let spec = MetricsSpec {
        interval: Duration::from_secs(60),
        sizes: vec!["gone".parse().unwrap()],
        next_ids: vec!["gone".parse().unwrap()],
    };
    sim.world().desired.database.metrics = Some(spec);
    let heard = Arc::new(Heard::default());
    let connector = sim.world().db.clone();
    let engine = Engine {
        observer: heard.clone(),
        ..Engine::new(
            Arc::new(SimPlatform::new(&sim.world)),
            Arc::new(connector),
            Arc::new(SimClock::new(&sim.world)),
            Arc::new(SimEntropy::new(7)),
        )
    };
    let id = sim.world().desired.database.id.clone();
    let sampler = Sampler::new(engine, id, Arc::new(Semaphore::new(1)));
    (sim, sampler, heard)
}

fn told(sim: &Sim) -> usize {
    story(sim).matches("no sample: ").count()
}

#[test]
fn what_cannot_be_had_is_told_once_by_its_field() {
    let (sim, mut sampler, heard) = wanted();
    let writes = sim.world().writes;
    for _ in 0..3 {
        assert_eq!(now(sampler.turn()), Some(Duration::from_secs(60)));
    }
    assert_eq!(heard.samples.lock().unwrap().len(), 3);
    let text = story(&sim);
    assert!(
        text.contains("no sample: spec.metrics.tableEstimatedSize[0]: there is no table gone"),
        "{text}"
    );
    assert!(
        text.contains("no sample: spec.metrics.tableNextId[0]: "),
        "{text}"
    );
    assert_eq!(told(&sim), 2, "{text}");
    assert_eq!(sim.world().writes, writes, "it only looks");
}

#[test]
fn it_holds_no_lock_and_leaves_no_connection() {
    let (mut sim, mut sampler, _heard) = wanted();
    for _ in 0..3 {
        now(sampler.turn());
        let next = sim.turn();
        assert!(next.failure.is_none(), "{}", story(&sim));
    }
    assert!(sim.settle(HOUR), "{}", story(&sim));
}

#[test]
fn a_database_out_of_reach_is_an_error_and_heals() {
    let (sim, mut sampler, heard) = wanted();
    sim.world().db.set_reachable(false);
    assert_eq!(now(sampler.turn()), Some(Duration::from_secs(60)));
    assert!(heard.samples.lock().unwrap().is_empty());
    assert_eq!(heard.errors.lock().unwrap().len(), 1);
    assert!(
        story(&sim).contains("no sample: spec.metrics: cannot reach"),
        "{}",
        story(&sim)
    );
    sim.world().db.set_reachable(true);
    now(sampler.turn());
    assert_eq!(heard.samples.lock().unwrap().len(), 1);
}

#[test]
fn it_ends_when_nothing_is_wanted() {
    let (sim, mut sampler, heard) = wanted();
    sim.world().desired.database.metrics = None;
    assert_eq!(now(sampler.turn()), None);
    sim.world().let_go = true;
    assert_eq!(now(sampler.turn()), None);
    assert!(heard.samples.lock().unwrap().is_empty());
}
