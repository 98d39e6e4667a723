//! The examiner of health on the fake platform and the fake database: what it leaves for the worker, and that it only
//! looks.

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
use dbop_engine::{Engine, Examiner, Observer, Report, Worker};
use dbop_model::health::{Check, Connections, Health, HealthFacts, HealthNumbers, Ignore, Unseen};
use dbop_model::{Fact, ObjectRef, Why};
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::clock::{SimClock, SimEntropy};
use dbop_testkit::sim::platform::SimPlatform;
use support::{HOUR, story, world};
use tokio::sync::Semaphore;

/// What it was told last.
#[derive(Default)]
struct Heard {
    health: Mutex<Health>,
    numbers: Mutex<Option<HealthNumbers>>,
    errors: Mutex<usize>,
}

impl Observer for Heard {
    fn published(&self, _: &ObjectRef, report: &Report<'_>) {
        *self.health.lock().unwrap() = report.health.clone();
    }

    fn examined(&self, _: &ObjectRef, numbers: &HealthNumbers) {
        *self.numbers.lock().unwrap() = Some(*numbers);
    }

    fn out_of_reach(&self, _: &ObjectRef, _: &DatabaseError) {
        *self.errors.lock().unwrap() += 1;
    }
}

/// Everything in a simulation answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// A database at rest, with a worker and an examiner that share what is found.
struct Site {
    sim: Sim,
    worker: Worker,
    examiner: Examiner,
    heard: Arc<Heard>,
}

impl Site {
    fn new() -> Self {
        let mut sim = Sim::new(world(2), 1);
        assert!(sim.settle(HOUR), "{}", story(&sim));
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
        Self {
            worker: Worker::new(engine.clone(), id.clone()),
            examiner: Examiner::new(engine, id, Arc::new(Semaphore::new(1))),
            sim,
            heard,
        }
    }

    /// What the worker shows now.
    fn shown(&mut self) -> Health {
        let next = now(self.worker.reconcile());
        assert!(next.failure.is_none(), "{}", story(&self.sim));
        self.heard.health.lock().unwrap().clone()
    }

    fn examine(&self) {
        let pause = now(self.examiner.turn());
        assert_eq!(pause, Some(Duration::from_secs(60)), "by the spec");
    }
}

fn full() -> HealthFacts {
    HealthFacts {
        connections: Fact::Known(vec![Connections {
            of: "the server",
            used: 95,
            max: 100,
            reserved: 3,
        }]),
        ..HealthFacts::unknown(&Why::new("nobody knows"))
    }
}

#[test]
fn what_is_found_shows_with_the_next_pass() {
    let mut site = Site::new();
    site.sim.world().db.set_health(full());
    let writes = site.sim.world().writes;
    assert_eq!(site.shown().unseen, Some(Unseen::NotYet));
    site.examine();
    let health = site.shown();
    assert_eq!(health.unseen, None);
    let worst: Vec<Check> = health.degraded().map(|(check, _)| check).collect();
    assert_eq!(worst, [Check::Connections], "{health:?}");
    assert!(health.unknown().any(|(check, _)| check == Check::Bloat));
    let numbers = site.heard.numbers.lock().unwrap().unwrap();
    assert_eq!(numbers.connections_used, Some(95));
    assert_eq!(numbers.connections_max, Some(97));
    assert_eq!(site.sim.world().writes, writes, "it only looks");
    assert!(site.sim.settle(HOUR), "{}", story(&site.sim));
}

#[test]
fn thresholds_and_what_is_accepted_are_those_of_the_spec() {
    let mut site = Site::new();
    site.sim.world().db.set_health(full());
    site.sim.world().desired.database.health.connections_percent = 99;
    site.examine();
    assert_eq!(site.shown().degraded().count(), 0);
    site.sim.world().desired.database.health.connections_percent = 98;
    site.sim.world().desired.database.health.ignore = vec![Ignore {
        check: Check::Bloat,
        table: None,
        reason: "it is small".to_owned(),
    }];
    site.sim.world().db.set_health(HealthFacts {
        connections: Fact::Known(vec![Connections {
            of: "the server",
            used: 97,
            max: 97,
            reserved: 0,
        }]),
        ..full()
    });
    site.examine();
    let health = site.shown();
    assert_eq!(health.degraded().count(), 1, "{health:?}");
    assert!(health.checks.iter().all(|one| one.check != Check::Bloat));
}

#[test]
fn a_database_out_of_reach_is_unknown_and_heals() {
    let mut site = Site::new();
    site.sim.world().db.set_health(full());
    site.examine();
    site.sim.world().db.set_reachable(false);
    site.examine();
    assert_eq!(*site.heard.errors.lock().unwrap(), 1);
    let numbers = *site.heard.numbers.lock().unwrap();
    assert_eq!(numbers, Some(HealthNumbers::default()), "old ones are gone");
    // The worker reaches it again before the examiner does.
    site.sim.world().db.set_reachable(true);
    match site.shown().unseen {
        Some(Unseen::Failed(why)) => {
            assert!(why.to_string().contains("cannot reach"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    site.examine();
    assert_eq!(site.shown().unseen, None);
}

#[test]
fn it_ends_with_the_object() {
    let site = Site::new();
    site.sim.world().let_go = true;
    assert_eq!(now(site.examiner.turn()), None);
}
