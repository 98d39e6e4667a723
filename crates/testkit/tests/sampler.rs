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
use dbop_model::sample::{MetricKind, MetricQuery, MetricsSpec, Sample};
use dbop_model::{DeletionPolicy, Fact, ObjectRef};
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::clock::{SimClock, SimEntropy};
use dbop_testkit::sim::platform::SimPlatform;
use support::{HOUR, MINUTE, story, world};
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
        queries: Vec::new(),
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

/// The same, with these queries and nothing else.
fn asking(queries: &[&str]) -> (Sim, Sampler, Arc<Heard>) {
    let (sim, sampler, heard) = wanted();
    let query = |sql: &&str| {
        Arc::new(MetricQuery {
            name: format!("of_{}", sql.len()),
            help: "A number.".to_owned(),
            kind: MetricKind::Gauge,
            labels: Default::default(),
            sql: (*sql).to_owned(),
        })
    };
    if let Some(metrics) = &mut sim.world().desired.database.metrics {
        metrics.sizes.clear();
        metrics.next_ids.clear();
        metrics.queries = queries.iter().map(query).collect();
    }
    (sim, sampler, heard)
}

/// The login that queries run as, where it is there.
fn reader(sim: &Sim) -> Option<String> {
    let mut names = sim.world().db.roles().into_keys();
    names.find(|name| name.ends_with("_reader"))
}

/// What the last sample's queries gave: a number, or why there is none.
fn given(heard: &Heard) -> Vec<Result<f64, String>> {
    let samples = heard.samples.lock().unwrap();
    let last = samples.last().expect("a sample");
    let of = |fact: &Fact<dbop_model::sample::QueryValue>| match fact {
        Fact::Known(given) => Ok(given.value),
        Fact::Unknown(why) => Err(why.to_string()),
    };
    last.queries.iter().map(|(_, fact)| of(fact)).collect()
}

#[test]
fn a_query_that_fails_costs_the_others_nothing() {
    let (sim, mut sampler, heard) =
        asking(&["SELECT 7", "DIE", "SLEEP 99", "SELECT NULL", "SELECT -0.5"]);
    for _ in 0..2 {
        now(sampler.turn());
        let given = given(&heard);
        assert_eq!((&given[0], &given[4]), (&Ok(7.0), &Ok(-0.5)));
        for (at, says) in [
            (1, "session ended"),
            (2, "longer than 5 s"),
            (3, "COALESCE"),
        ] {
            let why = given[at].as_ref().unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
    let text = story(&sim);
    assert_eq!(told(&sim), 3, "{text}");
    assert!(
        text.contains("no sample: spec.metrics.sqlQuery[1] (of_3): the session ended"),
        "{text}"
    );
}

#[test]
fn a_query_that_always_fails_does_not_write_each_time() {
    let (mut sim, mut sampler, heard) = asking(&["SELECT NULL"]);
    let mut wrote = |sim: &Sim| {
        let before = sim.world().writes;
        now(sampler.turn());
        assert!(given(&heard)[0].is_err());
        let after = sim.world().writes;
        after > before
    };
    // The login may be what it lacked.
    assert!(wrote(&sim) && wrote(&sim));
    for _ in 0..3 {
        assert!(!wrote(&sim));
    }
    sim.pass(MINUTE * 11);
    // It fails once more first.
    assert!(!wrote(&sim) && wrote(&sim));
    assert!(!wrote(&sim));
}

#[test]
fn queries_run_as_a_login_of_their_own_that_another_operator_may_take() {
    let (sim, mut sampler, heard) = asking(&["SELECT 7"]);
    now(sampler.turn());
    let writes = sim.world().writes;
    now(sampler.turn());
    assert_eq!(sim.world().writes, writes, "it is kept");
    let reader = reader(&sim);
    sim.world()
        .db
        .set_password(&reader.expect("the login"), "another's");
    now(sampler.turn());
    assert_eq!(given(&heard), [Ok(7.0)]);
}

#[test]
fn the_login_is_not_made_where_nothing_may_be_written() {
    for (hold, says) in [(true, "spec.readOnly"), (false, "spec.paused")] {
        let (sim, mut sampler, heard) = asking(&["SELECT 7"]);
        sim.world().desired.database.read_only = hold;
        sim.world().desired.database.paused = !hold;
        let writes = sim.world().writes;
        now(sampler.turn());
        let why = given(&heard).remove(0).unwrap_err();
        assert!(why.contains(says), "{why}");
        assert_eq!(sim.world().writes, writes);
        assert_eq!(reader(&sim), None);
    }
}

#[test]
fn no_query_is_asked_while_a_migration_runs_and_its_last_answer_stands() {
    let (mut sim, mut sampler, heard) = asking(&["SELECT 7", "SELECT NULL"]);
    now(sampler.turn());
    let three = dbop_plan::example::desired(3).unwrap();
    sim.world().desired.chain = three.chain;
    sim.world().desired.database.desired = "v3".parse().unwrap();
    let runs = |sim: &Sim| sim.world().jobs.values().any(|job| job.end.is_none());
    for _ in 0..1000 {
        if runs(&sim) {
            break;
        }
        sim.turn();
    }
    assert!(runs(&sim), "{}", story(&sim));
    let before = given(&heard);
    // Whoever asks has to make it again.
    let login = reader(&sim).expect("the login");
    sim.world().db.drop_role(&login);
    now(sampler.turn());
    assert_eq!(given(&heard), before, "as it was");
    assert_eq!(reader(&sim), None);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    now(sampler.turn());
    assert_eq!(given(&heard)[0], Ok(7.0));
    assert!(reader(&sim).is_some(), "asked again");
}

#[test]
fn the_login_goes_with_the_object_where_logins_do() {
    for deletion in [DeletionPolicy::Revoke, DeletionPolicy::Retain] {
        let (mut sim, mut sampler, _heard) = asking(&["SELECT 7"]);
        now(sampler.turn());
        sim.world().desired.database.deletion = deletion;
        sim.world().object.deleting = true;
        sim.settle(HOUR);
        assert!(sim.world().let_go, "{}", story(&sim));
        assert_eq!(reader(&sim).is_some(), deletion == DeletionPolicy::Retain);
    }
}
