//! Many databases and operators at once: the same world and engine as in [`Sim`](super::Sim), with calls that take
//! time, so that everybody acts in between.
//!
//! A task per operator and database is polled as if by a runtime of one thread. Which of those that can go on comes
//! next is drawn from the seed; time passes when none can. [`Happening`]s are what befalls them, [`Story`] is a whole
//! history that can be run again, made shorter and read.

mod chain;
mod cooperate;
mod draw;
mod happening;
mod setup;
mod shrink;
mod story;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dbop_engine::{Clock, Engine, Servers, Worker};
use dbop_plan::{Decision, Slots};
use jiff::{SignedDuration, Timestamp};

use super::clock::SimEntropy;
use super::pace::{Pace, PacedClock, Wait};
use super::platform::SimPlatform;
use super::world::{TURN_MAX, World};
use super::{Rng, Shared, actors, invariants};
use crate::fake_database::{Backup, FakeDatabase, WriteFate};

pub use happening::{Entry, Happening};
pub use setup::{Database, Setup};
pub use shrink::shrink;
pub use story::{Failure, Story};

/// A history takes some hundreds of polls; one that takes so many more goes round in circles.
const POLLS_MAX: u64 = 20_000;
/// Reconciles in one moment: a few follow from changes that are told, more from a rest that is none.
const ROUNDS_AT_ONCE_MAX: u32 = 20;
/// A change is told this much later at most, where it is told.
const EVENT_LATE_MAX_MS: u64 = 1500;
/// One change in so many is not told: the slow look has to find it.
const EVENT_LOST_ONE_IN: u64 = 4;
/// A killed operator is started anew after this at most.
const STARTS_WITHIN_MS: u64 = 15_000;

/// Databases, and the operators that look after them.
pub struct Fleet {
    worlds: Vec<Shared>,
    setup: Setup,
    operators: Vec<Operator>,
    tasks: Vec<Task>,
    pace: Arc<Pace>,
    /// Whose writes those of a database are: those of the task that is being polled.
    acting: Acting,
    rng: Rng,
    now: Timestamp,
    agenda: BTreeMap<(Timestamp, u64), Ending>,
    backups: BTreeMap<usize, Backup>,
    polls: u64,
    count: u64,
}

type Acting = Arc<Mutex<Option<Shared>>>;

struct Operator {
    cluster: usize,
    skew: SignedDuration,
    entropy: Arc<SimEntropy>,
    /// It leads beside the first one, for a while.
    second: bool,
}

struct Task {
    operator: usize,
    world: usize,
    future: Pin<Box<dyn Future<Output = ()>>>,
    wait: Wait,
    /// The platform tells it of a change then.
    event_at: Option<Timestamp>,
    /// It has been told, and has yet to listen.
    event: bool,
    left: Left,
}

/// Where the last reconcile left a database; `None`: it has not come that far.
type Left = Arc<Mutex<Option<Decision>>>;

/// What ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    ServerBack { world: usize },
    SessionsShown { world: usize },
    Granted { world: usize },
    WatchesBack { world: usize },
    Created { world: usize },
    OperatorStarts { operator: usize },
    SecondGone { operator: usize },
}

impl Fleet {
    /// Databases as `setup` says, with an operator for each cluster. `seed` makes everything that is random.
    pub fn new(setup: &Setup, seed: u64) -> Self {
        let (worlds, acting) = (setup.worlds(), Acting::default());
        for world in &worlds {
            let acting = acting.clone();
            held(world).db.on_write(move |name| {
                let world = acting.lock().unwrap_or_else(PoisonError::into_inner);
                // People and applications do not write by this way.
                let world = world.as_ref();
                world.map_or(WriteFate::Apply, |world| held(world).write(name))
            });
        }
        let mut fleet = Self {
            worlds,
            setup: setup.clone(),
            operators: Vec::new(),
            tasks: Vec::new(),
            pace: Arc::new(Pace::new(seed ^ 1, setup.slow)),
            acting,
            rng: Rng::new(seed ^ 2),
            now: Timestamp::UNIX_EPOCH,
            agenda: BTreeMap::new(),
            backups: BTreeMap::new(),
            polls: 0,
            count: 0,
        };
        for cluster in 0..setup.clusters() {
            fleet.add_operator(cluster, seed, false);
        }
        fleet
    }

    /// Lets an operator begin, for every database of its cluster.
    fn add_operator(&mut self, cluster: usize, seed: u64, second: bool) -> usize {
        let operator = self.operators.len();
        self.operators.push(Operator {
            cluster,
            skew: SignedDuration::ZERO,
            entropy: Arc::new(SimEntropy::new(seed.wrapping_add(operator as u64))),
            second,
        });
        self.start(operator);
        operator
    }

    fn start(&mut self, operator: usize) {
        let Operator {
            cluster, entropy, ..
        } = &self.operators[operator];
        let servers = Arc::new(Servers::default());
        for (world, shared) in self.worlds.iter().enumerate() {
            if self.setup.databases[world].cluster != *cluster {
                continue;
            }
            let database = held(shared).desired.database.id.clone();
            let connector = held(shared).db.clone();
            let engine = Engine {
                servers: servers.clone(),
                ..Engine::new(
                    Arc::new(SimPlatform::at_pace(shared, &self.pace)),
                    Arc::new(connector),
                    Arc::new(PacedClock(self.pace.clone())),
                    entropy.clone(),
                )
            };
            let left = Left::default();
            let worker = Worker::new(engine, database);
            self.tasks.push(Task {
                operator,
                world,
                future: Box::pin(drive(worker, self.pace.clone(), left.clone())),
                wait: Wait {
                    until: self.now,
                    open: true,
                },
                event_at: None,
                event: false,
                left,
            });
        }
    }

    /// Ends an operator in the middle of whatever it does: its connections end with it.
    fn kill(&mut self, operator: usize) {
        self.tasks.retain(|task| task.operator != operator);
        let cluster = self.operators[operator].cluster;
        for (world, shared) in self.worlds.iter().enumerate() {
            if self.setup.databases[world].cluster == cluster {
                let mut world = held(shared);
                world.dead = false;
                world.tell(format!("operator {} is killed", operator + 1));
            }
        }
        if !self.operators[operator].second {
            let after = self.rng.below(STARTS_WITHIN_MS);
            self.later(after, Ending::OperatorStarts { operator });
        }
    }

    fn later(&mut self, after_ms: u64, ending: Ending) {
        self.count += 1;
        let at = self.now + millis(after_ms);
        self.agenda.insert((at, self.count), ending);
    }

    /// Lets time pass to `end`.
    fn run_to(&mut self, end: Timestamp) {
        while self.polls < POLLS_MAX && self.pace.endless() == 0 {
            while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= self.now) {
                let ending = entry.remove();
                self.end(ending);
            }
            let due = |task: &Task| {
                task.wait.until <= self.now || task.event_at.is_some_and(|at| at <= self.now)
            };
            let due: Vec<usize> = (0..self.tasks.len())
                .filter(|at| due(&self.tasks[*at]))
                .collect();
            if !due.is_empty() {
                let one = due[usize::try_from(self.rng.below(due.len() as u64)).unwrap_or(0)];
                self.poll(one);
                continue;
            }
            if self.now >= end {
                return;
            }
            let waits = self.tasks.iter().map(|task| {
                let event = task.event_at.unwrap_or(Timestamp::MAX);
                task.wait.until.min(event)
            });
            let acts = self
                .worlds
                .iter()
                .filter_map(|world| actors::next_at(&held(world)));
            // Whoever could act at once has just done so: a little later, then.
            let acts = acts.map(|at| at.max(self.now + millis(1)));
            let agenda = self.agenda.keys().map(|(at, _)| *at).take(1);
            let next = waits.chain(acts).chain(agenda).min().unwrap_or(end);
            self.advance(next.min(end));
        }
    }

    fn advance(&mut self, to: Timestamp) {
        self.now = to;
        self.pace.set_now(to);
        for shared in &self.worlds {
            let mut world = held(shared);
            world.now = to;
            if actors::next_at(&world).is_some_and(|at| at <= to) {
                actors::act(&mut world);
            } else {
                world.db.set_now(to);
            }
        }
    }

    fn poll(&mut self, at: usize) {
        self.polls += 1;
        self.make_room(self.tasks[at].world);
        let task = &mut self.tasks[at];
        let (operator, world) = (task.operator, self.worlds[task.world].clone());
        if task.event_at.is_some_and(|at| at <= self.now) {
            task.event_at = None;
            task.event = true;
        }
        self.pace.begin(self.operators[operator].skew, task.event);
        *self.acting.lock().unwrap_or_else(PoisonError::into_inner) = Some(world.clone());
        // A task ends only with its operator.
        let _: Poll<()> = task
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        *self.acting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        (task.wait, task.event) = self.pace.end();
        let mut world = held(&world);
        invariants::check(&mut world);
        let dead = world.dead;
        drop(world);
        if dead {
            self.kill(operator);
        }
    }

    /// Counts the runs of others on the server, where there is a limit.
    fn make_room(&self, at: usize) {
        let Some(limit) = self.setup.jobs_max else {
            return;
        };
        let here = self.setup.databases[at];
        let others = self.worlds.iter().enumerate().filter(|(other, world)| {
            let there = self.setup.databases[*other];
            *other != at && there.cluster == here.cluster && !held(world).quiet()
        });
        let taken = others.count();
        held(&self.worlds[at]).slots = Slots {
            taken,
            limit: Some(limit),
        };
    }

    /// Lets time pass until everybody looks anew before they write: only then do people act. That they act between
    /// a look and the write that follows from it can happen too, and no program in the world could see it.
    fn run_to_open(&mut self) {
        while let Some(until) = self
            .tasks
            .iter()
            .filter(|task| !task.wait.open)
            .map(|task| task.wait.until)
            .max()
            && self.polls < POLLS_MAX
            && self.pace.endless() == 0
        {
            self.run_to(until.max(self.now + millis(1)));
        }
    }

    /// The platform tells of a change in this world, perhaps.
    fn notify(&mut self, world: usize) {
        let stopped = held(&self.worlds[world]).watches_stopped;
        for at in 0..self.tasks.len() {
            if self.tasks[at].world != world {
                continue;
            }
            let lost = self.rng.one_in(EVENT_LOST_ONE_IN);
            let after = self.rng.below(EVENT_LATE_MAX_MS);
            if !stopped && !lost {
                self.tasks[at].event_at = Some(self.now + millis(after));
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::ServerBack { world } => {
                let world = self.world(world);
                world.db.set_reachable(true);
                drop(world);
            }
            Ending::SessionsShown { world } => self.world(world).db.hide_sessions(None),
            Ending::Granted { world } => self.world(world).db.set_missing(Vec::new()),
            Ending::WatchesBack { world } => {
                self.world(world).watches_stopped = false;
                self.notify(world);
            }
            Ending::Created { world } => {
                cooperate::create(&mut self.world(world));
                self.notify(world);
            }
            Ending::OperatorStarts { operator } => {
                let runs = self.tasks.iter().any(|task| task.operator == operator);
                if !runs {
                    self.start(operator);
                }
            }
            Ending::SecondGone { operator } => {
                self.tasks.retain(|task| task.operator != operator);
            }
        }
    }

    /// Every violation so far, each with the number of its world.
    fn violations(&self) -> Vec<(usize, String)> {
        let of = |(at, world): (usize, &Shared)| {
            let all = held(world).violations.clone();
            all.into_iter().map(move |one| (at, one))
        };
        let mut all: Vec<(usize, String)> = self.worlds.iter().enumerate().flat_map(of).collect();
        if self.pace.endless() > 0 {
            let line = "INVARIANT BROKEN: it_rests: a reconcile took as many steps as it may, or no time passed between many";
            all.push((0, line.to_owned()));
        }
        if self.polls >= POLLS_MAX {
            let line = "INVARIANT BROKEN: it_rests: the operators go round in circles";
            all.push((0, line.to_owned()));
        }
        all
    }

    fn world(&self, at: usize) -> MutexGuard<'_, World> {
        held(&self.worlds[at])
    }

    /// The worlds whose databases are on the same server as this one's.
    fn beside(&self, world: usize) -> Vec<usize> {
        let server = self.setup.databases[world].server;
        let all = self.setup.databases.iter().enumerate();
        all.filter(|(_, one)| one.server == server)
            .map(|(at, _)| at)
            .collect()
    }
}

/// The life of a database's worker: reconcile, rest, and again. It never ends by itself.
async fn drive(mut worker: Worker, pace: Arc<Pace>, left: Left) {
    let clock = PacedClock(pace.clone());
    let (mut before, mut rounds) = (Timestamp::MIN, 0);
    loop {
        // One that does not rest would keep everybody else from their turn.
        rounds = if clock.now() == before { rounds + 1 } else { 0 };
        before = clock.now();
        if rounds > ROUNDS_AT_ONCE_MAX {
            pace.note_endless();
            clock.sleep(Duration::from_secs(1)).await;
        }
        let mut next = worker.reconcile().await;
        if next.decision.is_none() && next.failure.is_none() && next.wake_at != Timestamp::MAX {
            pace.note_endless();
        }
        *left.lock().unwrap_or_else(PoisonError::into_inner) =
            next.decision.clone().filter(|_| next.failure.is_none());
        // Not every change is told: no rest is longer than the slow heartbeat.
        next.wake_at = next.wake_at.min(clock.now() + TURN_MAX);
        let mut rest = std::pin::pin!(worker.rest(&next));
        poll_fn(|context| {
            if pace.told() {
                return Poll::Ready(());
            }
            rest.as_mut().poll(context)
        })
        .await;
    }
}

/// A world, locked. A test that panicked while it held the lock must not hide its message.
fn held(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(count: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A server with these databases, one for each name.
fn server(names: &[String]) -> Vec<FakeDatabase> {
    let mut names = names.iter();
    let first = names.next().map(|name| FakeDatabase::new(name));
    let others: Vec<FakeDatabase> = match &first {
        Some(first) => names.map(|name| first.beside(name)).collect(),
        None => Vec::new(),
    };
    first.into_iter().chain(others).collect()
}
